//! What the view knows, and how it changes. No clock, no connector, no terminal.

use std::collections::{BTreeMap, VecDeque};

use connector_core::engine::{Balance, BookView, MarginSettings};
use connector_core::event::{Event, Executed, LinkState, OrderInfo};
use connector_core::funding::FundingState;
use connector_core::message::{BestPrice, Level, Trade, TradingRule};
use connector_core::order::{NewOrder, OrderState, OrderType, Side, TrackedOrder};
use connector_core::position::Position;
use connector_core::throttle::PoolUsage;
use connector_core::time::UnixNanos;
use connector_core::{Asset, ClientOrderId, Decimal, Error, Pair};
use smol_str::{SmolStr, format_smolstr};

/// Trades kept; more than a terminal has lines.
const TRADES: usize = 200;
/// Lines of the log kept.
const LINES: usize = 200;
/// Closed orders kept.
const CLOSED: usize = 50;
/// Links shown; a venue has a handful.
const LINKS: usize = 64;
/// Largest multiple of the least amount that one order may have.
const MOST: u32 = 1_000;

/// A key, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `b`: a post-only buy at the best bid.
    Buy,
    /// `s`: a post-only sell at the best ask.
    Sell,
    /// `m`: a market buy of the least amount.
    Market,
    /// `c`: cancel the newest open order.
    Cancel,
    /// `C`: cancel all open orders.
    CancelAll,
    /// `+`: a larger amount.
    More,
    /// `-`: a smaller amount.
    Less,
    /// `q`: end.
    Quit,
}

/// What the screen asks of the connector in answer to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Place this.
    Place(NewOrder),
    /// Cancel this.
    Cancel(ClientOrderId),
    /// Cancel all.
    CancelAll,
    /// End the view.
    Quit,
}

/// What the connector holds at one moment; read at every tick.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Local time.
    pub time: UnixNanos,
    /// Whether everything is live.
    pub ready: bool,
    /// The book, deep enough for the largest terminal.
    pub book: Option<BookView>,
    /// The venue's best prices.
    pub best: Option<BestPrice>,
    /// Price of the last trade.
    pub last: Option<Decimal>,
    /// The pair's trading rule.
    pub rule: Option<TradingRule>,
    /// Open orders, oldest first.
    pub open: Vec<OrderRow>,
    /// All balances.
    pub balances: BTreeMap<Asset, Balance>,
    /// Use of the venue's limits.
    pub limits: Vec<PoolUsage>,
    /// What there is besides if the pair is a perpetual contract.
    pub contract: Option<Contract>,
}

/// What is known of a perpetual contract, and of the account's positions.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    /// Open positions of all pairs.
    pub positions: Vec<Position>,
    /// Mark price, index price and next funding of the pair.
    pub funding: FundingState,
    /// How positions of the pair are margined.
    pub margin: MarginSettings,
}

/// Anything that changes the screen.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connector told something.
    Event(Event),
    /// Events were missed.
    Lagged(u64),
    /// Time has passed.
    Tick(Box<Reading>),
    /// A key was pressed.
    Key(Key),
    /// The connector refused what a key asked for.
    Refused(Error),
}

/// An own order as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Our id.
    pub id: ClientOrderId,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Limit, quote per base.
    pub price: Option<Decimal>,
    /// Base amount.
    pub amount: Decimal,
    /// Executed base amount.
    pub filled: Decimal,
    /// Where it stands.
    pub state: OrderState,
}

impl From<&TrackedOrder> for OrderRow {
    fn from(order: &TrackedOrder) -> Self {
        let asked = order.order();
        Self {
            id: order.client_order_id().clone(),
            side: asked.side,
            order_type: asked.order_type,
            price: asked.price,
            amount: asked.amount,
            filled: order.executed().base,
            state: order.state(),
        }
    }
}

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Good,
    Plain,
    Bad,
}

/// A line of the log.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) time: UnixNanos,
    pub(super) weight: Weight,
    pub(super) text: String,
}

/// The state of a link or a feed, and since when.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub(super) state: LinkState,
    pub(super) since: UnixNanos,
    pub(super) reason: Option<SmolStr>,
}

