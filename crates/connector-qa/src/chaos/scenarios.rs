//! The fault catalogue, F-01 to F-38: each a mix of faults and fates of its own, asserted by all invariants.
//!
//! A scenario differs from the random mode in what goes wrong, not in what must hold. Whether it applies is read from what the
//! connector declares. What a user does is the same throughout: orders of all kinds, cancels, amendments, pairs turned away from.

use std::time::Duration;

use connector_core::dialect::{BookRule, Kind, Login};

use super::faults::{ACCOUNT, CLOCK, HTTP, LIMIT, MARKET, NET, WS};
use super::plan::{FATES, Facts, Fate, Mix, Plan};

/// One entry of the catalogue.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its id.
    pub id: &'static str,
    /// What goes wrong.
    pub title: &'static str,
    /// The invariants it is about; all are asserted.
    pub asserts: &'static [&'static str],
    faults: &'static [&'static str],
    fates: (u32, u32),
    of: &'static [Fate],
    bursts: u32,
    actors: usize,
    applies: fn(&Facts) -> Result<(), &'static str>,
}

impl Scenario {
    const fn new(
        id: &'static str,
        title: &'static str,
        asserts: &'static [&'static str],
        faults: &'static [&'static str],
    ) -> Self {
        let (fates, of, applies) = ((0, 0), FATES, always as fn(&Facts) -> _);
        Self { id, title, asserts, faults, fates, of, bursts: 0, actors: 1, applies }
    }

    const fn befalls(self, least: u32, most: u32, of: &'static [Fate]) -> Self {
        Self { fates: (least, most), of, ..self }
    }

    const fn bursts(self, bursts: u32) -> Self {
        Self { bursts, ..self }
    }

    const fn actors(self, actors: usize) -> Self {
        Self { actors, ..self }
    }

    const fn only(self, applies: fn(&Facts) -> Result<(), &'static str>) -> Self {
        Self { applies, ..self }
    }

    /// Why it does not apply to a venue that declares this.
    ///
    /// # Errors
    /// The reason.
    pub fn applies(&self, facts: &Facts) -> Result<(), &'static str> {
        (self.applies)(facts)
    }

    /// The scenario for one seed.
    #[must_use]
    pub fn plan(&self, seed: u64, facts: &Facts) -> Plan {
        let least = if self.faults.is_empty() { 0 } else { 6 };
        let mix = Mix {
            length: LENGTH,
            orders: ORDERS,
            faults: (least, 2 * least),
            from: self.faults,
            fates: self.fates,
            of: self.of,
            bursts: self.bursts,
            actors: self.actors,
        };
        Plan::drawn(seed, facts, &mix)
    }
}

/// How long a scenario lasts, recovery apart.
const LENGTH: Duration = Duration::from_secs(240);
/// Orders of a scenario.
const ORDERS: u32 = 100;

/// The scenario of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.id.eq_ignore_ascii_case(id))
}

const fn always(_: &Facts) -> Result<(), &'static str> {
    Ok(())
}

fn with_batches(facts: &Facts) -> Result<(), &'static str> {
    // The checklist's row about batches; where it applies, the commands of several orders are simulated with it.
    let declared = facts.spec.not_applicable.iter().find(|row| row.row == "XQ-05");
    declared.map_or(Ok(()), |row| Err(row.reason))
}

const fn with_diffs(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.book {
        BookRule::SnapshotOnly => {
            Err("every book message is a complete snapshot: there is nothing to be missed or joined")
        }
        _ => Ok(()),
    }
}

fn with_login(facts: &Facts) -> Result<(), &'static str> {
    let private = facts.spec.links.iter().any(|link| link.login != Login::None);
    if private { Ok(()) } else { Err("the private stream needs neither key nor login") }
}

const fn with_clock(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.clock {
        Some(_) => Ok(()),
        None => Err("requests carry no time that the venue judges"),
    }
}

const fn with_nonces(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.clock {
        Some(_) => Err("requests carry a time and no nonce: two with the same time are both taken"),
        None => Ok(()),
    }
}

