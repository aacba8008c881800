//! How fast a connection is told what to carry: venues count frames, and cut who sends too many.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pair::Pair;
use crate::time::Mono;

/// Pairs whose channels are asked for in one frame: some hundreds of subscriptions.
const PER_FRAME: usize = 100;
/// The time over which frames are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Changes of a connection's subscriptions that wait to be sent, in the order they were asked for.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Pairs to subscribe (`true`) and to unsubscribe.
    changes: VecDeque<(bool, Pair)>,
    /// When frames were sent in the last second.
    sent: VecDeque<Mono>,
    /// Whether somebody was told when to come back.
    planned: Option<Mono>,
}

/// What can be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing waits, or somebody will come back for it.
    Nothing,
    /// Nothing before then.
    At(Mono),
    /// Send one frame that subscribes (`true`) or unsubscribes these.
    Frame(bool, Vec<Pair>),
}

impl Unsent {
    pub(super) fn add(&mut self, on: bool, pairs: &[Pair]) {
        self.changes.extend(pairs.iter().map(|pair| (on, pair.clone())));
    }

    /// Whether any subscription waits.
    pub(super) fn subscribes(&self) -> bool {
        self.changes.iter().any(|(on, _)| *on)
    }

    /// The connection has ended, and with it everything that was to be changed on it.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes what the next frame is to say, if the venue would hear it now. One of its frames a second is left for answers to
    /// its pings.
    pub(super) fn next(&mut self, now: Mono, per_second: u32) -> Due {
        let Some(on) = self.changes.front().map(|(on, _)| *on) else { return Due::Nothing };
        while self.sent.front().is_some_and(|at| at.after(SECOND) <= now) {
            self.sent.pop_front();
        }
        let most = usize::try_from(per_second).unwrap_or(usize::MAX).saturating_sub(1).max(1);
        if let Some(first) = self.sent.front().filter(|_| self.sent.len() >= most) {
            let at = first.after(SECOND);
            let known = self.planned.is_some_and(|planned| planned > now);
            self.planned = Some(self.planned.filter(|_| known).unwrap_or(at));
            return if known { Due::Nothing } else { Due::At(at) };
        }
        self.planned = None;
        let same = self.changes.iter().take(PER_FRAME).take_while(|(what, _)| *what == on);
        let pairs = same.count();
        self.sent.push_back(now);
        Due::Frame(on, self.changes.drain(..pairs).map(|(_, pair)| pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(number: usize) -> Pair {
        format!("A{number}-X").parse().unwrap()
    }

    fn milliseconds(number: u64) -> Mono {
        Mono(number * 1_000_000)
    }

    #[test]
    fn thousands_go_in_few_frames() {
        let mut unsent = Unsent::default();
        unsent.add(true, &(0..950).map(pair).collect::<Vec<_>>());
        let mut sizes = Vec::new();
        let mut at = milliseconds(5);
        for _ in 0..20 {
            match unsent.next(at, 5) {
                Due::Frame(true, pairs) => sizes.push((at, pairs.len())),
                Due::At(next) => at = next,
                other => {
                    assert_eq!(other, Due::Nothing);
                    break;
                }
            }
        }
        let [first, second, third] = [5, 1_005, 2_005].map(milliseconds);
        assert_eq!(sizes[..5], [(first, 100), (first, 100), (first, 100), (first, 100), (second, 100)]);
        assert_eq!((sizes.len(), sizes[9]), (10, (third, 50)));
    }

    proptest! {
        /// Whatever is asked for when: everything is sent, in order, and in no second more frames than the venue hears beside one
        /// answer to a ping.
        #[test]
        fn no_second_has_too_many_frames(
            asked in prop::collection::vec((0_u64..400, any::<bool>(), 1_usize..250), 1..60),
            per_second in 1_u32..8,
        ) {
            let (mut unsent, mut now, mut timer) = (Unsent::default(), 0, None);
            let (mut want, mut got, mut frames) = (Vec::new(), Vec::new(), Vec::new());
            let mut take = |unsent: &mut Unsent, now, timer: &mut Option<Mono>| loop {
                match unsent.next(now, per_second) {
                    Due::Frame(on, pairs) => {
                        frames.push(now);
                        got.extend(pairs.into_iter().map(|pair| (on, pair)));
                    }
                    Due::At(at) => {
                        assert!(at > now && timer.is_none(), "{at:?} at {now:?}, planned {timer:?}");
                        break *timer = Some(at);
                    }
                    Due::Nothing => break,
                }
            };
            for (pause, on, count) in asked {
                now += pause;
                while let Some(at) = timer.take_if(|at| *at <= milliseconds(now)) {
                    take(&mut unsent, at, &mut timer);
                }
                let pairs: Vec<_> = (0..count).map(|number| pair(want.len() + number)).collect();
                unsent.add(on, &pairs);
                want.extend(pairs.into_iter().map(|pair| (on, pair)));
                take(&mut unsent, milliseconds(now), &mut timer);
            }
            while let Some(at) = timer.take() {
                take(&mut unsent, at, &mut timer);
            }
            prop_assert!(got == want, "{} of {} changes", got.len(), want.len());
            let most = (per_second as usize - 1).max(1);
            for both in frames.windows(most + 1) {
                prop_assert!(both[most] >= both[0].after(SECOND), "{both:?}");
            }
        }
    }
}
