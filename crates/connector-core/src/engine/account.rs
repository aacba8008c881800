//! The account: balances and own orders.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;

use super::requests::{Job, Watermark};
use super::{Engine, Phase, Timer, unknown_pair};
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::Event;
use crate::id::ClientOrderId;
use crate::message::{BalanceReport, Message, OrderReport};
use crate::order::{CancelStep, NewOrder, OrderState, OrderType, Side, TimeInForce, TrackedOrder, Want};
use crate::pair::{Asset, Pair};
use crate::rules::quantise;
use crate::time::{Mono, Now};

/// How often the account is compared while orders are open …
pub(super) const AUDIT_BUSY: Duration = Duration::from_secs(30);
/// … and while none are.
const AUDIT_IDLE: Duration = Duration::from_secs(120);

/// What the account holds of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Everything held, locked or not.
    pub total: Decimal,
    /// What can be spent on new orders.
    pub available: Decimal,
}

/// All balances, with what is needed to keep an older answer from overwriting newer news.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    balances: BTreeMap<Asset, Balance>,
    /// When the stream last spoke of an asset.
    streamed: BTreeMap<Asset, Mono>,
    known: bool,
}

impl Holdings {
    pub(super) const fn known(&self) -> bool {
        self.known
    }

    pub(super) const fn balances(&self) -> &BTreeMap<Asset, Balance> {
        &self.balances
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
        let mut seen = Vec::new();
        for message in messages {
            if let Message::Balance(report) = message {
                seen.push(report.asset.clone());
                if self.holdings.streamed.get(&report.asset).is_none_or(|at| *at < sent.mono) {
                    self.apply_balance(now, report);
                }
            }
        }
        let gone: Vec<Asset> = self
            .holdings
            .balances
            .iter()
            .filter(|(asset, balance)| !seen.contains(asset) && **balance != Balance::default())
            .filter(|(asset, _)| self.holdings.streamed.get(*asset).is_none_or(|at| *at < sent.mono))
            .map(|(asset, _)| asset.clone())
            .collect();
        for asset in gone {
            let zero = Some(Decimal::ZERO);
            self.apply_balance(now, &BalanceReport { asset, total: zero, available: zero, time: None });
        }
        if !first && self.holdings.balances != before {
            self.doubt_user_link(now, sent);
        }
    }

    /// Compares with the venue by request: a backup for what the private stream should have told.
    pub(super) fn audit(&mut self, now: Now) {
        self.request(now, Job::Balances);
        self.request(now, Job::OpenOrders(None));
        let period = if self.tracker.is_idle() { AUDIT_IDLE } else { AUDIT_BUSY };
        self.set_timer(now.mono.after(period), Timer::Audit);
    }

    fn apply_balance(&mut self, now: Now, report: &BalanceReport) {
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
            }
            Message::Fill(_) => {
                self.tracker.apply(now, &message);
            }
            Message::Balance(report) => {
                self.holdings.streamed.insert(report.asset.clone(), now.mono);
                self.apply_balance(now, &report);
            }
            Message::Fees(rates) => {
                if let Some(pair) = rates.market.pair() {
                    self.fees.insert(pair.clone(), rates);
                }
            }
            Message::Skipped { error } => {
                let problem = Error::new(Cause::Malformed, Effect::Unknown, "account", error.clone());
                self.report(now, &format!("account:{error}"), problem);
            }
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
        self.recorder.admits(now)?;
        let order = self.checked(order)?;
        let id = self.ids.next_id();
        self.tracker.submit(now, id.clone(), order.clone())?;
        self.place_recorded(now, &id, &order);
        Ok(id)
    }

    /// The order as it will be sent, or why it cannot be.
    fn checked(&self, order: NewOrder) -> Result<NewOrder, Error> {
        if !self.trades() {
            return Err(Error::usage("place", "this needs credentials, and the connector was built without"));
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
        let quantised = quantise(rule, &order, self.reference_price(&order))?;
        self.check_funds(&order, quantised.price, quantised.amount)?;
        Ok(NewOrder { price: quantised.price, amount: quantised.amount, ..order })
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

    /// Refuses what the balances known here cannot pay for, so that it need not be sent to be refused.
    fn check_funds(&self, order: &NewOrder, price: Option<Decimal>, amount: Decimal) -> Result<(), Error> {
        if !self.holdings.known {
            return Ok(());
        }
        let (asset, needed) = match order.side {
            Side::Sell => (order.pair.base(), Some(amount)),
            Side::Buy => (order.pair.quote(), price.and_then(|price| price.checked_mul(amount))),
        };
        let available = self.holdings.balances.get(&asset).map_or(Decimal::ZERO, |balance| balance.available);
        match needed {
            Some(needed) if needed > available => Err(Error::new(
                Cause::InsufficientBalance,
                Effect::NotSent,
                "place",
                format!(
                    "the order needs {} {asset}, {} is available",
                    needed.normalize(),
                    available.normalize()
                ),
            )
            .about(order.pair.as_str())),
            _ => Ok(()),
        }
    }

    pub(super) fn cancel_order(&mut self, now: Now, id: &ClientOrderId) -> Result<(), Error> {
        let wanted = self.tracker.get(id).is_some_and(TrackedOrder::is_cancel_requested);
        let step = self.tracker.cancel_requested(now, id);
        if !wanted {
            self.record_cancel(now, id, step);
        }
        match step {
            CancelStep::Send => self.request(now, Job::Cancel(id.clone())),
            CancelStep::WaitForAck | CancelStep::InFlight | CancelStep::AlreadyDone => {}
            CancelStep::Unknown => {
                return Err(Error::usage("cancel", "is not an order of this connector").about(id.as_str()));
            }
        }
        Ok(())
    }

    pub(super) fn query_failed(&mut self, now: Now, id: &ClientOrderId, error: &Error) {
        // Only the venue's own word counts as "not found"; any other failure is no evidence, and the tracker asks again.
        if error.cause == Cause::OrderNotFound {
            self.tracker.not_found(now, id, D::SPEC.visibility);
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
        let events = self.tracker.take_events();
        self.record_events(now, &events);
        self.events.extend(events);
    }
}
