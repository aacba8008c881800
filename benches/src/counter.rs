//! The far end: a loopback server that notes when an order has completely arrived and acknowledges it at once.
//!
//! Everything but orders it passes on to a venue, if there is one, so that a connector can start. Its answer to an order costs the
//! same whoever sent it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// A running server, until the process ends.
#[derive(Debug)]
pub struct Counter {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    arrived: Arc<AtomicU64>,
    origin: Instant,
}

impl Counter {
    /// Serves on a free loopback port.
    ///
    /// # Errors
    /// There is none.
    pub fn start(venue: Option<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, arrived, origin) = (listener.local_addr()?, Arc::default(), Instant::now());
        let noted: Arc<AtomicU64> = Arc::clone(&arrived);
        thread::spawn(move || {
            let orders = Arc::new(AtomicU64::new(0));
            for stream in listener.incoming().flatten() {
                let (noted, orders) = (Arc::clone(&noted), Arc::clone(&orders));
                // A connection that fails ends its thread; whoever measures notices.
                thread::spawn(move || serve(stream, venue, origin, &noted, &orders));
            }
        });
        Ok(Self { address, arrived, origin })
    }

    /// Nanoseconds since the server started.
    #[must_use]
    pub fn now(&self) -> u64 {
        since(self.origin)
    }

    /// When the last order was complete here.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Acquire)
    }
}

fn since(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

const END: &[u8] = b"\r\n\r\n";

fn serve(
    mut stream: TcpStream,
    venue: Option<SocketAddr>,
    origin: Instant,
    noted: &AtomicU64,
    orders: &AtomicU64,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let (mut filled, mut answer) = (0, Vec::new());
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let request = buffer.get(..filled).unwrap_or_default();
        // No request here has a body.
        if !request.ends_with(END) {
            continue;
        }
        let now = since(origin);
        let order = |method: &[u8]| request.starts_with(method);
        answer.clear();
        if order(b"POST /api/v3/order?") || order(b"DELETE /api/v3/order?") {
            noted.store(now, Ordering::Release);
            acknowledge(request, orders.fetch_add(1, Ordering::Relaxed) + 1, &mut answer)?;
        } else {
            pass_on(request, venue.ok_or(io::ErrorKind::Unsupported)?, &mut answer)?;
        }
        stream.write_all(&answer)?;
        filled = 0;
    }
}

/// The value of a query parameter.
fn param<'r>(request: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    let start = request.windows(name.len()).position(|window| window == name)? + name.len();
    let rest = request.get(start..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'&' | b' ')).unwrap_or(rest.len());
    rest.get(..end)
}

fn acknowledge(request: &[u8], orders: u64, answer: &mut Vec<u8>) -> io::Result<()> {
    let text = |name: &[u8]| param(request, name).and_then(|value| std::str::from_utf8(value).ok());
    let body = match text(b"newClientOrderId=") {
        Some(id) => format!(
            r#"{{"symbol":"BTCUSDT","orderId":{orders},"orderListId":-1,"clientOrderId":"{id}","transactTime":1790000000000,"price":"20000.00000000","origQty":"0.00100000","executedQty":"0.00000000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"BUY","workingTime":1790000000000,"fills":[],"selfTradePreventionMode":"EXPIRE_MAKER"}}"#
        ),
        None => format!(
            r#"{{"symbol":"BTCUSDT","origClientOrderId":"","orderId":{},"orderListId":-1,"clientOrderId":"x","transactTime":1790000000000,"price":"20000.00000000","origQty":"0.00100000","executedQty":"0.00000000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY","selfTradePreventionMode":"EXPIRE_MAKER"}}"#,
            text(b"orderId=").unwrap_or("0")
        ),
    };
    write!(
        answer,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json;charset=UTF-8\r\ncontent-length: {}\r\nx-mbx-used-weight: 1\r\nx-mbx-used-weight-1m: 1\r\nx-mbx-order-count-10s: 1\r\nx-mbx-order-count-1d: 1\r\n\r\n{body}",
        body.len()
    )
}

/// Asks the venue on a connection of its own and passes its answer on.
fn pass_on(request: &[u8], venue: SocketAddr, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut upstream = TcpStream::connect(venue)?;
    let head = request.strip_suffix(END).unwrap_or(request);
    upstream.write_all(&[head, b"\r\nconnection: close", END].concat())?;
    upstream.read_to_end(answer)?;
    // This connection lives on.
    let close = b"connection: close\r\n";
    if let Some(at) = answer.windows(close.len()).position(|window| window.eq_ignore_ascii_case(close)) {
        answer.drain(at..at + close.len());
    }
    Ok(())
}
