//! One order, from submission to its end: a state machine that only moves forward.
//!
//! It is told what the venue says in whatever order, number and source that arrives, and derives the events from it. What
//! keeps the outcome independent of the arrival: the executed amounts are a ledger keyed by trade id, the venue's
//! cumulative amount is a maximum, states have a rank, and a terminal status is held back until the fills account for it.
//!
//! Invariant: `OrderCreated` first (unless the order never was), one terminal event, no fill after it but a late one.
//! Cancelling is in `cancelling`, what the venue does not know is in `doubt`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rust_decimal::Decimal;
use smol_str::SmolStr;

use super::cancelling::Cancelling;
use super::doubt::Doubt;
use super::fees::Fees;
use crate::error::{Cause, Effect, Error};
use crate::event::{
    Event, Executed, OrderCancelled, OrderCompleted, OrderCreated, OrderExpired, OrderFailed, OrderFeeKnown,
    OrderFilled, OrderInfo, OrderUnknown,
};
use crate::fee::FeeSchedule;
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::{Fee, Fill, OrderReport};
use crate::mutants::{self, Mutant};
use crate::order::{NewOrder, OrderState, OrderType};
use crate::pair::Asset;
use crate::time::{Mono, Now, UnixNanos};

/// Most ids the venue may give one order (each replacement gives another).
const MAX_EXCHANGE_IDS: usize = 256;
/// After so many complete fetches that do not account for the venue's amount the user is told.
const FETCHES_BEFORE_PROBLEM: u32 = 5;

/// A terminal status that waits for the fills it implies.
#[derive(Clone, Debug)]
struct Ending {
    state: OrderState,
    /// The cumulative amount the status implies; `None` if it does not say.
    expected: Option<Decimal>,
    reason: Option<SmolStr>,
    since: Mono,
    /// "Filled" and "cancelled" were both said: only the fills can tell which.
    contradicted: bool,
    /// Complete fetches of the fills asked for since.
    fetches: u32,
}

/// What would settle an open question about an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) query: bool,
    pub(super) fills: bool,
    pub(super) open_orders: bool,
    pub(super) urgency: Urgency,
}

/// How soon to ask for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// An answer probably is on its way by itself.
    #[default]
    Patient,
    /// Soon, unless the stream is quicker.
    Soon,
    /// At once.
    Now,
}

/// One order and everything known of it.
#[derive(Clone, Debug)]
pub struct TrackedOrder {
    client_order_id: ClientOrderId,
    exchange_ids: Vec<ExchangeOrderId>,
    order: NewOrder,
    /// The pair's leverage when it was submitted.
    leverage: Option<Decimal>,
    state: OrderState,
    executed: Executed,
    fees: Fees,
    fills: BTreeMap<TradeId, Fill>,
    venue_filled: Decimal,
    submitted: Now,
    sent: Option<Mono>,
    updated: Now,
    /// The venue has proven to have it; `OrderCreated` was emitted.
    accepted: bool,
    ending: Option<Ending>,
    /// Somebody asked for the venue's word on it, which has not come yet.
    query: bool,
    over_filled: bool,
    /// Its failure was concluded, not reported by the venue's order feed: later evidence can prove it wrong.
    presumed_failed: bool,
    pub(super) cancelling: Cancelling,
    pub(super) doubt: Doubt,
}

impl TrackedOrder {
    /// An order that is about to be sent. `order` holds the values as sent: quantised.
    #[must_use]
    pub fn new(now: Now, client_order_id: ClientOrderId, order: NewOrder) -> Self {
        Self {
            client_order_id,
            exchange_ids: Vec::new(),
            order,
            leverage: None,
            state: OrderState::PendingCreate,
            executed: Executed::default(),
            fees: Fees::default(),
            fills: BTreeMap::new(),
            venue_filled: Decimal::ZERO,
            submitted: now,
            sent: None,
            updated: now,
            accepted: false,
            ending: None,
            query: false,
            over_filled: false,
            presumed_failed: false,
            cancelling: Cancelling::default(),
            doubt: Doubt::default(),
        }
    }

