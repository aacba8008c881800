//! Requests about markets and orders, and their answers.

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{
    BookQuery, Dialect as _, FillsQuery, OpenOrdersQuery, OrderQuery, PlaceQuery, Repeat, SymbolQuery,
};
use connector_core::message::Market;
use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::position::PositionSide;
use connector_core::time::UnixNanos;
use connector_core::{ClientOrderId, Decimal, ExchangeOrderId, TradeId};
use connector_qa::payloads;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{answer, answer_about, events, query};

// D/market-data/rest-api
#[test]
fn ping_and_server_time() {
    assert_eq!(events(answer("ping", "{}")), json!([]));
    let time = answer("server_time", r#"{"serverTime":1499827319559}"#);
    assert_eq!(events(time), json!([{"event":"server_time","time_ns":1_499_827_319_559_000_000_i64}]));
    assert!(answer("server_time", "{}").is_err());
}

// D/market-data/rest-api/Exchange-Information, without what is not used.
const BLZ: &str = r#"{"symbol":"BLZUSDT","pair":"BLZUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,
    "onboardDate":1598252400000,"status":"TRADING","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000",
    "baseAsset":"BLZ","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":5,"quantityPrecision":0,
    "baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","underlyingSubType":["STORAGE"],"settlePlan":0,
    "triggerProtect":"0.15","filters":[
    {"filterType":"PRICE_FILTER","maxPrice":"300","minPrice":"0.0001","tickSize":"0.0001"},
    {"filterType":"LOT_SIZE","maxQty":"10000000","minQty":"1","stepSize":"1"},
    {"filterType":"MARKET_LOT_SIZE","maxQty":"590119","minQty":"1","stepSize":"1"},
    {"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"5.0"},
    {"filterType":"PERCENT_PRICE","multiplierUp":"1.1500","multiplierDown":"0.8500","multiplierDecimal":"4"}],
    "orderTypes":["LIMIT","MARKET","STOP"],"timeInForce":["GTC","IOC","FOK","GTX"],"liquidationFee":"0.010000",
    "marketTakeBound":"0.30"}"#;

// Received on 2026-09-26.
const XAU: &str = r#"{"symbol":"XAUUSDT","pair":"XAUUSDT","contractType":"TRADIFI_PERPETUAL","deliveryDate":4133404800000,"onboardDate":1765440300000,"status":"TRADING","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":"XAU","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COMMODITY","underlyingSubType":["TradFi"],"triggerProtect":"0.0200","liquidationFee":"0.015000","marketTakeBound":"0.02","maxMoveOrderLimit":10000,"filters":[{"tickSize":"0.01","maxPrice":"200000","minPrice":"0.01","filterType":"PRICE_FILTER"},{"maxQty":"10000","filterType":"LOT_SIZE","minQty":"0.001","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"5"},{"filterType":"PERCENT_PRICE","multiplierUp":"1.0200","multiplierDown":"0.9800","multiplierDecimal":"4"},{"filterType":"POSITION_RISK_CONTROL","positionControlSide":"NONE"}],"orderTypes":["LIMIT","MARKET","STOP","STOP_MARKET","TAKE_PROFIT","TAKE_PROFIT_MARKET","TRAILING_STOP_MARKET"],"timeInForce":["GTC","IOC","FOK","GTX","GTD"],"permissionSets":["GRID","COPY","RPI","DCA","PSB"]}"#;

#[test]
fn rules() {
    let odd = BLZ.replace("BLZ", "ODD").replace("\"300\"", "300");
    let list = [
        BLZ.to_owned(),
        XAU.to_owned(),
        BLZ.replace("\"PERPETUAL\"", "\"CURRENT_QUARTER\""),
        odd,
        BLZ.replace("BLZ", "HALT").replace("\"TRADING\"", "\"TRADING_HALT\""),
        BLZ.replace("BLZ", "SOON")
            .replace("\"TRADING\"", "\"PENDING_TRADING\"")
            .replace("\"tickSize\":\"0.0001\"", "\"tickSize\":\"0\""),
        BLZ.replace("BLZ", "LATE").replace("\"PERPETUAL\"", "\"PERPETUAL_DELIVERING\""),
        BLZ.replace("BLZ", "币安人生"),
    ];
    let body = format!(
        r#"{{"exchangeFilters":[],"rateLimits":[],"serverTime":1565613908500,"assets":[],"symbols":[{}],"timezone":"UTC"}}"#,
        list.join(",")
    );
    let found = events(answer("rules", &body));
    let rule = |base: &str, tradable: bool| {
        json!({"event":"trading_rule","pair":format!("{base}-USDT"),"exchange_symbol":format!("{base}USDT"),
            "min_amount":"1","max_amount":"10000000","amount_step":"1","price_step":"0.0001","min_price":"0.0001",
            "max_price":"300","min_notional":"5","collateral":"USDT","tradable":tradable})
    };
    assert_eq!(found[0], rule("BLZ", true));
    assert_eq!(
        found[1],
        json!({"event":"trading_rule","pair":"XAU-USDT","exchange_symbol":"XAUUSDT","min_amount":"0.001",
            "max_amount":"10000","amount_step":"0.001","price_step":"0.01","min_price":"0.01","max_price":"200000",
            "min_notional":"5","collateral":"USDT","tradable":true})
    );
    assert_eq!(found[2]["event"], "skipped");
    assert!(found[2]["error"].as_str().unwrap().contains("ODDUSDT"), "{}", found[2]);
    assert_eq!(found[3], rule("HALT", false));
    assert_eq!((&found[4]["tradable"], found[4].get("price_step")), (&json!(false), None));
    assert_eq!(found[5], rule("LATE", false));
    assert_eq!(found[6], rule("币安人生", true));
    assert_eq!(found.as_array().unwrap().len(), 7);
    assert!(answer("rules", r#"{"symbols":{}}"#).is_err());
}

// D/market-data/rest-api/Symbol-Price-Ticker-v2, D/market-data/rest-api/Order-Book
#[test]
fn prices_and_books() {
    assert_eq!(
        events(answer("last_price", r#"{"symbol":"BTCUSDT","price":"6000.01","time":1589437530011}"#)),
        json!([{"event":"last_price","pair":"BTC-USDT","price":"6000.01"}])
    );
    let body = r#"{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"bids":[["4.00000000","431.00000000"]],
        "asks":[["4.00000200","12.00000000"]]}"#;
    let market = Market::Pair("BTC-USDT".parse().unwrap());
    assert_eq!(
        events(answer_about("book", body, Some(&market))),
        json!([{"event":"book_snapshot","pair":"BTC-USDT","bids":[["4","431"]],"asks":[["4.000002","12"]],
            "last_id":1_027_024,"time_ns":1_589_436_922_972_000_000_i64}])
    );
    assert!(answer("book", r#"{"lastUpdateId":1,"bids":[["4"]],"asks":[]}"#).is_err());
}

// D/account/rest-api/Futures-Account-Balance-V3: the wallet is the total; profit that is not realised is in neither figure.
#[test]
fn balances() {
    let row = r#"{"accountAlias":"SgsR","asset":"USDT","balance":"122607.35137903","crossWalletBalance":"23.72469206",
        "crossUnPnl":"0.00000000","availableBalance":"23.72469206","maxWithdrawAmount":"23.72469206",
        "marginAvailable":true,"updateTime":1617939110373}"#;
    let unused = row.replace("USDT", "BNB").replace("1617939110373", "0");
    let odd = row.replace("\"122607.35137903\"", "1");
    let found = events(answer("balances", &format!("[{row},{odd},{unused}]")));
    assert_eq!(
        found[0],
        json!({"event":"balance","asset":"USDT","total":"122607.35137903","available":"23.72469206",
            "time_ns":1_617_939_110_373_000_000_i64})
    );
    assert!(found[1]["error"].as_str().unwrap().ends_with("(USDT)"));
    assert_eq!(found[2].get("time_ns"), None);
    assert!(answer("balances", r#"{"balances":[]}"#).is_err());
}

// D/trade/rest-api, the answer to a new order as its list of fields is since 2026-06-30, without `avgPrice` and `cumQuote`.
const PLACED: &str = r#"{"clientOrderId":"testOrder","cumQty":"0","executedQty":"0","orderId":22542179,"origQty":"10",
    "price":"9000.10","reduceOnly":false,"side":"BUY","positionSide":"SHORT","status":"NEW","stopPrice":"0",
    "closePosition":false,"symbol":"BTCUSDT","timeInForce":"GTC","type":"LIMIT","origType":"LIMIT",
    "updateTime":1566818724722,"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE",
    "selfTradePreventionMode":"NONE","goodTillDate":0}"#;

fn placed() -> Value {
    json!({"event":"order","pair":"BTC-USDT","client_order_id":"testOrder","exchange_order_id":"22542179",
        "state":"open","side":"buy","type":"limit","price":"9000.1","amount":"10","filled_amount":"0",
        "time_ns":1_566_818_724_722_000_000_i64})
}

#[test]
fn orders() {
    assert_eq!(events(answer("place", PLACED)), json!([placed()]));
    // As the page still has it.
    let before = PLACED.replace("\"cumQty\"", "\"avgPrice\":\"0.00000\",\"cumQuote\":\"0\",\"cumQty\"");
    assert_eq!(events(answer("place", &before)), json!([placed()]));
    let post_only = events(answer("place", &PLACED.replace("\"GTC\"", "\"GTX\"")));
    assert_eq!(post_only[0]["type"], "limit_maker");
    // Fills come by the stream: the answer has their sum only.
    let market = PLACED
        .replace("\"LIMIT\"", "\"MARKET\"")
        .replace("\"NEW\"", "\"FILLED\"")
        .replace("9000.10", "0")
        .replace("\"executedQty\":\"0\"", "\"executedQty\":\"10\"");
    let found = events(answer("place", &market));
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!((&found[0]["state"], &found[0]["filled_amount"]), (&json!("filled"), &json!("10")));
    assert_eq!((&found[0]["type"], found[0].get("price")), (&json!("market"), None));
    assert!(answer("place", "{}").is_err(), "an answer without an order is no acknowledgement");
}

// D/trade/rest-api/Cancel-Order, Query-Order, Current-All-Open-Orders
#[test]
fn cancelled_queried_and_listed() {
    let cancelled = r#"{"clientOrderId":"myOrder1","cumQty":"0","cumQuote":"0","executedQty":"0","orderId":283194212,
        "origQty":"11","origType":"TRAILING_STOP_MARKET","price":"0","avgPrice":"0.00","reduceOnly":false,"side":"BUY",
        "positionSide":"SHORT","status":"CANCELED","stopPrice":"9300","closePosition":false,"symbol":"BTCUSDT",
        "timeInForce":"GTC","type":"TRAILING_STOP_MARKET","activatePrice":"9020","priceRate":"0.3",
        "updateTime":1571110484038,"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE",
        "selfTradePreventionMode":"NONE","goodTillDate":1693207680000}"#;
    let expected = json!({"event":"order","pair":"BTC-USDT","client_order_id":"myOrder1",
        "exchange_order_id":"283194212","state":"cancelled","side":"buy","amount":"11","filled_amount":"0",
        "time_ns":1_571_110_484_038_000_000_i64});
    assert_eq!(events(answer("cancel", cancelled)), json!([expected]));
    assert_eq!(events(answer("order", PLACED)), json!([placed()]));
    let odd = PLACED.replace("\"orderId\":22542179", "\"orderId\":\"x\"");
    let list = events(answer("open_orders", &format!("[{PLACED},{odd},{cancelled}]")));
    assert_eq!((&list[0], &list[2]), (&placed(), &expected));
    assert!(list[1]["error"].as_str().unwrap().contains("BTCUSDT"), "{}", list[1]);
    assert!(answer("open_orders", "{}").is_err());
}

// D/common-definition (order status). A word that is new to us is not guessed at.
#[test]
fn order_states() {
    for (word, state) in [
        ("NEW", "open"),
        ("PARTIALLY_FILLED", "partially_filled"),
        ("FILLED", "filled"),
        ("CANCELED", "cancelled"),
        ("REJECTED", "failed"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("NEW_INSURANCE", "unknown"),
    ] {
        let found = events(answer("order", &PLACED.replace("\"NEW\"", &format!("\"{word}\""))));
        assert_eq!(found[0]["state"], state, "{word}");
    }
}

// D/trade/rest-api/Account-Trade-List
#[test]
fn fills() {
    let row = r#"{"buyer":false,"commission":"0.07819010","commissionAsset":"USDT","id":698759,"maker":false,
        "orderId":25851813,"price":"7819.01","qty":"0.002","quoteQty":"15.63802","realizedPnl":"-0.91539999",
        "side":"SELL","positionSide":"SHORT","symbol":"BTCUSDT","time":1569514978020}"#;
    let rebate = row.replace("\"0.07819010\"", "\"-0.00100000\"").replace("SHORT", "BOTH");
    let found = events(answer("fills", &format!("[{row},{rebate},{{\"symbol\":\"BTCUSDT\"}}]")));
    assert_eq!(
        found[0],
        json!({"event":"fill","pair":"BTC-USDT","exchange_order_id":"25851813","trade_id":"698759","side":"sell",
            "price":"7819.01","amount":"0.002","fee":{"asset":"USDT","amount":"0.0781901"},"maker":false,
            "position_side":"short","time_ns":1_569_514_978_020_000_000_i64})
    );
    assert_eq!((&found[1]["fee"]["amount"], &found[1]["position_side"]), (&json!("-0.001"), &json!("both")));
    assert_eq!(found[2]["event"], "skipped");
}

// D/account/rest-api/User-Commission-Rate
#[test]
fn fees() {
    let body = r#"{"symbol":"BTCUSDT","makerCommissionRate":"0.0002","takerCommissionRate":"0.0004",
        "rpiCommissionRate":"0.00005"}"#;
    assert_eq!(
        events(answer("fees", body)),
        json!([{"event":"fees","pair":"BTC-USDT","maker":"0.0002","taker":"0.0004"}])
    );
}

fn place(order_type: OrderType, time_in_force: TimeInForce) -> PlaceQuery {
    PlaceQuery {
        position_side: Some(PositionSide::Both),
        ..payloads::order("BTCUSDT", order_type, time_in_force)
    }
}

// D/trade/rest-api: post-only is a time in force; `reduceOnly` "cannot be sent in Hedge Mode".
#[test]
fn order_requests() {
    let text = |order: &PlaceQuery| query(&BinancePerpetual::REST.place, order);
    assert_eq!(
        text(&place(OrderType::Limit, TimeInForce::Fok)),
        "symbol=BTCUSDT&side=BUY&positionSide=BOTH&type=LIMIT&timeInForce=FOK&quantity=0.001&price=100000\
         &newClientOrderId=x-1_a&newOrderRespType=RESULT"
    );
    assert_eq!(
        text(&place(OrderType::LimitMaker, TimeInForce::Gtc)),
        "symbol=BTCUSDT&side=BUY&positionSide=BOTH&type=LIMIT&timeInForce=GTX&quantity=0.001&price=100000\
         &newClientOrderId=x-1_a&newOrderRespType=RESULT"
    );
    let close =
        PlaceQuery { reduce_only: true, side: Side::Sell, ..place(OrderType::Market, TimeInForce::Gtc) };
    assert_eq!(
        text(&close),
        "symbol=BTCUSDT&side=SELL&positionSide=BOTH&type=MARKET&quantity=0.001&reduceOnly=true\
         &newClientOrderId=x-1_a&newOrderRespType=RESULT"
    );
    for (side, word) in [(PositionSide::Long, "LONG"), (PositionSide::Short, "SHORT")] {
        let leg = PlaceQuery { position_side: Some(side), ..close.clone() };
        assert_eq!(
            text(&leg),
            format!(
                "symbol=BTCUSDT&side=SELL&positionSide={word}&type=MARKET&quantity=0.001&newClientOrderId=x-1_a\
                 &newOrderRespType=RESULT"
            )
        );
    }
    let mut named = OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: Some(ClientOrderId::new("mine")),
        exchange_order_id: None,
    };
    assert_eq!(query(&BinancePerpetual::REST.cancel, &named), "symbol=BTCUSDT&origClientOrderId=mine");
    named.exchange_order_id = Some(ExchangeOrderId::new("7"));
    assert_eq!(query(&BinancePerpetual::REST.order, &named), "symbol=BTCUSDT&orderId=7");
}

// D/trade/rest-api/Place-Multiple-Orders, Cancel-Multiple-Orders: a list of the parameters of single orders; ids without blanks
// between them.
#[test]
fn requests_about_several_orders() {
    let batch = BinancePerpetual::REST.batch.as_ref().unwrap();
    assert_eq!((batch.most_placed, batch.most_cancelled), (5, 10));
    let close = PlaceQuery { reduce_only: true, ..place(OrderType::Market, TimeInForce::Gtc) };
    let text = query(&batch.place, &vec![place(OrderType::LimitMaker, TimeInForce::Gtc), close]);
    let encoded = text.strip_prefix("batchOrders=").unwrap();
    assert!(
        encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-_.~".contains(&byte)),
        "{encoded}"
    );
    let list: Value = serde_json::from_slice(&decoded(encoded)).unwrap();
    assert_eq!(
        list,
        json!([
            {"symbol":"BTCUSDT","side":"BUY","positionSide":"BOTH","type":"LIMIT","timeInForce":"GTX","quantity":"0.001",
                "price":"100000","newClientOrderId":"x-1_a","newOrderRespType":"RESULT"},
            {"symbol":"BTCUSDT","side":"BUY","positionSide":"BOTH","type":"MARKET","quantity":"0.001","reduceOnly":"true",
                "newClientOrderId":"x-1_a","newOrderRespType":"RESULT"},
        ])
    );
    let named = |id: &str| OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: Some(ClientOrderId::new(id)),
        exchange_order_id: Some(ExchangeOrderId::new("7")),
    };
    assert_eq!(
        query(&batch.cancel, &vec![named("my_id_1"), named("my_id_2")]),
        "symbol=BTCUSDT&origClientOrderIdList=%5B%22my_id_1%22%2C%22my_id_2%22%5D"
    );
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        let hex = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        out.push(match byte {
            b'%' => hex(bytes.next().unwrap()) * 16 + hex(bytes.next().unwrap()),
            plain => plain,
        });
    }
    out
}

// The examples of the same pages, the orders as they are since 2026-06-30: one done, one not, in the list's order.
#[test]
fn answers_about_several_orders() {
    let body = format!(r#"[{PLACED},{{"code":-2022,"msg":"ReduceOnly Order is rejected."}}]"#);
    assert_eq!(
        events(answer("place_many", &body)),
        json!([placed(), {"event":"refusal","code":"-2022","message":"ReduceOnly Order is rejected.",
            "effect":"rejected","cause":"position"}])
    );
    let ended = PLACED.replace("\"NEW\"", "\"CANCELED\"");
    let body = format!(
        r#"[{ended},{{"code":-2011,"msg":"Unknown order sent."}},{{"code":-99999,"msg":"?"}},{{"symbol":"BTCUSDT"}}]"#
    );
    let told = events(answer("cancel_many", &body));
    assert_eq!((&told[0]["event"], &told[0]["state"]), (&json!("order"), &json!("cancelled")));
    assert_eq!((&told[1]["cause"], &told[1]["effect"]), (&json!("order_not_found"), &json!("rejected")));
    // What nobody knows proves nothing, and what cannot be read keeps its place.
    assert_eq!((&told[2]["cause"], &told[2]["effect"]), (&json!("other"), &json!("unknown")));
    assert_eq!(told[3]["event"], "skipped");
    assert_eq!(events(answer("place_many", "[]")), json!([]));
    assert!(answer("place_many", r#"{"code":200}"#).is_err());
}

#[test]
fn other_requests() {
    let rest = BinancePerpetual::REST;
    assert_eq!(query(&rest.balances, &()), "");
    let symbol = SymbolQuery { symbol: "BTCUSDT".into() };
    assert_eq!(query(&rest.last_price, &symbol), "symbol=BTCUSDT");
    assert_eq!(query(rest.fees.as_ref().unwrap(), &symbol), "symbol=BTCUSDT");
    // D/market-data/rest-api/Order-Book: these depths and no others.
    let book = |depth| query(&rest.book, &BookQuery { symbol: "BTCUSDT".into(), depth });
    for (asked, sent) in [(0, 5), (5, 5), (6, 10), (51, 100), (101, 500), (501, 1000), (5000, 1000)] {
        assert_eq!(book(asked), format!("symbol=BTCUSDT&limit={sent}"));
    }
    assert_eq!(query(&rest.open_orders, &OpenOrdersQuery { symbol: None }), "");
    assert_eq!(
        query(&rest.open_orders, &OpenOrdersQuery { symbol: Some("BTCUSDT".into()) }),
        "symbol=BTCUSDT"
    );
    // D/trade/rest-api/Account-Trade-List: a first id goes with no time.
    let mut fills = FillsQuery {
        symbol: "BTCUSDT".into(),
        exchange_order_id: None,
        from: None,
        since: Some(UnixNanos::from_millis(1_569_514_978_020)),
        limit: 5000,
    };
    assert_eq!(query(&rest.fills, &fills), "symbol=BTCUSDT&startTime=1569514978020&limit=1000");
    fills.from = Some(TradeId::new("698759"));
    assert_eq!(query(&rest.fills, &fills), "symbol=BTCUSDT&fromId=698759&limit=1000");
}

// The pages of the rows, and D/general-info for the pools.
#[test]
fn weights() {
    let cost = |row: &str, pool: &str, params: &[(&str, &str)]| {
        let row = BinancePerpetual::REST.rows().find(|found| found.name == row).unwrap();
        let of = |name: &str| params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        row.costs.iter().find(|cost| cost.pool == pool).map(|cost| cost.weight.of(of))
    };
    let weight = |row: &str| cost(row, "request_weight", &[]).unwrap();
    for (limit, units) in [("5", 2), ("50", 2), ("100", 5), ("500", 10), ("1000", 20)] {
        assert_eq!(cost("book", "request_weight", &[("limit", limit)]), Some(units), "{limit}");
    }
    assert_eq!(cost("open_orders", "request_weight", &[("symbol", "X")]), Some(1));
    for (row, units) in [
        ("rules", 1),
        ("open_orders", 40),
        ("balances", 5),
        ("cancel", 1),
        ("place_many", 5),
        ("cancel_many", 1),
        ("order", 1),
        ("fills", 5),
        ("fees", 20),
        ("stream_key", 1),
        ("keep_key", 1),
        ("positions", 5),
        ("leverage", 5),
        ("set_leverage", 1),
        ("set_margin_mode", 1),
        ("brackets", 1),
        ("position_mode", 30),
        ("set_position_mode", 1),
        ("funding_info", 10),
        ("funding_payments", 30),
    ] {
        assert_eq!(weight(row), units, "{row}");
    }
    assert_eq!(cost("place", "request_weight", &[]), None);
    for pool in ["orders_10s", "orders_1m"] {
        assert_eq!((cost("place", pool, &[]), cost("cancel", pool, &[])), (Some(1), None));
        assert_eq!(cost("cancel_many", pool, &[]), None);
    }
    assert_eq!(
        (cost("place_many", "orders_10s", &[]), cost("place_many", "orders_1m", &[])),
        (Some(5), Some(1))
    );
    for row in BinancePerpetual::REST.rows() {
        for cost in row.costs {
            assert!(BinancePerpetual::SPEC.pools.iter().any(|pool| pool.name == cost.pool), "{}", row.name);
        }
        // Only what is about one order is looked up instead of being repeated.
        assert_eq!(
            row.repeat == Repeat::LookUp,
            matches!(row.name, "place" | "cancel" | "place_many" | "cancel_many"),
            "{}",
            row.name
        );
    }
}

proptest! {
    #[test]
    fn numbers_are_written_plainly(mantissa in 1_i64.., scale in 0_u32..=18) {
        let amount = Decimal::new(mantissa, scale);
        let asked = PlaceQuery { amount, ..place(OrderType::Market, TimeInForce::Gtc) };
        let text = query(&BinancePerpetual::REST.place, &asked);
        let written = text.split("quantity=").nth(1).unwrap().split('&').next().unwrap();
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{}", written);
        prop_assert_eq!(written.parse::<Decimal>().unwrap(), amount);
    }
}
