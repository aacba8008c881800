//! A market that lives by itself: quotes around a wandering price and a flow that takes them, all from one seed.
//!
//! It only decides; the exchange carries its decisions out through house accounts and the same matching as everyone's
//! orders, so a user's order at the touch is filled in its turn.

use connector_core::Decimal;
use connector_core::order::Side;
use connector_core::time::UnixNanos;
use rust_decimal::prelude::ToPrimitive;

use crate::matching::Book;
use crate::orders::AccountId;
use crate::random::Random;
use crate::setup::{Liveliness, MarketSetup};

/// A side that was not hit for this long is hit next, in nanoseconds.
const HIT_AT_LEAST_EVERY: i64 = 1_000_000_000;

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Cancel a house order.
    Cancel(u64),
    /// Rest an order.
    Quote { side: Side, price: Decimal, amount: Decimal },
    /// Take liquidity up to a price, at once or not at all.
    Take { side: Side, price: Decimal, amount: Decimal },
}

/// The state of a live market. Prices inside are whole ticks.
#[derive(Clone, Debug)]
pub(crate) struct LiveMarket {
    settings: Liveliness,
    random: Random,
    tick: Decimal,
    reference: i64,
    fair: i64,
    bid_gap: i64,
    ask_gap: i64,
    next_quote: UnixNanos,
    next_taker: UnixNanos,
    last_buy: UnixNanos,
    last_sell: UnixNanos,
}

