//! What requests are for.

use crate::engine::perpetual::Setting;
use crate::id::ClientOrderId;
use crate::pair::Pair;
use crate::throttle::Lane;

/// What a request, or another thing that costs a limit, is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Job {
    ServerTime,
    Rules,
    Book(Pair),
    /// A shallow book, to see whether a silent stream has missed anything.
    Probe(Pair),
    /// The last price, to see whether a stream without trades has missed one.
    ProbeTrades(Pair),
    Balances,
    Fees(Pair),
    /// The key of the private streams.
    StreamKey,
    /// Keeping it alive.
    KeepKey,
    PositionMode,
    Positions,
    /// Leverage and margin mode of all markets.
    Leverage,
    Brackets,
    /// The next funding of one pair, or of all.
    FundingInfo(Option<Pair>),
    /// A page of the account's funding payments.
    FundingPayments,
    Set(Setting),
    Place(ClientOrderId),
    /// Several with one request, where the venue has that.
    PlaceMany(Vec<ClientOrderId>),
    Cancel(ClientOrderId),
    /// Several of one market with one request, where the venue has that.
    CancelMany(Vec<ClientOrderId>),
    Query(ClientOrderId),
    /// Open orders of one pair, or of all.
    OpenOrders(Option<Pair>),
    /// Fills of an order.
    Fills(ClientOrderId),
    /// Opening the link with this index.
    Connect(usize),
    /// Logging in on the link with this index.
    Login(usize),
}

impl Job {
    pub(in crate::engine) const fn lane(&self) -> Lane {
        match self {
            Self::Cancel(_) | Self::CancelMany(_) => Lane::Cancel,
            Self::Place(_) | Self::PlaceMany(_) => Lane::Create,
            Self::Query(_)
            | Self::Fills(_)
            | Self::Connect(_)
            | Self::Login(_)
            | Self::Balances
            | Self::OpenOrders(_)
            | Self::ServerTime
            | Self::Rules
            | Self::StreamKey
            | Self::KeepKey
            | Self::PositionMode
            | Self::Positions
            | Self::Leverage
            | Self::Brackets
            | Self::FundingInfo(None)
            | Self::Set(_) => Lane::Recover,
            Self::Book(_) | Self::Fees(_) | Self::FundingInfo(Some(_)) | Self::FundingPayments => Lane::Bulk,
            Self::Probe(_) | Self::ProbeTrades(_) => Lane::Poll,
        }
    }

    /// The order concerned, where it is one.
    pub(in crate::engine) const fn order(&self) -> Option<&ClientOrderId> {
        match self {
            Self::Place(id) | Self::Cancel(id) | Self::Query(id) | Self::Fills(id) => Some(id),
            _ => None,
        }
    }

    /// The orders it places.
    pub(super) fn placed(&self) -> &[ClientOrderId] {
        match self {
            Self::Place(id) => std::slice::from_ref(id),
            Self::PlaceMany(ids) => ids,
            _ => &[],
        }
    }

    /// The same for each order alone, if it is about several.
    pub(in crate::engine) fn each(&self) -> Option<Vec<Self>> {
        match self {
            Self::PlaceMany(ids) => Some(ids.iter().cloned().map(Self::Place).collect()),
            Self::CancelMany(ids) => Some(ids.iter().cloned().map(Self::Cancel).collect()),
            _ => None,
        }
    }
}
