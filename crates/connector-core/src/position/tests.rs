use proptest::prelude::*;

use super::*;
use crate::message::Market;

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn pair() -> Pair {
    "BTC-USDT".parse().unwrap()
}

const NET: PositionSide = PositionSide::Both;

/// A fill of `amount` (negative = sold) at `price` and millisecond `time`; the id counts on from it.
fn fill(id: i64, time: i64, amount: &str, price: &str) -> PositionFill {
    let amount = number(amount);
    PositionFill {
        pair: pair(),
        position_side: NET,
        side: if amount.is_sign_negative() { Side::Sell } else { Side::Buy },
        trade_id: id.into(),
        price: number(price),
        amount: amount.abs(),
        time: UnixNanos(time),
        cause: PositionCause::Order,
    }
}

fn leg(side: PositionSide, fill: PositionFill) -> PositionFill {
    PositionFill { position_side: side, ..fill }
}

fn net(amount: &str, entry: Option<&str>) -> PositionReport {
    let entry_price = entry.map(number);
    PositionReport { entry_price, ..PositionReport::net(Market::Pair(pair()), number(amount)) }
}

fn at(time: i64) -> AsOf {
    AsOf::at(UnixNanos(time))
}

/// Side, amount, entry price and realised profit.
fn shown(positions: &Positions, side: PositionSide) -> String {
    let position = positions.position(&pair(), side).unwrap();
    let entry = position.entry_price.map_or("-".to_owned(), |price| price.to_string());
    format!("{} {} @ {} realised {}", position.side, position.amount, entry, position.realised)
}

