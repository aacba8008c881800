//! The row about positions that the venue closes by itself.

use std::time::Duration;

use connector_core::order::Side;
use connector_core::position::{PositionCause, PositionSide};
use connector_core::{Decimal, Event};
use connector_venue::perpetual::PositionView;
use connector_venue::setup::MarketStatus;

use super::account::starve;
use super::{filled, ledger, lots, plain, taking};
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, ensure, of};
use crate::kit::Kit;
use crate::report::Detail;

/// The part of a position's value that is left as collateral before its price turns.
const LEFT: i64 = 12;

/// How the venue closes a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Liquidation,
    Deleverage,
    Settlement,
}

impl End {
    const fn cause(self) -> PositionCause {
        match self {
            Self::Liquidation => PositionCause::Liquidation,
            Self::Deleverage => PositionCause::AutoDeleverage,
            Self::Settlement => PositionCause::Settlement,
        }
    }
}

/// PQ-12.
///
/// # Errors
/// What was not closed here as it was there, or without its cause.
pub async fn closed_by_venue(kit: Kit) -> Judgement {
    let (mut rows, mut shown) = (Vec::new(), None);
    for end in [End::Liquidation, End::Deleverage, End::Settlement] {
        for side in [Side::Buy, Side::Sell] {
            let told = |failure: Failure| Failure(format!("{end:?} of what a {side} opened: {}", failure.0));
            let (row, story) = scene(&kit, end, side).await.map_err(told)?;
            rows.push(row);
            shown.get_or_insert(story);
        }
    }
    let text = format!(
        "{} positions, long and short, closed by liquidation, deleveraging and settlement: position, orders and collateral end \
         as in the ledger, each told once with its cause; a margin call came before the liquidations",
        rows.len()
    );
    let head = ["closed by", "position", "told after", "order", "wallet"].map(str::to_owned).to_vec();
    let evidence =
        Evidence::new(text).with(Detail::Table { title: "Closed by the venue".to_owned(), head, rows });
    Ok(shown.into_iter().fold(evidence, Evidence::with))
}

async fn scene(kit: &Kit, end: End, side: Side) -> Result<(Vec<String>, Detail), Failure> {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    filled(&mut desk, taking(&ground, side, lots(&ground, 30))).await?;
    let resting = desk.connector.place(ground.resting(side))?;
    desk.created(&resting).await?;
    bench.balances_agree(&desk.connector).await?;
    let held = ledger(&bench, &ground, PositionSide::Both)?;
    let before = desk.seen.len();
    let start = std::time::Instant::now();
    carry_out(&bench, &mut desk, &ground, end).await?;
    let told = desk
        .until("the position to be told as closed", |seen, _| {
            seen.iter().skip(before).find_map(|event| match event {
                Event::PositionChanged(changed)
                    if changed.pair == ground.pair && changed.amount.is_zero() =>
                {
                    Some(changed.clone())
                }
                _ => None,
            })
        })
        .await?;
    let took = start.elapsed();
    ensure(told.cause == Some(end.cause()), || format!("told with the cause {:?}", told.cause))?;
    let over = desk.ended(&resting).await?;
    ensure(matches!(over, Event::OrderExpired(_) | Event::OrderCancelled(_)), || {
        format!("the open order ended as {over:?}")
    })?;
    ensure(bench.open_orders().is_empty() && desk.connector.open_orders().is_empty(), || {
        "an order is left open".to_owned()
    })?;
    bench.balances_agree(&desk.connector).await?;
    desk.listen(Duration::from_millis(300)).await?;
    let zeros = desk
        .seen
        .iter()
        .skip(before)
        .filter(|event| matches!(event, Event::PositionChanged(changed) if changed.amount.is_zero()));
    ensure(zeros.count() == 1, || "the end of the position was told more than once".to_owned())?;
    // What the venue traded for the account is no fill of an own order.
    let own = of(&desk.seen, &resting).filter(|event| matches!(event, Event::OrderFilled(_))).count();
    ensure(own == 0 && desk.connector.positions().is_empty(), || {
        "an own order was told as filled, or a position is left".to_owned()
    })?;
    let asset = ground.spends(side);
    let wallet = desk.connector.balance(&asset).total;
    let word = match over {
        Event::OrderExpired(_) => "expired",
        _ => "cancelled",
    };
    let row = vec![
        end.cause().to_string(),
        plain(held.amount),
        crate::report::human(took),
        word.to_owned(),
        format!("{} {asset}", plain(wallet)),
    ];
    Ok((row, bench.story(format!("Closed by {}", end.cause()), &desk)))
}

/// Has the venue close the position.
async fn carry_out(bench: &Bench, desk: &mut Desk, ground: &Ground, end: End) -> Result<(), Failure> {
    match end {
        End::Liquidation => liquidate(bench, desk, ground).await,
        End::Deleverage => bench.server.with(|venue, now| {
            let closed = venue.exchange_mut().deleverage(bench.account, &ground.symbol);
            venue.advance(now);
            closed.map_err(Failure::new)
        }),
        End::Settlement => bench.server.with(|venue, now| {
            let closed = venue.exchange_mut().set_status(&ground.symbol, MarketStatus::Delisted);
            venue.advance(now);
            closed.map_err(Failure::new)
        }),
    }
}

/// Takes collateral away, lets the mark price come near to where the position is liquidated, then beyond it.
async fn liquidate(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<(), Failure> {
    starve(bench, ground, LEFT)?;
    let held = ledger(bench, ground, PositionSide::Both)?;
    let wallet = bench.look(|exchange| exchange.margin(bench.account, &held.collateral).wallet);
    let ratio = Decimal::new(95, 2);
    bench.mark(ground, price_of(&held, wallet, ratio).round_dp(8))?;
    desk.until("a margin call", |seen, _| {
        seen.iter().find_map(|event| match event {
            Event::MarginCalled(call) if call.pair == ground.pair && call.amount == held.amount.abs() => {
                Some(())
            }
            _ => None,
        })
    })
    .await?;
    let left = ledger(bench, ground, PositionSide::Both)?.amount;
    ensure(left == held.amount, || format!("{left} of {} is held after a margin call", held.amount))?;
    bench.mark(ground, price_of(&held, wallet, Decimal::new(102, 2)).round_dp(8))?;
    let left = ledger(bench, ground, PositionSide::Both)?.amount;
    ensure(left.is_zero(), || format!("the venue did not liquidate: {left} is held"))
}

/// The mark price at which the position's maintenance margin is this part of what backs it.
fn price_of(held: &PositionView, wallet: Decimal, part: Decimal) -> Decimal {
    let maintenance = held.maintenance_margin.checked_div(held.notional.abs()).unwrap_or_default();
    let worth = part * (wallet - held.amount * held.entry_price);
    worth.checked_div(maintenance * held.amount.abs() - part * held.amount).unwrap_or_default()
}
