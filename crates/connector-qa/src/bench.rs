//! What a checklist row works with: a venue of its own, connectors to it, and the venue's ledger as the judge.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use connector_core::dialect::{Dialect, LinkRole, Pool, Rest, Row, Spec};
use connector_core::engine::{Balance, Trading, Urls};
use connector_core::event::{Event, LinkState, OrderFilled};
use connector_core::journal::{Durability, MemoryJournal, SqliteJournal};
use connector_core::message::Level;
use connector_core::metrics::Metrics;
use connector_core::order::{NewOrder, Side};
use connector_core::time::Now;
use connector_core::{Asset, ClientOrderId, Credentials, Decimal, Error, OrderEntry, Pair};
use connector_core::{Builder, Connector, Events};
use connector_venue::exchange::Exchange;
use connector_venue::face::Face;
use connector_venue::faults::{Fault, FaultRule, Matcher};
use connector_venue::keys::{ApiKey, KeySecret, KeyState};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{AccountId, Amount, Execution, Order, Placement, Submit};
use connector_venue::server::{Server, wall_clock};
use connector_venue::setup::{MarketSetup, MarketStatus, Rules, Setup};
use connector_venue::venue::Venue;
use smol_str::SmolStr;

use crate::holdings;
use crate::report::Detail;
use crate::story::{Armed, Told, story};

/// Longest wait for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often a state that has no event of its own is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Levels the house quotes on each side of a quiet market.
const LEVELS: i64 = 30;

/// Why a row failed.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A failure, told in one sentence.
    pub fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// What a row observed, if it was what should be.
#[derive(Debug)]
pub struct Evidence {
    /// In one sentence.
    pub text: String,
    /// In full.
    pub details: Vec<Detail>,
}

impl Evidence {
    /// Evidence told in one sentence.
    pub fn new(text: impl Display) -> Self {
        Self { text: text.to_string(), details: Vec::new() }
    }

    /// The same with something to look at.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }
}

/// What a row's function returns.
pub type Judgement = Result<Evidence, Failure>;

/// Fails unless `holds`.
///
/// # Errors
/// The failure told by `why`.
pub fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure(why())) }
}

/// How a connector is to be opened.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who trades.
    pub credentials: Credentials,
    /// Pairs to follow.
    pub pairs: Vec<Pair>,
    /// Prefix of client order ids.
    pub prefix: String,
    /// Longest wait for an answer.
    pub request_timeout: Duration,
    /// The file that records orders and fills, if any does.
    pub journal: Option<PathBuf>,
    /// Where it counts, if anywhere.
    pub metrics: Option<Metrics>,
}

impl Plan {
    fn builder<D: Dialect>(self, dialect: D) -> Result<Builder<D>, Error> {
        let builder = Connector::builder(dialect)
            .credentials(self.credentials)
            .pairs(self.pairs)
            .order_id_prefix(self.prefix)
            .request_timeout(self.request_timeout)
            .connect_timeout(PATIENCE);
        let builder = match self.metrics {
            Some(metrics) => builder.metrics(metrics),
            None => builder,
        };
        Ok(match self.journal {
            Some(path) => builder.journal(SqliteJournal::open(path)?),
            None => builder,
        })
    }
}

/// Makes connectors of one dialect. Object safe, so that rows need not be generic.
pub trait Open {
    /// The engine alone, for a venue in memory.
    ///
    /// # Errors
    /// The connector's own.
    fn engine(&self, plan: Plan, now: Now) -> Result<Box<dyn Trading>, Error>;

    /// Opens a connector to a served venue.
    fn open<'s>(
        &'s self,
        server: &'s Server,
        plan: Plan,
    ) -> Pin<Box<dyn Future<Output = Result<Connector, Error>> + 's>>;

    /// The same with order entry over a stream; `None` if the venue has none, or if that is what it does.
    fn streaming(&self) -> Option<Rc<dyn Open>>;

    /// Makes an engine without a driver, at rest, with a journal that has each order's intent before it is sent.
    ///
    /// # Errors
    /// The plan cannot work.
    fn recorded(&self, plan: Plan, journal: MemoryJournal, now: Now) -> Result<Box<dyn Trading>, Error>;
}

/// [`Open`] for a dialect.
#[derive(Clone, Copy, Debug)]
pub struct Opener<D> {
    dialect: D,
    entry: OrderEntry,
}

