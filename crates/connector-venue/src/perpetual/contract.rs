//! What a contract is: collateral, leverage brackets, funding.

use std::time::Duration;

use connector_core::{Asset, Decimal};
use serde::Serialize;
use smol_str::SmolStr;

/// What holds for positions up to some notional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bracket {
    /// Notional from which it holds, in the quote asset.
    pub floor: Decimal,
    /// Notional up to which it holds.
    pub cap: Decimal,
    /// The highest leverage of a position of such a notional.
    pub max_leverage: Decimal,
    /// Maintenance margin as a part of the notional.
    pub maintenance_ratio: Decimal,
    /// What is taken off ratio × notional, so that the maintenance margin does not jump between brackets.
    pub maintenance_amount: Decimal,
}

impl Bracket {
    /// Brackets from rows of cap, highest leverage and maintenance ratio, by rising cap; floors and maintenance amounts follow.
    #[must_use]
    pub fn table(rows: &[(Decimal, Decimal, Decimal)]) -> Vec<Self> {
        let mut brackets: Vec<Self> = Vec::with_capacity(rows.len());
        for &(cap, max_leverage, maintenance_ratio) in rows {
            let (floor, maintenance_amount) = brackets.last().map_or_else(Default::default, |last| {
                let step = last.cap * (maintenance_ratio - last.maintenance_ratio);
                (last.cap, last.maintenance_amount + step)
            });
            brackets.push(Self { floor, cap, max_leverage, maintenance_ratio, maintenance_amount });
        }
        brackets
    }
}

/// What makes a market a perpetual contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractSetup {
    /// The asset of margin, profit, funding and fees.
    pub collateral: Asset,
    /// Base amount of one contract. All amounts of the exchange are in base; a face that counts contracts divides.
    pub contract_size: Decimal,
    /// Leverage brackets by rising notional; the first starts at zero.
    pub brackets: Vec<Bracket>,
    /// Time between two fundings, which fall on whole multiples of it since the Unix epoch.
    #[serde(serialize_with = "seconds")]
    pub funding_interval: Duration,
    /// What the rate tends to without premium, a fraction of the notional per interval.
    pub interest_rate: Decimal,
    /// Lowest and highest funding rate per interval.
    pub rate_bounds: (Decimal, Decimal),
    /// Fee of a liquidation as a part of the liquidated notional; paid to the insurance fund as far as money is left.
    pub liquidation_fee: Decimal,
    /// What the insurance fund starts with, in the collateral asset.
    pub insurance_fund: Decimal,
    /// Whether a fill-or-kill order that cannot be filled is refused; else it is taken and expires.
    pub refuses_unfillable: bool,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

impl ContractSetup {
    /// A contract with funding every eight hours of at most 0.75 % and a liquidation fee of 1.25 %.
    #[must_use]
    pub fn new(collateral: &str, brackets: Vec<Bracket>) -> Self {
        Self {
            collateral: Asset::new(collateral),
            contract_size: Decimal::ONE,
            brackets,
            funding_interval: Duration::from_secs(8 * 3600),
            interest_rate: Decimal::new(1, 4),
            rate_bounds: (Decimal::new(-75, 4), Decimal::new(75, 4)),
            liquidation_fee: Decimal::new(125, 4),
            insurance_fund: Decimal::from(1_000_000),
            refuses_unfillable: false,
        }
    }

    /// The bracket of a notional; above the last cap, the last one.
    #[must_use]
    pub fn bracket(&self, notional: Decimal) -> Option<&Bracket> {
        self.brackets.iter().find(|bracket| notional <= bracket.cap).or(self.brackets.last())
    }

    /// The maintenance margin of a position of this notional.
    #[must_use]
    pub fn maintenance(&self, notional: Decimal) -> Decimal {
        self.bracket(notional).map_or(Decimal::ZERO, |bracket| {
            (notional * bracket.maintenance_ratio - bracket.maintenance_amount).max(Decimal::ZERO)
        })
    }

    /// The highest leverage of all.
    #[must_use]
    pub fn max_leverage(&self) -> Decimal {
        self.brackets.iter().map(|bracket| bracket.max_leverage).max().unwrap_or(Decimal::ONE)
    }

    /// The largest notional a position may have at this leverage; zero if no bracket allows it.
    #[must_use]
    pub fn largest_notional(&self, leverage: Decimal) -> Decimal {
        let allowed = self.brackets.iter().filter(|bracket| bracket.max_leverage >= leverage);
        allowed.map(|bracket| bracket.cap).max().unwrap_or_default()
    }

