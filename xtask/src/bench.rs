//! `bench`: the hot paths beside their lower bounds and, with `--peers`, beside other people's crates.
//!
//! Programs run by turns, round by round, so that what else the machine does meets all of them alike. A ratio compares medians of
//! the same round; the middle one of all rounds is told.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::workspace::{Usage, Workspace, cargo_itself, nearest};

/// The benchmark programs, and what each of them measures.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("market", &["depth/parse_apply", "best_price/frame", "trade/frame", "ws/receive"]),
    ("order", &["order/out", "order/ack"]),
    ("limits", &["limiter/one", "limiter/four"]),
];

/// Who is measured when it is this project.
const OURS: &str = "ours";

/// What is asked for.
#[derive(clap::Args)]
pub(crate) struct Asked {
    /// Benchmarks to run; all by default
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// One JSON array on stdout
    #[arg(long)]
    json: bool,
    /// Other people's crates in the same run: a workspace of their own (xtask/peers), built on first use
    #[arg(long)]
    peers: bool,
    /// Frames from a recording (`<local ns> <json>` lines, gzip or plain) in place of made ones
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// How often everything is run
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
}

/// One line of a benchmark program: one side's result of one round.
#[derive(Debug, Deserialize)]
struct Line {
    name: String,
    who: String,
    unit: String,
    median: f64,
    p99: f64,
}

/// All rounds of one benchmark.
#[derive(Debug, Default)]
struct Measured {
    unit: String,
    medians: BTreeMap<String, Vec<f64>>,
    p99: Vec<f64>,
}

