//! The row about exported volumes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connector_core::metrics::{Metrics, Volume};
use connector_core::order::{NewOrder, Side};
use connector_core::{Asset, Decimal, Pair};
use connector_venue::ledger::HistoryQuery;

use super::orders::filled_orders;
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, PATIENCE, Plan, ensure};
use crate::kit::Kit;
use crate::report::Detail;

/// Fills, base and quote amount, by pair and side; fees by asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    filled: BTreeMap<(Pair, &'static str), (u64, Decimal, Decimal)>,
    fees: BTreeMap<Asset, Decimal>,
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

impl Sums {
    fn fill(&mut self, pair: &Pair, side: Side, (fills, base, quote): (u64, Decimal, Decimal)) {
        let sums = self.filled.entry((pair.clone(), word(side))).or_default();
        *sums = (sums.0 + fills, sums.1 + base, sums.2 + quote);
    }

    fn add(&mut self, volume: &Volume) {
        for line in &volume.filled {
            self.fill(&line.pair, line.side, (line.fills, line.base, line.quote));
        }
        for line in &volume.fees {
            *self.fees.entry(line.asset.clone()).or_default() += line.amount;
        }
    }

    /// What the venue has booked for the account.
    fn of_ledger(bench: &Bench) -> Self {
        let mut sums = Self::default();
        bench.look(|exchange| {
            for fill in exchange.fills(bench.account, &HistoryQuery::default()) {
                let ground = bench.grounds.iter().find(|ground| ground.symbol == fill.symbol);
                let Some(ground) = ground else { continue };
                sums.fill(&ground.pair, fill.side, (1, fill.amount, fill.quote));
                *sums.fees.entry(fill.commission_asset.clone()).or_default() += fill.commission;
            }
        });
        sums
    }

    fn fills(&self) -> u64 {
        self.filled.values().map(|(fills, ..)| fills).sum()
    }
}

/// A place to export to, which can be out of order.
#[derive(Clone, Default)]
struct Destination(Arc<Mutex<(Vec<Volume>, bool)>>);

impl Destination {
    fn with<R>(&self, act: impl FnOnce(&mut (Vec<Volume>, bool)) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn metrics(&self) -> Metrics {
        let destination = self.clone();
        Metrics::with_sink(move |volume| {
            destination.with(|(taken, broken)| {
                if *broken {
                    return Err("the destination does not answer".to_owned());
                }
                taken.push(volume.clone());
                Ok(())
            })
        })
    }

    fn sums(&self) -> (usize, Sums) {
        self.with(|(taken, _)| {
            let mut sums = Sums::default();
            taken.iter().for_each(|volume| sums.add(volume));
            (taken.len(), sums)
        })
    }
}

/// Fails unless what arrived is what the venue has booked.
fn agree(when: &str, destination: &Destination, bench: &Bench) -> Result<Vec<String>, Failure> {
    let ((exports, told), truth) = (destination.sums(), Sums::of_ledger(bench));
    ensure(told == truth, || format!("{when}: exported {told:?}, but the ledger has {truth:?}"))?;
    Ok(vec![when.to_owned(), exports.to_string(), truth.fills().to_string()])
}

/// Fails unless the text has the ledger's amounts, digit for digit.
fn text_agrees(metrics: &Metrics, bench: &Bench) -> Result<(), Failure> {
    let text = metrics.encode();
    for ((pair, side), (fills, base, quote)) in Sums::of_ledger(bench).filled {
        let (base, quote) = (base.normalize(), quote.normalize());
        for (name, value) in [
            ("fills", fills.to_string()),
            ("filled_base", base.to_string()),
            ("filled_quote", quote.to_string()),
        ] {
            let (start, end) =
                (format!("connector_{name}_total{{"), format!("pair=\"{pair}\",side=\"{side}\"}} {value}"));
            let told = text.lines().any(|line| line.starts_with(&start) && line.ends_with(&end));
            ensure(told, || format!("the text has no line {start}…{end}:\n{text}"))?;
        }
    }
    ensure(text.ends_with("# EOF\n"), || "the text is not complete".to_owned())
}

/// Leaves an order half filled, so that stopping finds it open.
async fn half_filled(bench: &Bench, desk: &mut Desk, ground: &Ground) -> Result<(), Failure> {
    // Better than the house's quotes, so that the next taker meets it first.
    let price = ground.on_tick(ground.middle) - ground.rules.tick;
    let part = ground.amount(price, 2);
    let order = NewOrder::limit(ground.pair.clone(), Side::Buy, part * Decimal::from(2), price);
    let id = desk.connector.place(order)?;
    desk.created(&id).await?;
    bench.take(ground, Side::Sell, part)?;
    Ok(())
}

/// SQ-29.
///
/// # Errors
/// The export after which what arrived is not what the venue has booked.
pub async fn volume(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let destination = Destination::default();
    let metrics = destination.metrics();
    let plan = || Plan { metrics: Some(metrics.clone()), ..bench.plan() };
    let mut desk = bench.desk_of(plan()).await?;
    let mut rows = Vec::new();

    filled_orders(&bench, &mut desk, &ground).await?;
    ensure(metrics.export()?, || "nothing was exported after fills".to_owned())?;
    rows.push(agree("first export", &destination, &bench)?);
    ensure(!metrics.export()?, || "the same fills were exported twice".to_owned())?;

    filled_orders(&bench, &mut desk, &ground).await?;
    destination.with(|(_, broken)| *broken = true);
    ensure(metrics.export().is_err(), || "a failed export was told as done".to_owned())?;
    destination.with(|(_, broken)| *broken = false);
    filled_orders(&bench, &mut desk, &ground).await?;
    metrics.export()?;
    rows.push(agree("export after a failed one", &destination, &bench)?);

    filled_orders(&bench, &mut desk, &ground).await?;
    half_filled(&bench, &mut desk, &ground).await?;
    let before = destination.sums().1.fills();
    desk.connector.stop(PATIENCE).await?;
    rows.push(agree("stop between two exports", &destination, &bench)?);
    let flushed = destination.sums().1.fills() - before;
    ensure(flushed > 0, || "there was nothing to export at the stop".to_owned())?;

    let mut desk = bench.desk_of(plan()).await?;
    filled_orders(&bench, &mut desk, &ground).await?;
    drop(desk);
    metrics.export()?;
    rows.push(agree("next run, dropped without stop", &destination, &bench)?);
    text_agrees(&metrics, &bench)?;

    let (exports, told) = destination.sums();
    let text = format!(
        "{} fills and fees in {} assets arrived once each in {exports} exports, {flushed} fills of them at the stop; the text has \
         the ledger's amounts",
        told.fills(),
        told.fees.len()
    );
    let head = ["after", "exports", "fills"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Exports".to_owned(), head, rows }))
}
