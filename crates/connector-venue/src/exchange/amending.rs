//! Orders that change while they are open, and orders that end when nobody asks for them to stay.

use connector_core::Decimal;
use connector_core::order::OrderState;
use connector_core::time::UnixNanos;
use smol_str::SmolStr;

use super::Exchange;
use crate::news::What;
use crate::orders::{AccountId, Amount, EndReason, Order, Reject, Submit, Which};

impl Exchange {
    /// Gives an open order of a contract another price and amount. It keeps its ids, loses its place in the queue and may trade
    /// at once. An amount that is filled already cancels it, and so does a price at which a post-only order would trade.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`]; [`Reject::NoContract`] on spot markets; [`Reject::NoChange`]; or what speaks against an order
    /// of this price for what is left, with the order as it was.
    pub fn amend(
        &mut self,
        account: AccountId,
        symbol: &str,
        which: &Which,
        price: Decimal,
        amount: Decimal,
    ) -> Result<Order, Reject> {
        let id = self.live_order(account, symbol, which)?;
        self.contract(symbol).ok_or(Reject::NoContract)?;
        let old = self.orders.get(id).cloned().ok_or(Reject::UnknownOrder)?;
        let old_price = old.price.ok_or(Reject::UnsupportedType)?;
        let (price, amount) = (price.normalize(), amount.normalize());
        if (price, amount) == (old_price, old.amount) {
            return Err(Reject::NoChange);
        }
        if amount <= old.filled {
            return self.cancel(account, symbol, which, Some(&old.client_id));
        }
        let submit = Submit {
            order_type: old.order_type,
            time_in_force: old.time_in_force,
            self_trade: Some(old.self_trade),
            position_side: old.position_side,
            reduce_only: old.reduce_only,
            amount: Amount::Base(amount - old.filled),
            ..Submit::limit(symbol, old.side, price, amount)
        };
        // Judged as if the order had nothing left to ask for, so that its margin is not counted twice.
        self.resize(id, old.filled);
        let judged = self.judge(account, &submit);
        self.resize(id, old.amount);
        let mut ticket = match judged {
            Err(Reject::WouldTake) => return self.cancel(account, symbol, which, Some(&old.client_id)),
            judged => judged?,
        };
        let mut turn = self.turn(symbol);
        if let Some(market) = self.markets.get_mut(symbol)
            && let Some(resting) = market.book.resting(old.side, old_price, id)
        {
            market.book.reduce(old.side, old_price, id, resting);
        }
        let now = self.now;
        let order = self.orders.get_mut(id).ok_or(Reject::UnknownOrder)?;
        (order.price, order.amount, order.updated) = (Some(price), amount, now);
        let order = order.clone();
        self.tell_order(&order, What::Replaced);
        let wanted = ticket.wanted.map(|wanted| wanted + old.filled);
        let plan = std::mem::take(&mut ticket.plan);
        ticket.plan = self.sweep(id, plan, wanted, &mut turn);
        self.finish(id, &ticket, &mut turn);
        self.trim(account, symbol, old.position_side, &mut turn);
        self.close(turn);
        self.orders.get(id).cloned().ok_or(Reject::UnknownOrder)
    }

    fn resize(&mut self, id: u64, amount: Decimal) {
        if let Some(order) = self.orders.get_mut(id) {
            order.amount = amount;
        }
    }

    /// Cancels all open orders of an account on a market at this time, unless it is called again before; `None` calls it off.
    ///
    /// # Errors
    /// [`Reject::UnknownMarket`]; [`Reject::UnknownAccount`].
    pub fn cancel_all_at(
        &mut self,
        account: AccountId,
        symbol: &str,
        time: Option<UnixNanos>,
    ) -> Result<(), Reject> {
        let market = self.listed(symbol).ok_or(Reject::UnknownMarket)?;
        if !self.ledger.knows(account) {
            return Err(Reject::UnknownAccount);
        }
        let key = (account, market.setup.symbol.clone());
        match time {
            Some(time) => self.countdowns.insert(key, time),
            None => self.countdowns.remove(&key),
        };
        Ok(())
    }

    /// When the next countdown ends.
    pub(super) fn next_countdown(&self) -> Option<UnixNanos> {
        self.countdowns.values().min().copied()
    }

    /// Ends a countdown that has run out by now. `false` if none has.
    pub(super) fn end_countdown(&mut self) -> bool {
        let due = |(_, time): &(&(AccountId, SmolStr), &UnixNanos)| **time <= self.now;
        let Some((account, symbol)) = self.countdowns.iter().find(due).map(|(key, _)| key.clone()) else {
            return false;
        };
        self.countdowns.remove(&(account, symbol.clone()));
        let ids: Vec<u64> = self.open_orders(account, Some(&symbol)).iter().map(|order| order.id).collect();
        let mut turn = self.turn(&symbol);
        for id in ids {
            let what = What::Cancelled { cancel_id: SmolStr::default() };
            self.end(id, OrderState::Cancelled, EndReason::Requested, what, &mut turn);
        }
        self.close(turn);
        true
    }
}
