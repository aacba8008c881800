//! Requests: one [`Endpoint`] for each, and how their answers read.

use connector_core::dialect::{
    Auth, BookQuery, Cost, DecodeError, Endpoint, FillsQuery, Method, OpenOrdersQuery, OrderQuery, Params,
    Payload, PlaceQuery, Repeat, Rest, Row, Source, SymbolQuery, Symbols, Weight,
};
use connector_core::message::{
    BalanceReport, BookMessage, Fee, FeeRates, Fill, Market, Message, OrderReport, Sink, TradingRule,
};
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{Asset, ClientOrderId, Decimal, ExchangeOrderId, Pair, TradeId};
use smol_str::{SmolStr, format_smolstr};

use crate::spec::{ORDERS_DAY, ORDERS_TEN_SECONDS, RAW_REQUESTS, WEIGHT, page};
use crate::wire::{self, Json, Num, parse_answer};

const GENERAL: Source =
    page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints");
const MARKET_DATA: Source =
    page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints");
const TRADING: Source =
    page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints");
const ACCOUNT: Source =
    page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints");

/// The venue's requests.
pub(crate) const REST: Rest = Rest {
    ping: PING,
    server_time: Some(SERVER_TIME),
    rules: RULES,
    last_price: LAST_PRICE,
    book: BOOK,
    balances: BALANCES,
    place: PLACE,
    cancel: CANCEL,
    order: ORDER,
    open_orders: OPEN_ORDERS,
    fills: FILLS,
    fills_page: 1000,
    fees: Some(FEES),
};

const fn raw() -> Cost {
    Cost { pool: RAW_REQUESTS, weight: Weight::Fixed(1) }
}

const fn weight(units: u32) -> Cost {
    Cost { pool: WEIGHT, weight: Weight::Fixed(units) }
}

const PING: Endpoint<()> = Endpoint {
    row: Row {
        name: "ping",
        method: Method::Get,
        path: "/api/v3/ping",
        auth: Auth::Public,
        costs: &[weight(1), raw()],
        repeat: Repeat::Safe,
        source: GENERAL,
    },
    encode: |(), _| {},
    decode: |payload, _| {
        parse_answer("ping", payload.bytes, |json| {
            if json.is_object() { Ok(()) } else { Err(DecodeError::new("ping", "not an object")) }
        })
    },
};

const SERVER_TIME: Endpoint<()> = Endpoint {
    row: Row {
        name: "server_time",
        method: Method::Get,
        path: "/api/v3/time",
        auth: Auth::Public,
        costs: &[weight(1), raw()],
        repeat: Repeat::Safe,
        source: GENERAL,
    },
    encode: |(), _| {},
    decode: |payload, out| {
        parse_answer("server_time", payload.bytes, |json| {
            let answer: wire::ServerTime = json.read("server_time")?;
            out.message(Message::ServerTime { time: UnixNanos::from_millis(answer.server_time) });
            Ok(())
        })
    },
};

const RULES: Endpoint<()> = Endpoint {
    row: Row {
        name: "rules",
        method: Method::Get,
        path: "/api/v3/exchangeInfo",
        auth: Auth::Public,
        costs: &[weight(20), raw()],
        repeat: Repeat::Safe,
        source: GENERAL,
    },
    encode: |(), _| {},
    decode: |payload, out| {
        parse_answer("rules", payload.bytes, |json| {
            let symbols = required_list(json.get("symbols"), "rules")?;
            entries(symbols, "symbol", out, |entry: wire::SymbolInfo<'_>, out| {
                if let Some(rule) = trading_rule(&entry)? {
                    out.message(Message::TradingRule(rule));
                }
                Ok(())
            });
            Ok(())
        })
    },
};

