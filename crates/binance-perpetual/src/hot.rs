//! The four frames that come all the time, read in the layouts the venue writes them in. Anything else is `None` and goes to the
//! general parser.

use connector_core::TradeId;
use connector_core::dialect::Symbols;
use connector_core::message::{BookMessage, FundingInfo, Message, Sink, Trade};
use connector_core::number::parse_decimal;
use connector_core::order::Side;
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
    let mut best = frame.best_price(symbols)?;
    added(&mut frame.scan)?;
    frame.scan.skip(br#","T":"#)?;
    frame.scan.uint()?;
    frame.scan.skip(br#","E":"#)?;
    best.time = Some(frame.scan.millis()?);
    added(&mut frame.scan)?;
    frame.end()?;
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
    scan.skip(br#","T":"#)?;
    let time = Some(scan.millis()?);
    scan.skip(br#","m":"#)?;
    let seller_is_taker = scan.skip_if(b"true");
    if !seller_is_taker {
        scan.skip(b"false")?;
    }
    added(scan)?;
    frame.end()?;
    let taker_side = if seller_is_taker { Side::Sell } else { Side::Buy };
    out.trade(Trade {
        market: symbols.market(symbol),
        trade_id: TradeId::new(id),
        price,
        amount,
        taker_side,
        time,
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
