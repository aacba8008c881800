use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

fn rule(step: &str) -> TradingRule {
    TradingRule {
        pair: pair(),
        exchange_symbol: "BTCUSDT".into(),
        min_amount: None,
        max_amount: None,
        amount_step: Some(number(step)),
        price_step: None,
        min_price: None,
        max_price: None,
        min_notional: None,
        contract_size: None,
        collateral: None,
        tradable: true,
    }
}

fn added(rate: &str) -> FeeSchedule {
    FeeSchedule { maker: number(rate), taker: number(rate), ..FeeSchedule::default() }
}

fn fixed(asset: &str, amount: &str) -> Vec<Fee> {
    vec![Fee { asset: asset.into(), amount: number(amount) }]
}

fn funds(list: &[(&str, &str)]) -> BTreeMap<Asset, Decimal> {
    list.iter().map(|(asset, amount)| (Asset::new(asset), number(amount))).collect()
}

fn one(
    candidate: &Candidate,
    mode: Mode,
    funds: &mut BTreeMap<Asset, Decimal>,
    fees: &FeeSchedule,
    rule: &TradingRule,
) -> Adjusted {
    let mut prices = Prices::default();
    prices.set("USDT-TOKEN".parse().unwrap(), number("2"));
    let terms = |_: &Candidate| Some(Terms::spot(rule, fees));
    adjust(std::slice::from_ref(candidate), mode, funds, terms, &prices).remove(0)
}

#[test]
fn the_reference_values() {
    let ten = Candidate::limit_maker(pair(), Side::Buy, number("10"), number("2"));
    let cases = [
        (added("0.01"), funds(&[("USDT", "10")]), "4.95", "0.099"),
        (FeeSchedule { fixed: fixed("USDT", "1"), ..added("0") }, funds(&[("USDT", "11")]), "5", "1"),
        (FeeSchedule { fixed: fixed("USDT", "1"), ..added("0.1") }, funds(&[("USDT", "12")]), "5", "1"),
        (
            FeeSchedule { asset: Some("TOKEN".into()), fixed: fixed("TOKEN", "1"), ..added("0.01") },
            funds(&[("USDT", "100"), ("TOKEN", "1.2")]),
            "5",
            "0.2",
        ),
    ];
    for (fees, mut funds, amount, fee) in cases {
        let adjusted = one(&ten, Mode::Partial, &mut funds.clone(), &fees, &rule("0.01"));
        assert_eq!((adjusted.candidate.amount, adjusted.resized), (number(amount), true), "{adjusted:?}");
        assert_eq!(adjusted.fees[0].amount, number(fee), "{adjusted:?}");
        let before = funds.clone();
        let refused = one(&ten, Mode::AllOrNone, &mut funds, &fees, &rule("0.01"));
        assert_eq!(refused.refused.unwrap().cause, Cause::InsufficientBalance);
        assert_eq!(funds, before, "what is refused reserves nothing");
    }
}

#[test]
fn each_order_sees_what_those_before_it_have_left() {
    let rule = rule("1");
    let fees = added("0.001");
    let sell = |amount: &str| Candidate::limit(pair(), Side::Sell, number(amount), number("2"));
    let candidates = [sell("7"), sell("5"), sell("5")];
    let terms = |_: &Candidate| Some(Terms::spot(&rule, &fees));
    let amounts = |mode: Mode| {
        let mut funds = funds(&[("BTC", "10")]);
        let adjusted = adjust(&candidates, mode, &mut funds, terms, &Prices::default());
        let amounts: Vec<_> = adjusted.iter().map(|one| one.candidate.amount.to_string()).collect();
        (amounts.join(" "), funds[&"BTC".into()].to_string())
    };
    assert_eq!(amounts(Mode::Partial), ("7 3 0".to_owned(), "0".to_owned()));
    assert_eq!(amounts(Mode::AllOrNone), ("7 0 0".to_owned(), "3".to_owned()));
}

