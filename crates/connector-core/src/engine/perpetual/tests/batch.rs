//! Several orders with one request.

use std::time::Duration;

use proptest::prelude::*;

use super::toy::{Bench, number, pair};
use crate::engine::Trading;
use crate::error::{Cause, Effect};
use crate::event::Event;
use crate::id::ClientOrderId;
use crate::journal::{Durability, MemoryJournal};
use crate::order::{NewOrder, OrderState, Side};
use crate::wire::Machine as _;

/// Questions are asked within this.
const SOON: Duration = Duration::from_millis(500);

fn order(price: &str) -> NewOrder {
    NewOrder::limit(pair(), Side::Buy, number("1"), number(price))
}

/// Places as many, whose requests are held back.
fn placed(bench: &mut Bench, count: usize) -> Vec<ClientOrderId> {
    bench.held.extend(["place_many", "place"]);
    let answers = bench.engine.place_many(bench.now, vec![order("100"); count]);
    bench.pump();
    answers.into_iter().map(Result::unwrap).collect()
}

/// Answers the oldest request that is held back.
fn reply(bench: &mut Bench, text: &str) {
    let (id, _) = bench.waiting.remove(0);
    bench.give(id, text);
    bench.pump();
}

/// As many open orders.
fn open(bench: &mut Bench, count: usize) -> Vec<ClientOrderId> {
    let ids = placed(bench, count);
    while let Some((_, request)) = bench.waiting.first() {
        let query = request.query.replace("%20", " ");
        let ids = query.trim_start_matches("ids=").trim_start_matches("id=");
        let ids = ids.split('&').next().unwrap_or_default().to_owned();
        let lines: Vec<_> = ids.split(' ').map(|id| format!("order BTC-USDT {id} open")).collect();
        reply(bench, &lines.join("\n"));
    }
    bench.held.clear();
    bench.asked.clear();
    bench.events.clear();
    assert!(ids.iter().all(|id| state(bench, id) == OrderState::Open));
    ids
}

fn state(bench: &Bench, id: &ClientOrderId) -> OrderState {
    bench.engine.order(id).unwrap().state()
}

fn failure(bench: &Bench, id: &ClientOrderId) -> (Cause, Effect) {
    let failed = bench.events.iter().find_map(|event| match event {
        Event::OrderFailed(failed) if failed.order.client_order_id == *id => Some(failed),
        _ => None,
    });
    let error = &failed.unwrap().error;
    assert_eq!(error.operation, "place");
    (error.cause, error.effect)
}

#[test]
fn each_order_of_a_request_has_its_own_end() {
    let mut bench = Bench::ready();
    let ids = placed(&mut bench, 5);
    let asked: Vec<_> = bench.asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(asked, ["place_many", "place_many"]);
    assert!(
        bench.asked[0].1.matches(ids[2].as_str()).count() == 1 && bench.asked[1].1.contains(ids[3].as_str())
    );
    let [a, b, c, d, e] = ids.as_slice() else { panic!() };
    reply(&mut bench, &format!("order BTC-USDT {a} open\nrefused no\norder BTC-USDT {c} filled"));
    assert_eq!(state(&bench, a), OrderState::Open);
    assert_eq!(
        (state(&bench, b), failure(&bench, b)),
        (OrderState::Failed, (Cause::TradingRule, Effect::Rejected))
    );
    assert_ne!(state(&bench, c), OrderState::Unknown);
    // What is left of a number that does not fill a request goes in a smaller one; a code that nobody knows proves nothing.
    bench.held.insert("order");
    reply(&mut bench, &format!("order BTC-USDT {d} open\nrefused odd"));
    assert_eq!((state(&bench, d), state(&bench, e)), (OrderState::Open, OrderState::Unknown));
    bench.pass(SOON);
    assert!(bench.waiting.iter().any(|(_, request)| request.path == "order"), "it is looked up");
}

