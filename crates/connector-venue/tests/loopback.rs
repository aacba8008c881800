//! The venue on real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod toy;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use connector_core::wire::HttpResponse;
use connector_venue::server::Server;
use fastwebsockets::handshake::client;
use fastwebsockets::{FragmentCollector, Frame, OpCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use toy::KEY;

const SOON: Duration = Duration::from_secs(20);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(SOON, test).await.expect("the test takes too long") });
}

async fn serve() -> Server {
    Server::start(toy::venue(), 0).await.unwrap()
}

struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn try_send(&mut self, method: &str, target: &str, body: &str) -> hyper::Result<HttpResponse> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "toy")
            .header("x-key", KEY)
            .body(Full::from(body.to_owned()))
            .unwrap();
        let (parts, body) = self.0.send_request(request).await?.into_parts();
        let header = |name: &hyper::header::HeaderName| smol_str::SmolStr::new(name.as_str());
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (header(name), value.to_str().unwrap().into()))
            .collect();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(HttpResponse { status: parts.status.as_u16(), headers, body })
    }

    async fn send(&mut self, method: &str, target: &str, body: &str) -> HttpResponse {
        self.try_send(method, target, body).await.unwrap()
    }

    async fn control(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(method, &format!("/_venue{path}"), &body).await;
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }
}

struct Stream(FragmentCollector<TokioIo<Upgraded>>);

struct Spawn;

impl<F: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

impl Stream {
    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let request = hyper::Request::builder()
            .method("GET")
            .uri("/stream")
            .header("host", "toy")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-key", fastwebsockets::handshake::generate_key())
            .header("sec-websocket-version", "13")
            .body(Full::<Bytes>::default())
            .unwrap();
        let (socket, _) = client(&Spawn, request, stream).await.unwrap();
        Self(FragmentCollector::new(socket))
    }

    async fn say(&mut self, text: &str) {
        self.0.write_frame(Frame::text(text.as_bytes().to_vec().into())).await.unwrap();
    }

    /// The next text frame, or how the stream ended.
    async fn hear(&mut self) -> Result<String, String> {
        loop {
            let frame = self.0.read_frame().await.map_err(|error| error.to_string())?;
            match frame.opcode {
                OpCode::Text => return Ok(String::from_utf8(frame.payload.to_vec()).unwrap()),
                OpCode::Close => {
                    let code = frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    return Err(format!("closed {code:?}"));
                }
                _ => {}
            }
        }
    }
}

fn order(side: &str, price: u32, id: &str) -> String {
    format!("/order?symbol=XY&side={side}&price={price}&amount=1&id={id}")
}

#[test]
fn requests_are_answered_on_one_connection() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        assert_eq!(client.send("GET", "/ping", "").await.status, 200);
        let placed = client.send("POST", &order("buy", 90, "a"), "").await;
        assert_eq!((placed.status, placed.header("x-orders")), (200, Some("1")));
        assert_eq!(client.send("GET", "/orders", "").await.body, br#"["a"]"#);
        assert_eq!(client.send("GET", "/nowhere", "").await.status, 404);
        assert_eq!(client.send("PATCH", "/ping", "").await.status, 405);
        assert!(server.local_url("wss://x.example:9443/ws?a=1").starts_with("ws://127.0.0.1:"));
        assert!(server.link_urls()["stream"].ends_with("/stream"));
    });
}

#[test]
fn subscriptions_are_served_and_streams_end_orderly() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        let mut stream = Stream::connect(&server).await;
        stream.say("sub XY@trades").await;
        assert_eq!(stream.hear().await.unwrap(), "ok 1");
        stream.say(&format!("login {KEY}")).await;
        assert_eq!(stream.hear().await.unwrap(), "ok 2");
        client.send("POST", &order("buy", 100, "mine"), "").await;
        assert_eq!(stream.hear().await.unwrap(), "order mine new 0");
        let sell = json!({ "symbol": "XY", "side": "sell", "amount": "0.5" });
        assert_eq!(client.control("POST", "/orders", &sell).await.0, 200);
        assert_eq!(stream.hear().await.unwrap(), "order mine trade 0.5");
        assert_eq!(stream.hear().await.unwrap(), "trade 1 100 0.5");
        server.stop().await;
        assert_eq!(stream.hear().await.unwrap_err(), "closed Some(1001)");
    });
}

#[test]
fn a_dropped_reply_was_applied() {
    run(async {
        let server = serve().await;
        let mut watcher = Client::connect(&server).await;
        let fault = json!({ "fault": "net.drop_reply", "match": { "row": "place" } });
        assert_eq!(watcher.control("POST", "/faults", &fault).await, (200, json!({ "ids": [1] })));
        let mut client = Client::connect(&server).await;
        let waiting =
            tokio::spawn(async move { client.try_send("POST", &order("buy", 90, "lost"), "").await });
        // The order shows up although nobody was told.
        while watcher.send("GET", "/orders", "").await.body != br#"["lost"]"# {
            tokio::task::yield_now().await;
        }
        let (_, requests) = watcher.control("GET", "/requests", &Value::Null).await;
        let place = requests.as_array().unwrap().iter().find(|seen| seen["row"] == "place").unwrap();
        assert_eq!(place["status"], Value::Null);
        assert!(!waiting.is_finished());
        server.stop().await;
        assert!(waiting.await.unwrap().is_err());
    });
}

