//! Placing, cancelling and asking: D/rest-api/trading-endpoints, D/rest-api/account-endpoints.

use connector_core::dialect::Method;
use connector_core::order::Side;
use connector_core::wire::HttpResponse;
use connector_venue::orders::Submit;
use connector_venue::setup::MarketStatus;
use serde_json::{Value, json};

use crate::{Desk, START, number, read, refusal};

const ORDER: &str = "/api/v3/order";
const LIMIT: &str = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price=0.1";

fn ok(response: &HttpResponse) -> Value {
    assert_eq!(response.status, 200, "{}", read(response));
    read(response)
}

fn ask(desk: &mut Desk, amount: &str, price: &str) {
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number(price), number(amount)));
}

#[test]
fn resting_order_in_full() {
    let mut desk = Desk::new();
    let placed = ok(&desk.order(&format!("{LIMIT}&newClientOrderId=myOrder1")));
    let id = placed["orderId"].clone();
    assert_eq!(
        placed,
        json!({"symbol":"LTCBTC","orderId":id,"orderListId":-1,"clientOrderId":"myOrder1","transactTime":START,
            "price":"0.10000000","origQty":"2.00000000","executedQty":"0.00000000",
            "origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC",
            "type":"LIMIT","side":"BUY","workingTime":START,"selfTradePreventionMode":"EXPIRE_MAKER","fills":[]})
    );
    let queried = ok(&desk.signed(Method::Get, ORDER, "symbol=LTCBTC&origClientOrderId=myOrder1"));
    assert_eq!(
        queried,
        json!({"symbol":"LTCBTC","orderId":id,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.10000000",
            "origQty":"2.00000000","executedQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"NEW",
            "timeInForce":"GTC","type":"LIMIT","side":"BUY","stopPrice":"0.00000000","icebergQty":"0.00000000",
            "time":START,"updateTime":START,"isWorking":true,"workingTime":START,
            "origQuoteOrderQty":"0.00000000","selfTradePreventionMode":"EXPIRE_MAKER"})
    );
    assert_eq!(ok(&desk.signed(Method::Get, "/api/v3/openOrders", "symbol=LTCBTC")), json!([queried]));
    assert_eq!(ok(&desk.signed(Method::Get, "/api/v3/openOrders", "")), json!([queried]));
    desk.pass(5);
    let cancel = format!("symbol=LTCBTC&orderId={id}&newClientOrderId=cancelMyOrder1");
    let cancelled = ok(&desk.signed(Method::Delete, ORDER, &cancel));
    assert_eq!(
        cancelled,
        json!({"symbol":"LTCBTC","origClientOrderId":"myOrder1","orderId":id,"orderListId":-1,
            "clientOrderId":"cancelMyOrder1","transactTime":START + 5,"price":"0.10000000","origQty":"2.00000000",
            "executedQty":"0.00000000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000",
            "status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY",
            "selfTradePreventionMode":"EXPIRE_MAKER"})
    );
    assert_eq!(ok(&desk.signed(Method::Get, "/api/v3/openOrders", "")), json!([]));
    let all = ok(&desk.signed(Method::Get, "/api/v3/allOrders", "symbol=LTCBTC"));
    assert_eq!(all[0]["status"], "CANCELED");
}

#[test]
fn response_types() {
    let mut desk = Desk::new();
    let members = |value: &Value| value.as_object().unwrap().len();
    let ack = ok(&desk.order("symbol=LTCBTC&side=BUY&type=LIMIT_MAKER&quantity=1&price=0.1"));
    assert_eq!(members(&ack), 5, "post-only orders are only acknowledged: {ack}");
    assert_eq!(ack["clientOrderId"].as_str().unwrap().len(), 22);
    assert_eq!(members(&ok(&desk.order(&format!("{LIMIT}&newOrderRespType=ACK")))), 5);
    assert!(ok(&desk.order(&format!("{LIMIT}&newOrderRespType=RESULT"))).get("fills").is_none());
    assert!(ok(&desk.order(LIMIT)).get("fills").is_some());
}

