//! The connector on the embedded venue, in memory: what it says of positions, collateral and payments is the ledger's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::time::Duration;

use binance_perpetual::BinancePerpetual;
use binance_perpetual::venue::BinancePerpetualFace;
use connector_core::engine::Trading;
use connector_core::event::{Event, LinkState};
use connector_core::journal::MemoryJournal;
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::position::{PositionMode, PositionSide};
use connector_core::time::Now;
use connector_core::{Cause, ClientOrderId, Connector, Credentials, Decimal, Pair};
use connector_qa::bench::{credentials, main_key};
use connector_qa::recorded::Recorded;
use connector_venue::face::Face as _;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::AccountId;
use connector_venue::venue::Venue;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    memory: Memory<Recorded>,
    id: MachineId,
    account: AccountId,
    credentials: Credentials,
    pair: Pair,
    symbol: String,
    journal: MemoryJournal,
}

impl World {
    fn new(seed: u64) -> Self {
        let face = Box::new(BinancePerpetualFace);
        let setup = face.setup(seed);
        let key = main_key(&setup).unwrap();
        let (credentials, account) = (credentials(&key), key.account);
        let market = &setup.markets[0];
        let pair = Pair::new(market.base.as_str(), market.quote.as_str()).unwrap();
        let symbol = market.symbol.to_string();
        let mut memory = Memory::new(Venue::with_setup(face, setup).unwrap(), seed);
        // Collateral moves with it, and would move on between a question and its answer.
        memory.with_venue(|venue, _| {
            let mark = venue.exchange().mark_price(&symbol).unwrap().mark_price;
            venue.exchange_mut().set_mark_price(&symbol, Some(mark)).unwrap();
        });
        let journal = MemoryJournal::new();
        let machine = machine(&credentials, &pair, &journal, memory.now());
        let id = memory.add(machine);
        let mut world = Self { memory, id, account, credentials, pair, symbol, journal };
        world.until("ready", |recorded| recorded.engine.is_ready());
        world
    }

    /// The process dies and begins again on its journal.
    fn restart(&mut self) {
        let now = self.memory.now();
        let machine = machine(&self.credentials, &self.pair, &self.journal, now);
        self.memory.replace(self.id, machine);
        self.until("ready again", |recorded| recorded.engine.is_ready());
    }

    fn until(&mut self, what: &str, done: impl Fn(&Recorded) -> bool) {
        let id = self.id;
        let limit = Duration::from_secs(240);
        let reached = self.memory.run_until(|memory| memory.machine(id).is_some_and(&done), limit);
        let machine = self.memory.machine(id).unwrap();
        let tail = &machine.events[machine.events.len().saturating_sub(8)..];
        assert!(reached, "{what}: {:?}, {tail:?}", machine.engine.missing());
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut dyn Trading, Now) -> R) -> R {
        let act = |recorded: &mut Recorded, now| recorded.turn(now, |engine| act(engine, now));
        self.memory.with(self.id, act).unwrap()
    }

    fn events(&self) -> &[Event] {
        &self.memory.machine(self.id).unwrap().events
    }

    /// Trades at the market and waits until the order has ended.
    fn trade(&mut self, order: impl FnOnce(Pair) -> NewOrder) -> ClientOrderId {
        let order = order(self.pair.clone());
        let id = self.with(|engine, now| engine.place(now, order)).unwrap();
        let wanted = id.clone();
        self.until("filled", move |recorded| {
            recorded.engine.order(&wanted).is_some_and(|order| order.state() == OrderState::Filled)
        });
        id
    }

    /// Positions, total and available collateral are the ledger's, once nothing moves.
    fn compare(&mut self) {
        self.memory.run_for(SECOND * 3);
        let (account, symbol) = (self.account, self.symbol.clone());
        let (ledger, margin) = self.memory.with_venue(|venue, _| {
            let exchange = venue.exchange();
            let open: Vec<_> = exchange
                .positions(account, Some(&symbol))
                .into_iter()
                .filter(|position| !position.amount.is_zero())
                .map(|position| (position.amount.abs().normalize(), position.entry_price.normalize()))
                .collect();
            (open, exchange.margin(account, &"USDT".into()))
        });
        let ours = self.with(|engine, _| (engine.positions(), engine.balances()));
        let open: Vec<_> = ours
            .0
            .iter()
            .map(|position| (position.amount, position.entry_price.unwrap().round_dp(10).normalize()))
            .collect();
        let rounded: Vec<_> =
            ledger.iter().map(|(amount, price)| (*amount, price.round_dp(10).normalize())).collect();
        assert_eq!(open, rounded);
        let collateral = ours.1[&"USDT".into()];
        assert_eq!(collateral.total, margin.wallet);
        // The venue writes eight decimals.
        let off = (collateral.available - margin.available).abs();
        assert!(off < number("0.0000001"), "{} and {}", collateral.available, margin.available);
    }
}

