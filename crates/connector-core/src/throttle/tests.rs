use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::dialect::{Scope, Source, Weight, Window};
use crate::time::UnixNanos;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// A whole minute, and far from zero.
const EPOCH: i64 = 1_795_000_020_000_000_000;

const fn pool(name: &'static str, limit: u32, window: Window) -> Pool {
    let source = Source { url: "", read: "" };
    Pool { name, limit, window, scope: Scope::Address, used_header: Some(name), source }
}

const MINUTE: Window = Window::Fixed(Duration::from_secs(60));
const TEN: Window = Window::Fixed(Duration::from_secs(10));
const ROLLING: Window = Window::Rolling(Duration::from_secs(5));

static POOLS: [Pool; 3] =
    [pool("weight", 600, MINUTE), pool("orders", 20, TEN), pool("rolling", 60, ROLLING)];

fn now(at: u64) -> Now {
    Now { mono: Mono(at), utc: UnixNanos(EPOCH + at as i64) }
}

fn throttler(pools: &'static [Pool]) -> Throttler {
    Throttler::new(pools, Settings::default()).unwrap()
}

fn charge(throttler: &Throttler, units: &[(&'static str, u32)]) -> Charges {
    let costs: Vec<_> =
        units.iter().map(|(pool, units)| Cost { pool, weight: Weight::Fixed(*units) }).collect();
    throttler.charges("test", &costs, |_| None).unwrap()
}

/// All decisions at one moment, warnings left out. Afterwards the throttler must not ask to be called at once.
fn decide(throttler: &mut Throttler, at: Now) -> Vec<Outcome> {
    let mut all = vec![];
    while let Some(outcome) = throttler.next(at) {
        if !matches!(outcome, Outcome::NearLimit(_)) {
            all.push(outcome);
        }
    }
    assert!(throttler.deadline().is_none_or(|wake| wake > at.mono), "would spin");
    all
}

fn admitted(throttler: &mut Throttler, at: u64) -> Vec<u64> {
    let ticket = |outcome| match outcome {
        Outcome::Admit(ticket) => Some(ticket),
        _ => None,
    };
    decide(throttler, now(at)).into_iter().filter_map(ticket).collect()
}

fn push(throttler: &mut Throttler, ticket: u64, lane: Lane, units: &[(&'static str, u32)], at: u64) {
    let charges = charge(throttler, units);
    throttler.enqueue(ticket, lane, charges, Mono(u64::MAX), now(at)).unwrap();
}

#[test]
fn wrong_declarations_are_told_at_start() {
    static TWICE: [Pool; 2] = [pool("a", 1, TEN), pool("a", 1, TEN)];
    static EMPTY: [Pool; 1] = [pool("a", 0, TEN)];
    for (pools, share) in [(&TWICE[..], 100), (&EMPTY[..], 100), (&POOLS[..], 0), (&POOLS[..], 101)] {
        let error = Throttler::new(pools, Settings { share, ..Settings::default() }).err().unwrap();
        assert_eq!((error.cause, error.effect), (Cause::Usage, Effect::NotSent));
    }
    let throttler = Throttler::new(&POOLS, Settings { share: 50, ..Settings::default() }).unwrap();
    let check = |pool, units| throttler.check("x", &[Cost { pool, weight: Weight::Fixed(units) }]);
    assert_eq!(check("nothing", 1).unwrap_err().cause, Cause::Usage);
    assert_eq!(check("orders", 11).unwrap_err().cause, Cause::RateLimited);
    assert_eq!(check("orders", 10), Ok(()));
}

#[test]
fn all_pools_are_taken_together_or_none() {
    let mut throttler = throttler(&POOLS);
    for ticket in 0..25 {
        push(&mut throttler, ticket, Lane::Create, &[("weight", 10), ("orders", 1)], 0);
    }
    assert_eq!(admitted(&mut throttler, 60 * MS).len(), 20);
    let used: Vec<_> = throttler.usage(now(60 * MS)).iter().map(|pool| pool.used).collect();
    assert_eq!(used, [200, 20, 0]);
    assert_eq!(throttler.deadline(), Some(Mono(10_050 * MS)));
    assert_eq!(admitted(&mut throttler, 10_050 * MS - 1), [0_u64; 0]);
    assert_eq!(admitted(&mut throttler, 10_050 * MS), [20, 21, 22, 23, 24]);
    assert_eq!(throttler.deadline(), None);
}

#[test]
fn requests_near_an_edge_count_on_both_sides() {
    let mut throttler = throttler(&POOLS);
    for ticket in 0..60 {
        push(&mut throttler, ticket, Lane::Create, &[("orders", 1)], 0);
    }
    // Sent half a second before the edge, they may arrive behind it.
    assert_eq!(admitted(&mut throttler, 9_500 * MS).len(), 20);
    assert_eq!(admitted(&mut throttler, 10_050 * MS).len(), 0);
    assert_eq!(throttler.deadline(), Some(Mono(20_050 * MS)));
    assert_eq!(admitted(&mut throttler, 20_049 * MS).len(), 0);
    assert_eq!(admitted(&mut throttler, 20_050 * MS).len(), 20);
}

#[test]
fn lanes_go_in_order_and_first_come_first_served() {
    let mut throttler = throttler(&POOLS);
    for (ticket, lane) in
        [(1, Lane::Poll), (2, Lane::Recover), (3, Lane::Create), (4, Lane::Cancel), (5, Lane::Create)]
    {
        push(&mut throttler, ticket, lane, &[("weight", 1)], 0);
    }
    assert_eq!(throttler.waiting(Lane::Create), 2);
    assert!(throttler.cancel(2) && !throttler.cancel(2));
    assert_eq!(admitted(&mut throttler, MS), [4, 3, 5, 1]);
}

#[test]
fn a_blocked_lane_holds_up_only_what_it_needs() {
    let mut throttler = throttler(&POOLS);
    for ticket in 0..21 {
        push(&mut throttler, ticket, Lane::Create, &[("weight", 1), ("orders", 1)], 0);
    }
    push(&mut throttler, 100, Lane::Poll, &[("weight", 100)], 0);
    let done = admitted(&mut throttler, 100 * MS);
    assert_eq!((done.len(), done.last()), (21, Some(&100)));
}

#[test]
fn a_heavy_request_is_not_starved_by_light_ones() {
    let mut throttler = throttler(&POOLS);
    let mut ticket = 0;
    let mut heavy_at = None;
    for step in 0..200 {
        let at = step * 100 * MS;
        if step == 60 {
            push(&mut throttler, 9_999, Lane::Recover, &[("rolling", 40)], at);
        }
        for _ in 0..5 {
            ticket += 1;
            push(&mut throttler, ticket, Lane::Poll, &[("rolling", 1)], at);
        }
        if admitted(&mut throttler, at).contains(&9_999) {
            heavy_at = Some(step);
        }
    }
    assert!(heavy_at.is_some_and(|step| step <= 60 + 52), "{heavy_at:?}");
}

#[test]
fn a_starving_lane_gets_a_turn_but_never_before_cancels() {
    let mut throttler = throttler(&POOLS);
    let mut first_poll = None;
    push(&mut throttler, 1, Lane::Poll, &[("rolling", 1)], 0);
    for at in 0..300 {
        for copy in 0..4 {
            push(&mut throttler, 1_000 + at * 4 + copy, Lane::Create, &[("rolling", 1)], at * 100 * MS);
        }
        if admitted(&mut throttler, at * 100 * MS).contains(&1) {
            first_poll.get_or_insert(at);
        }
    }
    // The window is full at first; after two seconds of waiting it is next.
    assert!(first_poll.is_some_and(|at| at <= 70), "{first_poll:?}");
    assert!(throttler.waiting(Lane::Create) > 100);

    for ticket in 1..100 {
        push(&mut throttler, ticket, Lane::Cancel, &[("rolling", 1)], 30 * SECOND);
    }
    push(&mut throttler, 999, Lane::Poll, &[("rolling", 1)], 30 * SECOND);
    let next = admitted(&mut throttler, 36 * SECOND);
    assert!(next.len() > 30 && next.iter().all(|ticket| *ticket < 100), "{next:?}");
}

#[test]
fn cancels_have_room_when_reads_have_used_theirs() {
    let mut throttler = throttler(&POOLS);
    for ticket in 0..1_000 {
        push(&mut throttler, ticket, Lane::Poll, &[("weight", 1)], 0);
    }
    assert_eq!(admitted(&mut throttler, SECOND).len(), 594);
    for ticket in 2_000..2_010 {
        push(&mut throttler, ticket, Lane::Cancel, &[("weight", 1)], SECOND);
    }
    assert_eq!(admitted(&mut throttler, SECOND), [2_000, 2_001, 2_002, 2_003, 2_004, 2_005]);
    assert_eq!(admitted(&mut throttler, 60_050 * MS)[..4], [2_006, 2_007, 2_008, 2_009]);
}

#[test]
fn orders_have_room_while_hundreds_of_snapshots_wait() {
    let mut throttler = throttler(&POOLS);
    for ticket in 0..400 {
        push(&mut throttler, ticket, Lane::Bulk, &[("weight", 5)], 0);
    }
    assert_eq!(admitted(&mut throttler, SECOND).len(), 540 / 5);
    push(&mut throttler, 1_000, Lane::Create, &[("weight", 1), ("orders", 1)], 30 * SECOND);
    push(&mut throttler, 1_001, Lane::Recover, &[("weight", 4)], 30 * SECOND);
    push(&mut throttler, 1_002, Lane::Poll, &[("weight", 2)], 30 * SECOND);
    assert_eq!(admitted(&mut throttler, 30 * SECOND), [1_000, 1_001, 1_002]);
    assert_eq!(admitted(&mut throttler, 60_050 * MS).len(), 540 / 5, "and they go on where they were");
}

#[test]
fn a_ban_lets_nothing_out_and_ends_alone() {
    let mut throttler = throttler(&POOLS);
    let weight = throttler.pool("weight").unwrap();
    push(&mut throttler, 1, Lane::Cancel, &[("weight", 1)], 0);
    push(&mut throttler, 2, Lane::Create, &[("orders", 1)], 0);
    throttler.close(weight, Mono(3 * SECOND));
    throttler.close(weight, Mono(2 * SECOND));
    assert_eq!(admitted(&mut throttler, 1), [2]);
    assert_eq!(throttler.deadline(), Some(Mono(3 * SECOND)));
    throttler.close_all(Mono(9 * SECOND));
    throttler.close_all(Mono(8 * SECOND));
    assert_eq!(admitted(&mut throttler, 4 * SECOND), [0_u64; 0]);
    assert!(!throttler.try_admit(Lane::Cancel, &Charges::default(), now(4 * SECOND)));
    assert_eq!(throttler.deadline(), Some(Mono(9 * SECOND)));
    assert!(throttler.usage(now(4 * SECOND)).iter().all(|pool| pool.closed_until == Some(Mono(9 * SECOND))));
    assert_eq!(admitted(&mut throttler, 9 * SECOND), [1]);
    assert_eq!(throttler.usage(now(9 * SECOND))[0].closed_until, None);
}

#[test]
fn waiting_ends_at_the_deadline_and_the_queue_is_bounded() {
    let mut throttler = Throttler::new(&POOLS, Settings { queue_limit: 2, ..Settings::default() }).unwrap();
    let order = charge(&throttler, &[("orders", 20)]);
    for (ticket, deadline) in [(1, 9), (2, 5)] {
        throttler.enqueue(ticket, Lane::Create, order, Mono(deadline * SECOND), now(0)).unwrap();
    }
    assert_eq!(throttler.enqueue(3, Lane::Create, order, Mono(1), now(0)), Err(Shed::QueueFull));
    assert_eq!(throttler.enqueue(3, Lane::Poll, order, Mono(SECOND), now(0)), Ok(()));
    assert_eq!(admitted(&mut throttler, 60 * MS), [1]);
    assert_eq!(throttler.deadline(), Some(Mono(SECOND)));
    assert_eq!(decide(&mut throttler, now(SECOND)), [Outcome::Shed(3, Shed::Deadline)]);
    assert_eq!(decide(&mut throttler, now(5 * SECOND)), [Outcome::Shed(2, Shed::Deadline)]);
    let error = Shed::Deadline.error("place");
    assert_eq!((error.cause, error.effect), (Cause::RateLimited, Effect::NotSent));

    throttler.enqueue(4, Lane::Create, order, Mono(u64::MAX), now(6 * SECOND)).unwrap();
    throttler.set_limit(throttler.pool("orders").unwrap(), 19);
    assert_eq!(decide(&mut throttler, now(6 * SECOND)), [Outcome::Shed(4, Shed::TooHeavy)]);
    assert_eq!(throttler.enqueue(4, Lane::Create, order, Mono(9), now(0)), Err(Shed::TooHeavy));
}

#[test]
fn the_venues_count_raises_ours_if_it_is_of_this_window() {
    let mut throttler = throttler(&POOLS);
    let header = |value: &'static str| move |name: &str| (name == "weight").then_some(value);
    let used = |throttler: &mut Throttler, at| throttler.usage(now(at))[0].used;
    throttler.observe_headers(header("500"), now(SECOND), now(2 * SECOND));
    assert_eq!(used(&mut throttler, 2 * SECOND), 500);
    throttler.observe_headers(header("100"), now(SECOND), now(2 * SECOND));
    throttler.observe_headers(header("x"), now(SECOND), now(2 * SECOND));
    assert_eq!(used(&mut throttler, 2 * SECOND), 500);
    throttler.observe_headers(header("590"), now(59 * SECOND), now(61 * SECOND));
    assert_eq!(used(&mut throttler, 61 * SECOND), 0);

    let rolling = throttler.pool("rolling").unwrap();
    throttler.observe_used(rolling, 60, now(61 * SECOND), now(62 * SECOND));
    let one = charge(&throttler, &[("rolling", 1)]);
    assert!(!throttler.try_admit(Lane::Poll, &one, now(66 * SECOND)));
    assert!(throttler.try_admit(Lane::Poll, &one, now(67_050 * MS)));
}

#[test]
fn what_the_venue_gives_back_can_be_used_again_in_the_same_window_only() {
    let mut throttler = throttler(&POOLS);
    let (orders, rolling) = (throttler.pool("orders").unwrap(), throttler.pool("rolling").unwrap());
    let charges = charge(&throttler, &[("orders", 20), ("rolling", 60)]);
    assert!(throttler.try_admit(Lane::Create, &charges, now(SECOND)));
    throttler.refund(orders, 5, now(SECOND), now(2 * SECOND));
    throttler.refund(rolling, 5, now(SECOND), now(2 * SECOND));
    let used = |throttler: &mut Throttler, at| {
        throttler.usage(now(at)).iter().map(|pool| pool.used).collect::<Vec<_>>()
    };
    assert_eq!(used(&mut throttler, 2 * SECOND), [0, 15, 55]);
    assert!(throttler.try_admit(
        Lane::Create,
        &charge(&throttler, &[("orders", 3), ("rolling", 3)]),
        now(11 * SECOND)
    ));
    throttler.refund(orders, 3, now(SECOND), now(12 * SECOND));
    throttler.refund(rolling, 3, now(SECOND), now(12 * SECOND));
    assert_eq!(used(&mut throttler, 12 * SECOND), [0, 3, 3]);
}

#[test]
fn near_the_limit_is_told_once_per_window() {
    let mut throttler = throttler(&POOLS);
    let charges = charge(&throttler, &[("orders", 16)]);
    for at in [SECOND, 11 * SECOND] {
        assert!(throttler.try_admit(Lane::Create, &charges, now(at)));
        let near = PoolUsage { name: "orders", used: 16, limit: 20, closed_until: None };
        assert_eq!(throttler.next(now(at)), Some(Outcome::NearLimit(near)));
        assert!(throttler.try_admit(Lane::Create, &charge(&throttler, &[("orders", 1)]), now(at)));
        assert_eq!(throttler.next(now(at + SECOND)), None);
    }
}

#[test]
fn a_corrected_clock_does_not_give_the_budget_twice() {
    let mut throttler = throttler(&POOLS);
    let all = charge(&throttler, &[("orders", 20)]);
    // The machine's clock is 7 s ahead: what it takes for the start of a window is in the midst of the venue's.
    assert!(throttler.try_admit(Lane::Create, &all, now(11 * SECOND)));
    throttler.set_clock(EPOCH - 7 * SECOND as i64, now(12 * SECOND));
    assert!(!throttler.try_admit(Lane::Create, &all, now(16 * SECOND)));
    assert!(throttler.try_admit(Lane::Create, &all, now(17_050 * MS)));
    // A correction within the guard changes nothing.
    throttler.set_clock(EPOCH - 7 * SECOND as i64 + 20_000_000, now(18 * SECOND));
    assert_eq!(throttler.usage(now(18 * SECOND))[1].used, 20);
}

#[test]
fn a_decaying_counter_lets_out_what_has_come_back() {
    const DECAY: Window = Window::Decay { units: 1, every: Duration::from_secs(3) };
    static POOLS: [Pool; 1] = [pool("counter", 20, DECAY)];
    let mut throttler = throttler(&POOLS);
    for ticket in 0..30 {
        push(&mut throttler, ticket, Lane::Poll, &[("counter", 1)], 0);
    }
    // One step of the limit is left for the venue's clock, and a little for requests that catch up with each other.
    assert_eq!(admitted(&mut throttler, 0).len(), 18);
    assert_eq!(admitted(&mut throttler, SECOND).len(), 1);
    assert_eq!(admitted(&mut throttler, 2 * SECOND).len(), 0);
    assert_eq!(admitted(&mut throttler, 4 * SECOND).len(), 1);
    assert_eq!(admitted(&mut throttler, 10 * SECOND).len(), 2);
    let wake = throttler.deadline().unwrap();
    assert!(wake.0 > 12 * SECOND && wake.0 < 12 * SECOND + 100 * MS, "{wake:?}");
}

#[test]
fn concurrent_requests_make_room_by_being_answered() {
    static POOLS: [Pool; 2] = [pool("under_way", 2, Window::Concurrent), pool("orders", 20, TEN)];
    let mut throttler = throttler(&POOLS);
    for ticket in 0..5 {
        push(&mut throttler, ticket, Lane::Poll, &[("under_way", 1), ("orders", 1)], 0);
    }
    assert_eq!(admitted(&mut throttler, MS), [0, 1]);
    assert_eq!(admitted(&mut throttler, SECOND), [0; 0]);
    let answered = charge(&throttler, &[("under_way", 1), ("orders", 1)]);
    throttler.release(&answered);
    assert_eq!(admitted(&mut throttler, SECOND), [2]);
    assert_eq!(throttler.usage(now(SECOND))[1].used, 3, "an answer gives back places only");
    throttler.release(&answered);
    throttler.release(&answered);
    assert_eq!(admitted(&mut throttler, SECOND), [3, 4]);
}

#[test]
fn ten_thousand_at_once_cost_one_decision_each() {
    let settings = Settings { queue_limit: 10_000, ..Settings::default() };
    let mut throttler = Throttler::new(&POOLS, settings).unwrap();
    for ticket in 0..10_000 {
        push(&mut throttler, ticket, Lane::Poll, &[("weight", 1 + (ticket % 3) as u32)], 0);
    }
    let (mut at, mut order, mut wakes) = (60 * MS, vec![], 0);
    loop {
        order.extend(admitted(&mut throttler, at));
        wakes += 1;
        let Some(wake) = throttler.deadline() else { break };
        at = wake.0;
    }
    assert!(order.iter().copied().eq(0..10_000), "first come, first served");
    assert!(wakes < 200, "{wakes} wakes for {} s", at / SECOND);
}

/// What the venue counts: units by the time they arrive.
#[derive(Default)]
struct Venue(BTreeMap<(usize, i64), u32>);

impl Venue {
    fn arrive(&mut self, charges: &Charges, at: i64) {
        for (pool, units) in charges.0.iter().enumerate().filter(|(_, units)| **units > 0) {
            *self.0.entry((pool, at)).or_default() += units;
        }
    }

    /// Most units in any window of a pool.
    /// Fixed windows survive a long way, rolling ones a short one: each is judged by its own.
    fn count(&mut self, charges: &Charges, sent: i64, way: u64, rolling_way: u64) {
        let mut fixed = *charges;
        fixed.0[2] = 0;
        let mut rolling = Charges::default();
        rolling.0[2] = charges.0[2];
        self.arrive(&fixed, sent + way as i64);
        self.arrive(&rolling, sent + rolling_way as i64);
    }

    fn peak(&self, pool: usize, window: Window) -> u32 {
        let arrivals: Vec<_> =
            self.0.range((pool, i64::MIN)..=(pool, i64::MAX)).map(|((_, at), units)| (*at, *units)).collect();
        let period = window.period().as_nanos() as i64;
        let mut peak = 0;
        match window {
            Window::Fixed(_) => {
                let mut sums = BTreeMap::<i64, u32>::new();
                for (at, units) in arrivals {
                    let sum = sums.entry(at.div_euclid(period)).or_default();
                    *sum += units;
                    peak = peak.max(*sum);
                }
            }
            Window::Rolling(_) => {
                let (mut sum, mut oldest) = (0, 0);
                for (at, units) in &arrivals {
                    sum += units;
                    while arrivals[oldest].0 <= at - period {
                        sum -= arrivals[oldest].1;
                        oldest += 1;
                    }
                    peak = peak.max(sum);
                }
            }
            // These are judged against their own models, beside their counter and below.
            Window::Bucket { .. } | Window::Decay { .. } | Window::Concurrent => unreachable!(),
        }
        peak
    }
}

/// Units admitted by each pool's window, saturated by one lane for `windows` of its windows.
fn saturate(name: &'static str, lane: Lane, windows: u64) -> (u32, u32) {
    let mut throttler = throttler(&POOLS);
    let position = usize::from(throttler.pool(name).unwrap().0);
    let pool = &POOLS[position];
    let end = pool.window.period().as_nanos() as u64 * windows;
    let (mut at, mut ticket, mut units) = (0, 0, 0);
    while at < end {
        while throttler.waiting(lane) < 50 {
            ticket += 1;
            push(&mut throttler, ticket, lane, &[(name, 1)], at);
        }
        let now = admitted(&mut throttler, at).len() as u32;
        units += now;
        if now == 0 {
            at = throttler.deadline().unwrap().0;
        }
    }
    (units, pool.limit * windows as u32)
}

#[test]
fn saturated_pools_are_used_to_the_last_percent() {
    for name in ["weight", "orders", "rolling"] {
        for lane in [Lane::Cancel, Lane::Poll] {
            let (units, budget) = saturate(name, lane, 100);
            assert!(units <= budget + 60, "{name}: {units} of {budget}");
            assert!(units >= budget / 100 * 99, "{name}, {lane:?}: {units} of {budget}");
        }
    }
}

#[derive(Clone, Debug)]
struct Arrival {
    pause: u64,
    lane: Lane,
    units: [u32; 3],
    /// How far the venue's clock estimate is off, in thousandths of the guard, and the request's way, likewise.
    clock: i64,
    way: u64,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let lane = prop_oneof![
        Just(Lane::Cancel),
        Just(Lane::Create),
        Just(Lane::Recover),
        Just(Lane::Bulk),
        Just(Lane::Poll)
    ];
    let pause = prop_oneof![5 => Just(0), 3 => 0..500 * MS, 1 => 0..15 * SECOND];
    let units = [0_u32..120, 0..3, 0..12].prop_map(|[weight, orders, rolling]| [weight, orders, rolling]);
    let one = (pause, lane, units, -1000_i64..=1000, 0_u64..=1000)
        .prop_map(|(pause, lane, units, clock, way)| Arrival { pause, lane, units, clock, way });
    prop::collection::vec(one, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever arrives when, however the clock is off and the way long, within the guard the venue never counts too much;
    /// everything is admitted in the end; and nothing that shares a pool overtakes a cancel.
    #[test]
    fn the_venue_never_counts_more_than_its_limits(arrivals in arrivals(), share in 40_u8..=100) {
        let settings = Settings { share, ..Settings::default() };
        let mut throttler = Throttler::new(&POOLS, settings).unwrap();
        // The venue is 3.21 s ahead of the machine.
        let truth = EPOCH + 3_210_000_000;
        let (early, jitter) = (settings.guard.early.as_nanos() as i64, ROLLING.period().as_nanos() as u64 / 256);
        let mut venue = Venue::default();
        let mut waiting: BTreeMap<u64, (Lane, Charges, u64)> = BTreeMap::new();
        let mut cancels_ahead = BTreeMap::new();
        let (mut at, mut coming) = (0, arrivals.iter().enumerate().peekable());
        let mut next_arrival = arrivals[0].pause;
        let (mut way, mut pools_way) = (0, 0);
        loop {
            while let Some((ticket, arrival)) = coming.next_if(|_| next_arrival <= at) {
                throttler.set_clock(truth + arrival.clock * early / 1000, now(at));
                (way, pools_way) = (arrival.way * SECOND / 1000, arrival.way * jitter / 1000);
                let units = POOLS.iter().zip(arrival.units).map(|(pool, units)| (pool.name, units.min(share_of(pool, share))));
                let charges = charge(&throttler, &units.collect::<Vec<_>>());
                next_arrival = at + coming.peek().map_or(0, |(_, next)| next.pause);
                // Every other one tries to go straight through.
                if ticket % 2 == 0 && throttler.try_admit(arrival.lane, &charges, now(at)) {
                    prop_assert!(waiting.is_empty(), "{ticket} overtook what waits");
                    venue.count(&charges, truth + at as i64, way, pools_way);
                    continue;
                }
                throttler.enqueue(ticket as u64, arrival.lane, charges, Mono(u64::MAX), now(at)).unwrap();
                waiting.insert(ticket as u64, (arrival.lane, charges, at));
                let mut ahead = Charges::default();
                waiting.values().filter(|(lane, ..)| *lane == Lane::Cancel).for_each(|(_, cancel, _)| ahead.add(cancel));
                cancels_ahead.insert(ticket as u64, ahead);
            }
            for outcome in decide(&mut throttler, now(at)) {
                let Outcome::Admit(ticket) = outcome else { panic!("{outcome:?}") };
                let (lane, charges, since) = waiting.remove(&ticket).unwrap();
                let before = waiting.iter().find(|(other, (first, ..))| *first == lane && **other < ticket);
                prop_assert!(before.is_none(), "{ticket} overtook {before:?}");
                if lane == Lane::Cancel {
                    // It waits for the cancels before it, and for what was used when it came; for nothing else.
                    let bound: u64 = (0..3).map(|pool| {
                        let ahead = cancels_ahead[&ticket].on(PoolId(pool as u8));
                        let windows = ahead / (share_of(&POOLS[pool], share) / 2).max(1) + 2;
                        u64::from(windows) * (POOLS[pool].window.period().as_nanos() as u64 + SECOND)
                    }).sum();
                    prop_assert!(at - since <= bound, "{} s of {} s", (at - since) / SECOND, bound / SECOND);
                } else {
                    let room = |(_, cancel, _): &&(Lane, Charges, u64)| {
                        (0..3).any(|pool| {
                            let pool = PoolId(pool);
                            // Sharing a pool is fine while it still has room for the cancel.
                            charges.on(pool) > 0 && cancel.on(pool) > 0
                                && throttler.pools[usize::from(pool.0)].used() + cancel.on(pool)
                                    > throttler.pools[usize::from(pool.0)].capacity
                        })
                    };
                    let first = waiting.values().find(|(lane, ..)| *lane == Lane::Cancel);
                    prop_assert!(first.is_none_or(|cancel| !room(&cancel)), "{ticket} took a cancel's room");
                }
                venue.count(&charges, truth + at as i64, way, pools_way);
            }
            let wake = throttler.deadline().map(|wake| wake.0);
            let arrival = coming.peek().map(|_| next_arrival);
            let Some(next) = wake.into_iter().chain(arrival).min() else { break };
            at = next.max(at);
        }
        prop_assert!(waiting.is_empty(), "{} are left", waiting.len());
        for (position, pool) in POOLS.iter().enumerate() {
            let (peak, limit) = (venue.peak(position, pool.window), share_of(pool, share));
            prop_assert!(peak <= limit, "{}: {peak} of {limit}", pool.name);
        }
    }
}

fn share_of(pool: &Pool, share: u8) -> u32 {
    pool.limit * u32::from(share) / 100
}
