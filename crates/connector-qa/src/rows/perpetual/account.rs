//! Rows about keys, collateral and leverage.

use connector_core::keystore::{Effort, Keystore, KeystoreError};
use connector_core::order::Side;
use connector_core::position::PositionSide;
use connector_core::{Cause, Credentials, Decimal, Event, Secret};
use connector_venue::keys::{ApiKey, KeyState};

use super::{SILENCE, filled, ledger, lots, plain, taking};
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, PATIENCE, Plan, ensure};
use crate::kit::Kit;
use crate::report::Detail;
use crate::rows::orders;
use crate::scratch::Scratch;

/// Tries keys as a user would: by connecting with them.
async fn try_keys(bench: &Bench, keys: Credentials) -> Result<(), connector_core::Error> {
    let connector = bench.open(Plan { credentials: keys, pairs: Vec::new(), ..bench.plan() }).await?;
    connector.stop(PATIENCE).await
}

/// The keys stored are these, and the connector that runs on them trades.
async fn in_use(
    store: &Keystore,
    name: &str,
    desk: &mut Desk,
    ground: &Ground,
    key: &str,
) -> Result<(), Failure> {
    let stored = store.load(name).map_err(Failure::new)?;
    ensure(stored.key == key, || "other keys are stored than those that work".to_owned())?;
    let id = desk.connector.place(ground.resting(Side::Buy))?;
    desk.created(&id).await?;
    desk.connector.cancel(&id)?;
    desk.ended(&id).await.map(drop)
}

/// PQ-01.
///
/// # Errors
/// The key that was taken though it does not work, or the one that was lost.
pub async fn key_replacement(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let ground = bench.ground()?.clone();
    let files = Scratch::new("keys").map_err(Failure::new)?;
    let quick = Effort { memory_kib: 8, passes: 1 };
    let store = Keystore::new(files.file("keys"), Secret::new("passphrase")).effort(quick);
    let name = bench.spec.name;
    store.store(name, &bench.credentials()).map_err(Failure::new)?;
    let working = store.load(name).map_err(Failure::new)?;
    let mut desk = bench.desk_of(Plan { credentials: working, ..bench.plan() }).await?;
    let key = bench.key().key.clone();
    let expired =
        ApiKey { state: KeyState::Expired, ..ApiKey::hmac("e".repeat(64), bench.account, "s".repeat(64)) };
    bench.server.with(|venue, _| venue.exchange_mut().keys_mut().insert(expired));
    let refusals = [Cause::Credentials, Cause::Signature, Cause::Permission];
    let mut rows = Vec::new();
    for (what, invalid) in [
        ("unknown key", Credentials::new("k".repeat(64), "s".repeat(64))),
        ("wrong secret", Credentials::new(key.as_str(), "w".repeat(64))),
        ("expired key", Credentials::new("e".repeat(64), "s".repeat(64))),
        ("empty secret", Credentials::new(key.as_str(), "")),
    ] {
        let told = store.replace(name, invalid, |keys| try_keys(&bench, keys)).await;
        let error = match told {
            Err(KeystoreError::Refused(error)) => error,
            other => return Err(Failure(format!("{what}: told as {other:?}"))),
        };
        ensure(refusals.contains(&error.cause), || format!("{what}: refused for {error}"))?;
        in_use(&store, name, &mut desk, &ground, &key)
            .await
            .map_err(|failure| Failure(format!("{what}: {}", failure.0)))?;
        rows.push(vec![what.to_owned(), error.to_string()]);
    }
    // One that works takes the place, and what it replaces goes on working until it is revoked.
    let second = "n".repeat(64);
    let fresh = ApiKey::hmac(&second, bench.account, "t".repeat(64));
    bench.server.with(|venue, _| venue.exchange_mut().keys_mut().insert(fresh));
    let keys = Credentials::new(second.as_str(), "t".repeat(64));
    store.replace(name, keys, |keys| try_keys(&bench, keys)).await.map_err(Failure::new)?;
    in_use(&store, name, &mut desk, &ground, &second).await?;
    let keys = store.load(name).map_err(Failure::new)?;
    let mut other = bench.desk_of(Plan { credentials: keys, ..bench.plan() }).await?;
    in_use(&store, name, &mut other, &ground, &second).await?;
    ensure(desk.connector.is_ready(), || "the connector on the first key is not ready any more".to_owned())?;
    let text = format!(
        "{} invalid keys refused, each with its reason: the working one stayed stored and in use; one that works took its place",
        rows.len()
    );
    let head = ["replacement", "refused"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Replacements".to_owned(), head, rows }))
}

/// What the ledger has of the collateral.
fn margin(bench: &Bench, ground: &Ground) -> [Decimal; 4] {
    let asset = ground.spends(Side::Buy);
    let view = bench.look(|exchange| exchange.margin(bench.account, &asset));
    [view.wallet, view.available, view.position_margin, view.order_margin]
}

/// A step of [`collateral`]: its name, and what is done.
enum Step {
    Rest(Side),
    Take(Side, i64),
    Leverage(i64),
    Mark(i64),
    Cancel,
}

/// PQ-02.
///
/// # Errors
/// The step after which total or available are not the ledger's.
pub async fn collateral(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut rows = Vec::new();
    let mut open = Vec::new();
    let mut before = margin(&bench, &ground);
    for (name, step) in [
        ("order to buy", Step::Rest(Side::Buy)),
        ("order to sell", Step::Rest(Side::Sell)),
        ("long position", Step::Take(Side::Buy, 12)),
        ("half the leverage", Step::Leverage(2)),
        ("higher mark price, and longer", Step::Mark(102)),
        ("part of it closed", Step::Take(Side::Sell, 5)),
        ("turned round", Step::Take(Side::Sell, 20)),
        ("lower mark price, and shorter", Step::Mark(99)),
        ("closed", Step::Take(Side::Buy, 0)),
        ("orders cancelled", Step::Cancel),
    ] {
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        take_step(&bench, &mut desk, &ground, step, &mut open).await.map_err(told)?;
        bench.balances_agree(&desk.connector).await.map_err(told)?;
        let now = margin(&bench, &ground);
        ensure(now != before, || format!("{name}: the ledger has not changed, which proves nothing"))?;
        rows.push([name.to_owned()].into_iter().chain(now.map(plain)).collect::<Vec<_>>());
        before = now;
    }
    let [_, _, held, ordered] = before;
    ensure(held.is_zero() && ordered.is_zero(), || "margin is left at the end".to_owned())?;
    let text = format!(
        "total and available equal the ledger's in {} states: under orders, positions, leverage and moved marks",
        rows.len()
    );
    let head =
        ["after", "wallet", "available", "margin of positions", "of orders"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text)
        .with(Detail::Table { title: "Collateral".to_owned(), head, rows })
        .with(bench.balance_table(&desk.connector)))
}

