//! Requests and answers.

use connector_core::dialect::{
    BookQuery, Dialect as _, FillsQuery, OpenOrdersQuery, OrderQuery, PlaceQuery, SymbolQuery,
};
use connector_core::message::Market;
use connector_core::order::{OrderType, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{ClientOrderId, Decimal, ExchangeOrderId, TradeId};
use connector_qa::payloads;
use proptest::prelude::*;
use serde_json::json;
use spot_binance::SpotBinance;

use crate::{answer, answer_about, events, query};

// D/rest-api/general-endpoints
#[test]
fn ping_and_server_time() {
    assert_eq!(events(answer("ping", "{}")), json!([]));
    assert!(answer("ping", "<html>").is_err());
    let time = answer("server_time", r#"{"serverTime":1499827319559}"#);
    assert_eq!(events(time), json!([{"event":"server_time","time_ns":1_499_827_319_559_000_000_i64}]));
}

fn symbol_entry(symbol: &str, status: &str, sets: &str, lot: &str) -> String {
    format!(
        r#"{{"symbol":"{symbol}","status":"{status}","baseAsset":"ETH","baseAssetPrecision":8,
        "quoteAsset":"BTC","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],
        "icebergAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":true,
        "filters":[{{"filterType":"PRICE_FILTER","minPrice":"0.00000100","maxPrice":"100000.00000000",
        "tickSize":"0.00000100"}},{lot},{{"filterType":"ICEBERG_PARTS","limit":10}},
        {{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"10.64771804","stepSize":"0.00000000"}},
        {{"filterType":"TRAILING_DELTA","minTrailingAboveDelta":10,"maxTrailingAboveDelta":2000}},
        {{"filterType":"NOTIONAL","minNotional":"10.00000000","applyMinToMarket":true,
        "maxNotional":"10000.00000000","applyMaxToMarket":false,"avgPriceMins":5}},
        {{"filterType":"A_NEW_ONE","limit":3}}],
        "permissions":[],"permissionSets":{sets},"defaultSelfTradePreventionMode":"NONE"}}"#
    )
}

const LOT: &str =
    r#"{"filterType":"LOT_SIZE","minQty":"0.00100000","maxQty":"100000.00000000","stepSize":"0.00100000"}"#;

