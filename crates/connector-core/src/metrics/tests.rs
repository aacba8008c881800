use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::event::{Executed, OrderCompleted, OrderFeeKnown, OrderFilled, OrderInfo};
use crate::message::Fee;
use crate::order::{OrderType, Side};
use crate::time::UnixNanos;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn order(pair: &str, side: Side) -> OrderInfo {
    OrderInfo {
        pair: pair.parse().unwrap(),
        client_order_id: "c1".into(),
        exchange_order_id: None,
        side,
        order_type: OrderType::Limit,
        price: Some(Decimal::ONE),
        amount: Decimal::TEN,
        action: None,
        leverage: None,
    }
}

fn fill(
    order: OrderInfo,
    trade: &str,
    price: Decimal,
    amount: Decimal,
    fee: Option<(&str, &str)>,
) -> OrderFilled {
    OrderFilled {
        time: UnixNanos(1),
        venue_time: None,
        order,
        trade_id: trade.into(),
        price,
        amount,
        fee: fee.map(|(amount, asset)| Fee { asset: asset.into(), amount: decimal(amount) }),
        fee_estimated: false,
        maker: None,
        executed: Executed::default(),
        late: false,
    }
}

fn bought(trade: &str, price: &str, amount: &str) -> Event {
    let order = order("BTC-USDT", Side::Buy);
    Event::OrderFilled(fill(order, trade, decimal(price), decimal(amount), Some(("0.001", "BTC"))))
}

fn account(metrics: &Metrics) -> Account {
    metrics.of("spot-test", "main")
}

