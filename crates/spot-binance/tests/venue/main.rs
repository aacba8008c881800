//! The embedded venue's Binance face, asked in the venue's own bytes.
//!
//! Expected answers are what the documentation has, read on 2026-11-22 below
//! `https://developers.binance.com/docs/binance-spot-api-docs/`, abbreviated `D/`. Requests are built and signed here, not by
//! the connector, so that a misreading they shared would show; `mirror` then lets the connector read the venue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

mod api;
mod mirror;
mod orders;
mod public;
mod security;

use bytes::Bytes;
use connector_core::Decimal;
use connector_core::dialect::Method;
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{HttpRequest, HttpResponse};
use connector_venue::face::{Face as _, Payload, Peer, SessionId};
use connector_venue::keys::ApiKey;
use connector_venue::orders::{AccountId, Submit};
use connector_venue::setup::{MarketSetup, Rules, Setup};
use connector_venue::venue::{Reply, Venue};
use ring::hmac;
use serde_json::Value;
use spot_binance::venue::BinanceFace;

const ME: AccountId = AccountId(1);
const OTHER: AccountId = AccountId(2);
// D/rest-api/request-security publishes this pair and signatures made with it.
const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
const START: i64 = 1_499_827_319_559;

/// A venue whose books belong to the tests alone, with a client.
struct Desk {
    venue: Venue,
    now: Now,
}

impl Desk {
    fn new() -> Self {
        Self::at(START, |_| {})
    }

    fn at(millis: i64, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = BinanceFace.setup(1);
        setup.start = UnixNanos::from_millis(millis);
        for market in &mut setup.markets {
            market.live = None;
        }
        let rules = |tick| Rules::new(Decimal::new(1, tick), Decimal::new(1, 3), Decimal::new(1, 4));
        setup.markets.push(MarketSetup::new("LTC", "BTC", rules(6), Decimal::new(1, 1)));
        setup.markets.push(MarketSetup::new("１２３", "４５６", rules(6), Decimal::new(1, 1)));
        for account in &mut setup.accounts {
            account.balances.push(("LTC".into(), Decimal::from(100)));
            account.balances.push(("４５６".into(), Decimal::from(100)));
        }
        setup.keys.push(ApiKey::hmac(KEY, ME, SECRET));
        change(&mut setup);
        let utc = setup.start;
        let venue = Venue::with_setup(Box::new(BinanceFace), setup).unwrap();
        Self { venue, now: Now { mono: Mono(0), utc } }
    }

    fn pass(&mut self, millis: i64) {
        self.now.mono = Mono(self.now.mono.0 + u64::try_from(millis * 1_000_000).unwrap());
        self.now.utc = self.now.utc.offset(millis * 1_000_000);
        self.venue.advance(self.now);
    }

    fn send(
        &mut self,
        method: Method,
        path: &str,
        query: &str,
        body: &str,
        key: Option<&str>,
    ) -> HttpResponse {
        let request = HttpRequest {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: key.map(|key| ("x-mbx-apikey".into(), key.into())).into_iter().collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        match self.venue.http(self.now, &Peer::LOCAL, &request) {
            Reply::Answer { response, .. } => response,
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, path: &str, query: &str) -> Value {
        read(&self.send(Method::Get, path, query, "", None))
    }

    /// Signs and sends, parameters in the query.
    fn signed(&mut self, method: Method, path: &str, query: &str) -> HttpResponse {
        let time = self.now.utc.millis();
        let separator = if query.is_empty() { "" } else { "&" };
        let payload = format!("{query}{separator}timestamp={time}");
        let query = format!("{payload}&signature={}", sign(&payload));
        self.send(method, path, &query, "", Some(KEY))
    }

    fn order(&mut self, query: &str) -> HttpResponse {
        self.signed(Method::Post, "/api/v3/order", query)
    }

    /// Rests an order of the other account.
    fn rest(&mut self, submit: &Submit) -> u64 {
        self.venue.exchange_mut().place(OTHER, submit).unwrap().order.id
    }

    fn open(&mut self, path: &str, query: &str) -> SessionId {
        self.venue.open(self.now, &Peer::LOCAL, path, query).unwrap()
    }

    fn say(&mut self, id: SessionId, text: &str) -> Vec<Value> {
        self.venue.text(self.now, id, text);
        self.hear(id)
    }

    fn hear(&mut self, id: SessionId) -> Vec<Value> {
        let texts = self.venue.drain(id).into_iter().filter_map(|frame| match frame.payload {
            Payload::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        });
        texts.collect()
    }
}

fn read(response: &HttpResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// Status, code and text of a refusal.
fn refusal(response: &HttpResponse) -> (u16, i64, String) {
    let body = read(response);
    (response.status, body["code"].as_i64().unwrap(), body["msg"].as_str().unwrap().to_owned())
}

fn sign(payload: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), payload.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}
