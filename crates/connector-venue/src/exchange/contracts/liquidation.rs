//! What the exchange closes by itself: positions without margin, their counterparties, delisted contracts.

use std::cmp::Reverse;

use connector_core::order::{OrderState, Side, TimeInForce};
use connector_core::position::PositionSide;
use connector_core::{Asset, Decimal};
use smol_str::{SmolStr, format_smolstr};

use super::super::Exchange;
use super::super::placing::Turn;
use crate::matching::{Incoming, Want};
use crate::news::{News, What};
use crate::orders::{AccountId, Amount, EndReason, Order, Origin, Reject, SelfTrade, Submit};
use crate::perpetual::{AccountCause, Income, IncomeKind, Leg, LiquidationView, PositionView};

/// How often margins are judged anew because liquidations have changed them; what is left waits for the next mark price.
const ROUNDS: usize = 16;

impl Exchange {
    /// Closes the account's position on a contract at the mark price, as if it were the counterparty of somebody's
    /// liquidation. Its open orders there are cancelled before.
    ///
    /// # Errors
    /// [`Reject::NoPosition`]; [`Reject::NoContract`].
    pub fn deleverage(&mut self, account: AccountId, symbol: &str) -> Result<(), Reject> {
        self.contract(symbol).ok_or(Reject::NoContract)?;
        let legs = self.legs(account, symbol);
        if legs.is_empty() || account.is_house() {
            return Err(Reject::NoPosition);
        }
        self.cancel_for(account, symbol, EndReason::Deleveraged);
        for ((symbol, side), position) in legs {
            let price = self.perpetual.mark(&symbol);
            let mut turn = self.turn(&symbol);
            self.force(account, &(symbol, side), position.amount.abs(), price, Origin::Deleverage, &mut turn);
            self.close(turn);
        }
        Ok(())
    }

    /// Whether the insurance fund of an asset takes over what liquidations leave; counterparties are deleveraged otherwise,
    /// as they are when the fund has no money.
    pub fn exhaust_insurance_fund(&mut self, asset: &Asset, exhausted: bool) {
        if exhausted {
            self.perpetual.exhausted.insert(asset.clone());
        } else {
            self.perpetual.exhausted.remove(asset);
        }
    }

    /// The account's place in the queue of those who are deleveraged on its side of a contract, 0 (last) to 4 (first).
    #[must_use]
    pub fn deleverage_rank(&self, account: AccountId, symbol: &str, side: PositionSide) -> u8 {
        let position = self.holder(account).map(|h| h.position(symbol, side)).unwrap_or_default();
        if position.amount.is_zero() {
            return 0;
        }
        let queue = self.deleverage_queue(symbol, position.amount > Decimal::ZERO);
        let Some(place) = queue.iter().position(|(who, leg, _)| *who == account && leg.1 == side) else {
            return 0;
        };
        u8::try_from(4 - 5 * place / queue.len()).unwrap_or(0)
    }

