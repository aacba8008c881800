//! Funding: what is announced, and the payments made of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

use super::super::requests::Job;
use super::super::{Engine, Timer};
use crate::dialect::{Channel, Dialect, FundingPaymentsQuery};
use crate::error::{Cause, Effect, Error};
use crate::event::{self, Event, FundingChanged};
use crate::funding::{Fetch, FundingLedger, FundingRates, FundingState};
use crate::journal::{FundingPayment, Run};
use crate::message::{FundingInfo, Message};
use crate::pair::Pair;
use crate::time::{Mono, Now, UnixNanos};

/// How often a changed rate of a pair is told: venues move it with every message.
const RATE_PERIOD: Duration = Duration::from_secs(10);
/// How often what is due and what is silent is looked at.
const WATCH: Duration = Duration::from_secs(10);
/// A stream that has not told a pair's funding for this long is helped out by a request.
const SILENT: Duration = Duration::from_secs(30);
/// How often the payments are read though none is expected.
const PAYMENTS_PERIOD: Duration = Duration::from_secs(600);
/// When payments are read after they are due or hinted at; once more after the venue's declared delay.
const LOOKS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];
/// Due times kept; the latest are dropped. Venues have a handful.
const MAX_DUE: usize = 256;

/// What was told of a followed pair.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// When anything was heard of it.
    heard: Mono,
    /// When it was told last, and what.
    at: Mono,
    rate: Option<Decimal>,
    next_time: Option<UnixNanos>,
}

/// A fetch whose pages are being read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    fetch: Fetch,
    /// Where the next page starts.
    from: UnixNanos,
}

/// Funding of all pairs.
pub(in crate::engine) struct Funding {
    rates: FundingRates,
    told: FxHashMap<Pair, Told>,
    /// When payments are due, as far as that was announced.
    due: BTreeSet<UnixNanos>,
    ledger: FundingLedger,
    reading: Option<Reading>,
    /// Something was expected while a fetch was under way.
    again: bool,
    failures: u32,
    /// When payments were last read completely, and when they were last expected.
    read_at: Mono,
    expected_at: Option<Mono>,
}

impl Funding {
    pub(in crate::engine) fn new(run: Option<&Run>, started: UnixNanos, late: Duration) -> Self {
        let since = run.map_or(started, |run| run.first_started);
        let stored = run.map(|run| run.funding.as_slice()).unwrap_or_default();
        Self {
            rates: FundingRates::default(),
            told: FxHashMap::default(),
            due: BTreeSet::new(),
            ledger: FundingLedger::resume(since, late, stored),
            reading: None,
            again: false,
            failures: 0,
            read_at: Mono(0),
            expected_at: None,
        }
    }

    pub(in crate::engine) fn state(&self, pair: &Pair) -> FundingState {
        self.rates.get(pair)
    }

    /// Whether anything is known of a pair's next funding.
    pub(super) fn knows(&self, pair: &Pair) -> bool {
        let state = self.rates.get(pair);
        state.rate.is_some() || state.mark_price.is_some()
    }

    /// Takes a message in. `asked` stands in for a missing time, see [`FundingRates::apply`]. Answers with an event if there is
    /// news for whoever follows the pair. Cheap: it comes once a second for each of thousands of pairs.
    pub(in crate::engine) fn told(
        &mut self,
        now: Now,
        info: &FundingInfo,
        asked: UnixNanos,
    ) -> Option<Event> {
        let pair = info.market.pair()?;
        let changed = self.rates.apply(info, asked);
        if let Some(due) = info.next_time.filter(|due| *due > asked && !self.due.contains(due)) {
            self.due.insert(due);
            if self.due.len() > MAX_DUE {
                self.due.pop_last();
            }
        }
        let told = self.told.get_mut(pair)?;
        told.heard = now.mono;
        if changed { news(now, pair, &self.rates, told) } else { None }
    }

    /// A pair is followed from now on. Answers with what is known of it already.
    fn follow(&mut self, now: Now, pair: &Pair) -> Option<Event> {
        let nothing = Told { heard: now.mono, at: Mono(0), rate: None, next_time: None };
        let told = self.told.entry(pair.clone()).or_insert(nothing);
        news(now, pair, &self.rates, told)
    }

    pub(super) fn forget(&mut self, pair: &Pair) {
        self.rates.forget(pair);
        self.told.remove(pair);
    }
}

