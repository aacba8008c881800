//! Recording of market data: every public frame and every book snapshot as it came, before it is decoded, with the local
//! time at which it came. A recording plays back through the same decoder, sequencing and book.
//!
//! The engine hands bytes to a bounded queue and goes on; a thread of its own stores them in a [`RawSink`]. What finds the
//! queue full is not recorded but counted, and told as a problem: **recording never holds up trading.** Nothing of the
//! account is recorded: neither the private stream nor any signed request.

mod file;
mod tap;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use crate::error::Error;
use crate::pair::Pair;
use crate::time::UnixNanos;

pub use file::RawFile;
pub use tap::Tap;

/// One message as the venue sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Local time at which it arrived.
    pub time: UnixNanos,
    /// What arrived.
    pub bytes: Vec<u8>,
    /// The venue's symbol and our pair, where the message names no market itself: the answer to a request for a book.
    pub about: Option<(SmolStr, Pair)>,
    /// How many messages right before this one were not recorded.
    pub missed: u64,
}

/// Where raw market data goes. Calls may block: they are made on a thread that does nothing else.
pub trait RawSink: Send {
    /// Stores messages, in their order.
    ///
    /// # Errors
    /// [`Cause::Storage`](crate::Cause::Storage): not stored, or not all of them; nothing more will be given.
    fn append(&mut self, messages: &[RawMessage]) -> Result<(), Error>;

    /// Brings what was stored to where other programs find it; called about once a second.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn flush(&mut self) -> Result<(), Error>;

    /// Ends the recording; nothing comes after it.
    ///
    /// # Errors
    /// As [`append`](Self::append): the recording may lack its end.
    fn finish(&mut self) -> Result<(), Error>;
}

/// How far a recording is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Messages stored.
    pub messages: u64,
    /// Messages that were not recorded, because the queue was full or the sink had failed.
    pub dropped: u64,
    /// Why the recording ended early, if it did.
    pub failure: Option<Error>,
}

/// A sink that a builder, its clones and the writing thread share.
#[derive(Clone)]
pub(crate) struct SharedSink(Arc<Mutex<dyn RawSink>>);

impl SharedSink {
    pub(crate) fn new(sink: impl RawSink + 'static) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    fn lock(&self) -> MutexGuard<'_, dyn RawSink + 'static> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawSink")
    }
}