fn parts(change: &Change) -> String {
    let (Change::Changed { parts, .. } | Change::Contained { parts }) = change else {
        return format!("{change:?}");
    };
    let one = |part: &PositionPart| {
        let realised = part.realised.map_or("?".to_owned(), |realised| realised.to_string());
        format!("{} {} {}", part.action, part.amount, realised)
    };
    parts.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn average_price_profit_and_a_flip() {
    let mut positions = Positions::new(PositionMode::OneWay);
    assert_eq!(positions.position(&pair(), NET), None);
    let mut trade = |id, amount, price| {
        let change = positions.fill(&fill(id, id, amount, price)).unwrap();
        (parts(&change), shown(&positions, NET))
    };
    let say = |parts: &str, shown: &str| (parts.to_owned(), shown.to_owned());
    assert_eq!(trade(1, "1", "100"), say("open 1 0", "long 1 @ 100 realised 0"));
    assert_eq!(trade(2, "2", "103"), say("open 2 0", "long 3 @ 102 realised 0"));
    assert_eq!(trade(3, "-1", "110"), say("close 1 8", "long 2 @ 102 realised 8"));
    assert_eq!(trade(4, "-5", "100"), say("close 2 -4, open 3 0", "short 3 @ 100 realised 4"));
    assert_eq!(trade(5, "1.5", "90"), say("close 1.5 15", "short 1.5 @ 100 realised 19"));
    assert_eq!(trade(6, "1.5", "101"), say("close 1.5 -1.5", "both 0 @ - realised 17.5"));
    assert_eq!(positions.open().count(), 0);
}

#[test]
fn unrealised_profit_has_the_position_s_sign() {
    let mut positions = Positions::new(PositionMode::Hedge);
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    positions.fill(&leg(long, fill(1, 1, "2", "100"))).unwrap();
    positions.fill(&leg(short, fill(2, 2, "-3", "110"))).unwrap();
    let at = |side| positions.unrealised(&pair(), side, number("105.5")).unwrap().to_string();
    assert_eq!((at(long), at(short)), ("11".to_owned(), "13.5".to_owned()));
    assert_eq!(positions.unrealised(&pair(), NET, Decimal::ONE), None, "there is no net position");
    assert_eq!(positions.open().count(), 2);
}

#[test]
fn a_part_s_share_of_the_cost_is_rounded_and_none_of_it_is_lost() {
    let mut positions = Positions::new(PositionMode::OneWay);
    for (id, amount, price) in [(1, "1", "100"), (2, "2", "101")] {
        positions.fill(&fill(id, id, amount, price)).unwrap();
    }
    for id in 3..6 {
        positions.fill(&fill(id, id, "-1", "100")).unwrap();
    }
    assert_eq!(shown(&positions, NET), "both 0 @ - realised -2");
}

#[test]
fn a_fill_counts_once() {
    let mut positions = Positions::new(PositionMode::OneWay);
    let one = fill(1, 1, "1", "100");
    positions.fill(&one).unwrap();
    assert_eq!(positions.fill(&one).unwrap(), Change::Nothing);
    let elsewhen = PositionFill { time: UnixNanos(9), ..one.clone() };
    assert_eq!(positions.fill(&elsewhen).unwrap(), Change::Nothing);
    // A trade with oneself is two fills of one id.
    positions.fill(&PositionFill { side: Side::Sell, ..one }).unwrap();
    assert_eq!(shown(&positions, NET), "both 0 @ - realised 0");
}

#[test]
fn reports_and_fills_overtake_each_other() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.list(&[], at(1), Extent::Full);
    assert_eq!(shown(&positions, NET), "both 0 @ - realised 0", "a full list without it says it is zero");
    // The report comes first and has the fill in it.
    let change = positions.report(&net("1", Some("100")), at(5)).unwrap();
    assert!(matches!(change, Change::Changed { .. }));
    assert_eq!(positions.unexplained(&pair(), NET), Decimal::ONE);
    let change = positions.fill(&fill(1, 5, "1", "100")).unwrap();
    assert_eq!(
        change,
        Change::Contained {
            parts: vec![PositionPart {
                action: PositionAction::Open,
                amount: Decimal::ONE,
                realised: Some(Decimal::ZERO),
            }]
        }
    );
    assert_eq!(positions.unexplained(&pair(), NET), Decimal::ZERO);
    // Another fill of the same time is beyond what the report says.
    positions.fill(&fill(2, 5, "2", "103")).unwrap();
    assert_eq!(shown(&positions, NET), "long 3 @ 102 realised 0");
    // An older report changes nothing, a newer one that says the same does neither.
    assert_eq!(positions.report(&net("7", None), at(4)).unwrap(), Change::Nothing);
    let told = PositionReport { leverage: Some(number("5")), ..net("3", Some("102.00")) };
    assert_eq!(positions.report(&told, at(6)).unwrap(), Change::Contained { parts: Vec::new() });
    // A fill from before that was missed is in it already; its profit is not lost.
    let late = positions.fill(&fill(3, 4, "0.5", "90")).unwrap();
    assert_eq!(parts(&late), "open 0.5 0");
    let position = positions.position(&pair(), NET).unwrap();
    assert_eq!((position.amount, position.leverage), (number("3"), Some(number("5"))));
    assert_eq!(position.reported, Some(at(6)));
}

#[test]
fn an_answer_without_a_time_lies_between_question_and_answer() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.report(&net("0", None), at(1)).unwrap();
    positions.fill(&fill(1, 10, "1", "100")).unwrap();
    positions.fill(&fill(2, 20, "1", "100")).unwrap();
    positions.fill(&fill(3, 30, "1", "100")).unwrap();
    let window = AsOf::between(UnixNanos(25), UnixNanos(5));
    let change = positions.report(&net("1", None), window).unwrap();
    assert_eq!(
        change,
        Change::Contained { parts: Vec::new() },
        "the answer was given between the first two fills"
    );
    assert_eq!(shown(&positions, NET), "long 3 @ 100 realised 0");
    assert_eq!(positions.unexplained(&pair(), NET), Decimal::ZERO);
}

