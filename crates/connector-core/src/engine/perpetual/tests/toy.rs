//! A venue of perpetual contracts in a few lines: what it says is words, one message a line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rust_decimal::Decimal;
use smol_str::SmolStr;

use crate::dialect::{
    Auth, BatchRest, BookRule, Channel, ChannelSpec, DecodeError, Dialect, Domain, Draft, Endpoint, Fault,
    FeeRule, Frame, FundingInfoRest, IdRule, KeyKind, Keyring, Kind, LinkRole, LinkSpec, Login, Payload,
    PerpetualRest, PerpetualSpec, Rest, Row, Source, Spec, Stamp, StreamKeyRest, Symbols, VenueError,
};
use crate::engine::{Engine, Trading};
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::journal::{Durability, Journal, MemoryJournal};
use crate::message::{
    BalanceReport, BookMessage, Fee, Fill, FundingInfo, FundingPaid, Level, LeverageBracket,
    LeverageBrackets, LeverageReport, MarginCall, Market, Message, OrderReport, PositionModeReport,
    PositionReport, Refusal, Session, SessionKind, Sink, StreamKey, TradingRule,
};
use crate::order::{OrderState, OrderType, Side, TimeInForce};
use crate::pair::Pair;
use crate::position::{MarginMode, PositionCause, PositionMode, PositionSide};
use crate::time::{Mono, Now, UnixNanos};
use crate::wire::{Action, HttpRequest, HttpResponse, Input, LinkId, Machine, RequestId, TransportError};
use crate::{Connector, Credentials};

#[derive(Clone, Copy, Debug)]
pub(super) struct Toy;

const SOURCE: Source = Source { url: "https://example.com", read: "2026-11-22" };
/// What the key of the private stream is in these tests.
pub(super) const KEY: &str = "sesame";
pub(super) const RENEWAL: Duration = Duration::from_secs(1_800);
/// When each test begins, by both clocks.
pub(super) const BEGIN: i64 = 1_700_000_000_000;

const fn link(name: &'static str, role: LinkRole, login: Login) -> LinkSpec {
    LinkSpec {
        name,
        role,
        login,
        connect_cost: &[],
        login_cost: &[],
        frames_per_second: 10,
        max_subscriptions: 100,
        lifetime: Duration::from_secs(86_400),
        max_silence: Duration::from_secs(86_400),
        source: SOURCE,
    }
}

const fn channel(channel: Channel, link: &'static str) -> ChannelSpec {
    ChannelSpec::new(channel, link, "<symbol>", SOURCE)
}

static SPEC: Spec = Spec {
    name: "toy-perpetual",
    exchange: "Toy",
    kind: Kind::Perpetual,
    perpetual: Some(PerpetualSpec {
        position_modes: &[PositionMode::OneWay, PositionMode::Hedge],
        margin_modes: &[MarginMode::Cross, MarginMode::Isolated],
        funding_delay: Duration::from_secs(30),
        source: SOURCE,
    }),
    domains: &[Domain {
        name: "main",
        rest: "http://toy",
        links: &[("public", "ws://public"), ("market", "ws://market"), ("user", "ws://user/<key>")],
        source: SOURCE,
    }],
    keys: &[KeyKind::HmacSha256],
    pools: &[],
    links: &[
        link("public", LinkRole::Public, Login::None),
        link("market", LinkRole::Public, Login::None),
        link("user", LinkRole::User, Login::Key),
    ],
    channels: &[
        channel(Channel::Book, "public"),
        channel(Channel::Trades, "market"),
        channel(Channel::Funding, "market"),
    ],
    book: BookRule::SnapshotOnly,
    clock: None,
    ids: IdRule { max_len: 36, punctuation: "-", source: SOURCE },
    order_types: &[OrderType::Limit, OrderType::Market],
    times_in_force: &[TimeInForce::Gtc],
    fees: FeeRule { maker_ppm: 200, taker_ppm: 500, from_received: false, source: SOURCE },
    balance_push: false,
    faults: &[
        Fault::no(&["key"], Cause::Credentials),
        Fault::no(&["same"], Cause::Unchanged),
        Fault::no(&["no"], Cause::TradingRule),
        Fault::no(&["stands"], Cause::Position),
    ],
    faults_source: SOURCE,
    visibility: Duration::from_secs(1),
    not_applicable: &[],
};

