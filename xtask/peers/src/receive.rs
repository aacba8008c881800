//! `ws/receive`: `tokio-tungstenite` alone, and with `barter-data` behind it.

use std::hint::black_box;
use std::time::Instant;

use barter_data::exchange::binance::book::l1::BinanceOrderBookL1;
use barter_integration::Transformer as _;
use barter_integration::protocol::StreamParser;
use barter_integration::protocol::websocket::{WebSocketSerdeParser, connect};
use benches::frames::Market;
use benches::measure::Samples;
use benches::venue::{SALVO, Venue};
use futures_util::StreamExt as _;

use crate::{Failure, bare, barter};

pub(crate) async fn run(salvos: usize) -> Result<(), Failure> {
    let mut market = Market::new(7);
    let frames: Vec<Vec<u8>> = (0..(salvos + 1) * SALVO).map(|_| market.best_price().into_bytes()).collect();
    let venue = Venue::start(Vec::new(), &frames, SALVO)?;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", venue.address)).await?;
    let mut rate = Rate::new("tokio_tungstenite");
    for _ in 0..=salvos {
        let receive = async {
            for _ in 0..SALVO {
                let message = socket.next().await.ok_or("the connection has ended")??;
                if !black_box(&message).is_text() {
                    return Err("not a text".into());
                }
            }
            Ok(())
        };
        rate.salvo(&venue, receive).await?;
    }
    rate.tell();
    let venue = Venue::start(Vec::new(), &bare(&frames), SALVO)?;
    let mut transformer = barter::best_prices().await?;
    let mut socket = connect(format!("ws://{}/ws", venue.address)).await?;
    let mut rate = Rate::new("barter_data");
    for _ in 0..=salvos {
        let receive = async {
            for _ in 0..SALVO {
                let message = socket.next().await.ok_or("the connection has ended")?;
                let parsed = <WebSocketSerdeParser as StreamParser<BinanceOrderBookL1>>::parse(message);
                let input = parsed.ok_or("not a message")??;
                if !transformer.transform(input).into_iter().all(|event| black_box(event).is_ok()) {
                    return Err("a frame was not read".into());
                }
            }
            Ok(())
        };
        rate.salvo(&venue, receive).await?;
    }
    rate.tell();
    Ok(())
}

/// Frames per second, salvo by salvo: from the request for it until all of it is there.
struct Rate(Samples);

impl Rate {
    const fn new(who: &'static str) -> Self {
        Self(Samples::new("ws/receive", who, "frames/s"))
    }

    async fn salvo(
        &mut self,
        venue: &Venue,
        receive: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        venue.send();
        receive.await?;
        self.0.add(SALVO as f64 / start.elapsed().as_secs_f64());
        Ok(())
    }

    fn tell(mut self) {
        self.0.drop_first();
        self.0.tell();
    }
}
