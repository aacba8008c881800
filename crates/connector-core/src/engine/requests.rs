//! Requests: from a job to bytes, and from an answer back to what it means.

mod calls;
mod drafts;
mod jobs;
mod orders;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;
use tracing::Span;
use tracing::field::Empty;

use super::{Engine, Phase, Timer, classify};
use crate::dialect::{Auth, Body, Cost, Dialect, Draft, Payload, Repeat, Row, Stamp};
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::id::{ClientOrderId, TradeId};
use crate::message::{Market, Message};
use crate::mutants::{self, Mutant};
use crate::throttle::{Charges, Lane, Outcome};
use crate::time::{Mono, Now, UnixNanos};
use crate::wire::{Action, HttpRequest, HttpResponse, LinkId, RequestId, TransportError};

pub use calls::OrderEntry;
pub(super) use calls::check_calls;
pub(super) use jobs::Job;

/// Waits for the throttler.
struct Waiting {
    job: Job,
    attempt: u32,
    draft: Option<(&'static Row, Draft)>,
    charges: Charges,
    /// From being asked for to its end.
    span: Span,
}

/// Sent, not answered.
struct Flying {
    job: Job,
    attempt: u32,
    row: &'static Row,
    sent: Now,
    charges: Charges,
    span: Span,
    /// The connection it was written to, if it does not go by HTTP.
    link: Option<LinkId>,
}

/// Requests on their way.
#[derive(Default)]
pub(super) struct Requests {
    next: u64,
    nonce: u64,
    /// Every job that is waiting or sent.
    pending: BTreeSet<Job>,
    /// Jobs that were refused for their time stamp, until the venue's clock has been read again.
    awaiting_clock: Vec<(Job, u32)>,
    waiting: BTreeMap<u64, Waiting>,
    flying: BTreeMap<u64, Flying>,
    /// Orders whose placement was cut off without an answer, and may still be on its way.
    cut_off: BTreeSet<ClientOrderId>,
    /// By when the calls over a connection have to be answered, in the order they were sent.
    call_deadlines: VecDeque<(Mono, u64)>,
    /// Where the next page of an order's fills starts.
    pages: BTreeMap<ClientOrderId, TradeId>,
}

impl Requests {
    pub(super) fn forget_waiting(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            self.pending.remove(&waiting.job);
        }
        self.awaiting_clock.clear();
    }

    /// Orders whose placement waits for the limits, none of which is to be sent any more.
    pub(super) fn take_unsent_orders(&mut self) -> Vec<ClientOrderId> {
        let waits = self.waiting.extract_if(.., |_, waiting| !waiting.job.placed().is_empty());
        let jobs: Vec<Job> = waits.map(|(_, waiting)| waiting.job).collect();
        for job in &jobs {
            self.pending.remove(job);
        }
        jobs.iter().flat_map(Job::placed).cloned().collect()
    }

    /// Whether the state or the fills of an order are being read.
    pub(super) fn reads_orders(&self) -> bool {
        self.pending.iter().any(|job| matches!(job, Job::Query(_) | Job::Fills(_)))
    }

    /// Whether the state or the fills of this order are being read.
    pub(super) fn reads_order(&self, id: &ClientOrderId) -> bool {
        [Job::Query(id.clone()), Job::Fills(id.clone())].iter().any(|job| self.pending.contains(job))
    }

    pub(super) fn page_start(&self, id: &ClientOrderId) -> Option<&TradeId> {
        self.pages.get(id)
    }

    pub(super) fn set_page(&mut self, id: ClientOrderId, start: TradeId) {
        self.pages.insert(id, start);
    }

    pub(super) fn end_pages(&mut self, id: &ClientOrderId) {
        self.pages.remove(id);
    }

    /// Whether the same job is already waiting or sent.
    pub(super) fn has(&self, job: &Job) -> bool {
        self.pending.contains(job)
    }
}

/// How long a request may wait for the limits before it is given up.
const fn patience(lane: Lane) -> Duration {
    match lane {
        Lane::Cancel => Duration::from_secs(60),
        // Longer than the ten seconds in which venues count orders: one asked for just after a window was used up has to
        // wait for the next, and that is no reason to drop it.
        Lane::Create => Duration::from_secs(15),
        // Thousands of pairs have to wait for each other, and asking again would only send them to the end of the queue.
        Lane::Bulk => Duration::from_secs(3_600),
        _ => Duration::from_secs(120),
    }
}

