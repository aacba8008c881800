//! `ws/receive`: best prices as fast as a socket brings them, to one subscriber. The bound is the WebSocket library alone on
//! the same bytes.

use std::hint::black_box;
use std::time::Instant;

use benches::frames::Market;
use benches::measure::{BOUND, OURS, Samples};
use benches::venue::{self, SALVO, Venue};
use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::{Connector, Pair};
use fastwebsockets::{OpCode, Role, WebSocket};
use spot_binance::SpotBinance;

/// Measures both on the same frames, in so many salvos after one to warm up.
pub(crate) fn run(salvos: usize) {
    let mut market = Market::new(7);
    let snapshot = market.snapshot().into_bytes();
    let frames: Vec<Vec<u8>> = (0..(salvos + 1) * SALVO).map(|_| market.best_price().into_bytes()).collect();
    let venue = Venue::start(snapshot, &frames, SALVO).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(bare(&venue, salvos)).tell();
    runtime.block_on(ours(&venue, salvos)).tell();
}

/// For a profiler: our side alone, after a pause.
pub(crate) fn alone() {
    let mut market = Market::new(7);
    let snapshot = market.snapshot().into_bytes();
    let frames: Vec<Vec<u8>> = (0..50 * SALVO).map(|_| market.best_price().into_bytes()).collect();
    let venue = Venue::start(snapshot, &frames, SALVO).unwrap();
    drop(frames);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    eprintln!("ready: the profiler may begin");
    std::thread::sleep(std::time::Duration::from_secs(1));
    runtime.block_on(ours(&venue, 49)).tell();
}

/// Frames per second, salvo by salvo: from the request for it until all of it is there.
struct Rate(Samples);

impl Rate {
    const fn new(who: &'static str) -> Self {
        Self(Samples::new("ws/receive", who, "frames/s"))
    }

    async fn salvo(&mut self, venue: &Venue, receive: impl Future<Output = ()>) {
        let start = Instant::now();
        venue.send();
        receive.await;
        self.0.add(SALVO as f64 / start.elapsed().as_secs_f64());
    }

    fn end(mut self) -> Samples {
        self.0.drop_first();
        self.0
    }
}

async fn bare(venue: &Venue, salvos: usize) -> Samples {
    let stream = venue::open(venue.address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    let mut rate = Rate::new(BOUND);
    for _ in 0..=salvos {
        let receive = async {
            for _ in 0..SALVO {
                let frame = socket.read_frame().await.unwrap();
                assert_eq!(frame.opcode, OpCode::Text);
                black_box(&frame.payload);
            }
        };
        rate.salvo(venue, receive).await;
    }
    rate.end()
}

async fn ours(venue: &Venue, salvos: usize) -> Samples {
    let pair: Pair = "BTC-USDT".parse().unwrap();
    let stream = format!("ws://{}/stream", venue.address);
    let urls = Urls {
        rest: format!("http://{}", venue.address),
        links: vec![("market".into(), stream.clone()), ("user".into(), stream)],
    };
    // Room for all of a salvo: what is measured is how fast frames get through, not how many a slow reader loses.
    let builder = Connector::builder(SpotBinance).event_capacity(SALVO * 2);
    let connector = builder.urls(urls).pairs([pair]).connect().await.unwrap();
    let mut events = connector.events();
    let mut rate = Rate::new(OURS);
    for _ in 0..=salvos {
        let receive = async {
            let mut seen = 0;
            while seen < SALVO {
                let event =
                    events.next().await.expect("the connector has ended").expect("the subscriber lagged");
                seen += usize::from(matches!(event, Event::BestPriceChanged { .. }));
            }
        };
        rate.salvo(venue, receive).await;
    }
    rate.end()
}
