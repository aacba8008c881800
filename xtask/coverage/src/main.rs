//! Line coverage of the core and of each connector, by their tests: `coverage FEATURES PACKAGE=PER-CENT …`.
//!
//! The tests are built with the compiler's own counters (`-C instrument-coverage`) and run one program after the other; what
//! they leave is read here, so that nothing need be installed. Only the workspace's own crates are built anew for it: this
//! program puts itself before the compiler for those ([`wrapper`]) and leaves everything else as the other commands built it.

mod lines;
mod run;
mod source;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lines::Lines;

/// Set while this program stands before the compiler.
const WRAPPER: &str = "COVERAGE_WRAPPER";
/// The reverse direction of an exchange crate: a part of the embedded exchange, so it counts apart.
const VENUE: &str = "venue";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if std::env::var_os(WRAPPER).is_some()
        && let Some((compiler, rest)) = arguments.split_first()
    {
        return wrapper(compiler, rest);
    }
    let Some((features, gates)) = asked(&arguments) else {
        say("usage: coverage PACKAGE/FEATURE,… PACKAGE=PER-CENT …");
        return ExitCode::from(2);
    };
    match measure(features, &gates) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Is the compiler, with counters.
fn wrapper(compiler: &OsStr, rest: &[OsString]) -> ExitCode {
    match Command::new(compiler).args(rest).args(["-C", "instrument-coverage"]).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            say(&format!("cannot start the compiler: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The features, and the packages with their gates.
fn asked(arguments: &[OsString]) -> Option<(&str, Vec<(String, u64)>)> {
    let (features, gates) = arguments.split_first()?;
    let gates: Vec<_> = gates.iter().map(|argument| gate(argument)).collect::<Option<_>>()?;
    Some((features.to_str()?, gates)).filter(|(_, gates)| !gates.is_empty())
}

fn gate(argument: &OsStr) -> Option<(String, u64)> {
    let (package, least) = argument.to_str()?.split_once('=')?;
    Some((package.to_owned(), least.parse().ok()?))
}

/// Covered lines, and lines with code.
#[derive(Clone, Copy, Default)]
struct Figure {
    covered: u64,
    all: u64,
}

impl Figure {
    fn add(&mut self, other: Self) {
        self.covered += other.covered;
        self.all += other.all;
    }

    /// In tenths of a per cent, rounded down so that a gate is never reached by rounding.
    fn per_mille(self) -> u64 {
        (self.covered * 1000).checked_div(self.all).unwrap_or_default()
    }

    fn row(self, name: &str, rest: &str) -> String {
        let share = self.per_mille();
        format!("{name:<44} {:>6} {:>6} {:>4}.{} % {rest}", self.all, self.covered, share / 10, share % 10)
            .trim_end()
            .to_owned()
    }
}

/// Runs the tests and prints the table. Whether all packages reach their gates.
fn measure(features: &str, gates: &[(String, u64)]) -> Result<bool, String> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|e| e.to_string())?;
    let packages: Vec<_> = gates.iter().map(|(package, _)| package.as_str()).collect();
    let mut lines = Lines::default();
    for (program, profile) in run::tests(&root, features, &packages)? {
        lines.read(&program, &profile, &root)?;
    }
    let mut good = true;
    let mut summary = vec![format!("{:<44} {:>6} {:>6} {:>8}", "", "lines", "run", "share")];
    for (package, least) in gates {
        let mut parts: BTreeMap<bool, Figure> = BTreeMap::new();
        let source = root.join("crates").join(package).join("src");
        for (file, figure, missed) in files(&source, &lines)? {
            let name = file.strip_prefix(&source).unwrap_or(&file);
            parts.entry(is_venue(name)).or_default().add(figure);
            say(&figure.row(&format!("{package} {}", name.display()), &ranges(&missed)));
        }
        let own = parts.get(&false).copied().unwrap_or_default();
        let reached = own.per_mille() >= least * 10;
        good &= reached;
        let verdict = if reached { "" } else { ": too few" };
        summary.push(own.row(package, &format!("(at least {least} %){verdict}")));
        if let Some(venue) = parts.get(&true) {
            summary.push(venue.row(&format!("{package}, {VENUE}"), ""));
        }
    }
    say("");
    summary.iter().for_each(|line| say(line));
    Ok(good)
}

fn is_venue(file: &Path) -> bool {
    file.components().any(|part| Path::new(part.as_os_str()).file_stem().is_some_and(|stem| stem == VENUE))
}

/// The figure of each source file that is no test and the lines that were not run, in order.
fn files(directory: &Path, lines: &Lines) -> Result<Vec<(PathBuf, Figure, Vec<usize>)>, String> {
    let mut figures = Vec::new();
    for (file, text) in source::files(directory)? {
        let (mut figure, mut missed) = (Figure::default(), Vec::new());
        for number in source::code(&text) {
            let Some(covered) = lines.is_covered(&file, number) else { continue };
            figure.add(Figure { covered: covered.into(), all: 1 });
            if !covered {
                missed.push(number);
            }
        }
        if figure.all > 0 {
            figures.push((file, figure, missed));
        }
    }
    Ok(figures)
}

/// Line numbers in ascending order, shortened: `3 7-9 12`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    };
    runs.map(run).collect::<Vec<_>>().join(" ")
}

/// One line on stdout. A reader that has gone away is not an error of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_not_reached_by_rounding() {
        assert_eq!(Figure { covered: 8_999, all: 10_000 }.per_mille(), 899);
        assert_eq!(Figure::default().per_mille(), 0);
        assert_eq!(gate(OsStr::new("spot-x=80")), Some(("spot-x".to_owned(), 80)));
        assert_eq!(gate(OsStr::new("spot-x")), None);
    }

    #[test]
    fn the_reverse_direction_counts_apart() {
        let is = |path| is_venue(Path::new(path));
        assert!(is("venue.rs") && is("venue/orders.rs") && !is("rest.rs") && !is("venues/rest.rs"));
    }

    #[test]
    fn runs_of_lines_are_shortened() {
        assert_eq!(ranges(&[3, 7, 8, 9, 12]), "3 7-9 12");
        assert_eq!(ranges(&[]), "");
    }
}
