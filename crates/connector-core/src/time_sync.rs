//! The venue's clock, estimated from answers that carry its time.
//!
//! Kept against the local clock that never steps, so that setting the machine's clock does not move it. **Invariant**: within the
//! stated drift, [`TimeSync::venue_time`] is never ahead of the venue, which would refuse a request from the future.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Mono, Now, UnixNanos};

/// Samples kept; the best of them counts.
const SAMPLES: usize = 8;
/// A clock this far off its rate is broken; ordinary ones stay within a tenth of it.
const DRIFT_PPM: i64 = 200;
/// A larger change between the machine's two clocks is a step or a suspension.
const STEP_NS: i64 = 200_000_000;
/// A first estimate is confirmed quickly, to have a short round trip among the samples.
const SETTLE: Duration = Duration::from_secs(2);
/// Samples until an estimate counts as settled.
const SETTLED: usize = 3;
/// Between samples of a settled estimate: in this time [`DRIFT_PPM`] makes 60 ms.
const RENEW: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
struct Sample {
    received: Mono,
    /// Venue's UTC minus local monotonic time at the middle of the round trip.
    offset_ns: i64,
    /// Half of the round trip: the answer was made somewhere in it.
    error_ns: i64,
}

impl Sample {
    /// The error bound at `now`, which grows with age.
    fn error_at(&self, now: Mono) -> i64 {
        let age = nanos(now.since(self.received));
        self.error_ns.saturating_add(age / 1_000_000 * DRIFT_PPM)
    }
}

/// The estimate of the venue's clock.
#[derive(Clone, Debug, Default)]
pub struct TimeSync {
    samples: VecDeque<Sample>,
    /// Machine's UTC minus monotonic time when the last sample arrived.
    local_ns: Option<i64>,
    demanded: bool,
}

impl TimeSync {
    /// Takes one answer: `venue` is the venue's time, read between `sent` and `received`. A venue that rounds its time
    /// down, as is usual, only makes the estimate more careful.
    ///
    /// `false` and nothing changed if the times cannot be true.
    pub fn sample(&mut self, sent: Now, received: Now, venue: UnixNanos) -> bool {
        if received.mono < sent.mono {
            return false;
        }
        let trip = nanos(received.mono.since(sent.mono));
        let middle = mono_ns(sent.mono).saturating_add(trip / 2);
        let offset_ns = venue.0.saturating_sub(middle);
        let sample = Sample { received: received.mono, offset_ns, error_ns: trip.saturating_add(1) / 2 };
        // After a step or suspension, or if the venue's own clock was set, older samples are of another clock.
        if self.stepped(received) || self.contradicts(&sample) {
            self.samples.clear();
        }
        while self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.local_ns = Some(local_ns(received));
        self.demanded = false;
        true
    }

    /// Asks for a new sample, because the venue refused a time stamp.
    pub const fn demand(&mut self) {
        self.demanded = true;
    }

    /// Whether a new sample should be taken.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        self.stepped(now) || self.due_at().is_none_or(|due| due <= now.mono)
    }

    /// When the next sample is due if no clock steps until then; `None` for at once.
    #[must_use]
    pub fn due_at(&self) -> Option<Mono> {
        let last = self.samples.back().filter(|_| !self.demanded)?;
        Some(last.received.after(if self.samples.len() < SETTLED { SETTLE } else { RENEW }))
    }

    /// Whether the venue's clock is known at all.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        !self.samples.is_empty()
    }

    /// The venue's time at `now`, never ahead of it: the estimate minus its error bound. Without samples, the machine's UTC.
    #[must_use]
    pub fn venue_time(&self, now: Now) -> UnixNanos {
        self.best(now.mono).map_or(now.utc, |best| {
            let time = mono_ns(now.mono).saturating_add(best.offset_ns);
            UnixNanos(time.saturating_sub(best.error_at(now.mono)))
        })
    }

    /// The venue's UTC minus [`Mono`], in nanoseconds, as estimated: for [`Throttler::set_clock`](crate::throttle::Throttler::set_clock).
    #[must_use]
    pub fn offset_ns(&self, now: Now) -> Option<i64> {
        self.best(now.mono).map(|best| best.offset_ns)
    }

    /// How far the venue's clock is ahead of the machine's UTC, in nanoseconds: for people.
    #[must_use]
    pub fn skew_ns(&self, now: Now) -> Option<i64> {
        self.offset_ns(now).map(|offset| offset.saturating_sub(local_ns(now)))
    }

    /// How far off the estimate may be, either way.
    #[must_use]
    pub fn error_bound(&self, now: Now) -> Option<Duration> {
        let error = self.best(now.mono)?.error_at(now.mono);
        Some(Duration::from_nanos(u64::try_from(error).unwrap_or(0)))
    }

    fn best(&self, now: Mono) -> Option<&Sample> {
        self.samples.iter().min_by_key(|sample| sample.error_at(now))
    }

    fn stepped(&self, now: Now) -> bool {
        self.local_ns.is_some_and(|known| local_ns(now).saturating_sub(known).saturating_abs() > STEP_NS)
    }

    fn contradicts(&self, sample: &Sample) -> bool {
        self.best(sample.received).is_some_and(|best| {
            let apart = best.offset_ns.saturating_sub(sample.offset_ns).saturating_abs();
            // A venue that tells whole milliseconds is off by up to one of its own.
            apart > best.error_at(sample.received).saturating_add(sample.error_ns).saturating_add(1_000_000)
        })
    }
}

