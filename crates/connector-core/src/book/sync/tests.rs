use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::message::{Level, Market};

fn level(price: i64, amount: i64) -> Level {
    Level { price: Decimal::from(price), amount: Decimal::from(amount) }
}

fn update(ids: (Option<u64>, u64, Option<u64>), bids: &[(i64, i64)], asks: &[(i64, i64)]) -> BookUpdate {
    let side = |rows: &[(i64, i64)]| rows.iter().map(|(price, amount)| level(*price, *amount)).collect();
    BookUpdate {
        market: Market::Symbol("X".into()),
        bids: side(bids),
        asks: side(asks),
        first_id: ids.0,
        last_id: Some(ids.1),
        prev_id: ids.2,
        time: None,
    }
}

fn diff(sync: &mut BookSync, first: u64, last: u64) -> Step {
    sync.diff(&borrowed(&update((Some(first), last, None), &[(90, 1)], &[])))
}

fn snapshot(sync: &mut BookSync, id: u64) -> Step {
    sync.snapshot(&BookMessage {
        snapshot: true,
        ..borrowed(&update((None, id, None), &[(99, 1)], &[(101, 1)]))
    })
}

#[test]
fn joins_as_documented() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    assert!(sync.needs_snapshot());
    assert_eq!(diff(&mut sync, 10, 12), Step::Buffered);
    assert_eq!(diff(&mut sync, 13, 13), Step::Buffered);
    assert_eq!(sync.floor(), Some(9));
    assert_eq!(snapshot(&mut sync, 8), Step::TooOld);
    assert_eq!((sync.status(), sync.book().is_none()), (BookStatus::Waiting, true));
    assert_eq!(snapshot(&mut sync, 9), Step::Applied);
    assert_eq!((sync.status(), sync.last_id()), (BookStatus::Live, Some(13)));
    assert_eq!(diff(&mut sync, 12, 13), Step::Ignored);
    assert_eq!(diff(&mut sync, 13, 15), Step::Applied);
    assert_eq!(snapshot(&mut sync, 14), Step::Ignored);
}

#[test]
fn few_messages_are_kept_until_a_snapshot_is_asked_for() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    sync.expect_snapshot(false);
    for id in 1..=1_000 {
        assert_eq!(diff(&mut sync, id, id), Step::Buffered);
    }
    assert_eq!((sync.waiting.len(), sync.floor()), (MAX_UNASKED, Some(984)));
    sync.expect_snapshot(true);
    for id in 1_001..=1_100 {
        assert_eq!(diff(&mut sync, id, id), Step::Buffered);
    }
    assert_eq!((sync.waiting.len(), snapshot(&mut sync, 983)), (MAX_UNASKED + 100, Step::TooOld));
    assert_eq!((snapshot(&mut sync, 1_050), sync.last_id()), (Step::Applied, Some(1_100)));
    assert_eq!(sync.waiting.capacity(), 0, "a live book keeps no room for messages");
}

#[test]
fn a_gap_ends_the_proof_at_once_and_keeps_what_follows() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    assert_eq!(snapshot(&mut sync, 5), Step::Applied);
    assert_eq!(diff(&mut sync, 7, 8), Step::Gap(Gap::Missing));
    assert!(sync.needs_snapshot() && sync.book().is_none());
    assert_eq!(diff(&mut sync, 9, 9), Step::Buffered);
    // A second gap while waiting: what came before it is of no use any more.
    assert_eq!(diff(&mut sync, 11, 12), Step::Buffered);
    assert_eq!(snapshot(&mut sync, 9), Step::TooOld);
    assert_eq!(snapshot(&mut sync, 11), Step::Applied);
    assert_eq!(sync.last_id(), Some(12));
}

#[test]
fn a_crossed_book_is_not_live() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    assert_eq!(snapshot(&mut sync, 5), Step::Applied);
    let crossing = update((Some(6), 6, None), &[(101, 1)], &[]);
    assert_eq!(sync.diff(&borrowed(&crossing)), Step::Gap(Gap::Crossed));
    // Joined to the same message it crosses again; a snapshot beyond it heals.
    assert_eq!(snapshot(&mut sync, 5), Step::Gap(Gap::Crossed));
    assert_eq!(snapshot(&mut sync, 4), Step::TooOld);
    assert_eq!(snapshot(&mut sync, 6), Step::Applied);
}

