//! Many random orders in memory, each of which the ledger judges.

use std::time::Duration;

use connector_core::order::{NewOrder, Side};
use connector_core::position::{PositionMode, PositionSide};
use connector_core::{Decimal, Event};
use connector_venue::orders::AccountId;

use super::{places, positions::scaled};
use crate::bench::{Failure, Ground, ensure, quote};
use crate::dice::Dice;
use crate::kit::Kit;
use crate::lab::Lab;
use crate::report::{Chart, Detail, Series, Shape, Unit};

/// Orders after which the house quotes somewhere else.
const MOVE: usize = 12;
/// Orders after which what is available is compared too, which only requests tell.
const FULL: usize = 100;
/// Virtual time between two orders: no venue lets a thousand of them through in a minute.
const PACE: Duration = Duration::from_millis(100);
/// Longest virtual time until the stream has told what a fill changed.
const SOON: Duration = Duration::from_secs(2);

/// What became of a walk.
#[derive(Debug)]
pub struct Walk {
    /// The mode positions were held in.
    pub mode: PositionMode,
    /// Fills.
    pub fills: usize,
    /// Orders.
    pub orders: usize,
    /// How often a position was closed or turned round.
    pub flips: usize,
    long: Series,
    short: Series,
}

impl Walk {
    /// The positions over time.
    #[must_use]
    pub fn chart(self) -> Detail {
        Detail::Chart(Chart {
            title: format!("Random orders, {}: positions over virtual time", self.mode),
            unit: Unit::Count("steps of the base amount".to_owned()),
            series: vec![self.long, self.short],
            limit: None,
        })
    }
}

/// Trades at random until there were so many fills, flips through zero included, and holds amount, entry price, realised and
/// unrealised profit of the positions and the wallet against the ledger after every order.
///
/// # Errors
/// What differs, and after which order.
pub async fn walk(kit: &Kit, mode: PositionMode, fills: usize) -> Result<Walk, Failure> {
    let mut lab = Lab::new(kit, 1, false, 0)?;
    lab.ready()?;
    let ground = lab.ground()?;
    set_mode(&mut lab, mode)?;
    let mut dice = Dice(kit.seed ^ 0x5151);
    let mut walk = Walk {
        mode,
        fills: 0,
        orders: 0,
        flips: 0,
        long: Series::new("long", Shape::Steps),
        short: Series::new("short", Shape::Steps),
    };
    let mut middle = ground.middle;
    while walk.fills < fills {
        if walk.orders.is_multiple_of(MOVE) {
            middle = ground
                .on_tick(ground.middle * (Decimal::from(9_800 + dice.below(400)) / Decimal::from(10_000)));
            move_to(&mut lab, &ground, middle)?;
        }
        let before = signs(&lab, &ground, mode);
        let Some(order) = choose(&lab, &ground, &mut dice, mode, middle) else { continue };
        walk.orders += 1;
        // No limit is to decide what can be placed.
        lab.run_for(PACE);
        let id = lab.place(order.clone())?;
        let end = lab.ended(&id)?;
        ensure(!matches!(end, Event::OrderFailed(_)), || format!("{order:?} ended as {end:?}"))?;
        let told =
            |failure: Failure| Failure(format!("after order {} ({order:?}): {}", walk.orders, failure.0));
        agrees(&mut lab, &ground, mode).map_err(told)?;
        walk.flips += before
            .iter()
            .zip(signs(&lab, &ground, mode))
            .filter(|(old, new)| !old.is_zero() && **old != *new)
            .count();
        walk.fills = lab.executions().len();
        if walk.orders.is_multiple_of(FULL) {
            lab.agrees().map_err(told)?;
        }
        tokio::task::yield_now().await;
        note(&mut walk, &lab, &ground);
    }
    lab.agrees()?;
    ensure(walk.flips * 20 > walk.orders, || {
        format!("{} flips of {} orders prove nothing", walk.flips, walk.orders)
    })?;
    Ok(walk)
}

fn set_mode(lab: &mut Lab, mode: PositionMode) -> Result<(), Failure> {
    if lab.read(|engine, _| engine.position_mode()).flatten() == Some(mode) {
        return Ok(());
    }
    lab.with(|engine, now| engine.set_position_mode(now, mode))?;
    lab.until("the position mode", SOON, |engine, events| {
        let told = events
            .iter()
            .any(|event| matches!(event, Event::PositionModeChanged(changed) if changed.mode == mode));
        told && engine.position_mode() == Some(mode)
    })
    .map(drop)
}

/// The house quotes elsewhere, and positions are valued there.
fn move_to(lab: &mut Lab, ground: &Ground, middle: Decimal) -> Result<(), Failure> {
    lab.venue(|venue, now| {
        let exchange = venue.exchange_mut();
        quote(exchange, ground, middle)?;
        exchange.set_mark_price(&ground.symbol, Some(middle)).map_err(Failure::new)?;
        venue.advance(now);
        Ok(())
    })
}

