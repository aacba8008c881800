//! The engine: everything a connector does, as a value that is driven by inputs and yields actions.
//!
//! It owns what is the same for all venues: paging, retries, rate limits, time synchronisation, subscriptions, reconnects
//! with recovery, book sequencing, order tracking and unknown outcomes. What differs it reads from a [`Dialect`]. It reads no
//! clock and opens no socket, so the same engine runs on the network, in memory under virtual time, and on recordings.

mod account;
mod amending;
mod batch;
mod classify;
mod keys;
mod links;
mod market;
mod meter;
mod pace;
mod perpetual;
mod recorder;
mod requests;
mod reservations;
mod trading;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use smol_str::SmolStr;

use crate::client_id::ClientIds;
use crate::dialect::{Dialect, Domain, Keyring, Symbols};
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::fee::FeeSchedule;
use crate::journal::RestoredOrder;
use crate::message::{FeeRates, Level, Message, TradingRule};
use crate::mutants::{self, Mutant};
use crate::order::{Tracker, TrackerLimits};
use crate::pair::Pair;
use crate::position::PositionSide;
use crate::recording::Tap;
use crate::throttle::{Settings, Throttler};
use crate::time::{Mono, Now, UnixNanos};
use crate::time_sync::TimeSync;
use crate::wire::{Action, Input, Machine};

pub use account::Balance;
pub use classify::classify;
pub use market::{BookView, FeedState};
pub use meter::Meter;
pub use perpetual::MarginSettings;
pub use recorder::JournalConfig;
pub use requests::OrderEntry;
pub use trading::Trading;

use account::{AUDIT_BUSY, Holdings};
use amending::Amends;
use keys::StreamKeys;
use links::Link;
use market::Feeds;
use perpetual::Perpetual;
use recorder::Recorder;
use requests::{Job, Requests};

/// What an engine is told at birth.
#[derive(Debug)]
pub struct Config {
    /// Where the venue is: from [`Spec::domains`](crate::dialect::Spec::domains), with URLs the user may have replaced.
    pub urls: Urls,
    /// Who trades; `None` reads market data only.
    pub keys: Option<Keyring>,
    /// Pairs whose books and trades are followed.
    pub pairs: Vec<Pair>,
    /// Broker or strategy prefix of client order ids; may be empty.
    pub order_id_prefix: String,
    /// Differs between the instances on an account; with the start time it makes client order ids unique.
    pub instance: u32,
    /// Per cent of the venue's limits this instance may use.
    pub limit_share: u8,
    /// Levels per side asked for in book snapshots.
    pub book_depth: u32,
    /// Longest wait for an answer.
    pub request_timeout: Duration,
    /// How orders and cancels go to the venue.
    pub order_entry: OrderEntry,
    /// The recorder; `None` records nothing.
    pub journal: Option<JournalConfig>,
    /// Where to count; nowhere by default.
    pub meter: Meter,
    /// Where raw market data goes; nowhere by default.
    pub tap: Tap,
}

/// The addresses of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// Base URL of requests.
    pub rest: String,
    /// URL of each link, by name.
    pub links: Vec<(SmolStr, String)>,
}

impl Urls {
    /// The URL of a link.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&str> {
        self.links.iter().find(|(known, _)| known == name).map(|(_, url)| url.as_str())
    }
}

impl From<&Domain> for Urls {
    fn from(domain: &Domain) -> Self {
        Self {
            rest: domain.rest.to_owned(),
            links: domain.links.iter().map(|(name, url)| (SmolStr::new(*name), (*url).to_owned())).collect(),
        }
    }
}

/// How far an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading clock, rules and balances for the first time.
    Starting,
    /// At work; whether everything is live is another question, see [`Trading::is_ready`].
    Running,
    /// Given up: the configuration cannot work. Nothing more is sent.
    Failed(Error),
}

/// The engine of one connector.
pub struct Engine<D> {
    config: Config,
    phase: Phase,
    symbols: Symbols,
    rules: BTreeMap<Pair, TradingRule>,
    fees: BTreeMap<Pair, FeeRates>,
    /// The venue's default.
    declared_fees: FeeSchedule,
    holdings: Holdings,
    feeds: Feeds,
    tracker: Tracker,
    ids: ClientIds,
    recorder: Recorder,
    amends: Amends,
    perpetual: Perpetual,
    keys: StreamKeys,
    /// No order is sent any more.
    stopping: bool,
    /// Orders of earlier runs, until the venue can be asked about them.
    restored: Vec<RestoredOrder>,
    throttler: Throttler,
    clock: TimeSync,
    /// When rules may be read again on suspicion; whether that is planned.
    rules_rest: (Mono, bool),
    /// After a failure the venue's clock is left alone until then.
    clock_rests_until: Mono,
    requests: Requests,
    links: Vec<Link>,
    /// What the user link still has to read before it is live again.
    recovery: Vec<Job>,
    /// When that began.
    recovery_since: Mono,
    /// When the private stream last said anything about the account.
    account_heard: Mono,
    user_link_doubted: bool,
    next_link: u64,
    timers: BTreeMap<(Mono, u64), Timer>,
    next_timer: u64,
    random: u64,
    was_ready: bool,
    /// When a problem of each kind was last told.
    reported: BTreeMap<SmolStr, Mono>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    scratch: Scratch,
    dialect: std::marker::PhantomData<D>,
}

