//! The engine on a toy venue of perpetual contracts.

mod batch;
mod toy;

use std::time::Duration;

use crate::engine::{Phase, Trading};
use crate::error::{Cause, Effect};
use crate::event::Event;
use crate::journal::MemoryJournal;
use crate::order::{NewOrder, Side};
use crate::position::{MarginMode, PositionMode, PositionSide};
use toy::{Bench, KEY, RENEWAL, number, pair};

const SECOND: Duration = Duration::from_secs(1);
const NET: PositionSide = PositionSide::Both;

#[test]
fn the_start_names_what_is_missing_and_asks_for_all_at_once() {
    let mut bench = Bench::new(&MemoryJournal::new(), 0);
    for name in ["positions", "position_mode", "leverage", "brackets", "funding_info", "balances"] {
        bench.held.insert(name);
    }
    bench.answer("positions", "net BTC-USDT -2 100 -");
    bench.engine.start(bench.now);
    bench.pump();
    assert_eq!(bench.waiting.len(), 6, "none of them waits for another");
    let missing = bench.engine.missing().join(", ");
    for name in ["position mode", "positions", "leverage", "leverage brackets", "balances"] {
        assert!(missing.contains(name), "{name} is not in: {missing}");
    }
    for name in ["leverage", "brackets", "funding_info", "balances"] {
        let text = bench.answers[name].clone();
        bench.release(name, &text);
    }
    // In another mode than the venue's default: read again once that is known.
    bench.release("positions", "leg BTC-USDT short 2 100 -");
    bench.answer("positions", "leg BTC-USDT short 2 100 -");
    assert!(bench.links.is_empty(), "work begins when all is known");
    bench.answer("position_mode", "mode hedge");
    bench.release("position_mode", "mode hedge");
    bench.say("public", "book BTC-USDT 99 101");
    assert_eq!(bench.engine.missing(), Vec::<String>::new());
    assert_eq!(bench.engine.position_mode(), Some(PositionMode::Hedge));
    assert_eq!(bench.told(), ["BTC-USDT short 2 found", "funding 0.0001"]);
    let position = &bench.engine.positions()[0];
    assert_eq!((position.leverage, position.mark_price), (Some(number("10")), Some(number("100"))));
}

#[test]
fn each_link_carries_its_channels() {
    let mut bench = Bench::ready();
    let subscribed: Vec<_> =
        bench.subscriptions.iter().map(|text| text.split(' ').collect::<Vec<_>>()).collect();
    let of = |url: &str| subscribed.iter().find(|words| words[0] == url).unwrap()[3];
    assert_eq!((of("ws://public"), of("ws://market")), ("Book", "Trades+Funding"));
    bench.cut("market", "reset");
    assert!(!bench.engine.is_ready());
    let stale = |event: &Event| matches!(event, Event::BookStale { .. });
    assert!(!bench.events.iter().any(stale), "the book has its own link");
    bench.pass(SECOND);
    assert!(bench.engine.is_ready());
    bench.cut("public", "reset");
    assert!(bench.events.iter().any(stale));
    // One more pair goes onto both, and comes off both.
    bench.pass(SECOND);
    bench.say("public", "book BTC-USDT 99 101");
    bench.subscriptions.clear();
    bench.engine.follow(bench.now, &"ETH-USDT".parse().unwrap()).unwrap();
    bench.pump();
    assert_eq!(bench.subscriptions.len(), 2);
    bench.engine.unfollow(bench.now, &"ETH-USDT".parse().unwrap());
    bench.pump();
    assert_eq!(bench.subscriptions.len(), 4);
}

#[test]
fn a_key_is_fetched_kept_alive_and_replaced() {
    let mut bench = Bench::ready();
    assert_eq!(bench.links[&bench.link("user")], "ws://user/sesame");
    bench.pass(RENEWAL + SECOND);
    assert_eq!((bench.count("keep_key"), bench.count("stream_key")), (1, 0));
    // The network fails for a while: it is tried again, and the link stays.
    bench.answer_once("keep_key", "broken");
    bench.answer_once("keep_key", "timeout");
    bench.pass(RENEWAL + SECOND * 10);
    assert_eq!((bench.count("keep_key"), bench.connects), (4, 3));
    // The venue does not know it any more: a new one, a new connection, a recovery.
    bench.answer_once("keep_key", "error key");
    bench.answer("stream_key", "key pepper");
    bench.asked.clear();
    bench.pass(RENEWAL + SECOND);
    assert_eq!(bench.links[&bench.link("user")], "ws://user/pepper");
    assert_eq!(
        (bench.count("stream_key"), bench.count("positions") > 0, bench.count("balances") > 0),
        (1, true, true)
    );
    assert!(bench.engine.is_ready());
    // The venue says by stream that it has ended.
    bench.asked.clear();
    bench.answer("stream_key", "key sesame");
    bench.say("user", "expired");
    assert!(!bench.engine.is_ready());
    bench.pass(SECOND);
    assert_eq!((bench.count("stream_key"), bench.engine.is_ready()), (1, true));
    // A driver that names the URL gives nothing away.
    bench.cut("user", "ws://user/sesame: connection refused");
    bench.pass(SECOND);
    let told = format!("{:?} {:?}", bench.events, bench.engine.missing());
    assert!(told.contains("<key>") && !told.contains(KEY), "{told}");
}

