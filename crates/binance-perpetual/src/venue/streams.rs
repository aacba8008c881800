//! Market streams on their three addresses: D/websocket-market-streams.

use std::collections::BTreeMap;

use connector_venue::exchange::Exchange;
use connector_venue::face::{Outbox, Session};
use connector_venue::news::News;
use connector_venue::orders::Order;
use connector_venue::perpetual::MarkPrice;
use serde_json::{Value, json};
use smol_str::{SmolStr, StrExt as _, format_smolstr};
use spot_binance::family::side_word;
use spot_binance::venue::market as common;
use spot_binance::venue::orders::status;
use spot_binance::venue::streams::{self, Carries, Streams};

use super::market::{self, with, without};
use super::orders::average;
use crate::wire::Num;

/// Milliseconds between two ticks: the shortest interval of a stream that does not follow the exchange's own.
pub(super) const TICK: i64 = 250;
/// Levels of partial depth streams.
const PARTIAL: [usize; 3] = [5, 10, 20];
/// What their names have in them.
const PARTIAL_NAMES: [&str; 3] = ["@depth5", "@depth10", "@depth20"];

/// Which streams an address carries. What belongs elsewhere is acknowledged there and never told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Class {
    /// Books and best prices. Also what addresses of old, without a class, carry.
    #[default]
    Public,
    /// Everything else about markets.
    Market,
    /// The account's events.
    Private,
}

/// What the venue keeps about a connection.
#[derive(Debug, Default)]
pub(super) struct State {
    told: Streams,
    class: Class,
    /// The events that are wanted, by listen key; absent keys want all.
    pub(super) filters: BTreeMap<SmolStr, Vec<SmolStr>>,
    /// Intervals of a tick since the epoch, at the last one.
    ticked: i64,
}

impl Carries for State {
    fn streams(&mut self) -> &mut Streams {
        &mut self.told
    }
}

/// Finds the class of an address, and what comes after it.
pub(super) fn class(path: &str) -> (Class, &str) {
    let rest = |class: &str| path.strip_prefix(class).filter(|rest| rest.starts_with('/'));
    if let Some(rest) = rest("/public") {
        (Class::Public, rest)
    } else if let Some(rest) = rest("/market") {
        (Class::Market, rest)
    } else if let Some(rest) = rest("/private") {
        (Class::Private, rest)
    } else {
        (Class::Public, path)
    }
}

/// Takes in the path, without its class, and query a connection was opened with. `None` if there is no such path.
pub(super) fn opened(session: &mut Session, class: Class, path: &str, query: &str) -> Option<()> {
    streams::opened::<State>(session, path, query)?;
    let state = session.state::<State>();
    state.class = class;
    state.told.flat = true;
    if class == Class::Private {
        let (keys, filters) = super::user::filters(query);
        state.filters = filters;
        session.subscriptions.extend(keys);
    }
    Some(())
}

/// Whether the connection is for the account's events.
pub(super) fn is_private(session: &mut Session) -> bool {
    session.state::<State>().class == Class::Private
}

/// Turns news about markets into events.
pub(super) fn push(session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
    if session.subscriptions.is_empty() {
        return;
    }
    match session.state::<State>().class {
        Class::Public => books(session, news, exchange, out),
        Class::Market => markets(session, news, out),
        Class::Private => {}
    }
}

/// Sends an event if the connection has this stream.
fn tell(session: &mut Session, stream: &SmolStr, out: &mut Outbox, event: impl FnOnce() -> Value) {
    streams::tell::<State>(session, stream, out, event);
}

