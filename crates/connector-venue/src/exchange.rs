//! The embedded exchange as one value: markets, ledgers, keys, limits and the life of its markets.
//!
//! Pure and synchronous: the same setup and the same calls give the same orders, trades and news, to the last digit.

mod contracts;
mod countdown;
mod judging;
mod living;
mod market;
mod modifying;
mod placing;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use connector_core::order::OrderState;
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use self::market::Market;
pub use self::market::Ticker;
use self::store::Store;
use crate::keys::Keys;
use crate::ledger::{Balance, HistoryQuery, Ledger, LedgerView, MOST_DIGITS};
use crate::limits::{Charged, Limits, OrderCountPolicy, ScopeKey};
use crate::listen_keys::ListenKeys;
use crate::news::{BalanceCause, Best, Depth, News, PublicTrade, What};
use crate::orders::{AccountId, EndReason, Execution, Order, Reject, Rule, Which};
use crate::perpetual::{ContractSetup, State};
use crate::random::Random;
use crate::setup::{AccountSetup, Fees, MarketSetup, MarketStatus, Rules, Setup, SetupError};

/// The embedded exchange.
#[derive(Debug)]
pub struct Exchange {
    now: UnixNanos,
    seed: u64,
    markets: BTreeMap<SmolStr, Market>,
    orders: Store,
    ledger: Ledger,
    perpetual: State,
    /// When an account's open orders on a market are cancelled.
    countdowns: BTreeMap<(AccountId, SmolStr), UnixNanos>,
    keys: Keys,
    listen_keys: ListenKeys,
    limits: Limits,
    order_count: OrderCountPolicy,
    book_interval: Duration,
    announce_rejections: bool,
    news: VecDeque<News>,
    news_limit: usize,
    news_lost: u64,
    client_ids: Random,
    next_order_id: u64,
    next_execution_id: u64,
}

impl Exchange {
    /// An exchange as set up, its live markets open.
    ///
    /// # Errors
    /// A setup that contradicts itself.
    pub fn new(setup: Setup) -> Result<Self, SetupError> {
        if setup.fee_scale > MOST_DIGITS {
            return Err(SetupError { what: "fee_scale".to_owned(), why: "more than 12 decimal places" });
        }
        let mut keys = Keys::default();
        setup.keys.into_iter().for_each(|key| keys.insert(key));
        let mut exchange = Self {
            now: setup.start,
            seed: setup.seed,
            markets: BTreeMap::new(),
            orders: Store::new(setup.history_limit),
            ledger: Ledger::new(setup.fees, setup.fee_scale, setup.history_limit),
            listen_keys: ListenKeys::new(setup.perpetual.listen_key_lifetime, setup.seed),
            perpetual: State::new(setup.perpetual),
            countdowns: BTreeMap::new(),
            keys,
            limits: Limits::new(&setup.pools, setup.escalation),
            order_count: setup.order_count,
            book_interval: setup.book_interval.max(Duration::from_millis(1)),
            announce_rejections: setup.announce_rejections,
            news: VecDeque::new(),
            news_limit: setup.news_limit.max(1),
            news_lost: 0,
            client_ids: Random::new(setup.seed, 1),
            next_order_id: setup.first_order_id,
            next_execution_id: 1,
        };
        for id in [AccountId::HOUSE_MAKER, AccountId::HOUSE_TAKER, AccountId::INSURANCE] {
            let house = AccountSetup {
                fees: Some(Fees { maker_ppm: 0, taker_ppm: 0 }),
                ..AccountSetup::new(id, Vec::new())
            };
            exchange.ledger.open(house, setup.start);
        }
        for account in &setup.accounts {
            exchange.open_account(account)?;
        }
        for market in setup.markets {
            exchange.list(market)?;
        }
        // What made the exchange is not news to anyone.
        exchange.news.clear();
        Ok(exchange)
    }

