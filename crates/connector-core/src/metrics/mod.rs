//! Metrics (feature `metrics`, off by default): what a connector does, counted, as OpenMetrics text.
//!
//! Opt-in twice: the feature builds it, and [`Builder::metrics`](crate::Builder::metrics) turns it on. Nothing leaves the
//! process by itself. A scraper is served with [`Metrics::encode`]; volumes that are to be pushed somewhere, with
//! [`Metrics::take_volume`] or, through a sink that may fail, [`Metrics::export`].
//!
//! Counting happens where the engine hands out its events, not behind the bounded queue that a slow reader of events may lag
//! behind: so every fill counts once, whoever listens. What has not been exported is carried over to the next export, also
//! after a failed one and from one connector to the next, as the counts belong to the [`Metrics`] and not to the connector.
//! Stopping a connector exports what is left.
//!
//! Amounts are exact: they are added as decimals and written as such, and become binary fractions only in a reader that makes
//! them so. Beyond the 28 digits of a [`Decimal`](rust_decimal::Decimal) they are rounded.

mod text;
mod volume;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use smol_str::SmolStr;

pub use volume::{FeeLine, Volume, VolumeLine};

use crate::error::{Cause, Effect, Error};
use crate::event::{Event, LinkState};
use crate::throttle::PoolUsage;
use volume::Ledger;

/// Counts of one or several connectors. Cheap to clone; all clones are the same counts.
///
/// Connectors are told apart by the labels `venue` and `account`; two connectors that have both in common need a `Metrics`
/// each, or their gauges show whichever spoke last.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

type Sink = Box<dyn FnMut(&Volume) -> Result<(), String> + Send>;

struct Shared {
    registry: Registry,
    families: Families,
    ledger: Mutex<Ledger>,
    sink: Option<Mutex<Sink>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("exports", &self.shared.sink.is_some()).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counts at zero, for a scraper or for [`take_volume`](Self::take_volume).
    #[must_use]
    pub fn new() -> Self {
        Self::made(None)
    }

    /// The same with a sink for [`export`](Self::export). The sink is called on the thread that exports, never by an engine,
    /// and may block; what it refuses is carried over.
    #[must_use]
    pub fn with_sink(sink: impl FnMut(&Volume) -> Result<(), String> + Send + 'static) -> Self {
        Self::made(Some(Mutex::new(Box::new(sink))))
    }

    fn made(sink: Option<Mutex<Sink>>) -> Self {
        let mut registry = Registry::with_prefix("connector");
        let families = Families::registered(&mut registry);
        Self { shared: Arc::new(Shared { registry, families, ledger: Mutex::default(), sink }) }
    }

    /// Everything counted so far, as OpenMetrics text (content type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`). Changes nothing.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.shared.registry)
            .and_then(|()| text::write(&mut text, &lock(&self.shared.ledger).totals()))
            .and_then(|()| encode_eof(&mut text));
        // Writing to a string does not fail, so this is a label that cannot be written: a defect here.
        if written.is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }

    /// What was filled since the last call, and what was given back; from now on it counts as exported.
    #[must_use]
    pub fn take_volume(&self) -> Volume {
        lock(&self.shared.ledger).take()
    }

    /// Carries a volume over to the next export, because this one failed.
    pub fn put_back(&self, volume: &Volume) {
        lock(&self.shared.ledger).put_back(volume);
    }

    /// Hands to the sink what was filled since the last export. Answers whether there was anything. Without a sink it does
    /// nothing. Exports at the same time follow one another.
    ///
    /// # Errors
    /// [`Cause::Other`]: the sink refused, in its words; what it refused is carried over.
    pub fn export(&self) -> Result<bool, Error> {
        let Some(sink) = &self.shared.sink else { return Ok(false) };
        let mut sink = lock(sink);
        let mut carried = Carried { metrics: self, volume: self.take_volume() };
        if carried.volume.is_empty() {
            return Ok(false);
        }
        (*sink)(&carried.volume)
            .map_err(|why| Error::new(Cause::Other, Effect::Unknown, "export volume", why))?;
        carried.volume = Volume::default();
        Ok(true)
    }

    /// The counts of one connector.
    pub(crate) fn of(&self, venue: &'static str, account: &str) -> Account {
        Account { shared: Arc::clone(&self.shared), whose: Whose { venue, account: Arc::from(account) } }
    }
}

/// A volume on its way out: unless the sink took it, it goes back, also if the sink panics.
struct Carried<'m> {
    metrics: &'m Metrics,
    volume: Volume,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.metrics.put_back(&self.volume);
    }
}