#[test]
fn reports_of_one_time_count_in_the_order_of_their_fills() {
    let fills = [fill(1, 5, "1", "100"), fill(2, 5, "1", "110"), fill(3, 5, "-3", "120")];
    let reports = [net("1", Some("100")), net("2", Some("105")), net("-1", Some("120"))];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for early in [true, false] {
            let mut positions = Positions::new(PositionMode::OneWay);
            positions.list(&[], at(1), Extent::Full);
            let mut all = order.map(|index| (Some(index), None)).to_vec();
            all.splice(if early { 0..0 } else { 3..3 }, [0, 1, 2].map(|index| (None, Some(index))));
            for (report, fill) in all {
                report.map(|index: usize| positions.report(&reports[index], at(5)).unwrap());
                fill.map(|index: usize| positions.fill(&fills[index]).unwrap());
            }
            assert_eq!(
                positions.position(&pair(), PositionSide::Both).unwrap().amount,
                number("1"),
                "{order:?}"
            );
            assert_eq!(positions.position(&pair(), PositionSide::Both).unwrap().side, PositionSide::Short);
            assert_eq!(
                positions.unexplained(&pair(), PositionSide::Both),
                Decimal::ZERO,
                "{order:?} {early}"
            );
        }
    }
}

#[test]
fn a_fill_while_a_later_list_is_answered_is_not_in_it() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.list(&[], AsOf::between(UnixNanos(1), UnixNanos(3)), Extent::Full);
    positions.list(&[], AsOf::between(UnixNanos(7), UnixNanos(9)), Extent::Full);
    positions.report(&net("2", Some("100")), at(8)).unwrap();
    positions.fill(&fill(1, 8, "2", "100")).unwrap();
    assert_eq!(positions.position(&pair(), PositionSide::Both).unwrap().amount, number("2"));
    assert_eq!(positions.unexplained(&pair(), PositionSide::Both), Decimal::ZERO);
}

#[test]
fn what_only_the_venue_knows_is_given_a_cause_once() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.report(&net("-4", Some("50")), at(1)).unwrap();
    assert_eq!(positions.unexplained(&pair(), NET), Decimal::ZERO, "the first report is where it starts");
    positions.report(&net("-1", Some("50")), at(2)).unwrap();
    assert_eq!(positions.position(&pair(), NET).unwrap().cause, None);
    assert_eq!(positions.attribute(&pair(), NET, PositionCause::External), number("3"));
    assert_eq!(positions.attribute(&pair(), NET, PositionCause::External), Decimal::ZERO);
    assert_eq!(positions.position(&pair(), NET).unwrap().cause, Some(PositionCause::External));
    // The fill comes after all: the adjustment has to be taken back.
    let liquidated = PositionFill { cause: PositionCause::Liquidation, ..fill(7, 2, "3", "60") };
    assert_eq!(parts(&positions.fill(&liquidated).unwrap()), "close 3 -30");
    assert_eq!(positions.position(&pair(), NET).unwrap().cause, Some(PositionCause::Liquidation));
    assert_eq!(positions.attribute(&pair(), NET, PositionCause::External), number("-3"));
    assert_eq!(shown(&positions, NET), "short 1 @ 50 realised -30");
}

#[test]
fn an_entry_price_that_is_not_known_is_no_zero() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.report(&net("2", None), at(1)).unwrap();
    assert_eq!(parts(&positions.fill(&fill(1, 2, "-0.5", "60")).unwrap()), "close 0.5 ?");
    let position = positions.position(&pair(), NET).unwrap();
    assert_eq!((position.entry_price, position.unvalued), (None, number("0.5")));
    assert_eq!(positions.unrealised(&pair(), NET, number("3")), None);
    // From the flip on everything is known again.
    assert_eq!(parts(&positions.fill(&fill(2, 3, "-2", "60")).unwrap()), "close 1.5 ?, open 0.5 0");
    assert_eq!(shown(&positions, NET), "short 0.5 @ 60 realised 0");
}

