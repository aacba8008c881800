//! Listen keys: names of an account's private stream that live for a while and are kept alive by asking.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connector_core::time::UnixNanos;
use smol_str::{SmolStr, ToSmolStr};

use crate::orders::AccountId;
use crate::random::Random;

/// Letters and digits of a key.
const LENGTH: usize = 64;

#[derive(Clone, Debug)]
struct Entry {
    key: SmolStr,
    expires: UnixNanos,
}

/// The listen keys of an exchange: at most one live key of an account.
#[derive(Clone, Debug)]
pub struct ListenKeys {
    live: BTreeMap<AccountId, Entry>,
    refused: BTreeSet<AccountId>,
    lifetime: Duration,
    random: Random,
}

impl ListenKeys {
    pub(crate) fn new(lifetime: Duration, seed: u64) -> Self {
        Self { live: BTreeMap::new(), refused: BTreeSet::new(), lifetime, random: Random::new(seed, 2) }
    }

    fn end(&self, now: UnixNanos) -> UnixNanos {
        now.offset(i64::try_from(self.lifetime.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The account's key: the live one, kept alive, or a new one.
    pub(crate) fn create(&mut self, account: AccountId, now: UnixNanos) -> SmolStr {
        let expires = self.end(now);
        if let Some(entry) = self.live.get_mut(&account) {
            entry.expires = expires;
            return entry.key.clone();
        }
        let key = self.random.text(LENGTH).to_smolstr();
        self.live.insert(account, Entry { key: key.clone(), expires });
        key
    }

    /// Keeps the account's key alive. `None` if there is none, or a fault refuses it.
    pub(crate) fn keep_alive(&mut self, account: AccountId, now: UnixNanos) -> Option<SmolStr> {
        let expires = self.end(now);
        let entry = self.live.get_mut(&account).filter(|_| !self.refused.contains(&account))?;
        entry.expires = expires;
        Some(entry.key.clone())
    }

    pub(crate) fn remove(&mut self, account: AccountId) -> Option<SmolStr> {
        self.live.remove(&account).map(|entry| entry.key)
    }

    pub(crate) fn refuse(&mut self, account: AccountId, refuse: bool) {
        if refuse {
            self.refused.insert(account);
        } else {
            self.refused.remove(&account);
        }
    }

    /// The account with a key that has expired by `now`, if any.
    pub(crate) fn expired(&self, now: UnixNanos) -> Option<AccountId> {
        self.live.iter().find(|(_, entry)| entry.expires <= now).map(|(account, _)| *account)
    }

    pub(crate) fn next_expiry(&self) -> Option<UnixNanos> {
        self.live.values().map(|entry| entry.expires).min()
    }

    /// Whose key it is; `None` unless it is live.
    #[must_use]
    pub fn owner(&self, key: &str) -> Option<AccountId> {
        self.live.iter().find(|(_, entry)| entry.key == key).map(|(account, _)| *account)
    }

    /// The account's live key.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Option<&SmolStr> {
        self.live.get(&account).map(|entry| &entry.key)
    }

    /// Live keys: account, key and when it ends.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &SmolStr, UnixNanos)> {
        self.live.iter().map(|(account, entry)| (*account, &entry.key, entry.expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: AccountId = AccountId(1);

    #[test]
    fn one_key_that_lives_as_long_as_it_is_asked_for() {
        let mut keys = ListenKeys::new(Duration::from_nanos(10), 1);
        let key = keys.create(ME, UnixNanos(0));
        assert_eq!((key.len(), keys.owner(&key)), (64, Some(ME)));
        assert_eq!(keys.create(ME, UnixNanos(5)), key);
        assert_eq!((keys.expired(UnixNanos(14)), keys.expired(UnixNanos(15))), (None, Some(ME)));
        assert_eq!(keys.keep_alive(ME, UnixNanos(10)), Some(key.clone()));
        assert_eq!(keys.next_expiry(), Some(UnixNanos(20)));
        keys.refuse(ME, true);
        assert_eq!(keys.keep_alive(ME, UnixNanos(11)), None);
        keys.refuse(ME, false);
        assert_eq!(keys.remove(ME), Some(key.clone()));
        assert_eq!((keys.keep_alive(ME, UnixNanos(11)), keys.owner(&key)), (None, None));
        assert_ne!(keys.create(ME, UnixNanos(12)), key);
    }
}
