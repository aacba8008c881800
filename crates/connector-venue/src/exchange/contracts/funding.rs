//! Funding: what those who are long pay those who are short, or get from them.

use connector_core::Decimal;
use smol_str::SmolStr;

use super::super::Exchange;
use crate::news::News;
use crate::orders::{AccountId, Reject, Rule};
use crate::perpetual::{AccountCause, FundingRate, Income, IncomeKind, Leg};

impl Exchange {
    /// Holds the funding rate of a contract fast, or lets it follow the premium again. It may leave the contract's bounds.
    ///
    /// # Errors
    /// [`Reject::NoContract`]; [`Reject::Rule`] for a rate of more than the whole position.
    pub fn set_funding_rate(&mut self, symbol: &str, rate: Option<Decimal>) -> Result<(), Reject> {
        self.contract(symbol).ok_or(Reject::NoContract)?;
        if rate.is_some_and(|rate| rate.abs() > Decimal::ONE || rate.scale() > 12) {
            return Err(Reject::Rule(Rule::PercentPrice));
        }
        if let Some(state) = self.perpetual.contracts.get_mut(symbol) {
            state.fixed_rate = rate;
        }
        Ok(())
    }

    /// Settles the funding of a contract now: every holder pays or is paid rate × position at the mark price. What rounding
    /// leaves is the insurance fund's. Margins are judged afterwards.
    ///
    /// # Errors
    /// [`Reject::NoContract`].
    pub fn settle_funding(&mut self, symbol: &str) -> Result<FundingRate, Reject> {
        let (market, contract) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let (symbol, contract) = (market.setup.symbol.clone(), contract.clone());
        let state = self.perpetual.contracts.get_mut(&symbol).ok_or(Reject::NoContract)?;
        let rate = state.rate(&contract);
        let settled = FundingRate { symbol: symbol.clone(), time: self.now, rate, mark_price: state.mark };
        state.settled(settled.clone(), &contract);
        self.tell(News::FundingRate(settled.clone()));
        let mut left = Decimal::ZERO;
        for (account, leg, amount) in self.holders_of(&symbol) {
            let paid = self.ledger.rounded(-amount * settled.mark_price * rate);
            left -= paid;
            self.ledger.gain(account, &contract.collateral, paid);
            let cross = self.is_cross(account, &symbol);
            if let Some(position) = self.perpetual.holder(account).positions.get_mut(&leg).filter(|_| !cross)
            {
                position.isolated += paid;
            }
            if account.is_house() || paid.is_zero() {
                continue;
            }
            let income = Income {
                rate: Some(rate),
                position: Some(amount),
                ..Income::of(IncomeKind::Funding, Some(&symbol), leg.1, &contract.collateral, paid)
            };
            let payment = self.record_income(account, income);
            let wallets = [(contract.collateral.clone(), paid)];
            let legs: &[Leg] = if cross { &[] } else { &[leg] };
            self.tell_account(account, AccountCause::Funding, Some(&symbol), &wallets, legs);
            self.tell(News::Funding { account, payment });
        }
        self.ledger.gain(AccountId::INSURANCE, &contract.collateral, left);
        self.judge_margins();
        Ok(settled)
    }

    /// Everybody's positions on a contract that are not flat: whose, which and how much.
    pub(super) fn holders_of(&self, symbol: &SmolStr) -> Vec<(AccountId, Leg, Decimal)> {
        let all = self.perpetual.holders.iter();
        let open = all.flat_map(|(account, holder)| holder.open().map(move |(leg, p)| (*account, leg, p)));
        open.filter(|(_, leg, _)| leg.0 == *symbol)
            .map(|(account, leg, position)| (account, leg.clone(), position.amount))
            .collect()
    }
}
