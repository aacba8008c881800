//! Open orders that end unless their account asks, time and again, for them to stay.

use connector_core::order::OrderState;
use connector_core::time::UnixNanos;
use smol_str::SmolStr;

use super::Exchange;
use crate::news::What;
use crate::orders::{AccountId, EndReason, Reject};

impl Exchange {
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
