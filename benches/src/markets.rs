//! A venue of many markets that sends at the rate it is told, each frame with the time it was written at. What it sends keeps
//! books and best prices in step, so that a connector finds nothing to doubt however long it listens.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::venue::{accept, message, read_message, request};

/// Levels per side that a market's snapshot has.
const LEVELS: usize = 100;
/// Levels per side that a change of the book has.
const CHANGED: usize = 5;
/// Best bid and best ask of every market, in ticks of 0.01; amounts change, prices stay.
const BID: u64 = 6_183_763;
/// How often frames are written while there is something to send.
const TICK: Duration = Duration::from_millis(1);
/// How often a silent connection shows that it lives.
const PING: Duration = Duration::from_secs(15);
/// Times are told in microseconds modulo this, as they stand in an amount.
const CLOCK: u64 = 1_000_000_000_000;

/// What is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Frames per second, over all markets; every other one changes a book, the rest are best prices.
    pub frames: u64,
    /// How many markets take part, from the first on.
    pub markets: usize,
}

#[derive(Debug)]
struct Shared {
    rules: String,
    /// Update id of each market's book.
    ids: Vec<AtomicU64>,
    rate: Mutex<Rate>,
    changed: Condvar,
    sent: AtomicU64,
}

/// The base asset of a market.
#[must_use]
pub fn base(market: usize) -> String {
    format!("M{market:04}")
}

/// Now, as it stands in amounts: microseconds, see [`age`].
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or_default() % CLOCK
}

/// How long ago, in microseconds, the frame was written that had this as its best bid's amount, in units of 0.00000001.
#[must_use]
pub fn age(amount: u64) -> u64 {
    (clock() + CLOCK - amount % CLOCK) % CLOCK
}

/// Listens on loopback with so many markets. The threads end with the process.
///
/// # Errors
/// There is no port.
pub fn start(markets: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        rules: rules(markets),
        ids: (0..markets).map(|_| AtomicU64::new(1)).collect(),
        rate: Mutex::default(),
        changed: Condvar::new(),
        sent: AtomicU64::new(0),
    });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            // A connection that ends is the other side's to notice.
            std::thread::spawn(move || serve(stream, &shared));
        }
    });
    Ok(address)
}

/// Tells a venue in another process what to send; answers with how many frames it has sent so far.
///
/// # Errors
/// The connection failed.
pub fn send(address: SocketAddr, rate: Rate) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    let Rate { frames, markets } = rate;
    write!(stream, "GET /rate?frames={frames}&markets={markets} HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.rsplit("\r\n").next().unwrap_or_default();
    body.parse().map_err(|_| io::Error::other(format!("not a number: {body}")))
}

