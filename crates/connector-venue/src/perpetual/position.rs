//! One position, exactly: an amount and what it cost.

use connector_core::Decimal;
use connector_core::time::UnixNanos;

use crate::ledger::MOST_DIGITS;

/// A net position, or one leg of a hedged one.
///
/// Invariant: `cost` has the sign of `amount`, and is zero with it. Over all accounts both sums are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Base amount; negative = short.
    pub(crate) amount: Decimal,
    /// What it was entered for, quote; negative = short.
    pub(crate) cost: Decimal,
    /// Margin set aside for it alone, where it is held isolated.
    pub(crate) isolated: Decimal,
    /// Profit it has made so far by being closed, before fees.
    pub(crate) realised: Decimal,
    /// Fees paid less profit made since it was last flat: what closing it must still bring in.
    pub(crate) burden: Decimal,
    /// When it last changed.
    pub(crate) updated: UnixNanos,
}

/// What a fill did to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Profit made, before fees.
    pub(crate) realised: Decimal,
    /// Base amount closed, never negative.
    pub(crate) closed: Decimal,
    /// Base amount opened, never negative.
    pub(crate) opened: Decimal,
    /// The part of the isolated margin that belonged to what was closed.
    pub(crate) released: Decimal,
}

impl Position {
    /// The average price it was entered at; zero if there is none.
    pub(crate) fn entry_price(&self) -> Decimal {
        self.cost.checked_div(self.amount).unwrap_or_default().round_dp(MOST_DIGITS).normalize()
    }

    /// The price at which closing it brings in what it has cost, fees included; zero if there is none.
    pub(crate) fn break_even(&self) -> Decimal {
        (self.cost + self.burden)
            .checked_div(self.amount)
            .unwrap_or_default()
            .round_dp(MOST_DIGITS)
            .normalize()
    }

    /// Its value at a price, with its sign.
    pub(crate) fn notional(&self, price: Decimal) -> Decimal {
        self.amount * price
    }

    /// What closing it at a price would bring.
    pub(crate) fn unrealised(&self, price: Decimal) -> Decimal {
        self.amount * price - self.cost
    }

    /// Whether a trade of this signed amount makes it smaller, at least at first.
    pub(crate) fn is_reduced_by(&self, amount: Decimal) -> bool {
        !self.amount.is_zero()
            && !amount.is_zero()
            && self.amount.is_sign_negative() != amount.is_sign_negative()
    }

    /// Takes in a fill of a signed amount. What goes beyond a flat position opens one the other way at the fill's price.
    ///
    /// The wallet gains [`Change::realised`]; wallet minus cost then changes by exactly −amount × price, so that the two
    /// sides of a trade cancel out to the last digit however the average rounds.
    pub(crate) fn take(&mut self, amount: Decimal, price: Decimal, now: UnixNanos) -> Change {
        let mut change = Change::default();
        let mut rest = amount;
        if self.is_reduced_by(amount) {
            let held = self.amount.abs();
            change.closed = held.min(amount.abs());
            let closed = if amount.is_sign_negative() { -change.closed } else { change.closed };
            let whole = change.closed == held;
            let part = |of: Decimal| {
                if whole { of } else { (of / held * change.closed).round_dp(MOST_DIGITS) }
            };
            let cost = part(self.cost);
            change.released = part(self.isolated);
            change.realised = -closed * price - cost;
            self.amount += closed;
            self.cost -= cost;
            self.isolated -= change.released;
            self.realised += change.realised;
            self.burden = if whole { Decimal::ZERO } else { self.burden - change.realised };
            rest -= closed;
        }
        if !rest.is_zero() {
            self.amount += rest;
            self.cost += rest * price;
            change.opened = rest.abs();
        }
        self.amount = self.amount.normalize();
        self.updated = now;
        change
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn take(position: &mut Position, amount: &str, price: &str) -> Change {
        position.take(dec(amount), dec(price), UnixNanos(1))
    }

    #[test]
    fn opens_adds_reduces_and_flips() {
        let mut position = Position::default();
        assert_eq!(take(&mut position, "1", "100").opened, 1.into());
        take(&mut position, "2", "130");
        assert_eq!((position.entry_price(), position.unrealised(125.into())), (120.into(), 15.into()));
        let change = take(&mut position, "-1", "150");
        assert_eq!(
            (change.realised, change.closed, position.entry_price()),
            (30.into(), 1.into(), 120.into())
        );
        position.isolated = 10.into();
        let change = take(&mut position, "-5", "110");
        let expected =
            Change { realised: (-20).into(), closed: 2.into(), opened: 3.into(), released: 10.into() };
        assert_eq!(change, expected);
        assert_eq!((position.amount, position.entry_price()), ((-3).into(), 110.into()));
        assert_eq!((position.unrealised(100.into()), position.realised), (30.into(), 10.into()));
        assert_eq!(take(&mut position, "3", "90").realised, 60.into());
        assert_eq!((position.entry_price(), position.cost), (0.into(), 0.into()));
    }

    /// Observed: 0.002 bought at 91739.9 with a fee of 0.05 % breaks even at 91785.76995.
    #[test]
    fn breaks_even_above_its_fee() {
        let mut position = Position::default();
        take(&mut position, "0.002", "91739.9");
        position.burden += dec("0.0917399");
        assert_eq!(position.break_even(), dec("91785.76995"));
    }

    proptest! {
        #[test]
        fn what_one_side_gains_the_other_loses(
            fills in prop::collection::vec((-1000_i64..1000, 1_i64..1_000_000), 1..200),
        ) {
            let (mut one, mut other) = (Position::default(), Position::default());
            let mut wallets = Decimal::ZERO;
            let mut paid = Decimal::ZERO;
            for (amount, price) in fills {
                let (amount, price) = (Decimal::new(amount, 3), Decimal::new(price, 2));
                let (a, b) = (one.take(amount, price, UnixNanos(1)), other.take(-amount, price, UnixNanos(1)));
                wallets += a.realised + b.realised;
                paid += amount * price;
                prop_assert_eq!(one.amount, -other.amount);
                prop_assert_eq!(wallets - one.cost - other.cost, Decimal::ZERO);
                // Realised and unrealised together are the value less all that was paid.
                prop_assert_eq!(one.realised + one.unrealised(price), one.amount * price - paid);
                prop_assert!(!one.amount.is_zero() || one.cost.is_zero());
                prop_assert!((one.cost * one.amount) >= Decimal::ZERO);
            }
        }
    }
}
