//! Order entry over a stream: the same rows once more, with proof that orders went that way.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connector_core::dialect::{Rest, Row, Spec};
use connector_core::time::UnixNanos;
use connector_core::wire::{HttpRequest, HttpResponse};
use connector_venue::exchange::Exchange;
use connector_venue::face::{Call, Denied, Face, Outbox, Peer, Session};
use connector_venue::fields::Fields;
use connector_venue::news::News;
use connector_venue::setup::Setup;

use crate::kit::Kit;

/// How orders and cancels came to the venues of a row.
#[derive(Debug, Default)]
pub struct Ways {
    stream: AtomicUsize,
    http: AtomicUsize,
}

impl Ways {
    /// How many came over a stream.
    #[must_use]
    pub fn stream(&self) -> usize {
        self.stream.load(Ordering::Relaxed)
    }

    /// How many came at all.
    #[must_use]
    pub fn all(&self) -> usize {
        self.stream() + self.http.load(Ordering::Relaxed)
    }

    fn count(&self, row: &str, over: &AtomicUsize) {
        if matches!(row, "place" | "cancel") {
            over.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The kit whose connectors enter orders over a stream, and a count of what comes which way; `None` if they cannot, or do
/// already.
#[must_use]
pub fn streaming(kit: &Kit) -> Option<(Kit, Arc<Ways>)> {
    let opener = kit.opener.streaming()?;
    let ways = Arc::new(Ways::default());
    let (face, counted) = (Rc::clone(&kit.face), Arc::clone(&ways));
    let face: Rc<dyn Fn() -> Box<dyn Face>> =
        Rc::new(move || Box::new(Counting { face: face(), ways: Arc::clone(&counted) }));
    Some((Kit { face, opener, ..kit.clone() }, ways))
}

/// A face that counts, and leaves everything else to another.
struct Counting {
    face: Box<dyn Face>,
    ways: Arc<Ways>,
}

impl Face for Counting {
    fn spec(&self) -> &'static Spec {
        self.face.spec()
    }

    fn rest(&self) -> &'static Rest {
        self.face.rest()
    }

    fn extra(&self) -> &'static [Row] {
        self.face.extra()
    }

    fn distinguish(&self, request: &HttpRequest, fields: &Fields) -> Option<&'static str> {
        self.face.distinguish(request, fields)
    }

    fn setup(&self, seed: u64) -> Setup {
        self.face.setup(seed)
    }

    fn http(&self, call: &Call<'_>, exchange: &mut Exchange) -> HttpResponse {
        self.ways.count(call.row.name, &self.ways.http);
        self.face.http(call, exchange)
    }

    fn refuse(&self, denied: &Denied, exchange: &Exchange) -> HttpResponse {
        self.face.refuse(denied, exchange)
    }

    fn accept(
        &self,
        path: &str,
        query: &str,
        peer: &Peer,
        exchange: &mut Exchange,
    ) -> Result<Session, Box<HttpResponse>> {
        self.face.accept(path, query, peer, exchange)
    }

    fn message(&self, session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox) {
        self.face.message(session, text, exchange, out);
    }

    fn request_of(&self, text: &str) -> Option<(&'static Row, Fields)> {
        let request = self.face.request_of(text);
        if let Some((row, _)) = &request {
            self.ways.count(row.name, &self.ways.stream);
        }
        request
    }

    fn answer_as(&self, text: &str, response: &HttpResponse, exchange: &Exchange) -> String {
        self.face.answer_as(text, response, exchange)
    }

    fn push(&self, session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
        self.face.push(session, news, exchange, out);
    }

    fn tick_period(&self) -> Option<Duration> {
        self.face.tick_period()
    }

    fn tick(&self, session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
        self.face.tick(session, exchange, out);
    }

    fn ping(&self, session: &Session, now: UnixNanos) -> Option<Bytes> {
        self.face.ping(session, now)
    }
}
