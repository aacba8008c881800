//! All orders of one account: finds the order a message is about, and keeps asking until every question is settled.
//!
//! Does no I/O and reads no clock: the engine calls it with what happened, sends what [`Tracker::wants`] returns, and wakes
//! at [`Tracker::deadline`]. Orders that were not submitted or restored here are never tracked.
//!
//! Invariant: an order is in `open` until its terminal event was emitted; every order with an open question has a timer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use smol_str::SmolStr;

use super::cancelling::backoff;
use super::lifecycle::Urgency;
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::fee::FeeSchedule;
use crate::id::{ClientOrderId, ExchangeOrderId};
use crate::journal::RestoredOrder;
use crate::message::{Fill, Market, Message, OrderReport};
use crate::order::{CancelStep, NewOrder, OrderState, TrackedOrder};
use crate::pair::Pair;
use crate::time::{Mono, Now};

/// Something the tracker asks the engine to do. Sorted by importance: cancels first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Want {
    /// Send a cancel for this order; it counts as sent. Answer with [`Tracker::cancel_accepted`], a report that tells
    /// the order's end, or [`Tracker::cancel_failed`].
    CancelNow(ClientOrderId),
    /// Ask the venue for this order's state. Answer with [`Tracker::apply`] or [`Tracker::not_found`]; any other error
    /// is no answer, and the want comes again.
    QueryOrder(ClientOrderId),
    /// Fetch this order's fills. Answer with [`Tracker::apply`] for each, then [`Tracker::fills_fetched`].
    FetchFills(ClientOrderId),
    /// List the open orders of this pair (or of all pairs). Answer with [`Tracker::open_orders_snapshot`].
    OpenOrders(Pair),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is about this order.
    Order(ClientOrderId),
    /// It names no order known yet, and is kept until it does or grows old.
    Kept,
    /// It is about somebody else's order, or not about an order at all.
    Foreign,
}

/// How often a question is asked without delay in a recovery.
const HURRIED: u32 = 10;

/// Bounds of a tracker.
#[derive(Clone, Copy, Debug)]
pub struct TrackerLimits {
    /// Most orders that have not ended.
    pub open: usize,
    /// Most ended orders kept for stragglers, or for a second twice as many; the oldest go first.
    pub closed: usize,
    /// How long ended orders are kept.
    pub closed_age: Duration,
    /// Most messages kept while they match no order; the oldest go first.
    pub unmatched: usize,
    /// How long they are kept.
    pub unmatched_age: Duration,
}

impl Default for TrackerLimits {
    fn default() -> Self {
        Self {
            open: 10_000,
            closed: 1_000,
            closed_age: Duration::from_secs(600),
            unmatched: 1_000,
            unmatched_age: Duration::from_secs(60),
        }
    }
}

/// How often what is too old is forgotten.
const TIDY: Duration = Duration::from_secs(1);

/// Which of an order's two timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Cancel,
    Inquiry,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    due: Mono,
    attempt: u32,
    urgency: Urgency,
}

#[derive(Debug)]
struct Slot {
    order: TrackedOrder,
    inquiry: Option<Timer>,
    cancel_due: Option<Mono>,
    /// How many of the order's exchange ids are in the index.
    indexed: usize,
    /// When a query was last handed out, until a not-found has used it.
    queried: Option<Mono>,
}

/// All orders of one account.
///
/// **Shape**: lookups are O(log n); iteration is in the order of client order ids. Everything is bounded by
/// [`TrackerLimits`].
#[derive(Debug, Default)]
pub struct Tracker {
    limits: TrackerLimits,
    venue: SmolStr,
    /// Boxed, as the map moves its values about.
    orders: BTreeMap<ClientOrderId, Box<Slot>>,
    by_exchange: BTreeMap<(Pair, ExchangeOrderId), ClientOrderId>,
    open: BTreeSet<ClientOrderId>,
    /// Open orders whose exchange id is not known: while there are any, unmatched messages may be theirs.
    nameless: BTreeSet<ClientOrderId>,
    closed: VecDeque<(Mono, ClientOrderId)>,
    unmatched: VecDeque<(Mono, Message)>,
    timers: BTreeSet<(Mono, Lane, ClientOrderId)>,
    events: Vec<Event>,
    /// When what is too old was last forgotten.
    tidied: Mono,
    /// By which fees are estimated that the venue does not tell.
    fees: BTreeMap<Pair, FeeSchedule>,
    /// What orders are submitted with.
    leverages: BTreeMap<Pair, Decimal>,
}

