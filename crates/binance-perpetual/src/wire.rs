//! The venue's structures under its own names.
//!
//! The same structures are written by the venue's side, so a field is named once. Texts are borrowed from the payload. What the
//! venue has added in the course of time may be missing.

use connector_core::Decimal;
use serde::{Deserialize, Serialize};
use spot_binance::family::Filter;

/// A number the venue writes as text, with as many decimals as it happens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Num(
    #[serde(
        deserialize_with = "connector_core::number::deserialize_text",
        serialize_with = "connector_core::number::serialize_plain"
    )]
    pub(crate) Decimal,
);

/// One entry of `GET /fapi/v1/exchangeInfo`; only what is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymbolInfo<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) contract_type: &'a str,
    pub(crate) status: &'a str,
    pub(crate) base_asset: &'a str,
    pub(crate) quote_asset: &'a str,
    pub(crate) margin_asset: &'a str,
    #[serde(borrow)]
    pub(crate) filters: Vec<Filter<'a>>,
}

/// One entry of `GET /fapi/v3/balance`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Balance<'a> {
    #[serde(default)]
    pub(crate) account_alias: &'a str,
    pub(crate) asset: &'a str,
    /// Everything in the wallet, without profit that is not realised.
    pub(crate) balance: Num,
    #[serde(default)]
    pub(crate) cross_wallet_balance: Num,
    #[serde(default)]
    pub(crate) cross_un_pnl: Num,
    pub(crate) available_balance: Num,
    #[serde(default)]
    pub(crate) max_withdraw_amount: Num,
    #[serde(default)]
    pub(crate) margin_available: bool,
    #[serde(default)]
    pub(crate) update_time: i64,
}

/// One entry of `GET /fapi/v3/positionRisk`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PositionRisk<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) position_side: &'a str,
    /// Negative = short.
    pub(crate) position_amt: Num,
    pub(crate) entry_price: Num,
    #[serde(default)]
    pub(crate) break_even_price: Num,
    pub(crate) mark_price: Num,
    /// Spelled so by the venue.
    #[serde(rename = "unRealizedProfit")]
    pub(crate) unrealized_profit: Num,
    #[serde(default)]
    pub(crate) liquidation_price: Num,
    #[serde(default)]
    pub(crate) isolated_margin: Num,
    #[serde(default)]
    pub(crate) notional: Num,
    #[serde(default)]
    pub(crate) margin_asset: &'a str,
    #[serde(default)]
    pub(crate) isolated_wallet: Num,
    #[serde(default)]
    pub(crate) initial_margin: Num,
    #[serde(default)]
    pub(crate) maint_margin: Num,
    #[serde(default)]
    pub(crate) position_initial_margin: Num,
    #[serde(default)]
    pub(crate) open_order_initial_margin: Num,
    #[serde(default)]
    pub(crate) adl: i64,
    #[serde(default)]
    pub(crate) bid_notional: Num,
    #[serde(default)]
    pub(crate) ask_notional: Num,
    #[serde(default)]
    pub(crate) update_time: i64,
}

/// One entry of `GET /fapi/v1/userTrades`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserTrade<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) id: i64,
    pub(crate) order_id: i64,
    pub(crate) side: &'a str,
    pub(crate) price: Num,
    pub(crate) qty: Num,
    #[serde(default)]
    pub(crate) realized_pnl: Num,
    #[serde(default)]
    pub(crate) quote_qty: Num,
    /// Positive = paid.
    pub(crate) commission: Num,
    pub(crate) commission_asset: &'a str,
    pub(crate) time: i64,
    pub(crate) position_side: &'a str,
    #[serde(default)]
    pub(crate) buyer: bool,
    pub(crate) maker: bool,
}

/// One entry of `GET /fapi/v1/symbolConfig`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymbolConfig<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) margin_type: &'a str,
    pub(crate) leverage: u32,
    #[serde(default)]
    pub(crate) max_notional_value: Num,
}

/// `POST /fapi/v1/leverage`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeverageSet<'a> {
    pub(crate) leverage: u32,
    #[serde(default)]
    pub(crate) max_notional_value: Num,
    pub(crate) symbol: &'a str,
}

