//! The lower bound: the least that has to be done with a frame, by hand, trusting every byte of it.
//!
//! Field order, the number of decimals (eight), tick (0.01) and lot (0.00001) are known beforehand; nothing is checked that
//! memory safety does not ask for; prices are places in an array that reaches half its length to both sides of where the
//! market began, and levels beyond are forgotten.

const ONES: u64 = 0x0101_0101_0101_0101;

/// The eight bytes from a place on, the first lowest.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The value of eight digits.
#[inline]
const fn eight(digits: u64) -> u64 {
    let digits = digits & (0x0F * ONES);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// A number with eight decimals at a place, of which `PLACES` count, and the place behind it.
#[inline]
fn number<const PLACES: u32>(bytes: &[u8], at: usize) -> (u64, usize) {
    let first = word(bytes, at);
    // A digit has this bit, a point has not.
    let bits = (!first & (0x10 * ONES)).trailing_zeros() & !7;
    let length = (bits / 8) as usize;
    let end = at + length + 9;
    if bits + 8 + 8 * PLACES <= 64 {
        // The point is taken out, so that all digits that count stand in eight bytes.
        let whole = first & !(u64::MAX << bits);
        let digits = whole | (first >> 8 >> bits) << bits;
        (eight(digits << (64 - 8 * PLACES - bits)), end)
    } else {
        let whole = eight((first << 8) << (56 - bits));
        let part = eight(word(bytes, at + length + 1));
        (whole * 10_u64.pow(PLACES) + part / 10_u64.pow(8 - PLACES), end)
    }
}

/// A whole number of eight to sixteen digits, and the place behind it.
#[inline]
fn integer(bytes: &[u8], at: usize) -> (u64, usize) {
    let second = word(bytes, at + 8);
    let bits = (!second & (0x10 * ONES)).trailing_zeros() & !7;
    let length = (bits / 8) as usize;
    let tail = if bits == 0 { 0 } else { eight(second << (64 - bits)) };
    let power = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    (eight(word(bytes, at)) * power.get(length).copied().unwrap_or(1) + tail, at + 8 + length)
}

/// Ticks that the array holds.
const TICKS: usize = 1 << 20;

/// A book that is an array for each side.
pub(crate) struct Book {
    base: u64,
    bids: Vec<u64>,
    asks: Vec<u64>,
    best_bid: usize,
    best_ask: usize,
    last_id: u64,
}

impl Book {
    /// An empty book around a price in ticks.
    pub(crate) fn new(middle: u64) -> Self {
        Self {
            base: middle - TICKS as u64 / 2,
            bids: vec![0; TICKS],
            asks: vec![0; TICKS],
            best_bid: 0,
            best_ask: TICKS,
            last_id: 0,
        }
    }

    /// Best bid and ask, in ticks.
    pub(crate) fn best(&self) -> (u64, u64) {
        (self.base + self.best_bid as u64, self.base + self.best_ask as u64)
    }

    /// Takes a depth answer.
    pub(crate) fn snapshot(&mut self, bytes: &[u8]) {
        self.bids.fill(0);
        self.asks.fill(0);
        (self.best_bid, self.best_ask) = (0, TICKS);
        let (_, at) = integer(bytes, r#"{"lastUpdateId":"#.len());
        let at = self.side::<true>(bytes, at + r#","bids":"#.len());
        self.side::<false>(bytes, at + r#","asks":"#.len());
    }

    /// Takes a change in a combined stream of a symbol.
    #[inline]
    pub(crate) fn change(&mut self, bytes: &[u8], symbol: &str) {
        let stream =
            r#"{"stream":"@depth@100ms","data":{"e":"depthUpdate","E":1234567890123,"s":"","U":"#.len();
        let (_, at) = integer(bytes, stream + 2 * symbol.len());
        let (last_id, at) = integer(bytes, at + r#","u":"#.len());
        self.last_id = last_id;
        let at = self.side::<true>(bytes, at + r#","b":"#.len());
        self.side::<false>(bytes, at + r#","a":"#.len());
    }

    /// Reads one side's list and puts its levels; the place behind it.
    #[inline]
    fn side<const BID: bool>(&mut self, bytes: &[u8], mut at: usize) -> usize {
        if bytes.get(at + 1) == Some(&b']') {
            return at + 2;
        }
        at += 3;
        loop {
            let (price, end) = number::<2>(bytes, at);
            let (amount, end) = number::<5>(bytes, end + 3);
            self.put::<BID>(price.wrapping_sub(self.base) as usize, amount);
            if bytes.get(end + 2) != Some(&b',') {
                return end + 3;
            }
            at = end + 5;
        }
    }

    #[inline]
    fn put<const BID: bool>(&mut self, tick: usize, amount: u64) {
        let (side, best) = match BID {
            true => (&mut self.bids, &mut self.best_bid),
            false => (&mut self.asks, &mut self.best_ask),
        };
        let Some(cell) = side.get_mut(tick) else { return };
        *cell = amount;
        if if BID { tick >= *best } else { tick <= *best } {
            *best = match (amount, BID) {
                (0, true) => side.iter().take(tick).rposition(|amount| *amount != 0).unwrap_or(0),
                (0, false) => {
                    side.iter().skip(tick).position(|amount| *amount != 0).map_or(TICKS, |more| tick + more)
                }
                _ => tick,
            };
        }
    }
}

/// A best price: id, price and amount of bid and ask.
#[inline]
pub(crate) fn best_price(bytes: &[u8], symbol: &str) -> [u64; 5] {
    let start = r#"{"stream":"@bookTicker","data":{"u":"#.len() + symbol.len();
    let (id, at) = integer(bytes, start);
    let (bid, at) = number::<2>(bytes, at + r#","s":"","b":""#.len() + symbol.len());
    let (bid_amount, at) = number::<5>(bytes, at + r#"","B":""#.len());
    let (ask, at) = number::<2>(bytes, at + r#"","a":""#.len());
    let (ask_amount, _) = number::<5>(bytes, at + r#"","A":""#.len());
    [id, bid, bid_amount, ask, ask_amount]
}

/// A trade: id, price, amount, time and whether the buyer's order rested.
#[inline]
pub(crate) fn trade(bytes: &[u8], symbol: &str) -> [u64; 5] {
    let start = r#"{"stream":"@trade","data":{"e":"trade","E":1234567890123,"s":"","t":"#.len();
    let (id, at) = integer(bytes, start + 2 * symbol.len());
    let (price, at) = number::<2>(bytes, at + r#","p":""#.len());
    let (amount, at) = number::<5>(bytes, at + r#"","q":""#.len());
    let (time, at) = integer(bytes, at + r#"","T":"#.len());
    let seller = bytes.get(at + r#","m":"#.len()) == Some(&b't');
    [id, price, amount, time, u64::from(seller)]
}
