//! The budget: which of several orders an account can pay for, and how much of them.
//!
//! Pure and exact. Orders are judged one after another, each against what those before it have left, in a copy of the
//! balances: nothing is reserved at the venue, nor in the connector, by asking. **Invariant**: what is left of an asset is
//! never negative, and is what was available minus exactly the costs told in the answers.
//!
//! Orders of perpetual contracts take margin of what they open, and bring back that of what they close: see [`MarginTerms`].

mod margin;

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::error::{Cause, Effect, Error};
use crate::fee::{FeeKind, FeeSchedule, Prices};
use crate::message::{Fee, TradingRule};
use crate::number::{product, product_up};
use crate::order::{NewOrder, OrderType, Side};
use crate::pair::{Asset, Pair};
use crate::position::PositionAction;
use crate::rules::quantise;
use margin::Margin;
pub use margin::{
    MarginTerms, initial_margin, liquidation_price, maintenance_margin, max_leverage, max_notional,
};

/// An order one thinks of placing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The pair to trade.
    pub pair: Pair,
    /// Buy or sell.
    pub side: Side,
    /// How it is priced.
    pub order_type: OrderType,
    /// Base amount.
    pub amount: Decimal,
    /// Quote per base: the limit, or for a market order the price it is expected to trade at.
    pub price: Decimal,
    /// What it is to do to a position, as in [`NewOrder::action`]; `None` for spot.
    pub action: Option<PositionAction>,
}

impl Candidate {
    /// A limit order.
    #[must_use]
    pub const fn limit(pair: Pair, side: Side, amount: Decimal, price: Decimal) -> Self {
        Self { pair, side, order_type: OrderType::Limit, amount, price, action: None }
    }

    /// A post-only limit order.
    #[must_use]
    pub const fn limit_maker(pair: Pair, side: Side, amount: Decimal, price: Decimal) -> Self {
        Self { pair, side, order_type: OrderType::LimitMaker, amount, price, action: None }
    }

    /// A market order expected to trade at `price` on average.
    #[must_use]
    pub const fn market(pair: Pair, side: Side, amount: Decimal, price: Decimal) -> Self {
        Self { pair, side, order_type: OrderType::Market, amount, price, action: None }
    }

    /// The order itself, good till cancelled. A market order carries its expected price, which is not sent.
    #[must_use]
    pub fn order(&self) -> NewOrder {
        let order = NewOrder::limit(self.pair.clone(), self.side, self.amount, self.price);
        NewOrder { order_type: self.order_type, action: self.action, ..order }
    }

    /// The same order, with this to do to a position.
    #[must_use]
    pub fn action(self, action: PositionAction) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// What to do with an order that cannot be paid in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Drop it.
    #[default]
    AllOrNone,
    /// Make it as large as can be paid.
    Partial,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjusted {
    /// The order as it can be placed: quantised by its pair's rule; amount zero if it cannot be placed at all.
    pub candidate: Candidate,
    /// What it takes from the available balances, worst-case fee included. Empty if it cannot be placed.
    pub cost: BTreeMap<Asset, Decimal>,
    /// The worst-case fees in it or deducted from what it brings, fixed ones included.
    pub fees: Vec<Fee>,
    /// What it brings if it is executed in full at its price, after the fees that are deducted from it: what was bought or was
    /// paid; for what closes a position the margin it was opened with, and its profit; `None` for what only opens one.
    pub returns: Option<(Asset, Decimal)>,
    /// Whether the budget, not the rule, made it smaller than asked for.
    pub resized: bool,
    /// Why it cannot be placed: nothing was sent.
    pub refused: Option<Error>,
}

/// What the budget needs to know of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Its rule.
    pub rule: &'a TradingRule,
    /// What the account pays on it.
    pub fees: &'a FeeSchedule,
    /// Its positions; `None` for spot.
    pub margin: Option<MarginTerms<'a>>,
}