/// What is to be told of a pair now, if anything; notes that it was.
fn news(now: Now, pair: &Pair, rates: &FundingRates, told: &mut Told) -> Option<Event> {
    let state = rates.get(pair);
    let due = state.next_time != told.next_time;
    let rate = state.rate != told.rate && (told.rate.is_none() || now.mono.since(told.at) >= RATE_PERIOD);
    if !due && !rate {
        return None;
    }
    (told.at, told.rate, told.next_time) = (now.mono, state.rate, state.next_time);
    Some(Event::FundingChanged(FundingChanged {
        time: now.utc,
        pair: pair.clone(),
        rate: state.rate,
        next_time: state.next_time,
        mark_price: state.mark_price,
        index_price: state.index_price,
    }))
}

impl<D: Dialect> Engine<D> {
    /// Begins to watch what is due.
    pub(super) fn begin_funding(&mut self, now: Now) {
        self.perpetual.funding.read_at = now.mono;
        for pair in self.feeds.pairs(|_| true) {
            let event = self.perpetual.funding.follow(now, &pair);
            self.events.extend(event);
        }
        if self.trades() {
            self.fetch_payments(now);
        }
        self.watch_funding(now);
    }

    /// Looks at what is due, what has not been told yet, and what the stream leaves out.
    pub(in crate::engine) fn watch_funding(&mut self, now: Now) {
        let venue_now = self.venue_time(now);
        let funding = &mut self.perpetual.funding;
        let mut settled = false;
        while let Some(due) = funding.due.first().copied().filter(|due| *due <= venue_now) {
            funding.due.remove(&due);
            settled = true;
        }
        let late: VecDeque<Event> = {
            let rates = &funding.rates;
            let mut told: Vec<_> = funding.told.iter_mut().collect();
            told.sort_unstable_by(|one, other| one.0.cmp(other.0));
            told.into_iter().filter_map(|(pair, told)| news(now, pair, rates, told)).collect()
        };
        self.events.extend(late);
        if self.trades() {
            if settled {
                self.expect_payments(now);
            } else if now.mono.since(self.perpetual.funding.read_at) >= PAYMENTS_PERIOD {
                self.fetch_payments(now);
            }
        }
        self.refresh_funding(now, settled);
        let wait = self.perpetual.funding.due.first().map_or(WATCH, |due| {
            let left = due.0.saturating_sub(venue_now.0);
            Duration::from_nanos(u64::try_from(left).unwrap_or_default()).min(WATCH)
        });
        self.set_timer(now.mono.after(wait.max(Duration::from_millis(10))), Timer::WatchFunding);
    }

    /// Asks for the funding of followed pairs that no stream tells, and after a settlement for that of positions elsewhere.
    fn refresh_funding(&mut self, now: Now, settled: bool) {
        let funding = &self.perpetual.funding;
        let silent =
            |pair: &Pair| funding.told.get(pair).is_none_or(|told| now.mono.since(told.heard) >= SILENT);
        let mut pairs: Vec<Pair> = self.feeds.pairs(|_| true).into_iter().filter(silent).collect();
        if settled && self.trades() {
            let held = self.perpetual.book.open_pairs();
            pairs.extend(held.into_iter().filter(|pair| !self.feeds.contains(pair)));
        }
        for job in self.funding_jobs(&pairs) {
            self.request(now, job);
        }
    }

    /// The answer to what was asked at `sent` about the next funding.
    pub(in crate::engine) fn take_funding_info(&mut self, now: Now, sent: Now, messages: Vec<Message>) {
        let asked = self.venue_time(sent);
        for message in messages {
            match message {
                Message::FundingInfo(info) => self.funding_told(now, &info, asked),
                other => self.apply_account(now, other),
            }
        }
    }

    pub(super) fn funding_told(&mut self, now: Now, info: &FundingInfo, asked: UnixNanos) {
        let event = self.perpetual.funding.told(now, info, asked);
        self.events.extend(event);
    }

    /// Payments have been made, or soon will be: the history is read until they must be in it.
    pub(super) fn expect_payments(&mut self, now: Now) {
        let funding = &mut self.perpetual.funding;
        // One settlement is hinted at by as many messages as there are positions.
        if funding.expected_at.is_some_and(|at| now.mono.since(at) < Duration::from_secs(1)) {
            return;
        }
        funding.expected_at = Some(now.mono);
        let delay = D::SPEC.perpetual.map(|spec| spec.funding_delay).unwrap_or_default();
        for wait in LOOKS.into_iter().chain([delay + Duration::from_secs(1)]) {
            self.set_timer(now.mono.after(wait), Timer::FetchPayments);
        }
    }

