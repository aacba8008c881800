//! The network lost in real time, on real sockets.

use std::time::{Duration, Instant};

use connector_core::dialect::LinkRole;
use connector_core::event::LinkState;
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::{ClientOrderId, Decimal, Event};
use connector_venue::faults::{Fault, FaultRule, Matcher, Trigger};
use connector_venue::orders::Which;
use smol_str::SmolStr;

use crate::bench::{Bench, Desk, Failure, Plan, ensure, of};
use crate::kit::Kit;

/// How long the network is lost.
pub(super) const OUTAGE: Duration = Duration::from_secs(3);
/// Longest wait for an answer: short, so that what is lost is noticed within the loss.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest wait after the loss: a silent connection is noticed only by its silence, for which venues are given long.
const BACK: Duration = Duration::from_secs(75);

/// An order inside the house's quotes, of three parts.
fn inside(bench: &Bench, side: Side) -> Result<(NewOrder, Decimal), Failure> {
    let ground = bench.ground()?;
    let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
    let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
    let part = ground.amount(ground.middle, 2);
    Ok((NewOrder::limit(ground.pair.clone(), side, part * Decimal::from(3), price), part))
}

/// Places an order and waits until the venue has it.
async fn rest(desk: &mut Desk, order: NewOrder) -> Result<ClientOrderId, Failure> {
    let id = desk.connector.place(order)?;
    desk.created(&id).await?;
    Ok(id)
}

/// An order was told as the venue has it: created once, each fill once, ended once and rightly. Its fills.
fn judge(bench: &Bench, desk: &Desk, id: &ClientOrderId) -> Result<usize, Failure> {
    desk.well_formed(id)?;
    let fills = desk.fills(id);
    let told: Vec<_> =
        fills.iter().map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount)).collect();
    let happened = bench.executions_of(id);
    let happened: Vec<_> =
        happened.iter().map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount)).collect();
    ensure(told == happened, || format!("fills of {id} told {told:?}, happened {happened:?}"))?;
    let there = bench.orders_of(id);
    let end = of(&desk.seen, id).find(|event| event.is_terminal());
    let right = match (end, there.as_slice()) {
        (Some(Event::OrderCancelled(end)), [order]) => {
            order.state == OrderState::Cancelled && end.executed.base == order.filled
        }
        (Some(Event::OrderCompleted(_)), [order]) => order.state == OrderState::Filled,
        (Some(Event::OrderFailed(_)), []) => true,
        _ => false,
    };
    ensure(right, || format!("{id} was told as {end:?}; at the venue: {there:?}"))?;
    Ok(told.len())
}

/// Waits for the private stream to be live again, which it must not be before what it missed is told: the ends of these.
async fn back_with_news(bench: &Bench, desk: &mut Desk, ended: [&ClientOrderId; 2]) -> Result<(), Failure> {
    let private = bench.spec.links.iter().find(|link| link.role == LinkRole::User);
    let private = private.map(|link| link.name).unwrap_or_default();
    let of_link = |event: &Event, is: LinkState| matches!(event, Event::LinkChanged { link, channel: None, state, .. } if *link == private && *state == is);
    let live = desk
        .until_within(BACK, "the private stream to be live again", |seen, _| {
            let down = seen.iter().position(|event| of_link(event, LinkState::Down))?;
            let live = seen.iter().skip(down).position(|event| of_link(event, LinkState::Live))?;
            Some(down + live)
        })
        .await?;
    for id in ended {
        let told = desk.seen.iter().take(live).any(|event| {
            event.is_terminal() && event.order().is_some_and(|order| order.client_order_id == *id)
        });
        ensure(told, || format!("the private stream was live again before the end of {id} was told"))?;
    }
    Ok(())
}

/// Requests and streams are lost for a while; the fills told, and how long after the loss all was known.
pub(super) async fn in_real_time(
    kit: &Kit,
    requests: &Fault,
    streams: &Fault,
) -> Result<(usize, Duration), Failure> {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk_of(Plan { request_timeout: ANSWER, ..bench.plan() }).await?;
    let ground = bench.ground()?.clone();
    let (order, part) = inside(&bench, Side::Buy)?;
    let partly = rest(&mut desk, order).await?;
    let wholly = rest(&mut desk, inside(&bench, Side::Sell)?.0).await?;
    let foreign = rest(&mut desk, ground.resting(Side::Buy)).await?;
    let untouched = rest(&mut desk, ground.resting(Side::Sell)).await?;
    bench.arm(FaultRule::new(requests.clone()))?;
    for link in bench.spec.links {
        let matcher = Matcher { link: Some(SmolStr::new(link.name)), ..Matcher::default() };
        let trigger = Trigger { count: Some(1), ..Trigger::default() };
        bench.arm(FaultRule { fault: streams.clone(), matcher, trigger })?;
    }
    desk.listen(OUTAGE / 3).await?;
    bench.take(&ground, Side::Sell, part)?;
    bench.take(&ground, Side::Buy, part * Decimal::from(3))?;
    let which = Which::Client(foreign.as_str().into());
    bench.server.with(|venue, now| {
        let cancelled = venue.exchange_mut().cancel(bench.account, &ground.symbol, &which, None);
        venue.advance(now);
        cancelled.map(drop).map_err(Failure::new)
    })?;
    // One is asked for while nothing gets through: whatever becomes of it, both sides agree in the end.
    let desired = desk.connector.place(ground.resting(Side::Buy)).ok();
    desk.listen(OUTAGE / 3 * 2).await?;
    for id in [&partly, &wholly, &foreign, &untouched] {
        let open = desk.connector.open_orders().iter().any(|order| order.client_order_id() == id);
        ensure(open, || format!("{id} was given up during the loss"))?;
    }
    let told = desk.seen.iter().filter(|event| matches!(event, Event::OrderFilled(_))).count();
    ensure(told == 0, || format!("{told} fills were told while nothing got through"))?;
    bench.server.with(|venue, _| venue.disarm_all());
    let restored = Instant::now();
    back_with_news(&bench, &mut desk, [&wholly, &foreign]).await?;
    desk.until_within(BACK, "all that happened to be known", |seen, connector| {
        let ended = |id: &ClientOrderId| of(seen, id).any(Event::is_terminal);
        let known = connector.order(&partly).is_some_and(|order| order.executed().base == part);
        (connector.is_ready() && known && ended(&wholly) && ended(&foreign)).then_some(())
    })
    .await?;
    let back = restored.elapsed();
    for id in [&partly, &untouched].into_iter().chain(&desired) {
        if desk.connector.order(id).is_some_and(|order| !order.state().is_terminal()) {
            desk.connector.cancel(id)?;
        }
    }
    let mut fills = 0;
    for id in [&partly, &wholly, &foreign, &untouched].into_iter().chain(&desired) {
        desk.ended(id).await?;
        fills += judge(&bench, &desk, id)?;
    }
    ensure(fills == 2, || format!("{fills} fills told"))?;
    bench.balances_agree(&desk.connector).await?;
    let open = (desk.connector.open_orders().len(), bench.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders open here and at the venue"))?;
    let violations = bench.look(|exchange| exchange.limits().violations());
    ensure(violations == 0, || format!("the venue counted {violations} violations of its limits"))?;
    Ok((fills, back))
}
