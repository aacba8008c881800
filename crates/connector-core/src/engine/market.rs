//! Market data: rules, books, best prices and trades.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::perpetual::Funding;
use super::requests::Job;
use super::{Engine, Phase, RULES_GAP, Scratch, Timer, unknown_pair};
use crate::book::{Book, BookSync, Gap, LiveBook, MAX_LIVE_DEPTH, Step};
use crate::dialect::{BookRule, Channel, DecodeError, Dialect, Frame, LinkRole};
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::message::{BestPrice, BookMessage, Level, Message, Sink, Trade, TradingRule};
use crate::mutants::{self, Mutant};
use crate::pair::Pair;
use crate::time::{Mono, Now, UnixNanos};

/// A feed that is silent for this long is looked into.
const QUIET: Duration = Duration::from_secs(10);
/// Silent feeds looked into at once.
const PROBES: usize = 10;
/// How much later than by request news may arrive by stream.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Whether a book can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// Proven equal to the venue's at [`BookView::last_id`].
    Live,
    /// Being joined to a snapshot, or cut off: what it shows may be old.
    Stale,
}

/// A copy of a book's best levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookView {
    /// The pair.
    pub pair: Pair,
    /// Whether it can be trusted. A book that is not live is empty.
    pub state: FeedState,
    /// The venue's update id it stands at.
    pub last_id: Option<u64>,
    /// Bids, best first.
    pub bids: Vec<Level>,
    /// Asks, best first.
    pub asks: Vec<Level>,
}

/// What is followed of one pair.
pub(super) struct Feed {
    pair: Pair,
    sync: BookSync,
    subscribed: bool,
    best: Option<BestPrice>,
    last_price: Option<Decimal>,
    /// When its book was last spoken of by the stream, or proven by request.
    heard: Mono,
    /// When a best price, and a trade, last came, or was proven not to be missing.
    best_heard: Mono,
    trade_heard: Mono,
    /// What the venue answered when last asked for the last price, and whether no trade has come since.
    price_asked: Option<Decimal>,
    /// What readers watch, one for each depth; those nobody watches any more are dropped.
    watched: Vec<Arc<LiveBook>>,
}

impl Feed {
    fn new(pair: Pair, rule: BookRule) -> Self {
        Self {
            pair,
            sync: BookSync::new(rule),
            subscribed: false,
            best: None,
            last_price: None,
            heard: Mono(0),
            best_heard: Mono(0),
            trade_heard: Mono(0),
            price_asked: None,
            watched: Vec::new(),
        }
    }

    /// Shows the book to those who watch it.
    fn show(&mut self) {
        if self.watched.is_empty() {
            return;
        }
        self.watched.retain(|watched| Arc::strong_count(watched) > 1);
        for watched in &self.watched {
            watched.show(self.book());
        }
    }

    fn watch(&mut self, depth: usize) -> Arc<LiveBook> {
        if let Some(watched) = self.watched.iter().find(|watched| watched.depth() == depth) {
            return Arc::clone(watched);
        }
        let watched = Arc::new(LiveBook::new(depth));
        watched.show(self.book());
        self.watched.push(Arc::clone(&watched));
        watched
    }

    pub(super) fn is_live(&self) -> bool {
        self.book().is_some()
    }

    /// The book, while it is proven.
    fn book(&self) -> Option<&Book> {
        self.sync.book().filter(|_| self.subscribed)
    }

    pub(super) fn view(&self, depth: usize) -> BookView {
        let book = self.book();
        let (bids, asks) = book.map(|book| book.to_levels(depth)).unwrap_or_default();
        BookView {
            pair: self.pair.clone(),
            state: if book.is_some() { FeedState::Live } else { FeedState::Stale },
            last_id: book.and_then(Book::last_id),
            bids,
            asks,
        }
    }

    pub(super) fn best_bid(&self) -> Option<Decimal> {
        self.book()?.best_bid().map(|level| level.price)
    }

    pub(super) fn best_ask(&self) -> Option<Decimal> {
        self.book()?.best_ask().map(|level| level.price)
    }

    /// Whether the best prices told are not the book's, though neither has changed for long.
    fn lacks_best_price(&self, now: Now) -> bool {
        let Some(best) = self.best.as_ref().filter(|_| now.mono.since(self.best_heard) >= QUIET) else {
            return false;
        };
        self.is_live() && (best.bid, best.ask) != (self.best_bid(), self.best_ask())
    }

