//! Perpetual contracts: how they are held and margined, and what has to be known of them before the connector is ready.

mod funding;
mod margin;
mod positions;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;

use super::requests::Job;
use super::{Engine, Phase, Timer};
use crate::dialect::{Dialect, FundingInfoRest, Kind, Login, PerpetualRest};
use crate::error::{Cause, Effect, Error};
use crate::event::{self, Event};
use crate::journal::Run;
use crate::message::{LeverageBracket, LeverageReport, MarginCall, Message, TradingRule};
use crate::number::serialize_plain_option as plain_option;
use crate::pair::Pair;
use crate::position::{MarginMode, PositionMode};
use crate::time::{Now, UnixNanos};

pub(super) use funding::Funding;
pub(super) use positions::Book;
pub(super) use settings::{Setting, Settings};

/// How often brackets are read again: venues change them now and then.
const BRACKETS_PERIOD: Duration = Duration::from_secs(3_600);

/// How positions of a pair are margined, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MarginSettings {
    /// Value ÷ initial margin.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
    /// What backs positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_mode: Option<MarginMode>,
}

/// What an engine knows of an account's perpetual contracts; nothing for spot.
pub(super) struct Perpetual {
    /// Whether the venue has told the mode; before, it is the default.
    mode_known: bool,
    pub(super) book: Book,
    margins: BTreeMap<Pair, MarginSettings>,
    brackets: BTreeMap<Pair, Arc<[LeverageBracket]>>,
    pub(super) funding: Funding,
    pub(super) settings: Settings,
    /// What has to be answered before work begins.
    starting: Vec<Job>,
}

impl Perpetual {
    /// Knows nothing but what an earlier run wrote down. `started` is when this one did.
    pub(super) fn new<D: Dialect>(run: Option<&Run>, started: UnixNanos) -> Self {
        let spec = D::SPEC.perpetual;
        let mode = spec.and_then(|spec| spec.position_modes.first().copied()).unwrap_or_default();
        let asked = D::REST.perpetual.as_ref().is_some_and(|rest| rest.position_mode.is_some());
        let late = spec.map(|spec| spec.funding_delay).unwrap_or_default();
        Self {
            mode_known: !asked,
            book: Book::new(mode),
            margins: BTreeMap::new(),
            brackets: BTreeMap::new(),
            funding: Funding::new(run, started, late),
            settings: Settings::default(),
            starting: Vec::new(),
        }
    }

    pub(super) fn mode(&self) -> Option<PositionMode> {
        self.mode_known.then(|| self.book.mode())
    }

    pub(super) fn margin(&self, pair: &Pair) -> MarginSettings {
        self.margins.get(pair).copied().unwrap_or_default()
    }

    pub(super) fn brackets(&self, pair: &Pair) -> Arc<[LeverageBracket]> {
        self.brackets.get(pair).cloned().unwrap_or_default()
    }
}

impl<D: Dialect> Engine<D> {
    pub(super) const fn is_perpetual() -> bool {
        matches!(D::SPEC.kind, Kind::Perpetual)
    }

