//! The four frames that come all the time, read in the layouts the venue writes them in. Anything else is `None` and goes to the
//! general parser.

use connector_core::TradeId;
use connector_core::dialect::Symbols;
use connector_core::message::{BookMessage, FundingInfo, Message, Sink, Trade};
use connector_core::number::parse_decimal;
use connector_core::scan::Scan;
use spot_binance::family::{Buffers, Opened};

use crate::rest::time;

/// Reads a frame of depth changes, an aggregate trade, a best price or a mark price, raw or from a combined stream.
pub(crate) fn frame(bytes: &[u8], symbols: &Symbols, levels: Buffers<'_>, out: &mut impl Sink) -> Option<()> {
    let mut frame = Opened::new(bytes)?;
    frame.scan.skip(br#"{"e":""#)?;
    match frame.scan.text()? {
        "bookTicker" => best_price(frame, symbols, out),
        "depthUpdate" => depth_update(frame, symbols, levels, out),
        "aggTrade" => trade(frame, symbols, out),
        "markPriceUpdate" => mark_price(frame, symbols, out),
        _ => None,
    }
}

/// Steps over what was added to several events on 2026-06-30: whether the contract is margined in stablecoins, and its pair.
fn added(scan: &mut Scan<'_>) -> Option<()> {
    loop {
        if scan.skip_if(br#","st":"#) {
            scan.uint()?;
        } else if scan.skip_if(br#","ps":""#) {
            scan.skip_text()?;
        } else {
            return Some(());
        }
    }
}

fn best_price(mut frame: Opened<'_>, symbols: &Symbols, out: &mut impl Sink) -> Option<()> {
    frame.scan.skip(br#","u":"#)?;
    let id = frame.scan.uint()?;
    // The documents have the times here, live frames at the end and the other way round.
    let mut time = None;
    if frame.scan.skip_if(br#","E":"#) {
        time = Some(frame.scan.millis()?);
        frame.scan.skip(br#","T":"#)?;
        frame.scan.uint()?;
    }
    let mut best = frame.best_price(id, symbols)?;
    added(&mut frame.scan)?;
    if time.is_none() {
        frame.scan.skip(br#","T":"#)?;
        frame.scan.uint()?;
        frame.scan.skip(br#","E":"#)?;
        time = Some(frame.scan.millis()?);
        added(&mut frame.scan)?;
    }
    frame.end()?;
    best.time = time;
    out.best_price(best);
    Some(())
}

fn depth_update(
    mut frame: Opened<'_>,
    symbols: &Symbols,
    (bids, asks): Buffers<'_>,
    out: &mut impl Sink,
) -> Option<()> {
    let scan = &mut frame.scan;
    scan.skip(br#","E":"#)?;
    let time = Some(scan.millis()?);
    scan.skip(br#","T":"#)?;
    scan.uint()?;
    scan.skip(br#","s":""#)?;
    let symbol = scan.text()?;
    added(scan)?;
    scan.skip(br#","U":"#)?;
    let first_id = Some(scan.uint()?);
    scan.skip(br#","u":"#)?;
    let last_id = Some(scan.uint()?);
    scan.skip(br#","pu":"#)?;
    let prev_id = Some(scan.uint()?);
    frame.levels(bids, asks)?;
    added(&mut frame.scan)?;
    frame.end()?;
    let market = symbols.market(symbol);
    out.book(BookMessage { first_id, last_id, prev_id, time, ..BookMessage::diff(&market, bids, asks) });
    Some(())
}

fn trade(mut frame: Opened<'_>, symbols: &Symbols, out: &mut impl Sink) -> Option<()> {
    let scan = &mut frame.scan;
    scan.skip(br#","E":"#)?;
    scan.uint()?;
    // Live frames have the id before the symbol, the documents behind it.
    let live = scan.skip_if(br#","a":"#);
    let mut id = if live { scan.digits()? } else { "" };
    scan.skip(br#","s":""#)?;
    let symbol = scan.text()?;
    if !live {
        scan.skip(br#","a":"#)?;
        id = scan.digits()?;
    }
    scan.skip(br#","p":""#)?;
    let price = scan.decimal()?;
    scan.skip(br#","q":""#)?;
    let amount = scan.decimal()?;
    if scan.skip_if(br#","nq":""#) {
        scan.skip_text()?;
    }
    scan.skip(br#","f":"#)?;
    scan.uint()?;
    scan.skip(br#","l":"#)?;
    scan.uint()?;
    let (time, taker_side) = frame.taken()?;
    added(&mut frame.scan)?;
    frame.end()?;
    out.trade(Trade {
        market: symbols.market(symbol),
        trade_id: TradeId::new(id),
        taker_side,
        price,
        amount,
        time: Some(time),
    });
    Some(())
}

fn mark_price(mut frame: Opened<'_>, symbols: &Symbols, out: &mut impl Sink) -> Option<()> {
    let scan = &mut frame.scan;
    scan.skip(br#","E":"#)?;
    let told = Some(scan.millis()?);
    scan.skip(br#","s":""#)?;
    let symbol = scan.text()?;
    scan.skip(br#","p":""#)?;
    let mark_price = Some(scan.decimal()?);
    // Live frames have the estimated settlement price before the index price, the documents behind it; the average came later.
    let (mut index_price, mut rate) = (None, None);
    while rate.is_none() {
        if index_price.is_none() && scan.skip_if(br#","i":""#) {
            index_price = Some(scan.decimal()?);
        } else if scan.skip_if(br#","r":""#) {
            rate = Some(scan.text()?);
        } else if scan.skip_if(br#","P":""#) || scan.skip_if(br#","ap":""#) {
            scan.skip_text()?;
        } else {
            return None;
        }
    }
    scan.skip(br#","T":"#)?;
    let next_time = i64::try_from(scan.uint()?).ok().and_then(time);
    added(scan)?;
    frame.end()?;
    out.message(Message::FundingInfo(FundingInfo {
        market: symbols.market(symbol),
        rate: rate.and_then(|rate| parse_decimal(rate.as_bytes())),
        next_time,
        mark_price,
        index_price: Some(index_price?),
        time: told,
    }));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // As received on 2024-08-08 (first, without its levels) and 2026-02-16, before `st` and `ps`; then as the pages below
    // `websocket-market-streams` have them, read on 2026-11-22, without their spaces. That what is read is right is for
    // `tests/dialect`; without this test the scanner could refuse everything there.
    const TAKEN: &[&str] = &[
        r#"{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}"#,
        r#"{"e":"bookTicker","u":9924360161244,"s":"BTCUSDT","b":"68005.00","B":"2.394","a":"68005.10","A":"0.857","T":1771263510337,"E":1771263510337}"#,
        r#"{"e":"aggTrade","E":1771263510195,"a":3141966230,"s":"BTCUSDT","p":"68005.00","q":"2.695","nq":"2.695","f":7297376181,"l":7297376207,"T":1771263510041,"m":true}"#,
        r#"{"e":"markPriceUpdate","E":1771263510000,"s":"BTCUSDT","p":"68005.80802899","P":"67836.82194783","i":"68035.14043478","r":"-0.00004435","T":1771286400000}"#,
        r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#,
        r#"{"e":"aggTrade","E":123456789,"s":"BTCUSDT","a":5933014,"p":"0.001","q":"100","nq":"100","f":100,"l":105,"T":123456785,"m":true}"#,
        r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000}"#,
    ];

    fn taken(text: &str) -> Vec<Message> {
        let mut out: Vec<Message> = Vec::new();
        let levels = (&mut Vec::new(), &mut Vec::new());
        assert_eq!(frame(text.as_bytes(), &Symbols::default(), levels, &mut out), Some(()), "{text}");
        out
    }

    #[test]
    fn what_the_venue_writes_is_taken() {
        for text in TAKEN {
            let out = taken(text);
            assert_eq!(out.len(), 1);
            assert_eq!(taken(&format!(r#"{{"stream":"btcusdt@some","data":{text}}}"#)), out);
            // What was added in 2026, wherever it may stand.
            let end = text.len() - 1;
            for more in [r#","st":1}"#, r#","ps":"BTCUSDT","st":1}"#, r#","st":1,"ps":"BTCUSDT"}"#] {
                assert_eq!(taken(&format!("{}{more}", &text[..end])), out);
            }
        }
    }
}
