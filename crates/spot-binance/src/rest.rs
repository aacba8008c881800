//! Requests: one [`Endpoint`] for each, and how their answers read.

use connector_core::dialect::{
    Auth, Cost, DecodeError, Draft, Endpoint, FillsQuery, OrderQuery, Payload, PlaceQuery, Rest, Row, Source,
    Symbols,
};
use connector_core::json::{Json, entries, parse_answer, read_answer, read_members, required_list};
use connector_core::message::{
    BalanceReport, BookMessage, Fee, FeeRates, Fill, Market, Message, OrderReport, Sink, TradingRule,
};
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{Asset, ClientOrderId, Decimal, ExchangeOrderId, Pair, TradeId};
use smol_str::SmolStr;

use crate::spec::{ORDERS_DAY, ORDERS_TEN_SECONDS, RAW, WEIGHT, docs, either, weight};
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
        |payload, _| {
            parse_answer("ping", payload.bytes, |json| match json.is_object() {
                true => Ok(()),
                false => Err(DecodeError::new("ping", "not an object")),
            })
        },
    ),
    server_time: Some(Endpoint::new(
        Row::get("server_time", "/api/v3/time", Auth::Public, &[weight(1), RAW], GENERAL),
        |(), _| {},
        |payload, out| {
            read_answer("server_time", payload.bytes, |answer: wire::ServerTime| {
                out.message(Message::ServerTime { time: UnixNanos::from_millis(answer.server_time) });
                Ok(())
            })
        },
    )),
    rules: Endpoint::new(
        Row::get("rules", "/api/v3/exchangeInfo", Auth::Public, &[weight(20), RAW], GENERAL),
        |(), _| {},
        |payload, out| {
            parse_answer("rules", payload.bytes, |json| {
                let symbols = required_list(json.get("symbols"), "rules")?;
                entries(symbols, ("symbol", "symbol"), out, |entry: wire::SymbolInfo<'_>| {
                    Ok(trading_rule(&entry)?.map(Message::TradingRule))
                });
                Ok(())
            })
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
        |payload, out| {
            read_answer("last_price", payload.bytes, |answer: wire::LastPrice<'_>| {
                let market = payload.symbols.market(answer.symbol);
                out.message(Message::LastPrice { market, price: answer.price.0 });
                Ok(())
            })
        },
    ),
    book: Endpoint::new(
        Row::get("book", "/api/v3/depth", Auth::Public, &[BOOK_WEIGHT, RAW], MARKET_DATA),
        |query, draft| {
            draft.query.push("symbol", &query.symbol);
            draft.query.push("limit", query.depth.clamp(1, 5000));
        },
        decode_book,
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
        encode_order_query,
        |payload, out| decode_order("cancel", payload, out),
    ),
    order: Endpoint::new(
        Row::get("order", "/api/v3/order", Auth::Signed, &[weight(4), RAW], ACCOUNT),
        encode_order_query,
        |payload, out| decode_order("order", payload, out),
    ),
    open_orders: Endpoint::new(
        Row::get("open_orders", "/api/v3/openOrders", Auth::Signed, &[either("symbol", 6, 80), RAW], ACCOUNT),
        |query, draft| draft.query.push_some("symbol", query.symbol.as_ref()),
        |payload, out| {
            parse_answer("open_orders", payload.bytes, |json| {
                let orders = required_list(Some(json), "open_orders")?;
                entries(orders, ("order", "symbol"), out, |entry: wire::Order<'_>| {
                    Ok([Message::Order(order_report(&entry, payload.symbols, "order")?)])
                });
                Ok(())
            })
        },
    ),
    fills: Endpoint::new(
        Row::get("fills", "/api/v3/myTrades", Auth::Signed, &[either("orderId", 5, 20), RAW], ACCOUNT),
        encode_fills,
        |payload, out| {
            parse_answer("fills", payload.bytes, |json| {
                let fills = required_list(Some(json), "fills")?;
                entries(fills, ("fill", "symbol"), out, |entry: wire::MyTrade<'_>| {
                    Ok([Message::Fill(my_trade(&entry, payload.symbols))])
                });
                Ok(())
            })
        },
    ),
    fills_page: FILLS_PAGE,
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

const FILLS_PAGE: u32 = 1000;
const BOOK_WEIGHT: Cost = Cost::steps(WEIGHT, "limit", 100, &[(100, 5), (500, 25), (1000, 50), (5000, 250)]);
const PLACE_COST: &[Cost] = &[weight(1), Cost::fixed(ORDERS_TEN_SECONDS, 1), Cost::fixed(ORDERS_DAY, 1), RAW];

