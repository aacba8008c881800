use std::collections::BTreeMap;

use connector_core::dialect::{Pool, Scope, Source, Window};
use connector_core::order::{OrderType, Side, TimeInForce};
use proptest::prelude::*;

use super::*;
use crate::limits::OrderCountPolicy;
use crate::matching::Resting;
use crate::news::BookChange;
use crate::orders::{Amount, Placement, SelfTrade, Submit};
use crate::setup::Liveliness;

const A: AccountId = AccountId(1);
const B: AccountId = AccountId(2);
const S: &str = "BTCUSDT";
const SECOND: i64 = 1_000_000_000;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn market() -> MarketSetup {
    MarketSetup::new("BTC", "USDT", Rules::new(dec("0.01"), dec("0.00001"), 5.into()), 60_000.into())
}

fn setup(market: MarketSetup) -> Setup {
    let mut setup = Setup::new(UnixNanos(1_700_000_000 * SECOND), 7);
    setup.markets.push(market);
    let money = vec![("BTC".into(), 10.into()), ("USDT".into(), 1_000_000.into())];
    setup.accounts.extend([A, B].map(|id| AccountSetup::new(id, money.clone())));
    setup
}

fn exchange() -> Exchange {
    Exchange::new(setup(market())).unwrap()
}

fn limit(side: Side, price: i64, amount: &str) -> Submit {
    Submit::limit(S, side, price.into(), dec(amount))
}

fn place(exchange: &mut Exchange, account: AccountId, submit: &Submit) -> Placement {
    exchange.place(account, submit).unwrap()
}

fn free(exchange: &Exchange, account: AccountId, asset: &str) -> Decimal {
    exchange.ledger.balance(account, &asset.into()).free
}

/// News in short: who, what, state, or what else it is.
fn told(exchange: &mut Exchange) -> Vec<String> {
    let short = |news: News| match news {
        News::Order { account, order, what, .. } => {
            let what = match what {
                What::New => "new",
                What::Trade(_) => "trade",
                What::Cancelled { .. } => "cancelled",
                What::Expired => "expired",
                What::Rejected(_) => "rejected",
                What::Replaced => "replaced",
                What::Modified => "modified",
            };
            format!("{} {what} {}", account.0, order.state)
        }
        News::Balances { account, .. } => format!("{} balances", account.0),
        News::Deposit { account, .. } => format!("{} deposit", account.0),
        News::Book { .. } => "book".to_owned(),
        News::Best { .. } => "best".to_owned(),
        News::Trade(_) => "public".to_owned(),
        News::Market { .. } => "market".to_owned(),
        other => format!("{other:?}"),
    };
    exchange.take_news().into_iter().map(short).collect()
}

#[test]
fn a_trade_moves_money_and_is_told_in_order() {
    let mut exchange = exchange();
    place(&mut exchange, A, &limit(Side::Sell, 60_000, "1").client_id("a"));
    assert_eq!(told(&mut exchange), ["1 new open", "1 balances", "best"]);
    assert_eq!(exchange.ledger.balance(A, &"BTC".into()), Balance { free: 9.into(), locked: 1.into() });
    let placed = place(&mut exchange, B, &limit(Side::Buy, 60_010, "0.4"));
    assert_eq!((placed.order.state, placed.executions.len()), (OrderState::Filled, 1));
    assert_eq!(placed.order.client_id.len(), 22);
    let news = ["2 new open", "2 trade filled", "1 trade partially_filled"];
    assert_eq!(told(&mut exchange), [&news[..], &["1 balances", "2 balances", "public", "best"]].concat());
    assert_eq!(free(&exchange, B, "USDT"), (1_000_000 - 24_000).into());
    assert_eq!(free(&exchange, B, "BTC"), dec("10.3996"));
    assert_eq!(free(&exchange, A, "USDT"), dec("1023976"));
    let cancelled = exchange.cancel(A, S, &Which::Client("a".into()), None).unwrap();
    assert_eq!((cancelled.state, cancelled.filled), (OrderState::Cancelled, dec("0.4")));
    assert_eq!(told(&mut exchange), ["1 cancelled cancelled", "1 balances", "best"]);
    assert_eq!(exchange.cancel(A, S, &Which::Client("a".into()), None), Err(Reject::UnknownOrder));
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
    exchange.advance(exchange.now().offset(SECOND));
    assert_eq!(told(&mut exchange), ["book"]);
    let view = serde_json::to_value(exchange.ledger(B)).unwrap();
    assert_eq!(view["fills"][0]["amount"], "0.4");
}

