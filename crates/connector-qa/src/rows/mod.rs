//! The rows of the checklist, each judged by the venue's ledger rather than by the connector's word.

pub mod account;
pub mod faults;
pub mod market;
pub mod orders;