    pub(super) const fn best_price(&self) -> Option<&BestPrice> {
        self.best.as_ref()
    }

    pub(super) const fn last_price(&self) -> Option<Decimal> {
        self.last_price
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.watched.iter().for_each(|watched| watched.close());
    }
}

/// All feeds, by pair, changed only through what keeps count of those that are live. So neither their number nor the question
/// whether the whole is live matters to a message.
#[derive(Default)]
pub(super) struct Feeds {
    by_pair: FxHashMap<Pair, Feed>,
    live: usize,
}

impl Feeds {
    pub(super) fn get(&self, pair: &Pair) -> Option<&Feed> {
        self.by_pair.get(pair)
    }

    pub(super) fn contains(&self, pair: &Pair) -> bool {
        self.by_pair.contains_key(pair)
    }

    /// The feeds that `which` picks, by pair in order.
    pub(super) fn pick(&self, which: impl Fn(&Feed) -> bool) -> Vec<&Feed> {
        let mut picked: Vec<_> = self.by_pair.values().filter(|feed| which(feed)).collect();
        picked.sort_unstable_by(|a, b| a.pair.cmp(&b.pair));
        picked
    }

    /// The pairs of the feeds that `which` picks, in order.
    pub(super) fn pairs(&self, which: impl Fn(&Feed) -> bool) -> Vec<Pair> {
        self.pick(which).into_iter().map(|feed| feed.pair.clone()).collect()
    }

    /// A place where the best levels of a pair's book are shown; `None` if the pair is not followed.
    pub(super) fn watch(&mut self, pair: &Pair, depth: usize) -> Option<Arc<LiveBook>> {
        Some(self.by_pair.get_mut(pair)?.watch(depth.clamp(1, MAX_LIVE_DEPTH)))
    }

    /// Whether every feed is live.
    pub(super) fn all_live(&self) -> bool {
        self.live == self.by_pair.len()
    }

    /// Adds a feed that knows nothing yet, unless the pair has one.
    fn add(&mut self, pair: &Pair, rule: BookRule) {
        self.by_pair.entry(pair.clone()).or_insert_with(|| Feed::new(pair.clone(), rule));
    }

    /// Whether the snapshot that a feed waits for has been asked for, or still waits for the limits.
    pub(super) fn expect_snapshot(&mut self, pair: &Pair, coming: bool) {
        if let Some(feed) = self.by_pair.get_mut(pair) {
            feed.sync.expect_snapshot(coming);
        }
    }

    fn remove(&mut self, pair: &Pair) -> Option<Feed> {
        let feed = self.by_pair.remove(pair)?;
        self.live -= usize::from(feed.is_live());
        Some(feed)
    }

    /// Changes the feed of a pair; `None` if it has none.
    fn change<R>(&mut self, pair: &Pair, change: impl FnOnce(&mut Feed) -> R) -> Option<R> {
        let feed = self.by_pair.get_mut(pair)?;
        let was_live = feed.is_live();
        let result = change(feed);
        match (was_live, feed.is_live()) {
            (false, true) => self.live += 1,
            (true, false) => self.live -= 1,
            _ => {}
        }
        Some(result)
    }
}

/// Takes decoded frames straight into the feeds; what is not market data is set aside.
struct Intake<'a> {
    now: Now,
    feeds: &'a mut Feeds,
    events: &'a mut VecDeque<Event>,
    cold: &'a mut Vec<Message>,
    /// Pairs whose book needs a snapshot.
    stale: &'a mut Vec<Pair>,
    funding: &'a mut Funding,
    /// The time by the venue's clock.
    venue_time: UnixNanos,
    /// Whether anything changed but prices and levels.
    stirred: bool,
}

impl Intake<'_> {
    fn after(&mut self, pair: &Pair, was_live: bool, step: Step) {
        self.stirred = true;
        let Some(feed) = self.feeds.get(pair) else { return };
        let live = feed.is_live();
        let time = self.now.utc;
        if live && !was_live {
            self.events.push_back(Event::BookLive { time, pair: pair.clone() });
        }
        if was_live && !live {
            let reason = SmolStr::new_static(reason(step));
            self.events.push_back(Event::BookStale { time, pair: pair.clone(), reason });
        }
        if feed.subscribed && matches!(step, Step::Gap(_) | Step::TooOld) {
            self.stale.push(pair.clone());
        }
    }
}