impl Tracker {
    /// A tracker without orders.
    #[must_use]
    pub fn new(limits: TrackerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Names the connector, for the errors in its events.
    #[must_use]
    pub fn named(mut self, venue: impl AsRef<str>) -> Self {
        self.venue = SmolStr::new(venue);
        self
    }

    /// Registers an order before it is sent. `order` holds the values as they will be sent: quantised.
    ///
    /// # Errors
    /// `Usage`/`NotSent`: the id is taken, the amount is not positive, or too many orders are open. Nothing is
    /// registered then.
    pub fn submit(&mut self, now: Now, id: ClientOrderId, order: NewOrder) -> Result<(), Error> {
        let leverage = self.leverages.get(&order.pair).copied();
        self.insert(now, id, order, leverage)
    }

    /// Registers an order of an earlier run from what was saved of it. Emits no event for what was told then, asks the
    /// venue at once, and goes on from there: without exchange id and fills its outcome counts as unknown.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn restore(
        &mut self,
        now: Now,
        id: ClientOrderId,
        order: NewOrder,
        exchange_ids: &[ExchangeOrderId],
        fills: &[Fill],
    ) -> Result<(), Error> {
        self.take_up(
            now,
            &RestoredOrder {
                client_order_id: id,
                order,
                submitted: now.utc,
                created: !exchange_ids.is_empty() || !fills.is_empty(),
                cancel_requested: false,
                exchange_order_ids: exchange_ids.to_vec(),
                fills: fills.to_vec(),
            },
        )
    }

