//! What an account has by the venue's ledger, in the words a connector uses.

use std::collections::BTreeMap;

use connector_core::engine::Balance;
use connector_core::time::Now;
use connector_core::{Asset, Decimal};
use connector_venue::exchange::Exchange;
use connector_venue::orders::AccountId;
use connector_venue::venue::Venue;

use crate::bench::Failure;

/// Everything held and what new orders can take of it, by asset. Of collateral the total is the wallet, profit not made yet
/// left out, and available is what new positions can be opened with.
#[must_use]
pub fn balances(exchange: &Exchange, account: AccountId) -> BTreeMap<Asset, Balance> {
    let collaterals = exchange.collaterals();
    let told = exchange.balances(account).into_iter().map(|(asset, held)| {
        let balance = if collaterals.contains(&asset) {
            let margin = exchange.margin(account, &asset);
            Balance { total: margin.wallet, available: margin.available }
        } else {
            Balance { total: held.total(), available: held.free }
        };
        (asset, balance)
    });
    told.collect()
}

/// Everything held, by asset; of collateral with the profit that positions have not made yet, at mark prices.
#[must_use]
pub fn worth(exchange: &Exchange, account: AccountId) -> BTreeMap<Asset, Decimal> {
    let collaterals = exchange.collaterals();
    let told = exchange.balances(account).into_iter().map(|(asset, held)| {
        let worth = if collaterals.contains(&asset) {
            exchange.margin(account, &asset).margin_balance
        } else {
            held.total()
        };
        (asset, worth)
    });
    told.collect()
}

/// What differs between the balances a connector knows and the ledger's; empty if nothing.
#[must_use]
pub fn balance_errors(
    ours: &BTreeMap<Asset, Balance>,
    exchange: &Exchange,
    account: AccountId,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (asset, ledger) in balances(exchange, account) {
        let held = ours.get(&asset).copied().unwrap_or_default();
        if held != ledger {
            wrong.push(format!(
                "{asset}: {} total and {} available, but the ledger has {} and {}",
                held.total, held.available, ledger.total, ledger.available
            ));
        }
    }
    wrong
}

/// Holds the mark price of every contract where it is, so that what positions are worth does not change by itself.
///
/// # Errors
/// The venue has no such price.
pub fn still_marks(venue: &mut Venue, now: Now) -> Result<(), Failure> {
    let exchange = venue.exchange_mut();
    let contracts = exchange.markets().into_iter().filter(|market| market.contract.is_some());
    let marks: Vec<_> = contracts.map(|market| (market.symbol.clone(), market.reference_price)).collect();
    for (symbol, price) in marks {
        exchange
            .set_mark_price(&symbol, Some(price))
            .map_err(|reject| Failure(format!("the mark price of {symbol} cannot be held: {reject}")))?;
    }
    venue.advance(now);
    Ok(())
}
