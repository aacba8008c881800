//! Orders: their vocabulary, life cycle and tracker.

mod lifecycle;
mod tracker;
mod vocabulary;

pub use lifecycle::TrackedOrder;
pub use tracker::{Applied, CancelStep, Tracker, TrackerLimits, Want};
pub use vocabulary::{NewOrder, OrderState, OrderType, Side, TimeInForce};
