//! Funding payments, each told once and none missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smol_str::SmolStr;

use crate::journal::FundingPayment;
use crate::pair::Pair;
use crate::time::UnixNanos;

/// Names a payment, in the order of payments.
type Key = (UnixNanos, Pair, Option<SmolStr>);

fn key(payment: &FundingPayment) -> Key {
    (payment.time, payment.pair.clone(), payment.payment_id.clone())
}

/// A stretch of the venue's payment history that is being read, by the venue's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Its first time, inclusive.
    pub from: UnixNanos,
    /// Its last time, inclusive: not later than the moment the first page was asked for.
    pub to: UnixNanos,
}

/// The funding payments of what one query covers: an account, or one pair of it.
///
/// It reads the venue's history from a *watermark* on, before which nothing can be missing. A [`Fetch`] may come in pages of any
/// order and overlap; only once all of it was read ([`finish`](Self::finish)) are its payments handed out and the
/// watermark moves, up to the time before which the venue can add no more. A fetch that fails is simply begun again.
///
/// **The journal is the memory.** Payments are handed out in the order of their times. If they are written down in the order in
/// which they were handed out, then whatever part of them survives a crash tells where to go on: by
/// [`resume`](Self::resume), nothing is lost and nothing is written down twice. There is no other state to store.
///
/// Payments are named by pair, time and the venue's id, so all sources that are given to one ledger have to name them alike. A
/// stream that announces payments without their ids is a reason to fetch, not a source.
///
/// Bounded by what the venue paid since the watermark.
#[derive(Clone, Debug)]
pub struct FundingLedger {
    watermark: UnixNanos,
    /// How long after its time a payment may appear in the history, in nanoseconds.
    late: i64,
    /// Handed out, not before the watermark.
    told: BTreeSet<Key>,
    /// Read, not yet handed out.
    read: BTreeMap<Key, FundingPayment>,
}

impl FundingLedger {
    /// A ledger of the payments since a time, by the venue's clock. `late` is how long after its time a payment may first appear
    /// in the venue's history.
    #[must_use]
    pub fn new(since: UnixNanos, late: Duration) -> Self {
        let late = i64::try_from(late.as_nanos()).unwrap_or(i64::MAX);
        Self { watermark: since, late, told: BTreeSet::new(), read: BTreeMap::new() }
    }