impl<'a> Terms<'a> {
    /// The terms of a spot pair.
    #[must_use]
    pub const fn spot(rule: &'a TradingRule, fees: &'a FeeSchedule) -> Self {
        Self { rule, fees, margin: None }
    }

    /// As orders before this one leave them, if all are executed.
    fn after(mut self, before: &[Adjusted], candidate: &Candidate) -> Self {
        if let Some(margin) = &mut self.margin {
            let same = |one: &&Adjusted| {
                let one = &one.candidate;
                (&one.pair, one.side, one.action) == (&candidate.pair, candidate.side, candidate.action)
            };
            for amount in before.iter().filter(same).map(|one| one.candidate.amount) {
                let closes = amount.min(margin.closable);
                margin.closable -= closes;
                margin.open += amount - closes;
            }
        }
        self
    }
}

/// Judges `candidates` in their order, and takes what each costs from `available`.
///
/// **Shape**: one answer per candidate, in the same order. `terms` looks up what a candidate is judged by, orders of this call left
/// out; one without terms cannot be traded.
/// `prices` convert fees that are charged in a third asset.
///
/// **Errors**: in each answer's [`refused`](Adjusted::refused): as those of [`quantise`], or
/// [`Cause::InsufficientBalance`]; all `NotSent`.
pub fn adjust<'a>(
    candidates: &[Candidate],
    mode: Mode,
    available: &mut BTreeMap<Asset, Decimal>,
    terms: impl Fn(&Candidate) -> Option<Terms<'a>>,
    prices: &Prices,
) -> Vec<Adjusted> {
    let mut all: Vec<Adjusted> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let adjusted = match terms(candidate) {
            Some(terms) => fit(candidate, mode, available, terms.after(&all, candidate), prices),
            None => Err(refuse(Cause::Market, candidate, "the pair cannot be traded here".into())),
        };
        all.push(match adjusted {
            Ok(adjusted) => {
                for (asset, cost) in &adjusted.cost {
                    if let Some(left) = available.get_mut(asset) {
                        *left -= *cost;
                    }
                }
                adjusted
            }
            Err(error) => Adjusted {
                candidate: Candidate { amount: Decimal::ZERO, ..candidate.clone() },
                cost: BTreeMap::new(),
                fees: Vec::new(),
                returns: None,
                resized: false,
                refused: Some(error),
            },
        });
    }
    all
}

fn fit(
    candidate: &Candidate,
    mode: Mode,
    available: &BTreeMap<Asset, Decimal>,
    terms: Terms<'_>,
    prices: &Prices,
) -> Result<Adjusted, Error> {
    let mut whole = quantised(candidate, terms.rule)?;
    let mut resized = false;
    if let Some(bound) = terms.margin.as_ref().and_then(|margin| bound(&whole, margin))
        && bound.amount < whole.amount
    {
        let fits = Candidate { amount: bound.amount, ..whole.clone() };
        whole = match quantised(&fits, terms.rule) {
            Ok(fits) if mode == Mode::Partial => fits,
            _ => return Err(refuse(bound.cause, &whole, bound.why)),
        };
        resized = true;
    }
    let unit = Unit::new(&whole, &terms, prices).ok_or_else(|| {
        refuse(Cause::Usage, &whole, "its fee cannot be expressed: a price is missing".into())
    })?;
    let left = |asset: &Asset| available.get(asset).copied().unwrap_or_default();
    let Some(lack) = unit.lack(whole.amount, left) else {
        return unit.adjusted(whole, resized);
    };
    if mode == Mode::AllOrNone {
        return Err(lack.error("budget", &whole));
    }
    let largest = unit.largest(available).filter(|amount| *amount > Decimal::ZERO);
    let smaller = largest.map(|amount| Candidate { amount: amount.min(whole.amount), ..whole.clone() });
    let mut smaller = smaller.and_then(|smaller| quantised(&smaller, terms.rule).ok());
    if let Some(tight) = smaller.as_ref().filter(|tight| unit.lack(tight.amount, left).is_some()) {
        // A quotient that was rounded up can be one step too large; never more.
        let step = terms.rule.amount_step.unwrap_or_else(|| Decimal::new(1, tight.amount.scale()));
        let less = Candidate { amount: tight.amount - step, ..tight.clone() };
        smaller = quantised(&less, terms.rule).ok().filter(|less| unit.lack(less.amount, left).is_none());
    }
    // What remains after resizing can be too small for the rule: then the balance is what it fails by.
    smaller.ok_or_else(|| lack.error("budget", &whole)).and_then(|smaller| unit.adjusted(smaller, true))
}

