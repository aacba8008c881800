//! Errors: what went wrong, and what may have happened.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What may have happened at the venue when a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The request never left: certainly without effect.
    NotSent,
    /// The venue said no: certainly without effect.
    Rejected,
    /// It may have been carried out. Only a query or a stream event tells.
    Unknown,
}

/// What went wrong, in words that are the same for every venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Key missing, malformed, unknown, expired, revoked, or not allowed from this address.
    Credentials,
    /// The signature does not match: wrong secret, or wrong kind of key.
    Signature,
    /// The key lacks the permission this request needs.
    Permission,
    /// The request's time is outside the venue's window.
    Timestamp,
    /// A rate limit is used up.
    RateLimited,
    /// Banned for ignoring rate limits.
    Banned,
    /// The venue does not know the order.
    OrderNotFound,
    /// The client order id is in use.
    DuplicateOrderId,
    /// Not enough available balance.
    InsufficientBalance,
    /// A post-only order would have traded at once.
    WouldTake,
    /// A trading rule is broken: price, amount or notional.
    TradingRule,
    /// The account's positions or open orders stand against it, or there is no position it could close.
    Position,
    /// What was to be set is so already.
    Unchanged,
    /// The venue does not know the pair, or does not trade it now.
    Market,
    /// The venue could not read the request.
    BadRequest,
    /// The venue is down, overloaded or in maintenance.
    Unavailable,
    /// Connecting, TLS, reading or writing failed.
    Network,
    /// No answer in time.
    Timeout,
    /// The answer could not be read.
    Malformed,
    /// The journal cannot be written or read, or market data cannot be recorded.
    Storage,
    /// Our own configuration or command is wrong.
    Usage,
    /// None of the above: see the venue's own text.
    Other,
}

impl Cause {
    /// What a person should do about it, in one sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Credentials => "check that the API key is complete, active, and allowed from this address",
            Self::Signature => "check the secret and that its kind (HMAC, Ed25519, RSA) is the key's",
            Self::Permission => "enable trading for this key at the venue",
            Self::Timestamp => "set the machine's clock, or leave time synchronisation on",
            Self::RateLimited => "slow down; the connector resumes by itself",
            Self::Banned => "wait until the ban ends; nothing is sent before",
            Self::OrderNotFound => "the order is unknown to the venue: check its id and pair",
            Self::DuplicateOrderId => "use a new client order id",
            Self::InsufficientBalance => "lower the amount or free balance",
            Self::WouldTake => "move the price away from the book, or use a limit order",
            Self::TradingRule => "adjust price or amount to the pair's trading rule",
            Self::Position => {
                "look at the positions and open orders of the account: close or cancel them first, or close less"
            }
            Self::Unchanged => "nothing to do",
            Self::Market => "check the pair's name and that it is trading",
            Self::BadRequest => "this is a defect of the connector: please report it with the venue's text",
            Self::Unavailable => "wait; the connector retries by itself",
            Self::Network => "check the network and the host name",
            Self::Timeout => "check the network; the connector finds out what happened",
            Self::Malformed => "check that the address is the venue's and that no proxy answers in its place",
            Self::Storage => {
                "free space on the disk or repair the file; while a journal fails, cancels still go and new orders do not"
            }
            Self::Usage => "correct the call or the configuration",
            Self::Other => "see the venue's own text",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "credentials refused",
            Self::Signature => "signature refused",
            Self::Permission => "permission missing",
            Self::Timestamp => "timestamp refused",
            Self::RateLimited => "rate limited",
            Self::Banned => "banned",
            Self::OrderNotFound => "order not found",
            Self::DuplicateOrderId => "duplicate order id",
            Self::InsufficientBalance => "insufficient balance",
            Self::WouldTake => "post-only order would take",
            Self::TradingRule => "trading rule broken",
            Self::Position => "positions or orders stand against it",
            Self::Unchanged => "nothing to change",
            Self::Market => "pair unknown or not trading",
            Self::BadRequest => "bad request",
            Self::Unavailable => "venue unavailable",
            Self::Network => "network failure",
            Self::Timeout => "no answer in time",
            Self::Malformed => "unreadable answer",
            Self::Storage => "storage failure",
            Self::Usage => "wrong use",
            Self::Other => "refused",
        })
    }
}

