//! Scenarios of the tracker: the reference ones, placing, cancelling, identity and bounds.

use std::time::Duration;

use rust_decimal::Decimal;

use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::fee::FeeSchedule;
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::{Fee, Fill, Market, Message, OrderReport};
use crate::order::*;
use crate::pair::Pair;
use crate::time::{Mono, Now, UnixNanos};

const VISIBILITY: Duration = Duration::from_secs(5);

pub(super) fn at(millis: u64) -> Now {
    Now {
        mono: Mono(millis * 1_000_000),
        utc: UnixNanos::from_millis(1_700_000_000_000 + i64::try_from(millis).unwrap()),
    }
}

pub(super) fn dec(tenths: i64) -> Decimal {
    Decimal::new(tenths, 1)
}

pub(super) fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

pub(super) fn id() -> ClientOrderId {
    ClientOrderId::new("c1")
}

pub(super) fn order() -> NewOrder {
    NewOrder::limit(pair(), Side::Buy, dec(10), Decimal::from(100))
}

pub(super) fn report(state: OrderState, filled_tenths: Option<i64>) -> OrderReport {
    OrderReport {
        market: Market::Pair(pair()),
        client_order_id: Some(id()),
        exchange_order_id: Some(ExchangeOrderId::new("x1")),
        state,
        side: Some(Side::Buy),
        order_type: Some(OrderType::Limit),
        price: Some(Decimal::from(100)),
        amount: Some(dec(10)),
        filled_amount: filled_tenths.map(dec),
        reason: None,
        time: None,
    }
}

pub(super) fn fill(trade: &str, tenths: i64) -> Fill {
    Fill {
        market: Market::Pair(pair()),
        client_order_id: Some(id()),
        exchange_order_id: Some(ExchangeOrderId::new("x1")),
        trade_id: TradeId::new(trade),
        side: Side::Buy,
        price: Decimal::from(100),
        amount: dec(tenths),
        fee: Some(Fee { asset: "BTC".into(), amount: Decimal::new(1, 3) }),
        maker: Some(true),
        position_side: None,
        cause: None,
        time: Some(UnixNanos(5)),
    }
}

/// A tracker with one order, sent at 0 ms.
pub(super) fn placed() -> Tracker {
    let mut tracker = Tracker::new(TrackerLimits::default()).named("spot-test");
    tracker.submit(at(0), id(), order()).unwrap();
    tracker.sent(at(0), &id());
    tracker
}

/// The same, acknowledged; the created event is taken.
pub(super) fn opened() -> Tracker {
    let mut tracker = placed();
    tracker.acknowledged(at(1), &id(), &report(OrderState::Open, Some(0)));
    assert_eq!(names(&tracker.take_events()), ["created"]);
    tracker
}

pub(super) trait Feed {
    fn state(&mut self, millis: u64, state: OrderState, filled: Option<i64>);
    fn trade(&mut self, millis: u64, trade: &str, tenths: i64);
    fn told(&mut self) -> Vec<&'static str>;
}

impl Feed for Tracker {
    fn state(&mut self, millis: u64, state: OrderState, filled: Option<i64>) {
        self.apply(at(millis), &Message::Order(report(state, filled)));
    }

    fn trade(&mut self, millis: u64, trade: &str, tenths: i64) {
        self.apply(at(millis), &Message::Fill(fill(trade, tenths)));
    }

    fn told(&mut self) -> Vec<&'static str> {
        names(&self.take_events())
    }
}

pub(super) fn names(events: &[Event]) -> Vec<&'static str> {
    events
        .iter()
        .map(|event| match event {
            Event::OrderCreated(_) => "created",
            Event::OrderFilled(e) if e.late => "late",
            Event::OrderFilled(_) => "filled",
            Event::OrderCompleted(_) => "completed",
            Event::OrderCancelled(_) => "cancelled",
            Event::OrderExpired(_) => "expired",
            Event::OrderFailed(_) => "failed",
            Event::OrderUnknown(_) => "unknown",
            Event::OrderCancelRefused(_) => "refused",
            Event::Problem { .. } => "problem",
            _ => "other",
        })
        .collect()
}

pub(super) fn error(cause: Cause, effect: Effect) -> Error {
    Error::new(cause, effect, "test", "as injected")
}

