//! The order book: price-time priority, and nothing about money.
//!
//! An incoming order is first planned against the book, then judged by the exchange, then carried out, so that a refusal
//! never leaves a trace. Invariant: the best bid is below the best ask, and a level's total is the sum of its orders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connector_core::Decimal;
use connector_core::message::Level;
use connector_core::order::Side;
use smol_str::SmolStr;

use crate::news::{BookChange, Depth};
use crate::orders::{AccountId, SelfTrade};

/// An order on the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// The order.
    pub order_id: u64,
    /// Whose it is.
    pub account: AccountId,
    /// Base amount left.
    pub remaining: Decimal,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    total: Decimal,
    orders: VecDeque<Resting>,
}

/// How much an incoming order wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A base amount.
    Base(Decimal),
    /// As many whole steps of the base asset as a quote amount is good for.
    Quote {
        /// The quote amount.
        amount: Decimal,
        /// The step.
        step: Decimal,
    },
}

impl Want {
    /// The part of `available` that is wanted at `price`.
    fn part(self, available: Decimal, price: Decimal) -> Decimal {
        match self {
            Self::Base(amount) => amount.min(available),
            Self::Quote { amount, step } => {
                let mut steps = (amount / price / step).floor();
                // Division rounds to nearest, so the quotient can be one step too many.
                if steps * step * price > amount {
                    steps -= Decimal::ONE;
                }
                (steps * step).min(available).max(Decimal::ZERO)
            }
        }
    }

    fn less(self, taken: Decimal, price: Decimal) -> Self {
        match self {
            Self::Base(amount) => Self::Base(amount - taken),
            Self::Quote { amount, step } => Self::Quote { amount: amount - taken * price, step },
        }
    }
}

/// An order about to be matched.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// Whose it is.
    pub account: AccountId,
    /// Buy or sell.
    pub side: Side,
    /// Worst price; `None` = any.
    pub limit: Option<Decimal>,
    /// How much.
    pub want: Want,
    /// What to do about the account's own resting orders.
    pub self_trade: SelfTrade,
}

/// One thing matching will do, always to the order first in line at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Trade with a resting order.
    Fill {
        /// The resting order.
        maker: Resting,
        /// Its price.
        price: Decimal,
        /// Base amount.
        amount: Decimal,
    },
    /// End a resting order of the same account.
    ExpireMaker {
        /// The resting order.
        maker: Resting,
        /// Its price.
        price: Decimal,
    },
}

/// What matching will do with an incoming order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Base amount of all fills.
    pub filled: Decimal,
    /// Quote amount of all fills.
    pub cost: Decimal,
    /// Whether nothing that could be filled is left.
    pub complete: bool,
    /// Whether self-trade prevention ends the incoming order.
    pub taker_expires: bool,
}

/// The book of one market.
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: BTreeMap<Decimal, Queue>,
    asks: BTreeMap<Decimal, Queue>,
    last_id: u64,
    told_id: u64,
    changed_bids: BTreeSet<Decimal>,
    changed_asks: BTreeSet<Decimal>,
}

