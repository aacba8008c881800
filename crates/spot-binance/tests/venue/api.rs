//! The WebSocket API and the account's events.

use connector_core::order::Side;
use connector_venue::face::{Payload, SessionId};
use connector_venue::keys::{ApiKey, KeySecret, KeyState};
use connector_venue::orders::Submit;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{Desk, KEY, ME, START, number, sign};

fn subscribe(desk: &mut Desk) -> (SessionId, Value) {
    let id = desk.open("/ws-api/v3", "");
    let time = desk.now.utc.millis();
    let signature = sign(&format!("apiKey={KEY}&timestamp={time}"));
    let request = json!({"id":"1","method":"userDataStream.subscribe.signature",
        "params":{"apiKey":KEY,"timestamp":time,"signature":signature}});
    let answer = desk.say(id, &request.to_string()).remove(0);
    (id, answer)
}

// D/websocket-api/user-data-stream-requests, D/user-data-stream
#[test]
fn an_order_s_life_in_events() {
    let mut desk = Desk::new();
    let (id, answer) = subscribe(&mut desk);
    assert_eq!((&answer["id"], &answer["status"]), (&json!("1"), &json!(200)));
    assert_eq!(answer["result"], json!({"subscriptionId":0}));
    let weight = json!([{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":4}]);
    assert_eq!(answer["rateLimits"], weight, "two for the connection, two for the request");
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number("0.1"), number("1")));
    let placed = desk.order(
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price=0.1&newClientOrderId=mine",
    );
    let order_id = crate::read(&placed)["orderId"].clone();
    let heard = desk.hear(id);
    assert!(heard.iter().all(|frame| frame["subscriptionId"] == 0));
    let kinds: Vec<&str> = heard.iter().map(|frame| frame["event"]["e"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["executionReport", "executionReport", "outboundAccountPosition"]);
    assert_eq!(
        heard[0]["event"],
        json!({"e":"executionReport","E":START,"s":"LTCBTC","c":"mine","S":"BUY","o":"LIMIT","f":"GTC",
            "q":"2.00000000","p":"0.10000000","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"NEW","X":"NEW",
            "r":"NONE","i":order_id,"l":"0.00000000","z":"0.00000000","L":"0.00000000","n":"0.00000000","N":null,
            "T":START,"t":-1,"I":heard[0]["event"]["I"],"w":true,"m":false,"M":false,"O":START,"Z":"0.00000000",
            "Y":"0.00000000","Q":"0.00000000","W":heard[0]["event"]["W"],"V":"EXPIRE_MAKER"})
    );
    let traded = &heard[1]["event"];
    assert_eq!(
        [&traded["x"], &traded["X"], &traded["l"], &traded["L"], &traded["n"], &traded["N"], &traded["z"]],
        ["TRADE", "PARTIALLY_FILLED", "1.00000000", "0.10000000", "0.00100000", "LTC", "1.00000000"]
    );
    assert_eq!((&traded["t"], &traded["m"], &traded["Y"]), (&json!(1), &json!(false), &json!("0.10000000")));
    let position = heard[2]["event"]["B"].as_array().unwrap();
    let btc = position.iter().find(|entry| entry["a"] == "BTC").unwrap();
    assert_eq!(btc, &json!({"a":"BTC","f":"19.80000000","l":"0.10000000"}));
    desk.pass(7);
    let cancel = format!("symbol=LTCBTC&orderId={order_id}&newClientOrderId=thecancel");
    desk.signed(connector_core::dialect::Method::Delete, "/api/v3/order", &cancel);
    let heard = desk.hear(id);
    let ended = &heard[0]["event"];
    assert_eq!(
        [&ended["x"], &ended["X"], &ended["c"], &ended["C"]],
        ["CANCELED", "CANCELED", "thecancel", "mine"]
    );
    assert_eq!((&ended["w"], &ended["E"]), (&json!(false), &json!(START + 7)));
    desk.venue.exchange_mut().transfer(ME, &"LTC".into(), number("5")).unwrap();
    desk.pass(0);
    let heard = desk.hear(id);
    assert_eq!(
        heard[0]["event"],
        json!({"e":"balanceUpdate","E":START + 7,"a":"LTC","d":"5.00000000","T":START + 7})
    );
    assert_eq!(heard[1]["event"]["e"], "outboundAccountPosition");
}

// D/websocket-api/request-security: the published requests, parameters in any order, non-ASCII text unencoded.
#[test]
fn published_signatures_are_accepted() {
    let mut desk = Desk::at(1_645_423_376_532, |_| {});
    let id = desk.open("/ws-api/v3", "");
    let request = json!({"id":"4885f793-e5ad-4c3b-8f6c-55d891472b71","method":"order.place","params":{
        "symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":"0.01000000",
        "price":"52000.00","recvWindow":100,"timestamp":1_645_423_376_532_i64,"apiKey":KEY,
        "signature":"aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"}});
    let answer = desk.say(id, &request.to_string()).remove(0);
    assert_eq!((&answer["status"], &answer["result"]["status"]), (&json!(200), &json!("NEW")), "{answer}");
    let kinds: Vec<&str> = answer["rateLimits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| limit["rateLimitType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "ORDERS").count(), 2);
    let request = json!({"id":2,"method":"v3/order.place","params":{
        "symbol":"１２３４５６","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"1.00000000",
        "price":"0.10000000","recvWindow":5000,"timestamp":1_645_423_376_532_i64,"apiKey":KEY,
        "signature":"b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"}});
    let answer = desk.say(id, &request.to_string()).remove(0);
    assert_eq!(answer["result"]["symbol"], "１２３４５６", "{answer}");
}

fn placement(symbol: &str, client: &str, time: i64) -> String {
    let payload = format!(
        "apiKey={KEY}&newClientOrderId={client}&price=0.1&quantity=1&side=BUY&symbol={symbol}&timeInForce=GTC\
         &timestamp={time}&type=LIMIT"
    );
    json!({"id":9,"method":"order.place","params":{"apiKey":KEY,"newClientOrderId":client,"price":"0.1",
        "quantity":"1","side":"BUY","symbol":symbol,"timeInForce":"GTC","timestamp":time,"type":"LIMIT",
        "signature":sign(&payload)}})
    .to_string()
}

/// Faults of a row strike the request whichever way it comes.
#[test]
fn faults_of_requests_strike_calls() {
    let arm = |desk: &mut Desk, rule: &str| {
        let rule = serde_json::from_str(rule).unwrap();
        desk.venue.arm(desk.now, rule).unwrap();
    };
    let placed = |desk: &Desk| desk.venue.exchange().open_orders(ME, None).len();
    for (rule, expected, applied) in [
        (r#"{"fault":"net.drop_reply","match":{"row":"place"}}"#, None, 1),
        (r#"{"fault":"net.drop_request","match":{"row":"place"}}"#, None, 0),
        (
            r#"{"fault":"http.status","code":503,"match":{"path":"/api/v3/order"}}"#,
            Some(json!({"id":9,"status":503})),
            0,
        ),
        (
            r#"{"fault":"http.status","code":429,"body":"{\"code\":-1003,\"msg\":\"slow\"}","headers":{"retry-after":"7"},"point":"after_apply","match":{"contains":"one"}}"#,
            Some(json!({"id":9,"status":429,"error":{"code":-1003,"msg":"slow",
                "data":{"serverTime":START,"retryAfter":START + 7000}}})),
            1,
        ),
    ] {
        let mut desk = Desk::new();
        let id = desk.open("/ws-api/v3", "");
        arm(&mut desk, rule);
        let heard = desk.say(id, &placement("LTCBTC", "one", START));
        assert_eq!(heard.first(), expected.as_ref(), "{rule}");
        assert_eq!(placed(&desk), applied, "{rule}");
        let seen = desk.venue.requests().last().unwrap();
        let status = expected.and_then(|answer| u16::try_from(answer["status"].as_u64()?).ok());
        assert_eq!((seen.method, seen.row, seen.status), ("TEXT", Some("place"), status), "{rule}");
    }
    let mut desk = Desk::new();
    let id = desk.open("/ws-api/v3", "");
    arm(&mut desk, r#"{"fault":"net.delay","ms":2000,"match":{"row":"place"},"trigger":{"nth":1}}"#);
    arm(
        &mut desk,
        r#"{"fault":"net.delay","ms":500,"point":"after_apply","match":{"row":"place"},"trigger":{"nth":2}}"#,
    );
    assert!(desk.say(id, &placement("LTCBTC", "late", START)).is_empty());
    assert!(desk.say(id, &placement("LTCBTC", "slow", START)).is_empty());
    assert_eq!(placed(&desk), 1);
    desk.pass(500);
    assert_eq!(desk.hear(id).remove(0)["result"]["clientOrderId"], "slow");
    // What was received is carried out, whether its connection lasts or not.
    desk.venue.close(id);
    desk.pass(1500);
    assert_eq!(placed(&desk), 2);
}

// D/websocket-api/session-authentication: a session's key is Ed25519.
#[test]
fn sessions() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let mut desk = Desk::at(START, |setup| {
        setup.keys.push(ApiKey::new("ed", ME, KeySecret::Ed25519(pair.public_key().as_ref().to_vec())));
    });
    let id = desk.open("/ws-api/v3", "returnRateLimits=false");
    let logon = |key: &str, signature: String| {
        json!({"id":1,"method":"session.logon","params":{"apiKey":key,"timestamp":START,"signature":signature}})
            .to_string()
    };
    let refused = desk.say(id, &logon(KEY, sign(&format!("apiKey={KEY}&timestamp={START}")))).remove(0);
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(400), &json!(-2028)));
    let subscribe = r#"{"id":2,"method":"userDataStream.subscribe"}"#;
    assert_eq!(desk.say(id, subscribe).remove(0)["status"], 401);
    let signature = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        pair.sign(format!("apiKey=ed&timestamp={START}").as_bytes()).as_ref(),
    );
    let answer = desk.say(id, &logon("ed", signature)).remove(0);
    assert_eq!(
        answer,
        json!({"id":1,"status":200,"result":{"apiKey":"ed","authorizedSince":START,"connectedSince":START,
            "returnRateLimits":false,"serverTime":START,"userDataStream":false}})
    );
    assert_eq!(desk.say(id, subscribe).remove(0)["result"], json!({"subscriptionId":0}));
    assert_eq!(desk.say(id, subscribe).remove(0)["error"]["code"], -2035);
    let account = format!(r#"{{"id":3,"method":"account.status","params":{{"timestamp":{START}}}}}"#);
    assert_eq!(desk.say(id, &account).remove(0)["result"]["accountType"], "SPOT");
    let listed = desk.say(id, r#"{"id":4,"method":"session.subscriptions"}"#).remove(0);
    assert_eq!(listed["result"], json!([{"subscriptionId":0}]));
    let heard = desk.say(id, r#"{"id":5,"method":"session.logout"}"#);
    assert_eq!(
        (&heard[0]["result"]["apiKey"], &heard[0]["result"]["userDataStream"]),
        (&json!(null), &json!(false))
    );
    assert_eq!(heard[1], json!({"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":START}}));
    assert_eq!(desk.say(id, &account).remove(0)["error"]["code"], -1102);
}

#[test]
fn unsubscribing_and_withdrawn_keys() {
    let mut desk = Desk::new();
    let (id, _) = subscribe(&mut desk);
    let wrong = r#"{"id":2,"method":"userDataStream.unsubscribe","params":{"subscriptionId":3}}"#;
    assert_eq!(desk.say(id, wrong).remove(0)["error"]["code"], -2036);
    let heard = desk.say(id, r#"{"id":3,"method":"userDataStream.unsubscribe"}"#);
    assert_eq!((&heard[0]["result"], &heard[1]["event"]["e"]), (&json!({}), &json!("eventStreamTerminated")));
    let (id, _) = subscribe(&mut desk);
    desk.venue.exchange_mut().keys_mut().get_mut(KEY).unwrap().state = KeyState::Revoked;
    desk.pass(0);
    desk.pass(2_000);
    assert_eq!(desk.hear(id).pop().unwrap()["event"]["e"], "eventStreamTerminated");
}

#[test]
fn requests_and_refusals() {
    let mut desk = Desk::new();
    let id = desk.open("/ws-api/v3", "");
    let mut say = |text: &str| desk.say(id, text).remove(0);
    assert_eq!(say(r#"{"id":1,"method":"ping"}"#)["result"], json!({}));
    assert_eq!(say(r#"{"id":null,"method":"time"}"#)["result"], json!({"serverTime":START}));
    assert!(
        say(r#"{"id":1,"method":"time","params":{"returnRateLimits":false}}"#).get("rateLimits").is_none()
    );
    let info = say(r#"{"id":1,"method":"exchangeInfo","params":{"symbols":["BTCUSDT","LTCBTC"]}}"#);
    assert_eq!(info["result"]["symbols"].as_array().unwrap().len(), 2);
    assert_eq!(
        say(r#"{"id":1,"method":"depth","params":{"symbol":"LTCBTC","limit":5}}"#)["result"]["bids"],
        json!([])
    );
    let invalid = say(r#"{"id":7,"method":"depth","params":{"symbol":"NOPE"}}"#);
    assert_eq!(invalid["error"], json!({"code":-1121,"msg":"Invalid symbol."}));
    assert_eq!((&invalid["id"], &invalid["status"]), (&json!(7), &json!(400)));
    assert_eq!(say("{")["error"]["code"], -1135);
    assert_eq!(say(r#"{"id":1,"method":"dance"}"#)["status"], 400);
    assert_eq!(say(r#"{"id":1,"method":"userDataStream.start"}"#)["status"], 400);
    let late = json!({"id":"st1","method":"userDataStream.subscribe.signature",
        "params":{"apiKey":KEY,"timestamp":START - 5001,"signature":"00"}});
    let text = "Timestamp for this request is outside of the recvWindow.";
    assert_eq!(say(&late.to_string())["error"], json!({"code":-1021,"msg":text}));
}

// D/websocket-api/rate-limits: the wait is told as a time, and a ban ends the connection.
#[test]
fn limits() {
    let mut desk = Desk::new();
    let id = desk.open("/ws-api/v3", "");
    desk.venue.exchange_mut().limits_mut().set_limit("request_weight", Some(3));
    assert_eq!(desk.say(id, r#"{"id":1,"method":"ping"}"#).remove(0)["status"], 200);
    let over = desk.say(id, r#"{"id":2,"method":"ping"}"#).remove(0);
    assert_eq!((&over["status"], &over["error"]["code"]), (&json!(429), &json!(-1003)));
    assert_eq!(over["error"]["data"], json!({"serverTime":START,"retryAfter":START + 1_000}));
    for _ in 0..20 {
        desk.venue.text(desk.now, id, r#"{"id":3,"method":"ping"}"#);
    }
    let frames = desk.venue.drain(id);
    assert!(matches!(frames.last().unwrap().payload, Payload::Close(1008, _)), "{frames:?}");
}
