//! The exchange's own count of what its clients spend, and its bans. The judge of throttlers, so it counts exactly.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use connector_core::dialect::{Pool, Scope, Window};
use connector_core::time::UnixNanos;
use serde::Serialize;
use smol_str::SmolStr;

use crate::orders::AccountId;

/// Counters kept at once; beyond this, idle ones are forgotten.
const COUNTERS: usize = 20_000;
/// Charges one rolling counter remembers one by one; beyond this, new ones are added to the latest.
const CHARGES: usize = 65_536;

/// Whose budget is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKey {
    /// All from one address.
    Address(IpAddr),
    /// All of one account.
    Account(AccountId),
    /// All on one connection.
    Connection(u64),
}

impl ScopeKey {
    /// The scope this is a key of.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Address(_) => Scope::Address,
            Self::Account(_) => Scope::Account,
            Self::Connection(_) => Scope::Connection,
        }
    }
}

/// How repeated violations end in a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Violations within `within` after which the ban begins; zero = never.
    pub violations: u32,
    /// How long violations are remembered, for banning and for lengthening bans.
    pub within: Duration,
    /// The first ban's length; each further ban within `within` of the last one's end lasts twice as long.
    pub ban: Duration,
    /// The longest ban.
    pub longest: Duration,
}

impl Default for Escalation {
    fn default() -> Self {
        Self {
            violations: 10,
            within: Duration::from_secs(120),
            ban: Duration::from_secs(120),
            longest: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

/// How orders count towards pools that limit unfilled orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderCountPolicy {
    /// Names of the pools.
    pub pools: Vec<SmolStr>,
    /// Units an accepted order costs.
    pub placed: u32,
    /// Units given back when an order is first filled as taker.
    pub first_fill_taker: u32,
    /// Units given back when an order is first filled as maker.
    pub first_fill_maker: u32,
}

/// No pools; one unit an order, one back for a taker's first fill, five for a maker's.
impl Default for OrderCountPolicy {
    fn default() -> Self {
        Self { pools: Vec::new(), placed: 1, first_fill_taker: 1, first_fill_maker: 5 }
    }
}

/// A budget after a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Charged {
    /// Units used in the current window, this charge included.
    pub used: u32,
    /// Units admitted.
    pub limit: u32,
    /// Whether the charge broke the limit, or came during a ban.
    pub over: bool,
    /// When to try again: the window's or the ban's rest. Zero unless `over`.
    pub retry_after: Duration,
    /// Until when the key is banned, if it is.
    pub banned_until: Option<UnixNanos>,
}

#[derive(Clone, Debug, Default)]
struct Counter {
    /// Start of the window `used` belongs to; fixed windows only.
    window: i64,
    used: u32,
    /// Charges of the last period, oldest first; rolling windows only.
    charges: VecDeque<(i64, u32)>,
    touched: i64,
}

#[derive(Clone, Debug, Default)]
struct Record {
    violations: VecDeque<i64>,
    banned_until: Option<i64>,
    bans: u32,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    pool: Pool,
    limit: u32,
}

/// All budgets and bans.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    pools: BTreeMap<&'static str, Budget>,
    counters: BTreeMap<(&'static str, ScopeKey), Counter>,
    records: BTreeMap<ScopeKey, Record>,
    escalation: Escalation,
    violations: u64,
}

impl Limits {
    /// Budgets of `pools`.
    #[must_use]
    pub fn new(pools: &[Pool], escalation: Escalation) -> Self {
        let pools = pools.iter().map(|pool| (pool.name, Budget { pool: *pool, limit: pool.limit })).collect();
        Self { pools, escalation, ..Self::default() }
    }

    /// The declared pools with the limits now in force.
    pub fn pools(&self) -> impl Iterator<Item = (&Pool, u32)> {
        self.pools.values().map(|budget| (&budget.pool, budget.limit))
    }

    /// Cuts (or raises) a pool's limit; `None` restores the declared one. Unknown pools are ignored.
    pub fn set_limit(&mut self, pool: &str, limit: Option<u32>) {
        if let Some(budget) = self.pools.get_mut(pool) {
            budget.limit = limit.unwrap_or(budget.pool.limit);
        }
    }