/// Buffers that are reused from frame to frame.
#[derive(Default)]
struct Scratch {
    bids: Vec<Level>,
    asks: Vec<Level>,
    cold: Vec<Message>,
    stale: Vec<Pair>,
}

/// Something to do later.
#[derive(Clone, Debug)]
enum Timer {
    /// Ask again.
    Retry(Job, u32),
    /// Ask periodically.
    Refresh(Job, Duration),
    /// Open a link again.
    Reconnect(usize),
    /// Subscribe the next pairs on the link with this index.
    Subscriptions(usize),
    /// Look at silent feeds.
    WatchFeeds,
    /// Read the rules, as something said that they have changed.
    Rules,
    /// The stream of a pair must have reached this update id.
    Missed(Pair, u64),
    /// The stream of a pair must have told a trade.
    MissedTrade(Pair),
    /// Compare the account with the venue.
    Audit,
    /// The private stream must have brought something since.
    DoubtUserLink(Mono),
    /// See whether the venue's balances have caught up with our orders.
    WatchBalances,
    /// Ask for the balances, as the account has moved.
    Balances,
    /// Keep the key of this number alive.
    KeepKey(u64),
    /// A position's change has waited long enough for its reason.
    Unexplained(Pair, PositionSide),
    /// Look at what funding is due.
    WatchFunding,
    /// Read the funding payments.
    FetchPayments,
}

/// How often rules are read again.
const RULES_PERIOD: Duration = Duration::from_secs(1_800);
/// How often balances are read where the venue does not push them.
const BALANCES_PERIOD: Duration = Duration::from_secs(15);
/// Least time between readings of the rules on suspicion.
const RULES_GAP: Duration = Duration::from_secs(10);
/// How often a problem of the same kind is told.
const REPORT_PERIOD: Duration = Duration::from_secs(60);
/// Kinds of problem told within that time; beyond them nothing more is told until some are older.
const MAX_REPORTED: usize = 256;

impl<D: Dialect> Engine<D> {
    /// An engine at rest, made at `now`.
    ///
    /// # Errors
    /// The configuration or the dialect's declarations contradict themselves: a cost names an unknown pool, or client
    /// order ids with this prefix would not be unique.
    pub fn new(mut config: Config, now: Now) -> Result<Self, Error> {
        let spec = D::SPEC;
        let throttler =
            Throttler::new(spec.pools, Settings { share: config.limit_share, ..Settings::default() })
                .map_err(|error| error.at(spec.name))?;
        let batched = |row: &crate::dialect::Row| {
            D::REST.batch.iter().any(|batch| batch.rows().any(|known| known == row))
        };
        let rows = D::REST.rows().filter(|row| !batched(row)).map(|row| (row.name, row.costs));
        let links =
            spec.links.iter().flat_map(|link| [(link.name, link.connect_cost), (link.name, link.login_cost)]);
        for (operation, costs) in rows.chain(links) {
            throttler.check(operation, costs).map_err(|error| error.at(spec.name))?;
        }
        requests::check_calls::<D>(&throttler, config.order_entry).map_err(|error| error.at(spec.name))?;
        batch::check::<D>(&throttler).map_err(|error| error.at(spec.name))?;
        perpetual::check::<D>().map_err(|error| error.at(spec.name))?;
        let recorder = Recorder::new(config.journal.as_ref());
        let mut started = now.utc;
        let mut restored = Vec::new();
        let run = config.journal.as_ref().map(|journal| &journal.run);
        let perpetual = Perpetual::new::<D>(run, now.utc);
        if let Some(journal) = config.journal.take() {
            config.instance = journal.run.instance;
            started = journal.run.started;
            restored = journal.run.orders;
        }
        if mutants::is(Mutant::IdsRepeat) {
            started = UnixNanos::default();
        }
        let ids = ClientIds::new(&spec.ids, &config.order_id_prefix, config.instance, started)
            .map_err(|error| error.at(spec.name))?;
        Ok(Self {
            random: u64::from(config.instance) ^ now.utc.0.unsigned_abs(),
            config,
            phase: Phase::Starting,
            symbols: Symbols::default(),
            rules: BTreeMap::new(),
            fees: BTreeMap::new(),
            declared_fees: FeeSchedule::from(&spec.fees),
            holdings: Holdings::new(spec.balance_push, spec.visibility, Self::is_perpetual()),
            feeds: Feeds::default(),
            tracker: Tracker::new(TrackerLimits::default()).named(spec.name),
            ids,
            recorder,
            amends: Amends::default(),
            perpetual,
            keys: StreamKeys::default(),
            stopping: false,
            restored,
            throttler,
            clock: TimeSync::default(),
            rules_rest: (Mono::default(), false),
            clock_rests_until: Mono::default(),
            requests: Requests::default(),
            links: Vec::new(),
            recovery: Vec::new(),
            recovery_since: Mono::default(),
            account_heard: Mono::default(),
            user_link_doubted: false,
            next_link: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            was_ready: false,
            reported: BTreeMap::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            scratch: Scratch::default(),
            dialect: std::marker::PhantomData,
        })
    }

