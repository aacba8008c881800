//! The row about several orders with one request.

use std::time::Duration;

use connector_core::order::{NewOrder, OrderType, Side};
use connector_core::{ClientOrderId, Effect, Error, Event};
use connector_venue::faults::{Fault, FaultRule};
use connector_venue::orders::Which;
use smol_str::SmolStr;

use super::faults::{LATE, losses};
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, Plan, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;

/// How many of each a request may hold.
#[derive(Clone, Copy)]
struct Most {
    placed: usize,
    cancelled: usize,
}

/// XQ-05.
///
/// # Errors
/// The order whose outcome is another than the ledger's, or the venue that has no such requests and does not say so.
pub async fn batch(kit: Kit) -> Judgement {
    let face = (kit.face)();
    let Some(declared) = &face.rest().batch else {
        return Err(Failure::new(
            "orders are placed one by one here: declare XQ-05 as not applicable, with the reason",
        ));
    };
    let most = Most { placed: declared.most_placed, cancelled: declared.most_cancelled };
    let mut rows = partly(&kit, most).await?;
    rows.push(many(&kit, most).await?);
    let mut timelines = Vec::new();
    for loss in losses() {
        let (row, timeline) = lost(&kit, loss).await?;
        rows.push(row);
        timelines.push(timeline);
    }
    let text = format!(
        "up to {} orders placed and {} cancelled with one request, each with an outcome of its own; {} ways to lose the answer \
         to either: each order found once, none doubled",
        most.placed,
        most.cancelled,
        timelines.len()
    );
    let head = ["what", "came of it"].map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Requests".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}

fn all(answers: Vec<Result<ClientOrderId, Error>>) -> Result<Vec<ClientOrderId>, Failure> {
    Ok(answers.into_iter().collect::<Result<_, _>>()?)
}

/// How many requests so many orders take: those for several, and those for one that is left.
const fn requests(orders: usize, most: usize) -> (usize, usize) {
    let (full, rest) = (orders / most, orders % most);
    (full + if rest > 1 { 1 } else { 0 }, if rest == 1 { 1 } else { 0 })
}

/// The same, as made.
fn made(bench: &Bench, several: &str, one: &str) -> (usize, usize) {
    (bench.requests(several), bench.requests(one))
}

/// Some that rest, one that is filled at once, one that only the venue can refuse, one that is refused here.
fn mixture(ground: &Ground) -> Vec<NewOrder> {
    let price = ground.price(101);
    let taking = NewOrder::limit(ground.pair.clone(), Side::Buy, ground.amount(price, 3), price);
    let passive = NewOrder { order_type: OrderType::LimitMaker, ..taking.clone() };
    let dust = NewOrder { amount: ground.rules.step / connector_core::Decimal::TEN, ..taking.clone() };
    let resting = ground.resting(Side::Buy);
    vec![resting.clone(), passive, dust, ground.resting(Side::Sell), taking, resting]
}

/// Success of a part, in placing and in cancelling.
async fn partly(kit: &Kit, most: Most) -> Result<Vec<Vec<String>>, Failure> {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let answers = desk.connector.place_many(mixture(&ground));
    let here: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.effect)).collect();
    ensure(here == [None, None, Some(Effect::NotSent), None, None, None], || {
        format!("refused here: {here:?}")
    })?;
    let ids: Vec<ClientOrderId> = answers.into_iter().flatten().collect();
    let [low, passive, high, taking, third] = ids.as_slice() else {
        return Err(Failure(format!("ids given: {ids:?}")));
    };
    for id in [low, high, third] {
        desk.created(id).await?;
        ensure(bench.order_of(id)?.is_live(), || format!("{id} does not rest"))?;
    }
    let refused = desk.ended(passive).await?;
    let rejected = matches!(&refused, Event::OrderFailed(failed) if failed.error.effect == Effect::Rejected);
    ensure(rejected && bench.orders_of(passive).iter().all(|order| order.filled.is_zero()), || {
        format!("the order only the venue can refuse ended as {refused:?}")
    })?;
    let filled = desk.ended(taking).await?;
    let order = bench.order_of(taking)?;
    ensure(matches!(filled, Event::OrderCompleted(_)) && order.filled == order.amount, || {
        format!("the order that takes ended as {filled:?}, at the venue {order:?}")
    })?;
    let placed = made(&bench, "place_many", "place");
    ensure(placed == requests(5, most.placed), || format!("{placed:?} requests for five orders"))?;
    // One of three is gone before the request arrives, and the news of it comes later.
    bench.delay_private(Duration::from_millis(300))?;
    let which = Which::Client(SmolStr::new(high.as_str()));
    let three = [low.clone(), high.clone(), third.clone()];
    let (gone, asked) = bench.server.with(|venue, now| {
        let gone = venue.exchange_mut().cancel(bench.account, &ground.symbol, &which, None).is_ok();
        let asked = desk.connector.cancel_many(&three);
        venue.advance(now);
        (gone, asked)
    });
    ensure(gone && asked.iter().all(Result::is_ok), || format!("cancelled elsewhere: {gone}, {asked:?}"))?;
    cancelled(&bench, &mut desk, &three).await?;
    let cancels = made(&bench, "cancel_many", "cancel");
    ensure(cancels == requests(3, most.cancelled), || format!("{cancels:?} requests for three cancels"))?;
    let unknown = desk.connector.cancel_many(&[ClientOrderId::new("nobody-1")]);
    ensure(unknown.len() == 1 && unknown.iter().all(Result::is_err), || {
        "a cancel of an unknown order was taken".to_owned()
    })?;
    settled(&bench, &desk).await?;
    let row = |what: &str, came: &str| vec![what.to_owned(), came.to_owned()];
    Ok(vec![
        row("six placed, one of them against a rule known here", "five sent, one answered with why not"),
        row("one of those refused by the venue", "failed; three rest, one is filled"),
        row("three cancelled, one of them gone already", "each ended once"),
    ])
}

