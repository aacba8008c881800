//! Price levels as whole numbers, reached by their tick: the form a [`Ladder`](super::Ladder) has unless numbers are too long.
//!
//! A price is a count of `unit`s, the greatest step that all prices seen have in common, so a venue may write trailing zeros,
//! change its tick size or mix scales: a price between the steps makes the unit finer. Ticks are turned into *ranks* of which
//! the lesser is the better on both sides. Ranks near the best stand in pages of [`PAGE`] amounts, made when first needed and
//! found through a table; far ones in a list. Nothing is ever rounded: what does not fit is a [`Misfit`].

use rust_decimal::Decimal;

use super::wide::MAX_LEVELS;
use crate::message::Level;
use crate::number::POWERS_OF_TEN;
use crate::order::Side;

/// Ranks per page, as a power of two.
const PAGE_BITS: u32 = 6;
/// Ranks per page.
const PAGE: usize = 1 << PAGE_BITS;
/// Pages that can be near: half a million ticks in a table of 32 KB at most.
const NEAR_PAGES: u64 = 8192;
/// No page.
const NONE: u32 = u32::MAX;

/// A number that this form cannot hold exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

#[derive(Clone, Debug)]
struct Page {
    /// Which ranks have a level.
    mask: u64,
    amounts: [u64; PAGE],
}

/// Exact division by a number that stays the same, without dividing: multiplication by the inverse of its odd part modulo
/// 2^64, then rotation by its power of two. The result is at most `u64::MAX / by` if and only if nothing remains.
#[derive(Clone, Copy, Debug)]
struct Divider {
    by: u64,
    inverse: u64,
    shift: u32,
    limit: u64,
}

impl Divider {
    /// `by` must not be zero.
    const fn new(by: u64) -> Self {
        let shift = by.trailing_zeros();
        let odd = by >> shift;
        // Newton's iteration doubles the correct bits; an odd number is its own inverse modulo 8.
        let mut inverse = odd;
        let mut bits = 3;
        while bits < 64 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
            bits *= 2;
        }
        Self { by, inverse, shift, limit: u64::MAX / by }
    }

    #[inline]
    const fn exact(self, number: u64) -> Option<u64> {
        let quotient = number.wrapping_mul(self.inverse).rotate_right(self.shift);
        if quotient <= self.limit { Some(quotient) } else { None }
    }
}

/// One side of a book.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    /// All ones on the bid side: the greatest tick becomes the least rank.
    flip: u64,
    scale: u32,
    amount_scale: u32,
    unit: Divider,
    len: usize,
    /// The least rank that has a level; the greatest number if none has.
    best: u64,
    /// Number of the first page in `table`.
    base: u64,
    /// Where in `pages` each near page is.
    table: Vec<u32>,
    /// One bit for each entry of `table` that names a page. A page in use is never empty.
    used: Vec<u64>,
    pages: Vec<Page>,
    free: Vec<u32>,
    /// Levels on pages beyond `base + NEAR_PAGES`: ranks in order, with their amounts. A list because a map's nodes come and go
    /// with its levels, and a message is to cost no allocation.
    far: Vec<(u64, u64)>,
    /// Memory for building anew.
    spare: Vec<(u64, u64)>,
}

impl Dense {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            flip: match side {
                Side::Buy => u64::MAX,
                Side::Sell => 0,
            },
            scale: 0,
            amount_scale: 0,
            unit: Divider::new(1),
            len: 0,
            best: u64::MAX,
            base: 0,
            table: Vec::new(),
            used: Vec::new(),
            pages: Vec::new(),
            free: Vec::new(),
            far: Vec::new(),
            spare: Vec::new(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Sets the amount at a positive price; zero removes the level. After a [`Misfit`] no level has changed.
    #[inline]
    pub(super) fn set(&mut self, level: &Level) -> Result<(), Misfit> {
        let (price, price_scale) = small(level.price).ok_or(Misfit)?;
        let (amount, amount_scale) = small(level.amount).ok_or(Misfit)?;
        if price_scale == self.scale
            && amount_scale == self.amount_scale
            && let Some(tick) = self.unit.exact(price)
        {
            self.put(tick ^ self.flip, amount);
            return Ok(());
        }
        self.set_other((price, price_scale), (amount, amount_scale))
    }

    /// Forgets all levels; keeps the memory, not the unit.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.used.clear();
        self.far.clear();
        self.free.clear();
        for (slot, page) in (0..).zip(&mut self.pages) {
            page.mask = 0;
            self.free.push(slot);
        }
        (self.len, self.best) = (0, u64::MAX);
        (self.unit, self.scale, self.amount_scale) = (Divider::new(1), 0, 0);
    }