fn machine(credentials: &Credentials, pair: &Pair, journal: &MemoryJournal, now: Now) -> Recorded {
    let journal = journal.reopened();
    let mut engine = Connector::builder(BinancePerpetual)
        .credentials(credentials.clone())
        .pairs([pair.clone()])
        .journal(journal.clone())
        .engine(now)
        .unwrap();
    engine.start(now);
    Recorded::new(Box::new(engine), journal, Duration::from_millis(2))
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn positions_and_collateral_are_the_ledger_s() {
    let mut world = World::new(1);
    let pair = world.pair.clone();
    assert_eq!(world.with(|engine, _| engine.position_mode()), Some(PositionMode::OneWay));
    assert!(world.with(|engine, _| engine.margin(&pair)).leverage.is_some());
    assert!(!world.with(|engine, _| engine.brackets(&pair)).is_empty());
    assert!(world.with(|engine, _| engine.funding(&pair)).rate.is_some());
    world.trade(|pair| NewOrder::market(pair, Side::Buy, number("0.01")));
    world.compare();
    world.trade(|pair| NewOrder::market(pair, Side::Sell, number("0.03")));
    world.compare();
    world.restart();
    world.compare();
    world.trade(|pair| NewOrder::market(pair, Side::Buy, number("0.02")).close());
    world.compare();
    assert!(world.with(|engine, _| engine.positions()).is_empty());
    let refused = world.with(|engine, now| {
        engine.place(now, NewOrder::market(pair.clone(), Side::Buy, number("0.01")).close())
    });
    assert_eq!(refused.unwrap_err().cause, Cause::Position);
    let changes = world.events().iter().filter(|event| matches!(event, Event::PositionChanged(_))).count();
    assert!(changes >= 2, "found and closed");
}

#[test]
fn settings_are_the_venue_s() {
    let mut world = World::new(2);
    let pair = world.pair.clone();
    world.with(|engine, now| engine.set_leverage(now, &pair, number("7"))).unwrap();
    world.until("leverage", |recorded| {
        recorded
            .events
            .iter()
            .any(|event| matches!(event, Event::LeverageChanged(e) if e.leverage == number("7")))
    });
    let (account, symbol) = (world.account, world.symbol.clone());
    let set = world.memory.with_venue(|venue, _| venue.exchange().market_settings(account, &symbol).unwrap());
    assert_eq!(set.leverage, number("7"));
    world.with(|engine, now| engine.set_position_mode(now, PositionMode::Hedge)).unwrap();
    world.until("hedge", |recorded| {
        recorded
            .events
            .iter()
            .any(|event| matches!(event, Event::PositionModeChanged(e) if e.mode == PositionMode::Hedge))
            && recorded.engine.is_ready()
    });
    world.trade(|pair| NewOrder::market(pair, Side::Buy, number("0.02")).open());
    world.trade(|pair| NewOrder::market(pair, Side::Sell, number("0.01")).open());
    world.compare();
    let sides: Vec<_> =
        world.with(|engine, _| engine.positions()).iter().map(|position| position.side).collect();
    assert_eq!(sides, [PositionSide::Long, PositionSide::Short]);
    world.restart();
    world.compare();
    world.trade(|pair| NewOrder::market(pair, Side::Sell, number("0.02")).close());
    world.compare();
    assert!(world.with(|engine, now| engine.set_position_mode(now, PositionMode::OneWay)).is_err());
}

#[test]
fn funding_is_paid_once_each() {
    let mut world = World::new(3);
    world.trade(|pair| NewOrder::market(pair, Side::Buy, number("0.01")));
    let symbol = world.symbol.clone();
    for settlement in 1..=3_usize {
        world.memory.with_venue(|venue, _| {
            let exchange = venue.exchange_mut();
            exchange.set_funding_rate(&symbol, Some(number("0.001"))).unwrap();
            exchange.settle_funding(&symbol).unwrap();
        });
        if settlement == 2 {
            world.restart();
        }
        world.memory.run_for(SECOND * 90);
        world.compare();
        let journal = world.journal.clone();
        let stored = connector_core::journal::Journal::history(&journal)
            .unwrap()
            .funding(&connector_core::journal::Filter::default())
            .unwrap();
        assert_eq!(stored.len(), settlement);
    }
    let told = world.events().iter().filter(|event| matches!(event, Event::FundingPaid(_))).count();
    assert_eq!(told, 2, "the first was told before the restart");
}

#[test]
fn hours_go_by_without_a_word() {
    let mut world = World::new(4);
    world.trade(|pair| NewOrder::market(pair, Side::Buy, number("0.01")));
    // Longer than the key of the private stream lives by itself.
    world.memory.run_for(SECOND * 4_000);
    world.compare();
    let trouble = |event: &&Event| match event {
        Event::LinkChanged { state, .. } => *state == LinkState::Down,
        event => matches!(event, Event::Problem { .. }),
    };
    let problems: Vec<_> = world.events().iter().filter(trouble).collect();
    assert!(problems.is_empty(), "{problems:?}");
}
