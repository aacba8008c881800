//! The recorder: what a connector did and what became of it, kept so that it survives the process.
//!
//! The engine does no I/O: it queues [`Entry`]s in the order things happened; whoever drives it hands them to a [`Journal`] and
//! reports back what is stored. The network driver does so on a thread of its own, many entries at a time, so that no
//! disk is ever in front of a frame or an order — unless [`Durability::Intent`] is asked for.
//!
//! After a restart the journal says which orders were in flight and which fills of them are known; the engine takes them
//! up silently and asks the venue for the rest. An event may be told again if the process died before it was stored: at
//! least once, never lost.

mod csv;
mod history;
mod memory;
mod pnl;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use crate::error::Error;
use crate::id::{ClientOrderId, ExchangeOrderId};
use crate::message::Fill;
use crate::order::NewOrder;
use crate::time::UnixNanos;

pub use csv::{write_funding, write_orders, write_statuses, write_trades};
pub use history::{Filter, FundingRow, History, OrderRow, Scoped, StatusRow, TradeRow};
pub use memory::MemoryJournal;
pub use pnl::{PairProfit, realised};
pub use record::{Entry, FundingPayment, Intent, OwnFill, Record, Status, StatusChange, records};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteHistory, SqliteJournal};
pub(crate) use writer::{Outcome, Writer};

/// What has to be stored before an order is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: records are handed over when the order is made and stored as soon as possible, by a thread that is woken
    /// after the request was written, so that neither disk nor thread is in front of it. A process killed within those milliseconds
    /// may leave an order at the venue that the journal does not know. If it rests, the next run finds it among the open
    /// orders by its id and takes it up; if it ended meanwhile, it stays unknown.
    #[default]
    Behind,
    /// The intent: an order is sent only once the journal has said that it is stored. Costs the journal's latency per order, and cannot
    /// leave an order that the journal does not know.
    Intent,
}

/// Whose records they are: one file can hold several connectors and accounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The connector's name.
    pub connector: SmolStr,
    /// The account, under a name of the user's; the domain unless they say otherwise.
    pub account: SmolStr,
}

/// The start of a run, as the journal allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Identifies this instance on the account; the same in every run of a scope.
    pub instance: u32,
    /// Later than the start of every earlier run, even if the machine's clock was set back: client order ids stay unique.
    pub started: UnixNanos,
    /// Orders that had not ended, oldest first.
    pub orders: Vec<RestoredOrder>,
    /// The start of the first run of the scope: since then funding payments are written down.
    pub first_started: UnixNanos,
    /// The latest funding payments: all that were made within a day before the last one.
    pub funding: Vec<FundingPayment>,
}

/// How much of the payments a run is told, before the last one: more than any venue is late with them.
const FUNDING_KEPT_NS: i64 = 86_400_000_000_000;

/// An order of an earlier run that had not ended when that run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredOrder {
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The order as sent.
    pub order: NewOrder,
    /// Local time at which it was submitted.
    pub submitted: UnixNanos,
    /// Whether `OrderCreated` was told.
    pub created: bool,
    /// Whether a cancel was asked for and not refused.
    pub cancel_requested: bool,
    /// The venue's ids of it, oldest first.
    pub exchange_order_ids: Vec<ExchangeOrderId>,
    /// Fills that were told.
    pub fills: Vec<Fill>,
}

impl RestoredOrder {
    /// What can be said of an order by its intent, the steps of its life in their order, and its fills.
    #[must_use]
    pub fn from_records(
        submitted: UnixNanos,
        client_order_id: ClientOrderId,
        order: NewOrder,
        statuses: &[StatusChange],
        fills: &[OwnFill],
    ) -> Self {
        let mut fills: Vec<_> = fills.iter().collect();
        fills.sort_by(|one, two| (one.traded_at(), &one.trade_id).cmp(&(two.traded_at(), &two.trade_id)));
        let mut exchange_order_ids = Vec::new();
        let named = statuses.iter().map(|step| &step.exchange_order_id);
        for id in named.chain(fills.iter().map(|fill| &fill.exchange_order_id)).flatten() {
            if !exchange_order_ids.contains(id) {
                exchange_order_ids.push(id.clone());
            }
        }
        let wish =
            |step: &&StatusChange| matches!(step.status, Status::CancelRequested | Status::CancelRefused);
        Self {
            client_order_id,
            order,
            submitted,
            created: !fills.is_empty() || statuses.iter().any(|step| step.status == Status::Created),
            cancel_requested: statuses
                .iter()
                .rev()
                .find(wish)
                .is_some_and(|step| step.status == Status::CancelRequested),
            exchange_order_ids,
            fills: fills.into_iter().map(OwnFill::as_fill).collect(),
        }
    }
}

/// Where records are kept. Calls may block: they are made at the start and on the writer's thread, never by the engine.
pub trait Journal: Send {
    /// Starts a run of `scope`: decides its instance (the one asked for, else that of the runs before, else `fresh`) and a
    /// start that is later than all before, stores both, and answers with the orders still in flight.
    ///
    /// # Errors
    /// [`Cause::Storage`](crate::Cause::Storage): the journal cannot be read or written.
    fn begin(
        &mut self,
        scope: &Scope,
        instance: Option<u32>,
        fresh: u32,
        now: UnixNanos,
    ) -> Result<Run, Error>;

    /// Stores entries of the run that was begun, all or none, so that they survive the process once this returns. An entry
    /// that is stored already changes nothing.
    ///
    /// # Errors
    /// [`Cause::Storage`](crate::Cause::Storage): not stored; the same entries will be given again.
    fn append(&mut self, entries: &[Entry]) -> Result<(), Error>;

    /// Reads what is stored, next to the writing.
    ///
    /// # Errors
    /// [`Cause::Storage`](crate::Cause::Storage): it cannot be opened for reading.
    fn history(&self) -> Result<Arc<dyn History>, Error>;
}

/// A journal that a builder, its clones and the writer share.
#[derive(Clone)]
pub(crate) struct SharedJournal(Arc<Mutex<dyn Journal>>);

impl SharedJournal {
    pub(crate) fn new(journal: impl Journal + 'static) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    /// A panic of another thread in the journal leaves it in a state it must cope with anyway: that of a crash.
    pub(crate) fn lock(&self) -> MutexGuard<'_, dyn Journal + 'static> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

/// A start later than the last one, by more than the unit in which client order ids count starts.
fn later_start(now: UnixNanos, last: Option<UnixNanos>) -> UnixNanos {
    last.map_or(now, |last| now.max(last.offset(2_000_000)))
}
