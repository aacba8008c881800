//! What rows prove with processes of their own, on real sockets, in real time, with the journal on disk.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connector_core::journal::{Filter, History as _, SqliteHistory};
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{ClientOrderId, Decimal};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{Execution, Order, Submit, Which};

use super::restart::{Dice, judge};
use crate::bench::{Bench, Failure, Ground, PATIENCE, ensure};
use crate::bot::{self, Job, Process, Said, State, Wish};
use crate::kit::Kit;
use crate::scratch::Scratch;

/// Kills of XQ-08 by the system.
const KILLS: usize = 50;
/// Orders under way together in one process.
const TOGETHER: usize = 6;
/// How often a state that has no event of its own is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a killed process is to do: buys and sells, most far from the market, some where the house meets them.
fn job(bench: &Bench, ground: &Ground, files: &Scratch, name: &str) -> Result<Job, Failure> {
    let urls = crate::bench::urls(&bench.server);
    let credentials = bench.credentials();
    let order = |order: NewOrder| Wish::of(&order).ok_or_else(|| Failure::new("not a limit order"));
    Ok(Job {
        rest: urls.rest,
        links: urls.links,
        key: credentials.key.clone(),
        secret: credentials.secret.expose().to_owned(),
        passphrase: credentials.passphrase.as_ref().map(|passphrase| passphrase.expose().to_owned()),
        pair: ground.pair.clone(),
        journal: files.file(format!("{name}.sqlite")),
        orders: [
            ground.resting(Side::Buy),
            inside(ground, Side::Sell),
            ground.resting(Side::Sell),
            inside(ground, Side::Buy),
        ]
        .into_iter()
        .map(order)
        .collect::<Result<_, _>>()?,
        together: TOGETHER,
        cycles: usize::MAX / 2,
        hold: 0,
    })
}

/// What the house takes of an order at once.
fn part(ground: &Ground) -> Decimal {
    ground.amount(ground.middle, 2)
}

/// An order better than the house's quotes, of three parts.
fn inside(ground: &Ground, side: Side) -> NewOrder {
    let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
    let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
    NewOrder::limit(ground.pair.clone(), side, part(ground) * Decimal::from(3), price)
}

/// The account's orders, live and ended, by the ledger.
fn orders(bench: &Bench) -> Vec<Order> {
    bench.look(|exchange| {
        exchange.all_orders(bench.account, &HistoryQuery::default()).into_iter().cloned().collect()
    })
}

/// The account's executions, by the ledger.
fn executions(bench: &Bench) -> Vec<Execution> {
    bench.look(|exchange| {
        exchange.fills(bench.account, &HistoryQuery::default()).into_iter().cloned().collect()
    })
}

/// The house takes parts of live orders within its quotes, of those whose number the dice choose.
fn strike(bench: &Bench, ground: &Ground, dice: &mut Dice, one_in: u64) -> Result<(), Failure> {
    for order in bench.open_orders() {
        if order.price == inside(ground, order.side).price && dice.below(one_in) == 0 {
            // Of the same price an earlier one may be met instead; that is one of the account's as well.
            let amount = part(ground).min(order.remaining());
            bench.take(ground, order.side.opposite(), amount)?;
        }
    }
    Ok(())
}

/// Somebody cancels one of the orders by hand.
fn cancel_by_hand(bench: &Bench, dice: &mut Dice) -> Result<(), Failure> {
    let open = bench.open_orders();
    let index = usize::try_from(dice.below(u64::try_from(open.len()).unwrap_or_default()));
    let Some(order) = open.get(index.unwrap_or_default()) else { return Ok(()) };
    bench.server.with(|venue, now| {
        let which = Which::Id(order.id);
        let cancelled = venue.exchange_mut().cancel(bench.account, &order.symbol, &which, None);
        venue.advance(now);
        cancelled.map(drop).map_err(Failure::new)
    })
}

/// What a process knows, held against the ledger. An order whose intent alone is known may not have reached the venue: until
/// that is proven it stands as unknown, and its money as reserved.
fn compare(bench: &Bench, state: &State, settled: bool) -> Result<(), Failure> {
    let live = bench.open_orders();
    for order in &live {
        let known = state.open.iter().find(|known| known.id.as_str() == order.client_id);
        let right = known.is_some_and(|known| known.executed == order.filled);
        ensure(right, || {
            format!("{} is open with {} filled, known as {known:?}", order.client_id, order.filled)
        })?;
    }
    for known in &state.open {
        let open = live.iter().any(|order| order.client_id == known.id.as_str());
        let doubted = !settled && matches!(known.state, OrderState::PendingCreate | OrderState::Unknown);
        ensure(open || doubted, || format!("{known:?} is not open at the venue"))?;
    }
    for (asset, ledger) in bench.balances() {
        let (total, available) = state.balances.get(&asset).copied().unwrap_or_default();
        ensure(total == ledger.total && (!settled || available == ledger.available), || {
            format!("{asset}: known {total} and {available}, the ledger has {ledger:?}")
        })?;
    }
    Ok(())
}

