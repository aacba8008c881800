//! `qa`: the checklist of one connector.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::rc::Rc;

use clap::{Args, ValueEnum};
use connector_core::Decimal;
use connector_core::dialect::Dialect;

use super::{Ended, MakeFace, block_on};
use crate::bench::{Open, Opener};
use crate::checklist;
use crate::kit::Kit;

/// Options of `qa`.
#[derive(Args)]
pub(super) struct QaArguments {
    /// Only these rows, such as `SQ-01,XQ-07`
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Seed of the venue and of everything else that looks random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What to run against
    #[arg(long, value_enum, default_value_t = Target::Venue)]
    target: Target,
    /// How orders are entered
    #[arg(long, value_enum, default_value_t = Entry::Both)]
    order_entry: Entry,
    /// Most that may be spent in all, in quote asset; required for any target but the embedded venue
    #[arg(long, value_name = "AMOUNT")]
    spending_cap: Option<Decimal>,
    /// Where the reports go [default: target/qa/<connector>]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// One JSON document on stdout, the same as report.json
    #[arg(long)]
    json: bool,
}

/// How the connectors under test enter orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Entry {
    /// By requests; rows about orders once more over a stream, where the venue takes them that way
    Both,
    /// Over a stream, in all rows
    Stream,
}

/// What a checklist is run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The embedded venue
    Venue,
    /// The venue's own test system
    Testnet,
    /// The venue itself, with real money
    Live,
}

/// Runs the checklist.
pub(super) fn qa<D: Dialect>(
    dialect: D,
    face: MakeFace,
    arguments: &QaArguments,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    let spec = D::SPEC;
    if arguments.target != Target::Venue {
        return Err(Ended::Usage(refusal(spec.name, arguments)));
    }
    let checks = checklist::chosen(spec, &arguments.only).map_err(Ended::Usage)?;
    let runner = std::env::current_exe()?;
    let opener = Opener::new(dialect);
    let opener = match arguments.order_entry {
        Entry::Both => Rc::new(opener) as Rc<dyn Open>,
        Entry::Stream => opener.streaming().ok_or_else(|| {
            Ended::Usage(format!("`--order-entry stream`: {} takes no orders over a stream", spec.name))
        })?,
    };
    let kit = Kit { face, opener, runner, seed: arguments.seed };
    let colour = std::io::stdout().is_terminal();
    let lines = if arguments.json { None } else { Some(&mut *out) };
    let report =
        block_on(checklist::run(spec, &kit, &checks, colour, lines.map(|out| out as &mut dyn Write)))??;
    let directory = arguments.report.clone().unwrap_or_else(|| default_directory(spec.name));
    report.save(&directory)?;
    if arguments.json {
        writeln!(out, "{}", report.json().map_err(std::io::Error::from)?)?;
    } else {
        writeln!(out, "report: {}", directory.join("report.html").display())?;
        writeln!(out, "{}", report.last_line())?;
    }
    if report.failed() == 0 { Ok(()) } else { Err(Ended::Failed) }
}

/// Why a run against anything but the embedded venue does not start. Money is only spent by those who said how much.
fn refusal(connector: &str, arguments: &QaArguments) -> String {
    let target = if arguments.target == Target::Live { "live" } else { "testnet" };
    let prefix: String = connector
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let missing =
        |name: &str| std::env::var_os(format!("{prefix}_{name}")).is_none_or(|value| value.is_empty());
    match arguments.spending_cap {
        None => format!("`--target {target}` needs a spending cap: --spending-cap AMOUNT, in quote asset"),
        Some(cap) if cap <= Decimal::ZERO => "`--spending-cap` must be positive".to_owned(),
        Some(_) if missing("API_KEY") || missing("API_SECRET") => format!(
            "`--target {target}` needs credentials in the environment: {prefix}_API_KEY and {prefix}_API_SECRET"
        ),
        Some(_) => format!(
            "`--target {target}` is not available yet: its rows are judged by the embedded venue's ledger, \
             so leave --target out"
        ),
    }
}

/// `target/qa/<connector>` of the workspace this runner was built in.
fn default_directory(connector: &str) -> PathBuf {
    let crate_directory = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = crate_directory.as_deref().and_then(|directory| directory.ancestors().nth(2));
    root.unwrap_or_else(|| std::path::Path::new(".")).join("target").join("qa").join(connector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(cap: Option<&str>) -> QaArguments {
        QaArguments {
            order_entry: Entry::Both,
            only: Vec::new(),
            seed: 1,
            target: Target::Live,
            spending_cap: cap.map(|cap| cap.parse().unwrap()),
            report: None,
            json: false,
        }
    }

    #[test]
    fn money_needs_a_cap_and_credentials() {
        assert!(refusal("spot-toy", &arguments(None)).contains("--spending-cap"));
        assert!(refusal("spot-toy", &arguments(Some("-1"))).contains("positive"));
        assert!(refusal("spot-toy", &arguments(Some("10"))).contains("SPOT_TOY_API_KEY"));
    }
}
