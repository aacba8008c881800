//! Deterministic simulation: a whole connector against the embedded venue in memory, under virtual time, with faults.
//!
//! One thread and one seed decide everything: the market, latencies, what users do, what goes wrong, when processes die. The
//! venue's ledger is the judge, while it goes on and at the end: the connector must know exactly the orders, fills and balances
//! that the venue holds, and must have told of each once and in a legal order. Same seed and build, same trace.

pub mod campaign;
pub mod faults;
mod judge;
pub mod plan;
pub mod scenarios;
mod subject;
mod tale;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use connector_core::dialect::Dialect;
use connector_venue::face::Face;
use smol_str::SmolStr;

pub use plan::{Facts, Plan};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Orders placed.
    pub orders: usize,
    /// Fills told.
    pub fills: usize,
    /// What went wrong on purpose.
    pub faults: usize,
    /// Virtual time that passed.
    pub simulated: Duration,
    /// From the end of the last fault until everything agreed with the venue.
    pub converged: Duration,
    /// The class of the last fault.
    pub last_class: Option<SmolStr>,
    /// Hash of everything that went over the wires; equal for equal seeds.
    pub trace: u64,
}

/// What a run showed to be wrong.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The invariant, by its id, or the stage that was not reached.
    pub what: &'static str,
    /// How.
    pub how: String,
    /// The order's events, or the last ones of the run.
    pub events: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.how)?;
        self.events.iter().try_for_each(|event| write!(f, "\n    {event}"))
    }
}

/// Carries out a plan.
///
/// # Errors
/// The first invariant found broken, with the events around it. A panic is one, too.
pub fn run<D: Dialect>(dialect: D, face: Box<dyn Face>, plan: &Plan) -> Result<Outcome, Broken> {
    let played = catch_unwind(AssertUnwindSafe(|| world::run(dialect, face, plan)));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let how = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Broken { what: "panic", how: how.unwrap_or_default(), events: Vec::new() })
    })
}