pub(super) fn current(tracker: &Tracker) -> OrderState {
    tracker.get(&id()).unwrap().state()
}

// The reference scenarios.

#[test]
fn s01_fill_overtakes_the_ack() {
    let mut t = placed();
    t.trade(1, "1", 5);
    t.state(2, OrderState::PartiallyFilled, Some(5));
    t.acknowledged(at(3), &id(), &report(OrderState::Open, Some(0)));
    assert_eq!(current(&t), OrderState::PartiallyFilled);
    t.trade(4, "2", 5);
    t.state(5, OrderState::Filled, Some(10));
    assert_eq!(t.told(), ["created", "filled", "filled", "completed"]);
    assert!(t.is_idle());
}

#[test]
fn s02_late_ack_does_not_reopen() {
    let mut t = placed();
    t.trade(1, "1", 10);
    t.state(2, OrderState::Filled, Some(10));
    t.acknowledged(at(3), &id(), &report(OrderState::Open, Some(0)));
    t.state(4, OrderState::Filled, Some(10));
    assert_eq!(t.told(), ["created", "filled", "completed"]);
    assert_eq!((current(&t), t.is_idle()), (OrderState::Filled, true));
}

#[test]
fn s03_filled_and_cancelled_is_decided_by_the_fills() {
    for (fetched, end) in [(10, "completed"), (4, "cancelled")] {
        let mut t = opened();
        t.state(2, OrderState::Filled, None);
        t.state(102, OrderState::Cancelled, None);
        assert!(t.told().is_empty());
        assert_eq!(t.wants(at(102)), [Want::FetchFills(id())]);
        // A fetch asked before the contradiction proves nothing.
        t.fills_fetched(at(103), &id(), at(50).mono);
        assert!(t.told().is_empty());
        t.trade(110, "1", fetched);
        t.fills_fetched(at(110), &id(), at(102).mono);
        assert_eq!(t.told(), ["filled", end]);
        assert!(t.is_idle());
    }
}

#[test]
fn s04_pending_cancel_before_the_ack() {
    let mut t = placed();
    t.state(1, OrderState::PendingCancel, None);
    t.state(2, OrderState::Open, Some(0));
    assert_eq!(current(&t), OrderState::PendingCancel);
    t.state(3, OrderState::Cancelled, Some(0));
    assert_eq!(t.told(), ["created", "cancelled"]);
}

#[test]
fn s05_misses_escalate_and_fail_nothing() {
    let mut t = opened();
    for round in 0..4 {
        t.not_found(at(10_000 + 1_000 * round), &id(), VISIBILITY);
    }
    assert_eq!(t.told(), ["unknown"]);
    t.trade(15_000, "1", 10);
    t.state(15_001, OrderState::Filled, Some(10));
    assert_eq!(t.told(), ["filled", "completed"]);
}

#[test]
fn s06_fill_after_the_end_is_late() {
    let mut t = opened();
    t.state(2, OrderState::Cancelled, Some(0));
    t.trade(402, "1", 4);
    let events = t.take_events();
    assert_eq!(names(&events), ["cancelled", "late"]);
    let Event::OrderFilled(late) = &events[1] else { panic!() };
    assert_eq!((late.executed.base, late.executed.quote), (dec(4), dec(400)));
    assert_eq!(t.get(&id()).unwrap().executed().base, dec(4));
    assert_eq!(current(&t), OrderState::Cancelled);
}

#[test]
fn s07_completes_from_fills_alone() {
    let mut t = opened();
    t.trade(2, "1", 10);
    assert_eq!(t.told(), ["filled", "completed"]);
}

#[test]
fn s08_failed_after_complete_execution_is_ignored() {
    let mut t = opened();
    t.trade(2, "1", 10);
    t.state(3, OrderState::Failed, None);
    assert_eq!(t.told(), ["filled", "completed"]);
    assert_eq!(current(&t), OrderState::Filled);
}

#[test]
fn s09_cancelled_after_complete_execution_is_completed() {
    let mut t = opened();
    t.trade(2, "1", 10);
    t.state(3, OrderState::Cancelled, Some(10));
    assert_eq!(t.told(), ["filled", "completed"]);
    // The same with the status first.
    let mut t = opened();
    t.state(2, OrderState::Cancelled, Some(10));
    t.trade(3, "1", 10);
    assert_eq!(t.told(), ["filled", "completed"]);
}