macro_rules! endpoint {
    ($name:literal, $kind:ident, $auth:ident) => {
        endpoint!($name, $kind, $auth, |_, _| {})
    };
    ($name:literal, $kind:ident, $auth:ident, $encode:expr) => {
        Endpoint::new(Row::$kind($name, $name, Auth::$auth, &[], SOURCE), $encode, decode)
    };
}

static REST: Rest = Rest {
    ping: endpoint!("ping", get, Public),
    server_time: None,
    rules: endpoint!("rules", get, Public),
    last_price: endpoint!("last_price", get, Public),
    book: endpoint!("book", get, Public),
    balances: endpoint!("balances", get, Signed),
    place: endpoint!("place", post, Signed, |query, draft| {
        let side = query.position_side.map(|side| side.to_string()).unwrap_or_default();
        draft.query.push("id", &query.client_order_id);
        draft.query.push("position_side", side);
        draft.query.push("reduce_only", query.reduce_only);
        draft.query.push("contract_size", query.contract_size);
    }),
    cancel: endpoint!("cancel", delete, Signed),
    order: endpoint!("order", get, Signed),
    open_orders: endpoint!("open_orders", get, Signed),
    fills: endpoint!("fills", get, Signed),
    fills_page: 100,
    batch: Some(BatchRest {
        place: endpoint!("place_many", post, Signed, |queries, draft| {
            let ids: Vec<_> = queries.iter().map(|query| query.client_order_id.as_str()).collect();
            draft.query.push("ids", ids.join(" "));
        }),
        most_placed: 3,
        cancel: endpoint!("cancel_many", delete, Signed, |queries, draft| {
            let symbols: BTreeSet<_> = queries.iter().map(|query| query.symbol.clone()).collect();
            assert_eq!(symbols.len(), 1);
            draft.query.push("orders", queries.len());
        }),
        most_cancelled: 2,
    }),
    fees: None,
    stream_key: Some(StreamKeyRest {
        create: endpoint!("stream_key", set, Keyed),
        keep_alive: endpoint!("keep_key", put, Keyed, |query, draft| draft.query.push("key", &query.key)),
        lifetime: Duration::from_secs(3_600),
        renewal: RENEWAL,
    }),
    perpetual: Some(PerpetualRest {
        positions: endpoint!("positions", get, Signed),
        leverage: Some(endpoint!("leverage", get, Signed)),
        set_leverage: endpoint!("set_leverage", set, Signed, |query, draft| {
            draft.query.push("leverage", query.leverage);
        }),
        set_margin_mode: Some(endpoint!("set_margin_mode", set, Signed)),
        brackets: Some(endpoint!("brackets", get, Signed)),
        position_mode: Some(endpoint!("position_mode", get, Signed)),
        set_position_mode: Some(endpoint!("set_position_mode", set, Signed)),
        funding_info: FundingInfoRest::All(endpoint!("funding_info", get, Public)),
        funding_payments: endpoint!("funding_payments", get, Signed, |query, draft| {
            draft.query.push("from", query.from.millis());
            draft.query.push("to", query.to.millis());
        }),
        funding_page: 2,
    }),
};

impl Dialect for Toy {
    const SPEC: &'static Spec = &SPEC;
    const REST: &'static Rest = &REST;

    fn sign(draft: &mut Draft, _: &Keyring, _: Stamp) -> Result<(), Error> {
        draft.query_text = draft.query.encode();
        Ok(())
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        let names: Vec<_> = channels.iter().map(|(channel, _)| format!("{channel:?}")).collect();
        format!("{} {id} {}", if on { "subscribe" } else { "unsubscribe" }, names.join("+"))
    }

