//! Known defects, put back on purpose: what a suite must notice to be worth anything.
//!
//! Each is a mistake that connectors really make. They are compiled in with the feature `mutants` only, which no user turns on;
//! without it every question here is the constant `false`. One is planted at a time, on the thread that drives the engine.

use std::fmt;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mutant {
    /// Any error on a submission means that the order failed.
    SubmitErrorIsFailure,
    /// Any error on a query means that the order was not found.
    AnyErrorIsNotFound,
    /// After a reconnect of the private stream nothing is read.
    NoRecovery,
    /// A connection that answers pings delivers what is subscribed.
    PongsAreLife,
    /// Book messages are applied whatever is missing between them.
    NoContinuityCheck,
    /// Messages from before a snapshot are applied on top of it.
    OldDiffsReplayed,
    /// The latest report of an order sets its state, also back.
    StateMovesBack,
    /// A fill is booked as often as it is told.
    FillsTwice,
    /// A leaky bucket stands for an exact window.
    BucketForWindow,
    /// Fees are booked with the wrong sign.
    FeeSignFlipped,
    /// An order is sent before its intent is stored.
    IntentNotAwaited,
    /// A cancel without an answer has cancelled.
    LostCancelIsDone,
    /// An order ends with its terminal status, whatever fills are missing.
    EndBeforeFills,
    /// The venue's word on when it will hear again is ignored.
    RetryAfterIgnored,
    /// A refusal for the time stamp does not set the clock right.
    ClockNotHealed,
    /// A connection that is opened again is not subscribed again.
    SubscriptionsForgotten,
    /// Amounts are rounded up to the venue's step.
    RoundedUp,
    /// Client order ids begin anew with each start.
    IdsRepeat,
}

impl Mutant {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::SubmitErrorIsFailure,
        Self::AnyErrorIsNotFound,
        Self::NoRecovery,
        Self::PongsAreLife,
        Self::NoContinuityCheck,
        Self::OldDiffsReplayed,
        Self::StateMovesBack,
        Self::FillsTwice,
        Self::BucketForWindow,
        Self::FeeSignFlipped,
        Self::IntentNotAwaited,
        Self::LostCancelIsDone,
        Self::EndBeforeFills,
        Self::RetryAfterIgnored,
        Self::ClockNotHealed,
        Self::SubscriptionsForgotten,
        Self::RoundedUp,
        Self::IdsRepeat,
    ];
}

/// Its name.
impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Whether they are compiled in.
pub const AVAILABLE: bool = cfg!(feature = "mutants");

#[cfg(feature = "mutants")]
mod planted {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants a defect on this thread, in place of the one before.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

#[cfg(not(feature = "mutants"))]
mod planted {
    use super::Mutant;

    /// Does nothing: they are not compiled in.
    pub const fn plant(_: Option<Mutant>) {}

    pub(crate) const fn is(_: Mutant) -> bool {
        false
    }
}

pub(crate) use planted::is;
pub use planted::plant;
