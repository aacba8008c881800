//! A connector in a process of its own: what it is told to do and what it tells.
//!
//! The process is this program again, with a hidden command. It is told its job on standard input, one JSON document per line, so
//! that no key is on its command line, and tells what happens on standard output, likewise. When its standard input ends it
//! dies on the spot: none outlives whoever started it.

mod process;
mod trader;

use std::collections::BTreeMap;
use std::path::PathBuf;

use connector_core::engine::Urls;
use connector_core::order::{NewOrder, OrderState, OrderType, Side};
use connector_core::{Asset, ClientOrderId, Credentials, Decimal, Pair};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use process::Process;
pub(crate) use trader::trade;

/// The name of the hidden command.
pub const COMMAND: &str = "bot";

/// What a bot is to do: to create orders and cancel them again as soon as they are there, some of them at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Base URL of requests.
    pub rest: String,
    /// URL of each link, by name.
    pub links: Vec<(SmolStr, String)>,
    /// The account's key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Its passphrase, where the venue has such.
    pub passphrase: Option<String>,
    /// The pair traded.
    pub pair: Pair,
    /// The journal's file.
    pub journal: PathBuf,
    /// The orders, one after the other and from the first again.
    pub orders: Vec<Wish>,
    /// How many are under way together.
    pub together: usize,
    /// How many there are in all, besides those that are held.
    pub cycles: usize,
    /// How many are created after those and left open.
    pub hold: usize,
}

impl Job {
    /// The addresses.
    #[must_use]
    pub fn urls(&self) -> Urls {
        Urls { rest: self.rest.clone(), links: self.links.clone() }
    }

    /// Who trades.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        let credentials = Credentials::new(self.key.as_str(), self.secret.as_str());
        match &self.passphrase {
            Some(passphrase) => credentials.with_passphrase(passphrase.as_str()),
            None => credentials,
        }
    }
}

/// A limit order, good till cancelled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// Buy or sell.
    pub side: Side,
    /// Quote per base.
    pub price: Decimal,
    /// Of the base asset.
    pub amount: Decimal,
}

impl Wish {
    /// What an order is for; `None` if it is no limit order.
    #[must_use]
    pub fn of(order: &NewOrder) -> Option<Self> {
        let price = order.price.filter(|_| order.order_type == OrderType::Limit)?;
        Some(Self { side: order.side, price, amount: order.amount })
    }

    fn order(self, pair: &Pair) -> NewOrder {
        NewOrder::limit(pair.clone(), self.side, self.amount, self.price)
    }
}

/// What a bot is told after its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Begin; orders of earlier runs are cancelled.
    Trade,
    /// Tell the state.
    Look,
    /// Cancel everything, end, and tell how it went.
    Stop,
}

/// An open order as a bot knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub id: ClientOrderId,
    /// Where it stands.
    pub state: OrderState,
    /// Executed of it, in the base asset.
    pub executed: Decimal,
}

/// What a bot knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its open orders.
    pub open: Vec<Known>,
    /// Total and available.
    pub balances: BTreeMap<Asset, (Decimal, Decimal)>,
}

/// What a bot tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Everything is live, or it was asked.
    State(State),
    /// The venue has an order.
    Created(ClientOrderId),
    /// A part of it was executed.
    Filled(ClientOrderId),
    /// It has ended.
    Ended(ClientOrderId),
    /// All cycles have ended, and these orders are open.
    Done(Vec<ClientOrderId>),
    /// Something went wrong.
    Problem(String),
    /// It has ended in order.
    Stopped {
        /// Orders that may be open.
        open: Vec<ClientOrderId>,
        /// Entries that the journal may lack.
        unrecorded: usize,
    },
}

impl Said {
    /// The order it is about, if it is an event of one.
    #[must_use]
    pub const fn order(&self) -> Option<&ClientOrderId> {
        match self {
            Self::Created(id) | Self::Filled(id) | Self::Ended(id) => Some(id),
            _ => None,
        }
    }
}
