//! Rate limits: admission of a request that has room, in one pool and in four at once. The bound is the same windows counted by
//! hand, by a clock that is trusted and with nothing that waits.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use benches::measure::{Asked, BOUND, OURS, Samples};
use connector_core::dialect::{Cost, Pool, Scope, Source, Window};
use connector_core::throttle::{Lane, Settings, Throttler};
use connector_core::time::{Mono, Now, UnixNanos};

const BATCH: u64 = 1_000;
/// Between two requests.
const STEP: u64 = 1_000;
const START: u64 = 1_790_000_000_000_000_000;
/// More than is used before the windows end.
const LIMIT: u32 = 4_000_000_000;

const SECONDS: [u64; 4] = [60, 300, 10, 86_400];
const COSTS: &[Cost] = &[
    Cost::fixed("weight", 1),
    Cost::fixed("raw", 1),
    Cost::fixed("orders_10s", 1),
    Cost::fixed("orders_1d", 1),
];
const POOLS: &[Pool] = &[
    pool("weight", SECONDS[0]),
    pool("raw", SECONDS[1]),
    pool("orders_10s", SECONDS[2]),
    pool("orders_1d", SECONDS[3]),
];

const fn pool(name: &'static str, seconds: u64) -> Pool {
    let source = Source { url: "", read: "" };
    Pool::new(name, LIMIT, Window::Fixed(Duration::from_secs(seconds)), Scope::Account, source)
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

/// Windows counted by hand.
struct Counted {
    ends: u64,
    length: u64,
    used: u32,
}

fn by_hand(pools: &mut [Counted], now: u64) -> bool {
    for pool in pools.iter_mut() {
        if now >= pool.ends {
            pool.ends = now - now % pool.length + pool.length;
            pool.used = 0;
        }
        if pool.used >= LIMIT {
            return false;
        }
    }
    pools.iter_mut().for_each(|pool| pool.used += 1);
    true
}

fn run(name: &'static str, pools: usize, batches: usize) {
    let mut throttler = Throttler::new(POOLS, Settings::default()).unwrap();
    let costs = COSTS.get(..pools).unwrap();
    let charges = throttler.charges("bench", costs, |_| None).unwrap();
    let counted = SECONDS.iter().take(pools).map(|s| Counted { ends: 0, length: s * 1_000_000_000, used: 0 });
    let mut counted: Vec<Counted> = counted.collect();
    let (mut ours, mut bound) = (Samples::new(name, OURS, "ns"), Samples::new(name, BOUND, "ns"));
    let mut elapsed = 0;
    let mut admit = |elapsed: u64| {
        let now = Now { mono: Mono(elapsed), utc: UnixNanos((START + elapsed) as i64) };
        assert!(throttler.try_admit(Lane::Create, black_box(&charges), now), "there is room");
    };
    for _ in 0..batches {
        let times = || (0..BATCH).map(|i| elapsed + i * STEP);
        ours.time(BATCH as usize, || times().for_each(&mut admit));
        bound.time(BATCH as usize, || {
            times().for_each(|now| assert!(by_hand(black_box(&mut counted), START + now), "there is room"));
        });
        elapsed += BATCH * STEP;
    }
    let count =
        allocation_counter::measure(|| (0..BATCH).for_each(|i| admit(elapsed + i * STEP))).count_total;
    assert_eq!(count, 0, "{name} allocates in steady state");
    ours.tell();
    bound.tell();
}
