//! Faults as data: what goes wrong, for which requests or frames, and when.
//!
//! The JSON form is one flat object: `fault` names the primitive, its settings stand beside it, `match` selects and
//! `trigger` says when. Unknown members are errors, so that a misspelt plan does not pass silently.
//!
//! ```
//! use connector_venue::faults::FaultRule;
//! let text = r#"{"fault":"http.status","code":502,"body":"<html>","point":"after_apply",
//!                "match":{"row":"place"},"trigger":{"nth":2,"count":3}}"#;
//! let rule: FaultRule = serde_json::from_str(text)?;
//! assert_eq!(serde_json::from_str::<FaultRule>(&serde_json::to_string(&rule)?)?, rule);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Three groups. Faults of requests (`net.*`, `http.*`, `limit.retry_after`) bend the request that matches. Faults of frames
//! (`ws.*` but `ws.close`) bend frames that match; pings and closes are never touched, so a muted link still looks alive.
//! Deeds (`ws.close`, `net.half_open` and `net.reset` of streams, `limit.*`, `clock.*`, `acct.*`) are done once, when their
//! `after_ms` has passed, or, if `match` names a request (`method`, `path`, `row` or `contains`), just before one that
//! matches is carried out; `link` and `connection` then select the streams.

use std::collections::BTreeMap;

use connector_core::Decimal;
use connector_core::order::Side;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smol_str::SmolStr;

