//! Market data: D/market-data/rest-api.

use std::time::Duration;

use connector_core::Decimal;
use connector_core::order::OrderType;
use connector_venue::exchange::Exchange;
use connector_venue::news::{Best, PublicTrade};
use connector_venue::perpetual::{ContractSetup, FundingRate, MarkPrice};
use connector_venue::setup::{MarketSetup, MarketStatus, Rules};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use spot_binance::venue::answer::Refused;
use spot_binance::venue::market;
use spot_binance::venue::params::Params;

use crate::wire::Num;

/// Highest and lowest price of an order, as multiples of the mark price: buys only go so high, sales only so low.
pub(super) const PERCENT_PRICE: (Decimal, Decimal) =
    (Decimal::from_parts(105, 0, 0, false, 2), Decimal::from_parts(95, 0, 0, false, 2));
/// The delivery time the venue gives contracts that have none.
const NEVER: i64 = 4_133_404_800_000;
/// Since when contracts are listed, for want of a better answer.
const LISTED: i64 = 1_569_398_400_000;

/// A number as short as it can be written.
pub(super) fn plain(number: Decimal) -> String {
    number.normalize().to_string()
}

/// What margins and profits come to at the mark price, with the eight decimals the venue gives them. What is in a wallet is told as
/// the exchange keeps it.
pub(super) fn money(amount: Decimal) -> Num {
    Num(amount.round_dp(8))
}

/// Adds members to an object.
pub(super) fn with(mut value: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

/// Takes members off an object.
pub(super) fn without(mut value: Value, names: &[&str]) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    value
}

/// `exchangeInfo`. It takes no parameters: whatever is sent, all symbols are told.
pub(super) fn exchange_info(exchange: &Exchange) -> Value {
    let markets = exchange.markets();
    let symbols: Vec<Value> = markets.into_iter().filter_map(symbol_info).collect();
    let assets = exchange
        .collaterals()
        .into_iter()
        .map(|asset| json!({ "asset": asset, "marginAvailable": true, "autoAssetExchange": "-10000" }));
    json!({
        "timezone": "UTC", "serverTime": exchange.now().millis(), "futuresType": "U_MARGINED",
        "rateLimits": market::limits(exchange), "exchangeFilters": [], "assets": assets.collect::<Vec<_>>(),
        "symbols": symbols,
    })
}

const fn status(status: MarketStatus) -> &'static str {
    match status {
        MarketStatus::Trading => "TRADING",
        MarketStatus::Halted => "TRADING_HALT",
        _ => "CLOSE",
    }
}

fn symbol_info(market: &MarketSetup) -> Option<Value> {
    let contract = market.contract.as_ref()?;
    let rules = &market.rules;
    let mut types = vec!["LIMIT", "MARKET"];
    types.retain(|word| *word != "MARKET" || rules.order_types.contains(&OrderType::Market));
    Some(json!({
        "symbol": market.symbol, "pair": market.symbol, "contractType": "PERPETUAL", "deliveryDate": NEVER,
        "onboardDate": LISTED, "status": status(market.status), "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000", "baseAsset": market.base, "quoteAsset": market.quote,
        "marginAsset": contract.collateral, "pricePrecision": rules.tick.normalize().scale(),
        "quantityPrecision": rules.step.normalize().scale(), "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "underlyingSubType": ["PoW"], "settlePlan": 0, "triggerProtect": "0.0500",
        "liquidationFee": format!("{:.6}", contract.liquidation_fee), "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000, "filters": filters(rules), "orderTypes": types,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"], "permissionSets": ["GRID", "COPY"],
    }))
}

fn filters(rules: &Rules) -> Value {
    let most = rules.market_max_amount.unwrap_or(rules.max_amount);
    let (up, down) = PERCENT_PRICE;
    json!([
        { "filterType": "PRICE_FILTER", "minPrice": plain(rules.min_price), "maxPrice": plain(rules.max_price),
          "tickSize": plain(rules.tick) },
        { "filterType": "LOT_SIZE", "minQty": plain(rules.min_amount), "maxQty": plain(rules.max_amount),
          "stepSize": plain(rules.step) },
        { "filterType": "MARKET_LOT_SIZE", "minQty": plain(rules.min_amount), "maxQty": plain(most),
          "stepSize": plain(rules.step) },
        { "filterType": "MAX_NUM_ORDERS", "limit": rules.max_open_orders.unwrap_or(200) },
        { "filterType": "MIN_NOTIONAL", "notional": plain(rules.min_notional) },
        { "filterType": "PERCENT_PRICE", "multiplierUp": format!("{up:.4}"),
          "multiplierDown": format!("{down:.4}"), "multiplierDecimal": "4" },
        { "filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE" },
    ])
}

