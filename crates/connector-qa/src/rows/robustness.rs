//! Rows about races, and about venues that stall, drift, are closed for a while, or change what they list.

use std::time::Duration;

use connector_core::dialect::{Channel, LinkRole, LinkSpec};
use connector_core::event::LinkState;
use connector_core::order::{NewOrder, Side};
use connector_core::{ClientOrderId, Decimal, Event};
use connector_venue::faults::{Fault, FaultRule, Point};
use connector_venue::orders::Which;
use connector_venue::setup::{MarketSetup, MarketStatus};
use smol_str::SmolStr;

use super::perpetual::funding;
use crate::bench::{Bench, Desk, Evidence, Failure, Ground, Judgement, ensure, of};
use crate::kit::Kit;
use crate::lab::{LONG, Lab};
use crate::report::Detail;

/// A stalled stream is replaced within this: the declared time of XQ-11.
pub(super) const STALLED: Duration = Duration::from_secs(60);

/// What timelines show before the first fault.
const LEAD: Duration = Duration::from_secs(5);

/// XQ-03, for connectors that declare neither that their venue has no expiring orders nor how to place them.
///
/// # Errors
/// Always.
pub async fn expiry(_kit: Kit) -> Judgement {
    Err(Failure::new("orders carry no expiry time here: declare XQ-03 as not applicable, with the reason"))
}

fn late(row: &str, ms: u64) -> FaultRule {
    FaultRule::new(Fault::Delay { ms, point: Point::BeforeApply }).on_row(row).times(1)
}

/// An order close to the middle, which the next taker meets first.
fn near(ground: &Ground, parts: i64) -> NewOrder {
    let price = ground.on_tick(ground.middle) - ground.rules.tick;
    NewOrder::limit(ground.pair.clone(), Side::Buy, ground.amount(price, 4) * Decimal::from(parts), price)
}

/// The order's end as told is the venue's.
async fn ends_truly(bench: &Bench, desk: &mut Desk, id: &ClientOrderId) -> Result<&'static str, Failure> {
    let end = desk.ended(id).await?;
    let executed: Decimal = bench.executions_of(id).iter().map(|fill| fill.amount).sum();
    let told: Decimal = desk.fills(id).iter().map(|fill| fill.amount).sum();
    ensure(told == executed, || format!("{told} told filled, {executed} is"))?;
    let order = bench.orders_of(id).pop();
    let word = match (&end, &order) {
        (Event::OrderCompleted(_), Some(order)) if order.filled == order.amount => "filled",
        (Event::OrderCancelled(_), Some(order))
            if order.state.is_terminal() && order.filled < order.amount =>
        {
            "cancelled"
        }
        (Event::OrderFailed(_), None) => "never was",
        _ => return Err(Failure(format!("told {end:?}, at the venue {order:?}"))),
    };
    Ok(word)
}

/// A cancel arrives after a part was filled, and what comes of it is known before the news of the fill.
async fn overtaken(
    bench: &Bench,
    desk: &mut Desk,
    order: NewOrder,
    part: Decimal,
) -> Result<&'static str, Failure> {
    let id = desk.connector.place(order)?;
    desk.created(&id).await?;
    bench.arm(late("cancel", 150))?;
    bench.delay_private(Duration::from_millis(400))?;
    desk.connector.cancel(&id)?;
    bench.take(bench.ground()?, Side::Sell, part)?;
    let word = ends_truly(bench, desk, &id).await?;
    bench.server.with(|venue, _| venue.disarm_all());
    Ok(word)
}

