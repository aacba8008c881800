//! Perpetual contracts on the exchange: what accounts hold, choose, owe and are paid.

mod funding;
mod liquidation;
mod margin;
mod prices;
#[cfg(test)]
mod properties;
mod reducing;
mod settings;
mod settling;
#[cfg(test)]
mod tests;

use connector_core::position::{PositionMode, PositionSide};
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

pub(super) use self::settling::{Booked, ContractFill};
use super::{Exchange, Market};
use crate::ledger::HistoryQuery;
use crate::listen_keys::ListenKeys;
use crate::news::News;
use crate::orders::{AccountId, Reject};
use crate::perpetual::{
    AccountCause, ContractSetup, ContractState, FundingRate, Holder, Income, IncomeKind, Leg, MarkPrice,
    WalletChange,
};
use crate::setup::SetupError;

impl Exchange {
    /// Funding payments, profits, fees and transfers of an account that contracts have made, oldest first.
    ///
    /// Shape: as [`HistoryQuery`] says, with the transaction id as id; all kinds if `kind` is absent.
    #[must_use]
    pub fn incomes(
        &self,
        account: AccountId,
        kind: Option<IncomeKind>,
        query: &HistoryQuery,
    ) -> Vec<&Income> {
        let all = self.perpetual.holders.get(&account).into_iter().flat_map(|holder| holder.incomes.iter());
        let wanted = all.filter(|income| kind.is_none_or(|kind| income.kind == kind)).filter(|income| {
            let symbol = income.symbol.as_deref().unwrap_or_default();
            query.admits(symbol, query.order_id.unwrap_or_default(), income.id, income.time)
        });
        query.page(wanted.collect())
    }

    /// Settled fundings of a contract, oldest first; `since` and `until` are included. The last 10,000 are kept.
    ///
    /// Shape: with `since` the first `limit` that match, else the last `limit`.
    #[must_use]
    pub fn funding_rates(
        &self,
        symbol: &str,
        since: Option<UnixNanos>,
        until: Option<UnixNanos>,
        limit: usize,
    ) -> Vec<FundingRate> {
        let query = HistoryQuery { since, until, limit: Some(limit), ..HistoryQuery::default() };
        let all = self.perpetual.contracts.get(symbol).into_iter().flat_map(|state| state.rates.iter());
        query.page(all.filter(|rate| query.admits(&rate.symbol, 0, 0, rate.time)).cloned().collect())
    }

    /// Mark price, index price and next funding of a contract.
    #[must_use]
    pub fn mark_price(&self, symbol: &str) -> Option<MarkPrice> {
        let (market, contract) = self.contract(symbol)?;
        let state = self.perpetual.contracts.get(symbol)?;
        Some(state.view(&market.setup.symbol, contract, self.now))
    }

    /// Base amount held long on a contract by all accounts together.
    #[must_use]
    pub fn open_interest(&self, symbol: &str) -> Decimal {
        let legs = self.perpetual.holders.values().flat_map(Holder::open);
        legs.filter(|((on, _), p)| on == symbol && p.amount > Decimal::ZERO).map(|(_, p)| p.amount).sum()
    }

    /// What the insurance fund of a collateral asset holds.
    #[must_use]
    pub fn insurance_fund(&self, asset: &Asset) -> Decimal {
        self.ledger.balance(AccountId::INSURANCE, asset).free
    }

    /// How the account holds positions.
    #[must_use]
    pub fn position_mode(&self, account: AccountId) -> PositionMode {
        self.perpetual.holders.get(&account).map(|holder| holder.mode).unwrap_or_default()
    }

    /// Whether the account has switched multi-assets margin on. It is kept and told; each collateral asset stands alone.
    #[must_use]
    pub fn multi_assets(&self, account: AccountId) -> bool {
        self.perpetual.holders.get(&account).is_some_and(|holder| holder.multi_assets)
    }

    /// The collateral assets of all listed contracts, by name.
    #[must_use]
    pub fn collaterals(&self) -> Vec<Asset> {
        let all = self.markets().into_iter().filter_map(|market| market.contract.as_ref());
        let mut assets: Vec<Asset> = all.map(|contract| contract.collateral.clone()).collect();
        assets.sort();
        assets.dedup();
        assets
    }

    /// The listen keys.
    #[must_use]
    pub const fn listen_keys(&self) -> &ListenKeys {
        &self.listen_keys
    }

    /// The account's listen key: the live one, kept alive, or a new one.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`].
    pub fn create_listen_key(&mut self, account: AccountId) -> Result<SmolStr, Reject> {
        if !self.ledger.knows(account) {
            return Err(Reject::UnknownAccount);
        }
        Ok(self.listen_keys.create(account, self.now))
    }