#[test]
fn a_leg_never_turns_round() {
    let mut positions = Positions::new(PositionMode::Hedge);
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    let held = |side, amount| PositionReport::leg(Market::Pair(pair()), side, number(amount));
    positions.list(&[held(long, "1"), held(short, "2")], at(1), Extent::Full);
    let change = positions.fill(&leg(long, fill(1, 5, "-3", "100"))).unwrap();
    assert_eq!(parts(&change), "close 1 ?");
    assert_eq!(shown(&positions, long), "long 0 @ - realised 0");
    assert_eq!(positions.unexplained(&pair(), long), number("2"), "more must have been open than is known");
    // The opening fill that was missing explains it.
    positions.fill(&leg(long, fill(0, 4, "2", "90"))).unwrap();
    assert_eq!(positions.unexplained(&pair(), long), Decimal::ZERO);
    assert_eq!(shown(&positions, short), "short 2 @ - realised 0");
    let change = positions.fill(&leg(short, fill(2, 5, "5", "100"))).unwrap();
    assert_eq!(parts(&change), "close 2 ?");
    assert_eq!(positions.unexplained(&pair(), short), number("-3"));
}

#[test]
fn a_full_list_ends_what_it_does_not_name() {
    let mut positions = Positions::new(PositionMode::Hedge);
    let held = |side, amount| PositionReport::leg(Market::Pair(pair()), side, number(amount));
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    positions.list(&[held(long, "1"), held(short, "2")], at(1), Extent::Listed);
    positions.list(&[held(long, "1")], at(2), Extent::Listed);
    assert_eq!(positions.open().count(), 2);
    let changes = positions.list(&[held(long, "1")], at(3), Extent::Full);
    assert_eq!(changes.iter().filter(|change| matches!(change, Ok(Change::Changed { .. }))).count(), 1);
    assert_eq!(positions.open().map(|position| position.side).collect::<Vec<_>>(), [long]);
    let timed = PositionReport { time: Some(UnixNanos(1)), ..held(long, "9") };
    let changes = positions.list(&[timed], at(4), Extent::Full);
    assert_eq!(changes.last(), Some(&Ok(Change::Nothing)), "its own time counts");
}

#[test]
fn the_mode_is_part_of_a_position() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.fill(&fill(1, 1, "1", "100")).unwrap();
    let hedged = |amount| PositionReport::leg(Market::Pair(pair()), PositionSide::Long, number(amount));
    assert_eq!(positions.report(&hedged("0"), at(2)).unwrap(), Change::Nothing);
    let refused = positions.report(&hedged("1"), at(2)).unwrap_err();
    assert_eq!(refused.cause, Cause::Usage);
    assert!(refused.to_string().contains("mode hedge, not one_way"), "{refused}");
    positions.fill(&leg(PositionSide::Long, fill(2, 2, "1", "100"))).unwrap_err();
    assert!(positions.set_mode(PositionMode::OneWay).is_empty());
    assert_eq!(positions.set_mode(PositionMode::Hedge).len(), 1);
    assert_eq!((positions.mode(), positions.open().count()), (PositionMode::Hedge, 0));
    positions.report(&hedged("1"), at(2)).unwrap();
    positions.fill(&fill(1, 1, "1", "100")).unwrap_err();
    for (amount, price) in [("0", "1"), ("1", "0")] {
        positions.fill(&leg(PositionSide::Long, fill(3, 3, amount, price))).unwrap_err();
    }
    let unmapped = PositionReport::net(Market::Symbol("X".into()), Decimal::ONE);
    assert_eq!(positions.report(&unmapped, at(3)).unwrap_err().cause, Cause::Usage);
}

#[test]
fn a_fill_message_becomes_a_position_s() {
    let message = Fill {
        market: Market::Pair(pair()),
        client_order_id: None,
        exchange_order_id: None,
        trade_id: "7".into(),
        side: Side::Sell,
        price: number("5"),
        amount: number("2"),
        fee: None,
        maker: None,
        position_side: None,
        cause: None,
        time: Some(UnixNanos(3)),
    };
    assert_eq!(PositionFill::of(&message, NET), Some(fill(7, 3, "-2", "5")));
    assert_eq!(PositionFill::of(&Fill { time: None, ..message.clone() }, NET), None);
    assert_eq!(PositionFill::of(&Fill { market: Market::Symbol("X".into()), ..message }, NET), None);
}

