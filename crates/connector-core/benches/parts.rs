//! The parts of the hot paths, each alone: for whoever changes one of them. What users see is measured by `cargo xtask bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::time::Duration;

use connector_core::book::Ladder;
use connector_core::dialect::{Cost, Pool, Scope, Source, Window};
use connector_core::message::{Fill, Level, Market, Message, OrderReport};
use connector_core::order::{NewOrder, OrderState, OrderType, Side, Tracker, TrackerLimits};
use connector_core::scan::Scan;
use connector_core::throttle::{Lane, Settings, Throttler};
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::{ClientOrderId, Decimal, ExchangeOrderId, Pair, TradeId};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn level(ticks: i64, lots: i64) -> Level {
    Level { price: Decimal::new(ticks * 1_000_000, 8), amount: Decimal::new(lots * 1_000, 8) }
}

fn at(nanos: u64) -> Now {
    Now { mono: Mono(nanos), utc: UnixNanos(1_790_000_000_000_000_000 + i64::try_from(nanos).unwrap()) }
}

fn ladder(criterion: &mut Criterion) {
    let mut ladder = Ladder::new(Side::Buy);
    let all: Vec<Level> = (0..1_000).map(|i| level(6_183_763 - 3 * i, 150_000)).collect();
    ladder.set_all(&all).unwrap();
    let (mut other, mut turn) = ([level(6_183_463, 7), level(6_183_463, 0)].into_iter().cycle(), 0);
    criterion.bench_function("ladder/set_and_remove", |bencher| {
        bencher.iter(|| ladder.set(black_box(&other.next().unwrap())));
    });
    criterion.bench_function("ladder/best_moves", |bencher| {
        bencher.iter(|| {
            turn += 1;
            ladder.set(black_box(&level(6_183_766, turn % 2))).unwrap();
            ladder.best()
        });
    });
    criterion.bench_function("ladder/twenty_best", |bencher| {
        bencher.iter(|| ladder.iter().take(20).map(|level| level.amount.mantissa()).sum::<i128>());
    });
}

fn scan(criterion: &mut Criterion) {
    let rows: Vec<String> =
        (0..40).map(|i| format!("[\"61837.{:02}000000\",\"0.0{i:02}00000\"]", i)).collect();
    let frame = format!("[{}],\"a\":[]}}", rows.join(","));
    let mut levels = Vec::with_capacity(40);
    criterion.bench_function("scan/forty_levels", |bencher| {
        bencher.iter(|| {
            levels.clear();
            Scan::new(black_box(frame.as_bytes())).levels(&mut levels)
        });
    });
    criterion.bench_function("scan/decimal", |bencher| {
        bencher.iter(|| Scan::new(black_box(b"61837.63000000\",\"B\":")).decimal());
    });
}

const POOLS: &[Pool] = &[
    Pool::new("weight", 4_000_000_000, Window::Fixed(Duration::from_secs(60)), Scope::Address, NOWHERE),
    Pool::new("orders", 4_000_000_000, Window::Rolling(Duration::from_secs(10)), Scope::Account, NOWHERE),
];
const NOWHERE: Source = Source { url: "", read: "" };

fn throttler(criterion: &mut Criterion) {
    let mut throttler = Throttler::new(POOLS, Settings::default()).unwrap();
    let costs = [Cost::fixed("weight", 1), Cost::fixed("orders", 1)];
    let charges = throttler.charges("bench", &costs, |_| None).unwrap();
    let mut nanos = 0;
    criterion.bench_function("throttler/admit_fixed_and_rolling", |bencher| {
        bencher.iter(|| {
            nanos += 1_000;
            throttler.try_admit(Lane::Create, black_box(&charges), at(nanos))
        });
    });
    criterion.bench_function("throttler/wait_and_next", |bencher| {
        bencher.iter(|| {
            nanos += 1_000;
            throttler.enqueue(nanos, Lane::Create, black_box(charges), Mono(u64::MAX), at(nanos)).unwrap();
            throttler.next(at(nanos))
        });
    });
}

fn tracker(criterion: &mut Criterion) {
    let pair: Pair = "BTC-USDT".parse().unwrap();
    let market = Market::Pair(pair.clone());
    let (price, amount) = (Decimal::from(60_000), Decimal::new(1, 3));
    let order = NewOrder::limit(pair, Side::Buy, amount, price);
    let report = |id: &ClientOrderId, state| OrderReport {
        market: market.clone(),
        client_order_id: Some(id.clone()),
        exchange_order_id: Some(ExchangeOrderId::new("1")),
        state,
        side: Some(Side::Buy),
        order_type: Some(OrderType::Limit),
        price: Some(price),
        amount: Some(amount),
        filled_amount: None,
        reason: None,
        time: None,
    };
    let id = ClientOrderId::new("bench-1");
    let fill = Fill {
        market: market.clone(),
        client_order_id: Some(id.clone()),
        exchange_order_id: Some(ExchangeOrderId::new("1")),
        trade_id: TradeId::new("7"),
        side: Side::Buy,
        price,
        amount,
        fee: None,
        maker: Some(true),
        position_side: None,
        cause: None,
        time: None,
    };
    let (accepted, filled) = (report(&id, OrderState::Open), Message::Fill(fill));
    let fresh = || Tracker::new(TrackerLimits::default());
    criterion.bench_function("tracker/submitted_accepted_filled", |bencher| {
        bencher.iter_batched(
            || (fresh(), id.clone(), order.clone()),
            |(mut tracker, id, order)| {
                tracker.submit(at(0), id.clone(), order).unwrap();
                tracker.sent(at(1), &id);
                tracker.acknowledged(at(2), &id, &accepted);
                tracker.apply(at(3), &filled);
                (tracker.take_events(), tracker)
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(parts, ladder, scan, throttler, tracker);
criterion_main!(parts);
