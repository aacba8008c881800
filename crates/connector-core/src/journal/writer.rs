//! The thread that writes: takes what has gathered, stores it in one go, and says how far it is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Durability, Entry, SharedJournal};
use crate::error::{Cause, Effect, Error};

/// Most entries in one transaction.
const BATCH: usize = 4_096;
/// First and longest wait before a failed write is tried again.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Tries after the owner has gone: what cannot be stored then is lost, as by a kill.
const LAST_TRIES: u32 = 10;

/// What a writer tells its owner.
pub(crate) enum Outcome {
    /// Everything up to this sequence number is stored.
    Stored(u64),
    /// A write failed; it is tried again until it succeeds.
    Failed(Error),
}

/// How long entries gather after a write while no order waits for them. Waking the thread costs whoever does it some
/// microseconds; so it happens once, not with every event of a lively order.
const GATHER: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Inbox {
    entries: Vec<Entry>,
    /// The thread sleeps until it is woken.
    sleeps: bool,
    /// No more will come.
    closed: bool,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    woken: Condvar,
}

impl Shared {
    /// Every change of the inbox is whole, so a panic elsewhere leaves it usable.
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves at most a batch into `batch`, waiting for the first. `false` if no more will come.
    fn take(&self, batch: &mut Vec<Entry>) -> bool {
        let mut inbox = self.lock();
        while inbox.entries.is_empty() {
            if inbox.closed {
                return false;
            }
            inbox.sleeps = true;
            inbox = self.woken.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        inbox.sleeps = false;
        let count = inbox.entries.len().min(BATCH);
        batch.extend(inbox.entries.drain(..count));
        true
    }
}

/// Hands entries to the writing thread. Dropping it lets the thread store what is left and end.
pub(crate) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the thread; `tell` is called on it.
    pub(crate) fn start(
        journal: SharedJournal,
        durability: Durability,
        tell: impl Fn(Outcome) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let shared = Arc::<Shared>::default();
        let gather = if durability == Durability::Behind { GATHER } else { Duration::ZERO };
        let inbox = Arc::clone(&shared);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(&inbox, &journal, gather, &tell))
            .map_err(|error| Error::new(Cause::Storage, Effect::NotSent, "journal", error.to_string()))?;
        Ok(Self(shared))
    }

    /// Queues an entry; never blocks. The engine bounds what is under way: it places nothing while the journal is far behind.
    pub(crate) fn write(&self, entry: Entry) {
        self.0.lock().entries.push(entry);
    }

    /// Wakes the thread, if it sleeps, for what was queued.
    pub(crate) fn wake(&self) {
        let sleeps = std::mem::take(&mut self.0.lock().sleeps);
        if sleeps {
            self.0.woken.notify_one();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.woken.notify_one();
    }
}

fn run(inbox: &Shared, journal: &SharedJournal, gather: Duration, tell: &dyn Fn(Outcome) -> bool) {
    let mut batch = Vec::new();
    while inbox.take(&mut batch) {
        let through = batch.last().map_or(0, |entry| entry.sequence);
        let (mut wait, longest) = WAITS;
        let mut tries_left = LAST_TRIES;
        loop {
            // A statement of its own, so that the lock is gone before anybody is told.
            let stored = journal.lock().append(&batch);
            let Err(error) = stored else { break };
            tracing::error!(%error, "the journal cannot be written");
            if !tell(Outcome::Failed(error)) {
                tries_left -= 1;
                if tries_left == 0 {
                    return;
                }
            }
            thread::sleep(wait);
            wait = (wait * 2).min(longest);
        }
        batch.clear();
        tell(Outcome::Stored(through));
        if !gather.is_zero() {
            thread::sleep(gather);
        }
    }
}
