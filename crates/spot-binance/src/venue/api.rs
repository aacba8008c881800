//! The WebSocket API: requests over a connection, and the account's events. D/websocket-api, D/user-data-stream.

use connector_core::dialect::{Auth, Cost, KeyKind, Row};
use connector_core::wire::HttpResponse;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Outbox, Session};
use connector_venue::fields::Fields;
use connector_venue::keys::Permission;
use connector_venue::limits::ScopeKey;
use connector_venue::news::{BalanceCause, News};
use connector_venue::orders::AccountId;
use connector_venue::route::charge;
use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use crate::spec::{LOGIN_COST, RAW_REQUESTS};
use crate::venue::answer::{Refused, rate_limits};
use crate::venue::params::Params;
use crate::venue::streams::State;
use crate::venue::{auth, orders, requests, rows, settle};
use crate::wire::Num;

/// Subscriptions of the account's events a connection may have in its life.
const SUBSCRIPTIONS: u32 = 65_535;

/// A session's own key.
#[derive(Clone, Debug)]
pub(super) struct Login {
    key: SmolStr,
    since: i64,
}

/// The row a method is the same as.
fn row(method: &str) -> Option<&'static Row> {
    let name = match method {
        "ping" => "ping",
        "time" => "server_time",
        "exchangeInfo" => "rules",
        "depth" => "book",
        "trades.recent" => "trades",
        "trades.historical" => "historical_trades",
        "trades.aggregate" => "agg_trades",
        "avgPrice" => "avg_price",
        "ticker.24hr" => "ticker_24h",
        "ticker.price" => "last_price",
        "ticker.book" => "book_ticker",
        "order.place" => "place",
        "order.test" => rows::TEST_ORDER,
        "order.cancel" => "cancel",
        "order.status" => "order",
        "openOrders.status" => "open_orders",
        "openOrders.cancelAll" => rows::CANCEL_ALL,
        "allOrders" => "all_orders",
        "myTrades" => "fills",
        "account.status" => "balances",
        "account.commission" => "fees",
        "account.rateLimits.orders" => "order_limits",
        _ => return None,
    };
    crate::rest::REST.rows().chain(rows::EXTRA).find(|row| row.name == name)
}

/// A frame in its parts: id, method without its version, parameters.
fn parts(text: &str) -> Option<(Value, String, Fields)> {
    let request: Value = serde_json::from_str(text).ok()?;
    let id = request.get("id").cloned().unwrap_or_default();
    let empty = json!({});
    let fields = Fields::of_json(request.get("params").unwrap_or(&empty));
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    Some((id, method.strip_prefix("v3/").unwrap_or(method).to_owned(), fields))
}

/// The row a frame is a request of.
pub(super) fn request_of(text: &str) -> Option<(&'static Row, Fields)> {
    let (_, method, fields) = parts(text)?;
    Some((row(&method)?, fields))
}

/// What REST answers by `response`, in a frame. A body that is none of the venue's passes as it is.
pub(super) fn answer_as(text: &str, response: &HttpResponse, exchange: &Exchange) -> String {
    let id = parts(text).map(|(id, ..)| id).unwrap_or_default();
    let mut answer = json!({ "id": id, "status": response.status });
    if !response.body.is_empty() {
        let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else {
            return String::from_utf8_lossy(&response.body).into_owned();
        };
        let wait = response.header("retry-after").and_then(|text| text.trim().parse::<i64>().ok());
        if let (Some(wait), 418 | 429, Some(body)) = (wait, response.status, body.as_object_mut()) {
            let now = exchange.now().millis();
            let until = now.saturating_add(wait.saturating_mul(1000));
            body.insert("data".to_owned(), json!({ "serverTime": now, "retryAfter": until }));
        }
        let member = if (200..300).contains(&response.status) { "result" } else { "error" };
        if let Some(answer) = answer.as_object_mut() {
            answer.insert(member.to_owned(), body);
        }
    }
    answer.to_string()
}

