//! Journals of every kind under one set of made-up lives.

use std::sync::mpsc;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::event::Executed;
use crate::message::Fee;
use crate::order::Side;

pub(super) fn scope() -> Scope {
    Scope { connector: "spot-x".into(), account: "main".into() }
}

pub(super) fn intent(sequence: u64, order: usize) -> Entry {
    let pair = if order.is_multiple_of(2) { "BTC-USDT" } else { "ETH-USDT" };
    let new = NewOrder::limit(
        pair.parse().unwrap(),
        Side::Buy,
        "0.000000000000000123".parse().unwrap(),
        Decimal::new(1_005, 1),
    );
    Entry {
        sequence,
        record: Record::Intent(Intent {
            time: UnixNanos(i64::try_from(order).unwrap()),
            client_order_id: format!("o{order}").as_str().into(),
            // Each of them, and none.
            order: match order % 3 {
                1 => new.open(),
                2 => new.close(),
                _ => new,
            },
        }),
    }
}

fn made(sequence: u64, kind: usize, order: usize, trade: usize, fee: bool) -> Entry {
    let Record::Intent(known) = intent(0, order).record else { unreachable!() };
    let time = UnixNanos(1_000 + i64::try_from(sequence * 7 % 13).unwrap());
    let exchange_order_id = (!kind.is_multiple_of(3)).then(|| format!("x{order}").as_str().into());
    let record = match kind {
        0 | 1 => return intent(sequence, order),
        2..4 => Record::Fill(OwnFill {
            time,
            venue_time: fee.then_some(UnixNanos(500)),
            pair: known.order.pair,
            client_order_id: known.client_order_id,
            exchange_order_id,
            trade_id: trade.to_string().as_str().into(),
            side: Side::Buy,
            price: Decimal::new(1_001, 1),
            amount: Decimal::new(1, 18),
            fee: fee.then(|| Fee { asset: "BNB".into(), amount: Decimal::new(-3, 20) }),
            fee_estimated: false,
            maker: None,
        }),
        4 => Record::Funding(FundingPayment {
            time,
            pair: known.order.pair,
            asset: "USDT".into(),
            amount: Decimal::NEGATIVE_ONE,
            rate: fee.then_some(Decimal::new(1, 4)),
            payment_id: trade.is_multiple_of(2).then(|| trade.to_string().into()),
        }),
        _ => Record::Status(StatusChange {
            time,
            venue_time: None,
            pair: known.order.pair,
            client_order_id: known.client_order_id,
            exchange_order_id,
            status: Status::ALL[(kind - 5) % Status::ALL.len()],
            executed: fee.then_some(Executed { base: Decimal::ONE, quote: Decimal::TEN }),
            detail: fee.then(|| "because, \"so\"".to_owned()),
        }),
    };
    Entry { sequence, record }
}

/// Lives of a few orders, in any state of disorder a venue or a bug could cause.
pub(super) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0_usize..15, 0_usize..4, 0_usize..3, any::<bool>()), 0..40).prop_map(|steps| {
        let numbered = (1_u64..).zip(steps);
        numbered.map(|(at, (kind, order, trade, fee))| made(at, kind, order, trade, fee)).collect()
    })
}

/// Everything a journal answers, the orders in flight included.
pub(super) fn contents(journal: &mut dyn Journal) -> impl PartialEq + std::fmt::Debug {
    let history = journal.history().unwrap();
    let all = Filter::default();
    let latest = Filter { latest: Some(3), from: Some(UnixNanos(2)), ..Filter::default() };
    let narrow = Filter {
        scope: Some(scope()),
        pair: Some("ETH-USDT".parse().unwrap()),
        client_order_id: Some("o1".into()),
        until: Some(UnixNanos(1_006)),
        ..Filter::default()
    };
    let rows: Vec<_> = [all, latest, narrow]
        .iter()
        .map(|filter| {
            (
                history.orders(filter).unwrap(),
                history.trades(filter).unwrap(),
                history.statuses(filter).unwrap(),
                history.funding(filter).unwrap(),
                history.fees(filter).unwrap(),
                history.realised_profit(filter).unwrap(),
            )
        })
        .collect();
    (rows, journal.begin(&scope(), None, 9, UnixNanos(50)).unwrap())
}

/// Gives entries in batches of these sizes, each as often as it says, as a writer does that does not know whether a batch
/// was stored.
pub(super) fn give(journal: &mut dyn Journal, entries: &[Entry], batches: &[(usize, usize)]) {
    let mut rest = entries;
    for (size, times) in batches.iter().copied().chain([(usize::MAX, 1)]) {
        let (batch, left) = rest.split_at(size.min(rest.len()));
        for _ in 0..times {
            journal.append(batch).unwrap();
        }
        rest = left;
    }
}

fn memory(entries: &[Entry], batches: &[(usize, usize)]) -> MemoryJournal {
    let mut journal = MemoryJournal::new();
    journal.begin(&scope(), None, 7, UnixNanos(10)).unwrap();
    give(&mut journal, entries, batches);
    journal
}

