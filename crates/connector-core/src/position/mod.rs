//! Positions of perpetual contracts, from fills and from the venue's reports, whichever comes first.
//!
//! Two sources tell of the same thing: a fill says what changed, a report what is. They overtake each other on every venue,
//! so neither is simply applied on top. Each position is a timeline in the *venue's* time, and what is shown is reckoned
//! from it:
//!
//! - A report of the time T has every fill before T in it; fills after T come on top.
//! - Fills of the very time T can be either. As few of them, in the order of their ids, are in the report as lead to the
//!   amount and the entry price it says, or at least to the amount; if no number of them does, all are.
//! - A report older than the newest one changes nothing. Reports of the same time count in the order in which fills lead to what
//!   they say; of those that no fills lead to, the one that arrived later.
//! - A fill counts once, by its trade id (and its side: a trade with oneself is two fills).
//!
//! So any order of arrival gives the same position. What reports say beyond the fills is kept apart
//! ([`Positions::unexplained`]): a fill that is still on its way, or a change from outside, which whoever runs the ledger names
//! ([`Positions::attribute`]) once it has waited long enough. **Invariant**: a position's amount is what the first
//! report said, plus the fills it did not have in it, plus what is attributed, plus what is unexplained.
//!
//! # Numbers
//!
//! For linear contracts: value and profit are in the quote asset, or one that is worth as much. Fees and funding are not
//! in them. What is open is kept with what it cost, so adding to a position is exact, and so is closing all of it. Closing a
//! part takes its share of the cost, rounded half to even to 12 decimals (or to as many as the cost has): that moves less
//! than 10⁻¹² from one closing to a later one, and nothing else, because **the profit realised and the cost of what is open
//! always sum up to the cash of the fills**. [`Position::entry_price`] is cost ÷ amount, rounded to the digits a [`Decimal`]
//! has. All of it is exact as long as it fits the 28 digits of a [`Decimal`].

mod state;
#[cfg(test)]
mod tests;
mod timeline;
mod vocabulary;

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::error::{Cause, Effect, Error};
use crate::id::TradeId;
use crate::message::{Fill, PositionReport};
use crate::order::Side;
use crate::pair::Pair;
use crate::time::UnixNanos;
pub use state::PositionPart;
use timeline::{Taken, Timeline};
pub use vocabulary::{MarginMode, PositionAction, PositionCause, PositionMode, PositionSide};

/// When a state was so, by the venue's clock: at one time, or at an unknown one between two, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsOf {
    earliest: UnixNanos,
    latest: UnixNanos,
}

impl AsOf {
    /// At this time.
    #[must_use]
    pub const fn at(time: UnixNanos) -> Self {
        Self { earliest: time, latest: time }
    }

    /// At some time between these, for answers without a time: when the question was sent and when the answer came, both
    /// translated to the venue's clock.
    #[must_use]
    pub fn between(one: UnixNanos, other: UnixNanos) -> Self {
        Self { earliest: one.min(other), latest: one.max(other) }
    }
}

/// A fill, as far as positions are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionFill {
    /// The pair.
    pub pair: Pair,
    /// The leg it is for; [`PositionSide::Both`] in one-way mode.
    pub position_side: PositionSide,
    /// Bought or sold.
    pub side: Side,
    /// The venue's trade id, unique within the pair except for trades with oneself.
    pub trade_id: TradeId,
    /// Quote per base.
    pub price: Decimal,
    /// Base amount, positive.
    pub amount: Decimal,
    /// The venue's time of the trade, by the same clock as the reports'.
    pub time: UnixNanos,
    /// Why it was traded.
    pub cause: PositionCause,
}

impl PositionFill {
    /// The fill of an order, or what the venue traded for the account. `None` if its market is not mapped, or the venue told no time.
    #[must_use]
    pub fn of(fill: &Fill, position_side: PositionSide) -> Option<Self> {
        Some(Self {
            pair: fill.market.pair()?.clone(),
            position_side,
            side: fill.side,
            trade_id: fill.trade_id.clone(),
            price: fill.price,
            amount: fill.amount,
            time: fill.time?,
            cause: fill.cause.unwrap_or(PositionCause::Order),
        })
    }
}