/// A failure, told to the reader: what failed, where, what may have happened, what to do.
///
/// `Display` is one line for logs. Carries no secret: texts come from the venue or from us, never from a signed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What went wrong.
    pub cause: Cause,
    /// What may have happened.
    pub effect: Effect,
    /// The connector, such as `spot-binance`; empty until core fills it in.
    pub venue: SmolStr,
    /// What was being done: an endpoint's or link's name, or the field that was wrong.
    pub operation: SmolStr,
    /// The order, pair or key field concerned, if one is.
    pub subject: Option<SmolStr>,
    /// The venue's own code, verbatim.
    pub code: Option<SmolStr>,
    /// The venue's own text, verbatim, or ours where the venue said nothing.
    pub message: String,
}

impl Error {
    /// A failure of `operation`. The venue's name and the subject are added by whoever knows them.
    #[must_use]
    pub fn new(cause: Cause, effect: Effect, operation: impl AsRef<str>, message: impl Into<String>) -> Self {
        Self {
            cause,
            effect,
            venue: SmolStr::default(),
            operation: SmolStr::new(operation),
            subject: None,
            code: None,
            message: message.into(),
        }
    }

    /// A wrong call or configuration: nothing was sent.
    #[must_use]
    pub fn usage(operation: impl AsRef<str>, message: impl Into<String>) -> Self {
        Self::new(Cause::Usage, Effect::NotSent, operation, message)
    }

    /// Names the connector.
    #[must_use]
    pub fn at(mut self, venue: impl AsRef<str>) -> Self {
        self.venue = SmolStr::new(venue);
        self
    }

    /// Names the order, pair or field concerned.
    #[must_use]
    pub fn about(mut self, subject: impl AsRef<str>) -> Self {
        self.subject = Some(SmolStr::new(subject));
        self
    }

    /// Adds the venue's code.
    #[must_use]
    pub fn with_code(mut self, code: impl AsRef<str>) -> Self {
        self.code = Some(SmolStr::new(code));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.venue.is_empty() {
            write!(f, "{}: ", self.venue)?;
        }
        write!(f, "{}", self.operation)?;
        if let Some(subject) = &self.subject {
            write!(f, " ({subject})")?;
        }
        write!(f, ": {}", self.cause)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message.trim_end_matches('.'))?;
        }
        let happened = match self.effect {
            Effect::NotSent => "nothing was sent",
            Effect::Rejected => "it was not carried out",
            Effect::Unknown => "it may have been carried out",
        };
        write!(f, "; {happened}; {}", self.cause.advice())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_cause_has_a_name_and_an_advice_of_its_own() {
        use Cause::*;
        let causes = [
            Credentials,
            Signature,
            Permission,
            Timestamp,
            RateLimited,
            Banned,
            OrderNotFound,
            DuplicateOrderId,
            InsufficientBalance,
            WouldTake,
            TradingRule,
            Position,
            Unchanged,
            Market,
            BadRequest,
            Unavailable,
            Network,
            Timeout,
            Malformed,
            Storage,
            Usage,
            Other,
        ];
        let names: BTreeSet<_> = causes.iter().map(ToString::to_string).collect();
        let advice: BTreeSet<_> = causes.iter().map(|cause| cause.advice()).collect();
        assert_eq!((names.len(), advice.len()), (causes.len(), causes.len()));
        for cause in causes {
            let error = Error::new(cause, Effect::NotSent, "place", "why").at("venue").about("BTC-USDT");
            let line = error.to_string();
            for part in [&cause.to_string(), "venue", "place", "why", "BTC-USDT"] {
                assert!(line.contains(part), "{part} is not in: {line}");
            }
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
