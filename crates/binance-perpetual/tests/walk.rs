//! Ten thousand random fills in each mode, flips through zero included: positions, profit and wallet are the ledger's after
//! every order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::rc::Rc;

use binance_perpetual::BinancePerpetual;
use binance_perpetual::venue::BinancePerpetualFace;
use connector_core::position::PositionMode;
use connector_qa::bench::Opener;
use connector_qa::kit::Kit;
use connector_qa::rows::perpetual::walk::walk;

async fn walked(mode: PositionMode) {
    let kit = Kit {
        face: Rc::new(|| Box::new(BinancePerpetualFace)),
        opener: Rc::new(Opener::new(BinancePerpetual)),
        runner: PathBuf::new(),
        seed: 7,
    };
    let walk = walk(&kit, mode, 10_000).await.unwrap();
    assert!(walk.fills >= 10_000 && walk.flips > 500, "{walk:?}");
}

#[tokio::test]
async fn one_way() {
    walked(PositionMode::OneWay).await;
}

#[tokio::test]
async fn hedge() {
    walked(PositionMode::Hedge).await;
}