    /// What speaks against it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let rising = self.brackets.windows(2).all(|pair| match pair {
            [a, b] => a.cap == b.floor && a.cap < b.cap && a.max_leverage >= b.max_leverage,
            _ => true,
        });
        let starts = self.brackets.first().is_some_and(|first| first.floor.is_zero());
        let sound = |b: &Bracket| {
            b.max_leverage >= Decimal::ONE
                && b.maintenance_ratio > Decimal::ZERO
                && b.maintenance_ratio < Decimal::ONE
        };
        if !starts || !rising || !self.brackets.iter().all(sound) {
            return Some("leverage brackets must start at zero, follow each other and be sound");
        }
        let (low, high) = self.rate_bounds;
        if self.contract_size <= Decimal::ZERO || low > high || high - low > Decimal::TWO {
            return Some("contract size or bounds of the funding rate make no sense");
        }
        if self.liquidation_fee < Decimal::ZERO || self.liquidation_fee >= Decimal::ONE {
            return Some("the liquidation fee must be below the whole");
        }
        if self.funding_interval < Duration::from_secs(1) || self.insurance_fund < Decimal::ZERO {
            return Some("the funding interval must be a second at least, the insurance fund not negative");
        }
        None
    }
}

/// What holds for all contracts of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerpetualSetup {
    /// How often mark prices are told and margins judged.
    pub mark_interval: Duration,
    /// Leverage of a market whose account has not chosen one, as far as the contract allows it.
    pub default_leverage: Decimal,
    /// Maintenance margin as a part of the margin balance from which an account is warned.
    pub margin_call_ratio: Decimal,
    /// What client ids of liquidation orders begin with.
    pub liquidation_prefix: SmolStr,
    /// What client ids of orders that deleverage an account begin with.
    pub deleverage_prefix: SmolStr,
    /// What client ids of orders that settle a delisted contract begin with.
    pub settlement_prefix: SmolStr,
    /// How long a listen key lives without being kept alive.
    pub listen_key_lifetime: Duration,
}

impl Default for PerpetualSetup {
    fn default() -> Self {
        Self {
            mark_interval: Duration::from_secs(1),
            default_leverage: Decimal::from(20),
            margin_call_ratio: Decimal::new(8, 1),
            liquidation_prefix: SmolStr::new_static("liquidation-"),
            deleverage_prefix: SmolStr::new_static("deleverage-"),
            settlement_prefix: SmolStr::new_static("settlement-"),
            listen_key_lifetime: Duration::from_secs(3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> ContractSetup {
        let row = |cap: i64, leverage: i64, ratio: i64| (cap.into(), leverage.into(), Decimal::new(ratio, 4));
        ContractSetup::new(
            "USDT",
            Bracket::table(&[
                row(50_000, 125, 40),
                row(600_000, 100, 50),
                row(3_000_000, 75, 65),
                row(12_000_000, 50, 100),
                row(70_000_000, 25, 200),
            ]),
        )
    }

    /// The amounts a large exchange publishes with these caps and ratios.
    #[test]
    fn maintenance_amounts_follow_from_ratios() {
        let amounts: Vec<_> = contract().brackets.iter().map(|bracket| bracket.maintenance_amount).collect();
        assert_eq!(amounts, [0, 50, 950, 11_450, 131_450].map(Decimal::from));
        assert_eq!(contract().fault(), None);
    }

    #[test]
    fn maintenance_margin_does_not_jump() {
        let contract = contract();
        for bracket in &contract.brackets {
            let next = contract.maintenance(bracket.cap + Decimal::new(1, 6));
            assert!((next - contract.maintenance(bracket.cap)).abs() < Decimal::new(1, 6));
        }
        assert_eq!(contract.maintenance(100_000.into()), 450.into());
        assert_eq!(contract.largest_notional(75.into()), 3_000_000.into());
        assert_eq!(contract.largest_notional(126.into()), 0.into());
        assert_eq!(contract.max_leverage(), 125.into());
    }

    #[test]
    fn gaps_and_nonsense_are_found() {
        let mut gap = contract();
        gap.brackets.remove(1);
        let mut all = contract();
        all.brackets.clear();
        let mut ratio = contract();
        ratio.brackets[0].maintenance_ratio = Decimal::ONE;
        assert!([gap, all, ratio].iter().all(|contract| contract.fault().is_some()));
    }
}
