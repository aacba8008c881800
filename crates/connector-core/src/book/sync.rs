//! What may be applied to a book, and when the book is proven to be the venue's.
//!
//! Pure: the caller asks for snapshots and passes them in. **Invariant**: while [`BookStatus::Live`], the book is the venue's at
//! [`BookSync::last_id`]. Whatever breaks the proof ends it in the same step; the messages received since are kept, so
//! that a snapshot taken meanwhile can be joined to them.

use std::collections::VecDeque;

use serde::Serialize;

use crate::book::Book;
use crate::dialect::BookRule;
use crate::message::{BookMessage, BookUpdate};
use crate::mutants::{self, Mutant};

/// Most messages kept while waiting for a snapshot.
const MAX_WAITING: usize = 4096;
/// Most rows in them.
const MAX_WAITING_ROWS: usize = 200_000;
/// Most messages kept while the snapshot has not even been asked for: a later one joins later messages. With thousands of books
/// that wait for the venue's limits, all messages since the start would fill the memory.
const MAX_UNASKED: usize = 16;

/// Whether a book is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BookStatus {
    /// Not proven: a snapshot is needed.
    Waiting,
    /// Proven to be the venue's at its id.
    Live,
}

/// Why a book is not proven any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gap {
    /// A message is missing.
    Missing,
    /// Applying a correct sequence made bid and ask overlap: something before was wrong.
    Crossed,
    /// A message lacks the ids its rule needs.
    NoId,
    /// A row could not be held.
    BadLevel,
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is in the book, and the book is live.
    Applied,
    /// It waits for a snapshot.
    Buffered,
    /// The book has it already, or the rule has no use for it.
    Ignored,
    /// The book is not live (any more), and a new snapshot is needed.
    Gap(Gap),
    /// This snapshot ends before the messages kept begin: a newer one is needed.
    TooOld,
}

/// Keeps one market's book to its [`BookRule`].
#[derive(Debug)]
pub struct BookSync {
    rule: BookRule,
    book: Book,
    live: bool,
    /// Whether a message has been applied since the snapshot. Only the first may begin before the snapshot's id.
    joined: bool,
    waiting: VecDeque<BookUpdate>,
    waiting_rows: usize,
    /// Whether a snapshot may come at any time.
    expecting: bool,
}

impl BookSync {
    /// An empty book that waits for its first snapshot.
    #[must_use]
    pub fn new(rule: BookRule) -> Self {
        Self {
            rule,
            book: Book::default(),
            live: false,
            joined: false,
            waiting: VecDeque::new(),
            waiting_rows: 0,
            expecting: true,
        }
    }

    /// Tells whether a snapshot is on its way, as is assumed if nothing is told. While none is, few messages are kept.
    pub fn expect_snapshot(&mut self, coming: bool) {
        self.expecting = coming;
    }

    /// Takes a message of either kind.
    pub fn apply(&mut self, message: &BookMessage<'_>) -> Step {
        if message.snapshot { self.snapshot(message) } else { self.diff(message) }
    }

    /// Takes a diff.
    pub fn diff(&mut self, message: &BookMessage<'_>) -> Step {
        if self.rule == BookRule::SnapshotOnly {
            return Step::Ignored;
        }
        let Some(ids) = Ids::of(self.rule, message) else {
            self.forget_waiting();
            return self.gap(Gap::NoId);
        };
        if !self.live {
            return self.wait(message, ids);
        }
        match self.fits(ids) {
            Fit::Old => Step::Ignored,
            Fit::Next => match self.append(message) {
                Ok(()) => Step::Applied,
                Err(gap) => self.restart_with(message, gap),
            },
            Fit::Missing => self.restart_with(message, Gap::Missing),
        }
    }

    /// Takes a snapshot, whether it was asked for or came by itself.
    pub fn snapshot(&mut self, message: &BookMessage<'_>) -> Step {
        if self.rule != BookRule::SnapshotOnly && message.last_id.is_none() {
            return self.gap(Gap::NoId);
        }
        if let (true, Some(known), Some(id)) = (self.live, self.book.last_id(), message.last_id)
            && id < known
        {
            return Step::Ignored;
        }
        if self.floor().is_some_and(|floor| message.last_id.is_none_or(|id| id < floor)) {
            return Step::TooOld;
        }
        if self.book.apply_snapshot(message).is_err() {
            return self.gap(Gap::BadLevel);
        }
        if self.book.is_crossed() {
            return self.gap(Gap::Crossed);
        }
        (self.live, self.joined) = (true, false);
        self.replay()
    }

    /// Ends the proof, for instance because the link was lost: messages before and after it do not continue each other.
    pub fn reset(&mut self) {
        self.forget_waiting();
        (self.live, self.joined) = (false, false);
    }

    /// Whether the book is proven.
    #[must_use]
    pub const fn status(&self) -> BookStatus {
        if self.live { BookStatus::Live } else { BookStatus::Waiting }
    }

    /// Whether the caller should ask for a snapshot.
    #[must_use]
    pub fn needs_snapshot(&self) -> bool {
        !self.live && self.rule != BookRule::SnapshotOnly
    }

