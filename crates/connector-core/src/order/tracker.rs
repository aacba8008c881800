//! All orders of one account.

use std::time::Duration;

use crate::error::Error;
use crate::event::Event;
use crate::id::ClientOrderId;
use crate::id::ExchangeOrderId;
use crate::message::{Fill, Message, OrderReport};
use crate::order::{NewOrder, TrackedOrder};
use crate::pair::Pair;
use crate::time::{Mono, Now};

/// What a request to cancel comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelStep {
    /// Send the cancel now.
    Send,
    /// Remembered: due as [`Want::CancelNow`] when the order is acknowledged or its outcome known.
    WaitForAck,
    /// A cancel is already under way; nothing to send.
    InFlight,
    /// The order has ended.
    AlreadyDone,
    /// No such order here.
    Unknown,
}

/// Something the tracker asks the engine to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Want {
    /// Send a cancel for this order. Answer with `cancel_accepted`, a report or `cancel_failed`.
    CancelNow(ClientOrderId),
    /// Ask the venue for this order's state. Answer with `apply` or `not_found`; say nothing on other errors.
    QueryOrder(ClientOrderId),
    /// Fetch this order's fills. Answer with `apply` for each fill, then `fills_fetched`; say nothing on errors.
    FetchFills(ClientOrderId),
    /// List the open orders of this pair (or of all). Answer with `open_orders_snapshot`; say nothing on errors.
    OpenOrders(Pair),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is about this order.
    Order(ClientOrderId),
    /// It names no order we know yet, and is kept until it does or grows old.
    Kept,
    /// It is about somebody else's order, or not about an order at all.
    Foreign,
}

/// Bounds of a tracker.
#[derive(Clone, Copy, Debug)]
pub struct TrackerLimits {
    /// Most orders that are not terminal.
    pub open: usize,
    /// Most terminal orders kept for stragglers; the oldest go first.
    pub closed: usize,
    /// How long terminal orders are kept.
    pub closed_age: Duration,
    /// Most messages kept while they match no order.
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

/// All orders of one account.
#[derive(Debug, Default)]
pub struct Tracker {
    events: Vec<Event>,
}

#[allow(
    missing_docs,
    unused_variables,
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "API first"
)]
impl Tracker {
    #[must_use]
    pub fn new(limits: TrackerLimits) -> Self {
        Self::default()
    }
    pub fn submit(&mut self, now: Now, id: ClientOrderId, order: NewOrder) -> Result<(), Error> {
        Ok(())
    }
    pub fn restore(
        &mut self,
        now: Now,
        id: ClientOrderId,
        order: NewOrder,
        exchange_ids: &[ExchangeOrderId],
        fills: &[Fill],
    ) -> Result<(), Error> {
        Ok(())
    }
    pub fn sent(&mut self, now: Now, id: &ClientOrderId) {}
    pub fn acknowledged(&mut self, now: Now, id: &ClientOrderId, report: &OrderReport) {}
    pub fn place_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {}
    pub fn apply(&mut self, now: Now, message: &Message) -> Applied {
        Applied::Foreign
    }
    pub fn apply_report(&mut self, now: Now, report: &OrderReport) -> Applied {
        Applied::Foreign
    }
    pub fn apply_fill(&mut self, now: Now, fill: &Fill) -> Applied {
        Applied::Foreign
    }
    pub fn cancel_requested(&mut self, now: Now, id: &ClientOrderId) -> CancelStep {
        CancelStep::Unknown
    }
    pub fn cancel_accepted(&mut self, now: Now, id: &ClientOrderId) {}
    pub fn cancel_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {}
    pub fn not_found(&mut self, now: Now, id: &ClientOrderId, visibility: Duration) {}
    /// Every fill the venue had at `asked_at` (when the request was sent) has been applied.
    pub fn fills_fetched(&mut self, now: Now, id: &ClientOrderId, asked_at: Mono) {}
    pub fn open_orders_snapshot(
        &mut self,
        now: Now,
        pair: Option<&Pair>,
        reports: &[OrderReport],
        as_of: Mono,
    ) {
    }
    /// Ask for the order's state as soon as possible.
    pub fn query(&mut self, now: Now, id: &ClientOrderId) {}
    pub fn wants(&mut self, now: Now) -> Vec<Want> {
        Vec::new()
    }
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
    #[must_use]
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
    #[must_use]
    pub fn get(&self, id: &ClientOrderId) -> Option<&TrackedOrder> {
        None
    }
    #[must_use]
    pub fn by_exchange_id(&self, pair: &Pair, id: &ExchangeOrderId) -> Option<&TrackedOrder> {
        None
    }
    pub fn open_orders(&self) -> impl Iterator<Item = &TrackedOrder> {
        std::iter::empty()
    }
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }
}