/// A position as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The pair.
    pub pair: Pair,
    /// Which way it goes; `Both` if it is a net position of zero.
    pub side: PositionSide,
    /// Base amount, positive.
    pub amount: Decimal,
    /// Average price it was entered at, quote per base. `None` if nothing is open, or it is not known.
    pub entry_price: Option<Decimal>,
    /// Profit realised by the fills seen here, in the quote asset, before fees and funding; negative = a loss.
    pub realised: Decimal,
    /// Base amount closed by fills whose profit is not in `realised`, because the entry price was not known.
    pub unvalued: Decimal,
    /// Its leverage, where the venue told it.
    pub leverage: Option<Decimal>,
    /// The newest mark price known, quote per base.
    pub mark_price: Option<Decimal>,
    /// What closing it at the mark price would bring, in the quote asset and before fees; negative = a loss. `None` while
    /// that price or the entry price is not known.
    pub unrealised: Option<Decimal>,
    /// What changed it last.
    pub cause: Option<PositionCause>,
    /// The newest report of the venue in it. Without one it is a sum of fills alone: what was open before them is missing.
    pub reported: Option<AsOf>,
}

/// What a fill or a report did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The position changed.
    Changed {
        /// Before.
        before: Box<Position>,
        /// After.
        after: Box<Position>,
        /// What the fill did in its place of the timeline: close, open, or, where it turned the position round, first one and
        /// then the other. Empty for reports, and for legs closed beyond what is known.
        parts: Vec<PositionPart>,
    },
    /// It counts, but the position is as before: a report had it in it, or a report says what is known.
    Contained {
        /// As in [`Changed`](Self::Changed).
        parts: Vec<PositionPart>,
    },
    /// It is known, or older than what is known.
    Nothing,
    /// It is older than everything that is kept one by one. The position has it in it through a report, or will with the next
    /// one; the profit has it only if it was told before.
    Past,
}

/// How much a list of positions says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// All of the account: a position that is not listed is zero.
    Full,
    /// Those that changed: one that is not listed is as before.
    Listed,
}

/// A place for a position: the mode is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Slot {
    Net,
    Long,
    Short,
}

impl Slot {
    const fn side(self) -> PositionSide {
        match self {
            Self::Net => PositionSide::Both,
            Self::Long => PositionSide::Long,
            Self::Short => PositionSide::Short,
        }
    }
}

/// The positions of one account in one mode. See the [module](self) for the rules.
///
/// Bounded: some 256 fills and reports are kept one by one for each position, older ones as their sum.
#[derive(Clone, Debug)]
pub struct Positions {
    mode: PositionMode,
    slots: BTreeMap<(Pair, Slot), Timeline>,
    /// When everything that is not in `slots` was zero: in the first full list, and in the last one.
    complete: Option<(AsOf, AsOf)>,
}

impl Positions {
    /// No positions known.
    #[must_use]
    pub const fn new(mode: PositionMode) -> Self {
        Self { mode, slots: BTreeMap::new(), complete: None }
    }

    /// The mode they are held in.
    #[must_use]
    pub const fn mode(&self) -> PositionMode {
        self.mode
    }

    /// Takes another mode. Positions of the one before cease to exist; the ones that were not zero are returned, because a
    /// venue lets the mode be changed only when there are none: what is known of them was not true any more.
    pub fn set_mode(&mut self, mode: PositionMode) -> Vec<Position> {
        if mode == self.mode {
            return Vec::new();
        }
        let lost = self.open().collect();
        self.mode = mode;
        self.slots.clear();
        self.complete = None;
        lost
    }

