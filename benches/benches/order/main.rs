//! The order path on loopback: from the call to the bytes at the far end, and to the acknowledgement at the caller; beside
//! the same order by a bare HTTP library, in alternating turns of the same run.
//!
//! The connector is whole: rules, balances, throttler, tracker and a journal in memory. Only its limits are wider than the
//! venue's, and it follows no market.
#![allow(missing_docs, reason = "a program")]

mod bare;
mod dialect;

use std::sync::mpsc;
use std::thread;

use benches::counter::Counter;
use benches::measure::{Asked, BOUND, OURS, Samples};
use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::journal::MemoryJournal;
use connector_core::order::{NewOrder, Side};
use connector_core::{Connector, Credentials, Decimal, Events, Pair};
use connector_venue::server::Server;
use spot_binance::venue::BinanceFace;

use bare::Bare;
use dialect::Unlimited;

/// Why the measurement failed; it has no state worth telling apart.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Orders of each side before anything counts.
const WARM_UP: usize = 300;
const ORDERS: usize = 1_500;

/// What one side took, in microseconds.
struct Taken {
    out: Samples,
    ack: Samples,
}

impl Taken {
    const fn new(who: &'static str) -> Self {
        Self { out: Samples::new("order/out", who, "us"), ack: Samples::new("order/ack", who, "us") }
    }

    #[allow(clippy::cast_precision_loss, reason = "times of a run are far below 2^53 ns")]
    fn add(&mut self, counter: &Counter, start: u64, end: u64) {
        self.out.add(counter.arrived().saturating_sub(start) as f64 / 1e3);
        self.ack.add(end.saturating_sub(start) as f64 / 1e3);
    }
}

fn main() -> Result<(), Failure> {
    let asked = Asked::read()?;
    let (urls, credentials) = start_venue()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let orders = if asked.test { 10 } else { ORDERS };
    let (bound, ours) = runtime.block_on(measure(urls, credentials, orders))?;
    for taken in [ours, bound] {
        for samples in [taken.out, taken.ack] {
            if asked.wants(samples.name()) {
                samples.tell();
            }
        }
    }
    Ok(())
}

/// Serves the embedded venue on a thread of its own, until the process ends.
fn start_venue() -> Result<(Urls, Credentials), Failure> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let server = Server::serve(BinanceFace, 1).await?;
            let credentials = server.credentials().ok_or("the venue has no key to share")?;
            tell.send((server.urls(), credentials))?;
            std::future::pending::<()>().await;
            Ok::<_, Failure>(())
        })
    });
    Ok(told.recv()?)
}

async fn measure(venue: Urls, credentials: Credentials, orders: usize) -> Result<(Taken, Taken), Failure> {
    let venue_address = venue.rest.trim_start_matches("http://").parse()?;
    let counter = Counter::start(Some(venue_address))?;
    let mut bare = Bare::connect(&counter, &credentials.key, credentials.secret.expose()).await?;
    let connector = Connector::builder(Unlimited)
        .urls(Urls { rest: format!("http://{}", counter.address), ..venue })
        .credentials(credentials)
        .journal(MemoryJournal::new())
        .connect()
        .await?;
    let mut events = connector.events();
    let order =
        NewOrder::limit("BTC-USDT".parse::<Pair>()?, Side::Buy, Decimal::new(1, 3), Decimal::from(20_000));
    let (mut bound, mut ours) = (Taken::new(BOUND), Taken::new(OURS));
    for round in 0..orders + WARM_UP {
        let start = counter.now();
        bare.place().await?;
        let end = counter.now();
        if round >= WARM_UP {
            bound.add(&counter, start, end);
        }
        settle().await;

        let order = order.clone();
        let start = counter.now();
        let id = connector.place(order)?;
        next(&mut events, |event| matches!(event, Event::OrderCreated(_))).await?;
        let end = counter.now();
        if round >= WARM_UP {
            ours.add(&counter, start, end);
        }
        connector.cancel(&id)?;
        next(&mut events, Event::is_terminal).await?;
        settle().await;
    }
    Ok((bound, ours))
}

/// Waits for an event of the order under way.
async fn next(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        let event = event?;
        if let Event::OrderFailed(_) = event {
            return Err(format!("the order failed: {event:?}").into());
        }
        if wanted(&event) {
            return Ok(());
        }
    }
    Err("the connector has ended".into())
}

/// Lets whatever an order left behind come to its end, so that it is not charged to the next one.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
