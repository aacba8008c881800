//! Rows about connecting and about balances.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use connector_core::order::Side;
use connector_core::{Cause, Credentials, Event};
use connector_venue::keys::{ApiKey, KeyState};

use crate::bench::{Bench, Evidence, Failure, Judgement, Plan, ensure};
use crate::kit::Kit;
use crate::report::{Detail, human};

/// Most requests a refused connector may make: enough for a retry or two of each first request, far from a storm.
const FEW: usize = 25;

/// SQ-01.
///
/// # Errors
/// What did not become ready.
pub async fn connect(kit: Kit) -> Judgement {
    let bench = kit.lively().await?;
    let pairs: Vec<_> = bench.grounds.iter().take(3).map(|ground| ground.pair.clone()).collect();
    let start = Instant::now();
    let connector = bench.open(Plan { pairs: pairs.clone(), ..bench.plan() }).await?;
    let took = start.elapsed();
    ensure(connector.is_ready(), || "connected, but not ready".to_owned())?;
    let listed = connector.trading_pairs();
    ensure(!listed.is_empty(), || "no trading pair is known".to_owned())?;
    let mut books = Vec::new();
    for pair in &pairs {
        let rule = connector.trading_rule(pair);
        ensure(rule.is_some(), || format!("no trading rule of {pair}"))?;
        let book = connector.order_book(pair, 1000).ok_or_else(|| Failure(format!("no book of {pair}")))?;
        let live = book.state == connector_core::engine::FeedState::Live;
        ensure(live && !book.bids.is_empty() && !book.asks.is_empty(), || {
            format!("the book of {pair} is not live")
        })?;
        books.push(vec![pair.to_string(), book.bids.len().to_string(), book.asks.len().to_string()]);
    }
    let streams = bench
        .server
        .with(|venue, _| venue.sessions().filter(|session| session.carries(bench.account)).count());
    ensure(streams == 1, || format!("the venue has {streams} user streams of the account, not one"))?;
    let wrong = bench.balance_errors(&connector);
    ensure(wrong.is_empty(), || wrong.join("; "))?;
    let assets = connector.balances().len();
    let text = format!(
        "ready in {}: {} pairs and rules, {assets} balances, {} books, user stream",
        human(took),
        listed.len(),
        books.len()
    );
    let head = ["book", "bids", "asks"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Books".to_owned(), head, rows: books }))
}

/// What is done to a key, the credentials then presented, and what the connector may call it.
type Spoilt = (&'static str, fn(&mut ApiKey), fn(&Bench) -> Credentials, &'static [Cause]);

const SPOILT: &[Spoilt] = &[
    ("unknown key", |_| {}, |_| Credentials::new("k".repeat(64), "s".repeat(64)), &[Cause::Credentials]),
    ("wrong secret", |_| {}, wrong_secret, &[Cause::Signature, Cause::Credentials]),
    ("expired key", |key| key.state = KeyState::Expired, Bench::credentials, &[Cause::Credentials]),
    ("revoked key", |key| key.state = KeyState::Revoked, Bench::credentials, &[Cause::Credentials]),
    (
        "no permission to read",
        |key| key.may_read = false,
        Bench::credentials,
        &[Cause::Permission, Cause::Credentials],
    ),
    (
        "other address",
        |key| key.addresses = vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
        Bench::credentials,
        &[Cause::Permission, Cause::Credentials],
    ),
];

fn wrong_secret(bench: &Bench) -> Credentials {
    Credentials::new(bench.key().key.as_str(), "w".repeat(64))
}

/// SQ-02.
///
/// # Errors
/// The key that was not refused clearly, and how.
pub async fn bad_keys(kit: Kit) -> Judgement {
    let mut rows = Vec::new();
    for (name, spoil, credentials, causes) in SPOILT {
        let bench = kit.quiet().await?;
        let key = bench.key().key.clone();
        bench.server.with(|venue, _| venue.exchange_mut().keys_mut().get_mut(&key).map(spoil));
        let plan = Plan { credentials: credentials(&bench), ..bench.plan() };
        let start = Instant::now();
        let Err(error) = bench.open(plan).await else {
            return Err(Failure(format!("{name}: connected all the same")));
        };
        let took = start.elapsed();
        ensure(causes.contains(&error.cause), || format!("{name}: told as: {error}"))?;
        // What was refused must not be tried for ever: nothing more may come than was on its way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let made = bench.server.with(|venue, _| venue.requests().count());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let later = bench.server.with(|venue, _| venue.requests().count());
        ensure(later <= FEW && later == made, || {
            format!("{name}: {made} requests, then {} more", later - made)
        })?;
        rows.push(vec![(*name).to_owned(), human(took), made.to_string(), error.to_string()]);
    }
    let trade = no_permission_to_trade(&kit).await?;
    let text = format!("{} bad keys told clearly, each within {FEW} requests; {trade}", rows.len());
    let head = ["key", "told after", "requests", "error"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Refusals".to_owned(), head, rows }))
}

/// A key that may only read: refused at the start or with the first order, and then clearly.
async fn no_permission_to_trade(kit: &Kit) -> Result<String, Failure> {
    let bench = kit.quiet().await?;
    let key = bench.key().key.clone();
    bench
        .server
        .with(|venue, _| venue.exchange_mut().keys_mut().get_mut(&key).map(|key| key.may_trade = false));
    let refused = [Cause::Permission, Cause::Credentials];
    let connector = match bench.open(bench.plan()).await {
        Ok(connector) => connector,
        Err(error) if refused.contains(&error.cause) => {
            return Ok("read-only key refused at the start".to_owned());
        }
        Err(error) => return Err(Failure(format!("read-only key: told as: {error}"))),
    };
    drop(connector);
    let mut desk = bench.desk().await?;
    let id = match desk.connector.place(bench.ground()?.resting(Side::Buy)) {
        Ok(id) => id,
        Err(error) if refused.contains(&error.cause) => return Ok("read-only key cannot place".to_owned()),
        Err(error) => return Err(Failure(format!("read-only key: told as: {error}"))),
    };
    match desk.ended(&id).await? {
        Event::OrderFailed(failed) if refused.contains(&failed.error.cause) => {
            Ok("an order with a read-only key failed once".to_owned())
        }
        other => Err(Failure(format!("read-only key: the order ended as {other:?}"))),
    }
}

/// SQ-04.
///
/// # Errors
/// The assets that differ.
pub async fn balance(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let desk = bench.desk().await?;
    bench.balances_agree(&desk.connector).await?;
    let assets = bench.balances().len();
    ensure(assets > 0, || "the ledger holds no asset".to_owned())?;
    let text = format!("total and available of {assets} assets equal the ledger");
    Ok(Evidence::new(text).with(bench.balance_table(&desk.connector)))
}

/// SQ-05.
///
/// # Errors
/// What was not locked or not returned exactly.
pub async fn balance_under_order(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    bench.balances_agree(&desk.connector).await?;
    let before = bench.balances();
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    for side in [Side::Buy, Side::Sell] {
        let order = bench.ground()?.resting(side);
        let (asset, fee) = (bench.ground()?.spends(side), bench.most_fee(&order));
        let there = bench.available(&asset);
        let available = desk.connector.balance(&asset).available;
        let id = desk.connector.place(order)?;
        // Before anything could be sent or heard: what is on its way cannot be spent a second time.
        let at_once = available - desk.connector.balance(&asset).available;
        desk.created(&id).await?;
        bench.balances_agree(&desk.connector).await?;
        let locked = there - bench.available(&asset);
        // Where the venue's word for it comes later, the fee may be kept back until then.
        let kept = if bench.spec.balance_push { locked } else { locked + fee };
        ensure((locked..=kept).contains(&at_once), || {
            format!("the ledger locked {locked} {asset}, but available fell by {at_once} when it was placed")
        })?;
        let fallen = available - desk.connector.balance(&asset).available;
        ensure(!locked.is_zero() && fallen == locked, || {
            format!("the ledger locked {locked} {asset}, but available fell by {fallen}")
        })?;
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        bench.balances_agree(&desk.connector).await?;
        ensure(bench.balances() == before, || "the ledger did not return to what it was".to_owned())?;
        shown.push(format!("{} {asset}", locked.normalize()));
        rows.push(vec![side.to_string(), asset.to_string(), locked.normalize().to_string()]);
    }
    let text = format!("available fell by exactly {} and returned", shown.join(" and "));
    let head = ["side", "asset", "locked"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Locked".to_owned(), head, rows }))
}

/// SQ-10.
///
/// # Errors
/// The deed that the balances did not follow.
pub async fn live_balances(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    bench.balances_agree(&desk.connector).await?;
    let polls = bench.requests("balances");
    let mut nanos = Vec::new();
    let ground = bench.ground()?;
    for side in [Side::Buy, Side::Sell].repeat(5) {
        let id = desk.connector.place(ground.resting(side))?;
        desk.created(&id).await?;
        nanos.push(bench.balances_agree(&desk.connector).await?);
        desk.connector.cancel(&id)?;
        desk.ended(&id).await?;
        nanos.push(bench.balances_agree(&desk.connector).await?);
        let price = ground.price(if side == Side::Buy { 101 } else { 99 });
        let order =
            connector_core::order::NewOrder::limit(ground.pair.clone(), side, ground.amount(price, 2), price);
        let id = desk.connector.place(order)?;
        desk.ended(&id).await?;
        ensure(!bench.executions_of(&id).is_empty(), || {
            "an order across the book was not filled".to_owned()
        })?;
        nanos.push(bench.balances_agree(&desk.connector).await?);
    }
    let polled = bench.requests("balances") - polls;
    let longest = nanos.iter().max().copied().unwrap_or_default();
    let text = format!(
        "{} changes by create, cancel and fill were followed within {} of their event, with {polled} balance requests",
        nanos.len(),
        human(longest)
    );
    let nanos = nanos.iter().map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).collect();
    let title = "From the order's event until all balances equal the ledger".to_owned();
    Ok(Evidence::new(text).with(Detail::Samples { title, nanos }).with(bench.balance_table(&desk.connector)))
}