    /// Applies a fill.
    ///
    /// # Errors
    /// [`Cause::Usage`]: the fill is for a leg and the mode is one-way, or the other way round, or its amount or price is not
    /// positive. Nothing has changed.
    pub fn fill(&mut self, fill: &PositionFill) -> Result<Change, Error> {
        let slot = self.slot(&fill.pair, fill.position_side)?;
        if fill.amount <= Decimal::ZERO || fill.price <= Decimal::ZERO {
            return Err(refuse(&fill.pair, "amount and price of a fill have to be positive"));
        }
        let timeline = self.timeline(&fill.pair, slot);
        let before = shown(&fill.pair, timeline);
        let parts = match timeline.fill(fill) {
            Taken::Known => return Ok(Change::Nothing),
            Taken::Past => return Ok(Change::Past),
            Taken::New(parts) => parts.into_iter().flatten().collect(),
        };
        Ok(compare(before, shown(&fill.pair, timeline), parts))
    }

    /// Applies a report of one position, which was so `as_of` a time: that of the message, where it has one.
    ///
    /// # Errors
    /// [`Cause::Usage`]: the report shows an amount in the other mode, so that the mode has to be asked for; or its market is
    /// not mapped. Nothing has changed.
    pub fn report(&mut self, report: &PositionReport, as_of: AsOf) -> Result<Change, Error> {
        let Some(pair) = report.market.pair() else {
            let why = "a position on a market without a pair";
            return Err(Error::new(Cause::Usage, Effect::NotSent, "position", why.to_owned()));
        };
        if report.mode != self.mode {
            // Venues list the other mode's places too; they are zero.
            return if report.amount.is_zero() {
                Ok(Change::Nothing)
            } else {
                Err(refuse(pair, &format!("the position is held in mode {}, not {}", report.mode, self.mode)))
            };
        }
        let side = if report.mode == PositionMode::OneWay { PositionSide::Both } else { report.side };
        let slot = self.slot(pair, side)?;
        let timeline = self.timeline(pair, slot);
        let before = shown(pair, timeline);
        if !timeline.report(as_of, report.signed_amount(), report.entry_price) {
            return Ok(Change::Nothing);
        }
        timeline.leverage = report.leverage.or(timeline.leverage);
        timeline.mark_price = report.mark_price.or(timeline.mark_price);
        Ok(compare(before, shown(pair, timeline), Vec::new()))
    }

    /// Applies a list of positions that was so `as_of` a time (entries with a time of their own: of that). Returns the changes.
    ///
    /// # Errors
    /// As [`report`](Self::report), for each entry; the others are applied.
    pub fn list(
        &mut self,
        reports: &[PositionReport],
        as_of: AsOf,
        extent: Extent,
    ) -> Vec<Result<Change, Error>> {
        let mut changes = Vec::new();
        if extent == Extent::Full {
            let listed = |(pair, slot): &(Pair, Slot)| {
                let same = |report: &&PositionReport| {
                    report.market.pair() == Some(pair) && (*slot == Slot::Net || report.side == slot.side())
                };
                reports.iter().any(|report| same(&report))
            };
            let missing: Vec<_> = self.slots.keys().filter(|key| !listed(key)).cloned().collect();
            for (pair, slot) in missing {
                let market = crate::message::Market::Pair(pair);
                let zero = match slot {
                    Slot::Net => PositionReport::net(market, Decimal::ZERO),
                    Slot::Long | Slot::Short => PositionReport::leg(market, slot.side(), Decimal::ZERO),
                };
                changes.push(self.report(&zero, as_of));
            }
        }
        for report in reports {
            changes.push(self.report(report, report.time.map_or(as_of, AsOf::at)));
        }
        if extent == Extent::Full {
            self.complete =
                Some(self.complete.map_or((as_of, as_of), |(first, last)| (first, last.max(as_of))));
        }
        changes
    }

    /// A position. `None` if it was never told of, nor a full list of positions without it: whether it is zero is then not
    /// known.
    #[must_use]
    pub fn position(&self, pair: &Pair, side: PositionSide) -> Option<Position> {
        let slot = self.slot(pair, side).ok()?;
        let known = self.slots.get(&(pair.clone(), slot)).map(|timeline| shown(pair, timeline));
        known.or_else(|| self.complete.map(|lists| shown(pair, &fresh(slot, Some(lists)))))
    }

