use std::collections::BTreeMap;

use connector_core::engine::{Balance, BookView, FeedState, MarginSettings};
use connector_core::event::{Event, OrderCancelled, OrderFailed, OrderInfo};
use connector_core::funding::FundingState;
use connector_core::message::{Market, Trade, TradingRule};
use connector_core::order::OrderType;
use connector_core::throttle::PoolUsage;
use connector_core::{Asset, Cause, Effect, Error, Pair};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use smol_str::SmolStr;

use super::super::{Ask, Contract, Input, Key, Reading};
use super::*;

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

fn at(seconds: i64) -> UnixNanos {
    UnixNanos(1_700_000_000_000_000_000 + seconds * 1_000_000_000)
}

fn level(price: &str, amount: &str) -> Level {
    Level { price: number(price), amount: number(amount) }
}

fn order(id: &str, side: Side, price: &str, state: OrderState) -> OrderRow {
    OrderRow {
        id: id.into(),
        side,
        order_type: OrderType::LimitMaker,
        price: Some(number(price)),
        amount: number("0.5"),
        filled: number("0.1"),
        state,
    }
}

fn reading() -> Reading {
    Reading {
        time: at(5),
        ready: true,
        book: Some(BookView {
            pair: pair(),
            state: FeedState::Live,
            last_id: Some(42),
            bids: vec![level("99.5", "4"), level("99.4", "0.5"), level("99", "2")],
            asks: vec![level("100", "1.25"), level("100.5", "8")],
        }),
        best: None,
        last: Some(number("100")),
        rule: Some(TradingRule {
            pair: pair(),
            exchange_symbol: "BTCUSDT".into(),
            min_amount: Some(number("0.01")),
            max_amount: None,
            amount_step: Some(number("0.01")),
            price_step: Some(number("0.1")),
            min_price: None,
            max_price: None,
            min_notional: Some(number("10")),
            contract_size: None,
            collateral: None,
            tradable: true,
        }),
        open: vec![order("c1", Side::Buy, "99.4", OrderState::PartiallyFilled)],
        balances: BTreeMap::from([
            (Asset::new("BTC"), Balance { total: number("1.50"), available: number("1.5") }),
            (Asset::new("DUST"), Balance::default()),
            (Asset::new("ETH"), Balance { total: number("3"), available: number("3") }),
            (Asset::new("USDT"), Balance { total: number("1000"), available: number("950.25") }),
        ]),
        limits: vec![
            PoolUsage { name: "weight", used: 90, limit: 100, closed_until: None },
            PoolUsage { name: "orders", used: 1, limit: 100, closed_until: None },
        ],
        contract: None,
    }
}

fn contract() -> Contract {
    let position = |pair: &str, side, amount: &str, gain: &str| Position {
        pair: pair.parse().unwrap(),
        side,
        amount: number(amount),
        entry_price: Some(number("98.25")),
        realised: Decimal::ZERO,
        unvalued: Decimal::ZERO,
        leverage: Some(number("20")),
        mark_price: Some(number("99.75")),
        unrealised: Some(number(gain)),
        cause: None,
        reported: None,
    };
    Contract {
        positions: vec![
            position("ADA-USDT", PositionSide::Short, "700", "-12.5"),
            position("BTC-USDT", PositionSide::Long, "1.5", "2.25"),
        ],
        funding: FundingState {
            rate: Some(number("0.0001")),
            next_time: Some(at(5 + 3 * 3_600 + 60)),
            mark_price: Some(number("99.75")),
            index_price: Some(number("99.7")),
        },
        margin: MarginSettings::default(),
    }
}

fn info(id: &str) -> OrderInfo {
    OrderInfo {
        pair: pair(),
        client_order_id: id.into(),
        exchange_order_id: None,
        side: Side::Sell,
        order_type: OrderType::LimitMaker,
        price: Some(number("100")),
        amount: number("0.5"),
        action: None,
        leverage: None,
    }
}

fn traded(price: &str, taker_side: Side) -> Input {
    let trade = Trade {
        market: Market::Pair(pair()),
        trade_id: "t".into(),
        price: number(price),
        amount: number("0.5"),
        taker_side,
        time: Some(at(3)),
    };
    Input::Event(Event::Traded { time: at(3), pair: pair(), trade })
}