    pub(super) fn best(&self) -> Option<Level> {
        let amount = self.amount_at(self.best)?;
        Some(self.level(self.best, amount))
    }

    /// All levels, best first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Level> {
        self.ranks().map(|(rank, amount)| self.level(rank, amount))
    }

    fn ranks(&self) -> impl Iterator<Item = (u64, u64)> {
        let near = self.used_from(0).flat_map(|(offset, page)| {
            let first = (self.base + offset as u64) << PAGE_BITS;
            let mut mask = page.mask;
            std::iter::from_fn(move || {
                let place = mask.trailing_zeros();
                // Clears the lowest bit.
                mask &= mask.checked_sub(1)?;
                Some((first + u64::from(place), *page.amounts.get(place as usize)?))
            })
        });
        near.chain(self.far.iter().copied())
    }

    /// The pages in use from an entry of the table on, with the numbers of their entries, in order.
    fn used_from(&self, offset: usize) -> impl Iterator<Item = (usize, &Page)> {
        let mut word = offset / 64;
        let mut bits = self.used.get(word).map_or(0, |bits| bits & (u64::MAX << (offset % 64)));
        std::iter::from_fn(move || {
            while bits == 0 {
                word += 1;
                bits = *self.used.get(word)?;
            }
            let offset = word * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            Some((offset, self.page(offset)?))
        })
    }

    #[inline]
    fn page(&self, offset: usize) -> Option<&Page> {
        self.pages.get(*self.table.get(offset)? as usize)
    }

    /// Where in the table the page of a rank stands, if the rank is near.
    #[inline]
    const fn offset(&self, rank: u64) -> usize {
        // A rank before the table's first becomes a number that no table reaches.
        (rank >> PAGE_BITS).wrapping_sub(self.base) as usize
    }

    fn amount_at(&self, rank: u64) -> Option<u64> {
        match self.page(self.offset(rank)) {
            Some(page) if page.mask >> (rank % PAGE as u64) & 1 == 0 => None,
            Some(page) => page.amounts.get(rank as usize % PAGE).copied(),
            None => {
                self.far_place(rank).ok().and_then(|place| self.far.get(place)).map(|(_, amount)| *amount)
            }
        }
    }

    fn level(&self, rank: u64, amount: u64) -> Level {
        Level {
            price: decimal((rank ^ self.flip) * self.unit.by, self.scale),
            amount: decimal(amount, self.amount_scale),
        }
    }

    #[inline]
    fn put(&mut self, rank: u64, amount: u64) {
        let offset = self.offset(rank);
        let slot = self.table.get(offset).map_or(NONE, |slot| *slot);
        let Some(page) = self.pages.get_mut(slot as usize) else { return self.put_elsewhere(rank, amount) };
        let place = rank as usize % PAGE;
        let Some(cell) = page.amounts.get_mut(place) else { return };
        let had = page.mask >> place & 1;
        let has = u64::from(amount != 0);
        *cell = amount;
        page.mask ^= (had ^ has) << place;
        self.len = self.len + has as usize - had as usize;
        if page.mask == 0 {
            self.drop_page(offset, slot);
        }
        if rank <= self.best {
            self.best = if has != 0 { rank } else { self.first_from(offset) };
        }
        if self.len > MAX_LEVELS {
            self.drop_worst();
        }
    }

    /// For a rank that has no page.
    #[cold]
    fn put_elsewhere(&mut self, rank: u64, amount: u64) {
        let number = rank >> PAGE_BITS;
        let is_far = number >= self.base + NEAR_PAGES && !self.table.is_empty();
        if amount == 0 {
            if is_far && let Ok(place) = self.far_place(rank) {
                self.far.remove(place);
                self.len -= 1;
                if rank == self.best {
                    self.best = self.first_from(self.table.len());
                }
            }
            return;
        }
        self.best = self.best.min(rank);
        if is_far {
            self.put_far(rank, amount);
            // Where the market has moved away from the table, the table follows.
            if (self.best >> PAGE_BITS) - self.base > NEAR_PAGES / 2 {
                self.rebase(self.best >> PAGE_BITS);
            }
        } else {
            if self.table.is_empty() {
                self.base = number;
            } else if number < self.base {
                self.rebase(number);
            }
            self.make_page(self.offset(rank));
            self.put(rank, amount);
        }
        if self.len > MAX_LEVELS {
            self.drop_worst();
        }
    }

    fn far_place(&self, rank: u64) -> Result<usize, usize> {
        self.far.binary_search_by_key(&rank, |(rank, _)| *rank)
    }

    fn put_far(&mut self, rank: u64, amount: u64) {
        match self.far_place(rank) {
            Ok(place) => self.far.iter_mut().skip(place).take(1).for_each(|level| level.1 = amount),
            Err(place) => {
                self.far.insert(place, (rank, amount));
                self.len += 1;
            }
        }
    }

    fn make_page(&mut self, offset: usize) {
        if self.table.len() <= offset {
            self.table.resize(offset + 1, NONE);
            self.used.resize(offset / 64 + 1, 0);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pages.push(Page { mask: 0, amounts: [0; PAGE] });
            self.pages.len() as u32 - 1
        });
        if let Some((entry, bits)) = self.table.get_mut(offset).zip(self.used.get_mut(offset / 64)) {
            *entry = slot;
            *bits |= 1 << (offset % 64);
        }
    }

    #[cold]
    fn drop_page(&mut self, offset: usize, slot: u32) {
        if let Some((entry, bits)) = self.table.get_mut(offset).zip(self.used.get_mut(offset / 64)) {
            *entry = NONE;
            *bits &= !(1 << (offset % 64));
            self.free.push(slot);
        }
    }

    /// The least rank that has a level on this entry of the table or behind.
    fn first_from(&self, offset: usize) -> u64 {
        if let Some((offset, page)) = self.used_from(offset).next() {
            return ((self.base + offset as u64) << PAGE_BITS) + u64::from(page.mask.trailing_zeros());
        }
        self.far.first().map_or(u64::MAX, |(rank, _)| *rank)
    }

    #[cold]
    fn drop_worst(&mut self) {
        if let Some(worst) = self.worst() {
            self.put(worst, 0);
        }
    }

    /// The greatest rank that has a level.
    fn worst(&self) -> Option<u64> {
        if let Some((rank, _)) = self.far.last() {
            return Some(*rank);
        }
        let (word, bits) = self.used.iter().enumerate().rev().find(|(_, bits)| **bits != 0)?;
        let offset = word * 64 + bits.ilog2() as usize;
        Some(((self.base + offset as u64) << PAGE_BITS) + u64::from(self.page(offset)?.mask.ilog2()))
    }

    /// Moves the table so that page `number`, the best's, is near its beginning, with as much room before it as the table is
    /// long, within bounds: so moving happens rarely.
    fn rebase(&mut self, number: u64) {
        let room = (self.table.len() as u64).clamp(8, NEAR_PAGES / 8);
        let mut ranks = std::mem::take(&mut self.spare);
        ranks.extend(self.ranks());
        self.build(number.saturating_sub(room), &ranks);
        ranks.clear();
        self.spare = ranks;
    }

    /// Builds everything anew from ranks in order.
    fn build(&mut self, base: u64, ranks: &[(u64, u64)]) {
        let (unit, scale, amount_scale) = (self.unit, self.scale, self.amount_scale);
        self.clear();
        (self.unit, self.scale, self.amount_scale) = (unit, scale, amount_scale);
        self.base = base;
        (self.len, self.best) = (0, ranks.first().map_or(u64::MAX, |(rank, _)| *rank));
        for &(rank, amount) in ranks {
            if rank >> PAGE_BITS >= base + NEAR_PAGES {
                self.put_far(rank, amount);
            } else {
                if self.page(self.offset(rank)).is_none() {
                    self.make_page(self.offset(rank));
                }
                self.put(rank, amount);
            }
        }
    }

    /// For numbers written otherwise than those before.
    #[cold]
    fn set_other(
        &mut self,
        (price, price_scale): (u64, u32),
        (amount, amount_scale): (u64, u32),
    ) -> Result<(), Misfit> {
        if price == 0 {
            return Err(Misfit);
        }
        if self.len == 0 {
            self.clear();
            (self.unit, self.scale, self.amount_scale) = (Divider::new(price), price_scale, amount_scale);
        }
        if price_scale > self.scale {
            self.raise_scale(price_scale)?;
        }
        let price = scaled(price, self.scale - price_scale)?;
        if amount_scale > self.amount_scale && amount != 0 {
            self.raise_amount_scale(amount_scale)?;
        }
        let amount = if amount == 0 { 0 } else { scaled(amount, self.amount_scale - amount_scale)? };
        let tick = match self.unit.exact(price) {
            Some(tick) => tick,
            // A price between the steps has no level to remove.
            None if amount == 0 => return Ok(()),
            None => {
                self.refine(greatest_common_divisor(self.unit.by, price));
                price / self.unit.by
            }
        };
        self.put(tick ^ self.flip, amount);
        Ok(())
    }

    fn raise_scale(&mut self, scale: u32) -> Result<(), Misfit> {
        let unit = scaled(self.unit.by, scale - self.scale)?;
        let ends = [self.best, self.worst().unwrap_or(self.best)];
        for rank in ends.into_iter().filter(|_| self.len > 0) {
            (rank ^ self.flip).checked_mul(unit).filter(|price| fits(*price)).ok_or(Misfit)?;
        }
        (self.unit, self.scale) = (Divider::new(unit), scale);
        Ok(())
    }

    fn raise_amount_scale(&mut self, scale: u32) -> Result<(), Misfit> {
        let places = scale - self.amount_scale;
        let raised: Result<Vec<_>, _> =
            self.ranks().map(|(rank, amount)| Ok((rank, scaled(amount, places)?))).collect();
        let raised = raised?;
        self.amount_scale = scale;
        self.build(self.base, &raised);
        Ok(())
    }

    fn refine(&mut self, unit: u64) {
        let factor = self.unit.by / unit;
        let ranks: Vec<_> =
            self.ranks().map(|(rank, amount)| (((rank ^ self.flip) * factor) ^ self.flip, amount)).collect();
        self.unit = Divider::new(unit);
        let first = ranks.first().map_or(0, |(rank, _)| *rank >> PAGE_BITS);
        self.build(first, &ranks);
    }
}

/// The digits and scale of a number that is not negative and has no more than 63 bits of digits.
#[inline]
fn small(number: Decimal) -> Option<(u64, u32)> {
    let parts = number.unpack();
    let digits = u64::from(parts.mid) << 32 | u64::from(parts.lo);
    (parts.hi == 0 && !parts.negative && fits(digits)).then_some((digits, parts.scale))
}

const fn fits(digits: u64) -> bool {
    digits <= i64::MAX as u64
}

fn decimal(digits: u64, scale: u32) -> Decimal {
    // Both were checked when they came in.
    Decimal::try_new(digits as i64, scale).unwrap_or_default()
}

fn scaled(digits: u64, places: u32) -> Result<u64, Misfit> {
    let factor = POWERS_OF_TEN.get(places as usize).ok_or(Misfit)?;
    digits.checked_mul(*factor).filter(|digits| fits(*digits)).ok_or(Misfit)
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
