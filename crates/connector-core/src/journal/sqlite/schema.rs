//! The tables, and how older files come to have them.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::storage;
use crate::error::{Cause, Effect, Error};

/// Marks a file as a journal, in SQLite's own place for that.
const APPLICATION: i32 = 0x4a4f_5552;
/// Longest wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// What leads from each version to the next; the version of a file is how many were applied. Never changed, only added to.
pub(super) const MIGRATIONS: [&str; 4] = [SPOT, FUNDING, FUNDING_IDS, ACTIONS];

/// Orders, their lives and their fills.
const SPOT: &str = "
CREATE TABLE runs (
    connector TEXT NOT NULL, account TEXT NOT NULL, started_ns INTEGER NOT NULL, instance INTEGER NOT NULL,
    PRIMARY KEY (connector, account, started_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
    connector TEXT NOT NULL, account TEXT NOT NULL, pair TEXT NOT NULL, client_order_id TEXT NOT NULL,
    exchange_order_id TEXT, side TEXT NOT NULL, type TEXT NOT NULL, time_in_force TEXT NOT NULL,
    price TEXT, amount TEXT NOT NULL, submitted_ns INTEGER NOT NULL,
    status TEXT NOT NULL, updated_ns INTEGER NOT NULL, terminal INTEGER NOT NULL,
    told_run_ns INTEGER NOT NULL, told_sequence INTEGER NOT NULL,
    PRIMARY KEY (connector, account, pair, client_order_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_in_flight ON orders (connector, account) WHERE terminal = 0;
CREATE INDEX orders_by_time ON orders (submitted_ns);
CREATE TABLE statuses (
    connector TEXT NOT NULL, account TEXT NOT NULL, run_ns INTEGER NOT NULL, sequence INTEGER NOT NULL,
    pair TEXT NOT NULL, client_order_id TEXT NOT NULL, exchange_order_id TEXT, status TEXT NOT NULL,
    time_ns INTEGER NOT NULL, venue_time_ns INTEGER, executed_base TEXT, executed_quote TEXT, detail TEXT,
    PRIMARY KEY (connector, account, run_ns, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX statuses_by_order ON statuses (client_order_id);
CREATE INDEX statuses_by_time ON statuses (time_ns);
CREATE TABLE fills (
    connector TEXT NOT NULL, account TEXT NOT NULL, pair TEXT NOT NULL, client_order_id TEXT NOT NULL,
    trade_id TEXT NOT NULL, exchange_order_id TEXT,
    traded_ns INTEGER NOT NULL, time_ns INTEGER NOT NULL, venue_time_ns INTEGER,
    side TEXT NOT NULL, price TEXT NOT NULL, amount TEXT NOT NULL,
    fee TEXT, fee_asset TEXT, fee_estimated INTEGER NOT NULL, maker INTEGER,
    PRIMARY KEY (connector, account, pair, client_order_id, trade_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_by_time ON fills (traded_ns);
";

/// Funding payments of perpetuals.
const FUNDING: &str = "
CREATE TABLE funding (
    connector TEXT NOT NULL, account TEXT NOT NULL, pair TEXT NOT NULL, time_ns INTEGER NOT NULL,
    asset TEXT NOT NULL, amount TEXT NOT NULL, rate TEXT,
    PRIMARY KEY (connector, account, pair, time_ns)
) STRICT, WITHOUT ROWID;
";

/// The venue's ids of payments, empty where it has none: a pair can have several at one time.
const FUNDING_IDS: &str = "
ALTER TABLE funding RENAME TO funding_by_time;
CREATE TABLE funding (
    connector TEXT NOT NULL, account TEXT NOT NULL, pair TEXT NOT NULL, time_ns INTEGER NOT NULL,
    asset TEXT NOT NULL, amount TEXT NOT NULL, rate TEXT, payment_id TEXT NOT NULL,
    PRIMARY KEY (connector, account, pair, time_ns, payment_id)
) STRICT, WITHOUT ROWID;
INSERT INTO funding SELECT *, '' FROM funding_by_time;
DROP TABLE funding_by_time;
";

/// What orders of perpetuals are to do to a position.
const ACTIONS: &str = "ALTER TABLE orders ADD COLUMN action TEXT;";

fn refuse(text: String) -> Error {
    Error::new(Cause::Storage, Effect::NotSent, "journal", text)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, Error> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| storage(&error))
}

/// The version of a file that is a journal; `None` if it is empty.
fn version(connection: &Connection) -> Result<Option<usize>, Error> {
    let (application, version) = (pragma(connection, "application_id")?, pragma(connection, "user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| storage(&error))?;
    if (application, version, tables) == (0, 0, 0) {
        return Ok(None);
    }
    if application != i64::from(APPLICATION) {
        return Err(refuse("the file is a database, but not a journal".to_owned()));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(Some(version)),
        _ => {
            let known = MIGRATIONS.len();
            Err(refuse(format!(
                "the file has schema {version}, made by a later version; this one knows up to {known}"
            )))
        }
    }
}

/// Makes the tables, or brings those of an older version up to date.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), Error> {
    let migrate = |connection: &mut Connection| -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")
    };
    // Before anything is written: is it ours to write?
    version(connection)?;
    migrate(connection).map_err(|error| storage(&error))?;
    // Read again under the write lock: another process may be migrating.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| storage(&error))?;
    let from = version(&transaction)?.unwrap_or(0);
    let applied = (|| {
        for migration in MIGRATIONS.iter().skip(from) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))
    })();
    applied.and_then(|()| transaction.commit()).map_err(|error| storage(&error))
}

/// Whether the file can be read as it stands.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY).map_err(|error| storage(&error))?;
    match version(connection)? {
        Some(version) if version == MIGRATIONS.len() => Ok(()),
        _ => Err(refuse(
            "the file has an older schema; open it for writing once to bring it up to date".to_owned(),
        )),
    }
}

/// Makes a file as the first so many migrations did.
#[cfg(test)]
pub(super) fn make_old(connection: &Connection, version: usize) {
    for migration in &MIGRATIONS[..version] {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "application_id", APPLICATION).unwrap();
    connection.pragma_update(None, "user_version", version as i64).unwrap();
}
