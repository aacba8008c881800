//! Client order ids: unique across instances and restarts, legal at the venue, and recognised as ours.
//!
//! An id is prefix, instance, start and counter, each of fixed width. No part is random: uniqueness is by construction.

use crate::dialect::IdRule;
use crate::error::Error;
use crate::id::ClientOrderId;
use crate::time::UnixNanos;

/// How the parts are written: the widths are of instance, start and counter.
struct Layout {
    base: u64,
    instance: usize,
    start: usize,
    counter: usize,
    /// Nanoseconds per unit of the start.
    unit: i64,
}

impl Layout {
    const fn len(&self) -> usize {
        self.instance + self.start + self.counter
    }
}

/// From roomy to tight; one case only is preferred, because some systems on the way do not tell cases apart.
/// All hold 32 bits of instance, over 40 of start (beyond the year 2080) and at least 17 of counter.
const LAYOUTS: [Layout; 3] = [
    Layout { base: 36, instance: 7, start: 10, counter: 6, unit: 1_000 },
    Layout { base: 62, instance: 6, start: 9, counter: 5, unit: 1_000 },
    Layout { base: 62, instance: 6, start: 7, counter: 3, unit: 1_000_000 },
];

const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Makes client order ids, and recognises them.
#[derive(Debug)]
pub struct ClientIds {
    layout: &'static Layout,
    /// Prefix and instance.
    head: String,
    /// What all ids of this start begin with; made with the first.
    stem: String,
    start: u64,
    counter: u64,
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "base {} {}+{}+{}", self.base, self.instance, self.start, self.counter)
    }
}

impl ClientIds {
    /// Ids for one run of one instance. `prefix` is a broker's tag, or empty. `instance` tells programs on one account apart
    /// and stays the same across restarts. `started` must be later at each restart, by a millisecond at least.
    ///
    /// # Errors
    /// [`Cause::Usage`](crate::Cause::Usage): the venue does not take the prefix's characters, or what it leaves of the length is
    /// too short to keep ids unique.
    pub fn new(rule: &IdRule, prefix: &str, instance: u32, started: UnixNanos) -> Result<Self, Error> {
        let refuse = |why: String| Err(Error::usage("client order ids", why).about("prefix"));
        if let Some(wrong) =
            prefix.chars().find(|c| !c.is_ascii_alphanumeric() && !rule.punctuation.contains(*c))
        {
            return refuse(format!("the venue does not take `{wrong}` in client order ids"));
        }
        let room = usize::from(rule.max_len).saturating_sub(prefix.len());
        let Some(layout) = LAYOUTS.iter().find(|layout| layout.len() <= room) else {
            let least = LAYOUTS.iter().map(Layout::len).min().unwrap_or(0);
            return refuse(format!(
                "prefix `{prefix}` leaves {room} of {} characters; unique ids need {least}",
                rule.max_len
            ));
        };
        let mut head = String::from(prefix);
        write_digits(u64::from(instance), layout.base, layout.instance, &mut head);
        let start = u64::try_from(started.0.div_euclid(layout.unit)).unwrap_or(0);
        Ok(Self { layout, head, stem: String::new(), start, counter: 0 })
    }

    /// The next id.
    pub fn next_id(&mut self) -> ClientOrderId {
        let layout = self.layout;
        if self.counter >= power(layout.base, layout.counter) {
            // Nobody places that many orders within one unit of time, so no later run starts here.
            self.start += 1;
            self.counter = 0;
        }
        if self.counter == 0 {
            self.stem.clone_from(&self.head);
            write_digits(self.start, layout.base, layout.start, &mut self.stem);
        }
        let stem = self.stem.len();
        write_digits(self.counter, layout.base, layout.counter, &mut self.stem);
        self.counter += 1;
        let id = ClientOrderId::new(&self.stem);
        self.stem.truncate(stem);
        id
    }

    /// Whether this instance made `id`, in this run or an earlier one with the same prefix.
    #[must_use]
    pub fn is_mine(&self, id: &str) -> bool {
        let digit = |byte: &u8| {
            let alphabet = usize::try_from(self.layout.base).ok().and_then(|base| DIGITS.get(..base));
            alphabet.is_some_and(|alphabet| alphabet.contains(byte))
        };
        id.strip_prefix(self.head.as_str()).is_some_and(|rest| {
            rest.len() == self.layout.start + self.layout.counter && rest.as_bytes().iter().all(digit)
        })
    }
}

