//! Error bodies and what they mean.

use connector_core::dialect::{Dialect as _, VenueError};
use connector_core::{Cause, Effect};
use connector_qa::payloads;
use spot_binance::SpotBinance;

fn meaning(code: &str, text: &str) -> (Cause, Effect) {
    payloads::meaning::<SpotBinance>(code, text)
}

use Cause as C;

/// D/errors: the texts as documented.
const DOCUMENTED: &[(&str, &str, Cause)] = &[
    ("-1002", "You are not authorized to execute this request.", C::Permission),
    ("-1003", "Too many requests queued.", C::RateLimited),
    (
        "-1003",
        "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket \
             Streams for live updates to avoid polling the API.",
        C::RateLimited,
    ),
    (
        "-1003",
        "Way too much request weight used; IP banned until 1659146400000. Please use WebSocket Streams for live \
             updates to avoid bans.",
        C::Banned,
    ),
    ("-1013", "Filter failure: PRICE_FILTER", C::TradingRule),
    ("-1013", "Filter failure: NOTIONAL", C::TradingRule),
    ("-1014", "Unsupported order combination.", C::BadRequest),
    ("-1015", "Too many new orders; current limit is 50 orders per 10 SECOND.", C::RateLimited),
    ("-1016", "This service is no longer available.", C::Unavailable),
    ("-1020", "This operation is not supported.", C::BadRequest),
    ("-1021", "Timestamp for this request is outside of the recvWindow.", C::Timestamp),
    ("-1021", "Timestamp for this request was 1000ms ahead of the server's time.", C::Timestamp),
    ("-1022", "Signature for this request is not valid.", C::Signature),
    ("-1034", "Too many connection attempts from IP; current limit is 300 per '5 MINUTE'.", C::RateLimited),
    ("-1100", "Illegal characters found in parameter 'price'; legal range is '^[0-9]$'.", C::BadRequest),
    ("-1102", "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.", C::BadRequest),
    ("-1106", "Parameter 'timeInForce' sent when not required.", C::BadRequest),
    ("-1111", "Parameter 'quantity' has too much precision.", C::TradingRule),
    ("-1121", "Invalid symbol.", C::Market),
    ("-2010", "Account has insufficient balance for requested action.", C::InsufficientBalance),
    ("-2010", "Duplicate order sent.", C::DuplicateOrderId),
    ("-2010", "Market is closed.", C::Market),
    ("-2010", "Order would immediately match and take.", C::WouldTake),
    ("-2010", "Market orders are not supported for this symbol.", C::TradingRule),
    ("-2010", "Quote order qty market orders are not support for this symbol.", C::TradingRule),
    ("-2010", "Price * QTY is zero or less.", C::TradingRule),
    ("-2010", "This action is disabled on this account.", C::Permission),
    ("-2010", "This account may not place or cancel orders.", C::Permission),
    ("-2010", "This symbol is not permitted for this account.", C::Permission),
    ("-2010", "This symbol is restricted for this account.", C::Permission),
    ("-2010", "Rest API trading is not enabled.", C::Permission),
    ("-2010", "Unsupported order combination", C::BadRequest),
    ("-2010", "Order book liquidity is less than symbol minimum quantity.", C::Other),
    ("-2011", "Unknown order sent.", C::OrderNotFound),
    ("-2011", "Order was not canceled due to cancel restrictions.", C::Other),
    ("-2011", "This account may not place or cancel orders.", C::Permission),
    ("-2011", "Cancel order is invalid. Check origClOrdId and orderId.", C::BadRequest),
    ("-2013", "Order does not exist.", C::OrderNotFound),
    ("-2014", "API-key format invalid.", C::Credentials),
    ("-2015", "Invalid API-key, IP, or permissions for action.", C::Credentials),
    (
        "-2026",
        "Order was canceled or expired with no executed qty over 90 days ago and has been archived.",
        C::OrderNotFound,
    ),
    ("-2039", "Client order ID is not correct for this order ID.", C::OrderNotFound),
    ("4", "Too many subscriptions", C::RateLimited),
];

#[test]
fn documented_texts() {
    for (code, text, cause) in DOCUMENTED.iter().copied() {
        assert_eq!(meaning(code, text), (cause, Effect::Rejected), "{code} {text}");
    }
    for (code, cause) in [
        ("-1000", C::Unavailable),
        ("-1001", C::Unavailable),
        ("-1006", C::Unavailable),
        ("-1007", C::Timeout),
        ("-1008", C::Unavailable),
        ("-2021", C::Other),
    ] {
        assert_eq!(meaning(code, "any"), (cause, Effect::Unknown), "{code}");
    }
}

#[test]
fn every_row_can_be_reached() {
    assert!(payloads::faults_in_reach::<SpotBinance>() > 60);
}

#[test]
fn bodies() {
    let error = |body: &str| SpotBinance::error(body.as_bytes());
    let invalid = Some(VenueError { code: "-1121".into(), message: "Invalid symbol.".into() });
    assert_eq!(error(r#"{"code":-1121,"msg":"Invalid symbol."}"#), invalid);
    assert_eq!(error(r#"{"error":{"code":-1121,"msg":"Invalid symbol."},"id":1}"#), invalid);
    assert_eq!(
        error(r#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol.","data":{}}}"#),
        invalid
    );
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "{\"serverTime\":1}",
        "<html><head><title>410 Gone</title></head><body>nginx</body></html>",
        "{\"code\":\"-1121\",\"msg\":\"x\"}",
        "{\"code\":200,\"msg\":\"success\"}",
    ] {
        assert_eq!(error(body), None, "{body}");
    }
}
