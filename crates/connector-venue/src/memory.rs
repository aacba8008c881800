//! The venue in memory under virtual time: machines, wires and market in one deterministic loop.
//!
//! Time jumps from one event to the next. Events are ordered by time, then by the order they were caused in; latencies come from
//! a seed. Same machines, same setup, same seed: same trace, which [`Memory::trace_hash`] shows. Frames of one direction of a
//! connection never overtake each other; requests may.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{
    Action, HttpRequest, HttpResponse, Input, LinkId, Machine, RequestId, TransportError,
};

use crate::face::{Payload, Peer, SessionId};
use crate::random::Random;
use crate::shim::{End, Verdict};
use crate::venue::{Reply, Venue};

/// How long a message is under way: anything between the two, from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Shortest.
    pub least: Duration,
    /// Longest.
    pub most: Duration,
}

/// One to ten milliseconds.
impl Default for Latency {
    fn default() -> Self {
        Self { least: Duration::from_millis(1), most: Duration::from_millis(10) }
    }
}

/// Names a machine of a [`Memory`]: its place in the order they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub usize);

#[derive(Debug)]
enum Event {
    Arrive { of: Origin, request: Box<HttpRequest> },
    CarryOut { of: Origin, request: Box<HttpRequest>, verdict: Box<Verdict> },
    Answer { of: Origin, result: Result<Box<HttpResponse>, TransportError> },
    Open { of: Wire, url: String },
    Opened { of: Wire, session: SessionId },
    Refused { of: Wire, reason: String },
    Up { of: Wire, session: SessionId, text: String },
    Pong { session: SessionId },
    HangUp { session: SessionId },
    Down { of: Wire, payload: Payload },
}

impl Event {
    /// The machine that would hear of it.
    const fn hearer(&self) -> Option<MachineId> {
        match self {
            Self::Answer { of, .. } => Some(of.life.machine),
            Self::Opened { of, .. } | Self::Refused { of, .. } | Self::Down { of, .. } => {
                Some(of.life.machine)
            }
            _ => None,
        }
    }
}

/// A machine in one of its lives: what belongs to an earlier life is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Life {
    machine: MachineId,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    life: Life,
    id: RequestId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wire {
    life: Life,
    link: LinkId,
}

#[derive(Debug)]
struct Line {
    session: Option<SessionId>,
    /// Frames the machine sent before the venue had answered the upgrade.
    early: Vec<String>,
    last_up: Mono,
    last_down: Mono,
    /// Nothing passes any more, and nobody is told.
    frozen: bool,
}

struct Slot<M> {
    machine: M,
    life: u32,
    peer: Peer,
    clock_offset_ns: i64,
    woken: Option<Mono>,
    /// Neither hears nor does anything until then.
    asleep_until: Mono,
}

/// Drives machines against one venue, in memory.
pub struct Memory<M> {
    venue: Venue,
    slots: Vec<Slot<M>>,
    lines: BTreeMap<Wire, Line>,
    owners: BTreeMap<SessionId, Wire>,
    pending: BTreeMap<Origin, ()>,
    events: BTreeMap<(Mono, u64), Event>,
    caused: u64,
    now: Mono,
    start: UnixNanos,
    latency: Latency,
    random: Random,
    trace: u64,
}