    /// Those that are not zero, by pair.
    pub fn open(&self) -> impl Iterator<Item = Position> + '_ {
        let all = self.slots.iter().map(|((pair, _), timeline)| shown(pair, timeline));
        all.filter(|position| !position.amount.is_zero())
    }

    /// The unrealised profit at a mark price, in the quote asset and before fees: amount × (mark − entry) with its sign.
    /// `None` if the position or its entry price is not known, or the number is too large.
    #[must_use]
    pub fn unrealised(&self, pair: &Pair, side: PositionSide, mark: Decimal) -> Option<Decimal> {
        let slot = self.slot(pair, side).ok()?;
        self.slots.get(&(pair.clone(), slot))?.state().unrealised(mark)
    }

    /// The base amount (negative = short) by which the venue's reports and the fills known differ, and which nobody has
    /// given a reason for. Zero once the fills are complete.
    #[must_use]
    pub fn unexplained(&self, pair: &Pair, side: PositionSide) -> Decimal {
        let slot = self.slot(pair, side).ok();
        let timeline = slot.and_then(|slot| self.slots.get(&(pair.clone(), slot)));
        timeline.map(Timeline::unexplained).unwrap_or_default()
    }

    /// Gives what is unexplained a reason, and returns how much that was. The position does not change: the report is in it
    /// already. If the missing fill comes after all, the opposite amount becomes unexplained: the adjustment was none.
    pub fn attribute(&mut self, pair: &Pair, side: PositionSide, cause: PositionCause) -> Decimal {
        let slot = self.slot(pair, side).ok();
        let timeline = slot.and_then(|slot| self.slots.get_mut(&(pair.clone(), slot)));
        timeline.map(|timeline| timeline.attribute(cause)).unwrap_or_default()
    }

    fn slot(&self, pair: &Pair, side: PositionSide) -> Result<Slot, Error> {
        match (self.mode, side) {
            (PositionMode::OneWay, PositionSide::Both) => Ok(Slot::Net),
            (PositionMode::Hedge, PositionSide::Long) => Ok(Slot::Long),
            (PositionMode::Hedge, PositionSide::Short) => Ok(Slot::Short),
            _ => Err(refuse(pair, &format!("there is no position `{side}` in mode {}", self.mode))),
        }
    }

    fn timeline(&mut self, pair: &Pair, slot: Slot) -> &mut Timeline {
        self.slots.entry((pair.clone(), slot)).or_insert_with(|| fresh(slot, self.complete))
    }
}

/// What is known of a position that was in no full list, if there was one. With the first of them known, fills that happened
/// while the last was being answered find their place.
fn fresh(slot: Slot, complete: Option<(AsOf, AsOf)>) -> Timeline {
    let mut timeline = Timeline::new(slot.side());
    if let Some((first, last)) = complete {
        for as_of in [first, last] {
            timeline.report(as_of, Decimal::ZERO, None);
        }
    }
    timeline
}

fn shown(pair: &Pair, timeline: &Timeline) -> Position {
    let state = timeline.state();
    let side = match timeline.side() {
        PositionSide::Both => PositionSide::of(state.amount),
        leg => leg,
    };
    Position {
        pair: pair.clone(),
        side,
        amount: state.amount.abs().normalize(),
        entry_price: state.entry_price(),
        realised: state.realised.normalize(),
        unvalued: state.unvalued.normalize(),
        leverage: timeline.leverage,
        mark_price: timeline.mark_price,
        unrealised: timeline.mark_price.and_then(|mark| state.unrealised(mark)),
        cause: timeline.cause(),
        reported: timeline.told(),
    }
}

fn compare(before: Position, after: Position, parts: Vec<PositionPart>) -> Change {
    let same =
        (before.side, before.amount, before.entry_price) == (after.side, after.amount, after.entry_price);
    if same {
        Change::Contained { parts }
    } else {
        Change::Changed { before: Box::new(before), after: Box::new(after), parts }
    }
}

fn refuse(pair: &Pair, why: &str) -> Error {
    Error::new(Cause::Usage, Effect::NotSent, "position", why.to_owned()).about(pair.as_str())
}
