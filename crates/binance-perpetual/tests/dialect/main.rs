//! The dialect against what Binance documents.
//!
//! Payloads are typed from the venue's documentation (fields and example values), each with the page it is from, or from what was
//! received live, with the day. All pages were read on 2026-11-22 below `https://developers.binance.com/docs/derivatives/usds-margined-futures/`, abbreviated `D/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod account;
mod faults;
mod hostile;
mod hot;
mod rest;
mod signing;
mod stream;

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{
    DecodeError, Dialect as _, Draft, Endpoint, Frame, LinkRole, Payload, Symbols,
};
use connector_core::message::{Market, Message};
use serde_json::Value;

/// A map that knows the markets of the documentation's examples.
fn symbols() -> Symbols {
    let mut symbols = Symbols::default();
    for pair in ["BTC-USDT", "ETH-USDT", "ETH-USDC", "BNB-USDT", "ADA-USDT", "COMP-USDT"] {
        assert!(symbols.insert(pair.replace('-', "").into(), pair.parse().unwrap()));
    }
    symbols
}

/// Decodes an answer of the row named `row`.
fn answer(row: &str, body: &str) -> Result<Vec<Message>, DecodeError> {
    answer_about(row, body, None)
}

fn answer_about(row: &str, body: &str, market: Option<&Market>) -> Result<Vec<Message>, DecodeError> {
    let mut out: Vec<Message> = Vec::new();
    let (mut bytes, symbols) = (body.as_bytes().to_vec(), symbols());
    let decode = BinancePerpetual::REST.decoder(row).unwrap();
    decode(Payload { bytes: &mut bytes, symbols: &symbols, market }, &mut out)?;
    Ok(out)
}

/// Decodes a frame.
fn frame(role: LinkRole, text: &str) -> Result<Vec<Message>, DecodeError> {
    frame_bytes(role, text.as_bytes())
}

fn frame_bytes(role: LinkRole, bytes: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let (mut out, mut bids, mut asks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, symbols) = (bytes.to_vec(), symbols());
    let frame = Frame { role, bytes: &mut bytes, symbols: &symbols, bids: &mut bids, asks: &mut asks };
    BinancePerpetual::frame(frame, &mut out)?;
    Ok(out)
}

/// The messages as the neutral events people see.
fn events(messages: Result<Vec<Message>, DecodeError>) -> Value {
    serde_json::to_value(messages.unwrap()).unwrap()
}

/// The query a request of this endpoint has before signing.
fn query<Q>(endpoint: &Endpoint<Q>, question: &Q) -> String {
    let mut draft = Draft::new(&endpoint.row);
    (endpoint.encode)(question, &mut draft);
    draft.query.encode()
}
