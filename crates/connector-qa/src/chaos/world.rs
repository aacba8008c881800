//! One run: connectors and venue in one deterministic loop, a plan carried out, then peace, then judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connector_core::dialect::{Dialect, LinkRole};
use connector_core::engine::{Phase, Trading};
use connector_core::event::{Event, LinkState};
use connector_core::journal::MemoryJournal;
use connector_core::order::{NewOrder, OrderState, Side, TimeInForce};
use connector_core::time::{Mono, Now};
use connector_core::{ClientOrderId, Connector, Credentials, Decimal, Pair, Secret};
use connector_venue::face::Face;
use connector_venue::keys::KeySecret;
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::AccountId;
use connector_venue::setup::Liveliness;
use connector_venue::shim::FaultId;
use connector_venue::venue::Venue;
use smol_str::SmolStr;

use super::plan::{Act, Draw, PAIRS, Plan};
use super::subject::{Marks, Subject};
use super::tale::{Placed, Tale, Wrong};
use super::{Broken, Outcome};
use crate::dice::Dice;
use crate::recorded::Recorded;

/// How long a run may take to become ready, and to agree with the venue after the last fault.
pub(super) const CONVERGE: Duration = Duration::from_secs(180);
/// How long after it began a fault that lasts is disarmed.
const FAULT_REST: Duration = Duration::from_secs(5);
/// How long after its process has given up at the start a user, or what stands in for one, starts another.
const START_AGAIN: Duration = Duration::from_secs(5);
/// A fault that has not struck by then is disarmed.
const FAULT_LIFE: Duration = Duration::from_secs(75);
/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(30);
/// How often what must always hold is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Events shown with a failure that is about no single order.
const TAIL: usize = 12;

/// One instance of the connector.
pub(super) struct Actor {
    pub(super) id: MachineId,
    pub(super) instance: u32,
    pub(super) journal: MemoryJournal,
    pub(super) tale: Tale,
    /// The machine is suspended, or the process is down: nobody can do anything with it.
    pub(super) away_until: Mono,
    /// The last events, for people.
    tail: Vec<String>,
    /// Since when the private link claims to deliver.
    pub(super) user_live: Option<Mono>,
    /// Whether it was live in this life of the process.
    pub(super) was_live: bool,
    /// The last execution of the venue when the private link was opened again.
    pub(super) syncing: Option<u64>,
    /// For each pair: the id its live book stands at, and since when it is behind.
    pub(super) behind: BTreeMap<Pair, (u64, Mono)>,
}

/// What is undone after a while.
enum Undo {
    Disarm(FaultId),
    Disk(usize),
}

pub(super) struct World<'p, D: Dialect> {
    pub(super) dialect: D,
    pub(super) plan: &'p Plan,
    pub(super) memory: Memory<Subject>,
    pub(super) actors: Vec<Actor>,
    pub(super) account: AccountId,
    credentials: Credentials,
    /// What must never be told.
    secret: Secret,
    pub(super) symbols: Vec<(Pair, SmolStr)>,
    user_link: &'static str,
    undo: BTreeMap<(Mono, usize), Undo>,
    next_look: Mono,
    pub(super) looks: u64,
    faults: usize,
    pub(super) halted: BTreeSet<SmolStr>,
    /// What was found wrong first.
    wrong: Option<Wrong>,
    converged: Duration,
}

fn broken(what: &'static str, how: impl Into<String>) -> Broken {
    Broken { what, how: how.into(), events: Vec::new() }
}

/// Carries out a plan and compares with the venue's ledger, on the way and at the end.
pub(super) fn run<D: Dialect>(dialect: D, face: Box<dyn Face>, plan: &Plan) -> Result<Outcome, Broken> {
    let mut world = World::new(dialect, face, plan)?;
    let done = world.play();
    match (world.wrong.take(), done) {
        (Some((what, how)), _) => Err(world.explain(what, &how)),
        (None, result) => result,
    }
}

