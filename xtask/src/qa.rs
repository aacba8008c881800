//! `qa --all`: the QA checklist of every connector, one after the other, and their matrix.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use serde_json::{Value, json};

use crate::workspace::{Build, Usage, Workspace};

/// What became of a number of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
}

impl Tally {
    /// Reads a last line `N passed, M failed`.
    pub(crate) fn from_last_line(line: &str) -> Option<Self> {
        let (passed, failed) = line.trim().strip_suffix(" failed")?.split_once(" passed, ")?;
        Some(Self { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `qa --all`, with the options it was given.
pub(crate) fn all(workspace: &Workspace, rest: &[OsString]) -> Result<ExitCode, Usage> {
    let json = rest.iter().any(|argument| argument == "--json");
    let mut options: Vec<OsString> = rest.iter().filter(|argument| *argument != "--all").cloned().collect();
    let reports = take_report(&mut options)?.unwrap_or_else(|| workspace.root.join("target").join("qa"));
    let mut total = Tally::default();
    let mut documents = Vec::new();
    for connector in &workspace.connectors {
        let directory = reports.join(connector);
        let tally = one(workspace, connector, &options, &directory, json)?;
        total += tally;
        documents.push(read_report(&directory).unwrap_or_else(|| json!({ "connector": connector })));
    }
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is not an error of ours.
    let _ = if json {
        let document = json!({ "connectors": documents, "passed": total.passed, "failed": total.failed });
        writeln!(out, "{document:#}")
    } else {
        matrix(&mut out, &documents)
            .and_then(|()| writeln!(out, "{} passed, {} failed", total.passed, total.failed))
    };
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one connector's checklist, showing what it prints unless a document is wanted.
fn one(
    workspace: &Workspace,
    connector: &str,
    options: &[OsString],
    directory: &std::path::Path,
    quiet: bool,
) -> Result<Tally, Usage> {
    let start = |error| Usage(format!("cannot start cargo: {error}"));
    let mut child = workspace
        .runner(connector, Build::default())
        .arg("qa")
        .args(options.iter().filter(|option| *option != "--json"))
        .arg("--report")
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let mut tally = None;
    let mut out = std::io::stdout();
    if !quiet {
        let _ = writeln!(out, "== {connector}");
    }
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(line) = line else { break };
        tally = Tally::from_last_line(&line).or(tally);
        if !quiet {
            let _ = writeln!(out, "{line}");
        }
    }
    let status = child.wait().map_err(start)?;
    match tally {
        Some(tally) if status.success() || tally.failed > 0 => Ok(tally),
        // A runner that refused the options has already said why.
        _ if status.code() == Some(2) => Err(Usage(format!("{connector} refused to run; see above"))),
        // One that died counts as failed, whatever it claimed before.
        tally => Ok(Tally { failed: tally.unwrap_or_default().failed + 1, ..tally.unwrap_or_default() }),
    }
}

fn take_report(options: &mut Vec<OsString>) -> Result<Option<PathBuf>, Usage> {
    let Some(position) = options.iter().position(|option| option.to_string_lossy().starts_with("--report"))
    else {
        return Ok(None);
    };
    let option = options.remove(position);
    if let Some(directory) = option.to_string_lossy().strip_prefix("--report=") {
        return Ok(Some(directory.into()));
    }
    if position < options.len() {
        return Ok(Some(options.remove(position).into()));
    }
    Err(Usage("`--report` needs a directory: --report DIR".to_owned()))
}

fn read_report(directory: &std::path::Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(directory.join("report.json")).ok()?).ok()
}

/// Rows against connectors.
fn matrix(out: &mut impl std::io::Write, documents: &[Value]) -> std::io::Result<()> {
    let mut rows: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut names = Vec::new();
    for document in documents {
        let name = document.get("connector").and_then(Value::as_str).unwrap_or_default();
        names.push(name);
        for row in document.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
            rows.entry(text("id")).or_default().insert(name, text("outcome"));
        }
    }
    writeln!(out, "\n{:<8}{}", "", names.iter().map(|name| format!("{name:>18}")).collect::<String>())?;
    for (id, outcomes) in rows {
        let cells = names.iter().map(|name| format!("{:>18}", outcomes.get(name).unwrap_or(&"·")));
        writeln!(out, "{id:<8}{}", cells.collect::<String>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_the_last_lines_form() {
        assert_eq!(Tally::from_last_line("12 passed, 3 failed"), Some(Tally { passed: 12, failed: 3 }));
        for other in ["PASS SQ-01 connect – 12 passed, 3 failed?", "passed, failed", "1 passed"] {
            assert_eq!(Tally::from_last_line(other), None, "{other}");
        }
    }

    #[test]
    fn the_report_directory_is_taken_out() {
        let mut options: Vec<OsString> =
            ["--seed", "3", "--report", "out", "--only", "SQ-01"].map(Into::into).into();
        assert_eq!(take_report(&mut options).ok().flatten(), Some("out".into()));
        assert_eq!(options, ["--seed", "3", "--only", "SQ-01"]);
        assert!(take_report(&mut vec!["--report".into()]).is_err());
    }
}