/// One entry of `GET /fapi/v1/premiumIndex`. Contracts that are delivered have no funding: texts are empty there, times zero.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PremiumIndex<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) mark_price: Num,
    pub(crate) index_price: Num,
    #[serde(default)]
    pub(crate) estimated_settle_price: Num,
    /// The rate of the next funding, whatever its name.
    pub(crate) last_funding_rate: &'a str,
    #[serde(default)]
    pub(crate) interest_rate: &'a str,
    pub(crate) next_funding_time: i64,
    pub(crate) time: i64,
}

/// One entry of `GET /fapi/v1/income`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Income<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) income_type: &'a str,
    /// Negative = paid.
    pub(crate) income: Num,
    pub(crate) asset: &'a str,
    #[serde(default)]
    pub(crate) info: &'a str,
    pub(crate) time: i64,
    pub(crate) tran_id: i64,
    #[serde(default)]
    pub(crate) trade_id: &'a str,
}

/// `GET /fapi/v1/commissionRate`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommissionRate<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) maker_commission_rate: Num,
    pub(crate) taker_commission_rate: Num,
}

/// `ORDER_TRADE_UPDATE`. Field names are the venue's letters.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OrderTradeUpdate<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "T")]
    pub(crate) transact_time: i64,
    #[serde(borrow)]
    pub(crate) o: OrderUpdate<'a>,
}

/// The order in [`OrderTradeUpdate`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct OrderUpdate<'a> {
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    #[serde(rename = "S")]
    pub(crate) side: &'a str,
    #[serde(rename = "o")]
    pub(crate) order_type: &'a str,
    #[serde(rename = "c")]
    pub(crate) client_order_id: &'a str,
    #[serde(rename = "f")]
    pub(crate) time_in_force: &'a str,
    #[serde(rename = "q")]
    pub(crate) quantity: Num,
    #[serde(rename = "p")]
    pub(crate) price: Num,
    #[serde(rename = "ap", default)]
    pub(crate) average_price: Num,
    #[serde(rename = "sp", default)]
    pub(crate) stop_price: Num,
    #[serde(rename = "x")]
    pub(crate) execution_type: &'a str,
    #[serde(rename = "X")]
    pub(crate) status: &'a str,
    #[serde(rename = "z")]
    pub(crate) filled_quantity: Num,
    #[serde(rename = "l")]
    pub(crate) last_quantity: Num,
    #[serde(rename = "L")]
    pub(crate) last_price: Num,
    #[serde(rename = "i")]
    pub(crate) order_id: i64,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(crate) commission: Option<Num>,
    #[serde(rename = "N", default, skip_serializing_if = "Option::is_none")]
    pub(crate) commission_asset: Option<&'a str>,
    #[serde(rename = "T")]
    pub(crate) trade_time: i64,
    /// Zero if this tells of no trade.
    #[serde(rename = "t")]
    pub(crate) trade_id: i64,
    #[serde(rename = "b", default)]
    pub(crate) bids_notional: Num,
    #[serde(rename = "a", default)]
    pub(crate) asks_notional: Num,
    #[serde(rename = "m")]
    pub(crate) maker: bool,
    #[serde(rename = "R", default)]
    pub(crate) reduce_only: bool,
    #[serde(rename = "wt", default)]
    pub(crate) working_type: &'a str,
    #[serde(rename = "ot", default)]
    pub(crate) original_type: &'a str,
    #[serde(rename = "ps")]
    pub(crate) position_side: &'a str,
    #[serde(rename = "cp", default)]
    pub(crate) close_position: bool,
    #[serde(rename = "rp", default)]
    pub(crate) realized_profit: Num,
    #[serde(rename = "pP", default)]
    pub(crate) price_protect: bool,
    /// Documented as to be ignored, like the next.
    #[serde(default)]
    pub(crate) si: i64,
    #[serde(default)]
    pub(crate) ss: i64,
    #[serde(rename = "V", default)]
    pub(crate) stp_mode: &'a str,
    #[serde(rename = "pm", default)]
    pub(crate) price_match: &'a str,
    #[serde(rename = "gtd", default)]
    pub(crate) good_till: i64,
    #[serde(rename = "er", default, skip_serializing_if = "str::is_empty")]
    pub(crate) expiry_reason: &'a str,
}

/// `ACCOUNT_UPDATE`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountUpdate<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "T")]
    pub(crate) transact_time: i64,
    #[serde(borrow)]
    pub(crate) a: AccountChange<'a>,
}