fn books(session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
    match news {
        // In no document, and asked for by clients all the same.
        News::Trade(trade) => {
            let time = trade.time.millis();
            tell(session, &format_smolstr!("{}@trade", trade.symbol.to_lowercase_smolstr()), out, || {
                json!({
                    "e": "trade", "E": time, "T": time, "s": trade.symbol, "t": trade.id, "p": Num(trade.price),
                    "q": Num(trade.amount), "X": "MARKET", "m": trade.is_buyer_maker,
                })
            });
        }
        News::Best { time, best } => {
            let time = time.millis();
            let event = || {
                let more = json!({ "e": "bookTicker", "E": time, "T": time, "ps": best.symbol, "st": 1 });
                with(common::book_ticker_event(best), more)
            };
            let name = best.symbol.to_lowercase_smolstr();
            tell(session, &format_smolstr!("{name}@bookTicker"), out, event);
            tell(session, &SmolStr::new_static("!bookTicker"), out, event);
        }
        News::Book { time, change } => {
            let name = change.symbol.to_lowercase_smolstr();
            tell(session, &format_smolstr!("{name}@depth@100ms"), out, || {
                json!({
                    "e": "depthUpdate", "E": time.millis(), "T": time.millis(), "s": change.symbol,
                    "U": change.first_id, "u": change.last_id, "pu": change.prev_last_id,
                    "b": common::levels(&change.bids), "a": common::levels(&change.asks), "st": 1,
                })
            });
            partial_depth(session, &change.symbol, "@100ms", exchange, out);
            for speed in ["", "@500ms"] {
                let stream = format_smolstr!("{name}@depth{speed}");
                if session.subscriptions.contains(&stream) {
                    session.state::<State>().told.slow.entry(stream).or_default().add(change);
                }
            }
        }
        _ => {}
    }
}

fn markets(session: &mut Session, news: &News, out: &mut Outbox) {
    match news {
        News::Trade(trade) => {
            let time = trade.time.millis();
            tell(session, &format_smolstr!("{}@aggTrade", trade.symbol.to_lowercase_smolstr()), out, || {
                let more = json!({ "e": "aggTrade", "E": time, "s": trade.symbol, "st": 1 });
                with(market::agg_trade(trade), more)
            });
        }
        News::Mark(mark) => {
            let name = mark.symbol.to_lowercase_smolstr();
            tell(session, &format_smolstr!("{name}@markPrice@1s"), out, || mark_price(mark));
            // The slower stream tells every third second.
            if mark.time.millis().div_euclid(1000) % 3 == 0 {
                tell(session, &format_smolstr!("{name}@markPrice"), out, || mark_price(mark));
            }
        }
        News::Liquidation(liquidation) => {
            let name = liquidation.order.symbol.to_lowercase_smolstr();
            let event = || force_order(&liquidation.order, liquidation.time.millis());
            tell(session, &format_smolstr!("{name}@forceOrder"), out, event);
            tell(session, &SmolStr::new_static("!forceOrder@arr"), out, event);
        }
        _ => {}
    }
}

fn mark_price(mark: &MarkPrice) -> Value {
    json!({
        "e": "markPriceUpdate", "E": mark.time.millis(), "s": mark.symbol, "p": Num(mark.mark_price),
        "ap": Num(mark.mark_price), "i": Num(mark.index_price), "P": Num(mark.index_price),
        "r": Num(mark.funding_rate), "T": mark.next_funding.millis(), "st": 1,
    })
}

fn force_order(order: &Order, time: i64) -> Value {
    json!({
        "e": "forceOrder", "E": time,
        "o": {
            "s": order.symbol, "S": side_word(order.side), "o": "LIMIT", "f": "IOC", "q": Num(order.amount),
            "p": Num(order.price.unwrap_or_default()), "ap": Num(average(order)), "X": status(order),
            "l": Num(order.filled), "z": Num(order.filled), "T": time, "ps": order.symbol, "st": 1,
        },
    })
}

fn partial_depth(session: &mut Session, symbol: &str, speed: &str, exchange: &Exchange, out: &mut Outbox) {
    let name = symbol.to_lowercase_smolstr();
    let now = exchange.now().millis();
    for count in PARTIAL {
        tell(session, &format_smolstr!("{name}@depth{count}{speed}"), out, || {
            let depth = exchange.depth(symbol, count).unwrap_or_default();
            json!({
                "e": "depthUpdate", "E": now, "T": now, "s": symbol, "U": depth.last_id, "u": depth.last_id,
                "pu": depth.last_id.saturating_sub(1), "b": common::levels(&depth.bids),
                "a": common::levels(&depth.asks), "ps": symbol, "st": 1,
            })
        });
    }
}

