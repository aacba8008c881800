//! Payloads that are wrong: always an error or a skipped entry, never a panic, never memory without bound.

use connector_core::dialect::{Dialect as _, LinkRole};
use connector_core::message::Message;
use proptest::prelude::*;
use spot_binance::SpotBinance;

use crate::{answer, frame_bytes, stream};

const FRAMES: &[&str] = &[
    stream::DEPTH,
    stream::TRADE,
    stream::BOOK_TICKER,
    stream::PARTIAL,
    stream::REPORT,
    stream::POSITION,
    r#"{"result":null,"id":1}"#,
    r#"{"id":11,"status":400,"error":{"code":-1021,"msg":"Timestamp"}}"#,
];

fn try_all(bytes: &[u8]) {
    for role in [LinkRole::Public, LinkRole::User] {
        let _ = frame_bytes(role, bytes);
    }
    let _ = SpotBinance::error(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        for row in SpotBinance::REST.rows() {
            let _ = answer(row.name, text);
        }
    }
}

#[test]
fn nothing_html_and_depth() {
    let deep = "[".repeat(100_000);
    let objects = "{\"e\":".repeat(50_000);
    for text in
        ["", " ", "null", "1", "\"x\"", "<html>502 Bad Gateway</html>", "{", "{\"e\"", &deep, &objects]
    {
        assert!(frame_bytes(LinkRole::Public, text.as_bytes()).is_err(), "{:.20}", text);
        for row in SpotBinance::REST.rows() {
            assert!(answer(row.name, text).is_err(), "{} takes {:.20}", row.name, text);
        }
    }
    assert!(frame_bytes(LinkRole::User, &[0xff, 0xfe, 0x00]).is_err());
}

#[test]
fn truncated() {
    for text in FRAMES {
        for end in 0..text.len() {
            assert!(frame_bytes(LinkRole::User, &text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
        }
    }
}

#[test]
fn memory_is_reused_without_traces() {
    let good = frame_bytes(LinkRole::Public, stream::TRADE.as_bytes()).unwrap();
    assert!(frame_bytes(LinkRole::Public, b"{\"e\":\"trade\",").is_err());
    assert_eq!(frame_bytes(LinkRole::Public, stream::TRADE.as_bytes()).unwrap(), good);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated(which in 0..FRAMES.len(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = FRAMES[which].as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        try_all(&bytes);
    }

    #[test]
    fn arbitrary_json(text in r#"\{("[a-zA-Z]{1,3}":(null|-?[0-9]{1,20}|"[0-9.]{0,9}"|\[\[?"1"\]?\]|true),?){0,8}\}"#) {
        try_all(text.as_bytes());
    }

    /// Whatever a book message says is passed on as it is: no level lost, none invented.
    #[test]
    fn levels_survive(levels in prop::collection::vec((1_u32.., 0_u32..), 0..40), first in 1_u64..1 << 60) {
        let text: Vec<String> = levels.iter().map(|(price, amount)| format!("[\"{price}.5\",\"0.{amount}\"]")).collect();
        let frame = format!(
            r#"{{"stream":"x","data":{{"e":"depthUpdate","E":1,"s":"BNBBTC","U":{first},"u":{},"b":[{}],"a":[]}}}}"#,
            first + 1,
            text.join(",")
        );
        let found = frame_bytes(LinkRole::Public, frame.as_bytes()).unwrap();
        let [Message::BookDiff(book)] = found.as_slice() else { panic!("{found:?}") };
        prop_assert_eq!((book.first_id, book.last_id, book.asks.len()), (Some(first), Some(first + 1), 0));
        let read: Vec<String> =
            book.bids.iter().map(|level| format!("[\"{}\",\"{}\"]", level.price, level.amount)).collect();
        prop_assert_eq!(read, text);
    }
}
