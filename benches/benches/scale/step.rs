//! One step: a connector, its readers, and what they take.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use benches::markets::{self, Rate};
use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::{Connector, Decimal, Pair};
use spot_binance::SpotBinance;

use crate::Figures;
use crate::process::{Use, memory_kib};

/// Frames per second, all pairs together, where the number of pairs grows and the load does not.
const LOAD: u64 = 5_000;
/// Frames per second and pair, where the load grows with them.
const LOAD_PER_PAIR: u64 = 5;
/// Frames per second on the one pair that many read.
const LOAD_READ: u64 = 1_000;
/// After this there is nothing on its way any more.
const SETTLE: Duration = Duration::from_millis(200);

/// Ages of frames when a reader had them, microseconds.
type Ages = Rc<RefCell<Vec<u64>>>;

/// Measures one step.
pub(crate) fn run(what: &str, size: usize, time: Duration, venue: SocketAddr) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match what {
            "pairs" => pairs(size, time, venue).await,
            "book_readers" => readers(size, time, venue, read_book).await,
            _ => readers(size, time, venue, read_events).await,
        }
    })
}

async fn connect(venue: SocketAddr, markets: usize) -> Connector {
    let stream = format!("ws://{venue}/stream");
    let urls = Urls {
        rest: format!("http://{venue}"),
        links: vec![("market".into(), stream.clone()), ("user".into(), stream)],
    };
    let pairs = (0..markets).map(pair);
    let builder = Connector::builder(SpotBinance).urls(urls).pairs(pairs).book_depth(100);
    builder.connect_timeout(Duration::from_secs(600)).connect().await.unwrap()
}

fn pair(market: usize) -> Pair {
    format!("{}-USDT", markets::base(market)).parse().unwrap()
}

fn age(mut amount: Decimal) -> u64 {
    amount.rescale(8);
    markets::age(u64::try_from(amount.mantissa()).unwrap())
}

fn read_events(connector: &Connector, ages: Ages) {
    let mut events = connector.events();
    tokio::task::spawn_local(async move {
        while let Some(event) = events.next().await {
            if let Event::BestPriceChanged { best, .. } = event.expect("the reader lagged") {
                ages.borrow_mut().push(age(best.bid_amount.unwrap_or_default()));
            }
        }
    });
}

fn read_book(connector: &Connector, ages: Ages) {
    let mut book = connector.watch_book(&pair(0), 5).unwrap();
    tokio::task::spawn_local(async move {
        while book.changed().await {
            if let (Some(bid), _) = book.best() {
                ages.borrow_mut().push(age(bid.amount));
            }
        }
    });
}

/// What a time under load took.
struct Loaded {
    frames: f64,
    seconds: f64,
    cpu_ns: f64,
    p50: f64,
    p99: f64,
    read: f64,
}

async fn load(venue: SocketAddr, rate: Rate, time: Duration, ages: &Ages) -> Loaded {
    let before_frames = tell(venue, rate).await;
    // What the first frames allocate and warm up is not the steady state.
    tokio::time::sleep(SETTLE).await;
    let (frames, before, start) = (tell(venue, rate).await, Use::now(), Instant::now());
    ages.borrow_mut().clear();
    tokio::time::sleep(time).await;
    let (spent, seconds) = (Use::now().since(before), start.elapsed().as_secs_f64());
    let mut sorted = std::mem::take(&mut *ages.borrow_mut());
    let after = tell(venue, Rate::default()).await;
    assert!(frames > before_frames, "nothing was sent");
    tokio::time::sleep(SETTLE).await;
    sorted.sort_unstable();
    let at = |part: usize| {
        sorted.get((sorted.len() * part / 100).min(sorted.len().max(1) - 1)).copied().unwrap_or(0) as f64
    };
    Loaded {
        frames: (after - frames) as f64,
        seconds,
        cpu_ns: spent.cpu_ns as f64,
        p50: at(50),
        p99: at(99),
        read: sorted.len() as f64,
    }
}

/// Tells the venue the rate; answers with how much it has sent.
async fn tell(venue: SocketAddr, rate: Rate) -> u64 {
    tokio::task::spawn_blocking(move || markets::send(venue, rate)).await.unwrap().unwrap()
}

impl Loaded {
    fn put(&self, figures: &mut Figures, name: &str) {
        let mut put = |what: &str, value| figures.insert(format!("{name}_{what}"), value);
        put("frames_per_s", self.frames / self.seconds);
        put("cpu_us_per_frame", self.cpu_ns / 1000.0 / self.frames);
        put("cpu_percent", self.cpu_ns / 10_000_000.0 / self.seconds);
        put("p50_us", self.p50);
        put("p99_us", self.p99);
    }
}

async fn pairs(count: usize, time: Duration, venue: SocketAddr) -> Figures {
    // The thread that talks to the venue for us is there before anything is counted.
    tell(venue, Rate::default()).await;
    let mut figures = Figures::from([("size".to_owned(), count as f64)]);
    let (empty, start, before) = (memory_kib(), Instant::now(), Use::now());
    let connector = connect(venue, count).await;
    let mut put = |name: &str, value| figures.insert(name.to_owned(), value);
    put("start_s", start.elapsed().as_secs_f64());
    put("start_cpu_ms", Use::now().since(before).cpu_ns as f64 / 1e6);
    put("start_memory_kib_per_pair", (memory_kib() - empty) / count as f64);
    let ages = Ages::default();
    read_events(&connector, ages.clone());
    tokio::time::sleep(SETTLE).await;
    // Longer, as a connector begins to look into what is silent after ten seconds, a few pairs every five.
    let (before, idle) = (Use::now(), time * 5);
    tokio::time::sleep(idle).await;
    let spent = Use::now().since(before);
    put("idle_wakes_per_s", spent.wakes as f64 / idle.as_secs_f64());
    put("idle_cpu_percent", spent.cpu_ns as f64 / 1e7 / idle.as_secs_f64());
    load(venue, Rate { frames: LOAD, markets: count }, time, &ages).await.put(&mut figures, "same_load");
    let rate = Rate { frames: LOAD_PER_PAIR * count as u64, markets: count };
    load(venue, rate, time, &ages).await.put(&mut figures, "grown_load");
    figures.insert("memory_mib".to_owned(), memory_kib() / 1024.0);
    figures.insert("memory_kib_per_pair".to_owned(), (memory_kib() - empty) / count as f64);
    assert!(connector.is_ready(), "not everything is live at the end");
    figures
}

async fn readers(
    count: usize,
    time: Duration,
    venue: SocketAddr,
    read: impl Fn(&Connector, Ages),
) -> Figures {
    tell(venue, Rate::default()).await;
    let connector = connect(venue, 1).await;
    let (ages, before) = (Ages::default(), memory_kib());
    (0..count).for_each(|_| read(&connector, ages.clone()));
    tokio::time::sleep(SETTLE).await;
    let mut figures = Figures::from([
        ("size".to_owned(), count as f64),
        ("memory_kib_per_reader".to_owned(), (memory_kib() - before) / count as f64),
    ]);
    let loaded = load(venue, Rate { frames: LOAD_READ, markets: 1 }, time, &ages).await;
    loaded.put(&mut figures, "load");
    figures.insert("reads_per_frame".to_owned(), loaded.read / loaded.frames);
    figures
}
