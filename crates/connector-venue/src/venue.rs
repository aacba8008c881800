//! A venue as one synchronous value: exchange, face, connections and faults.
//!
//! Whoever moves bytes (the loopback server, the in-memory wire) calls in with the time and carries out what comes back; time
//! passes only through `now`. What the client sees of the venue's clock is `now` plus the offset a fault may have set.

mod calls;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use connector_core::dialect::{Row, Scope};
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{HttpRequest, HttpResponse};
use serde::Serialize;
use smol_str::SmolStr;

use crate::exchange::Exchange;
use crate::face::{Call, Denied, Face, OutFrame, Outbox, Payload, Peer, Session, SessionId};
use crate::faults::FaultRule;
use crate::fields::Fields;
use crate::limits::ScopeKey;
use crate::route::{Router, charge};
use crate::setup::{Setup, SetupError};
use crate::shim::{End, FaultId, Shim, Verdict};
use calls::Late;

/// Requests remembered for [`Venue::requests`].
const REQUESTS: usize = 10_000;
/// Frames waiting on one connection; a client that does not read them is disconnected.
const FRAMES: usize = 20_000;
/// Connections open at once.
const SESSIONS: usize = 2_000;
/// Pings in a row without pong after which the venue gives a connection up.
const PINGS: u32 = 3;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer, after a delay.
    Answer {
        /// The answer.
        response: HttpResponse,
        /// How long it is held back.
        delay: Duration,
    },
    /// No answer, and the connection stays open.
    Silence,
    /// No connection was made.
    Refused,
    /// The connection is reset, after a delay.
    Reset {
        /// How long it is held back.
        delay: Duration,
    },
}

/// One request as the venue saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// When, on the venue's clock.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// `GET` … for requests, `OPEN` for stream connections, `TEXT` for frames of the client.
    pub method: &'static str,
    /// Path; for frames the link's name.
    pub path: String,
    /// The row it was routed to, or whose request the frame was.
    pub row: Option<&'static str>,
    /// The status the client got; absent if it got none.
    pub status: Option<u16>,
    /// The stream connection.
    pub connection: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) session: Session,
    queue: BTreeMap<(Mono, u64), OutFrame>,
    expires: Mono,
    next_ping: Option<Mono>,
    unanswered: u32,
    second: (i64, u32),
    /// Its last frame is in the queue: nothing more is added.
    ending: bool,
    frozen: bool,
}

/// An exchange that speaks.
pub struct Venue {
    pub(crate) face: Box<dyn Face>,
    router: Router,
    pub(crate) exchange: Exchange,
    pub(crate) sessions: BTreeMap<SessionId, Live>,
    pub(crate) shim: Shim,
    pub(crate) offset_ns: i64,
    requests: VecDeque<Seen>,
    /// Requests that came as frames and are carried out late.
    calls: BTreeMap<(Mono, u64), Late>,
    next_session: u64,
    next_frame: u64,
    next_tick: Option<Mono>,
    now: Now,
}

impl std::fmt::Debug for Venue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Venue").field("name", &self.face.spec().name).finish_non_exhaustive()
    }
}

impl Venue {
    /// The venue of a face, as the face sets it up from this seed, with its clock at `start`.
    ///
    /// # Errors
    /// The face's setup makes no sense.
    pub fn new(face: impl Face, seed: u64, start: UnixNanos) -> Result<Self, SetupError> {
        let setup = Setup { start, ..face.setup(seed) };
        Self::with_setup(Box::new(face), setup)
    }

    /// The venue of a face with another setup.
    ///
    /// # Errors
    /// The setup makes no sense.
    pub fn with_setup(face: Box<dyn Face>, setup: Setup) -> Result<Self, SetupError> {
        let start = setup.start;
        Ok(Self {
            router: Router::of(&*face),
            face,
            exchange: Exchange::new(setup)?,
            sessions: BTreeMap::new(),
            shim: Shim::default(),
            offset_ns: 0,
            requests: VecDeque::new(),
            calls: BTreeMap::new(),
            next_session: 0,
            next_frame: 0,
            next_tick: None,
            now: Now { mono: Mono(0), utc: start },
        })
    }

