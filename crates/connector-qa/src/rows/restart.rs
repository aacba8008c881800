//! Rows about how a connector ends, and begins again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use connector_core::journal::{Filter, History as _, Status};
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{ClientOrderId, Decimal, Event, OwnOrders};
use connector_venue::faults::{Fault, FaultRule};

use crate::bench::{Evidence, Failure, Judgement, ensure};
use crate::checklist::Kit;
use crate::lab::{LONG, Lab};
use crate::report::Detail;

/// Kills of one run of XQ-08; the runs differ by seed.
const KILLS: u64 = 6;
/// Runs of XQ-08.
const RUNS: u64 = 9;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn decimal(&mut self, bound: u64) -> Decimal {
        Decimal::from(self.below(bound))
    }
}

/// Something a user does.
fn act(lab: &mut Lab, dice: &mut Dice, placed: &mut BTreeSet<ClientOrderId>) -> Result<(), Failure> {
    let ground = lab.ground()?;
    let side = if dice.below(2) == 0 { Side::Buy } else { Side::Sell };
    let best = lab.look(|exchange| exchange.depth(&ground.symbol, 1));
    let Some(best) = best else { return Ok(()) };
    let (own, other) = if side == Side::Buy { (best.bids, best.asks) } else { (best.asks, best.bids) };
    let (Some(own), Some(other)) = (own.first(), other.first()) else { return Ok(()) };
    let open = lab.read(|engine, _| engine.open_orders()).unwrap_or_default();
    let index =
        usize::try_from(dice.below(u64::try_from(open.len()).unwrap_or_default())).unwrap_or_default();
    let price = if dice.below(3) == 0 { other.price } else { own.price };
    let amount = ground.amount(price, 3) + ground.rules.step * dice.decimal(50);
    match (dice.below(10), open.get(index)) {
        (0..=1, Some(order)) => {
            let id = order.client_order_id().clone();
            lab.with(|engine, now| engine.cancel(now, &id))?;
        }
        (2..=3, Some(order)) => {
            let id = order.client_order_id().clone();
            placed.extend(lab.with(|engine, now| engine.amend(now, &id, Some(price), Some(amount))).ok());
        }
        // Whatever is refused here was not sent: not yet ready, or not enough money left.
        _ => placed.extend(lab.place(NewOrder::limit(ground.pair.clone(), side, amount, price)).ok()),
    }
    Ok(())
}

/// What the journal says of every order, held against the ledger.
fn judge(lab: &Lab, placed: &BTreeSet<ClientOrderId>) -> Result<usize, Failure> {
    let wrong = |error: connector_core::Error| Failure(error.to_string());
    let orders = lab.journal.orders(&Filter::default()).map_err(wrong)?;
    let known: BTreeMap<String, Status> =
        orders.into_iter().map(|order| (order.client_order_id.to_string(), order.status)).collect();
    let mut ours: BTreeMap<String, Vec<(String, Decimal, Decimal)>> = BTreeMap::new();
    for trade in lab.journal.trades(&Filter::default()).map_err(wrong)? {
        let entry =
            (trade.row.trade_id.to_string(), trade.row.amount.normalize(), trade.row.price.normalize());
        ours.entry(trade.row.client_order_id.to_string()).or_default().push(entry);
    }
    let mut theirs: BTreeMap<String, Vec<(String, Decimal, Decimal)>> = BTreeMap::new();
    for fill in lab.executions() {
        let entry = (fill.trade_id.to_string(), fill.amount.normalize(), fill.price.normalize());
        theirs.entry(fill.client_id.to_string()).or_default().push(entry);
    }
    ours.values_mut().chain(theirs.values_mut()).for_each(|list| list.sort());
    ensure(ours == theirs, || format!("the history has fills {ours:?}, the venue {theirs:?}"))?;
    let mut there = BTreeSet::new();
    for order in lab.orders() {
        let id = order.client_id.to_string();
        ensure(there.insert(id.clone()), || format!("{id} is at the venue twice"))?;
        let expected = match order.state {
            OrderState::Filled => Status::Completed,
            OrderState::Expired => Status::Expired,
            _ => Status::Cancelled,
        };
        let status = known.get(&id).copied();
        ensure(status == Some(expected), || {
            format!("{id} is {} at the venue, {status:?} in the history", order.state)
        })?;
    }
    for (id, status) in &known {
        ensure((*status == Status::Failed) != there.contains(id), || {
            format!(
                "{id} is {status:?} in the history, and the venue {} it",
                if there.contains(id) { "has" } else { "lacks" }
            )
        })?;
    }
    for step in [Status::Completed, Status::Cancelled, Status::Expired, Status::Failed] {
        let steps = lab.journal.statuses(&Filter::default()).map_err(wrong)?;
        let mut ends: Vec<_> = steps
            .into_iter()
            .filter(|row| row.row.status == step)
            .map(|row| row.row.client_order_id)
            .collect();
        let all = ends.len();
        ends.sort();
        ends.dedup();
        ensure(ends.len() == all, || format!("an order is recorded as {step:?} twice"))?;
    }
    ensure(there.iter().all(|id| placed.iter().any(|known| known.as_str() == id)), || {
        "the venue has orders that nobody placed".to_owned()
    })?;
    Ok(theirs.values().map(Vec::len).sum())
}