impl<'p, D: Dialect> World<'p, D> {
    fn new(dialect: D, face: Box<dyn Face>, plan: &'p Plan) -> Result<Self, Broken> {
        let mut setup = face.setup(plan.seed);
        let key = setup.keys.iter().find_map(|key| match &key.secret {
            KeySecret::HmacSha256(secret) if key.may_trade => {
                let credentials = Credentials::new(key.key.as_str(), secret.expose());
                Some((credentials, Secret::new(secret.expose()), key.account))
            }
            _ => None,
        });
        let (credentials, secret, account) =
            key.ok_or_else(|| broken("setup", "the face gives no key that may trade"))?;
        for (place, market) in setup.markets.iter_mut().enumerate() {
            // Minutes of a quiet market show what an hour of a busy one does; what is not traded need not live at all.
            let life = Liveliness {
                events_per_second: 1,
                taker_interval_ms: (1_000, 8_000),
                levels: 12,
                ..Liveliness::default()
            };
            market.live = market.live.filter(|_| place < PAIRS).map(|live| Liveliness {
                band_ppm: live.band_ppm,
                size: live.size,
                ..life
            });
        }
        let symbols: Vec<(Pair, SmolStr)> = setup
            .markets
            .iter()
            .take(PAIRS)
            .filter_map(|market| {
                Some((Pair::new(market.base.as_str(), market.quote.as_str())?, market.symbol.clone()))
            })
            .collect();
        let user_link = D::SPEC.links.iter().find(|link| link.role == LinkRole::User);
        let venue = Venue::with_setup(face, setup).map_err(|error| broken("setup", error.to_string()))?;
        let mut world = Self {
            dialect,
            plan,
            memory: Memory::new(venue, plan.seed),
            actors: Vec::new(),
            account,
            credentials,
            secret,
            symbols,
            user_link: user_link.map(|link| link.name).unwrap_or_default(),
            undo: BTreeMap::new(),
            next_look: Mono(0),
            looks: 0,
            faults: 0,
            halted: BTreeSet::new(),
            wrong: None,
            converged: Duration::ZERO,
        };
        for place in 0..plan.actors {
            let journal = MemoryJournal::new();
            let instance = u32::try_from(place + 1).unwrap_or(1);
            let machine = world.machine(&journal, instance, Duration::from_millis(2))?;
            let id = world.memory.add(machine);
            world.actors.push(Actor {
                id,
                instance,
                journal,
                tale: Tale::default(),
                away_until: Mono(0),
                tail: Vec::new(),
                user_live: None,
                was_live: false,
                syncing: None,
                behind: BTreeMap::new(),
            });
        }
        Ok(world)
    }

    /// A process of the connector on a journal, started now.
    fn machine(&self, journal: &MemoryJournal, instance: u32, lag: Duration) -> Result<Subject, Broken> {
        let now = self.memory.now();
        // A journal of its own on the same contents, as if the file were opened again.
        let journal = journal.reopened();
        let share = u8::try_from(100 / self.plan.actors.max(1)).unwrap_or(100);
        let mut engine = Connector::builder(self.dialect)
            .credentials(self.credentials.clone())
            .pairs(self.symbols.iter().map(|(pair, _)| pair.clone()))
            .instance(instance)
            .limit_share(share)
            .order_entry(self.plan.entry)
            .journal(journal.clone())
            .durability(self.plan.durability)
            .engine(now)
            .map_err(|error| broken("setup", error.to_string()))?;
        engine.start(now);
        Ok(Subject::new(Recorded::new(Box::new(engine), journal, lag), Marks::of::<D>()))
    }

    fn play(&mut self) -> Result<Outcome, Broken> {
        self.until("ready (I-16)", |engine| engine.is_ready())?;
        let plan = self.plan;
        let start = self.memory.now().mono;
        for (place, step) in plan.steps.iter().enumerate() {
            self.run_to(start.after(step.at));
            if self.wrong.is_some() {
                return Err(broken("stopped", ""));
            }
            self.act(place, step.actor % self.actors.len().max(1), &step.act)?;
        }
        self.run_to(start.after(plan.length));
        self.settle()?;
        self.judge().map_err(|(what, how)| self.explain(what, &how))?;
        let orders = self.actors.iter().map(|actor| actor.tale.placed.len()).sum();
        Ok(Outcome {
            orders,
            fills: self.actors.iter().map(|actor| actor.tale.fills.len()).sum(),
            faults: self.faults,
            simulated: self.memory.now().mono.since(Mono(0)),
            converged: self.converged,
            last_class: plan.steps.iter().rev().find_map(|step| step.act.class()),
            trace: self.memory.trace_hash(),
        })
    }