#[test]
fn a_key_that_cannot_be_kept_alive_is_replaced_when_it_must_be_dead() {
    let mut bench = Bench::ready();
    bench.answer("keep_key", "broken");
    bench.pass(SECOND * 3_590);
    assert_eq!(bench.count("stream_key"), 0);
    bench.pass(SECOND * 100);
    assert_eq!((bench.count("stream_key"), bench.engine.is_ready()), (1, true));
}

#[test]
fn credentials_that_get_no_key_end_the_connector() {
    let mut bench = Bench::new(&MemoryJournal::new(), 0);
    bench.answer_once("stream_key", "timeout");
    bench.answer("stream_key", "error key");
    bench.engine.start(bench.now);
    bench.pump();
    assert_eq!(bench.engine.phase(), &Phase::Running);
    bench.pass(SECOND);
    let Phase::Failed(error) = bench.engine.phase() else { panic!("it goes on") };
    assert_eq!(error.cause, Cause::Credentials, "{error}");
}

#[test]
fn fills_move_positions_and_reports_wait_for_them() {
    let mut bench = Bench::ready();
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 5 - -");
    assert_eq!(bench.told(), ["BTC-USDT long 2 order"]);
    bench.say("user", "net BTC-USDT 2 100 5");
    assert_eq!(bench.told(), Vec::<String>::new(), "it says what is known");
    bench.say("user", "net BTC-USDT -1 101 6");
    let open = bench.engine.positions();
    assert_eq!((open[0].side, open[0].amount), (PositionSide::Short, number("1")), "read, it is so at once");
    assert_eq!(bench.told(), Vec::<String>::new(), "the reason is not known yet");
    bench.say("user", "fill BTC-USDT - 2 sell 101 3 6 - -");
    assert_eq!(bench.told(), ["BTC-USDT short 1 order"]);
    bench.say("market", "funding BTC-USDT - - 99");
    let position = bench.engine.position(&pair(), NET).unwrap();
    assert_eq!((position.unrealised, position.realised), (Some(number("2")), number("2")));
    bench.say("user", "net BTC-USDT 0 - 7");
    bench.pass(SECOND * 6);
    assert_eq!(bench.told(), ["BTC-USDT both 0 external"]);
    // What came from outside had all positions read again: only what is traded after that is new.
    let filled = "fill BTC-USDT - 3 buy 99 1 60000 - -";
    bench.say("user", &format!("{filled}\nfill BTC-USDT auto-1 4 sell 90 1 60001 both liquidation"));
    assert_eq!(bench.told(), ["BTC-USDT long 1 order", "BTC-USDT both 0 liquidation"]);
    bench.say("user", "call BTC-USDT");
    assert_eq!(bench.told(), ["called BTC-USDT"]);
}

#[test]
fn a_gap_is_closed_by_reading_positions() {
    let mut bench = Bench::ready();
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 5 - -\nfill ETH-USDT - 1 buy 10 2 5 - -");
    bench.told();
    bench.answer("positions", "skipped a row\nnet BTC-USDT 3 100 -");
    bench.cut("user", "reset");
    bench.pass(SECOND * 10);
    assert_eq!(
        bench.told(),
        ["BTC-USDT long 3 external"],
        "a row that cannot be read proves nothing of others"
    );
    assert_eq!(bench.engine.positions().len(), 2);
    bench.answer("positions", "net BTC-USDT 3 100 -");
    bench.pass(SECOND * 130);
    assert_eq!(bench.told(), ["ETH-USDT both 0 external"], "a complete answer is the whole");
    assert_eq!(bench.engine.positions().len(), 1);
}

