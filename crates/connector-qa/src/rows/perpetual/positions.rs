//! Rows about what is known of positions: from the stream, after a restart, at a mark price.

use std::time::{Duration, Instant};

use connector_core::order::{NewOrder, Side};
use connector_core::position::{PositionCause, PositionMode, PositionSide};
use connector_core::{Decimal, Event};
use connector_venue::ledger::HistoryQuery;
use connector_venue::perpetual::IncomeKind;

use super::walk::{self, Walk};
use super::{filled, ledger, lots, modes, places, plain, settled, taking};
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, Plan, ensure};
use crate::kit::Kit;
use crate::report::{Chart, Detail, Series, Shape, Unit, human};
use crate::scratch::Scratch;

/// Fills of each mode in PQ-06, at least; more of them are a test of every connector's crate.
const WALK: usize = 600;

/// Parts in which an order is filled while its position is watched.
const PARTS: i64 = 20;

/// PQ-06.
///
/// # Errors
/// The fill that did not move the position at once, or rightly.
pub async fn updates(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut lags = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        lags.extend(part_by_part(&bench, &mut desk, &ground, side).await?);
    }
    // Another instance has it from a request alone.
    settled(&bench, &mut desk, &ground.pair, PositionSide::Both).await?;
    let other = bench.desk().await?;
    let wrong = bench.balance_errors(&other.connector);
    ensure(wrong.is_empty(), || format!("by request: {}", wrong.join("; ")))?;
    drop((desk, other));
    let offered = bench.spec.perpetual.map(|spec| spec.position_modes).unwrap_or_default();
    let (mut walks, mut charts) = (Vec::new(), Vec::new());
    for mode in offered {
        let told = |failure: Failure| Failure(format!("{mode}: {}", failure.0));
        let walked = walk::walk(&kit, *mode, WALK).await.map_err(told)?;
        walks.push(format!(
            "{mode}: {} fills of {} orders, {} turned round or closed",
            walked.fills, walked.orders, walked.flips
        ));
        charts.push(walked);
    }
    let longest = lags.iter().max().copied().unwrap_or_default();
    let text = format!(
        "{} fills moved the position within {} of happening, by the stream alone, and requests agree; random orders: {}; after \
         each, amount, entry price and profit are the ledger's",
        lags.len(),
        human(longest),
        walks.join(", ")
    );
    let nanos = lags.iter().map(|lag| u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX)).collect();
    let title = "From a fill at the venue until the position has it".to_owned();
    let evidence = Evidence::new(text).with(Detail::Samples { title, nanos });
    Ok(charts.into_iter().map(Walk::chart).fold(evidence, Evidence::with))
}

/// An order that the house takes part by part; how long each part took to move the position.
async fn part_by_part(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    side: Side,
) -> Result<Vec<Duration>, Failure> {
    let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
    let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
    let part = ground.amount(price, 2);
    let id = desk.connector.place(NewOrder::limit(
        ground.pair.clone(),
        side,
        part * Decimal::from(PARTS),
        price,
    ))?;
    desk.created(&id).await?;
    let asked = bench.requests("positions");
    let mut lags = Vec::new();
    for _ in 0..PARTS {
        let seen = desk.seen.len();
        let start = Instant::now();
        bench.take(ground, side.opposite(), part)?;
        let truth = ledger(bench, ground, PositionSide::Both)?;
        let told = desk
            .until(format_args!("a position of {}", truth.amount), |seen_now, connector| {
                let held = connector.position(&ground.pair, PositionSide::Both)?;
                let told = seen_now.iter().skip(seen).find_map(|event| match event {
                    Event::PositionChanged(changed) if changed.pair == ground.pair => Some(changed.clone()),
                    _ => None,
                })?;
                (held.amount == truth.amount.abs() && held.side == PositionSide::of(truth.amount))
                    .then_some(told)
            })
            .await?;
        lags.push(start.elapsed());
        let right = told.amount == truth.amount.abs() && told.cause == Some(PositionCause::Order);
        ensure(right, || format!("told {told:?}, the ledger has {truth:?}"))?;
    }
    let asked = bench.requests("positions") - asked;
    ensure(asked == 0, || format!("positions were asked for {asked} times meanwhile"))?;
    Ok(lags)
}