fn killed_run(kit: &Kit, number: u64) -> Result<(usize, usize, Detail), Failure> {
    let mut kit = kit.clone();
    kit.seed = kit.seed.wrapping_mul(1_000).wrapping_add(number);
    let mut dice = Dice(kit.seed);
    let mut lab = Lab::new(&kit, 1, true, 0)?;
    lab.ready()?;
    let mut placed = BTreeSet::new();
    for _ in 0..KILLS {
        for _ in 0..1 + dice.below(8) {
            act(&mut lab, &mut dice, &mut placed)?;
            lab.run_for(Duration::from_micros(dice.below(300_000)));
        }
        act(&mut lab, &mut dice, &mut placed)?;
        // Within the milliseconds in which an order, its answer and their records are under way.
        lab.run_for(Duration::from_micros(dice.below(30_000)));
        lab.kill(Duration::from_micros(200 + dice.below(20_000)))?;
        if dice.below(3) > 0 {
            lab.ready()?;
        }
    }
    lab.ready()?;
    lab.agrees()?;
    lab.with(|engine, now| engine.cancel_all(now));
    lab.until("everything to end and be stored", LONG, |engine, _| {
        engine.open_orders().is_empty() && engine.unrecorded() == 0
    })?;
    lab.agrees()?;
    let fills = judge(&lab, &placed)?;
    Ok((lab.orders().len(), fills, lab.story("Killed at random moments: the first run", LONG)))
}

/// XQ-08.
///
/// # Errors
/// The order or fill that was lost, doubled, or told twice to the history.
pub async fn killed(kit: Kit) -> Judgement {
    let (mut orders, mut fills, mut shown) = (0, 0, None);
    for number in 0..RUNS {
        let (more, filled, timeline) =
            killed_run(&kit, number).map_err(|failure| Failure(format!("run {number}: {}", failure.0)))?;
        (orders, fills) = (orders + more, fills + filled);
        shown.get_or_insert(timeline);
        tokio::task::yield_now().await;
    }
    ensure(orders > 100 && fills > 50, || format!("{orders} orders and {fills} fills prove nothing"))?;
    let evidence = Evidence::new(format!(
        "{} kills at random moments, {orders} orders, {fills} fills: after each restart orders, fills and balances are the \
         ledger's, and the history has each once",
        KILLS * RUNS
    ));
    Ok(shown.into_iter().fold(evidence, Evidence::with))
}

/// XQ-09.
///
/// # Errors
/// The order left behind, the connection left open, or the report that is not true.
pub async fn stopped(kit: Kit) -> Judgement {
    const BOUND: Duration = Duration::from_secs(5);
    let mut rows = Vec::new();
    for (name, orders) in [("own orders cancelled", OwnOrders::Cancel), ("own orders left", OwnOrders::Leave)]
    {
        let bench = kit.quiet().await?;
        let mut desk = bench.desk().await?;
        let ground = bench.ground()?.clone();
        let mut ids = Vec::new();
        for side in [Side::Buy, Side::Sell, Side::Buy] {
            ids.push(desk.connector.place(ground.resting(side))?);
        }
        for id in &ids {
            desk.created(id).await?;
        }
        let other = desk.connector.clone();
        let start = Instant::now();
        let closing = tokio::task::spawn_local(desk.connector.clone().close(orders, BOUND));
        tokio::task::yield_now().await;
        let gated = other.place(ground.resting(Side::Buy));
        ensure(gated.is_err(), || format!("{name}: an order was taken while stopping"))?;
        let report = closing.await.map_err(Failure::new)?;
        let took = start.elapsed();
        ensure(took < BOUND, || format!("{name}: it took {took:?}"))?;
        let mut open: Vec<_> = bench.open_orders().iter().map(|order| order.client_id.to_string()).collect();
        let mut told: Vec<_> = report.open.iter().map(ToString::to_string).collect();
        open.sort();
        told.sort();
        let expected = if orders == OwnOrders::Cancel { 0 } else { ids.len() };
        ensure(open == told && open.len() == expected, || {
            format!("{name}: reported open {told:?}, the venue has {open:?}")
        })?;
        ensure(report.unrecorded == 0, || format!("{name}: {} entries not stored", report.unrecorded))?;
        let end = Instant::now() + Duration::from_secs(2);
        while bench.server.with(|venue, _| venue.sessions().count()) > 0 {
            ensure(Instant::now() < end, || format!("{name}: connections are still open"))?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (asked, quiet) =
            (bench.server.with(|venue, _| venue.requests().count()), Duration::from_millis(300));
        tokio::time::sleep(quiet).await;
        let later = bench.server.with(|venue, _| venue.requests().count());
        ensure(later == asked, || format!("{name}: {} requests after the stop", later - asked))?;
        rows.push(vec![name.to_owned(), format!("{} open", open.len()), format!("{} ms", took.as_millis())]);
    }
    // A venue that does not answer: the bound holds, and the report says what is not known.
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let id = desk.connector.place(bench.ground()?.resting(Side::Buy))?;
    desk.created(&id).await?;
    bench.arm(FaultRule::new(Fault::DropRequest {}).on_row("cancel"))?;
    let start = Instant::now();
    let report = desk.connector.clone().close(OwnOrders::Cancel, Duration::from_secs(1)).await;
    let took = start.elapsed();
    ensure(
        took < Duration::from_secs(2) && report.open == [id.clone()] && report.cancelled.is_empty(),
        || format!("a silent venue: {report:?} after {took:?}"),
    )?;
    ensure(bench.order_of(&id)?.is_live(), || "the order is not open at the venue".to_owned())?;
    let ended = desk.seen.iter().filter(|event: &&Event| event.is_terminal()).count();
    ensure(ended == 0, || "an end was told that did not happen".to_owned())?;
    rows.push(vec![
        "the venue does not answer".to_owned(),
        "1 reported open".to_owned(),
        format!("{} ms", took.as_millis()),
    ]);
    let text = "submits gated, orders cancelled or left as asked, connections closed, within the bound, truthfully reported";
    let head = ["stop", "orders", "time"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Stops".to_owned(), head, rows }))
}
