//! Orders: D/trade/rest-api.

use connector_core::dialect::Method::{Delete, Get, Post, Put};
use connector_core::order::Side;
use serde_json::json as value;

use crate::{Client, ME, START, names, sorted};

const ORDER: &str = "/fapi/v1/order";
const RESTING: &str = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=60000.5";

#[test]
fn a_resting_order_in_full() {
    let mut client = Client::new();
    let placed = client.order(&format!("{RESTING}&newClientOrderId=testOrder"));
    let id = placed["orderId"].clone();
    // Without `avgPrice` and `cumQuote` since 2026-06-30.
    assert_eq!(
        placed,
        value!({"clientOrderId":"testOrder","cumQty":"0","executedQty":"0","orderId":id,"origQty":"0.002",
            "price":"60000.5","reduceOnly":false,"side":"BUY","positionSide":"BOTH","status":"NEW","stopPrice":"0",
            "closePosition":false,"symbol":"BTCUSDT","timeInForce":"GTC","type":"LIMIT","origType":"LIMIT",
            "updateTime":START,"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE",
            "selfTradePreventionMode":"EXPIRE_MAKER","goodTillDate":0})
    );
    let queried = client.done(Get, &format!("{ORDER}?symbol=BTCUSDT&origClientOrderId=testOrder"));
    assert_eq!(
        names(&queried),
        sorted(
            "avgPrice clientOrderId cumQuote executedQty orderId origQty origType price reduceOnly side positionSide
            status stopPrice closePosition symbol time timeInForce type updateTime workingType priceProtect priceMatch
            selfTradePreventionMode goodTillDate"
        )
    );
    assert_eq!(client.done(Get, &format!("/fapi/v1/openOrder?symbol=BTCUSDT&orderId={id}")), queried);
    assert_eq!(client.done(Get, "/fapi/v1/openOrders"), value!([queried]));
    client.wait(5);
    let cancelled = client.done(Delete, &format!("{ORDER}?symbol=BTCUSDT&orderId={id}"));
    // The order keeps its own client order id.
    assert_eq!(
        [&cancelled["status"], &cancelled["clientOrderId"], &cancelled["cumQty"]],
        ["CANCELED", "testOrder", "0"]
    );
    assert_eq!(cancelled["updateTime"], START + 5);
    assert_eq!(client.done(Get, "/fapi/v1/openOrders?symbol=BTCUSDT"), value!([]));
    let all = client.done(Get, "/fapi/v1/allOrders");
    assert_eq!([&all[0]["status"], &all[0]["pair"], &all[0]["cumBase"]], ["CANCELED", "BTCUSDT", "0"]);
    let gone = (-2011, "Unknown order sent.".to_owned());
    assert_eq!(client.refused(Delete, &format!("{ORDER}?symbol=BTCUSDT&orderId={id}")), gone);
    let closed = client.refused(Get, &format!("/fapi/v1/openOrder?symbol=BTCUSDT&orderId={id}"));
    assert_eq!(closed, (-2013, "Order does not exist.".to_owned()));
    assert_eq!(client.refused(Get, &format!("{ORDER}?symbol=BTCUSDT&orderId=1")).0, -2013);
}

#[test]
fn answers_acknowledge_or_tell_the_result() {
    let mut client = Client::new();
    client.offer(Side::Sell, "61850", "1");
    let acknowledged = client.order("side=BUY&type=MARKET&quantity=0.1");
    assert_eq!([&acknowledged["status"], &acknowledged["executedQty"]], ["NEW", "0"]);
    let id = &acknowledged["orderId"];
    let known = client.done(Get, &format!("{ORDER}?symbol=BTCUSDT&orderId={id}"));
    assert_eq!([&known["status"], &known["avgPrice"], &known["cumQuote"]], ["FILLED", "61850", "6185"]);
    let result = client.order("side=BUY&type=MARKET&quantity=0.1&newOrderRespType=RESULT");
    assert_eq!([&result["status"], &result["executedQty"]], ["FILLED", "0.1"]);
    // What the book does not have expires.
    let rest = client.order("side=BUY&type=MARKET&quantity=1&newOrderRespType=RESULT");
    assert_eq!([&rest["status"], &rest["executedQty"]], ["EXPIRED", "0.8"]);
    client.offer(Side::Sell, "61850", "0.01");
    let ioc = "side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.02&price=61850&newOrderRespType=RESULT";
    let ioc = client.order(ioc);
    assert_eq!([&ioc["status"], &ioc["executedQty"]], ["EXPIRED", "0.01"]);
}