#[test]
fn what_the_answer_leaves_out_is_looked_up() {
    let mut bench = Bench::ready();
    for (lines, known) in [
        // Too short: the refusal could be that of either.
        ("order BTC-USDT {0} open\nrefused no", [true, false, false]),
        // Another order than asked for at its place: no place can be trusted.
        ("refused no\norder BTC-USDT {0} open\norder BTC-USDT {2} open", [true, false, true]),
        ("order BTC-USDT {0} open\norder BTC-USDT stranger open\nrefused no", [true, false, false]),
        // One that cannot be read, in its place.
        ("order BTC-USDT - open\nskipped odd\norder BTC-USDT {2} open", [true, false, true]),
        ("", [false, false, false]),
    ] {
        let ids = placed(&mut bench, 3);
        bench.held.insert("order");
        let text = (0..3)
            .fold(lines.to_owned(), |text, place| text.replace(&format!("{{{place}}}"), ids[place].as_str()));
        reply(&mut bench, &text);
        let states: Vec<_> = ids.iter().map(|id| state(&bench, id) == OrderState::Open).collect();
        assert_eq!(states, known, "{text}");
        assert!(ids.iter().zip(known).all(|(id, known)| known || state(&bench, id) == OrderState::Unknown));
        bench.release("order", "error no");
        bench.waiting.clear();
    }
}

#[test]
fn a_failure_of_the_request_is_one_of_each_order() {
    for (answer, state_then) in
        [("broken", OrderState::Failed), ("error no", OrderState::Failed), ("timeout", OrderState::Unknown)]
    {
        let mut bench = Bench::ready();
        let ids = placed(&mut bench, 3);
        bench.held.insert("order");
        reply(&mut bench, answer);
        assert!(ids.iter().all(|id| state(&bench, id) == state_then), "{answer}");
        assert_eq!(bench.count("place_many") + bench.count("place"), 1, "never sent twice");
    }
}

#[test]
fn one_alone_is_placed_as_ever_and_checks_are_each_orders_own() {
    let mut bench = Bench::ready();
    assert_eq!(bench.engine.place_many(bench.now, Vec::new()), []);
    bench.held.insert("place");
    let answers = bench.engine.place_many(bench.now, vec![order("100"), order("0.01")]);
    bench.pump();
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().effect, Effect::NotSent);
    assert_eq!((bench.count("place"), bench.count("place_many")), (1, 0));
}

#[test]
fn orders_wait_together_for_their_intents() {
    let mut bench = Bench::durable(&MemoryJournal::new(), 0, Durability::Intent);
    bench.start();
    bench.asked.clear();
    bench.held.insert("place_many");
    let ids = bench.engine.place_many(bench.now, vec![order("100"); 3]);
    assert!(ids.iter().all(Result::is_ok));
    assert!(bench.engine.action().is_none(), "nothing leaves before it is stored");
    let stored = |bench: &mut Bench| bench.engine.record().unwrap().sequence;
    let sequences: Vec<_> = (0..3).map(|_| stored(&mut bench)).collect();
    bench.engine.recorded(bench.now, sequences[1]);
    assert!(bench.engine.action().is_none());
    bench.engine.recorded(bench.now, sequences[2]);
    bench.pump();
    assert_eq!(bench.count("place_many"), 1);
}

#[test]
fn what_was_not_sent_when_the_connector_stops_fails() {
    let mut bench = Bench::durable(&MemoryJournal::new(), 0, Durability::Intent);
    bench.start();
    let ids = bench.engine.place_many(bench.now, vec![order("100"); 3]);
    bench.engine.begin_stop(bench.now, true);
    bench.pump();
    for id in ids.into_iter().map(Result::unwrap) {
        assert_eq!(
            (state(&bench, &id), failure(&bench, &id)),
            (OrderState::Failed, (Cause::Usage, Effect::NotSent))
        );
    }
    assert_eq!(bench.count("place_many"), 0);
}

