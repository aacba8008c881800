//! Positions: from fills and reports, told with their causes.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;

use super::super::requests::Job;
use super::super::{Engine, Timer};
use super::refuse;
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::{Event, PositionChanged};
use crate::message::{Fill, Market, Message, PositionReport};
use crate::order::{NewOrder, Side};
use crate::pair::Pair;
use crate::position::{
    AsOf, Change, Extent, Position, PositionAction, PositionCause, PositionFill, PositionMode, PositionSide,
    Positions,
};
use crate::time::{Mono, Now};

/// How long a change that a report told may wait for the fill that explains it. Much longer than the two are ever apart on a live
/// stream; after it the change came from outside.
const PATIENCE: Duration = Duration::from_secs(5);

/// A place for a position, as it is asked for: [`PositionSide::Both`] in one-way mode.
type Place = (Pair, PositionSide);

/// The positions of an account, and what has been told of them.
pub(in crate::engine) struct Book {
    positions: Positions,
    /// A complete answer was read in the present mode.
    known: bool,
    /// Amount and entry price as last told, by place.
    told: BTreeMap<Place, (PositionSide, Decimal, Option<Decimal>)>,
    /// Changes that wait for their cause: since when, and the one the report named, if it did.
    waiting: BTreeMap<Place, (Mono, Option<PositionCause>)>,
}

impl Book {
    pub(super) const fn new(mode: PositionMode) -> Self {
        Self {
            positions: Positions::new(mode),
            known: false,
            told: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub(super) const fn mode(&self) -> PositionMode {
        self.positions.mode()
    }

    pub(super) const fn known(&self) -> bool {
        self.known
    }

    /// The pairs that have positions, in order.
    pub(super) fn open_pairs(&self) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = self.positions.open().map(|position| position.pair).collect();
        pairs.dedup();
        pairs
    }

    /// A position as it stands, without the newest mark price.
    pub(super) fn held(&self, pair: &Pair, side: PositionSide) -> Option<Position> {
        self.positions.position(pair, side)
    }

    fn amounts(&self) -> Vec<(Pair, PositionSide, Decimal)> {
        self.positions.open().map(|position| (position.pair, position.side, position.amount)).collect()
    }

    fn place(&self, pair: &Pair, side: PositionSide) -> Place {
        let side = if self.mode() == PositionMode::OneWay { PositionSide::Both } else { side };
        (pair.clone(), side)
    }
}

impl<D: Dialect> Engine<D> {
    /// The position with the newest mark price known.
    fn marked(&self, mut position: Position) -> Position {
        // Of a pair that is not followed, the report's is newer.
        let followed = self.feeds.contains(&position.pair);
        if let Some(mark) = self.perpetual.funding.state(&position.pair).mark_price.filter(|_| followed) {
            let (_, side) = self.perpetual.book.place(&position.pair, position.side);
            position.mark_price = Some(mark);
            position.unrealised = self.perpetual.book.positions.unrealised(&position.pair, side, mark);
        }
        position.leverage = position.leverage.or_else(|| self.perpetual.margin(&position.pair).leverage);
        position
    }

    pub(in crate::engine) fn open_positions(&self) -> Vec<Position> {
        self.perpetual.book.positions.open().map(|position| self.marked(position)).collect()
    }

    pub(in crate::engine) fn position_of(&self, pair: &Pair, side: PositionSide) -> Option<Position> {
        let known = self.perpetual.book.positions.position(pair, side)?;
        Some(self.marked(known))
    }

    /// Whether anything is open, of a pair or at all.
    pub(super) fn has_position(&self, pair: Option<&Pair>) -> bool {
        let of_pair = |position: &Position| pair.is_none_or(|pair| position.pair == *pair);
        self.perpetual.book.positions.open().any(|position| of_pair(&position))
    }

