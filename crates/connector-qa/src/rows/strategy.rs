//! Rows about strategies: the reference ones run to completion while the house trades with them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connector_core::order::Side;
use connector_core::{ClientOrderId, Decimal, Error, Event};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{AccountId, Execution, Order, Submit};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, PATIENCE, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;
use crate::strategies::{Hanging, MarketMaker, MarketMaking, Summary, Taking};

/// How often the market maker looks at its orders.
const REFRESH: Duration = Duration::from_millis(40);
/// How often the venue is looked at.
const GLANCE: Duration = Duration::from_millis(3);

/// Orders inside the house's quotes, so that whoever takes meets them first.
fn making(ground: &Ground, levels: u32) -> MarketMaking {
    MarketMaking {
        pair: ground.pair.clone(),
        levels,
        amount: ground.amount(ground.middle, 4),
        spread: Decimal::new(2, 4),
        gap: Decimal::new(1, 4),
        refresh: REFRESH,
        tolerance: Decimal::new(4, 5),
        hanging: None,
        skew: None,
    }
}

/// A market maker at work.
struct Making {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Summary, Error>>,
}

impl Making {
    fn start(desk: &Desk, plan: MarketMaking) -> Self {
        let maker = MarketMaker::new(&desk.connector, plan);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::task::spawn_local(maker.run(async move {
            // An error says that nobody can ask it to stop any more: then it stops.
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn finish(self) -> Result<Summary, Failure> {
        // If it has ended already, its result says why.
        let _ = self.stop.send(());
        Ok(self.task.await.map_err(Failure::new)??)
    }
}

/// The account's open orders on one side, best first.
fn side_of(bench: &Bench, side: Side) -> Vec<Order> {
    let mut orders: Vec<_> = bench.open_orders().into_iter().filter(|order| order.side == side).collect();
    orders.sort_by_key(|order| order.price);
    if side == Side::Buy {
        orders.reverse();
    }
    orders
}

/// Waits until the venue shows what is looked for.
async fn venue_has<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure(Instant::now() < end, || format!("waited {} s for {what} in vain", PATIENCE.as_secs()))?;
        tokio::time::sleep(GLANCE).await;
    }
}

/// The account's executions, by the ledger.
fn executions(bench: &Bench) -> Vec<Execution> {
    bench.look(|exchange| {
        exchange.fills(bench.account, &HistoryQuery::default()).into_iter().cloned().collect()
    })
}

/// What strategies say of their fills is what the ledger has.
fn summaries_agree(bench: &Bench, summaries: &[&Summary]) -> Result<usize, Failure> {
    let fills = executions(bench);
    let sum = |side: Side| -> Decimal {
        fills.iter().filter(|fill| fill.side == side).map(|fill| fill.amount).sum()
    };
    let value: Decimal =
        fills.iter().map(|fill| if fill.is_buyer() { -fill.quote } else { fill.quote }).sum();
    let told = summaries.iter().fold((0, Decimal::ZERO, Decimal::ZERO, Decimal::ZERO), |sum, one| {
        (sum.0 + one.fills, sum.1 + one.bought, sum.2 + one.sold, sum.3 + one.quote)
    });
    let happened = (fills.len(), sum(Side::Buy), sum(Side::Sell), value);
    ensure(told == happened, || {
        format!("fills, bought, sold and value told {told:?}, happened {happened:?}")
    })?;
    let theirs: BTreeSet<String> = bench.look(|exchange| {
        let all = exchange.all_orders(bench.account, &HistoryQuery::default());
        all.into_iter().map(|order| order.client_id.to_string()).collect()
    });
    let ours: BTreeSet<String> =
        summaries.iter().flat_map(|one| &one.orders).map(ToString::to_string).collect();
    ensure(theirs.is_subset(&ours), || {
        format!(
            "orders at the venue that no strategy placed: {:?}",
            theirs.difference(&ours).collect::<Vec<_>>()
        )
    })?;
    Ok(fills.len())
}

/// Nothing is open, wrong, or told of as wrong.
async fn clean(bench: &Bench, desk: &Desk) -> Result<(), Failure> {
    let open = (desk.connector.open_orders().len(), bench.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders open here and at the venue"))?;
    bench.balances_agree(&desk.connector).await?;
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    let violations = bench.look(|exchange| exchange.limits().violations());
    ensure(violations == 0, || format!("the venue counted {violations} violations of its limits"))
}

/// SQ-08.
///
/// # Errors
/// What a strategy could not do, or counted otherwise than the ledger.
pub async fn maker_and_taker(kit: Kit) -> Judgement {
    const ROUNDS: usize = 4;
    const SLICES: i64 = 5;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let making = Making::start(&desk, making(&ground, 2));
    for round in 0..ROUNDS {
        let side = if round % 2 == 0 { Side::Buy } else { Side::Sell };
        let best = venue_has("quotes on both sides", || {
            let both = !side_of(&bench, Side::Buy).is_empty() && !side_of(&bench, Side::Sell).is_empty();
            side_of(&bench, side).into_iter().next().filter(|_| both)
        })
        .await?;
        // Beyond our quote, so that the middle moves and the rest has to be renewed.
        bench.take(&ground, side.opposite(), best.remaining() + ground.amount(ground.middle, 20))?;
        venue_has("the quote to be filled", || {
            executions(&bench).iter().any(|fill| fill.order_id == best.id).then_some(())
        })
        .await?;
        desk.listen(Duration::from_millis(60)).await?;
    }
    let made = making.finish().await?;
    let orders = made.orders.len();
    ensure(orders > 2 * 2 && made.fills >= ROUNDS, || {
        format!("{orders} orders and {} fills in {ROUNDS} rounds", made.fills)
    })?;
    let slice = ground.amount(ground.middle, 3);
    let taking = Taking {
        pair: ground.pair.clone(),
        side: Side::Buy,
        amount: slice * Decimal::from(SLICES),
        slice,
        limit: ground.price(103),
        pause: Duration::from_millis(5),
        attempts: 3,
    };
    let bought = taking.run(&desk.connector).await?;
    let sold =
        Taking { side: Side::Sell, limit: ground.price(97), ..taking.clone() }.run(&desk.connector).await?;
    ensure(bought.bought == taking.amount && sold.sold == taking.amount, || {
        format!("of {} the taker bought {} and sold {}", taking.amount, bought.bought, sold.sold)
    })?;
    desk.listen(Duration::from_millis(50)).await?;
    clean(&bench, &desk).await?;
    let fills = summaries_agree(&bench, &[&made, &bought, &sold])?;
    let rows = [("market making", &made), ("taking, buy", &bought), ("taking, sell", &sold)];
    let rows = rows.map(|(name, one)| {
        let numbers = [one.orders.len().to_string(), one.fills.to_string(), one.refused.to_string()];
        let amounts = [one.bought, one.sold, one.quote].map(|value| value.normalize().to_string());
        [name.to_owned()].into_iter().chain(numbers).chain(amounts).collect()
    });
    let text = format!(
        "market maker: {orders} orders, {} fills, stopped with nothing open; taker: bought and sold its whole amount in {} \
         orders; all {fills} fills as in the ledger",
        made.fills,
        bought.orders.len() + sold.orders.len()
    );
    let head =
        ["strategy", "orders", "fills", "refused", "bought", "sold", "quote"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Strategies".to_owned(), head, rows: rows.to_vec() }))
}

/// The account's open orders that do not hang, one of each side.
fn quotes(bench: &Bench, hung: &[Order]) -> Option<(Order, Order)> {
    let fresh = |side: Side| {
        side_of(bench, side).into_iter().find(|order| hung.iter().all(|hanging| hanging.id != order.id))
    };
    Some((fresh(Side::Buy)?, fresh(Side::Sell)?))
}

/// The quotes once several renewals have left them as they are: one being renewed just now would not be left hanging.
async fn steady(bench: &Bench, hung: &[Order]) -> Result<(Order, Order), Failure> {
    let end = Instant::now() + PATIENCE;
    let mut before = venue_has("quotes on both sides", || quotes(bench, hung)).await?;
    loop {
        tokio::time::sleep(REFRESH * 5).await;
        let now = venue_has("quotes on both sides", || quotes(bench, hung)).await?;
        if (now.0.id, now.1.id) == (before.0.id, before.1.id) {
            return Ok(now);
        }
        ensure(Instant::now() < end, || "the quotes do not come to rest".to_owned())?;
        before = now;
    }
}

/// Has the house sell in the middle of the spread, and waits until the quotes were renewed on both sides.
async fn nudge(bench: &Bench, ground: &Ground, hung: &[Order]) -> Result<(), Failure> {
    let (bid, ask) = venue_has("quotes on both sides", || quotes(bench, hung)).await?;
    let best = bench.look(|exchange| exchange.best(&ground.symbol)).unwrap_or_default();
    let (Some(high), Some(low)) = (best.bid, best.ask) else { return Err(Failure::new("the book is empty")) };
    let price = ground.on_tick((high.price + low.price) / Decimal::TWO).max(high.price + ground.rules.tick);
    let submit = Submit::limit(&ground.symbol, Side::Sell, price, ground.amount(price, 2));
    bench.house(AccountId::HOUSE_MAKER, &submit)?;
    venue_has("renewed quotes", || {
        quotes(bench, hung).filter(|new| new.0.id != bid.id && new.1.id != ask.id).map(drop)
    })
    .await
}

/// SQ-22.
///
/// # Errors
/// The hanging order that was lost, doubled, renewed or left open.
pub async fn hanging_order(kit: Kit) -> Judgement {
    const NUDGES: usize = 2;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let hanging = Some(Hanging { most: 4, distance: Decimal::new(5, 1) });
    let making = Making::start(&desk, MarketMaking { hanging, ..making(&ground, 1) });
    let mut hung: Vec<Order> = Vec::new();
    for _ in 0..2 {
        // A bid is filled: its ask is left hanging while both are renewed, and renewed again as the middle moves.
        let (bid, ask) = steady(&bench, &hung).await?;
        fill_at(&bench, &ground, &bid)?;
        hung.push(ask);
        for _ in 0..NUDGES {
            nudge(&bench, &ground, &hung).await?;
            desk.listen(Duration::from_millis(60)).await?;
            tracked(&bench, &desk, &hung)?;
        }
    }
    // The better one is filled where it hangs, with whatever lies before it.
    hung.sort_by_key(|order| order.price);
    let Some((first, rest)) = hung.split_first() else { return Err(Failure::new("nothing hangs")) };
    let id = ClientOrderId::from(first.client_id.as_str());
    fill_at(&bench, &ground, first)?;
    let end = desk.ended(&id).await?;
    ensure(matches!(end, Event::OrderCompleted(_)), || format!("the filled hanging order ended as {end:?}"))?;
    let (told, happened) = (desk.fills(&id).len(), bench.executions_of(&id).len());
    ensure(told == happened && happened > 0, || {
        format!("{told} of {happened} fills of the hanging order told")
    })?;
    tracked(&bench, &desk, rest)?;
    let made = making.finish().await?;
    desk.listen(Duration::from_millis(50)).await?;
    for order in rest {
        let id = ClientOrderId::from(order.client_id.as_str());
        let end = desk.ended(&id).await?;
        ensure(matches!(&end, Event::OrderCancelled(end) if end.requested), || {
            format!("the hanging order {id} ended as {end:?}")
        })?;
    }
    clean(&bench, &desk).await?;
    let fills = summaries_agree(&bench, &[&made])?;
    for id in &made.orders {
        desk.well_formed(id)?;
        let there = bench.orders_of(id).len();
        ensure(there <= 1, || format!("{id} exists {there} times at the venue"))?;
    }
    let unique: BTreeSet<_> = made.orders.iter().collect();
    ensure(unique.len() == made.orders.len(), || "an id was given twice".to_owned())?;
    Ok(Evidence::new(format!(
        "{} orders hung through {} renewals of the others, one was filled where it hung ({told} fills recorded), one \
         cancelled on stop; {} orders and {fills} fills in all, none doubled",
        hung.len(),
        NUDGES * 2,
        made.orders.len()
    )))
}

/// Hanging orders are open on both sides, once, and nobody has told of their end.
fn tracked(bench: &Bench, desk: &Desk, hung: &[Order]) -> Result<(), Failure> {
    let (theirs, ours) = (bench.open_orders(), desk.connector.open_orders());
    for order in hung {
        let there = theirs.iter().filter(|open| open.id == order.id).count();
        let here = ours.iter().filter(|open| open.client_order_id().as_str() == order.client_id).count();
        ensure((here, there) == (1, 1), || {
            format!(
                "the hanging order {} is open {here} times here, {there} times at the venue",
                order.client_id
            )
        })?;
        let id = ClientOrderId::from(order.client_id.as_str());
        let ended = of(&desk.seen, &id).find(|event| event.is_terminal());
        ensure(ended.is_none(), || format!("the hanging order {id} was told as {ended:?}"))?;
    }
    Ok(())
}

/// Has the house take everything up to an order's price.
fn fill_at(bench: &Bench, ground: &Ground, order: &Order) -> Result<(), Failure> {
    let price = order.price.unwrap_or_default();
    let depth = bench.look(|exchange| exchange.depth(&ground.symbol, 500)).unwrap_or_default();
    let (levels, side) = match order.side {
        Side::Buy => (depth.bids, Side::Sell),
        Side::Sell => (depth.asks, Side::Buy),
    };
    let reached = levels.iter().filter(|level| match order.side {
        Side::Buy => level.price >= price,
        Side::Sell => level.price <= price,
    });
    let amount: Decimal = reached.map(|level| level.amount).sum();
    bench.house(AccountId::HOUSE_TAKER, &Submit::limit(&ground.symbol, side, price, amount))?;
    Ok(())
}
