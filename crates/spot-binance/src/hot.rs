//! The three frames that come all the time, read in the one layout the venue writes them in. Anything else is `None` and
//! goes to the general parser.

use connector_core::TradeId;
use connector_core::dialect::Symbols;
use connector_core::message::{BookMessage, Level, Sink, Trade};
use connector_core::order::Side;
use connector_core::scan::Scan;

use crate::stream::told_best;

/// Reads a frame of depth changes, a trade or a best price, raw or from a combined stream.
pub(crate) fn frame(
    bytes: &[u8],
    symbols: &Symbols,
    (bids, asks): (&mut Vec<Level>, &mut Vec<Level>),
    out: &mut impl Sink,
) -> Option<()> {
    let mut scan = Scan::new(bytes);
    let combined = scan.skip_if(br#"{"stream":""#);
    if combined {
        scan.skip_text()?;
        scan.skip(br#","data":"#)?;
    }
    let end = |scan: &mut Scan<'_>| {
        scan.skip(b"}")?;
        if combined {
            scan.skip(b"}")?;
        }
        scan.is_done().then_some(())
    };
    if scan.skip_if(br#"{"u":"#) {
        best_price(scan, symbols, end, out)
    } else if scan.skip_if(br#"{"e":"trade","E":"#) {
        trade(scan, symbols, end, out)
    } else {
        scan.skip(br#"{"e":"depthUpdate","E":"#)?;
        let time = Some(scan.millis()?);
        scan.skip(br#","s":""#)?;
        let symbol = scan.text()?;
        scan.skip(br#","U":"#)?;
        let first_id = Some(scan.uint()?);
        scan.skip(br#","u":"#)?;
        let last_id = Some(scan.uint()?);
        scan.skip(br#","b":"#)?;
        scan.levels(bids)?;
        scan.skip(br#","a":"#)?;
        scan.levels(asks)?;
        end(&mut scan)?;
        let market = symbols.market(symbol);
        out.book(BookMessage { first_id, last_id, time, ..BookMessage::diff(&market, bids, asks) });
        Some(())
    }
}

fn best_price(
    mut scan: Scan<'_>,
    symbols: &Symbols,
    end: impl Fn(&mut Scan<'_>) -> Option<()>,
    out: &mut impl Sink,
) -> Option<()> {
    let id = Some(scan.uint()?);
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
    end(&mut scan)?;
    let market = symbols.market(symbol);
    out.best_price(told_best(market, id, (bid, bid_amount), (ask, ask_amount)));
    Some(())
}

fn trade(
    mut scan: Scan<'_>,
    symbols: &Symbols,
    end: impl Fn(&mut Scan<'_>) -> Option<()>,
    out: &mut impl Sink,
) -> Option<()> {
    scan.uint()?;
    scan.skip(br#","s":""#)?;
    let symbol = scan.text()?;
    scan.skip(br#","t":"#)?;
    let trade_id = TradeId::new(scan.digits()?);
    scan.skip(br#","p":""#)?;
    let price = scan.decimal()?;
    scan.skip(br#","q":""#)?;
    let amount = scan.decimal()?;
    scan.skip(br#","T":"#)?;
    let time = Some(scan.millis()?);
    scan.skip(br#","m":"#)?;
    let seller_is_taker = scan.skip_if(b"true");
    if !seller_is_taker {
        scan.skip(b"false")?;
    }
    scan.skip(br#","M":true"#)?;
    end(&mut scan)?;
    out.trade(Trade {
        market: symbols.market(symbol),
        trade_id,
        price,
        amount,
        taker_side: if seller_is_taker { Side::Sell } else { Side::Buy },
        time,
    });
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
