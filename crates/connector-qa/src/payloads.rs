//! What tests of dialects share: decoders on payloads, encoders on questions, scanner beside parser.

use connector_core::dialect::{
    DecodeError, Dialect, Draft, Endpoint, Frame, LinkRole, Payload, PlaceQuery, Symbols,
};
use connector_core::message::{Market, Message};
use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::{Cause, ClientOrderId, Decimal, Effect};
use serde_json::Value;

/// What a decoder found.
pub type Told = Result<Vec<Message>, DecodeError>;

/// A map of these pairs, whose symbols are their two assets in one word.
///
/// # Panics
/// One is no pair, or stands there twice.
#[must_use]
pub fn symbols(pairs: &[&str]) -> Symbols {
    let mut symbols = Symbols::default();
    for text in pairs {
        let Ok(pair) = text.parse() else { panic!("`{text}` is no pair") };
        assert!(symbols.insert(text.replace('-', "").into(), pair), "`{text}` stands there twice");
    }
    symbols
}

/// Decodes an answer of the row named `row`, asked about `market`.
///
/// # Errors
/// The decoder's own.
///
/// # Panics
/// There is no such row.
pub fn answer<D: Dialect>(symbols: &Symbols, row: &str, body: &str, market: Option<&Market>) -> Told {
    let Some(decode) = D::REST.decoder(row) else { panic!("there is no row `{row}`") };
    let (mut out, mut bytes) = (Vec::new(), body.as_bytes().to_vec());
    decode(Payload { bytes: &mut bytes, symbols, market }, &mut out)?;
    Ok(out)
}

/// Decodes a frame.
///
/// # Errors
/// The decoder's own.
pub fn frame<D: Dialect>(symbols: &Symbols, role: LinkRole, bytes: &[u8]) -> Told {
    let (mut out, mut bids, mut asks) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = bytes.to_vec();
    let frame = Frame { role, bytes: &mut bytes, symbols, bids: &mut bids, asks: &mut asks };
    D::frame(frame, &mut out)?;
    Ok(out)
}

/// The messages as the neutral events people see.
///
/// # Panics
/// The payload could not be decoded.
#[must_use]
pub fn events(told: Told) -> Value {
    let messages = told.unwrap_or_else(|error| panic!("{error}"));
    serde_json::to_value(messages).unwrap_or_else(|error| panic!("{error}"))
}

/// The query a request of this endpoint has before signing.
pub fn query<Q>(endpoint: &Endpoint<Q>, question: &Q) -> String {
    let mut draft = Draft::new(&endpoint.row);
    (endpoint.encode)(question, &mut draft);
    draft.query.encode()
}

/// A spot order to buy 0.001 of a market, at 100,000 if it has a price.
#[must_use]
pub fn order(symbol: &str, order_type: OrderType, time_in_force: TimeInForce) -> PlaceQuery {
    PlaceQuery {
        symbol: symbol.into(),
        client_order_id: ClientOrderId::new("x-1_a"),
        side: Side::Buy,
        order_type,
        time_in_force,
        amount: Decimal::new(100, 5),
        price: (order_type != OrderType::Market).then(|| Decimal::new(10_000_000, 2)),
        contract_size: Decimal::ONE,
        position_side: None,
        reduce_only: false,
    }
}

/// What an error code means with this text.
///
/// # Panics
/// It is not declared.
#[must_use]
pub fn meaning<D: Dialect>(code: &str, text: &str) -> (Cause, Effect) {
    let Some(fault) = D::SPEC.fault(code, text) else { panic!("{code} is not declared") };
    (fault.cause, fault.effect)
}

/// Checks that no row of the error codes hides another; how many codes there are.
///
/// # Panics
/// One does.
#[must_use]
pub fn faults_in_reach<D: Dialect>() -> usize {
    let faults = D::SPEC.faults;
    let mut codes = std::collections::BTreeSet::new();
    for fault in faults {
        for code in fault.codes {
            let found = D::SPEC.fault(code, fault.text.unwrap_or("?"));
            let same = found.is_some_and(|found| std::ptr::eq(found, fault));
            assert!(same, "{code} of {fault:?} is shadowed by {found:?}");
            codes.insert(*code);
        }
    }
    codes.len()
}

/// Whether a scanner of frames agrees with the general parser, which reads what the scanner does not take: the same frame with a
/// space before it.
///
/// # Errors
/// Both answers, if they differ.
pub fn scanner_agrees<D: Dialect>(symbols: &Symbols, bytes: &[u8]) -> Result<(), String> {
    let scanned = frame::<D>(symbols, LinkRole::Public, bytes);
    let parsed = frame::<D>(symbols, LinkRole::Public, &[b" ", bytes].concat());
    let same = match (&scanned, &parsed) {
        (Ok(scanned), Ok(parsed)) => scanned == parsed,
        (scanned, parsed) => scanned.is_err() && parsed.is_err(),
    };
    if same { Ok(()) } else { Err(format!("scanned {scanned:?}, parsed {parsed:?}")) }
}

/// A payload with bytes set, put in or taken out: place (beyond the end counts on from the start), which of the three, byte.
#[must_use]
pub fn damaged(payload: &str, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = payload.as_bytes().to_vec();
    for (place, kind, byte) in changes {
        let place = place % bytes.len().max(1);
        match (kind, bytes.get_mut(place)) {
            (0, Some(old)) => *old = *byte,
            (1, _) | (_, None) => bytes.insert(place, *byte),
            _ => drop(bytes.remove(place)),
        }
    }
    bytes
}
