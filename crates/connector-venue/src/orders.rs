//! Orders, executions and refusals as the embedded exchange keeps them.

use std::fmt;

use connector_core::Asset;
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::position::PositionSide;
use connector_core::time::UnixNanos;
use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

/// An account of the embedded exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The house account that rests orders for the live market.
    pub const HOUSE_MAKER: Self = Self(u32::MAX);
    /// The house account that takes liquidity for the live market.
    pub const HOUSE_TAKER: Self = Self(u32::MAX - 1);
    /// The insurance fund: takes over what a liquidation leaves, and keeps it.
    pub const INSURANCE: Self = Self(u32::MAX - 2);

    /// Whether the account is the exchange's own; its orders make no private news and keep no history.
    #[must_use]
    pub const fn is_house(self) -> bool {
        self.0 >= Self::INSURANCE.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.0)
    }
}

/// What to do when an order would trade with another order of its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SelfTrade {
    /// Let them trade.
    Allow,
    /// The resting order expires, the incoming one goes on.
    #[default]
    ExpireMaker,
    /// What is left of the incoming order expires.
    ExpireTaker,
    /// Both expire.
    ExpireBoth,
}

/// How much an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// In the base asset.
    Base(Decimal),
    /// In the quote asset; market orders only.
    Quote(Decimal),
}

/// An order as it arrives at the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submit {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// How long it may rest; ignored for market and post-only orders.
    pub time_in_force: TimeInForce,
    /// Limit price, quote per base; ignored for market orders.
    pub price: Option<Decimal>,
    /// How much.
    pub amount: Amount,
    /// The id the account gives it; made up by the exchange if absent.
    pub client_id: Option<SmolStr>,
    /// Self-trade prevention; the market's default if absent.
    pub self_trade: Option<SelfTrade>,
    /// The position it is for, on contracts: `Both` for the net position, else the leg.
    pub position_side: PositionSide,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
}

impl Submit {
    /// A limit order, good till cancelled.
    #[must_use]
    pub fn limit(symbol: impl AsRef<str>, side: Side, price: Decimal, amount: Decimal) -> Self {
        Self {
            symbol: SmolStr::new(symbol),
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            price: Some(price),
            amount: Amount::Base(amount),
            client_id: None,
            self_trade: None,
            position_side: PositionSide::Both,
            reduce_only: false,
        }
    }

    /// A post-only limit order.
    #[must_use]
    pub fn limit_maker(symbol: impl AsRef<str>, side: Side, price: Decimal, amount: Decimal) -> Self {
        Self { order_type: OrderType::LimitMaker, ..Self::limit(symbol, side, price, amount) }
    }

    /// A market order.
    #[must_use]
    pub fn market(symbol: impl AsRef<str>, side: Side, amount: Amount) -> Self {
        Self {
            order_type: OrderType::Market,
            price: None,
            amount,
            ..Self::limit(symbol, side, Decimal::ZERO, Decimal::ZERO)
        }
    }

    /// The same order with a client id.
    #[must_use]
    pub fn client_id(mut self, id: impl AsRef<str>) -> Self {
        self.client_id = Some(SmolStr::new(id));
        self
    }

    /// The same order for one leg of a hedged position.
    #[must_use]
    pub const fn position_side(mut self, side: PositionSide) -> Self {
        self.position_side = side;
        self
    }

    /// The same order, which may only make a position smaller.
    #[must_use]
    pub const fn reduce_only(mut self) -> Self {
        self.reduce_only = true;
        self
    }

    /// The same order with another time in force.
    #[must_use]
    pub const fn time_in_force(mut self, time_in_force: TimeInForce) -> Self {
        self.time_in_force = time_in_force;
        self
    }
}

/// Why an order ended without being filled completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// Its account cancelled it.
    Requested,
    /// Immediate or cancel: the rest found no counterparty.
    ImmediateOrCancel,
    /// Fill or kill: it could not be filled completely.
    FillOrKill,
    /// A market order found the book empty or too thin.
    NoLiquidity,
    /// Self-trade prevention.
    SelfTrade,
    /// The market was delisted.
    MarketClosed,
    /// The exchange removed it on its own account.
    Administrative,
    /// The position it was to reduce is gone, or orders with precedence reduce all of it.
    ReduceOnly,
    /// The account, or the position, was liquidated.
    Liquidated,
    /// The account was deleveraged on this market.
    Deleveraged,
    /// A post-only order was given a price at which it would have traded.
    WouldTake,
}

/// Where an order comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// Its account placed it.
    #[default]
    Account,
    /// The exchange closes a position for lack of margin.
    Liquidation,
    /// The exchange closes a position as counterparty of somebody's liquidation.
    Deleverage,
    /// The exchange closes positions of a delisted contract.
    Settlement,
}

