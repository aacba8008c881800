//! Changes of open orders.

use connector_core::Decimal;
use connector_core::order::{OrderState, OrderType, Side};

use super::Exchange;
use super::judging::{Ticket, check_amount, is_multiple};
use crate::matching::{Incoming, Want};
use crate::news::What;
use crate::orders::{AccountId, EndReason, Order, Placement, Reject, Rule, Submit, Which};
use crate::setup::MarketStatus;

impl Exchange {
    /// Reduces an open order's amount to `amount` and keeps its place in the queue.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`]; [`Reject::Rule`] unless `amount` is whole steps between what is filled and the old
    /// amount.
    pub fn reduce(
        &mut self,
        account: AccountId,
        symbol: &str,
        which: &Which,
        amount: Decimal,
    ) -> Result<Order, Reject> {
        let id = self.live_order(account, symbol, which)?;
        let amount = amount.normalize();
        let market = self.markets.get_mut(symbol).ok_or(Reject::UnknownMarket)?;
        let order = self.orders.get_mut(id).ok_or(Reject::UnknownOrder)?;
        let price = order.price.ok_or(Reject::UnknownOrder)?;
        if amount <= order.filled || amount >= order.amount || !is_multiple(amount, market.setup.rules.step) {
            return Err(Reject::Rule(Rule::LotSize));
        }
        let less = order.amount - amount;
        let freed = if order.side == Side::Buy { price * less } else { less };
        let asset = if order.side == Side::Buy { &market.setup.quote } else { &market.setup.base };
        let resting = market.book.resting(order.side, price, id).unwrap_or_default();
        // An order that only reduces may rest with less than it asks for.
        let too_much = resting - (amount - order.filled);
        if too_much > Decimal::ZERO {
            market.book.reduce(order.side, price, id, too_much);
        }
        order.amount = amount;
        order.updated = self.now;
        if market.setup.contract.is_none() {
            order.locked -= freed;
            self.ledger.unlock(account, asset, freed);
        }
        let result = order.clone();
        let mut turn = self.turn(symbol);
        let Some(market) = self.markets.get(symbol) else { return Err(Reject::UnknownMarket) };
        turn.touch(account, [&market.setup.base, &market.setup.quote]);
        self.tell_order(&result, What::Replaced);
        self.close(turn);
        Ok(result)
    }

    /// Gives an open limit order of a contract another price and amount. It keeps its ids, goes to the end of its queue and
    /// may trade at once. An amount of no more than is filled ends it, and so does a price at which a post-only order would
    /// trade.
    ///
    /// # Errors
    /// [`Reject::NoContract`]; [`Reject::UnknownOrder`]; [`Reject::NoChange`]; whatever speaks against an order of this price
    /// and amount. The order then stays as it is.
    pub fn modify(
        &mut self,
        account: AccountId,
        symbol: &str,
        which: &Which,
        price: Decimal,
        amount: Decimal,
    ) -> Result<Placement, Reject> {
        let (price, amount) = (price.normalize(), amount.normalize());
        let id = self.live_order(account, symbol, which)?;
        let (market, _) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let order = self.orders.get(id).ok_or(Reject::UnknownOrder)?.clone();
        let old = order.price.ok_or(Reject::UnsupportedType)?;
        if (old, order.amount) == (price, amount) {
            return Err(Reject::NoChange);
        }
        let mut wanted = Submit::limit(symbol, order.side, price, amount);
        wanted.order_type = order.order_type;
        wanted.reduce_only = order.reduces();
        check_amount(&wanted, market, Some(price))?;
        if market.setup.status != MarketStatus::Trading {
            return Err(Reject::MarketClosed);
        }
        self.change_margin(&order, price, amount)?;
        let mut turn = self.turn(symbol);
        if let Some(market) = self.markets.get_mut(symbol)
            && let Some(resting) = market.book.resting(order.side, old, id)
        {
            market.book.reduce(order.side, old, id, resting);
        }
        if let Some(changed) = self.orders.get_mut(id) {
            changed.updated = self.now;
            let changed = changed.clone();
            self.tell_order(&changed, What::Modified);
        }
        self.match_again(id, &mut turn);
        let executions = std::mem::take(&mut turn.executions);
        self.trim(account, symbol, order.position_side, &mut turn);
        self.close(turn);
        let order = self.orders.get(id).cloned().ok_or(Reject::UnknownOrder)?;
        Ok(Placement { order, executions })
    }

    /// Writes price and amount into an order if there is margin for them.
    fn change_margin(&mut self, order: &Order, price: Decimal, amount: Decimal) -> Result<(), Reject> {
        let write = |exchange: &mut Self, price: Option<Decimal>, amount: Decimal| {
            if let Some(order) = exchange.orders.get_mut(order.id) {
                (order.price, order.amount) = (price, amount);
            }
        };
        let (_, contract) = self.contract(&order.symbol).ok_or(Reject::NoContract)?;
        let contract = contract.clone();
        let available =
            |exchange: &Self| exchange.unspent_margin(order.account, &contract.collateral).available;
        let before = available(self);
        // An amount below what is filled ends the order, and then asks for nothing.
        write(self, Some(price), amount.max(order.filled));
        let after = available(self);
        if order.reduces() || after >= before {
            write(self, Some(price), amount);
            return Ok(());
        }
        let mark = self.perpetual.mark(&order.symbol);
        let dearer = if order.side == Side::Buy { price - mark } else { mark - price };
        let loss = dearer.max(Decimal::ZERO) * (amount - order.filled).max(Decimal::ZERO);
        let leverage = self.market_settings(order.account, &order.symbol).map(|settings| settings.leverage);
        let most = contract.largest_notional(leverage.unwrap_or(Decimal::ONE));
        let too_large = self.largest(order.account, &order.symbol, None) > most;
        if too_large || after < loss {
            write(self, order.price, order.amount);
            return Err(if too_large { Reject::PositionLimit } else { Reject::InsufficientMargin });
        }
        write(self, Some(price), amount);
        Ok(())
    }

    /// Matches an order that has just been taken off the book, and lets its rest go back there.
    fn match_again(&mut self, id: u64, turn: &mut super::placing::Turn) {
        let Some(order) = self.orders.get(id).cloned() else { return };
        if order.remaining() <= Decimal::ZERO {
            // What is filled cannot be taken back: the order was for no more than that.
            if let Some(order) = self.orders.get_mut(id) {
                order.amount = order.amount.max(order.filled);
            }
            return self.end(id, OrderState::Cancelled, EndReason::Requested, What::Expired, turn);
        }
        let mut rest = order.remaining();
        if order.reduces() {
            let held = self.reducible(order.account, &order.symbol, order.position_side, order.side);
            rest = rest.min(held);
        }
        let Some(market) = self.markets.get(&order.symbol) else { return };
        let plan = market.book.plan(&Incoming {
            account: order.account,
            side: order.side,
            limit: order.price,
            want: Want::Base(rest),
            self_trade: order.self_trade,
        });
        let meets_someone = !plan.steps.is_empty() || plan.taker_expires;
        if order.order_type == OrderType::LimitMaker && meets_someone {
            return self.end(id, OrderState::Cancelled, EndReason::WouldTake, What::Expired, turn);
        }
        let wanted = Some(order.filled + rest);
        let plan = self.sweep(id, plan, wanted, turn);
        let ticket = Ticket {
            price: order.price,
            amount: order.amount,
            quote_amount: None,
            time_in_force: order.time_in_force,
            self_trade: order.self_trade,
            wanted,
            plan,
        };
        self.finish(id, &ticket, turn);
    }
}