/// A panic elsewhere does not make counts unreadable.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Whose {
    venue: &'static str,
    account: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderLabels {
    #[prometheus(flatten)]
    whose: Whose,
    pair: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    #[prometheus(flatten)]
    whose: Whose,
    row: &'static str,
    outcome: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowLabels {
    #[prometheus(flatten)]
    whose: Whose,
    row: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    #[prometheus(flatten)]
    whose: Whose,
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LinkLabels {
    #[prometheus(flatten)]
    whose: Whose,
    link: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PairLabels {
    #[prometheus(flatten)]
    whose: Whose,
    pair: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    #[prometheus(flatten)]
    whose: Whose,
    cause: Cow<'static, str>,
}

/// What is counted in whole numbers, or measured.
struct Families {
    orders: Family<OrderLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RowLabels, Histogram, fn() -> Histogram>,
    used: Family<PoolLabels, Gauge>,
    limit: Family<PoolLabels, Gauge>,
    links: Family<LinkLabels, Gauge>,
    resyncs: Family<PairLabels, Counter>,
    problems: Family<CauseLabels, Counter>,
    ready: Family<Whose, Gauge>,
}

/// From a millisecond to 16 seconds, doubling.
fn latencies() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Families {
    fn registered(registry: &mut Registry) -> Self {
        let families = Self {
            orders: Family::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(latencies),
            used: Family::default(),
            limit: Family::default(),
            links: Family::default(),
            resyncs: Family::default(),
            problems: Family::default(),
            ready: Family::default(),
        };
        registry.register("orders", "Events of orders, by outcome", families.orders.clone());
        registry.register("requests", "Requests, by row and outcome", families.requests.clone());
        let seconds = "Time from sending a request to its answer";
        registry.register("request_latency_seconds", seconds, families.latency.clone());
        registry.register("limit_used", "Units used of a limit of the venue", families.used.clone());
        registry.register("limit_units", "Units that may be used of it", families.limit.clone());
        registry.register("links", "Stream connections, by state", families.links.clone());
        registry.register("book_resyncs", "Books that had to be fetched anew", families.resyncs.clone());
        registry.register("problems", "Problems told, by cause", families.problems.clone());
        registry.register("ready", "Whether everything is live", families.ready.clone());
        families
    }
}

/// The word of a cause, as in events.
fn word(cause: Cause) -> Cow<'static, str> {
    match serde_json::to_value(cause) {
        Ok(serde_json::Value::String(word)) => Cow::Owned(word),
        _ => Cow::Borrowed("other"),
    }
}

const STATES: [(LinkState, &str); 5] = [
    (LinkState::Connecting, "connecting"),
    (LinkState::Syncing, "syncing"),
    (LinkState::Live, "live"),
    (LinkState::Stale, "stale"),
    (LinkState::Down, "down"),
];

/// Where the engine of one connector counts.
#[derive(Clone)]
pub(crate) struct Account {
    shared: Arc<Shared>,
    whose: Whose,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.whose, f)
    }
}

impl Account {
    /// Counts what an event tells. Public trades and prices, the many, cost one comparison.
    pub(crate) fn event(&self, event: &Event) {
        let families = &self.shared.families;
        let whose = || self.whose.clone();
        match event {
            Event::OrderFilled(filled) => lock(&self.shared.ledger).filled(&self.whose, filled),
            Event::OrderFeeKnown(known) => lock(&self.shared.ledger).fee_known(&self.whose, known),
            Event::OrderCreated(_) => self.order(event, "created"),
            Event::OrderCompleted(_) => self.order(event, "completed"),
            Event::OrderCancelled(_) => self.order(event, "cancelled"),
            Event::OrderExpired(_) => self.order(event, "expired"),
            Event::OrderFailed(_) => self.order(event, "failed"),
            Event::OrderUnknown(_) => self.order(event, "unknown"),
            Event::OrderCancelRefused(_) => self.order(event, "cancel_refused"),
            Event::BookStale { pair, .. } => {
                let labels = PairLabels { whose: whose(), pair: pair.to_string() };
                families.resyncs.get_or_create(&labels).inc();
            }
            Event::Problem { error, .. } => {
                let labels = CauseLabels { whose: whose(), cause: word(error.cause) };
                families.problems.get_or_create(&labels).inc();
            }
            Event::Ready { ready, .. } => {
                families.ready.get_or_create(&self.whose).set(i64::from(*ready));
            }
            _ => {}
        }
    }

    fn order(&self, event: &Event, outcome: &'static str) {
        let Some(order) = event.order() else { return };
        let labels = OrderLabels { whose: self.whose.clone(), pair: order.pair.to_string(), outcome };
        self.shared.families.orders.get_or_create(&labels).inc();
    }

    /// Counts a request that has come to its end; `latency` if it was answered.
    pub(crate) fn request(&self, row: &'static str, failure: Option<Cause>, latency: Option<Duration>) {
        let families = &self.shared.families;
        let outcome = failure.map_or(Cow::Borrowed("ok"), word);
        families.requests.get_or_create(&RequestLabels { whose: self.whose.clone(), row, outcome }).inc();
        if let Some(latency) = latency {
            let labels = RowLabels { whose: self.whose.clone(), row };
            families.latency.get_or_create(&labels).observe(latency.as_secs_f64());
        }
    }

    /// Notes the use of the venue's limits.
    pub(crate) fn limits(&self, pools: &[PoolUsage]) {
        for usage in pools {
            let labels = PoolLabels { whose: self.whose.clone(), pool: usage.name };
            self.shared.families.used.get_or_create(&labels).set(i64::from(usage.used));
            self.shared.families.limit.get_or_create(&labels).set(i64::from(usage.limit));
        }
    }

    /// Notes how many connections of the link `name` are in which state: `states` has one entry per connection.
    pub(crate) fn link(&self, name: &'static str, states: &[LinkState]) {
        for (state, word) in STATES {
            let count = states.iter().filter(|found| **found == state).count();
            let labels = LinkLabels { whose: self.whose.clone(), link: name, state: word };
            let gauge = self.shared.families.links.get_or_create(&labels);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Notes that the connector has ended, so that no gauge shows it alive.
    pub(crate) fn ended(&self, links: impl Iterator<Item = &'static str>) {
        links.for_each(|name| self.link(name, &[]));
        self.shared.families.ready.get_or_create(&self.whose).set(0);
    }
}

impl From<&Whose> for (&'static str, SmolStr) {
    fn from(whose: &Whose) -> Self {
        (whose.venue, SmolStr::new(&whose.account))
    }
}
