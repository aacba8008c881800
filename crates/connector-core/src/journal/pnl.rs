//! Profit from trades, first in, first out.

use std::collections::{BTreeMap, VecDeque};

use rust_decimal::Decimal;

use super::Scope;
use super::history::{TradeRow, beyond};
use crate::error::Error;
use crate::order::Side;
use crate::pair::{Asset, Pair};
use crate::time::UnixNanos;

/// What the trades of a pair brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairProfit {
    /// Whose.
    pub scope: Scope,
    /// The pair.
    pub pair: Pair,
    /// Realised by trades, quote, fees not deducted.
    pub realised: Decimal,
    /// Fees of the trades told of, by asset.
    pub fees: BTreeMap<Asset, Decimal>,
    /// What is left open, base: positive = bought and not sold, negative = sold and not bought.
    pub open_amount: Decimal,
    /// What that cost (or brought, if negative), quote.
    pub open_cost: Decimal,
}

impl PairProfit {
    /// Realised profit less the fees that were charged in the quote asset. Fees in other assets would need a price; they
    /// are in [`fees`](Self::fees).
    #[must_use]
    pub fn net_of_quote_fees(&self) -> Decimal {
        let fees = self.fees.get(&self.pair.quote()).copied().unwrap_or_default();
        self.realised.saturating_sub(fees)
    }
}

/// Lots still open, oldest first. All have the same sign.
#[derive(Default)]
struct Lots {
    /// Amount (positive = bought) and price.
    open: VecDeque<(Decimal, Decimal)>,
}

impl Lots {
    /// Takes in a trade of a signed amount and answers with what it realised.
    fn trade(&mut self, amount: Decimal, price: Decimal) -> Option<Decimal> {
        let mut left = amount;
        let mut realised = Decimal::ZERO;
        while !left.is_zero()
            && let Some((lot, paid)) = self.open.front_mut()
            && lot.is_sign_negative() != left.is_sign_negative()
        {
            // The part of the lot that this trade closes, with the lot's sign.
            let closed = if lot.abs() <= left.abs() { *lot } else { -left };
            realised = realised.checked_add(price.checked_sub(*paid)?.checked_mul(closed)?)?;
            left = left.checked_add(closed)?;
            *lot = lot.checked_sub(closed)?;
            if lot.is_zero() {
                self.open.pop_front();
            }
        }
        if !left.is_zero() {
            self.open.push_back((left, price));
        }
        Some(realised)
    }
}

/// Profit realised since `from` (from the beginning if `None`) by trades in the order of their times, per account and pair.
///
/// First in, first out: a sale closes the oldest purchase, which needs no division and is exact. What is sold beyond what
/// was bought opens a short lot that later purchases close, so assets held before the first record count as sold short.
///
/// # Errors
/// A sum is beyond what a [`Decimal`] holds.
pub fn realised(trades: &[TradeRow], from: Option<UnixNanos>) -> Result<Vec<PairProfit>, Error> {
    let mut books: BTreeMap<(Scope, Pair), (Lots, PairProfit)> = BTreeMap::new();
    for TradeRow { scope, row } in trades {
        let (lots, profit) = books.entry((scope.clone(), row.pair.clone())).or_insert_with(|| {
            let profit = PairProfit {
                scope: scope.clone(),
                pair: row.pair.clone(),
                realised: Decimal::ZERO,
                fees: BTreeMap::new(),
                open_amount: Decimal::ZERO,
                open_cost: Decimal::ZERO,
            };
            (Lots::default(), profit)
        });
        let amount = if row.side == Side::Buy { row.amount } else { -row.amount };
        let realised = lots.trade(amount, row.price).ok_or_else(beyond)?;
        if from.is_none_or(|from| row.traded_at() >= from) {
            profit.realised = profit.realised.checked_add(realised).ok_or_else(beyond)?;
            if let Some(fee) = &row.fee {
                let sum = profit.fees.entry(fee.asset.clone()).or_default();
                *sum = sum.checked_add(fee.amount).ok_or_else(beyond)?;
            }
        }
    }
    books
        .into_values()
        .map(|(lots, mut profit)| {
            for (amount, price) in lots.open {
                let cost = amount.checked_mul(price).ok_or_else(beyond)?;
                profit.open_amount = profit.open_amount.checked_add(amount).ok_or_else(beyond)?;
                profit.open_cost = profit.open_cost.checked_add(cost).ok_or_else(beyond)?;
            }
            Ok(profit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::OwnFill;
    use crate::message::Fee;

    fn trade(time: i64, side: Side, amount: i64, price: i64) -> TradeRow {
        TradeRow {
            scope: Scope { connector: "c".into(), account: "a".into() },
            row: OwnFill {
                time: UnixNanos(time),
                venue_time: None,
                pair: "BTC-USDT".parse().unwrap(),
                client_order_id: "o".into(),
                exchange_order_id: None,
                trade_id: time.to_string().as_str().into(),
                side,
                price: Decimal::from(price),
                amount: Decimal::from(amount),
                fee: Some(Fee { asset: "USDT".into(), amount: Decimal::ONE }),
                fee_estimated: false,
                maker: None,
            },
        }
    }

    #[test]
    fn oldest_lot_first_and_through_zero() {
        let trades = [
            trade(1, Side::Buy, 2, 100),
            trade(2, Side::Buy, 2, 110),
            trade(3, Side::Sell, 3, 120),
            trade(4, Side::Sell, 2, 90),
            trade(5, Side::Buy, 1, 80),
        ];
        let all = realised(&trades, None).unwrap();
        // 2 × 20 + 1 × 10; then 1 × −20 and one short at 90; then 1 × 10.
        assert_eq!(all[0].realised, Decimal::from(40));
        assert_eq!(all[0].net_of_quote_fees(), Decimal::from(35));
        assert_eq!((all[0].open_amount, all[0].open_cost), (Decimal::ZERO, Decimal::ZERO));
        let late = realised(&trades, Some(UnixNanos(4))).unwrap();
        assert_eq!(late[0].realised, Decimal::from(-10));
        assert_eq!(late[0].fees[&Asset::new("USDT")], Decimal::from(2));
    }

    proptest! {
        /// Money is conserved: what came in and went out is what was realised and what is still tied up.
        #[test]
        fn cash_flow_is_realised_less_open_cost(steps in prop::collection::vec((any::<bool>(), 1_i64..50, 1_i64..500), 0..60)) {
            let trades: Vec<_> = steps.iter().enumerate().map(|(at, (buy, amount, price))| {
                trade(at as i64, if *buy { Side::Buy } else { Side::Sell }, *amount, *price)
            }).collect();
            let cash: i64 = steps.iter().map(|(buy, amount, price)| amount * price * if *buy { -1 } else { 1 }).sum();
            let held: i64 = steps.iter().map(|(buy, amount, _)| if *buy { *amount } else { -amount }).sum();
            if let Some(profit) = realised(&trades, None).unwrap().first() {
                prop_assert_eq!(profit.realised - profit.open_cost, Decimal::from(cash));
                prop_assert_eq!(profit.open_amount, Decimal::from(held));
            }
        }
    }
}
