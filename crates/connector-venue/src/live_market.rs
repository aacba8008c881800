//! A market that lives by itself: quotes around a wandering price and a flow that takes them, all from one seed.

use serde::Serialize;

/// How lively a market is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Liveliness {
    /// Changes of resting orders per second, on average; 1 to 1000.
    pub events_per_second: u32,
    /// Shortest and longest time between two takers, in milliseconds.
    pub taker_interval_ms: (u32, u32),
    /// Levels on each side; at least 20.
    pub levels: u32,
    /// How far the price may stray from the reference price, in millionths of it. Bounds every drift: 8000 keeps any
    /// two prices within 1.6 %.
    pub band_ppm: u32,
    /// Notional of a typical order, as a multiple of the market's least notional.
    pub size: u32,
}

impl Default for Liveliness {
    fn default() -> Self {
        Self { events_per_second: 30, taker_interval_ms: (200, 800), levels: 120, band_ppm: 8000, size: 50 }
    }
}
