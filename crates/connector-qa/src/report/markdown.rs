//! The report as Markdown, for pull requests.

use std::fmt::Write as _;

use super::{Outcome, Report, human};

/// The report as one Markdown document.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    // Writing to memory cannot fail.
    let _ = writeln!(
        text,
        "# QA of {}\n\n**{}**, {} not applicable, against {} with seed {} in {}.\n\n\
         | | id | check | evidence | time |\n| --- | --- | --- | --- | ---: |",
        cell(&report.connector),
        report.last_line(),
        report.not_applicable(),
        report.target,
        report.seed,
        human(report.duration)
    );
    for row in &report.rows {
        let (mark, evidence) = match &row.outcome {
            Outcome::Pass => ("PASS", &row.evidence),
            Outcome::Fail => ("**FAIL**", &row.evidence),
            Outcome::NotApplicable { reason } => ("N/A", reason),
        };
        let (id, title, evidence) = (cell(&row.id), cell(&row.title), cell(evidence));
        let _ = writeln!(text, "| {mark} | {id} | {title} | {evidence} | {} |", human(row.duration));
    }
    let plots = report.rows.iter().flat_map(|row| row.details.iter().map(move |detail| (row, detail.plot())));
    let mut plots = plots.filter_map(|(row, plot)| Some((row, plot?))).peekable();
    if plots.peek().is_some() {
        text.push_str("\n## Plots, in one line each\n\n");
    }
    for (row, (title, line)) in plots {
        let _ = writeln!(text, "- {} {}: {}", cell(&row.id), cell(title), cell(&line));
    }
    text
}

/// A text that cannot break out of its cell.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_one_line_of_five_cells() {
        let text = markdown(&super::super::tests::example());
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with('|') && line.contains("Q-")).collect();
        assert_eq!(rows.len(), 5);
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
        }
        assert!(text.contains("- SQ-09 Orders in 10 s: ▂▄▆█"), "{text}");
        assert!(text.contains("- SQ-09 What happened: 3 spans and marks in 1 lanes"), "{text}");
        assert!(text.contains("order 12 \\| stuck in &lt;pending_cancel>"), "{text}");
    }
}
