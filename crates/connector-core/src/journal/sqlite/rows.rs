//! Rows back to values.

use std::str::FromStr;

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row, params_from_iter};
use rust_decimal::Decimal;

use crate::event::Executed;
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::journal::Scope;
use crate::journal::history::{Filter, FundingRow, OrderRow, Scoped, StatusRow, TradeRow};
use crate::journal::record::{FundingPayment, OwnFill, Status, StatusChange};
use crate::message::Fee;
use crate::order::{NewOrder, OrderType, Side, TimeInForce};
use crate::pair::{Asset, Pair};
use crate::position::PositionAction;
use crate::time::UnixNanos;

/// A decimal as it is stored.
pub(super) fn text(value: Decimal) -> String {
    value.normalize().to_string()
}

/// A column whose text nobody here has written.
fn wrong(column: &str, text: &str) -> rusqlite::Error {
    let what = format!("`{text}` is no {column}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, what.into())
}

fn word<T>(row: &Row<'_>, column: &str, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| wrong(column, &text))
}

fn option<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse(&text).ok_or_else(|| wrong(column, &text))).transpose()
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).ok()
}

fn pair(row: &Row<'_>) -> rusqlite::Result<Pair> {
    word(row, "pair", |text| Pair::from_str(text).ok())
}

fn scope(row: &Row<'_>) -> rusqlite::Result<Scope> {
    let (connector, account): (String, String) = (row.get("connector")?, row.get("account")?);
    Ok(Scope { connector: connector.into(), account: account.into() })
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixNanos> {
    row.get(column).map(UnixNanos)
}

fn some_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<UnixNanos>> {
    row.get::<_, Option<i64>>(column).map(|time| time.map(UnixNanos))
}

fn client_order_id(row: &Row<'_>) -> rusqlite::Result<ClientOrderId> {
    row.get::<_, String>("client_order_id").map(ClientOrderId::new)
}

fn exchange_order_id(row: &Row<'_>) -> rusqlite::Result<Option<ExchangeOrderId>> {
    row.get::<_, Option<String>>("exchange_order_id").map(|id| id.map(ExchangeOrderId::new))
}

fn side(row: &Row<'_>) -> rusqlite::Result<Side> {
    word(row, "side", |word| [Side::Buy, Side::Sell].into_iter().find(|side| side.to_string() == word))
}

fn order(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    let types = [OrderType::Limit, OrderType::LimitMaker, OrderType::Market];
    let times = [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok];
    let actions = [PositionAction::Open, PositionAction::Close];
    Ok(OrderRow {
        scope: scope(row)?,
        client_order_id: client_order_id(row)?,
        exchange_order_id: exchange_order_id(row)?,
        order: NewOrder {
            pair: pair(row)?,
            side: side(row)?,
            order_type: word(row, "type", |word| types.into_iter().find(|known| known.to_string() == word))?,
            time_in_force: word(row, "time_in_force", |word| {
                times.into_iter().find(|known| known.to_string() == word)
            })?,
            amount: word(row, "amount", decimal)?,
            price: option(row, "price", decimal)?,
            action: option(row, "action", |word| {
                actions.into_iter().find(|known| known.to_string() == word)
            })?,
        },
        submitted: time(row, "submitted_ns")?,
        status: word(row, "status", Status::parse)?,
        updated: time(row, "updated_ns")?,
    })
}

fn status(row: &Row<'_>) -> rusqlite::Result<StatusRow> {
    let base = option(row, "executed_base", decimal)?;
    let quote = option(row, "executed_quote", decimal)?;
    let change = StatusChange {
        time: time(row, "time_ns")?,
        venue_time: some_time(row, "venue_time_ns")?,
        pair: pair(row)?,
        client_order_id: client_order_id(row)?,
        exchange_order_id: exchange_order_id(row)?,
        status: word(row, "status", Status::parse)?,
        executed: base.zip(quote).map(|(base, quote)| Executed { base, quote }),
        detail: row.get("detail")?,
    };
    Ok(Scoped { scope: scope(row)?, row: change })
}

fn fill(row: &Row<'_>) -> rusqlite::Result<TradeRow> {
    let fee = option(row, "fee", decimal)?;
    let asset: Option<String> = row.get("fee_asset")?;
    let fill = OwnFill {
        time: time(row, "time_ns")?,
        venue_time: some_time(row, "venue_time_ns")?,
        pair: pair(row)?,
        client_order_id: client_order_id(row)?,
        exchange_order_id: exchange_order_id(row)?,
        trade_id: row.get::<_, String>("trade_id").map(TradeId::new)?,
        side: side(row)?,
        price: word(row, "price", decimal)?,
        amount: word(row, "amount", decimal)?,
        fee: fee.zip(asset).map(|(amount, asset)| Fee { asset: Asset::new(asset), amount }),
        fee_estimated: row.get("fee_estimated")?,
        maker: row.get("maker")?,
    };
    Ok(Scoped { scope: scope(row)?, row: fill })
}

fn payment(row: &Row<'_>) -> rusqlite::Result<FundingRow> {
    let payment = FundingPayment {
        time: time(row, "time_ns")?,
        pair: pair(row)?,
        asset: row.get::<_, String>("asset").map(Asset::new)?,
        amount: word(row, "amount", decimal)?,
        rate: option(row, "rate", decimal)?,
        payment_id: Some(row.get::<_, String>("payment_id")?).filter(|id| !id.is_empty()).map(Into::into),
    };
    Ok(Scoped { scope: scope(row)?, row: payment })
}

/// A table, its time, and the columns that order rows of one time.
struct Table {
    name: &'static str,
    time: &'static str,
    key: &'static [&'static str],
    has_orders: bool,
}