    /// Changes how violations end in bans.
    pub const fn set_escalation(&mut self, escalation: Escalation) {
        self.escalation = escalation;
    }

    /// Charges `units` to a pool for `key`, over the limit or not: what was refused still counts, as at real venues.
    /// A charge over the limit is a violation. A pool that is not declared has no limit and counts nothing.
    pub fn charge(&mut self, pool: &str, key: ScopeKey, units: u32, now: UnixNanos) -> Charged {
        let Some(budget) = self.pools.get(pool).copied() else {
            return self.judge(key, now, (0, u32::MAX), Duration::ZERO);
        };
        self.forget_idle(now);
        let counter = self.counters.entry((budget.pool.name, key)).or_default();
        counter.add(budget.pool.window, units, now.0);
        let used = counter.used;
        let rest = counter.rest(budget.pool.window, used.saturating_sub(budget.limit), now.0);
        self.judge(key, now, (used, budget.limit), rest)
    }

    /// Spends from a budget without judging it: other clients behind the same address, say.
    pub fn spend(&mut self, pool: &str, key: ScopeKey, units: u32, now: UnixNanos) {
        if let Some(budget) = self.pools.get(pool).copied() {
            self.forget_idle(now);
            let counter = self.counters.entry((budget.pool.name, key)).or_default();
            counter.add(budget.pool.window, units, now.0);
        }
    }

    /// Gives units back, never below zero.
    pub fn credit(&mut self, pool: &str, key: ScopeKey, units: u32, now: UnixNanos) {
        let Some(budget) = self.pools.get(pool) else { return };
        if let Some(counter) = self.counters.get_mut(&(budget.pool.name, key)) {
            counter.settle(budget.pool.window, now.0);
            counter.take_back(units);
        }
    }

    /// Units used now.
    #[must_use]
    pub fn used(&self, pool: &str, key: ScopeKey, now: UnixNanos) -> u32 {
        let Some(budget) = self.pools.get(pool) else { return 0 };
        self.counters.get(&(budget.pool.name, key)).map_or(0, |counter| {
            let mut counter = counter.clone();
            counter.settle(budget.pool.window, now.0);
            counter.used
        })
    }

    /// Until when `key` is banned, if it is.
    #[must_use]
    pub fn banned_until(&self, key: ScopeKey, now: UnixNanos) -> Option<UnixNanos> {
        self.records.get(&key)?.banned_until.filter(|until| *until > now.0).map(UnixNanos)
    }

    /// Bans `key` until a time; a time not after now lifts a ban.
    pub fn ban(&mut self, key: ScopeKey, until: UnixNanos) {
        self.records.entry(key).or_default().banned_until = Some(until.0);
    }

    /// Charges over a limit, or during a ban, since the start.
    #[must_use]
    pub const fn violations(&self) -> u64 {
        self.violations
    }

    /// Forgets everything used and all bans; limits stay as they are.
    pub fn reset(&mut self) {
        self.counters.clear();
        self.records.clear();
    }

    fn judge(&mut self, key: ScopeKey, now: UnixNanos, (used, limit): (u32, u32), rest: Duration) -> Charged {
        let banned = self.banned_until(key, now);
        let broken = used > limit;
        if !broken && banned.is_none() {
            return Charged { used, limit, over: false, retry_after: Duration::ZERO, banned_until: None };
        }
        self.violations += 1;
        let banned_until = banned.or_else(|| self.violate(key, now));
        let retry_after = banned_until.map_or(rest, |until| nanos(until.0 - now.0));
        Charged { used, limit, over: true, retry_after, banned_until }
    }

