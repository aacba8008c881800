//! Control of perpetual contracts and listen keys.

use connector_core::{Asset, Decimal};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::{Outcome, Wrong, account, bad, history, limit, read, shown};
use crate::fields::Fields;
use crate::orders::AccountId;
use crate::venue::Venue;

/// Tells `null`, which lets go, from an absent member, which changes nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Decimal>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(super) fn positions(venue: &Venue, fields: &Fields) -> Outcome {
    let account = account(venue, fields)?;
    let exchange = venue.exchange();
    Ok(json!({
        "mode": exchange.position_mode(account),
        "multi_assets": exchange.multi_assets(account),
        "positions": shown(&exchange.positions(account, fields.get("symbol")))?,
        "margins": shown(&exchange.margins(account))?,
    }))
}

pub(super) fn incomes(venue: &Venue, fields: &Fields) -> Outcome {
    shown(&venue.exchange().incomes(account(venue, fields)?, None, &history(fields)))
}

pub(super) fn contract(venue: &Venue, symbol: Option<&str>, rates: usize) -> Outcome {
    let exchange = venue.exchange();
    let symbol = symbol.ok_or_else(|| bad("symbol is missing"))?;
    let contract = exchange.market(symbol).and_then(|market| market.contract.as_ref());
    let contract = contract.ok_or_else(|| Wrong(404, format!("no such contract: {symbol}")))?;
    Ok(json!({
        "contract": shown(contract)?,
        "prices": shown(&exchange.mark_price(symbol))?,
        "rates": shown(&exchange.funding_rates(symbol, None, None, rates))?,
        "open_interest": exchange.open_interest(symbol),
        "insurance_fund": exchange.insurance_fund(&contract.collateral),
    }))
}

pub(super) fn shown_contract(venue: &Venue, fields: &Fields) -> Outcome {
    contract(venue, fields.get("symbol"), limit(fields, 100))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractChange {
    symbol: SmolStr,
    #[serde(default, deserialize_with = "present")]
    mark: Option<Option<Decimal>>,
    #[serde(default, deserialize_with = "present")]
    index: Option<Option<Decimal>>,
    #[serde(default, deserialize_with = "present")]
    rate: Option<Option<Decimal>>,
    #[serde(default)]
    settle: bool,
}

pub(super) fn change_contract(venue: &mut Venue, body: &[u8]) -> Outcome {
    let change: ContractChange = read(body)?;
    let symbol = change.symbol.as_str();
    let exchange = venue.exchange_mut();
    if let Some(rate) = change.rate {
        exchange.set_funding_rate(symbol, rate).map_err(bad)?;
    }
    if let Some(index) = change.index {
        exchange.set_index_price(symbol, index).map_err(bad)?;
    }
    if let Some(mark) = change.mark {
        exchange.set_mark_price(symbol, mark).map_err(bad)?;
    }
    if change.settle {
        exchange.settle_funding(symbol).map_err(bad)?;
    }
    contract(venue, Some(symbol), 1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleverage {
    account: Option<u32>,
    symbol: SmolStr,
}

pub(super) fn deleverage(venue: &mut Venue, body: &[u8]) -> Outcome {
    let wanted: Deleverage = read(body)?;
    let account = venue.account(wanted.account);
    let exchange = venue.exchange_mut();
    exchange.deleverage(account, &wanted.symbol).map_err(bad)?;
    shown(&exchange.positions(account, Some(&wanted.symbol)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insurance {
    asset: SmolStr,
    exhausted: Option<bool>,
    amount: Option<Decimal>,
}

pub(super) fn insurance(venue: &mut Venue, body: &[u8]) -> Outcome {
    let change: Insurance = read(body)?;
    let asset = Asset::new(&change.asset);
    let exchange = venue.exchange_mut();
    if let Some(amount) = change.amount {
        exchange.transfer(AccountId::INSURANCE, &asset, amount).map_err(bad)?;
    }
    if let Some(exhausted) = change.exhausted {
        exchange.exhaust_insurance_fund(&asset, exhausted);
    }
    Ok(json!({ "asset": asset, "fund": exchange.insurance_fund(&asset) }))
}

pub(super) fn listen_keys(venue: &Venue) -> Value {
    let keys = venue.exchange().listen_keys().iter();
    keys.map(|(account, key, expires)| json!({ "account": account, "key": key, "expires_ns": expires }))
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenKeyChange {
    account: Option<u32>,
    refuse: Option<bool>,
    #[serde(default)]
    expire: bool,
}

pub(super) fn change_listen_key(venue: &mut Venue, body: &[u8]) -> Outcome {
    let change: ListenKeyChange = read(body)?;
    let account = venue.account(change.account);
    let exchange = venue.exchange_mut();
    if let Some(refuse) = change.refuse {
        exchange.refuse_listen_key(account, refuse);
    }
    if change.expire {
        exchange.end_listen_key(account).map_err(bad)?;
    }
    Ok(listen_keys(venue))
}