#[test]
fn orders_say_what_they_do_to_a_position() {
    let mut bench = Bench::ready();
    let order = |side| NewOrder::limit(pair(), side, number("1"), number("100"));
    let refused = bench.engine.place(bench.now, order(Side::Sell).close()).unwrap_err();
    assert_eq!((refused.cause, refused.effect), (Cause::Position, Effect::NotSent), "{refused}");
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 5 - -");
    let refused = bench.engine.place(bench.now, order(Side::Buy).close()).unwrap_err();
    assert_eq!(refused.cause, Cause::Position, "buying closes no long position");
    bench.held.insert("place");
    let sent = |bench: &mut Bench, order: NewOrder| {
        bench.asked.clear();
        let id = bench.engine.place(bench.now, order).unwrap();
        bench.pump();
        let query = bench.asked.iter().find(|(name, _)| name == "place").unwrap().1.clone();
        (id, query.split_once('&').unwrap().1.to_owned())
    };
    let (id, query) = sent(&mut bench, order(Side::Sell).close());
    assert_eq!(query, "position_side=both&reduce_only=true&contract_size=1");
    let info = bench.engine.order(&id).unwrap().info();
    assert_eq!(
        (info.action, info.leverage),
        (Some(crate::position::PositionAction::Close), Some(number("10")))
    );
    let dust = NewOrder { amount: number("0.001"), ..order(Side::Sell) };
    assert_eq!(bench.engine.place(bench.now, dust.clone()).unwrap_err().cause, Cause::TradingRule);
    sent(&mut bench, dust.close());
    let (_, query) = sent(&mut bench, order(Side::Buy));
    assert_eq!(query, "position_side=both&reduce_only=false&contract_size=1");
    // 1000 of collateral at tenfold leverage.
    let large = NewOrder { amount: number("100"), ..order(Side::Buy) };
    assert_eq!(bench.engine.place(bench.now, large).unwrap_err().cause, Cause::InsufficientBalance);

    bench.answer("positions", "leg BTC-USDT short 2 100 -");
    bench.say("user", "mode hedge");
    assert_eq!(bench.engine.position_mode(), Some(PositionMode::Hedge));
    let refused = bench.engine.place(bench.now, order(Side::Buy)).unwrap_err();
    assert_eq!((refused.cause, refused.effect), (Cause::Usage, Effect::NotSent), "{refused}");
    let (_, query) = sent(&mut bench, order(Side::Buy).close());
    assert_eq!(query, "position_side=short&reduce_only=true&contract_size=1");
    let (_, query) = sent(&mut bench, order(Side::Buy).open());
    assert_eq!(query, "position_side=long&reduce_only=false&contract_size=1");
    assert_eq!(bench.engine.place(bench.now, order(Side::Sell).close()).unwrap_err().cause, Cause::Position);
}

#[test]
fn what_the_venue_refuses_for_its_positions_is_looked_at_again() {
    let mut bench = Bench::ready();
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 5 - -");
    bench.told();
    bench.answer_once("place", "error stands");
    bench.answer("positions", "leg BTC-USDT long 2 100 -");
    bench.answer("position_mode", "mode hedge");
    let order = NewOrder::limit(pair(), Side::Sell, number("1"), number("100")).close();
    bench.engine.place(bench.now, order).unwrap();
    bench.pump();
    // Somebody has closed everything, changed the mode and opened it again.
    assert_eq!(bench.engine.position_mode(), Some(PositionMode::Hedge));
    assert_eq!(bench.engine.positions()[0].side, PositionSide::Long);
    assert_eq!(bench.told(), ["BTC-USDT both 0 external", "mode hedge", "BTC-USDT long 2 found"]);
    // A contract is listed while we trade: how it is margined is asked for.
    bench.asked.clear();
    bench.answer("rules", "rule BTC-USDT\nrule ETH-USDT\nrule XRP-USDT");
    bench.answer("leverage", "leverage XRP-USDT 5");
    bench.pass(SECOND * 1_900);
    assert_eq!((bench.count("leverage"), bench.count("brackets")), (1, 1));
    assert_eq!(bench.engine.margin(&"XRP-USDT".parse().unwrap()).leverage, Some(number("5")));
}

