//! What is true of a venue, as data.

use std::time::Duration;

use serde::Serialize;

use crate::dialect::keys::KeyKind;
use crate::dialect::rest::Cost;
use crate::dialect::source::Source;
use crate::error::{Cause, Effect};
use crate::order::{OrderType, TimeInForce};
use crate::position::{MarginMode, PositionMode};

/// Spot or perpetual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Exchange of assets.
    Spot,
    /// Perpetual contracts.
    Perpetual,
}

/// One place where the venue can be reached: main, regional, testnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// The name a user selects it by.
    pub name: &'static str,
    /// Base URL of requests: scheme and host, no path.
    pub rest: &'static str,
    /// URL of each link, by [`LinkSpec::name`].
    pub links: &'static [(&'static str, &'static str)],
    /// Source.
    pub source: Source,
}

/// How a limit's budget comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Counted from each whole multiple of the period on the venue's clock, then reset to zero.
    Fixed(Duration),
    /// Counted over the last period, at any moment.
    Rolling(Duration),
    /// A token bucket: units come back steadily, `units` of them in each `every`, up to the limit.
    Bucket {
        /// Units that come back.
        units: u32,
        /// In this time.
        every: Duration,
    },
    /// A counter that falls by `units` at once, each `every`, but not below zero; its steps keep no time known to us.
    Decay {
        /// Units of one step; fewer than the limit.
        units: u32,
        /// Time between steps.
        every: Duration,
    },
    /// Units come back when the request that took them is answered: at most the limit is under way at a time.
    Concurrent,
}

impl Window {
    /// The period, or the time in which the units of one step come back; zero where time brings nothing back.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self {
            Self::Fixed(period) | Self::Rolling(period) => period,
            Self::Bucket { every, .. } | Self::Decay { every, .. } => every,
            Self::Concurrent => Duration::ZERO,
        }
    }
}

/// Whose requests a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All from one network address.
    Address,
    /// All of one account.
    Account,
    /// All on one connection.
    Connection,
}

/// One limit of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The name costs refer to.
    pub name: &'static str,
    /// Units admitted per window.
    pub limit: u32,
    /// How they come back.
    pub window: Window,
    /// Whose requests are counted.
    pub scope: Scope,
    /// The response header that tells the units used so far in the window, lower case.
    pub used_header: Option<&'static str>,
    /// Source.
    pub source: Source,
}

impl Pool {
    /// A limit whose use the venue does not tell.
    #[must_use]
    pub const fn new(name: &'static str, limit: u32, window: Window, scope: Scope, source: Source) -> Self {
        Self { name, limit, window, scope, used_header: None, source }
    }

    /// The same limit, its use told in the response header `name` (lower case).
    #[must_use]
    pub const fn told_in(self, name: &'static str) -> Self {
        Self { used_header: Some(name), ..self }
    }
}

/// Which side of the venue a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// Public market data.
    Public,
    /// The account's own events.
    User,
    /// Requests about orders: see [`Calls`](crate::dialect::Calls).
    Orders,
}

/// How a user link becomes private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// It does not.
    None,
    /// By a key from [`Rest::stream_key`](crate::dialect::Rest::stream_key) that stands in its URL in place of `<key>`.
    Key,
    /// By a frame from [`Dialect::login`](crate::dialect::Dialect::login), answered by a session message of kind `login`.
    Frame,
}

/// One kind of stream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinkSpec {
    /// Its name in [`Domain::links`].
    pub name: &'static str,
    /// What it carries.
    pub role: LinkRole,
    /// How it becomes private.
    pub login: Login,
    /// What opening it costs.
    pub connect_cost: &'static [Cost],
    /// What the login frame costs.
    pub login_cost: &'static [Cost],
    /// Most frames we may send per second.
    pub frames_per_second: u32,
    /// Most subscriptions it may hold.
    pub max_subscriptions: u16,
    /// The venue closes it after this long.
    pub lifetime: Duration,
    /// Something (a ping at least) arrives this often from a live venue; twice as long without means the socket is dead.
    pub max_silence: Duration,
    /// Source.
    pub source: Source,
}

/// A kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Order book.
    Book,
    /// Public trades.
    Trades,
    /// Best bid and ask.
    BestPrice,
    /// Mark and index price and the next funding of a perpetual contract.
    Funding,
}

/// A subscription the venue offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelSpec {
    /// What it carries.
    pub channel: Channel,
    /// The link it is subscribed on.
    pub link: &'static str,
    /// The venue's name for it, with `<symbol>` where the symbol goes.
    pub name: &'static str,
    /// Source.
    pub source: Source,
}

impl ChannelSpec {
    /// `channel`, which the venue calls `name` and carries on `link`.
    #[must_use]
    pub const fn new(channel: Channel, link: &'static str, name: &'static str, source: Source) -> Self {
        Self { channel, link, name, source }
    }
}

/// How book messages continue each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BookRule {
    /// Snapshot by request; each diff covers `first_id..=last_id`, and the next one starts at `last_id + 1`.
    Sequenced,
    /// Snapshot by request; each diff names the `last_id` of the one before in `prev_id`.
    PrevLinked,
    /// Every message is a complete snapshot.
    SnapshotOnly,
}