/// Waits until all that is known is the ledger's, and, if it is to be `settled`, nothing is in doubt: wishes to cancel of
/// the process before are carried out first.
async fn agree(bench: &Bench, bot: &mut Process, settled: bool) -> Result<(), Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        bot.tell(bot::Order::Look)?;
        match compare(bench, &bot.state().await?, settled) {
            Ok(()) => return Ok(()),
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Hears a process until all its cycles have ended, while the house trades with it; the orders it holds.
async fn done(
    bench: &Bench,
    ground: &Ground,
    bot: &mut Process,
    seed: u64,
) -> Result<BTreeSet<ClientOrderId>, Failure> {
    let mut dice = Dice(seed);
    loop {
        match bot.hear().await? {
            Said::Created(_) => strike(bench, ground, &mut dice, 3)?,
            Said::Done(held) => return Ok(held.into_iter().collect()),
            _ => {}
        }
    }
}

/// What the venue had and the file did not when the process was killed: orders' ends or acceptances, and fills.
fn missing(bench: &Bench, job: &Job) -> Result<usize, Failure> {
    let history = SqliteHistory::open(&job.journal)?;
    let fills = history.trades(&Filter::default())?.len();
    let ended = history.orders(&Filter::default())?;
    let ended = ended.iter().filter(|order| order.status.is_terminal()).count();
    let over = orders(bench).iter().filter(|order| !order.is_live()).count();
    Ok((executions(bench).len() - fills.min(executions(bench).len())) + over.saturating_sub(ended))
}

/// What killing processes came to.
pub(super) struct Killed {
    /// How many were killed.
    pub(super) kills: usize,
    /// Of those, how many died with something done at the venue that the file did not have yet.
    pub(super) behind: usize,
    /// Of those, how many left orders open.
    pub(super) orphaned: usize,
    /// Orders compared.
    pub(super) orders: usize,
    /// Fills compared.
    pub(super) fills: usize,
    /// The longest time from a start to readiness.
    pub(super) slowest: Duration,
}

/// A process trades as in SQ-16, is killed by the system at a random moment, and is started again from its file; over and over.
pub(super) async fn killed(kit: &Kit) -> Result<Killed, Failure> {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let files = Scratch::new("killed").map_err(Failure::new)?;
    let mut job = job(&bench, &ground, &files, "killed")?;
    let mut dice = Dice(kit.seed);
    let (mut behind, mut orphaned, mut slowest) = (0, 0, Duration::ZERO);
    // Those that are left open are to be within the house's quotes.
    job.orders.rotate_left(1);
    for kill in 0..KILLS {
        let at = |failure: Failure| Failure(format!("after {kill} kills: {}", failure.0));
        (job.cycles, job.hold) = (usize::try_from(dice.below(20)).unwrap_or_default(), TOGETHER);
        let start = Instant::now();
        let mut bot = Process::start(&kit.runner, &job)?;
        bot.state().await.map_err(at)?;
        slowest = slowest.max(start.elapsed());
        agree(&bench, &mut bot, false).await.map_err(at)?;
        bot.tell(bot::Order::Trade)?;
        for _ in 0..1 + dice.below(3 * u64::try_from(TOGETHER).unwrap_or_default()) {
            match bot.hear().await.map_err(at)? {
                Said::Created(_) => strike(&bench, &ground, &mut dice, 3)?,
                Said::Done(_) => break,
                _ => {}
            }
        }
        // Just after it has said something, or some time later.
        if dice.below(2) == 0 {
            tokio::time::sleep(Duration::from_micros(dice.below(3_000))).await;
        }
        bot.kill().map_err(at)?;
        behind += usize::from(missing(&bench, &job)? > 0);
        orphaned += usize::from(!bench.open_orders().is_empty());
        // The market goes on without it.
        strike(&bench, &ground, &mut dice, 2)?;
        if dice.below(3) == 0 {
            cancel_by_hand(&bench, &mut dice)?;
        }
        // As if a window had passed: what an address may spend is other rows' question.
        bench.server.with(|venue, _| venue.exchange_mut().limits_mut().reset());
    }
    (job.cycles, job.hold) = (40, 0);
    let mut bot = Process::start(&kit.runner, &job)?;
    agree(&bench, &mut bot, true).await?;
    bot.tell(bot::Order::Trade)?;
    done(&bench, &ground, &mut bot, kit.seed).await?;
    agree(&bench, &mut bot, true).await?;
    bot.stop().await?;
    ensure(bench.open_orders().is_empty(), || "a graceful stop left orders at the venue".to_owned())?;
    let orders = orders(&bench);
    let fills = judge(&SqliteHistory::open(&job.journal)?, &orders, &executions(&bench))?;
    ensure(behind > 0 && orphaned > 0 && fills > KILLS, || {
        format!(
            "{behind} kills with a file behind, {orphaned} with orders left and {fills} fills prove nothing"
        )
    })?;
    Ok(Killed { kills: KILLS, behind, orphaned, orders: orders.len(), fills, slowest })
}

/// What two processes on one key came to.
pub(super) struct Apart {
    /// Orders of both.
    pub(super) orders: usize,
    /// Fills of both.
    pub(super) fills: usize,
}

/// Two processes begin at the same moment on one key, each with a file of its own and nothing that tells them apart but what
/// they make of it themselves; beside them lies an order placed by hand.
pub(super) async fn apart(kit: &Kit) -> Result<Apart, Failure> {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let files = Scratch::new("apart").map_err(Failure::new)?;
    let far = Wish::of(&ground.resting(Side::Sell)).ok_or_else(|| Failure::new("not a limit order"))?;
    let by_hand = Submit::limit(&ground.symbol, far.side, far.price, far.amount);
    let by_hand = bench.house(bench.account, &by_hand)?.order;
    let named = |name: &str| job(&bench, &ground, &files, name);
    let jobs = [named("one")?, named("other")?].map(|job| Job { cycles: 20, hold: 3, ..job });
    let [mut one, mut other] =
        [Process::start(&kit.runner, &jobs[0])?, Process::start(&kit.runner, &jobs[1])?];
    for bot in [&mut one, &mut other] {
        compare_but(&bench, &bot.state().await?, &by_hand)?;
    }
    one.tell(bot::Order::Trade)?;
    other.tell(bot::Order::Trade)?;
    let held = tokio::try_join!(
        done(&bench, &ground, &mut one, kit.seed),
        done(&bench, &ground, &mut other, kit.seed + 1)
    )?;
    let hand = BTreeSet::from([by_hand.client_id.to_string()]);
    let texts = |ids: &BTreeSet<ClientOrderId>| ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let open =
        || bench.open_orders().into_iter().map(|order| order.client_id.to_string()).collect::<BTreeSet<_>>();
    let mut left: BTreeSet<_> = &(&texts(&held.0) | &texts(&held.1)) | &hand;
    ensure(held.0.is_disjoint(&held.1) && open() == left, || {
        format!("open are {:?}, left open by two processes and by hand {left:?}", open())
    })?;
    // One that finds all these at its start.
    let mut late = Process::start(&kit.runner, &named("late")?)?;
    let taken = late.state().await?.open;
    ensure(taken.is_empty(), || format!("a process that started later took up {taken:?}"))?;
    late.stop().await?;
    for (bot, held) in [(&mut one, &held.0), (&mut other, &held.1)] {
        bot.stop().await?;
        left = &left - &texts(held);
        ensure(open() == left, || {
            format!("after one has stopped open are {:?}, should be {left:?}", open())
        })?;
    }
    let theirs = orders(&bench).into_iter().find(|order| order.id == by_hand.id);
    ensure(theirs.as_ref() == Some(&by_hand), || format!("the order placed by hand is {theirs:?}"))?;
    let mut own = Vec::new();
    let mut fills = 0;
    for (bot, job) in [(&one, &jobs[0]), (&other, &jobs[1])] {
        let history = SqliteHistory::open(&job.journal)?;
        let ids: BTreeSet<_> =
            history.orders(&Filter::default())?.into_iter().map(|order| order.client_order_id).collect();
        let foreign = bot.heard.iter().filter_map(Said::order).find(|id| !ids.contains(id));
        ensure(foreign.is_none(), || format!("a process told of {foreign:?}, which its file does not have"))?;
        let mine = |id: &str| ids.iter().any(|own| own.as_str() == id);
        let orders: Vec<_> = orders(&bench).into_iter().filter(|order| mine(&order.client_id)).collect();
        let executed: Vec<_> = executions(&bench).into_iter().filter(|fill| mine(&fill.client_id)).collect();
        fills += judge(&history, &orders, &executed)?;
        own.push(ids);
    }
    let count: usize = own.iter().map(BTreeSet::len).sum();
    let all: BTreeSet<_> = own.iter().flatten().map(ToString::to_string).chain(hand).collect();
    let there: BTreeSet<_> = orders(&bench).iter().map(|order| order.client_id.to_string()).collect();
    ensure(all.len() == count + 1 && all == there, || {
        format!(
            "two files have {count} orders, {} different ones; the venue has {}",
            all.len() - 1,
            there.len()
        )
    })?;
    let happened = executions(&bench).len();
    ensure(fills == happened && fills > 0, || format!("two files have {fills} fills, {happened} happened"))?;
    Ok(Apart { orders: count, fills })
}

/// As [`compare`], before anything was traded: the order placed by hand is nobody's.
fn compare_but(bench: &Bench, state: &State, by_hand: &Order) -> Result<(), Failure> {
    ensure(state.open.is_empty(), || {
        format!("a process took up {:?}; placed by hand was {}", state.open, by_hand.client_id)
    })?;
    for (asset, ledger) in bench.balances() {
        let known = state.balances.get(&asset).copied().unwrap_or_default();
        ensure(known == (ledger.total, ledger.available), || {
            format!("{asset}: known {known:?}, the ledger has {ledger:?}")
        })?;
    }
    Ok(())
}