    fn login(_: &Keyring, _: Stamp, _: u64) -> Result<String, Error> {
        Err(Error::usage("login", "there is none"))
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        read(frame.bytes, frame.symbols, out);
        Ok(())
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        let text = std::str::from_utf8(body).unwrap();
        let code = text.strip_prefix("error ")?.into();
        Some(VenueError { code, message: "refused".to_owned() })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the type of a decoder")]
fn decode(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    read(payload.bytes, payload.symbols, out);
    Ok(())
}

fn read(bytes: &[u8], symbols: &Symbols, out: &mut (impl Sink + ?Sized)) {
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some((kind, words)) = words.split_first() {
            message(kind, words, symbols, out);
        }
    }
}

pub(super) fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn some<'t, T>(text: &'t str, read: impl FnOnce(&'t str) -> T) -> Option<T> {
    (text != "-").then(|| read(text))
}

/// Milliseconds after the begin of the test.
pub(super) fn at(text: &str) -> UnixNanos {
    UnixNanos::from_millis(BEGIN + text.parse::<i64>().unwrap())
}

fn side(text: &str) -> PositionSide {
    [PositionSide::Long, PositionSide::Short, PositionSide::Both]
        .into_iter()
        .find(|side| side.to_string() == text)
        .unwrap()
}

fn message(kind: &str, words: &[&str], symbols: &Symbols, out: &mut (impl Sink + ?Sized)) {
    let market = || symbols.market(words[0]);
    let session = |kind, id| Message::Session(Session { kind, id, detail: None });
    out.message(match kind {
        "rule" => Message::TradingRule(rule(words[0])),
        "book" => {
            let market = Market::Pair(words[0].parse().unwrap());
            let [bids, asks] =
                [1, 2].map(|place| [Level { price: number(words[place]), amount: Decimal::ONE }]);
            return out.book(BookMessage::snapshot(&market, &bids, &asks));
        }
        "balance" => Message::Balance(BalanceReport {
            asset: words[0].into(),
            total: some(words[1], number),
            available: some(words[2], number),
            time: None,
        }),
        "net" => Message::Position(PositionReport {
            entry_price: some(words[2], number),
            time: some(words[3], at),
            ..PositionReport::net(market(), number(words[1]))
        }),
        "leg" => Message::Position(PositionReport {
            entry_price: some(words[3], number),
            time: some(words[4], at),
            ..PositionReport::leg(market(), side(words[1]), number(words[2]))
        }),
        "fill" => Message::Fill(fill(market(), words)),
        "order" => Message::Order(order(market(), words)),
        "refused" => refused(words[0]),
        "leverage" => leverage(market(), some(words[1], number), None),
        "margin" => leverage(market(), None, Some(MarginMode::Isolated)),
        "mode" => Message::PositionMode(PositionModeReport {
            market: None,
            mode: if words[0] == "hedge" { PositionMode::Hedge } else { PositionMode::OneWay },
        }),
        "bracket" => Message::LeverageBrackets(LeverageBrackets { market: market(), brackets: brackets() }),
        "funding" => Message::FundingInfo(FundingInfo {
            market: market(),
            rate: some(words[1], number),
            next_time: some(words[2], at),
            mark_price: some(words[3], number),
            index_price: None,
            time: None,
        }),
        "paid" => Message::FundingPayment(FundingPaid {
            market: market(),
            amount: number(words[1]),
            asset: "USDT".into(),
            rate: None,
            time: at(words[2]),
            payment_id: some(words[3], Into::into),
        }),
        "key" => Message::StreamKey(StreamKey { key: words[0].into() }),
        "call" => Message::MarginCall(MarginCall {
            market: market(),
            side: PositionSide::Long,
            amount: Decimal::ONE,
            maintenance_margin: None,
            mark_price: None,
        }),
        "expired" => session(SessionKind::Expired, None),
        "subscribed" => session(SessionKind::Subscribed, Some(words[0].parse().unwrap())),
        "skipped" => Message::Skipped { error: words.join(" ") },
        other => panic!("{other}"),
    });
}

fn rule(pair: &str) -> TradingRule {
    TradingRule {
        pair: pair.parse().unwrap(),
        exchange_symbol: pair.into(),
        min_amount: None,
        max_amount: None,
        amount_step: Some(number("0.001")),
        price_step: Some(number("0.1")),
        min_price: None,
        max_price: None,
        min_notional: Some(number("5")),
        contract_size: None,
        collateral: Some("USDT".into()),
        tradable: true,
    }
}

fn leverage(market: Market, leverage: Option<Decimal>, margin_mode: Option<MarginMode>) -> Message {
    Message::Leverage(LeverageReport { market, leverage, margin_mode })
}

/// Up to 100 of notional at 50, up to 1000 at 10.
fn brackets() -> Vec<LeverageBracket> {
    let bracket = |floor: &str, cap: &str, most: &str| LeverageBracket {
        floor: number(floor),
        cap: Some(number(cap)),
        max_leverage: number(most),
        maintenance_ratio: number("0.01"),
        deduction: Decimal::ZERO,
    };
    vec![bracket("0", "100", "50"), bracket("100", "1000", "10")]
}

/// `pair id trade side price amount time leg cause`.
fn fill(market: Market, words: &[&str]) -> Fill {
    let causes = [PositionCause::Liquidation, PositionCause::AutoDeleverage, PositionCause::Settlement];
    let amount = number(words[5]);
    Fill {
        market,
        client_order_id: some(words[1], Into::into),
        exchange_order_id: None,
        trade_id: words[2].into(),
        side: if words[3] == "buy" { Side::Buy } else { Side::Sell },
        price: number(words[4]),
        amount,
        fee: Some(Fee { asset: "USDT".into(), amount: Decimal::ZERO }),
        maker: None,
        position_side: some(words[7], side),
        cause: some(words[8], |word| causes.into_iter().find(|cause| cause.to_string() == word).unwrap()),
        time: some(words[6], at),
    }
}

/// `code`, as in the faults of this venue.
fn refused(code: &str) -> Message {
    let fault = SPEC.fault(code, "");
    let (cause, effect) = fault.map_or((Cause::Other, Effect::Unknown), |fault| (fault.cause, fault.effect));
    Message::Refusal(Refusal { id: None, code: Some(code.into()), message: code.to_owned(), effect, cause })
}

/// `pair id state`.
fn order(market: Market, words: &[&str]) -> OrderReport {
    OrderReport {
        market,
        client_order_id: some(words[1], Into::into),
        exchange_order_id: some(words[1], |id| format!("x{id}").as_str().into()),
        state: match words[2] {
            "open" => OrderState::Open,
            "filled" => OrderState::Filled,
            _ => OrderState::Cancelled,
        },
        side: None,
        order_type: None,
        price: None,
        amount: None,
        filled_amount: None,
        reason: None,
        time: None,
    }
}

/// An engine, and a venue that says what it was told to say.
pub(super) struct Bench {
    pub(super) engine: Engine<Toy>,
    pub(super) now: Now,
    /// What is answered, by the name of the request; changed by tests at will.
    pub(super) answers: BTreeMap<&'static str, String>,
    /// Answers that are given once before those.
    pub(super) once: BTreeMap<&'static str, VecDeque<String>>,
    /// Requests that are not answered until the test does.
    pub(super) held: BTreeSet<&'static str>,
    pub(super) waiting: Vec<(RequestId, HttpRequest)>,
    /// Every request sent: its name and its query.
    pub(super) asked: Vec<(String, String)>,
    /// Links that are open, with their URLs; links that are to be refused with a text.
    pub(super) links: BTreeMap<LinkId, String>,
    pub(super) subscriptions: Vec<String>,
    pub(super) connects: usize,
    pub(super) events: Vec<Event>,
    journal: MemoryJournal,
}

pub(super) fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

impl Bench {
    /// An engine that has not started.
    pub(super) fn new(journal: &MemoryJournal, after: i64) -> Self {
        Self::durable(journal, after, Durability::default())
    }