impl<D: Dialect> Opener<D> {
    /// Makes connectors as they are by default.
    pub const fn new(dialect: D) -> Self {
        Self { dialect, entry: OrderEntry::Rest }
    }

    fn builder(&self, plan: Plan) -> Result<Builder<D>, Error> {
        Ok(plan.builder(self.dialect)?.order_entry(self.entry))
    }
}

impl<D: Dialect> Open for Opener<D> {
    fn engine(&self, plan: Plan, now: Now) -> Result<Box<dyn Trading>, Error> {
        Ok(Box::new(self.builder(plan)?.instance(1).engine(now)?))
    }

    fn streaming(&self) -> Option<Rc<dyn Open>> {
        let can = D::CALLS.is_some() && self.entry != OrderEntry::Stream;
        can.then(|| Rc::new(Self { entry: OrderEntry::Stream, ..*self }) as Rc<dyn Open>)
    }

    fn open<'s>(
        &'s self,
        server: &'s Server,
        plan: Plan,
    ) -> Pin<Box<dyn Future<Output = Result<Connector, Error>> + 's>> {
        let builder = self.builder(plan);
        Box::pin(async move { builder?.urls(urls(server)).connect().await })
    }

    fn recorded(&self, plan: Plan, journal: MemoryJournal, now: Now) -> Result<Box<dyn Trading>, Error> {
        let builder = self.builder(plan)?.journal(journal).durability(Durability::Intent);
        Ok(Box::new(builder.engine(now)?))
    }
}

/// The addresses of a served venue.
#[must_use]
pub fn urls(server: &Server) -> Urls {
    let links = server.link_urls().into_iter().map(|(link, url)| (SmolStr::new(link), url));
    Urls { rest: server.rest_url(), links: links.collect() }
}

/// A market to trade on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Our pair.
    pub pair: Pair,
    /// Its rules, as the venue has them.
    pub rules: Rules,
    /// A price near the middle of its book.
    pub middle: Decimal,
    /// What its margin, profit and fees are in, if it is a contract.
    pub collateral: Option<Asset>,
}

impl Ground {
    /// The middle price times `percent` / 100, on the tick.
    #[must_use]
    pub fn price(&self, percent: i64) -> Decimal {
        self.on_tick(self.middle * Decimal::new(percent, 2))
    }

    /// The nearest price on the tick that is not higher.
    #[must_use]
    pub fn on_tick(&self, price: Decimal) -> Decimal {
        (price / self.rules.tick).floor() * self.rules.tick
    }

    /// The least amount on the step whose notional is at least `times` the least notional at `price`.
    #[must_use]
    pub fn amount(&self, price: Decimal, times: i64) -> Decimal {
        let wanted = (self.rules.min_notional * Decimal::from(times) / price).max(self.rules.min_amount);
        (wanted / self.rules.step).ceil() * self.rules.step
    }

    /// The asset that an order takes while it is open.
    #[must_use]
    pub fn spends(&self, side: Side) -> Asset {
        match (&self.collateral, side) {
            (Some(collateral), _) => collateral.clone(),
            (None, Side::Buy) => self.pair.quote(),
            (None, Side::Sell) => self.pair.base(),
        }
    }

    /// A limit order that rests far from the middle.
    #[must_use]
    pub fn resting(&self, side: Side) -> NewOrder {
        let price = self.price(if side == Side::Buy { 90 } else { 110 });
        NewOrder::limit(self.pair.clone(), side, self.amount(price, 3), price)
    }
}

/// A venue of a row's own, with its ledger.
pub struct Bench {
    /// The venue, served on loopback.
    pub server: Server,
    /// What is true of the venue.
    pub spec: &'static Spec,
    /// The account under test.
    pub account: AccountId,
    /// Markets that trade, the account being funded in both their assets.
    pub grounds: Vec<Ground>,
    /// The limit that a burst of orders meets first, where the venue counts orders.
    pub order_pool: Option<&'static Pool>,
    key: ApiKey,
    opener: Rc<dyn Open>,
    armed: RefCell<Vec<Armed>>,
}

