//! Scales with round numbers, in whole units: nothing here needs fractions.

use std::time::Duration;

use super::human;

/// The next round number at or above this: 1, 2 or 5 times a power of ten.
fn round_up(value: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let round = power.saturating_mul(factor);
            if round >= value || round == u64::MAX {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Round steps from zero such that about `count` reach `top`; the last one is at or above it.
pub(super) fn steps(top: u64, count: u64) -> Vec<u64> {
    let step = round_up(top.div_ceil(count.max(1)).max(1));
    (0..=top.div_ceil(step)).map(|number| number.saturating_mul(step)).collect()
}

const SECOND: u64 = 1_000_000_000;
/// Steps that people read times in, from a second on.
const TIMES: [u64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 14_400];

/// Round times from zero, at most about `count`, none above `length`.
pub(super) fn times(length: u64, count: u64) -> Vec<u64> {
    let least = length.div_ceil(count.max(1)).max(1);
    let step = if least <= SECOND / 2 {
        round_up(least)
    } else {
        let fits = TIMES.iter().map(|seconds| seconds * SECOND).find(|step| *step >= least);
        fits.unwrap_or_else(|| least.div_ceil(86_400 * SECOND) * 86_400 * SECOND)
    };
    (0..=length / step).map(|number| number * step).collect()
}

/// A round time as people write it.
pub(super) fn time(nanos: u64) -> String {
    let (seconds, rest) = (nanos / SECOND, nanos % SECOND);
    match seconds {
        0 => round(nanos),
        _ if rest > 0 => {
            let fraction = format!("{rest:09}");
            format!("{seconds}.{} s", fraction.trim_end_matches('0'))
        }
        1..120 => format!("{seconds} s"),
        120..7_200 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        7_200.. if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A round duration below some seconds, without digits that say nothing.
pub(super) fn round(nanos: u64) -> String {
    let text = human(Duration::from_nanos(nanos));
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ if nanos == 0 => "0".to_owned(),
        _ => text,
    }
}

/// `value` of `whole` as a place from 0 to `size`.
pub(super) fn place(value: u64, whole: u64, size: u64) -> u64 {
    let place = u128::from(value.min(whole)) * u128::from(size) / u128::from(whole.max(1));
    u64::try_from(place).unwrap_or(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_reach_the_top() {
        assert_eq!(steps(0, 4), [0]);
        assert_eq!(steps(1, 4), [0, 1]);
        assert_eq!(steps(50, 4), [0, 20, 40, 60]);
        assert_eq!(steps(6_000, 4), [0, 2_000, 4_000, 6_000]);
        assert_eq!(steps(999, 4), [0, 500, 1_000]);
    }

    #[test]
    fn times_are_such_as_clocks_show() {
        assert_eq!(
            times(60 * SECOND, 6).into_iter().map(time).collect::<Vec<_>>().join(" "),
            "0 10 s 20 s 30 s 40 s 50 s 60 s"
        );
        assert_eq!(times(430 * SECOND, 6).into_iter().map(time).next_back().unwrap(), "6 min");
        assert_eq!(times(900_000, 5).into_iter().map(time).nth(1).unwrap(), "200 µs");
        assert_eq!(time(1_500_000_000), "1.5 s");
        assert_eq!(time(2 * 3_600 * SECOND), "2 h");
    }

    #[test]
    fn places_stay_inside() {
        assert_eq!((place(0, 10, 700), place(10, 10, 700), place(11, 10, 700)), (0, 700, 700));
        assert_eq!(place(5, 0, 700), 0);
    }
}
