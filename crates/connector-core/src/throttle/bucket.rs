//! Limits that come back unit by unit: token buckets and counters that decay.
//!
//! The level is kept in exact integers: units times the nanoseconds in which they come back. A venue that takes its units
//! back in steps is at most one step behind the steady course, so one step of its limit is left unused.

use std::time::Duration;

use crate::throttle::Guard;
use crate::time::Mono;

pub(super) struct Bucket {
    /// Nanoseconds, times 100 because rates are per cent of the venue's, in which `rate` units come back.
    scale: u128,
    rate: u128,
    /// What requests that arrive closer together than they were sent may add.
    slack: u128,
    level: u128,
    at: Mono,
}

impl Bucket {
    /// `share` per cent of `units` come back in `every`.
    pub(super) fn new(units: u32, every: Duration, share: u8, guard: Guard) -> Self {
        let every = every.as_nanos().max(1);
        let rate = u128::from(units.max(1)) * u128::from(share);
        let jitter = guard.late.as_nanos().min(every / 256);
        Self { scale: every * 100, rate, slack: jitter * rate, level: 0, at: Mono(0) }
    }

    pub(super) fn roll(&mut self, now: Mono) {
        let back = now.since(self.at).as_nanos() * self.rate;
        self.level = self.level.saturating_sub(back);
        self.at = self.at.max(now);
    }

    /// Units used, begun ones included.
    pub(super) fn used(&self) -> u32 {
        u32::try_from(self.level.div_ceil(self.scale)).unwrap_or(u32::MAX)
    }

    pub(super) fn ready(&self, units: u32, allowed: u32, now: Mono) -> Mono {
        let (more, bound) = (u128::from(units) * self.scale, u128::from(allowed) * self.scale);
        let level = if self.level == 0 { 0 } else { self.level.max(self.slack) };
        if level + more <= bound {
            return now;
        }
        // Without room for the slack, only an empty bucket will do.
        let excess = if self.slack + more > bound { self.level } else { level + more - bound };
        let wait = u64::try_from(excess.div_ceil(self.rate)).unwrap_or(u64::MAX);
        Mono(now.0.saturating_add(wait))
    }

    pub(super) fn take(&mut self, units: u32) {
        self.level = self.level.max(self.slack) + u128::from(units) * self.scale;
    }

    pub(super) fn give_back(&mut self, units: u32) {
        self.level = self.level.saturating_sub(u128::from(units) * self.scale);
    }

    pub(super) fn observe(&mut self, used: u32) {
        self.level = self.level.max(u128::from(used) * self.scale);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the venue's own counter, which takes its units back in steps of any phase, with requests that arrive late.
        #[test]
        fn the_venue_s_counter_never_exceeds_its_limit(
            (units, step_ms, limit) in (1_u32..5, 1_u64..3000, 6_u32..50),
            phase in 0_u64..3_000_000_000,
            steady in any::<bool>(),
            requests in prop::collection::vec((1_u32..5, 0_u64..2_000_000_000, 0_u64..1000), 1..80),
        ) {
            let every = Duration::from_millis(step_ms);
            let step = u64::try_from(every.as_nanos()).unwrap();
            // A token bucket gives unit by unit, and no step of its limit is left unused.
            let (venue_units, venue_step) = if steady { (1, step / u64::from(units)) } else { (units, step) };
            let capacity = if steady { limit } else { limit - units };
            let guard = Guard { early: Duration::ZERO, late: Duration::from_nanos(step / 256) };
            let mut bucket = Bucket::new(units, every, 100, guard);
            let mut arrivals = Vec::new();
            let mut now = Mono(0);
            for (cost, pause, late) in requests {
                // What costs more than a pool holds is refused before it gets here.
                let cost = cost.min(capacity);
                now = Mono(now.0 + pause);
                bucket.roll(now);
                let ready = bucket.ready(cost, capacity, now);
                prop_assert!(ready >= now);
                now = ready;
                bucket.roll(now);
                prop_assert_eq!(bucket.ready(cost, capacity, now), now, "the promised moment is one");
                bucket.take(cost);
                arrivals.push((now.0 + step / 256 * late / 1000, u128::from(cost)));
            }
            arrivals.sort_unstable();
            // In exact fractions of a unit if steady, in whole steps otherwise.
            let (mut level, mut last) = (0_u128, 0_u64);
            for (at, cost) in arrivals {
                if steady {
                    level = level.saturating_sub(u128::from(at - last) * u128::from(units));
                    level += cost * u128::from(step);
                    prop_assert!(level <= u128::from(limit) * u128::from(step));
                } else {
                    let steps = (at + phase) / venue_step - (last + phase) / venue_step;
                    level = level.saturating_sub(u128::from(steps) * u128::from(venue_units)) + cost;
                    prop_assert!(level <= u128::from(limit), "{level} of {limit}");
                }
                last = at;
            }
        }

        /// What is not used is not lost: a saturated bucket passes what comes back, but for the slack.
        #[test]
        fn a_saturated_bucket_is_used(units in 1_u32..10, limit in 20_u32..100) {
            let every = Duration::from_secs(1);
            let mut bucket = Bucket::new(units, every, 100, Guard::default());
            let (mut now, mut passed) = (Mono(0), 0_u32);
            while now.0 < 60_000_000_000 {
                bucket.roll(now);
                now = bucket.ready(1, limit, now);
                bucket.roll(now);
                bucket.take(1);
                passed += 1;
            }
            prop_assert!(passed >= limit + 60 * units - 2, "{passed}");
        }
    }
}
