//! Streams: what is sent, and how frames read.

use connector_core::dialect::{DecodeError, Frame, Keyring, Stamp, Symbols};
use connector_core::json::Json;
use connector_core::message::{Fee, Fill, Message, OrderReport, Session, SessionKind, Sink};
use connector_core::time::UnixNanos;
use connector_core::{Asset, ClientOrderId, Error, ExchangeOrderId, TradeId};
use smol_str::SmolStr;

use crate::spec::SPEC;
use crate::wire::{AccountPosition, ExecutionReport, Num};
use crate::{family, hot, rest};

/// The request that subscribes to the account's events. Its parameters are signed raw, in the order of their names.
pub(crate) fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
    let (key, time) = (keys.key(), stamp.time.millis());
    let signature = family::written(&keys.sign(format!("apiKey={key}&timestamp={time}").as_bytes())?);
    Ok(serde_json::json!({
        "id": id,
        "method": "userDataStream.subscribe.signature",
        "params": { "apiKey": key, "timestamp": time, "signature": signature },
    })
    .to_string())
}

/// Decodes a frame of either link.
pub(crate) fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
    let Frame { bytes, symbols, bids, asks, .. } = frame;
    if hot::frame(bytes, symbols, (bids, asks), out).is_some() {
        return Ok(());
    }
    family::frame(&SPEC, bytes, symbols, (bids, asks), out, |event, json, out| {
        other_event(event, json, symbols, out)
    })
}

fn other_event(
    event: &str,
    json: Json<'_, '_>,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    let session = |kind| Message::Session(Session { kind, id: None, detail: Some(SmolStr::new(event)) });
    match event {
        "executionReport" => execution_report(&json.read("executionReport")?, symbols, out)?,
        "outboundAccountPosition" => {
            let position: AccountPosition<'_> = json.read("outboundAccountPosition")?;
            let time = Some(UnixNanos::from_millis(position.update_time));
            for entry in &position.balances {
                out.message(Message::Balance(rest::balance(entry.asset, entry.free, entry.locked, time)));
            }
        }
        "eventStreamTerminated" | "listenKeyExpired" => out.message(session(SessionKind::Expired)),
        "serverShutdown" => out.message(session(SessionKind::Closing)),
        // The first two tell a change only; the absolute amounts follow in `outboundAccountPosition`. Order lists
        // repeat what their orders' own reports say.
        "balanceUpdate" | "externalLockUpdate" | "listStatus" => out.message(session(SessionKind::Notice)),
        // Market streams we do not subscribe to.
        "aggTrade" | "blockTrade" | "kline" | "24hrMiniTicker" | "24hrTicker" | "1hTicker" | "4hTicker"
        | "1dTicker" | "avgPrice" | "referencePrice" => {}
        _ => out.message(Message::Skipped { error: format!("unknown event `{event}`") }),
    }
    Ok(())
}

fn execution_report(
    report: &ExecutionReport<'_>,
    symbols: &Symbols,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    const WHAT: &str = "executionReport";
    let market = symbols.market(report.symbol);
    let time = Some(UnixNanos::from_millis(report.transact_time));
    let exchange_order_id = Some(ExchangeOrderId::from(report.order_id));
    // Where an order was cancelled or replaced, `c` is the id of that request and `C` the order's own.
    let id = if report.orig_client_order_id.is_empty() {
        report.client_order_id
    } else {
        report.orig_client_order_id
    };
    let client_order_id = (!id.is_empty()).then(|| ClientOrderId::new(id));
    let side = family::side(report.side);
    if report.execution_type == "TRADE" && report.trade_id >= 0 {
        let fee = report.commission_asset.zip(report.commission);
        out.message(Message::Fill(Fill {
            market: market.clone(),
            client_order_id: client_order_id.clone(),
            exchange_order_id: exchange_order_id.clone(),
            trade_id: TradeId::from(report.trade_id),
            side: side.ok_or_else(|| DecodeError::missing(WHAT, "S"))?,
            price: report.last_price.0,
            amount: report.last_quantity.0,
            fee: fee.map(|(asset, Num(amount))| Fee { asset: Asset::new(asset), amount }),
            maker: Some(report.maker),
            position_side: None,
            cause: None,
            time,
        }));
    }
    let state = family::order_state(report.status);
    let order_type = family::order_type(report.order_type, None);
    let rejected = Some(report.reject_reason).filter(|reason| !matches!(*reason, "" | "NONE"));
    out.message(Message::Order(OrderReport {
        market,
        client_order_id,
        exchange_order_id,
        state,
        side,
        order_type,
        price: family::limit_price(report.price.0, order_type),
        amount: Some(report.quantity.0),
        filled_amount: Some(report.filled_quantity.0),
        reason: family::reason(state, Some(report.status), report.expiry_reason.or(rejected)),
        time,
    }));
    Ok(())
}
