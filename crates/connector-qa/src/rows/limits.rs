//! Rows about what is limited: the venue's patience, and the account's money.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use connector_core::budget::{Adjusted, Candidate, Mode};
use connector_core::dialect::{Pool, Window};
use connector_core::event::LinkState;
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{Asset, Cause, ClientOrderId, Decimal, Event};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::Order;
use connector_venue::server::wall_clock;

use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, ensure, of};
use crate::gauge;
use crate::kit::Kit;
use crate::report::{Detail, human};

/// Longest time without any progress: the venue's window, and what a loaded machine may need besides.
const STANDSTILL: Duration = Duration::from_secs(25);
/// What a burst of orders may take on a loaded machine, and the second in which it is in doubt where a request counts.
const CLEAR: Duration = Duration::from_secs(4);
/// How often progress is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// The limit orders meet first.
fn order_pool(bench: &Bench) -> Result<&'static Pool, Failure> {
    bench.order_pool.ok_or_else(|| {
        Failure::new(
            "the venue counts no orders, so nothing can be saturated; the connector should declare this",
        )
    })
}

/// Waits until the venue's window has some seconds left: near its end, a request may count in either window.
async fn clear_of_edge(pool: &Pool) {
    if let Window::Fixed(period) = pool.window {
        let period = i64::try_from(period.as_nanos()).unwrap_or(i64::MAX).max(1);
        let left = period - wall_clock().0.rem_euclid(period);
        let left = Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        if left < CLEAR {
            tokio::time::sleep(left).await;
        }
    }
}

fn violations(bench: &Bench) -> Result<(), Failure> {
    let counted = bench.look(|exchange| exchange.limits().violations());
    ensure(counted == 0, || format!("the venue counted {counted} violations of its limits"))
}

/// All orders of the account, by client id.
fn ledger_orders(bench: &Bench) -> BTreeMap<String, Order> {
    bench.look(|exchange| {
        let all = exchange.all_orders(bench.account, &HistoryQuery::default());
        all.into_iter().map(|order| (order.client_id.to_string(), order.clone())).collect()
    })
}

/// Orders that are created and cancelled as fast as the limits let them.
struct Cycles {
    ids: Vec<ClientOrderId>,
    running: BTreeSet<ClientOrderId>,
    /// Orders of which the house takes a part before they are cancelled.
    struck: BTreeMap<ClientOrderId, (Side, Decimal)>,
    /// Events up to here have been acted upon.
    read: usize,
}

impl Cycles {
    /// At least in all, as the standard asks for.
    const ALL: usize = 510;
    /// At once: less than any window admits, so that none waits for more than one window.
    const TOGETHER: usize = 60;
    /// Every such order is filled in part.
    const STRIKE: usize = 20;

    /// So many that at least one window of the limit is full from its beginning to its end.
    fn all(pool: &Pool) -> usize {
        usize::try_from(pool.limit.saturating_mul(2))
            .unwrap_or(usize::MAX)
            .saturating_add(Self::TOGETHER)
            .max(Self::ALL)
    }

    /// Places what may run now.
    fn feed(&mut self, desk: &Desk, ground: &Ground, all: usize) -> Result<(), Failure> {
        while self.ids.len() < all && self.running.len() < Self::TOGETHER {
            let number = self.ids.len();
            let side = if number.is_multiple_of(2) { Side::Buy } else { Side::Sell };
            // Never two at once, so that the house meets the one it is meant to.
            let strike = number % Self::STRIKE < 2 && self.struck.keys().all(|id| !self.running.contains(id));
            let order = if strike { inside(ground, side) } else { ground.resting(side) };
            let part = ground.amount(ground.middle, 2);
            let id = desk.connector.place(order)?;
            if strike {
                self.struck.insert(id.clone(), (side, part));
            }
            self.running.insert(id.clone());
            self.ids.push(id);
        }
        Ok(())
    }

