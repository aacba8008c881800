//! The command line every connector's runner has: one connector, all commands about it.
//!
//! Exit codes: 0 when everything asked for succeeded, 1 when something did not, 2 when the command line was wrong.

mod bot;
mod chaos;
mod qa;
mod record;
mod venue;
mod watch;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use connector_core::Pair;
use connector_core::dialect::{Dialect, Spec, Symbols};
use connector_core::message::Market;
use connector_venue::face::Face;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::replay::{self, Replay};
use crate::{decode, input};

/// Commands about one connector.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Arguments {
    /// Describe the connector: kind, domains, capabilities, checklist rows that do not apply
    #[command(hide = true)]
    Describe {
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Decode raw venue payloads through the connector's real decoder, one JSON line per event
    #[command(override_usage = "cargo xtask decode <CONNECTOR> --as <public|user|rest:ROW> [OPTIONS] [FILE]")]
    Decode(DecodeArguments),
    /// Play recorded raw streams through decoder, sequencing and book, and check the book against the venue's best prices
    #[command(override_usage = "cargo xtask replay <CONNECTOR> [OPTIONS] <FILE>...")]
    Replay(ReplayArguments),
    /// Record a raw public stream that `replay` can read
    #[command(override_usage = "cargo xtask record <CONNECTOR> <PAIR>... --out FILE [OPTIONS]")]
    Record(record::RecordArguments),
    /// Serve the embedded venue on 127.0.0.1 until SIGINT, SIGTERM or the end of standard input
    #[command(override_usage = "cargo xtask venue <CONNECTOR> [OPTIONS]")]
    Venue(venue::VenueArguments),
    /// Run the QA checklist against the embedded venue, judged by its ledger
    #[command(override_usage = "cargo xtask qa <CONNECTOR|--all> [OPTIONS]")]
    Qa(qa::QaArguments),
    /// Deterministic simulation: the whole connector against the venue in memory under virtual time, with faults
    #[command(override_usage = "cargo xtask chaos <CONNECTOR> [OPTIONS]")]
    Chaos(chaos::ChaosArguments),
    /// Live terminal view: book, trades, ticker, own orders, balances, health, limits
    #[command(override_usage = "cargo xtask watch <CONNECTOR> <PAIR> [OPTIONS]")]
    Watch(watch::WatchArguments),
    /// Trade as told on standard input, one JSON document per line: the checklist's second process
    #[command(hide = true)]
    Bot,
}

/// Makes the embedded venue's face.
type MakeFace = Rc<dyn Fn() -> Box<dyn Face>>;

#[derive(Args)]
struct ReplayArguments {
    /// Recordings, plain or gzip, played one after the other as one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only this pair; also tells what a recording without symbol map is about
    #[arg(long)]
    pair: Option<Pair>,
    /// A captured `rules` payload that gives the symbol map
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
    /// Print every neutral event as a JSON line; the outcome goes to stderr
    #[arg(long, conflicts_with = "json")]
    events: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DecodeArguments {
    /// What the payloads are: `public` or `user` stream frames, or `rest:ROW` answers (`rest:error` for error bodies)
    #[arg(long = "as", value_name = "KIND")]
    kind: decode::Kind,
    /// A captured `rules` payload that gives the symbol map
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
    /// The HTTP status of the answers, for `rest:error`
    #[arg(long, value_name = "N")]
    status: Option<u16>,
    /// The pair asked about, for answers that do not name it
    #[arg(long)]
    pair: Option<Pair>,
    /// One payload per line, or one document over several lines; plain or gzip; standard input if absent
    file: Option<PathBuf>,
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The command line was wrong: what is wrong and what would be right, in one line.
    #[error("{0}")]
    Usage(String),
    /// Something asked for failed, and has been told.
    #[error("failed")]
    Failed,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs the command line of this process for one connector, whose embedded venue speaks through the face that `face` makes.
#[must_use]
pub fn run<D: Dialect>(dialect: D, face: impl Fn() -> Box<dyn Face> + 'static) -> ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // The checklist provokes errors on purpose, and tells of those that matter itself; a line in the midst of a view spoils it.
    let silent =
        matches!(arguments, Arguments::Qa(_) | Arguments::Chaos(_) | Arguments::Watch(_) | Arguments::Bot);
    log_to_stderr(if silent { "off" } else { "error" });
    let mut out = BufWriter::new(io::stdout().lock());
    let done = perform(dialect, Rc::new(face), arguments, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Failed) => {
            let _ = out.flush();
            ExitCode::FAILURE
        }
        // Whoever reads us may stop early, as `head` does.
        Err(Ended::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(Ended::Io(error)) => complain(&error.to_string(), 1),
        Err(Ended::Usage(text)) => complain(&text, 2),
    }
}

fn perform<D: Dialect>(
    dialect: D,
    face: MakeFace,
    arguments: Arguments,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    match arguments {
        Arguments::Describe { json } => describe(D::SPEC, json, out),
        Arguments::Decode(arguments) => decode_command::<D>(arguments, out),
        Arguments::Replay(arguments) => replay_command::<D>(arguments, out),
        Arguments::Venue(arguments) => venue::serve(&face, &arguments, out),
        Arguments::Record(arguments) => record::record(dialect, &face, arguments),
        Arguments::Qa(arguments) => qa::qa(dialect, face, &arguments, out),
        Arguments::Chaos(arguments) => chaos::chaos(dialect, &face, &arguments, out),
        Arguments::Watch(arguments) => watch::watch(dialect, &face, arguments),
        Arguments::Bot => bot::serve(dialect, out),
    }
}

/// Logs of all libraries go to stderr, so that stdout holds results only. `RUST_LOG` chooses what is shown.
fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // A second call in one process changes nothing.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, ExitCode> {
    let parsed = Arguments::command().try_get_matches_from(arguments);
    parsed.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => complain(&one_line(&error), 2),
    })
}