// D/rest-api/general-endpoints (exchangeInfo), D/filters
#[test]
fn rules() {
    let body = format!(
        r#"{{"timezone":"UTC","serverTime":1565246363776,"rateLimits":[],"exchangeFilters":[],"symbols":[{},{},{},{},{}]}}"#,
        symbol_entry("ETHBTC", "TRADING", r#"[["SPOT","MARGIN"]]"#, LOT),
        symbol_entry("HALTED", "HALT", r#"[["SPOT"]]"#, LOT),
        symbol_entry("LEVERAGED", "TRADING", r#"[["LEVERAGED"]]"#, LOT),
        symbol_entry("BROKEN", "TRADING", r#"[["SPOT"]]"#, r#"{"filterType":"LOT_SIZE","minQty":"one"}"#),
        symbol_entry("NEWSTATUS", "CANCEL_ONLY", r#"[["SPOT"]]"#, LOT),
    );
    let found = events(answer("rules", &body));
    let rule = |symbol: &str, tradable: bool| {
        json!({"event":"trading_rule","pair":"ETH-BTC","exchange_symbol":symbol,"min_amount":"0.001",
            "max_amount":"100000","amount_step":"0.001","price_step":"0.000001","min_price":"0.000001",
            "max_price":"100000","min_notional":"10","tradable":tradable})
    };
    assert_eq!(found[0], rule("ETHBTC", true));
    assert_eq!(found[1], rule("HALTED", false));
    assert_eq!(found[2]["event"], "skipped");
    assert!(found[2]["error"].as_str().unwrap().contains("BROKEN"), "{}", found[2]);
    assert_eq!(found[3], rule("NEWSTATUS", false));
    assert_eq!(found.as_array().unwrap().len(), 4);
    assert!(answer("rules", r#"{"symbols":{}}"#).is_err());
}

// D/filters: a zero switches a bound off; MIN_NOTIONAL is the older name, still used by Binance.US.
#[test]
fn rules_with_bounds_switched_off() {
    let body = r#"{"symbols":[{"symbol":"BTCUSD","status":"TRADING","baseAsset":"BTC","quoteAsset":"USD",
        "isSpotTradingAllowed":false,"permissionSets":[["SPOT"]],"filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.00000000","maxPrice":"0.00000000","tickSize":"0.01000000"},
        {"filterType":"LOT_SIZE","minQty":"0.00000000","maxQty":"9000.00000000","stepSize":"0.00001000"},
        {"filterType":"MIN_NOTIONAL","minNotional":"1.00000000","applyToMarket":true,"avgPriceMins":5}]}]}"#;
    assert_eq!(
        events(answer("rules", body)),
        json!([{"event":"trading_rule","pair":"BTC-USD","exchange_symbol":"BTCUSD","max_amount":"9000",
            "amount_step":"0.00001","price_step":"0.01","min_notional":"1","tradable":false}])
    );
}

// D/rest-api/market-data-endpoints (ticker/price, depth)
#[test]
fn prices_and_books() {
    assert_eq!(
        events(answer("last_price", r#"{"symbol":"LTCBTC","price":"4.00000200"}"#)),
        json!([{"event":"last_price","pair":"LTC-BTC","price":"4.000002"}])
    );
    let body = r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}"#;
    let market = Market::Pair("LTC-BTC".parse().unwrap());
    assert_eq!(
        events(answer_about("book", body, Some(&market))),
        json!([{"event":"book_snapshot","pair":"LTC-BTC","bids":[["4","431"]],"asks":[["4.000002","12"]],
            "last_id":1_027_024}])
    );
    assert!(answer("book", r#"{"lastUpdateId":1,"bids":[["4"]],"asks":[]}"#).is_err());
}

// D/rest-api/account-endpoints (account)
#[test]
fn balances() {
    let body = r#"{"makerCommission":15,"takerCommission":15,"canTrade":true,"updateTime":123456789,
        "accountType":"SPOT","balances":[{"asset":"BTC","free":"4723846.89208129","locked":"0.00000000"},
        {"asset":"ODD","free":7,"locked":"0.0"},
        {"asset":"LTC","free":"4763368.68006011","locked":"1.50000000"}],"permissions":["SPOT"],"uid":354937868}"#;
    let found = events(answer("balances", body));
    assert_eq!(
        found[0],
        json!({"event":"balance","asset":"BTC","total":"4723846.89208129","available":"4723846.89208129",
            "time_ns":123_456_789_000_000_i64})
    );
    assert_eq!(found[1]["event"], "skipped");
    assert_eq!(found[2]["total"], "4763370.18006011");
}

// D/rest-api/trading-endpoints (new order, FULL)
#[test]
fn placed_and_filled() {
    let body = r#"{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"6gCrw2kRUAF9CvJDGP16IP",
        "transactTime":1507725176595,"price":"0.00000000","origQty":"10.00000000","executedQty":"10.00000000",
        "origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"10.00000000","status":"FILLED","timeInForce":"GTC",
        "type":"MARKET","side":"SELL","workingTime":1507725176595,"selfTradePreventionMode":"NONE","fills":[
        {"price":"4000.00000000","qty":"1.00000000","commission":"4.00000000","commissionAsset":"USDT","tradeId":56},
        {"price":"3999.00000000","qty":"5.00000000","commission":"19.99500000","commissionAsset":"USDT","tradeId":57}]}"#;
    let fill = |id: &str, price: &str, amount: &str, fee: &str| {
        json!({"event":"fill","pair":"BTC-USDT","client_order_id":"6gCrw2kRUAF9CvJDGP16IP",
            "exchange_order_id":"28","trade_id":id,"side":"sell","price":price,"amount":amount,
            "fee":{"asset":"USDT","amount":fee},"maker":false,"time_ns":1_507_725_176_595_000_000_i64})
    };
    assert_eq!(
        events(answer("place", body)),
        json!([fill("56", "4000", "1", "4"), fill("57", "3999", "5", "19.995"),
            {"event":"order","pair":"BTC-USDT","client_order_id":"6gCrw2kRUAF9CvJDGP16IP","exchange_order_id":"28",
            "state":"filled","side":"sell","type":"market","amount":"10","filled_amount":"10",
            "time_ns":1_507_725_176_595_000_000_i64}])
    );
}

// D/rest-api/trading-endpoints (new order, ACK)
#[test]
fn acknowledged_only() {
    let body = r#"{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"6gCrw2kRUAF9CvJDGP16IP",
        "transactTime":1507725176595}"#;
    assert_eq!(
        events(answer("place", body)),
        json!([{"event":"order","pair":"BTC-USDT","client_order_id":"6gCrw2kRUAF9CvJDGP16IP",
            "exchange_order_id":"28","state":"open","time_ns":1_507_725_176_595_000_000_i64}])
    );
    assert!(answer("place", "{}").is_err(), "an answer without an order is no acknowledgement");
}

// D/rest-api/trading-endpoints (conditional fields: expiryReason)
#[test]
fn expired_at_once() {
    let body = r#"{"symbol":"BTCUSDT","orderId":29,"clientOrderId":"a","transactTime":1,"price":"1.00000000",
        "origQty":"2.00000000","executedQty":"0.00000000","status":"EXPIRED","timeInForce":"FOK","type":"LIMIT",
        "side":"BUY","expiryReason":"UNFILLED_FOK_ORDER_EXPIRED","fills":[]}"#;
    let found = events(answer("place", body));
    assert_eq!(
        (&found[0]["state"], &found[0]["reason"]),
        (&json!("expired"), &json!("UNFILLED_FOK_ORDER_EXPIRED"))
    );
}

// D/rest-api/trading-endpoints (cancel order): the order's own id is `origClientOrderId`.
#[test]
fn cancelled() {
    let body = r#"{"symbol":"LTCBTC","origClientOrderId":"myOrder1","orderId":4,"orderListId":-1,
        "clientOrderId":"cancelMyOrder1","transactTime":1684804350068,"price":"2.00000000","origQty":"1.00000000",
        "executedQty":"0.00000000","origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"0.00000000",
        "status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY","selfTradePreventionMode":"NONE"}"#;
    assert_eq!(
        events(answer("cancel", body)),
        json!([{"event":"order","pair":"LTC-BTC","client_order_id":"myOrder1","exchange_order_id":"4",
            "state":"cancelled","side":"buy","type":"limit","price":"2","amount":"1","filled_amount":"0",
            "time_ns":1_684_804_350_068_000_000_i64}])
    );
}

