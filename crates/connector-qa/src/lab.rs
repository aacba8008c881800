//! A venue of a row's own in memory, and an engine on it, under virtual time: for what takes minutes, and for kills.

use std::rc::Rc;
use std::time::Duration;

use connector_core::dialect::Spec;
use connector_core::engine::Trading;
use connector_core::event::Event;
use connector_core::journal::MemoryJournal;
use connector_core::order::NewOrder;
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::{ClientOrderId, Decimal, Error, Pair};
use connector_venue::exchange::Exchange;
use connector_venue::faults::FaultRule;
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::{AccountId, Amount, Execution, Order, Submit};
use connector_venue::setup::Setup;
use connector_venue::venue::Venue;

use crate::bench::{Failure, Ground, Open, Plan, credentials, ensure, furnish, grounds, main_key, of};
use crate::holdings;
use crate::kit::Kit;
use crate::recorded::Recorded;
use crate::report::Detail;
use crate::story::{Armed, Told, story};

/// Longest wait, in virtual time, for something that has no time of its own.
pub const LONG: Duration = Duration::from_secs(180);

/// A venue in memory with one engine on it.
pub struct Lab {
    /// Markets that trade, the account being funded in both their assets.
    pub grounds: Vec<Ground>,
    /// What the journal holds.
    pub journal: MemoryJournal,
    memory: Memory<Recorded>,
    id: MachineId,
    account: AccountId,
    opener: Rc<dyn Open>,
    plan: Plan,
    armed: Vec<Armed>,
    /// What dead engines had told, and when they were killed.
    dead: Vec<(Vec<Event>, UnixNanos)>,
}

impl Lab {
    /// A venue with an engine that follows the first `pairs` markets, its clock this far ahead, started and not yet ready. The
    /// markets move only when told to, unless `lively`.
    ///
    /// # Errors
    /// The face gives nothing to trade with.
    pub fn new(kit: &Kit, pairs: usize, lively: bool, clock_ns: i64) -> Result<Self, Failure> {
        Self::prepare(kit, pairs, lively, clock_ns, |_| {})
    }

    /// The same with a venue set up otherwise.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn prepare(
        kit: &Kit,
        pairs: usize,
        lively: bool,
        clock_ns: i64,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Self, Failure> {
        let face = (kit.face)();
        let mut setup = face.setup(kit.seed);
        change(&mut setup);
        if !lively {
            for market in &mut setup.markets {
                market.live = None;
            }
        }
        let key =
            main_key(&setup).ok_or_else(|| Failure::new("the venue's setup has no key that may trade"))?;
        let grounds = grounds(&setup, key.account);
        ensure(grounds.len() >= pairs, || "the venue's setup has too few markets".to_owned())?;
        let mut memory = Memory::new(Venue::with_setup(face, setup).map_err(Failure::new)?, kit.seed);
        memory.with_venue(holdings::still_marks)?;
        if !lively {
            memory.with_venue(|venue, now| furnish(venue, now, &grounds))?;
        }
        let plan = Plan {
            credentials: credentials(&key),
            pairs: grounds.iter().take(pairs).map(|ground| ground.pair.clone()).collect(),
            prefix: String::new(),
            request_timeout: Duration::from_secs(10),
            journal: None,
            metrics: None,
        };
        let journal = MemoryJournal::new();
        let opener = Rc::clone(&kit.opener);
        let mut lab = Self {
            grounds,
            journal,
            memory,
            id: MachineId(0),
            account: key.account,
            opener,
            plan,
            armed: Vec::new(),
            dead: Vec::new(),
        };
        let machine = lab.machine(Duration::from_micros(500), lab.now(clock_ns))?;
        lab.id = lab.memory.add(machine);
        lab.memory.set_clock_offset(lab.id, clock_ns);
        lab.start();
        Ok(lab)
    }

    fn now(&self, clock_ns: i64) -> Now {
        let now = self.memory.now();
        Now { utc: now.utc.offset(clock_ns), ..now }
    }

