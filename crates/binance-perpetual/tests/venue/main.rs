//! The embedded venue's face of Binance USDⓈ-M, asked in the venue's own bytes.
//!
//! Expected answers are what the documentation has, read on 2026-11-22 below
//! `https://developers.binance.com/docs/derivatives/usds-margined-futures/`, abbreviated `D/`, with what the change log has added
//! since. Requests are built and signed here, not by the connector; `mirror` then lets the connector read the venue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

mod account;
mod mirror;
mod orders;
mod public;
mod security;
mod streams;
mod user;

use binance_perpetual::venue::BinancePerpetualFace;
use bytes::Bytes;
use connector_core::Decimal;
use connector_core::dialect::Method;
use connector_core::order::Side;
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{HttpRequest, HttpResponse};
use connector_venue::face::{Face as _, Payload, Peer, SessionId};
use connector_venue::keys::ApiKey;
use connector_venue::orders::{AccountId, Submit};
use connector_venue::setup::Setup;
use connector_venue::venue::{Reply, Venue};
use ring::hmac;
use serde_json::Value;

const ME: AccountId = AccountId(1);
const OTHER: AccountId = AccountId(2);
// D/general-info publishes this pair and signatures made with it, of requests of that time.
const KEY: &str = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83";
const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
const START: i64 = 1_591_702_613_943;

/// A client of a venue whose books belong to the tests alone.
struct Client {
    venue: Venue,
    now: Now,
}

impl Client {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = BinancePerpetualFace.setup(1);
        setup.start = UnixNanos::from_millis(START);
        setup.markets.iter_mut().for_each(|market| market.live = None);
        setup.keys.push(ApiKey::hmac(KEY, ME, SECRET));
        change(&mut setup);
        let now = Now { mono: Mono(0), utc: setup.start };
        Self { venue: Venue::with_setup(Box::new(BinancePerpetualFace), setup).unwrap(), now }
    }

    fn wait(&mut self, millis: i64) {
        let nanos = millis * 1_000_000;
        self.now = Now {
            mono: Mono(self.now.mono.0 + u64::try_from(nanos).unwrap()),
            utc: self.now.utc.offset(nanos),
        };
        self.venue.advance(self.now);
    }

    fn send(&mut self, method: Method, target: &str, body: &str, key: &str) -> HttpResponse {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = if key.is_empty() { Vec::new() } else { vec![("x-mbx-apikey".into(), key.into())] };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = HttpRequest { method, path: path.into(), query: query.into(), headers, body };
        let reply = self.venue.http(self.now, &Peer::LOCAL, &request);
        let Reply::Answer { response, .. } = reply else { panic!("{reply:?}") };
        response
    }

    /// An answer about markets.
    fn look(&mut self, target: &str) -> Value {
        let response = self.send(Method::Get, target, "", "");
        assert_eq!(response.status, 200, "{target} {}", json(&response));
        json(&response)
    }

    /// Sends a signed request, `GET` and `DELETE` with parameters in the query, others in a form, as clients do.
    fn ask(&mut self, method: Method, target: &str) -> HttpResponse {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let payload = format!("{query}&timestamp={}", self.now.utc.millis());
        let payload = payload.trim_start_matches('&');
        let signed = format!("{payload}&signature={}", signature(payload));
        match method {
            Method::Get | Method::Delete => self.send(method, &format!("{path}?{signed}"), "", KEY),
            _ => self.send(method, path, &signed, KEY),
        }
    }

    /// The answer of a signed request that succeeds.
    fn done(&mut self, method: Method, target: &str) -> Value {
        let response = self.ask(method, target);
        assert_eq!(response.status, 200, "{target} {}", json(&response));
        json(&response)
    }

    /// Code and text of a signed request that is refused.
    fn refused(&mut self, method: Method, target: &str) -> (i64, String) {
        let response = self.ask(method, target);
        let body = json(&response);
        assert_eq!(response.status, 400, "{target} {body}");
        (body["code"].as_i64().unwrap(), body["msg"].as_str().unwrap().to_owned())
    }

    fn order(&mut self, parameters: &str) -> Value {
        self.done(Method::Post, &format!("/fapi/v1/order?symbol=BTCUSDT&{parameters}"))
    }

    /// A counterparty's order.
    fn offer(&mut self, side: Side, price: &str, amount: &str) {
        let submit = Submit::limit("BTCUSDT", side, number(price), number(amount));
        self.venue.exchange_mut().place(OTHER, &submit).unwrap();
    }

    /// Opens a position of one's own against a counterparty.
    fn hold(&mut self, side: Side, price: &str, amount: &str) {
        self.offer(side.opposite(), price, amount);
        let side = if side == Side::Buy { "BUY" } else { "SELL" };
        let order = self.order(&format!("side={side}&type=MARKET&quantity={amount}&newOrderRespType=RESULT"));
        assert_eq!(order["status"], "FILLED", "{order}");
    }

    fn mark(&mut self, price: &str) {
        self.venue.exchange_mut().set_mark_price("BTCUSDT", Some(number(price))).unwrap();
        self.wait(0);
    }

    fn connect(&mut self, target: &str) -> SessionId {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.venue.open(self.now, &Peer::LOCAL, path, query).unwrap()
    }

    fn say(&mut self, id: SessionId, text: &str) -> Vec<Value> {
        self.venue.text(self.now, id, text);
        self.hear(id)
    }

    fn hear(&mut self, id: SessionId) -> Vec<Value> {
        let frames = self.venue.drain(id).into_iter();
        frames
            .filter_map(|frame| match frame.payload {
                Payload::Text(text) => serde_json::from_str(&text).ok(),
                _ => None,
            })
            .collect()
    }

    /// The account's listen key.
    fn listen_key(&mut self) -> String {
        let response = self.send(Method::Post, "/fapi/v1/listenKey", "", KEY);
        json(&response)["listenKey"].as_str().unwrap().to_owned()
    }
}

fn json(response: &HttpResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn header<'r>(response: &'r HttpResponse, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn signature(payload: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, payload.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// The names of an object's members.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The same names, sorted as members are.
fn sorted(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split_whitespace().collect();
    names.sort_unstable();
    names
}