/// Everything the view shows.
#[derive(Clone, Debug)]
pub struct Screen {
    pub(super) connector: SmolStr,
    pub(super) place: SmolStr,
    pub(super) pair: Pair,
    pub(super) now: Reading,
    /// The first price seen, which changes are measured against.
    pub(super) first: Option<Decimal>,
    pub(super) trades: VecDeque<Trade>,
    pub(super) closed: VecDeque<OrderRow>,
    pub(super) links: BTreeMap<SmolStr, Health>,
    pub(super) log: VecDeque<Line>,
    pub(super) times: u32,
}

impl Screen {
    /// A screen of a connector that has just become live. `place` says where it trades.
    #[must_use]
    pub fn new(connector: &str, place: &str, pair: Pair, links: &[&str], time: UnixNanos) -> Self {
        let live = |name: SmolStr| (name, Health { state: LinkState::Live, since: time, reason: None });
        let book = format_smolstr!("book {pair}");
        Self {
            connector: SmolStr::new(connector),
            place: SmolStr::new(place),
            pair,
            now: Reading { time, ..Reading::default() },
            first: None,
            trades: VecDeque::new(),
            closed: VecDeque::new(),
            links: links.iter().map(|name| SmolStr::new(*name)).chain([book]).map(live).collect(),
            log: VecDeque::new(),
            times: 1,
        }
    }

    /// Takes something in; answers what shall be done about it.
    #[must_use]
    pub fn update(&mut self, input: Input) -> Option<Ask> {
        match input {
            Input::Event(event) => self.event(&event),
            Input::Lagged(missed) => self.tell(Weight::Bad, format!("{missed} events were missed")),
            Input::Tick(reading) => {
                self.now = *reading;
                self.first = self.first.or(self.now.last);
            }
            Input::Key(key) => return self.key(key),
            Input::Refused(error) => self.tell(Weight::Bad, error.to_string()),
        }
        None
    }

    /// The best level of a side of the book.
    pub(super) fn touch(&self, side: Side) -> Option<&Level> {
        let book = self.now.book.as_ref()?;
        match side {
            Side::Buy => book.bids.first(),
            Side::Sell => book.asks.first(),
        }
    }

    /// The base amount of the next order of a side: a multiple of the least the venue takes at that price.
    pub(super) fn amount(&self, price: Decimal, times: u32) -> Option<Decimal> {
        least(self.now.rule.as_ref()?, price)?.checked_mul(Decimal::from(times))
    }

    fn key(&mut self, key: Key) -> Option<Ask> {
        match key {
            Key::Buy => self.maker(Side::Buy),
            Key::Sell => self.maker(Side::Sell),
            Key::Market => {
                let price = self.touch(Side::Sell).map(|level| level.price);
                let order = price
                    .and_then(|price| self.amount(price, 1))
                    .map(|amount| NewOrder::market(self.pair.clone(), Side::Buy, amount));
                self.place(order)
            }
            Key::Cancel => {
                // One whose cancel is under way already leaves the key to the one before it.
                let open = self.now.open.iter().rev();
                let newest = open
                    .filter(|order| order.state != OrderState::PendingCancel)
                    .map(|order| &order.id)
                    .next();
                let ask = newest.cloned().map(Ask::Cancel);
                if ask.is_none() {
                    self.tell(Weight::Plain, "no open order to cancel".to_owned());
                }
                ask
            }
            Key::CancelAll => Some(Ask::CancelAll),
            Key::More => {
                self.times = self.times.saturating_add(1).min(MOST);
                None
            }
            Key::Less => {
                self.times = self.times.saturating_sub(1).max(1);
                None
            }
            Key::Quit => Some(Ask::Quit),
        }
    }

    fn maker(&mut self, side: Side) -> Option<Ask> {
        let price = self.touch(side).map(|level| level.price);
        let order = price.and_then(|price| {
            let amount = self.amount(price, self.times)?;
            Some(NewOrder::limit_maker(self.pair.clone(), side, amount, price))
        });
        self.place(order)
    }

    fn place(&mut self, order: Option<NewOrder>) -> Option<Ask> {
        if order.is_none() {
            self.tell(
                Weight::Bad,
                "no order: the book is not live or the trading rule is unknown".to_owned(),
            );
        }
        order.map(Ask::Place)
    }

    fn tell(&mut self, weight: Weight, text: String) {
        keep(&mut self.log, Line { time: self.now.time, weight, text }, LINES);
    }

