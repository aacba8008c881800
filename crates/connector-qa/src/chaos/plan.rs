//! What a run will do, decided before it begins: so a step can be left out and the rest stays as it was.

use std::time::Duration;

use connector_core::dialect::{Calls, Rest, Scope, Spec};
use connector_core::engine::OrderEntry;
use connector_core::journal::Durability;
use connector_core::order::Side;
use connector_venue::face::Face;
use connector_venue::faults::FaultRule;
use smol_str::SmolStr;

use super::faults::{self, CLASSES};
use crate::dice::Dice;

/// What is declared of a venue, as far as plans go by it. Never its name.
#[derive(Clone)]
pub struct Facts {
    /// The venue's own declarations.
    pub spec: &'static Spec,
    /// Its requests.
    pub rest: &'static Rest,
    /// Whether orders can go by stream.
    pub calls: bool,
    /// Symbols of the markets a run trades on.
    pub symbols: Vec<SmolStr>,
    /// More orders than the account may send in one window; `None` if there is no limit a run could reach.
    pub burst: Option<u32>,
}

/// Markets a run trades on.
pub const PAIRS: usize = 2;
/// Largest burst of orders, so that limits counted in thousands are not tried that way.
const MOST_BURST: u32 = 300;

impl Facts {
    /// What a connector and the setup of its embedded venue declare.
    #[must_use]
    pub fn of(face: &dyn Face, calls: Option<&'static Calls>) -> Self {
        let (spec, setup) = (face.spec(), face.setup(0));
        let accounts = setup.pools.iter().filter(|pool| pool.scope == Scope::Account);
        let least = accounts.map(|pool| pool.limit).min();
        Self {
            spec,
            rest: face.rest(),
            calls: calls.is_some(),
            symbols: setup.markets.iter().take(PAIRS).map(|market| market.symbol.clone()).collect(),
            burst: least.map(|limit| limit + limit / 3).filter(|burst| *burst <= MOST_BURST),
        }
    }
}

/// One thing a user, the world or fate does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Place an order near the touch.
    Place(Draw),
    /// Place many at once, far from the touch, and cancel them.
    Burst(u32),
    /// Cancel an open order: this one, counted round.
    Cancel(u64),
    /// Amend an open order: which, and how.
    Amend(u64, Draw),
    /// Cancel all.
    CancelAll,
    /// Cease to follow a pair, and follow it again after a while.
    TurnAway(u64, Duration),
    /// Stop in an orderly way, and start again.
    Restart,
    /// Kill the process after a while, and start it again.
    Kill(Duration),
    /// Make every write of the journal fail for a while.
    FullDisk(Duration),
    /// Suspend the machine for a while.
    Suspend(Duration),
    /// Set the machine's clock: so far ahead of true time, in milliseconds.
    SetClock(i64),
    /// Arm a fault; after a while it is disarmed if it is not spent.
    Arm(Box<FaultRule>),
    /// A market trades again.
    Resume(SmolStr),
}

/// Numbers from which an order is made when its time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Which pair, counted round.
    pub pair: u64,
    /// Buy or sell.
    pub side: Side,
    /// What kind, in per cent of all.
    pub kind: u64,
    /// How far from the touch.
    pub off: u64,
    /// How large.
    pub size: u64,
}

impl Draw {
    /// Any order.
    fn any(dice: &mut Dice) -> Self {
        Self {
            pair: dice.roll(),
            side: if dice.below(2) == 0 { Side::Buy } else { Side::Sell },
            kind: dice.below(100),
            off: dice.below(20),
            size: dice.below(20),
        }
    }
}

/// An act and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, from the moment the connector is ready.
    pub at: Duration,
    /// By which of the instances, counted round.
    pub actor: usize,
    /// What.
    pub act: Act,
}

/// Everything that is decided of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides markets and latencies, too.
    pub seed: u64,
    /// How long the user is at it.
    pub length: Duration,
    /// Instances on the same account, each with its share of the limits.
    pub actors: usize,
    /// How orders go to the venue.
    pub entry: OrderEntry,
    /// What the journal has to have stored before an order is sent.
    pub durability: Durability,
    /// In the order of their times.
    pub steps: Vec<Step>,
}

/// How a plan is drawn.
#[derive(Clone, Debug)]
pub struct Mix<'m> {
    /// How long the user is at it.
    pub length: Duration,
    /// Orders placed one by one.
    pub orders: u32,
    /// Least and most faults.
    pub faults: (u32, u32),
    /// Where faults are drawn from.
    pub from: &'m [&'m str],
    /// Least and most of what is done to the process: kills, restarts, suspensions, full disks, clocks.
    pub fates: (u32, u32),
    /// Which of those: see [`Fate`].
    pub of: &'m [Fate],
    /// Bursts of orders, if the venue has a limit to be reached.
    pub bursts: u32,
    /// Instances.
    pub actors: usize,
}