// D/faqs/commission_faq: the fee is taken from what is received.
#[test]
fn fills_and_fees() {
    let mut desk = Desk::new();
    ask(&mut desk, "1", "0.1");
    ask(&mut desk, "3", "0.2");
    let bought = ok(&desk.order("symbol=LTCBTC&side=BUY&type=MARKET&quantity=2&newClientOrderId=m"));
    assert_eq!(
        bought["fills"],
        json!([
            {"price":"0.10000000","qty":"1.00000000","commission":"0.00100000","commissionAsset":"LTC","tradeId":1},
            {"price":"0.20000000","qty":"1.00000000","commission":"0.00100000","commissionAsset":"LTC","tradeId":2}])
    );
    assert_eq!(
        [&bought["status"], &bought["price"], &bought["cummulativeQuoteQty"], &bought["timeInForce"]],
        ["FILLED", "0.00000000", "0.30000000", "GTC"]
    );
    desk.rest(&Submit::limit("LTCBTC", Side::Buy, number("0.05"), number("1")));
    let sold = ok(&desk.order("symbol=LTCBTC&side=SELL&type=MARKET&quantity=1"));
    assert_eq!(sold["fills"][0]["commissionAsset"], "BTC");
    assert_eq!(sold["fills"][0]["commission"], "0.00005000");
    let trades = ok(&desk.signed(Method::Get, "/api/v3/myTrades", "symbol=LTCBTC"));
    assert_eq!(
        trades[0],
        json!({"symbol":"LTCBTC","id":1,"orderId":bought["orderId"],"orderListId":-1,"price":"0.10000000",
            "qty":"1.00000000","quoteQty":"0.10000000","commission":"0.00100000","commissionAsset":"LTC",
            "time":START,"isBuyer":true,"isMaker":false,"isBestMatch":true})
    );
    assert_eq!(trades.as_array().unwrap().len(), 3);
    let from = ok(&desk.signed(Method::Get, "/api/v3/myTrades", "symbol=LTCBTC&fromId=2&limit=1"));
    assert_eq!((&from[0]["id"], from.as_array().unwrap().len()), (&json!(2), 1));
    let of = format!("symbol=LTCBTC&orderId={}", sold["orderId"]);
    assert_eq!(ok(&desk.signed(Method::Get, "/api/v3/myTrades", &of)).as_array().unwrap().len(), 1);
}

// D/user-data-stream (order expiry reason), D/rest-api/trading-endpoints (conditional fields)
#[test]
fn expiries() {
    let mut desk = Desk::new();
    let fok = ok(&desk.order("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=FOK&quantity=2&price=0.1"));
    assert_eq!(
        [&fok["status"], &fok["expiryReason"], &fok["executedQty"]],
        ["EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED", "0.00000000"]
    );
    ask(&mut desk, "1", "0.1");
    let ioc = ok(&desk.order("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=IOC&quantity=2&price=0.1"));
    assert_eq!(
        [&ioc["status"], &ioc["expiryReason"], &ioc["executedQty"]],
        ["EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED", "1.00000000"]
    );
    let market = ok(&desk.order("symbol=LTCBTC&side=BUY&type=MARKET&quantity=2"));
    assert_eq!([&market["status"], &market["expiryReason"]], ["EXPIRED", "INSUFFICIENT_LIQUIDITY"]);
}

// D/errors, with the texts as documented.
#[test]
fn refusals_of_the_engine() {
    let mut desk = Desk::new();
    ask(&mut desk, "1", "0.2");
    let insufficient = "Account has insufficient balance for requested action.";
    let filter = |name: &str| format!("Filter failure: {name}");
    for (query, code, text) in [
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1000&price=0.1",
            -2010,
            insufficient.to_owned(),
        ),
        (
            "symbol=LTCBTC&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1000&price=0.1",
            -2010,
            insufficient.to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT_MAKER&quantity=1&price=0.3",
            -2010,
            "Order would immediately match and take.".to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1000001",
            -1013,
            filter("PRICE_FILTER"),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1.0001&price=0.1",
            -1013,
            filter("LOT_SIZE"),
        ),
        ("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0&price=0.1", -1013, filter("LOT_SIZE")),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=0.05",
            -1013,
            filter("NOTIONAL"),
        ),
        ("symbol=LUNAUSDT&side=BUY&type=MARKET&quantity=10", -1013, "Market is closed.".to_owned()),
    ] {
        assert_eq!(refusal(&desk.order(query)), (400, code, text), "{query}");
    }
    ok(&desk.order(&format!("{LIMIT}&newClientOrderId=a")));
    let again = desk.order(&format!("{LIMIT}&newClientOrderId=a"));
    assert_eq!(refusal(&again), (400, -2010, "Duplicate order sent.".to_owned()));
    ok(&desk.signed(Method::Delete, ORDER, "symbol=LTCBTC&origClientOrderId=a"));
    ok(&desk.order(&format!("{LIMIT}&newClientOrderId=a")));
    desk.venue.exchange_mut().set_status("LTCBTC", MarketStatus::Delisted).unwrap();
    assert_eq!(refusal(&desk.order(LIMIT)), (400, -1121, "Invalid symbol.".to_owned()));
}