#[test]
fn memory_is_bounded_and_what_is_summed_up_still_counts() {
    let mut positions = Positions::new(PositionMode::OneWay);
    positions.report(&net("0", None), at(0)).unwrap();
    for id in 1..=2000 {
        positions.fill(&fill(id, id, if id % 3 == 0 { "-1" } else { "2" }, "10")).unwrap();
        if id % 50 == 0 {
            let amount = positions.position(&pair(), NET).unwrap().amount.to_string();
            positions.report(&net(&amount, None), at(id)).unwrap();
        }
    }
    let timeline = &positions.slots[&(pair(), Slot::Net)];
    assert!(timeline.kept() <= 256, "{}", timeline.kept());
    assert_eq!(shown(&positions, NET), "long 2002 @ 10 realised 0");
    assert_eq!(positions.unexplained(&pair(), NET), Decimal::ZERO);
    assert_eq!(positions.fill(&fill(1, 1, "2", "10")).unwrap(), Change::Past);
    assert_eq!(positions.report(&net("5", None), at(1)).unwrap(), Change::Nothing);
    assert_eq!(positions.report(&net("5", None), at(1990)).unwrap(), Change::Nothing);
    assert_eq!(shown(&positions, NET), "long 2002 @ 10 realised 0");
}

/// The average cost method in whole numbers: cost in units of 10⁻¹⁸, nothing shared with the code under test.
#[derive(Clone, Copy, Default)]
struct Model {
    amount: i128,
    cost: i128,
    realised: i128,
}

const ONE: i128 = 1_000_000_000_000_000_000;

impl Model {
    fn trade(&mut self, amount: i128, price: i128) {
        if self.amount == 0 || (self.amount > 0) == (amount > 0) {
            self.cost += amount * price * ONE;
            self.amount += amount;
        } else if amount.abs() <= self.amount.abs() {
            let share = -amount * self.cost / self.amount;
            self.realised += -amount * price * ONE - share;
            self.cost -= share;
            self.amount += amount;
        } else {
            let rest = amount + self.amount;
            self.trade(-self.amount, price);
            self.trade(rest, price);
        }
    }

    fn agrees(&self, position: &Position) -> bool {
        let close = |ours: Decimal, model: i128| {
            (ours - Decimal::from_i128_with_scale(model, 18)).abs() < Decimal::new(1, 9)
        };
        let entry = match position.entry_price {
            Some(price) => self.amount != 0 && close(price, self.cost / self.amount),
            None => self.amount == 0,
        };
        entry
            && position.amount == Decimal::from(i64::try_from(self.amount.abs()).unwrap())
            && (self.amount == 0 || (position.side == PositionSide::Short) == (self.amount < 0))
            && close(position.realised, self.realised)
    }
}

