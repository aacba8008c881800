//! Streams: how frames read.

use connector_core::dialect::{DecodeError, Frame, LinkRole, Symbols};
use connector_core::json::Json;
use connector_core::message::{
    BalanceReport, Fee, Fill, FundingInfo, FundingPaid, LeverageReport, MarginCall, Message, OrderReport,
    PositionReport, Session, SessionKind, Sink,
};
use connector_core::number::parse_decimal;
use connector_core::position::{PositionCause, PositionSide};
use connector_core::time::UnixNanos;
use connector_core::{Asset, ClientOrderId, ExchangeOrderId, TradeId};
use smol_str::SmolStr;
use spot_binance::family::{self, need};

use crate::account::{margin_mode, position, position_side};
use crate::rest::time;
use crate::spec::SPEC;
use crate::{hot, wire};

/// Decodes a frame of any link.
pub(crate) fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Frame { role, bytes, symbols, bids, asks } = frame;
    let scanned = role == LinkRole::Public && hot::frame(bytes, symbols, (bids, asks), out).is_some();
    if scanned {
        Ok(())
    } else {
        family::frame(&SPEC, bytes, symbols, (bids, asks), out, |name, json, out| {
            event(name, json, symbols, out)
        })
    }
}

/// Reads an event that spot does not have.
fn event(name: &str, json: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    let session = |kind| Message::Session(Session { kind, id: None, detail: Some(SmolStr::new(name)) });
    match name {
        "aggTrade" => family::trade(json, "a", symbols, out)?,
        "markPriceUpdate" => mark_price(json, symbols, out)?,
        "ORDER_TRADE_UPDATE" => order_update(&json.read("ORDER_TRADE_UPDATE")?, symbols, out)?,
        "ACCOUNT_UPDATE" => account_update(&json.read("ACCOUNT_UPDATE")?, symbols, out),
        "MARGIN_CALL" => margin_call(&json.read("MARGIN_CALL")?, symbols, out),
        "ACCOUNT_CONFIG_UPDATE" => match json.get("ac") {
            Some(change) => {
                let change: wire::LeverageChange<'_> = change.read("ACCOUNT_CONFIG_UPDATE")?;
                out.message(Message::Leverage(LeverageReport {
                    market: symbols.market(change.symbol),
                    leverage: Some(change.leverage.into()),
                    margin_mode: None,
                }));
            }
            // The only other content is the multi-assets mode.
            None => out.message(session(SessionKind::Notice)),
        },
        "listenKeyExpired" => out.message(session(SessionKind::Expired)),
        // Fills ahead of time, without fee and state: the order's own event follows.
        "TRADE_LITE" => {}
        // Orders with a trigger, which are not placed here, and the venue's own strategies.
        "ALGO_UPDATE" | "CONDITIONAL_ORDER_TRIGGER_REJECT" | "STRATEGY_UPDATE" | "GRID_UPDATE" => {
            out.message(session(SessionKind::Notice));
        }
        // Market streams we do not subscribe to.
        "kline" | "continuous_kline" | "24hrMiniTicker" | "24hrTicker" | "forceOrder" | "compositeIndex"
        | "contractInfo" | "assetIndexUpdate" => {}
        _ => out.message(Message::Skipped { error: format!("unknown event `{name}`") }),
    }
    Ok(())
}

/// Mark and index price and the next funding. Contracts that are delivered have no rate, and zero for its time.
fn mark_price(event: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    const WHAT: &str = "markPriceUpdate";
    out.message(Message::FundingInfo(FundingInfo {
        market: symbols.market(need(event, WHAT, "s", Json::text)?),
        mark_price: Some(need(event, WHAT, "p", Json::decimal)?),
        index_price: Some(need(event, WHAT, "i", Json::decimal)?),
        rate: parse_decimal(need(event, WHAT, "r", Json::text)?.as_bytes()),
        next_time: time(need(event, WHAT, "T", Json::int)?),
        time: event.get("E").and_then(Json::millis),
    }));
    Ok(())
}

/// Why an order that the account did not place was traded: its id says so, and the type of some.
fn cause(order: &wire::OrderUpdate<'_>) -> Option<PositionCause> {
    let id = order.client_order_id;
    if id.starts_with("adl_autoclose") {
        Some(PositionCause::AutoDeleverage)
    } else if id.starts_with("settlement_autoclose-") || id.starts_with("delivery_autoclose-") {
        Some(PositionCause::Settlement)
    } else if id.starts_with("autoclose-") || order.order_type == "LIQUIDATION" {
        Some(PositionCause::Liquidation)
    } else {
        None
    }
}