/// Takes in a request.
pub(super) fn message(session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox) {
    let Some((id, method, fields)) = parts(text) else {
        let refused = Refused::new(-1135, "Invalid JSON Request");
        let error = refused.error(exchange.now().millis());
        out.reply(json!({ "id": null, "status": refused.status, "error": error }).to_string());
        return;
    };
    let method = method.as_str();
    let (result, account) = serve(session, method, &fields, exchange);
    let mut answer = match &result {
        Ok(result) => json!({ "id": id, "status": 200, "result": result }),
        Err(refused) => {
            json!({ "id": id, "status": refused.status, "error": refused.error(exchange.now().millis()) })
        }
    };
    let quiet = match fields.get("returnRateLimits") {
        Some(wanted) => wanted == "false",
        None => session.state::<State>().quiet,
    };
    if let (false, Some(answer)) = (quiet, answer.as_object_mut()) {
        let trading = account.filter(|_| method.starts_with("order.") || method == "openOrders.cancelAll");
        let limits = rate_limits(exchange, ScopeKey::Address(session.peer.address), trading);
        answer.insert("rateLimits".to_owned(), Value::Array(limits));
    }
    out.answer(result.as_ref().map_or_else(|refused| refused.status, |_| 200), answer.to_string());
    match (method, &result) {
        ("userDataStream.unsubscribe", Ok(_)) => unsubscribe(session, &fields, exchange, out),
        ("session.logout", Ok(_)) => {
            if let Some(id) = session.state::<State>().login_subscription.take() {
                end(session, &id, exchange, out);
            }
        }
        (_, Err(refused)) if refused.is_ban() => out.close(1008, "banned"),
        _ => {}
    }
}

type Served = (Result<Value, Refused>, Option<AccountId>);

fn serve(session: &mut Session, method: &str, fields: &Fields, exchange: &mut Exchange) -> Served {
    let Some(row) = row(method) else {
        return (own(session, method, fields, exchange), None);
    };
    let address = ScopeKey::Address(session.peer.address);
    if let Err(refused) = pay(row.costs, fields, address, exchange) {
        return (Err(refused), None);
    }
    let mut account = None;
    if row.auth == Auth::Signed {
        let known = match authenticate(session, row, fields, exchange) {
            Ok(known) => known,
            Err(refused) => return (Err(refused), None),
        };
        account = Some(known);
        if let Err(refused) = pay(row.costs, fields, ScopeKey::Account(known), exchange) {
            return (Err(refused), account);
        }
    }
    let answered = requests::answer(row.name, Params(fields), account, exchange);
    settle(row.name, answered.is_ok(), address, account, exchange);
    (answered, account)
}

/// Charges what a request costs. Requests of the WebSocket API do not count as raw requests.
fn pay(costs: &[Cost], fields: &Fields, key: ScopeKey, exchange: &mut Exchange) -> Result<(), Refused> {
    let costs: Vec<Cost> = costs.iter().copied().filter(|cost| cost.pool != RAW_REQUESTS).collect();
    charge(exchange, &costs, |name| fields.get(name), key)
        .map_err(|denied| Refused::denied(&denied, exchange))
}

/// By the key a request brings, or else by the session's.
fn authenticate(
    session: &mut Session,
    row: &Row,
    fields: &Fields,
    exchange: &Exchange,
) -> Result<AccountId, Refused> {
    let (peer, permission) = (session.peer, auth::permission(row.name));
    match session.state::<State>().login.clone() {
        Some(login) if fields.get("apiKey").is_none() => {
            auth::fresh(Params(fields), exchange)?;
            auth::allowed(&login.key, permission, &peer, exchange)
        }
        _ => auth::message(fields, permission, &peer, exchange),
    }
}

/// Methods about the connection itself.
fn own(
    session: &mut Session,
    method: &str,
    fields: &Fields,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    const OWN: [&str; 7] = [
        "session.logon",
        "session.status",
        "session.logout",
        "session.subscriptions",
        "userDataStream.subscribe",
        "userDataStream.subscribe.signature",
        "userDataStream.unsubscribe",
    ];
    if matches!(method, "userDataStream.start" | "userDataStream.ping" | "userDataStream.stop") {
        return Err(Refused::new(-1016, "This service is no longer available."));
    }
    if !OWN.contains(&method) {
        return Err(Refused::new(-1020, "This operation is not supported."));
    }
    pay(LOGIN_COST, fields, ScopeKey::Address(session.peer.address), exchange)?;
    let peer = session.peer;
    match method {
        "session.logon" => {
            auth::message(fields, Permission::Read, &peer, exchange)?;
            let key = SmolStr::new(Params(fields).required("apiKey")?);
            let kind = exchange.keys().get(&key).map(|key| key.secret.kind());
            if kind != Some(KeyKind::Ed25519) {
                return Err(Refused::new(-2028, "Log in is only supported with Ed25519 keys."));
            }
            session.state::<State>().login = Some(Login { key, since: exchange.now().millis() });
            Ok(status(session, exchange))
        }
        "session.logout" => {
            session.state::<State>().login = None;
            let mut status = status(session, exchange);
            if let Some(active) = status.get_mut("userDataStream") {
                *active = Value::Bool(false);
            }
            Ok(status)
        }
        "session.subscriptions" => Ok(session.accounts.keys().map(|id| subscription(id)).collect()),
        "userDataStream.subscribe" => {
            let login = session.state::<State>().login.clone().ok_or_else(Refused::bad_key)?;
            let account = auth::allowed(&login.key, Permission::Read, &peer, exchange)?;
            let id = subscribe(session, account, login.key)?;
            session.state::<State>().login_subscription = Some(id.clone());
            Ok(subscription(&id))
        }
        "userDataStream.subscribe.signature" => {
            let account = auth::message(fields, Permission::Read, &peer, exchange)?;
            let key = SmolStr::new(Params(fields).required("apiKey")?);
            subscribe(session, account, key).map(|id| subscription(&id))
        }
        "userDataStream.unsubscribe" => match fields.get("subscriptionId") {
            Some(id) if !session.accounts.contains_key(id) => {
                Err(Refused::new(-2036, "User Data Stream subscription not active."))
            }
            _ => Ok(json!({})),
        },
        _ => Ok(status(session, exchange)),
    }
}