    /// One whose orders wait so long for the journal.
    pub(super) fn durable(journal: &MemoryJournal, after: i64, durability: Durability) -> Self {
        let now = Now { utc: UnixNanos::from_millis(BEGIN + after), mono: Mono(1_000_000_000) };
        let journal = journal.reopened();
        let engine = Connector::builder(Toy)
            .pairs([pair()])
            .credentials(Credentials::new("name", "secret"))
            .journal(journal.clone())
            .durability(durability)
            .engine(now)
            .unwrap();
        let answers = [
            ("rules", "rule BTC-USDT\nrule ETH-USDT"),
            ("balances", "balance USDT 1000 1000"),
            ("open_orders", ""),
            ("order", "error no"),
            ("fills", ""),
            ("last_price", ""),
            ("book", ""),
            ("stream_key", "key sesame"),
            ("keep_key", ""),
            ("positions", ""),
            ("leverage", "leverage BTC-USDT 10\nleverage ETH-USDT 20"),
            ("brackets", "bracket BTC-USDT\nbracket ETH-USDT"),
            ("position_mode", "mode one_way"),
            ("set_leverage", ""),
            ("set_margin_mode", ""),
            ("set_position_mode", ""),
            ("funding_info", "funding BTC-USDT 0.0001 3600000 100\nfunding ETH-USDT 0.0001 3600000 10"),
            ("funding_payments", ""),
        ];
        Self {
            engine,
            now,
            answers: answers.into_iter().map(|(name, text)| (name, text.to_owned())).collect(),
            once: BTreeMap::new(),
            held: BTreeSet::new(),
            waiting: Vec::new(),
            asked: Vec::new(),
            links: BTreeMap::new(),
            subscriptions: Vec::new(),
            connects: 0,
            events: Vec::new(),
            journal,
        }
    }

