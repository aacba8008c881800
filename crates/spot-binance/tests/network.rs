//! The whole connector over loopback sockets, as a program uses it: through `Connector`, with its journal in a file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use connector_core::budget::{Candidate, Mode};
use connector_core::engine::FeedState;
use connector_core::event::LinkState;
use connector_core::journal::{Durability, Filter, History, OrderRow, SqliteJournal, Status};
use connector_core::order::{OrderState, OrderType, Side};
use connector_core::{Asset, Builder, Cause, Connector, Decimal, Effect, Event, OwnOrders, Pair};
use connector_qa::bench::{Bench, Desk, Opener, PATIENCE, of};
use connector_qa::scratch::Scratch;
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::Which;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

/// A venue whose markets move only when told to.
async fn quiet() -> Bench {
    Bench::quiet(Box::new(BinanceFace), Rc::new(Opener::new(SpotBinance)), 3, |_| {}).await.unwrap()
}

fn builder(bench: &Bench) -> Builder<SpotBinance> {
    Connector::builder(SpotBinance)
        .urls(bench.server.urls())
        .credentials(bench.credentials())
        .pairs([bench.ground().unwrap().pair.clone()])
        .connect_timeout(PATIENCE)
}

/// A connector that records in `file`, and sends no order before the file has it.
async fn recording(bench: &Bench, file: &Path) -> Desk {
    let journal = SqliteJournal::open(file).unwrap();
    let builder = builder(bench).journal(journal).account("main").durability(Durability::Intent);
    Desk::new(builder.connect().await.unwrap())
}

/// Every fill as order, trade, price, amount and fee: by the ledger, and by the history.
type Fills = BTreeSet<(String, String, Decimal, Decimal, Decimal)>;

fn ledger(bench: &Bench) -> Fills {
    bench.look(|exchange| {
        let fills = exchange.fills(bench.account, &HistoryQuery::default());
        let row = |fill: &connector_venue::orders::Execution| {
            (fill.client_id.to_string(), fill.trade_id.to_string(), fill.price, fill.amount, fill.commission)
        };
        fills.into_iter().map(row).collect()
    })
}

fn recorded(history: &dyn History) -> Fills {
    let rows = history.trades(&Filter::default()).unwrap().into_iter().map(|trade| trade.row);
    rows.map(|row| {
        let fee = row.fee.map_or(Decimal::ZERO, |fee| fee.amount);
        (row.client_order_id.to_string(), row.trade_id.to_string(), row.price, row.amount, fee)
    })
    .collect()
}

