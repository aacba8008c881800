//! What an account chooses: D/trade/rest-api (leverage, margin type, position mode, isolated margin).

use connector_core::Decimal;
use connector_core::position::{PositionMode, PositionSide};
use connector_venue::exchange::Exchange;
use connector_venue::orders::{AccountId, Reject};
use connector_venue::perpetual::MarginMode;
use serde_json::{Value, json};
use spot_binance::venue::answer::Refused;
use spot_binance::venue::params::Params;

use super::market::symbol;
use super::orders::position_side;
use super::{account, refusals};

/// What most changes of settings are answered with.
fn success() -> Value {
    json!({ "code": 200, "msg": "success" })
}

/// Reads a truth value that must be there.
fn required_flag(params: Params<'_>, name: &str) -> Result<bool, Refused> {
    params.required(name)?;
    params.flag(name)
}

/// `POST positionSide/dual`.
pub(super) fn set_position_mode(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let hedge = required_flag(params, "dualSidePosition")?;
    let mode = if hedge { PositionMode::Hedge } else { PositionMode::OneWay };
    exchange.set_position_mode(account, mode).map_err(refusals::position_mode)?;
    Ok(success())
}

/// `POST multiAssetsMargin`.
pub(super) fn set_multi_assets(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let enabled = required_flag(params, "multiAssetsMargin")?;
    exchange.set_multi_assets(account, enabled).map_err(refusals::multi_assets)?;
    Ok(success())
}

/// `POST leverage`.
pub(super) fn set_leverage(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let word = params.required("leverage")?;
    let wanted = params.integer("leverage")?.unwrap_or_default();
    let settings = exchange
        .set_leverage(account, &symbol, Decimal::from(wanted))
        .map_err(|reject| refusals::leverage(reject, word))?;
    Ok(json!({
        "leverage": account::whole(settings.leverage),
        "maxNotionalValue": account::max_notional(exchange, &symbol, settings.leverage), "symbol": symbol,
    }))
}

/// `POST marginType`.
pub(super) fn set_margin_mode(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let mode = match params.required("marginType")? {
        "ISOLATED" => MarginMode::Isolated,
        "CROSSED" => MarginMode::Cross,
        _ => return Err(Refused::invalid("marginType")),
    };
    exchange.set_margin_mode(account, &symbol, mode).map_err(refusals::margin_mode)?;
    Ok(success())
}

/// `POST positionMargin`.
pub(super) fn add_margin(
    params: Params<'_>,
    account: AccountId,
    exchange: &mut Exchange,
) -> Result<Value, Refused> {
    let symbol = symbol(params, exchange)?;
    let amount = params.required_number("amount")?;
    let kind = params.required("type")?;
    let adds = match kind {
        "1" => true,
        "2" => false,
        _ => return Err(Refused::invalid("type")),
    };
    if amount <= Decimal::ZERO {
        return Err(Refused::new(-4055, "Amount must be positive."));
    }
    let side = position_side(params)?;
    let hedge = exchange.position_mode(account) == PositionMode::Hedge;
    if hedge == (side == PositionSide::Both) {
        return Err(refusals::placement(Reject::PositionSide));
    }
    let signed = if adds { amount } else { -amount };
    exchange
        .add_isolated_margin(account, &symbol, side, signed)
        .map_err(|reject| refusals::isolated_margin(reject, adds))?;
    let number = super::market::plain(amount).parse::<serde_json::Number>();
    Ok(json!({
        "amount": number.map_or(Value::Null, Value::Number), "code": 200,
        "msg": "Successfully modify position margin.", "type": if adds { 1 } else { 2 },
    }))
}

/// `POST feeBurn`: fees are paid in the margin asset here, which is all that can be asked for.
pub(super) fn set_fee_burn(params: Params<'_>) -> Result<Value, Refused> {
    if required_flag(params, "feeBurn")? { Err(refusals::unsupported()) } else { Ok(success()) }
}
