//! The wish to cancel one order: remembered until it can be sent, sent once at a time, repeated a bounded number of times.
//!
//! Before a repetition the order's state is looked at, because a cancel that was refused, not found or left without an
//! answer often means that the order has just ended.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Cause, Effect, Error};
use crate::event::{Event, OrderCancelRefused};
use crate::mutants::{self, Mutant};
use crate::order::{OrderState, TrackedOrder};
use crate::time::{Mono, Now};

/// Most times one wish is sent.
const MAX_ATTEMPTS: u32 = 5;
/// A cancel the venue accepted and did not carry out for so long is sent again.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request to cancel comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelStep {
    /// Send the cancel now.
    Send,
    /// Remembered: due as [`super::Want::CancelNow`] when the order is acknowledged or its outcome known.
    WaitForAck,
    /// A cancel is already under way; nothing to send.
    InFlight,
    /// The order has ended.
    AlreadyDone,
    /// No such order here.
    Unknown,
}

/// How far the wish has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancelling {
    requested: bool,
    in_flight: bool,
    accepted_at: Option<Mono>,
    attempts: u32,
    not_before: Mono,
    /// Why the last attempt came to nothing; while present, the order's state is looked at first.
    failed: Option<Error>,
    /// The order itself was told to have failed, and is being removed.
    orphan: bool,
}

impl Cancelling {
    pub(super) const fn is_requested(&self) -> bool {
        self.requested
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.requested && self.failed.is_some()
    }

    pub(super) const fn forget_orphan(&mut self) {
        self.orphan = false;
    }

    /// Starts removing an orphan. False if that is under way.
    pub(super) fn adopt_orphan(&mut self, now: Now) -> bool {
        if self.orphan || self.attempts >= MAX_ATTEMPTS {
            return false;
        }
        // The report may be a straggler whose end is already on its way.
        *self = Self { orphan: true, not_before: now.mono.after(backoff(0)), ..Self::default() };
        true
    }

    fn send(&mut self) {
        self.in_flight = true;
        self.attempts = self.attempts.saturating_add(1);
        self.failed = None;
        self.accepted_at = None;
    }
}

/// The wait after `attempt` tries: 100 ms, 200 ms, 400 ms … at most 5 s.
pub(super) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100_u64.saturating_mul(1 << attempt.min(6)).min(5_000))
}

impl TrackedOrder {
    /// Whether somebody wants it cancelled, and the venue has not refused that for good.
    #[must_use]
    pub const fn is_cancel_requested(&self) -> bool {
        self.cancelling.is_requested()
    }

    /// Somebody wants it cancelled. [`CancelStep::Send`] counts as sent.
    pub fn cancel_requested(&mut self, _now: Now) -> CancelStep {
        if self.is_ending() {
            return CancelStep::AlreadyDone;
        }
        self.cancelling.requested = true;
        if !self.is_accepted() {
            return CancelStep::WaitForAck;
        }
        if self.cancelling.in_flight || self.cancelling.accepted_at.is_some() {
            return CancelStep::InFlight;
        }
        self.cancelling.attempts = 0;
        self.cancelling.send();
        CancelStep::Send
    }

    /// When a cancel is due, if one is.
    pub(super) fn cancel_due(&self) -> Option<Mono> {
        let wish = &self.cancelling;
        let open = wish.requested && wish.failed.is_none() && self.is_accepted() && !self.is_ending();
        let idle = !wish.in_flight && wish.accepted_at.is_none();
        ((open || wish.orphan) && idle).then_some(wish.not_before)
    }

    /// The due cancel is being sent.
    pub(super) fn cancel_sent(&mut self) {
        self.cancelling.send();
    }

    /// The venue took the cancel; its effect may come later, as a report.
    pub fn cancel_accepted(&mut self, now: Now, out: &mut Vec<Event>) {
        self.cancelling.in_flight = false;
        if self.state().is_terminal() {
            self.cancelling.orphan = false;
            return;
        }
        self.create(now, None, out);
        self.cancelling.accepted_at = Some(now.mono);
        if !self.is_ending() {
            self.advance(OrderState::PendingCancel);
        }
    }

    /// The cancel failed. That the venue does not find the order is no end: the order must be looked at.
    pub fn cancel_failed(&mut self, now: Now, error: &Error, out: &mut Vec<Event>) {
        self.cancelling.in_flight = false;
        self.cancelling.not_before = now.mono.after(backoff(self.cancelling.attempts));
        if self.state().is_terminal() {
            let spent = self.cancelling.attempts >= MAX_ATTEMPTS;
            self.cancelling.orphan &= error.cause != Cause::OrderNotFound && !spent;
            return;
        }
        if self.is_ending() {
            return;
        }
        if error.effect == Effect::Unknown && mutants::is(Mutant::LostCancelIsDone) {
            return self.conclude(now, OrderState::Cancelled, None, out);
        }
        if !self.cancelling.requested {
            self.ask();
            return;
        }
        if is_passing(error) {
            if self.cancelling.attempts >= MAX_ATTEMPTS {
                self.give_up(now, error.clone(), out);
            }
            return;
        }
        self.cancelling.failed = Some(error.clone());
    }

    /// The venue shows the order live: whatever was tried did not end it yet.
    pub(super) fn cancel_seen_live(&mut self, now: Now, state: OrderState, out: &mut Vec<Event>) {
        if state == OrderState::PendingCancel {
            self.cancelling.in_flight = false;
            self.cancelling.failed = None;
            self.cancelling.accepted_at.get_or_insert(now.mono);
            return;
        }
        let spent = self.cancelling.attempts >= MAX_ATTEMPTS;
        if let Some(error) = self.cancelling.failed.take() {
            let refused = error.effect == Effect::Rejected && error.cause != Cause::OrderNotFound;
            if refused || spent {
                self.give_up(now, error, out);
            }
        } else if let Some(at) = self.cancelling.accepted_at
            && now.mono.since(at) >= PATIENCE
        {
            if spent {
                let text = "the venue accepted the cancel again and again, and the order lives on";
                self.give_up(now, Error::new(Cause::Other, Effect::Rejected, "cancel order", text), out);
            } else {
                self.cancelling.accepted_at = None;
            }
        }
    }

    fn give_up(&mut self, now: Now, error: Error, out: &mut Vec<Event>) {
        self.cancelling = Cancelling::default();
        self.revive();
        let error = Arc::new(error.about(self.client_order_id().as_str()));
        out.push(Event::OrderCancelRefused(OrderCancelRefused { time: now.utc, order: self.info(), error }));
    }
}

/// Whether the same cancel may well succeed a little later.
const fn is_passing(error: &Error) -> bool {
    match error.effect {
        Effect::NotSent => true,
        Effect::Rejected => {
            matches!(error.cause, Cause::RateLimited | Cause::Unavailable | Cause::Timestamp | Cause::Banned)
        }
        Effect::Unknown => false,
    }
}
