//! Market data as the venue tells it: D/rest-api/general-endpoints, D/rest-api/market-data-endpoints.

use connector_core::Decimal;
use connector_core::dialect::Scope;
use connector_core::message::Level;
use connector_core::order::OrderType;
use connector_venue::exchange::{Exchange, Ticker};
use connector_venue::news::{Best, Depth, PublicTrade};
use connector_venue::setup::{MarketSetup, MarketStatus, Rules};
use serde_json::{Value, json};

use crate::family::WEIGHT;
use crate::rest::type_word;
use crate::spec::RAW_REQUESTS;
use crate::venue::answer::{Refused, interval};
use crate::venue::params::Params;
use crate::wire::Num;

/// `exchangeInfo`.
pub(super) fn exchange_info(params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    let (markets, all) = params.markets(exchange)?;
    if !all || params.0.get("symbols").is_some() {
        for other in ["permissions", "symbolStatus"] {
            if params.0.get(other).is_some() {
                return Err(Refused::new(-1128, "Combination of optional parameters invalid."));
            }
        }
    }
    let wanted = params.optional("symbolStatus")?;
    let symbols: Vec<Value> = markets
        .into_iter()
        .filter(|market| wanted.is_none_or(|wanted| status(market.status) == wanted))
        .map(symbol_info)
        .collect();
    Ok(json!({
        "timezone": "UTC", "serverTime": exchange.now().millis(), "rateLimits": limits(exchange),
        "exchangeFilters": [], "symbols": symbols,
    }))
}

