//! Signatures against what the venue publishes.

use binance_perpetual::BinancePerpetual;
use connector_core::Credentials;
use connector_core::dialect::{Dialect as _, Draft, Keyring, Stamp};
use connector_core::time::UnixNanos;

// D/general-info publishes this pair with the vector below.
const KEY: &str = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83";
const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";

fn keys() -> Keyring {
    Keyring::new(&Credentials::new(KEY, SECRET), BinancePerpetual::SPEC.keys).unwrap()
}

const AT: Stamp = Stamp { time: UnixNanos::from_millis(1_591_702_613_943), nonce: 1 };

#[test]
fn the_published_order() {
    let mut draft = Draft::new(&BinancePerpetual::REST.place.row);
    for (name, value) in [
        ("symbol", "BTCUSDT"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("quantity", "1"),
        ("price", "9000"),
        ("timeInForce", "GTC"),
        ("recvWindow", "5000"),
    ] {
        draft.query.push(name, value);
    }
    BinancePerpetual::sign(&mut draft, &keys(), AT).unwrap();
    assert_eq!(
        draft.query_text,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000\
         &timestamp=1591702613943\
         &signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    );
    assert_eq!(draft.headers, [("x-mbx-apikey", KEY.into())]);
}

// D/general-info signs query and body as one text, without anything between them. All our parameters are in the query, so the
// vector holds the key ring only. Computed with OpenSSL 3, as the published one has a stray space in its body.
#[test]
fn the_published_order_in_two_parts() {
    let text = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC\
                quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943";
    let signature = keys().sign(text.as_bytes()).unwrap();
    assert_eq!(signature.hex(), "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4");
}

// D/general-info: requests of the type USER_STREAM carry the key alone.
#[test]
fn listen_keys_are_asked_for_with_the_key_alone() {
    let keys_rest = BinancePerpetual::REST.stream_key.as_ref().unwrap();
    for row in keys_rest.rows() {
        let mut draft = Draft::new(row);
        BinancePerpetual::sign(&mut draft, &keys(), AT).unwrap();
        assert_eq!(
            (draft.query_text.as_str(), draft.headers.as_slice()),
            ("", &[("x-mbx-apikey", KEY.into())][..])
        );
    }
}

#[test]
fn no_frame_logs_in() {
    assert!(BinancePerpetual::login(&keys(), AT, 1).is_err());
}