async fn take_step(
    bench: &Bench,
    desk: &mut Desk,
    ground: &Ground,
    step: Step,
    open: &mut Vec<connector_core::ClientOrderId>,
) -> Result<(), Failure> {
    match step {
        Step::Rest(side) => {
            let id = desk.connector.place(ground.resting(side))?;
            desk.created(&id).await?;
            open.push(id);
        }
        Step::Take(side, times) => {
            let amount = if times == 0 {
                ledger(bench, ground, PositionSide::Both)?.amount.abs()
            } else {
                lots(ground, times)
            };
            filled(desk, taking(ground, side, amount)).await?;
        }
        Step::Leverage(divisor) => {
            let leverage = desk.connector.margin(&ground.pair).leverage.unwrap_or_default();
            set_leverage(desk, ground, (leverage / Decimal::from(divisor)).floor()).await?;
        }
        Step::Mark(percent) => {
            bench.mark(ground, ground.price(percent))?;
            // What is available is told after something has happened, not whenever a price moves.
            let side = if ledger(bench, ground, PositionSide::Both)?.amount > Decimal::ZERO {
                Side::Buy
            } else {
                Side::Sell
            };
            filled(desk, taking(ground, side, lots(ground, 2))).await?;
        }
        Step::Cancel => {
            for id in open.drain(..) {
                desk.connector.cancel(&id)?;
                desk.ended(&id).await?;
            }
        }
    }
    Ok(())
}

/// Has a leverage set, and waits until it is told.
async fn set_leverage(desk: &mut Desk, ground: &Ground, leverage: Decimal) -> Result<(), Failure> {
    let before = desk.seen.len();
    desk.connector.set_leverage(&ground.pair, leverage)?;
    let what = format!("leverage {leverage} to be set");
    let told = desk
        .until(what, |seen, _| {
            seen.iter().skip(before).find_map(|event| match event {
                Event::LeverageChanged(changed) if changed.pair == ground.pair => Some(Ok(changed.leverage)),
                Event::LeverageRefused(refused) if refused.pair == ground.pair => {
                    Some(Err(refused.error.to_string()))
                }
                _ => None,
            })
        })
        .await?;
    let told = told.map_err(Failure)?;
    ensure(told == leverage, || format!("leverage {leverage} was asked for, {told} was told"))
}

/// The leverage of both sides.
fn leverages(bench: &Bench, desk: &Desk, ground: &Ground) -> (Option<Decimal>, Option<Decimal>) {
    let settings = bench.look(|exchange| exchange.market_settings(bench.account, &ground.symbol));
    (desk.connector.margin(&ground.pair).leverage, settings.map(|settings| settings.leverage))
}