impl<M> std::fmt::Debug for Memory<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("now", &self.now)
            .field("machines", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Memory<M> {
    /// Takes a venue whose clock stands at its start, and a seed for the latencies.
    #[must_use]
    pub fn new(venue: Venue, seed: u64) -> Self {
        let start = venue.now().utc;
        Self {
            venue,
            slots: Vec::new(),
            lines: BTreeMap::new(),
            owners: BTreeMap::new(),
            pending: BTreeMap::new(),
            events: BTreeMap::new(),
            caused: 0,
            now: Mono(0),
            start,
            latency: Latency::default(),
            random: Random::new(seed, 0x006d_656d_6f72_7921),
            // The offset basis of FNV-1a.
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The same with another latency.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Adds a machine at the loopback address and carries out what it wants at once.
    pub fn add(&mut self, machine: M) -> MachineId {
        let id = MachineId(self.slots.len());
        self.slots.push(Slot {
            machine,
            life: 0,
            peer: Peer::LOCAL,
            clock_offset_ns: 0,
            woken: None,
            asleep_until: Mono(0),
        });
        self.wake(id);
        id
    }

    /// Sets how far a machine's own clock is ahead of the venue's true time (negative: behind).
    pub fn set_clock_offset(&mut self, id: MachineId, offset_ns: i64) {
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.clock_offset_ns = offset_ns;
        }
    }

    /// Suspends a machine, as a laptop that is shut: it hears nothing and does nothing for this long, then everything at once.
    pub fn suspend(&mut self, id: MachineId, time: Duration) {
        let until = self.now.after(time);
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.asleep_until = slot.asleep_until.max(until);
        }
    }

    /// How many connections and requests of a machine are open.
    #[must_use]
    pub fn open_ends(&self, id: MachineId) -> (usize, usize) {
        let lines = self.lines.keys().filter(|wire| wire.life.machine == id).count();
        (lines, self.pending.keys().filter(|of| of.life.machine == id).count())
    }

    /// Sets the address a machine's requests and connections come from.
    pub fn set_peer(&mut self, id: MachineId, peer: Peer) {
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.peer = peer;
        }
    }

    /// A machine. `None` if there is none of that name.
    #[must_use]
    pub fn machine(&self, id: MachineId) -> Option<&M> {
        self.slots.get(id.0).map(|slot| &slot.machine)
    }

    /// A machine, to take from it what has no effect on what it does.
    pub fn machine_mut(&mut self, id: MachineId) -> Option<&mut M> {
        self.slots.get_mut(id.0).map(|slot| &mut slot.machine)
    }

    /// Does something with a machine, at the present time, and carries out what it wants then. `None` if there is none of that
    /// name.
    pub fn with<R>(&mut self, id: MachineId, act: impl FnOnce(&mut M, Now) -> R) -> Option<R> {
        let now = self.now_of(id);
        let result = self.slots.get_mut(id.0).map(|slot| act(&mut slot.machine, now));
        self.perform(id);
        self.flush();
        result
    }

    /// Kills a machine and starts another in its place: requests under way are still carried out, their answers and all frames
    /// are lost, the venue sees the connections end. Returns the dead one.
    pub fn replace(&mut self, id: MachineId, machine: M) -> Option<M> {
        let slot = self.slots.get_mut(id.0)?;
        let dead = std::mem::replace(&mut slot.machine, machine);
        let life = Life { machine: id, number: slot.life };
        slot.life += 1;
        slot.woken = None;
        self.pending.retain(|of, ()| of.life != life);
        let wires: Vec<Wire> = self.lines.keys().filter(|wire| wire.life == life).copied().collect();
        for wire in wires {
            self.hang_up(wire);
        }
        self.wake(id);
        Some(dead)
    }

    /// The venue: ledger, books, armed faults.
    #[must_use]
    pub const fn venue(&self) -> &Venue {
        &self.venue
    }

    /// Does something with the venue, at the present time; what it sends goes out.
    pub fn with_venue<R>(&mut self, act: impl FnOnce(&mut Venue, Now) -> R) -> R {
        let now = self.now();
        let result = act(&mut self.venue, now);
        self.venue.advance(now);
        self.flush();
        result
    }

    /// The true time.
    #[must_use]
    pub fn now(&self) -> Now {
        let passed = i64::try_from(self.now.0).unwrap_or(i64::MAX);
        Now { mono: self.now, utc: self.start.offset(passed) }
    }

    /// A fingerprint (64 bits) of everything that passed between machines and venue so far, with its times.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.trace
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(|_| false, time);
    }

    /// Lets time pass until `done` says so, asked after every event, but at most `limit`. Whether it said so.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool, limit: Duration) -> bool {
        let end = self.now.after(limit);
        loop {
            if done(self) {
                return true;
            }
            if !self.step(end) {
                return false;
            }
        }
    }

    /// Carries out the next event and answers true, if it is not after `end`; otherwise sets the time to `end`.
    pub fn step(&mut self, end: Mono) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let venue = self.venue.next_event_time();
        let machine =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((slot.due()?, MachineId(at)))).min();
        let times = [event, venue, machine.map(|(due, _)| due)];
        let next = times.into_iter().flatten().min().map(|at| at.max(self.now));
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end.max(self.now);
            let now = self.now();
            self.venue.advance(now);
            self.flush();
            return false;
        };
        self.now = next;
        let now = self.now();
        if venue.is_some_and(|at| at <= next) {
            self.venue.advance(now);
            self.flush();
        } else if event.is_some_and(|at| at <= next) {
            if let Some((_, event)) = self.events.pop_first() {
                self.happen(event);
            }
        } else if let Some((_, id)) = machine {
            self.wake(id);
        }
        true
    }

    fn now_of(&self, id: MachineId) -> Now {
        let now = self.now();
        let offset = self.slots.get(id.0).map_or(0, |slot| slot.clock_offset_ns);
        Now { mono: now.mono, utc: now.utc.offset(offset) }
    }

    fn is_alive(&self, life: Life) -> bool {
        self.slots.get(life.machine.0).is_some_and(|slot| slot.life == life.number)
    }

    fn delay(&mut self) -> Duration {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let (least, most) = (nanos(self.latency.least), nanos(self.latency.most));
        Duration::from_nanos(u64::try_from(self.random.between(least, most.max(least))).unwrap_or(0))
    }

    fn cause(&mut self, at: Mono, event: Event) {
        self.caused += 1;
        self.events.insert((at, self.caused), event);
    }

    fn note(&mut self, kind: u8, number: u64, bytes: &[u8]) {
        // Eight bytes at a time: everything that passes goes through here.
        let mut mix = |word: u64| {
            self.trace = (self.trace ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        };
        mix(self.now.0 ^ u64::from(kind) << 56);
        mix(number);
        let words = bytes.chunks(8);
        words.for_each(|word| mix(word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))));
        mix(bytes.len() as u64);
    }

    fn wake(&mut self, id: MachineId) {
        let now = self.now_of(id);
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.woken = Some(now.mono);
            slot.machine.wake(now);
        }
        self.perform(id);
        self.flush();
    }

    fn feed(&mut self, id: MachineId, input: Input<'_>) {
        let now = self.now_of(id);
        if self.slots.get_mut(id.0).is_some_and(|slot| slot.machine.input(now, input)) {
            self.perform(id);
        }
    }

    /// Carries out what a machine wants.
    fn perform(&mut self, id: MachineId) {
        while let Some((life, action)) = self.slots.get_mut(id.0).and_then(|slot| {
            let life = Life { machine: id, number: slot.life };
            Some((life, slot.machine.action()?))
        }) {
            match action {
                Action::Http { id, request, timeout } => {
                    self.note(1, id.0, request.path.as_bytes());
                    self.note(2, id.0, request.query.as_bytes());
                    let of = Origin { life, id };
                    self.pending.insert(of, ());
                    let arrives = self.now.after(self.delay());
                    self.cause(arrives, Event::Arrive { of, request: Box::new(request) });
                    let result = Err(TransportError::Timeout);
                    self.cause(self.now.after(timeout), Event::Answer { of, result });
                }
                Action::Connect { link, url, timeout } => {
                    self.note(3, link.0, url.as_bytes());
                    let of = Wire { life, link };
                    let (last_up, last_down) = (self.now, self.now);
                    let line = Line { session: None, early: Vec::new(), last_up, last_down, frozen: false };
                    self.lines.insert(of, line);
                    let arrives = self.now.after(self.delay());
                    self.cause(arrives, Event::Open { of, url });
                    let reason = "no answer in time".to_owned();
                    self.cause(self.now.after(timeout), Event::Refused { of, reason });
                }
                Action::Send { link, text } => {
                    self.note(4, link.0, text.as_bytes());
                    self.send(Wire { life, link }, text);
                }
                Action::Close { link } => self.hang_up(Wire { life, link }),
            }
        }
    }

    fn send(&mut self, of: Wire, text: String) {
        let at = self.now.after(self.delay());
        let Some(line) = self.lines.get_mut(&of).filter(|line| !line.frozen) else { return };
        let Some(session) = line.session else {
            line.early.push(text);
            return;
        };
        line.last_up = line.last_up.max(at);
        let at = line.last_up;
        self.cause(at, Event::Up { of, session, text });
    }

    fn hang_up(&mut self, of: Wire) {
        let at = self.now.after(self.delay());
        let Some(line) = self.lines.remove(&of) else { return };
        if let Some(session) = line.session {
            self.owners.remove(&session);
            self.cause(at.max(line.last_up), Event::HangUp { session });
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        if let Some(until) = event.hearer().and_then(|id| self.slots.get(id.0)).map(|slot| slot.asleep_until)
            && until > self.now
        {
            return self.cause(until, event);
        }
        match event {
            Event::Arrive { of, request } => {
                let verdict = Box::new(self.venue.judge(now, &request));
                let at = self.now.after(verdict.before);
                self.cause(at, Event::CarryOut { of, request, verdict });
            }
            Event::CarryOut { of, request, verdict } => self.carry_out(of, &request, &verdict),
            Event::Answer { of, result } => self.answer(of, result),
            Event::Open { of, url } => self.open(of, &url),
            Event::Opened { of, session } => self.opened(of, session),
            Event::Refused { of, reason } => {
                if self.lines.get(&of).is_some_and(|line| line.session.is_none()) {
                    self.lines.remove(&of);
                    self.note(8, of.link.0, reason.as_bytes());
                    self.feed(of.life.machine, Input::Closed { link: of.link, reason });
                }
            }
            Event::Up { of, session, text } => {
                if self.lines.get(&of).is_none_or(|line| !line.frozen) {
                    self.venue.text(now, session, &text);
                }
            }
            Event::Pong { session } => self.venue.pong(session),
            Event::HangUp { session } => self.venue.close(session),
            Event::Down { of, payload } => self.down(of, payload),
        }
        self.flush();
    }

    fn carry_out(&mut self, of: Origin, request: &HttpRequest, verdict: &Verdict) {
        let peer = self.slots.get(of.life.machine.0).map_or(Peer::LOCAL, |slot| slot.peer);
        let reply = self.venue.carry_out(self.now(), &peer, request, verdict);
        let way = self.delay();
        match reply {
            Reply::Answer { response, delay } => {
                let at = self.now.after(way).after(delay);
                self.cause(at, Event::Answer { of, result: Ok(Box::new(response)) });
            }
            Reply::Silence => {}
            Reply::Refused => {
                let result = Err(TransportError::NotSent("connection refused".to_owned()));
                self.cause(self.now.after(way), Event::Answer { of, result });
            }
            Reply::Reset { delay } => {
                let result = Err(TransportError::Broken("connection reset".to_owned()));
                self.cause(self.now.after(way).after(delay), Event::Answer { of, result });
            }
        }
    }

    fn answer(&mut self, of: Origin, result: Result<Box<HttpResponse>, TransportError>) {
        // Of an answer and the timeout, the first one counts.
        if self.pending.remove(&of).is_none() {
            return;
        }
        match &result {
            Ok(response) => self.note(5, u64::from(response.status), &response.body),
            Err(error) => self.note(6, of.id.0, error.to_string().as_bytes()),
        }
        self.feed(of.life.machine, Input::Http { id: of.id, result: result.map(|response| *response) });
    }

    fn open(&mut self, of: Wire, url: &str) {
        if !self.lines.contains_key(&of) {
            return;
        }
        let (path, query) = path_and_query(url);
        let probe = HttpRequest {
            method: connector_core::dialect::Method::Get,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        };
        let now = self.now();
        let verdict = self.venue.judge(now, &probe);
        let at = self.now.after(self.delay()).after(verdict.before).after(verdict.after);
        let instead = verdict.instead.or(verdict.afterwards);
        match (verdict.end, instead) {
            (End::Silence, _) => {}
            (End::Refused, _) => {
                self.cause(at, Event::Refused { of, reason: "connection refused".to_owned() });
            }
            (End::Reset, _) => self.cause(at, Event::Refused { of, reason: "connection reset".to_owned() }),
            (End::Answer, Some(response)) => {
                self.cause(at, Event::Refused { of, reason: format!("status {}", response.status) });
            }
            (End::Answer, None) => {
                let peer = self.slots.get(of.life.machine.0).map_or(Peer::LOCAL, |slot| slot.peer);
                match self.venue.open(now, &peer, path, query) {
                    Ok(session) => {
                        self.owners.insert(session, of);
                        if let Some(line) = self.lines.get_mut(&of) {
                            line.last_down = at;
                        }
                        self.cause(at, Event::Opened { of, session });
                    }
                    Err(response) => {
                        let reason = format!("status {}", response.status);
                        self.cause(at, Event::Refused { of, reason });
                    }
                }
            }
        }
    }

    fn opened(&mut self, of: Wire, session: SessionId) {
        let Some(line) = self.lines.get_mut(&of) else {
            self.owners.remove(&session);
            self.venue.close(session);
            return;
        };
        line.session = Some(session);
        let early = std::mem::take(&mut line.early);
        self.note(7, of.link.0, b"");
        for text in early {
            self.send(of, text);
        }
        self.feed(of.life.machine, Input::Opened { link: of.link });
    }

    fn down(&mut self, of: Wire, payload: Payload) {
        let (link, id) = (of.link, of.life.machine);
        let Some(line) = self.lines.get_mut(&of) else {
            // What was under way when the machine closed may still reach it, under the old name.
            if let Payload::Text(text) = payload
                && self.is_alive(of.life)
            {
                self.note(11, link.0, text.as_bytes());
                self.feed(id, Input::Frame { link, bytes: &mut text.into_bytes() });
            }
            return;
        };
        if line.frozen {
            return;
        }
        match payload {
            Payload::Text(text) => {
                let mut bytes = text.into_bytes();
                self.note(9, link.0, &bytes);
                self.feed(id, Input::Frame { link, bytes: &mut bytes });
            }
            Payload::Binary(bytes) => {
                let mut bytes = bytes.to_vec();
                self.note(9, link.0, &bytes);
                self.feed(id, Input::Frame { link, bytes: &mut bytes });
            }
            Payload::Ping(_) => {
                if let Some(session) = line.session {
                    let at = self.now.after(self.delay());
                    self.cause(at, Event::Pong { session });
                }
                self.note(10, link.0, b"");
                self.feed(id, Input::Alive { link });
            }
            Payload::Close(code, reason) => self.lose(of, format!("{code} {reason}")),
            Payload::Reset => self.lose(of, "connection reset".to_owned()),
            Payload::HalfOpen => line.frozen = true,
        }
    }

    fn lose(&mut self, of: Wire, reason: String) {
        self.lines.remove(&of);
        self.note(8, of.link.0, reason.as_bytes());
        self.feed(of.life.machine, Input::Closed { link: of.link, reason });
    }

    /// Sends what the venue has ready on its way.
    fn flush(&mut self) {
        for session in self.venue.ready() {
            let frames = self.venue.drain(session);
            let Some(of) = self.owners.get(&session).copied().filter(|of| self.is_alive(of.life)) else {
                continue;
            };
            for frame in frames {
                let at = self.now.after(self.delay());
                let Some(line) = self.lines.get_mut(&of) else { break };
                line.last_down = line.last_down.max(at);
                let at = line.last_down;
                self.cause(at, Event::Down { of, payload: frame.payload });
            }
            if !self.venue.is_open(session) {
                self.owners.remove(&session);
            }
        }
    }
}

impl<M: Machine> Slot<M> {
    /// When the machine must be woken. One that was just woken and still wants to be is given a millisecond, so that time passes.
    fn due(&self) -> Option<Mono> {
        let deadline = self.machine.deadline()?;
        let due = match self.woken {
            Some(woken) if deadline <= woken => woken.after(Duration::from_millis(1)),
            _ => deadline,
        };
        Some(due.max(self.asleep_until))
    }
}

fn path_and_query(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split_once('?').unwrap_or((path, ""))
}
