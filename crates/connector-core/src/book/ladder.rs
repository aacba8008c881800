//! One side of a book: price levels in order.

use rust_decimal::Decimal;

use crate::message::Level;
use crate::order::Side;

/// Most levels kept per side; beyond, the worst is dropped. Far above what any venue sends, so that memory stays bounded.
const MAX_LEVELS: usize = 50_000;

#[derive(Clone, Copy, Debug)]
struct Rung {
    /// The price as a whole number at the ladder's scale, negative on the ask side: the greater, the better.
    rank: i128,
    level: Level,
}

/// One side of a book, sorted by price. Equal prices of different scales are one level.
///
/// Stored worst first: nearly all changes are near the best price, where inserting moves little.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    scale: u32,
    rungs: Vec<Rung>,
}

impl Ladder {
    /// An empty ladder of bids ([`Side::Buy`]) or asks ([`Side::Sell`]).
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self { side, scale: 0, rungs: Vec::new() }
    }

    /// Sets the amount at a price; zero removes the level. `None`, and nothing changed, if the price is not positive, the
    /// amount is negative, or the price cannot be held exactly beside the others.
    pub fn set(&mut self, level: Level) -> Option<()> {
        if level.price <= Decimal::ZERO || level.amount.is_sign_negative() && !level.amount.is_zero() {
            return None;
        }
        if level.price.scale() > self.scale {
            self.refine(level.price.scale())?;
        }
        let rank = self.rank(level.price)?;
        let place = match self.rungs.last() {
            // The best price is what changes most, and snapshots arrive in order.
            Some(best) if best.rank == rank => Ok(self.rungs.len() - 1),
            Some(best) if best.rank < rank => Err(self.rungs.len()),
            _ => self.rungs.binary_search_by_key(&rank, |rung| rung.rank),
        };
        match place {
            Ok(place) if level.amount.is_zero() => {
                self.rungs.remove(place);
            }
            Ok(place) => {
                if let Some(rung) = self.rungs.get_mut(place) {
                    rung.level = level;
                }
            }
            Err(_) if level.amount.is_zero() => {}
            Err(place) => {
                self.rungs.insert(place, Rung { rank, level });
                if self.rungs.len() > MAX_LEVELS {
                    self.rungs.remove(0);
                }
            }
        }
        Some(())
    }

    /// Removes all levels; keeps the memory.
    pub fn clear(&mut self) {
        self.rungs.clear();
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<&Level> {
        self.rungs.last().map(|rung| &rung.level)
    }

    /// All levels, best first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Level> + ExactSizeIterator {
        self.rungs.iter().rev().map(|rung| &rung.level)
    }

    /// How many levels there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    fn rank(&self, price: Decimal) -> Option<i128> {
        let rank = price.mantissa().checked_mul(power_of_ten(self.scale.checked_sub(price.scale())?)?)?;
        Some(match self.side {
            Side::Buy => rank,
            Side::Sell => -rank,
        })
    }

    fn refine(&mut self, scale: u32) -> Option<()> {
        let factor = power_of_ten(scale.checked_sub(self.scale)?)?;
        // The outermost ranks are the largest in size: if they fit, all do.
        for rung in [self.rungs.first(), self.rungs.last()].into_iter().flatten() {
            rung.rank.checked_mul(factor)?;
        }
        for rung in &mut self.rungs {
            rung.rank = rung.rank.saturating_mul(factor);
        }
        self.scale = scale;
        Some(())
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn level(price: &str, amount: &str) -> Level {
        Level { price: price.parse().unwrap(), amount: amount.parse().unwrap() }
    }

    #[test]
    fn equal_prices_of_different_scales_are_one_level() {
        let mut asks = Ladder::new(Side::Sell);
        for (price, amount) in [("10", "1"), ("10.000000000000000001", "2"), ("9.5", "3"), ("10.00", "0")] {
            asks.set(level(price, amount)).unwrap();
        }
        let prices: Vec<_> = asks.iter().map(|level| level.price.to_string()).collect();
        assert_eq!(prices, ["9.5", "10.000000000000000001"]);
    }

    #[test]
    fn refuses_what_is_no_level_and_stays_as_it_was() {
        let mut bids = Ladder::new(Side::Buy);
        bids.set(level("79228162514264337593543950335", "1")).unwrap();
        for (price, amount) in [("0", "1"), ("-1", "1"), ("1", "-1"), ("0.0000000000000000000000000001", "1")]
        {
            assert_eq!(bids.set(level(price, amount)), None, "{price} {amount}");
        }
        assert_eq!(bids.len(), 1);
    }

    proptest! {
        #[test]
        fn equals_a_sorted_map(
            rows in prop::collection::vec((1_i64..200, 0_u32..4, 0_i64..3), 0..300),
            buy in any::<bool>(),
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let mut ladder = Ladder::new(side);
            let mut oracle = BTreeMap::new();
            for (price, scale, amount) in rows {
                let level = Level { price: Decimal::new(price, scale), amount: Decimal::from(amount) };
                ladder.set(level).unwrap();
                if amount == 0 { oracle.remove(&level.price); } else { oracle.insert(level.price, level.amount); }
            }
            let mut expected: Vec<_> = oracle.into_iter().collect();
            if buy { expected.reverse(); }
            let found: Vec<_> = ladder.iter().map(|level| (level.price, level.amount)).collect();
            prop_assert_eq!(ladder.best().map(|level| level.price), expected.first().map(|(price, _)| *price));
            prop_assert_eq!(found, expected);
        }
    }
}
