//! Frames as Binance sends them: from a recording, or made by a seeded market whose depth updates have about eighty changed
//! levels, most of them near the best price, two in five of them removals.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use flate2::read::GzDecoder;

/// The symbol that made frames are about.
pub const SYMBOL: &str = "BTCUSDT";

/// Frames of one market, by kind, each kind in the order it came.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The book before the first of `depth`: a depth answer without a stream around it.
    pub snapshot: Vec<u8>,
    /// Changes of the book that follow the snapshot without a gap.
    pub depth: Vec<Vec<u8>>,
    /// Best prices.
    pub best_price: Vec<Vec<u8>>,
    /// Trades.
    pub trade: Vec<Vec<u8>>,
}

impl Frames {
    /// Made frames; the same on every machine.
    #[must_use]
    pub fn made() -> Self {
        let mut market = Market::new(7);
        let snapshot = market.snapshot();
        let many = |count: usize, mut make: Box<dyn FnMut() -> String + '_>| {
            (0..count).map(|_| make().into_bytes()).collect::<Vec<_>>()
        };
        let depth = many(2_000, Box::new(|| market.depth()));
        let best_price = many(20_000, Box::new(|| market.best_price()));
        let trade = many(20_000, Box::new(|| market.trade()));
        Self { snapshot: snapshot.into_bytes(), depth, best_price, trade }
    }

    /// Reads a recording: lines `<local ns> <json>`, gzip or plain, with the depth answer inline.
    ///
    /// # Errors
    /// The file cannot be read, or has no depth answer.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut magic = [0; 2];
        let length = file.read(&mut magic)?;
        let whole = magic[..length].chain(file);
        let lines: Box<dyn io::BufRead> = match magic {
            [0x1F, 0x8B] => Box::new(BufReader::new(GzDecoder::new(whole))),
            _ => Box::new(BufReader::new(whole)),
        };
        let mut frames = Self::default();
        for line in lines.lines() {
            let line = line?;
            let Some((_, json)) = line.split_once(' ') else { continue };
            let list = if json.starts_with("{\"lastUpdateId\"") {
                frames.snapshot = json.as_bytes().to_vec();
                continue;
            } else if json.contains("\"depthUpdate\"") {
                &mut frames.depth
            } else if json.contains("\"e\":\"trade\"") {
                &mut frames.trade
            } else {
                &mut frames.best_price
            };
            list.push(json.as_bytes().to_vec());
        }
        let Some(id) = number_behind(&frames.snapshot, "\"lastUpdateId\":") else {
            return Err(io::Error::other("the recording has no depth answer"));
        };
        frames.depth.retain(|frame| number_behind(frame, "\"u\":").is_some_and(|last| last > id));
        Ok(frames)
    }

    /// Writes a recording that [`read`](Self::read) reads, for other programs to have the same frames.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        for frame in
            [&self.snapshot].into_iter().chain(&self.depth).chain(&self.best_price).chain(&self.trade)
        {
            file.write_all(b"0 ")?;
            file.write_all(frame)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }

    /// The snapshot as an event of a combined stream, which says what market it is of.
    #[must_use]
    pub fn snapshot_event(&self) -> Vec<u8> {
        let mut event = format!("{{\"stream\":\"{}@depth\",\"data\":", SYMBOL.to_lowercase()).into_bytes();
        event.extend_from_slice(&self.snapshot);
        event.push(b'}');
        event
    }
}

fn number_behind(frame: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(frame).ok()?;
    let (_, behind) = text.split_once(name)?;
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers often, great ones now and then: doubles with a chance of three in four, up to 2^14.
    fn distance(&mut self) -> u64 {
        let mut span = 4;
        while span < 1 << 14 && self.below(4) != 0 {
            span *= 2;
        }
        self.below(span)
    }
}

/// A market in ticks of 0.01.
#[derive(Debug)]
pub struct Market {
    random: Random,
    /// Best bid; the best ask is one tick above.
    bid: u64,
    id: u64,
    time: u64,
}

impl Market {
    /// A market that depends only on the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), bid: 6_183_763, id: 50_093_239_189, time: 1_723_161_255_208 }
    }

    fn walk(&mut self) {
        self.bid = self.bid + self.random.below(21) - 10;
        self.time += 100;
    }

    fn price(ticks: u64) -> String {
        format!("{}.{:02}000000", ticks / 100, ticks % 100)
    }

    fn amount(&mut self) -> String {
        let lots = match self.random.below(5) {
            0 | 1 => 0,
            2 => self.random.below(10_000_000),
            _ => self.random.below(100_000),
        };
        format!("{}.{:05}000", lots / 100_000, lots % 100_000)
    }

    /// The snapshot before the first update.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let side = |up: bool| -> String {
            let price = |i: u64| if up { self.bid + 1 + i * 3 } else { self.bid - i * 3 };
            let rows: Vec<_> =
                (0..1000).map(|i| format!("[\"{}\",\"1.50000000\"]", Self::price(price(i)))).collect();
            rows.join(",")
        };
        format!("{{\"lastUpdateId\":{},\"bids\":[{}],\"asks\":[{}]}}", self.id, side(false), side(true))
    }

    /// The next change of the book.
    pub fn depth(&mut self) -> String {
        self.walk();
        let first = self.id + 1;
        self.id += 20 + self.random.below(200);
        let mut side = |up: bool| -> String {
            let count = 20 + self.random.below(41);
            // The best price itself is always there, so that the book never crosses.
            let gone = (0..12).map(|i| {
                let ticks = if up { self.bid - i } else { self.bid + 1 + i };
                format!("[\"{}\",\"0.00000000\"]", Self::price(ticks))
            });
            let mut rows: Vec<_> = gone.collect();
            let best = if up { self.bid + 1 } else { self.bid };
            rows.push(format!("[\"{}\",\"0.75000000\"]", Self::price(best)));
            for _ in rows.len() as u64..count.max(14) {
                let distance = 1 + self.random.distance();
                let ticks = if up { best + distance } else { best - distance };
                rows.push(format!("[\"{}\",\"{}\"]", Self::price(ticks), self.amount()));
            }
            rows.join(",")
        };
        let (bids, asks) = (side(false), side(true));
        format!(
            "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":{},\"s\":\"{SYMBOL}\",\"U\":{first},\"u\":{},\"b\":[{bids}],\"a\":[{asks}]}}}}",
            self.time, self.id
        )
    }

    /// The next best price.
    pub fn best_price(&mut self) -> String {
        self.walk();
        self.id += 1;
        let (bid_amount, ask_amount) = (self.amount(), self.amount());
        format!(
            "{{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"u\":{},\"s\":\"{SYMBOL}\",\"b\":\"{}\",\"B\":\"{bid_amount}\",\"a\":\"{}\",\"A\":\"{ask_amount}\"}}}}",
            self.id,
            Self::price(self.bid),
            Self::price(self.bid + 1)
        )
    }

    /// The next trade.
    pub fn trade(&mut self) -> String {
        self.walk();
        self.id += 1;
        let amount = self.amount();
        format!(
            "{{\"stream\":\"btcusdt@trade\",\"data\":{{\"e\":\"trade\",\"E\":{},\"s\":\"{SYMBOL}\",\"t\":{},\"p\":\"{}\",\"q\":\"{amount}\",\"T\":{},\"m\":{},\"M\":true}}}}",
            self.time,
            self.id,
            Self::price(self.bid),
            self.time - 1,
            self.id.is_multiple_of(2)
        )
    }
}
