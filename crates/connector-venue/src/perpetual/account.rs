//! One account's positions, settings and payments.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connector_core::position::{PositionMode, PositionSide};
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use super::{Income, MarketSettings, Position};

/// A market and the position, or leg, on it.
pub(crate) type Leg = (SmolStr, PositionSide);

/// What the exchange keeps of an account that may trade contracts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder {
    pub(crate) mode: PositionMode,
    pub(crate) multi_assets: bool,
    pub(crate) settings: BTreeMap<SmolStr, MarketSettings>,
    pub(crate) positions: BTreeMap<Leg, Position>,
    pub(crate) incomes: VecDeque<Income>,
    /// The collateral assets whose margin call has been told and still holds.
    pub(crate) called: BTreeSet<Asset>,
}

impl Holder {
    pub(crate) fn position(&self, symbol: &str, side: PositionSide) -> Position {
        self.positions.get(&(SmolStr::new(symbol), side)).copied().unwrap_or_default()
    }

    /// The net position's side, or both legs: what the account can hold of a market in its present mode.
    pub(crate) const fn sides(&self) -> &'static [PositionSide] {
        match self.mode {
            PositionMode::OneWay => &[PositionSide::Both],
            PositionMode::Hedge => &[PositionSide::Long, PositionSide::Short],
        }
    }

    /// Positions that are not flat.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&Leg, &Position)> {
        self.positions.iter().filter(|(_, position)| !position.amount.is_zero())
    }

    /// Sum of what is set aside for isolated positions on the markets that `counts` admits.
    pub(crate) fn isolated(&self, counts: impl Fn(&str) -> bool) -> Decimal {
        self.positions.iter().filter(|((symbol, _), _)| counts(symbol)).map(|(_, p)| p.isolated).sum()
    }
}