impl ClientIds {
    /// Whether this instance made `id` in an earlier run with the same prefix.
    #[must_use]
    pub fn is_of_earlier_run(&self, id: &str) -> bool {
        let mut first = self.head.clone();
        write_digits(self.start, self.layout.base, self.layout.start, &mut first);
        self.is_mine(id) && !id.starts_with(&first)
    }
}

const fn power(base: u64, exponent: usize) -> u64 {
    let (mut power, mut left) = (1_u64, exponent);
    while left > 0 {
        power = power.saturating_mul(base);
        left -= 1;
    }
    power
}

/// The last `width` digits of `value`, most significant first.
fn write_digits(value: u64, base: u64, width: usize, out: &mut String) {
    let (mut digits, mut rest) = ([b'0'; 20], value);
    for place in digits.iter_mut().rev().take(width) {
        let digit = usize::try_from(rest % base).ok().and_then(|digit| DIGITS.get(digit));
        *place = digit.copied().unwrap_or(b'0');
        rest /= base;
    }
    let from = digits.len().saturating_sub(width);
    out.extend(digits.iter().skip(from).map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::dialect::Source;

    const START: i64 = 1_795_000_000_000_000_000;

    fn rule(max_len: u8) -> IdRule {
        IdRule { max_len, punctuation: "-_", source: Source { url: "", read: "" } }
    }

    #[test]
    fn refuses_what_the_venue_would_or_what_is_not_unique() {
        for (max_len, prefix) in [(36, "x.y"), (36, "é"), (15, ""), (32, "x-12345678901234567")] {
            let error = ClientIds::new(&rule(max_len), prefix, 1, UnixNanos(START)).unwrap_err();
            assert_eq!((error.cause, error.effect), (crate::Cause::Usage, crate::Effect::NotSent));
        }
    }

    #[test]
    fn a_full_counter_moves_on() {
        let mut ids = ClientIds::new(&rule(16), "", 1, UnixNanos(START)).unwrap();
        let made: BTreeSet<_> = (0..62 * 62 * 62 + 5).map(|_| ids.next_id()).collect();
        assert_eq!(made.len(), 62 * 62 * 62 + 5);
    }

    #[test]
    fn layouts_are_wide_enough() {
        for layout in &LAYOUTS {
            assert!(power(layout.base, layout.instance) > u64::from(u32::MAX));
            assert!(power(layout.base, layout.start) > 3_500_000_000 * 1_000_000_000 / layout.unit as u64);
            assert!(power(layout.base, layout.start + layout.counter) > 1 << 58);
        }
    }

    #[test]
    fn a_hundred_thousand_ids_of_two_instances_and_a_restart() {
        let mut seen = BTreeSet::new();
        for (instance, start) in [(1, START), (2, START), (1, START + 1_000_000)] {
            let mut ids = ClientIds::new(&rule(32), "x-AB12CD34", instance, UnixNanos(start)).unwrap();
            let earlier =
                seen.iter().filter(|id: &&ClientOrderId| ids.is_of_earlier_run(id.as_str())).count();
            assert_eq!(earlier, if start == START { 0 } else { 100_000 });
            for _ in 0..100_000 {
                assert!(seen.insert(ids.next_id()));
            }
        }
    }

    proptest! {
        #[test]
        fn legal_unique_and_recognised(
            max_len in 16_u8..60,
            prefix in "[a-zA-Z0-9_-]{0,14}",
            instances in prop::array::uniform2(any::<u32>()),
            starts in prop::array::uniform2(0_i64..2_000_000_000),
        ) {
            prop_assume!(instances[0] != instances[1] && usize::from(max_len) >= prefix.len() + 16);
            let starts = [starts[0], starts[0] + 1 + starts[1]].map(|millis| UnixNanos::from_millis(START / 1_000_000 + millis));
            let mut seen = BTreeSet::new();
            let runs = instances.iter().flat_map(|instance| starts.map(|start| (*instance, start)));
            let mut runs: Vec<_> = runs
                .map(|(instance, start)| ClientIds::new(&rule(max_len), &prefix, instance, start).unwrap())
                .collect();
            for at in 0..runs.len() {
                for _ in 0..50 {
                    let id = runs[at].next_id();
                    prop_assert!(id.as_str().len() <= usize::from(max_len));
                    prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
                    for (other, run) in runs.iter().enumerate() {
                        prop_assert_eq!(run.is_mine(id.as_str()), other / 2 == at / 2);
                    }
                    prop_assert!(seen.insert(id));
                }
            }
        }

        #[test]
        fn foreign_ids_are_foreign(id in "\\PC{0,40}") {
            let ids = ClientIds::new(&rule(36), "", 7, UnixNanos(START)).unwrap();
            prop_assert!(!ids.is_mine(&id));
        }
    }
}
