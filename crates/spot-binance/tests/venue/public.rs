//! Market data by request and by stream.

use connector_core::order::Side;
use connector_venue::orders::{Amount, Submit};
use serde_json::{Value, json};

use crate::{Desk, OTHER, START, number};

fn quote(desk: &mut Desk) {
    desk.rest(&Submit::limit("LTCBTC", Side::Buy, number("0.1"), number("2")));
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number("0.2"), number("3")));
}

fn trade(desk: &mut Desk, amount: &str) {
    let submit = Submit::market("LTCBTC", Side::Sell, Amount::Base(number(amount)));
    desk.venue.exchange_mut().place(crate::ME, &submit).unwrap();
    desk.pass(0);
}

// D/rest-api/general-endpoints, D/rest-api/market-data-endpoints
#[test]
fn requests() {
    let mut desk = Desk::new();
    quote(&mut desk);
    trade(&mut desk, "1");
    assert_eq!(desk.get("/api/v3/ping", ""), json!({}));
    assert_eq!(desk.get("/api/v3/time", ""), json!({"serverTime":START}));
    let depth = desk.get("/api/v3/depth", "symbol=LTCBTC&limit=5");
    assert_eq!(
        (&depth["bids"], &depth["asks"]),
        (&json!([["0.10000000", "1.00000000"]]), &json!([["0.20000000", "3.00000000"]]))
    );
    assert_eq!(
        desk.get("/api/v3/trades", "symbol=LTCBTC"),
        json!([{"id":1,"price":"0.10000000","qty":"1.00000000","quoteQty":"0.10000000","time":START,
            "isBuyerMaker":true,"isBestMatch":true}])
    );
    let agg = json!([{"a":1,"p":"0.10000000","q":"1.00000000","f":1,"l":1,"T":START,"m":true,"M":true}]);
    assert_eq!(desk.get("/api/v3/aggTrades", "symbol=LTCBTC"), agg);
    assert_eq!(desk.get("/api/v3/aggTrades", &format!("symbol=LTCBTC&startTime={START}")), agg);
    assert_eq!(desk.get("/api/v3/aggTrades", &format!("symbol=LTCBTC&endTime={}", START - 1)), json!([]));
    let price = json!({"symbol":"LTCBTC","price":"0.10000000"});
    assert_eq!(desk.get("/api/v3/ticker/price", "symbol=LTCBTC"), price);
    assert_eq!(desk.get("/api/v3/ticker/price", "symbols=%5B%22LTCBTC%22%5D"), json!([price]));
    assert!(desk.get("/api/v3/ticker/price", "").as_array().unwrap().len() > 5);
    assert_eq!(
        desk.get("/api/v3/ticker/bookTicker", "symbol=LTCBTC"),
        json!({"symbol":"LTCBTC","bidPrice":"0.10000000","bidQty":"1.00000000","askPrice":"0.20000000",
            "askQty":"3.00000000"})
    );
    assert_eq!(desk.get("/api/v3/avgPrice", "symbol=LTCBTC")["mins"], 5);
    let day = desk.get("/api/v3/ticker/24hr", "symbol=LTCBTC");
    assert_eq!(
        (&day["lastPrice"], &day["count"], &day["volume"]),
        (&json!("0.10000000"), &json!(1), &json!("1.00000000"))
    );
    assert!(desk.get("/api/v3/ticker/24hr", "symbol=LTCBTC&type=MINI").get("bidPrice").is_none());
    assert_eq!(desk.get("/api/v3/depth", "symbol=NOPE")["code"], -1121);
    assert_eq!(desk.get("/api/v3/depth", "limit=5")["code"], -1102);
    assert_eq!(desk.get("/api/v3/depth", "symbol=LTCBTC&limit=x")["code"], -1100);
}