fn encode_place(query: &PlaceQuery, draft: &mut Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push("side", side_word(query.side));
    params.push("type", type_word(query.order_type));
    // The venue refuses a time in force where the type implies it.
    if query.order_type == OrderType::Limit {
        params.push("timeInForce", time_in_force_word(query.time_in_force));
    }
    params.push("quantity", query.amount.normalize());
    if query.order_type != OrderType::Market {
        params.push_some("price", query.price.map(|price| price.normalize()));
    }
    params.push("newClientOrderId", &query.client_order_id);
    // Asked for in so many words, as the default differs by type: the answer then carries state, fills and fees.
    params.push("newOrderRespType", "FULL");
}

/// One id is enough, and the venue's own is the safer: a cancelled order may answer to a new client order id.
fn encode_order_query(query: &OrderQuery, draft: &mut Draft) {
    draft.query.push("symbol", &query.symbol);
    match (&query.exchange_order_id, &query.client_order_id) {
        (Some(id), _) => draft.query.push("orderId", id),
        (None, id) => draft.query.push_some("origClientOrderId", id.as_ref()),
    }
}

/// The venue takes these together: an order, a first id, both, or a start time alone.
fn encode_fills(query: &FillsQuery, draft: &mut Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push_some("orderId", query.exchange_order_id.as_ref());
    params.push_some("fromId", query.from.as_ref());
    if query.exchange_order_id.is_none() && query.from.is_none() {
        params.push_some("startTime", query.since.map(UnixNanos::millis));
    }
    params.push("limit", query.limit.clamp(1, FILLS_PAGE));
}

fn decode_book(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, market, .. } = payload;
    let unnamed = Market::Symbol(SmolStr::default());
    let market = market.unwrap_or(&unnamed);
    parse_answer("book", bytes, |json| {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let last_id = crate::stream::read_snapshot(json, &mut bids, &mut asks)?;
        out.book(BookMessage { last_id: Some(last_id), ..BookMessage::snapshot(market, &bids, &asks) });
        Ok(())
    })
}

fn decode_placed(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    read_order("place", bytes, |order| {
        let report = order_report(&order, symbols, "place")?;
        for fill in order.fills.iter().flatten() {
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
    })
}

fn decode_order(what: &'static str, payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    read_order(what, bytes, |order| {
        out.message(Message::Order(order_report(&order, symbols, what)?));
        Ok(())
    })
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
    let pair = Pair::new(entry.base_asset, entry.quote_asset)
        .ok_or_else(|| DecodeError::new("symbol", "an asset has no name"))?;
    let filter = |name: &str| entry.filters.iter().find(|filter| filter.filter_type == name);
    // A bound of zero is a bound that is switched off.
    let bound = |number: Option<Num>| number.map(|number| number.0).filter(|number| !number.is_zero());
    let price = filter("PRICE_FILTER").ok_or_else(|| DecodeError::new("symbol", "no PRICE_FILTER"))?;
    let lot = filter("LOT_SIZE").ok_or_else(|| DecodeError::new("symbol", "no LOT_SIZE"))?;
    let notional = |name| filter(name).and_then(|filter| bound(filter.min_notional));
    Ok(Some(TradingRule {
        pair,
        exchange_symbol: SmolStr::new(entry.symbol),
        min_amount: bound(lot.min_qty),
        max_amount: bound(lot.max_qty),
        amount_step: bound(lot.step_size),
        price_step: bound(price.tick_size),
        min_price: bound(price.min_price),
        max_price: bound(price.max_price),
        min_notional: notional("NOTIONAL").max(notional("MIN_NOTIONAL")),
        contract_size: None,
        collateral: None,
        tradable: entry.status == "TRADING" && entry.is_spot_trading_allowed,
    }))
}

/// A balance from its two parts.
pub(crate) fn balance(asset: &str, free: Num, locked: Num, time: Option<UnixNanos>) -> BalanceReport {
    BalanceReport { asset: Asset::new(asset), total: Some(free.0 + locked.0), available: Some(free.0), time }
}

