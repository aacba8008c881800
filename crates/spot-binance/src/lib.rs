//! Binance spot: com, us and testnet.
//!
//! Declarations and pure functions over the core's [`Dialect`]: what the venue has ([`Dialect::SPEC`]), its requests
//! ([`Dialect::REST`]) and its streams. Orders and events go by the venue's JSON API; the user stream is the WebSocket
//! API's signed subscription, as listen keys have ended for spot.

mod calls;
mod hot;
mod rest;
mod spec;
mod stream;
#[cfg(feature = "venue")]
pub mod venue;
mod wire;

use connector_core::Error;
use connector_core::dialect::{
    Calls, Channel, DecodeError, Dialect, Draft, Frame, KeyKind, Keyring, Rest, Signature, Spec, Stamp,
    VenueError, percent_encode,
};
use connector_core::json::find_error;
use connector_core::message::Sink;
use smol_str::{SmolStr, format_smolstr};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The guide's examples, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;

/// The exchange Binance, spot markets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpotBinance;

impl Dialect for SpotBinance {
    const SPEC: &'static Spec = &spec::SPEC;
    const REST: &'static Rest = &rest::REST;
    const CALLS: Option<&'static Calls> = Some(&calls::CALLS);

    /// Adds `timestamp` and `signature` to the query string and the key to the headers. All parameters travel in the query
    /// string, whatever the method, so that what is signed is what is sent.
    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        draft.query.push("timestamp", stamp.time.millis());
        let mut text = String::new();
        // Room for a signature of the usual kind.
        draft.query.encode_into(&mut text, 80);
        let signature = keys.sign(text.as_bytes())?;
        text.push_str("&signature=");
        percent_encode(&written(&signature), &mut text);
        draft.query_text = text;
        draft.headers.push(("x-mbx-apikey", keys.key().clone()));
        Ok(())
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        stream::subscribe(on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        stream::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        stream::frame(frame, out)
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        let error = find_error(body, |json| {
            let error: wire::ErrorBody<'_> = json.get("error").unwrap_or(json).read("error")?;
            // The venue has answers that carry a code and are no error; they use 200 as in HTTP.
            Ok((error.code != 200).then(|| (error.code, error.msg.into_owned())))
        });
        error.map(|(code, message)| VenueError { code: format_smolstr!("{code}"), message })
    }
}

/// A signature as this venue writes it: hexadecimal for HMAC, base64 for the others.
fn written(signature: &Signature) -> String {
    match signature.kind {
        KeyKind::HmacSha256 => signature.hex(),
        KeyKind::Ed25519 | KeyKind::Rsa => signature.base64(),
    }
}