    /// [`Self::restore`] with everything a journal knows. The wish to cancel it is left to the caller.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn take_up(&mut self, now: Now, saved: &RestoredOrder) -> Result<(), Error> {
        let key = &saved.client_order_id;
        // Visibility counts from now, because the placement may have been sent a moment ago by the clock that matters;
        // fills are looked for since the order was first submitted.
        let submitted = Now { utc: saved.submitted, ..now };
        self.insert(submitted, key.clone(), saved.order.clone(), None)?;
        self.update(now, key, |order, events| {
            order.resume(&saved.exchange_order_ids, saved.created);
            let told = events.len();
            for fill in &saved.fills {
                order.fill(now, fill, None, events);
            }
            // Fills were told in the earlier run; an end that follows from them was not.
            let mut place = 0;
            events.retain(|event| {
                place += 1;
                place <= told || !matches!(event, Event::OrderFilled(_) | Event::Problem { .. })
            });
        });
        Ok(())
    }

    fn insert(
        &mut self,
        now: Now,
        id: ClientOrderId,
        order: NewOrder,
        leverage: Option<Decimal>,
    ) -> Result<(), Error> {
        let refusal = if self.orders.contains_key(&id) {
            Some("the client order id is taken")
        } else if order.amount <= Decimal::ZERO {
            Some("the amount must be positive")
        } else if self.open.len() >= self.limits.open {
            Some("too many open orders")
        } else {
            None
        };
        if let Some(text) = refusal {
            return Err(Error::usage("place order", text).about(id.as_str()).at(&self.venue));
        }
        // An order on its way does not wait for housekeeping, unless that has not been done for long.
        if self.closed.len() > self.limits.closed.saturating_mul(2) {
            self.evict(now);
        }
        let mut order = TrackedOrder::new(now, id.clone(), order);
        order.set_leverage(leverage);
        let slot = Slot { order, inquiry: None, cancel_due: None, indexed: 0, queried: None };
        self.open.insert(id.clone());
        self.nameless.insert(id.clone());
        self.orders.insert(id, Box::new(slot));
        Ok(())
    }

    /// Fees of fills of this pair that the venue does not tell are estimated by `schedule` from now on.
    pub fn set_fees(&mut self, pair: Pair, schedule: FeeSchedule) {
        self.fees.insert(pair, schedule);
    }

    /// Orders of this pair are submitted with this leverage from now on.
    pub fn set_leverage(&mut self, pair: Pair, leverage: Decimal) {
        self.leverages.insert(pair, leverage);
    }

    /// Whether a schedule was given for this pair.
    #[must_use]
    pub fn knows_fees(&self, pair: &Pair) -> bool {
        self.fees.contains_key(pair)
    }

    /// What is going to be sent is not quite what was registered. Without effect once it was sent.
    pub fn revise(&mut self, now: Now, id: &ClientOrderId, order: NewOrder) {
        self.update(now, id, |known, _| known.revise(order));
    }

    /// The placement has been handed to the network: visibility counts from here.
    pub fn sent(&mut self, now: Now, id: &ClientOrderId) {
        // That alone raises no question, so there is nothing to schedule.
        if let Some(slot) = self.orders.get_mut(id) {
            slot.order.sent(now);
        }
    }

    /// The venue accepted the placement. `report` may lack ids and state.
    pub fn acknowledged(&mut self, now: Now, id: &ClientOrderId, report: &OrderReport) {
        self.update(now, id, |order, events| order.acknowledged(now, report, events));
    }

    /// The placement failed. Only an effect of `NotSent` or `Rejected` can end the order.
    pub fn place_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {
        self.update(now, id, |order, events| order.place_failed(now, error, events));
    }

    /// Takes an order report or fill; other messages are not about orders.
    pub fn apply(&mut self, now: Now, message: &Message) -> Applied {
        let matched = match message {
            Message::Order(report) => self.apply_report(now, report),
            Message::Fill(fill) => self.apply_fill(now, fill),
            _ => return Applied::Foreign,
        };
        if matched == Applied::Kept {
            if self.unmatched.len() >= self.limits.unmatched {
                self.unmatched.pop_front();
            }
            self.unmatched.push_back((now.mono, message.clone()));
        }
        matched
    }

    fn apply_report(&mut self, now: Now, report: &OrderReport) -> Applied {
        let (client, exchange) = (report.client_order_id.as_ref(), report.exchange_order_id.as_ref());
        self.route(now, &report.market, client, exchange, |order, events| order.report(now, report, events))
    }

    fn apply_fill(&mut self, now: Now, fill: &Fill) -> Applied {
        let (client, exchange) = (fill.client_order_id.as_ref(), fill.exchange_order_id.as_ref());
        let schedule = fill.market.pair().and_then(|pair| self.fees.get(pair)).cloned();
        self.route(now, &fill.market, client, exchange, |order, events| {
            order.fill(now, fill, schedule.as_ref(), events);
        })
    }

    /// Finds the order by our id, else by the venue's, which is unique within a pair only.
    fn route(
        &mut self,
        now: Now,
        market: &Market,
        client: Option<&ClientOrderId>,
        exchange: Option<&ExchangeOrderId>,
        change: impl FnOnce(&mut TrackedOrder, &mut Vec<Event>),
    ) -> Applied {
        let pair = market.pair();
        let ours = |id: &&ClientOrderId| {
            let slot = self.orders.get(*id);
            slot.is_some_and(|slot| pair.is_none_or(|pair| *pair == slot.order.order().pair))
        };
        let by_exchange = || self.by_exchange.get(&(pair?.clone(), exchange?.clone()));
        let Some(id) = client.filter(ours).or_else(by_exchange).cloned() else {
            let hope = client.is_none() && exchange.is_some() && pair.is_some() && !self.nameless.is_empty();
            return if hope { Applied::Kept } else { Applied::Foreign };
        };
        self.update(now, &id, change);
        Applied::Order(id)
    }

    /// Somebody wants the order cancelled. At most one cancel of an order is under way at a time.
    pub fn cancel_requested(&mut self, now: Now, id: &ClientOrderId) -> CancelStep {
        let mut step = CancelStep::Unknown;
        self.update(now, id, |order, _| step = order.cancel_requested(now));
        step
    }

    /// The venue took the cancel, and did not say that the order has ended.
    pub fn cancel_accepted(&mut self, now: Now, id: &ClientOrderId) {
        self.update(now, id, |order, events| order.cancel_accepted(now, events));
    }

    /// The cancel failed. Never terminal, whatever the error: the order is queried where that could matter.
    pub fn cancel_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {
        self.update(now, id, |order, events| order.cancel_failed(now, error, events));
    }

    /// The venue explicitly does not know the order. `visibility` is how long after a placement its queries may still
    /// lack the order: earlier answers do not count.
    pub fn not_found(&mut self, now: Now, id: &ClientOrderId, visibility: Duration) {
        let asked_at = self.orders.get_mut(id).and_then(|slot| slot.queried.take()).unwrap_or(now.mono);
        let doubted = self.get(id).is_some_and(|order| order.doubt.exists());
        self.update(now, id, |order, events| order.not_found(now, asked_at, visibility, events));
        let Some(order) = self.get(id).filter(|order| order.state() == OrderState::Unknown) else { return };
        let visible = order.sent_at().after(visibility);
        if now.mono < visible {
            // The next question is asked no later than its answer counts.
            self.ask_by(id, visible);
        } else if order.doubt.exists() && !doubted {
            // The second source is asked at once.
            self.ask_by(id, now.mono);
        }
    }

    fn ask_by(&mut self, id: &ClientOrderId, at: Mono) {
        let Some(slot) = self.orders.get_mut(id) else { return };
        if let Some(timer) = slot.inquiry.as_mut().filter(|timer| at < timer.due) {
            self.timers.remove(&(timer.due, Lane::Inquiry, id.clone()));
            timer.due = at;
            self.timers.insert((timer.due, Lane::Inquiry, id.clone()));
        }
    }

    /// Every fill of the order that the venue had at `asked_at`, when the request was sent, has been applied.
    pub fn fills_fetched(&mut self, now: Now, id: &ClientOrderId, asked_at: Mono) {
        self.update(now, id, |order, events| order.fills_fetched(now, asked_at, events));
    }

    /// Asks for the order's state as soon as possible.
    pub fn query(&mut self, now: Now, id: &ClientOrderId) {
        self.update(now, id, |order, _| order.ask());
    }

    /// Takes the complete list of the account's open orders of `pair`, or of all pairs, as asked for at `as_of`. Our
    /// orders that were sent before and are missing from it will be queried.
    pub fn open_orders_snapshot(
        &mut self,
        now: Now,
        pair: Option<&Pair>,
        reports: &[OrderReport],
        as_of: Mono,
    ) {
        let (mut listed, mut anonymous) = (BTreeSet::new(), BTreeSet::new());
        for report in reports {
            match self.apply(now, &Message::Order(report.clone())) {
                Applied::Order(id) => drop(listed.insert(id)),
                Applied::Kept => anonymous.extend(report.market.pair().cloned()),
                Applied::Foreign => {}
            }
        }
        let missing: Vec<_> = self
            .open_orders()
            .filter(|order| pair.is_none_or(|pair| order.order().pair == *pair))
            // An entry that names no order could be one whose venue id is not known yet: no proof of its absence.
            .filter(|order| order.exchange_order_id().is_some() || !anonymous.contains(&order.order().pair))
            .map(|order| order.client_order_id().clone())
            .filter(|id| !listed.contains(id))
            .collect();
        for id in missing {
            self.update(now, &id, |order, events| order.absent(now, as_of, events));
        }
    }

    /// What is due now, the most important first. Each want handed out comes again, ever later up to 5 s, until it is
    /// answered.
    #[must_use]
    pub fn wants(&mut self, now: Now) -> Vec<Want> {
        if now.mono >= self.tidied.after(TIDY) {
            self.evict(now);
        }
        let mut wants = Vec::new();
        while let Some((due, _, _)) = self.timers.first()
            && *due <= now.mono
            && let Some((_, lane, id)) = self.timers.pop_first()
        {
            match lane {
                Lane::Cancel => {
                    if let Some(slot) = self.orders.get_mut(&id) {
                        slot.cancel_due = None;
                        slot.order.cancel_sent();
                        wants.push(Want::CancelNow(id));
                    }
                }
                Lane::Inquiry => self.inquire(now, id, &mut wants),
            }
        }
        wants.sort_unstable();
        wants.dedup();
        wants
    }

    fn inquire(&mut self, now: Now, id: ClientOrderId, wants: &mut Vec<Want>) {
        let Some(slot) = self.orders.get_mut(&id) else { return };
        let Some(timer) = slot.inquiry.take() else { return };
        let Some(need) = slot.order.need(timer.attempt) else { return };
        if need.open_orders {
            wants.push(Want::OpenOrders(slot.order.order().pair.clone()));
        }
        if need.fills {
            wants.push(Want::FetchFills(id.clone()));
        }
        if need.query {
            slot.queried = Some(now.mono);
            wants.push(Want::QueryOrder(id.clone()));
        }
        let base = if need.urgency == Urgency::Patient { 4 } else { 0 };
        let due = now.mono.after(backoff(timer.attempt.saturating_add(base)));
        slot.inquiry = Some(Timer { due, attempt: timer.attempt.saturating_add(1), urgency: need.urgency });
        self.timers.insert((due, Lane::Inquiry, id));
    }

    /// Asks without delay what open orders wait to be asked, `anew` or only where the question is young: a recovery is not
    /// over before it is answered. No stream will bring the fills that a recovery finds missing, also where the order lives on. What the venue has left open several times waits its time, and so does an outcome that
    /// only time can prove. `asked` says of which orders an answer is under way.
    pub fn hurry(&mut self, now: Now, anew: bool, asked: impl Fn(&ClientOrderId) -> bool) {
        for id in self.open.iter().filter(|id| !asked(id)) {
            let Some(slot) = self.orders.get_mut(id) else { continue };
            let Some(timer) = &mut slot.inquiry else { continue };
            let young = timer.attempt < HURRIED
                && (timer.urgency != Urgency::Patient || slot.order.wants_fills())
                && slot.order.state() != OrderState::Unknown;
            if timer.due > now.mono && (anew || young) {
                self.timers.remove(&(timer.due, Lane::Inquiry, id.clone()));
                timer.due = now.mono;
                timer.attempt = if anew { 0 } else { timer.attempt };
                self.timers.insert((timer.due, Lane::Inquiry, id.clone()));
            }
        }
    }

    /// When [`Self::wants`] has something next; `None` if nothing is open.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.first().map(|(due, _, _)| *due)
    }

    /// The events since the last call, in their order.
    #[must_use]
    pub fn take_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        for event in &mut events {
            let error = match event {
                Event::OrderFailed(event) => &mut event.error,
                Event::OrderUnknown(event) => &mut event.error,
                Event::OrderCancelRefused(event) => &mut event.error,
                Event::Problem { error, .. } => error,
                _ => continue,
            };
            if error.venue.is_empty() {
                Arc::make_mut(error).venue = self.venue.clone();
            }
        }
        events
    }

    /// The order with this id: open, or ended and not yet forgotten.
    #[must_use]
    pub fn get(&self, id: &ClientOrderId) -> Option<&TrackedOrder> {
        self.orders.get(id).map(|slot| &slot.order)
    }

    /// The order to which the venue gave this id, now or earlier.
    #[must_use]
    pub fn by_exchange_id(&self, pair: &Pair, id: &ExchangeOrderId) -> Option<&TrackedOrder> {
        self.get(self.by_exchange.get(&(pair.clone(), id.clone()))?)
    }

    /// Orders whose terminal event has not been emitted, by client order id.
    pub fn open_orders(&self) -> impl Iterator<Item = &TrackedOrder> {
        self.open.iter().filter_map(|id| self.get(id))
    }

    /// Whether no order is open and nothing remains to be asked.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.timers.is_empty()
    }

    /// Changes one order and brings indices and timers in line with it.
    fn update(
        &mut self,
        now: Now,
        id: &ClientOrderId,
        change: impl FnOnce(&mut TrackedOrder, &mut Vec<Event>),
    ) {
        let Some(slot) = self.orders.get_mut(id) else { return };
        change(&mut slot.order, &mut self.events);
        if slot.order.state().is_terminal() && self.open.remove(id) {
            self.nameless.remove(id);
            self.closed.push_back((now.mono, id.clone()));
        }
        self.schedule(now, id);
        self.index(now, id);
    }

    fn schedule(&mut self, now: Now, id: &ClientOrderId) {
        let Some(slot) = self.orders.get_mut(id) else { return };
        let cancel_due = slot.order.cancel_due().map(|due| due.max(now.mono));
        if slot.cancel_due.is_none() || cancel_due.is_none() {
            if let Some(due) = slot.cancel_due {
                self.timers.remove(&(due, Lane::Cancel, id.clone()));
            }
            slot.cancel_due = cancel_due;
            if let Some(due) = cancel_due {
                self.timers.insert((due, Lane::Cancel, id.clone()));
            }
        }
        let attempt = slot.inquiry.map_or(0, |timer| timer.attempt);
        let next = slot.order.need(attempt).map(|need| {
            let wait = match need.urgency {
                Urgency::Now => Duration::ZERO,
                Urgency::Soon => Duration::from_millis(100),
                Urgency::Patient => Duration::from_secs(1),
            };
            let fresh = Timer { due: now.mono.after(wait), attempt: 0, urgency: need.urgency };
            // A timer that runs goes on, so that repeated news cannot push it off; only a graver question restarts it.
            slot.inquiry.filter(|timer| timer.urgency >= need.urgency).unwrap_or(fresh)
        });
        if let Some(timer) = slot.inquiry {
            self.timers.remove(&(timer.due, Lane::Inquiry, id.clone()));
        }
        if let Some(timer) = next {
            self.timers.insert((timer.due, Lane::Inquiry, id.clone()));
        }
        slot.inquiry = next;
    }

    /// Enters newly learnt exchange ids, and applies the messages that were waiting for them.
    fn index(&mut self, now: Now, id: &ClientOrderId) {
        let Some(slot) = self.orders.get_mut(id) else { return };
        let pair = slot.order.order().pair.clone();
        let fresh: Vec<_> = slot.order.exchange_order_ids().iter().skip(slot.indexed).cloned().collect();
        if fresh.is_empty() {
            return;
        }
        slot.indexed = slot.indexed.saturating_add(fresh.len());
        self.nameless.remove(id);
        for exchange in fresh {
            self.by_exchange.entry((pair.clone(), exchange.clone())).or_insert_with(|| id.clone());
            let (ready, rest) = std::mem::take(&mut self.unmatched).into_iter().partition(|(_, message)| {
                let (market, named) = match message {
                    Message::Order(report) => (&report.market, &report.exchange_order_id),
                    Message::Fill(fill) => (&fill.market, &fill.exchange_order_id),
                    _ => return false,
                };
                market.pair() == Some(&pair) && named.as_ref() == Some(&exchange)
            });
            self.unmatched = rest;
            let ready: VecDeque<(Mono, Message)> = ready;
            for (_, message) in ready {
                self.apply(now, &message);
            }
        }
    }

    /// Forgets what is too old or too much.
    fn evict(&mut self, now: Now) {
        self.tidied = now.mono;
        while let Some((at, _)) = self.unmatched.front()
            && now.mono.since(*at) >= self.limits.unmatched_age
        {
            self.unmatched.pop_front();
        }
        while let Some((at, _)) = self.closed.front()
            && (self.closed.len() > self.limits.closed || now.mono.since(*at) >= self.limits.closed_age)
            && let Some((_, id)) = self.closed.pop_front()
        {
            self.forget(now, &id);
        }
    }

    fn forget(&mut self, now: Now, id: &ClientOrderId) {
        let Some(slot) = self.orders.remove(id) else { return };
        if let Some(timer) = slot.inquiry {
            self.timers.remove(&(timer.due, Lane::Inquiry, id.clone()));
        }
        if let Some(due) = slot.cancel_due {
            self.timers.remove(&(due, Lane::Cancel, id.clone()));
        }
        let pair = &slot.order.order().pair;
        for exchange in slot.order.exchange_order_ids() {
            let key = (pair.clone(), exchange.clone());
            if self.by_exchange.get(&key) == Some(id) {
                self.by_exchange.remove(&key);
            }
        }
        if slot.order.wants_fills() {
            let text = "ended long ago, and not all fills the venue counts were ever found";
            let error = Error::new(Cause::Other, Effect::Unknown, "track order", text).about(id.as_str());
            self.events.push(Event::problem(now.utc, error));
        }
    }
}