    /// A fill of anybody on the account, from whatever source.
    pub(in crate::engine) fn position_filled(&mut self, now: Now, fill: &Fill) {
        if !Self::is_perpetual() || !self.trades() {
            return;
        }
        let side = match (fill.position_side, self.perpetual.book.mode()) {
            (Some(side), _) => Some(side),
            (None, PositionMode::OneWay) => Some(PositionSide::Both),
            (None, PositionMode::Hedge) => self.leg_of(fill),
        };
        let Some(filled) = side.and_then(|side| PositionFill::of(fill, side)) else {
            // What cannot be put in its place is asked for as a whole.
            return self.request(now, Job::Positions);
        };
        let place = self.perpetual.book.place(&filled.pair, filled.position_side);
        match self.perpetual.book.positions.fill(&filled) {
            Ok(Change::Past) => self.request(now, Job::Positions),
            Ok(Change::Nothing) => {}
            Ok(_) => self.announce(now, place, None),
            Err(error) => self.mode_doubted(now, error),
        }
    }

    /// The leg an own order's fill is for, where the message does not say it.
    fn leg_of(&self, fill: &Fill) -> Option<PositionSide> {
        let order = self.tracker.get(fill.client_order_id.as_ref()?)?.order();
        Some(order.action?.leg(order.side))
    }

    /// A report of one position came by stream.
    pub(super) fn position_told(&mut self, now: Now, report: &PositionReport) {
        let as_of = AsOf::at(report.time.unwrap_or_else(|| self.venue_time(now)));
        let changed = self.perpetual.book.positions.report(report, as_of);
        self.position_reported(now, report, changed);
    }

    fn position_reported(&mut self, now: Now, report: &PositionReport, changed: Result<Change, Error>) {
        let Some(pair) = report.market.pair() else {
            // A contract that is not listed: nothing here can be said or done about it.
            return tracing::debug!(venue = D::SPEC.name, market = ?report.market, "position of an unknown market");
        };
        let place = self.perpetual.book.place(pair, report.side);
        match changed {
            Ok(_) => {
                if report.leverage.is_some() || report.margin_mode.is_some() {
                    let (market, leverage) = (report.market.clone(), report.leverage);
                    let margin =
                        crate::message::LeverageReport { market, leverage, margin_mode: report.margin_mode };
                    self.margin_told(now, &margin);
                }
                self.announce(now, place, report.cause);
            }
            Err(error) => self.mode_doubted(now, error),
        }
    }

    /// Something is told of a position that the mode known here does not have.
    fn mode_doubted(&mut self, now: Now, error: Error) {
        let rest = Self::perpetual_rest().and_then(|rest| rest.position_mode.as_ref());
        if rest.is_some() {
            // At the start the mode is on its way. Where it is another one, positions are read again.
            self.request(now, Job::PositionMode);
        }
        if self.perpetual.mode_known {
            self.report(now, "position mode", error);
        }
    }

    /// The venue refuses an order because of what is open, or how: what is known of that here may be old.
    pub(in crate::engine) fn doubt_positions(&mut self, now: Now, error: &Error) {
        if Self::is_perpetual() && error.cause == Cause::Position && error.effect == Effect::Rejected {
            if Self::perpetual_rest().is_some_and(|rest| rest.position_mode.is_some()) {
                self.request(now, Job::PositionMode);
            }
            self.request(now, Job::Positions);
        }
    }

    /// Tells a position if it is another than was told, once there is a reason for the change.
    fn announce(&mut self, now: Now, place: Place, named: Option<PositionCause>) {
        let book = &mut self.perpetual.book;
        let Some(position) = book.positions.position(&place.0, place.1) else { return };
        let shown = (position.side, position.amount, position.entry_price);
        let unexplained = !book.positions.unexplained(&place.0, place.1).is_zero();
        if unexplained {
            let first = !book.waiting.contains_key(&place);
            let (_, waits) = book.waiting.entry(place.clone()).or_insert((now.mono, None));
            *waits = waits.or(named);
            if first {
                self.set_timer(now.mono.after(PATIENCE), Timer::Unexplained(place.0.clone(), place.1));
            }
        } else {
            book.waiting.remove(&place);
        }
        let book = &mut self.perpetual.book;
        let fresh = match book.told.get(&place) {
            Some(told) => *told != shown,
            None => !position.amount.is_zero(),
        };
        // A cause the venue names needs no fill to be believed.
        if !fresh || (unexplained && named.is_none()) {
            return;
        }
        let cause = if unexplained { named } else { position.cause.or(named) };
        book.told.insert(place, shown);
        let position = self.marked(position);
        self.emit(Event::PositionChanged(PositionChanged {
            time: now.utc,
            pair: position.pair,
            side: position.side,
            amount: position.amount,
            entry_price: position.entry_price,
            realised_pnl: position.realised,
            unrealised_pnl: position.unrealised,
            mark_price: position.mark_price,
            leverage: position.leverage,
            cause,
        }));
        self.account_stirred(now);
    }