    /// Our id.
    #[must_use]
    pub const fn client_order_id(&self) -> &ClientOrderId {
        &self.client_order_id
    }

    /// The venue's current id of it.
    #[must_use]
    pub fn exchange_order_id(&self) -> Option<&ExchangeOrderId> {
        self.exchange_ids.last()
    }

    /// All ids the venue gave it, oldest first.
    #[must_use]
    pub fn exchange_order_ids(&self) -> &[ExchangeOrderId] {
        &self.exchange_ids
    }

    /// The order as sent: quantised.
    #[must_use]
    pub const fn order(&self) -> &NewOrder {
        &self.order
    }

    /// Where it stands. A terminal status is shown only once the fills account for it.
    #[must_use]
    pub const fn state(&self) -> OrderState {
        self.state
    }

    /// What was executed, by its fills.
    #[must_use]
    pub const fn executed(&self) -> Executed {
        self.executed
    }

    /// What remains to be executed, base; zero if more was executed than ordered.
    #[must_use]
    pub fn remaining(&self) -> Decimal {
        let rest = self.order.amount - self.executed.base;
        if rest.is_sign_negative() { Decimal::ZERO } else { rest }
    }

    /// The venue's own cumulative executed amount: the highest it has told, base.
    #[must_use]
    pub const fn venue_filled(&self) -> Decimal {
        self.venue_filled
    }

    /// Fees charged, by asset; negative = rebates. Of fills whose fee the venue has not told yet, the estimate.
    #[must_use]
    pub const fn fees(&self) -> &BTreeMap<Asset, Decimal> {
        self.fees.sums()
    }

    /// The fill ledger, by trade id.
    pub fn fills(&self) -> impl Iterator<Item = &Fill> {
        self.fills.values()
    }

    /// When it was handed to the tracker.
    #[must_use]
    pub const fn submitted(&self) -> Now {
        self.submitted
    }

    /// When something new was last learnt of it.
    #[must_use]
    pub const fn updated(&self) -> Now {
        self.updated
    }

