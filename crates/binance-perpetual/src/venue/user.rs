//! The account's events: D/user-data-streams.

use std::collections::BTreeMap;

use connector_core::Decimal;
use connector_core::time::UnixNanos;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Outbox, Session};
use connector_venue::news::{News, What};
use connector_venue::orders::{AccountId, Execution, Order, Origin};
use connector_venue::perpetual::{AccountCause, MarginMode, PositionView, WalletChange};
use serde::Serialize;
use serde_json::{Value, json};
use smol_str::SmolStr;
use spot_binance::family::side_word;
use spot_binance::venue::orders::{signed, status, stp_word};
use spot_binance::venue::streams::Carries as _;

use super::account;
use super::market::{money, with};
use super::orders::{average, expiry_reason, position_side_word, time_in_force, told_client_id, type_word};
use super::streams::State;
use crate::wire::{self, Num};

/// Begins to tell the events of the accounts whose listen keys the connection names, and ends those it no longer names. Keys
/// that do not exist stay silent.
pub(super) fn follow(session: &mut Session, exchange: &Exchange) {
    let keys = exchange.listen_keys();
    let owned = |key: &SmolStr| keys.owner(key).map(|account| (key.clone(), account));
    session.accounts = session.subscriptions.iter().filter_map(owned).collect();
}

/// Turns news of an account into events.
pub(super) fn push(session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
    if let News::ListenKeyExpired { time, key, .. } = news {
        if session.accounts.remove(key).is_some() {
            let told = json!({ "e": "listenKeyExpired", "E": time.millis(), "listenKey": key });
            tell(session, key, "listenKeyExpired", &told, out);
        }
        return;
    }
    let Some(account) = account_of(news) else { return };
    let keys: Vec<SmolStr> =
        session.accounts.iter().filter(|(_, known)| **known == account).map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        return;
    }
    for (kind, event) in events(news, exchange) {
        for key in &keys {
            tell(session, key, kind, &event, out);
        }
    }
}

const fn account_of(news: &News) -> Option<AccountId> {
    match news {
        News::Order { account, .. }
        | News::Account { account, .. }
        | News::Leverage { account, .. }
        | News::MultiAssets { account, .. }
        | News::MarginCall { account, .. } => Some(*account),
        _ => None,
    }
}

fn tell(session: &mut Session, key: &SmolStr, kind: &str, event: &Value, out: &mut Outbox) {
    let state = session.state::<State>();
    let wanted = state.filters.get(key);
    if wanted.is_some_and(|wanted| !wanted.iter().any(|name| name == kind)) {
        return;
    }
    let combined = state.streams().combined;
    let text = if combined { json!({ "stream": key, "data": event }).to_string() } else { event.to_string() };
    out.event(kind, text);
}

/// Which events each key is wanted for, as the address says: names after a key are for that key.
pub(super) fn filters(query: &str) -> (Vec<SmolStr>, BTreeMap<SmolStr, Vec<SmolStr>>) {
    let (mut keys, mut filters) = (Vec::new(), BTreeMap::new());
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("listenKey", key)) => keys.push(SmolStr::new(key)),
            Some(("events", names)) => {
                let names: Vec<SmolStr> = names.split('/').map(SmolStr::new).collect();
                if let Some(key) = keys.last() {
                    filters.insert(key.clone(), names);
                }
            }
            _ => {}
        }
    }
    (keys, filters)
}

fn value(event: &impl Serialize) -> Value {
    // Texts and numbers only: this cannot fail.
    serde_json::to_value(event).unwrap_or_default()
}

/// The events that tell of this, in order, each with its name.
fn events(news: &News, exchange: &Exchange) -> Vec<(&'static str, Value)> {
    match news {
        News::Order { time, order, what, .. } => order_events(*time, order, what, exchange),
        News::Account { time, cause, symbol, balances, positions, .. } => {
            let symbol = symbol.as_deref().filter(|_| *cause == AccountCause::Funding);
            vec![("ACCOUNT_UPDATE", account_update(*time, *cause, symbol, balances, positions))]
        }
        News::Leverage { time, symbol, leverage, .. } => {
            let change = json!({ "ac": { "s": symbol, "l": account::whole(*leverage) } });
            vec![("ACCOUNT_CONFIG_UPDATE", configured(*time, change))]
        }
        News::MultiAssets { time, enabled, .. } => {
            vec![("ACCOUNT_CONFIG_UPDATE", configured(*time, json!({ "ai": { "j": enabled } })))]
        }
        News::MarginCall { time, cross_wallet, positions, .. } => {
            let called = wire::MarginCallEvent {
                e: "MARGIN_CALL",
                event_time: time.millis(),
                cross_wallet_balance: cross_wallet.map(Num),
                positions: positions.iter().map(called).collect(),
            };
            vec![("MARGIN_CALL", value(&called))]
        }
        _ => Vec::new(),
    }
}

fn configured(time: UnixNanos, change: Value) -> Value {
    with(change, json!({ "e": "ACCOUNT_CONFIG_UPDATE", "E": time.millis(), "T": time.millis() }))
}

fn called(view: &PositionView) -> wire::CalledPosition<'_> {
    let isolated = view.margin_mode == MarginMode::Isolated;
    wire::CalledPosition {
        symbol: &view.symbol,
        position_side: position_side_word(view.side),
        amount: Num(view.amount),
        margin_type: if isolated { "ISOLATED" } else { "CROSSED" },
        isolated_wallet: money(view.isolated_wallet),
        mark_price: money(view.mark_price),
        unrealized: money(view.unrealised),
        maintenance_margin: money(view.maintenance_margin),
    }
}