#[test]
fn leverage_is_set_within_its_brackets() {
    let mut bench = Bench::ready();
    let set = |bench: &mut Bench, leverage: &str| {
        let asked = bench.engine.set_leverage(bench.now, &pair(), number(leverage));
        bench.pump();
        asked.map_err(|error| (error.cause, error.effect))
    };
    assert_eq!(set(&mut bench, "20"), Ok(()));
    assert_eq!(bench.told(), ["leverage BTC-USDT 20"]);
    assert_eq!(bench.engine.margin(&pair()).leverage, Some(number("20")));
    for wrong in ["0", "0.5", "51"] {
        assert_eq!(set(&mut bench, wrong), Err((Cause::TradingRule, Effect::NotSent)));
    }
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 5 - -");
    assert_eq!(
        set(&mut bench, "20"),
        Err((Cause::TradingRule, Effect::NotSent)),
        "the position is too large"
    );
    bench.told();
    assert_eq!(bench.count("set_leverage"), 1);
    bench.answer_once("set_leverage", "error no");
    assert_eq!(set(&mut bench, "5"), Ok(()));
    assert_eq!(bench.told(), ["leverage refused TradingRule Rejected"]);
    bench.answer_once("set_leverage", "error same");
    assert_eq!(set(&mut bench, "5"), Ok(()));
    assert_eq!(bench.told(), ["leverage BTC-USDT 5"], "that it was so is a success");
    bench.say("user", "leverage BTC-USDT 7");
    assert_eq!(bench.told(), ["leverage BTC-USDT 7"], "somebody else has set it");
}

#[test]
fn an_unknown_outcome_of_a_setting_is_read_back() {
    let mut bench = Bench::ready();
    bench.answer_once("set_leverage", "timeout");
    bench.answer("leverage", "leverage BTC-USDT 20\nleverage ETH-USDT 20");
    bench.engine.set_leverage(bench.now, &pair(), number("20")).unwrap();
    bench.pump();
    assert_eq!(bench.told(), ["leverage BTC-USDT 20"], "it was made, and is told once");
    // It was not made: it is asked for again, and at last given up.
    bench.answer("set_leverage", "timeout");
    bench.asked.clear();
    bench.engine.set_leverage(bench.now, &pair(), number("3")).unwrap();
    bench.engine.set_leverage(bench.now, &"ETH-USDT".parse().unwrap(), number("20")).unwrap();
    bench.pump();
    assert_eq!((bench.count("set_leverage"), bench.count("leverage")), (3, 3));
    assert_eq!(bench.told(), ["leverage refused Timeout Unknown", "leverage ETH-USDT 20"]);
    bench.answer_once("set_position_mode", "timeout");
    bench.answer("position_mode", "mode hedge");
    bench.engine.set_position_mode(bench.now, PositionMode::Hedge).unwrap();
    bench.pump();
    assert_eq!(bench.told(), ["mode hedge"]);
}

#[test]
fn modes_are_not_changed_under_what_is_open() {
    let mut bench = Bench::ready();
    bench.held.insert("place");
    let id = bench
        .engine
        .place(bench.now, NewOrder::limit(pair(), Side::Buy, number("1"), number("100")))
        .unwrap();
    bench.pump();
    let refused = bench.engine.set_position_mode(bench.now, PositionMode::Hedge).unwrap_err();
    assert_eq!((refused.cause, refused.effect), (Cause::Position, Effect::NotSent), "{refused}");
    let refused = bench.engine.set_margin_mode(bench.now, &pair(), MarginMode::Isolated).unwrap_err();
    assert_eq!(refused.cause, Cause::Position);
    let eth = "ETH-USDT".parse().unwrap();
    bench.engine.set_margin_mode(bench.now, &eth, MarginMode::Isolated).unwrap();
    bench.pump();
    assert_eq!(bench.told(), ["margin ETH-USDT isolated"]);
    bench.release("place", &format!("order BTC-USDT {id} open"));
    bench.say("user", &format!("order BTC-USDT {id} cancelled"));
    bench.pass(SECOND * 5);
    bench.engine.set_position_mode(bench.now, PositionMode::Hedge).unwrap();
    bench.pump();
    assert_eq!(bench.told(), ["mode hedge"]);
    bench.say("user", "fill BTC-USDT - 1 buy 100 2 9000 long -");
    assert_eq!(bench.told(), ["BTC-USDT long 2 order"]);
    assert!(bench.engine.set_position_mode(bench.now, PositionMode::OneWay).is_err());
    assert_eq!(bench.count("set_position_mode"), 1);
}

#[test]
fn a_setting_waits_for_the_one_before() {
    let mut bench = Bench::ready();
    bench.held.insert("set_leverage");
    for leverage in ["20", "30", "20"] {
        bench.engine.set_leverage(bench.now, &pair(), number(leverage)).unwrap();
    }
    bench.pump();
    assert_eq!(bench.count("set_leverage"), 1);
    // A stream that is quicker than the answer does not make it two successes.
    bench.say("user", "leverage BTC-USDT 20");
    for _ in 0..3 {
        bench.held.insert("set_leverage");
        let next = bench.waiting.pop();
        bench.give(next.unwrap().0, "");
        bench.pump();
    }
    assert_eq!(bench.told(), ["leverage BTC-USDT 20", "leverage BTC-USDT 30", "leverage BTC-USDT 20"]);
    assert_eq!(bench.count("set_leverage"), 3);
}

