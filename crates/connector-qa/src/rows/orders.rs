//! Rows about orders and their fills.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::order::{NewOrder, OrderState, OrderType, Side, TimeInForce};
use connector_core::{Asset, ClientOrderId, Decimal, Event, Pair};
use connector_venue::orders::Submit;

use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, PATIENCE, Plan, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;
use crate::scratch::Scratch;

/// How long is listened for what must not come.
const SILENCE: Duration = Duration::from_millis(250);

/// SQ-11.
///
/// # Errors
/// The id that breaks a rule.
pub async fn client_ids(kit: Kit) -> Judgement {
    const EACH: usize = 5;
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let prefix = "qa".to_owned();
    let mut ids = BTreeSet::new();
    // Two at once, and a third after both have ended.
    for together in [2, 1] {
        let mut desks = Vec::new();
        for _ in 0..together {
            desks.push(bench.desk_of(Plan { prefix: prefix.clone(), ..bench.plan() }).await?);
        }
        for desk in &mut desks {
            for _ in 0..EACH {
                let id = desk.connector.place(ground.resting(Side::Buy))?;
                desk.created(&id).await?;
                bench.order_of(&id)?;
                obeys(&bench, &id, &prefix)?;
                ensure(ids.insert(id.clone()), || format!("{id} was given twice"))?;
                desk.connector.cancel(&id)?;
                desk.ended(&id).await?;
            }
        }
    }
    let shown = ids.iter().next().map(ToString::to_string).unwrap_or_default();
    let rule = bench.spec.ids;
    Ok(Evidence::new(format!(
        "{} ids of two instances and a restart are unique, begin with `{prefix}`, and have at most {} characters (`{shown}`)",
        ids.len(),
        rule.max_len
    )))
}

fn obeys(bench: &Bench, id: &ClientOrderId, prefix: &str) -> Result<(), Failure> {
    let (text, rule) = (id.as_str(), bench.spec.ids);
    let allowed = |c: char| c.is_ascii_alphanumeric() || rule.punctuation.contains(c);
    ensure(text.starts_with(prefix), || format!("{id} lacks the prefix"))?;
    ensure(text.len() <= usize::from(rule.max_len) && text.chars().all(allowed), || {
        format!("{id} breaks the venue's rule: {rule:?}")
    })
}

