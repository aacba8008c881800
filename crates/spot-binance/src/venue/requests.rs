//! Requests, whichever way they came: REST and the WebSocket API share parameters and answers.

use connector_core::time::UnixNanos;
use connector_core::{Decimal, dialect::Pool};
use connector_venue::exchange::Exchange;
use connector_venue::ledger::HistoryQuery;
use connector_venue::limits::ScopeKey;
use connector_venue::news::PublicTrade;
use connector_venue::orders::{AccountId, Order, Which};
use connector_venue::setup::Fees;
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::family::ORDERS_TEN_SECONDS;
use crate::spec::ORDERS_DAY;
use crate::venue::answer::{Refused, interval};
use crate::venue::params::Params;
use crate::venue::{market, orders, rows};
use crate::wire::{Num, Rates};

/// Answers a request that is authenticated and paid for. `account` is there where the row is signed.
pub(super) fn answer(
    row: &str,
    params: Params<'_>,
    account: Option<AccountId>,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    if let Some(account) = account {
        return private(row, params, account, exchange);
    }
    match row {
        "ping" => Ok(json!({})),
        "server_time" => Ok(json!({ "serverTime": exchange.now().millis() })),
        "rules" => market::exchange_info(params, exchange),
        "book" => {
            let (symbol, limit) = (symbol(params, exchange)?, params.limit(100, 5000)?);
            let depth = exchange.depth(&symbol, limit).ok_or_else(Refused::invalid_symbol)?;
            Ok(market::depth(&depth))
        }
        "last_price" => each(params, exchange, |exchange, symbol| {
            let ticker = exchange.ticker(symbol)?;
            Some(json!({ "symbol": symbol, "price": Num(ticker.last) }))
        }),
        "book_ticker" => each(params, exchange, |exchange, symbol| {
            exchange.best(symbol).map(|best| market::book_ticker(&best))
        }),
        "ticker_24h" => {
            let mini = match params.optional("type")? {
                None | Some("FULL") => false,
                Some("MINI") => true,
                Some(_) => return Err(Refused::new(-1139, "Invalid ticker type.")),
            };
            each(params, exchange, |exchange, symbol| {
                let (ticker, best) = (exchange.ticker(symbol)?, exchange.best(symbol)?);
                Some(market::ticker(&ticker, &best, mini))
            })
        }
        "avg_price" => {
            let ticker = exchange.ticker(&symbol(params, exchange)?).ok_or_else(Refused::invalid_symbol)?;
            Ok(json!({ "mins": 5, "price": Num(ticker.last), "closeTime": ticker.until.millis() }))
        }
        "trades" => public_trades(params, None, exchange, market::trade),
        "historical_trades" => public_trades(params, params.integer("fromId")?, exchange, market::trade),
        "agg_trades" => market::agg_trades(params, exchange, market::agg_trade),
        _ => Err(Refused::new(-1020, "This operation is not supported.")),
    }
}

fn private(
    row: &str,
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    match row {
        "balances" => balances(params, account, exchange),
        "place" => {
            let (submit, detail) = orders::placement(params, &symbol(params, exchange)?)?;
            let placed = exchange.place(account, &submit).map_err(|reject| Refused::placement(&reject))?;
            Ok(orders::placed(&placed.order, &placed.executions, detail))
        }
        rows::TEST_ORDER => test_order(params, account, exchange),
        "cancel" => cancel(params, account, exchange),
        rows::CANCEL_ALL => cancel_all(params, account, exchange),
        "order" => {
            let symbol = symbol(params, exchange)?;
            let (which, client) = orders::which(params)?;
            let order = exchange.order(account, &symbol, &which);
            let order = order.ok_or_else(|| Refused::new(-2013, "Order does not exist."))?;
            check_client(order, client)?;
            Ok(orders::queried(order))
        }
        "open_orders" => {
            let symbol = match params.optional("symbol")? {
                Some(_) => Some(symbol(params, exchange)?),
                None => None,
            };
            let open = exchange.open_orders(account, symbol.as_deref());
            Ok(open.into_iter().map(orders::queried).collect())
        }
        "all_orders" => {
            let query = history(params, "orderId", exchange)?;
            Ok(exchange.all_orders(account, &query).into_iter().map(orders::queried).collect())
        }
        "fills" => {
            let mut query = history(params, "fromId", exchange)?;
            query.order_id = params.integer("orderId")?;
            Ok(exchange.fills(account, &query).into_iter().map(orders::my_trade).collect())
        }
        "fees" => fees(params, account, exchange),
        "order_limits" => Ok(order_limits(account, exchange)),
        _ => Err(Refused::new(-1020, "This operation is not supported.")),
    }
}

