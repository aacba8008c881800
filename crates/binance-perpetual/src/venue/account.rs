//! What an account has: D/account/rest-api, D/trade/rest-api/Position-Information-V3.

use std::collections::BTreeSet;

use connector_core::position::{PositionMode, PositionSide};
use connector_core::{Asset, Decimal};
use connector_venue::exchange::Exchange;
use connector_venue::orders::AccountId;
use connector_venue::perpetual::{
    Bracket, ContractSetup, Income, IncomeKind, MarginMode, MarginView, MarketSettings, PositionView,
};
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Number, Value, json};
use spot_binance::venue::answer::Refused;
use spot_binance::venue::params::Params;

use super::market::{money, plain, with};
use super::orders::position_side_word;
use crate::wire::Num;

/// The asset that totals are told in.
const TOTALS: &str = "USDT";

/// The margin of every asset the account has, and of every asset contracts are margined in.
fn margins(account: AccountId, exchange: &Exchange) -> Vec<MarginView> {
    let held = exchange.balances(account).into_iter().map(|(asset, _)| asset);
    let assets: BTreeSet<Asset> = exchange.collaterals().into_iter().chain(held).collect();
    assets.iter().map(|asset| exchange.margin(account, asset)).collect()
}

/// `balance`.
pub(super) fn balances(account: AccountId, exchange: &Exchange) -> Value {
    let rows = margins(account, exchange).into_iter().map(|view| {
        json!({
            "accountAlias": "SgsR", "asset": view.asset, "balance": Num(view.wallet),
            "crossWalletBalance": Num(view.cross_wallet), "crossUnPnl": money(view.cross_unrealised),
            "availableBalance": Num(view.available), "maxWithdrawAmount": Num(view.withdrawable),
            "marginAvailable": true, "updateTime": view.updated.millis(),
        })
    });
    rows.collect()
}

fn asset(view: &MarginView) -> Value {
    json!({
        "asset": view.asset, "walletBalance": Num(view.wallet), "unrealizedProfit": money(view.unrealised),
        "marginBalance": Num(view.margin_balance), "maintMargin": money(view.maintenance_margin),
        "initialMargin": money(view.position_margin + view.order_margin),
        "positionInitialMargin": money(view.position_margin), "openOrderInitialMargin": money(view.order_margin),
        "crossWalletBalance": Num(view.cross_wallet), "crossUnPnl": money(view.cross_unrealised),
        "availableBalance": Num(view.available), "maxWithdrawAmount": Num(view.withdrawable),
        "updateTime": view.updated.millis(),
    })
}

/// What `account` begins with: sums over the account, told in one asset.
fn totals(account: AccountId, exchange: &Exchange) -> Value {
    let total = exchange.margin(account, &Asset::new(TOTALS));
    json!({
        "totalInitialMargin": money(total.position_margin + total.order_margin),
        "totalMaintMargin": money(total.maintenance_margin), "totalWalletBalance": Num(total.wallet),
        "totalUnrealizedProfit": money(total.unrealised), "totalMarginBalance": Num(total.margin_balance),
        "totalPositionInitialMargin": money(total.position_margin),
        "totalOpenOrderInitialMargin": money(total.order_margin),
        "totalCrossWalletBalance": Num(total.cross_wallet), "totalCrossUnPnl": money(total.cross_unrealised),
        "availableBalance": Num(total.available), "maxWithdrawAmount": Num(total.withdrawable),
    })
}

fn isolated_margin(view: &PositionView) -> Decimal {
    if view.margin_mode == MarginMode::Isolated {
        view.isolated_wallet + view.unrealised
    } else {
        Decimal::ZERO
    }
}

/// `account` in version 3: only positions that are not flat, or have open orders.
pub(super) fn account(account: AccountId, exchange: &Exchange) -> Value {
    let assets: Vec<Value> = margins(account, exchange).iter().map(asset).collect();
    let engaged = exchange.positions(account, None).into_iter().filter(is_engaged);
    let positions: Vec<Value> = engaged
        .map(|view| {
            json!({
                "symbol": view.symbol, "positionSide": position_side_word(view.side),
                "positionAmt": plain(view.amount), "unrealizedProfit": money(view.unrealised),
                "isolatedMargin": money(isolated_margin(&view)), "notional": money(view.notional),
                "isolatedWallet": money(view.isolated_wallet),
                "initialMargin": money(view.initial_margin + view.order_margin),
                "maintMargin": money(view.maintenance_margin), "updateTime": view.updated.millis(),
            })
        })
        .collect();
    with(totals(account, exchange), json!({ "assets": assets, "positions": positions }))
}

