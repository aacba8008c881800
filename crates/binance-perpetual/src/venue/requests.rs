//! Requests of REST, by the name of their row.

use connector_core::Decimal;
use connector_core::position::PositionMode;
use connector_core::time::UnixNanos;
use connector_venue::exchange::Exchange;
use connector_venue::fields::Fields;
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{AccountId, Order, Origin, Which};
use serde_json::{Value, json};
use smol_str::SmolStr;
use spot_binance::venue::answer::Refused;
use spot_binance::venue::params::Params;

use super::market::{self, each, empty, symbol};
use super::orders::Detail;
use super::{account, orders, refusals, settings};

/// Milliseconds of the longest span of a query by time, and of the usual one.
const WEEK: i64 = 7 * 24 * 3600 * 1000;
/// Most orders in one request.
const PLACED_AT_ONCE: usize = 5;
/// Most cancels in one request.
const CANCELLED_AT_ONCE: usize = 10;

/// Answers a request about markets.
pub(super) fn public(row: &str, params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    match row {
        "ping" => Ok(empty()),
        "server_time" => Ok(json!({ "serverTime": exchange.now().millis() })),
        "rules" => Ok(market::exchange_info(exchange)),
        "book" => market::depth(params, exchange),
        "last_price" => each(params, exchange, |symbol| market::last_price(exchange, symbol)),
        "book_ticker" => each(params, exchange, |symbol| {
            exchange.best(symbol).map(|best| market::book_ticker(exchange, &best))
        }),
        "ticker_24h" => each(params, exchange, |symbol| market::ticker(exchange, symbol)),
        "funding_info" => each(params, exchange, |symbol| market::mark_price(exchange, symbol)),
        "open_interest" => {
            let symbol = symbol(params, exchange)?;
            let held = market::plain(exchange.open_interest(&symbol));
            Ok(json!({ "openInterest": held, "symbol": symbol, "time": exchange.now().millis() }))
        }
        "funding_rates" => funding_rates(params, exchange),
        "funding_intervals" => Ok(market::funding_intervals(exchange)),
        "trades" => {
            let (symbol, limit) = (symbol(params, exchange)?, params.limit(500, 1000)?);
            Ok(exchange.public_trades(&symbol, limit, None).iter().map(market::trade).collect())
        }
        "historical_trades" => {
            let (symbol, limit) = (symbol(params, exchange)?, params.limit(100, 500)?);
            let from = params.integer("fromId")?;
            Ok(exchange.public_trades(&symbol, limit, from).iter().map(market::trade).collect())
        }
        "agg_trades" => agg_trades(params, exchange),
        "klines" => market::klines(params, exchange),
        _ => Err(refusals::unsupported()),
    }
}

/// Answers a request of an account that is authenticated and paid for.
pub(super) fn private(
    row: &str,
    account: AccountId,
    params: Params<'_>,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    match row {
        "place" => place(params, account, exchange),
        "test_order" => test_order(params, account, exchange),
        "modify" => super::modify::modify(params, account, exchange),
        "cancel" => cancel(params, account, exchange),
        "place_many" => {
            several(params, "batchOrders", PLACED_AT_ONCE, |params| place(params, account, exchange))
        }
        "modify_several" => several(params, "batchOrders", PLACED_AT_ONCE, |params| {
            super::modify::modify(params, account, exchange)
        }),
        "cancel_many" => cancel_several(params, account, exchange),
        "cancel_all" => cancel_all(params, account, exchange),
        "countdown" => countdown(params, account, exchange),
        "set_position_mode" => settings::set_position_mode(params, account, exchange),
        "set_multi_assets" => settings::set_multi_assets(params, account, exchange),
        "set_leverage" => settings::set_leverage(params, account, exchange),
        "set_margin_mode" => settings::set_margin_mode(params, account, exchange),
        "add_margin" => settings::add_margin(params, account, exchange),
        "set_fee_burn" => settings::set_fee_burn(params),
        "stream_key" => {
            let key = exchange.create_listen_key(account).map_err(|_| Refused::bad_key())?;
            Ok(json!({ "listenKey": key }))
        }
        "keep_key" => {
            let key = exchange.keep_listen_key(account).map_err(|_| refusals::no_listen_key())?;
            Ok(json!({ "listenKey": key }))
        }
        "end_listen_key" => {
            exchange.end_listen_key(account).map_err(|_| refusals::no_listen_key())?;
            Ok(empty())
        }
        row => read(row, params, account, exchange),
    }
}

