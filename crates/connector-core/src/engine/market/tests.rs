use proptest::prelude::*;

use super::*;
use crate::message::{BookMessage, Market};

/// What happens to the feed of one of a few pairs.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Add,
    Remove,
    Subscribed,
    Cut,
    Snapshot(u64),
    Diff(u64, u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => Just(Turn::Add),
        1 => Just(Turn::Remove),
        3 => Just(Turn::Subscribed),
        1 => Just(Turn::Cut),
        4 => (1..12_u64).prop_map(Turn::Snapshot),
        4 => (1..12_u64, 0..3_u64).prop_map(|(first, more)| Turn::Diff(first, first + more)),
    ]
}

fn take(feeds: &mut Feeds, pair: &Pair, turn: Turn) {
    let market = Market::Pair(pair.clone());
    let message = match turn {
        Turn::Add => return feeds.add(pair, BookRule::Sequenced),
        Turn::Remove => return drop(feeds.remove(pair)),
        Turn::Subscribed => {
            feeds.change(pair, |feed| feed.subscribed = true);
            return;
        }
        Turn::Cut => {
            feeds.change(pair, |feed| {
                feed.subscribed = false;
                feed.sync.reset();
            });
            return;
        }
        Turn::Snapshot(id) => BookMessage { last_id: Some(id), ..BookMessage::snapshot(&market, &[], &[]) },
        Turn::Diff(first, last) => {
            BookMessage { first_id: Some(first), last_id: Some(last), ..BookMessage::diff(&market, &[], &[]) }
        }
    };
    let (events, cold, stale) = (&mut VecDeque::new(), &mut Vec::new(), &mut Vec::new());
    let now = Now { utc: crate::time::UnixNanos(0), mono: Mono(0) };
    let venue_time = now.utc;
    let funding = &mut Funding::new(None, venue_time, Duration::ZERO);
    Intake { now, feeds, events, cold, stale, funding, venue_time, stirred: false }.book(message);
}

#[test]
fn no_feed_lacks_anything_and_a_new_one_does() {
    let pair: Pair = "BTC-USDT".parse().unwrap();
    let mut feeds = Feeds::default();
    assert!(feeds.all_live());
    take(&mut feeds, &pair, Turn::Add);
    assert!(!feeds.all_live());
    take(&mut feeds, &pair, Turn::Snapshot(5));
    assert!(!feeds.all_live(), "a book that nothing keeps up to date is not live");
    take(&mut feeds, &pair, Turn::Subscribed);
    assert!(feeds.all_live());
    take(&mut feeds, &pair, Turn::Add);
    assert!(feeds.all_live(), "a feed that is followed already is as it was");
    take(&mut feeds, &pair, Turn::Diff(9, 9));
    assert!(!feeds.all_live());
}

proptest! {
    #[test]
    fn the_count_is_what_a_look_at_each_feed_would_find(turns in prop::collection::vec((0..3_usize, turn()), 0..80)) {
        let pairs: Vec<Pair> = ["A-X", "B-X", "C-X"].iter().map(|name| name.parse().unwrap()).collect();
        let mut feeds = Feeds::default();
        for (pair, turn) in turns {
            take(&mut feeds, &pairs[pair], turn);
            prop_assert_eq!(feeds.all_live(), feeds.pick(|feed| !feed.is_live()).is_empty(), "{:?}", turn);
        }
    }
}
