use proptest::prelude::*;

use super::*;

fn asset() -> Asset {
    "USDT".into()
}

fn id(n: u64) -> ClientOrderId {
    ClientOrderId::new(format!("o{n}"))
}

fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

fn at(known: u64, venue: Option<i64>) -> Moment {
    Moment { known: Mono(known * 1_000_000_000), venue: venue.map(UnixNanos) }
}

fn dec(units: i64) -> Decimal {
    Decimal::from(units)
}

fn reservations(push: bool) -> Reservations {
    Reservations::new(push, Duration::from_secs(2), false)
}

fn place(all: &mut Reservations, n: u64, amount: i64, price: i64) {
    all.placed(id(n), dec(amount), vec![(asset(), dec(price))]);
}

fn tell(all: &mut Reservations, moment: Moment) {
    all.told(&asset(), moment, moment.known);
}

#[test]
fn an_order_is_reserved_until_the_venue_shows_it() {
    let mut all = reservations(true);
    let left = |all: &Reservations| all.available(&asset(), dec(100));
    place(&mut all, 1, 3, 10);
    assert_eq!(left(&all), dec(70));
    tell(&mut all, at(1, Some(5)));
    assert_eq!(left(&all), dec(70), "told before the venue had the order");
    all.accepted(&id(1), at(2, Some(10)));
    tell(&mut all, at(3, Some(9)));
    assert_eq!(left(&all), dec(70), "on its way since before the order");
    tell(&mut all, at(3, Some(10)));
    assert_eq!(left(&all), dec(100), "the venue's own figure has it now");
    assert!(all.orders.is_empty() && all.reserved.is_empty());
}

#[test]
fn a_balance_message_quicker_than_the_acknowledgement_counts() {
    let mut all = reservations(true);
    place(&mut all, 1, 3, 10);
    tell(&mut all, at(1, Some(10)));
    all.accepted(&id(1), at(2, Some(10)));
    assert_eq!(all.available(&asset(), dec(70)), dec(70));
    // Without the venue's times only a later message is evidence.
    let mut all = reservations(true);
    place(&mut all, 1, 3, 10);
    tell(&mut all, at(1, None));
    all.accepted(&id(1), at(2, None));
    assert_eq!(all.available(&asset(), dec(100)), dec(70));
    assert_eq!(all.waits_since(), Some(at(2, None).known));
    tell(&mut all, at(3, None));
    assert_eq!((all.available(&asset(), dec(70)), all.waits_since()), (dec(70), None));
}

#[test]
fn what_never_was_is_free_again_and_what_was_spent_is_not() {
    let mut all = reservations(true);
    place(&mut all, 1, 3, 10);
    all.ended(&id(1), at(1, None));
    assert_eq!(all.available(&asset(), dec(100)), dec(100));
    place(&mut all, 2, 3, 10);
    all.accepted(&id(2), at(2, Some(10)));
    let (pair, amount, price) = (pair(), dec(1), dec(10));
    all.filled(&id(2), at(2, Some(10)), Executed { pair: &pair, side: Side::Buy, price, amount, fee: None });
    all.ended(&id(2), at(2, None));
    assert_eq!(all.available(&asset(), dec(100)), dec(70));
    tell(&mut all, at(3, Some(11)));
    assert_eq!(all.available(&asset(), dec(90)), dec(90));
    assert!(all.orders.is_empty());
}

#[test]
fn never_negative() {
    let mut all = reservations(true);
    place(&mut all, 1, 30, 10);
    assert_eq!(all.available(&asset(), dec(100)), Decimal::ZERO);
    assert_eq!(all.available(&asset(), dec(-3)), Decimal::ZERO);
    assert_eq!(all.available(&"BTC".into(), dec(-3)), Decimal::ZERO);
}

#[test]
fn without_push_activity_since_the_answer_is_reckoned() {
    let mut all = reservations(false);
    let (pair, btc) = (pair(), Asset::new("BTC"));
    tell(&mut all, at(0, None));
    place(&mut all, 1, 4, 10);
    all.accepted(&id(1), at(1, None));
    assert_eq!(all.available(&asset(), dec(100)), dec(60));
    // Bought one at 9 in place of 10: one comes back; the fee is taken from what was bought.
    let fee = Fee { asset: btc.clone(), amount: Decimal::new(1, 1) };
    let fill = Executed { pair: &pair, side: Side::Buy, price: dec(9), amount: dec(1), fee: Some(&fee) };
    all.filled(&id(1), at(2, None), fill);
    assert_eq!(all.available(&asset(), dec(100)), dec(61));
    assert_eq!(all.available(&btc, dec(0)), Decimal::new(9, 1));
    // The rest is cancelled.
    all.ended(&id(1), at(3, None));
    assert_eq!(all.available(&asset(), dec(100)), dec(91));
    // An answer from before the end has the order's lock; what has been freed since comes on top.
    all.told(&asset(), at(2, None), at(2, None).known);
    assert_eq!(all.available(&asset(), dec(61)), dec(91));
    all.told(&asset(), at(4, None), at(4, None).known);
    assert_eq!(all.available(&asset(), dec(91)), dec(91));
    assert!(all.orders.is_empty() && all.moves.keys().all(|known| *known == btc));
}

/// One order's life as the venue has it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Place,
    Accept,
    Fail,
    End,
    Tell,
}