    pub(super) const fn perpetual_rest() -> Option<&'static PerpetualRest> {
        D::REST.perpetual.as_ref()
    }

    /// Asks for all that has to be known before work begins, at once.
    pub(super) fn start_perpetual(&mut self, now: Now) {
        let Some(rest) = Self::perpetual_rest() else { return };
        let mut jobs = self.funding_jobs(&self.config.pairs.clone());
        if self.trades() {
            jobs.push(Job::Positions);
            jobs.extend(rest.position_mode.is_some().then_some(Job::PositionMode));
            jobs.extend(rest.leverage.is_some().then_some(Job::Leverage));
            jobs.extend(rest.brackets.is_some().then_some(Job::Brackets));
        }
        self.perpetual.starting.clone_from(&jobs);
        for job in jobs {
            self.request(now, job);
        }
    }

    /// Markets were listed: how they are margined is not known yet.
    pub(super) fn margins_of_new(&mut self, now: Now, listed: &[TradingRule]) {
        if !Self::is_perpetual() || !self.trades() || self.phase != Phase::Running {
            return;
        }
        let new = |rule: &TradingRule| !self.perpetual.brackets.contains_key(&rule.pair);
        if let Some(rest) = Self::perpetual_rest().filter(|_| listed.iter().any(new)) {
            let leverage = rest.leverage.is_some().then_some(Job::Leverage);
            let brackets = rest.brackets.is_some().then_some(Job::Brackets);
            for job in leverage.into_iter().chain(brackets) {
                self.request(now, job);
            }
        }
    }

    /// Begins what goes on beside orders and books.
    pub(super) fn begin_perpetual(&mut self, now: Now) {
        self.begin_funding(now);
        if self.trades() && Self::perpetual_rest().is_some_and(|rest| rest.brackets.is_some()) {
            self.set_timer(now.mono.after(BRACKETS_PERIOD), Timer::Refresh(Job::Brackets, BRACKETS_PERIOD));
        }
    }

    /// Notes an answer of the start; whether it was the last that was missing.
    pub(super) fn perpetual_started(&mut self, done: &Job) -> bool {
        self.perpetual.starting.retain(|open| open != done);
        self.perpetual.starting.is_empty()
    }

    /// What a recovery has to read of positions and how they are margined.
    pub(super) fn recovery_jobs() -> Vec<Job> {
        let Some(rest) = Self::perpetual_rest() else { return Vec::new() };
        let mut jobs = vec![Job::Positions];
        jobs.extend(rest.position_mode.is_some().then_some(Job::PositionMode));
        jobs.extend(rest.leverage.is_some().then_some(Job::Leverage));
        jobs
    }

    /// What asks for the next funding of these pairs.
    fn funding_jobs(&self, pairs: &[Pair]) -> Vec<Job> {
        match Self::perpetual_rest().map(|rest| &rest.funding_info) {
            _ if pairs.is_empty() => Vec::new(),
            Some(FundingInfoRest::All(_)) => vec![Job::FundingInfo(None)],
            Some(FundingInfoRest::Each(_)) => {
                pairs.iter().map(|pair| Job::FundingInfo(Some(pair.clone()))).collect()
            }
            None => Vec::new(),
        }
    }

    /// What is not known of perpetual contracts, for people.
    pub(super) fn missing_of_perpetual(&self, missing: &mut Vec<String>) {
        if !Self::is_perpetual() {
            return;
        }
        if self.trades() {
            if !self.perpetual.mode_known {
                missing.push("position mode".to_owned());
            }
            if !self.perpetual.book.known() {
                missing.push("positions".to_owned());
            }
            let read = |job: &Job| !self.perpetual.starting.contains(job);
            if !read(&Job::Leverage) {
                missing.push("leverage".to_owned());
            }
            if !read(&Job::Brackets) {
                missing.push("leverage brackets".to_owned());
            }
        }
        let pairs = self.feeds.pairs(|_| true);
        let unknown = pairs.iter().filter(|pair| !self.perpetual.funding.knows(pair));
        missing.extend(unknown.map(|pair| format!("funding of {pair}")));
    }

    /// Whether all is known of perpetual contracts that has to be.
    pub(super) fn perpetual_ready(&self) -> bool {
        let account = || self.perpetual.mode_known && self.perpetual.book.known();
        !Self::is_perpetual() || ((!self.trades() || account()) && self.perpetual.starting.is_empty())
    }

    /// Applies what a stream or an answer says of perpetual contracts.
    pub(super) fn apply_perpetual(&mut self, now: Now, message: Message) {
        match message {
            Message::Position(report) => self.position_told(now, &report),
            Message::Leverage(report) => self.margin_told(now, &report),
            Message::PositionMode(report) if report.market.is_none() => self.mode_told(now, report.mode),
            Message::MarginCall(call) => self.margin_called(now, &call),
            Message::FundingInfo(info) => {
                let asked = self.venue_time(now);
                self.funding_told(now, &info, asked);
            }
            // Without the venue's id it cannot be told from others: the history has it with its id.
            Message::FundingPayment(_) => self.expect_payments(now),
            _ => {}
        }
    }

    fn margin_called(&mut self, now: Now, call: &MarginCall) {
        let Some(pair) = call.market.pair().cloned() else { return };
        tracing::warn!(venue = D::SPEC.name, %pair, side = %call.side, "margin call");
        self.emit(Event::MarginCalled(event::MarginCalled {
            time: now.utc,
            pair,
            side: call.side,
            amount: call.amount,
            maintenance_margin: call.maintenance_margin,
            mark_price: call.mark_price,
        }));
    }

    pub(super) fn take_brackets(&mut self, now: Now, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::LeverageBrackets(told) => {
                    if let Some(pair) = told.market.pair() {
                        self.perpetual.brackets.insert(pair.clone(), told.brackets.into());
                    }
                }
                other => self.apply_account(now, other),
            }
        }
    }

    /// Leverage and margin mode of a market; told to others if they are new or have changed.
    pub(super) fn margin_told(&mut self, now: Now, report: &LeverageReport) {
        let Some(pair) = report.market.pair() else { return };
        let known = self.perpetual.margins.entry(pair.clone()).or_default();
        let before = *known;
        known.leverage = report.leverage.or(known.leverage);
        known.margin_mode = report.margin_mode.or(known.margin_mode);
        let after = *known;
        if let Some(leverage) = after.leverage.filter(|_| after.leverage != before.leverage) {
            self.tracker.set_leverage(pair.clone(), leverage);
            if before.leverage.is_some() {
                self.tell_setting(now, &Setting::Leverage(pair.clone(), leverage));
            }
        }
        if let Some(mode) = after.margin_mode.filter(|_| after.margin_mode != before.margin_mode)
            && before.margin_mode.is_some()
        {
            self.tell_setting(now, &Setting::MarginMode(pair.clone(), mode));
        }
    }

    /// The mode positions are held in, in the venue's words.
    pub(super) fn mode_told(&mut self, now: Now, mode: PositionMode) {
        let known = std::mem::replace(&mut self.perpetual.mode_known, true);
        if mode == self.perpetual.book.mode() {
            return;
        }
        self.change_mode(now, mode);
        if known {
            self.tell_setting(now, &Setting::PositionMode(mode));
        }
    }
}

/// Whether what a dialect declares of keys and perpetual contracts is complete.
///
/// # Errors
/// [`Cause::Usage`], nothing sent: something is declared whose requests are not.
pub(super) fn check<D: Dialect>() -> Result<(), Error> {
    let (spec, rest) = (D::SPEC, D::REST);
    let perpetual = spec.perpetual.is_some() && rest.perpetual.is_some();
    if perpetual != matches!(spec.kind, Kind::Perpetual) {
        return Err(Error::usage(
            "kind",
            "a perpetual venue declares what perpetual contracts add, others do not",
        ));
    }
    let keyed = spec.links.iter().any(|link| link.login == Login::Key);
    if keyed && rest.stream_key.is_none() {
        return Err(Error::usage("links", "a link needs a key, and no request gives one"));
    }
    Ok(())
}

/// A refusal of something that concerns perpetual contracts.
fn refuse(cause: Cause, operation: &str, why: impl Into<String>) -> Error {
    Error::new(cause, Effect::NotSent, operation, why)
}

#[cfg(test)]
mod tests;