#[test]
fn a_reset_is_a_reset() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        client
            .control("POST", "/faults", &json!({ "fault": "net.reset", "match": { "path": "/ping" } }))
            .await;
        let mut raw = TcpStream::connect(server.address()).await.unwrap();
        raw.write_all(b"GET /ping HTTP/1.1\r\nhost: toy\r\n\r\n").await.unwrap();
        let error = raw.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let mut stream = Stream::connect(&server).await;
        client
            .control("POST", "/faults", &json!({ "fault": "net.reset", "match": { "link": "stream" } }))
            .await;
        let end = stream.hear().await.unwrap_err();
        assert!(end.contains("reset"), "{end}");
    });
}

#[test]
fn a_muted_channel_is_silent_and_the_link_alive() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        let mut stream = Stream::connect(&server).await;
        stream.say("sub XY@trades").await;
        assert_eq!(stream.hear().await.unwrap(), "ok 1");
        client
            .control("POST", "/faults", &json!({ "fault": "ws.mute", "match": { "channel": "trades" } }))
            .await;
        let sell = json!({ "account": 2, "symbol": "XY", "side": "sell", "amount": "1", "price": "100" });
        client.control("POST", "/orders", &sell).await;
        client.send("POST", &order("buy", 100, "a"), "").await;
        stream.say("hello").await;
        assert_eq!(stream.hear().await.unwrap(), "echo hello");
        client.control("DELETE", "/faults", &Value::Null).await;
        client.control("POST", "/orders", &sell).await;
        client.send("POST", &order("buy", 100, "b"), "").await;
        assert_eq!(stream.hear().await.unwrap(), "trade 2 100 1");
    });
}

#[test]
fn streams_close_and_freeze() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        let mut closed = Stream::connect(&server).await;
        client.control("POST", "/faults", &json!({ "fault": "ws.close", "code": 1012 })).await;
        assert_eq!(closed.hear().await.unwrap_err(), "closed Some(1012)");
        let mut frozen = Stream::connect(&server).await;
        client
            .control("POST", "/faults", &json!({ "fault": "net.half_open", "match": { "link": "stream" } }))
            .await;
        frozen.say("anybody there").await;
        let mut other = Stream::connect(&server).await;
        other.say("hello").await;
        assert_eq!(other.hear().await.unwrap(), "echo hello");
        assert!(timeout(Duration::from_millis(100), frozen.hear()).await.is_err());
    });
}

#[test]
fn replaced_answers_say_whether_they_were_applied() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        for (point, id, orders) in [("before_apply", "no", &b"[]"[..]), ("after_apply", "yes", br#"["yes"]"#)]
        {
            let fault = json!({ "fault": "http.status", "code": 502, "body": "<html>", "point": point,
                "headers": { "content-type": "text/html" }, "match": { "row": "place" }, "trigger": { "nth": 1 } });
            client.control("POST", "/faults", &fault).await;
            let answer = client.send("POST", &order("buy", 90, id), "").await;
            assert_eq!((answer.status, &answer.body[..]), (502, &b"<html>"[..]));
            assert_eq!(client.send("GET", "/orders", "").await.body, orders);
        }
    });
}

#[test]
fn the_control_interface_shows_and_changes() {
    run(async {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        let (status, health) = client.control("GET", "/health", &Value::Null).await;
        assert_eq!((status, &health["venue"], &health["imbalance"]), (200, &json!("spot-toy"), &json!([])));
        assert_eq!(client.control("POST", "/faults", &json!({ "fault": "net.drop_replies" })).await.0, 400);
        assert_eq!(client.control("GET", "/faults", &Value::Null).await.1, json!([]));
        assert_eq!(client.control("GET", "/nothing", &Value::Null).await.0, 404);
        assert_eq!(client.control("DELETE", "/health", &Value::Null).await.0, 405);
        client.send("POST", &order("buy", 90, "a"), "").await;
        let (_, ledger) = client.control("GET", "/ledger?account=1", &Value::Null).await;
        assert_eq!(ledger["open_orders"][0]["client_id"], "a");
        let (_, limits) = client.control("GET", "/limits", &Value::Null).await;
        let orders =
            limits["pools"].as_array().unwrap().iter().find(|pool| pool["pool"] == "orders").unwrap();
        assert_eq!((&orders["used"]["1"], &limits["violations"]), (&json!(1), &json!(0)));
        let ended = client.control("DELETE", "/orders?account=1&symbol=XY&client_id=a", &Value::Null).await;
        assert_eq!((ended.0, &ended.1["state"]), (200, &json!("cancelled")));
        let moved = json!({ "asset": "Y", "amount": "-100000" });
        assert_eq!(client.control("POST", "/transfer", &moved).await.0, 200);
        assert_eq!(client.send("POST", &order("buy", 90, "b"), "").await.status, 400);
        let halted = client
            .control("POST", "/market", &json!({ "symbol": "XY", "status": "halted", "tick": "0.5" }))
            .await;
        assert_eq!(
            (halted.0, &halted.1["status"], &halted.1["rules"]["tick"]),
            (200, &json!("halted"), &json!("0.5"))
        );
        let market = client.control("GET", "/market?symbol=XY", &Value::Null).await;
        assert_eq!((market.0, &market.1["market"]["status"]), (200, &json!("halted")));
        assert_eq!(client.send("POST", &order("sell", 110, "c"), "").await.status, 400);
        assert_eq!(client.control("POST", "/advance", &Value::Null).await.0, 200);
    });
}
