//! Streams: what is sent, and how frames read.

use connector_core::dialect::{Channel, DecodeError, Frame, Keyring, Stamp, Symbols};
use connector_core::json::{Json, parse_frame};
use connector_core::message::{
    BestPrice, BookMessage, Fee, Fill, Level, Market, Message, OrderReport, Refusal, Session, SessionKind,
    Sink, Trade,
};
use connector_core::order::Side;
use connector_core::time::UnixNanos;
use connector_core::{Asset, Cause, ClientOrderId, Decimal, Effect, Error, ExchangeOrderId, TradeId};
use smol_str::{SmolStr, StrExt as _, format_smolstr};

use crate::spec::SPEC;
use crate::wire::{AccountPosition, ExecutionReport, Num};
use crate::{hot, rest};

/// The frame that subscribes to or unsubscribes from market streams.
pub(crate) fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
    let names: Vec<String> = channels
        .iter()
        .filter_map(|(channel, symbol)| SPEC.subscription(*channel, &symbol.to_lowercase_smolstr()))
        .map(|name| format!("\"{name}\""))
        .collect();
    let method = if on { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
    format!(r#"{{"method":"{method}","params":[{}],"id":{id}}}"#, names.join(","))
}

/// The request that subscribes to the account's events. Its parameters are signed raw, in the order of their names.
pub(crate) fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
    let (key, time) = (keys.key(), stamp.time.millis());
    let signature = crate::written(&keys.sign(format!("apiKey={key}&timestamp={time}").as_bytes())?);
    Ok(serde_json::json!({
        "id": id,
        "method": "userDataStream.subscribe.signature",
        "params": { "apiKey": key, "timestamp": time, "signature": signature },
    })
    .to_string())
}

/// Decodes a frame of either link. Raw and combined market streams, and a depth answer in between (as recordings have
/// it), are told apart by their fields.
pub(crate) fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Frame { bytes, symbols, bids, asks, .. } = frame;
    if hot::frame(bytes, symbols, (bids, asks), out).is_some() {
        return Ok(());
    }
    bids.clear();
    asks.clear();
    parse_frame(bytes, |root| {
        let stream = root.get("stream").and_then(Json::text);
        let inner = match stream {
            Some(_) => root.get("data").ok_or_else(|| DecodeError::new("frame", "`data` is missing"))?,
            None => root.get("event").unwrap_or(root),
        };
        match inner.get("e").and_then(Json::text) {
            Some("depthUpdate") => depth_update(inner, symbols, bids, asks, out),
            Some("trade") => trade(inner, symbols, out),
            Some(event) => other_event(event, inner, symbols, out),
            None if inner.get("A").is_some() => best_price(inner, symbols, out),
            None if inner.get("lastUpdateId").is_some() => snapshot(inner, stream, symbols, bids, asks, out),
            // The only lists are summaries of all markets, which nobody here subscribes to.
            None if inner.is_array() => Ok(()),
            None => reply(inner, out),
        }
    })
}

/// A member that must be there.
fn need<'t, 'i, T>(
    json: Json<'t, 'i>,
    what: &'static str,
    name: &str,
    read: impl FnOnce(Json<'t, 'i>) -> Option<T>,
) -> Result<T, DecodeError> {
    json.get(name).and_then(read).ok_or_else(|| DecodeError::missing(what, name))
}

fn depth_update(
    event: Json<'_, '_>,
    symbols: &Symbols,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "depthUpdate";
    need(event, WHAT, "b", |list| list.levels(bids))?;
    need(event, WHAT, "a", |list| list.levels(asks))?;
    let market = symbols.market(need(event, WHAT, "s", Json::text)?);
    let first_id = Some(need(event, WHAT, "U", Json::uint)?);
    let last_id = Some(need(event, WHAT, "u", Json::uint)?);
    let time = event.get("E").and_then(Json::millis);
    out.book(BookMessage { first_id, last_id, time, ..BookMessage::diff(&market, bids, asks) });
    Ok(())
}

