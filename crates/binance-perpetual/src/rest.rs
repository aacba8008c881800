//! Requests about markets and orders: one [`Endpoint`] for each, and how their answers read.

use connector_core::dialect::{
    Auth, Cost, DecodeError, Draft, Endpoint, Payload, PlaceQuery, Rest, Row, Source, Symbols,
};
use connector_core::json::{read_answer, read_list};
use connector_core::message::{BalanceReport, Fee, FeeRates, Fill, Message, Sink, TradingRule};
use connector_core::order::OrderType;
use connector_core::position::PositionSide;
use connector_core::time::UnixNanos;
use connector_core::{Asset, ExchangeOrderId, TradeId};
use spot_binance::family::{self, ORDERS_TEN_SECONDS, WEIGHT, either, weight};

use crate::account::{PERPETUAL, STREAM_KEY, position_side};
use crate::batch::BATCH;
use crate::spec::{ORDERS_MINUTE, docs};
use crate::wire;

const MARKET: Source = docs!("market-data/rest-api");
pub(crate) const TRADING: Source = docs!("trade/rest-api");
const ACCOUNT: Source = docs!("account/rest-api");

/// The venue's requests.
pub(crate) const REST: Rest = Rest {
    ping: Endpoint::new(
        Row::get("ping", "/fapi/v1/ping", Auth::Public, &[weight(1)], MARKET),
        |(), _| {},
        family::decode_ping,
    ),
    server_time: Some(Endpoint::new(
        Row::get("server_time", "/fapi/v1/time", Auth::Public, &[weight(1)], MARKET),
        |(), _| {},
        family::decode_server_time,
    )),
    rules: Endpoint::new(
        Row::get("rules", "/fapi/v1/exchangeInfo", Auth::Public, &[weight(1)], MARKET),
        |(), _| {},
        decode_rules,
    ),
    last_price: Endpoint::new(
        Row::get("last_price", "/fapi/v2/ticker/price", Auth::Public, &[either("symbol", 1, 2)], MARKET),
        |query, draft| draft.query.push("symbol", &query.symbol),
        family::decode_last_price,
    ),
    book: Endpoint::new(
        Row::get("book", "/fapi/v1/depth", Auth::Public, &[BOOK_WEIGHT], MARKET),
        |query, draft| {
            // Other depths are refused.
            let depth = DEPTHS.iter().find(|depth| **depth >= query.depth).or(DEPTHS.last());
            draft.query.push("symbol", &query.symbol);
            draft.query.push_some("limit", depth);
        },
        family::decode_book,
    ),
    balances: Endpoint::new(
        Row::get("balances", "/fapi/v3/balance", Auth::Signed, &[weight(5)], ACCOUNT),
        |(), _| {},
        |payload, out| {
            read_list(("balances", None, "asset"), payload.bytes, out, |entry: wire::Balance<'_>| {
                Ok([Message::Balance(BalanceReport {
                    asset: Asset::new(entry.asset),
                    total: Some(entry.balance.0),
                    available: Some(entry.available_balance.0),
                    time: time(entry.update_time),
                })])
            })
        },
    ),
    place: Endpoint::new(
        Row::post("place", "/fapi/v1/order", Auth::Signed, PLACE_COST, TRADING),
        encode_place,
        |payload, out| family::decode_order("place", payload, out),
    ),
    cancel: Endpoint::new(
        Row::delete("cancel", "/fapi/v1/order", Auth::Signed, &[weight(1)], TRADING),
        family::encode_order_query,
        |payload, out| family::decode_order("cancel", payload, out),
    ),
    order: Endpoint::new(
        Row::get("order", "/fapi/v1/order", Auth::Signed, &[weight(1)], TRADING),
        family::encode_order_query,
        |payload, out| family::decode_order("order", payload, out),
    ),
    open_orders: Endpoint::new(
        Row::get("open_orders", "/fapi/v1/openOrders", Auth::Signed, &[either("symbol", 1, 40)], TRADING),
        family::encode_open_orders,
        family::decode_open_orders,
    ),
    fills: Endpoint::new(
        Row::get("fills", "/fapi/v1/userTrades", Auth::Signed, &[weight(5)], TRADING),
        family::encode_fills,
        |payload, out| {
            read_list(("fills", None, "symbol"), payload.bytes, out, |entry: wire::UserTrade<'_>| {
                Ok([Message::Fill(user_trade(&entry, payload.symbols)?)])
            })
        },
    ),
    fills_page: family::FILLS_PAGE,
    batch: Some(BATCH),
    fees: Some(Endpoint::new(
        Row::get("fees", "/fapi/v1/commissionRate", Auth::Signed, &[weight(20)], ACCOUNT),
        |query, draft| draft.query.push("symbol", &query.symbol),
        |payload, out| {
            read_answer("fees", payload.bytes, |answer: wire::CommissionRate<'_>| {
                out.message(Message::Fees(FeeRates {
                    market: payload.symbols.market(answer.symbol),
                    maker: answer.maker_commission_rate.0,
                    taker: answer.taker_commission_rate.0,
                }));
                Ok(())
            })
        },
    )),
    stream_key: Some(STREAM_KEY),
    perpetual: Some(PERPETUAL),
};

