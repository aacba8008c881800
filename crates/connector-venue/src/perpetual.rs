//! Perpetual contracts as the embedded exchange keeps them: what a contract is, what an account holds of it and owes for it.
//!
//! Contracts are linear: base amounts, prices in quote, profit and margin in the contract's collateral asset. A position is an
//! amount and what it cost, so sums stay exact whatever the average price; the average is only shown.
//!
//! The rules, as far as they are the exchange's choice:
//!
//! - **Margin of orders.** A net position asks for the margin of the larger of what it would be with all buyers filled and with
//!   all sellers filled; legs ask for the sum of their opening orders. Orders that only reduce ask for nothing. An order that
//!   makes this larger needs the difference, and what it would lose at once against the mark price.
//! - **Reducing.** A reduce-only order without a position to reduce is refused; a larger one is taken and stops at flat. Resting
//!   ones never add up to more than their position: the worst price, then the newest, expires first, and one alone shows on
//!   the book only what it can still do. An order that closes a leg is refused if it is larger than the leg.
//! - **Mark price.** The index is the price the live market moves around (the reference price without one); the mark is the index
//!   and an eighth of the way, each time it is told, from the old basis to the book's.
//! - **Funding.** −amount × mark × rate for every holder at the interval's end, the exchange's own accounts included; what rounding
//!   leaves goes to the insurance fund.
//! - **Liquidation.** At a margin balance of no more than the maintenance margin open orders are ended and positions closed, largest
//!   first, until the rest suffices: at the price at which nothing would be left or better from the book, the rest by the
//!   insurance fund, or without one by the most profitable and most leveraged on the other side, or the rest of the world.
//!   The fee takes what is left, and a debt is the fund's.

mod account;
mod contract;
mod position;
mod prices;
mod views;

pub(crate) use self::account::{Holder, Leg};
pub use self::contract::{Bracket, ContractSetup, PerpetualSetup};
pub(crate) use self::position::{Change, Position};
pub(crate) use self::prices::{ContractState, State, next_multiple};
pub use self::views::{
    AccountCause, FundingRate, Income, IncomeKind, LiquidationView, MarginMode, MarginView, MarkPrice,
    MarketSettings, PositionView, WalletChange,
};