/// What changed in [`AccountUpdate`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountChange<'a> {
    #[serde(rename = "m")]
    pub(crate) reason: &'a str,
    /// The symbol of a funding fee, since 2026-08-11.
    #[serde(rename = "S", default, skip_serializing_if = "Option::is_none")]
    pub(crate) symbol: Option<&'a str>,
    #[serde(rename = "B", borrow, default)]
    pub(crate) balances: Vec<BalanceChange<'a>>,
    #[serde(rename = "P", borrow, default)]
    pub(crate) positions: Vec<PositionChange<'a>>,
}

/// One asset of [`AccountChange`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BalanceChange<'a> {
    #[serde(rename = "a")]
    pub(crate) asset: &'a str,
    #[serde(rename = "wb")]
    pub(crate) wallet_balance: Num,
    #[serde(rename = "cw", default)]
    pub(crate) cross_wallet_balance: Num,
    /// Without realised profit and commission.
    #[serde(rename = "bc", default)]
    pub(crate) change: Num,
}

/// One position of [`AccountChange`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PositionChange<'a> {
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    /// Negative = short.
    #[serde(rename = "pa")]
    pub(crate) amount: Num,
    #[serde(rename = "ep")]
    pub(crate) entry_price: Num,
    #[serde(rename = "bep", default)]
    pub(crate) break_even_price: Num,
    #[serde(rename = "cr", default)]
    pub(crate) realized: Num,
    #[serde(rename = "up")]
    pub(crate) unrealized: Num,
    #[serde(rename = "mt")]
    pub(crate) margin_type: &'a str,
    #[serde(rename = "iw", default)]
    pub(crate) isolated_wallet: Num,
    #[serde(rename = "ps")]
    pub(crate) position_side: &'a str,
    #[serde(rename = "ma", default)]
    pub(crate) margin_asset: &'a str,
}

/// `MARGIN_CALL`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MarginCallEvent<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    /// Only for positions with cross margin.
    #[serde(rename = "cw", default, skip_serializing_if = "Option::is_none")]
    pub(crate) cross_wallet_balance: Option<Num>,
    #[serde(rename = "p", borrow)]
    pub(crate) positions: Vec<CalledPosition<'a>>,
}

/// One position of [`MarginCallEvent`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CalledPosition<'a> {
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    #[serde(rename = "ps")]
    pub(crate) position_side: &'a str,
    #[serde(rename = "pa")]
    pub(crate) amount: Num,
    #[serde(rename = "mt", default)]
    pub(crate) margin_type: &'a str,
    #[serde(rename = "iw", default)]
    pub(crate) isolated_wallet: Num,
    #[serde(rename = "mp")]
    pub(crate) mark_price: Num,
    #[serde(rename = "up", default)]
    pub(crate) unrealized: Num,
    #[serde(rename = "mm")]
    pub(crate) maintenance_margin: Num,
}

/// `ac` of `ACCOUNT_CONFIG_UPDATE`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeverageChange<'a> {
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    #[serde(rename = "l")]
    pub(crate) leverage: u32,
}

/// An order in an answer, without what only orders with a trigger have. Read as [`OrderAnswer`](spot_binance::family::OrderAnswer).
#[cfg(feature = "venue")]
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order<'a> {
    pub(crate) order_id: i64,
    pub(crate) symbol: &'a str,
    pub(crate) status: &'a str,
    pub(crate) client_order_id: &'a str,
    pub(crate) price: Num,
    /// Not in answers to placements and cancels since 2026-06-30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avg_price: Option<Num>,
    pub(crate) orig_qty: Num,
    pub(crate) executed_qty: Num,
    /// Only in answers to placements and cancels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cum_qty: Option<Num>,
    /// Not in answers to placements and cancels since 2026-06-30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cum_quote: Option<Num>,
    pub(crate) time_in_force: &'a str,
    #[serde(rename = "type")]
    pub(crate) order_type: &'a str,
    pub(crate) reduce_only: bool,
    pub(crate) close_position: bool,
    pub(crate) side: &'a str,
    pub(crate) position_side: &'a str,
    pub(crate) stop_price: Num,
    pub(crate) working_type: &'a str,
    pub(crate) price_protect: bool,
    pub(crate) orig_type: &'a str,
    pub(crate) price_match: &'a str,
    pub(crate) self_trade_prevention_mode: &'a str,
    pub(crate) good_till_date: i64,
    /// Only in answers to queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<i64>,
    pub(crate) update_time: i64,
}
