//! Who owns what: the judge of every test, so it is exact and forgets nothing it is asked about.

use connector_core::Asset;
use connector_core::time::UnixNanos;
use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::orders::{AccountId, Execution, Order};

/// What an account holds of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Spendable on new orders.
    pub free: Decimal,
    /// Set aside for open orders.
    pub locked: Decimal,
}

impl Balance {
    /// Everything held.
    #[must_use]
    pub fn total(self) -> Decimal {
        self.free + self.locked
    }
}

/// Which executions or orders are asked for.
///
/// Shape of the answer: rising ids. With `from_id` or `since` it is the first `limit` that match, else the last `limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of this market only.
    pub symbol: Option<SmolStr>,
    /// Of this order only.
    pub order_id: Option<u64>,
    /// Trade id (executions) or order id (orders) to start from, included.
    pub from_id: Option<u64>,
    /// Earliest time, included: of the execution, or of the order's creation.
    pub since: Option<UnixNanos>,
    /// Latest time, included.
    pub until: Option<UnixNanos>,
    /// Most entries; `None` = all.
    pub limit: Option<usize>,
}

/// All the exchange knows of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerView {
    /// Whose.
    pub account: AccountId,
    /// Every asset ever held, by name.
    pub balances: Vec<(Asset, Balance)>,
    /// Open orders, by id.
    pub open_orders: Vec<Order>,
    /// Every execution, oldest first.
    pub fills: Vec<Execution>,
}
