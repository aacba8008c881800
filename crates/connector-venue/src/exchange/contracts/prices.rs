//! Index and mark prices, and what the clock brings on contracts.

use connector_core::Decimal;
use connector_core::order::Side;
use connector_core::time::UnixNanos;
use smol_str::SmolStr;

use super::super::Exchange;
use crate::live_market::LiveMarket;
use crate::news::News;
use crate::orders::{Reject, Rule};
use crate::perpetual::{MarkPrice, next_multiple};
use crate::setup::MarketStatus;

impl Exchange {
    /// Holds the mark price of a contract fast, or lets it follow the market again. Margins are judged at once.
    ///
    /// # Errors
    /// [`Reject::NoContract`]; [`Reject::Rule`] for a price outside the market's bounds.
    pub fn set_mark_price(&mut self, symbol: &str, price: Option<Decimal>) -> Result<MarkPrice, Reject> {
        self.check_price(symbol, price)?;
        if let Some(state) = self.perpetual.contracts.get_mut(symbol) {
            state.fixed_mark = price;
        }
        self.tell_mark(symbol);
        self.judge_margins();
        self.mark_price(symbol).ok_or(Reject::NoContract)
    }

    /// Holds the index price of a contract fast, or lets it follow the market again. Margins are judged at once.
    ///
    /// # Errors
    /// As [`Exchange::set_mark_price`].
    pub fn set_index_price(&mut self, symbol: &str, price: Option<Decimal>) -> Result<MarkPrice, Reject> {
        self.check_price(symbol, price)?;
        if let Some(state) = self.perpetual.contracts.get_mut(symbol) {
            state.fixed_index = price;
        }
        self.tell_mark(symbol);
        self.judge_margins();
        self.mark_price(symbol).ok_or(Reject::NoContract)
    }

    fn check_price(&self, symbol: &str, price: Option<Decimal>) -> Result<(), Reject> {
        let (market, _) = self.contract(symbol).ok_or(Reject::NoContract)?;
        let rules = &market.setup.rules;
        let sound = |price: Decimal| price > Decimal::ZERO && price <= rules.max_price;
        if price.is_none_or(sound) { Ok(()) } else { Err(Reject::Rule(Rule::PriceFilter)) }
    }

    /// When something is due on contracts or listen keys next.
    pub(in crate::exchange) fn next_contract_time(&self) -> Option<UnixNanos> {
        let fundings = self.perpetual.contracts.iter().filter(|(symbol, _)| self.listed(symbol).is_some());
        let fundings = fundings.map(|(_, state)| state.next_funding);
        let marks = self.perpetual.next_mark;
        fundings.chain(marks).chain(self.listen_keys.next_expiry()).min()
    }

    /// Does what is due by now.
    pub(in crate::exchange) fn contracts_act(&mut self) {
        let now = self.now;
        while let Some(account) = self.listen_keys.expired(now) {
            // It was there a moment ago.
            let _ = self.end_listen_key(account);
        }
        if self.perpetual.next_mark.is_some_and(|due| due <= now) {
            self.perpetual.next_mark = Some(next_multiple(now, self.perpetual.setup.mark_interval));
            for symbol in self.contract_symbols() {
                self.tell_mark(&symbol);
            }
            self.judge_margins();
        }
        for symbol in self.contract_symbols() {
            let due = self.perpetual.contracts.get(&symbol).is_some_and(|state| state.next_funding <= now);
            if due {
                // The contract is listed: it was found by its symbol just now.
                let _ = self.settle_funding(&symbol);
            }
        }
    }

    fn contract_symbols(&self) -> Vec<SmolStr> {
        let contracts = self.markets.values().filter(|market| {
            market.setup.contract.is_some() && market.setup.status != MarketStatus::Delisted
        });
        contracts.map(|market| market.setup.symbol.clone()).collect()
    }

    /// Reckons index and mark anew and tells them.
    fn tell_mark(&mut self, symbol: &str) {
        let Some(market) = self.markets.get(symbol) else { return };
        let live = market.live.as_ref().map(LiveMarket::fair_price);
        let reference = live.unwrap_or(market.setup.reference_price);
        let (bid, ask) = (market.book.best(Side::Buy), market.book.best(Side::Sell));
        let middle = bid.zip(ask).map(|(bid, ask)| (bid.price + ask.price) / Decimal::TWO);
        if let Some(state) = self.perpetual.contracts.get_mut(symbol) {
            state.follow(reference, middle);
        }
        if let Some(view) = self.mark_price(symbol) {
            self.tell(News::Mark(view));
        }
    }
}