/// `account` in version 2: every symbol, and the account's configuration.
pub(super) fn account_v2(account: AccountId, exchange: &Exchange) -> Value {
    let available = |view: &MarginView| with(asset(view), json!({ "marginAvailable": true }));
    let assets: Vec<Value> = margins(account, exchange).iter().map(available).collect();
    let views = exchange.positions(account, None).into_iter();
    let positions: Vec<Value> = views
        .map(|view| {
            json!({
                "symbol": view.symbol, "initialMargin": money(view.initial_margin + view.order_margin),
                "maintMargin": money(view.maintenance_margin), "unrealizedProfit": money(view.unrealised),
                "positionInitialMargin": money(view.initial_margin),
                "openOrderInitialMargin": money(view.order_margin), "leverage": plain(view.leverage),
                "isolated": view.margin_mode == MarginMode::Isolated, "entryPrice": plain(view.entry_price),
                "breakEvenPrice": plain(view.break_even),
                "maxNotional": max_notional(exchange, &view.symbol, view.leverage),
                "bidNotional": money(view.bid_notional), "askNotional": money(view.ask_notional),
                "positionSide": position_side_word(view.side), "positionAmt": plain(view.amount),
                "notional": money(view.notional), "isolatedWallet": money(view.isolated_wallet),
                "updateTime": view.updated.millis(),
            })
        })
        .collect();
    let told = with(configuration(account, exchange), totals(account, exchange));
    with(told, json!({ "feeBurn": false, "assets": assets, "positions": positions }))
}

/// `accountConfig`.
pub(super) fn configuration(account: AccountId, exchange: &Exchange) -> Value {
    let may_trade = exchange.keys().iter().any(|key| key.account == account && key.may_trade);
    json!({
        "feeTier": 0, "canTrade": may_trade, "canDeposit": true, "canWithdraw": true,
        "dualSidePosition": exchange.position_mode(account) == PositionMode::Hedge, "updateTime": 0,
        "multiAssetsMargin": exchange.multi_assets(account), "tradeGroupId": -1,
    })
}

/// Whether a position is told where only those are that matter.
fn is_engaged(view: &PositionView) -> bool {
    !view.amount.is_zero() || !view.bid_notional.is_zero() || !view.ask_notional.is_zero()
}

/// `positionRisk` in version 3.
pub(super) fn positions(account: AccountId, symbol: Option<&str>, exchange: &Exchange) -> Value {
    let views = exchange.positions(account, symbol).into_iter().filter(is_engaged);
    views
        .map(|view| {
            with(
                risk(&view),
                json!({
                    "marginAsset": view.collateral,
                    "initialMargin": money(view.initial_margin + view.order_margin),
                    "maintMargin": money(view.maintenance_margin),
                    "positionInitialMargin": money(view.initial_margin),
                    "openOrderInitialMargin": money(view.order_margin), "adl": view.deleverage_rank,
                    "bidNotional": money(view.bid_notional), "askNotional": money(view.ask_notional),
                }),
            )
        })
        .collect()
}

/// What both versions of `positionRisk` tell.
fn risk(view: &PositionView) -> Value {
    json!({
        "symbol": view.symbol, "positionSide": position_side_word(view.side),
        "positionAmt": plain(view.amount), "entryPrice": plain(view.entry_price),
        "breakEvenPrice": plain(view.break_even), "markPrice": money(view.mark_price),
        "unRealizedProfit": money(view.unrealised),
        "liquidationPrice": view.liquidation_price.map_or_else(|| "0".to_owned(), |price| format!("{price:.8}")),
        "isolatedMargin": money(isolated_margin(view)), "notional": money(view.notional),
        "isolatedWallet": money(view.isolated_wallet), "updateTime": view.updated.millis(),
    })
}

/// `positionRisk` in version 2: every symbol; in hedge mode with the net position, which is flat then.
pub(super) fn positions_v2(account: AccountId, symbol: Option<&str>, exchange: &Exchange) -> Value {
    let mut views = exchange.positions(account, symbol);
    if exchange.position_mode(account) == PositionMode::Hedge {
        let nets: Vec<PositionView> = views
            .iter()
            .filter(|view| view.side == PositionSide::Long)
            .filter_map(|view| exchange.position(account, &view.symbol, PositionSide::Both))
            .collect();
        views.extend(nets);
        views.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    }
    let rows = views.iter().map(|view| {
        let isolated = view.margin_mode == MarginMode::Isolated;
        with(
            risk(view),
            json!({
                "marginType": if isolated { "isolated" } else { "cross" }, "isAutoAddMargin": "false",
                "leverage": plain(view.leverage),
                "maxNotionalValue": max_notional(exchange, &view.symbol, view.leverage),
            }),
        )
    });
    rows.collect()
}

