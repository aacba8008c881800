//! What a connector tells its users: facts that have happened, named in the past tense.
//!
//! Not the venue's messages (see [`crate::message`]): events come after all state was applied. Of one order the sequence is
//! always `OrderCreated`, then any number of `OrderFilled`, then exactly one of `OrderCompleted`, `OrderCancelled`,
//! `OrderExpired` and `OrderFailed`; an order that the venue never accepted has `OrderFailed` alone. After the terminal
//! event only an `OrderFilled` marked `late` can follow. `OrderUnknown`, `OrderCancelRefused` and `OrderFeeKnown` are
//! notifications.
//!
//! Cloning an event allocates nothing: texts are held in place or shared.

mod perpetual;

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use crate::error::Error;
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::{BestPrice, Fee, Trade, TradingRule};
use crate::number::{serialize_plain as plain, serialize_plain_option as plain_option};
use crate::order::{OrderType, Side};
use crate::pair::{Asset, Pair};
use crate::position::PositionAction;
use crate::time::UnixNanos;

pub use perpetual::{
    FundingChanged, FundingPaid, LeverageChanged, LeverageRefused, MarginCalled, MarginModeChanged,
    MarginModeRefused, PositionChanged, PositionModeChanged, PositionModeRefused,
};

/// Writes a shared value as the value itself.
fn shared<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.serialize(serializer)
}

/// What every event about an order says of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderInfo {
    /// The pair it trades.
    pub pair: Pair,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The venue's id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    #[serde(rename = "type")]
    pub order_type: OrderType,
    /// Limit price as sent, quote per base; absent for market orders.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// Base amount as sent.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// What it is to do to a position, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PositionAction>,
    /// The pair's leverage when it was submitted; absent for spot, or if it was not known.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
}

/// What has been executed of an order, by its fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Executed {
    /// Base amount: the sum of the fills.
    #[serde(serialize_with = "plain")]
    pub base: Decimal,
    /// Quote amount: the sum of price × amount, fees excluded.
    #[serde(serialize_with = "plain")]
    pub quote: Decimal,
}

impl Executed {
    /// The average price, quote per base, rounded to the digits a [`Decimal`] has. `None` if nothing was executed.
    #[must_use]
    pub fn average_price(&self) -> Option<Decimal> {
        self.quote.checked_div(self.base)
    }
}

/// The venue has accepted an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderCreated {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// Local time at which the order was submitted.
    #[serde(rename = "submit_time_ns")]
    pub submit_time: UnixNanos,
    /// The venue's time of acceptance, where the message that proved it has one.
    #[serde(rename = "venue_time_ns", skip_serializing_if = "Option::is_none")]
    pub venue_time: Option<UnixNanos>,
}

/// A part of an order was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderFilled {
    /// Local time at which the fill was received.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The venue's time of the fill.
    #[serde(rename = "venue_time_ns", skip_serializing_if = "Option::is_none")]
    pub venue_time: Option<UnixNanos>,
    /// The order.
    pub order: OrderInfo,
    /// The venue's trade id; with the pair and the order it names the fill.
    pub trade_id: TradeId,
    /// Price of this fill, quote per base.
    #[serde(serialize_with = "plain")]
    pub price: Decimal,
    /// Base amount of this fill alone.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// The fee of this fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<Fee>,
    /// Whether `fee` was computed from the account's rates because the venue did not tell it.
    pub fee_estimated: bool,
    /// Whether our order was the resting one, where the venue says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker: Option<bool>,
    /// Everything executed of the order, this fill included.
    pub executed: Executed,
    /// Whether the order's terminal event came before: the amounts told there are corrected by this event.
    pub late: bool,
}

/// The venue has told the fee of a fill whose fee was estimated: it replaces the estimate. It can come after the order's
/// terminal event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderFeeKnown {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// The venue's trade id, as in the fill's event.
    pub trade_id: TradeId,
    /// The fee charged.
    pub fee: Fee,
}

/// An order ended, completely filled. Terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderCompleted {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// Everything executed.
    pub executed: Executed,
}

/// An order ended cancelled; it may be partly filled. Terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderCancelled {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// What was executed before.
    pub executed: Executed,
    /// Whether we had asked for it. If not, the venue or the account's owner cancelled.
    pub requested: bool,
    /// Why, in the venue's words, or the evidence from which it was concluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<SmolStr>,
}

/// An order ended under its own terms (IOC, FOK, expiry time); it may be partly filled. Terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderExpired {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// What was executed before.
    pub executed: Executed,
    /// Why, in the venue's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<SmolStr>,
}

