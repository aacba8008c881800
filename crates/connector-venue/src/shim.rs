//! Armed faults: decides for every request and every frame what happens to it.
//!
//! One place for both wires: the loopback server and the in-memory wire ask the same questions in the same order, so a plan
//! means the same on both. Every choice comes from the rule's own seed and counters, never from a clock or shared state.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use connector_core::time::Mono;
use connector_core::wire::{HttpRequest, HttpResponse};
use smol_str::SmolStr;

pub use crate::drift::Drift;
use crate::face::{OutFrame, Payload, Session, SessionId};
use crate::faults::{Fault, FaultRule, Matcher, Point};
use crate::fields::Fields;
use crate::random::Random;

/// Names an armed fault.
pub type FaultId = u64;

/// What happens to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How long before the exchange sees it.
    pub before: Duration,
    /// It never reaches the exchange.
    pub lost: bool,
    /// Instead of carrying it out, this is answered.
    pub instead: Option<HttpResponse>,
    /// After carrying it out, this is answered.
    pub afterwards: Option<HttpResponse>,
    /// The body ends after this many bytes (`None`: after half).
    pub truncate: Option<Option<usize>>,
    /// Another waiting time on refusals for limits (`None`: none at all).
    pub retry_after: Option<Option<String>>,
    /// What is different about the answer's text, each drawn by its seed.
    pub drifts: Vec<(Drift, u64)>,
    /// How long the answer takes on top.
    pub after: Duration,
    /// How it ends.
    pub end: End,
    /// Deeds to do before it is carried out.
    pub deeds: Vec<Deed>,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    #[default]
    Answer,
    /// With silence on an open connection.
    Silence,
    /// With a reset of the connection.
    Reset,
    /// Before it begins: no connection is made. Real sockets show a reset instead.
    Refused,
}

/// Something done to the venue itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What.
    pub fault: Fault,
    /// Which connections, where it is about connections.
    pub matcher: Matcher,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    since: Mono,
    seen: u64,
    struck: u64,
    random: Random,
    held: BTreeMap<SessionId, Held>,
}

#[derive(Debug)]
struct Held {
    until: Mono,
    frames: Vec<OutFrame>,
}

/// The armed faults of a venue.
#[derive(Debug, Default)]
pub struct Shim {
    armed: BTreeMap<FaultId, Armed>,
    next: FaultId,
}

impl Shim {
    /// Most faults armed at once; further ones are refused.
    pub const MOST: usize = 10_000;

    /// Arms a fault. `None` if [`Self::MOST`] are armed already.
    pub fn arm(&mut self, now: Mono, rule: FaultRule) -> Option<FaultId> {
        if self.armed.len() >= Self::MOST {
            return None;
        }
        self.next += 1;
        // Without a seed of its own, a rule's choices still differ from its neighbours'.
        let seed = rule.trigger.seed.unwrap_or(self.next);
        let (random, held) = (Random::new(seed, 0), BTreeMap::new());
        self.armed.insert(self.next, Armed { rule, since: now, seen: 0, struck: 0, random, held });
        Some(self.next)
    }

    /// Disarms a fault; frames it holds back are returned.
    pub fn disarm(&mut self, id: FaultId) -> Vec<(SessionId, OutFrame)> {
        self.armed.remove(&id).map(|mut armed| armed.release(|_| true)).unwrap_or_default()
    }

    /// Disarms all faults; frames they hold back are returned.
    pub fn clear(&mut self) -> Vec<(SessionId, OutFrame)> {
        let ids: Vec<FaultId> = self.armed.keys().copied().collect();
        ids.into_iter().flat_map(|id| self.disarm(id)).collect()
    }

    /// The armed faults with how often each has struck.
    pub fn armed(&self) -> impl Iterator<Item = (FaultId, &FaultRule, u64)> {
        self.armed.iter().map(|(id, armed)| (*id, &armed.rule, armed.struck))
    }

    /// Whether nothing is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Decides about a request.
    pub fn request(
        &mut self,
        now: Mono,
        request: &HttpRequest,
        row: Option<&str>,
        fields: &Fields,
    ) -> Verdict {
        self.judge(now, request, row, fields, |_| true)
    }

