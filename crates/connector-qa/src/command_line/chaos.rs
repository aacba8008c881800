//! `chaos`: the whole connector under virtual time, with faults, from thousands of seeds.

use std::io::{self, Write};

use clap::Args;
use connector_core::dialect::Dialect;
use connector_core::mutants;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{Ended, MakeFace};
use crate::chaos::campaign::{self, Hunted, Tally};
use crate::chaos::scenarios::{self, SCENARIOS, Scenario};
use crate::chaos::{Facts, Plan};

/// Options of `chaos`.
#[derive(Args)]
pub(super) struct ChaosArguments {
    /// How many seeds, counted from 1 [default: 100; 20 with --scenario]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Only this seed
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Only this entry of the fault catalogue, such as `F-04`, or `all`, one after the other
    #[arg(long, value_name = "F-nn")]
    scenario: Option<String>,
    /// Only the first steps of the run
    #[arg(long, value_name = "N", requires = "seed")]
    steps: Option<usize>,
    /// Only these faults of the run, by their places; `none` for none
    #[arg(long, value_name = "PLACES", requires = "seed")]
    faults: Option<String>,
    /// Plant known defects, one after the other: each must be noticed within 200 seeds
    #[arg(long, conflicts_with_all = ["seed", "scenario"])]
    mutants: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Seeds of the random mode.
const SEEDS: u64 = 100;
/// Seeds of a scenario.
const SCENARIO_SEEDS: u64 = 20;
/// Seeds within which a defect must be noticed.
const HUNT: u64 = 200;
/// Failing seeds that are made small and shown; all are counted.
const SHOWN: usize = 5;

/// Runs what was asked for.
pub(super) fn chaos<D: Dialect>(
    dialect: D,
    face: &MakeFace,
    arguments: &ChaosArguments,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    // A panic of the connector is an outcome, told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let facts = Facts::of(&*face(), D::CALLS);
    if arguments.mutants {
        return hunt(dialect, face, &facts, arguments, out);
    }
    match arguments.scenario.as_deref() {
        Some("all") => catalogue(dialect, face, &facts, arguments, out),
        Some(id) => {
            let scenario = scenarios::find(id).ok_or_else(|| {
                let (first, last) = (SCENARIOS.first(), SCENARIOS.last());
                let ends = [first, last].map(|scenario| scenario.map_or("", |scenario| scenario.id));
                Ended::Usage(format!("no scenario `{id}`: there are {} to {}, and `all`", ends[0], ends[1]))
            })?;
            match scenario.applies(&facts) {
                Ok(()) => seeds(dialect, face, &facts, arguments, Some(scenario), out),
                Err(reason) => {
                    if arguments.json {
                        let document = json!({"scenario": scenario.id, "not_applicable": reason, "passed": 0, "failed": 0});
                        writeln!(out, "{document:#}")?;
                    } else {
                        writeln!(
                            out,
                            "N/A  {} {} – {reason}\n0 passed, 0 failed",
                            scenario.id, scenario.title
                        )?;
                    }
                    Ok(())
                }
            }
        }
        None => seeds(dialect, face, &facts, arguments, None, out),
    }
}

fn wanted(arguments: &ChaosArguments, usual: u64) -> std::ops::RangeInclusive<u64> {
    match arguments.seed {
        Some(seed) => seed..=seed,
        None => 1..=arguments.seeds.unwrap_or(usual),
    }
}

/// The plan of a seed, as far as the options want it.
fn planned(
    seed: u64,
    facts: &Facts,
    scenario: Option<&Scenario>,
    (steps, faults): (usize, Option<&[usize]>),
) -> Plan {
    let plan = scenario.map_or_else(|| Plan::random(seed, facts), |scenario| scenario.plan(seed, facts));
    if steps == usize::MAX && faults.is_none() { plan } else { plan.reduced(steps, faults) }
}

fn places(text: &str) -> Result<Vec<usize>, Ended> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let wrong = |_| Ended::Usage(format!("`--faults {text}` is no list of places such as `0,3`, nor `none`"));
    text.split(',').map(|place| place.trim().parse()).collect::<Result<_, _>>().map_err(wrong)
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn seeds<D: Dialect>(
    dialect: D,
    face: &MakeFace,
    facts: &Facts,
    arguments: &ChaosArguments,
    scenario: Option<&Scenario>,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    let faults = arguments.faults.as_deref().map(places).transpose()?;
    let part = (arguments.steps.unwrap_or(usize::MAX), faults.as_deref());
    let wanted = wanted(arguments, if scenario.is_some() { SCENARIO_SEEDS } else { SEEDS });
    let progress = bar(wanted.end() - wanted.start() + 1);
    let make = || face();
    let tally = campaign::all(
        dialect,
        &make,
        wanted,
        |seed| planned(seed, facts, scenario, part),
        |tally| {
            progress.set_position((tally.passed.len() + tally.failed.len()) as u64);
            progress.set_message(format!("{} failed", tally.failed.len()));
        },
    );
    progress.finish_and_clear();
    let name = D::SPEC.name;
    let mut failures = Vec::new();
    for (seed, broken) in tally.failed.iter().take(SHOWN) {
        let whole = planned(*seed, facts, scenario, (usize::MAX, None));
        let named = scenario.map_or_else(String::new, |scenario| format!(" --scenario {}", scenario.id));
        let command = format!("cargo xtask chaos {name}{named} --seed {seed}");
        let small = if part.0 == usize::MAX && part.1.is_none() {
            Some(campaign::shrink(dialect, &make, &whole, broken.clone()))
        } else {
            None
        };
        let (broken, kept, reproduce) = match small {
            Some(small) => {
                let places: Vec<String> = small.faults.iter().map(ToString::to_string).collect();
                let places = if places.is_empty() { "none".to_owned() } else { places.join(",") };
                let reproduce = format!("{command} --steps {} --faults {places}", small.steps);
                (small.broken, Some(small.faults), reproduce)
            }
            None => (broken.clone(), faults.clone(), command),
        };
        if !arguments.json {
            writeln!(out, "FAIL seed {seed}: {broken}")?;
            for (place, step) in whole.steps.iter().filter(|step| step.act.is_fault()).enumerate() {
                if kept.as_ref().is_none_or(|kept| kept.contains(&place)) {
                    writeln!(out, "    fault {place} at {:?}: {:?}", step.at, step.act)?;
                }
            }
            writeln!(out, "    reproduce: {reproduce}")?;
        }
        failures.push(json!({
            "seed": seed, "invariant": broken.what, "how": broken.how, "reproduce": reproduce,
        }));
    }
    if arguments.json {
        let mut document = figures(&tally);
        if let Value::Object(members) = &mut document {
            members.insert("connector".to_owned(), json!(name));
            members.insert("scenario".to_owned(), json!(scenario.map(|scenario| scenario.id)));
            members.insert("failures".to_owned(), json!(failures));
        }
        writeln!(out, "{document:#}")?;
    } else {
        if arguments.seed.is_some()
            && let Some(outcome) = tally.passed.first()
        {
            writeln!(out, "{outcome:?}")?;
        }
        let (rate, hours) = (tally.per_second(), tally.simulated_hours());
        writeln!(out, "{rate:.1} seeds/s on {} threads, {hours:.1} h simulated", tally.threads)?;
        writeln!(out, "{} passed, {} failed", tally.passed.len(), tally.failed.len())?;
    }
    if tally.failed.is_empty() { Ok(()) } else { Err(Ended::Failed) }
}

/// What a campaign came to, as JSON.
fn figures(tally: &Tally) -> Value {
    let sum = |each: fn(&crate::chaos::Outcome) -> usize| tally.passed.iter().map(each).sum::<usize>();
    let least = |each: fn(&crate::chaos::Outcome) -> usize| tally.passed.iter().map(each).min().unwrap_or(0);
    let round = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "passed": tally.passed.len(),
        "failed": tally.failed.len(),
        "seconds": round(tally.took.as_secs_f64()),
        "threads": tally.threads,
        "seeds_per_second": round(tally.per_second()),
        "simulated_hours": round(tally.simulated_hours()),
        "orders": sum(|outcome| outcome.orders),
        "least_orders": least(|outcome| outcome.orders),
        "fills": sum(|outcome| outcome.fills),
        "faults": sum(|outcome| outcome.faults),
        "least_faults": least(|outcome| outcome.faults),
        "faults_by_class": tally.classes,
        "convergence": tally.convergence(),
    })
}

