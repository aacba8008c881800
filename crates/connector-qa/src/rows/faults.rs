//! Rows about what networks do.

use std::time::Duration;

use connector_core::order::{NewOrder, Side};
use connector_core::{Decimal, Event};
use connector_venue::faults::{Fault, FaultRule, Point};

use crate::bench::{Evidence, Failure, Judgement, Plan, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;

/// How late a private stream tells that is of no help: later than answers and questions take.
pub(super) const LATE: Duration = Duration::from_secs(3);

/// How the answer to a request gets lost, and whether the request is carried out.
pub(super) fn losses() -> Vec<(&'static str, Fault, bool)> {
    let status = |point| Fault::Status { code: 503, body: String::new(), headers: Default::default(), point };
    vec![
        ("answer lost", Fault::DropReply {}, true),
        ("request lost", Fault::DropRequest {}, false),
        ("reset after it was carried out", Fault::Reset { point: Point::AfterApply }, true),
        ("reset before it was carried out", Fault::Reset { point: Point::BeforeApply }, false),
        ("503 after it was carried out", status(Point::AfterApply), true),
        ("503 before it was carried out", status(Point::BeforeApply), false),
        ("web page instead of the answer", Fault::HtmlBody { code: 502, point: Point::AfterApply }, true),
        ("answer cut short", Fault::Truncated { keep: None }, true),
    ]
}

/// XQ-07.
///
/// # Errors
/// The order that was doubled, forgotten, or declared dead while alive.
pub async fn unknown_outcome(kit: Kit) -> Judgement {
    let (mut rows, mut timelines) = (Vec::new(), Vec::new());
    // Once with the private stream to tell what the answer did not, and once without, where something was carried out.
    for loss in losses() {
        let (row, timeline) = outcome(&kit, loss, false).await?;
        rows.push(row);
        timelines.push(timeline);
    }
    for loss in losses().into_iter().filter(|(_, _, applied)| *applied) {
        rows.push(outcome(&kit, loss, true).await?.0);
    }
    let text = format!(
        "{} ways to lose the answer to a create and to a cancel: each order found once, none doubled",
        rows.len()
    );
    let head = ["loss", "create", "cancel"].map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Outcomes".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}

/// A create and a cancel whose answers are lost; `deaf` if the private stream does not tell of them either.
async fn outcome(
    kit: &Kit,
    (name, fault, applied): (&'static str, Fault, bool),
    deaf: bool,
) -> Result<(Vec<String>, Detail), Failure> {
    let bench = kit.quiet().await?;
    let plan = Plan { request_timeout: Duration::from_millis(500), ..bench.plan() };
    let mut desk = bench.desk_of(plan).await?;
    bench.connected(&mut desk).await?;
    if deaf {
        bench.delay_private(LATE)?;
    }
    let name = if deaf { format!("{name}, nor does the stream tell") } else { name.to_owned() };
    let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
    bench.arm(FaultRule::new(fault.clone()).on_row("place").times(1))?;
    let order = bench.ground()?.resting(Side::Buy);
    let id = desk.connector.place(order.clone())?;
    let outcome = desk
        .until("the create's outcome", |seen, _| {
            of(seen, &id)
                .find(|event| matches!(event, Event::OrderCreated(_)) || event.is_terminal())
                .cloned()
        })
        .await
        .map_err(told)?;
    let there = bench.orders_of(&id).len();
    let right = match &outcome {
        Event::OrderCreated(_) => there == 1,
        Event::OrderFailed(_) => there == 0 && !applied,
        _ => false,
    };
    ensure(right, || format!("{name}: the venue has {there} such orders, told was {outcome:?}"))?;
    let created = matches!(outcome, Event::OrderCreated(_));
    // The cancel's answer is lost in the same way.
    let id = if created {
        id
    } else {
        let id = desk.connector.place(order)?;
        desk.created(&id).await.map_err(told)?;
        id
    };
    bench.connected(&mut desk).await.map_err(told)?;
    bench.arm(FaultRule::new(fault).on_row("cancel").times(1))?;
    desk.connector.cancel(&id)?;
    let end = desk.ended(&id).await.map_err(told)?;
    let state = bench.order_of(&id).map_err(told)?.state;
    ensure(matches!(end, Event::OrderCancelled(_)) && state.is_terminal(), || {
        format!("{name}: the order is {state} at the venue, told was {end:?}")
    })?;
    bench.balances_agree(&desk.connector).await.map_err(told)?;
    let open = (bench.open_orders().len(), desk.connector.open_orders().len());
    ensure(open == (0, 0), || format!("{name}: {open:?} orders left at the venue and here"))?;
    let (placed, most) = (bench.requests("place"), 1 + usize::from(!created));
    ensure(placed <= most, || format!("{name}: {placed} requests for {most} orders"))?;
    let timeline = bench.story(format_args!("Create and cancel, {name}"), &desk);
    let found = if created { "found live" } else { "found not to exist" };
    Ok((vec![name, found.to_owned(), "cancelled once".to_owned()], timeline))
}

/// Balances that come after newer ones change nothing: what the private stream says of a first order comes after what it says
/// of a second.
async fn overtaken(kit: &Kit) -> Result<(), Failure> {
    const LATE: Duration = Duration::from_millis(300);
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let amount = ground.amount(ground.middle, 20);
    bench.delay_private(LATE)?;
    let first = desk.connector.place(NewOrder::market(ground.pair.clone(), Side::Buy, amount))?;
    desk.until("the first order to execute", |_, _| (!bench.executions_of(&first).is_empty()).then_some(()))
        .await?;
    bench.server.with(|venue, _| venue.disarm_all());
    // Venues tell milliseconds: two figures of the same one could not be told apart.
    desk.listen(Duration::from_millis(5)).await?;
    let second = desk.connector.place(NewOrder::market(ground.pair.clone(), Side::Sell, amount))?;
    for id in [&first, &second] {
        desk.ended(id).await?;
    }
    desk.listen(LATE * 2).await?;
    if !bench.spec.balance_push {
        // What is available is known by request alone.
        return bench.balances_agree(&desk.connector).await.map(drop);
    }
    let wrong = bench.balance_errors(&desk.connector);
    ensure(wrong.is_empty(), || format!("overtaken: balances differ in the end: {}", wrong.join("; ")))
}

/// XQ-10.
///
/// # Errors
/// What changed by a doubled, late or reordered message.
pub async fn disorder(kit: Kit) -> Judgement {
    const ORDERS: i64 = 10;
    let bends: [(&str, Fault); 3] = [
        ("doubled", Fault::Duplicate { ms: 0 }),
        ("late", Fault::FrameDelay { ms: 150 }),
        ("reordered", Fault::Reorder { window: 4, hold_ms: 200 }),
    ];
    let mut rows = Vec::new();
    for (name, fault) in bends {
        let bench = kit.quiet().await?;
        let mut desk = bench.desk().await?;
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        let ground = bench.ground()?.clone();
        bench.arm(FaultRule::new(fault))?;
        let mut ids = Vec::new();
        for number in 0..ORDERS {
            let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
            ids.push(desk.connector.place(ground.resting(side))?);
            let price = ground.price(if side == Side::Buy { 102 } else { 98 });
            let amount = ground.amount(ground.middle, 50);
            ids.push(desk.connector.place(NewOrder::limit(ground.pair.clone(), side, amount, price))?);
        }
        for id in ids.iter().step_by(2) {
            desk.created(id).await.map_err(told)?;
            desk.connector.cancel(id)?;
        }
        for id in &ids {
            desk.ended(id).await.map_err(told)?;
        }
        bench.balances_agree(&desk.connector).await.map_err(told)?;
        // What is held back or comes again comes within this.
        desk.listen(Duration::from_millis(500)).await?;
        let mut fills = 0;
        for id in &ids {
            desk.well_formed(id).map_err(told)?;
            let truth: Vec<_> =
                bench.executions_of(id).iter().map(|fill| fill.trade_id.to_string()).collect();
            let mut ours: Vec<_> = desk.fills(id).iter().map(|fill| fill.trade_id.to_string()).collect();
            ours.sort();
            let mut sorted = truth.clone();
            sorted.sort();
            ensure(ours == sorted, || format!("{name}: fills of {id} told {ours:?}, happened {truth:?}"))?;
            fills += truth.len();
        }
        let sum: Decimal = ids.iter().flat_map(|id| desk.fills(id)).map(|fill| fill.amount).sum();
        // At once: nobody had to compare them by request.
        let wrong = bench.balance_errors(&desk.connector);
        ensure(wrong.is_empty(), || format!("{name}: balances differ in the end: {}", wrong.join("; ")))?;
        rows.push(vec![
            name.to_owned(),
            ids.len().to_string(),
            fills.to_string(),
            sum.normalize().to_string(),
        ]);
    }
    overtaken(&kit).await?;
    let text = "doubled, late, reordered and overtaken messages: every order ended once, every fill told once, balances exact";
    let head = ["messages", "orders", "fills", "base filled"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Runs".to_owned(), head, rows }))
}
