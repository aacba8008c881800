//! Killed at random moments and started again from its journal, under virtual time, from seeds. `SEED=n` runs one again.
//!
//! The venue's ledger and the journal are the judges: whatever the moment, no order of ours is unknown to the journal, no fill
//! is missing from it, and nothing that was stored is told again as new.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connector_core::engine::Trading;
use connector_core::event::Event;
use connector_core::journal::{Durability, Filter, History, MemoryJournal, Record, Status, TradeRow};
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::time::Now;
use connector_core::{Cause, ClientOrderId, Connector, Credentials, Decimal, Effect, Error, Pair};
use connector_qa::bench::{credentials, main_key};
use connector_qa::dice::Dice;
use connector_qa::recorded::Recorded;
use connector_venue::face::Face;
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::{AccountId, Execution, Order};
use connector_venue::venue::Venue;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

/// What names a fill: order and trade.
type FillKey = (String, String);

struct World {
    memory: Memory<Recorded>,
    id: MachineId,
    account: AccountId,
    credentials: Credentials,
    pair: Pair,
    journal: MemoryJournal,
    durability: Durability,
    dice: Dice,
    /// Every id given out.
    placed: BTreeSet<ClientOrderId>,
    /// What the journal had at the last kill.
    stored_fills: BTreeSet<FillKey>,
    stored_ends: BTreeSet<ClientOrderId>,
    told_fills: BTreeSet<FillKey>,
    told_ends: BTreeSet<ClientOrderId>,
}

fn machine(
    credentials: &Credentials,
    pair: &Pair,
    journal: &MemoryJournal,
    durability: Durability,
    lag: Duration,
    now: Now,
) -> Recorded {
    // A journal of its own on the same contents, as if the file were opened again.
    let journal = journal.reopened();
    let mut engine = Connector::builder(SpotBinance)
        .credentials(credentials.clone())
        .pairs([pair.clone()])
        .journal(journal.clone())
        .durability(durability)
        .engine(now)
        .unwrap();
    engine.start(now);
    Recorded::new(Box::new(engine), journal, lag)
}

impl World {
    fn new(seed: u64, durability: Durability) -> Self {
        let face = Box::new(BinanceFace);
        let setup = face.setup(seed);
        let key = main_key(&setup).unwrap();
        let (credentials, account) = (credentials(&key), key.account);
        let market = &setup.markets[0];
        let pair = Pair::new(market.base.as_str(), market.quote.as_str()).unwrap();
        let mut memory = Memory::new(Venue::with_setup(face, setup).unwrap(), seed);
        let journal = MemoryJournal::new();
        let lag = Duration::from_millis(2);
        let id = memory.add(machine(&credentials, &pair, &journal, durability, lag, memory.now()));
        let mut world = Self {
            memory,
            id,
            account,
            credentials,
            pair,
            journal,
            durability,
            dice: Dice(seed),
            placed: BTreeSet::new(),
            stored_fills: BTreeSet::new(),
            stored_ends: BTreeSet::new(),
            told_fills: BTreeSet::new(),
            told_ends: BTreeSet::new(),
        };
        world.until("ready", |recorded| recorded.engine.is_ready());
        world
    }

