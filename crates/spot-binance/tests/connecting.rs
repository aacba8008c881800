//! Connecting to what is not (quite) the venue: every failure is one clear error, soon, and shows no secret.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use connector_core::engine::Urls;
use connector_core::{Builder, Cause, Connector, Credentials, Effect, Error, Pair};
use mockito::{Mock, Server, ServerGuard};
use spot_binance::SpotBinance;

const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
const RULES: &str = r#"{"timezone":"UTC","serverTime":1,"rateLimits":[],"exchangeFilters":[],"symbols":[{
    "symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT",
    "quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],
    "isSpotTradingAllowed":true,"permissions":[],"permissionSets":[["SPOT"]],"filters":[
    {"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},
    {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}]}]}"#;

fn builder(rest: &str) -> Builder<SpotBinance> {
    let nowhere = "ws://127.0.0.1:1".to_owned();
    let links = vec![("market".into(), nowhere.clone()), ("user".into(), nowhere)];
    Connector::builder(SpotBinance)
        .urls(Urls { rest: rest.to_owned(), links })
        .credentials(Credentials::new(
            "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
            SECRET,
        ))
        .pairs(["BTC-USDT".parse::<Pair>().unwrap()])
}

async fn refused(builder: Builder<SpotBinance>) -> Error {
    let started = Instant::now();
    let error = builder.connect().await.expect_err("this cannot connect");
    assert!(started.elapsed() < Duration::from_secs(8), "a failure must not take {:?}", started.elapsed());
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("spot-binance") && !text.contains(SECRET) && !text.contains("signature="),
        "{text}"
    );
    error
}

async fn answers(server: &mut ServerGuard, path: &str, status: usize, body: &str) -> Mock {
    server
        .mock("GET", mockito::Matcher::Regex(format!("^{path}(\\?.*)?$")))
        .with_status(status)
        .with_body(body)
        .create_async()
        .await
}

/// A venue that answers everything before the account.
async fn public_part() -> (ServerGuard, Vec<Mock>) {
    let mut server = Server::new_async().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let time = answers(&mut server, "/api/v3/time", 200, &format!(r#"{{"serverTime":{now}}}"#)).await;
    let rules = answers(&mut server, "/api/v3/exchangeInfo", 200, RULES).await;
    (server, vec![time, rules])
}

#[tokio::test]
async fn unreachable_host() {
    let error = refused(builder("http://127.0.0.1:1")).await;
    assert_eq!((error.cause, error.effect), (Cause::Network, Effect::NotSent), "{error}");
}

#[tokio::test]
async fn malformed_credentials_never_leave_the_machine() {
    let error = refused(builder("http://127.0.0.1:1").credentials(Credentials::new("k", "with blank"))).await;
    assert_eq!((error.cause, error.effect), (Cause::Credentials, Effect::NotSent), "{error}");
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn encrypted_address_without_tls() {
    let error = refused(builder("https://127.0.0.1:1")).await;
    assert!(error.cause == Cause::Usage && error.to_string().contains("tls"), "{error}");
}

#[tokio::test]
async fn unknown_domain_names_the_known_ones() {
    let error = refused(builder("http://127.0.0.1:1").domain("mars")).await;
    assert!(error.to_string().contains("com, us, testnet"), "{error}");
}

#[tokio::test]
async fn html_instead_of_json() {
    for status in [200, 403, 502] {
        let mut server = Server::new_async().await;
        let _page =
            answers(&mut server, "/api/v3/time", status, "<html><body>Just a moment</body></html>").await;
        let error = refused(builder(&server.url())).await;
        let want = match status {
            200 => Cause::Malformed,
            403 => Cause::Permission,
            _ => Cause::Unavailable,
        };
        assert_eq!(error.cause, want, "{error}");
    }
}

#[tokio::test]
async fn truncated_rules() {
    let (mut server, mut mocks) = public_part().await;
    let rules = mocks.pop().unwrap();
    rules.remove_async().await;
    let _cut = answers(&mut server, "/api/v3/exchangeInfo", 200, &RULES[..RULES.len() / 2]).await;
    let error = refused(builder(&server.url())).await;
    assert_eq!(error.cause, Cause::Malformed, "{error}");
}

#[tokio::test]
async fn unlisted_pair() {
    let (server, _mocks) = public_part().await;
    let error = refused(builder(&server.url()).pairs(["NO-SUCH".parse::<Pair>().unwrap()])).await;
    assert!(error.cause == Cause::Market && error.to_string().contains("NO-SUCH"), "{error}");
}

#[tokio::test]
async fn refused_keys_are_told_apart_and_tried_once() {
    let cases = [
        (
            401,
            r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#,
            Cause::Credentials,
        ),
        (401, r#"{"code":-2014,"msg":"API-key format invalid."}"#, Cause::Credentials),
        (400, r#"{"code":-1022,"msg":"Signature for this request is not valid."}"#, Cause::Signature),
        (401, r#"{"code":-1002,"msg":"You are not authorized to execute this request."}"#, Cause::Permission),
    ];
    for (status, body, cause) in cases {
        let (mut server, _mocks) = public_part().await;
        let account = answers(&mut server, "/api/v3/account", status, body).await.expect(1);
        let error = refused(builder(&server.url())).await;
        assert_eq!((error.cause, error.effect), (cause, Effect::Rejected), "{error}");
        account.assert_async().await;
    }
}

#[tokio::test]
async fn a_refused_time_stamp_is_healed_once() {
    let (mut server, mut mocks) = public_part().await;
    let time = mocks.remove(0).expect_at_least(2);
    let late = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    let account = answers(&mut server, "/api/v3/account", 400, late).await.expect_at_least(2);
    let error = refused(builder(&server.url())).await;
    assert_eq!(error.cause, Cause::Timestamp, "{error}");
    time.assert_async().await;
    account.assert_async().await;
}
