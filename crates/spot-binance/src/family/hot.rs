//! What the layouts of frames that come all the time have in common.

use connector_core::dialect::Symbols;
use connector_core::message::{BestPrice, Level};
use connector_core::order::Side;
use connector_core::scan::Scan;
use connector_core::time::UnixNanos;

use crate::family::market::told_best;

/// A frame of a market stream that is read from left to right, raw or from a combined stream.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// Where the payload begins.
    pub scan: Scan<'a>,
    combined: bool,
}

impl<'a> Opened<'a> {
    /// Steps into the payload of a combined stream, if it is one.
    #[inline]
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Option<Self> {
        let mut scan = Scan::new(frame);
        let combined = scan.skip_if(br#"{"stream":""#);
        if combined {
            scan.skip_text()?;
            scan.skip(br#","data":"#)?;
        }
        Some(Self { scan, combined })
    }

    /// Steps over what ends the payload. `None` if anything else comes.
    #[inline]
    pub fn end(&mut self) -> Option<()> {
        self.scan.skip(b"}")?;
        if self.combined {
            self.scan.skip(b"}")?;
        }
        self.scan.is_done().then_some(())
    }

    /// Reads the changed levels of a depth event.
    #[inline]
    pub fn levels(&mut self, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Option<()> {
        self.scan.skip(br#","b":"#)?;
        self.scan.levels(bids)?;
        self.scan.skip(br#","a":"#)?;
        self.scan.levels(asks)
    }

    /// Reads a best price of this update id from its symbol on, without its time.
    #[inline]
    pub fn best_price(&mut self, id: u64, symbols: &Symbols) -> Option<BestPrice> {
        let scan = &mut self.scan;
        scan.skip(br#","s":""#)?;
        let symbol = scan.text()?;
        scan.skip(br#","b":""#)?;
        let bid = scan.decimal()?;
        scan.skip(br#","B":""#)?;
        let bid_amount = scan.decimal()?;
        scan.skip(br#","a":""#)?;
        let ask = scan.decimal()?;
        scan.skip(br#","A":""#)?;
        let ask_amount = scan.decimal()?;
        Some(told_best(symbols.market(symbol), Some(id), (bid, bid_amount), (ask, ask_amount)))
    }

    /// Reads the time of a trade, and which side took.
    #[inline]
    pub fn taken(&mut self) -> Option<(UnixNanos, Side)> {
        self.scan.skip(br#","T":"#)?;
        let time = self.scan.millis()?;
        self.scan.skip(br#","m":"#)?;
        if self.scan.skip_if(b"true") {
            return Some((time, Side::Sell));
        }
        self.scan.skip(b"false")?;
        Some((time, Side::Buy))
    }
}