    const fn trades(&self) -> bool {
        self.config.keys.is_some()
    }

    /// Whether the venue's clock matters here, and can be read.
    fn keeps_time(&self) -> bool {
        self.phase == Phase::Running && D::REST.server_time.is_some() && D::SPEC.clock.is_some()
    }

    fn set_timer(&mut self, at: Mono, timer: Timer) {
        self.timers.insert((at, self.next_timer), timer);
        self.next_timer += 1;
    }

    /// A pseudo-random number for jitter (SplitMix64); reproducible from the instance and the start time.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Exponential backoff from `first` to `cap`, with up to a quarter of jitter.
    fn backoff(&mut self, first: Duration, cap: Duration, attempt: u32) -> Duration {
        let wait = first.saturating_mul(1_u32 << attempt.min(16)).min(cap);
        let jitter = self.random() % (u64::try_from(wait.as_nanos() / 4).unwrap_or(u64::MAX).max(1));
        wait + Duration::from_nanos(jitter)
    }

    fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells a problem of each kind at most once a minute, so that a venue that misbehaves a thousand times a second is heard
    /// once, and a second outage is heard as well.
    fn report(&mut self, now: Now, key: &str, error: Error) {
        let recent = |told: &Mono| now.mono.since(*told) < REPORT_PERIOD;
        if self.reported.get(key).is_some_and(recent) {
            return;
        }
        if self.reported.len() >= MAX_REPORTED {
            self.reported.retain(|_, told| recent(told));
            if self.reported.len() >= MAX_REPORTED {
                return;
            }
        }
        self.reported.insert(SmolStr::new(key), now.mono);
        let error = error.at(D::SPEC.name);
        tracing::warn!(venue = D::SPEC.name, %error, "problem");
        self.emit(Event::problem(now.utc, error));
    }

    /// Hands raw market data to the recording. What that cannot take is counted, and told like any problem.
    fn tap(&mut self, now: Now, bytes: &[u8], pair: Option<&Pair>) {
        let about = pair.and_then(|pair| Some((self.symbols.symbol(pair)?.clone(), pair.clone())));
        if let Err(error) = self.config.tap.take(now.utc, bytes, about) {
            self.report(now, "record market data", error);
        }
    }

    /// Gives up: nothing more is sent.
    fn fail(&mut self, now: Now, error: Error) {
        let error = error.at(D::SPEC.name);
        tracing::error!(venue = D::SPEC.name, %error, "gave up");
        self.emit(Event::problem(now.utc, error.clone()));
        self.phase = Phase::Failed(error);
        self.requests.forget_waiting();
        self.timers.clear();
        self.close_all_links();
    }