fn trade(event: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    const WHAT: &str = "trade";
    let buyer_is_maker = need(event, WHAT, "m", Json::bool)?;
    out.trade(Trade {
        market: symbols.market(need(event, WHAT, "s", Json::text)?),
        trade_id: TradeId::from(need(event, WHAT, "t", Json::int)?),
        price: need(event, WHAT, "p", Json::decimal)?,
        amount: need(event, WHAT, "q", Json::decimal)?,
        taker_side: if buyer_is_maker { Side::Sell } else { Side::Buy },
        time: event.get("T").and_then(Json::millis),
    });
    Ok(())
}

fn best_price(event: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    const WHAT: &str = "bookTicker";
    let number = |name| need(event, WHAT, name, Json::decimal);
    let (bid, bid_amount) = (number("b")?, number("B")?);
    let (ask, ask_amount) = (number("a")?, number("A")?);
    let market = symbols.market(need(event, WHAT, "s", Json::text)?);
    let id = event.get("u").and_then(Json::uint);
    out.best_price(told_best(market, id, (bid, bid_amount), (ask, ask_amount)));
    Ok(())
}

/// Best prices as this venue tells them: an empty side has price and amount zero.
pub(crate) fn told_best(
    market: Market,
    id: Option<u64>,
    (bid, bid_amount): (Decimal, Decimal),
    (ask, ask_amount): (Decimal, Decimal),
) -> BestPrice {
    let (has_bid, has_ask) = (!bid.is_zero(), !ask.is_zero());
    BestPrice {
        market,
        bid: has_bid.then_some(bid),
        bid_amount: has_bid.then_some(bid_amount),
        ask: has_ask.then_some(ask),
        ask_amount: has_ask.then_some(ask_amount),
        id,
        time: None,
    }
}