/// A screen on which everything shows something.
fn screen() -> Screen {
    let mut screen = Screen::new("spot-toy", "the embedded venue", pair(), &["public", "user"], at(0));
    let cancelled = OrderCancelled {
        time: at(4),
        order: info("c0"),
        executed: Default::default(),
        requested: true,
        reason: None,
    };
    let down = Event::LinkChanged {
        time: at(4),
        link: "user".into(),
        channel: None,
        pair: None,
        state: LinkState::Down,
        reason: Some("closed".into()),
    };
    let inputs = [
        traded("98", Side::Sell),
        traded("100", Side::Buy),
        Input::Event(Event::OrderCancelled(cancelled)),
        Input::Event(down),
        Input::Tick(Box::new(reading())),
    ];
    for input in inputs {
        assert_eq!(screen.update(input), None);
    }
    screen
}

fn text(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(screen, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>());
    rows.map(|row| format!("{}\n", row.trim_end())).collect()
}

#[test]
fn small_terminal() {
    let shown = text(&screen(), 80, 24);
    assert_eq!(shown, include_str!("draw_80x24.txt"), "\n{shown}");
}

#[test]
fn large_terminal() {
    let shown = text(&screen(), 120, 40);
    assert_eq!(shown, include_str!("draw_120x40.txt"), "\n{shown}");
}

#[test]
fn positions_and_funding_of_a_contract() {
    let mut screen = screen();
    let _ = screen.update(Input::Tick(Box::new(Reading { contract: Some(contract()), ..reading() })));
    let shown = text(&screen, 140, 30);
    let holds = |part: &str| assert!(shown.contains(part), "no `{part}` in\n{shown}");
    holds("mark 99.8  index 99.7  funding 0.0100 % in 3 h");
    holds("Positions");
    holds("BTC-USDT long 1.5 +2.25 at 98.25 mark 99.75 20×");
    holds("ADA-USDT short 700 -12.50");
    let place = |part: &str| shown.find(part).unwrap();
    assert!(place("BTC-USDT long") < place("ADA-USDT short"), "the pair's own comes first\n{shown}");
    let flat = Contract { positions: Vec::new(), ..contract() };
    let _ = screen.update(Input::Tick(Box::new(Reading { contract: Some(flat), ..reading() })));
    assert!(text(&screen, 140, 30).contains("none open"));
    for width in (0..150).step_by(7) {
        text(&screen, width, 24);
    }
}

#[test]
fn no_size_is_too_small() {
    let bare = Screen::new("spot-toy", "com", pair(), &[], at(0));
    for (width, height) in (0..70).step_by(3).flat_map(|width| (0..26).map(move |height| (width, height))) {
        text(&screen(), width, height);
        text(&bare, width, height);
    }
}

