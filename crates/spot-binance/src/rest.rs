//! Requests: one [`Endpoint`] for each, and how their answers read.

use connector_core::dialect::{
    Auth, Cost, DecodeError, Draft, Endpoint, Payload, PlaceQuery, Rest, Row, Source, Symbols,
};
use connector_core::json::{
    Json, entries, parse_answer, read_answer, read_list, read_members, required_list,
};
use connector_core::message::{BalanceReport, Fee, FeeRates, Fill, Message, Sink, TradingRule};
use connector_core::order::{OrderType, Side};
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal, ExchangeOrderId, TradeId};

use crate::family::{self, ORDERS_TEN_SECONDS, OrderAnswer, WEIGHT, either, weight};
use crate::spec::{ORDERS_DAY, RAW, docs};
use crate::wire::{self, Num};

const GENERAL: Source = docs!("rest-api/general-endpoints");
const MARKET_DATA: Source = docs!("rest-api/market-data-endpoints");
const TRADING: Source = docs!("rest-api/trading-endpoints");
const ACCOUNT: Source = docs!("rest-api/account-endpoints");

/// The venue's requests.
pub(crate) const REST: Rest = Rest {
    ping: Endpoint::new(
        Row::get("ping", "/api/v3/ping", Auth::Public, &[weight(1), RAW], GENERAL),
        |(), _| {},
        family::decode_ping,
    ),
    server_time: Some(Endpoint::new(
        Row::get("server_time", "/api/v3/time", Auth::Public, &[weight(1), RAW], GENERAL),
        |(), _| {},
        family::decode_server_time,
    )),
    rules: Endpoint::new(
        Row::get("rules", "/api/v3/exchangeInfo", Auth::Public, &[weight(20), RAW], GENERAL),
        |(), _| {},
        |payload, out| {
            read_list(
                ("rules", Some("symbols"), "symbol"),
                payload.bytes,
                out,
                |entry: wire::SymbolInfo<'_>| Ok(trading_rule(&entry)?.map(Message::TradingRule)),
            )
        },
    ),
    last_price: Endpoint::new(
        Row::get(
            "last_price",
            "/api/v3/ticker/price",
            Auth::Public,
            &[either("symbol", 2, 4), RAW],
            MARKET_DATA,
        ),
        |query, draft| draft.query.push("symbol", &query.symbol),
        family::decode_last_price,
    ),
    book: Endpoint::new(
        Row::get("book", "/api/v3/depth", Auth::Public, &[BOOK_WEIGHT, RAW], MARKET_DATA),
        |query, draft| {
            draft.query.push("symbol", &query.symbol);
            draft.query.push("limit", query.depth.clamp(1, 5000));
        },
        family::decode_book,
    ),
    balances: Endpoint::new(
        Row::get("balances", "/api/v3/account", Auth::Signed, &[weight(20), RAW], ACCOUNT),
        |(), draft| draft.query.push("omitZeroBalances", "true"),
        |payload, out| {
            parse_answer("balances", payload.bytes, |json| {
                let time = json.get("updateTime").and_then(Json::millis);
                let balances = required_list(json.get("balances"), "balances")?;
                entries(balances, ("balance", "asset"), out, |entry: wire::Balance<'_>| {
                    Ok([Message::Balance(balance(entry.asset, entry.free, entry.locked, time))])
                });
                Ok(())
            })
        },
    ),
    // A placement that succeeds costs no weight since 2026-04-02; one that fails does, so it is set aside.
    place: Endpoint::new(
        Row::post("place", "/api/v3/order", Auth::Signed, PLACE_COST, TRADING),
        encode_place,
        decode_placed,
    ),
    cancel: Endpoint::new(
        Row::delete("cancel", "/api/v3/order", Auth::Signed, &[weight(1), RAW], TRADING),
        family::encode_order_query,
        |payload, out| family::decode_order("cancel", payload, out),
    ),
    order: Endpoint::new(
        Row::get("order", "/api/v3/order", Auth::Signed, &[weight(4), RAW], ACCOUNT),
        family::encode_order_query,
        |payload, out| family::decode_order("order", payload, out),
    ),
    open_orders: Endpoint::new(
        Row::get("open_orders", "/api/v3/openOrders", Auth::Signed, &[either("symbol", 6, 80), RAW], ACCOUNT),
        family::encode_open_orders,
        family::decode_open_orders,
    ),
    fills: Endpoint::new(
        Row::get("fills", "/api/v3/myTrades", Auth::Signed, &[either("orderId", 5, 20), RAW], ACCOUNT),
        family::encode_fills,
        |payload, out| {
            read_list(("fills", None, "symbol"), payload.bytes, out, |entry: wire::MyTrade<'_>| {
                Ok([Message::Fill(my_trade(&entry, payload.symbols))])
            })
        },
    ),
    fills_page: family::FILLS_PAGE,
    batch: None,
    fees: Some(Endpoint::new(
        Row::get("fees", "/api/v3/account/commission", Auth::Signed, &[weight(20), RAW], ACCOUNT),
        |query, draft| draft.query.push("symbol", &query.symbol),
        |payload, out| {
            read_answer("fees", payload.bytes, |answer: wire::Commission<'_>| {
                out.message(Message::Fees(fee_rates(&answer, payload.symbols)));
                Ok(())
            })
        },
    )),
    stream_key: None,
    perpetual: None,
};

