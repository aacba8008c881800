//! The best levels of a book, for readers that neither wait for its writer nor make it wait.
//!
//! A [`LiveBook`] is written by the engine after each change and read by any number of threads, from the same memory, without
//! locks and without a copy for each reader. What is read belongs to one instant: a reader that was overtaken by a change reads
//! again (a *sequence lock*, over atomics).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};

use rust_decimal::Decimal;
use tokio::sync::Notify;

use crate::book::{Book, DepthError, Ladder, Unit, walk};
use crate::message::Level;
use crate::order::Side;

/// Most levels a side can be asked for.
pub const MAX_LIVE_DEPTH: usize = 64;

/// The best levels of one pair's book, kept current.
#[derive(Debug)]
pub struct LiveBook {
    /// Odd while a change is being written.
    sequence: AtomicU64,
    /// How often what is shown here has changed.
    changes: AtomicU64,
    live: AtomicBool,
    last_id: AtomicU64,
    bids: Rows,
    asks: Rows,
    changed: Notify,
    /// Whether anybody has begun to wait since the last notification: without, notifying would cost more than the change.
    awaited: AtomicBool,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Rows {
    len: AtomicUsize,
    rows: Box<[Row]>,
}

/// A level in the sixteen bytes of each of its two numbers.
#[derive(Debug, Default)]
struct Row([AtomicU64; 4]);

impl Row {
    /// Whether that changed anything.
    fn write(&self, level: &Level) -> bool {
        let mut changed = false;
        let ([price, amount], mut cells) =
            ([level.price, level.amount].map(|n| n.serialize()), self.0.iter());
        for word in [price, amount].as_flattened().as_chunks().0 {
            let word = u64::from_le_bytes(*word);
            if let Some(cell) = cells.next()
                && cell.load(Relaxed) != word
            {
                cell.store(word, Relaxed);
                changed = true;
            }
        }
        changed
    }

    fn read(&self) -> Level {
        let [a, b, c, d] = &self.0;
        let number = |low: &AtomicU64, high: &AtomicU64| {
            let mut bytes = [0; 16];
            let halves = [low.load(Relaxed).to_le_bytes(), high.load(Relaxed).to_le_bytes()];
            bytes.copy_from_slice(halves.as_flattened());
            Decimal::deserialize(bytes)
        };
        Level { price: number(a, b), amount: number(c, d) }
    }
}

impl Rows {
    fn new(depth: usize) -> Self {
        Self { len: AtomicUsize::new(0), rows: (0..depth).map(|_| Row::default()).collect() }
    }

    fn write(&self, ladder: &Ladder) -> bool {
        let (mut rows, mut changed) = (self.rows.iter(), false);
        ladder.each_best(self.rows.len(), |level| {
            changed |= rows.next().is_some_and(|row| row.write(&level));
        });
        let (before, len) = (self.len.load(Relaxed), self.rows.len() - rows.len());
        self.len.store(len, Relaxed);
        changed || len != before
    }

