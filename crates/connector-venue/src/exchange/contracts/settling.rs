//! What a fill does to a position and its wallet.

use connector_core::order::Side;
use connector_core::position::PositionSide;
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use super::super::Exchange;
use crate::ledger::MOST_DIGITS;
use crate::orders::{AccountId, Origin};
use crate::perpetual::{AccountCause, Change, Income, IncomeKind, MarginMode};

/// One side of a trade of a contract.
pub(in crate::exchange) struct ContractFill<'a> {
    pub(in crate::exchange) account: AccountId,
    pub(in crate::exchange) symbol: &'a SmolStr,
    pub(in crate::exchange) leg: PositionSide,
    pub(in crate::exchange) side: Side,
    pub(in crate::exchange) price: Decimal,
    pub(in crate::exchange) amount: Decimal,
    pub(in crate::exchange) is_maker: bool,
    pub(in crate::exchange) origin: Origin,
    pub(in crate::exchange) trade_id: u64,
}

/// What it came to.
pub(in crate::exchange) struct Booked {
    pub(in crate::exchange) commission: Decimal,
    pub(in crate::exchange) commission_asset: Asset,
    pub(in crate::exchange) realised: Decimal,
}

impl Origin {
    /// What changed the positions such an order fills.
    const fn cause(self) -> AccountCause {
        match self {
            Self::Account => AccountCause::Order,
            Self::Liquidation => AccountCause::Liquidation,
            Self::Deleverage => AccountCause::Deleverage,
            Self::Settlement => AccountCause::Settlement,
        }
    }
}

impl Exchange {
    /// Carries one side of a trade into its position and wallet, and tells the account.
    pub(in crate::exchange) fn book_fill(&mut self, fill: &ContractFill<'_>) -> Option<Booked> {
        let &ContractFill { account, symbol, leg, side, price, amount, .. } = fill;
        let (_, contract) = self.contract(symbol)?;
        let collateral = contract.collateral.clone();
        let settings = self.market_settings(account, symbol)?;
        let signed = if side == Side::Buy { amount } else { -amount };
        let now = self.now;
        // Orders of the exchange itself cost their account nothing; a liquidation has a fee of its own.
        let (commission, commission_asset) = if fill.origin == Origin::Account {
            self.ledger.charge(account, symbol, &collateral, price * amount, fill.is_maker)
        } else {
            (Decimal::ZERO, collateral.clone())
        };
        let position = self.perpetual.holder(account).positions.entry((symbol.clone(), leg)).or_default();
        let change = position.take(signed, price, now);
        if !position.amount.is_zero() && commission_asset == collateral {
            position.burden += commission;
        }
        if settings.margin_mode == MarginMode::Isolated {
            // A loss beyond what the closed part had set aside is the rest's to bear, as far as it goes.
            let beyond = -(change.released + change.realised);
            position.isolated -= beyond.max(Decimal::ZERO).min(position.isolated);
            let margin = (change.opened * price).checked_div(settings.leverage).unwrap_or_default();
            position.isolated += margin.round_dp(MOST_DIGITS);
        }
        self.ledger.gain(account, &collateral, change.realised);
        if !account.is_house() {
            self.note_fill(fill, &change, &collateral, (commission, &commission_asset));
        }
        Some(Booked { commission, commission_asset, realised: change.realised.normalize() })
    }

    fn note_fill(
        &mut self,
        fill: &ContractFill<'_>,
        change: &Change,
        collateral: &Asset,
        (commission, commission_asset): (Decimal, &Asset),
    ) {
        let &ContractFill { account, symbol, leg, trade_id, .. } = fill;
        let note = |kind, asset: &Asset, amount: Decimal| Income {
            trade_id: Some(trade_id),
            ..Income::of(kind, Some(symbol), leg, asset, amount)
        };
        if !change.closed.is_zero() {
            self.record_income(account, note(IncomeKind::RealisedPnl, collateral, change.realised));
        }
        if !commission.is_zero() {
            self.record_income(account, note(IncomeKind::Commission, commission_asset, -commission));
        }
        let mut wallets = vec![(collateral.clone(), Decimal::ZERO)];
        if commission_asset != collateral {
            wallets.push((commission_asset.clone(), Decimal::ZERO));
        }
        let legs = [(symbol.clone(), leg)];
        self.tell_account(account, fill.origin.cause(), Some(symbol), &wallets, &legs);
    }
}