// D/rest-api/general-endpoints (exchangeInfo), D/filters
#[test]
fn exchange_info() {
    let mut desk = Desk::new();
    let all = desk.get("/api/v3/exchangeInfo", "");
    let limits = all["rateLimits"].as_array().unwrap();
    let weight = json!({"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000});
    assert!(limits.contains(&weight), "{limits:?}");
    assert!(
        limits.contains(&json!({"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100}))
    );
    let one = desk.get("/api/v3/exchangeInfo", "symbol=BTCUSDT");
    let symbol = &one["symbols"][0];
    assert_eq!((&symbol["status"], &symbol["baseAsset"]), (&json!("TRADING"), &json!("BTC")));
    assert_eq!(symbol["permissionSets"], json!([["SPOT"]]));
    let filter = |name: &str| -> Value {
        let filters = symbol["filters"].as_array().unwrap();
        filters.iter().find(|filter| filter["filterType"] == name).unwrap().clone()
    };
    assert_eq!(filter("PRICE_FILTER")["tickSize"], "0.01000000");
    assert_eq!(filter("LOT_SIZE")["stepSize"], "0.00001000");
    assert_eq!(filter("NOTIONAL")["minNotional"], "5.00000000");
    let halted = desk.get("/api/v3/exchangeInfo", "symbol=LUNAUSDT");
    assert_eq!(halted["symbols"][0]["status"], "HALT");
    assert_eq!(desk.get("/api/v3/exchangeInfo", "symbol=NOPE")["code"], -1121);
    assert_eq!(desk.get("/api/v3/exchangeInfo", "symbol=BTCUSDT&permissions=SPOT")["code"], -1128);
}

// D/web-socket-streams (live subscribing)
#[test]
fn control_messages() {
    let mut desk = Desk::new();
    let id = desk.open("/ws/0", "");
    let mut say = |text: &str| desk.say(id, text).remove(0);
    assert_eq!(
        say(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#),
        json!({"result":null,"id":1})
    );
    let listed = say(r#"{"method":"LIST_SUBSCRIPTIONS","id":"a3"}"#);
    assert_eq!(listed, json!({"result":["0","btcusdt@trade"],"id":"a3"}));
    assert_eq!(
        say(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":312}"#),
        json!({"result":null,"id":312})
    );
    assert_eq!(
        say(r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#),
        json!({"result":false,"id":2})
    );
    desk.pass(1000);
    let mut code = |text: &str| desk.say(id, text).remove(0)["error"]["code"].as_i64().unwrap();
    assert_eq!(code("nonsense"), 3);
    assert_eq!(code(r#"{"method":"SHOUT","id":1}"#), 2);
    assert_eq!(code(r#"{"params":[],"id":1}"#), 2);
    assert_eq!(code(r#"{"method":"SET_PROPERTY","params":["combined",1],"id":5}"#), 1);
    assert_eq!(code(r#"{"method":"SET_PROPERTY","params":["loud",true],"id":5}"#), 0);
}

// D/web-socket-streams: the payloads, and that diffs continue each other and the snapshot.
#[test]
fn events() {
    let mut desk = Desk::new();
    let streams = "ltcbtc@trade/ltcbtc@aggTrade/ltcbtc@depth@100ms/ltcbtc@bookTicker/ltcbtc@depth5@100ms";
    let id = desk.open("/stream", &format!("streams={streams}"));
    quote(&mut desk);
    desk.pass(200);
    let before = desk.hear(id);
    trade(&mut desk, "1");
    let immediately = desk.hear(id);
    desk.pass(200);
    let later = desk.hear(id);
    let of = |frames: &[Value], stream: &str| -> Vec<Value> {
        frames.iter().filter(|frame| frame["stream"] == stream).map(|frame| frame["data"].clone()).collect()
    };
    let time = START + 200;
    assert_eq!(
        of(&immediately, "ltcbtc@trade"),
        [
            json!({"e":"trade","E":time,"s":"LTCBTC","t":1,"p":"0.10000000","q":"1.00000000","T":time,"m":true,"M":true})
        ]
    );
    assert_eq!(
        of(&immediately, "ltcbtc@aggTrade"),
        [
            json!({"e":"aggTrade","E":time,"s":"LTCBTC","a":1,"p":"0.10000000","q":"1.00000000","f":1,"l":1,"T":time,
            "m":true,"M":true})
        ]
    );
    let best = of(&immediately, "ltcbtc@bookTicker").pop().unwrap();
    assert_eq!(
        (&best["b"], &best["B"], &best["A"]),
        (&json!("0.10000000"), &json!("1.00000000"), &json!("3.00000000"))
    );
    let (first, second) = (of(&before, "ltcbtc@depth@100ms"), of(&later, "ltcbtc@depth@100ms"));
    assert_eq!((&first[0]["e"], &first[0]["s"]), (&json!("depthUpdate"), &json!("LTCBTC")));
    assert_eq!(second[0]["b"], json!([["0.10000000", "1.00000000"]]));
    let end = first.last().unwrap()["u"].as_u64().unwrap();
    assert_eq!(second[0]["U"].as_u64().unwrap(), end + 1, "no gap");
    let snapshot = desk.get("/api/v3/depth", "symbol=LTCBTC");
    assert_eq!(snapshot["lastUpdateId"], second.last().unwrap()["u"]);
    let partial = of(&later, "ltcbtc@depth5@100ms").pop().unwrap();
    assert_eq!(partial, snapshot);
}

#[test]
fn slow_streams() {
    let mut desk = Desk::new();
    let id = desk.open("/ws/ltcbtc@depth/ltcbtc@miniTicker/ltcbtc@ticker", "");
    desk.pass(0);
    quote(&mut desk);
    desk.pass(150);
    desk.venue.exchange_mut().cancel_all(OTHER, "LTCBTC").unwrap();
    desk.pass(150);
    assert!(desk.hear(id).is_empty());
    desk.pass(900);
    let heard = desk.hear(id);
    let of = |kind: &str| heard.iter().find(|event| event["e"] == kind).unwrap();
    // Both changes in one event, which covers all their ids.
    let depth = of("depthUpdate");
    assert_eq!(depth["b"], json!([["0.10000000", "0.00000000"]]));
    assert!(depth["U"].as_u64().unwrap() < depth["u"].as_u64().unwrap());
    assert_eq!(of("24hrMiniTicker")["c"], "0.10000000");
    assert_eq!(of("24hrTicker")["n"], 0);
}
