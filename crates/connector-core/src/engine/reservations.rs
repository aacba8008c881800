//! What own orders hold of the balances that the venue's latest word on them does not show yet.
//!
//! An order reserves what it costs from the moment it is submitted. As soon as the venue's word on an asset is known to be
//! younger than the venue's acceptance of the order, the venue's own figure contains the reservation and ours ends: so **no
//! reservation counts twice, and none is forgotten in between**. Where balances are not pushed, fills and endings since the
//! last answer are reckoned as well. Sums are kept as orders come and go: reading what is reserved scans nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::id::ClientOrderId;
use crate::message::Fee;
use crate::number::product_up;
use crate::order::Side;
use crate::pair::{Asset, Pair};
use crate::time::{Mono, UnixNanos};

/// Most movements of one asset kept apart by time; beyond them the two oldest become one.
const MAX_MOVES: usize = 1024;

/// When something was known here, and when it happened by the venue's clock where the venue says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) known: Mono,
    pub(super) venue: Option<UnixNanos>,
}

/// One order's hold on the balances.
#[derive(Debug)]
struct Held {
    /// What one unit of the base asset takes.
    units: Vec<(Asset, Decimal)>,
    /// What is held and not yet in the venue's figures.
    pending: Vec<(Asset, Decimal)>,
    /// Base amount neither executed nor ended.
    remaining: Decimal,
    accepted: Option<Moment>,
    executed: bool,
    ended: bool,
}

/// When a movement was known, and whether something went: both signs are told apart, because the doubtful ones of each are
/// kept for different times.
type Move = (Mono, bool);

/// A part of an order was executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executed<'a> {
    pub(super) pair: &'a Pair,
    pub(super) side: Side,
    pub(super) price: Decimal,
    pub(super) amount: Decimal,
    pub(super) fee: Option<&'a Fee>,
}

/// All reservations of one account.
#[derive(Debug)]
pub(super) struct Reservations {
    /// Whether the venue tells every change by itself.
    push: bool,
    /// Whether orders take margin: what is executed goes on holding it, in a position, until the venue's next word.
    margin: bool,
    /// How long a venue's figure may lack a change that it has made.
    visibility: Duration,
    orders: BTreeMap<ClientOrderId, Held>,
    /// When the venue last spoke of an asset.
    told: BTreeMap<Asset, Moment>,
    /// The sum of what is pending, by asset.
    reserved: BTreeMap<Asset, Decimal>,
    /// What has come (positive) and gone since the last answer, by when it was known; only without push.
    moves: BTreeMap<Asset, BTreeMap<Move, Decimal>>,
    /// The sum of `moves`, by asset.
    moved: BTreeMap<Asset, Decimal>,
}

