//! What follows from the venue not knowing an order.
//!
//! One "not found" proves nothing: queries lag behind placements, and venues forget ended orders. Only an explicit
//! not-found counts, only after the venue's visibility window, and a conclusion needs a second, independent source:
//! the list of open orders, and for an order that was live, its fills. Failed polls never come here.

use std::time::Duration;

use smol_str::SmolStr;

use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::order::{OrderState, TrackedOrder};
use crate::time::{Mono, Now};

/// Consecutive misses after which an order that was live is reported as unknown.
const SERIOUS: u32 = 3;
/// Misses closer together than this are one.
const SPACING: Duration = Duration::from_secs(1);

/// Evidence that the venue does not hold an order. Any sign of life clears it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    misses: u32,
    last_miss: Option<Mono>,
    visible_from: Option<Mono>,
    /// First and last list of open orders without it.
    absent: Option<(Mono, Mono)>,
    fills_at: Option<Mono>,
}

impl Doubt {
    pub(super) const fn exists(&self) -> bool {
        self.misses > 0
    }

    pub(super) const fn is_serious(&self) -> bool {
        self.misses >= SERIOUS
    }

    pub(super) fn fills_fetched(&mut self, asked_at: Mono) {
        self.fills_at = Some(self.fills_at.map_or(asked_at, |at| at.max(asked_at)));
    }
}

impl TrackedOrder {
    /// The venue explicitly does not know the order, asked at `asked_at`; it shows orders `visibility` after placement.
    pub fn not_found(&mut self, now: Now, asked_at: Mono, visibility: Duration, out: &mut Vec<Event>) {
        if self.state().is_terminal() {
            self.cancelling.forget_orphan();
            self.answered();
            return;
        }
        let visible_from = self.sent_at().after(visibility);
        if self.is_ending() || asked_at < visible_from {
            return;
        }
        self.doubt.visible_from = Some(visible_from);
        if self.doubt.last_miss.is_none_or(|at| asked_at.since(at) >= SPACING) {
            self.doubt.last_miss = Some(asked_at);
            self.doubt.misses = self.doubt.misses.saturating_add(1);
            if self.doubt.misses == SERIOUS && self.is_accepted() {
                let text = "the venue was asked several times and does not find the order; still looking";
                let error = Error::new(Cause::OrderNotFound, Effect::Unknown, "query order", text);
                out.push(self.unknown(now, error));
            }
        }
        self.conclude_absence(now, out);
    }

    /// The order is missing from the venue's complete list of open orders, asked for at `as_of`.
    pub fn absent(&mut self, now: Now, as_of: Mono, out: &mut Vec<Event>) {
        let in_doubt = self.is_accepted() || self.state() == OrderState::Unknown;
        if self.is_ending() || !in_doubt || as_of < self.sent_at() {
            return;
        }
        let (first, last) = self.doubt.absent.unwrap_or((as_of, as_of));
        self.doubt.absent = Some((first, last.max(as_of)));
        self.ask();
        self.conclude_absence(now, out);
    }

    /// Ends the order if the evidence is complete.
    pub(super) fn conclude_absence(&mut self, now: Now, out: &mut Vec<Event>) {
        let (Some(visible), Some((gone, absent))) = (self.doubt.visible_from, self.doubt.absent) else {
            return;
        };
        if self.is_ending() || absent < visible || !self.doubt.exists() {
            return;
        }
        if self.state() == OrderState::Unknown {
            let text = "the venue never accepted it: not found by id and not among the open orders";
            let error = Error::new(Cause::OrderNotFound, Effect::Rejected, "place order", text);
            self.presume_failed(now, error, out);
        } else if self.is_accepted()
            && self.doubt.is_serious()
            && self.doubt.fills_at.is_some_and(|at| at >= gone)
            && !self.wants_fills()
        {
            let reason = "gone: not found by id, not among the open orders, and all its fills are booked";
            self.conclude(now, OrderState::Cancelled, Some(SmolStr::new_static(reason)), out);
        }
    }
}
