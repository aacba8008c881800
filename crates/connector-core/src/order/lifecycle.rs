//! One order, from submission to its end.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::event::{Executed, OrderInfo};
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::Fill;
use crate::order::{NewOrder, OrderState};
use crate::pair::Asset;
use crate::time::Now;

/// One order and everything known of it.
#[derive(Clone, Debug)]
pub struct TrackedOrder {
    client_order_id: ClientOrderId,
    exchange_ids: Vec<ExchangeOrderId>,
    order: NewOrder,
    state: OrderState,
    executed: Executed,
    fees: BTreeMap<Asset, Decimal>,
    fills: BTreeMap<TradeId, Fill>,
    submitted: Now,
    updated: Now,
}

#[allow(missing_docs, reason = "API first")]
impl TrackedOrder {
    #[must_use]
    pub fn client_order_id(&self) -> &ClientOrderId {
        &self.client_order_id
    }
    /// The venue's current id of it.
    #[must_use]
    pub fn exchange_order_id(&self) -> Option<&ExchangeOrderId> {
        self.exchange_ids.last()
    }
    /// As submitted, quantised.
    #[must_use]
    pub fn order(&self) -> &NewOrder {
        &self.order
    }
    #[must_use]
    pub fn state(&self) -> OrderState {
        self.state
    }
    #[must_use]
    pub fn executed(&self) -> Executed {
        self.executed
    }
    #[must_use]
    pub fn fees(&self) -> &BTreeMap<Asset, Decimal> {
        &self.fees
    }
    pub fn fills(&self) -> impl Iterator<Item = &Fill> {
        self.fills.values()
    }
    #[must_use]
    pub fn submitted(&self) -> Now {
        self.submitted
    }
    #[must_use]
    pub fn updated(&self) -> Now {
        self.updated
    }
    #[must_use]
    pub fn info(&self) -> OrderInfo {
        OrderInfo {
            pair: self.order.pair.clone(),
            client_order_id: self.client_order_id.clone(),
            exchange_order_id: self.exchange_ids.last().cloned(),
            side: self.order.side,
            order_type: self.order.order_type,
            price: self.order.price,
            amount: self.order.amount,
        }
    }
}