const QUERIED: &str = r#"{"symbol":"LTCBTC","orderId":1,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.1",
    "origQty":"1.0","executedQty":"0.0","cummulativeQuoteQty":"0.0","status":"NEW","timeInForce":"GTC","type":"LIMIT",
    "side":"BUY","stopPrice":"0.0","icebergQty":"0.0","time":1499827319559,"updateTime":1499827319559,
    "isWorking":true,"workingTime":1499827319559,"origQuoteOrderQty":"0.000000","selfTradePreventionMode":"NONE"}"#;

// D/rest-api/account-endpoints (query order, current open orders)
#[test]
fn queried() {
    let order = json!({"event":"order","pair":"LTC-BTC","client_order_id":"myOrder1","exchange_order_id":"1",
        "state":"open","side":"buy","type":"limit","price":"0.1","amount":"1","filled_amount":"0",
        "time_ns":1_499_827_319_559_000_000_i64});
    assert_eq!(events(answer("order", QUERIED)), json!([order]));
    let odd = QUERIED.replace("\"orderId\":1", "\"orderId\":\"x\"");
    let list = events(answer("open_orders", &format!("[{QUERIED},{odd},{QUERIED}]")));
    assert_eq!((&list[0], &list[2]), (&order, &order));
    assert!(list[1]["error"].as_str().unwrap().contains("LTCBTC"));
    assert_eq!(events(answer("open_orders", "[]")), json!([]));
    assert!(answer("open_orders", "{}").is_err());
}