/// `bench`, with its options.
pub(crate) fn bench(workspace: &Workspace, asked: &Asked) -> Result<ExitCode, Usage> {
    let names = known(&asked.names)?;
    let frames = asked.frames.as_ref().map(|path| {
        path.canonicalize().map_err(|error| Usage(format!("no recording `{}`: {error}", path.display())))
    });
    let frames = frames.transpose()?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    note(&format!("RUSTFLAGS=\"{flags}\"{}", if flags.is_empty() { " (any x86-64 can run it)" } else { "" }));
    let wanted = PROGRAMS.iter().filter(|(_, measures)| measures.iter().any(|name| names.contains(name)));
    let mut programs = build(workspace, &wanted.map(|(program, _)| *program).collect::<Vec<_>>())?;
    if asked.peers {
        programs.push(build_peers(workspace)?);
    }
    let mut results = BTreeMap::new();
    let mut failed = false;
    let turns = usize::from(asked.rounds) * programs.len();
    for turn in 0..turns {
        let Some(program) = programs.get(turn % programs.len()) else { break };
        progress(turn, turns, program);
        failed |= !run(program, &names, frames.as_deref(), &mut results);
    }
    progress_done();
    let missing: Vec<_> = names.iter().filter(|name| !results.contains_key(**name)).copied().collect();
    for name in &missing {
        note(&format!("no result for {name}"));
    }
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is not an error of ours.
    let _ = if asked.json {
        writeln!(out, "{:#}", Value::Array(results.iter().map(|(name, one)| one.to_json(name)).collect()))
    } else {
        let colour = std::io::stdout().is_terminal();
        results.iter().try_for_each(|(name, one)| one.show(&mut out, name, colour))
    };
    Ok(if failed || !missing.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The names asked for, all if none was.
fn known(names: &[String]) -> Result<Vec<&'static str>, Usage> {
    let all = || PROGRAMS.iter().flat_map(|(_, measures)| measures.iter().copied());
    if names.is_empty() {
        return Ok(all().collect());
    }
    let find = |name: &String| {
        all().find(|known| known == name).ok_or_else(|| {
            let near =
                nearest(name, all()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Usage(format!("no benchmark `{name}`{near} (known: {})", all().collect::<Vec<_>>().join(", ")))
        })
    };
    names.iter().map(find).collect()
}

/// Builds benchmark programs, and only what they need.
fn build(workspace: &Workspace, programs: &[&str]) -> Result<Vec<PathBuf>, Usage> {
    let mut command = workspace.cargo("bench");
    command.args(["--package", "benches", "--no-run"]);
    programs.iter().for_each(|program| {
        command.args(["--bench", program]);
    });
    executables(&mut command, programs)
}

/// Builds the peers; those that build everywhere where one of them does not.
fn build_peers(workspace: &Workspace) -> Result<PathBuf, Usage> {
    let build = |all: bool| {
        let mut command = cargo_itself();
        command.args(["build", "--release", "--locked", "--manifest-path"]);
        command.arg(workspace.root.join("xtask/peers/Cargo.toml"));
        command.arg("--target-dir").arg(workspace.root.join("target/peers"));
        if !all {
            command.arg("--no-default-features");
        }
        executables(&mut command, &["peers"])
    };
    let built = build(true).or_else(|_| {
        note("some peers do not build here; going on without them");
        build(false)
    });
    built?.pop().ok_or_else(|| Usage("the peers were not built".to_owned()))
}

/// Runs cargo and finds the programs it has built.
fn executables(command: &mut Command, programs: &[&str]) -> Result<Vec<PathBuf>, Usage> {
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Usage(format!("cannot start cargo: {error}")))?;
    if !output.status.success() {
        return Err(Usage("the benchmarks do not build; see above".to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built = |program: &&str| {
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let name = message.pointer("/target/name").and_then(Value::as_str);
            let path = message.get("executable").and_then(Value::as_str).map(PathBuf::from);
            path.filter(|_| name == Some(*program))
        })
    };
    let missing = || Usage("cargo does not say where the benchmarks are".to_owned());
    programs.iter().map(|program| built(program).ok_or_else(missing)).collect()
}

/// How a program is started. Other people's programs get a network of their own, with loopback alone, where that is permitted; one
/// that needs it refuses to work without.
fn command(program: &Path) -> Command {
    const LOOPBACK: [&str; 5] =
        ["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];
    let alone = |then: &Path| {
        let mut command = Command::new("unshare");
        command.args(LOOPBACK).arg(then);
        command
    };
    let permitted = || {
        let mut probe = alone(Path::new("true"));
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if program.ends_with("peers") && permitted() { alone(program) } else { Command::new(program) }
}

/// Runs a program once and takes in its lines. Whether it succeeded.
fn run(
    program: &Path,
    names: &[&str],
    frames: Option<&Path>,
    results: &mut BTreeMap<String, Measured>,
) -> bool {
    let mut command = command(program);
    command.args(names).stdin(Stdio::null()).stderr(Stdio::inherit());
    if let Some(frames) = frames {
        command.arg("--frames").arg(frames);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            note(&format!("cannot start {}: {error}", program.display()));
            return false;
        }
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match serde_json::from_str::<Line>(line) {
            Ok(line) if line.median.is_finite() => results.entry(line.name.clone()).or_default().add(line),
            _ => note(line),
        }
    }
    if !output.status.success() {
        note(&format!("{} failed; see above", program.display()));
    }
    output.status.success()
}

impl Measured {
    fn add(&mut self, line: Line) {
        self.unit = line.unit;
        if line.who == OURS {
            self.p99.push(line.p99);
        }
        self.medians.entry(line.who).or_default().push(line.median);
    }

    /// Our median, its 99th percentile, and for each baseline its median and the ratio of ours to it.
    fn summary(&self) -> (f64, f64, Vec<(&str, f64, f64)>) {
        let ours = self.medians.get(OURS).map(Vec::as_slice).unwrap_or_default();
        let baselines = self.medians.iter().filter(|(who, _)| *who != OURS).map(|(who, theirs)| {
            let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
            (who.as_str(), middle(theirs.clone()), middle(ratios.collect()))
        });
        (middle(ours.to_vec()), middle(self.p99.clone()), baselines.collect())
    }

    fn to_json(&self, name: &str) -> Value {
        let (median, p99, baselines) = self.summary();
        let ratios: serde_json::Map<_, _> = baselines
            .iter()
            .map(|(who, _, ratio)| ((*who).to_owned(), json!((ratio * 1000.0).round() / 1000.0)))
            .collect();
        json!({ "name": name, "median": median, "p99": p99, "unit": self.unit, "baselines": ratios })
    }

    fn show(&self, out: &mut impl std::io::Write, name: &str, colour: bool) -> std::io::Result<()> {
        let (median, p99, baselines) = self.summary();
        let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(
            out,
            "{bold}{name:<20}{:>12}{plain} {:<9} p99 {:>12}",
            number(median),
            self.unit,
            number(p99)
        )?;
        let more_is_better = self.unit.ends_with("/s");
        for (who, theirs, ratio) in baselines {
            let paint = match (colour, (ratio >= 1.0) == more_is_better) {
                (true, true) => "\x1b[32m",
                (true, false) => "\x1b[33m",
                (false, _) => "",
            };
            writeln!(
                out,
                "  {who:<18}{:>12} {:<9} {paint}ratio {ratio:>10.3}{plain}",
                number(theirs),
                self.unit
            )?;
        }
        Ok(())
    }
}

/// The middle value; the mean of the two in the middle of an even number.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2))
}

fn number(value: f64) -> String {
    if value >= 10_000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A line on stderr.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn progress(turn: usize, turns: usize, program: &Path) {
    if std::io::stderr().is_terminal() {
        let done = 30 * turn / turns.max(1);
        let name = program.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.split('-').next().unwrap_or_default();
        let bar = format!("{}{}", "█".repeat(done), "░".repeat(30 - done));
        let _ = write!(std::io::stderr(), "\r\x1b[K{bar} {turn}/{turns} {name}");
    }
}

fn progress_done() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let mut measured = Measured::default();
        for (ours, bound) in [(10.0, 5.0), (30.0, 10.0), (16.0, 4.0)] {
            for (who, median) in [(OURS, ours), ("bound", bound)] {
                let (name, unit) = ("a/b".to_owned(), "ns".to_owned());
                measured.add(Line { name, who: who.to_owned(), unit, median, p99: median * 2.0 });
            }
        }
        let want = json!({
            "name": "a/b", "median": 16.0, "p99": 32.0, "unit": "ns", "baselines": { "bound": 3.0 }
        });
        assert_eq!(measured.to_json("a/b"), want);
    }

    #[test]
    fn wrong_names_are_refused_with_the_right_ones() {
        assert_eq!(known(&["trade/frame".to_owned()]).ok(), Some(vec!["trade/frame"]));
        let error = known(&["trade/frme".to_owned()]).expect_err("refused").0;
        assert!(error.contains("did you mean `trade/frame`?") && error.contains("ws/receive"), "{error}");
    }

    #[test]
    fn middle_of_even_and_odd() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle(vec![4.0, 1.0]), 2.5);
        assert!(middle(Vec::new()).is_nan());
    }
}
