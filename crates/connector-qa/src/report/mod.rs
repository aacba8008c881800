//! What a checklist run found: rows as data, and the forms they are shown in.

mod axis;
mod escape;
mod evidence;
mod html;
mod markdown;
mod plot;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use evidence::{Chart, Lane, Mark, Place, Series, Shape, Span, Timeline, Tone, Unit};
pub use html::html;
pub use markdown::markdown;

/// What became of a row. There is no fourth outcome: a row that was not run is not in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome")]
pub enum Outcome {
    /// What the row asks for was observed.
    #[serde(rename = "PASS")]
    Pass,
    /// It was not.
    #[serde(rename = "FAIL")]
    Fail,
    /// The connector declares that the row does not apply.
    #[serde(rename = "N/A")]
    NotApplicable {
        /// Why, in the connector's words.
        reason: String,
    },
}

impl Outcome {
    /// `PASS`, `FAIL` or `N/A`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotApplicable { .. } => "N/A",
        }
    }
}

/// Something a row observed, to be looked at by whoever doubts its outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// A sentence.
    Note {
        /// The sentence.
        text: String,
    },
    /// A table.
    Table {
        /// What it shows.
        title: String,
        /// Column heads.
        head: Vec<String>,
        /// Rows, each as long as the head.
        rows: Vec<Vec<String>>,
    },
    /// Measured durations, in the order they were taken.
    Samples {
        /// What was measured.
        title: String,
        /// In nanoseconds.
        nanos: Vec<u64>,
    },
    /// Numbers over time.
    Chart(Chart),
    /// What happened when.
    Timeline(Timeline),
}

impl Detail {
    /// What is drawn, and what it says in one line; `None` of what is text anyway.
    #[must_use]
    pub fn plot(&self) -> Option<(&str, String)> {
        match self {
            Self::Note { .. } | Self::Table { .. } => None,
            Self::Samples { title, nanos } => {
                Some((title, format!("{} {}", plot::sparkline(nanos), plot::samples_line(nanos))))
            }
            Self::Chart(chart) => {
                let shape = plot::sparkline(&plot::evenly(chart.series.first()?));
                Some((&chart.title, format!("{shape} {}", plot::chart_line(chart))))
            }
            Self::Timeline(timeline) => Some((&timeline.title, plot::timeline_line(timeline))),
        }
    }
}

/// One row of a checklist, run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id, such as `SQ-01`.
    pub id: String,
    /// What it checks.
    pub title: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What was observed, in one line.
    pub evidence: String,
    /// How long it ran.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// What was observed, in full.
    pub details: Vec<Detail>,
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Row {
    /// The row's line for the console.
    #[must_use]
    pub fn line(&self) -> String {
        let evidence = match &self.outcome {
            Outcome::NotApplicable { reason } => reason,
            Outcome::Pass | Outcome::Fail => &self.evidence,
        };
        let evidence = evidence.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {} {} – {evidence}", self.outcome.word(), self.id, self.title)
    }
}

/// A whole run of one connector's checklist.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The connector's name.
    pub connector: String,
    /// The exchange's name.
    pub exchange: String,
    /// `spot` or `perpetual`.
    pub kind: String,
    /// What it was run against: `venue`, `testnet` or `live`.
    pub target: String,
    /// The seed everything random came from.
    pub seed: u64,
    /// When it started, nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// How long it ran.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// The rows in checklist order.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many rows passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.rows.iter().filter(|row| row.outcome == Outcome::Pass).count()
    }

    /// How many rows failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.outcome == Outcome::Fail).count()
    }

    /// How many rows do not apply.
    #[must_use]
    pub fn not_applicable(&self) -> usize {
        self.rows.len() - self.passed() - self.failed()
    }

    /// The command's last line.
    #[must_use]
    pub fn last_line(&self) -> String {
        format!("{} passed, {} failed", self.passed(), self.failed())
    }

    /// The whole run as one JSON document.
    ///
    /// # Errors
    /// None that these types can cause.
    pub fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Counted<'r> {
            #[serde(flatten)]
            report: &'r Report,
            passed: usize,
            failed: usize,
            not_applicable: usize,
        }
        serde_json::to_string_pretty(&Counted {
            report: self,
            passed: self.passed(),
            failed: self.failed(),
            not_applicable: self.not_applicable(),
        })
    }

    /// Writes `report.html`, `report.json` and `report.md` into `directory`, which is created if need be.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("report.json"), self.json()?)?;
        std::fs::write(directory.join("report.md"), markdown(self))?;
        std::fs::write(directory.join("report.html"), html(self))
    }
}

/// Writes a row's line, coloured if people read it on a terminal.
///
/// # Errors
/// Only those of writing.
pub fn write_line(row: &Row, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let line = row.line();
    if !colour {
        return writeln!(out, "{line}");
    }
    let word = row.outcome.word();
    let code = match row.outcome {
        Outcome::Pass => 32,
        Outcome::Fail => 31,
        Outcome::NotApplicable { .. } => 33,
    };
    writeln!(out, "\x1b[{code};1m{word}\x1b[0m{}", line.strip_prefix(word).unwrap_or(&line))
}

