//! Rows about what is kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connector_core::journal::{Filter, History as _, OwnFill, SqliteHistory, Status};
use connector_core::order::{OrderState, Side};
use connector_core::{Asset, ClientOrderId, Decimal, Event};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{Execution, Order};

use crate::bench::{Bench, Evidence, Failure, Judgement, PATIENCE, Plan, ensure, of};
use crate::holdings::worth;
use crate::kit::Kit;
use crate::report::Detail;
use crate::rows::orders::filled_orders;
use crate::scratch::Scratch;

/// How long is listened for what must not come.
const SILENCE: Duration = Duration::from_millis(200);

/// Everything held, by asset, by the ledger.
fn totals(bench: &Bench) -> BTreeMap<Asset, Decimal> {
    bench.look(|exchange| worth(exchange, bench.account))
}

/// SQ-27.
///
/// # Errors
/// The order or fill that the history has wrong, twice, or not.
pub async fn persisted(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let files = Scratch::new("history").map_err(Failure::new)?;
    let path = files.file("journal.sqlite");
    let plan = || Plan { journal: Some(path.clone()), ..bench.plan() };
    let before = totals(&bench);
    let mut desk = bench.desk_of(plan()).await?;
    let mut ids = filled_orders(&bench, &mut desk, &ground).await?;
    let cancelled = desk.connector.place(ground.resting(Side::Buy))?;
    desk.created(&cancelled).await?;
    desk.connector.cancel(&cancelled)?;
    desk.ended(&cancelled).await?;
    // One is open, partly filled, when the process ends; a part is filled while nobody runs, the rest afterwards.
    let price = ground.on_tick(ground.middle) - ground.rules.tick;
    let part = ground.amount(price, 2);
    let order = connector_core::order::NewOrder::limit(
        ground.pair.clone(),
        Side::Buy,
        part * Decimal::from(3),
        price,
    );
    let open = desk.connector.place(order)?;
    desk.created(&open).await?;
    bench.take(&ground, Side::Sell, part)?;
    desk.until("the first part", |seen, _| {
        let filled =
            |event: &Event| matches!(event, Event::OrderFilled(fill) if fill.order.client_order_id == open);
        seen.iter().any(filled).then_some(())
    })
    .await?;
    // Not stopped, which would cancel: gone, as a process that ends is.
    drop(desk);
    written(&path, &bench).await?;
    bench.take(&ground, Side::Sell, part)?;
    let mut desk = bench.desk_of(plan()).await?;
    desk.until("the order of the earlier run with what it was filled meanwhile", |_, connector| {
        connector.order(&open).filter(|order| order.executed().base == part * Decimal::TWO)
    })
    .await?;
    bench.take(&ground, Side::Sell, part)?;
    // That it was created was told in the earlier run, and is not told again.
    let end = desk
        .until("the order of the earlier run to end", |seen, _| {
            of(seen, &open).find(|event| event.is_terminal()).cloned()
        })
        .await?;
    ensure(matches!(end, Event::OrderCompleted(_)), || {
        format!("the order of the earlier run ended as {end:?}")
    })?;
    desk.listen(SILENCE).await?;
    let told = of(&desk.seen, &open).filter(|event| event.is_terminal()).count();
    ensure(told == 1 && desk.fills(&open).len() == 2, || {
        format!("told after the restart: {:?}", of(&desk.seen, &open).collect::<Vec<_>>())
    })?;
    bench.balances_agree(&desk.connector).await?;
    desk.connector.stop(PATIENCE).await?;
    ids.extend([cancelled, open]);
    let history = SqliteHistory::open(&path)?;
    let trades: Vec<OwnFill> =
        history.trades(&Filter::default())?.into_iter().map(|trade| trade.row).collect();
    let parts = fills_equal(&bench, &trades)?;
    orders_equal(&bench, &history, &ids)?;
    let changes = asset_totals(&bench, &before, &trades)?;
    let text = format!(
        "{} orders and {parts} fills in the file are the venue's, partial fills and one that happened between two runs included, \
         each once; their sums are the change of every balance",
        ids.len()
    );
    let head = ["asset", "by the history", "by the ledger"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Changes".to_owned(), head, rows: changes }))
}

/// Waits until the file has all fills that have happened: a thread of the ended connector still writes.
async fn written(path: &std::path::Path, bench: &Bench) -> Result<(), Failure> {
    let happened = bench.look(|exchange| exchange.fills(bench.account, &HistoryQuery::default()).len());
    let start = Instant::now();
    loop {
        let written = SqliteHistory::open(path)?.trades(&Filter::default())?.len();
        if written == happened {
            return Ok(());
        }
        ensure(start.elapsed() < PATIENCE, || format!("{written} of {happened} fills were written"))?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn fills_equal(bench: &Bench, trades: &[OwnFill]) -> Result<usize, Failure> {
    let theirs: Vec<Execution> = bench.look(|exchange| {
        exchange.fills(bench.account, &HistoryQuery::default()).into_iter().cloned().collect()
    });
    ensure(trades.len() == theirs.len(), || {
        format!("the history has {} fills, the venue {}", trades.len(), theirs.len())
    })?;
    for fill in &theirs {
        let trade_id = fill.trade_id.to_string();
        let ours: Vec<_> = trades
            .iter()
            .filter(|trade| {
                trade.client_order_id.as_str() == fill.client_id && trade.trade_id.as_str() == trade_id
            })
            .collect();
        let fee = Some((&fill.commission_asset, fill.commission));
        let same = |trade: &&OwnFill| {
            (trade.price, trade.amount, trade.side, trade.maker)
                == (fill.price, fill.amount, fill.side, Some(fill.is_maker))
                && trade.fee.as_ref().map(|fee| (&fee.asset, fee.amount)) == fee
                && !trade.fee_estimated
        };
        let right = ours.len() == 1 && ours.iter().all(same);
        ensure(right, || format!("trade {trade_id} of {} is recorded as {ours:?}", fill.client_id))?;
    }
    Ok(theirs.len())
}

fn orders_equal(bench: &Bench, history: &SqliteHistory, ids: &[ClientOrderId]) -> Result<(), Failure> {
    let recorded = history.orders(&Filter::default())?;
    ensure(recorded.len() == ids.len(), || {
        format!("{} orders recorded, {} were placed", recorded.len(), ids.len())
    })?;
    for id in ids {
        let there: Order = bench.order_of(id)?;
        let row = recorded.iter().find(|row| row.client_order_id == *id);
        let row = row.ok_or_else(|| Failure(format!("{id} is not recorded")))?;
        let status = match there.state {
            OrderState::Filled => Status::Completed,
            OrderState::Cancelled => Status::Cancelled,
            _ => Status::Expired,
        };
        let number = row.exchange_order_id.as_ref().map(ToString::to_string);
        ensure(
            row.status == status && row.order.amount == there.amount && number == Some(there.id.to_string()),
            || format!("{id} is recorded as {row:?}, at the venue it is {there:?}"),
        )?;
    }
    Ok(())
}

/// What the history's fills come to is what every balance changed by.
fn asset_totals(
    bench: &Bench,
    before: &BTreeMap<Asset, Decimal>,
    trades: &[OwnFill],
) -> Result<Vec<Vec<String>>, Failure> {
    let mut sums: BTreeMap<Asset, Decimal> = BTreeMap::new();
    for trade in trades {
        let sign = if trade.side == Side::Buy { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
        let ground = bench.grounds.iter().find(|ground| ground.pair == trade.pair);
        let ground = ground.ok_or_else(|| Failure(format!("the history has a fill of {}", trade.pair)))?;
        match &ground.collateral {
            // Whether it opened or closed something: what it is worth at the mark price less what it cost.
            Some(collateral) => {
                let mark = bench.look(|exchange| exchange.mark_price(&ground.symbol));
                let mark = mark.map(|mark| mark.mark_price).unwrap_or_default();
                *sums.entry(collateral.clone()).or_default() += sign * trade.amount * (mark - trade.price);
            }
            None => {
                *sums.entry(trade.pair.base()).or_default() += sign * trade.amount;
                *sums.entry(trade.pair.quote()).or_default() -= sign * trade.amount * trade.price;
            }
        }
        if let Some(fee) = &trade.fee {
            *sums.entry(fee.asset.clone()).or_default() -= fee.amount;
        }
    }
    let mut rows = Vec::new();
    for (asset, now) in totals(bench) {
        let change = now - before.get(&asset).copied().unwrap_or_default();
        let told = sums.get(&asset).copied().unwrap_or_default();
        ensure(told == change, || format!("{asset} changed by {change}, by the history by {told}"))?;
        if !change.is_zero() {
            rows.push(
                [asset.to_string(), told.normalize().to_string(), change.normalize().to_string()].to_vec(),
            );
        }
    }
    Ok(rows)
}
