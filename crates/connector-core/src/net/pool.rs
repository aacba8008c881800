//! Kept connections to the venue's requests, each with one exchange at a time.
//!
//! A request is written by whoever makes it, on their thread, before the call returns: an idle connection is taken and polled
//! right there. Its own task does the rest: it waits for the answer, for the deadline, and for the venue to hang up. One
//! connection more than is needed is kept open, so that no order waits for a handshake; when the venue closes an idle one, its
//! successor is opened at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Uri};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;

use super::http::{Base, Connector, chain, connector, read};
use super::{Driver, lock};
use crate::error::Error;
use crate::wire::{HttpRequest, HttpResponse, Input, RequestId, TransportError};

/// Idle connections kept however long they are not used.
const SPARES: usize = 1;
/// How long the others are kept.
const IDLE: Duration = Duration::from_secs(55);
/// Longest sleep of a connection's task; no longer than the usual patience, so that sending need not wake it.
const TICK: Duration = Duration::from_secs(5);
/// How long a connection must have lived for its successor to follow at once.
const PROVEN: Duration = Duration::from_secs(5);
/// Longest wait before a spare is tried again.
const REST: Duration = Duration::from_secs(60);
/// Longest wait for a spare to open.
const OPENING: Duration = Duration::from_secs(10);
/// Polls in a row before others get their turn.
const MOST_POLLS: usize = 32;
/// Connections that may turn out to be closed before a request is given up.
const MOST_TRIES: u8 = 4;

type Boxed = Box<dyn std::error::Error + Send + Sync>;
type Outgoing = Request<Full<Bytes>>;
type Stream = <Connector as Service<Uri>>::Response;
type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse, Failure>> + Send>>;

/// Why an exchange has no answer.
enum Failure {
    /// Not a byte of it was written.
    Unsent(Box<Outgoing>),
    Transport(TransportError),
}

/// Whose request it is.
struct Call {
    driver: Arc<Driver>,
    id: RequestId,
    deadline: Instant,
    tries: u8,
}

impl Call {
    fn answer(self, result: Result<HttpResponse, TransportError>) {
        let id = self.id;
        self.driver.input(Input::Http { id, result });
    }

    fn not_sent(self, why: impl Into<String>) {
        self.answer(Err(TransportError::NotSent(why.into())));
    }
}

const QUIET: u8 = 0;
const POLLING: u8 = 1;
const CALLED: u8 = 2;

/// Where a connection's wake-ups go: back to whoever is polling it, else to its task.
#[derive(Default)]
struct Bell {
    state: AtomicU8,
    task: Notify,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(CALLED, Ordering::AcqRel) == QUIET {
            self.task.notify_one();
        }
    }
}

/// One connection.
struct Lane {
    bell: Arc<Bell>,
    waker: Waker,
    wire: Mutex<Wire>,
}

/// What of a connection is only touched by one thread at a time.
struct Wire {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is closed.
    connection: Option<Box<Connection<Stream, Full<Bytes>>>>,
    exchange: Option<(Call, Answer)>,
    finished: Option<(Call, Result<HttpResponse, Failure>)>,
    /// It waits for work, and the pool knows.
    idle: bool,
    opened: Instant,
    used: Instant,
    /// Until when its task sleeps.
    tick: Instant,
}

impl Wire {
    fn poll(&mut self, context: &mut Context<'_>) {
        self.poll_connection(context);
        if let Some((_, answer)) = &mut self.exchange
            && let Poll::Ready(result) = answer.as_mut().poll(context)
        {
            self.finished = self.exchange.take().map(|(call, _)| (call, result));
            // It has to be looked at once more to be ready for the next.
            self.poll_connection(context);
        }
    }

    fn poll_connection(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection.as_mut()).poll(context).is_ready()
        {
            // What it failed by, if it did, the exchange is told.
            self.connection = None;
        }
    }

    /// Ends an exchange whose time is over. The connection is lost with it: the answer may still come.
    fn expire(&mut self, now: Instant) {
        if let Some((call, _)) = self.exchange.take_if(|(call, _)| call.deadline <= now) {
            self.connection = None;
            self.finished = Some((call, Err(Failure::Transport(TransportError::Timeout))));
        }
    }
}

/// What the task of a connection has to do next.
struct Step {
    finished: Option<(Call, Result<HttpResponse, Failure>)>,
    /// It became idle.
    freed: bool,
    /// It has been idle for long.
    stale: bool,
    over: bool,
    tick: Instant,
}

impl Lane {
    fn new(sender: SendRequest<Full<Bytes>>, connection: Connection<Stream, Full<Bytes>>) -> Arc<Self> {
        let bell = Arc::<Bell>::default();
        let now = Instant::now();
        let wire = Wire {
            sender,
            connection: Some(Box::new(connection)),
            exchange: None,
            finished: None,
            idle: false,
            opened: now,
            used: now,
            tick: now + TICK,
        };
        let waker = Waker::from(Arc::clone(&bell));
        Arc::new(Self { bell, waker, wire: Mutex::new(wire) })
    }