fn rules(markets: usize) -> String {
    let rule = |market| {
        let base = base(market);
        format!(
            r#"{{"symbol":"{base}USDT","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"isSpotTradingAllowed":true,"permissions":[],"permissionSets":[["SPOT"]],"filters":[{{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"}},{{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..markets).map(rule).collect();
    format!(
        r#"{{"timezone":"UTC","serverTime":1,"rateLimits":[],"exchangeFilters":[],"symbols":[{}]}}"#,
        rules.join(",")
    )
}

fn param<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The market of a symbol, in either case.
fn market(symbol: &str) -> Option<usize> {
    symbol.get(1..5)?.parse().ok()
}

fn price(ticks: u64) -> String {
    format!("{}.{:02}000000", ticks / 100, ticks % 100)
}

fn amount(units: u64) -> String {
    format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
}

/// One side's levels, the best with this amount.
fn side(levels: usize, best: u64, bids: bool) -> String {
    let level = |place: usize| {
        let far = place as u64;
        let ticks = if bids { BID - far } else { BID + 1 + far };
        let units = if place == 0 { best } else { 150_000_000 + best % 1000 };
        format!("[\"{}\",\"{}\"]", price(ticks), amount(units))
    };
    (0..levels).map(level).collect::<Vec<_>>().join(",")
}

fn serve(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (target, key) = request(&mut reader)?;
        if let Some(key) = key {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                accept(&key)
            );
            writer.write_all(answer.as_bytes())?;
            return stream_frames(reader, writer, shared);
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let body = match path {
            "/rate" => {
                let number = |name| param(query, name).and_then(|text| text.parse().ok()).unwrap_or(0);
                let rate = Rate { frames: number("frames"), markets: number("markets") as usize };
                *shared.rate.lock().unwrap() = rate;
                shared.changed.notify_all();
                shared.sent.load(Ordering::Relaxed).to_string()
            }
            "/api/v3/time" => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
                format!(r#"{{"serverTime":{now}}}"#)
            }
            "/api/v3/exchangeInfo" => shared.rules.clone(),
            "/api/v3/depth" => {
                let limit = param(query, "limit").and_then(|text| text.parse().ok()).unwrap_or(LEVELS);
                let id = param(query, "symbol").and_then(market).and_then(|market| shared.ids.get(market));
                let id = id.map_or(0, |id| id.load(Ordering::SeqCst));
                let levels = limit.min(LEVELS);
                let (bids, asks) = (side(levels, 100_000_000, true), side(levels, 100_000_000, false));
                format!(r#"{{"lastUpdateId":{id},"bids":[{bids}],"asks":[{asks}]}}"#)
            }
            "/api/v3/ticker/price" => {
                let symbol = param(query, "symbol").unwrap_or_default();
                format!(r#"{{"symbol":"{symbol}","price":"{}"}}"#, price(BID))
            }
            _ => "{}".to_owned(),
        };
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        if path == "/rate" {
            return Ok(());
        }
    }
}

/// Answers requests on the stream and sends what its subscriptions ask for, as fast as is asked.
fn stream_frames(
    mut reader: BufReader<TcpStream>,
    writer: TcpStream,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let writer = Arc::new(Mutex::new(writer));
    let followed: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (answers, subscribed) = (writer.clone(), followed.clone());
    std::thread::spawn(move || {
        while let Ok(text) = read_message(&mut reader) {
            let markets = text.split('"').filter(|name| name.ends_with("@bookTicker")).filter_map(market);
            subscribed.lock().unwrap().extend(markets);
            let id = text.rsplit_once("\"id\":").map_or("", |(_, behind)| behind.trim_end_matches('}'));
            if id.is_empty() {
                continue;
            }
            let answer = message(format!("{{\"result\":null,\"id\":{id}}}").as_bytes());
            if answers.lock().unwrap().write_all(&answer).is_err() {
                break;
            }
        }
    });
    let (mut due, mut turn, mut last) = (0.0_f64, 0_usize, Instant::now());
    let (mut bytes, mut text) = (Vec::new(), String::new());
    loop {
        let idle = |rate: &mut Rate| rate.frames == 0 || rate.markets == 0;
        let (rate, waited) =
            shared.changed.wait_timeout_while(shared.rate.lock().unwrap(), PING, idle).unwrap();
        let rate = *rate;
        if waited.timed_out() {
            writer.lock().unwrap().write_all(&[0x89, 0])?;
            last = Instant::now();
            continue;
        }
        std::thread::sleep(TICK);
        let own: Vec<usize> =
            followed.lock().unwrap().iter().copied().filter(|market| *market < rate.markets).collect();
        let share = own.len() as f64 / rate.markets as f64;
        let per_second = rate.frames as f64 * share;
        // After a silence nothing is made up for.
        due += last.elapsed().as_secs_f64().min(0.05) * per_second;
        last = Instant::now();
        bytes.clear();
        while due >= 1.0 && !own.is_empty() {
            due -= 1.0;
            let market = own[(turn / 2) % own.len()];
            frame(market, turn.is_multiple_of(2), &shared.ids[market], &mut text);
            turn += 1;
            bytes.extend(message(text.as_bytes()));
            shared.sent.fetch_add(1, Ordering::Relaxed);
        }
        writer.lock().unwrap().write_all(&bytes)?;
    }
}

/// Writes a change of the book, or a best price.
fn frame(market: usize, depth: bool, id: &AtomicU64, text: &mut String) {
    let base = base(market);
    let (lower, now) = (base.to_lowercase(), clock());
    text.clear();
    // Writing to memory cannot fail.
    let _ = if depth {
        let id = id.fetch_add(1, Ordering::SeqCst) + 1;
        let (bids, asks) = (side(CHANGED, now, true), side(CHANGED, now, false));
        write!(
            text,
            r#"{{"stream":"{lower}usdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"{base}USDT","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}}}"#
        )
    } else {
        let (id, bid, ask) = (id.load(Ordering::SeqCst), price(BID), price(BID + 1));
        let now = amount(now);
        write!(
            text,
            r#"{{"stream":"{lower}usdt@bookTicker","data":{{"u":{id},"s":"{base}USDT","b":"{bid}","B":"{now}","a":"{ask}","A":"{now}"}}}}"#
        )
    };
}