    /// Acts on what has happened; whether anything of these orders had.
    fn follow(&mut self, bench: &Bench, desk: &Desk, ground: &Ground) -> Result<bool, Failure> {
        let mut moved = false;
        for event in desk.seen.iter().skip(self.read) {
            let Some(id) = event.order().map(|order| &order.client_order_id) else { continue };
            moved = true;
            if matches!(event, Event::OrderCreated(_)) {
                if let Some((side, part)) = self.struck.get(id) {
                    bench.take(ground, side.opposite(), *part)?;
                }
                desk.connector.cancel(id)?;
            }
            if event.is_terminal() {
                self.running.remove(id);
            }
        }
        self.read = desk.seen.len();
        Ok(moved)
    }
}

/// An order better than the house's quotes, three times what the house takes of it.
fn inside(ground: &Ground, side: Side) -> NewOrder {
    let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
    let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
    NewOrder::limit(ground.pair.clone(), side, ground.amount(ground.middle, 2) * Decimal::from(3), price)
}

/// SQ-16.
///
/// # Errors
/// The cycle that is stuck or lost, the fill or balance that differs, the limit that was broken or not used.
pub async fn fast_refresh(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let desk = bench.desk().await?;
    let connector = desk.connector.clone();
    let (judged, charts) = gauge::beside(&bench, &connector, refresh(&bench, desk)).await;
    Ok(charts.into_iter().fold(judged?, Evidence::with))
}

async fn refresh(bench: &Bench, mut desk: Desk) -> Judgement {
    let pool = order_pool(bench)?;
    let ground = bench.ground()?.clone();
    clear_of_edge(pool).await;
    let mut cycles =
        Cycles { ids: Vec::new(), running: BTreeSet::new(), struck: BTreeMap::new(), read: desk.seen.len() };
    let start = Instant::now();
    let mut moved = start;
    let all = Cycles::all(pool);
    while cycles.ids.len() < all || !cycles.running.is_empty() {
        cycles.feed(&desk, &ground, all)?;
        desk.listen(GLANCE).await?;
        if cycles.follow(bench, &desk, &ground)? {
            moved = Instant::now();
        }
        ensure(moved.elapsed() < STANDSTILL, || {
            format!("{} of {} orders are stuck", cycles.running.len(), cycles.ids.len())
        })?;
    }
    let took = start.elapsed();
    bench.balances_agree(&desk.connector).await?;
    let orders = ledger_orders(bench);
    ensure(orders.len() == cycles.ids.len(), || {
        let why = refusal(&desk);
        format!("{} orders placed, {} at the venue: {why}", cycles.ids.len(), orders.len())
    })?;
    let fills = cycles.ids.iter().map(|id| compare(bench, &desk, id, orders.get(id.as_str())));
    let fills: usize = fills.sum::<Result<usize, Failure>>()?;
    ensure(fills >= cycles.struck.len(), || format!("{fills} fills of {} orders", cycles.struck.len()))?;
    let open = (desk.connector.open_orders().len(), bench.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders open here and at the venue"))?;
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    violations(bench)?;
    let (windows, table) = saturation(pool, orders.values())?;
    let least = windows.iter().min().copied().unwrap_or_default();
    let admitted = per_window(pool)?;
    ensure(least * 100 >= admitted * 95, || {
        format!("a full window used {least} of {admitted} orders of {}, less than 95 %", pool.name)
    })?;
    Ok(Evidence::new(format!(
        "{} create/cancel cycles over loopback in {}, {fills} fills kept, balances exact; {} full windows of {} s under \
         saturation used at least {least} of {} orders each; 0 violations counted",
        cycles.ids.len(),
        human(took),
        windows.len(),
        pool.window.period().as_secs(),
        admitted,
    ))
    .with(table))
}

/// How many orders a limit that is always used up admits in each of its periods.
fn per_window(pool: &Pool) -> Result<u32, Failure> {
    match pool.window {
        Window::Fixed(_) | Window::Rolling(_) => Ok(pool.limit),
        Window::Bucket { units, .. } | Window::Decay { units, .. } => Ok(units),
        Window::Concurrent => Err(Failure::new("the venue limits orders under way, not orders over time")),
    }
}

/// Compares one ended order with the ledger's; its fills.
fn compare(bench: &Bench, desk: &Desk, id: &ClientOrderId, there: Option<&Order>) -> Result<usize, Failure> {
    let there = there.ok_or_else(|| Failure(format!("the venue never had {id}")))?;
    desk.well_formed(id)?;
    let end = of(&desk.seen, id).find(|event| event.is_terminal());
    let right = match end {
        Some(Event::OrderCancelled(end)) => {
            there.state == OrderState::Cancelled && end.executed.base == there.filled && end.requested
        }
        Some(Event::OrderCompleted(_)) => there.state == OrderState::Filled,
        _ => false,
    };
    ensure(right, || format!("{id} is {} with {} filled, told was {end:?}", there.state, there.filled))?;
    let told: Vec<_> = desk.fills(id).iter().map(|fill| (fill.trade_id.to_string(), fill.amount)).collect();
    if there.filled.is_zero() && told.is_empty() {
        return Ok(0);
    }
    let happened: Vec<_> =
        bench.executions_of(id).iter().map(|fill| (fill.trade_id.to_string(), fill.amount)).collect();
    ensure(told == happened, || format!("fills of {id} told {told:?}, happened {happened:?}"))?;
    Ok(told.len())
}

/// How many orders the venue took in each full window, by the times of its ledger.
fn saturation<'o>(
    pool: &Pool,
    orders: impl Iterator<Item = &'o Order>,
) -> Result<(Vec<u32>, Detail), Failure> {
    let admitted = per_window(pool)?;
    let times: Vec<i64> = orders.map(|order| order.created.0).collect();
    let first = times.iter().min().copied().unwrap_or_default();
    // Where windows are not the venue's fixed ones any will do; the first begins with the first order.
    let origin = if matches!(pool.window, Window::Fixed(_)) { 0 } else { first };
    let period = pool.window.period();
    let period = i64::try_from(period.as_nanos()).unwrap_or(i64::MAX).max(1);
    let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
    for time in times {
        *counts.entry((time - origin).div_euclid(period)).or_default() += 1;
    }
    // The first and the last window were not full of our own trying.
    let (begin, end) = (counts.keys().next().copied(), counts.keys().next_back().copied());
    let full = |window: &i64| Some(*window) != begin && Some(*window) != end;
    let windows: Vec<u32> = match (begin, end) {
        (Some(begin), Some(end)) => {
            (begin..=end).filter(full).map(|window| counts.get(&window).copied().unwrap_or(0)).collect()
        }
        _ => Vec::new(),
    };
    ensure(!windows.is_empty(), || "the cycles did not last for a full window of the limit".to_owned())?;
    let rows = counts.iter().map(|(window, count)| {
        let kind = if full(window) { "full" } else { "begun or ended within" };
        vec![kind.to_owned(), count.to_string(), admitted.to_string()]
    });
    let head = ["window", "orders taken", "limit"].map(str::to_owned).to_vec();
    Ok((windows, Detail::Table { title: "The venue's windows".to_owned(), head, rows: rows.collect() }))
}

