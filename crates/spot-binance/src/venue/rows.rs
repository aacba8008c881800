//! Requests that real clients make and the connector does not.

use connector_core::dialect::{Auth, Cost, Method, Repeat, Row};

use crate::family::{either, page, weight};
use crate::spec::RAW;

pub(super) const CANCEL_ALL: &str = "cancel_all";
pub(super) const TEST_ORDER: &str = "test_order";
pub(super) const LISTEN_KEY: &str = "listen_key";

const fn row(
    name: &'static str,
    method: Method,
    path: &'static str,
    auth: Auth,
    costs: &'static [Cost],
) -> Row {
    let source = page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api");
    Row { name, method, path, auth, costs, repeat: Repeat::Safe, source }
}

pub(super) const EXTRA: &[Row] = &[
    row("trades", Method::Get, "/api/v3/trades", Auth::Public, &[weight(25), RAW]),
    row("historical_trades", Method::Get, "/api/v3/historicalTrades", Auth::Public, &[weight(25), RAW]),
    row("agg_trades", Method::Get, "/api/v3/aggTrades", Auth::Public, &[weight(4), RAW]),
    row("ticker_24h", Method::Get, "/api/v3/ticker/24hr", Auth::Public, &[either("symbol", 2, 80), RAW]),
    row(
        "book_ticker",
        Method::Get,
        "/api/v3/ticker/bookTicker",
        Auth::Public,
        &[either("symbol", 2, 4), RAW],
    ),
    row("avg_price", Method::Get, "/api/v3/avgPrice", Auth::Public, &[weight(2), RAW]),
    row(
        TEST_ORDER,
        Method::Post,
        "/api/v3/order/test",
        Auth::Signed,
        &[either("computeCommissionRates", 20, 1), RAW],
    ),
    row(CANCEL_ALL, Method::Delete, "/api/v3/openOrders", Auth::Signed, &[weight(1), RAW]),
    row("all_orders", Method::Get, "/api/v3/allOrders", Auth::Signed, &[weight(20), RAW]),
    row("order_limits", Method::Get, "/api/v3/rateLimit/order", Auth::Signed, &[weight(40), RAW]),
    // Ended on 2026-02-20; clients of that time still ask.
    row(LISTEN_KEY, Method::Post, "/api/v3/userDataStream", Auth::Public, &[]),
    row(LISTEN_KEY, Method::Put, "/api/v3/userDataStream", Auth::Public, &[]),
    row(LISTEN_KEY, Method::Delete, "/api/v3/userDataStream", Auth::Public, &[]),
];
