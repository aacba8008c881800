//! The fees of one order: what the venue charged, and for fills whose fee it has not told, what it should charge.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::fee::{FeeSchedule, Liquidity, Prices, Traded};
use crate::id::TradeId;
use crate::message::{Fee, Fill};
use crate::mutants::{self, Mutant};
use crate::order::{NewOrder, OrderType};
use crate::pair::Asset;

/// Fees by asset. Of a fill either the estimate or the true fee is in the sums, never both.
#[derive(Clone, Debug, Default)]
pub(super) struct Fees {
    sums: BTreeMap<Asset, Decimal>,
    estimates: BTreeMap<TradeId, Fee>,
}

impl Fees {
    pub(super) const fn sums(&self) -> &BTreeMap<Asset, Decimal> {
        &self.sums
    }

    /// Books the fee of a new fill, or an estimate by `schedule`. Answers with it, and whether it is an estimate.
    pub(super) fn charge(
        &mut self,
        order: &NewOrder,
        fill: &Fill,
        schedule: Option<&FeeSchedule>,
    ) -> (Option<Fee>, bool) {
        if let Some(fee) = &fill.fee {
            if mutants::is(Mutant::FeeSignFlipped) {
                return (Some(Fee { amount: -fee.amount, ..fee.clone() }), false);
            }
            self.add(&fee.asset, fee.amount);
            return (Some(fee.clone()), false);
        }
        let liquidity = match (fill.maker, order.order_type) {
            (Some(true), _) | (None, OrderType::LimitMaker) => Liquidity::Maker,
            // Of a plain limit order nothing is known: the dearer role is the usual one for those that fill at once.
            _ => Liquidity::Taker,
        };
        let traded = Traded { price: fill.price, amount: fill.amount };
        let estimate = schedule.and_then(|schedule| {
            schedule.estimate(&order.pair, order.side, traded, liquidity, &Prices::default())
        });
        if let Some(fee) = &estimate {
            self.add(&fee.asset, fee.amount);
            self.estimates.insert(fill.trade_id.clone(), fee.clone());
        }
        let estimated = estimate.is_some();
        (estimate, estimated)
    }

    /// The true fee of a fill that was booked without one. Answers whether it replaces an estimate.
    pub(super) fn learn(&mut self, trade_id: &TradeId, fee: &Fee) -> bool {
        let estimate = self.estimates.remove(trade_id);
        if let Some(estimate) = &estimate {
            self.add(&estimate.asset, -estimate.amount);
            if self.sums.get(&estimate.asset).is_some_and(Decimal::is_zero) {
                self.sums.remove(&estimate.asset);
            }
        }
        self.add(&fee.asset, fee.amount);
        estimate.is_some()
    }

    fn add(&mut self, asset: &Asset, amount: Decimal) {
        let sum = self.sums.entry(asset.clone()).or_default();
        *sum = sum.saturating_add(amount);
    }
}
