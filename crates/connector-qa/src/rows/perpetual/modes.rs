//! Rows about the modes positions are held in, and what orders do in each.

use std::collections::BTreeMap;

use connector_core::order::{NewOrder, Side};
use connector_core::position::{PositionMode, PositionSide};
use connector_core::{Cause, ClientOrderId, Decimal, Event};
use connector_venue::orders::Submit;

use super::{SILENCE, filled, lots, places, plain, settled, taking};
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;

/// Asks for a mode; whether it was set, or why not.
async fn ask(desk: &mut Desk, mode: PositionMode) -> Result<Result<(), String>, Failure> {
    let before = desk.seen.len();
    if let Err(error) = desk.connector.set_position_mode(mode) {
        ensure(error.cause == Cause::Position || error.cause == Cause::Usage, || {
            format!("{mode}: told as {error}")
        })?;
        return Ok(Err(format!("refused here: {error}")));
    }
    desk.until(format_args!("an answer about {mode}"), |seen, _| {
        seen.iter().skip(before).find_map(|event| match event {
            Event::PositionModeChanged(changed) if changed.mode == mode => Some(Ok(())),
            Event::PositionModeRefused(refused) if refused.mode == mode => {
                Some(Err(format!("one event: {}", refused.error)))
            }
            _ => None,
        })
    })
    .await
}

/// Both sides hold positions so.
fn is_so(bench: &Bench, desk: &Desk, mode: PositionMode) -> Result<(), Failure> {
    let theirs = bench.look(|exchange| exchange.position_mode(bench.account));
    let ours = desk.connector.position_mode();
    ensure(ours == Some(mode) && theirs == mode, || {
        format!("mode is {ours:?} here and {theirs} there, should be {mode}")
    })
}

/// Sets a mode that can be set.
pub(super) async fn switch(bench: &Bench, desk: &mut Desk, mode: PositionMode) -> Result<(), Failure> {
    let told = ask(desk, mode).await?;
    told.map_err(|why| Failure(format!("mode {mode} was refused: {why}")))?;
    // Positions of the new mode are asked for.
    desk.until("the positions of the other mode", |_, connector| connector.is_ready().then_some(())).await?;
    is_so(bench, desk, mode)
}

/// The other mode is asked for and refused, and nothing has changed.
async fn stays(bench: &Bench, desk: &mut Desk, mode: PositionMode) -> Result<String, Failure> {
    let other = match mode {
        PositionMode::OneWay => PositionMode::Hedge,
        PositionMode::Hedge => PositionMode::OneWay,
    };
    let orders = bench.open_orders();
    let told = ask(desk, other).await?;
    let Err(why) = told else { return Err(Failure(format!("mode {other} was told as set"))) };
    desk.listen(SILENCE).await?;
    is_so(bench, desk, mode)?;
    ensure(bench.open_orders() == orders, || "a refused switch touched orders".to_owned())?;
    bench.balances_agree(&desk.connector).await?;
    Ok(why)
}

