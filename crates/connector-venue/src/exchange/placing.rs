//! Orders from arrival to end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::{Asset, Decimal};
use smol_str::{SmolStr, ToSmolStr};

use super::contracts::{Booked, ContractFill};
use super::judging::Ticket;
use super::{Exchange, Market};
use crate::ledger::Settlement;
use crate::limits::ScopeKey;
use crate::matching::{Incoming, Plan, Resting, Step, Want};
use crate::news::{BalanceCause, News, PublicTrade, What};
use crate::orders::{
    AccountId, Amount, EndReason, Execution, Order, Origin, Placement, Reject, SelfTrade, Submit, Which,
};

/// Length of the client ids made up for orders and cancels that have none.
const CLIENT_ID_LENGTH: usize = 22;

/// What one request has touched; news of balances, trades and the top of the book follow at its end.
pub(super) struct Turn {
    symbol: SmolStr,
    touched: BTreeMap<AccountId, BTreeSet<Asset>>,
    trades: Vec<PublicTrade>,
    pub(super) executions: Vec<Execution>,
    house_ended: Vec<u64>,
    /// Whether the market is a contract, whose wallets are told fill by fill.
    pub(super) contract: bool,
    /// Whether resting orders have shrunk since matching was planned.
    pub(super) replan: bool,
}

impl Turn {
    fn new(symbol: &str, contract: bool) -> Self {
        Self {
            symbol: SmolStr::new(symbol),
            touched: BTreeMap::new(),
            trades: Vec::new(),
            executions: Vec::new(),
            house_ended: Vec::new(),
            contract,
            replan: false,
        }
    }

    pub(super) fn touch<'a>(&mut self, account: AccountId, assets: impl IntoIterator<Item = &'a Asset>) {
        if !account.is_house() && !self.contract {
            self.touched.entry(account).or_default().extend(assets.into_iter().cloned());
        }
    }
}

/// A trade between two orders, while it is carried out.
#[derive(Clone, Copy)]
struct Match {
    trade_id: u64,
    price: Decimal,
    amount: Decimal,
    taker: u64,
    maker: u64,
    /// Whether this fill can be the taker's last: not if the book is too thin for it.
    taker_can_end: bool,
}

impl Exchange {
    /// Places an order. A FOK or market order without counterparty is taken and expires at once.
    ///
    /// # Errors
    /// The first reason against it; nothing has changed then.
    pub fn place(&mut self, account: AccountId, submit: &Submit) -> Result<Placement, Reject> {
        let mut ticket = match self.judge(account, submit) {
            Ok(ticket) => ticket,
            Err(reject) => {
                self.announce_rejection(account, submit, reject);
                return Err(reject);
            }
        };
        let mut turn = self.turn(&submit.symbol);
        let id = self.accept(account, submit, &ticket, &mut turn);
        if ticket.time_in_force != TimeInForce::Fok || ticket.plan.complete {
            let plan = std::mem::take(&mut ticket.plan);
            ticket.plan = self.sweep(id, plan, ticket.wanted, &mut turn);
        }
        self.finish(id, &ticket, &mut turn);
        if turn.contract {
            self.trim(account, &submit.symbol, submit.position_side, &mut turn);
        }
        let executions = std::mem::take(&mut turn.executions);
        let order = self.orders.get(id).cloned();
        self.close(turn);
        order.map(|order| Placement { order, executions }).ok_or(Reject::UnknownOrder)
    }

    /// Whether [`Exchange::place`] would take the order; changes nothing.
    ///
    /// # Errors
    /// As [`Exchange::place`].
    pub fn check(&self, account: AccountId, submit: &Submit) -> Result<(), Reject> {
        self.judge(account, submit).map(|_| ())
    }

    /// The order that [`Exchange::place`] would take, before anything happens to it and without an id; changes nothing.
    ///
    /// # Errors
    /// As [`Exchange::place`].
    pub fn preview(&self, account: AccountId, submit: &Submit) -> Result<Order, Reject> {
        let ticket = self.judge(account, submit)?;
        let client_id = submit.client_id.clone().unwrap_or_default();
        Ok(self.blank(account, submit, client_id, (ticket.amount, ticket.quote_amount)))
    }

