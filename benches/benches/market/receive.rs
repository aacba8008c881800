//! `ws/receive`: best prices as fast as a socket brings them, to one subscriber. The bound is the WebSocket library alone on
//! the same bytes.

use std::time::Instant;

use benches::frames::{Frames, Market, SYMBOL};
use benches::measure::{BOUND, OURS, Samples};
use benches::venue::{self, Venue};
use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::{Connector, Pair};
use fastwebsockets::{OpCode, Role, WebSocket};
use spot_binance::SpotBinance;

/// Frames between two looks at the clock.
const BATCH: u64 = 2_000;

/// Measures both on the same frames.
pub(crate) fn run(count: usize) {
    let mut market = Market::new(7);
    let snapshot = market.snapshot().into_bytes();
    let frames: Vec<Vec<u8>> = (0..count).map(|_| market.best_price().into_bytes()).collect();
    let frames = Frames { snapshot, best_price: frames, ..Frames::default() };
    let venue = Venue::start(frames.snapshot, &frames.best_price).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(bare(&venue, count as u64)).tell();
    runtime.block_on(ours(&venue, count as u64)).tell();
}

/// Frames per second, batch by batch.
struct Rate {
    samples: Samples,
    since: Instant,
    seen: u64,
}

impl Rate {
    fn new(who: &'static str) -> Self {
        Self { samples: Samples::new("ws/receive", who, "frames/s"), since: Instant::now(), seen: 0 }
    }

    fn reached(&mut self, count: u64) {
        let more = count - self.seen;
        if more >= BATCH {
            let now = Instant::now();
            self.samples.add(more as f64 / (now - self.since).as_secs_f64());
            (self.since, self.seen) = (now, count);
        }
    }
}

async fn bare(venue: &Venue, count: u64) -> Samples {
    let stream = venue::open(venue.address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    venue.begin();
    let mut rate = Rate::new(BOUND);
    for seen in 1..=count {
        let frame = socket.read_frame().await.unwrap();
        assert_eq!(frame.opcode, OpCode::Text);
        std::hint::black_box(&frame.payload);
        rate.reached(seen);
    }
    rate.samples
}

async fn ours(venue: &Venue, count: u64) -> Samples {
    let pair: Pair = "BTC-USDT".parse().unwrap();
    let stream = format!("ws://{}/stream", venue.address);
    let urls = Urls {
        rest: format!("http://{}", venue.address),
        links: vec![("market".into(), stream.clone()), ("user".into(), stream)],
    };
    let connector = Connector::builder(SpotBinance).urls(urls).pairs([pair]).connect().await.unwrap();
    let mut events = connector.events();
    venue.begin();
    let mut rate = Rate::new(OURS);
    let (mut seen, mut lagged) = (0, 0);
    while seen < count {
        match events.next().await.expect("the connector has ended") {
            Ok(Event::BestPriceChanged { .. }) => seen += 1,
            Ok(_) => {}
            Err(missed) => {
                lagged += missed.0;
                seen += missed.0;
            }
        }
        rate.reached(seen);
    }
    assert_eq!(lagged, 0, "the subscriber of {SYMBOL} lagged: what it missed was not received");
    rate.samples
}