    /// The venue's time.
    #[must_use]
    pub const fn now(&self) -> UnixNanos {
        self.now
    }

    /// An order of the account on the market, live or ended.
    #[must_use]
    pub fn order(&self, account: AccountId, symbol: &str, which: &Which) -> Option<&Order> {
        self.orders.find(account, symbol, which)
    }

    /// Open orders of the account by id; on all markets if `symbol` is absent.
    #[must_use]
    pub fn open_orders(&self, account: AccountId, symbol: Option<&str>) -> Vec<&Order> {
        let live = self.orders.live(account);
        live.filter(|order| symbol.is_none_or(|symbol| order.symbol == symbol)).collect()
    }

    /// Orders of the account, live and ended.
    #[must_use]
    pub fn all_orders(&self, account: AccountId, query: &HistoryQuery) -> Vec<&Order> {
        let all = self.orders.all(account);
        query.page(
            all.filter(|order| query.admits(&order.symbol, order.id, order.id, order.created)).collect(),
        )
    }

    /// Executions of the account.
    #[must_use]
    pub fn fills(&self, account: AccountId, query: &HistoryQuery) -> Vec<&Execution> {
        self.ledger.fills(account, query)
    }

    /// Whether there is such an account.
    #[must_use]
    pub fn has_account(&self, account: AccountId) -> bool {
        self.ledger.knows(account)
    }

    /// Balances of the account by asset, zeros included; empty if there is no such account.
    #[must_use]
    pub fn balances(&self, account: AccountId) -> Vec<(Asset, Balance)> {
        self.ledger.balances(account)
    }

    /// All that is known of an account.
    #[must_use]
    pub fn ledger(&self, account: AccountId) -> LedgerView {
        LedgerView {
            account,
            balances: self.ledger.balances(account),
            open_orders: self.orders.live(account).cloned().collect(),
            fills: self.ledger.fills(account, &HistoryQuery::default()).into_iter().cloned().collect(),
            positions: self.positions(account, None).into_iter().filter(|p| !p.amount.is_zero()).collect(),
        }
    }

    /// When the account's balances last changed; when it was opened if never.
    #[must_use]
    pub fn balances_changed(&self, account: AccountId) -> UnixNanos {
        self.ledger.changed(account).unwrap_or_default()
    }

    /// The fees of an account on a market.
    #[must_use]
    pub fn fees(&self, account: AccountId, symbol: &str) -> Fees {
        self.ledger.fees(account, symbol)
    }

    /// Sets an account's fees on one market, or on all.
    pub fn set_fees(&mut self, account: AccountId, symbol: Option<&str>, fees: Fees) {
        self.ledger.set_fees(account, symbol, fees);
    }

    /// A book, at most `limit` levels a side.
    #[must_use]
    pub fn depth(&self, symbol: &str, limit: usize) -> Option<Depth> {
        self.listed(symbol).map(|market| market.book.depth(limit))
    }

    /// The best bid and ask.
    #[must_use]
    pub fn best(&self, symbol: &str) -> Option<Best> {
        self.listed(symbol).map(Market::best)
    }

    /// Public trades, oldest first: the first `limit` from `from_id` on, or the last `limit`. The last 20,000 are kept.
    #[must_use]
    pub fn public_trades(&self, symbol: &str, limit: usize, from_id: Option<u64>) -> Vec<PublicTrade> {
        self.listed(symbol).map(|market| market.trades(limit, from_id)).unwrap_or_default()
    }

    /// The last 24 hours.
    #[must_use]
    pub fn ticker(&self, symbol: &str) -> Option<Ticker> {
        self.listed(symbol).map(|market| market.ticker(self.now))
    }

    /// Markets that are not delisted, by symbol, with their present rules and status.
    #[must_use]
    pub fn markets(&self) -> Vec<&MarketSetup> {
        let all = self.markets.values().map(|market| &market.setup);
        all.filter(|setup| setup.status != MarketStatus::Delisted).collect()
    }

