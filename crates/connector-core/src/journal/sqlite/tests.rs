use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::journal::MemoryJournal;
use crate::journal::tests::{contents, entries, give, intent, scope};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("journal.sqlite")
    }

    fn wal(&self) -> PathBuf {
        self.0.join("journal.sqlite-wal")
    }

    fn begun(&self) -> SqliteJournal {
        let mut journal = SqliteJournal::open(self.file()).unwrap();
        journal.begin(&scope(), None, 7, UnixNanos(10)).unwrap();
        journal
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn count(journal: &SqliteJournal) -> usize {
    journal.history().unwrap().orders(&Filter::default()).unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_what_memory_holds(
        entries in entries(),
        batches in prop::collection::vec((0_usize..12, 1_usize..3), 0..4),
    ) {
        let folder = Folder::new();
        let mut file = folder.begun();
        give(&mut file, &entries, &batches);
        drop(file);
        let mut file = SqliteJournal::open(folder.file()).unwrap();
        let mut memory = MemoryJournal::new();
        memory.begin(&scope(), None, 7, UnixNanos(10)).unwrap();
        give(&mut memory, &entries, &[]);
        prop_assert_eq!(format!("{:?}", contents(&mut file)), format!("{:?}", contents(&mut memory)));
    }
}

/// Wherever the log is cut, what is left is what was appended up to some moment, and later appends go on from there.
#[test]
fn a_torn_log_leaves_a_prefix() {
    const ORDERS: usize = 12;
    let folder = Folder::new();
    let mut journal = folder.begun();
    for order in 0..ORDERS {
        journal.append(&[intent(order as u64 + 1, order)]).unwrap();
    }
    // The process dies here: its files are copied as they are, nothing is closed.
    let (file, log) = (std::fs::read(folder.file()).unwrap(), std::fs::read(folder.wal()).unwrap());
    let mut before = ORDERS;
    for cut in (0..60).map(|step| log.len() - step * log.len() / 60) {
        let copy = Folder::new();
        std::fs::write(copy.file(), &file).unwrap();
        std::fs::write(copy.wal(), &log[..cut]).unwrap();
        let mut journal = copy.begun();
        let rows = journal.history().unwrap().orders(&Filter::default()).unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.client_order_id.to_string()).collect();
        let expected: Vec<_> = (0..rows.len()).map(|order| format!("o{order}")).collect();
        assert_eq!(ids, expected, "cut at {cut} of {}", log.len());
        assert!(rows.len() <= before);
        before = rows.len();
        journal.append(&[intent(1, 99)]).unwrap();
        assert_eq!(count(&journal), before + 1);
    }
    assert_eq!(before, 0);
}

#[test]
fn a_damaged_last_record_is_dropped_whole() {
    let folder = Folder::new();
    let mut journal = folder.begun();
    journal.append(&[intent(1, 0)]).unwrap();
    journal.append(&[intent(2, 1), intent(3, 2)]).unwrap();
    let (file, mut log) = (std::fs::read(folder.file()).unwrap(), std::fs::read(folder.wal()).unwrap());
    let last = log.len() - 5;
    log[last] ^= 0x10;
    let copy = Folder::new();
    std::fs::write(copy.file(), &file).unwrap();
    std::fs::write(copy.wal(), &log).unwrap();
    assert_eq!(count(&copy.begun()), 1);
}

#[test]
fn older_files_are_brought_up_to_date() {
    for version in 0..=schema::MIGRATIONS.len() {
        let folder = Folder::new();
        let old = Connection::open(folder.file()).unwrap();
        if version > 0 {
            schema::make_old(&old, version);
            let order = "INSERT INTO orders (connector, account, pair, client_order_id, exchange_order_id, side, type,
                         time_in_force, price, amount, submitted_ns, status, updated_ns, terminal, told_run_ns,
                         told_sequence) VALUES ('spot-x', 'main', 'BTC-USDT', 'old', NULL, 'sell', 'market', 'gtc', NULL,
                         '0.5', 1, 'submitted', 1, 0, 1, 1)";
            old.execute(order, []).unwrap();
        }
        drop(old);
        if version < schema::MIGRATIONS.len() {
            let error = SqliteHistory::open(folder.file()).unwrap_err();
            assert_eq!(error.cause, Cause::Storage);
        }
        let mut journal = folder.begun();
        assert_eq!(count(&journal), usize::from(version > 0));
        give(&mut journal, &[intent(1, 4)], &[]);
        let run = journal.begin(&scope(), None, 1, UnixNanos(10)).unwrap();
        let first = run.orders.first().unwrap();
        assert_eq!(first.client_order_id.as_str(), if version > 0 { "old" } else { "o4" });
        assert!(journal.history().unwrap().funding(&Filter::default()).unwrap().is_empty());
    }
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let folder = Folder::new();
    let newer = Connection::open(folder.file()).unwrap();
    schema::make_old(&newer, 2);
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let error = SqliteJournal::open(folder.file()).unwrap_err();
    assert!(error.message.contains("99") && error.cause == Cause::Storage, "{error}");

    let other = Folder::new();
    let foreign = Connection::open(other.file()).unwrap();
    foreign.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(foreign);
    let before = std::fs::read(other.file()).unwrap();
    assert!(SqliteJournal::open(other.file()).unwrap_err().message.contains("not a journal"));
    assert_eq!(std::fs::read(other.file()).unwrap(), before);

    let text = Folder::new();
    std::fs::write(
        text.file(),
        "a diary, and certainly nobody's database, however long it may get to be".repeat(20),
    )
    .unwrap();
    assert_eq!(SqliteJournal::open(text.file()).unwrap_err().cause, Cause::Storage);
    assert_eq!(SqliteHistory::open(text.0.join("none")).unwrap_err().cause, Cause::Storage);
}

#[test]
fn locked_or_full_stores_all_or_nothing() {
    let folder = Folder::new();
    let mut journal = folder.begun();
    journal.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let blocker = Connection::open(folder.file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(journal.append(&[intent(1, 0)]).unwrap_err().cause, Cause::Storage);
    blocker.execute_batch("ROLLBACK").unwrap();
    journal.append(&[intent(1, 0)]).unwrap();

    let pages: i64 = journal.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.connection.pragma_query_value(None, "max_page_count", |_| Ok(())).unwrap();
    journal.connection.pragma_update_and_check(None, "max_page_count", pages + 1, |_| Ok(())).unwrap();
    let many: Vec<_> = (2..500).map(|sequence| intent(sequence, sequence as usize)).collect();
    assert_eq!(journal.append(&many).unwrap_err().cause, Cause::Storage);
    assert_eq!(count(&journal), 1);
    journal.connection.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(())).unwrap();
    journal.append(&many).unwrap();
    assert_eq!(count(&journal), 499);
}