/// Sends what is sent at intervals.
pub(super) fn tick(session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
    if session.subscriptions.is_empty() {
        return;
    }
    let (state, ticked) = (session.state::<State>(), exchange.now().millis().div_euclid(TICK));
    let (class, before) = (state.class, std::mem::replace(&mut state.ticked, ticked));
    // Whether an interval of so many ticks has ended.
    let ended = |ticks: i64| ticked.div_euclid(ticks) > before.div_euclid(ticks);
    match class {
        Class::Public => {
            slow_depth(session, "", exchange, out);
            let half = ended(2);
            if half {
                slow_depth(session, "@500ms", exchange, out);
            }
            let partial = |name: &SmolStr| PARTIAL_NAMES.iter().any(|part| name.contains(part));
            if !session.subscriptions.iter().any(partial) {
                return;
            }
            for market in exchange.markets() {
                partial_depth(session, &market.symbol, "", exchange, out);
                if half {
                    partial_depth(session, &market.symbol, "@500ms", exchange, out);
                }
            }
        }
        Class::Market if ended(4) => summaries(session, exchange, out),
        _ => {}
    }
}

/// Sends the changes of books that have gathered for the streams of this speed.
fn slow_depth(session: &mut Session, speed: &str, exchange: &Exchange, out: &mut Outbox) {
    let ending = format_smolstr!("@depth{speed}");
    let slow = &mut session.state::<State>().told.slow;
    let due: Vec<SmolStr> = slow.keys().filter(|stream| stream.ends_with(ending.as_str())).cloned().collect();
    let now = exchange.now().millis();
    for stream in due {
        let Some(changes) = session.state::<State>().told.slow.remove(&stream) else { continue };
        let symbol = stream.split('@').next().unwrap_or_default().to_uppercase_smolstr();
        tell(session, &stream, out, || {
            let (bids, asks) = changes.levels();
            json!({
                "e": "depthUpdate", "E": now, "T": now, "s": symbol, "U": changes.first_id,
                "u": changes.last_id, "pu": changes.prev_last_id, "b": bids, "a": asks, "st": 1,
            })
        });
    }
}

/// Sends what is told of all markets, or of one, once a second.
fn summaries(session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
    let listens = |session: &Session, name: &'static str| session.subscriptions.contains(name);
    let wanted = [
        ("!miniTicker@arr", listens(session, "!miniTicker@arr")),
        ("!ticker@arr", listens(session, "!ticker@arr")),
    ];
    let mut all: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
    for market in exchange.markets() {
        let name = market.symbol.to_lowercase_smolstr();
        let Some((ticker, best)) = exchange.ticker(&market.symbol).zip(exchange.best(&market.symbol)) else {
            continue;
        };
        let mini = || with(common::mini_ticker_event(&ticker), json!({ "ps": market.symbol, "st": 1 }));
        let full = || {
            let event = without(common::ticker_event(&ticker, &best), &["x", "b", "B", "a", "A"]);
            with(event, json!({ "st": 1 }))
        };
        tell(session, &format_smolstr!("{name}@miniTicker"), out, mini);
        tell(session, &format_smolstr!("{name}@ticker"), out, full);
        let [minis, fulls] = &mut all;
        for ((_, wanted), (list, event)) in
            wanted.iter().zip([(minis, &mini as &dyn Fn() -> Value), (fulls, &full)])
        {
            if *wanted {
                list.push(event());
            }
        }
    }
    for ((name, _), list) in wanted.into_iter().zip(all) {
        tell(session, &SmolStr::new_static(name), out, || Value::Array(list));
    }
    candles_and_marks(session, exchange, out);
}

fn candles_and_marks(session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
    let events = session
        .subscriptions
        .iter()
        .filter_map(|stream| Some((stream.clone(), market::kline_event(exchange, stream)?)));
    for (stream, event) in events.collect::<Vec<_>>() {
        tell(session, &stream, out, || event);
    }
    let seconds = exchange.now().millis().div_euclid(1000);
    for (stream, period) in [("!markPrice@arr@1s", 1), ("!markPrice@arr", 3)] {
        if seconds % period == 0 {
            tell(session, &SmolStr::new_static(stream), out, || {
                let markets = exchange.markets().into_iter();
                markets
                    .filter_map(|market| exchange.mark_price(&market.symbol))
                    .map(|mark| mark_price(&mark))
                    .collect()
            });
        }
    }
}