    /// One that is ready.
    pub(super) fn ready() -> Self {
        let mut bench = Self::new(&MemoryJournal::new(), 0);
        bench.start();
        bench.events.clear();
        bench.asked.clear();
        bench
    }

    pub(super) fn start(&mut self) {
        self.engine.start(self.now);
        self.pump();
        self.say("public", "book BTC-USDT 99.9 100.1");
        assert_eq!(self.engine.missing(), Vec::<String>::new());
        assert!(self.engine.is_ready());
    }

    pub(super) fn answer(&mut self, name: &'static str, text: &str) {
        self.answers.insert(name, text.to_owned());
    }

    pub(super) fn answer_once(&mut self, name: &'static str, text: &str) {
        self.once.entry(name).or_default().push_back(text.to_owned());
    }

    /// Does everything that is to be done now.
    pub(super) fn pump(&mut self) {
        loop {
            let entries: Vec<_> = std::iter::from_fn(|| self.engine.record()).collect();
            if let Some(last) = entries.last() {
                self.journal.append(&entries).unwrap();
                self.engine.recorded(self.now, last.sequence);
            }
            let Some(action) = self.engine.action() else { break };
            match action {
                Action::Http { id, request, .. } => self.take(id, request),
                Action::Connect { link, url, .. } => {
                    self.connects += 1;
                    self.links.insert(link, url);
                    self.engine.input(self.now, Input::Opened { link });
                }
                Action::Send { link, text } => {
                    let id = text.split(' ').nth(1).unwrap().to_owned();
                    self.subscriptions.push(format!("{} {text}", self.links[&link]));
                    let mut bytes = format!("subscribed {id}").into_bytes();
                    self.engine.input(self.now, Input::Frame { link, bytes: &mut bytes });
                }
                Action::Close { link } => drop(self.links.remove(&link)),
            }
        }
        self.events.extend(std::iter::from_fn(|| self.engine.event()));
    }

