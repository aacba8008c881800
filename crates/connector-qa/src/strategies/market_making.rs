//! Simple market making: orders on both sides of the middle price, renewed as it moves.
//!
//! [`MarketMaking`] says what is wanted and decides it without a connector; [`MarketMaker`] makes it so:
//!
//! 1. every [`refresh`](MarketMaking::refresh) the wanted orders are computed from the book's middle price;
//! 2. an order that is still near enough to where it should be stays, and keeps its place in the venue's queue;
//! 3. another is cancelled, and replaced when its end is *known*: never two orders for one place, whatever the network does;
//! 4. what the account can pay for is asked of the [budget](connector_core::budget) before anything is sent.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use connector_core::budget::{Candidate, Mode};
use connector_core::order::{OrderType, Side};
use connector_core::position::PositionSide;
use connector_core::{
    Asset, Cause, ClientOrderId, Connector, Decimal, Effect, Error, Event, Events, Lagged, Pair,
};
use tokio::time::{Instant, MissedTickBehavior};

use super::Summary;

/// Longest wait for the last orders to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wanted. Fractions are of the middle price: 0.001 is 0.1 %.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketMaking {
    /// The pair; the connector must follow it.
    pub pair: Pair,
    /// Orders on each side.
    pub levels: u32,
    /// Base amount of one order.
    pub amount: Decimal,
    /// Distance of the first level from the middle price, as a fraction.
    pub spread: Decimal,
    /// Distance between two levels, as a fraction.
    pub gap: Decimal,
    /// How often orders are looked at.
    pub refresh: Duration,
    /// An order stays while its price is within this fraction of where it should be.
    pub tolerance: Decimal,
    /// What becomes of an order whose counterpart on the other side was filled; `None` renews it like any other.
    pub hanging: Option<Hanging>,
    /// How amounts follow what the account holds; `None` leaves them equal.
    pub skew: Option<Skew>,
}

/// Leaves the counterpart of a filled order where it is, so that the pair of them earns its spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hanging {
    /// Most orders left hanging at once.
    pub most: usize,
    /// One this far from the middle price is cancelled, as a fraction.
    pub distance: Decimal,
}

/// Buys less and sells more while the account holds more of the base asset than wanted, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// The wanted share of the base asset in the value of both assets, 0 to 1.
    pub target: Decimal,
    /// This far from the target, one side's amount is zero and the other's doubled.
    pub range: Decimal,
}

/// An order that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Buy or sell.
    pub side: Side,
    /// Its level, counted from 0 next to the middle price.
    pub level: u32,
    /// Quote per base, not yet on the tick.
    pub price: Decimal,
    /// Base amount, not yet on the step.
    pub amount: Decimal,
}

impl MarketMaking {
    /// The orders wanted around `middle` with these holdings in all, levels next to the middle first.
    #[must_use]
    pub fn quotes(&self, middle: Decimal, base: Decimal, quote: Decimal) -> Vec<Quote> {
        let lean = self.skew.map_or(Decimal::ZERO, |skew| skew.lean(base * middle, quote));
        let mut quotes = Vec::new();
        for level in 0..self.levels {
            let distance = self.spread + self.gap * Decimal::from(level);
            for (side, sign) in [(Side::Buy, Decimal::NEGATIVE_ONE), (Side::Sell, Decimal::ONE)] {
                let price = middle * (Decimal::ONE + sign * distance);
                let amount = self.amount * (Decimal::ONE - sign * lean);
                if price > Decimal::ZERO && amount > Decimal::ZERO {
                    quotes.push(Quote { side, level, price, amount });
                }
            }
        }
        quotes
    }

    fn is_near(&self, price: Decimal, wanted: Decimal) -> bool {
        (price - wanted).abs() <= wanted * self.tolerance
    }
}

impl Skew {
    /// From -1 (sell all) to 1 (buy all).
    fn lean(self, base_value: Decimal, quote: Decimal) -> Decimal {
        let share = base_value.checked_div(base_value + quote).unwrap_or(self.target);
        let lean = (self.target - share).checked_div(self.range).unwrap_or(Decimal::ZERO);
        lean.clamp(Decimal::NEGATIVE_ONE, Decimal::ONE)
    }
}

/// Where an order belongs: its side and level.
type Place = (Side, u32);

/// An order of ours that has not ended.
#[derive(Clone, Copy, Debug)]
struct Standing {
    place: Place,
    price: Decimal,
    /// Its counterpart was filled: it stays where it is.
    hangs: bool,
    cancelling: bool,
}

/// Runs [`MarketMaking`] on a connector.
#[derive(Debug)]
pub struct MarketMaker {
    plan: MarketMaking,
    connector: Connector,
    events: Events,
    standing: BTreeMap<ClientOrderId, Standing>,
    summary: Summary,
}

