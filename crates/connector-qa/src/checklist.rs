//! The QA checklist: its rows, and running them.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::time::{Duration, Instant};

use connector_core::dialect::{Kind, Spec};
use connector_venue::server::wall_clock;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::bench::{Evidence, Failure, Judgement};
use crate::entry::{self, Ways};
use crate::kit::Kit;
use crate::report::{Outcome, Report, Row, write_line};
use crate::rows;

/// Longest time one row may take: no row hangs the list.
const LONGEST_ROW: Duration = Duration::from_secs(120);

/// Rows about orders, which run once more with order entry over a stream where the venue has that.
const BOTH_WAYS: &[&str] = &[
    "SQ-11", "SQ-12", "SQ-13", "SQ-14", "SQ-16", "SQ-17", "SQ-19", "SQ-20", "SQ-26", "XQ-01", "XQ-02",
    "XQ-04", "XQ-06", "XQ-07", "XQ-09", "XQ-10", "XQ-12", "XQ-13", "XQ-14",
];

type Running = Pin<Box<dyn Future<Output = Judgement>>>;

/// What a row can bear beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Its evidence is how long things took: nothing else runs meanwhile.
    Timed,
    /// It works and is done.
    Busy,
    /// It waits most of the time, for a venue's limits or for virtual time: others run meanwhile.
    Waiting,
}

/// One row of the checklist.
pub struct Check {
    /// Its id.
    pub id: &'static str,
    /// Its title, as the standard has it.
    pub title: &'static str,
    /// The kind of connector it is for; both if absent.
    pub kind: Option<Kind>,
    /// What it can bear beside it.
    pub pace: Pace,
    run: fn(Kit) -> Running,
}

macro_rules! checks {
    (@pace) => { Pace::Busy };
    (@pace $pace:ident) => { Pace::$pace };
    ($($id:literal $title:literal $kind:expr $(, $pace:ident)? => $run:path;)*) => {
        &[$(Check {
            id: $id,
            title: $title,
            kind: $kind,
            pace: checks!(@pace $($pace)?),
            run: |kit| Box::pin($run(kit)),
        }),*]
    };
}

/// Of rows about perpetual contracts alone.
const PERPETUAL: Option<Kind> = Some(Kind::Perpetual);