proptest! {
    #[test]
    fn giving_entries_again_changes_nothing(
        entries in entries(),
        batches in prop::collection::vec((0_usize..6, 1_usize..3), 0..10),
        again in 0_usize..40,
    ) {
        let mut once = memory(&entries, &[]);
        let mut often = memory(&entries, &batches);
        give(&mut often, &entries[again.min(entries.len())..], &[]);
        prop_assert_eq!(&once, &often);
        prop_assert_eq!(contents(&mut once), contents(&mut often));
    }

    /// What has ended is never in flight again, and everything else that was intended is.
    #[test]
    fn in_flight_is_what_has_not_ended(entries in entries()) {
        let mut journal = memory(&entries, &[]);
        let history = journal.history().unwrap();
        let mut open = history.orders(&Filter::default()).unwrap();
        open.retain(|row| {
            // Steps count from the intent on, in the order of recording.
            let mine = |entry: &&Entry| match &entry.record {
                Record::Intent(intent) => intent.client_order_id == row.client_order_id,
                Record::Status(change) => change.client_order_id == row.client_order_id,
                _ => false,
            };
            let from_intent = entries.iter().filter(mine).skip_while(|entry| matches!(entry.record, Record::Status(_)));
            !from_intent.into_iter().any(|entry| match &entry.record {
                Record::Status(change) => change.status.is_terminal(),
                _ => false,
            })
        });
        let run = journal.begin(&scope(), Some(1), 2, UnixNanos(0)).unwrap();
        let restored: Vec<_> = run.orders.iter().map(|order| order.client_order_id.clone()).collect();
        let expected: Vec<_> = open.iter().map(|row| row.client_order_id.clone()).collect();
        prop_assert_eq!(restored, expected);
    }
}

#[test]
fn runs_keep_the_instance_and_never_start_earlier() {
    let mut journal = MemoryJournal::new();
    let first = journal.begin(&scope(), None, 7, UnixNanos(1_000_000_000)).unwrap();
    let set_back = journal.begin(&scope(), None, 8, UnixNanos(5)).unwrap();
    assert_eq!((first.instance, set_back.instance), (7, 7));
    assert!(set_back.started > first.started);
    let other = Scope { account: "other".into(), ..scope() };
    assert_eq!(journal.begin(&other, None, 8, UnixNanos(5)).unwrap().instance, 8);
    assert_eq!(journal.begin(&scope(), Some(3), 8, UnixNanos(5)).unwrap().instance, 3);
}

#[test]
fn csv_quotes_and_is_exact() {
    let mut journal = memory(&[made(1, 0, 1, 0, false), made(2, 2, 1, 5, true), made(3, 6, 1, 0, true)], &[]);
    let history = journal.history().unwrap();
    let mut out = Vec::new();
    write_trades(&mut out, &history.trades(&Filter::default()).unwrap()).unwrap();
    write_statuses(&mut out, &history.statuses(&Filter::default()).unwrap()).unwrap();
    write_orders(&mut out, &history.orders(&Filter::default()).unwrap()).unwrap();
    let text = String::from_utf8(out).unwrap();
    let fill = "spot-x,main,1001,500,ETH-USDT,o1,x1,5,buy,100.1,0.000000000000000001,0.0000000000000001001,\
                -0.00000000000000000003,BNB,false,\r\n";
    assert!(text.contains(fill), "{text}");
    assert!(text.contains("\"because, \"\"so\"\"\"\r\n"), "{text}");
    assert!(text.contains("limit,gtc,100.5,0.000000000000000123,created,open\r\n"), "{text}");
    let order = &journal.begin(&scope(), None, 1, UnixNanos(20)).unwrap().orders[0];
    assert!(order.created && !order.cancel_requested);
    assert_eq!((order.fills.len(), order.exchange_order_ids.len()), (1, 1));
}

#[test]
fn a_writer_goes_on_until_it_is_stored() {
    let journal = MemoryJournal::new();
    let mut begun = journal.clone();
    begun.begin(&scope(), None, 7, UnixNanos(10)).unwrap();
    journal.set_full(true);
    let (tell, told) = mpsc::channel();
    let disk = journal.clone();
    let writer = Writer::start(SharedJournal::new(begun), Durability::Intent, move |outcome| {
        if matches!(outcome, Outcome::Failed(_)) {
            disk.set_full(false);
        }
        tell.send(outcome).is_ok()
    })
    .unwrap();
    for sequence in 1..=3 {
        writer.write(intent(sequence, usize::try_from(sequence).unwrap()));
    }
    writer.wake();
    assert!(matches!(told.recv().unwrap(), Outcome::Failed(error) if error.cause == crate::Cause::Storage));
    drop(writer);
    // The thread stores what is left, then ends and with it the channel.
    let stored: Vec<_> = told.iter().collect();
    assert!(matches!(stored.last(), Some(Outcome::Stored(3))));
    assert_eq!(journal.history().unwrap().orders(&Filter::default()).unwrap().len(), 3);
}
