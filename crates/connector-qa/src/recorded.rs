//! An engine with its journal as one machine, for a venue in memory.

use std::collections::VecDeque;
use std::time::Duration;

use connector_core::engine::Trading;
use connector_core::event::Event;
use connector_core::journal::{Entry, Journal as _, MemoryJournal, Record};
use connector_core::time::{Mono, Now};
use connector_core::wire::{Action, Input, Machine};

/// How long after a failure it is tried again to store.
const AGAIN: Duration = Duration::from_millis(500);

/// An engine whose journal takes its time to store, so that a kill loses what is under way.
pub struct Recorded {
    /// The engine. What it has to tell is taken only by [`turn`](Self::turn).
    pub engine: Box<dyn Trading>,
    /// What it has told so far.
    pub events: Vec<Event>,
    journal: MemoryJournal,
    lag: Duration,
    /// Handed out and not stored, and when it will be.
    under_way: VecDeque<(Mono, Entry)>,
}

impl Recorded {
    /// An engine that was begun on this journal, which takes `lag` to store.
    #[must_use]
    pub const fn new(engine: Box<dyn Trading>, journal: MemoryJournal, lag: Duration) -> Self {
        Self { engine, events: Vec::new(), journal, lag, under_way: VecDeque::new() }
    }

    /// Does something with the engine and takes what it has to tell, as every driver does after every turn.
    pub fn turn<R>(&mut self, now: Now, act: impl FnOnce(&mut dyn Trading) -> R) -> R {
        let result = act(self.engine.as_mut());
        while let Some(entry) = self.engine.record() {
            self.under_way.push_back((now.mono.after(self.lag), entry));
        }
        while let Some(event) = self.engine.event() {
            self.events.push(event);
        }
        result
    }

    /// What a kill would lose, oldest first.
    pub fn under_way(&self) -> impl Iterator<Item = &Record> {
        self.under_way.iter().map(|(_, entry)| &entry.record)
    }
}

impl Machine for Recorded {
    fn input(&mut self, now: Now, input: Input<'_>) -> bool {
        let before = self.engine.deadline();
        let follows = self.turn(now, |engine| engine.input(now, input));
        // Drivers rely on it: nobody would wake the engine in time.
        let closer = self.engine.deadline().is_some_and(|at| before.is_none_or(|before| at < before));
        assert!(follows || !closer, "an input that nothing follows from has brought the deadline closer");
        follows
    }

    fn wake(&mut self, now: Now) {
        let mut batch = Vec::new();
        while let Some((_, entry)) = self.under_way.pop_front_if(|(due, _)| *due <= now.mono) {
            batch.push(entry);
        }
        if let Some(last) = batch.last().map(|entry| entry.sequence) {
            match self.journal.append(&batch) {
                Ok(()) => self.turn(now, |engine| engine.recorded(now, last)),
                Err(error) => {
                    let again = now.mono.after(AGAIN);
                    for entry in batch.into_iter().rev() {
                        self.under_way.push_front((again, entry));
                    }
                    self.turn(now, |engine| engine.record_failed(now, error));
                }
            }
        }
        self.turn(now, |engine| engine.wake(now));
    }

    fn action(&mut self) -> Option<Action> {
        self.engine.action()
    }

    fn deadline(&self) -> Option<Mono> {
        let stored = self.under_way.front().map(|(due, _)| *due);
        [stored, self.engine.deadline()].into_iter().flatten().min()
    }
}