/// Every entry of the catalogue, a line each.
fn catalogue<D: Dialect>(
    dialect: D,
    face: &MakeFace,
    facts: &Facts,
    arguments: &ChaosArguments,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    let (mut passed, mut failed, mut rows) = (0, 0, Vec::new());
    let make = || face();
    for scenario in SCENARIOS {
        let (verdict, evidence) = match scenario.applies(facts) {
            Err(reason) => ("N/A", reason.to_owned()),
            Ok(()) => {
                let seeds = wanted(arguments, SCENARIO_SEEDS);
                let tally = campaign::all(dialect, &make, seeds, |seed| scenario.plan(seed, facts), |_| {});
                match tally.failed.first() {
                    None => ("PASS", format!("{} seeds", tally.passed.len())),
                    Some((seed, broken)) => ("FAIL", format!("seed {seed}: {}: {}", broken.what, broken.how)),
                }
            }
        };
        passed += usize::from(verdict == "PASS");
        failed += usize::from(verdict == "FAIL");
        if arguments.json {
            rows.push(json!({
                "id": scenario.id, "title": scenario.title, "asserts": scenario.asserts,
                "verdict": verdict, "evidence": evidence,
            }));
        } else {
            writeln!(out, "{verdict:4} {} {} – {evidence}", scenario.id, scenario.title)?;
            out.flush()?;
        }
    }
    if arguments.json {
        let document =
            json!({"connector": D::SPEC.name, "scenarios": rows, "passed": passed, "failed": failed});
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "{passed} passed, {failed} failed")?;
    }
    if failed == 0 { Ok(()) } else { Err(Ended::Failed) }
}

