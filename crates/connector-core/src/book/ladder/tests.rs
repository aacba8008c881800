use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::wide::MAX_LEVELS;
use super::*;

fn level(price: &str, amount: &str) -> Level {
    Level { price: price.parse().unwrap(), amount: amount.parse().unwrap() }
}

#[test]
fn equal_prices_of_different_scales_are_one_level() {
    let mut asks = Ladder::new(Side::Sell);
    for (price, amount) in [("10", "1"), ("10.000000000000000001", "2"), ("9.5", "3"), ("10.00", "0")] {
        asks.set(&level(price, amount)).unwrap();
    }
    let prices: Vec<_> = asks.iter().map(|level| level.price.to_string()).collect();
    assert_eq!(prices, ["9.5", "10.000000000000000001"]);
}

#[test]
fn refuses_what_is_no_level_and_stays_as_it_was() {
    let mut bids = Ladder::new(Side::Buy);
    bids.set(&level("79228162514264337593543950335", "1")).unwrap();
    for (price, amount) in [("0", "1"), ("-1", "1"), ("1", "-1"), ("0.0000000000000000000000000001", "1")] {
        let level = level(price, amount);
        assert_eq!(bids.set(&level), Err(level), "{price} {amount}");
    }
    assert_eq!(bids.len(), 1);
}

proptest! {
    #[test]
    fn equals_a_sorted_map(
        rows in prop::collection::vec((1_i64..200, 0_u32..4, 0_i64..3), 0..300),
        buy in any::<bool>(),
    ) {
        let side = if buy { Side::Buy } else { Side::Sell };
        let mut ladder = Ladder::new(side);
        let mut oracle = BTreeMap::new();
        for (price, scale, amount) in rows {
            let level = Level { price: Decimal::new(price, scale), amount: Decimal::from(amount) };
            ladder.set(&level).unwrap();
            if amount == 0 { oracle.remove(&level.price); } else { oracle.insert(level.price, level.amount); }
        }
        let mut expected: Vec<_> = oracle.into_iter().collect();
        if buy { expected.reverse(); }
        let found: Vec<_> = ladder.iter().map(|level| (level.price, level.amount)).collect();
        prop_assert_eq!(ladder.best().map(|level| level.price), expected.first().map(|(price, _)| *price));
        prop_assert_eq!(found, expected);
    }
}

/// Amounts and prices as venues write them, and as they should not.
fn odd_level() -> impl Strategy<Value = Level> {
    let price = prop_oneof![
        8 => (1_i64..2_000_000, Just(2_u32)),
        4 => (1_i64..400_000).prop_map(|step| (step * 5_000_000, 8)),
        2 => (1_i64..i64::MAX, 0_u32..19),
        1 => (1_i64..9, 0_u32..28),
    ];
    let amount = prop_oneof![
        3 => Just((0_i64, 8_u32)),
        6 => (0_i64..1_000_000_000, Just(8_u32)),
        2 => (0_i64..100, 0_u32..4),
        1 => (0_i64..i64::MAX, 0_u32..19),
    ];
    (price, amount).prop_map(|((price, scale), (amount, places))| Level {
        price: Decimal::new(price, scale),
        amount: Decimal::new(amount, places),
    })
}

/// A market that wanders: few steps apart most of the time, far now and then, and it moves away for good.
fn wandering() -> impl Strategy<Value = Vec<Level>> {
    let step = prop_oneof![20 => -40_i64..40, 2 => -60_000_i64..60_000, 1 => -900_000_i64..900_000];
    prop::collection::vec((step, 0_i64..4), 1..400).prop_map(|steps| {
        let mut at = 3_000_000_i64;
        let walk = steps.into_iter().map(|(step, amount)| {
            at = (at + step).max(1);
            Level { price: Decimal::new(at, 2), amount: Decimal::new(amount, 3) }
        });
        walk.collect()
    })
}

fn check(levels: &[Level], side: Side) -> Result<(), TestCaseError> {
    let mut ladder = Ladder::new(side);
    let mut oracle = BTreeMap::new();
    for level in levels {
        // A price that cannot stand beside the others is refused, and then nothing must have changed.
        if ladder.set(level).is_ok() {
            if level.amount.is_zero() {
                oracle.remove(&level.price);
            } else {
                oracle.insert(level.price, level.amount);
            }
        }
        let best = if side == Side::Buy { oracle.last_key_value() } else { oracle.first_key_value() };
        prop_assert_eq!(ladder.best().map(|level| (level.price, level.amount)), best.map(|(p, a)| (*p, *a)));
        prop_assert_eq!(ladder.len(), oracle.len());
    }
    let mut expected: Vec<_> = oracle.into_iter().collect();
    if side == Side::Buy {
        expected.reverse();
    }
    let found: Vec<_> = ladder.iter().map(|level| (level.price, level.amount)).collect();
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #[test]
    fn odd_numbers_stay_exact(levels in prop::collection::vec(odd_level(), 0..200), buy in any::<bool>()) {
        check(&levels, if buy { Side::Buy } else { Side::Sell })?;
    }

    #[test]
    fn follows_the_market_anywhere(levels in wandering(), buy in any::<bool>()) {
        check(&levels, if buy { Side::Buy } else { Side::Sell })?;
    }
}

#[test]
fn keeps_the_best_when_there_are_too_many() {
    for side in [Side::Buy, Side::Sell] {
        let mut ladder = Ladder::new(side);
        let number = i64::try_from(MAX_LEVELS).unwrap();
        let all: Vec<Level> = (1..=number + 10)
            .map(|price| Level { price: Decimal::from(price * 37), amount: Decimal::ONE })
            .collect();
        ladder.set_all(&all).unwrap();
        assert_eq!(ladder.len(), MAX_LEVELS);
        let best = if side == Side::Buy { number + 10 } else { 1 };
        assert_eq!(ladder.best().unwrap().price, Decimal::from(best * 37));
        ladder.clear();
        assert!(ladder.is_empty() && ladder.best().is_none() && ladder.iter().next().is_none());
    }
}
