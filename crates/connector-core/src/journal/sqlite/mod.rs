//! The journal in a SQLite file.
//!
//! Write-ahead log with `synchronous = FULL`: what was appended survives the process and a loss of power. All calls are
//! made on the writer's thread with many entries per transaction, so that cost is paid per batch and in front of nothing.
//! Decimals are text and exact, times are nanoseconds. Other processes may read the file at any time.

mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::history::{Filter, FundingRow, History, OrderRow, StatusRow, TradeRow};
use super::record::{Entry, Intent, OwnFill, Record, Status, StatusChange};
use super::{FUNDING_KEPT_NS, Journal, RestoredOrder, Run, Scope, later_start};
use crate::error::{Cause, Effect, Error};
use crate::time::UnixNanos;

/// A failure of the file or of what is in it.
fn storage(error: &rusqlite::Error) -> Error {
    Error::new(Cause::Storage, Effect::NotSent, "journal", error.to_string())
}

/// A journal in a file. Several connectors and accounts may use one file, each through a journal of its own.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    connection: Connection,
    run: Option<(Scope, UnixNanos)>,
}

impl SqliteJournal {
    /// Opens the file, or makes it; brings an older file to the present schema.
    ///
    /// # Errors
    /// [`Cause::Storage`]: it cannot be opened or written, is not a journal, or was made by a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let opened = Connection::open(&path).map_err(|error| storage(&error)).and_then(|mut connection| {
            schema::prepare(&mut connection)?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| error.about(path.display().to_string()))?;
        Ok(Self { path, connection, run: None })
    }

    fn begin_run(
        &mut self,
        scope: &Scope,
        instance: Option<u32>,
        fresh: u32,
        now: UnixNanos,
    ) -> rusqlite::Result<(u32, UnixNanos, UnixNanos)> {
        // Immediate: of two that begin at once one waits, and sees the other's run.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (connector, account) = (scope.connector.as_str(), scope.account.as_str());
        let last: Option<(u32, i64)> = transaction
            .query_row(
                "SELECT instance, started_ns FROM runs WHERE connector = ? AND account = ?
                 ORDER BY started_ns DESC LIMIT 1",
                params![connector, account],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let instance = instance.or(last.map(|(instance, _)| instance)).unwrap_or(fresh);
        let started = later_start(now, last.map(|(_, started)| UnixNanos(started)));
        transaction.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?)",
            params![connector, account, started.0, instance],
        )?;
        let first = transaction.query_row(
            "SELECT min(started_ns) FROM runs WHERE connector = ? AND account = ?",
            params![connector, account],
            |row| row.get(0),
        )?;
        transaction.commit()?;
        Ok((instance, started, UnixNanos(first)))
    }
}

/// Writes entries of one run within one transaction.
struct Pen<'t> {
    transaction: Transaction<'t>,
    scope: &'t Scope,
    run: UnixNanos,
}

impl Pen<'_> {
    fn write(&self, entry: &Entry) -> rusqlite::Result<()> {
        // Counting to 2^63 takes longer than any run lasts.
        let sequence = i64::try_from(entry.sequence).unwrap_or(i64::MAX);
        match &entry.record {
            Record::Intent(intent) => self.intent(sequence, intent),
            Record::Status(change) => self.status(sequence, change),
            Record::Fill(fill) => self.fill(fill),
            Record::Funding(payment) => {
                let Scope { connector, account } = self.scope;
                self.transaction
                    .execute(
                        "INSERT INTO funding VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                        params![
                            connector.as_str(),
                            account.as_str(),
                            payment.pair.as_str(),
                            payment.time.0,
                            payment.asset.as_str(),
                            rows::text(payment.amount),
                            payment.rate.map(rows::text),
                            payment.payment_id.as_deref().unwrap_or_default(),
                        ],
                    )
                    .map(drop)
            }
        }
    }

    fn intent(&self, sequence: i64, intent: &Intent) -> rusqlite::Result<()> {
        let Scope { connector, account } = self.scope;
        let order = &intent.order;
        self.transaction.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)
             ON CONFLICT DO NOTHING",
            params![
                connector.as_str(),
                account.as_str(),
                order.pair.as_str(),
                intent.client_order_id.as_str(),
                order.side.to_string(),
                order.order_type.to_string(),
                order.time_in_force.to_string(),
                order.price.map(rows::text),
                rows::text(order.amount),
                intent.time.0,
                Status::Submitted.as_str(),
                intent.time.0,
                self.run.0,
                sequence,
                order.action.map(|action| action.to_string()),
            ],
        )?;
        self.step(
            sequence,
            &StatusChange {
                time: intent.time,
                venue_time: None,
                pair: order.pair.clone(),
                client_order_id: intent.client_order_id.clone(),
                exchange_order_id: None,
                status: Status::Submitted,
                executed: None,
                detail: None,
            },
        )
    }

    fn step(&self, sequence: i64, change: &StatusChange) -> rusqlite::Result<()> {
        let Scope { connector, account } = self.scope;
        self.transaction
            .execute(
                "INSERT INTO statuses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![
                    connector.as_str(),
                    account.as_str(),
                    self.run.0,
                    sequence,
                    change.pair.as_str(),
                    change.client_order_id.as_str(),
                    change.exchange_order_id.as_ref().map(|id| id.as_str()),
                    change.status.as_str(),
                    change.time.0,
                    change.venue_time.map(|time| time.0),
                    change.executed.map(|executed| rows::text(executed.base)),
                    change.executed.map(|executed| rows::text(executed.quote)),
                    change.detail,
                ],
            )
            .map(drop)
    }

    fn status(&self, sequence: i64, change: &StatusChange) -> rusqlite::Result<()> {
        self.step(sequence, change)?;
        let Scope { connector, account } = self.scope;
        self.transaction
            .execute(
                "UPDATE orders SET
                    exchange_order_id = coalesce(?5, exchange_order_id),
                    status = iif(terminal, status, ?6),
                    updated_ns = iif(terminal, updated_ns, ?7),
                    terminal = max(terminal, ?8),
                    told_run_ns = ?9, told_sequence = ?10
                 WHERE connector = ?1 AND account = ?2 AND pair = ?3 AND client_order_id = ?4
                    AND (told_run_ns, told_sequence) < (?9, ?10)",
                params![
                    connector.as_str(),
                    account.as_str(),
                    change.pair.as_str(),
                    change.client_order_id.as_str(),
                    change.exchange_order_id.as_ref().map(|id| id.as_str()),
                    change.status.as_str(),
                    change.time.0,
                    change.status.is_terminal(),
                    self.run.0,
                    sequence,
                ],
            )
            .map(drop)
    }

    fn fill(&self, fill: &OwnFill) -> rusqlite::Result<()> {
        let Scope { connector, account } = self.scope;
        self.transaction
            .execute(
                "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET
                    fee = excluded.fee, fee_asset = excluded.fee_asset, fee_estimated = excluded.fee_estimated
                 WHERE fee IS NULL",
                params![
                    connector.as_str(),
                    account.as_str(),
                    fill.pair.as_str(),
                    fill.client_order_id.as_str(),
                    fill.trade_id.as_str(),
                    fill.exchange_order_id.as_ref().map(|id| id.as_str()),
                    fill.traded_at().0,
                    fill.time.0,
                    fill.venue_time.map(|time| time.0),
                    fill.side.to_string(),
                    rows::text(fill.price),
                    rows::text(fill.amount),
                    fill.fee.as_ref().map(|fee| rows::text(fee.amount)),
                    fill.fee.as_ref().map(|fee| fee.asset.as_str()),
                    fill.fee_estimated,
                    fill.maker,
                ],
            )
            .map(drop)
    }
}

