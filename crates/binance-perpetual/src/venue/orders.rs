//! Orders in both directions: D/trade/rest-api.

use connector_core::Decimal;
use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::position::{PositionMode, PositionSide};
use connector_venue::exchange::Exchange;
use connector_venue::orders::{
    AccountId, Amount, EndReason, Execution, Order, Origin, Reject, Submit, Which,
};
use connector_venue::setup::MarketSetup;
use serde_json::{Value, json};
use smol_str::SmolStr;
use spot_binance::family::{side_word, time_in_force_word};
use spot_binance::venue::answer::Refused;
use spot_binance::venue::orders::{self, signed, status, stp_word};
use spot_binance::venue::params::Params;

use super::market::{PERCENT_PRICE, plain, with};
use super::refusals;
use crate::wire::{self, Num};

/// The client order id of every order that deleverages an account.
const DELEVERAGE: &str = "adl_autoclose";

/// How much an answer to a placement tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// The order as it was taken, before anything happened to it.
    Ack,
    /// The order as it is.
    Result,
}

/// Reads a placement and checks it as the venue does before its margin is looked at.
pub(super) fn placement(
    params: Params<'_>,
    account: AccountId,
    exchange: &Exchange,
) -> Result<(Submit, Detail), Refused> {
    let market = params.market(exchange)?;
    let side = orders::side(params)?;
    let word = params.required("type")?;
    for name in ["stopPrice", "activationPrice", "callbackRate", "closePosition"] {
        if matches!(word, "LIMIT" | "MARKET") && !matches!(params.0.get(name), None | Some("false")) {
            return Err(Refused::not_required(name));
        }
    }
    let mut submit = match word {
        "LIMIT" => limit_order(params, market, side, exchange)?,
        "MARKET" => {
            for name in ["price", "timeInForce"] {
                if params.0.get(name).is_some() {
                    return Err(Refused::not_required(name));
                }
            }
            let amount = quantity(params, market)?;
            if market.rules.market_max_amount.is_some_and(|most| amount > most) {
                return Err(refusals::placement(Reject::Rule(connector_venue::orders::Rule::MarketLotSize)));
            }
            Submit::market(&market.symbol, side, Amount::Base(amount))
        }
        "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET" => {
            return Err(refusals::placement(Reject::UnsupportedType));
        }
        _ => return Err(Refused::new(-1116, "Invalid orderType.")),
    };
    submit.position_side = position_side(params)?;
    let hedge = exchange.position_mode(account) == PositionMode::Hedge;
    if hedge && params.0.get("reduceOnly").is_some() {
        // The venue writes the name in lower case here.
        return Err(Refused::not_required("reduceonly"));
    }
    submit.reduce_only = params.flag("reduceOnly")?;
    submit.client_id = client_id(params, "newClientOrderId")?.map(SmolStr::new);
    submit.self_trade = params.optional("selfTradePreventionMode")?.map(orders::self_trade).transpose()?;
    check_notional(&submit, market, exchange)?;
    let detail = match params.optional("newOrderRespType")? {
        None | Some("ACK") => Detail::Ack,
        Some("RESULT") => Detail::Result,
        Some(_) => return Err(Refused::invalid("newOrderRespType")),
    };
    Ok((submit, detail))
}

fn limit_order(
    params: Params<'_>,
    market: &MarketSetup,
    side: Side,
    exchange: &Exchange,
) -> Result<Submit, Refused> {
    let word = params.required("timeInForce")?;
    let amount = quantity(params, market)?;
    let price = match params.optional("priceMatch")?.filter(|word| *word != "NONE") {
        Some(_) if params.0.get("price").is_some() => return Err(Refused::not_required("price")),
        Some(word) => matched_price(word, side, market, exchange)?,
        None => price(params, market)?,
    };
    check_percent(price, side, market, exchange)?;
    if word == "GTX" {
        return Ok(Submit::limit_maker(&market.symbol, side, price, amount));
    }
    let time_in_force = orders::time_in_force(word)?;
    Ok(Submit::limit(&market.symbol, side, price, amount).time_in_force(time_in_force))
}

/// The price some levels deep in the book, on the order's own side or on the other.
fn matched_price(
    word: &str,
    side: Side,
    market: &MarketSetup,
    exchange: &Exchange,
) -> Result<Decimal, Refused> {
    let (own, level) = match word {
        "QUEUE" => (true, 1),
        "QUEUE_5" => (true, 5),
        "QUEUE_10" => (true, 10),
        "QUEUE_20" => (true, 20),
        "OPPONENT" => (false, 1),
        "OPPONENT_5" => (false, 5),
        "OPPONENT_10" => (false, 10),
        "OPPONENT_20" => (false, 20),
        _ => return Err(Refused::new(-5037, "Invalid price match")),
    };
    let depth = exchange.depth(&market.symbol, level).unwrap_or_default();
    let levels = if own == (side == Side::Buy) { depth.bids } else { depth.asks };
    let found = levels.get(level - 1);
    found.map(|level| level.price).ok_or_else(|| Refused::new(-5041, "No depth matches this BBO order"))
}