    /// The least id a snapshot must have to be joined to the messages kept.
    #[must_use]
    pub fn floor(&self) -> Option<u64> {
        let first = self.waiting.front()?;
        match self.rule {
            BookRule::Sequenced => first.first_id.or(first.last_id).map(|id| id.saturating_sub(1)),
            BookRule::PrevLinked => first.prev_id,
            BookRule::SnapshotOnly => None,
        }
    }

    /// The id of the proven book; `None` while waiting.
    #[must_use]
    pub fn last_id(&self) -> Option<u64> {
        self.book().and_then(Book::last_id)
    }

    /// The proven book; `None` while waiting.
    #[must_use]
    pub fn book(&self) -> Option<&Book> {
        self.live.then_some(&self.book)
    }

    /// The book as last known, proven or not: only for showing as stale.
    #[must_use]
    pub const fn last_known(&self) -> &Book {
        &self.book
    }

    fn fits(&self, ids: Ids) -> Fit {
        let Some(known) = self.book.last_id() else { return Fit::Missing };
        if ids.last <= known {
            return Fit::Old;
        }
        if mutants::is(Mutant::NoContinuityCheck) {
            return Fit::Next;
        }
        let next = match self.rule {
            // A message may begin before where we stand: its rows are absolute.
            BookRule::Sequenced => ids.first <= known.saturating_add(1),
            BookRule::PrevLinked if self.joined => ids.first == known,
            // A snapshot may lie between two messages: the first one only has to reach over it.
            BookRule::PrevLinked => ids.first <= known,
            BookRule::SnapshotOnly => false,
        };
        if next { Fit::Next } else { Fit::Missing }
    }

    fn append(&mut self, message: &BookMessage<'_>) -> Result<(), Gap> {
        self.book.apply_diff(message).map_err(|_| Gap::BadLevel)?;
        self.joined = true;
        if self.book.is_crossed() { Err(Gap::Crossed) } else { Ok(()) }
    }

    fn gap(&mut self, gap: Gap) -> Step {
        (self.live, self.joined) = (false, false);
        Step::Gap(gap)
    }

    /// The proof ends with this message, which is the first that a new snapshot has to be joined to.
    fn restart_with(&mut self, message: &BookMessage<'_>, gap: Gap) -> Step {
        self.forget_waiting();
        self.keep(message);
        self.gap(gap)
    }

    /// What is kept stays gapless, so that joining it only depends on where it begins.
    fn wait(&mut self, message: &BookMessage<'_>, ids: Ids) -> Step {
        if let Some(last) = self.waiting.back() {
            let known = last.last_id.unwrap_or(0);
            if ids.last <= known {
                return Step::Ignored;
            }
            let next = match self.rule {
                BookRule::PrevLinked => ids.first == known,
                _ => ids.first <= known.saturating_add(1),
            };
            if !next {
                self.forget_waiting();
            }
        }
        self.keep(message);
        Step::Buffered
    }

    fn keep(&mut self, message: &BookMessage<'_>) {
        self.waiting_rows += message.bids.len() + message.asks.len();
        self.waiting.push_back((*message).to_owned());
        // Dropping the oldest only asks for a newer snapshot.
        let most = if self.expecting { MAX_WAITING } else { MAX_UNASKED };
        while self.waiting.len() > most || (self.waiting_rows > MAX_WAITING_ROWS && self.waiting.len() > 1) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Option<BookUpdate> {
        let oldest = self.waiting.pop_front()?;
        self.waiting_rows -= oldest.bids.len() + oldest.asks.len();
        Some(oldest)
    }

    /// Gives the memory back as well: of many books few wait.
    fn forget_waiting(&mut self) {
        self.waiting = VecDeque::new();
        self.waiting_rows = 0;
    }

    fn replay(&mut self) -> Step {
        while let Some(update) = self.drop_oldest() {
            let message = borrowed(&update);
            let Some(ids) = Ids::of(self.rule, &message) else { continue };
            let applied = match self.fits(ids) {
                Fit::Old if mutants::is(Mutant::OldDiffsReplayed) => self.append(&message),
                Fit::Old => Ok(()),
                Fit::Next => self.append(&message),
                Fit::Missing => Err(Gap::Missing),
            };
            if let Err(gap) = applied {
                self.waiting_rows += update.bids.len() + update.asks.len();
                self.waiting.push_front(update);
                return self.gap(gap);
            }
        }
        self.forget_waiting();
        Step::Applied
    }
}

fn borrowed(update: &BookUpdate) -> BookMessage<'_> {
    BookMessage {
        snapshot: false,
        market: &update.market,
        bids: &update.bids,
        asks: &update.asks,
        first_id: update.first_id,
        last_id: update.last_id,
        prev_id: update.prev_id,
        time: update.time,
    }
}

#[derive(Clone, Copy)]
enum Fit {
    Old,
    Next,
    Missing,
}

/// The ids a rule judges by.
#[derive(Clone, Copy)]
struct Ids {
    /// Sequenced: the first id covered. Linked: the last id of the message before.
    first: u64,
    last: u64,
}

impl Ids {
    fn of(rule: BookRule, message: &BookMessage<'_>) -> Option<Self> {
        let last = message.last_id?;
        let first = match rule {
            // Without a range a message covers one id.
            BookRule::Sequenced => message.first_id.unwrap_or(last),
            BookRule::PrevLinked => message.prev_id?,
            BookRule::SnapshotOnly => return None,
        };
        Some(Self { first, last })
    }
}

#[cfg(test)]
mod tests;