/// Why the first order that failed did.
fn refusal(desk: &Desk) -> String {
    let failed = desk.seen.iter().find_map(|event| match event {
        Event::OrderFailed(failed) => Some(failed.error.to_string()),
        _ => None,
    });
    failed.unwrap_or_else(|| "none failed".to_owned())
}

fn created(seen: &[Event]) -> BTreeSet<ClientOrderId> {
    let created = seen.iter().filter_map(|event| match event {
        Event::OrderCreated(created) => Some(created.order.client_order_id.clone()),
        _ => None,
    });
    created.collect()
}

/// SQ-17.
///
/// # Errors
/// The warning that did not come, the cancel that waited, the stream that broke, the limit that was.
pub async fn rate_limit(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let desk = bench.desk().await?;
    let connector = desk.connector.clone();
    let (judged, charts) = gauge::beside(&bench, &connector, saturate(&bench, desk)).await;
    Ok(charts.into_iter().fold(judged?, Evidence::with))
}

async fn saturate(bench: &Bench, mut desk: Desk) -> Judgement {
    const CANCELS: usize = 10;
    let pool = order_pool(bench)?;
    let ground = bench.ground()?.clone();
    clear_of_edge(pool).await;
    let count = usize::try_from(pool.limit + pool.limit / 5).unwrap_or(usize::MAX);
    let start = Instant::now();
    let mut ids = Vec::new();
    for number in 0..count {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        // On several markets, each of which takes only so many open orders.
        let market = bench.grounds.get(number / 2 % bench.grounds.len()).unwrap_or(&ground);
        ids.push(desk.connector.place(market.resting(side))?);
    }
    let enough = usize::try_from(pool.limit * 95 / 100).unwrap_or(usize::MAX);
    desk.until("orders up to the limit", |seen, _| (created(seen).len() >= enough).then_some(())).await?;
    desk.listen(Duration::from_millis(300)).await?;
    let at_limit = created(&desk.seen);
    let waiting: Vec<_> = ids.iter().filter(|id| !at_limit.contains(*id)).cloned().collect();
    ensure(!waiting.is_empty(), || format!("{count} orders went out at once, the limit is {}", pool.limit))?;
    let warned = desk.seen.iter().find_map(|event| match event {
        Event::LimitWarning { pool: name, used, limit, .. } if *name == pool.name => Some((*used, *limit)),
        _ => None,
    });
    let (used, limit) =
        warned.ok_or_else(|| Failure(format!("no warning that {} is nearly used up", pool.name)))?;
    // Cancels pass the creates that wait.
    let asked = Instant::now();
    for id in at_limit.iter().take(CANCELS) {
        desk.connector.cancel(id)?;
    }
    for id in at_limit.iter().take(CANCELS) {
        desk.ended(id).await?;
    }
    let passed = asked.elapsed();
    ensure(created(&desk.seen).len() == at_limit.len(), || "creates went out before the cancels".to_owned())?;
    streams_live(bench, &mut desk, &ground).await?;
    let last = start + STANDSTILL;
    while created(&desk.seen).len() < ids.len() {
        desk.listen(GLANCE).await?;
        ensure(Instant::now() < last, || {
            let why = refusal(&desk);
            format!("{} of {count} orders were created in the end: {why}", created(&desk.seen).len())
        })?;
    }
    let waited = start.elapsed();
    violations(bench)?;
    desk.connector.cancel_all();
    for id in &ids {
        let end = desk.ended(id).await?;
        ensure(matches!(end, Event::OrderCancelled(_)), || format!("{id} ended as {end:?}"))?;
    }
    bench.balances_agree(&desk.connector).await?;
    violations(bench)?;
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    Ok(Evidence::new(format!(
        "warned at {used} of {limit}; {} of {count} orders went out, {} waited for up to {}; {CANCELS} cancels passed them in \
         {}; streams stayed live; 0 violations counted",
        at_limit.len(),
        waiting.len(),
        human(waited),
        human(passed),
    )))
}