/// How the venue judges a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClockRule {
    /// How much later than its time stamp a request may arrive.
    pub window: Duration,
    /// Source.
    pub source: Source,
}

/// What a client order id may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IdRule {
    /// Most characters.
    pub max_len: u8,
    /// Characters allowed besides ASCII letters and digits.
    pub punctuation: &'static str,
    /// Source.
    pub source: Source,
}

/// Default fees in parts per million of the traded value, and the asset they are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FeeRule {
    /// When our order rested.
    pub maker_ppm: i32,
    /// When our order took.
    pub taker_ppm: i32,
    /// Whether a buyer pays in the base asset received (`true`) or in the quote asset spent.
    pub from_received: bool,
    /// Source.
    pub source: Source,
}

/// What error codes of the venue mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The codes, verbatim.
    pub codes: &'static [&'static str],
    /// If given, only texts that contain this; such rows stand before a code's general one.
    pub text: Option<&'static str>,
    /// What went wrong.
    pub cause: Cause,
    /// What may have happened.
    pub effect: Effect,
}

impl Fault {
    /// Codes that say no, whatever the text.
    #[must_use]
    pub const fn no(codes: &'static [&'static str], cause: Cause) -> Self {
        Self { codes, text: None, cause, effect: Effect::Rejected }
    }

    /// A code that says no for this reason if the text contains `text`.
    #[must_use]
    pub const fn says(codes: &'static [&'static str], text: &'static str, cause: Cause) -> Self {
        Self { codes, text: Some(text), cause, effect: Effect::Rejected }
    }

    /// Codes after which the request may have been carried out.
    #[must_use]
    pub const fn unclear(codes: &'static [&'static str], cause: Cause) -> Self {
        Self { codes, text: None, cause, effect: Effect::Unknown }
    }
}

/// A checklist row that does not apply to this venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NotApplicable {
    /// The row's id.
    pub row: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// What is true of a venue of perpetual contracts besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PerpetualSpec {
    /// Modes positions can be held in; the account's default first.
    pub position_modes: &'static [PositionMode],
    /// What positions can be backed by; the account's default first.
    pub margin_modes: &'static [MarginMode],
    /// How long after its time a funding payment may first appear in the venue's history.
    pub funding_delay: Duration,
    /// Source.
    pub source: Source,
}

/// What is true of a venue.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spec {
    /// The connector's name, such as `spot-binance`.
    pub name: &'static str,
    /// The exchange's name for people.
    pub exchange: &'static str,
    /// Spot or perpetual.
    pub kind: Kind,
    /// What perpetual contracts add; present if [`kind`](Self::kind) is [`Kind::Perpetual`].
    pub perpetual: Option<PerpetualSpec>,
    /// Where it can be reached; the first is the default.
    pub domains: &'static [Domain],
    /// Kinds of key it takes.
    pub keys: &'static [KeyKind],
    /// Its limits.
    pub pools: &'static [Pool],
    /// Its stream connections.
    pub links: &'static [LinkSpec],
    /// Its subscriptions.
    pub channels: &'static [ChannelSpec],
    /// How its books continue.
    pub book: BookRule,
    /// Whether requests carry time, and within which window.
    pub clock: Option<ClockRule>,
    /// Client order ids.
    pub ids: IdRule,
    /// Order types it takes.
    pub order_types: &'static [OrderType],
    /// Times in force it takes for limit orders.
    pub times_in_force: &'static [TimeInForce],
    /// Default fees.
    pub fees: FeeRule,
    /// Whether the private stream tells every change of a balance, locks of orders included. Where it does not, what is
    /// available is reckoned from the account's own activity since the last answer.
    pub balance_push: bool,
    /// Error codes.
    pub faults: &'static [Fault],
    /// Where the error codes are documented.
    pub faults_source: Source,
    /// An order query may miss a change this young: "not found" is evidence only after it.
    pub visibility: Duration,
    /// Checklist rows that do not apply.
    pub not_applicable: &'static [NotApplicable],
}

impl Spec {
    /// The domain named `name`, or the default for `None`.
    #[must_use]
    pub fn domain(&self, name: Option<&str>) -> Option<&'static Domain> {
        match name {
            None => self.domains.first(),
            Some(name) => self.domains.iter().find(|domain| domain.name == name),
        }
    }

    /// The venue's name of a subscription; `None` if it does not offer the channel.
    #[must_use]
    pub fn subscription(&self, channel: Channel, symbol: &str) -> Option<String> {
        let spec = self.channels.iter().find(|spec| spec.channel == channel)?;
        Some(spec.name.replace("<symbol>", symbol))
    }

    /// The meaning of an error code with this text, if declared.
    #[must_use]
    pub fn fault(&self, code: &str, text: &str) -> Option<&'static Fault> {
        self.faults
            .iter()
            .find(|fault| fault.codes.contains(&code) && fault.text.is_none_or(|part| text.contains(part)))
    }
}
