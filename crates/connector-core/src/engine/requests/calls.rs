//! Calls: requests over a stream connection instead of HTTP, where the user wants that and the venue takes them.
//!
//! They have a connection of their own. On that of the private stream an answer would wait behind the account's events,
//! whatever ends one would end the other, and opening it again would mean a recovery. Nothing depends on it: what finds no
//! live connection goes by HTTP at once. What was written to one, and finds no answer there, may have been carried out: it
//! ends with an unknown outcome, like a request by HTTP without answer, and is never written twice.

use std::borrow::Cow;

use super::{Flying, Requests};
use crate::dialect::{Call, Calls, Cost, Dialect, Draft, LinkRole, Row};
use crate::engine::{Engine, Link};
use crate::error::{Cause, Effect, Error};
use crate::throttle::Throttler;
use crate::time::{Mono, Now};
use crate::wire::{Action, HttpResponse, LinkId, RequestId, TransportError};

/// How orders and cancels go to the venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderEntry {
    /// By HTTP requests.
    #[default]
    Rest,
    /// Over a stream connection of their own, kept open and warm; by HTTP whenever that is not live. An order whose answer
    /// does not come is looked up as it is by HTTP.
    Stream,
}

/// A way over a stream.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) link: LinkId,
    calls: &'static Calls,
    call: &'static Call,
}

/// Whether what a dialect declares of calls, and what the user wants of them, makes sense.
///
/// # Errors
/// [`Cause::Usage`], nothing sent: a cost names an unknown pool, a call has no row, or none is declared and some are wanted.
pub(in crate::engine) fn check_calls<D: Dialect>(
    throttler: &Throttler,
    entry: OrderEntry,
) -> Result<(), Error> {
    let Some(calls) = D::CALLS else {
        return match entry {
            OrderEntry::Rest => Ok(()),
            OrderEntry::Stream => {
                Err(Error::usage("order_entry", "this venue takes no orders over a stream"))
            }
        };
    };
    throttler.check(calls.link.name, calls.link.connect_cost)?;
    throttler.check(calls.link.name, calls.link.login_cost)?;
    if calls.link.role != LinkRole::Orders {
        return Err(Error::usage(calls.link.name, "is declared to carry calls, but not as such a link"));
    }
    for call in calls.calls {
        let row = D::REST.rows().find(|row| row.name == call.row);
        let row = row.ok_or_else(|| Error::usage(call.row, "is declared as a call, but is no request"))?;
        throttler.check(call.row, &[row.costs, call.more].concat())?;
    }
    Ok(())
}

impl Requests {
    /// By when the oldest call has to be answered.
    pub(in crate::engine) fn calls_deadline(&self) -> Option<Mono> {
        self.call_deadlines.front().map(|(at, _)| *at)
    }

    /// Whether an answer is waited for on this connection.
    pub(in crate::engine) fn calls_wait_on(&self, link: LinkId) -> bool {
        self.call_deadlines.iter().any(|(_, ticket)| self.went_over(*ticket, link))
    }

    fn went_over(&self, ticket: u64, link: LinkId) -> bool {
        self.flying.get(&ticket).is_some_and(|flying| flying.link == Some(link))
    }

    /// Forgets deadlines that were met, up to the first that was not.
    fn forget_answered(&mut self) {
        while self.call_deadlines.front().is_some_and(|(_, ticket)| !self.flying.contains_key(ticket)) {
            self.call_deadlines.pop_front();
        }
    }
}

impl<D: Dialect> Engine<D> {
    /// What may go over a stream here.
    pub(in crate::engine) fn calls(&self) -> Option<&'static Calls> {
        D::CALLS.filter(|_| self.config.order_entry == OrderEntry::Stream && self.trades())
    }

    /// What a request of this row costs, whichever way it will go.
    pub(super) fn costs(&self, row: &'static Row) -> Cow<'static, [Cost]> {
        match self.calls().and_then(|calls| calls.of(row.name)) {
            Some(call) if !call.more.is_empty() => Cow::Owned([row.costs, call.more].concat()),
            _ => Cow::Borrowed(row.costs),
        }
    }

    /// How a request of this row can go over a stream now; `None` if by HTTP.
    pub(super) fn way(&self, now: Now, row: &Row) -> Option<Way> {
        let calls = self.calls()?;
        let call = calls.of(row.name)?;
        let link = self.links.iter().find_map(|link: &Link| link.takes_calls(now))?;
        Some(Way { link, calls, call })
    }

    /// Signs and writes a call, immediately before it leaves, so that the time stamp is fresh.
    pub(super) fn write_call(
        &mut self,
        way: &Way,
        draft: Draft,
        ticket: u64,
        now: Now,
    ) -> Result<Action, Error> {
        let stamp = self.stamp(now);
        let keys = self.config.keys.as_ref().ok_or_else(|| {
            Error::usage(way.call.row, "this needs credentials, and the connector was built without")
        })?;
        tracing::Span::current().record("link", way.calls.link.name);
        let text = (way.calls.write)(way.call, draft, ticket, keys, stamp)?;
        Ok(Action::Send { link: way.link, text })
    }

    /// Takes in a frame of a connection that carries calls. False if it answers none, and is to be read as any frame.
    pub(in crate::engine) fn take_answer(
        &mut self,
        now: Now,
        index: usize,
        link: LinkId,
        bytes: &[u8],
    ) -> bool {
        let Some(calls) = self.calls() else { return false };
        match (calls.answer)(bytes) {
            Ok(None) => return false,
            Ok(Some(answer)) => {
                // An answer that comes too late finds its order being looked up, which is the better evidence.
                if self.requests.went_over(answer.id, link) {
                    let (status, headers, body) = (answer.status, answer.headers, answer.body);
                    let response = HttpResponse { status, headers, body };
                    self.on_response(now, RequestId(answer.id), Ok(response));
                }
                self.requests.forget_answered();
                if self.is_retired(index) {
                    self.retire(now, index, "planned renewal, once all was answered");
                }
            }
            Err(error) => {
                let reason = format!("an answer cannot be read: {error}");
                let key = format!("frame:{}:{}", error.what, error.why);
                let problem = Error::new(Cause::Malformed, Effect::Unknown, error.what, error.why);
                self.report(now, &key, problem);
                self.drop_link(now, index, &reason);
            }
        }
        true
    }

    /// A connection has ended: what was written to it may have been carried out.
    pub(in crate::engine) fn calls_lost(&mut self, now: Now, link: LinkId, reason: &str) {
        let on_it = |(ticket, flying): (&u64, &Flying)| (flying.link == Some(link)).then_some(*ticket);
        let lost: Vec<u64> = self.requests.flying.iter().filter_map(on_it).collect();
        for ticket in lost {
            let error = TransportError::Broken(reason.to_owned());
            self.on_response(now, RequestId(ticket), Err(error));
        }
        self.requests.forget_answered();
    }

    /// Ends calls that were not answered in time. The connection that owed the answer cannot be trusted with the next; what else
    /// is waited for on it has its own time.
    pub(in crate::engine) fn watch_calls(&mut self, now: Now) {
        while let Some((at, ticket)) = self.requests.call_deadlines.front().copied()
            && at <= now.mono
        {
            self.requests.call_deadlines.pop_front();
            let Some(link) = self.requests.flying.get(&ticket).and_then(|flying| flying.link) else {
                continue;
            };
            self.on_response(now, RequestId(ticket), Err(TransportError::Timeout));
            self.retire_by_id(now, link, "a request was not answered in time");
        }
        self.requests.forget_answered();
    }
}