#[test]
fn s10_filled_waits_for_its_fills_and_asks_for_them() {
    let mut t = placed();
    t.state(1, OrderState::Filled, Some(10));
    assert_eq!(t.told(), ["created"]);
    assert!(t.get(&id()).unwrap().wants_fills());
    assert_eq!(t.deadline(), Some(at(101).mono));
    assert_eq!(t.wants(at(100)), []);
    let mut asked = Vec::new();
    for millis in 101..20_000 {
        if t.wants(at(millis)) == [Want::FetchFills(id())] {
            asked.push(millis);
        }
    }
    assert_eq!(asked, [101, 201, 401, 801, 1_601, 3_201, 6_401, 11_401, 16_401]);
    t.trade(20_000, "1", 10);
    assert_eq!(t.told(), ["filled", "completed"]);
    assert!(t.is_idle());
}

#[test]
fn filled_with_an_amount_of_zero_is_a_number_left_out() {
    let mut t = opened();
    t.state(2, OrderState::Filled, Some(0));
    assert!(t.told().is_empty());
    t.trade(3, "1", 10);
    assert_eq!(t.told(), ["filled", "completed"]);
}

#[test]
fn s11_isolated_misses_do_not_add_up() {
    let mut t = opened();
    for round in 0..10 {
        t.not_found(at(10_000 + 4_000 * round), &id(), VISIBILITY);
        t.state(12_000 + 4_000 * round, OrderState::Open, Some(0));
    }
    assert!(t.told().is_empty());
    assert_eq!(current(&t), OrderState::Open);
}

// Placement.

#[test]
fn refused_placement_fails_once() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::InsufficientBalance, Effect::Rejected));
    t.place_failed(at(2), &id(), &error(Cause::InsufficientBalance, Effect::Rejected));
    t.state(3, OrderState::Failed, None);
    let events = t.take_events();
    assert_eq!(names(&events), ["failed"]);
    let Event::OrderFailed(failed) = &events[0] else { panic!() };
    assert_eq!((failed.error.venue.as_str(), failed.error.cause), ("spot-test", Cause::InsufficientBalance));
    assert!(t.is_idle());
}

#[test]
fn post_only_refused_after_the_ack_fails_once() {
    let mut t = opened();
    t.state(2, OrderState::Failed, Some(0));
    t.state(3, OrderState::Open, Some(0));
    t.state(4, OrderState::Failed, Some(0));
    assert_eq!(t.told(), ["failed"]);
    assert!(t.is_idle());
}

#[test]
fn unknown_outcome_is_not_a_failure() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::Timeout, Effect::Unknown));
    assert_eq!(t.told(), ["unknown"]);
    assert_eq!(t.wants(at(101)), [Want::QueryOrder(id())]);
    // A repetition that is refused says nothing about the first attempt.
    t.place_failed(at(102), &id(), &error(Cause::InsufficientBalance, Effect::Rejected));
    t.place_failed(at(103), &id(), &error(Cause::Network, Effect::NotSent));
    assert_eq!(current(&t), OrderState::Unknown);
    t.state(150, OrderState::Open, Some(0));
    assert_eq!(t.told(), ["created"]);
    assert!(t.deadline().is_none());
}

#[test]
fn never_accepted_needs_both_proofs_after_the_window() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::Timeout, Effect::Unknown));
    t.open_orders_snapshot(at(100), None, &[], at(99).mono);
    t.not_found(at(1_000), &id(), VISIBILITY);
    assert_eq!(t.told(), ["unknown"]);
    // Asked within the window, answered after it: does not count.
    assert_eq!(t.wants(at(4_999)), [Want::QueryOrder(id())]);
    t.not_found(at(5_001), &id(), VISIBILITY);
    assert!(!t.wants(at(5_300)).contains(&Want::OpenOrders(pair())));
    t.not_found(at(5_301), &id(), VISIBILITY);
    assert!(t.told().is_empty());
    let wants = t.wants(at(12_000));
    assert_eq!(wants, [Want::QueryOrder(id()), Want::OpenOrders(pair())]);
    t.open_orders_snapshot(at(12_010), Some(&pair()), &[], at(12_000).mono);
    let events = t.take_events();
    assert_eq!(names(&events), ["failed"]);
    let Event::OrderFailed(failed) = &events[0] else { panic!() };
    assert_eq!(failed.error.effect, Effect::Rejected);
    assert!(t.is_idle());
}

