//! The words an order is described in.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::pair::Pair;
use crate::position::PositionAction;

/// Which way an order trades the base asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Receives the base asset, spends the quote asset.
    Buy,
    /// Spends the base asset, receives the quote asset.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        })
    }
}

/// How an order is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At the stated price or better.
    Limit,
    /// At the stated price, and only as a maker; refused by the venue if it would trade at once (post-only).
    LimitMaker,
    /// At whatever the book offers.
    Market,
}

impl fmt::Display for OrderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "limit",
            Self::LimitMaker => "limit_maker",
            Self::Market => "market",
        })
    }
}

/// How long a limit order may rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForce {
    /// Good till cancelled.
    #[default]
    Gtc,
    /// Immediate or cancel: what cannot be filled at once is cancelled.
    Ioc,
    /// Fill or kill: filled completely at once, or not at all.
    Fok,
}

impl fmt::Display for TimeInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gtc => "gtc",
            Self::Ioc => "ioc",
            Self::Fok => "fok",
        })
    }
}

/// Where an order stands. Terminal states are never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrderState {
    /// Accepted by us, not yet acknowledged by the venue.
    PendingCreate,
    /// Sent, and the answer does not say whether the venue has it. Only evidence from the venue ends this state.
    Unknown,
    /// Resting at the venue, nothing filled.
    Open,
    /// Resting at the venue, partly filled.
    PartiallyFilled,
    /// The venue has accepted a cancel that is not yet effective.
    PendingCancel,
    /// Terminal: completely filled.
    Filled,
    /// Terminal: cancelled; may be partly filled.
    Cancelled,
    /// Terminal: ended by the venue under the order's own terms (IOC, FOK, expiry); may be partly filled.
    Expired,
    /// Terminal: the venue never accepted it.
    Failed,
}

impl OrderState {
    /// Whether the state is never left.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Expired | Self::Failed)
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PendingCreate => "pending_create",
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::PartiallyFilled => "partially_filled",
            Self::PendingCancel => "pending_cancel",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        })
    }
}

/// An order as a trader asks for it. Amounts are in the base asset, prices in quote per base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The pair to trade.
    pub pair: Pair,
    /// Buy or sell.
    pub side: Side,
    /// How it is priced.
    pub order_type: OrderType,
    /// How long it may rest; only limit orders may differ from [`TimeInForce::Gtc`].
    pub time_in_force: TimeInForce,
    /// Base amount; rounded down to the pair's amount step before it is sent.
    pub amount: Decimal,
    /// Limit price; required unless the order is a market order.
    pub price: Option<Decimal>,
    /// What it is to do to a position of a perpetual contract: required in hedge mode; in one-way mode [`None`] and
    /// [`PositionAction::Open`] mean the same, and close what is open the other way; `None` for spot.
    pub action: Option<PositionAction>,
}

impl NewOrder {
    /// A limit order, good till cancelled.
    #[must_use]
    pub fn limit(pair: Pair, side: Side, amount: Decimal, price: Decimal) -> Self {
        Self {
            pair,
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            amount,
            price: Some(price),
            action: None,
        }
    }

    /// A post-only limit order.
    #[must_use]
    pub fn limit_maker(pair: Pair, side: Side, amount: Decimal, price: Decimal) -> Self {
        Self { order_type: OrderType::LimitMaker, ..Self::limit(pair, side, amount, price) }
    }

    /// A market order.
    #[must_use]
    pub fn market(pair: Pair, side: Side, amount: Decimal) -> Self {
        Self {
            pair,
            side,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::Gtc,
            amount,
            price: None,
            action: None,
        }
    }

    /// The same order, to open a position of a perpetual contract or make it larger.
    #[must_use]
    pub fn open(self) -> Self {
        Self { action: Some(PositionAction::Open), ..self }
    }

    /// The same order, to make a position of a perpetual contract smaller and never turn it round (reduce-only).
    #[must_use]
    pub fn close(self) -> Self {
        Self { action: Some(PositionAction::Close), ..self }
    }

    /// The same order with another time in force.
    #[must_use]
    pub fn time_in_force(mut self, time_in_force: TimeInForce) -> Self {
        self.time_in_force = time_in_force;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_shown_as_they_are_serialised() {
        use OrderState::*;
        let open = [PendingCreate, Unknown, Open, PartiallyFilled, PendingCancel];
        let ended = [Filled, Cancelled, Expired, Failed];
        for state in open.into_iter().chain(ended) {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
            assert_eq!(state.is_terminal(), ended.contains(&state), "{state}");
        }
    }
}
