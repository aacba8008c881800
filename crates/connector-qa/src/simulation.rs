//! A whole connector against the embedded venue in memory, under virtual time, from one seed.
//!
//! The seed decides everything: the market, latencies, what the user does, and what goes wrong. Afterwards the venue's ledger is
//! the judge: the connector must know exactly the orders, fills and balances that the venue holds, and must have told of each
//! once and in a legal order. Same seed and build, same trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use connector_core::dialect::Dialect;
use connector_core::engine::{Engine, FeedState, Trading};
use connector_core::event::Event;
use connector_core::order::{NewOrder, OrderState, OrderType, Side, TimeInForce};
use connector_core::{ClientOrderId, Connector, Credentials, Decimal, OrderEntry, Pair};
use connector_venue::face::Face;
use connector_venue::faults::FaultRule;
use connector_venue::keys::KeySecret;
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::{AccountId, Execution, Order};
use connector_venue::venue::Venue;
use smol_str::SmolStr;

use crate::dice::Dice;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Orders placed.
    pub orders: usize,
    /// Fills booked.
    pub fills: usize,
    /// Faults armed.
    pub faults: usize,
    /// Virtual time that passed.
    pub simulated: Duration,
    /// Hash of everything that went over the wires; equal for equal seeds.
    pub trace: u64,
}

/// What a run showed to be wrong.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The invariant, by its id, or the stage that was not reached.
    pub what: &'static str,
    /// How.
    pub how: String,
    /// The order's events, or the last ones of the run.
    pub events: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.how)?;
        self.events.iter().try_for_each(|event| write!(f, "\n    {event}"))
    }
}

fn broken(what: &'static str, how: impl Into<String>) -> Broken {
    Broken { what, how: how.into(), events: Vec::new() }
}

/// How long a run may take to become ready, and to agree with the venue after the last fault.
const CONVERGE: Duration = Duration::from_secs(180);

