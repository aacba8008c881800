//! The account's events: D/user-data-streams.

use connector_core::dialect::Method::{Delete, Post, Put};
use connector_core::order::Side;
use serde_json::{Value, json as value};

use crate::{Client, KEY, OTHER, START, json, names, number, sorted};

const RESTING: &str = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=60000";

fn kinds(events: &[Value]) -> Vec<String> {
    let word = |event: &Value| match event["e"].as_str().unwrap() {
        "ORDER_TRADE_UPDATE" => {
            format!("{}:{}", event["o"]["x"].as_str().unwrap(), event["o"]["X"].as_str().unwrap())
        }
        "ACCOUNT_UPDATE" => format!("ACCOUNT:{}", event["a"]["m"].as_str().unwrap()),
        other => other.to_owned(),
    };
    events.iter().map(word).collect()
}

#[test]
fn listen_keys_live_for_an_hour() {
    let mut client = Client::new();
    let key = client.listen_key();
    assert_eq!(key.len(), 64);
    client.wait(59 * 60_000);
    let kept = client.send(Put, "/fapi/v1/listenKey", "", KEY);
    assert_eq!((kept.status, json(&kept)), (200, value!({ "listenKey": key })));
    let id = client.connect(&format!("/private/ws/{key}"));
    client.wait(59 * 60_000);
    assert_eq!(client.listen_key(), key);
    client.wait(60 * 60_000);
    let told = client.hear(id);
    assert_eq!(told, [value!({"e":"listenKeyExpired","E":told[0]["E"],"listenKey":key})]);
    let late = client.send(Put, "/fapi/v1/listenKey", "", KEY);
    assert_eq!((late.status, &json(&late)["code"]), (400, &value!(-1125)));
    let fresh = client.listen_key();
    assert_ne!(fresh, key);
    // The connection of a key that has ended stays silent, and so does that of a key that never was.
    let nobody = client.connect("/private/ws/nobody");
    client.order(RESTING);
    assert_eq!((client.hear(id), client.hear(nobody)), (Vec::new(), Vec::new()));
    let ended = client.send(Delete, "/fapi/v1/listenKey", "", KEY);
    assert_eq!((ended.status, json(&ended)), (200, value!({})));
    assert_ne!(client.listen_key(), fresh);
}

#[test]
fn every_form_of_address_carries_the_events() {
    let mut client = Client::new();
    let key = client.listen_key();
    let plain = client.connect(&format!("/private/ws/{key}"));
    let query = client.connect(&format!("/private/ws?listenKey={key}"));
    let chosen = client.connect(&format!("/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/TRADE_LITE"));
    let combined = client.connect(&format!("/private/stream?listenKey={key}&events=ORDER_TRADE_UPDATE"));
    let stream = client.connect(&format!("/private/stream?streams={key}"));
    let later = client.connect("/private/ws");
    client.say(later, &value!({"method": "SUBSCRIBE", "params": [key], "id": 1}).to_string());
    // Addresses of old carry market streams only.
    let unrouted = client.connect(&format!("/ws/{key}"));
    client.order(RESTING);
    for id in [plain, query, later] {
        assert_eq!(kinds(&client.hear(id)), ["NEW:NEW"]);
    }
    assert!(client.hear(chosen).is_empty() && client.hear(unrouted).is_empty());
    for id in [combined, stream] {
        let heard = client.hear(id);
        assert_eq!((&heard[0]["stream"], &heard[0]["data"]["o"]["x"]), (&value!(key), &value!("NEW")));
    }
    client.say(later, &value!({"method": "UNSUBSCRIBE", "params": [key], "id": 2}).to_string());
    client.done(Delete, "/fapi/v1/allOpenOrders?symbol=BTCUSDT");
    assert_eq!(kinds(&client.hear(plain)), ["CANCELED:CANCELED"]);
    assert!(client.hear(later).is_empty());
}

