//! From the compiler's counters to lines.
//!
//! The compiler divides each function into regions, nested in each other, each with a counter or a sum or difference of
//! counters. A line is run if what the innermost region around its beginning counts, or any region that begins on it, is not zero:
//! the rule of LLVM's own reports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llvm_profparser::coverage_mapping::read_object_file;
use llvm_profparser::instrumentation_profile::types::InstrumentationProfile;
use llvm_profparser::{Counter, CounterType, ExprKind, Expression, FunctionRecordV3, RegionKind};

/// This bit of a region's last column says that it is a gap: what lies between two regions and is no code of its own.
const GAP: usize = 1 << 31;

/// Where a region begins and ends, by line and column.
type Place = (usize, usize);

/// The regions of all files with how often they ran.
#[derive(Default)]
pub(crate) struct Lines {
    files: BTreeMap<PathBuf, BTreeMap<(Place, Place), u128>>,
}

impl Lines {
    /// Adds what one program has counted in files below `root`.
    pub(crate) fn read(&mut self, program: &Path, profile: &Path, root: &Path) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
        let profile = llvm_profparser::parse(profile).map_err(|error| told(&error))?;
        let version = profile.version().ok_or_else(|| told(&"its counters have no version"))?;
        let info = read_object_file(program, version).map_err(|error| told(&error))?;
        let mut known: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        for function in &info.cov_fun {
            let id = function.header.filenames_ref;
            let paths = known.entry(id).or_insert_with(|| info.get_files_from_id(id));
            if paths.iter().any(|path| path.starts_with(root)) {
                self.add(function, paths, &profile);
            }
        }
        Ok(())
    }

    fn add(&mut self, function: &FunctionRecordV3, paths: &[PathBuf], profile: &InstrumentationProfile) {
        let record = profile.find_record_by_hash(function.header.name_hash);
        // A function that no program needs has regions and no counters.
        let counts = record.filter(|record| record.hash == Some(function.header.fn_hash));
        let counts = counts.map(|record| record.counts()).unwrap_or_default();
        for region in function.regions.iter().filter(|region| region.kind == RegionKind::Code) {
            let (Some(path), loc) = (paths.get(region.file_id), &region.loc) else { continue };
            if loc.column_end & GAP != 0 && loc.column_end != usize::MAX {
                continue;
            }
            let place = ((loc.line_start, loc.column_start), (loc.line_end, loc.column_end));
            let count = value(region.count, &function.expressions, counts).max(0).unsigned_abs();
            let sum = self.files.entry(path.clone()).or_default().entry(place).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Whether a line, counted from 1, was run; `None` if no code is there.
    pub(crate) fn is_covered(&self, file: &Path, line: usize) -> Option<bool> {
        covered(self.files.get(file)?, line)
    }
}

fn covered(regions: &BTreeMap<(Place, Place), u128>, line: usize) -> Option<bool> {
    // Ordered by where they begin, so the innermost around the line's beginning is the last of those that reach it.
    let around = regions.range(..((line, 0), (0, 0))).rev().find(|((_, end), _)| *end > (line, 0));
    let within = regions.range(((line, 0), (0, 0))..((line + 1, 0), (0, 0)));
    within.chain(around).map(|(_, count)| *count > 0).reduce(|one, other| one || other)
}

/// What a counter counts.
fn value(counter: Counter, expressions: &[Expression], counts: &[u64]) -> i128 {
    let index = usize::try_from(counter.id).unwrap_or(usize::MAX);
    match counter.kind {
        CounterType::Zero => 0,
        CounterType::ProfileInstrumentation => counts.get(index).copied().unwrap_or_default().into(),
        CounterType::Expression(_) => expressions.get(index).map_or(0, |expression| {
            let side = |counter| value(counter, expressions, counts);
            match expression.kind {
                ExprKind::Add => side(expression.lhs) + side(expression.rhs),
                ExprKind::Subtract => side(expression.lhs) - side(expression.rhs),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_region_decides() {
        // fn f() { …            1
        //     if rare {         2
        //         never();      3
        //     }                 4
        // }                     5
        let regions = BTreeMap::from([(((1, 1), (5, 2)), 7), (((2, 13), (4, 6)), 0)]);
        let lines: Vec<_> = (0..=6).map(|line| covered(&regions, line)).collect();
        let (none, run, not) = (None, Some(true), Some(false));
        assert_eq!(lines, [none, run, run, not, not, run, none]);
    }

    #[test]
    fn expressions_are_summed_up() {
        let counter = Counter::instrumentation;
        let reference = |kind, id| Counter { kind: CounterType::Expression(kind), id };
        let expressions = [
            Expression { kind: ExprKind::Subtract, lhs: counter(0), rhs: counter(1) },
            Expression { kind: ExprKind::Add, lhs: reference(ExprKind::Subtract, 0), rhs: counter(2) },
        ];
        assert_eq!(value(reference(ExprKind::Add, 1), &expressions, &[10, 4, 3]), 9);
        assert_eq!(value(Counter::default(), &expressions, &[10, 4, 3]), 0);
    }
}