/// Faults a run draws from: each strikes a few times at most, so that every run can converge.
const FAULTS: &[&str] = &[
    r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_reply","match":{"row":"cancel"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.drop_request","match":{"row":"cancel"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.reset","point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.reset","point":"before_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":502,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":503,"point":"before_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"order"},"trigger":{"count":4}}"#,
    r#"{"fault":"http.html_body","match":{"row":"open_orders"},"trigger":{"count":2}}"#,
    r#"{"fault":"http.truncated","match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.empty_200","point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#,
    r#"{"fault":"http.status","code":500,"match":{"row":"book"},"trigger":{"count":3}}"#,
    r#"{"fault":"net.delay","ms":3000,"match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"net.delay","ms":4000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.close","code":1006,"match":{"link":"user"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.close","code":1001,"match":{"link":"market"},"trigger":{"count":1}}"#,
    r#"{"fault":"net.half_open","match":{"link":"user"},"trigger":{"count":1}}"#,
    r#"{"fault":"ws.dup","trigger":{"probability_ppm":200000,"duration_ms":4000}}"#,
    r#"{"fault":"ws.drop","match":{"link":"market"},"trigger":{"count":3}}"#,
    r#"{"fault":"ws.reorder","window":3,"trigger":{"duration_ms":3000}}"#,
    r#"{"fault":"ws.delay","ms":2500,"match":{"link":"user"},"trigger":{"duration_ms":5000}}"#,
    r#"{"fault":"ws.corrupt","match":{"link":"market"},"trigger":{"count":2}}"#,
    r#"{"fault":"ws.mute","match":{"link":"user"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"ws.mute","match":{"link":"market"},"trigger":{"duration_ms":60000}}"#,
    r#"{"fault":"limit.retry_after","value":"2","match":{"row":"place"},"trigger":{"count":1}}"#,
];

/// Runs `steps` of user behaviour and faults, then lets things settle and compares with the venue's ledger.
///
/// # Errors
/// The first invariant found broken, with the events around it.
pub fn run<D: Dialect>(dialect: D, face: Box<dyn Face>, seed: u64, steps: u32) -> Result<Outcome, Broken> {
    let mut world = World::new(dialect, face, seed)?;
    world.until("ready", |engine| engine.is_ready())?;
    for _ in 0..steps {
        world.step();
    }
    world.settle()?;
    world.judge()
}

struct World<D: Dialect> {
    memory: Memory<Engine<D>>,
    id: MachineId,
    account: AccountId,
    symbols: BTreeMap<Pair, SmolStr>,
    dice: Dice,
    events: Vec<Event>,
    orders: Vec<ClientOrderId>,
    faults: usize,
}

impl<D: Dialect> World<D> {
    fn new(dialect: D, face: Box<dyn Face>, seed: u64) -> Result<Self, Broken> {
        let setup = face.setup(seed);
        let key = setup.keys.iter().find_map(|key| match &key.secret {
            KeySecret::HmacSha256(secret) if key.may_trade => {
                Some((Credentials::new(key.key.as_str(), secret.expose()), key.account))
            }
            _ => None,
        });
        let (credentials, account) =
            key.ok_or_else(|| broken("setup", "the face gives no key that may trade"))?;
        let symbols: BTreeMap<Pair, SmolStr> = setup
            .markets
            .iter()
            .filter_map(|market| {
                Some((Pair::new(market.base.as_str(), market.quote.as_str())?, market.symbol.clone()))
            })
            .take(2)
            .collect();
        let venue = Venue::with_setup(face, setup).map_err(|error| broken("setup", error.to_string()))?;
        let mut memory = Memory::new(venue, seed);
        let entry = match (D::CALLS, seed % 2) {
            (Some(_), 0) => OrderEntry::Stream,
            _ => OrderEntry::Rest,
        };
        let engine = Connector::builder(dialect)
            .credentials(credentials)
            .pairs(symbols.keys().cloned())
            .instance(1)
            .order_entry(entry)
            .engine(memory.now())
            .map_err(|error| broken("setup", error.to_string()))?;
        let id = memory.add(engine);
        memory.with(id, |engine, now| engine.start(now));
        let dice = Dice(seed ^ 0x5EED);
        Ok(Self { memory, id, account, symbols, dice, events: Vec::new(), orders: Vec::new(), faults: 0 })
    }

    fn collect(&mut self) {
        let events = &mut self.events;
        self.memory.with(self.id, |engine, _| {
            while let Some(event) = engine.event() {
                events.push(event);
            }
        });
    }

    fn run_for(&mut self, time: Duration) {
        self.memory.run_for(time);
        self.collect();
    }

    fn until(&mut self, what: &'static str, done: impl Fn(&Engine<D>) -> bool) -> Result<(), Broken> {
        let id = self.id;
        let reached = self.memory.run_until(|memory| memory.machine(id).is_some_and(&done), CONVERGE);
        self.collect();
        if reached {
            return Ok(());
        }
        let missing = self.memory.machine(id).map(Engine::missing).unwrap_or_default();
        let events = self.events.iter().rev().take(12).rev().map(|event| format!("{event:?}")).collect();
        Err(Broken {
            what,
            how: format!("not reached in {} s; missing: {missing:?}", CONVERGE.as_secs()),
            events,
        })
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..41 => self.place(),
            41..56 => self.cancel(),
            56..64 => self.amend(),
            64..65 => self.turn_away(),
            65..68 => drop(self.memory.with(self.id, |engine, now| engine.cancel_all(now))),
            68..74 => self.arm(),
            _ => {}
        }
        let wait = Duration::from_millis(5 + self.dice.below(800));
        self.run_for(wait);
    }

    fn arm(&mut self) {
        let rule = self.dice.pick(FAULTS).and_then(|text| serde_json::from_str::<FaultRule>(text).ok());
        if let Some(rule) = rule {
            self.faults += 1;
            self.memory.with_venue(|venue, now| venue.arm(now, rule));
        }
    }

    fn place(&mut self) {
        let pairs: Vec<Pair> = self.symbols.keys().cloned().collect();
        let Some(pair) = self.dice.pick(&pairs).cloned() else { return };
        let (kind, off, size) = (self.dice.below(100), self.dice.below(20), self.dice.below(20));
        let side = if self.dice.below(2) == 0 { Side::Buy } else { Side::Sell };
        let placed = self.memory.with(self.id, |engine, now| {
            let order = draw_order(engine, pair, side, kind, off, size)?;
            engine.place(now, order).ok()
        });
        self.orders.extend(placed.flatten());
    }

    fn cancel(&mut self) {
        let open: Vec<ClientOrderId> = self
            .memory
            .machine(self.id)
            .map(|engine| engine.open_orders().iter().map(|order| order.client_order_id().clone()).collect())
            .unwrap_or_default();
        if let Some(id) = self.dice.pick(&open) {
            self.memory.with(self.id, |engine, now| engine.cancel(now, id));
        }
    }

    fn amend(&mut self) {
        let open = self.memory.machine(self.id).map(Trading::open_orders).unwrap_or_default();
        let Some(order) = self.dice.pick(&open) else { return };
        let (id, sent) = (order.client_order_id().clone(), order.order().clone());
        let off = Decimal::new(9_900 + i64::try_from(self.dice.below(200)).unwrap_or_default(), 4);
        let size = Decimal::new(50 + i64::try_from(self.dice.below(100)).unwrap_or_default(), 2);
        let (price, amount) = match self.dice.below(3) {
            0 => (sent.price.map(|price| price * off), None),
            1 => (None, Some(sent.amount * size)),
            _ => (sent.price.map(|price| price * off), Some(sent.amount * size)),
        };
        let amended = self.memory.with(self.id, |engine, now| engine.amend(now, &id, price, amount).ok());
        self.orders.extend(amended.flatten().filter(|new| *new != id));
    }

    /// Ceases to follow a pair, and follows it again: at once or after a while.
    fn turn_away(&mut self) {
        let pairs: Vec<Pair> = self.symbols.keys().cloned().collect();
        let Some(pair) = self.dice.pick(&pairs).cloned() else { return };
        self.memory.with(self.id, |engine, now| engine.unfollow(now, &pair));
        let wait = self.dice.below(2) * self.dice.below(3_000);
        self.run_for(Duration::from_millis(wait));
        self.memory.with(self.id, |engine, now| engine.follow(now, &pair).ok());
    }

    fn settle(&mut self) -> Result<(), Broken> {
        self.memory.with_venue(|venue, _| venue.disarm_all());
        self.until("ready again (I-16)", Trading::is_ready)?;
        self.memory.with(self.id, |engine, now| engine.cancel_all(now));
        self.until("no open orders (I-16)", |engine| engine.open_orders().is_empty())?;
        // The audit of balances and open orders comes by at least once.
        self.run_for(Duration::from_secs(130));
        self.until("ready at the end (I-16)", Trading::is_ready)
    }

    fn judge(&mut self) -> Result<Outcome, Broken> {
        let venue = self.memory.with_venue(|venue, _| {
            let exchange = venue.exchange();
            let fills: Vec<Execution> =
                exchange.fills(self.account, &HistoryQuery::default()).into_iter().cloned().collect();
            let orders: Vec<Order> =
                exchange.all_orders(self.account, &HistoryQuery::default()).into_iter().cloned().collect();
            (fills, orders, exchange.balances(self.account), exchange.limits().violations())
        });
        let (fills, orders, balances, violations) = venue;
        for id in &self.orders {
            self.judge_order(id, &orders, &fills)?;
        }
        let known = self.memory.machine(self.id).map(Trading::balances).unwrap_or_default();
        for (asset, balance) in balances {
            let ours = known.get(&asset).copied().unwrap_or_default();
            if ours.total != balance.free + balance.locked || ours.available != balance.free {
                return Err(broken("I-11", format!("{asset}: connector {ours:?}, venue {balance:?}")));
            }
        }
        if violations > 0 {
            return Err(broken("I-09", format!("the venue counted {violations} violations")));
        }
        self.judge_books()?;
        Ok(Outcome {
            orders: self.orders.len(),
            fills: fills.len(),
            faults: self.faults,
            simulated: self.memory.now().mono.since(connector_core::time::Mono(0)),
            trace: self.memory.trace_hash(),
        })
    }

    /// I-01 to I-05 for one order.
    fn judge_order(&self, id: &ClientOrderId, orders: &[Order], fills: &[Execution]) -> Result<(), Broken> {
        let events: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| event.order().is_some_and(|order| order.client_order_id == *id))
            .collect();
        let fail = |what, how: String| {
            let events = events.iter().map(|event| format!("{event:?}")).collect();
            Err(Broken { what, how: format!("order {id}: {how}"), events })
        };
        let at_venue: Vec<&Order> = orders.iter().filter(|order| order.client_id == id.as_str()).collect();
        if at_venue.len() > 1 {
            return fail("I-06", format!("accepted {} times", at_venue.len()));
        }
        let terminal = events.iter().filter(|event| event.is_terminal()).count();
        if terminal != 1 {
            return fail("I-03", format!("{terminal} terminal events"));
        }
        let created = events.iter().position(|event| matches!(event, Event::OrderCreated(_)));
        let failed = events.iter().any(|event| matches!(event, Event::OrderFailed(_)));
        let Some(order) = at_venue.first() else {
            return if failed {
                Ok(())
            } else {
                fail("I-03", "the venue never had it, yet it did not fail".into())
            };
        };
        if failed {
            return fail("I-04", format!("reported failed, but the venue has it as {:?}", order.state));
        }
        if created.is_none() || events.iter().take(created.unwrap_or(0)).any(|event| event.is_terminal()) {
            return fail("I-03", "not created before anything else".into());
        }
        if !order.state.is_terminal() {
            return fail("I-05", "still open at the venue".into());
        }
        let theirs: BTreeSet<String> = fills
            .iter()
            .filter(|fill| fill.order_id == order.id)
            .map(|fill| fill.trade_id.to_string())
            .collect();
        let mut ours = BTreeSet::new();
        let mut executed = Decimal::ZERO;
        for event in &events {
            if let Event::OrderFilled(fill) = event {
                executed += fill.amount;
                if !ours.insert(fill.trade_id.to_string()) {
                    return fail("I-01", format!("fill {} told twice", fill.trade_id));
                }
            }
        }
        if ours != theirs {
            return fail("I-01", format!("fills told {ours:?}, venue's {theirs:?}"));
        }
        if executed != order.filled {
            return fail("I-02", format!("executed {executed}, venue's {}", order.filled));
        }
        let completed = events.iter().any(|event| matches!(event, Event::OrderCompleted(_)));
        if completed != (order.state == OrderState::Filled) {
            return fail("I-03", format!("completed: {completed}, venue's state {:?}", order.state));
        }
        Ok(())
    }

    /// I-07: a moment is found for each pair at which both books stand at the same id, and there they are equal.
    fn judge_books(&mut self) -> Result<(), Broken> {
        for (pair, symbol) in self.symbols.clone() {
            let mut compared = false;
            for _ in 0..200 {
                let ours = self.memory.machine(self.id).and_then(|engine| engine.book(&pair, 20));
                let theirs = self.memory.with_venue(|venue, _| venue.exchange().depth(&symbol, 20));
                if let (Some(ours), Some(theirs)) = (ours, theirs)
                    && ours.state == FeedState::Live
                    && ours.last_id == Some(theirs.last_id)
                {
                    if ours.bids != theirs.bids || ours.asks != theirs.asks {
                        return Err(broken(
                            "I-07",
                            format!("{pair} at {}: {ours:?} {theirs:?}", theirs.last_id),
                        ));
                    }
                    compared = true;
                    break;
                }
                self.run_for(Duration::from_millis(7));
            }
            if !compared {
                return Err(broken("I-07", format!("{pair}: the books never stood at the same id")));
            }
        }
        Ok(())
    }
}

