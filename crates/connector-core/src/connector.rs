//! What a user holds: a connector to one venue.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use smol_str::SmolStr;

use crate::book::BookWatch;
use crate::budget::{Adjusted, Candidate, Mode};
use crate::dialect::{Dialect, Domain, Keyring, Spec};
use crate::engine::{
    Balance, BookView, Config, Engine, JournalConfig, MarginSettings, OrderEntry, Phase, Trading, Urls,
};
use crate::error::{Cause, Effect, Error};
use crate::funding::FundingState;
use crate::id::ClientOrderId;
use crate::journal::{Durability, History, Journal, Scope, SharedJournal};
use crate::message::{BestPrice, FeeRates, LeverageBracket, TradingRule};
use crate::net::{Driver, read_utc};
use crate::order::{NewOrder, OrderState, OrderType, Side, TrackedOrder};
use crate::pair::{Asset, Pair};
use crate::position::{MarginMode, Position, PositionMode, PositionSide};
use crate::recording::{RawSink, Recorded, SharedSink, Tap};
use crate::secret::Credentials;
use crate::streams::{Events, LimitChanges};
use crate::throttle::PoolUsage;
use crate::time::{Now, UnixNanos};

/// Builds a [`Connector`]. Everything but the dialect is optional.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<D> {
    dialect: PhantomData<D>,
    domain: Option<String>,
    urls: Option<Urls>,
    credentials: Option<Credentials>,
    pairs: Vec<Pair>,
    order_id_prefix: String,
    limit_share: u8,
    book_depth: u32,
    request_timeout: Duration,
    order_entry: OrderEntry,
    connect_timeout: Duration,
    event_capacity: usize,
    instance: Option<u32>,
    journal: Option<SharedJournal>,
    account: Option<SmolStr>,
    durability: Durability,
    recording: Option<SharedSink>,
    #[cfg(feature = "metrics")]
    metrics: Option<crate::metrics::Metrics>,
}