const fn with_funding(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.kind {
        Kind::Spot => Err("a spot venue has no positions, margin or funding"),
        // The one place to change when a run lasts from one funding time to the next.
        Kind::Perpetual => {
            Err("a run is shorter than the time between two payments: see the checklist's rows of funding")
        }
    }
}

const fn with_settings(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.kind {
        Kind::Spot => Err("a spot venue has no positions, margin or funding"),
        // The one place to change when the simulated user changes settings.
        Kind::Perpetual => {
            Err("the simulated user leaves the account's settings alone: see the checklist's rows of them")
        }
    }
}

const fn with_chain(_: &Facts) -> Result<(), &'static str> {
    Err("no chain is declared: requests are carried out when they are answered")
}

const fn with_positions(facts: &Facts) -> Result<(), &'static str> {
    match facts.spec.kind {
        Kind::Spot => Err("a spot venue has no positions, margin or funding"),
        Kind::Perpetual => Ok(()),
    }
}

/// The submission in all the ways it can be lost.
const SUBMIT: &[&str] = &[
    r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.refuse","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.reset","point":"after_apply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.reset","point":"before_apply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":502,"point":"after_apply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":504,"point":"before_apply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.truncated","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.empty_200","point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"order"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<user>"}}"#,
];
/// Queries that fail, and orders whose outcome only they can tell.
const QUERIES: &[&str] = &[
    r#"{"fault":"http.status","code":500,"match":{"row":"order"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"http.status","code":503,"match":{"row":"open_orders"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"3"},"match":{"row":"order"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"order"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.html_body","match":{"row":"order"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":40000}}"#,
];
/// Answers that come after the stream has told more.
const LATE: &[&str] = &[
    r#"{"fault":"net.delay","ms":2000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.delay","ms":8000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.delay","ms":12000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":3000,"point":"after_apply","match":{"row":"order"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.delay","ms":3000,"point":"after_apply","match":{"row":"open_orders"},"trigger":{"count":4}}"#,
    r#"{"fault":"ws.delay","ms":2500,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.reorder","window":4,"match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"ws.dup","ms":5000,"match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
];
/// Gaps of the private stream.
const GAPS: &[&str] = &[
    r#"{"fault":"ws.close","code":1006,"match":{"link":"<user>"}}"#,
    r#"{"fault":"ws.close","code":1012,"match":{"link":"<user>"},"trigger":{"after_ms":500}}"#,
    r#"{"fault":"net.reset","match":{"link":"<user>"}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<user>"}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<user>"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<user>"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"open_orders"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"balances"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"fills"},"trigger":{"count":1}}"#,
];
/// Messages told again.
const AGAIN: &[&str] = &[
    r#"{"fault":"ws.dup","match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"ws.dup","ms":4000,"match":{"link":"<user>"},"trigger":{"duration_ms":40000}}"#,
    r#"{"fault":"ws.dup","ms":15000,"match":{"link":"<user>"},"trigger":{"duration_ms":40000}}"#,
    r#"{"fault":"ws.close","code":1006,"match":{"link":"<user>"}}"#,
    r#"{"fault":"net.delay","ms":3000,"point":"after_apply","match":{"row":"fills"},"trigger":{"count":4}}"#,
    r#"{"fault":"ws.delay","ms":3000,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
];
/// Cancels that race with fills or get lost.
const CANCELS: &[&str] = &[
    r#"{"fault":"net.drop_reply","match":{"row":"cancel"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"cancel"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.delay","ms":2500,"match":{"row":"cancel"},"trigger":{"count":5}}"#,
    r#"{"fault":"net.delay","ms":2500,"point":"after_apply","match":{"row":"cancel"},"trigger":{"count":5}}"#,
    r#"{"fault":"net.delay","ms":3000,"match":{"row":"place"},"trigger":{"count":4}}"#,
    r#"{"fault":"http.status","code":502,"point":"after_apply","match":{"row":"cancel"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.empty_200","point":"after_apply","match":{"row":"cancel"},"trigger":{"count":2}}"#,
    r#"{"fault":"acct.external_cancel"}"#,
    r#"{"fault":"ws.dup","ms":1000,"match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
];
/// Terminal states and fills by ways of different speed.
const ENDS: &[&str] = &[
    r#"{"fault":"ws.reorder","window":5,"match":{"link":"<user>"},"trigger":{"duration_ms":40000}}"#,
    r#"{"fault":"ws.delay","ms":10000,"match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<user>"},"trigger":{"probability_ppm":200000,"duration_ms":20000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"fills"},"trigger":{"count":5}}"#,
    r#"{"fault":"http.truncated","match":{"row":"fills"},"trigger":{"count":2}}"#,
];
/// Silence on open connections.
const SILENCE: &[&str] = &[
    r#"{"fault":"ws.mute","match":{"link":"<market>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<market>","symbol":"<symbol>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"<user>"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","answers":true,"trigger":{"duration_ms":40000}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<market>"}}"#,
    r#"{"fault":"net.half_open","match":{"link":"<user>"}}"#,
];
/// Connections that end, also while they begin.
const RECONNECTS: &[&str] = &[
    r#"{"fault":"ws.close","code":1006}"#,
    r#"{"fault":"ws.close","code":1001,"match":{"link":"<market>"}}"#,
    r#"{"fault":"ws.close","code":1000,"match":{"link":"<user>"}}"#,
    r#"{"fault":"net.reset","match":{"link":"<market>"}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<market>"},"trigger":{"count":4}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<user>"},"trigger":{"count":4}}"#,
    r#"{"fault":"ws.mute","answers":true,"match":{"link":"<market>"},"trigger":{"duration_ms":15000}}"#,
    r#"{"fault":"ws.mute","answers":true,"match":{"link":"<user>"},"trigger":{"duration_ms":15000}}"#,
    r#"{"fault":"ws.close","code":1006,"trigger":{"after_ms":150}}"#,
];
/// Gaps in books.
const BOOK_GAPS: &[&str] = &[
    r#"{"fault":"ws.drop","match":{"link":"<market>"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<market>"},"trigger":{"probability_ppm":150000,"duration_ms":20000}}"#,
    r#"{"fault":"ws.dup","match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.dup","ms":2000,"match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.reorder","window":4,"match":{"link":"<market>"},"trigger":{"duration_ms":10000}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"<market>"},"trigger":{"count":3}}"#,
];
/// Snapshots that come late, or not.
const SNAPSHOTS: &[&str] = &[
    r#"{"fault":"net.delay","ms":4000,"point":"after_apply","match":{"row":"book"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.delay","ms":9000,"match":{"row":"book"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"book"},"trigger":{"count":3}}"#,
    r#"{"fault":"http.status","code":429,"headers":{"retry-after":"2"},"match":{"row":"book"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.truncated","match":{"row":"book"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.close","code":1006,"match":{"link":"<market>"}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<market>"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.delay","ms":1500,"match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
];
/// Balances that come late, or by request only.
const BALANCES: &[&str] = &[
    r#"{"fault":"net.delay","ms":3000,"point":"after_apply","match":{"row":"balances"},"trigger":{"count":4}}"#,
    r#"{"fault":"ws.drop","match":{"link":"<user>"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.delay","ms":4000,"match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"balances"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.close","code":1006,"match":{"link":"<user>"}}"#,
];
/// Answers and frames that look otherwise than they did.
const PAYLOADS: &[&str] = &[
    r#"{"fault":"schema.members","trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"schema.missing","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"schema.null","match":{"row":"place"},"trigger":{"count":3}}"#,
    r#"{"fault":"schema.missing","match":{"link":"<market>"},"trigger":{"count":4}}"#,
    r#"{"fault":"schema.null","match":{"link":"<market>"},"trigger":{"count":4}}"#,
    r#"{"fault":"schema.word","match":{"row":"order"},"trigger":{"count":3}}"#,
    r#"{"fault":"schema.number","match":{"link":"<market>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"schema.number","match":{"link":"<user>"},"trigger":{"duration_ms":20000}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"<market>"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"<user>"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.html_body","match":{"row":"open_orders"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.empty_200","match":{"row":"balances"},"trigger":{"count":2}}"#,
];
/// One side of the venue down, or another.
const OUTAGES: &[&str] = &[
    r#"{"fault":"http.status","code":503,"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"http.status","code":503,"match":{"row":"place"},"trigger":{"duration_ms":30000}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<market>"},"trigger":{"count":6}}"#,
    r#"{"fault":"net.refuse","match":{"link":"<user>"},"trigger":{"count":6}}"#,
    r#"{"fault":"ws.close","code":1012}"#,
    r#"{"fault":"mkt.halt","symbol":"<symbol>"}"#,
];
/// Rules and markets that change.
const RULES: &[&str] = &[
    r#"{"fault":"mkt.rules_change","symbol":"<symbol>","min_notional":"20"}"#,
    r#"{"fault":"mkt.rules_change","symbol":"<symbol>","min_notional":"50"}"#,
    r#"{"fault":"mkt.rules_change","symbol":"<symbol>","min_notional":"5"}"#,
    r#"{"fault":"mkt.halt","symbol":"<symbol>"}"#,
];
/// Fees that change.
const FEES: &[&str] = &[
    r#"{"fault":"acct.fees","maker_ppm":-100,"taker_ppm":700}"#,
    r#"{"fault":"acct.fees","maker_ppm":0,"taker_ppm":0}"#,
    r#"{"fault":"acct.fees","symbol":"<symbol>","maker_ppm":200,"taker_ppm":1500}"#,
    r#"{"fault":"ws.drop","match":{"link":"<user>"},"trigger":{"count":2}}"#,
];
/// Jumps of the venue's clock. Not with bursts: where the venue's windows begin nobody can know until it is asked again.
const JUMPS: &[&str] = &[
    r#"{"fault":"clock.venue_offset","ms":50}"#,
    r#"{"fault":"clock.venue_offset","ms":-700}"#,
    r#"{"fault":"clock.venue_offset","ms":900}"#,
];
const KILLS: &[Fate] = &[Fate::Kill];
const STOPS: &[Fate] = &[Fate::Restart];
const DISKS: &[Fate] = &[Fate::FullDisk, Fate::Kill];
const CLOCKS: &[Fate] = &[Fate::Clock, Fate::Suspend];

