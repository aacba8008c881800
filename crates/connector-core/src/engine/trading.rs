//! What a user's handle asks of an engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::links::Link;
use super::perpetual::Setting;
use super::requests::Job;
use super::{Balance, BookView, Engine, MarginSettings, Phase, unknown_pair};
use crate::book::LiveBook;
use crate::budget::{Adjusted, Candidate, Mode};
use crate::dialect::{Dialect, Spec};
use crate::error::Error;
use crate::event::Event;
use crate::funding::FundingState;
use crate::id::ClientOrderId;
use crate::journal::Entry;
use crate::message::{BestPrice, FeeRates, LeverageBracket, TradingRule};
use crate::order::{NewOrder, TrackedOrder};
use crate::pair::{Asset, Pair};
use crate::position::{MarginMode, Position, PositionMode, PositionSide};
use crate::throttle::PoolUsage;
use crate::time::Now;
use crate::wire::Machine;

/// What a user's handle asks of an engine, whatever its dialect.
pub trait Trading: Machine {
    /// Begins.
    fn start(&mut self, now: Now);
    /// Declared facts of the venue.
    fn spec(&self) -> &'static Spec;
    /// How far it is.
    fn phase(&self) -> &Phase;
    /// Whether all books are live and, if trading, balances are known and the private stream is live.
    fn is_ready(&self) -> bool;
    /// What is missing for [`is_ready`](Self::is_ready), for people; empty if nothing is.
    fn missing(&self) -> Vec<String>;
    /// Places an order. Its outcome comes as events under the id returned.
    ///
    /// # Errors
    /// Nothing was sent and no id was given: the order breaks a rule known here, or the engine cannot trade.
    fn place(&mut self, now: Now, order: NewOrder) -> Result<ClientOrderId, Error>;
    /// Places orders, several with one request where the venue has that, one by one where not. One answer for each, in the
    /// same order; what one takes of the balance is not there for those behind it. Outcomes come as events of each order: a
    /// venue may take some and refuse others.
    ///
    /// # Errors
    /// In each answer, as those of [`place`](Self::place): that order was not sent, the others were.
    fn place_many(&mut self, now: Now, orders: Vec<NewOrder>) -> Vec<Result<ClientOrderId, Error>>;
    /// Cancels an order of this instance. The outcome comes as events.
    ///
    /// # Errors
    /// The id is not an order of this instance.
    fn cancel(&mut self, now: Now, id: &ClientOrderId) -> Result<(), Error>;
    /// Cancels orders of this instance, several of a market with one request where the venue has that. One answer for each,
    /// in the same order; outcomes come as events of each order.
    ///
    /// # Errors
    /// In each answer, as those of [`cancel`](Self::cancel).
    fn cancel_many(&mut self, now: Now, ids: &[ClientOrderId]) -> Vec<Result<(), Error>>;
    /// Cancels all open orders of this instance, and only those, as [`cancel_many`](Self::cancel_many) does. Answers which.
    fn cancel_all(&mut self, now: Now) -> Vec<ClientOrderId>;
    /// Changes the price of an open limit order, its whole amount (what is executed included), or both, by cancelling it and
    /// placing another in its stead for what is left. Answers with the id of that one, whose outcome comes as events: it
    /// fails, never sent, if the first order ends otherwise than by this cancel, or lives on. Nothing is touched and the
    /// order's own id is the answer if that changes nothing.
    ///
    /// # Errors
    /// The order is as it was: it is not an open limit order of this instance, it is being cancelled, or the change breaks a
    /// rule known here.
    fn amend(
        &mut self,
        now: Now,
        id: &ClientOrderId,
        price: Option<Decimal>,
        amount: Option<Decimal>,
    ) -> Result<ClientOrderId, Error>;
    /// Sends no new order any more; cancels own open orders if `cancel`, and answers which.
    fn begin_stop(&mut self, now: Now, cancel: bool) -> Vec<ClientOrderId>;
    /// An order of this instance, open or recently closed.
    fn order(&self, id: &ClientOrderId) -> Option<TrackedOrder>;
    /// Open orders of this instance, oldest first, those of unknown outcome included.
    fn open_orders(&self) -> Vec<TrackedOrder>;
    /// Which of these orders the account can pay for now, and how much of them: see [`crate::budget`].
    fn budget(&self, candidates: &[Candidate], mode: Mode) -> Vec<Adjusted>;
    /// Balances, by asset.
    fn balances(&self) -> BTreeMap<Asset, Balance>;
    /// The local book of a pair to `depth` levels per side; `None` if the pair is not followed.
    fn book(&self, pair: &Pair, depth: usize) -> Option<BookView>;
    /// Where the best levels of a pair's book are shown, up to `depth` (1 to [`MAX_LIVE_DEPTH`](crate::book::MAX_LIVE_DEPTH));
    /// `None` if the pair is not followed.
    fn watch_book(&mut self, pair: &Pair, depth: usize) -> Option<Arc<LiveBook>>;
    /// The venue's latest best-price message.
    fn best_price(&self, pair: &Pair) -> Option<BestPrice>;
    /// The price of the latest public trade seen.
    fn last_price(&self, pair: &Pair) -> Option<Decimal>;
    /// The rule of a pair.
    fn rule(&self, pair: &Pair) -> Option<TradingRule>;
    /// All pairs that can be traded now, in order.
    fn pairs(&self) -> Vec<Pair>;
    /// The account's fees on a pair, once known.
    fn fees(&self, pair: &Pair) -> Option<FeeRates>;
    /// Use of the venue's limits.
    fn limits(&mut self, now: Now) -> Vec<PoolUsage>;
    /// Follows one more pair.
    ///
    /// # Errors
    /// The venue does not have it.
    fn follow(&mut self, now: Now, pair: &Pair) -> Result<(), Error>;
    /// Ceases to follow a pair: its subscriptions end, its book is gone. Orders on it stay tracked. Without effect if it is
    /// not followed.
    fn unfollow(&mut self, now: Now, pair: &Pair);
    /// Positions that are not zero, by pair; none for spot.
    fn positions(&self) -> Vec<Position>;
    /// One position. `side` is [`PositionSide::Both`] in one-way mode. `None` while it is not known.
    fn position(&self, pair: &Pair, side: PositionSide) -> Option<Position>;
    /// How positions are held, once it is known.
    fn position_mode(&self) -> Option<PositionMode>;
    /// How positions of a pair are margined, as far as it is known.
    fn margin(&self, pair: &Pair) -> MarginSettings;
    /// What positions of a pair must be backed by, smallest notional first; empty while it is not known.
    fn brackets(&self, pair: &Pair) -> Arc<[LeverageBracket]>;
    /// Mark price, index price and next funding of a pair, as far as they are known.
    fn funding(&self, pair: &Pair) -> FundingState;
    /// Sets the leverage of a pair. The outcome comes as an event.
    ///
    /// # Errors
    /// Nothing was sent: the venue does not have the pair, or does not offer this leverage for what is open.
    fn set_leverage(&mut self, now: Now, pair: &Pair, leverage: Decimal) -> Result<(), Error>;
    /// Sets what backs positions of a pair. The outcome comes as an event.
    ///
    /// # Errors
    /// Nothing was sent: the venue does not have the pair or the mode, or a position or an order is open.
    fn set_margin_mode(&mut self, now: Now, pair: &Pair, mode: MarginMode) -> Result<(), Error>;
    /// Sets how positions are held, for the whole account. The outcome comes as an event.
    ///
    /// # Errors
    /// Nothing was sent: the venue does not have the mode, or a position or an order is open.
    fn set_position_mode(&mut self, now: Now, mode: PositionMode) -> Result<(), Error>;
    /// The next event to publish.
    fn event(&mut self) -> Option<Event>;
    /// The next entry to hand to the journal; drivers call this until `None` after every input, wake and command, before
    /// they carry out actions, and answer with [`recorded`](Self::recorded) or [`record_failed`](Self::record_failed).
    fn record(&mut self) -> Option<Entry> {
        None
    }
    /// Every entry up to this sequence number is stored.
    fn recorded(&mut self, _now: Now, _through: u64) {}
    /// Entries could not be stored; the driver goes on trying.
    fn record_failed(&mut self, _now: Now, _error: Error) {}
    /// How many entries are not known to be stored.
    fn unrecorded(&self) -> usize {
        0
    }
}

