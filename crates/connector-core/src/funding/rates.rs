//! What is announced of the next funding of each pair, merged from answers and streams.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::message::FundingInfo;
use crate::pair::Pair;
use crate::time::UnixNanos;

/// A value and the venue's time of it.
type Dated<T> = Option<(UnixNanos, T)>;

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    rate: Dated<Decimal>,
    next_time: Dated<UnixNanos>,
    mark_price: Dated<Decimal>,
    index_price: Dated<Decimal>,
}

/// What is known of a pair's next funding. Absent is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FundingState {
    /// The rate as it stands, a fraction of the position's value per interval; positive = long pays short.
    pub rate: Option<Decimal>,
    /// When it is due, by the venue's clock.
    pub next_time: Option<UnixNanos>,
    /// The mark price, quote per base.
    pub mark_price: Option<Decimal>,
    /// The index price, quote per base.
    pub index_price: Option<Decimal>,
}

impl FundingState {
    /// Whether all of it is known.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.rate.is_some()
            && self.next_time.is_some()
            && self.mark_price.is_some()
            && self.index_price.is_some()
    }
}

/// What is known of the next funding of each pair.
///
/// **Invariant**: each value is the newest that was told, by the venue's time: an older message never replaces it, and a
/// message leaves alone what it does not carry. Of two of one time the one that came later counts.
#[derive(Clone, Debug, Default)]
pub struct FundingRates(BTreeMap<Pair, Known>);

impl FundingRates {
    /// Merges a message. `asked` stands in for the time of one that has none: when its question was sent, by the venue's clock,
    /// so that it counts as no newer than it certainly is.
    ///
    /// Returns whether anything is different now. A message about a market without a pair changes nothing.
    pub fn apply(&mut self, info: &FundingInfo, asked: UnixNanos) -> bool {
        let Some(pair) = info.market.pair() else { return false };
        let known = self.0.entry(pair.clone()).or_default();
        let before = known.state();
        let time = info.time.unwrap_or(asked);
        merge(&mut known.rate, info.rate, time);
        merge(&mut known.next_time, info.next_time, time);
        merge(&mut known.mark_price, info.mark_price, time);
        merge(&mut known.index_price, info.index_price, time);
        before != known.state()
    }

    /// What is known of a pair; nothing, if nothing was told.
    #[must_use]
    pub fn get(&self, pair: &Pair) -> FundingState {
        self.0.get(pair).map(Known::state).unwrap_or_default()
    }

    /// When the first funding of any pair is due, by the venue's clock: soon after it, payments can be fetched.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixNanos> {
        self.0.values().filter_map(|known| known.next_time).map(|(_, due)| due).min()
    }

    /// Forgets a pair that is followed no more.
    pub fn forget(&mut self, pair: &Pair) {
        self.0.remove(pair);
    }
}

impl Known {
    fn state(&self) -> FundingState {
        FundingState {
            rate: self.rate.map(|(_, rate)| rate),
            next_time: self.next_time.map(|(_, due)| due),
            mark_price: self.mark_price.map(|(_, price)| price),
            index_price: self.index_price.map(|(_, price)| price),
        }
    }
}

fn merge<T>(known: &mut Dated<T>, told: Option<T>, time: UnixNanos) {
    if let Some(told) = told
        && known.as_ref().is_none_or(|(known, _)| *known <= time)
    {
        *known = Some((time, told));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Market;

    fn info(pair: &str, values: [Option<i64>; 4], time: Option<i64>) -> FundingInfo {
        let [rate, next_time, mark_price, index_price] = values;
        let number = |units: i64| Decimal::new(units, 2);
        FundingInfo {
            market: Market::Pair(pair.parse().unwrap()),
            rate: rate.map(number),
            next_time: next_time.map(UnixNanos),
            mark_price: mark_price.map(number),
            index_price: index_price.map(number),
            time: time.map(UnixNanos),
        }
    }

    #[test]
    fn an_answer_fills_what_the_stream_does_not_carry() {
        let mut rates = FundingRates::default();
        let (btc, eth): (Pair, Pair) = ("BTC-USDT".parse().unwrap(), "ETH-USDT".parse().unwrap());
        assert_eq!((rates.get(&btc), rates.next_due()), (FundingState::default(), None));
        assert!(rates.apply(&info("BTC-USDT", [None, None, Some(3), None], Some(9)), UnixNanos(0)));
        assert!(!rates.get(&btc).is_complete());
        // The answer was asked for before: its mark price is older than the stream's.
        assert!(rates.apply(&info("BTC-USDT", [Some(1), Some(80), Some(2), Some(4)], None), UnixNanos(8)));
        let state = rates.get(&btc);
        assert!(state.is_complete());
        assert_eq!(state.mark_price, Some(Decimal::new(3, 2)));
        assert!(!rates.apply(&info("BTC-USDT", [Some(1), None, None, None], Some(9)), UnixNanos(0)));
        assert!(rates.apply(&info("ETH-USDT", [None, Some(70), None, None], Some(9)), UnixNanos(0)));
        assert_eq!(rates.next_due(), Some(UnixNanos(70)));
        rates.forget(&eth);
        assert_eq!(rates.next_due(), Some(UnixNanos(80)));
        let unmapped = FundingInfo { market: Market::Symbol("X".into()), ..info("A-B", [Some(1); 4], None) };
        assert!(!rates.apply(&unmapped, UnixNanos(0)));
    }

    proptest! {
        #[test]
        fn the_newest_value_of_each_kind_stands(
            told in prop::collection::vec((prop::array::uniform4(prop::option::of(1_i64..50)), 0_i64..20), 1..40),
        ) {
            let mut rates = FundingRates::default();
            for (values, time) in &told {
                rates.apply(&info("BTC-USDT", *values, Some(*time)), UnixNanos(0));
            }
            let newest = |kind: usize| {
                let told = told.iter().enumerate().filter_map(|(at, (values, time))| Some((*time, at, values[kind]?)));
                told.max().map(|(.., value)| value)
            };
            let state = rates.get(&"BTC-USDT".parse().unwrap());
            let number = |kind| newest(kind).map(|units| Decimal::new(units, 2));
            prop_assert_eq!(state.rate, number(0));
            prop_assert_eq!(state.next_time, newest(1).map(UnixNanos));
            prop_assert_eq!(state.mark_price, number(2));
            prop_assert_eq!(state.index_price, number(3));
        }
    }
}
