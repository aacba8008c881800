//! The connections that carry requests: one is always open before it is needed, and a venue that hangs up costs no order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use connector_core::engine::Urls;
use connector_core::event::Event;
use connector_core::order::{NewOrder, Side};
use connector_core::{Connector, Decimal, Events};
use connector_venue::server::Server;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

/// What happens in front of the venue.
#[derive(Debug, PartialEq)]
enum Seen {
    Opened(usize),
    /// A request of this method came over this connection.
    Request(usize, String),
    /// The client has closed it.
    Closed(usize),
}

/// A relay in front of the venue, from whose end a connection can be cut.
struct Relay {
    address: SocketAddr,
    seen: Receiver<Seen>,
    streams: Receiver<TcpStream>,
}

impl Relay {
    fn start(venue: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ((tell, seen), (lend, streams)) = (channel(), channel());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let tell = tell.clone();
                let _ = tell.send(Seen::Opened(number));
                let _ = lend.send(stream.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = relay(stream, venue, number, &tell);
                    let _ = tell.send(Seen::Closed(number));
                });
            }
        });
        Self { address, seen, streams }
    }

    /// Waits until something was seen, and answers with all that was before it.
    async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let mut before = Vec::new();
        for _ in 0..2_000 {
            for seen in self.seen.try_iter() {
                let found = wanted(&seen);
                before.push(seen);
                if found {
                    return before;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("waited in vain; seen: {before:?}");
    }
}

fn relay(mut stream: TcpStream, venue: SocketAddr, number: usize, tell: &Sender<Seen>) -> io::Result<()> {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..read]);
        let Some(head) = request.strip_suffix(b"\r\n\r\n") else { continue };
        let method = String::from_utf8_lossy(head.split(|byte| *byte == b' ').next().unwrap()).into_owned();
        let _ = tell.send(Seen::Request(number, method));
        let mut upstream = TcpStream::connect(venue)?;
        upstream.write_all(&[head, b"\r\nconnection: close\r\n\r\n"].concat())?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer).replacen("connection: close\r\n", "", 1);
        stream.write_all(text.as_bytes())?;
        request.clear();
    }
}

async fn connect(relay: &Relay, server: &Server) -> Connector {
    let urls = Urls { rest: format!("http://{}", relay.address), ..server.urls() };
    let builder = Connector::builder(SpotBinance).urls(urls).credentials(server.credentials().unwrap());
    builder.connect().await.unwrap()
}

fn order() -> NewOrder {
    NewOrder::limit("BTC-USDT".parse().unwrap(), Side::Buy, Decimal::new(1, 3), Decimal::from(20_000))
}

async fn created(events: &mut Events) {
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Event::OrderCreated(_) => return,
            event @ (Event::OrderFailed(_) | Event::OrderUnknown(_)) => panic!("{event:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_hangs_up_finds_a_successor_already_open() {
    let server = Server::serve(BinanceFace, 3).await.unwrap();
    let relay = Relay::start(server.address());
    let connector = connect(&relay, &server).await;
    let mut events = connector.events();
    // Everything that is open, the spare included, is cut by the venue; nobody asks for anything.
    relay.until(|seen| matches!(seen, Seen::Opened(1))).await;
    let streams: Vec<TcpStream> = relay.streams.try_iter().collect();
    let cut = streams.len();
    for stream in streams {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let before = relay.until(|seen| matches!(seen, Seen::Opened(number) if *number >= cut)).await;
    assert!(!before.iter().any(|seen| matches!(seen, Seen::Request(_, method) if method == "POST")));
    connector.place(order()).unwrap();
    created(&mut events).await;
    let seen = relay.until(|seen| matches!(seen, Seen::Request(_, method) if method == "POST")).await;
    let opened_since = seen.iter().any(|seen| matches!(seen, Seen::Opened(_)));
    let carrier = seen.iter().find_map(|seen| match seen {
        Seen::Request(number, method) if method == "POST" => Some(*number),
        _ => None,
    });
    assert!(carrier.unwrap() >= cut, "{seen:?}");
    // It may have opened a new spare afterwards, but never had to for this order.
    let own = |seen: &Seen| *seen == Seen::Opened(carrier.unwrap());
    assert!(!opened_since || !seen.iter().any(own), "the order waited for a connection: {seen:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_go_side_by_side_and_all_is_closed_at_the_end() {
    let server = Server::serve(BinanceFace, 4).await.unwrap();
    let relay = Relay::start(server.address());
    let connector = connect(&relay, &server).await;
    let mut events = connector.events();
    let ids: Vec<_> = (0..20).map(|_| connector.place(order()).unwrap()).collect();
    for _ in &ids {
        created(&mut events).await;
    }
    drop((events, connector));
    let (mut opened, mut closed) = (0, 0);
    while closed < opened || opened == 0 {
        for seen in relay.until(|seen| matches!(seen, Seen::Closed(_))).await {
            match seen {
                Seen::Opened(_) => opened += 1,
                Seen::Closed(_) => closed += 1,
                Seen::Request(..) => {}
            }
        }
    }
    server.stop().await;
}