    /// Polls until nothing moves any more.
    fn poll(&self, wire: &mut Wire) {
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..MOST_POLLS {
            self.bell.state.store(POLLING, Ordering::Release);
            // A caller's task may have used up its share of the scheduler's patience; the connection must not wait for that.
            let polled = pin!(unconstrained(poll_fn(|context| {
                wire.poll(context);
                Poll::Ready(())
            })));
            let _ = polled.poll(&mut context);
            let quiet =
                self.bell.state.compare_exchange(POLLING, QUIET, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if quiet {
                return;
            }
        }
        self.bell.task.notify_one();
    }

    /// Writes a request, or gives it back if the connection turns out to be closed.
    fn start(&self, call: Call, request: Outgoing) -> Result<(), Box<(Call, Outgoing)>> {
        let mut wire = lock(&self.wire);
        if wire.connection.is_none() || !wire.sender.is_ready() {
            return Err(Box::new((call, request)));
        }
        // What the request itself rings for is done right below.
        self.bell.state.store(POLLING, Ordering::Release);
        let sending = wire.sender.try_send_request(request);
        let answer = async move {
            match sending.await {
                Ok(response) => read(response).await.map_err(Failure::Transport),
                Err(mut failed) => Err(match failed.take_message() {
                    Some(request) => Failure::Unsent(Box::new(request)),
                    None => Failure::Transport(TransportError::Broken(chain(failed.error()))),
                }),
            }
        };
        wire.idle = false;
        wire.used = Instant::now();
        let sooner = call.deadline < wire.tick;
        wire.exchange = Some((call, Box::pin(answer)));
        self.poll(&mut wire);
        if sooner || wire.finished.is_some() || wire.connection.is_none() {
            self.bell.task.notify_one();
        }
        Ok(())
    }

    fn step(&self) -> Step {
        let mut wire = lock(&self.wire);
        self.poll(&mut wire);
        let now = Instant::now();
        if wire.finished.is_none() {
            wire.expire(now);
        }
        let free = wire.exchange.is_none() && wire.connection.is_some() && wire.sender.is_ready();
        let freed = free && !wire.idle;
        wire.idle |= freed;
        let deadline = wire.exchange.as_ref().map(|(call, _)| call.deadline);
        wire.tick = deadline.unwrap_or(now + TICK).min(now + TICK);
        Step {
            finished: wire.finished.take(),
            freed,
            stale: wire.idle && now.duration_since(wire.used) >= IDLE,
            over: wire.connection.is_none() && wire.exchange.is_none(),
            tick: wire.tick,
        }
    }

    fn close(&self) {
        let mut wire = lock(&self.wire);
        if wire.exchange.is_none() {
            wire.connection = None;
        }
        self.bell.task.notify_one();
    }
}

#[derive(Default)]
struct State {
    /// The one used last is last.
    idle: Vec<Arc<Lane>>,
    opening: usize,
    /// Wait for a connection; never more than are being opened.
    waiting: VecDeque<(Call, Outgoing)>,
    /// Spares that could not be opened, or did not live, in a row.
    failures: u32,
    /// A spare is going to be tried after a rest.
    rests: bool,
    closed: bool,
}

impl State {
    fn lacks_spare(&self) -> bool {
        let free = self.idle.len() + self.opening.saturating_sub(self.waiting.len());
        !self.closed && !self.rests && free < SPARES
    }
}

/// The connections to one base URL.
pub(super) struct Pool {
    base: Base,
    runtime: Handle,
    state: Mutex<State>,
}

impl Pool {
    /// A pool without connections, whose tasks run on the current runtime.
    pub(super) fn new(base: &str) -> Result<Arc<Self>, Error> {
        let (base, runtime) = (Base::new(base)?, Handle::current());
        Ok(Arc::new(Self { base, runtime, state: Mutex::default() }))
    }

    /// Sends a request; its answer is put into `driver`'s engine, never before this returns.
    pub(super) fn send(
        self: &Arc<Self>,
        driver: &Arc<Driver>,
        id: RequestId,
        request: HttpRequest,
        patience: Duration,
    ) {
        let call = Call { driver: Arc::clone(driver), id, deadline: Instant::now() + patience, tries: 0 };
        match self.base.request(request) {
            Ok(request) => self.dispatch(call, request),
            Err(error) => drop(self.runtime.spawn(async move { call.answer(Err(error)) })),
        }
    }

