//! The control interface: faults, ledgers and markets over HTTP+JSON, so that a test in any language can inject and look.
//!
//! All paths stand under [`PREFIX`] of the served venue. Bodies and answers are JSON; numbers with decimals are strings, times
//! nanoseconds since the Unix epoch. An error is `{"error": text}` with status 400, 404 or 405.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | `{"venue", "time_ns", "connections", "news_lost", "imbalance"}` |
//! | `POST /faults` with one fault or an array (see [`faults`](crate::faults)) | `{"ids": [1, …]}`; none is armed if one is wrong |
//! | `GET /faults` | `[{"id", "struck", "rule"}]` |
//! | `DELETE /faults`, `DELETE /faults?id=1` | `{}`; without id, the venue's clock is set right too |
//! | `GET /accounts` | `[{"account", "key", "state", "may_trade"}]`, by key |
//! | `GET /ledger`, `/orders`, `/fills`, `/balances`, each with `?account=1` (the first account if absent) | everything, all orders, all executions, balances of the account |
//! | `GET /limits` | `{"violations", "pools": [{"pool", "limit", "window_ms", "scope", "used": {key: units}}]}` |
//! | `GET /requests?limit=100` | the latest requests, frames and connections, oldest first |
//! | `GET /connections` | `[{"id", "link", "subscriptions", "private"}]` |
//! | `GET /market?symbol=X&limit=50` | `{"market", "depth", "best", "ticker"}`; without symbol, all markets |
//! | `POST /market` with `{"symbol", "status"?: "trading"/"halted"/"delisted", "tick"?, "step"?, "min_notional"?, "min_amount"?, "max_amount"?}` | the market as it is now |
//! | `POST /orders` with `{"account"?, "symbol", "side", "amount", "price"?, "client_id"?, "position_side"?: "long"/"short", "reduce_only"?}` | the placement; without `account`, an order of the rest of the world, which owns what it needs |
//! | `DELETE /orders?account=1&symbol=X` with `&client_id=` or `&id=` | the order as it ended |
//! | `POST /transfer` with `{"account"?, "asset", "amount"}` | the balances |
//! | `POST /advance` | `{"time_ns"}`; lets what is due happen now |
//!
//! Perpetual contracts:
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /positions?account=1&symbol=X` | `{"mode", "multi_assets", "positions", "margins"}` of the account; without symbol, on all contracts |
//! | `GET /incomes?account=1&symbol=X` | every profit, fee, funding payment and transfer of the account |
//! | `GET /contract?symbol=X&limit=100` | `{"contract", "prices", "rates", "open_interest", "insurance_fund"}`, with the latest funding rates |
//! | `POST /contract` with `{"symbol", "mark"?, "index"?, "rate"?, "settle"?: true}` | the contract as it is now; prices and funding rate stay as set until set to `null`, margins are judged at once (which may liquidate), `settle` settles a funding now |
//! | `POST /deleverage` with `{"account"?, "symbol"}` | its positions there, closed as counterparty of a liquidation |
//! | `POST /insurance` with `{"asset", "exhausted"?: true/false, "amount"?}` | `{"asset", "fund"}`; an exhausted fund takes nothing over, so counterparties are deleveraged; `amount` moves money in or out |
//! | `GET /listen-keys` | `[{"account", "key", "expires_ns"}]` |
//! | `POST /listen-keys` with `{"account"?, "refuse"?: true/false, "expire"?: true}` | the same; `refuse` has keep-alives refused, `expire` ends the account's key now |

mod perpetual;

use connector_core::Asset;
use connector_core::Decimal;
use connector_core::dialect::{Method, Scope};
use connector_core::order::Side;
use connector_core::position::PositionSide;
use connector_core::time::Now;
use connector_core::wire::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::faults::FaultRule;
use crate::fields::Fields;
use crate::keys::KeyState;
use crate::ledger::HistoryQuery;
use crate::limits::ScopeKey;
use crate::orders::{AccountId, Amount, Submit, Which};
use crate::setup::MarketStatus;
use crate::venue::Venue;

/// Where the control interface stands on the venue's own port.
pub const PREFIX: &str = "/_venue";

/// Why a control request failed.
struct Wrong(u16, String);

type Outcome = Result<Value, Wrong>;

fn bad(why: impl std::fmt::Display) -> Wrong {
    Wrong(400, why.to_string())
}

/// Answers a request whose path, after [`PREFIX`], is `path`.
#[must_use]
pub fn answer(venue: &mut Venue, now: Now, path: &str, request: &HttpRequest) -> HttpResponse {
    venue.advance(now);
    let fields = Fields::of(request);
    let outcome = act(venue, now, path, request, &fields);
    // Whatever was changed shows at once.
    venue.advance(now);
    let (status, value) = match outcome {
        Ok(value) => (200, value),
        Err(Wrong(status, error)) => (status, json!({ "error": error })),
    };
    let headers = vec![("content-type".into(), "application/json".into())];
    HttpResponse { status, headers, body: value.to_string().into_bytes() }
}

fn act(venue: &mut Venue, now: Now, path: &str, request: &HttpRequest, fields: &Fields) -> Outcome {
    match (request.method, path) {
        (Method::Get, "/health") => Ok(health(venue)),
        (Method::Post, "/faults") => arm(venue, now, &request.body),
        (Method::Get, "/faults") => {
            let armed = venue.faults();
            Ok(armed.map(|(id, rule, struck)| json!({ "id": id, "struck": struck, "rule": rule })).collect())
        }
        (Method::Delete, "/faults") => disarm(venue, fields),
        (Method::Get, "/accounts") => Ok(accounts(venue)),
        (Method::Get, "/ledger") => shown(&venue.exchange().ledger(account(venue, fields)?)),
        (Method::Get, "/balances") => shown(&venue.exchange().ledger(account(venue, fields)?).balances),
        (Method::Get, "/orders") => {
            shown(&venue.exchange().all_orders(account(venue, fields)?, &history(fields)))
        }
        (Method::Get, "/fills") => shown(&venue.exchange().fills(account(venue, fields)?, &history(fields))),
        (Method::Get, "/limits") => Ok(limits(venue)),
        (Method::Get, "/requests") => {
            let seen: Vec<_> = venue.requests().collect();
            let first = seen.len().saturating_sub(limit(fields, 100));
            shown(&seen.get(first..).unwrap_or_default())
        }
        (Method::Get, "/connections") => Ok(connections(venue)),
        (Method::Get, "/market") => market(venue, fields),
        (Method::Post, "/market") => change_market(venue, &request.body),
        (Method::Post, "/orders") => place(venue, &request.body),
        (Method::Delete, "/orders") => cancel(venue, fields),
        (Method::Post, "/transfer") => transfer(venue, &request.body),
        (Method::Get, "/positions") => perpetual::positions(venue, fields),
        (Method::Get, "/incomes") => perpetual::incomes(venue, fields),
        (Method::Get, "/contract") => perpetual::shown_contract(venue, fields),
        (Method::Post, "/contract") => perpetual::change_contract(venue, &request.body),
        (Method::Post, "/deleverage") => perpetual::deleverage(venue, &request.body),
        (Method::Post, "/insurance") => perpetual::insurance(venue, &request.body),
        (Method::Get, "/listen-keys") => Ok(perpetual::listen_keys(venue)),
        (Method::Post, "/listen-keys") => perpetual::change_listen_key(venue, &request.body),
        (Method::Post, "/advance") => Ok(json!({ "time_ns": venue.exchange().now() })),
        (
            _,
            "/health" | "/faults" | "/accounts" | "/ledger" | "/balances" | "/orders" | "/fills" | "/limits"
            | "/requests" | "/connections" | "/market" | "/transfer" | "/advance" | "/positions" | "/incomes"
            | "/contract" | "/deleverage" | "/insurance" | "/listen-keys",
        ) => Err(Wrong(405, "this path does not take this method".to_owned())),
        _ => Err(Wrong(404, format!("no such path: {path}"))),
    }
}

fn shown(value: &impl Serialize) -> Outcome {
    serde_json::to_value(value).map_err(|error| Wrong(500, error.to_string()))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(bad)
}

fn limit(fields: &Fields, default: usize) -> usize {
    fields.get("limit").and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn history(fields: &Fields) -> HistoryQuery {
    HistoryQuery { symbol: fields.get("symbol").map(SmolStr::new), ..HistoryQuery::default() }
}

fn account(venue: &Venue, fields: &Fields) -> Result<AccountId, Wrong> {
    match fields.get("account") {
        None => Ok(venue.account(None)),
        Some(text) => text.parse().map(AccountId).map_err(|_| bad("account: a number is wanted")),
    }
}

fn health(venue: &Venue) -> Value {
    let exchange = venue.exchange();
    let imbalance: Vec<_> =
        exchange.imbalance().into_iter().filter(|(_, amount)| !amount.is_zero()).collect();
    json!({
        "venue": venue.face().spec().name,
        "time_ns": exchange.now(),
        "connections": venue.sessions().count(),
        "news_lost": exchange.news_lost(),
        "imbalance": imbalance,
    })
}

fn arm(venue: &mut Venue, now: Now, body: &[u8]) -> Outcome {
    let value: Value = read(body)?;
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    let rules: Result<Vec<FaultRule>, _> = list.into_iter().map(serde_json::from_value).collect();
    let mut ids = Vec::new();
    for rule in rules.map_err(bad)? {
        ids.push(venue.arm(now, rule).ok_or_else(|| bad("too many faults are armed"))?);
    }
    Ok(json!({ "ids": ids }))
}

fn disarm(venue: &mut Venue, fields: &Fields) -> Outcome {
    match fields.get("id") {
        None => venue.disarm_all(),
        Some(id) => venue.disarm(id.parse().map_err(|_| bad("id: a number is wanted"))?),
    }
    Ok(json!({}))
}

fn accounts(venue: &Venue) -> Value {
    let state = |state| match state {
        KeyState::Active => "active",
        KeyState::Expired => "expired",
        KeyState::Revoked => "revoked",
    };
    let keys = venue.exchange().keys().iter();
    keys.map(|key| {
        json!({ "account": key.account, "key": key.key, "state": state(key.state), "may_trade": key.may_trade })
    })
    .collect()
}

fn limits(venue: &Venue) -> Value {
    let exchange = venue.exchange();
    let now = exchange.now();
    let mut accounts: Vec<AccountId> = exchange.keys().iter().map(|key| key.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let pools = exchange.limits().pools().map(|(pool, limit)| {
        let keys: Vec<(String, ScopeKey)> = match pool.scope {
            Scope::Address => {
                let addresses = venue.addresses();
                addresses.map(|address| (address.to_string(), ScopeKey::Address(address))).collect()
            }
            Scope::Account => {
                accounts.iter().map(|account| (account.0.to_string(), ScopeKey::Account(*account))).collect()
            }
            Scope::Connection => {
                venue.sessions().map(|s| (s.id.to_string(), ScopeKey::Connection(s.id.0))).collect()
            }
        };
        let used = |key| exchange.limits().used(pool.name, key, now);
        let used: serde_json::Map<_, _> = keys.into_iter().map(|(name, key)| (name, used(key).into())).collect();
        let window_ms = pool.window.period().as_millis();
        json!({ "pool": pool.name, "limit": limit, "window_ms": window_ms, "scope": pool.scope, "used": used })
    });
    let pools: Vec<Value> = pools.collect();
    json!({ "violations": exchange.limits().violations(), "pools": pools })
}

fn connections(venue: &Venue) -> Value {
    let sessions = venue.sessions().map(|session| {
        json!({
            "id": session.id.0,
            "link": session.link.name,
            "subscriptions": session.subscriptions,
            "private": session.accounts,
        })
    });
    sessions.collect()
}

fn market(venue: &Venue, fields: &Fields) -> Outcome {
    let exchange = venue.exchange();
    let Some(symbol) = fields.get("symbol") else { return shown(&exchange.markets()) };
    let market = exchange.market(symbol).ok_or_else(|| Wrong(404, format!("no such market: {symbol}")))?;
    let depth = exchange.depth(symbol, limit(fields, 50));
    Ok(json!({
        "market": shown(market)?,
        "depth": shown(&depth)?,
        "best": shown(&exchange.best(symbol))?,
        "ticker": shown(&exchange.ticker(symbol))?,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketChange {
    symbol: SmolStr,
    status: Option<String>,
    tick: Option<Decimal>,
    step: Option<Decimal>,
    min_notional: Option<Decimal>,
    min_amount: Option<Decimal>,
    max_amount: Option<Decimal>,
}

fn change_market(venue: &mut Venue, body: &[u8]) -> Outcome {
    let change: MarketChange = read(body)?;
    let status = match change.status.as_deref() {
        None => None,
        Some("trading") => Some(MarketStatus::Trading),
        Some("halted") => Some(MarketStatus::Halted),
        Some("delisted") => Some(MarketStatus::Delisted),
        Some(other) => return Err(bad(format!("status: {other}"))),
    };
    let exchange = venue.exchange_mut();
    let market = exchange.market(&change.symbol).ok_or_else(|| Wrong(404, "no such market".to_owned()))?;
    let mut rules = market.rules.clone();
    for (field, value) in [
        (&mut rules.tick, change.tick),
        (&mut rules.step, change.step),
        (&mut rules.min_notional, change.min_notional),
        (&mut rules.min_amount, change.min_amount),
        (&mut rules.max_amount, change.max_amount),
    ] {
        *field = value.unwrap_or(*field);
    }
    if rules != market.rules {
        exchange.change_rules(&change.symbol, rules).map_err(bad)?;
    }
    if let Some(status) = status {
        exchange.set_status(&change.symbol, status).map_err(bad)?;
    }
    shown(&exchange.market(&change.symbol))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    account: Option<u32>,
    symbol: SmolStr,
    side: Side,
    amount: Decimal,
    price: Option<Decimal>,
    client_id: Option<SmolStr>,
    position_side: Option<PositionSide>,
    #[serde(default)]
    reduce_only: bool,
}

fn place(venue: &mut Venue, body: &[u8]) -> Outcome {
    let order: Order = read(body)?;
    let house = if order.price.is_some() { AccountId::HOUSE_MAKER } else { AccountId::HOUSE_TAKER };
    let account = order.account.map_or(house, AccountId);
    if order.account.is_none() {
        give_house(venue, house, &order)?;
    }
    let submit = match order.price {
        Some(price) => Submit::limit(&order.symbol, order.side, price, order.amount),
        None => Submit::market(&order.symbol, order.side, Amount::Base(order.amount)),
    };
    let position_side = order.position_side.unwrap_or(PositionSide::Both);
    let reduce_only = order.reduce_only;
    let submit = Submit { client_id: order.client_id, position_side, reduce_only, ..submit };
    shown(&venue.exchange_mut().place(account, &submit).map_err(bad)?)
}

/// The house stands for the rest of the world: it never lacks money.
fn give_house(venue: &mut Venue, house: AccountId, order: &Order) -> Result<(), Wrong> {
    let exchange = venue.exchange_mut();
    let Some(market) = exchange.market(&order.symbol) else {
        return Err(Wrong(404, format!("no such market: {}", order.symbol)));
    };
    if market.contract.is_some() {
        return Ok(());
    }
    let (base, quote) = (market.base.clone(), market.quote.clone());
    // A market order may sweep far through the book; ten times the last price covers any book of a test.
    let last = exchange.ticker(&order.symbol).map_or(Decimal::ZERO, |ticker| ticker.last * Decimal::TEN);
    let (asset, amount) = match order.side {
        Side::Sell => (base, order.amount),
        Side::Buy => (quote, order.amount.saturating_mul(order.price.unwrap_or(last))),
    };
    exchange.transfer(house, &asset, amount.max(Decimal::ZERO)).map_err(bad)
}

fn cancel(venue: &mut Venue, fields: &Fields) -> Outcome {
    let account = account(venue, fields)?;
    let symbol = fields.get("symbol").ok_or_else(|| bad("symbol is missing"))?;
    let which = match (fields.get("id"), fields.get("client_id")) {
        (Some(id), _) => Which::Id(id.parse().map_err(|_| bad("id: a number is wanted"))?),
        (None, Some(client_id)) => Which::Client(client_id.into()),
        (None, None) => return Err(bad("id or client_id is missing")),
    };
    shown(&venue.exchange_mut().cancel(account, symbol, &which, None).map_err(bad)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    account: Option<u32>,
    asset: SmolStr,
    amount: Decimal,
}

fn transfer(venue: &mut Venue, body: &[u8]) -> Outcome {
    let transfer: Transfer = read(body)?;
    let account = venue.account(transfer.account);
    let exchange = venue.exchange_mut();
    exchange.transfer(account, &Asset::new(&transfer.asset), transfer.amount).map_err(bad)?;
    shown(&exchange.balances(account))
}
