//! Fees: what a fill costs, in which asset, and whether it is added to what is spent or taken from what is received.
//!
//! Sign convention, here as everywhere: positive is paid by us, negative is a rebate. A fee is always an amount *of an asset*;
//! nothing here adds amounts of different assets, and **a conversion that is not known is an absence, never a zero**.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::dialect::FeeRule;
use crate::message::{Fee, FeeRates};
use crate::number::product;
use crate::order::{OrderType, Side};
use crate::pair::{Asset, Pair};

/// Which role an order has in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liquidity {
    /// It rested.
    Maker,
    /// It took what rested.
    Taker,
}

/// Where a fee comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeeKind {
    /// Paid on top of what is spent: an order needs more than its value.
    AddedToCost,
    /// Taken from what is received: the order needs no more, and brings less.
    DeductedFromReturns,
}

/// What an account pays on a market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeeSchedule {
    /// Fraction of the traded value for a resting order (0.001 = 0.1 %).
    pub maker: Decimal,
    /// The same for an order that takes.
    pub taker: Decimal,
    /// Whether a buyer pays in the base asset received rather than in the quote asset spent. Sellers always pay from the
    /// quote asset they receive.
    pub from_received: bool,
    /// An asset the fractions are charged in instead, at its price: for venues with a fee token.
    pub asset: Option<Asset>,
    /// Fixed amounts charged besides per order, whatever its role.
    pub fixed: Vec<Fee>,
}

impl From<&FeeRule> for FeeSchedule {
    /// The venue's declared default.
    fn from(rule: &FeeRule) -> Self {
        let fraction = |ppm: i32| Decimal::new(i64::from(ppm), 6).normalize();
        Self {
            maker: fraction(rule.maker_ppm),
            taker: fraction(rule.taker_ppm),
            from_received: rule.from_received,
            ..Self::default()
        }
    }
}

impl FeeSchedule {
    /// The same with the account's own rates.
    #[must_use]
    pub fn with_rates(self, rates: &FeeRates) -> Self {
        Self { maker: rates.maker, taker: rates.taker, ..self }
    }

    /// The fraction for a role.
    #[must_use]
    pub const fn rate(&self, liquidity: Liquidity) -> Decimal {
        match liquidity {
            Liquidity::Maker => self.maker,
            Liquidity::Taker => self.taker,
        }
    }

    /// The highest fraction an order of this type can be charged, zero where all are rebates: only a post-only order is sure
    /// to rest.
    #[must_use]
    pub fn worst_rate(&self, order_type: OrderType) -> Decimal {
        let rate = match order_type {
            OrderType::LimitMaker => self.maker,
            OrderType::Market => self.taker,
            OrderType::Limit => self.maker.max(self.taker),
        };
        rate.max(Decimal::ZERO)
    }

    /// Where the fee of an order on this side comes from.
    #[must_use]
    pub const fn kind(&self, side: Side) -> FeeKind {
        match side {
            Side::Buy if self.asset.is_some() || !self.from_received => FeeKind::AddedToCost,
            _ => FeeKind::DeductedFromReturns,
        }
    }

    /// The asset in which the fractions are charged to an order on this side.
    #[must_use]
    pub fn fee_asset(&self, pair: &Pair, side: Side) -> Asset {
        match &self.asset {
            Some(asset) => asset.clone(),
            None if side == Side::Buy && self.from_received => pair.base(),
            None => pair.quote(),
        }
    }

    /// The fee on `amount` (base) traded at `price`, without the fixed amounts, which are charged once per order.
    ///
    /// **Units**: in the asset [`fee_asset`](Self::fee_asset) names, as exact as a [`Decimal`] holds.
    ///
    /// `None` if the fee is charged in an asset whose price is not among `prices`, or is too large to be expressed.
    #[must_use]
    pub fn estimate(
        &self,
        pair: &Pair,
        side: Side,
        trade: Traded,
        liquidity: Liquidity,
        prices: &Prices,
    ) -> Option<Fee> {
        let asset = self.fee_asset(pair, side);
        let rate = self.rate(liquidity);
        let times = |a: Decimal, b: Decimal| product(a, b).or_else(|| a.checked_mul(b));
        let amount = if asset == pair.base() {
            times(trade.amount, rate)?
        } else {
            let fee = times(times(trade.price, trade.amount)?, rate)?;
            prices.convert(fee, &pair.quote(), &asset)?
        };
        Some(Fee { asset, amount: amount.normalize() })
    }
}

/// Price and base amount of an order or a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traded {
    /// Quote per base.
    pub price: Decimal,
    /// Base amount.
    pub amount: Decimal,
}

/// Known prices by pair, quote per base, through which amounts of one asset become amounts of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(BTreeMap<Pair, Decimal>);

impl Prices {
    /// Notes the price of a pair. One that is not positive is forgotten instead: it converts nothing.
    pub fn set(&mut self, pair: Pair, price: Decimal) {
        if price > Decimal::ZERO {
            self.0.insert(pair, price);
        } else {
            self.0.remove(&pair);
        }
    }