impl<D: Dialect> Builder<D> {
    /// The domain to use, by name; the dialect's first by default.
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domain = Some(name.into());
        self
    }

    /// Other addresses than the domain's, such as an embedded venue's.
    pub fn urls(mut self, urls: Urls) -> Self {
        self.urls = Some(urls);
        self
    }

    /// Who trades. Without credentials the connector reads market data only.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Pairs whose books and trades are followed.
    pub fn pairs(mut self, pairs: impl IntoIterator<Item = Pair>) -> Self {
        self.pairs.extend(pairs);
        self
    }

    /// Prefix of client order ids, such as a broker's.
    pub fn order_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.order_id_prefix = prefix.into();
        self
    }

    /// Per cent of the venue's limits this connector may use (1 to 100), where several share a key or an address.
    pub fn limit_share(mut self, percent: u8) -> Self {
        self.limit_share = percent;
        self
    }

    /// Levels per side asked for in book snapshots; 1000 by default.
    pub fn book_depth(mut self, levels: u32) -> Self {
        self.book_depth = levels;
        self
    }

    /// Longest wait for the answer to a request; 10 s by default.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How orders and cancels go to the venue; [`OrderEntry::Rest`] by default.
    pub fn order_entry(mut self, entry: OrderEntry) -> Self {
        self.order_entry = entry;
        self
    }

    /// Longest wait in [`connect`](Self::connect) until everything is live; 30 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Events kept for a slow reader before it is told that it lagged; 16,384 by default.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events.max(1);
        self
    }

    /// A number that no other instance on the account uses, in place of one drawn from the clock and the process.
    pub fn instance(mut self, instance: u32) -> Self {
        self.instance = Some(instance);
        self
    }

    /// Records orders, fills and status changes, and takes up orders that an earlier run of the same
    /// [`account`](Self::account) left open. One connector at a time uses an account of a journal.
    pub fn journal(mut self, journal: impl Journal + 'static) -> Self {
        self.journal = Some(SharedJournal::new(journal));
        self
    }

    /// The name under which the journal keeps this account; the domain's name by default. Needed where one journal serves
    /// several accounts of the venue; it stays the same when keys are replaced.
    pub fn account(mut self, name: impl AsRef<str>) -> Self {
        self.account = Some(SmolStr::new(name));
        self
    }

    /// What has to be stored before an order is sent; [`Durability::Behind`] by default. Without effect without a journal.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Records market data: every public frame and every book snapshot, raw, with the local time it came at. One connector at
    /// a time uses a sink. See [`recording`](crate::recording).
    pub fn record_market_data(mut self, sink: impl RawSink + 'static) -> Self {
        self.recording = Some(SharedSink::new(sink));
        self
    }

    /// Counts what this connector does. Keep a clone: it answers also after the connector has ended, and may go on to the
    /// next one. The label `account` is that of [`account`](Self::account).
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: crate::metrics::Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The engine alone, for drivers other than the network: an in-memory venue, a replay. With a journal it begins a run;
    /// whoever drives it hands on what [`Trading::record`] yields.
    ///
    /// # Errors
    /// [`Cause::Storage`], [`Cause::Usage`] or [`Cause::Credentials`], nothing sent: domain or link unknown, malformed credentials, an
    /// impossible prefix.
    pub fn engine(&self, now: Now) -> Result<Engine<D>, Error> {
        let mut config = self.config().map_err(|error| error.at(D::SPEC.name))?;
        if let Some((journal, scope)) = self.scoped_journal()? {
            config.journal = Some(begin(&journal, &scope, self.instance, self.durability, now.utc)?);
        }
        Engine::new(config, now)
    }

    /// Connects and waits until everything is live.
    ///
    /// # Errors
    /// One clear error: malformed or refused credentials, a pair the venue does not list, an unreachable or wrong host; or
    /// [`Cause::Timeout`], naming what is not live yet.
    pub async fn connect(self) -> Result<Connector, Error> {
        let mut config = self.config().map_err(|error| error.at(D::SPEC.name))?;
        let journal = self.scoped_journal()?;
        let mut history = None;
        if let Some((journal, scope)) = journal.clone() {
            let (instance, durability, now) = (self.instance, self.durability, read_utc());
            let opened = tokio::task::spawn_blocking(move || {
                let run = begin(&journal, &scope, instance, durability, now)?;
                Ok::<_, Error>((run, journal.lock().history()?))
            });
            let opened = opened
                .await
                .map_err(|error| Error::new(Cause::Storage, Effect::NotSent, "journal", error.to_string()));
            let (run, reader) = opened.and_then(|opened| opened).map_err(|error| error.at(D::SPEC.name))?;
            (config.journal, history) = (Some(run), Some(reader));
        }
        #[cfg(feature = "metrics")]
        let metrics = self.metrics.clone().map(|metrics| {
            let links = D::SPEC.links.iter().map(|link| link.name);
            let links = links.chain(D::CALLS.map(|calls| calls.link.name)).collect();
            (metrics, config.meter.clone(), links)
        });
        let (rest_url, tap) = (config.urls.rest.clone(), config.tap.clone());
        let make = |now| Ok(Box::new(Engine::<D>::new(config, now)?) as Box<dyn Trading>);
        let journal = journal.map(|(journal, _)| (journal, self.durability));
        let driver = Driver::start(make, &rest_url, self.event_capacity, journal)
            .map_err(|error| error.at(D::SPEC.name))?;
        let inner = Inner {
            driver,
            history,
            tap,
            #[cfg(feature = "metrics")]
            metrics,
        };
        let connector = Connector { inner: Arc::new(inner) };
        match tokio::time::timeout(self.connect_timeout, connector.ready()).await {
            Ok(result) => result.map(|()| connector),
            Err(_) => {
                let missing = connector.inner.driver.read(|engine| engine.missing()).join(", ");
                let text = format!("not live after {} s: {missing}", self.connect_timeout.as_secs());
                Err(Error::new(Cause::Timeout, Effect::NotSent, "connect", text).at(D::SPEC.name))
            }
        }
    }

    fn known_domain(&self) -> Result<&'static Domain, Error> {
        D::SPEC.domain(self.domain.as_deref()).ok_or_else(|| {
            let known: Vec<_> = D::SPEC.domains.iter().map(|domain| domain.name).collect();
            Error::usage("domain", format!("is unknown; choose one of {}", known.join(", ")))
                .about(self.domain.clone().unwrap_or_default())
        })
    }

    /// The journal, and whose records it shall keep.
    fn scoped_journal(&self) -> Result<Option<(SharedJournal, Scope)>, Error> {
        let Some(journal) = self.journal.clone() else { return Ok(None) };
        let account = self.account_on(self.known_domain()?);
        Ok(Some((journal, Scope { connector: SmolStr::new_static(D::SPEC.name), account })))
    }

    fn account_on(&self, domain: &Domain) -> SmolStr {
        self.account.clone().unwrap_or_else(|| SmolStr::new_static(domain.name))
    }

    #[cfg(feature = "metrics")]
    fn meter(&self, domain: &Domain) -> crate::engine::Meter {
        self.metrics.as_ref().map_or_else(Default::default, |metrics| {
            crate::engine::Meter::new(metrics.of(D::SPEC.name, &self.account_on(domain)))
        })
    }

    #[cfg(not(feature = "metrics"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    fn meter(&self, _: &Domain) -> crate::engine::Meter {
        crate::engine::Meter::default()
    }

    fn config(&self) -> Result<Config, Error> {
        let spec = D::SPEC;
        let domain = self.known_domain()?;
        let urls = self.urls.clone().unwrap_or_else(|| Urls::from(domain));
        if let Some(link) = spec.links.iter().find(|link| urls.link(link.name).is_none()) {
            return Err(Error::usage("urls", "no address is given for this link").about(link.name));
        }
        if !(1..=100).contains(&self.limit_share) {
            return Err(Error::usage("limit_share", "must be 1 to 100 per cent"));
        }
        let keys = self.credentials.as_ref().map(|given| Keyring::new(given, spec.keys)).transpose()?;
        Ok(Config {
            urls,
            keys,
            pairs: self.pairs.clone(),
            order_id_prefix: self.order_id_prefix.clone(),
            instance: self.instance.unwrap_or_else(fresh_instance),
            limit_share: self.limit_share,
            book_depth: self.book_depth,
            request_timeout: self.request_timeout,
            order_entry: self.order_entry,
            journal: None,
            meter: self.meter(domain),
            tap: self.recording.clone().map(Tap::start).transpose()?.unwrap_or_default(),
        })
    }
}