/// Reads the levels of a depth answer or a partial depth event; returns the last update id.
pub(crate) fn read_snapshot(
    json: Json<'_, '_>,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<u64, DecodeError> {
    const WHAT: &str = "book";
    json.get("bids").and_then(|list| list.levels(bids)).ok_or_else(|| DecodeError::missing(WHAT, "bids"))?;
    json.get("asks").and_then(|list| list.levels(asks)).ok_or_else(|| DecodeError::missing(WHAT, "asks"))?;
    json.get("lastUpdateId").and_then(Json::uint).ok_or_else(|| DecodeError::missing(WHAT, "lastUpdateId"))
}

fn snapshot(
    event: Json<'_, '_>,
    stream: Option<&str>,
    symbols: &Symbols,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let last_id = read_snapshot(event, bids, asks)?;
    // The payload names no market. A combined stream does; of anything else the reader must know it.
    let symbol = stream.and_then(|name| name.split('@').next()).unwrap_or_default();
    let market: Market = symbols.market(&symbol.to_uppercase_smolstr());
    out.book(BookMessage { last_id: Some(last_id), ..BookMessage::snapshot(&market, bids, asks) });
    Ok(())
}

fn other_event(
    event: &str,
    json: Json<'_, '_>,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let session = |kind| Message::Session(Session { kind, id: None, detail: Some(SmolStr::new(event)) });
    match event {
        "executionReport" => execution_report(&json.read("executionReport")?, symbols, out)?,
        "outboundAccountPosition" => {
            let position: AccountPosition<'_> = json.read("outboundAccountPosition")?;
            let time = Some(UnixNanos::from_millis(position.update_time));
            for entry in &position.balances {
                out.message(Message::Balance(rest::balance(entry.asset, entry.free, entry.locked, time)));
            }
        }
        "eventStreamTerminated" | "listenKeyExpired" => out.message(session(SessionKind::Expired)),
        "serverShutdown" => out.message(session(SessionKind::Closing)),
        // The first two tell a change only; the absolute amounts follow in `outboundAccountPosition`. Order lists
        // repeat what their orders' own reports say.
        "balanceUpdate" | "externalLockUpdate" | "listStatus" => out.message(session(SessionKind::Notice)),
        // Market streams we do not subscribe to.
        "aggTrade" | "blockTrade" | "kline" | "24hrMiniTicker" | "24hrTicker" | "1hTicker" | "4hTicker"
        | "1dTicker" | "avgPrice" | "referencePrice" => {}
        _ => out.message(Message::Skipped { error: format!("unknown event `{event}`") }),
    }
    Ok(())
}

fn execution_report(
    report: &ExecutionReport<'_>,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "executionReport";
    let market = symbols.market(report.symbol);
    let time = Some(UnixNanos::from_millis(report.transact_time));
    let exchange_order_id = Some(ExchangeOrderId::from(report.order_id));
    // Where an order was cancelled or replaced, `c` is the id of that request and `C` the order's own.
    let id = if report.orig_client_order_id.is_empty() {
        report.client_order_id
    } else {
        report.orig_client_order_id
    };
    let client_order_id = (!id.is_empty()).then(|| ClientOrderId::new(id));
    let side = rest::side(report.side);
    if report.execution_type == "TRADE" && report.trade_id >= 0 {
        let fee = report.commission_asset.zip(report.commission);
        out.message(Message::Fill(Fill {
            market: market.clone(),
            client_order_id: client_order_id.clone(),
            exchange_order_id: exchange_order_id.clone(),
            trade_id: TradeId::from(report.trade_id),
            side: side.ok_or_else(|| DecodeError::missing(WHAT, "S"))?,
            price: report.last_price.0,
            amount: report.last_quantity.0,
            fee: fee.map(|(asset, Num(amount))| Fee { asset: Asset::new(asset), amount }),
            maker: Some(report.maker),
            position_side: None,
            cause: None,
            time,
        }));
    }
    let state = rest::order_state(report.status);
    let order_type = rest::order_type(report.order_type);
    let rejected = Some(report.reject_reason).filter(|reason| !matches!(*reason, "" | "NONE"));
    out.message(Message::Order(OrderReport {
        market,
        client_order_id,
        exchange_order_id,
        state,
        side,
        order_type,
        price: rest::limit_price(report.price, order_type),
        amount: Some(report.quantity.0),
        filled_amount: Some(report.filled_quantity.0),
        reason: rest::reason(state, Some(report.status), report.expiry_reason.or(rejected)),
        time,
    }));
    Ok(())
}

/// An answer to one of our frames: market streams answer `{"result":null,"id":1}`, the WebSocket API adds a status.
/// Errors come wrapped in `error`, or flat as the documentation of market streams has them.
fn reply(json: Json<'_, '_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let id = json.get("id").and_then(|id| id.uint().or_else(|| id.text()?.parse().ok()));
    let error = json.get("error").unwrap_or(json);
    if let Some(code) = error.get("code").and_then(Json::int) {
        let message = error.get("msg").and_then(Json::text).unwrap_or_default();
        let status = json.get("status").and_then(Json::int).unwrap_or_default();
        out.message(Message::Refusal(refusal(id, code, message, status)));
        return Ok(());
    }
    let result =
        json.get("result").ok_or_else(|| DecodeError::new("frame", "neither an event nor an answer"))?;
    let kind = if json.get("status").is_none() && !result.is_array() {
        SessionKind::Subscribed
    } else if result.get("subscriptionId").is_some() {
        SessionKind::Login
    } else {
        SessionKind::Notice
    };
    let detail = result.get("subscriptionId").and_then(Json::int).map(|id| format_smolstr!("{id}"));
    out.message(Message::Session(Session { kind, id, detail }));
    Ok(())
}

fn refusal(id: Option<u64>, code: i64, message: &str, status: i64) -> Refusal {
    let code = format_smolstr!("{code}");
    let known = SPEC.fault(&code, message).map(|fault| (fault.cause, fault.effect));
    // A failure on the venue's side may come after the deed; any other refusal comes before it.
    let unknown = if status >= 500 { Effect::Unknown } else { Effect::Rejected };
    let (cause, effect) = known.unwrap_or((Cause::Other, unknown));
    Refusal { id, code: Some(code), message: message.to_owned(), effect, cause }
}