/// What a frame held besides market data that has been applied.
pub(super) struct Decoded {
    pub(super) cold: Vec<Message>,
    pub(super) result: Result<(), DecodeError>,
    /// Nothing: only prices and levels have changed, or nothing at all.
    pub(super) quiet: bool,
}

/// Why a book went stale, for people.
const fn reason(step: Step) -> &'static str {
    match step {
        Step::Gap(Gap::Missing) => "a message is missing",
        Step::Gap(Gap::Crossed) => "the book crossed",
        Step::Gap(Gap::NoId) => "a message lacks its ids",
        Step::Gap(Gap::BadLevel) => "a level cannot be held",
        Step::TooOld => "the snapshot is too old",
        _ => "resynchronising",
    }
}

impl Sink for Intake<'_> {
    fn book(&mut self, message: BookMessage<'_>) {
        let now = self.now.mono;
        let Some(pair) = message.market.pair() else { return };
        let applied = self.feeds.change(pair, |feed| {
            feed.heard = now;
            let applied = (feed.is_live(), feed.sync.apply(&message));
            feed.show();
            applied
        });
        // The steady state: nothing changes but the levels.
        if let Some((was_live, step)) = applied
            && !(was_live && step == Step::Applied)
        {
            self.after(pair, was_live, step);
        }
    }

    fn best_price(&mut self, message: BestPrice) {
        let Now { utc: time, mono } = self.now;
        let Some(pair) = message.market.pair() else { return };
        let told = self.feeds.change(pair, |feed| {
            feed.best_heard = mono;
            feed.best = Some(message.clone());
        });
        if told.is_some() {
            let pair = pair.clone();
            self.events.push_back(Event::BestPriceChanged { time, pair, best: message });
        }
    }

    fn trade(&mut self, message: Trade) {
        let Now { utc: time, mono } = self.now;
        let Some(pair) = message.market.pair() else { return };
        let told = self.feeds.change(pair, |feed| {
            (feed.trade_heard, feed.price_asked) = (mono, None);
            feed.last_price = Some(message.price);
        });
        if told.is_some() {
            let pair = pair.clone();
            self.events.push_back(Event::Traded { time, pair, trade: message });
        }
    }

    fn message(&mut self, message: Message) {
        // Once a second for each of thousands of pairs.
        if let Message::FundingInfo(info) = &message {
            let event = self.funding.told(self.now, info, self.venue_time);
            return self.events.extend(event);
        }
        self.cold.push(message);
    }
}

impl<D: Dialect> Engine<D> {
    /// Decodes a frame and applies what is market data; answers with the rest.
    pub(super) fn decode_frame(&mut self, now: Now, role: LinkRole, bytes: &mut [u8]) -> Decoded {
        let Scratch { bids, asks, cold, stale } = &mut self.scratch;
        bids.clear();
        asks.clear();
        let venue_time = self.clock.venue_time(now);
        let (feeds, events, funding) = (&mut self.feeds, &mut self.events, &mut self.perpetual.funding);
        let mut intake = Intake { now, feeds, events, cold, stale, funding, venue_time, stirred: false };
        let result = D::frame(Frame { role, bytes, symbols: &self.symbols, bids, asks }, &mut intake);
        let stirred = intake.stirred;
        let cold = std::mem::take(&mut self.scratch.cold);
        for pair in std::mem::take(&mut self.scratch.stale) {
            self.want_snapshot(now, &pair);
        }
        Decoded { quiet: !stirred && cold.is_empty() && result.is_ok(), cold, result }
    }

    fn want_snapshot(&mut self, now: Now, pair: &Pair) {
        if D::SPEC.book != BookRule::SnapshotOnly {
            self.request(now, Job::Book(pair.clone()));
        }
    }

    pub(super) fn take_snapshot(&mut self, now: Now, pair: &Pair, messages: &[Message]) {
        let mut stale = Vec::new();
        let venue_time = self.clock.venue_time(now);
        let mut intake = Intake {
            now,
            venue_time,
            funding: &mut self.perpetual.funding,
            feeds: &mut self.feeds,
            events: &mut self.events,
            cold: &mut Vec::new(),
            stale: &mut stale,
            stirred: false,
        };
        for message in messages {
            if let Message::BookSnapshot(update) = message {
                intake.book(update.as_message(true));
            }
        }
        if !stale.is_empty() {
            // The snapshot was older than what the stream has shown: ask again, but not at once.
            let wait = self.backoff(Duration::from_millis(100), Duration::from_secs(1), 0);
            self.set_timer(now.mono.after(wait), Timer::Retry(Job::Book(pair.clone()), 0));
        }
    }

