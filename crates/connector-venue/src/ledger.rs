//! Who owns what: the judge of every test, so it is exact and forgets nothing it is asked about.
//!
//! Invariant: for each asset, what all accounts hold plus the fees collected equals what came from outside.

use std::collections::{BTreeMap, VecDeque};

use connector_core::order::Side;
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use serde::Serialize;
use smol_str::SmolStr;

use crate::orders::{AccountId, Execution, Order};
use crate::perpetual::PositionView;
use crate::setup::{AccountSetup, FeeAsset, Fees};

/// What an account holds of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Spendable on new orders.
    pub free: Decimal,
    /// Set aside for open orders.
    pub locked: Decimal,
}

impl Balance {
    /// Everything held.
    #[must_use]
    pub fn total(self) -> Decimal {
        self.free + self.locked
    }
}

/// Which executions or orders are asked for.
///
/// Shape of the answer: rising ids within a market. With `from_id` or `since` it is the first `limit` that match, else
/// the last `limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of this market only.
    pub symbol: Option<SmolStr>,
    /// Of this order only.
    pub order_id: Option<u64>,
    /// Trade id (executions) or order id (orders) to start from, included.
    pub from_id: Option<u64>,
    /// Earliest time, included: of the execution, or of the order's creation.
    pub since: Option<UnixNanos>,
    /// Latest time, included.
    pub until: Option<UnixNanos>,
    /// Most entries; `None` = all.
    pub limit: Option<usize>,
}

impl HistoryQuery {
    /// Everything on one market.
    #[must_use]
    pub fn of(symbol: impl AsRef<str>) -> Self {
        Self { symbol: Some(SmolStr::new(symbol)), ..Self::default() }
    }

    /// Whether an entry matches.
    pub(crate) fn admits(&self, symbol: &str, order_id: u64, id: u64, time: UnixNanos) -> bool {
        self.symbol.as_ref().is_none_or(|wanted| wanted == symbol)
            && self.order_id.is_none_or(|wanted| wanted == order_id)
            && self.from_id.is_none_or(|from| id >= from)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
    }

    /// The page of all that matched.
    pub(crate) fn page<T>(&self, mut found: Vec<T>) -> Vec<T> {
        let limit = self.limit.unwrap_or(usize::MAX);
        if self.from_id.is_some() || self.since.is_some() {
            found.truncate(limit);
        } else {
            found.drain(..found.len().saturating_sub(limit));
        }
        found
    }
}

/// All the exchange knows of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerView {
    /// Whose.
    pub account: AccountId,
    /// Every asset ever held, by name.
    pub balances: Vec<(Asset, Balance)>,
    /// Open orders, by id.
    pub open_orders: Vec<Order>,
    /// Every execution, oldest first.
    pub fills: Vec<Execution>,
    /// Positions on contracts that are not flat.
    pub positions: Vec<PositionView>,
}

/// One side of a trade, to be settled.
pub(crate) struct Settlement<'a> {
    pub(crate) account: AccountId,
    pub(crate) symbol: &'a str,
    pub(crate) base: &'a Asset,
    pub(crate) quote: &'a Asset,
    pub(crate) side: Side,
    pub(crate) amount: Decimal,
    pub(crate) cost: Decimal,
    pub(crate) is_maker: bool,
}

#[derive(Clone, Debug)]
struct Account {
    balances: BTreeMap<Asset, Balance>,
    fees: Option<Fees>,
    market_fees: BTreeMap<SmolStr, Fees>,
    fee_asset: Option<FeeAsset>,
    fills: VecDeque<Execution>,
    changed: UnixNanos,
}

/// All accounts.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    accounts: BTreeMap<AccountId, Account>,
    collected: BTreeMap<Asset, Decimal>,
    outside: BTreeMap<Asset, Decimal>,
    fees: Fees,
    fee_scale: u32,
    history_limit: usize,
}

impl Ledger {
    pub(crate) const fn new(fees: Fees, fee_scale: u32, history_limit: usize) -> Self {
        Self {
            accounts: BTreeMap::new(),
            collected: BTreeMap::new(),
            outside: BTreeMap::new(),
            fees,
            fee_scale,
            history_limit,
        }
    }

    /// Opens an account without money. `false` if the id is taken.
    pub(crate) fn open(&mut self, setup: AccountSetup, now: UnixNanos) -> bool {
        let account = Account {
            balances: BTreeMap::new(),
            fees: setup.fees,
            market_fees: setup.market_fees.into_iter().collect(),
            fee_asset: setup.fee_asset,
            fills: VecDeque::new(),
            changed: now,
        };
        let free = !self.accounts.contains_key(&setup.id);
        if free {
            self.accounts.insert(setup.id, account);
        }
        free
    }

