//! What Binance's APIs have in common: spot's, and that of perpetual contracts, whose connector builds on this one.
//!
//! Signatures, error bodies, words, market streams, orders and rules are the same protocol in both; each fact stands here once.

mod faults;
mod frames;
mod hot;
mod market;
mod orders;

use connector_core::Error;
use connector_core::dialect::{
    Auth, Cost, Draft, KeyKind, Keyring, Signature, Source, Stamp, VenueError, percent_encode,
};
use connector_core::json::{Json, find_error};
use smol_str::format_smolstr;

pub use faults::{FAULTS, joined};
pub use frames::{Buffers, frame, need, subscribe, trade};
pub use hot::Opened;
pub use market::{Filter, decode_book, decode_last_price, decode_ping, decode_server_time, trading_rule};
pub use orders::{
    FILLS_PAGE, OrderAnswer, decode_open_orders, decode_order, encode_fills, encode_open_orders,
    encode_order_query, limit_price, order_state, order_type, reason, side, side_word, time_in_force_word,
};

/// The pool of request weight per minute.
pub const WEIGHT: &str = "request_weight";
/// The pool of orders per ten seconds.
pub const ORDERS_TEN_SECONDS: &str = "orders_10s";
/// The response header that tells the weight used.
pub const WEIGHT_HEADER: &str = "x-mbx-used-weight-1m";
/// The response header that tells the orders of ten seconds.
pub const ORDERS_TEN_SECONDS_HEADER: &str = "x-mbx-order-count-10s";

/// A page of the venue's documentation, as read for these connectors.
#[must_use]
pub const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-22" }
}

/// What a request costs in weight.
#[must_use]
pub const fn weight(units: u32) -> Cost {
    Cost::fixed(WEIGHT, units)
}

/// What a request costs in weight with and without a parameter.
#[must_use]
pub const fn either(param: &'static str, with: u32, without: u32) -> Cost {
    Cost::present(WEIGHT, param, with, without)
}

/// Adds the key to the headers and, unless the key alone is asked for, `timestamp` and `signature` to the query string. All
/// parameters travel in the query string, whatever the method, so that what is signed is what is sent.
///
/// # Errors
/// Only if the key cannot produce the signature.
pub fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
    draft.headers.push(("x-mbx-apikey", keys.key().clone()));
    if draft.auth == Auth::Keyed {
        draft.query_text = draft.query.encode();
        return Ok(());
    }
    draft.query.push("timestamp", stamp.time.millis());
    let mut text = String::new();
    // Room for a signature of the usual kind.
    draft.query.encode_into(&mut text, 80);
    let signature = keys.sign(text.as_bytes())?;
    text.push_str("&signature=");
    percent_encode(&written(&signature), &mut text);
    draft.query_text = text;
    Ok(())
}

/// A signature as these APIs write it: hexadecimal for HMAC, base64 for the others.
#[must_use]
pub fn written(signature: &Signature) -> String {
    match signature.kind {
        KeyKind::HmacSha256 => signature.hex(),
        KeyKind::Ed25519 | KeyKind::Rsa => signature.base64(),
    }
}

/// Finds an error in a body: `{"code":-1121,"msg":"…"}`, alone or as `error`.
#[must_use]
pub fn error(body: &[u8]) -> Option<VenueError> {
    find_error(body, |json| {
        let error = json.get("error").unwrap_or(json);
        let found = error.get("code").and_then(Json::int).zip(error.get("msg").and_then(Json::text));
        // The venue has answers that carry a code and are no error; they use 200 as in HTTP.
        let found = found.filter(|(code, _)| *code != 200);
        Ok(found.map(|(code, text)| VenueError { code: format_smolstr!("{code}"), message: text.to_owned() }))
    })
}