/// The largest amount positions let an order have, whatever is available, and what a larger one is refused for.
struct Bound {
    amount: Decimal,
    cause: Cause,
    why: String,
}

fn bound(candidate: &Candidate, margin: &MarginTerms<'_>) -> Option<Bound> {
    let closable = margin.closable.max(Decimal::ZERO);
    if candidate.action == Some(PositionAction::Close) {
        let why = format!("it is to close a position, of which {} can be closed", closable.normalize());
        return Some(Bound { amount: closable, cause: Cause::Position, why });
    }
    let largest = max_notional(margin.leverage, margin.brackets)?;
    let more = largest.checked_div(candidate.price)?.checked_sub(margin.open)?.max(Decimal::ZERO);
    let why = format!("a position is worth at most {largest} at a leverage of {}", margin.leverage);
    Some(Bound { amount: closable.checked_add(more)?, cause: Cause::TradingRule, why })
}

fn quantised(candidate: &Candidate, rule: &TradingRule) -> Result<Candidate, Error> {
    let fitting = quantise(rule, &candidate.order(), Some(candidate.price))?;
    let price = fitting.price.unwrap_or(candidate.price);
    Ok(Candidate { amount: fitting.amount, price, ..candidate.clone() })
}

/// What one unit of the base asset costs and brings in an order, besides fixed amounts.
pub(crate) struct Unit {
    side: Side,
    pair: Pair,
    price: Decimal,
    /// Added to what is spent, as a fraction of its value: the asset, and its amount per quote spent.
    added: Option<(Asset, Decimal)>,
    /// Taken from what is received, as a fraction of it.
    deducted: Decimal,
    fixed: Vec<Fee>,
    /// In place of all this for perpetual contracts, fixed fees apart.
    margin: Option<Margin>,
}

/// What is missing of an asset.
pub(crate) struct Lack {
    asset: Asset,
    needed: Option<Decimal>,
    available: Decimal,
}

impl Lack {
    pub(crate) fn error(&self, operation: &str, candidate: &Candidate) -> Error {
        let needed = match self.needed {
            Some(needed) => needed.normalize().to_string(),
            None => "more than can be expressed".to_owned(),
        };
        let why =
            format!("the order needs {needed} {}, {} is available", self.asset, self.available.normalize());
        let error = Error::new(Cause::InsufficientBalance, Effect::NotSent, operation, why);
        error.about(candidate.pair.as_str())
    }
}

impl Unit {
    /// `None` if a fee is charged in an asset whose price is not known, or a leverage is not positive.
    pub(crate) fn new(candidate: &Candidate, terms: &Terms<'_>, prices: &Prices) -> Option<Self> {
        let (pair, side, fees) = (candidate.pair.clone(), candidate.side, terms.fees);
        let rate = fees.worst_rate(candidate.order_type);
        if let Some(terms) = &terms.margin {
            let margin = Margin::new(side == Side::Buy, candidate.price, rate, terms)?;
            let (added, deducted) = (None, Decimal::ZERO);
            let fixed = fees.fixed.clone();
            return Some(Self {
                side,
                pair,
                price: candidate.price,
                added,
                deducted,
                fixed,
                margin: Some(margin),
            });
        }
        let asset = fees.fee_asset(&pair, side);
        // A fee in a third asset has to be there beforehand, whichever way it is booked.
        let third = asset != pair.base() && asset != pair.quote();
        let added = if rate.is_zero() || (fees.kind(side) == FeeKind::DeductedFromReturns && !third) {
            None
        } else {
            Some((asset.clone(), prices.convert(rate, &pair.quote(), &asset)?))
        };
        let deducted = if added.is_some() { Decimal::ZERO } else { rate };
        let fixed = fees.fixed.clone();
        Some(Self { side, pair, price: candidate.price, added, deducted, fixed, margin: None })
    }

