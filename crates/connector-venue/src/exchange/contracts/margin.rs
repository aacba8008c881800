//! How much margin positions and orders ask for, and how much there is.

use std::collections::BTreeSet;

use connector_core::order::{OrderType, Side};
use connector_core::position::{PositionMode, PositionSide};
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use super::super::{Exchange, Market};
use crate::ledger::MOST_DIGITS;
use crate::matching::Plan;
use crate::orders::{AccountId, Order, Reject, Submit};
use crate::perpetual::{ContractSetup, Leg, MarginMode, MarginView, MarketSettings, Position, PositionView};

/// Initial margin of one market.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    position: Decimal,
    orders: Decimal,
}

/// Value of open orders that can make a position larger.
#[derive(Clone, Copy, Debug, Default)]
struct Notionals {
    bid: Decimal,
    ask: Decimal,
}

impl Notionals {
    fn add(&mut self, side: Side, notional: Decimal) {
        match side {
            Side::Buy => self.bid += notional,
            Side::Sell => self.ask += notional,
        }
    }
}

impl Exchange {
    /// The account's leverage and margin mode of a contract, chosen or not.
    #[must_use]
    pub fn market_settings(&self, account: AccountId, symbol: &str) -> Option<MarketSettings> {
        let (_, contract) = self.contract(symbol)?;
        let chosen = self.holder(account).and_then(|holder| holder.settings.get(symbol)).copied();
        Some(chosen.unwrap_or_else(|| MarketSettings {
            leverage: self.perpetual.setup.default_leverage.min(contract.max_leverage()),
            margin_mode: MarginMode::Cross,
        }))
    }

    /// The account's positions in its present mode, flat ones included: of one contract, or of all listed ones.
    #[must_use]
    pub fn positions(&self, account: AccountId, symbol: Option<&str>) -> Vec<PositionView> {
        let sides = match self.position_mode(account) {
            PositionMode::OneWay => &[PositionSide::Both][..],
            PositionMode::Hedge => &[PositionSide::Long, PositionSide::Short],
        };
        let listed = self.markets().into_iter().filter(|market| market.contract.is_some());
        let wanted = listed.filter(|market| symbol.is_none_or(|symbol| market.symbol == symbol));
        let legs = wanted.flat_map(|market| sides.iter().map(move |side| (&market.symbol, *side)));
        legs.filter_map(|(symbol, side)| self.position(account, symbol, side)).collect()
    }

    /// A position, or a leg of one; flat if the account has none. `None` if there is no such contract.
    #[must_use]
    pub fn position(&self, account: AccountId, symbol: &str, side: PositionSide) -> Option<PositionView> {
        let (market, contract) = self.contract(symbol)?;
        let settings = self.market_settings(account, symbol)?;
        let position = self.holder(account).map(|h| h.position(symbol, side)).unwrap_or_default();
        let mark = self.perpetual.mark(symbol);
        let orders = self.order_notionals(account, symbol, side, None);
        let demand = demand_of(side, position.notional(mark), orders, settings.leverage);
        let notional = position.notional(mark);
        Some(PositionView {
            account,
            symbol: market.setup.symbol.clone(),
            side,
            amount: position.amount,
            entry_price: position.entry_price(),
            break_even: position.break_even(),
            mark_price: mark,
            liquidation_price: self.liquidation_price(account, symbol, side),
            unrealised: position.unrealised(mark).normalize(),
            realised: position.realised.normalize(),
            notional: notional.normalize(),
            leverage: settings.leverage,
            margin_mode: settings.margin_mode,
            isolated_wallet: position.isolated.normalize(),
            initial_margin: demand.position.normalize(),
            order_margin: demand.orders.normalize(),
            maintenance_margin: contract.maintenance(notional.abs()).normalize(),
            bid_notional: orders.bid.normalize(),
            ask_notional: orders.ask.normalize(),
            deleverage_rank: self.deleverage_rank(account, symbol, side),
            collateral: contract.collateral.clone(),
            updated: position.updated,
        })
    }

