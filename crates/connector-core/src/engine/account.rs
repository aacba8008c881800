//! The account: balances and own orders.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;

use super::requests::{Job, Watermark};
use super::reservations::{Executed, Moment, Reservations};
use super::{Engine, Phase, Timer, unknown_pair};
use crate::budget::{Adjusted, Candidate, Mode, Unit, adjust};
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::fee::{FeeSchedule, Prices};
use crate::id::ClientOrderId;
use crate::message::{BalanceReport, Message, OrderReport};
use crate::mutants::{self, Mutant};
use crate::order::{CancelStep, NewOrder, OrderState, OrderType, Side, TimeInForce, TrackedOrder, Want};
use crate::pair::{Asset, Pair};
use crate::rules::quantise;
use crate::time::{Mono, Now, UnixNanos};

/// How often the account is compared while orders are open …
pub(super) const AUDIT_BUSY: Duration = Duration::from_secs(30);
/// … and while none are.
const AUDIT_IDLE: Duration = Duration::from_secs(120);

/// What the account holds of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Everything held, locked or not.
    pub total: Decimal,
    /// What can be spent on new orders: what the venue says, less what own orders take of it that the venue's figure cannot
    /// show yet. Never negative.
    pub available: Decimal,
}

/// All balances, with what is needed to keep an older answer from overwriting newer news.
#[derive(Debug)]
pub(super) struct Holdings {
    balances: BTreeMap<Asset, Balance>,
    /// When the stream last spoke of an asset.
    streamed: BTreeMap<Asset, Mono>,
    known: bool,
    pub(super) reservations: Reservations,
    /// Somebody will look whether the venue's figures have caught up.
    watched: bool,
    /// The venue's time of the newest total that a stream told, by asset.
    dated: BTreeMap<Asset, UnixNanos>,
    /// When they were last asked for because the account had moved, and whether they soon will be.
    asked: (Mono, bool),
}

/// How soon balances are asked for after the account has moved, where the venue does not push all of them …
const STIRRED: Duration = Duration::from_millis(250);
/// … and how often at most.
const STIRRED_PERIOD: Duration = Duration::from_secs(1);

/// How long a venue that pushes its balances may leave an accepted order out of them before they are asked for.
const PUSH_PATIENCE: Duration = Duration::from_secs(5);

impl Holdings {
    pub(super) const fn known(&self) -> bool {
        self.known
    }

    /// `margin`: orders take margin, not what they trade.
    pub(super) fn new(push: bool, visibility: Duration, margin: bool) -> Self {
        Self {
            balances: BTreeMap::new(),
            streamed: BTreeMap::new(),
            known: false,
            reservations: Reservations::new(push, visibility, margin),
            watched: false,
            dated: BTreeMap::new(),
            asked: (Mono(0), false),
        }
    }

    /// Balances as they can be spent.
    pub(super) fn balances(&self) -> BTreeMap<Asset, Balance> {
        let spendable = |(asset, balance): (&Asset, &Balance)| {
            let available = self.reservations.available(asset, balance.available);
            (asset.clone(), Balance { available, ..*balance })
        };
        self.balances.iter().map(spendable).collect()
    }

    /// What can be spent, by asset.
    fn available(&self) -> BTreeMap<Asset, Decimal> {
        let received = self.reservations.assets().cloned();
        received
            .chain(self.balances.keys().cloned())
            .map(|asset| (asset.clone(), self.spendable(&asset)))
            .collect()
    }

    fn spendable(&self, asset: &Asset) -> Decimal {
        let told = self.balances.get(asset).map_or(Decimal::ZERO, |balance| balance.available);
        self.reservations.available(asset, told)
    }

    /// Notes the venue's time of a total told by a stream; whether none newer was told before.
    fn date(&mut self, report: &BalanceReport) -> bool {
        let (Some(time), Some(_)) = (report.time, report.total) else { return true };
        let newest = self.dated.entry(report.asset.clone()).or_insert(time);
        let newer = *newest <= time;
        *newest = time.max(*newest);
        newer
    }

    /// Applies one report; answers with the new balance if it changed.
    fn apply(&mut self, report: &BalanceReport) -> Option<Balance> {
        let balance = self.balances.entry(report.asset.clone()).or_default();
        let before = *balance;
        balance.total = report.total.unwrap_or(balance.total);
        balance.available = report.available.unwrap_or(balance.available);
        (*balance != before).then_some(*balance)
    }
}

