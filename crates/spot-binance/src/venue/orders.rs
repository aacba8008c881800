//! Orders in both directions: what a placement asks for, and how orders and executions are told.

use connector_core::Decimal;
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_venue::ledger::Balance;
use connector_venue::news::What;
use connector_venue::orders::{Amount, EndReason, Execution, Order, Reject, SelfTrade, Submit, Which};
use serde_json::{Value, json};
use smol_str::{SmolStr, SmolStrBuilder};

use crate::family::{self, side_word, time_in_force_word};
use crate::rest::type_word;
use crate::venue::answer::Refused;
use crate::venue::params::Params;
use crate::wire::{self, Num};

/// How much an answer to a placement tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Ack,
    Result,
    Full,
}

/// Reads a placement: D/rest-api/trading-endpoints (new order). `symbol` has been checked.
pub(super) fn placement(params: Params<'_>, symbol: &str) -> Result<(Submit, Detail), Refused> {
    let side = side(params)?;
    let order_type = order_type(params.required("type")?)?;
    let client_id = params.client_id("newClientOrderId")?;
    let mut submit = match order_type {
        OrderType::Market => market_order(params, symbol, side)?,
        OrderType::Limit => {
            let time_in_force = time_in_force(params.required("timeInForce")?)?;
            let (amount, price) = (params.required_number("quantity")?, params.required_number("price")?);
            Submit::limit(symbol, side, price, amount).time_in_force(time_in_force)
        }
        OrderType::LimitMaker => {
            if params.0.get("timeInForce").is_some() {
                return Err(Refused::not_required("timeInForce"));
            }
            let (amount, price) = (params.required_number("quantity")?, params.required_number("price")?);
            Submit::limit_maker(symbol, side, price, amount)
        }
    };
    for name in ["stopPrice", "trailingDelta"] {
        if params.0.get(name).is_some() {
            return Err(Refused::not_required(name));
        }
    }
    submit.client_id = client_id.map(SmolStr::new);
    submit.self_trade = params.optional("selfTradePreventionMode")?.map(self_trade).transpose()?;
    let detail = match params.optional("newOrderRespType")? {
        Some("ACK") => Detail::Ack,
        Some("RESULT") => Detail::Result,
        Some("FULL") => Detail::Full,
        Some(_) => return Err(Refused::invalid("newOrderRespType")),
        None if order_type == OrderType::LimitMaker => Detail::Ack,
        None => Detail::Full,
    };
    Ok((submit, detail))
}

/// Reads which side an order is for.
///
/// # Errors
/// It is missing, or there is no such side.
pub fn side(params: Params<'_>) -> Result<Side, Refused> {
    match params.required("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Refused::new(-1117, "Invalid side.")),
    }
}

fn market_order(params: Params<'_>, symbol: &str, side: Side) -> Result<Submit, Refused> {
    for name in ["price", "timeInForce"] {
        if params.0.get(name).is_some() {
            return Err(Refused::not_required(name));
        }
    }
    let amount = match (params.number("quantity")?, params.number("quoteOrderQty")?) {
        (Some(amount), None) => Amount::Base(amount),
        (None, Some(amount)) => Amount::Quote(amount),
        (Some(_), Some(_)) => return Err(Refused::not_required("quoteOrderQty")),
        (None, None) => return Err(Refused::missing_both("quantity", "quoteOrderQty")),
    };
    Ok(Submit::market(symbol, side, amount))
}

fn order_type(word: &str) -> Result<OrderType, Refused> {
    let unsupported =
        |name: &str| Refused::new(-2010, format!("{name} orders are not supported for this symbol."));
    if let Some(known) = family::order_type(word, None) {
        return Ok(known);
    }
    Err(match word {
        "STOP_LOSS" => unsupported("Stop loss"),
        "STOP_LOSS_LIMIT" => unsupported("Stop loss limit"),
        "TAKE_PROFIT" => unsupported("Take profit"),
        "TAKE_PROFIT_LIMIT" => unsupported("Take profit limit"),
        _ => Refused::new(-1116, "Invalid orderType."),
    })
}

/// Reads a time in force.
///
/// # Errors
/// There is no such word.
pub fn time_in_force(word: &str) -> Result<TimeInForce, Refused> {
    match word {
        "GTC" => Ok(TimeInForce::Gtc),
        "IOC" => Ok(TimeInForce::Ioc),
        "FOK" => Ok(TimeInForce::Fok),
        _ => Err(Refused::new(-1115, "Invalid timeInForce.")),
    }
}

/// Reads a word for self-trade prevention.
///
/// # Errors
/// There is no such word.
pub fn self_trade(word: &str) -> Result<SelfTrade, Refused> {
    match word {
        "NONE" => Ok(SelfTrade::Allow),
        "EXPIRE_MAKER" => Ok(SelfTrade::ExpireMaker),
        "EXPIRE_TAKER" => Ok(SelfTrade::ExpireTaker),
        "EXPIRE_BOTH" => Ok(SelfTrade::ExpireBoth),
        _ => Err(Refused::invalid("selfTradePreventionMode")),
    }
}

