//! The words positions are described in.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::order::Side;

/// How an account holds positions of a contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionMode {
    /// One net position, long or short: what is bought closes what was sold.
    #[default]
    OneWay,
    /// A long and a short leg side by side; an order says which one it is for.
    Hedge,
}

impl fmt::Display for PositionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneWay => "one_way",
            Self::Hedge => "hedge",
        })
    }
}

/// What collateral a position is backed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginMode {
    /// All of the account's collateral, together with its other positions.
    #[default]
    Cross,
    /// Collateral set aside for it alone.
    Isolated,
}

impl fmt::Display for MarginMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cross => "cross",
            Self::Isolated => "isolated",
        })
    }
}

/// Which way a position goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionSide {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
    /// Neither: a net position of zero. Of an order or a fill: for the net position, whichever way it goes.
    Both,
}

impl PositionSide {
    /// The side of a net position of this base amount, negative = short.
    #[must_use]
    pub fn of(amount: Decimal) -> Self {
        if amount.is_zero() {
            Self::Both
        } else if amount.is_sign_negative() {
            Self::Short
        } else {
            Self::Long
        }
    }
}

impl fmt::Display for PositionSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "long",
            Self::Short => "short",
            Self::Both => "both",
        })
    }
}

/// What an order is to do to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionAction {
    /// Make it larger.
    Open,
    /// Make it smaller, and never turn it round (reduce-only).
    Close,
}

impl PositionAction {
    /// The leg of a hedged position that an order with this action on this side is for: long is opened by buying and
    /// closed by selling, short the other way round.
    #[must_use]
    pub const fn leg(self, side: Side) -> PositionSide {
        match (self, side) {
            (Self::Open, Side::Buy) | (Self::Close, Side::Sell) => PositionSide::Long,
            (Self::Open, Side::Sell) | (Self::Close, Side::Buy) => PositionSide::Short,
        }
    }
}

impl fmt::Display for PositionAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Close => "close",
        })
    }
}

/// What changed a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PositionCause {
    /// An order of the account, whoever placed it.
    Order,
    /// The venue closed it because its margin no longer sufficed.
    Liquidation,
    /// The venue closed it as the counterparty of somebody's liquidation (auto-deleveraging).
    AutoDeleverage,
    /// The contract was settled or delisted.
    Settlement,
    /// Something else that only the venue knows: its report differs from the fills that are known.
    External,
}

impl fmt::Display for PositionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "order",
            Self::Liquidation => "liquidation",
            Self::AutoDeleverage => "auto_deleverage",
            Self::Settlement => "settlement",
            Self::External => "external",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shown_as_they_are_serialised() {
        fn same(word: impl Serialize + fmt::Display) {
            assert_eq!(serde_json::to_value(&word).unwrap(), word.to_string());
        }
        for mode in [PositionMode::OneWay, PositionMode::Hedge] {
            same(mode);
        }
        for mode in [MarginMode::Cross, MarginMode::Isolated] {
            same(mode);
        }
        for side in [PositionSide::Long, PositionSide::Short, PositionSide::Both] {
            same(side);
        }
        for action in [PositionAction::Open, PositionAction::Close] {
            same(action);
        }
        use PositionCause::*;
        for cause in [Order, Liquidation, AutoDeleverage, Settlement, External] {
            same(cause);
        }
    }

    #[test]
    fn orders_are_for_a_leg() {
        use PositionAction::{Close, Open};
        assert_eq!(Open.leg(Side::Buy), PositionSide::Long);
        assert_eq!(Close.leg(Side::Sell), PositionSide::Long);
        assert_eq!(Open.leg(Side::Sell), PositionSide::Short);
        assert_eq!(Close.leg(Side::Buy), PositionSide::Short);
    }
}
