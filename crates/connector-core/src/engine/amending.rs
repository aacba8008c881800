//! Changing an order's price or amount, by cancelling it and placing another.
//!
//! The replacement is an order of its own, under a new id that is given at once: venues give a replaced order a new id, a new
//! place in the queue and its own fills, and one id for two orders could not be told apart after a lost answer. It is sent only
//! when the venue has proven the first order cancelled, and only for what that left unexecuted, so that both together never
//! trade more than was asked for. Until then it is pending, and it fails, never sent, if the first order ends otherwise.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::Engine;
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::id::ClientOrderId;
use crate::order::{NewOrder, OrderType, Side, TimeInForce, TrackedOrder};
use crate::pair::Asset;
use crate::rules::quantise;
use crate::time::Now;

/// A replacement that waits.
#[derive(Clone, Debug)]
struct Amend {
    replacement: ClientOrderId,
    /// Base amount of both orders together.
    total: Decimal,
    /// What each unit of it takes.
    units: Vec<(Asset, Decimal)>,
}

/// Replacements that wait, by the order they replace.
#[derive(Debug, Default)]
pub(super) struct Amends(BTreeMap<ClientOrderId, Amend>);

impl Amends {
    fn is_waiting(&self, id: &ClientOrderId) -> bool {
        self.0.values().any(|amend| amend.replacement == *id)
    }

    /// Takes out the replacement that is, or waits for, this order.
    fn take(&mut self, id: &ClientOrderId) -> Option<ClientOrderId> {
        let key = self.0.iter().find(|(old, amend)| *old == id || amend.replacement == *id)?.0.clone();
        self.0.remove(&key).map(|amend| amend.replacement)
    }
}

/// What cancelling an order makes available again.
fn freed(order: &TrackedOrder) -> (Asset, Decimal) {
    let sent = order.order();
    match sent.side {
        Side::Sell => (sent.pair.base(), order.remaining()),
        Side::Buy => {
            let value = sent.price.and_then(|price| price.checked_mul(order.remaining()));
            (sent.pair.quote(), value.unwrap_or_default())
        }
    }
}

impl<D: Dialect> Engine<D> {
    /// Has an order replaced. Everything that can be checked is checked before anything is touched.
    pub(super) fn amend_order(
        &mut self,
        now: Now,
        id: &ClientOrderId,
        price: Option<Decimal>,
        amount: Option<Decimal>,
    ) -> Result<ClientOrderId, Error> {
        self.recorder.admits(now)?;
        let refuse = |text: &str| Err(Error::usage("amend", text).about(id.as_str()));
        let Some(old) = self.tracker.get(id) else { return refuse("is not an order of this connector") };
        let sent = old.order();
        if old.is_ending() {
            return refuse("the order has ended");
        }
        if old.is_cancel_requested() {
            return refuse("the order is being cancelled or amended");
        }
        if self.amends.is_waiting(id) {
            return refuse("the order waits to replace another one: amend it once it was created");
        }
        if sent.order_type == OrderType::Market || sent.time_in_force != TimeInForce::Gtc {
            return refuse("only limit orders that rest can be amended");
        }
        let done = old.executed().base.max(old.venue_filled());
        let rest = amount.unwrap_or(sent.amount) - done;
        if rest <= Decimal::ZERO {
            let text = format!("{} is executed already: nothing would be left", done.normalize());
            return refuse(&text);
        }
        let wanted = NewOrder { price: price.or(sent.price), amount: rest, ..sent.clone() };
        let freed = if Self::is_perpetual() { self.margin_freed(old) } else { Some(freed(old)) };
        let (wanted, units) = self.checked(wanted, freed.as_ref())?;
        if wanted.price == sent.price && wanted.amount == sent.amount - done {
            return Ok(id.clone());
        }
        let replacement = self.ids.next_id();
        let total = wanted.amount + done;
        self.tracker.submit(now, replacement.clone(), wanted)?;
        self.cancel_order(now, id)?;
        self.amends.0.insert(id.clone(), Amend { replacement: replacement.clone(), total, units });
        Ok(replacement)
    }

    /// Somebody wants an order gone: what waits to replace it, or itself waits, is not to be sent any more.
    pub(super) fn withdraw_replacement(&mut self, now: Now, id: &ClientOrderId) {
        if let Some(replacement) = self.amends.take(id) {
            self.fail_replacement(now, &replacement, Cause::Other, "cancelled before it was sent");
        }
    }

    /// None of the replacements that wait is to be sent any more.
    pub(super) fn withdraw_replacements(&mut self, now: Now) {
        for (_, amend) in std::mem::take(&mut self.amends.0) {
            self.fail_replacement(now, &amend.replacement, Cause::Other, "the connector is stopping");
        }
    }

    fn fail_replacement(&mut self, now: Now, id: &ClientOrderId, cause: Cause, why: &str) {
        // The journal knows orders by their intents, even those that came to nothing.
        if let Some(order) = self.tracker.get(id).map(|order| order.order().clone()) {
            self.recorder.note_intent(now, id, &order);
        }
        let error = Error::new(cause, Effect::NotSent, "amend", why).at(D::SPEC.name);
        self.tracker.place_failed(now, id, &error);
    }

    /// An order may just have ended for which a replacement waits.
    pub(super) fn replace_ended(&mut self, now: Now, event: &Event) {
        if self.amends.0.is_empty() {
            return;
        }
        let ended = event.is_terminal() || matches!(event, Event::OrderCancelRefused(_));
        let Some(info) = event.order().filter(|_| ended) else { return };
        let Some(Amend { replacement, total, units }) = self.amends.0.remove(&info.client_order_id) else {
            return;
        };
        let mut fail = |cause, why: String| {
            self.fail_replacement(now, &replacement, cause, &format!("not replaced: {why}"))
        };
        match event {
            Event::OrderCancelled(cancelled) => {
                self.place_replacement(now, &replacement, total - cancelled.executed.base, units);
            }
            Event::OrderCancelRefused(refused) => {
                fail(refused.error.cause, format!("the order lives on, {}", refused.error.message));
            }
            Event::OrderFailed(failed) => fail(failed.error.cause, "the order failed".to_owned()),
            _ => fail(Cause::Other, "the order ended before it could be cancelled".to_owned()),
        }
    }

    fn place_replacement(
        &mut self,
        now: Now,
        id: &ClientOrderId,
        amount: Decimal,
        units: Vec<(Asset, Decimal)>,
    ) {
        let Some(order) = self.tracker.get(id).map(|order| order.order().clone()) else { return };
        let wanted = NewOrder { amount, ..order };
        let quantised = match self.rules.get(&wanted.pair) {
            _ if amount <= Decimal::ZERO => {
                let text = "the order was executed so far that nothing is left to place";
                Err(Error::new(Cause::Other, Effect::NotSent, "amend", text))
            }
            Some(rule) => quantise(rule, &wanted, None),
            None => Err(super::unknown_pair(&wanted.pair)),
        };
        match quantised {
            Ok(quantised) => {
                let order = NewOrder { price: quantised.price, amount: quantised.amount, ..wanted };
                self.tracker.revise(now, id, order.clone());
                self.tracker.set_fees(order.pair.clone(), self.fee_schedule(&order.pair));
                self.holdings.reservations.placed(id.clone(), order.amount, units);
                self.place_recorded(now, vec![(id.clone(), order)]);
            }
            Err(error) => self.fail_replacement(now, id, error.cause, &error.message),
        }
    }
}
