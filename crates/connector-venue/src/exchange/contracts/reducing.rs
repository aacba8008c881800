//! Orders that may only reduce: what they are refused for, and how they shrink with their position.

use connector_core::Decimal;
use connector_core::order::{OrderState, Side};
use connector_core::position::{PositionMode, PositionSide};

use super::super::placing::Turn;
use super::super::{Exchange, Market};
use crate::news::What;
use crate::orders::{AccountId, Amount, EndReason, Reject, Submit, closes_leg};

impl Exchange {
    /// Judges an order's position side and what it may reduce. Gives the amount it can reduce at most; `None` if it may do
    /// more than reduce.
    pub(in crate::exchange) fn check_position_side(
        &self,
        account: AccountId,
        submit: &Submit,
        market: &Market,
    ) -> Result<Option<Decimal>, Reject> {
        if market.setup.contract.is_none() {
            let plain = submit.position_side == PositionSide::Both && !submit.reduce_only;
            return if plain { Ok(None) } else { Err(Reject::NoContract) };
        }
        let Amount::Base(amount) = submit.amount else { return Err(Reject::UnsupportedType) };
        let leg = submit.position_side;
        let hedge = self.position_mode(account) == PositionMode::Hedge;
        let fits = hedge != (leg == PositionSide::Both);
        if !fits || (hedge && submit.reduce_only) {
            return Err(Reject::PositionSide);
        }
        let closes = closes_leg(leg, submit.side);
        if !submit.reduce_only && !closes {
            return Ok(None);
        }
        let held = self.reducible(account, &submit.symbol, leg, submit.side);
        // A net position only takes what it needs of a larger order; a leg refuses it.
        if held.is_zero() || (closes && amount > held) {
            return Err(Reject::NotReducing);
        }
        Ok(Some(held))
    }

    /// How much orders of this side can reduce a position by.
    pub(in crate::exchange) fn reducible(
        &self,
        account: AccountId,
        symbol: &str,
        leg: PositionSide,
        side: Side,
    ) -> Decimal {
        let position = self.holder(account).map(|holder| holder.position(symbol, leg)).unwrap_or_default();
        let sign = if side == Side::Buy { Decimal::ONE } else { -Decimal::ONE };
        if position.is_reduced_by(sign) { position.amount.abs() } else { Decimal::ZERO }
    }

    /// Makes resting orders that only reduce fit their position: those of the worst price, then the newest, expire; one alone
    /// that is larger than the position keeps its size, but the book shows and fills no more of it than there is to reduce.
    pub(in crate::exchange) fn trim(
        &mut self,
        account: AccountId,
        symbol: &str,
        leg: PositionSide,
        turn: &mut Turn,
    ) {
        if account.is_house() || self.contract(symbol).is_none() {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            let mut resting = self.resting_reducers(account, symbol, leg, side);
            let held = self.reducible(account, symbol, leg, side);
            let mut sum: Decimal = resting.iter().map(|(_, _, amount)| *amount).sum();
            let mut expired = Vec::new();
            while sum > held && (resting.len() > 1 || held.is_zero()) {
                let Some((_, id, amount)) = resting.pop() else { break };
                sum -= amount;
                expired.push(id);
            }
            let cut = resting.first().copied().filter(|_| sum > held);
            turn.replan |= cut.is_some() || !expired.is_empty();
            for id in expired {
                self.end(id, OrderState::Expired, EndReason::ReduceOnly, What::Expired, turn);
            }
            if let Some((price, id, amount)) = cut
                && let Some(market) = self.markets.get_mut(symbol)
            {
                market.book.reduce(side, price, id, amount - held);
            }
        }
    }

    /// Resting orders of one side that only reduce: price, id and what the book has of them, best price and oldest first.
    fn resting_reducers(
        &self,
        account: AccountId,
        symbol: &str,
        leg: PositionSide,
        side: Side,
    ) -> Vec<(Decimal, u64, Decimal)> {
        let Some((market, _)) = self.contract(symbol) else { return Vec::new() };
        let live = self.orders.live(account).filter(|order| {
            order.symbol == symbol && order.position_side == leg && order.side == side && order.reduces()
        });
        let resting = live.filter_map(|order| {
            let price = order.price?;
            Some((price, order.id, market.book.resting(side, price, order.id)?))
        });
        let mut resting: Vec<_> = resting.collect();
        resting.sort_by_key(|(price, id, _)| (if side == Side::Buy { -*price } else { *price }, *id));
        resting
    }
}
