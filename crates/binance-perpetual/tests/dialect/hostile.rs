//! Payloads that are wrong: always an error or a skipped entry, never a panic, never memory without bound.

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{Dialect as _, LinkRole};
use connector_core::message::Message;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{answer, frame_bytes, stream};

const FRAMES: &[&str] = &[
    stream::DEPTH,
    stream::AGG_TRADE,
    stream::BOOK_TICKER,
    stream::MARK_PRICE,
    stream::FILLED,
    stream::ACCOUNT,
    stream::MARGIN_CALL,
    stream::LEVERAGE,
    r#"{"code":2,"msg":"Invalid request: missing field `method`","id":4}"#,
];

fn everything(bytes: &[u8]) {
    for role in [LinkRole::Public, LinkRole::User] {
        let _ = frame_bytes(role, bytes);
    }
    let _ = BinancePerpetual::error(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for row in BinancePerpetual::REST.rows() {
        let _ = answer(row.name, text);
    }
}

#[test]
fn what_is_no_answer_is_an_error() {
    let (deep, nested) = ("[".repeat(100_000), "{\"o\":".repeat(50_000));
    for text in ["", "\n", "null", "7", "\"e\"", "<html><h1>504</h1></html>", "{", "{\"e\":", &deep, &nested]
    {
        assert!(frame_bytes(LinkRole::User, text.as_bytes()).is_err(), "{text:.20}");
        for row in BinancePerpetual::REST.rows() {
            assert!(answer(row.name, text).is_err(), "{} takes {text:.20}", row.name);
        }
    }
}

#[test]
fn what_is_cut_off_is_an_error() {
    for text in FRAMES {
        for (end, _) in text.char_indices() {
            for role in [LinkRole::Public, LinkRole::User] {
                assert!(frame_bytes(role, &text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes(which in 0..FRAMES.len(), edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut bytes = FRAMES[which].as_bytes().to_vec();
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        everything(&bytes);
    }

    #[test]
    fn any_object(text in r#"\{("[a-zA-Z]{1,2}":(null|-?[0-9]{1,20}|"[0-9.]{0,9}"|\[\{"s":"A"\}\]|true),?){0,8}\}"#) {
        everything(text.as_bytes());
    }

    /// No level is lost, none invented, and the ids are those of the frame.
    #[test]
    fn books_are_passed_on(levels in prop::collection::vec((1_u32.., 0_u32..), 0..40), last in 2_u64..1 << 60) {
        let rows: Vec<String> = levels.iter().map(|(price, amount)| format!("[\"{price}.5\",\"0.{amount}\"]")).collect();
        let text = rows.join(",");
        let frame = format!(r#"{{"e":"depthUpdate","E":3,"T":2,"s":"X","U":1,"u":{last},"pu":{},"b":[],"a":[{text}]}}"#, last - 2);
        let found = frame_bytes(LinkRole::Public, frame.as_bytes()).unwrap();
        let [Message::BookDiff(book)] = found.as_slice() else { panic!("{found:?}") };
        prop_assert_eq!((book.first_id, book.last_id, book.prev_id), (Some(1), Some(last), Some(last - 2)));
        let read: Vec<String> =
            book.asks.iter().map(|level| format!("[\"{}\",\"{}\"]", level.price, level.amount)).collect();
        prop_assert_eq!((read, book.bids.len()), (rows, 0));
    }
}