fn account_update(
    time: UnixNanos,
    cause: AccountCause,
    symbol: Option<&str>,
    balances: &[WalletChange],
    positions: &[PositionView],
) -> Value {
    let reason = match cause {
        AccountCause::Funding => "FUNDING_FEE",
        AccountCause::Insurance => "INSURANCE_CLEAR",
        AccountCause::Deposit => "DEPOSIT",
        AccountCause::Withdrawal => "WITHDRAW",
        AccountCause::MarginTransfer => "MARGIN_TRANSFER",
        AccountCause::MarginMode => "MARGIN_TYPE_CHANGE",
        _ => "ORDER",
    };
    let balances = balances.iter().map(|change| wire::BalanceChange {
        asset: change.asset.as_str(),
        wallet_balance: Num(change.wallet),
        cross_wallet_balance: Num(change.cross_wallet),
        change: Num(change.change),
    });
    let positions = positions.iter().map(|view| wire::PositionChange {
        symbol: &view.symbol,
        amount: Num(view.amount),
        entry_price: Num(view.entry_price),
        break_even_price: Num(view.break_even),
        realized: money(view.realised),
        unrealized: money(view.unrealised),
        margin_type: if view.margin_mode == MarginMode::Isolated { "isolated" } else { "cross" },
        isolated_wallet: money(view.isolated_wallet),
        position_side: position_side_word(view.side),
        margin_asset: view.collateral.as_str(),
    });
    value(&wire::AccountUpdate {
        e: "ACCOUNT_UPDATE",
        event_time: time.millis(),
        transact_time: time.millis(),
        a: wire::AccountChange {
            reason,
            symbol,
            balances: balances.collect(),
            positions: positions.collect(),
        },
    })
}

fn order_events(
    time: UnixNanos,
    order: &Order,
    what: &What,
    exchange: &Exchange,
) -> Vec<(&'static str, Value)> {
    let (execution_type, execution) = match what {
        What::Trade(execution) if order.origin == Origin::Account => ("TRADE", Some(execution)),
        What::Trade(execution) => ("CALCULATED", Some(execution)),
        What::Cancelled { .. } => ("CANCELED", None),
        What::Expired => ("EXPIRED", None),
        What::Modified | What::Replaced => ("AMENDMENT", None),
        What::New => ("NEW", None),
        // Refused orders leave no trace.
        _ => return Vec::new(),
    };
    let mut told: Vec<(&'static str, Value)> =
        execution.map(|execution| ("TRADE_LITE", trade_lite(time, order, execution))).into_iter().collect();
    told.push(("ORDER_TRADE_UPDATE", order_update(time, order, execution_type, execution, exchange)));
    told
}

fn trade_lite(time: UnixNanos, order: &Order, execution: &Execution) -> Value {
    json!({
        "e": "TRADE_LITE", "E": time.millis(), "T": time.millis(), "s": order.symbol, "q": Num(order.amount),
        "p": Num(order.price.unwrap_or_default()), "m": execution.is_maker, "c": told_client_id(order),
        "S": side_word(order.side), "L": Num(execution.price), "l": Num(execution.amount),
        "t": signed(execution.trade_id), "i": signed(order.id),
    })
}

fn order_update(
    time: UnixNanos,
    order: &Order,
    execution_type: &str,
    execution: Option<&Execution>,
    exchange: &Exchange,
) -> Value {
    let zero = Num(Decimal::ZERO);
    let position = exchange.position(order.account, &order.symbol, order.position_side);
    let notional = |of: fn(&PositionView) -> Decimal| position.as_ref().map_or(zero, |view| Num(of(view)));
    let asset = position.as_ref().map(|view| view.collateral.as_str());
    let kind = type_word(order);
    value(&wire::OrderTradeUpdate {
        e: "ORDER_TRADE_UPDATE",
        event_time: time.millis(),
        transact_time: time.millis(),
        o: wire::OrderUpdate {
            symbol: &order.symbol,
            client_order_id: told_client_id(order),
            side: side_word(order.side),
            order_type: kind,
            time_in_force: time_in_force(order),
            quantity: Num(order.amount),
            price: Num(order.price.unwrap_or_default()),
            average_price: Num(average(order)),
            stop_price: zero,
            execution_type,
            status: status(order),
            order_id: signed(order.id),
            last_quantity: execution.map_or(zero, |execution| Num(execution.amount)),
            filled_quantity: Num(order.filled),
            last_price: execution.map_or(zero, |execution| Num(execution.price)),
            commission: Some(execution.map_or(zero, |execution| Num(execution.commission))),
            commission_asset: execution.map(|execution| execution.commission_asset.as_str()).or(asset),
            trade_time: time.millis(),
            trade_id: execution.map_or(0, |execution| signed(execution.trade_id)),
            bids_notional: notional(|view| view.bid_notional),
            asks_notional: notional(|view| view.ask_notional),
            maker: execution.is_some_and(|execution| execution.is_maker),
            reduce_only: order.reduce_only,
            working_type: "CONTRACT_PRICE",
            original_type: kind,
            position_side: position_side_word(order.position_side),
            close_position: false,
            realized_profit: execution.map_or(zero, |execution| Num(execution.realised_pnl)),
            price_protect: false,
            si: 0,
            ss: 0,
            stp_mode: stp_word(order.self_trade),
            price_match: "NONE",
            good_till: 0,
            expiry_reason: expiry_reason(order),
        },
    })
}
