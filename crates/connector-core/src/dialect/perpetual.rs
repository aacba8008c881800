//! Requests that venues of perpetual contracts have besides, and the keys of private streams.

use std::time::Duration;

use rust_decimal::Decimal;
use smol_str::SmolStr;

use crate::dialect::rest::{Decoder, Endpoint, Row, SymbolQuery};
use crate::position::{MarginMode, PositionMode};
use crate::time::UnixNanos;

/// Asks for the leverage of a market to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeverageQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Value ÷ initial margin.
    pub leverage: Decimal,
    /// What backs the market's positions, for venues that set both at once.
    pub margin_mode: MarginMode,
}

/// Asks for what backs positions of a market to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginModeQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// What backs them.
    pub margin_mode: MarginMode,
    /// The market's leverage, for venues that set both at once.
    pub leverage: Decimal,
}

/// Asks for the mode positions are held in to be set, for the whole account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionModeQuery {
    /// The mode.
    pub mode: PositionMode,
}

/// Asks for the account's funding payments, of all markets, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingPaymentsQuery {
    /// From this time on, inclusive.
    pub from: UnixNanos,
    /// Up to this time, inclusive.
    pub to: UnixNanos,
    /// Most rows of a page.
    pub limit: u32,
}

/// How what is known of the next funding is asked for.
pub enum FundingInfoRest {
    /// For all markets at once.
    All(Endpoint<()>),
    /// Market by market.
    Each(Endpoint<SymbolQuery>),
}

impl FundingInfoRest {
    /// All of it that is data.
    #[must_use]
    pub const fn row(&self) -> &Row {
        match self {
            Self::All(endpoint) => &endpoint.row,
            Self::Each(endpoint) => &endpoint.row,
        }
    }

    const fn decode(&self) -> Decoder {
        match self {
            Self::All(endpoint) => endpoint.decode,
            Self::Each(endpoint) => endpoint.decode,
        }
    }
}

/// The requests of a venue of perpetual contracts. A required one that is missing does not compile.
pub struct PerpetualRest {
    /// Open positions, complete: one that is not listed is zero.
    pub positions: Endpoint<()>,
    /// Leverage and margin mode of all markets, where the venue's positions do not tell them.
    pub leverage: Option<Endpoint<()>>,
    /// Sets the leverage of a market.
    pub set_leverage: Endpoint<LeverageQuery>,
    /// Sets what backs positions of a market; absent where the venue has one way only.
    pub set_margin_mode: Option<Endpoint<MarginModeQuery>>,
    /// What positions must be backed by, of all markets.
    pub brackets: Option<Endpoint<()>>,
    /// The mode positions are held in; absent where the venue has one only.
    pub position_mode: Option<Endpoint<()>>,
    /// Sets it.
    pub set_position_mode: Option<Endpoint<PositionModeQuery>>,
    /// Mark price, index price and next funding.
    pub funding_info: FundingInfoRest,
    /// The account's funding payments.
    pub funding_payments: Endpoint<FundingPaymentsQuery>,
    /// Most rows in one page of `funding_payments`; a full page means there may be more.
    pub funding_page: u32,
}

impl PerpetualRest {
    /// The rows of all endpoints, in checklist order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.endpoints().map(|(row, _)| row)
    }

    /// The decoder of the row named `name`.
    #[must_use]
    pub fn decoder(&self, name: &str) -> Option<Decoder> {
        self.endpoints().find(|(row, _)| row.name == name).map(|(_, decode)| decode)
    }

    fn endpoints(&self) -> impl Iterator<Item = (&Row, Decoder)> {
        [
            Some(told(&self.positions)),
            self.leverage.as_ref().map(told),
            Some(told(&self.set_leverage)),
            self.set_margin_mode.as_ref().map(told),
            self.brackets.as_ref().map(told),
            self.position_mode.as_ref().map(told),
            self.set_position_mode.as_ref().map(told),
            Some((self.funding_info.row(), self.funding_info.decode())),
            Some(told(&self.funding_payments)),
        ]
        .into_iter()
        .flatten()
    }
}

/// Names the key of a private stream.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKeyQuery {
    /// The key: whoever has it can read the account.
    pub key: SmolStr,
}

/// How the key of a private stream is had and kept.
///
/// It is never given back: where an account has one key at a time, others may be using it.
pub struct StreamKeyRest {
    /// Answers with a [`StreamKey`](crate::message::StreamKey): a new one, or the one that is valid.
    pub create: Endpoint<()>,
    /// Prolongs its life.
    pub keep_alive: Endpoint<StreamKeyQuery>,
    /// How long a key lives that is not kept alive.
    pub lifetime: Duration,
    /// How often it is kept alive.
    pub renewal: Duration,
}

impl StreamKeyRest {
    /// The rows of both endpoints.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        [&self.create.row, &self.keep_alive.row].into_iter()
    }

    /// The decoder of the row named `name`.
    #[must_use]
    pub fn decoder(&self, name: &str) -> Option<Decoder> {
        let endpoints = [told(&self.create), told(&self.keep_alive)];
        endpoints.into_iter().find(|(row, _)| row.name == name).map(|(_, decode)| decode)
    }
}

const fn told<Q>(endpoint: &Endpoint<Q>) -> (&Row, Decoder) {
    (&endpoint.row, endpoint.decode)
}