/// More than one request holds, cancelled all together.
async fn many(kit: &Kit, most: Most) -> Result<Vec<String>, Failure> {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let count = most.placed.max(most.cancelled) + 2;
    let ids = all(desk.connector.place_many(vec![ground.resting(Side::Buy); count]))?;
    for id in &ids {
        desk.created(id).await?;
        bench.order_of(id)?;
    }
    desk.connector.cancel_all();
    cancelled(&bench, &mut desk, &ids).await?;
    let (placed, cancels) = (made(&bench, "place_many", "place"), made(&bench, "cancel_many", "cancel"));
    let expected = (requests(count, most.placed), requests(count, most.cancelled));
    ensure((placed, cancels) == expected, || {
        format!("{placed:?} and {cancels:?} requests for {count} orders")
    })?;
    settled(&bench, &desk).await?;
    Ok(vec![format!("{count} placed, all cancelled"), format!("{} and {} requests", placed.0, cancels.0)])
}

/// Both answers are lost, and where something was carried out the private stream tells of it late.
async fn lost(
    kit: &Kit,
    (name, fault, applied): (&'static str, Fault, bool),
) -> Result<(Vec<String>, Detail), Failure> {
    let bench = kit.quiet().await?;
    let plan = Plan { request_timeout: Duration::from_millis(500), ..bench.plan() };
    let mut desk = bench.desk_of(plan).await?;
    bench.connected(&mut desk).await?;
    if applied {
        bench.delay_private(LATE)?;
    }
    let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
    let ground = bench.ground()?.clone();
    let orders = [Side::Buy, Side::Sell, Side::Buy].map(|side| ground.resting(side)).to_vec();
    bench.arm(FaultRule::new(fault.clone()).on_row("place_many").times(1))?;
    let mut ids = all(desk.connector.place_many(orders.clone()))?;
    let mut live = Vec::new();
    for id in &ids {
        let outcome = desk
            .until("the outcome of a create", |seen, _| {
                let known = |event: &&Event| matches!(event, Event::OrderCreated(_)) || event.is_terminal();
                of(seen, id).find(known).cloned()
            })
            .await
            .map_err(told)?;
        let there = bench.orders_of(id).len();
        let right = match &outcome {
            Event::OrderCreated(_) => there == 1 && applied,
            Event::OrderFailed(_) => there == 0 && !applied,
            _ => false,
        };
        ensure(right, || format!("{name}: the venue has {there} such orders, told was {outcome:?}"))?;
        live.extend(matches!(outcome, Event::OrderCreated(_)).then_some(()));
    }
    let found = if live.is_empty() { "found not to exist" } else { "found live" };
    let sent = bench.requests("place_many") + bench.requests("place");
    ensure(sent <= 1, || format!("{name}: {sent} requests for one"))?;
    if live.is_empty() {
        ids = all(desk.connector.place_many(orders))?;
        for id in &ids {
            desk.created(id).await.map_err(told)?;
        }
    }
    bench.arm(FaultRule::new(fault).on_row("cancel_many").times(1))?;
    let asked = desk.connector.cancel_many(&ids);
    ensure(asked.iter().all(Result::is_ok), || format!("{name}: {asked:?}"))?;
    cancelled(&bench, &mut desk, &ids).await.map_err(told)?;
    settled(&bench, &desk).await.map_err(told)?;
    let timeline = bench.story(format_args!("Three created and cancelled, {name}"), &desk);
    Ok((vec![format!("{name}, three orders"), format!("{found}, cancelled once")], timeline))
}

async fn cancelled(bench: &Bench, desk: &mut Desk, ids: &[ClientOrderId]) -> Result<(), Failure> {
    for id in ids {
        let end = desk.ended(id).await?;
        let state = bench.order_of(id)?.state;
        ensure(matches!(end, Event::OrderCancelled(_)) && state.is_terminal(), || {
            format!("{id} is {state} at the venue, told was {end:?}")
        })?;
    }
    Ok(())
}

async fn settled(bench: &Bench, desk: &Desk) -> Result<(), Failure> {
    bench.balances_agree(&desk.connector).await?;
    let open = (bench.open_orders().len(), desk.connector.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders left at the venue and here"))
}
