//! Stream connections: opening, logging in, subscribing, watching, and opening again.

use std::collections::BTreeMap;
use std::time::Duration;

use smol_str::SmolStr;
use tracing::Span;

use super::keys::needs_key;
use super::market::Decoded;
use super::market::GRACE;
use super::pace::{Due, Unsent};
use super::requests::Job;
use super::{Engine, Timer};
use crate::dialect::{Channel, ChannelSpec, Dialect, LinkRole, LinkSpec, Login};
use crate::error::{Cause, Effect, Error};
use crate::event::{Event, LinkState};
use crate::message::{Message, Refusal, Session, SessionKind};
use crate::mutants::{self, Mutant};
use crate::pair::Pair;
use crate::time::{Mono, Now};
use crate::wire::{Action, LinkId};

/// Where a link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// No connection; opening waits for the limits or for the backoff.
    Down,
    /// Opening.
    Connecting,
    /// Open; the login waits for the limits or for its answer.
    LoggingIn,
    /// Open and, where needed, logged in: subscriptions by request id, not yet confirmed.
    Subscribing(BTreeMap<u64, Vec<Pair>>),
    /// Private and open, reading what may have been missed.
    Recovering,
    /// At work.
    Live,
}

/// One stream connection and everything it is to carry.
pub(super) struct Link {
    spec: &'static LinkSpec,
    url: String,
    pairs: Vec<Pair>,
    /// Changes of what is subscribed that the venue has not been sent.
    unsent: Unsent,
    id: Option<LinkId>,
    stage: Stage,
    /// When the stage, or the connection's life, must end.
    deadline: Option<Mono>,
    heard: Mono,
    opened: Mono,
    attempts: u32,
    /// Why the last connection ended.
    ended: Option<SmolStr>,
    /// Counts the connections of this link.
    generation: u64,
    /// Lives as long as the connection.
    span: Span,
}

impl Link {
    /// Whether it does what it is needed for. Orders have another way.
    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
            || (self.is_idle() && self.stage == Stage::Down)
            || self.spec.role == LinkRole::Orders
    }

    /// The connection a request can be written to now: not one that is about to be renewed.
    pub(super) fn takes_calls(&self, now: Now) -> Option<LinkId> {
        let lasts = self.deadline.is_some_and(|at| at > now.mono);
        self.id.filter(|_| self.spec.role == LinkRole::Orders && self.stage == Stage::Live && lasts)
    }

    /// Whether it is to be opened with a key.
    pub(super) fn waits_for_key(&self) -> bool {
        needs_key(self.spec) && self.stage == Stage::Down
    }

    /// Whether it was opened with a key.
    pub(super) fn uses_key(&self) -> bool {
        needs_key(self.spec) && self.stage != Stage::Down
    }

    /// Whether it has nothing to carry, and so need not be open.
    fn is_idle(&self) -> bool {
        self.spec.role == LinkRole::Public && self.pairs.is_empty()
    }

    /// What it is and where it stands, for people.
    pub(super) fn describe(&self) -> String {
        let stage = match &self.stage {
            Stage::Down => "down",
            Stage::Connecting => "connecting",
            Stage::LoggingIn => "logging in",
            Stage::Subscribing(_) => "subscribing",
            Stage::Recovering => "recovering",
            Stage::Live => "live",
        };
        match &self.ended {
            Some(reason) => format!("link {} ({stage}; last: {reason})", self.spec.name),
            None => format!("link {} ({stage})", self.spec.name),
        }
    }

    const fn state(&self) -> LinkState {
        match self.stage {
            Stage::Down => LinkState::Down,
            Stage::Connecting => LinkState::Connecting,
            Stage::LoggingIn | Stage::Subscribing(_) | Stage::Recovering => LinkState::Syncing,
            Stage::Live => LinkState::Live,
        }
    }
}