/// The venue's word for self-trade prevention.
#[must_use]
pub const fn stp_word(self_trade: SelfTrade) -> &'static str {
    match self_trade {
        SelfTrade::ExpireMaker => "EXPIRE_MAKER",
        SelfTrade::ExpireTaker => "EXPIRE_TAKER",
        SelfTrade::ExpireBoth => "EXPIRE_BOTH",
        _ => "NONE",
    }
}

/// Which order a query or a cancel means, and the client id it must have besides.
pub(super) fn which<'a>(params: Params<'a>) -> Result<(Which, Option<&'a str>), Refused> {
    let client = params.client_id("origClientOrderId")?;
    match (params.integer("orderId")?, client) {
        (Some(id), client) => Ok((Which::Id(id), client)),
        (None, Some(client)) => Ok((Which::Client(SmolStr::new(client)), None)),
        (None, None) => Err(Refused::missing_both("origClientOrderId", "orderId")),
    }
}

/// An id of the form the venue makes up: the same for the same order and time.
#[must_use]
pub fn made_up_id(order_id: u64, time: UnixNanos) -> SmolStr {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = order_id ^ time.0.unsigned_abs();
    let mut text = SmolStrBuilder::new();
    for _ in 0..22 {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let index = usize::try_from((mixed ^ (mixed >> 31)) % 62).unwrap_or(0);
        text.push(LETTERS.get(index).copied().map_or('0', char::from));
    }
    text.finish()
}

/// The venue's word for an order's state.
#[must_use]
pub const fn status(order: &Order) -> &'static str {
    match (order.state, order.reason) {
        (OrderState::PartiallyFilled, _) => "PARTIALLY_FILLED",
        (OrderState::Filled, _) => "FILLED",
        (OrderState::Cancelled, _) => "CANCELED",
        (OrderState::Expired, Some(EndReason::SelfTrade)) => "EXPIRED_IN_MATCH",
        (OrderState::Expired, _) => "EXPIRED",
        (OrderState::Failed, _) => "REJECTED",
        _ => "NEW",
    }
}

/// Why an order expired: D/user-data-stream (order expiry reason).
const fn expiry_reason(order: &Order) -> Option<&'static str> {
    match (order.state, order.reason) {
        (OrderState::Expired, Some(reason)) => match reason {
            EndReason::ImmediateOrCancel => Some("UNFILLED_IOC_QUANTITY_EXPIRED"),
            EndReason::FillOrKill => Some("UNFILLED_FOK_ORDER_EXPIRED"),
            EndReason::NoLiquidity => Some("INSUFFICIENT_LIQUIDITY"),
            EndReason::MarketClosed | EndReason::Administrative => Some("EXCHANGE_CANCELED"),
            _ => None,
        },
        _ => None,
    }
}

/// An id as a signed number.
#[must_use]
pub fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// What all answers about an order have in common.
fn common(order: &Order) -> wire::Order<'_> {
    wire::Order {
        symbol: &order.symbol,
        order_id: signed(order.id),
        order_list_id: -1,
        client_order_id: &order.client_id,
        price: Some(Num(order.price.unwrap_or_default())),
        orig_qty: Some(Num(order.amount)),
        executed_qty: Some(Num(order.filled)),
        orig_quote_order_qty: Some(Num(order.quote_amount.unwrap_or_default())),
        cummulative_quote_qty: Some(Num(order.filled_quote)),
        status: Some(status(order)),
        time_in_force: Some(time_in_force_word(order.time_in_force)),
        order_type: Some(type_word(order.order_type)),
        side: Some(side_word(order.side)),
        self_trade_prevention_mode: Some(stp_word(order.self_trade)),
        ..wire::Order::default()
    }
}

fn value(order: &wire::Order<'_>) -> Value {
    // Texts and numbers only: this cannot fail.
    serde_json::to_value(order).unwrap_or_default()
}

/// The answer to a placement.
pub(super) fn placed(order: &Order, executions: &[Execution], detail: Detail) -> Value {
    if detail == Detail::Ack {
        return value(&wire::Order {
            symbol: &order.symbol,
            order_id: signed(order.id),
            order_list_id: -1,
            client_order_id: &order.client_id,
            transact_time: Some(order.updated.millis()),
            ..wire::Order::default()
        });
    }
    let fills = executions.iter().map(|execution| wire::OrderFill {
        price: Num(execution.price),
        qty: Num(execution.amount),
        commission: Num(execution.commission),
        commission_asset: execution.commission_asset.as_str(),
        trade_id: signed(execution.trade_id),
    });
    value(&wire::Order {
        transact_time: Some(order.updated.millis()),
        working_time: Some(order.working_since.unwrap_or(order.created).millis()),
        expiry_reason: expiry_reason(order),
        fills: (detail == Detail::Full).then(|| fills.collect()),
        ..common(order)
    })
}