proptest! {
    /// A venue that locks and tells truthfully, in any order of messages: what we show is exactly the venue's available less
    /// the orders it cannot have told of, and the sum is kept exactly.
    #[test]
    fn what_is_available_is_exact_at_every_moment(
        steps in prop::collection::vec(
            (prop_oneof![
                3 => Just(Step::Place), 3 => Just(Step::Accept), 1 => Just(Step::Fail), 1 => Just(Step::End), 3 => Just(Step::Tell)
            ], 0_u64..8, 1_i64..50, 1_i64..50),
            1..80,
        ),
        quicker in any::<bool>(),
    ) {
        let mut all = reservations(true);
        let total = dec(1_000_000);
        // By number: the cost, and whether the venue has locked it; what is told of it, and what is not.
        let (mut waiting, mut locked) = (BTreeMap::<u64, Decimal>::new(), BTreeMap::<u64, (Decimal, i64)>::new());
        let mut figure = total;
        let mut shown = i64::MIN;
        let mut next = 0;
        for (turn, (step, pick, amount, price)) in steps.into_iter().enumerate() {
            let (turn, clock) = (turn as u64 * 10, turn as i64 * 10);
            let chosen = |all: &mut dyn Iterator<Item = u64>| {
                let ids: Vec<_> = all.collect();
                (!ids.is_empty()).then(|| ids[pick as usize % ids.len()])
            };
            match step {
                Step::Place => {
                    next += 1;
                    place(&mut all, next, amount, price);
                    waiting.insert(next, dec(amount) * dec(price));
                }
                Step::Accept => if let Some(n) = chosen(&mut waiting.keys().copied()) {
                    let cost = waiting.remove(&n).unwrap();
                    locked.insert(n, (cost, clock));
                    if quicker {
                        figure = total - locked.values().map(|(cost, _)| *cost).sum::<Decimal>();
                        shown = clock;
                        tell(&mut all, at(turn, Some(clock)));
                    }
                    all.accepted(&id(n), at(turn, Some(clock)));
                },
                Step::Fail => if let Some(n) = chosen(&mut waiting.keys().copied()) {
                    waiting.remove(&n);
                    all.ended(&id(n), at(turn, None));
                },
                Step::End => if let Some(n) = chosen(&mut locked.keys().copied()) {
                    locked.remove(&n);
                    all.ended(&id(n), at(turn, None));
                },
                Step::Tell => {
                    figure = total - locked.values().map(|(cost, _)| *cost).sum::<Decimal>();
                    shown = clock;
                    tell(&mut all, at(turn, Some(clock)));
                }
            }
            let unseen: Decimal = locked.values().filter(|(_, when)| *when > shown).map(|(cost, _)| *cost).sum();
            let expected = figure - waiting.values().sum::<Decimal>() - unseen;
            prop_assert_eq!(all.available(&asset(), figure), expected.max(Decimal::ZERO));
            let pending: Decimal = all.orders.values().flat_map(|held| &held.pending).map(|(_, cost)| *cost).sum();
            prop_assert_eq!(all.reserved.get(&asset()).copied().unwrap_or_default(), pending);
        }
    }

    /// Without push: after everything has ended, what is reckoned is what the ledger has.
    #[test]
    fn activity_sums_to_the_ledger(
        orders in prop::collection::vec((1_i64..20, 10_i64..20, any::<bool>(), prop::collection::vec((1_i64..5, 0_i64..5), 0..6)), 1..12),
    ) {
        let (pair, btc) = (pair(), Asset::new("BTC"));
        let mut all = reservations(false);
        let (mut quote, mut base) = (dec(1_000_000), dec(1_000_000));
        let (start_quote, start_base) = (quote, base);
        let mut turn = 1;
        for (n, (amount, price, buy, fills)) in orders.into_iter().enumerate() {
            let n = n as u64;
            let side = if buy { Side::Buy } else { Side::Sell };
            let unit = if buy { (asset(), dec(price)) } else { (btc.clone(), Decimal::ONE) };
            all.placed(id(n), dec(amount), vec![unit]);
            all.accepted(&id(n), at(turn, None));
            let mut rest = amount;
            for (part, better) in fills {
                turn += 1;
                let part = part.min(rest);
                rest -= part;
                if part == 0 { continue; }
                let paid = if buy { price - better } else { price + better };
                let fee = Fee { asset: asset(), amount: Decimal::new(part * paid, 3) };
                let fill = Executed { pair: &pair, side, price: dec(paid), amount: dec(part), fee: Some(&fee) };
                all.filled(&id(n), at(turn, None), fill);
                let sign = if buy { 1 } else { -1 };
                base += dec(sign * part);
                quote -= dec(sign * part * paid) + fee.amount;
            }
            all.ended(&id(n), at(turn, None));
        }
        prop_assert_eq!(all.available(&asset(), start_quote), quote);
        prop_assert_eq!(all.available(&btc, start_base), base);
        prop_assert!(all.orders.is_empty());
        let end = at(turn + 1, None);
        all.told(&asset(), end, end.known);
        all.told(&btc, end, end.known);
        prop_assert_eq!(all.available(&asset(), quote), quote);
        prop_assert!(all.moves.is_empty() && all.moved.is_empty());
    }
}
