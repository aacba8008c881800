//! Questions to the journal: which orders, which trades, what they cost and what they brought.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::Scope;
use super::pnl::{PairProfit, realised};
use super::record::{FundingPayment, OwnFill, Status, StatusChange};
use crate::error::{Cause, Effect, Error};
use crate::id::{ClientOrderId, ExchangeOrderId};
use crate::order::NewOrder;
use crate::pair::{Asset, Pair};
use crate::time::UnixNanos;

/// Which rows are asked for; the default asks for all. Rows come in the order of their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this connector and account only.
    pub scope: Option<Scope>,
    /// Of this pair only.
    pub pair: Option<Pair>,
    /// Of this order only.
    pub client_order_id: Option<ClientOrderId>,
    /// Not before this time: of submission for orders, of the trade, the step or the payment otherwise.
    pub from: Option<UnixNanos>,
    /// Before this time.
    pub until: Option<UnixNanos>,
    /// Only the latest so many.
    pub latest: Option<u32>,
}

impl Filter {
    /// Whether a row with these properties is asked for; says nothing of [`latest`](Self::latest).
    #[must_use]
    pub fn admits(&self, scope: &Scope, pair: &Pair, id: Option<&ClientOrderId>, time: UnixNanos) -> bool {
        self.scope.as_ref().is_none_or(|wanted| wanted == scope)
            && self.pair.as_ref().is_none_or(|wanted| wanted == pair)
            && self.client_order_id.as_ref().is_none_or(|wanted| Some(wanted) == id)
            && self.from.is_none_or(|from| time >= from)
            && self.until.is_none_or(|until| time < until)
    }
}

/// A record and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoped<T> {
    /// Whose.
    pub scope: Scope,
    /// What.
    pub row: T,
}

/// A fill.
pub type TradeRow = Scoped<OwnFill>;
/// A step in an order's life.
pub type StatusRow = Scoped<StatusChange>;
/// A funding payment.
pub type FundingRow = Scoped<FundingPayment>;

/// An order and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Whose.
    pub scope: Scope,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The venue's latest id of it.
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// The order as sent.
    pub order: NewOrder,
    /// Local time of its submission.
    pub submitted: UnixNanos,
    /// Its latest status.
    pub status: Status,
    /// Local time of that.
    pub updated: UnixNanos,
}

/// Reads a journal. Calls may block on the disk: an async program asks from a blocking task.
///
/// Errors, everywhere: [`Cause::Storage`] if the journal cannot be read.
pub trait History: Send + Sync {
    /// Orders, by their submission.
    ///
    /// # Errors
    /// See above.
    fn orders(&self, filter: &Filter) -> Result<Vec<OrderRow>, Error>;
    /// Fills, by the time of the trade.
    ///
    /// # Errors
    /// See above.
    fn trades(&self, filter: &Filter) -> Result<Vec<TradeRow>, Error>;
    /// The lives of orders, step by step.
    ///
    /// # Errors
    /// See above.
    fn statuses(&self, filter: &Filter) -> Result<Vec<StatusRow>, Error>;
    /// Funding payments.
    ///
    /// # Errors
    /// See above.
    fn funding(&self, filter: &Filter) -> Result<Vec<FundingRow>, Error>;

    /// Fees paid, by asset; negative = more rebates than fees.
    ///
    /// # Errors
    /// See above; also if a sum is beyond what a [`Decimal`] holds.
    fn fees(&self, filter: &Filter) -> Result<BTreeMap<Asset, Decimal>, Error> {
        let mut sums: BTreeMap<Asset, Decimal> = BTreeMap::new();
        for fee in self.trades(filter)?.into_iter().filter_map(|trade| trade.row.fee) {
            let sum = sums.entry(fee.asset).or_default();
            *sum = sum.checked_add(fee.amount).ok_or_else(beyond)?;
        }
        Ok(sums)
    }

    /// Profit realised by trades, per account and pair: first in, first out; see [`realised`]. Of the filter, scope, pair and
    /// times count; what was bought before `from` is known, though only what was realised since then is told.
    ///
    /// # Errors
    /// As [`fees`](Self::fees).
    fn realised_profit(&self, filter: &Filter) -> Result<Vec<PairProfit>, Error> {
        let all = Filter { from: None, latest: None, client_order_id: None, ..filter.clone() };
        realised(&self.trades(&all)?, filter.from)
    }
}

/// A sum that cannot be represented.
pub(super) fn beyond() -> Error {
    Error::new(Cause::Other, Effect::NotSent, "history", "a sum is beyond what a decimal can hold")
}