#[test]
fn rows_and_ids_that_make_no_sense_end_the_proof() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    assert_eq!(snapshot(&mut sync, 5), Step::Applied);
    assert_eq!(sync.diff(&borrowed(&update((Some(6), 6, None), &[(-1, 1)], &[]))), Step::Gap(Gap::BadLevel));
    assert_eq!(snapshot(&mut sync, 6), Step::Applied);
    let mut nameless = update((None, 7, None), &[], &[]);
    nameless.last_id = None;
    assert_eq!(sync.diff(&borrowed(&nameless)), Step::Gap(Gap::NoId));
    assert_eq!(sync.snapshot(&borrowed(&nameless)), Step::Gap(Gap::NoId));
}

#[test]
fn linked_messages_join_across_the_snapshot_then_follow_their_links() {
    let linked = |prev, first, last| update((Some(first), last, Some(prev)), &[(90, 1)], &[]);
    let mut sync = BookSync::new(BookRule::PrevLinked);
    for message in [linked(10, 14, 20), linked(20, 23, 30)] {
        assert_eq!(sync.diff(&borrowed(&message)), Step::Buffered);
    }
    assert_eq!(snapshot(&mut sync, 9), Step::TooOld);
    assert_eq!(snapshot(&mut sync, 17), Step::Applied);
    assert_eq!(sync.last_id(), Some(30));
    assert_eq!(sync.diff(&borrowed(&linked(29, 30, 40))), Step::Gap(Gap::Missing));
}

#[test]
fn snapshots_only_replace_each_other() {
    let mut sync = BookSync::new(BookRule::SnapshotOnly);
    assert!(!sync.needs_snapshot());
    assert_eq!(diff(&mut sync, 1, 2), Step::Ignored);
    assert_eq!(snapshot(&mut sync, 5), Step::Applied);
    assert_eq!(snapshot(&mut sync, 4), Step::Ignored);
    sync.reset();
    assert_eq!(sync.status(), BookStatus::Waiting);
    assert_eq!(snapshot(&mut sync, 4), Step::Applied);
}

#[test]
fn what_waits_is_bounded() {
    let mut sync = BookSync::new(BookRule::Sequenced);
    for id in 1..=MAX_WAITING as u64 + 10 {
        assert_eq!(diff(&mut sync, id, id), Step::Buffered);
    }
    assert_eq!((sync.waiting.len(), sync.floor()), (MAX_WAITING, Some(10)));
}

type Rows = BTreeMap<i64, i64>;

/// A venue's book at each of its ids, and the messages it sent about it.
struct Venue {
    /// At each id: bids and asks.
    states: BTreeMap<u64, (Rows, Rows)>,
    messages: Vec<BookUpdate>,
}

/// `changes`: price 1..=20 (bids below 11), amount, id step, whether the message ends here.
fn venue(rule: BookRule, changes: &[(i64, i64, u64, bool)]) -> Venue {
    let (mut bids, mut asks) = (Rows::from([(1, 1)]), Rows::from([(20, 1)]));
    let mut states = BTreeMap::from([(1, (bids.clone(), asks.clone()))]);
    let (mut id, mut prev, mut first) = (1, 1, None);
    let (mut rows, mut messages) = ((vec![], vec![]), vec![]);
    for &(price, amount, step, ends) in changes {
        id += if rule == BookRule::Sequenced { 1 } else { step };
        let (side, changed) = if price < 11 { (&mut bids, &mut rows.0) } else { (&mut asks, &mut rows.1) };
        if amount == 0 {
            side.remove(&price);
        } else {
            side.insert(price, amount);
        }
        // Of several changes of one price a message tells the last.
        changed.retain(|(known, _)| *known != price);
        changed.push((price, amount));
        states.insert(id, (bids.clone(), asks.clone()));
        first.get_or_insert(id);
        if ends {
            messages.push(update((first.take(), id, Some(prev)), &rows.0, &rows.1));
            rows = (vec![], vec![]);
            prev = id;
        }
    }
    Venue { states, messages }
}

