//! Rows about market data.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use connector_core::engine::FeedState;
use connector_core::event::Event;
use connector_core::message::Level;
use connector_core::order::Side;
use connector_core::{Decimal, Pair};
use connector_venue::orders::{AccountId, Submit};
use connector_venue::setup::MarketStatus;

use crate::bench::{Bench, Desk, Evidence, Failure, Judgement, ensure, level};
use crate::kit::Kit;
use crate::report::{Chart, Detail, Series, Shape, Unit, human, percentile};

/// Levels compared per side; more than any book here has.
const DEPTH: usize = 5_000;

/// SQ-06.
///
/// # Errors
/// The pair that is wrongly listed or not.
pub async fn list(kit: Kit) -> Judgement {
    let bench = kit.halted().await?;
    let connector = bench.open(bench.plan()).await?;
    let markets = bench.look(|exchange| exchange.markets().into_iter().cloned().collect::<Vec<_>>());
    let listed: BTreeSet<Pair> = connector.trading_pairs().into_iter().collect();
    let (mut tradable, mut untradable) = (0, 0);
    for market in &markets {
        let pair = Pair::new(market.base.as_str(), market.quote.as_str())
            .ok_or_else(|| Failure(format!("{} is no pair", market.symbol)))?;
        let trades = market.status == MarketStatus::Trading;
        ensure(listed.contains(&pair) == trades, || {
            format!("{pair} is {:?} at the venue, but listed: {}", market.status, listed.contains(&pair))
        })?;
        if !trades {
            untradable += 1;
            continue;
        }
        tradable += 1;
        let rule = connector.trading_rule(&pair).ok_or_else(|| Failure(format!("no rule of {pair}")))?;
        ensure(rule.exchange_symbol == market.symbol && rule.pair == pair, || {
            format!("{} became {} of {}", market.symbol, rule.exchange_symbol, rule.pair)
        })?;
        ensure(
            rule.price_step == Some(market.rules.tick) && rule.amount_step == Some(market.rules.step),
            || format!("{pair}: steps {:?} and {:?} are not the venue's", rule.price_step, rule.amount_step),
        )?;
    }
    ensure(listed.len() == tradable, || format!("{} pairs listed, {tradable} exist", listed.len()))?;
    ensure(untradable > 0, || "the venue has no untradable market to hide".to_owned())?;
    Ok(Evidence::new(format!(
        "{tradable} tradable pairs listed, symbols and steps the venue's; {untradable} halted left out"
    )))
}

/// SQ-09.
///
/// # Errors
/// The change that was not followed.
pub async fn live_prices(kit: Kit) -> Judgement {
    const CHANGES: i64 = 100;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let (mut tops, mut trades) = (Vec::new(), Vec::new());
    for change in 1..=CHANGES {
        // Each bid is better than all before and still below the best ask.
        let price = ground.on_tick(ground.middle * Decimal::new(9_995, 4))
            + ground.rules.tick * Decimal::from(change);
        let submit = Submit::limit(&ground.symbol, Side::Buy, price, ground.amount(price, 5));
        let start = Instant::now();
        bench.house(AccountId::HOUSE_MAKER, &submit)?;
        let best = bench.look(|exchange| exchange.best(&ground.symbol)).unwrap_or_default();
        let bid = best.bid.ok_or_else(|| Failure::new("the venue's book has no bid"))?;
        desk.until(format_args!("best bid {}", level(Some(&bid))), |_, connector| {
            let ours = connector.best_price(&ground.pair)?;
            (ours.bid == Some(bid.price) && ours.bid_amount == Some(bid.amount)).then_some(())
        })
        .await?;
        tops.push(start.elapsed());
    }
    for trade in 0..CHANGES {
        let side = if trade % 2 == 0 { Side::Buy } else { Side::Sell };
        let start = Instant::now();
        bench.take(&ground, side, ground.amount(ground.middle, 2))?;
        let last = bench.look(|exchange| exchange.public_trades(&ground.symbol, 1, None));
        let last = last.first().map(|trade| trade.price);
        desk.until(format_args!("last price {last:?}"), |_, connector| {
            (connector.last_price(&ground.pair) == last).then_some(())
        })
        .await?;
        trades.push(start.elapsed());
    }
    book_agrees(&bench, &mut desk, &ground.symbol, &ground.pair).await?;
    let (tops, trades) = (nanos(&tops), nanos(&trades));
    let text = format!(
        "{CHANGES} best prices and {CHANGES} last prices followed; lag p50 {} and {}, p99 {} and {}",
        at(&tops, 50),
        at(&trades, 50),
        at(&tops, 99),
        at(&trades, 99)
    );
    Ok(Evidence::new(text)
        .with(Detail::Samples { title: "Change of the best bid until it shows".to_owned(), nanos: tops })
        .with(Detail::Samples { title: "Trade until the last price shows".to_owned(), nanos: trades }))
}