const LAST_PRICE: Endpoint<SymbolQuery> = Endpoint {
    row: Row {
        name: "last_price",
        method: Method::Get,
        path: "/api/v3/ticker/price",
        auth: Auth::Public,
        costs: &[
            Cost { pool: WEIGHT, weight: Weight::Present { param: "symbol", with: 2, without: 4 } },
            raw(),
        ],
        repeat: Repeat::Safe,
        source: MARKET_DATA,
    },
    encode: |query, draft| draft.query.push("symbol", &query.symbol),
    decode: |payload, out| {
        let symbols = payload.symbols;
        parse_answer("last_price", payload.bytes, |json| {
            let answer: wire::LastPrice<'_> = json.read("last_price")?;
            out.message(Message::LastPrice { market: symbols.market(answer.symbol), price: answer.price.0 });
            Ok(())
        })
    },
};

const BOOK: Endpoint<BookQuery> = Endpoint {
    row: Row {
        name: "book",
        method: Method::Get,
        path: "/api/v3/depth",
        auth: Auth::Public,
        costs: &[
            Cost {
                pool: WEIGHT,
                weight: Weight::Steps {
                    param: "limit",
                    absent: 100,
                    steps: &[(100, 5), (500, 25), (1000, 50), (5000, 250)],
                },
            },
            raw(),
        ],
        repeat: Repeat::Safe,
        source: MARKET_DATA,
    },
    encode: |query, draft| {
        draft.query.push("symbol", &query.symbol);
        draft.query.push("limit", query.depth.clamp(1, 5000));
    },
    decode: |payload, out| {
        let unnamed = Market::Symbol(SmolStr::default());
        let market = payload.market.unwrap_or(&unnamed);
        parse_answer("book", payload.bytes, |json| {
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            let last_id = crate::stream::read_snapshot(json, &mut bids, &mut asks)?;
            out.book(BookMessage {
                snapshot: true,
                market,
                bids: &bids,
                asks: &asks,
                first_id: None,
                last_id: Some(last_id),
                prev_id: None,
                time: None,
            });
            Ok(())
        })
    },
};

const BALANCES: Endpoint<()> = Endpoint {
    row: Row {
        name: "balances",
        method: Method::Get,
        path: "/api/v3/account",
        auth: Auth::Signed,
        costs: &[weight(20), raw()],
        repeat: Repeat::Safe,
        source: ACCOUNT,
    },
    encode: |(), draft| draft.query.push("omitZeroBalances", "true"),
    decode: |payload, out| {
        parse_answer("balances", payload.bytes, |json| {
            let time = json.get("updateTime").and_then(Json::int).map(UnixNanos::from_millis);
            let balances = required_list(json.get("balances"), "balances")?;
            entries(balances, "balance", out, |entry: wire::Balance<'_>, out| {
                out.message(Message::Balance(balance(entry.asset, entry.free, entry.locked, time)));
                Ok(())
            });
            Ok(())
        })
    },
};

const PLACE: Endpoint<PlaceQuery> = Endpoint {
    row: Row {
        name: "place",
        method: Method::Post,
        path: "/api/v3/order",
        auth: Auth::Signed,
        // A placement that succeeds costs no weight since 2026-04-02; one that fails does, so it is set aside.
        costs: &[
            weight(1),
            Cost { pool: ORDERS_TEN_SECONDS, weight: Weight::Fixed(1) },
            Cost { pool: ORDERS_DAY, weight: Weight::Fixed(1) },
            raw(),
        ],
        repeat: Repeat::LookUp,
        source: TRADING,
    },
    encode: encode_place,
    decode: |payload, out| {
        let symbols = payload.symbols;
        parse_answer("place", payload.bytes, |json| {
            let order: wire::Order<'_> = json.read("place")?;
            let report = order_report(&order, symbols, "place")?;
            for fill in order.fills.iter().flatten() {
                out.message(Message::Fill(Fill {
                    market: report.market.clone(),
                    client_order_id: report.client_order_id.clone(),
                    exchange_order_id: report.exchange_order_id.clone(),
                    trade_id: TradeId::new(format_smolstr!("{}", fill.trade_id)),
                    side: report.side.ok_or_else(|| DecodeError::new("place", "fills without `side`"))?,
                    price: fill.price.0,
                    amount: fill.qty.0,
                    fee: Some(Fee { asset: Asset::new(fill.commission_asset), amount: fill.commission.0 }),
                    // What a placement's own answer lists, it took.
                    maker: Some(false),
                    time: report.time,
                }));
            }
            out.message(Message::Order(report));
            Ok(())
        })
    },
};

