//! The row about changing orders.

use std::time::Duration;

use connector_core::order::{NewOrder, Side};
use connector_core::{ClientOrderId, Decimal, Event};
use connector_venue::faults::{Fault, FaultRule, Point};

use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, Plan, ensure};
use crate::kit::Kit;
use crate::report::Detail;

/// Amends an order and waits until the replacement rests; its id.
async fn changed(
    bench: &Bench,
    desk: &mut Desk,
    id: &ClientOrderId,
    price: Option<Decimal>,
    amount: Option<Decimal>,
) -> Result<ClientOrderId, Failure> {
    let new = desk.connector.amend(id, price, amount)?;
    ensure(new != *id, || format!("{id} was not changed"))?;
    let end = desk.ended(id).await?;
    ensure(matches!(&end, Event::OrderCancelled(end) if end.requested), || format!("{id} ended as {end:?}"))?;
    desk.created(&new).await?;
    let (old, now) = (bench.order_of(id)?, bench.order_of(&new)?);
    ensure(old.state.is_terminal() && now.is_live(), || {
        format!("at the venue {id} is {} and {new} is {}", old.state, now.state)
    })?;
    Ok(new)
}

fn is(bench: &Bench, id: &ClientOrderId, price: Decimal, amount: Decimal) -> Result<(), Failure> {
    let order = bench.order_of(id)?;
    ensure(order.price == Some(price) && order.amount == amount, || {
        format!("{id} is {} at {:?}, should be {amount} at {price}", order.amount, order.price)
    })
}

/// Prices and amounts change as asked, with what is executed counted in.
async fn changes(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        let order = ground.resting(side);
        let (price, amount) = (order.price.unwrap_or_default(), order.amount);
        let other = ground.price(if side == Side::Buy { 92 } else { 108 });
        let id = desk.connector.place(order)?;
        desk.created(&id).await?;
        let id = changed(bench, desk, &id, Some(other), None).await?;
        is(bench, &id, other, amount)?;
        let id = changed(bench, desk, &id, None, Some(amount * Decimal::from(3))).await?;
        is(bench, &id, other, amount * Decimal::from(3))?;
        let id = changed(bench, desk, &id, Some(price), Some(amount * Decimal::TWO)).await?;
        is(bench, &id, price, amount * Decimal::TWO)?;
        let same = desk.connector.amend(&id, Some(price), Some(amount * Decimal::TWO))?;
        ensure(same == id, || "a change that changes nothing replaced the order".to_owned())?;
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        rows.push(vec![format!("{side}: price, amount, both"), "as asked".to_owned()]);
        // Half of it is filled first: the new amount counts that in.
        let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
        let near = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
        let part = ground.amount(near, 4);
        let order = NewOrder::limit(ground.pair.clone(), side, part * Decimal::TWO, near);
        let id = desk.connector.place(order)?;
        desk.created(&id).await?;
        bench.take(ground, side.opposite(), part)?;
        desk.until("the fill", |_, connector| {
            connector.order(&id).filter(|order| order.executed().base == part).map(drop)
        })
        .await?;
        let few = desk.connector.amend(&id, None, Some(part));
        ensure(few.is_err(), || "an amount that is executed already was accepted".to_owned())?;
        let new = changed(bench, desk, &id, None, Some(part * Decimal::from(4))).await?;
        is(bench, &new, near, part * Decimal::from(3))?;
        bench.take(ground, side.opposite(), part * Decimal::from(3))?;
        desk.ended(&new).await?;
        let filled: Decimal =
            [&id, &new].iter().flat_map(|id| bench.executions_of(id)).map(|fill| fill.amount).sum();
        let told: Decimal = [&id, &new].iter().flat_map(|id| desk.fills(id)).map(|fill| fill.amount).sum();
        ensure(filled == part * Decimal::from(4) && told == filled, || {
            format!("{filled} filled and {told} told of {}", part * Decimal::from(4))
        })?;
        rows.push(vec![format!("{side}: amount, partly filled"), "both together fill the whole".to_owned()]);
    }
    Ok(rows)
}