impl Book {
    /// The id of the latest change.
    #[must_use]
    pub const fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The best level of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        let level = |(price, queue): (&Decimal, &Queue)| Level { price: *price, amount: queue.total };
        match side {
            Side::Buy => self.bids.last_key_value().map(level),
            Side::Sell => self.asks.first_key_value().map(level),
        }
    }

    /// Levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        self.queues(side).map(|(price, queue)| Level { price, amount: queue.total })
    }

    /// Number of levels of a side.
    #[must_use]
    pub fn len(&self, side: Side) -> usize {
        self.side(side).len()
    }

    /// Whether a side has no orders.
    #[must_use]
    pub fn is_empty(&self, side: Side) -> bool {
        self.side(side).is_empty()
    }

    /// Orders of a side with their prices: best price first, oldest first within a price.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = (Decimal, Resting)> {
        self.queues(side).flat_map(|(price, queue)| queue.orders.iter().map(move |order| (price, *order)))
    }

    /// Orders at a price, oldest first.
    pub fn at(&self, side: Side, price: Decimal) -> impl Iterator<Item = Resting> {
        self.side(side).get(&price).into_iter().flat_map(|queue| queue.orders.iter().copied())
    }

    /// At most `limit` levels a side.
    #[must_use]
    pub fn depth(&self, limit: usize) -> Depth {
        Depth {
            last_id: self.last_id,
            bids: self.levels(Side::Buy).take(limit).collect(),
            asks: self.levels(Side::Sell).take(limit).collect(),
        }
    }

    /// Whether an order at `price` would trade at once.
    #[must_use]
    pub fn crosses(&self, side: Side, price: Decimal) -> bool {
        self.best(side.opposite()).is_some_and(|level| reaches(side, price, level.price))
    }

    /// What matching would do with an order. Changes nothing.
    #[must_use]
    pub fn plan(&self, incoming: &Incoming) -> Plan {
        let mut plan = Plan::default();
        let mut want = incoming.want;
        for (price, maker) in self.orders(incoming.side.opposite()) {
            if incoming.limit.is_some_and(|limit| !reaches(incoming.side, limit, price)) {
                break;
            }
            let amount = want.part(maker.remaining, price);
            if amount.is_zero() {
                plan.complete = true;
                break;
            }
            if maker.account == incoming.account && incoming.self_trade != SelfTrade::Allow {
                if incoming.self_trade != SelfTrade::ExpireTaker {
                    plan.steps.push(Step::ExpireMaker { maker, price });
                }
                if incoming.self_trade != SelfTrade::ExpireMaker {
                    plan.taker_expires = true;
                    break;
                }
                continue;
            }
            plan.steps.push(Step::Fill { maker, price, amount });
            plan.filled += amount;
            plan.cost += amount * price;
            want = want.less(amount, price);
            if amount < maker.remaining {
                plan.complete = true;
                break;
            }
        }
        plan.complete |= want == Want::Base(Decimal::ZERO);
        plan
    }

    /// Puts an order at the end of its price's queue. The caller has matched it before.
    pub fn rest(&mut self, side: Side, price: Decimal, order: Resting) {
        let queue = self.side_mut(side).entry(price).or_default();
        queue.total += order.remaining;
        queue.orders.push_back(order);
        self.touch(side, price);
    }

    /// Takes `amount` off a resting order; the order leaves the book with its last part. Returns what is left of it;
    /// `None` if it does not rest there.
    pub fn reduce(&mut self, side: Side, price: Decimal, order_id: u64, amount: Decimal) -> Option<Decimal> {
        let levels = self.side_mut(side);
        let queue = levels.get_mut(&price)?;
        let index = queue.orders.iter().position(|order| order.order_id == order_id)?;
        let order = queue.orders.get_mut(index)?;
        order.remaining -= amount;
        let left = order.remaining;
        queue.total -= amount;
        if left <= Decimal::ZERO {
            queue.orders.remove(index);
        }
        if queue.orders.is_empty() {
            levels.remove(&price);
        }
        self.touch(side, price);
        Some(left)
    }

    /// What the book has of a resting order; `None` if it does not rest there.
    #[must_use]
    pub fn resting(&self, side: Side, price: Decimal, order_id: u64) -> Option<Decimal> {
        self.at(side, price).find(|order| order.order_id == order_id).map(|order| order.remaining)
    }

    /// Whether there are changes [`Book::tell`] has not told.
    #[must_use]
    pub const fn has_changes(&self) -> bool {
        self.last_id > self.told_id
    }

    /// Levels changed since the last call, each with its present amount. `None` if none did.
    pub fn tell(&mut self, symbol: &SmolStr) -> Option<BookChange> {
        if !self.has_changes() {
            return None;
        }
        let level = |levels: &BTreeMap<Decimal, Queue>, price: &Decimal| Level {
            price: *price,
            amount: levels.get(price).map_or(Decimal::ZERO, |queue| queue.total),
        };
        let change = BookChange {
            symbol: symbol.clone(),
            bids: self.changed_bids.iter().rev().map(|price| level(&self.bids, price)).collect(),
            asks: self.changed_asks.iter().map(|price| level(&self.asks, price)).collect(),
            first_id: self.told_id + 1,
            last_id: self.last_id,
            prev_last_id: self.told_id,
        };
        self.changed_bids.clear();
        self.changed_asks.clear();
        self.told_id = self.last_id;
        Some(change)
    }

    fn touch(&mut self, side: Side, price: Decimal) {
        self.last_id += 1;
        match side {
            Side::Buy => self.changed_bids.insert(price),
            Side::Sell => self.changed_asks.insert(price),
        };
    }

    const fn side(&self, side: Side) -> &BTreeMap<Decimal, Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    const fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Decimal, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn queues(&self, side: Side) -> impl Iterator<Item = (Decimal, &Queue)> {
        // Bids are best at the high end, asks at the low end; one of the two halves is always empty.
        let (falling, rising) = match side {
            Side::Buy => (Some(&self.bids), None),
            Side::Sell => (None, Some(&self.asks)),
        };
        let falling = falling.into_iter().flat_map(|levels| levels.iter().rev());
        let rising = rising.into_iter().flat_map(BTreeMap::iter);
        falling.chain(rising).map(|(price, queue)| (*price, queue))
    }
}