/// Codes and texts: D/error-code, as seen live where the page has placeholders.
const REFUSALS: &[(&str, i64, &str)] = &[
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1",
        -1102,
        "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
    ),
    (
        "side=BUY&type=LIMIT&quantity=1&price=60000",
        -1102,
        "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
    ),
    ("side=UP&type=MARKET&quantity=1", -1117, "Invalid side."),
    ("side=BUY&type=TWAP&quantity=1", -1116, "Invalid orderType."),
    ("side=BUY&type=LIMIT&timeInForce=XXX&quantity=1&price=60000", -1115, "Invalid timeInForce."),
    ("side=BUY&type=MARKET&quantity=1&price=60000", -1106, "Parameter 'price' sent when not required."),
    ("side=BUY&type=MARKET&quantity=0.0001", -1111, "Precision is over the maximum defined for this asset."),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=60000.05",
        -1111,
        "Precision is over the maximum defined for this asset.",
    ),
    ("side=BUY&type=MARKET&quantity=0", -4003, "Quantity less than or equal to zero."),
    ("side=BUY&type=MARKET&quantity=1001", -4005, "Quantity greater than max quantity."),
    ("side=BUY&type=MARKET&quantity=121", -4005, "Quantity greater than max quantity."),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0", -4013, "Price less than min price."),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=64928.9",
        -4016,
        "Limit price can't be higher than 64928.8.",
    ),
    (
        "side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=58745",
        -4024,
        "Limit price can't be lower than 58745.2.",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000",
        -4164,
        "Order's notional must be no smaller than 100 (unless you choose reduce only).",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTX&quantity=1&price=61850",
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=FOK&quantity=2&price=61850",
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history",
    ),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=100&price=60000", -2019, "Margin is insufficient."),
    ("side=BUY&type=MARKET&quantity=0.01&reduceOnly=true", -2022, "ReduceOnly Order is rejected."),
    (
        "side=BUY&type=MARKET&quantity=0.01&positionSide=LONG",
        -4061,
        "Order's position side does not match user's setting.",
    ),
    ("side=BUY&type=MARKET&quantity=0.01&positionSide=UP", -4060, "Invalid position side."),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000&newClientOrderId=mine",
        -4116,
        "ClientOrderId is duplicated.",
    ),
    (
        "side=BUY&type=MARKET&quantity=0.01&newClientOrderId=0123456789012345678901234567890123456",
        -4015,
        "Client order id length should not be more than 36 chars",
    ),
    (
        "side=BUY&type=STOP_MARKET&quantity=0.01&stopPrice=62000",
        -4120,
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&priceMatch=QUEUE",
        -5041,
        "No depth matches this BBO order",
    ),
];

#[test]
fn refusals() {
    let mut client = Client::new();
    client.offer(Side::Sell, "61850", "1");
    client.order(&format!("{RESTING}&newClientOrderId=mine"));
    for &(parameters, code, text) in REFUSALS {
        let target = format!("{ORDER}?symbol=BTCUSDT&{parameters}");
        let expected = (code, text.to_owned());
        if parameters.contains("QUEUE") {
            client.done(Delete, "/fapi/v1/allOpenOrders?symbol=BTCUSDT");
        }
        assert_eq!(client.refused(Post, &target), expected, "{parameters}");
        let tested = target.replace("order?", "order/test?");
        assert_eq!(client.refused(Post, &tested), expected, "{parameters}");
    }
    assert_eq!(client.refused(Post, "/fapi/v1/order?symbol=NOPE&side=BUY&type=MARKET&quantity=1").0, -1121);
    let closed = client.refused(Post, "/fapi/v1/order?symbol=LUNA2USDT&side=BUY&type=MARKET&quantity=100");
    assert_eq!(closed, (-4141, "Symbol is closed.".to_owned()));
    assert!(client.venue.exchange().open_orders(ME, None).is_empty());
}