/// A command line error folded into one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut line = String::new();
    for part in text.lines().map(str::trim).take_while(|part| !part.starts_with("Usage:")) {
        if part.is_empty() || part.starts_with("For more information") {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(part.trim_start_matches("error: "));
    }
    line
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {}", text.replace('\n', " "));
    ExitCode::from(code)
}

fn describe(spec: &Spec, as_json: bool, out: &mut dyn Write) -> Result<(), Ended> {
    let words = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
    let capabilities: Vec<String> = spec
        .order_types
        .iter()
        .map(|order_type| format!("order:{order_type}"))
        .chain(spec.times_in_force.iter().map(|time| {
            format!("time_in_force:{}", words(serde_json::to_value(time)).as_str().unwrap_or_default())
        }))
        .chain(spec.channels.iter().map(|channel| {
            let name = words(serde_json::to_value(channel.channel));
            format!("stream:{}", name.as_str().unwrap_or_default())
        }))
        .chain(
            spec.links
                .iter()
                .filter(|link| link.role == connector_core::dialect::LinkRole::User)
                .map(|_| "stream:user".to_owned()),
        )
        .collect();
    let domains: Vec<_> = spec.domains.iter().map(|domain| words(serde_json::to_value(domain))).collect();
    let document = json!({
        "name": spec.name,
        "exchange": spec.exchange,
        "kind": spec.kind,
        "domains": domains,
        "capabilities": capabilities,
        "not_applicable": spec.not_applicable,
    });
    if as_json {
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{document:#}")?;
    }
    Ok(())
}

fn decode_command<D: Dialect>(arguments: DecodeArguments, out: &mut dyn Write) -> Result<(), Ended> {
    if let decode::Kind::Rest(row) = &arguments.kind
        && D::REST.decoder(row).is_none()
    {
        let rows: Vec<_> = D::REST.rows().map(|row| row.name).chain(["error"]).collect();
        return Err(Ended::Usage(format!(
            "`rest:{row}` is no row of {}; its rows are: {}",
            D::SPEC.name,
            rows.join(", ")
        )));
    }
    match (&arguments.kind, arguments.status) {
        (decode::Kind::Error, None) => {
            return Err(Ended::Usage("`--as rest:error` needs the answer's status: --status N".to_owned()));
        }
        (decode::Kind::Error, Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err(Ended::Usage("`--status` goes with `--as rest:error` only".to_owned())),
    }
    let context = decode::Context {
        kind: arguments.kind,
        status: arguments.status,
        symbols: symbols::<D>(arguments.symbols.as_deref())?,
        market: arguments.pair.map(Market::Pair),
    };
    let payloads = given(input::read(arguments.file.as_deref()))?;
    let summary = decode::decode::<D>(&payloads, &context, out)?;
    if summary.errors > 0 { Err(Ended::Failed) } else { Ok(()) }
}

fn replay_command<D: Dialect>(arguments: ReplayArguments, out: &mut dyn Write) -> Result<(), Ended> {
    let progress = progress_of_bytes();
    let mut replay = Replay::new::<D>(symbols::<D>(arguments.symbols.as_deref())?, arguments.pair);
    // All are opened before the first is played, so that a wrong name is told at once.
    let opened: io::Result<Vec<_>> =
        arguments.files.iter().map(|file| input::open(Some(file), &progress)).collect();
    for mut recording in given(opened)? {
        let events: Option<&mut dyn Write> = if arguments.events { Some(&mut *out) } else { None };
        replay.play::<D>(&mut recording, events).map_err(replay_ended)?;
    }
    progress.finish_and_clear();
    let outcome = replay.finish().map_err(replay_ended)?;
    if arguments.json {
        let document = serde_json::to_string_pretty(&outcome).map_err(io::Error::from)?;
        writeln!(out, "{document}")?;
    } else if arguments.events {
        replay::write_table(&outcome, &mut io::stderr())?;
    } else {
        replay::write_table(&outcome, out)?;
    }
    if outcome.is_clean() { Ok(()) } else { Err(Ended::Failed) }
}

fn replay_ended(failure: replay::Failure) -> Ended {
    match failure {
        replay::Failure::Io(error) => Ended::Io(error),
        wrong => Ended::Usage(wrong.to_string()),
    }
}

/// A progress bar on stderr, drawn only if that is a terminal.
fn progress_of_bytes() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The symbol map from a captured `rules` payload; empty without one.
fn symbols<D: Dialect>(file: Option<&Path>) -> Result<Symbols, Ended> {
    let Some(file) = file else { return Ok(Symbols::default()) };
    let rules = given(input::read(Some(file)))?;
    decode::symbols::<D>(rules).map_err(|error| {
        Ended::Usage(format!(
            "{} is not a captured `rules` payload of {}: {error}",
            file.display(),
            D::SPEC.name
        ))
    })
}

/// Runs `task` on this thread, with tasks that need not be sendable beside it.
fn block_on<R>(task: impl Future<Output = R>) -> Result<R, Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, task))
}

/// A file that was named but cannot be read is a wrong command line.
fn given<T>(read: io::Result<T>) -> Result<T, Ended> {
    read.map_err(|error| Ended::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        for wrong in [
            &["decode"][..],
            &["decode", "--as", "nonsense"],
            &["decode", "--ass", "user"],
            &["chaos", "--seed"],
        ] {
            let error =
                Arguments::try_parse_from(["cargo xtask"].iter().chain(wrong)).err().expect("refused");
            let line = one_line(&error);
            assert!(!line.contains('\n') && line.len() > 20, "{line}");
        }
    }
}
