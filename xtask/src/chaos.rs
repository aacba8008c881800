//! `chaos --publish`: what the simulations of all connectors came to, as a page.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::{ExitCode, Stdio};

use serde_json::Value;

use crate::workspace::{Build, Usage, Workspace};

/// Seeds of the random mode that are published.
const SEEDS: &str = "10000";
/// The page.
const PAGE: &str = "docs/reliability.md";

/// Runs everything for every connector and writes the page. With `--seeds N` so many seeds, with a connector's name that one.
pub(crate) fn publish(workspace: &Workspace, rest: &[OsString]) -> Result<ExitCode, Usage> {
    let rest: Vec<String> = rest.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let after = |name: &str| {
        let at = rest.iter().position(|argument| argument == name)?;
        rest.get(at + 1).cloned()
    };
    let seeds = after("--seeds").unwrap_or_else(|| SEEDS.to_owned());
    let named = rest.iter().find(|argument| workspace.connectors.contains(argument));
    let connectors: Vec<&String> = match named {
        Some(connector) => vec![connector],
        None => workspace.connectors.iter().collect(),
    };
    let mut page = HEAD.to_owned();
    let mut good = true;
    for connector in connectors {
        let [random, catalogue, mutants] = [&["--seeds", &seeds][..], &["--scenario", "all"], &["--mutants"]]
            .map(|options| document(workspace, connector, options));
        let (Some(random), Some(catalogue), Some(mutants)) = (random, catalogue, mutants) else {
            return Err(Usage(format!("the runs of {connector} did not answer: see what they told above")));
        };
        good &= [&random, &catalogue, &mutants].iter().all(|document| document["failed"] == 0);
        section(&mut page, connector, &random, &catalogue, &mutants);
    }
    std::fs::write(workspace.root.join(PAGE), page).map_err(|error| Usage(format!("{PAGE}: {error}")))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a run answers with `--json`.
fn document(workspace: &Workspace, connector: &str, options: &[&str]) -> Option<Value> {
    let build = Build { release: true, mutants: options.contains(&"--mutants"), tls: false };
    let mut runner = workspace.runner(connector, build);
    runner.arg("chaos").args(options).arg("--json").stderr(Stdio::inherit());
    serde_json::from_slice(&runner.output().ok()?.stdout).ok()
}

const HEAD: &str = "\
# Reliability

Written by `cargo xtask chaos --publish`; do not edit. A seed is at least ten minutes of trading in virtual time: the whole
connector (engine, dialect, journal) against the embedded venue in memory, with orders, cancels, amendments, pairs turned away
from, and faults of all classes: of the network, of HTTP, of streams, of limits, of clocks, of the account, of markets, of the
process. While it goes on and at the end it is compared with the venue's ledger. The same seed gives the same trace, to the bit.
How a seed is run again: `cargo xtask chaos <connector> --seed N`.
";

fn section(page: &mut String, connector: &str, random: &Value, catalogue: &Value, mutants: &Value) {
    // Writing to a text cannot fail.
    let _ = writeln!(page, "\n## {connector}\n");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = [
        ("Seeds passed", "passed"),
        ("Seeds failed", "failed"),
        ("Hours simulated", "simulated_hours"),
        ("Orders placed", "orders"),
        ("Orders of a seed, at least", "least_orders"),
        ("Fills", "fills"),
        ("Faults", "faults"),
        ("Faults of a seed, at least", "least_faults"),
        ("Seeds per second, on all threads", "seeds_per_second"),
        ("Threads", "threads"),
    ];
    let _ = writeln!(page, "| Random mode | |\n| --- | ---: |");
    for (title, name) in rows {
        let _ = writeln!(page, "| {title} | {} |", text(&random[name]));
    }
    let _ = writeln!(
        page,
        "\nConvergence: from the end of the last fault until open orders, outcomes, balances and books were the venue's again, by \
         the class of that fault. Zero means that it was so already.\n"
    );
    let _ =
        writeln!(page, "| Class | Faults | Runs | p50, ms | p99, ms |\n| --- | ---: | ---: | ---: | ---: |");
    for (class, faults) in random["faults_by_class"].as_object().into_iter().flatten() {
        let found = random["convergence"].get(class).unwrap_or(&Value::Null);
        let cell = |name: &str| if found[name].is_null() { "–".to_owned() } else { text(&found[name]) };
        let _ = writeln!(
            page,
            "| {class} | {faults} | {} | {} | {} |",
            cell("runs"),
            cell("p50_ms"),
            cell("p99_ms")
        );
    }
    let _ = writeln!(page, "\n| Scenario | | Verdict | Evidence |\n| --- | --- | --- | --- |");
    for row in catalogue["scenarios"].as_array().into_iter().flatten() {
        let cells = ["id", "title", "verdict", "evidence"].map(|name| text(&row[name]));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(
        page,
        "\nDefects put back on purpose, one at a time, and the first seed and invariant that noticed:\n\n\
         | Defect | Seed | Invariant |\n| --- | ---: | --- |"
    );
    for row in mutants["mutants"].as_array().into_iter().flatten() {
        let cell = |name: &str| if row[name].is_null() { "not noticed".to_owned() } else { text(&row[name]) };
        let _ = writeln!(page, "| {} | {} | {} |", cell("mutant"), cell("seed"), cell("invariant"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_section_has_a_row_for_everything() {
        let random = json!({"passed": 3, "failed": 0, "faults_by_class": {"net": 5, "ws": 2},
            "convergence": {"net": {"runs": 2, "p50_ms": 0, "p99_ms": 900}}});
        let catalogue = json!({"scenarios": [
            {"id": "F-01", "title": "t", "verdict": "PASS", "evidence": "20 seeds"}]});
        let mutants = json!({"mutants": [
            {"mutant": "One", "seed": 3, "invariant": "I-04"}, {"mutant": "Two", "seed": null, "invariant": null}]});
        let mut page = String::new();
        section(&mut page, "spot-x", &random, &catalogue, &mutants);
        for row in [
            "## spot-x",
            "| Seeds passed | 3 |",
            "| net | 5 | 2 | 0 | 900 |",
            "| ws | 2 | – | – | – |",
            "| F-01 | t | PASS | 20 seeds |",
            "| One | 3 | I-04 |",
            "| Two | not noticed | not noticed |",
        ] {
            assert!(page.contains(row), "{row}: {page}");
        }
    }
}
