//! Several orders placed or cancelled with one request.
//!
//! A batch is a way to send, not a thing of its own: each of its orders is recorded, tracked and told as if it had gone alone,
//! and the request's end is dealt out to them. What the answer does not clearly say of an order counts as unknown for that
//! one, and is looked up; a failure of the whole request is a failure of each.

use std::collections::{BTreeMap, VecDeque};

use super::requests::Job;
use super::{Engine, Phase};
use crate::dialect::{BatchRest, Dialect};
use crate::error::{Cause, Effect, Error};
use crate::id::ClientOrderId;
use crate::message::{Message, Refusal};
use crate::order::NewOrder;
use crate::pair::Pair;
use crate::throttle::Throttler;
use crate::time::Now;

/// Whether what a dialect declares of batches makes sense. That a share of the limits is too small for a whole batch is no
/// contradiction: its orders then go one by one.
///
/// # Errors
/// [`Cause::Usage`], nothing sent: a cost names an unknown pool, or a batch would hold nothing.
pub(super) fn check<D: Dialect>(throttler: &Throttler) -> Result<(), Error> {
    let Some(batch) = &D::REST.batch else { return Ok(()) };
    for row in batch.rows() {
        match throttler.check(row.name, row.costs) {
            Err(error) if error.cause == Cause::Usage => return Err(error),
            _ => {}
        }
    }
    if batch.most_placed == 0 || batch.most_cancelled == 0 {
        return Err(Error::usage("batch", "is declared to hold no order"));
    }
    Ok(())
}

/// Each of these in lists of at most `most`, in their order.
fn parts<T>(all: Vec<T>, most: usize) -> impl Iterator<Item = Vec<T>> {
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = all.by_ref().take(most.max(1)).collect();
        (!part.is_empty()).then_some(part)
    })
}

impl<D: Dialect> Engine<D> {
    fn batch_rest() -> Option<&'static BatchRest> {
        D::REST.batch.as_ref()
    }

    /// Has orders placed. The checks of each know what those before it take.
    pub(super) fn place_several(
        &mut self,
        now: Now,
        orders: Vec<NewOrder>,
    ) -> Vec<Result<ClientOrderId, Error>> {
        let most = Self::batch_rest().map_or(1, |batch| batch.most_placed);
        let mut accepted = Vec::new();
        let answers = orders
            .into_iter()
            .map(|order| {
                let (id, order) = self.register(now, order).map_err(|error| error.at(D::SPEC.name))?;
                accepted.push((id.clone(), order));
                Ok(id)
            })
            .collect();
        for part in parts(accepted, most) {
            self.place_recorded(now, part);
        }
        answers
    }

    /// Places orders whose intents are stored as far as they have to be.
    pub(super) fn send_placements(&mut self, now: Now, mut ids: Vec<ClientOrderId>) {
        let job = match ids.len() {
            0 => return,
            1 => ids.pop().map(Job::Place),
            _ => Some(Job::PlaceMany(ids)),
        };
        if let Some(job) = job {
            self.request(now, job);
        }
    }

    /// Has orders cancelled: those that can be cancelled now together, as far as they are of one market.
    pub(super) fn cancel_several(&mut self, now: Now, ids: &[ClientOrderId]) -> Vec<Result<(), Error>> {
        let mut due: BTreeMap<Pair, Vec<ClientOrderId>> = BTreeMap::new();
        let answers = ids
            .iter()
            .map(|id| {
                let send = self.wish_cancel(now, id).map_err(|error| error.at(D::SPEC.name))?;
                if send && let Some(order) = self.tracker.get(id) {
                    due.entry(order.order().pair.clone()).or_default().push(id.clone());
                }
                Ok(())
            })
            .collect();
        for ids in due.into_values() {
            self.send_cancels(now, ids);
        }
        answers
    }

    /// Cancels orders of one market, each of which counts as being cancelled.
    fn send_cancels(&mut self, now: Now, ids: Vec<ClientOrderId>) {
        let most = Self::batch_rest().map_or(1, |batch| batch.most_cancelled);
        for mut part in parts(ids, most) {
            let alone = if part.len() == 1 { part.pop() } else { None };
            self.request(now, alone.map_or_else(|| Job::CancelMany(part), Job::Cancel));
        }
    }

    /// Deals the end of a request about several orders out to them.
    pub(super) fn finish_each(
        &mut self,
        now: Now,
        sent: Now,
        jobs: &[Job],
        attempt: u32,
        result: Result<Vec<Message>, Error>,
    ) {
        let ends = match result {
            Ok(messages) => self.dealt(now, jobs, messages),
            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
        };
        for (job, end) in jobs.iter().zip(ends) {
            self.finish(now, sent, job, attempt, end);
        }
    }

    /// What an answer says of each of these jobs.
    ///
    /// The order of the answer is trusted only if it has a part for each order and no part names another order than its place:
    /// a refusal read for the wrong order would end one that lives. Else only parts that name their orders count.
    fn dealt(&mut self, now: Now, jobs: &[Job], messages: Vec<Message>) -> Vec<Result<Vec<Message>, Error>> {
        let about_orders = |message: &Message| {
            matches!(message, Message::Order(_) | Message::Refusal(_) | Message::Skipped { .. })
        };
        let (items, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(about_orders);
        self.take_account(now, others);
        let id_of = |item: &Message| match item {
            Message::Order(report) => report.client_order_id.clone(),
            _ => None,
        };
        let mut pairs = jobs.iter().zip(&items);
        let aligned = items.len() == jobs.len()
            && pairs.all(|(job, item)| id_of(item).is_none_or(|id| job.order() == Some(&id)));
        let (mut named, mut placed) = (BTreeMap::new(), VecDeque::new());
        for item in items {
            match id_of(&item) {
                Some(id) if !aligned => drop(named.insert(id, item)),
                _ => placed.push_back(item),
            }
        }
        let ends = jobs.iter().map(|job| {
            let operation = if matches!(job, Job::Place(_)) { "place" } else { "cancel" };
            let item = if aligned { placed.pop_front() } else { job.order().and_then(|id| named.remove(id)) };
            match item {
                Some(Message::Refusal(refusal)) => Err(refused(operation, refusal)),
                Some(report @ Message::Order(_)) => Ok(vec![report]),
                _ => {
                    let text = "the answer does not clearly speak of the order";
                    Err(Error::new(Cause::Malformed, Effect::Unknown, operation, text))
                }
            }
        });
        let ends = ends.collect();
        self.take_account(now, named.into_values().collect());
        ends
    }

    /// Asks for the same, but for each order alone: where a batch cannot be written, or costs more than may be used.
    pub(super) fn request_each(&mut self, now: Now, jobs: Vec<Job>, attempt: u32) {
        for job in jobs {
            self.request_again(now, job, attempt);
        }
    }

    /// Placements whose intents have just been stored.
    pub(super) fn place_stored(&mut self, now: Now, ids: Vec<ClientOrderId>) {
        if let Phase::Failed(error) = &self.phase {
            let error = Error::usage("place", format!("the connector has given up: {error}"));
            for id in ids {
                self.tracker.place_failed(now, &id, &error);
            }
        } else {
            self.send_placements(now, ids);
        }
    }
}

/// A refusal of one order in an answer about several.
fn refused(operation: &str, refusal: Refusal) -> Error {
    let error = Error::new(refusal.cause, refusal.effect, operation, refusal.message);
    match refusal.code {
        Some(code) => error.with_code(code),
        None => error,
    }
}