/// Every planted defect must be noticed.
fn hunt<D: Dialect>(
    dialect: D,
    face: &MakeFace,
    facts: &Facts,
    arguments: &ChaosArguments,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    if !mutants::AVAILABLE {
        let text = "the defects are not compiled in: build with `--features connector-core/mutants`, as `cargo xtask chaos` does";
        return Err(Ended::Usage(text.to_owned()));
    }
    let make = || face();
    let mut failure: Option<io::Error> = None;
    let hunted = campaign::hunt(dialect, &make, facts, arguments.seeds.unwrap_or(HUNT), |hunted| {
        if !arguments.json && failure.is_none() {
            failure = writeln!(out, "{}", line(hunted)).and_then(|()| out.flush()).err();
        }
    });
    failure.map_or(Ok(()), Err)?;
    let caught = hunted.iter().filter(|hunted| hunted.caught.is_some()).count();
    let missed = hunted.len() - caught;
    if arguments.json {
        let rows: Vec<Value> = hunted
            .iter()
            .map(|hunted| {
                let seed = hunted.caught.as_ref().map(|(seed, _)| seed);
                let by = hunted.caught.as_ref().map(|(_, broken)| broken.what);
                json!({"mutant": hunted.mutant.to_string(), "seed": seed, "invariant": by})
            })
            .collect();
        let document =
            json!({"connector": D::SPEC.name, "mutants": rows, "passed": caught, "failed": missed});
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "{caught} passed, {missed} failed")?;
    }
    if missed == 0 { Ok(()) } else { Err(Ended::Failed) }
}

fn line(hunted: &Hunted) -> String {
    match &hunted.caught {
        Some((seed, broken)) => {
            let how: String = broken.how.chars().take(100).collect();
            format!("PASS {} – seed {seed}: {}: {how}", hunted.mutant, broken.what)
        }
        None => format!("FAIL {} – nobody noticed", hunted.mutant),
    }
}