fn symbol(params: Params<'_>, exchange: &Exchange) -> Result<SmolStr, Refused> {
    params.market(exchange).map(|market| market.symbol.clone())
}

/// An answer for one market, or a list of answers.
fn each(
    params: Params<'_>,
    exchange: &Exchange,
    tell: impl Fn(&Exchange, &str) -> Option<Value>,
) -> Result<Value, Refused> {
    let (markets, list) = params.markets(exchange)?;
    let mut told = markets.into_iter().filter_map(|market| tell(exchange, &market.symbol));
    if list { Ok(told.collect()) } else { told.next().ok_or_else(Refused::invalid_symbol) }
}

fn public_trades(
    params: Params<'_>,
    from: Option<u64>,
    exchange: &Exchange,
    tell: fn(&PublicTrade) -> Value,
) -> Result<Value, Refused> {
    let (symbol, limit) = (symbol(params, exchange)?, params.limit(500, 1000)?);
    Ok(exchange.public_trades(&symbol, limit, from).iter().map(tell).collect())
}

fn history(params: Params<'_>, from: &str, exchange: &Exchange) -> Result<HistoryQuery, Refused> {
    /// Longest span of a query by time.
    const DAY: i64 = 24 * 3600 * 1000;
    let (since, until) = (params.millis("startTime")?, params.millis("endTime")?);
    if since.zip(until).is_some_and(|(since, until)| until - since > DAY) {
        return Err(Refused::new(-1127, "More than 24 hours between startTime and endTime."));
    }
    Ok(HistoryQuery {
        symbol: Some(symbol(params, exchange)?),
        order_id: None,
        from_id: params.integer(from)?,
        since: since.map(UnixNanos::from_millis),
        // The last millisecond is meant as a whole.
        until: until.map(|until| UnixNanos::from_millis(until).offset(999_999)),
        limit: Some(params.limit(500, 1000)?),
    })
}

fn balances(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let omit_zeros = params.flag("omitZeroBalances")?;
    let held = exchange.balances(account);
    let balances: Vec<Value> = held
        .iter()
        .filter(|(_, balance)| !omit_zeros || !balance.total().is_zero())
        .map(|(asset, balance)| json!({ "asset": asset, "free": Num(balance.free), "locked": Num(balance.locked) }))
        .collect();
    let may_trade = exchange.keys().iter().any(|key| key.account == account && key.may_trade);
    let fees = exchange.markets().first().map(|market| exchange.fees(account, &market.symbol));
    let fees = fees.unwrap_or(Fees { maker_ppm: 0, taker_ppm: 0 });
    let rates = rates(fees);
    Ok(json!({
        "makerCommission": fees.maker_ppm / 100, "takerCommission": fees.taker_ppm / 100,
        "buyerCommission": 0, "sellerCommission": 0, "commissionRates": rates,
        "canTrade": may_trade, "canWithdraw": false, "canDeposit": false, "brokered": false,
        "requireSelfTradePrevention": false, "preventSor": false,
        "updateTime": exchange.balances_changed(account).millis(), "accountType": "SPOT",
        "balances": balances, "permissions": ["SPOT"], "uid": 354_937_868_u64 + u64::from(account.0),
    }))
}

fn rates(fees: Fees) -> Rates {
    let rate = |ppm: i64| Num(Decimal::new(ppm, 6));
    Rates { maker: rate(fees.maker_ppm), taker: rate(fees.taker_ppm), ..Rates::default() }
}

