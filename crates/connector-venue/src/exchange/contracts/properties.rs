//! Whatever is traded, no money is made or lost, and positions are what a plain reckoning says they are.

use std::collections::BTreeMap;

use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::position::{PositionMode, PositionSide};
use proptest::prelude::*;

use super::super::Exchange;
use super::tests::{A, B, C, S, assert_conserved, dec, exchange, limit};
use super::*;
use crate::orders::{Amount, Execution, SelfTrade, Submit};
use crate::perpetual::MarginMode;
use crate::random::Random;

/// A position as one would reckon it by hand: the average price as it is, no sums of cost.
#[derive(Clone, Copy, Debug, Default)]
struct Plain {
    amount: Decimal,
    entry: Decimal,
    realised: Decimal,
    /// Paid for all that was bought less what was got for all that was sold.
    paid: Decimal,
}

impl Plain {
    fn fill(&mut self, fill: &Execution) {
        let signed = if fill.side == Side::Buy { fill.amount } else { -fill.amount };
        self.paid += signed * fill.price;
        let same = self.amount.is_zero() || (self.amount > Decimal::ZERO) == (signed > Decimal::ZERO);
        if same {
            let all = self.amount.abs() + fill.amount;
            self.entry = (self.entry * self.amount.abs() + fill.price * fill.amount) / all;
        } else {
            let closed = fill.amount.min(self.amount.abs());
            let gain = (fill.price - self.entry) * closed;
            self.realised += if self.amount > Decimal::ZERO { gain } else { -gain };
            if fill.amount > self.amount.abs() {
                self.entry = fill.price;
            }
        }
        self.amount += signed;
        if self.amount.is_zero() {
            self.entry = Decimal::ZERO;
        }
    }
}

fn near(a: Decimal, b: Decimal) -> bool {
    (a - b).abs() < dec("0.000001")
}

/// Compares every position with all of its fills reckoned plainly, and wallets with what was earned and paid.
fn assert_plain(exchange: &Exchange, begun: &BTreeMap<AccountId, Decimal>) {
    for (&account, &begun) in begun {
        let mut plain: BTreeMap<PositionSide, Plain> = BTreeMap::new();
        let fills = exchange.fills(account, &HistoryQuery::of(S));
        for fill in &fills {
            plain.entry(fill.position_side).or_default().fill(fill);
        }
        let mut wallet = begun;
        for (&side, plain) in &plain {
            let view = exchange.position(account, S, side).unwrap();
            assert_eq!(view.amount, plain.amount);
            assert!(near(view.entry_price, plain.entry), "{view:?} {plain:?}");
            assert!(near(view.realised, plain.realised), "{view:?} {plain:?}");
            // Profit made and not made together are the value less what was paid for it: this is exact.
            assert_eq!(view.realised + view.unrealised, view.amount * view.mark_price - plain.paid);
            assert_eq!(view.amount.is_zero(), view.entry_price.is_zero());
            wallet += view.realised;
        }
        let fees: Decimal = fills.iter().map(|fill| fill.commission).sum();
        let other = exchange.incomes(account, None, &HistoryQuery::default());
        let kinds = [IncomeKind::Funding, IncomeKind::Insurance];
        let other: Decimal = other.iter().filter(|i| kinds.contains(&i.kind)).map(|i| i.amount).sum();
        assert_eq!(exchange.margin(account, &"USDT".into()).wallet, (wallet - fees + other).normalize());
    }
}

fn rich() -> (Exchange, BTreeMap<AccountId, Decimal>) {
    let mut exchange = exchange();
    let mut begun = BTreeMap::new();
    for account in [A, B, C] {
        exchange.transfer(account, &"USDT".into(), 100_000_000.into()).unwrap();
        begun.insert(account, exchange.margin(account, &"USDT".into()).wallet);
    }
    exchange.set_mark_price(S, Some(10_000.into())).unwrap();
    (exchange, begun)
}

fn random_order(random: &mut Random, hedge: bool) -> Submit {
    let side = if random.chance(50) { Side::Buy } else { Side::Sell };
    let amount = Decimal::new(random.between(1, 5_000), 3);
    // Around a wandering middle, so that most orders meet somebody.
    let order = limit(side, random.between(9_700, 10_300), "1");
    let leg = match random.between(0, 1) {
        _ if !hedge => PositionSide::Both,
        0 => PositionSide::Long,
        _ => PositionSide::Short,
    };
    let in_force = match random.between(0, 3) {
        0 => TimeInForce::Ioc,
        1 => TimeInForce::Fok,
        _ => TimeInForce::Gtc,
    };
    let order = Submit {
        amount: Amount::Base(amount),
        reduce_only: !hedge && random.chance(25),
        self_trade: Some(if random.chance(20) { SelfTrade::Allow } else { SelfTrade::ExpireMaker }),
        order_type: if random.chance(10) { OrderType::Market } else { OrderType::Limit },
        ..order
    };
    order.position_side(leg).time_in_force(in_force)
}