#[test]
fn tests_change_nothing() {
    let mut client = Client::new();
    let tested = client.done(Post, &format!("/fapi/v1/order/test?symbol=BTCUSDT&{RESTING}"));
    assert_eq!([&tested["status"], &tested["origQty"]], ["NEW", "0.002"]);
    assert_eq!(client.done(Get, "/fapi/v1/allOrders?symbol=BTCUSDT"), value!([]));
}

#[test]
fn prices_of_the_book() {
    let mut client = Client::new();
    client.offer(Side::Buy, "61800", "1");
    client.offer(Side::Sell, "61900", "1");
    let matched = client.order("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&priceMatch=QUEUE");
    assert_eq!(matched["price"], "61800");
    let matched = client.order("side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.01&priceMatch=OPPONENT");
    assert_eq!(matched["price"], "61800");
}

// D/trade/rest-api/Modify-Order
#[test]
fn modifications() {
    let mut client = Client::new();
    let placed = client.order(&format!("{RESTING}&newClientOrderId=moving"));
    let target =
        |parameters: &str| format!("{ORDER}?symbol=BTCUSDT&origClientOrderId=moving&side=BUY&{parameters}");
    let moved = client.done(Put, &target("quantity=0.003&price=60001&modifyId=7"));
    assert_eq!((&moved["orderId"], &moved["modifyId"]), (&placed["orderId"], &value!(7)));
    assert_eq!(
        [&moved["price"], &moved["origQty"], &moved["pair"], &moved["status"]],
        ["60001", "0.003", "BTCUSDT", "NEW"]
    );
    let same = client.refused(Put, &target("quantity=0.003&price=60001"));
    assert_eq!(same, (-5027, "No need to modify the order.".to_owned()));
    assert_eq!(client.refused(Put, &target("quantity=0.003")).0, -1102);
    assert_eq!(client.refused(Put, &target("quantity=0.003&price=60001.05")).0, -1111);
    let not_reducing = client.refused(Put, &target("quantity=0.004&price=60001&reduceOnly=true"));
    assert_eq!(not_reducing, (-5047, "The original order is not a reduce-only order".to_owned()));
    client.offer(Side::Sell, "60100", "0.002");
    let taken = client.done(Put, &target("quantity=0.003&price=60100"));
    assert_eq!([&taken["status"], &taken["executedQty"]], ["PARTIALLY_FILLED", "0.002"]);
    let ended = client.done(Put, &target("quantity=0.002&price=60100"));
    assert_eq!(ended["status"], "CANCELED");
    assert_eq!(client.refused(Put, &target("quantity=0.003&price=60000")).0, -2013);
    // A post-only order that would trade is cancelled.
    client.offer(Side::Sell, "60100", "0.002");
    client.order("side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.002&price=60000&newClientOrderId=maker");
    let crossing =
        format!("{ORDER}?symbol=BTCUSDT&origClientOrderId=maker&side=BUY&quantity=0.002&price=60100");
    assert_eq!(client.done(Put, &crossing)["status"], "CANCELED");
}

