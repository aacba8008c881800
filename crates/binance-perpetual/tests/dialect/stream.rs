//! Frames of all links.

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{Channel, Dialect as _, LinkRole};
use serde_json::{Value, json};

use crate::{events, frame};

/// As scanned, and as the general parser reads it.
fn public(text: &str) -> Value {
    let found = events(frame(LinkRole::Public, text));
    assert_eq!(found, events(frame(LinkRole::Public, &format!(" {text}"))));
    found
}

fn user(text: &str) -> Value {
    events(frame(LinkRole::User, text))
}

// D/websocket-market-streams/Live-Subscribing-Unsubscribing-to-streams
#[test]
fn subscribing() {
    let channels = [
        (Channel::Book, "BTCUSDT".into()),
        (Channel::BestPrice, "BTCUSDT".into()),
        (Channel::Trades, "BTCUSDT".into()),
        (Channel::Funding, "1000SHIBUSDT".into()),
    ];
    assert_eq!(
        BinancePerpetual::subscribe(true, &channels, 1),
        r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@bookTicker","btcusdt@aggTrade","1000shibusdt@markPrice@1s"],"id":1}"#
    );
    assert_eq!(
        BinancePerpetual::subscribe(false, &channels[..1], 2),
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":2}"#
    );
    assert_eq!(public(r#"{"result":null,"id":1}"#), json!([{"event":"session","kind":"subscribed","id":1}]));
    assert_eq!(
        public(r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 73","id":4}"#),
        json!([{"event":"refusal","id":4,"code":"2","message":"Invalid request: missing field `method` at line 1 column 73",
            "effect":"rejected","cause":"bad_request"}])
    );
}

// D/websocket-market-streams/Important-WebSocket-Change-Notice: a stream on the wrong path is acknowledged and stays silent.
#[test]
fn each_channel_is_on_its_path() {
    let spec = BinancePerpetual::SPEC;
    for domain in spec.domains {
        for channel in spec.channels {
            let (_, url) = domain.links.iter().find(|(name, _)| *name == channel.link).unwrap();
            let path = match channel.channel {
                Channel::Book | Channel::BestPrice => "/public/stream",
                Channel::Trades | Channel::Funding => "/market/stream",
            };
            assert!(url.ends_with(path), "{url}");
        }
        let (_, url) = domain.links.iter().find(|(name, _)| *name == "user").unwrap();
        assert!(url.ends_with("/private/ws/<key>"), "{url}");
    }
}

// D/websocket-market-streams/Diff-Book-Depth-Streams
pub(crate) const DEPTH: &str = r#"{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#;

#[test]
fn depth_update() {
    let expected = json!([{"event":"book_diff","pair":"BTC-USDT","bids":[["0.0024","10"]],"asks":[["0.0026","100"]],
        "first_id":157,"last_id":160,"prev_id":149,"time_ns":123_456_789_000_000_i64}]);
    assert_eq!(public(DEPTH), expected);
    assert_eq!(public(&format!(r#"{{"stream":"btcusdt@depth@100ms","data":{DEPTH}}}"#)), expected);
    for (from, to) in [("\"u\":160,", ""), ("\"10\"", "10"), ("[[", "["), ("\"BTCUSDT\"", "4")] {
        let broken = DEPTH.replacen(from, to, 1);
        assert!(frame(LinkRole::Public, &broken).is_err(), "{broken}");
    }
}

// D/websocket-market-streams/Aggregate-Trade-Streams, in the order received on 2026-02-16.
pub(crate) const AGG_TRADE: &str = r#"{"e":"aggTrade","E":123456789,"a":5933014,"s":"BTCUSDT","p":"0.001","q":"100","nq":"100","f":100,"l":105,"T":123456785,"m":true}"#;

#[test]
fn trades() {
    let expected = json!([{"event":"trade","pair":"BTC-USDT","trade_id":"5933014","price":"0.001","amount":"100",
        "taker_side":"sell","time_ns":123_456_785_000_000_i64}]);
    assert_eq!(public(AGG_TRADE), expected);
    assert_eq!(public(&AGG_TRADE.replace("true", "false"))[0]["taker_side"], "buy");
    // Received on 2026-02-16 from a stream that no page documents; recordings have it.
    let single = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1771263510064,"T":1771263510064,"s":"BTCUSDT","t":7297376207,"p":"68005.00","q":"0.100","X":"MARKET","m":true}}"#;
    assert_eq!(public(single)[0]["trade_id"], "7297376207");
}

// D/websocket-market-streams/Individual-Symbol-Book-Ticker-Streams
pub(crate) const BOOK_TICKER: &str = r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;

#[test]
fn book_ticker() {
    let expected = json!([{"event":"best_price","pair":"BNB-USDT","bid":"25.3519","bid_amount":"31.21",
        "ask":"25.3652","ask_amount":"40.66","id":400_900_217,"time_ns":1_568_014_460_893_000_000_i64}]);
    assert_eq!(public(BOOK_TICKER), expected);
    let live = r#"{"e":"bookTicker","u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000","T":1568014460891,"E":1568014460893,"ps":"BNBUSDT","st":1}"#;
    assert_eq!(public(live), expected);
}

// D/websocket-market-streams/Mark-Price-Stream
pub(crate) const MARK_PRICE: &str = r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000}"#;

#[test]
fn mark_price() {
    assert_eq!(
        public(MARK_PRICE),
        json!([{"event":"funding_info","pair":"BTC-USDT","rate":"0.00038167",
            "next_time_ns":1_562_306_400_000_000_000_i64,"mark_price":"11794.15","index_price":"11784.62659091",
            "time_ns":1_562_305_380_000_000_000_i64}])
    );
    // Contracts with a date of delivery.
    let without = MARK_PRICE.replace("0.00038167", "").replace("1562306400000", "0");
    let found = public(&without);
    assert_eq!((found[0].get("rate"), found[0].get("next_time_ns")), (None, None));
    assert!(frame(LinkRole::Public, &MARK_PRICE.replace("\"i\":", "\"j\":")).is_err());
}

#[test]
fn other_streams() {
    for event in ["kline", "24hrTicker", "forceOrder", "contractInfo"] {
        assert_eq!(public(&format!(r#"{{"e":"{event}","E":1}}"#)), json!([]));
    }
    assert_eq!(public(r#"[{"e":"markPriceUpdate"}]"#), json!([]));
    assert_eq!(public(r#"{"e":"tide"}"#), json!([{"event":"skipped","error":"unknown event `tide`"}]));
    assert!(frame(LinkRole::Public, r#"{"x":1}"#).is_err());
}

// Received on 2024-11-18.
pub(crate) const FILLED: &str = r#"{"e":"ORDER_TRADE_UPDATE","T":1731954087444,"E":1731954087445,"o":{"s":"BTCUSDT","c":"android_MLA5BSDBdSD12WPlEyMh","S":"BUY","o":"LIMIT","f":"GTC","q":"0.002","p":"91739.90","ap":"91739.90000","sp":"0","x":"TRADE","X":"FILLED","i":482255808281,"l":"0.002","z":"0.002","L":"91739.90","n":"0.09173990","N":"USDT","T":1731954087444,"t":5612428004,"b":"0","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,"V":"NONE","pm":"OPPONENT","gtd":0}}"#;

#[test]
fn order_filled() {
    let fill = json!({"event":"fill","pair":"BTC-USDT","client_order_id":"android_MLA5BSDBdSD12WPlEyMh",
        "exchange_order_id":"482255808281","trade_id":"5612428004","side":"buy","price":"91739.9","amount":"0.002",
        "fee":{"asset":"USDT","amount":"0.0917399"},"maker":false,"position_side":"both",
        "time_ns":1_731_954_087_444_000_000_i64});
    let order = json!({"event":"order","pair":"BTC-USDT","client_order_id":"android_MLA5BSDBdSD12WPlEyMh",
        "exchange_order_id":"482255808281","state":"filled","side":"buy","type":"limit","price":"91739.9",
        "amount":"0.002","filled_amount":"0.002","time_ns":1_731_954_087_444_000_000_i64});
    assert_eq!(user(FILLED), json!([fill, order]));
    assert_eq!(user(&format!(r#"{{"stream":"pqia91ma","data":{FILLED}}}"#)), json!([fill, order]));
    let post_only = user(&FILLED.replace("\"GTC\"", "\"GTX\"").replace("\"m\":false", "\"m\":true"));
    assert_eq!((&post_only[0]["maker"], &post_only[1]["type"]), (&json!(true), &json!("limit_maker")));
    let free = user(&FILLED.replace("\"n\":\"0.09173990\",\"N\":\"USDT\",", ""));
    assert_eq!(free[0].get("fee"), None);
}

// Received on 2026-04-21.
#[test]
fn order_lives_and_ends() {
    let new = r#"{"e":"ORDER_TRADE_UPDATE","T":1776788790649,"E":1776788790650,"o":{"s":"ETHUSDC","c":"web_coin_4y4b8mofbf7dqhq61p3paub","S":"BUY","o":"LIMIT","f":"GTC","q":"0.02","p":"2313","ap":"0","sp":"0","x":"NEW","X":"NEW","i":58846010837,"l":"0","z":"0","L":"0","n":"0","N":"USDC","T":1776788790649,"t":0,"b":"46.26","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE","gtd":0,"er":"0"}}"#;
    let order = json!({"event":"order","pair":"ETH-USDC","client_order_id":"web_coin_4y4b8mofbf7dqhq61p3paub",
        "exchange_order_id":"58846010837","state":"open","side":"buy","type":"limit","price":"2313","amount":"0.02",
        "filled_amount":"0","time_ns":1_776_788_790_649_000_000_i64});
    assert_eq!(user(new), json!([order]));
    assert_eq!(user(&new.replace("\"x\":\"NEW\"", "\"x\":\"AMENDMENT\"")), json!([order]));
    let ended = |state: &str, reason: &str| {
        let text = new
            .replace("\"X\":\"NEW\"", &format!("\"X\":\"{state}\""))
            .replace("\"er\":\"0\"", &format!("\"er\":\"{reason}\""));
        let found = user(&text);
        (found[0]["state"].clone(), found[0]["reason"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ended("CANCELED", "0"), (json!("cancelled"), String::new()));
    // D/user-data-streams/Event-Order-Update
    for (state, reason, says) in [
        ("EXPIRED_IN_MATCH", "1", "self-trade"),
        ("EXPIRED", "2", "IOC"),
        ("EXPIRED", "3", "self-trade"),
        ("CANCELED", "4", "reduce-only"),
        ("EXPIRED", "5", "liquidated"),
        ("EXPIRED", "6", "GTE"),
        ("CANCELED", "7", "delisted"),
        ("EXPIRED", "8", "stop order"),
        ("EXPIRED", "9", "market order"),
        ("EXPIRED", "10", "10"),
        ("NEW_ADL", "0", "NEW_ADL"),
    ] {
        assert!(ended(state, reason).1.contains(says), "{reason}");
    }
    assert!(frame(LinkRole::User, &new.replace("\"ps\":\"BOTH\",", "")).is_err());
}

/// D/user-data-streams/Event-Order-Update ("Liquidation and ADL"), Event-Trade-Lite (ids of settlements).
#[test]
fn what_the_venue_trades_for_the_account() {
    let traded = |id: &str, order_type: &str| {
        let text = FILLED
            .replace("android_MLA5BSDBdSD12WPlEyMh", id)
            .replace("\"o\":\"LIMIT\"", &format!("\"o\":\"{order_type}\""))
            .replace("\"x\":\"TRADE\"", "\"x\":\"CALCULATED\"");
        user(&text)[0].clone()
    };
    for (id, order_type, cause) in [
        ("autoclose-1731954087444", "LIQUIDATION", "liquidation"),
        ("autoclose-1731954087444", "LIMIT", "liquidation"),
        ("odd", "LIQUIDATION", "liquidation"),
        ("adl_autoclose", "LIQUIDATION", "auto_deleverage"),
        ("settlement_autoclose-1787734851782", "MARKET", "settlement"),
        ("delivery_autoclose-1787734851782", "MARKET", "settlement"),
    ] {
        let found = traded(id, order_type);
        assert_eq!((&found["event"], &found["cause"]), (&json!("fill"), &json!(cause)), "{id}");
    }
    assert_eq!(traded("mine", "MARKET").get("cause"), None);
}

// D/user-data-streams/Event-Balance-and-Position-Update
pub(crate) const ACCOUNT: &str = r#"{"e":"ACCOUNT_UPDATE","E":1564745798939,"T":1564745798938,"a":{"m":"ORDER","B":[
    {"a":"USDT","wb":"122624.12345678","cw":"100.12345678","bc":"50.12345678"},
    {"a":"BUSD","wb":"1.00000000","cw":"0.00000000","bc":"-49.12345678"}],"P":[
    {"s":"BTCUSDT","pa":"0","ep":"0.00000","bep":"0","cr":"200","up":"0","mt":"isolated","iw":"0.00000000","ps":"BOTH"},
    {"s":"BTCUSDT","pa":"20","ep":"6563.66500","bep":"0","cr":"0","up":"2850.21200","mt":"isolated","iw":"13200.70726908","ps":"LONG"},
    {"s":"BTCUSDT","pa":"-10","ep":"6563.86000","bep":"6563.6","cr":"-45.04000000","up":"-1423.15600","mt":"isolated","iw":"6570.42511771","ps":"SHORT"}]}}"#;

#[test]
fn wallets_and_positions() {
    const TIME: i64 = 1_564_745_798_938_000_000;
    let found = user(ACCOUNT);
    assert_eq!(found[0], json!({"event":"balance","asset":"USDT","total":"122624.12345678","time_ns":TIME}));
    assert_eq!(found[1]["total"], "1");
    assert_eq!(
        found[2],
        json!({"event":"position","pair":"BTC-USDT","side":"both","amount":"0","unrealised_pnl":"0",
            "margin_mode":"isolated","mode":"one_way","time_ns":TIME})
    );
    assert_eq!(
        found[3],
        json!({"event":"position","pair":"BTC-USDT","side":"long","amount":"20","entry_price":"6563.665",
            "unrealised_pnl":"2850.212","margin_mode":"isolated","mode":"hedge","time_ns":TIME})
    );
    assert_eq!((&found[4]["side"], &found[4]["amount"]), (&json!("short"), &json!("10")));
    assert_eq!(found.as_array().unwrap().len(), 5);

    let odd = user(&ACCOUNT.replace("\"LONG\"", "\"UP\""));
    assert!(odd[3]["error"].as_str().unwrap().contains("BTCUSDT"), "{}", odd[3]);
    assert_eq!((&odd[4]["side"], &odd[0]["event"]), (&json!("short"), &json!("balance")));

    let liquidated = user(&ACCOUNT.replace("\"ORDER\"", "\"INSURANCE_CLEAR\""));
    assert_eq!(liquidated[3]["cause"], "liquidation");
    let switched = user(&ACCOUNT.replace("\"ORDER\"", "\"MARGIN_TYPE_CHANGE\"").replace("isolated", "cross"));
    assert_eq!(switched[2], json!({"event":"leverage","pair":"BTC-USDT","margin_mode":"cross"}));
}

// Received on 2026-04-21, cross; with `S`, as since 2026-08-11.
#[test]
fn funding() {
    let cross = r#"{"e":"ACCOUNT_UPDATE","T":1776787203246,"E":1776787203246,"a":{"B":[{"a":"USDC","wb":"38.17806885","cw":"38.17806885","bc":"-0.00085067"}],"P":[],"m":"FUNDING_FEE"}}"#;
    const TIME: i64 = 1_776_787_203_246_000_000;
    let expected = |market: (&str, &str)| {
        let mut hint =
            json!({"event":"funding_payment","amount":"-0.00085067","asset":"USDC","time_ns":TIME});
        hint[market.0] = json!(market.1);
        json!([{"event":"balance","asset":"USDC","total":"38.17806885","time_ns":TIME}, hint])
    };
    assert_eq!(user(cross), expected(("exchange_symbol", "")));
    let named = cross.replace("\"m\":", "\"S\":\"ETHUSDC\",\"m\":");
    assert_eq!(user(&named), expected(("pair", "ETH-USDC")));
    // An isolated position is named by its own entry.
    let position = r#""P":[{"s":"ETHUSDC","pa":"0.02","ep":"2317.3","cr":"-0.28351998","up":"0.00586175","mt":"isolated","iw":"4","ps":"BOTH","ma":"USDC","bep":"2317.3"}]"#;
    let isolated = user(&cross.replace("\"P\":[]", position));
    assert_eq!((&isolated[1]["event"], &isolated[1]["amount"]), (&json!("position"), &json!("0.02")));
    assert_eq!(isolated[2]["pair"], "ETH-USDC");
}

// D/user-data-streams/Event-Margin-Call
pub(crate) const MARGIN_CALL: &str = r#"{"e":"MARGIN_CALL","E":1587727187525,"cw":"3.16812045","p":[{"s":"ETHUSDT","ps":"LONG","pa":"1.327","mt":"CROSSED","iw":"0","mp":"187.17127","up":"-1.166074","mm":"1.614445"}]}"#;
// D/user-data-streams/Event-Account-Configuration-Update-previous-Leverage-Update
pub(crate) const LEVERAGE: &str =
    r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1611646737479,"T":1611646737476,"ac":{"s":"BTCUSDT","l":25}}"#;

#[test]
fn margin() {
    let expected = |side: &str| {
        json!([{"event":"margin_call","pair":"ETH-USDT","side":side,"amount":"1.327","maintenance_margin":"1.614445",
            "mark_price":"187.17127"}])
    };
    assert_eq!(user(MARGIN_CALL), expected("long"));
    let net = MARGIN_CALL.replace("LONG", "BOTH").replace("\"1.327\"", "\"-1.327\"");
    assert_eq!(user(&net), expected("short"));
    assert_eq!(user(LEVERAGE), json!([{"event":"leverage","pair":"BTC-USDT","leverage":"25"}]));
    let assets = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1611646737479,"T":1611646737476,"ai":{"j":true}}"#;
    assert_eq!(user(assets), json!([{"event":"session","kind":"notice","detail":"ACCOUNT_CONFIG_UPDATE"}]));
}

// D/user-data-streams/Event-User-Data-Stream-Expired, Event-Trade-Lite, Event-Algo-Order-Update
#[test]
fn other_events() {
    assert_eq!(
        user(
            r#"{"e":"listenKeyExpired","E":1576653824250,"listenKey":"WsCMN0a4KHUPTQuX6IUnqEZfB1inxmv1qR4kbf1LuEjur5VdbzqvyxqG9TSjVVxv"}"#
        ),
        json!([{"event":"session","kind":"expired","detail":"listenKeyExpired"}])
    );
    let lite = r#"{"e":"TRADE_LITE","E":1721895408092,"T":1721895408214,"s":"BTCUSDT","q":"0.001","p":"0","m":false,"c":"z8hcUoOsqEdKMeKPSABslD","S":"BUY","L":"64089.20","l":"0.040","t":109100866,"i":8886774}"#;
    assert_eq!(user(lite), json!([]));
    for event in ["ALGO_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT", "STRATEGY_UPDATE", "GRID_UPDATE"] {
        let found = user(&format!(r#"{{"e":"{event}","E":1}}"#));
        assert_eq!(found, json!([{"event":"session","kind":"notice","detail":event}]));
    }
}