    fn iter(&self) -> impl Iterator<Item = Level> {
        self.rows.iter().take(self.len.load(Relaxed)).map(Row::read)
    }
}

impl LiveBook {
    pub(crate) fn new(depth: usize) -> Self {
        let depth = depth.clamp(1, MAX_LIVE_DEPTH);
        Self {
            sequence: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            live: AtomicBool::new(false),
            last_id: AtomicU64::new(0),
            bids: Rows::new(depth),
            asks: Rows::new(depth),
            changed: Notify::new(),
            awaited: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Shows what the book is now; `None` while it is not proven. For one writer at a time.
    pub(crate) fn show(&self, book: Option<&Book>) {
        let before = self.sequence.load(Relaxed);
        self.sequence.store(before.wrapping_add(1), Relaxed);
        // No reader can see what is written below without seeing the odd number.
        fence(Release);
        let mut changed = self.live.swap(book.is_some(), Relaxed) != book.is_some();
        self.last_id.store(book.and_then(Book::last_id).unwrap_or(0), Relaxed);
        match book {
            Some(book) => {
                changed |= self.bids.write(book.bids());
                changed |= self.asks.write(book.asks());
            }
            None => {
                self.bids.len.store(0, Relaxed);
                self.asks.len.store(0, Relaxed);
            }
        }
        self.sequence.store(before.wrapping_add(2), Release);
        if changed {
            // In one order with what a waiter does: whoever does not see this change is seen waiting.
            self.changes.fetch_add(1, SeqCst);
            self.notify();
        }
    }

    fn notify(&self) {
        if self.awaited.load(SeqCst) {
            self.awaited.store(false, SeqCst);
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn close(&self) {
        self.show(None);
        self.closed.store(true, SeqCst);
        self.notify();
    }

    pub(crate) fn depth(&self) -> usize {
        self.bids.rows.len()
    }

    /// Reads as often as it takes to read between two changes.
    fn read<R>(&self, look: impl Fn(&Self) -> R) -> R {
        loop {
            let before = self.sequence.load(Acquire);
            if before.is_multiple_of(2) {
                let result = look(self);
                fence(Acquire);
                if self.sequence.load(Relaxed) == before {
                    return result;
                }
            }
            // The writer may have lost its processor in the middle.
            std::thread::yield_now();
        }
    }
}

/// A reader of one pair's best levels. Cheap to clone; all clones read the same memory.
///
/// Reading never blocks, and however slow a reader is, nobody waits for it: what it missed it does not see, only what is.
#[derive(Clone, Debug)]
pub struct BookWatch {
    book: Arc<LiveBook>,
    seen: u64,
}

impl BookWatch {
    pub(crate) fn new(book: Arc<LiveBook>) -> Self {
        Self { book, seen: 0 }
    }

    /// Whether the book is proven equal to the venue's. While it is not, no levels are shown.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.book.live.load(Acquire)
    }

    /// The venue's update id of what is shown; `None` while the book is not live.
    #[must_use]
    pub fn last_id(&self) -> Option<u64> {
        self.book.read(|book| book.live.load(Relaxed).then(|| book.last_id.load(Relaxed)))
    }

    /// Best bid and best ask, of the same instant.
    #[must_use]
    pub fn best(&self) -> (Option<Level>, Option<Level>) {
        self.book.read(|book| (book.bids.iter().next(), book.asks.iter().next()))
    }

    /// Replaces what is in `bids` and `asks` by the levels shown, best first, of the same instant; answers with the venue's update
    /// id, `None` while the book is not live. Allocates nothing once the buffers have room for the depth watched.
    pub fn levels(&self, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Option<u64> {
        let buffers = std::cell::RefCell::new((bids, asks));
        self.book.read(|book| {
            let (bids, asks) = &mut *buffers.borrow_mut();
            bids.clear();
            asks.clear();
            bids.extend(book.bids.iter());
            asks.extend(book.asks.iter());
            book.live.load(Relaxed).then(|| book.last_id.load(Relaxed))
        })
    }

    /// The worst price an order of `side` over `amount` would trade at now.
    ///
    /// # Errors
    /// See [`DepthError`]; there is no more than the depth watched.
    pub fn price_for_volume(&self, side: Side, amount: Decimal) -> Result<Decimal, DepthError> {
        self.walk(side, amount).map(|(price, _)| price)
    }

    /// What an order of `side` over `amount` would cost or bring now, in the quote asset. Exact.
    ///
    /// # Errors
    /// As [`price_for_volume`](Self::price_for_volume).
    pub fn quote_for_volume(&self, side: Side, amount: Decimal) -> Result<Decimal, DepthError> {
        self.walk(side, amount).map(|(_, quote)| quote)
    }

    fn walk(&self, side: Side, amount: Decimal) -> Result<(Decimal, Decimal), DepthError> {
        self.book.read(|book| {
            let taken = match side {
                Side::Buy => &book.asks,
                Side::Sell => &book.bids,
            };
            walk(taken.iter(), amount, Unit::Base).map(|walked| (walked.price, walked.quote))
        })
    }

    /// Waits until what is shown has changed since this was last called (or since the watch was made). Changes in between are
    /// one. `false` once nothing more can come: the pair is not followed any more, or the connector is gone.
    pub async fn changed(&mut self) -> bool {
        loop {
            let changes = self.book.changes.load(SeqCst);
            if changes != self.seen {
                self.seen = changes;
                return true;
            }
            // Waiting begins before looking again, so that no change falls in between.
            let mut notified = pin!(self.book.changed.notified());
            notified.as_mut().enable();
            self.book.awaited.store(true, SeqCst);
            if self.book.changes.load(SeqCst) != self.seen {
                continue;
            }
            if self.book.closed.load(SeqCst) {
                return false;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests;