const BOOK_WEIGHT: Cost = Cost::steps(WEIGHT, "limit", 100, &[(100, 5), (500, 25), (1000, 50), (5000, 250)]);
const PLACE_COST: &[Cost] = &[weight(1), Cost::fixed(ORDERS_TEN_SECONDS, 1), Cost::fixed(ORDERS_DAY, 1), RAW];

fn encode_place(query: &PlaceQuery, draft: &mut Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push("side", family::side_word(query.side));
    params.push("type", type_word(query.order_type));
    // The venue refuses a time in force where the type implies it.
    if query.order_type == OrderType::Limit {
        params.push("timeInForce", family::time_in_force_word(query.time_in_force));
    }
    params.push("quantity", query.amount.normalize());
    if query.order_type != OrderType::Market {
        params.push_some("price", query.price.map(|price| price.normalize()));
    }
    params.push("newClientOrderId", &query.client_order_id);
    // Asked for in so many words, as the default differs by type: the answer then carries state, fills and fees.
    params.push("newOrderRespType", "FULL");
}

fn decode_placed(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    let (mut order, mut fills) = (OrderAnswer::default(), Vec::new());
    read_members("place", bytes, |name, value| match name {
        "fills" if value.is_array() => {
            fills = value
                .items()
                .map(|fill| fill.read("place"))
                .collect::<Result<Vec<wire::OrderFill<'_>>, _>>()?;
            Ok(())
        }
        "fills" if !value.is_null() => Err(DecodeError::missing("place", name)),
        _ => order.take("place", name, value),
    })?;
    let report = order.report(symbols, "place")?;
    for fill in fills {
        out.message(Message::Fill(Fill {
            market: report.market.clone(),
            client_order_id: report.client_order_id.clone(),
            exchange_order_id: report.exchange_order_id.clone(),
            trade_id: TradeId::from(fill.trade_id),
            side: report.side.ok_or_else(|| DecodeError::new("place", "fills without `side`"))?,
            price: fill.price.0,
            amount: fill.qty.0,
            fee: Some(Fee { asset: Asset::new(fill.commission_asset), amount: fill.commission.0 }),
            // What a placement's own answer lists, it took.
            maker: Some(false),
            position_side: None,
            cause: None,
            time: report.time,
        }));
    }
    out.message(Message::Order(report));
    Ok(())
}

fn fee_rates(answer: &wire::Commission<'_>, symbols: &Symbols) -> FeeRates {
    let parts = [answer.standard_commission, answer.special_commission, answer.tax_commission];
    let total = |rate: fn(&wire::Rates) -> Num| parts.iter().map(|part| rate(part).0).sum::<Decimal>();
    // Buyer's or seller's rate comes on top; where they differ, the dearer one: an estimate must not be short.
    let side = total(|rates| rates.buyer).max(total(|rates| rates.seller));
    FeeRates {
        market: symbols.market(answer.symbol),
        maker: total(|rates| rates.maker) + side,
        taker: total(|rates| rates.taker) + side,
    }
}

/// What an entry of the symbol list says; `None` if spot accounts cannot trade it at all.
fn trading_rule(entry: &wire::SymbolInfo<'_>) -> Result<Option<TradingRule>, DecodeError> {
    let sets_named = entry.permission_sets.iter().flatten().chain(&entry.permissions).count() > 0;
    let spot = entry.permission_sets.iter().flatten().chain(&entry.permissions).any(|name| *name == "SPOT");
    if sets_named && !spot {
        return Ok(None);
    }
    Ok(Some(TradingRule {
        tradable: entry.status == "TRADING" && entry.is_spot_trading_allowed,
        ..family::trading_rule(entry.symbol, (entry.base_asset, entry.quote_asset), &entry.filters)?
    }))
}

/// A balance from its two parts.
pub(crate) fn balance(asset: &str, free: Num, locked: Num, time: Option<UnixNanos>) -> BalanceReport {
    BalanceReport { asset: Asset::new(asset), total: Some(free.0 + locked.0), available: Some(free.0), time }
}

fn my_trade(trade: &wire::MyTrade<'_>, symbols: &Symbols) -> Fill {
    Fill {
        market: symbols.market(trade.symbol),
        client_order_id: None,
        exchange_order_id: Some(ExchangeOrderId::from(trade.order_id)),
        trade_id: TradeId::from(trade.id),
        side: if trade.is_buyer { Side::Buy } else { Side::Sell },
        price: trade.price.0,
        amount: trade.qty.0,
        fee: Some(Fee { asset: Asset::new(trade.commission_asset), amount: trade.commission.0 }),
        maker: Some(trade.is_maker),
        position_side: None,
        cause: None,
        time: Some(UnixNanos::from_millis(trade.time)),
    }
}

/// The word for an order type.
pub(crate) const fn type_word(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Limit => "LIMIT",
        OrderType::LimitMaker => "LIMIT_MAKER",
        OrderType::Market => "MARKET",
    }
}