/// An order near the touch: resting, crossing, immediate, or at market.
fn draw_order<D: Dialect>(
    engine: &Engine<D>,
    pair: Pair,
    side: Side,
    kind: u64,
    off: u64,
    size: u64,
) -> Option<NewOrder> {
    let book = engine.book(&pair, 1)?;
    let rule = engine.rule(&pair)?;
    let (bid, ask) = (book.bids.first()?.price, book.asks.first()?.price);
    let tick = rule.price_step?;
    let (own, other) = match side {
        Side::Buy => (bid, ask),
        Side::Sell => (ask, bid),
    };
    let away = |price: Decimal, ticks: u64| match side {
        Side::Buy => price - tick * Decimal::from(ticks),
        Side::Sell => price + tick * Decimal::from(ticks),
    };
    let notional = rule.min_notional.unwrap_or(Decimal::TEN) * Decimal::from(2 + size);
    let amount = notional / own;
    Some(match kind {
        0..35 => NewOrder::limit(pair, side, amount, away(own, off / 4)),
        35..55 => NewOrder::limit_maker(pair, side, amount, away(own, off / 4)),
        55..75 => NewOrder::limit(pair, side, amount, other),
        75..85 => NewOrder { order_type: OrderType::Limit, ..NewOrder::limit(pair, side, amount, other) }
            .time_in_force(TimeInForce::Ioc),
        85..92 => NewOrder::limit(pair, side, amount, other).time_in_force(TimeInForce::Fok),
        _ => NewOrder::market(pair, side, amount),
    })
}
