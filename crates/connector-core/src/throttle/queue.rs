//! The waiting requests: one queue per lane, first in, first out, and their deadlines.

use std::collections::{BTreeMap, BTreeSet};

use crate::throttle::{Charges, LANES, Lane};
use crate::time::Mono;

/// A waiting request.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) ticket: u64,
    pub(super) charges: Charges,
    pub(super) deadline: Mono,
    pub(super) since: Mono,
}

#[derive(Default)]
struct OneLane {
    waiting: BTreeMap<u64, Waiting>,
    served: Mono,
}

#[derive(Default)]
pub(super) struct Queue {
    lanes: [OneLane; LANES],
    places: BTreeMap<u64, (Lane, u64)>,
    deadlines: BTreeSet<(Mono, u64)>,
    arrivals: u64,
}

impl Queue {
    fn lane(&self, lane: Lane) -> Option<&OneLane> {
        self.lanes.get(lane as usize)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn len(&self, lane: Lane) -> usize {
        self.lane(lane).map_or(0, |lane| lane.waiting.len())
    }

    /// A ticket that waits already loses its place.
    pub(super) fn push(&mut self, lane: Lane, waiting: Waiting) {
        self.remove(waiting.ticket);
        self.arrivals += 1;
        self.places.insert(waiting.ticket, (lane, self.arrivals));
        self.deadlines.insert((waiting.deadline, waiting.ticket));
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.waiting.insert(self.arrivals, waiting);
        }
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiting> {
        let (lane, arrival) = self.places.remove(&ticket)?;
        let waiting = self.lanes.get_mut(lane as usize)?.waiting.remove(&arrival)?;
        self.deadlines.remove(&(waiting.deadline, ticket));
        Some(waiting)
    }

    pub(super) fn first(&self, lane: Lane) -> Option<&Waiting> {
        self.lane(lane)?.waiting.first_key_value().map(|(_, waiting)| waiting)
    }

    /// Since when a lane with waiting requests has had no turn.
    pub(super) fn unserved_since(&self, lane: Lane) -> Option<Mono> {
        Some(self.first(lane)?.since.max(self.lane(lane)?.served))
    }

    pub(super) fn served(&mut self, lane: Lane, now: Mono) {
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.served = now;
        }
    }

    pub(super) fn first_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn expired(&self, now: Mono) -> Option<u64> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, ticket)| *ticket)
    }
}