    /// What is wrong, with the events of the order it is about, or the last ones.
    fn explain(&self, what: &'static str, how: &str) -> Broken {
        let about = self.actors.iter().find_map(|actor| {
            let id = actor.tale.placed.keys().find(|id| how.contains(id.as_str()))?;
            Some(actor.tale.events_of(id))
        });
        let tails = || self.actors.iter().flat_map(|actor| actor.tail.clone()).collect();
        let at = self.memory.now().mono.since(Mono(0)).as_secs_f32();
        Broken { what, how: format!("{how} (at {at:.3} s)"), events: about.unwrap_or_else(tails) }
    }

    pub(super) fn wrong(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    pub(super) fn engine(&self, actor: usize) -> Option<&dyn Trading> {
        let id = self.actors.get(actor)?.id;
        Some(self.memory.machine(id)?.recorded.engine.as_ref())
    }

    fn with<R>(&mut self, actor: usize, act: impl FnOnce(&mut dyn Trading, Now) -> R) -> Option<R> {
        let id = self.actors.get(actor)?.id;
        self.memory.with(id, |subject, now| subject.turn(now, |engine| act(engine, now)))
    }

    /// Lets time pass, and looks at everything that is told.
    fn run_to(&mut self, end: Mono) {
        while self.wrong.is_none() && self.memory.now().mono < end {
            let undo = self.undo.first_key_value().map(|((at, _), _)| *at);
            let stop = [Some(end), undo, Some(self.next_look)].into_iter().flatten().min().unwrap_or(end);
            while self.memory.step(stop) {
                self.listen();
            }
            self.listen();
            let now = self.memory.now().mono;
            while let Some(entry) = self.undo.first_entry().filter(|entry| entry.key().0 <= now) {
                match entry.remove() {
                    Undo::Disarm(id) => self.memory.with_venue(|venue, _| venue.disarm(id)),
                    Undo::Disk(actor) => {
                        if let Some(actor) = self.actors.get(actor) {
                            actor.journal.set_full(false);
                        }
                    }
                }
            }
            if now >= self.next_look {
                self.next_look = now.after(LOOK);
                self.supervise();
                self.look();
            }
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_to(self.memory.now().mono.after(time));
    }

    fn until(&mut self, what: &'static str, done: impl Fn(&dyn Trading) -> bool) -> Result<(), Broken> {
        let all = |world: &Self| (0..world.actors.len()).all(|actor| world.engine(actor).is_some_and(&done));
        self.until_world(what, all)
    }

    fn until_world(&mut self, what: &'static str, done: impl Fn(&Self) -> bool) -> Result<(), Broken> {
        let end = self.memory.now().mono.after(CONVERGE);
        while !done(self) {
            if self.wrong.is_some() {
                return Err(broken("stopped", ""));
            }
            if self.memory.now().mono >= end {
                return Err(self
                    .explain("I-16", &format!("{what}: not in {} s; {}", CONVERGE.as_secs(), self.state())));
            }
            self.run_for(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Where everything stands, for people.
    fn state(&self) -> String {
        let engines = (0..self.actors.len()).filter_map(|actor| self.engine(actor));
        let states = engines.map(|engine| {
            let open: Vec<String> = engine
                .open_orders()
                .iter()
                .map(|order| format!("{} {:?}", order.client_order_id(), order.state()))
                .collect();
            format!("missing: {:?}; open: {open:?}; phase: {:?}", engine.missing(), engine.phase())
        });
        let mut text = states.collect::<Vec<_>>().join(" | ");
        for (asset, balance) in self.memory.venue().exchange().balances(self.account) {
            for actor in 0..self.actors.len() {
                let known = self.engine(actor).and_then(|engine| engine.balances().get(&asset).copied());
                if known.is_none_or(|known| (known.total, known.available) != (balance.total(), balance.free))
                {
                    text.push_str(&format!("; {asset}: {known:?}, venue's {balance:?}"));
                }
            }
        }
        text
    }

    /// A process that gives up at its start has told so; whoever started it starts another. One that was at work must not.
    fn supervise(&mut self) {
        let now = self.memory.now().mono;
        for place in 0..self.actors.len() {
            let failed = match self.engine(place).map(Trading::phase) {
                Some(Phase::Failed(error)) => error.to_string(),
                _ => continue,
            };
            let Some(actor) = self.actors.get_mut(place) else { continue };
            if actor.was_live {
                self.wrong(("I-16", format!("it has given up: {failed}")));
            } else if actor.away_until <= now {
                let mut dice = Dice(self.plan.seed ^ now.0);
                actor.away_until = now.after(START_AGAIN);
                if let Err(broken) = self.kill(place, &mut dice) {
                    self.wrong(("I-17", broken.how));
                }
            }
        }
    }

    /// Takes in what was told.
    fn listen(&mut self) {
        for place in 0..self.actors.len() {
            let Some(id) = self.actors.get(place).map(|actor| actor.id) else { continue };
            if !self.memory.machine(id).is_some_and(Subject::has_told) {
                continue;
            }
            let events = self.memory.machine_mut(id).map(Subject::told).unwrap_or_default();
            for event in &events {
                self.hear(place, event);
            }
        }
    }

    fn hear(&mut self, place: usize, event: &Event) {
        let now = self.memory.now().mono;
        let Some(actor) = self.actors.get_mut(place) else { return };
        match event {
            Event::Traded { .. } | Event::BestPriceChanged { .. } | Event::BalanceChanged { .. } => return,
            Event::LinkChanged { link, channel: None, state, .. } if link == self.user_link => {
                let was_open = actor.user_live.is_some();
                actor.user_live = (*state == LinkState::Live).then_some(now);
                match state {
                    LinkState::Syncing if !was_open => {
                        let last =
                            self.memory.venue().exchange().fills(self.account, &HistoryQuery::default());
                        actor.syncing = last.iter().map(|fill| fill.execution_id).max().or(Some(0));
                    }
                    LinkState::Live => self.judge_recovery(place),
                    _ => {}
                }
            }
            Event::Problem { error, .. } if error.to_string().contains(self.secret.expose()) => {
                self.wrong(("I-10", "a problem tells the secret".to_owned()));
            }
            _ => {}
        }
        let Some(actor) = self.actors.get_mut(place) else { return };
        if actor.tail.len() >= TAIL {
            actor.tail.remove(0);
        }
        actor.tail.push(format!("{event:?}"));
        if let Err(wrong) = actor.tale.hear(event) {
            self.wrong(wrong);
        }
    }

    fn act(&mut self, place: usize, actor: usize, act: &Act) -> Result<(), Broken> {
        let mut dice = Dice(self.plan.seed ^ (place as u64) << 32 ^ 0xAC7);
        self.faults += usize::from(act.is_fault());
        if act.needs_actor()
            && self.actors.get(actor).is_none_or(|known| known.away_until > self.memory.now().mono)
        {
            return Ok(());
        }
        match act {
            Act::Place(draw) => drop(self.place(actor, *draw)),
            Act::Burst(orders) => self.burst(actor, *orders),
            Act::Cancel(which) => self.cancel(actor, *which),
            Act::Amend(which, draw) => self.amend(actor, *which, *draw),
            Act::CancelAll => drop(self.with(actor, |engine, now| engine.cancel_all(now))),
            Act::TurnAway(which, wait) => {
                let Some((pair, _)) = self.pair(*which) else { return Ok(()) };
                self.with(actor, |engine, now| engine.unfollow(now, &pair));
                self.run_for(*wait);
                self.with(actor, |engine, now| engine.follow(now, &pair).ok());
            }
            Act::Restart => self.restart(actor, &mut dice)?,
            Act::Kill(moment) => {
                self.run_for(*moment);
                self.kill(actor, &mut dice)?;
            }
            Act::FullDisk(time) => {
                if let Some(known) = self.actors.get(actor) {
                    known.journal.set_full(true);
                    let at = self.memory.now().mono.after(*time);
                    self.undo.insert((at, place), Undo::Disk(actor));
                }
            }
            Act::Suspend(time) => {
                if let Some(known) = self.actors.get_mut(actor) {
                    known.away_until = self.memory.now().mono.after(*time);
                    self.memory.suspend(known.id, *time);
                }
            }
            Act::SetClock(ms) => {
                if let Some(known) = self.actors.get(actor) {
                    self.memory.set_clock_offset(known.id, ms * 1_000_000);
                }
            }
            Act::Arm(rule) => {
                if let connector_venue::faults::Fault::Halt { symbol } = &rule.fault {
                    self.halted.insert(symbol.clone());
                }
                let lasts = rule.trigger.duration_ms.map(Duration::from_millis);
                let life = lasts.map_or(FAULT_LIFE, |lasts| lasts.saturating_add(FAULT_REST));
                let rule = rule.as_ref().clone();
                let id = self.memory.with_venue(|venue, now| venue.arm(now, rule));
                if let Some(id) = id {
                    self.undo.insert((self.memory.now().mono.after(life), place), Undo::Disarm(id));
                }
            }
            Act::Resume(symbol) => self.resume(symbol),
        }
        self.listen();
        Ok(())
    }

    fn resume(&mut self, symbol: &SmolStr) {
        let rule = connector_venue::faults::FaultRule::new(connector_venue::faults::Fault::Resume {
            symbol: symbol.clone(),
        });
        self.memory.with_venue(|venue, now| venue.arm(now, rule));
    }

    fn pair(&self, which: u64) -> Option<(Pair, SmolStr)> {
        let place = usize::try_from(which % (self.symbols.len().max(1) as u64)).ok()?;
        self.symbols.get(place).cloned()
    }

    fn note(&mut self, actor: usize, id: &ClientOrderId, asked: &NewOrder) {
        let order = self.engine(actor).and_then(|engine| engine.order(id)).map(|order| order.order().clone());
        if let Some(taken) = &order
            && taken.amount > asked.amount
        {
            self.wrong((
                "I-14",
                format!("order {id}: {} was asked for, {} is sent", asked.amount, taken.amount),
            ));
        }
        let Some(known) = self.actors.get_mut(actor) else { return };
        let life = known.tale.life;
        if known.tale.placed.insert(id.clone(), Placed { life }).is_some() {
            self.wrong(("I-06", format!("id {id} was given out twice")));
        }
    }

    fn place(&mut self, actor: usize, draw: Draw) -> Option<()> {
        let (pair, _) = self.pair(draw.pair)?;
        let order = draw_order(self.engine(actor)?, pair, draw)?;
        let placed = self.with(actor, |engine, now| engine.place(now, order.clone()).ok())??;
        self.note(actor, &placed, &order);
        Some(())
    }

    /// Many orders at once, far from the touch: more than the limits admit. They are cancelled as they come to rest.
    fn burst(&mut self, actor: usize, orders: u32) {
        for number in 0..orders {
            let draw = Draw { pair: 0, side: Side::Buy, kind: 100, off: 400 + u64::from(number), size: 0 };
            let _ = self.place(actor, draw);
        }
        for _ in 0..30 {
            self.run_for(Duration::from_secs(1));
            self.with(actor, |engine, now| engine.cancel_all(now));
        }
    }

    fn open(&self, actor: usize) -> Vec<connector_core::order::TrackedOrder> {
        self.engine(actor).map(Trading::open_orders).unwrap_or_default()
    }

    fn cancel(&mut self, actor: usize, which: u64) {
        let open = self.open(actor);
        let place = usize::try_from(which % (open.len().max(1) as u64)).unwrap_or(0);
        let Some(order) = open.get(place) else { return };
        let id = order.client_order_id().clone();
        let accepted = matches!(order.state(), OrderState::Open | OrderState::PartiallyFilled);
        let Some(machine) = self.actors.get(actor).map(|actor| actor.id) else { return };
        self.memory.with(machine, |subject, now| {
            if accepted && !order.is_cancel_requested() {
                subject.cancel_asked(now.mono, &id);
            }
            let _ = subject.turn(now, |engine| engine.cancel(now, &id));
        });
    }

    fn amend(&mut self, actor: usize, which: u64, draw: Draw) {
        let open = self.open(actor);
        let place = usize::try_from(which % (open.len().max(1) as u64)).unwrap_or(0);
        let Some(order) = open.get(place) else { return };
        let (id, sent) = (order.client_order_id().clone(), order.order().clone());
        let number = |value: u64| i64::try_from(value).unwrap_or_default();
        let price = sent.price.map(|price| price * Decimal::new(9_900 + 10 * number(draw.off), 4));
        let amount = sent.amount * Decimal::new(50 + 5 * number(draw.size), 2);
        let (price, amount) = match draw.kind % 3 {
            0 => (price, None),
            1 => (None, Some(amount)),
            _ => (price, Some(amount)),
        };
        let amended = self.with(actor, |engine, now| engine.amend(now, &id, price, amount).ok()).flatten();
        if let Some(new) = amended.filter(|new| *new != id) {
            let asked = NewOrder { amount: amount.unwrap_or(sent.amount), ..sent };
            self.note(actor, &new, &asked);
        }
    }

    fn kill(&mut self, actor: usize, dice: &mut Dice) -> Result<(), Broken> {
        self.listen();
        let lag = Duration::from_micros(200 + dice.below(30_000));
        let Some(known) = self.actors.get(actor) else { return Ok(()) };
        let (id, instance, journal) = (known.id, known.instance, known.journal.clone());
        // A process does not start on a disk that is full.
        journal.set_full(false);
        let machine = self.machine(&journal, instance, lag)?;
        self.memory.replace(id, machine);
        if let Some(known) = self.actors.get_mut(actor) {
            known.tale.next_life(&journal);
            (known.user_live, known.syncing, known.was_live) = (None, None, false);
            known.behind.clear();
        }
        Ok(())
    }

    /// An orderly stop; what it says is left must be what the venue holds.
    fn restart(&mut self, actor: usize, dice: &mut Dice) -> Result<(), Broken> {
        let cancel = dice.below(2) == 0;
        self.with(actor, |engine, now| engine.begin_stop(now, cancel));
        let end = self.memory.now().mono.after(STOP);
        let done = |engine: &dyn Trading| {
            let unsettled = |order: &connector_core::order::TrackedOrder| {
                cancel || matches!(order.state(), OrderState::PendingCreate | OrderState::Unknown)
            };
            engine.unrecorded() == 0 && !engine.open_orders().iter().any(unsettled)
        };
        while self.memory.now().mono < end && !self.engine(actor).is_some_and(&done) && self.wrong.is_none() {
            self.run_for(Duration::from_millis(50));
        }
        let left: BTreeSet<ClientOrderId> =
            self.open(actor).iter().map(|order| order.client_order_id().clone()).collect();
        let Some(known) = self.actors.get(actor) else { return Ok(()) };
        let theirs = self.memory.venue().exchange().open_orders(self.account, None).into_iter();
        let untold = theirs
            .map(|order| ClientOrderId::new(&order.client_id))
            .find(|id| known.tale.knows(id) && !left.contains(id));
        if let Some(id) = untold {
            self.wrong(("I-05", format!("order {id} is open at the venue, and the stop did not tell of it")));
        }
        self.kill(actor, dice)
    }

    /// Peace: nothing goes wrong any more. Everything must agree within [`CONVERGE`], without anybody doing anything.
    fn settle(&mut self) -> Result<(), Broken> {
        self.undo.clear();
        for symbol in std::mem::take(&mut self.halted) {
            self.resume(&symbol);
        }
        self.memory.with_venue(|venue, _| venue.disarm_all());
        for actor in &self.actors {
            actor.journal.set_full(false);
            self.memory.set_clock_offset(actor.id, 0);
        }
        let from = self.memory.now().mono;
        self.until("ready again", |engine| engine.is_ready())?;
        self.until_world("agreeing with the venue", Self::agrees)?;
        self.converged = self.memory.now().mono.since(from);
        for actor in 0..self.actors.len() {
            self.with(actor, |engine, now| engine.cancel_all(now));
        }
        let done = |engine: &dyn Trading| engine.open_orders().is_empty() && engine.unrecorded() == 0;
        self.until("no open orders, everything stored", done)?;
        self.run_for(Duration::from_secs(5));
        self.until_world("agreeing with the venue at the end", Self::agrees)?;
        self.until("ready at the end", |engine| engine.is_ready())
    }
}

/// An order near the touch: resting, crossing, immediate, or at market. Kinds of 100 and more rest far away.
fn draw_order(engine: &dyn Trading, pair: Pair, draw: Draw) -> Option<NewOrder> {
    let Draw { side, kind, off, size, .. } = draw;
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
        75..85 => NewOrder::limit(pair, side, amount, other).time_in_force(TimeInForce::Ioc),
        85..92 => NewOrder::limit(pair, side, amount, other).time_in_force(TimeInForce::Fok),
        92..100 => NewOrder::market(pair, side, amount),
        _ => NewOrder::limit(pair, side, amount, away(own, off)),
    })
}
