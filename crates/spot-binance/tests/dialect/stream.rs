//! Frames of both links.

use connector_core::dialect::{Channel, Dialect as _, LinkRole};
use serde_json::{Value, json};
use spot_binance::SpotBinance;

use crate::{events, frame};

pub(crate) fn public(text: &str) -> Value {
    events(frame(LinkRole::Public, text))
}

fn user(text: &str) -> Value {
    events(frame(LinkRole::User, text))
}

// D/web-socket-streams (live subscribing)
#[test]
fn subscribing() {
    let channels = [
        (Channel::Book, "BTCUSDT".into()),
        (Channel::Trades, "BTCUSDT".into()),
        (Channel::BestPrice, "LTCBTC".into()),
    ];
    assert_eq!(
        SpotBinance::subscribe(true, &channels, 1),
        r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade","ltcbtc@bookTicker"],"id":1}"#
    );
    assert_eq!(
        SpotBinance::subscribe(false, &channels[..1], 2),
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":2}"#
    );
    assert_eq!(public(r#"{"result":null,"id":1}"#), json!([{"event":"session","kind":"subscribed","id":1}]));
    assert_eq!(
        public(r#"{"result":["btcusdt@aggTrade"],"id":3}"#),
        json!([{"event":"session","kind":"notice","id":3}])
    );
}

pub(crate) const DEPTH: &str = r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,
    "b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#;

// D/web-socket-streams (diff. depth stream; combined streams)
#[test]
fn depth_update() {
    let expected = json!([{"event":"book_diff","pair":"BNB-BTC","bids":[["0.0024","10"]],"asks":[["0.0026","100"]],
        "first_id":157,"last_id":160,"time_ns":1_672_515_782_136_000_000_i64}]);
    assert_eq!(public(DEPTH), expected);
    assert_eq!(public(&format!(r#"{{"stream":"bnbbtc@depth@100ms","data":{DEPTH}}}"#)), expected);
    assert_eq!(public(&format!(r#"{{"data":{DEPTH},"stream":"bnbbtc@depth@100ms"}}"#)), expected);
    let new_field = DEPTH.replace("\"U\":", "\"zz\":{\"b\":[1]},\"U\":");
    assert_eq!(public(&new_field), expected);
    for (from, to) in
        [("\"u\":160,", ""), ("\"10\"", "10"), ("\"10\"", "\"1e1\""), ("[[", "["), ("\"BNBBTC\"", "4")]
    {
        let broken = DEPTH.replacen(from, to, 1);
        assert!(frame(LinkRole::Public, &broken).is_err(), "{broken}");
    }
}

pub(crate) const TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",
    "T":1672515782135,"m":true,"M":true}"#;

// D/web-socket-streams (trade streams): a maker who buys meets a taker who sells.
#[test]
fn trade() {
    let expected = json!({"event":"trade","pair":"BNB-BTC","trade_id":"12345","price":"0.001","amount":"100",
        "taker_side":"sell","time_ns":1_672_515_782_135_000_000_i64});
    assert_eq!(public(TRADE), json!([expected]));
    assert_eq!(public(&TRADE.replacen("true", "false", 1))[0]["taker_side"], "buy");
    assert_eq!(public(&TRADE.replace("BNBBTC", "NEWONE"))[0]["exchange_symbol"], "NEWONE");
    assert!(frame(LinkRole::Public, &TRADE.replacen("true", "1", 1)).is_err());
}

pub(crate) const BOOK_TICKER: &str = r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000",
    "a":"25.36520000","A":"40.66000000"}"#;

// D/web-socket-streams (individual symbol book ticker)
#[test]
fn book_ticker() {
    assert_eq!(
        public(BOOK_TICKER),
        json!([{"event":"best_price","pair":"BNB-USDT","bid":"25.3519","bid_amount":"31.21","ask":"25.3652",
            "ask_amount":"40.66","id":400_900_217}])
    );
    let one_sided = BOOK_TICKER.replace("25.36520000", "0.00000000").replace("40.66000000", "0.00000000");
    assert_eq!(
        public(&one_sided),
        json!([{"event":"best_price","pair":"BNB-USDT","bid":"25.3519","bid_amount":"31.21","id":400_900_217}])
    );
    assert!(frame(LinkRole::Public, &BOOK_TICKER.replace("\"25.35190000\"", "null")).is_err());
}

pub(crate) const PARTIAL: &str = r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}"#;

// D/web-socket-streams (partial book depth). Raw, the payload does not name its market.
#[test]
fn snapshots() {
    let mut expected = json!({"event":"book_snapshot","exchange_symbol":"","bids":[["0.0024","10"]],
        "asks":[["0.0026","100"]],"last_id":160});
    assert_eq!(public(PARTIAL), json!([expected]));
    expected.as_object_mut().unwrap().remove("exchange_symbol");
    expected["pair"] = json!("BNB-BTC");
    assert_eq!(public(&format!(r#"{{"stream":"bnbbtc@depth5","data":{PARTIAL}}}"#)), json!([expected]));
}

// D/web-socket-streams: streams nobody here subscribes to, and what is not known at all.
#[test]
fn other_streams() {
    let agg = r#"{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,
        "T":1672515782136,"m":true,"M":true}"#;
    assert_eq!(public(agg), json!([]));
    assert_eq!(public(r#"{"e":"24hrMiniTicker","E":1,"s":"BNBBTC","c":"0.0025","o":"0.0010"}"#), json!([]));
    assert_eq!(public(r#"[{"e":"24hrMiniTicker"}]"#), json!([]));
    assert_eq!(
        public(r#"{"e":"fullMoon"}"#),
        json!([{"event":"skipped","error":"unknown event `fullMoon`"}])
    );
    assert!(frame(LinkRole::Public, r#"{"x":1}"#).is_err());
}

// D/web-socket-streams (server shutdown), D/websocket-api/general-api-information
#[test]
fn shutdown() {
    let closing = json!([{"event":"session","kind":"closing","detail":"serverShutdown"}]);
    assert_eq!(public(r#"{"e":"serverShutdown","E":1770123456789}"#), closing);
    let combined = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#;
    assert_eq!(public(combined), closing);
    assert_eq!(user(r#"{"event":{"e":"serverShutdown","E":1770123456789}}"#), closing);
}

// D/web-socket-streams documents errors flat; the live service wraps them in `error`.
#[test]
fn stream_errors() {
    let refusal = |id: Value| {
        let mut refusal = json!({"event":"refusal","code":"2","message":"Invalid request: missing field `method`",
            "effect":"rejected","cause":"bad_request"});
        if id.is_u64() {
            refusal["id"] = id;
        }
        json!([refusal])
    };
    let text = "Invalid request: missing field `method`";
    assert_eq!(public(&format!(r#"{{"code":2,"msg":"{text}","id":4}}"#)), refusal(json!(4)));
    assert_eq!(public(&format!(r#"{{"error":{{"code":2,"msg":"{text}"}},"id":4}}"#)), refusal(json!(4)));
    assert_eq!(
        public(&format!(r#"{{"error":{{"code":2,"msg":"{text}"}},"id":null}}"#)),
        refusal(json!(null))
    );
}

// D/websocket-api/user-data-stream-requests, D/websocket-api/request-security
#[test]
fn api_answers() {
    let limits = r#""rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":4}]"#;
    assert_eq!(
        user(&format!(r#"{{"id":9,"status":200,"result":{{"subscriptionId":0}},{limits}}}"#)),
        json!([{"event":"session","kind":"login","id":9,"detail":"0"}])
    );
    assert_eq!(
        user(&format!(r#"{{"id":"10","status":200,"result":{{}},{limits}}}"#)),
        json!([{"event":"session","kind":"notice","id":10}])
    );
    let late = "Timestamp for this request is outside of the recvWindow.";
    assert_eq!(
        user(&format!(r#"{{"id":11,"status":400,"error":{{"code":-1021,"msg":"{late}"}}}}"#)),
        json!([{"event":"refusal","id":11,"code":"-1021","message":late,"effect":"rejected","cause":"timestamp"}])
    );
    let revoked = "Invalid API-key, IP, or permissions for action.";
    assert_eq!(
        user(&format!(r#"{{"id":null,"status":401,"error":{{"code":-2015,"msg":"{revoked}"}}}}"#)),
        json!([{"event":"refusal","code":"-2015","message":revoked,"effect":"rejected","cause":"credentials"}])
    );
    assert_eq!(
        user(r#"{"id":1,"status":500,"error":{"code":-9999,"msg":"new"}}"#)[0]["effect"],
        "unknown",
        "a failure at the venue may come after the deed"
    );
}

pub(crate) const REPORT: &str = r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1499405658658,"s":"ETHBTC",
    "c":"mUvoqJxFIILMdfAW5iGSOW","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"0.10264410",
    "P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"NEW","X":"NEW","r":"NONE","i":4293153,
    "l":"0.00000000","z":"0.00000000","L":"0.00000000","n":"0","N":null,"T":1499405658657,"t":-1,"v":3,
    "I":8641984,"w":true,"m":false,"M":false,"O":1499405658657,"Z":"0.00000000","Y":"0.00000000",
    "Q":"0.00000000","W":1499405658657,"V":"NONE"}}"#;

fn order(id: &str, state: &str, filled: &str) -> Value {
    json!({"event":"order","pair":"ETH-BTC","client_order_id":id,"exchange_order_id":"4293153","state":state,
        "side":"buy","type":"limit","price":"0.1026441","amount":"1","filled_amount":filled,
        "time_ns":1_499_405_658_657_000_000_i64})
}

// D/user-data-stream (order update)
#[test]
fn execution_reports() {
    assert_eq!(user(REPORT), json!([order("mUvoqJxFIILMdfAW5iGSOW", "open", "0")]));
    let traded = REPORT
        .replace(r#""x":"NEW","X":"NEW""#, r#""x":"TRADE","X":"PARTIALLY_FILLED""#)
        .replace(
            r#""l":"0.00000000","z":"0.00000000","L":"0.00000000","n":"0","N":null"#,
            r#""l":"0.25000000","z":"0.25000000","L":"0.10264000","n":"0.00025000","N":"ETH""#,
        )
        .replace(r#""t":-1"#, r#""t":77"#);
    assert_eq!(
        user(&traded),
        json!([{"event":"fill","pair":"ETH-BTC","client_order_id":"mUvoqJxFIILMdfAW5iGSOW",
            "exchange_order_id":"4293153","trade_id":"77","side":"buy","price":"0.10264","amount":"0.25",
            "fee":{"asset":"ETH","amount":"0.00025"},"maker":false,"time_ns":1_499_405_658_657_000_000_i64},
            order("mUvoqJxFIILMdfAW5iGSOW", "partially_filled", "0.25")])
    );
    assert_eq!(user(&traded.replace("\"S\":\"BUY\"", "\"S\":\"SELL\""))[0]["side"], "sell");
    assert!(frame(LinkRole::User, &traded.replace("\"S\":\"BUY\"", "\"S\":\"HOLD\"")).is_err());
}

// D/user-data-stream: on a cancel `C` is the order's id and `c` the cancel's.
#[test]
fn reports_of_the_end() {
    let cancelled = REPORT
        .replace(r#""C":"""#, r#""C":"myOrder1""#)
        .replace(r#""x":"NEW","X":"NEW""#, r#""x":"CANCELED","X":"CANCELED""#);
    assert_eq!(user(&cancelled), json!([order("myOrder1", "cancelled", "0")]));
    let expired = REPORT
        .replace(r#""x":"NEW","X":"NEW""#, r#""x":"EXPIRED","X":"EXPIRED""#)
        .replace(r#""V":"NONE""#, r#""V":"NONE","eR":"INSUFFICIENT_LIQUIDITY""#);
    let found = user(&expired);
    assert_eq!(
        (&found[0]["state"], &found[0]["reason"]),
        (&json!("expired"), &json!("INSUFFICIENT_LIQUIDITY"))
    );
    let rejected = REPORT.replace(
        r#""x":"NEW","X":"NEW","r":"NONE""#,
        r#""x":"REJECTED","X":"REJECTED","r":"INSUFFICIENT_BALANCES""#,
    );
    let found = user(&rejected);
    assert_eq!(
        (&found[0]["state"], &found[0]["reason"]),
        (&json!("failed"), &json!("INSUFFICIENT_BALANCES"))
    );
    let prevented =
        REPORT.replace(r#""x":"NEW","X":"NEW""#, r#""x":"TRADE_PREVENTION","X":"EXPIRED_IN_MATCH""#);
    assert_eq!(user(&prevented), json!([order("mUvoqJxFIILMdfAW5iGSOW", "expired", "0")]));
    let odd = user(&REPORT.replace(r#""X":"NEW""#, r#""X":"DREAMING""#));
    assert_eq!((&odd[0]["state"], &odd[0]["reason"]), (&json!("unknown"), &json!("DREAMING")));
}

pub(crate) const POSITION: &str = r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1564034571105,
    "u":1564034571073,"B":[{"a":"ETH","f":"10000.000000","l":"1.500000"}]}}"#;

// D/user-data-stream (account update, balance update, external lock, event stream terminated)
#[test]
fn account_events() {
    assert_eq!(
        user(POSITION),
        json!([{"event":"balance","asset":"ETH","total":"10001.5","available":"10000",
            "time_ns":1_564_034_571_073_000_000_i64}])
    );
    let delta = r#"{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1573200697110,"a":"BTC","d":"100.00000000","T":1573200697068}}"#;
    assert_eq!(user(delta), json!([{"event":"session","kind":"notice","detail":"balanceUpdate"}]));
    let ended = r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1728973001334}}"#;
    assert_eq!(user(ended), json!([{"event":"session","kind":"expired","detail":"eventStreamTerminated"}]));
    let lock =
        r#"{"subscriptionId":0,"event":{"e":"externalLockUpdate","E":1,"a":"NEO","d":"10.00000000","T":1}}"#;
    assert_eq!(user(lock)[0]["kind"], "notice");
}