impl Reservations {
    pub(super) fn new(push: bool, visibility: Duration, margin: bool) -> Self {
        Self {
            push,
            margin,
            visibility,
            orders: BTreeMap::new(),
            told: BTreeMap::new(),
            reserved: BTreeMap::new(),
            moves: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// What can be spent where the venue says `available`. Never negative.
    pub(super) fn available(&self, asset: &Asset, available: Decimal) -> Decimal {
        let reserved = self.reserved.get(asset).copied().unwrap_or_default();
        let moved = self.moved.get(asset).copied().unwrap_or_default();
        available.saturating_add(moved).saturating_sub(reserved).max(Decimal::ZERO)
    }

    /// Assets with reservations or movements.
    pub(super) fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.reserved.keys().chain(self.moved.keys())
    }

    /// An order is about to be sent; `units` is what one unit of its base asset takes.
    pub(super) fn placed(&mut self, id: ClientOrderId, amount: Decimal, units: Vec<(Asset, Decimal)>) {
        let cost = |(asset, unit): &(Asset, Decimal)| {
            (asset.clone(), product_up(*unit, amount).unwrap_or(Decimal::MAX))
        };
        let pending: Vec<_> = units.iter().map(cost).collect();
        for (asset, cost) in &pending {
            let sum = self.reserved.entry(asset.clone()).or_default();
            *sum = sum.saturating_add(*cost);
        }
        let held = Held { units, pending, remaining: amount, accepted: None, executed: false, ended: false };
        self.orders.insert(id, held);
    }

    /// What one unit of an order's base asset takes, while that is held.
    pub(super) fn units(&self, id: &ClientOrderId) -> Option<&[(Asset, Decimal)]> {
        self.orders.get(id).map(|held| held.units.as_slice())
    }

    /// The venue has accepted an order.
    pub(super) fn accepted(&mut self, id: &ClientOrderId, at: Moment) {
        let Some(held) = self.orders.get_mut(id).filter(|held| held.accepted.is_none()) else { return };
        held.accepted = Some(at);
        if self.push {
            // Its balance message may have been quicker.
            let (told, visibility) = (&self.told, self.visibility);
            let shown = |asset: &Asset| told.get(asset).is_some_and(|told| shows(*told, at, visibility));
            let done = take_if(&mut held.pending, shown);
            self.unreserve(done);
        } else {
            let done = std::mem::take(&mut held.pending);
            for (asset, cost) in &done {
                self.moved(asset, at.known, -*cost);
            }
            self.unreserve(done);
        }
        self.tidy(id);
    }

    /// A part of an order was executed.
    pub(super) fn filled(&mut self, id: &ClientOrderId, at: Moment, fill: Executed<'_>) {
        let mut released = Vec::new();
        if let Some(held) = self.orders.get_mut(id) {
            held.executed = true;
            let part = fill.amount.min(held.remaining);
            held.remaining -= part;
            released =
                held.units.iter().map(|(asset, unit)| (asset.clone(), unit.saturating_mul(part))).collect();
        }
        if self.push {
            return;
        }
        if self.margin {
            if let Some(fee) = fill.fee {
                self.moved(&fee.asset, at.known, -fee.amount);
            }
            return;
        }
        let value = fill.price.saturating_mul(fill.amount);
        let (base, quote) = match fill.side {
            Side::Buy => (fill.amount, -value),
            Side::Sell => (-fill.amount, value),
        };
        released.extend([(fill.pair.base(), base), (fill.pair.quote(), quote)]);
        released.extend(fill.fee.map(|fee| (fee.asset.clone(), -fee.amount)));
        for (asset, change) in released {
            self.moved(&asset, at.known, change);
        }
    }

    /// An order has ended: what it still holds is free.
    pub(super) fn ended(&mut self, id: &ClientOrderId, at: Moment) {
        let Some(held) = self.orders.get_mut(id) else { return };
        held.ended = true;
        let accepted = held.accepted.is_some();
        // What it has spent stays set aside until the venue shows it; a hold that was never shown was never taken.
        let done = if held.executed && accepted { Vec::new() } else { std::mem::take(&mut held.pending) };
        let remaining = std::mem::take(&mut held.remaining);
        let released: Vec<_> =
            held.units.iter().map(|(asset, unit)| (asset.clone(), unit.saturating_mul(remaining))).collect();
        self.unreserve(done);
        if !self.push && accepted {
            for (asset, change) in released {
                self.moved(&asset, at.known, change);
            }
        }
        self.tidy(id);
    }

    /// Whether a figure of this venue time is older than the one already known.
    pub(super) fn is_outdated(&self, asset: &Asset, venue: Option<UnixNanos>) -> bool {
        let known = self.told.get(asset).and_then(|told| told.venue);
        known.zip(venue).is_some_and(|(known, venue)| venue < known)
    }

    /// The venue told its figure of an asset: one that holds at least what it had done at `at`, which was heard at `heard`.
    pub(super) fn told(&mut self, asset: &Asset, at: Moment, heard: Mono) {
        let known = self.told.entry(asset.clone()).or_insert(at);
        known.known = known.known.max(at.known);
        known.venue = known.venue.max(at.venue);
        let visibility = self.visibility;
        let mut done = Vec::new();
        let mut empty = Vec::new();
        for (id, held) in &mut self.orders {
            if held.accepted.is_some_and(|accepted| shows(at, accepted, visibility)) {
                done.extend(take_if(&mut held.pending, |held| held == asset));
                if held.pending.is_empty() {
                    empty.push(id.clone());
                }
            }
        }
        self.unreserve(done);
        for id in empty {
            self.tidy(&id);
        }
        if let Some(moves) = self.moves.get_mut(asset) {
            // In doubt whether the figure holds a change, less is assumed to be available.
            moves.retain(|(known, gone), _| *known > if *gone { at.known } else { heard });
            let sum: Decimal = moves.values().sum();
            if moves.is_empty() {
                self.moves.remove(asset);
                self.moved.remove(asset);
            } else {
                self.moved.insert(asset.clone(), sum);
            }
        }
    }

    /// When the oldest acceptance became known that the venue's figures do not show yet.
    pub(super) fn waits_since(&self) -> Option<Mono> {
        let accepted = |held: &Held| held.accepted.filter(|_| !held.pending.is_empty());
        self.orders.values().filter_map(accepted).map(|accepted| accepted.known).min()
    }

    fn moved(&mut self, asset: &Asset, known: Mono, change: Decimal) {
        if change.is_zero() {
            return;
        }
        let moves = self.moves.entry(asset.clone()).or_default();
        let sum = self.moved.entry(asset.clone()).or_default();
        *sum = sum.saturating_add(change);
        let change_here = moves.entry((known, change.is_sign_negative())).or_default();
        *change_here = change_here.saturating_add(change);
        if moves.len() > MAX_MOVES
            && let Some((_, oldest)) = moves.pop_first()
            && let Some(mut next) = moves.first_entry()
        {
            *next.get_mut() = next.get().saturating_add(oldest);
        }
    }

    fn unreserve(&mut self, done: Vec<(Asset, Decimal)>) {
        for (asset, cost) in done {
            if let Some(sum) = self.reserved.get_mut(&asset) {
                *sum = sum.saturating_sub(cost);
                if *sum <= Decimal::ZERO {
                    self.reserved.remove(&asset);
                }
            }
        }
    }

    /// Forgets an order that can change nothing any more.
    fn tidy(&mut self, id: &ClientOrderId) {
        let over =
            |held: &Held| held.pending.is_empty() && (held.ended || self.push && held.accepted.is_some());
        if self.orders.get(id).is_some_and(over) {
            self.orders.remove(id);
        }
    }
}

/// Whether a figure told at `told` holds what an order accepted at `accepted` takes.
fn shows(told: Moment, accepted: Moment, visibility: Duration) -> bool {
    match told.venue.zip(accepted.venue) {
        // The venue's own times decide; but two of its clocks may differ, so a much later figure is believed as well.
        Some((told_at, accepted_at)) => {
            told_at >= accepted_at || told.known > accepted.known.after(visibility)
        }
        None => told.known >= accepted.known,
    }
}

/// Takes the entries of `list` whose asset is chosen.
fn take_if(list: &mut Vec<(Asset, Decimal)>, chosen: impl Fn(&Asset) -> bool) -> Vec<(Asset, Decimal)> {
    let (taken, kept) = std::mem::take(list).into_iter().partition(|(asset, _)| chosen(asset));
    *list = kept;
    taken
}

#[cfg(test)]
mod tests;
