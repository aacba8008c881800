//! `governor`: admission by its keyed limiter, the form in which connectors use it (one quota for each kind of request). It is a leaky
//! bucket, so it answers an easier question than a venue's window asks: with its burst at the limit it lets nearly twice the limit
//! through within some windows.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use benches::measure::Samples;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};

use crate::Failure;

const BATCH: usize = 1_000;
/// As in this project's own program: the window is nine tenths full.
const LIMIT: u32 = 1_000;
const PACE: Duration = Duration::from_nanos(1_000_000_000 / (LIMIT as u64 * 9 / 10));

pub(crate) fn one(batches: usize) -> Result<(), Failure> {
    let mut samples = Samples::new("limiter/one", "governor", "ns");
    let quota = Quota::per_second(NonZeroU32::new(LIMIT).ok_or("a quota of nothing")?);
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
    let mut refused = 0;
    for _ in 0..batches {
        samples.time(BATCH, || {
            for _ in 0..BATCH {
                clock.advance(PACE);
                refused += u32::from(black_box(&limiter).check_key(black_box(&"place")).is_err());
            }
        });
    }
    if refused > 0 {
        return Err(format!("governor refused {refused} below the limit").into());
    }
    samples.tell();
    Ok(())
}
