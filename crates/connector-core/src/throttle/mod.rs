//! The throttler: decides when a request may leave, so that the venue's own counters never exceed its limits.
//!
//! Pure: time is passed in, and nothing waits here. A request names its charges on all pools; they are taken together or not
//! at all. Cancels go before creates, creates before recovery, recovery before what is needed for each pair, that before polls; within a lane, first come, first served.
//! A blocked request keeps what it needs from those behind it, so a heavy one cannot be starved by light ones.
//!
//! **Invariant**: as long as the venue's clock is within [`Guard::early`] of what [`Throttler::set_clock`] said and requests
//! arrive within [`Guard::late`], what we send never exceeds a pool's share in any of the venue's windows.

mod bucket;
mod pool;
mod queue;

use std::time::Duration;

use serde::Serialize;

use crate::dialect::{Cost, Pool, Window};
use crate::error::{Cause, Effect, Error};
use crate::time::{Mono, Now};
use pool::{Counter, Moment};
use queue::{Queue, Waiting};

/// Most pools one venue may declare.
pub const MAX_POOLS: usize = 16;

/// What a request is for; earlier ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Cancels: nothing goes before them.
    Cancel,
    /// New orders.
    Create,
    /// What is needed to know again where we stand: connections, order queries, fills, balances, the venue's clock and rules.
    Recover,
    /// What there may be thousands of at once, one for each pair: book snapshots, fees. Leaves a part of each pool to the others, so
    /// that orders go out while it lasts.
    Bulk,
    /// Everything that can wait.
    Poll,
}

/// How many lanes there are.
const LANES: usize = 5;

impl Lane {
    const ALL: [Self; LANES] = [Self::Cancel, Self::Create, Self::Recover, Self::Bulk, Self::Poll];
}

/// How far reality may be from what we know when a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Bound of the error of our idea of the venue's clock, either way. At most an eighth of a fixed window is used.
    pub early: Duration,
    /// Longest way from here to the venue's counter. At most half of a fixed window, and 1/256 of a rolling one, is used.
    pub late: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { early: Duration::from_millis(50), late: Duration::from_secs(1) }
    }
}

/// How a throttler behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Percentage of each limit to use, 1 to 100; the rest is for other programs.
    pub share: u8,
    /// Time errors to survive.
    pub guard: Guard,
    /// Most waiting requests per lane.
    pub queue_limit: usize,
    /// A lane whose first request has waited this long, and that was not served for as long, gets one turn.
    /// Cancels still go first.
    pub starve_after: Duration,
    /// Percentage of a pool's capacity at which [`Outcome::NearLimit`] is told, once per window.
    pub warn_percent: u8,
    /// Percentage of each pool's capacity that only cancels may use. Rounded down, so small pools reserve nothing.
    pub cancel_reserve_percent: u8,
    /// Percentage of each pool's capacity, beside what is kept for cancels, that [`Lane::Bulk`] leaves to other lanes.
    pub bulk_reserve_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            share: 100,
            guard: Guard::default(),
            queue_limit: 4096,
            starve_after: Duration::from_secs(2),
            warn_percent: 80,
            cancel_reserve_percent: 1,
            bulk_reserve_percent: 9,
        }
    }
}

impl Settings {
    /// Percentage of each pool's capacity that a lane leaves to others.
    const fn reserve(&self, lane: Lane) -> u8 {
        match lane {
            Lane::Cancel => 0,
            Lane::Bulk => self.cancel_reserve_percent.saturating_add(self.bulk_reserve_percent),
            Lane::Create | Lane::Recover | Lane::Poll => self.cancel_reserve_percent,
        }
    }
}

/// A pool of one throttler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u8);

/// What one request takes, by pool. Never more than the pool's capacity when made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges([u32; MAX_POOLS]);

impl Charges {
    /// The charge on one pool.
    #[must_use]
    pub fn on(&self, pool: PoolId) -> u32 {
        self.0.get(usize::from(pool.0)).copied().unwrap_or(0)
    }

    fn add(&mut self, more: &Self) {
        for (sum, units) in self.0.iter_mut().zip(more.0) {
            *sum = sum.saturating_add(units);
        }
    }
}

