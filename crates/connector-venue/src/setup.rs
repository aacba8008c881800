//! What an embedded exchange starts with.

use std::time::Duration;

use connector_core::Asset;
use connector_core::dialect::Pool;
use connector_core::order::OrderType;
use connector_core::time::UnixNanos;
use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::keys::ApiKey;
use crate::limits::{Escalation, OrderCountPolicy};
use crate::orders::{AccountId, SelfTrade};
use crate::perpetual::{ContractSetup, PerpetualSetup};

/// What orders of a market must obey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Prices are whole multiples of this.
    pub tick: Decimal,
    /// Least price.
    pub min_price: Decimal,
    /// Highest price.
    pub max_price: Decimal,
    /// Base amounts are whole multiples of this.
    pub step: Decimal,
    /// Least base amount.
    pub min_amount: Decimal,
    /// Largest base amount.
    pub max_amount: Decimal,
    /// Largest base amount of a market order.
    pub market_max_amount: Option<Decimal>,
    /// Least price × amount.
    pub min_notional: Decimal,
    /// Lowest and highest price allowed, as multiples of the last price.
    pub percent_price: Option<(Decimal, Decimal)>,
    /// Open orders one account may have on the market.
    pub max_open_orders: Option<usize>,
    /// Types of order taken.
    pub order_types: Vec<OrderType>,
}

impl Rules {
    /// Wide bounds around a tick, a step and a least notional.
    #[must_use]
    pub fn new(tick: Decimal, step: Decimal, min_notional: Decimal) -> Self {
        Self {
            tick,
            min_price: tick,
            max_price: tick * Decimal::from(1_000_000_000),
            step,
            min_amount: step,
            max_amount: step * Decimal::from(1_000_000_000),
            market_max_amount: None,
            min_notional,
            percent_price: None,
            max_open_orders: Some(200),
            order_types: vec![OrderType::Limit, OrderType::LimitMaker, OrderType::Market],
        }
    }
}

/// Whether a market trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MarketStatus {
    /// Orders are taken.
    #[default]
    Trading,
    /// Orders are refused, cancels are taken, open orders stay.
    Halted,
    /// The market is gone: its open orders have been expired and its symbol is unknown.
    Delisted,
}

/// A market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketSetup {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// What is bought and sold.
    pub base: Asset,
    /// What prices are expressed in.
    pub quote: Asset,
    /// The rules.
    pub rules: Rules,
    /// The price the live market moves around, and the last price until there is a trade.
    pub reference_price: Decimal,
    /// Whether it trades.
    pub status: MarketStatus,
    /// Self-trade prevention where an order asks for none in particular.
    pub self_trade: SelfTrade,
    /// The live market; `None` leaves the book to the accounts alone.
    pub live: Option<Liveliness>,
    /// What makes it a perpetual contract; `None` for a spot market.
    pub contract: Option<ContractSetup>,
}

impl MarketSetup {
    /// A market without a life of its own, with symbol `base` + `quote`.
    #[must_use]
    pub fn new(base: &str, quote: &str, rules: Rules, reference_price: Decimal) -> Self {
        Self {
            symbol: smol_str::format_smolstr!("{base}{quote}"),
            base: Asset::new(base),
            quote: Asset::new(quote),
            rules,
            reference_price,
            status: MarketStatus::Trading,
            self_trade: SelfTrade::default(),
            live: None,
            contract: None,
        }
    }

    /// The same market under another symbol.
    #[must_use]
    pub fn symbol(mut self, symbol: impl AsRef<str>) -> Self {
        self.symbol = SmolStr::new(symbol);
        self
    }

    /// The same market with a life of its own.
    #[must_use]
    pub const fn live(mut self, live: Liveliness) -> Self {
        self.live = Some(live);
        self
    }

    /// The same market as a perpetual contract.
    #[must_use]
    pub fn perpetual(mut self, contract: ContractSetup) -> Self {
        self.contract = Some(contract);
        self
    }
}

/// Fee rates in millionths of the traded value (1000 = 0.1 %); negative = rebate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fees {
    /// For the resting order.
    pub maker_ppm: i64,
    /// For the taking order.
    pub taker_ppm: i64,
}

