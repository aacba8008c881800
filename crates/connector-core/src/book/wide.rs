//! Price levels of any size, sorted: what a [`Ladder`](super::Ladder) falls back to.

use rust_decimal::Decimal;

use crate::message::Level;
use crate::order::Side;

/// Most levels kept per side; beyond, the worst is dropped. Far above what any venue sends, so that memory stays bounded.
pub(super) const MAX_LEVELS: usize = 50_000;

#[derive(Clone, Copy, Debug)]
struct Rung {
    /// The price as a whole number at the ladder's scale, negative on the ask side: the greater, the better.
    rank: i128,
    level: Level,
}

/// One side of a book. Stored worst first: nearly all changes are near the best price, where inserting moves little.
#[derive(Clone, Debug)]
pub(super) struct Wide {
    side: Side,
    scale: u32,
    rungs: Vec<Rung>,
}

impl Wide {
    pub(super) const fn new(side: Side) -> Self {
        Self { side, scale: 0, rungs: Vec::new() }
    }

    /// Sets the amount at a positive price; zero removes the level. `None`, and nothing changed, if the price cannot be held
    /// exactly beside the others.
    pub(super) fn set(&mut self, level: Level) -> Option<()> {
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

    pub(super) fn best(&self) -> Option<Level> {
        self.rungs.last().map(|rung| rung.level)
    }

    /// All levels, best first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Level> {
        self.rungs.iter().rev().map(|rung| rung.level)
    }

    pub(super) const fn len(&self) -> usize {
        self.rungs.len()
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
