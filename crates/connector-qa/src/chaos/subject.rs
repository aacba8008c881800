//! A connector under test as the wire sees it: what it sends, and when it must not.

use std::collections::VecDeque;
use std::time::Duration;

use connector_core::ClientOrderId;
use connector_core::dialect::Dialect;
use connector_core::engine::Trading;
use connector_core::event::Event;
use connector_core::time::{Mono, Now};
use connector_core::wire::{Action, Input, Machine};

use crate::recorded::Recorded;

/// What it has to keep off after a refusal for limits that names no time.
const DEFAULT_CLOSURE: Duration = Duration::from_secs(60);
/// Longest a cancel may wait behind anything else.
const CANCEL_BOUND: Duration = Duration::from_secs(1);

/// How cancels are known on the wire: the path and method of the request, and the name of the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    path: &'static str,
    method: &'static str,
    call: Option<&'static str>,
}

impl Marks {
    pub(super) fn of<D: Dialect>() -> Self {
        let row = &D::REST.cancel.row;
        let call = D::CALLS.and_then(|calls| calls.of(row.name)).map(|call| call.method);
        Self { path: row.path, method: row.method.as_str(), call }
    }
}

/// A cancel that somebody asked for.
struct Asked {
    since: Mono,
    id: ClientOrderId,
    /// The venue's id: requests name an order by either.
    exchange_id: Option<String>,
}

/// A recorded connector whose wire is watched.
pub(super) struct Subject {
    pub(super) recorded: Recorded,
    marks: Marks,
    /// Nothing may be sent before.
    closed_until: Mono,
    now: Mono,
    /// Cancels of accepted orders that were asked for and not sent yet.
    asked: VecDeque<Asked>,
    /// The first thing found wrong, until somebody takes it.
    found: Option<(&'static str, String)>,
}

impl Subject {
    pub(super) fn new(recorded: Recorded, marks: Marks) -> Self {
        let (asked, found) = (VecDeque::new(), None);
        Self { recorded, marks, closed_until: Mono(0), now: Mono(0), asked, found }
    }

    /// Does something with the engine.
    pub(super) fn turn<R>(&mut self, now: Now, act: impl FnOnce(&mut dyn Trading) -> R) -> R {
        self.now = now.mono;
        self.recorded.turn(now, act)
    }

    /// Somebody wants an accepted order cancelled.
    pub(super) fn cancel_asked(&mut self, now: Mono, id: &ClientOrderId) {
        let order = self.recorded.engine.order(id);
        let exchange_id = order.and_then(|order| order.exchange_order_id().map(ToString::to_string));
        self.asked.push_back(Asked { since: now, id: id.clone(), exchange_id });
    }

    /// What was found wrong since last asked, of a machine that is awake since then.
    pub(super) fn found(&mut self, now: Now, awake: Mono) -> Option<(&'static str, String)> {
        let engine = &mut self.recorded.engine;
        if !self.asked.is_empty() {
            // Refusals that come over a stream close the limits as well.
            let closed = engine.limits(now).into_iter().filter_map(|pool| pool.closed_until).max();
            self.closed_until = self.closed_until.max(closed.unwrap_or_default());
        }
        // An order whose end is known waits for its fills, not for a cancel.
        self.asked.retain(|asked| engine.order(&asked.id).is_some_and(|order| !order.is_ending()));
        if let Some(Asked { since, id, .. }) = self.asked.front() {
            let from = (*since).max(self.closed_until).max(awake);
            if now.mono.since(from) > CANCEL_BOUND && self.found.is_none() {
                let waited = now.mono.since(*since).as_secs_f32();
                self.found = Some(("I-18", format!("the cancel of {id} was not sent for {waited:.1} s")));
            }
        }
        self.found.take()
    }

    /// What was told since last asked.
    pub(super) fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.recorded.events)
    }

    pub(super) fn has_told(&self) -> bool {
        !self.recorded.events.is_empty()
    }

    fn look_at(&mut self, action: &Action) {
        let (sends, cancel) = match action {
            Action::Http { request, .. } => {
                let cancels = request.path == self.marks.path && request.method.as_str() == self.marks.method;
                let text = || format!("{} {}", request.query, String::from_utf8_lossy(&request.body));
                (true, cancels.then(text))
            }
            Action::Send { text, .. } => {
                let cancels = self.marks.call.is_some_and(|call| text.contains(call));
                (cancels, cancels.then(|| text.clone()))
            }
            _ => (false, None),
        };
        if let Some(text) = cancel {
            self.asked.retain(|asked| {
                let names = |id: &str| text.contains(id);
                !names(asked.id.as_str()) && !asked.exchange_id.as_deref().is_some_and(names)
            });
        }
        if sends && self.now < self.closed_until && self.found.is_none() {
            let rest = self.closed_until.since(self.now).as_secs_f32();
            self.found = Some(("I-09", format!("sent {rest:.1} s before the venue hears again: {action:?}")));
        }
    }
}

impl Machine for Subject {
    fn input(&mut self, now: Now, input: Input<'_>) -> bool {
        self.now = now.mono;
        if let Input::Http { result: Ok(response), .. } = &input
            && matches!(response.status, 418 | 429)
        {
            let told = response.header("retry-after").and_then(|text| text.trim().parse().ok());
            let until = now.mono.after(told.map_or(DEFAULT_CLOSURE, Duration::from_secs));
            self.closed_until = self.closed_until.max(until);
        }
        self.recorded.input(now, input)
    }

    fn wake(&mut self, now: Now) {
        self.now = now.mono;
        self.recorded.wake(now);
    }

    fn action(&mut self) -> Option<Action> {
        let action = self.recorded.action()?;
        self.look_at(&action);
        Some(action)
    }

    fn deadline(&self) -> Option<Mono> {
        self.recorded.deadline()
    }
}