    /// Cancels an order. `cancel_id` is the request's own client id, for the news; made up if absent.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`] unless the order is live; [`Reject::UnknownMarket`].
    pub fn cancel(
        &mut self,
        account: AccountId,
        symbol: &str,
        which: &Which,
        cancel_id: Option<&str>,
    ) -> Result<Order, Reject> {
        let id = self.live_order(account, symbol, which)?;
        let cancel_id = cancel_id.map_or_else(|| self.made_up_id(), SmolStr::new);
        let mut turn = self.turn(symbol);
        self.end(id, OrderState::Cancelled, EndReason::Requested, What::Cancelled { cancel_id }, &mut turn);
        self.close(turn);
        self.orders.get(id).cloned().ok_or(Reject::UnknownOrder)
    }

    /// Cancels all open orders of an account on a market; returns them as they ended, by id.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`] if there are none; [`Reject::UnknownMarket`].
    pub fn cancel_all(&mut self, account: AccountId, symbol: &str) -> Result<Vec<Order>, Reject> {
        self.listed(symbol).ok_or(Reject::UnknownMarket)?;
        let ids: Vec<u64> = self.open_orders(account, Some(symbol)).iter().map(|order| order.id).collect();
        if ids.is_empty() {
            return Err(Reject::UnknownOrder);
        }
        ids.into_iter().map(|id| self.cancel(account, symbol, &Which::Id(id), None)).collect()
    }

