//! The venue as a value: routes, limits, connections and faults, without any wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod toy;

use std::time::Duration;

use bytes::Bytes;
use connector_core::Decimal;
use connector_core::dialect::Method;
use connector_core::order::Side;
use connector_core::time::{Mono, Now};
use connector_core::wire::{HttpRequest, HttpResponse};
use connector_venue::face::{Payload, Peer, SessionId};
use connector_venue::faults::{Fault, FaultRule, Point};
use connector_venue::orders::Submit;
use connector_venue::venue::{Reply, Venue};
use proptest::prelude::*;
use toy::{KEY, ME, OTHER, START, venue};

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), utc: START.offset(i64::try_from(ms).unwrap() * 1_000_000) }
}

fn request(method: Method, path: &str, query: &str) -> HttpRequest {
    let headers = vec![("x-key".into(), KEY.into())];
    HttpRequest { method, path: path.into(), query: query.into(), headers, body: Bytes::new() }
}

fn order(id: &str) -> HttpRequest {
    request(Method::Post, "/order", &format!("symbol=XY&side=buy&price=90&amount=1&id={id}"))
}

fn answered(reply: Reply) -> HttpResponse {
    match reply {
        Reply::Answer { response, .. } => response,
        other => panic!("{other:?}"),
    }
}

fn ask(venue: &mut Venue, now: Now, request: &HttpRequest) -> HttpResponse {
    answered(venue.http(now, &Peer::LOCAL, request))
}

fn open_ids(venue: &Venue) -> Vec<String> {
    venue.exchange().open_orders(ME, None).iter().map(|order| order.client_id.to_string()).collect()
}

fn rule(json: &str) -> FaultRule {
    serde_json::from_str(json).unwrap()
}

/// A trade between the two accounts, at the market's price.
fn trade(venue: &mut Venue) {
    let price = Decimal::from(100);
    venue.exchange_mut().place(OTHER, &Submit::limit("XY", Side::Sell, price, Decimal::ONE)).unwrap();
    venue.exchange_mut().place(ME, &Submit::limit("XY", Side::Buy, price, Decimal::ONE)).unwrap();
}

fn texts(venue: &mut Venue, id: SessionId) -> Vec<String> {
    let frames = venue.drain(id).into_iter();
    frames
        .filter_map(|frame| match frame.payload {
            Payload::Text(text) => Some(text),
            _ => None,
        })
        .collect()
}

fn subscribed(venue: &mut Venue) -> SessionId {
    let id = venue.open(at(0), &Peer::LOCAL, "/stream", "").unwrap();
    venue.text(at(0), id, "sub XY@trades");
    assert_eq!(texts(venue, id), ["ok 1"]);
    id
}