impl LiveMarket {
    pub(crate) fn new(settings: Liveliness, setup: &MarketSetup, seed: u64, now: UnixNanos) -> Self {
        let stream = setup.symbol.bytes().fold(1_469_598_103_934_665_603_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        });
        let reference = in_ticks(setup.reference_price, setup.rules.tick);
        let mut live = Self {
            settings,
            random: Random::new(seed, stream),
            tick: setup.rules.tick,
            reference,
            fair: reference,
            bid_gap: 1,
            ask_gap: 1,
            next_quote: now,
            next_taker: now,
            last_buy: now,
            last_sell: now,
        };
        live.schedule_quote(now);
        live.schedule_taker(now);
        live
    }

    /// Keeps the price where it is although the tick has changed.
    pub(crate) fn rescale(&mut self, setup: &MarketSetup) {
        let fair = Decimal::from(self.fair) * self.tick;
        self.tick = setup.rules.tick;
        self.reference = in_ticks(setup.reference_price, self.tick);
        self.fair = in_ticks(fair, self.tick);
    }

    /// The price it quotes around.
    pub(crate) fn fair_price(&self) -> Decimal {
        Decimal::from(self.fair) * self.tick
    }

    /// When it acts next.
    pub(crate) fn next_time(&self) -> UnixNanos {
        self.next_quote.min(self.next_taker)
    }

    /// What is to be done at `now`, in order.
    pub(crate) fn act(&mut self, book: &Book, setup: &MarketSetup, now: UnixNanos) -> Vec<Action> {
        let mut actions = Vec::new();
        if now >= self.next_quote {
            self.schedule_quote(now);
            self.quote(book, setup, &mut actions);
        }
        if now >= self.next_taker {
            self.schedule_taker(now);
            actions.extend(self.take(book, setup, now));
        }
        actions
    }

    /// The orders that make up the book at the start.
    pub(crate) fn open(&mut self, setup: &MarketSetup) -> Vec<Action> {
        let mut actions = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let edge = self.edge(side);
            actions.extend(self.quote_at(side, edge, setup));
            for _ in 0..self.settings.levels {
                actions.extend(self.quote_somewhere(side, setup));
            }
        }
        actions
    }

    fn schedule_quote(&mut self, now: UnixNanos) {
        let mean = 1_000_000_000 / i64::from(self.settings.events_per_second.clamp(1, 1000));
        self.next_quote = now.offset(self.random.between(mean / 2, mean * 3 / 2));
    }

    fn schedule_taker(&mut self, now: UnixNanos) {
        let (shortest, longest) = self.settings.taker_interval_ms;
        let (shortest, longest) = (i64::from(shortest.max(1)), i64::from(longest.max(shortest).max(1)));
        self.next_taker = now.offset(self.random.between(shortest * 1_000_000, longest * 1_000_000));
    }

    /// The distance between neighbouring levels, roughly.
    const fn unit(&self) -> i64 {
        if self.reference < 500_000 { 1 } else { self.reference / 250_000 }
    }

    /// How far from the touch the book reaches.
    fn reach(&self) -> i64 {
        (i64::from(self.settings.levels) * self.unit()).saturating_mul(3) / 2
    }

    fn edge(&self, side: Side) -> i64 {
        match side {
            Side::Buy => self.fair - self.bid_gap,
            Side::Sell => self.fair + self.ask_gap,
        }
    }

    /// Moves the fair price by about fifteen millionths, a little more often back than away.
    fn wander(&mut self) {
        let thousandths = self.reference.saturating_mul(15) / 1000;
        let moves = thousandths >= 1000 || self.random.between(0, 999) < thousandths;
        let most = (thousandths / 1000).max(1);
        let band = self.reference.saturating_mul(i64::from(self.settings.band_ppm)) / 1_000_000;
        if moves && band > 0 {
            let pull = (self.reference - self.fair).saturating_mul(most) / band / 4;
            self.fair += self.random.between(-most, most) + pull;
            self.fair = self.fair.clamp(self.reference - band, self.reference + band);
        }
        self.bid_gap = self.random.between(1, self.unit().max(2));
        self.ask_gap = self.random.between(0, self.unit().max(2));
    }

    fn quote(&mut self, book: &Book, setup: &MarketSetup, actions: &mut Vec<Action>) {
        if self.random.chance(15) {
            self.wander();
        }
        for side in [Side::Buy, Side::Sell] {
            self.withdraw(side, book, actions);
        }
        let churned = if self.random.chance(50) { Side::Buy } else { Side::Sell };
        for side in [Side::Buy, Side::Sell] {
            let edge = self.edge(side);
            // Only the house's own orders count here: a user's better price does not keep the house away.
            let nearest = self.nearest(side, book).map(|price| in_ticks(price, self.tick));
            if nearest.is_none_or(|nearest| (nearest - edge).abs() > self.unit() / 2) {
                actions.extend(self.quote_at(side, edge, setup));
            }
            if side == churned {
                self.churn(side, book, setup, actions);
            }
            let target = usize::try_from(self.settings.levels).unwrap_or(usize::MAX);
            let missing = target.saturating_sub(book.len(side));
            let count = if missing > target / 2 { missing } else { missing.min(2) };
            for _ in 0..count {
                actions.extend(self.quote_somewhere(side, setup));
            }
        }
    }

    /// The best house order the price has not run over.
    fn nearest(&self, side: Side, book: &Book) -> Option<Decimal> {
        let edge = Decimal::from(self.edge(side)) * self.tick;
        let stays = |price: Decimal| if side == Side::Buy { price <= edge } else { price >= edge };
        let house = |order: &crate::matching::Resting| order.account == AccountId::HOUSE_MAKER;
        book.orders(side).find(|(price, order)| house(order) && stays(*price)).map(|(price, _)| price)
    }

    /// Cancels house orders the price has run over, and now and then those it has left far behind.
    fn withdraw(&mut self, side: Side, book: &Book, actions: &mut Vec<Action>) {
        let edge = Decimal::from(self.edge(side)) * self.tick;
        let far = Decimal::from(self.reach().saturating_mul(2)) * self.tick;
        let house = |order: &(Decimal, crate::matching::Resting)| order.1.account == AccountId::HOUSE_MAKER;
        let inside = |price: Decimal| if side == Side::Buy { price > edge } else { price < edge };
        let front = book.orders(side).take_while(|(price, _)| inside(*price));
        actions.extend(front.filter(house).map(|(_, order)| Action::Cancel(order.order_id)));
        if self.random.chance(5) {
            let back = book.orders(side).skip_while(|(price, _)| (*price - edge).abs() <= far);
            actions.extend(back.filter(house).map(|(_, order)| Action::Cancel(order.order_id)));
        }
    }

    /// Adds, removes or replaces one order.
    fn churn(&mut self, side: Side, book: &Book, setup: &MarketSetup, actions: &mut Vec<Action>) {
        let target = i64::from(self.settings.levels);
        let levels = i64::try_from(book.len(side)).unwrap_or(i64::MAX);
        let crowded = levels > target + target / 4;
        let kind = if crowded { 0 } else { self.random.between(0, 3) };
        if kind >= 2 {
            actions.extend(self.quote_somewhere(side, setup));
            return;
        }
        let index = usize::try_from(self.random.between(0, levels)).unwrap_or(0);
        let found = book.orders(side).nth(index).filter(|(_, order)| order.account == AccountId::HOUSE_MAKER);
        let Some((price, order)) = found else { return };
        if actions.contains(&Action::Cancel(order.order_id)) {
            return;
        }
        actions.push(Action::Cancel(order.order_id));
        if kind == 1 {
            actions.extend(self.quote_at(side, in_ticks(price, self.tick), setup));
        }
    }

    fn quote_somewhere(&mut self, side: Side, setup: &MarketSetup) -> Option<Action> {
        // The square makes the book denser near the touch.
        let part = self.random.between(0, 1000);
        let offset =
            (i128::from(self.reach()) * i128::from(part * part) / 1_000_000).try_into().unwrap_or(0_i64);
        let edge = self.edge(side);
        let price = if side == Side::Buy { edge - offset } else { edge + offset };
        self.quote_at(side, price, setup)
    }

    fn quote_at(&mut self, side: Side, ticks: i64, setup: &MarketSetup) -> Option<Action> {
        let price = Decimal::from(ticks) * self.tick;
        let percent = self.random.between(20, 300);
        (ticks > 0 && price >= setup.rules.min_price && price <= setup.rules.max_price)
            .then(|| Action::Quote { side, price, amount: self.amount(price, percent, setup) })
    }

    fn take(&mut self, book: &Book, setup: &MarketSetup, now: UnixNanos) -> Option<Action> {
        let overdue = |last: UnixNanos| now.0 - last.0 > HIT_AT_LEAST_EVERY;
        let side = match (overdue(self.last_buy), overdue(self.last_sell)) {
            (true, false) => Side::Buy,
            (false, true) => Side::Sell,
            _ if self.random.chance(50) => Side::Buy,
            _ => Side::Sell,
        };
        match side {
            Side::Buy => self.last_buy = now,
            Side::Sell => self.last_sell = now,
        }
        let best = book.best(side.opposite())?;
        // A bound, so that a thin book is not swept down to a user's far-off order.
        let slip = Decimal::from(self.unit().saturating_mul(10)) * self.tick;
        let price = if side == Side::Buy { best.price + slip } else { (best.price - slip).max(self.tick) };
        let percent = self.random.between(10, 150);
        Some(Action::Take { side, price, amount: self.amount(price, percent, setup) })
    }

    /// `percent` of a typical order at `price`, within the market's rules.
    fn amount(&self, price: Decimal, percent: i64, setup: &MarketSetup) -> Decimal {
        let rules = &setup.rules;
        let steps = |notional: Decimal| (notional / price / rules.step).ceil() * rules.step;
        let typical = typical_notional(setup, self.settings);
        // One step more, because a taker's price may turn out a little worse than the one counted with here.
        let least = (steps(rules.min_notional) + rules.step).max(rules.min_amount);
        let most = rules.market_max_amount.unwrap_or(rules.max_amount).min(rules.max_amount);
        steps(typical * Decimal::new(percent, 2)).max(least).min(most)
    }
}

/// The notional of a typical house order.
pub(crate) fn typical_notional(setup: &MarketSetup, settings: Liveliness) -> Decimal {
    let least = setup.rules.min_notional.max(setup.rules.min_amount * setup.reference_price);
    least * Decimal::from(settings.size.max(5))
}

fn in_ticks(price: Decimal, tick: Decimal) -> i64 {
    (price / tick).round().to_i64().unwrap_or(i64::MAX / 4)
}
