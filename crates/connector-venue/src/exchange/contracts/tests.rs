use std::time::Duration;

use connector_core::order::{OrderState, Side, TimeInForce};
use connector_core::position::{PositionMode, PositionSide};
use connector_core::time::UnixNanos;

use super::super::Exchange;
use super::*;
use crate::news::What;
use crate::orders::{Amount, EndReason, Order, Origin, Placement, Rule, Submit, Which};
use crate::perpetual::{Bracket, MarginMode};
use crate::setup::{AccountSetup, Fees, Liveliness, MarketSetup, MarketStatus, Rules, Setup};

pub(super) const A: AccountId = AccountId(1);
pub(super) const B: AccountId = AccountId(2);
pub(super) const C: AccountId = AccountId(3);
pub(super) const S: &str = "BTCUSDT";
const T: &str = "ETHUSDT";
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
const BOTH: PositionSide = PositionSide::Both;

pub(super) fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn usdt() -> Asset {
    "USDT".into()
}

fn contract(base: &str, price: i64) -> MarketSetup {
    let row = |cap: i64, leverage: i64, ratio: i64| (cap.into(), leverage.into(), Decimal::new(ratio, 4));
    let brackets = Bracket::table(&[row(50_000, 125, 40), row(600_000, 100, 50), row(3_000_000, 50, 100)]);
    MarketSetup::new(base, "USDT", Rules::new(dec("0.1"), dec("0.001"), 5.into()), price.into())
        .perpetual(ContractSetup::new("USDT", brackets))
}

pub(super) fn setup() -> Setup {
    // Midnight, so that fundings are due after 8, 16 and 24 hours.
    let mut setup = Setup::new(UnixNanos(1_699_920_000 * SECOND), 7);
    setup.markets = vec![contract("BTC", 10_000), contract("ETH", 1_000)];
    setup.fees = Fees { maker_ppm: 200, taker_ppm: 500 };
    let money = |amount: i64| vec![(usdt(), amount.into())];
    setup.accounts = vec![
        AccountSetup::new(A, money(10_000)),
        AccountSetup::new(B, money(100_000)),
        AccountSetup::new(C, money(100_000)),
    ];
    setup
}

pub(super) fn exchange() -> Exchange {
    Exchange::new(setup()).unwrap()
}

pub(super) fn limit(side: Side, price: i64, amount: &str) -> Submit {
    Submit::limit(S, side, price.into(), dec(amount))
}

fn place(exchange: &mut Exchange, account: AccountId, submit: &Submit) -> Placement {
    exchange.place(account, submit).unwrap()
}

/// One account buys what another sells.
fn trade(exchange: &mut Exchange, buyer: AccountId, seller: AccountId, price: i64, amount: &str) {
    place(exchange, seller, &limit(Side::Sell, price, amount));
    let bought = place(exchange, buyer, &limit(Side::Buy, price, amount));
    assert_eq!(bought.order.state, OrderState::Filled);
}

fn net(exchange: &Exchange, account: AccountId) -> Decimal {
    exchange.position(account, S, BOTH).unwrap().amount
}

fn mark(exchange: &mut Exchange, price: i64) {
    exchange.set_mark_price(S, Some(price.into())).unwrap();
}

fn wallet(exchange: &Exchange, account: AccountId) -> Decimal {
    exchange.margin(account, &usdt()).wallet
}

pub(super) fn assert_conserved(exchange: &Exchange) {
    assert!(exchange.imbalance().iter().all(|(_, sum)| sum.is_zero()), "{:?}", exchange.imbalance());
    for symbol in [S, T] {
        let holders = exchange.perpetual.holders.values().flat_map(Holder::open);
        let net: Decimal = holders.filter(|((on, _), _)| on == symbol).map(|(_, p)| p.amount).sum();
        assert_eq!(net, Decimal::ZERO);
    }
}

/// News in short: who, what, state or cause.
fn told(exchange: &mut Exchange) -> Vec<String> {
    let short = |news: News| match news {
        News::Order { account, order, what, .. } => {
            let what = match what {
                What::New => "new",
                What::Trade(_) => "trade",
                What::Cancelled { .. } => "cancelled",
                What::Expired => "expired",
                _ => "other",
            };
            format!("{} {what} {}", account.0, order.state)
        }
        News::Account { account, cause, positions, .. } => {
            format!("{} {cause:?} {}", account.0, positions.len())
        }
        News::Balances { .. } => "balances".to_owned(),
        News::Best { .. } => "best".to_owned(),
        News::Trade(_) => "public".to_owned(),
        News::Mark(_) => "mark".to_owned(),
        News::Funding { account, .. } => format!("{} funding", account.0),
        News::FundingRate(_) => "rate".to_owned(),
        News::MarginCall { account, .. } => format!("{} call", account.0),
        News::Liquidation(_) => "liquidation".to_owned(),
        other => format!("{other:?}"),
    };
    exchange.take_news().into_iter().map(short).collect()
}