impl Journal for SqliteJournal {
    fn begin(
        &mut self,
        scope: &Scope,
        instance: Option<u32>,
        fresh: u32,
        now: UnixNanos,
    ) -> Result<Run, Error> {
        let (instance, started, first_started) =
            self.begin_run(scope, instance, fresh, now).map_err(|error| storage(&error))?;
        self.run = Some((scope.clone(), started));
        let orders = in_flight(&self.connection, scope).map_err(|error| storage(&error))?;
        let funding = rows::latest_funding(&self.connection, scope, FUNDING_KEPT_NS);
        let funding = funding.map_err(|error| storage(&error))?;
        Ok(Run { instance, started, orders, first_started, funding })
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let Some((scope, run)) = &self.run else {
            return Err(Error::usage("journal", "no run was begun"));
        };
        let write = || {
            let behavior = TransactionBehavior::Immediate;
            let transaction = Transaction::new_unchecked(&self.connection, behavior)?;
            let pen = Pen { transaction, scope, run: *run };
            for entry in entries {
                pen.write(entry)?;
            }
            pen.transaction.commit()
        };
        write().map_err(|error| storage(&error))
    }

    fn history(&self) -> Result<Arc<dyn History>, Error> {
        Ok(Arc::new(SqliteHistory::open(&self.path)?))
    }
}

/// The orders of a scope that have not ended.
fn in_flight(connection: &Connection, scope: &Scope) -> rusqlite::Result<Vec<RestoredOrder>> {
    let mut orders = Vec::new();
    for row in rows::orders_in_flight(connection, scope)? {
        let of_order = Filter {
            scope: Some(scope.clone()),
            pair: Some(row.order.pair.clone()),
            client_order_id: Some(row.client_order_id.clone()),
            ..Filter::default()
        };
        let mut steps = Vec::new();
        // In the order in which they were recorded: clocks may have been set in between.
        for step in rows::statuses(connection, &of_order, true)? {
            steps.push(step.row);
        }
        let fills: Vec<_> = rows::trades(connection, &of_order)?.into_iter().map(|fill| fill.row).collect();
        orders.push(RestoredOrder::from_records(
            row.submitted,
            row.client_order_id,
            row.order,
            &steps,
            &fills,
        ));
    }
    Ok(orders)
}

/// Reads a journal's file, also while a connector writes it, in the same process or another.
#[derive(Debug)]
pub struct SqliteHistory {
    connection: Mutex<Connection>,
}

impl SqliteHistory {
    /// Opens a journal's file for reading.
    ///
    /// # Errors
    /// [`Cause::Storage`]: there is none, it is not a journal, or its schema is not the present one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path.as_ref(), flags).map_err(|error| storage(&error));
        let checked = opened.and_then(|connection| {
            schema::check(&connection)?;
            Ok(Self { connection: Mutex::new(connection) })
        });
        checked.map_err(|error| error.about(path.as_ref().display().to_string()))
    }

    fn read<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        ask(&self.connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|error| storage(&error))
    }
}

impl History for SqliteHistory {
    fn orders(&self, filter: &Filter) -> Result<Vec<OrderRow>, Error> {
        self.read(|connection| rows::orders(connection, filter))
    }

    fn trades(&self, filter: &Filter) -> Result<Vec<TradeRow>, Error> {
        self.read(|connection| rows::trades(connection, filter))
    }

    fn statuses(&self, filter: &Filter) -> Result<Vec<StatusRow>, Error> {
        self.read(|connection| rows::statuses(connection, filter, false))
    }

    fn funding(&self, filter: &Filter) -> Result<Vec<FundingRow>, Error> {
        self.read(|connection| rows::funding(connection, filter))
    }
}
