//! Orders: the words they are described in, how one is asked for, and how an answer about one reads.

use connector_core::dialect::{
    DecodeError, Draft, FillsQuery, OpenOrdersQuery, OrderQuery, Payload, Symbols,
};
use connector_core::json::{Json, each, parse_answer, read_members, required_list};
use connector_core::message::{Message, OrderReport, Sink};
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{ClientOrderId, Decimal, ExchangeOrderId};

/// Most rows in a page of fills.
pub const FILLS_PAGE: u32 = 1000;

/// Writes which order is meant. One id is enough, and the venue's own is the safer: a cancelled spot order may answer to a new
/// client order id.
pub fn encode_order_query(query: &OrderQuery, draft: &mut Draft) {
    draft.query.push("symbol", &query.symbol);
    match (&query.exchange_order_id, &query.client_order_id) {
        (Some(id), _) => draft.query.push("orderId", id),
        (None, id) => draft.query.push_some("origClientOrderId", id.as_ref()),
    }
}

/// Writes whose open orders are meant.
pub fn encode_open_orders(query: &OpenOrdersQuery, draft: &mut Draft) {
    draft.query.push_some("symbol", query.symbol.as_ref());
}

/// Writes which fills are meant. The venue takes these together: an order, a first id, both, or a start time alone.
pub fn encode_fills(query: &FillsQuery, draft: &mut Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push_some("orderId", query.exchange_order_id.as_ref());
    params.push_some("fromId", query.from.as_ref());
    if query.exchange_order_id.is_none() && query.from.is_none() {
        params.push_some("startTime", query.since.map(UnixNanos::millis));
    }
    params.push("limit", query.limit.clamp(1, FILLS_PAGE));
}

/// What an answer says of an order: placed, cancelled, queried or listed. Which members occur depends on which.
#[derive(Debug, Default)]
pub struct OrderAnswer<'i> {
    symbol: &'i str,
    order_id: i64,
    client_order_id: &'i str,
    /// Only where a spot order was cancelled: the order's id. `client_order_id` is then the cancel's.
    orig_client_order_id: Option<&'i str>,
    status: Option<&'i str>,
    order_type: Option<&'i str>,
    time_in_force: Option<&'i str>,
    side: Option<&'i str>,
    price: Option<Decimal>,
    orig_qty: Option<Decimal>,
    executed_qty: Option<Decimal>,
    transact_time: Option<i64>,
    update_time: Option<i64>,
    expiry_reason: Option<&'i str>,
}

impl<'i> OrderAnswer<'i> {
    /// Takes one member, straight off the parser's tape: it is on the way of every order. Members that are not needed are passed
    /// over.
    ///
    /// # Errors
    /// The member is malformed.
    pub fn take(&mut self, what: &'static str, name: &str, value: Json<'_, 'i>) -> Result<(), DecodeError> {
        let malformed = || DecodeError::missing(what, name);
        let text = || value.text().ok_or_else(malformed);
        let int = || value.int().ok_or_else(malformed);
        let number = || value.decimal().map(Some).ok_or_else(malformed);
        match name {
            _ if value.is_null() => {}
            "symbol" => self.symbol = text()?,
            "orderId" => self.order_id = int()?,
            "clientOrderId" => self.client_order_id = text()?,
            "origClientOrderId" => self.orig_client_order_id = Some(text()?),
            "status" => self.status = Some(text()?),
            "type" => self.order_type = Some(text()?),
            "timeInForce" => self.time_in_force = Some(text()?),
            "side" => self.side = Some(text()?),
            "price" => self.price = number()?,
            "origQty" => self.orig_qty = number()?,
            "executedQty" => self.executed_qty = number()?,
            "transactTime" => self.transact_time = Some(int()?),
            "updateTime" => self.update_time = Some(int()?),
            "expiryReason" => self.expiry_reason = Some(text()?),
            _ => {}
        }
        Ok(())
    }

