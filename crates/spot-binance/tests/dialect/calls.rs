//! Orders over the WebSocket API: signatures by the venue's published vectors, answers as it documents them.

use connector_core::dialect::{Answer, Calls, Dialect as _, Draft, Keyring, OrderQuery, PlaceQuery, Stamp};
use connector_core::engine::classify;
use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{Cause, ClientOrderId, Credentials, Decimal, Effect};
use proptest::prelude::*;
use serde_json::{Value, json};
use spot_binance::SpotBinance;

use crate::signing::{KEY, SECRET};
use crate::{answer as decoded, events};

const CALLS: &Calls = match SpotBinance::CALLS {
    Some(calls) => calls,
    None => panic!("declared"),
};

fn keys() -> Keyring {
    Keyring::new(&Credentials::new(KEY, SECRET), SpotBinance::SPEC.keys).unwrap()
}

fn written(row: &str, draft: Draft, id: u64, millis: i64) -> Value {
    let stamp = Stamp { time: UnixNanos::from_millis(millis), nonce: 1 };
    let text = (CALLS.write)(CALLS.of(row).unwrap(), draft, id, &keys(), stamp).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn place(params: &[(&'static str, &str)]) -> Draft {
    let mut draft = Draft::new(&SpotBinance::REST.place.row);
    params.iter().for_each(|(name, value)| draft.query.push(name, value));
    draft
}

fn read(text: &str) -> Answer {
    (CALLS.answer)(text.as_bytes()).unwrap().unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

// D/websocket-api/request-security, the examples for HMAC keys.
#[test]
fn signatures_are_the_published_ones() {
    for (symbol, side, quantity, price, window, millis, signature) in [
        (
            "BTCUSDT",
            "SELL",
            "0.01000000",
            "52000.00",
            "100",
            1_645_423_376_532,
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            "１２３４５６",
            "BUY",
            "1.00000000",
            "0.10000000",
            "5000",
            1_645_423_376_532,
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ] {
        let params = [
            ("symbol", symbol),
            ("side", side),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("quantity", quantity),
            ("price", price),
            ("recvWindow", window),
        ];
        let frame = written("place", place(&params), 7, millis);
        let mut expected = json!({ "apiKey": KEY, "timestamp": millis, "signature": signature });
        for (name, value) in params {
            expected[name] = json!(value);
        }
        assert_eq!(frame, json!({ "id": 7, "method": "order.place", "params": expected }));
    }
}

// D/websocket-api/trading-requests.
#[test]
fn what_is_asked_is_what_rest_asks() {
    let mut draft = Draft::new(&SpotBinance::REST.place.row);
    let question = PlaceQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: ClientOrderId::new("mine-1"),
        side: Side::Sell,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Ioc,
        amount: Decimal::new(847, 5),
        price: Some(Decimal::new(234_161, 1)),
        contract_size: Decimal::ONE,
        position_side: None,
        reduce_only: false,
    };
    (SpotBinance::REST.place.encode)(&question, &mut draft);
    let frame = written("place", draft, 1, 1_660_801_715_431);
    let params = frame["params"].as_object().unwrap();
    let names: Vec<_> = params.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "apiKey",
            "newClientOrderId",
            "newOrderRespType",
            "price",
            "quantity",
            "side",
            "signature",
            "symbol",
            "timeInForce",
            "timestamp",
            "type"
        ]
    );
    assert_eq!((&params["price"], &params["quantity"]), (&json!("23416.1"), &json!("0.00847")));

    let mut draft = Draft::new(&SpotBinance::REST.cancel.row);
    let question = OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: None,
        exchange_order_id: Some(12_569_099_453_i64.into()),
    };
    (SpotBinance::REST.cancel.encode)(&question, &mut draft);
    let frame = written("cancel", draft, u64::MAX, 1_660_801_715_830);
    assert_eq!((&frame["method"], &frame["id"]), (&json!("order.cancel"), &json!(u64::MAX)));
    assert_eq!(frame["params"]["orderId"], json!(12_569_099_453_i64));
}

// D/websocket-api/trading-requests, "Place new order", the answer of type FULL.
const PLACED: &str = r#"{
    "id": 56,
    "status": 200,
    "result": {
        "symbol": "BTCUSDT", "orderId": 12569099453, "orderListId": -1,
        "clientOrderId": "4d96324ff9d44481926157ec08158a40", "transactTime": 1660801715793,
        "price": "23416.10000000", "origQty": "0.00847000", "executedQty": "0.00847000",
        "origQuoteOrderQty": "0.000000", "cummulativeQuoteQty": "198.33521500", "status": "FILLED",
        "timeInForce": "GTC", "type": "LIMIT", "side": "SELL", "workingTime": 1660801715793,
        "fills": [{"price": "23416.50000000", "qty": "0.00847000", "commission": "0.000000",
                   "commissionAsset": "BNB", "tradeId": 1650422482}],
        "selfTradePreventionMode": "NONE"
    },
    "rateLimits": [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50, "count": 1},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160000, "count": 2},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 3}
    ]
}"#;