/// A duration as people read it, with three significant digits.
#[must_use]
pub fn human(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let whole = nanos / unit;
    let thousandths = nanos % unit * 1_000 / unit;
    match whole {
        0..10 => format!("{whole}.{:02} {name}", thousandths / 10),
        10..100 => format!("{whole}.{} {name}", thousandths / 100),
        _ => format!("{whole} {name}"),
    }
}

/// The value below which `percent` per cent of the samples lie; zero without samples.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One row of each outcome, with every kind of detail and text that must be escaped.
    pub(crate) fn example() -> Report {
        let row = |id: &str, title: &str, outcome, evidence: &str, millis, details| Row {
            id: id.to_owned(),
            title: title.to_owned(),
            outcome,
            evidence: evidence.to_owned(),
            duration: Duration::from_millis(millis),
            details,
        };
        let lag =
            (0..400_u64).map(|n| 80_000 + n * n % 91 * 1_700 + if n == 137 { 900_000 } else { 0 }).collect();
        let table = Detail::Table {
            title: "Balances, ours and the ledger's".to_owned(),
            head: ["asset", "ours", "ledger"].map(str::to_owned).to_vec(),
            rows: vec![["BTC", "1.5", "1.5"].map(str::to_owned).to_vec()],
        };
        let mut series = Series::new("ours", Shape::Steps);
        (0..600).for_each(|at| series.push(at * 100_000_000, at % 100 / 2));
        let limit = Some(("limit".to_owned(), 50));
        let unit = Unit::Count("orders".to_owned());
        let chart = Chart { title: "Orders in 10 s".to_owned(), unit, series: vec![series], limit };
        let span = Span { from_ns: 0, until_ns: 30_000_000_000, tone: Tone::Good, what: "live".to_owned() };
        let mark = Mark { at_ns: 31_000_000_000, tone: Tone::Bad, what: "reset <now>".to_owned(), count: 2 };
        let lane = Lane {
            place: Place::Connector,
            name: "link market".to_owned(),
            spans: vec![span],
            marks: vec![mark],
        };
        let timeline =
            Timeline { title: "What happened".to_owned(), length_ns: 60_000_000_000, lanes: vec![lane] };
        let absent = Outcome::NotApplicable { reason: "the venue has no amend request".to_owned() };
        Report {
            connector: "spot-toy".to_owned(),
            exchange: "Toy <Exchange>".to_owned(),
            kind: "spot".to_owned(),
            target: "venue".to_owned(),
            seed: 7,
            started_ns: 1_795_377_600_000_000_000,
            duration: Duration::from_millis(5_300),
            rows: vec![
                row("SQ-01", "connect, valid key", Outcome::Pass, "ready in 31 ms: 5 pairs", 31, vec![]),
                row("SQ-04", "balance", Outcome::Pass, "6 assets equal\nthe ledger", 120, vec![table]),
                row(
                    "SQ-09",
                    "live prices",
                    Outcome::Pass,
                    "400 changes followed, lag p50 0.15 ms",
                    4_100,
                    vec![
                        Detail::Samples { title: "lag".to_owned(), nanos: lag },
                        Detail::Chart(chart),
                        Detail::Timeline(timeline),
                    ],
                ),
                row(
                    "SQ-13",
                    "cancel",
                    Outcome::Fail,
                    "order 12 | stuck in <pending_cancel>",
                    1_020,
                    vec![Detail::Note { text: "the ledger has it as cancelled & gone".to_owned() }],
                ),
                row("XQ-04", "amend", absent, "", 0, vec![]),
            ],
        }
    }

    #[test]
    fn lines_hold_to_the_contract() {
        let report = example();
        let lines: Vec<String> = report.rows.iter().map(Row::line).collect();
        assert_eq!(lines[0], "PASS SQ-01 connect, valid key – ready in 31 ms: 5 pairs");
        assert_eq!(lines[1], "PASS SQ-04 balance – 6 assets equal the ledger");
        assert_eq!(lines[4], "N/A XQ-04 amend – the venue has no amend request");
        assert_eq!(report.last_line(), "3 passed, 1 failed");
    }

    #[test]
    fn json_counts_and_names_outcomes() {
        let value: serde_json::Value = serde_json::from_str(&example().json().unwrap()).unwrap();
        assert_eq!(
            (&value["passed"], &value["failed"], &value["not_applicable"]),
            (&3.into(), &1.into(), &1.into())
        );
        assert_eq!(value["rows"][4]["outcome"], "N/A");
        assert_eq!(value["rows"][4]["reason"], "the venue has no amend request");
        assert_eq!(value["rows"][2]["duration_ms"], 4_100);
        let details = &value["rows"][2]["details"];
        assert_eq!(details[1]["kind"], "chart");
        assert_eq!(details[1]["series"][0]["points"][2], serde_json::json!([200_000_000, 1]));
        assert_eq!(details[2]["kind"], "timeline");
        assert_eq!(details[2]["lanes"][0]["marks"][0]["tone"], "bad");
    }

    #[test]
    fn durations_read_well() {
        for (nanos, text) in
            [(999, "999 ns"), (1_234, "1.23 µs"), (45_678_000, "45.6 ms"), (5_300_000_000, "5.30 s")]
        {
            assert_eq!(human(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn percentiles_are_ranks() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!(
            (percentile(&sorted, 50), percentile(&sorted, 99), percentile(&sorted, 100)),
            (50, 99, 100)
        );
        assert_eq!(percentile(&[], 50), 0);
    }
}