#[test]
fn times_in_force_and_market_orders() {
    let mut exchange = exchange();
    let fok = |amount| limit(Side::Buy, 60_000, amount).time_in_force(TimeInForce::Fok);
    let empty = place(&mut exchange, B, &Submit::market(S, Side::Buy, Amount::Base(dec("0.1"))));
    assert_eq!((empty.order.state, empty.order.reason), (OrderState::Expired, Some(EndReason::NoLiquidity)));
    place(&mut exchange, A, &limit(Side::Sell, 60_000, "1"));
    let short = place(&mut exchange, B, &fok("1.1"));
    assert_eq!((short.order.reason, short.order.filled), (Some(EndReason::FillOrKill), 0.into()));
    assert_eq!(place(&mut exchange, B, &fok("0.1")).order.state, OrderState::Filled);
    let ioc = limit(Side::Buy, 60_000, "1").time_in_force(TimeInForce::Ioc);
    let part = place(&mut exchange, B, &ioc).order;
    assert_eq!((part.reason, part.filled), (Some(EndReason::ImmediateOrCancel), dec("0.9")));
    place(&mut exchange, A, &limit(Side::Sell, 60_000, "0.5"));
    let by_quote = Submit::market(S, Side::Buy, Amount::Quote(dec("100")));
    let bought = place(&mut exchange, B, &by_quote).order;
    assert_eq!((bought.state, bought.filled), (OrderState::Filled, dec("0.00166")));
    let all = Submit::market(S, Side::Buy, Amount::Quote(dec("100000")));
    let thin = place(&mut exchange, B, &all);
    assert_eq!((thin.order.state, thin.order.reason), (OrderState::Expired, Some(EndReason::NoLiquidity)));
    assert_eq!(thin.order.filled, dec("0.49834"));
    place(&mut exchange, A, &limit(Side::Buy, 50_000, "1"));
    let sold = place(&mut exchange, B, &Submit::market(S, Side::Sell, Amount::Base(1.into())));
    assert_eq!(sold.order.filled_quote, 50_000.into());
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn refusals_change_nothing() {
    let mut exchange = exchange();
    place(&mut exchange, A, &limit(Side::Sell, 60_000, "1").client_id("x"));
    let before = (exchange.ledger(A), exchange.ledger(B), exchange.depth(S, 10));
    let mut other = limit(Side::Buy, 50_000, "1");
    other.symbol = "NONE".into();
    let base = |side, price: &str, amount: &str| Submit::limit(S, side, dec(price), dec(amount));
    let market = |side, amount| Submit::market(S, side, amount);
    let cases = [
        (A, limit(Side::Sell, 60_001, "1").client_id("x"), Reject::DuplicateClientId),
        (A, limit(Side::Sell, 60_000, "9.1"), Reject::InsufficientBalance),
        (B, limit(Side::Buy, 50_000, "21"), Reject::InsufficientBalance),
        (B, Submit::limit_maker(S, Side::Buy, 60_000.into(), 1.into()), Reject::WouldTake),
        (B, base(Side::Buy, "50000.001", "1"), Reject::Rule(Rule::PriceFilter)),
        (B, base(Side::Buy, "0", "1"), Reject::Rule(Rule::PriceFilter)),
        (B, base(Side::Buy, "50000", "0.000001"), Reject::Rule(Rule::LotSize)),
        (B, base(Side::Buy, "50000", "-1"), Reject::Rule(Rule::LotSize)),
        (B, base(Side::Buy, "50000", "79228162514264337593543950335"), Reject::Rule(Rule::LotSize)),
        (B, base(Side::Buy, "50000", "0.00009"), Reject::Rule(Rule::MinNotional)),
        (B, market(Side::Buy, Amount::Quote(Decimal::MAX)), Reject::Rule(Rule::MarketLotSize)),
        (B, market(Side::Sell, Amount::Base(11.into())), Reject::InsufficientBalance),
        (AccountId(3), limit(Side::Buy, 50_000, "1"), Reject::UnknownAccount),
        (B, other, Reject::UnknownMarket),
    ];
    let _ = exchange.take_news();
    for (account, submit, reject) in cases {
        assert_eq!(exchange.place(account, &submit), Err(reject), "{submit:?}");
    }
    assert_eq!((exchange.ledger(A), exchange.ledger(B), exchange.depth(S, 10)), before);
    assert!(exchange.take_news().is_empty());
}

#[test]
fn rules_a_market_may_have_besides() {
    let mut market = market();
    market.rules.percent_price = Some((dec("0.5"), 2.into()));
    market.rules.market_max_amount = Some(1.into());
    market.rules.max_open_orders = Some(1);
    market.rules.order_types = vec![OrderType::Limit, OrderType::Market];
    let mut exchange = Exchange::new(Setup { announce_rejections: true, ..setup(market) }).unwrap();
    let post_only = Submit::limit_maker(S, Side::Buy, 50_000.into(), 1.into());
    let by_quote = Submit { amount: Amount::Quote(100.into()), ..limit(Side::Buy, 50_000, "1") };
    let no_price = Submit { price: None, ..limit(Side::Buy, 50_000, "1") };
    for (submit, reject) in [
        (limit(Side::Buy, 29_999, "1"), Reject::Rule(Rule::PercentPrice)),
        (limit(Side::Sell, 120_001, "1"), Reject::Rule(Rule::PercentPrice)),
        (Submit::market(S, Side::Buy, Amount::Base(dec("1.1"))), Reject::Rule(Rule::MarketLotSize)),
        (post_only, Reject::UnsupportedType),
        (by_quote, Reject::UnsupportedType),
        (no_price, Reject::PriceMissing),
    ] {
        assert_eq!(exchange.place(A, &submit), Err(reject), "{submit:?}");
        assert_eq!(told(&mut exchange), ["1 rejected failed"]);
    }
    place(&mut exchange, A, &limit(Side::Buy, 50_000, "1"));
    let second = limit(Side::Buy, 50_000, "1");
    assert_eq!(exchange.place(A, &second), Err(Reject::Rule(Rule::MaxOpenOrders)));
    assert!(exchange.check(B, &second).is_ok());
}

#[test]
fn money_from_outside_is_told() {
    let mut exchange = exchange();
    exchange.advance(exchange.now().offset(SECOND));
    exchange.transfer(A, &"USDT".into(), 5.into()).unwrap();
    assert_eq!(told(&mut exchange), ["1 deposit", "1 balances"]);
    assert_eq!(
        (free(&exchange, A, "USDT"), exchange.balances_changed(A)),
        (1_000_005.into(), exchange.now())
    );
    let too_much = exchange.transfer(A, &"BTC".into(), (-11).into());
    assert_eq!(too_much, Err(Reject::InsufficientBalance));
    assert_eq!(exchange.transfer(AccountId(9), &"BTC".into(), 1.into()), Err(Reject::UnknownAccount));
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn self_trades_are_prevented() {
    let mut exchange = exchange();
    place(&mut exchange, A, &limit(Side::Sell, 60_000, "1"));
    let placed = place(&mut exchange, A, &limit(Side::Buy, 60_000, "1"));
    assert_eq!((placed.order.state, placed.executions.len()), (OrderState::Open, 0));
    let first = exchange.order(A, S, &Which::Id(1)).unwrap();
    assert_eq!((first.state, first.reason), (OrderState::Expired, Some(EndReason::SelfTrade)));
    let mut allowed = limit(Side::Sell, 60_000, "1");
    allowed.self_trade = Some(SelfTrade::Allow);
    assert_eq!(place(&mut exchange, A, &allowed).order.state, OrderState::Filled);
    assert_eq!(exchange.fills(A, &HistoryQuery::default()).len(), 2);
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn client_ids_are_free_again_when_their_order_has_ended() {
    let mut exchange = exchange();
    let submit = limit(Side::Sell, 60_000, "1").client_id("x");
    let first = place(&mut exchange, A, &submit).order.id;
    exchange.cancel(A, S, &Which::Id(first), None).unwrap();
    let second = place(&mut exchange, A, &submit).order.id;
    assert_eq!(exchange.order(A, S, &Which::Client("x".into())).unwrap().id, second);
    assert_eq!(exchange.all_orders(A, &HistoryQuery::of(S)).len(), 2);
    assert!(exchange.order(B, S, &Which::Id(first)).is_none());
}

#[test]
fn reducing_keeps_the_place_in_the_queue() {
    let mut exchange = exchange();
    let first = place(&mut exchange, A, &limit(Side::Buy, 50_000, "1")).order.id;
    place(&mut exchange, B, &limit(Side::Buy, 50_000, "1"));
    let reduced = exchange.reduce(A, S, &Which::Id(first), dec("0.4")).unwrap();
    assert_eq!((reduced.amount, reduced.locked), (dec("0.4"), 20_000.into()));
    assert!(exchange.reduce(A, S, &Which::Id(first), dec("0.4")).is_err());
    let queue: Vec<Resting> = exchange.listed(S).unwrap().book.at(Side::Buy, 50_000.into()).collect();
    assert_eq!(queue.iter().map(|order| order.account).collect::<Vec<_>>(), [A, B]);
    assert_eq!(exchange.ledger.balance(A, &"USDT".into()).locked, 20_000.into());
}

#[test]
fn markets_can_be_halted_delisted_and_listed_again() {
    let mut exchange = exchange();
    let order = place(&mut exchange, A, &limit(Side::Buy, 50_000, "1")).order.id;
    place(&mut exchange, A, &limit(Side::Buy, 50_000, "1"));
    exchange.set_status(S, MarketStatus::Halted).unwrap();
    assert_eq!(exchange.place(B, &limit(Side::Buy, 50_000, "1")), Err(Reject::MarketClosed));
    exchange.cancel(A, S, &Which::Id(order), None).unwrap();
    exchange.set_status(S, MarketStatus::Delisted).unwrap();
    assert!(exchange.markets().is_empty() && exchange.depth(S, 1).is_none());
    assert_eq!(exchange.place(B, &limit(Side::Buy, 50_000, "1")), Err(Reject::UnknownMarket));
    let ended: Vec<_> =
        exchange.all_orders(A, &HistoryQuery::of(S)).iter().map(|order| order.reason).collect();
    assert_eq!(ended, [Some(EndReason::Requested), Some(EndReason::MarketClosed)]);
    assert_eq!(free(&exchange, A, "USDT"), 1_000_000.into());
    exchange.list(market()).unwrap();
    assert!(exchange.list(market()).is_err());
    let rules = Rules::new(1.into(), 1.into(), 5.into());
    exchange.change_rules(S, rules).unwrap();
    assert_eq!(exchange.place(B, &limit(Side::Buy, 50_000, "0.1")), Err(Reject::Rule(Rule::LotSize)));
}

#[test]
fn order_counts_rise_with_orders_and_fall_with_first_fills() {
    let mut setup = setup(market());
    let window = Window::Fixed(Duration::from_secs(10));
    let source = Source { url: "", read: "" };
    setup.pools.push(Pool {
        name: "orders",
        limit: 100,
        window,
        scope: Scope::Account,
        used_header: None,
        source,
    });
    setup.order_count = OrderCountPolicy { pools: vec!["orders".into()], ..OrderCountPolicy::default() };
    let mut exchange = Exchange::new(setup).unwrap();
    for _ in 0..6 {
        exchange.charge_order(A);
        place(&mut exchange, A, &limit(Side::Sell, 60_000, "1"));
    }
    exchange.charge_order(B);
    place(&mut exchange, B, &limit(Side::Buy, 60_000, "0.5"));
    let used =
        |exchange: &Exchange, id| exchange.limits().used("orders", ScopeKey::Account(id), exchange.now());
    assert_eq!((used(&exchange, A), used(&exchange, B)), (1, 0));
    place(&mut exchange, B, &limit(Side::Buy, 60_000, "0.5"));
    assert_eq!(used(&exchange, A), 1, "only the first fill of an order counts");
}

#[test]
fn impossible_setups_are_refused() {
    let mut fine = market();
    fine.rules.tick = dec("0.0000000001");
    let mut same = market();
    same.quote = "BTC".into();
    let mut none = market();
    none.rules.step = 0.into();
    for market in [fine, same, none] {
        assert!(Exchange::new(setup(market)).is_err());
    }
    let mut twice = setup(market());
    twice.accounts.push(AccountSetup::new(A, Vec::new()));
    assert!(Exchange::new(twice).is_err());
}

#[test]
fn ticker_and_trades_cover_a_day() {
    let mut exchange = exchange();
    let trade = |exchange: &mut Exchange, price: i64| {
        place(exchange, A, &limit(Side::Sell, price, "0.1"));
        place(exchange, B, &limit(Side::Buy, price, "0.1"));
    };
    trade(&mut exchange, 100);
    exchange.advance(exchange.now().offset(3600 * SECOND));
    [300, 200, 250].into_iter().for_each(|price| trade(&mut exchange, price));
    let day = exchange.ticker(S).unwrap();
    assert_eq!([day.open, day.high, day.low, day.last], [100, 300, 100, 250].map(Decimal::from));
    assert_eq!((day.count, day.volume, day.quote_volume), (4, dec("0.4"), 85.into()));
    exchange.advance(exchange.now().offset(23 * 3600 * SECOND));
    let day = exchange.ticker(S).unwrap();
    assert_eq!((day.open, day.low, day.count, day.first_id), (300.into(), 200.into(), 3, Some(2)));
    let ids = |trades: Vec<PublicTrade>| trades.iter().map(|trade| trade.id).collect::<Vec<_>>();
    assert_eq!(ids(exchange.public_trades(S, 2, None)), [3, 4]);
    assert_eq!(ids(exchange.public_trades(S, 2, Some(2))), [2, 3]);
    let from_two = HistoryQuery { from_id: Some(2), limit: Some(1), ..HistoryQuery::of(S) };
    assert_eq!(exchange.fills(A, &from_two)[0].trade_id, 2);
    let last = HistoryQuery { limit: Some(1), ..HistoryQuery::of(S) };
    assert_eq!(exchange.fills(A, &last)[0].trade_id, 4);
}

/// A copy of a book kept from news alone, as a client keeps it.
#[derive(Default)]
struct Copy {
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
    last_id: u64,
}

impl Copy {
    fn of(depth: &Depth) -> Self {
        let side =
            |levels: &[connector_core::message::Level]| levels.iter().map(|l| (l.price, l.amount)).collect();
        Self { bids: side(&depth.bids), asks: side(&depth.asks), last_id: depth.last_id }
    }

    fn apply(&mut self, change: &BookChange) {
        assert_eq!((change.prev_last_id, change.first_id), (self.last_id, self.last_id + 1));
        for (levels, side) in [(&change.bids, &mut self.bids), (&change.asks, &mut self.asks)] {
            for level in levels {
                if level.amount.is_zero() {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.amount);
                }
            }
        }
        self.last_id = change.last_id;
    }

    fn assert_is(&self, depth: &Depth) {
        let other = Self::of(depth);
        assert_eq!((&self.bids, &self.asks, self.last_id), (&other.bids, &other.asks, other.last_id));
    }
}

fn lively() -> Exchange {
    Exchange::new(setup(market().live(Liveliness::default()))).unwrap()
}

#[test]
fn a_live_market_keeps_its_promises() {
    let mut exchange = lively();
    let start = exchange.now();
    let mut copy = Copy::of(&exchange.depth(S, 5000).unwrap());
    let (mut last_trade, mut last_hit, mut wide) = (start, [start; 2], 0);
    let (mut low, mut high, mut best_count) = (Decimal::MAX, Decimal::MIN, 0);
    for step in 1..=3000 {
        exchange.advance(start.offset(step * SECOND / 10));
        let depth = exchange.depth(S, 5000).unwrap();
        assert!(
            depth.bids.len() >= 60 && depth.asks.len() >= 60,
            "{} {}",
            depth.bids.len(),
            depth.asks.len()
        );
        assert!(depth.bids.len() <= 200 && depth.asks.len() <= 200);
        let spread = depth.asks[0].price - depth.bids[0].price;
        assert!(spread > Decimal::ZERO);
        wide += usize::from(spread >= dec("0.02"));
        low = low.min(depth.bids[0].price);
        high = high.max(depth.asks[0].price);
        for news in exchange.take_news() {
            match news {
                News::Book { change, .. } => copy.apply(&change),
                News::Best { .. } => best_count += 1,
                News::Trade(trade) => {
                    assert!(trade.time.0 - last_trade.0 <= SECOND);
                    last_trade = trade.time;
                    last_hit[usize::from(trade.is_buyer_maker)] = trade.time;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(last_hit.iter().all(|time| exchange.now().0 - time.0 <= 2 * SECOND), "{last_hit:?}");
        copy.assert_is(&depth);
    }
    assert!(wide > 100 && best_count > 300, "{wide} {best_count}");
    assert!((high - low) / low < dec("0.02") && high - low > dec("1"), "{low} {high}");
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn orders_at_the_touch_are_filled_by_the_live_market() {
    let mut exchange = lively();
    let best = exchange.best(S).unwrap();
    let (bid, ask) = (best.bid.unwrap().price, best.ask.unwrap().price);
    let buy = place(&mut exchange, A, &Submit::limit_maker(S, Side::Buy, bid, dec("0.001"))).order.id;
    let sell = place(&mut exchange, A, &Submit::limit_maker(S, Side::Sell, ask, dec("0.001"))).order.id;
    exchange.advance(exchange.now().offset(120 * SECOND));
    let filled = |id| exchange.order(A, S, &Which::Id(id)).unwrap().filled;
    assert!(filled(buy) > Decimal::ZERO || filled(sell) > Decimal::ZERO);
    let taken = place(&mut exchange, A, &Submit::market(S, Side::Buy, Amount::Base(dec("0.05"))));
    assert_eq!(taken.order.state, OrderState::Filled);
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn live_markets_of_all_price_ranges_stay_deep() {
    for (tick, step, notional, price) in [
        ("0.00000001", "1", "5", "0.00002"),
        ("0.0001", "0.1", "5", "0.5"),
        ("0.01", "0.0001", "5", "3000"),
        ("1", "0.0001", "0", "50"),
    ] {
        let rules = Rules::new(dec(tick), dec(step), dec(notional));
        let market = MarketSetup::new("BTC", "USDT", rules, dec(price)).live(Liveliness::default());
        let mut exchange = Exchange::new(setup(market)).unwrap();
        exchange.advance(exchange.now().offset(120 * SECOND));
        let depth = exchange.depth(S, 100).unwrap();
        assert!(depth.bids.len() >= 20 && depth.asks.len() >= 20, "{price}");
        assert!(exchange.ticker(S).unwrap().count > 120, "{price}");
    }
}

#[test]
fn a_swept_book_grows_back_and_hours_pass_quickly() {
    let mut exchange = lively();
    let rich = [("USDT".into(), 1_000_000_000.into())];
    exchange.open_account(&AccountSetup::new(AccountId(3), rich.to_vec())).unwrap();
    let sweep = Submit::market(S, Side::Buy, Amount::Base(1_000.into()));
    let swept = place(&mut exchange, AccountId(3), &sweep).order;
    assert_eq!((swept.state, exchange.best(S).unwrap().ask), (OrderState::Expired, None));
    exchange.advance(exchange.now().offset(SECOND));
    assert!(exchange.depth(S, 100).unwrap().asks.len() >= 60);
    for _ in 0..120 {
        exchange.advance(exchange.now().offset(60 * SECOND));
        let _ = exchange.take_news();
    }
    let depth = exchange.depth(S, 1000).unwrap();
    assert!(depth.bids.len() >= 60 && depth.asks.len() >= 60);
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()));
}

#[test]
fn large_orders_inside_the_spread_are_worked_off() {
    let mut exchange = lively();
    let bid = exchange.best(S).unwrap().bid.unwrap().price;
    let order = Submit::limit_maker(S, Side::Buy, bid + dec("0.01"), dec("1"));
    let id = place(&mut exchange, A, &order).order.id;
    let mut fills = 0;
    for _ in 0..60 {
        exchange.advance(exchange.now().offset(SECOND));
        assert!(exchange.depth(S, 1000).unwrap().bids.len() <= 200);
        fills = exchange.fills(A, &HistoryQuery { order_id: Some(id), ..HistoryQuery::default() }).len();
    }
    assert!(fills > 5, "{fills}");
}

#[test]
fn equal_seeds_live_equal_lives() {
    let life = |step: i64| {
        let mut exchange = lively();
        (1..=20 * SECOND / step)
            .for_each(|at| exchange.advance(UnixNanos(1_700_000_000 * SECOND + at * step)));
        exchange.take_news()
    };
    assert_eq!(life(SECOND), life(SECOND / 20));
}

#[test]
fn unread_news_are_bounded_and_counted() {
    let mut exchange =
        Exchange::new(Setup { news_limit: 10, ..setup(market().live(Liveliness::default())) }).unwrap();
    exchange.advance(exchange.now().offset(10 * SECOND));
    assert!(exchange.take_news().len() == 10 && exchange.news_lost() > 10);
}

fn submits() -> impl Strategy<Value = (AccountId, Submit)> {
    let kinds = prop::sample::select(vec![
        (OrderType::Limit, TimeInForce::Gtc),
        (OrderType::Limit, TimeInForce::Gtc),
        (OrderType::Limit, TimeInForce::Ioc),
        (OrderType::Limit, TimeInForce::Fok),
        (OrderType::LimitMaker, TimeInForce::Gtc),
        (OrderType::Market, TimeInForce::Gtc),
    ]);
    let modes = prop::sample::select(vec![
        SelfTrade::Allow,
        SelfTrade::ExpireMaker,
        SelfTrade::ExpireTaker,
        SelfTrade::ExpireBoth,
    ]);
    (1_u32..3, any::<bool>(), 59_990_i64..60_010, 1_i64..200_000, kinds, modes, any::<bool>()).prop_map(
        |(account, buys, price, amount, (order_type, time_in_force), mode, quote)| {
            let side = if buys { Side::Buy } else { Side::Sell };
            let amount = Decimal::new(amount, 5);
            let by_quote = quote && order_type == OrderType::Market;
            let submit = Submit {
                order_type,
                time_in_force,
                self_trade: Some(mode),
                amount: if by_quote {
                    Amount::Quote(amount * Decimal::from(60_000))
                } else {
                    Amount::Base(amount)
                },
                ..Submit::limit(S, side, price.into(), amount)
            };
            (AccountId(account), submit)
        },
    )
}

fn assert_books_balance(exchange: &Exchange) {
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()), "{:?}", exchange.imbalance());
    let best = exchange.best(S).unwrap();
    if let (Some(bid), Some(ask)) = (best.bid, best.ask) {
        assert!(bid.price < ask.price);
    }
    for account in [A, B] {
        for (asset, balance) in exchange.balances(account) {
            let open = exchange.open_orders(account, None).into_iter();
            let locked: Decimal = open
                .map(|order| match (order.side, asset.as_str()) {
                    (Side::Buy, "USDT") => order.price.unwrap() * order.remaining(),
                    (Side::Sell, "BTC") => order.remaining(),
                    _ => Decimal::ZERO,
                })
                .sum();
            assert_eq!(balance.locked, locked);
            assert!(balance.free >= Decimal::ZERO);
        }
        for order in exchange.all_orders(account, &HistoryQuery::default()) {
            let query = HistoryQuery { order_id: Some(order.id), ..HistoryQuery::default() };
            let fills = exchange.fills(account, &query);
            assert_eq!(order.filled, fills.iter().map(|fill| fill.amount).sum());
            assert_eq!(order.filled_quote, fills.iter().map(|fill| fill.quote).sum());
            assert_eq!(
                order.state == OrderState::Filled,
                order.filled == order.amount && order.reason.is_none()
            );
            if order.time_in_force == TimeInForce::Fok {
                assert!(order.filled.is_zero() || order.filled == order.amount);
            }
            if let Some(price) = order.price {
                let better = |at: Decimal| if order.side == Side::Buy { at <= price } else { at >= price };
                assert!(fills.iter().all(|fill| better(fill.price)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_ordered_the_books_balance(
        orders in prop::collection::vec((submits(), 0_u64..60, 0_i64..3), 1..60),
        live in any::<bool>(),
    ) {
        let mut exchange = if live { lively() } else { exchange() };
        let mut copy = Copy::of(&exchange.depth(S, 5000).unwrap());
        let mut balances: BTreeMap<(AccountId, Asset), Balance> = BTreeMap::new();
        let mut sums: BTreeMap<u64, Decimal> = BTreeMap::new();
        for ((account, submit), pick, wait) in orders {
            let checked = exchange.check(account, &submit);
            let placed = exchange.place(account, &submit);
            prop_assert_eq!(checked.err(), placed.as_ref().err().copied());
            if let Ok(placed) = &placed {
                prop_assert_eq!(placed.order.filled, placed.executions.iter().map(|e| e.amount).sum());
                let post_only = submit.order_type == OrderType::LimitMaker;
                prop_assert!(!post_only || placed.executions.is_empty());
            }
            let open = exchange.open_orders(account, Some(S));
            if let Some(id) = open.get(usize::try_from(pick).unwrap()).map(|order| order.id) {
                exchange.cancel(account, S, &Which::Id(id), Some("c")).unwrap();
            }
            exchange.advance(exchange.now().offset(wait * SECOND / 7));
            assert_books_balance(&exchange);
            for news in exchange.take_news() {
                match news {
                    News::Book { change, .. } => copy.apply(&change),
                    News::Balances { account, balances: told, .. } => {
                        balances.extend(told.into_iter().map(|(asset, balance)| ((account, asset), balance)));
                    }
                    News::Order { order, what: What::Trade(execution), .. } => {
                        let sum = sums.entry(order.id).or_default();
                        *sum += execution.amount;
                        prop_assert_eq!(*sum, order.filled);
                    }
                    _ => {}
                }
            }
            for ((account, asset), balance) in &balances {
                prop_assert_eq!(exchange.ledger.balance(*account, asset), *balance);
            }
        }
        exchange.advance(exchange.now().offset(SECOND));
        for news in exchange.take_news() {
            if let News::Book { change, .. } = news {
                copy.apply(&change);
            }
        }
        // The interval's end may have come before the last change.
        if !exchange.listed(S).unwrap().book.has_changes() {
            copy.assert_is(&exchange.depth(S, 5000).unwrap());
        }
    }
}
