//! What a connector tells by itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::broadcast;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::event::Event;
use crate::net::Driver;
use crate::throttle::PoolUsage;

/// The reader was too slow: this many events were dropped for it. State is best read afresh from the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader lagged: {0} events were dropped for it")]
pub struct Lagged(pub u64);

/// A stream of events, bounded: a reader that is too slow gets [`Lagged`] in place of what it missed, and then goes on.
#[derive(Debug)]
pub struct Events(BroadcastStream<Event>);

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(BroadcastStream::new(receiver))
    }

    /// The next event; `None` once the connector has ended.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context).map(|item| {
            item.map(|result| result.map_err(|BroadcastStreamRecvError::Lagged(missed)| Lagged(missed)))
        })
    }
}

/// How often the limits are looked at for a reader.
const LOOK: Duration = Duration::from_millis(100);

/// The meters of the venue's limits: first as they are, then whenever one has changed, at most ten times a second. A reader that
/// is slower gets the latest state, not each in between.
///
/// **Shape**: one [`PoolUsage`] per limit, in declared order; `used` and `limit` in the limit's own unit. `used` falls when the
/// venue's windows end.
pub struct LimitChanges {
    driver: Arc<Driver>,
    /// Requests go out and windows end at any time, in bursts: to be told of each would cost more than it says.
    looks: Interval,
    told: Vec<PoolUsage>,
}

impl LimitChanges {
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { driver, looks, told: Vec::new() }
    }

    /// The meters once they differ from those told before; `None` once the connector has ended.
    pub async fn next(&mut self) -> Option<Vec<PoolUsage>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for LimitChanges {
    type Item = Vec<PoolUsage>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            ready!(self.looks.poll_tick(context));
            if self.driver.is_stopped() {
                return Poll::Ready(None);
            }
            let usage = self.driver.look(|engine, now| engine.limits(now));
            if usage != self.told {
                self.told.clone_from(&usage);
                return Poll::Ready(Some(usage));
            }
        }
    }
}

impl fmt::Debug for LimitChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitChanges").field("told", &self.told).finish_non_exhaustive()
    }
}
