//! What an account has by the venue's ledger, in the words a connector uses.

use std::collections::BTreeMap;

use connector_core::engine::Balance;
use connector_core::position::{Position, PositionSide};
use connector_core::time::Now;
use connector_core::{Asset, Decimal, Pair};
use connector_venue::exchange::Exchange;
use connector_venue::orders::AccountId;
use connector_venue::venue::Venue;

use crate::bench::Failure;

/// Decimal places to which venues show the average price of a position.
const REPORTED_PLACES: u32 = 8;

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
fn balance_errors(ours: &BTreeMap<Asset, Balance>, exchange: &Exchange, account: AccountId) -> Vec<String> {
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

/// An open position in the words of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The pair.
    pub pair: Pair,
    /// Which way it goes.
    pub side: PositionSide,
    /// Base amount, positive.
    pub amount: Decimal,
    /// Average price it was entered at.
    pub entry_price: Decimal,
    /// What closing it at the mark price would bring.
    pub unrealised: Decimal,
    /// That price.
    pub mark_price: Decimal,
}

/// The account's open positions by the ledger, by pair.
#[must_use]
pub fn positions(exchange: &Exchange, account: AccountId) -> Vec<Held> {
    let open = exchange.positions(account, None).into_iter().filter(|view| !view.amount.is_zero());
    let mut held: Vec<Held> = open
        .filter_map(|view| {
            let market = exchange.market(&view.symbol)?;
            Some(Held {
                pair: Pair::new(market.base.as_str(), market.quote.as_str())?,
                side: if view.side == PositionSide::Both { PositionSide::of(view.amount) } else { view.side },
                amount: view.amount.abs(),
                entry_price: view.entry_price,
                unrealised: view.unrealised,
                mark_price: view.mark_price,
            })
        })
        .collect();
    held.sort_by(|one, other| (&one.pair, one.side).cmp(&(&other.pair, other.side)));
    held
}

/// What differs between the positions a connector knows and the ledger's; empty if nothing.
#[must_use]
pub fn position_errors(ours: &[Position], exchange: &Exchange, account: AccountId) -> Vec<String> {
    let theirs = positions(exchange, account);
    let mut wrong = Vec::new();
    for ledger in &theirs {
        let known: Vec<_> =
            ours.iter().filter(|known| known.pair == ledger.pair && known.side == ledger.side).collect();
        if !matches!(known.as_slice(), [known] if same_position(known, ledger)) {
            wrong.push(format!("the ledger has {ledger:?}, known is {known:?}"));
        }
    }
    let is_there =
        |known: &Position| theirs.iter().any(|held| (&held.pair, held.side) == (&known.pair, known.side));
    for known in ours.iter().filter(|known| !is_there(known)) {
        wrong.push(format!("the ledger has nothing of {known:?}"));
    }
    wrong
}

fn same_position(known: &Position, ledger: &Held) -> bool {
    let finest = Decimal::new(1, REPORTED_PLACES);
    let near = |known: Option<Decimal>, truth: Decimal, most: Decimal| {
        known.is_some_and(|known| (known - truth).abs() <= most)
    };
    known.amount == ledger.amount
        && near(known.entry_price, ledger.entry_price, finest)
        && known.mark_price == Some(ledger.mark_price)
        && near(known.unrealised, ledger.unrealised, finest * (ledger.amount + Decimal::ONE))
}

/// Everything a connector has wrong about an account: balances, and positions where there are any.
#[must_use]
pub fn account_errors(
    balances: &BTreeMap<Asset, Balance>,
    positions: &[Position],
    exchange: &Exchange,
    account: AccountId,
) -> Vec<String> {
    let mut wrong = balance_errors(balances, exchange, account);
    wrong.extend(position_errors(positions, exchange, account));
    wrong
}