#[test]
fn a_position_is_opened_valued_and_closed() {
    let mut exchange = exchange();
    place(&mut exchange, B, &limit(Side::Sell, 10_000, "1"));
    assert_eq!(told(&mut exchange), ["2 new open", "best"]);
    assert_eq!(exchange.margin(B, &usdt()).order_margin, 500.into());
    place(&mut exchange, A, &limit(Side::Buy, 10_000, "1"));
    let fills = ["1 Order 1", "1 trade filled", "2 Order 1", "2 trade filled"];
    assert_eq!(told(&mut exchange), [&["1 new open"], &fills[..], &["public", "best"]].concat());
    mark(&mut exchange, 10_500);
    let view = exchange.position(A, S, BOTH).unwrap();
    assert_eq!((view.amount, view.entry_price, view.unrealised), (1.into(), 10_000.into(), 500.into()));
    assert_eq!((view.break_even, view.initial_margin), (10_005.into(), 525.into()));
    let margin = exchange.margin(A, &usdt());
    assert_eq!((margin.wallet, margin.margin_balance), (9_995.into(), 10_495.into()));
    assert_eq!((margin.available, margin.withdrawable), (9_970.into(), 9_970.into()));
    trade(&mut exchange, B, A, 10_400, "0.4");
    let income = |kind| exchange.incomes(A, Some(kind), &HistoryQuery::of(S));
    let pnl = income(IncomeKind::RealisedPnl);
    assert_eq!((pnl.len(), pnl[0].amount, pnl[0].trade_id), (1, 160.into(), Some(2)));
    let fees: Decimal = income(IncomeKind::Commission).iter().map(|income| income.amount).sum();
    assert_eq!(fees, dec("-5.832"));
    assert_eq!(exchange.fills(A, &HistoryQuery::of(S))[1].realised_pnl, 160.into());
    assert_eq!(wallet(&exchange, A), dec("10154.168"));
    assert_eq!(exchange.open_interest(S), dec("0.6"));
    trade(&mut exchange, B, A, 10_400, "1");
    let view = exchange.position(A, S, BOTH).unwrap();
    assert_eq!((view.amount, view.entry_price, view.realised), (dec("-0.4"), 10_400.into(), 400.into()));
    assert_conserved(&exchange);
}

#[test]
fn orders_need_margin_and_refusals_change_nothing() {
    let mut exchange = exchange();
    let before = (exchange.margins(A), exchange.positions(A, None));
    // 10 000 at twenty times is enough for 20 BTC at 10 000, and no more; half as much is needed at the price of 20 000.
    assert_eq!(exchange.place(A, &limit(Side::Buy, 10_000, "20.001")), Err(Reject::InsufficientMargin));
    assert_eq!((exchange.margins(A), exchange.positions(A, None)), before);
    assert_eq!(exchange.check(A, &limit(Side::Buy, 10_000, "20")), Ok(()));
    // A buyer above the mark price begins with a loss.
    assert_eq!(exchange.place(A, &limit(Side::Buy, 11_000, "7")), Err(Reject::InsufficientMargin));
    assert_eq!(exchange.check(A, &limit(Side::Buy, 11_000, "6")), Ok(()));
    // A seller may get more than asked for.
    assert_eq!(exchange.place(A, &limit(Side::Sell, 9_000, "7")), Err(Reject::InsufficientMargin));
    place(&mut exchange, A, &limit(Side::Buy, 10_000, "12"));
    let view = exchange.position(A, S, BOTH).unwrap();
    assert_eq!((view.bid_notional, view.order_margin), (120_000.into(), 6_000.into()));
    // The other side's orders are covered by the same margin.
    place(&mut exchange, A, &limit(Side::Sell, 10_100, "11"));
    assert_eq!(exchange.margin(A, &usdt()).available, 4_000.into());
    assert_eq!(exchange.place(A, &limit(Side::Buy, 10_000, "9")), Err(Reject::InsufficientMargin));
    exchange.set_leverage(A, S, 125.into()).unwrap_err();
    assert_eq!(exchange.place(A, &limit(Side::Buy, 5_000, "1").reduce_only()), Err(Reject::NotReducing));
    let quote = Submit::market(S, Side::Buy, Amount::Quote(100.into()));
    assert_eq!(exchange.place(A, &quote), Err(Reject::UnsupportedType));
    assert_eq!(exchange.transfer(A, &usdt(), (-4_001).into()), Err(Reject::InsufficientBalance));
    assert_eq!(exchange.transfer(A, &usdt(), (-4_000).into()), Ok(()));
}

