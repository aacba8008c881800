//! Requests about orders, one or several: what they ask.

use smol_str::SmolStr;

use super::Job;
use super::drafts::write;
use crate::dialect::{BatchRest, Dialect, Draft, OrderQuery, PlaceQuery, Row};
use crate::engine::{Engine, unknown_pair};
use crate::error::Error;
use crate::id::ClientOrderId;
use crate::order::{OrderType, TrackedOrder};
use crate::pair::Pair;
use crate::position::PositionAction;

impl<D: Dialect> Engine<D> {
    pub(super) fn symbol_of(&self, pair: &Pair) -> Result<SmolStr, Error> {
        self.symbols.symbol(pair).cloned().ok_or_else(|| unknown_pair(pair))
    }

    pub(super) fn known_order(&self, id: &ClientOrderId) -> Result<&TrackedOrder, Error> {
        self.tracker
            .get(id)
            .ok_or_else(|| Error::usage("order", "is not an order of this connector").about(id.as_str()))
    }

    pub(super) fn order_query(&self, id: &ClientOrderId) -> Result<OrderQuery, Error> {
        let order = self.known_order(id)?;
        Ok(OrderQuery {
            symbol: self.symbol_of(&order.order().pair)?,
            client_order_id: Some(id.clone()),
            exchange_order_id: order.exchange_order_id().cloned(),
        })
    }

    pub(super) fn place_query(&self, id: &ClientOrderId) -> Result<PlaceQuery, Error> {
        let order = self.known_order(id)?.order();
        let symbol = self.symbol_of(&order.pair)?;
        Ok(PlaceQuery {
            client_order_id: id.clone(),
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            amount: order.amount,
            price: order.price.filter(|_| order.order_type != OrderType::Market),
            contract_size: self.symbols.contract_size(&symbol),
            position_side: self.position_side(order),
            reduce_only: order.action == Some(PositionAction::Close),
            symbol,
        })
    }

    /// A request about several orders.
    pub(super) fn draft_batch(
        &self,
        batch: &'static BatchRest,
        job: &Job,
    ) -> Result<(&'static Row, Draft), Error> {
        Ok(match job {
            Job::PlaceMany(ids) => {
                let queries = ids.iter().map(|id| self.place_query(id)).collect::<Result<_, _>>()?;
                write(&batch.place, &queries)
            }
            Job::CancelMany(ids) => {
                let queries = ids.iter().map(|id| self.order_query(id)).collect::<Result<_, _>>()?;
                write(&batch.cancel, &queries)
            }
            _ => return Err(Error::usage("request", "is not about several orders")),
        })
    }
}
