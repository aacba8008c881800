//! Funding of perpetual contracts: the rates and prices the venue announces, and the payments it makes of them.
//!
//! The two are kept apart: [`FundingRates`] is what will probably be paid, [`FundingLedger`] what was.

mod payments;
mod rates;

pub use payments::{Fetch, FundingLedger};
pub use rates::{FundingRates, FundingState};