/// However far apart the questions are by then, one comes when its answer counts, and the other source is asked at once.
#[test]
fn absence_is_known_as_soon_as_it_can_be() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::Network, Effect::Unknown));
    assert_eq!(t.told(), ["unknown"]);
    let visible = u64::try_from(VISIBILITY.as_millis()).unwrap();
    let mut told = Vec::new();
    for _ in 0..20 {
        let due = t.deadline().unwrap().0.div_ceil(1_000_000);
        for want in t.wants(at(due)) {
            match want {
                Want::QueryOrder(id) => t.not_found(at(due + 5), &id, VISIBILITY),
                Want::OpenOrders(pair) => t.open_orders_snapshot(at(due + 5), Some(&pair), &[], at(due).mono),
                other => panic!("{other:?}"),
            }
        }
        told = t.told();
        if !told.is_empty() {
            assert!((visible..visible + 50).contains(&due), "at {due} ms");
            break;
        }
    }
    assert_eq!(told, ["failed"]);
}

#[test]
fn an_anonymous_open_order_proves_no_absence() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::Timeout, Effect::Unknown));
    t.not_found(at(6_000), &id(), VISIBILITY);
    let anonymous = OrderReport { client_order_id: None, ..report(OrderState::Open, None) };
    t.open_orders_snapshot(at(6_010), None, &[anonymous], at(6_005).mono);
    assert_eq!(t.told(), ["unknown"]);
    assert_eq!(current(&t), OrderState::Unknown);
}

#[test]
fn a_refusal_of_an_order_seen_live_is_checked() {
    let mut t = placed();
    t.state(1, OrderState::Open, Some(0));
    t.place_failed(at(2), &id(), &error(Cause::WouldTake, Effect::Rejected));
    assert_eq!(t.told(), ["created"]);
    assert_eq!(t.wants(at(2)), [Want::QueryOrder(id())]);
}

#[test]
fn an_id_in_use_is_our_own_earlier_copy() {
    let mut t = placed();
    t.place_failed(at(2), &id(), &error(Cause::DuplicateOrderId, Effect::Rejected));
    assert_eq!(t.told(), ["unknown"]);
}

#[test]
fn an_order_reported_failed_that_lives_is_removed() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::TradingRule, Effect::Rejected));
    t.state(2, OrderState::Open, Some(0));
    t.state(3, OrderState::Open, Some(0));
    assert_eq!(t.told(), ["failed", "problem"]);
    assert_eq!(t.wants(at(102)), [Want::CancelNow(id())]);
    t.cancel_failed(at(103), &id(), &error(Cause::Timeout, Effect::Unknown));
    assert_eq!(t.wants(at(1_000)), [Want::CancelNow(id())]);
    t.state(1_010, OrderState::Cancelled, Some(0));
    assert!(t.told().is_empty());
    assert!(t.is_idle());
}

#[test]
fn gone_orders_end_on_three_kinds_of_evidence() {
    let mut t = opened();
    t.open_orders_snapshot(at(20_000), None, &[], at(19_990).mono);
    assert_eq!(t.wants(at(20_000)), [Want::QueryOrder(id())]);
    // A miss counts from when it was asked for, so the second of these is too close to the first.
    for round in 0..4 {
        t.not_found(at(20_500 + 2_000 * round), &id(), VISIBILITY);
        let _ = t.wants(at(20_600 + 2_000 * round));
    }
    assert_eq!(t.told(), ["unknown"]);
    t.fills_fetched(at(28_000), &id(), at(27_900).mono);
    let events = t.take_events();
    assert_eq!(names(&events), ["cancelled"]);
    let Event::OrderCancelled(cancelled) = &events[0] else { panic!() };
    assert!(!cancelled.requested && cancelled.reason.as_ref().unwrap().starts_with("gone"));
    assert!(t.is_idle());
}

#[test]
fn a_fill_of_an_order_reported_failed_is_told() {
    let mut t = placed();
    t.place_failed(at(1), &id(), &error(Cause::TradingRule, Effect::Rejected));
    t.trade(2, "1", 4);
    t.trade(2, "2", 4);
    assert_eq!(t.told(), ["failed", "late", "problem", "late"]);
    assert_eq!(t.wants(at(102)), [Want::QueryOrder(id())]);
    t.not_found(at(103), &id(), VISIBILITY);
    assert!(t.is_idle());
}