/// The rows there are, in the standard's order. A row that is not implemented is not here, and so never passes.
pub const CHECKS: &[Check] = checks! {
    "SQ-01" "connect, valid key" None => rows::account::connect;
    "SQ-02" "connect, bad key" None => rows::account::bad_keys;
    "SQ-03" "same key in several instances" None => rows::several::same_key;
    "SQ-04" "balance" None => rows::account::balance;
    "SQ-05" "balance under an open order" None => rows::account::balance_under_order;
    "SQ-06" "market list" None => rows::market::list;
    "SQ-07" "any listed market works" None => rows::several::any_market;
    "SQ-08" "maker and taker use" None => rows::strategy::maker_and_taker;
    "SQ-09" "live prices" None, Timed => rows::market::live_prices;
    "SQ-10" "live balances" None, Timed => rows::account::live_balances;
    "SQ-11" "client order id" None => rows::orders::client_ids;
    "SQ-12" "order matches" None => rows::orders::matches;
    "SQ-13" "cancel" None => rows::orders::cancel;
    "SQ-14" "foreign orders untouched" None => rows::orders::foreign;
    "SQ-15" "rule violations" None => rows::orders::violations;
    "SQ-16" "fast refresh" None, Waiting => rows::limits::fast_refresh;
    "SQ-17" "rate limit" None, Waiting => rows::limits::rate_limit;
    "SQ-18" "long refresh" None => rows::endurance::long_refresh;
    "SQ-19" "network loss" None, Waiting => rows::endurance::network_loss;
    "SQ-20" "many orders at once" None => rows::orders::many;
    "SQ-21" "budget" None => rows::limits::budget;
    "SQ-22" "hanging order" None => rows::strategy::hanging_order;
    "SQ-23" "many bots, one account" None => rows::several::many_bots;
    "SQ-24" "data integrity: book" None => rows::market::book;
    "SQ-25" "data integrity: ticker, trades" None => rows::market::trades;
    "SQ-26" "fills" None => rows::orders::fills;
    "SQ-27" "history" None => rows::history::persisted;
    "SQ-28" "fees" None => rows::orders::fees;
    "SQ-29" "metrics" None => rows::metrics::volume;
    "PQ-01" "key replacement" PERPETUAL => rows::perpetual::account::key_replacement;
    "PQ-02" "collateral balance" PERPETUAL, Waiting => rows::perpetual::account::collateral;
    "PQ-03" "leverage" PERPETUAL, Waiting => rows::perpetual::account::leverage;
    "PQ-04" "position mode" PERPETUAL, Waiting => rows::perpetual::modes::position_mode;
    "PQ-05" "open/close" PERPETUAL, Waiting => rows::perpetual::modes::open_and_close;
    "PQ-06" "position updates" PERPETUAL => rows::perpetual::positions::updates;
    "PQ-07" "position retrieval" PERPETUAL, Waiting => rows::perpetual::positions::retrieval;
    "PQ-08" "funding info" PERPETUAL => rows::perpetual::funding::info;
    "PQ-09" "funding payment" PERPETUAL => rows::perpetual::funding::payments;
    "PQ-10" "unrealised PnL" PERPETUAL, Waiting => rows::perpetual::positions::unrealised;
    "PQ-11" "fees" PERPETUAL, Waiting => rows::perpetual::account::fees;
    "PQ-12" "liquidation and ADL" PERPETUAL, Waiting => rows::perpetual::closing::closed_by_venue;
    "PQ-13" "contract size" PERPETUAL, Waiting => rows::perpetual::modes::contract_size;
    "XQ-01" "IOC, FOK" None => rows::orders::immediate;
    "XQ-02" "post-only" None => rows::orders::post_only;
    "XQ-03" "expiry" None => rows::robustness::expiry;
    "XQ-04" "amend" None => rows::amend::amend;
    "XQ-05" "batch" None, Waiting => rows::batch::batch;
    "XQ-06" "cancel races" None, Waiting => rows::robustness::cancel_races;
    "XQ-07" "unknown outcome" None, Waiting => rows::faults::unknown_outcome;
    "XQ-08" "restart" None => rows::restart::killed;
    "XQ-09" "graceful stop" None => rows::restart::stopped;
    "XQ-10" "duplicates and disorder" None => rows::faults::disorder;
    "XQ-11" "stalled stream" None => rows::robustness::stalled;
    "XQ-12" "schema drift" None => rows::robustness::drift;
    "XQ-13" "clock skew" None => rows::robustness::clock;
    "XQ-14" "venue maintenance" None => rows::robustness::maintenance;
    "XQ-15" "tick/step change, new listing, delisting" None => rows::robustness::listings;
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

/// Runs rows, each on a venue of its own, and writes each row's line to `out` as it ends: first those whose evidence is time,
/// alone; then the others one after the other, those that wait beside them. Needs to run on a
/// [`LocalSet`](tokio::task::LocalSet).
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
    let of = |pace: Pace| checks.iter().enumerate().filter(move |(_, check)| check.pace == pace);
    let (mut rows, mut waiting) = (Vec::new(), None);
    let mut told = |progress: &ProgressBar, row: &Row| {
        progress.inc(1);
        match &mut out {
            Some(out) => progress.suspend(|| write_line(row, colour, *out).and_then(|()| out.flush())),
            None => Ok(()),
        }
    };
    for (place, check) in of(Pace::Timed).chain(of(Pace::Busy)) {
        if check.pace != Pace::Timed && waiting.is_none() {
            waiting = Some(begin(spec, kit, of(Pace::Waiting)));
        }
        progress.set_message(check.id);
        let row = one(declared(spec, check), kit.clone(), check).await;
        told(&progress, &row)?;
        rows.push((place, row));
    }
    for (place, check, task) in waiting.unwrap_or_else(|| begin(spec, kit, of(Pace::Waiting))) {
        progress.set_message(check.id);
        let row = task.await.map_err(io::Error::other)?;
        told(&progress, &row)?;
        rows.push((place, row));
    }
    rows.sort_by_key(|(place, _)| *place);
    let rows = rows.into_iter().map(|(_, row)| row).collect();
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

type Begun = (usize, &'static Check, JoinHandle<Row>);

/// Starts rows beside others.
fn begin<'c>(
    spec: &Spec,
    kit: &Kit,
    checks: impl Iterator<Item = (usize, &'c &'static Check)>,
) -> Vec<Begun> {
    checks
        .map(|(place, check)| {
            let row = one(declared(spec, check), kit.clone(), check);
            (place, *check, tokio::task::spawn_local(row))
        })
        .collect()
}

/// Why the connector says that a row does not apply, if it does.
fn declared(spec: &Spec, check: &Check) -> Option<&'static str> {
    spec.not_applicable.iter().find(|declared| declared.row == check.id).map(|declared| declared.reason)
}