/// The public stream tells of a trade that happens now, the private one has just told of cancels, and none was ever down.
async fn streams_live(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<(), Failure> {
    let before = desk.seen.len();
    bench.take(ground, Side::Buy, ground.amount(ground.middle, 2))?;
    desk.until("a public trade", |seen, _| {
        seen.iter().skip(before).any(|event| matches!(event, Event::Traded { .. })).then_some(())
    })
    .await?;
    let down =
        desk.seen.iter().find(|event| matches!(event, Event::LinkChanged { state: LinkState::Down, .. }));
    ensure(down.is_none(), || format!("a stream did not stay connected: {down:?}"))
}

/// What the connector's account can spend, by asset.
fn available(desk: &Desk) -> BTreeMap<Asset, Decimal> {
    desk.connector.balances().into_iter().map(|(asset, held)| (asset, held.available)).collect()
}

/// Orders of which each takes two fifths of what there is: the third is too large.
fn too_much(bench: &Bench, desk: &Desk, ground: &Ground, side: Side) -> Vec<Candidate> {
    let price = ground.price(if side == Side::Buy { 90 } else { 110 });
    let pair = &ground.pair;
    let funds = desk.connector.balance(&ground.spends(side)).available;
    let amount = bench.affords(ground, side, price, funds) * Decimal::new(4, 1);
    vec![Candidate::limit(pair.clone(), side, amount, price); 3]
}

/// The connector's answer, and what it leaves of each asset.
fn judge_budget(
    desk: &Desk,
    candidates: &[Candidate],
    mode: Mode,
) -> (Vec<Adjusted>, BTreeMap<Asset, Decimal>) {
    let mut left = available(desk);
    let adjusted = desk.connector.budget(candidates, mode);
    for (asset, cost) in adjusted.iter().flat_map(|one| &one.cost) {
        *left.entry(asset.clone()).or_default() -= *cost;
    }
    (adjusted, left)
}

/// Fees that are in the costs and that the venue does not set aside: those of contracts.
fn unlocked_fees(ground: &Ground, adjusted: &[Adjusted], asset: &Asset) -> Decimal {
    let fees = adjusted.iter().filter(|one| one.refused.is_none()).flat_map(|one| &one.fees);
    let fees = fees.filter(|fee| ground.collateral.is_some() && fee.asset == *asset);
    fees.map(|fee| fee.amount).sum()
}

/// SQ-21.
///
/// # Errors
/// The order that was adjusted wrongly, by the venue's word or its ledger's.
pub async fn budget(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let before = bench.balances();
    let mut rows = Vec::new();
    for (mode, side) in [Mode::AllOrNone, Mode::Partial]
        .into_iter()
        .flat_map(|mode| [Side::Buy, Side::Sell].map(|side| (mode, side)))
    {
        bench.balances_agree(&desk.connector).await?;
        let candidates = too_much(&bench, &desk, &ground, side);
        let (adjusted, left) = judge_budget(&desk, &candidates, mode);
        let refused = adjusted.iter().filter(|one| one.refused.is_some()).count();
        let resized = adjusted.iter().filter(|one| one.resized).count();
        let wanted = if mode == Mode::AllOrNone { (1, 0) } else { (0, 1) };
        ensure((refused, resized) == wanted, || {
            format!("{mode:?} {side}: {refused} refused and {resized} resized of three orders of 40 % each")
        })?;
        let cause = adjusted.iter().find_map(|one| one.refused.as_ref()).map(|error| error.cause);
        ensure(cause.is_none_or(|cause| cause == Cause::InsufficientBalance), || {
            format!("{mode:?} {side}: refused for {cause:?}")
        })?;
        let mut ids = Vec::new();
        for one in adjusted.iter().filter(|one| one.refused.is_none()) {
            let id = desk.connector.place(one.candidate.order())?;
            desk.created(&id).await?;
            ids.push(id);
        }
        // The ledger has exactly as much left as the budget said.
        bench.balances_agree(&desk.connector).await?;
        for (asset, held) in bench.balances() {
            let told =
                left.get(&asset).copied().unwrap_or_default() + unlocked_fees(&ground, &adjusted, &asset);
            ensure(held.available == told, || {
                format!("{mode:?} {side}: {told} {asset} should be left, the ledger has {}", held.available)
            })?;
        }
        let spent = ground.spends(side);
        too_large(&mut desk, &candidates).await?;
        for id in &ids {
            desk.connector.cancel(id)?;
            desk.ended(id).await?;
        }
        bench.balances_agree(&desk.connector).await?;
        ensure(bench.balances() == before, || "the ledger did not return to what it was".to_owned())?;
        let amounts: Vec<_> =
            adjusted.iter().map(|one| one.candidate.amount.normalize().to_string()).collect();
        let rest = left.get(&spent).copied().unwrap_or_default();
        rows.push(vec![
            format!("{mode:?} {side}"),
            amounts.join(", "),
            format!("{} {spent}", rest.normalize()),
        ]);
    }
    let text = "of three orders of 40 % of a balance the third is dropped (all or none) or made smaller (partial); the venue took \
                what was left over, and its ledger has exactly the rest that was told";
    let head = ["mode", "amounts after adjusting", "left"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Adjusted".to_owned(), head, rows }))
}

/// The order that the budget dropped or made smaller is indeed more than the account can pay.
async fn too_large(desk: &mut Desk, candidates: &[Candidate]) -> Result<(), Failure> {
    let Some(last) = candidates.last() else { return Ok(()) };
    let cause = match desk.connector.place(last.order()) {
        Err(error) => error.cause,
        Ok(id) => match desk.ended(&id).await? {
            Event::OrderFailed(failed) => failed.error.cause,
            other => return Err(Failure(format!("an order beyond the budget ended as {other:?}"))),
        },
    };
    ensure(cause == Cause::InsufficientBalance, || {
        format!("an order beyond the budget was refused for {cause:?}")
    })
}
