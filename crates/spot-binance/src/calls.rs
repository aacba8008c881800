//! Order entry over the WebSocket API: the same requests as by REST, in frames. D/websocket-api.

use std::time::Duration;

use connector_core::Error;
use connector_core::dialect::{
    Answer, Call, Calls, DecodeError, Draft, Keyring, LinkRole, LinkSpec, Login, Source, Stamp,
};
use connector_core::json::raw_members;
use smol_str::{SmolStr, format_smolstr};

use crate::family::{ORDERS_TEN_SECONDS, WEIGHT};
use crate::spec::{API_CONNECT_COST, DAY, ORDERS_DAY, SPEC, WS_API, docs};
use crate::{family, wire};

const TRADING: Source = docs!("websocket-api/trading-requests");

/// The requests the connector can make over the WebSocket API. Weights and order counts are those of REST, in the same pools.
pub(crate) const CALLS: Calls = Calls {
    link: LinkSpec {
        name: "orders",
        role: LinkRole::Orders,
        // Each request is signed, which any kind of key can do; a session can be logged on with Ed25519 keys only.
        login: Login::None,
        connect_cost: API_CONNECT_COST,
        login_cost: &[],
        // Not limited as such: requests pay in weight.
        frames_per_second: 1000,
        max_subscriptions: 0,
        lifetime: DAY,
        max_silence: Duration::from_secs(20),
        source: WS_API,
    },
    address: "user",
    calls: &[
        Call { row: "place", method: "order.place", more: &[], source: TRADING },
        Call { row: "cancel", method: "order.cancel", more: &[], source: TRADING },
    ],
    write,
    answer,
};

/// Parameters that are integers in the venue's own examples; all others are texts.
const INTEGERS: [&str; 2] = ["orderId", "timestamp"];

/// All parameters are signed, key and time included: raw, in the order of their names.
fn write(call: &Call, mut draft: Draft, id: u64, keys: &Keyring, stamp: Stamp) -> Result<String, Error> {
    draft.query.push("apiKey", keys.key());
    draft.query.push("timestamp", stamp.time.millis());
    let mut params: Vec<(&str, &str)> = draft.query.iter().collect();
    params.sort_unstable();
    let mut payload = String::with_capacity(400);
    for (name, value) in &params {
        if !payload.is_empty() {
            payload.push('&');
        }
        payload.extend([name, "=", value]);
    }
    let signature = family::written(&keys.sign(payload.as_bytes())?);
    let mut text = format!(r#"{{"id":{id},"method":"{}","params":{{"#, call.method);
    text.reserve(payload.len() + signature.len() + 8 * params.len() + 32);
    for (name, value) in params {
        text.extend(["\"", name, "\":"]);
        if INTEGERS.contains(&name) && value.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(value);
        } else {
            push_text(&mut text, value);
        }
        text.push(',');
    }
    text.push_str("\"signature\":");
    push_text(&mut text, &signature);
    text.push_str("}}");
    Ok(text)
}

/// Appends a text as JSON has it.
fn push_text(out: &mut String, text: &str) {
    if text.bytes().any(|byte| matches!(byte, b'"' | b'\\') || byte.is_ascii_control()) {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.extend(["\"", text, "\""]);
    }
}

/// Reads `{"id":…,"status":…,"result":…}`, or with `error` in place of the result. The counters in `rateLimits`, and the time to
/// wait in the error's `data`, become the headers REST has for them.
fn answer(frame: &[u8]) -> Result<Option<Answer>, DecodeError> {
    let (mut id, mut status, mut content, mut limits) = (None, None, None, None);
    raw_members("answer", frame, |name, raw| match name {
        "id" => id = number(raw),
        "status" => status = number(raw),
        "result" | "error" => content = Some(raw),
        "rateLimits" => limits = Some(raw),
        _ => {}
    })?;
    // Events have no status, and a refusal of what could not be read has no id.
    let (Some(id), Some(status)) = (id, status) else { return Ok(None) };
    let body = content.unwrap_or_default();
    let mut headers = Vec::new();
    if let Some(limits) = limits {
        // Counters that cannot be read leave ours as they are; the answer itself still counts.
        let limits: Vec<wire::RateLimit<'_>> = serde_json::from_slice(limits).unwrap_or_default();
        headers.extend(limits.iter().filter_map(used));
    }
    if matches!(status, 418 | 429) {
        headers.extend(
            wait(body).map(|seconds| (SmolStr::new_static("retry-after"), format_smolstr!("{seconds}"))),
        );
    }
    Ok(Some(Answer { id, status, headers, body: body.to_vec() }))
}

/// A number, or a text that holds one.
fn number<T: std::str::FromStr>(raw: &[u8]) -> Option<T> {
    std::str::from_utf8(raw).ok()?.trim_matches('"').parse().ok()
}

/// A counter as the header that tells it in REST.
fn used(limit: &wire::RateLimit<'_>) -> Option<(SmolStr, SmolStr)> {
    let pool = match (limit.rate_limit_type, limit.interval, limit.interval_num) {
        ("REQUEST_WEIGHT", "MINUTE", 1) => WEIGHT,
        ("ORDERS", "SECOND", 10) => ORDERS_TEN_SECONDS,
        ("ORDERS", "DAY", 1) => ORDERS_DAY,
        _ => return None,
    };
    let header = SPEC.pools.iter().find(|known| known.name == pool)?.used_header?;
    Some((SmolStr::new_static(header), format_smolstr!("{}", limit.count?)))
}

/// Whole seconds to wait. The venue tells a point in time, and its own time beside it.
fn wait(error: &[u8]) -> Option<i64> {
    let error: wire::LimitError = serde_json::from_slice(error).ok()?;
    let millis = error.data.retry_after.checked_sub(error.data.server_time)?.max(0);
    Some(millis / 1000 + i64::from(millis % 1000 > 0))
}
