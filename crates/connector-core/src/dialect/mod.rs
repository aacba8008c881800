//! What an exchange crate provides: declarations and pure functions, nothing that acts.
//!
//! A dialect holds no state, reads no clock and opens no socket. [`Spec`] says what is true of the venue, [`Rest`] has one
//! [`Endpoint`] for each request the core can make, and the trait's functions turn neutral values into the venue's bytes
//! and back. Throttler, engine, embedded venue, checklists and documentation all read these same declarations.

mod batch;
mod calls;
mod keys;
mod perpetual;
mod rest;
mod source;
mod spec;
mod symbols;

pub use batch::BatchRest;
pub use calls::{Answer, Call, Calls, WriteCall};
pub use keys::{KeyKind, Keyring, Signature};
pub use perpetual::{
    FundingInfoRest, FundingPaymentsQuery, LeverageQuery, MarginModeQuery, PerpetualRest, PositionModeQuery,
    StreamKeyQuery, StreamKeyRest,
};
pub use rest::{
    Auth, Body, BookQuery, Cost, Decoder, Draft, Endpoint, FillsQuery, Method, OpenOrdersQuery, OrderQuery,
    Params, Payload, PlaceQuery, Repeat, Rest, Row, SymbolQuery, Weight, percent_encode,
};
pub use source::Source;
pub use spec::{
    BookRule, Channel, ChannelSpec, ClockRule, Domain, Fault, FeeRule, IdRule, Kind, LinkRole, LinkSpec,
    Login, NotApplicable, PerpetualSpec, Pool, Scope, Spec, Window,
};
pub use symbols::Symbols;

use smol_str::SmolStr;

use crate::error::Error;
use crate::message::{Level, Sink};
use crate::time::UnixNanos;

/// A payload that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct DecodeError {
    /// What was being read, such as `depthUpdate` or `rules`.
    pub what: &'static str,
    /// Why it could not be, without secrets.
    pub why: String,
}

impl DecodeError {
    /// A payload of kind `what` that could not be read because of `why`.
    pub fn new(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }

    /// A payload of kind `what` whose `field` is missing or malformed.
    #[cold]
    #[must_use]
    pub fn missing(what: &'static str, field: &str) -> Self {
        Self::new(what, format_args!("`{field}` is missing or malformed"))
    }
}

/// One frame of a stream, to be parsed in place, with the buffers the decoder may use.
pub struct Frame<'a> {
    /// Which link it came from.
    pub role: LinkRole,
    /// The payload; the decoder may overwrite it.
    pub bytes: &'a mut [u8],
    /// The symbol map as known now.
    pub symbols: &'a Symbols,
    /// Buffer for bids; empty when the decoder is called.
    pub bids: &'a mut Vec<Level>,
    /// Buffer for asks; empty when the decoder is called.
    pub asks: &'a mut Vec<Level>,
}

/// What a signature may depend on besides the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The venue's time, as well as we know it.
    pub time: UnixNanos,
    /// Strictly increasing per key.
    pub nonce: u64,
}

/// A venue's own error code and text, as found in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueError {
    /// The code, verbatim.
    pub code: SmolStr,
    /// The text, verbatim.
    pub message: String,
}

/// One venue's protocol. Implemented by a unit struct named after the exchange.
pub trait Dialect: Copy + Send + Sync + 'static {
    /// What is true of the venue.
    const SPEC: &'static Spec;
    /// Its requests.
    const REST: &'static Rest;
    /// Those of its requests that can go over a stream as well, for users who want that.
    const CALLS: Option<&'static Calls> = None;

    /// Signs a request: adds time, key and signature where the venue wants them; only the key if [`Draft::auth`] is
    /// [`Auth::Keyed`].
    ///
    /// # Errors
    /// Only if the key cannot produce the signature.
    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error>;

    /// The frame that subscribes (`true`) to or unsubscribes from channels, each with the venue's symbol.
    /// Shape: one text frame; `id` comes back in the answer's [`Session`](crate::message::Session).
    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String;

    /// The frame that opens the private stream on a user link declared with [`Login::Frame`].
    ///
    /// # Errors
    /// Only if the key cannot produce the signature.
    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error>;

    /// Decodes one text or binary frame.
    ///
    /// # Errors
    /// The frame could not be read. Never ends the link: the core reports it and makes the affected state suspect.
    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError>;

    /// Finds the venue's error in a response body or in an error object of a stream. `None` if there is none.
    /// What it means is in [`Spec::faults`].
    fn error(body: &[u8]) -> Option<VenueError>;
}
