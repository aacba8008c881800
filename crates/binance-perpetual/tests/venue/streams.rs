//! Market streams: D/websocket-market-streams.

use connector_core::order::Side;
use serde_json::{Value, json as value};

use crate::{Client, START, names, sorted};

fn subscribe(streams: &[&str]) -> String {
    value!({"method": "SUBSCRIBE", "params": streams, "id": 1}).to_string()
}

fn kinds(events: &[Value]) -> Vec<String> {
    let mut kinds: Vec<String> =
        events.iter().filter_map(|event| event["e"].as_str().map(str::to_owned)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Trades once, so that everything there is to tell is told.
fn stir(client: &mut Client) {
    client.offer(Side::Sell, "61850", "1");
    client.offer(Side::Buy, "61840", "1");
    client.order("side=BUY&type=MARKET&quantity=0.5");
}

// D/websocket-market-streams/Important-WebSocket-Change-Notice: what belongs on another path is acknowledged and stays silent.
#[test]
fn every_path_has_its_streams() {
    let all = [
        "btcusdt@depth@100ms",
        "btcusdt@depth5@100ms",
        "btcusdt@bookTicker",
        "btcusdt@aggTrade",
        "btcusdt@markPrice@1s",
        "btcusdt@ticker",
        "btcusdt@miniTicker",
        "btcusdt@kline_1m",
        "btcusdt_perpetual@continuousKline_1m",
    ];
    let mut client = Client::new();
    for (path, expected) in [
        ("/public/ws", "bookTicker depthUpdate"),
        ("/market/ws", "24hrMiniTicker 24hrTicker aggTrade continuous_kline kline markPriceUpdate"),
        ("/private/ws", ""),
        ("/ws", "bookTicker depthUpdate"),
    ] {
        let id = client.connect(path);
        assert_eq!(client.say(id, &subscribe(&all)), [value!({"result": null, "id": 1})]);
        stir(&mut client);
        for _ in 0..8 {
            client.wait(250);
        }
        let heard = client.hear(id);
        assert_eq!(kinds(&heard), sorted(expected), "{path}");
        client.venue.close(id);
    }
    let peer = connector_venue::face::Peer::LOCAL;
    assert_eq!(client.venue.open(client.now, &peer, "/other/ws", "").unwrap_err().status, 404);
}

#[test]
fn books_are_chained() {
    let mut client = Client::new();
    let quick = client.connect("/public/ws/btcusdt@depth@100ms");
    let slow = client.connect("/public/stream?streams=btcusdt@depth/btcusdt@depth@500ms");
    for _ in 0..4 {
        stir(&mut client);
        client.wait(250);
    }
    let heard = client.hear(quick);
    assert_eq!(names(&heard[0]), sorted("e E T s U u pu b a st"));
    assert!(heard.len() >= 4, "{heard:?}");
    for pair in heard.windows(2) {
        assert_eq!(pair[0]["u"], pair[1]["pu"]);
    }
    let slow = client.hear(slow);
    for stream in ["btcusdt@depth", "btcusdt@depth@500ms"] {
        let told: Vec<&Value> = slow.iter().filter(|event| event["stream"] == stream).collect();
        assert!(told.len() >= 2, "{stream}: {slow:?}");
        for pair in told.windows(2) {
            assert_eq!(pair[0]["data"]["u"], pair[1]["data"]["pu"]);
        }
    }
    let rest = client.look("/fapi/v1/depth?symbol=BTCUSDT");
    assert_eq!(rest["lastUpdateId"], heard.last().unwrap()["u"]);
}

#[test]
fn events_in_full() {
    let mut client = Client::new();
    let public = client.connect("/public/ws/btcusdt@bookTicker/btcusdt@trade/btcusdt@depth5");
    let market =
        client.connect("/market/ws/btcusdt@aggTrade/btcusdt@markPrice@1s/btcusdt@forceOrder/btcusdt@ticker");
    stir(&mut client);
    let heard = client.hear(public);
    let best = heard.iter().find(|event| event["e"] == "bookTicker").unwrap();
    assert_eq!(
        best,
        &value!({"e":"bookTicker","u":best["u"],"E":START,"T":START,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000",
            "a":"61850.00000000","A":"1.00000000","ps":"BTCUSDT","st":1})
    );
    let trade = heard.iter().find(|event| event["e"] == "trade").unwrap();
    assert_eq!([&trade["p"], &trade["q"], &trade["X"]], ["61850", "0.5", "MARKET"]);
    let heard = client.hear(market);
    assert_eq!(
        heard[0],
        value!({"e":"aggTrade","E":START,"s":"BTCUSDT","a":1,"p":"61850.00000000","q":"0.50000000","nq":"0.5","f":1,
            "l":1,"T":START,"m":false,"st":1})
    );
    client.wait(1000);
    let heard = client.hear(market);
    let mark = heard.iter().find(|event| event["e"] == "markPriceUpdate").unwrap();
    assert_eq!(names(mark), sorted("e E s p ap i P r T st"));
    let ticker = heard.iter().find(|event| event["e"] == "24hrTicker").unwrap();
    assert_eq!(names(ticker), sorted("e E s p P w c Q o h l v q O C F L n st"));
    let partial = client.hear(public);
    let partial = partial.iter().find(|event| event["e"] == "depthUpdate").unwrap();
    assert_eq!(names(partial), sorted("e E T s U u pu b a ps st"));
    client.hold(Side::Buy, "61850", "20");
    client.mark("56900");
    let heard = client.hear(market);
    let forced = heard.iter().find(|event| event["e"] == "forceOrder").unwrap();
    assert_eq!([&forced["o"]["S"], &forced["o"]["f"], &forced["o"]["X"]], ["SELL", "IOC", "FILLED"]);
}

#[test]
fn summaries_of_all_markets() {
    let mut client = Client::new();
    let id = client.connect("/market/stream?streams=!miniTicker@arr/!ticker@arr/!markPrice@arr@1s");
    for _ in 0..4 {
        client.wait(250);
    }
    let heard = client.hear(id);
    let mut streams: Vec<&str> = heard.iter().map(|event| event["stream"].as_str().unwrap()).collect();
    streams.sort_unstable();
    assert_eq!(streams, ["!markPrice@arr@1s", "!miniTicker@arr", "!ticker@arr"]);
    assert!(heard.iter().all(|event| event["data"].as_array().unwrap().len() == 7));
}

// D/websocket-market-streams/Live-Subscribing-Unsubscribing-to-streams. Refusals are flat here.
#[test]
fn control_messages() {
    let mut client = Client::new();
    let id = client.connect("/market/ws");
    client.say(id, &subscribe(&["btcusdt@aggTrade", "btcusdt@ticker"]));
    let gone = r#"{"method":"UNSUBSCRIBE","params":["btcusdt@ticker"],"id":312}"#;
    assert_eq!(client.say(id, gone), [value!({"result": null, "id": 312})]);
    let list = r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#;
    assert_eq!(client.say(id, list), [value!({"result": ["btcusdt@aggTrade"], "id": 3})]);
    let set = r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#;
    assert_eq!(client.say(id, set), [value!({"result": null, "id": 5})]);
    let get = r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#;
    assert_eq!(client.say(id, get), [value!({"result": true, "id": 2})]);
    let wrong = r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":6}"#;
    assert_eq!(
        client.say(id, wrong),
        [value!({"code": 1, "msg": "Invalid value type: expected Boolean", "id": 6})]
    );
    assert_eq!(client.say(id, "nonsense")[0]["code"], 3);
}
