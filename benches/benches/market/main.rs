//! Market data: frame to book, frame to event, socket to subscriber. Each by turns with its lower bound. See
//! `cargo xtask bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may stop"
)]

mod bound;
mod json;
mod receive;

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use benches::frames::{Frames, SYMBOL};
use benches::measure::{Asked, BOUND, Batch, OURS, Samples};
use connector_core::book::{BookStatus, BookSync};
use connector_core::dialect::{BookRule, Dialect, Frame, LinkRole, Symbols};
use connector_core::message::{BestPrice, BookMessage, Level, Message, Sink, Trade};
use spot_binance::SpotBinance;

/// Depth frames between two looks at the clock: about as many as stay in the first caches.
const DEPTH_BATCH: usize = 8;
/// Small frames between two looks at the clock.
const SMALL_BATCH: usize = 100;

fn main() -> ExitCode {
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let frames = match asked.frames.as_ref().map(|path| Frames::read(Path::new(path))) {
        Some(Ok(frames)) => frames,
        Some(Err(error)) => {
            eprintln!("error: {}: {error}", asked.frames.unwrap_or_default());
            return ExitCode::from(2);
        }
        None => Frames::made(),
    };
    if asked.alone {
        alone(&frames, &asked);
        return ExitCode::SUCCESS;
    }
    let passes = if asked.test { 1 } else { 5 };
    if asked.wants("depth/parse_apply") {
        depth(&frames, passes);
    }
    if asked.wants("best_price/frame") {
        best_price(&frames, passes);
    }
    if asked.wants("trade/frame") {
        trade(&frames, passes);
    }
    if asked.wants("ws/receive") {
        receive::run(if asked.test { 1 } else { 9 });
    }
    ExitCode::SUCCESS
}

/// For a profiler: our side again and again.
fn alone(frames: &Frames, asked: &Asked) {
    let sets = [
        ("depth/parse_apply", &frames.depth),
        ("best_price/frame", &frames.best_price),
        ("trade/frame", &frames.trade),
    ];
    for (name, set) in sets.into_iter().filter(|(name, _)| asked.wants(name)) {
        let mut connector = Ours::new();
        let mut samples = Samples::new(name, OURS, "ns/frame");
        for _ in 0..if name.starts_with("depth") { 100 } else { 300 } {
            connector.out.sync.reset();
            connector.frame(&mut frames.snapshot_event());
            batches(&mut samples, set, DEPTH_BATCH, <[_]>::len, |frame| connector.frame(frame));
        }
        samples.tell();
    }
    if asked.wants("ws/receive") {
        receive::alone();
    }
}

/// Our decoder with a book behind it.
struct Ours {
    symbols: Symbols,
    bids: Vec<Level>,
    asks: Vec<Level>,
    out: Applied,
}

struct Applied {
    sync: BookSync,
    levels: usize,
}

impl Sink for Applied {
    #[inline]
    fn book(&mut self, message: BookMessage<'_>) {
        self.levels += message.bids.len() + message.asks.len();
        black_box(self.sync.apply(&message));
    }
    #[inline]
    fn best_price(&mut self, message: BestPrice) {
        black_box(message);
    }
    #[inline]
    fn trade(&mut self, message: Trade) {
        black_box(message);
    }
    fn message(&mut self, message: Message) {
        panic!("not a frame to measure: {message:?}");
    }
}

impl Ours {
    fn new() -> Self {
        let mut symbols = Symbols::default();
        symbols.insert(SYMBOL.into(), "BTC-USDT".parse().unwrap());
        let out = Applied { sync: BookSync::new(BookRule::Sequenced), levels: 0 };
        Self { symbols, bids: Vec::new(), asks: Vec::new(), out }
    }

    #[inline]
    fn frame(&mut self, bytes: &mut [u8]) {
        self.bids.clear();
        self.asks.clear();
        let frame = Frame {
            role: LinkRole::Public,
            bytes,
            symbols: &self.symbols,
            bids: &mut self.bids,
            asks: &mut self.asks,
        };
        SpotBinance::frame(frame, &mut self.out).unwrap();
    }

