//! Hot frames are read by a scanner of their own. The general parser is its oracle: it reads the same frame with a space before
//! it, which the scanner does not take.

use binance_perpetual::BinancePerpetual;
use connector_qa::payloads;
use proptest::prelude::*;

use crate::symbols;

fn number() -> impl Strategy<Value = String> {
    let usual = (0_u64..1_000_000, 0_u64..1000).prop_map(|(whole, part)| format!("{whole}.{part:03}"));
    prop_oneof![5 => usual, 1 => "-?[0-9]{1,12}(\\.[0-9]{1,10})?", 1 => "[-+.0-9eE ]{0,10}"]
}

fn levels() -> impl Strategy<Value = String> {
    prop::collection::vec((number(), number()).prop_map(|(p, q)| format!(r#"["{p}","{q}"]"#)), 0..5)
        .prop_map(|rows| format!("[{}]", rows.join(",")))
}

/// Integers of all lengths.
fn id() -> impl Strategy<Value = u64> {
    (any::<u64>(), 5_u32..64).prop_map(|(id, shift)| id >> shift)
}

/// What an event may carry besides, wherever the venue puts it.
fn more() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(r#","st":1"#), 1 => Just(r#","ps":"BTCUSDT","st":1"#), 1 => Just(r#","x":[{}]"#)]
}

fn payload() -> impl Strategy<Value = String> {
    let symbol =
        prop_oneof![4 => Just("BTCUSDT"), 1 => Just("NEWUSDT"), 1 => Just("币安人生USDT"), 1 => Just("")];
    let depth = (symbol.clone(), (id(), id(), id(), id()), levels(), levels(), more()).prop_map(|(s, (t, a, b, c), bids, asks, more)| {
        format!(r#"{{"e":"depthUpdate","E":{t},"T":{t},"s":"{s}","U":{a},"u":{b},"pu":{c},"b":{bids},"a":{asks}{more}}}"#)
    });
    let best = (symbol.clone(), id(), id(), [number(), number(), number(), number()], more(), any::<bool>())
        .prop_map(|(s, t, u, [b, bq, a, aq], more, documented)| {
            let quote = format!(r#""s":"{s}","b":"{b}","B":"{bq}","a":"{a}","A":"{aq}""#);
            match documented {
                true => format!(r#"{{"e":"bookTicker","u":{u},"E":{t},"T":7,{quote}{more}}}"#),
                false => format!(r#"{{"e":"bookTicker","u":{u},{quote}{more},"T":7,"E":{t}}}"#),
            }
        });
    let trade = (symbol.clone(), id(), id(), number(), number(), any::<[bool; 3]>(), more()).prop_map(
        |(s, t, a, p, q, [m, live, rpi], more)| {
            let head = match live {
                true => format!(r#""a":{a},"s":"{s}""#),
                false => format!(r#""s":"{s}","a":{a}"#),
            };
            let rpi = if rpi { r#","nq":"1""# } else { "" };
            format!(r#"{{"e":"aggTrade","E":{t},{head},"p":"{p}","q":"{q}"{rpi},"f":1,"l":2,"T":{t},"m":{m}{more}}}"#)
        },
    );
    let members = prop::sample::subsequence(vec!["i", "P", "ap", "r", "i"], 2..=5).prop_shuffle();
    let mark = (symbol, id(), number(), prop::collection::vec(number(), 5), members, more()).prop_map(
        |(s, t, p, values, names, more)| {
            let rest: String =
                names.iter().zip(values).map(|(name, value)| format!(r#","{name}":"{value}""#)).collect();
            format!(r#"{{"e":"markPriceUpdate","E":{t},"s":"{s}","p":"{p}"{rest},"T":{t}{more}}}"#)
        },
    );
    prop_oneof![depth, best, trade, mark]
}

fn agrees(bytes: &[u8]) -> Result<(), TestCaseError> {
    payloads::scanner_agrees::<BinancePerpetual>(&symbols(), bytes).map_err(TestCaseError::fail)
}

proptest! {
    #[test]
    fn scanner_and_parser_say_the_same(text in payload(), combined in any::<bool>()) {
        let text = if combined { format!(r#"{{"stream":"btcusdt@some","data":{text}}}"#) } else { text };
        agrees(text.as_bytes())?;
    }

    #[test]
    fn of_broken_frames_too(text in payload(), changes in prop::collection::vec((any::<usize>(), 0_u8..3, any::<u8>()), 1..4)) {
        agrees(&payloads::damaged(&text, &changes))?;
    }
}