#[test]
fn a_book_that_is_not_live_says_so() {
    let mut screen = screen();
    let stale = Event::BookStale { time: at(6), pair: pair(), reason: SmolStr::new("gap") };
    let _ = screen.update(Input::Event(stale));
    let _ =
        screen.update(Input::Tick(Box::new(Reading { book: None, ready: false, time: at(7), ..reading() })));
    let shown = text(&screen, 120, 40);
    for part in
        ["the book is not live", "NOT LIVE", "book BTC-USDT stale 1 s gap", "book BTC-USDT is stale: gap"]
    {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    assert_eq!(screen.update(Input::Key(Key::Buy)), None, "nothing is placed by an unknown book");
    assert!(text(&screen, 120, 40).contains("no order: the book is not live"));
}

#[test]
fn keys_ask_for_orders_at_the_touch() {
    let mut screen = screen();
    let Some(Ask::Place(buy)) = screen.update(Input::Key(Key::Buy)) else { panic!("no order") };
    // 10 × 1.1 / 99.5 is a little more than 0.11.
    assert_eq!((buy.side, buy.order_type), (Side::Buy, OrderType::LimitMaker));
    assert_eq!((buy.price, buy.amount), (Some(number("99.5")), number("0.12")));
    for key in [Key::Less, Key::More, Key::More] {
        assert_eq!(screen.update(Input::Key(key)), None);
    }
    let Some(Ask::Place(sell)) = screen.update(Input::Key(Key::Sell)) else { panic!("no order") };
    assert_eq!((sell.side, sell.price, sell.amount), (Side::Sell, Some(number("100")), number("0.33")));
    let Some(Ask::Place(market)) = screen.update(Input::Key(Key::Market)) else { panic!("no order") };
    assert_eq!((market.order_type, market.price, market.amount), (OrderType::Market, None, number("0.11")));
    assert_eq!(screen.update(Input::Key(Key::CancelAll)), Some(Ask::CancelAll));
    assert_eq!(screen.update(Input::Key(Key::Quit)), Some(Ask::Quit));
}

#[test]
fn cancel_takes_the_newest_that_is_not_ending() {
    let mut screen = screen();
    let open = vec![
        order("old", Side::Buy, "99", OrderState::Open),
        order("new", Side::Buy, "99", OrderState::Open),
        order("ending", Side::Buy, "99", OrderState::PendingCancel),
    ];
    let _ = screen.update(Input::Tick(Box::new(Reading { open, ..reading() })));
    assert_eq!(screen.update(Input::Key(Key::Cancel)), Some(Ask::Cancel("new".into())));
    let _ = screen.update(Input::Tick(Box::new(Reading { open: Vec::new(), ..reading() })));
    assert_eq!(screen.update(Input::Key(Key::Cancel)), None);
    assert!(text(&screen, 80, 24).contains("no open order to cancel"));
}

#[test]
fn an_order_that_has_ended_is_shown_once() {
    let mut screen = screen();
    let error = Error::new(Cause::WouldTake, Effect::Rejected, "place", "no");
    let failed = OrderFailed { time: at(6), order: info("c1"), error: error.clone().into() };
    let _ = screen.update(Input::Event(Event::OrderFailed(failed)));
    let _ = screen.update(Input::Refused(error));
    let _ = screen.update(Input::Lagged(7));
    let shown = text(&screen, 120, 40);
    assert_eq!(shown.matches(" c1").count(), 1, "{shown}");
    for part in ["failed           c1", "post-only order would take", "7 events were missed"] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
}

#[test]
fn everything_kept_is_bounded() {
    let mut screen = screen();
    for n in 0..1_000 {
        let _ = screen.update(traded("100", Side::Buy));
        let _ = screen.update(Input::Lagged(n));
        let _ = screen.update(Input::Key(Key::More));
        let state = LinkState::Live;
        let link = SmolStr::new(n.to_string());
        let (channel, pair, reason) = (None, None, None);
        let _ = screen.update(Input::Event(Event::LinkChanged {
            time: at(1),
            link,
            channel,
            pair,
            state,
            reason,
        }));
        let cancelled = OrderCancelled {
            time: at(4),
            order: info(&n.to_string()),
            executed: Default::default(),
            requested: false,
            reason: None,
        };
        let _ = screen.update(Input::Event(Event::OrderCancelled(cancelled)));
    }
    let kept = [screen.trades.len(), screen.log.len(), screen.links.len(), screen.closed.len()];
    assert_eq!(kept, [200, 200, 64, 50]);
    assert_eq!(screen.times, 1_000);
    text(&screen, 120, 40);
}

#[test]
fn bars_and_numbers() {
    assert_eq!(bar(number("1"), number("2"), 4), "██");
    assert_eq!(bar(number("0.001"), number("2"), 4), "▏");
    assert_eq!(bar(number("3"), number("2"), 2), "██");
    assert_eq!(bar(Decimal::ZERO, Decimal::ZERO, 4), "");
    assert_eq!(bar(Decimal::ONE, Decimal::MAX, 0), "");
    assert_eq!((fixed(number("1.5"), 3), fixed(number("1.23450"), 2)), ("1.500".into(), "1.2345".into()));
    assert_eq!((clock(at(0)), clock(UnixNanos(-1))), ("22:13:20".into(), "23:59:59".into()));
    assert_eq!((lasting(59), lasting(60), lasting(7_200)), ("59 s".into(), "1 min".into(), "2 h".into()));
}