    /// A change has waited long enough for the fill that explains it.
    pub(in crate::engine) fn give_reason(&mut self, now: Now, pair: &Pair, side: PositionSide) {
        let book = &mut self.perpetual.book;
        let place = (pair.clone(), side);
        // The timer of a change that has been explained may find a later one waiting.
        let waited = |(since, _): &(Mono, Option<PositionCause>)| now.mono.since(*since) >= PATIENCE;
        if !book.waiting.get(&place).is_some_and(waited) {
            return;
        }
        let Some((_, named)) = book.waiting.remove(&place) else { return };
        // A contract that is not traded any more is settled, not traded elsewhere.
        let settled = self.rules.get(pair).is_none_or(|rule| !rule.tradable);
        let cause = if settled { PositionCause::Settlement } else { PositionCause::External };
        book.positions.attribute(pair, side, named.unwrap_or(cause));
        self.announce(now, place, named);
        // If what is missing is not a fill but the newest report, the whole list has it.
        self.request(now, Job::Positions);
    }

    /// A complete answer that was asked for at `sent`: what it does not list is zero, unless a row could not be read.
    pub(in crate::engine) fn take_positions(&mut self, now: Now, sent: Now, messages: Vec<Message>) {
        let mut reports = Vec::new();
        let mut extent = Extent::Full;
        for message in messages {
            match message {
                Message::Position(report) => reports.push(report),
                other => {
                    if matches!(other, Message::Skipped { .. }) {
                        extent = Extent::Listed;
                    }
                    self.apply_account(now, other);
                }
            }
        }
        // What is known of the venue's clock is never ahead of it: the answer may have been made so much later.
        let error = self.clock.error_bound(now).unwrap_or_default().saturating_mul(2);
        let latest = self.venue_time(now).offset(i64::try_from(error.as_nanos()).unwrap_or(i64::MAX));
        let as_of = AsOf::between(self.venue_time(sent), latest);
        let first = !self.perpetual.book.known;
        let before = self.perpetual.book.amounts();
        let other_mode = reports
            .iter()
            .any(|report| !report.amount.is_zero() && report.mode != self.perpetual.book.mode());
        if other_mode {
            let text = "positions are held in another mode than known";
            return self.mode_doubted(now, Error::new(Cause::Other, Effect::NotSent, "positions", text));
        }
        // The changes of positions that are not listed come before those of the reports.
        let changes = self.perpetual.book.positions.list(&reports, as_of, extent);
        let unlisted = changes.len().saturating_sub(reports.len());
        let mut changes = changes.into_iter();
        let gone: Vec<Place> = changes
            .by_ref()
            .take(unlisted)
            .filter_map(|change| match change {
                Ok(Change::Changed { before, .. }) => {
                    Some(self.perpetual.book.place(&before.pair, before.side))
                }
                _ => None,
            })
            .collect();
        self.perpetual.book.known = true;
        for place in gone {
            self.announce(now, place, None);
        }
        for (report, change) in reports.iter().zip(changes) {
            self.position_reported(now, report, change);
        }
        if !first && self.perpetual.book.amounts() != before {
            self.doubt_user_link(now, sent);
        }
    }

