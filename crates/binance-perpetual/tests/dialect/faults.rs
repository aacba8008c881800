//! Error bodies and what they mean.

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{Dialect as _, VenueError};
use connector_core::engine::classify;
use connector_core::{Cause, Effect};
use connector_qa::payloads;

use Cause as C;

fn meaning(code: &str, text: &str) -> (Cause, Effect) {
    payloads::meaning::<BinancePerpetual>(code, text)
}

/// D/error-code: the texts as documented, or as the venue was seen to write them in 2026.
const DOCUMENTED: &[(&str, &str, Cause)] = &[
    ("-1001", "Internal error; unable to process your request. Please try again.", C::Unavailable),
    ("-1002", "You are not authorized to execute this request.", C::Permission),
    (
        "-1003",
        "Too many requests; current limit is 2400 requests per minute. Please use the websocket for live updates to \
         avoid polling the API.",
        C::RateLimited,
    ),
    (
        "-1003",
        "Way too many requests; IP(1.2.3.4) banned until 1790931239698. Please use the websocket for live updates to \
         avoid bans.",
        C::Banned,
    ),
    ("-1011", "This IP cannot access this route.", C::Credentials),
    ("-1015", "Too many new orders; current limit is 300 orders per TEN_SECONDS.", C::RateLimited),
    ("-1016", "This service is no longer available.", C::Unavailable),
    ("-1021", "Timestamp for this request is outside of the recvWindow.", C::Timestamp),
    ("-1022", "Signature for this request is not valid.", C::Signature),
    ("-1102", "Mandatory parameter 'x' was not sent, was empty/null, or malformed.", C::BadRequest),
    ("-1106", "Parameter 'reduceonly' sent when not required.", C::BadRequest),
    ("-1109", "Invalid account.", C::Permission),
    ("-1111", "Precision is over the maximum defined for this asset.", C::TradingRule),
    ("-1121", "Invalid symbol.", C::Market),
    ("-1122", "Invalid symbol status.", C::Market),
    (
        "-1125",
        "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` to recreate `listenKey`",
        C::Other,
    ),
    ("-2011", "Unknown order sent.", C::OrderNotFound),
    ("-2013", "Order does not exist.", C::OrderNotFound),
    ("-2014", "API-key format invalid.", C::Credentials),
    ("-2015", "Invalid API-key, IP, or permissions for action.", C::Credentials),
    ("-2018", "Balance is insufficient.", C::InsufficientBalance),
    ("-2019", "Margin is insufficient.", C::InsufficientBalance),
    ("-2021", "Order would immediately trigger.", C::Other),
    ("-2022", "ReduceOnly Order is rejected.", C::Position),
    ("-2023", "User in liquidation mode now.", C::Position),
    ("-2025", "Reach max open order limit.", C::TradingRule),
    ("-2027", "Exceeded the maximum allowable position at current leverage.", C::Position),
    ("-4003", "Quantity less than or equal to zero.", C::TradingRule),
    ("-4014", "Price not increased by tick size.", C::TradingRule),
    ("-4016", "Limit price can't be higher than 71000.", C::TradingRule),
    ("-4023", "Qty not increased by step size.", C::TradingRule),
    ("-4028", "Leverage 126 is not valid", C::TradingRule),
    ("-4046", "No need to change margin type.", C::Unchanged),
    ("-4047", "Margin type cannot be changed if there exists open orders.", C::Position),
    ("-4048", "Margin type cannot be changed if there exists position.", C::Position),
    ("-4059", "No need to change position side.", C::Unchanged),
    ("-4061", "Order's position side does not match user's setting.", C::Position),
    ("-4062", "Invalid or improper reduceOnly value.", C::BadRequest),
    ("-4067", "Position side cannot be changed if there exists open orders.", C::Position),
    ("-4068", "Position side cannot be changed if there exists position.", C::Position),
    ("-4087", "User can only place reduce only order", C::Permission),
    ("-4109", "Inactive account", C::Permission),
    ("-4116", "ClientOrderId is duplicated.", C::DuplicateOrderId),
    (
        "-4120",
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        C::BadRequest,
    ),
    ("-4131", "The counterparty's best price does not meet the PERCENT_PRICE filter limit", C::TradingRule),
    ("-4141", "Symbol is closed", C::Market),
    ("-4161", "Leverage reduction is not supported in Isolated Margin Mode with open positions", C::Position),
    ("-4164", "Order's notional must be no smaller than 50 (unless you choose reduce only).", C::TradingRule),
    (
        "-5021",
        "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be \
         recorded in the order history",
        C::Other,
    ),
    (
        "-5022",
        "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be \
         recorded in the order history",
        C::WouldTake,
    ),
    ("-5028", "Timestamp for this request is outside of the ME recvWindow.", C::Timestamp),
];

#[test]
fn documented_texts() {
    for (code, text, cause) in DOCUMENTED.iter().copied() {
        assert_eq!(meaning(code, text), (cause, Effect::Rejected), "{code} {text}");
    }
    // "Execution status unknown"; -1008 is documented as a failure, and was once seen with an order that lived.
    for (code, cause) in [
        ("-1000", C::Unavailable),
        ("-1006", C::Unavailable),
        ("-1007", C::Timeout),
        ("-1008", C::Unavailable),
    ] {
        assert_eq!(meaning(code, "any"), (cause, Effect::Unknown), "{code}");
    }
}

// D/general-info, "HTTP 503 Status: Message Variants & Handling". A text that is no error body proves nothing.
#[test]
fn unavailable_in_several_ways() {
    for (status, body, effect) in [
        (
            503,
            r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#,
            Effect::Unknown,
        ),
        (503, "Unknown error, please check your request or try again later.", Effect::Unknown),
        (503, "Service Unavailable.", Effect::Unknown),
        (
            503,
            r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#,
            Effect::Rejected,
        ),
        (
            503,
            r#"{"code":-1008,"msg":"Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."}"#,
            Effect::Unknown,
        ),
        (
            408,
            r#"{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}"#,
            Effect::Unknown,
        ),
        (403, "<html>", Effect::Unknown),
    ] {
        assert_eq!(classify::<BinancePerpetual>("place", status, body.as_bytes()).effect, effect, "{body}");
    }
}

#[test]
fn every_row_can_be_reached() {
    assert!(payloads::faults_in_reach::<BinancePerpetual>() > 150);
}

#[test]
fn bodies() {
    let error = |body: &str| BinancePerpetual::error(body.as_bytes());
    let invalid = Some(VenueError { code: "-1121".into(), message: "Invalid symbol.".into() });
    assert_eq!(error(r#"{"code":-1121,"msg":"Invalid symbol."}"#), invalid);
    // D/trade/rest-api/Change-Margin-Type: a success that looks like an error.
    assert_eq!(error(r#"{"code":200,"msg":"success"}"#), None);
}
