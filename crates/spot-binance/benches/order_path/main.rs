//! The order path on loopback: from the call to the bytes at the far end, and to the acknowledgement at the caller; beside
//! the same order by a bare HTTP library, in alternating turns of the same run.
//!
//! `cargo bench -p spot-binance --no-default-features --bench order_path`, with `-- --json` for one JSON object a line and
//! `-- --rounds n` for more or fewer than the usual. The connector is whole: rules, balances, throttler, tracker and a
//! journal in memory. Only its limits are wider than the venue's, and it follows no market.

mod bare;
mod counter;
mod dialect;

use std::sync::mpsc;
use std::thread;

use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::journal::MemoryJournal;
use connector_core::order::{NewOrder, Side};
use connector_core::{Connector, Credentials, Decimal, Events, Pair};
use connector_venue::server::Server;
use serde_json::json;
use spot_binance::venue::BinanceFace;

use bare::Bare;
use counter::Counter;
use dialect::Unlimited;

/// Why the measurement failed; it has no state worth telling apart.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Orders of each side before anything counts.
const WARM_UP: usize = 300;
const ROUNDS: usize = 3_000;

/// What one side took, in nanoseconds.
#[derive(Default)]
struct Taken {
    out: Vec<u64>,
    ack: Vec<u64>,
}

impl Taken {
    fn add(&mut self, counter: &Counter, start: u64, end: u64) {
        self.out.push(counter.arrived().saturating_sub(start));
        self.ack.push(end.saturating_sub(start));
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = arguments.iter().position(|given| given == "--rounds").and_then(|at| arguments.get(at + 1));
    let rounds = value.map(|text| text.parse()).transpose()?.unwrap_or(ROUNDS);
    let (urls, credentials) = start_venue()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (bound, ours) = runtime.block_on(measure(urls, credentials, rounds))?;
    print(&arguments, "order/out", ours.out, bound.out);
    print(&arguments, "order/ack", ours.ack, bound.ack);
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

async fn measure(venue: Urls, credentials: Credentials, rounds: usize) -> Result<(Taken, Taken), Failure> {
    let venue_address = venue.rest.trim_start_matches("http://").parse()?;
    let counter = Counter::start(venue_address)?;
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
    let (mut bound, mut ours) = (Taken::default(), Taken::default());
    for round in 0..rounds + WARM_UP {
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

#[allow(clippy::print_stdout, reason = "a program's output")]
fn print(arguments: &[String], name: &str, mut ours: Vec<u64>, mut bound: Vec<u64>) {
    let (median, p99) = (percentile(&mut ours, 50), percentile(&mut ours, 99));
    let (bound_median, bound_p99) = (percentile(&mut bound, 50), percentile(&mut bound, 99));
    let ratio = median / bound_median;
    if arguments.iter().any(|given| given == "--json") {
        let line = json!({
            "name": name, "median": median, "p99": p99, "unit": "us", "baselines": { "bound": ratio },
        });
        println!("{line}");
    } else {
        println!(
            "{name:<10} median {median:6.1} us  p99 {p99:6.1} us   bare median {bound_median:6.1} us  p99 \
             {bound_p99:6.1} us   {ratio:.2} x"
        );
    }
}

/// A percentile in microseconds.
#[allow(clippy::cast_precision_loss, reason = "times of a run are far below 2^53 ns")]
fn percentile(nanos: &mut [u64], percent: usize) -> f64 {
    nanos.sort_unstable();
    let at = nanos.len().saturating_sub(1) * percent / 100;
    nanos.get(at).copied().unwrap_or_default() as f64 / 1e3
}