/// The venue has not taken the order: it is certainly not live, and nothing was executed. Terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderFailed {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// Why. Its effect is `NotSent` or `Rejected`, never `Unknown`.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// It is not known where an order stands; the connector is finding out. Not terminal: the order may be live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderUnknown {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// What made it uncertain.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// A cancel was refused, or given up after its bounded attempts: the order lives on. Not terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderCancelRefused {
    /// Local time of this event.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The order.
    pub order: OrderInfo,
    /// Why.
    #[serde(serialize_with = "shared")]
    pub error: Arc<Error>,
}

/// How far a link, or one channel on it, can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Being connected, logged in or subscribed.
    Connecting,
    /// Connected; what was missed is being fetched.
    Syncing,
    /// Proven to deliver.
    Live,
    /// Connected, but what should arrive does not.
    Stale,
    /// Not connected.
    Down,
}

/// One thing that has happened. Serialises with an `event` tag, decimals as strings, times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The venue has accepted an order.
    OrderCreated(OrderCreated),
    /// A part of an order was executed.
    OrderFilled(OrderFilled),
    /// The fee of a fill is known, in place of an estimate.
    OrderFeeKnown(OrderFeeKnown),
    /// An order ended, completely filled.
    OrderCompleted(OrderCompleted),
    /// An order ended cancelled.
    OrderCancelled(OrderCancelled),
    /// An order ended under its own terms.
    OrderExpired(OrderExpired),
    /// The venue has not taken an order.
    OrderFailed(OrderFailed),
    /// It is not known where an order stands.
    OrderUnknown(OrderUnknown),
    /// A cancel was refused and the order lives on.
    OrderCancelRefused(OrderCancelRefused),
    /// What the account holds of an asset has changed.
    BalanceChanged {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The asset.
        asset: Asset,
        /// Everything held, locked or not.
        #[serde(serialize_with = "plain")]
        total: Decimal,
        /// What can be spent on new orders, in the venue's words: orders on their way are not taken off.
        #[serde(serialize_with = "plain")]
        available: Decimal,
    },
    /// A position is another than before.
    PositionChanged(PositionChanged),
    /// What is announced of the next funding of a pair has changed.
    FundingChanged(FundingChanged),
    /// The account received or made a funding payment.
    FundingPaid(FundingPaid),
    /// The leverage of a pair is set.
    LeverageChanged(LeverageChanged),
    /// The leverage of a pair could not be set.
    LeverageRefused(LeverageRefused),
    /// What backs positions of a pair is set.
    MarginModeChanged(MarginModeChanged),
    /// What backs positions of a pair could not be set.
    MarginModeRefused(MarginModeRefused),
    /// The mode positions are held in is set.
    PositionModeChanged(PositionModeChanged),
    /// The mode positions are held in could not be set.
    PositionModeRefused(PositionModeRefused),
    /// A position is close to its liquidation.
    MarginCalled(MarginCalled),
    /// A pair's order book has been proven to be the venue's.
    BookLive {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The pair.
        pair: Pair,
    },
    /// A pair's order book can no longer be trusted; it is being fetched anew.
    BookStale {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The pair.
        pair: Pair,
        /// Why.
        reason: SmolStr,
    },
    /// A public trade was announced.
    Traded {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The pair.
        pair: Pair,
        /// The trade, with the venue's time.
        trade: Trade,
    },
    /// The venue announced a best price.
    BestPriceChanged {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The pair.
        pair: Pair,
        /// The prices, with the venue's time.
        best: BestPrice,
    },
    /// A link, or one channel on it, can be trusted more or less than before.
    LinkChanged {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The link's name.
        link: SmolStr,
        /// The channel; absent if this is about the whole link.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<SmolStr>,
        /// The pair, if the channel is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pair: Option<Pair>,
        /// What it is now.
        state: LinkState,
        /// Why, if there is more to say than the state does.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<SmolStr>,
    },
    /// The connector became ready to trade, or ceased to be.
    Ready {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// Whether it is ready now.
        ready: bool,
    },
    /// The venue's trading rules changed for these pairs, or were read for the first time.
    RulesChanged {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The rules that are new or different; shared, because a venue can have thousands.
        #[serde(serialize_with = "shared")]
        rules: Arc<Vec<TradingRule>>,
    },
    /// The venue no longer lists a pair that was followed: it is followed no more, and no order on it is taken. Its open
    /// orders end as the venue says.
    PairDelisted {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The pair.
        pair: Pair,
    },
    /// A rate limit is nearly used up.
    LimitWarning {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// The limit's pool.
        pool: SmolStr,
        /// What is used of it now, in the pool's unit.
        used: u64,
        /// The limit, in the same unit.
        limit: u64,
    },
    /// Something went wrong that concerns the user and is told nowhere else. Each cause is told once, not per message.
    Problem {
        /// Local time of this event.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
        /// What.
        #[serde(serialize_with = "shared")]
        error: Arc<Error>,
    },
}

