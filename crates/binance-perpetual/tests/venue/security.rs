//! Keys, signatures, times and limits: D/general-info.

use connector_core::dialect::Method::{Get, Post};
use connector_venue::limits::ScopeKey;
use serde_json::json as value;

use crate::{Client, KEY, ME, START, header, json, signature};

#[test]
fn published_signatures_are_accepted() {
    let mut client = Client::new();
    let all = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943";
    let published = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9";
    assert_eq!(signature(all), published);
    let query = format!("/fapi/v1/order?{all}&signature={published}");
    let response = client.send(Post, &query, "", KEY);
    assert_eq!(response.status, 200, "{}", json(&response));
    // Query and body one after the other, without anything between. The page has a stray space, and a signature with it.
    let (query, body) = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC",
        "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
    );
    let mixed = "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4";
    let signed = format!("{body}&signature={mixed}");
    let response = client.send(Post, &format!("/fapi/v1/order?{query}"), &signed, KEY);
    assert_eq!(response.status, 200, "{}", json(&response));
    assert_eq!(client.venue.exchange().open_orders(ME, None).len(), 2);
}

#[test]
fn keys_signatures_and_times() {
    let mut client = Client::new();
    let path = "/fapi/v3/balance";
    let mut answer = |query: &str, key: &str| {
        let response = client.send(Get, &format!("{path}?{query}"), "", key);
        let body = json(&response);
        (response.status, body["code"].as_i64().unwrap_or(0), body["msg"].as_str().unwrap_or("").to_owned())
    };
    let at = |time: i64| {
        let payload = format!("timestamp={time}");
        format!("{payload}&signature={}", signature(&payload))
    };
    assert_eq!(answer(&at(START), ""), (401, -2014, "API-key format invalid.".to_owned()));
    let unknown = (401, -2015, "Invalid API-key, IP, or permissions for action.".to_owned());
    assert_eq!(answer(&at(START), "nobody"), unknown);
    let wrong = (400, -1022, "Signature for this request is not valid.".to_owned());
    assert_eq!(answer(&format!("timestamp={START}&signature={}", "0".repeat(64)), KEY), wrong);
    assert_eq!(answer(&format!("timestamp={START}"), KEY).1, -1102);
    let early = "Timestamp for this request was 1000ms ahead of the server's time.";
    assert_eq!(answer(&at(START + 1000), KEY), (400, -1021, early.to_owned()));
    let late = "Timestamp for this request is outside of the recvWindow.";
    assert_eq!(answer(&at(START - 5001), KEY), (400, -1021, late.to_owned()));
    assert_eq!(answer(&at(START - 5000), KEY).0, 200);
    let response = client.send(Post, "/fapi/v1/listenKey", "", "nobody");
    assert_eq!((response.status, &json(&response)["code"]), (401, &value!(-2015)));
}

#[test]
fn orders_are_counted() {
    let mut client = Client::new();
    let order =
        "/fapi/v1/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=60000";
    let response = client.ask(Post, order);
    assert_eq!(header(&response, "x-mbx-order-count-10s"), Some("1"));
    assert_eq!(header(&response, "x-mbx-order-count-1m"), Some("1"));
    // Orders cost no weight.
    assert_eq!(
        client.venue.exchange().limits().used(
            "request_weight",
            ScopeKey::Address(std::net::IpAddr::from([127, 0, 0, 1])),
            client.venue.exchange().now()
        ),
        0
    );
    assert_eq!(
        client.done(Get, "/fapi/v1/rateLimit/order"),
        value!([
            {"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300},
            {"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":1200}])
    );
    let mut last = None;
    for _ in 0..300 {
        last = Some(client.ask(Post, order));
    }
    let refused = last.unwrap();
    assert_eq!(
        (refused.status, json(&refused)),
        (
            429,
            value!({"code": -1015, "msg": "Too many new orders; current limit is 300 orders per TEN_SECONDS."})
        )
    );
}

#[test]
fn weight_runs_out_and_then_the_address_is_banned() {
    let mut client = Client::new();
    let mut last = client.send(Get, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "", "");
    while last.status == 200 {
        last = client.send(Get, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "", "");
    }
    assert_eq!(
        (last.status, json(&last)),
        (
            429,
            value!({"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute. Please use the websocket for live updates to avoid polling the API."})
        )
    );
    assert!(header(&last, "retry-after").is_some());
    for _ in 0..100 {
        last = client.send(Get, "/fapi/v1/ping", "", "");
    }
    let body = json(&last);
    assert_eq!((last.status, &body["code"]), (418, &value!(-1003)));
    assert!(
        body["msg"].as_str().unwrap().starts_with("Way too many requests; IP banned until 15917"),
        "{body}"
    );
}