#[test]
fn a_result_reads_as_the_answer_of_rest() {
    let answer = read(PLACED);
    assert_eq!((answer.id, answer.status), (56, 200));
    let whole: Value = serde_json::from_str(PLACED).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), whole["result"]);
    let used = |name| header(&answer, name);
    assert_eq!(used("x-mbx-order-count-10s"), Some("1"));
    assert_eq!(used("x-mbx-order-count-1d"), Some("2"));
    assert_eq!(used("x-mbx-used-weight-1m"), Some("3"));
    let told = events(decoded("place", std::str::from_utf8(&answer.body).unwrap()));
    assert_eq!(told.as_array().unwrap().len(), 2, "{told}");
}

// D/websocket-api/rate-limits and D/websocket-api/general-api-information.
#[test]
fn a_refusal_reads_as_that_of_rest() {
    let answer = read(
        r#"{"id":"7","status":400,"error":{"code":-2010,"msg":"Account has insufficient balance for requested action."}}"#,
    );
    assert_eq!((answer.id, answer.status, answer.headers.len()), (7, 400, 0));
    let error = classify::<SpotBinance>("place", answer.status, &answer.body);
    assert_eq!((error.cause, error.effect), (Cause::InsufficientBalance, Effect::Rejected));

    let banned = read(
        r#"{"id":1,"status":418,"error":{"code":-1003,"msg":"Way too much request weight used; IP banned until 1659146400000. Please use WebSocket Streams for live updates to avoid bans.","data":{"serverTime":1659142907531,"retryAfter":1659146400000}},"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":2411}]}"#,
    );
    assert_eq!(header(&banned, "retry-after"), Some("3493"));
    assert_eq!(header(&banned, "x-mbx-used-weight-1m"), Some("2411"));
    let error = classify::<SpotBinance>("place", banned.status, &banned.body);
    assert_eq!((error.cause, error.effect), (Cause::Banned, Effect::Rejected));

    // What the venue cannot vouch for may have happened, error or not.
    for text in [
        r#"{"id":1,"status":500,"error":{"code":-1000,"msg":"An unknown error occurred while processing the request."}}"#,
        r#"{"id":1,"status":400,"error":{"code":-1007,"msg":"Timeout waiting for response from backend server."}}"#,
        r#"{"id":1,"status":503}"#,
    ] {
        let answer = read(text);
        let error = classify::<SpotBinance>("place", answer.status, &answer.body);
        assert_eq!(error.effect, Effect::Unknown, "{text}");
    }
}

#[test]
fn other_frames_answer_nothing() {
    for text in [
        r#"{"event":{"e":"serverShutdown","E":1770123456789}}"#,
        r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}"#,
        r#"{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}}"#,
        r#"{"result":null,"id":1}"#,
        "{}",
    ] {
        assert_eq!((CALLS.answer)(text.as_bytes()), Ok(None), "{text}");
    }
    for text in ["", "<html>", r#"{"id":1,"status":200,"result":{"#, "\u{feff}{}"] {
        assert!((CALLS.answer)(text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the parameters hold, the frame is JSON with just these values, and nothing that comes makes the reader panic.
    #[test]
    fn any_text_is_written_as_itself(symbol in "\\PC{0,12}", odd in ".{0,12}", cut in 0_usize..800, at in 0_usize..800) {
        let frame = written("place", place(&[("symbol", &symbol), ("newClientOrderId", &odd)]), 3, 5);
        prop_assert_eq!(&frame["params"]["symbol"], &json!(symbol));
        prop_assert_eq!(&frame["params"]["newClientOrderId"], &json!(odd));
        let mut bytes = PLACED.as_bytes().to_vec();
        bytes.truncate(cut.max(1));
        let at = at % bytes.len();
        bytes[at] = b'~';
        let _ = (CALLS.answer)(&bytes);
    }
}
