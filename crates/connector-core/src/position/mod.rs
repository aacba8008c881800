//! Positions of perpetual contracts.

mod vocabulary;

pub use vocabulary::{PositionAction, PositionCause, PositionMode, PositionSide};