#[tokio::test]
async fn a_file_takes_over_from_a_connector_that_was_dropped_at_work() {
    let bench = quiet().await;
    let ground = bench.ground().unwrap().clone();
    let files = Scratch::new("network").unwrap();
    let file = files.file("journal.sqlite");
    let mut desk = recording(&bench, &file).await;
    let amount = ground.amount(ground.middle, 4);
    let bought = desk.connector.buy(&ground.pair, amount, OrderType::Market, None).unwrap();
    assert!(matches!(desk.ended(&bought).await.unwrap(), Event::OrderCompleted(_)));
    let price = ground.on_tick(ground.middle) - ground.rules.tick;
    let partly =
        desk.connector.buy(&ground.pair, amount * Decimal::TWO, OrderType::Limit, Some(price)).unwrap();
    desk.created(&partly).await.unwrap();
    bench.take(&ground, Side::Sell, amount).unwrap();
    desk.until("the first part", |seen, _| {
        of(seen, &partly).any(|event| matches!(event, Event::OrderFilled(_))).then_some(())
    })
    .await
    .unwrap();
    // On its way, and so is what becomes of it, when everything is dropped at once.
    let resting = desk.connector.place(ground.resting(Side::Sell)).unwrap();
    let file_so_far = desk.connector.history().unwrap();
    drop(desk);
    // What was still to be written down is written by a thread that outlives the connector; the next run begins after it.
    let known = |order: &OrderRow| order.client_order_id == resting;
    while !file_so_far.orders(&Filter::default()).unwrap().iter().any(known) {
        tokio::task::yield_now().await;
    }
    bench.take(&ground, Side::Sell, amount).unwrap();

    let mut desk = recording(&bench, &file).await;
    let history = desk.connector.history().unwrap();
    desk.until("the fill that nobody saw", |_, _| (recorded(&*history) == ledger(&bench)).then_some(()))
        .await
        .unwrap();
    let told: Vec<_> = of(&desk.seen, &partly).filter(|event| event.is_terminal()).collect();
    assert!(matches!(told[..], [Event::OrderCompleted(_)]), "{told:?}");
    assert!(of(&desk.seen, &bought).next().is_none(), "its end was stored, and so is not told again");
    // Whether it was sent before the drop is the venue's to say; the file and the venue agree in either case.
    let left = desk.connector.order(&resting).map(|order| order.state());
    let at_venue = bench.orders_of(&resting).len();
    desk.connector.cancel_all();
    let connector = desk.connector.clone();
    let report = connector.close(OwnOrders::Cancel, PATIENCE).await;
    assert!(report.open.is_empty() && report.unrecorded == 0, "{report:?}");
    assert!(bench.open_orders().is_empty());

    let statuses: BTreeMap<_, _> = history
        .orders(&Filter::default())
        .unwrap()
        .into_iter()
        .map(|order| (order.client_order_id, order.status))
        .collect();
    let end = if at_venue == 1 { Status::Cancelled } else { Status::Failed };
    assert_eq!(statuses[&resting], end, "left as {left:?}");
    assert_eq!((statuses[&bought], statuses[&partly]), (Status::Completed, Status::Completed));
    let of_partly = Filter { client_order_id: Some(partly), ..Filter::default() };
    let executed = history.statuses(&of_partly).unwrap().last().unwrap().row.executed.unwrap();
    assert_eq!(executed.base, amount * Decimal::TWO);
    let charged: Decimal = ledger(&bench).into_iter().map(|(.., fee)| fee).sum();
    assert_eq!(history.fees(&Filter::default()).unwrap().into_values().sum::<Decimal>(), charged);
    assert!(charged > Decimal::ZERO);
}

#[tokio::test]
async fn whoever_asks_for_events_first_hears_what_was_found_out_while_connecting() {
    let bench = quiet().await;
    let ground = bench.ground().unwrap().clone();
    let files = Scratch::new("network").unwrap();
    let file = files.file("journal.sqlite");
    let mut desk = recording(&bench, &file).await;
    let order = desk.connector.place(ground.resting(Side::Sell)).unwrap();
    desk.created(&order).await.unwrap();
    drop(desk);
    let at_venue = bench.order_of(&order).unwrap();
    let which = Which::Id(at_venue.id);
    let cancelled = bench
        .server
        .with(|venue, _| venue.exchange_mut().cancel(bench.account, &at_venue.symbol, &which, None));
    cancelled.unwrap();

    let journal = SqliteJournal::open(&file).unwrap();
    let builder = builder(&bench).journal(journal).account("main").durability(Durability::Intent);
    let connector = builder.connect().await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !connector.open_orders().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", connector.open_orders());
        tokio::task::yield_now().await;
    }
    // It has ended before anybody asked for events.
    let (mut first, mut second) = (connector.events(), connector.events());
    connector.clone().close(OwnOrders::Leave, PATIENCE).await;
    drop(connector);
    let mut told = Vec::new();
    while let Some(event) = first.next().await {
        told.push(event.unwrap());
    }
    assert!(of(&told, &order).any(|event| matches!(event, Event::OrderCancelled(_))), "{told:?}");
    let mut late = Vec::new();
    while let Some(event) = second.next().await {
        late.push(event.unwrap());
    }
    assert!(of(&late, &order).next().is_none(), "{late:?}");
}