    /// Removes an order on the exchange's own account, as [`EndReason::Administrative`].
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`] unless the order is live.
    pub fn expire(&mut self, order_id: u64) -> Result<Order, Reject> {
        let live = self.orders.get(order_id).filter(|order| order.is_live());
        let symbol = live.ok_or(Reject::UnknownOrder)?.symbol.clone();
        let mut turn = self.turn(&symbol);
        self.end(order_id, OrderState::Expired, EndReason::Administrative, What::Expired, &mut turn);
        let order = self.orders.get(order_id).cloned().ok_or(Reject::UnknownOrder);
        self.close(turn);
        order
    }

    pub(super) fn live_order(&self, account: AccountId, symbol: &str, which: &Which) -> Result<u64, Reject> {
        self.listed(symbol).ok_or(Reject::UnknownMarket)?;
        let order = self.orders.find(account, symbol, which).filter(|order| order.is_live());
        order.map(|order| order.id).ok_or(Reject::UnknownOrder)
    }

    fn announce_rejection(&mut self, account: AccountId, submit: &Submit, reject: Reject) {
        if !self.announce_rejections || account.is_house() || !self.ledger.knows(account) {
            return;
        }
        let amounts = match submit.amount {
            Amount::Base(amount) => (amount, None),
            Amount::Quote(amount) => (Decimal::ZERO, Some(amount)),
        };
        let client_id = submit.client_id.clone().unwrap_or_default();
        let mut order = self.blank(account, submit, client_id, amounts);
        order.state = OrderState::Failed;
        self.tell_order(&order, What::Rejected(reject));
    }

    /// The order as it is before anything has happened to it; its id is zero.
    fn blank(
        &self,
        account: AccountId,
        submit: &Submit,
        client_id: SmolStr,
        (amount, quote_amount): (Decimal, Option<Decimal>),
    ) -> Order {
        Order {
            id: 0,
            client_id,
            account,
            symbol: submit.symbol.clone(),
            side: submit.side,
            order_type: submit.order_type,
            time_in_force: submit.time_in_force,
            price: submit.price.filter(|_| submit.order_type != OrderType::Market),
            amount,
            quote_amount,
            filled: Decimal::ZERO,
            filled_quote: Decimal::ZERO,
            state: OrderState::Open,
            reason: None,
            self_trade: submit.self_trade.unwrap_or_default(),
            locked: Decimal::ZERO,
            created: self.now,
            updated: self.now,
            working_since: None,
            position_side: submit.position_side,
            reduce_only: submit.reduce_only,
            origin: Origin::Account,
        }
    }

    fn accept(&mut self, account: AccountId, submit: &Submit, ticket: &Ticket, turn: &mut Turn) -> u64 {
        self.accept_from(account, submit, ticket, Origin::Account, turn)
    }

    fn accept_from(
        &mut self,
        account: AccountId,
        submit: &Submit,
        ticket: &Ticket,
        origin: Origin,
        turn: &mut Turn,
    ) -> u64 {
        let client_id = match &submit.client_id {
            Some(id) => id.clone(),
            None if account.is_house() => SmolStr::default(),
            None => self.made_up_id(),
        };
        let order = Order {
            id: self.next_order_id,
            price: ticket.price,
            time_in_force: ticket.time_in_force,
            self_trade: ticket.self_trade,
            working_since: Some(self.now),
            origin,
            ..self.blank(account, submit, client_id, (ticket.amount, ticket.quote_amount))
        };
        self.next_order_id += 1;
        let id = order.id;
        self.tell_order(&order, What::New);
        if let Some(market) = self.markets.get(&submit.symbol) {
            turn.touch(account, [&market.setup.base, &market.setup.quote]);
        }
        self.orders.insert(order);
        id
    }

    fn made_up_id(&mut self) -> SmolStr {
        self.client_ids.text(CLIENT_ID_LENGTH).to_smolstr()
    }

    fn carry_out(&mut self, taker: u64, step: Step, taker_can_end: bool, turn: &mut Turn) {
        let (maker, price, amount) = match step {
            Step::Fill { maker, price, amount } => (maker.order_id, price, amount),
            Step::ExpireMaker { maker, .. } => {
                let (state, reason) = (OrderState::Expired, EndReason::SelfTrade);
                return self.end(maker.order_id, state, reason, What::Expired, turn);
            }
        };
        let Some(side) = self.orders.get(taker).map(|order| order.side) else { return };
        let Some(market) = self.markets.get_mut(&turn.symbol) else { return };
        let trade_id = market.take_trade_id();
        let left = market.book.reduce(side.opposite(), price, maker, amount);
        let buys = side == Side::Buy;
        let trade = PublicTrade {
            symbol: turn.symbol.clone(),
            id: trade_id,
            price,
            amount,
            buyer_order_id: if buys { taker } else { maker },
            seller_order_id: if buys { maker } else { taker },
            is_buyer_maker: !buys,
            time: self.now,
        };
        market.record(trade.clone());
        turn.trades.push(trade);
        let matched = Match { trade_id, price, amount, taker, maker, taker_can_end };
        self.fill(matched, false, turn);
        self.fill(matched, true, turn);
        if turn.contract {
            if left.is_none_or(|left| left.is_zero()) {
                // The book had less of it than was asked for: there was no more to reduce.
                self.end(maker, OrderState::Expired, EndReason::ReduceOnly, What::Expired, turn);
            }
            self.trim_both(taker, maker, turn);
        }
    }

    fn trim_both(&mut self, taker: u64, maker: u64, turn: &mut Turn) {
        let symbol = turn.symbol.clone();
        for id in [taker, maker] {
            if let Some((account, leg)) =
                self.orders.get(id).map(|order| (order.account, order.position_side))
            {
                self.trim(account, &symbol, leg, turn);
            }
        }
    }

    /// Carries a plan out, and plans anew whenever resting orders have shrunk meanwhile. Returns the plan that came to its
    /// end, without steps.
    pub(super) fn sweep(
        &mut self,
        id: u64,
        mut plan: Plan,
        wanted: Option<Decimal>,
        turn: &mut Turn,
    ) -> Plan {
        let can_end = wanted.is_some() || plan.complete;
        turn.replan = false;
        let mut steps = VecDeque::from(std::mem::take(&mut plan.steps));
        while let Some(step) = steps.pop_front() {
            self.carry_out(id, step, can_end, turn);
            if !std::mem::take(&mut turn.replan) {
                continue;
            }
            let (Some(wanted), Some(order)) = (wanted, self.orders.get(id)) else { continue };
            let Some(market) = self.markets.get(&turn.symbol) else { continue };
            plan = market.book.plan(&Incoming {
                account: order.account,
                side: order.side,
                limit: order.price,
                want: Want::Base(wanted - order.filled),
                self_trade: order.self_trade,
            });
            steps = VecDeque::from(std::mem::take(&mut plan.steps));
        }
        plan
    }

    /// Takes an order of the exchange itself without judging it; it never rests.
    pub(super) fn accept_forced(
        &mut self,
        account: AccountId,
        submit: &Submit,
        origin: Origin,
        turn: &mut Turn,
    ) -> u64 {
        let Amount::Base(amount) = submit.amount else { return 0 };
        let ticket = Ticket {
            price: submit.price,
            amount,
            quote_amount: None,
            time_in_force: submit.time_in_force,
            self_trade: SelfTrade::ExpireMaker,
            wanted: Some(amount),
            plan: Plan::default(),
        };
        self.accept_from(account, submit, &ticket, origin, turn)
    }

    /// Trades two orders with each other outside the book. The public is not told, and the last price stays.
    pub(super) fn trade_between(
        &mut self,
        taker: u64,
        maker: u64,
        price: Decimal,
        amount: Decimal,
        turn: &mut Turn,
    ) {
        let Some(market) = self.markets.get_mut(&turn.symbol) else { return };
        let trade_id = market.take_trade_id();
        let matched = Match { trade_id, price, amount, taker, maker, taker_can_end: true };
        self.fill(matched, false, turn);
        self.fill(matched, true, turn);
        self.trim_both(taker, maker, turn);
    }

    pub(super) fn turn(&self, symbol: &str) -> Turn {
        let market = self.markets.get(symbol);
        Turn::new(symbol, market.is_some_and(|market| market.setup.contract.is_some()))
    }

    /// One side of a trade: its money, its order, its record.
    fn fill(&mut self, matched: Match, is_maker: bool, turn: &mut Turn) {
        let Match { trade_id, price, amount, .. } = matched;
        let (id, counter) =
            if is_maker { (matched.maker, matched.taker) } else { (matched.taker, matched.maker) };
        let Some(counter_account) = self.orders.get(counter).map(|order| order.account) else { return };
        let cost = price * amount;
        let Some(Booked { commission, commission_asset, realised }) = self.book(id, matched, is_maker, turn)
        else {
            return;
        };
        let Some(market) = self.markets.get(&turn.symbol) else { return };
        let Some(order) = self.orders.get_mut(id) else { return };
        let first = order.filled.is_zero();
        order.filled += amount;
        order.filled_quote += cost;
        order.updated = self.now;
        let ended = order.filled == order.amount && (is_maker || matched.taker_can_end);
        order.state = if ended { OrderState::Filled } else { OrderState::PartiallyFilled };
        if is_maker && !turn.contract {
            order.locked -= if order.side == Side::Buy { cost } else { amount };
        }
        let order = order.clone();
        if ended {
            self.orders.end(order.account, id);
        }
        if order.account.is_house() {
            turn.house_ended.extend(ended.then_some(id));
            return;
        }
        let execution = Execution {
            trade_id,
            execution_id: self.next_execution_id,
            order_id: id,
            client_id: order.client_id.clone(),
            symbol: turn.symbol.clone(),
            side: order.side,
            price,
            amount,
            quote: cost,
            commission,
            commission_asset,
            is_maker,
            time: self.now,
            counter_order_id: counter,
            counter_account,
            position_side: order.position_side,
            realised_pnl: realised,
        };
        self.next_execution_id += 1;
        turn.touch(order.account, [&market.setup.base, &market.setup.quote, &execution.commission_asset]);
        self.ledger.record(order.account, execution.clone());
        if first {
            self.credit_order(order.account, is_maker);
        }
        if !is_maker {
            turn.executions.push(execution.clone());
        }
        self.tell_order(&order, What::Trade(execution));
    }

    /// The money of one side of a trade.
    fn book(&mut self, id: u64, matched: Match, is_maker: bool, turn: &Turn) -> Option<Booked> {
        let Match { trade_id, price, amount, .. } = matched;
        let order = self.orders.get(id)?;
        let (account, side) = (order.account, order.side);
        if turn.contract {
            return self.book_fill(&ContractFill {
                account,
                symbol: &turn.symbol,
                leg: order.position_side,
                side,
                price,
                amount,
                is_maker,
                origin: order.origin,
                trade_id,
            });
        }
        let market = self.markets.get(&turn.symbol)?;
        let (commission, commission_asset) = self.ledger.settle(&Settlement {
            account,
            symbol: &turn.symbol,
            base: &market.setup.base,
            quote: &market.setup.quote,
            side,
            amount,
            cost: price * amount,
            is_maker,
        });
        Some(Booked { commission, commission_asset, realised: Decimal::ZERO })
    }

    fn credit_order(&mut self, account: AccountId, is_maker: bool) {
        let policy = &self.order_count;
        let units = if is_maker { policy.first_fill_maker } else { policy.first_fill_taker };
        for pool in &policy.pools {
            self.limits.credit(pool, ScopeKey::Account(account), units, self.now);
        }
    }

    /// What becomes of the part of a new order that did not trade.
    pub(super) fn finish(&mut self, id: u64, ticket: &Ticket, turn: &mut Turn) {
        let Some(order) = self.orders.get_mut(id).filter(|order| order.is_live()) else { return };
        let (account, side, leg) = (order.account, order.side, order.position_side);
        let reduces = order.reduces();
        let held = if reduces { self.reducible(account, &turn.symbol, leg, side) } else { Decimal::ZERO };
        let Some(order) = self.orders.get_mut(id) else { return };
        let reason = match (order.order_type, ticket.time_in_force) {
            _ if reduces && held.is_zero() => Some(EndReason::ReduceOnly),
            (OrderType::Market, _) if ticket.plan.taker_expires => Some(EndReason::SelfTrade),
            (OrderType::Market, _) => Some(EndReason::NoLiquidity),
            (_, TimeInForce::Fok) => Some(EndReason::FillOrKill),
            _ if ticket.plan.taker_expires => Some(EndReason::SelfTrade),
            (_, TimeInForce::Ioc) => Some(EndReason::ImmediateOrCancel),
            (_, TimeInForce::Gtc) => None,
        };
        if let Some(reason) = reason {
            return self.end(id, OrderState::Expired, reason, What::Expired, turn);
        }
        let (Some(price), Some(market)) = (order.price, self.markets.get_mut(&turn.symbol)) else { return };
        let mut remaining = order.remaining();
        if reduces {
            remaining = remaining.min(held);
        } else if !turn.contract {
            let (asset, locked) = match order.side {
                Side::Buy => (&market.setup.quote, price * remaining),
                Side::Sell => (&market.setup.base, remaining),
            };
            order.locked = locked;
            self.ledger.lock(order.account, asset, locked);
        }
        let resting = Resting { order_id: id, account: order.account, remaining };
        market.book.rest(order.side, price, resting);
    }

    /// Ends a live order: off the book, money free again, told.
    pub(super) fn end(&mut self, id: u64, state: OrderState, reason: EndReason, what: What, turn: &mut Turn) {
        let Some(market) = self.markets.get_mut(&turn.symbol) else { return };
        let Some(order) = self.orders.get_mut(id).filter(|order| order.is_live()) else { return };
        let (base, quote) = (&market.setup.base, &market.setup.quote);
        if let Some(price) = order.price
            && let Some(resting) = market.book.resting(order.side, price, id)
        {
            market.book.reduce(order.side, price, id, resting);
            if !turn.contract {
                let asset = if order.side == Side::Buy { quote } else { base };
                self.ledger.unlock(order.account, asset, order.locked);
                order.locked = Decimal::ZERO;
            }
        }
        order.state = state;
        order.reason = Some(reason);
        order.updated = self.now;
        turn.touch(order.account, [base, quote]);
        let order = order.clone();
        self.orders.end(order.account, id);
        if order.account.is_house() {
            turn.house_ended.push(id);
        }
        self.tell_order(&order, what);
    }

    /// Ends a request: tells balances, trades and the top of the book.
    pub(super) fn close(&mut self, turn: Turn) {
        let time = self.now;
        for (account, assets) in turn.touched {
            self.ledger.stamp(account, time);
            let balances = assets
                .into_iter()
                .map(|asset| (asset.clone(), self.ledger.balance(account, &asset)))
                .collect();
            self.tell(News::Balances { time, account, balances, cause: BalanceCause::Order });
        }
        for trade in turn.trades {
            self.tell(News::Trade(trade));
        }
        if let Some(best) = self.markets.get_mut(&turn.symbol).and_then(Market::tell_best) {
            self.tell(News::Best { time, best });
        }
        for id in turn.house_ended {
            self.orders.remove(id);
        }
    }

    pub(super) fn tell_order(&mut self, order: &Order, what: What) {
        if !order.account.is_house() {
            let order = Box::new(order.clone());
            self.tell(News::Order { time: self.now, account: order.account, order, what });
        }
    }
}
