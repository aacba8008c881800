//! The bound: the same order by nothing but an HTTP library on a kept connection and a signing library.

use std::fmt::Write as _;

use benches::counter::Counter;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use ring::hmac;
use tokio::net::TcpStream;

use crate::Failure;

/// One connection, and what goes into every request.
pub(crate) struct Bare {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    key: hmac::Key,
    api_key: String,
    orders: u64,
    /// Milliseconds since the epoch, counted on so that every request differs as real ones do.
    time: u64,
}

impl Bare {
    pub(crate) async fn connect(counter: &Counter, api_key: &str, secret: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(counter.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: counter.address.to_string(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            api_key: api_key.to_owned(),
            orders: 0,
            time: 1_790_000_000_000,
        })
    }

    /// Places the next order and reads the whole answer.
    pub(crate) async fn place(&mut self) -> Result<Bytes, Failure> {
        self.orders += 1;
        self.time += 1;
        let mut target = String::with_capacity(400);
        target.push_str("/api/v3/order?");
        let start = target.len();
        write!(
            target,
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=20000&newClientOrderId=bare-{:018}&newOrderRespType=FULL&timestamp={}",
            self.orders, self.time
        )?;
        let signature = hmac::sign(&self.key, target.get(start..).unwrap_or_default().as_bytes());
        target.push_str("&signature=");
        for byte in signature.as_ref() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for half in [byte >> 4, byte & 15] {
                target.push(char::from(DIGITS.get(usize::from(half)).copied().unwrap_or_default()));
            }
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header("host", &self.host)
            .header("x-mbx-apikey", &self.api_key)
            .header("user-agent", "bare/0.1.0")
            .body(Full::new(Bytes::new()))?;
        let answer = self.sender.send_request(request).await?;
        Ok(answer.into_body().collect().await?.to_bytes())
    }
}
