//! The QA checklist: its rows, and running them.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use connector_core::dialect::{Kind, Spec};
use connector_venue::face::Face;
use connector_venue::server::wall_clock;
use connector_venue::setup::MarketStatus;
use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::{Bench, Failure, Judgement, Open};
use crate::report::{Outcome, Report, Row, write_line};
use crate::rows;

/// Longest time one row may take: no row hangs the list.
const LONGEST_ROW: Duration = Duration::from_secs(120);

/// What a row needs to make itself a venue.
#[derive(Clone)]
pub struct Kit {
    /// Makes the venue's face.
    pub face: Rc<dyn Fn() -> Box<dyn Face>>,
    /// Makes connectors.
    pub opener: Rc<dyn Open>,
    /// Seed of everything that looks random.
    pub seed: u64,
}

impl Kit {
    /// A venue whose markets move only when told to.
    ///
    /// # Errors
    /// See [`Bench::quiet`].
    pub async fn quiet(&self) -> Result<Bench, Failure> {
        Bench::quiet((self.face)(), Rc::clone(&self.opener), self.seed).await
    }

    /// A quiet venue whose last market is halted.
    ///
    /// # Errors
    /// See [`Bench::prepare`].
    pub async fn halted(&self) -> Result<Bench, Failure> {
        Bench::prepare((self.face)(), Rc::clone(&self.opener), self.seed, |setup| {
            for market in &mut setup.markets {
                market.live = None;
            }
            if let Some(market) = setup.markets.last_mut() {
                market.status = MarketStatus::Halted;
            }
        })
        .await
    }

    /// A venue whose markets live.
    ///
    /// # Errors
    /// See [`Bench::prepare`].
    pub async fn lively(&self) -> Result<Bench, Failure> {
        Bench::prepare((self.face)(), Rc::clone(&self.opener), self.seed, |_| {}).await
    }
}

type Running = Pin<Box<dyn Future<Output = Judgement>>>;

/// One row of the checklist.
pub struct Check {
    /// Its id.
    pub id: &'static str,
    /// Its title, as the standard has it.
    pub title: &'static str,
    /// The kind of connector it is for; both if absent.
    pub kind: Option<Kind>,
    run: fn(Kit) -> Running,
}

macro_rules! checks {
    ($($id:literal $title:literal $kind:expr => $run:path;)*) => {
        &[$(Check { id: $id, title: $title, kind: $kind, run: |kit| Box::pin($run(kit)) }),*]
    };
}

/// The rows there are, in the standard's order. A row that is not implemented is not here, and so never passes.
pub const CHECKS: &[Check] = checks! {
    "SQ-01" "connect, valid key" None => rows::account::connect;
    "SQ-02" "connect, bad key" None => rows::account::bad_keys;
    "SQ-04" "balance" None => rows::account::balance;
    "SQ-05" "balance under an open order" None => rows::account::balance_under_order;
    "SQ-06" "market list" None => rows::market::list;
    "SQ-09" "live prices" None => rows::market::live_prices;
    "SQ-10" "live balances" None => rows::account::live_balances;
    "SQ-11" "client order id" None => rows::orders::client_ids;
    "SQ-12" "order matches" None => rows::orders::matches;
    "SQ-13" "cancel" None => rows::orders::cancel;
    "SQ-14" "foreign orders untouched" None => rows::orders::foreign;
    "SQ-15" "rule violations" None => rows::orders::violations;
    "SQ-20" "many orders at once" None => rows::orders::many;
    "SQ-24" "data integrity: book" None => rows::market::book;
    "SQ-25" "data integrity: ticker, trades" None => rows::market::trades;
    "SQ-26" "fills" None => rows::orders::fills;
    "SQ-28" "fees" None => rows::orders::fees;
    "XQ-01" "IOC, FOK" None => rows::orders::immediate;
    "XQ-02" "post-only" None => rows::orders::post_only;
    "XQ-07" "unknown outcome" None => rows::faults::unknown_outcome;
    "XQ-10" "duplicates and disorder" None => rows::faults::disorder;
};

/// The rows for a connector, all or those named.
///
/// # Errors
/// A name that is no row, with what is.
pub fn chosen(spec: &Spec, only: &[String]) -> Result<Vec<&'static Check>, String> {
    let fits = |check: &&Check| check.kind.is_none_or(|kind| kind == spec.kind);
    if let Some(wrong) = only.iter().find(|id| !CHECKS.iter().any(|check| check.id.eq_ignore_ascii_case(id)))
    {
        let known: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
        return Err(format!("`{wrong}` is no row of the QA checklist; the rows are: {}", known.join(", ")));
    }
    let named = |check: &&Check| only.is_empty() || only.iter().any(|id| check.id.eq_ignore_ascii_case(id));
    Ok(CHECKS.iter().filter(fits).filter(named).collect())
}

/// Runs rows one after the other, each on a venue of its own, and writes each row's line to `out` as it ends. Needs to run on
/// a [`LocalSet`](tokio::task::LocalSet).
///
/// # Errors
/// Only those of writing.
pub async fn run(
    spec: &Spec,
    kit: &Kit,
    checks: &[&'static Check],
    colour: bool,
    mut out: Option<&mut dyn Write>,
) -> io::Result<Report> {
    let started = wall_clock();
    let start = Instant::now();
    let progress = ProgressBar::new(u64::try_from(checks.len()).unwrap_or_default());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {elapsed}") {
        progress.set_style(style);
    }
    let mut rows = Vec::new();
    for check in checks {
        progress.set_message(check.id);
        let row = one(spec, kit, check).await;
        if let Some(out) = &mut out {
            progress.suspend(|| write_line(&row, colour, *out).and_then(|()| out.flush()))?;
        }
        progress.inc(1);
        rows.push(row);
    }
    progress.finish_and_clear();
    Ok(Report {
        connector: spec.name.to_owned(),
        exchange: spec.exchange.to_owned(),
        kind: match spec.kind {
            Kind::Spot => "spot",
            Kind::Perpetual => "perpetual",
        }
        .to_owned(),
        target: "venue".to_owned(),
        seed: kit.seed,
        started_ns: started.0,
        duration: start.elapsed(),
        rows,
    })
}

async fn one(spec: &Spec, kit: &Kit, check: &Check) -> Row {
    let row = |outcome, evidence, duration, details| Row {
        id: check.id.to_owned(),
        title: check.title.to_owned(),
        outcome,
        evidence,
        duration,
        details,
    };
    if let Some(declared) = spec.not_applicable.iter().find(|declared| declared.row == check.id) {
        let reason = declared.reason.to_owned();
        return row(Outcome::NotApplicable { reason }, String::new(), Duration::ZERO, Vec::new());
    }
    let start = Instant::now();
    // A task of its own, so that a panic fails this row and no other.
    let mut task = tokio::task::spawn_local((check.run)(kit.clone()));
    let ended = tokio::time::timeout(LONGEST_ROW, &mut task).await;
    let time = start.elapsed();
    match ended {
        Ok(Ok(Ok(evidence))) => row(Outcome::Pass, evidence.text, time, evidence.details),
        Ok(Ok(Err(Failure(why)))) => row(Outcome::Fail, why, time, Vec::new()),
        Ok(Err(panic)) => row(Outcome::Fail, format!("the row panicked: {panic}"), time, Vec::new()),
        Err(_) => {
            task.abort();
            let why = format!("not done after {} s", LONGEST_ROW.as_secs());
            row(Outcome::Fail, why, time, Vec::new())
        }
    }
}