/// Attempts at start-up before an unreachable venue is reported as such.
const START_ATTEMPTS: u32 = 3;
/// Wait where the venue says that we are too fast, but not for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

impl<D: Dialect> Engine<D> {
    pub(super) fn request(&mut self, now: Now, job: Job) {
        self.request_again(now, job, 0);
    }

    pub(super) fn request_again(&mut self, now: Now, job: Job, attempt: u32) {
        // What reads is never queued twice; an order is placed by one job only.
        if !self.requests.pending.insert(job.clone()) {
            return;
        }
        let own = |costs: Option<&'static [Cost]>| Cow::Borrowed(costs.unwrap_or_default());
        let (draft, costs): (_, Cow<'static, [Cost]>) = match &job {
            Job::Connect(index) => (None, own(self.link_spec(*index).map(|spec| spec.connect_cost))),
            Job::Login(index) => (None, own(self.link_spec(*index).map(|spec| spec.login_cost))),
            _ => match self.draft(&job) {
                Ok((row, draft)) => (Some((row, draft)), self.costs(row)),
                Err(error) => return self.impossible(now, &job, attempt, error),
            },
        };
        let operation = draft.as_ref().map_or("connect", |(row, _)| row.name);
        let param = |name: &str| draft.as_ref().and_then(|(_, draft)| draft.param(name));
        let charges = match self.throttler.charges(operation, &costs, param) {
            Ok(charges) => charges,
            Err(error) => return self.impossible(now, &job, attempt, error),
        };
        let ticket = self.requests.next;
        self.requests.next += 1;
        let lane = job.lane();
        let row = draft.as_ref().map(|(row, _)| row.name);
        let span = row.map_or_else(Span::none, |row| request_span::<D>(row, ticket, lane));
        // Where nothing waits and the limits have room, a request goes straight through.
        if self.throttler.try_admit(lane, &charges, now) {
            return self.send(now, ticket, Waiting { job, attempt, draft, charges, span });
        }
        match self.throttler.enqueue(ticket, lane, charges, now.mono.after(patience(lane)), now) {
            Ok(()) => {
                if let Job::Book(pair) = &job {
                    self.feeds.expect_snapshot(pair, false);
                }
                self.requests.waiting.insert(ticket, Waiting { job, attempt, draft, charges, span });
            }
            Err(shed) => {
                let error = shed.error(operation);
                self.account_for(row, &span, None, Some(&error));
                let _inside = span.entered();
                self.finish(now, now, &job, attempt, Err(error));
            }
        }
    }

    /// A request that cannot even be written or paid for. One about several orders is asked for each of them alone.
    fn impossible(&mut self, now: Now, job: &Job, attempt: u32, error: Error) {
        match job.each() {
            Some(jobs) => {
                self.requests.pending.remove(job);
                self.request_each(now, jobs, attempt);
            }
            None => self.finish(now, now, job, attempt, Err(error)),
        }
    }

    /// Sends whatever the limits admit now.
    pub(super) fn serve_throttler(&mut self, now: Now) {
        while self.throttler.deadline().is_some_and(|at| at <= now.mono)
            && let Some(outcome) = self.throttler.next(now)
        {
            match outcome {
                Outcome::Admit(ticket) => {
                    if let Some(waiting) = self.requests.waiting.remove(&ticket) {
                        self.send(now, ticket, waiting);
                    }
                }
                Outcome::Shed(ticket, why) => {
                    if let Some(Waiting { job, attempt, draft, span, .. }) =
                        self.requests.waiting.remove(&ticket)
                    {
                        let row = draft.as_ref().map(|(row, _)| row.name);
                        let error = why.error(row.unwrap_or("connect"));
                        self.account_for(row, &span, None, Some(&error));
                        let _inside = span.entered();
                        self.finish(now, now, &job, attempt, Err(error));
                    }
                }
                Outcome::NearLimit(usage) => self.emit(Event::LimitWarning {
                    time: now.utc,
                    pool: SmolStr::new_static(usage.name),
                    used: u64::from(usage.used),
                    limit: u64::from(usage.limit),
                }),
            }
        }
    }