const CANCEL: Endpoint<OrderQuery> = Endpoint {
    row: Row {
        name: "cancel",
        method: Method::Delete,
        path: "/api/v3/order",
        auth: Auth::Signed,
        costs: &[weight(1), raw()],
        repeat: Repeat::LookUp,
        source: TRADING,
    },
    encode: encode_order_query,
    decode: |payload, out| decode_order(payload, out, "cancel"),
};

const ORDER: Endpoint<OrderQuery> = Endpoint {
    row: Row {
        name: "order",
        method: Method::Get,
        path: "/api/v3/order",
        auth: Auth::Signed,
        costs: &[weight(4), raw()],
        repeat: Repeat::Safe,
        source: ACCOUNT,
    },
    encode: encode_order_query,
    decode: |payload, out| decode_order(payload, out, "order"),
};

const OPEN_ORDERS: Endpoint<OpenOrdersQuery> = Endpoint {
    row: Row {
        name: "open_orders",
        method: Method::Get,
        path: "/api/v3/openOrders",
        auth: Auth::Signed,
        costs: &[
            Cost { pool: WEIGHT, weight: Weight::Present { param: "symbol", with: 6, without: 80 } },
            raw(),
        ],
        repeat: Repeat::Safe,
        source: ACCOUNT,
    },
    encode: |query, draft| draft.query.push_some("symbol", query.symbol.as_ref()),
    decode: |payload, out| {
        let symbols = payload.symbols;
        parse_answer("open_orders", payload.bytes, |json| {
            let orders = required_list(Some(json), "open_orders")?;
            entries(orders, "order", out, |entry: wire::Order<'_>, out| {
                out.message(Message::Order(order_report(&entry, symbols, "order")?));
                Ok(())
            });
            Ok(())
        })
    },
};

const FILLS: Endpoint<FillsQuery> = Endpoint {
    row: Row {
        name: "fills",
        method: Method::Get,
        path: "/api/v3/myTrades",
        auth: Auth::Signed,
        costs: &[
            Cost { pool: WEIGHT, weight: Weight::Present { param: "orderId", with: 5, without: 20 } },
            raw(),
        ],
        repeat: Repeat::Safe,
        source: ACCOUNT,
    },
    encode: encode_fills,
    decode: |payload, out| {
        let symbols = payload.symbols;
        parse_answer("fills", payload.bytes, |json| {
            let fills = required_list(Some(json), "fills")?;
            entries(fills, "fill", out, |entry: wire::MyTrade<'_>, out| {
                out.message(Message::Fill(my_trade(&entry, symbols)));
                Ok(())
            });
            Ok(())
        })
    },
};

const FEES: Endpoint<SymbolQuery> = Endpoint {
    row: Row {
        name: "fees",
        method: Method::Get,
        path: "/api/v3/account/commission",
        auth: Auth::Signed,
        costs: &[weight(20), raw()],
        repeat: Repeat::Safe,
        source: ACCOUNT,
    },
    encode: |query, draft| draft.query.push("symbol", &query.symbol),
    decode: |payload, out| {
        let symbols = payload.symbols;
        parse_answer("fees", payload.bytes, |json| {
            let answer: wire::Commission<'_> = json.read("fees")?;
            let parts = [answer.standard_commission, answer.special_commission, answer.tax_commission];
            let total =
                |rate: fn(&wire::Rates) -> Num| parts.iter().map(|part| rate(part).0).sum::<Decimal>();
            // Buyer's or seller's rate comes on top; where they differ, the dearer one: an estimate must not be short.
            let side = total(|rates| rates.buyer).max(total(|rates| rates.seller));
            out.message(Message::Fees(FeeRates {
                market: symbols.market(answer.symbol),
                maker: total(|rates| rates.maker) + side,
                taker: total(|rates| rates.taker) + side,
            }));
            Ok(())
        })
    },
};