/// Begins a run, for the engine.
fn begin(
    journal: &SharedJournal,
    scope: &Scope,
    instance: Option<u32>,
    durability: Durability,
    now: UnixNanos,
) -> Result<JournalConfig, Error> {
    let run = journal.lock().begin(scope, instance, fresh_instance(), now)?;
    Ok(JournalConfig { durability, run })
}

/// A number that differs between processes and between starts.
fn fresh_instance() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's random hasher is seeded by the operating system.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let [a, b, c, d, ..] = hasher.finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// A live connection to one venue. Cheap to clone; all clones are the same connector, and the last one dropped ends it.
///
/// Calls that give orders return at once; what becomes of them comes as [`Event`](crate::Event)s. Calls that read answer from memory.
#[derive(Clone)]
pub struct Connector {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<Driver>,
    history: Option<Arc<dyn History>>,
    tap: Tap,
    /// With the names of all links there may be.
    #[cfg(feature = "metrics")]
    metrics: Option<(crate::metrics::Metrics, crate::engine::Meter, Vec<&'static str>)>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.driver.stop();
        self.tap.close();
        #[cfg(feature = "metrics")]
        if let Some((_, meter, links)) = &self.metrics {
            meter.ended(links.iter().copied());
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.spec().name).finish_non_exhaustive()
    }
}

impl Connector {
    /// A builder for a venue's connector.
    pub fn builder<D: Dialect>(_dialect: D) -> Builder<D> {
        Builder {
            dialect: PhantomData,
            domain: None,
            urls: None,
            credentials: None,
            pairs: Vec::new(),
            order_id_prefix: String::new(),
            limit_share: 100,
            book_depth: 1000,
            request_timeout: Duration::from_secs(10),
            order_entry: OrderEntry::default(),
            connect_timeout: Duration::from_secs(30),
            event_capacity: 16_384,
            instance: None,
            journal: None,
            account: None,
            durability: Durability::default(),
            recording: None,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }

    fn driver(&self) -> &Arc<Driver> {
        &self.inner.driver
    }

    /// Declared facts of the venue.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.driver().read(|engine| engine.spec())
    }