    fn send(&mut self, now: Now, ticket: u64, waiting: Waiting) {
        let Waiting { job, attempt, draft, charges, span } = waiting;
        if let Job::Book(pair) = &job {
            self.feeds.expect_snapshot(pair, true);
        }
        let Some((row, draft)) = draft else {
            self.throttler.release(&charges);
            self.requests.pending.remove(&job);
            return match job {
                Job::Connect(index) => self.open_link(now, index),
                Job::Login(index) => self.send_login(now, index),
                _ => {}
            };
        };
        let (timeout, way) = (self.config.request_timeout, self.way(now, row));
        let link = way.map(|way| way.link);
        let sealed = span.in_scope(|| match way {
            Some(way) => self.write_call(&way, draft, ticket, now),
            None => self.seal(row, draft, now).map(|request| Action::Http {
                id: RequestId(ticket),
                request,
                timeout,
            }),
        });
        match sealed {
            Ok(action) => {
                for id in job.placed() {
                    self.tracker.sent(now, id);
                }
                tracing::debug!(parent: &span, venue = D::SPEC.name, row = row.name, ticket, "request");
                if link.is_some() {
                    self.requests.call_deadlines.push_back((now.mono.after(timeout), ticket));
                }
                let flying = Flying { job, attempt, row, sent: now, charges, span, link };
                self.requests.flying.insert(ticket, flying);
                self.actions.push_back(action);
            }
            Err(error) => {
                self.throttler.release(&charges);
                self.account_for(Some(row.name), &span, None, Some(&error));
                let _inside = span.entered();
                self.finish(now, now, &job, attempt, Err(error));
            }
        }
    }