    /// One market, unless it is delisted.
    #[must_use]
    pub fn market(&self, symbol: &str) -> Option<&MarketSetup> {
        self.listed(symbol).map(|market| &market.setup)
    }

    /// Lists a market.
    ///
    /// # Errors
    /// The symbol is taken, or the rules contradict themselves.
    pub fn list(&mut self, setup: MarketSetup) -> Result<(), SetupError> {
        let symbol = setup.symbol.clone();
        let wrong = |why| SetupError { what: symbol.to_string(), why };
        if self.listed(&symbol).is_some() {
            return Err(wrong("there is such a market already"));
        }
        check_rules(&setup.rules).map_err(wrong)?;
        if setup.base == setup.quote || setup.reference_price < setup.rules.tick {
            return Err(wrong("base and quote must differ, the reference price must be a tick at least"));
        }
        if let Some(fault) = setup.contract.as_ref().and_then(ContractSetup::fault) {
            return Err(wrong(fault));
        }
        let time = self.now;
        match self.markets.get_mut(&symbol) {
            // A market that comes back goes on counting where it stopped: trade and update ids never fall.
            Some(market) => market.relist(setup, self.seed, time),
            None => {
                self.markets.insert(symbol.clone(), Market::new(setup, self.seed, time));
            }
        }
        self.open_contract(&symbol)?;
        self.open_live_market(&symbol);
        self.tell(News::Market { time, symbol });
        Ok(())
    }

    /// Halts, resumes or delists a market.
    ///
    /// # Errors
    /// [`Reject::UnknownMarket`].
    pub fn set_status(&mut self, symbol: &str, status: MarketStatus) -> Result<(), Reject> {
        self.listed(symbol).ok_or(Reject::UnknownMarket)?;
        if status == MarketStatus::Delisted {
            let mut turn = self.turn(symbol);
            for id in self.orders.live_on(symbol) {
                self.end(id, OrderState::Expired, EndReason::MarketClosed, What::Expired, &mut turn);
            }
            self.close(turn);
            self.settle_contract(symbol);
        }
        if let Some(market) = self.markets.get_mut(symbol) {
            market.setup.status = status;
        }
        self.tell(News::Market { time: self.now, symbol: SmolStr::new(symbol) });
        Ok(())
    }

    /// Changes a market's rules; open orders stay as they are, even off the new tick, and trade as before.
    ///
    /// # Errors
    /// [`Reject::UnknownMarket`]; [`Reject::Rule`] if the rules contradict themselves.
    pub fn change_rules(&mut self, symbol: &str, rules: Rules) -> Result<(), Reject> {
        check_rules(&rules).map_err(|_| Reject::Rule(Rule::LotSize))?;
        self.listed(symbol).ok_or(Reject::UnknownMarket)?;
        if let Some(market) = self.markets.get_mut(symbol) {
            market.setup.rules = rules;
            if let Some(live) = &mut market.live {
                live.rescale(&market.setup);
            }
        }
        self.tell(News::Market { time: self.now, symbol: SmolStr::new(symbol) });
        Ok(())
    }

    /// Opens an account.
    ///
    /// # Errors
    /// The id is taken or reserved, or a balance is negative or too large.
    pub fn open_account(&mut self, account: &AccountSetup) -> Result<(), SetupError> {
        let wrong = |why| SetupError { what: account.id.to_string(), why };
        if account.id.is_house() {
            return Err(wrong("the id is reserved"));
        }
        if !self.ledger.open(account.clone(), self.now) {
            return Err(wrong("the id is taken"));
        }
        for (asset, amount) in &account.balances {
            if !self.ledger.transfer(account.id, asset, *amount) {
                return Err(wrong("a balance is negative, too large or too fine"));
            }
        }
        Ok(())
    }

