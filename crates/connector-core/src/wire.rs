//! The boundary between the engine and whoever moves bytes: the network driver, the in-memory venue, a replay.
//!
//! A [`Machine`] is a value. A driver feeds it [`Input`]s with the time they happened, carries out the [`Action`]s it
//! yields, and wakes it at its deadline. Same inputs, same actions: nothing in a machine reads a clock or a random source.

use std::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::dialect::Method;
use crate::time::{Mono, Now};

/// An HTTP request, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Path from the root, without query.
    pub path: String,
    /// Encoded query string without `?`; may be empty.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// Body.
    pub body: Bytes,
}

impl HttpRequest {
    /// The first header of this (lower case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// An HTTP response, completely read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// Body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of this (lower case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'h>(headers: &'h [(SmolStr, SmolStr)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It failed before a byte was written: refused, name not found, TLS failed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It failed after bytes may have left: reset, end of stream, unreadable answer.
    #[error("no answer: {0}")]
    Broken(String),
    /// The time given ran out after it was sent.
    #[error("no answer in time")]
    Timeout,
}

/// Names a request between [`Action::Http`] and [`Input::Http`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one connection: never reused, so that what an old connection still delivers cannot be taken for the new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Something a driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request; answer with exactly one [`Input::Http`], at the latest after `timeout`.
    Http {
        /// Its name.
        id: RequestId,
        /// The request, for the domain's base URL.
        request: HttpRequest,
        /// The longest wait for the complete answer.
        timeout: Duration,
    },
    /// Open a WebSocket; answer with [`Input::Opened`] or [`Input::Closed`], at the latest after `timeout`.
    Connect {
        /// Its name.
        link: LinkId,
        /// Where to.
        url: String,
        /// The longest wait.
        timeout: Duration,
    },
    /// Send a text frame. Ignored if the link has closed.
    Send {
        /// Through which link.
        link: LinkId,
        /// The text.
        text: String,
    },
    /// Close a link; no input from it is expected any more.
    Close {
        /// Which.
        link: LinkId,
    },
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A request ended.
    Http {
        /// Which.
        id: RequestId,
        /// How.
        result: Result<HttpResponse, TransportError>,
    },
    /// A link is open.
    Opened {
        /// Which.
        link: LinkId,
    },
    /// A complete text or binary message arrived.
    Frame {
        /// From where.
        link: LinkId,
        /// The message; will be overwritten.
        bytes: &'a mut [u8],
    },
    /// A ping or pong arrived: the connection lives, which proves nothing about its subscriptions.
    Alive {
        /// Which.
        link: LinkId,
    },
    /// A link failed to open or has closed.
    Closed {
        /// Which.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
}

/// A deterministic state machine that talks to a venue through a driver.
pub trait Machine: Send {
    /// Takes in something that happened. Answers whether anything may follow: if not, there is no action to carry out, and the
    /// deadline has not come closer.
    fn input(&mut self, now: Now, input: Input<'_>) -> bool;
    /// Takes in that time has passed; called at the latest at [`deadline`](Self::deadline), harmless earlier.
    fn wake(&mut self, now: Now);
    /// The next thing to do; drivers call this until `None` after every input, wake and command.
    fn action(&mut self) -> Option<Action>;
    /// When it must be woken, if nothing happens before.
    fn deadline(&self) -> Option<Mono>;
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    fn input(&mut self, now: Now, input: Input<'_>) -> bool {
        (**self).input(now, input)
    }

    fn wake(&mut self, now: Now) {
        (**self).wake(now);
    }

    fn action(&mut self) -> Option<Action> {
        (**self).action()
    }

    fn deadline(&self) -> Option<Mono> {
        (**self).deadline()
    }
}
