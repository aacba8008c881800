//! Rows about long times and lost networks, under virtual time: hours pass in the blink of an eye, and always the same way.

use std::time::Duration;

use connector_core::engine::Trading;
use connector_core::event::LinkState;
use connector_core::order::{NewOrder, OrderState, Side};
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{Action, Input, Machine};
use connector_core::{ClientOrderId, Decimal, Event};
use connector_venue::faults::{Fault, FaultRule, Matcher, Point, Trigger};
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::{AccountId, Amount, Execution, Order, Submit, Which};
use connector_venue::venue::Venue;
use smol_str::SmolStr;

use super::loss;
use crate::bench::{
    Evidence, Failure, Ground, Judgement, Plan, credentials, endow_house, ensure, grounds, main_key, of,
};
use crate::holdings::{account_errors, still_marks};
use crate::kit::Kit;
use crate::report::{Detail, human};
use crate::story::{Armed, Told, story};

/// Longest virtual wait for what should happen soon.
const SOON: Duration = Duration::from_secs(180);
const HOUR: Duration = Duration::from_secs(3600);
/// Virtual time that costs a millisecond or so.
const PIECE: Duration = Duration::from_secs(60);

/// An engine of any dialect.
struct AnyEngine(Box<dyn Trading>);

impl Machine for AnyEngine {
    fn input(&mut self, now: Now, input: Input<'_>) -> bool {
        self.0.input(now, input)
    }

    fn wake(&mut self, now: Now) {
        self.0.wake(now);
    }

    fn action(&mut self) -> Option<Action> {
        self.0.action()
    }

    fn deadline(&self) -> Option<Mono> {
        self.0.deadline()
    }
}

/// A connector and a venue in memory.
struct World {
    memory: Memory<AnyEngine>,
    id: MachineId,
    account: AccountId,
    ground: Ground,
    links: Vec<&'static str>,
    seen: Vec<Event>,
}

impl World {
    /// A ready connector to a venue whose first market the house quotes and nothing moves.
    fn new(kit: &Kit) -> Result<Self, Failure> {
        let face = (kit.face)();
        let spec = face.spec();
        let mut setup = face.setup(kit.seed);
        for market in &mut setup.markets {
            market.live = None;
        }
        let key =
            main_key(&setup).ok_or_else(|| Failure::new("the venue's setup has no key that may trade"))?;
        let ground = grounds(&setup, key.account).into_iter().next();
        let ground = ground.ok_or_else(|| Failure::new("the account can trade on no market"))?;
        let venue = Venue::with_setup(face, setup).map_err(Failure::new)?;
        let mut memory = Memory::new(venue, kit.seed);
        let plan = Plan {
            credentials: credentials(&key),
            pairs: vec![ground.pair.clone()],
            prefix: String::new(),
            request_timeout: Duration::from_secs(10),
            journal: None,
            metrics: None,
        };
        let engine = kit.opener.engine(plan, memory.now())?;
        let id = memory.add(AnyEngine(engine));
        memory.with(id, |engine, now| engine.0.start(now));
        let links = spec.links.iter().map(|link| link.name).collect();
        let mut world = Self { memory, id, account: key.account, ground, links, seen: Vec::new() };
        world.quote()?;
        world.until("the connector to be ready", |engine| engine.is_ready())?;
        Ok(world)
    }

    /// Has the house quote both sides.
    fn quote(&mut self) -> Result<(), Failure> {
        let ground = self.ground.clone();
        self.memory.with_venue(|venue, now| {
            still_marks(venue, now)?;
            let exchange = venue.exchange_mut();
            endow_house(exchange, &ground)?;
            for (side, sign) in [(Side::Buy, -1), (Side::Sell, 1)] {
                let price = ground.on_tick(ground.middle * Decimal::new(1_000 + sign, 3));
                let submit = Submit::limit(&ground.symbol, side, price, ground.amount(price, 100));
                exchange.place(AccountId::HOUSE_MAKER, &submit).map_err(Failure::new)?;
            }
            Ok(())
        })
    }

