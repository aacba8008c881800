//! The embedded exchange as one value: markets, ledgers, keys, limits and the life of its markets.

use connector_core::Asset;
use connector_core::time::UnixNanos;
use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::keys::Keys;
use crate::ledger::{Balance, HistoryQuery, LedgerView};
use crate::limits::{Charged, Limits, ScopeKey};
use crate::news::{Best, Depth, News, PublicTrade};
use crate::orders::{AccountId, Execution, Order, Placement, Reject, Submit, Which};
use crate::setup::{AccountSetup, Fees, MarketSetup, MarketStatus, Rules, Setup, SetupError};

/// A market's last 24 hours, to the minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ticker {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// First price of the period; the last price if there was no trade.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price; the reference price before the first trade.
    pub last: Decimal,
    /// Amount of the last trade.
    pub last_amount: Decimal,
    /// Base amount traded.
    pub volume: Decimal,
    /// Quote amount traded.
    pub quote_volume: Decimal,
    /// Trades.
    pub count: u64,
    /// Id of the period's first trade, if any.
    pub first_id: Option<u64>,
    /// Id of the period's last trade, if any.
    pub last_id: Option<u64>,
    /// Start of the period.
    pub since: UnixNanos,
    /// End of the period.
    pub until: UnixNanos,
}

/// The embedded exchange.
#[derive(Debug)]
pub struct Exchange {
    now: UnixNanos,
    keys: Keys,
    limits: Limits,
}

impl Exchange {
    /// An exchange as set up.
    ///
    /// # Errors
    /// A setup that contradicts itself.
    pub fn new(setup: Setup) -> Result<Self, SetupError> {
        let _ = setup;
        todo!()
    }

    /// The venue's time.
    #[must_use]
    pub const fn now(&self) -> UnixNanos {
        self.now
    }

    /// Lets time pass up to `to`: live markets live, book changes are told. A time not after now changes nothing.
    pub fn advance(&mut self, to: UnixNanos) {
        let _ = to;
        todo!()
    }

    /// When something will happen by itself next; `None` if nothing is due.
    #[must_use]
    pub fn next_event_time(&self) -> Option<UnixNanos> {
        todo!()
    }

    /// Places an order.
    ///
    /// # Errors
    /// The first reason against it; nothing has changed then.
    pub fn place(&mut self, account: AccountId, submit: &Submit) -> Result<Placement, Reject> {
        let _ = (account, submit);
        todo!()
    }

    /// Whether [`Exchange::place`] would take the order; changes nothing.
    ///
    /// # Errors
    /// As [`Exchange::place`].
    pub fn check(&self, account: AccountId, submit: &Submit) -> Result<(), Reject> {
        let _ = (account, submit);
        todo!()
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
        let _ = (account, symbol, which, cancel_id);
        todo!()
    }

    /// Cancels all open orders of an account on a market; returns them as they ended, by id.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`] if there are none; [`Reject::UnknownMarket`].
    pub fn cancel_all(&mut self, account: AccountId, symbol: &str) -> Result<Vec<Order>, Reject> {
        let _ = (account, symbol);
        todo!()
    }