// The order of events and their members as captured on 2024-11-18 and 2026-04-21 (L.1 and L.2 of our notes).
#[test]
fn fills_of_takers_and_makers() {
    let mut client = Client::new();
    let key = client.listen_key();
    let id = client.connect(&format!("/private/ws/{key}"));
    client.mark("91722.35");
    client.offer(Side::Sell, "91739.9", "0.002");
    client
        .order("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=91739.9&newClientOrderId=android_1");
    let heard = client.hear(id);
    assert_eq!(kinds(&heard), ["NEW:NEW", "ACCOUNT:ORDER", "TRADE_LITE", "TRADE:FILLED"]);
    let order = &heard[0]["o"]["i"];
    assert_eq!(
        heard[0],
        value!({"e":"ORDER_TRADE_UPDATE","T":START,"E":START,"o":{"s":"BTCUSDT","c":"android_1","S":"BUY","o":"LIMIT",
            "f":"GTC","q":"0.002","p":"91739.9","ap":"0","sp":"0","x":"NEW","X":"NEW","i":order,"l":"0","z":"0",
            "L":"0","n":"0","N":"USDT","T":START,"t":0,"b":heard[0]["o"]["b"],"a":"0","m":false,"R":false,
            "wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,
            "V":"EXPIRE_MAKER","pm":"NONE","gtd":0,"er":"0"}})
    );
    let left = (number("100000") - number("0.0917399")).to_string();
    assert_eq!(
        heard[1],
        value!({"e":"ACCOUNT_UPDATE","T":START,"E":START,"a":{"B":[{"a":"USDT","wb":left,"cw":left,"bc":"0"}],
            "P":[{"s":"BTCUSDT","pa":"0.002","ep":"91739.9","cr":"0","up":"-0.0351","mt":"cross","iw":"0",
            "ps":"BOTH","ma":"USDT","bep":"91785.76995"}],"m":"ORDER"}})
    );
    assert_eq!(
        heard[2],
        value!({"e":"TRADE_LITE","E":START,"T":START,"s":"BTCUSDT","q":"0.002","p":"91739.9","m":false,
            "c":"android_1","S":"BUY","L":"91739.9","l":"0.002","t":1,"i":order})
    );
    let filled = &heard[3]["o"];
    assert_eq!(
        [&filled["ap"], &filled["l"], &filled["z"], &filled["n"], &filled["b"]],
        ["91739.9", "0.002", "0.002", "0.0917399", "0"]
    );
    client.order("side=SELL&type=LIMIT&timeInForce=GTX&quantity=0.002&price=91740&reduceOnly=true");
    client.offer(Side::Buy, "91740", "0.002");
    client.wait(0);
    let heard = client.hear(id);
    assert_eq!(kinds(&heard), ["NEW:NEW", "ACCOUNT:ORDER", "TRADE_LITE", "TRADE:FILLED"]);
    let filled = &heard[3]["o"];
    assert_eq!(
        [&filled["f"], &filled["rp"], &filled["n"], &filled["N"]],
        ["GTX", "0.0002", "0.036696", "USDT"]
    );
    assert_eq!((&filled["m"], &filled["R"]), (&value!(true), &value!(true)));
    assert_eq!(heard[1]["a"]["P"][0]["pa"], "0");
}

#[test]
fn amendments_cancels_and_expiries() {
    let mut client = Client::new();
    let key = client.listen_key();
    let id = client.connect(&format!("/private/ws/{key}"));
    let placed = client.order(RESTING);
    let which = format!("/fapi/v1/order?symbol=BTCUSDT&orderId={}", placed["orderId"]);
    client.done(Put, &format!("{which}&side=BUY&quantity=0.003&price=60000"));
    client.done(Delete, &which);
    let heard = client.hear(id);
    assert_eq!(kinds(&heard), ["NEW:NEW", "AMENDMENT:NEW", "CANCELED:CANCELED"]);
    assert_eq!((&heard[1]["o"]["q"], &heard[1]["o"]["b"]), (&value!("0.003"), &value!("180")));
    assert_eq!(heard[2]["o"]["c"], placed["clientOrderId"]);
    client.offer(Side::Sell, "61850", "0.002");
    client.order("side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.003&price=61850");
    client.order("side=BUY&type=MARKET&quantity=0.002");
    let expired: Vec<Value> =
        client.hear(id).into_iter().filter(|event| event["o"]["x"] == "EXPIRED").collect();
    assert_eq!([&expired[0]["o"]["er"], &expired[1]["o"]["er"]], ["2", "9"]);
    // A placement that is refused leaves no trace.
    client.refused(Post, "/fapi/v1/order?symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.002&reduceOnly=x");
    assert!(client.hear(id).is_empty());
}