/// PQ-03.
///
/// # Errors
/// The leverage that was not set, not read back, or changed by a refusal.
pub async fn leverage(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let mut rows = Vec::new();
    let known = leverages(&bench, &desk, &ground);
    ensure(known.0.is_some() && known.0 == known.1, || {
        format!("at the start leverage is {known:?} here and there")
    })?;
    for leverage in [3, 7, 1, 5] {
        let leverage = Decimal::from(leverage);
        set_leverage(&mut desk, &ground, leverage).await?;
        let known = leverages(&bench, &desk, &ground);
        ensure(known == (Some(leverage), Some(leverage)), || {
            format!("{leverage} was set, leverage is {known:?} here and there")
        })?;
        rows.push(vec![plain(leverage), "set and read back".to_owned()]);
    }
    // As another instance reads it.
    let other = bench.desk().await?;
    let read = leverages(&bench, &other, &ground);
    ensure(read == (Some(Decimal::from(5)), Some(Decimal::from(5))), || {
        format!("a new instance reads leverage {read:?}")
    })?;
    // To set what is set is no failure.
    set_leverage(&mut desk, &ground, Decimal::from(5)).await?;
    let contract = bench.look(|exchange| exchange.market(&ground.symbol)?.contract.clone());
    let most = contract.map(|contract| contract.max_leverage()).unwrap_or_default();
    for leverage in [Decimal::ZERO, -Decimal::ONE, most + Decimal::ONE, Decimal::from(100_000)] {
        let told = refused(&mut desk, &ground, leverage).await?;
        let known = leverages(&bench, &desk, &ground);
        ensure(known == read, || {
            format!("leverage {leverage} was refused, and is {known:?} here and there")
        })?;
        rows.push(vec![plain(leverage), told]);
    }
    // In range, and refused by the venue: the margin does not suffice for so little of it.
    filled(&mut desk, taking(&ground, Side::Buy, lots(&ground, 20))).await?;
    starve(&bench, &ground, 4)?;
    let told = refused(&mut desk, &ground, Decimal::ONE).await?;
    desk.listen(SILENCE).await?;
    let known = leverages(&bench, &desk, &ground);
    ensure(known == read, || format!("the venue refused leverage 1, and it is {known:?} here and there"))?;
    rows.push(vec!["1, without margin for it".to_owned(), told]);
    let text = "set and read back, also by another instance; what is out of range or lacks margin is refused clearly and changes nothing";
    let head = ["leverage", "outcome"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Leverage".to_owned(), head, rows }))
}

/// Takes collateral away until a `part` of the position's value is left of it.
pub(super) fn starve(bench: &Bench, ground: &Ground, part: i64) -> Result<(), Failure> {
    let asset = ground.spends(Side::Buy);
    bench.server.with(|venue, now| {
        let exchange = venue.exchange_mut();
        let notional: Decimal =
            exchange.positions(bench.account, None).iter().map(|view| view.notional.abs()).sum();
        let left = (notional / Decimal::from(part)).round_dp(2);
        let surplus = (exchange.margin(bench.account, &asset).wallet - left).round_dp(2);
        let taken = exchange.transfer(bench.account, &asset, -surplus);
        venue.advance(now);
        taken.map_err(|reject| Failure(format!("{surplus} {asset} cannot be taken away: {reject}")))
    })
}

/// Asks for a leverage that cannot be; why it was refused.
async fn refused(desk: &mut Desk, ground: &Ground, leverage: Decimal) -> Result<String, Failure> {
    let before = desk.seen.len();
    if let Err(error) = desk.connector.set_leverage(&ground.pair, leverage) {
        ensure(error.cause == Cause::TradingRule || error.cause == Cause::Usage, || {
            format!("leverage {leverage}: told as {error}")
        })?;
        return Ok(format!("refused here: {error}"));
    }
    let what = format!("leverage {leverage} to be refused");
    desk.until(what, |seen, _| {
        seen.iter().skip(before).find_map(|event| match event {
            Event::LeverageChanged(changed) => {
                Some(Err(Failure(format!("leverage {leverage} was told as set: {changed:?}"))))
            }
            Event::LeverageRefused(refused) if refused.leverage == leverage => {
                Some(Ok(format!("one event: {}", refused.error)))
            }
            _ => None,
        })
    })
    .await?
}

/// PQ-11.
///
/// # Errors
/// The fee that differs from what was charged, or is not in the collateral.
pub async fn fees(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let asset = ground.spends(Side::Buy);
    let wallet = desk.connector.balance(&asset).total;
    let charged = orders::charged(&bench, &mut desk, &ground).await?;
    let others: Vec<_> = charged.iter().filter(|fee| fee.asset != asset).collect();
    ensure(others.is_empty(), || format!("fees in other assets than {asset}: {others:?}"))?;
    let estimated = charged.iter().filter(|fee| fee.estimated).count();
    ensure(estimated == 0, || format!("{estimated} fees are estimates, though the venue tells them"))?;
    // What they come to is what the wallet lacks besides profit.
    bench.balances_agree(&desk.connector).await?;
    let realised = ledger(&bench, &ground, PositionSide::Both)?.realised;
    let sum: Decimal = charged.iter().map(|fee| fee.amount).sum();
    let change = desk.connector.balance(&asset).total - wallet;
    ensure(change == realised - sum, || {
        format!("the wallet changed by {change}, profit is {realised} and fees are {sum}")
    })?;
    let text = format!(
        "{} fees of {} {asset} are those charged, as maker and taker; with the profit made they are the change of the wallet",
        charged.len(),
        plain(sum)
    );
    Ok(Evidence::new(text).with(orders::fee_table(&charged)))
}