impl MarketMaker {
    /// At rest. It places nothing before [`run`](Self::run).
    #[must_use]
    pub fn new(connector: &Connector, plan: MarketMaking) -> Self {
        let events = connector.events();
        let connector = connector.clone();
        Self { plan, connector, events, standing: BTreeMap::new(), summary: Summary::default() }
    }

    /// Makes a market until `stop` is ready, then cancels what is open and waits until it has ended.
    ///
    /// # Errors
    /// The connector ended, or orders may still be open at the end.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Summary, Error> {
        let mut ticks = tokio::time::interval(self.plan.refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => self.refresh(),
                event = self.events.next() => self.take_in(event)?,
            }
        }
        self.finish().await
    }

    /// Brings orders to where they should be.
    fn refresh(&mut self) {
        // Without a book that is proven, nothing is known of the price: orders stay as they are.
        let Some(middle) = self.middle().filter(|_| self.connector.is_ready()) else { return };
        let (base, quote) = self.held(middle);
        let wanted = self.plan.quotes(middle, base, quote);
        let mut obsolete = Vec::new();
        for (id, order) in self.standing.iter_mut().filter(|(_, order)| !order.cancelling) {
            let stays = match self.plan.hanging.filter(|_| order.hangs) {
                Some(hanging) => (order.price - middle).abs() <= middle * hanging.distance,
                None => wanted.iter().any(|quote| {
                    (quote.side, quote.level) == order.place && self.plan.is_near(order.price, quote.price)
                }),
            };
            if !stays {
                order.cancelling = true;
                obsolete.push(id.clone());
            }
        }
        for id in obsolete {
            // An order that is not known any more has ended: its event is on the way.
            let _ = self.connector.cancel(&id);
        }
        self.fill_places(&wanted);
    }

    /// Base and quote amount held. Of a contract either is worth half of the collateral while no position is open.
    fn held(&self, middle: Decimal) -> (Decimal, Decimal) {
        let pair = &self.plan.pair;
        let total = |asset: &Asset| self.connector.balance(asset).total;
        let rule = self.connector.trading_rule(pair);
        let Some(collateral) = rule.and_then(|rule| rule.collateral) else {
            return (total(&pair.base()), total(&pair.quote()));
        };
        let half = total(&collateral) / Decimal::TWO;
        let positions = self.connector.positions();
        let own = positions.iter().filter(|position| position.pair == *pair);
        let net: Decimal = own
            .map(|position| match position.side {
                PositionSide::Short => -position.amount,
                PositionSide::Long | PositionSide::Both => position.amount,
            })
            .sum();
        (half.checked_div(middle).unwrap_or_default() + net, half - net * middle)
    }

    /// Places what is wanted and has no order yet.
    fn fill_places(&mut self, wanted: &[Quote]) {
        let taken = |quote: &Quote| {
            let place = (quote.side, quote.level);
            self.standing.values().any(|order| order.place == place && !order.hangs)
        };
        let missing: Vec<Quote> = wanted.iter().filter(|quote| !taken(quote)).copied().collect();
        let candidates: Vec<Candidate> = missing.iter().map(|quote| self.candidate(quote)).collect();
        let adjusted = self.connector.budget(&candidates, Mode::Partial);
        for (quote, adjusted) in missing.iter().zip(adjusted) {
            let placed = match adjusted.refused {
                None => self.connector.place(adjusted.candidate.order()),
                Some(refused) => Err(refused),
            };
            match placed {
                Ok(id) => {
                    let (place, price) = ((quote.side, quote.level), adjusted.candidate.price);
                    self.summary.orders.push(id.clone());
                    self.standing.insert(id, Standing { place, price, hangs: false, cancelling: false });
                }
                // It is asked for again at the next refresh.
                Err(_) => self.summary.refused += 1,
            }
        }
    }

    fn candidate(&self, quote: &Quote) -> Candidate {
        let pair = self.plan.pair.clone();
        // Post-only where the venue has it: an order that makes a market should never take.
        if self.connector.spec().order_types.contains(&OrderType::LimitMaker) {
            Candidate::limit_maker(pair, quote.side, quote.amount, quote.price)
        } else {
            Candidate::limit(pair, quote.side, quote.amount, quote.price)
        }
    }

    fn middle(&self) -> Option<Decimal> {
        let book = self.connector.order_book(&self.plan.pair, 1)?;
        let (bid, ask) = (book.bids.first()?.price, book.asks.first()?.price);
        (bid + ask).checked_div(Decimal::TWO)
    }

    fn take_in(&mut self, event: Option<Result<Event, Lagged>>) -> Result<(), Error> {
        match event {
            None => return Err(gone("the connector ended")),
            Some(Err(_)) => self.catch_up(),
            Some(Ok(event)) => self.heard(&event),
        }
        Ok(())
    }

    fn heard(&mut self, event: &Event) {
        let Some(id) = event.order().map(|order| &order.client_order_id) else { return };
        match event {
            Event::OrderFilled(fill) if self.summary.orders.contains(id) => self.summary.filled(fill),
            Event::OrderCompleted(_) => self.completed(id),
            Event::OrderFailed(_) => {
                let ours = self.standing.remove(id).is_some();
                self.summary.refused += usize::from(ours);
            }
            Event::OrderCancelled(_) | Event::OrderExpired(_) => self.vacated(id),
            // The order lives on: the next refresh decides again.
            Event::OrderCancelRefused(_) => {
                if let Some(order) = self.standing.get_mut(id) {
                    order.cancelling = false;
                }
            }
            _ => {}
        }
    }

    /// An order is gone. A place that was emptied on purpose is taken again at once, not only at the next refresh.
    fn vacated(&mut self, id: &ClientOrderId) {
        let order = self.standing.remove(id);
        if order.is_some_and(|order| order.cancelling && !order.hangs) {
            self.refresh();
        }
    }

    /// An order was filled completely: its counterpart may be left hanging.
    fn completed(&mut self, id: &ClientOrderId) {
        let Some(done) = self.standing.remove(id).filter(|order| !order.hangs) else { return };
        let hanging = self.standing.values().filter(|order| order.hangs).count();
        if self.plan.hanging.is_none_or(|plan| hanging >= plan.most) {
            return;
        }
        let counterpart = (done.place.0.opposite(), done.place.1);
        let found = self
            .standing
            .values_mut()
            .find(|order| order.place == counterpart && !order.hangs && !order.cancelling);
        if let Some(order) = found {
            order.hangs = true;
        }
    }

    /// Events were missed: what has ended meanwhile is asked of the connector's memory.
    fn catch_up(&mut self) {
        let connector = &self.connector;
        self.standing.retain(|id, _| connector.order(id).is_some_and(|order| !order.state().is_terminal()));
    }

    async fn finish(mut self) -> Result<Summary, Error> {
        let end = Instant::now() + PATIENCE;
        for (id, order) in &mut self.standing {
            order.cancelling = true;
            let _ = self.connector.cancel(id);
        }
        // Nothing is placed any more.
        self.plan.levels = 0;
        while !self.standing.is_empty() {
            match tokio::time::timeout_at(end, self.events.next()).await {
                Ok(event) => self.take_in(event)?,
                Err(_) => {
                    let open: Vec<_> = self.standing.keys().map(ToString::to_string).collect();
                    return Err(gone(&format!("these orders may still be open: {}", open.join(", "))));
                }
            }
        }
        Ok(self.summary)
    }
}

