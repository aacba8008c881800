//! Rate limits: admission of a request where nothing waits, in one pool and in four that are taken together. The bound is the
//! same windows counted by hand: exact too, but by a clock that is trusted and with nothing that could wait.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use benches::measure::{Asked, BOUND, OURS, Samples};
use connector_core::dialect::{Cost, Pool, Scope, Source, Window};
use connector_core::throttle::{Lane, Settings, Throttler};
use connector_core::time::{Mono, Now, UnixNanos};

const BATCH: u64 = 1_000;
const START: u64 = 1_790_000_000_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const LIMIT: u32 = 1_000;
/// Between two admissions: the window is nine tenths full, and one charge comes back for each that is taken.
const PACE: u64 = 1_000_000_000 / (LIMIT as u64 * 9 / 10);

/// As venues have them: rolling and by the clock, shorter and longer.
const POOLS: &[Pool] = &[
    pool("rolling", LIMIT, Window::Rolling(SECOND)),
    // Near its edges a charge counts in two windows.
    pool("weight", 2 * LIMIT, Window::Fixed(SECOND)),
    pool("orders", 20 * LIMIT, Window::Fixed(SECOND.saturating_mul(10))),
    pool("longer", 10 * LIMIT, Window::Rolling(SECOND.saturating_mul(10))),
];

const fn pool(name: &'static str, limit: u32, window: Window) -> Pool {
    Pool::new(name, limit, window, Scope::Account, Source { url: "", read: "" })
}

fn main() -> ExitCode {
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let batches = if asked.test { 10 } else { 2_000 };
    for (name, pools) in [("limiter/one", 1), ("limiter/four", 4)] {
        if asked.wants(name) {
            run(name, pools, batches);
        }
    }
    ExitCode::SUCCESS
}

/// A window counted by hand.
enum Counted {
    /// A ring of as many times as fit into it: there is room if the oldest is a window old.
    Rolling { times: Vec<u64>, next: usize, length: u64 },
    /// By the clock.
    Fixed { ends: u64, length: u64, used: u32, limit: u32 },
}

impl Counted {
    fn new(pool: &Pool) -> Self {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap();
        match pool.window {
            Window::Rolling(length) => {
                Self::Rolling { times: vec![0; pool.limit as usize], next: 0, length: nanos(length) }
            }
            Window::Fixed(length) => {
                Self::Fixed { ends: 0, length: nanos(length), used: 0, limit: pool.limit }
            }
            _ => panic!("not a window of this benchmark"),
        }
    }

    fn has_room(&mut self, now: u64) -> bool {
        match self {
            Self::Rolling { times, next, length } => now - times[*next] >= *length,
            Self::Fixed { ends, length, used, limit } => {
                if now >= *ends {
                    *ends = now - now % *length + *length;
                    *used = 0;
                }
                *used < *limit
            }
        }
    }

    fn take(&mut self, now: u64) {
        match self {
            Self::Rolling { times, next, .. } => {
                times[*next] = now;
                *next = if *next + 1 == times.len() { 0 } else { *next + 1 };
            }
            Self::Fixed { used, .. } => *used += 1,
        }
    }
}

fn by_hand(pools: &mut [Counted], now: u64) -> bool {
    let room = pools.iter_mut().all(|pool| pool.has_room(now));
    if room {
        pools.iter_mut().for_each(|pool| pool.take(now));
    }
    room
}

fn run(name: &'static str, pools: usize, batches: usize) {
    let pools = &POOLS[..pools];
    // Near the limit there is something to tell, which is another path.
    let settings = Settings { warn_percent: 100, ..Settings::default() };
    let mut throttler = Throttler::new(pools, settings).unwrap();
    let costs: Vec<Cost> = pools.iter().map(|pool| Cost::fixed(pool.name, 1)).collect();
    let charges = throttler.charges("place", &costs, |_| None).unwrap();
    let mut counted: Vec<Counted> = pools.iter().map(Counted::new).collect();
    let (mut ours, mut bound) = (Samples::new(name, OURS, "ns"), Samples::new(name, BOUND, "ns"));
    let mut admit = |nanos: u64| {
        let now = Now { mono: Mono(nanos), utc: UnixNanos(i64::try_from(START + nanos).unwrap()) };
        assert!(throttler.try_admit(Lane::Create, black_box(&charges), now), "the pace is below the limit");
    };
    let mut first = 1_000_000_000;
    for _ in 0..batches {
        let times = || (0..BATCH).map(|i| first + i * PACE);
        ours.time(BATCH as usize, || times().for_each(&mut admit));
        bound.time(BATCH as usize, || {
            times().for_each(|now| assert!(by_hand(black_box(&mut counted), START + now), "below the limit"));
        });
        first += BATCH * PACE;
    }
    let count = allocation_counter::measure(|| (0..BATCH).for_each(|i| admit(first + i * PACE))).count_total;
    assert_eq!(count, 0, "{name} allocates in steady state");
    ours.tell();
    bound.tell();
}
