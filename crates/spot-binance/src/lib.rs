//! Binance spot: com, us and testnet.
//!
//! Declarations and pure functions over the core's [`Dialect`]: what the venue has ([`Dialect::SPEC`]), its requests
//! ([`Dialect::REST`]) and its streams. Orders and events go by the venue's JSON API; the user stream is the WebSocket
//! API's signed subscription, as listen keys have ended for spot.

mod calls;
pub mod family;
mod hot;
mod rest;
mod spec;
mod stream;
#[cfg(feature = "venue")]
pub mod venue;
mod wire;

use connector_core::Error;
use connector_core::dialect::{
    Calls, Channel, DecodeError, Dialect, Draft, Frame, Keyring, Rest, Spec, Stamp, VenueError,
};
use connector_core::message::Sink;
use smol_str::SmolStr;

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

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        family::sign(draft, keys, stamp)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        family::subscribe(&spec::SPEC, on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        stream::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        stream::frame(frame, out)
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        family::error(body)
    }
}
