//! Signatures against the venue's published vectors and RFC 8032.

use connector_core::Credentials;
use connector_core::dialect::{Dialect as _, Draft, Keyring, Stamp};
use connector_core::time::UnixNanos;
use serde_json::{Value, json};
use spot_binance::SpotBinance;

// D/rest-api/request-security publishes this pair with the vectors below.
pub(crate) const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
pub(crate) const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

// RFC 8032, section 7.1, test 2, in the PKCS#8 form of RFC 8410.
const RFC_8032_TEST_2: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n\
    -----END PRIVATE KEY-----\n";

fn keys(key: &str, secret: &str) -> Keyring {
    Keyring::new(&Credentials::new(key, secret), SpotBinance::SPEC.keys).unwrap()
}

fn at(millis: i64) -> Stamp {
    Stamp { time: UnixNanos::from_millis(millis), nonce: 1 }
}

fn signed(symbol: &str, keys: &Keyring) -> Draft {
    let mut draft = Draft::new(&SpotBinance::REST.place.row);
    for (name, value) in [
        ("symbol", symbol),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("price", "0.1"),
        ("recvWindow", "5000"),
    ] {
        draft.query.push(name, value);
    }
    SpotBinance::sign(&mut draft, keys, at(1_499_827_319_559)).unwrap();
    draft
}

#[test]
fn rest_hmac() {
    let draft = signed("LTCBTC", &keys(KEY, SECRET));
    assert_eq!(
        draft.query_text,
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000\
         &timestamp=1499827319559\
         &signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    );
    assert_eq!(draft.headers, [("x-mbx-apikey", KEY.into())]);
}

#[test]
fn rest_hmac_signs_what_is_percent_encoded() {
    let draft = signed("１２３４５６", &keys(KEY, SECRET));
    assert!(draft.query_text.starts_with("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&"));
    assert!(
        draft
            .query_text
            .ends_with("&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3")
    );
}

// D/websocket-api/request-security. The order request is not one we send, but the payload rule is the login's: the vectors
// hold the key ring to it, non-ASCII text unencoded.
#[test]
fn ws_hmac() {
    let sign = |payload: String| keys(KEY, SECRET).sign(payload.as_bytes()).unwrap().hex();
    assert_eq!(
        sign(format!(
            "apiKey={KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT\
             &timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        )),
        "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    );
    assert_eq!(
        sign(format!(
            "apiKey={KEY}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY&symbol=１２３４５６\
             &timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        )),
        "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
    );
}

// D/websocket-api/user-data-stream-requests; signatures computed with OpenSSL 3.
#[test]
fn login() {
    let frame = SpotBinance::login(&keys(KEY, SECRET), at(1_645_423_376_532), 7).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&frame).unwrap(),
        json!({"id":7,"method":"userDataStream.subscribe.signature","params":{"apiKey":KEY,
            "timestamp":1_645_423_376_532_i64,
            "signature":"74448608dc93596b10b1c8c9cf871d140884b9e1463ab9371dcc47de69b39531"}})
    );
    let frame = SpotBinance::login(&keys("testkey", RFC_8032_TEST_2), at(1_645_423_376_532), 8).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&frame).unwrap()["params"]["signature"],
        "ErE+pk1EyETJBcKo/BS0wJyZ+/0dZIATGBxAGNaYtG2XPjYOaxRpWJ9mlbcoSCiG2zApW3FONxFT3i4QUzcsBg=="
    );
}

#[test]
fn rest_ed25519() {
    let keys = keys("testkey", RFC_8032_TEST_2);
    assert_eq!(
        keys.sign(&[0x72]).unwrap().hex(),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    );
    // The signature is base64, percent-encoded as everything in a query is.
    let mut draft = Draft::new(&SpotBinance::REST.open_orders.row);
    draft.query.push("symbol", "BTCUSDT");
    SpotBinance::sign(&mut draft, &keys, at(1_645_423_376_532)).unwrap();
    assert_eq!(
        draft.query_text,
        "symbol=BTCUSDT&timestamp=1645423376532&signature=UWnWrnFIL0ygotY7iZRPgVg%2FfY1M6%2B4KBQ5Xq4kMleHqwiKX0p8\
         UUS9wH3PrWBgnvaamYqoH1PmPhmltD9fsAA%3D%3D"
    );
}