/// Reads the answer to a placement, a cancel or a query straight off the parser's tape: it is on the way of every order.
fn read_order<'i>(
    what: &'static str,
    bytes: &'i mut [u8],
    take: impl FnOnce(wire::Order<'i>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut order = wire::Order::default();
    read_members(what, bytes, |name, value| {
        let malformed = || DecodeError::missing(what, name);
        let text = || value.text().ok_or_else(malformed);
        let int = || value.int().ok_or_else(malformed);
        let number = || value.decimal().map(|number| Some(Num(number))).ok_or_else(malformed);
        match name {
            _ if value.is_null() => {}
            "symbol" => order.symbol = text()?,
            "orderId" => order.order_id = int()?,
            "clientOrderId" => order.client_order_id = text()?,
            "origClientOrderId" => order.orig_client_order_id = Some(text()?),
            "status" => order.status = Some(text()?),
            "type" => order.order_type = Some(text()?),
            "side" => order.side = Some(text()?),
            "price" => order.price = number()?,
            "origQty" => order.orig_qty = number()?,
            "executedQty" => order.executed_qty = number()?,
            "transactTime" => order.transact_time = Some(int()?),
            "updateTime" => order.update_time = Some(int()?),
            "expiryReason" => order.expiry_reason = Some(text()?),
            "fills" if value.is_array() => {
                order.fills = Some(value.items().map(|fill| fill.read(what)).collect::<Result<_, _>>()?);
            }
            "fills" => return Err(malformed()),
            // What else it tells is not needed.
            _ => {}
        }
        Ok(())
    })?;
    take(order)
}

fn order_report(
    order: &wire::Order<'_>,
    symbols: &Symbols,
    what: &'static str,
) -> Result<OrderReport, DecodeError> {
    if order.symbol.is_empty() || order.order_id <= 0 {
        return Err(DecodeError::new(what, "`symbol` or `orderId` is missing"));
    }
    // An answer without a status only says that the order was accepted.
    let state = order.status.map_or(OrderState::Open, order_state);
    let order_type = order.order_type.and_then(order_type);
    let id = order.orig_client_order_id.unwrap_or(order.client_order_id);
    Ok(OrderReport {
        market: symbols.market(order.symbol),
        client_order_id: (!id.is_empty()).then(|| ClientOrderId::new(id)),
        exchange_order_id: Some(ExchangeOrderId::from(order.order_id)),
        state,
        side: order.side.and_then(side),
        order_type,
        price: order.price.and_then(|price| limit_price(price, order_type)),
        amount: order.orig_qty.map(|amount| amount.0),
        filled_amount: order.executed_qty.map(|amount| amount.0),
        reason: reason(state, order.status, order.expiry_reason),
        time: order.update_time.or(order.transact_time).map(UnixNanos::from_millis),
    })
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

/// The venue's word for an order's state. A new word is not guessed at.
pub(crate) fn order_state(word: &str) -> OrderState {
    match word {
        "NEW" | "PENDING_NEW" => OrderState::Open,
        "PARTIALLY_FILLED" => OrderState::PartiallyFilled,
        "FILLED" => OrderState::Filled,
        "CANCELED" => OrderState::Cancelled,
        "PENDING_CANCEL" => OrderState::PendingCancel,
        "REJECTED" => OrderState::Failed,
        "EXPIRED" | "EXPIRED_IN_MATCH" => OrderState::Expired,
        _ => OrderState::Unknown,
    }
}

/// Why the order ended; for a state whose word is new to us, the word.
pub(crate) fn reason(state: OrderState, status: Option<&str>, given: Option<&str>) -> Option<String> {
    let word = if state == OrderState::Unknown { status } else { None };
    given.or(word).map(ToOwned::to_owned)
}

/// The limit price, where the type has one.
pub(crate) fn limit_price(price: Num, order_type: Option<OrderType>) -> Option<Decimal> {
    (order_type != Some(OrderType::Market) && !price.0.is_zero()).then_some(price.0)
}

/// The venue's word for a side.
pub(crate) fn side(word: &str) -> Option<Side> {
    match word {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// The venue's word for an order type; `None` for types we do not place.
pub(crate) fn order_type(word: &str) -> Option<OrderType> {
    match word {
        "LIMIT" => Some(OrderType::Limit),
        "LIMIT_MAKER" => Some(OrderType::LimitMaker),
        "MARKET" => Some(OrderType::Market),
        _ => None,
    }
}

pub(crate) const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

pub(crate) const fn type_word(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Limit => "LIMIT",
        OrderType::LimitMaker => "LIMIT_MAKER",
        OrderType::Market => "MARKET",
    }
}

pub(crate) const fn time_in_force_word(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::Gtc => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
    }
}