    pub(crate) fn knows(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    pub(crate) fn balance(&self, account: AccountId, asset: &Asset) -> Balance {
        self.accounts.get(&account).and_then(|found| found.balances.get(asset)).copied().unwrap_or_default()
    }

    pub(crate) fn balances(&self, account: AccountId) -> Vec<(Asset, Balance)> {
        let found = self.accounts.get(&account).into_iter();
        found.flat_map(|account| account.balances.iter()).map(|(asset, b)| (asset.clone(), *b)).collect()
    }

    pub(crate) fn changed(&self, account: AccountId) -> Option<UnixNanos> {
        self.accounts.get(&account).map(|account| account.changed)
    }

    pub(crate) fn stamp(&mut self, account: AccountId, now: UnixNanos) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.changed = now;
        }
    }

    /// Moves money in or out. `false`, and nothing done, if less is free or the account is unknown, or if the asset's
    /// sum would become too large to be exact.
    pub(crate) fn transfer(&mut self, account: AccountId, asset: &Asset, amount: Decimal) -> bool {
        let outside = self.outside.get(asset).copied().unwrap_or_default();
        let Some(sum) = outside.checked_add(amount) else { return false };
        let exact = amount.scale() <= MOST_DIGITS && sum.abs() < Decimal::from(LARGEST_SUM);
        let Some(found) = self.accounts.get_mut(&account) else { return false };
        let balance = found.balances.entry(asset.clone()).or_default();
        if !exact || balance.free + amount < Decimal::ZERO {
            return false;
        }
        balance.free += amount;
        self.outside.insert(asset.clone(), sum);
        true
    }

    /// Sets free money aside; the caller has checked that it is there.
    pub(crate) fn lock(&mut self, account: AccountId, asset: &Asset, amount: Decimal) {
        let balance = self.entry(account, asset);
        balance.free -= amount;
        balance.locked += amount;
    }

    /// Makes money set aside free again.
    pub(crate) fn unlock(&mut self, account: AccountId, asset: &Asset, amount: Decimal) {
        self.lock(account, asset, -amount);
    }

    /// Exchanges one side's assets and collects its fee. A maker pays from what is locked, a taker from what is free.
    pub(crate) fn settle(&mut self, settlement: &Settlement<'_>) -> (Decimal, Asset) {
        let &Settlement { account, base, quote, side, amount, cost, .. } = settlement;
        let (paid, price, received, gain) = match side {
            Side::Buy => (quote, cost, base, amount),
            Side::Sell => (base, amount, quote, cost),
        };
        let balance = self.entry(account, paid);
        if settlement.is_maker {
            balance.locked -= price;
        } else {
            balance.free -= price;
        }
        self.entry(account, received).free += gain;
        self.charge(account, settlement.symbol, received, gain, settlement.is_maker)
    }

    /// Credits profit (positive) or debits a loss from what is free. The caller keeps the other side of it: the cost of
    /// positions, or another account.
    pub(crate) fn gain(&mut self, account: AccountId, asset: &Asset, amount: Decimal) {
        self.entry(account, asset).free += amount;
    }

    /// Collects the fee of a trade of this value, in `asset` or what the account pays fees in instead.
    pub(crate) fn charge(
        &mut self,
        account: AccountId,
        symbol: &str,
        asset: &Asset,
        value: Decimal,
        is_maker: bool,
    ) -> (Decimal, Asset) {
        let (fee, asset) = self.fee(account, symbol, is_maker, asset, value);
        self.entry(account, &asset).free -= fee;
        *self.collected.entry(asset.clone()).or_default() += fee;
        (fee, asset)
    }

    /// As fine as fees are, towards zero.
    pub(crate) fn rounded(&self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.fee_scale, rust_decimal::RoundingStrategy::ToZero).normalize()
    }

    pub(crate) const fn history_limit(&self) -> usize {
        self.history_limit
    }

    fn fee(
        &self,
        account: AccountId,
        symbol: &str,
        is_maker: bool,
        received: &Asset,
        gain: Decimal,
    ) -> (Decimal, Asset) {
        let fees = self.fees(account, symbol);
        let ppm = if is_maker { fees.maker_ppm } else { fees.taker_ppm };
        let part = |of: Decimal, ppm: i64| of * Decimal::new(ppm, 6);
        let round = |fee: Decimal| self.rounded(fee);
        let fee_asset = self.accounts.get(&account).and_then(|account| account.fee_asset.as_ref());
        let third = fee_asset.filter(|_| ppm > 0).and_then(|third| {
            let (_, worth) =
                third.worth.iter().find(|(asset, worth)| asset == received && *worth > Decimal::ZERO)?;
            let discounted = part(part(gain, ppm), 1_000_000 - third.discount_ppm);
            let fee = round(discounted / worth);
            let free = self.balance(account, &third.asset).free;
            (fee <= free).then(|| (fee, third.asset.clone()))
        });
        third.unwrap_or_else(|| (round(part(gain, ppm)), received.clone()))
    }

    pub(crate) fn fees(&self, account: AccountId, symbol: &str) -> Fees {
        let Some(found) = self.accounts.get(&account) else { return self.fees };
        found.market_fees.get(symbol).copied().or(found.fees).unwrap_or(self.fees)
    }

    pub(crate) fn set_fees(&mut self, account: AccountId, symbol: Option<&str>, fees: Fees) {
        let Some(found) = self.accounts.get_mut(&account) else { return };
        match symbol {
            Some(symbol) => {
                found.market_fees.insert(SmolStr::new(symbol), fees);
            }
            None => {
                found.market_fees.clear();
                found.fees = Some(fees);
            }
        }
    }

    pub(crate) fn record(&mut self, account: AccountId, execution: Execution) {
        let limit = self.history_limit;
        if let Some(found) = self.accounts.get_mut(&account) {
            while found.fills.len() >= limit.max(1) {
                found.fills.pop_front();
            }
            found.fills.push_back(execution);
        }
    }

    pub(crate) fn fills(&self, account: AccountId, query: &HistoryQuery) -> Vec<&Execution> {
        let all = self.accounts.get(&account).into_iter().flat_map(|account| account.fills.iter());
        query.page(all.filter(|e| query.admits(&e.symbol, e.order_id, e.trade_id, e.time)).collect())
    }

    pub(crate) fn imbalance(&self) -> Vec<(Asset, Decimal)> {
        let mut sums = self.collected.clone();
        for account in self.accounts.values() {
            for (asset, balance) in &account.balances {
                *sums.entry(asset.clone()).or_default() += balance.total();
            }
        }
        for (asset, amount) in &self.outside {
            *sums.entry(asset.clone()).or_default() -= *amount;
        }
        sums.into_iter().collect()
    }

    fn entry(&mut self, account: AccountId, asset: &Asset) -> &mut Balance {
        // Every caller comes with an account that was checked before; an empty one here would show up as imbalance.
        let account = self.accounts.entry(account).or_insert_with(|| Account {
            balances: BTreeMap::new(),
            fees: None,
            market_fees: BTreeMap::new(),
            fee_asset: None,
            fills: VecDeque::new(),
            changed: UnixNanos::default(),
        });
        account.balances.entry(asset.clone()).or_default()
    }
}

