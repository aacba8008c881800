//! `barter-data`: serde into its Binance structures, its transformers, and its order book.

use std::hint::black_box;

use barter_data::books::OrderBook;
use barter_data::event::MarketEvent;
use barter_data::exchange::binance::book::l1::BinanceOrderBookL1;
use barter_data::exchange::binance::book::l2::BinanceOrderBookL2Snapshot;
use barter_data::exchange::binance::spot::BinanceSpot;
use barter_data::exchange::binance::spot::l2::BinanceSpotOrderBooksL2Transformer;
use barter_data::exchange::binance::trade::BinanceTrade;
use barter_data::subscription::Map;
use barter_data::subscription::book::{OrderBooksL1, OrderBooksL2};
use barter_data::subscription::trade::PublicTrades;
use barter_data::transformer::ExchangeTransformer;
use barter_data::transformer::stateless::StatelessTransformer;
use barter_instrument::exchange::ExchangeId;
use barter_integration::Transformer;
use barter_integration::subscription::SubscriptionId;
use benches::frames::{Frames, SYMBOL};
use benches::measure::Samples;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::{DEPTH_BATCH, Failure, SMALL_BATCH, bare, batches, levels};

const WHO: &str = "barter_data";

pub(crate) type BestPrices = StatelessTransformer<BinanceSpot, u64, OrderBooksL1, BinanceOrderBookL1>;
type Trades = StatelessTransformer<BinanceSpot, u64, PublicTrades, BinanceTrade>;

fn instruments(channel: &str) -> Map<u64> {
    [(SubscriptionId::from(format!("{channel}|{SYMBOL}")), 1)].into_iter().collect()
}

pub(crate) async fn best_prices() -> Result<BestPrices, Failure> {
    Ok(BestPrices::init(instruments("@bookTicker"), &[], mpsc::unbounded_channel().0).await?)
}

pub(crate) async fn depth(frames: &Frames, passes: usize) -> Result<(), Failure> {
    let mut samples = Samples::new("depth/parse_apply", WHO, "ns/level");
    let inner = bare(&frames.depth);
    for pass in 0..=passes {
        if pass == 1 {
            samples.clear();
        }
        let snapshot: BinanceOrderBookL2Snapshot = serde_json::from_slice(&frames.snapshot)?;
        let snapshot = MarketEvent::from((ExchangeId::BinanceSpot, 1_u64, snapshot));
        let mut book = OrderBook::default();
        book.update(&snapshot.kind);
        let to_venue = mpsc::unbounded_channel().0;
        let init = <BinanceSpotOrderBooksL2Transformer<u64> as ExchangeTransformer<
            BinanceSpot,
            u64,
            OrderBooksL2,
        >>::init;
        let mut transformer = init(instruments("@depth@100ms"), &[snapshot], to_venue).await?;
        let mut applied = 0;
        batches(&mut samples, &inner, DEPTH_BATCH, levels, |frame| {
            let Ok(update) = serde_json::from_slice(frame) else { return };
            for event in transformer.transform(update).into_iter().flatten() {
                book.update(&event.kind);
                applied += 1;
            }
        });
        if applied != inner.len() {
            return Err(format!("{WHO}: {applied} of {} depth frames applied", inner.len()).into());
        }
    }
    samples.tell();
    Ok(())
}

pub(crate) async fn best_price(frames: &Frames, passes: usize) -> Result<(), Failure> {
    small("best_price/frame", best_prices().await?, &frames.best_price, passes)
}

pub(crate) async fn trade(frames: &Frames, passes: usize) -> Result<(), Failure> {
    let transformer = Trades::init(instruments("@trade"), &[], mpsc::unbounded_channel().0).await?;
    small("trade/frame", transformer, &frames.trade, passes)
}

fn small<T: Transformer>(
    name: &'static str,
    mut transformer: T,
    frames: &[Vec<u8>],
    passes: usize,
) -> Result<(), Failure>
where
    T::Input: DeserializeOwned,
    T::OutputIter: IntoIterator<Item = Result<T::Output, T::Error>>,
{
    let mut samples = Samples::new(name, WHO, "ns");
    let inner = bare(frames);
    let mut events = 0;
    for pass in 0..=passes {
        if pass == 1 {
            samples.clear();
        }
        batches(&mut samples, &inner, SMALL_BATCH, <[_]>::len, |frame| {
            let Ok(input) = serde_json::from_slice(frame) else { return };
            events +=
                transformer.transform(input).into_iter().filter(|event| black_box(event).is_ok()).count();
        });
    }
    if events != inner.len() * (passes + 1) {
        return Err(format!("{WHO}: {events} events of {name}").into());
    }
    samples.tell();
    Ok(())
}
