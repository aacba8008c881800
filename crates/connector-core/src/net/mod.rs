//! The network driver: the only I/O of the core. It carries out an engine's actions over HTTP and WebSocket with tokio.
//!
//! There is no task between a socket and the engine: whoever has news (a link's reader, a finished request, a timer, a
//! user's call) locks the engine, feeds it, and carries out what it then asks for. The lock is held for pure computation
//! only, never across an `await`.

mod http;
mod pool;
mod socket;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::engine::Trading;
use crate::error::Error;
use crate::event::Event;
use crate::journal::{Durability, Outcome, SharedJournal, Writer};
use crate::time::{Mono, Now, UnixNanos};
use crate::wire::{Action, Input, LinkId};

/// Frames waiting to be written to one link; more than this means the venue has stopped reading.
const LINK_QUEUE: usize = 256;

/// An engine, its sockets and its subscribers.
pub(crate) struct Driver {
    engine: Mutex<Box<dyn Trading>>,
    events: broadcast::Sender<Event>,
    /// Everything told since the start, for whoever asks for events first: what is found out while connecting, such as that an
    /// order of an earlier run has been filled, would else be told to nobody.
    first: Mutex<Option<broadcast::Receiver<Event>>>,
    event_capacity: usize,
    links: Mutex<HashMap<LinkId, mpsc::Sender<socket::Outgoing>>>,
    requests: Arc<pool::Pool>,
    runtime: tokio::runtime::Handle,
    origin: Instant,
    /// The deadline the timer task sleeps towards, in nanoseconds since `origin`.
    armed: AtomicU64,
    rearm: Notify,
    /// Counts the engine's turns, so that waiters see that something may have changed.
    turns: watch::Sender<u64>,
    stopped: watch::Sender<bool>,
    writer: OnceLock<Writer>,
}

impl Driver {
    /// Starts driving the engine that `make` makes, on the current runtime.
    pub(crate) fn start(
        make: impl FnOnce(Now) -> Result<Box<dyn Trading>, Error>,
        rest_url: &str,
        event_capacity: usize,
        journal: Option<(SharedJournal, Durability)>,
    ) -> Result<Arc<Self>, Error> {
        let origin = Instant::now();
        let (events, first) = broadcast::channel(event_capacity);
        let driver = Arc::new(Self {
            engine: Mutex::new(make(read_clocks(origin))?),
            events,
            first: Mutex::new(Some(first)),
            event_capacity,
            links: Mutex::default(),
            requests: pool::Pool::new(rest_url)?,
            runtime: tokio::runtime::Handle::current(),
            origin,
            armed: AtomicU64::new(u64::MAX),
            rearm: Notify::new(),
            turns: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            writer: OnceLock::new(),
        });
        if let Some((journal, durability)) = journal {
            driver.start_writer(journal, durability)?;
        }
        driver.runtime.spawn(Arc::clone(&driver).run_timer());
        driver.turn(|engine, now| engine.start(now));
        Ok(driver)
    }

    fn start_writer(self: &Arc<Self>, journal: SharedJournal, durability: Durability) -> Result<(), Error> {
        // Weak, so that the writer's thread ends when the driver does.
        let driver = Arc::downgrade(self);
        let writer = Writer::start(journal, durability, move |outcome| {
            let Some(driver) = driver.upgrade() else { return false };
            driver.turn(|engine, now| match outcome {
                Outcome::Stored(through) => engine.recorded(now, through),
                Outcome::Failed(error) => engine.record_failed(now, error),
            });
            true
        })?;
        // Set once, before the first turn.
        let _ = self.writer.set(writer);
        Ok(())
    }

