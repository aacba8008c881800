//! A taker: buys or sells an amount in slices, each filled at once or not at all, never beyond a price.

use std::time::Duration;

use connector_core::order::{NewOrder, Side, TimeInForce};
use connector_core::{Cause, ClientOrderId, Connector, Decimal, Effect, Error, Event, Events, Pair};

use super::Summary;

/// What to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The pair.
    pub pair: Pair,
    /// Buy or sell.
    pub side: Side,
    /// Base amount in all.
    pub amount: Decimal,
    /// Base amount of one order.
    pub slice: Decimal,
    /// The worst price, quote per base.
    pub limit: Decimal,
    /// Wait between two orders, in which the book recovers.
    pub pause: Duration,
    /// Orders without any fill in a row after which it is given up.
    pub attempts: u32,
}

impl Taking {
    /// Runs to completion: the amount is filled, or nothing more can be had at the price.
    ///
    /// # Errors
    /// The connector ended, or the reader of its events was too slow to know what was filled.
    pub async fn run(&self, connector: &Connector) -> Result<Summary, Error> {
        let mut events = connector.events();
        let mut summary = Summary::default();
        let (mut left, mut idle) = (self.amount, 0);
        while left > Decimal::ZERO && idle < self.attempts {
            let order = NewOrder::limit(self.pair.clone(), self.side, self.slice.min(left), self.limit);
            // A slice is gone at once: what cannot be had now is asked for again with the next one.
            let filled = match connector.place(order.time_in_force(TimeInForce::Ioc)) {
                Ok(id) => {
                    summary.orders.push(id.clone());
                    outcome(&mut events, &id, &mut summary).await?
                }
                // What is left is smaller than the venue's least order, or the balance is used up: this is all there is.
                Err(error) if matches!(error.cause, Cause::TradingRule | Cause::InsufficientBalance) => break,
                Err(error) => return Err(error),
            };
            left -= filled;
            idle = if filled.is_zero() { idle + 1 } else { 0 };
            tokio::time::sleep(self.pause).await;
        }
        Ok(summary)
    }
}

/// Waits until an order has ended; the base amount filled.
async fn outcome(events: &mut Events, id: &ClientOrderId, summary: &mut Summary) -> Result<Decimal, Error> {
    loop {
        let event = events.next().await.ok_or_else(|| lost("the connector ended"))?;
        let event = event.map_err(|lagged| lost(&lagged.to_string()))?;
        if event.order().is_none_or(|order| order.client_order_id != *id) {
            continue;
        }
        match event {
            Event::OrderFilled(fill) => summary.filled(&fill),
            // All fills come before the terminal event, unless the venue told of one too late to wait for.
            Event::OrderCompleted(end) => return Ok(end.executed.base),
            Event::OrderCancelled(end) => return Ok(end.executed.base),
            Event::OrderExpired(end) => return Ok(end.executed.base),
            Event::OrderFailed(_) => {
                summary.refused += 1;
                return Ok(Decimal::ZERO);
            }
            _ => {}
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(Cause::Other, Effect::Unknown, "taking", why)
}