/// Decimal places money can have: with [`LARGEST_SUM`] it keeps every sum within the 28 digits that are exact.
pub(crate) const MOST_DIGITS: u32 = 12;
/// No asset exists in this amount or more.
const LARGEST_SUM: u64 = 10_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ME: AccountId = AccountId(1);

    fn ledger(fee_asset: Option<FeeAsset>) -> Ledger {
        let mut ledger = Ledger::new(Fees { maker_ppm: 1000, taker_ppm: 2000 }, 8, 3);
        let setup = AccountSetup { fee_asset, ..AccountSetup::new(ME, Vec::new()) };
        assert!(ledger.open(setup.clone(), UnixNanos(0)) && !ledger.open(setup, UnixNanos(0)));
        assert!(ledger.transfer(ME, &"USDT".into(), 1000.into()));
        ledger
    }

    fn buy(ledger: &mut Ledger, is_maker: bool) -> (Decimal, Asset) {
        ledger.settle(&Settlement {
            account: ME,
            symbol: "BTCUSDT",
            base: &"BTC".into(),
            quote: &"USDT".into(),
            side: Side::Buy,
            amount: 2.into(),
            cost: 200.into(),
            is_maker,
        })
    }

    #[test]
    fn fees_come_from_what_is_received() {
        let mut ledger = ledger(None);
        assert_eq!(buy(&mut ledger, false), (Decimal::new(4, 3), "BTC".into()));
        assert_eq!(ledger.balance(ME, &"BTC".into()).free, Decimal::new(1996, 3));
        ledger.lock(ME, &"USDT".into(), 200.into());
        ledger.set_fees(ME, Some("BTCUSDT"), Fees { maker_ppm: -500, taker_ppm: 0 });
        assert_eq!(buy(&mut ledger, true), (Decimal::new(-1, 3), "BTC".into()));
        let usdt = Balance { free: 600.into(), locked: 0.into() };
        assert_eq!(ledger.balance(ME, &"USDT".into()), usdt);
    }

    #[test]
    fn fees_in_a_third_asset_while_there_is_enough() {
        let worth = vec![("BTC".into(), Decimal::new(1, 2))];
        let mut ledger = ledger(Some(FeeAsset { asset: "FEE".into(), worth, discount_ppm: 250_000 }));
        assert_eq!(buy(&mut ledger, false).1, "BTC".into());
        assert!(ledger.transfer(ME, &"FEE".into(), Decimal::new(3, 1)));
        assert_eq!(buy(&mut ledger, false), (Decimal::new(3, 1), "FEE".into()));
        assert_eq!(buy(&mut ledger, false).1, "BTC".into());
        assert!(ledger.imbalance().iter().any(|(asset, sum)| *asset == "BTC".into() && *sum == 6.into()));
    }

    #[test]
    fn transfers_never_overdraw() {
        let mut ledger = ledger(None);
        ledger.lock(ME, &"USDT".into(), 900.into());
        assert!(!ledger.transfer(ME, &"USDT".into(), (-101).into()));
        assert!(ledger.transfer(ME, &"USDT".into(), (-100).into()));
        assert!(!ledger.transfer(ME, &"USDT".into(), Decimal::MAX));
        assert!(!ledger.transfer(AccountId(2), &"USDT".into(), 1.into()));
        assert!(ledger.imbalance().iter().all(|(_, sum)| sum.is_zero()));
    }
}
