//! Several orders placed or cancelled with one request.

use connector_core::dialect::{
    Auth, BatchRest, Cost, DecodeError, Draft, Endpoint, OrderQuery, Payload, PlaceQuery, Row,
};
use connector_core::json::{Json, each, parse_answer, required_list};
use connector_core::message::{Message, Refusal, Sink};
use connector_core::{Cause, Effect};
use smol_str::format_smolstr;
use spot_binance::family::{ORDERS_TEN_SECONDS, OrderAnswer, weight};

use crate::rest::{TRADING, encode_place};
use crate::spec::{ORDERS_MINUTE, SPEC};

/// What orders cost that are placed or modified together, however many they are.
pub(crate) const COST: &[Cost] =
    &[weight(5), Cost::fixed(ORDERS_TEN_SECONDS, 5), Cost::fixed(ORDERS_MINUTE, 1)];

/// Answers are in the order of the question; each part is what the answer to a single request would be, or an error.
pub(crate) const BATCH: BatchRest = BatchRest {
    place: Endpoint::new(
        Row::post("place_many", "/fapi/v1/batchOrders", Auth::Signed, COST, TRADING),
        |queries, draft| encode_placements(queries, draft),
        |payload, out| decode("place_many", payload, out),
    ),
    most_placed: 5,
    cancel: Endpoint::new(
        Row::delete("cancel_many", "/fapi/v1/batchOrders", Auth::Signed, &[weight(1)], TRADING),
        |queries, draft| encode_cancels(queries, draft),
        |payload, out| decode("cancel_many", payload, out),
    ),
    most_cancelled: 10,
};

/// A list of objects in JSON, each with the parameters of a single placement. All of them are strings here, as they are there.
fn encode_placements(queries: &[PlaceQuery], draft: &mut Draft) {
    let mut list = String::from("[");
    for query in queries {
        let mut one = Draft::new(&BATCH.place.row);
        encode_place(query, &mut one);
        list.push_str(if list.len() > 1 { ",{" } else { "{" });
        for (position, (name, value)) in one.query.iter().enumerate() {
            if position > 0 {
                list.push(',');
            }
            push_text(name, &mut list);
            list.push(':');
            push_text(value, &mut list);
        }
        list.push('}');
    }
    list.push(']');
    draft.query.push("batchOrders", list);
}

/// A symbol and a list of our ids: the venue takes its own or ours, and we always have ours.
fn encode_cancels(queries: &[OrderQuery], draft: &mut Draft) {
    draft.query.push_some("symbol", queries.first().map(|query| &query.symbol));
    let mut list = String::from("[");
    for id in queries.iter().filter_map(|query| query.client_order_id.as_ref()) {
        if list.len() > 1 {
            list.push(',');
        }
        push_text(id.as_str(), &mut list);
    }
    list.push(']');
    draft.query.push("origClientOrderIdList", list);
}

/// Appends a string in JSON.
fn push_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => out.push_str(&format_smolstr!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    out.push('"');
}

fn decode(what: &'static str, payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    parse_answer(what, bytes, |json| {
        each(required_list(Some(json), what)?, "symbol", out, |entry| {
            if let Some(code) = entry.get("code").and_then(Json::int) {
                return Ok([Message::Refusal(refusal(code, entry))]);
            }
            let mut order = OrderAnswer::default();
            entry.members().try_for_each(|(name, value)| order.take(what, name, value))?;
            Ok([Message::Order(order.report(symbols, what)?)])
        });
        Ok(())
    })
}

/// Why one of several was not done. Of a code that is not listed no status tells whether it came before the deed.
fn refusal(code: i64, entry: Json<'_, '_>) -> Refusal {
    let message = entry.get("msg").and_then(Json::text).unwrap_or_default();
    let code = format_smolstr!("{code}");
    let known = SPEC.fault(&code, message).map(|fault| (fault.cause, fault.effect));
    let (cause, effect) = known.unwrap_or((Cause::Other, Effect::Unknown));
    Refusal { id: None, code: Some(code), message: message.to_owned(), effect, cause }
}