#[test]
fn tells_what_an_order_brings() {
    let rule = rule("0.01");
    let mut funds = funds(&[("USDT", "1000"), ("BTC", "10")]);
    let deducting = FeeSchedule { from_received: true, ..added("0.001") };
    let buy = Candidate::limit(pair(), Side::Buy, number("10"), number("20"));
    let adjusted = one(&buy, Mode::AllOrNone, &mut funds, &deducting, &rule);
    assert_eq!(adjusted.cost, BTreeMap::from([("USDT".into(), number("200"))]));
    assert_eq!(adjusted.returns, Some(("BTC".into(), number("9.99"))));
    let sell = Candidate::market(pair(), Side::Sell, number("10"), number("20"));
    let adjusted = one(&sell, Mode::AllOrNone, &mut funds, &deducting, &rule);
    assert_eq!(adjusted.returns, Some(("USDT".into(), number("199.8"))));
    assert_eq!(funds, BTreeMap::from([("USDT".into(), number("800")), ("BTC".into(), Decimal::ZERO)]));
}

#[test]
fn a_negative_balance_is_none_and_a_missing_price_is_no_zero() {
    let buy = Candidate::limit(pair(), Side::Buy, number("1"), number("2"));
    let mut negative = funds(&[("USDT", "-5")]);
    let adjusted = one(&buy, Mode::Partial, &mut negative, &added("0"), &rule("0.01"));
    assert_eq!((adjusted.candidate.amount, adjusted.cost.len()), (Decimal::ZERO, 0));
    let text = adjusted.refused.unwrap().to_string();
    assert!(text.contains("needs 2 USDT, 0 is available"), "{text}");
    let foreign = FeeSchedule { asset: Some("OTHER".into()), ..added("0.01") };
    let adjusted = one(&buy, Mode::Partial, &mut funds(&[("USDT", "50")]), &foreign, &rule("0.01"));
    assert_eq!(adjusted.refused.unwrap().cause, Cause::Usage);
}

#[test]
fn what_is_left_must_still_obey_the_rule() {
    let rule = TradingRule { min_notional: Some(number("5")), ..rule("0.01") };
    let buy = Candidate::limit(pair(), Side::Buy, number("10"), number("2"));
    let adjusted = one(&buy, Mode::Partial, &mut funds(&[("USDT", "4")]), &added("0"), &rule);
    assert_eq!(adjusted.refused.unwrap().cause, Cause::InsufficientBalance);
    let small = Candidate { amount: number("1"), ..buy };
    let adjusted = one(&small, Mode::Partial, &mut funds(&[("USDT", "400")]), &added("0"), &rule);
    assert_eq!(adjusted.refused.unwrap().cause, Cause::TradingRule);
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let order_type =
        prop_oneof![Just(OrderType::Limit), Just(OrderType::LimitMaker), Just(OrderType::Market)];
    (any::<bool>(), order_type, 1_i64..10_000_000, 1_i64..10_000_000).prop_map(
        |(buy, order_type, amount, price)| Candidate {
            pair: pair(),
            side: if buy { Side::Buy } else { Side::Sell },
            order_type,
            amount: Decimal::new(amount, 5),
            price: Decimal::new(price, 4),
            action: None,
        },
    )
}

