//! The arithmetic of one position: amounts, cost and profit.

use rust_decimal::Decimal;

use super::vocabulary::PositionAction;
use crate::number::product;

/// Decimals that the cost of a closed part is rounded to. See [`super`] for what that can and cannot change.
const COST_PLACES: u32 = 12;

/// A part of a fill that does one thing to a position. A fill that turns a position round has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionPart {
    /// Whether it made the position larger or smaller.
    pub action: PositionAction,
    /// Base amount, positive.
    pub amount: Decimal,
    /// The profit it realised, in the quote asset and before fees; negative = a loss, zero for opening parts. `None` if the
    /// price the closed amount was entered at is not known.
    pub realised: Option<Decimal>,
}

/// A position as a sum: what it amounts to, and what was paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Base amount, negative = short.
    pub(super) amount: Decimal,
    /// Σ price × signed amount of what is open, so negative for a short. `None` if the entry price is not known.
    pub(super) cost: Option<Decimal>,
    /// Profit realised by fills, in the quote asset and before fees.
    pub(super) realised: Decimal,
    /// Base amount closed whose entry price was not known, so that it is not in `realised`.
    pub(super) unvalued: Decimal,
}

impl State {
    pub(super) const FLAT: Self = Self {
        amount: Decimal::ZERO,
        cost: Some(Decimal::ZERO),
        realised: Decimal::ZERO,
        unvalued: Decimal::ZERO,
    };

    /// Average price of what is open. `None` if nothing is, or it is not known.
    pub(super) fn entry_price(&self) -> Option<Decimal> {
        self.cost?.checked_div(self.amount).map(|price| price.normalize())
    }

    /// Sets amount and entry price to what a report says. Without a price the known one stands, if the amount does.
    pub(super) fn replace(&mut self, amount: Decimal, entry_price: Option<Decimal>) {
        let known = if amount == self.amount { self.cost } else { None };
        self.cost = match entry_price {
            _ if amount.is_zero() => Some(Decimal::ZERO),
            // The venue's price is rounded; where it means the same, ours is the better one.
            Some(price) if known.is_some() && self.rounds_to(price) => known,
            Some(price) => times(price, amount),
            None => known,
        };
        self.amount = amount;
    }

    /// Whether `price` is the entry price, as far as its digits go.
    pub(super) fn rounds_to(&self, price: Decimal) -> bool {
        let unit = Decimal::new(1, price.scale());
        self.entry_price().is_some_and(|known| (known - price).abs() < unit)
    }

    /// Applies a trade of `amount` (signed) at `price`: the part that closes first, then the part that opens.
    pub(super) fn trade(&mut self, amount: Decimal, price: Decimal) -> Parts {
        let against = !self.amount.is_zero() && self.amount.is_sign_negative() != amount.is_sign_negative();
        let closing = if against { self.amount.abs().min(amount.abs()) } else { Decimal::ZERO };
        let mut parts = [None, None];
        if !closing.is_zero() {
            parts[0] = Some(self.close(closing, price));
        }
        let opening = amount.abs() - closing;
        if !opening.is_zero() {
            let opened = if amount.is_sign_negative() { -opening } else { opening };
            self.cost = self.cost.zip(times(price, opened)).and_then(|(known, more)| known.checked_add(more));
            self.amount += opened;
            let realised = Some(Decimal::ZERO);
            parts[1] = Some(PositionPart { action: PositionAction::Open, amount: opening, realised });
        }
        parts
    }

    fn close(&mut self, closing: Decimal, price: Decimal) -> PositionPart {
        let closed = if self.amount.is_sign_negative() { -closing } else { closing };
        let all = closing == self.amount.abs();
        let share = |cost: Decimal| {
            if all {
                return Some(cost);
            }
            let share = cost.checked_div(self.amount)?.checked_mul(closed)?;
            Some(share.round_dp(COST_PLACES.max(cost.scale())))
        };
        let valued = self.cost.and_then(|cost| {
            let share = share(cost)?;
            Some((cost.checked_sub(share)?, times(price, closed)?.checked_sub(share)?))
        });
        let realised = valued.map(|(_, profit)| profit.normalize());
        match realised {
            Some(profit) => self.realised = self.realised.saturating_add(profit),
            None => self.unvalued = self.unvalued.saturating_add(closing),
        }
        self.amount -= closed;
        self.cost = if all { Some(Decimal::ZERO) } else { valued.map(|(cost, _)| cost) };
        PositionPart { action: PositionAction::Close, amount: closing, realised }
    }

    /// What closing everything at `mark` would bring, in the quote asset and before fees.
    pub(super) fn unrealised(&self, mark: Decimal) -> Option<Decimal> {
        let value = times(mark, self.amount)?;
        value.checked_sub(self.cost?).map(|profit| profit.normalize())
    }
}

/// The closing part, if there is one, and the opening part.
pub(super) type Parts = [Option<PositionPart>; 2];

/// The product, exact if it can be. `None` if it is too large for the type.
fn times(a: Decimal, b: Decimal) -> Option<Decimal> {
    product(a, b).or_else(|| a.checked_mul(b))
}