    fn violate(&mut self, key: ScopeKey, now: UnixNanos) -> Option<UnixNanos> {
        let Escalation { violations, within, ban, longest } = self.escalation;
        let record = self.records.entry(key).or_default();
        let since = now.0.saturating_sub(period(within));
        record.violations.retain(|time| *time > since);
        record.violations.push_back(now.0);
        if violations == 0 || record.violations.len() < usize::try_from(violations).unwrap_or(usize::MAX) {
            // Nobody needs more of them than the ban takes.
            record.violations.truncate(CHARGES);
            return None;
        }
        if record.banned_until.is_none_or(|until| until < since) {
            record.bans = 0;
        }
        let length = ban.saturating_mul(2_u32.saturating_pow(record.bans)).min(longest);
        record.bans += 1;
        record.violations.clear();
        let until = now.offset(period(length));
        record.banned_until = Some(until.0);
        Some(until)
    }

    fn forget_idle(&mut self, now: UnixNanos) {
        if self.records.len() >= COUNTERS {
            let since = now.0.saturating_sub(period(self.escalation.within));
            self.records.retain(|_, record| {
                record.banned_until.is_some_and(|until| until > since)
                    || record.violations.back().is_some_and(|time| *time > since)
            });
        }
        if self.counters.len() < COUNTERS {
            return;
        }
        let pools = &self.pools;
        self.counters.retain(|(pool, _), counter| {
            let keep = pools.get(pool).map_or(0, |budget| period(budget.pool.window.period()));
            counter.touched > now.0.saturating_sub(keep)
        });
    }
}

impl Counter {
    /// Drops what lies before the current window.
    fn settle(&mut self, window: Window, now: i64) {
        match window {
            Window::Fixed(length) => {
                let start = now - now.rem_euclid(period(length).max(1));
                if self.window != start {
                    (self.window, self.used) = (start, 0);
                }
            }
            Window::Rolling(length) => {
                let since = now.saturating_sub(period(length));
                while let Some((_, units)) = self.charges.front().copied().filter(|(time, _)| *time <= since)
                {
                    self.used = self.used.saturating_sub(units);
                    self.charges.pop_front();
                }
            }
            Window::Bucket { units, every } => {
                // One unit at a time, each after its part of the time.
                let unit = (period(every) / i64::from(units.max(1))).max(1);
                let back = now.saturating_sub(self.window) / unit;
                self.used = self.used.saturating_sub(u32::try_from(back).unwrap_or(u32::MAX));
                self.window = if self.used == 0 { now } else { self.window.saturating_add(back * unit) };
            }
            Window::Decay { units, every } => {
                let length = period(every).max(1);
                let steps = now.div_euclid(length).saturating_sub(self.window.div_euclid(length));
                let back = u32::try_from(steps).unwrap_or(u32::MAX).saturating_mul(units);
                (self.window, self.used) = (now, self.used.saturating_sub(back));
            }
            // An exchange that answers at once has nothing under way.
            Window::Concurrent => self.used = 0,
        }
    }

    fn add(&mut self, window: Window, units: u32, now: i64) {
        self.settle(window, now);
        self.touched = now;
        self.used = self.used.saturating_add(units);
        if let Window::Rolling(_) = window {
            let full = self.charges.len() >= CHARGES;
            match self.charges.back_mut() {
                Some((time, sum)) if *time == now || full => (*time, *sum) = (now, sum.saturating_add(units)),
                _ => self.charges.push_back((now, units)),
            }
        }
    }

    fn take_back(&mut self, units: u32) {
        self.used = self.used.saturating_sub(units);
        let mut left = units;
        // The newest charges are the ones given back, so that older ones still leave the window in time.
        while let Some((_, last)) = self.charges.back_mut().filter(|_| left > 0) {
            let taken = left.min(*last);
            *last -= taken;
            left -= taken;
            if *last == 0 {
                self.charges.pop_back();
            }
        }
    }