/// Trades until there are `fills` executions; the random orders include many that are refused.
fn churn(seed: u64, modes: [PositionMode; 3], isolated: bool, fills: usize) {
    let (mut exchange, begun) = rich();
    let mut random = Random::new(seed, 9);
    for (account, mode) in [A, B, C].into_iter().zip(modes) {
        if mode == PositionMode::Hedge {
            exchange.set_position_mode(account, mode).unwrap();
        }
        if isolated && account != B {
            exchange.set_margin_mode(account, S, MarginMode::Isolated).unwrap();
        }
    }
    let (mut done, mut flips, mut reduced, mut round) = (0, 0, 0, 0);
    while done < fills {
        round += 1;
        let account = [A, B, C][usize::try_from(random.between(0, 2)).unwrap()];
        let hedge = exchange.position_mode(account) == PositionMode::Hedge;
        let order = random_order(&mut random, hedge);
        let before = exchange.position(account, S, order.position_side).unwrap().amount;
        let Ok(placed) = exchange.place(account, &order) else { continue };
        // Each execution has a maker's side, too.
        done += 2 * placed.executions.len();
        let after = exchange.position(account, S, order.position_side).unwrap().amount;
        flips += usize::from(before * after < Decimal::ZERO);
        if order.reduce_only {
            reduced += 1;
            assert!(before * after >= Decimal::ZERO && after.abs() <= before.abs());
        }
        for view in exchange.positions(account, Some(S)) {
            assert!(view.side != PositionSide::Long || view.amount >= Decimal::ZERO);
            assert!(view.side != PositionSide::Short || view.amount <= Decimal::ZERO);
        }
        assert_reducers_fit(&exchange);
        if round % 256 == 0 {
            assert_conserved(&exchange);
            assert_plain(&exchange, &begun);
            let _ = exchange.take_news();
        }
        if random.chance(2) {
            let _ = exchange.cancel_all(account, S);
        }
        if random.chance(1) {
            exchange
                .set_funding_rate(S, Some(Decimal::new(random.between(-9_999_999, 9_999_999), 10)))
                .unwrap();
            exchange.settle_funding(S).unwrap();
        }
    }
    assert_conserved(&exchange);
    assert_plain(&exchange, &begun);
    assert!(modes.contains(&PositionMode::Hedge) || (flips > 100 && reduced > 50), "{flips} {reduced}");
}

/// What rests to reduce a position never sums up to more than it.
fn assert_reducers_fit(exchange: &Exchange) {
    let (market, _) = exchange.contract(S).unwrap();
    for account in [A, B, C] {
        let mut sums: BTreeMap<PositionSide, Decimal> = BTreeMap::new();
        for order in exchange.open_orders(account, Some(S)).iter().filter(|order| order.reduces()) {
            let resting = market.book.resting(order.side, order.price.unwrap(), order.id).unwrap();
            assert!(resting > Decimal::ZERO && resting <= order.remaining());
            *sums.entry(order.position_side).or_default() += resting;
        }
        for (side, sum) in sums {
            assert!(sum <= exchange.position(account, S, side).unwrap().amount.abs());
        }
    }
}

#[test]
fn ten_thousand_fills_of_net_positions_are_what_they_should_be() {
    churn(1, [PositionMode::OneWay; 3], false, 10_000);
}

#[test]
fn ten_thousand_fills_of_legs_are_what_they_should_be() {
    churn(2, [PositionMode::Hedge, PositionMode::Hedge, PositionMode::OneWay], false, 10_000);
}

#[test]
fn isolated_positions_of_both_modes_are_what_they_should_be() {
    churn(3, [PositionMode::Hedge, PositionMode::OneWay, PositionMode::OneWay], true, 5_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Prices that jump about liquidate people; nothing may get lost, nobody may owe, and nothing stays that should go.
    #[test]
    fn liquidations_conserve(
        seed in any::<u64>(),
        prices in prop::collection::vec(4_000_i64..20_000, 1..12),
        exhausted in any::<bool>(),
        isolated in any::<bool>(),
        hedge in any::<bool>(),
    ) {
        let mut exchange = exchange();
        let mut random = Random::new(seed, 3);
        exchange.exhaust_insurance_fund(&"USDT".into(), exhausted);
        if isolated {
            exchange.set_margin_mode(A, S, MarginMode::Isolated).unwrap();
        }
        if hedge {
            exchange.set_position_mode(B, PositionMode::Hedge).unwrap();
        }
        for price in prices {
            for _ in 0..20 {
                let account = [A, B, C][usize::try_from(random.between(0, 2)).unwrap()];
                let order = random_order(&mut random, hedge && account == B);
                let shifted = order.price.unwrap() - Decimal::from(10_000) + exchange.perpetual.mark(S);
                let _ = exchange.place(account, &Submit { price: Some(shifted.floor()), ..order });
            }
            exchange.set_mark_price(S, Some(price.into())).unwrap();
            assert_conserved(&exchange);
            for account in [A, B, C] {
                let (balance, maintenance) = exchange.cross_state(account, &"USDT".into());
                prop_assert!(maintenance.is_zero() || balance > maintenance);
                let (wallet, cross) = exchange.wallets(account, &"USDT".into());
                prop_assert!(wallet - cross >= Decimal::ZERO);
                for view in exchange.positions(account, Some(S)) {
                    prop_assert!(
                        view.margin_mode == MarginMode::Cross
                            || view.amount.is_zero()
                            || view.isolated_wallet + view.unrealised > view.maintenance_margin
                    );
                    prop_assert!(!view.amount.is_zero() || view.isolated_wallet.is_zero());
                }
                if exchange.positions(account, Some(S)).iter().all(|view| view.amount.is_zero()) {
                    prop_assert!(wallet >= Decimal::ZERO, "{} {}", account, wallet);
                }
            }
        }
    }
}