/// Answers a request that changes nothing.
fn read(row: &str, params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    match row {
        "order" => order(params, account, exchange, |_| true).map(orders::queried),
        "open_order" => order(params, account, exchange, Order::is_live).map(orders::queried),
        "open_orders" => {
            let symbol = one_or_all(params, exchange)?;
            Ok(exchange.open_orders(account, symbol.as_deref()).into_iter().map(orders::queried).collect())
        }
        "all_orders" => {
            let mut query = history(params, one_or_all(params, exchange)?, (500, 1000), WEEK)?;
            query.from_id = params.integer("orderId")?;
            Ok(exchange.all_orders(account, &query).into_iter().map(orders::listed).collect())
        }
        "force_orders" => force_orders(params, account, exchange),
        "fills" => fills(params, account, exchange),
        "balances" => Ok(account::balances(account, exchange)),
        "account" => Ok(account::account(account, exchange)),
        "account_v2" => Ok(account::account_v2(account, exchange)),
        "positions" => Ok(account::positions(account, one_or_all(params, exchange)?.as_deref(), exchange)),
        "positions_v2" => {
            Ok(account::positions_v2(account, one_or_all(params, exchange)?.as_deref(), exchange))
        }
        "account_config" => Ok(account::configuration(account, exchange)),
        "position_mode" => {
            Ok(json!({ "dualSidePosition": exchange.position_mode(account) == PositionMode::Hedge }))
        }
        "multi_assets" => Ok(json!({ "multiAssetsMargin": exchange.multi_assets(account) })),
        "fee_burn" => Ok(json!({ "feeBurn": false })),
        "leverage" => list(params, exchange, |symbol| {
            let settings = exchange.market_settings(account, symbol)?;
            Some(account::settings(exchange, symbol, settings))
        }),
        "brackets" => each(params, exchange, |symbol| {
            let contract = exchange.market(symbol)?.contract.as_ref()?;
            Some(account::brackets(symbol, contract))
        }),
        "deleverage_ranks" => {
            list(params, exchange, |symbol| account::deleverage_ranks(account, symbol, exchange))
        }
        "fees" => {
            let symbol = symbol(params, exchange)?;
            let fees = exchange.fees(account, &symbol);
            let rate = |ppm: i64| market::plain(Decimal::new(ppm, 6));
            Ok(json!({
                "symbol": symbol, "makerCommissionRate": rate(fees.maker_ppm),
                "takerCommissionRate": rate(fees.taker_ppm), "rpiCommissionRate": rate(fees.maker_ppm),
            }))
        }
        "funding_payments" => incomes(params, account, exchange),
        "order_limits" => {
            let limits = spot_binance::venue::market::limits(exchange).into_iter();
            Ok(limits
                .filter(|limit| limit.get("rateLimitType").is_some_and(|kind| kind == "ORDERS"))
                .collect())
        }
        _ => Err(refusals::unsupported()),
    }
}

/// The symbol asked about, if one is.
fn one_or_all(params: Params<'_>, exchange: &Exchange) -> Result<Option<SmolStr>, Refused> {
    params.optional("symbol")?.map(|_| symbol(params, exchange)).transpose()
}

/// A list of answers: of the symbol asked about, or of all.
fn list(
    params: Params<'_>,
    exchange: &Exchange,
    tell: impl Fn(&str) -> Option<Value>,
) -> Result<Value, Refused> {
    let wanted = one_or_all(params, exchange)?;
    let markets = exchange.markets().into_iter();
    let named = markets.filter(|market| wanted.as_ref().is_none_or(|wanted| market.symbol == *wanted));
    Ok(named.filter_map(|market| tell(&market.symbol)).collect())
}