/// Reads and checks `quantity`.
pub(super) fn quantity(params: Params<'_>, market: &MarketSetup) -> Result<Decimal, Refused> {
    let rules = &market.rules;
    let amount = params.required_number("quantity")?.normalize();
    if amount.scale() > rules.step.normalize().scale() {
        return Err(refusals::imprecise());
    }
    if amount <= Decimal::ZERO {
        return Err(Refused::new(-4003, "Quantity less than or equal to zero."));
    }
    if amount < rules.min_amount {
        return Err(Refused::new(-4004, "Quantity less than min quantity."));
    }
    if amount > rules.max_amount {
        return Err(Refused::new(-4005, "Quantity greater than max quantity."));
    }
    if !is_multiple(amount, rules.step) {
        return Err(Refused::new(-4023, "Qty not increased by step size."));
    }
    Ok(amount)
}

/// Reads and checks `price`.
pub(super) fn price(params: Params<'_>, market: &MarketSetup) -> Result<Decimal, Refused> {
    let rules = &market.rules;
    let price = params.required_number("price")?.normalize();
    if price.scale() > rules.tick.normalize().scale() {
        return Err(refusals::imprecise());
    }
    if price < rules.min_price {
        return Err(Refused::new(-4013, "Price less than min price."));
    }
    if price > rules.max_price {
        return Err(Refused::new(-4002, "Price greater than max price."));
    }
    if !is_multiple(price, rules.tick) {
        return Err(Refused::new(-4014, "Price not increased by tick size."));
    }
    Ok(price)
}

fn is_multiple(value: Decimal, unit: Decimal) -> bool {
    value.checked_rem(unit).is_some_and(|rest| rest.is_zero())
}

/// Buys only go so high above the mark price, and sales only so low below it.
pub(super) fn check_percent(
    price: Decimal,
    side: Side,
    market: &MarketSetup,
    exchange: &Exchange,
) -> Result<(), Refused> {
    let Some(mark) = exchange.mark_price(&market.symbol).map(|told| told.mark_price) else { return Ok(()) };
    let (up, down) = (mark * PERCENT_PRICE.0, mark * PERCENT_PRICE.1);
    let bound = |value: Decimal| plain(value.round_dp(market.rules.tick.normalize().scale()));
    if side == Side::Buy && price > up {
        return Err(Refused::new(-4016, format!("Limit price can't be higher than {}.", bound(up))));
    }
    if side == Side::Sell && price < down {
        return Err(Refused::new(-4024, format!("Limit price can't be lower than {}.", bound(down))));
    }
    Ok(())
}

fn check_notional(submit: &Submit, market: &MarketSetup, exchange: &Exchange) -> Result<(), Refused> {
    let mark = || exchange.mark_price(&market.symbol).map(|told| told.mark_price);
    let (Amount::Base(amount), Some(price)) = (submit.amount, submit.price.or_else(mark)) else {
        return Ok(());
    };
    if !submit.reduce_only && price * amount < market.rules.min_notional {
        return Err(refusals::min_notional(market.rules.min_notional));
    }
    Ok(())
}

/// Reads `positionSide`, which is of the net position where it is absent.
pub(super) fn position_side(params: Params<'_>) -> Result<PositionSide, Refused> {
    match params.optional("positionSide")? {
        None | Some("BOTH") => Ok(PositionSide::Both),
        Some("LONG") => Ok(PositionSide::Long),
        Some("SHORT") => Ok(PositionSide::Short),
        Some(_) => Err(Refused::new(-4060, "Invalid position side.")),
    }
}

/// The venue's word for a position or a leg of one.
pub(super) const fn position_side_word(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Both => "BOTH",
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
    }
}

/// Reads a client order id.
pub(super) fn client_id<'a>(params: Params<'a>, name: &str) -> Result<Option<&'a str>, Refused> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'_' | b'-');
    match params.optional(name)? {
        Some(id) if id.len() > 36 => {
            Err(Refused::new(-4015, "Client order id length should not be more than 36 chars"))
        }
        Some(id) if !id.bytes().all(legal) => Err(Refused::illegal(name, "^[\\.A-Z\\:/a-z0-9_-]{1,36}$")),
        other => Ok(other),
    }
}

/// Which order is meant; the venue's id wins.
pub(super) fn which(params: Params<'_>) -> Result<Which, Refused> {
    match (params.integer("orderId")?, client_id(params, "origClientOrderId")?) {
        (Some(id), _) => Ok(Which::Id(id)),
        (None, Some(client)) => Ok(Which::Client(SmolStr::new(client))),
        (None, None) => Err(Refused::missing("orderId")),
    }
}

/// The client order id as it is told.
pub(super) fn told_client_id(order: &Order) -> &str {
    if order.origin == Origin::Deleverage { DELEVERAGE } else { &order.client_id }
}