    /// Places an order. Returns its id at once; its outcome comes as events.
    ///
    /// # Errors
    /// Nothing was sent: the order breaks a trading rule, exceeds the available balance, or the connector cannot trade.
    pub fn place(&self, order: NewOrder) -> Result<ClientOrderId, Error> {
        self.driver().turn(|engine, now| engine.place(now, order))
    }

    /// Places orders, of any pairs: several with one request where the venue has that, one by one where not. Every order has a
    /// life of its own: each outcome comes as that order's events, and some may be taken where others are refused. A venue may
    /// carry out those of one request in any order, and one lost answer leaves all of them to be looked up.
    ///
    /// **Shape**: one answer per order, in the same order. What an order takes of the balance is not there for those behind it.
    /// **Errors**: in each answer, as those of [`place`](Self::place): that order was not sent, the others were.
    #[must_use]
    pub fn place_many(&self, orders: Vec<NewOrder>) -> Vec<Result<ClientOrderId, Error>> {
        self.driver().turn(|engine, now| engine.place_many(now, orders))
    }

    /// Buys `amount` of the pair's base asset. `price` is required unless it is a market order.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn buy(
        &self,
        pair: &Pair,
        amount: Decimal,
        order_type: OrderType,
        price: Option<Decimal>,
    ) -> Result<ClientOrderId, Error> {
        self.place(NewOrder { price, order_type, ..NewOrder::market(pair.clone(), Side::Buy, amount) })
    }

    /// Sells `amount` of the pair's base asset. `price` is required unless it is a market order.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn sell(
        &self,
        pair: &Pair,
        amount: Decimal,
        order_type: OrderType,
        price: Option<Decimal>,
    ) -> Result<ClientOrderId, Error> {
        self.place(NewOrder { price, order_type, ..NewOrder::market(pair.clone(), Side::Sell, amount) })
    }

    /// Cancels an order of this connector. Returns at once; the outcome comes as events. An order that is not acknowledged
    /// yet is cancelled as soon as it is.
    ///
    /// # Errors
    /// The id is not an order of this connector.
    pub fn cancel(&self, id: &ClientOrderId) -> Result<(), Error> {
        self.driver().turn(|engine, now| engine.cancel(now, id))
    }

    /// Cancels orders of this connector: several of a pair with one request where the venue has that, one by one where not. Each
    /// outcome comes as that order's events, as after [`cancel`](Self::cancel).
    ///
    /// **Shape**: one answer per order, in the same order. **Errors**: in each answer: the id is not an order of this connector.
    #[must_use]
    pub fn cancel_many(&self, ids: &[ClientOrderId]) -> Vec<Result<(), Error>> {
        self.driver().turn(|engine, now| engine.cancel_many(now, ids))
    }

    /// Changes the price of an open limit order, its whole amount (what is executed included), or both: the order is cancelled
    /// and, once the venue has confirmed that, another is placed for what is left. Answers with that order's id, whose
    /// outcome comes as events; the order loses its place in the venue's queue. The replacement fails, never sent, if the
    /// order is filled first or its cancel is refused: then that order stands as it was. If nothing would change, nothing is
    /// touched, and the order's own id is the answer.
    ///
    /// # Errors
    /// The order is as it was: it is not an open limit order of this connector, it is being cancelled, or the change breaks
    /// a trading rule or exceeds the balance.
    pub fn amend(
        &self,
        id: &ClientOrderId,
        price: Option<Decimal>,
        amount: Option<Decimal>,
    ) -> Result<ClientOrderId, Error> {
        self.driver().turn(|engine, now| engine.amend(now, id, price, amount))
    }

    /// Cancels all open orders of this connector, and only those, as [`cancel_many`](Self::cancel_many) does; answers which.
    pub fn cancel_all(&self) -> Vec<ClientOrderId> {
        self.driver().turn(|engine, now| engine.cancel_all(now))
    }

    /// An order of this connector, open or recently closed.
    #[must_use]
    pub fn order(&self, id: &ClientOrderId) -> Option<TrackedOrder> {
        self.driver().read(|engine| engine.order(id))
    }

    /// Open orders of this connector, oldest first, those of unknown outcome included.
    #[must_use]
    pub fn open_orders(&self) -> Vec<TrackedOrder> {
        self.driver().read(|engine| engine.open_orders())
    }

    /// Which of these orders the account can pay for now, one after another, and how much of them.
    ///
    /// Judged by the pairs' trading rules, the account's fees and what is available less what own orders on their way
    /// reserve. Asking reserves nothing: place what comes back without delay.
    ///
    /// **Shape**: one answer per candidate, in the same order. **Errors**: in each answer's `refused`; nothing is sent.
    #[must_use]
    pub fn budget(&self, candidates: &[Candidate], mode: Mode) -> Vec<Adjusted> {
        self.driver().read(|engine| engine.budget(candidates, mode))
    }

    /// All balances.
    #[must_use]
    pub fn balances(&self) -> BTreeMap<Asset, Balance> {
        self.driver().read(|engine| engine.balances())
    }

    /// The balance of an asset; zero if it is not held.
    #[must_use]
    pub fn balance(&self, asset: &Asset) -> Balance {
        self.balances().get(asset).copied().unwrap_or_default()
    }

    /// The local order book to `depth` levels per side; `None` if the pair is not followed.
    #[must_use]
    pub fn order_book(&self, pair: &Pair, depth: usize) -> Option<BookView> {
        self.driver().read(|engine| engine.book(pair, depth))
    }

    /// The best `depth` levels per side (1 to [`MAX_LIVE_DEPTH`](crate::book::MAX_LIVE_DEPTH)) of a pair's book, kept current:
    /// for reading often, from many places, without locks and copies. `None` if the pair is not followed. Ends when it
    /// ceases to be followed; see [`BookWatch`].
    #[must_use]
    pub fn watch_book(&self, pair: &Pair, depth: usize) -> Option<BookWatch> {
        self.driver().look(|engine, _| engine.watch_book(pair, depth)).map(BookWatch::new)
    }

    /// The venue's latest best-price message.
    #[must_use]
    pub fn best_price(&self, pair: &Pair) -> Option<BestPrice> {
        self.driver().read(|engine| engine.best_price(pair))
    }

    /// The price of the latest public trade seen.
    #[must_use]
    pub fn last_price(&self, pair: &Pair) -> Option<Decimal> {
        self.driver().read(|engine| engine.last_price(pair))
    }

    /// The trading rule of a pair.
    #[must_use]
    pub fn trading_rule(&self, pair: &Pair) -> Option<TradingRule> {
        self.driver().read(|engine| engine.rule(pair))
    }

    /// All pairs that can be traded now, in order.
    #[must_use]
    pub fn trading_pairs(&self) -> Vec<Pair> {
        self.driver().read(|engine| engine.pairs())
    }

    /// The account's fees on a followed pair, once known.
    #[must_use]
    pub fn fees(&self, pair: &Pair) -> Option<FeeRates> {
        self.driver().read(|engine| engine.fees(pair))
    }

    /// Positions of perpetual contracts that are not zero, by pair, each with its profit at the newest mark price known.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.driver().read(|engine| engine.positions())
    }

    /// One position: in one-way mode `side` is [`PositionSide::Both`], in hedge mode it names the leg. A position of zero is an
    /// answer; `None` means that it is not known, or that the mode has no such position.
    #[must_use]
    pub fn position(&self, pair: &Pair, side: PositionSide) -> Option<Position> {
        self.driver().read(|engine| engine.position(pair, side))
    }

    /// How the account holds positions, once it is known.
    #[must_use]
    pub fn position_mode(&self) -> Option<PositionMode> {
        self.driver().read(|engine| engine.position_mode())
    }

    /// Leverage and margin mode of a pair, as far as they are known.
    #[must_use]
    pub fn margin(&self, pair: &Pair) -> MarginSettings {
        self.driver().read(|engine| engine.margin(pair))
    }

    /// What positions of a pair must be backed by, smallest notional first; empty where it is not known.
    #[must_use]
    pub fn brackets(&self, pair: &Pair) -> Arc<[LeverageBracket]> {
        self.driver().read(|engine| engine.brackets(pair))
    }

    /// Mark price, index price and next funding of a pair, as far as they are known. Current at every call; changes of the rate
    /// and the due time come as [`FundingChanged`](crate::Event::FundingChanged), moves of the prices alone do not.
    #[must_use]
    pub fn funding(&self, pair: &Pair) -> FundingState {
        self.driver().read(|engine| engine.funding(pair))
    }

    /// Sets the leverage (value ÷ initial margin) of a pair. Returns at once; the outcome comes as
    /// [`LeverageChanged`](crate::Event::LeverageChanged) or [`LeverageRefused`](crate::Event::LeverageRefused). Settings are
    /// made one after another, in the order they were asked for.
    ///
    /// # Errors
    /// Nothing was sent: the pair is not listed, or the leverage is out of the range that its brackets allow for what is open.
    pub fn set_leverage(&self, pair: &Pair, leverage: Decimal) -> Result<(), Error> {
        self.driver().turn(|engine, now| engine.set_leverage(now, pair, leverage))
    }

    /// Sets what backs positions of a pair. Returns at once; the outcome comes as
    /// [`MarginModeChanged`](crate::Event::MarginModeChanged) or [`MarginModeRefused`](crate::Event::MarginModeRefused).
    ///
    /// # Errors
    /// Nothing was sent: the pair is not listed, the venue does not offer the mode, or the pair has a position or an order of
    /// this connector.
    pub fn set_margin_mode(&self, pair: &Pair, mode: MarginMode) -> Result<(), Error> {
        self.driver().turn(|engine, now| engine.set_margin_mode(now, pair, mode))
    }

    /// Sets how the account holds positions, of all pairs. Returns at once; the outcome comes as
    /// [`PositionModeChanged`](crate::Event::PositionModeChanged) or [`PositionModeRefused`](crate::Event::PositionModeRefused).
    ///
    /// # Errors
    /// Nothing was sent: the venue does not offer the mode, or a position or an order of this connector is open.
    pub fn set_position_mode(&self, mode: PositionMode) -> Result<(), Error> {
        self.driver().turn(|engine, now| engine.set_position_mode(now, mode))
    }

    /// Use of the venue's limits, now.
    #[must_use]
    pub fn limits(&self) -> Vec<PoolUsage> {
        self.driver().look(|engine, now| engine.limits(now))
    }

    /// Use of the venue's limits, now and whenever it has changed. That a limit is nearly used up comes as
    /// [`LimitWarning`](crate::Event::LimitWarning) as well, at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn limit_changes(&self) -> LimitChanges {
        LimitChanges::new(Arc::clone(self.driver()))
    }

    /// Follows one more pair; its book is live after the next [`BookLive`](crate::Event::BookLive) of the pair.
    ///
    /// # Errors
    /// The venue does not list it.
    pub fn follow(&self, pair: &Pair) -> Result<(), Error> {
        self.driver().turn(|engine, now| engine.follow(now, pair))
    }

    /// Ceases to follow a pair: its subscriptions end and its book is gone. Orders on it stay tracked.
    pub fn unfollow(&self, pair: &Pair) {
        self.driver().turn(|engine, now| engine.unfollow(now, pair));
    }

    /// What the journal knows, of this run and earlier ones; `None` without a journal. Its calls may block on the disk.
    #[must_use]
    pub fn history(&self) -> Option<Arc<dyn History>> {
        self.inner.history.clone()
    }

    /// How far the recording of market data is; `None` if none was asked for.
    #[must_use]
    pub fn recorded(&self) -> Option<Recorded> {
        self.inner.tap.recorded()
    }

    /// Whether everything is live.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.driver().read(|engine| engine.is_ready())
    }

    /// Waits until everything is live.
    ///
    /// # Errors
    /// The connector has given up; the error says why.
    pub async fn ready(&self) -> Result<(), Error> {
        self.driver()
            .wait_for(|engine| match engine.phase() {
                Phase::Failed(error) => Some(Err(error.clone())),
                _ => engine.is_ready().then_some(Ok(())),
            })
            .await
    }

    /// All events from now on. Whoever calls this first hears everything since the start, such as what became of orders of an
    /// earlier run, unless so much has been told meanwhile that the oldest are dropped.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.driver().subscribe())
    }

    /// Cancels all own open orders and waits until the venue has confirmed, at most `patience`; then closes everything.
    ///
    /// # Errors
    /// [`Cause::Timeout`], naming the orders that may still be open.
    pub async fn stop(self, patience: Duration) -> Result<(), Error> {
        let name = self.spec().name;
        let report = self.close(OwnOrders::Cancel, patience).await;
        if report.open.is_empty() {
            return Ok(());
        }
        let left: Vec<_> = report.open.iter().map(ToString::to_string).collect();
        let text = format!("these orders may still be open: {}", left.join(", "));
        Err(Error::new(Cause::Timeout, Effect::Unknown, "stop", text).at(name))
    }

    /// Ends the connector, within `patience`: sends no new order any more, cancels own orders if asked, waits until the outcome
    /// of every order under way is known and the journal has everything, then closes all connections. What has not been
    /// reached by then the report names.
    pub async fn close(self, orders: OwnOrders, patience: Duration) -> Stopped {
        let start = tokio::time::Instant::now();
        let deadline = start + patience;
        let cancel = orders == OwnOrders::Cancel;
        let cancelled = self.driver().turn(|engine, now| engine.begin_stop(now, cancel));
        let settled = self.driver().wait_for(|engine| {
            let unsettled = |order: &TrackedOrder| {
                cancel || matches!(order.state(), OrderState::PendingCreate | OrderState::Unknown)
            };
            (!engine.open_orders().iter().any(unsettled)).then_some(())
        });
        let _ = tokio::time::timeout_at(deadline, settled).await;
        let stored = self.driver().wait_for(|engine| (engine.unrecorded() == 0).then_some(()));
        // What is not stored by then the writer's thread goes on storing while the process lives.
        let _ = tokio::time::timeout_at(deadline, stored).await;
        self.inner.stop();
        if self.inner.tap.is_on() {
            let (tap, patience) = (self.inner.tap.clone(), remaining(deadline));
            // What is not stored by then its thread goes on storing while the process lives.
            let _ = tokio::task::spawn_blocking(move || tap.wait(patience)).await;
        }
        #[cfg(feature = "metrics")]
        self.flush(deadline).await;
        self.driver().read(|engine| Stopped {
            cancelled: cancelled
                .into_iter()
                .filter(|id| engine.order(id).is_none_or(|order| order.state().is_terminal()))
                .collect(),
            open: engine.open_orders().iter().map(|order| order.client_order_id().clone()).collect(),
            unrecorded: engine.unrecorded(),
            took: start.elapsed(),
        })
    }
}

