//! Keys, signatures, clocks and limits.

use connector_core::Secret;
use connector_core::dialect::Method;
use connector_venue::keys::{ApiKey, KeySecret, KeyState};
use connector_venue::limits::Escalation;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::{Desk, KEY, ME, START, read, refusal, sign};

const ORDER: &str = "/api/v3/order";

// D/rest-api/request-security: the published request, its parameters in the query, in the body, and in both.
#[test]
fn published_signatures_are_accepted() {
    let head = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC";
    let tail = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
    let whole = "signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
    let mixed = "signature=0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77";
    for (query, body) in [
        (format!("{head}&{tail}&{whole}"), String::new()),
        (String::new(), format!("{head}&{tail}&{whole}")),
        (head.to_owned(), format!("{tail}&{mixed}")),
        (format!("{head}&{tail}&{}", whole.to_uppercase().replace("SIGNATURE", "signature")), String::new()),
    ] {
        let response = Desk::new().send(Method::Post, ORDER, &query, &body, Some(KEY));
        assert_eq!(response.status, 200, "{query} {body}: {}", read(&response));
        assert_eq!(read(&response)["status"], "NEW");
    }
    let chinese = "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT\
        &timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559\
        &signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3";
    let response = Desk::new().send(Method::Post, ORDER, chinese, "", Some(KEY));
    assert_eq!(read(&response)["symbol"], "１２３４５６");
}

#[test]
fn ed25519_is_base64() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let mut desk = Desk::at(START, |setup| {
        setup.keys.push(ApiKey::new("ed", ME, KeySecret::Ed25519(pair.public_key().as_ref().to_vec())));
    });
    let payload = format!("timestamp={START}");
    let signature = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        pair.sign(payload.as_bytes()).as_ref(),
    );
    let encoded = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let mut ask = |signature: &str| {
        desk.send(Method::Get, "/api/v3/account", &format!("{payload}&signature={signature}"), "", Some("ed"))
    };
    assert_eq!(ask(&encoded).status, 200);
    assert_eq!(refusal(&ask(&"A".repeat(88))).1, -1022);
}

// D/errors
#[test]
fn refused_keys() {
    let invalid = (401, -2015, "Invalid API-key, IP, or permissions for action.".to_owned());
    let format = (401, -2014, "API-key format invalid.".to_owned());
    let query = format!("timestamp={START}&signature={}", sign(&format!("timestamp={START}")));
    let account = |desk: &mut Desk, key| refusal(&desk.send(Method::Get, "/api/v3/account", &query, "", key));
    let mut desk = Desk::new();
    assert_eq!(account(&mut desk, None), format);
    assert_eq!(account(&mut desk, Some("what is this")), format);
    assert_eq!(account(&mut desk, Some("unknown")), invalid);
    type Change = fn(&mut ApiKey);
    let changes: [Change; 4] = [
        |key| key.state = KeyState::Expired,
        |key| key.state = KeyState::Revoked,
        |key| key.may_read = false,
        |key| key.addresses = vec!["10.1.1.1".parse().unwrap()],
    ];
    for change in changes {
        let mut desk = Desk::new();
        change(desk.venue.exchange_mut().keys_mut().get_mut(KEY).unwrap());
        assert_eq!(account(&mut desk, Some(KEY)), invalid);
    }
    desk.venue.exchange_mut().keys_mut().get_mut(KEY).unwrap().may_trade = false;
    assert_eq!(desk.signed(Method::Get, "/api/v3/account", "").status, 200);
    assert_eq!(refusal(&desk.order("symbol=LTCBTC&side=BUY&type=MARKET&quantity=1")), invalid);
}

#[test]
fn refused_signatures_and_times() {
    let mut desk = Desk::new();
    let mut ask = |query: &str| refusal(&desk.send(Method::Get, "/api/v3/account", query, "", Some(KEY)));
    let with = |payload: &str| format!("{payload}&signature={}", sign(payload));
    let missing = |name| format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    let wrong = (400, -1022, "Signature for this request is not valid.".to_owned());
    assert_eq!(ask(&format!("timestamp={START}")), (400, -1102, missing("signature")));
    assert_eq!(ask(&with("recvWindow=1")), (400, -1102, missing("timestamp")));
    assert_eq!(ask(&format!("timestamp={START}&signature={}", sign("x"))), wrong);
    assert_eq!(ask(&format!("timestamp={START}&signature=zz")), wrong);
    // The order of parameters is signed too.
    let sorted = sign(&format!("recvWindow=5000&timestamp={START}"));
    assert_eq!(ask(&format!("timestamp={START}&recvWindow=5000&signature={sorted}")), wrong);
    let late = (400, -1021, "Timestamp for this request is outside of the recvWindow.".to_owned());
    let early = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.".to_owned());
    assert_eq!(ask(&with(&format!("timestamp={}", START - 5001))), late);
    assert_eq!(ask(&with(&format!("timestamp={}", START + 1000))), early);
    assert_eq!(ask(&with(&format!("recvWindow=10&timestamp={}", START - 11))), late);
    assert_eq!(ask(&with(&format!("recvWindow=60001&timestamp={START}"))).1, -1102);
    for payload in [
        format!("timestamp={}", START - 5000),
        format!("timestamp={}", START + 999),
        format!("recvWindow=60000&timestamp={}", START - 60_000),
        format!("recvWindow=10.5&timestamp={START}"),
        format!("timestamp={START}000"),
    ] {
        let response = desk.send(Method::Get, "/api/v3/account", &with(&payload), "", Some(KEY));
        assert_eq!(response.status, 200, "{payload}");
    }
}

