//! A journal in memory, for tests and simulations: it survives the engine, not the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use super::history::{Filter, FundingRow, History, OrderRow, Scoped, StatusRow, TradeRow};
use super::record::{Entry, FundingPayment, Intent, OwnFill, Record, Status, StatusChange};
use super::{FUNDING_KEPT_NS, Journal, RestoredOrder, Run, Scope, later_start};
use crate::error::{Cause, Effect, Error};
use crate::id::{ClientOrderId, TradeId};
use crate::pair::Pair;
use crate::time::UnixNanos;

type OrderKey = (Scope, Pair, ClientOrderId);

/// Place of a record: the run's start and the sequence within it.
type Place = (UnixNanos, u64);

#[derive(Clone, Debug, PartialEq, Eq)]
struct OrderEntry {
    row: OrderRow,
    /// Which record told the status.
    told: Place,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tables {
    /// The instance, and the starts of the first and the last run.
    runs: BTreeMap<Scope, (u32, UnixNanos, UnixNanos)>,
    orders: BTreeMap<OrderKey, OrderEntry>,
    statuses: BTreeMap<(Scope, Place), StatusChange>,
    fills: BTreeMap<(OrderKey, TradeId), OwnFill>,
    funding: BTreeMap<(Scope, Pair, UnixNanos, Option<SmolStr>), FundingPayment>,
}

/// A journal in memory. Clones are the same journal with the same run; two are equal if they hold the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    tables: Arc<Mutex<Tables>>,
    run: Arc<Mutex<Option<(Scope, UnixNanos)>>>,
    full: Arc<Mutex<bool>>,
}

impl PartialEq for MemoryJournal {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.tables().clone(), other.tables().clone());
        one == two
    }
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same contents for another run, as if a file were opened again.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), run: Arc::default(), full: Arc::clone(&self.full) }
    }

    fn run(&self) -> MutexGuard<'_, Option<(Scope, UnixNanos)>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every write fail from now on, like a full disk, or succeed again.
    pub fn set_full(&self, full: bool) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<(), Error> {
        if *self.full.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(Error::new(Cause::Storage, Effect::NotSent, "journal", "no space left"));
        }
        Ok(())
    }
}

impl Tables {
    fn apply(&mut self, scope: &Scope, run: UnixNanos, entry: &Entry) {
        let place = (run, entry.sequence);
        match &entry.record {
            Record::Intent(intent) => self.intend(scope, place, intent),
            Record::Status(change) => self.step(scope, place, change),
            Record::Fill(fill) => {
                let order = (scope.clone(), fill.pair.clone(), fill.client_order_id.clone());
                let known = self.fills.entry((order, fill.trade_id.clone())).or_insert_with(|| fill.clone());
                if known.fee.is_none() {
                    known.fee.clone_from(&fill.fee);
                    known.fee_estimated = fill.fee_estimated;
                }
            }
            Record::Funding(payment) => {
                let id = payment.payment_id.clone();
                let key = (scope.clone(), payment.pair.clone(), payment.time, id);
                self.funding.entry(key).or_insert_with(|| payment.clone());
            }
        }
    }

    fn intend(&mut self, scope: &Scope, place: Place, intent: &Intent) {
        let Intent { time, client_order_id, order } = intent;
        self.orders.entry((scope.clone(), order.pair.clone(), client_order_id.clone())).or_insert_with(
            || OrderEntry {
                row: OrderRow {
                    scope: scope.clone(),
                    client_order_id: client_order_id.clone(),
                    exchange_order_id: None,
                    order: order.clone(),
                    submitted: *time,
                    status: Status::Submitted,
                    updated: *time,
                },
                told: place,
            },
        );
        let change = StatusChange {
            time: *time,
            venue_time: None,
            pair: order.pair.clone(),
            client_order_id: client_order_id.clone(),
            exchange_order_id: None,
            status: Status::Submitted,
            executed: None,
            detail: None,
        };
        self.statuses.entry((scope.clone(), place)).or_insert(change);
    }

    fn step(&mut self, scope: &Scope, place: Place, change: &StatusChange) {
        self.statuses.entry((scope.clone(), place)).or_insert_with(|| change.clone());
        let key = (scope.clone(), change.pair.clone(), change.client_order_id.clone());
        let Some(entry) = self.orders.get_mut(&key).filter(|entry| entry.told < place) else { return };
        entry.told = place;
        if change.exchange_order_id.is_some() {
            entry.row.exchange_order_id.clone_from(&change.exchange_order_id);
        }
        if !entry.row.status.is_terminal() {
            entry.row.status = change.status;
            entry.row.updated = change.time;
        }
    }

    fn latest_funding(&self, scope: &Scope) -> Vec<FundingPayment> {
        let of_scope = || self.funding.iter().filter(|((of, ..), _)| of == scope).map(|(_, payment)| payment);
        let Some(last) = of_scope().map(|payment| payment.time).max() else { return Vec::new() };
        let from = last.offset(-FUNDING_KEPT_NS);
        let mut latest: Vec<_> = of_scope().filter(|payment| payment.time >= from).cloned().collect();
        latest.sort_by(|one, two| {
            (one.time, &one.pair, &one.payment_id).cmp(&(two.time, &two.pair, &two.payment_id))
        });
        latest
    }

