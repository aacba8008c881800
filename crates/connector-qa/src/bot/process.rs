//! The bot as whoever started it sees it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc;

use super::{COMMAND, Job, Order, Said, State};
use crate::bench::{Failure, PATIENCE};

/// What was said and not yet heard; a bot that says more waits.
const UNHEARD: usize = 1_024;
/// How often it is looked whether a process that should end has ended.
const LOOK: Duration = Duration::from_millis(2);

/// A bot's process. Dropping it kills it.
pub struct Process {
    child: Child,
    input: ChildStdin,
    said: mpsc::Receiver<String>,
    /// All that it has said so far.
    pub heard: Vec<Said>,
}

impl Process {
    /// Starts one; `program` is a runner of the connector. It says its state when everything is live.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, job: &Job) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("{} cannot be started: {error}", program.display())))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("a process without input and output"));
        };
        let (sender, said) = mpsc::channel(UNHEARD);
        // Reads to the end of the process, whose death ends it.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Self { child, input, said, heard: Vec::new() };
        process.give(job)?;
        Ok(process)
    }

    fn give(&mut self, what: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(what).map_err(Failure::new)?;
        writeln!(self.input, "{text}").and_then(|()| self.input.flush()).map_err(|error| {
            Failure(format!("the bot takes no orders: {error}; last heard: {:?}", self.heard.last()))
        })
    }

    /// Tells it to do something.
    ///
    /// # Errors
    /// It has ended.
    pub fn tell(&mut self, order: Order) -> Result<(), Failure> {
        self.give(&order)
    }

    /// What it says next; a problem is an error.
    ///
    /// # Errors
    /// It has a problem, has ended, or says nothing.
    pub async fn hear(&mut self) -> Result<Said, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.said.recv()).await;
        let last = || format!("last heard: {:?}", self.heard.last());
        let line = line.map_err(|_| Failure(format!("the bot says nothing; {}", last())))?;
        let line = line.ok_or_else(|| Failure(format!("the bot has ended; {}", last())))?;
        let said: Said = serde_json::from_str(&line)
            .map_err(|error| Failure(format!("the bot says `{line}`: {error}")))?;
        self.heard.push(said.clone());
        match said {
            Said::Problem(why) => Err(Failure(format!("a bot's problem: {why}"))),
            said => Ok(said),
        }
    }

    /// Its state, which it has been asked for or tells by itself when it is ready.
    ///
    /// # Errors
    /// See [`hear`](Self::hear).
    pub async fn state(&mut self) -> Result<State, Failure> {
        loop {
            if let Said::State(state) = self.hear().await? {
                return Ok(state);
            }
        }
    }

    /// Kills it: the system ends it between two of its instructions, and nothing of its own runs any more.
    ///
    /// # Errors
    /// It had ended before, by itself.
    pub fn kill(&mut self) -> Result<(), Failure> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(Failure(format!("the bot ended by itself: {status}; {:?}", self.heard.last())));
        }
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(Failure::new)
    }

    /// Tells it to stop and hears it out; what it said of its end.
    ///
    /// # Errors
    /// It has a problem, leaves something open or not stored, or does not end well.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        self.tell(Order::Stop)?;
        loop {
            match self.hear().await? {
                Said::Stopped { open, unrecorded: 0 } if open.is_empty() => break,
                stopped @ Said::Stopped { .. } => {
                    return Err(Failure(format!("a stop left something: {stopped:?}")));
                }
                _ => {}
            }
        }
        let status = self.ended().await?;
        if status.success() { Ok(()) } else { Err(Failure(format!("a stopped bot ended with {status}"))) }
    }

    async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().map_err(Failure::new)? {
                Some(status) => return Ok(status),
                None if Instant::now() > end => return Err(Failure::new("a stopped bot does not end")),
                // The system tells nobody that it has ended but those who ask.
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
