//! Properties of the tracker: the venue's truth decides, whatever the order of arrival.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::lifecycle::rank;
use super::tracker_tests::{Feed, at, current, dec, error, fill, id, names, placed, report};
use crate::error::{Cause, Effect};
use crate::event::Event;
use crate::id::TradeId;
use crate::message::{Message, OrderReport};
use crate::order::{OrderState, Tracker, Want};

/// What the venue did, and every message that tells of it.
#[derive(Clone, Debug)]
struct Story {
    fills: Vec<i64>,
    end: OrderState,
    messages: Vec<Told>,
}

#[derive(Clone, Debug)]
enum Told {
    Ack(OrderReport),
    Message(Message),
    CancelAccepted,
    PlaceFailed,
}

fn story() -> impl Strategy<Value = Story> {
    let fills = prop::collection::vec(1_i64..=3, 0..=3);
    let end = prop_oneof![Just(OrderState::Cancelled), Just(OrderState::Expired), Just(OrderState::Filled)];
    (fills, end, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_flat_map(|(mut fills, end, nameless, lost_reply, counts)| {
            let done: i64 = fills.iter().sum();
            if end == OrderState::Filled {
                fills.push(10 - done);
            }
            let messages = tell(&fills, end, nameless, lost_reply, counts);
            // Every message once, some twice, in any order.
            let indices = prop::collection::vec(0..messages.len(), 0..6);
            (Just(fills), Just(end), Just(messages), indices)
        })
        .prop_flat_map(|(fills, end, mut messages, again)| {
            let copies: Vec<_> = again.iter().map(|index| messages[*index].clone()).collect();
            messages.extend(copies);
            (Just(fills), Just(end), Just(messages).prop_shuffle())
        })
        .prop_map(|(fills, end, messages)| Story { fills, end, messages })
}

fn tell(fills: &[i64], end: OrderState, nameless: bool, lost_reply: bool, counts: bool) -> Vec<Told> {
    let number = |tenths: i64| counts.then_some(tenths);
    let mut told = vec![
        if lost_reply { Told::PlaceFailed } else { Told::Ack(report(OrderState::Open, None)) },
        Told::Message(Message::Order(report(OrderState::Open, number(0)))),
    ];
    let mut sum = 0;
    for (index, tenths) in fills.iter().enumerate() {
        sum += tenths;
        let mut fill = fill(&format!("t{index}"), *tenths);
        if nameless {
            fill.client_order_id = None;
        }
        told.push(Told::Message(Message::Fill(fill)));
        if sum < 10 {
            told.push(Told::Message(Message::Order(report(OrderState::PartiallyFilled, number(sum)))));
        }
    }
    if end == OrderState::Cancelled {
        told.push(Told::CancelAccepted);
        told.push(Told::Message(Message::Order(report(OrderState::PendingCancel, None))));
        told.push(Told::Message(Message::Order(report(end, None))));
    }
    told.push(Told::Message(Message::Order(report(end, Some(sum)))));
    told
}

fn play(story: &Story) -> (Tracker, Vec<Event>) {
    let mut tracker = placed();
    let (mut events, mut reached) = (Vec::new(), 0);
    for (millis, told) in (1..).zip(&story.messages) {
        let now = at(millis);
        match told {
            Told::Ack(report) => tracker.acknowledged(now, &id(), report),
            Told::Message(message) => drop(tracker.apply(now, message)),
            Told::CancelAccepted => tracker.cancel_accepted(now, &id()),
            Told::PlaceFailed => {
                tracker.place_failed(now, &id(), &error(Cause::Timeout, Effect::Unknown));
            }
        }
        events.extend(tracker.take_events());
        let now = rank(current(&tracker));
        assert!(now >= reached, "moved back to {}", current(&tracker));
        reached = now;
    }
    (tracker, events)
}

/// The language of one order's events.
fn assert_legal(names: &[&str]) -> Result<(), TestCaseError> {
    let plain: Vec<_> = names.iter().filter(|name| !["unknown", "refused"].contains(name)).collect();
    prop_assert_eq!(*plain[0], "created", "{:?}", names);
    let terminal = ["completed", "cancelled", "expired", "failed"];
    let ends: Vec<_> = (0..plain.len()).filter(|i| terminal.contains(plain[*i])).collect();
    prop_assert_eq!(ends.len(), 1, "{:?}", names);
    prop_assert!(plain[1..ends[0]].iter().all(|name| **name == "filled"), "{names:?}");
    prop_assert!(plain[ends[0] + 1..].iter().all(|name| **name == "late"), "{names:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_arrival_ends_in_the_venues_ledger(story in story()) {
        let (tracker, events) = play(&story);
        let names = names(&events);
        assert_legal(&names)?;
        prop_assert!(!names.contains(&"late"), "the amounts were known: {names:?}");
        let order = tracker.get(&id()).unwrap();
        prop_assert_eq!(order.state(), story.end);
        let sum: i64 = story.fills.iter().sum();
        prop_assert_eq!(order.executed().base, dec(sum));
        prop_assert_eq!(order.executed().quote, dec(sum) * Decimal::from(100));
        let mut emitted = BTreeMap::new();
        for event in &events {
            if let Event::OrderFilled(fill) = event {
                prop_assert!(emitted.insert(fill.trade_id.clone(), fill.amount).is_none(), "told twice");
            }
        }
        let truth: BTreeMap<_, _> =
            story.fills.iter().enumerate().map(|(n, t)| (TradeId::new(format!("t{n}")), dec(*t))).collect();
        prop_assert_eq!(emitted, truth);
        prop_assert!(tracker.is_idle(), "still asking: {tracker:?}");
    }

    /// Messages are lost as well: the venue answers what the tracker asks, and that is enough.
    #[test]
    fn what_was_lost_is_asked_for(
        story in story(), lost in any::<u64>(), failing in any::<u16>(), reply_lost in any::<bool>(),
    ) {
        let mut heard = story.clone();
        let mut index = 0_u32;
        heard.messages.retain(|_| { index += 1; lost >> (index % 64) & 1 == 0 });
        let (mut tracker, mut events) = play(&heard);
        let mut now = 1_000;
        if reply_lost {
            tracker.place_failed(at(now), &id(), &error(Cause::Timeout, Effect::Unknown));
        }
        // A private stream that was down ends in this: the order is no longer open.
        tracker.acknowledged(at(now), &id(), &report(OrderState::Open, None));
        tracker.open_orders_snapshot(at(now), None, &[], at(now).mono);
        let sum: i64 = story.fills.iter().sum();
        let mut answers = 0_u32;
        while let Some(due) = tracker.deadline() {
            now = (due.0 / 1_000_000).max(now) + 1;
            prop_assert!(now < 300_000, "no end: {tracker:?}");
            for want in tracker.wants(at(now)) {
                answers += 1;
                if answers < 16 && failing >> answers & 1 == 1 {
                    continue;
                }
                match want {
                    Want::QueryOrder(_) => tracker.state(now, story.end, Some(sum)),
                    Want::FetchFills(_) => {
                        for (index, tenths) in story.fills.iter().enumerate() {
                            tracker.trade(now, &format!("t{index}"), *tenths);
                        }
                        tracker.fills_fetched(at(now), &id(), at(now).mono);
                    }
                    other => prop_assert!(false, "needless: {other:?}"),
                }
            }
            events.extend(tracker.take_events());
        }
        events.extend(tracker.take_events());
        assert_legal(&names(&events))?;
        let order = tracker.get(&id()).unwrap();
        prop_assert_eq!((order.state(), order.executed().base), (story.end, dec(sum)));
    }
}