/// `depth`.
pub(super) fn depth(params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let limit = params.integer("limit")?.unwrap_or(500);
    if ![5, 10, 20, 50, 100, 500, 1000].contains(&limit) {
        return Err(Refused::new(-4021, format!("'{limit}' is not valid depth limit.")));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let depth = exchange.depth(&symbol, limit).ok_or_else(Refused::invalid_symbol)?;
    let now = exchange.now().millis();
    Ok(with(market::depth(&depth), json!({ "E": now, "T": now })))
}

/// One entry of `trades`.
pub(super) fn trade(trade: &PublicTrade) -> Value {
    let told = without(market::trade(trade), &["isBestMatch"]);
    with(told, json!({ "isRPITrade": false }))
}

/// One entry of `aggTrades`.
pub(super) fn agg_trade(trade: &PublicTrade) -> Value {
    let told = without(market::agg_trade(trade), &["M"]);
    with(told, json!({ "nq": Num(trade.amount) }))
}

/// One entry of `ticker/24hr`.
pub(super) fn ticker(exchange: &Exchange, symbol: &str) -> Option<Value> {
    let (ticker, best) = (exchange.ticker(symbol)?, exchange.best(symbol)?);
    let told = market::ticker(&ticker, &best, false);
    Some(without(told, &["bidPrice", "bidQty", "askPrice", "askQty", "prevClosePrice"]))
}

/// One entry of `ticker/price`.
pub(super) fn last_price(exchange: &Exchange, symbol: &str) -> Option<Value> {
    let ticker = exchange.ticker(symbol)?;
    Some(json!({ "symbol": symbol, "price": Num(ticker.last), "time": ticker.until.millis() }))
}

/// One entry of `ticker/bookTicker`.
pub(super) fn book_ticker(exchange: &Exchange, best: &Best) -> Value {
    with(market::book_ticker(best), json!({ "time": exchange.now().millis() }))
}

/// One entry of `premiumIndex`.
pub(super) fn mark_price(exchange: &Exchange, symbol: &str) -> Option<Value> {
    let contract = exchange.market(symbol)?.contract.as_ref()?;
    let MarkPrice { mark_price, index_price, funding_rate, next_funding, time, .. } =
        exchange.mark_price(symbol)?;
    Some(json!({
        "symbol": symbol, "markPrice": Num(mark_price), "indexPrice": Num(index_price),
        "estimatedSettlePrice": Num(index_price), "lastFundingRate": Num(funding_rate),
        "interestRate": Num(contract.interest_rate), "nextFundingTime": next_funding.millis(),
        "time": time.millis(),
    }))
}

/// One entry of `fundingRate`.
pub(super) fn funding_rate(rate: &FundingRate) -> Value {
    json!({
        "symbol": rate.symbol, "fundingRate": Num(rate.rate), "fundingTime": rate.time.millis(),
        "markPrice": Num(rate.mark_price), "rateType": "NORMAL",
    })
}

/// Entries of `fundingInfo`: only of contracts that differ from the usual.
pub(super) fn funding_intervals(exchange: &Exchange) -> Value {
    const USUAL: Duration = Duration::from_secs(8 * 3600);
    let markets = exchange.markets();
    let adjusted = markets.into_iter().filter_map(|market| {
        let contract: &ContractSetup = market.contract.as_ref()?;
        let (floor, cap) = contract.rate_bounds;
        (contract.funding_interval != USUAL).then(|| {
            json!({
                "symbol": market.symbol, "adjustedFundingRateCap": Num(cap),
                "adjustedFundingRateFloor": Num(floor),
                "fundingIntervalHours": contract.funding_interval.as_secs() / 3600, "disclaimer": false,
            })
        })
    });
    adjusted.collect()
}

/// The length of a candle, in milliseconds; a month is thirty days.
fn interval(word: &str) -> Option<i64> {
    const MINUTE: i64 = 60_000;
    let minutes = match word {
        "1m" => 1,
        "3m" => 3,
        "5m" => 5,
        "15m" => 15,
        "30m" => 30,
        "1h" => 60,
        "2h" => 120,
        "4h" => 240,
        "6h" => 360,
        "8h" => 480,
        "12h" => 720,
        "1d" => 1440,
        "3d" => 3 * 1440,
        "1w" => 7 * 1440,
        "1M" => 30 * 1440,
        _ => return None,
    };
    Some(minutes * MINUTE)
}

/// A candle.
pub(super) struct Candle {
    start: i64,
    end: i64,
    first: PublicTrade,
    last: PublicTrade,
    high: Decimal,
    low: Decimal,
    volume: Decimal,
    quote: Decimal,
    bought: Decimal,
    bought_quote: Decimal,
    count: u64,
}

impl Candle {
    fn of(trade: &PublicTrade, length: i64) -> Self {
        let start = trade.time.millis().div_euclid(length) * length;
        let zero = Decimal::ZERO;
        Self {
            start,
            end: start + length - 1,
            first: trade.clone(),
            last: trade.clone(),
            high: trade.price,
            low: trade.price,
            volume: zero,
            quote: zero,
            bought: zero,
            bought_quote: zero,
            count: 0,
        }
    }

    fn add(&mut self, trade: &PublicTrade) {
        let quote = trade.price * trade.amount;
        self.last = trade.clone();
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.volume += trade.amount;
        self.quote += quote;
        self.count += 1;
        if !trade.is_buyer_maker {
            self.bought += trade.amount;
            self.bought_quote += quote;
        }
    }

    fn row(&self) -> Value {
        json!([
            self.start,
            Num(self.first.price),
            Num(self.high),
            Num(self.low),
            Num(self.last.price),
            Num(self.volume),
            self.end,
            Num(self.quote),
            self.count,
            Num(self.bought),
            Num(self.bought_quote),
            "0",
        ])
    }

    /// `k` of the event of a candle stream.
    fn event(&self, word: &str, now: i64) -> Value {
        json!({
            "t": self.start, "T": self.end, "s": self.first.symbol, "i": word, "f": self.first.id,
            "L": self.last.id, "o": Num(self.first.price), "c": Num(self.last.price), "h": Num(self.high),
            "l": Num(self.low), "v": Num(self.volume), "n": self.count, "x": now > self.end,
            "q": Num(self.quote), "V": Num(self.bought), "Q": Num(self.bought_quote), "B": "0",
        })
    }
}

/// Candles of the trades that are kept, oldest first; intervals without a trade are left out.
fn candles(exchange: &Exchange, symbol: &str, length: i64) -> Vec<Candle> {
    let mut all: Vec<Candle> = Vec::new();
    for trade in &exchange.public_trades(symbol, usize::MAX, None) {
        match all.last_mut() {
            Some(candle) if trade.time.millis() <= candle.end => candle.add(trade),
            _ => {
                let mut candle = Candle::of(trade, length);
                candle.add(trade);
                all.push(candle);
            }
        }
    }
    all
}

/// `klines` and `continuousKlines`; the contract that goes on for ever is the perpetual one.
pub(super) fn klines(params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    let symbol = match params.optional("pair")? {
        Some(pair) => exchange.market(pair).ok_or_else(Refused::invalid_symbol)?.symbol.clone(),
        None => symbol(params, exchange)?,
    };
    let length =
        interval(params.required("interval")?).ok_or_else(|| Refused::new(-1120, "Invalid interval."))?;
    let (since, until) = (params.millis("startTime")?, params.millis("endTime")?);
    let limit = params.limit(500, 1500)?;
    let mut found = candles(exchange, &symbol, length);
    found.retain(|candle| {
        since.is_none_or(|since| candle.start >= since) && until.is_none_or(|until| candle.start <= until)
    });
    if since.is_some() {
        found.truncate(limit);
    } else {
        found.drain(..found.len().saturating_sub(limit));
    }
    Ok(found.iter().map(Candle::row).collect())
}

/// The event of a candle stream, by its name, if there is such a stream and there has been a trade.
pub(super) fn kline_event(exchange: &Exchange, stream: &str) -> Option<Value> {
    let now = exchange.now().millis();
    let latest = |name: &str, word: &str| {
        let symbol = name.to_uppercase();
        let candle = candles(exchange, &symbol, interval(word)?).pop()?;
        Some((symbol, candle.event(word, now)))
    };
    if let Some((pair, word)) = stream.split_once("_perpetual@continuousKline_") {
        let (pair, candle) = latest(pair, word)?;
        let candle = without(candle, &["s"]);
        return Some(
            json!({ "e": "continuous_kline", "E": now, "ps": pair, "ct": "PERPETUAL", "k": candle }),
        );
    }
    let (name, word) = stream.split_once("@kline_")?;
    let (symbol, candle) = latest(name, word)?;
    Some(json!({ "e": "kline", "E": now, "s": symbol, "k": candle }))
}

/// The symbol asked about.
pub(super) fn symbol(params: Params<'_>, exchange: &Exchange) -> Result<SmolStr, Refused> {
    params.market(exchange).map(|market| market.symbol.clone())
}

/// An answer for the symbol asked about, or a list of answers for all.
pub(super) fn each(
    params: Params<'_>,
    exchange: &Exchange,
    tell: impl Fn(&str) -> Option<Value>,
) -> Result<Value, Refused> {
    match params.optional("symbol")? {
        Some(_) => tell(&symbol(params, exchange)?).ok_or_else(Refused::invalid_symbol),
        None => Ok(exchange.markets().iter().filter_map(|market| tell(&market.symbol)).collect()),
    }
}

/// What an empty object is written as.
pub(super) fn empty() -> Value {
    Value::Object(Map::new())
}
