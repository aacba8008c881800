//! Margin: what positions of perpetual contracts must be backed by.
//!
//! Linear contracts: notional, margin, profit and fees are in the collateral asset, prices in the quote asset, which is worth as
//! much. Everything is exact but quotients, which are rounded to [`PLACES`] decimals, up where they are what somebody must
//! have.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::message::LeverageBracket;
use crate::number::{product, product_up};
use crate::pair::Asset;
use crate::position::PositionSide;

/// Decimals of quotients: more than any venue keeps of its collateral.
const PLACES: u32 = 12;

/// What the budget needs to know of a contract's positions, for orders on one side of it.
#[derive(Clone, Copy, Debug)]
pub struct MarginTerms<'a> {
    /// The asset that margin, profit and fees are in.
    pub collateral: &'a Asset,
    /// Value ÷ initial margin; positive.
    pub leverage: Decimal,
    /// The contract's brackets, smallest notional first; empty if they are not known.
    pub brackets: &'a [LeverageBracket],
    /// Base amount that orders on this side close before they open anything: the position the other way, less what open
    /// orders on this side are going to close.
    pub closable: Decimal,
    /// Average price that position was entered at.
    pub entry_price: Option<Decimal>,
    /// Base amount that is open this way: the position, and what open orders on this side are going to open.
    pub open: Decimal,
    /// The mark price, quote per base.
    pub mark_price: Option<Decimal>,
}

/// Margin that a notional must be backed by when it is opened. `None` if it cannot be expressed, or the leverage is not positive.
#[must_use]
pub fn initial_margin(notional: Decimal, leverage: Decimal) -> Option<Decimal> {
    if leverage <= Decimal::ZERO {
        return None;
    }
    up(notional.checked_div(leverage)?)
}

/// Margin below which a position of a notional is liquidated. `None` if the brackets do not say.
#[must_use]
pub fn maintenance_margin(notional: Decimal, brackets: &[LeverageBracket]) -> Option<Decimal> {
    let bracket = bracket_of(notional, brackets)?;
    up(product_up(notional, bracket.maintenance_ratio)?.checked_sub(bracket.deduction)?)
}

/// The largest notional that may be held at a leverage. `None` if there is no bound, or the brackets are not known.
#[must_use]
pub fn max_notional(leverage: Decimal, brackets: &[LeverageBracket]) -> Option<Decimal> {
    let mut allowed = brackets.iter().filter(|bracket| bracket.max_leverage >= leverage);
    match allowed.next_back() {
        Some(bracket) => bracket.cap,
        None => brackets.first().map(|_| Decimal::ZERO),
    }
}

/// The highest leverage at which a notional may be held. `None` if the brackets do not say.
#[must_use]
pub fn max_leverage(notional: Decimal, brackets: &[LeverageBracket]) -> Option<Decimal> {
    bracket_of(notional, brackets).map(|bracket| bracket.max_leverage)
}

/// The mark price at which a position is liquidated: where what backs it is no more than its maintenance margin.
///
/// `backing` is what stands behind it besides its own profit: an isolated position's collateral; of a cross position the wallet
/// balance, plus the unrealised profit of all other cross positions, less their maintenance margin. `None` if no price does that, or the
/// brackets do not say.
#[must_use]
pub fn liquidation_price(
    side: PositionSide,
    amount: Decimal,
    entry_price: Decimal,
    backing: Decimal,
    brackets: &[LeverageBracket],
) -> Option<Decimal> {
    let signed = match side {
        PositionSide::Long => amount,
        PositionSide::Short => -amount,
        PositionSide::Both => return None,
    };
    let cost = product(signed, entry_price).or_else(|| signed.checked_mul(entry_price))?;
    // The bracket is that of the notional at the very price sought: each is tried.
    brackets.iter().find_map(|bracket| {
        let equity = backing.checked_add(bracket.deduction)?.checked_sub(cost)?;
        let slope = amount.checked_mul(bracket.maintenance_ratio)?.checked_sub(signed)?;
        let price = equity.checked_div(slope)?;
        let notional = price.checked_mul(amount)?;
        let within = notional >= bracket.floor && bracket.cap.is_none_or(|cap| notional <= cap);
        (price > Decimal::ZERO && within).then(|| price.round_dp(PLACES).normalize())
    })
}