impl<D: Dialect> Engine<D> {
    /// Applies a complete answer that was asked for at `sent`: assets it does not name are not held, and what the stream has
    /// said since then is newer.
    pub(super) fn take_balances(&mut self, now: Now, sent: Now, messages: &[Message]) {
        let before = self.holdings.balances.clone();
        let first = !std::mem::replace(&mut self.holdings.known, true);
        let (mut seen, mut outdated) = (Vec::new(), false);
        for message in messages {
            if let Message::Balance(report) = message {
                seen.push(report.asset.clone());
                let newer = self.holdings.streamed.get(&report.asset).is_none_or(|at| *at < sent.mono);
                let overtaken = self.holdings.reservations.is_outdated(&report.asset, report.time);
                outdated |= overtaken;
                if newer && !overtaken {
                    self.apply_balance(now, sent.mono, report);
                } else if !D::SPEC.balance_push && !overtaken {
                    // The stream's word on the total is newer; on what is available it has none.
                    let available = BalanceReport { total: None, ..report.clone() };
                    self.apply_balance(now, sent.mono, &available);
                }
            }
        }
        let gone: Vec<Asset> = self
            .holdings
            .balances
            .iter()
            // What an answer from the past does not name may have come since.
            .filter(|(asset, balance)| !outdated && !seen.contains(asset) && **balance != Balance::default())
            .filter(|(asset, _)| self.holdings.streamed.get(*asset).is_none_or(|at| *at < sent.mono))
            .map(|(asset, _)| asset.clone())
            .collect();
        for asset in gone {
            let zero = Some(Decimal::ZERO);
            let report = BalanceReport { asset, total: zero, available: zero, time: None };
            self.apply_balance(now, sent.mono, &report);
        }
        if D::SPEC.balance_push && !first && self.holdings.balances != before {
            self.doubt_user_link(now, sent);
        }
    }

    /// Compares with the venue by request: a backup for what the private stream should have told.
    pub(super) fn audit(&mut self, now: Now) {
        self.request(now, Job::Balances);
        self.request(now, Job::OpenOrders(None));
        if Self::is_perpetual() {
            self.request(now, Job::Positions);
        }
        let period = if self.tracker.is_idle() { AUDIT_IDLE } else { AUDIT_BUSY };
        self.set_timer(now.mono.after(period), Timer::Audit);
    }

    /// Applies a figure that holds what the venue had done at `as_of`.
    fn apply_balance(&mut self, now: Now, as_of: Mono, report: &BalanceReport) {
        if report.available.is_some() {
            let told = Moment { known: as_of, venue: report.time };
            self.holdings.reservations.told(&report.asset, told, now.mono);
        }
        if let Some(Balance { total, available }) = self.holdings.apply(report) {
            self.emit(Event::BalanceChanged { time: now.utc, asset: report.asset.clone(), total, available });
        }
    }

    /// Applies one message about the account, from a stream or from the answer to a request.
    pub(super) fn apply_account(&mut self, now: Now, message: Message) {
        match message {
            Message::Order(ref report) => {
                if report.state == OrderState::Unknown {
                    let what = report.reason.clone().unwrap_or_default();
                    let problem = Error::new(Cause::Malformed, Effect::Unknown, "order state", what.clone());
                    self.report(now, &format!("order state:{what}"), problem);
                }
                self.tracker.apply(now, &message);
                // Whoever placed it, it takes or frees something.
                self.account_stirred(now);
            }
            Message::Fill(ref fill) => {
                self.tracker.apply(now, &message);
                self.position_filled(now, fill);
            }
            // A figure that was overtaken on its way tells nothing.
            Message::Balance(report)
                if !self.holdings.reservations.is_outdated(&report.asset, report.time)
                    && self.holdings.date(&report) =>
            {
                self.holdings.streamed.insert(report.asset.clone(), now.mono);
                self.apply_balance(now, now.mono, &report);
                self.account_stirred(now);
            }
            Message::Fees(rates) => {
                if let Some(pair) = rates.market.pair() {
                    let pair = pair.clone();
                    self.fees.insert(pair.clone(), rates);
                    self.tracker.set_fees(pair.clone(), self.fee_schedule(&pair));
                }
            }
            Message::Skipped { error } => {
                let problem = Error::new(Cause::Malformed, Effect::Unknown, "account", error.clone());
                self.report(now, &format!("account:{error}"), problem);
            }
            message if Self::is_perpetual() => self.apply_perpetual(now, message),
            _ => {}
        }
    }

