//! How a connector grows with what is asked of it: pairs in one process, readers of one book, readers of all events. Prints
//! one JSON object a line, and draws them: `target/bench/scale.html`.
//!
//! Each step runs in a process of its own that holds the connector and nothing else, so that memory, processor time and
//! wake-ups are the connector's and its reader's alone; the venue is another process, over loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may stop"
)]

mod page;
mod process;
mod step;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// What a step is about, and how it is grown.
const PAIRS: (&str, &[usize]) = ("pairs", &[10, 100, 500, 1_000, 2_000]);
const BOOK_READERS: (&str, &[usize]) = ("book_readers", &[1, 10, 100]);
const EVENT_READERS: (&str, &[usize]) = ("event_readers", &[1, 10, 100]);

/// The figures of one step, by name.
type Figures = BTreeMap<String, f64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--venue", markets] => venue(markets.parse().unwrap()),
        ["--step", what, size, seconds, address] => {
            let seconds = Duration::from_secs_f64(seconds.parse().unwrap());
            tell(what, &step::run(what, size.parse().unwrap(), seconds, address.parse().unwrap()));
            ExitCode::SUCCESS
        }
        // Only to see that it works.
        ["--test"] => grow(&[(PAIRS.0, &[2]), (BOOK_READERS.0, &[2]), (EVENT_READERS.0, &[2])], 0.2, None),
        [] => {
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/scale.html");
            grow(&[PAIRS, BOOK_READERS, EVENT_READERS], 5.0, Some(&page))
        }
        [what] => match [PAIRS, BOOK_READERS, EVENT_READERS].iter().find(|(name, _)| name == what) {
            Some(one) => grow(&[*one], 5.0, None),
            None => refuse(what),
        },
        [what, sizes @ ..] => match sizes.iter().map(|size| size.parse()).collect::<Result<Vec<_>, _>>() {
            Ok(sizes) => grow(&[(what, &sizes)], 5.0, None),
            Err(_) => refuse(what),
        },
    }
}

fn refuse(what: &str) -> ExitCode {
    let known = [PAIRS, BOOK_READERS, EVENT_READERS].map(|(name, _)| name).join("|");
    eprintln!("error: `{what}`; use: scale [{known} [SIZE..]]");
    ExitCode::from(2)
}

/// A venue in a process of its own: says where it listens, and ends with the process that started it.
fn venue(markets: usize) -> ExitCode {
    let address = benches::markets::start(markets).unwrap();
    std::io::stdout().write_all(format!("{address}\n").as_bytes()).unwrap();
    // Nothing is written to the standard input: its end is the other's.
    let _ = std::io::stdin().read_line(&mut String::new());
    ExitCode::SUCCESS
}

/// Takes all steps and tells them.
fn grow(what: &[(&str, &[usize])], seconds: f64, page: Option<&Path>) -> ExitCode {
    let mut all: Vec<(String, Vec<Figures>)> = Vec::new();
    for (name, sizes) in what {
        let mut figures = Vec::new();
        for size in *sizes {
            eprintln!("{name} {size} ...");
            let Some(one) = in_own_process(name, *size, seconds) else {
                eprintln!("error: {name} {size} failed; see above");
                return ExitCode::FAILURE;
            };
            tell(name, &one);
            figures.push(one);
        }
        all.push(((*name).to_owned(), figures));
    }
    if let Some(page) = page {
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(page, page::write(&all)).unwrap();
        eprintln!("{}", page.canonicalize().unwrap().display());
    }
    ExitCode::SUCCESS
}

fn tell(name: &str, figures: &Figures) {
    let members: Vec<_> = figures.iter().map(|(name, value)| format!(r#""{name}":{value:.3}"#)).collect();
    // A reader that has gone away is not an error of ours.
    let _ = writeln!(std::io::stdout(), r#"{{"name":"scale/{name}",{}}}"#, members.join(","));
}

fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned())
}

fn in_own_process(name: &str, size: usize, seconds: f64) -> Option<Figures> {
    let markets = if name == PAIRS.0 { size } else { 1 };
    let (mut venue, address) = start(&["--venue", &markets.to_string()]);
    let (mut step, line) = start(&["--step", name, &size.to_string(), &seconds.to_string(), &address]);
    let ended = step.wait().unwrap();
    // Its standard input ends, and so does it.
    drop(venue.stdin.take());
    venue.wait().unwrap();
    ended.success().then(|| read(&line))
}

/// Reads a line of figures back.
fn read(line: &str) -> Figures {
    let members = line.trim_matches(['{', '}']).split(',').filter_map(|member| member.split_once(':'));
    let number = |(name, value): (&str, &str)| Some((name.trim_matches('"').to_owned(), value.parse().ok()?));
    members.filter_map(number).collect()
}