#[test]
fn routes_and_charges() {
    let mut venue = venue();
    assert_eq!(ask(&mut venue, at(0), &request(Method::Get, "/nowhere", "")).status, 404);
    let ticker = ask(&mut venue, at(0), &request(Method::Get, "/ticker/X%2DY", ""));
    assert_eq!(ticker.body, br#"{"symbol":"X-Y"}"#);
    let placed = ask(&mut venue, at(0), &order("a"));
    assert_eq!(
        (placed.status, placed.header("x-used"), placed.header("x-orders")),
        (200, Some("2"), Some("1"))
    );
    assert_eq!(open_ids(&venue), ["a"]);
    let seen: Vec<_> = venue.requests().map(|seen| (seen.row, seen.status)).collect();
    assert_eq!(seen, [(None, Some(404)), (Some("ticker"), Some(200)), (Some("place"), Some(200))]);
}

#[test]
fn limits_refuse_and_bans_hold() {
    let mut venue = venue();
    venue.arm(at(0), rule(r#"{"fault":"limit.cut_budget","pool":"weight","limit":2}"#)).unwrap();
    let ping = request(Method::Get, "/ping", "");
    assert_eq!(ask(&mut venue, at(0), &ping).status, 200);
    assert_eq!(ask(&mut venue, at(0), &ping).status, 200);
    assert_eq!(ask(&mut venue, at(0), &ping).status, 429);
    venue.arm(at(0), rule(r#"{"fault":"limit.retry_after","value":"7"}"#)).unwrap();
    assert_eq!(ask(&mut venue, at(0), &ping).header("retry-after"), Some("7"));
    venue.disarm_all();
    venue.arm(at(0), rule(r#"{"fault":"limit.ban","ms":90000}"#)).unwrap();
    let banned = ask(&mut venue, at(60_000), &ping);
    assert_eq!((banned.status, banned.header("retry-after")), (418, Some("30")));
    assert_eq!(ask(&mut venue, at(90_000), &ping).status, 200);
}

#[test]
fn ambiguous_answers_are_applied_or_not_as_told() {
    for (fault, applied) in [
        (r#"{"fault":"net.drop_reply"}"#, true),
        (r#"{"fault":"net.refuse"}"#, false),
        (r#"{"fault":"net.drop_request"}"#, false),
        (r#"{"fault":"net.reset"}"#, false),
        (r#"{"fault":"net.reset","point":"after_apply"}"#, true),
        (r#"{"fault":"net.half_open"}"#, false),
        (r#"{"fault":"http.status","code":502}"#, false),
        (r#"{"fault":"http.status","code":502,"point":"after_apply"}"#, true),
        (r#"{"fault":"http.html_body","point":"after_apply"}"#, true),
        (r#"{"fault":"http.empty_200"}"#, false),
        (r#"{"fault":"http.truncated","keep":3}"#, true),
    ] {
        let mut venue = venue();
        venue.arm(at(0), rule(fault).on_row("place").nth(2)).unwrap();
        assert_eq!(ask(&mut venue, at(0), &order("first")).status, 200);
        let reply = venue.http(at(0), &Peer::LOCAL, &order("second"));
        let whole =
            matches!(&reply, Reply::Answer { response, .. } if response.body.starts_with(b"{\"client\""));
        assert!(!whole, "{fault}: {reply:?}");
        assert_eq!(open_ids(&venue).contains(&"second".to_owned()), applied, "{fault}");
        // The trigger is spent.
        assert_eq!(ask(&mut venue, at(0), &order("third")).status, 200);
    }
}

#[test]
fn frames_are_bent() {
    let shape = |fault: &str, trades: usize| {
        let mut venue = venue();
        let id = subscribed(&mut venue);
        venue.arm(at(0), rule(fault).on_channel("trades")).unwrap();
        for _ in 0..trades {
            trade(&mut venue);
            venue.advance(at(1));
        }
        let numbers = texts(&mut venue, id).into_iter();
        let now: Vec<String> = numbers.map(|text| text.chars().take(7).collect()).collect();
        venue.advance(at(5_000));
        (now, texts(&mut venue, id).len())
    };
    let (now, later) = shape(r#"{"fault":"ws.mute"}"#, 2);
    assert_eq!((now.len(), later), (0, 0));
    let (now, later) = shape(r#"{"fault":"ws.dup"}"#, 1);
    assert_eq!((now, later), (vec!["trade 1".to_owned(), "trade 1".to_owned()], 0));
    let (now, later) = shape(r#"{"fault":"ws.drop","trigger":{"count":2}}"#, 3);
    assert_eq!((now, later), (vec!["trade 3".to_owned()], 0));
    let (now, later) = shape(r#"{"fault":"ws.reorder","window":2}"#, 3);
    assert_eq!((now, later), (vec!["trade 2".to_owned(), "trade 1".to_owned()], 1));
    let (now, later) = shape(r#"{"fault":"ws.delay","ms":100}"#, 2);
    assert_eq!((now.len(), later), (0, 2));
    let (now, _) = shape(r#"{"fault":"ws.corrupt","trigger":{"seed":3}}"#, 5);
    assert!(now.len() == 5, "{now:?}");
}

#[test]
fn a_muted_link_still_answers_and_pings() {
    let mut venue = venue();
    let id = subscribed(&mut venue);
    venue.arm(at(0), FaultRule::new(Fault::Mute { answers: false })).unwrap();
    trade(&mut venue);
    venue.text(at(1), id, "hello");
    assert_eq!(texts(&mut venue, id), ["echo hello"]);
    venue.advance(at(20_000));
    assert!(matches!(venue.drain(id)[..], [ref frame] if matches!(frame.payload, Payload::Ping(_))));
}

#[test]
fn connections_end() {
    // Nobody answers the pings.
    let mut venue = venue();
    let id = subscribed(&mut venue);
    for turn in 1..=3 {
        venue.advance(at(turn * 20_000));
        assert!(matches!(venue.drain(id)[0].payload, Payload::Ping(_)), "{turn}");
    }
    venue.advance(at(80_000));
    assert!(matches!(venue.drain(id)[0].payload, Payload::Close(1008, _)));
    assert!(!venue.is_open(id));
    // Its time is over.
    let id = venue.open(at(80_000), &Peer::LOCAL, "/stream", "").unwrap();
    for second in 80..3_680 {
        venue.advance(at(second * 1_000));
        venue.pong(id);
    }
    assert!(venue.is_open(id));
    venue.drain(id);
    venue.advance(at(3_680_000));
    assert!(matches!(venue.drain(id)[0].payload, Payload::Close(1000, _)));
    // It talks too much.
    let id = venue.open(at(3_680_000), &Peer::LOCAL, "/stream", "").unwrap();
    for _ in 0..21 {
        venue.text(at(3_680_000), id, "x");
    }
    assert!(matches!(venue.drain(id).last().unwrap().payload, Payload::Close(1008, _)));
}

#[test]
fn deeds_are_done_at_their_time() {
    let mut venue = venue();
    let id = subscribed(&mut venue);
    venue.text(at(0), id, &format!("login {KEY}"));
    venue.drain(id);
    let external = r#"{"fault":"acct.external_order","symbol":"XY","side":"buy","amount":"1","price":"90","client_id":"ext"}"#;
    venue.arm(at(0), rule(external)).unwrap();
    assert_eq!(texts(&mut venue, id), ["order ext new 0"]);
    venue.arm(at(0), rule(r#"{"fault":"acct.external_cancel","trigger":{"after_ms":50}}"#)).unwrap();
    assert_eq!(venue.next_event_time(), Some(Mono(50_000_000)));
    venue.advance(at(49));
    assert!(texts(&mut venue, id).is_empty());
    venue.advance(at(50));
    assert_eq!(texts(&mut venue, id), ["order ext cancelled 0"]);
    venue.arm(at(50), rule(r#"{"fault":"acct.revoke_key","match":{"row":"place"}}"#)).unwrap();
    assert_eq!(ask(&mut venue, at(50), &order("late")).status, 401);
    let other = venue.open(at(50), &Peer::LOCAL, "/stream", "").unwrap();
    let json = format!(r#"{{"fault":"net.reset","match":{{"path":"/ping","connection":{other}}}}}"#);
    venue.arm(at(50), rule(&json)).unwrap();
    assert!(venue.drain(other).is_empty());
    assert_eq!(ask(&mut venue, at(50), &request(Method::Get, "/ping", "")).status, 200);
    assert!(matches!(venue.drain(other)[..], [ref frame] if frame.payload == Payload::Reset));
    venue.arm(at(50), rule(r#"{"fault":"clock.venue_offset","ms":5000}"#)).unwrap();
    let ping = ask(&mut venue, at(50), &request(Method::Get, "/ping", ""));
    assert_eq!(ping.body, format!(r#"{{"time":{}}}"#, START.millis() + 5_050).into_bytes());
    venue.arm(at(50), rule(r#"{"fault":"ws.close","code":1012,"reason":"restart"}"#)).unwrap();
    assert!(matches!(&venue.drain(id)[0].payload, Payload::Close(1012, reason) if reason == "restart"));
}

#[test]
fn delays_come_before_and_after() {
    let mut venue = venue();
    venue.arm(at(0), FaultRule::new(Fault::Delay { ms: 30, point: Point::BeforeApply })).unwrap();
    venue.arm(at(0), FaultRule::new(Fault::Delay { ms: 12, point: Point::AfterApply })).unwrap();
    let verdict = venue.judge(at(0), &order("a"));
    assert_eq!(verdict.before, Duration::from_millis(30));
    let reply = venue.carry_out(at(30), &Peer::LOCAL, &order("a"), &verdict);
    assert!(matches!(reply, Reply::Answer { delay, .. } if delay == Duration::from_millis(12)));
}

proptest! {
    #[test]
    fn triggers_strike_as_declared(nth in 1_u64..6, every in 1_u64..4, count in 0_u64..5) {
        let mut venue = venue();
        let json = format!(
            r#"{{"fault":"http.status","code":599,"trigger":{{"nth":{nth},"every":{every},"count":{count}}}}}"#
        );
        venue.arm(at(0), rule(&json)).unwrap();
        let ping = request(Method::Get, "/ping", "");
        let struck: Vec<u64> = (1..=30).filter(|_| ask(&mut venue, at(0), &ping).status == 599).collect();
        let expected: Vec<u64> = (0..count).map(|turn| nth + turn * every).collect();
        prop_assert_eq!(struck, expected);
    }

    #[test]
    fn chance_is_seeded(seed in any::<u64>()) {
        let run = || {
            let mut venue = venue();
            let json = format!(
                r#"{{"fault":"http.status","code":599,"trigger":{{"probability_ppm":500000,"seed":{seed}}}}}"#
            );
            venue.arm(at(0), rule(&json)).unwrap();
            let ping = request(Method::Get, "/ping", "");
            (0..64).map(|_| ask(&mut venue, at(0), &ping).status == 599).collect::<Vec<bool>>()
        };
        let first = run();
        prop_assert_eq!(&first, &run());
        prop_assert!(first.contains(&true) && first.contains(&false));
    }
}
