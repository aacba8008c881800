//! What is written down, in which order, and what waits for it to be stored.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::Engine;
use super::requests::Job;
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::id::{ClientOrderId, TradeId};
use crate::journal::{
    Durability, Entry, Intent, OwnFill, Record, RestoredOrder, Run, Status, StatusChange, records,
};
use crate::message::{Fill, OrderReport};
use crate::mutants::{self, Mutant};
use crate::order::{CancelStep, NewOrder, OrderState, TimeInForce, TrackedOrder};
use crate::time::{Mono, Now};

/// The recorder of an engine.
#[derive(Debug)]
pub struct JournalConfig {
    /// What has to be stored before an order is sent.
    pub durability: Durability,
    /// This run, as the journal allows it, with the orders of earlier ones.
    pub run: Run,
}

/// Entries under way beyond which no order is placed: the bound of the queue, as only orders add to it without limit.
const MOST_BEHIND: usize = 10_000;
/// Age of the oldest entry under way beyond which no order is placed.
const LONGEST_BEHIND: Duration = Duration::from_secs(5);
/// How long an order waits for its intent to be stored before it is given up.
const HOLD: Duration = Duration::from_secs(10);

/// Orders of one request that wait for their intents to be stored.
#[derive(Debug)]
struct Held {
    /// The last of them.
    sequence: u64,
    ids: Vec<ClientOrderId>,
    until: Mono,
}

/// The queue to the journal. Without a journal it takes nothing in.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    on: bool,
    durability: Durability,
    /// To be handed out.
    queue: VecDeque<Entry>,
    last: u64,
    /// Not known to be stored: sequence, and since when.
    under_way: VecDeque<(u64, Mono)>,
    held: VecDeque<Held>,
    /// Recorded fills whose fee is not known yet.
    without_fee: BTreeSet<(ClientOrderId, TradeId)>,
    failure: Option<Error>,
    /// The open orders were looked through for those of earlier runs.
    looked: bool,
}

impl Recorder {
    pub(super) fn new(config: Option<&JournalConfig>) -> Self {
        let durability = config.map(|config| config.durability).unwrap_or_default();
        Self { on: config.is_some(), durability, ..Self::default() }
    }

    /// The next entry to hand to the journal.
    pub(super) fn next(&mut self) -> Option<Entry> {
        self.queue.pop_front()
    }

    /// How many entries are not known to be stored.
    pub(super) fn unrecorded(&self) -> usize {
        self.under_way.len()
    }

    /// Whether the open orders have still to be looked through for orders that an earlier run could not write down.
    pub(super) const fn looks_for_lost(&self) -> bool {
        self.on && !self.looked
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.held.front().map(|held| held.until)
    }

    fn add(&mut self, now: Now, record: Record) {
        if self.on {
            self.last += 1;
            self.under_way.push_back((self.last, now.mono));
            self.queue.push_back(Entry { sequence: self.last, record });
        }
    }

