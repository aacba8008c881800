//! One side of a book: price levels in order.

use rust_decimal::Decimal;

use super::dense::Dense;
use super::wide::Wide;
use crate::message::Level;
use crate::order::Side;

/// One side of a book, sorted by price. Equal prices of different scales are one level.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Whole numbers of 63 bits: what markets look like.
    Dense(Dense),
    /// Anything a [`Decimal`] holds: from the first number that is too long, until the ladder is cleared.
    Wide(Wide),
}

impl Ladder {
    /// An empty ladder of bids ([`Side::Buy`]) or asks ([`Side::Sell`]).
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self { side, form: Form::Dense(Dense::new(side)) }
    }

    /// Sets the amount at each price; zero removes the level. `Err` with the first level that cannot be held: its price is not
    /// positive, its amount is negative, or its price cannot be held exactly beside the others. Those before it are set.
    pub fn set_all<'l>(&mut self, levels: impl IntoIterator<Item = &'l Level>) -> Result<(), Level> {
        let mut levels = levels.into_iter();
        if let Form::Dense(dense) = &mut self.form {
            let Some(misfit) = levels.find(|level| dense.set(level).is_err()) else { return Ok(()) };
            self.set_wide(misfit)?;
        }
        levels.try_for_each(|level| self.set(level))
    }

    /// Sets the amount at one price. See [`set_all`](Self::set_all).
    pub fn set(&mut self, level: &Level) -> Result<(), Level> {
        if let Form::Dense(dense) = &mut self.form
            && dense.set(level).is_ok()
        {
            return Ok(());
        }
        self.set_wide(level)
    }

    #[cold]
    fn set_wide(&mut self, level: &Level) -> Result<(), Level> {
        if level.price <= Decimal::ZERO || level.amount < Decimal::ZERO {
            return Err(*level);
        }
        if let Form::Dense(dense) = &self.form {
            let mut wide = Wide::new(self.side);
            let mut levels: Vec<Level> = dense.iter().collect();
            levels.reverse();
            levels.iter().chain([level]).try_for_each(|level| wide.set(*level)).ok_or(*level)?;
            self.form = Form::Wide(wide);
            return Ok(());
        }
        let Form::Wide(wide) = &mut self.form else { return Ok(()) };
        wide.set(*level).ok_or(*level)
    }

    /// Removes all levels; keeps the memory.
    pub fn clear(&mut self) {
        match &mut self.form {
            Form::Dense(dense) => dense.clear(),
            Form::Wide(_) => self.form = Form::Dense(Dense::new(self.side)),
        }
    }

    /// The best level.
    #[inline]
    #[must_use]
    pub fn best(&self) -> Option<Level> {
        match &self.form {
            Form::Dense(dense) => dense.best(),
            Form::Wide(wide) => wide.best(),
        }
    }

    /// All levels, best first.
    pub fn iter(&self) -> impl Iterator<Item = Level> {
        let (dense, wide) = match &self.form {
            Form::Dense(dense) => (Some(dense), None),
            Form::Wide(wide) => (None, Some(wide)),
        };
        dense.into_iter().flat_map(Dense::iter).chain(wide.into_iter().flat_map(Wide::iter))
    }

    /// The best levels, best first, at most `depth`.
    #[inline]
    pub(super) fn each_best(&self, depth: usize, mut take: impl FnMut(Level)) {
        match &self.form {
            Form::Dense(dense) if depth == 1 => dense.best().into_iter().for_each(take),
            Form::Dense(dense) => dense.iter().take(depth).for_each(take),
            Form::Wide(wide) => wide.iter().take(depth).for_each(&mut take),
        }
    }

    /// How many levels there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.form {
            Form::Dense(dense) => dense.len(),
            Form::Wide(wide) => wide.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