    /// Those who hold one side of a contract, most profitable and most leveraged first.
    fn deleverage_queue(&self, symbol: &str, long: bool) -> Vec<(AccountId, Leg, Decimal)> {
        let Some((market, contract)) = self.contract(symbol) else { return Vec::new() };
        let mark = self.perpetual.mark(symbol);
        let holders = self.holders_of(&market.setup.symbol).into_iter();
        let side = holders.filter(|(who, _, amount)| !who.is_house() && (*amount > Decimal::ZERO) == long);
        let mut queue: Vec<_> = side
            .map(|(account, leg, amount)| {
                let position = self.holder(account).map(|h| h.position(symbol, leg.1)).unwrap_or_default();
                let (balance, maintenance) = self.cross_state(account, &contract.collateral);
                let (wallet, _) = self.wallets(account, &contract.collateral);
                let profit = position.unrealised(mark).max(Decimal::ZERO) / wallet.max(Decimal::ONE);
                let leverage = maintenance / balance.max(Decimal::ONE);
                (Reverse((profit * leverage).round_dp(12)), (account, leg, amount))
            })
            .collect();
        queue.sort();
        queue.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Liquidates what has too little margin, and warns of what nearly has.
    pub(in crate::exchange) fn judge_margins(&mut self) {
        let holders = self.perpetual.holders.keys();
        let accounts: Vec<AccountId> = holders.filter(|account| !account.is_house()).copied().collect();
        let assets = self.collaterals();
        // A liquidation trades with resting orders, which may leave somebody judged before with too little.
        for _ in 0..ROUNDS {
            let mut calm = true;
            for account in &accounts {
                for asset in &assets {
                    calm &= !self.judge_account(*account, asset);
                }
            }
            if calm {
                break;
            }
        }
        for account in &accounts {
            for asset in &assets {
                self.warn(*account, asset);
            }
        }
    }

    /// Liquidates what one account has too little margin for. Whether there was any such.
    fn judge_account(&mut self, account: AccountId, asset: &Asset) -> bool {
        let isolated = self.judge_isolated(account, asset);
        let (balance, maintenance) = self.cross_state(account, asset);
        if maintenance > Decimal::ZERO && balance <= maintenance {
            self.liquidate_cross(account, asset);
            return true;
        }
        if maintenance.is_zero() && balance < Decimal::ZERO {
            // Orders that only reduce are taken without margin, so their fills can leave a debt.
            self.move_insurance(account, None, PositionSide::Both, asset, -balance);
        }
        isolated
    }

    fn judge_isolated(&mut self, account: AccountId, asset: &Asset) -> bool {
        let mut any = false;
        for (leg, view) in self.views(account, asset, false) {
            let balance = view.isolated_wallet + view.unrealised;
            if balance > view.maintenance_margin {
                continue;
            }
            self.cancel_for(account, &leg.0, EndReason::Liquidated);
            let filled = self.liquidate(account, &leg, balance);
            // What was set aside and is left is the position's own: nothing else stands in for it, and nothing else has it.
            let spent = self.settled_gain(account, &leg, &view);
            self.charge_liquidation(account, &leg, filled, view.isolated_wallet + spent);
            any = true;
        }
        any
    }

    /// Profit an isolated position has made since it was seen as `view`.
    fn settled_gain(&self, account: AccountId, leg: &Leg, view: &PositionView) -> Decimal {
        let position = self.holder(account).map(|h| h.position(&leg.0, leg.1)).unwrap_or_default();
        position.realised - view.realised
    }

    fn liquidate_cross(&mut self, account: AccountId, asset: &Asset) {
        let mut views = self.views(account, asset, true);
        for (leg, _) in &views {
            self.cancel_for(account, &leg.0, EndReason::Liquidated);
        }
        // Largest first: the fewest positions are closed before the margin of the rest suffices again.
        views.sort_by_key(|(_, view)| Reverse(view.maintenance_margin));
        for (leg, _) in views {
            let (balance, maintenance) = self.cross_state(account, asset);
            if balance > maintenance {
                return;
            }
            let filled = self.liquidate(account, &leg, balance);
            let (balance, _) = self.cross_state(account, asset);
            self.charge_liquidation(account, &leg, filled, balance);
        }
    }

    /// Positions with cross margin, or without, that are not flat.
    fn views(&self, account: AccountId, asset: &Asset, cross: bool) -> Vec<(Leg, PositionView)> {
        let open = self.holder(account).into_iter().flat_map(|holder| holder.open());
        let legs = open.filter(|((symbol, _), _)| {
            let here = self.contract(symbol).is_some_and(|(_, c)| c.collateral == *asset);
            here && self.is_cross(account, symbol) == cross
        });
        legs.filter_map(|(leg, _)| Some((leg.clone(), self.position(account, &leg.0, leg.1)?))).collect()
    }

    /// Closes a position whose margin is worth `balance` at the price at which nothing of it is left, or better. Returns the
    /// value of what was closed.
    fn liquidate(&mut self, account: AccountId, leg: &Leg, balance: Decimal) -> Decimal {
        let position = self.holder(account).map(|h| h.position(&leg.0, leg.1)).unwrap_or_default();
        let market = self.contract(&leg.0).filter(|_| !position.amount.is_zero());
        let Some((market, _)) = market else { return Decimal::ZERO };
        let tick = market.setup.rules.tick;
        let loss = balance.checked_div(position.amount).unwrap_or_default();
        let ticks = (self.perpetual.mark(&leg.0) - loss) / tick;
        // Rounded in the account's favour, so that it never ends up owing.
        let ticks = if position.amount > Decimal::ZERO { ticks.ceil() } else { ticks.floor() };
        let price = ticks.max(Decimal::ONE) * tick;
        let mut turn = self.turn(&leg.0);
        let order = self.force(account, leg, position.amount.abs(), price, Origin::Liquidation, &mut turn);
        self.close(turn);
        let Some(order) = order else { return Decimal::ZERO };
        let filled = order.filled_quote;
        self.tell(News::Liquidation(LiquidationView { time: self.now, order: Box::new(order) }));
        filled
    }

    /// The fee of a liquidation, as far as `left` goes; a debt is the insurance fund's.
    fn charge_liquidation(&mut self, account: AccountId, leg: &Leg, filled: Decimal, left: Decimal) {
        let Some((_, contract)) = self.contract(&leg.0) else { return };
        let asset = contract.collateral.clone();
        let fee = self.ledger.rounded(filled * contract.liquidation_fee);
        let amount = if left < Decimal::ZERO { -left } else { -fee.min(left) };
        self.move_insurance(account, Some(&leg.0), leg.1, &asset, amount);
    }

    /// Moves money from the insurance fund to an account (positive) or back.
    fn move_insurance(
        &mut self,
        account: AccountId,
        symbol: Option<&SmolStr>,
        side: PositionSide,
        asset: &Asset,
        amount: Decimal,
    ) {
        if amount.is_zero() {
            return;
        }
        self.ledger.gain(account, asset, amount);
        self.ledger.gain(AccountId::INSURANCE, asset, -amount);
        self.record_income(account, Income::of(IncomeKind::Insurance, symbol, side, asset, amount));
        self.tell_account(account, AccountCause::Insurance, symbol, &[(asset.clone(), amount)], &[]);
    }

    fn cancel_for(&mut self, account: AccountId, symbol: &str, reason: EndReason) {
        let open = self.open_orders(account, Some(symbol)).into_iter();
        let ids: Vec<u64> = open.map(|order| order.id).collect();
        let mut turn = self.turn(symbol);
        for id in ids {
            self.end(id, OrderState::Expired, reason, What::Expired, &mut turn);
        }
        self.close(turn);
    }

    /// Closes `amount` of a position by an order of the exchange. A liquidation first takes what the book has at `price` or
    /// better; what is left goes over at `price` to the insurance fund, to counterparties or to the rest of the world.
    fn force(
        &mut self,
        account: AccountId,
        leg: &Leg,
        amount: Decimal,
        price: Decimal,
        origin: Origin,
        turn: &mut Turn,
    ) -> Option<Order> {
        let position = self.holder(account)?.position(&leg.0, leg.1);
        let side = if position.amount > Decimal::ZERO { Side::Sell } else { Side::Buy };
        let id = self.forced_order(account, leg, side, amount, price, origin, turn);
        if origin == Origin::Liquidation {
            let book = &self.listed(&leg.0)?.book;
            let want = Want::Base(amount);
            let plan = book.plan(&Incoming {
                account,
                side,
                limit: Some(price),
                want,
                self_trade: SelfTrade::ExpireMaker,
            });
            self.sweep(id, plan, Some(amount), turn);
            self.take_over(id, leg, price, turn);
        }
        let left = self.orders.get(id).map(Order::remaining)?;
        if left > Decimal::ZERO {
            self.trade_privately(id, AccountId::HOUSE_MAKER, &leg.0, price, left, turn);
        }
        self.orders.get(id).cloned()
    }

    /// Finds who takes over the rest of a liquidation order.
    fn take_over(&mut self, id: u64, leg: &Leg, price: Decimal, turn: &mut Turn) {
        let Some((side, left)) = self.orders.get(id).map(|order| (order.side, order.remaining())) else {
            return;
        };
        let Some((_, contract)) = self.contract(&leg.0).filter(|_| left > Decimal::ZERO) else { return };
        let asset = contract.collateral.clone();
        if !self.perpetual.exhausted.contains(&asset) && self.insurance_fund(&asset) > Decimal::ZERO {
            return self.trade_privately(id, AccountId::INSURANCE, &leg.0, price, left, turn);
        }
        // A sale closes those who are short.
        let queue = self.deleverage_queue(&leg.0, side == Side::Buy);
        let own = self.orders.get(id).map(|order| order.account);
        for (counter, other, held) in queue.into_iter().filter(|(counter, ..)| Some(*counter) != own) {
            let Some(left) = self.orders.get(id).map(Order::remaining).filter(|left| !left.is_zero()) else {
                return;
            };
            let amount = left.min(held.abs());
            let open = self.open_orders(counter, Some(&leg.0)).into_iter();
            let ids: Vec<u64> = open.map(|order| order.id).filter(|open| *open != id).collect();
            for open in ids {
                self.end(open, OrderState::Expired, EndReason::Deleveraged, What::Expired, turn);
            }
            let opposite = side.opposite();
            let forced =
                self.forced_order(counter, &other, opposite, amount, price, Origin::Deleverage, turn);
            self.trade_between(id, forced, price, amount, turn);
        }
    }

    /// An order of the exchange for an account; it is taken without being judged.
    #[expect(clippy::too_many_arguments, reason = "an order has as many features")]
    fn forced_order(
        &mut self,
        account: AccountId,
        leg: &Leg,
        side: Side,
        amount: Decimal,
        price: Decimal,
        origin: Origin,
        turn: &mut Turn,
    ) -> u64 {
        let setup = &self.perpetual.setup;
        let prefix = match origin {
            Origin::Deleverage => &setup.deleverage_prefix,
            Origin::Settlement => &setup.settlement_prefix,
            Origin::Liquidation | Origin::Account => &setup.liquidation_prefix,
        };
        let submit = Submit {
            amount: Amount::Base(amount),
            ..Submit::limit(&leg.0, side, price, amount)
                .client_id(format_smolstr!("{prefix}{}", self.next_order_id))
                .time_in_force(TimeInForce::Ioc)
                .position_side(leg.1)
        };
        self.accept_forced(account, &submit, origin, turn)
    }

    /// Trades an order of the exchange with one of its own accounts, outside the book.
    fn trade_privately(
        &mut self,
        id: u64,
        counter: AccountId,
        symbol: &SmolStr,
        price: Decimal,
        amount: Decimal,
        turn: &mut Turn,
    ) {
        let Some(side) = self.orders.get(id).map(|order| order.side.opposite()) else { return };
        let submit = Submit::limit(symbol, side, price, amount).time_in_force(TimeInForce::Ioc);
        let other = self.accept_forced(counter, &submit, Origin::Account, turn);
        self.trade_between(id, other, price, amount, turn);
    }

    /// Closes everybody's positions on a contract at the mark price, because it is delisted.
    pub(in crate::exchange) fn settle_contract(&mut self, symbol: &str) {
        let Some((market, _)) = self.contract(symbol) else { return };
        let symbol = market.setup.symbol.clone();
        let price = self.perpetual.mark(&symbol);
        let holders = self.holders_of(&symbol);
        for (account, leg, amount) in holders.into_iter().filter(|(account, ..)| !account.is_house()) {
            let mut turn = self.turn(&symbol);
            self.force(account, &leg, amount.abs(), price, Origin::Settlement, &mut turn);
            self.close(turn);
        }
        // What is left is the exchange's own, on both sides: it settles with itself without being told to anybody.
        for (account, leg, amount) in self.holders_of(&symbol) {
            let now = self.now;
            let position = self.perpetual.holder(account).positions.entry(leg).or_default();
            let change = position.take(-amount, price, now);
            if let Some((_, contract)) = self.contract(&symbol) {
                let asset = contract.collateral.clone();
                self.ledger.gain(account, &asset, change.realised);
            }
        }
    }

    /// Tells a margin call once, until the margin suffices again.
    fn warn(&mut self, account: AccountId, asset: &Asset) {
        let ratio = self.perpetual.setup.margin_call_ratio;
        let near = |maintenance: Decimal, balance: Decimal| {
            maintenance > Decimal::ZERO && maintenance >= balance * ratio
        };
        let (balance, maintenance) = self.cross_state(account, asset);
        let cross = near(maintenance, balance);
        let mut positions = Vec::new();
        if cross {
            positions.extend(self.views(account, asset, true).into_iter().map(|(_, view)| view));
        }
        let isolated = self.views(account, asset, false).into_iter().map(|(_, view)| view);
        positions.extend(isolated.filter(|v| near(v.maintenance_margin, v.isolated_wallet + v.unrealised)));
        let called = &mut self.perpetual.holder(account).called;
        if positions.is_empty() {
            called.remove(asset);
        } else if called.insert(asset.clone()) {
            let (_, wallet) = self.wallets(account, asset);
            let cross_wallet = cross.then_some(wallet);
            self.tell(News::MarginCall { time: self.now, account, cross_wallet, positions });
        }
    }
}