// Cancelling.

#[test]
fn cancel_waits_for_the_ack_and_is_sent_once() {
    let mut t = placed();
    assert_eq!(t.cancel_requested(at(1), &id()), CancelStep::WaitForAck);
    assert_eq!(t.wants(at(1)), []);
    t.acknowledged(at(2), &id(), &report(OrderState::Open, None));
    assert_eq!(t.wants(at(2)), [Want::CancelNow(id())]);
    assert_eq!(t.cancel_requested(at(3), &id()), CancelStep::InFlight);
    t.cancel_accepted(at(4), &id());
    assert_eq!(current(&t), OrderState::PendingCancel);
    assert_eq!(t.cancel_requested(at(4), &id()), CancelStep::InFlight);
    t.state(5, OrderState::Cancelled, Some(0));
    assert_eq!(t.cancel_requested(at(6), &id()), CancelStep::AlreadyDone);
    let events = t.take_events();
    assert_eq!(names(&events), ["created", "cancelled"]);
    assert!(matches!(&events[1], Event::OrderCancelled(e) if e.requested));
    assert_eq!(t.cancel_requested(at(6), &ClientOrderId::new("c2")), CancelStep::Unknown);
}

#[test]
fn cancel_wanted_before_an_unknown_outcome_is_sent_when_it_resolves() {
    let mut t = placed();
    t.cancel_requested(at(1), &id());
    t.place_failed(at(2), &id(), &error(Cause::Timeout, Effect::Unknown));
    assert_eq!(t.wants(at(102)), [Want::QueryOrder(id())]);
    t.state(103, OrderState::Open, Some(0));
    assert_eq!(t.wants(at(103)), [Want::CancelNow(id())]);
}

#[test]
fn cancel_not_found_is_looked_at_and_repeated_a_bounded_number_of_times() {
    let mut t = opened();
    assert_eq!(t.cancel_requested(at(2), &id()), CancelStep::Send);
    let (mut cancels, mut millis) = (1, 2);
    loop {
        t.cancel_failed(at(millis), &id(), &error(Cause::OrderNotFound, Effect::Rejected));
        assert_eq!(t.wants(at(millis)), [Want::QueryOrder(id())]);
        t.state(millis + 1, OrderState::Open, Some(0));
        millis += 10_000;
        if t.wants(at(millis)) != [Want::CancelNow(id())] {
            break;
        }
        cancels += 1;
    }
    assert_eq!(cancels, 5);
    assert_eq!(t.told(), ["refused"]);
    assert_eq!(current(&t), OrderState::Open);
    assert_eq!(t.cancel_requested(at(millis), &id()), CancelStep::Send);
}

#[test]
fn refused_cancel_is_told_only_if_the_order_lives() {
    let mut t = opened();
    t.cancel_requested(at(2), &id());
    t.cancel_failed(at(3), &id(), &error(Cause::Other, Effect::Rejected));
    t.trade(4, "1", 10);
    assert_eq!(t.told(), ["filled", "completed"]);

    let mut t = opened();
    t.cancel_requested(at(2), &id());
    t.cancel_failed(at(3), &id(), &error(Cause::Other, Effect::Rejected));
    t.state(4, OrderState::Open, Some(0));
    assert_eq!(t.told(), ["refused"]);
    assert!(t.is_idle() || t.deadline().is_none());
}

#[test]
fn cancel_that_never_left_is_sent_again() {
    let mut t = opened();
    t.cancel_requested(at(2), &id());
    t.cancel_failed(at(3), &id(), &error(Cause::RateLimited, Effect::NotSent));
    assert_eq!(t.wants(at(1_000)), [Want::CancelNow(id())]);
}

#[test]
fn accepted_cancel_without_effect_is_queried_and_repeated() {
    let mut t = opened();
    t.cancel_requested(at(2), &id());
    t.cancel_accepted(at(3), &id());
    assert_eq!(t.wants(at(1_003)), [Want::QueryOrder(id())]);
    t.state(1_004, OrderState::Open, Some(0));
    assert_eq!(current(&t), OrderState::PendingCancel);
    t.state(6_000, OrderState::Open, Some(0));
    assert!(t.wants(at(6_000)).contains(&Want::CancelNow(id())));
}

