//! Orders: their vocabulary, life cycle and tracker.

mod cancelling;
mod doubt;
mod fees;
mod lifecycle;
mod tracker;
#[cfg(test)]
mod tracker_properties;
#[cfg(test)]
mod tracker_tests;
mod vocabulary;

pub use cancelling::CancelStep;
pub use lifecycle::TrackedOrder;
pub use tracker::{Applied, Tracker, TrackerLimits, Want};
pub use vocabulary::{NewOrder, OrderState, OrderType, Side, TimeInForce};
