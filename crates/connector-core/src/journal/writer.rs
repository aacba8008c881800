//! The thread that writes: takes what has gathered, stores it in one go, and says how far it is.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Entry, SharedJournal};
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

/// Hands entries to the writing thread. Dropping it lets the thread store what is left and end.
pub(crate) struct Writer {
    // The engine bounds what is under way: it places nothing while the journal is far behind.
    entries: Sender<Entry>,
}

impl Writer {
    /// Starts the thread; `tell` is called on it.
    pub(crate) fn start(
        journal: SharedJournal,
        tell: impl Fn(Outcome) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let (entries, receiver) = channel();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(&receiver, &journal, &tell))
            .map_err(|error| Error::new(Cause::Storage, Effect::NotSent, "journal", error.to_string()))?;
        Ok(Self { entries })
    }

    /// Queues an entry; never blocks.
    pub(crate) fn write(&self, entry: Entry) {
        // The thread ends only after this sender is gone, or by a panic in the journal: then nothing is ever stored
        // again, and the engine sees that it falls behind.
        let _ = self.entries.send(entry);
    }
}

fn run(entries: &Receiver<Entry>, journal: &SharedJournal, tell: &dyn Fn(Outcome) -> bool) {
    let mut batch = Vec::new();
    while let Ok(first) = entries.recv() {
        batch.push(first);
        batch.extend(entries.try_iter().take(BATCH - 1));
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
    }
}