    /// Looks at feeds that have been silent: a quiet market and a dead subscription look the same from here, so the venue
    /// is asked, a few at a time.
    pub(super) fn watch_feeds(&mut self, now: Now) {
        if mutants::is(Mutant::PongsAreLife) {
            return;
        }
        for pair in self.silent(now, |feed| feed.heard) {
            self.request(now, Job::Probe(pair));
        }
        if D::SPEC.channels.iter().any(|spec| spec.channel == Channel::Trades) {
            for pair in self.silent(now, |feed| feed.trade_heard) {
                self.request(now, Job::ProbeTrades(pair));
            }
        }
        for pair in self.feeds.pairs(|feed| feed.lacks_best_price(now)) {
            self.drop_link_of(
                now,
                &pair,
                Channel::BestPrice,
                "the book moves, but its best prices are not told",
            );
        }
        // Also where nothing is sent, so that the gauges fall when windows end.
        self.measure_limits(now);
        self.set_timer(now.mono.after(QUIET / 2), Timer::WatchFeeds);
    }

    /// The live feeds that have been silent for longest, too long, by what `heard` says.
    fn silent(&self, now: Now, heard: impl Fn(&Feed) -> Mono) -> Vec<Pair> {
        let mut silent = self.feeds.pick(|feed| feed.is_live() && now.mono.since(heard(feed)) >= QUIET);
        silent.sort_by_key(|feed| heard(feed));
        silent.into_iter().take(PROBES).map(|feed| feed.pair.clone()).collect()
    }

    pub(super) fn take_probe(&mut self, now: Now, sent: Now, pair: &Pair, messages: &[Message]) {
        let id = messages.iter().find_map(|message| match message {
            Message::BookSnapshot(update) => update.last_id,
            _ => None,
        });
        let Some(id) = id else { return };
        let behind = self.feeds.change(pair, |feed| {
            if feed.heard >= sent.mono {
                return false;
            }
            feed.heard = now.mono;
            feed.sync.last_id().is_some_and(|known| known < id)
        });
        if behind == Some(true) {
            // What we miss may be on its way.
            self.set_timer(now.mono.after(GRACE), Timer::Missed(pair.clone(), id));
        }
    }

    /// The venue's last price. If it is another than before, there was a trade in between.
    pub(super) fn take_last_price(&mut self, now: Now, sent: Now, pair: &Pair, messages: &[Message]) {
        let price = messages.iter().find_map(|message| match message {
            Message::LastPrice { price, .. } => Some(*price),
            _ => None,
        });
        let Some(price) = price else { return };
        let traded = self.feeds.change(pair, |feed| {
            if feed.trade_heard >= sent.mono {
                return false;
            }
            feed.trade_heard = now.mono;
            feed.price_asked.replace(price).is_some_and(|before| before != price)
        });
        if traded == Some(true) {
            // The trade may be on its way.
            self.set_timer(now.mono.after(GRACE), Timer::MissedTrade(pair.clone()));
        }
    }

    /// There was a trade after those heard until then; by now the stream must have brought it.
    pub(super) fn check_missed_trade(&mut self, now: Now, pair: &Pair) {
        // A trade that came has cleared what was asked.
        if self.feeds.get(pair).is_some_and(|feed| feed.is_live() && feed.price_asked.is_some()) {
            self.drop_link_of(now, pair, Channel::Trades, "there are trades that the stream does not tell");
        }
    }

    /// The venue had news of a pair up to `id`; by now the stream must have brought them.
    pub(super) fn check_missed(&mut self, now: Now, pair: &Pair, id: u64) {
        let missing =
            self.feeds.get(pair).and_then(|feed| feed.sync.last_id()).is_some_and(|known| known < id);
        if missing {
            let reason = "the connection lives, but the subscription delivers nothing";
            self.drop_link_of(now, pair, Channel::Book, reason);
        }
    }