    /// Whether the venue has proven to have accepted it.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether its end is known, though fills may still be missing.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.ending.is_some() || self.state.is_terminal()
    }

    /// Whether the venue has executed more than the fills we have: they should be fetched.
    #[must_use]
    pub fn wants_fills(&self) -> bool {
        let due = match &self.ending {
            Some(Ending { expected: Some(expected), .. }) => self.venue_filled.max(*expected),
            _ => self.venue_filled,
        };
        due > self.executed.base
    }

    /// What events say of it.
    #[must_use]
    pub fn info(&self) -> OrderInfo {
        OrderInfo {
            pair: self.order.pair.clone(),
            client_order_id: self.client_order_id.clone(),
            exchange_order_id: self.exchange_ids.last().cloned(),
            side: self.order.side,
            order_type: self.order.order_type,
            price: self.order.price,
            amount: self.order.amount,
            action: self.order.action,
            leverage: self.leverage,
        }
    }

    /// The pair's leverage when it was submitted, where that is known.
    #[must_use]
    pub const fn leverage(&self) -> Option<Decimal> {
        self.leverage
    }

    pub(super) const fn set_leverage(&mut self, leverage: Option<Decimal>) {
        self.leverage = leverage;
    }

    /// Takes the values with which it is going to be sent, until it was.
    pub(super) fn revise(&mut self, order: NewOrder) {
        if self.sent.is_none() && self.state == OrderState::PendingCreate {
            self.order = order;
        }
    }

    /// The request has been handed to the network.
    pub fn sent(&mut self, now: Now) {
        self.sent = Some(now.mono);
    }

    /// When it can have reached the venue at the earliest.
    pub(super) fn sent_at(&self) -> Mono {
        self.sent.unwrap_or(self.submitted.mono)
    }

    /// Takes up an order of an earlier run: known to be at the venue, or its outcome unknown. Emits nothing for that.
    pub(super) fn resume(&mut self, exchange_ids: &[ExchangeOrderId], accepted: bool) {
        for id in exchange_ids {
            self.learn(Some(id));
        }
        self.accepted = accepted;
        self.state = if accepted { OrderState::Open } else { OrderState::Unknown };
        self.query = true;
    }

    /// The question for the venue's word on it is settled.
    pub(super) fn answered(&mut self) {
        self.query = false;
    }

    /// Asks for the venue's word on it.
    pub(super) fn ask(&mut self) {
        self.query = true;
    }

    /// The venue accepted the order: its reply to the placement. A reply that names no state means a resting order.
    pub fn acknowledged(&mut self, now: Now, report: &OrderReport, out: &mut Vec<Event>) {
        let state = match report.state {
            OrderState::PendingCreate | OrderState::Unknown => OrderState::Open,
            state => state,
        };
        self.absorb(now, state, report, out);
    }

    /// The venue's word on the order, from a stream or a query.
    pub fn report(&mut self, now: Now, report: &OrderReport, out: &mut Vec<Event>) {
        self.absorb(now, report.state, report, out);
    }

    fn absorb(&mut self, now: Now, state: OrderState, report: &OrderReport, out: &mut Vec<Event>) {
        self.updated = now;
        self.learn(report.exchange_order_id.as_ref());
        if let Some(filled) = report.filled_amount {
            self.venue_filled = self.venue_filled.max(filled);
        }
        match state {
            // The venue has heard of it; whether it accepts is still to come.
            OrderState::PendingCreate => self.doubt = Doubt::default(),
            OrderState::Unknown => {
                self.doubt = Doubt::default();
                self.query = !self.is_ending();
            }
            OrderState::Open | OrderState::PartiallyFilled | OrderState::PendingCancel => {
                self.live(now, state, report, out);
            }
            OrderState::Filled | OrderState::Cancelled | OrderState::Expired => {
                self.query = false;
                self.cancelling.forget_orphan();
                if !self.state.is_terminal() {
                    self.create(now, report.time, out);
                    self.end(now, state, report);
                }
            }
            OrderState::Failed => self.refused(now, report, out),
        }
        self.settle(now, out);
    }

    fn live(&mut self, now: Now, state: OrderState, report: &OrderReport, out: &mut Vec<Event>) {
        self.query = false;
        self.doubt = Doubt::default();
        if self.state.is_terminal() {
            if self.presumed_failed {
                self.orphaned(now, out);
            }
            return;
        }
        self.create(now, report.time, out);
        if self.ending.is_none() {
            self.advance(state);
            self.cancel_seen_live(now, state, out);
        }
    }

    /// The venue refused it after all, as post-only orders can be after their acknowledgement.
    fn refused(&mut self, now: Now, report: &OrderReport, out: &mut Vec<Event>) {
        self.query = false;
        self.presumed_failed = false;
        self.cancelling.forget_orphan();
        if self.is_ending() {
            return;
        }
        if self.executed.base.is_zero() && self.venue_filled.is_zero() {
            let reason = report.reason.clone().unwrap_or_else(|| "the venue refused the order".to_owned());
            self.fail(now, Error::new(Cause::Other, Effect::Rejected, "place order", reason), out);
        } else {
            // A refusal of something that has traded can only mean that the rest was taken off.
            self.create(now, report.time, out);
            self.end(now, OrderState::Cancelled, report);
        }
    }

    /// One execution. A trade id that is already booked only adds what was missing, such as the fee. A fee that is not told
    /// is estimated by `schedule` until it is.
    pub fn fill(&mut self, now: Now, fill: &Fill, schedule: Option<&FeeSchedule>, out: &mut Vec<Event>) {
        self.learn(fill.exchange_order_id.as_ref());
        if fill.amount.is_zero() {
            return;
        }
        if fill.amount.is_sign_negative() || fill.price.is_sign_negative() {
            let text = format!(
                "fill {} of {} at {} makes no sense; ignored",
                fill.trade_id, fill.amount, fill.price
            );
            out.push(self.problem(now, Cause::Malformed, text));
            return;
        }
        let Some((fee, fee_estimated)) = self.book(now, fill, schedule, out) else { return };
        self.updated = now;
        self.doubt = Doubt::default();
        let late = self.state.is_terminal();
        if late && self.presumed_failed {
            self.query = true;
        }
        if !late {
            self.create(now, fill.time, out);
            self.advance(OrderState::PartiallyFilled);
        }
        out.push(Event::OrderFilled(OrderFilled {
            time: now.utc,
            venue_time: fill.time,
            order: self.info(),
            trade_id: fill.trade_id.clone(),
            price: fill.price,
            amount: fill.amount,
            fee,
            fee_estimated,
            maker: fill.maker,
            executed: self.executed,
            late,
        }));
        if self.state == OrderState::Failed && self.fills.len() == 1 {
            let text = "reported as failed, yet the venue has executed some of it".to_owned();
            out.push(self.problem(now, Cause::Other, text));
        }
        if self.executed.base > self.order.amount && !self.over_filled {
            self.over_filled = true;
            let text = format!(
                "executed {} of {}; booked, as the venue says so",
                self.executed.base, self.order.amount
            );
            out.push(self.problem(now, Cause::Other, text));
        }
        self.settle(now, out);
    }

    /// Enters a fill into the ledger and answers with its fee, and whether that is an estimate. `None` if the fill is there
    /// already, or cannot be.
    fn book(
        &mut self,
        now: Now,
        fill: &Fill,
        schedule: Option<&FeeSchedule>,
        out: &mut Vec<Event>,
    ) -> Option<(Option<Fee>, bool)> {
        let sums = fill.price.checked_mul(fill.amount).and_then(|quote| {
            let base = self.executed.base.checked_add(fill.amount)?;
            Some(Executed { base, quote: self.executed.quote.checked_add(quote)? })
        });
        match self.fills.entry(fill.trade_id.clone()) {
            Entry::Occupied(mut known) if !mutants::is(Mutant::FillsTwice) => {
                let known = known.get_mut();
                known.maker = known.maker.or(fill.maker);
                known.time = known.time.or(fill.time);
                if let (None, Some(fee)) = (&known.fee, &fill.fee) {
                    known.fee = Some(fee.clone());
                    if self.fees.learn(&fill.trade_id, fee) {
                        let (trade_id, fee) = (fill.trade_id.clone(), fee.clone());
                        let order = self.info();
                        out.push(Event::OrderFeeKnown(OrderFeeKnown { time: now.utc, order, trade_id, fee }));
                    }
                }
                return None;
            }
            Entry::Vacant(place) => {
                place.insert(fill.clone());
            }
            Entry::Occupied(_) => {}
        }
        let Some(sums) = sums else {
            let text = format!(
                "fill {} of {} at {} is beyond what can be summed",
                fill.trade_id, fill.amount, fill.price
            );
            out.push(self.problem(now, Cause::Malformed, text));
            return None;
        };
        self.executed = sums;
        Some(self.fees.charge(&self.order, fill, schedule))
    }

    /// The placement failed, in the words of its error.
    pub fn place_failed(&mut self, now: Now, error: &Error, out: &mut Vec<Event>) {
        if self.is_ending() {
            return;
        }
        // Ids are never reused, so an id in use means that an earlier copy of this very request arrived.
        let ambiguous = (error.effect == Effect::Unknown || error.cause == Cause::DuplicateOrderId)
            && !mutants::is(Mutant::SubmitErrorIsFailure);
        if self.accepted {
            // The venue has shown it to us: a refusal contradicts that, and only the venue can tell.
            self.query |= !ambiguous;
        } else if self.state == OrderState::Unknown {
            // What happens to a repetition says nothing about the first attempt.
        } else if ambiguous {
            self.state = OrderState::Unknown;
            self.updated = now;
            out.push(self.unknown(now, error.clone()));
        } else {
            self.presumed_failed = true;
            self.fail(now, error.clone(), out);
        }
    }

    /// Every fill that the venue had at `asked_at` has been applied.
    pub fn fills_fetched(&mut self, now: Now, asked_at: Mono, out: &mut Vec<Event>) {
        self.doubt.fills_fetched(asked_at);
        if let Some(ending) = &mut self.ending
            && asked_at >= ending.since
        {
            ending.fetches = ending.fetches.saturating_add(1);
            if ending.fetches == FETCHES_BEFORE_PROBLEM {
                let text = format!(
                    "the venue says {} was executed, its fills say {}; still asking",
                    ending.expected.unwrap_or(self.venue_filled),
                    self.executed.base
                );
                out.push(self.problem(now, Cause::Other, text));
            }
        }
        self.settle(now, out);
        self.conclude_absence(now, out);
    }

    fn learn(&mut self, id: Option<&ExchangeOrderId>) {
        if let Some(id) = id
            && !self.exchange_ids.contains(id)
            && self.exchange_ids.len() < MAX_EXCHANGE_IDS
        {
            self.exchange_ids.push(id.clone());
        }
    }

    /// The venue is known to have the order, which is told before anything else.
    pub(super) fn create(&mut self, now: Now, venue_time: Option<UnixNanos>, out: &mut Vec<Event>) {
        if self.accepted {
            return;
        }
        self.accepted = true;
        self.state = OrderState::Open;
        out.push(Event::OrderCreated(OrderCreated {
            time: now.utc,
            order: self.info(),
            submit_time: self.submitted.utc,
            venue_time,
        }));
    }

    /// Moves to `state` unless that is a step back.
    pub(super) fn advance(&mut self, state: OrderState) {
        if mutants::is(Mutant::StateMovesBack) {
            self.state = state;
            return;
        }
        let traded = !self.executed.base.is_zero() || !self.venue_filled.is_zero();
        let state = if traded && state == OrderState::Open { OrderState::PartiallyFilled } else { state };
        if rank(state) > rank(self.state) {
            self.state = state;
        }
    }

    /// A cancel came to nothing: the one step back there is, and it is announced.
    pub(super) fn revive(&mut self) {
        if self.state == OrderState::PendingCancel {
            self.state = OrderState::Open;
            self.advance(OrderState::Open);
        }
    }

    fn end(&mut self, now: Now, state: OrderState, report: &OrderReport) {
        let expected = match (report.filled_amount, state, self.order.order_type) {
            // "Filled, zero" is a number left out, not an amount.
            (Some(filled), state, _) if state != OrderState::Filled || !filled.is_zero() => Some(filled),
            // What a market order makes of its amount is the venue's business.
            (_, OrderState::Filled, OrderType::Limit | OrderType::LimitMaker) => Some(self.order.amount),
            _ => None,
        };
        let reason = report.reason.as_ref().map(SmolStr::new);
        let Some(ending) = &mut self.ending else {
            let (since, contradicted, fetches) = (now.mono, false, 0);
            self.ending = Some(Ending { state, expected, reason, since, contradicted, fetches });
            return;
        };
        ending.expected = match (ending.expected, expected) {
            (Some(known), Some(new)) => Some(known.max(new)),
            (known, new) => known.or(new),
        };
        ending.reason = ending.reason.take().or(reason);
        if (ending.state == OrderState::Filled) != (state == OrderState::Filled) && !ending.contradicted {
            ending.contradicted = true;
            ending.since = now.mono;
            ending.fetches = 0;
            if ending.state == OrderState::Filled {
                ending.state = state;
            }
        }
    }

    /// Emits the end once it is certain: everything executed, or the fills account for the terminal status.
    fn settle(&mut self, now: Now, out: &mut Vec<Event>) {
        if self.state.is_terminal() || !self.accepted {
            return;
        }
        if self.executed.base >= self.order.amount {
            self.conclude(now, OrderState::Filled, None, out);
            return;
        }
        let Some(ending) = &self.ending else { return };
        let certain = match ending.expected {
            _ if mutants::is(Mutant::EndBeforeFills) => true,
            Some(_) if ending.contradicted && ending.fetches > 0 => self.executed.base >= self.venue_filled,
            Some(expected) => self.executed.base >= expected.max(self.venue_filled),
            // Without a number the complete list of fills is the evidence; a filled order must have some.
            None => {
                let some = ending.state != OrderState::Filled || !self.executed.base.is_zero();
                ending.fetches > 0 && some && self.executed.base >= self.venue_filled
            }
        };
        if certain {
            let (state, reason) = (ending.state, ending.reason.clone());
            self.conclude(now, state, reason, out);
        }
    }

    pub(super) fn conclude(
        &mut self,
        now: Now,
        state: OrderState,
        reason: Option<SmolStr>,
        out: &mut Vec<Event>,
    ) {
        self.state = state;
        self.ending = None;
        self.query = false;
        let (time, order, executed) = (now.utc, self.info(), self.executed);
        out.push(match state {
            OrderState::Expired => Event::OrderExpired(OrderExpired { time, order, executed, reason }),
            OrderState::Cancelled => {
                let requested = self.cancelling.is_requested();
                Event::OrderCancelled(OrderCancelled { time, order, executed, requested, reason })
            }
            _ => Event::OrderCompleted(OrderCompleted { time, order, executed }),
        });
    }

    pub(super) fn fail(&mut self, now: Now, error: Error, out: &mut Vec<Event>) {
        self.state = OrderState::Failed;
        self.query = false;
        self.updated = now;
        let error = Arc::new(error.about(self.client_order_id.as_str()));
        out.push(Event::OrderFailed(OrderFailed { time: now.utc, order: self.info(), error }));
    }

    /// Fails an order on evidence other than the venue's own report of it.
    pub(super) fn presume_failed(&mut self, now: Now, error: Error, out: &mut Vec<Event>) {
        self.presumed_failed = true;
        self.fail(now, error, out);
    }

    /// An order told to have failed is live: nobody expects it, so it must go.
    fn orphaned(&mut self, now: Now, out: &mut Vec<Event>) {
        if self.cancelling.adopt_orphan(now) {
            let text = "reported as failed, yet the venue holds it; cancelling it".to_owned();
            out.push(self.problem(now, Cause::Other, text));
        }
    }

    pub(super) fn unknown(&self, now: Now, error: Error) -> Event {
        let error = Arc::new(error.about(self.client_order_id.as_str()));
        Event::OrderUnknown(OrderUnknown { time: now.utc, order: self.info(), error })
    }

    pub(super) fn problem(&self, now: Now, cause: Cause, text: String) -> Event {
        Event::problem(
            now.utc,
            Error::new(cause, Effect::Unknown, "track order", text).about(self.client_order_id.as_str()),
        )
    }

    /// What would settle the open questions; `attempt` counts the times asked so far. `None` if there is no question.
    pub(super) fn need(&self, attempt: u32) -> Option<Need> {
        let gap = self.wants_fills();
        if self.state.is_terminal() {
            let need = Need { query: self.query, fills: gap, open_orders: false, urgency: Urgency::Soon };
            return (need.query || need.fills).then_some(need);
        }
        let unknown = self.state == OrderState::Unknown;
        let blank = self.ending.as_ref().is_some_and(|ending| ending.expected.is_none());
        let unsure = self.accepted && self.doubt.is_serious();
        let pressing = self.ending.is_none() && (self.query || self.cancelling.is_blocked());
        let waiting = self.state == OrderState::PendingCancel && self.ending.is_none();
        let need = Need {
            query: unknown
                || pressing
                || waiting
                || self.doubt.exists()
                || (blank && attempt.is_multiple_of(2)),
            fills: gap || self.ending.is_some() && (!blank || !attempt.is_multiple_of(2)) || unsure,
            open_orders: unsure || (unknown && self.doubt.exists()),
            urgency: if pressing {
                Urgency::Now
            } else if unknown || self.ending.is_some() || self.doubt.exists() {
                Urgency::Soon
            } else {
                Urgency::Patient
            },
        };
        (need.query || need.fills).then_some(need)
    }
}

/// How much a state tells: later states outrank earlier ones.
pub(super) const fn rank(state: OrderState) -> u8 {
    match state {
        OrderState::PendingCreate | OrderState::Unknown => 0,
        OrderState::Open => 1,
        OrderState::PartiallyFilled => 2,
        OrderState::PendingCancel => 3,
        OrderState::Filled | OrderState::Cancelled | OrderState::Expired | OrderState::Failed => 4,
    }
}
