//! The embedded exchange: a deterministic venue that real clients can trade on.
//!
//! [`exchange::Exchange`] is a pure value: it does no I/O and reads no clock. Time passes only by
//! [`Exchange::advance`](exchange::Exchange::advance). An exchange crate gives it a [`face`]: its wire protocol in the reverse
//! direction. Both together, with connections and [`faults`], are a [`venue::Venue`], which is either served on loopback
//! sockets in real time ([`server`], with a [`control`] interface) or driven in memory under virtual time ([`memory`]).

pub mod control;
mod deeds;
mod drift;
pub mod exchange;
pub mod face;
pub mod faults;
pub mod fields;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod listen_keys;
pub mod live_market;
pub mod matching;
pub mod memory;
pub mod news;
pub mod orders;
pub mod perpetual;
mod random;
pub mod route;
pub mod server;
pub mod setup;
pub mod shim;
pub mod venue;
