//! Binance USDⓈ-M futures, perpetual contracts: com and testnet.
//!
//! Declarations and pure functions over the core's [`Dialect`]: what the venue has ([`Dialect::SPEC`]), its requests
//! ([`Dialect::REST`]) and its streams. The account's events come over a stream opened by a listen key. What this API shares
//! with spot's stands in [`spot_binance::family`].
//!
//! A position opened and closed, on an exchange of one's own (feature `venue`); leave `exchange` and `urls` out, with your own key,
//! to trade on the real one:
//!
#![cfg_attr(feature = "venue", doc = "```")]
#![cfg_attr(not(feature = "venue"), doc = "```ignore")]
//! use binance_perpetual::{BinancePerpetual, venue};
//! use connector_core::event::Event;
//! use connector_core::order::{NewOrder, Side};
//! use connector_core::{Connector, Decimal, Pair, position::PositionSide};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let exchange = venue::Server::serve(venue::BinancePerpetualFace, 7).await?;
//! let pair: Pair = "BTC-USDT".parse()?;
//! let builder = Connector::builder(BinancePerpetual).urls(exchange.urls()).pairs([pair.clone()]);
//! let binance = builder.credentials(exchange.credentials().ok_or("no key")?).connect().await?;
//! let mut events = binance.events();
//! binance.set_leverage(&pair, Decimal::from(5))?;
//! let amount: Decimal = "0.01".parse()?;
//! binance.place(NewOrder::market(pair.clone(), Side::Buy, amount).open())?;
//! while let Some(event) = events.next().await.transpose()? {
//!     let Event::PositionChanged(position) = event else { continue };
//!     println!("{} {} at {:?}", position.side, position.amount, position.entry_price);
//!     match position.side {
//!         PositionSide::Long if position.amount == amount => {
//!             binance.place(NewOrder::market(pair.clone(), Side::Sell, amount).close())?;
//!         }
//!         PositionSide::Both => break,
//!         _ => {}
//!     }
//! }
//! println!("the next funding: {:?}", binance.funding(&pair));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "venue")]
pub mod venue;

mod account;
mod batch;
mod faults;
mod hot;
mod rest;
mod spec;
mod stream;
mod wire;

use connector_core::Error;
use connector_core::dialect::{
    Channel, DecodeError, Dialect, Draft, Frame, Keyring, Rest, Spec, Stamp, VenueError,
};
use connector_core::message::Sink;
use smol_str::SmolStr;
use spot_binance::family;

/// The exchange Binance, USDⓈ-M perpetual contracts.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinancePerpetual;

impl Dialect for BinancePerpetual {
    const SPEC: &'static Spec = &spec::SPEC;
    const REST: &'static Rest = &rest::REST;

    fn error(body: &[u8]) -> Option<VenueError> {
        family::error(body)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        family::subscribe(&spec::SPEC, on, channels, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        stream::frame(frame, out)
    }

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        family::sign(draft, keys, stamp)
    }

    /// Never asked for: the user stream is opened by its address.
    fn login(_: &Keyring, _: Stamp, _: u64) -> Result<String, Error> {
        Err(Error::usage("login", "the user stream is opened by a listen key"))
    }
}