    /// The account's margin of every collateral asset, by name.
    #[must_use]
    pub fn margins(&self, account: AccountId) -> Vec<MarginView> {
        self.collaterals().iter().map(|asset| self.margin(account, asset)).collect()
    }

    /// The account's margin of one collateral asset.
    #[must_use]
    pub fn margin(&self, account: AccountId, asset: &Asset) -> MarginView {
        let mut view = self.unspent_margin(account, asset);
        view.available = view.available.max(Decimal::ZERO).normalize();
        view.withdrawable = view.available.min(view.cross_wallet).max(Decimal::ZERO);
        view
    }

    /// The same with what is available as it comes out, even below zero.
    pub(in crate::exchange) fn unspent_margin(&self, account: AccountId, asset: &Asset) -> MarginView {
        let (wallet, cross_wallet) = self.wallets(account, asset);
        let zero = Decimal::ZERO;
        let mut view = MarginView {
            asset: asset.clone(),
            wallet,
            cross_wallet,
            unrealised: zero,
            cross_unrealised: zero,
            margin_balance: zero,
            position_margin: zero,
            order_margin: zero,
            maintenance_margin: zero,
            available: zero,
            withdrawable: zero,
            updated: self.balances_changed(account),
        };
        let mut used = zero;
        for symbol in self.engaged(account, asset) {
            let Some((_, contract)) = self.contract(&symbol) else { continue };
            let cross = self.is_cross(account, &symbol);
            let demand = self.demand(account, &symbol, None);
            for (_, position) in self.legs(account, &symbol) {
                let mark = self.perpetual.mark(&symbol);
                let unrealised = position.unrealised(mark);
                view.unrealised += unrealised;
                view.cross_unrealised += if cross { unrealised } else { zero };
                view.maintenance_margin += contract.maintenance(position.notional(mark).abs());
            }
            view.position_margin += demand.position;
            view.order_margin += demand.orders;
            used += demand.orders + if cross { demand.position } else { zero };
        }
        view.margin_balance = wallet + view.unrealised;
        view.available = cross_wallet + view.cross_unrealised - used;
        view
    }

    /// The account's wallet of an asset, and the part of it that no isolated position has.
    pub(super) fn wallets(&self, account: AccountId, asset: &Asset) -> (Decimal, Decimal) {
        let wallet = self.ledger.balance(account, asset).free;
        let here = |symbol: &str| self.contract(symbol).is_some_and(|(_, c)| c.collateral == *asset);
        let isolated = self.holder(account).map(|holder| holder.isolated(here)).unwrap_or_default();
        (wallet.normalize(), (wallet - isolated).normalize())
    }

    /// What a spot order or a withdrawal may take of an asset: what is free, and no margin.
    pub(in crate::exchange) fn spendable(&self, account: AccountId, asset: &Asset) -> Decimal {
        let free = self.ledger.balance(account, asset).free;
        if account.is_house() || self.engaged(account, asset).is_empty() {
            return free;
        }
        free.min(self.margin(account, asset).withdrawable)
    }

    pub(super) fn is_cross(&self, account: AccountId, symbol: &str) -> bool {
        self.market_settings(account, symbol).is_none_or(|s| s.margin_mode == MarginMode::Cross)
    }

    /// The account's positions on a market that are not flat.
    pub(super) fn legs(&self, account: AccountId, symbol: &str) -> Vec<(Leg, Position)> {
        let open = self.holder(account).into_iter().flat_map(|holder| holder.open());
        open.filter(|((on, _), _)| on == symbol).map(|(leg, position)| (leg.clone(), *position)).collect()
    }

    /// Contracts of a collateral asset on which the account has a position or an open order.
    fn engaged(&self, account: AccountId, asset: &Asset) -> BTreeSet<SmolStr> {
        let held = self.holder(account).into_iter().flat_map(|holder| holder.open());
        let ordered = self.orders.live(account).map(|order| &order.symbol);
        let symbols = held.map(|((symbol, _), _)| symbol).chain(ordered);
        symbols
            .filter(|symbol| self.contract(symbol).is_some_and(|(_, c)| c.collateral == *asset))
            .cloned()
            .collect()
    }