// D/trade/rest-api/Place-Multiple-Orders, Cancel-Multiple-Orders
#[test]
fn several_at_once() {
    let mut client = Client::new();
    let list = r#"[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"0.002","price":"60000","newClientOrderId":"a"},{"symbol":"BTCUSDT","side":"SELL","type":"MARKET","quantity":"0.002","reduceOnly":"true"},{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTX","quantity":0.002,"price":60001,"newClientOrderId":"b"}]"#;
    let encoded: String = list.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let placed = client.done(Post, &format!("/fapi/v1/batchOrders?batchOrders={encoded}"));
    assert_eq!([&placed[0]["clientOrderId"], &placed[2]["timeInForce"]], ["a", "GTX"]);
    assert_eq!(placed[1], value!({"code": -2022, "msg": "ReduceOnly Order is rejected."}));
    let ids = "%5B%22a%22,%22nothing%22%5D";
    let ended =
        client.done(Delete, &format!("/fapi/v1/batchOrders?symbol=BTCUSDT&origClientOrderIdList={ids}"));
    assert_eq!(ended[0]["status"], "CANCELED");
    assert_eq!(ended[1], value!({"code": -2011, "msg": "Unknown order sent."}));
    let all = value!({"code": 200, "msg": "The operation of cancel all open order is done."});
    assert_eq!(client.done(Delete, "/fapi/v1/allOpenOrders?symbol=BTCUSDT"), all);
    assert_eq!(client.done(Get, "/fapi/v1/openOrders"), value!([]));
    assert_eq!(client.done(Delete, "/fapi/v1/allOpenOrders?symbol=BTCUSDT"), all);
    let empty = client.refused(Post, "/fapi/v1/batchOrders?batchOrders=%5B%5D");
    assert_eq!(empty.0, -4082);
}

// D/trade/rest-api/Auto-Cancel-All-Open-Orders
#[test]
fn the_countdown_cancels_unless_called_off() {
    let mut client = Client::new();
    client.order(RESTING);
    let countdown =
        |millis: u32| format!("/fapi/v1/countdownCancelAll?symbol=BTCUSDT&countdownTime={millis}");
    assert_eq!(client.done(Post, &countdown(1000)), value!({"symbol":"BTCUSDT","countdownTime":"1000"}));
    client.wait(900);
    client.done(Post, &countdown(1000));
    client.wait(900);
    assert_eq!(client.venue.exchange().open_orders(ME, None).len(), 1);
    client.done(Post, &countdown(0));
    client.wait(5000);
    assert_eq!(client.venue.exchange().open_orders(ME, None).len(), 1);
    client.done(Post, &countdown(1000));
    client.wait(1000);
    assert!(client.venue.exchange().open_orders(ME, None).is_empty());
}

// D/trade/rest-api/Account-Trade-List; members added on 2026-08-07
#[test]
fn trades_of_the_account() {
    // Marks that are told each second make a week long.
    let hour = std::time::Duration::from_secs(3600);
    let mut client = Client::with(|setup| setup.perpetual.mark_interval = hour);
    client.hold(Side::Buy, "61850", "0.002");
    client.hold(Side::Sell, "61840", "0.002");
    let trades = client.done(Get, "/fapi/v1/userTrades?symbol=BTCUSDT");
    assert_eq!(
        trades[1],
        value!({"buyer":false,"commission":"0.06184","commissionAsset":"USDT","id":2,"maker":false,
            "orderId":trades[1]["orderId"],"price":"61840","qty":"0.002","quoteQty":"123.68","baseQty":"0.002",
            "marginAsset":"USDT","realizedPnl":"-0.02","side":"SELL","positionSide":"BOTH","symbol":"BTCUSDT",
            "pair":"BTCUSDT","time":START})
    );
    let length = |value: serde_json::Value| value.as_array().unwrap().len();
    assert_eq!(length(client.done(Get, "/fapi/v1/userTrades?symbol=BTCUSDT&limit=1&fromId=2")), 1);
    let of = format!("/fapi/v1/userTrades?symbol=BTCUSDT&orderId={}", trades[0]["orderId"]);
    assert_eq!(length(client.done(Get, &of)), 1);
    assert_eq!(client.done(Get, "/fapi/v1/userTrades?symbol=BTCUSDT&limit=1")[0]["id"], 1);
    let mixed = format!("/fapi/v1/userTrades?symbol=BTCUSDT&fromId=1&startTime={START}");
    assert_eq!(client.refused(Get, &mixed).0, -1128);
    let long = format!("/fapi/v1/userTrades?symbol=BTCUSDT&startTime=1&endTime={START}");
    assert_eq!(client.refused(Get, &long).0, -4165);
    client.wait(8 * 24 * 3_600_000);
    assert_eq!(length(client.done(Get, "/fapi/v1/userTrades?symbol=BTCUSDT")), 0);
}