/// What can be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Killed in the midst of an order.
    Kill,
    /// Stopped in an orderly way.
    Restart,
    /// Suspended.
    Suspend,
    /// The disk is full.
    FullDisk,
    /// The clock is set.
    Clock,
}

/// All of them.
pub const FATES: &[Fate] = &[Fate::Kill, Fate::Restart, Fate::Suspend, Fate::FullDisk, Fate::Clock];

/// Least length of a run.
pub const LENGTH: Duration = Duration::from_secs(600);
/// Orders of a run; a few cannot be placed when their time comes.
const ORDERS: u32 = 230;

impl Plan {
    /// The random mode: all classes of faults, at an intensity that the seed decides.
    #[must_use]
    pub fn random(seed: u64, facts: &Facts) -> Self {
        let mut dice = Dice(seed ^ 0x0C0A_05ED);
        let intensity = u32::try_from(dice.below(5)).unwrap_or(0);
        let mut classes: Vec<&[&str]> = CLASSES.iter().map(|(_, faults)| *faults).collect();
        // Most runs leave out a class or two, so that each is seen with and without the others.
        while classes.len() > 4 && dice.below(2) == 0 {
            let at = usize::try_from(dice.below(classes.len() as u64)).unwrap_or(0);
            classes.remove(at);
        }
        let from: Vec<&str> = classes.concat();
        let mix = Mix {
            length: LENGTH,
            orders: ORDERS,
            faults: (5, 6 + 8 * intensity),
            from: &from,
            fates: (0, intensity),
            of: FATES,
            bursts: u32::from(dice.below(12) == 0),
            actors: 1,
        };
        Self::drawn(seed, facts, &mix)
    }

    /// A plan drawn from a mix.
    #[must_use]
    pub fn drawn(seed: u64, facts: &Facts, mix: &Mix<'_>) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        let by_stream = facts.calls && dice.below(2) == 0;
        let behind = dice.below(2) == 0;
        let mut steps = Vec::new();
        let mut add = |dice: &mut Dice, at: Duration, act: Act| {
            let actor = usize::try_from(dice.below(64)).unwrap_or(0);
            steps.push(Step { at, actor, act });
        };
        for at in order_times(mix, &mut dice) {
            let draw = Draw::any(&mut dice);
            add(&mut dice, at, Act::Place(draw));
            let later = at + Duration::from_millis(5 + dice.below(4_000));
            match dice.below(100) {
                0..35 => add(&mut dice, later, Act::Cancel(at.as_secs())),
                35..50 => {
                    let (which, draw) = (dice.roll(), Draw::any(&mut dice));
                    add(&mut dice, later, Act::Amend(which, draw));
                }
                50..53 => add(&mut dice, later, Act::CancelAll),
                53..54 => {
                    let wait = Duration::from_millis(dice.below(2) * dice.below(3_000));
                    let which = dice.roll();
                    add(&mut dice, later, Act::TurnAway(which, wait));
                }
                _ => {}
            }
        }
        for number in 0..between(&mut dice, mix.faults) {
            // The first ones strike at the very end, so that there is something to recover from when peace comes.
            let late = mix.length.saturating_sub(Duration::from_secs(1 + 3 * u64::from(number)));
            let at = if number < 2 { late } else { moment(&mut dice, mix.length) };
            for act in fault(&mut dice, facts, mix.from) {
                let after = if matches!(act, Act::Resume(_)) { dice.below(30_000) } else { 0 };
                add(&mut dice, at + Duration::from_millis(after), act);
            }
        }
        for _ in 0..between(&mut dice, mix.fates) {
            let at = moment(&mut dice, mix.length);
            if let Some(fate) = dice.pick(mix.of).copied() {
                for (wait, act) in befall(&mut dice, fate) {
                    add(&mut dice, at + wait, act);
                }
            }
        }
        if let Some(orders) = facts.burst {
            for _ in 0..mix.bursts {
                let at = moment(&mut dice, mix.length);
                add(&mut dice, at, Act::Burst(orders));
            }
        }
        steps.sort_by_key(|step| step.at);
        Self {
            seed,
            length: mix.length,
            actors: mix.actors.max(1),
            entry: if by_stream { OrderEntry::Stream } else { OrderEntry::Rest },
            durability: if behind { Durability::Behind } else { Durability::Intent },
            steps,
        }
    }

    /// How many of its steps are faults of any kind.
    #[must_use]
    pub fn fault_count(&self) -> usize {
        self.steps.iter().filter(|step| step.act.is_fault()).count()
    }