fn encode_place(query: &PlaceQuery, draft: &mut connector_core::dialect::Draft) {
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

fn encode_order_query(query: &OrderQuery, draft: &mut connector_core::dialect::Draft) {
    draft.query.push("symbol", &query.symbol);
    push_order_id(query, &mut draft.query);
}

/// One id is enough, and the venue's own is the safer: a cancelled order may answer to a new client order id.
fn push_order_id(query: &OrderQuery, params: &mut Params) {
    match (&query.exchange_order_id, &query.client_order_id) {
        (Some(id), _) => params.push("orderId", id),
        (None, id) => params.push_some("origClientOrderId", id.as_ref()),
    }
}

/// The venue takes these together: an order, a first id, both, or a start time alone.
fn encode_fills(query: &FillsQuery, draft: &mut connector_core::dialect::Draft) {
    let params = &mut draft.query;
    params.push("symbol", &query.symbol);
    params.push_some("orderId", query.exchange_order_id.as_ref());
    params.push_some("fromId", query.from.as_ref());
    if query.exchange_order_id.is_none() && query.from.is_none() {
        params.push_some("startTime", query.since.map(UnixNanos::millis));
    }
    params.push("limit", query.limit.clamp(1, REST.fills_page));
}

fn decode_order(payload: Payload<'_>, out: &mut dyn Sink, what: &'static str) -> Result<(), DecodeError> {
    let Payload { bytes, symbols, .. } = payload;
    parse_answer(what, bytes, |json| {
        let order: wire::Order<'_> = json.read(what)?;
        out.message(Message::Order(order_report(&order, symbols, what)?));
        Ok(())
    })
}

/// Reads each entry of a list; an entry that cannot be read is reported and the rest is kept.
fn entries<'t, 'i: 't, T: serde::Deserialize<'i>>(
    list: Json<'t, 'i>,
    what: &'static str,
    out: &mut dyn Sink,
    mut take: impl FnMut(T, &mut dyn Sink) -> Result<(), DecodeError>,
) {
    for entry in list.items() {
        if let Err(error) = entry.read(what).and_then(|entry| take(entry, out)) {
            let name = ["symbol", "asset", "orderId"].iter().find_map(|key| entry.get(key)?.text());
            let error = match name {
                Some(name) => format!("{error} ({name})"),
                None => error.to_string(),
            };
            out.message(Message::Skipped { error });
        }
    }
}

fn required_list<'t, 'i>(
    list: Option<Json<'t, 'i>>,
    what: &'static str,
) -> Result<Json<'t, 'i>, DecodeError> {
    list.filter(|list| list.is_array()).ok_or_else(|| DecodeError::new(what, "the list is missing"))
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
        tradable: entry.status == "TRADING" && entry.is_spot_trading_allowed,
    }))
}

/// A balance from its two parts.
pub(crate) fn balance(asset: &str, free: Num, locked: Num, time: Option<UnixNanos>) -> BalanceReport {
    BalanceReport { asset: Asset::new(asset), total: Some(free.0 + locked.0), available: Some(free.0), time }
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
        exchange_order_id: Some(ExchangeOrderId::new(format_smolstr!("{}", order.order_id))),
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
        exchange_order_id: Some(ExchangeOrderId::new(format_smolstr!("{}", trade.order_id))),
        trade_id: TradeId::new(format_smolstr!("{}", trade.id)),
        side: if trade.is_buyer { Side::Buy } else { Side::Sell },
        price: trade.price.0,
        amount: trade.qty.0,
        fee: Some(Fee { asset: Asset::new(trade.commission_asset), amount: trade.commission.0 }),
        maker: Some(trade.is_maker),
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