    fn machine(&self, lag: Duration, now: Now) -> Result<Recorded, Failure> {
        let journal = self.journal.reopened();
        let engine = self.opener.recorded(self.plan.clone(), journal.clone(), now)?;
        Ok(Recorded::new(engine, journal, lag))
    }

    fn start(&mut self) {
        self.with(|engine, now| engine.start(now));
    }

    /// The first market.
    ///
    /// # Errors
    /// There is none.
    pub fn ground(&self) -> Result<Ground, Failure> {
        self.grounds.first().cloned().ok_or_else(|| Failure::new("the venue has no market"))
    }

    /// Kills the engine with all that it has not stored, and starts another on its journal, which takes `lag` to store. What
    /// the dead one had told.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn kill(&mut self, lag: Duration) -> Result<Vec<Event>, Failure> {
        self.kill_for(lag, Duration::ZERO)
    }

    /// The same, the other one being started only after some time.
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
    pub fn kill_for(&mut self, lag: Duration, time: Duration) -> Result<Vec<Event>, Failure> {
        let machine = self.machine(lag, self.memory.now())?;
        let dead = self.memory.replace(self.id, machine);
        let events = dead.map(|dead| dead.events).unwrap_or_default();
        self.dead.push((events.clone(), self.memory.now().utc));
        if !time.is_zero() {
            // What stands in for the dead one does nothing: it has not been started.
            self.memory.run_for(time);
            let machine = self.machine(lag, self.memory.now())?;
            self.memory.replace(self.id, machine);
        }
        self.start();
        Ok(events)
    }

    /// Sets how far the engine's clock is ahead.
    pub fn set_clock(&mut self, clock_ns: i64) {
        self.memory.set_clock_offset(self.id, clock_ns);
    }

    /// Does something with the engine.
    ///
    /// # Panics
    /// Never: the engine is there from the start.
    pub fn with<R>(&mut self, act: impl FnOnce(&mut dyn Trading, Now) -> R) -> R {
        let done = self.memory.with(self.id, |machine, now| machine.turn(now, |engine| act(engine, now)));
        match done {
            Some(result) => result,
            None => unreachable!("the engine is added in `new`"),
        }
    }

    /// Looks at the engine, if it is there.
    pub fn read<R>(&self, look: impl FnOnce(&dyn Trading, &[Event]) -> R) -> Option<R> {
        self.memory.machine(self.id).map(|machine| look(machine.engine.as_ref(), &machine.events))
    }

    /// What is true of the venue.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.memory.venue().face().spec()
    }

    /// The venue's time.
    #[must_use]
    pub fn utc(&self) -> UnixNanos {
        self.memory.now().utc
    }

    /// The account under test.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// What the engines killed so far had told, and when they were killed.
    #[must_use]
    pub fn dead(&self) -> &[(Vec<Event>, UnixNanos)] {
        &self.dead
    }

    /// What the engine has told so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.memory.machine(self.id).map(|machine| machine.events.as_slice()).unwrap_or_default()
    }

    /// Does something with the venue.
    pub fn venue<R>(&mut self, act: impl FnOnce(&mut Venue, Now) -> R) -> R {
        self.memory.with_venue(act)
    }

    /// Looks at the exchange.
    pub fn look<R>(&self, look: impl FnOnce(&Exchange) -> R) -> R {
        look(self.memory.venue().exchange())
    }

    /// Arms a fault.
    ///
    /// # Errors
    /// Its text is wrong, or too many are armed.
    pub fn arm(&mut self, text: &str) -> Result<(), Failure> {
        let rule: FaultRule =
            serde_json::from_str(text).map_err(|error| Failure(format!("{text}: {error}")))?;
        self.armed.push(Armed::new(self.memory.now().utc, &rule));
        let armed = self.venue(|venue, now| venue.arm(now, rule));
        armed.map(|_| ()).ok_or_else(|| Failure::new("too many faults"))
    }

    /// Disarms all faults.
    pub fn disarm(&mut self) {
        let now = self.memory.now().utc;
        self.armed.iter_mut().filter(|one| one.until.is_none()).for_each(|one| one.until = Some(now));
        self.venue(|venue, _| venue.disarm_all());
    }

    /// What happened here and there, as a timeline; with faults, from `lead` before the first of them.
    #[must_use]
    pub fn story(&self, title: impl Into<String>, lead: Duration) -> Detail {
        let lead = i64::try_from(lead.as_nanos()).unwrap_or(i64::MAX);
        let mut lives: Vec<_> =
            self.dead.iter().map(|(events, killed)| (events.as_slice(), Some(*killed))).collect();
        lives.push((self.events(), None));
        let faults = self.armed.clone();
        let told = Told {
            requests: self.memory.venue().requests().cloned().collect(),
            orders: self.orders(),
            executions: self.executions(),
            lives,
            faults,
        };
        let begin = self.memory.now().utc.offset(0_i64.saturating_sub(self.since_start()));
        let from = self.armed.first().map_or(begin, |first| first.from.offset(-lead).max(begin));
        story(title, from, self.memory.now().utc, &told)
    }

    fn since_start(&self) -> i64 {
        i64::try_from(self.mono().0).unwrap_or(i64::MAX)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.memory.run_for(time);
    }

    /// The virtual time.
    #[must_use]
    pub fn mono(&self) -> Mono {
        self.memory.now().mono
    }

    /// Lets time pass until `done`; how long it took.
    ///
    /// # Errors
    /// Not within `limit`: `what` was waited for.
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn(&dyn Trading, &[Event]) -> bool,
    ) -> Result<Duration, Failure> {
        let (start, id) = (self.mono(), self.id);
        let reached = self.memory.run_until(
            |memory| memory.machine(id).is_some_and(|machine| done(machine.engine.as_ref(), &machine.events)),
            limit,
        );
        if reached {
            return Ok(self.mono().since(start));
        }
        let missing = self.read(|engine, _| engine.missing()).unwrap_or_default();
        let tail: Vec<_> = self.events().iter().rev().take(4).map(|event| format!("{event:?}")).collect();
        Err(Failure(format!(
            "waited {} s for {what} in vain; missing {missing:?}; last {tail:?}",
            limit.as_secs()
        )))
    }

    /// Waits until everything is live.
    ///
    /// # Errors
    /// It does not come.
    pub fn ready(&mut self) -> Result<Duration, Failure> {
        self.until("readiness", LONG, |engine, _| engine.is_ready())
    }

    /// Places an order.
    ///
    /// # Errors
    /// The connector's own.
    pub fn place(&mut self, order: NewOrder) -> Result<ClientOrderId, Error> {
        self.with(|engine, now| engine.place(now, order))
    }

    /// Waits until an order is acknowledged.
    ///
    /// # Errors
    /// It is not.
    pub fn created(&mut self, id: &ClientOrderId) -> Result<(), Failure> {
        let what = format!("{id} to be created");
        self.until(&what, LONG, |engine, _| engine.order(id).is_some_and(|order| order.is_accepted()))
            .map(drop)
    }

    /// Waits for an order's terminal event.
    ///
    /// # Errors
    /// It does not come, or comes twice.
    pub fn ended(&mut self, id: &ClientOrderId) -> Result<Event, Failure> {
        let what = format!("{id} to end");
        self.until(&what, LONG, |_, events| of(events, id).any(Event::is_terminal))?;
        let ends: Vec<_> = of(self.events(), id).filter(|event| event.is_terminal()).cloned().collect();
        ensure(ends.len() == 1, || format!("{id} ended {} times", ends.len()))?;
        ends.into_iter().next().ok_or_else(|| Failure::new("no end"))
    }

    /// Places a resting order and cancels it again: that trading works.
    ///
    /// # Errors
    /// It does not.
    pub fn round(&mut self, order: NewOrder) -> Result<(), Failure> {
        let id = self.place(order)?;
        self.created(&id)?;
        self.with(|engine, now| engine.cancel(now, &id))?;
        let end = self.ended(&id)?;
        ensure(matches!(end, Event::OrderCancelled(_)), || format!("{id} ended as {end:?}"))
    }

    /// Has the house take `amount` at the market.
    ///
    /// # Errors
    /// The venue refused it.
    pub fn take(
        &mut self,
        ground: &Ground,
        side: connector_core::order::Side,
        amount: Decimal,
    ) -> Result<(), Failure> {
        let submit = Submit::market(&ground.symbol, side, Amount::Base(amount));
        let placed = self.venue(|venue, _| venue.exchange_mut().place(AccountId::HOUSE_TAKER, &submit));
        placed.map(drop).map_err(|reject| Failure(format!("the house's order was refused: {reject}")))
    }

    /// The account's orders, live and ended, by the ledger.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        let account = self.account;
        self.look(|exchange| {
            exchange.all_orders(account, &HistoryQuery::default()).into_iter().cloned().collect()
        })
    }

    /// The account's executions, by the ledger.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        let account = self.account;
        self.look(|exchange| exchange.fills(account, &HistoryQuery::default()).into_iter().cloned().collect())
    }

    /// Waits until balances and open orders are the ledger's, and checks that the venue counted no violation.
    ///
    /// # Errors
    /// What differs.
    pub fn agrees(&mut self) -> Result<(), Failure> {
        let end = self.mono().after(LONG);
        while let Err(failure) = self.compare() {
            ensure(self.mono() < end, || failure.0)?;
            self.run_for(Duration::from_millis(500));
        }
        self.violations_at_most(0)
    }

    /// Checks how many violations of its limits the venue has counted.
    ///
    /// # Errors
    /// More than `most`.
    pub fn violations_at_most(&self, most: u64) -> Result<(), Failure> {
        let violations = self.look(|exchange| exchange.limits().violations());
        ensure(violations <= most, || format!("the venue counted {violations} violations of its limits"))
    }

    /// What the engine has wrong about balances and positions now; empty if nothing.
    #[must_use]
    pub fn account_errors(&self) -> Vec<String> {
        let known = self.read(|engine, _| (engine.balances(), engine.positions()));
        let (balances, positions) = known.unwrap_or_default();
        self.look(|exchange| holdings::account_errors(&balances, &positions, exchange, self.account))
    }

    fn compare(&self) -> Result<(), Failure> {
        let wrong = self.account_errors();
        ensure(wrong.is_empty(), || wrong.join("; "))?;
        let open = self.read(|engine, _| engine.open_orders()).unwrap_or_default();
        let mut ours: Vec<_> = open.iter().map(|order| order.client_order_id().to_string()).collect();
        let live = self.orders().into_iter().filter(Order::is_live);
        let mut theirs: Vec<_> = live.map(|order| order.client_id.to_string()).collect();
        ours.sort();
        theirs.sort();
        ensure(ours == theirs, || format!("open are {ours:?}, the ledger has {theirs:?}"))
    }

    /// Whether a pair's local book shows the venue's best prices.
    #[must_use]
    pub fn book_agrees(&self, ground: &Ground) -> bool {
        let ours = self.read(|engine, _| engine.book(&ground.pair, 1)).flatten();
        let theirs = self.look(|exchange| exchange.depth(&ground.symbol, 1));
        let price = |levels: &[connector_core::message::Level]| levels.first().map(|level| level.price);
        ours.zip(theirs).is_some_and(|(ours, theirs)| {
            (price(&ours.bids), price(&ours.asks)) == (price(&theirs.bids), price(&theirs.asks))
        })
    }

    /// Whether something is followed and live.
    #[must_use]
    pub fn is_live(&self, pair: &Pair) -> bool {
        let view = self.read(|engine, _| engine.book(pair, 1)).flatten();
        view.is_some_and(|view| view.state == connector_core::engine::FeedState::Live)
    }
}