/// SQ-12.
///
/// # Errors
/// The field that differs at the venue.
pub async fn matches(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut rows = Vec::new();
    for (side, order_type) in [
        (Side::Buy, OrderType::Limit),
        (Side::Sell, OrderType::Limit),
        (Side::Buy, OrderType::LimitMaker),
        (Side::Sell, OrderType::LimitMaker),
    ] {
        if !bench.spec.order_types.contains(&order_type) {
            continue;
        }
        let even = ground.resting(side);
        let third = Decimal::new(3, 1);
        let price = even.price.unwrap_or_default() + ground.rules.tick * third;
        let amount = even.amount + ground.rules.step * third;
        let id = desk.connector.place(NewOrder { order_type, amount, price: Some(price), ..even.clone() })?;
        desk.created(&id).await?;
        let there = bench.order_of(&id)?;
        ensure(
            there.symbol == ground.symbol && there.side == side && there.order_type == order_type,
            || format!("{id} is {} {} {} at the venue", there.symbol, there.side, there.order_type),
        )?;
        let there_price = there.price.unwrap_or_default();
        ensure(
            (there_price - price).abs() < ground.rules.tick && (there_price % ground.rules.tick).is_zero(),
            || format!("{id} was asked for at {price} and is at {there_price}"),
        )?;
        ensure(there.amount == even.amount, || {
            format!(
                "{id}: {amount} rounded down to the step is {}, the venue has {}",
                even.amount, there.amount
            )
        })?;
        let told = of(&desk.seen, &id).find_map(|event| match event {
            Event::OrderCreated(created) => Some(created.order.clone()),
            _ => None,
        });
        let same = told.is_some_and(|told| told.price == there.price && told.amount == there.amount);
        ensure(same, || format!("{id}: the event tells another price or amount than the venue has"))?;
        rows.push(vec![
            format!("{side} {order_type}"),
            format!("{amount} @ {price}"),
            format!("{} @ {there_price}", there.amount),
        ]);
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
    }
    let text = format!(
        "{} orders rest with the submitted pair, side, type, and quantised price and amount",
        rows.len()
    );
    let head = ["order", "submitted", "at the venue"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Orders".to_owned(), head, rows }))
}

/// SQ-13.
///
/// # Errors
/// The order that is stuck, or on which both sides disagree.
pub async fn cancel(kit: Kit) -> Judgement {
    const ORDERS: usize = 10;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    for number in 0..ORDERS {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        let id = desk.connector.place(ground.resting(side))?;
        desk.created(&id).await?;
        desk.connector.cancel(&id)?;
        let end = desk.ended(&id).await?;
        ensure(matches!(&end, Event::OrderCancelled(cancelled) if cancelled.requested), || {
            format!("{id} did not end as cancelled on request: {end:?}")
        })?;
        let ours = desk.connector.order(&id).map(|order| order.state());
        let theirs = bench.order_of(&id)?.state;
        ensure(ours == Some(OrderState::Cancelled) && theirs == OrderState::Cancelled, || {
            format!("{id} is {ours:?} here and {theirs} at the venue")
        })?;
    }
    nothing_left(&bench, &desk)?;
    desk.listen(SILENCE).await?;
    let asked = bench.requests("cancel");
    ensure(asked == ORDERS, || format!("{asked} requests to cancel {ORDERS} orders"))?;
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    Ok(Evidence::new(format!(
        "{ORDERS} orders cancelled without error, each asked for once, nothing open on either side"
    )))
}

fn nothing_left(bench: &Bench, desk: &Desk) -> Result<(), Failure> {
    let (ours, theirs) = (desk.connector.open_orders().len(), bench.open_orders().len());
    ensure(ours == 0 && theirs == 0, || format!("{ours} orders open here, {theirs} at the venue"))
}

/// SQ-14.
///
/// # Errors
/// The foreign order that was touched or tracked.
pub async fn foreign(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let mut desk = bench.desk().await?;
    let mut other = bench.desk().await?;
    let theirs = other.connector.place(ground.resting(Side::Sell))?;
    other.created(&theirs).await?;
    let order = ground.resting(Side::Buy);
    let submit = Submit::limit(&ground.symbol, Side::Buy, order.price.unwrap_or_default(), order.amount);
    let by_hand = bench.house(bench.account, &submit.client_id("by-hand-1"))?.order;
    let own = desk.connector.place(ground.resting(Side::Buy))?;
    desk.created(&own).await?;
    let asked = desk.connector.cancel_all();
    ensure(asked == [own.clone()], || format!("cancel_all named {asked:?} instead of {own} alone"))?;
    desk.ended(&own).await?;
    desk.listen(SILENCE).await?;
    let open: BTreeSet<_> = bench.open_orders().into_iter().map(|order| order.client_id).collect();
    let wanted: BTreeSet<_> = [theirs.as_str().into(), by_hand.client_id.clone()].into();
    ensure(open == wanted, || format!("open at the venue: {open:?}, should be {wanted:?}"))?;
    let tracked = desk.connector.open_orders().len();
    ensure(tracked == 0, || format!("{tracked} foreign orders are tracked"))?;
    let heard = desk.seen.iter().filter_map(Event::order).find(|order| order.client_order_id != own);
    ensure(heard.is_none(), || format!("an event about a foreign order: {heard:?}"))?;
    // One that finds them at its start, when it looks for what an earlier run of its own left open.
    let files = Scratch::new("foreign").map_err(Failure::new)?;
    let journal = Some(files.file("late.sqlite"));
    let late = bench.desk_of(Plan { journal, ..bench.plan() }).await?;
    let taken = (late.connector.open_orders().len(), late.connector.cancel_all().len());
    ensure(taken == (0, 0), || {
        format!("one that started later took up and cancelled {taken:?} foreign orders")
    })?;
    late.connector.stop(PATIENCE).await?;
    let left = bench.open_orders().len();
    ensure(left == wanted.len(), || format!("{left} orders are open after a foreign start and stop"))?;
    other.connector.cancel(&theirs)?;
    other.ended(&theirs).await?;
    Ok(Evidence::new(
        "cancel_all ended the own order alone; one order placed by hand and one of another instance stayed, untracked, also by \
         one that started later",
    ))
}

/// SQ-15.
///
/// # Errors
/// The order that was taken, told twice, or lingers.
pub async fn violations(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let rules = &ground.rules;
    let even = ground.resting(Side::Buy);
    let price = even.price.unwrap_or_default();
    let funds = desk.connector.balance(&ground.spends(Side::Buy)).total;
    let all = bench.affords(&ground, Side::Buy, price, funds);
    let unlisted = Pair::new("NOSUCH", "PAIR").ok_or_else(|| Failure::new("no pair"))?;
    let cases = [
        ("below min size", NewOrder { amount: rules.min_amount / Decimal::TWO, ..even.clone() }),
        ("below min notional", NewOrder { amount: rules.min_amount.max(rules.step), ..even.clone() }),
        ("above max size", NewOrder { amount: rules.max_amount + rules.step, ..even.clone() }),
        ("price below tick", NewOrder { price: Some(rules.tick / Decimal::TWO), ..even.clone() }),
        ("amount below step", NewOrder { amount: rules.step / Decimal::TWO, ..even.clone() }),
        ("zero amount", NewOrder { amount: Decimal::ZERO, ..even.clone() }),
        ("negative price", NewOrder { price: Some(-price), ..even.clone() }),
        ("limit without price", NewOrder { price: None, ..even.clone() }),
        ("insufficient balance", NewOrder { amount: all * Decimal::TWO, ..even.clone() }),
        ("unlisted pair", NewOrder { pair: unlisted, ..even.clone() }),
    ];
    let (mut rows, mut local) = (Vec::new(), 0);
    for (name, order) in cases {
        let told = match desk.connector.place(order) {
            Err(error) => {
                local += 1;
                format!("locally: {error}")
            }
            Ok(id) => match desk.ended(&id).await? {
                Event::OrderFailed(failed) => format!("one event: {}", failed.error),
                other => return Err(Failure(format!("{name}: ended as {other:?}"))),
            },
        };
        nothing_left(&bench, &desk).map_err(|failure| Failure(format!("{name}: {}", failure.0)))?;
        rows.push(vec![name.to_owned(), told]);
    }
    desk.listen(SILENCE).await?;
    bench.balances_agree(&desk.connector).await?;
    let text = format!(
        "{} violations refused, {local} of them before anything was sent; nothing lingers",
        rows.len()
    );
    let head = ["violation", "told"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Refusals".to_owned(), head, rows }))
}

/// SQ-20.
///
/// # Errors
/// The order that did not end well, or the balance that is off.
pub async fn many(kit: Kit) -> Judgement {
    const EACH_SIDE: i64 = 10;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let before = bench.balances();
    let mut ids = Vec::new();
    for number in 0..EACH_SIDE {
        for side in [Side::Buy, Side::Sell] {
            let away = if side == Side::Buy { 95 - number } else { 105 + number };
            let price = ground.price(away);
            let order = NewOrder::limit(ground.pair.clone(), side, ground.amount(price, 2), price);
            ids.push(desk.connector.place(order)?);
        }
    }
    for id in &ids {
        desk.created(id).await?;
    }
    bench.balances_agree(&desk.connector).await?;
    let open = bench.open_orders().len();
    ensure(open == ids.len(), || format!("{open} of {} orders are open at the venue", ids.len()))?;
    for id in &ids {
        desk.connector.cancel(id)?;
    }
    for id in &ids {
        let end = desk.ended(id).await?;
        ensure(matches!(end, Event::OrderCancelled(_)), || format!("{id} ended as {end:?}"))?;
    }
    bench.balances_agree(&desk.connector).await?;
    ensure(bench.balances() == before, || "the ledger did not return to what it was".to_owned())?;
    nothing_left(&bench, &desk)?;
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    Ok(Evidence::new(format!(
        "{} orders open at once, all cancelled at once, balances exact before and after",
        ids.len()
    ))
    .with(bench.balance_table(&desk.connector)))
}

/// Makes a resting order be filled in three parts, and an order that takes several levels; their ids.
pub(super) async fn filled_orders(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
) -> Result<Vec<ClientOrderId>, Failure> {
    let mut ids = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        // Better than the house's quotes, so that the next taker meets it first.
        let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
        let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
        let part = ground.amount(price, 2);
        let order = NewOrder::limit(ground.pair.clone(), side, part * Decimal::from(3), price);
        let id = desk.connector.place(order)?;
        desk.created(&id).await?;
        for _ in 0..3 {
            bench.take(ground, side.opposite(), part)?;
        }
        desk.ended(&id).await?;
        ids.push(id);
        let price = ground.price(if side == Side::Buy { 102 } else { 98 });
        let amount = ground.amount(ground.middle, 70);
        let id = desk.connector.place(NewOrder::limit(ground.pair.clone(), side, amount, price))?;
        desk.ended(&id).await?;
        ids.push(id);
        if bench.spec.order_types.contains(&OrderType::Market) {
            let amount = ground.amount(ground.middle, 30);
            let id = desk.connector.place(NewOrder::market(ground.pair.clone(), side, amount))?;
            desk.ended(&id).await?;
            ids.push(id);
        }
    }
    Ok(ids)
}

/// SQ-26.
///
/// # Errors
/// The fill that differs from the venue's history.
pub async fn fills(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let ids = filled_orders(&bench, &mut desk, &ground).await?;
    let mut rows = Vec::new();
    let mut parts = 0;
    for id in &ids {
        let history = bench.executions_of(id);
        ensure(history.len() > 1, || format!("{id} was filled {} times, not in parts", history.len()))?;
        let told: Vec<_> = desk
            .fills(id)
            .iter()
            .map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount, fill.maker))
            .collect();
        let truth: Vec<_> = history
            .iter()
            .map(|fill| (fill.trade_id.to_string(), fill.price, fill.amount, Some(fill.is_maker)))
            .collect();
        ensure(told == truth, || format!("{id}: fills told {told:?}, happened {truth:?}"))?;
        let sum: Decimal = history.iter().map(|fill| fill.amount).sum();
        let end = of(&desk.seen, id).find(|event| event.is_terminal());
        let executed = match end {
            Some(Event::OrderCompleted(completed)) => completed.executed,
            other => return Err(Failure(format!("{id} ended as {other:?}"))),
        };
        let quote: Decimal = history.iter().map(|fill| fill.quote).sum();
        ensure((executed.base, executed.quote) == (sum, quote), || {
            format!("{id}: sums told {executed:?}, happened {sum} and {quote}")
        })?;
        parts += told.len();
        rows.push(vec![
            id.to_string(),
            told.len().to_string(),
            sum.normalize().to_string(),
            quote.normalize().to_string(),
        ]);
    }
    bench.balances_agree(&desk.connector).await?;
    let text = format!(
        "{parts} fills of {} orders: trade ids, prices, amounts, roles and sums equal the venue's",
        ids.len()
    );
    let head = ["order", "fills", "base", "quote"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Orders".to_owned(), head, rows }))
}