fn nanos(times: &[Duration]) -> Vec<u64> {
    times.iter().map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).collect()
}

fn at(nanos: &[u64], percent: usize) -> String {
    let mut sorted = nanos.to_vec();
    sorted.sort_unstable();
    human(Duration::from_nanos(percentile(&sorted, percent)))
}

/// Waits until the connector's book equals the venue's full book; how many levels that are.
async fn book_agrees(bench: &Bench, desk: &mut Desk, symbol: &str, pair: &Pair) -> Result<usize, Failure> {
    desk.until(format_args!("the book of {pair} to equal the venue's"), |_, connector| {
        compare(bench, connector, symbol, pair).filter(|(_, equal)| *equal).map(|(levels, _)| levels)
    })
    .await
}

/// Compares the books where both stand at the same update id: how many levels, and whether all are equal.
fn compare(
    bench: &Bench,
    connector: &connector_core::Connector,
    symbol: &str,
    pair: &Pair,
) -> Option<(usize, bool)> {
    bench.server.with(|venue, _| {
        let ours = connector.order_book(pair, DEPTH).filter(|book| book.state == FeedState::Live)?;
        let truth = venue.exchange().depth(symbol, DEPTH)?;
        let same = |ours: &[Level], truth: &[Level]| ours == truth;
        let equal = same(&ours.bids, &truth.bids) && same(&ours.asks, &truth.asks);
        (ours.last_id == Some(truth.last_id)).then_some((truth.bids.len() + truth.asks.len(), equal))
    })
}

/// SQ-24.
///
/// # Errors
/// The book that differs, crosses, or is lost.
pub async fn book(kit: Kit) -> Judgement {
    const LIVELY: Duration = Duration::from_secs(4);
    let bench = kit.lively().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let (mut looks, mut compared) = (0_u64, 0_u64);
    let mut age = Age::new();
    let start = Instant::now();
    while start.elapsed() < LIVELY {
        desk.listen(Duration::from_millis(5)).await?;
        let book =
            desk.connector.order_book(&ground.pair, DEPTH).ok_or_else(|| Failure::new("the book is gone"))?;
        let crossed = matches!((book.bids.first(), book.asks.first()), (Some(bid), Some(ask)) if bid.price >= ask.price);
        ensure(!crossed, || {
            format!("crossed: bid {}, ask {}", level(book.bids.first()), level(book.asks.first()))
        })?;
        looks += 1;
        age.look(&bench, &ground.symbol, start.elapsed(), book.last_id);
        if let Some((_, equal)) = compare(&bench, &desk.connector, &ground.symbol, &ground.pair) {
            ensure(equal, || "the book differs from the venue's at the same update id".to_owned())?;
            compared += 1;
        }
    }
    let stale = desk.seen.iter().filter(|event| matches!(event, Event::BookStale { .. })).count();
    ensure(stale == 0, || format!("the book was lost {stale} times without a fault"))?;
    bench
        .server
        .with(|venue, _| venue.exchange_mut().set_status(&ground.symbol, MarketStatus::Halted))
        .map_err(Failure::new)?;
    let levels = book_agrees(&bench, &mut desk, &ground.symbol, &ground.pair).await?;
    let trades = bench.look(|exchange| exchange.public_trades(&ground.symbol, usize::MAX, None).len());
    ensure(levels > 0 && trades > 0, || "the market did not live".to_owned())?;
    Ok(Evidence::new(format!(
        "all {levels} levels equal at quiescence; {compared} comparisons at equal update ids in {} s, none different; \
         {looks} looks, never crossed",
        LIVELY.as_secs()
    ))
    .with(Detail::Samples {
        title: "Change at the venue until the local book has it, looked at every 5 ms".to_owned(),
        nanos: age.lags.clone(),
    })
    .with(age.detail()))
}

