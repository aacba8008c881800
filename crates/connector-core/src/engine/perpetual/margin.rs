//! What orders of perpetual contracts take of the collateral, given what is open.

use rust_decimal::Decimal;

use super::super::Engine;
use crate::budget::{Candidate, MarginTerms, Terms};
use crate::dialect::Dialect;
use crate::fee::FeeSchedule;
use crate::order::{Side, TrackedOrder};
use crate::pair::Asset;
use crate::position::{PositionAction, PositionMode, PositionSide};

impl<D: Dialect> Engine<D> {
    /// What an order is judged by. `None` if its pair has no rule, or it is of a contract whose leverage is not known and `leverage`
    /// does not stand in for it.
    pub(in crate::engine) fn terms<'a>(
        &'a self,
        candidate: &Candidate,
        fees: &'a FeeSchedule,
        leverage: Option<Decimal>,
    ) -> Option<Terms<'a>> {
        let rule = self.rules.get(&candidate.pair)?;
        let Some(collateral) = rule.collateral.as_ref().filter(|_| Self::is_perpetual()) else {
            return Some(Terms::spot(rule, fees));
        };
        let positions = &self.perpetual.book;
        let (same, other) = match (positions.mode(), candidate.action, candidate.side) {
            (PositionMode::Hedge, Some(PositionAction::Close), side) => {
                (None, Some(PositionAction::Close.leg(side)))
            }
            (PositionMode::Hedge, _, side) => (Some(PositionAction::Open.leg(side)), None),
            (PositionMode::OneWay, ..) => (Some(PositionSide::Both), Some(PositionSide::Both)),
        };
        let (with, against) = match candidate.side {
            Side::Buy => (PositionSide::Long, PositionSide::Short),
            Side::Sell => (PositionSide::Short, PositionSide::Long),
        };
        let held = |place: Option<PositionSide>| positions.held(&candidate.pair, place?);
        let other = held(other)
            .filter(|position| position.side == against || positions.mode() == PositionMode::Hedge);
        let open = held(same).filter(|position| position.side == with).map(|position| position.amount);
        let closes = candidate.action == Some(PositionAction::Close);
        let closable = match &other {
            // The venue sees to it that it opens nothing.
            _ if closes => Decimal::MAX,
            Some(position) if !position.amount.is_zero() => {
                let taken: Decimal = self.of_side(candidate).map(TrackedOrder::remaining).sum();
                (position.amount - taken).max(Decimal::ZERO)
            }
            _ => Decimal::ZERO,
        };
        let margin = MarginTerms {
            collateral,
            leverage: self.perpetual.margin(&candidate.pair).leverage.or(leverage)?,
            brackets: self.perpetual.brackets.get(&candidate.pair).map(|known| &**known).unwrap_or_default(),
            closable,
            entry_price: other.and_then(|position| position.entry_price),
            open: open.unwrap_or_default(),
            mark_price: self.perpetual.funding.state(&candidate.pair).mark_price,
        };
        Some(Terms { rule, fees, margin: Some(margin) })
    }

    /// Open orders like this one.
    fn of_side(&self, candidate: &Candidate) -> impl Iterator<Item = &TrackedOrder> {
        self.tracker.open_orders().filter(|order| {
            let order = order.order();
            (&order.pair, order.side) == (&candidate.pair, candidate.side)
        })
    }

    /// What cancelling an order of a perpetual contract makes available again.
    pub(in crate::engine) fn margin_freed(&self, order: &TrackedOrder) -> Option<(Asset, Decimal)> {
        let units = self.holdings.reservations.units(order.client_order_id())?;
        let (asset, unit) = units.first()?;
        Some((asset.clone(), unit.saturating_mul(order.remaining())))
    }
}
