//! The whole connector under virtual time, with faults, from seeds. `SEED=n` runs one seed again, `SEEDS=n` as many; thousands
//! run with `cargo xtask chaos`.

use std::time::Duration;

use connector_core::Error;
use connector_core::dialect::{
    Channel, DecodeError, Dialect, Draft, Frame, Keyring, Rest, Spec, Stamp, VenueError,
};
use connector_core::message::{BestPrice, BookMessage, Message, Sink, Trade};
use connector_qa::chaos::plan::Act;
use connector_qa::chaos::scenarios::SCENARIOS;
use connector_qa::chaos::{Facts, Plan, run};
use smol_str::SmolStr;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

fn seeds(least: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(least)).collect(),
    }
}

fn facts() -> Facts {
    Facts::of(&BinanceFace, SpotBinance::CALLS)
}

#[test]
fn the_ledger_agrees_whatever_goes_wrong() {
    let facts = facts();
    let failures: Vec<String> = seeds(8)
        .into_iter()
        .filter_map(|seed| {
            let result = run(SpotBinance, Box::new(BinanceFace), &Plan::random(seed, &facts));
            println!("seed {seed}: {result:?}");
            result.err().map(|broken| format!("seed {seed}: {broken}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_plan_is_long_and_busy_and_goes_wrong() {
    let facts = facts();
    for seed in 1..200 {
        let plan = Plan::random(seed, &facts);
        let orders = plan.steps.iter().filter(|step| matches!(step.act, Act::Place(_))).count();
        assert!(plan.length >= Duration::from_secs(600) && orders >= 200, "{seed}: {orders} orders");
        assert!(plan.fault_count() >= 5, "{seed}: {} faults", plan.fault_count());
    }
}

#[test]
fn every_scenario_that_applies_passes() {
    let facts = facts();
    let (mut passed, mut left_out) = (0, Vec::new());
    for scenario in SCENARIOS {
        if scenario.applies(&facts).is_err() {
            left_out.push(scenario.id);
            continue;
        }
        let plan = scenario.plan(1, &facts);
        let busy = plan.fault_count() > 0 || plan.steps.iter().any(|step| matches!(step.act, Act::Burst(_)));
        assert!(busy, "{}: nothing goes wrong", scenario.id);
        let result = run(SpotBinance, Box::new(BinanceFace), &plan);
        assert!(result.is_ok(), "{}: {}", scenario.id, result.unwrap_err());
        passed += 1;
    }
    assert_eq!((passed, left_out), (32, vec!["F-10", "F-22", "F-23", "F-29", "F-30", "F-31"]));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let facts = facts();
    for seed in seeds(100) {
        let plan = Plan::random(seed, &facts).reduced(12, None);
        let play = || run(SpotBinance, Box::new(BinanceFace), &plan);
        let (first, second) = (play(), play());
        assert_eq!(
            first.map(|outcome| outcome.trace).ok(),
            second.map(|outcome| outcome.trace).ok(),
            "{seed}"
        );
    }
}

/// The venue as if its private stream told no balance: as one that declares so, or (`PUSH`) as one that should and does not.
#[derive(Clone, Copy)]
struct Untold<const PUSH: bool>;

/// Takes everything but balances.
struct Deaf<'s, S>(&'s mut S);

impl<S: Sink> Sink for Deaf<'_, S> {
    fn book(&mut self, message: BookMessage<'_>) {
        self.0.book(message);
    }

    fn best_price(&mut self, message: BestPrice) {
        self.0.best_price(message);
    }

    fn trade(&mut self, message: Trade) {
        self.0.trade(message);
    }

    fn message(&mut self, message: Message) {
        if !matches!(message, Message::Balance(_)) {
            self.0.message(message);
        }
    }
}

impl<const PUSH: bool> Dialect for Untold<PUSH> {
    const SPEC: &'static Spec = &Spec { balance_push: PUSH, ..*SpotBinance::SPEC };
    const REST: &'static Rest = SpotBinance::REST;

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        SpotBinance::sign(draft, keys, stamp)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        SpotBinance::subscribe(on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        SpotBinance::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        SpotBinance::frame(frame, &mut Deaf(out))
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        SpotBinance::error(body)
    }
}

#[test]
fn balances_that_the_stream_does_not_tell_are_right_in_the_end() {
    // That dialect declares no calls.
    let facts = Facts { calls: false, ..facts() };
    for seed in seeds(4).into_iter().take(4) {
        let plan = Plan::random(seed, &facts).reduced(60, None);
        for declared in [false, true] {
            let face = Box::new(BinanceFace);
            let result =
                if declared { run(Untold::<true>, face, &plan) } else { run(Untold::<false>, face, &plan) };
            assert!(result.is_ok(), "seed {seed}, declared to be told: {declared}: {}", result.unwrap_err());
        }
    }
}
