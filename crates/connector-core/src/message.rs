//! What a venue said, in neutral words: the result of decoding one payload, before any state is applied.
//!
//! The JSON form (`event` tag, snake case, decimals as strings, times in nanoseconds) is the one `xtask decode` prints.

mod perpetual;

use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::error::{Cause, Effect};
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::number::{serialize_plain as plain, serialize_plain_option as plain_option};
use crate::order::{OrderState, OrderType, Side};
use crate::pair::{Asset, Pair};
use crate::position::{PositionCause, PositionSide};
use crate::time::UnixNanos;

pub use perpetual::{
    FundingInfo, FundingPaid, LeverageBracket, LeverageBrackets, LeverageReport, MarginCall,
    PositionModeReport, PositionReport, StreamKey,
};

/// The market a message is about: our pair, or the venue's symbol while the symbol map does not know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Market {
    /// A mapped pair.
    #[serde(rename = "pair")]
    Pair(Pair),
    /// The venue's own symbol.
    #[serde(rename = "exchange_symbol")]
    Symbol(SmolStr),
}

impl Market {
    /// The pair, if the symbol is mapped.
    #[must_use]
    pub const fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Pair(pair) => Some(pair),
            Self::Symbol(_) => None,
        }
    }
}

/// One price level. In a diff an amount of zero removes the level. Serialised as `[price, amount]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Quote per base.
    pub price: Decimal,
    /// Base amount resting at the price.
    pub amount: Decimal,
}

impl Serialize for Level {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&self.price.normalize().to_string())?;
        pair.serialize_element(&self.amount.normalize().to_string())?;
        pair.end()
    }
}

/// An order book message. Borrowed, so that a hot path can reuse its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookMessage<'a> {
    /// Whether this replaces the book or changes it.
    pub snapshot: bool,
    /// The market.
    pub market: &'a Market,
    /// Bids: best first in snapshots, any order in diffs.
    pub bids: &'a [Level],
    /// Asks: best first in snapshots, any order in diffs.
    pub asks: &'a [Level],
    /// First update id covered, where the venue sends a range.
    pub first_id: Option<u64>,
    /// Last update id covered.
    pub last_id: Option<u64>,
    /// Last update id of the message before this one, where the venue links its messages.
    pub prev_id: Option<u64>,
    /// The venue's time.
    pub time: Option<UnixNanos>,
}

impl<'a> BookMessage<'a> {
    /// A complete book without ids and time.
    #[must_use]
    pub const fn snapshot(market: &'a Market, bids: &'a [Level], asks: &'a [Level]) -> Self {
        Self { snapshot: true, market, bids, asks, first_id: None, last_id: None, prev_id: None, time: None }
    }

    /// Changed levels without ids and time.
    #[must_use]
    pub const fn diff(market: &'a Market, bids: &'a [Level], asks: &'a [Level]) -> Self {
        Self { snapshot: false, ..Self::snapshot(market, bids, asks) }
    }

    /// The same message with its own memory.
    #[must_use]
    pub fn to_owned(self) -> BookUpdate {
        BookUpdate {
            market: self.market.clone(),
            bids: self.bids.to_vec(),
            asks: self.asks.to_vec(),
            first_id: self.first_id,
            last_id: self.last_id,
            prev_id: self.prev_id,
            time: self.time,
        }
    }
}

/// An order book message that owns its levels. See [`BookMessage`] for the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "documented on BookMessage")]
pub struct BookUpdate {
    #[serde(flatten)]
    pub market: Market,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_id: Option<u64>,
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

impl BookUpdate {
    /// The same message, borrowed.
    #[must_use]
    pub fn as_message(&self, snapshot: bool) -> BookMessage<'_> {
        BookMessage {
            snapshot,
            market: &self.market,
            bids: &self.bids,
            asks: &self.asks,
            first_id: self.first_id,
            last_id: self.last_id,
            prev_id: self.prev_id,
            time: self.time,
        }
    }
}

/// The best bid and ask, as the venue announces them. A side that is empty is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BestPrice {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// Best bid price.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub bid: Option<Decimal>,
    /// Base amount at the best bid.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub bid_amount: Option<Decimal>,
    /// Best ask price.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub ask: Option<Decimal>,
    /// Base amount at the best ask.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub ask_amount: Option<Decimal>,
    /// The book's update id at this moment, comparable with [`BookMessage::last_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The venue's time.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// A public trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trade {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// The venue's trade id.
    pub trade_id: TradeId,
    /// Quote per base.
    #[serde(serialize_with = "plain")]
    pub price: Decimal,
    /// Base amount.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// The side of the order that took liquidity.
    pub taker_side: Side,
    /// The venue's time of the trade.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// What the venue says of one of the account's orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderReport {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// The id the order was placed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_order_id: Option<ClientOrderId>,
    /// The venue's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// Where the order stands. [`OrderState::Unknown`] if the venue's word for it is new to us: query and report.
    pub state: OrderState,
    /// Buy or sell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub order_type: Option<OrderType>,
    /// Limit price; absent for market orders.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// Base amount asked for.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// Base amount executed so far: cumulative, never a delta.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub filled_amount: Option<Decimal>,
    /// Why the order ended, in the venue's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The venue's time of this state.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// An amount of an asset charged as a fee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fee {
    /// The asset it is charged in.
    pub asset: Asset,
    /// Positive = paid by us; negative = a rebate.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
}

