//! The local order book: exact levels, questions about them, and the proof that they are the venue's.
//!
//! [`Book`] holds levels and knows nothing of continuity; [`BookSync`] decides what may be applied and when the book is proven.

mod dense;
mod ladder;
mod live;
mod sync;
mod wide;

use rust_decimal::Decimal;

pub use ladder::Ladder;
pub use live::{BookWatch, LiveBook, MAX_LIVE_DEPTH};
pub use sync::{BookStatus, BookSync, Gap, Step};

use crate::message::{BookMessage, Level};
use crate::order::Side;
use crate::time::UnixNanos;

/// A row that cannot be held: its price is not positive, its amount is negative, or the price needs too many digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a book level at price {} with amount {} cannot be held", .0.price, .0.amount)]
pub struct BadLevel(pub Level);

/// Why a question about a book has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DepthError {
    /// The side asked about has less than that.
    #[error("the book holds only {available} on that side")]
    Insufficient {
        /// Everything there is, in the unit of the question.
        available: Decimal,
    },
    /// The amount asked about is not positive.
    #[error("the amount must be positive")]
    NotPositive,
    /// The answer has more digits than a [`Decimal`] holds.
    #[error("the result has too many digits")]
    TooLarge,
}

/// An order book. Prices are quote per base, amounts in the base asset.
///
/// A question about a [`Side::Buy`] is answered from the asks such an order would take, and the other way round.
#[derive(Clone, Debug)]
pub struct Book {
    bids: Ladder,
    asks: Ladder,
    last_id: Option<u64>,
    time: Option<UnixNanos>,
}

impl Default for Book {
    fn default() -> Self {
        Self { bids: Ladder::new(Side::Buy), asks: Ladder::new(Side::Sell), last_id: None, time: None }
    }
}

impl Book {
    /// Replaces all levels. Does not judge ids; see [`BookSync`].
    ///
    /// # Errors
    /// A row cannot be held; the book is then a mixture and must not be used before the next snapshot.
    pub fn apply_snapshot(&mut self, message: &BookMessage<'_>) -> Result<(), BadLevel> {
        self.bids.clear();
        self.asks.clear();
        (self.last_id, self.time) = (None, None);
        self.bids.set_all(message.bids).map_err(BadLevel)?;
        self.asks.set_all(message.asks).map_err(BadLevel)?;
        (self.last_id, self.time) = (message.last_id, message.time);
        Ok(())
    }

    /// Replaces the levels named, both sides at once. Does not judge ids; see [`BookSync`].
    ///
    /// # Errors
    /// As [`apply_snapshot`](Self::apply_snapshot).
    pub fn apply_diff(&mut self, message: &BookMessage<'_>) -> Result<(), BadLevel> {
        self.bids.set_all(message.bids).map_err(BadLevel)?;
        self.asks.set_all(message.asks).map_err(BadLevel)?;
        self.last_id = message.last_id.or(self.last_id);
        self.time = message.time.or(self.time);
        Ok(())
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        (self.last_id, self.time) = (None, None);
    }

    /// The update id the book stands at.
    #[must_use]
    pub const fn last_id(&self) -> Option<u64> {
        self.last_id
    }

    /// The venue's time of the last message that carried one.
    #[must_use]
    pub const fn time(&self) -> Option<UnixNanos> {
        self.time
    }

    /// The bids.
    #[must_use]
    pub const fn bids(&self) -> &Ladder {
        &self.bids
    }

    /// The asks.
    #[must_use]
    pub const fn asks(&self) -> &Ladder {
        &self.asks
    }

    /// The best bid.
    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best()
    }

    /// The best ask.
    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best()
    }

    /// Midway between the best prices; `None` if a side is empty.
    #[must_use]
    pub fn mid_price(&self) -> Option<Decimal> {
        let sum = self.best_bid()?.price.checked_add(self.best_ask()?.price)?;
        sum.checked_div(Decimal::TWO)
    }

    /// Whether the best bid is not below the best ask: no such book rests at a venue that matches.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.best_bid(), self.best_ask()), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }

    /// The best `depth` bids and asks, best first.
    #[must_use]
    pub fn to_levels(&self, depth: usize) -> (Vec<Level>, Vec<Level>) {
        (self.bids.iter().take(depth).collect(), self.asks.iter().take(depth).collect())
    }

    /// The worst price an order of `side` over `amount` would trade at now.
    ///
    /// # Errors
    /// See [`DepthError`].
    pub fn price_for_volume(&self, side: Side, amount: Decimal) -> Result<Decimal, DepthError> {
        self.walk(side, amount, Unit::Base).map(|walked| walked.price)
    }

    /// The worst price an order of `side` worth `quote` would trade at now.
    ///
    /// # Errors
    /// See [`DepthError`].
    pub fn price_for_quote_volume(&self, side: Side, quote: Decimal) -> Result<Decimal, DepthError> {
        self.walk(side, quote, Unit::Quote).map(|walked| walked.price)
    }

    /// What an order of `side` over `amount` would cost or bring now, in the quote asset. Exact.
    ///
    /// # Errors
    /// See [`DepthError`].
    pub fn quote_for_volume(&self, side: Side, amount: Decimal) -> Result<Decimal, DepthError> {
        self.walk(side, amount, Unit::Base).map(|walked| walked.quote)
    }

    /// The average price of an order of `side` over `amount`, to 28 digits.
    ///
    /// # Errors
    /// See [`DepthError`].
    pub fn vwap(&self, side: Side, amount: Decimal) -> Result<Decimal, DepthError> {
        self.quote_for_volume(side, amount)?.checked_div(amount).ok_or(DepthError::TooLarge)
    }

    /// The amount an order of `side` with limit `price` would trade now; zero if none.
    ///
    /// # Errors
    /// [`DepthError::TooLarge`] only.
    pub fn volume_to_price(&self, side: Side, price: Decimal) -> Result<Decimal, DepthError> {
        let taken = self.takes(side).iter().take_while(|level| match side {
            Side::Buy => level.price <= price,
            Side::Sell => level.price >= price,
        });
        let sum = taken.map(|level| level.amount).try_fold(Decimal::ZERO, Decimal::checked_add);
        sum.ok_or(DepthError::TooLarge)
    }

    const fn takes(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        }
    }

    fn walk(&self, side: Side, wanted: Decimal, unit: Unit) -> Result<Walked, DepthError> {
        walk(self.takes(side).iter(), wanted, unit)
    }
}