fn snapshot_of(venue: &Venue, id: u64) -> BookUpdate {
    let (bids, asks) = &venue.states[&id];
    let best_first: Vec<_> = bids.iter().rev().map(|(price, amount)| (*price, *amount)).collect();
    let asks: Vec<_> = asks.iter().map(|(price, amount)| (*price, *amount)).collect();
    update((None, id, None), &best_first, &asks)
}

fn check(sync: &BookSync, venue: &Venue) -> Result<(), TestCaseError> {
    let Some(book) = sync.book() else { return Ok(()) };
    let id = book.last_id().unwrap();
    let expected = snapshot_of(venue, id);
    prop_assert_eq!(book.to_levels(usize::MAX), (expected.bids, expected.asks), "at id {}", id);
    prop_assert!(!book.is_crossed());
    Ok(())
}

fn rules() -> impl Strategy<Value = BookRule> {
    prop_oneof![Just(BookRule::Sequenced), Just(BookRule::PrevLinked)]
}

fn changes() -> impl Strategy<Value = Vec<(i64, i64, u64, bool)>> {
    prop::collection::vec((1_i64..=20, 0_i64..4, 1_u64..4, any::<bool>()), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is lost, doubled, swapped or answered late: a live book is the venue's.
    #[test]
    fn live_is_true(
        rule in rules(),
        changes in changes(),
        faults in prop::collection::vec((0_u8..16, 0_usize..6), 150),
    ) {
        let venue = venue(rule, &changes);
        let ids: Vec<u64> = venue.states.keys().copied().collect();
        let mut sync = BookSync::new(rule);
        let mut messages = venue.messages.clone();
        for (at, (fault, _)) in faults.iter().enumerate() {
            if *fault == 0 && at + 1 < messages.len() { messages.swap(at, at + 1); }
        }
        for (message, (fault, age)) in messages.iter().zip(&faults) {
            if *fault == 1 { continue; }
            for _ in 0..if *fault == 2 { 2 } else { 1 } {
                let live = sync.status();
                let step = sync.diff(&borrowed(message));
                prop_assert_eq!(matches!(step, Step::Gap(_)), live != sync.status());
                check(&sync, &venue)?;
            }
            if sync.needs_snapshot() || *fault == 3 {
                // Taken some changes earlier or later than the message at hand, also in its midst.
                let here = ids.iter().position(|id| Some(*id) == message.last_id).unwrap();
                let id = ids[(here + age).saturating_sub(3).min(ids.len() - 1)];
                let snapshot = snapshot_of(&venue, id);
                sync.snapshot(&BookMessage { snapshot: true, ..borrowed(&snapshot) });
                check(&sync, &venue)?;
            }
        }
    }

    /// Without faults one snapshot is enough, wherever it was taken.
    #[test]
    fn legal_batches_never_resync(rule in rules(), changes in changes(), before in 0_usize..20, at in any::<prop::sample::Index>()) {
        let venue = venue(rule, &changes);
        prop_assume!(!venue.messages.is_empty());
        let before = before.min(venue.messages.len());
        let ids: Vec<u64> = venue.states.keys().copied().collect();
        let mut sync = BookSync::new(rule);
        for message in &venue.messages[..before] {
            prop_assert_eq!(sync.diff(&borrowed(message)), Step::Buffered);
        }
        let snapshot = snapshot_of(&venue, *at.get(&ids));
        let step = sync.snapshot(&BookMessage { snapshot: true, ..borrowed(&snapshot) });
        prop_assert_eq!(step, Step::Applied);
        for message in &venue.messages[before..] {
            let step = sync.diff(&borrowed(message));
            prop_assert!(matches!(step, Step::Applied | Step::Ignored), "{:?}", step);
            check(&sync, &venue)?;
        }
        prop_assert!(sync.last_id() >= venue.messages.last().unwrap().last_id);
    }
}