/// One execution of one of the account's orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// The id the order was placed with, where the message has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_order_id: Option<ClientOrderId>,
    /// The venue's order id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// The venue's trade id; with the market it names the fill.
    pub trade_id: TradeId,
    /// Buy or sell.
    pub side: Side,
    /// Quote per base.
    #[serde(serialize_with = "plain")]
    pub price: Decimal,
    /// Base amount of this fill alone.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// The fee charged; absent if the message does not carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<Fee>,
    /// Whether our order was the resting one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker: Option<bool>,
    /// The leg of a hedged position it changed; [`PositionSide::Both`] for a net position; absent for spot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_side: Option<PositionSide>,
    /// Why it was traded, if not for an order of the account: liquidation, for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<PositionCause>,
    /// The venue's time of the trade.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// What the account holds of an asset. An amount the message does not carry is absent and unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceReport {
    /// The asset.
    pub asset: Asset,
    /// Everything held, locked or not.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub total: Option<Decimal>,
    /// What can be spent on new orders.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub available: Option<Decimal>,
    /// The venue's time.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// What orders of a pair must obey. An absent bound does not exist at the venue. Amounts are in the base asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TradingRule {
    /// The pair.
    pub pair: Pair,
    /// The venue's symbol.
    pub exchange_symbol: SmolStr,
    /// Least base amount of an order.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Decimal>,
    /// Largest base amount of an order.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub max_amount: Option<Decimal>,
    /// Amounts are whole multiples of this.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub amount_step: Option<Decimal>,
    /// Prices are whole multiples of this (tick size).
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub price_step: Option<Decimal>,
    /// Least price.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub min_price: Option<Decimal>,
    /// Highest price.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Decimal>,
    /// Least price × amount, in the quote asset.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub min_notional: Option<Decimal>,
    /// Base amount of one contract, where the venue counts in contracts. The amounts here are in the base asset all the same.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub contract_size: Option<Decimal>,
    /// The asset that margin, profit and fees of a perpetual contract are in; absent for spot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collateral: Option<Asset>,
    /// Whether the pair can be traded now.
    pub tradable: bool,
}

/// The fees of an account on a market, as fractions of the traded value (0.001 = 0.1 %).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeeRates {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// When our order rested.
    #[serde(serialize_with = "plain")]
    pub maker: Decimal,
    /// When our order took.
    #[serde(serialize_with = "plain")]
    pub taker: Decimal,
}

/// What a session message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionKind {
    /// A subscription request was accepted.
    Subscribed,
    /// An unsubscription was accepted.
    Unsubscribed,
    /// A login, or a subscription that carries its own signature, was accepted.
    Login,
    /// The session's credential has ended: private messages stop.
    Expired,
    /// The venue is about to close the connection.
    Closing,
    /// An answer to a heartbeat.
    Pong,
    /// Sent for information only.
    Notice,
}

/// A message about the connection itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// What happened.
    pub kind: SessionKind,
    /// The id of the request this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Whatever else identifies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<SmolStr>,
}

/// The venue said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The id of the stream request this answers, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The venue's code, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<SmolStr>,
    /// The venue's text, verbatim.
    pub message: String,
    /// What may have happened.
    pub effect: Effect,
    /// The same in neutral words.
    pub cause: Cause,
}

/// One neutral message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Message {
    /// A complete book to the depth asked for.
    BookSnapshot(BookUpdate),
    /// Changed levels of a book.
    BookDiff(BookUpdate),
    /// Best bid and ask.
    BestPrice(BestPrice),
    /// A public trade.
    Trade(Trade),
    /// The state of an own order.
    Order(OrderReport),
    /// An own execution.
    Fill(Fill),
    /// An own balance.
    Balance(BalanceReport),
    /// A pair's rule; several make up the symbol map.
    TradingRule(TradingRule),
    /// The last traded price of a market.
    LastPrice {
        /// The market.
        #[serde(flatten)]
        market: Market,
        /// Quote per base.
        #[serde(serialize_with = "plain")]
        price: Decimal,
    },
    /// The venue's clock.
    ServerTime {
        /// Its time.
        #[serde(rename = "time_ns")]
        time: UnixNanos,
    },
    /// The account's fees.
    Fees(FeeRates),
    /// An own position.
    Position(PositionReport),
    /// The next funding of a contract.
    FundingInfo(FundingInfo),
    /// A funding payment of an own position.
    FundingPayment(FundingPaid),
    /// The leverage of a market.
    Leverage(LeverageReport),
    /// What positions of a market must be backed by.
    LeverageBrackets(LeverageBrackets),
    /// The mode positions are held in.
    PositionMode(PositionModeReport),
    /// A position is close to its liquidation.
    MarginCall(MarginCall),
    /// The key of a private stream. Shown as a session message of kind `listen_key`.
    #[serde(rename = "session")]
    StreamKey(StreamKey),
    /// About the connection.
    Session(Session),
    /// A refusal.
    Refusal(Refusal),
    /// One entry of a list could not be read and was skipped; the rest was kept.
    Skipped {
        /// What was skipped and why.
        error: String,
    },
}

/// Receives what a decoder finds, in the payload's order. The three hot kinds come unboxed.
pub trait Sink {
    /// An order book message.
    fn book(&mut self, message: BookMessage<'_>);
    /// A best-price message.
    fn best_price(&mut self, message: BestPrice);
    /// A public trade.
    fn trade(&mut self, message: Trade);
    /// Anything else.
    fn message(&mut self, message: Message);
}

/// Collects messages: for cold paths, tools and tests.
impl Sink for Vec<Message> {
    fn book(&mut self, message: BookMessage<'_>) {
        let update = message.to_owned();
        self.push(if message.snapshot { Message::BookSnapshot(update) } else { Message::BookDiff(update) });
    }

    fn best_price(&mut self, message: BestPrice) {
        self.push(Message::BestPrice(message));
    }

    fn trade(&mut self, message: Trade) {
        self.push(Message::Trade(message));
    }

    fn message(&mut self, message: Message) {
        self.push(message);
    }
}
