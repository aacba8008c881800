//! The whole connector under virtual time, with faults, from seeds. `SEED=n` runs one seed again, `SEEDS=n` as many.

use connector_qa::simulation::run;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

const STEPS: u32 = 120;

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(24)).collect(),
    }
}

#[test]
fn the_ledger_agrees_whatever_goes_wrong() {
    let failures: Vec<String> = seeds()
        .into_iter()
        .filter_map(|seed| {
            let result = run(SpotBinance, Box::new(BinanceFace), seed, STEPS);
            println!("seed {seed}: {result:?}");
            result.err().map(|broken| {
                format!("SEED={seed} cargo test -p spot-binance --no-default-features --test simulation\n  {broken}")
            })
        })
        .collect();
    assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = || run(SpotBinance, Box::new(BinanceFace), 7, 40).map(|outcome| outcome.trace).unwrap();
    assert_eq!(trace(), trace());
}
