//! Filled volume and fees: in all, and since the last export.

use std::collections::{BTreeMap, VecDeque};

use rust_decimal::Decimal;
use smol_str::SmolStr;

use super::Whose;
use crate::event::{OrderFeeKnown, OrderFilled, OrderInfo};
use crate::id::{ClientOrderId, TradeId};
use crate::message::Fee;
use crate::number::product;
use crate::order::Side;
use crate::pair::{Asset, Pair};

/// Fills whose charged fee is still awaited; of one beyond them, the oldest, the estimate stands for good.
const MAX_AWAITED: usize = 8_192;

/// What was filled on one pair and side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeLine {
    /// The venue's connector, by name.
    pub venue: &'static str,
    /// The account, as [`Builder::account`](crate::Builder::account) names it.
    pub account: SmolStr,
    /// The pair.
    pub pair: Pair,
    /// Our side.
    pub side: Side,
    /// How many fills.
    pub fills: u64,
    /// Sum of their base amounts.
    pub base: Decimal,
    /// Sum of their price × amount, fees excluded.
    pub quote: Decimal,
}

/// What was paid in one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeeLine {
    /// The venue's connector, by name.
    pub venue: &'static str,
    /// The account.
    pub account: SmolStr,
    /// What was paid in.
    pub asset: Asset,
    /// How much; negative if rebates, or charges that were lower than the estimates they replace, outweigh.
    pub amount: Decimal,
}

/// What was filled between two exports. Volumes of several exports add up to the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// By venue, account, pair and side, in this order.
    pub filled: Vec<VolumeLine>,
    /// By venue, account and asset, in this order. Estimates count until the venue tells the fee, and then the difference.
    pub fees: Vec<FeeLine>,
}

impl Volume {
    /// Whether nothing was filled and no fee became known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled.is_empty() && self.fees.is_empty()
    }
}

type Who = (&'static str, SmolStr);

#[derive(Clone, Copy, Debug, Default)]
struct Amounts {
    fills: u64,
    base: Decimal,
    quote: Decimal,
}

impl Amounts {
    fn add(&mut self, other: Self) {
        self.fills += other.fills;
        self.base = self.base.saturating_add(other.base);
        self.quote = self.quote.saturating_add(other.quote);
    }
}

#[derive(Clone, Debug, Default)]
struct Sums {
    filled: BTreeMap<(Who, Pair, bool), Amounts>,
    fees: BTreeMap<(Who, Asset), Decimal>,
}

impl Sums {
    fn fill(&mut self, who: Who, pair: Pair, side: Side, amounts: Amounts) {
        self.filled.entry((who, pair, side == Side::Sell)).or_default().add(amounts);
    }

    fn fee(&mut self, who: Who, asset: Asset, amount: Decimal) {
        let sum = self.fees.entry((who, asset)).or_default();
        *sum = sum.saturating_add(amount);
    }

    fn volume(&self) -> Volume {
        let filled = self.filled.iter().map(|(((venue, account), pair, sells), sums)| VolumeLine {
            venue,
            account: account.clone(),
            pair: pair.clone(),
            side: if *sells { Side::Sell } else { Side::Buy },
            fills: sums.fills,
            base: sums.base.normalize(),
            quote: sums.quote.normalize(),
        });
        let fees = self.fees.iter().map(|(((venue, account), asset), amount)| FeeLine {
            venue,
            account: account.clone(),
            asset: asset.clone(),
            amount: amount.normalize(),
        });
        Volume { filled: filled.collect(), fees: fees.collect() }
    }
}

/// A fill whose charged fee may still be told, and what was counted for it.
struct Awaited {
    pair: Pair,
    id: ClientOrderId,
    trade: TradeId,
    counted: Option<Fee>,
}

/// All sums.
#[derive(Default)]
pub(super) struct Ledger {
    total: Sums,
    since: Sums,
    awaited: VecDeque<Awaited>,
}

impl Ledger {
    pub(super) fn filled(&mut self, whose: &Whose, filled: &OrderFilled) {
        let OrderInfo { pair, side, client_order_id, .. } = &filled.order;
        let (price, amount) = (filled.price, filled.amount);
        let rounded = || price.checked_mul(amount).unwrap_or(Decimal::MAX);
        let quote = product(price, amount).unwrap_or_else(rounded);
        let amounts = Amounts { fills: 1, base: amount, quote };
        for sums in [&mut self.total, &mut self.since] {
            sums.fill(whose.into(), pair.clone(), *side, amounts);
        }
        if let Some(fee) = &filled.fee {
            self.fee(whose, fee.asset.clone(), fee.amount);
        }
        if filled.fee.is_none() || filled.fee_estimated {
            if self.awaited.len() >= MAX_AWAITED {
                self.awaited.pop_front();
            }
            self.awaited.push_back(Awaited {
                pair: pair.clone(),
                id: client_order_id.clone(),
                trade: filled.trade_id.clone(),
                counted: filled.fee.clone(),
            });
        }
    }

    fn fee(&mut self, whose: &Whose, asset: Asset, amount: Decimal) {
        self.total.fee(whose.into(), asset.clone(), amount);
        self.since.fee(whose.into(), asset, amount);
    }

    /// Counts a charged fee in place of what was counted for its fill. A fill that was not counted here, such as one of an
    /// earlier run, has its fee where it was counted.
    pub(super) fn fee_known(&mut self, whose: &Whose, known: &OrderFeeKnown) {
        let order = &known.order;
        let found = self.awaited.iter().position(|fill| {
            fill.trade == known.trade_id && fill.pair == order.pair && fill.id == order.client_order_id
        });
        let Some(fill) = found.and_then(|index| self.awaited.remove(index)) else { return };
        if let Some(estimate) = fill.counted {
            self.fee(whose, estimate.asset, -estimate.amount);
        }
        self.fee(whose, known.fee.asset.clone(), known.fee.amount);
    }

    pub(super) fn totals(&self) -> Volume {
        self.total.volume()
    }

    pub(super) fn take(&mut self) -> Volume {
        let mut since = std::mem::take(&mut self.since);
        since.fees.retain(|_, amount| !amount.is_zero());
        since.volume()
    }

    pub(super) fn put_back(&mut self, volume: &Volume) {
        for line in &volume.filled {
            let VolumeLine { venue, account, pair, side, fills, base, quote } = line.clone();
            self.since.fill((venue, account), pair, side, Amounts { fills, base, quote });
        }
        for FeeLine { venue, account, asset, amount } in volume.fees.iter().cloned() {
            self.since.fee((venue, account), asset, amount);
        }
    }
}
