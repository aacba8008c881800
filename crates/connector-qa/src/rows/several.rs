//! Rows about several of something: connectors on one key, markets, bots on one account.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::event::LinkState;
use connector_core::journal::{Filter, History as _, SqliteHistory};
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{ClientOrderId, Decimal, Event};
use connector_venue::ledger::HistoryQuery;
use connector_venue::setup::{MarketStatus, Setup};

use super::processes;
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, PATIENCE, Plan, ensure, main_key, of};
use crate::kit::Kit;
use crate::report::Detail;
use crate::scratch::Scratch;

/// How long is listened for what must not come.
const SILENCE: Duration = Duration::from_millis(250);

/// Beyond the house's best quotes by one per cent: filled at once.
fn crossing(ground: &Ground, side: Side) -> NewOrder {
    let price = ground.price(if side == Side::Buy { 101 } else { 99 });
    NewOrder::limit(ground.pair.clone(), side, ground.amount(ground.middle, 2), price)
}

/// Orders whose events a connector told of.
fn told_of(desk: &Desk) -> BTreeSet<ClientOrderId> {
    desk.seen.iter().filter_map(|event| event.order().map(|order| order.client_order_id.clone())).collect()
}

fn fills_equal(bench: &Bench, desk: &Desk, id: &ClientOrderId) -> Result<usize, Failure> {
    let sorted = |mut list: Vec<(String, Decimal, Decimal)>| {
        list.sort();
        list
    };
    let told = desk.fills(id).into_iter().map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount));
    let happened =
        bench.executions_of(id).into_iter().map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount));
    let (told, happened) = (sorted(told.collect()), sorted(happened.collect()));
    ensure(told == happened, || format!("fills of {id} told {told:?}, happened {happened:?}"))?;
    Ok(told.len())
}

fn stayed_connected(desk: &Desk) -> Result<(), Failure> {
    let down =
        desk.seen.iter().find(|event| matches!(event, Event::LinkChanged { state: LinkState::Down, .. }));
    ensure(down.is_none(), || format!("a stream was lost: {down:?}"))
}

/// SQ-03.
///
/// # Errors
/// What one of the two could not do, or heard of the other.
pub async fn same_key(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let mut desks = [bench.desk().await?, bench.desk().await?];
    let mut own: Vec<BTreeSet<ClientOrderId>> = Vec::new();
    for desk in &mut desks {
        let mut ids = BTreeSet::new();
        for side in [Side::Buy, Side::Sell] {
            let id = desk.connector.place(ground.resting(side))?;
            desk.created(&id).await?;
            ids.insert(id);
            let id = desk.connector.place(crossing(&ground, side))?;
            let end = desk.ended(&id).await?;
            ensure(matches!(end, Event::OrderCompleted(_)), || format!("{id} ended as {end:?}"))?;
            ids.insert(id);
        }
        own.push(ids);
    }
    for (desk, ids) in desks.iter_mut().zip(&own) {
        // Each other's orders change the balances of both.
        bench.balances_agree(&desk.connector).await?;
        for id in ids {
            fills_equal(&bench, desk, id)?;
        }
        let asked: BTreeSet<_> = desk.connector.cancel_all().into_iter().collect();
        ensure(asked.len() == 2 && asked.is_subset(ids), || format!("cancel_all named {asked:?}"))?;
        for id in &asked {
            desk.ended(id).await?;
        }
    }
    for (desk, ids) in desks.iter_mut().zip(&own) {
        desk.listen(SILENCE).await?;
        ensure(told_of(desk) == *ids, || "events about the other instance's orders".to_owned())?;
        ensure(desk.connector.is_ready(), || "an instance is not ready any more".to_owned())?;
        stayed_connected(desk)?;
        bench.balances_agree(&desk.connector).await?;
        let problems = desk.problems();
        ensure(problems.is_empty(), || problems.join("; "))?;
    }
    let open = bench.open_orders().len();
    ensure(open == 0, || format!("{open} orders left at the venue"))?;
    Ok(Evidence::new(
        "two connectors on one key: both ready throughout, each placed, was filled and cancelled, heard of its own orders only, \
         and has the ledger's balances",
    ))
}

/// Gives the account enough of both assets of every market that trades, or of its collateral.
fn endow(setup: &mut Setup) {
    let Some(key) = main_key(setup) else { return };
    let markets: Vec<_> =
        setup.markets.iter().filter(|market| market.status == MarketStatus::Trading).cloned().collect();
    let Some(account) = setup.accounts.iter_mut().find(|account| account.id == key.account) else { return };
    for market in markets {
        let quote = market.rules.min_notional * Decimal::from(10_000);
        let base = (quote / market.reference_price / market.rules.step).ceil() * market.rules.step;
        let assets = match market.contract {
            Some(contract) => vec![(contract.collateral, quote)],
            None => vec![(market.base, base.max(market.rules.min_amount)), (market.quote, quote)],
        };
        for (asset, amount) in assets {
            if !account.balances.iter().any(|(held, _)| *held == asset) {
                account.balances.push((asset, amount));
            }
        }
    }
}