fn bracket_of(notional: Decimal, brackets: &[LeverageBracket]) -> Option<&LeverageBracket> {
    let within = |bracket: &&LeverageBracket| bracket.cap.is_none_or(|cap| notional <= cap);
    brackets.iter().find(within)
}

fn up(value: Decimal) -> Option<Decimal> {
    Some(value.round_dp_with_strategy(PLACES, RoundingStrategy::AwayFromZero).normalize())
}

/// What an order of a contract takes and brings, by its amount.
#[derive(Clone, Debug)]
pub(super) struct Margin {
    pub(super) collateral: Asset,
    price: Decimal,
    leverage: Decimal,
    /// Fee, a fraction of the value.
    rate: Decimal,
    /// What one unit loses the moment it is opened: a buyer above the mark price, a seller below it.
    loss: Decimal,
    /// See [`MarginTerms::closable`].
    pub(super) closable: Decimal,
    /// What one unit that is closed brings before fees: the margin it was opened with, and its profit.
    released: Option<Decimal>,
}

impl Margin {
    /// Of an order that buys (`true`) or sells. `None` if the leverage is not positive, or a number cannot be expressed.
    pub(super) fn new(buys: bool, price: Decimal, rate: Decimal, terms: &MarginTerms<'_>) -> Option<Self> {
        let worse = |than: Decimal| if buys { price - than } else { than - price };
        let loss = terms.mark_price.map_or(Decimal::ZERO, |mark| worse(mark).max(Decimal::ZERO));
        // Who buys closes a short position, which gained where the price is below its entry.
        let released = match terms.entry_price {
            Some(entry) => Some(entry.checked_div(terms.leverage)?.checked_sub(worse(entry))?),
            None => None,
        };
        initial_margin(price, terms.leverage)?;
        Some(Self {
            collateral: terms.collateral.clone(),
            price,
            leverage: terms.leverage,
            rate,
            loss,
            closable: terms.closable.max(Decimal::ZERO),
            released,
        })
    }

    /// How much of `amount` opens something.
    pub(super) fn opening(&self, amount: Decimal) -> Decimal {
        (amount - self.closable).max(Decimal::ZERO)
    }

    /// What `amount` takes: margin, loss and fee of what opens. What closes takes nothing: its fee comes out of what it brings.
    pub(super) fn cost(&self, amount: Decimal) -> Option<Decimal> {
        let opening = self.opening(amount);
        let value = product_up(self.price, opening)?;
        initial_margin(value, self.leverage)?
            .checked_add(product_up(value, self.rate)?)?
            .checked_add(product_up(self.loss, opening)?)
    }

    /// What one unit that opens takes, before rounding.
    fn slope(&self) -> Option<Decimal> {
        self.price
            .checked_div(self.leverage)?
            .checked_add(product_up(self.price, self.rate)?)?
            .checked_add(self.loss)
    }

    /// The largest amount that `left` pays for, not yet rounded to a step; `None` if there is no bound.
    pub(super) fn largest(&self, left: Decimal) -> Option<Decimal> {
        left.checked_div(self.slope()?)?.checked_add(self.closable)
    }

    /// The fee of `amount`.
    pub(super) fn fee(&self, amount: Decimal) -> Option<Decimal> {
        product_up(product_up(self.price, amount)?, self.rate)
    }

