//! Orders: their vocabulary, life cycle and tracker.

mod vocabulary;

pub use vocabulary::{NewOrder, OrderState, OrderType, Side, TimeInForce};
