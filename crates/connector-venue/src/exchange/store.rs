//! Orders by id, by account and by client id.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smol_str::SmolStr;

use crate::orders::{AccountId, Order, Which};

#[derive(Clone, Debug, Default)]
struct Index {
    /// All orders kept, oldest first.
    all: VecDeque<u64>,
    live: BTreeSet<u64>,
    /// The latest order of a market and client id.
    clients: BTreeMap<(SmolStr, SmolStr), u64>,
}

/// All orders. House orders are in no index and leave when they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    orders: BTreeMap<u64, Order>,
    accounts: BTreeMap<AccountId, Index>,
    limit: usize,
}

impl Store {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), ..Self::default() }
    }

    pub(super) fn insert(&mut self, order: Order) {
        if !order.account.is_house() {
            let index = self.accounts.entry(order.account).or_default();
            index.all.push_back(order.id);
            index.live.insert(order.id);
            index.clients.insert((order.symbol.clone(), order.client_id.clone()), order.id);
            if index.all.len() > self.limit {
                self.forget_oldest(order.account);
            }
        }
        self.orders.insert(order.id, order);
    }

    /// Notes that an order has ended.
    pub(super) fn end(&mut self, account: AccountId, id: u64) {
        if let Some(index) = self.accounts.get_mut(&account) {
            index.live.remove(&id);
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.orders.remove(&id);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.get_mut(&id)
    }

    pub(super) fn find(&self, account: AccountId, symbol: &str, which: &Which) -> Option<&Order> {
        let id = match which {
            Which::Id(id) => *id,
            Which::Client(client) => {
                let key = (SmolStr::new(symbol), client.clone());
                *self.accounts.get(&account)?.clients.get(&key)?
            }
        };
        self.orders.get(&id).filter(|order| order.account == account && order.symbol == symbol)
    }

    pub(super) fn live(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        let index = self.accounts.get(&account).into_iter();
        index.flat_map(|index| index.live.iter()).filter_map(|id| self.orders.get(id))
    }

    pub(super) fn all(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        let index = self.accounts.get(&account).into_iter();
        index.flat_map(|index| index.all.iter()).filter_map(|id| self.orders.get(id))
    }

    /// Live orders of everyone on a market, by id.
    pub(super) fn live_on(&self, symbol: &str) -> Vec<u64> {
        let live = self.orders.values().filter(|order| order.symbol == symbol && order.is_live());
        live.map(|order| order.id).collect()
    }

    fn forget_oldest(&mut self, account: AccountId) {
        let Some(index) = self.accounts.get_mut(&account) else { return };
        let Some(at) = index.all.iter().position(|id| !index.live.contains(id)) else { return };
        let Some(order) = index.all.remove(at).and_then(|id| self.orders.remove(&id)) else { return };
        let key = (order.symbol, order.client_id);
        if index.clients.get(&key) == Some(&order.id) {
            index.clients.remove(&key);
        }
    }
}