    /// How long until `excess` units have come back.
    fn rest(&self, window: Window, excess: u32, now: i64) -> Duration {
        match window {
            Window::Fixed(length) => nanos(self.window.saturating_add(period(length)) - now),
            Window::Bucket { units, every } | Window::Decay { units, every } => {
                every.saturating_mul(excess.div_ceil(units.max(1)))
            }
            Window::Concurrent => Duration::ZERO,
            Window::Rolling(length) => {
                let mut left = excess;
                for (time, units) in &self.charges {
                    left = left.saturating_sub(*units);
                    if left == 0 {
                        return nanos(time.saturating_add(period(length)) - now);
                    }
                }
                length
            }
        }
    }
}

fn period(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

fn nanos(length: i64) -> Duration {
    Duration::from_nanos(u64::try_from(length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use connector_core::dialect::Source;
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const KEY: ScopeKey = ScopeKey::Account(AccountId(1));

    fn pool(window: Window) -> Pool {
        let source = Source { url: "", read: "" };
        Pool { name: "weight", limit: 10, window, scope: Scope::Account, used_header: None, source }
    }

    fn limits(window: Window) -> Limits {
        Limits::new(&[pool(window)], Escalation { violations: 0, ..Escalation::default() })
    }

    fn at(nanos: i64) -> UnixNanos {
        UnixNanos(nanos)
    }

    #[test]
    fn fixed_windows_start_on_the_venues_clock() {
        let mut limits = limits(Window::Fixed(Duration::from_secs(60)));
        assert!(!limits.charge("weight", KEY, 10, at(59 * SECOND)).over);
        let over = limits.charge("weight", KEY, 1, at(59 * SECOND));
        assert_eq!((over.used, over.over, over.retry_after), (11, true, Duration::from_secs(1)));
        assert_eq!(limits.charge("weight", KEY, 1, at(60 * SECOND)).used, 1);
    }

    #[test]
    fn rolling_windows_never_reset_at_once() {
        let mut limits = limits(Window::Rolling(Duration::from_secs(10)));
        limits.charge("weight", KEY, 6, at(0));
        limits.charge("weight", KEY, 4, at(5 * SECOND));
        let over = limits.charge("weight", KEY, 1, at(9 * SECOND));
        assert_eq!((over.used, over.over, over.retry_after), (11, true, Duration::from_secs(1)));
        assert_eq!(limits.used("weight", KEY, at(10 * SECOND)), 5);
    }

    #[test]
    fn a_bucket_gives_back_one_unit_at_a_time() {
        let mut limits = limits(Window::Bucket { units: 2, every: Duration::from_secs(1) });
        assert!(!limits.charge("weight", KEY, 10, at(0)).over);
        assert_eq!(limits.used("weight", KEY, at(SECOND / 2 - 1)), 10);
        assert_eq!(limits.used("weight", KEY, at(SECOND / 2)), 9);
        // What has passed of the next unit's time is not lost by a charge in between.
        assert_eq!(limits.charge("weight", KEY, 1, at(SECOND * 9 / 10)).used, 10);
        assert_eq!(limits.used("weight", KEY, at(SECOND)), 9);
        let over = limits.charge("weight", KEY, 4, at(SECOND));
        assert_eq!((over.used, over.over), (13, true));
        let later = at(SECOND + period(over.retry_after));
        assert!(limits.used("weight", KEY, later) <= 10, "{over:?}");
        // An empty bucket saves nothing up.
        assert_eq!(limits.charge("weight", KEY, 10, at(100 * SECOND)).used, 10);
        assert!(limits.charge("weight", KEY, 1, at(100 * SECOND)).over);
    }

    #[test]
    fn a_decaying_counter_falls_on_the_clock() {
        let mut limits = limits(Window::Decay { units: 3, every: Duration::from_secs(1) });
        assert!(!limits.charge("weight", KEY, 10, at(SECOND * 9 / 10)).over);
        assert_eq!(limits.used("weight", KEY, at(SECOND)), 7);
        assert_eq!(limits.used("weight", KEY, at(SECOND * 19 / 10)), 7);
        let over = limits.charge("weight", KEY, 8, at(SECOND * 3 / 2));
        assert_eq!((over.used, over.over, over.retry_after), (15, true, Duration::from_secs(2)));
        assert_eq!(limits.used("weight", KEY, at(SECOND * 7 / 2)), 9);
        assert_eq!(limits.used("weight", KEY, at(60 * SECOND)), 0);
    }

    #[test]
    fn requests_that_are_answered_at_once_are_never_under_way_together() {
        let mut limits = limits(Window::Concurrent);
        assert!(!limits.charge("weight", KEY, 10, at(0)).over);
        assert_eq!(limits.charge("weight", KEY, 1, at(0)).used, 1);
        let over = limits.charge("weight", KEY, 11, at(0));
        assert_eq!((over.over, over.retry_after), (true, Duration::ZERO));
        assert_eq!(limits.used("weight", KEY, at(0)), 0);
    }

    #[test]
    fn keys_do_not_share_and_budgets_can_be_cut_spent_and_credited() {
        let mut limits = limits(Window::Fixed(Duration::from_secs(60)));
        limits.spend("weight", KEY, 10, at(0));
        assert!(!limits.charge("weight", ScopeKey::Account(AccountId(2)), 10, at(0)).over);
        limits.credit("weight", KEY, 5, at(0));
        assert_eq!(limits.charge("weight", KEY, 1, at(0)).used, 6);
        limits.credit("weight", KEY, 50, at(0));
        assert_eq!(limits.used("weight", KEY, at(0)), 0);
        limits.set_limit("weight", Some(2));
        assert!(limits.charge("weight", KEY, 3, at(0)).over);
        limits.set_limit("weight", None);
        assert!(!limits.charge("weight", KEY, 3, at(0)).over);
        assert_eq!(limits.violations(), 1);
    }

    #[test]
    fn violations_end_in_bans_that_grow() {
        let mut limits = limits(Window::Fixed(Duration::from_secs(1)));
        limits.set_escalation(Escalation { violations: 3, ..Escalation::default() });
        let mut ban = |from: i64| {
            assert_eq!(limits.charge("weight", KEY, 99, at(from)).banned_until, None);
            assert_eq!(limits.charge("weight", KEY, 1, at(from)).banned_until, None);
            let until = limits.charge("weight", KEY, 1, at(from)).banned_until.unwrap();
            let during = limits.charge("weight", KEY, 1, at(until.0 - SECOND));
            assert_eq!((during.over, during.retry_after), (true, Duration::from_secs(1)));
            until.0
        };
        let first = ban(0);
        assert_eq!(first, 120 * SECOND);
        assert_eq!(ban(first), first + 240 * SECOND);
        assert!(!limits.charge("weight", KEY, 1, at(1_000 * SECOND)).over);
    }

    proptest! {
        /// Each unit leaves a bucket one unit's time after the one before it, or after it came into an empty bucket.
        #[test]
        fn a_bucket_agrees_with_units_that_leave_one_after_another(
            steps in prop::collection::vec((0_i64..3 * SECOND, 0_u32..5), 1..60),
        ) {
            let mut limits = limits(Window::Bucket { units: 2, every: Duration::from_secs(1) });
            let (mut now, mut leaves) = (0, Vec::<i64>::new());
            for (wait, units) in steps {
                now += wait;
                for _ in 0..units {
                    let last = leaves.last().copied().unwrap_or(now).max(now);
                    leaves.push(last + SECOND / 2);
                }
                let expected = leaves.iter().filter(|time| **time > now).count();
                let charged = limits.charge("weight", KEY, units, at(now));
                prop_assert_eq!(charged.used as usize, expected);
                prop_assert_eq!(charged.over, expected > 10);
            }
        }

        #[test]
        fn rolling_agrees_with_a_sum_over_the_last_period(
            steps in prop::collection::vec((0_i64..4 * SECOND, 0_u32..5), 1..60),
        ) {
            let mut limits = limits(Window::Rolling(Duration::from_secs(10)));
            let (mut now, mut log) = (0, Vec::new());
            for (wait, units) in steps {
                now += wait;
                log.push((now, units));
                let charged = limits.charge("weight", KEY, units, at(now));
                let expected: u32 = log.iter().filter(|(time, _)| *time > now - 10 * SECOND).map(|(_, u)| u).sum();
                prop_assert_eq!(charged.used, expected);
                prop_assert_eq!(charged.over, expected > 10);
            }
        }
    }
}
