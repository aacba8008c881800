//! What the exchange shows of positions, margins and payments.

use connector_core::position::PositionSide;
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::orders::{AccountId, Order};

/// Which money stands behind a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginMode {
    /// All of the account's.
    #[default]
    Cross,
    /// What was set aside for it, and no more.
    Isolated,
}

/// An account's choices for one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MarketSettings {
    /// Notional ÷ initial margin.
    pub leverage: Decimal,
    /// Which money stands behind positions.
    pub margin_mode: MarginMode,
}

/// A position, or a leg of one, valued at the present mark price. Money is in the collateral asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionView {
    /// Whose.
    pub account: AccountId,
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// `Both` for a net position, else the leg.
    pub side: PositionSide,
    /// Base amount; negative = short. Zero if there is none.
    pub amount: Decimal,
    /// Average price it was entered at; zero if there is none.
    pub entry_price: Decimal,
    /// Price at which closing it brings in its cost and fees; zero if there is none.
    pub break_even: Decimal,
    /// The mark price.
    pub mark_price: Decimal,
    /// Price at which it would be liquidated; absent if none would.
    pub liquidation_price: Option<Decimal>,
    /// Profit if it were closed at the mark price, before fees.
    pub unrealised: Decimal,
    /// Profit made so far by closing, before fees.
    pub realised: Decimal,
    /// Value at the mark price, with the amount's sign.
    pub notional: Decimal,
    /// Leverage of the market.
    pub leverage: Decimal,
    /// Margin mode of the market.
    pub margin_mode: MarginMode,
    /// Money set aside for it; zero unless isolated.
    pub isolated_wallet: Decimal,
    /// Margin its leverage asks for, without orders.
    pub initial_margin: Decimal,
    /// Margin that open orders of the market (in hedge mode: of the leg) ask for beyond it.
    pub order_margin: Decimal,
    /// Margin below which it is liquidated.
    pub maintenance_margin: Decimal,
    /// Value of open orders that buy, those that only reduce left out.
    pub bid_notional: Decimal,
    /// Value of open orders that sell, those that only reduce left out.
    pub ask_notional: Decimal,
    /// Its place in the queue for deleveraging, 0 (last) to 4 (first).
    pub deleverage_rank: u8,
    /// The asset of its money.
    pub collateral: Asset,
    /// When it last changed; zero if never.
    pub updated: UnixNanos,
}

/// An account's money of one collateral asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarginView {
    /// The asset.
    pub asset: Asset,
    /// Transfers, profit made, funding and fees.
    pub wallet: Decimal,
    /// The wallet without what is set aside for isolated positions.
    pub cross_wallet: Decimal,
    /// Profit not made yet of all positions, at mark prices.
    pub unrealised: Decimal,
    /// The same of positions held with cross margin.
    pub cross_unrealised: Decimal,
    /// Wallet and profit not made yet.
    pub margin_balance: Decimal,
    /// Initial margin of all positions.
    pub position_margin: Decimal,
    /// Margin of open orders.
    pub order_margin: Decimal,
    /// Maintenance margin of all positions.
    pub maintenance_margin: Decimal,
    /// What new positions can still be opened with.
    pub available: Decimal,
    /// What can be withdrawn: profit not made yet cannot.
    pub withdrawable: Decimal,
    /// When the wallet last changed.
    pub updated: UnixNanos,
}

/// What changed an account's wallet or positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountCause {
    /// A fill of an order of the account.
    Order,
    /// A funding payment.
    Funding,
    /// The exchange closed a position for lack of margin.
    Liquidation,
    /// The exchange closed a position as counterparty of somebody's liquidation.
    Deleverage,
    /// Money of the insurance fund: the fee of a liquidation, or a debt it has paid.
    Insurance,
    /// The contract was delisted.
    Settlement,
    /// Money came from outside.
    Deposit,
    /// Money went outside.
    Withdrawal,
    /// Margin of an isolated position was added or taken off.
    MarginTransfer,
    /// A market's margin mode changed.
    MarginMode,
}

/// A wallet after a change, absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalletChange {
    /// The asset.
    pub asset: Asset,
    /// The wallet.
    pub wallet: Decimal,
    /// The wallet without what is set aside for isolated positions.
    pub cross_wallet: Decimal,
    /// By how much the wallet changed other than by profit and fees of trading.
    pub change: Decimal,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IncomeKind {
    /// Between the account and outside.
    Transfer,
    /// A position was closed, wholly or in part.
    RealisedPnl,
    /// The fee of a fill.
    Commission,
    /// Funding.
    Funding,
    /// To or from the insurance fund.
    Insurance,
}

/// One movement of money in an account's wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Income {
    /// Its transaction id, unique and rising over all accounts.
    pub id: u64,
    /// When.
    pub time: UnixNanos,
    /// Why.
    pub kind: IncomeKind,
    /// The venue's symbol; absent for transfers.
    pub symbol: Option<SmolStr>,
    /// The position, or leg, it is about.
    pub side: PositionSide,
    /// The asset.
    pub asset: Asset,
    /// Positive = received.
    pub amount: Decimal,
    /// The trade behind it.
    pub trade_id: Option<u64>,
    /// The rate, of funding.
    pub rate: Option<Decimal>,
    /// Base amount of the position paid for, of funding; negative = short.
    pub position: Option<Decimal>,
}

/// A settled funding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingRate {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// When.
    pub time: UnixNanos,
    /// A fraction of the position's value; positive = long pays short.
    pub rate: Decimal,
    /// The mark price positions were valued at.
    pub mark_price: Decimal,
}

/// Prices of a contract and its next funding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkPrice {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// When it was reckoned.
    pub time: UnixNanos,
    /// Positions are valued by it.
    pub mark_price: Decimal,
    /// What the contract follows.
    pub index_price: Decimal,
    /// The rate of the next funding as it stands.
    pub funding_rate: Decimal,
    /// When the next funding is due.
    pub next_funding: UnixNanos,
}

/// A liquidation, for the public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiquidationView {
    /// When.
    pub time: UnixNanos,
    /// The order that closed the position, as it ended.
    pub order: Box<Order>,
}

impl Income {
    /// A movement of now; id and time are filled in when it is recorded.
    pub(crate) fn of(
        kind: IncomeKind,
        symbol: Option<&SmolStr>,
        side: PositionSide,
        asset: &Asset,
        amount: Decimal,
    ) -> Self {
        Self {
            id: 0,
            time: UnixNanos::default(),
            kind,
            symbol: symbol.cloned(),
            side,
            asset: asset.clone(),
            amount: amount.normalize(),
            trade_id: None,
            rate: None,
            position: None,
        }
    }
}