#[test]
fn positions_are_limited_by_leverage() {
    let mut exchange = exchange();
    exchange.transfer(A, &usdt(), 1_000_000.into()).unwrap();
    exchange.set_leverage(A, S, 125.into()).unwrap();
    assert_eq!(exchange.place(A, &limit(Side::Buy, 10_000, "5.001")), Err(Reject::PositionLimit));
    place(&mut exchange, A, &limit(Side::Buy, 10_000, "5"));
    assert_eq!(exchange.place(A, &limit(Side::Buy, 10_000, "1")), Err(Reject::PositionLimit));
    assert_eq!(exchange.set_leverage(A, S, 126.into()), Err(Reject::LeverageOutOfRange));
    assert_eq!(exchange.set_leverage(A, S, Decimal::ZERO), Err(Reject::LeverageOutOfRange));
    exchange.set_leverage(A, S, 100.into()).unwrap();
    place(&mut exchange, A, &limit(Side::Buy, 10_000, "1"));
    assert_eq!(exchange.set_leverage(A, S, 125.into()), Err(Reject::PositionLimit));
    assert_eq!(exchange.market_settings(A, S).unwrap().leverage, 100.into());
    assert_eq!(exchange.market_settings(A, T).unwrap().leverage, 20.into());
    assert_eq!(exchange.set_leverage(A, "XYZ", 5.into()), Err(Reject::NoContract));
}

#[test]
fn settings_are_refused_while_they_are_in_use() {
    let mut exchange = exchange();
    assert_eq!(exchange.set_position_mode(A, PositionMode::OneWay), Err(Reject::NoChange));
    let id = place(&mut exchange, A, &limit(Side::Buy, 9_000, "1")).order.id;
    assert_eq!(exchange.set_position_mode(A, PositionMode::Hedge), Err(Reject::HasOrders));
    assert_eq!(exchange.set_margin_mode(A, S, MarginMode::Isolated), Err(Reject::HasOrders));
    exchange.cancel(A, S, &Which::Id(id), None).unwrap();
    trade(&mut exchange, A, B, 10_000, "1");
    assert_eq!(exchange.set_position_mode(A, PositionMode::Hedge), Err(Reject::HasPosition));
    assert_eq!(exchange.set_margin_mode(A, S, MarginMode::Isolated), Err(Reject::HasPosition));
    trade(&mut exchange, B, A, 10_000, "1");
    exchange.set_multi_assets(A, true).unwrap();
    assert_eq!(exchange.set_multi_assets(A, true), Err(Reject::NoChange));
    assert_eq!(exchange.set_margin_mode(A, S, MarginMode::Isolated), Err(Reject::MultiAssets));
    exchange.set_multi_assets(A, false).unwrap();
    exchange.set_margin_mode(A, S, MarginMode::Isolated).unwrap();
    assert_eq!(exchange.set_margin_mode(A, S, MarginMode::Isolated), Err(Reject::NoChange));
    assert_eq!(exchange.set_multi_assets(A, true), Err(Reject::MultiAssets));
    exchange.set_position_mode(A, PositionMode::Hedge).unwrap();
    assert_eq!(exchange.positions(A, Some(S)).len(), 2);
    let other = AccountId(9);
    assert_eq!(exchange.set_position_mode(other, PositionMode::Hedge), Err(Reject::UnknownAccount));
}

#[test]
fn legs_stand_side_by_side() {
    let mut exchange = exchange();
    exchange.set_position_mode(A, PositionMode::Hedge).unwrap();
    let long = |side, amount| limit(side, 10_000, amount).position_side(PositionSide::Long);
    let short = |side, amount| limit(side, 10_000, amount).position_side(PositionSide::Short);
    for wrong in [limit(Side::Buy, 10_000, "1"), long(Side::Buy, "1").reduce_only()] {
        assert_eq!(exchange.place(A, &wrong), Err(Reject::PositionSide));
    }
    assert_eq!(exchange.place(B, &long(Side::Buy, "1")), Err(Reject::PositionSide));
    assert_eq!(exchange.place(A, &long(Side::Sell, "1")), Err(Reject::NotReducing));
    place(&mut exchange, B, &limit(Side::Sell, 10_000, "3"));
    place(&mut exchange, A, &long(Side::Buy, "3"));
    place(&mut exchange, B, &limit(Side::Buy, 10_000, "2"));
    place(&mut exchange, A, &short(Side::Sell, "2"));
    let amounts: Vec<_> = exchange.positions(A, Some(S)).iter().map(|view| view.amount).collect();
    assert_eq!(amounts, [3.into(), (-2).into()]);
    assert_eq!(exchange.margin(A, &usdt()).position_margin, 2_500.into());
    assert_eq!(exchange.place(A, &long(Side::Sell, "3.001")), Err(Reject::NotReducing));
    // Closing orders need no margin, and fall away when their leg does.
    let stays = place(&mut exchange, A, &long(Side::Sell, "1")).order.id;
    let goes = Submit { price: Some(10_001.into()), ..long(Side::Sell, "3") };
    let goes = place(&mut exchange, A, &goes).order;
    assert_eq!((goes.state, goes.reason), (OrderState::Expired, Some(EndReason::ReduceOnly)));
    assert_eq!(exchange.margin(A, &usdt()).order_margin, Decimal::ZERO);
    place(&mut exchange, B, &limit(Side::Buy, 10_000, "1"));
    assert_eq!(exchange.order(A, S, &Which::Id(stays)).unwrap().state, OrderState::Filled);
    let legs = exchange.positions(A, Some(S));
    assert_eq!((legs[0].amount, legs[1].amount, legs[1].side), (2.into(), (-2).into(), PositionSide::Short));
    assert_conserved(&exchange);
}