    fn until(&mut self, what: &str, done: impl Fn(&Recorded) -> bool) {
        let id = self.id;
        let limit = Duration::from_secs(240);
        let reached = self.memory.run_until(|memory| memory.machine(id).is_some_and(&done), limit);
        let machine = self.memory.machine(id).unwrap();
        let open = machine.engine.open_orders();
        let tail = &machine.events[machine.events.len().saturating_sub(8)..];
        assert!(reached, "{what}: {:?}, open {open:?}, {tail:?}", machine.engine.missing());
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut dyn Trading, Now) -> R) -> R {
        let act = |recorded: &mut Recorded, now| recorded.turn(now, |engine| act(engine, now));
        self.memory.with(self.id, act).unwrap()
    }

    fn place(&mut self) -> Option<Result<ClientOrderId, Error>> {
        let (pair, kind, size) = (self.pair.clone(), self.dice.below(10), self.dice.below(20));
        let side = if self.dice.below(2) == 0 { Side::Buy } else { Side::Sell };
        let placed = self.with(|engine, now| {
            let (book, rule) = (engine.book(&pair, 1)?, engine.rule(&pair)?);
            let (bid, ask) = (book.bids.first()?.price, book.asks.first()?.price);
            let (own, other) = if side == Side::Buy { (bid, ask) } else { (ask, bid) };
            let amount = rule.min_notional.unwrap_or(Decimal::TEN) * Decimal::from(3 + size) / own;
            let order = match kind {
                0..5 => NewOrder::limit(pair, side, amount, own),
                5..8 => NewOrder::limit(pair, side, amount, other),
                _ => NewOrder::market(pair, side, amount),
            };
            Some(engine.place(now, order))
        })?;
        if let Ok(id) = &placed {
            assert!(self.placed.insert(id.clone()), "client order id {id} was given out twice");
        }
        Some(placed)
    }

    fn step(&mut self) {
        match self.dice.below(10) {
            0..6 => drop(self.place()),
            6..8 => {
                let open = self.with(|engine, _| engine.open_orders());
                let open: Vec<_> = open.iter().map(|order| order.client_order_id().clone()).collect();
                if !open.is_empty() {
                    let id = open[self.dice.below(open.len() as u64) as usize].clone();
                    self.with(|engine, now| engine.cancel(now, &id)).unwrap();
                }
            }
            8 => {
                let rule = r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":1}}"#;
                let rule = serde_json::from_str(rule).unwrap();
                self.memory.with_venue(|venue, now| venue.arm(now, rule));
            }
            _ => {}
        }
        let wait = Duration::from_micros(self.dice.below(200_000));
        self.memory.run_for(wait);
    }

    /// Takes in what a life told, and holds it against what was stored when that life began.
    fn hear(&mut self, events: &[Event]) {
        let mut fills = BTreeSet::new();
        let mut ends = BTreeSet::new();
        for event in events {
            let Some(order) = event.order() else { continue };
            let id = order.client_order_id.clone();
            if let Event::OrderFilled(fill) = event {
                let key = (id.to_string(), fill.trade_id.to_string());
                assert!(!self.stored_fills.contains(&key), "told again although stored: {event:?}");
                assert!(fills.insert(key), "told twice: {event:?}");
            }
            if event.is_terminal() {
                assert!(!self.stored_ends.contains(&id), "ended again although stored: {event:?}");
                assert!(ends.insert(id), "ended twice: {event:?}");
            }
        }
        self.told_fills.extend(fills);
        self.told_ends.extend(ends);
        self.stored_fills = self.trades().iter().map(key).collect();
        self.stored_ends = self.ends().into_keys().collect();
    }

    fn trades(&self) -> Vec<TradeRow> {
        self.journal.trades(&Filter::default()).unwrap()
    }

    fn ends(&self) -> BTreeMap<ClientOrderId, Status> {
        let orders = self.journal.orders(&Filter::default()).unwrap();
        let ended = orders.into_iter().filter(|order| order.status.is_terminal());
        ended.map(|order| (order.client_order_id, order.status)).collect()
    }

    fn kill(&mut self) {
        let lag = Duration::from_micros(200 + self.dice.below(30_000));
        let now = self.memory.now();
        // The dead hands over what it told before the new one reads the journal.
        let next = machine(&self.credentials, &self.pair, &self.journal, self.durability, lag, now);
        let dead = self.memory.replace(self.id, next).unwrap();
        self.hear(&dead.events);
    }

    fn settle(&mut self) {
        self.memory.with_venue(|venue, _| venue.disarm_all());
        self.until("ready again", |recorded| recorded.engine.is_ready());
        self.with(|engine, now| engine.cancel_all(now));
        let done = |recorded: &Recorded| {
            recorded.engine.open_orders().is_empty() && recorded.engine.unrecorded() == 0
        };
        self.until("everything ended and stored", done);
        self.memory.run_for(Duration::from_secs(5));
        let machine = self.memory.machine(self.id).unwrap();
        let events = machine.events.clone();
        self.hear(&events);
    }

    fn judge(&mut self) {
        let account = self.account;
        let (orders, fills): (Vec<Order>, Vec<Execution>) = self.memory.with_venue(|venue, _| {
            let (exchange, all) = (venue.exchange(), HistoryQuery::default());
            (
                exchange.all_orders(account, &all).into_iter().cloned().collect(),
                exchange.fills(account, &all).into_iter().cloned().collect(),
            )
        });
        let known = self.ends();
        for order in &orders {
            let id = ClientOrderId::new(&order.client_id);
            let Some(status) = known.get(&id) else {
                // Without waiting for the intent a kill can lose it, and only then; what was left open is found again.
                assert_eq!(self.durability, Durability::Behind, "the journal does not know {order:?}");
                assert!(order.state.is_terminal(), "left open: {order:?}");
                continue;
            };
            let expected = match order.state {
                OrderState::Filled => Status::Completed,
                OrderState::Expired => Status::Expired,
                _ => Status::Cancelled,
            };
            assert_eq!(*status, expected, "{order:?}");
            let mut theirs: Vec<_> = fills
                .iter()
                .filter(|fill| fill.order_id == order.id)
                .map(|fill| (fill.trade_id.to_string(), fill.amount, fill.price))
                .collect();
            let mut ours: Vec<_> = self
                .trades()
                .into_iter()
                .filter(|trade| trade.row.client_order_id == id)
                .map(|trade| (trade.row.trade_id.to_string(), trade.row.amount, trade.row.price))
                .collect();
            theirs.sort();
            ours.sort();
            assert_eq!(ours, theirs, "{order:?}");
        }
        for (id, status) in &known {
            let there = orders.iter().any(|order| order.client_id == id.as_str());
            assert_eq!(*status == Status::Failed, !there, "{id} is recorded as {status:?}");
            assert!(self.told_ends.contains(id), "the end of {id} was never told");
        }
        for trade in self.trades() {
            assert!(trade.row.fee.is_some(), "a fee was never learnt: {trade:?}");
            assert!(self.told_fills.contains(&key(&trade)), "never told: {trade:?}");
        }
    }
}