/// The replacement stands behind what was there before it.
async fn queue(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<Vec<String>, Failure> {
    let price = ground.on_tick(ground.middle) - ground.rules.tick;
    let part = ground.amount(price, 4);
    let order = NewOrder::limit(ground.pair.clone(), Side::Buy, part, price);
    let first = desk.connector.place(order.clone())?;
    desk.created(&first).await?;
    let second = desk.connector.place(order)?;
    desk.created(&second).await?;
    let first = changed(bench, desk, &first, None, Some(part * Decimal::TWO)).await?;
    bench.take(ground, Side::Sell, part)?;
    let end = desk.ended(&second).await?;
    ensure(matches!(end, Event::OrderCompleted(_)), || format!("the order in front ended as {end:?}"))?;
    ensure(bench.executions_of(&first).is_empty(), || {
        "the replacement was filled before its turn".to_owned()
    })?;
    desk.connector.cancel(&first)?;
    desk.ended(&first).await?;
    Ok(vec!["queue".to_owned(), "the replacement stands behind".to_owned()])
}

/// What breaks a rule leaves the order as it was.
async fn refusals(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<Vec<Vec<String>>, Failure> {
    let order = ground.resting(Side::Buy);
    let id = desk.connector.place(order)?;
    desk.created(&id).await?;
    let (before, cancels) = (bench.order_of(&id)?, bench.requests("cancel"));
    let price = ground.price(90);
    let funds = desk.connector.balance(&ground.spends(Side::Buy)).total;
    let all = bench.affords(ground, Side::Buy, price, funds);
    let cases = [
        ("below the least amount", None, Some(ground.rules.min_amount / Decimal::TWO)),
        ("negative price", Some(-Decimal::ONE), None),
        ("more than can be paid for", None, Some(all * Decimal::TWO)),
        ("above the largest amount", None, Some(ground.rules.max_amount + ground.rules.step)),
    ];
    let mut rows = Vec::new();
    for (name, price, amount) in cases {
        let told = match desk.connector.amend(&id, price, amount) {
            Err(error) => error.to_string(),
            Ok(new) => return Err(Failure(format!("{name}: accepted as {new}"))),
        };
        rows.push(vec![format!("refused: {name}"), told]);
    }
    ensure(bench.order_of(&id)? == before && bench.requests("cancel") == cancels, || {
        "a refused amend touched the order".to_owned()
    })?;
    desk.connector.cancel(&id)?;
    let late = desk.connector.amend(&id, Some(ground.price(91)), None);
    ensure(late.is_err(), || "an order that is being cancelled was amended".to_owned())?;
    desk.ended(&id).await?;
    Ok(rows)
}

/// What happens in between: filled first, withdrawn, answers lost.
async fn races(kit: &Kit) -> Result<Vec<Vec<String>>, Failure> {
    let bench = kit.quiet().await?;
    let plan = Plan { request_timeout: Duration::from_millis(500), ..bench.plan() };
    let mut desk = bench.desk_of(plan).await?;
    let ground = bench.ground()?.clone();
    let near = ground.on_tick(ground.middle) - ground.rules.tick;
    let part = ground.amount(near, 4);
    let order = NewOrder::limit(ground.pair.clone(), Side::Buy, part, near);
    let late = |ms| FaultRule::new(Fault::Delay { ms, point: Point::BeforeApply }).on_row("cancel").times(1);
    let id = desk.connector.place(order.clone())?;
    desk.created(&id).await?;
    bench.arm(late(200))?;
    let new = desk.connector.amend(&id, None, Some(part * Decimal::TWO))?;
    bench.take(&ground, Side::Sell, part)?;
    let (old_end, new_end) = (desk.ended(&id).await?, desk.ended(&new).await?);
    ensure(matches!(old_end, Event::OrderCompleted(_)) && matches!(new_end, Event::OrderFailed(_)), || {
        format!("filled first: ended as {old_end:?} and {new_end:?}")
    })?;
    ensure(bench.orders_of(&new).is_empty(), || "filled first: the replacement was sent".to_owned())?;
    let mut rows =
        vec![vec!["filled before its cancel".to_owned(), "not replaced, one failure told".to_owned()]];

    let id = desk.connector.place(order.clone())?;
    desk.created(&id).await?;
    bench.arm(late(200))?;
    let new = desk.connector.amend(&id, Some(ground.price(92)), None)?;
    desk.connector.cancel(&new)?;
    desk.ended(&id).await?;
    let end = desk.ended(&new).await?;
    let sent = bench.orders_of(&new).len();
    ensure(matches!(end, Event::OrderFailed(_)) && sent == 0, || format!("withdrawn: ended as {end:?}"))?;
    rows.push(vec!["cancelled while it waits".to_owned(), "never sent".to_owned()]);

    for (name, row) in [("answer to the cancel lost", "cancel"), ("answer to the placement lost", "place")] {
        let id = desk.connector.place(ground.resting(Side::Sell))?;
        desk.created(&id).await?;
        bench.arm(FaultRule::new(Fault::DropReply {}).on_row(row).times(1))?;
        let new = changed(&bench, &mut desk, &id, Some(ground.price(112)), None).await?;
        ensure(bench.open_orders().len() == 1, || format!("{name}: {} are open", bench.open_orders().len()))?;
        desk.connector.cancel(&new)?;
        desk.ended(&new).await?;
        rows.push(vec![name.to_owned(), "found out, replaced once".to_owned()]);
    }
    bench.balances_agree(&desk.connector).await?;
    Ok(rows)
}

/// XQ-04.
///
/// # Errors
/// The change that was not made, or made twice, or the refused one that was.
pub async fn amend(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut rows = changes(&bench, &mut desk, &ground).await?;
    rows.push(queue(&bench, &mut desk, &ground).await?);
    rows.extend(refusals(&bench, &mut desk, &ground).await?);
    bench.balances_agree(&desk.connector).await?;
    let open = (bench.open_orders().len(), desk.connector.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders left at the venue and here"))?;
    rows.extend(races(&kit).await?);
    let text = "amended by cancel and replacement: prices, amounts, queue and fills right, refused ones touch nothing, \
                races end in the venue's truth";
    let head = ["change", "outcome"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Changes".to_owned(), head, rows }))
}