/// A fee as recorded, which is the one charged.
#[derive(Debug)]
pub(super) struct Charged {
    trade: String,
    maker: bool,
    pub(super) amount: Decimal,
    pub(super) asset: Asset,
    pub(super) estimated: bool,
}

/// Trades as maker and taker; the fees recorded, each held against what was charged.
pub(super) async fn charged(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
) -> Result<Vec<Charged>, Failure> {
    let ids = filled_orders(bench, desk, ground).await?;
    let mut all = Vec::new();
    for id in &ids {
        for (told, truth) in desk.fills(id).into_iter().zip(bench.executions_of(id)) {
            let fee = told.fee.as_ref().ok_or_else(|| Failure(format!("{id}: a fill without fee")))?;
            ensure(fee.asset == truth.commission_asset && fee.amount == truth.commission, || {
                format!(
                    "{id}: recorded {} {}, charged {} {}",
                    fee.amount, fee.asset, truth.commission, truth.commission_asset
                )
            })?;
            all.push(Charged {
                trade: told.trade_id.to_string(),
                maker: truth.is_maker,
                amount: fee.amount,
                asset: fee.asset.clone(),
                estimated: told.fee_estimated,
            });
        }
    }
    ensure(all.len() > ids.len(), || "too few fills to judge by".to_owned())?;
    Ok(all)
}

