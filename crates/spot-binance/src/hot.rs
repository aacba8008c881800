//! The three frames that come all the time, read in the one layout the venue writes them in. Anything else is `None` and
//! goes to the general parser.

use connector_core::TradeId;
use connector_core::dialect::Symbols;
use connector_core::message::{BookMessage, Sink, Trade};

use crate::family::{Buffers, Opened};

/// Reads a frame of depth changes, a trade or a best price, raw or from a combined stream.
pub(crate) fn frame(
    bytes: &[u8],
    symbols: &Symbols,
    (bids, asks): Buffers<'_>,
    out: &mut impl Sink,
) -> Option<()> {
    let mut frame = Opened::new(bytes)?;
    if frame.scan.skip_if(br#"{"u":"#) {
        let id = frame.scan.uint()?;
        let best = frame.best_price(id, symbols)?;
        frame.end()?;
        out.best_price(best);
    } else if frame.scan.skip_if(br#"{"e":"trade","E":"#) {
        trade(frame, symbols, out)?;
    } else {
        let scan = &mut frame.scan;
        scan.skip(br#"{"e":"depthUpdate","E":"#)?;
        let time = Some(scan.millis()?);
        scan.skip(br#","s":""#)?;
        let symbol = scan.text()?;
        scan.skip(br#","U":"#)?;
        let first_id = Some(scan.uint()?);
        scan.skip(br#","u":"#)?;
        let last_id = Some(scan.uint()?);
        frame.levels(bids, asks)?;
        frame.end()?;
        let market = symbols.market(symbol);
        out.book(BookMessage { first_id, last_id, time, ..BookMessage::diff(&market, bids, asks) });
    }
    Some(())
}

fn trade(mut frame: Opened<'_>, symbols: &Symbols, out: &mut impl Sink) -> Option<()> {
    let scan = &mut frame.scan;
    scan.uint()?;
    scan.skip(br#","s":""#)?;
    let symbol = scan.text()?;
    scan.skip(br#","t":"#)?;
    let trade_id = TradeId::new(scan.digits()?);
    scan.skip(br#","p":""#)?;
    let price = scan.decimal()?;
    scan.skip(br#","q":""#)?;
    let amount = scan.decimal()?;
    let (time, taker_side) = frame.taken()?;
    frame.scan.skip(br#","M":true"#)?;
    frame.end()?;
    let (market, time) = (symbols.market(symbol), Some(time));
    out.trade(Trade { market, trade_id, price, amount, taker_side, time });
    Some(())
}

#[cfg(test)]
mod tests {
    use connector_core::message::Message;

    use super::*;

    // The examples of the page `web-socket-streams`, read on 2026-11-22, without its spaces. That what is read is right is for
    // `tests/dialect`; without this test the scanner could refuse everything there.
    const DEPTH: &str = r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#;
    const TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;
    const BEST: &str = r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;

    #[test]
    fn what_the_venue_writes_is_taken() {
        for text in [DEPTH, TRADE, BEST] {
            for text in [text.to_owned(), format!(r#"{{"stream":"bnbbtc@some","data":{text}}}"#)] {
                let mut out: Vec<Message> = Vec::new();
                let levels = (&mut Vec::new(), &mut Vec::new());
                assert_eq!(frame(text.as_bytes(), &Symbols::default(), levels, &mut out), Some(()), "{text}");
                assert_eq!(out.len(), 1);
            }
        }
    }
}
