//! Export as CSV (RFC 4180): a header, one line per row, times in nanoseconds, decimals exactly.

use std::io::{self, Write};

use rust_decimal::Decimal;

use super::Scope;
use super::history::{FundingRow, OrderRow, StatusRow, TradeRow};
use crate::time::UnixNanos;

/// Writes one record; fields that need it are quoted.
fn line<W: Write>(out: &mut W, fields: impl Iterator<Item = String>) -> io::Result<()> {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        if field.contains(['"', ',', '\n', '\r']) {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

/// Writes the header, then a record for each row: whose it is, and what `fields` makes of it.
fn table<'r, W: Write, R, const N: usize>(
    out: &mut W,
    names: [&str; N],
    rows: &'r [R],
    fields: impl Fn(&'r R) -> (&'r Scope, [String; N]),
) -> io::Result<()> {
    write!(out, "connector,account,{}\r\n", names.join(","))?;
    for row in rows {
        let (Scope { connector, account }, fields) = fields(row);
        let whose = [connector.to_string(), account.to_string()];
        line(out, whose.into_iter().chain(fields))?;
    }
    Ok(())
}

fn number(value: Decimal) -> String {
    value.normalize().to_string()
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn number_if(value: Option<Decimal>) -> String {
    value.map(number).unwrap_or_default()
}

fn time(value: UnixNanos) -> String {
    value.0.to_string()
}

/// Fills.
///
/// # Errors
/// The writer's.
pub fn write_trades<W: Write>(out: &mut W, rows: &[TradeRow]) -> io::Result<()> {
    let names = [
        "time_ns",
        "venue_time_ns",
        "pair",
        "client_order_id",
        "exchange_order_id",
        "trade_id",
        "side",
        "price",
        "amount",
        "quote_amount",
        "fee",
        "fee_asset",
        "fee_estimated",
        "maker",
    ];
    table(out, names, rows, |TradeRow { scope, row }| {
        (
            scope,
            [
                time(row.time),
                row.venue_time.map(time).unwrap_or_default(),
                row.pair.to_string(),
                row.client_order_id.to_string(),
                text(row.exchange_order_id.as_ref()),
                row.trade_id.to_string(),
                row.side.to_string(),
                number(row.price),
                number(row.amount),
                number_if(row.price.checked_mul(row.amount)),
                number_if(row.fee.as_ref().map(|fee| fee.amount)),
                row.fee.as_ref().map(|fee| fee.asset.to_string()).unwrap_or_default(),
                row.fee_estimated.to_string(),
                text(row.maker.as_ref()),
            ],
        )
    })
}

/// Orders.
///
/// # Errors
/// The writer's.
pub fn write_orders<W: Write>(out: &mut W, rows: &[OrderRow]) -> io::Result<()> {
    let names = [
        "submitted_ns",
        "updated_ns",
        "pair",
        "client_order_id",
        "exchange_order_id",
        "side",
        "type",
        "time_in_force",
        "price",
        "amount",
        "status",
        "action",
    ];
    table(out, names, rows, |row| {
        (
            &row.scope,
            [
                time(row.submitted),
                time(row.updated),
                row.order.pair.to_string(),
                row.client_order_id.to_string(),
                text(row.exchange_order_id.as_ref()),
                row.order.side.to_string(),
                row.order.order_type.to_string(),
                row.order.time_in_force.to_string(),
                number_if(row.order.price),
                number(row.order.amount),
                row.status.as_str().to_owned(),
                text(row.order.action.as_ref()),
            ],
        )
    })
}

/// The lives of orders.
///
/// # Errors
/// The writer's.
pub fn write_statuses<W: Write>(out: &mut W, rows: &[StatusRow]) -> io::Result<()> {
    let names = [
        "time_ns",
        "venue_time_ns",
        "pair",
        "client_order_id",
        "exchange_order_id",
        "status",
        "executed_base",
        "executed_quote",
        "detail",
    ];
    table(out, names, rows, |StatusRow { scope, row }| {
        (
            scope,
            [
                time(row.time),
                row.venue_time.map(time).unwrap_or_default(),
                row.pair.to_string(),
                row.client_order_id.to_string(),
                text(row.exchange_order_id.as_ref()),
                row.status.as_str().to_owned(),
                number_if(row.executed.map(|executed| executed.base)),
                number_if(row.executed.map(|executed| executed.quote)),
                row.detail.clone().unwrap_or_default(),
            ],
        )
    })
}

/// Funding payments.
///
/// # Errors
/// The writer's.
pub fn write_funding<W: Write>(out: &mut W, rows: &[FundingRow]) -> io::Result<()> {
    let names = ["time_ns", "pair", "asset", "amount", "rate", "payment_id"];
    table(out, names, rows, |FundingRow { scope, row }| {
        (
            scope,
            [
                time(row.time),
                row.pair.to_string(),
                row.asset.to_string(),
                number(row.amount),
                number_if(row.rate),
                row.payment_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            ],
        )
    })
}
