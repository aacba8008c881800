//! Modifications: D/trade/rest-api/Modify-Order.

use connector_core::order::{OrderType, Side};
use connector_venue::exchange::Exchange;
use connector_venue::orders::{AccountId, Order, Reject};
use serde_json::Value;
use spot_binance::family::side_word;
use spot_binance::venue::answer::Refused;
use spot_binance::venue::params::Params;

use super::{orders, refusals};

/// Gives an open limit order another price and amount; both must be sent.
pub(super) fn modify(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let market = params.market(exchange)?.clone();
    let modify_id = params.integer("modifyId")?;
    let which = orders::which(params)?;
    let side = spot_binance::venue::orders::side(params)?;
    let amount = orders::quantity(params, &market)?;
    let price = orders::price(params, &market)?;
    let found = exchange.order(account, &market.symbol, &which).filter(|order| order.is_live());
    let order = found.ok_or_else(refusals::no_order)?;
    check(params, order, side)?;
    orders::check_percent(price, side, &market, exchange)?;
    let amended = exchange.modify(account, &market.symbol, &which, price, amount);
    let placed = amended.map_err(|reject| match reject {
        Reject::NoChange => Refused::new(-5027, "No need to modify the order."),
        Reject::MarketClosed => {
            Refused::new(-5024, "Symbol is not in trading status. Order amendment is not permitted.")
        }
        Reject::Rule(connector_venue::orders::Rule::MinNotional) => {
            let least = super::market::plain(market.rules.min_notional);
            Refused::new(-5029, format!("Order's notional must be no smaller than {least}"))
        }
        Reject::UnknownOrder => refusals::no_order(),
        other => refusals::placement(other),
    })?;
    Ok(orders::modified(&placed.order, modify_id))
}

fn check(params: Params<'_>, order: &Order, side: Side) -> Result<(), Refused> {
    if order.order_type == OrderType::Market {
        return Err(Refused::new(-5025, "Only limit order is supported."));
    }
    if order.side != side {
        return Err(Refused::new(-1117, format!("Invalid side: the order's is {}.", side_word(order.side))));
    }
    if params.flag("reduceOnly")? && !order.reduce_only {
        return Err(Refused::new(-5047, "The original order is not a reduce-only order"));
    }
    Ok(())
}