    fn collect(&mut self) {
        let seen = &mut self.seen;
        self.memory.with(self.id, |engine, _| {
            while let Some(event) = engine.0.event() {
                seen.push(event);
            }
        });
    }

    /// Lets virtual time pass, in pieces: other rows run on the same thread, in real time.
    async fn run_for(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let piece = left.min(PIECE);
            self.memory.run_for(piece);
            self.collect();
            left -= piece;
            tokio::task::yield_now().await;
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&dyn Trading) -> bool) -> Result<(), Failure> {
        let id = self.id;
        let reached = self
            .memory
            .run_until(|memory| memory.machine(id).is_some_and(|engine| done(engine.0.as_ref())), SOON);
        self.collect();
        let missing = || self.engine().map(|engine| engine.missing().join(", ")).unwrap_or_default();
        ensure(reached, || {
            format!("waited {} virtual s for {what} in vain; missing: {}", SOON.as_secs(), missing())
        })
    }

    fn engine(&self) -> Result<&dyn Trading, Failure> {
        self.memory.machine(self.id).map(|engine| engine.0.as_ref()).ok_or_else(|| Failure::new("no engine"))
    }

    fn place(&mut self, order: NewOrder) -> Result<ClientOrderId, Failure> {
        let placed = self.memory.with(self.id, |engine, now| engine.0.place(now, order));
        Ok(placed.ok_or_else(|| Failure::new("no engine"))??)
    }

    /// Places an order and waits until the venue has it.
    fn rest(&mut self, order: NewOrder) -> Result<ClientOrderId, Failure> {
        let id = self.place(order)?;
        self.until("an order to rest", |engine| {
            engine.order(&id).is_some_and(|order| order.state() == OrderState::Open)
        })?;
        Ok(id)
    }

    /// An order inside the house's quotes, of three parts.
    fn inside(&self, side: Side) -> (NewOrder, Decimal) {
        let ground = &self.ground;
        let ticks = Decimal::from(if side == Side::Buy { -1 } else { 1 });
        let price = ground.on_tick(ground.middle) + ground.rules.tick * ticks;
        let part = ground.amount(price, 2);
        (NewOrder::limit(ground.pair.clone(), side, part * Decimal::from(3), price), part)
    }

    /// Has the house take at the market.
    fn take(&mut self, side: Side, amount: Decimal) -> Result<(), Failure> {
        let submit = Submit::market(&self.ground.symbol, side, Amount::Base(amount));
        let taken = self
            .memory
            .with_venue(|venue, _| venue.exchange_mut().place(AccountId::HOUSE_TAKER, &submit).map(drop));
        taken.map_err(Failure::new)
    }

    fn cancel(&mut self, id: &ClientOrderId) -> Result<(), Failure> {
        self.memory.with(self.id, |engine, now| engine.0.cancel(now, id)).transpose()?;
        self.until("a cancelled order to end", |engine| {
            engine.order(id).is_none_or(|order| order.state().is_terminal())
        })
    }

    /// Does something to every stream the venue has.
    fn strike_streams(&mut self, fault: &Fault) {
        for link in &self.links {
            let matcher = Matcher { link: Some(SmolStr::new(*link)), ..Matcher::default() };
            let trigger = Trigger { count: Some(1), ..Trigger::default() };
            let rule = FaultRule { fault: fault.clone(), matcher, trigger };
            self.memory.with_venue(|venue, now| venue.arm(now, rule));
        }
    }

    /// The venue's orders of this client id.
    fn at_venue(&mut self, id: &ClientOrderId) -> Vec<Order> {
        let account = self.account;
        self.memory.with_venue(|venue, _| {
            let all = venue.exchange().all_orders(account, &HistoryQuery::default());
            all.into_iter().filter(|order| order.client_id == id.as_str()).cloned().collect()
        })
    }

    fn executions(&mut self, id: &ClientOrderId) -> Vec<Execution> {
        let account = self.account;
        self.memory.with_venue(|venue, _| {
            let all = venue.exchange().fills(account, &HistoryQuery::default());
            all.into_iter().filter(|fill| fill.client_id == id.as_str()).cloned().collect()
        })
    }

    /// How often each link became live.
    fn connections(&self, link: &str) -> usize {
        let live = |event: &&Event| matches!(event, Event::LinkChanged { link: told, channel: None, state: LinkState::Live, .. } if told == link);
        self.seen.iter().filter(live).count()
    }

    /// An order was told as the venue has it: created once, each fill once, ended once and rightly.
    fn judge(&mut self, id: &ClientOrderId) -> Result<usize, Failure> {
        let happened: Vec<_> =
            self.executions(id).iter().map(|fill| (fill.trade_id.to_string(), fill.amount)).collect();
        let there = self.at_venue(id);
        let (mut told, mut created, mut ends) = (Vec::new(), 0, Vec::new());
        for event in of(&self.seen, id) {
            match event {
                Event::OrderCreated(_) => created += 1,
                Event::OrderFilled(fill) => told.push((fill.trade_id.to_string(), fill.amount)),
                event if event.is_terminal() => ends.push(event),
                _ => {}
            }
        }
        ensure(told == happened, || format!("fills of {id} told {told:?}, happened {happened:?}"))?;
        let state = there.first().map(|order| order.state);
        let right = match (ends.as_slice(), state) {
            ([Event::OrderCancelled(_)], Some(OrderState::Cancelled))
            | ([Event::OrderCompleted(_)], Some(OrderState::Filled)) => created == 1 && there.len() == 1,
            ([Event::OrderFailed(_)], None) => created == 0,
            _ => false,
        };
        ensure(right, || {
            format!(
                "{id} is {state:?} at the venue ({} such orders), was created {created} times and told as {ends:?}",
                there.len()
            )
        })?;
        Ok(told.len())
    }

    /// What happened here and there, from shortly before a loss until all was known after it.
    fn story(&mut self, name: &str, requests: &Fault, (begun, ended): (UnixNanos, UnixNanos)) -> Detail {
        const LEAD: i64 = 20_000_000_000;
        self.collect();
        let account = self.account;
        let (seen, orders, executions) = self.memory.with_venue(|venue, _| {
            let (exchange, query) = (venue.exchange(), HistoryQuery::default());
            let orders: Vec<_> = exchange.all_orders(account, &query).into_iter().cloned().collect();
            let fills: Vec<_> = exchange.fills(account, &query).into_iter().cloned().collect();
            (venue.requests().cloned().collect(), orders, fills)
        });
        let lost = Armed { until: Some(ended), ..Armed::new(begun, &FaultRule::new(requests.clone())) };
        let lives = vec![(self.seen.as_slice(), None)];
        let told = Told { lives, requests: seen, orders, executions, faults: vec![lost] };
        let title = format!("The network is lost and comes back: {name}");
        let first = told.orders.iter().map(|order| order.created).min().unwrap_or(begun);
        let (from, until) = (first.max(begun.offset(-LEAD)), self.memory.now().utc.max(ended.offset(LEAD)));
        story(title, from, until, &told)
    }

    /// Both sides agree, nothing is open, the venue has nothing to complain of.
    async fn settled(&mut self) -> Result<(), Failure> {
        self.until("the connector to be ready", |engine| engine.is_ready())?;
        // An order's end can be known by request a moment before the stream brings the balances.
        self.run_for(Duration::from_secs(5)).await;
        let account = self.account;
        let engine = self.engine()?;
        let (balances, positions) = (engine.balances(), engine.positions());
        let (wrong, open, violations) = self.memory.with_venue(|venue, _| {
            let exchange = venue.exchange();
            (
                account_errors(&balances, &positions, exchange, account),
                exchange.open_orders(account, None).len(),
                exchange.limits().violations(),
            )
        });
        let engine = self.engine()?;
        ensure(wrong.is_empty(), || wrong.join("; "))?;
        let open = (engine.open_orders().len(), open);
        ensure(open == (0, 0), || format!("{open:?} orders open here and at the venue"))?;
        ensure(violations == 0, || format!("the venue counted {violations} violations of its limits"))
    }
}

