//! Rows about how a connector ends, and begins again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use connector_core::journal::{Filter, History, Status, StatusChange};
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{ClientOrderId, Decimal, Event, OwnOrders};
use connector_venue::faults::{Fault, FaultRule};
use connector_venue::orders::{Execution, Order};

use super::processes;
use crate::bench::{Evidence, Failure, Judgement, ensure};
use crate::kit::Kit;
use crate::lab::{LONG, Lab};
use crate::report::{Detail, human};

/// Kills of one run of XQ-08; the runs differ by seed.
const KILLS: u64 = 6;
/// Runs of XQ-08.
const RUNS: u64 = 9;

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
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

/// What a history says of every order, held against the ledger: no hole, no duplicate. The number of fills.
pub(super) fn judge(
    history: &dyn History,
    there: &[Order],
    executions: &[Execution],
) -> Result<usize, Failure> {
    let mut ours: BTreeMap<String, Vec<(String, Decimal, Decimal)>> = BTreeMap::new();
    for trade in history.trades(&Filter::default())? {
        let entry =
            (trade.row.trade_id.to_string(), trade.row.amount.normalize(), trade.row.price.normalize());
        ours.entry(trade.row.client_order_id.to_string()).or_default().push(entry);
    }
    let mut theirs: BTreeMap<String, Vec<(String, Decimal, Decimal)>> = BTreeMap::new();
    for fill in executions {
        let entry = (fill.trade_id.to_string(), fill.amount.normalize(), fill.price.normalize());
        theirs.entry(fill.client_id.to_string()).or_default().push(entry);
    }
    ours.values_mut().chain(theirs.values_mut()).for_each(|list| list.sort());
    ensure(ours == theirs, || {
        let differs = ours.keys().chain(theirs.keys()).find(|id| ours.get(*id) != theirs.get(*id));
        let of = |fills: &BTreeMap<_, Vec<_>>| differs.and_then(|id| fills.get(id).cloned());
        format!("of {differs:?} the history has the fills {:?}, the venue {:?}", of(&ours), of(&theirs))
    })?;
    lives(history, there)?;
    Ok(theirs.values().map(Vec::len).sum())
}

/// Every order of the venue is in the history and lived the same life there; the others never reached the venue.
fn lives(history: &dyn History, there: &[Order]) -> Result<(), Failure> {
    let mut steps: BTreeMap<String, Vec<StatusChange>> = BTreeMap::new();
    for step in history.statuses(&Filter::default())? {
        steps.entry(step.row.client_order_id.to_string()).or_default().push(step.row);
    }
    let mut known = BTreeMap::new();
    for order in history.orders(&Filter::default())? {
        let id = order.client_order_id.to_string();
        ensure(known.insert(id.clone(), order.status).is_none(), || format!("{id} is in the history twice"))?;
    }
    let mut seen = BTreeSet::new();
    for order in there {
        let id = order.client_id.to_string();
        ensure(seen.insert(id.clone()), || format!("{id} is at the venue twice"))?;
        let expected = match order.state {
            OrderState::Filled => Status::Completed,
            OrderState::Expired => Status::Expired,
            _ => Status::Cancelled,
        };
        let status = known.remove(&id);
        ensure(status == Some(expected), || {
            format!("{id} is {} at the venue, {status:?} in the history", order.state)
        })?;
        let steps = steps.get(&id).map(Vec::as_slice).unwrap_or_default();
        let count = |is: fn(Status) -> bool| steps.iter().filter(|step| is(step.status)).count();
        let counts = [
            count(|status| status == Status::Submitted),
            count(|status| status == Status::Created),
            count(Status::is_terminal),
        ];
        ensure(counts == [1, 1, 1], || {
            format!("{id} was submitted, created and ended {counts:?} times, by its history")
        })?;
        let told = steps.iter().find(|step| step.status.is_terminal()).and_then(|step| step.executed);
        ensure(told.is_none_or(|told| told.base == order.filled), || {
            format!("{id} ended with {} executed, its history has {told:?}", order.filled)
        })?;
    }
    let lost = known.into_iter().find(|(_, status)| *status != Status::Failed);
    ensure(lost.is_none(), || format!("the history has {lost:?}, the venue does not"))
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
    let orders = lab.orders();
    let fills = judge(&lab.journal, &orders, &lab.executions())?;
    ensure(orders.iter().all(|order| placed.iter().any(|id| id.as_str() == order.client_id)), || {
        "the venue has orders that nobody placed".to_owned()
    })?;
    Ok((orders.len(), fills, lab.story("Killed at random moments: the first run", LONG)))
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
    let real =
        processes::killed(&kit).await.map_err(|failure| Failure(format!("processes: {}", failure.0)))?;
    let cells = |title: &str, values: [usize; 5]| {
        [title.to_owned()].into_iter().chain(values.map(|value| value.to_string())).collect()
    };
    let rows = vec![
        cells("process, by SIGKILL", [real.kills, real.orphaned, real.behind, real.orders, real.fills]),
        vec![
            "engine in memory".to_owned(),
            (KILLS * RUNS).to_string(),
            String::new(),
            String::new(),
            orders.to_string(),
            fills.to_string(),
        ],
    ];
    let head = ["killed", "kills", "left orders open", "journal was behind", "orders", "fills compared"];
    let text = format!(
        "{} SIGKILLs of a trading process at random moments ({} left orders open, {} a journal behind the venue; ready again \
         within {}): {} create/cancel cycles, {} fills; and {} kills in memory, {orders} orders, {fills} fills: after each \
         restart orders, fills and balances are the ledger's, and the history has each once",
        real.kills,
        real.orphaned,
        real.behind,
        human(real.slowest),
        real.orders,
        real.fills,
        KILLS * RUNS
    );
    let head = head.map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Kills".to_owned(), head, rows });
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