/// SQ-07.
///
/// # Errors
/// The market on which something does not work.
pub async fn any_market(kit: Kit) -> Judgement {
    let bench = kit.quiet_with(endow).await?;
    let pairs = bench.grounds.iter().map(|ground| ground.pair.clone()).collect();
    let mut desk = bench.desk_of(Plan { pairs, ..bench.plan() }).await?;
    let mut rows = Vec::new();
    for ground in &bench.grounds {
        let told = |failure: Failure| Failure(format!("{}: {}", ground.pair, failure.0));
        rows.push(one_market(&bench, &mut desk, ground).await.map_err(told)?);
    }
    let listed = bench.look(|exchange| {
        exchange.markets().iter().filter(|market| market.status == MarketStatus::Trading).count()
    });
    ensure(rows.len() == listed, || format!("{} of {listed} markets were tried", rows.len()))?;
    let (least, most) = (
        bench.grounds.iter().map(|ground| ground.middle).min().unwrap_or_default(),
        bench.grounds.iter().map(|ground| ground.middle).max().unwrap_or_default(),
    );
    let text = format!(
        "book, trades, order, fill and cancel work on all {listed} markets that trade, with prices from {} to {}",
        least.normalize(),
        most.normalize()
    );
    let head =
        ["pair", "venue's symbol", "price", "tick", "step", "resting amount"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Markets".to_owned(), head, rows }))
}

async fn one_market(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<Vec<String>, Failure> {
    let pair = &ground.pair;
    let rule = desk.connector.trading_rule(pair).ok_or_else(|| Failure::new("no trading rule"))?;
    let rules = (rule.price_step, rule.amount_step, rule.min_notional);
    let theirs = (Some(ground.rules.tick), Some(ground.rules.step), Some(ground.rules.min_notional));
    ensure(rules == theirs, || format!("tick, step and least notional are {rules:?}, should be {theirs:?}"))?;
    let mut cancelled = None;
    for side in [Side::Buy, Side::Sell] {
        let order = ground.resting(side);
        let id = desk.connector.place(order.clone())?;
        desk.created(&id).await?;
        let there = bench.order_of(&id)?;
        ensure(
            (there.symbol == ground.symbol, there.price, there.amount) == (true, order.price, order.amount),
            || format!("{order:?} is at the venue as {there:?}"),
        )?;
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        let state = bench.order_of(&id)?.state;
        ensure(state == OrderState::Cancelled, || format!("{id} is {state} at the venue"))?;
        cancelled = Some(order.amount);
        let id = desk.connector.place(crossing(ground, side))?;
        let end = desk.ended(&id).await?;
        ensure(matches!(end, Event::OrderCompleted(_)), || format!("{id} ended as {end:?}"))?;
        fills_equal(bench, desk, &id)?;
        let trade = desk.fills(&id).first().map(|fill| fill.trade_id.clone());
        desk.until("the own trade in public", |seen, _| {
            let public = |event: &Event| {
                matches!(event, Event::Traded { pair: told, trade: public, .. } if told == pair && Some(&public.trade_id) == trade.as_ref())
            };
            seen.iter().any(public).then_some(())
        })
        .await?;
    }
    desk.until("the book to equal the venue's", |_, connector| {
        let ours = connector.order_book(pair, 1000)?;
        let theirs = bench.look(|exchange| exchange.depth(&ground.symbol, 1000))?;
        (ours.bids == theirs.bids && ours.asks == theirs.asks).then_some(())
    })
    .await?;
    bench.balances_agree(&desk.connector).await?;
    let cells = [ground.middle, ground.rules.tick, ground.rules.step, cancelled.unwrap_or_default()];
    let cells = cells.map(|value| value.normalize().to_string());
    Ok([pair.to_string(), ground.symbol.to_string()].into_iter().chain(cells).collect())
}

/// SQ-23.
///
/// # Errors
/// The order touched by another bot, the id given twice, the foreign fill in a history.
pub async fn many_bots(kit: Kit) -> Judgement {
    let text = bots(&kit).await?;
    let apart =
        processes::apart(&kit).await.map_err(|failure| Failure(format!("processes: {}", failure.0)))?;
    Ok(Evidence::new(format!(
        "{text}; the same of 2 processes begun at once beside an order placed by hand: {} orders, {} fills",
        apart.orders, apart.fills
    )))
}

/// Several in this process.
async fn bots(kit: &Kit) -> Result<String, Failure> {
    const BOTS: usize = 4;
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let files = Scratch::new("bots").map_err(Failure::new)?;
    let mut desks = Vec::new();
    for bot in 0..BOTS {
        let journal = Some(files.file(format!("bot-{bot}.sqlite")));
        desks.push(bench.desk_of(Plan { journal, ..bench.plan() }).await?);
    }
    // All place before anyone waits.
    let mut own: Vec<Vec<ClientOrderId>> = Vec::new();
    for desk in &desks {
        let mut ids = Vec::new();
        for side in [Side::Buy, Side::Sell, Side::Buy, Side::Sell] {
            ids.push(desk.connector.place(ground.resting(side))?);
            ids.push(desk.connector.place(crossing(&ground, side))?);
        }
        own.push(ids);
    }
    let all: BTreeSet<_> = own.iter().flatten().cloned().collect();
    let placed = own.iter().map(Vec::len).sum::<usize>();
    ensure(all.len() == placed, || format!("{placed} orders have {} ids", all.len()))?;
    for (desk, ids) in desks.iter_mut().zip(&own) {
        for resting in ids.iter().step_by(2) {
            desk.created(resting).await?;
        }
        for taking in ids.iter().skip(1).step_by(2) {
            desk.ended(taking).await?;
        }
    }
    // One after the other stops; the others' orders stay.
    for (bot, (desk, ids)) in desks.iter_mut().zip(&own).enumerate() {
        let asked: BTreeSet<_> = desk.connector.cancel_all().into_iter().collect();
        let resting: BTreeSet<_> = ids.iter().step_by(2).cloned().collect();
        ensure(asked == resting, || {
            format!("cancel_all of bot {bot} named {asked:?}, its own are {resting:?}")
        })?;
        for id in &asked {
            desk.ended(id).await?;
        }
        let open: BTreeSet<String> =
            bench.open_orders().into_iter().map(|order| order.client_id.to_string()).collect();
        let left: BTreeSet<String> =
            own.iter().skip(bot + 1).flat_map(|ids| ids.iter().step_by(2)).map(ToString::to_string).collect();
        ensure(open == left, || format!("after bot {bot} stopped, open are {open:?}, should be {left:?}"))?;
    }
    let mut fills = 0;
    for (bot, (mut desk, ids)) in desks.into_iter().zip(&own).enumerate() {
        desk.listen(Duration::from_millis(50)).await?;
        ensure(told_of(&desk) == ids.iter().cloned().collect(), || {
            format!("bot {bot} heard of foreign orders")
        })?;
        for id in ids {
            desk.well_formed(id)?;
            fills += fills_equal(&bench, &desk, id)?;
            ensure(of(&desk.seen, id).any(Event::is_terminal), || format!("{id} has not ended"))?;
        }
        bench.balances_agree(&desk.connector).await?;
        desk.connector.stop(PATIENCE).await?;
        own_history(&bench, &files, bot, ids)?;
    }
    let happened = bench.look(|exchange| exchange.fills(bench.account, &HistoryQuery::default()).len());
    ensure(fills == happened, || format!("{fills} fills told by all bots, {happened} happened"))?;
    Ok(format!(
        "{BOTS} bots on one account, {placed} orders with {} ids: each heard of, cancelled and recorded its own alone; their \
         {fills} fills are all of the account's",
        all.len(),
    ))
}

/// A bot's file holds its own orders and fills, and no others.
fn own_history(bench: &Bench, files: &Scratch, bot: usize, ids: &[ClientOrderId]) -> Result<(), Failure> {
    let history = SqliteHistory::open(files.file(format!("bot-{bot}.sqlite")))?;
    let orders = history.orders(&Filter::default())?;
    let recorded: BTreeSet<_> = orders.iter().map(|order| order.client_order_id.clone()).collect();
    ensure(recorded == ids.iter().cloned().collect() && orders.len() == ids.len(), || {
        format!("the history of bot {bot} has the orders {recorded:?}")
    })?;
    let trades = history.trades(&Filter::default())?;
    let happened: usize = ids.iter().map(|id| bench.executions_of(id).len()).sum();
    let foreign = trades.iter().find(|trade| !recorded.contains(&trade.row.client_order_id));
    ensure(foreign.is_none() && trades.len() == happened, || {
        format!("the history of bot {bot} has {} fills of {happened}; foreign: {foreign:?}", trades.len())
    })
}
