//! What error answers mean.

use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};

/// What an error answer means: by the venue's declared code, else by the status alone.
///
/// Only the venue's own word proves that nothing happened. A body that is not the venue's may come from a proxy or a failing
/// front, after the deed; the statuses of exhausted limits are given before it.
pub fn classify<D: Dialect>(operation: &str, status: u16, body: &[u8]) -> Error {
    let (cause, effect) = match status {
        429 => (Cause::RateLimited, Effect::Rejected),
        418 => (Cause::Banned, Effect::Rejected),
        401 => (Cause::Credentials, Effect::Rejected),
        403 => (Cause::Permission, Effect::Rejected),
        408 => (Cause::Timeout, Effect::Unknown),
        400..=499 => (Cause::Other, Effect::Rejected),
        // A server that fails may have failed after doing what was asked.
        _ => (Cause::Unavailable, Effect::Unknown),
    };
    let Some(venue) = D::error(body) else {
        let effect = if matches!(status, 418 | 429) { effect } else { Effect::Unknown };
        let text = format!("HTTP {status} with a body that is not the venue's: {}", excerpt(body));
        return Error::new(cause, effect, operation, text);
    };
    let (cause, effect) = match D::SPEC.fault(&venue.code, &venue.message) {
        // A ban is told by the status, whatever the code; the stricter reading holds.
        Some(fault) if status != 418 => (fault.cause, fault.effect),
        _ => (cause, effect),
    };
    Error::new(cause, effect, operation, venue.message).with_code(venue.code)
}

/// The beginning of a body on one line, for people.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..120.min(body.len())).unwrap_or_default()).into_owned();
    format!("`{}`", text.split_whitespace().collect::<Vec<_>>().join(" "))
}