#[tokio::test]
async fn what_a_program_asks_is_answered_from_what_is_true_at_the_venue() {
    let bench = quiet().await;
    let [first, second] = [0, 1].map(|place| bench.grounds[place].clone());
    let mut desk = Desk::new(builder(&bench).connect().await.unwrap());
    let connector = desk.connector.clone();
    assert!(connector.is_ready() && connector.history().is_none());
    assert_eq!(format!("{connector:?}"), "Connector { name: \"spot-binance\", .. }");
    assert!(connector.trading_pairs().contains(&second.pair));
    assert_eq!(connector.trading_rule(&first.pair).unwrap().price_step, Some(first.rules.tick));

    assert!(connector.order_book(&second.pair, 1).is_none(), "it is not followed yet");
    connector.follow(&second.pair).unwrap();
    desk.until("the second book", |_, connector| {
        connector.order_book(&second.pair, 5).filter(|view| view.state == FeedState::Live)
    })
    .await
    .unwrap();
    bench.take(&second, Side::Buy, second.amount(second.middle, 2)).unwrap();
    let (book, best, last, depth) = desk
        .until("trade, best price and book of the second pair", |_, connector| {
            let (best, book) = (connector.best_price(&second.pair)?, connector.order_book(&second.pair, 5)?);
            let depth = bench.look(|exchange| exchange.depth(&second.symbol, 5))?;
            let caught_up = book.last_id == Some(depth.last_id) && best.id == book.last_id;
            caught_up.then_some((book, best, connector.last_price(&second.pair)?, depth))
        })
        .await
        .unwrap();
    assert_eq!((&book.bids, &book.asks), (&depth.bids, &depth.asks));
    assert_eq!((best.bid, best.ask), (Some(depth.bids[0].price), Some(depth.asks[0].price)));
    assert!(last > depth.bids[0].price);
    connector.unfollow(&second.pair);
    assert!(connector.order_book(&second.pair, 1).is_none());
    let unlisted: Pair = "NO-SUCH".parse().unwrap();
    assert_eq!(connector.follow(&unlisted).unwrap_err().cause, Cause::Market);

    let held = connector.balance(&first.pair.quote());
    assert!(held.total > Decimal::ZERO && connector.balance(&Asset::new("NONE")).total.is_zero());
    let price = first.price(90);
    let twice = held.available * Decimal::TWO / price;
    let all = Candidate::limit(first.pair.clone(), Side::Buy, twice, price);
    let answers = connector.budget(&[all], Mode::Partial);
    assert!(answers[0].resized && answers[0].candidate.amount * price <= held.available, "{answers:?}");
    assert!(answers[0].candidate.amount * price > held.available * Decimal::new(99, 2), "{answers:?}");

    let resting = connector.sell(
        &first.pair,
        first.amount(first.price(110), 3),
        OrderType::Limit,
        Some(first.price(110)),
    );
    let resting = resting.unwrap();
    desk.created(&resting).await.unwrap();
    let moved = connector.amend(&resting, Some(first.price(111)), None).unwrap();
    desk.created(&moved).await.unwrap();
    assert_eq!(bench.order_of(&moved).unwrap().price, Some(first.price(111)));
    assert_eq!(connector.order(&resting).unwrap().state(), OrderState::Cancelled);
    assert_eq!(connector.open_orders().len(), 1);
    let report = connector.close(OwnOrders::Leave, PATIENCE).await;
    assert_eq!((&report.open[..], report.cancelled.len()), (&[moved.clone()][..], 0));
    assert_eq!(bench.open_orders().len(), 1, "it stays at the venue");
}

