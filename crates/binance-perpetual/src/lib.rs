//! Binance USDⓈ-M futures, perpetual contracts: com and testnet.
//!
//! Declarations and pure functions over the core's [`Dialect`]: what the venue has ([`Dialect::SPEC`]), its requests
//! ([`Dialect::REST`]) and its streams. The account's events come over a stream opened by a listen key. What this API shares
//! with spot's stands in [`spot_binance::family`].

#[cfg(feature = "venue")]
pub mod venue;

mod account;
mod faults;
mod hot;
mod rest;
mod spec;
mod stream;
mod wire;

use connector_core::Error;
use connector_core::dialect::{
    Channel, DecodeError, Dialect, Draft, Frame, Keyring, Rest, Spec, Stamp, VenueError,
};
use connector_core::message::Sink;
use smol_str::SmolStr;
use spot_binance::family;

/// The exchange Binance, USDⓈ-M perpetual contracts.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinancePerpetual;

impl Dialect for BinancePerpetual {
    const SPEC: &'static Spec = &spec::SPEC;
    const REST: &'static Rest = &rest::REST;

    fn error(body: &[u8]) -> Option<VenueError> {
        family::error(body)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        family::subscribe(&spec::SPEC, on, channels, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        stream::frame(frame, out)
    }

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        family::sign(draft, keys, stamp)
    }

    /// Never asked for: the user stream is opened by its address.
    fn login(_: &Keyring, _: Stamp, _: u64) -> Result<String, Error> {
        Err(Error::usage("login", "the user stream is opened by a listen key"))
    }
}
