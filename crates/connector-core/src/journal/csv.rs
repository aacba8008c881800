//! Export as CSV (RFC 4180): a header, one line per row, times in nanoseconds, decimals exactly.

use std::io::{self, Write};

use rust_decimal::Decimal;

use super::Scope;
use super::history::{FundingRow, OrderRow, StatusRow, TradeRow};
use crate::time::UnixNanos;

/// Writes one record; fields that need it are quoted.
fn line<W: Write>(out: &mut W, fields: &[String]) -> io::Result<()> {
    for (place, field) in fields.iter().enumerate() {
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

fn header<W: Write>(out: &mut W, names: &str) -> io::Result<()> {
    write!(out, "connector,account,{names}\r\n")
}

fn of(scope: &Scope) -> [String; 2] {
    [scope.connector.to_string(), scope.account.to_string()]
}

fn number(value: Decimal) -> String {
    value.normalize().to_string()
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn time(value: UnixNanos) -> String {
    value.0.to_string()
}

/// Fills.
///
/// # Errors
/// The writer's.
pub fn write_trades<W: Write>(out: &mut W, rows: &[TradeRow]) -> io::Result<()> {
    header(
        out,
        "time_ns,venue_time_ns,pair,client_order_id,exchange_order_id,trade_id,side,price,amount,quote_amount,\
         fee,fee_asset,fee_estimated,maker",
    )?;
    for TradeRow { scope, row } in rows {
        let mut fields = of(scope).to_vec();
        fields.extend([
            time(row.time),
            row.venue_time.map(time).unwrap_or_default(),
            row.pair.to_string(),
            row.client_order_id.to_string(),
            text(row.exchange_order_id.as_ref()),
            row.trade_id.to_string(),
            row.side.to_string(),
            number(row.price),
            number(row.amount),
            row.price.checked_mul(row.amount).map(number).unwrap_or_default(),
            row.fee.as_ref().map(|fee| number(fee.amount)).unwrap_or_default(),
            row.fee.as_ref().map(|fee| fee.asset.to_string()).unwrap_or_default(),
            row.fee_estimated.to_string(),
            text(row.maker.as_ref()),
        ]);
        line(out, &fields)?;
    }
    Ok(())
}

/// Orders.
///
/// # Errors
/// The writer's.
pub fn write_orders<W: Write>(out: &mut W, rows: &[OrderRow]) -> io::Result<()> {
    header(
        out,
        "submitted_ns,updated_ns,pair,client_order_id,exchange_order_id,side,type,time_in_force,price,amount,status",
    )?;
    for row in rows {
        let mut fields = of(&row.scope).to_vec();
        fields.extend([
            time(row.submitted),
            time(row.updated),
            row.order.pair.to_string(),
            row.client_order_id.to_string(),
            text(row.exchange_order_id.as_ref()),
            row.order.side.to_string(),
            row.order.order_type.to_string(),
            row.order.time_in_force.to_string(),
            row.order.price.map(number).unwrap_or_default(),
            number(row.order.amount),
            row.status.as_str().to_owned(),
        ]);
        line(out, &fields)?;
    }
    Ok(())
}

/// The lives of orders.
///
/// # Errors
/// The writer's.
pub fn write_statuses<W: Write>(out: &mut W, rows: &[StatusRow]) -> io::Result<()> {
    header(
        out,
        "time_ns,venue_time_ns,pair,client_order_id,exchange_order_id,status,executed_base,executed_quote,detail",
    )?;
    for StatusRow { scope, row } in rows {
        let mut fields = of(scope).to_vec();
        fields.extend([
            time(row.time),
            row.venue_time.map(time).unwrap_or_default(),
            row.pair.to_string(),
            row.client_order_id.to_string(),
            text(row.exchange_order_id.as_ref()),
            row.status.as_str().to_owned(),
            row.executed.map(|executed| number(executed.base)).unwrap_or_default(),
            row.executed.map(|executed| number(executed.quote)).unwrap_or_default(),
            row.detail.clone().unwrap_or_default(),
        ]);
        line(out, &fields)?;
    }
    Ok(())
}

/// Funding payments.
///
/// # Errors
/// The writer's.
pub fn write_funding<W: Write>(out: &mut W, rows: &[FundingRow]) -> io::Result<()> {
    header(out, "time_ns,pair,asset,amount,rate")?;
    for FundingRow { scope, row } in rows {
        let mut fields = of(scope).to_vec();
        fields.extend([
            time(row.time),
            row.pair.to_string(),
            row.asset.to_string(),
            number(row.amount),
            row.rate.map(number).unwrap_or_default(),
        ]);
        line(out, &fields)?;
    }
    Ok(())
}