/// Takes levels, best first, until they are worth `wanted`.
fn walk(levels: impl Iterator<Item = Level>, wanted: Decimal, unit: Unit) -> Result<Walked, DepthError> {
    if wanted <= Decimal::ZERO {
        return Err(DepthError::NotPositive);
    }
    let (mut base, mut quote) = (Decimal::ZERO, Decimal::ZERO);
    for level in levels {
        let left = wanted - if unit == Unit::Base { base } else { quote };
        let value = level.price.checked_mul(level.amount).ok_or(DepthError::TooLarge)?;
        match unit {
            Unit::Base if level.amount >= left => {
                let last = level.price.checked_mul(left).ok_or(DepthError::TooLarge)?;
                let quote = quote.checked_add(last).ok_or(DepthError::TooLarge)?;
                return Ok(Walked { price: level.price, quote });
            }
            Unit::Quote if value >= left => return Ok(Walked { price: level.price, quote: wanted }),
            _ => {
                base = base.checked_add(level.amount).ok_or(DepthError::TooLarge)?;
                quote = quote.checked_add(value).ok_or(DepthError::TooLarge)?;
            }
        }
    }
    Err(DepthError::Insufficient { available: if unit == Unit::Base { base } else { quote } })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Base,
    Quote,
}

struct Walked {
    price: Decimal,
    quote: Decimal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Market;

    fn levels(rows: &[(&str, &str)]) -> Vec<Level> {
        let one = |(price, amount): &(&str, &str)| Level {
            price: price.parse().unwrap(),
            amount: amount.parse().unwrap(),
        };
        rows.iter().map(one).collect()
    }

    fn book() -> Book {
        let market = Market::Symbol("X".into());
        let (bids, asks) =
            (levels(&[("99.5", "2"), ("99", "1")]), levels(&[("100", "1"), ("101", "2"), ("103", "1")]));
        let mut book = Book::default();
        let message = BookMessage {
            snapshot: true,
            market: &market,
            bids: &bids,
            asks: &asks,
            first_id: None,
            last_id: Some(7),
            prev_id: None,
            time: None,
        };
        book.apply_snapshot(&message).unwrap();
        book
    }

    #[test]
    fn answers_exactly_or_says_what_is_missing() {
        let (book, one) = (book(), Decimal::ONE);
        assert_eq!(book.mid_price(), Some(Decimal::new(9975, 2)));
        assert_eq!(book.price_for_volume(Side::Buy, one), Ok(Decimal::ONE_HUNDRED));
        assert_eq!(book.price_for_volume(Side::Buy, Decimal::new(10001, 4)), Ok(Decimal::from(101)));
        assert_eq!(book.quote_for_volume(Side::Buy, Decimal::TWO), Ok(Decimal::from(201)));
        assert_eq!(book.vwap(Side::Buy, Decimal::TWO), Ok(Decimal::new(1005, 1)));
        assert_eq!(book.vwap(Side::Sell, Decimal::from(3)), Ok(Decimal::from(298) / Decimal::from(3)));
        assert_eq!(book.price_for_quote_volume(Side::Sell, Decimal::from(200)), Ok(Decimal::from(99)));
        assert_eq!(book.volume_to_price(Side::Buy, Decimal::from(102)), Ok(Decimal::from(3)));
        assert_eq!(book.volume_to_price(Side::Sell, Decimal::from(100)), Ok(Decimal::ZERO));
        let short = DepthError::Insufficient { available: Decimal::from(3) };
        assert_eq!(book.vwap(Side::Sell, Decimal::from(4)), Err(short));
        assert_eq!(book.vwap(Side::Sell, Decimal::ZERO), Err(DepthError::NotPositive));
    }

    #[test]
    fn depth_is_best_first() {
        let (bids, asks) = book().to_levels(1);
        assert_eq!((bids, asks), (levels(&[("99.5", "2")]), levels(&[("100", "1")])));
    }
}