    /// Decides about a request that came as a frame, `request` being the same by HTTP. What bends frames bends its answer later.
    pub fn call(&mut self, now: Mono, request: &HttpRequest, row: &str, fields: &Fields) -> Verdict {
        self.judge(now, request, Some(row), fields, |rule| !rule.takes_frames())
    }

    fn judge(
        &mut self,
        now: Mono,
        request: &HttpRequest,
        row: Option<&str>,
        fields: &Fields,
        concerns: impl Fn(&FaultRule) -> bool,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        for armed in self.armed.values_mut() {
            let fits = armed.rule.takes_requests()
                && concerns(&armed.rule)
                && armed.rule.matcher.fits_request(request, row, fields);
            if fits && armed.strikes(now) {
                bend(&armed.rule, &mut armed.random, &mut verdict);
            }
        }
        verdict
    }

    /// Decides about a frame going out: what is sent instead, each with a delay. Control frames are never touched.
    pub fn frame(&mut self, now: Mono, session: &Session, frame: OutFrame) -> Vec<(Duration, OutFrame)> {
        if !matches!(frame.payload, Payload::Text(_) | Payload::Binary(_)) {
            return vec![(Duration::ZERO, frame)];
        }
        let mut frames = vec![(Duration::ZERO, frame)];
        for armed in self.armed.values_mut() {
            if armed.rule.takes_frames() {
                frames = frames
                    .into_iter()
                    .flat_map(|(delay, frame)| armed.shape(now, session, delay, frame))
                    .collect();
            }
        }
        frames
    }

    /// Whether a connection of this link is refused.
    pub fn refuses(&mut self, now: Mono, link: &str) -> bool {
        let mut refused = false;
        for armed in self.armed.values_mut() {
            let fits =
                armed.rule.fault == (Fault::Refuse {}) && armed.rule.matcher.link.as_deref() == Some(link);
            refused |= fits && armed.strikes(now);
        }
        refused
    }

    /// Deeds whose time has come; each is returned once.
    pub fn due(&mut self, now: Mono) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for armed in self.armed.values_mut() {
            if armed.rule.is_deed_by_time() && armed.struck == 0 && armed.begins() <= now {
                armed.struck = 1;
                deeds.push(Deed { fault: armed.rule.fault.clone(), matcher: armed.rule.matcher.clone() });
            }
        }
        deeds
    }

    /// Frames held back for too long.
    pub fn overdue(&mut self, now: Mono) -> Vec<(SessionId, OutFrame)> {
        self.armed.values_mut().flat_map(|armed| armed.release(|held| held.until <= now)).collect()
    }

    /// Forgets frames held back for a connection that is gone.
    pub fn forget(&mut self, session: SessionId) {
        for armed in self.armed.values_mut() {
            armed.held.remove(&session);
        }
    }

    /// When [`due`](Self::due) or [`overdue`](Self::overdue) has something to give.
    #[must_use]
    pub fn next_time(&self) -> Option<Mono> {
        let held = self.armed.values().flat_map(|armed| armed.held.values().map(|held| held.until));
        let deeds = self.armed.values().filter(|armed| armed.rule.is_deed_by_time() && armed.struck == 0);
        held.chain(deeds.map(Armed::begins)).min()
    }
}

impl Armed {
    fn begins(&self) -> Mono {
        self.since.after(Duration::from_millis(self.rule.trigger.after_ms.unwrap_or(0)))
    }

    /// Counts a match and says whether the fault strikes it.
    fn strikes(&mut self, now: Mono) -> bool {
        let trigger = &self.rule.trigger;
        let begins = self.begins();
        let over = trigger.duration_ms.is_some_and(|ms| now.since(begins) > Duration::from_millis(ms));
        if now < begins || over {
            return false;
        }
        self.seen += 1;
        let first = trigger.nth.unwrap_or(1).max(1);
        let turn = self.seen >= first
            && trigger.every.is_none_or(|every| (self.seen - first).is_multiple_of(every.max(1)));
        // The die is cast for every match in turn, so that the same plan makes the same choices whatever was spent before.
        let luck = turn
            && trigger.probability_ppm.is_none_or(|ppm| self.random.between(1, 1_000_000) <= i64::from(ppm));
        let strikes = luck && self.struck < trigger.most();
        self.struck += u64::from(strikes);
        strikes
    }