    pub(super) fn take_account(&mut self, now: Now, messages: Vec<Message>) {
        for message in messages {
            self.apply_account(now, message);
        }
    }

    /// The answer to a placement: the order's acknowledgement, then what it may have traded at once.
    pub(super) fn take_placed(&mut self, now: Now, id: &ClientOrderId, messages: Vec<Message>) {
        let (orders, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| matches!(message, Message::Order(_)));
        self.take_account(now, others);
        if orders.is_empty() {
            let text = "the answer does not speak of the order";
            let error = Error::new(Cause::Malformed, Effect::Unknown, "place", text).at(D::SPEC.name);
            self.tracker.place_failed(now, id, &error);
        }
        for message in orders {
            if let Message::Order(report) = message {
                self.tracker.acknowledged(now, id, &report);
            }
        }
    }

    /// Fills that cannot be read now are asked for again when the tracker wants them again.
    pub(super) fn fills_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {
        self.requests.end_pages(id);
        let key = format!("fills:{:?}", error.cause);
        self.report(now, &key, error.clone());
    }

    pub(super) fn take_open_orders(
        &mut self,
        now: Now,
        sent: Now,
        pair: Option<&Pair>,
        messages: &[Message],
    ) {
        let reports: Vec<OrderReport> = messages
            .iter()
            .filter_map(|message| match message {
                Message::Order(report) => Some(report.clone()),
                _ => None,
            })
            .collect();
        self.adopt(now, &reports);
        self.tracker.open_orders_snapshot(now, pair, &reports, sent.mono);
    }

    /// From where the fills of an order are read.
    pub(super) fn fill_watermark(&self, id: &ClientOrderId) -> Watermark {
        let page_start = self.requests.page_start(id).cloned();
        let since = self.tracker.get(id).map(|order| order.submitted().utc.offset(-60_000_000_000));
        (page_start, since)
    }

    pub(super) fn take_fills(&mut self, now: Now, sent: Now, id: &ClientOrderId, messages: &[Message]) {
        let mut last = None;
        let mut count = 0_u32;
        for message in messages {
            if let Message::Fill(fill) = message {
                count += 1;
                last = Some(fill.trade_id.clone());
                self.tracker.apply(now, message);
                self.position_filled(now, fill);
            }
        }
        match last {
            // A full page may have a successor; it starts at the last fill known, which the ledger takes only once.
            Some(last) if count >= D::REST.fills_page && self.requests.page_start(id) != Some(&last) => {
                self.requests.set_page(id.clone(), last);
                self.request(now, Job::Fills(id.clone()));
            }
            _ => {
                self.requests.end_pages(id);
                self.tracker.fills_fetched(now, id, sent.mono);
            }
        }
    }

    pub(super) fn place_order(&mut self, now: Now, order: NewOrder) -> Result<ClientOrderId, Error> {
        let (id, order) = self.register(now, order)?;
        self.place_recorded(now, vec![(id.clone(), order)]);
        Ok(id)
    }

    /// Takes in an order that is about to be placed, as it will be sent.
    pub(super) fn register(&mut self, now: Now, order: NewOrder) -> Result<(ClientOrderId, NewOrder), Error> {
        self.recorder.admits(now)?;
        let (order, units) = self.checked(order, None)?;
        let id = self.ids.next_id();
        self.tracker.submit(now, id.clone(), order.clone())?;
        if !self.tracker.knows_fees(&order.pair) {
            self.tracker.set_fees(order.pair.clone(), self.fee_schedule(&order.pair));
        }
        self.holdings.reservations.placed(id.clone(), order.amount, units);
        Ok((id, order))
    }

    /// The order as it will be sent and what each unit of it takes, or why it cannot be. `freed` is what will be available
    /// besides by then.
    pub(super) fn checked(
        &self,
        order: NewOrder,
        freed: Option<&(Asset, Decimal)>,
    ) -> Result<(NewOrder, Vec<(Asset, Decimal)>), Error> {
        if !self.trades() {
            return Err(Error::usage("place", "this needs credentials, and the connector was built without"));
        }
        if self.stopping {
            return Err(Error::usage("place", "the connector is stopping: no order is sent any more"));
        }
        if let Phase::Failed(error) = &self.phase {
            return Err(Error::usage("place", format!("the connector has given up: {error}")));
        }
        let spec = D::SPEC;
        if !spec.order_types.contains(&order.order_type) {
            return Err(Error::usage("order type", format!("{} is not offered here", order.order_type)));
        }
        let plain = order.time_in_force == TimeInForce::Gtc;
        if !plain
            && (order.order_type != OrderType::Limit || !spec.times_in_force.contains(&order.time_in_force))
        {
            let text = format!("{:?} is not offered for {} orders", order.time_in_force, order.order_type);
            return Err(Error::usage("time in force", text));
        }
        let rule = self.rules.get(&order.pair).ok_or_else(|| {
            if self.rules.is_empty() {
                Error::usage("place", "trading rules are not known yet: wait until the connector is ready")
            } else {
                unknown_pair(&order.pair)
            }
        })?;
        self.check_action(&order)?;
        let quantised = quantise(rule, &order, self.reference_price(&order))?;
        let units = self.check_funds(&order, quantised.price, quantised.amount, freed)?;
        Ok((NewOrder { price: quantised.price, amount: quantised.amount, ..order }, units))
    }

