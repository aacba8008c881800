//! Rows about perpetual contracts: what is held of them, what it costs, and what the venue does by itself.

pub mod account;
pub mod closing;
pub mod funding;
pub mod modes;
pub mod positions;
pub mod walk;

use std::time::Duration;

use connector_core::order::{NewOrder, Side};
use connector_core::position::{Position, PositionMode, PositionSide};
use connector_core::{ClientOrderId, Decimal, Event, Pair};
use connector_venue::perpetual::PositionView;

use crate::bench::{Bench, Desk, Failure, Ground, ensure};

/// How long is listened for what must not come.
const SILENCE: Duration = Duration::from_millis(250);

/// An order that is filled at once: one per cent beyond the house's best quotes.
fn taking(ground: &Ground, side: Side, amount: Decimal) -> NewOrder {
    let price = ground.price(if side == Side::Buy { 103 } else { 97 });
    NewOrder::limit(ground.pair.clone(), side, amount, price)
}

/// So many times what the venue takes at least.
fn lots(ground: &Ground, times: i64) -> Decimal {
    ground.amount(ground.price(97), times)
}

/// Places an order and waits until it is filled.
async fn filled(desk: &mut Desk, order: NewOrder) -> Result<ClientOrderId, Failure> {
    let id = desk.connector.place(order)?;
    let end = desk.ended(&id).await?;
    ensure(matches!(end, Event::OrderCompleted(_)), || format!("{id} ended as {end:?}"))?;
    Ok(id)
}

/// The ledger's position, or one leg of it, flat if there is none.
fn ledger(bench: &Bench, ground: &Ground, side: PositionSide) -> Result<PositionView, Failure> {
    let view = bench.look(|exchange| exchange.position(bench.account, &ground.symbol, side));
    view.ok_or_else(|| Failure(format!("the venue has no contract {}", ground.symbol)))
}

/// The places a position can be held in.
const fn places(mode: PositionMode) -> &'static [PositionSide] {
    match mode {
        PositionMode::OneWay => &[PositionSide::Both],
        PositionMode::Hedge => &[PositionSide::Long, PositionSide::Short],
    }
}

/// Waits until the account is as the ledger has it; what the connector then has of the position.
async fn settled(
    bench: &Bench,
    desk: &mut Desk,
    pair: &Pair,
    side: PositionSide,
) -> Result<Position, Failure> {
    bench.balances_agree(&desk.connector).await?;
    let known = desk.connector.position(pair, side);
    known.ok_or_else(|| Failure(format!("nothing is known of the position {side} of {pair}")))
}

/// A number as people write it.
fn plain(value: Decimal) -> String {
    value.normalize().to_string()
}
