//! The faults a run draws from, by class, in the venue's own terms.
//!
//! Written as the control interface takes them (see [`connector_venue::faults`]), with `<user>` and `<market>` for the names of
//! the venue's private and public link, and `<symbol>` for a market of the run. Each strikes a few times or for a while, so that
//! a run can come to rest. A fault of the catalogue that the exchange does by itself needs no entry: immediate orders that
//! expire, post-only orders refused, own orders that would meet.

use connector_core::dialect::{LinkRole, Spec};
use connector_venue::faults::FaultRule;
use smol_str::SmolStr;

/// Faults of the way to the venue and back.
pub const NET: &[&str] = &[
    r#"{"fault":"net.refuse","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<user>"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<market>"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"cancel"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"cancel"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"order"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"open_orders"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"fills"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.reset","point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.reset","point":"before_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.reset","match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.reset","match":{"link":"<market>"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.delay","ms":3000,"match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":4000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":12000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":2500,"match":{"row":"cancel"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.delay","ms":1500,"point":"after_apply","match":{"row":"cancel"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.delay","ms":4000,"point":"after_apply","match":{"row":"book"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":2000,"point":"after_apply","match":{"row":"balances"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":800,"point":"after_apply","trigger":{"probability_ppm":300000,"duration_ms":20000}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<market>"},"trigger":{"count":1}}"#,
];

/// Faults of requests and their answers.
pub const HTTP: &[&str] = &[
    r#"{"fault":"http.status","code":502,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":504,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":503,"point":"before_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":502,"point":"after_apply","match":{"row":"cancel"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"order"},"trigger":{"count":4}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"fills"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":503,"match":{"row":"open_orders"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"balances"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"book"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":503,"trigger":{"duration_ms":25000}}"#,
    r#"{"fault":"http.html_body","match":{"row":"open_orders"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.html_body","point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.truncated","match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.truncated","match":{"row":"book"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.truncated","match":{"row":"fills"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.empty_200","point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.empty_200","point":"after_apply","match":{"row":"cancel"},"trigger":{"count":1}}"#,
    r#"{"fault":"schema.members","trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"schema.missing","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"schema.null","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"schema.number","trigger":{"duration_ms":20000}}"#,
];

/// Faults of streams.
pub const WS: &[&str] = &[
    r#"{"fault":"ws.close","code":1006,"match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.close","code":1001,"match":{"link":"<market>"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.close","code":1012,"trigger":{"count":1}}"#,
    r#"{"fault":"ws.dup","trigger":{"probability_ppm":200000,"duration_ms":4000}}"#,
    r#"{"fault":"ws.dup","ms":3000,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.dup","ms":1000,"match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<market>"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<market>"},"trigger":{"probability_ppm":100000,"duration_ms":15000}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.reorder","window":3,"match":{"link":"<market>"},"trigger":{"duration_ms":3000}}"#,
    r#"{"fault":"ws.reorder","window":4,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.delay","ms":2500,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.delay","ms":1500,"match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"<market>"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<market>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<market>","symbol":"<symbol>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<market>"},"trigger":{"duration_ms":240000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":240000}}"#,
    r#"{"fault":"ws.mute","answers":true,"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"schema.members","match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"schema.members","match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"schema.missing","match":{"link":"<market>"},"trigger":{"count":2}}"#,
    r#"{"fault":"schema.null","match":{"link":"<market>"},"trigger":{"count":2}}"#,
    r#"{"fault":"schema.number","match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"schema.number","match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
];

/// Faults of limits.
pub const LIMIT: &[&str] = &[
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"3"},"match":{"row":"order"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"2"},"match":{"row":"balances"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":429,"match":{"row":"book"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"4"},"match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":418,"headers":{"retry-after":"15"},"match":{"row":"open_orders"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"5"},"match":{"row":"cancel"},"trigger":{"count":1}}"#,
];

/// Faults of the venue's clock. It never steps back but stands still, as no real one does, so that large steps are left to the
/// machine's clock.
pub const CLOCK: &[&str] =
    &[r#"{"fault":"clock.venue_offset","ms":20}"#, r#"{"fault":"clock.venue_offset","ms":-20}"#];

/// What somebody else does to the account.
pub const ACCOUNT: &[&str] = &[
    r#"{"fault":"acct.external_cancel"}"#,
    r#"{"fault":"acct.external_cancel"}"#,
    r#"{"fault":"acct.fees","maker_ppm":-100,"taker_ppm":700}"#,
    r#"{"fault":"acct.fees","maker_ppm":0,"taker_ppm":1500}"#,
];

/// What happens to a market.
pub const MARKET: &[&str] = &[
    r#"{"fault":"mkt.halt","symbol":"<symbol>"}"#,
    r#"{"fault":"mkt.rules_change","symbol":"<symbol>","min_notional":"20"}"#,
];

/// All classes of the random mode, by name.
pub const CLASSES: &[(&str, &[&str])] = &[
    ("net", NET),
    ("http", HTTP),
    ("ws", WS),
    ("limit", LIMIT),
    ("clock", CLOCK),
    ("acct", ACCOUNT),
    ("mkt", MARKET),
];

/// The class of a fault: what its name begins with.
#[must_use]
pub fn class(rule: &FaultRule) -> SmolStr {
    let name = serde_json::to_value(&rule.fault).ok();
    let name = name.as_ref().and_then(|fault| fault.get("fault")).and_then(serde_json::Value::as_str);
    SmolStr::new(name.and_then(|name| name.split('.').next()).unwrap_or("other"))
}

/// A fault of the lists here for one venue and market; `None` if the venue has no such link.
#[must_use]
pub fn rule(text: &str, spec: &Spec, symbol: &str) -> Option<FaultRule> {
    let mut text = text.replace("<symbol>", symbol);
    for (mark, role) in [("<user>", LinkRole::User), ("<market>", LinkRole::Public)] {
        if text.contains(mark) {
            let link = spec.links.iter().find(|link| link.role == role)?;
            text = text.replace(mark, link.name);
        }
    }
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_one() {
        for (name, faults) in CLASSES {
            for text in *faults {
                let text = text.replace("<user>", "u").replace("<market>", "m").replace("<symbol>", "XY");
                let rule: FaultRule =
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
                assert!(!class(&rule).is_empty());
            }
        }
    }
}
