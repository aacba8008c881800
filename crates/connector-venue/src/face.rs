//! The face of a venue: its wire protocol in the reverse direction.
//!
//! An exchange crate implements [`Face`]: request bytes in, neutral calls on the [`Exchange`], the venue's bytes out. A face
//! is stateless; what belongs to one connection lives in its [`Session`], everything else in the exchange. Routing, cost
//! accounting, parameter parsing, pings, lifetimes and faults are done once, around the face, by [`Venue`](crate::venue::Venue).

use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use connector_core::dialect::{LinkSpec, Pool, Rest, Row, Spec};
use connector_core::time::UnixNanos;
use connector_core::wire::{HttpRequest, HttpResponse};
use smol_str::SmolStr;

use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::news::News;
use crate::orders::AccountId;
use crate::setup::Setup;

/// Who is at the other end of a connection, as far as the network tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The network address requests are counted by.
    pub address: IpAddr,
}

impl Peer {
    /// The machine itself.
    pub const LOCAL: Self = Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
}

/// A request that found its row: what a face answers.
#[derive(Debug)]
pub struct Call<'a> {
    /// The row it was routed to; [`Row::name`] says which request it is.
    pub row: &'a Row,
    /// The request as it arrived.
    pub request: &'a HttpRequest,
    /// Its parameters, decoded: path placeholders, then query, then form or top-level JSON members of the body. Keeps the raw
    /// texts too, for signatures.
    pub fields: Fields,
    /// Who sent it.
    pub peer: &'a Peer,
    /// Whose request it turned out to be; set by [`charge_account`](Self::charge_account).
    pub account: Cell<Option<AccountId>>,
}

/// Why the frame around a face refuses a request. The face says it in the venue's bytes; see [`Face::refuse`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// No row has this method and path.
    NoRoute,
    /// The path is known under other methods only.
    WrongMethod,
    /// A limit is used up.
    Limit {
        /// The pool.
        pool: Pool,
        /// Until the pool admits requests again.
        retry_after: Duration,
    },
    /// The address or account is banned.
    Banned {
        /// When the ban ends.
        until: UnixNanos,
        /// How long from now that is.
        retry_after: Duration,
    },
}

/// Names one connection of the venue; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One stream connection, as the venue sees it.
#[derive(Debug)]
pub struct Session {
    /// Its name; zero until the venue has taken it in.
    pub id: SessionId,
    /// The kind of link it is: decides pings, lifetime, connect cost and frame rate.
    pub link: &'static LinkSpec,
    /// Who is at the other end.
    pub peer: Peer,
    /// When it was opened, on the venue's clock.
    pub opened: UnixNanos,
    /// Public subscriptions by the venue's own names, such as `btcusdt@trade`.
    pub subscriptions: BTreeSet<SmolStr>,
    /// Private subscriptions: the venue's subscription id (or any fixed word) and whose events it carries.
    pub accounts: BTreeMap<SmolStr, AccountId>,
    state: Option<Box<dyn Any + Send>>,
}

impl Session {
    /// A new connection of a kind, without subscriptions.
    #[must_use]
    pub fn new(link: &'static LinkSpec, peer: Peer) -> Self {
        Self {
            id: SessionId(0),
            link,
            peer,
            opened: UnixNanos::default(),
            subscriptions: BTreeSet::new(),
            accounts: BTreeMap::new(),
            state: None,
        }
    }

    /// What the face itself keeps about this connection; created on first use. A face uses one type only.
    pub fn state<T: Default + Send + 'static>(&mut self) -> &mut T {
        let fits = self.state.as_ref().is_some_and(|state| state.is::<T>());
        if !fits {
            self.state = None;
        }
        let state = self.state.get_or_insert_with(|| Box::new(T::default()));
        match state.downcast_mut::<T>() {
            Some(state) => state,
            // The line above made it a T.
            None => unreachable!("the session's state was just created with this type"),
        }
    }

    /// Whether a subscription, public or private, has this text in its name.
    #[must_use]
    pub fn holds(&self, part: &str) -> bool {
        self.subscriptions.iter().chain(self.accounts.keys()).any(|name| name.contains(part))
    }

    /// Whether events of `account` go to this connection.
    #[must_use]
    pub fn carries(&self, account: AccountId) -> bool {
        self.accounts.values().any(|known| *known == account)
    }
}

/// What travels in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Bytes),
    /// A ping with this payload, at most 125 bytes.
    Ping(Bytes),
    /// The last frame: code and reason; the connection ends after it.
    Close(u16, String),
    /// Not a frame: the connection is reset.
    Reset,
    /// Not a frame: from here on nothing passes in either direction, and the connection stays open.
    HalfOpen,
}

/// A frame on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFrame {
    /// What it carries.
    pub payload: Payload,
    /// The subscription it belongs to, under the venue's own name; empty for answers and control frames. Stream faults select
    /// by it.
    pub channel: SmolStr,
}