    /// Stops: closes all links and ends all tasks.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
        lock(&self.links).clear();
        self.requests.close();
        self.rearm.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.drop_lagging_first();
        lock(&self.first).take().unwrap_or_else(|| self.events.subscribe())
    }

    /// Where nobody has asked for events until too many were told, the first who asks hears from then on.
    fn drop_lagging_first(&self) {
        lock(&self.first).take_if(|first| first.len() > self.event_capacity);
    }

    /// Reads the engine's state, consistent at one instant.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&dyn Trading) -> R) -> R {
        look(lock(&self.engine).as_ref())
    }

    /// Reads what depends on the time, or changes what nothing follows from: nobody is woken.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut dyn Trading, Now) -> R) -> R {
        look(lock(&self.engine).as_mut(), self.now())
    }

    /// Gives the engine something to do and carries out what follows.
    pub(crate) fn turn<R>(self: &Arc<Self>, act: impl FnOnce(&mut dyn Trading, Now) -> R) -> R {
        let mut engine = lock(&self.engine);
        let result = act(engine.as_mut(), self.now());
        self.carry_out(engine);
        result
    }

    /// Tells the engine what has happened, and carries out what follows, if anything does.
    pub(crate) fn input(self: &Arc<Self>, input: Input<'_>) {
        let mut engine = lock(&self.engine);
        if engine.input(self.now(), input) {
            return self.carry_out(engine);
        }
        self.publish(engine.as_mut());
        drop(engine);
        self.count_turn();
    }

    fn publish(&self, engine: &mut dyn Trading) {
        while let Some(event) = engine.event() {
            // No subscriber is no error.
            let _ = self.events.send(event);
        }
    }

    fn count_turn(&self) {
        // Whoever subscribes after this look finds in the engine what this turn has done.
        if self.turns.receiver_count() > 0 {
            self.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
        }
    }

    fn carry_out(self: &Arc<Self>, mut engine: MutexGuard<'_, Box<dyn Trading>>) {
        let mut recorded = false;
        while let Some(entry) = engine.record() {
            if let Some(writer) = self.writer.get() {
                writer.write(entry);
                recorded = true;
            }
        }
        self.publish(engine.as_mut());
        // Links are told under the lock, so that they hear in order. Requests, each on a connection of its own, are written
        // after it, so that nobody waits for the kernel to take one.
        let (mut first, mut others) = (None, Vec::new());
        while let Some(action) = engine.action() {
            match action {
                Action::Http { id, request, timeout } if first.is_none() => {
                    first = Some((id, request, timeout));
                }
                Action::Http { id, request, timeout } => others.push((id, request, timeout)),
                action => self.perform(action),
            }
        }
        let deadline = engine.deadline().map_or(u64::MAX, |at| at.0);
        drop(engine);
        for (id, request, timeout) in first.into_iter().chain(others) {
            self.requests.send(self, id, request, timeout);
        }
        // Waking other threads costs, so it comes last. An order that must not leave before its intent is stored is no request
        // yet.
        if let Some(writer) = self.writer.get().filter(|_| recorded) {
            writer.wake();
        }
        if deadline < self.armed.load(Ordering::Acquire) {
            self.rearm.notify_one();
        }
        self.count_turn();
    }

    /// Waits until `answer` has one, looking again after every turn of the engine.
    pub(crate) async fn wait_for<R>(&self, mut answer: impl FnMut(&dyn Trading) -> Option<R>) -> R {
        let mut turns = self.turns.subscribe();
        loop {
            turns.mark_unchanged();
            if let Some(result) = self.read(&mut answer) {
                return result;
            }
            // The sender lives as long as `self`.
            let _ = turns.changed().await;
        }
    }

    fn now(&self) -> Now {
        read_clocks(self.origin)
    }

    fn perform(self: &Arc<Self>, action: Action) {
        match action {
            Action::Http { id, request, timeout } => self.requests.send(self, id, request, timeout),
            Action::Connect { link, url, timeout } => {
                let (sender, receiver) = mpsc::channel(LINK_QUEUE);
                lock(&self.links).insert(link, sender.clone());
                let driver = Arc::clone(self);
                self.runtime.spawn(async move {
                    let reason = socket::run(&driver, link, &url, timeout, sender, receiver).await;
                    lock(&driver.links).remove(&link);
                    driver.input(Input::Closed { link, reason });
                });
            }
            Action::Send { link, text } => {
                let mut links = lock(&self.links);
                let full = links
                    .get(&link)
                    .is_some_and(|sender| sender.try_send(socket::Outgoing::Text(text)).is_err());
                if full {
                    // Dropping the sender ends the link's task, and the engine hears that it closed.
                    links.remove(&link);
                }
            }
            Action::Close { link } => {
                lock(&self.links).remove(&link);
            }
        }
    }

    async fn run_timer(self: Arc<Self>) {
        let mut stopped = self.stopped.subscribe();
        while !*stopped.borrow_and_update() {
            self.drop_lagging_first();
            let deadline = self.read(|engine| engine.deadline()).map_or(u64::MAX, |at| at.0);
            self.armed.store(deadline, Ordering::Release);
            let wait = deadline.saturating_sub(self.now().mono.0);
            if wait == 0 {
                self.turn(|engine, now| engine.wake(now));
                // A deadline that stays in the past must not starve the runtime.
                tokio::task::yield_now().await;
                continue;
            }
            let sleep = tokio::time::sleep(Duration::from_nanos(wait.min(3_600_000_000_000)));
            tokio::select! {
                () = sleep => self.turn(|engine, now| engine.wake(now)),
                () = self.rearm.notified() => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

/// A panic in another thread's turn does not make the state unreadable: it is a value that was between two steps.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_clocks(origin: Instant) -> Now {
    Now { mono: Mono(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)), utc: read_utc() }
}

/// The machine's clock.
pub(crate) fn read_utc() -> UnixNanos {
    let utc = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(utc.as_nanos()).unwrap_or(i64::MAX))
}