    fn event(&mut self, event: &Event) {
        // The log's times are those of the events, also between two ticks.
        self.now.time = self.now.time.max(event.time());
        if let Some((weight, text)) = told(event) {
            self.tell(weight, text);
        }
        match event {
            Event::OrderCompleted(e) => self.close(&e.order, OrderState::Filled, e.executed),
            Event::OrderCancelled(e) => self.close(&e.order, OrderState::Cancelled, e.executed),
            Event::OrderExpired(e) => self.close(&e.order, OrderState::Expired, e.executed),
            Event::OrderFailed(e) => self.close(&e.order, OrderState::Failed, Executed::default()),
            Event::Traded { pair, trade, .. } if *pair == self.pair => {
                self.now.last = Some(trade.price);
                self.first = self.first.or(self.now.last);
                keep(&mut self.trades, trade.clone(), TRADES);
            }
            Event::BookLive { pair, .. } => {
                self.health(format_smolstr!("book {pair}"), LinkState::Live, None)
            }
            Event::BookStale { pair, reason, .. } => {
                self.health(format_smolstr!("book {pair}"), LinkState::Stale, Some(reason.clone()));
            }
            Event::LinkChanged { link, channel, pair, state, reason, .. } => {
                let mut name = link.clone();
                for part in channel.iter().map(SmolStr::as_str).chain(pair.iter().map(Pair::as_str)) {
                    name = format_smolstr!("{name} {part}");
                }
                self.health(name, *state, reason.clone());
            }
            Event::Ready { ready, .. } => self.now.ready = *ready,
            _ => {}
        }
    }

    fn health(&mut self, name: SmolStr, state: LinkState, reason: Option<SmolStr>) {
        if self.links.len() < LINKS || self.links.contains_key(&name) {
            self.links.insert(name, Health { state, since: self.now.time, reason });
        }
    }

    fn close(&mut self, order: &OrderInfo, state: OrderState, executed: Executed) {
        self.now.open.retain(|open| open.id != order.client_order_id);
        let row = OrderRow {
            id: order.client_order_id.clone(),
            side: order.side,
            order_type: order.order_type,
            price: order.price,
            amount: order.amount,
            filled: executed.base,
            state,
        };
        keep(&mut self.closed, row, CLOSED);
    }
}

/// Puts a value in front, and drops the oldest beyond `most`.
fn keep<T>(list: &mut VecDeque<T>, value: T, most: usize) {
    list.push_front(value);
    list.truncate(most);
}

/// The least base amount the venue takes at a price, a tenth of value above its bound: it may judge by another price than ours.
fn least(rule: &TradingRule, price: Decimal) -> Option<Decimal> {
    let value = rule.min_notional.unwrap_or_default().checked_mul(Decimal::new(11, 1))?;
    let by_value = value.checked_div(price)?;
    let amount = by_value.max(rule.min_amount.unwrap_or_default()).max(rule.amount_step.unwrap_or_default());
    let rounded = match rule.amount_step.filter(|step| !step.is_zero()) {
        Some(step) => amount.checked_div(step)?.ceil().checked_mul(step)?,
        None => amount,
    };
    (rounded > Decimal::ZERO).then(|| rounded.normalize())
}