    /// What a market order would trade at about now.
    fn reference_price(&self, order: &NewOrder) -> Option<Decimal> {
        let feed = self.feeds.get(&order.pair)?;
        let best = match order.side {
            Side::Buy => feed.best_ask(),
            Side::Sell => feed.best_bid(),
        };
        best.or_else(|| feed.last_price())
    }

    /// What the account pays on a pair: its own rates, or the venue's declared ones while those are not known.
    pub(super) fn fee_schedule(&self, pair: &Pair) -> FeeSchedule {
        let declared = self.declared_fees.clone();
        match self.fees.get(pair) {
            Some(rates) => declared.with_rates(rates),
            None => declared,
        }
    }

    /// Refuses what the balances known here cannot pay for, so that it need not be sent to be refused. Answers with what one
    /// unit of the base asset takes.
    fn check_funds(
        &self,
        order: &NewOrder,
        price: Option<Decimal>,
        amount: Decimal,
        freed: Option<&(Asset, Decimal)>,
    ) -> Result<Vec<(Asset, Decimal)>, Error> {
        let (pair, side, order_type) = (order.pair.clone(), order.side, order.order_type);
        // What a market order will pay is the venue's to judge; what it should pay is set aside.
        let expected = price.or_else(|| self.reference_price(order)).or(order.price).unwrap_or_default();
        let action = order.action;
        let candidate = Candidate { pair, side, order_type, amount, price: expected, action };
        let fees = self.fee_schedule(&order.pair);
        let Some(terms) = self.terms(&candidate, &fees, None) else { return Ok(Vec::new()) };
        let Some(unit) = Unit::new(&candidate, &terms, &Prices::default()) else { return Ok(Vec::new()) };
        let available = |asset: &Asset| {
            let freed = freed.filter(|(freed, _)| freed == asset);
            let freed = freed.map_or(Decimal::ZERO, |(_, amount)| *amount);
            self.holdings.spendable(asset).saturating_add(freed)
        };
        if self.holdings.known
            && (price.is_some() || side == Side::Sell && terms.margin.is_none())
            && let Some(lack) = unit.lack(amount, available)
        {
            return Err(lack.error("place", &candidate));
        }
        Ok(unit.per_base(amount))
    }

    pub(super) fn budget_for(&self, candidates: &[Candidate], mode: Mode) -> Vec<Adjusted> {
        let fees: BTreeMap<Pair, FeeSchedule> = candidates
            .iter()
            .map(|candidate| (candidate.pair.clone(), self.fee_schedule(&candidate.pair)))
            .collect();
        // Where the leverage is not known, the whole value is taken.
        let terms = |asked: &Candidate| self.terms(asked, fees.get(&asked.pair)?, Some(Decimal::ONE));
        adjust(candidates, mode, &mut self.holdings.available(), terms, &Prices::default())
    }

    /// The account has moved: balances are asked for soon, where the stream does not tell all of them.
    pub(super) fn account_stirred(&mut self, now: Now) {
        let (asked, planned) = self.holdings.asked;
        if !Self::is_perpetual() || D::SPEC.balance_push || planned || self.phase != Phase::Running {
            return;
        }
        self.holdings.asked.1 = true;
        let at = now.mono.after(STIRRED).max(asked.after(STIRRED_PERIOD));
        self.set_timer(at, Timer::Balances);
    }

    pub(super) fn ask_balances(&mut self, now: Now) {
        self.holdings.asked = (now.mono, false);
        if self.requests.has(&Job::Balances) {
            // What is on its way may have been asked for before.
            return self.account_stirred(now);
        }
        self.request(now, Job::Balances);
    }