    /// Best bid and ask in ticks of 0.01, of a book that is proven.
    fn best(&self) -> (u64, u64) {
        let ticks =
            |level: Option<Level>| u64::try_from(level.unwrap().price.mantissa() / 1_000_000).unwrap();
        assert_eq!(self.out.sync.status(), BookStatus::Live, "the frames have a gap");
        let book = self.out.sync.book().unwrap();
        (ticks(book.best_bid()), ticks(book.best_ask()))
    }
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

/// Runs what must not allocate, and stops if it does.
fn without_allocation(name: &str, work: impl FnOnce()) {
    let count = allocation_counter::measure(work).count_total;
    assert_eq!(count, 0, "{name} allocates in steady state");
}

/// Levels in a frame: each begins like this, and so does each of the two lists.
fn levels(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(|frame| frame.windows(2).filter(|two| two == b"[\"").count()).sum()
}

fn depth(frames: &Frames, passes: usize) {
    const NAME: &str = "depth/parse_apply";
    let samples = |who| Samples::new(NAME, who, "ns/level");
    let (mut ours, mut by_hand) = (samples(OURS), samples(BOUND));
    let (mut tape, mut typed, mut copy) =
        (samples("simd_json_tape"), samples("simd_json_typed"), samples("copy"));
    let mut connector = Ours::new();
    connector.frame(&mut frames.snapshot_event());
    let mut book = bound::Book::new(connector.best().0);
    let mut json = json::Parser::default();
    let mut place = vec![0_u8; 1 << 20];
    for pass in 0..=passes {
        if pass == 1 {
            // The first pass was to warm up.
            [&mut ours, &mut by_hand, &mut tape, &mut typed, &mut copy].into_iter().for_each(Samples::clear);
        }
        connector.out.sync.reset();
        connector.frame(&mut frames.snapshot_event());
        batches(&mut ours, &frames.depth, DEPTH_BATCH, levels, |frame| connector.frame(frame));
        book.snapshot(&frames.snapshot);
        batches(&mut by_hand, &frames.depth, DEPTH_BATCH, levels, |frame| book.change(frame, SYMBOL));
        assert_eq!(book.best(), connector.best(), "bound and connector have different books");
        batches(&mut tape, &frames.depth, DEPTH_BATCH, levels, |frame| json.tape(frame));
        batches(&mut typed, &frames.depth, DEPTH_BATCH, levels, |frame| json.depth(frame));
        batches(&mut copy, &frames.depth, DEPTH_BATCH, levels, |frame| {
            place[..frame.len()].copy_from_slice(black_box(frame));
        });
    }
    // The first half makes the room that the market then has.
    let mut half = Batch::default();
    let (first, second) = frames.depth.split_at(frames.depth.len() / 2);
    connector.out.sync.reset();
    connector.frame(&mut frames.snapshot_event());
    half.fill(first);
    half.each(|frame| connector.frame(frame));
    half.fill(second);
    without_allocation(NAME, || half.each(|frame| connector.frame(frame)));
    [ours, by_hand, tape, typed, copy].into_iter().for_each(Samples::tell);
}

fn best_price(frames: &Frames, passes: usize) {
    small("best_price/frame", &frames.best_price, passes, bound::best_price, json::Parser::best_price);
}

fn trade(frames: &Frames, passes: usize) {
    small("trade/frame", &frames.trade, passes, bound::trade, json::Parser::trade);
}

fn small(
    name: &'static str,
    frames: &[Vec<u8>],
    passes: usize,
    by_hand: impl Fn(&[u8], &str) -> [u64; 5],
    json: impl Fn(&mut json::Parser, &mut [u8]),
) {
    let samples = |who| Samples::new(name, who, "ns");
    let (mut ours, mut bound) = (samples(OURS), samples(BOUND));
    let (mut tape, mut typed) = (samples("simd_json_tape"), samples("simd_json_typed"));
    let (mut connector, mut parser) = (Ours::new(), json::Parser::default());
    for pass in 0..=passes {
        if pass == 1 {
            [&mut ours, &mut bound, &mut tape, &mut typed].into_iter().for_each(Samples::clear);
        }
        batches(&mut ours, frames, SMALL_BATCH, <[_]>::len, |frame| connector.frame(frame));
        batches(&mut bound, frames, SMALL_BATCH, <[_]>::len, |frame| {
            black_box(by_hand(frame, SYMBOL));
        });
        batches(&mut tape, frames, SMALL_BATCH, <[_]>::len, |frame| parser.tape(frame));
        batches(&mut typed, frames, SMALL_BATCH, <[_]>::len, |frame| json(&mut parser, frame));
    }
    let mut batch = Batch::default();
    batch.fill(frames);
    without_allocation(name, || batch.each(|frame| connector.frame(frame)));
    [ours, bound, tape, typed].into_iter().for_each(Samples::tell);
}