fn place(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let (submit, detail) = orders::placement(params, account, exchange)?;
    let placed = exchange.place(account, &submit).map_err(refusals::placement)?;
    Ok(orders::placed(&placed.order, detail))
}

/// Checks an order and answers as if it had been taken.
fn test_order(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let (submit, _) = orders::placement(params, account, exchange)?;
    let order = exchange.preview(account, &submit).map_err(refusals::placement)?;
    Ok(orders::placed(&order, Detail::Ack))
}

fn order<'e>(
    params: Params<'_>,
    account: AccountId,
    exchange: &'e Exchange,
    wanted: impl Fn(&Order) -> bool,
) -> Result<&'e Order, Refused> {
    let symbol = symbol(params, exchange)?;
    let which = orders::which(params)?;
    exchange.order(account, &symbol, &which).filter(|order| wanted(order)).ok_or_else(refusals::no_order)
}

fn cancel(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let (symbol, which) = (symbol(params, exchange)?, orders::which(params)?);
    exchange
        .cancel(account, &symbol, &which, None)
        .map_err(refusals::cancel)
        .map(|order| orders::acted(&order))
}

/// Does the same for each of a list of parameters in JSON; what is refused does not keep the others from being done.
fn several(
    params: Params<'_>,
    name: &str,
    most: usize,
    mut deed: impl FnMut(Params<'_>) -> Result<Value, Refused>,
) -> Result<Value, Refused> {
    let all: Vec<Value> = serde_json::from_str(params.required(name)?).map_err(|_| Refused::invalid(name))?;
    if all.is_empty() || all.len() > most {
        return Err(Refused::new(-4082, "Invalid number of batch place order requests."));
    }
    let answers = all.iter().map(|one| {
        let fields = Fields::of_json(one);
        deed(Params(&fields)).unwrap_or_else(|refused| refused.body())
    });
    Ok(answers.collect())
}

fn cancel_several(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let ids = |name: &str| -> Result<Option<Vec<Value>>, Refused> {
        let list = params.optional(name)?;
        list.map(|list| serde_json::from_str(list).map_err(|_| Refused::invalid(name))).transpose()
    };
    let all: Vec<Which> = match (ids("orderIdList")?, ids("origClientOrderIdList")?) {
        (Some(ids), _) => ids.iter().filter_map(Value::as_u64).map(Which::Id).collect(),
        (None, Some(ids)) => {
            ids.iter().filter_map(Value::as_str).map(|id| Which::Client(SmolStr::new(id))).collect()
        }
        (None, None) => return Err(Refused::missing("orderIdList")),
    };
    if all.is_empty() || all.len() > CANCELLED_AT_ONCE {
        return Err(Refused::new(-4083, "Invalid number of batch cancel order requests."));
    }
    let answers = all.iter().map(|which| match exchange.cancel(account, &symbol, which, None) {
        Ok(order) => orders::acted(&order),
        Err(reject) => refusals::cancel(reject).body(),
    });
    Ok(answers.collect())
}

/// Cancels all open orders of a symbol; that there are none is no error.
fn cancel_all(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    // Refused only where nothing is open.
    let _ = exchange.cancel_all(account, &symbol);
    Ok(json!({ "code": 200, "msg": "The operation of cancel all open order is done." }))
}

fn countdown(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let word = params.required("countdownTime")?;
    let millis = params.integer("countdownTime")?.unwrap_or_default();
    let due = i64::try_from(millis).ok().filter(|millis| *millis > 0);
    let due = due.map(|millis| UnixNanos::from_millis(exchange.now().millis().saturating_add(millis)));
    exchange.cancel_all_at(account, &symbol, due).map_err(refusals::cancel)?;
    Ok(json!({ "symbol": symbol, "countdownTime": word }))
}

fn funding_rates(params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    let wanted = one_or_all(params, exchange)?;
    let (since, until) = (params.millis("startTime")?, params.millis("endTime")?);
    let limit = params.limit(100, 1000)?;
    let symbols: Vec<SmolStr> = match wanted {
        Some(symbol) => vec![symbol],
        None => exchange.markets().iter().map(|market| market.symbol.clone()).collect(),
    };
    let time = |millis: Option<i64>| millis.map(UnixNanos::from_millis);
    let mut rates: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| exchange.funding_rates(symbol, time(since), time(until), limit))
        .collect();
    rates.sort_by(|a, b| (a.time, &a.symbol).cmp(&(b.time, &b.symbol)));
    if since.is_some() {
        rates.truncate(limit);
    } else {
        rates.drain(..rates.len().saturating_sub(limit));
    }
    Ok(rates.iter().map(market::funding_rate).collect())
}