    /// What one unit of the base asset takes in an order of `amount`, by asset; fixed fees apart.
    pub(crate) fn per_base(&self, amount: Decimal) -> Vec<(Asset, Decimal)> {
        if let Some(margin) = &self.margin {
            let unit = margin.cost(amount).and_then(|cost| cost.checked_div(amount)).unwrap_or_default();
            return if unit.is_zero() { Vec::new() } else { vec![(margin.collateral.clone(), unit)] };
        }
        let mut cost = self.costs(Decimal::ONE).unwrap_or_default();
        for fee in self.fixed.iter().filter(|fee| fee.amount > Decimal::ZERO) {
            if let Some((_, sum)) = cost.iter_mut().find(|(asset, _)| *asset == fee.asset) {
                *sum -= fee.amount;
            }
        }
        cost.retain(|(_, cost)| !cost.is_zero());
        cost
    }

    /// What `amount` takes from the balances. `None` if that is too large to be expressed.
    fn cost(&self, amount: Decimal) -> Option<BTreeMap<Asset, Decimal>> {
        Some(self.costs(amount)?.into_iter().collect())
    }

    /// The same as a list, each asset once: there are hardly ever more than two.
    fn costs(&self, amount: Decimal) -> Option<Vec<(Asset, Decimal)>> {
        let mut cost: Vec<(Asset, Decimal)> = Vec::with_capacity(2);
        let mut add = |asset: Asset, more: Decimal| {
            match cost.iter_mut().find(|(known, _)| *known == asset) {
                Some((_, sum)) => *sum = sum.checked_add(more)?,
                None => cost.push((asset, more)),
            }
            Some(())
        };
        let value = product_up(self.price, amount)?;
        match (&self.margin, self.side) {
            (Some(margin), _) => add(margin.collateral.clone(), margin.cost(amount)?)?,
            (None, Side::Buy) => add(self.pair.quote(), value)?,
            (None, Side::Sell) => add(self.pair.base(), amount)?,
        }
        if let Some((asset, rate)) = &self.added {
            add(asset.clone(), product_up(value, *rate)?)?;
        }
        for fee in self.fixed.iter().filter(|fee| fee.amount > Decimal::ZERO) {
            add(fee.asset.clone(), fee.amount)?;
        }
        Some(cost)
    }

    /// What is missing for `amount`; `None` if nothing is.
    pub(crate) fn lack(&self, amount: Decimal, available: impl Fn(&Asset) -> Decimal) -> Option<Lack> {
        let left = |asset: &Asset| available(asset).max(Decimal::ZERO);
        let Some(cost) = self.costs(amount) else {
            let asset = match (&self.margin, self.side) {
                (Some(margin), _) => margin.collateral.clone(),
                (None, Side::Buy) => self.pair.quote(),
                (None, Side::Sell) => self.pair.base(),
            };
            return Some(Lack { available: left(&asset), asset, needed: None });
        };
        cost.into_iter()
            .map(|(asset, needed)| Lack { available: left(&asset), asset, needed: Some(needed) })
            .find(|lack| lack.needed.is_some_and(|needed| needed > lack.available))
    }

