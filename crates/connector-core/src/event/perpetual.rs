//! What happened to perpetual contracts: positions, funding, leverage and modes.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use super::shared;
use crate::error::Error;
use crate::number::{serialize_plain as plain, serialize_plain_option as plain_option};
use crate::pair::{Asset, Pair};
use crate::position::{MarginMode, PositionCause, PositionMode, PositionSide};
use crate::time::UnixNanos;

/// A position is another than before: its amount, or the price it was entered at. Profit at the mark price changes all the
/// time and is no reason for it.
///
/// Told once the cause is known: a report of the venue that overtakes its fill waits for it, though the position as read is
/// the new one at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionChanged {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// Which way it goes; `both` if it is a net position of zero.
    pub side: PositionSide,
    /// Base amount, positive.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// Average price it was entered at, quote per base; absent if nothing is open, or it is not known.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub entry_price: Option<Decimal>,
    /// Profit realised by the fills seen since the start, in the quote asset, before fees and funding; negative = a loss.
    #[serde(serialize_with = "plain")]
    pub realised_pnl: Decimal,
    /// What closing it at the mark price would bring, in the quote asset and before fees; absent while no mark price is known.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub unrealised_pnl: Option<Decimal>,
    /// The mark price of that, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
    /// Its leverage: value ÷ initial margin.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
    /// Why; absent for what was found at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<PositionCause>,
}

/// What is announced of the next funding of a pair has changed: the rate, or the time it is due. Told of followed pairs, a
/// changed time at once and a changed rate at most every ten seconds. Prices alone are no reason for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingChanged {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// The rate as it stands, a fraction of the position's value per interval; positive = long pays short.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// When it is due, by the venue's clock.
    #[serde(rename = "next_time_ns", skip_serializing_if = "Option::is_none")]
    pub next_time: Option<UnixNanos>,
    /// The mark price, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
    /// The index price, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub index_price: Option<Decimal>,
}

/// The account received or made a funding payment. Each is told once, in the order of their times, also across restarts
/// with a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingPaid {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The venue's time of the payment.
    #[serde(rename = "venue_time_ns")]
    pub venue_time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// Positive = received, negative = paid.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// What it was paid in.
    pub asset: Asset,
    /// The rate, as a fraction of the position's value, where the venue tells it.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// The venue's id of the payment, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<SmolStr>,
}

/// The leverage of a pair is set, by us or by somebody else; also told if it was so before and we asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeverageChanged {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// Value ÷ initial margin.
    #[serde(serialize_with = "plain")]
    pub leverage: Decimal,
}

/// The leverage of a pair could not be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeverageRefused {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// What was asked for.
    #[serde(serialize_with = "plain")]
    pub leverage: Decimal,
    /// Why, and what may have happened.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// What backs positions of a pair is set, by us or by somebody else; also told if it was so before and we asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarginModeChanged {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// What backs them.
    pub margin_mode: MarginMode,
}

/// What backs positions of a pair could not be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarginModeRefused {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// What was asked for.
    pub margin_mode: MarginMode,
    /// Why, and what may have happened.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// The mode positions are held in is set, by us or by somebody else; also told if it was so before and we asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionModeChanged {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The mode.
    pub mode: PositionMode,
}

/// The mode positions are held in could not be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionModeRefused {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// What was asked for.
    pub mode: PositionMode,
    /// Why, and what may have happened.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// The venue warns that a position will be liquidated unless the price turns or collateral is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarginCalled {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// The position's side.
    pub side: PositionSide,
    /// Its base amount, positive.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// What it needs to live on, in the collateral asset.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub maintenance_margin: Option<Decimal>,
    /// The mark price, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
}