    /// Whether new risk may be taken: not while what is done cannot be written down.
    pub(super) fn admits(&self, now: Now) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(Cause::Storage, Effect::NotSent, "place", text));
        if let Some(failure) = &self.failure {
            return refuse(format!("the journal cannot be written: {}", failure.message));
        }
        let behind = self.under_way.front().map(|(_, since)| now.mono.since(*since)).unwrap_or_default();
        if behind > LONGEST_BEHIND || self.under_way.len() >= MOST_BEHIND {
            let (count, time) = (self.under_way.len(), behind.as_secs_f32());
            return refuse(format!("the journal is {count} records and {time:.1} s behind"));
        }
        Ok(())
    }

    /// Writes down an intent for which nothing waits.
    pub(super) fn note_intent(&mut self, now: Now, id: &ClientOrderId, order: &NewOrder) {
        let intent = Intent { time: now.utc, client_order_id: id.clone(), order: order.clone() };
        self.add(now, Record::Intent(intent));
    }

    /// Orders that wait for their intent to be stored, none of which is to be sent any more.
    pub(super) fn take_held(&mut self) -> Vec<ClientOrderId> {
        std::mem::take(&mut self.held).into_iter().flat_map(|held| held.ids).collect()
    }

    /// Writes intents down. Answers with their orders if those need not wait for that.
    fn intend(&mut self, now: Now, orders: Vec<(ClientOrderId, NewOrder)>) -> Option<Vec<ClientOrderId>> {
        let noted = orders.into_iter().map(|(id, order)| {
            self.note_intent(now, &id, &order);
            id
        });
        let ids = noted.collect();
        let waits =
            self.on && self.durability == Durability::Intent && !mutants::is(Mutant::IntentNotAwaited);
        if !waits {
            return Some(ids);
        }
        let until = now.mono.after(HOLD);
        self.held.push_back(Held { sequence: self.last, ids, until });
        None
    }

    fn event(&mut self, now: Now, event: &Event) {
        if !self.on {
            return;
        }
        for record in records(event) {
            if let Record::Fill(fill) = &record
                && fill.fee.is_none()
            {
                self.without_fee.insert((fill.client_order_id.clone(), fill.trade_id.clone()));
            }
            self.add(now, record);
        }
    }
}

/// A fill of a tracked order, for the journal.
fn own_fill(now: Now, order: &TrackedOrder, fill: &Fill) -> OwnFill {
    OwnFill {
        time: now.utc,
        venue_time: fill.time,
        pair: order.order().pair.clone(),
        client_order_id: order.client_order_id().clone(),
        exchange_order_id: order.exchange_order_id().cloned(),
        trade_id: fill.trade_id.clone(),
        side: order.order().side,
        price: fill.price,
        amount: fill.amount,
        fee: fill.fee.clone(),
        fee_estimated: false,
        maker: fill.maker,
    }
}

impl<D: Dialect> Engine<D> {
    /// Places orders that the tracker has, with one request, at once or as soon as their intents are stored.
    pub(super) fn place_recorded(&mut self, now: Now, orders: Vec<(ClientOrderId, NewOrder)>) {
        if let Some(ids) = self.recorder.intend(now, orders) {
            self.send_placements(now, ids);
        }
    }

    /// Writes down that somebody wants an order cancelled, so that a restart does not forget it.
    pub(super) fn record_cancel(&mut self, now: Now, id: &ClientOrderId, step: CancelStep) {
        if !matches!(step, CancelStep::Send | CancelStep::WaitForAck) {
            return;
        }
        let Some(order) = self.tracker.get(id).filter(|_| self.recorder.on) else { return };
        let change = StatusChange {
            time: now.utc,
            venue_time: None,
            pair: order.order().pair.clone(),
            client_order_id: id.clone(),
            exchange_order_id: order.exchange_order_id().cloned(),
            status: Status::CancelRequested,
            executed: Some(order.executed()),
            detail: None,
        };
        self.recorder.add(now, Record::Status(change));
    }

    /// Writes down what the tracker tells, and the fees it has learnt since.
    pub(super) fn record_events(&mut self, now: Now, events: &[Event]) {
        for event in events {
            self.recorder.event(now, event);
        }
        if self.recorder.without_fee.is_empty() {
            return;
        }
        let mut known = Vec::new();
        let tracker = &self.tracker;
        self.recorder.without_fee.retain(|(id, trade)| {
            let Some(order) = tracker.get(id) else { return false };
            let fill = order.fills().find(|fill| fill.trade_id == *trade && fill.fee.is_some());
            known.extend(fill.map(|fill| Record::Fill(own_fill(now, order, fill))));
            fill.is_none()
        });
        for record in known {
            self.recorder.add(now, record);
        }
    }