    /// The largest amount that can be paid for, not yet rounded to a step. `None` if even the fixed fees cannot.
    fn largest(&self, available: &BTreeMap<Asset, Decimal>) -> Option<Decimal> {
        let (fixed, mut slopes) = (self.cost(Decimal::ZERO)?, BTreeMap::new());
        if let Some(margin) = &self.margin {
            let left = |asset: &Asset| available.get(asset).copied().unwrap_or_default();
            let fits = fixed.iter().all(|(asset, fixed)| left(asset) >= *fixed);
            let spent = fixed.get(&margin.collateral).copied().unwrap_or_default();
            return margin
                .largest(left(&margin.collateral).checked_sub(spent)?.max(Decimal::ZERO))
                .filter(|_| fits);
        }
        match self.side {
            Side::Buy => slopes.insert(self.pair.quote(), self.price),
            Side::Sell => slopes.insert(self.pair.base(), Decimal::ONE),
        };
        if let Some((asset, rate)) = &self.added {
            let slope = slopes.entry(asset.clone()).or_insert(Decimal::ZERO);
            *slope = slope.checked_add(self.price.checked_mul(*rate)?)?;
        }
        let mut largest: Option<Decimal> = None;
        for (asset, fixed) in &fixed {
            let left = available.get(asset).copied().unwrap_or_default().checked_sub(*fixed)?;
            if left.is_sign_negative() && !left.is_zero() {
                return None;
            }
            let slope = slopes.get(asset).filter(|slope| **slope > Decimal::ZERO);
            // A quotient too large to express is no bound.
            if let Some(amount) = slope.and_then(|slope| left.checked_div(*slope)) {
                largest = Some(largest.map_or(amount, |known| known.min(amount)));
            }
        }
        largest
    }

    fn adjusted(&self, candidate: Candidate, resized: bool) -> Result<Adjusted, Error> {
        let amount = candidate.amount;
        if let Some(margin) = &self.margin {
            let Some((cost, fee)) = self.cost(amount).zip(margin.fee(amount)) else {
                return Err(refuse(Cause::Usage, &candidate, "its value has too many digits".into()));
            };
            let cost = cost.into_iter().filter(|(_, cost)| !cost.is_zero()).collect();
            let fee = Fee { asset: margin.collateral.clone(), amount: fee };
            let fees =
                Some(fee).filter(|fee| !fee.amount.is_zero()).into_iter().chain(self.fixed.iter().cloned());
            let returns = margin.returns(amount).map(|brings| (margin.collateral.clone(), brings));
            return Ok(Adjusted { candidate, cost, fees: fees.collect(), returns, resized, refused: None });
        }
        let parts = || {
            let value = product_up(self.price, amount)?;
            let (asset, gross) = match self.side {
                Side::Buy => (self.pair.base(), amount),
                Side::Sell => (
                    self.pair.quote(),
                    product(self.price, amount).or_else(|| self.price.checked_mul(amount))?,
                ),
            };
            let taken = product_up(gross, self.deducted)?;
            let mut fees: Vec<Fee> = Vec::new();
            if let Some((asset, rate)) = &self.added {
                fees.push(Fee { asset: asset.clone(), amount: product_up(value, *rate)? });
            } else if !taken.is_zero() {
                fees.push(Fee { asset: asset.clone(), amount: taken });
            }
            fees.extend(self.fixed.iter().cloned());
            Some((self.cost(amount)?, fees, (asset, gross - taken)))
        };
        let Some((cost, fees, returns)) = parts() else {
            return Err(refuse(Cause::Usage, &candidate, "its value has too many digits".into()));
        };
        Ok(Adjusted { candidate, cost, fees, returns: Some(returns), resized, refused: None })
    }
}

fn refuse(cause: Cause, candidate: &Candidate, why: String) -> Error {
    Error::new(cause, Effect::NotSent, "budget", why).about(candidate.pair.as_str())
}

#[cfg(test)]
mod tests;