#[tokio::test]
async fn stopping_cancels_what_is_open_and_names_what_it_could_not() {
    let bench = quiet().await;
    let ground = bench.ground().unwrap().clone();
    let mut desk = Desk::new(builder(&bench).connect().await.unwrap());
    let kept = desk.connector.place(ground.resting(Side::Buy)).unwrap();
    desk.created(&kept).await.unwrap();
    bench
        .arm(serde_json::from_str(r#"{"fault":"net.drop_request","match":{"row":"cancel"}}"#).unwrap())
        .unwrap();
    let error = desk.connector.clone().stop(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((error.cause, error.effect), (Cause::Timeout, Effect::Unknown));
    assert!(error.to_string().contains(kept.as_str()), "{error}");

    let mut desk = Desk::new(builder(&bench).connect().await.unwrap());
    bench.server.with(|venue, _| venue.disarm_all());
    let open = desk.connector.place(ground.resting(Side::Buy)).unwrap();
    desk.created(&open).await.unwrap();
    desk.connector.clone().stop(PATIENCE).await.unwrap();
    assert!(bench.orders_of(&open).iter().all(|order| order.state == OrderState::Cancelled));
}

#[tokio::test]
async fn a_link_that_the_venue_closes_is_opened_again() {
    let bench = quiet().await;
    let ground = bench.ground().unwrap().clone();
    let mut desk = Desk::new(builder(&bench).connect().await.unwrap());
    for link in ["user", "market"] {
        desk.seen.clear();
        let rule = format!(
            r#"{{"fault":"ws.close","code":1001,"match":{{"link":"{link}"}},"trigger":{{"count":1}}}}"#
        );
        bench.arm(serde_json::from_str(&rule).unwrap()).unwrap();
        // Something has to be said on a link for it to be closed on that occasion.
        bench.take(&ground, Side::Buy, ground.amount(ground.middle, 2)).unwrap();
        let order = desk.connector.place(ground.resting(Side::Buy)).unwrap();
        desk.until(format_args!("{link} to close and come back"), |seen, connector| {
            let is = |event: &&Event, wanted: LinkState| {
                matches!(event, Event::LinkChanged { link: name, channel: None, state, .. } if name == link && *state == wanted)
            };
            let down = seen.iter().position(|event| is(&event, LinkState::Down))?;
            seen[down..].iter().find(|event| is(event, LinkState::Live))?;
            connector.is_ready().then_some(())
        })
        .await
        .unwrap();
        desk.connector.cancel(&order).unwrap();
        desk.ended(&order).await.unwrap();
    }
    bench.balances_agree(&desk.connector).await.unwrap();
}

#[tokio::test]
async fn a_reader_of_the_limits_is_told_of_each_change_and_of_the_end() {
    let bench = quiet().await;
    let ground = bench.ground().unwrap().clone();
    let mut desk = Desk::new(builder(&bench).connect().await.unwrap());
    let mut meters = desk.connector.limit_changes();
    let before = meters.next().await.unwrap();
    assert_eq!(before, desk.connector.limits());
    let pool = bench.order_pool.unwrap().name;
    let used = |meters: &[connector_core::throttle::PoolUsage]| {
        meters.iter().find(|usage| usage.name == pool).map(|usage| usage.used).unwrap()
    };
    assert_eq!(used(&before), 0);
    let order = desk.connector.place(ground.resting(Side::Buy)).unwrap();
    desk.created(&order).await.unwrap();
    let after = tokio::time::timeout(PATIENCE, meters.next()).await.unwrap().unwrap();
    assert_eq!(used(&after), 1);
    // Nothing happens any more but that the venue's window ends.
    let rests = async {
        loop {
            if used(&meters.next().await.unwrap()) == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rests).await.unwrap();
    // And near the limit there is a warning, while orders still go out.
    let (near, limit) = desk
        .until("a warning", |seen, connector| {
            let warned = seen.iter().find_map(|event| match event {
                Event::LimitWarning { pool: name, used, limit, .. } if name == pool => Some((*used, *limit)),
                _ => None,
            });
            if warned.is_none() {
                connector.place(ground.resting(Side::Buy)).unwrap();
            }
            warned
        })
        .await
        .unwrap();
    assert!(near * 10 >= limit * 8 && near < limit, "{near} of {limit}");
    desk.connector.clone().stop(PATIENCE).await.unwrap();
    let end = async { while meters.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end).await.unwrap();
}