fn agg_trades(params: Params<'_>, exchange: &Exchange) -> Result<Value, Refused> {
    spot_binance::venue::market::agg_trades(params, exchange, market::agg_trade)
}

/// Reads a span of time and a page size; without a start, the last week is meant.
fn history(
    params: Params<'_>,
    symbol: Option<SmolStr>,
    (usual, most): (u64, u64),
    longest: i64,
) -> Result<HistoryQuery, Refused> {
    let (since, until) = (params.millis("startTime")?, params.millis("endTime")?);
    if since.zip(until).is_some_and(|(since, until)| until.saturating_sub(since) > longest) {
        return Err(Refused::new(-4165, "Maximum time interval is 7 days"));
    }
    Ok(HistoryQuery {
        symbol,
        since: since.map(UnixNanos::from_millis),
        // The last millisecond is meant as a whole.
        until: until.map(|until| UnixNanos::from_millis(until).offset(999_999)),
        limit: Some(params.limit(usual, most)?),
        ..HistoryQuery::default()
    })
}

/// The start of the last week before the query's end, or before now.
fn last_week(query: &HistoryQuery, exchange: &Exchange) -> UnixNanos {
    let end = query.until.unwrap_or_else(|| exchange.now());
    UnixNanos::from_millis(end.millis() - WEEK)
}

/// The oldest of the window come first, also where the window is the usual one.
fn fills(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let market = params.market(exchange)?;
    let asset = market.contract.as_ref().map(|contract| contract.collateral.clone());
    let mut query = history(params, Some(market.symbol.clone()), (500, 1000), WEEK)?;
    query.order_id = params.integer("orderId")?;
    query.from_id = params.integer("fromId")?;
    if query.from_id.is_some() && (query.since.is_some() || query.until.is_some()) {
        return Err(Refused::new(-1128, "Combination of optional parameters invalid."));
    }
    if query.from_id.is_none() && query.since.is_none() {
        query.since = Some(last_week(&query, exchange));
    }
    let asset = asset.as_ref().map(|asset| asset.as_str()).unwrap_or_default();
    Ok(exchange.fills(account, &query).into_iter().map(|fill| orders::fill(fill, asset)).collect())
}

fn incomes(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let kind = account::income_kind(params)?;
    let mut query = history(params, one_or_all(params, exchange)?, (100, 1000), i64::MAX)?;
    if query.since.is_none() {
        query.since = Some(last_week(&query, exchange));
    }
    let kind = match kind {
        Some(None) => return Ok(Value::Array(Vec::new())),
        Some(kind) => kind,
        None => None,
    };
    Ok(exchange.incomes(account, kind, &query).into_iter().map(account::income).collect())
}

/// Orders by which the exchange closed positions.
fn force_orders(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let wanted: &[Origin] = match params.optional("autoCloseType")? {
        None => &[Origin::Liquidation, Origin::Deleverage],
        Some("LIQUIDATION") => &[Origin::Liquidation],
        Some("ADL") => &[Origin::Deleverage],
        Some(_) => return Err(Refused::invalid("autoCloseType")),
    };
    let mut query = history(params, one_or_all(params, exchange)?, (50, 100), WEEK)?;
    let limit = query.limit.take().unwrap_or(usize::MAX);
    let all = exchange.all_orders(account, &query).into_iter();
    Ok(all.filter(|order| wanted.contains(&order.origin)).take(limit).map(orders::listed).collect())
}