fn key(trade: &TradeRow) -> FillKey {
    (trade.row.client_order_id.to_string(), trade.row.trade_id.to_string())
}

fn run(seed: u64, durability: Durability) -> (usize, usize) {
    let mut world = World::new(seed, durability);
    for _ in 0..4 {
        for _ in 0..1 + world.dice.below(12) {
            world.step();
        }
        // Within the milliseconds in which an order, its answer and their records are under way.
        let moment = Duration::from_micros(world.dice.below(30_000));
        drop(world.place());
        world.memory.run_for(moment);
        world.kill();
        if world.dice.below(3) > 0 {
            world.until("ready after a restart", |recorded| recorded.engine.is_ready());
        }
    }
    world.settle();
    world.judge();
    (world.placed.len(), world.told_fills.len())
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    number("SEED").map_or_else(|| (1..=number("SEEDS").unwrap_or(16)).collect(), |seed| vec![seed])
}

#[test]
fn a_kill_at_any_moment_loses_no_order_and_no_fill() {
    let (mut orders, mut fills) = (0, 0);
    for seed in seeds() {
        println!("seed {seed}");
        let (more_orders, more_fills) = run(seed, Durability::Intent);
        orders += more_orders;
        fills += more_fills;
    }
    assert!(orders > 20 && fills > 10, "{orders} orders and {fills} fills prove nothing");
}

#[test]
fn a_journal_that_follows_behind_is_right_about_what_it_knows() {
    for seed in seeds() {
        println!("seed {seed}");
        run(seed, Durability::Behind);
    }
}