/// The `rateLimits` of `exchangeInfo`.
#[must_use]
pub fn limits(exchange: &Exchange) -> Vec<Value> {
    let told = exchange.limits().pools().filter_map(|(pool, limit)| {
        let kind = match pool.name {
            WEIGHT => "REQUEST_WEIGHT",
            RAW_REQUESTS => "RAW_REQUESTS",
            _ if pool.scope == Scope::Account => "ORDERS",
            _ => return None,
        };
        let (number, unit) = interval(pool.window.period().as_secs());
        Some(json!({ "rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit }))
    });
    told.collect()
}

const fn status(status: MarketStatus) -> &'static str {
    match status {
        MarketStatus::Trading => "TRADING",
        MarketStatus::Halted => "HALT",
        _ => "BREAK",
    }
}

fn symbol_info(market: &MarketSetup) -> Value {
    let types: Vec<&str> = market.rules.order_types.iter().copied().map(type_word).collect();
    json!({
        "symbol": market.symbol, "status": status(market.status),
        "baseAsset": market.base, "baseAssetPrecision": 8,
        "quoteAsset": market.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": types,
        "icebergAllowed": false, "ocoAllowed": false, "otoAllowed": false, "opoAllowed": false,
        "quoteOrderQtyMarketAllowed": market.rules.order_types.contains(&OrderType::Market),
        "allowTrailingStop": false, "cancelReplaceAllowed": false, "amendAllowed": false,
        "pegInstructionsAllowed": false,
        "isSpotTradingAllowed": true, "isMarginTradingAllowed": false,
        "filters": filters(&market.rules),
        "permissions": [], "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": super::orders::stp_word(market.self_trade),
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    })
}

fn filters(rules: &Rules) -> Vec<Value> {
    let mut filters = vec![
        json!({ "filterType": "PRICE_FILTER", "minPrice": Num(rules.min_price), "maxPrice": Num(rules.max_price),
            "tickSize": Num(rules.tick) }),
        json!({ "filterType": "LOT_SIZE", "minQty": Num(rules.min_amount), "maxQty": Num(rules.max_amount),
            "stepSize": Num(rules.step) }),
        json!({ "filterType": "ICEBERG_PARTS", "limit": 10 }),
    ];
    let most = rules.market_max_amount.unwrap_or(rules.max_amount);
    filters.push(json!({ "filterType": "MARKET_LOT_SIZE", "minQty": Num(Decimal::ZERO), "maxQty": Num(most),
        "stepSize": Num(Decimal::ZERO) }));
    if let Some((down, up)) = rules.percent_price {
        let (down, up) = (down.normalize().to_string(), up.normalize().to_string());
        filters.push(json!({ "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": up,
            "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down, "avgPriceMins": 5 }));
    }
    filters.push(json!({ "filterType": "NOTIONAL", "minNotional": Num(rules.min_notional),
        "applyMinToMarket": true, "maxNotional": Num(Decimal::from(9_000_000_000_i64)), "applyMaxToMarket": false,
        "avgPriceMins": 5 }));
    if let Some(most) = rules.max_open_orders {
        filters.push(json!({ "filterType": "MAX_NUM_ORDERS", "maxNumOrders": most }));
    }
    filters.push(json!({ "filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5 }));
    filters
}

/// Price levels.
#[must_use]
pub fn levels(levels: &[Level]) -> Value {
    levels.iter().map(|level| json!([Num(level.price), Num(level.amount)])).collect()
}

/// `depth`, and the payload of partial depth streams.
#[must_use]
pub fn depth(depth: &Depth) -> Value {
    json!({ "lastUpdateId": depth.last_id, "bids": levels(&depth.bids), "asks": levels(&depth.asks) })
}

/// One entry of `trades`.
#[must_use]
pub fn trade(trade: &PublicTrade) -> Value {
    json!({
        "id": trade.id, "price": Num(trade.price), "qty": Num(trade.amount),
        "quoteQty": Num(trade.price * trade.amount), "time": trade.time.millis(),
        "isBuyerMaker": trade.is_buyer_maker, "isBestMatch": true,
    })
}

/// One entry of `aggTrades`. Each trade is told alone.
#[must_use]
pub fn agg_trade(trade: &PublicTrade) -> Value {
    json!({
        "a": trade.id, "p": Num(trade.price), "q": Num(trade.amount), "f": trade.id, "l": trade.id,
        "T": trade.time.millis(), "m": trade.is_buyer_maker, "M": true,
    })
}

/// `aggTrades`: the first from an id on, those of a span of time, or the latest.
///
/// # Errors
/// What is wrong with the parameters.
pub fn agg_trades(
    params: Params<'_>,
    exchange: &Exchange,
    tell: fn(&PublicTrade) -> Value,
) -> Result<Value, Refused> {
    let (since, until) = (params.millis("startTime")?, params.millis("endTime")?);
    let (symbol, limit) = (&params.market(exchange)?.symbol, params.limit(500, 1000)?);
    let from = params.integer("fromId")?;
    if since.is_none() && until.is_none() {
        return Ok(exchange.public_trades(symbol, limit, from).iter().map(tell).collect());
    }
    let all = exchange.public_trades(symbol, usize::MAX, from);
    let fits = |trade: &&PublicTrade| {
        let time = trade.time.millis();
        since.is_none_or(|since| time >= since) && until.is_none_or(|until| time <= until)
    };
    let mut fitting: Vec<&PublicTrade> = all.iter().filter(fits).collect();
    // With a start the oldest are told, otherwise the latest.
    if since.is_some() {
        fitting.truncate(limit);
    } else {
        fitting.drain(..fitting.len().saturating_sub(limit));
    }
    Ok(fitting.into_iter().map(tell).collect())
}

/// What is derived of a ticker.
struct Derived {
    change: Decimal,
    percent: Decimal,
    average: Decimal,
}

fn derived(ticker: &Ticker) -> Derived {
    let change = ticker.last - ticker.open;
    let percent = (change * Decimal::ONE_HUNDRED).checked_div(ticker.open).unwrap_or_default();
    let average = ticker.quote_volume.checked_div(ticker.volume).unwrap_or(ticker.last);
    Derived { change, percent: percent.round_dp(3), average: average.round_dp(8) }
}

/// Ids of the first and last trade as the venue has them where there was none.
fn ids(ticker: &Ticker) -> (i64, i64) {
    let id = |id: Option<u64>| id.and_then(|id| i64::try_from(id).ok()).unwrap_or(-1);
    (id(ticker.first_id), id(ticker.last_id))
}

fn side(level: Option<Level>) -> (Num, Num) {
    level.map_or_else(Default::default, |level| (Num(level.price), Num(level.amount)))
}

/// One entry of `ticker/24hr`.
#[must_use]
pub fn ticker(ticker: &Ticker, best: &Best, mini: bool) -> Value {
    let Derived { change, percent, average } = derived(ticker);
    let ((bid, bid_qty), (ask, ask_qty), (first, last)) = (side(best.bid), side(best.ask), ids(ticker));
    let mut value = json!({
        "symbol": ticker.symbol, "openPrice": Num(ticker.open), "highPrice": Num(ticker.high),
        "lowPrice": Num(ticker.low), "lastPrice": Num(ticker.last), "volume": Num(ticker.volume),
        "quoteVolume": Num(ticker.quote_volume), "openTime": ticker.since.millis(),
        "closeTime": ticker.until.millis(), "firstId": first, "lastId": last, "count": ticker.count,
    });
    if let (false, Some(fields)) = (mini, value.as_object_mut()) {
        let more = json!({
            "priceChange": Num(change), "priceChangePercent": format!("{percent:.3}"),
            "weightedAvgPrice": Num(average), "prevClosePrice": Num(ticker.open),
            "lastQty": Num(ticker.last_amount), "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty,
        });
        fields.extend(
            more.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    value
}

/// One entry of `ticker/bookTicker`.
#[must_use]
pub fn book_ticker(best: &Best) -> Value {
    let ((bid, bid_qty), (ask, ask_qty)) = (side(best.bid), side(best.ask));
    json!({ "symbol": best.symbol, "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty })
}

/// The event of a `@bookTicker` stream.
#[must_use]
pub fn book_ticker_event(best: &Best) -> Value {
    let ((bid, bid_qty), (ask, ask_qty)) = (side(best.bid), side(best.ask));
    json!({ "u": best.id, "s": best.symbol, "b": bid, "B": bid_qty, "a": ask, "A": ask_qty })
}

/// The event of a `@miniTicker` stream.
#[must_use]
pub fn mini_ticker_event(ticker: &Ticker) -> Value {
    json!({
        "e": "24hrMiniTicker", "E": ticker.until.millis(), "s": ticker.symbol, "c": Num(ticker.last),
        "o": Num(ticker.open), "h": Num(ticker.high), "l": Num(ticker.low), "v": Num(ticker.volume),
        "q": Num(ticker.quote_volume),
    })
}

/// The event of a `@ticker` stream.
#[must_use]
pub fn ticker_event(ticker: &Ticker, best: &Best) -> Value {
    let Derived { change, percent, average } = derived(ticker);
    let ((bid, bid_qty), (ask, ask_qty), (first, last)) = (side(best.bid), side(best.ask), ids(ticker));
    json!({
        "e": "24hrTicker", "E": ticker.until.millis(), "s": ticker.symbol, "p": Num(change),
        "P": format!("{percent:.3}"), "w": Num(average), "x": Num(ticker.open), "c": Num(ticker.last),
        "Q": Num(ticker.last_amount), "b": bid, "B": bid_qty, "a": ask, "A": ask_qty, "o": Num(ticker.open),
        "h": Num(ticker.high), "l": Num(ticker.low), "v": Num(ticker.volume), "q": Num(ticker.quote_volume),
        "O": ticker.since.millis(), "C": ticker.until.millis(), "F": first, "L": last, "n": ticker.count,
    })
}