/// What the log says of an event. Prices and trades have places of their own.
fn told(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Bad, Good, Plain};
    let name = |order: &OrderInfo| {
        let price = order.price.map_or_else(String::new, |price| format!(" at {}", price.normalize()));
        format!("{} {} {}{price}", order.order_type, order.side, order.amount.normalize())
    };
    let why =
        |reason: &Option<SmolStr>| reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(match event {
        Event::OrderCreated(e) => (Good, format!("{} is open", name(&e.order))),
        Event::OrderFilled(e) => {
            let fee = e
                .fee
                .as_ref()
                .map_or_else(String::new, |fee| format!(", fee {} {}", fee.amount.normalize(), fee.asset));
            (
                Good,
                format!("{} filled {} at {}{fee}", name(&e.order), e.amount.normalize(), e.price.normalize()),
            )
        }
        Event::OrderFeeKnown(_) | Event::BalanceChanged { .. } | Event::FundingChanged(_) => return None,
        Event::Traded { .. } | Event::BestPriceChanged { .. } => return None,
        Event::OrderCompleted(e) => (Good, format!("{} completed", name(&e.order))),
        Event::OrderCancelled(e) => (Plain, format!("{} cancelled{}", name(&e.order), why(&e.reason))),
        Event::OrderExpired(e) => (Plain, format!("{} expired{}", name(&e.order), why(&e.reason))),
        Event::OrderFailed(e) => (Bad, format!("{} failed: {}", name(&e.order), cause(&e.error))),
        Event::OrderUnknown(e) => (Bad, format!("{} is in doubt: {}", name(&e.order), cause(&e.error))),
        Event::OrderCancelRefused(e) => {
            (Bad, format!("cancel of {} refused: {}", name(&e.order), cause(&e.error)))
        }
        Event::BookLive { pair, .. } => (Good, format!("book {pair} is live")),
        Event::BookStale { pair, reason, .. } => (Bad, format!("book {pair} is stale: {reason}")),
        Event::LinkChanged { link, channel, pair, state, reason, .. } => {
            let parts = channel.iter().map(SmolStr::as_str).chain(pair.iter().map(Pair::as_str));
            let about: String = parts.map(|part| format!(" {part}")).collect();
            let weight = match state {
                LinkState::Live => Good,
                LinkState::Connecting | LinkState::Syncing => Plain,
                LinkState::Stale | LinkState::Down => Bad,
            };
            (weight, format!("link {link}{about} is {}{}", word(*state), why(reason)))
        }
        Event::Ready { ready: true, .. } => (Good, "everything is live".to_owned()),
        Event::Ready { ready: false, .. } => (Bad, "not everything is live".to_owned()),
        Event::RulesChanged { rules, .. } => (Plain, format!("{} trading rules changed", rules.len())),
        Event::LimitWarning { pool, used, limit, .. } => {
            (Bad, format!("limit {pool} is nearly used up: {used} of {limit}"))
        }
        Event::Problem { error, .. } => (Bad, error.to_string()),
        other => return Some(told_of_contract(other)),
    })
}

/// What the log says of positions, funding, leverage and modes.
fn told_of_contract(event: &Event) -> (Weight, String) {
    use Weight::{Bad, Good, Plain};
    match event {
        Event::PositionChanged(e) => {
            let why = e.cause.map_or_else(String::new, |cause| format!(" by {cause}"));
            (Good, format!("position {} {} {}{why}", e.pair, e.side, e.amount.normalize()))
        }
        Event::FundingPaid(e) => {
            let word = if e.amount.is_sign_negative() { "paid" } else { "received" };
            (Good, format!("funding of {} {word}: {} {}", e.pair, e.amount.abs().normalize(), e.asset))
        }
        Event::MarginCalled(e) => (
            Bad,
            format!("margin call: {} {} {} is near its liquidation", e.pair, e.side, e.amount.normalize()),
        ),
        Event::LeverageChanged(e) => (Good, format!("leverage of {} is {}", e.pair, e.leverage.normalize())),
        Event::LeverageRefused(e) => {
            (Bad, format!("leverage {} of {} refused: {}", e.leverage.normalize(), e.pair, cause(&e.error)))
        }
        Event::MarginModeChanged(e) => (Good, format!("margin mode of {} is {}", e.pair, e.margin_mode)),
        Event::MarginModeRefused(e) => {
            (Bad, format!("margin mode {} of {} refused: {}", e.margin_mode, e.pair, cause(&e.error)))
        }
        Event::PositionModeChanged(e) => (Good, format!("position mode is {}", e.mode)),
        Event::PositionModeRefused(e) => {
            (Bad, format!("position mode {} refused: {}", e.mode, cause(&e.error)))
        }
        other => (Plain, format!("{other:?}")),
    }
}

/// What went wrong, shortest first: a line of the log may be cut.
fn cause(error: &Error) -> String {
    let message = error.message.trim();
    if message.is_empty() { error.cause.to_string() } else { format!("{}: {message}", error.cause) }
}

/// The word for a link's state.
pub(super) const fn word(state: LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "connecting",
        LinkState::Syncing => "syncing",
        LinkState::Live => "live",
        LinkState::Stale => "stale",
        LinkState::Down => "down",
    }
}