    /// What the part of `amount` that closes brings, after its fee; `None` if nothing closes, or the entry price is not known.
    pub(super) fn returns(&self, amount: Decimal) -> Option<Decimal> {
        let closing = amount.min(self.closable);
        if closing.is_zero() {
            return None;
        }
        let brings = self.released?.checked_mul(closing)?.checked_sub(self.fee(closing)?)?;
        Some(brings.round_dp_with_strategy(PLACES, RoundingStrategy::ToNegativeInfinity).normalize())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    /// BTCUSDT's smallest brackets, as the venue's API told them in 2025.
    fn brackets() -> Vec<LeverageBracket> {
        let row = |floor: i64, cap: i64, max: i64, ratio: &str, deduction: i64| LeverageBracket {
            floor: Decimal::from(floor),
            cap: Some(Decimal::from(cap)),
            max_leverage: Decimal::from(max),
            maintenance_ratio: number(ratio),
            deduction: Decimal::from(deduction),
        };
        vec![
            row(0, 300_000, 125, "0.004", 0),
            row(300_000, 800_000, 100, "0.005", 300),
            row(800_000, 3_000_000, 75, "0.0065", 1_500),
        ]
    }

    #[test]
    fn margins_follow_the_brackets() {
        let brackets = brackets();
        assert_eq!(initial_margin(number("1000"), number("3")), Some(number("333.333333333334")));
        assert_eq!(initial_margin(number("1000"), number("20")), Some(number("50")));
        assert_eq!(initial_margin(number("1"), Decimal::ZERO), None);
        assert_eq!(maintenance_margin(number("10000"), &brackets), Some(number("40")));
        assert_eq!(maintenance_margin(number("300000"), &brackets), Some(number("1200")));
        assert_eq!(maintenance_margin(number("400000"), &brackets), Some(number("1700")));
        assert_eq!(maintenance_margin(number("3000001"), &brackets), None);
        assert_eq!(max_notional(number("125"), &brackets), Some(number("300000")));
        assert_eq!(max_notional(number("80"), &brackets), Some(number("800000")));
        assert_eq!(max_notional(number("126"), &brackets), Some(Decimal::ZERO));
        assert_eq!((max_notional(number("5"), &[]), max_leverage(number("5"), &[])), (None, None));
        assert_eq!(max_leverage(number("300001"), &brackets), Some(number("100")));
    }

    #[test]
    fn a_position_is_liquidated_where_nothing_is_left_above_its_maintenance() {
        // 10x isolated, both ways: worked out by hand from backing + profit = ratio x notional.
        let at = |side, backing: &str| {
            liquidation_price(side, Decimal::ONE, number("10000"), number(backing), &brackets())
        };
        assert_eq!(at(PositionSide::Long, "1000"), Some(number("9036.144578313253")));
        assert_eq!(at(PositionSide::Short, "1000"), Some(number("10956.175298804781")));
        assert_eq!(at(PositionSide::Long, "20000"), None, "it is worth more than it can lose");
        assert_eq!(at(PositionSide::Both, "1000"), None);
    }

    proptest! {
        #[test]
        fn at_the_liquidation_price_margin_and_maintenance_are_equal(
            long in any::<bool>(), amount in 1_i64..20_000, entry in 1_000_i64..100_000, leverage in 2_i64..100,
        ) {
            let (amount, entry) = (Decimal::new(amount, 3), Decimal::from(entry));
            let backing = initial_margin(amount * entry, Decimal::from(leverage)).unwrap();
            let side = if long { PositionSide::Long } else { PositionSide::Short };
            if let Some(price) = liquidation_price(side, amount, entry, backing, &brackets()) {
                let gain = if long { price - entry } else { entry - price };
                let equity = backing + gain * amount;
                let needed = maintenance_margin(price * amount, &brackets()).unwrap();
                prop_assert!((equity - needed).abs() < number("0.000001"), "{equity} {needed}");
            }
        }

        #[test]
        fn the_largest_amount_is_paid_for_and_hardly_more(
            buys in any::<bool>(), price in 1_i64..1_000_000, leverage in 1_i64..125, left in 0_i64..10_000_000,
            closable in 0_i64..1_000, mark in 1_i64..1_000_000,
        ) {
            let collateral = Asset::new("USDT");
            let terms = MarginTerms {
                collateral: &collateral,
                leverage: Decimal::from(leverage),
                brackets: &[],
                closable: Decimal::new(closable, 2),
                entry_price: None,
                open: Decimal::ZERO,
                mark_price: Some(Decimal::new(mark, 2)),
            };
            let margin = Margin::new(buys, Decimal::new(price, 2), number("0.0005"), &terms).unwrap();
            let left = Decimal::new(left, 2);
            let largest = margin.largest(left).unwrap();
            prop_assert!(largest >= margin.closable);
            prop_assert!(margin.cost(largest.round_dp_with_strategy(6, RoundingStrategy::ToZero)).unwrap() <= left + number("0.000000001"));
            prop_assert!(margin.cost(largest + number("0.001")).unwrap() > left);
        }
    }
}