    fn take(&mut self, id: RequestId, request: HttpRequest) {
        self.asked.push((request.path.clone(), request.query.clone()));
        let path = request.path.clone();
        if self.held.contains(path.as_str()) {
            return self.waiting.push((id, request));
        }
        let once = self.once.get_mut(path.as_str()).and_then(VecDeque::pop_front);
        let text = once
            .unwrap_or_else(|| self.answers.get(path.as_str()).cloned().unwrap_or_else(|| panic!("{path}")));
        self.give(id, &text);
    }

    /// Answers a request: with words, or not at all.
    pub(super) fn give(&mut self, id: RequestId, text: &str) {
        let result = match text {
            "timeout" => Err(TransportError::Timeout),
            "broken" => Err(TransportError::NotSent("no network".to_owned())),
            _ => {
                let status = if text.starts_with("error") { 400 } else { 200 };
                Ok(HttpResponse { status, headers: Vec::new(), body: text.as_bytes().to_vec() })
            }
        };
        self.engine.input(self.now, Input::Http { id, result });
    }

    /// Answers what was held back.
    pub(super) fn release(&mut self, name: &'static str, text: &str) {
        self.held.remove(name);
        let (due, rest) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, request)| request.path == name);
        self.waiting = rest;
        let due: Vec<(RequestId, HttpRequest)> = due;
        for (id, _) in due {
            self.give(id, text);
        }
        self.pump();
    }

    pub(super) fn link(&self, name: &str) -> LinkId {
        *self.links.iter().find(|(_, url)| url.contains(name)).unwrap().0
    }

    /// A stream says something.
    pub(super) fn say(&mut self, link: &str, text: &str) {
        let link = self.link(link);
        let mut bytes = text.as_bytes().to_vec();
        self.engine.input(self.now, Input::Frame { link, bytes: &mut bytes });
        self.pump();
    }

    /// A stream breaks.
    pub(super) fn cut(&mut self, link: &str, reason: &str) {
        let link = self.link(link);
        self.links.remove(&link);
        self.engine.input(self.now, Input::Closed { link, reason: reason.to_owned() });
        self.pump();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        while let Some(due) = self.engine.deadline().filter(|due| *due <= end) {
            self.step(due.max(self.now.mono));
        }
        self.step(end);
    }

    fn step(&mut self, to: Mono) {
        let passed = i64::try_from(to.since(self.now.mono).as_nanos()).unwrap();
        self.now = Now { mono: to, utc: self.now.utc.offset(passed) };
        self.engine.wake(self.now);
        self.pump();
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.asked.iter().filter(|(asked, _)| asked == name).count()
    }

    /// What was told since the last time, without what is not about perpetual contracts.
    pub(super) fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.events);
        told.iter().filter_map(short).collect()
    }
}

/// An event in a few words.
fn short(event: &Event) -> Option<String> {
    Some(match event {
        Event::PositionChanged(e) => {
            let cause = e.cause.map_or("found".to_owned(), |cause| cause.to_string());
            format!("{} {} {} {cause}", e.pair, e.side, e.amount)
        }
        Event::FundingPaid(e) => {
            format!("paid {} {} {}", e.pair, e.amount, e.payment_id.as_deref().unwrap_or("-"))
        }
        Event::FundingChanged(e) => format!("funding {}", e.rate.unwrap_or_default()),
        Event::LeverageChanged(e) => format!("leverage {} {}", e.pair, e.leverage),
        Event::LeverageRefused(e) => format!("leverage refused {:?} {:?}", e.error.cause, e.error.effect),
        Event::MarginModeChanged(e) => format!("margin {} {}", e.pair, e.margin_mode),
        Event::MarginModeRefused(e) => format!("margin refused {:?}", e.error.cause),
        Event::PositionModeChanged(e) => format!("mode {}", e.mode),
        Event::PositionModeRefused(e) => format!("mode refused {:?}", e.error.cause),
        Event::MarginCalled(e) => format!("called {}", e.pair),
        _ => return None,
    })
}