/// Longest wait for a connection to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a login or a subscription.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that lived this long has shown that the venue is well: the next attempt starts over.
const PROVEN: Duration = Duration::from_secs(60);
/// The channels followed for every pair.
const CHANNELS: [Channel; 4] = [Channel::Book, Channel::Trades, Channel::BestPrice, Channel::Funding];

/// What a link carries of each pair.
fn carried<D: Dialect>(spec: &LinkSpec) -> impl Iterator<Item = Channel> {
    CHANNELS.into_iter().filter(|channel| carries::<D>(spec, *channel))
}

fn carries<D: Dialect>(spec: &LinkSpec, channel: Channel) -> bool {
    let is_it = |known: &ChannelSpec| known.channel == channel && known.link == spec.name;
    spec.role == LinkRole::Public && D::SPEC.channels.iter().any(is_it)
}

impl<D: Dialect> Engine<D> {
    pub(super) fn link_spec(&self, index: usize) -> Option<&'static LinkSpec> {
        self.links.get(index).map(|link| link.spec)
    }

    fn link_role(&self, index: usize) -> Option<LinkRole> {
        self.link_spec(index).map(|spec| spec.role)
    }

    /// Spreads the pairs over as many links as the venue's bound on subscriptions asks for.
    pub(super) fn plan_links(&mut self) {
        for spec in D::SPEC.links {
            match spec.role {
                LinkRole::User if self.trades() => drop(self.new_link(spec, spec.name)),
                LinkRole::User | LinkRole::Orders => {}
                LinkRole::Public => {
                    for pair in self.feeds.pairs(|_| true) {
                        self.plan_on(spec, &pair);
                    }
                }
            }
        }
        if let Some(calls) = self.calls() {
            self.new_link(&calls.link, calls.address);
        }
    }

    /// Puts a pair that no link carries onto one of each kind that carries something of it. Answers which.
    pub(super) fn plan_pair(&mut self, pair: &Pair) -> Vec<usize> {
        let public = D::SPEC.links.iter().filter(|spec| spec.role == LinkRole::Public);
        public.filter_map(|spec| self.plan_on(spec, pair)).collect()
    }

    /// Puts a pair onto a link of this kind with room, a new one if need be. Answers which; `None` if the kind carries nothing.
    fn plan_on(&mut self, spec: &'static LinkSpec, pair: &Pair) -> Option<usize> {
        let room = usize::from(spec.max_subscriptions).checked_div(carried::<D>(spec).count())?.max(1);
        let free = self.links.iter().position(|link| link.spec.name == spec.name && link.pairs.len() < room);
        let index = free.unwrap_or_else(|| self.new_link(spec, spec.name));
        self.links.get_mut(index)?.pairs.push(pair.clone());
        Some(index)
    }

    fn new_link(&mut self, spec: &'static LinkSpec, address: &str) -> usize {
        self.links.push(Link {
            spec,
            url: self.config.urls.link(address).unwrap_or_default().to_owned(),
            pairs: Vec::new(),
            unsent: Unsent::default(),
            id: None,
            stage: Stage::Down,
            deadline: None,
            heard: Mono(0),
            opened: Mono(0),
            attempts: 0,
            ended: None,
            generation: 0,
            span: Span::none(),
        });
        self.links.len() - 1
    }

    /// Opens a link as soon as the limits allow, and there is a key if it needs one.
    pub(super) fn connect(&mut self, now: Now, index: usize) {
        let job = match self.link_spec(index) {
            // A key that nobody waits for would take the place of the one in use.
            Some(spec) if needs_key(spec) && !self.links.get(index).is_some_and(Link::waits_for_key) => {
                return;
            }
            Some(spec) if needs_key(spec) => Job::StreamKey,
            _ => Job::Connect(index),
        };
        self.request(now, job);
    }

    pub(super) fn open_link(&mut self, now: Now, index: usize) {
        let id = LinkId(self.next_link);
        let Some(link) = self.links.get_mut(index) else { return };
        if link.stage != Stage::Down || link.is_idle() {
            return;
        }
        self.next_link += 1;
        link.id = Some(id);
        link.deadline = None;
        link.generation += 1;
        link.span = tracing::info_span!(
            parent: None,
            "link",
            venue = D::SPEC.name,
            link = link.spec.name,
            generation = link.generation
        );
        let (spec, url) = (link.spec, link.url.clone());
        let url = self.url_with_key(spec, &url);
        self.set_stage(now, index, Stage::Connecting, None);
        self.actions.push_back(Action::Connect { link: id, url, timeout: OPEN_TIMEOUT });
    }

    fn set_stage(&mut self, now: Now, index: usize, stage: Stage, reason: Option<&str>) {
        let Some(link) = self.links.get_mut(index) else { return };
        let before = link.state();
        link.stage = stage;
        let after = link.state();
        if before != after {
            let name = link.spec.name;
            link.span.in_scope(|| {
                tracing::info!(venue = D::SPEC.name, link = name, state = ?after, reason, "link changed");
            });
            if after == LinkState::Down {
                link.span = Span::none();
            }
            let links = &self.links;
            self.config
                .meter
                .link(name, || links.iter().filter(|link| link.spec.name == name).map(Link::state).collect());
            let event = Event::LinkChanged {
                time: now.utc,
                link: SmolStr::new_static(name),
                channel: None,
                pair: None,
                state: after,
                reason: reason.map(SmolStr::new),
            };
            self.emit(event);
        }
    }

    fn find(&self, id: LinkId) -> Option<usize> {
        self.links.iter().position(|link| link.id == Some(id))
    }

    pub(super) fn on_opened(&mut self, now: Now, id: LinkId) {
        let Some(index) = self.find(id) else { return };
        let Some(link) = self.links.get_mut(index) else { return };
        link.opened = now.mono;
        link.heard = now.mono;
        let spec = link.spec;
        match (spec.role, spec.login) {
            (_, Login::Frame) => {
                self.set_stage(now, index, Stage::LoggingIn, None);
                self.request(now, Job::Login(index));
            }
            (LinkRole::Public, Login::None | Login::Key) => {
                let again = self.links.get(index).is_some_and(|link| link.generation > 1);
                let forgotten = again && mutants::is(Mutant::SubscriptionsForgotten);
                let link = self.links.get(index).filter(|_| !forgotten);
                let pairs = link.map(|link| link.pairs.clone()).unwrap_or_default();
                self.set_stage(now, index, Stage::Subscribing(BTreeMap::new()), None);
                self.subscribe(now, index, &pairs);
            }
            (LinkRole::User, Login::None | Login::Key) => self.recover(now, index),
            (LinkRole::Orders, Login::None | Login::Key) => self.go_live(now, index),
        }
    }

    pub(super) fn send_login(&mut self, now: Now, index: usize) {
        let Some(id) = self.links.get(index).and_then(|link| link.id) else { return };
        let stamp = self.stamp(now);
        let request = self.next_frame_id();
        let login = match &self.config.keys {
            Some(keys) => D::login(keys, stamp, request),
            None => return,
        };
        match login {
            Ok(text) => {
                if let Some(link) = self.links.get_mut(index) {
                    link.deadline = Some(now.mono.after(ANSWER_TIMEOUT));
                }
                self.actions.push_back(Action::Send { link: id, text });
            }
            Err(error) => self.fail(now, error),
        }
    }

    fn next_frame_id(&mut self) -> u64 {
        self.next_timer += 1;
        self.next_timer
    }

    fn subscribe(&mut self, now: Now, index: usize, pairs: &[Pair]) {
        if let Some(link) = self.links.get_mut(index) {
            link.unsent.add(true, pairs);
        }
        self.send_subscriptions(now, index);
        if pairs.is_empty() {
            self.go_live(now, index);
        }
    }

    /// Sends what is to be subscribed and unsubscribed on a link, many pairs a frame, no faster than the venue hears frames;
    /// the rest when there is room again.
    pub(super) fn send_subscriptions(&mut self, now: Now, index: usize) {
        loop {
            let Some(link) = self.links.get_mut(index) else { return };
            let Some(id) = link.id else { return };
            let (on, pairs) = match link.unsent.next(now.mono, link.spec.frames_per_second) {
                Due::Nothing => return,
                Due::At(at) => return self.set_timer(at, Timer::Subscriptions(index)),
                Due::Frame(on, pairs) => (on, pairs),
            };
            let channels = self.channels(index, &pairs);
            let request = self.next_frame_id();
            let text = D::subscribe(on, &channels, request);
            self.actions.push_back(Action::Send { link: id, text });
            if let Some(link) = self.links.get_mut(index).filter(|_| on) {
                link.deadline = Some(now.mono.after(ANSWER_TIMEOUT));
                match &mut link.stage {
                    Stage::Subscribing(pending) => {
                        pending.insert(request, pairs);
                    }
                    stage => *stage = Stage::Subscribing(BTreeMap::from([(request, pairs)])),
                }
            }
        }
    }

    /// Subscribes a pair that was planned onto a link, opening the link if it is new.
    pub(super) fn subscribe_new(&mut self, now: Now, index: usize, pair: &Pair) {
        match self.links.get(index).map(|link| &link.stage) {
            Some(Stage::Live | Stage::Subscribing(_)) => {
                self.subscribe(now, index, std::slice::from_ref(pair))
            }
            Some(Stage::Down) => self.connect(now, index),
            _ => {}
        }
    }

    /// Takes a pair off its links; one that carries nothing any more is closed.
    pub(super) fn unsubscribe(&mut self, now: Now, pair: &Pair) {
        for index in 0..self.links.len() {
            if self.links.get(index).is_some_and(|link| link.pairs.contains(pair)) {
                self.unsubscribe_on(now, index, pair);
            }
        }
    }

    fn unsubscribe_on(&mut self, now: Now, index: usize, pair: &Pair) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.pairs.retain(|carried| carried != pair);
        let (idle, open) = (link.is_idle(), matches!(link.stage, Stage::Live | Stage::Subscribing(_)));
        if idle {
            if let Some(id) = link.id.take() {
                self.actions.push_back(Action::Close { link: id });
            }
            (link.deadline, link.opened, link.ended) = (None, Mono(0), None);
            link.unsent.forget();
            self.set_stage(now, index, Stage::Down, Some("nothing is followed on it"));
            return;
        }
        if open {
            link.unsent.add(false, std::slice::from_ref(pair));
            self.send_subscriptions(now, index);
        }
    }

    /// What is subscribed on a link for these pairs.
    fn channels(&self, index: usize, pairs: &[Pair]) -> Vec<(Channel, SmolStr)> {
        let Some(spec) = self.link_spec(index) else { return Vec::new() };
        let symbols = pairs.iter().filter_map(|pair| self.symbols.symbol(pair));
        symbols.flat_map(|symbol| carried::<D>(spec).map(|channel| (channel, symbol.clone()))).collect()
    }

    /// Whether the link with this index carries the channel.
    pub(super) fn link_carries(&self, index: usize, channel: Channel) -> bool {
        self.link_spec(index).is_some_and(|spec| carries::<D>(spec, channel))
    }

    fn go_live(&mut self, now: Now, index: usize) {
        if let Some(link) = self.links.get_mut(index) {
            // Leave before the venue cuts: a planned reconnect at a moment of our own.
            let life = link.spec.lifetime.mul_f64(0.98);
            link.deadline = Some(link.opened.after(life));
            link.ended = None;
        }
        self.set_stage(now, index, Stage::Live, None);
    }

    pub(super) fn on_alive(&mut self, now: Now, id: LinkId) {
        if let Some(link) = self.find(id).and_then(|index| self.links.get_mut(index)) {
            link.heard = now.mono;
        }
    }

    /// Whether anything may follow from the frame. Nothing does from market data that keeps the books live: of that there is so
    /// much that looking for what could be due after each frame would cost more than the frame.
    pub(super) fn on_frame(&mut self, now: Now, id: LinkId, bytes: &mut [u8]) -> bool {
        // What an old connection still delivers is not the new one's.
        let Some(index) = self.find(id) else { return false };
        let Some(link) = self.links.get_mut(index) else { return false };
        link.heard = now.mono;
        let role = link.spec.role;
        if self.config.tap.is_on() && role == LinkRole::Public {
            self.tap(now, bytes, None);
        }
        if role == LinkRole::Orders && self.take_answer(now, index, id, bytes) {
            return true;
        }
        let Decoded { cold, result, quiet } = self.decode_frame(now, role, bytes);
        if quiet {
            return false;
        }
        if !cold.is_empty() {
            // Prices, the many, do not come this way: entering a span costs.
            let _inside = self.link_span(index).entered();
            for message in cold {
                self.on_message(now, index, message);
            }
        }
        if let Err(error) = result {
            let key = format!("frame:{}:{}", error.what, error.why);
            let problem = Error::new(Cause::Malformed, Effect::Unknown, error.what, error.why);
            let _inside = self.link_span(index).entered();
            self.report(now, &key, problem);
        }
        true
    }

    fn link_span(&self, index: usize) -> Span {
        self.links.get(index).map_or_else(Span::none, |link| link.span.clone())
    }

    fn on_message(&mut self, now: Now, index: usize, message: Message) {
        match message {
            Message::Session(session) => self.on_session(now, index, &session),
            Message::Refusal(refusal) => self.on_refusal(now, index, refusal),
            message => {
                if self.link_role(index) == Some(LinkRole::User) {
                    self.account_heard = now.mono;
                }
                self.apply_account(now, message);
            }
        }
    }

    fn on_session(&mut self, now: Now, index: usize, session: &Session) {
        match session.kind {
            SessionKind::Login if self.link_role(index) == Some(LinkRole::Orders) => self.go_live(now, index),
            SessionKind::Login => self.recover(now, index),
            SessionKind::Subscribed => {
                let confirmed = self.links.get_mut(index).and_then(|link| match &mut link.stage {
                    Stage::Subscribing(pending) => session.id.and_then(|id| pending.remove(&id)),
                    _ => None,
                });
                for pair in confirmed.unwrap_or_default() {
                    self.feed_subscribed(now, index, &pair);
                }
                let all = |link: &Link| {
                    link.stage == Stage::Subscribing(BTreeMap::new()) && !link.unsent.subscribes()
                };
                if self.links.get(index).is_some_and(all) {
                    self.go_live(now, index);
                }
            }
            SessionKind::Expired => self.drop_link(now, index, "the venue ended the session"),
            SessionKind::Closing => self.retire(now, index, "the venue announced that it will close"),
            _ => {}
        }
    }

    fn on_refusal(&mut self, now: Now, index: usize, refusal: Refusal) {
        let error = Error {
            code: refusal.code,
            ..Error::new(refusal.cause, refusal.effect, "stream", refusal.message)
        };
        if self.links.get(index).is_some_and(|link| link.stage == Stage::LoggingIn) {
            return self.login_failed(now, index, error);
        }
        let text = error.to_string();
        self.report(now, &format!("stream:{text}"), error);
        if self.links.get(index).is_some_and(|link| matches!(link.stage, Stage::Subscribing(_))) {
            self.drop_link(now, index, &text);
        }
    }

    /// A login that credentials cannot pass ends the connector; any other is tried again on a new connection.
    pub(super) fn login_failed(&mut self, now: Now, index: usize, error: Error) {
        if matches!(error.cause, Cause::Credentials | Cause::Signature | Cause::Permission) {
            return self.fail(now, error.about("user stream"));
        }
        if error.cause == Cause::Timestamp {
            self.clock.demand();
            self.request(now, Job::ServerTime);
        }
        self.drop_link(now, index, &error.to_string());
    }

    /// Private and open. Before it counts as live, everything it may have missed is read.
    fn recover(&mut self, now: Now, index: usize) {
        if let Some(link) = self.links.get_mut(index) {
            link.deadline = Some(now.mono.after(Duration::from_secs(60)));
        }
        self.set_stage(now, index, Stage::Recovering, None);
        if mutants::is(Mutant::NoRecovery) {
            return self.go_live(now, index);
        }
        // What could not be asked while nothing got through is asked now, not when its turn comes.
        self.hurry(now, index, true);
        self.recovery = vec![Job::Balances];
        self.recovery_since = now.mono;
        // A journal that followed behind may not know all that an earlier run left open.
        if !self.tracker.is_idle() || self.recorder.looks_for_lost() {
            self.recovery.push(Job::OpenOrders(None));
        }
        self.recovery.extend(Self::recovery_jobs());
        for job in self.recovery.clone() {
            self.request(now, job);
        }
    }

    /// Asks at once what a recovery has to know. Not at the start: there nobody can listen before the connector is ready, and
    /// what an earlier run's orders were filled meanwhile is news.
    fn hurry(&mut self, now: Now, index: usize, anew: bool) {
        if self.links.get(index).is_some_and(|link| link.generation > 1) {
            let requests = &self.requests;
            self.tracker.hurry(now, anew, |id| requests.reads_order(id));
        }
    }

    /// A job of a recovery may have ended it. What was asked for before the stream was open again proves nothing: something may
    /// have happened since, and the stream did not tell of it.
    pub(super) fn recovered(&mut self, now: Now, sent: Now, job: &Job) {
        if sent.mono >= self.recovery_since {
            self.recovery.retain(|open| open != job);
        } else if self.recovery.contains(job) {
            self.request(now, job.clone());
        }
        let Some(index) = self.links.iter().position(|link| link.stage == Stage::Recovering) else { return };
        self.hurry(now, index, false);
        self.serve_orders(now);
        if self.recovery.is_empty() && !self.requests.reads_orders() {
            self.go_live(now, index);
        }
    }

    pub(super) fn on_closed(&mut self, now: Now, id: LinkId, reason: &str) {
        if let Some(index) = self.find(id) {
            let reason = self.without_key(reason).into_owned();
            self.link_lost(now, index, &reason);
        }
    }

    /// Gives a connection up that still works: one that answers are waited for on takes no more requests, and goes with the last
    /// answer.
    pub(super) fn retire(&mut self, now: Now, index: usize, reason: &str) {
        let waits = |link: &&mut Link| {
            let orders = link.spec.role == LinkRole::Orders && link.stage == Stage::Live;
            orders && link.id.is_some_and(|id| self.requests.calls_wait_on(id))
        };
        match self.links.get_mut(index).filter(waits) {
            Some(link) => link.deadline = None,
            None => self.drop_link(now, index, reason),
        }
    }

    /// Whether a connection is given up as soon as it is not waited for any more.
    pub(super) fn is_retired(&self, index: usize) -> bool {
        self.links.get(index).is_some_and(|link| {
            link.spec.role == LinkRole::Orders && link.stage == Stage::Live && link.deadline.is_none()
        })
    }

    /// Gives a connection up before it ends by itself.
    pub(super) fn drop_link(&mut self, now: Now, index: usize, reason: &str) {
        if let Some(id) = self.links.get(index).and_then(|link| link.id) {
            self.actions.push_back(Action::Close { link: id });
        }
        self.link_lost(now, index, reason);
    }

    pub(super) fn retire_by_id(&mut self, now: Now, id: LinkId, reason: &str) {
        if let Some(index) = self.find(id) {
            self.retire(now, index, reason);
        }
    }

    /// Gives the connection up that carries a channel of a pair, if it is open.
    pub(super) fn drop_link_of(&mut self, now: Now, pair: &Pair, channel: Channel, reason: &str) {
        let carrier = self.links.iter().position(|link| {
            let open = matches!(link.stage, Stage::Live | Stage::Subscribing(_));
            open && carries::<D>(link.spec, channel) && link.pairs.contains(pair)
        });
        if let Some(index) = carrier {
            self.drop_link(now, index, reason);
        }
    }

    /// News of the account came by request. A live private stream must bring them too, or it is not live.
    pub(super) fn doubt_user_link(&mut self, now: Now, asked: Now) {
        let live = self.links.iter().any(|link| link.spec.role == LinkRole::User && link.is_live());
        if live && self.account_heard < asked.mono && !self.user_link_doubted {
            self.user_link_doubted = true;
            self.set_timer(now.mono.after(GRACE), Timer::DoubtUserLink(asked.mono));
        }
    }

    pub(super) fn check_user_link(&mut self, now: Now, asked: Mono) {
        self.user_link_doubted = false;
        let index = self.links.iter().position(|link| link.spec.role == LinkRole::User && link.is_live());
        if let Some(index) = index.filter(|_| self.account_heard < asked) {
            self.drop_link(now, index, "the connection lives, but the private stream delivers nothing");
        }
    }

    pub(super) fn link_lost(&mut self, now: Now, index: usize, reason: &str) {
        let Some(link) = self.links.get_mut(index) else { return };
        let lived = link.opened > Mono(0) && now.mono.since(link.opened) >= PROVEN;
        link.attempts = if lived { 0 } else { link.attempts + 1 };
        let lost = link.id.take();
        link.ended = Some(SmolStr::new(reason));
        link.deadline = None;
        link.opened = Mono(0);
        link.unsent.forget();
        let attempt = link.attempts.saturating_sub(1);
        let pairs = link.pairs.clone();
        let name = link.spec.name;
        self.set_stage(now, index, Stage::Down, Some(reason));
        self.feeds_cut(now, index, &pairs, reason);
        if attempt >= 3 {
            let problem = Error::new(Cause::Network, Effect::NotSent, "stream", reason).about(name);
            self.report(now, &format!("link:{name}:{reason}"), problem);
        }
        let wait = self.backoff(Duration::from_millis(100), Duration::from_secs(10), attempt);
        self.set_timer(now.mono.after(wait), Timer::Reconnect(index));
        if let Some(lost) = lost {
            self.calls_lost(now, lost, reason);
        }
    }

    /// Ends what has waited or been silent for too long.
    pub(super) fn watch_links(&mut self, now: Now) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else { continue };
            let due = link.deadline.is_some_and(|at| at <= now.mono);
            let silent = link.opened > Mono(0) && now.mono >= link.heard.after(link.spec.max_silence * 2);
            let reason = match (&link.stage, due, silent) {
                (Stage::Down | Stage::Connecting, _, _) | (_, false, false) => continue,
                (_, _, true) => "nothing was heard from the venue",
                (Stage::Live, _, _) => {
                    self.retire(now, index, "planned renewal before the venue's own limit");
                    continue;
                }
                (Stage::LoggingIn, _, _) => "the login was not answered",
                (Stage::Subscribing(_), _, _) => "a subscription was not confirmed",
                (Stage::Recovering, _, _) => "what was missed could not be read in time",
            };
            self.drop_link(now, index, reason);
        }
    }

    pub(super) fn links_deadline(&self) -> Option<Mono> {
        self.links
            .iter()
            .filter(|link| link.opened > Mono(0))
            .flat_map(|link| [link.deadline, Some(link.heard.after(link.spec.max_silence * 2))])
            .flatten()
            .min()
    }

    pub(super) fn close_all_links(&mut self) {
        for link in &mut self.links {
            if let Some(link_id) = link.id.take() {
                self.actions.push_back(Action::Close { link: link_id });
            }
            link.stage = Stage::Down;
            link.span = Span::none();
            self.config.meter.link(link.spec.name, Vec::new);
        }
    }
}
