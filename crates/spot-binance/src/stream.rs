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

fn depth_update(
    event: Json<'_, '_>,
    symbols: &Symbols,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "depthUpdate";
    let (mut symbol, mut time, mut first_id, mut last_id) = (None, None, None, None);
    let (mut has_bids, mut has_asks) = (false, false);
    for (name, value) in event.members() {
        match name {
            "s" => symbol = value.text(),
            "E" => time = value.millis(),
            "U" => first_id = value.uint(),
            "u" => last_id = value.uint(),
            "b" => has_bids = value.levels(bids).is_some(),
            "a" => has_asks = value.levels(asks).is_some(),
            _ => {}
        }
    }
    if !has_bids || !has_asks {
        return Err(DecodeError::missing(WHAT, "b` or `a"));
    }
    let market = symbols.market(symbol.ok_or_else(|| DecodeError::missing(WHAT, "s"))?);
    let (first_id, last_id) = first_id.zip(last_id).ok_or_else(|| DecodeError::missing(WHAT, "U` or `u"))?;
    let diff = BookMessage::diff(&market, bids, asks);
    out.book(BookMessage { first_id: Some(first_id), last_id: Some(last_id), time, ..diff });
    Ok(())
}

fn trade(event: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    const WHAT: &str = "trade";
    let (mut symbol, mut id, mut price, mut amount) = (None, None, None, None);
    let (mut buyer_is_maker, mut time) = (None, None);
    for (name, value) in event.members() {
        match name {
            "s" => symbol = value.text(),
            "t" => id = value.int(),
            "p" => price = value.decimal(),
            "q" => amount = value.decimal(),
            "m" => buyer_is_maker = value.bool(),
            "T" => time = value.millis(),
            _ => {}
        }
    }
    out.trade(Trade {
        market: symbols.market(symbol.ok_or_else(|| DecodeError::missing(WHAT, "s"))?),
        trade_id: TradeId::from(id.ok_or_else(|| DecodeError::missing(WHAT, "t"))?),
        price: price.ok_or_else(|| DecodeError::missing(WHAT, "p"))?,
        amount: amount.ok_or_else(|| DecodeError::missing(WHAT, "q"))?,
        taker_side: match buyer_is_maker.ok_or_else(|| DecodeError::missing(WHAT, "m"))? {
            true => Side::Sell,
            false => Side::Buy,
        },
        time,
    });
    Ok(())
}

fn best_price(event: Json<'_, '_>, symbols: &Symbols, out: &mut impl Sink) -> Result<(), DecodeError> {
    const WHAT: &str = "bookTicker";
    let (mut symbol, mut id) = (None, None);
    let [mut bid, mut bid_amount, mut ask, mut ask_amount] = [const { None::<Decimal> }; 4];
    for (name, value) in event.members() {
        let slot = match name {
            "s" => {
                symbol = value.text();
                continue;
            }
            "u" => {
                id = value.uint();
                continue;
            }
            "b" => &mut bid,
            "B" => &mut bid_amount,
            "a" => &mut ask,
            "A" => &mut ask_amount,
            _ => continue,
        };
        *slot = Some(value.decimal().ok_or_else(|| DecodeError::missing(WHAT, name))?);
    }
    // An empty side is announced with price and amount zero.
    let present = |price: Option<Decimal>| price.is_some_and(|price| !price.is_zero());
    let (has_bid, has_ask) = (present(bid), present(ask));
    out.best_price(BestPrice {
        market: symbols.market(symbol.ok_or_else(|| DecodeError::missing(WHAT, "s"))?),
        bid: bid.filter(|_| has_bid),
        bid_amount: bid_amount.filter(|_| has_bid),
        ask: ask.filter(|_| has_ask),
        ask_amount: ask_amount.filter(|_| has_ask),
        id,
        time: None,
    });
    Ok(())
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