#[test]
fn payments_are_told_once_across_pages_disconnects_and_restarts() {
    let journal = MemoryJournal::new();
    let mut bench = Bench::new(&journal, 0);
    bench.start();
    bench.told();
    assert_eq!(bench.count("funding_payments"), 1, "what was paid while nobody listened");
    // A stream hints at payments; the history has two pages of them, of two a page.
    bench.answer_once("funding_payments", "paid BTC-USDT -1 10 a\npaid ETH-USDT 2 10 b");
    bench.answer_once("funding_payments", "paid ETH-USDT 2 10 b\npaid BTC-USDT -3 20 c");
    bench.answer_once("funding_payments", "paid BTC-USDT -3 20 c");
    bench.answer("funding_payments", "");
    bench.pass(SECOND);
    bench.say("user", "paid BTC-USDT -1 10 -");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.told(), ["paid BTC-USDT -1 a", "paid ETH-USDT 2 b", "paid BTC-USDT -3 c"]);
    bench.answer_once("funding_payments", "paid BTC-USDT -3 20 c");
    bench.pass(SECOND * 2);
    assert_eq!(bench.told(), Vec::<String>::new());
    // The next run: what was told is not told again, what came meanwhile is.
    let mut next = Bench::new(&journal, 3_600_000);
    next.answer_once("funding_payments", "paid BTC-USDT -3 20 c\npaid BTC-USDT -4 3000000 d");
    next.answer_once("funding_payments", "paid BTC-USDT -4 3000000 d");
    next.start();
    let told = next.told();
    assert_eq!(
        told.iter().filter(|told| told.starts_with("paid")).collect::<Vec<_>>(),
        ["paid BTC-USDT -4 d"]
    );
}

#[test]
fn payments_are_read_when_they_are_due() {
    let mut bench = Bench::ready();
    bench.pass(SECOND * 3_599);
    let before = bench.count("funding_payments");
    bench.answer("funding_payments", "broken");
    bench.pass(SECOND * 2);
    assert!(bench.count("funding_payments") > before, "soon after the time that was announced");
    bench.answer("funding_payments", "paid BTC-USDT -1 3600000 a");
    bench.pass(SECOND * 10);
    let paid: Vec<_> = bench.told().into_iter().filter(|told| told.starts_with("paid")).collect();
    assert_eq!(paid, ["paid BTC-USDT -1 a"], "a failure is not the end of it");
}

#[test]
fn marks_are_read_and_rates_are_told_now_and_then() {
    let mut bench = Bench::ready();
    for second in 1..=25 {
        bench.pass(SECOND);
        bench.say("market", &format!("funding BTC-USDT 0.{second} 3600000 {second}"));
    }
    assert_eq!(bench.engine.funding(&pair()).mark_price, Some(number("25")));
    assert_eq!(bench.told().len(), 2, "a changed rate every ten seconds");
    assert_eq!(bench.count("funding_info"), 0, "the stream tells it");
    bench.say("market", "funding BTC-USDT - 7200000 25");
    assert_eq!(bench.told(), ["funding 0.25"], "a changed time at once");
    bench.pass(SECOND * 50);
    assert!(bench.count("funding_info") > 0, "the stream is silent");
}

#[test]
fn collateral_follows_the_account() {
    let mut bench = Bench::ready();
    let balance = |bench: &Bench| {
        let balance = bench.engine.balances()[&"USDT".into()];
        (balance.total.to_string(), balance.available.to_string())
    };
    bench.held.insert("place");
    let id = bench
        .engine
        .place(bench.now, NewOrder::limit(pair(), Side::Buy, number("10"), number("100")))
        .unwrap();
    bench.pump();
    // 1000 at tenfold leverage, and the fee of it.
    assert_eq!(balance(&bench), ("1000".into(), "899.5".into()));
    bench.release("place", &format!("order BTC-USDT {id} open"));
    assert_eq!(balance(&bench).1, "899.5");
    bench.say("user", &format!("fill BTC-USDT {id} 1 buy 100 10 5 - -"));
    assert_eq!(balance(&bench).1, "899.5", "what was an order's margin is now a position's");
    bench.say("user", "balance USDT 999.5 -");
    assert_eq!(balance(&bench).0, "999.5", "the stream's word counts at once");
    bench.answer("balances", "balance USDT 999.5 899.6");
    bench.pass(SECOND * 2);
    assert_eq!(balance(&bench), ("999.5".into(), "899.6".into()), "the venue's own figure, soon");
}
