//! The use of the limits over time, as the connector believes it to be and as the venue counts it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use connector_core::Connector;
use connector_core::dialect::Scope;
use connector_core::order::OrderState;
use connector_venue::limits::ScopeKey;

use crate::bench::Bench;
use crate::report::{Chart, Detail, Series, Shape, Unit};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);
/// Of a limit that was never used by more than this, in per cent, there is nothing to draw.
const DULL: u64 = 5;

struct Pool {
    limit: u64,
    ours: Series,
    theirs: Series,
}

/// What was seen so far.
struct Gauge {
    start: Instant,
    pools: BTreeMap<&'static str, Pool>,
    waiting: Series,
}

impl Gauge {
    fn look(&mut self, bench: &Bench, connector: &Connector) {
        let at = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Both are read under the venue's lock, so that no request is counted between.
        let seen: Vec<_> = bench.server.with(|venue, now| {
            let limits = venue.exchange().limits();
            let addresses: Vec<_> = venue.addresses().map(ScopeKey::Address).collect();
            let usage = connector.limits().into_iter().map(|pool| {
                let declared = bench.spec.pools.iter().find(|declared| declared.name == pool.name);
                let keys = match declared.map(|declared| declared.scope) {
                    Some(Scope::Account) => vec![ScopeKey::Account(bench.account)],
                    Some(Scope::Address) => addresses.clone(),
                    _ => Vec::new(),
                };
                let theirs = keys.iter().map(|key| u64::from(limits.used(pool.name, *key, now.utc))).max();
                (pool, theirs)
            });
            usage.collect()
        });
        for (pool, theirs) in seen {
            let entry = self.pools.entry(pool.name).or_insert_with(|| Pool {
                limit: u64::from(pool.limit),
                ours: Series::new("the connector's count", Shape::Steps),
                theirs: Series::new("the venue's count", Shape::Steps),
            });
            entry.ours.push(at, u64::from(pool.used));
            if let Some(theirs) = theirs {
                entry.theirs.push(at, theirs);
            }
        }
        let waiting =
            |order: &&connector_core::order::TrackedOrder| order.state() == OrderState::PendingCreate;
        let waiting = connector.open_orders().iter().filter(waiting).count();
        self.waiting.push(at, u64::try_from(waiting).unwrap_or(u64::MAX));
    }

    fn details(self) -> Vec<Detail> {
        let mut charts = Vec::new();
        for (name, pool) in self.pools {
            if pool.ours.highest().max(pool.theirs.highest()) * 100 <= pool.limit * DULL {
                continue;
            }
            let series = [pool.ours, pool.theirs].into_iter().filter(|series| !series.points.is_empty());
            charts.push(Detail::Chart(Chart {
                title: format!("Use of {name}"),
                unit: Unit::Count("units".to_owned()),
                series: series.collect(),
                limit: Some(("limit".to_owned(), pool.limit)),
            }));
        }
        let text =
            "A venue that gives back what accepted or filled orders cost has the lower count of the two.";
        charts.push(Detail::Note { text: text.to_owned() });
        charts.push(Detail::Chart(Chart {
            title: "Orders waiting to be sent or to be answered".to_owned(),
            unit: Unit::Count("orders".to_owned()),
            series: vec![self.waiting],
            limit: None,
        }));
        charts
    }
}

/// Looks at the limits while `work` is being done; charts of their use.
pub async fn beside<R>(
    bench: &Bench,
    connector: &Connector,
    work: impl Future<Output = R>,
) -> (R, Vec<Detail>) {
    let mut gauge = Gauge {
        start: Instant::now(),
        pools: BTreeMap::new(),
        waiting: Series::new("waiting orders", Shape::Steps),
    };
    let mut work = std::pin::pin!(work);
    let result = loop {
        gauge.look(bench, connector);
        if let Ok(result) = tokio::time::timeout(LOOK, &mut work).await {
            break result;
        }
    };
    gauge.look(bench, connector);
    (result, gauge.details())
}