fn local_ns(now: Now) -> i64 {
    now.utc.0.saturating_sub(mono_ns(now.mono))
}

fn mono_ns(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;
    const EPOCH: i64 = 1_795_000_000_000 * MS;

    /// The machine's clocks `at` nanoseconds after start, UTC stepped by `step`.
    fn now(at: i64, step: i64) -> Now {
        Now { mono: Mono(at as u64), utc: UnixNanos(EPOCH + at + step) }
    }

    /// A venue `skew` ahead of the machine, asked at `at`, with these ways out and back.
    fn ask(sync: &mut TimeSync, at: i64, skew: i64, out: i64, back: i64) {
        let venue = UnixNanos((EPOCH + at + out + skew).div_euclid(MS) * MS);
        assert!(sync.sample(now(at, 0), now(at + out + back, 0), venue));
    }

    #[test]
    fn the_shortest_round_trip_wins() {
        let mut sync = TimeSync::default();
        assert!(sync.is_due(now(0, 0)) && !sync.is_synced());
        assert_eq!(sync.venue_time(now(5, 0)), UnixNanos(EPOCH + 5));
        ask(&mut sync, 0, 700 * MS, 150 * MS, 50 * MS);
        ask(&mut sync, 1_000 * MS, 700 * MS, 5 * MS, 5 * MS);
        ask(&mut sync, 2_000 * MS, 700 * MS, 20 * MS, 200 * MS);
        let at = now(2_220 * MS, 0);
        assert_eq!(sync.skew_ns(at), Some(700 * MS));
        assert!(sync.error_bound(at).unwrap() < Duration::from_millis(6));
    }

    #[test]
    fn is_due_soon_then_seldom_and_on_demand() {
        let mut sync = TimeSync::default();
        for at in [0, 2_000, 4_000] {
            assert!(sync.is_due(now(at * MS, 0)));
            ask(&mut sync, at * MS, 0, 0, 0);
            assert!(!sync.is_due(now(at * MS + MS, 0)));
        }
        assert!(!sync.is_due(now(303_999 * MS, 0)) && sync.is_due(now(304_000 * MS, 0)));
        sync.demand();
        assert!(sync.is_due(now(4_001 * MS, 0)));
    }

    #[test]
    fn a_stepped_machine_clock_is_noticed_and_does_not_move_the_estimate() {
        let mut sync = TimeSync::default();
        ask(&mut sync, 0, 0, MS, MS);
        let (before, after) = (now(10 * MS, 0), now(10 * MS, 3_600_000 * MS));
        assert!(sync.is_due(after) && !sync.is_due(before));
        assert_eq!(sync.venue_time(after), sync.venue_time(before));
        let venue = UnixNanos(EPOCH + 11 * MS);
        assert!(sync.sample(after, now(12 * MS, 3_600_000 * MS), venue));
        assert!(!sync.is_due(now(13 * MS, 3_600_000 * MS)));
        assert_eq!(sync.samples.len(), 1);
    }

    #[test]
    fn a_venue_that_sets_its_clock_is_followed() {
        let mut sync = TimeSync::default();
        ask(&mut sync, 0, 500 * MS, MS, MS);
        ask(&mut sync, 1_000 * MS, -500 * MS, MS, MS);
        assert_eq!(sync.skew_ns(now(1_002 * MS, 0)), Some(-500 * MS));
        assert!(!sync.sample(now(9, 0), now(8, 0), UnixNanos(0)), "answered before it was asked");
    }

    proptest! {
        #[test]
        fn is_never_ahead_and_within_its_bound(
            skew in -600_000 * MS..600_000 * MS,
            drift_ppm in -150_i64..150,
            trips in prop::collection::vec((0_i64..400_000 * MS, 0_i64..300 * MS, 0_i64..300 * MS), 1..30),
            later in 0_i64..600_000 * MS,
        ) {
            let venue_at = |at: i64| EPOCH + at + skew + at / 1_000_000 * drift_ppm;
            let mut sync = TimeSync::default();
            let mut at = 0;
            for (pause, out, back) in trips {
                at += pause;
                let told = UnixNanos(venue_at(at + out).div_euclid(MS) * MS);
                prop_assert!(sync.sample(now(at, 0), now(at + out + back, 0), told));
                at += out + back;
            }
            for at in [at, at + later] {
                let told = sync.venue_time(now(at, 0)).0;
                prop_assert!(told <= venue_at(at), "ahead by {} ns", told - venue_at(at));
                let bound = sync.error_bound(now(at, 0)).unwrap().as_nanos() as i64;
                let estimate = at + sync.offset_ns(now(at, 0)).unwrap();
                prop_assert!((estimate - venue_at(at)).abs() <= bound + MS + 1_000);
            }
        }
    }
}
