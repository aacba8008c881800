//! Developer commands: `cargo xtask <command>`.
//!
//! Thin on purpose: commands about one connector are passed on to that connector's own runner (`examples/xtask.rs` in its crate),
//! so this program knows no connector by name and builds in seconds.

mod bench;
mod chaos;
mod ci;
mod list;
mod qa;
mod workspace;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, ExitCode};

use clap::Parser;
use clap::error::ErrorKind;

use workspace::{Build, Usage, Workspace};

/// Developer commands of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Arguments {
    /// Every connector of the workspace: kind, domains, capabilities, checklist rows that do not apply
    List {
        /// One JSON array on stdout
        #[arg(long)]
        json: bool,
    },
    /// Run the QA checklist of one connector, or of all with --all
    #[command(disable_help_flag = true)]
    Qa(Passed),
    /// Serve a connector's embedded venue on 127.0.0.1
    #[command(disable_help_flag = true)]
    Venue(Passed),
    /// Decode raw venue payloads through a connector's real decoder
    #[command(disable_help_flag = true)]
    Decode(Passed),
    /// Play a recorded raw stream through decoder, sequencing and book
    #[command(disable_help_flag = true)]
    Replay(Passed),
    /// Record a raw stream that `replay` can read
    #[command(disable_help_flag = true)]
    Record(Passed),
    /// Watch a connector live in the terminal: book, trades, own orders, balances, health
    #[command(disable_help_flag = true)]
    Watch(Passed),
    /// Deterministic simulation of a connector with faults, from thousands of seeds; with --publish the page of figures
    #[command(disable_help_flag = true)]
    Chaos(Passed),
    /// Measure the hot paths beside their lower bounds and other people's crates
    Bench(bench::Asked),
    /// Run every test of the workspace
    Test,
    /// Line coverage of the core and of every connector, with the lines that no test runs
    Coverage,
    /// Everything CI runs, in CI's order
    Ci,
}

/// What is passed on to a connector's runner.
#[derive(clap::Args)]
struct Passed {
    /// The connector and the command's own options; `<CONNECTOR> --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CONNECTOR> <ARGUMENTS")]
    rest: Vec<OsString>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let workspace = match Workspace::find() {
        Ok(workspace) => workspace,
        Err(error) => return refuse(&Usage(format!("cannot read the workspace: {error}"))),
    };
    let done = match arguments {
        Arguments::List { json } => list::list(&workspace, json),
        Arguments::Qa(passed) if passed.rest.iter().any(|argument| argument == "--all") => {
            qa::all(&workspace, &passed.rest)
        }
        Arguments::Qa(passed) => pass_on(&workspace, "qa", &passed.rest),
        Arguments::Venue(passed) => pass_on(&workspace, "venue", &passed.rest),
        Arguments::Decode(passed) => pass_on(&workspace, "decode", &passed.rest),
        Arguments::Replay(passed) => pass_on(&workspace, "replay", &passed.rest),
        Arguments::Record(passed) => pass_on(&workspace, "record", &passed.rest),
        Arguments::Watch(passed) => pass_on(&workspace, "watch", &passed.rest),
        Arguments::Chaos(passed) if passed.rest.iter().any(|argument| argument == "--publish") => {
            chaos::publish(&workspace, &passed.rest)
        }
        Arguments::Chaos(passed) => pass_on(&workspace, "chaos", &passed.rest),
        Arguments::Bench(asked) => bench::bench(&workspace, &asked),
        Arguments::Test => Ok(ci::test(&workspace)),
        Arguments::Coverage => Ok(ci::measure(&workspace)),
        Arguments::Ci => Ok(ci::all(&workspace)),
    };
    done.unwrap_or_else(|usage| refuse(&usage))
}

/// Runs a command in the runner of the connector named among its arguments.
fn pass_on(workspace: &Workspace, command: &str, rest: &[OsString]) -> Result<ExitCode, Usage> {
    let help = rest.iter().any(|argument| argument == "--help" || argument == "-h");
    let named =
        rest.iter().position(|argument| workspace.connectors.iter().any(|known| argument == known.as_str()));
    let (connector, rest) = match (named, rest.first()) {
        (Some(position), _) => {
            let mut rest = rest.to_vec();
            (rest.remove(position).to_string_lossy().into_owned(), rest)
        }
        // All runners take the same options, so any of them can tell what they are.
        (None, _) if help => {
            (workspace.connectors.first().cloned().unwrap_or_default(), vec!["--help".into()])
        }
        (None, Some(first)) if !first.to_string_lossy().starts_with('-') => {
            (workspace.connector(&first.to_string_lossy())?.to_owned(), Vec::new())
        }
        (None, _) => {
            return Err(Usage(format!(
                "`{command}` needs a connector: cargo xtask {command} <connector> … (known: {})",
                workspace.connectors.join(", ")
            )));
        }
    };
    let says = |name: &str, value: &str| {
        let joined = format!("{name}={value}");
        rest.iter().any(|argument| *argument == joined.as_str())
            || rest.windows(2).any(|two| matches!(two, [a, b] if *a == *name && *b == *value))
    };
    let leaves = ["testnet", "live"].iter().any(|target| says("--target", target))
        || rest.iter().any(|argument| argument.to_string_lossy().starts_with("--domain"));
    let build = Build {
        release: command == "replay" || command == "chaos",
        tls: leaves,
        mutants: command == "chaos" && rest.iter().any(|argument| argument == "--mutants"),
    };
    let mut runner = workspace.runner(&connector, build);
    runner.arg(command).args(&rest);
    Ok(replace_by(&mut runner))
}

/// Becomes the command, so that signals, input and exit code are the command's own.
#[cfg(unix)]
fn replace_by(command: &mut Command) -> ExitCode {
    let error = std::os::unix::process::CommandExt::exec(command);
    refuse(&Usage(format!("cannot start cargo: {error}")))
}

/// Runs the command and ends as it ended.
#[cfg(not(unix))]
fn replace_by(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => refuse(&Usage(format!("cannot start cargo: {error}"))),
    }
}

/// One line on stderr, exit 2.
fn refuse(usage: &Usage) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {}", usage.0);
    ExitCode::from(2)
}

/// Help goes out as it is; an error is folded into one line.
fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let text = error.render().to_string();
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
            refuse(&Usage(format!("{} (see `cargo xtask --help`)", line.trim_start_matches("error: "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_commands_and_wrong_options_are_refused() {
        for wrong in [&["soak"][..], &["list", "--colour"], &["ci", "extra"]] {
            let arguments = ["cargo xtask"].iter().chain(wrong);
            let error = Arguments::try_parse_from(arguments).err().expect("refused");
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn options_of_a_runner_pass_untouched() {
        let given = ["cargo xtask", "qa", "--only", "SQ-01", "spot-x", "--help"];
        let Ok(Arguments::Qa(passed)) = Arguments::try_parse_from(given) else { panic!("not qa") };
        assert_eq!(passed.rest, ["--only", "SQ-01", "spot-x", "--help"]);
    }
}
