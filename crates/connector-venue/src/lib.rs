//! The embedded exchange: a deterministic venue that real clients can trade on.
//!
//! [`exchange::Exchange`] is a pure value: it does no I/O and reads no clock. Time passes only by
//! [`Exchange::advance`](exchange::Exchange::advance).

pub mod control;
mod deeds;
pub mod exchange;
pub mod face;
pub mod faults;
pub mod fields;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod live_market;
pub mod matching;
pub mod memory;
pub mod news;
pub mod orders;
mod random;
pub mod route;
pub mod server;
pub mod setup;
pub mod shim;
pub mod venue;
