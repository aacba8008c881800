//! One position as the sum of what is known of it: fills and reports, put in the order in which the venue did them.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::state::{Parts, State};
use super::{AsOf, PositionFill};
use crate::id::TradeId;
use crate::order::Side;
use crate::position::{PositionCause, PositionSide};
use crate::time::UnixNanos;

/// Fills and reports of one position that are kept to be put in order; older ones are summed up.
const WINDOW: usize = 256;
/// The same if they all are of one time.
const WINDOW_OF_ONE_TIME: usize = 4096;
/// Reports of one time that are put in order; more of them count as they arrived.
const MOST_SORTED: usize = 32;

/// Names a fill within a pair, in the venue's order: by time, then by number. A trade with oneself is two fills of one id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FillKey {
    time: UnixNanos,
    /// Ids that are numbers, in their order; texts after them.
    number: u64,
    trade_id: TradeId,
    side: Side,
}

impl FillKey {
    fn new(fill: &PositionFill) -> Self {
        let number = fill.trade_id.as_str().parse().unwrap_or(u64::MAX);
        Self { time: fill.time, number, trade_id: fill.trade_id.clone(), side: fill.side }
    }
}

#[derive(Clone, Copy, Debug)]
struct Trade {
    /// Negative = sold.
    amount: Decimal,
    price: Decimal,
    cause: PositionCause,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    as_of: AsOf,
    amount: Decimal,
    entry_price: Option<Decimal>,
}

/// What the timeline makes of a fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    New(Parts),
    Known,
    /// It lies before everything that is kept.
    Past,
}

/// The position at one point of the timeline.
#[derive(Clone, Copy, Debug)]
struct Sum {
    state: State,
    /// What reports said beyond the fills.
    unexplained: Decimal,
    /// The newest report in it.
    told: Option<AsOf>,
    /// Why it was traded last; `None` if a report said more than that since.
    cause: Option<PositionCause>,
}

#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Which way the position can go.
    side: PositionSide,
    /// Everything up to `horizon`.
    base: Sum,
    horizon: UnixNanos,
    fills: BTreeMap<FillKey, Trade>,
    /// In the order in which they count.
    told: Vec<Told>,
    now: Sum,
    attributed: Decimal,
    attributed_to: Option<PositionCause>,
    pub(super) leverage: Option<Decimal>,
    pub(super) mark_price: Option<Decimal>,
}

impl Timeline {
    pub(super) const fn new(side: PositionSide) -> Self {
        let start = Sum { state: State::FLAT, unexplained: Decimal::ZERO, told: None, cause: None };
        Self {
            side,
            base: start,
            horizon: UnixNanos(i64::MIN),
            fills: BTreeMap::new(),
            told: Vec::new(),
            now: start,
            attributed: Decimal::ZERO,
            attributed_to: None,
            leverage: None,
            mark_price: None,
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.fills.len() + self.told.len()
    }

    pub(super) const fn state(&self) -> &State {
        &self.now.state
    }

    pub(super) const fn side(&self) -> PositionSide {
        self.side
    }

    /// The newest report that is in it.
    pub(super) const fn told(&self) -> Option<AsOf> {
        self.now.told
    }

    pub(super) fn unexplained(&self) -> Decimal {
        (self.now.unexplained - self.attributed).normalize()
    }

    /// Calls what is unexplained explained, and says how much that was.
    pub(super) fn attribute(&mut self, cause: PositionCause) -> Decimal {
        let open = self.unexplained();
        self.attributed = self.now.unexplained;
        if !open.is_zero() {
            self.attributed_to = Some(cause);
        }
        open
    }

    /// What changed it last; `None` if that is not known.
    pub(super) fn cause(&self) -> Option<PositionCause> {
        self.now.cause.or_else(|| self.attributed_to.filter(|_| self.unexplained().is_zero()))
    }

    pub(super) fn fill(&mut self, fill: &PositionFill) -> Taken {
        let key = FillKey::new(fill);
        // The id alone names the fill: the same one told with another time is still the same.
        let same = |known: &FillKey| (&known.trade_id, known.side) == (&key.trade_id, key.side);
        if self.fills.keys().any(same) {
            return Taken::Known;
        }
        if fill.time <= self.horizon {
            return Taken::Past;
        }
        let amount = if fill.side == Side::Buy { fill.amount } else { -fill.amount };
        self.fills.insert(key.clone(), Trade { amount, price: fill.price, cause: fill.cause });
        let parts = self.replay(Some(&key));
        self.shorten();
        Taken::New(parts)
    }

    /// Whether the report is news.
    pub(super) fn report(&mut self, as_of: AsOf, amount: Decimal, entry_price: Option<Decimal>) -> bool {
        let newest =
            self.told.last().map(|told| told.as_of.earliest).or(self.base.told.map(|as_of| as_of.earliest));
        if as_of.earliest <= self.horizon || newest.is_some_and(|newest| as_of.earliest < newest) {
            return false;
        }
        let told = Told { as_of, amount, entry_price };
        match self.told.last_mut().filter(|last| (last.as_of, last.amount) == (as_of, amount)) {
            // Told twice: the later one may know more.
            Some(last) => last.entry_price = entry_price.or(last.entry_price),
            None => self.told.push(told),
        }
        self.replay(None);
        self.shorten();
        true
    }

    /// Reckons the position anew from all that is kept, and says what became of the fill `asked` for.
    fn replay(&mut self, asked: Option<&FillKey>) -> Parts {
        let mut sum = self.base;
        let mut parts = [None, None];
        let mut left: Vec<(&FillKey, &Trade)> = self.fills.iter().collect();
        left.reverse();
        let mut apply = |sum: &mut Sum, (key, trade): (&FillKey, &Trade)| {
            let done = sum.trade(self.side, trade);
            if Some(key) == asked {
                parts = done;
            }
        };
        let mut rest = self.told.as_slice();
        while let Some(first) = rest.first() {
            while left.last().is_some_and(|(key, _)| key.time < first.as_of.earliest) {
                left.pop().into_iter().for_each(|fill| apply(&mut sum, fill));
            }
            let alike = rest.iter().take_while(|told| told.as_of == first.as_of).count();
            let (group, later) = rest.split_at(alike);
            rest = later;
            let mut group: Vec<&Told> = group.iter().collect();
            while !group.is_empty() {
                let (index, contained) = sum.next(self.side, &group, &left);
                for _ in 0..contained {
                    left.pop().into_iter().for_each(|fill| apply(&mut sum, fill));
                }
                sum.tell(group.remove(index));
            }
        }
        left.into_iter().rev().for_each(|fill| apply(&mut sum, fill));
        self.now = sum;
        parts
    }

    /// Sums up the older half once there is more than the window holds.
    fn shorten(&mut self) {
        let kept = self.fills.len() + self.told.len();
        if kept <= WINDOW {
            return;
        }
        let mut times: Vec<UnixNanos> = self.fills.keys().map(|key| key.time).collect();
        times.extend(self.told.iter().map(|told| told.as_of.latest));
        times.sort_unstable();
        let (Some(mut cut), Some(last)) = (times.get(kept / 2).copied(), times.last()) else { return };
        for told in &self.told {
            // A report that reaches over the cut takes it along: it decides about fills on both sides.
            if told.as_of.earliest <= cut {
                cut = cut.max(told.as_of.latest);
            }
        }
        // What happened at one time stays together, as far as that can be borne.
        if cut >= *last && kept <= WINDOW_OF_ONE_TIME {
            return;
        }
        let later = FillKey { time: cut.offset(1), number: 0, trade_id: "".into(), side: Side::Buy };
        let fills = self.fills.split_off(&later);
        let split = self.told.iter().position(|told| told.as_of.earliest > cut).unwrap_or(self.told.len());
        let told = self.told.split_off(split);
        self.replay(None);
        (self.base, self.horizon, self.fills, self.told) = (self.now, cut, fills, told);
        self.replay(None);
    }
}

impl Sum {
    /// Applies a trade. A leg never goes beyond zero at the venue: what would, closes something that is not known here.
    fn trade(&mut self, side: PositionSide, trade: &Trade) -> Parts {
        let room = match side {
            PositionSide::Long if trade.amount.is_sign_negative() => self.state.amount,
            PositionSide::Short if trade.amount.is_sign_positive() => -self.state.amount,
            _ => trade.amount.abs(),
        };
        let within = trade.amount.abs().min(room);
        let within = if trade.amount.is_sign_negative() { -within } else { within };
        let parts = self.state.trade(within, trade.price);
        self.cause = Some(trade.cause);
        let beyond = trade.amount - within;
        if !beyond.is_zero() {
            self.state.unvalued = self.state.unvalued.saturating_add(beyond.abs());
            if self.told.is_some() {
                self.unexplained -= beyond;
            }
        }
        parts
    }

