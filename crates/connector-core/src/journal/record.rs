//! What is written down: intents, status changes, fills and funding payments, in the words of the events.

use rust_decimal::Decimal;
use smol_str::SmolStr;

use crate::event::{self, Event, Executed, OrderFilled, OrderInfo};
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::{Fee, Fill, FundingPaid, Market};
use crate::order::{NewOrder, Side};
use crate::pair::{Asset, Pair};
use crate::time::UnixNanos;

/// A record with its place in the run that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 within a run, without gaps. A journal that is given the same number again has the record already.
    pub sequence: u64,
    /// What happened.
    pub record: Record,
}

/// One thing that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// An order is about to be placed.
    Intent(Intent),
    /// Where an order stands has changed.
    Status(StatusChange),
    /// A part of an order was executed. Recorded again if the fee becomes known later.
    Fill(OwnFill),
    /// A funding payment of a perpetual position.
    Funding(FundingPayment),
}

/// An order as it will be sent, before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Local time.
    pub time: UnixNanos,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The order, quantised.
    pub order: NewOrder,
}

/// Where an order stands, as the journal knows it. Terminal ones are never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Written down, not yet heard of from the venue.
    Submitted,
    /// Accepted by the venue.
    Created,
    /// A part was executed.
    PartlyFilled,
    /// Its outcome is not known.
    Unknown,
    /// Somebody here wants it cancelled.
    CancelRequested,
    /// The cancel was refused; the order lives on.
    CancelRefused,
    /// Terminal: completely filled.
    Completed,
    /// Terminal: cancelled.
    Cancelled,
    /// Terminal: ended under its own terms.
    Expired,
    /// Terminal: never accepted.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Submitted,
        Self::Created,
        Self::PartlyFilled,
        Self::Unknown,
        Self::CancelRequested,
        Self::CancelRefused,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
        Self::Failed,
    ];

    /// Whether the order has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired | Self::Failed)
    }

    /// The word it is stored and exported as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Created => "created",
            Self::PartlyFilled => "partly_filled",
            Self::Unknown => "unknown",
            Self::CancelRequested => "cancel_requested",
            Self::CancelRefused => "cancel_refused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The status with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A step in an order's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// Local time.
    pub time: UnixNanos,
    /// The venue's time, where it told one.
    pub venue_time: Option<UnixNanos>,
    /// The pair.
    pub pair: Pair,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The venue's id, once it is known.
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// The new status.
    pub status: Status,
    /// Everything executed of the order, where the step says so.
    pub executed: Option<Executed>,
    /// Why, for people.
    pub detail: Option<String>,
}

/// An execution of one of our orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFill {
    /// Local time at which it was learnt.
    pub time: UnixNanos,
    /// The venue's time of the trade.
    pub venue_time: Option<UnixNanos>,
    /// The pair.
    pub pair: Pair,
    /// Our id of the order.
    pub client_order_id: ClientOrderId,
    /// The venue's id of the order.
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// The venue's id of the trade; with pair and order it names the fill (a trade with oneself has two).
    pub trade_id: TradeId,
    /// Buy or sell.
    pub side: Side,
    /// Quote per base.
    pub price: Decimal,
    /// Base amount of this fill alone.
    pub amount: Decimal,
    /// The fee, once it is known; negative = a rebate.
    pub fee: Option<Fee>,
    /// Whether the fee was computed from the account's rates.
    pub fee_estimated: bool,
    /// Whether our order was the resting one.
    pub maker: Option<bool>,
}

impl OwnFill {
    /// When the trade happened: the venue's time, or ours where it told none.
    #[must_use]
    pub fn traded_at(&self) -> UnixNanos {
        self.venue_time.unwrap_or(self.time)
    }

    /// The fill as a tracker takes it.
    #[must_use]
    pub fn as_fill(&self) -> Fill {
        Fill {
            market: Market::Pair(self.pair.clone()),
            client_order_id: Some(self.client_order_id.clone()),
            exchange_order_id: self.exchange_order_id.clone(),
            trade_id: self.trade_id.clone(),
            side: self.side,
            price: self.price,
            amount: self.amount,
            fee: self.fee.clone(),
            maker: self.maker,
            position_side: None,
            cause: None,
            time: self.venue_time,
        }
    }
}