// D/rest-api/limits. A placement or cancel that succeeds costs no weight; one that fails does.
#[test]
fn weights_and_order_counts() {
    let mut desk = Desk::new();
    let used = |response: &connector_core::wire::HttpResponse, name: &str| {
        response.header(name).unwrap_or("-").to_owned()
    };
    let weight = "x-mbx-used-weight-1m";
    assert_eq!(
        used(&desk.send(Method::Get, "/api/v3/depth", "symbol=LTCBTC&limit=5000", "", None), weight),
        "250"
    );
    let placed = desk.order("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1");
    assert_eq!(used(&placed, weight), "250");
    assert_eq!(used(&placed, "x-mbx-order-count-10s"), "1");
    assert_eq!(used(&placed, "x-mbx-order-count-1d"), "1");
    let refused = desk.order("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=1000");
    assert_eq!((refused.status, used(&refused, weight)), (400, "251".to_owned()));
    assert_eq!(used(&refused, "x-mbx-order-count-10s"), "1");
    let id = read(&placed)["orderId"].to_string();
    let cancelled = desk.signed(Method::Delete, ORDER, &format!("symbol=LTCBTC&orderId={id}"));
    assert_eq!((cancelled.status, used(&cancelled, weight)), (200, "251".to_owned()));
    let again = desk.signed(Method::Delete, ORDER, &format!("symbol=LTCBTC&orderId={id}"));
    assert_eq!((again.status, used(&again, weight)), (400, "252".to_owned()));
    let counts = read(&desk.signed(Method::Get, "/api/v3/rateLimit/order", ""));
    assert_eq!((&counts[0]["interval"], &counts[0]["count"]), (&"SECOND".into(), &1.into()));
    assert_eq!((&counts[1]["interval"], &counts[1]["limit"]), (&"DAY".into(), &200_000.into()));
    // Windows begin on the venue's clock: the tests begin 0.441 s before the full minute.
    desk.pass(440);
    assert_eq!(used(&desk.send(Method::Get, "/api/v3/ping", "", "", None), weight), "293");
    desk.pass(1);
    assert_eq!(used(&desk.send(Method::Get, "/api/v3/ping", "", "", None), weight), "1");
}

// D/errors (-1003, -1015), D/rest-api/limits
#[test]
fn limits_and_bans() {
    let mut desk = Desk::at(START, |setup| {
        setup.escalation = Escalation { violations: 2, ..Escalation::default() };
    });
    let limits = desk.venue.exchange_mut().limits_mut();
    limits.set_limit("request_weight", Some(3));
    assert_eq!(desk.send(Method::Get, "/api/v3/ping", "", "", None).status, 200);
    let over = desk.send(Method::Get, "/api/v3/time", "symbol=", "", None);
    assert_eq!(over.status, 200);
    let over = desk.send(Method::Get, "/api/v3/avgPrice", "symbol=LTCBTC", "", None);
    let text = "Too much request weight used; current limit is 3 request weight per 1 MINUTE. Please use WebSocket \
                Streams for live updates to avoid polling the API.";
    assert_eq!(refusal(&over), (429, -1003, text.to_owned()));
    assert_eq!(over.header("retry-after"), Some("1"));
    let banned = desk.send(Method::Get, "/api/v3/ping", "", "", None);
    let until = START + 120_000;
    let text = format!(
        "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates to \
         avoid bans."
    );
    assert_eq!(refusal(&banned), (418, -1003, text));
    assert_eq!(banned.header("retry-after"), Some("120"));
    let mut desk = Desk::new();
    desk.venue.exchange_mut().limits_mut().set_limit("orders_10s", Some(0));
    let over = desk.order("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1");
    let text = "Too many new orders; current limit is 0 orders per 10 SECOND.";
    assert_eq!(refusal(&over), (429, -1015, text.to_owned()));
    assert_eq!(over.header("retry-after"), Some("1"));
}

#[test]
fn unknown_paths_and_listen_keys() {
    let mut desk = Desk::new();
    let status = |desk: &mut Desk, method, path| desk.send(method, path, "", "", Some(KEY)).status;
    assert_eq!(status(&mut desk, Method::Get, "/api/v1/ping"), 404);
    assert_eq!(status(&mut desk, Method::Post, "/api/v3/userDataStream"), 410);
    assert!(desk.venue.open(desk.now, &connector_venue::face::Peer::LOCAL, "/nowhere", "").is_err());
    // A secret never shows in what the venue says of a key.
    assert!(!format!("{:?}", KeySecret::HmacSha256(Secret::new("hush"))).contains("hush"));
}
