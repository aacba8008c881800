//! Where an engine counts. Without the feature `metrics`, or if nobody asked for it, nowhere, and at no cost.

use std::time::Duration;

use crate::error::Cause;
use crate::event::{Event, LinkState};
use crate::throttle::PoolUsage;

/// Where an engine counts; nowhere by default. With the feature `metrics` the connector's builder sets it.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    #[cfg(feature = "metrics")]
    account: Option<crate::metrics::Account>,
}

#[cfg(feature = "metrics")]
impl Meter {
    pub(crate) const fn new(account: crate::metrics::Account) -> Self {
        Self { account: Some(account) }
    }

    fn to(&self, count: impl FnOnce(&crate::metrics::Account)) {
        if let Some(account) = &self.account {
            count(account);
        }
    }

    pub(super) fn event(&self, event: &Event) {
        self.to(|account| account.event(event));
    }

    pub(super) fn request(&self, row: &'static str, failure: Option<Cause>, latency: Option<Duration>) {
        self.to(|account| account.request(row, failure, latency));
    }

    pub(super) fn limits(&self, read: impl FnOnce() -> Vec<PoolUsage>) {
        self.to(|account| account.limits(&read()));
    }

    pub(super) fn link(&self, name: &'static str, read: impl FnOnce() -> Vec<LinkState>) {
        self.to(|account| account.link(name, &read()));
    }

    pub(crate) fn ended(&self, links: impl Iterator<Item = &'static str>) {
        self.to(|account| account.ended(links));
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "the same calls as with the feature")]
impl Meter {
    pub(super) const fn event(&self, _: &Event) {}

    pub(super) const fn request(&self, _: &'static str, _: Option<Cause>, _: Option<Duration>) {}

    pub(super) fn limits(&self, _: impl FnOnce() -> Vec<PoolUsage>) {}

    pub(super) fn link(&self, _: &'static str, _: impl FnOnce() -> Vec<LinkState>) {}
}
