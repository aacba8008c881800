//! Requests over a stream connection, where a venue takes some of its requests that way too.

use serde::Serialize;
use smol_str::SmolStr;

use crate::dialect::keys::Keyring;
use crate::dialect::rest::{Cost, Draft};
use crate::dialect::source::Source;
use crate::dialect::spec::LinkSpec;
use crate::dialect::{DecodeError, Stamp};
use crate::error::Error;

/// One of the venue's requests that it takes over a stream as well. What it asks and what its answer holds is declared once,
/// by its [`Endpoint`](crate::dialect::Endpoint); this is what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The request's [`Row::name`](crate::dialect::Row::name).
    pub row: &'static str,
    /// The venue's name of it in a frame.
    pub method: &'static str,
    /// What it costs besides the row's own costs, which it pays either way, as it may still have to go by HTTP.
    pub more: &'static [Cost],
    /// Source.
    pub source: Source,
}

/// The answer to a call, as the same request by HTTP would have had it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The id the call was written with.
    pub id: u64,
    /// The HTTP status it stands for: 200 to 299 for a success.
    pub status: u16,
    /// What an HTTP answer would have told in headers: the venue's counters under their
    /// [`Pool::used_header`](crate::dialect::Pool::used_header), `retry-after` in seconds.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// For a success what the endpoint's decoder reads, else what [`Dialect::error`](crate::dialect::Dialect::error) does.
    pub body: Vec<u8>,
}

/// Requests a venue takes over a stream.
#[derive(Debug)]
pub struct Calls {
    /// The connection they go over: one of its own, of role [`LinkRole::Orders`](crate::dialect::LinkRole::Orders).
    pub link: LinkSpec,
    /// Where that is: a name in [`Domain::links`](crate::dialect::Domain::links).
    pub address: &'static str,
    /// The requests.
    pub calls: &'static [Call],
    /// Writes the signed text frame of a call. The draft is what the endpoint's `encode` has made, unsigned; `id` must come
    /// back in [`Answer::id`].
    pub write: WriteCall,
    /// Reads a frame of the connection that answers a call; `None` for any other frame, which
    /// [`Dialect::frame`](crate::dialect::Dialect::frame) reads. Its error ends the connection, as an answer that cannot be
    /// read cannot be told from the others that are waited for.
    pub answer: fn(frame: &[u8]) -> Result<Option<Answer>, DecodeError>,
}

/// The type of [`Calls::write`]. Its error is that of a key that cannot produce the signature.
pub type WriteCall =
    fn(call: &Call, draft: Draft, id: u64, keys: &Keyring, stamp: Stamp) -> Result<String, Error>;

impl Calls {
    /// The call of a request, if it is one.
    #[must_use]
    pub fn of(&self, row: &str) -> Option<&'static Call> {
        self.calls.iter().find(|call| call.row == row)
    }
}