#[test]
fn cancelled_without_an_amount_waits_for_a_number() {
    let mut t = opened();
    t.state(2, OrderState::Cancelled, None);
    assert!(t.told().is_empty());
    assert_eq!(t.wants(at(102)), [Want::QueryOrder(id())]);
    t.state(110, OrderState::Cancelled, Some(4));
    t.trade(111, "1", 4);
    assert_eq!(t.told(), ["filled", "cancelled"]);

    // Where the query tells no number either, the complete list of fills does.
    let mut t = opened();
    t.state(2, OrderState::Cancelled, None);
    let _ = t.wants(at(102));
    assert_eq!(t.wants(at(302)), [Want::FetchFills(id())]);
    t.fills_fetched(at(310), &id(), at(302).mono);
    assert_eq!(t.told(), ["cancelled"]);
}

// Ledger, identity, bounds.

#[test]
fn a_repeated_trade_only_adds_its_fee() {
    let mut t = opened();
    let bare = Fill { fee: None, ..fill("1", 4) };
    t.apply(at(2), &Message::Fill(bare));
    assert!(t.get(&id()).unwrap().fees().is_empty());
    t.trade(3, "1", 4);
    t.trade(4, "1", 4);
    assert_eq!(t.told(), ["filled"]);
    let order = t.get(&id()).unwrap();
    assert_eq!((order.executed().base, order.fees()[&"BTC".into()]), (dec(4), Decimal::new(1, 3)));
}