impl Bench {
    /// Serves a fresh venue of this face and seed, its setup changed by `change`.
    ///
    /// # Errors
    /// The face's setup gives nothing to trade with, or the venue cannot be served.
    pub async fn prepare(
        face: Box<dyn Face>,
        opener: Rc<dyn Open>,
        seed: u64,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Self, Failure> {
        let mut setup = Setup { start: wall_clock(), ..face.setup(seed) };
        change(&mut setup);
        let spec = face.spec();
        let key =
            main_key(&setup).ok_or_else(|| Failure::new("the venue's setup has no key that may trade"))?;
        let grounds = grounds(&setup, key.account);
        ensure(!grounds.is_empty(), || {
            "the venue's setup has no market the account can trade on".to_owned()
        })?;
        let order_pool = tightest_order_pool(spec, face.rest());
        let venue = Venue::with_setup(face, setup).map_err(Failure::new)?;
        let server = Server::start(venue, 0).await.map_err(Failure::new)?;
        server.with(holdings::still_marks)?;
        Ok(Self {
            server,
            spec,
            account: key.account,
            grounds,
            order_pool,
            key,
            opener,
            armed: RefCell::default(),
        })
    }

    /// Serves a venue whose markets move only when told to, each quoted by the house; its setup changed by `change`.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare), or the house cannot quote.
    pub async fn quiet(
        face: Box<dyn Face>,
        opener: Rc<dyn Open>,
        seed: u64,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Self, Failure> {
        let bench = Self::prepare(face, opener, seed, |setup| {
            for market in &mut setup.markets {
                market.live = None;
            }
            change(setup);
        })
        .await?;
        bench.server.with(|venue, now| furnish(venue, now, &bench.grounds))?;
        Ok(bench)
    }

    /// Places an order of the house.
    ///
    /// # Errors
    /// The venue refused it.
    pub fn house(&self, account: AccountId, submit: &Submit) -> Result<Placement, Failure> {
        let told = |reject| Failure(format!("the house's order {submit:?} was refused: {reject}"));
        self.server.with(|venue, now| {
            let placed = venue.exchange_mut().place(account, submit).map_err(told);
            venue.advance(now);
            placed
        })
    }

    /// Has the house take `amount` at the market.
    ///
    /// # Errors
    /// The venue refused it.
    pub fn take(&self, ground: &Ground, side: Side, amount: Decimal) -> Result<Placement, Failure> {
        self.house(AccountId::HOUSE_TAKER, &Submit::market(&ground.symbol, side, Amount::Base(amount)))
    }

    /// Has the house quote around another price.
    ///
    /// # Errors
    /// The venue refused it.
    pub fn quote(&self, ground: &Ground, middle: Decimal) -> Result<(), Failure> {
        self.server.with(|venue, now| {
            let quoted = quote(venue.exchange_mut(), ground, middle);
            venue.advance(now);
            quoted
        })
    }

    /// Holds a contract's mark price at another value.
    ///
    /// # Errors
    /// The venue refused it.
    pub fn mark(&self, ground: &Ground, price: Decimal) -> Result<(), Failure> {
        self.server.with(|venue, now| {
            let marked = venue.exchange_mut().set_mark_price(&ground.symbol, Some(price)).map(drop);
            venue.advance(now);
            marked.map_err(Failure::new)
        })
    }

    /// The first market.
    ///
    /// # Errors
    /// None that [`prepare`](Self::prepare) lets through.
    pub fn ground(&self) -> Result<&Ground, Failure> {
        self.grounds.first().ok_or_else(|| Failure::new("the venue has no market"))
    }

    /// The account's credentials.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        credentials(&self.key)
    }

    /// The account's key as the venue keeps it.
    #[must_use]
    pub const fn key(&self) -> &ApiKey {
        &self.key
    }

    /// How a connector is opened unless a row wants it otherwise.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            credentials: self.credentials(),
            pairs: self.grounds.iter().take(1).map(|ground| ground.pair.clone()).collect(),
            prefix: String::new(),
            request_timeout: PATIENCE,
            journal: None,
            metrics: None,
        }
    }

    /// Opens a connector.
    ///
    /// # Errors
    /// The connector's own.
    pub async fn open(&self, plan: Plan) -> Result<Connector, Error> {
        self.opener.open(&self.server, plan).await
    }

    /// Opens a connector as [`plan`](Self::plan) has it and listens to its events.
    ///
    /// # Errors
    /// The connector's own.
    pub async fn desk(&self) -> Result<Desk, Failure> {
        self.desk_of(self.plan()).await
    }

    /// Opens a connector and listens to its events.
    ///
    /// # Errors
    /// The connector's own.
    pub async fn desk_of(&self, plan: Plan) -> Result<Desk, Failure> {
        Ok(Desk::new(self.open(plan).await?))
    }

    /// Looks at the exchange.
    pub fn look<R>(&self, look: impl FnOnce(&Exchange) -> R) -> R {
        self.server.with(|venue, _| look(venue.exchange()))
    }

    /// Arms a fault.
    ///
    /// # Errors
    /// Too many are armed.
    pub fn arm(&self, rule: FaultRule) -> Result<(), Failure> {
        self.armed.borrow_mut().push(Armed::new(wall_clock(), &rule));
        self.server
            .with(|venue, now| venue.arm(now, rule))
            .map(|_| ())
            .ok_or_else(|| Failure::new("too many faults"))
    }

    /// What happened here and there since the desk's first event, as a timeline.
    #[must_use]
    pub fn story(&self, title: impl Display, desk: &Desk) -> Detail {
        let requests: Vec<_> = self.server.with(|venue, _| venue.requests().cloned().collect());
        let (orders, executions) = self.look(|exchange| {
            let query = HistoryQuery::default();
            let orders = exchange.all_orders(self.account, &query).into_iter().cloned().collect();
            (orders, exchange.fills(self.account, &query).into_iter().cloned().collect())
        });
        let until = wall_clock();
        let first =
            desk.seen.iter().map(Event::time).chain(self.armed.borrow().iter().map(|one| one.from)).min();
        let lives = vec![(desk.seen.as_slice(), None)];
        let told = Told { lives, requests, orders, executions, faults: self.armed.borrow().clone() };
        story(title.to_string(), first.unwrap_or(until), until, &told)
    }

    /// Waits until every connection but the private stream's is live, those that nothing depends on included.
    ///
    /// # Errors
    /// One is not after [`PATIENCE`].
    pub async fn connected(&self, desk: &mut Desk) -> Result<(), Failure> {
        // What was told so far.
        desk.listen(LOOK).await?;
        let private =
            |name: &str| self.spec.links.iter().any(|link| link.role == LinkRole::User && link.name == name);
        desk.until("all connections to be live", |seen, _| {
            let mut states = BTreeMap::new();
            for event in seen {
                if let Event::LinkChanged { link, channel: None, state, .. } = event
                    && !private(link)
                {
                    states.insert(link.clone(), *state);
                }
            }
            states.values().all(|state| *state == LinkState::Live).then_some(())
        })
        .await
    }

    /// Has the private stream tell everything so much later.
    ///
    /// # Errors
    /// As [`arm`](Self::arm).
    pub fn delay_private(&self, time: Duration) -> Result<(), Failure> {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        for link in self.spec.links.iter().filter(|link| link.role == LinkRole::User) {
            let matcher = Matcher { link: Some(SmolStr::new(link.name)), ..Matcher::default() };
            self.arm(FaultRule { matcher, ..FaultRule::new(Fault::FrameDelay { ms }) })?;
        }
        Ok(())
    }

    /// How often a request was made so far.
    #[must_use]
    pub fn requests(&self, row: &str) -> usize {
        self.server.with(|venue, _| venue.requests().filter(|seen| seen.row == Some(row)).count())
    }

    /// The account's open orders, by the ledger.
    #[must_use]
    pub fn open_orders(&self) -> Vec<Order> {
        self.look(|exchange| exchange.open_orders(self.account, None).into_iter().cloned().collect())
    }

    /// The account's orders with this client id, live and ended, by the ledger.
    #[must_use]
    pub fn orders_of(&self, id: &ClientOrderId) -> Vec<Order> {
        self.look(|exchange| {
            let all = exchange.all_orders(self.account, &HistoryQuery::default());
            all.into_iter().filter(|order| order.client_id == id.as_str()).cloned().collect()
        })
    }

    /// The only order with this client id, by the ledger.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn order_of(&self, id: &ClientOrderId) -> Result<Order, Failure> {
        let mut orders = self.orders_of(id);
        match (orders.pop(), orders.len()) {
            (Some(order), 0) => Ok(order),
            (None, _) => Err(Failure(format!("the venue has no order {id}"))),
            (Some(_), others) => Err(Failure(format!("the venue has {} orders {id}", others + 1))),
        }
    }

    /// The account's executions of the order with this client id, by the ledger.
    #[must_use]
    pub fn executions_of(&self, id: &ClientOrderId) -> Vec<Execution> {
        self.look(|exchange| {
            let all = exchange.fills(self.account, &HistoryQuery::default());
            all.into_iter().filter(|fill| fill.client_id == id.as_str()).cloned().collect()
        })
    }

    /// The account's balances, by the ledger.
    #[must_use]
    pub fn balances(&self) -> BTreeMap<Asset, Balance> {
        self.look(|exchange| holdings::balances(exchange, self.account))
    }

    /// What of an asset new orders can take, by the ledger.
    #[must_use]
    pub fn available(&self, asset: &Asset) -> Decimal {
        self.balances().get(asset).map(|held| held.available).unwrap_or_default()
    }

    /// The base amount of an order at `price` that takes all of `funds`, fees left out, by the ledger's leverage.
    #[must_use]
    pub fn affords(&self, ground: &Ground, side: Side, price: Decimal, funds: Decimal) -> Decimal {
        let settings = self.look(|exchange| exchange.market_settings(self.account, &ground.symbol));
        match (settings, side) {
            (Some(settings), _) => funds * settings.leverage / price,
            (None, Side::Buy) => funds / price,
            (None, Side::Sell) => funds,
        }
    }

    /// The largest fee the account can be charged for an order with a limit, in what its price is in.
    #[must_use]
    pub fn most_fee(&self, order: &NewOrder) -> Decimal {
        let symbol =
            self.grounds.iter().find(|ground| ground.pair == order.pair).map(|ground| &ground.symbol);
        let ppm = self.look(|exchange| {
            let fees = exchange.fees(self.account, symbol.map(SmolStr::as_str).unwrap_or_default());
            fees.maker_ppm.max(fees.taker_ppm)
        });
        order.amount * order.price.unwrap_or_default() * Decimal::new(ppm.max(0), 6)
    }

    /// What the connector has wrong about the account's balances and positions now; empty if nothing.
    #[must_use]
    pub fn balance_errors(&self, connector: &Connector) -> Vec<String> {
        // Both are read under the venue's lock, so that no change of the venue lies between.
        self.server.with(|venue, _| {
            let (balances, positions) = (connector.balances(), connector.positions());
            holdings::account_errors(&balances, &positions, venue.exchange(), self.account)
        })
    }

    /// Waits until the connector's balances, and positions where there are any, equal the ledger's; how long that took.
    ///
    /// # Errors
    /// They still differ after [`PATIENCE`].
    pub async fn balances_agree(&self, connector: &Connector) -> Result<Duration, Failure> {
        let start = Instant::now();
        loop {
            let wrong = self.balance_errors(connector);
            if wrong.is_empty() {
                return Ok(start.elapsed());
            }
            ensure(start.elapsed() < PATIENCE, || format!("balances differ: {}", wrong.join("; ")))?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The balances of both, as a table.
    #[must_use]
    pub fn balance_table(&self, connector: &Connector) -> Detail {
        let ours = connector.balances();
        let rows = self.balances().into_iter().map(|(asset, ledger)| {
            let held = ours.get(&asset).copied().unwrap_or_default();
            let cells = [held.total, ledger.total, held.available, ledger.available]
                .map(|value| value.normalize().to_string());
            [asset.to_string()].into_iter().chain(cells).collect()
        });
        Detail::Table {
            title: "Balances".to_owned(),
            head: ["asset", "total", "ledger", "available", "ledger"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }
}

/// Gives both house accounts more of these markets' assets than any row trades, and has them quote on both sides of the middle.
///
/// # Errors
/// The venue refused a gift or a quote.
pub fn furnish(venue: &mut Venue, now: Now, grounds: &[Ground]) -> Result<(), Failure> {
    let exchange = venue.exchange_mut();
    for ground in grounds {
        endow_house(exchange, ground)?;
        quote(exchange, ground, ground.middle)?;
    }
    venue.advance(now);
    Ok(())
}

/// Has the house quote on both sides of a price, and nowhere else.
///
/// # Errors
/// The venue refused a quote.
pub fn quote(exchange: &mut Exchange, ground: &Ground, middle: Decimal) -> Result<(), Failure> {
    // There may be none yet.
    let _ = exchange.cancel_all(AccountId::HOUSE_MAKER, &ground.symbol);
    for level in 1..=LEVELS {
        for (side, sign) in [(Side::Buy, -1), (Side::Sell, 1)] {
            let price = ground.on_tick(middle * Decimal::new(10_000 + sign * level * 5, 4));
            let submit = Submit::limit(&ground.symbol, side, price, ground.amount(price, 20));
            exchange
                .place(AccountId::HOUSE_MAKER, &submit)
                .map_err(|reject| Failure(format!("the house's order {submit:?} was refused: {reject}")))?;
        }
    }
    Ok(())
}

/// Gives both house accounts more of a market's assets than any row trades.
///
/// # Errors
/// The venue refused a gift.
pub fn endow_house(exchange: &mut Exchange, ground: &Ground) -> Result<(), Failure> {
    let base = ground.amount(ground.middle, 1_000_000);
    let assets = match &ground.collateral {
        Some(collateral) => vec![(collateral.clone(), base * ground.middle)],
        None => vec![(ground.pair.base(), base), (ground.pair.quote(), base * ground.middle)],
    };
    for account in [AccountId::HOUSE_MAKER, AccountId::HOUSE_TAKER] {
        for (asset, amount) in &assets {
            exchange
                .transfer(account, asset, *amount)
                .map_err(|reject| Failure(format!("the house cannot be given {amount} {asset}: {reject}")))?;
        }
    }
    Ok(())
}

/// The credentials of a key, where its secret is a shared one.
#[must_use]
pub fn credentials(key: &ApiKey) -> Credentials {
    let secret = match &key.secret {
        KeySecret::HmacSha256(secret) => secret.expose(),
        _ => "",
    };
    let credentials = Credentials::new(key.key.as_str(), secret);
    match &key.passphrase {
        Some(passphrase) => credentials.with_passphrase(passphrase.expose()),
        None => credentials,
    }
}

/// The first key that can trade and whose secret can be handed out.
#[must_use]
pub fn main_key(setup: &Setup) -> Option<ApiKey> {
    let usable = |key: &&ApiKey| {
        key.state == KeyState::Active
            && key.may_read
            && key.may_trade
            && key.addresses.is_empty()
            && matches!(key.secret, KeySecret::HmacSha256(_))
    };
    setup.keys.iter().find(usable).cloned()
}

/// Of the pools that count orders, which are those that orders cost and cancels do not, the one a burst of them fills first.
fn tightest_order_pool(spec: &'static Spec, rest: &'static Rest) -> Option<&'static Pool> {
    let costs = |row: &Row, pool: &Pool| row.costs.iter().any(|cost| cost.pool == pool.name);
    let counts = |pool: &&Pool| costs(&rest.place.row, pool) && !costs(&rest.cancel.row, pool);
    spec.pools.iter().filter(counts).min_by_key(|pool| pool.limit)
}

/// The markets that trade in assets the account holds: both of a pair, or the collateral of a contract.
#[must_use]
pub fn grounds(setup: &Setup, account: AccountId) -> Vec<Ground> {
    let Some(account) = setup.accounts.iter().find(|known| known.id == account) else { return Vec::new() };
    let owns = |asset: &Asset| {
        account.balances.iter().any(|(held, amount)| held == asset && *amount > Decimal::ZERO)
    };
    let markets = setup.markets.iter().filter(|market| market.status == MarketStatus::Trading);
    let can_trade = |market: &MarketSetup| match &market.contract {
        Some(contract) => owns(&contract.collateral),
        None => owns(&market.base) && owns(&market.quote),
    };
    markets
        .filter(|market| can_trade(market))
        .filter_map(|market| {
            Some(Ground {
                symbol: market.symbol.clone(),
                pair: Pair::new(market.base.as_str(), market.quote.as_str())?,
                rules: market.rules.clone(),
                middle: market.reference_price,
                collateral: market.contract.as_ref().map(|contract| contract.collateral.clone()),
            })
        })
        .collect()
}

/// A connector with all it has told since it was opened.
pub struct Desk {
    /// The connector.
    pub connector: Connector,
    /// Its events so far, oldest first.
    pub seen: Vec<Event>,
    events: Events,
}

impl Desk {
    /// Listens to a connector: from its start on, if nobody did before.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self { events: connector.events(), connector, seen: Vec::new() }
    }

    /// Waits until `look` finds something in the events so far or in the connector.
    ///
    /// # Errors
    /// Nothing was found within [`PATIENCE`]: `what` was waited for.
    pub async fn until<T>(
        &mut self,
        what: impl Display,
        look: impl FnMut(&[Event], &Connector) -> Option<T>,
    ) -> Result<T, Failure> {
        self.until_within(PATIENCE, what, look).await
    }

    /// [`until`](Self::until) for what may take longer.
    ///
    /// # Errors
    /// Nothing was found within `patience`: `what` was waited for.
    pub async fn until_within<T>(
        &mut self,
        patience: Duration,
        what: impl Display,
        mut look: impl FnMut(&[Event], &Connector) -> Option<T>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = look(&self.seen, &self.connector) {
                return Ok(found);
            }
            let next = tokio::time::timeout(LOOK, self.events.next()).await;
            match next {
                Ok(Some(Ok(event))) => self.seen.push(event),
                Ok(Some(Err(lagged))) => return Err(Failure(lagged.to_string())),
                Ok(None) => return Err(Failure(format!("the connector ended while waiting for {what}"))),
                Err(_) if Instant::now() > end => {
                    return Err(Failure(format!("waited {} s for {what} in vain", patience.as_secs())));
                }
                Err(_) => {}
            }
        }
    }

    /// Takes in the events that have arrived, and those of the next `time`.
    ///
    /// # Errors
    /// The connector ended.
    pub async fn listen(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match tokio::time::timeout(left, self.events.next()).await {
                Ok(Some(Ok(event))) => self.seen.push(event),
                Ok(Some(Err(lagged))) => return Err(Failure(lagged.to_string())),
                Ok(None) => return Err(Failure::new("the connector ended")),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits for an order's `OrderCreated`.
    ///
    /// # Errors
    /// It ended otherwise, or nothing came.
    pub async fn created(&mut self, id: &ClientOrderId) -> Result<(), Failure> {
        let outcome = self
            .until(format_args!("{id} to be created"), |seen, _| {
                of(seen, id).find_map(|event| match event {
                    Event::OrderCreated(_) => Some(Ok(())),
                    Event::OrderFailed(failed) => Some(Err(failed.error.to_string())),
                    _ => None,
                })
            })
            .await?;
        outcome.map_err(Failure)
    }

    /// Waits for an order's terminal event and checks that its events are what they must be: created first, one terminal.
    ///
    /// # Errors
    /// They are not, or nothing came.
    pub async fn ended(&mut self, id: &ClientOrderId) -> Result<Event, Failure> {
        let what = format!("{id} to end");
        let end = self.until(what, |seen, _| of(seen, id).find(|event| event.is_terminal()).cloned()).await?;
        self.well_formed(id)?;
        Ok(end)
    }

    /// Checks that an order's events so far are in their order.
    ///
    /// # Errors
    /// They are not.
    pub fn well_formed(&self, id: &ClientOrderId) -> Result<(), Failure> {
        let terminal = of(&self.seen, id).filter(|event| event.is_terminal()).count();
        ensure(terminal <= 1, || format!("{id} ended {terminal} times"))?;
        let created = of(&self.seen, id).filter(|event| matches!(event, Event::OrderCreated(_))).count();
        ensure(created <= 1, || format!("{id} was created {created} times"))?;
        let first = of(&self.seen, id).find(|event| !matches!(event, Event::OrderUnknown(_)));
        let starts = matches!(first, None | Some(Event::OrderCreated(_) | Event::OrderFailed(_)));
        ensure(starts, || format!("{id} did not begin with being created"))
    }

    /// An order's fills so far.
    #[must_use]
    pub fn fills(&self, id: &ClientOrderId) -> Vec<&OrderFilled> {
        of(&self.seen, id)
            .filter_map(|event| match event {
                Event::OrderFilled(fill) => Some(fill),
                _ => None,
            })
            .collect()
    }

    /// Problems told so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let problem = |event: &Event| match event {
            Event::Problem { error, .. } => Some(error.to_string()),
            Event::OrderCancelRefused(refused) => Some(refused.error.to_string()),
            _ => None,
        };
        self.seen.iter().filter_map(problem).collect()
    }
}

/// The events of one order.
pub fn of<'e>(seen: &'e [Event], id: &ClientOrderId) -> impl Iterator<Item = &'e Event> {
    seen.iter().filter(move |event| event.order().is_some_and(|order| order.client_order_id == *id))
}

/// A level in words.
#[must_use]
pub fn level(level: Option<&Level>) -> String {
    level.map_or_else(
        || "nothing".to_owned(),
        |level| format!("{} × {}", level.price.normalize(), level.amount.normalize()),
    )
}
