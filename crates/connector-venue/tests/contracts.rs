//! Perpetual contracts through the control interface.

#![allow(clippy::unwrap_used, reason = "a failed test is what it should be")]

mod toy;

use bytes::Bytes;
use connector_core::Decimal;
use connector_core::dialect::Method;
use connector_core::time::{Mono, Now};
use connector_core::wire::HttpRequest;
use connector_venue::control;
use connector_venue::face::Face as _;
use connector_venue::perpetual::{Bracket, ContractSetup};
use connector_venue::setup::Setup;
use connector_venue::venue::Venue;
use serde_json::{Value, json};

use crate::toy::{START, Toy};

fn venue() -> Venue {
    let mut setup = Setup { start: START, ..Toy.setup(1) };
    let brackets = Bracket::table(&[(1_000_000.into(), 20.into(), Decimal::new(1, 2))]);
    for market in &mut setup.markets {
        market.contract = Some(ContractSetup::new("Y", brackets.clone()));
    }
    Venue::with_setup(Box::new(Toy), setup).unwrap()
}

fn ask(venue: &mut Venue, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = HttpRequest { method, path: path.into(), query: query.into(), headers: Vec::new(), body };
    let now = Now { mono: Mono(0), utc: START };
    let response = control::answer(venue, now, path, &request);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn post(venue: &mut Venue, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(venue, Method::Post, path, body);
    assert_eq!(status, 200, "{path} {answer}");
    answer
}

fn get(venue: &mut Venue, path: &str) -> Value {
    let (status, answer) = ask(venue, Method::Get, path, &Value::Null);
    assert_eq!(status, 200, "{path} {answer}");
    answer
}

#[test]
fn positions_prices_and_funding() {
    let mut venue = venue();
    // The rest of the world sells, the account buys.
    let ask_order = json!({ "symbol": "XY", "side": "sell", "amount": "10", "price": "100" });
    post(&mut venue, "/orders", &ask_order);
    let bought = json!({ "account": 1, "symbol": "XY", "side": "buy", "amount": "4", "price": "100" });
    assert_eq!(post(&mut venue, "/orders", &bought)["order"]["state"], "filled");
    let held = get(&mut venue, "/positions?account=1&symbol=XY");
    assert_eq!((&held["mode"], &held["positions"][0]["amount"]), (&json!("one_way"), &json!("4")));
    assert_eq!(get(&mut venue, "/ledger?account=1")["positions"][0]["entry_price"], "100");
    let set = json!({ "symbol": "XY", "mark": "110", "index": "109", "rate": "0.01", "settle": true });
    let contract = post(&mut venue, "/contract", &set);
    assert_eq!(contract["prices"]["mark_price"], "110");
    assert_eq!((&contract["rates"][0]["rate"], &contract["open_interest"]), (&json!("0.01"), &json!("4")));
    let incomes = get(&mut venue, "/incomes?account=1");
    assert_eq!((&incomes[1]["kind"], &incomes[1]["amount"]), (&json!("funding"), &json!("-4.4")));
    let freed =
        post(&mut venue, "/contract", &json!({ "symbol": "XY", "mark": null, "index": null, "rate": null }));
    assert_eq!(freed["prices"]["index_price"], "100");
    let reduced = json!({ "account": 1, "symbol": "XY", "side": "buy", "amount": "1", "price": "90", "reduce_only": true });
    assert_eq!(ask(&mut venue, Method::Post, "/orders", &reduced).0, 400);
    assert_eq!(get(&mut venue, "/health")["imbalance"], json!([]));
    let flat = post(&mut venue, "/deleverage", &json!({ "account": 1, "symbol": "XY" }));
    assert_eq!(flat[0]["amount"], "0");
    let fund = post(&mut venue, "/insurance", &json!({ "asset": "Y", "exhausted": true, "amount": "5" }));
    assert_eq!(fund["fund"], "1000005");
    assert_eq!(get(&mut venue, "/health")["imbalance"], json!([]));
    assert_eq!(ask(&mut venue, Method::Get, "/contract?symbol=NO", &Value::Null).0, 404);
    assert_eq!(ask(&mut venue, Method::Post, "/contract", &json!({ "symbol": "XY", "marks": "1" })).0, 400);
    assert_eq!(ask(&mut venue, Method::Delete, "/positions", &Value::Null).0, 405);
}

#[test]
fn listen_keys_end_on_request() {
    let mut venue = venue();
    let account = connector_venue::orders::AccountId(1);
    let key = venue.exchange_mut().create_listen_key(account).unwrap();
    assert_eq!(get(&mut venue, "/listen-keys")[0]["key"], key.as_str());
    post(&mut venue, "/listen-keys", &json!({ "account": 1, "refuse": true }));
    assert!(venue.exchange_mut().keep_listen_key(account).is_err());
    assert_eq!(
        post(&mut venue, "/listen-keys", &json!({ "account": 1, "refuse": false, "expire": true })),
        json!([])
    );
    assert_eq!(
        ask(&mut venue, Method::Post, "/listen-keys", &json!({ "account": 1, "expire": true })).0,
        400
    );
}