/// How old the news is that the local book shows.
struct Age {
    /// The venue's update ids and when they were first seen there, oldest first.
    there: VecDeque<(u64, u64)>,
    ages: Series,
    /// How long each took to come here.
    lags: Vec<u64>,
}

impl Age {
    fn new() -> Self {
        Self {
            there: VecDeque::new(),
            ages: Series::new("age of the local book", Shape::Line),
            lags: Vec::new(),
        }
    }

    fn look(&mut self, bench: &Bench, symbol: &str, at: Duration, ours: Option<u64>) {
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let theirs = bench.look(|exchange| exchange.depth(symbol, 1)).map(|depth| depth.last_id);
        let (Some(theirs), Some(ours)) = (theirs, ours) else { return };
        if self.there.back().is_none_or(|(id, _)| *id < theirs) {
            self.there.push_back((theirs, at));
        }
        // What the local book has is not missing from it.
        while let Some((_, since)) = self.there.pop_front_if(|(id, _)| *id <= ours) {
            self.lags.push(at - since);
        }
        let lacking = self.there.front().map_or(0, |(_, since)| at - since);
        self.ages.push(at, lacking);
    }

    fn detail(self) -> Detail {
        Detail::Chart(Chart {
            title: "Age of the oldest change that the local book lacks".to_owned(),
            unit: Unit::Nanos,
            series: vec![self.ages],
            limit: None,
        })
    }
}

/// SQ-25.
///
/// # Errors
/// The trade that is missing, doubled, out of order or different.
pub async fn trades(kit: Kit) -> Judgement {
    const TRADES: usize = 200;
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let before = bench.look(|exchange| exchange.public_trades(&ground.symbol, 1, None));
    let first = before.first().map_or(0, |trade| trade.id + 1);
    for number in 0..TRADES {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        bench.take(&ground, side, ground.amount(ground.middle, 2))?;
    }
    let truth = bench.look(|exchange| exchange.public_trades(&ground.symbol, usize::MAX, Some(first)));
    let told = |seen: &[Event]| -> Vec<_> {
        let trades = seen.iter().filter_map(|event| match event {
            Event::Traded { pair, trade, .. } if *pair == ground.pair => Some(trade),
            _ => None,
        });
        trades
            .map(|trade| (trade.trade_id.to_string(), trade.price, trade.amount, trade.taker_side))
            .collect()
    };
    let _ = desk.until("the last trade", |seen, _| (told(seen).len() >= truth.len()).then_some(())).await;
    // What comes twice comes soon after.
    desk.listen(Duration::from_millis(200)).await?;
    let wanted: Vec<_> = truth
        .iter()
        .map(|trade| (trade.id.to_string(), trade.price, trade.amount, trade.taker_side()))
        .collect();
    let told = told(&desk.seen);
    ensure(told == wanted, || {
        let place = told.iter().zip(&wanted).position(|(ours, theirs)| ours != theirs);
        format!("{} trades told, {} happened; first difference: {place:?}", told.len(), wanted.len())
    })?;
    let best = bench.look(|exchange| exchange.best(&ground.symbol)).unwrap_or_default();
    desk.until("the ticker to equal the venue's", |_, connector| {
        let ours = connector.best_price(&ground.pair)?;
        let same =
            ours.bid == best.bid.map(|level| level.price) && ours.ask == best.ask.map(|level| level.price);
        same.then_some(())
    })
    .await?;
    Ok(Evidence::new(format!(
        "{} trades told once each, in order, with the venue's price, amount and side",
        told.len()
    )))
}