    /// Which of several reports of one time comes next, and how many of the fills that are left, last ones first, it has in it.
    /// The one that the fewest lead to; if none lead to any, a fill or a cause is missing, and the word of the one that arrived
    /// first stands for all of them.
    fn next(&self, side: PositionSide, group: &[&Told], left: &[(&FillKey, &Trade)]) -> (usize, usize) {
        let fills = |told: &Told| {
            let latest = told.as_of.latest;
            left.iter().rev().copied().take_while(move |(key, _)| key.time <= latest)
        };
        let tried = if group.len() > MOST_SORTED { 1 } else { group.len() };
        let reached = group.iter().take(tried).enumerate().filter_map(|(index, told)| {
            self.contained(side, told, fills(told)).map(|contained| (contained, index))
        });
        match (reached.min(), group.first()) {
            (Some((contained, index)), _) => (index, contained),
            (None, Some(told)) => (0, fills(told).count()),
            (None, None) => (0, 0),
        }
    }

    /// How many of the fills that could be on either side of a report it has in it: as few as lead to what it says (to its
    /// amount and its entry price, or else to its amount), so that the next report of that time has its own. `None` if no number
    /// of them does.
    fn contained<'a>(
        &self,
        side: PositionSide,
        told: &Told,
        fills: impl Iterator<Item = (&'a FillKey, &'a Trade)>,
    ) -> Option<usize> {
        let mut trial = *self;
        let (mut equal, mut same_amount, mut count) = (None, None, 0);
        let mut judge = |trial: &Self, count: usize| {
            if trial.state.amount == told.amount {
                same_amount = same_amount.or(Some(count));
                if told.entry_price.is_some_and(|price| trial.state.rounds_to(price)) {
                    equal = equal.or(Some(count));
                }
            }
        };
        judge(&trial, 0);
        for (_, trade) in fills {
            trial.trade(side, trade);
            count += 1;
            judge(&trial, count);
        }
        // What was before the first report is not known, so nothing can be concluded from a sum.
        equal.or(same_amount).filter(|_| self.told.is_some())
    }

    fn tell(&mut self, told: &Told) {
        // The first report says where the account started.
        let difference = told.amount - self.state.amount;
        if self.told.is_some() {
            self.unexplained += difference;
        }
        if !difference.is_zero() {
            self.cause = None;
        }
        self.state.replace(told.amount, told.entry_price);
        self.told = Some(told.as_of);
    }
}
