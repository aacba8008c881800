//! Frames as the venue sends them: a seeded market whose depth updates have about eighty changed levels, most of them near the
//! best price, two in five of them removals.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
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
pub(crate) struct Market {
    random: Random,
    /// Best bid; the best ask is one tick above.
    bid: u64,
    id: u64,
    time: u64,
}

const SYMBOL: &str = "BTCUSDT";

impl Market {
    pub(crate) fn new(seed: u64) -> Self {
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
    pub(crate) fn snapshot(&self) -> String {
        let side = |up: bool| -> String {
            let price = |i: u64| if up { self.bid + 1 + i * 3 } else { self.bid - i * 3 };
            let rows: Vec<_> =
                (0..1000).map(|i| format!("[\"{}\",\"1.50000000\"]", Self::price(price(i)))).collect();
            rows.join(",")
        };
        format!("{{\"lastUpdateId\":{},\"bids\":[{}],\"asks\":[{}]}}", self.id, side(false), side(true))
    }

    pub(crate) fn depth(&mut self) -> String {
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

    pub(crate) fn best_price(&mut self) -> String {
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

    pub(crate) fn trade(&mut self) -> String {
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
