//! What the engine tells a `tracing` subscriber: a span for each request and connection, and no secret.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::engine::Trading;
use connector_core::order::{NewOrder, Side};
use connector_core::{Connector, Credentials, Decimal, Pair};
use connector_venue::face::Face;
use connector_venue::faults::FaultRule;
use connector_venue::keys::KeySecret;
use connector_venue::memory::Memory;
use connector_venue::venue::Venue;
use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Every span with its name, its fields and how many handles it has, and the texts of all events.
#[derive(Default)]
struct All(Vec<(&'static str, Fields, u32)>, Vec<String>);

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<All>>);

impl Seen {
    /// Also after a failed assertion, as spans are still dropped then.
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn span(&mut self, id: &Id) -> Option<&mut (&'static str, Fields, u32)> {
        self.0.get_mut(usize::try_from(id.into_u64()).ok()?.checked_sub(1)?)
    }
}

struct Into<'f>(&'f mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Seen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("connector_core")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        let mut seen = self.lock();
        assert!(attributes.is_root(), "a span that is no root keeps what it came from open");
        seen.0.push((attributes.metadata().name(), fields, 1));
        Id::from_u64(seen.0.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut seen = self.lock();
        if let Some((_, fields, _)) = seen.span(id) {
            values.record(&mut Into(fields));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        self.lock().1.push(format!("{fields:?}"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn clone_span(&self, id: &Id) -> Id {
        if let Some((.., handles)) = self.lock().span(id) {
            *handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut seen = self.lock();
        let Some((.., handles)) = seen.span(&id) else { return false };
        *handles -= 1;
        *handles == 0
    }
}

#[test]
fn requests_and_links_are_spans_without_secrets() {
    let setup = BinanceFace.setup(5);
    let key = setup.keys.first().unwrap().clone();
    let KeySecret::HmacSha256(secret) = &key.secret else { panic!("not a shared secret") };
    let credentials = Credentials::new(key.key.as_str(), secret.expose());
    let mut world = Memory::new(Venue::with_setup(Box::new(BinanceFace), setup.clone()).unwrap(), 5);
    let pair: Pair = "BTC-USDT".parse().unwrap();
    let seen = Seen::default();
    tracing::subscriber::with_default(seen.clone(), || {
        let engine = Connector::builder(SpotBinance)
            .credentials(credentials)
            .pairs([pair.clone()])
            .engine(world.now())
            .unwrap();
        let id = world.add(engine);
        world.with(id, |engine, now| engine.start(now));
        world.run_for(Duration::from_secs(10));
        assert!(world.machine(id).unwrap().is_ready());
        let price = world.machine(id).unwrap().book(&pair, 1).unwrap().bids[0].price;
        let order = NewOrder::limit(pair.clone(), Side::Buy, Decimal::new(1, 2), price * Decimal::new(9, 1));
        let placed = world.with(id, |engine, now| engine.place(now, order)).unwrap().unwrap();
        world.run_for(Duration::from_secs(2));
        let rule = r#"{"fault":"http.status","code":503,"match":{"row":"cancel"},"trigger":{"count":1}}"#;
        let rule: FaultRule = serde_json::from_str(rule).unwrap();
        assert!(world.with_venue(|venue, now| venue.arm(now, rule)).is_some());
        world.with(id, |engine, now| engine.cancel(now, &placed)).unwrap().unwrap();
        let rule = r#"{"fault":"ws.close","code":1006,"match":{"link":"user"},"trigger":{"count":1}}"#;
        let rule: FaultRule = serde_json::from_str(rule).unwrap();
        assert!(world.with_venue(|venue, now| venue.arm(now, rule)).is_some());
        world.run_for(Duration::from_secs(30));
    });
    let seen = seen.lock();
    let All(spans, events) = &*seen;
    let of = |name, field, value: &str| {
        let fits =
            move |fields: &Fields| fields.get(field).is_some_and(|found| found.trim_matches('"') == value);
        spans.iter().filter(move |(found, fields, _)| *found == name && fits(fields)).collect::<Vec<_>>()
    };
    let place = of("request", "row", "place");
    assert_eq!(place.len(), 1, "{spans:?}");
    let (_, fields, handles) = place[0];
    assert_eq!(*handles, 0, "the span is still open");
    for (field, value) in
        [("venue", "\"spot-binance\""), ("lane", "Create"), ("outcome", "\"ok\""), ("status", "200")]
    {
        assert_eq!(fields.get(field).map(String::as_str), Some(value), "{field} of {fields:?}");
    }
    assert!(fields["latency_us"].parse::<u64>().unwrap() > 0 && fields.contains_key("ticket"));
    assert!(of("request", "row", "cancel").iter().any(|(_, fields, _)| fields["status"] == "503"));
    let first = of("link", "generation", "1");
    let second = of("link", "generation", "2");
    assert!(first.len() >= 2 && !second.is_empty(), "{first:?} {second:?}");
    assert!(first.iter().any(|(.., handles)| *handles == 0), "{first:?}");
    assert!(second.iter().all(|(.., handles)| *handles > 0), "{second:?}");
    let all = format!("{spans:?}{events:?}");
    assert!(events.len() > 5 && !all.contains(secret.expose()) && !all.contains(key.key.as_str()));
    assert!(!all.contains("signature="), "{all}");
}