#[test]
fn a_full_disk_stops_new_orders_and_not_cancels() {
    let mut world = World::new(3, Durability::Intent);
    let resting = |engine: &mut dyn Trading, now, pair: Pair| {
        let bid = engine.book(&pair, 1).unwrap().bids[0].price;
        let price = bid * Decimal::new(97, 2);
        engine.place(now, NewOrder::limit(pair, Side::Buy, Decimal::from(50) / price, price))
    };
    let pair = world.pair.clone();
    let first = world.with(|engine, now| resting(engine, now, pair.clone())).unwrap();
    let is_open = |id: ClientOrderId| {
        move |recorded: &Recorded| {
            recorded.engine.order(&id).is_some_and(|order| order.state() == OrderState::Open)
        }
    };
    world.until("the first order rests", is_open(first.clone()));

    world.journal.set_full(true);
    let second = world.with(|engine, now| resting(engine, now, pair.clone())).unwrap();
    let failed = second.clone();
    world.until("the second is given up", move |recorded| {
        recorded.engine.order(&failed).is_some_and(|order| order.state() == OrderState::Failed)
    });
    let third = world.with(|engine, now| resting(engine, now, pair.clone())).unwrap_err();
    assert_eq!((third.cause, third.effect), (Cause::Storage, Effect::NotSent));
    world.with(|engine, now| engine.cancel(now, &first)).unwrap();
    world.until("cancelled with the disk full", |recorded| recorded.engine.open_orders().is_empty());
    world.memory.run_for(Duration::from_secs(20));
    let problems = |world: &World| {
        let events = &world.memory.machine(world.id).unwrap().events;
        let storage =
            |event: &&Event| matches!(event, Event::Problem { error, .. } if error.cause == Cause::Storage);
        events.iter().filter(storage).count()
    };
    assert_eq!(problems(&world), 1, "told once, not at every attempt");
    let known =
        |id: &ClientOrderId, orders: &[Order]| orders.iter().any(|order| order.client_id == id.as_str());
    let account = world.account;
    let orders: Vec<Order> = world.memory.with_venue(|venue, _| {
        venue.exchange().all_orders(account, &HistoryQuery::default()).into_iter().cloned().collect()
    });
    assert!(known(&first, &orders) && !known(&second, &orders));

    world.journal.set_full(false);
    world.until("everything stored after all", |recorded| recorded.engine.unrecorded() == 0);
    let fourth = world.with(|engine, now| resting(engine, now, pair.clone())).unwrap();
    world.until("a new order rests", is_open(fourth));
    let ends = world.ends();
    assert_eq!((ends[&first], ends[&second]), (Status::Cancelled, Status::Failed));
}

#[test]
fn a_wish_to_cancel_survives() {
    let mut world = World::new(5, Durability::Intent);
    let pair = world.pair.clone();
    let id = world.with(|engine, now| {
        let bid = engine.book(&pair, 1).unwrap().bids[0].price;
        let price = bid * Decimal::new(97, 2);
        engine.place(now, NewOrder::limit(pair, Side::Buy, Decimal::from(50) / price, price)).unwrap()
    });
    let open = id.clone();
    world.until("rests", move |recorded| {
        recorded.engine.order(&open).is_some_and(|order| order.state() == OrderState::Open)
    });
    // The request never arrives, and the process dies once the wish is stored.
    let rule = r#"{"fault":"net.drop_request","match":{"row":"cancel"},"trigger":{"count":1}}"#;
    world.memory.with_venue(|venue, now| venue.arm(now, serde_json::from_str(rule).unwrap()));
    world.with(|engine, now| engine.cancel(now, &id)).unwrap();
    world.until("the wish is stored", |recorded| recorded.engine.unrecorded() == 0);
    world.kill();
    world.until("ready", |recorded| recorded.engine.is_ready());
    world.until("cancelled", |recorded| recorded.engine.open_orders().is_empty());
    let events = &world.memory.machine(world.id).unwrap().events;
    let told: Vec<_> = events.iter().filter(|event| event.order().is_some()).collect();
    assert!(matches!(told[..], [Event::OrderCancelled(end)] if end.requested), "{told:?}");
}

#[test]
fn intents_come_first() {
    let mut world = World::new(9, Durability::Intent);
    let placed = world.place().unwrap().unwrap();
    let machine = world.memory.machine(world.id).unwrap();
    let queued: Vec<_> = machine.under_way().collect();
    assert!(matches!(queued[..], [Record::Intent(intent)] if intent.client_order_id == placed));
    let sent = |world: &mut World| {
        world.memory.with_venue(|venue, _| venue.requests().filter(|seen| seen.row == Some("place")).count())
    };
    assert_eq!(sent(&mut world), 0);
    world.until("stored", |recorded| recorded.engine.unrecorded() == 0);
    let is_sent =
        |recorded: &Recorded| recorded.engine.order(&placed).is_some_and(|order| order.is_accepted());
    world.until("accepted", is_sent);
    assert_eq!(sent(&mut world), 1);
}