    /// `amount` of `from`, in `to`, by the price of the pair of the two, either way round. The same asset needs no price.
    ///
    /// `None` if that price is not known, or the result is too large.
    #[must_use]
    pub fn convert(&self, amount: Decimal, from: &Asset, to: &Asset) -> Option<Decimal> {
        if from == to {
            return Some(amount);
        }
        if let Some(price) = Pair::new(from.as_str(), to.as_str()).and_then(|pair| self.0.get(&pair)) {
            return product(amount, *price).or_else(|| amount.checked_mul(*price));
        }
        let price = Pair::new(to.as_str(), from.as_str()).and_then(|pair| self.0.get(&pair))?;
        amount.checked_div(*price)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::Source;
    use crate::message::Market;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn pair() -> Pair {
        "BTC-USDT".parse().unwrap()
    }

    fn schedule(from_received: bool) -> FeeSchedule {
        let source = Source { url: "https://example.com", read: "2026-11-22" };
        let rule = FeeRule { maker_ppm: -100, taker_ppm: 1000, from_received, source };
        FeeSchedule::from(&rule)
    }

    fn fee(schedule: &FeeSchedule, side: Side, liquidity: Liquidity) -> (String, String) {
        let trade = Traded { price: number("20000"), amount: number("0.5") };
        let fee = schedule.estimate(&pair(), side, trade, liquidity, &Prices::default()).unwrap();
        (fee.amount.to_string(), fee.asset.to_string())
    }

    #[test]
    fn kind_and_asset_follow_side_and_schedule() {
        let say = |amount: &str, asset: &str| (amount.to_owned(), asset.to_owned());
        let (received, spent) = (schedule(true), schedule(false));
        assert_eq!(fee(&received, Side::Buy, Liquidity::Taker), say("0.0005", "BTC"));
        assert_eq!(fee(&received, Side::Sell, Liquidity::Taker), say("10", "USDT"));
        assert_eq!(fee(&spent, Side::Buy, Liquidity::Taker), say("10", "USDT"));
        assert_eq!(fee(&spent, Side::Buy, Liquidity::Maker), say("-1", "USDT"));
        assert_eq!(received.kind(Side::Buy), FeeKind::DeductedFromReturns);
        assert_eq!(spent.kind(Side::Buy), FeeKind::AddedToCost);
        assert_eq!(spent.kind(Side::Sell), FeeKind::DeductedFromReturns);
        let token = FeeSchedule { asset: Some("BNB".into()), ..received };
        assert_eq!(token.kind(Side::Buy), FeeKind::AddedToCost);
        assert_eq!(token.kind(Side::Sell), FeeKind::DeductedFromReturns);
    }

    #[test]
    fn the_account_s_rates_replace_the_default_ones() {
        let rates =
            FeeRates { market: Market::Pair(pair()), maker: number("0.0002"), taker: number("0.0004") };
        let own = schedule(true).with_rates(&rates);
        assert_eq!((own.rate(Liquidity::Maker), own.rate(Liquidity::Taker)), (rates.maker, rates.taker));
        assert!(own.from_received);
    }

    #[test]
    fn an_unknown_conversion_is_no_zero() {
        let token = FeeSchedule { asset: Some("BNB".into()), ..schedule(true) };
        let trade = Traded { price: number("20000"), amount: number("0.5") };
        let mut prices = Prices::default();
        let at = |prices: &Prices| token.estimate(&pair(), Side::Sell, trade, Liquidity::Taker, prices);
        assert_eq!(at(&prices), None);
        prices.set("BNB-USDT".parse().unwrap(), number("400"));
        assert_eq!(at(&prices).unwrap().amount, number("0.025"));
        prices.set("BNB-USDT".parse().unwrap(), Decimal::ZERO);
        assert_eq!(at(&prices), None);
        prices.set("USDT-BNB".parse().unwrap(), number("0.0025"));
        assert_eq!(at(&prices).unwrap().amount, number("0.025"));
    }

    #[test]
    fn the_worst_rate_is_what_an_order_may_be_charged() {
        let schedule = schedule(true);
        assert_eq!(schedule.worst_rate(OrderType::LimitMaker), Decimal::ZERO);
        assert_eq!(schedule.worst_rate(OrderType::Limit), number("0.001"));
        assert_eq!(schedule.worst_rate(OrderType::Market), number("0.001"));
    }

    proptest! {
        #[test]
        fn fees_of_parts_sum_to_the_fee_of_the_whole(
            parts in prop::collection::vec(1_i64..1_000_000_000, 1..20),
            price in 1_i64..1_000_000_000,
            ppm in -500_i32..5000,
            buy in any::<bool>(),
        ) {
            let source = Source { url: "https://example.com", read: "2026-11-22" };
            let schedule = FeeSchedule::from(&FeeRule { maker_ppm: ppm, taker_ppm: 0, from_received: true, source });
            let side = if buy { Side::Buy } else { Side::Sell };
            let one = |units: i64| {
                let trade = Traded { price: Decimal::new(price, 4), amount: Decimal::new(units, 8) };
                schedule.estimate(&pair(), side, trade, Liquidity::Maker, &Prices::default()).unwrap().amount
            };
            prop_assert_eq!(parts.iter().map(|units| one(*units)).sum::<Decimal>(), one(parts.iter().sum()));
        }
    }
}