/// The venue's word for an order's type.
pub(super) const fn type_word(order: &Order) -> &'static str {
    match (order.origin, order.order_type) {
        (Origin::Liquidation, _) => "LIQUIDATION",
        (Origin::Settlement, _) | (_, OrderType::Market) => "MARKET",
        _ => "LIMIT",
    }
}

/// The venue's word for an order's time in force: post-only is one.
pub(super) const fn time_in_force(order: &Order) -> &'static str {
    match order.order_type {
        OrderType::LimitMaker => "GTX",
        OrderType::Market => time_in_force_word(TimeInForce::Gtc),
        OrderType::Limit => time_in_force_word(order.time_in_force),
    }
}

/// The average price of what has been executed, zero if nothing has.
pub(super) fn average(order: &Order) -> Decimal {
    order.filled_quote.checked_div(order.filled).unwrap_or_default().round_dp(8).normalize()
}

fn value(order: &wire::Order<'_>) -> Value {
    // Texts and numbers only: this cannot fail.
    serde_json::to_value(order).unwrap_or_default()
}

/// What all answers about an order have in common.
fn common(order: &Order) -> wire::Order<'_> {
    wire::Order {
        order_id: signed(order.id),
        symbol: &order.symbol,
        status: status(order),
        client_order_id: told_client_id(order),
        price: Num(order.price.unwrap_or_default()),
        orig_qty: Num(order.amount),
        executed_qty: Num(order.filled),
        time_in_force: time_in_force(order),
        order_type: type_word(order),
        orig_type: type_word(order),
        reduce_only: order.reduce_only,
        side: side_word(order.side),
        position_side: position_side_word(order.position_side),
        working_type: "CONTRACT_PRICE",
        price_match: "NONE",
        self_trade_prevention_mode: stp_word(order.self_trade),
        update_time: order.updated.millis(),
        ..wire::Order::default()
    }
}

/// The answer to a cancel, and to a placement whose outcome is wanted.
pub(super) fn acted(order: &Order) -> Value {
    value(&wire::Order { cum_qty: Some(Num(order.filled)), ..common(order) })
}

/// The answer to a placement.
pub(super) fn placed(order: &Order, detail: Detail) -> Value {
    if detail == Detail::Result {
        return acted(order);
    }
    let nothing = Num(Decimal::ZERO);
    value(&wire::Order {
        status: "NEW",
        executed_qty: nothing,
        cum_qty: Some(nothing),
        update_time: order.created.millis(),
        ..common(order)
    })
}

/// The answer to a modification.
pub(super) fn modified(order: &Order, modify_id: Option<u64>) -> Value {
    let more = match modify_id {
        Some(id) => json!({ "pair": order.symbol, "modifyId": id }),
        None => json!({ "pair": order.symbol }),
    };
    with(acted(order), more)
}

/// The answer to a query, and an entry of `openOrders`.
pub(super) fn queried(order: &Order) -> Value {
    value(&wire::Order {
        avg_price: Some(Num(average(order))),
        cum_quote: Some(Num(order.filled_quote)),
        time: Some(order.created.millis()),
        ..common(order)
    })
}

/// An entry of `allOrders` and `forceOrders`.
pub(super) fn listed(order: &Order) -> Value {
    with(queried(order), json!({ "pair": order.symbol, "cumBase": Num(order.filled) }))
}

/// One entry of `userTrades`.
pub(super) fn fill(execution: &Execution, margin_asset: &str) -> Value {
    let trade = wire::UserTrade {
        symbol: &execution.symbol,
        id: signed(execution.trade_id),
        order_id: signed(execution.order_id),
        side: side_word(execution.side),
        price: Num(execution.price),
        qty: Num(execution.amount),
        realized_pnl: Num(execution.realised_pnl),
        quote_qty: Num(execution.quote),
        commission: Num(execution.commission),
        commission_asset: execution.commission_asset.as_str(),
        time: execution.time.millis(),
        position_side: position_side_word(execution.position_side),
        buyer: execution.is_buyer(),
        maker: execution.is_maker,
    };
    let more = json!({
        "baseQty": Num(execution.amount), "marginAsset": margin_asset, "pair": execution.symbol,
    });
    with(serde_json::to_value(trade).unwrap_or_default(), more)
}

/// Why an order expired, as its events tell it: D/user-data-streams/Event-Order-Update.
pub(super) const fn expiry_reason(order: &Order) -> &'static str {
    match order.reason {
        Some(EndReason::SelfTrade) => "1",
        Some(EndReason::ImmediateOrCancel) => "2",
        Some(EndReason::ReduceOnly | EndReason::Deleveraged) => "4",
        Some(EndReason::Liquidated) => "5",
        Some(EndReason::MarketClosed) => "7",
        Some(EndReason::NoLiquidity) => "9",
        _ => "0",
    }
}
