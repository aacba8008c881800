//! The bot itself, in its own process, on the public interface alone.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write};
use std::thread;

use connector_core::dialect::Dialect;
use connector_core::journal::{Durability, SqliteJournal};
use connector_core::{ClientOrderId, Connector, Event, OwnOrders};
use tokio::sync::mpsc;

use super::{Job, Known, Order, Said, State};
use crate::bench::{Failure, PATIENCE};

/// Orders given and not yet read; whoever gives them waits for what comes of each.
const ORDERS: usize = 16;

/// Reads what is given. When that ends, so does the process, whatever it is doing: as by a kill.
fn listen() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(ORDERS);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
        std::process::exit(1);
    });
    receiver
}

fn say(out: &mut dyn Write, said: &Said) -> Result<(), Failure> {
    let text = serde_json::to_string(said).map_err(Failure::new)?;
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::new)
}

/// Trades until told to stop.
pub(crate) async fn trade<D: Dialect>(dialect: D, out: &mut dyn Write) -> Result<(), Failure> {
    let told = run(dialect, out).await;
    if let Err(failure) = &told {
        say(out, &Said::Problem(failure.0.clone()))?;
    }
    told
}

async fn run<D: Dialect>(dialect: D, out: &mut dyn Write) -> Result<(), Failure> {
    let mut given = listen();
    let job = given.recv().await.ok_or_else(|| Failure::new("no job was given"))?;
    let job: Job = serde_json::from_str(&job).map_err(Failure::new)?;
    let connector = Connector::builder(dialect)
        .urls(job.urls())
        .credentials(job.credentials())
        .pairs([job.pair.clone()])
        .journal(SqliteJournal::open(&job.journal)?)
        .durability(Durability::Intent)
        .connect_timeout(PATIENCE)
        .connect()
        .await?;
    let mut events = connector.events();
    say(out, &Said::State(state(&connector)))?;
    let mut bot = Bot { job, connector, placed: 0, running: BTreeSet::new(), held: None };
    loop {
        tokio::select! {
            order = given.recv() => match order.as_deref().map(serde_json::from_str) {
                Some(Ok(Order::Trade)) => {
                    bot.begin()?;
                    bot.feed(out)?;
                }
                Some(Ok(Order::Look)) => say(out, &Said::State(state(&bot.connector)))?,
                Some(Ok(Order::Stop)) => break,
                Some(Err(wrong)) => return Err(Failure::new(wrong)),
                None => return Err(Failure::new("no more orders come")),
            },
            event = events.next() => match event {
                Some(Ok(event)) => bot.follow(&event, out)?,
                Some(Err(lagged)) => return Err(Failure::new(lagged)),
                None => return Err(Failure::new("the connector ended")),
            },
        }
    }
    let report = bot.connector.close(OwnOrders::Cancel, PATIENCE).await;
    // What happened between the order and the end belongs to the story.
    while let Ok(Some(Ok(event))) = tokio::time::timeout(std::time::Duration::ZERO, events.next()).await {
        tell(&event, out)?;
    }
    say(out, &Said::Stopped { open: report.open, unrecorded: report.unrecorded })
}

fn state(connector: &Connector) -> State {
    let known = |order: &connector_core::order::TrackedOrder| Known {
        id: order.client_order_id().clone(),
        state: order.state(),
        executed: order.executed().base,
    };
    let balances = connector.balances();
    State {
        open: connector.open_orders().iter().map(known).collect(),
        balances: balances
            .into_iter()
            .map(|(asset, balance)| (asset, (balance.total, balance.available)))
            .collect(),
    }
}

/// Tells of an event, if it is one that counts.
fn tell(event: &Event, out: &mut dyn Write) -> Result<(), Failure> {
    let said = match event {
        Event::OrderCreated(created) => Said::Created(created.order.client_order_id.clone()),
        Event::OrderFilled(fill) => Said::Filled(fill.order.client_order_id.clone()),
        Event::Problem { error, .. } => Said::Problem(error.to_string()),
        event if event.is_terminal() => match event.order() {
            Some(order) => Said::Ended(order.client_order_id.clone()),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    say(out, &said)
}

struct Bot {
    job: Job,
    connector: Connector,
    placed: usize,
    running: BTreeSet<ClientOrderId>,
    /// Orders that are left open, once trading has begun.
    held: Option<BTreeSet<ClientOrderId>>,
}

impl Bot {
    /// Whatever earlier runs left is to end as all orders of a cycle do.
    fn begin(&mut self) -> Result<(), Failure> {
        self.held = Some(BTreeSet::new());
        for order in self.connector.open_orders() {
            self.connector.cancel(order.client_order_id())?;
        }
        Ok(())
    }

    /// Places what may run now.
    fn feed(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let Some(held) = &mut self.held else { return Ok(()) };
        while self.placed < self.job.cycles + self.job.hold && self.running.len() < self.job.together {
            let holds = self.placed >= self.job.cycles;
            let index = if holds { 0 } else { self.placed % self.job.orders.len().max(1) };
            let wish = self.job.orders.get(index).copied();
            let wish = wish.ok_or_else(|| Failure::new("the job has no orders"))?;
            let id = self.connector.place(wish.order(&self.job.pair))?;
            self.placed += 1;
            if holds {
                held.insert(id.clone());
            }
            self.running.insert(id);
        }
        if self.running.is_empty() {
            let held = held.iter().cloned().collect();
            // Told once.
            self.held = None;
            say(out, &Said::Done(held))?;
        }
        Ok(())
    }

    fn follow(&mut self, event: &Event, out: &mut dyn Write) -> Result<(), Failure> {
        tell(event, out)?;
        let Some(id) = event.order().map(|order| &order.client_order_id) else { return Ok(()) };
        if matches!(event, Event::OrderCreated(_)) && self.running.contains(id) {
            if self.held.as_ref().is_some_and(|held| held.contains(id)) {
                self.running.remove(id);
            } else {
                self.connector.cancel(id)?;
            }
        }
        if event.is_terminal() {
            self.running.remove(id);
        }
        self.feed(out)
    }
}