    /// Keeps what orders hold of the balances in line with what has become of them.
    fn reserve(&mut self, now: Now, event: &Event) {
        let at = |venue: Option<UnixNanos>| Moment { known: now.mono, venue };
        let reservations = &mut self.holdings.reservations;
        match event {
            Event::OrderCreated(created) => {
                reservations.accepted(&created.order.client_order_id, at(created.venue_time));
                if D::SPEC.balance_push && !self.holdings.watched {
                    self.holdings.watched = true;
                    self.set_timer(now.mono.after(PUSH_PATIENCE), Timer::WatchBalances);
                }
            }
            Event::OrderFilled(fill) => {
                let (pair, side) = (&fill.order.pair, fill.order.side);
                let (price, amount, fee) = (fill.price, fill.amount, fill.fee.as_ref());
                let executed = Executed { pair, side, price, amount, fee };
                reservations.filled(&fill.order.client_order_id, at(fill.venue_time), executed);
            }
            event if event.is_terminal() => {
                if let Some(order) = event.order() {
                    reservations.ended(&order.client_order_id, at(None));
                }
            }
            _ => {}
        }
    }

    /// Asks for the balances if the venue has not told what an order took that it has accepted long ago.
    pub(super) fn watch_balances(&mut self, now: Now) {
        self.holdings.watched = false;
        let Some(since) = self.holdings.reservations.waits_since() else { return };
        let due = since.after(PUSH_PATIENCE);
        if due <= now.mono {
            self.request(now, Job::Balances);
        }
        self.holdings.watched = true;
        let again = if due <= now.mono { now.mono.after(PUSH_PATIENCE) } else { due };
        self.set_timer(again, Timer::WatchBalances);
    }

    pub(super) fn cancel_order(&mut self, now: Now, id: &ClientOrderId) -> Result<(), Error> {
        if self.wish_cancel(now, id)? {
            self.request(now, Job::Cancel(id.clone()));
        }
        Ok(())
    }

    /// Notes that somebody wants an order cancelled. Whether that is to be sent now.
    pub(super) fn wish_cancel(&mut self, now: Now, id: &ClientOrderId) -> Result<bool, Error> {
        self.withdraw_replacement(now, id);
        let wanted = self.tracker.get(id).is_some_and(TrackedOrder::is_cancel_requested);
        let step = self.tracker.cancel_requested(now, id);
        if !wanted {
            self.record_cancel(now, id, step);
        }
        match step {
            CancelStep::Send => Ok(true),
            CancelStep::WaitForAck | CancelStep::InFlight | CancelStep::AlreadyDone => Ok(false),
            CancelStep::Unknown => {
                Err(Error::usage("cancel", "is not an order of this connector").about(id.as_str()))
            }
        }
    }

    pub(super) fn query_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {
        // Only the venue's own word counts as "not found"; any other failure is no evidence, and the tracker asks again.
        if error.cause == Cause::OrderNotFound || mutants::is(Mutant::AnyErrorIsNotFound) {
            self.tracker.not_found(now, id, self.visibility(id));
        } else {
            let key = format!("order:{:?}", error.cause);
            self.report(now, &key, error.clone());
        }
    }

    /// Does what the tracker wants done, and publishes what it has to tell.
    pub(super) fn serve_orders(&mut self, now: Now) {
        for want in self.tracker.wants(now) {
            let job = match want {
                Want::CancelNow(id) => Job::Cancel(id),
                Want::QueryOrder(id) => Job::Query(id),
                Want::FetchFills(id) => Job::Fills(id),
                Want::OpenOrders(pair) => Job::OpenOrders(Some(pair)),
            };
            self.request(now, job);
        }
        loop {
            let events = self.tracker.take_events();
            if events.is_empty() {
                break;
            }
            self.record_events(now, &events);
            if !events.is_empty() {
                self.account_stirred(now);
            }
            for event in &events {
                self.reserve(now, event);
                self.replace_ended(now, event);
            }
            self.events.extend(events);
        }
        self.record_events(now, &[]);
    }

    /// Sends no new order any more: what was not sent yet fails, and so does whatever is placed from now on.
    pub(super) fn gate(&mut self, now: Now) {
        self.stopping = true;
        self.withdraw_replacements(now);
        let mut unsent = self.recorder.take_held();
        unsent.extend(self.requests.take_unsent_orders());
        for id in unsent {
            let error = Error::usage("place", "not sent: the connector is stopping").at(D::SPEC.name);
            self.tracker.place_failed(now, &id, &error);
        }
    }
}
