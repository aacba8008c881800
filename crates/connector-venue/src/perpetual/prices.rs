//! Index, mark and funding rate of each contract, and all the exchange keeps about contracts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use super::{ContractSetup, FundingRate, Holder, MarkPrice, PerpetualSetup};
use crate::orders::AccountId;

/// Decimal places of prices and rates that are reckoned rather than traded at.
const PLACES: u32 = 8;
/// Settled fundings kept of a market.
const RATES: usize = 10_000;

/// Index, mark and rate of one contract.
#[derive(Clone, Debug)]
pub(crate) struct ContractState {
    pub(crate) index: Decimal,
    pub(crate) mark: Decimal,
    /// Mark price less index, which follows the book's middle slowly.
    basis: Decimal,
    pub(crate) fixed_index: Option<Decimal>,
    pub(crate) fixed_mark: Option<Decimal>,
    pub(crate) fixed_rate: Option<Decimal>,
    premium_sum: Decimal,
    premium_count: u32,
    pub(crate) next_funding: UnixNanos,
    pub(crate) rates: VecDeque<FundingRate>,
}

impl ContractState {
    pub(crate) fn new(contract: &ContractSetup, price: Decimal, now: UnixNanos) -> Self {
        Self {
            index: price,
            mark: price,
            basis: Decimal::ZERO,
            fixed_index: None,
            fixed_mark: None,
            fixed_rate: None,
            premium_sum: Decimal::ZERO,
            premium_count: 0,
            next_funding: next_multiple(now, contract.funding_interval),
            rates: VecDeque::new(),
        }
    }

    /// Takes in the price the contract follows and the middle of its book.
    pub(crate) fn follow(&mut self, reference: Decimal, middle: Option<Decimal>) {
        self.index = self.fixed_index.unwrap_or(reference).round_dp(PLACES).normalize();
        let premium = middle.map_or(Decimal::ZERO, |middle| middle - self.index);
        // An eighth of the way each time: a single price far off hardly shows.
        self.basis = (self.basis + (premium - self.basis) / Decimal::from(8)).round_dp(PLACES);
        let mark = self.fixed_mark.unwrap_or(self.index + self.basis);
        self.mark = mark.round_dp(PLACES).normalize();
        self.premium_sum += premium.checked_div(self.index).unwrap_or_default().round_dp(12);
        self.premium_count += 1;
    }

    /// The rate of the next funding as it stands: the mean premium since the last one, drawn towards the interest rate.
    pub(crate) fn rate(&self, contract: &ContractSetup) -> Decimal {
        if let Some(rate) = self.fixed_rate {
            return rate;
        }
        let count = Decimal::from(self.premium_count.max(1));
        let premium = self.premium_sum / count;
        let most = Decimal::new(5, 4);
        let drawn = premium + (contract.interest_rate - premium).clamp(-most, most);
        let (low, high) = contract.rate_bounds;
        drawn.clamp(low, high).round_dp(PLACES).normalize()
    }

    /// Notes a funding as settled and begins the next interval.
    pub(crate) fn settled(&mut self, rate: FundingRate, contract: &ContractSetup) {
        self.next_funding = next_multiple(rate.time, contract.funding_interval);
        (self.premium_sum, self.premium_count) = (Decimal::ZERO, 0);
        if self.rates.len() >= RATES {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
    }

    pub(crate) fn view(&self, symbol: &SmolStr, contract: &ContractSetup, time: UnixNanos) -> MarkPrice {
        MarkPrice {
            symbol: symbol.clone(),
            time,
            mark_price: self.mark,
            index_price: self.index,
            funding_rate: self.rate(contract),
            next_funding: self.next_funding,
        }
    }
}

/// The first whole multiple of `interval` since the epoch that is after `now`.
pub(crate) fn next_multiple(now: UnixNanos, interval: Duration) -> UnixNanos {
    let length = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
    UnixNanos((now.0.div_euclid(length) + 1).saturating_mul(length))
}

/// All the exchange keeps about contracts beside books and orders.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) setup: PerpetualSetup,
    pub(crate) contracts: BTreeMap<SmolStr, ContractState>,
    pub(crate) holders: BTreeMap<AccountId, Holder>,
    /// The next time marks are told; absent without contracts.
    pub(crate) next_mark: Option<UnixNanos>,
    pub(crate) next_income_id: u64,
    /// Collateral assets whose insurance fund takes nothing over any more.
    pub(crate) exhausted: BTreeSet<Asset>,
    /// Collateral assets whose insurance fund has been given its first money.
    pub(crate) funded: BTreeSet<Asset>,
}

impl State {
    pub(crate) const fn new(setup: PerpetualSetup) -> Self {
        Self {
            setup,
            contracts: BTreeMap::new(),
            holders: BTreeMap::new(),
            next_mark: None,
            next_income_id: 1,
            exhausted: BTreeSet::new(),
            funded: BTreeSet::new(),
        }
    }

    pub(crate) fn holder(&mut self, account: AccountId) -> &mut Holder {
        self.holders.entry(account).or_default()
    }

    pub(crate) fn mark(&self, symbol: &str) -> Decimal {
        self.contracts.get(symbol).map_or(Decimal::ZERO, |state| state.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perpetual::Bracket;

    fn contract() -> ContractSetup {
        ContractSetup::new("USDT", Bracket::table(&[(1000.into(), 10.into(), Decimal::new(1, 2))]))
    }

    #[test]
    fn the_mark_follows_the_book_slowly_and_the_index_at_once() {
        let mut state = ContractState::new(&contract(), 100.into(), UnixNanos(5));
        state.follow(100.into(), Some(108.into()));
        assert_eq!((state.index, state.mark), (100.into(), 101.into()));
        state.follow(200.into(), Some(200.into()));
        assert_eq!((state.index, state.mark), (200.into(), Decimal::new(200_875, 3)));
        (0..200).for_each(|_| state.follow(200.into(), Some(210.into())));
        assert!((state.mark - Decimal::from(210)).abs() < Decimal::new(1, 6));
        state.fixed_mark = Some(50.into());
        state.follow(200.into(), None);
        assert_eq!(state.mark, 50.into());
    }

    #[test]
    fn the_rate_is_interest_near_no_premium_and_bounded() {
        let mut state = ContractState::new(&contract(), 100.into(), UnixNanos(5));
        assert_eq!(state.rate(&contract()), Decimal::new(1, 4));
        state.follow(100.into(), Some(Decimal::new(10_002, 2)));
        assert_eq!(state.rate(&contract()), Decimal::new(1, 4));
        state.follow(100.into(), Some(Decimal::new(10_030, 2)));
        assert_eq!(state.rate(&contract()), Decimal::new(11, 4));
        (0..100).for_each(|_| state.follow(100.into(), Some(150.into())));
        assert_eq!(state.rate(&contract()), Decimal::new(75, 4));
    }

    #[test]
    fn fundings_fall_on_multiples() {
        let hours = |h: i64| UnixNanos(h * 3_600_000_000_000);
        let eight = Duration::from_secs(8 * 3600);
        assert_eq!(next_multiple(hours(7), eight), hours(8));
        assert_eq!(next_multiple(hours(8), eight), hours(16));
    }
}