fn trades(most: usize) -> impl Strategy<Value = Vec<(i64, i64)>> {
    let amount = prop_oneof![-9_i64..0, 1_i64..10];
    prop::collection::vec((amount, 1_i64..2000), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // 256 cases of 64 fills on average: some 16,000, in each mode.
    #[test]
    fn one_way_agrees_with_a_model(trades in trades(128)) {
        let mut positions = Positions::new(PositionMode::OneWay);
        let (mut model, mut cash) = (Model::default(), Decimal::ZERO);
        for (id, (amount, price)) in (1..).zip(&trades) {
            let was = model.amount;
            model.trade(i128::from(*amount), i128::from(*price));
            cash -= Decimal::from(amount * price);
            let change = positions.fill(&fill(id, id, &amount.to_string(), &price.to_string())).unwrap();
            let Change::Changed { parts, after, .. } = change else { panic!("{change:?}") };
            prop_assert!(model.agrees(&after), "{after:?}");
            let flipped = was * model.amount < 0;
            prop_assert_eq!(parts.len(), if flipped { 2 } else { 1 });
            prop_assert_eq!(parts.iter().map(|part| part.amount).sum::<Decimal>(), Decimal::from(amount.abs()));
            // The cash of the fills is what was realised less what is open, to the last digit.
            let open = positions.unrealised(&pair(), NET, Decimal::ONE).unwrap();
            let signed = if after.side == PositionSide::Short { -after.amount } else { after.amount };
            prop_assert_eq!(after.realised + open - signed, cash);
        }
    }

    #[test]
    fn hedge_agrees_with_a_model(trades in trades(128)) {
        let mut positions = Positions::new(PositionMode::Hedge);
        let mut models = [Model::default(), Model::default()];
        for (id, (amount, price)) in (1..).zip(&trades) {
            let leg_of = usize::from(price % 2 == 0);
            let (side, sign) = [(PositionSide::Long, 1), (PositionSide::Short, -1)][leg_of];
            let model = &mut models[leg_of];
            // A leg is closed by no more than there is.
            let open = i64::try_from(model.amount).unwrap();
            let amount = if (open + amount) * sign < 0 { -open } else { *amount };
            if amount == 0 {
                continue;
            }
            model.trade(i128::from(amount), i128::from(*price));
            positions.fill(&leg(side, fill(id, id, &amount.to_string(), &price.to_string()))).unwrap();
            for (side, model) in [PositionSide::Long, PositionSide::Short].into_iter().zip(&models) {
                if let Some(position) = positions.position(&pair(), side) {
                    prop_assert!(model.agrees(&position), "{position:?}");
                }
            }
        }
    }

    #[test]
    fn fills_and_reports_in_any_order_give_the_venue_s_position(
        trades in trades(24),
        ticks in prop::collection::vec(0_i64..3, 24),
        told in prop::collection::vec(any::<bool>(), 24),
        start in -5_i64..6,
        keys in prop::collection::vec(any::<u32>(), 48),
        (twice, places) in (any::<bool>(), 2_u32..9),
    ) {
        enum Input { Fill(PositionFill), Report(PositionReport, AsOf) }
        let mut model = Model { amount: i128::from(start), cost: i128::from(start) * 500 * ONE, realised: 0 };
        let mut positions = Positions::new(PositionMode::OneWay);
        positions.report(&net(&start.to_string(), Some("500")), at(0)).unwrap();
        let (mut inputs, mut time) = (Vec::new(), 1);
        for (index, (amount, price)) in trades.iter().enumerate() {
            time += ticks[index];
            model.trade(i128::from(*amount), i128::from(*price));
            let id = i64::try_from(index).unwrap() + 1;
            inputs.push((keys[2 * index], Input::Fill(fill(id, time, &amount.to_string(), &price.to_string()))));
            if told[index] {
                let entry = model.cost.checked_div(model.amount).map(|entry| Decimal::from_i128_with_scale(entry, 18).round_dp(places));
                let report = PositionReport { entry_price: entry, ..net(&model.amount.to_string(), None) };
                inputs.push((keys[2 * index + 1], Input::Report(report, at(time))));
            }
        }
        // Reports of one time keep their order: they come over one connection.
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|index| inputs[*index].0);
        let time_of = |index: usize| match &inputs[index].1 {
            Input::Report(_, as_of) => Some(*as_of),
            Input::Fill(_) => None,
        };
        for one in 0..order.len() {
            for other in one + 1..order.len() {
                let (a, b) = (order[one], order[other]);
                if a > b && time_of(a).is_some() && time_of(a) == time_of(b) {
                    order.swap(one, other);
                }
            }
        }
        for index in &order {
            match &inputs[*index].1 {
                Input::Fill(fill) => {
                    positions.fill(fill).unwrap();
                    if twice {
                        prop_assert_eq!(positions.fill(fill).unwrap(), Change::Nothing);
                    }
                }
                Input::Report(report, as_of) => drop(positions.report(report, *as_of).unwrap()),
            }
        }
        let position = positions.position(&pair(), NET).unwrap();
        prop_assert_eq!(position.amount, Decimal::from(i64::try_from(model.amount.abs()).unwrap()));
        prop_assert_eq!(positions.unexplained(&pair(), NET), Decimal::ZERO);
        prop_assert!(model.agrees(&position), "{position:?} {:?}", (model.amount, model.cost, model.realised));
    }
}