/// The amounts held, negative = short.
fn held(lab: &Lab, ground: &Ground, mode: PositionMode) -> Vec<(PositionSide, Decimal)> {
    let account: AccountId = lab.account();
    let of = |side: &PositionSide| {
        let view = lab.look(|exchange| exchange.position(account, &ground.symbol, *side));
        (*side, view.map(|view| view.amount).unwrap_or_default())
    };
    places(mode).iter().map(of).collect()
}

fn signs(lab: &Lab, ground: &Ground, mode: PositionMode) -> Vec<Decimal> {
    held(lab, ground, mode)
        .into_iter()
        .map(|(_, amount)| if amount.is_zero() { amount } else { amount / amount.abs() })
        .collect()
}

/// An order that trades at once: of a size of its own, or the very size of the position, or one that turns it round.
fn choose(
    lab: &Lab,
    ground: &Ground,
    dice: &mut Dice,
    mode: PositionMode,
    middle: Decimal,
) -> Option<NewOrder> {
    let at = |percent: i64| ground.on_tick(middle * Decimal::new(percent, 2));
    let held = held(lab, ground, mode);
    let (leg, amount) = *dice.pick(&held)?;
    let size = ground.amount(at(97), 1 + i64::try_from(dice.below(45)).unwrap_or_default())
        + ground.rules.step * Decimal::from(dice.below(9));
    let against = dice.below(2) == 0 && !amount.is_zero();
    let opening = match leg {
        PositionSide::Long => Side::Buy,
        PositionSide::Short => Side::Sell,
        PositionSide::Both if dice.below(2) == 0 => Side::Buy,
        PositionSide::Both => Side::Sell,
    };
    let closing = if amount > Decimal::ZERO { Side::Sell } else { Side::Buy };
    let (side, size) = match (against, dice.below(3)) {
        (false, _) => (opening, size),
        (true, 0) => (closing, amount.abs()),
        (true, 1) if leg == PositionSide::Both => (closing, amount.abs() + size),
        (true, _) => (closing, size.min(amount.abs())),
    };
    let price = at(if side == Side::Buy { 103 } else { 97 });
    let order = NewOrder::limit(ground.pair.clone(), side, size, price);
    // What is less than the venue takes can only be closed as such.
    let closes = against && side == closing && size <= amount.abs();
    Some(match (mode, closes) {
        (PositionMode::Hedge, true) => order.close(),
        (PositionMode::Hedge, false) => order.open(),
        (PositionMode::OneWay, true) if dice.below(2) == 0 || size * price < ground.rules.min_notional => {
            order.close()
        }
        (PositionMode::OneWay, _) => order,
    })
    .filter(|order| mode == PositionMode::OneWay || order.amount * price >= ground.rules.min_notional)
}

/// Waits until positions and wallet are the ledger's, by what the stream tells.
fn agrees(lab: &mut Lab, ground: &Ground, mode: PositionMode) -> Result<(), Failure> {
    let end = lab.mono().after(SOON);
    loop {
        let wrong = differs(lab, ground, mode);
        if wrong.is_empty() {
            return Ok(());
        }
        ensure(lab.mono() < end, || wrong.join("; "))?;
        lab.run_for(Duration::from_millis(5));
    }
}

fn differs(lab: &Lab, ground: &Ground, mode: PositionMode) -> Vec<String> {
    let (account, asset) = (lab.account(), ground.spends(Side::Buy));
    let known = lab.read(|engine, _| {
        let wallet = engine.balances().get(&asset).map(|held| held.total).unwrap_or_default();
        let realised: Vec<_> = places(mode)
            .iter()
            .map(|side| {
                engine.position(&ground.pair, *side).map(|position| position.realised).unwrap_or_default()
            })
            .collect();
        (engine.positions(), wallet, realised)
    });
    let Some((positions, wallet, realised)) = known else { return vec!["no engine".to_owned()] };
    lab.look(|exchange| {
        let mut wrong = crate::holdings::position_errors(&positions, exchange, account);
        let truth = exchange.margin(account, &asset).wallet;
        if truth != wallet {
            wrong.push(format!("the wallet is {wallet}, in the ledger {truth}"));
        }
        for (side, realised) in places(mode).iter().zip(realised) {
            let truth = exchange
                .position(account, &ground.symbol, *side)
                .map(|view| view.realised)
                .unwrap_or_default();
            // Closing a part takes a share of the cost that is rounded here and there.
            if (truth - realised).abs() > Decimal::new(1, 6) {
                wrong.push(format!("realised of {side} is {realised}, in the ledger {truth}"));
            }
        }
        wrong
    })
}

fn note(walk: &mut Walk, lab: &Lab, ground: &Ground) {
    let at = lab.mono().0;
    let sum = |long: bool| -> Decimal {
        let of_side = |(_, amount): &(PositionSide, Decimal)| (*amount > Decimal::ZERO) == long;
        held(lab, ground, walk.mode).iter().filter(|held| of_side(held)).map(|(_, amount)| amount.abs()).sum()
    };
    let (long, short) = (sum(true), sum(false));
    walk.long.push(at, scaled(long, ground.rules.step));
    walk.short.push(at, scaled(short, ground.rules.step));
}