    /// The ledger of an earlier run, by the payments that were written down. `since` and `late` are the same as then: a good
    /// `since` is the time of the account's first order in the journal.
    #[must_use]
    pub fn resume<'a>(
        since: UnixNanos,
        late: Duration,
        stored: impl IntoIterator<Item = &'a FundingPayment>,
    ) -> Self {
        let mut ledger = Self::new(since, late);
        ledger.told.extend(stored.into_iter().map(key));
        // What is stored last was read together with everything that was visible then.
        if let Some((last, ..)) = ledger.told.last() {
            ledger.move_to(last.offset(-ledger.late));
        }
        ledger
    }

    /// Before this time, nothing can be missing.
    #[must_use]
    pub const fn watermark(&self) -> UnixNanos {
        self.watermark
    }

    /// What has to be read next, at `now` by the venue's clock.
    #[must_use]
    pub fn fetch(&self, now: UnixNanos) -> Fetch {
        Fetch { from: self.watermark, to: now.max(self.watermark) }
    }

    /// Takes what was read: any page, in any order, any number of times.
    pub fn read(&mut self, page: impl IntoIterator<Item = FundingPayment>) {
        for payment in page {
            let key = key(&payment);
            if payment.time >= self.watermark && !self.told.contains(&key) {
                self.read.insert(key, payment);
            }
        }
    }

    /// All pages of a fetch have been read. Returns the payments that are new, in the order of their times: to be written down in
    /// this order, and then told.
    ///
    /// A fetch that began after the watermark leaves a gap and hands out nothing.
    #[must_use]
    pub fn finish(&mut self, fetch: Fetch) -> Vec<FundingPayment> {
        if fetch.from > self.watermark {
            return Vec::new();
        }
        // Later ones came along by chance; those between them and this may not have.
        let mut new = Vec::new();
        while let Some(entry) = self.read.first_entry().filter(|entry| entry.key().0 <= fetch.to) {
            let (key, payment) = entry.remove_entry();
            self.told.insert(key);
            new.push(payment);
        }
        self.move_to(fetch.to.offset(-self.late));
        new
    }

    fn move_to(&mut self, time: UnixNanos) {
        if time > self.watermark {
            self.watermark = time;
            self.told.retain(|(told, ..)| *told >= time);
            self.read.retain(|(read, ..), _| *read >= time);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    fn payment(time: i64, pair: &str, id: Option<&str>) -> FundingPayment {
        FundingPayment {
            time: UnixNanos(time),
            pair: pair.parse().unwrap(),
            asset: "USDT".into(),
            amount: Decimal::new(-time, 2),
            rate: None,
            payment_id: id.map(SmolStr::from),
        }
    }

    fn fetch(from: i64, to: i64) -> Fetch {
        Fetch { from: UnixNanos(from), to: UnixNanos(to) }
    }

    const LATE: Duration = Duration::from_nanos(10);

    #[test]
    fn several_payments_in_one_poll_are_told_in_their_order() {
        let mut ledger = FundingLedger::new(UnixNanos(100), LATE);
        assert_eq!(ledger.fetch(UnixNanos(500)), fetch(100, 500));
        assert_eq!(ledger.fetch(UnixNanos(50)), fetch(100, 100), "the clock was set back");
        let (one, two) = (payment(200, "BTC-USDT", Some("1")), payment(300, "BTC-USDT", Some("2")));
        let leg = payment(300, "BTC-USDT", Some("3"));
        ledger.read([leg.clone(), two.clone(), payment(99, "BTC-USDT", None)]);
        ledger.read([two.clone(), one.clone()]);
        ledger.read([payment(501, "BTC-USDT", Some("4"))]);
        assert!(ledger.finish(fetch(101, 500)).is_empty(), "there is a gap before it");
        assert_eq!(ledger.watermark(), UnixNanos(100));
        assert_eq!(ledger.finish(fetch(100, 500)), [one, two.clone(), leg]);
        assert_eq!(ledger.watermark(), UnixNanos(490));
        ledger.read([two]);
        assert_eq!(ledger.finish(fetch(100, 500)), []);
        assert_eq!(ledger.finish(fetch(490, 600)).len(), 1, "what came along before is not lost");
        assert_eq!(ledger.watermark(), UnixNanos(590));
    }

    #[test]
    fn a_payment_that_appears_late_is_told_late() {
        let mut ledger = FundingLedger::new(UnixNanos(0), LATE);
        let (early, late) = (payment(95, "BTC-USDT", None), payment(92, "ETH-USDT", None));
        ledger.read([early.clone()]);
        assert_eq!(ledger.finish(fetch(0, 100)), std::slice::from_ref(&early));
        let mut resumed = FundingLedger::resume(UnixNanos(0), LATE, [&early]);
        assert_eq!(resumed.watermark(), UnixNanos(85));
        for ledger in [&mut ledger, &mut resumed] {
            let next = ledger.fetch(UnixNanos(110));
            ledger.read([early.clone(), late.clone()]);
            assert_eq!(ledger.finish(next), std::slice::from_ref(&late));
        }
    }

    #[test]
    fn without_stored_payments_a_ledger_begins_where_it_did() {
        let ledger = FundingLedger::resume(UnixNanos(7), LATE, []);
        assert_eq!(ledger.watermark(), UnixNanos(7));
        let old = payment(3, "BTC-USDT", None);
        assert_eq!(FundingLedger::resume(UnixNanos(7), LATE, [&old]).watermark(), UnixNanos(7));
        assert_eq!(FundingLedger::new(UnixNanos(7), Duration::MAX).fetch(UnixNanos(9)), fetch(7, 9));
    }

    /// What happens at one moment of a run.
    #[derive(Clone, Debug)]
    struct Poll {
        after: i64,
        page: usize,
        overlap: usize,
        order: Vec<u32>,
        /// The fetch ends after so many pages.
        fails_after: Option<usize>,
        /// The process dies when so many of the new payments are stored.
        dies_after: Option<usize>,
    }

    fn poll() -> impl Strategy<Value = Poll> {
        let order = prop::collection::vec(any::<u32>(), 1..8);
        let (fails, dies) =
            (prop::option::weighted(0.3, 0_usize..4), prop::option::weighted(0.3, 0_usize..6));
        (0_i64..60, 1_usize..6, 0_usize..4, order, fails, dies).prop_map(
            |(after, page, overlap, order, fails_after, dies_after)| Poll {
                after,
                page,
                overlap,
                order,
                fails_after,
                dies_after,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn each_once_and_none_missed(
            // Time, delay until it appears, pair.
            paid in prop::collection::vec((0_i64..500, 0_i64..=10, 0_usize..3), 0..40),
            polls in prop::collection::vec(poll(), 1..20),
            since in 0_i64..100,
        ) {
            let pairs = ["BTC-USDT", "ETH-USDT", "XRP-USDT"];
            let venue: Vec<_> = paid
                .iter()
                .enumerate()
                .map(|(id, (time, delay, pair))| (time + delay, payment(*time, pairs[*pair], Some(&id.to_string()))))
                .collect();
            let mut stored: Vec<FundingPayment> = Vec::new();
            let mut ledger = FundingLedger::new(UnixNanos(since), LATE);
            let last = Poll { after: 2000, page: 7, overlap: 1, order: vec![3, 1, 2], fails_after: None, dies_after: None };
            let mut now = 0;
            for poll in polls.iter().chain([&last]) {
                now += poll.after;
                let fetch = ledger.fetch(UnixNanos(now));
                let shown = |(appears, payment): &&(i64, FundingPayment)| {
                    *appears <= now && payment.time >= fetch.from && payment.time <= fetch.to
                };
                let mut history: Vec<_> = venue.iter().filter(shown).map(|(_, payment)| payment.clone()).collect();
                history.sort_by_key(key);
                let pages = history.len().div_ceil(poll.page);
                let mut order: Vec<usize> = (0..pages).collect();
                order.sort_by_key(|page| poll.order[page % poll.order.len()]);
                for page in order.iter().take(poll.fails_after.unwrap_or(usize::MAX)) {
                    let first = (page * poll.page).saturating_sub(poll.overlap);
                    let end = ((page + 1) * poll.page).min(history.len());
                    ledger.read(history[first..end].iter().cloned());
                }
                if poll.fails_after.is_none_or(|fails| fails >= pages) {
                    let new = ledger.finish(fetch);
                    prop_assert!(new.is_sorted_by_key(|payment| payment.time));
                    for payment in &new {
                        prop_assert!(!stored.contains(payment), "told twice: {payment:?}");
                    }
                    stored.extend(new.into_iter().take(poll.dies_after.unwrap_or(usize::MAX)));
                }
                if poll.dies_after.is_some() {
                    ledger = FundingLedger::resume(UnixNanos(since), LATE, &stored);
                }
                for (_, payment) in &venue {
                    let missing = payment.time >= UnixNanos(since) && payment.time < ledger.watermark();
                    prop_assert!(!missing || stored.contains(payment), "missed: {payment:?}");
                }
            }
            let mut all: Vec<_> = venue.into_iter().map(|(_, payment)| payment).collect();
            all.retain(|payment| payment.time >= UnixNanos(since));
            all.sort_by_key(key);
            stored.sort_by_key(key);
            prop_assert_eq!(stored, all);
        }
    }
}