    fn run_timer(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::Retry(Job::Book(pair), _) if !self.feeds.contains(&pair) => {}
            Timer::Retry(job, attempt) => self.request_again(now, job, attempt),
            Timer::Rules => self.demand_rules(now),
            Timer::Refresh(job, period) => {
                self.set_timer(now.mono.after(period), Timer::Refresh(job.clone(), period));
                self.request(now, job);
            }
            Timer::Reconnect(index) => self.connect(now, index),
            Timer::Subscriptions(index) => self.send_subscriptions(now, index),
            Timer::WatchFeeds => self.watch_feeds(now),
            Timer::Missed(pair, id) => self.check_missed(now, &pair, id),
            Timer::MissedTrade(pair) => self.check_missed_trade(now, &pair),
            Timer::Audit => self.audit(now),
            Timer::DoubtUserLink(asked) => self.check_user_link(now, asked),
            Timer::WatchBalances => self.watch_balances(now),
            Timer::Balances => self.ask_balances(now),
            Timer::KeepKey(generation) => self.keep_key(now, generation),
            Timer::Unexplained(pair, side) => self.give_reason(now, &pair, side),
            Timer::WatchFunding => self.watch_funding(now),
            Timer::FetchPayments => self.fetch_payments(now),
        }
    }

    /// Whatever may have become due or possible by the turn just taken.
    fn settle(&mut self, now: Now) {
        self.serve_orders(now);
        self.serve_settings(now);
        self.serve_throttler(now);
        let ready = self.is_ready();
        if ready != self.was_ready {
            self.was_ready = ready;
            tracing::info!(venue = D::SPEC.name, ready, "readiness changed");
            self.emit(Event::Ready { time: now.utc, ready });
        }
    }

    fn venue_time(&self, now: Now) -> UnixNanos {
        self.clock.venue_time(now)
    }

    /// The start continues here whenever one of its answers has arrived.
    fn advance_start(&mut self, now: Now, done: &Job) {
        if self.phase != Phase::Starting {
            return;
        }
        match done {
            Job::ServerTime => self.request(now, Job::Rules),
            Job::Rules => {
                // All at once: none of them needs another's answer.
                self.start_perpetual(now);
                if self.trades() {
                    self.request(now, Job::Balances);
                } else if self.perpetual_started(done) {
                    self.begin_work(now);
                }
            }
            done => {
                if self.perpetual_started(done) && (!self.trades() || self.holdings.known()) {
                    self.begin_work(now);
                }
            }
        }
    }

    fn begin_work(&mut self, now: Now) {
        self.phase = Phase::Running;
        for pair in self.config.pairs.clone() {
            if let Err(error) = self.add_feed(&pair) {
                return self.fail(now, error);
            }
        }
        self.take_up_orders(now);
        self.plan_links();
        for index in 0..self.links.len() {
            self.connect(now, index);
        }
        self.set_timer(now.mono.after(RULES_PERIOD), Timer::Refresh(Job::Rules, RULES_PERIOD));
        self.watch_feeds(now);
        if self.trades() {
            self.set_timer(now.mono.after(AUDIT_BUSY), Timer::Audit);
            if !D::SPEC.balance_push {
                self.set_timer(
                    now.mono.after(BALANCES_PERIOD),
                    Timer::Refresh(Job::Balances, BALANCES_PERIOD),
                );
            }
            if D::REST.fees.is_some() {
                for pair in self.config.pairs.clone() {
                    self.request(now, Job::Fees(pair));
                }
            }
        }
        if Self::is_perpetual() {
            self.begin_perpetual(now);
        }
    }
}

impl<D: Dialect> Machine for Engine<D> {
    fn input(&mut self, now: Now, input: Input<'_>) -> bool {
        if matches!(self.phase, Phase::Failed(_)) {
            return false;
        }
        match input {
            Input::Http { id, result } => self.on_response(now, id, result),
            Input::Opened { link } => self.on_opened(now, link),
            Input::Frame { link, bytes } => {
                if !self.on_frame(now, link, bytes) {
                    return false;
                }
            }
            Input::Alive { link } => self.on_alive(now, link),
            Input::Closed { link, reason } => self.on_closed(now, link, &reason),
        }
        self.settle(now);
        true
    }

    fn wake(&mut self, now: Now) {
        if matches!(self.phase, Phase::Failed(_)) {
            return;
        }
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now.mono) {
            let timer = entry.remove();
            self.run_timer(now, timer);
        }
        if self.keeps_time() && self.clock.is_due(now) && self.clock_rests_until <= now.mono {
            self.request(now, Job::ServerTime);
        }
        self.watch_links(now);
        self.watch_calls(now);
        self.watch_recorder(now);
        self.settle(now);
    }

    fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Mono> {
        if matches!(self.phase, Phase::Failed(_)) {
            return None;
        }
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        // While the venue's clock is being asked, its answer is the next thing to happen.
        let asks = self.keeps_time() && !self.requests.has(&Job::ServerTime);
        let clock = asks.then(|| self.clock.due_at().unwrap_or_default().max(self.clock_rests_until));
        [
            timer,
            clock,
            self.throttler.deadline(),
            self.tracker.deadline(),
            self.links_deadline(),
            self.requests.calls_deadline(),
            self.recorder.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// An error for a pair the venue does not have.
fn unknown_pair(pair: &Pair) -> Error {
    Error::new(Cause::Market, Effect::NotSent, "pair", "the venue does not list this pair")
        .about(pair.as_str())
}