/// Fees as a table.
pub(super) fn fee_table(fees: &[Charged]) -> Detail {
    let rows = fees.iter().map(|fee| {
        let role = if fee.maker { "maker" } else { "taker" };
        vec![fee.trade.clone(), role.to_owned(), fee.amount.normalize().to_string(), fee.asset.to_string()]
    });
    let head = ["trade", "role", "fee", "asset"].map(str::to_owned).to_vec();
    Detail::Table { title: "Fees".to_owned(), head, rows: rows.collect() }
}

/// SQ-28.
///
/// # Errors
/// The fee that differs from what was charged.
pub async fn fees(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let fees = charged(&bench, &mut desk, &ground).await?;
    let assets: BTreeSet<_> = fees.iter().map(|fee| fee.asset.to_string()).collect();
    let estimated = fees.iter().filter(|fee| fee.estimated).count();
    let assets: Vec<_> = assets.into_iter().collect();
    let text = format!(
        "{} fees in {} are those charged, as maker and taker; {estimated} of them estimates",
        fees.len(),
        assets.join(" and ")
    );
    ensure(estimated == 0, || format!("{text}, though the venue tells its fees"))?;
    Ok(Evidence::new(text).with(fee_table(&fees)))
}

/// XQ-01.
///
/// # Errors
/// The order that rests, or is filled in part where it must not.
pub async fn immediate(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let pair = &ground.pair;
    // Beyond the first level of the house's asks, but not beyond the second.
    let asks =
        bench.look(|exchange| exchange.depth(&ground.symbol, 2)).map(|depth| depth.asks).unwrap_or_default();
    let [first, ..] = asks.as_slice() else { return Err(Failure::new("the house quotes no ask")) };
    let more = first.amount + ground.amount(first.price, 3);
    let less = ground.amount(first.price, 3);
    let passive = ground.resting(Side::Buy);
    let none = Decimal::ZERO;
    let mut cases = Vec::new();
    for kind in [TimeInForce::Ioc, TimeInForce::Fok] {
        if !bench.spec.times_in_force.contains(&kind) {
            continue;
        }
        let buy = |amount| NewOrder::limit(pair.clone(), Side::Buy, amount, first.price).time_in_force(kind);
        cases.push(("passive", kind, passive.clone().time_in_force(kind), none));
        cases.push(("within the level", kind, buy(less), less));
        let left = first.amount - less;
        let partly = if kind == TimeInForce::Ioc { left } else { none };
        cases.push(("more than there is", kind, buy(more), partly));
        if kind == TimeInForce::Ioc {
            continue;
        }
    }
    let mut rows = Vec::new();
    for (name, kind, order, wanted) in cases {
        // The level is as it was at the start of each kind.
        let missing = bench
            .look(|exchange| exchange.depth(&ground.symbol, 1))
            .and_then(|depth| depth.asks.first().copied());
        if name == "within the level" && missing.is_none_or(|level| level != *first) {
            let have = missing.filter(|level| level.price == first.price).map_or(none, |level| level.amount);
            let refill = Submit::limit(&ground.symbol, Side::Sell, first.price, first.amount - have);
            bench.house(connector_venue::orders::AccountId::HOUSE_MAKER, &refill)?;
        }
        let asked = order.amount;
        let id = desk.connector.place(order)?;
        let end = desk.ended(&id).await?;
        let filled: Decimal = bench.executions_of(&id).iter().map(|fill| fill.amount).sum();
        ensure(filled == wanted, || format!("{kind:?} {name}: {filled} filled, should be {wanted}"))?;
        let right = match &end {
            Event::OrderCompleted(_) => filled == asked,
            Event::OrderCancelled(_) | Event::OrderExpired(_) => filled < asked,
            // A venue may refuse a FOK it cannot fill.
            Event::OrderFailed(_) => filled.is_zero(),
            _ => false,
        };
        ensure(right, || format!("{kind:?} {name}: {filled} of {asked} filled, ended as {end:?}"))?;
        let told: Decimal = desk.fills(&id).iter().map(|fill| fill.amount).sum();
        ensure(told == filled, || format!("{kind:?} {name}: {told} told, {filled} filled"))?;
        nothing_left(&bench, &desk).map_err(|failure| Failure(format!("{kind:?} {name}: {}", failure.0)))?;
        rows.push(vec![
            format!("{kind:?}"),
            name.to_owned(),
            asked.normalize().to_string(),
            filled.normalize().to_string(),
        ]);
    }
    ensure(!rows.is_empty(), || "the venue declares neither IOC nor FOK".to_owned())?;
    bench.balances_agree(&desk.connector).await?;
    let text =
        format!("{} orders filled at once as far as they may, none rests, FOK all or nothing", rows.len());
    let head = ["kind", "order", "asked", "filled"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Orders".to_owned(), head, rows }))
}

/// XQ-02.
///
/// # Errors
/// The order that took, or was refused although passive.
pub async fn post_only(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut reasons = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        let passive = NewOrder { order_type: OrderType::LimitMaker, ..ground.resting(side) };
        let id = desk.connector.place(passive)?;
        desk.created(&id).await?;
        ensure(bench.order_of(&id)?.is_live(), || format!("{id} is passive and does not rest"))?;
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        let price = ground.price(if side == Side::Buy { 102 } else { 98 });
        let crossing = NewOrder::limit_maker(ground.pair.clone(), side, ground.amount(price, 3), price);
        let id = desk.connector.place(crossing)?;
        let end = desk.ended(&id).await?;
        let reason = match &end {
            Event::OrderFailed(failed) => Some(failed.error.to_string()),
            Event::OrderCancelled(cancelled) => cancelled.reason.as_ref().map(ToString::to_string),
            Event::OrderExpired(expired) => expired.reason.as_ref().map(ToString::to_string),
            _ => None,
        };
        let reason = reason.ok_or_else(|| Failure(format!("{id} would have taken and ended as {end:?}")))?;
        let taken = bench.executions_of(&id).len();
        ensure(taken == 0, || format!("{id} was filled {taken} times as a taker"))?;
        reasons.push(vec![side.to_string(), reason]);
    }
    nothing_left(&bench, &desk)?;
    let text = "passive orders rest; those that would take end in one event with the reason, without a fill";
    let head = ["side", "reason"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Refusals".to_owned(), head, rows: reasons }))
}