/// An order's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// The exchange's id, unique over all markets, rising.
    pub id: u64,
    /// The account's id for it.
    pub client_id: SmolStr,
    /// Whose it is.
    pub account: AccountId,
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Time in force.
    pub time_in_force: TimeInForce,
    /// Limit price; absent for market orders.
    pub price: Option<Decimal>,
    /// Base amount asked for. A market order by quote amount has what was executed here once it has ended.
    pub amount: Decimal,
    /// Quote amount asked for, of market orders by quote amount.
    pub quote_amount: Option<Decimal>,
    /// Base amount executed.
    pub filled: Decimal,
    /// Quote amount executed.
    pub filled_quote: Decimal,
    /// One of `Open`, `PartiallyFilled`, `Filled`, `Cancelled`, `Expired`.
    pub state: OrderState,
    /// Why it ended unfilled, if it did.
    pub reason: Option<EndReason>,
    /// Self-trade prevention in effect.
    pub self_trade: SelfTrade,
    /// Asset and amount locked for it now.
    pub locked: Decimal,
    /// When it was accepted.
    pub created: UnixNanos,
    /// When it last changed.
    pub updated: UnixNanos,
    /// When it came to rest on the book; absent if it never did.
    pub working_since: Option<UnixNanos>,
    /// The position it is for, on contracts: `Both` for the net position, else the leg.
    pub position_side: PositionSide,
    /// Whether it was asked to make a position smaller only. See [`Order::reduces`].
    pub reduce_only: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Order {
    /// Base amount not executed.
    #[must_use]
    pub fn remaining(&self) -> Decimal {
        self.amount - self.filled
    }

    /// Whether it can only make a position smaller: it says so, or it closes a leg.
    #[must_use]
    pub const fn reduces(&self) -> bool {
        self.reduce_only || closes_leg(self.position_side, self.side)
    }

    /// Whether it rests on the book.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.state.is_terminal()
    }
}

/// Whether orders of this side close this leg.
pub(crate) const fn closes_leg(leg: PositionSide, side: Side) -> bool {
    matches!((leg, side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy))
}

/// One order's part of a trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// The trade's id, rising within a market; both sides of a trade have the same.
    pub trade_id: u64,
    /// Unique over all executions of the exchange.
    pub execution_id: u64,
    /// The order.
    pub order_id: u64,
    /// The account's id for the order.
    pub client_id: SmolStr,
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// The order's side.
    pub side: Side,
    /// Quote per base.
    pub price: Decimal,
    /// Base amount.
    pub amount: Decimal,
    /// Price × amount.
    pub quote: Decimal,
    /// Fee charged; negative = rebate.
    pub commission: Decimal,
    /// The asset of the fee.
    pub commission_asset: Asset,
    /// Whether the order was the resting one.
    pub is_maker: bool,
    /// When.
    pub time: UnixNanos,
    /// The other order.
    pub counter_order_id: u64,
    /// The other account.
    pub counter_account: AccountId,
    /// The position it changed, on contracts.
    pub position_side: PositionSide,
    /// Profit made by closing, before fees, in the collateral asset; zero on spot markets.
    pub realised_pnl: Decimal,
}

impl Execution {
    /// Whether the order bought.
    #[must_use]
    pub const fn is_buyer(&self) -> bool {
        matches!(self.side, Side::Buy)
    }
}

/// What became of an accepted order at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The order after matching. A FOK or market order without counterparty is `Expired` here, not refused.
    pub order: Order,
    /// Its executions, in order.
    pub executions: Vec<Execution>,
}

/// Which order is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the exchange's id.
    Id(u64),
    /// By the account's id: the latest order that had it.
    Client(SmolStr),
}

/// A trading rule an order can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Price outside its bounds or not on the tick.
    PriceFilter,
    /// Price too far from the market's.
    PercentPrice,
    /// Amount outside its bounds or not on the step.
    LotSize,
    /// Amount of a market order above its bound.
    MarketLotSize,
    /// Price × amount too small.
    MinNotional,
    /// Too many open orders of the account on the market.
    MaxOpenOrders,
}

/// Why the exchange refused a request. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reject {
    /// Not enough free balance.
    #[error("insufficient balance")]
    InsufficientBalance,
    /// A post-only order would have traded at once.
    #[error("the order would trade at once")]
    WouldTake,
    /// No live order of this account and market has that id.
    #[error("unknown order")]
    UnknownOrder,
    /// A live order of this account and market has this client id.
    #[error("duplicate client id")]
    DuplicateClientId,
    /// No such market.
    #[error("unknown market")]
    UnknownMarket,
    /// No such account.
    #[error("unknown account")]
    UnknownAccount,
    /// The market does not trade now.
    #[error("the market is closed")]
    MarketClosed,
    /// A trading rule is broken.
    #[error("trading rule broken: {0:?}")]
    Rule(Rule),
    /// The market does not take this type of order, or not in this form (a limit order by quote amount, say).
    #[error("order type not supported here")]
    UnsupportedType,
    /// A limit order without price.
    #[error("price missing")]
    PriceMissing,
    /// A fill-or-kill order that cannot be filled, where the market refuses those.
    #[error("the order cannot be filled completely")]
    WouldNotFill,
    /// The market is no perpetual contract.
    #[error("the market is no contract")]
    NoContract,
    /// Not enough margin.
    #[error("insufficient margin")]
    InsufficientMargin,
    /// A reduce-only order, or one that closes a leg, that would not only reduce.
    #[error("the order would not only reduce the position")]
    NotReducing,
    /// A leg in one-way mode, none in hedge mode, or reduce-only in hedge mode.
    #[error("the order's position side does not fit the position mode")]
    PositionSide,
    /// The position would be larger than its leverage allows.
    #[error("the position would be too large for its leverage")]
    PositionLimit,
    /// The contract does not allow such a leverage.
    #[error("leverage out of range")]
    LeverageOutOfRange,
    /// The leverage of an isolated position cannot be lowered.
    #[error("the leverage of an isolated position cannot be lowered")]
    IsolatedLeverage,
    /// The setting is what it was asked to be.
    #[error("nothing to change")]
    NoChange,
    /// Open orders are in the way.
    #[error("there are open orders")]
    HasOrders,
    /// A position is in the way.
    #[error("there is a position")]
    HasPosition,
    /// There is no such position.
    #[error("there is no position")]
    NoPosition,
    /// Isolated margin and multi-assets margin exclude each other.
    #[error("isolated margin and multi-assets margin exclude each other")]
    MultiAssets,
    /// The account has no live listen key, or keeping it alive is refused.
    #[error("unknown listen key")]
    UnknownListenKey,
}