async fn one(inapplicable: Option<&'static str>, kit: Kit, check: &'static Check) -> Row {
    let row = |outcome, evidence, duration, details| Row {
        id: check.id.to_owned(),
        title: check.title.to_owned(),
        outcome,
        evidence,
        duration,
        details,
    };
    if let Some(reason) = inapplicable {
        let reason = reason.to_owned();
        return row(Outcome::NotApplicable { reason }, String::new(), Duration::ZERO, Vec::new());
    }
    let start = Instant::now();
    let again = entry::streaming(&kit).filter(|_| BOTH_WAYS.contains(&check.id));
    let judged = match again {
        None => once(kit, check).await,
        Some((stream, ways)) if check.pace == Pace::Waiting => {
            let (requests, stream) = tokio::join!(once(kit, check), once(stream, check));
            requests.and_then(|requests| joined(requests, stream, &ways))
        }
        Some((stream, ways)) => match once(kit, check).await {
            Ok(requests) => joined(requests, once(stream, check).await, &ways),
            failed => failed,
        },
    };
    let time = start.elapsed();
    match judged {
        Ok(evidence) => row(Outcome::Pass, evidence.text, time, evidence.details),
        Err(Failure(why)) => row(Outcome::Fail, why, time, Vec::new()),
    }
}

/// Runs a row in a task of its own, so that a panic fails this row and no other.
async fn once(kit: Kit, check: &'static Check) -> Judgement {
    let mut task = tokio::task::spawn_local((check.run)(kit));
    match tokio::time::timeout(LONGEST_ROW, &mut task).await {
        Ok(Ok(judgement)) => judgement,
        Ok(Err(panic)) => Err(Failure(format!("the row panicked: {panic}"))),
        Err(_) => {
            task.abort();
            Err(Failure(format!("not done after {} s", LONGEST_ROW.as_secs())))
        }
    }
}

/// What a row showed by requests, and then with orders over a stream.
fn joined(requests: Evidence, stream: Judgement, ways: &Ways) -> Judgement {
    let (over, all) = (ways.stream(), ways.all());
    match stream {
        Ok(_) if over == 0 => {
            Err(Failure(format!("over the stream: none of {all} orders and cancels went that way")))
        }
        Ok(mut stream) => {
            let text = format!(
                "{}; over the stream ({over} of {all} orders and cancels): {}",
                requests.text, stream.text
            );
            let mut details = requests.details;
            details.append(&mut stream.details);
            Ok(Evidence { text, details })
        }
        Err(Failure(why)) => {
            Err(Failure(format!("over the stream ({over} of {all} orders and cancels): {why}")))
        }
    }
}