    /// What it says, in neutral words.
    ///
    /// # Errors
    /// It does not say of which order.
    pub fn report(&self, symbols: &Symbols, what: &'static str) -> Result<OrderReport, DecodeError> {
        if self.symbol.is_empty() || self.order_id <= 0 {
            return Err(DecodeError::new(what, "`symbol` or `orderId` is missing"));
        }
        // An answer without a status only says that the order was accepted.
        let state = self.status.map_or(OrderState::Open, order_state);
        let order_type = self.order_type.and_then(|word| order_type(word, self.time_in_force));
        let id = self.orig_client_order_id.unwrap_or(self.client_order_id);
        Ok(OrderReport {
            market: symbols.market(self.symbol),
            client_order_id: (!id.is_empty()).then(|| ClientOrderId::new(id)),
            exchange_order_id: Some(ExchangeOrderId::from(self.order_id)),
            state,
            side: self.side.and_then(side),
            order_type,
            price: self.price.and_then(|price| limit_price(price, order_type)),
            amount: self.orig_qty,
            filled_amount: self.executed_qty,
            reason: reason(state, self.status, self.expiry_reason),
            time: self.update_time.or(self.transact_time).map(UnixNanos::from_millis),
        })
    }
}

/// Reads an answer about one order. `what` names it in errors.
///
/// # Errors
/// It is no object, a member is malformed, or it does not say of which order.
pub fn decode_order(what: &'static str, payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    let mut order = OrderAnswer::default();
    read_members(what, bytes, |name, value| order.take(what, name, value))?;
    out.message(Message::Order(order.report(symbols, what)?));
    Ok(())
}

/// Reads a list of orders.
///
/// # Errors
/// It is no list.
pub fn decode_open_orders(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    parse_answer("open_orders", bytes, |json| {
        each(required_list(Some(json), "open_orders")?, "symbol", out, |entry| {
            let mut order = OrderAnswer::default();
            entry.members().try_for_each(|(name, value)| order.take("order", name, value))?;
            Ok([Message::Order(order.report(symbols, "order")?)])
        });
        Ok(())
    })
}

/// The venue's word for an order's state. A new word is not guessed at.
#[must_use]
pub fn order_state(word: &str) -> OrderState {
    match word {
        "NEW" | "PENDING_NEW" => OrderState::Open,
        "PARTIALLY_FILLED" => OrderState::PartiallyFilled,
        "FILLED" => OrderState::Filled,
        "CANCELED" => OrderState::Cancelled,
        "PENDING_CANCEL" => OrderState::PendingCancel,
        "REJECTED" => OrderState::Failed,
        "EXPIRED" | "EXPIRED_IN_MATCH" => OrderState::Expired,
        _ => OrderState::Unknown,
    }
}

/// Why the order ended; for a state whose word is new to us, the word.
#[must_use]
pub fn reason(state: OrderState, status: Option<&str>, given: Option<&str>) -> Option<String> {
    let word = if state == OrderState::Unknown { status } else { None };
    given.or(word).map(ToOwned::to_owned)
}

/// The limit price, where the type has one.
#[must_use]
pub fn limit_price(price: Decimal, order_type: Option<OrderType>) -> Option<Decimal> {
    (order_type != Some(OrderType::Market) && !price.is_zero()).then_some(price)
}

/// The venue's word for a side.
#[must_use]
pub fn side(word: &str) -> Option<Side> {
    match word {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// The venue's words for an order type; `None` for types we do not place. Where post-only is no type of its own, it is a time
/// in force (`GTX`).
#[must_use]
pub fn order_type(word: &str, time_in_force: Option<&str>) -> Option<OrderType> {
    match (word, time_in_force) {
        ("LIMIT", Some("GTX")) | ("LIMIT_MAKER", _) => Some(OrderType::LimitMaker),
        ("LIMIT", _) => Some(OrderType::Limit),
        ("MARKET", _) => Some(OrderType::Market),
        _ => None,
    }
}

/// The word for a side.
#[must_use]
pub const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// The word for a time in force.
#[must_use]
pub const fn time_in_force_word(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::Gtc => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
    }
}