    /// The exchange behind it: ledger, books, keys, limits.
    #[must_use]
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The exchange behind it, to change it. News it makes goes out with the next call that takes the time.
    pub const fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// The protocol it speaks.
    #[must_use]
    pub fn face(&self) -> &dyn Face {
        &*self.face
    }

    /// The time of the latest call.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// The latest requests, frames and connections, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &Seen> {
        self.requests.iter()
    }

    /// The network addresses open connections come from, and the loopback address.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let open = self.sessions.values().map(|live| live.session.peer.address);
        open.chain([Peer::LOCAL.address]).collect::<BTreeSet<_>>().into_iter()
    }

    /// Whether a connection is known.
    #[must_use]
    pub fn is_open(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// The open connections.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(|live| &live.session)
    }

    /// Arms a fault; deeds without delay are done at once. `None` if too many are armed.
    pub fn arm(&mut self, now: Now, rule: FaultRule) -> Option<FaultId> {
        self.advance(now);
        let id = self.shim.arm(now.mono, rule);
        self.advance(now);
        id
    }

    /// Disarms one fault. What it did stays done.
    pub fn disarm(&mut self, id: FaultId) {
        let held = self.shim.disarm(id);
        self.release(held);
    }

    /// Disarms all faults and sets the clock right. What they did to limits, keys and accounts stays done.
    pub fn disarm_all(&mut self) {
        let held = self.shim.clear();
        self.release(held);
        self.offset_ns = 0;
    }

    /// The armed faults with how often each has struck.
    pub fn faults(&self) -> impl Iterator<Item = (FaultId, &FaultRule, u64)> {
        self.shim.armed()
    }

    /// Answers a request in one step; delays before it is carried out are added to the answer's.
    pub fn http(&mut self, now: Now, peer: &Peer, request: &HttpRequest) -> Reply {
        let verdict = self.judge(now, request);
        let before = verdict.before;
        match self.carry_out(now, peer, request, &verdict) {
            Reply::Answer { response, delay } => {
                Reply::Answer { response, delay: delay.saturating_add(before) }
            }
            Reply::Reset { delay } => Reply::Reset { delay: delay.saturating_add(before) },
            other => other,
        }
    }

    /// First step of a request: what the armed faults make of it. The caller waits [`Verdict::before`], then calls
    /// [`carry_out`](Self::carry_out).
    pub fn judge(&mut self, now: Now, request: &HttpRequest) -> Verdict {
        if self.shim.is_empty() {
            return Verdict::default();
        }
        let (row, fields) = match self.router.find(&*self.face, request) {
            Ok((row, fields)) => (Some(row.name), fields),
            Err(_) => (None, Fields::of(request)),
        };
        self.shim.request(now.mono, request, row, &fields)
    }

    /// Second step of a request.
    pub fn carry_out(&mut self, now: Now, peer: &Peer, request: &HttpRequest, verdict: &Verdict) -> Reply {
        self.advance(now);
        for deed in &verdict.deeds {
            self.commit(&deed.fault, &deed.matcher);
        }
        let found = self.router.find(&*self.face, request);
        let row = found.as_ref().ok().map(|(row, _)| *row);
        let response = if verdict.lost {
            None
        } else if let Some(instead) = &verdict.instead {
            Some(instead.clone())
        } else {
            let answer = match found {
                Ok((row, fields)) => self.answer(peer, request, row, fields),
                Err(denied) => self.face.refuse(&denied, &self.exchange),
            };
            self.pump();
            Some(verdict.finish(answer))
        };
        let told = response.as_ref().filter(|_| verdict.end == End::Answer).map(|response| response.status);
        self.remember(request.method.as_str(), &request.path, row.map(|row| row.name), told, None);
        match (verdict.end, response) {
            (End::Answer, Some(response)) => Reply::Answer { response, delay: verdict.after },
            (End::Reset, _) => Reply::Reset { delay: verdict.after },
            (End::Refused, _) => Reply::Refused,
            _ => Reply::Silence,
        }
    }

    fn answer(
        &mut self,
        peer: &Peer,
        request: &HttpRequest,
        row: &'static Row,
        fields: Fields,
    ) -> HttpResponse {
        let address = ScopeKey::Address(peer.address);
        let charged = charge(&mut self.exchange, row.costs, |name| fields.get(name), address);
        let refusal = charged
            .and_then(|()| self.not_banned(address))
            .err()
            .map(|denied| self.face.refuse(&denied, &self.exchange));
        let call = Call { row, request, fields, peer, account: None.into() };
        let mut response = refusal.unwrap_or_else(|| self.face.http(&call, &mut self.exchange));
        let account = call.account.get().map(ScopeKey::Account);
        for pool in self.face.spec().pools {
            let Some(name) = pool.used_header.filter(|_| row.costs.iter().any(|cost| cost.pool == pool.name))
            else {
                continue;
            };
            let key = match pool.scope {
                Scope::Address => Some(address),
                Scope::Account => account,
                Scope::Connection => None,
            };
            if let Some(key) = key {
                let used = self.exchange.limits().used(pool.name, key, self.exchange.now());
                response.headers.push((name.into(), used.to_string().into()));
            }
        }
        response
    }

    /// Bans hold for what costs nothing, too.
    fn not_banned(&self, key: ScopeKey) -> Result<(), Denied> {
        let now = self.exchange.now();
        self.exchange.limits().banned_until(key, now).map_or(Ok(()), |until| {
            let rest = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
            Err(Denied::Banned { until, retry_after: Duration::from_nanos(rest) })
        })
    }

    /// Opens a stream connection.
    ///
    /// # Errors
    /// The response to send instead of the upgrade.
    pub fn open(
        &mut self,
        now: Now,
        peer: &Peer,
        path: &str,
        query: &str,
    ) -> Result<SessionId, Box<HttpResponse>> {
        self.advance(now);
        let opened = self.admit(peer, path, query);
        let (status, id) = match &opened {
            Ok(id) => (101, Some(id.0)),
            Err(response) => (response.status, None),
        };
        self.remember("OPEN", path, None, Some(status), id);
        opened
    }

    fn admit(&mut self, peer: &Peer, path: &str, query: &str) -> Result<SessionId, Box<HttpResponse>> {
        if self.sessions.len() >= SESSIONS {
            let headers = vec![("content-type".into(), "text/plain".into())];
            return Err(Box::new(HttpResponse {
                status: 503,
                headers,
                body: b"too many connections".to_vec(),
            }));
        }
        let mut session = self.face.accept(path, query, peer, &mut self.exchange)?;
        if self.shim.refuses(self.now.mono, session.link.name) {
            return Err(Box::new(HttpResponse { status: 503, headers: Vec::new(), body: Vec::new() }));
        }
        let address = ScopeKey::Address(peer.address);
        charge(&mut self.exchange, session.link.connect_cost, |_| None, address)
            .and_then(|()| self.not_banned(address))
            .map_err(|denied| Box::new(self.face.refuse(&denied, &self.exchange)))?;
        self.next_session += 1;
        session.id = SessionId(self.next_session);
        session.opened = self.exchange.now();
        let (id, link, mono) = (session.id, session.link, self.now.mono);
        let live = Live {
            session,
            queue: BTreeMap::new(),
            expires: mono.after(link.lifetime),
            next_ping: Some(mono.after(link.max_silence)),
            unanswered: 0,
            second: (i64::MIN, 0),
            ending: false,
            frozen: false,
        };
        self.sessions.insert(id, live);
        Ok(id)
    }

    /// Takes in a text frame of a client.
    pub fn text(&mut self, now: Now, id: SessionId, text: &str) {
        self.advance(now);
        let Some(live) = self.sessions.get_mut(&id).filter(|live| !live.frozen && !live.ending) else {
            return;
        };
        let second = now.utc.millis().div_euclid(1_000);
        live.second = if live.second.0 == second { (second, live.second.1 + 1) } else { (second, 1) };
        let link = live.session.link;
        let mut out = Outbox::default();
        if live.second.1 > link.frames_per_second {
            out.close(1008, "too many messages");
        } else if let Some((row, fields)) = self.face.request_of(text) {
            return self.call(id, text, row, &fields);
        } else {
            self.face.message(&mut live.session, text, &mut self.exchange, &mut out);
        }
        self.remember("TEXT", link.name, None, None, Some(id.0));
        self.enqueue(id, out);
        self.pump();
    }

    /// Takes in a pong of a client.
    pub fn pong(&mut self, id: SessionId) {
        if let Some(live) = self.sessions.get_mut(&id) {
            live.unanswered = 0;
        }
    }

    /// Whether nothing passes on this connection any more, in either direction.
    #[must_use]
    pub fn is_frozen(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|live| live.frozen)
    }

    /// Forgets a connection that has ended.
    pub fn close(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.shim.forget(id);
    }

    /// Lets time pass: the market lives, deeds are done, pings, tickers and what was delayed becomes due.
    pub fn advance(&mut self, now: Now) {
        self.now = Now { mono: self.now.mono.max(now.mono), utc: now.utc };
        self.exchange.advance(now.utc.offset(self.offset_ns));
        for deed in self.shim.due(self.now.mono) {
            self.commit(&deed.fault, &deed.matcher);
        }
        self.carry_out_late_calls();
        self.pump();
        self.tick();
        self.keep_alive();
        let held = self.shim.overdue(self.now.mono);
        self.release(held);
    }

    /// The frames due on a connection by now, in order. After a `Close` or `Reset` the connection is forgotten.
    pub fn drain(&mut self, id: SessionId) -> Vec<OutFrame> {
        let Some(live) = self.sessions.get_mut(&id) else { return Vec::new() };
        let later = live.queue.split_off(&(self.now.mono, u64::MAX));
        let due = std::mem::replace(&mut live.queue, later);
        let frames: Vec<OutFrame> = due.into_values().collect();
        if frames.iter().any(|frame| matches!(frame.payload, Payload::Close(..) | Payload::Reset)) {
            self.close(id);
        }
        frames
    }

    /// Connections with frames due by now.
    #[must_use]
    pub fn ready(&self) -> Vec<SessionId> {
        let due =
            |live: &&Live| live.queue.first_key_value().is_some_and(|((due, _), _)| *due <= self.now.mono);
        self.sessions.values().filter(due).map(|live| live.session.id).collect()
    }

    /// When something happens next without anybody calling: [`advance`](Self::advance) then.
    #[must_use]
    pub fn next_event_time(&self) -> Option<Mono> {
        let sessions = self.sessions.values().flat_map(|live| {
            let queued = live.queue.first_key_value().map(|((due, _), _)| *due);
            [Some(live.expires), live.next_ping, queued].into_iter().flatten().filter(|_| !live.frozen)
        });
        let exchange = self.exchange.next_event_time().map(|at| {
            let wait = at.offset(-self.offset_ns).0.saturating_sub(self.now.utc.0);
            self.now.mono.after(Duration::from_nanos(u64::try_from(wait).unwrap_or(0)))
        });
        let tick = self.next_tick.filter(|_| !self.sessions.is_empty());
        let late = self.calls.first_key_value().map(|((due, _), _)| *due);
        sessions.chain(exchange).chain(tick).chain(late).chain(self.shim.next_time()).min()
    }

    pub(crate) fn set_offset(&mut self, ms: i64) {
        self.offset_ns = ms.saturating_mul(1_000_000);
        self.exchange.advance(self.now.utc.offset(self.offset_ns));
    }

    fn remember(
        &mut self,
        method: &'static str,
        path: &str,
        row: Option<&'static str>,
        status: Option<u16>,
        connection: Option<u64>,
    ) {
        if self.requests.len() >= REQUESTS {
            self.requests.pop_front();
        }
        let time = self.exchange.now();
        self.requests.push_back(Seen { time, method, path: path.to_owned(), row, status, connection });
    }

    /// Turns the exchange's news into frames.
    fn pump(&mut self) {
        let news = self.exchange.take_news();
        if news.is_empty() {
            return;
        }
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            let Some(live) = self.sessions.get_mut(&id).filter(|live| !live.frozen && !live.ending) else {
                continue;
            };
            let mut out = Outbox::default();
            for item in &news {
                self.face.push(&mut live.session, item, &self.exchange, &mut out);
            }
            self.enqueue(id, out);
        }
    }

    fn tick(&mut self) {
        let Some(period) = self.face.tick_period() else { return };
        let due = *self.next_tick.get_or_insert(self.now.mono.after(period));
        if due > self.now.mono {
            return;
        }
        let next = due.after(period);
        // After a pause the missed ticks are not made up for.
        self.next_tick = Some(if next > self.now.mono { next } else { self.now.mono.after(period) });
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            let Some(live) = self.sessions.get_mut(&id).filter(|live| !live.frozen && !live.ending) else {
                continue;
            };
            let mut out = Outbox::default();
            self.face.tick(&mut live.session, &self.exchange, &mut out);
            self.enqueue(id, out);
        }
    }

    fn keep_alive(&mut self) {
        let (mono, time) = (self.now.mono, self.exchange.now());
        let mut outs = Vec::new();
        for (id, live) in self.sessions.iter_mut().filter(|(_, live)| !live.frozen && !live.ending) {
            let mut out = Outbox::default();
            if live.expires <= mono {
                out.close(1000, "the connection's lifetime is over");
            } else if live.next_ping.is_some_and(|due| due <= mono) {
                match self.face.ping(&live.session, time) {
                    Some(_) if live.unanswered >= PINGS => out.close(1008, "no pong"),
                    Some(payload) => {
                        live.unanswered += 1;
                        live.next_ping = Some(mono.after(live.session.link.max_silence));
                        out.0.push(OutFrame { payload: Payload::Ping(payload), channel: SmolStr::default() });
                    }
                    None => live.next_ping = None,
                }
            }
            if !out.0.is_empty() {
                outs.push((*id, out));
            }
        }
        for (id, out) in outs {
            self.enqueue(id, out);
        }
    }

    pub(crate) fn enqueue(&mut self, id: SessionId, out: Outbox) {
        self.enqueue_after(id, out, Duration::ZERO);
    }

    fn enqueue_after(&mut self, id: SessionId, out: Outbox, wait: Duration) {
        let mono = self.now.mono;
        let Some(live) = self.sessions.get_mut(&id) else { return };
        for frame in out.0 {
            if live.ending {
                return;
            }
            live.ending = matches!(frame.payload, Payload::Close(..) | Payload::Reset);
            live.frozen |= frame.payload == Payload::HalfOpen;
            for (delay, frame) in self.shim.frame(mono, &live.session, frame) {
                self.next_frame += 1;
                live.queue.insert((mono.after(delay).after(wait), self.next_frame), frame);
            }
        }
        if live.queue.len() > FRAMES {
            live.queue.clear();
            let payload = Payload::Close(1008, "the client does not read".to_owned());
            live.queue.insert((mono, self.next_frame), OutFrame { payload, channel: SmolStr::default() });
            live.ending = true;
        }
    }

    fn release(&mut self, held: Vec<(SessionId, OutFrame)>) {
        for (id, frame) in held {
            if let Some(live) = self.sessions.get_mut(&id).filter(|live| !live.ending) {
                self.next_frame += 1;
                live.queue.insert((self.now.mono, self.next_frame), frame);
            }
        }
    }
}

/// Says who is refused, for faces and for [`Venue`] alike.
impl Denied {
    /// How long to wait before asking again, in whole seconds rounded up; zero if waiting does not help.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        match self {
            Self::Limit { retry_after, .. } | Self::Banned { retry_after, .. } => {
                retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)
            }
            _ => 0,
        }
    }
}
