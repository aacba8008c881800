//! Generated recordings, linked as this venue links its messages, play back into the book they were made from.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::Symbols;
use connector_qa::replay::{Outcome, Replay};
use proptest::prelude::*;

/// Side (true = bids), distance behind the best prices, amount.
type Changes = Vec<(bool, u32, u32)>;
/// Changes, and how many ids are skipped before them.
type Step = (Changes, u64);

/// A book in whole numbers, and the recording of how it came to be.
struct Market {
    bids: BTreeMap<u32, u32>,
    asks: BTreeMap<u32, u32>,
    id: u64,
    told: u64,
    recording: String,
    diffs: u64,
}

impl Market {
    fn new() -> Self {
        let (bids, asks) = (BTreeMap::from([(99, 5), (100, 5)]), BTreeMap::from([(101, 5), (102, 5)]));
        Self { bids, asks, id: 1000, told: 1000, recording: String::new(), diffs: 0 }
    }

    fn line(&mut self, json: &str) {
        writeln!(self.recording, "{} {json}", self.id).unwrap();
    }

    /// Some levels change; the ids in between belong to changes nobody here sees.
    fn change(&mut self, changes: &[(bool, u32, u32)], skipped: u64) {
        let first = self.id + 1 + skipped;
        let mut rows = [Vec::new(), Vec::new()];
        for &(bid, distance, amount) in changes {
            self.id = self.id.max(first) + 1;
            let (side, price, row) =
                if bid { (&mut self.bids, 98 - distance, 0) } else { (&mut self.asks, 103 + distance, 1) };
            if amount == 0 {
                side.remove(&price);
            } else {
                side.insert(price, amount);
            }
            rows[row].push(format!(r#"["{price}.00","{amount}.000"]"#));
        }
        // The best levels move as well: the amount of one side.
        self.id = self.id.max(first) + 1;
        let best = u32::try_from(self.id % 7 + 1).unwrap();
        self.bids.insert(100, best);
        rows[0].push(format!(r#"["100.00","{best}.000"]"#));
        let (id, told) = (self.id, self.told);
        let text = format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{id},"T":{id},"s":"BTCUSDT","U":{first},"u":{id},"pu":{told},"b":[{}],"a":[{}]}}}}"#,
            rows[0].join(","),
            rows[1].join(","),
        );
        self.line(&text);
        self.told = id;
        self.diffs += 1;
    }

    fn announce(&mut self) {
        let ((bid, bid_amount), (ask, ask_amount)) =
            (self.bids.last_key_value().unwrap(), self.asks.first_key_value().unwrap());
        let id = self.id;
        let text = format!(
            r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{id},"s":"BTCUSDT","b":"{bid}.00","B":"{bid_amount}.000","a":"{ask}.00","A":"{ask_amount}.000","T":{id},"E":{id}}}}}"#
        );
        self.line(&text);
    }

    /// The answer to a depth request, which need not fall between two messages.
    fn snapshot(&mut self) {
        let rows = |side: Vec<(&u32, &u32)>| {
            let rows: Vec<String> =
                side.into_iter().map(|(price, amount)| format!(r#"["{price}.00","{amount}.000"]"#)).collect();
            rows.join(",")
        };
        let (bids, asks) = (rows(self.bids.iter().rev().collect()), rows(self.asks.iter().collect()));
        let text =
            format!(r#"{{"lastUpdateId":{0},"E":{0},"T":{0},"bids":[{bids}],"asks":[{asks}]}}"#, self.id);
        self.line(&text);
    }
}

fn replay(recording: &str) -> Outcome {
    let mut replay = Replay::new::<BinancePerpetual>(Symbols::default(), Some("BTC-USDT".parse().unwrap()));
    replay.play::<BinancePerpetual>(&mut recording.as_bytes(), None).unwrap();
    replay.finish().unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (any::<bool>(), 0_u32..20, 0_u32..50);
    prop::collection::vec((prop::collection::vec(change, 0..6), 0_u64..100), 4..30)
}

fn recorded(steps: &[Step]) -> Market {
    let mut market = Market::new();
    for (index, (changes, skipped)) in steps.iter().enumerate() {
        market.change(changes, *skipped);
        market.announce();
        if index == 1 {
            market.snapshot();
        }
    }
    market
}

proptest! {
    #[test]
    fn a_whole_recording_is_clean(steps in steps()) {
        let market = recorded(&steps);
        let outcome = replay(&market.recording);
        prop_assert!(outcome.is_clean(), "{:?}", outcome);
        prop_assert_eq!((outcome.gaps, outcome.decode_errors, outcome.bbo_mismatched), (0, 0, 0));
        // The snapshot has the first two in it.
        prop_assert_eq!((outcome.events["book_diff"], outcome.applied), (market.diffs, market.diffs - 2));
        prop_assert!(outcome.bbo_compared >= market.diffs - 2, "{:?}", outcome);
        prop_assert_eq!(outcome.live, ["BTC-USDT"]);
    }

    #[test]
    fn a_missing_message_is_a_gap(steps in steps(), place in any::<prop::sample::Index>()) {
        let market = recorded(&steps);
        let lines: Vec<_> = market.recording.lines().collect();
        let diffs: Vec<_> = (0..lines.len()).filter(|line| lines[*line].contains("depthUpdate")).collect();
        // Neither what the snapshot has nor the last one, which nothing continues.
        let gone = diffs[2 + place.index(diffs.len() - 3)];
        let rest: Vec<_> = (0..lines.len()).filter(|line| *line != gone).map(|line| lines[line]).collect();
        let outcome = replay(&rest.join("\n"));
        prop_assert_eq!((outcome.gaps, outcome.crossed, outcome.live.len()), (1, 0, 0));
    }
}
