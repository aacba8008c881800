//! Frames of market streams, and answers to our own.

use connector_core::dialect::{Channel, DecodeError, Spec, Symbols};
use connector_core::json::{Json, parse_frame};
use connector_core::message::{
    BookMessage, Level, Market, Message, Refusal, Session, SessionKind, Sink, Trade,
};
use connector_core::order::Side;
use connector_core::{Cause, Effect, TradeId};
use smol_str::{SmolStr, StrExt as _, format_smolstr};

use crate::family::market::{read_snapshot, told_best};

/// Buffers for bids and asks.
pub type Buffers<'a> = (&'a mut Vec<Level>, &'a mut Vec<Level>);

/// The frame that subscribes to or unsubscribes from market streams. Symbols are in lower case there.
#[must_use]
pub fn subscribe(spec: &Spec, on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
    let names: Vec<String> = channels
        .iter()
        .filter_map(|(channel, symbol)| spec.subscription(*channel, &symbol.to_lowercase_smolstr()))
        .map(|name| format!("\"{name}\""))
        .collect();
    let method = if on { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
    format!(r#"{{"method":"{method}","params":[{}],"id":{id}}}"#, names.join(","))
}

/// Decodes a frame: book changes, trades, best prices, snapshots and answers as both APIs have them; other events are for
/// `other`, by name. Raw and combined market streams, and a depth answer in between (as recordings have it), are told apart by
/// their fields.
///
/// # Errors
/// The frame cannot be read, or `other` says so.
pub fn frame<S: Sink>(
    spec: &Spec,
    bytes: &mut [u8],
    symbols: &Symbols,
    (bids, asks): Buffers<'_>,
    out: &mut S,
    other: impl FnOnce(&str, Json<'_, '_>, &mut S) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    bids.clear();
    asks.clear();
    parse_frame(bytes, |root| {
        let stream = root.get("stream").and_then(Json::text);
        let inner = match stream {
            Some(_) => root.get("data").ok_or_else(|| DecodeError::new("frame", "`data` is missing"))?,
            None => root.get("event").unwrap_or(root),
        };
        match inner.get("e").and_then(Json::text) {
            Some("depthUpdate") => depth_update(inner, symbols, (bids, asks), out),
            Some("trade") => trade(inner, "t", symbols, out),
            Some("bookTicker") => best_price(inner, symbols, out),
            Some(event) => other(event, inner, out),
            None if inner.get("A").is_some() => best_price(inner, symbols, out),
            None if inner.get("lastUpdateId").is_some() => {
                snapshot(inner, stream, symbols, (bids, asks), out)
            }
            // The only lists are summaries of all markets, which nobody here subscribes to.
            None if inner.is_array() => Ok(()),
            None => reply(spec, inner, out),
        }
    })
}

/// A member that must be there.
///
/// # Errors
/// It is missing or malformed.
pub fn need<'t, 'i, T>(
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
    (bids, asks): Buffers<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "depthUpdate";
    need(event, WHAT, "b", |list| list.levels(bids))?;
    need(event, WHAT, "a", |list| list.levels(asks))?;
    let market = symbols.market(need(event, WHAT, "s", Json::text)?);
    let first_id = Some(need(event, WHAT, "U", Json::uint)?);
    let last_id = Some(need(event, WHAT, "u", Json::uint)?);
    let prev_id = event.get("pu").and_then(Json::uint);
    let time = event.get("E").and_then(Json::millis);
    out.book(BookMessage { first_id, last_id, prev_id, time, ..BookMessage::diff(&market, bids, asks) });
    Ok(())
}

/// Reads a trade whose id is the member `id`.
///
/// # Errors
/// A member is missing or malformed.
pub fn trade(
    event: Json<'_, '_>,
    id: &str,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "trade";
    let buyer_is_maker = need(event, WHAT, "m", Json::bool)?;
    out.trade(Trade {
        market: symbols.market(need(event, WHAT, "s", Json::text)?),
        trade_id: TradeId::from(need(event, WHAT, id, Json::int)?),
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
    let mut told = told_best(market, id, (bid, bid_amount), (ask, ask_amount));
    told.time = event.get("E").and_then(Json::millis);
    out.best_price(told);
    Ok(())
}

fn snapshot(
    event: Json<'_, '_>,
    stream: Option<&str>,
    symbols: &Symbols,
    (bids, asks): Buffers<'_>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let last_id = read_snapshot(event, bids, asks)?;
    // The payload names no market. A combined stream does; of anything else the reader must know it.
    let symbol = stream.and_then(|name| name.split('@').next()).unwrap_or_default();
    let market: Market = symbols.market(&symbol.to_uppercase_smolstr());
    let time = event.get("E").and_then(Json::millis);
    out.book(BookMessage { last_id: Some(last_id), time, ..BookMessage::snapshot(&market, bids, asks) });
    Ok(())
}

/// An answer to one of our frames: market streams answer `{"result":null,"id":1}`, the WebSocket API adds a status.
/// Errors come wrapped in `error`, or flat as the documentation of market streams has them.
fn reply(spec: &Spec, json: Json<'_, '_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let id = json.get("id").and_then(|id| id.uint().or_else(|| id.text()?.parse().ok()));
    let error = json.get("error").unwrap_or(json);
    if let Some(code) = error.get("code").and_then(Json::int) {
        let message = error.get("msg").and_then(Json::text).unwrap_or_default();
        let status = json.get("status").and_then(Json::int).unwrap_or_default();
        out.message(Message::Refusal(refusal(spec, id, code, message, status)));
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

fn refusal(spec: &Spec, id: Option<u64>, code: i64, message: &str, status: i64) -> Refusal {
    let code = format_smolstr!("{code}");
    let known = spec.fault(&code, message).map(|fault| (fault.cause, fault.effect));
    // A failure on the venue's side may come after the deed; any other refusal comes before it.
    let unknown = if status >= 500 { Effect::Unknown } else { Effect::Rejected };
    let (cause, effect) = known.unwrap_or((Cause::Other, unknown));
    Refusal { id, code: Some(code), message: message.to_owned(), effect, cause }
}