    /// Tells how a request ended: in its span and in the metrics. `latency` if it was answered.
    fn account_for(
        &mut self,
        row: Option<&'static str>,
        span: &Span,
        latency: Option<Duration>,
        failure: Option<&Error>,
    ) {
        let Some(row) = row else { return };
        if !span.is_disabled() {
            match failure {
                Some(error) => span.record("outcome", tracing::field::display(error.cause)),
                None => span.record("outcome", "ok"),
            };
            if let Some(latency) = latency {
                span.record("latency_us", u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            }
        }
        self.config.meter.request(row, failure.map(|error| error.cause), latency);
    }

    /// Notes the use of the limits, for those who watch.
    pub(super) fn measure_limits(&mut self, now: Now) {
        let throttler = &mut self.throttler;
        self.config.meter.limits(|| throttler.usage(now));
    }

    /// Signs after the limits have let go, immediately before the write, so that the time stamp is fresh.
    fn seal(&mut self, row: &Row, mut draft: Draft, now: Now) -> Result<HttpRequest, Error> {
        if row.auth != Auth::Public {
            let stamp = self.stamp(now);
            let keys = self.config.keys.as_ref().ok_or_else(|| {
                Error::usage(row.name, "this needs credentials, and the connector was built without")
            })?;
            D::sign(&mut draft, keys, stamp)?;
        } else {
            draft.query_text = draft.query.encode();
        }
        let mut headers = Vec::with_capacity(draft.headers.len() + 2);
        headers.extend(draft.headers.into_iter().map(|(name, value)| (SmolStr::new_static(name), value)));
        let (body, content_type) = match draft.body {
            Body::None => (Bytes::new(), None),
            Body::Form(text) => (Bytes::from(text), Some("application/x-www-form-urlencoded")),
            Body::Json(text) => (Bytes::from(text), Some("application/json")),
        };
        if let Some(content_type) = content_type {
            headers.push((SmolStr::new_static("content-type"), SmolStr::new_static(content_type)));
        }
        headers.push((
            SmolStr::new_static("user-agent"),
            SmolStr::new_static(concat!("connector-core/", env!("CARGO_PKG_VERSION"))),
        ));
        Ok(HttpRequest {
            method: draft.method,
            path: draft.path.to_owned(),
            query: draft.query_text,
            headers,
            body,
        })
    }

    pub(super) fn stamp(&mut self, now: Now) -> Stamp {
        let time = self.venue_time(now);
        let clock = u64::try_from(time.0).unwrap_or_default();
        self.requests.nonce = clock.max(self.requests.nonce + 1);
        Stamp { time, nonce: self.requests.nonce }
    }

    pub(super) fn on_response(
        &mut self,
        now: Now,
        id: RequestId,
        result: Result<HttpResponse, TransportError>,
    ) {
        let Some(Flying { job, attempt, row, sent, charges, span, .. }) = self.requests.flying.remove(&id.0)
        else {
            return;
        };
        self.throttler.release(&charges);
        let _inside = span.enter();
        let latency = result.is_ok().then(|| now.mono.since(sent.mono));
        if let Ok(response) = &result {
            span.record("status", response.status);
        }
        let result = match result {
            Ok(response) => self.read_response(now, sent, &job, row, response),
            Err(error) => {
                let (cause, effect) = match &error {
                    TransportError::NotSent(_) => (Cause::Network, Effect::NotSent),
                    TransportError::Broken(_) => (Cause::Network, Effect::Unknown),
                    TransportError::Timeout => (Cause::Timeout, Effect::Unknown),
                };
                Err(Error::new(cause, effect, row.name, error.to_string()))
            }
        };
        self.account_for(Some(row.name), &span, latency, result.as_ref().err());
        self.measure_limits(now);
        if let (Job::ServerTime, Ok(messages)) = (&job, &result) {
            for message in messages {
                if let Message::ServerTime { time } = message {
                    self.clock.sample(sent, now, *time);
                }
            }
            if let Some(offset) = self.clock.offset_ns(now) {
                self.throttler.set_clock(offset, now);
            }
        }
        self.finish(now, sent, &job, attempt, result);
    }

    fn read_response(
        &mut self,
        now: Now,
        sent: Now,
        job: &Job,
        row: &'static Row,
        mut response: HttpResponse,
    ) -> Result<Vec<Message>, Error> {
        self.throttler.observe_headers(|name| response.header(name), sent, now);
        if !(200..300).contains(&response.status) {
            return Err(self.refused(now, row, &response));
        }
        if let Job::Book(pair) = job
            && self.config.tap.is_on()
        {
            self.tap(now, &response.body, Some(pair));
        }
        let market = match job {
            Job::Book(pair) | Job::Probe(pair) | Job::Fees(pair) => Some(Market::Pair(pair.clone())),
            job => Self::asked_market(job),
        };
        let decode = D::REST.decoder(row.name).ok_or_else(|| Error::usage(row.name, "has no decoder"))?;
        let mut messages = Vec::new();
        let payload = Payload { bytes: &mut response.body, symbols: &self.symbols, market: market.as_ref() };
        decode(payload, &mut messages).map_err(|error| {
            // A success that cannot be read may have been one.
            let effect = if row.repeat == Repeat::LookUp { Effect::Unknown } else { Effect::NotSent };
            Error::new(Cause::Malformed, effect, row.name, error.to_string())
        })?;
        Ok(messages)
    }

    /// Reads an error response, and closes the limits if that is what it says.
    fn refused(&mut self, now: Now, row: &Row, response: &HttpResponse) -> Error {
        let error = classify::<D>(row.name, response.status, &response.body);
        if matches!(error.cause, Cause::RateLimited | Cause::Banned)
            && !mutants::is(Mutant::RetryAfterIgnored)
        {
            let after = response
                .header("retry-after")
                .and_then(|text| text.trim().parse().ok())
                .map_or(DEFAULT_RETRY_AFTER, Duration::from_secs);
            self.throttler.close_all(now.mono.after(after));
        }
        error
    }

    /// Brings a job to its end: by its answer, by a refusal, or because it could not be sent.
    pub(super) fn finish(
        &mut self,
        now: Now,
        sent: Now,
        job: &Job,
        attempt: u32,
        result: Result<Vec<Message>, Error>,
    ) {
        self.requests.pending.remove(job);
        if let Some(jobs) = job.each() {
            return match result {
                // All of it goes again, once the clock is right.
                Err(error) if heals(&error, attempt) => self.failed(now, job, attempt, error),
                result => self.finish_each(now, sent, &jobs, attempt, result),
            };
        }
        let result = self.judged_by_listing(now, job, result).map_err(|error| match job.order() {
            Some(id) => error.at(D::SPEC.name).about(id.as_str()),
            None => error.at(D::SPEC.name),
        });
        match result {
            Ok(messages) => {
                self.succeeded(now, sent, job, messages);
                self.advance_start(now, job);
            }
            Err(error) => self.failed(now, job, attempt, error),
        }
        if *job == Job::ServerTime {
            for (job, attempt) in std::mem::take(&mut self.requests.awaiting_clock) {
                self.request_again(now, job, attempt);
            }
        }
    }

    /// What an answer means in the light of what is listed: the venue holds nothing of a market it no longer has, and a
    /// refusal that contradicts the rules known here makes them suspect.
    fn judged_by_listing(
        &mut self,
        now: Now,
        job: &Job,
        result: Result<Vec<Message>, Error>,
    ) -> Result<Vec<Message>, Error> {
        let error = match result {
            Err(error) if error.effect == Effect::Rejected => error,
            other => return other,
        };
        if !matches!(error.cause, Cause::Market | Cause::TradingRule) || *job == Job::Rules {
            return Err(error);
        }
        self.demand_rules(now);
        let pair = match job {
            Job::OpenOrders(pair) => pair.clone(),
            _ => job.order().and_then(|id| self.tracker.get(id)).map(|order| order.order().pair.clone()),
        };
        let delisted = error.cause == Cause::Market && pair.is_some_and(|pair| self.is_delisted(&pair));
        match job {
            Job::OpenOrders(Some(_)) | Job::Fills(_) if delisted => Ok(Vec::new()),
            Job::Query(_) if delisted => Err(Error { cause: Cause::OrderNotFound, ..error }),
            _ => Err(error),
        }
    }

    fn failed(&mut self, now: Now, job: &Job, attempt: u32, error: Error) {
        tracing::debug!(venue = D::SPEC.name, ?job, attempt, %error, "request failed");
        if heals(&error, attempt) {
            self.clock.demand();
            self.request(now, Job::ServerTime);
            self.requests.awaiting_clock.push((job.clone(), 1));
            return;
        }
        match job {
            Job::Place(id) => {
                self.note_cut_off(id, &error);
                self.tracker.place_failed(now, id, &error);
                self.doubt_positions(now, &error);
            }
            Job::Cancel(id) => self.tracker.cancel_failed(now, id, &error),
            Job::Query(id) => self.query_failed(now, id, &error),
            Job::Fills(id) => self.fills_failed(now, id, &error),
            Job::Connect(index) => self.link_lost(now, *index, &error.to_string()),
            Job::Login(index) => self.login_failed(now, *index, error),
            Job::StreamKey => self.key_failed(now, error),
            Job::KeepKey => self.keep_failed(now, attempt, error),
            Job::FundingPayments => self.payments_failed(now, error),
            Job::Set(setting) => self.setting_failed(now, setting, error),
            // The next look at the feeds, or the next audit, asks again.
            Job::Probe(_) | Job::ProbeTrades(_) => {}
            _ => self.retry(now, job, attempt, error),
        }
    }

    fn note_cut_off(&mut self, id: &ClientOrderId, error: &Error) {
        if error.effect == Effect::Unknown && matches!(error.cause, Cause::Network | Cause::Timeout) {
            let open = |id: &ClientOrderId| self.tracker.get(id).is_some_and(|order| !order.is_ending());
            self.requests.cut_off.retain(open);
            self.requests.cut_off.insert(id.clone());
        }
    }

    /// From how long after it was sent the venue's not finding an order is evidence. A request that was cut off may wait
    /// somewhere on the venue's side until its time stamp is too old for it to be carried out.
    pub(super) fn visibility(&self, id: &ClientOrderId) -> Duration {
        let cut_off = D::SPEC.clock.filter(|_| self.requests.cut_off.contains(id));
        D::SPEC.visibility + cut_off.map_or(Duration::ZERO, |clock| clock.window)
    }

    /// Reads again later, unless asking again cannot help.
    fn retry(&mut self, now: Now, job: &Job, attempt: u32, error: Error) {
        let hopeless = matches!(
            error.cause,
            Cause::Credentials
                | Cause::Signature
                | Cause::Permission
                | Cause::Usage
                | Cause::Market
                | Cause::BadRequest
        );
        let starting = self.phase == Phase::Starting;
        let answered_wrongly = error.cause == Cause::Malformed;
        if starting && (hopeless || answered_wrongly || attempt + 1 >= START_ATTEMPTS) {
            return self.fail(now, error);
        }
        let key = format!("{}:{:?}", error.operation, error.cause);
        self.report(now, &key, error);
        if hopeless {
            self.doubt_stays(now, job);
        } else {
            let cap = if starting { Duration::from_secs(1) } else { Duration::from_secs(30) };
            let wait = self.backoff(Duration::from_millis(250), cap, attempt);
            if *job == Job::ServerTime && !starting {
                self.clock_rests_until = now.mono.after(wait);
            } else {
                self.set_timer(now.mono.after(wait), Timer::Retry(job.clone(), attempt + 1));
            }
        }
    }

    fn succeeded(&mut self, now: Now, sent: Now, job: &Job, messages: Vec<Message>) {
        match job {
            Job::Rules => self.take_rules(now, messages),
            Job::Book(pair) => self.take_snapshot(now, pair, &messages),
            Job::Probe(pair) => self.take_probe(now, sent, pair, &messages),
            Job::ProbeTrades(pair) => self.take_last_price(now, sent, pair, &messages),
            Job::Balances => self.take_balances(now, sent, &messages),
            Job::OpenOrders(pair) => self.take_open_orders(now, sent, pair.as_ref(), &messages),
            Job::Fills(id) => self.take_fills(now, sent, id, &messages),
            Job::Place(id) => {
                self.take_placed(now, id, messages);
                // Where the stream tells no balances, an order may be all that it has to tell.
                if !D::SPEC.balance_push {
                    self.doubt_user_link(now, sent);
                }
            }
            Job::Cancel(id) => {
                self.tracker.cancel_accepted(now, id);
                self.take_account(now, messages);
            }
            Job::Query(_) => {
                self.take_account(now, messages);
                self.doubt_user_link(now, sent);
            }
            Job::Fees(_) | Job::PositionMode | Job::Leverage => self.take_account(now, messages),
            Job::StreamKey => self.take_key(now, sent, messages),
            Job::KeepKey => self.key_kept(now, sent),
            Job::Positions => self.take_positions(now, sent, messages),
            Job::Brackets => self.take_brackets(now, messages),
            Job::FundingInfo(_) => self.take_funding_info(now, sent, messages),
            Job::FundingPayments => self.take_payments(now, messages),
            Job::Set(setting) => self.setting_made(now, setting, messages),
            // Those about several orders have ended as one about each.
            Job::ServerTime | Job::Connect(_) | Job::Login(_) | Job::PlaceMany(_) | Job::CancelMany(_) => {}
        }
        if Self::is_perpetual() {
            self.settle_doubt(now, sent, job);
        }
        self.recovered(now, sent, job);
    }
}

/// Whether to heal the clock, then to ask once more: the venue has proven that it did nothing.
fn heals(error: &Error, attempt: u32) -> bool {
    let early = error.cause == Cause::Timestamp && attempt == 0 && error.effect == Effect::Rejected;
    early && !mutants::is(Mutant::ClockNotHealed)
}

/// The span of a request. A root of its own: what one answer sets off lives longer than the request that was answered.
fn request_span<D: Dialect>(row: &'static str, ticket: u64, lane: Lane) -> Span {
    tracing::debug_span!(
        parent: None,
        "request",
        venue = D::SPEC.name,
        row,
        ticket,
        ?lane,
        link = Empty,
        outcome = Empty,
        status = Empty,
        latency_us = Empty
    )
}

/// From where own fills are read: the last one known, or a time before the oldest order of interest.
pub(super) type Watermark = (Option<TradeId>, Option<UnixNanos>);