const DEPTHS: [u32; 7] = [5, 10, 20, 50, 100, 500, 1000];
const BOOK_WEIGHT: Cost = Cost::steps(WEIGHT, "limit", 500, &[(50, 2), (100, 5), (500, 10), (1000, 20)]);
/// Orders cost no weight.
const PLACE_COST: &[Cost] = &[Cost::fixed(ORDERS_TEN_SECONDS, 1), Cost::fixed(ORDERS_MINUTE, 1)];

pub(crate) fn encode_place(query: &PlaceQuery, draft: &mut Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push("side", family::side_word(query.side));
    params.push_some("positionSide", query.position_side.map(position_side_word));
    let (word, time_in_force) = match query.order_type {
        OrderType::Limit => ("LIMIT", Some(family::time_in_force_word(query.time_in_force))),
        OrderType::LimitMaker => ("LIMIT", Some("GTX")),
        OrderType::Market => ("MARKET", None),
    };
    params.push("type", word);
    params.push_some("timeInForce", time_in_force);
    params.push("quantity", query.amount.normalize());
    // A market order has a time in force here neither, and no price.
    params.push_some("price", time_in_force.and(query.price).map(|price| price.normalize()));
    // In hedge mode the leg says it, and the parameter is refused.
    let hedged = matches!(query.position_side, Some(PositionSide::Long | PositionSide::Short));
    params.push_some("reduceOnly", (query.reduce_only && !hedged).then_some("true"));
    params.push("newClientOrderId", &query.client_order_id);
    // The answer then tells the final state of an order that does not rest.
    params.push("newOrderRespType", "RESULT");
}

/// The venue's word for the leg an order is for.
pub(crate) const fn position_side_word(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
        PositionSide::Both => "BOTH",
    }
}

/// A time where there is one; the venue writes zero where there is none.
pub(crate) fn time(millis: i64) -> Option<UnixNanos> {
    (millis > 0).then(|| UnixNanos::from_millis(millis))
}

fn decode_rules(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, .. } = payload;
    read_list(("rules", Some("symbols"), "symbol"), bytes, out, |entry: wire::SymbolInfo<'_>| {
        Ok(contract(&entry)?.map(Message::TradingRule))
    })
}

/// What an entry of the symbol list says; `None` for contracts with a date of delivery.
fn contract(entry: &wire::SymbolInfo<'_>) -> Result<Option<TradingRule>, DecodeError> {
    let perpetual = matches!(entry.contract_type, "PERPETUAL" | "TRADIFI_PERPETUAL");
    // What is being settled is known, but not traded.
    if !perpetual && entry.contract_type != "PERPETUAL_DELIVERING" {
        return Ok(None);
    }
    Ok(Some(TradingRule {
        collateral: Some(Asset::new(entry.margin_asset)),
        tradable: perpetual && entry.status == "TRADING",
        ..family::trading_rule(entry.symbol, (entry.base_asset, entry.quote_asset), &entry.filters)?
    }))
}

fn user_trade(trade: &wire::UserTrade<'_>, symbols: &Symbols) -> Result<Fill, DecodeError> {
    Ok(Fill {
        market: symbols.market(trade.symbol),
        trade_id: TradeId::from(trade.id),
        exchange_order_id: Some(ExchangeOrderId::from(trade.order_id)),
        client_order_id: None,
        side: family::side(trade.side).ok_or_else(|| DecodeError::missing("fill", "side"))?,
        position_side: position_side(trade.position_side),
        price: trade.price.0,
        amount: trade.qty.0,
        maker: Some(trade.maker),
        fee: Some(Fee { asset: Asset::new(trade.commission_asset), amount: trade.commission.0 }),
        // The list does not say; the order's client id does, on the stream.
        cause: None,
        time: time(trade.time),
    })
}