/// Pays fees in a third asset while there is enough of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeeAsset {
    /// The asset fees are paid in.
    pub asset: Asset,
    /// How much of another asset one unit of it is worth, for each asset it can stand for.
    pub worth: Vec<(Asset, Decimal)>,
    /// Discount in millionths of the fee (250000 = a quarter off).
    pub discount_ppm: i64,
}

/// An account.
#[derive(Clone, Debug)]
pub struct AccountSetup {
    /// Its id; below [`AccountId::INSURANCE`].
    pub id: AccountId,
    /// What it owns at the start.
    pub balances: Vec<(Asset, Decimal)>,
    /// Its own fees; the exchange's if absent.
    pub fees: Option<Fees>,
    /// Its own fees on single markets, by symbol; they win over `fees`.
    pub market_fees: Vec<(SmolStr, Fees)>,
    /// Pays fees in a third asset.
    pub fee_asset: Option<FeeAsset>,
}

impl AccountSetup {
    /// An account that owns `balances`, with the exchange's fees.
    #[must_use]
    pub fn new(id: AccountId, balances: Vec<(Asset, Decimal)>) -> Self {
        Self { id, balances, fees: None, market_fees: Vec::new(), fee_asset: None }
    }
}

/// Everything an exchange starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The venue's time at the start.
    pub start: UnixNanos,
    /// Seed of everything that looks random.
    pub seed: u64,
    /// Markets.
    pub markets: Vec<MarketSetup>,
    /// Accounts.
    pub accounts: Vec<AccountSetup>,
    /// API keys.
    pub keys: Vec<ApiKey>,
    /// Fees of accounts that have none of their own.
    pub fees: Fees,
    /// Decimal places fees are rounded to (towards zero).
    pub fee_scale: u32,
    /// Limits.
    pub pools: Vec<Pool>,
    /// How repeated violations of limits end in a ban.
    pub escalation: Escalation,
    /// How placed and executed orders count towards order pools.
    pub order_count: OrderCountPolicy,
    /// What holds for perpetual contracts.
    pub perpetual: PerpetualSetup,
    /// How often changed levels are told.
    pub book_interval: Duration,
    /// The first order id; the first trade id is 1.
    pub first_order_id: u64,
    /// Whether refused orders are told on the private stream.
    pub announce_rejections: bool,
    /// Most entries kept of each history (orders and executions of an account, public trades of a market); the oldest
    /// ended entries go first.
    pub history_limit: usize,
    /// Most news kept while nobody takes them; the oldest go first and are counted.
    pub news_limit: usize,
}

impl Setup {
    /// An exchange with nothing in it: 0.1 % fees, book changes every 100 ms.
    #[must_use]
    pub fn new(start: UnixNanos, seed: u64) -> Self {
        Self {
            start,
            seed,
            markets: Vec::new(),
            accounts: Vec::new(),
            keys: Vec::new(),
            fees: Fees { maker_ppm: 1000, taker_ppm: 1000 },
            fee_scale: 8,
            pools: Vec::new(),
            escalation: Escalation::default(),
            order_count: OrderCountPolicy::default(),
            perpetual: PerpetualSetup::default(),
            book_interval: Duration::from_millis(100),
            first_order_id: 1,
            announce_rejections: false,
            history_limit: 100_000,
            news_limit: 500_000,
        }
    }
}

/// A setup that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SetupError {
    /// The market, account or field.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// How lively a market is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Liveliness {
    /// Changes of resting orders per second, on average; 1 to 1000.
    pub events_per_second: u32,
    /// Shortest and longest time between two takers, in milliseconds.
    pub taker_interval_ms: (u32, u32),
    /// Levels on each side, where the price leaves room for them.
    pub levels: u32,
    /// How far the price may stray from the reference price, in millionths of it. Bounds every drift: 8000 keeps any
    /// two prices within 1.6 %.
    pub band_ppm: u32,
    /// Notional of a typical order, as a multiple of the market's least notional; 5 or more.
    pub size: u32,
}

impl Default for Liveliness {
    fn default() -> Self {
        Self { events_per_second: 30, taker_interval_ms: (200, 800), levels: 120, band_ppm: 8000, size: 50 }
    }
}