impl<D: Dialect> Trading for Engine<D> {
    fn start(&mut self, now: Now) {
        let first = if D::REST.server_time.is_some() { Job::ServerTime } else { Job::Rules };
        self.request(now, first);
        self.settle(now);
    }

    fn spec(&self) -> &'static Spec {
        D::SPEC
    }

    fn phase(&self) -> &Phase {
        &self.phase
    }

    fn is_ready(&self) -> bool {
        self.phase == Phase::Running
            && self.feeds.all_live()
            && self.links.iter().all(Link::is_live)
            && (!self.trades() || self.holdings.known())
            && self.perpetual_ready()
    }

    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.rules.is_empty() {
            missing.push("trading rules".to_owned());
        }
        if self.trades() && !self.holdings.known() {
            missing.push("balances".to_owned());
        }
        self.missing_of_perpetual(&mut missing);
        missing.extend(self.links.iter().filter(|link| !link.is_live()).map(Link::describe));
        missing.extend(
            self.feeds.pairs(|feed| !feed.is_live()).into_iter().map(|pair| format!("book of {pair}")),
        );
        missing
    }

    fn place(&mut self, now: Now, order: NewOrder) -> Result<ClientOrderId, Error> {
        let placed = self.place_order(now, order).map_err(|error| error.at(D::SPEC.name));
        self.settle(now);
        placed
    }

    fn place_many(&mut self, now: Now, orders: Vec<NewOrder>) -> Vec<Result<ClientOrderId, Error>> {
        let placed = self.place_several(now, orders);
        self.settle(now);
        placed
    }

    fn cancel_many(&mut self, now: Now, ids: &[ClientOrderId]) -> Vec<Result<(), Error>> {
        let results = self.cancel_several(now, ids);
        self.settle(now);
        results
    }

    fn cancel(&mut self, now: Now, id: &ClientOrderId) -> Result<(), Error> {
        let result = self.cancel_order(now, id).map_err(|error| error.at(D::SPEC.name));
        self.settle(now);
        result
    }

    fn cancel_all(&mut self, now: Now) -> Vec<ClientOrderId> {
        let ids: Vec<_> = self.tracker.open_orders().map(|order| order.client_order_id().clone()).collect();
        // Every id was just found among our own orders.
        drop(self.cancel_several(now, &ids));
        self.settle(now);
        ids
    }

    fn amend(
        &mut self,
        now: Now,
        id: &ClientOrderId,
        price: Option<Decimal>,
        amount: Option<Decimal>,
    ) -> Result<ClientOrderId, Error> {
        let amended = self.amend_order(now, id, price, amount).map_err(|error| error.at(D::SPEC.name));
        self.settle(now);
        amended
    }

    fn begin_stop(&mut self, now: Now, cancel: bool) -> Vec<ClientOrderId> {
        self.gate(now);
        self.settle(now);
        if cancel { self.cancel_all(now) } else { Vec::new() }
    }

    fn order(&self, id: &ClientOrderId) -> Option<TrackedOrder> {
        self.tracker.get(id).cloned()
    }

    fn open_orders(&self) -> Vec<TrackedOrder> {
        self.tracker.open_orders().cloned().collect()
    }

    fn budget(&self, candidates: &[Candidate], mode: Mode) -> Vec<Adjusted> {
        self.budget_for(candidates, mode)
    }

    fn balances(&self) -> BTreeMap<Asset, Balance> {
        self.holdings.balances()
    }

    fn book(&self, pair: &Pair, depth: usize) -> Option<BookView> {
        self.feeds.get(pair).map(|feed| feed.view(depth))
    }

    fn watch_book(&mut self, pair: &Pair, depth: usize) -> Option<Arc<LiveBook>> {
        self.feeds.watch(pair, depth)
    }

    fn best_price(&self, pair: &Pair) -> Option<BestPrice> {
        self.feeds.get(pair)?.best_price().cloned()
    }

    fn last_price(&self, pair: &Pair) -> Option<Decimal> {
        self.feeds.get(pair)?.last_price()
    }

    fn rule(&self, pair: &Pair) -> Option<TradingRule> {
        self.rules.get(pair).cloned()
    }

    fn pairs(&self) -> Vec<Pair> {
        self.rules.values().filter(|rule| rule.tradable).map(|rule| rule.pair.clone()).collect()
    }

    fn fees(&self, pair: &Pair) -> Option<FeeRates> {
        self.fees.get(pair).cloned()
    }

    fn limits(&mut self, now: Now) -> Vec<PoolUsage> {
        let usage = self.throttler.usage(now);
        self.config.meter.limits(|| usage.clone());
        usage
    }

    fn follow(&mut self, now: Now, pair: &Pair) -> Result<(), Error> {
        if self.phase != Phase::Running {
            return Err(Error::usage("follow", "the connector is not running yet")
                .at(D::SPEC.name)
                .about(pair.as_str()));
        }
        if !self.feeds.contains(pair) {
            if self.is_delisted(pair) {
                // It may have been listed since the rules were read.
                self.demand_rules(now);
                self.settle(now);
                return Err(unknown_pair(pair).at(D::SPEC.name));
            }
            self.add_feed(pair).map_err(|error| error.at(D::SPEC.name))?;
            for index in self.plan_pair(pair) {
                self.subscribe_new(now, index, pair);
            }
            if Self::is_perpetual() {
                self.follow_funding(now, pair);
            }
            self.settle(now);
        }
        Ok(())
    }

    fn unfollow(&mut self, now: Now, pair: &Pair) {
        self.drop_feed(now, pair);
        self.settle(now);
    }

    fn positions(&self) -> Vec<Position> {
        self.open_positions()
    }

    fn position(&self, pair: &Pair, side: PositionSide) -> Option<Position> {
        self.position_of(pair, side)
    }

    fn position_mode(&self) -> Option<PositionMode> {
        self.perpetual.mode()
    }

    fn margin(&self, pair: &Pair) -> MarginSettings {
        self.perpetual.margin(pair)
    }

    fn brackets(&self, pair: &Pair) -> Arc<[LeverageBracket]> {
        self.perpetual.brackets(pair)
    }

    fn funding(&self, pair: &Pair) -> FundingState {
        self.perpetual.funding.state(pair)
    }

    fn set_leverage(&mut self, now: Now, pair: &Pair, leverage: Decimal) -> Result<(), Error> {
        let asked = self.ask_setting(now, Setting::Leverage(pair.clone(), leverage));
        self.settle(now);
        asked.map_err(|error| error.at(D::SPEC.name))
    }

    fn set_margin_mode(&mut self, now: Now, pair: &Pair, mode: MarginMode) -> Result<(), Error> {
        let asked = self.ask_setting(now, Setting::MarginMode(pair.clone(), mode));
        self.settle(now);
        asked.map_err(|error| error.at(D::SPEC.name))
    }

    fn set_position_mode(&mut self, now: Now, mode: PositionMode) -> Result<(), Error> {
        let asked = self.ask_setting(now, Setting::PositionMode(mode));
        self.settle(now);
        asked.map_err(|error| error.at(D::SPEC.name))
    }

    fn event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        // Here, before any reader can lag behind.
        self.config.meter.event(&event);
        Some(event)
    }

    fn record(&mut self) -> Option<Entry> {
        self.recorder.next()
    }

    fn recorded(&mut self, now: Now, through: u64) {
        self.on_recorded(now, through);
        self.settle(now);
    }

    fn record_failed(&mut self, now: Now, error: Error) {
        self.on_record_failed(now, error);
        self.settle(now);
    }

    fn unrecorded(&self) -> usize {
        self.recorder.unrecorded()
    }
}