    fn dispatch(self: &Arc<Self>, mut call: Call, mut request: Outgoing) {
        call.tries += 1;
        loop {
            let lane = lock(&self.state).idle.pop();
            let Some(lane) = lane else { break };
            match lane.start(call, request) {
                Ok(()) => return self.keep_spare(),
                Err(unsent) => (call, request) = *unsent,
            }
        }
        let patience = call.deadline.saturating_duration_since(Instant::now());
        let mut state = lock(&self.state);
        state.waiting.push_back((call, request));
        state.opening += 1;
        drop(state);
        self.runtime.spawn(Arc::clone(self).open(patience));
        self.keep_spare();
    }

    /// Opens one connection more if none would be left for the next request.
    fn keep_spare(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.lacks_spare() {
            state.opening += 1;
            drop(state);
            self.runtime.spawn(Arc::clone(self).open(OPENING));
        }
    }

    async fn open(self: Arc<Self>, patience: Duration) {
        let opened = timeout(patience, async {
            let stream = connector()
                .call(self.base.uri.clone())
                .await
                .map_err(|error| chain(Boxed::from(error).as_ref()))?;
            handshake(stream).await.map_err(|error| chain(&error))
        });
        let opened = opened.await.unwrap_or_else(|_| Err("no connection in time".to_owned()));
        lock(&self.state).opening -= 1;
        match opened {
            Ok((sender, connection)) => {
                let lane = Lane::new(sender, connection);
                self.runtime.spawn(Arc::clone(&lane).keep(Arc::clone(&self)));
                // Its task finds it free.
                lane.bell.task.notify_one();
            }
            Err(why) => {
                let waiting = lock(&self.state).waiting.pop_front();
                match waiting {
                    Some((call, _)) => call.not_sent(why),
                    None => self.rest(),
                }
            }
        }
    }

    /// Tries a spare again later, each time later than the last.
    fn rest(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.rests || state.closed {
            return;
        }
        state.rests = true;
        let wait = Duration::from_secs(1 << state.failures.min(6)).min(REST);
        state.failures = state.failures.saturating_add(1);
        drop(state);
        let pool = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(pool) = pool.upgrade() {
                lock(&pool.state).rests = false;
                pool.keep_spare();
            }
        });
    }

    /// A connection has nothing to do: it takes what waits, or waits itself.
    fn offer(self: &Arc<Self>, lane: &Arc<Lane>) {
        let mut state = lock(&self.state);
        let Some((call, request)) = state.waiting.pop_front() else {
            if !state.closed {
                return state.idle.push(Arc::clone(lane));
            }
            drop(state);
            return lane.close();
        };
        drop(state);
        if let Err(unsent) = lane.start(call, request) {
            let (call, request) = *unsent;
            self.dispatch(call, request);
        }
    }

    /// A connection has ended.
    fn ended(self: &Arc<Self>, lane: &Arc<Lane>) {
        let proven = lock(&lane.wire).opened.elapsed() >= PROVEN;
        let mut state = lock(&self.state);
        state.idle.retain(|idle| !Arc::ptr_eq(idle, lane));
        if proven {
            state.failures = 0;
        }
        let lacks = state.lacks_spare();
        drop(state);
        match (lacks, proven) {
            (true, true) => self.keep_spare(),
            (true, false) => self.rest(),
            _ => {}
        }
    }

    /// Takes a connection out of use that has been idle for long, unless it is the spare.
    fn retire(&self, lane: &Arc<Lane>) {
        let mut state = lock(&self.state);
        let place = state.idle.iter().position(|idle| Arc::ptr_eq(idle, lane));
        if let Some(place) = place.filter(|_| state.idle.len() > SPARES) {
            state.idle.remove(place);
            drop(state);
            lane.close();
        }
    }

    fn deliver(self: &Arc<Self>, call: Call, result: Result<HttpResponse, Failure>) {
        match result {
            Ok(response) => call.answer(Ok(response)),
            Err(Failure::Transport(error)) => call.answer(Err(error)),
            Err(Failure::Unsent(_)) if call.tries >= MOST_TRIES => call.not_sent("the venue hangs up"),
            Err(Failure::Unsent(request)) => self.dispatch(call, *request),
        }
    }

    /// Closes what is idle, and the rest as soon as it is.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        for lane in idle {
            lane.close();
        }
    }
}

impl Lane {
    /// The life of a connection.
    async fn keep(self: Arc<Self>, pool: Arc<Pool>) {
        let mut tick = pin!(sleep_until(Instant::now() + TICK));
        loop {
            tokio::select! {
                biased;
                () = self.bell.task.notified() => {}
                () = &mut tick => {}
            }
            let step = self.step();
            if step.freed {
                pool.offer(&self);
            }
            if step.over {
                pool.ended(&self);
            }
            if let Some((call, result)) = step.finished {
                pool.deliver(call, result);
            }
            if step.over {
                return;
            }
            if step.stale {
                pool.retire(&self);
            }
            if step.tick < tick.deadline() || tick.is_elapsed() {
                tick.as_mut().reset(step.tick);
            }
        }
    }
}