    /// Reduces an open order's amount to `amount` and keeps its place in the queue.
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`]; [`Reject::Rule`] unless `amount` is between what is filled and the old amount.
    pub fn reduce(
        &mut self,
        account: AccountId,
        symbol: &str,
        which: &Which,
        amount: Decimal,
    ) -> Result<Order, Reject> {
        let _ = (account, symbol, which, amount);
        todo!()
    }

    /// Removes an order on the exchange's own account, as [`EndReason::Administrative`](crate::orders::EndReason).
    ///
    /// # Errors
    /// [`Reject::UnknownOrder`] unless the order is live.
    pub fn expire(&mut self, order_id: u64) -> Result<Order, Reject> {
        let _ = order_id;
        todo!()
    }

    /// An order of the account on the market, live or ended.
    #[must_use]
    pub fn order(&self, account: AccountId, symbol: &str, which: &Which) -> Option<&Order> {
        let _ = (account, symbol, which);
        todo!()
    }

    /// Open orders of the account by id; on all markets if `symbol` is absent.
    #[must_use]
    pub fn open_orders(&self, account: AccountId, symbol: Option<&str>) -> Vec<&Order> {
        let _ = (account, symbol);
        todo!()
    }

    /// Orders of the account, live and ended.
    #[must_use]
    pub fn all_orders(&self, account: AccountId, query: &HistoryQuery) -> Vec<&Order> {
        let _ = (account, query);
        todo!()
    }

    /// Executions of the account.
    #[must_use]
    pub fn fills(&self, account: AccountId, query: &HistoryQuery) -> Vec<&Execution> {
        let _ = (account, query);
        todo!()
    }

    /// Balances of the account by asset, zeros included; empty if there is no such account.
    #[must_use]
    pub fn balances(&self, account: AccountId) -> Vec<(Asset, Balance)> {
        let _ = account;
        todo!()
    }

    /// All that is known of an account.
    #[must_use]
    pub fn ledger(&self, account: AccountId) -> LedgerView {
        let _ = account;
        todo!()
    }

    /// When the account's balances last changed; the start if never.
    #[must_use]
    pub fn balances_changed(&self, account: AccountId) -> UnixNanos {
        let _ = account;
        todo!()
    }

    /// The fees of an account on a market.
    #[must_use]
    pub fn fees(&self, account: AccountId, symbol: &str) -> Fees {
        let _ = (account, symbol);
        todo!()
    }

    /// Sets an account's fees on one market, or on all.
    pub fn set_fees(&mut self, account: AccountId, symbol: Option<&str>, fees: Fees) {
        let _ = (account, symbol, fees);
        todo!()
    }

    /// A book, at most `limit` levels a side.
    #[must_use]
    pub fn depth(&self, symbol: &str, limit: usize) -> Option<Depth> {
        let _ = (symbol, limit);
        todo!()
    }

    /// The best bid and ask.
    #[must_use]
    pub fn best(&self, symbol: &str) -> Option<Best> {
        let _ = symbol;
        todo!()
    }

    /// Public trades, oldest first: the first `limit` from `from_id` on, or the last `limit`.
    #[must_use]
    pub fn public_trades(&self, symbol: &str, limit: usize, from_id: Option<u64>) -> Vec<PublicTrade> {
        let _ = (symbol, limit, from_id);
        todo!()
    }

    /// The last 24 hours.
    #[must_use]
    pub fn ticker(&self, symbol: &str) -> Option<Ticker> {
        let _ = symbol;
        todo!()
    }

    /// Markets that are not delisted, by symbol, with their present rules and status.
    #[must_use]
    pub fn markets(&self) -> Vec<&MarketSetup> {
        todo!()
    }

    /// One market, unless it is delisted.
    #[must_use]
    pub fn market(&self, symbol: &str) -> Option<&MarketSetup> {
        let _ = symbol;
        todo!()
    }

    /// Lists a market.
    ///
    /// # Errors
    /// The symbol is taken, or the rules contradict themselves.
    pub fn list(&mut self, market: MarketSetup) -> Result<(), SetupError> {
        let _ = market;
        todo!()
    }

    /// Halts, resumes or delists a market.
    ///
    /// # Errors
    /// [`Reject::UnknownMarket`].
    pub fn set_status(&mut self, symbol: &str, status: MarketStatus) -> Result<(), Reject> {
        let _ = (symbol, status);
        todo!()
    }

    /// Changes a market's rules; open orders stay as they are.
    ///
    /// # Errors
    /// [`Reject::UnknownMarket`]; [`Reject::Rule`] if the rules contradict themselves.
    pub fn change_rules(&mut self, symbol: &str, rules: Rules) -> Result<(), Reject> {
        let _ = (symbol, rules);
        todo!()
    }

    /// Opens an account.
    ///
    /// # Errors
    /// The id is taken or reserved.
    pub fn open_account(&mut self, account: AccountSetup) -> Result<(), SetupError> {
        let _ = account;
        todo!()
    }

    /// Moves money in (positive) or out (negative) from outside.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`]; [`Reject::InsufficientBalance`] if less is free.
    pub fn transfer(&mut self, account: AccountId, asset: &Asset, amount: Decimal) -> Result<(), Reject> {
        let _ = (account, asset, amount);
        todo!()
    }

    /// Takes the news since the last call, oldest first.
    #[must_use]
    pub fn take_news(&mut self) -> Vec<News> {
        todo!()
    }

    /// News dropped because nobody took them in time.
    #[must_use]
    pub fn news_lost(&self) -> u64 {
        todo!()
    }

    /// The API keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The API keys, to change them.
    pub const fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// Budgets and bans.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Budgets and bans, to change them.
    pub const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Charges a pool at the venue's present time. See [`Limits::charge`].
    pub fn charge(&mut self, pool: &str, key: ScopeKey, units: u32) -> Charged {
        self.limits.charge(pool, key, units, self.now)
    }

    /// Charges the placing of one order to the account's order pools, as [`Setup::order_count`] has it; fills give
    /// units back by themselves. Shape: pool name and budget, in declared order.
    pub fn charge_order(&mut self, account: AccountId) -> Vec<(SmolStr, Charged)> {
        let _ = account;
        todo!()
    }

    /// Every asset's sum over all accounts and collected fees minus what came from outside: all zero, or money was
    /// made or lost.
    #[must_use]
    pub fn imbalance(&self) -> Vec<(Asset, Decimal)> {
        todo!()
    }
}