/// XQ-06.
///
/// # Errors
/// The race that did not end in the venue's truth.
pub async fn cancel_races(kit: Kit) -> Judgement {
    let bench = kit.quiet().await?;
    let mut desk = bench.desk().await?;
    let ground = bench.ground()?.clone();
    let part = near(&ground, 1).amount;
    let mut rows = Vec::new();
    for (name, parts, expected) in
        [("filled before the cancel arrives", 1, "filled"), ("half filled before it arrives", 2, "cancelled")]
    {
        rows.push((name, overtaken(&bench, &mut desk, near(&ground, parts), part).await?, expected));
    }
    let id = desk.connector.place(ground.resting(Side::Buy))?;
    desk.created(&id).await?;
    let which = Which::Client(SmolStr::new(id.as_str()));
    let gone = bench.server.with(|venue, now| {
        let gone = venue.exchange_mut().cancel(bench.account, &ground.symbol, &which, None).map(drop);
        // Before the news of it can have come.
        let asked = desk.connector.cancel(&id);
        venue.advance(now);
        (gone, asked)
    });
    ensure(gone.0.is_ok() && gone.1.is_ok(), || format!("cancelled elsewhere: {gone:?}"))?;
    rows.push(("cancelled elsewhere", ends_truly(&bench, &mut desk, &id).await?, "cancelled"));

    for (name, fault, expected) in [
        ("not yet acknowledged", late("place", 200), "cancelled"),
        (
            "acknowledgement lost",
            FaultRule::new(Fault::Reset { point: Point::AfterApply }).on_row("place").times(1),
            "cancelled",
        ),
        (
            "never arrived",
            FaultRule::new(Fault::Reset { point: Point::BeforeApply }).on_row("place").times(1),
            "never was",
        ),
    ] {
        bench.arm(fault)?;
        let id = desk.connector.place(ground.resting(Side::Sell))?;
        desk.connector.cancel(&id)?;
        let word = ends_truly(&bench, &mut desk, &id)
            .await
            .map_err(|failure| Failure(format!("{name}: {}", failure.0)))?;
        rows.push((name, word, expected));
        // Of an order that has ended there is nothing to cancel, which is no error.
        desk.connector.cancel(&id)?;
    }
    let id = desk.connector.place(ground.resting(Side::Buy))?;
    desk.created(&id).await?;
    for _ in 0..3 {
        desk.connector.cancel(&id)?;
    }
    rows.push(("asked three times", ends_truly(&bench, &mut desk, &id).await?, "cancelled"));
    let unknown = desk.connector.cancel(&ClientOrderId::new("nobody-1"));
    ensure(unknown.is_err(), || "a cancel of an unknown order was taken".to_owned())?;
    desk.listen(Duration::from_millis(200)).await?;
    for (name, word, expected) in &rows {
        ensure(word == expected, || format!("{name}: ended as {word}, should be {expected}"))?;
    }
    bench.balances_agree(&desk.connector).await?;
    let open = (bench.open_orders().len(), desk.connector.open_orders().len());
    ensure(open == (0, 0), || format!("{open:?} orders left at the venue and here"))?;
    let text =
        format!("{} races: each order ended once, as the venue has it; an unknown id is refused", rows.len());
    let head = ["race", "end"].map(str::to_owned).to_vec();
    let rows = rows.into_iter().map(|(name, word, _)| vec![name.to_owned(), word.to_owned()]).collect();
    Ok(Evidence::new(text).with(Detail::Table { title: "Races".to_owned(), head, rows }))
}

/// How often links went down.
fn downs(lab: &Lab) -> usize {
    let down = |event: &&Event| matches!(event, Event::LinkChanged { state: LinkState::Down, .. });
    lab.events().iter().filter(down).count()
}

/// The part of a channel's declared name that does not depend on the pair.
pub(super) fn fixed_part(name: &str) -> String {
    let longest = name.split(['<', '>']).filter(|part| part.contains(|c: char| !c.is_alphanumeric()));
    longest.max_by_key(|part| part.len()).unwrap_or(name).to_owned()
}

