//! One limit's counter: how much is used, and when there will be room.
//!
//! Not a smoothing bucket: both kinds of window count exactly what a venue counts, and err on the side of too much.

use std::collections::VecDeque;

use super::bucket::Bucket;
use crate::dialect::{Pool, Window};
use crate::mutants::{self, Mutant};
use crate::throttle::Guard;
use crate::time::{Mono, Now};

/// Slots a rolling period is divided into. A charge comes back when its whole slot has aged, at most 1/256 too late.
const SLOTS: u64 = 256;

/// Both clocks of one moment, the venue's as nanoseconds since the Unix epoch.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) mono: Mono,
    pub(super) venue_ns: i64,
}

impl Moment {
    pub(super) fn new(now: Now, offset_ns: i64) -> Self {
        Self { mono: now.mono, venue_ns: mono_ns(now.mono).saturating_add(offset_ns) }
    }

    /// The same moment-to-be on our clock, never in the past.
    fn mono_of(self, venue_ns: i64) -> Mono {
        let wait = venue_ns.saturating_sub(self.venue_ns);
        Mono(self.mono.0.saturating_add(u64::try_from(wait).unwrap_or(0)))
    }
}

fn mono_ns(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

/// Units per whole multiple of the period on the venue's clock.
///
/// A request near an edge may land on either side of it: it is charged to both windows. So nothing is lost while a burst
/// at the start of each window uses it up, and no error within the guard can exceed a window.
struct Fixed {
    period: i64,
    early: i64,
    late: i64,
    /// The window of the last moment seen; `used` is of the window before, this one, and the next.
    index: i64,
    /// When that window began.
    start: i64,
    used: [u32; 3],
}

impl Fixed {
    fn new(period: i64, guard: Guard) -> Self {
        let period = period.max(8);
        Self {
            period,
            // Two edges of one window must stay apart, whatever the guard asks for.
            early: nanos(guard.early).min(period / 8),
            late: nanos(guard.late).min(period / 2),
            index: i64::MIN,
            start: i64::MIN,
            used: [0; 3],
        }
    }

    /// Whether a moment lies in the window of the last one seen.
    const fn is_current(&self, at: Moment) -> bool {
        at.venue_ns >= self.start && at.venue_ns.saturating_sub(self.start) < self.period
    }

    fn roll(&mut self, at: Moment) {
        if self.is_current(at) {
            return;
        }
        let index = at.venue_ns.div_euclid(self.period);
        self.start = index.saturating_mul(self.period);
        let [before, current, next] = self.used;
        self.used = match index.saturating_sub(self.index) {
            0 => return,
            1 => [current, next, 0],
            2 => [next, 0, 0],
            // A slightly corrected clock fell back over the edge: both windows' charges may be in this one.
            -1 => [before, before.saturating_add(current), current],
            _ => [0; 3],
        };
        self.index = index;
    }

    /// Charges whose window is in doubt after the clock was set count in every window they may be in.
    fn clock_set(&mut self, step_ns: i64, at: Moment) {
        if self.index != i64::MIN && step_ns.saturating_abs() >= self.period / 16 {
            let [before, current, next] = self.used;
            // The step may also have joined the window before with this one.
            let total = before.saturating_add(current).saturating_add(next);
            self.index = at.venue_ns.div_euclid(self.period);
            self.start = self.index.saturating_mul(self.period);
            let (_, last) = self.span(at);
            self.used = [total, total, if last > self.index { total } else { 0 }];
        }
    }

    /// First and last window a request sent now may land in.
    fn span(&self, at: Moment) -> (i64, i64) {
        if self.is_current(at) {
            // Early and late together are less than a window, so only its neighbours come into question. No division.
            let since = at.venue_ns.saturating_sub(self.start);
            let first = if since < self.early { self.index.saturating_sub(1) } else { self.index };
            let beyond = since.saturating_add(self.early + self.late) >= self.period;
            return (first, if beyond { self.index.saturating_add(1) } else { self.index });
        }
        let first = at.venue_ns.saturating_sub(self.early).div_euclid(self.period);
        let last = at.venue_ns.saturating_add(self.early + self.late).div_euclid(self.period);
        (first, last)
    }

    fn slot(&mut self, index: i64) -> Option<&mut u32> {
        let position = usize::try_from(index.checked_sub(self.index)?.checked_add(1)?).ok()?;
        self.used.get_mut(position)
    }

    fn used_in(&self, index: i64) -> u32 {
        let position =
            index.checked_sub(self.index).and_then(|gap| usize::try_from(gap.checked_add(1)?).ok());
        position.and_then(|position| self.used.get(position)).copied().unwrap_or(0)
    }

    fn ready(&self, units: u32, allowed: u32, at: Moment) -> Mono {
        let full = |index: i64| self.used_in(index).saturating_add(units) > allowed;
        let (first, last) = self.span(at);
        let Some(mut blocked) = (first..=last).rev().find(|index| full(*index)) else {
            return at.mono;
        };
        // Windows beyond the next are untouched, so this ends.
        while full(blocked.saturating_add(1)) && blocked <= self.index {
            blocked = blocked.saturating_add(1);
        }
        at.mono_of(blocked.saturating_add(1).saturating_mul(self.period).saturating_add(self.early))
    }
}

/// Units over the last period at any moment.
struct Rolling {
    slot: u64,
    hold: u64,
    /// `(slot number, units)`, rising; at most about [`SLOTS`].
    charged: VecDeque<(u64, u32)>,
    used: u32,
}

impl Rolling {
    fn new(period: u64, guard: Guard) -> Self {
        let period = period.max(1);
        // Requests may arrive closer together than they were sent; a small part of the period covers what is usual.
        let jitter = u64::try_from(guard.late.as_nanos()).unwrap_or(u64::MAX).min(period / SLOTS);
        Self { slot: period.div_ceil(SLOTS), hold: period + jitter, charged: VecDeque::new(), used: 0 }
    }

    fn back_at(&self, slot: u64) -> u64 {
        slot.saturating_add(1).saturating_mul(self.slot).saturating_add(self.hold)
    }

    fn roll(&mut self, now: Mono) {
        while let Some(&(slot, units)) = self.charged.front() {
            if self.back_at(slot) > now.0 {
                break;
            }
            self.used = self.used.saturating_sub(units);
            self.charged.pop_front();
        }
    }

    fn take(&mut self, units: u32, now: Mono) {
        let slot = now.0 / self.slot;
        self.used = self.used.saturating_add(units);
        match self.charged.back_mut() {
            Some((last, sum)) if *last >= slot => *sum = sum.saturating_add(units),
            _ => self.charged.push_back((slot, units)),
        }
    }

    /// Takes from the oldest charges, so that what remains is held no shorter than it should be.
    fn give_back(&mut self, mut units: u32) {
        for (_, sum) in &mut self.charged {
            let part = units.min(*sum);
            *sum -= part;
            units -= part;
            self.used = self.used.saturating_sub(part);
        }
        self.charged.retain(|(_, sum)| *sum > 0);
    }

    fn ready(&self, units: u32, allowed: u32, now: Mono) -> Mono {
        let mut used = self.used;
        let mut at = now;
        for &(slot, sum) in &self.charged {
            if used.saturating_add(units) <= allowed {
                break;
            }
            used = used.saturating_sub(sum);
            at = Mono(self.back_at(slot)).max(now);
        }
        at
    }
}

enum State {
    Fixed(Fixed),
    Rolling(Rolling),
    Bucket(Bucket),
    /// Units under way.
    Concurrent(u32),
}

/// One pool's counter.
pub(super) struct Counter {
    pub(super) pool: &'static Pool,
    /// Units we may use per window.
    pub(super) capacity: u32,
    pub(super) closed_until: Option<Mono>,
    state: State,
    /// Charges before this moment can no longer be told apart, so they are not given back.
    settled: Mono,
    warned: Option<i64>,
}

impl Counter {
    pub(super) fn new(pool: &'static Pool, share: u8, guard: Guard) -> Self {
        let capacity = Self::usable(pool, pool.limit, share);
        let state = match pool.window {
            Window::Fixed(every) | Window::Rolling(every) if mutants::is(Mutant::BucketForWindow) => {
                State::Bucket(Bucket::new(pool.limit, every, share, guard))
            }
            Window::Fixed(period) => State::Fixed(Fixed::new(nanos(period), guard)),
            Window::Rolling(period) => {
                State::Rolling(Rolling::new(u64::try_from(nanos(period)).unwrap_or(1), guard))
            }
            Window::Bucket { units, every } | Window::Decay { units, every } => {
                State::Bucket(Bucket::new(units, every, share, guard))
            }
            Window::Concurrent => State::Concurrent(0),
        };
        Self { pool, capacity, closed_until: None, state, settled: Mono(0), warned: None }
    }

    /// What we may use of a limit.
    pub(super) fn usable(pool: &Pool, limit: u32, share: u8) -> u32 {
        let step = match pool.window {
            Window::Decay { units, .. } => units,
            _ => 0,
        };
        super::share(limit.saturating_sub(step), share)
    }

    pub(super) fn roll(&mut self, at: Moment) {
        match &mut self.state {
            State::Fixed(window) => window.roll(at),
            State::Rolling(window) => window.roll(at.mono),
            State::Bucket(window) => window.roll(at.mono),
            State::Concurrent(_) => {}
        }
        if self.closed_until.is_some_and(|until| until <= at.mono) {
            self.closed_until = None;
        }
    }

    pub(super) fn clock_set(&mut self, step_ns: i64, at: Moment) {
        if let State::Fixed(window) = &mut self.state {
            window.clock_set(step_ns, at);
            self.settled = at.mono;
        }
    }

    /// Units counted in the current window.
    pub(super) fn used(&self) -> u32 {
        match &self.state {
            State::Fixed(window) => window.used_in(window.index),
            State::Rolling(window) => window.used,
            State::Bucket(window) => window.used(),
            State::Concurrent(used) => *used,
        }
    }

    /// The request that took `units` has been answered.
    pub(super) fn release(&mut self, units: u32) {
        if let State::Concurrent(used) = &mut self.state {
            *used = used.saturating_sub(units);
        }
    }

    /// When `units` fit below `allowed`: `at` itself if they do now. `units` must not exceed `allowed`.
    pub(super) fn ready(&self, units: u32, allowed: u32, at: Moment) -> Mono {
        let free = match &self.state {
            State::Fixed(window) => window.ready(units, allowed, at),
            State::Rolling(window) => window.ready(units, allowed, at.mono),
            State::Bucket(window) => window.ready(units, allowed, at.mono),
            State::Concurrent(used) if used.saturating_add(units) <= allowed => at.mono,
            // Only an answer makes room.
            State::Concurrent(_) => Mono(u64::MAX),
        };
        self.closed_until.map_or(free, |until| until.max(free))
    }

    pub(super) fn take(&mut self, units: u32, at: Moment) {
        match &mut self.state {
            State::Fixed(window) => {
                let (first, last) = window.span(at);
                for index in first..=last {
                    if let Some(used) = window.slot(index) {
                        *used = used.saturating_add(units);
                    }
                }
            }
            State::Rolling(window) => window.take(units, at.mono),
            State::Bucket(window) => window.take(units),
            State::Concurrent(used) => *used = used.saturating_add(units),
        }
    }

    /// `units` charged at `sent` are not counted by the venue after all.
    pub(super) fn give_back(&mut self, units: u32, sent: Moment, at: Moment) {
        if sent.mono < self.settled {
            return;
        }
        match &mut self.state {
            State::Fixed(window) => {
                let (first, last) = window.span(sent);
                for index in first..=last {
                    if let Some(used) = window.slot(index) {
                        *used = used.saturating_sub(units);
                    }
                }
            }
            State::Rolling(window) => {
                // What has aged out already is no longer counted.
                if window.back_at(sent.mono.0 / window.slot) > at.mono.0 {
                    window.give_back(units);
                }
            }
            State::Bucket(window) => window.give_back(units),
            // These are given back by the answer.
            State::Concurrent(_) => {}
        }
    }

    /// The venue counted `used` at some moment between `sent` and `at`.
    pub(super) fn observe(&mut self, used: u32, sent: Moment, at: Moment) {
        match &mut self.state {
            State::Fixed(window) => {
                let from = sent.venue_ns.saturating_sub(window.early).div_euclid(window.period);
                let to = at.venue_ns.saturating_add(window.early).div_euclid(window.period);
                // An answer from the window before must not fill this one.
                if from == to
                    && let Some(known) = window.slot(to)
                {
                    *known = used.max(*known);
                }
            }
            State::Rolling(window) => {
                let more = used.saturating_sub(window.used);
                if more > 0 {
                    window.take(more, at.mono);
                }
            }
            State::Bucket(window) => window.observe(used),
            State::Concurrent(_) => {}
        }
    }

    /// Whether use has reached `percent` of the capacity.
    pub(super) fn is_near(&self, percent: u8) -> bool {
        u64::from(self.used()) * 100 >= u64::from(self.capacity) * u64::from(percent)
    }

    /// Whether use has reached `percent` of the capacity for the first time in this window.
    pub(super) fn near_limit(&mut self, percent: u8, at: Moment) -> bool {
        let window = match &self.state {
            State::Fixed(window) => window.index,
            State::Rolling(_) | State::Bucket(_) => {
                mono_ns(at.mono).div_euclid(nanos(self.pool.window.period()).max(1))
            }
            // A full house passes in a moment, and is told once.
            State::Concurrent(_) => 0,
        };
        let first = self.is_near(percent) && self.warned != Some(window);
        if first {
            self.warned = Some(window);
        }
        first
    }
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}