proptest! {
    #[test]
    fn never_overdraws_and_accounts_for_every_unit(
        candidates in prop::collection::vec(candidate(), 1..12),
        (quote, base) in (-1000_i64..50_000_000, -1000_i64..50_000_000),
        (maker, taker) in (-300_i64..3000, -300_i64..3000),
        (flat, from_received, partial) in (0_i64..100, any::<bool>(), any::<bool>()),
        step in (1_i64..1000, 0_u32..6),
    ) {
        let rule = TradingRule { price_step: Some(Decimal::new(3, 3)), ..rule(&Decimal::new(step.0, step.1).to_string()) };
        let fees = FeeSchedule {
            maker: Decimal::new(maker, 6),
            taker: Decimal::new(taker, 6),
            from_received,
            fixed: vec![Fee { asset: "USDT".into(), amount: Decimal::new(flat, 2) }],
            asset: None,
        };
        let mode = if partial { Mode::Partial } else { Mode::AllOrNone };
        let before = BTreeMap::from([("USDT".into(), Decimal::new(quote, 4)), ("BTC".into(), Decimal::new(base, 5))]);
        let mut left = before.clone();
        let terms = |_: &Candidate| Some(Terms::spot(&rule, &fees));
        let all = adjust(&candidates, mode, &mut left, terms, &Prices::default());
        prop_assert_eq!(all.len(), candidates.len());
        for (asset, was) in &before {
            let spent: Decimal = all.iter().filter_map(|one| one.cost.get(asset)).sum();
            prop_assert_eq!(left[asset], *was - spent);
            prop_assert!(left[asset] >= Decimal::ZERO || spent.is_zero());
        }
        let mut funds = before;
        for (asked, got) in candidates.iter().zip(&all) {
            prop_assert!(got.candidate.amount <= asked.amount && got.candidate.amount >= Decimal::ZERO);
            prop_assert_eq!(got.refused.is_some(), got.candidate.amount.is_zero());
            if got.refused.is_some() {
                prop_assert!(got.cost.is_empty());
                continue;
            }
            prop_assert!((got.candidate.amount % rule.amount_step.unwrap()).is_zero());
            prop_assert!(!got.resized || partial);
            // What was reserved suffices for the dearest way the order can go.
            let worst = fees.worst_rate(asked.order_type);
            let value = got.candidate.amount * got.candidate.price;
            let (quote, base) = match got.candidate.side {
                Side::Buy if from_received => (value, Decimal::ZERO),
                Side::Buy => (value + value * worst, Decimal::ZERO),
                Side::Sell => (Decimal::ZERO, got.candidate.amount),
            };
            let of = |asset: &str| got.cost.get(&Asset::new(asset)).copied().unwrap_or_default();
            prop_assert_eq!(of("USDT"), quote + Decimal::new(flat, 2));
            prop_assert_eq!(of("BTC"), base);
            // And one step more could not have been paid, where the budget made it smaller.
            if got.resized {
                let more = Candidate { amount: got.candidate.amount + rule.amount_step.unwrap(), ..got.candidate.clone() };
                let unit = Unit::new(&more, &Terms::spot(&rule, &fees), &Prices::default()).unwrap();
                prop_assert!(unit.lack(more.amount, |asset| funds.get(asset).copied().unwrap_or_default()).is_some());
            }
            for (asset, cost) in &got.cost {
                *funds.get_mut(asset).unwrap() -= *cost;
            }
        }
    }
}

/// A contract at 10x, marked at 100, of which a long position of 3 entered at 90 is open.
fn contract<'a>(
    collateral: &'a Asset,
    brackets: &'a [crate::message::LeverageBracket],
    side: Side,
) -> MarginTerms<'a> {
    let (closable, open) = if side == Side::Sell { ("3", "0") } else { ("0", "3") };
    MarginTerms {
        collateral,
        leverage: number("10"),
        brackets,
        closable: number(closable),
        entry_price: (side == Side::Sell).then(|| number("90")),
        open: number(open),
        mark_price: Some(number("100")),
    }
}

fn judge(candidates: &[Candidate], mode: Mode, usdt: &str) -> (Vec<Adjusted>, Decimal) {
    let (rule, fees, collateral) = (rule("0.1"), added("0.001"), Asset::new("USDT"));
    let brackets = [crate::message::LeverageBracket {
        floor: Decimal::ZERO,
        cap: Some(number("1000")),
        max_leverage: number("10"),
        maintenance_ratio: number("0.01"),
        deduction: Decimal::ZERO,
    }];
    let mut funds = funds(&[("USDT", usdt)]);
    let terms = |asked: &Candidate| {
        let margin = Some(contract(&collateral, &brackets, asked.side));
        Some(Terms { rule: &rule, fees: &fees, margin })
    };
    let all = adjust(candidates, mode, &mut funds, terms, &Prices::default());
    (all, funds[&collateral])
}

fn perpetual(side: Side, amount: &str, price: &str) -> Candidate {
    Candidate::limit(pair(), side, number(amount), number(price))
}

#[test]
fn what_opens_takes_margin_fee_and_what_it_loses_at_once() {
    // Margin 101 x 2 / 10, fee a thousandth of 202, and each unit is bought 1 above the mark price.
    let (all, left) = judge(&[perpetual(Side::Buy, "2", "101")], Mode::AllOrNone, "100");
    assert_eq!(all[0].cost, funds(&[("USDT", "22.402")]));
    assert_eq!((all[0].returns.clone(), left), (None, number("77.598")));
    assert_eq!(all[0].fees, fixed("USDT", "0.202"));
    let (all, _) = judge(&[perpetual(Side::Buy, "2", "101")], Mode::Partial, "12");
    assert_eq!((all[0].candidate.amount, all[0].resized), (number("1"), true));
    assert_eq!(all[0].cost, funds(&[("USDT", "11.201")]));
}

