//! The queue between an engine and the thread that stores.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use smol_str::SmolStr;

use super::{RawMessage, Recorded, SharedSink};
use crate::error::{Cause, Effect, Error};
use crate::pair::Pair;
use crate::time::UnixNanos;

/// How often a sink is flushed.
const FLUSH: Duration = Duration::from_secs(1);

/// What may wait to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: 65_536, bytes: 64 << 20 }
    }
}

#[derive(Default)]
struct State {
    messages: Vec<RawMessage>,
    /// Of the messages.
    bytes: usize,
    /// Dropped since the last message that was taken.
    missed: u64,
    recorded: Recorded,
    closed: bool,
    ended: bool,
}

struct Queue {
    state: Mutex<State>,
    bounds: Bounds,
    /// Something to store, the end, or that the end is reached.
    news: Condvar,
}

impl Queue {
    /// Held for pushing and swapping only, never while anything is stored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps what waits into `batch`, after at most about [`FLUSH`]; whether more can come.
    fn next(&self, batch: &mut Vec<RawMessage>) -> bool {
        batch.clear();
        let state = self.lock();
        let idle = |state: &mut State| state.messages.is_empty() && !state.closed;
        let (mut state, _) =
            self.news.wait_timeout_while(state, FLUSH, idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.messages, batch);
        state.bytes = 0;
        !state.closed
    }

    fn run(&self, sink: &SharedSink) {
        let mut batch = Vec::new();
        let mut flushed = Instant::now();
        let stored = loop {
            let open = self.next(&mut batch);
            let mut sink = sink.lock();
            let mut result = if batch.is_empty() { Ok(()) } else { sink.append(&batch) };
            if result.is_ok() {
                self.lock().recorded.messages += u64::try_from(batch.len()).unwrap_or_default();
                if !open {
                    break sink.finish();
                }
                if flushed.elapsed() >= FLUSH {
                    result = sink.flush();
                    flushed = Instant::now();
                }
            }
            if result.is_err() {
                break result;
            }
        };
        let mut state = self.lock();
        if let Err(error) = stored {
            tracing::error!(%error, "market data cannot be recorded");
            state.recorded.failure = Some(error);
        }
        state.ended = true;
        drop(state);
        self.news.notify_all();
    }
}

/// Ends the recording when the last tap is gone.
struct Owner(Arc<Queue>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.news.notify_all();
    }
}

/// Where an engine hands raw market data; nowhere by default. The connector's builder sets it.
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Owner>>);

impl Tap {
    /// Starts the thread that stores.
    pub(crate) fn start(sink: SharedSink) -> Result<Self, Error> {
        Self::bounded(sink, Bounds::default())
    }

    pub(super) fn bounded(sink: SharedSink, bounds: Bounds) -> Result<Self, Error> {
        let queue = Arc::new(Queue { state: Mutex::default(), bounds, news: Condvar::new() });
        let writer = Arc::clone(&queue);
        thread::Builder::new().name("market-data".to_owned()).spawn(move || writer.run(&sink)).map_err(
            |error| Error::new(Cause::Storage, Effect::NotSent, "record market data", error.to_string()),
        )?;
        Ok(Self(Some(Arc::new(Owner(queue)))))
    }

    /// Whether anything is recorded.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a message, if there is room: never waits for it. Why it was not taken.
    pub(crate) fn take(
        &self,
        time: UnixNanos,
        bytes: &[u8],
        about: Option<(SmolStr, Pair)>,
    ) -> Result<(), Error> {
        let Some(owner) = &self.0 else { return Ok(()) };
        let queue = &owner.0;
        let mut state = queue.lock();
        if state.closed {
            // Ended by wish: what links still bring is no part of it, and so is not missed.
            return Ok(());
        }
        let full = state.messages.len() >= queue.bounds.messages
            || state.bytes.saturating_add(bytes.len()) > queue.bounds.bytes;
        if full || state.ended {
            state.missed += 1;
            state.recorded.dropped += 1;
            return Err(refusal(&state.recorded));
        }
        let missed = std::mem::take(&mut state.missed);
        state.bytes += bytes.len();
        state.messages.push(RawMessage { time, bytes: bytes.to_vec(), about, missed });
        let first = state.messages.len() == 1;
        drop(state);
        if first {
            queue.news.notify_all();
        }
        Ok(())
    }

    /// How far the recording is, if there is one.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        self.0.as_ref().map(|owner| owner.0.lock().recorded.clone())
    }

    /// Ends the recording: takes nothing any more, and stores what it has.
    pub(crate) fn close(&self) {
        if let Some(owner) = &self.0 {
            owner.0.lock().closed = true;
            owner.0.news.notify_all();
        }
    }

    /// Waits until all is stored; blocks for `patience` at most. Whether it is.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let Some(owner) = &self.0 else { return true };
        let state = owner.0.lock();
        let (state, _) = owner
            .0
            .news
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}

fn refusal(recorded: &Recorded) -> Error {
    recorded.failure.clone().unwrap_or_else(|| {
        let text = format!("the queue is full: {} messages were not recorded", recorded.dropped);
        Error::new(Cause::Storage, Effect::NotSent, "record market data", text)
    })
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap").field(&self.recorded()).finish()
    }
}