fn ended(exchange: &Exchange, account: AccountId, id: u64) -> (OrderState, Option<EndReason>, Decimal) {
    let order = exchange.order(account, S, &Which::Id(id)).unwrap();
    (order.state, order.reason, order.filled)
}

#[test]
fn orders_that_only_reduce_shrink_with_their_position() {
    let mut exchange = exchange();
    trade(&mut exchange, A, B, 10_000, "3");
    let sell = |price, amount| limit(Side::Sell, price, amount).reduce_only();
    assert_eq!(exchange.place(A, &limit(Side::Buy, 9_000, "1").reduce_only()), Err(Reject::NotReducing));
    // One alone may be larger than the position: the book only shows what it can do.
    let large = place(&mut exchange, A, &sell(10_100, "5")).order.id;
    assert_eq!(exchange.depth(S, 1).unwrap().asks[0].amount, 3.into());
    // A better one leaves no room for it.
    let better = place(&mut exchange, A, &sell(10_050, "2")).order.id;
    assert_eq!(ended(&exchange, A, large), (OrderState::Expired, Some(EndReason::ReduceOnly), 0.into()));
    let last = place(&mut exchange, A, &sell(10_060, "1")).order.id;
    let plain = place(&mut exchange, A, &limit(Side::Sell, 10_055, "0.5")).order.id;
    // One sweep through all of them never turns the position round.
    let swept = place(&mut exchange, B, &limit(Side::Buy, 10_060, "3.5")).order;
    assert_eq!((swept.state, swept.filled), (OrderState::PartiallyFilled, 3.into()));
    assert_eq!(ended(&exchange, A, better).0, OrderState::Filled);
    assert_eq!(ended(&exchange, A, plain).0, OrderState::Filled);
    assert_eq!(ended(&exchange, A, last), (OrderState::Expired, Some(EndReason::ReduceOnly), dec("0.5")));
    assert_eq!(net(&exchange, A), Decimal::ZERO);
    assert_eq!(exchange.place(A, &sell(10_000, "1")), Err(Reject::NotReducing));
    assert_conserved(&exchange);
}

#[test]
fn a_taker_that_only_reduces_stops_at_flat() {
    let mut exchange = exchange();
    trade(&mut exchange, A, B, 10_000, "2");
    place(&mut exchange, B, &limit(Side::Buy, 9_990, "5"));
    let market = Submit::market(S, Side::Sell, Amount::Base(3.into())).reduce_only();
    let sold = place(&mut exchange, A, &market).order;
    assert_eq!((sold.state, sold.reason), (OrderState::Expired, Some(EndReason::ReduceOnly)));
    assert_eq!((sold.filled, net(&exchange, A)), (2.into(), 0.into()));
    // The rest of a position may be closed however small it is.
    trade(&mut exchange, B, A, 10_000, "2");
    exchange.cancel_all(B, S).unwrap();
    place(&mut exchange, B, &limit(Side::Sell, 10, "0.4").reduce_only());
    let tiny = Submit::limit(S, Side::Buy, 10.into(), dec("0.1"));
    assert_eq!(exchange.place(A, &tiny), Err(Reject::Rule(Rule::MinNotional)));
    assert_eq!(place(&mut exchange, A, &tiny.reduce_only()).order.state, OrderState::Filled);
    // Fill or kill counts what there is to reduce.
    let kill = Submit::limit(S, Side::Buy, 10.into(), dec("0.3")).reduce_only();
    let killed = place(&mut exchange, A, &kill.time_in_force(TimeInForce::Fok)).order;
    assert_eq!(killed.state, OrderState::Filled);
    assert_conserved(&exchange);
}