    /// Value of the account's open orders for a position that can make it larger, with one more if given.
    fn order_notionals(
        &self,
        account: AccountId,
        symbol: &str,
        side: PositionSide,
        more: Option<(Side, PositionSide, Decimal)>,
    ) -> Notionals {
        let mut sums = Notionals::default();
        let Some((market, _)) = self.contract(symbol) else { return sums };
        let counts =
            |order: &&Order| order.symbol == symbol && order.position_side == side && !order.reduces();
        for order in self.orders.live(account).filter(counts) {
            if let Some(price) = order.price {
                let assumed = self.assumed_price(market, order.side, price);
                sums.add(order.side, assumed * order.remaining());
            }
        }
        if let Some((order_side, leg, notional)) = more
            && leg == side
        {
            sums.add(order_side, notional);
        }
        sums
    }

    /// The price an order's margin is reckoned by: a seller may well get more than asked for.
    fn assumed_price(&self, market: &Market, side: Side, price: Decimal) -> Decimal {
        match side {
            Side::Buy => price,
            Side::Sell => {
                let bid = market.book.best(Side::Buy).map_or(price, |level| level.price);
                price.max(bid).max(self.perpetual.mark(&market.setup.symbol))
            }
        }
    }

    /// Initial margin of a market, with one more order if given.
    fn demand(
        &self,
        account: AccountId,
        symbol: &str,
        more: Option<(Side, PositionSide, Decimal)>,
    ) -> Demand {
        let mut sum = Demand::default();
        let (Some(settings), mark) = (self.market_settings(account, symbol), self.perpetual.mark(symbol))
        else {
            return sum;
        };
        let holder = self.holder(account);
        let sides = holder.map_or(&[PositionSide::Both][..], |holder| holder.sides());
        for side in sides {
            let position = holder.map(|holder| holder.position(symbol, *side)).unwrap_or_default();
            let orders = self.order_notionals(account, symbol, *side, more);
            let demand = demand_of(*side, position.notional(mark), orders, settings.leverage);
            sum.position += demand.position;
            sum.orders += demand.orders;
        }
        sum
    }

    /// Whether there is margin for an order that does not only reduce, and room under its leverage.
    pub(in crate::exchange) fn check_margin(
        &self,
        account: AccountId,
        submit: &Submit,
        amount: Decimal,
        plan: &Plan,
    ) -> Result<(), Reject> {
        let Some((market, contract)) = self.contract(&submit.symbol) else { return Ok(()) };
        let symbol = &submit.symbol;
        let mark = self.perpetual.mark(symbol);
        // An order of the market type never costs more than what it will meet.
        let (notional, asked, amount) = match submit.price.filter(|_| submit.order_type != OrderType::Market)
        {
            Some(price) => (self.assumed_price(market, submit.side, price) * amount, price * amount, amount),
            None => (plan.cost, plan.cost, plan.filled),
        };
        let more = Some((submit.side, submit.position_side, notional));
        let (before, after) = (self.demand(account, symbol, None), self.demand(account, symbol, more));
        let growth = after.position + after.orders - before.position - before.orders;
        if growth <= Decimal::ZERO {
            return Ok(());
        }
        let Some(settings) = self.market_settings(account, symbol) else { return Ok(()) };
        if self.largest(account, symbol, more) > contract.largest_notional(settings.leverage) {
            return Err(Reject::PositionLimit);
        }
        let loss = match submit.side {
            Side::Buy => asked - amount * mark,
            Side::Sell => amount * mark - asked,
        };
        let available = self.unspent_margin(account, &contract.collateral).available;
        if growth + loss.max(Decimal::ZERO) > available {
            return Err(Reject::InsufficientMargin);
        }
        Ok(())
    }