impl From<&OrderFilled> for OwnFill {
    fn from(event: &OrderFilled) -> Self {
        Self {
            time: event.time,
            venue_time: event.venue_time,
            pair: event.order.pair.clone(),
            client_order_id: event.order.client_order_id.clone(),
            exchange_order_id: event.order.exchange_order_id.clone(),
            trade_id: event.trade_id.clone(),
            side: event.order.side,
            price: event.price,
            amount: event.amount,
            fee: event.fee.clone(),
            fee_estimated: event.fee_estimated,
            maker: event.maker,
        }
    }
}

/// A payment between long and short positions of a perpetual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingPayment {
    /// The venue's time of the payment; with the pair and the id it names the payment.
    pub time: UnixNanos,
    /// The pair.
    pub pair: Pair,
    /// What it was paid in.
    pub asset: Asset,
    /// Positive = received, negative = paid.
    pub amount: Decimal,
    /// The rate, as a fraction of the position's value, where the venue tells it.
    pub rate: Option<Decimal>,
    /// The venue's id, where it has one: both legs of a hedged position are paid for at one time.
    pub payment_id: Option<SmolStr>,
}

impl FundingPayment {
    /// What the venue told. `None` if its market is not mapped.
    #[must_use]
    pub fn of(paid: &FundingPaid) -> Option<Self> {
        Some(Self {
            time: paid.time,
            pair: paid.market.pair()?.clone(),
            asset: paid.asset.clone(),
            amount: paid.amount,
            rate: paid.rate,
            payment_id: paid.payment_id.clone(),
        })
    }
}

impl From<&event::FundingPaid> for FundingPayment {
    fn from(event: &event::FundingPaid) -> Self {
        Self {
            time: event.venue_time,
            pair: event.pair.clone(),
            asset: event.asset.clone(),
            amount: event.amount,
            rate: event.rate,
            payment_id: event.payment_id.clone(),
        }
    }
}

/// What an event adds to the journal; nothing for events that are not about orders or payments.
#[must_use]
pub fn records(event: &Event) -> Vec<Record> {
    let step = |order: &OrderInfo, status| StatusChange {
        time: event.time(),
        venue_time: None,
        pair: order.pair.clone(),
        client_order_id: order.client_order_id.clone(),
        exchange_order_id: order.exchange_order_id.clone(),
        status,
        executed: None,
        detail: None,
    };
    let change = match event {
        Event::OrderCreated(e) => {
            StatusChange { venue_time: e.venue_time, ..step(&e.order, Status::Created) }
        }
        Event::OrderFilled(e) => {
            let executed = Some(e.executed);
            let change =
                StatusChange { venue_time: e.venue_time, executed, ..step(&e.order, Status::PartlyFilled) };
            return vec![Record::Fill(OwnFill::from(e)), Record::Status(change)];
        }
        Event::OrderCompleted(e) => {
            StatusChange { executed: Some(e.executed), ..step(&e.order, Status::Completed) }
        }
        Event::OrderCancelled(e) => StatusChange {
            executed: Some(e.executed),
            detail: e.reason.as_ref().map(ToString::to_string),
            ..step(&e.order, Status::Cancelled)
        },
        Event::OrderExpired(e) => StatusChange {
            executed: Some(e.executed),
            detail: e.reason.as_ref().map(ToString::to_string),
            ..step(&e.order, Status::Expired)
        },
        Event::OrderFailed(e) => {
            StatusChange { detail: Some(e.error.to_string()), ..step(&e.order, Status::Failed) }
        }
        Event::OrderUnknown(e) => {
            StatusChange { detail: Some(e.error.to_string()), ..step(&e.order, Status::Unknown) }
        }
        Event::OrderCancelRefused(e) => {
            StatusChange { detail: Some(e.error.to_string()), ..step(&e.order, Status::CancelRefused) }
        }
        Event::FundingPaid(e) => return vec![Record::Funding(FundingPayment::from(e))],
        _ => return Vec::new(),
    };
    vec![Record::Status(change)]
}
