//! Orders over the WebSocket API, under virtual time: which way they go, and what becomes of them when that way ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::time::Duration;

use connector_core::dialect::{
    Calls, Channel, DecodeError, Dialect, Draft, Frame, Keyring, LinkSpec, Rest, Spec, Stamp, VenueError,
};
use connector_core::engine::{Engine, Trading};
use connector_core::event::{Event, LinkState};
use connector_core::message::Sink;
use connector_core::order::{NewOrder, Side};
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::{
    Cause, ClientOrderId, Connector, Credentials, Decimal, Effect, Error, OrderEntry, Pair,
};
use connector_venue::face::{Face as _, SessionId};
use connector_venue::keys::KeySecret;
use connector_venue::ledger::HistoryQuery;
use connector_venue::memory::{MachineId, Memory};
use connector_venue::orders::AccountId;
use connector_venue::venue::Venue;
use smol_str::SmolStr;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

const LIFETIME: Duration = Duration::from_secs(60);

const SHORT_LIVED: Calls = match SpotBinance::CALLS {
    Some(real) => Calls {
        link: LinkSpec { lifetime: LIFETIME, ..real.link },
        address: real.address,
        calls: real.calls,
        write: real.write,
        answer: real.answer,
    },
    None => panic!("declared"),
};

/// Binance, whose connections for orders live a minute, or which (`CALLS` being false) has none.
#[derive(Clone, Copy)]
struct Other<const CALLS: bool>;

impl<const CALLS: bool> Dialect for Other<CALLS> {
    const SPEC: &'static Spec = SpotBinance::SPEC;
    const REST: &'static Rest = SpotBinance::REST;
    const CALLS: Option<&'static Calls> = if CALLS { Some(&SHORT_LIVED) } else { None };

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        SpotBinance::sign(draft, keys, stamp)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        SpotBinance::subscribe(on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        SpotBinance::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        SpotBinance::frame(frame, out)
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        SpotBinance::error(body)
    }
}

struct World<D: Dialect> {
    memory: Memory<Engine<D>>,
    id: MachineId,
    events: Vec<Event>,
}

fn engine<D: Dialect>(dialect: D, venue: &Venue, now: Now) -> Result<Engine<D>, Error> {
    let key = venue.exchange().keys().iter().find(|key| key.account == AccountId(1)).unwrap();
    let KeySecret::HmacSha256(secret) = &key.secret else { panic!("a shared secret") };
    Connector::builder(dialect)
        .credentials(Credentials::new(key.key.as_str(), secret.expose()))
        .pairs([pair()])
        .instance(1)
        .order_entry(OrderEntry::Stream)
        .engine(now)
}

fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

fn venue() -> Venue {
    let mut setup = BinanceFace.setup(5);
    for market in &mut setup.markets {
        market.live = None;
    }
    Venue::with_setup(Box::new(BinanceFace), setup).unwrap()
}

impl<D: Dialect> World<D> {
    /// Ready, with the connection for orders live.
    fn new(dialect: D) -> Self {
        let memory = Memory::new(venue(), 5);
        let mut world = Self { memory, id: MachineId(0), events: Vec::new() };
        let engine = engine(dialect, world.memory.venue(), world.memory.now()).unwrap();
        world.id = world.memory.add(engine);
        world.memory.with(world.id, |engine, now| engine.start(now));
        world.until(|world| world.memory.machine(world.id).unwrap().is_ready());
        world.until(Self::is_live);
        world
    }

    fn is_live(&self) -> bool {
        let changes = self.events.iter().rev().filter_map(|event| match event {
            Event::LinkChanged { link, state, .. } if link == "orders" => Some(*state),
            _ => None,
        });
        changes.take(1).any(|state| state == LinkState::Live)
    }

    fn run(&mut self, millis: u64) {
        self.memory.run_for(Duration::from_millis(millis));
        let events = &mut self.events;
        self.memory.with(self.id, |engine, _| events.extend(std::iter::from_fn(|| engine.event())));
    }