#[test]
fn writes_open_metrics_with_exact_amounts() {
    let metrics = Metrics::new();
    // An account's name is the user's own text.
    let account = metrics.of("spot-test", "a\"b\\c\nd");
    account.event(&bought("1", "60000.123456789", "0.00000001"));
    account.event(&bought("2", "0.1", "0.2"));
    account.event(&Event::OrderCompleted(OrderCompleted {
        time: UnixNanos(2),
        order: order("BTC-USDT", Side::Buy),
        executed: Executed::default(),
    }));
    account.request("place", None, Some(Duration::from_millis(3)));
    account.request("place", Some(Cause::InsufficientBalance), Some(Duration::from_millis(5)));
    account.request("place", Some(Cause::RateLimited), None);
    account.limits(&[PoolUsage { name: "weight", used: 40, limit: 6000, closed_until: None }]);
    account.link("market", &[LinkState::Live, LinkState::Down, LinkState::Live]);
    account.event(&Event::problem(UnixNanos(3), Error::new(Cause::Network, Effect::NotSent, "x", "y")));
    let pair = "BTC-USDT".parse().unwrap();
    account.event(&Event::BookStale { time: UnixNanos(4), pair, reason: "gap".into() });
    let text = metrics.encode();
    let whose = r#"venue="spot-test",account="a\"b\\c\nd""#;
    for line in [
        format!(r#"connector_fills_total{{{whose},pair="BTC-USDT",side="buy"}} 2"#),
        format!(r#"connector_filled_base_total{{{whose},pair="BTC-USDT",side="buy"}} 0.20000001"#),
        format!(r#"connector_filled_quote_total{{{whose},pair="BTC-USDT",side="buy"}} 0.02060000123456789"#),
        format!(r#"connector_fees{{{whose},asset="BTC"}} 0.002"#),
        format!(r#"connector_orders_total{{{whose},pair="BTC-USDT",outcome="completed"}} 1"#),
        format!(r#"connector_requests_total{{{whose},row="place",outcome="ok"}} 1"#),
        format!(r#"connector_requests_total{{{whose},row="place",outcome="insufficient_balance"}} 1"#),
        format!(r#"connector_requests_total{{{whose},row="place",outcome="rate_limited"}} 1"#),
        format!(r#"connector_request_latency_seconds_count{{{whose},row="place"}} 2"#),
        format!(r#"connector_limit_used{{{whose},pool="weight"}} 40"#),
        format!(r#"connector_limit_units{{{whose},pool="weight"}} 6000"#),
        format!(r#"connector_links{{{whose},link="market",state="live"}} 2"#),
        format!(r#"connector_book_resyncs_total{{{whose},pair="BTC-USDT"}} 1"#),
        format!(r#"connector_problems_total{{{whose},cause="network"}} 1"#),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    // Each family is told once, however many connectors share it.
    metrics.of("spot-other", "main").event(&bought("1", "1", "1"));
    let text = metrics.encode();
    let families: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let distinct: std::collections::BTreeSet<_> = families.iter().collect();
    assert_eq!(families.len(), distinct.len(), "{families:?}");
    account.ended(["market"].into_iter());
    assert!(metrics.encode().contains(r#"link="market",state="live"} 0"#));
}

#[test]
fn what_a_sink_refuses_is_carried_over() {
    let calls = Arc::new(AtomicUsize::new(0));
    let got = Arc::new(Mutex::new(Vec::new()));
    let metrics = Metrics::with_sink({
        let (calls, got) = (Arc::clone(&calls), Arc::clone(&got));
        move |volume| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err("no route".to_owned()),
            1 => panic!("a defect of the sink"),
            _ => {
                lock(&got).push(volume.clone());
                Ok(())
            }
        }
    });
    assert!(!metrics.export().unwrap(), "nothing was filled");
    account(&metrics).event(&bought("1", "10", "1"));
    let refused = metrics.export().unwrap_err();
    assert!(refused.to_string().contains("no route"), "{refused}");
    account(&metrics).event(&bought("2", "20", "2"));
    let other = metrics.clone();
    assert!(std::thread::spawn(move || other.export()).join().is_err());
    account(&metrics).event(&bought("3", "30", "3"));
    assert!(metrics.export().unwrap());
    assert!(!metrics.export().unwrap());
    let got = lock(&got);
    let [volume] = got.as_slice() else { panic!("{got:?}") };
    let [line] = volume.filled.as_slice() else { panic!("{volume:?}") };
    assert_eq!((line.fills, line.base, line.quote), (3, 6.into(), 140.into()));
    assert_eq!(volume.fees.first().unwrap().amount, decimal("0.003"));
}

#[test]
fn a_charged_fee_replaces_the_estimate_once() {
    let metrics = Metrics::new();
    let account = account(&metrics);
    let order = order("BTC-USDT", Side::Sell);
    let mut estimated = fill(order.clone(), "1", 100.into(), 1.into(), Some(("0.1", "USDT")));
    estimated.fee_estimated = true;
    account.event(&Event::OrderFilled(estimated));
    let first = metrics.take_volume();
    assert_eq!(first.fees.first().unwrap().amount, decimal("0.1"));
    let known = |asset: &str, trade: &str| {
        Event::OrderFeeKnown(OrderFeeKnown {
            time: UnixNanos(2),
            order: order.clone(),
            trade_id: trade.into(),
            fee: Fee { asset: asset.into(), amount: decimal("0.07") },
        })
    };
    account.event(&known("BNB", "1"));
    account.event(&known("BNB", "1"));
    account.event(&known("BNB", "of an earlier run"));
    let second = metrics.take_volume();
    let fees: Vec<_> = second.fees.iter().map(|line| (line.asset.as_str(), line.amount)).collect();
    assert_eq!(fees, [("BNB", decimal("0.07")), ("USDT", decimal("-0.1"))]);
    assert!(second.filled.is_empty() && metrics.take_volume().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is taken, lost on its way and given back: the exports add up to what was filled.
    #[test]
    fn exports_add_up(steps in prop::collection::vec((1_i64..1_000_000, 1_i64..1_000_000, 0_u8..6, any::<bool>()), 1..60)) {
        let metrics = Metrics::new();
        let account = account(&metrics);
        let (mut base, mut quote, mut fills) = (Decimal::ZERO, Decimal::ZERO, 0);
        let mut failed = Vec::new();
        let mut sums = (Decimal::ZERO, Decimal::ZERO, 0);
        let mut add = |volume: &Volume| for line in &volume.filled {
            sums = (sums.0 + line.base, sums.1 + line.quote, sums.2 + line.fills);
        };
        for (index, (price, amount, step, buys)) in steps.into_iter().enumerate() {
            let (price, amount) = (Decimal::new(price, 4), Decimal::new(amount, 6));
            let order = order("A-B", if buys { Side::Buy } else { Side::Sell });
            account.event(&Event::OrderFilled(fill(order, &index.to_string(), price, amount, None)));
            (base, quote, fills) = (base + amount, quote + price * amount, fills + 1);
            match step {
                0 | 1 => add(&metrics.take_volume()),
                2 => failed.push(metrics.take_volume()),
                3 => failed.drain(..).for_each(|volume| metrics.put_back(&volume)),
                _ => {}
            }
        }
        failed.drain(..).for_each(|volume| metrics.put_back(&volume));
        add(&metrics.take_volume());
        prop_assert_eq!(sums, (base, quote, fills));
        prop_assert!(metrics.take_volume().is_empty());
    }
}
