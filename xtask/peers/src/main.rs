//! Other people's crates on the frames and against the servers of this project's own benchmarks: `cargo xtask bench --peers`
//! runs this program by turns with them. Each crate reads and keeps a frame the way its users have it done. Loopback only.

mod barter;
mod govern;
mod hft;
mod receive;
#[cfg(feature = "sdk")]
mod sdk;

use std::path::Path;
use std::process::ExitCode;

use benches::frames::Frames;
use benches::measure::{Asked, Batch, Samples};

/// As in this project's own programs.
const DEPTH_BATCH: usize = 8;
const SMALL_BATCH: usize = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Failure> {
    let asked = Asked::read()?;
    let frames = match &asked.frames {
        Some(path) => Frames::read(Path::new(path))?,
        None => Frames::made(),
    };
    let passes = if asked.test { 1 } else { 5 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if asked.wants("depth/parse_apply") {
        hft::depth(&frames, passes)?;
        runtime.block_on(barter::depth(&frames, passes))?;
    }
    if asked.wants("best_price/frame") {
        runtime.block_on(barter::best_price(&frames, passes))?;
    }
    if asked.wants("trade/frame") {
        runtime.block_on(barter::trade(&frames, passes))?;
    }
    if asked.wants("ws/receive") {
        runtime.block_on(receive::run(if asked.test { 1 } else { 9 }))?;
    }
    if asked.wants("limiter/one") {
        govern::one(if asked.test { 10 } else { 2_000 })?;
    }
    #[cfg(feature = "sdk")]
    if asked.wants("order/out") || asked.wants("order/ack") {
        runtime.block_on(sdk::orders(&asked, if asked.test { 10 } else { 1_500 }))?;
    }
    Ok(())
}

/// What stands inside the frames of a combined stream: the form in which single streams send it.
fn bare(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let inner = |frame: &Vec<u8>| {
        let mark = b"\"data\":";
        match frame.windows(mark.len()).position(|window| window == mark) {
            Some(at) => frame[at + mark.len()..frame.len() - 1].to_vec(),
            None => frame.clone(),
        }
    };
    frames.iter().map(inner).collect()
}

/// Levels in frames.
fn levels(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(|frame| frame.windows(2).filter(|two| two == b"[\"").count()).sum()
}

/// Runs all frames in batches, timing each.
fn batches(
    samples: &mut Samples,
    frames: &[Vec<u8>],
    size: usize,
    parts: impl Fn(&[Vec<u8>]) -> usize,
    mut take: impl FnMut(&mut [u8]),
) {
    let mut batch = Batch::default();
    for chunk in frames.chunks(size) {
        batch.fill(chunk);
        samples.time(parts(chunk), || batch.each(&mut take));
    }
}