fn gone(why: &str) -> Error {
    Error::new(Cause::Other, Effect::Unknown, "market making", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn plan() -> MarketMaking {
        MarketMaking {
            pair: "BASE-QUOTE".parse().unwrap(),
            levels: 2,
            amount: number("3"),
            spread: number("0.01"),
            gap: number("0.02"),
            refresh: Duration::from_secs(1),
            tolerance: number("0.001"),
            hanging: None,
            skew: None,
        }
    }

    #[test]
    fn quotes_lie_around_the_middle() {
        let quotes = plan().quotes(number("100"), number("1"), number("100"));
        let prices: Vec<_> = quotes.iter().map(|quote| (quote.side, quote.level, quote.price)).collect();
        assert_eq!(
            prices,
            [
                (Side::Buy, 0, number("99")),
                (Side::Sell, 0, number("101")),
                (Side::Buy, 1, number("97")),
                (Side::Sell, 1, number("103")),
            ]
        );
        assert!(quotes.iter().all(|quote| quote.amount == number("3")));
    }

    #[test]
    fn amounts_lean_towards_the_target() {
        let skew = Some(Skew { target: number("0.5"), range: number("0.25") });
        let amounts = |base, quote| {
            let quotes =
                MarketMaking { skew, levels: 1, ..plan() }.quotes(number("100"), number(base), number(quote));
            quotes.into_iter().map(|quote| (quote.side, quote.amount)).collect::<Vec<_>>()
        };
        // Three parts of four are in the base asset: only sales.
        assert_eq!(amounts("3", "100"), [(Side::Sell, number("6"))]);
        assert_eq!(amounts("1", "300"), [(Side::Buy, number("6"))]);
        let even = amounts("1", "100");
        assert_eq!(even, [(Side::Buy, number("3")), (Side::Sell, number("3"))]);
        // Nothing held at all leans nowhere.
        assert_eq!(amounts("0", "0"), even);
    }

    #[test]
    fn tolerance_is_a_fraction_of_the_wanted_price() {
        let plan = plan();
        assert!(plan.is_near(number("100.1"), number("100")) && plan.is_near(number("99.9"), number("100")));
        assert!(!plan.is_near(number("100.11"), number("100")));
    }
}