#[test]
fn a_fee_that_is_not_told_is_estimated_until_it_is() {
    let mut t = opened();
    let (maker, taker) = (Decimal::new(1, 3), Decimal::new(2, 3));
    t.set_fees(pair(), FeeSchedule { maker, taker, from_received: true, ..FeeSchedule::default() });
    let bare = Fill { fee: None, ..fill("1", 4) };
    t.apply(at(2), &Message::Fill(bare.clone()));
    t.apply(at(3), &Message::Fill(bare));
    t.apply(at(4), &Message::Fill(Fill { fee: None, maker: None, ..fill("2", 1) }));
    let events = t.take_events();
    let fees: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::OrderFilled(fill) => (fill.fee.clone().unwrap().amount, fill.fee_estimated),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(fees, [(Decimal::new(4, 4), true), (Decimal::new(2, 4), true)]);
    assert_eq!(t.get(&id()).unwrap().fees()[&"BTC".into()], Decimal::new(6, 4));
    // The venue's word replaces the estimate, even in another asset, and once.
    let fee = Some(Fee { asset: "BNB".into(), amount: dec(3) });
    let told = Fill { fee: fee.clone(), ..fill("1", 4) };
    t.apply(at(5), &Message::Fill(told.clone()));
    t.apply(at(6), &Message::Fill(told));
    let events = t.take_events();
    let [Event::OrderFeeKnown(known)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((known.trade_id.as_str(), Some(&known.fee)), ("1", fee.as_ref()));
    let order = t.get(&id()).unwrap();
    let expected = [("BNB".into(), dec(3)), ("BTC".into(), Decimal::new(2, 4))];
    assert_eq!(order.fees().clone(), expected.into_iter().collect());
    assert_eq!(order.executed().base, dec(5));
}

#[test]
fn over_fill_is_booked_and_told() {
    let mut t = opened();
    t.trade(2, "1", 6);
    t.trade(3, "2", 6);
    assert_eq!(t.told(), ["filled", "filled", "problem", "completed"]);
    assert_eq!(t.get(&id()).unwrap().executed().base, dec(12));
}

#[test]
fn unmatched_fills_are_kept_until_the_id_is_known() {
    let mut t = placed();
    let nameless = Fill { client_order_id: None, ..fill("1", 4) };
    assert_eq!(t.apply(at(1), &Message::Fill(nameless.clone())), Applied::Kept);
    let other: Pair = "ETH-USDT".parse().unwrap();
    let elsewhere = Fill { market: Market::Pair(other), ..nameless.clone() };
    assert_eq!(t.apply(at(1), &Message::Fill(elsewhere)), Applied::Kept);
    t.acknowledged(at(2), &id(), &report(OrderState::Open, None));
    assert_eq!(t.told(), ["created", "filled"]);
    // Nothing can be waiting for an id any more.
    let stranger = Fill { exchange_order_id: Some("x9".into()), ..nameless };
    assert_eq!(t.apply(at(3), &Message::Fill(stranger)), Applied::Foreign);
}

#[test]
fn foreign_orders_are_not_tracked() {
    let mut t = opened();
    let foreign = OrderReport {
        client_order_id: Some("theirs".into()),
        exchange_order_id: Some("x9".into()),
        ..report(OrderState::Open, None)
    };
    assert_eq!(t.apply(at(2), &Message::Order(foreign)), Applied::Foreign);
    assert_eq!(t.open_orders().count(), 1);
}

#[test]
fn replaced_ids_find_the_order() {
    let mut t = opened();
    let replaced = OrderReport { exchange_order_id: Some("x2".into()), ..report(OrderState::Open, None) };
    t.apply(at(2), &Message::Order(replaced));
    for (trade, exchange) in [("1", "x1"), ("2", "x2")] {
        let fill = Fill { client_order_id: None, exchange_order_id: Some(exchange.into()), ..fill(trade, 5) };
        assert_eq!(t.apply(at(3), &Message::Fill(fill)), Applied::Order(id()));
    }
    assert_eq!(t.told(), ["filled", "filled", "completed"]);
    assert_eq!(t.by_exchange_id(&pair(), &"x1".into()).unwrap().exchange_order_id(), Some(&"x2".into()));
}

#[test]
fn ended_orders_are_forgotten_and_bounds_hold() {
    let limits = TrackerLimits { open: 2, closed: 2, unmatched: 2, ..TrackerLimits::default() };
    let mut t = Tracker::new(limits);
    for n in 0..10 {
        let id = ClientOrderId::new(format!("c{n}"));
        t.submit(at(n), id.clone(), order()).unwrap();
        t.place_failed(at(n), &id, &error(Cause::Other, Effect::Rejected));
    }
    let kept =
        |t: &Tracker| (0..10).filter(|n| t.get(&ClientOrderId::new(format!("c{n}"))).is_some()).count();
    let _ = t.wants(at(20));
    assert!(kept(&t) <= 5, "within a second, twice as many and the one in hand");
    let _ = t.wants(at(1_020));
    assert_eq!(kept(&t), 2);
    let _ = t.wants(at(700_000));
    assert!(t.get(&"c9".into()).is_none() && t.is_idle());
    t.submit(at(1), "a".into(), order()).unwrap();
    assert!(t.submit(at(1), "a".into(), order()).is_err());
    t.submit(at(1), "b".into(), order()).unwrap();
    assert!(t.submit(at(1), "c".into(), order()).is_err());
}

#[test]
fn restored_orders_go_on_without_repeating_events() {
    let mut t = Tracker::new(TrackerLimits::default());
    t.restore(at(0), id(), order(), &["x1".into()], &[fill("1", 4)]).unwrap();
    t.restore(at(0), "c2".into(), order(), &[], &[]).unwrap();
    assert!(t.told().is_empty());
    assert_eq!(t.wants(at(0)), [Want::QueryOrder(id()), Want::QueryOrder("c2".into())]);
    assert_eq!(current(&t), OrderState::PartiallyFilled);
    t.trade(5, "1", 4);
    t.trade(6, "2", 6);
    assert_eq!(t.told(), ["filled", "completed"]);
    assert_eq!(t.get(&"c2".into()).unwrap().state(), OrderState::Unknown);
}

#[test]
fn missing_from_the_snapshot_is_queried_unless_younger() {
    let mut t = opened();
    t.submit(at(50), "c2".into(), order()).unwrap();
    t.sent(at(60), &"c2".into());
    let c2 = OrderReport {
        client_order_id: Some("c2".into()),
        exchange_order_id: Some("x2".into()),
        ..report(OrderState::Open, None)
    };
    t.acknowledged(at(70), &"c2".into(), &c2);
    t.open_orders_snapshot(at(80), None, &[], at(55).mono);
    assert_eq!(t.wants(at(80)), [Want::QueryOrder(id())]);
    t.open_orders_snapshot(at(90), None, &[report(OrderState::Open, None), c2], at(85).mono);
    assert!(t.deadline().is_none());
}
