//! What the benchmark programs share: [frames](mod@frames) as a venue sends them, a [venue] that only sends, one that has
//! many [markets], one that takes orders ([`counter`]), and how results are [told](measure).
//!
//! A program measures itself beside whatever it is compared with, by turns, and prints one JSON object a line:
//! `{"name", "who", "unit", "median", "p99"}`, for one round. `cargo xtask bench` runs the programs by turns as well and puts the
//! lines together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

pub mod counter;
pub mod frames;
pub mod markets;
pub mod measure;
pub mod venue;