    /// Takes up the orders of earlier runs, without a word: what is new about them the venue will tell.
    pub(super) fn take_up_orders(&mut self, now: Now) {
        for saved in std::mem::take(&mut self.restored) {
            if let Err(error) = self.tracker.take_up(now, &saved) {
                self.report(now, &format!("restore:{}", saved.client_order_id), error);
                continue;
            }
            for fill in saved.fills.iter().filter(|fill| fill.fee.is_none()) {
                self.recorder.without_fee.insert((saved.client_order_id.clone(), fill.trade_id.clone()));
            }
            if saved.cancel_requested
                && self.tracker.cancel_requested(now, &saved.client_order_id) == CancelStep::Send
            {
                self.request(now, Job::Cancel(saved.client_order_id));
            }
        }
    }

    /// Takes up open orders that carry ids of an earlier run and that its journal did not get to know. What the venue says
    /// of them is told as news, because it was never told; whether they rest by another term than "till cancelled" cannot
    /// be seen from outside.
    pub(super) fn adopt(&mut self, now: Now, reports: &[OrderReport]) {
        if !self.recorder.on {
            return;
        }
        self.recorder.looked = true;
        for report in reports {
            let Some(id) = report.client_order_id.as_ref().filter(|id| {
                let live = matches!(report.state, OrderState::Open | OrderState::PartiallyFilled);
                live && self.tracker.get(id).is_none() && self.ids.is_of_earlier_run(id.as_str())
            }) else {
                continue;
            };
            let (Some(pair), Some(side), Some(order_type), Some(amount)) =
                (report.market.pair(), report.side, report.order_type, report.amount)
            else {
                continue;
            };
            let order = NewOrder {
                pair: pair.clone(),
                side,
                order_type,
                time_in_force: TimeInForce::Gtc,
                amount,
                price: report.price,
                action: None,
            };
            let saved = RestoredOrder {
                client_order_id: id.clone(),
                order: order.clone(),
                submitted: report.time.unwrap_or(now.utc),
                created: false,
                cancel_requested: false,
                exchange_order_ids: Vec::new(),
                fills: Vec::new(),
            };
            if self.tracker.take_up(now, &saved).is_ok() {
                let intent = Intent { time: now.utc, client_order_id: id.clone(), order };
                self.recorder.add(now, Record::Intent(intent));
            }
        }
    }

    /// Everything up to a sequence number is stored: what waited for it is sent.
    pub(super) fn on_recorded(&mut self, now: Now, through: u64) {
        let recorder = &mut self.recorder;
        recorder.failure = None;
        while recorder.under_way.front().is_some_and(|(sequence, _)| *sequence <= through) {
            recorder.under_way.pop_front();
        }
        self.reported.remove(PROBLEM);
        while let Some(held) = self.recorder.held.pop_front_if(|held| held.sequence <= through) {
            self.place_stored(now, held.ids);
        }
    }

    /// A write failed, and will be tried again: until it succeeds nothing new is placed.
    pub(super) fn on_record_failed(&mut self, now: Now, error: Error) {
        for id in self.recorder.take_held() {
            let error = Error::new(Cause::Storage, Effect::NotSent, "place", error.message.clone());
            self.tracker.place_failed(now, &id, &error.at(D::SPEC.name));
        }
        self.report(now, PROBLEM, error.clone());
        self.recorder.failure = Some(error);
    }

    /// Gives up orders that have waited too long for their intent to be stored.
    pub(super) fn watch_recorder(&mut self, now: Now) {
        while let Some(held) = self.recorder.held.pop_front_if(|held| held.until <= now.mono) {
            let text = "the journal did not store the order's intent in time";
            let error = Error::new(Cause::Storage, Effect::NotSent, "place", text).at(D::SPEC.name);
            for id in &held.ids {
                self.tracker.place_failed(now, id, &error);
            }
            self.report(now, PROBLEM, error);
        }
    }
}

/// The key under which a failing journal is told once, until it works again.
const PROBLEM: &str = "journal";