/// The answer to a cancel. `cancel_id` is the cancel's own client id.
pub(super) fn cancelled(order: &Order, cancel_id: &str) -> Value {
    value(&wire::Order {
        orig_client_order_id: Some(&order.client_id),
        client_order_id: cancel_id,
        transact_time: Some(order.updated.millis()),
        ..common(order)
    })
}

/// The answer to a query, and an entry of a list of orders.
pub(super) fn queried(order: &Order) -> Value {
    value(&wire::Order {
        stop_price: Some(Num(Decimal::ZERO)),
        iceberg_qty: Some(Num(Decimal::ZERO)),
        time: Some(order.created.millis()),
        update_time: Some(order.updated.millis()),
        is_working: Some(true),
        working_time: Some(order.working_since.unwrap_or(order.created).millis()),
        expiry_reason: expiry_reason(order),
        ..common(order)
    })
}

/// One entry of `myTrades`.
pub(super) fn my_trade(execution: &Execution) -> Value {
    let trade = wire::MyTrade {
        symbol: &execution.symbol,
        id: signed(execution.trade_id),
        order_id: signed(execution.order_id),
        order_list_id: -1,
        price: Num(execution.price),
        qty: Num(execution.amount),
        quote_qty: Num(execution.quote),
        commission: Num(execution.commission),
        commission_asset: execution.commission_asset.as_str(),
        time: execution.time.millis(),
        is_buyer: execution.is_buyer(),
        is_maker: execution.is_maker,
        is_best_match: true,
    };
    serde_json::to_value(trade).unwrap_or_default()
}

/// `executionReport`: D/user-data-stream (order update).
pub(super) fn execution_report(order: &Order, what: &What, time: UnixNanos) -> Value {
    let (execution_type, execution, cancel_id, reject_reason) = match what {
        What::Trade(execution) => ("TRADE", Some(execution), None, "NONE"),
        What::Cancelled { cancel_id } => ("CANCELED", None, Some(cancel_id.as_str()), "NONE"),
        What::Expired if order.reason == Some(EndReason::SelfTrade) => {
            ("TRADE_PREVENTION", None, None, "NONE")
        }
        What::Expired => ("EXPIRED", None, None, "NONE"),
        What::Rejected(reject) => ("REJECTED", None, None, reject_word(reject)),
        What::Replaced => ("REPLACED", None, None, "NONE"),
        _ => ("NEW", None, None, "NONE"),
    };
    let zero = Num(Decimal::ZERO);
    let report = wire::ExecutionReport {
        e: "executionReport",
        event_time: time.millis(),
        symbol: &order.symbol,
        client_order_id: cancel_id.unwrap_or(&order.client_id),
        side: side_word(order.side),
        order_type: type_word(order.order_type),
        time_in_force: time_in_force_word(order.time_in_force),
        quantity: Num(order.amount),
        price: Num(order.price.unwrap_or_default()),
        stop_price: zero,
        iceberg_quantity: zero,
        order_list_id: -1,
        orig_client_order_id: if cancel_id.is_some() { &order.client_id } else { "" },
        execution_type,
        status: status(order),
        reject_reason,
        order_id: signed(order.id),
        last_quantity: execution.map_or(zero, |execution| Num(execution.amount)),
        filled_quantity: Num(order.filled),
        last_price: execution.map_or(zero, |execution| Num(execution.price)),
        commission: Some(execution.map_or(zero, |execution| Num(execution.commission))),
        commission_asset: execution.map(|execution| execution.commission_asset.as_str()),
        transact_time: time.millis(),
        trade_id: execution.map_or(-1, |execution| signed(execution.trade_id)),
        execution_id: execution.map_or_else(|| signed(order.id), |execution| signed(execution.execution_id)),
        on_book: order.is_live(),
        maker: execution.is_some_and(|execution| execution.is_maker),
        ignore: false,
        created: order.created.millis(),
        filled_quote: Num(order.filled_quote),
        last_quote: execution.map_or(zero, |execution| Num(execution.quote)),
        quote_quantity: Num(order.quote_amount.unwrap_or_default()),
        working_time: order.working_since.map(UnixNanos::millis),
        stp_mode: stp_word(order.self_trade),
        expiry_reason: expiry_reason(order),
    };
    serde_json::to_value(report).unwrap_or_default()
}

/// D/user-data-stream (order reject reason).
const fn reject_word(reject: &Reject) -> &'static str {
    match reject {
        Reject::InsufficientBalance => "INSUFFICIENT_BALANCES",
        Reject::WouldTake => "WOULD_MATCH_IMMEDIATELY",
        _ => "NONE",
    }
}

/// `outboundAccountPosition`: D/user-data-stream (account update).
pub(super) fn account_position(balances: &[(connector_core::Asset, Balance)], time: UnixNanos) -> Value {
    let balances: Vec<wire::PositionEntry<'_>> = balances
        .iter()
        .map(|(asset, balance)| wire::PositionEntry {
            asset: asset.as_str(),
            free: Num(balance.free),
            locked: Num(balance.locked),
        })
        .collect();
    json!({ "e": "outboundAccountPosition", "E": time.millis(), "u": time.millis(), "B": balances })
}