#[test]
fn modified_orders_lose_their_place_and_need_margin() {
    let mut exchange = exchange();
    let first = place(&mut exchange, C, &limit(Side::Sell, 10_100, "1")).order.id;
    let second = place(&mut exchange, B, &limit(Side::Sell, 10_100, "1")).order.id;
    let modify = |exchange: &mut Exchange, account, id, price: i64, amount: &str| {
        exchange.modify(account, S, &Which::Id(id), price.into(), dec(amount))
    };
    assert_eq!(modify(&mut exchange, C, first, 10_100, "1"), Err(Reject::NoChange));
    let _ = told(&mut exchange);
    assert_eq!(modify(&mut exchange, C, first, 10_100, "2").unwrap().order.amount, 2.into());
    assert_eq!(told(&mut exchange), ["3 other open", "best"]);
    place(&mut exchange, A, &limit(Side::Buy, 10_100, "1"));
    assert_eq!(ended(&exchange, B, second).0, OrderState::Filled);
    assert_eq!(modify(&mut exchange, C, first, 10_100, "250"), Err(Reject::InsufficientMargin));
    assert_eq!(modify(&mut exchange, C, first, 10_101, "0.0001"), Err(Reject::Rule(Rule::LotSize)));
    assert_eq!(exchange.order(C, S, &Which::Id(first)).unwrap().amount, 2.into());
    // A new price may trade at once, in part.
    let bid = place(&mut exchange, A, &limit(Side::Buy, 10_000, "0.5")).order.id;
    let moved = modify(&mut exchange, C, first, 10_000, "2").unwrap();
    assert_eq!((moved.order.filled, moved.executions.len()), (dec("0.5"), 1));
    assert_eq!(ended(&exchange, A, bid).0, OrderState::Filled);
    assert_eq!(exchange.depth(S, 1).unwrap().asks[0].amount, dec("1.5"));
    // No more than is filled: nothing is left of it.
    let gone = modify(&mut exchange, C, first, 10_000, "0.5").unwrap().order;
    assert_eq!((gone.state, gone.amount), (OrderState::Cancelled, dec("0.5")));
    assert_eq!(exchange.best(S).unwrap().ask, None);
    let passive = Submit::limit_maker(S, Side::Buy, 9_000.into(), 1.into());
    let passive = place(&mut exchange, A, &passive).order.id;
    place(&mut exchange, C, &limit(Side::Sell, 10_200, "1"));
    let gone = modify(&mut exchange, A, passive, 10_200, "1").unwrap().order;
    assert_eq!((gone.state, gone.reason), (OrderState::Cancelled, Some(EndReason::WouldTake)));
    assert_eq!(modify(&mut exchange, A, passive, 9_000, "1"), Err(Reject::UnknownOrder));
    assert_conserved(&exchange);
}

#[test]
fn isolated_margin_stands_alone() {
    let mut exchange = exchange();
    exchange.set_margin_mode(A, S, MarginMode::Isolated).unwrap();
    exchange.set_leverage(A, S, 10.into()).unwrap();
    trade(&mut exchange, A, B, 10_000, "1");
    let view = exchange.position(A, S, BOTH).unwrap();
    assert_eq!((view.isolated_wallet, view.margin_mode), (1_000.into(), MarginMode::Isolated));
    // (1000 − 10000) ÷ (0.004 − 1), as exchanges publish it.
    assert_eq!(view.liquidation_price, Some(dec("9036.14457831")));
    let margin = exchange.margin(A, &usdt());
    assert_eq!((margin.wallet, margin.cross_wallet), (9_995.into(), 8_995.into()));
    assert_eq!(margin.available, 8_995.into());
    assert_eq!(exchange.set_leverage(A, S, 5.into()), Err(Reject::IsolatedLeverage));
    let add = |exchange: &mut Exchange, amount: i64| exchange.add_isolated_margin(A, S, BOTH, amount.into());
    assert_eq!(add(&mut exchange, 9_000), Err(Reject::InsufficientMargin));
    assert_eq!(add(&mut exchange, -1), Err(Reject::InsufficientMargin));
    assert_eq!(add(&mut exchange, 500), Ok(()));
    assert_eq!(add(&mut exchange, -500), Ok(()));
    assert_eq!(exchange.add_isolated_margin(B, S, BOTH, 1.into()), Err(Reject::NoPosition));
    // Half of it is closed at a loss: half of the margin comes free, less the loss.
    mark(&mut exchange, 9_500);
    trade(&mut exchange, B, A, 9_500, "0.5");
    let view = exchange.position(A, S, BOTH).unwrap();
    assert_eq!((view.isolated_wallet, view.unrealised), (500.into(), (-250).into()));
    assert_eq!(exchange.margin(A, &usdt()).wallet, dec("9744.05"));
    let _ = told(&mut exchange);
    mark(&mut exchange, 9_036);
    assert_eq!(net(&exchange, A), Decimal::ZERO);
    // What was set aside is lost, what was not stays.
    assert_eq!(wallet(&exchange, A), dec("9244.05"));
    assert_eq!(exchange.margin(A, &usdt()).cross_wallet, dec("9244.05"));
    assert_conserved(&exchange);
}