/// Whether the exchange has carried the request out when the fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// It has not, and will not: for delays, not yet.
    #[default]
    BeforeApply,
    /// It has.
    AfterApply,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// No connection can be made: the request is certainly not sent. Real sockets cannot refuse one request, so the loopback
    /// server resets the connection before it is carried out. If `match` names a `link`, its connections are refused instead.
    #[serde(rename = "net.refuse")]
    Refuse {},
    /// The request is carried out, its answer never arrives.
    #[serde(rename = "net.drop_reply")]
    DropReply {},
    /// The request never arrives, and no answer does.
    #[serde(rename = "net.drop_request")]
    DropRequest {},
    /// The connection is reset (RST). If `match` selects streams (`connection` or `link`), those streams are reset instead.
    #[serde(rename = "net.reset")]
    Reset {
        /// Before or after the request was carried out.
        #[serde(default)]
        point: Point,
    },
    /// The request is carried out late, or its answer comes late.
    #[serde(rename = "net.delay")]
    Delay {
        /// How late, milliseconds.
        ms: u64,
        /// Before or after it is carried out.
        #[serde(default)]
        point: Point,
    },
    /// The connection stays open and nothing more passes in either direction. A request that strikes it is not carried out.
    /// Selects streams like `net.reset`; with an empty `match`, all streams.
    #[serde(rename = "net.half_open")]
    HalfOpen {},
    /// Streams are closed with this code.
    #[serde(rename = "ws.close")]
    Close {
        /// Close code.
        code: u16,
        /// Reason text.
        #[serde(default)]
        reason: String,
    },
    /// Events are not sent. Pings and pongs go on.
    #[serde(rename = "ws.mute")]
    Mute {
        /// Whether answers to the client's frames are withheld too.
        #[serde(default)]
        answers: bool,
    },
    /// Frames are sent twice.
    #[serde(rename = "ws.dup")]
    Duplicate {
        /// How long after the first the second one is sent, milliseconds: a venue that tells again what it has told.
        #[serde(default, skip_serializing_if = "is_zero")]
        ms: u64,
    },
    /// Frames are lost. How many is the trigger's `count`.
    #[serde(rename = "ws.drop")]
    Drop {},
    /// Every `window` frames are sent in another order.
    #[serde(rename = "ws.reorder")]
    Reorder {
        /// How many frames are held back and shuffled, at least 2.
        window: u32,
        /// Held frames leave after this long even if the window is not full, milliseconds.
        #[serde(default = "reorder_hold")]
        hold_ms: u64,
    },
    /// Frames are sent late, in their order.
    #[serde(rename = "ws.delay")]
    FrameDelay {
        /// How late, milliseconds.
        ms: u64,
    },
    /// One byte of a frame is replaced, so that text stays text but JSON mostly is no JSON any more.
    #[serde(rename = "ws.corrupt")]
    Corrupt {},
    /// Answers and frames carry members that no client has heard of.
    #[serde(rename = "schema.members")]
    NewMembers {},
    /// In answers and frames one word of an enumeration, drawn by the seed, is one that no client has heard of.
    #[serde(rename = "schema.word")]
    NewWord {},
    /// Answers and frames lack one member, drawn by the seed.
    #[serde(rename = "schema.missing")]
    Missing {},
    /// In answers and frames one member, drawn by the seed, is null.
    #[serde(rename = "schema.null")]
    Null {},
    /// In answers and frames decimals are written another way: with further zeros, or with an exponent.
    #[serde(rename = "schema.number")]
    Number {},
    /// The answer is replaced.
    #[serde(rename = "http.status")]
    Status {
        /// Status code.
        code: u16,
        /// Body.
        #[serde(default)]
        body: String,
        /// Headers.
        #[serde(default)]
        headers: BTreeMap<SmolStr, String>,
        /// Whether the request was carried out.
        #[serde(default)]
        point: Point,
    },
    /// The answer is a web page, as a proxy in between would send it.
    #[serde(rename = "http.html_body")]
    HtmlBody {
        /// Status code.
        #[serde(default = "ok")]
        code: u16,
        /// Whether the request was carried out.
        #[serde(default)]
        point: Point,
    },
    /// The body ends in the middle, in a response that is whole otherwise. The request is carried out.
    #[serde(rename = "http.truncated")]
    Truncated {
        /// Bytes kept; half of the body if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<usize>,
    },
    /// The answer is 200 without a body.
    #[serde(rename = "http.empty_200")]
    Empty200 {
        /// Whether the request was carried out.
        #[serde(default)]
        point: Point,
    },
    /// The pool admits less from now on.
    #[serde(rename = "limit.cut_budget")]
    CutBudget {
        /// The pool's name.
        pool: SmolStr,
        /// Units it admits per window.
        limit: u32,
    },
    /// Somebody else on the same address or account spends.
    #[serde(rename = "limit.spend_by_other")]
    SpendByOther {
        /// The pool's name.
        pool: SmolStr,
        /// Units.
        weight: u32,
        /// Whose: the address or account the pool counts by; every one known if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whose: Option<SmolStr>,
    },
    /// An address is banned.
    #[serde(rename = "limit.ban")]
    Ban {
        /// How long, milliseconds.
        ms: u64,
        /// The address; the loopback address if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<SmolStr>,
    },
    /// Refusals for limits (429, 418) tell another time to wait.
    #[serde(rename = "limit.retry_after")]
    RetryAfter {
        /// The header's value; the header is removed if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// The venue's clock is this far ahead of true time (negative: behind). It never steps back: set back, it stands still
    /// until true time has caught up.
    #[serde(rename = "clock.venue_offset")]
    VenueOffset {
        /// Milliseconds.
        ms: i64,
    },
    /// The account places an order past the client under test.
    #[serde(rename = "acct.external_order")]
    ExternalOrder {
        /// The account; the first one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<u32>,
        /// The venue's symbol.
        symbol: SmolStr,
        /// Side.
        side: Side,
        /// Base amount.
        amount: Decimal,
        /// Limit price; a market order if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Decimal>,
        /// Client order id; made up by the exchange if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<SmolStr>,
    },
    /// An order of the account is cancelled past the client under test.
    #[serde(rename = "acct.external_cancel")]
    ExternalCancel {
        /// The account; the first one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<u32>,
        /// Its client order id; all open orders of the account if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<SmolStr>,
    },
    /// Assets arrive at the account, or leave it (negative).
    #[serde(rename = "acct.transfer")]
    Transfer {
        /// The account; the first one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<u32>,
        /// The asset.
        asset: SmolStr,
        /// How much.
        amount: Decimal,
    },
    /// The account's fees change, on one market or on all.
    #[serde(rename = "acct.fees")]
    FeeTier {
        /// The account; the first one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<u32>,
        /// The venue's symbol; all markets if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        symbol: Option<SmolStr>,
        /// What makers pay, in parts per million of the traded value; negative for a rebate.
        maker_ppm: i64,
        /// What takers pay.
        taker_ppm: i64,
    },
    /// A market takes no orders any more. Its book stays.
    #[serde(rename = "mkt.halt")]
    Halt {
        /// The venue's symbol.
        symbol: SmolStr,
    },
    /// A market takes orders again.
    #[serde(rename = "mkt.resume")]
    Resume {
        /// The venue's symbol.
        symbol: SmolStr,
    },
    /// A market is gone, with all its orders.
    #[serde(rename = "mkt.delist")]
    Delist {
        /// The venue's symbol.
        symbol: SmolStr,
    },
    /// A market's rules change. What is absent stays as it is.
    #[serde(rename = "mkt.rules_change")]
    RulesChange {
        /// The venue's symbol.
        symbol: SmolStr,
        /// Prices are whole multiples of this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tick: Option<Decimal>,
        /// Base amounts are whole multiples of this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Decimal>,
        /// Least price × amount.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_notional: Option<Decimal>,
    },
    /// A key stops working.
    #[serde(rename = "acct.revoke_key")]
    RevokeKey {
        /// The key; all keys if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SmolStr>,
    },
    /// A key may no longer trade.
    #[serde(rename = "acct.drop_permission")]
    DropPermission {
        /// The key; all keys if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<SmolStr>,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

const fn reorder_hold() -> u64 {
    1_000
}

const fn ok() -> u16 {
    200
}

/// What is struck. All members given must fit; none given fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matcher {
    /// The request's method, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<SmolStr>,
    /// Part of the request's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<SmolStr>,
    /// The row's name, such as `place`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<SmolStr>,
    /// Part of a text anywhere in a request's query or body, or in a frame: a client order id, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// The venue's symbol, in a request's parameters, or in a frame's channel, whatever its case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<SmolStr>,
    /// Part of the subscription's name; answers belong to no subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<SmolStr>,
    /// The stream connection's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The link's name, such as `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<SmolStr>,
}

/// When a fault strikes among what matches. Empty: always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trigger {
    /// From the n-th match on, counted from 1. Without `count` and `every`, that match alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Only each such match: 3 means every third, starting with the first that `nth` admits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Only with this probability, in parts per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability_ppm: Option<u32>,
    /// Seed of the probability's and the fault's own choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// At most this often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Not before this long after it was armed, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// Not later than this long after it began, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

impl Trigger {
    /// How often it may strike at most.
    #[must_use]
    pub fn most(&self) -> u64 {
        match (self.count, self.nth, self.every) {
            (Some(count), ..) => count,
            (None, Some(_), None) => 1,
            _ => u64::MAX,
        }
    }
}

/// One planned fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// For what.
    pub matcher: Matcher,
    /// When.
    pub trigger: Trigger,
}

