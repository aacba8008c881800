//! Many runs: on all cores, counted, the failing ones made small.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use connector_core::dialect::Dialect;
use connector_core::mutants::{self, Mutant};
use connector_venue::face::Face;
use serde::Serialize;
use smol_str::SmolStr;

use super::{Broken, Facts, Outcome, Plan, run};

/// Makes the embedded venue's face.
pub type MakeFace<'f> = &'f dyn Fn() -> Box<dyn Face>;

/// Convergence of one class of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Convergence {
    /// Runs whose last fault was of the class.
    pub runs: usize,
    /// Milliseconds from the end of the last fault until everything agreed with the venue: half of the runs took at most this.
    pub p50_ms: u64,
    /// All but one in a hundred took at most this.
    pub p99_ms: u64,
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Outcomes of the runs that passed.
    pub passed: Vec<Outcome>,
    /// Seeds that failed, and why.
    pub failed: Vec<(u64, Broken)>,
    /// Faults by class, of the runs that passed.
    pub classes: BTreeMap<SmolStr, usize>,
    /// Threads that worked at it.
    pub threads: usize,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// Virtual time of all runs that passed, hours.
    #[must_use]
    pub fn simulated_hours(&self) -> f64 {
        self.passed.iter().map(|outcome| outcome.simulated).sum::<Duration>().as_secs_f64() / 3_600.0
    }

    /// Runs a second, on all threads together.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn per_second(&self) -> f64 {
        (self.passed.len() + self.failed.len()) as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// How quickly everything agreed with the venue again, by the class of the last fault.
    #[must_use]
    pub fn convergence(&self) -> BTreeMap<SmolStr, Convergence> {
        let mut times: BTreeMap<SmolStr, Vec<u64>> = BTreeMap::new();
        for outcome in &self.passed {
            if let Some(class) = &outcome.last_class {
                let millis = u64::try_from(outcome.converged.as_millis()).unwrap_or(u64::MAX);
                times.entry(class.clone()).or_default().push(millis);
            }
        }
        let share = |times: &[u64], percent: usize| {
            times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        times
            .into_iter()
            .map(|(class, mut times)| {
                times.sort_unstable();
                let (p50_ms, p99_ms) = (share(&times, 50), share(&times, 99));
                (class, Convergence { runs: times.len(), p50_ms, p99_ms })
            })
            .collect()
    }
}

/// Runs a plan for each seed, on as many threads as the machine has cores. `done` hears of each run as it ends.
pub fn all<D: Dialect>(
    dialect: D,
    face: MakeFace<'_>,
    seeds: impl IntoIterator<Item = u64>,
    plan: impl Fn(u64) -> Plan + Sync,
    mut done: impl FnMut(&Tally),
) -> Tally {
    let begin = Instant::now();
    // Faces are made here, because whatever makes them stays on this thread.
    let (give, take) = mpsc::channel();
    for seed in seeds {
        let _ = give.send((seed, face()));
    }
    drop(give);
    let take = Mutex::new(take);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut tally = Tally { threads, ..Tally::default() };
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (tell, take, plan) = (tell.clone(), &take, &plan);
            scope.spawn(move || {
                while let Ok((seed, face)) = take.lock().unwrap_or_else(PoisonError::into_inner).recv() {
                    let plan = plan(seed);
                    let result = run(dialect, face, &plan);
                    let classes: Vec<SmolStr> = plan.classes().collect();
                    if tell.send((seed, result, classes)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        for (seed, result, classes) in hear {
            match result {
                Ok(outcome) => {
                    tally.passed.push(outcome);
                    for class in classes {
                        *tally.classes.entry(class).or_default() += 1;
                    }
                }
                Err(broken) => tally.failed.push((seed, broken)),
            }
            tally.took = begin.elapsed();
            done(&tally);
        }
    });
    tally.failed.sort_by_key(|(seed, _)| *seed);
    tally
}

/// The smallest part of a failing plan that was found to fail as well.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The first so many steps.
    pub steps: usize,
    /// Of the faults among them these, by their places.
    pub faults: Vec<usize>,
    /// How it fails.
    pub broken: Broken,
}

/// Most runs spent on making one plan smaller.
const MOST_TRIES: usize = 80;

/// Makes a failing plan smaller: a shorter run, then fewer faults.
pub fn shrink<D: Dialect>(dialect: D, face: MakeFace<'_>, plan: &Plan, broken: Broken) -> Shrunk {
    let all: Vec<usize> = (0..plan.fault_count()).collect();
    let mut best = Shrunk { steps: plan.steps.len(), faults: all, broken };
    let mut tries = 0;
    let mut fails = |steps: usize, faults: &[usize]| {
        tries += 1;
        let small = plan.reduced(steps, Some(faults));
        (tries <= MOST_TRIES).then(|| run(dialect, face(), &small).err()).flatten()
    };
    let (mut passes, mut least) = (0, best.steps);
    while passes + 1 < least {
        let middle = passes.midpoint(least);
        match fails(middle, &best.faults) {
            Some(broken) => {
                least = middle;
                (best.steps, best.broken) = (middle, broken);
            }
            None => passes = middle,
        }
    }
    let inside = plan.reduced(best.steps, None).fault_count();
    best.faults.retain(|place| *place < inside);
    let mut size = best.faults.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.faults.len() {
            let without: Vec<usize> = best
                .faults
                .iter()
                .enumerate()
                .filter(|(place, _)| *place < at || *place >= at + size)
                .map(|(_, fault)| *fault)
                .collect();
            match fails(best.steps, &without) {
                Some(broken) => (best.faults, best.broken) = (without, broken),
                None => at += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    best
}

/// Whether a planted defect was noticed.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// The defect.
    pub mutant: Mutant,
    /// The first seed that noticed it, counted from 1, and the invariant that did.
    pub caught: Option<(u64, Broken)>,
}

/// Plants each defect in turn and runs seeds until one notices, at most `seeds`.
pub fn hunt<D: Dialect>(
    dialect: D,
    face: MakeFace<'_>,
    facts: &Facts,
    seeds: u64,
    mut done: impl FnMut(&Hunted),
) -> Vec<Hunted> {
    let mut hunted = Vec::new();
    for &mutant in Mutant::ALL {
        mutants::plant(Some(mutant));
        let caught = (1..=seeds).find_map(|seed| {
            let plan = Plan::random(seed, facts);
            Some((seed, run(dialect, face(), &plan).err()?))
        });
        mutants::plant(None);
        let hunt = Hunted { mutant, caught };
        done(&hunt);
        hunted.push(hunt);
    }
    hunted
}