    /// Positions are held in another mode from now on. A venue lets the mode be changed only when there are none, so what is open
    /// is asked for anew.
    pub(super) fn change_mode(&mut self, now: Now, mode: PositionMode) {
        let book = &mut self.perpetual.book;
        let lost = book.positions.set_mode(mode);
        let told = std::mem::take(&mut book.told);
        book.waiting.clear();
        book.known = false;
        if !lost.is_empty() || told.values().any(|(_, amount, _)| !amount.is_zero()) {
            tracing::warn!(venue = D::SPEC.name, %mode, "positions of the other mode are not there any more");
        }
        for (pair, (_, amount, _)) in told.into_iter().map(|((pair, _), told)| (pair, told)) {
            if !amount.is_zero() {
                self.emit(Event::PositionChanged(PositionChanged {
                    time: now.utc,
                    pair,
                    side: PositionSide::Both,
                    amount: Decimal::ZERO,
                    entry_price: None,
                    realised_pnl: Decimal::ZERO,
                    unrealised_pnl: None,
                    mark_price: None,
                    leverage: None,
                    cause: Some(PositionCause::External),
                }));
            }
        }
        if self.phase == super::super::Phase::Starting && !self.perpetual.starting.contains(&Job::Positions) {
            self.perpetual.starting.push(Job::Positions);
        }
        self.request(now, Job::Positions);
    }

    /// Whether an order may do to a position what it says, in the mode that holds.
    pub(in crate::engine) fn check_action(&self, order: &NewOrder) -> Result<(), Error> {
        if !Self::is_perpetual() {
            return match order.action {
                Some(_) => Err(Error::usage("action", "orders of spot pairs open and close no position")),
                None => Ok(()),
            };
        }
        let close = order.action == Some(PositionAction::Close);
        let Some(mode) = self.perpetual.mode().filter(|_| self.perpetual.book.known() || !close) else {
            let text = "positions are not known yet: wait until the connector is ready";
            return Err(Error::usage("place", text));
        };
        match (mode, order.action) {
            (PositionMode::Hedge, None) => {
                let text = "in hedge mode an order has to say whether it opens or closes a position";
                Err(Error::usage("action", text).about(order.pair.as_str()))
            }
            (_, Some(PositionAction::Close)) if self.closable(order).is_zero() => {
                let which = match (mode, order.side) {
                    (PositionMode::Hedge, _) => {
                        format!("{} position", PositionAction::Close.leg(order.side))
                    }
                    (PositionMode::OneWay, Side::Sell) => "long position".to_owned(),
                    (PositionMode::OneWay, Side::Buy) => "short position".to_owned(),
                };
                let text = format!("there is no {which} that a {} order could close", order.side);
                Err(refuse(Cause::Position, "place", text).about(order.pair.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// The base amount of an order's position that it could close: zero if it opens, or nothing is open that way.
    pub(in crate::engine) fn closable(&self, order: &NewOrder) -> Decimal {
        let side = self.position_side(order);
        let Some(position) = side.and_then(|side| self.perpetual.book.positions.position(&order.pair, side))
        else {
            return Decimal::ZERO;
        };
        let closes = match (position.side, order.side) {
            (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy) => true,
            (PositionSide::Both | PositionSide::Long | PositionSide::Short, _) => false,
        };
        if closes { position.amount } else { Decimal::ZERO }
    }

    /// The position an order is for; absent for spot.
    pub(in crate::engine) fn position_side(&self, order: &NewOrder) -> Option<PositionSide> {
        if !Self::is_perpetual() {
            return None;
        }
        match self.perpetual.book.mode() {
            PositionMode::OneWay => Some(PositionSide::Both),
            PositionMode::Hedge => Some(order.action.unwrap_or(PositionAction::Open).leg(order.side)),
        }
    }

    /// The pair a request about positions is for, as the venue's answer does not name it.
    pub(in crate::engine) fn asked_market(job: &Job) -> Option<Market> {
        match job {
            Job::FundingInfo(pair) => pair.clone().map(Market::Pair),
            Job::Set(setting) => setting.pair().cloned().map(Market::Pair),
            _ => None,
        }
    }
}
