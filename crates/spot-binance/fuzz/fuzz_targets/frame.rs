//! Any bytes as a public frame: nothing panics, and the scanner of hot frames says what the general parser says. The parser is
//! asked through a space before the frame, which the scanner does not take.
#![no_main]

use connector_core::dialect::{Dialect, Frame, LinkRole, Symbols};
use connector_core::message::Message;
use libfuzzer_sys::fuzz_target;
use spot_binance::SpotBinance;

fn read(bytes: &[u8], symbols: &Symbols) -> Option<Vec<Message>> {
    let (mut bids, mut asks, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let bytes = &mut bytes.to_vec();
    let frame = Frame { role: LinkRole::Public, bytes, symbols, bids: &mut bids, asks: &mut asks };
    SpotBinance::frame(frame, &mut out).is_ok().then_some(out)
}

fuzz_target!(|bytes: &[u8]| {
    let mut symbols = Symbols::default();
    if let Ok(pair) = "BTC-USDT".parse() {
        symbols.insert("BTCUSDT".into(), pair);
    }
    assert_eq!(read(bytes, &symbols), read(&[b" ", bytes].concat(), &symbols));
});