#[test]
fn refusals_of_parameters() {
    let mut desk = Desk::new();
    let missing =
        |name: &str| format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    let illegal = |name: &str, range: &str| {
        format!("Illegal characters found in parameter '{name}'; legal range is '{range}'.")
    };
    let number = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
    let long = "a".repeat(37);
    let too_long = format!("{LIMIT}&newClientOrderId={long}");
    for (query, code, text) in [
        ("side=BUY", -1102, missing("symbol")),
        ("symbol=NOPE&side=BUY", -1121, "Invalid symbol.".to_owned()),
        ("symbol=ltcbtc&side=BUY", -1100, illegal("symbol", "^[A-Z0-9-_.]{1,20}$")),
        ("symbol=LTCBTC", -1102, missing("side")),
        ("symbol=LTCBTC&side=HOLD", -1117, "Invalid side.".to_owned()),
        ("symbol=LTCBTC&side=BUY&type=GUESS", -1116, "Invalid orderType.".to_owned()),
        ("symbol=LTCBTC&side=BUY&type=LIMIT&quantity=1&price=1", -1102, missing("timeInForce")),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTD&quantity=1&price=1",
            -1115,
            "Invalid timeInForce.".into(),
        ),
        ("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&price=1", -1102, missing("quantity")),
        ("symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1", -1102, missing("price")),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1e3&price=1",
            -1100,
            illegal("quantity", number),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=-1",
            -1100,
            illegal("price", number),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.123456789&price=1",
            -1111,
            "Parameter 'quantity' has too much precision.".to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=LIMIT_MAKER&timeInForce=GTC&quantity=1&price=1",
            -1106,
            "Parameter 'timeInForce' sent when not required.".to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=MARKET&quantity=1&price=1",
            -1106,
            "Parameter 'price' sent when not required.".to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=MARKET",
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!".to_owned(),
        ),
        (
            "symbol=LTCBTC&side=BUY&type=STOP_LOSS_LIMIT&quantity=1&price=1&stopPrice=1",
            -2010,
            "Stop loss limit orders are not supported for this symbol.".to_owned(),
        ),
        (too_long.as_str(), -1100, illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
    ] {
        assert_eq!(refusal(&desk.order(query)), (400, code, text.clone()), "{query}");
        // A test order is judged by the same rules.
        let tested = desk.signed(Method::Post, "/api/v3/order/test", query);
        assert_eq!(refusal(&tested), (400, code, text), "{query}");
    }
    assert_eq!(ok(&desk.signed(Method::Post, "/api/v3/order/test", LIMIT)), json!({}));
    assert_eq!(ok(&desk.signed(Method::Get, "/api/v3/openOrders", "")), json!([]));
}

#[test]
fn refusals_of_cancels_and_queries() {
    let mut desk = Desk::new();
    let unknown = (400, -2011, "Unknown order sent.".to_owned());
    let mut both = |method, path: &str, query: &str| refusal(&desk.signed(method, path, query));
    assert_eq!(both(Method::Delete, ORDER, "symbol=LTCBTC&orderId=1"), unknown);
    assert_eq!(both(Method::Delete, "/api/v3/openOrders", "symbol=LTCBTC"), unknown);
    let absent = (400, -2013, "Order does not exist.".to_owned());
    assert_eq!(both(Method::Get, ORDER, "symbol=LTCBTC&origClientOrderId=x"), absent);
    let neither = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!";
    assert_eq!(both(Method::Get, ORDER, "symbol=LTCBTC"), (400, -1102, neither.to_owned()));
    assert_eq!(both(Method::Delete, ORDER, "symbol=LTCBTC"), (400, -1102, neither.to_owned()));
    let placed = ok(&desk.order(&format!("{LIMIT}&newClientOrderId=a")));
    let id = &placed["orderId"];
    let cancel = |rest: &str| format!("symbol=LTCBTC&orderId={id}{rest}");
    let mut refused = |rest: &str| refusal(&desk.signed(Method::Delete, ORDER, &cancel(rest))).1;
    assert_eq!(refused("&origClientOrderId=b"), -2039);
    assert_eq!(refused("&cancelRestrictions=ONLY_PARTIALLY_FILLED"), -2011);
    assert_eq!(refused("&cancelRestrictions=NEVER"), -1145);
    ok(&desk.order(LIMIT));
    let all = ok(&desk.signed(Method::Delete, "/api/v3/openOrders", "symbol=LTCBTC"));
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((&all[0]["origClientOrderId"], &all[0]["status"]), (&json!("a"), &json!("CANCELED")));
    assert_eq!(all[0]["clientOrderId"], all[1]["clientOrderId"]);
}

// D/rest-api/account-endpoints
#[test]
fn account_and_commission() {
    let mut desk = Desk::new();
    ok(&desk.order(LIMIT));
    let account = ok(&desk.signed(Method::Get, "/api/v3/account", "omitZeroBalances=true"));
    let btc = account["balances"].as_array().unwrap().iter().find(|entry| entry["asset"] == "BTC").unwrap();
    assert_eq!(btc, &json!({"asset":"BTC","free":"19.80000000","locked":"0.20000000"}));
    assert_eq!((&account["makerCommission"], &account["accountType"]), (&json!(10), &json!("SPOT")));
    assert_eq!(account["commissionRates"]["taker"], "0.00100000");
    let fees = ok(&desk.signed(Method::Get, "/api/v3/account/commission", "symbol=LTCBTC"));
    assert_eq!(
        fees["standardCommission"],
        json!({"maker":"0.00100000","taker":"0.00100000","buyer":"0.00000000","seller":"0.00000000"})
    );
}
