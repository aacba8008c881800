//! `ci` and `test`: everything CI runs, in CI's order, the same on a laptop.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::qa::Tally;
use crate::workspace::{Build, Workspace};

/// One step. Counts only tests and checklist rows as passed; a step without such things counts one failure if it fails.
struct Step {
    title: &'static str,
    run: fn(&Workspace) -> Tally,
}

/// In order: cheap ones first, and nothing that needs what a later one checks.
const STEPS: &[Step] = &[
    Step { title: "format", run: format },
    Step { title: "lints", run: lints },
    Step { title: "purity of exchange crates", run: purity },
    Step { title: "dependencies of exchange crates", run: dependencies },
    Step { title: "licences, bans, sources", run: deny },
    Step { title: "tests", run: tests },
    Step { title: "coverage", run: coverage },
    Step { title: "QA checklist", run: checklist },
    Step { title: "chaos", run: simulations },
];

/// Everything, without TLS so that no OpenSSL headers are needed …
const EVERYTHING: &[&str] = &["--workspace", "--no-default-features"];
/// … and what users can add to the core. Apart, so that everything else is built as the other commands build it.
const ADDED: &[&str] = &["--package", "connector-core", "--no-default-features", "--features", FEATURES];
const FEATURES: &str =
    "connector-core/sqlite,connector-core/keystore,connector-core/metrics,connector-core/gzip";
/// The core without any of it: what only a feature needs must not be missed, nor be a warning, where it is off.
const BARE: &[&str] = &["--package", "connector-core", "--no-default-features"];

const GOOD: Tally = Tally { passed: 0, failed: 0 };
const BAD: Tally = Tally { passed: 0, failed: 1 };

/// Runs every step, also after a failed one, so that one run shows all that is wrong.
pub(crate) fn all(workspace: &Workspace) -> ExitCode {
    let mut total = Tally::default();
    let mut bad = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        say(&format!("\n== {} of {}: {}", number + 1, STEPS.len(), step.title));
        let tally = (step.run)(workspace);
        total += tally;
        if tally.failed > 0 {
            say(&format!("== failed: {}", step.title));
            bad.push(step.title);
        }
    }
    if !bad.is_empty() {
        say(&format!("\nfailed steps: {}", bad.join("; ")));
    }
    finish(total)
}

/// Measures the coverage alone.
pub(crate) fn measure(workspace: &Workspace) -> ExitCode {
    if coverage(workspace).failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the tests alone.
pub(crate) fn test(workspace: &Workspace) -> ExitCode {
    finish(tests(workspace))
}

fn finish(total: Tally) -> ExitCode {
    say(&format!("{} passed, {} failed", total.passed, total.failed));
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn format(workspace: &Workspace) -> Tally {
    succeed(workspace.cargo("fmt").args(["--all", "--check"]))
}

fn lints(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    for packages in [EVERYTHING, ADDED, BARE] {
        let rest = ["--all-targets", "--quiet", "--", "-D", "warnings"];
        tally += succeed(workspace.cargo("clippy").args(packages).args(rest));
    }
    tally
}

/// Everything, then what stands behind features that users add.
fn tests(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    for packages in [EVERYTHING, ADDED] {
        let mut run = Tally::default();
        let success = watch(workspace.cargo("test").args(packages).arg("--no-fail-fast"), |line| {
            run += counted(line).unwrap_or_default();
        });
        // What does not compile has no results to count.
        if !success && run.failed == 0 {
            run.failed = 1;
        }
        tally += run;
    }
    tally
}

/// The least share of lines that tests must run, in per cent: of the core …
const CORE_COVERAGE: u64 = 90;
/// … and of each connector.
const CONNECTOR_COVERAGE: u64 = 80;

/// Apart from `tests`, as what is built to count runs slower; by a program of its own, so that this one builds in seconds.
fn coverage(workspace: &Workspace) -> Tally {
    let mut command = workspace.cargo("run");
    command
        .args(["--quiet", "--package", "coverage", "--", FEATURES])
        .arg(format!("connector-core={CORE_COVERAGE}"));
    command.args(workspace.connectors.iter().map(|connector| format!("{connector}={CONNECTOR_COVERAGE}")));
    succeed(&mut command)
}

/// Reads a test program's line `test result: ok. 3 passed; 0 failed; …`.
fn counted(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
            .unwrap_or_default()
    };
    Some(Tally { passed: count("passed"), failed: count("failed") })
}

/// The checklist of every connector, through this same program, so that CI shows what a person would see.
fn checklist(_: &Workspace) -> Tally {
    let Ok(program) = std::env::current_exe() else { return BAD };
    let mut tally = None;
    let success = watch(Command::new(program).args(["qa", "--all"]), |line| {
        tally = Tally::from_last_line(line).or(tally);
    });
    match tally {
        Some(tally) if success || tally.failed > 0 => tally,
        _ => BAD,
    }
}

/// Seeds of each connector's simulation: well below a minute as everything else here is built, which is not optimised much.
const SEEDS: &str = "200";

/// Simulations of spot connectors, with the runner as it is built for the checklist already; which are left out is said.
fn simulations(workspace: &Workspace) -> Tally {
    let mut total = Tally::default();
    for connector in &workspace.connectors {
        // Contracts are simulated by hand so far: `cargo xtask chaos` runs them, and what it finds is not settled yet.
        if !connector.starts_with("spot-") {
            say(&format!("{connector}: left out, its simulation is not settled yet"));
            continue;
        }
        let mut tally = None;
        let mut runner = workspace.runner(connector, Build::default());
        let success = watch(runner.args(["chaos", "--seeds", SEEDS]), |line| {
            tally = Tally::from_last_line(line).or(tally);
        });
        total += match tally {
            Some(tally) if success || tally.failed > 0 => tally,
            _ => BAD,
        };
    }
    total
}

/// A connector's user must not have to build the embedded venue, the checklists or anything for a terminal.
fn dependencies(workspace: &Workspace) -> Tally {
    const FOREIGN: &[&str] = &[
        "connector-venue",
        "connector-qa",
        "clap",
        "indicatif",
        "console",
        "crossterm",
        "ratatui",
        "axum",
        "mockito",
        "proptest",
        "insta",
        "tracing-subscriber",
    ];
    let mut found = Vec::new();
    for connector in &workspace.connectors {
        let mut command = workspace.cargo("tree");
        command.args(["--package", connector, "--edges", "normal,features", "--prefix", "none", "--quiet"]);
        let Some(tree) = output(&mut command) else {
            found.push(format!("{connector}: its dependency tree cannot be read"));
            continue;
        };
        for line in tree.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            if FOREIGN.contains(&name) || line.starts_with("hyper feature \"server\"") {
                found.push(format!("{connector}: {line}"));
            }
        }
    }
    report(&found)
}