/// Profit the ledger booked by closing, so far.
fn booked(bench: &Bench) -> Decimal {
    bench.look(|exchange| {
        let all = exchange.incomes(bench.account, Some(IncomeKind::RealisedPnl), &HistoryQuery::default());
        all.iter().map(|income| income.amount).sum()
    })
}

/// PQ-07.
///
/// # Errors
/// The position that was not found again, or could not be closed.
pub async fn retrieval(kit: Kit) -> Judgement {
    let files = Scratch::new("positions").map_err(Failure::new)?;
    let mut rows = Vec::new();
    for (number, (name, side, percent)) in [
        ("long, at a profit", Side::Buy, 102),
        ("long, at a loss", Side::Buy, 98),
        ("short, at a profit", Side::Sell, 98),
        ("short, at a loss", Side::Sell, 102),
    ]
    .into_iter()
    .enumerate()
    {
        let bench = kit.quiet().await?;
        let path = files.file(format!("{number}.sqlite"));
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        let plan = || Plan { journal: Some(path.clone()), ..bench.plan() };
        let (held, profit) = found_again(&bench, plan, side, percent).await.map_err(told)?;
        ensure((profit > Decimal::ZERO) == name.ends_with("profit"), || {
            format!("{name}: it came to {profit}")
        })?;
        rows.push(vec![name.to_owned(), plain(held), plain(profit)]);
    }
    let legs = if bench_hedges(&kit) { legs_found(&kit, &files).await? } else { String::new() };
    let text = format!(
        "{} positions were found again after a restart with the ledger's amount and entry price, and closed at profit and at \
         loss, as booked by the ledger{legs}",
        rows.len()
    );
    let head = ["position", "found", "profit"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Closed after a restart".to_owned(), head, rows }))
}

fn bench_hedges(kit: &Kit) -> bool {
    let spec = (kit.face)().spec();
    spec.perpetual.is_some_and(|spec| spec.position_modes.contains(&PositionMode::Hedge))
}

/// Opens, ends without stopping, begins again, closes elsewhere: the amount found, and the profit told.
async fn found_again(
    bench: &Bench,
    plan: impl Fn() -> Plan,
    side: Side,
    percent: i64,
) -> Result<(Decimal, Decimal), Failure> {
    let ground = bench.ground()?.clone();
    let mut desk = bench.desk_of(plan()).await?;
    for times in [3, 25] {
        filled(&mut desk, taking(&ground, side, lots(&ground, times))).await?;
    }
    settled(bench, &mut desk, &ground.pair, PositionSide::Both).await?;
    drop(desk);
    let middle = ground.price(percent);
    bench.quote(&ground, middle)?;
    bench.mark(&ground, middle)?;
    let mut desk = bench.desk_of(plan()).await?;
    let found = settled(bench, &mut desk, &ground.pair, PositionSide::Both).await?;
    let (before, wallet) = (booked(bench), desk.connector.balance(&ground.spends(side)).total);
    let elsewhere = Ground { middle, ..ground.clone() };
    let half = lots(&ground, 14);
    for amount in [half, found.amount - half] {
        filled(&mut desk, taking(&elsewhere, side.opposite(), amount).close()).await?;
    }
    let closed = settled(bench, &mut desk, &ground.pair, PositionSide::Both).await?;
    ensure(closed.amount.is_zero(), || format!("{} is left", closed.amount))?;
    let profit = booked(bench) - before;
    let told = desk.seen.iter().rev().find_map(|event| match event {
        Event::PositionChanged(changed) if changed.amount.is_zero() => Some(changed.realised_pnl),
        _ => None,
    });
    let near =
        told.is_some_and(|told| (told - profit).abs() <= Decimal::new(1, 6) * (found.amount + Decimal::ONE));
    ensure(near, || format!("the profit told is {told:?}, the ledger booked {profit}"))?;
    let fees: Decimal = bench.look(|exchange| {
        let all = exchange.fills(bench.account, &HistoryQuery::default());
        all.iter()
            .rev()
            .map(|fill| if fill.realised_pnl.is_zero() { Decimal::ZERO } else { fill.commission })
            .sum()
    });
    let change = desk.connector.balance(&ground.spends(side)).total - wallet;
    ensure(change == profit - fees, || {
        format!("the wallet changed by {change}: profit {profit}, fees {fees}")
    })?;
    Ok((found.amount, profit))
}

/// Both legs of a hedged position are found again.
async fn legs_found(kit: &Kit, files: &Scratch) -> Result<String, Failure> {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let plan = || Plan { journal: Some(files.file("legs.sqlite")), ..bench.plan() };
    let mut desk = bench.desk_of(plan()).await?;
    modes::switch(&bench, &mut desk, PositionMode::Hedge).await?;
    for (side, times) in [(Side::Buy, 5), (Side::Sell, 8)] {
        filled(&mut desk, taking(&ground, side, lots(&ground, times)).open()).await?;
    }
    bench.balances_agree(&desk.connector).await?;
    drop(desk);
    let mut desk = bench.desk_of(plan()).await?;
    for leg in places(PositionMode::Hedge) {
        let found = settled(&bench, &mut desk, &ground.pair, *leg).await?;
        let side = if *leg == PositionSide::Long { Side::Sell } else { Side::Buy };
        filled(&mut desk, taking(&ground, side, found.amount).close()).await?;
    }
    bench.balances_agree(&desk.connector).await?;
    ensure(desk.connector.positions().is_empty(), || "a leg is left".to_owned())?;
    Ok("; so were both legs of a hedged one".to_owned())
}

/// PQ-10.
///
/// # Errors
/// The mark price at which the profit differs.
pub async fn unrealised(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut rows = Vec::new();
    let mut lags = Vec::new();
    let start = Instant::now();
    let (mut ours, mut theirs) =
        (Series::new("mark price here", Shape::Steps), Series::new("mark price at the venue", Shape::Steps));
    for (side, times) in [(Side::Buy, 7), (Side::Sell, 18)] {
        filled(&mut desk, taking(&ground, side, lots(&ground, times))).await?;
        settled(&bench, &mut desk, &ground.pair, PositionSide::Both).await?;
        for percent in [101, 104, 97, 99, 102, 100] {
            // Prices that are on no tick: the mark price is reckoned, not traded at.
            let mark = ground.middle * Decimal::new(percent, 2) + ground.rules.tick / Decimal::from(8);
            bench.mark(&ground, mark)?;
            let moved = Instant::now();
            theirs.push(nanos(start), scaled(mark, ground.rules.tick));
            let truth = ledger(&bench, &ground, PositionSide::Both)?;
            let told = desk
                .until(format_args!("the profit at {mark}"), |_, connector| {
                    let held = connector.position(&ground.pair, PositionSide::Both)?;
                    (held.mark_price == Some(truth.mark_price)).then_some(held.unrealised)
                })
                .await?;
            lags.push(moved.elapsed());
            ours.push(nanos(start), scaled(mark, ground.rules.tick));
            ensure(told == Some(truth.unrealised), || {
                format!("at {mark} the profit is {told:?}, the ledger has {}", truth.unrealised)
            })?;
            rows.push(vec![plain(truth.amount), plain(mark), plain(truth.unrealised)]);
        }
        bench.mark(&ground, ground.middle)?;
    }
    bench.balances_agree(&desk.connector).await?;
    let longest = lags.iter().max().copied().unwrap_or_default();
    let text = format!(
        "at {} mark prices, long and short, the profit equals the ledger's to the last digit, within {} of the price's change",
        rows.len(),
        human(longest)
    );
    let head = ["position", "mark price", "profit"].map(str::to_owned).to_vec();
    let chart = Chart {
        title: "Mark price, as the venue set it and as the position is valued by".to_owned(),
        unit: Unit::Count("ticks".to_owned()),
        series: vec![theirs, ours],
        limit: None,
    };
    Ok(Evidence::new(text)
        .with(Detail::Table { title: "Profit".to_owned(), head, rows })
        .with(Detail::Chart(chart)))
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A price in whole ticks, for drawing.
pub(super) fn scaled(price: Decimal, tick: Decimal) -> u64 {
    use rust_decimal::prelude::ToPrimitive as _;
    price.checked_div(tick).and_then(|ticks| ticks.round().to_u64()).unwrap_or_default()
}