    fn shape(
        &mut self,
        now: Mono,
        session: &Session,
        delay: Duration,
        frame: OutFrame,
    ) -> Vec<(Duration, OutFrame)> {
        let answer = frame.channel.is_empty();
        let spared = answer && matches!(self.rule.fault, Fault::Mute { answers: false });
        if spared || !self.rule.matcher.fits_frame(session, &frame) || !self.strikes(now) {
            return vec![(delay, frame)];
        }
        match self.rule.fault {
            Fault::Mute { .. } | Fault::Drop {} => Vec::new(),
            Fault::Duplicate { ms } => {
                let again = delay.saturating_add(Duration::from_millis(ms));
                vec![(delay, frame.clone()), (again, frame)]
            }
            Fault::FrameDelay { ms } => vec![(delay.saturating_add(Duration::from_millis(ms)), frame)],
            Fault::Corrupt {} => vec![(delay, corrupt(frame, &mut self.random))],
            Fault::Reorder { window, hold_ms } => {
                let until = now.after(Duration::from_millis(hold_ms));
                let held = self.held.entry(session.id).or_insert_with(|| Held { until, frames: Vec::new() });
                held.frames.push(frame);
                let full = usize::try_from(window.clamp(2, 1_000)).unwrap_or(2);
                if held.frames.len() < full {
                    return Vec::new();
                }
                let mut frames = self.held.remove(&session.id).map(|held| held.frames).unwrap_or_default();
                shuffle(&mut frames, &mut self.random);
                frames.into_iter().map(|frame| (delay, frame)).collect()
            }
            // Frames only change their text, or go as they are.
            _ => vec![(delay, drifted(frame, &self.rule.fault, &mut self.random))],
        }
    }

    fn release(&mut self, which: impl Fn(&Held) -> bool) -> Vec<(SessionId, OutFrame)> {
        let ids: Vec<SessionId> =
            self.held.iter().filter(|(_, held)| which(held)).map(|(id, _)| *id).collect();
        let mut out = Vec::new();
        for id in ids {
            let mut frames = self.held.remove(&id).map(|held| held.frames).unwrap_or_default();
            shuffle(&mut frames, &mut self.random);
            out.extend(frames.into_iter().map(|frame| (id, frame)));
        }
        out
    }
}

impl FaultRule {
    fn takes_requests(&self) -> bool {
        use Fault as F;
        match self.fault {
            F::DropReply {}
            | F::DropRequest {}
            | F::Delay { .. }
            | F::Status { .. }
            | F::HtmlBody { .. }
            | F::Truncated { .. }
            | F::Empty200 { .. }
            | F::RetryAfter { .. } => true,
            _ if self.fault.drift().is_some() => {
                self.matcher.link.is_none() && self.matcher.channel.is_none()
            }
            F::Refuse {} => self.matcher.link.is_none(),
            F::Reset { .. } | F::HalfOpen {} => !self.matcher.names_stream() || self.matcher.names_request(),
            _ => self.is_deed() && self.matcher.names_request(),
        }
    }

    const fn takes_frames(&self) -> bool {
        use Fault as F;
        matches!(
            self.fault,
            F::Mute { .. }
                | F::Drop {}
                | F::Duplicate { .. }
                | F::Reorder { .. }
                | F::FrameDelay { .. }
                | F::Corrupt {}
        ) || self.fault.drift().is_some() && self.matcher.row.is_none()
    }