/// Why a request was not admitted, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shed {
    /// Its lane is full.
    QueueFull,
    /// Its deadline passed before there was room.
    Deadline,
    /// It costs more than a pool can ever hold.
    TooHeavy,
}

impl Shed {
    /// The same for the caller of `operation`: certainly not sent.
    #[must_use]
    pub fn error(self, operation: &str) -> Error {
        let why = match self {
            Self::QueueFull => "too many requests are waiting for the venue's rate limits",
            Self::Deadline => "the venue's rate limits left no room before the request's deadline",
            Self::TooHeavy => "the request costs more than the usable share of the venue's rate limit",
        };
        Error::new(Cause::RateLimited, Effect::NotSent, operation, why)
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Send this request now; its charges are taken.
    Admit(u64),
    /// Do not send this request.
    Shed(u64, Shed),
    /// A pool is near its limit: told once per window.
    NearLimit(PoolUsage),
}

/// How much of a pool is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PoolUsage {
    /// The pool's name.
    pub name: &'static str,
    /// Units counted in the current window, ours and those the venue told us of.
    pub used: u32,
    /// Units we may use per window: our share of the limit.
    pub limit: u32,
    /// Closed until then by the venue.
    #[serde(skip)]
    pub closed_until: Option<Mono>,
}

/// The throttler of one venue. See the [module](self).
pub struct Throttler {
    settings: Settings,
    pools: Vec<Counter>,
    queue: Queue,
    /// The venue's clock minus ours that never steps, nanoseconds.
    offset_ns: Option<i64>,
    banned_until: Option<Mono>,
    wake: Option<Mono>,
}

impl Throttler {
    /// A throttler of these pools.
    ///
    /// # Errors
    /// [`Cause::Usage`]: the share is not 1 to 100, there are more than [`MAX_POOLS`] pools, two have the same name, or one
    /// has no limit or period.
    pub fn new(pools: &'static [Pool], settings: Settings) -> Result<Self, Error> {
        let refuse = |why: String| Err(Error::usage("throttler", why));
        if !(1..=100).contains(&settings.share) {
            return refuse(format!("the share of the rate limits is {} %; use 1 to 100", settings.share));
        }
        if pools.len() > MAX_POOLS {
            return refuse(format!("{} pools are declared; at most {MAX_POOLS} are supported", pools.len()));
        }
        for (position, pool) in pools.iter().enumerate() {
            let timeless = pool.window.period().is_zero() && pool.window != Window::Concurrent;
            if pool.limit == 0 || timeless {
                return refuse(format!("pool {} has no limit or no period", pool.name));
            }
            if let Window::Bucket { units, .. } | Window::Decay { units, .. } = pool.window
                && (units == 0 || matches!(pool.window, Window::Decay { .. }) && units >= pool.limit)
            {
                return refuse(format!("pool {} gives back no units, or its whole limit at once", pool.name));
            }
            if pools.iter().take(position).any(|other| other.name == pool.name) {
                return refuse(format!("pool {} is declared twice", pool.name));
            }
        }
        let pools = pools.iter().map(|pool| Counter::new(pool, settings.share, settings.guard));
        Ok(Self {
            settings,
            pools: pools.collect(),
            queue: Queue::default(),
            offset_ns: None,
            banned_until: None,
            wake: None,
        })
    }

