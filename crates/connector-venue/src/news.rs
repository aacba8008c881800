//! What the exchange tells the world after each change, for a face to turn into stream messages.

use connector_core::Asset;
use connector_core::message::Level;
use connector_core::order::Side;
use connector_core::position::PositionMode;
use connector_core::time::UnixNanos;
use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::ledger::Balance;
use crate::orders::{AccountId, Execution, Order, Reject};
use crate::perpetual::{
    AccountCause, FundingRate, Income, LiquidationView, MarkPrice, PositionView, WalletChange,
};

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// Accepted.
    New,
    /// Executed, partly or completely.
    Trade(Execution),
    /// Cancelled by its account; `cancel_id` is the cancel request's own client id.
    Cancelled {
        /// The client id the cancel request carries, given or made up.
        cancel_id: SmolStr,
    },
    /// Ended by the exchange; [`Order::reason`] says why.
    Expired,
    /// Refused. Only told if [`Setup::announce_rejections`](crate::setup::Setup::announce_rejections) is set.
    Rejected(Reject),
    /// Its amount was reduced and its place in the queue kept.
    Replaced,
    /// Its price or amount was changed and its place in the queue lost.
    Modified,
}

/// Why balances changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceCause {
    /// An order was placed, executed or ended.
    Order,
    /// Money moved from or to outside the exchange.
    Transfer,
}

/// A public trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicTrade {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Rising by one within the market.
    pub id: u64,
    /// Quote per base.
    pub price: Decimal,
    /// Base amount.
    pub amount: Decimal,
    /// The buying order.
    pub buyer_order_id: u64,
    /// The selling order.
    pub seller_order_id: u64,
    /// Whether the buying order was the resting one.
    pub is_buyer_maker: bool,
    /// When.
    pub time: UnixNanos,
}

impl PublicTrade {
    /// The side of the order that took liquidity.
    #[must_use]
    pub const fn taker_side(&self) -> Side {
        if self.is_buyer_maker { Side::Sell } else { Side::Buy }
    }
}

/// Changed levels of one book since the last [`News::Book`] of it.
///
/// Shape: amounts are absolute, zero = level gone; bids fall, asks rise. `first_id == prev_last_id + 1`, so consecutive
/// changes leave no gap; `last_id` is comparable with [`Depth::last_id`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BookChange {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Changed bids.
    pub bids: Vec<Level>,
    /// Changed asks.
    pub asks: Vec<Level>,
    /// First update id covered.
    pub first_id: u64,
    /// Last update id covered.
    pub last_id: u64,
    /// `last_id` of the change before this one.
    pub prev_last_id: u64,
}

/// A book to some depth, best levels first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// The book's update id at this moment; zero if nothing ever changed.
    pub last_id: u64,
    /// Falling prices.
    pub bids: Vec<Level>,
    /// Rising prices.
    pub asks: Vec<Level>,
}

/// The best bid and ask; a side without orders is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Best {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// The book's update id at this moment.
    pub id: u64,
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
}

/// One change. Shape: in the order in which a venue sends them; within one request first all order news, then one
/// balance news per account touched, then public trades, then the best prices. On contracts there is no balance news: each
/// fill is told as [`News::Account`] and then as [`News::Order`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum News {
    /// An order of an account changed.
    Order {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The order after this very change (before later executions of the same request).
        order: Box<Order>,
        /// What happened.
        what: What,
    },
    /// Balances of an account after a request, absolute.
    Balances {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// Every asset the request may have changed.
        balances: Vec<(Asset, Balance)>,
        /// Why.
        cause: BalanceCause,
    },
    /// Money came in (positive) or went out (negative); followed by its [`News::Balances`].
    Deposit {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The asset.
        asset: Asset,
        /// The difference.
        amount: Decimal,
    },
    /// Levels changed; told at the end of each [`Setup::book_interval`](crate::setup::Setup::book_interval).
    Book {
        /// When.
        time: UnixNanos,
        /// The changes.
        change: BookChange,
    },
    /// The top of a book changed.
    Best {
        /// When.
        time: UnixNanos,
        /// The new top.
        best: Best,
    },
    /// A public trade.
    Trade(PublicTrade),
    /// A market was listed, halted, resumed or delisted, or its rules changed.
    Market {
        /// When.
        time: UnixNanos,
        /// The venue's symbol.
        symbol: SmolStr,
    },
    /// A wallet or positions of an account changed.
    Account {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// Why.
        cause: AccountCause,
        /// The market it is about, if it is about one.
        symbol: Option<SmolStr>,
        /// Wallets that changed, absolute.
        balances: Vec<WalletChange>,
        /// Positions that changed, absolute; a funding of a position held with cross margin changes the wallet alone.
        positions: Vec<PositionView>,
    },
    /// A funding payment of an account; follows its [`News::Account`].
    Funding {
        /// Whose.
        account: AccountId,
        /// The payment, of kind [`IncomeKind::Funding`](crate::perpetual::IncomeKind::Funding).
        payment: Income,
    },
    /// A funding was settled; precedes the accounts' payments.
    FundingRate(FundingRate),
    /// Prices of a contract; told every
    /// [`PerpetualSetup::mark_interval`](crate::perpetual::PerpetualSetup::mark_interval) and whenever one is set.
    Mark(MarkPrice),
    /// An account's leverage of a market changed, or was set to what it was.
    Leverage {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The venue's symbol.
        symbol: SmolStr,
        /// Notional ÷ initial margin.
        leverage: Decimal,
    },
    /// An account's position mode changed.
    PositionMode {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The mode.
        mode: PositionMode,
    },
    /// An account's multi-assets margin was switched.
    MultiAssets {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// Whether it is on.
        enabled: bool,
    },
    /// Positions are near their liquidation; told once until the margin has recovered.
    MarginCall {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The cross wallet, if positions with cross margin are among them.
        cross_wallet: Option<Decimal>,
        /// The positions.
        positions: Vec<PositionView>,
    },
    /// A position was liquidated, for the public.
    Liquidation(LiquidationView),
    /// A listen key ended: it was closed, expired or was withdrawn.
    ListenKeyExpired {
        /// When.
        time: UnixNanos,
        /// Whose.
        account: AccountId,
        /// The key.
        key: SmolStr,
    },
}