    const fn is_deed(&self) -> bool {
        use Fault as F;
        matches!(
            self.fault,
            F::Close { .. }
                | F::CutBudget { .. }
                | F::SpendByOther { .. }
                | F::Ban { .. }
                | F::VenueOffset { .. }
                | F::ExternalOrder { .. }
                | F::ExternalCancel { .. }
                | F::Transfer { .. }
                | F::FeeTier { .. }
                | F::Halt { .. }
                | F::Resume { .. }
                | F::Delist { .. }
                | F::RulesChange { .. }
                | F::RevokeKey { .. }
                | F::DropPermission { .. }
        )
    }

    fn is_deed_by_time(&self) -> bool {
        match self.fault {
            Fault::Reset { .. } => self.matcher.names_stream() && !self.matcher.names_request(),
            Fault::HalfOpen {} => !self.matcher.names_request(),
            _ => self.is_deed() && !self.matcher.names_request(),
        }
    }
}

impl Matcher {
    /// Whether a property of requests is asked for.
    #[must_use]
    pub const fn names_request(&self) -> bool {
        self.method.is_some() || self.path.is_some() || self.row.is_some() || self.contains.is_some()
    }

    /// Whether a stream connection is asked for.
    #[must_use]
    pub const fn names_stream(&self) -> bool {
        self.connection.is_some() || self.link.is_some()
    }

    /// Whether a request fits.
    #[must_use]
    pub fn fits_request(&self, request: &HttpRequest, row: Option<&str>, fields: &Fields) -> bool {
        let symbol = |wanted: &SmolStr| fields.iter().any(|field| field.value.eq_ignore_ascii_case(wanted));
        let text = |wanted: &String| {
            request.query.contains(wanted.as_str())
                || fields.raw_body().contains(wanted.as_str())
                || fields.iter().any(|field| field.value.contains(wanted.as_str()))
        };
        self.method.as_ref().is_none_or(|method| request.method.as_str() == method)
            && self.path.as_ref().is_none_or(|path| request.path.contains(path.as_str()))
            && self.row.as_ref().is_none_or(|wanted| row == Some(wanted.as_str()))
            && self.symbol.as_ref().is_none_or(symbol)
            && self.contains.as_ref().is_none_or(text)
            && self.channel.is_none()
    }

    /// Whether a frame fits.
    #[must_use]
    pub fn fits_frame(&self, session: &Session, frame: &OutFrame) -> bool {
        let symbol = |wanted: &SmolStr| {
            frame.channel.to_ascii_lowercase().contains(wanted.to_ascii_lowercase().as_str())
        };
        let text = |wanted: &String| match &frame.payload {
            Payload::Text(text) => text.contains(wanted.as_str()),
            _ => false,
        };
        self.fits_session(session)
            && self.channel.as_ref().is_none_or(|wanted| frame.channel.contains(wanted.as_str()))
            && self.symbol.as_ref().is_none_or(symbol)
            && self.contains.as_ref().is_none_or(text)
            && self.method.is_none()
            && self.path.is_none()
            && self.row.is_none()
    }

    /// Whether a connection fits: number, link, and a subscription that contains `channel`.
    #[must_use]
    pub fn fits_session(&self, session: &Session) -> bool {
        self.connection.is_none_or(|id| session.id.0 == id)
            && self.link.as_ref().is_none_or(|link| session.link.name == link)
    }
}