    /// The plan with the first `most` steps, and of the faults among them those that `keep` names by their place among faults.
    #[must_use]
    pub fn reduced(&self, most: usize, keep: Option<&[usize]>) -> Self {
        let mut place = 0;
        let kept = |step: &&Step| {
            let fault = step.act.is_fault();
            place += usize::from(fault);
            !fault || keep.is_none_or(|keep| keep.contains(&(place - 1)))
        };
        let steps: Vec<Step> = self.steps.iter().take(most).filter(kept).cloned().collect();
        let length = if most >= self.steps.len() {
            self.length
        } else {
            steps.last().map_or(Duration::ZERO, |step| step.at)
        };
        Self { length, steps, ..self.clone() }
    }

    /// The classes of its faults.
    pub fn classes(&self) -> impl Iterator<Item = SmolStr> {
        self.steps.iter().filter_map(|step| step.act.class())
    }
}

impl Act {
    /// Whether it is something that goes wrong, and not what a user does.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.class().is_some()
    }

    /// Whether it is done with a process, which has to be there.
    #[must_use]
    pub const fn needs_actor(&self) -> bool {
        !matches!(self, Self::Arm(_) | Self::Resume(_) | Self::SetClock(_) | Self::FullDisk(_))
    }

    /// The class of what goes wrong.
    #[must_use]
    pub fn class(&self) -> Option<SmolStr> {
        Some(match self {
            Self::Arm(rule) => faults::class(rule),
            Self::Restart | Self::Kill(_) | Self::FullDisk(_) => SmolStr::new_static("proc"),
            Self::Suspend(_) | Self::SetClock(_) => SmolStr::new_static("clock"),
            _ => return None,
        })
    }
}

/// Half of the orders come by themselves, half in clusters of a few within a second.
fn order_times(mix: &Mix<'_>, dice: &mut Dice) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < usize::try_from(mix.orders).unwrap_or(0) {
        let at = moment(dice, mix.length);
        let together = if dice.below(4) == 0 { 2 + dice.below(6) } else { 1 };
        for _ in 0..together {
            times.push(at + Duration::from_millis(dice.below(1_000)));
        }
    }
    times
}

fn moment(dice: &mut Dice, length: Duration) -> Duration {
    Duration::from_millis(dice.below(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}

fn between(dice: &mut Dice, (least, most): (u32, u32)) -> u32 {
    let more = dice.below(u64::from(most.saturating_sub(least)) + 1);
    least + u32::try_from(more).unwrap_or(0)
}

fn fault(dice: &mut Dice, facts: &Facts, from: &[&str]) -> Vec<Act> {
    let symbol = dice.pick(&facts.symbols).cloned().unwrap_or_default();
    let Some(rule) = dice.pick(from).and_then(|text| faults::rule(text, facts.spec, &symbol)) else {
        return Vec::new();
    };
    let halts = matches!(rule.fault, connector_venue::faults::Fault::Halt { .. });
    let mut acts = vec![Act::Arm(Box::new(rule))];
    if halts {
        acts.push(Act::Resume(symbol));
    }
    acts
}

/// A kill comes with an order that it may strike; a clock that was set is set right again.
fn befall(dice: &mut Dice, fate: Fate) -> Vec<(Duration, Act)> {
    let now = Duration::ZERO;
    let seconds = Duration::from_secs(1 + dice.below(20));
    match fate {
        Fate::Kill => {
            let moment = Duration::from_micros(dice.below(30_000));
            vec![(now, Act::Place(Draw::any(dice))), (now, Act::Kill(moment))]
        }
        Fate::Restart => vec![(now, Act::Restart)],
        Fate::Suspend => vec![(now, Act::Suspend(seconds * 3))],
        Fate::FullDisk => vec![(now, Act::FullDisk(seconds))],
        Fate::Clock => {
            let off = i64::try_from(dice.below(120_000)).unwrap_or(0) - 60_000;
            vec![(now, Act::SetClock(off)), (seconds * 6, Act::SetClock(0))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(acts: &[Act]) -> Plan {
        let steps = acts.iter().enumerate();
        Plan {
            seed: 1,
            length: LENGTH,
            actors: 1,
            entry: OrderEntry::Rest,
            durability: Durability::Intent,
            steps: steps
                .map(|(at, act)| Step { at: Duration::from_secs(at as u64), actor: 0, act: act.clone() })
                .collect(),
        }
    }

    #[test]
    fn a_reduced_plan_is_the_same_without_what_is_left_out() {
        let plan =
            steps(&[Act::CancelAll, Act::Restart, Act::CancelAll, Act::Kill(LENGTH), Act::SetClock(1)]);
        assert_eq!(plan.fault_count(), 3);
        let small = plan.reduced(4, Some(&[1]));
        let acts: Vec<&Act> = small.steps.iter().map(|step| &step.act).collect();
        assert_eq!(acts, [&Act::CancelAll, &Act::CancelAll, &Act::Kill(LENGTH)]);
        assert_eq!(small.length, Duration::from_secs(3));
        assert_eq!(plan.reduced(9, None).steps, plan.steps);
    }
}