fn fees(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    Ok(json!({
        "symbol": symbol, "standardCommission": rates(exchange.fees(account, &symbol)),
        "specialCommission": Rates::default(), "taxCommission": Rates::default(),
        "discount": { "enabledForAccount": false, "enabledForSymbol": true, "discountAsset": "BNB",
            "discount": Num(Decimal::new(25, 2)) },
    }))
}

fn test_order(params: Params<'_>, account: AccountId, exchange: &Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let (submit, _) = orders::placement(params, &symbol)?;
    exchange.check(account, &submit).map_err(|reject| Refused::placement(&reject))?;
    if !params.flag("computeCommissionRates")? {
        return Ok(json!({}));
    }
    let rates = rates(exchange.fees(account, &symbol));
    let none = json!({ "maker": Num::default(), "taker": Num::default() });
    Ok(json!({
        "standardCommissionForOrder": { "maker": rates.maker, "taker": rates.taker },
        "specialCommissionForOrder": none, "taxCommissionForOrder": none,
        "discount": { "enabledForAccount": false, "enabledForSymbol": true, "discountAsset": "BNB",
            "discount": Num(Decimal::new(25, 2)) },
    }))
}

fn check_client(order: &Order, client: Option<&str>) -> Result<(), Refused> {
    if client.is_some_and(|client| order.client_id != client) {
        return Err(Refused::new(-2039, "Client order ID is not correct for this order ID."));
    }
    Ok(())
}

fn cancel(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let (which, client) = orders::which(params)?;
    let given = params.client_id("newClientOrderId")?;
    let unknown = || Refused::new(-2011, "Unknown order sent.");
    let order =
        exchange.order(account, &symbol, &which).filter(|order| order.is_live()).ok_or_else(unknown)?;
    check_client(order, client)?;
    let untouched = order.filled.is_zero();
    match params.optional("cancelRestrictions")? {
        None => {}
        Some("ONLY_NEW") if untouched => {}
        Some("ONLY_PARTIALLY_FILLED") if !untouched => {}
        Some("ONLY_NEW" | "ONLY_PARTIALLY_FILLED") => {
            return Err(Refused::new(-2011, "Order was not canceled due to cancel restrictions."));
        }
        Some(_) => return Err(Refused::new(-1145, "Invalid cancelRestrictions")),
    }
    let id = order.id;
    let cancel_id = given.map_or_else(|| orders::made_up_id(id, exchange.now()), SmolStr::new);
    let order = exchange
        .cancel(account, &symbol, &Which::Id(id), Some(&cancel_id))
        .map_err(|reject| Refused::cancel(&reject))?;
    Ok(orders::cancelled(&order, &cancel_id))
}

fn cancel_all(params: Params<'_>, account: AccountId, exchange: &mut Exchange) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let open: Vec<u64> = exchange.open_orders(account, Some(&symbol)).iter().map(|order| order.id).collect();
    let first = open.first().copied().ok_or_else(|| Refused::new(-2011, "Unknown order sent."))?;
    // One request, one id of its own, which all cancels carry.
    let cancel_id = orders::made_up_id(first, exchange.now());
    let mut ended = Vec::new();
    for id in open {
        let order = exchange.cancel(account, &symbol, &Which::Id(id), Some(&cancel_id));
        ended.push(orders::cancelled(&order.map_err(|reject| Refused::cancel(&reject))?, &cancel_id));
    }
    Ok(Value::Array(ended))
}

fn order_limits(account: AccountId, exchange: &Exchange) -> Value {
    let now = exchange.now();
    let pools =
        exchange.limits().pools().filter(|(pool, _)| matches!(pool.name, ORDERS_TEN_SECONDS | ORDERS_DAY));
    let tell = |(pool, limit): (&Pool, u32)| {
        let (number, unit) = interval(pool.window.period().as_secs());
        let count = exchange.limits().used(pool.name, ScopeKey::Account(account), now);
        json!({ "rateLimitType": "ORDERS", "interval": unit, "intervalNum": number, "limit": limit, "count": count })
    };
    let mut all: Vec<(u64, Value)> =
        pools.map(|entry| (entry.0.window.period().as_secs(), tell(entry))).collect();
    all.sort_by_key(|(period, _)| *period);
    all.into_iter().map(|(_, value)| value).collect()
}