/// PQ-04.
///
/// # Errors
/// The mode that was not set, or was though something was open.
pub async fn position_mode(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let offered = bench.spec.perpetual.map(|spec| spec.position_modes).unwrap_or_default();
    let mut rows = Vec::new();
    let [first, others @ ..] = offered else { return Err(Failure::new("no position mode is declared")) };
    is_so(&bench, &desk, *first)?;
    for mode in others.iter().chain([first]) {
        switch(&bench, &mut desk, *mode).await?;
        rows.push(vec![format!("to {mode}"), "set".to_owned()]);
        switch(&bench, &mut desk, *mode).await?;
        rows.push(vec![format!("to {mode} again"), "told as set".to_owned()]);
        for side in [Side::Buy, Side::Sell] {
            let order = filled(&mut desk, taking(&ground, side, lots(&ground, 3)).open()).await?;
            bench.balances_agree(&desk.connector).await?;
            rows.push(vec![
                format!("{mode}, a position that {side}s"),
                stays(&bench, &mut desk, *mode).await?,
            ]);
            filled(&mut desk, taking(&ground, side.opposite(), lots(&ground, 3)).close()).await?;
            desk.well_formed(&order)?;
        }
        let id = desk.connector.place(ground.resting(Side::Buy).open())?;
        desk.created(&id).await?;
        rows.push(vec![format!("{mode}, an open order"), stays(&bench, &mut desk, *mode).await?]);
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        bench.balances_agree(&desk.connector).await?;
        rows.push(vec![
            format!("{mode}, an order placed by hand"),
            by_hand(&bench, &mut desk, &ground, *mode).await?,
        ]);
    }
    let other = bench.desk().await?;
    is_so(&bench, &other, *first)?;
    let text = format!(
        "{} set and read back; a switch with an open position or order is refused with its reason, here or by the venue, and changes nothing",
        offered.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    );
    let head = ["switch", "outcome"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Switches".to_owned(), head, rows }))
}

/// An order that this connector knows nothing of: only the venue can refuse.
async fn by_hand(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    mode: PositionMode,
) -> Result<String, Failure> {
    let order = ground.resting(Side::Buy);
    let leg = if mode == PositionMode::Hedge { PositionSide::Long } else { PositionSide::Both };
    let submit = Submit::limit(&ground.symbol, Side::Buy, order.price.unwrap_or_default(), order.amount)
        .position_side(leg);
    let placed = bench.house(bench.account, &submit)?;
    let why = stays(bench, desk, mode).await?;
    bench.server.with(|venue, now| {
        let which = connector_venue::orders::Which::Id(placed.order.id);
        let cancelled = venue.exchange_mut().cancel(bench.account, &ground.symbol, &which, None).map(drop);
        venue.advance(now);
        cancelled.map_err(Failure::new)
    })?;
    Ok(why)
}

/// A position as its executions make it: reckoned here, by average cost.
#[derive(Clone, Copy, Debug, Default)]
struct Reckoned {
    /// Base amount, negative = short.
    amount: Decimal,
    /// What it was entered for.
    cost: Decimal,
}

impl Reckoned {
    fn take(&mut self, side: Side, amount: Decimal, price: Decimal) {
        let mut signed = if side == Side::Buy { amount } else { -amount };
        let against = !self.amount.is_zero() && self.amount.is_sign_negative() != signed.is_sign_negative();
        if against {
            let closed = amount.min(self.amount.abs());
            let part = self.cost * closed / self.amount.abs();
            let closed = if side == Side::Buy { closed } else { -closed };
            (self.amount, self.cost) = (self.amount + closed, self.cost - part);
            signed -= closed;
        }
        self.amount += signed;
        self.cost += signed * price;
    }
}

/// An order of [`open_and_close`]: what it is called, its side, its size in lots, whether it closes, and how much of it is filled.
type Deed = (&'static str, Side, i64, bool, i64);

const ONE_WAY: &[Deed] = &[
    ("open long", Side::Buy, 6, false, 6),
    ("more of it", Side::Buy, 11, false, 11),
    ("close a part", Side::Sell, 5, true, 5),
    ("close more than there is", Side::Sell, 40, true, 12),
    ("open short", Side::Sell, 7, false, 7),
    ("more of it", Side::Sell, 30, false, 30),
    ("close a part", Side::Buy, 8, true, 8),
    ("close the rest", Side::Buy, 29, true, 29),
];

const HEDGE: &[Deed] = &[
    ("open long", Side::Buy, 6, false, 6),
    ("open short", Side::Sell, 9, false, 9),
    ("more of the long", Side::Buy, 25, false, 25),
    ("close a part of the short", Side::Buy, 4, true, 4),
    ("more of the short", Side::Sell, 3, false, 3),
    ("close a part of the long", Side::Sell, 10, true, 10),
    ("close the short", Side::Buy, 8, true, 8),
    ("close the long", Side::Sell, 21, true, 21),
];

/// PQ-05.
///
/// # Errors
/// The order after which side, amount or entry price are not what its fills make them, or the close that opened.
pub async fn open_and_close(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let offered = bench.spec.perpetual.map(|spec| spec.position_modes).unwrap_or_default();
    let mut rows = Vec::new();
    for mode in offered {
        if desk.connector.position_mode() != Some(*mode) {
            switch(&bench, &mut desk, *mode).await?;
        }
        let told = |failure: Failure| Failure(format!("{mode}: {}", failure.0));
        rows.extend(deeds(&bench, &mut desk, &ground, *mode).await.map_err(told)?);
        rows.extend(nothing_to_close(&bench, &mut desk, &ground, *mode).await.map_err(told)?);
    }
    let problems = desk.problems();
    ensure(problems.is_empty(), || problems.join("; "))?;
    let text = format!(
        "{} orders in {} modes: side, amount and average entry price are what the fills make them; closes never open",
        rows.len(),
        offered.len()
    );
    let head = ["order", "long", "entered at", "short", "entered at"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Positions after each order".to_owned(), head, rows }))
}

async fn deeds(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    mode: PositionMode,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut reckoned: BTreeMap<PositionSide, Reckoned> = BTreeMap::new();
    let mut rows = Vec::new();
    let lot = lots(ground, 1);
    let list = if mode == PositionMode::Hedge { HEDGE } else { ONE_WAY };
    for (name, side, size, closes, traded) in list {
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        let order = taking(ground, *side, lot * Decimal::from(*size));
        let (order, leg) = match (mode, closes) {
            (PositionMode::OneWay, true) => (order.close(), PositionSide::Both),
            (PositionMode::OneWay, false) => (order.open(), PositionSide::Both),
            (PositionMode::Hedge, true) => {
                (order.close(), if *side == Side::Sell { PositionSide::Long } else { PositionSide::Short })
            }
            (PositionMode::Hedge, false) => {
                (order.open(), if *side == Side::Buy { PositionSide::Long } else { PositionSide::Short })
            }
        };
        let id = desk.connector.place(order)?;
        desk.ended(&id).await.map_err(told)?;
        let fills = bench.executions_of(&id);
        let sum: Decimal = fills.iter().map(|fill| fill.amount).sum();
        ensure(sum == lot * Decimal::from(*traded), || format!("{name}: {sum} was traded"))?;
        let place = reckoned.entry(leg).or_default();
        fills.iter().for_each(|fill| place.take(fill.side, fill.amount, fill.price));
        for leg in places(mode) {
            let expected = reckoned.get(leg).copied().unwrap_or_default();
            right(bench, desk, ground, *leg, expected).await.map_err(told)?;
        }
        let cells = [PositionSide::Long, PositionSide::Short].map(|side| {
            let open = desk.connector.positions();
            let held = open.iter().find(|held| held.pair == ground.pair && held.side == side).cloned();
            held.map_or([String::new(), String::new()], |held| {
                [plain(held.amount), plain(held.entry_price.unwrap_or_default())]
            })
        });
        rows.push([format!("{mode}: {name}")].into_iter().chain(cells.into_iter().flatten()).collect());
    }
    Ok(rows)
}

/// The connector's position is the ledger's, and what its executions make it.
async fn right(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    leg: PositionSide,
    expected: Reckoned,
) -> Result<(), Failure> {
    let known = settled(bench, desk, &ground.pair, leg).await?;
    let side = match leg {
        PositionSide::Both => PositionSide::of(expected.amount),
        leg => leg,
    };
    ensure((known.side, known.amount) == (side, expected.amount.abs()), || {
        format!("{side} {} should be held, known is {known:?}", expected.amount.abs())
    })?;
    let entry = expected.cost.checked_div(expected.amount);
    let near = match (known.entry_price, entry) {
        (Some(known), Some(entry)) => (known - entry).abs() <= Decimal::new(1, 8),
        (known, None) => known.is_none_or(|known| known.is_zero()),
        (None, Some(_)) => false,
    };
    ensure(near, || format!("entered at {entry:?}, known is {:?}", known.entry_price))
}

/// Closing what is not there is refused, and so is an order that does not say what it does where it has to.
async fn nothing_to_close(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    mode: PositionMode,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    let mut orders: Vec<(String, NewOrder)> = [Side::Buy, Side::Sell]
        .map(|side| {
            (format!("close by a {side} what is not open"), taking(ground, side, lots(ground, 3)).close())
        })
        .to_vec();
    if mode == PositionMode::Hedge {
        orders.push(("without saying what it does".to_owned(), taking(ground, Side::Buy, lots(ground, 3))));
    }
    for (name, order) in orders {
        let told = match desk.connector.place(order) {
            Err(error) => error,
            Ok(id) => match desk.ended(&id).await? {
                Event::OrderFailed(failed) => (*failed.error).clone(),
                other => return Err(Failure(format!("{name}: ended as {other:?}"))),
            },
        };
        ensure(matches!(told.cause, Cause::Position | Cause::Usage), || {
            format!("{name}: refused for {told}")
        })?;
        rows.push(vec![
            format!("{mode}: {name}"),
            told.to_string(),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    bench.balances_agree(&desk.connector).await?;
    let open = bench.open_orders().len();
    ensure(open == 0, || format!("{open} orders are open"))?;
    Ok(rows)
}

/// PQ-13.
///
/// # Errors
/// The amount that is in another unit than the base asset.
pub async fn contract_size(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let pairs = bench.grounds.iter().map(|ground| ground.pair.clone()).collect();
    let mut desk = bench.desk_of(crate::bench::Plan { pairs, ..bench.plan() }).await?;
    let mut rows = Vec::new();
    for ground in &bench.grounds.clone() {
        let told = |failure: Failure| Failure(format!("{}: {}", ground.pair, failure.0));
        rows.push(in_base(&bench, &mut desk, ground).await.map_err(told)?);
    }
    let units: Vec<&str> = rows.iter().filter_map(|row| row.get(1).map(String::as_str)).collect();
    let text = format!(
        "on all {} contracts (sizes {}) rules, orders, fills, books, trades and positions are in the base asset: a fill moves \
         money by price × amount, and a mark price by amount × move",
        rows.len(),
        units.join(", ")
    );
    let head = ["pair", "contract size", "amount ordered", "value", "gained by a move of the mark price"]
        .map(str::to_owned)
        .to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Contracts".to_owned(), head, rows }))
}

async fn in_base(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<Vec<String>, Failure> {
    let size = bench.look(|exchange| {
        exchange.market(&ground.symbol)?.contract.as_ref().map(|contract| contract.contract_size)
    });
    let rule = desk.connector.trading_rule(&ground.pair).ok_or_else(|| Failure::new("no trading rule"))?;
    let steps = (rule.amount_step, rule.min_amount);
    ensure(steps == (Some(ground.rules.step), Some(ground.rules.min_amount)), || {
        format!(
            "step and least amount are {steps:?}, should be {} and {}",
            ground.rules.step, ground.rules.min_amount
        )
    })?;
    let ours = desk.connector.order_book(&ground.pair, 1).and_then(|book| book.bids.first().copied());
    let theirs = bench
        .look(|exchange| exchange.depth(&ground.symbol, 1))
        .and_then(|depth| depth.bids.first().copied());
    ensure(ours.is_some() && ours == theirs, || format!("the best bid is {ours:?}, should be {theirs:?}"))?;
    let amount = lots(ground, 3);
    let id = filled(desk, taking(ground, Side::Buy, amount)).await?;
    let there = bench.order_of(&id)?;
    let value: Decimal = bench.executions_of(&id).iter().map(|fill| fill.quote).sum();
    let told = told_value(desk, &id);
    ensure(there.amount == amount && told == (amount, value), || {
        format!("{amount} for {value} was ordered; told {told:?}, at the venue {there:?}")
    })?;
    let before = settled(bench, desk, &ground.pair, PositionSide::Both).await?;
    ensure(before.amount == amount, || format!("{amount} was bought, held is {}", before.amount))?;
    let (mark, up) = (ground.middle, ground.price(101) - ground.middle);
    bench.mark(ground, mark + up)?;
    let gained = desk
        .until("the higher mark price", |_, connector| {
            let held = connector.position(&ground.pair, PositionSide::Both)?;
            (held.mark_price == Some(mark + up)).then_some(())?;
            Some(held.unrealised? - before.unrealised?)
        })
        .await?;
    ensure(gained == amount * up, || format!("{amount} gained {gained} by a move of {up}"))?;
    bench.mark(ground, mark)?;
    filled(desk, taking(ground, Side::Sell, amount).close()).await?;
    settled(bench, desk, &ground.pair, PositionSide::Both).await?;
    let cells = [size.unwrap_or_default(), amount, value, gained].map(plain);
    Ok([ground.pair.to_string()].into_iter().chain(cells).collect())
}

/// What an order's end says it traded: base and quote.
fn told_value(desk: &Desk, id: &ClientOrderId) -> (Decimal, Decimal) {
    let end = of(&desk.seen, id).find_map(|event| match event {
        Event::OrderCompleted(completed) => Some((completed.executed.base, completed.executed.quote)),
        _ => None,
    });
    end.unwrap_or_default()
}