    /// Runs until then; how long that took.
    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.memory.now().mono;
        for _ in 0..40_000 {
            if done(self) {
                return self.memory.now().mono.since(start);
            }
            self.run(1);
        }
        panic!("waited in vain; events: {:#?}", self.events);
    }

    fn arm(&mut self, rule: &str) {
        let rule = serde_json::from_str(rule).unwrap();
        self.memory.with_venue(|venue, now| venue.arm(now, rule)).unwrap();
    }

    fn place(&mut self) -> ClientOrderId {
        let order = NewOrder::limit(pair(), Side::Buy, Decimal::new(1, 3), Decimal::from(50_000));
        self.memory.with(self.id, |engine, now| engine.place(now, order)).unwrap().unwrap()
    }

    fn cancel(&mut self, id: &ClientOrderId) {
        self.memory.with(self.id, |engine, now| engine.cancel(now, id)).unwrap().unwrap();
    }

    /// The order's events by name.
    fn told(&self, id: &ClientOrderId) -> Vec<&'static str> {
        let of = self.events.iter().filter(|event| event.order().is_some_and(|o| o.client_order_id == *id));
        of.map(|event| match event {
            Event::OrderCreated(_) => "created",
            Event::OrderUnknown(_) => "unknown",
            Event::OrderFailed(_) => "failed",
            Event::OrderCancelled(_) => "cancelled",
            _ => "other",
        })
        .collect()
    }

    fn ends_as(&mut self, id: &ClientOrderId, expected: &[&str]) -> Duration {
        let took = self.until(|world| world.told(id).last() == expected.last());
        self.run(20_000);
        assert_eq!(self.told(id), expected);
        took
    }

    /// How orders and cancels came to the venue so far.
    fn ways(&self) -> Vec<&'static str> {
        let seen = self.memory.venue().requests();
        seen.filter(|seen| matches!(seen.row, Some("place" | "cancel"))).map(|seen| seen.method).collect()
    }

    /// How many orders of this id the venue has had.
    fn at_venue(&self, id: &ClientOrderId) -> usize {
        let orders = self.memory.venue().exchange().all_orders(AccountId(1), &HistoryQuery::default());
        orders.iter().filter(|order| order.client_id == id.as_str()).count()
    }

    /// The venue's number of the connection for orders: of the WebSocket API, without a subscription.
    fn connection(&self) -> SessionId {
        let mut sessions = self.memory.venue().sessions();
        sessions.find(|session| session.link.name == "user" && session.accounts.is_empty()).unwrap().id
    }

    fn cut(&mut self) {
        let number = self.connection();
        self.arm(&format!(r#"{{"fault":"net.reset","match":{{"connection":{number}}}}}"#));
    }
}

#[test]
fn orders_go_over_their_own_connection_and_its_counters_count() {
    let mut world = World::new(SpotBinance);
    assert_eq!(world.memory.venue().sessions().count(), 3);
    world.arm(r#"{"fault":"limit.spend_by_other","pool":"orders_10s","weight":50}"#);
    let id = world.place();
    world.until(|world| world.told(&id) == ["created"]);
    let limits = world.memory.with(world.id, |engine, now| engine.limits(now)).unwrap();
    let used = limits.iter().find(|pool| pool.name == "orders_10s").unwrap().used;
    assert!(used >= 51, "{limits:?}");
    world.cancel(&id);
    world.ends_as(&id, &["created", "cancelled"]);
    assert_eq!(world.ways(), ["TEXT", "TEXT"]);
}

#[test]
fn without_it_they_go_by_http_at_once_and_return_to_it() {
    let mut world = World::new(SpotBinance);
    world.cut();
    world.until(|world| !world.is_live());
    assert!(world.memory.machine(world.id).unwrap().is_ready(), "nothing depends on it");
    let id = world.place();
    world.until(|world| world.told(&id) == ["created"]);
    world.until(World::is_live);
    world.cancel(&id);
    world.ends_as(&id, &["created", "cancelled"]);
    assert_eq!(world.ways(), ["POST", "TEXT"]);
}

#[test]
fn what_a_lost_connection_leaves_open_is_looked_up_and_never_sent_twice() {
    let window = SpotBinance::SPEC.clock.unwrap().window + SpotBinance::SPEC.visibility;
    for (fault, applied) in [
        (
            r#"{"fault":"net.reset","point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#,
            true,
        ),
        (r#"{"fault":"net.reset","match":{"row":"place"},"trigger":{"count":1}}"#, false),
        (
            r#"{"fault":"http.html_body","point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#,
            true,
        ),
        (r#"{"fault":"http.html_body","match":{"row":"place"},"trigger":{"count":1}}"#, false),
        (r#"{"fault":"http.truncated","match":{"row":"place"},"trigger":{"count":1}}"#, true),
        (r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"count":1}}"#, true),
        (r#"{"fault":"net.drop_request","match":{"row":"place"},"trigger":{"count":1}}"#, false),
    ] {
        let mut world = World::new(SpotBinance);
        // The private stream tells of nothing meanwhile.
        world.arm(r#"{"fault":"ws.mute","match":{"channel":"executionReport"}}"#);
        world.arm(fault);
        let sent = world.memory.now().mono;
        let id = world.place();
        world.until(|world| !world.told(&id).is_empty());
        assert_eq!(world.told(&id), ["unknown"], "{fault}");
        world.until(|world| world.told(&id).len() == 2);
        let took = world.memory.now().mono.since(sent);
        assert_eq!(world.told(&id)[1], if applied { "created" } else { "failed" }, "{fault}");
        assert!(applied || took >= window, "{fault}: given up after {took:?}");
        world.run(60_000);
        assert_eq!(world.at_venue(&id), usize::from(applied), "{fault}");
        assert_eq!(world.ways(), ["TEXT"], "{fault}");
        assert_eq!(world.told(&id).len(), 2, "{fault}");
    }
}

/// What a venue has received it may carry out after the connection has ended.
#[test]
fn an_order_that_is_carried_out_after_its_connection_ended_is_not_given_up_before() {
    let mut world = World::new(SpotBinance);
    world.arm(r#"{"fault":"net.delay","ms":4000,"match":{"row":"place"},"trigger":{"count":1}}"#);
    let id = world.place();
    world.run(500);
    world.cut();
    world.until(|world| world.told(&id) == ["unknown"]);
    world.ends_as(&id, &["unknown", "created"]);
    assert_eq!((world.at_venue(&id), world.ways()), (1, vec!["TEXT"]));
}

#[test]
fn a_connection_is_renewed_only_when_its_answers_have_come() {
    let mut world = World::new(Other::<true>);
    let opened = world.memory.now().mono;
    let at = |world: &World<_>, millis: u64| {
        let due = opened.after(Duration::from_millis(millis));
        u64::try_from(due.since(world.memory.now().mono).as_millis()).unwrap()
    };
    let wait = at(&world, 57_000);
    world.run(wait);
    assert!(world.is_live());
    world.arm(r#"{"fault":"net.delay","ms":4000,"point":"after_apply","match":{"row":"place"},"trigger":{"count":1}}"#);
    world.arm(r#"{"fault":"ws.mute","match":{"channel":"executionReport"},"trigger":{"duration_ms":4500}}"#);
    let late = world.place();
    let wait = at(&world, 59_500);
    world.run(wait);
    assert!(world.is_live() && world.told(&late).is_empty(), "{:?}", world.told(&late));
    let meanwhile = world.place();
    world.until(|world| world.told(&meanwhile) == ["created"]);
    world.until(|world| world.told(&late) == ["created"]);
    assert_eq!(world.ways(), ["TEXT", "POST"]);
    world.until(|world| !world.is_live());
    world.until(World::is_live);
    world.cancel(&late);
    world.ends_as(&late, &["created", "cancelled"]);
    assert_eq!(world.ways(), ["TEXT", "POST", "TEXT"]);
}

/// An answer that never comes takes nothing with it but its connection, after the others on it are answered.
#[test]
fn one_lost_answer_leaves_the_others_alone() {
    let mut world = World::new(SpotBinance);
    world.arm(r#"{"fault":"net.drop_reply","match":{"row":"place"},"trigger":{"nth":1}}"#);
    world.arm(r#"{"fault":"ws.mute","match":{"channel":"executionReport"},"trigger":{"duration_ms":14000}}"#);
    world.arm(r#"{"fault":"net.delay","ms":3000,"point":"after_apply","match":{"row":"place"},"trigger":{"nth":2}}"#);
    let lost = world.place();
    world.run(9_000);
    let other = world.place();
    world.until(|world| world.told(&lost).first() == Some(&"unknown"));
    assert_eq!(world.told(&other), Vec::<&str>::new());
    world.until(|world| world.told(&other) == ["created"]);
    world.ends_as(&lost, &["unknown", "created"]);
    assert_eq!((world.at_venue(&lost), world.at_venue(&other)), (1, 1));
    assert_eq!(world.told(&other), ["created"]);
}

#[test]
fn a_venue_without_it_says_so() {
    let now = Now { mono: Mono(0), utc: UnixNanos::from_millis(1_795_305_600_000) };
    let error = engine(Other::<false>, &venue(), now).map(drop).unwrap_err();
    assert_eq!((error.cause, error.effect), (Cause::Usage, Effect::NotSent));
    assert!(error.to_string().contains("order_entry"), "{error}");
}