/// Collects the frames a face sends on one connection, in order.
#[derive(Debug, Default)]
pub struct Outbox(pub(crate) Vec<OutFrame>, pub(crate) Option<u16>);

impl Outbox {
    /// The answer to a request that has a row of its own, with the HTTP status it stands for.
    pub fn answer(&mut self, status: u16, text: impl Into<String>) {
        self.1 = Some(status);
        self.reply(text);
    }

    /// An answer to something the client said.
    pub fn reply(&mut self, text: impl Into<String>) {
        self.push(Payload::Text(text.into()), SmolStr::default());
    }

    /// An event of a subscription.
    pub fn event(&mut self, channel: impl AsRef<str>, text: impl Into<String>) {
        self.push(Payload::Text(text.into()), SmolStr::new(channel));
    }

    /// A binary event of a subscription.
    pub fn binary(&mut self, channel: impl AsRef<str>, bytes: impl Into<Bytes>) {
        self.push(Payload::Binary(bytes.into()), SmolStr::new(channel));
    }

    /// Ends the connection after the frames before.
    pub fn close(&mut self, code: u16, reason: impl Into<String>) {
        self.push(Payload::Close(code, reason.into()), SmolStr::default());
    }

    /// The frames so far, in order.
    #[must_use]
    pub fn frames(&self) -> &[OutFrame] {
        &self.0
    }

    fn push(&mut self, payload: Payload, channel: SmolStr) {
        self.0.push(OutFrame { payload, channel });
    }
}

/// The reverse direction of one venue's protocol. Object safe: venues hold a `Box<dyn Face>`.
///
/// The venue's time is [`Exchange::now`]; a face reads no other clock.
pub trait Face: Send + Sync + 'static {
    /// What is true of the venue: the connector's own declaration.
    fn spec(&self) -> &'static Spec;

    /// The connector's requests: their rows are routed and charged.
    fn rest(&self) -> &'static Rest;

    /// Rows of further requests that real clients make and the connector does not. Paths may hold `<name>` segments, whose
    /// values come first in [`Call::fields`]. Where two rows share method and path, the connector's row wins.
    fn extra(&self) -> &'static [Row] {
        &[]
    }

    /// Names the row of a request where method and path do not tell, such as one path for all requests; `None` leaves it to
    /// method and path.
    fn distinguish(&self, request: &HttpRequest, fields: &Fields) -> Option<&'static str> {
        let _ = (request, fields);
        None
    }

    /// The exchange to start from: markets, funded accounts, test keys. Same seed, same setup.
    fn setup(&self, seed: u64) -> Setup;

    /// Answers a routed request. Pools of scope address are charged already; the face authenticates, and charges pools of scope
    /// account with [`Call::charge_account`] once it knows whose request it is.
    fn http(&self, call: &Call<'_>, exchange: &mut Exchange) -> HttpResponse;

    /// Says in the venue's bytes that a request was refused before it reached the face.
    fn refuse(&self, denied: &Denied, exchange: &Exchange) -> HttpResponse;

    /// Takes in a stream connection, or refuses the upgrade with a response. The venue fills in id and time, and charges
    /// [`LinkSpec::connect_cost`] afterwards.
    ///
    /// # Errors
    /// The response to send instead of the upgrade.
    fn accept(
        &self,
        path: &str,
        query: &str,
        peer: &Peer,
        exchange: &mut Exchange,
    ) -> Result<Session, Box<HttpResponse>>;

    /// Takes in a text frame of the client. Answers and first events go to `out`.
    fn message(&self, session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox);

    /// The row of a text frame that is the same as a request by HTTP, and its parameters; `None` if it is no such request. Faults
    /// strike it as they strike that request.
    fn request_of(&self, text: &str) -> Option<(&'static Row, Fields)> {
        let _ = text;
        None
    }

    /// An answer to such a frame that says what this response says, where a fault puts one in place of the exchange's own.
    fn answer_as(&self, text: &str, response: &HttpResponse, exchange: &Exchange) -> String {
        let _ = (text, exchange);
        String::from_utf8_lossy(&response.body).into_owned()
    }

    /// Turns one piece of news into frames for this connection, if it is subscribed to it. Called for every connection in the
    /// order the news happened.
    fn push(&self, session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox);

    /// How often [`tick`](Self::tick) is called; `None` for never.
    fn tick_period(&self) -> Option<Duration> {
        None
    }

    /// Sends what the venue sends by the clock: tickers, best prices at intervals.
    fn tick(&self, session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
        let _ = (session, exchange, out);
    }

    /// The payload of the ping the venue sends every [`LinkSpec::max_silence`]; `None` if this venue's server never pings.
    fn ping(&self, session: &Session, now: UnixNanos) -> Option<Bytes> {
        let _ = session;
        Some(Bytes::from(now.millis().to_string()))
    }
}