    fn in_flight(&self, scope: &Scope) -> Vec<RestoredOrder> {
        let open =
            self.orders.iter().filter(|((of, ..), entry)| of == scope && !entry.row.status.is_terminal());
        let mut orders: Vec<_> = open
            .map(|(key, entry)| {
                let row = &entry.row;
                let statuses: Vec<_> = self
                    .statuses
                    .iter()
                    .filter(|((of, _), step)| {
                        of == scope
                            && step.client_order_id == row.client_order_id
                            && step.pair == row.order.pair
                    })
                    .map(|(_, step)| step.clone())
                    .collect();
                let fills: Vec<_> = self
                    .fills
                    .range((key.clone(), TradeId::new(""))..)
                    .take_while(|((order, _), _)| order == key)
                    .map(|(_, fill)| fill.clone())
                    .collect();
                let (id, order) = (row.client_order_id.clone(), row.order.clone());
                RestoredOrder::from_records(row.submitted, id, order, &statuses, &fills)
            })
            .collect();
        orders.sort_by(|one, two| {
            (one.submitted, &one.client_order_id).cmp(&(two.submitted, &two.client_order_id))
        });
        orders
    }
}

impl Journal for MemoryJournal {
    fn begin(
        &mut self,
        scope: &Scope,
        instance: Option<u32>,
        fresh: u32,
        now: UnixNanos,
    ) -> Result<Run, Error> {
        self.writable()?;
        let mut tables = self.tables();
        let last = tables.runs.get(scope).copied();
        let instance = instance.or(last.map(|(instance, ..)| instance)).unwrap_or(fresh);
        let started = later_start(now, last.map(|(.., started)| started));
        let first_started = last.map_or(started, |(_, first, _)| first);
        tables.runs.insert(scope.clone(), (instance, first_started, started));
        let orders = tables.in_flight(scope);
        let funding = tables.latest_funding(scope);
        drop(tables);
        *self.run() = Some((scope.clone(), started));
        Ok(Run { instance, started, orders, first_started, funding })
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        self.writable()?;
        let Some((scope, run)) = self.run().clone() else {
            return Err(Error::usage("journal", "no run was begun"));
        };
        let mut tables = self.tables();
        for entry in entries {
            tables.apply(&scope, run, entry);
        }
        Ok(())
    }

    fn history(&self) -> Result<Arc<dyn History>, Error> {
        Ok(Arc::new(self.clone()))
    }
}

/// Orders rows by time, keeping the order of equals, and leaves the latest so many.
fn arrange<T>(mut rows: Vec<T>, filter: &Filter, time: impl Fn(&T) -> UnixNanos) -> Vec<T> {
    rows.sort_by_key(time);
    let surplus = filter
        .latest
        .map_or(0, |most| rows.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX)));
    rows.split_off(surplus)
}

impl History for MemoryJournal {
    fn orders(&self, filter: &Filter) -> Result<Vec<OrderRow>, Error> {
        let tables = self.tables();
        let rows = tables.orders.values().map(|entry| &entry.row).filter(|row| {
            filter.admits(&row.scope, &row.order.pair, Some(&row.client_order_id), row.submitted)
        });
        Ok(arrange(rows.cloned().collect(), filter, |row| row.submitted))
    }

    fn trades(&self, filter: &Filter) -> Result<Vec<TradeRow>, Error> {
        let tables = self.tables();
        let rows = tables.fills.iter().filter(|(((scope, ..), _), fill)| {
            filter.admits(scope, &fill.pair, Some(&fill.client_order_id), fill.traded_at())
        });
        let rows = rows.map(|(((scope, ..), _), row)| Scoped { scope: scope.clone(), row: row.clone() });
        Ok(arrange(rows.collect(), filter, |trade| trade.row.traded_at()))
    }

    fn statuses(&self, filter: &Filter) -> Result<Vec<StatusRow>, Error> {
        let tables = self.tables();
        let rows = tables.statuses.iter().filter(|((scope, _), step)| {
            filter.admits(scope, &step.pair, Some(&step.client_order_id), step.time)
        });
        let rows = rows.map(|((scope, _), row)| Scoped { scope: scope.clone(), row: row.clone() });
        Ok(arrange(rows.collect(), filter, |step| step.row.time))
    }

    fn funding(&self, filter: &Filter) -> Result<Vec<FundingRow>, Error> {
        let tables = self.tables();
        let rows = tables
            .funding
            .iter()
            .filter(|((scope, ..), row)| filter.admits(scope, &row.pair, None, row.time))
            .map(|((scope, ..), row)| Scoped { scope: scope.clone(), row: row.clone() });
        Ok(arrange(rows.collect(), filter, |payment| payment.row.time))
    }
}