/// Exchange crates describe; they do not act. The reverse direction (`venue`) is no part of what a user builds, but holds the
/// same rule.
fn purity(workspace: &Workspace) -> Tally {
    let mut found = Vec::new();
    for connector in &workspace.connectors {
        let mut files = Vec::new();
        sources(&workspace.root.join("crates").join(connector).join("src"), &mut files);
        if files.is_empty() {
            found.push(format!("{connector}: no source file found"));
        }
        for file in files {
            let Ok(text) = std::fs::read_to_string(&file) else {
                found.push(format!("{}: cannot be read", file.display()));
                continue;
            };
            let shown = file.strip_prefix(&workspace.root).unwrap_or(&file).display();
            found.extend(impure(&text).into_iter().map(|(line, word)| format!("{shown}:{line}: `{word}`")));
        }
    }
    report(&found)
}

/// Words by which code acts, waits, shares or asks its surroundings, with the 1-based lines they stand on.
fn impure(text: &str) -> Vec<(usize, &'static str)> {
    const WORDS: &[&str] = &[
        "async",
        "await",
        "Instant::now",
        "SystemTime",
        "tokio",
        "std::env",
        "std::net",
        "std::thread",
        "std::fs",
        "std::process",
        "Mutex",
        "RwLock",
        "Condvar",
        "thread_local",
        "RandomState",
        "getrandom",
        "fastrand",
        "println",
        "eprintln",
    ];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for word in WORDS {
            let whole = code.match_indices(word).any(|(at, _)| {
                let before = code.get(..at).and_then(|head| head.chars().next_back());
                let after = code.get(at + word.len()..).and_then(|tail| tail.chars().next());
                let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !part(before) && !part(after)
            });
            if whole {
                found.push((number + 1, *word));
            }
        }
    }
    found
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn deny(workspace: &Workspace) -> Tally {
    if output(Command::new("cargo-deny").arg("--version")).is_none() {
        say("cargo-deny is not installed: cargo install --locked cargo-deny");
        return BAD;
    }
    succeed(workspace.cargo("deny").args(["check", "bans", "licenses", "sources"]))
}

fn report(found: &[String]) -> Tally {
    for line in found {
        say(line);
    }
    if found.is_empty() { GOOD } else { BAD }
}

fn succeed(command: &mut Command) -> Tally {
    match command.status() {
        Ok(status) if status.success() => GOOD,
        Ok(_) => BAD,
        Err(error) => {
            say(&format!("cannot start cargo: {error}"));
            BAD
        }
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows what a command prints while `each` reads it. Whether the command succeeded.
fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> bool {
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            say(&format!("cannot start {}: {error}", command.get_program().to_string_lossy()));
            return false;
        }
    };
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(line) = line else { break };
        each(&line);
        say(&line);
    }
    child.wait().is_ok_and(|status| status.success())
}

/// One line on stdout. A reader that has gone away is not an error of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_test_results() {
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(counted(line), Some(Tally { passed: 3, failed: 1 }));
        assert_eq!(counted("test counts_test_results ... ok"), None);
    }

    #[test]
    fn impure_words_are_found_whole() {
        let text = "use std::env;\n// async in a comment\nlet asynchronous = 1;\nlet t = Instant::now();\n";
        assert_eq!(impure(text), [(1, "std::env"), (4, "Instant::now")]);
    }
}
