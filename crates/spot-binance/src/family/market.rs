//! Answers about markets.

use connector_core::dialect::{DecodeError, Payload};
use connector_core::json::{Json, parse_answer};
use connector_core::message::{BestPrice, BookMessage, Level, Market, Message, Sink, TradingRule};
use connector_core::number::deserialize_text;
use connector_core::{Decimal, Pair};
use serde::{Deserialize, Deserializer};
use smol_str::SmolStr;

use crate::family::need;

/// One filter of a symbol. Filters have different fields; those we know are read where they occur.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the venue's own names")]
pub struct Filter<'a> {
    pub filter_type: &'a str,
    #[serde(deserialize_with = "bound")]
    pub min_price: Option<Decimal>,
    #[serde(deserialize_with = "bound")]
    pub max_price: Option<Decimal>,
    #[serde(deserialize_with = "bound")]
    pub tick_size: Option<Decimal>,
    #[serde(deserialize_with = "bound")]
    pub min_qty: Option<Decimal>,
    #[serde(deserialize_with = "bound")]
    pub max_qty: Option<Decimal>,
    #[serde(deserialize_with = "bound")]
    pub step_size: Option<Decimal>,
    #[serde(deserialize_with = "bound", alias = "notional")]
    pub min_notional: Option<Decimal>,
}

/// A bound of zero is a bound that is switched off.
fn bound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "deserialize_text")] Decimal);
    let number = Option::<Text>::deserialize(deserializer)?.map(|Text(number)| number);
    Ok(number.filter(|number| !number.is_zero()))
}

/// The rule that a symbol's filters make, not tradable and without collateral.
///
/// # Errors
/// An asset has no name, or there is no filter of prices or of amounts.
pub fn trading_rule(
    symbol: &str,
    (base, quote): (&str, &str),
    filters: &[Filter<'_>],
) -> Result<TradingRule, DecodeError> {
    let pair = Pair::new(base, quote).ok_or_else(|| DecodeError::new("symbol", "an asset has no name"))?;
    let filter = |name: &str| filters.iter().find(|filter| filter.filter_type == name);
    let price = filter("PRICE_FILTER").ok_or_else(|| DecodeError::new("symbol", "no PRICE_FILTER"))?;
    let lot = filter("LOT_SIZE").ok_or_else(|| DecodeError::new("symbol", "no LOT_SIZE"))?;
    let notional = |name| filter(name).and_then(|filter| filter.min_notional);
    Ok(TradingRule {
        pair,
        exchange_symbol: SmolStr::new(symbol),
        min_amount: lot.min_qty,
        max_amount: lot.max_qty,
        amount_step: lot.step_size,
        price_step: price.tick_size,
        min_price: price.min_price,
        max_price: price.max_price,
        min_notional: notional("NOTIONAL").max(notional("MIN_NOTIONAL")),
        contract_size: None,
        collateral: None,
        tradable: false,
    })
}

/// Best prices as this venue tells them, without time: an empty side has price and amount zero.
pub(super) fn told_best(
    market: Market,
    id: Option<u64>,
    (bid, bid_amount): (Decimal, Decimal),
    (ask, ask_amount): (Decimal, Decimal),
) -> BestPrice {
    let (has_bid, has_ask) = (!bid.is_zero(), !ask.is_zero());
    BestPrice {
        market,
        bid: has_bid.then_some(bid),
        bid_amount: has_bid.then_some(bid_amount),
        ask: has_ask.then_some(ask),
        ask_amount: has_ask.then_some(ask_amount),
        id,
        time: None,
    }
}

/// Reads the answer to a ping.
///
/// # Errors
/// It is no object.
pub fn decode_ping(payload: Payload<'_>, _: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, .. } = payload;
    parse_answer("ping", bytes, |json| match json.is_object() {
        true => Ok(()),
        false => Err(DecodeError::new("ping", "not an object")),
    })
}

/// Reads the venue's clock.
///
/// # Errors
/// The time is missing.
pub fn decode_server_time(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, .. } = payload;
    parse_answer("server_time", bytes, |json| {
        out.message(Message::ServerTime { time: need(json, "server_time", "serverTime", Json::millis)? });
        Ok(())
    })
}

/// Reads a last price.
///
/// # Errors
/// A member is missing or malformed.
pub fn decode_last_price(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    parse_answer("last_price", bytes, |json| {
        let market = symbols.market(need(json, "last_price", "symbol", Json::text)?);
        out.message(Message::LastPrice { market, price: need(json, "last_price", "price", Json::decimal)? });
        Ok(())
    })
}

/// Reads a depth answer.
///
/// # Errors
/// A member is missing or malformed.
pub fn decode_book(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, market, .. } = payload;
    let unnamed = Market::Symbol(SmolStr::default());
    let market = market.unwrap_or(&unnamed);
    parse_answer("book", bytes, |json| {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let last_id = read_snapshot(json, &mut bids, &mut asks)?;
        let time = json.get("E").and_then(Json::millis);
        out.book(BookMessage { last_id: Some(last_id), time, ..BookMessage::snapshot(market, &bids, &asks) });
        Ok(())
    })
}

/// Reads the levels of a depth answer or a partial depth event; returns the last update id.
pub(super) fn read_snapshot(
    json: Json<'_, '_>,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<u64, DecodeError> {
    const WHAT: &str = "book";
    need(json, WHAT, "bids", |list| list.levels(bids))?;
    need(json, WHAT, "asks", |list| list.levels(asks))?;
    need(json, WHAT, "lastUpdateId", Json::uint)
}
