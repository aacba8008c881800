//! The venue's structures under its own names.
//!
//! The same structures are written by the venue's side, so a field is named once. Texts are borrowed from the payload.

use connector_core::Decimal;
use serde::{Deserialize, Serialize};

/// A number the venue writes as text, with eight decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Num(
    #[serde(
        serialize_with = "connector_core::number::serialize_places::<8, _>",
        deserialize_with = "connector_core::number::deserialize_text"
    )]
    pub(crate) Decimal,
);

/// One of the `rateLimits` in an answer of the WebSocket API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateLimit<'a> {
    pub(crate) rate_limit_type: &'a str,
    pub(crate) interval: &'a str,
    pub(crate) interval_num: u32,
    pub(crate) count: Option<u32>,
}

/// The error of an answer that tells for how long to wait.
#[derive(Debug, Deserialize)]
pub(crate) struct LimitError {
    pub(crate) data: LimitData,
}

/// Two points in time, milliseconds since the Unix epoch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitData {
    pub(crate) server_time: i64,
    pub(crate) retry_after: i64,
}

/// One entry of `GET /api/v3/exchangeInfo`; only what is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymbolInfo<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) status: &'a str,
    pub(crate) base_asset: &'a str,
    pub(crate) quote_asset: &'a str,
    #[serde(default = "yes")]
    pub(crate) is_spot_trading_allowed: bool,
    #[serde(borrow, default)]
    pub(crate) permissions: Vec<&'a str>,
    #[serde(borrow, default)]
    pub(crate) permission_sets: Vec<Vec<&'a str>>,
    #[serde(borrow)]
    pub(crate) filters: Vec<crate::family::Filter<'a>>,
}

const fn yes() -> bool {
    true
}

/// One entry of `balances` in `GET /api/v3/account`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Balance<'a> {
    pub(crate) asset: &'a str,
    pub(crate) free: Num,
    pub(crate) locked: Num,
}

/// An order in any answer: placed, cancelled or queried. Which fields occur depends on which. Read as
/// [`OrderAnswer`](crate::family::OrderAnswer).
#[cfg(feature = "venue")]
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order<'a> {
    pub(crate) symbol: &'a str,
    /// Only where an order was cancelled: the order's id. `client_order_id` is then the cancel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_client_order_id: Option<&'a str>,
    pub(crate) order_id: i64,
    pub(crate) order_list_id: i64,
    pub(crate) client_order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transact_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executed_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_quote_order_qty: Option<Num>,
    /// Spelled so by the venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cummulative_quote_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_in_force: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) order_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) side: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_price: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iceberg_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_working: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) self_trade_prevention_mode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fills: Option<Vec<OrderFill<'a>>>,
}

/// One entry of `fills` in the full answer to a new order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderFill<'a> {
    pub(crate) price: Num,
    pub(crate) qty: Num,
    pub(crate) commission: Num,
    pub(crate) commission_asset: &'a str,
    pub(crate) trade_id: i64,
}

/// One entry of `GET /api/v3/myTrades`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MyTrade<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) id: i64,
    pub(crate) order_id: i64,
    #[serde(default)]
    pub(crate) order_list_id: i64,
    pub(crate) price: Num,
    pub(crate) qty: Num,
    #[serde(default)]
    pub(crate) quote_qty: Num,
    pub(crate) commission: Num,
    pub(crate) commission_asset: &'a str,
    pub(crate) time: i64,
    pub(crate) is_buyer: bool,
    pub(crate) is_maker: bool,
    #[serde(default = "yes")]
    pub(crate) is_best_match: bool,
}

/// One block of rates in `GET /api/v3/account/commission`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rates {
    pub(crate) maker: Num,
    pub(crate) taker: Num,
    pub(crate) buyer: Num,
    pub(crate) seller: Num,
}

/// `GET /api/v3/account/commission`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commission<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) standard_commission: Rates,
    #[serde(default)]
    pub(crate) special_commission: Rates,
    #[serde(default)]
    pub(crate) tax_commission: Rates,
}

/// `executionReport`, the fields that always occur and `eR`. Field names are the venue's letters.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecutionReport<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    /// The order's id, or the cancel's where the order was cancelled.
    #[serde(rename = "c")]
    pub(crate) client_order_id: &'a str,
    #[serde(rename = "S")]
    pub(crate) side: &'a str,
    #[serde(rename = "o")]
    pub(crate) order_type: &'a str,
    #[serde(rename = "f", default)]
    pub(crate) time_in_force: &'a str,
    #[serde(rename = "q")]
    pub(crate) quantity: Num,
    #[serde(rename = "p")]
    pub(crate) price: Num,
    #[serde(rename = "P", default)]
    pub(crate) stop_price: Num,
    #[serde(rename = "F", default)]
    pub(crate) iceberg_quantity: Num,
    #[serde(rename = "g", default)]
    pub(crate) order_list_id: i64,
    /// The order's id where the order was cancelled, otherwise empty.
    #[serde(rename = "C", default)]
    pub(crate) orig_client_order_id: &'a str,
    #[serde(rename = "x")]
    pub(crate) execution_type: &'a str,
    #[serde(rename = "X")]
    pub(crate) status: &'a str,
    #[serde(rename = "r", default)]
    pub(crate) reject_reason: &'a str,
    #[serde(rename = "i")]
    pub(crate) order_id: i64,
    #[serde(rename = "l")]
    pub(crate) last_quantity: Num,
    #[serde(rename = "z")]
    pub(crate) filled_quantity: Num,
    #[serde(rename = "L")]
    pub(crate) last_price: Num,
    #[serde(rename = "n", default)]
    pub(crate) commission: Option<Num>,
    #[serde(rename = "N", default)]
    pub(crate) commission_asset: Option<&'a str>,
    #[serde(rename = "T")]
    pub(crate) transact_time: i64,
    #[serde(rename = "t")]
    pub(crate) trade_id: i64,
    #[serde(rename = "I", default)]
    pub(crate) execution_id: i64,
    #[serde(rename = "w", default)]
    pub(crate) on_book: bool,
    #[serde(rename = "m")]
    pub(crate) maker: bool,
    /// Documented as to be ignored.
    #[serde(rename = "M", default)]
    pub(crate) ignore: bool,
    #[serde(rename = "O", default)]
    pub(crate) created: i64,
    #[serde(rename = "Z", default)]
    pub(crate) filled_quote: Num,
    #[serde(rename = "Y", default)]
    pub(crate) last_quote: Num,
    #[serde(rename = "Q", default)]
    pub(crate) quote_quantity: Num,
    #[serde(rename = "W", default, skip_serializing_if = "Option::is_none")]
    pub(crate) working_time: Option<i64>,
    #[serde(rename = "V", default)]
    pub(crate) stp_mode: &'a str,
    #[serde(rename = "eR", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_reason: Option<&'a str>,
}

/// `outboundAccountPosition`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountPosition<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "u")]
    pub(crate) update_time: i64,
    #[serde(rename = "B", borrow)]
    pub(crate) balances: Vec<PositionEntry<'a>>,
}

/// One asset of [`AccountPosition`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PositionEntry<'a> {
    #[serde(rename = "a")]
    pub(crate) asset: &'a str,
    #[serde(rename = "f")]
    pub(crate) free: Num,
    #[serde(rename = "l")]
    pub(crate) locked: Num,
}
