//! Market streams: D/web-socket-streams.

use std::collections::BTreeMap;

use connector_core::Decimal;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Outbox, Session};
use connector_venue::fields::percent_decode;
use connector_venue::news::{BookChange, News};
use serde_json::{Value, json};
use smol_str::{SmolStr, StrExt as _, format_smolstr};

use crate::venue::api::Login;
use crate::venue::market;
use crate::wire::Num;

/// Most streams of a connection.
const STREAMS: usize = 1024;
/// Levels of partial depth streams.
const PARTIAL: [usize; 3] = [5, 10, 20];

/// What any connection with market streams has.
#[derive(Debug, Default)]
pub struct Streams {
    /// Whether events are wrapped with their stream's name.
    pub combined: bool,
    /// Changes of books not yet told, by symbol, of streams that are slower than the exchange tells them.
    pub slow: BTreeMap<SmolStr, Slow>,
    /// Whether refusals are told flat, and not as `error`.
    pub flat: bool,
}

/// What a face keeps about a connection, as far as market streams go.
pub trait Carries: Default + Send + 'static {
    /// The part about market streams.
    fn streams(&mut self) -> &mut Streams;
}

/// What the venue keeps about a connection of either kind.
#[derive(Debug, Default)]
pub(super) struct State {
    streams: Streams,
    /// Whether answers of the WebSocket API leave the limits out.
    pub(super) quiet: bool,
    /// The session's own key, once logged on.
    pub(super) login: Option<Login>,
    /// The subscription that goes by the session's key.
    pub(super) login_subscription: Option<SmolStr>,
    /// Subscriptions of the account's events so far.
    pub(super) subscriptions: u32,
    /// The key of each subscription.
    pub(super) keys: BTreeMap<SmolStr, SmolStr>,
}

impl Carries for State {
    fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }
}

/// Changes of a book since they were last told.
#[derive(Debug, Default)]
pub struct Slow {
    /// First update id covered.
    pub first_id: u64,
    /// Last update id covered.
    pub last_id: u64,
    /// The update id before the first.
    pub prev_last_id: u64,
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
}

/// Takes in the path and query a connection was opened with. `None` if there is no such path.
pub fn opened<S: Carries>(session: &mut Session, path: &str, query: &str) -> Option<()> {
    let names = if path == "/stream" || path == "/stream/" {
        session.state::<S>().streams().combined = true;
        let streams = query.split('&').find_map(|part| part.strip_prefix("streams="));
        streams.unwrap_or_default()
    } else {
        // What stands behind `/ws` may be no stream at all, such as a client's own numbering of its connections.
        path.strip_prefix("/ws").filter(|rest| rest.is_empty() || rest.starts_with('/'))?
    };
    for name in names.split('/').filter(|name| !name.is_empty()).take(STREAMS) {
        session.subscriptions.insert(SmolStr::new(percent_decode(name)));
    }
    Some(())
}

/// Takes in a control message.
pub fn message<S: Carries>(session: &mut Session, text: &str, out: &mut Outbox) {
    let flat = session.state::<S>().streams().flat;
    let answer = match serde_json::from_str::<Value>(text) {
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let text = format!("Invalid JSON: expected value at line {line} column {column}");
            refusal(flat, 3, &text, &Value::Null)
        }
        Ok(request) => control::<S>(session, &request, &|code, msg, id| refusal(flat, code, msg, id)),
    };
    out.reply(answer.to_string());
}

fn refusal(flat: bool, code: i64, msg: &str, id: &Value) -> Value {
    if flat {
        return json!({ "code": code, "msg": msg, "id": id });
    }
    json!({ "error": { "code": code, "msg": msg }, "id": id })
}

/// Writes a refusal: code, text and the request's id.
type Refuse<'r> = &'r dyn Fn(i64, &str, &Value) -> Value;

fn control<S: Carries>(session: &mut Session, request: &Value, refusal: Refuse<'_>) -> Value {
    let id = request.get("id").cloned().unwrap_or_default();
    let legal = id.is_null() || id.is_u64() || id.as_str().is_some_and(|id| id.len() <= 36);
    if !legal {
        return refusal(2, "Invalid request: request ID must be an unsigned integer", &Value::Null);
    }
    let Some(method) = request.get("method").and_then(Value::as_str) else {
        return refusal(2, "Invalid request: missing field `method` at line 1 column 1", &id);
    };
    let params = request.get("params").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names =
        || -> Option<Vec<SmolStr>> { params.iter().map(|name| name.as_str().map(SmolStr::new)).collect() };
    let done = || json!({ "result": null, "id": id });
    match method {
        "SUBSCRIBE" | "UNSUBSCRIBE" => {
            let Some(names) = names() else {
                return refusal(2, "Invalid request: stream name must be a string", &id);
            };
            if method == "UNSUBSCRIBE" {
                for name in names {
                    session.subscriptions.remove(&name);
                }
                return done();
            }
            if session.subscriptions.len() + names.len() > STREAMS {
                return refusal(4, "Too many subscriptions", &id);
            }
            session.subscriptions.extend(names);
            done()
        }
        "LIST_SUBSCRIPTIONS" => json!({ "result": session.subscriptions, "id": id }),
        "SET_PROPERTY" | "GET_PROPERTY" => property::<S>(session, method, params, &id, refusal),
        other => {
            let text = format!(
                "Invalid request: unknown variant `{other}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, \
                 `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 28"
            );
            refusal(2, &text, &id)
        }
    }
}