/// Why an order ended, by the venue's number for it. D/user-data-streams/Event-Order-Update.
fn expiry_reason(number: &str) -> Option<&str> {
    Some(match number {
        "" | "0" => return None,
        "1" => "self-trade prevention",
        "2" => "IOC order could not be filled completely",
        "3" => "IOC order could not be filled completely without a self-trade",
        "4" => "knocked out by another reduce-only order, or it would have reversed the position",
        "5" => "the account was liquidated",
        "6" => "GTE condition unsatisfied",
        "7" => "the symbol is delisted",
        "8" => "the stop order it came from was triggered",
        "9" => "market order could not be filled completely",
        new => new,
    })
}

fn order_update(
    event: &wire::OrderTradeUpdate<'_>,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "ORDER_TRADE_UPDATE";
    let order = &event.o;
    let (market, side) = (symbols.market(order.symbol), family::side(order.side));
    let id = Some(order.client_order_id).filter(|id| !id.is_empty()).map(ClientOrderId::new);
    let exchange_order_id = Some(ExchangeOrderId::from(order.order_id));
    let told = Some(UnixNanos::from_millis(event.transact_time));
    // A liquidation is traded under a word of its own.
    let traded = matches!(order.execution_type, "TRADE" | "CALCULATED");
    if traded && order.trade_id > 0 {
        let fee = order.commission_asset.zip(order.commission);
        out.message(Message::Fill(Fill {
            market: market.clone(),
            trade_id: TradeId::from(order.trade_id),
            client_order_id: id.clone(),
            exchange_order_id: exchange_order_id.clone(),
            side: side.ok_or_else(|| DecodeError::missing(WHAT, "S"))?,
            position_side: position_side(order.position_side),
            price: order.last_price.0,
            amount: order.last_quantity.0,
            fee: fee.map(|(asset, wire::Num(amount))| Fee { asset: Asset::new(asset), amount }),
            maker: Some(order.maker),
            cause: cause(order),
            time: time(order.trade_time).or(told),
        }));
    }
    let state = family::order_state(order.status);
    let order_type = family::order_type(order.order_type, Some(order.time_in_force));
    let reason = family::reason(state, Some(order.status), expiry_reason(order.expiry_reason));
    out.message(Message::Order(OrderReport {
        market,
        client_order_id: id,
        exchange_order_id,
        side,
        order_type,
        state,
        price: family::limit_price(order.price.0, order_type),
        amount: Some(order.quantity.0),
        filled_amount: Some(order.filled_quantity.0),
        reason,
        time: told,
    }));
    Ok(())
}

/// Wallets and positions, each as it is now. An entry that cannot be read is told, and the rest kept.
fn account_update(event: &wire::AccountUpdate<'_>, symbols: &Symbols, out: &mut impl Sink) {
    let (change, at) = (&event.a, UnixNanos::from_millis(event.transact_time));
    for entry in &change.balances {
        out.message(Message::Balance(BalanceReport {
            asset: Asset::new(entry.asset),
            total: Some(entry.wallet_balance.0),
            // Not told: the wallet of cross positions says nothing of what they and orders hold.
            available: None,
            time: Some(at),
        }));
    }
    for entry in &change.positions {
        let market = symbols.market(entry.symbol);
        let margin_mode = margin_mode(entry.margin_type);
        if change.reason == "MARGIN_TYPE_CHANGE" {
            let market = market.clone();
            out.message(Message::Leverage(LeverageReport { market, leverage: None, margin_mode }));
        }
        let report = position(market, entry.position_side, entry.amount.0, entry.entry_price.0);
        out.message(match report {
            Ok(report) => Message::Position(PositionReport {
                unrealised_pnl: Some(entry.unrealized.0),
                margin_mode,
                cause: (change.reason == "INSURANCE_CLEAR").then_some(PositionCause::Liquidation),
                time: Some(at),
                ..report
            }),
            Err(error) => Message::Skipped { error: format!("{error} ({})", entry.symbol) },
        });
    }
    if change.reason == "FUNDING_FEE" {
        // Without an id: a hint that the history has something new. For a cross position older servers do not say which.
        let symbol = change.symbol.or(change.positions.first().map(|entry| entry.symbol)).unwrap_or_default();
        for entry in &change.balances {
            out.message(Message::FundingPayment(FundingPaid {
                market: symbols.market(symbol),
                amount: entry.change.0,
                asset: Asset::new(entry.asset),
                rate: None,
                time: at,
                payment_id: None,
            }));
        }
    }
}

fn margin_call(event: &wire::MarginCallEvent<'_>, symbols: &Symbols, out: &mut impl Sink) {
    for entry in &event.positions {
        let side = position_side(entry.position_side).filter(|side| *side != PositionSide::Both);
        out.message(Message::MarginCall(MarginCall {
            market: symbols.market(entry.symbol),
            side: side.unwrap_or_else(|| PositionSide::of(entry.amount.0)),
            amount: entry.amount.0.abs(),
            maintenance_margin: Some(entry.maintenance_margin.0),
            mark_price: Some(entry.mark_price.0),
        }));
    }
}
