//! Hot frames are read by a scanner of their own. The general parser is its oracle: it reads the same frame with a space
//! before it, which the scanner does not take.

use connector_qa::payloads;
use proptest::prelude::*;
use spot_binance::SpotBinance;

use crate::symbols;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u64..100_000_000, 0_u64..100_000_000).prop_map(|(a, b)| format!("{a}.{b:08}")),
        2 => (0_u64..1000, 0_u64..100).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => any::<i64>().prop_map(|a| a.to_string()),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => "[-+0-9.eE ]{0,12}",
    ]
}

fn levels() -> impl Strategy<Value = String> {
    prop::collection::vec((number(), number()), 0..6).prop_map(|rows| {
        let rows: Vec<_> =
            rows.into_iter().map(|(price, amount)| format!(r#"["{price}","{amount}"]"#)).collect();
        format!("[{}]", rows.join(","))
    })
}

fn hot_frame() -> impl Strategy<Value = String> {
    let symbol = prop_oneof![Just("BTCUSDT"), Just("LTCBTC"), Just("NEWUSDT"), Just(""), Just("币安USDT")];
    let ids = || (0_u64..10_000_000_000_000_000, 0_u32..50).prop_map(|(id, shift)| id >> shift);
    let depth =
        (symbol.clone(), ids(), ids(), ids(), levels(), levels()).prop_map(|(s, time, first, last, b, a)| {
            format!(r#"{{"e":"depthUpdate","E":{time},"s":"{s}","U":{first},"u":{last},"b":{b},"a":{a}}}"#)
        });
    let trade = (symbol.clone(), ids(), ids(), number(), number(), any::<bool>()).prop_map(|(s, time, id, p, q, m)| {
        format!(r#"{{"e":"trade","E":{time},"s":"{s}","t":{id},"p":"{p}","q":"{q}","T":{time},"m":{m},"M":true}}"#)
    });
    let best = (symbol, ids(), number(), number(), number(), number()).prop_map(|(s, id, b, bq, a, aq)| {
        format!(r#"{{"u":{id},"s":"{s}","b":"{b}","B":"{bq}","a":"{a}","A":"{aq}"}}"#)
    });
    (prop_oneof![depth, trade, best], any::<bool>()).prop_map(|(text, combined)| {
        if combined { format!(r#"{{"stream":"btcusdt@some","data":{text}}}"#) } else { text }
    })
}

fn agrees(bytes: &[u8]) -> Result<(), TestCaseError> {
    payloads::scanner_agrees::<SpotBinance>(&symbols(), bytes).map_err(TestCaseError::fail)
}

proptest! {
    #[test]
    fn the_scanner_agrees_with_the_parser(text in hot_frame()) {
        agrees(text.as_bytes())?;
    }

    #[test]
    fn also_about_broken_frames(
        text in hot_frame(),
        changes in prop::collection::vec((any::<usize>(), 0_u8..3, any::<u8>()), 1..4),
    ) {
        agrees(&payloads::damaged(&text, &changes))?;
    }
}