impl Event {
    /// A problem, at a local time.
    #[must_use]
    pub fn problem(time: UnixNanos, error: Error) -> Self {
        Self::Problem { time, error: Arc::new(error) }
    }

    /// Local time of the event.
    #[must_use]
    pub const fn time(&self) -> UnixNanos {
        match self {
            Self::OrderCreated(e) => e.time,
            Self::OrderFilled(e) => e.time,
            Self::OrderFeeKnown(e) => e.time,
            Self::OrderCompleted(e) => e.time,
            Self::OrderCancelled(e) => e.time,
            Self::OrderExpired(e) => e.time,
            Self::OrderFailed(e) => e.time,
            Self::OrderUnknown(e) => e.time,
            Self::OrderCancelRefused(e) => e.time,
            Self::PositionChanged(e) => e.time,
            Self::FundingChanged(e) => e.time,
            Self::FundingPaid(e) => e.time,
            Self::LeverageChanged(e) => e.time,
            Self::LeverageRefused(e) => e.time,
            Self::MarginModeChanged(e) => e.time,
            Self::MarginModeRefused(e) => e.time,
            Self::PositionModeChanged(e) => e.time,
            Self::PositionModeRefused(e) => e.time,
            Self::MarginCalled(e) => e.time,
            Self::BalanceChanged { time, .. }
            | Self::BookLive { time, .. }
            | Self::BookStale { time, .. }
            | Self::Traded { time, .. }
            | Self::BestPriceChanged { time, .. }
            | Self::LinkChanged { time, .. }
            | Self::Ready { time, .. }
            | Self::RulesChanged { time, .. }
            | Self::PairDelisted { time, .. }
            | Self::LimitWarning { time, .. }
            | Self::Problem { time, .. } => *time,
        }
    }

    /// The order the event is about, if it is about one.
    #[must_use]
    pub const fn order(&self) -> Option<&OrderInfo> {
        match self {
            Self::OrderCreated(e) => Some(&e.order),
            Self::OrderFilled(e) => Some(&e.order),
            Self::OrderFeeKnown(e) => Some(&e.order),
            Self::OrderCompleted(e) => Some(&e.order),
            Self::OrderCancelled(e) => Some(&e.order),
            Self::OrderExpired(e) => Some(&e.order),
            Self::OrderFailed(e) => Some(&e.order),
            Self::OrderUnknown(e) => Some(&e.order),
            Self::OrderCancelRefused(e) => Some(&e.order),
            _ => None,
        }
    }

    /// Whether this is the terminal event of its order.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::OrderCompleted(_) | Self::OrderCancelled(_) | Self::OrderExpired(_) | Self::OrderFailed(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Effect};

    #[test]
    fn reads_as_flat_json() {
        let order = OrderInfo {
            pair: "BTC-USDT".parse().unwrap(),
            client_order_id: "c1".into(),
            exchange_order_id: None,
            side: Side::Buy,
            order_type: OrderType::LimitMaker,
            price: Some(Decimal::new(1_000, 1)),
            amount: Decimal::new(10, 1),
            action: None,
            leverage: None,
        };
        let error = Arc::new(Error::new(Cause::WouldTake, Effect::Rejected, "place order", "no"));
        let event = Event::OrderFailed(OrderFailed { time: UnixNanos(7), order, error });
        let json = serde_json::to_value(&event).unwrap();
        let expected = serde_json::json!({
            "event": "order_failed",
            "time_ns": 7,
            "order": {
                "pair": "BTC-USDT",
                "client_order_id": "c1",
                "side": "buy",
                "type": "limit_maker",
                "price": "100",
                "amount": "1",
            },
            "error": {
                "cause": "would_take",
                "effect": "rejected",
                "venue": "",
                "operation": "place order",
                "subject": null,
                "code": null,
                "message": "no",
            },
        });
        assert_eq!(json, expected);
        assert!(event.is_terminal() && event.order().is_some() && event.time() == UnixNanos(7));
    }
}