/// All of them, in order.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F-01", "Ambiguous submit treated as failure", &["I-04", "I-05", "I-06", "I-16"], SUBMIT),
    Scenario::new("F-02", "Failed poll counted as a lost order", &["I-03", "I-04", "I-05"], QUERIES),
    Scenario::new("F-03", "Late reply resurrects or rewinds an order", &["I-03", "I-05"], LATE),
    Scenario::new("F-04", "Fills missed across a private-stream gap", &["I-01", "I-02", "I-05"], GAPS),
    Scenario::new("F-05", "The same fill applied twice", &["I-01", "I-02", "I-17"], AGAIN)
        .befalls(0, 2, KILLS),
    Scenario::new("F-06", "Inferred fills collide with real ones", &["I-01", "I-02"], ENDS)
        .befalls(0, 1, KILLS),
    Scenario::new("F-07", "Cancel races and cancel loops", &["I-01", "I-03", "I-05", "I-18"], CANCELS),
    Scenario::new("F-08", "Terminal status before the last fill", &["I-01", "I-02", "I-03"], ENDS),
    Scenario::new("F-09", "Amend and cancel-replace identity", &["I-01", "I-02", "I-03", "I-05"], CANCELS),
    Scenario::new("F-10", "Batch commands hide per-item failures", &["I-04", "I-05"], CANCELS)
        .only(with_batches),
    Scenario::new("F-11", "Client ids: collision, reuse", &["I-05", "I-06"], SUBMIT)
        .befalls(3, 6, KILLS)
        .actors(2),
    Scenario::new("F-12", "The socket lives, the data died", &["I-08", "I-16"], SILENCE),
    Scenario::new(
        "F-13",
        "Reconnect restores the socket, not the session",
        &["I-08", "I-15", "I-16"],
        RECONNECTS,
    ),
    Scenario::new("F-14", "Book gap not noticed", &["I-07", "I-08"], BOOK_GAPS).only(with_diffs),
    Scenario::new("F-15", "Snapshot and deltas joined wrongly", &["I-07"], SNAPSHOTS).only(with_diffs),
    Scenario::new("F-16", "Crossed, inverted or mis-pruned book", &["I-07"], BOOK_GAPS),
    Scenario::new("F-17", "Session credentials expire or rotate", &["I-01", "I-08", "I-16"], RECONNECTS)
        .only(with_login),
    Scenario::new("F-18", "Limit breach and ban escalation", &["I-09"], LIMIT),
    Scenario::new("F-19", "The throttler itself is wrong", &["I-09", "I-18"], &[]).bursts(2),
    Scenario::new("F-20", "Several processes share key and account", &["I-05", "I-06", "I-09", "I-11"], NET)
        .befalls(1, 2, KILLS)
        .actors(2),
    Scenario::new("F-21", "Clock skew and late signing", &["I-10"], JUMPS)
        .befalls(3, 6, CLOCKS)
        .only(with_clock),
    Scenario::new("F-22", "Nonce collision, reordering, exhaustion", &["I-06", "I-10"], NET)
        .only(with_nonces),
    Scenario::new("F-23", "On-chain books: sequences, inclusion, indexers", &["I-04", "I-05"], NET)
        .only(with_chain),
    Scenario::new("F-24", "Errors of authorisation", &["I-10"], CLOCK).befalls(1, 2, STOPS),
    Scenario::new("F-25", "Available balance wrong", &["I-11"], BALANCES),
    Scenario::new("F-26", "Fees wrong in sign, asset or amount", &["I-11"], FEES),
    Scenario::new("F-27", "Quantisation and trading rules", &["I-14"], RULES),
    Scenario::new("F-28", "Instrument universe changes", &["I-05", "I-16"], MARKET),
    Scenario::new("F-29", "Position drift", &["I-12"], ACCOUNT).only(with_positions),
    Scenario::new("F-30", "Position mode, margin mode, leverage", &["I-12"], ACCOUNT).only(with_settings),
    Scenario::new("F-31", "Funding payments missed or repeated", &["I-13", "I-17"], GAPS).only(with_funding),
    Scenario::new("F-32", "Unexpected payload", &["I-03", "I-08", "I-16"], PAYLOADS),
    Scenario::new("F-33", "Maintenance and split-brain outages", &["I-05", "I-09", "I-16"], OUTAGES),
    Scenario::new("F-34", "Start-up with a past", &["I-03", "I-05", "I-17"], SUBMIT).befalls(3, 6, KILLS),
    Scenario::new("F-35", "Shutdown leaves or creates orders", &["I-05"], SUBMIT).befalls(3, 5, STOPS),
    Scenario::new("F-36", "Backlog, slow consumers, leaks", &["I-15", "I-18"], RECONNECTS).bursts(1),
    Scenario::new("F-37", "Storage faults", &["I-01", "I-17"], HTTP).befalls(3, 6, DISKS),
    Scenario::new("F-38", "Simulation that flatters", &["I-01", "I-05", "I-07", "I-11"], WS)
        .befalls(1, 3, FATES),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_complete_and_every_fault_of_it_is_one() {
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            assert_eq!(scenario.id, format!("F-{:02}", number + 1));
            for text in scenario.faults {
                let text = text.replace("<user>", "u").replace("<market>", "m").replace("<symbol>", "XY");
                assert!(serde_json::from_str::<connector_venue::faults::FaultRule>(&text).is_ok(), "{text}");
            }
        }
        assert_eq!(SCENARIOS.len(), 38);
    }
}