/// One channel is muted on the connections there are; until a connection is replaced.
fn stall(kit: &Kit, what: &str, matcher: &str) -> Result<(Duration, Detail), Failure> {
    let mut lab = Lab::new(kit, 1, true, 0)?;
    lab.ready()?;
    lab.run_for(Duration::from_secs(15));
    let before = downs(&lab);
    ensure(before == 0, || format!("{what}: a link went down by itself"))?;
    // For as long as the detection may take: what replaces the connection delivers again afterwards.
    lab.arm(&format!(
        r#"{{"fault":"ws.mute","match":{matcher},"trigger":{{"duration_ms":{}}}}}"#,
        STALLED.as_millis()
    ))?;
    if what == "user" {
        // An account about which there is nothing to tell is no stalled one.
        let ground = lab.ground()?;
        lab.place(ground.resting(Side::Buy))?;
    }
    let start = lab.mono();
    lab.until(&format!("{what}: the link to be replaced"), STALLED, |_, events| {
        events.iter().any(|event| matches!(event, Event::LinkChanged { state: LinkState::Down, .. }))
    })?;
    let took = lab.mono().since(start);
    lab.run_for(STALLED);
    lab.ready()?;
    let ground = lab.ground()?;
    lab.until(&format!("{what}: the book to agree"), LONG, |engine, _| engine.is_ready())?;
    let id = lab.place(ground.resting(Side::Sell))?;
    lab.created(&id)?;
    lab.agrees()?;
    Ok((took, lab.story(format!("{what} falls silent"), LEAD)))
}

