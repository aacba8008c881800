//! What an account may choose: position mode, leverage, margin mode, isolated margin.

use connector_core::Decimal;
use connector_core::position::{PositionMode, PositionSide};

use super::super::Exchange;
use crate::ledger::MOST_DIGITS;
use crate::news::News;
use crate::orders::{AccountId, Reject};
use crate::perpetual::{AccountCause, MarginMode, MarketSettings};

impl Exchange {
    /// Sets how the account holds positions, on all contracts.
    ///
    /// # Errors
    /// [`Reject::NoChange`]; [`Reject::HasOrders`] or [`Reject::HasPosition`] on any contract; [`Reject::UnknownAccount`].
    pub fn set_position_mode(&mut self, account: AccountId, mode: PositionMode) -> Result<(), Reject> {
        self.known(account)?;
        if self.position_mode(account) == mode {
            return Err(Reject::NoChange);
        }
        if self.orders.live(account).any(|order| self.contract(&order.symbol).is_some()) {
            return Err(Reject::HasOrders);
        }
        if self.holder(account).is_some_and(|holder| holder.open().next().is_some()) {
            return Err(Reject::HasPosition);
        }
        self.perpetual.holder(account).mode = mode;
        self.tell(News::PositionMode { time: self.now, account, mode });
        Ok(())
    }

    /// Switches multi-assets margin.
    ///
    /// # Errors
    /// [`Reject::NoChange`]; [`Reject::MultiAssets`] while a market is set to isolated margin; [`Reject::UnknownAccount`].
    pub fn set_multi_assets(&mut self, account: AccountId, enabled: bool) -> Result<(), Reject> {
        self.known(account)?;
        if self.multi_assets(account) == enabled {
            return Err(Reject::NoChange);
        }
        let holder = self.perpetual.holder(account);
        if enabled && holder.settings.values().any(|s| s.margin_mode == MarginMode::Isolated) {
            return Err(Reject::MultiAssets);
        }
        holder.multi_assets = enabled;
        self.tell(News::MultiAssets { time: self.now, account, enabled });
        Ok(())
    }

    /// Sets the leverage of a contract; to set what is set already is no error.
    ///
    /// # Errors
    /// [`Reject::LeverageOutOfRange`]; [`Reject::PositionLimit`] if position and orders are too large for it;
    /// [`Reject::IsolatedLeverage`]; [`Reject::InsufficientMargin`]; [`Reject::NoContract`]; [`Reject::UnknownAccount`].
    pub fn set_leverage(
        &mut self,
        account: AccountId,
        symbol: &str,
        leverage: Decimal,
    ) -> Result<MarketSettings, Reject> {
        self.known(account)?;
        let (market, contract) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let symbol = market.setup.symbol.clone();
        let old = self.market_settings(account, &symbol).ok_or(Reject::NoContract)?;
        let leverage = leverage.normalize();
        if leverage < Decimal::ONE || leverage > contract.max_leverage() {
            return Err(Reject::LeverageOutOfRange);
        }
        if self.largest(account, &symbol, None) > contract.largest_notional(leverage) {
            return Err(Reject::PositionLimit);
        }
        let lower = leverage < old.leverage;
        let held = !self.legs(account, &symbol).is_empty();
        if lower && held && old.margin_mode == MarginMode::Isolated {
            return Err(Reject::IsolatedLeverage);
        }
        let collateral = contract.collateral.clone();
        let settings = MarketSettings { leverage, ..old };
        self.perpetual.holder(account).settings.insert(symbol.clone(), settings);
        if lower && self.unspent_margin(account, &collateral).available < Decimal::ZERO {
            self.perpetual.holder(account).settings.insert(symbol, old);
            return Err(Reject::InsufficientMargin);
        }
        self.tell(News::Leverage { time: self.now, account, symbol, leverage });
        Ok(settings)
    }

    /// Sets which money stands behind positions of a contract.
    ///
    /// # Errors
    /// [`Reject::NoChange`]; [`Reject::MultiAssets`]; [`Reject::HasOrders`] or [`Reject::HasPosition`] on this contract;
    /// [`Reject::NoContract`]; [`Reject::UnknownAccount`].
    pub fn set_margin_mode(
        &mut self,
        account: AccountId,
        symbol: &str,
        mode: MarginMode,
    ) -> Result<(), Reject> {
        self.known(account)?;
        let (market, _) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let symbol = market.setup.symbol.clone();
        let old = self.market_settings(account, &symbol).ok_or(Reject::NoContract)?;
        if old.margin_mode == mode {
            return Err(Reject::NoChange);
        }
        if mode == MarginMode::Isolated && self.multi_assets(account) {
            return Err(Reject::MultiAssets);
        }
        if self.orders.live(account).any(|order| order.symbol == symbol) {
            return Err(Reject::HasOrders);
        }
        if !self.legs(account, &symbol).is_empty() {
            return Err(Reject::HasPosition);
        }
        let settings = MarketSettings { margin_mode: mode, ..old };
        let holder = self.perpetual.holder(account);
        holder.settings.insert(symbol.clone(), settings);
        let legs: Vec<_> = holder.sides().iter().map(|side| (symbol.clone(), *side)).collect();
        self.tell_account(account, AccountCause::MarginMode, Some(&symbol), &[], &legs);
        Ok(())
    }

    /// Adds margin to an isolated position (positive) or takes some off (negative).
    ///
    /// # Errors
    /// [`Reject::NoPosition`] unless there is such a position and it is isolated; [`Reject::InsufficientMargin`] if less is
    /// available, or the position's leverage needs what is taken off; [`Reject::Rule`] for an amount that is zero or too
    /// fine; [`Reject::NoContract`]; [`Reject::UnknownAccount`].
    pub fn add_isolated_margin(
        &mut self,
        account: AccountId,
        symbol: &str,
        side: PositionSide,
        amount: Decimal,
    ) -> Result<(), Reject> {
        self.known(account)?;
        let (market, contract) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let (symbol, collateral) = (market.setup.symbol.clone(), contract.collateral.clone());
        let view = self.position(account, &symbol, side).ok_or(Reject::NoContract)?;
        if view.amount.is_zero() || view.margin_mode != MarginMode::Isolated {
            return Err(Reject::NoPosition);
        }
        if amount.is_zero() || amount.scale() > MOST_DIGITS {
            return Err(Reject::Rule(crate::orders::Rule::LotSize));
        }
        let most = if amount > Decimal::ZERO {
            self.margin(account, &collateral).available
        } else {
            view.isolated_wallet + view.unrealised.min(Decimal::ZERO) - view.initial_margin
        };
        if amount.abs() > most {
            return Err(Reject::InsufficientMargin);
        }
        let leg = (symbol.clone(), side);
        if let Some(position) = self.perpetual.holder(account).positions.get_mut(&leg) {
            position.isolated += amount;
        }
        let change = [(collateral, Decimal::ZERO)];
        self.tell_account(account, AccountCause::MarginTransfer, Some(&symbol), &change, &[leg]);
        Ok(())
    }

    fn known(&self, account: AccountId) -> Result<(), Reject> {
        if self.ledger.knows(account) && !account.is_house() { Ok(()) } else { Err(Reject::UnknownAccount) }
    }
}