#[test]
fn several_are_cancelled_each_with_its_own_end() {
    let mut bench = Bench::ready();
    let ids = open(&mut bench, 5);
    let pending = placed(&mut bench, 3);
    bench.asked.clear();
    bench.held.extend(["cancel_many", "cancel", "order"]);
    let asked = bench.engine.cancel_all(bench.now);
    bench.pump();
    assert_eq!(asked.len(), 8);
    // Those that are not acknowledged wait for that.
    assert_eq!((bench.count("cancel_many"), bench.count("cancel")), (2, 1));
    let again = bench.engine.cancel_many(bench.now, &[ids[0].clone(), ClientOrderId::new("nobody")]);
    bench.pump();
    assert!(again[0].is_ok() && again[1].is_err());
    assert_eq!((bench.count("cancel_many"), bench.count("cancel")), (2, 1));
    let of = |bench: &Bench, name: &str| {
        let found = bench.waiting.iter().position(|(_, request)| request.path == name);
        found.unwrap()
    };
    let first = of(&bench, "cancel_many");
    let (id, _) = bench.waiting.remove(first);
    let (gone, left) = (&ids[0], &ids[1]);
    bench.give(id, &format!("order BTC-USDT {gone} cancelled\nrefused no"));
    bench.pump();
    bench.pass(SOON);
    assert_eq!(state(&bench, gone), OrderState::Cancelled);
    assert!(!state(&bench, left).is_terminal(), "a refused cancel ends nothing");
    assert!(bench.waiting.iter().any(|(_, request)| request.path == "order"), "it is looked at");
    let second = of(&bench, "cancel_many");
    let (id, _) = bench.waiting.remove(second);
    bench.give(id, "timeout");
    bench.pump();
    assert!(ids[2..4].iter().all(|id| !state(&bench, id).is_terminal()));
    // The placements are acknowledged now, and their cancels go.
    let place = of(&bench, "place_many");
    let (id, _) = bench.waiting.remove(place);
    let lines: Vec<_> = pending.iter().map(|id| format!("order BTC-USDT {id} open")).collect();
    bench.give(id, &lines.join("\n"));
    bench.pump();
    let cancels = bench.count("cancel") + bench.count("cancel_many");
    assert!(cancels > 3, "{cancels}");
}

#[test]
fn cancels_of_different_markets_go_apart() {
    let mut bench = Bench::ready();
    bench.held.insert("place_many");
    let other = NewOrder { pair: "ETH-USDT".parse().unwrap(), ..order("100") };
    let orders = vec![order("100"), other.clone(), order("100")];
    let answers = bench.engine.place_many(bench.now, orders);
    bench.pump();
    let ids: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let [a, b, c] = ids.as_slice() else { panic!() };
    reply(&mut bench, &format!("order BTC-USDT {a} open\norder ETH-USDT {b} open\norder BTC-USDT {c} open"));
    bench.held.extend(["cancel", "cancel_many"]);
    assert!(bench.engine.cancel_many(bench.now, &ids).iter().all(Result::is_ok));
    bench.pump();
    assert_eq!((bench.count("cancel"), bench.count("cancel_many")), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Whatever an answer says, and however much of it: nothing is declared dead that it does not clearly refuse, nothing is sent
    // twice.
    #[test]
    fn no_answer_ends_an_order_it_does_not_refuse(
        parts in prop::collection::vec((0_usize..5, 0_usize..4), 0..6),
    ) {
        let mut bench = Bench::ready();
        let ids = placed(&mut bench, 3);
        bench.held.insert("order");
        let line = |(kind, which): (usize, usize)| {
            let id = ids.get(which).map_or("stranger", ClientOrderId::as_str);
            match kind {
                0 => "refused no".to_owned(),
                1 => "refused odd".to_owned(),
                2 => "skipped odd".to_owned(),
                3 => "order BTC-USDT - open".to_owned(),
                _ => format!("order BTC-USDT {id} open"),
            }
        };
        let lines: Vec<_> = parts.iter().copied().map(line).collect();
        reply(&mut bench, &lines.join("\n"));
        for (place, id) in ids.iter().enumerate() {
            match state(&bench, id) {
                OrderState::Failed => {
                    prop_assert_eq!(parts.len(), 3);
                    prop_assert_eq!(parts[place].0, 0);
                    let at_home = |(place, (kind, which)): (usize, &(usize, usize))| *kind < 4 || *which == place;
                    prop_assert!(parts.iter().enumerate().all(at_home));
                }
                OrderState::Open => {
                    let named = parts.iter().any(|(kind, which)| *kind == 4 && ids.get(*which) == Some(id));
                    prop_assert!(named || parts.get(place).is_some_and(|(kind, _)| *kind == 3));
                }
                other => prop_assert_eq!(other, OrderState::Unknown),
            }
        }
        prop_assert_eq!(bench.count("place_many") + bench.count("place"), 1);
    }
}