/// XQ-11.
///
/// # Errors
/// The channel whose silence went unnoticed, or the quiet market taken for dead.
pub async fn stalled(kit: Kit) -> Judgement {
    let spec = (kit.face)().spec();
    let (mut rows, mut timelines) = (Vec::new(), Vec::new());
    for channel in spec.channels {
        if channel.channel == Channel::Funding {
            // What it tells can be asked for as well: it is enough that it stays known.
            let took = funding::helped(&kit)?;
            rows.push(vec![channel.name.to_owned(), format!("{:.1} s, by requests", took.as_secs_f64())]);
            continue;
        }
        let part = fixed_part(channel.name);
        let (took, shown) = stall(&kit, &part, &format!(r#"{{"channel":{part:?}}}"#))?;
        timelines.push(shown);
        rows.push(vec![channel.name.to_owned(), format!("{:.1} s", took.as_secs_f64())]);
        tokio::task::yield_now().await;
    }
    for link in spec.links {
        let name = if link.role == LinkRole::User { "user" } else { link.name };
        let (took, shown) = stall(&kit, name, &format!(r#"{{"link":{:?}}}"#, link.name))?;
        timelines.push(shown);
        rows.push(vec![format!("all of link {}", link.name), format!("{:.1} s", took.as_secs_f64())]);
        tokio::task::yield_now().await;
    }
    for link in spec.links {
        let took = silence(&kit, link)?;
        let name = format!("link {} dead, in a quiet market", link.name);
        rows.push(vec![name, format!("{:.1} s", took.as_secs_f64())]);
    }
    let mut quiet = Lab::new(&kit, 2, false, 0)?;
    quiet.ready()?;
    quiet.run_for(Duration::from_secs(3_600));
    ensure(downs(&quiet) == 0, || {
        format!("links of a quiet market went down {} times in an hour", downs(&quiet))
    })?;
    ensure(quiet.read(|engine, _| engine.is_ready()) == Some(true), || {
        "a quiet market is not ready".to_owned()
    })?;
    quiet.agrees()?;
    rows.push(vec!["quiet market, one hour".to_owned(), "no reconnect".to_owned()]);
    let text = format!(
        "every muted channel and link replaced within {} s, every dead one within twice its declared silence; a market without news \
         for an hour is left alone",
        STALLED.as_secs()
    );
    let head = ["muted", "replaced after"].map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Silences".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}

/// A connection over which nothing passes any more, not even pings, where nothing happens that could be missed.
fn silence(kit: &Kit, link: &LinkSpec) -> Result<Duration, Failure> {
    // Twice the time in which something is declared to arrive.
    let limit = (link.max_silence * 2 + LEAD).max(STALLED);
    let link = link.name;
    let mut lab = Lab::new(kit, 1, false, 0)?;
    lab.ready()?;
    lab.run_for(Duration::from_secs(15));
    lab.arm(&format!(r#"{{"fault":"net.half_open","match":{{"link":{link:?}}},"trigger":{{"count":1}}}}"#))?;
    let took = lab.until(&format!("{link}: the dead link to be replaced"), limit, |_, events| {
        events.iter().any(|event| matches!(event, Event::LinkChanged { state: LinkState::Down, .. }))
    })?;
    lab.ready()?;
    lab.agrees()?;
    Ok(took)
}

/// Trades for a while under a fault, then looks whether all is well.
fn drifted(kit: &Kit, name: &str, faults: &[String]) -> Result<Vec<String>, Failure> {
    let mut lab = Lab::new(kit, 1, true, 0)?;
    lab.ready()?;
    for fault in faults {
        lab.arm(fault)?;
    }
    let ground = lab.ground()?;
    let mut ids = Vec::new();
    for number in 0..30 {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        let order = if number % 3 == 0 {
            NewOrder::market(ground.pair.clone(), side, ground.amount(ground.middle, 3))
        } else {
            ground.resting(side)
        };
        // While books are read anew a market order cannot be judged: that is no failure of the row.
        ids.extend(lab.place(order).ok());
        lab.run_for(Duration::from_millis(700));
        if let Some(id) = ids.get(number / 2) {
            lab.with(|engine, now| engine.cancel(now, id))?;
        }
    }
    lab.disarm();
    lab.ready()?;
    lab.with(|engine, now| engine.cancel_all(now));
    for id in &ids {
        lab.ended(id).map_err(|failure| Failure(format!("{name}: {}", failure.0)))?;
    }
    lab.run_for(Duration::from_secs(130));
    lab.agrees().map_err(|failure| Failure(format!("{name}: {}", failure.0)))?;
    for fill in lab.executions() {
        let id = ClientOrderId::new(&fill.client_id);
        let told = of(lab.events(), &id)
            .filter(|event| matches!(event, Event::OrderFilled(told) if told.trade_id.to_string() == fill.trade_id.to_string()))
            .count();
        ensure(told == 1, || format!("{name}: fill {} of {id} told {told} times", fill.trade_id))?;
    }
    ensure(ids.len() >= 20, || format!("{name}: only {} orders could be placed", ids.len()))?;
    let problems: Vec<String> = lab
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Problem { error, .. } => Some(error.to_string()),
            _ => None,
        })
        .collect();
    Ok(problems)
}

/// XQ-12.
///
/// # Errors
/// What a new member, a new word or a broken message did.
pub async fn drift(kit: Kit) -> Judgement {
    const MEMBERS: &str = r#"{"fault":"schema.members"}"#;
    const ANSWERS: &str =
        r#"{"fault":"schema.word","match":{"row":"place"},"trigger":{"probability_ppm":300000}}"#;
    const CORRUPT: &str = r#"{"fault":"ws.corrupt","trigger":{"probability_ppm":30000}}"#;
    const CUT: &str =
        r#"{"fault":"http.truncated","match":{"row":"place"},"trigger":{"probability_ppm":200000}}"#;
    let spec = (kit.face)().spec();
    let words = |role: LinkRole, ppm: u32| {
        let links = spec.links.iter().filter(move |link| link.role == role);
        links.map(move |link| {
            let name = link.name;
            format!(r#"{{"fault":"schema.word","match":{{"link":{name:?}}},"trigger":{{"probability_ppm":{ppm}}}}}"#)
        })
    };
    let account = words(LinkRole::User, 300_000).chain([ANSWERS.to_owned()]).collect();
    let mut rows = Vec::new();
    for (name, faults, silent, most) in [
        ("unknown members everywhere", vec![MEMBERS.to_owned()], true, 0),
        ("unknown words about the account", account, false, 60),
        ("unknown words in market data", words(LinkRole::Public, 100_000).collect(), false, 60),
        ("broken frames, answers cut short", vec![CORRUPT.to_owned(), CUT.to_owned()], false, 120),
    ] {
        let problems = drifted(&kit, name, &faults)?;
        ensure(!silent || problems.is_empty(), || format!("{name}: told {problems:?}"))?;
        ensure(problems.len() <= most, || format!("{name}: {} problems told: {problems:?}", problems.len()))?;
        let mut distinct = problems.clone();
        distinct.sort();
        distinct.dedup();
        let first = distinct.first().cloned().unwrap_or_else(|| "none".to_owned());
        rows.push(vec![name.to_owned(), problems.len().to_string(), first]);
        tokio::task::yield_now().await;
    }
    let text = "unknown members are ignored; unknown words and broken messages are told once each; orders, fills and balances \
                stay the ledger's";
    let head = ["drift", "problems told", "for example"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Drifts".to_owned(), head, rows }))
}

/// XQ-13.
///
/// # Errors
/// The skew that kept the connector from trading.
pub async fn clock(kit: Kit) -> Judgement {
    const TEN: i64 = 10_000_000_000;
    let mut rows = Vec::new();
    for (name, at_start, later, venue) in [
        ("10 s ahead from the start", TEN, None, None),
        ("10 s behind from the start", -TEN, None, None),
        ("set 10 s ahead at work", 0, Some(TEN), None),
        ("set 10 s behind at work", 0, Some(-TEN), None),
        ("from 10 s behind to 10 s ahead", -TEN, Some(TEN), None),
        ("the venue's clock set 10 s ahead", 0, None, Some(10_000)),
        ("the venue's clock set back", 0, None, Some(-4_000)),
    ] {
        let told = |failure: Failure| Failure(format!("{name}: {}", failure.0));
        let mut lab = Lab::new(&kit, 1, false, at_start)?;
        let took = lab.ready().map_err(told)?;
        let order = lab.ground()?.resting(Side::Buy);
        lab.round(order.clone()).map_err(told)?;
        if let Some(offset) = later {
            lab.set_clock(offset);
        }
        if let Some(ms) = venue {
            lab.arm(&format!(r#"{{"fault":"clock.venue_offset","ms":{ms}}}"#))?;
        }
        for _ in 0..5 {
            lab.round(order.clone()).map_err(told)?;
            lab.run_for(Duration::from_secs(7));
        }
        lab.run_for(Duration::from_secs(600));
        lab.round(order).map_err(told)?;
        lab.agrees().map_err(told)?;
        let failed = lab.events().iter().filter(|event| matches!(event, Event::OrderFailed(_))).count();
        ensure(failed == 0, || format!("{name}: {failed} orders failed"))?;
        rows.push(vec![
            name.to_owned(),
            format!("{:.1} s", took.as_secs_f64()),
            "7 orders, all well".to_owned(),
        ]);
        tokio::task::yield_now().await;
    }
    let text = "clocks 10 s off, from the start and stepping at work, here and at the venue: no order fails";
    let head = ["skew", "ready after", "trading"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Skews".to_owned(), head, rows }))
}

/// Requests the venue has seen between two moments of its clock.
fn requests_between(lab: &mut Lab, from: i64, until: i64) -> usize {
    lab.venue(|venue, _| {
        let inside = |time: i64| time > from && time < until;
        venue
            .requests()
            .filter(|seen| (seen.method != "TEXT" || seen.row.is_some()) && inside(seen.time.0))
            .count()
    })
}

/// The venue refuses one request and says how long to wait.
fn told_to_wait(kit: &Kit, code: u16) -> Result<(Vec<String>, Detail), Failure> {
    const WAIT: i64 = 20;
    let mut lab = Lab::new(kit, 1, true, 0)?;
    lab.ready()?;
    lab.run_for(Duration::from_secs(10));
    let body = r#""body":"{}""#;
    lab.arm(&format!(
        r#"{{"fault":"http.status","code":{code},{body},"headers":{{"retry-after":"{WAIT}"}},"match":{{"row":"place"}},"trigger":{{"count":1}}}}"#
    ))?;
    let order = lab.ground()?.resting(Side::Buy);
    let id = lab.place(order.clone())?;
    let end = lab.ended(&id)?;
    let refused_at = lab.venue(|_, now| now.utc.0);
    ensure(matches!(end, Event::OrderFailed(_)), || format!("{code}: the order ended as {end:?}"))?;
    // The first order after the refusal waits; it does not fail, and nothing is sent before the time.
    lab.run_for(Duration::from_secs(12));
    let id = lab.place(order)?;
    lab.created(&id)?;
    // What was on its way when the refusal came is not counted against the connector.
    let grace = 20_000_000;
    let early = requests_between(&mut lab, refused_at + grace, refused_at + (WAIT - 1) * 1_000_000_000);
    ensure(early == 0, || format!("{code}: {early} requests before the time was over"))?;
    lab.ready()?;
    lab.agrees()?;
    let row =
        vec![format!("{code}, retry after {WAIT} s"), "nothing sent before; then the next order".to_owned()];
    Ok((row, lab.story(format!("Refused with {code}, told to wait {WAIT} s"), LEAD)))
}

/// XQ-14.
///
/// # Errors
/// What was not obeyed, not shown, or not recovered from.
pub async fn maintenance(kit: Kit) -> Judgement {
    let (mut rows, mut timelines) = (Vec::new(), Vec::new());
    for code in [429, 418] {
        let (row, shown) = told_to_wait(&kit, code)?;
        rows.push(row);
        timelines.push(shown);
        tokio::task::yield_now().await;
    }
    // The venue's own ban, of which only refusals tell.
    let mut lab = Lab::new(&kit, 1, true, 0)?;
    lab.ready()?;
    let order = lab.ground()?.resting(Side::Buy);
    lab.arm(r#"{"fault":"limit.ban","ms":30000}"#)?;
    let id = lab.place(order.clone())?;
    let end = lab.ended(&id)?;
    ensure(matches!(end, Event::OrderFailed(_)), || format!("during a ban the order ended as {end:?}"))?;
    lab.run_for(Duration::from_secs(40));
    lab.ready()?;
    lab.round(order.clone())?;
    lab.violations_at_most(1)?;
    timelines.push(lab.story("A ban of 30 s", LEAD));
    rows.push(vec!["ban of 30 s".to_owned(), "one refusal, then nothing until its end".to_owned()]);
    tokio::task::yield_now().await;
    // Everything is down: streams end and are refused, requests answer 503.
    let spec = (kit.face)().spec();
    for (name, code) in [("maintenance of 2 min", 503), ("5xx burst of 2 min with streams cut", 502)] {
        let mut lab = Lab::new(&kit, 2, true, 0)?;
        lab.ready()?;
        let id = lab.place(order.clone())?;
        lab.created(&id)?;
        for link in spec.links {
            lab.arm(&format!(
                r#"{{"fault":"net.refuse","match":{{"link":{:?}}},"trigger":{{"duration_ms":120000}}}}"#,
                link.name
            ))?;
        }
        lab.arm(&format!(
            r#"{{"fault":"http.status","code":{code},"body":"<html>closed</html>","trigger":{{"duration_ms":120000}}}}"#
        ))?;
        lab.arm(r#"{"fault":"ws.close","code":1001}"#)?;
        lab.until("not ready to be told", Duration::from_secs(5), |_, events| {
            events.iter().any(|event| matches!(event, Event::Ready { ready: false, .. }))
        })?;
        let problems = |lab: &Lab| lab.events().iter().filter(|e| matches!(e, Event::Problem { .. })).count();
        lab.run_for(Duration::from_secs(120));
        ensure(lab.read(|engine, _| engine.is_ready()) == Some(false), || {
            format!("{name}: ready while closed")
        })?;
        let took = lab.until("readiness", Duration::from_secs(60), |engine, _| engine.is_ready())?;
        ensure(problems(&lab) < 40, || format!("{name}: {} problems told", problems(&lab)))?;
        lab.with(|engine, now| engine.cancel(now, &id))?;
        lab.ended(&id)?;
        lab.round(order.clone())?;
        lab.agrees()?;
        timelines.push(lab.story(name, LEAD));
        rows.push(vec![
            name.to_owned(),
            format!("not ready meanwhile; ready {:.1} s after it", took.as_secs_f64()),
        ]);
        tokio::task::yield_now().await;
    }
    let text =
        "429, 418, bans and maintenance: waiting times obeyed, not ready meanwhile, trading again by itself";
    let head = ["what", "outcome"].map(str::to_owned).to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Closures".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}

fn delisted(lab: &mut Lab, ground: &Ground, other: &Ground) -> Result<(), Failure> {
    let id = lab.place(ground.resting(Side::Buy))?;
    lab.created(&id)?;
    let symbol = ground.symbol.clone();
    let gone = lab.venue(|venue, _| venue.exchange_mut().set_status(&symbol, MarketStatus::Delisted));
    gone.map_err(|reject| Failure(reject.to_string()))?;
    lab.ended(&id)?;
    let pair = ground.pair.clone();
    lab.until("the delisting to be told", LONG, |_, events| {
        events.iter().any(|event| matches!(event, Event::PairDelisted { pair: gone, .. } if *gone == pair))
    })?;
    lab.ready()?;
    let listed = lab.read(|engine, _| engine.pairs().contains(&ground.pair));
    ensure(listed == Some(false), || "the delisted pair is still listed".to_owned())?;
    let refused = lab.place(ground.resting(Side::Buy));
    ensure(refused.is_err(), || "an order on the delisted pair was taken".to_owned())?;
    lab.round(other.resting(Side::Buy))?;
    lab.agrees()
}

/// Listing a market at work, and following it.
fn listed(lab: &mut Lab, ground: &Ground) -> Result<(), Failure> {
    let setup: Option<MarketSetup> = lab.look(|exchange| exchange.market(&ground.symbol).cloned());
    let old = setup.ok_or_else(|| Failure::new("the market is unknown"))?;
    // Nobody has the new asset.
    let (base, quote) = (connector_core::Asset::new("QANEW"), ground.pair.quote());
    let mut new = MarketSetup::new(base.as_str(), quote.as_str(), old.rules.clone(), old.reference_price);
    (new.status, new.contract) = (MarketStatus::Trading, old.contract);
    let pair =
        connector_core::Pair::new(base.as_str(), quote.as_str()).ok_or_else(|| Failure::new("no pair"))?;
    let unknown = lab.with(|engine, now| engine.follow(now, &pair));
    ensure(unknown.is_err(), || format!("{pair} was followed before it was listed"))?;
    lab.run_for(Duration::from_secs(30));
    lab.venue(|venue, _| venue.exchange_mut().list(new)).map_err(|error| Failure(format!("{error:?}")))?;
    // Asking for it makes the connector look again; were nobody to ask, it would look by itself within half an hour.
    let asked = lab.with(|engine, now| engine.follow(now, &pair));
    ensure(asked.is_err(), || format!("{pair} was known before its rules were read"))?;
    lab.until("the new pair to be listed", Duration::from_secs(15), |engine, _| {
        engine.pairs().contains(&pair)
    })?;
    lab.with(|engine, now| engine.follow(now, &pair))?;
    let now_live = pair.clone();
    lab.until("the new pair's book", LONG, |_, events| {
        events.iter().any(|event| matches!(event, Event::BookLive { pair, .. } if *pair == now_live))
    })?;
    lab.ready()?;
    lab.with(|engine, now| engine.unfollow(now, &pair));
    ensure(lab.read(|engine, _| engine.book(&pair, 1).is_none()) == Some(true), || {
        "still followed".to_owned()
    })?;
    lab.ready().map(drop)
}

/// Rules that change: learnt from a refusal, and by the clock.
fn rules_change(lab: &mut Lab, ground: &Ground) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    lab.run_for(Duration::from_secs(30));
    let mut rules = ground.rules.clone();
    (rules.tick, rules.step) = (rules.tick * Decimal::TEN, rules.step * Decimal::TEN);
    (rules.min_price, rules.min_amount) = (rules.tick, rules.min_amount.max(rules.step));
    let (symbol, coarse) = (ground.symbol.clone(), rules.clone());
    let changed = lab.venue(|venue, _| venue.exchange_mut().change_rules(&symbol, coarse));
    changed.map_err(|reject| Failure(reject.to_string()))?;
    // On the old tick and off the new one.
    let price = (ground.price(90) / rules.tick).floor() * rules.tick + ground.rules.tick;
    let order = NewOrder::limit(ground.pair.clone(), Side::Buy, ground.amount(price, 20), price);
    let id = lab.place(order.clone())?;
    let end = lab.ended(&id)?;
    ensure(matches!(end, Event::OrderFailed(_)), || format!("off the new tick: ended as {end:?}"))?;
    let pair = ground.pair.clone();
    let knows = |tick: Decimal| {
        let pair = pair.clone();
        move |engine: &dyn connector_core::engine::Trading, _: &[Event]| {
            engine.rule(&pair).is_some_and(|rule| rule.price_step == Some(tick))
        }
    };
    let took = lab.until("the new tick", Duration::from_secs(15), knows(rules.tick))?;
    let id = lab.place(order)?;
    lab.created(&id)?;
    let there = lab.orders().into_iter().find(|order| order.client_id == id.as_str());
    let right = there.and_then(|order| order.price).is_some_and(|price| (price % rules.tick).is_zero());
    ensure(right, || "the order was not put on the new tick".to_owned())?;
    lab.with(|engine, now| engine.cancel(now, &id))?;
    lab.ended(&id)?;
    rows.push(vec!["tick and step, by a refusal".to_owned(), format!("{:.1} s", took.as_secs_f64())]);
    let (symbol, fine) = (ground.symbol.clone(), ground.rules.clone());
    let changed = lab.venue(|venue, _| venue.exchange_mut().change_rules(&symbol, fine));
    changed.map_err(|reject| Failure(reject.to_string()))?;
    let took = lab.until("the old tick", Duration::from_secs(1_860), knows(ground.rules.tick))?;
    rows.push(vec!["tick and step, by the clock".to_owned(), format!("{:.0} s", took.as_secs_f64())]);
    Ok(rows)
}

/// XQ-15.
///
/// # Errors
/// The change that was not picked up.
pub async fn listings(kit: Kit) -> Judgement {
    let mut lab = Lab::new(&kit, 2, false, 0)?;
    lab.ready()?;
    let [first, second, ..] = lab.grounds.as_slice() else { return Err(Failure::new("too few markets")) };
    let (first, second) = (first.clone(), second.clone());
    let mut rows = rules_change(&mut lab, &first)?;
    listed(&mut lab, &first)?;
    rows.push(vec!["new listing".to_owned(), "followed without restart, and left again".to_owned()]);
    lab.with(|engine, now| engine.unfollow(now, &second.pair));
    let left = lab.place(second.resting(Side::Buy))?;
    lab.created(&left)?;
    ensure(!lab.is_live(&second.pair), || "an unfollowed pair still has a book".to_owned())?;
    lab.with(|engine, now| engine.follow(now, &second.pair))?;
    lab.ready()?;
    ensure(lab.book_agrees(&second), || "the book of a pair followed again is wrong".to_owned())?;
    lab.with(|engine, now| engine.cancel(now, &left))?;
    lab.ended(&left)?;
    rows.push(vec!["unfollowed and followed again".to_owned(), "orders tracked throughout".to_owned()]);
    delisted(&mut lab, &first, &second)?;
    rows.push(vec!["delisting".to_owned(), "order ended once, pair let go, the other unaffected".to_owned()]);
    let problems: Vec<_> =
        lab.events().iter().filter(|event| matches!(event, Event::Problem { .. })).collect();
    ensure(problems.len() < 10, || format!("problems told: {problems:?}"))?;
    let text =
        "changed rules, a new listing and a delisting are picked up at work, by refusals and by the clock";
    let head = ["change", "outcome"].map(str::to_owned).to_vec();
    Ok(Evidence::new(text).with(Detail::Table { title: "Changes".to_owned(), head, rows }))
}