const ORDERS: Table = Table {
    name: "orders",
    time: "submitted_ns",
    key: &["connector", "account", "pair", "client_order_id"],
    has_orders: true,
};
const STATUSES: Table = Table {
    name: "statuses",
    time: "time_ns",
    key: &["connector", "account", "run_ns", "sequence"],
    has_orders: true,
};
/// The lives of orders in the order of recording.
const STEPS: Table = Table { time: "run_ns", key: &["sequence"], ..STATUSES };
const FILLS: Table = Table {
    name: "fills",
    time: "traded_ns",
    key: &["connector", "account", "pair", "client_order_id", "trade_id"],
    has_orders: true,
};
const FUNDING: Table = Table {
    name: "funding",
    time: "time_ns",
    key: &["connector", "account", "pair", "payment_id"],
    has_orders: false,
};

/// Rows of a table in the order of their times; only conditions that are asked for reach SQLite, so that its indices serve.
fn select<T>(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    extra: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut conditions = vec!["1 = 1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: String, value: Value| {
        conditions.push(condition);
        values.push(value);
    };
    let word = |text: &str| Value::Text(text.to_owned());
    if let Some(Scope { connector, account }) = &filter.scope {
        add("connector = ?".to_owned(), word(connector));
        add("account = ?".to_owned(), word(account));
    }
    if let Some(pair) = &filter.pair {
        add("pair = ?".to_owned(), word(pair.as_str()));
    }
    if let Some(id) = &filter.client_order_id {
        if !table.has_orders {
            return Ok(Vec::new());
        }
        add("client_order_id = ?".to_owned(), word(id.as_str()));
    }
    if let Some(from) = filter.from {
        add(format!("{} >= ?", table.time), Value::Integer(from.0));
    }
    if let Some(until) = filter.until {
        add(format!("{} < ?", table.time), Value::Integer(until.0));
    }
    // Backwards, so that a limit leaves the latest.
    let order: Vec<_> =
        std::iter::once(&table.time).chain(table.key).map(|name| format!("{name} DESC")).collect();
    let limit = filter.latest.map_or(-1, i64::from);
    let sql = format!(
        "SELECT * FROM {} WHERE {} {extra} ORDER BY {} LIMIT {limit}",
        table.name,
        conditions.join(" AND "),
        order.join(", ")
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(values), read)?;
    let mut rows: Vec<T> = rows.collect::<rusqlite::Result<_>>()?;
    rows.reverse();
    Ok(rows)
}

pub(super) fn orders(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<OrderRow>> {
    select(connection, &ORDERS, filter, "", order)
}

/// Orders of a scope that have not ended, by their submission.
pub(super) fn orders_in_flight(connection: &Connection, scope: &Scope) -> rusqlite::Result<Vec<OrderRow>> {
    let filter = Filter { scope: Some(scope.clone()), ..Filter::default() };
    select(connection, &ORDERS, &filter, "AND terminal = 0", order)
}

/// Steps by their times, or in the order in which they were recorded.
pub(super) fn statuses(
    connection: &Connection,
    filter: &Filter,
    as_recorded: bool,
) -> rusqlite::Result<Vec<StatusRow>> {
    select(connection, if as_recorded { &STEPS } else { &STATUSES }, filter, "", status)
}

pub(super) fn trades(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<TradeRow>> {
    select(connection, &FILLS, filter, "", fill)
}

/// The payments of a scope within `kept` nanoseconds before its last one.
pub(super) fn latest_funding(
    connection: &Connection,
    scope: &Scope,
    kept: i64,
) -> rusqlite::Result<Vec<FundingPayment>> {
    let of_scope = Filter { scope: Some(scope.clone()), ..Filter::default() };
    let last = funding(connection, &Filter { latest: Some(1), ..of_scope.clone() })?;
    let Some(last) = last.first().map(|last| last.row.time) else { return Ok(Vec::new()) };
    let rows = funding(connection, &Filter { from: Some(last.offset(-kept)), ..of_scope })?;
    Ok(rows.into_iter().map(|payment| payment.row).collect())
}

pub(super) fn funding(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<FundingRow>> {
    select(connection, &FUNDING, filter, "", payment)
}
