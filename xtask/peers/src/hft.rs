//! `hftbacktest`: its market depth behind serde, as its own connector to Binance has it (which is no registry crate): numbers go to
//! `f64`, levels to a hash map by tick.

use std::hint::black_box;

use benches::frames::Frames;
use benches::measure::Samples;
use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth};
use serde::Deserialize;

use crate::{DEPTH_BATCH, Failure, batches, levels};

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: Depth<'a>,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "E")]
    time: i64,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    asks: Vec<(&'a str, &'a str)>,
}

fn apply(depth: &mut HashMapMarketDepth, bids: &[(&str, &str)], asks: &[(&str, &str)], time: i64) {
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    for (price, amount) in bids {
        black_box(depth.update_bid_depth(number(price), number(amount), time));
    }
    for (price, amount) in asks {
        black_box(depth.update_ask_depth(number(price), number(amount), time));
    }
}

pub(crate) fn depth(frames: &Frames, passes: usize) -> Result<(), Failure> {
    let mut samples = Samples::new("depth/parse_apply", "hftbacktest", "ns/level");
    for pass in 0..=passes {
        if pass == 1 {
            samples.clear();
        }
        let mut depth = HashMapMarketDepth::new(0.01, 0.00001);
        let snapshot: Snapshot<'_> = serde_json::from_slice(&frames.snapshot)?;
        apply(&mut depth, &snapshot.bids, &snapshot.asks, 0);
        let mut failed = 0;
        batches(&mut samples, &frames.depth, DEPTH_BATCH, levels, |frame| {
            match serde_json::from_slice::<Combined<'_>>(frame) {
                Ok(Combined { data }) => apply(&mut depth, &data.b, &data.a, data.time),
                Err(_) => failed += 1,
            }
        });
        if failed > 0 || depth.best_bid_tick() >= depth.best_ask_tick() {
            return Err(format!("hftbacktest: {failed} frames not read, or the book is crossed").into());
        }
    }
    samples.tell();
    Ok(())
}
