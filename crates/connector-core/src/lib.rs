//! Core of the exchange connectors.

pub mod book;
pub mod budget;
pub mod client_id;
mod connector;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod event;
pub mod fee;
pub mod funding;
mod id;
pub mod journal;
pub mod json;
#[cfg(feature = "keystore")]
pub mod keystore;
pub mod message;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod mutants;
mod net;
pub mod number;
pub mod order;
mod pair;
pub mod position;
pub mod recording;
pub mod rules;
pub mod scan;
mod secret;
mod streams;
pub mod throttle;
pub mod time;
pub mod time_sync;
pub mod wire;

pub use connector::{Builder, Connector, OwnOrders, Stopped};
pub use engine::OrderEntry;
pub use error::{Cause, Effect, Error};
pub use event::Event;
pub use id::{ClientOrderId, ExchangeOrderId, TradeId};
pub use pair::{Asset, Pair, PairError};
pub use rust_decimal::Decimal;
pub use secret::{Credentials, Secret};
pub use streams::{Events, Lagged, LimitChanges};