    pub(super) fn take_rules(&mut self, now: Now, messages: Vec<Message>) {
        let mut rules = BTreeMap::new();
        let mut skipped = false;
        for message in messages {
            match message {
                // An alias of a pair that is mapped already is left out: orders must not be redirected.
                Message::TradingRule(rule)
                    if self.symbols.insert(rule.exchange_symbol.clone(), rule.pair.clone()) =>
                {
                    if let Some(size) = rule.contract_size {
                        self.symbols.set_contract_size(rule.exchange_symbol.clone(), size);
                    }
                    rules.insert(rule.pair.clone(), rule);
                }
                Message::Skipped { error } => {
                    skipped = true;
                    let problem = Error::new(Cause::Malformed, Effect::NotSent, "rules", error.clone());
                    self.report(now, &format!("rules:{error}"), problem);
                }
                _ => {}
            }
        }
        // An answer without a single usable rule is a fault of the answer, not the end of all markets.
        if rules.is_empty() {
            let problem =
                Error::new(Cause::Malformed, Effect::NotSent, "rules", "the answer holds no usable pair");
            return if self.rules.is_empty() {
                self.fail(now, problem)
            } else {
                self.report(now, "rules:empty", problem)
            };
        }
        if skipped {
            // What is missing may be what could not be read: no proof that it is gone.
            for (pair, rule) in std::mem::take(&mut self.rules) {
                rules.entry(pair).or_insert(rule);
            }
        }
        let changed: Vec<TradingRule> =
            rules.values().filter(|rule| self.rules.get(&rule.pair) != Some(rule)).cloned().collect();
        let first = self.rules.is_empty();
        self.rules = rules;
        self.rules_rest.0 = now.mono.after(RULES_GAP);
        self.margins_of_new(now, &changed);
        if !first && !changed.is_empty() {
            self.emit(Event::RulesChanged { time: now.utc, rules: changed.into() });
        }
        if first
            && let Some(pair) = self.config.pairs.iter().find(|pair| !self.rules.contains_key(*pair)).cloned()
        {
            self.fail(now, unknown_pair(&pair));
        }
        for pair in self.feeds.pairs(|feed| self.is_delisted(&feed.pair)) {
            self.fees.remove(&pair);
            self.drop_feed(now, &pair);
            self.emit(Event::PairDelisted { time: now.utc, pair });
        }
    }

    /// Whether the venue is known not to have a pair.
    pub(super) fn is_delisted(&self, pair: &Pair) -> bool {
        !self.rules.is_empty() && !self.rules.contains_key(pair)
    }

    /// Something contradicts the rules known here: reads them again, though not more often than now and then.
    pub(super) fn demand_rules(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        let (due, planned) = self.rules_rest;
        if due <= now.mono {
            self.rules_rest = (now.mono.after(RULES_GAP), false);
            self.request(now, Job::Rules);
        } else if !planned {
            self.rules_rest.1 = true;
            self.set_timer(due, Timer::Rules);
        }
    }

    /// Ceases to follow a pair.
    pub(super) fn drop_feed(&mut self, now: Now, pair: &Pair) {
        if self.feeds.remove(pair).is_some() {
            self.unsubscribe(now, pair);
            self.unfollow_funding(pair);
        }
    }

    pub(super) fn add_feed(&mut self, pair: &Pair) -> Result<(), Error> {
        if self.symbols.symbol(pair).is_none() {
            return Err(unknown_pair(pair));
        }
        self.feeds.add(pair, D::SPEC.book);
        Ok(())
    }

    /// The venue has confirmed a subscription: from now on diffs arrive, and a snapshot can be joined to them.
    pub(super) fn feed_subscribed(&mut self, now: Now, index: usize, pair: &Pair) {
        let [book, trades] =
            [Channel::Book, Channel::Trades].map(|channel| self.link_carries(index, channel));
        let known = self.feeds.change(pair, |feed| {
            if book {
                (feed.subscribed, feed.heard) = (true, now.mono);
            }
            if trades {
                (feed.trade_heard, feed.price_asked) = (now.mono, None);
            }
        });
        if book && known.is_some() {
            self.want_snapshot(now, pair);
        }
    }

    /// The stream that carried these pairs is gone: what came by it proves nothing any more.
    pub(super) fn feeds_cut(&mut self, now: Now, index: usize, pairs: &[Pair], reason: &str) {
        let [book, best] =
            [Channel::Book, Channel::BestPrice].map(|channel| self.link_carries(index, channel));
        for pair in pairs {
            let was_live = self.feeds.change(pair, |feed| {
                let was_live = feed.is_live();
                if best {
                    feed.best = None;
                }
                if book {
                    feed.subscribed = false;
                    feed.sync.reset();
                    feed.show();
                }
                was_live && book
            });
            if was_live == Some(true) {
                let reason = SmolStr::new(reason);
                self.events.push_back(Event::BookStale { time: now.utc, pair: pair.clone(), reason });
            }
        }
    }
}

#[cfg(test)]
mod tests;
