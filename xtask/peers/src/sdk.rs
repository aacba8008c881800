//! `binance-sdk`, Binance's own client: an order by its REST client, to the same server.
//!
//! Its constructors named after an environment replace a configured address without a word (`from_config` does not), so
//! it is run only where there is no way out but loopback.

use benches::counter::Counter;
use benches::measure::{Asked, Samples};
use binance_sdk::config::ConfigurationRestApi;
use binance_sdk::spot::SpotRestApi;
use binance_sdk::spot::rest_api::{
    NewOrderParams, NewOrderSideEnum, NewOrderTimeInForceEnum, NewOrderTypeEnum,
};
use rust_decimal::Decimal;

use crate::Failure;

const WHO: &str = "binance_sdk";
/// Orders before anything counts.
const WARM_UP: usize = 300;

pub(crate) async fn orders(asked: &Asked, count: usize) -> Result<(), Failure> {
    if !only_loopback()? {
        eprintln!("{WHO} is left out: there are other networks than loopback here (`unshare --net` is not permitted)");
        return Ok(());
    }
    let counter = Counter::start(None)?;
    let configuration = ConfigurationRestApi::builder()
        .base_path(format!("http://{}", counter.address))
        .api_key("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A")
        .api_secret("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")
        .build()?;
    let client = SpotRestApi::from_config(configuration);
    let mut out = Samples::new("order/out", WHO, "us");
    let mut ack = Samples::new("order/ack", WHO, "us");
    for order in 0..count + WARM_UP {
        let start = counter.now();
        let parameters =
            NewOrderParams::builder("BTCUSDT".to_owned(), NewOrderSideEnum::Buy, NewOrderTypeEnum::Limit)
                .time_in_force(NewOrderTimeInForceEnum::Gtc)
                .quantity(Decimal::new(1, 3))
                .price(Decimal::from(20_000))
                .new_client_order_id(format!("peer-{order:018}"))
                .build()?;
        let answer = client.new_order(parameters).await?.data().await?;
        let end = counter.now();
        if answer.order_id.is_none() {
            return Err(format!("{WHO}: the order was not acknowledged").into());
        }
        if order >= WARM_UP {
            out.add(counter.arrived().saturating_sub(start) as f64 / 1e3);
            ack.add((end - start) as f64 / 1e3);
        }
    }
    for samples in [out, ack] {
        if asked.wants(samples.name()) {
            samples.tell();
        }
    }
    Ok(())
}

/// Whether this process sees no network but loopback.
fn only_loopback() -> std::io::Result<bool> {
    let devices = std::fs::read_to_string("/proc/self/net/dev")?;
    Ok(devices.lines().skip(2).all(|line| line.trim_start().starts_with("lo:")))
}