fn status(session: &mut Session, exchange: &Exchange) -> Value {
    let opened = session.opened.millis();
    let state = session.state::<State>();
    json!({
        "apiKey": state.login.as_ref().map(|login| login.key.clone()),
        "authorizedSince": state.login.as_ref().map(|login| login.since),
        "connectedSince": opened, "returnRateLimits": !state.quiet, "serverTime": exchange.now().millis(),
        "userDataStream": state.login_subscription.is_some(),
    })
}

fn subscription(id: &str) -> Value {
    json!({ "subscriptionId": id.parse::<u64>().unwrap_or_default() })
}

fn subscribe(session: &mut Session, account: AccountId, key: SmolStr) -> Result<SmolStr, Refused> {
    if session.carries(account) {
        return Err(Refused::new(-2035, "User Data Stream subscription already active."));
    }
    let state = session.state::<State>();
    if state.subscriptions >= SUBSCRIPTIONS {
        return Err(Refused::new(-2042, "Maximum subscription ID reached for this connection."));
    }
    let id = format_smolstr!("{}", state.subscriptions);
    state.subscriptions += 1;
    state.keys.insert(id.clone(), key);
    session.accounts.insert(id.clone(), account);
    Ok(id)
}

fn unsubscribe(session: &mut Session, fields: &Fields, exchange: &Exchange, out: &mut Outbox) {
    let ids: Vec<SmolStr> = match fields.get("subscriptionId") {
        Some(id) => vec![SmolStr::new(id)],
        None => session.accounts.keys().cloned().collect(),
    };
    for id in ids {
        end(session, &id, exchange, out);
    }
}

/// Ends a subscription and says so.
fn end(session: &mut Session, id: &SmolStr, exchange: &Exchange, out: &mut Outbox) {
    if session.accounts.remove(id).is_none() {
        return;
    }
    let state = session.state::<State>();
    state.keys.remove(id);
    if state.login_subscription.as_ref() == Some(id) {
        state.login_subscription = None;
    }
    event(id, &json!({ "e": "eventStreamTerminated", "E": exchange.now().millis() }), out);
}

fn event(id: &SmolStr, event: &Value, out: &mut Outbox) {
    let number = id.parse::<u64>().unwrap_or_default();
    let kind = event.get("e").and_then(Value::as_str).unwrap_or_default();
    out.event(kind, json!({ "subscriptionId": number, "event": event }).to_string());
}

/// Turns news of an account into events of its subscription.
pub(super) fn push(session: &mut Session, news: &News, out: &mut Outbox) {
    let account = match news {
        News::Order { account, .. } | News::Balances { account, .. } | News::Deposit { account, .. } => {
            *account
        }
        _ => return,
    };
    let ids = session.accounts.iter().filter(|(_, known)| **known == account).map(|(id, _)| id.clone());
    let ids: Vec<SmolStr> = ids.collect();
    for id in ids {
        let told = match news {
            News::Order { time, order, what, .. } => orders::execution_report(order, what, *time),
            News::Balances {
                time, balances, cause: BalanceCause::Order | BalanceCause::Transfer, ..
            } => orders::account_position(balances, *time),
            News::Deposit { time, asset, amount, .. } => json!({
                "e": "balanceUpdate", "E": time.millis(), "a": asset, "d": Num(*amount), "T": time.millis(),
            }),
            _ => return,
        };
        event(&id, &told, out);
    }
}

/// Ends subscriptions whose key has been withdrawn.
pub(super) fn tick(session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
    let peer = session.peer;
    let keys = session.state::<State>().keys.clone();
    for (id, key) in keys {
        if auth::allowed(&key, Permission::Read, &peer, exchange).is_err() {
            end(session, &id, exchange, out);
        }
    }
}