#[test]
fn settings_transfers_and_funding() {
    let mut client = Client::new();
    let key = client.listen_key();
    let id = client.connect(&format!("/private/ws/{key}"));
    client.done(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=25");
    client.done(Post, "/fapi/v1/multiAssetsMargin?multiAssetsMargin=true");
    client.done(Post, "/fapi/v1/multiAssetsMargin?multiAssetsMargin=false");
    client.done(Post, "/fapi/v1/marginType?symbol=ETHUSDT&marginType=ISOLATED");
    client.venue.exchange_mut().transfer(crate::ME, &"USDT".into(), number("10")).unwrap();
    client.wait(0);
    let heard = client.hear(id);
    assert_eq!(
        heard[0],
        value!({"e":"ACCOUNT_CONFIG_UPDATE","E":START,"T":START,"ac":{"s":"BTCUSDT","l":25}})
    );
    assert_eq!(heard[1]["ai"], value!({"j": true}));
    assert_eq!(heard[3]["a"]["m"], "MARGIN_TYPE_CHANGE");
    assert_eq!(heard[3]["a"]["P"][0]["mt"], "isolated");
    assert_eq!(
        heard[4]["a"],
        value!({"m":"DEPOSIT","B":[{"a":"USDT","wb":"100010","cw":"100010","bc":"10"}],"P":[]})
    );
    client.hold(Side::Buy, "61837", "0.1");
    client.hear(id);
    client.venue.exchange_mut().settle_funding("BTCUSDT").unwrap();
    client.wait(0);
    let heard = client.hear(id);
    // Of a position with cross margin the balance alone is told; the symbol since 2026-08-11.
    let funding = heard.iter().find(|event| event["a"]["m"] == "FUNDING_FEE").unwrap();
    assert_eq!(
        (&funding["a"]["S"], &funding["a"]["P"], &funding["a"]["B"][0]["bc"]),
        (&value!("BTCUSDT"), &value!([]), &value!("-0.61837"))
    );
}

#[test]
fn margin_calls_and_liquidations() {
    let mut client = Client::new();
    let key = client.listen_key();
    client.hold(Side::Buy, "61837", "20");
    client.order("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=60000");
    let id = client.connect(&format!("/private/ws/{key}"));
    client.mark("57180");
    let heard = client.hear(id);
    assert_eq!(kinds(&heard), ["MARGIN_CALL"]);
    assert_eq!(names(&heard[0]["p"][0]), sorted("s ps pa mt iw mp up mm"));
    assert_eq!([&heard[0]["p"][0]["mt"], &heard[0]["p"][0]["mp"]], ["CROSSED", "57180"]);
    client.mark("56900");
    let heard = client.hear(id);
    let told = kinds(&heard);
    assert_eq!(told[..2], ["EXPIRED:EXPIRED", "NEW:NEW"], "{told:?}");
    assert_eq!(heard[0]["o"]["er"], "5");
    let order = &heard[1]["o"];
    assert_eq!([&order["o"], &order["f"], &order["S"]], ["LIQUIDATION", "IOC", "SELL"]);
    assert!(order["c"].as_str().unwrap().starts_with("autoclose-"), "{order}");
    assert!(told.contains(&"CALCULATED:FILLED".to_owned()), "{told:?}");
}

#[test]
fn deleveraged_accounts_are_told_so() {
    let mut client = Client::new();
    let key = client.listen_key();
    client.hold(Side::Sell, "61837", "1");
    let id = client.connect(&format!("/private/ws/{key}"));
    client.venue.exchange_mut().deleverage(crate::ME, "BTCUSDT").unwrap();
    client.wait(0);
    let heard = client.hear(id);
    let trade = heard.iter().find(|event| event["o"]["x"] == "CALCULATED").unwrap();
    assert_eq!((&trade["o"]["c"], &trade["o"]["S"]), (&value!("adl_autoclose"), &value!("BUY")));
    assert!(
        client
            .venue
            .exchange()
            .position(OTHER, "BTCUSDT", connector_core::position::PositionSide::Both)
            .is_some()
    );
}