    /// Moves money in (positive) or out (negative) from outside.
    ///
    /// # Errors
    /// [`Reject::UnknownAccount`]; [`Reject::InsufficientBalance`] if less is free, or the amount is beyond reason
    /// (more than 12 decimal places, or 10^16 of an asset altogether).
    pub fn transfer(&mut self, account: AccountId, asset: &Asset, amount: Decimal) -> Result<(), Reject> {
        if !self.ledger.knows(account) {
            return Err(Reject::UnknownAccount);
        }
        let overdrawn = amount < Decimal::ZERO && -amount > self.spendable(account, asset);
        if overdrawn || !self.ledger.transfer(account, asset, amount) {
            return Err(Reject::InsufficientBalance);
        }
        let time = self.now;
        self.ledger.stamp(account, time);
        self.tell(News::Deposit { time, account, asset: asset.clone(), amount });
        let balances = vec![(asset.clone(), self.ledger.balance(account, asset))];
        self.tell(News::Balances { time, account, balances, cause: BalanceCause::Transfer });
        self.note_transfer(account, asset, amount);
        Ok(())
    }

    /// Takes the news since the last call, oldest first.
    #[must_use]
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news).into()
    }

    /// News dropped because nobody took them in time.
    #[must_use]
    pub const fn news_lost(&self) -> u64 {
        self.news_lost
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

    /// Charges the placing of one order to the account's order pools, as
    /// [`Setup::order_count`](crate::setup::Setup::order_count) has it; fills give units back by themselves.
    /// Shape: pool name and budget, in declared order.
    pub fn charge_order(&mut self, account: AccountId) -> Vec<(SmolStr, Charged)> {
        let (limits, now, units) = (&mut self.limits, self.now, self.order_count.placed);
        let charge =
            |pool: &SmolStr| (pool.clone(), limits.charge(pool, ScopeKey::Account(account), units, now));
        self.order_count.pools.iter().map(charge).collect()
    }

    /// Every asset's sum over all accounts and collected fees minus what came from outside and what positions of contracts
    /// have cost: all zero, or money was made or lost.
    #[must_use]
    pub fn imbalance(&self) -> Vec<(Asset, Decimal)> {
        let mut sums: BTreeMap<Asset, Decimal> = self.ledger.imbalance().into_iter().collect();
        let legs = self.perpetual.holders.values().flat_map(|holder| &holder.positions);
        for ((symbol, _), position) in legs {
            if let Some(contract) = self.markets.get(symbol).and_then(|market| market.setup.contract.as_ref())
            {
                *sums.entry(contract.collateral.clone()).or_default() -= position.cost;
            }
        }
        sums.into_iter().collect()
    }

    fn listed(&self, symbol: &str) -> Option<&Market> {
        self.markets.get(symbol).filter(|market| market.setup.status != MarketStatus::Delisted)
    }

    fn tell(&mut self, news: News) {
        if self.news.len() >= self.news_limit {
            self.news.pop_front();
            self.news_lost += 1;
        }
        self.news.push_back(news);
    }
}

/// Whether sums and products under these rules stay exact, and an order can obey them at all.
fn check_rules(rules: &Rules) -> Result<(), &'static str> {
    let digits = rules.tick.normalize().scale() + rules.step.normalize().scale();
    let bounds =
        [rules.tick, rules.step, rules.min_price, rules.min_amount].iter().all(|v| *v > Decimal::ZERO);
    if !bounds || rules.min_notional < Decimal::ZERO {
        return Err("tick, step and least price and amount must be positive");
    }
    if rules.max_price < rules.min_price || rules.max_amount < rules.min_amount {
        return Err("a largest value is below the least");
    }
    if digits > MOST_DIGITS {
        return Err("tick and step together have more than 12 decimal places");
    }
    match rules.max_price.checked_mul(rules.max_amount) {
        Some(product) if product < Decimal::from(10_000_000_000_000_000_000_u64) => Ok(()),
        _ => Err("the largest price times the largest amount is beyond reason"),
    }
}
