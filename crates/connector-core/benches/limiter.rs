//! What admission costs where nothing waits, for one pool and for four that are taken together, beside a hand-written exact
//! rolling window of one pool.
//!
//! `cargo bench -p connector-core --no-default-features --bench limiter`, with `-- --json` for one JSON object a line.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measuring program")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use connector_core::dialect::{Cost, Pool, Scope, Source, Window};
use connector_core::throttle::{Lane, Settings, Throttler};
use connector_core::time::{Mono, Now, UnixNanos};

const SOURCE: Source = Source { url: "", read: "" };
const SECOND: Duration = Duration::from_secs(1);
const LIMIT: u32 = 1000;
/// Between two admissions: the window is nine tenths full, and one charge comes back for each that is taken.
const PACE: u64 = 1_000_000_000 / (LIMIT as u64 * 9 / 10);

const fn pool(name: &'static str, limit: u32, window: Window) -> Pool {
    Pool::new(name, limit, window, Scope::Account, SOURCE)
}

/// As venues have them: by the clock and rolling, shorter and longer.
const POOLS: &[Pool] = &[
    pool("rolling", LIMIT, Window::Rolling(SECOND)),
    // Near its edges a charge counts in two windows.
    pool("weight", 2 * LIMIT, Window::Fixed(SECOND)),
    pool("orders", 20 * LIMIT, Window::Fixed(SECOND.saturating_mul(10))),
    pool("longer", 10 * LIMIT, Window::Rolling(SECOND.saturating_mul(10))),
];

/// The bound: a ring of as many times as fit into a window; there is room if the oldest is a window old.
struct Ring {
    times: Vec<u64>,
    next: usize,
}

impl Ring {
    fn admit(&mut self, now: u64) -> bool {
        let oldest = &mut self.times[self.next];
        if *oldest != 0 && now - *oldest < 1_000_000_000 {
            return false;
        }
        *oldest = now;
        self.next = (self.next + 1) % self.times.len();
        true
    }
}

/// Nanoseconds per call of `admit`: the median and 99th percentile of batches.
fn measure(mut admit: impl FnMut(u64) -> bool) -> (f64, f64) {
    const BATCH: u32 = 1000;
    let mut now = 1_000_000_000_u64;
    let mut batch = || {
        let start = Instant::now();
        let mut refused = 0;
        for _ in 0..BATCH {
            now += PACE;
            refused += u32::from(!admit(black_box(now)));
        }
        assert_eq!(refused, 0, "the pace is below the limit");
        start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    };
    let mut taken: Vec<f64> = (0..2_000).map(|_| batch()).collect();
    taken.sort_by(f64::total_cmp);
    (taken[taken.len() / 2], taken[taken.len() * 99 / 100])
}

fn throttler(pools: usize) -> (f64, f64) {
    // Near the limit there is something to tell, which is another path.
    let settings = Settings { warn_percent: 100, ..Settings::default() };
    let mut throttler = Throttler::new(&POOLS[..pools], settings).unwrap();
    let costs: Vec<Cost> = POOLS[..pools].iter().map(|pool| Cost::fixed(pool.name, 1)).collect();
    let charges = throttler.charges("place", &costs, |_| None).unwrap();
    measure(|at| {
        let utc = UnixNanos(1_790_000_000_000_000_000_i64.saturating_add_unsigned(at));
        throttler.try_admit(Lane::Create, &charges, Now { mono: Mono(at), utc })
    })
}

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let mut ring = Ring { times: vec![0; LIMIT as usize], next: 0 };
    let (bound, _) = measure(|at| ring.admit(at));
    for (name, pools) in [("limiter/one", 1), ("limiter/four", 4)] {
        let (median, p99) = throttler(pools);
        let ratio = median / bound;
        if json {
            println!(
                r#"{{"name":"{name}","median":{median:.1},"p99":{p99:.1},"unit":"ns","baselines":{{"bound":{ratio:.2}}}}}"#
            );
        } else {
            println!(
                "{name:<13} median {median:6.1} ns  p99 {p99:6.1} ns   one ring {bound:5.1} ns  {ratio:.2} x"
            );
        }
    }
}
