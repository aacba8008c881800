use std::thread;

use super::*;
use crate::message::{BookMessage, Market};

fn level(price: u64, amount: u64) -> Level {
    Level { price: Decimal::from(price), amount: Decimal::from(amount) }
}

/// A book in which every number is made from `n`, so that a mixture of two states shows.
fn book(n: u64) -> Book {
    let market = Market::Symbol("X".into());
    let bids: Vec<_> = (0..n % 5 + 1).map(|i| level(1_000 - i, n)).collect();
    let asks: Vec<_> = (0..n % 5 + 1).map(|i| level(2_000 + i, n)).collect();
    let mut book = Book::default();
    book.apply_snapshot(&BookMessage { last_id: Some(n), ..BookMessage::snapshot(&market, &bids, &asks) })
        .unwrap();
    book
}

#[test]
fn shows_no_more_than_was_asked_for() {
    let live = Arc::new(LiveBook::new(2));
    let watch = BookWatch::new(Arc::clone(&live));
    assert_eq!((watch.is_live(), watch.best(), watch.last_id()), (false, (None, None), None));
    live.show(Some(&book(4)));
    assert_eq!(watch.best(), (Some(level(1_000, 4)), Some(level(2_000, 4))));
    let (mut bids, mut asks) = (vec![level(1, 1)], Vec::new());
    assert_eq!(watch.levels(&mut bids, &mut asks), Some(4));
    assert_eq!(bids, [level(1_000, 4), level(999, 4)]);
    assert_eq!(asks, [level(2_000, 4), level(2_001, 4)]);
    assert_eq!(watch.price_for_volume(Side::Buy, Decimal::from(5)), Ok(Decimal::from(2_001)));
    assert_eq!(watch.quote_for_volume(Side::Sell, Decimal::from(5)), Ok(Decimal::from(4_999)));
    let short = DepthError::Insufficient { available: Decimal::from(8) };
    assert_eq!(watch.price_for_volume(Side::Buy, Decimal::from(9)), Err(short));
    live.show(None);
    assert_eq!((watch.is_live(), watch.best()), (false, (None, None)));
}

#[test]
fn readers_never_see_two_states_at_once() {
    let live = Arc::new(LiveBook::new(5));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let watch = BookWatch::new(Arc::clone(&live));
            thread::spawn(move || {
                let (mut bids, mut asks, mut seen) = (Vec::new(), Vec::new(), 0);
                while seen < 20_000 {
                    let Some(id) = watch.levels(&mut bids, &mut asks) else { continue };
                    assert!(id >= seen, "{id} after {seen}");
                    seen = id;
                    assert_eq!(bids.len() as u64, id % 5 + 1);
                    assert_eq!(asks.len(), bids.len());
                    assert!(bids.iter().chain(&asks).all(|level| level.amount == Decimal::from(id)));
                }
            })
        })
        .collect();
    for n in 1..=20_000 {
        live.show(Some(&book(n)));
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[tokio::test]
async fn changes_wake_and_nothing_else_does() {
    let live = Arc::new(LiveBook::new(1));
    let mut watch = BookWatch::new(Arc::clone(&live));
    let mut other = watch.clone();
    live.show(Some(&book(3)));
    assert!(watch.changed().await && other.changed().await);
    // The same best levels under another id.
    let mut same = book(3);
    let market = Market::Symbol("X".into());
    same.apply_diff(&BookMessage { last_id: Some(9), ..BookMessage::diff(&market, &[], &[]) }).unwrap();
    live.show(Some(&same));
    assert_eq!(watch.last_id(), Some(9));
    let waits = tokio::spawn(async move { (watch.changed().await, watch) });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    live.show(Some(&book(4)));
    let (changed, mut watch) = waits.await.unwrap();
    assert!(changed);
    live.close();
    // That the levels are gone is a change; after that there is none.
    assert!(watch.changed().await);
    assert!(!watch.changed().await);
}