/// The largest notional a position may have at this leverage, as text.
pub(super) fn max_notional(exchange: &Exchange, symbol: &str, leverage: Decimal) -> String {
    let contract = exchange.market(symbol).and_then(|market| market.contract.as_ref());
    plain(contract.map(|contract| contract.largest_notional(leverage)).unwrap_or_default())
}

/// A leverage as the venue writes it where it is a number.
pub(super) fn whole(leverage: Decimal) -> i64 {
    leverage.to_i64().unwrap_or_default()
}

/// One entry of `symbolConfig`.
pub(super) fn settings(exchange: &Exchange, symbol: &str, settings: MarketSettings) -> Value {
    let isolated = settings.margin_mode == MarginMode::Isolated;
    json!({
        "symbol": symbol, "marginType": if isolated { "ISOLATED" } else { "CROSSED" },
        "isAutoAddMargin": false, "leverage": whole(settings.leverage),
        "maxNotionalValue": max_notional(exchange, symbol, settings.leverage),
    })
}

/// One entry of `leverageBracket`; its numbers are numbers.
pub(super) fn brackets(symbol: &str, contract: &ContractSetup) -> Value {
    let number = |value: Decimal| plain(value).parse::<Number>().map_or(Value::Null, Value::Number);
    let bracket = |(place, bracket): (usize, &Bracket)| {
        json!({
            "bracket": place + 1, "initialLeverage": whole(bracket.max_leverage),
            "notionalCap": number(bracket.cap), "notionalFloor": number(bracket.floor),
            "maintMarginRatio": number(bracket.maintenance_ratio), "cum": number(bracket.maintenance_amount),
        })
    };
    let brackets: Vec<Value> = contract.brackets.iter().enumerate().map(bracket).collect();
    json!({ "symbol": symbol, "brackets": brackets })
}

/// One entry of `adlQuantile`, if the account has a position there.
pub(super) fn deleverage_ranks(account: AccountId, symbol: &str, exchange: &Exchange) -> Option<Value> {
    let views = exchange.positions(account, Some(symbol));
    if views.iter().all(|view| view.amount.is_zero()) {
        return None;
    }
    let rank = |side| views.iter().find(|view| view.side == side).map_or(0, |view| view.deleverage_rank);
    let crossed = views.iter().all(|view| view.margin_mode == MarginMode::Cross);
    let net = rank(PositionSide::Both);
    let mut ranks = json!({ "LONG": rank(PositionSide::Long), "SHORT": rank(PositionSide::Short) });
    if crossed && exchange.position_mode(account) == PositionMode::Hedge {
        ranks = with(ranks, json!({ "HEDGE": 0 }));
    } else {
        ranks = with(ranks, json!({ "BOTH": net }));
    }
    Some(json!({ "symbol": symbol, "adlQuantile": ranks }))
}

/// Reads `incomeType`; the inner option is absent for kinds that never happen here.
pub(super) fn income_kind(params: Params<'_>) -> Result<Option<Option<IncomeKind>>, Refused> {
    const OTHERS: [&str; 3] = ["WELCOME_BONUS", "REFERRAL_KICKBACK", "COMMISSION_REBATE"];
    Ok(match params.optional("incomeType")? {
        None => None,
        Some("TRANSFER") => Some(Some(IncomeKind::Transfer)),
        Some("REALIZED_PNL") => Some(Some(IncomeKind::RealisedPnl)),
        Some("COMMISSION") => Some(Some(IncomeKind::Commission)),
        Some("FUNDING_FEE") => Some(Some(IncomeKind::Funding)),
        Some("INSURANCE_CLEAR") => Some(Some(IncomeKind::Insurance)),
        Some(word) if OTHERS.contains(&word) => Some(None),
        Some(_) => return Err(Refused::invalid("incomeType")),
    })
}

/// One entry of `income`.
pub(super) fn income(income: &Income) -> Value {
    let kind = match income.kind {
        IncomeKind::Transfer => "TRANSFER",
        IncomeKind::RealisedPnl => "REALIZED_PNL",
        IncomeKind::Commission => "COMMISSION",
        IncomeKind::Insurance => "INSURANCE_CLEAR",
        _ => "FUNDING_FEE",
    };
    let trade_id = income.trade_id.map(|id| id.to_string()).unwrap_or_default();
    json!({
        "symbol": income.symbol.as_deref().unwrap_or_default(), "incomeType": kind,
        "income": Num(income.amount), "asset": income.asset,
        "info": if trade_id.is_empty() { kind } else { &trade_id }, "time": income.time.millis(),
        "tranId": income.id, "tradeId": trade_id,
    })
}