    /// The largest value a position of the market can come to when its orders are filled.
    pub(in crate::exchange) fn largest(
        &self,
        account: AccountId,
        symbol: &str,
        more: Option<(Side, PositionSide, Decimal)>,
    ) -> Decimal {
        let mark = self.perpetual.mark(symbol);
        let holder = self.holder(account);
        let sides = holder.map_or(&[PositionSide::Both][..], |holder| holder.sides());
        let largest = sides.iter().map(|side| {
            let position = holder.map(|h| h.position(symbol, *side)).unwrap_or_default().notional(mark);
            let orders = self.order_notionals(account, symbol, *side, more);
            (position + orders.bid).abs().max((position - orders.ask).abs())
        });
        largest.max().unwrap_or_default()
    }

    /// The mark price at which the position would be liquidated, all else being as it is.
    fn liquidation_price(&self, account: AccountId, symbol: &str, side: PositionSide) -> Option<Decimal> {
        let (_, contract) = self.contract(symbol)?;
        let position = self.holder(account)?.position(symbol, side);
        if position.amount.is_zero() {
            return None;
        }
        let mark = self.perpetual.mark(symbol);
        let (money, legs) = if self.is_cross(account, symbol) {
            let legs: Vec<Position> = self.legs(account, symbol).into_iter().map(|(_, p)| p).collect();
            let (balance, maintenance) = self.cross_state(account, &contract.collateral);
            // Balance without this market's profit, less what the other markets must keep.
            let own: Decimal = legs.iter().map(|leg| leg.unrealised(mark)).sum();
            let kept: Decimal = legs.iter().map(|leg| contract.maintenance(leg.notional(mark).abs())).sum();
            (balance - own - (maintenance - kept), legs)
        } else {
            (position.isolated, vec![position])
        };
        solve_liquidation(contract, money, &legs, mark)
    }

    /// Margin balance and maintenance margin of all positions held with cross margin.
    pub(super) fn cross_state(&self, account: AccountId, asset: &Asset) -> (Decimal, Decimal) {
        let (_, mut balance) = self.wallets(account, asset);
        let mut maintenance = Decimal::ZERO;
        let open = self.holder(account).into_iter().flat_map(|holder| holder.open());
        for ((symbol, _), position) in open {
            let Some((_, contract)) = self.contract(symbol).filter(|(_, c)| c.collateral == *asset) else {
                continue;
            };
            if self.is_cross(account, symbol) {
                let mark = self.perpetual.mark(symbol);
                balance += position.unrealised(mark);
                maintenance += contract.maintenance(position.notional(mark).abs());
            }
        }
        (balance, maintenance)
    }
}

/// Initial margin of a position and the orders for it.
fn demand_of(side: PositionSide, position: Decimal, orders: Notionals, leverage: Decimal) -> Demand {
    let margin = |notional: Decimal| notional.checked_div(leverage).unwrap_or(notional).round_dp(MOST_DIGITS);
    match side {
        // One side's orders all filled is the worst that can happen: the other side's then close it again.
        PositionSide::Both => {
            let worst = (position + orders.bid).abs().max((position - orders.ask).abs());
            let held = margin(position.abs());
            Demand { position: held, orders: (margin(worst) - held).max(Decimal::ZERO) }
        }
        PositionSide::Long | PositionSide::Short => {
            Demand { position: margin(position.abs()), orders: margin(orders.bid + orders.ask) }
        }
    }
}

/// Where money plus profit comes down to the maintenance margin of the legs.
fn solve_liquidation(
    contract: &ContractSetup,
    money: Decimal,
    legs: &[Position],
    mark: Decimal,
) -> Option<Decimal> {
    let mut price = mark;
    // The bracket depends on the price: a few rounds find both.
    for _ in 0..4 {
        let (mut above, mut below) = (money, Decimal::ZERO);
        for leg in legs {
            let bracket = contract.bracket(leg.notional(price).abs())?;
            above += bracket.maintenance_amount - leg.cost;
            below += leg.amount.abs() * bracket.maintenance_ratio - leg.amount;
        }
        let next = above.checked_div(below)?;
        if next <= Decimal::ZERO || next > mark.checked_mul(Decimal::from(1_000_000))? {
            return None;
        }
        if next == price {
            break;
        }
        price = next;
    }
    Some(price.round_dp(8).normalize())
}