fn bend(rule: &FaultRule, random: &mut Random, verdict: &mut Verdict) {
    let deed = || Deed { fault: rule.fault.clone(), matcher: rule.matcher.clone() };
    let place = |point: Point, response: HttpResponse, verdict: &mut Verdict| match point {
        Point::BeforeApply => verdict.instead = Some(response),
        Point::AfterApply => verdict.afterwards = Some(response),
    };
    match &rule.fault {
        Fault::Reset { .. } | Fault::HalfOpen {} if rule.matcher.names_stream() => verdict.deeds.push(deed()),
        Fault::Refuse {} => (verdict.lost, verdict.end) = (true, End::Refused),
        Fault::DropReply {} => verdict.end = End::Silence,
        Fault::DropRequest {} | Fault::HalfOpen {} => (verdict.lost, verdict.end) = (true, End::Silence),
        Fault::Reset { point } => {
            verdict.end = End::Reset;
            verdict.lost |= *point == Point::BeforeApply;
        }
        Fault::Delay { ms, point: Point::BeforeApply } => {
            verdict.before = verdict.before.saturating_add(Duration::from_millis(*ms));
        }
        Fault::Delay { ms, point: Point::AfterApply } => {
            verdict.after = verdict.after.saturating_add(Duration::from_millis(*ms));
        }
        Fault::Status { code, body, headers, point } => {
            let mut headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()))
                .collect();
            if !headers.iter().any(|(name, _): &(SmolStr, SmolStr)| name == "content-type") {
                headers.push(("content-type".into(), "application/json".into()));
            }
            place(*point, HttpResponse { status: *code, headers, body: body.clone().into_bytes() }, verdict);
        }
        Fault::HtmlBody { code, point } => {
            let headers = vec![("content-type".into(), "text/html".into())];
            let body =
                b"<html><head><title>Please wait</title></head><body>Please wait</body></html>".to_vec();
            place(*point, HttpResponse { status: *code, headers, body }, verdict);
        }
        Fault::Empty200 { point } => {
            place(*point, HttpResponse { status: 200, headers: Vec::new(), body: Vec::new() }, verdict);
        }
        Fault::Truncated { keep } => verdict.truncate = Some(*keep),
        Fault::RetryAfter { value } => verdict.retry_after = Some(value.clone()),
        fault => match fault.drift() {
            // Drawn here, so that the choice belongs to the rule.
            Some(drift) => {
                verdict.drifts.push((drift, u64::try_from(random.between(1, i64::MAX)).unwrap_or(1)));
            }
            None => verdict.deeds.push(deed()),
        },
    }
}

impl Verdict {
    /// Bends the exchange's own answer.
    #[must_use]
    pub fn finish(&self, mut response: HttpResponse) -> HttpResponse {
        if let Some(other) = &self.afterwards {
            response = other.clone();
        }
        if let Some(value) = self.retry_after.as_ref().filter(|_| matches!(response.status, 418 | 429)) {
            response.headers.retain(|(name, _)| name != "retry-after");
            response.headers.extend(value.iter().map(|value| ("retry-after".into(), value.into())));
        }
        for (drift, seed) in &self.drifts {
            let text = String::from_utf8_lossy(&response.body);
            response.body = drift.apply(&text, &mut Random::new(*seed, 0)).into_bytes();
        }
        if let Some(keep) = self.truncate {
            response.body.truncate(keep.unwrap_or(response.body.len() / 2));
        }
        response
    }
}

fn drifted(mut frame: OutFrame, fault: &Fault, random: &mut Random) -> OutFrame {
    if let (Payload::Text(text), Some(drift)) = (&frame.payload, fault.drift()) {
        frame.payload = Payload::Text(drift.apply(text, random));
    }
    frame
}

fn corrupt(mut frame: OutFrame, random: &mut Random) -> OutFrame {
    frame.payload = match frame.payload {
        Payload::Text(text) => {
            let mut bytes = text.into_bytes();
            // Only an ASCII byte may be replaced, or the frame would not be text any more.
            let ascii: Vec<usize> =
                bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii()).map(|(at, _)| at).collect();
            let at = ascii.get(index(random, ascii.len())).copied();
            if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                *byte = if *byte == b'~' { b'^' } else { b'~' };
            }
            Payload::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        Payload::Binary(bytes) => {
            let mut bytes = bytes.to_vec();
            let at = index(random, bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
            Payload::Binary(Bytes::from(bytes))
        }
        other => other,
    };
    frame
}

/// An index below `length`; zero if there is none.
fn index(random: &mut Random, length: usize) -> usize {
    let last = i64::try_from(length).unwrap_or(i64::MAX).saturating_sub(1).max(0);
    usize::try_from(random.between(0, last)).unwrap_or(0)
}

/// Another order, never the same one where there are two frames or more.
fn shuffle(frames: &mut [OutFrame], random: &mut Random) {
    // Swapping each frame with an earlier one only (Sattolo) leaves none in its place.
    for last in (1..frames.len()).rev() {
        frames.swap(index(random, last), last);
    }
}
