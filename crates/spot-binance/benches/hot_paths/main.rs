//! Hot paths against the bounds of the machine. Run by `cargo xtask bench`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark may stop")]

mod frames;

use std::time::Instant;

use connector_core::book::BookSync;
use connector_core::dialect::{BookRule, Dialect, Frame, LinkRole, Symbols};
use connector_core::message::{BestPrice, BookMessage, Level, Message, Sink, Trade};
use spot_binance::SpotBinance;

struct Apply {
    sync: BookSync,
    best: Option<BestPrice>,
    trade: Option<Trade>,
    levels: usize,
}

impl Sink for Apply {
    fn book(&mut self, message: BookMessage<'_>) {
        self.levels += message.bids.len() + message.asks.len();
        self.sync.apply(&message);
    }
    fn best_price(&mut self, message: BestPrice) {
        self.best = Some(message);
    }
    fn trade(&mut self, message: Trade) {
        self.trade = Some(message);
    }
    fn message(&mut self, message: Message) {
        panic!("{message:?}");
    }
}

fn main() {
    let mut symbols = Symbols::default();
    symbols.insert("BTCUSDT".into(), "BTC-USDT".parse().unwrap());
    let mut market = frames::Market::new(7);
    let mut snapshot = format!("{{\"stream\":\"btcusdt@depth\",\"data\":{}}}", market.snapshot());
    let depth: Vec<String> = (0..20_000).map(|_| market.depth()).collect();
    let best: Vec<String> = (0..100_000).map(|_| market.best_price()).collect();
    let trade: Vec<String> = (0..100_000).map(|_| market.trade()).collect();
    let (mut bids, mut asks): (Vec<Level>, Vec<Level>) = Default::default();
    for round in 0..5 {
        let mut sink = Apply { sync: BookSync::new(BookRule::Sequenced), best: None, trade: None, levels: 0 };
        let mut run = |text: &mut [u8], sink: &mut Apply| {
            bids.clear();
            asks.clear();
            let frame = Frame {
                role: LinkRole::Public,
                bytes: text,
                symbols: &symbols,
                bids: &mut bids,
                asks: &mut asks,
            };
            SpotBinance::frame(frame, sink).unwrap();
        };
        let mut first = snapshot.clone().into_bytes();
        run(&mut first, &mut sink);
        for (name, set) in [("depth", &depth), ("best", &best), ("trade", &trade)] {
            let mut bytes: Vec<Vec<u8>> = set.iter().map(|text| text.clone().into_bytes()).collect();
            sink.levels = 0;
            let start = Instant::now();
            for text in &mut bytes {
                run(text, &mut sink);
            }
            let ns = start.elapsed().as_nanos() as f64;
            println!(
                "{round} {name}: {:.1} ns/frame {:.2} ns/level, {} levels {:?}",
                ns / set.len() as f64,
                ns / sink.levels as f64,
                sink.levels,
                sink.sync.status()
            );
            if let Some(book) = sink.sync.book() {
                println!("  {} {}", book.bids().len(), book.asks().len());
            }
        }
    }
    snapshot.clear();
}