#[test]
fn what_closes_takes_nothing_and_brings_its_margin_and_profit() {
    let close = |amount| perpetual(Side::Sell, amount, "110").action(PositionAction::Close);
    let (all, left) = judge(&[close("3")], Mode::AllOrNone, "0");
    // Margin 90 x 3 / 10, profit 20 x 3, fee a thousandth of 330.
    assert_eq!(all[0].returns, Some(("USDT".into(), number("86.67"))));
    assert_eq!((all[0].cost.len(), left), (0, Decimal::ZERO));
    // Whoever sells 5 closes 3 and opens 2, for which margin 22 and fee 0.22 are needed.
    let (all, _) = judge(&[perpetual(Side::Sell, "5", "110")], Mode::AllOrNone, "22.22");
    assert_eq!(all[0].cost, funds(&[("USDT", "22.22")]));
    let (all, _) = judge(&[perpetual(Side::Sell, "5", "110")], Mode::Partial, "0");
    assert_eq!((all[0].candidate.amount, all[0].cost.len()), (number("3"), 0));
    // What one order is to close, the next cannot close once more.
    let (all, _) = judge(&[close("2"), close("2")], Mode::Partial, "0");
    assert_eq!([all[0].candidate.amount, all[1].candidate.amount], [number("2"), number("1")]);
    let (all, _) = judge(&[close("2"), close("2")], Mode::AllOrNone, "0");
    let refused = all[1].refused.as_ref().unwrap();
    assert_eq!(refused.cause, Cause::Position);
    assert!(refused.to_string().contains("of which 1 can be closed"), "{refused}");
}

#[test]
fn a_position_is_not_larger_than_its_leverage_allows() {
    // 3 are open, so 7 more at 100 are the 1,000 that 10x allows.
    let (all, _) = judge(&[perpetual(Side::Buy, "8", "100")], Mode::AllOrNone, "1000");
    assert_eq!(all[0].refused.as_ref().unwrap().cause, Cause::TradingRule);
    let (all, _) =
        judge(&[perpetual(Side::Buy, "8", "100"), perpetual(Side::Buy, "1", "100")], Mode::Partial, "1000");
    assert_eq!((all[0].candidate.amount, all[0].resized), (number("7"), true));
    assert_eq!(all[1].refused.as_ref().unwrap().cause, Cause::TradingRule);
    // The other way 3 are closed first.
    let (all, _) = judge(&[perpetual(Side::Sell, "13", "100")], Mode::AllOrNone, "1000");
    assert_eq!(all[0].candidate.amount, number("13"));
}

proptest! {
    #[test]
    fn contracts_never_overdraw(
        orders in prop::collection::vec((any::<bool>(), 1_i64..200, 5_000_i64..15_000), 1..10),
        usdt in -100_i64..30_000, partial in any::<bool>(),
    ) {
        let candidates: Vec<_> = orders
            .iter()
            .map(|(buys, amount, price)| {
                let side = if *buys { Side::Buy } else { Side::Sell };
                Candidate::limit(pair(), side, Decimal::new(*amount, 1), Decimal::new(*price, 2))
            })
            .collect();
        let before = Decimal::new(usdt, 2);
        let (all, left) = judge(&candidates, if partial { Mode::Partial } else { Mode::AllOrNone }, &before.to_string());
        let spent: Decimal = all.iter().filter_map(|one| one.cost.get(&"USDT".into())).sum();
        prop_assert_eq!(left, before - spent);
        prop_assert!(left >= Decimal::ZERO || spent.is_zero());
        let mut sold = Decimal::ZERO;
        for (asked, got) in candidates.iter().zip(&all) {
            prop_assert!(got.candidate.amount <= asked.amount);
            prop_assert_eq!(got.refused.is_some(), got.candidate.amount.is_zero());
            if asked.side == Side::Sell {
                // Nothing is taken as long as all that was sold only closes.
                sold += got.candidate.amount;
                prop_assert!(sold > number("3") || got.cost.is_empty());
            } else if !got.candidate.amount.is_zero() {
                let needed = got.candidate.amount * got.candidate.price / number("10");
                prop_assert!(got.cost[&"USDT".into()] >= needed);
            }
        }
    }
}