impl FaultRule {
    /// The fault, always and for everything.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, matcher: Matcher::default(), trigger: Trigger::default() }
    }

    /// The fault, for the row of this name only.
    #[must_use]
    pub fn on_row(mut self, row: impl AsRef<str>) -> Self {
        self.matcher.row = Some(SmolStr::new(row));
        self
    }

    /// The fault, for subscriptions whose name contains this.
    #[must_use]
    pub fn on_channel(mut self, channel: impl AsRef<str>) -> Self {
        self.matcher.channel = Some(SmolStr::new(channel));
        self
    }

    /// The fault, at most this often.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.trigger.count = Some(count);
        self
    }

    /// The fault, from the n-th match on (alone, unless [`times`](Self::times) says otherwise).
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.trigger.nth = Some(nth);
        self
    }
}

impl TryFrom<Map<String, Value>> for FaultRule {
    type Error = serde_json::Error;

    fn try_from(mut object: Map<String, Value>) -> Result<Self, Self::Error> {
        let matcher = object.remove("match").map(serde_json::from_value).transpose()?.unwrap_or_default();
        let trigger = object.remove("trigger").map(serde_json::from_value).transpose()?.unwrap_or_default();
        Ok(Self { fault: serde_json::from_value(Value::Object(object))?, matcher, trigger })
    }
}

impl From<FaultRule> for Map<String, Value> {
    fn from(rule: FaultRule) -> Self {
        let members = |value: serde_json::Result<Value>| match value {
            Ok(Value::Object(members)) => members,
            // These types are structs of plain members: their JSON form is always an object.
            _ => Self::new(),
        };
        let mut object = members(serde_json::to_value(&rule.fault));
        for (name, part) in [
            ("match", members(serde_json::to_value(&rule.matcher))),
            ("trigger", members(serde_json::to_value(&rule.trigger))),
        ] {
            if !part.is_empty() {
                object.insert(name.to_owned(), Value::Object(part));
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_both_ways() {
        for text in [
            r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"nth":1}}"#,
            r#"{"code":429,"fault":"http.status","body":"{}","headers":{"retry-after":"1"},"point":"before_apply"}"#,
            r#"{"fault":"ws.mute","answers":false,"match":{"channel":"user"},"trigger":{"duration_ms":5000}}"#,
            r#"{"fault":"acct.external_order","symbol":"X","side":"buy","amount":"1.5"}"#,
        ] {
            let rule: FaultRule = serde_json::from_str(text).unwrap();
            let again = serde_json::to_value(&rule).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn misspelt_members_are_errors() {
        for text in [
            r#"{"fault":"net.drop_replies"}"#,
            r#"{"fault":"net.drop_reply","matches":{}}"#,
            r#"{"fault":"http.status","cod":500}"#,
            r#"{"fault":"ws.mute","match":{"chanel":"x"}}"#,
            r#"{"fault":"ws.mute","trigger":{"cuont":1}}"#,
            r#"{}"#,
        ] {
            assert!(serde_json::from_str::<FaultRule>(text).is_err(), "{text}");
        }
    }
}
