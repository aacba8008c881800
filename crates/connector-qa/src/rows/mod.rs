//! The rows of the checklist, each judged by the venue's ledger rather than by the connector's word.

pub mod account;
pub mod amend;
pub mod batch;
pub mod endurance;
pub mod faults;
pub mod history;
pub mod limits;
mod loss;
pub mod market;
pub mod metrics;
pub mod orders;
pub mod perpetual;
mod processes;
pub mod restart;
pub mod robustness;
pub mod several;
pub mod strategy;