#[test]
fn funding_falls_due_on_the_venues_clock() {
    let mut exchange = exchange();
    trade(&mut exchange, A, B, 10_000, "2");
    mark(&mut exchange, 10_000);
    exchange.set_funding_rate(S, Some(dec("0.0001"))).unwrap();
    let start = exchange.now();
    exchange.advance(start.offset(8 * HOUR - 1));
    let _ = told(&mut exchange);
    exchange.advance(start.offset(8 * HOUR));
    let news = told(&mut exchange);
    let of_btc = ["rate", "1 Funding 0", "1 funding", "2 Funding 0", "2 funding"];
    assert!(news.windows(5).any(|window| window == of_btc), "{news:?}");
    let paid = exchange.incomes(A, Some(IncomeKind::Funding), &HistoryQuery::of(S));
    assert_eq!((paid[0].amount, paid[0].rate), ((-2).into(), Some(dec("0.0001"))));
    assert_eq!(exchange.mark_price(S).unwrap().next_funding, start.offset(16 * HOUR));
    // A jump over three of them.
    exchange.advance(start.offset(33 * HOUR));
    let of = |account| -> Vec<Decimal> {
        let paid = exchange.incomes(account, Some(IncomeKind::Funding), &HistoryQuery::of(S));
        paid.iter().map(|income| income.amount).collect()
    };
    assert_eq!((of(A), of(B)), (vec![Decimal::from(-2); 4], vec![Decimal::from(2); 4]));
    let rates = exchange.funding_rates(S, None, None, 3);
    assert_eq!(
        (rates.len(), rates[2].time, rates[2].mark_price),
        (3, start.offset(32 * HOUR), 10_000.into())
    );
    assert_eq!(exchange.funding_rates(S, Some(start), None, 1)[0].time, start.offset(8 * HOUR));
    let ids: Vec<u64> = exchange.incomes(A, None, &HistoryQuery::default()).iter().map(|i| i.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    exchange.set_funding_rate(S, Some(dec("-0.000123457"))).unwrap();
    exchange.settle_funding(S).unwrap();
    assert_eq!(of_last(&exchange, A), dec("2.46914"));
    assert_conserved(&exchange);
}

fn of_last(exchange: &Exchange, account: AccountId) -> Decimal {
    let query = HistoryQuery { limit: Some(1), ..HistoryQuery::of(S) };
    exchange.incomes(account, Some(IncomeKind::Funding), &query)[0].amount
}

#[test]
fn funding_of_isolated_positions_is_theirs() {
    let mut exchange = exchange();
    exchange.set_margin_mode(A, S, MarginMode::Isolated).unwrap();
    trade(&mut exchange, A, B, 10_000, "1");
    exchange.set_funding_rate(S, Some(dec("0.001"))).unwrap();
    let _ = told(&mut exchange);
    exchange.settle_funding(S).unwrap();
    assert_eq!(told(&mut exchange)[..3], ["rate", "1 Funding 1", "1 funding"]);
    assert_eq!(exchange.position(A, S, BOTH).unwrap().isolated_wallet, 490.into());
    assert_conserved(&exchange);
}

/// A has 10 BTC long at 10 000 with a wallet of 10 000 less fees.
fn near_liquidation() -> Exchange {
    let mut exchange = exchange();
    trade(&mut exchange, A, B, 10_000, "10");
    mark(&mut exchange, 10_000);
    let _ = told(&mut exchange);
    exchange
}

#[test]
fn a_margin_call_is_told_once() {
    let mut exchange = near_liquidation();
    mark(&mut exchange, 9_053);
    assert_eq!(told(&mut exchange), ["mark", "1 call"]);
    mark(&mut exchange, 9_052);
    assert_eq!(told(&mut exchange), ["mark"]);
    mark(&mut exchange, 9_500);
    mark(&mut exchange, 9_053);
    assert_eq!(told(&mut exchange), ["mark", "mark", "1 call"]);
    assert_eq!(net(&exchange, A), 10.into());
}

#[test]
fn a_liquidation_takes_the_book_then_the_insurance_fund() {
    let mut exchange = near_liquidation();
    // wallet 9950; balance = 9950 − 10 × (10000 − p); maintenance = 10 p × 0.005 − 50.
    let price = exchange.position(A, S, BOTH).unwrap().liquidation_price.unwrap();
    assert_eq!(price, dec("9045.22613065"));
    place(&mut exchange, A, &limit(Side::Buy, 8_000, "0.1"));
    place(&mut exchange, C, &limit(Side::Buy, 9_030, "4"));
    let _ = told(&mut exchange);
    let fund = exchange.insurance_fund(&usdt());
    mark(&mut exchange, 9_045);
    let news = told(&mut exchange);
    let expected = [
        "mark",
        "1 expired expired",
        "1 new open",
        "1 Liquidation 1",
        "1 trade partially_filled",
        "3 Order 1",
        "3 trade filled",
        "1 Liquidation 1",
        "1 trade filled",
        "public",
        "best",
        "liquidation",
        "1 Insurance 0",
    ];
    assert_eq!(news, expected);
    let orders = exchange.all_orders(A, &HistoryQuery::of(S));
    let forced: &Order = orders.last().unwrap();
    assert_eq!((forced.origin, forced.time_in_force), (Origin::Liquidation, TimeInForce::Ioc));
    // Nothing is left at 9005: 9950 − 10 × 995.
    assert_eq!(forced.price, Some(9_005.into()));
    assert!(forced.client_id.starts_with("liquidation-"));
    assert_eq!((forced.filled, forced.filled_quote), (10.into(), (4 * 9_030 + 6 * 9_005).into()));
    let limit_order = orders[orders.len() - 2];
    assert_eq!(limit_order.reason, Some(EndReason::Liquidated));
    // What the book paid more is taken by the fee.
    assert_eq!((net(&exchange, A), wallet(&exchange, A)), (0.into(), 0.into()));
    assert_eq!(exchange.insurance_fund(&usdt()) - fund, 100.into());
    let insurance = exchange.incomes(A, Some(IncomeKind::Insurance), &HistoryQuery::of(S));
    assert_eq!(insurance[0].amount, (-100).into());
    assert_conserved(&exchange);
}

#[test]
fn without_a_fund_the_best_counterparty_is_deleveraged() {
    let mut exchange = exchange();
    trade(&mut exchange, A, C, 10_000, "3");
    // B entered higher: more profit.
    trade(&mut exchange, A, B, 10_100, "7");
    exchange.exhaust_insurance_fund(&usdt(), true);
    place(&mut exchange, B, &limit(Side::Buy, 5_000, "1"));
    mark(&mut exchange, 9_500);
    assert!(exchange.deleverage_rank(B, S, BOTH) > exchange.deleverage_rank(C, S, BOTH));
    assert_eq!(exchange.deleverage_rank(B, S, BOTH), 4);
    let _ = told(&mut exchange);
    let fees = exchange.incomes(B, Some(IncomeKind::Commission), &HistoryQuery::of(S)).len();
    mark(&mut exchange, 9_050);
    assert_eq!((net(&exchange, A), net(&exchange, B), net(&exchange, C)), (0.into(), 0.into(), 0.into()));
    assert_eq!(exchange.incomes(B, Some(IncomeKind::Commission), &HistoryQuery::of(S)).len(), fees);
    let news = told(&mut exchange).join(",");
    assert!(
        news.contains("2 expired expired,2 new open,1 Liquidation 1,1 trade partially_filled,2 Deleverage 1")
    );
    let order = exchange.all_orders(B, &HistoryQuery::of(S)).last().copied().unwrap();
    assert_eq!((order.origin, order.state), (Origin::Deleverage, OrderState::Filled));
    assert!(wallet(&exchange, A) >= Decimal::ZERO && wallet(&exchange, A) < Decimal::ONE);
    assert_eq!(exchange.open_interest(S), Decimal::ZERO);
    assert_conserved(&exchange);
}

#[test]
fn a_gap_is_the_insurance_funds_loss() {
    let mut exchange = near_liquidation();
    mark(&mut exchange, 5_000);
    assert_eq!((net(&exchange, A), wallet(&exchange, A)), (0.into(), 0.into()));
    assert_conserved(&exchange);
    // And on request anybody can be deleveraged.
    exchange.deleverage(B, S).unwrap();
    assert_eq!((net(&exchange, B), exchange.deleverage(B, S)), (0.into(), Err(Reject::NoPosition)));
    assert_conserved(&exchange);
}

#[test]
fn only_as_much_is_liquidated_as_must_be() {
    let mut setup = setup();
    setup.markets[0].contract.as_mut().unwrap().liquidation_fee = dec("0.001");
    let mut exchange = Exchange::new(setup).unwrap();
    trade(&mut exchange, A, B, 10_000, "10");
    place(&mut exchange, B, &Submit::limit(T, Side::Sell, 1_000.into(), 1.into()));
    place(&mut exchange, A, &Submit::limit(T, Side::Buy, 1_000.into(), 1.into()));
    place(&mut exchange, C, &limit(Side::Buy, 9_044, "10"));
    exchange.set_mark_price(T, Some(1_000.into())).unwrap();
    mark(&mut exchange, 9_044);
    let eth = exchange.position(A, T, BOTH).unwrap();
    assert_eq!((net(&exchange, A), eth.amount), (0.into(), 1.into()));
    assert_conserved(&exchange);
}

#[test]
fn a_delisted_contract_is_settled_at_the_mark_price() {
    let mut exchange = near_liquidation();
    mark(&mut exchange, 10_123);
    place(&mut exchange, A, &limit(Side::Sell, 11_000, "1"));
    exchange.set_status(S, MarketStatus::Delisted).unwrap();
    assert_eq!(wallet(&exchange, A), (9_950 + 1_230).into());
    assert_eq!(exchange.open_interest(S), Decimal::ZERO);
    let orders = exchange.all_orders(A, &HistoryQuery::of(S));
    assert_eq!(orders.last().unwrap().origin, Origin::Settlement);
    assert_conserved(&exchange);
    exchange.list(contract("BTC", 9_000)).unwrap();
    assert_eq!(exchange.mark_price(S).unwrap().mark_price, 9_000.into());
}

#[test]
fn unfillable_orders_are_refused_where_the_contract_says_so() {
    let mut setup = setup();
    setup.markets[0].contract.as_mut().unwrap().refuses_unfillable = true;
    let mut exchange = Exchange::new(setup).unwrap();
    let kill = limit(Side::Buy, 10_000, "1").time_in_force(TimeInForce::Fok);
    assert_eq!(exchange.place(A, &kill), Err(Reject::WouldNotFill));
    place(&mut exchange, B, &limit(Side::Sell, 10_000, "1"));
    assert_eq!(place(&mut exchange, A, &kill).order.state, OrderState::Filled);
}

#[test]
fn listen_keys_expire_by_the_venues_clock() {
    let mut exchange = exchange();
    let key = exchange.create_listen_key(A).unwrap();
    exchange.advance(exchange.now().offset(HOUR / 2));
    assert_eq!(exchange.keep_listen_key(A), Ok(key.clone()));
    assert_eq!(exchange.listen_keys().owner(&key), Some(A));
    exchange.refuse_listen_key(A, true);
    assert_eq!(exchange.keep_listen_key(A), Err(Reject::UnknownListenKey));
    let _ = exchange.take_news();
    let due = exchange.now().offset(HOUR);
    exchange.advance(due.offset(HOUR));
    let expired = News::ListenKeyExpired { time: due, account: A, key };
    assert!(exchange.take_news().contains(&expired));
    assert_eq!(exchange.end_listen_key(A), Err(Reject::UnknownListenKey));
    exchange.create_listen_key(A).unwrap();
    assert_eq!(exchange.end_listen_key(A), Ok(()));
    assert_eq!(exchange.create_listen_key(AccountId(9)), Err(Reject::UnknownAccount));
}

#[test]
fn a_live_contract_has_a_mark_price_near_its_book() {
    let mut setup = setup();
    setup.markets[0].live = Some(Liveliness::default());
    setup.perpetual.mark_interval = Duration::from_secs(3);
    setup.markets[0].contract.as_mut().unwrap().funding_interval = Duration::from_secs(900);
    let mut exchange = Exchange::new(setup).unwrap();
    let market = Submit::market(S, Side::Buy, Amount::Base(dec("0.1")));
    assert_eq!(place(&mut exchange, A, &market).order.state, OrderState::Filled);
    let mut marks = 0;
    for _ in 0..60 {
        exchange.advance(exchange.now().offset(10 * SECOND));
        let best = exchange.best(S).unwrap();
        let middle = (best.bid.unwrap().price + best.ask.unwrap().price) / Decimal::TWO;
        let mark = exchange.mark_price(S).unwrap();
        assert!((mark.mark_price / middle - Decimal::ONE).abs() < dec("0.002"), "{mark:?} {middle}");
        marks += exchange.take_news().iter().filter(|n| matches!(n, News::Mark(m) if m.symbol == S)).count();
    }
    assert_eq!(marks, 200);
    assert!(exchange.funding_rates(S, None, None, 9).is_empty());
    exchange.advance(exchange.now().offset(600 * SECOND));
    assert_eq!(exchange.funding_rates(S, None, None, 9).len(), 1);
    assert!(!exchange.incomes(A, Some(IncomeKind::Funding), &HistoryQuery::of(S)).is_empty());
    assert_conserved(&exchange);
}

#[test]
fn unsound_contracts_are_refused() {
    let mut wrong = contract("SOL", 100);
    wrong.contract.as_mut().unwrap().brackets.clear();
    assert!(exchange().list(wrong).is_err());
    let leg = limit(Side::Buy, 10_000, "1").position_side(PositionSide::Long);
    let mut setup = setup();
    setup.markets[0].contract = None;
    let mut exchange = Exchange::new(setup).unwrap();
    assert_eq!(exchange.place(A, &leg), Err(Reject::NoContract));
    assert_eq!(exchange.position(A, S, BOTH), None);
}
