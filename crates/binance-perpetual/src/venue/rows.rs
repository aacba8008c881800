//! Requests that real clients make and the connector does not.

use connector_core::dialect::{Auth, Cost, Method, Repeat, Row};
use connector_venue::keys::Permission;
use spot_binance::family::{ORDERS_TEN_SECONDS, WEIGHT, either, page, weight};

use crate::spec::ORDERS_MINUTE;

const fn row(
    method: Method,
    name: &'static str,
    path: &'static str,
    auth: Auth,
    costs: &'static [Cost],
) -> Row {
    let source = page("https://developers.binance.com/docs/derivatives/usds-margined-futures");
    Row { name, method, path, auth, costs, repeat: Repeat::Safe, source }
}

const fn public(name: &'static str, path: &'static str, costs: &'static [Cost]) -> Row {
    row(Method::Get, name, path, Auth::Public, costs)
}

const fn private(name: &'static str, method: Method, path: &'static str, costs: &'static [Cost]) -> Row {
    row(method, name, path, Auth::Signed, costs)
}

/// What a placement and a modification cost.
const ORDER: &[Cost] = &[Cost::fixed(ORDERS_TEN_SECONDS, 1), Cost::fixed(ORDERS_MINUTE, 1)];
const KLINES: Cost = Cost::steps(WEIGHT, "limit", 500, &[(99, 1), (499, 2), (1000, 5), (1500, 10)]);

/// Trades of long ago, for which any key will do.
pub(super) const HISTORICAL_TRADES: &str = "historical_trades";

/// The permission a request needs: whoever may look may also listen.
pub(super) fn permission(row: &Row) -> Permission {
    if row.method == Method::Get || row.auth == Auth::Keyed { Permission::Read } else { Permission::Trade }
}

pub(super) const EXTRA: &[Row] = &[
    public("trades", "/fapi/v1/trades", &[weight(5)]),
    row(Method::Get, HISTORICAL_TRADES, "/fapi/v1/historicalTrades", Auth::Keyed, &[weight(200)]),
    public("agg_trades", "/fapi/v1/aggTrades", &[weight(20)]),
    public("klines", "/fapi/v1/klines", &[KLINES]),
    public("klines", "/fapi/v1/continuousKlines", &[KLINES]),
    public("last_price", "/fapi/v1/ticker/price", &[either("symbol", 1, 2)]),
    public("book_ticker", "/fapi/v1/ticker/bookTicker", &[either("symbol", 2, 5)]),
    public("ticker_24h", "/fapi/v1/ticker/24hr", &[either("symbol", 1, 40)]),
    public("funding_rates", "/fapi/v1/fundingRate", &[]),
    public("funding_intervals", "/fapi/v1/fundingInfo", &[]),
    public("open_interest", "/fapi/v1/openInterest", &[weight(1)]),
    private("test_order", Method::Post, "/fapi/v1/order/test", &[weight(1)]),
    private("modify", Method::Put, "/fapi/v1/order", ORDER),
    private("modify_several", Method::Put, "/fapi/v1/batchOrders", crate::batch::COST),
    private("cancel_all", Method::Delete, "/fapi/v1/allOpenOrders", &[weight(1)]),
    private("countdown", Method::Post, "/fapi/v1/countdownCancelAll", &[weight(10)]),
    private("open_order", Method::Get, "/fapi/v1/openOrder", &[weight(1)]),
    private("all_orders", Method::Get, "/fapi/v1/allOrders", &[weight(5)]),
    private("force_orders", Method::Get, "/fapi/v1/forceOrders", &[either("symbol", 20, 50)]),
    private("balances", Method::Get, "/fapi/v2/balance", &[weight(5)]),
    private("account_v2", Method::Get, "/fapi/v2/account", &[weight(5)]),
    private("account", Method::Get, "/fapi/v3/account", &[weight(5)]),
    private("positions_v2", Method::Get, "/fapi/v2/positionRisk", &[weight(5)]),
    private("account_config", Method::Get, "/fapi/v1/accountConfig", &[weight(5)]),
    private("multi_assets", Method::Get, "/fapi/v1/multiAssetsMargin", &[weight(30)]),
    private("set_multi_assets", Method::Post, "/fapi/v1/multiAssetsMargin", &[weight(1)]),
    private("add_margin", Method::Post, "/fapi/v1/positionMargin", &[weight(1)]),
    private("deleverage_ranks", Method::Get, "/fapi/v1/adlQuantile", &[weight(5)]),
    private("order_limits", Method::Get, "/fapi/v1/rateLimit/order", &[weight(1)]),
    private("fee_burn", Method::Get, "/fapi/v1/feeBurn", &[weight(30)]),
    private("set_fee_burn", Method::Post, "/fapi/v1/feeBurn", &[weight(1)]),
    row(Method::Delete, "end_listen_key", "/fapi/v1/listenKey", Auth::Keyed, &[weight(1)]),
];
