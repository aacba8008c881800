//! Market data recorded by a user's connector plays back whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use connector_core::dialect::Symbols;
use connector_core::recording::RawFile;
use connector_core::{Connector, Event, Pair};
use connector_qa::input;
use connector_qa::replay::{Outcome, Replay};
use connector_qa::scratch::Scratch;
use spot_binance::{SpotBinance, venue};

/// Records two pairs of a lively venue until so many trades have come; how many messages that were.
async fn record(path: &Path, pairs: &[Pair], trades: usize) -> u64 {
    let exchange = venue::Server::serve(venue::BinanceFace, 11).await.unwrap();
    let connector = Connector::builder(SpotBinance)
        .urls(exchange.urls())
        .credentials(exchange.credentials().unwrap())
        .pairs(pairs.iter().cloned())
        .record_market_data(RawFile::create(path).unwrap())
        .connect()
        .await
        .unwrap();
    let mut events = connector.events();
    let mut seen = 0;
    while seen < trades {
        seen += usize::from(matches!(events.next().await.unwrap().unwrap(), Event::Traded { .. }));
    }
    connector.clone().stop(Duration::from_secs(5)).await.unwrap();
    let recorded = connector.recorded().unwrap();
    assert_eq!((recorded.dropped, recorded.failure), (0, None));
    recorded.messages
}

fn replay(path: &Path) -> Outcome {
    let mut replay = Replay::new::<SpotBinance>(Symbols::default(), None);
    let file = input::read(Some(path)).unwrap();
    replay.play::<SpotBinance>(&mut file.as_slice(), None).unwrap();
    replay.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_plays_back_without_gaps() {
    let scratch = Scratch::new("recording").unwrap();
    let pairs: [Pair; 2] = ["BTC-USDT".parse().unwrap(), "ETH-USDT".parse().unwrap()];
    for name in ["plain", "packed.gz"] {
        let path = scratch.file(name);
        let messages = record(&path, &pairs, 10).await;
        let outcome = replay(&path);
        assert_eq!(outcome.frames, messages);
        assert!(outcome.gaps == 0 && outcome.is_clean(), "{name}: {outcome:?}");
        assert!(outcome.bbo_compared > 0 && outcome.applied > 0, "{name}: nothing was proven: {outcome:?}");
        assert_eq!(outcome.live, ["BTC-USDT", "ETH-USDT"], "{name}");
        let packed = std::fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]);
        assert_eq!(packed, name.ends_with("gz"));
    }
}