/// SQ-18.
///
/// # Errors
/// The order or the fill that was lost in the long time, or the connection that was not kept up.
pub async fn long_refresh(kit: Kit) -> Judgement {
    let mut world = World::new(&kit)?;
    let (order, part) = world.inside(Side::Buy);
    let filled = world.rest(order)?;
    let untouched = world.rest(world.ground.resting(Side::Sell))?;
    world.run_for(HOUR * 5).await;
    world.take(Side::Sell, part)?;
    world.run_for(HOUR * 5).await;
    // The venue ends all connections, and a fill happens while none is up.
    world.strike_streams(&Fault::Close { code: 1001, reason: "going away".to_owned() });
    world.take(Side::Sell, part)?;
    world.run_for(HOUR * 50).await;
    let passed = world.memory.now().mono.since(Mono(0));
    for (id, executed) in [(&filled, part * Decimal::TWO), (&untouched, Decimal::ZERO)] {
        let order = world.engine()?.order(id);
        let right = order
            .as_ref()
            .is_some_and(|order| !order.state().is_terminal() && order.executed().base == executed);
        ensure(right, || format!("after {} h {id} is known as {order:?}", passed.as_secs() / 3600))?;
        let there = world.at_venue(id).first().map(Order::is_live);
        ensure(there == Some(true), || format!("{id} is not open at the venue any more"))?;
    }
    ensure(world.engine()?.is_ready(), || "the connector is not ready at the end".to_owned())?;
    let mut rows = Vec::new();
    for link in world.links.clone() {
        let count = world.connections(link);
        // At the start, after the forced end, and after two lifetimes of a day.
        ensure(count >= 4, || format!("{link} became live {count} times only"))?;
        rows.push(vec![link.to_owned(), count.to_string()]);
    }
    world.cancel(&filled)?;
    world.cancel(&untouched)?;
    let fills = world.judge(&filled)? + world.judge(&untouched)?;
    ensure(fills == 2, || format!("{fills} fills told"))?;
    world.settled().await?;
    let text = format!(
        "two orders open for {} virtual hours, through a forced end of all connections and two of their lifetimes of a day: \
         {fills} fills told once, both cancelled afterwards, 0 violations counted",
        passed.as_secs() / 3600
    );
    let head = ["link", "became live"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Connections".to_owned(), head, rows }))
}

/// How the network is lost: what becomes of requests, and of streams.
fn losses() -> [(&'static str, Fault, Fault); 3] {
    [
        ("refused and reset", Fault::Refuse {}, Fault::Reset { point: Point::default() }),
        ("silent, requests lost", Fault::DropRequest {}, Fault::HalfOpen {}),
        ("silent, answers lost", Fault::DropReply {}, Fault::HalfOpen {}),
    ]
}

/// SQ-19.
///
/// # Errors
/// The order that was given up, or the fill that was lost or told twice.
pub async fn network_loss(kit: Kit) -> Judgement {
    const OUTAGE: Duration = Duration::from_secs(300);
    // All at once: a silent connection is noticed only after a long silence.
    let [reset, lost, mute] = losses();
    let real = tokio::join!(real_loss(&kit, reset), real_loss(&kit, lost), real_loss(&kit, mute));
    let mut timelines = Vec::new();
    let mut rows = Vec::from([real.0?, real.1?, real.2?]);
    for (name, requests, streams) in losses() {
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        let (fills, back, shown) = one_loss(&kit, name, &requests, &streams, OUTAGE).await.map_err(told)?;
        timelines.push(shown);
        rows.push(loss_row(name, "virtual", OUTAGE, fills, back));
    }
    let text = format!(
        "requests and streams lost in {} ways, for {} over loopback sockets and for {} of virtual time: open orders stayed \
         tracked, fills and a cancel that happened meanwhile were told once, balances exact",
        losses().len(),
        human(loss::OUTAGE),
        human(OUTAGE),
    );
    let head = ["loss", "time", "for", "fills meanwhile", "all known after"].map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Losses".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}

fn loss_row(name: &str, time: &str, outage: Duration, fills: usize, back: Duration) -> Vec<String> {
    vec![name.to_owned(), time.to_owned(), human(outage), fills.to_string(), human(back)]
}

async fn real_loss(
    kit: &Kit,
    (name, requests, streams): (&'static str, Fault, Fault),
) -> Result<Vec<String>, Failure> {
    let lost = loss::in_real_time(kit, &requests, &streams).await;
    let (fills, back) = lost.map_err(|failure| Failure(format!("{name}, in real time: {}", failure.0)))?;
    Ok(loss_row(name, "real", loss::OUTAGE, fills, back))
}

/// Fills that happened meanwhile, and how long after the end of the loss all was known.
async fn one_loss(
    kit: &Kit,
    name: &str,
    requests: &Fault,
    streams: &Fault,
    outage: Duration,
) -> Result<(usize, Duration, Detail), Failure> {
    let mut world = World::new(kit)?;
    let (order, part) = world.inside(Side::Buy);
    let partly = world.rest(order)?;
    let (order, _) = world.inside(Side::Sell);
    let wholly = world.rest(order)?;
    let foreign = world.rest(world.ground.resting(Side::Buy))?;
    let untouched = world.rest(world.ground.resting(Side::Sell))?;
    world.memory.with_venue(|venue, now| venue.arm(now, FaultRule::new(requests.clone())));
    world.strike_streams(streams);
    let begun = world.memory.now().utc;
    world.run_for(outage / 5).await;
    world.take(Side::Sell, part)?;
    world.take(Side::Buy, part)?;
    world.run_for(outage / 5).await;
    world.take(Side::Buy, part * Decimal::TWO)?;
    let (account, symbol) = (world.account, world.ground.symbol.clone());
    let which = Which::Client(foreign.as_str().into());
    let cancelled = world
        .memory
        .with_venue(|venue, _| venue.exchange_mut().cancel(account, &symbol, &which, None).map(drop));
    cancelled.map_err(Failure::new)?;
    // One is asked for while nothing gets through: whatever becomes of it, both sides agree in the end.
    let desired = world.place(world.ground.resting(Side::Buy)).ok();
    world.run_for(outage / 5 * 3).await;
    for id in [&partly, &wholly, &foreign, &untouched] {
        let open = world.engine()?.open_orders().iter().any(|order| order.client_order_id() == id);
        ensure(open, || format!("{id} was given up during the loss"))?;
    }
    world.memory.with_venue(|venue, _| venue.disarm_all());
    let Now { mono: restored, utc: ended } = world.memory.now();
    world.until("all that happened to be known", |engine| {
        let ended = |id: &ClientOrderId| engine.order(id).is_some_and(|order| order.state().is_terminal());
        let part_known = engine.order(&partly).is_some_and(|order| order.executed().base == part);
        engine.is_ready() && part_known && ended(&wholly) && ended(&foreign)
    })?;
    let back = world.memory.now().mono.since(restored);
    if let Some(id) = &desired {
        world.until("the outcome of an order placed during the loss", |engine| {
            engine
                .order(id)
                .is_none_or(|order| !matches!(order.state(), OrderState::PendingCreate | OrderState::Unknown))
        })?;
    }
    for id in [&partly, &untouched].into_iter().chain(&desired) {
        if world.engine()?.order(id).is_some_and(|order| !order.state().is_terminal()) {
            world.cancel(id)?;
        }
    }
    let shown = world.story(name, requests, (begun, ended));
    // What would be told twice is told by the next comparison with the venue.
    world.run_for(Duration::from_secs(130)).await;
    let mut fills = 0;
    for id in [&partly, &wholly, &foreign, &untouched].into_iter().chain(&desired) {
        fills += world.judge(id)?;
    }
    ensure(fills == 3, || format!("{fills} fills told"))?;
    world.settled().await?;
    Ok((fills, back, shown))
}