// D/enums (order status). A word that is new to us is not guessed at.
#[test]
fn order_states() {
    for (word, state) in [
        ("NEW", "open"),
        ("PENDING_NEW", "open"),
        ("PARTIALLY_FILLED", "partially_filled"),
        ("FILLED", "filled"),
        ("CANCELED", "cancelled"),
        ("PENDING_CANCEL", "pending_cancel"),
        ("REJECTED", "failed"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("SUSPENDED", "unknown"),
    ] {
        let found = events(answer("order", &QUERIED.replace("\"NEW\"", &format!("\"{word}\""))));
        assert_eq!(found[0]["state"], state, "{word}");
        assert_eq!(found[0]["reason"].as_str(), (state == "unknown").then_some(word));
    }
}

// D/rest-api/account-endpoints (account trade list)
#[test]
fn fills() {
    let body = r#"[{"symbol":"BNBBTC","id":28457,"orderId":100234,"orderListId":-1,"price":"4.00000100",
        "qty":"12.00000000","quoteQty":"48.000012","commission":"10.10000000","commissionAsset":"BNB",
        "time":1499865549590,"isBuyer":true,"isMaker":false,"isBestMatch":true},{"symbol":"BNBBTC"}]"#;
    let found = events(answer("fills", body));
    assert_eq!(
        found[0],
        json!({"event":"fill","pair":"BNB-BTC","exchange_order_id":"100234","trade_id":"28457","side":"buy",
            "price":"4.000001","amount":"12","fee":{"asset":"BNB","amount":"10.1"},"maker":false,
            "time_ns":1_499_865_549_590_000_000_i64})
    );
    assert_eq!(found[1]["event"], "skipped");
}

// D/rest-api/account-endpoints (commission rates), D/faqs/commission_faq (the parts add up)
#[test]
fn fees() {
    let body = r#"{"symbol":"BTCUSDT",
        "standardCommission":{"maker":"0.00000010","taker":"0.00000020","buyer":"0.00000030","seller":"0.00000040"},
        "specialCommission":{"maker":"0.01000000","taker":"0.02000000","buyer":"0.03000000","seller":"0.04000000"},
        "taxCommission":{"maker":"0.00000112","taker":"0.00000114","buyer":"0.00000118","seller":"0.00000116"},
        "discount":{"enabledForAccount":true,"enabledForSymbol":true,"discountAsset":"BNB","discount":"0.75000000"}}"#;
    assert_eq!(
        events(answer("fees", body)),
        json!([{"event":"fees","pair":"BTC-USDT","maker":"0.05000278","taker":"0.0600029"}])
    );
}

fn place(order_type: OrderType, time_in_force: TimeInForce) -> PlaceQuery {
    payloads::order("BTCUSDT", order_type, time_in_force)
}

#[test]
fn order_requests() {
    let text = |order_type, time_in_force| query(&SpotBinance::REST.place, &place(order_type, time_in_force));
    assert_eq!(
        text(OrderType::Limit, TimeInForce::Ioc),
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.001&price=100000&newClientOrderId=x-1_a\
         &newOrderRespType=FULL"
    );
    assert_eq!(
        text(OrderType::LimitMaker, TimeInForce::Gtc),
        "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=100000&newClientOrderId=x-1_a\
         &newOrderRespType=FULL"
    );
    assert_eq!(
        text(OrderType::Market, TimeInForce::Gtc),
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&newClientOrderId=x-1_a&newOrderRespType=FULL"
    );
    let mut named = OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: Some(ClientOrderId::new("mine")),
        exchange_order_id: None,
    };
    assert_eq!(query(&SpotBinance::REST.cancel, &named), "symbol=BTCUSDT&origClientOrderId=mine");
    named.exchange_order_id = Some(ExchangeOrderId::new("7"));
    assert_eq!(query(&SpotBinance::REST.cancel, &named), "symbol=BTCUSDT&orderId=7");
    assert_eq!(query(&SpotBinance::REST.order, &named), "symbol=BTCUSDT&orderId=7");
}