/// Whether an order of `side` at `limit` trades with one at `price`.
fn reaches(side: Side, limit: Decimal, price: Decimal) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resting(order_id: u64, account: u32, remaining: i64) -> Resting {
        Resting { order_id, account: AccountId(account), remaining: remaining.into() }
    }

    fn buy(account: u32, limit: i64, want: Want) -> Incoming {
        Incoming {
            account: AccountId(account),
            side: Side::Buy,
            limit: Some(limit.into()),
            want,
            self_trade: SelfTrade::ExpireMaker,
        }
    }

    fn asks() -> Book {
        let mut book = Book::default();
        book.rest(Side::Sell, 102.into(), resting(1, 1, 5));
        book.rest(Side::Sell, 101.into(), resting(2, 1, 5));
        book.rest(Side::Sell, 101.into(), resting(3, 2, 5));
        book
    }

    fn makers(plan: &Plan) -> Vec<(u64, bool)> {
        plan.steps
            .iter()
            .map(|step| match step {
                Step::Fill { maker, .. } => (maker.order_id, true),
                Step::ExpireMaker { maker, .. } => (maker.order_id, false),
            })
            .collect()
    }

    #[test]
    fn price_first_then_time() {
        let plan = asks().plan(&buy(9, 102, Want::Base(12.into())));
        assert_eq!(makers(&plan), [(2, true), (3, true), (1, true)]);
        assert_eq!((plan.filled, plan.cost, plan.complete), (12.into(), (101 * 10 + 102 * 2).into(), true));
        let plan = asks().plan(&buy(9, 101, Want::Base(12.into())));
        assert_eq!((plan.filled, plan.complete), (10.into(), false));
        assert_eq!(asks().plan(&buy(9, 100, Want::Base(1.into()))), Plan::default());
    }

    #[test]
    fn a_quote_amount_buys_whole_steps() {
        let want = |amount: i64| Want::Quote { amount: amount.into(), step: 1.into() };
        let plan = asks().plan(&buy(9, 102, want(101 * 3 + 100)));
        assert_eq!((plan.filled, plan.complete), (3.into(), true));
        let plan = asks().plan(&buy(9, 102, want(101 * 10 + 50)));
        assert_eq!((plan.filled, plan.complete), (10.into(), true));
        let plan = asks().plan(&buy(9, 102, want(1_000_000)));
        assert_eq!((plan.filled, plan.complete), (15.into(), false));
    }

    #[test]
    fn a_quotient_that_rounds_up_buys_no_step_too_many() {
        let amount = "72000000000000008.999999999999".parse().unwrap();
        let want = Want::Quote { amount, step: 1.into() };
        assert_eq!(want.part(Decimal::MAX, 9.into()), 8_000_000_000_000_000_u64.into());
    }

    #[test]
    fn self_trade_prevention() {
        let plan = |mode| {
            let incoming = Incoming { self_trade: mode, ..buy(1, 101, Want::Base(6.into())) };
            let plan = asks().plan(&incoming);
            (makers(&plan), plan.taker_expires)
        };
        assert_eq!(plan(SelfTrade::ExpireMaker), (vec![(2, false), (3, true)], false));
        assert_eq!(plan(SelfTrade::Allow), (vec![(2, true), (3, true)], false));
        assert_eq!(plan(SelfTrade::ExpireTaker), (vec![], true));
        assert_eq!(plan(SelfTrade::ExpireBoth), (vec![(2, false)], true));
    }

    #[test]
    fn changes_are_told_once_and_without_gaps() {
        let mut book = asks();
        let symbol = SmolStr::new("X");
        let first = book.tell(&symbol).unwrap();
        assert_eq!((first.first_id, first.last_id, first.prev_last_id), (1, 3, 0));
        assert_eq!(first.asks.iter().map(|level| level.amount).collect::<Vec<_>>(), [10.into(), 5.into()]);
        assert!(book.tell(&symbol).is_none());
        assert_eq!(book.reduce(Side::Sell, 102.into(), 1, 5.into()), Some(0.into()));
        assert_eq!(book.reduce(Side::Sell, 102.into(), 1, 5.into()), None);
        let second = book.tell(&symbol).unwrap();
        assert_eq!((second.first_id, second.last_id, second.prev_last_id), (4, 4, 3));
        assert_eq!(second.asks, [Level { price: 102.into(), amount: 0.into() }]);
    }

    proptest! {
        #[test]
        fn a_plan_never_skips_a_better_or_earlier_order(
            orders in prop::collection::vec((95_i64..105, 1_i64..9, any::<bool>()), 1..40),
        ) {
            let mut book = Book::default();
            for (id, (price, amount, buys)) in (1_u64..).zip(orders) {
                let side = if buys { Side::Buy } else { Side::Sell };
                let mut left = Decimal::from(amount);
                let incoming = Incoming {
                    side, self_trade: SelfTrade::Allow, ..buy(1, price, Want::Base(left))
                };
                let plan = book.plan(&incoming);
                let queue: Vec<_> = book.orders(side.opposite()).collect();
                for (step, (price, maker)) in plan.steps.iter().zip(queue) {
                    let Step::Fill { maker: found, price: at, amount } = *step else { unreachable!() };
                    prop_assert_eq!((found, at), (maker, price));
                    prop_assert_eq!(amount, left.min(maker.remaining));
                    left -= amount;
                    book.reduce(side.opposite(), at, found.order_id, amount);
                }
                if !left.is_zero() {
                    prop_assert!(!book.crosses(side, price.into()));
                    book.rest(side, price.into(), resting(id, 1, 0).with(left));
                }
                for side in [Side::Buy, Side::Sell] {
                    for level in book.levels(side) {
                        let sum: Decimal = book.at(side, level.price).map(|order| order.remaining).sum();
                        prop_assert_eq!(sum, level.amount);
                    }
                }
            }
        }
    }

    impl Resting {
        fn with(self, remaining: Decimal) -> Self {
            Self { remaining, ..self }
        }
    }
}