    /// The pool named `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        let position = self.pools.iter().position(|counter| counter.pool.name == name)?;
        u8::try_from(position).ok().map(PoolId)
    }

    /// The charges of a request of `operation` whose parameters `param` looks up.
    ///
    /// # Errors
    /// Nothing sent: [`Cause::Usage`] for a pool that is not declared, [`Cause::RateLimited`] for a cost above the pool's
    /// usable share.
    pub fn charges<'p>(
        &self,
        operation: &str,
        costs: &[Cost],
        param: impl Fn(&str) -> Option<&'p str>,
    ) -> Result<Charges, Error> {
        let mut charges = Charges::default();
        for cost in costs {
            let pool = self.pool(cost.pool).map(|PoolId(pool)| usize::from(pool));
            let Some((pool, units)) = pool.and_then(|pool| charges.0.get_mut(pool).map(|sum| (pool, sum)))
            else {
                return Err(Error::usage(operation, format!("pool {} is not declared", cost.pool)));
            };
            *units = units.saturating_add(cost.weight.of(&param));
            let capacity = self.pools.get(pool).map_or(0, |counter| counter.capacity);
            if *units > capacity {
                let why = format!("costs {units} of pool {}, whose usable share is {capacity}", cost.pool);
                return Err(Error::new(Cause::RateLimited, Effect::NotSent, operation, why));
            }
        }
        Ok(charges)
    }

    /// Whether `costs` can be charged at all: for start-up, with every declared row and link.
    ///
    /// # Errors
    /// As [`charges`](Self::charges), for a request without parameters.
    pub fn check(&self, operation: &str, costs: &[Cost]) -> Result<(), Error> {
        self.charges(operation, costs, |_| None).map(drop)
    }

    /// Tells the venue's clock: its UTC time minus [`Mono`], in nanoseconds. Until the first call the machine's UTC is taken.
    ///
    /// After a large correction, charges whose window is in doubt count in each they may be in.
    pub fn set_clock(&mut self, offset_ns: i64, now: Now) {
        let before = self.offset_ns.unwrap_or_else(|| local_offset(now));
        self.offset_ns = Some(offset_ns);
        let step = offset_ns.saturating_sub(before);
        if step != 0 {
            // Close the books under the old clock before the new one counts.
            let old = Moment::new(now, before);
            let at = Moment::new(now, offset_ns);
            for counter in &mut self.pools {
                counter.roll(old);
                counter.clock_set(step, at);
            }
            self.touch();
        }
    }

    /// Admits at once and takes the charges (`true`), or changes nothing. Never overtakes: it is `false` while anything waits.
    #[must_use]
    pub fn try_admit(&mut self, lane: Lane, charges: &Charges, now: Now) -> bool {
        if !self.queue.is_empty() || self.banned_until.is_some_and(|until| until > now.mono) {
            return false;
        }
        let at = Moment::new(now, self.offset(now));
        let reserve = self.settings.reserve(lane);
        let concerned = || charges.0.iter().copied();
        for (counter, units) in self.pools.iter_mut().zip(concerned()).filter(|(_, units)| *units > 0) {
            counter.roll(at);
            let allowed = allowed(counter, units, reserve);
            if units > allowed || counter.ready(units, allowed, at) > at.mono {
                return false;
            }
        }
        let (warn, mut near) = (self.settings.warn_percent, false);
        for (counter, units) in self.pools.iter_mut().zip(concerned()).filter(|(_, units)| *units > 0) {
            counter.take(units, at);
            near |= counter.is_near(warn);
        }
        if near {
            self.touch();
        }
        true
    }

    /// Lets a request wait for its turn; [`next`](Self::next) decides. `ticket` is the caller's and must not be waiting already.
    ///
    /// # Errors
    /// The request is shed: the lane is full, or the request can never be admitted.
    pub fn enqueue(
        &mut self,
        ticket: u64,
        lane: Lane,
        charges: Charges,
        deadline: Mono,
        now: Now,
    ) -> Result<(), Shed> {
        if self.too_heavy(&charges) {
            return Err(Shed::TooHeavy);
        }
        if self.queue.len(lane) >= self.settings.queue_limit {
            return Err(Shed::QueueFull);
        }
        self.queue.push(lane, Waiting { ticket, charges, deadline, since: now.mono });
        self.touch();
        Ok(())
    }

    /// Forgets a waiting request. `false` if it does not wait.
    pub fn cancel(&mut self, ticket: u64) -> bool {
        self.touch();
        self.queue.remove(ticket).is_some()
    }

    /// The next decision at `now`; call until `None` whenever [`deadline`](Self::deadline) has been reached, which every
    /// other call may bring forward to at once.
    pub fn next(&mut self, now: Now) -> Option<Outcome> {
        let at = self.roll(now);
        self.wake = None;
        if let Some(near) = self.near_limit(at) {
            self.touch();
            return Some(Outcome::NearLimit(near));
        }
        if let Some(ticket) = self.queue.expired(at.mono) {
            self.queue.remove(ticket);
            self.touch();
            return Some(Outcome::Shed(ticket, Shed::Deadline));
        }
        self.wake = self.queue.first_deadline();
        if let Some(until) = self.banned_until.filter(|until| *until > at.mono) {
            if !self.queue.is_empty() {
                self.wake_by(until);
            }
            return None;
        }
        self.banned_until = None;
        if self.queue.is_empty() {
            return None;
        }
        let mut kept = Charges::default();
        for lane in self.order(at.mono) {
            let Some(first) = self.queue.first(lane).copied() else { continue };
            match self.ready(lane, &first.charges, &kept, at) {
                _ if self.too_heavy(&first.charges) => {
                    self.queue.remove(first.ticket);
                    self.touch();
                    return Some(Outcome::Shed(first.ticket, Shed::TooHeavy));
                }
                Some(ready) if ready <= at.mono => {
                    self.queue.remove(first.ticket);
                    self.queue.served(lane, at.mono);
                    self.take(&first.charges, at);
                    self.touch();
                    return Some(Outcome::Admit(first.ticket));
                }
                // Without a time it only waits for those before it.
                ready => ready.into_iter().for_each(|ready| self.wake_by(ready)),
            }
            kept.add(&first.charges);
        }
        None
    }

    /// When [`next`](Self::next) may have something to say; in the past if it should be called now, `None` if nothing waits.
    #[must_use]
    pub const fn deadline(&self) -> Option<Mono> {
        self.wake
    }

    /// The venue answered, between `sent` and `now`, that `used` units of a pool are used. Raises our count, never lowers it.
    pub fn observe_used(&mut self, pool: PoolId, used: u32, sent: Now, now: Now) {
        let at = self.roll(now);
        let sent = Moment::new(sent, self.offset(now));
        if let Some(counter) = self.pools.get_mut(usize::from(pool.0)) {
            counter.observe(used, sent, at);
            self.touch();
        }
    }

    /// [`observe_used`](Self::observe_used) for all pools whose header is among the answer's; `header` looks one up by its lower-case name.
    pub fn observe_headers<'h>(&mut self, header: impl Fn(&str) -> Option<&'h str>, sent: Now, now: Now) {
        for position in 0..self.pools.len() {
            let name = self.pools.get(position).and_then(|counter| counter.pool.used_header);
            let used = name.and_then(&header).and_then(|text| text.trim().parse().ok());
            if let (Some(used), Ok(pool)) = (used, u8::try_from(position)) {
                self.observe_used(PoolId(pool), used, sent, now);
            }
        }
    }

    /// The venue published another limit for a pool.
    pub fn set_limit(&mut self, pool: PoolId, limit: u32) {
        if let Some(counter) = self.pools.get_mut(usize::from(pool.0)) {
            counter.capacity = Counter::usable(counter.pool, limit, self.settings.share);
            self.touch();
        }
    }

    /// Nothing that charges `pool` is admitted before `until`. Never shortens an earlier call.
    pub fn close(&mut self, pool: PoolId, until: Mono) {
        if let Some(counter) = self.pools.get_mut(usize::from(pool.0)) {
            counter.closed_until = counter.closed_until.max(Some(until));
            self.touch();
        }
    }

    /// Nothing at all is admitted before `until`: for bans, and refusals that do not name a pool. Never shortens an earlier call.
    pub fn close_all(&mut self, until: Mono) {
        self.banned_until = self.banned_until.max(Some(until));
        self.touch();
    }

    /// Until when nothing at all is admitted.
    #[must_use]
    pub const fn closed_until(&self) -> Option<Mono> {
        self.banned_until
    }

    /// The venue does not count `units` of a request sent at `sent` after all, as documented for it.
    pub fn refund(&mut self, pool: PoolId, units: u32, sent: Now, now: Now) {
        let at = self.roll(now);
        let sent = Moment::new(sent, self.offset(now));
        if let Some(counter) = self.pools.get_mut(usize::from(pool.0)) {
            counter.give_back(units, sent, at);
            self.touch();
        }
    }

    /// The request that took `charges` is over, answered or not: its places in pools of concurrent requests are free.
    pub fn release(&mut self, charges: &Charges) {
        for (counter, units) in self.pools.iter_mut().zip(charges.0) {
            counter.release(units);
        }
        self.touch();
    }

    /// All pools at `now`, in declared order.
    pub fn usage(&mut self, now: Now) -> Vec<PoolUsage> {
        self.roll(now);
        let banned = self.banned_until.filter(|until| *until > now.mono);
        let one = |counter: &Counter| usage(counter, banned);
        self.pools.iter().map(one).collect()
    }

    /// Requests waiting in a lane.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> usize {
        self.queue.len(lane)
    }

    /// Cancels first, then lanes that starve, the longest first, then the rest in their order.
    fn order(&mut self, now: Mono) -> [Lane; LANES] {
        let mut order = Lane::ALL;
        let bound = self.settings.starve_after;
        let mut keys = [(true, Mono(u64::MAX)); LANES];
        // A lane that waits alone cannot be passed over.
        let rivals = Lane::ALL.into_iter().skip(1).filter(|lane| self.queue.len(*lane) > 0).count();
        for (lane, key) in Lane::ALL.into_iter().zip(&mut keys).skip(1).filter(|_| rivals > 1) {
            if let Some(since) = self.queue.unserved_since(lane) {
                if now.since(since) >= bound {
                    *key = (false, since);
                } else {
                    self.wake_by(since.after(bound));
                }
            }
        }
        if let Some(others) = order.get_mut(1..) {
            others.sort_by_key(|lane| keys.get(*lane as usize).copied());
        }
        order
    }

    /// When a lane's request fits beside what is kept for those before it; `None` if not before they have gone.
    fn ready(&self, lane: Lane, charges: &Charges, kept: &Charges, at: Moment) -> Option<Mono> {
        let mut ready = at.mono;
        for ((counter, units), kept) in self.pools.iter().zip(charges.0).zip(kept.0) {
            if units == 0 {
                continue;
            }
            let reserve = self.settings.reserve(lane);
            let allowed = allowed(counter, units, reserve);
            let together = units.saturating_add(kept);
            if together > allowed {
                return None;
            }
            ready = ready.max(counter.ready(together, allowed, at));
        }
        Some(ready)
    }

    fn take(&mut self, charges: &Charges, at: Moment) {
        for (counter, units) in self.pools.iter_mut().zip(charges.0).filter(|(_, units)| *units > 0) {
            counter.take(units, at);
        }
    }

    fn too_heavy(&self, charges: &Charges) -> bool {
        self.pools.iter().zip(charges.0).any(|(counter, units)| units > counter.capacity)
    }

    fn near_limit(&mut self, at: Moment) -> Option<PoolUsage> {
        let percent = self.settings.warn_percent;
        let near = |counter: &mut Counter| counter.near_limit(percent, at).then(|| usage(counter, None));
        self.pools.iter_mut().find_map(near)
    }

    fn offset(&mut self, now: Now) -> i64 {
        *self.offset_ns.get_or_insert_with(|| local_offset(now))
    }

    fn roll(&mut self, now: Now) -> Moment {
        let at = Moment::new(now, self.offset(now));
        for counter in &mut self.pools {
            counter.roll(at);
        }
        at
    }

    /// Makes the caller come back at once.
    const fn touch(&mut self) {
        self.wake = Some(Mono(0));
    }

    fn wake_by(&mut self, at: Mono) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

fn usage(counter: &Counter, banned: Option<Mono>) -> PoolUsage {
    PoolUsage {
        name: counter.pool.name,
        used: counter.used(),
        limit: counter.capacity,
        closed_until: counter.closed_until.max(banned),
    }
}

/// What of a pool `units` may fill, where `reserve` per cent are kept for others. A request heavier than what the reserve
/// leaves has the whole pool, or it could never go.
fn allowed(counter: &Counter, units: u32, reserve: u8) -> u32 {
    let open = counter.capacity.saturating_sub(percent(counter.capacity, reserve));
    if units > open { counter.capacity } else { open }
}

fn local_offset(now: Now) -> i64 {
    now.utc.0.saturating_sub(i64::try_from(now.mono.0).unwrap_or(i64::MAX))
}

fn percent(whole: u32, percent: u8) -> u32 {
    u32::try_from(u64::from(whole) * u64::from(percent) / 100).unwrap_or(whole)
}

fn share(limit: u32, share: u8) -> u32 {
    percent(limit, share).max(1)
}

#[cfg(test)]
mod tests;