fn property<S: Carries>(
    session: &mut Session,
    method: &str,
    params: &[Value],
    id: &Value,
    refusal: Refuse<'_>,
) -> Value {
    let state = session.state::<S>().streams();
    match params.first().map(Value::as_str) {
        None | Some(None) => refusal(2, "Invalid request: property name must be a string", id),
        Some(Some("combined")) if method == "GET_PROPERTY" => json!({ "result": state.combined, "id": id }),
        Some(Some("combined")) => match params.get(1).and_then(Value::as_bool) {
            Some(combined) => {
                state.combined = combined;
                json!({ "result": null, "id": id })
            }
            None => refusal(1, "Invalid value type: expected Boolean", id),
        },
        Some(Some(_)) => refusal(0, "Unknown property", id),
    }
}

/// Sends an event if the connection has this stream.
pub fn tell<S: Carries>(
    session: &mut Session,
    stream: &SmolStr,
    out: &mut Outbox,
    event: impl FnOnce() -> Value,
) {
    if !session.subscriptions.contains(stream) {
        return;
    }
    let event = event();
    let combined = session.state::<S>().streams().combined;
    let text =
        if combined { json!({ "stream": stream, "data": event }).to_string() } else { event.to_string() };
    out.event(stream, text);
}

/// Turns news into events.
pub(super) fn push(session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
    if session.subscriptions.is_empty() {
        return;
    }
    match news {
        News::Trade(trade) => {
            let symbol = trade.symbol.to_lowercase_smolstr();
            let time = trade.time.millis();
            tell::<State>(session, &format_smolstr!("{symbol}@trade"), out, || {
                json!({
                    "e": "trade", "E": time, "s": trade.symbol, "t": trade.id, "p": Num(trade.price),
                    "q": Num(trade.amount), "T": time, "m": trade.is_buyer_maker, "M": true,
                })
            });
            tell::<State>(session, &format_smolstr!("{symbol}@aggTrade"), out, || {
                let mut event = market::agg_trade(trade);
                if let Some(fields) = event.as_object_mut() {
                    fields.insert("e".to_owned(), "aggTrade".into());
                    fields.insert("E".to_owned(), time.into());
                    fields.insert("s".to_owned(), trade.symbol.as_str().into());
                }
                event
            });
        }
        News::Best { best, .. } => {
            let symbol = best.symbol.to_lowercase_smolstr();
            tell::<State>(session, &format_smolstr!("{symbol}@bookTicker"), out, || {
                market::book_ticker_event(best)
            });
        }
        News::Book { time, change } => {
            let symbol = change.symbol.to_lowercase_smolstr();
            tell::<State>(session, &format_smolstr!("{symbol}@depth@100ms"), out, || {
                json!({
                    "e": "depthUpdate", "E": time.millis(), "s": change.symbol, "U": change.first_id,
                    "u": change.last_id, "b": market::levels(&change.bids), "a": market::levels(&change.asks),
                })
            });
            partial_depth(session, &change.symbol, "@100ms", exchange, out);
            if session.subscriptions.contains(&format_smolstr!("{symbol}@depth")) {
                session.state::<State>().streams.slow.entry(change.symbol.clone()).or_default().add(change);
            }
        }
        _ => {}
    }
}

fn partial_depth(session: &mut Session, symbol: &str, speed: &str, exchange: &Exchange, out: &mut Outbox) {
    let name = symbol.to_lowercase_smolstr();
    for count in PARTIAL {
        tell::<State>(session, &format_smolstr!("{name}@depth{count}{speed}"), out, || {
            market::depth(&exchange.depth(symbol, count).unwrap_or_default())
        });
    }
}

impl Slow {
    /// Takes in a change.
    pub fn add(&mut self, change: &BookChange) {
        if self.last_id == 0 {
            (self.first_id, self.prev_last_id) = (change.first_id, change.prev_last_id);
        }
        self.last_id = change.last_id;
        self.bids.extend(change.bids.iter().map(|level| (level.price, level.amount)));
        self.asks.extend(change.asks.iter().map(|level| (level.price, level.amount)));
    }

    /// The changed bids by falling and asks by rising price.
    #[must_use]
    pub fn levels(&self) -> (Value, Value) {
        let level = |(price, amount): (&Decimal, &Decimal)| json!([Num(*price), Num(*amount)]);
        (self.bids.iter().rev().map(level).collect(), self.asks.iter().map(level).collect())
    }
}

/// Sends what is sent once a second.
pub(super) fn tick(session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
    if session.subscriptions.is_empty() {
        return;
    }
    let now = exchange.now().millis();
    for (symbol, slow) in std::mem::take(&mut session.state::<State>().streams.slow) {
        tell::<State>(session, &format_smolstr!("{}@depth", symbol.to_lowercase_smolstr()), out, || {
            let (bids, asks) = slow.levels();
            json!({ "e": "depthUpdate", "E": now, "s": symbol, "U": slow.first_id, "u": slow.last_id,
                "b": bids, "a": asks })
        });
    }
    let mut all = Vec::new();
    let want_all = session.subscriptions.contains("!miniTicker@arr");
    for market in exchange.markets() {
        let (symbol, name) = (&market.symbol, market.symbol.to_lowercase_smolstr());
        partial_depth(session, symbol, "", exchange, out);
        let Some((ticker, best)) = exchange.ticker(symbol).zip(exchange.best(symbol)) else { continue };
        tell::<State>(session, &format_smolstr!("{name}@miniTicker"), out, || {
            market::mini_ticker_event(&ticker)
        });
        tell::<State>(session, &format_smolstr!("{name}@ticker"), out, || {
            market::ticker_event(&ticker, &best)
        });
        if want_all {
            all.push(market::mini_ticker_event(&ticker));
        }
    }
    tell::<State>(session, &SmolStr::new_static("!miniTicker@arr"), out, || Value::Array(all));
}