#[cfg(feature = "metrics")]
impl Connector {
    /// Exports what was filled since the last export. What the sink refuses, or has not taken in time, stays with the
    /// [`Metrics`](crate::metrics::Metrics).
    async fn flush(&self, deadline: tokio::time::Instant) {
        let Some((metrics, ..)) = self.inner.metrics.clone() else { return };
        let deadline = deadline.max(tokio::time::Instant::now() + LAST_EXPORT);
        let export = tokio::task::spawn_blocking(move || metrics.export());
        match tokio::time::timeout_at(deadline, export).await {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last volume was not exported"),
            Ok(Err(error)) => tracing::warn!(%error, "the last volume was not exported"),
            Err(_) => tracing::warn!("the last volume was not exported in time"),
        }
    }
}

/// What the last export is given at least, also if the orders have used up the patience.
#[cfg(feature = "metrics")]
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// What is left until then, and a moment at least: what is recorded is in memory only.
fn remaining(deadline: tokio::time::Instant) -> Duration {
    deadline.saturating_duration_since(tokio::time::Instant::now()).max(LAST_STORE)
}

/// What storing the end of a recording is given at least, also if the orders have used up the patience.
const LAST_STORE: Duration = Duration::from_secs(2);

/// What becomes of own open orders when a connector is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnOrders {
    /// They are cancelled.
    Cancel,
    /// They stay at the venue; with a journal the next run takes them up.
    Leave,
}

/// What closing a connector came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Orders that were open when it began, were to be cancelled, and are known to have ended.
    pub cancelled: Vec<ClientOrderId>,
    /// Orders that may be open at the venue: left there, or not known to have ended in time.
    pub open: Vec<ClientOrderId>,
    /// Journal entries not known to be stored.
    pub unrecorded: usize,
    /// How long it took.
    pub took: Duration,
}
