//! The dialect against what Binance documents.
//!
//! Payloads are typed from the venue's documentation (fields and example values), each with the page it is from. All pages
//! were read on 2026-11-22 below `https://developers.binance.com/docs/binance-spot-api-docs/`, abbreviated `D/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod calls;
mod faults;
mod hostile;
mod hot;
mod rest;
mod signing;
mod stream;

use connector_core::dialect::{LinkRole, Symbols};
use connector_core::message::Market;
use connector_qa::payloads::{self, Told, events, query};
use spot_binance::SpotBinance;

/// A map that knows the markets of the documentation's examples.
fn symbols() -> Symbols {
    payloads::symbols(&["BTC-USDT", "BNB-BTC", "BNB-USDT", "ETH-BTC", "LTC-BTC"])
}

/// Decodes an answer of the row named `row`.
fn answer(row: &str, body: &str) -> Told {
    payloads::answer::<SpotBinance>(&symbols(), row, body, None)
}

fn answer_about(row: &str, body: &str, market: Option<&Market>) -> Told {
    payloads::answer::<SpotBinance>(&symbols(), row, body, market)
}

/// Decodes a frame.
fn frame(role: LinkRole, text: &str) -> Told {
    frame_bytes(role, text.as_bytes())
}

fn frame_bytes(role: LinkRole, bytes: &[u8]) -> Told {
    payloads::frame::<SpotBinance>(&symbols(), role, bytes)
}
