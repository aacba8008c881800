//! Perpetual contracts as the embedded exchange keeps them: what a contract is, what an account holds of it and owes for it.
//!
//! Contracts are linear: base amounts, prices in quote, profit and margin in the contract's collateral asset. A position is an
//! amount and what it cost, so sums stay exact whatever the average price; the average is only shown.

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