#[test]
fn other_requests() {
    let rest = SpotBinance::REST;
    assert_eq!(query(&rest.ping, &()), "");
    assert_eq!(query(&rest.rules, &()), "");
    assert_eq!(query(&rest.balances, &()), "omitZeroBalances=true");
    let symbol = SymbolQuery { symbol: "这是测试币456".into() };
    let encoded = "symbol=%E8%BF%99%E6%98%AF%E6%B5%8B%E8%AF%95%E5%B8%81456";
    assert_eq!(query(&rest.last_price, &symbol), encoded);
    assert_eq!(query(rest.fees.as_ref().unwrap(), &symbol), encoded);
    let book = |depth| query(&rest.book, &BookQuery { symbol: "LTCBTC".into(), depth });
    assert_eq!(book(1000), "symbol=LTCBTC&limit=1000");
    assert_eq!(book(9999), "symbol=LTCBTC&limit=5000");
    assert_eq!(query(&rest.open_orders, &OpenOrdersQuery { symbol: None }), "");
    assert_eq!(query(&rest.open_orders, &OpenOrdersQuery { symbol: Some("LTCBTC".into()) }), "symbol=LTCBTC");
    let mut fills = FillsQuery {
        symbol: "LTCBTC".into(),
        exchange_order_id: None,
        from: None,
        since: Some(UnixNanos::from_millis(1_499_865_549_590)),
        limit: 5000,
    };
    assert_eq!(query(&rest.fills, &fills), "symbol=LTCBTC&startTime=1499865549590&limit=1000");
    fills.from = Some(TradeId::new("28457"));
    assert_eq!(query(&rest.fills, &fills), "symbol=LTCBTC&fromId=28457&limit=1000");
    fills.exchange_order_id = Some(ExchangeOrderId::new("4"));
    assert_eq!(query(&rest.fills, &fills), "symbol=LTCBTC&orderId=4&fromId=28457&limit=1000");
}

// Weights of 2026: D/rest-api/market-data-endpoints, D/rest-api/account-endpoints
#[test]
fn weights() {
    let weight = |row: &str, params: &[(&str, &str)]| {
        let row = SpotBinance::REST.rows().find(|found| found.name == row).unwrap();
        let cost = row.costs.iter().find(|cost| cost.pool == "request_weight").unwrap();
        cost.weight.of(|name| params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    };
    for (limit, units) in [("100", 5), ("101", 25), ("500", 25), ("1000", 50), ("1001", 250), ("5000", 250)] {
        assert_eq!(weight("book", &[("limit", limit)]), units, "{limit}");
    }
    assert_eq!((weight("open_orders", &[]), weight("open_orders", &[("symbol", "X")])), (80, 6));
    assert_eq!((weight("fills", &[]), weight("fills", &[("orderId", "1")])), (20, 5));
    assert_eq!((weight("rules", &[]), weight("order", &[]), weight("place", &[])), (20, 4, 1));
    for row in SpotBinance::REST.rows() {
        for cost in row.costs {
            assert!(SpotBinance::SPEC.pools.iter().any(|pool| pool.name == cost.pool), "{}", row.name);
        }
    }
}

proptest! {
    #[test]
    fn numbers_are_written_plainly(mantissa in 1_i64.., scale in 0_u32..=18) {
        let amount = Decimal::new(mantissa, scale);
        let asked = PlaceQuery { amount, ..place(OrderType::Market, TimeInForce::Gtc) };
        let text = query(&SpotBinance::REST.place, &asked);
        let written = text.split("quantity=").nth(1).unwrap().split('&').next().unwrap();
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{}", written);
        prop_assert_eq!(written.parse::<Decimal>().unwrap(), amount);
    }
}