    /// Reads the payments since the watermark, or once more if they are being read.
    pub(in crate::engine) fn fetch_payments(&mut self, now: Now) {
        let venue_now = self.venue_time(now);
        let funding = &mut self.perpetual.funding;
        if funding.reading.is_some() {
            funding.again = true;
            return;
        }
        let fetch = funding.ledger.fetch(venue_now);
        funding.reading = Some(Reading { fetch, from: fetch.from });
        self.request(now, Job::FundingPayments);
    }

    /// The page that is to be asked for.
    pub(in crate::engine) fn payments_query(&self) -> Option<FundingPaymentsQuery> {
        let Reading { fetch, from } = self.perpetual.funding.reading?;
        let limit = Self::perpetual_rest()?.funding_page;
        Some(FundingPaymentsQuery { from, to: fetch.to, limit })
    }

    /// A page of payments; after the last one, those that are new are written down and told.
    pub(in crate::engine) fn take_payments(&mut self, now: Now, messages: Vec<Message>) {
        let Some(reading) = self.perpetual.funding.reading else { return };
        let (mut page, mut rows, mut last) = (Vec::new(), 0_u32, reading.from);
        for message in messages {
            match message {
                Message::FundingPayment(paid) => {
                    rows += 1;
                    last = last.max(paid.time);
                    match FundingPayment::of(&paid) {
                        Some(payment) => page.push(payment),
                        None => self.report_payment(now, "is of a market that is not listed"),
                    }
                }
                Message::Skipped { error } => {
                    rows += 1;
                    self.report_payment(now, &error);
                }
                _ => {}
            }
        }
        let funding = &mut self.perpetual.funding;
        funding.ledger.read(page);
        funding.failures = 0;
        if Self::perpetual_rest().is_some_and(|rest| rows >= rest.funding_page) {
            // The last one comes again: others of its time may follow it.
            let from = if last > reading.from { last } else { reading.from.offset(1_000_000) };
            funding.reading = Some(Reading { from, ..reading });
            if last <= reading.from {
                self.report_payment(now, "there are more of one time than a page holds");
            }
            return self.request(now, Job::FundingPayments);
        }
        let new = funding.ledger.finish(reading.fetch);
        (funding.reading, funding.read_at) = (None, now.mono);
        let again = std::mem::take(&mut funding.again);
        let events: Vec<Event> = new.into_iter().map(|payment| paid(now, payment)).collect();
        if !events.is_empty() {
            self.record_events(now, &events);
            self.events.extend(events);
            self.account_stirred(now);
        }
        if again {
            self.fetch_payments(now);
        }
    }

    /// Payments could not be read: the fetch is begun again later.
    pub(in crate::engine) fn payments_failed(&mut self, now: Now, error: Error) {
        let funding = &mut self.perpetual.funding;
        (funding.reading, funding.again) = (None, false);
        let attempt = funding.failures;
        funding.failures = attempt.saturating_add(1);
        let wait = self.backoff(Duration::from_millis(500), Duration::from_secs(60), attempt);
        self.set_timer(now.mono.after(wait), Timer::FetchPayments);
        self.report(now, &format!("payments:{:?}", error.cause), error);
    }

    fn report_payment(&mut self, now: Now, why: &str) {
        let problem = Error::new(Cause::Malformed, Effect::Unknown, "funding payment", why);
        self.report(now, &format!("payment:{why}"), problem);
    }

    /// A pair is followed from now on: its funding has to be known.
    pub(in crate::engine) fn follow_funding(&mut self, now: Now, pair: &Pair) {
        let event = self.perpetual.funding.follow(now, pair);
        self.events.extend(event);
        let streamed = D::SPEC.channels.iter().any(|spec| spec.channel == Channel::Funding);
        if !streamed || !self.perpetual.funding.knows(pair) {
            for job in self.funding_jobs(std::slice::from_ref(pair)) {
                self.request(now, job);
            }
        }
    }

    /// A pair is not followed any more.
    pub(in crate::engine) fn unfollow_funding(&mut self, pair: &Pair) {
        self.perpetual.funding.forget(pair);
    }
}

fn paid(now: Now, payment: FundingPayment) -> Event {
    Event::FundingPaid(event::FundingPaid {
        time: now.utc,
        venue_time: payment.time,
        pair: payment.pair,
        amount: payment.amount,
        asset: payment.asset,
        rate: payment.rate,
        payment_id: payment.payment_id,
    })
}