    /// Keeps the account's listen key alive for another lifetime.
    ///
    /// # Errors
    /// [`Reject::UnknownListenKey`] if there is none or a fault refuses it.
    pub fn keep_listen_key(&mut self, account: AccountId) -> Result<SmolStr, Reject> {
        self.listen_keys.keep_alive(account, self.now).ok_or(Reject::UnknownListenKey)
    }

    /// Ends the account's listen key now, as told by [`News::ListenKeyExpired`].
    ///
    /// # Errors
    /// [`Reject::UnknownListenKey`].
    pub fn end_listen_key(&mut self, account: AccountId) -> Result<(), Reject> {
        let key = self.listen_keys.remove(account).ok_or(Reject::UnknownListenKey)?;
        self.tell(News::ListenKeyExpired { time: self.now, account, key });
        Ok(())
    }

    /// Fault: keeping the account's listen key alive is refused from now on, or no longer.
    pub fn refuse_listen_key(&mut self, account: AccountId, refuse: bool) {
        self.listen_keys.refuse(account, refuse);
    }

    /// A listed contract.
    pub(super) fn contract(&self, symbol: &str) -> Option<(&Market, &ContractSetup)> {
        let market = self.listed(symbol)?;
        market.setup.contract.as_ref().map(|contract| (market, contract))
    }

    pub(super) fn holder(&self, account: AccountId) -> Option<&Holder> {
        self.perpetual.holders.get(&account)
    }

    /// Takes in a contract that is being listed: its prices begin at the reference price, its insurance fund gets money.
    pub(super) fn open_contract(&mut self, symbol: &SmolStr) -> Result<(), SetupError> {
        let Some((market, contract)) = self.contract(symbol) else { return Ok(()) };
        let mut state = ContractState::new(contract, market.setup.reference_price, self.now);
        let (asset, fund) = (contract.collateral.clone(), contract.insurance_fund);
        if let Some(old) = self.perpetual.contracts.remove(symbol) {
            state.rates = old.rates;
        }
        self.perpetual.contracts.insert(symbol.clone(), state);
        let setup = &self.perpetual.setup;
        let next = crate::perpetual::next_multiple(self.now, setup.mark_interval);
        self.perpetual.next_mark.get_or_insert(next);
        let given = !self.perpetual.funded.insert(asset.clone())
            || self.ledger.transfer(AccountId::INSURANCE, &asset, fund);
        if given {
            Ok(())
        } else {
            Err(SetupError { what: symbol.to_string(), why: "the insurance fund is too large or too fine" })
        }
    }

    /// Notes a movement of money in an account's wallet and returns it with its id.
    fn record_income(&mut self, account: AccountId, income: Income) -> Income {
        let income = Income { id: self.perpetual.next_income_id, time: self.now, ..income };
        self.perpetual.next_income_id += 1;
        let limit = self.ledger.history_limit();
        let incomes = &mut self.perpetual.holder(account).incomes;
        while incomes.len() >= limit.max(1) {
            incomes.pop_front();
        }
        incomes.push_back(income.clone());
        income
    }

    /// Tells wallets and positions of an account as they are now.
    fn tell_account(
        &mut self,
        account: AccountId,
        cause: AccountCause,
        symbol: Option<&SmolStr>,
        wallets: &[(Asset, Decimal)],
        legs: &[Leg],
    ) {
        if account.is_house() {
            return;
        }
        let time = self.now;
        self.ledger.stamp(account, time);
        let balances = wallets.iter().map(|(asset, change)| {
            let (wallet, cross_wallet) = self.wallets(account, asset);
            WalletChange { asset: asset.clone(), wallet, cross_wallet, change: *change }
        });
        let balances = balances.collect();
        let positions =
            legs.iter().filter_map(|(symbol, side)| self.position(account, symbol, *side)).collect();
        let symbol = symbol.cloned();
        self.tell(News::Account { time, account, cause, symbol, balances, positions });
    }

    /// Takes in money that came from outside or went there.
    pub(super) fn note_transfer(&mut self, account: AccountId, asset: &Asset, amount: Decimal) {
        if account.is_house() || !self.collaterals().contains(asset) {
            return;
        }
        let cause = if amount < Decimal::ZERO { AccountCause::Withdrawal } else { AccountCause::Deposit };
        let income = Income::of(IncomeKind::Transfer, None, PositionSide::Both, asset, amount);
        self.record_income(account, income);
        self.tell_account(account, cause, None, &[(asset.clone(), amount)], &[]);
    }
}
