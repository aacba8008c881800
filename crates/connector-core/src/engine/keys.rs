//! Keys of private streams: fetched for every connection, kept alive, replaced when they end.
//!
//! A key is asked for anew before each connection, not only when the last one is known to be dead: venues answer with the
//! valid one or a new one, and a connection with a dead key would deliver nothing and say nothing.

use std::borrow::Cow;
use std::time::Duration;

use smol_str::SmolStr;

use super::links::Link;
use super::requests::Job;
use super::{Engine, Timer};
use crate::dialect::{Dialect, LinkSpec, Login, StreamKeyQuery, StreamKeyRest};
use crate::error::{Cause, Effect, Error};
use crate::message::Message;
use crate::time::{Mono, Now};

/// What stands in a link's URL in place of the key.
const PLACE: &str = "<key>";

/// The key of the private streams. Never shown: whoever has it can read the account.
#[derive(Default)]
pub(super) struct StreamKeys {
    key: Option<SmolStr>,
    /// When what last began or prolonged its life was asked for.
    kept: Mono,
    /// How often in a row none was given.
    failures: u32,
    /// Counts the keys, so that a timer of an old one does nothing.
    generation: u64,
}

/// Whether a link needs a key.
pub(super) const fn needs_key(spec: &LinkSpec) -> bool {
    matches!(spec.login, Login::Key)
}

impl<D: Dialect> Engine<D> {
    const fn key_rest() -> Option<&'static StreamKeyRest> {
        D::REST.stream_key.as_ref()
    }

    /// A link's URL with the key in its place.
    pub(super) fn url_with_key(&self, spec: &LinkSpec, url: &str) -> String {
        match &self.keys.key {
            Some(key) if needs_key(spec) => url.replace(PLACE, key),
            _ => url.to_owned(),
        }
    }

    /// A text from the network without the key: drivers name the URL they could not open.
    pub(super) fn without_key<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.keys.key {
            Some(key) if !key.is_empty() && text.contains(key.as_str()) => {
                text.replace(key.as_str(), PLACE).into()
            }
            _ => text.into(),
        }
    }

    /// The key that is to be kept alive.
    pub(super) fn key_query(&self) -> Option<StreamKeyQuery> {
        Some(StreamKeyQuery { key: self.keys.key.clone()? })
    }

    /// A key was given: links that wait for one can be opened.
    pub(super) fn take_key(&mut self, now: Now, sent: Now, messages: Vec<Message>) {
        let key = messages.into_iter().find_map(|message| match message {
            Message::StreamKey(told) if !told.key.is_empty() => Some(told.key),
            _ => None,
        });
        let (Some(key), Some(rest)) = (key, Self::key_rest()) else {
            let text = "the answer holds no key";
            let error = Error::new(Cause::Malformed, Effect::NotSent, "stream_key", text);
            return self.key_failed(now, error);
        };
        self.keys.key = Some(key);
        self.keys.kept = sent.mono;
        self.keys.failures = 0;
        self.keys.generation += 1;
        self.set_timer(now.mono.after(rest.renewal), Timer::KeepKey(self.keys.generation));
        for index in 0..self.links.len() {
            if self.links.get(index).is_some_and(|link| link.waits_for_key()) {
                self.request(now, Job::Connect(index));
            }
        }
    }

    /// No key was given. Credentials that cannot get one end the connector; anything else is tried again.
    pub(super) fn key_failed(&mut self, now: Now, error: Error) {
        let refused = matches!(error.cause, Cause::Credentials | Cause::Signature | Cause::Permission);
        if refused && error.effect == Effect::Rejected || error.cause == Cause::Usage {
            return self.fail(now, error.about("user stream"));
        }
        self.report(now, &format!("stream_key:{:?}", error.cause), error);
        let attempt = self.keys.failures;
        self.keys.failures = attempt.saturating_add(1);
        let wait = self.backoff(Duration::from_millis(250), Duration::from_secs(30), attempt);
        self.set_timer(now.mono.after(wait), Timer::Retry(Job::StreamKey, 0));
    }

    /// The key has to be kept alive, if it is still the one in use.
    pub(super) fn keep_key(&mut self, now: Now, generation: u64) {
        if generation == self.keys.generation && self.links.iter().any(Link::uses_key) {
            self.request(now, Job::KeepKey);
        }
    }

    pub(super) fn key_kept(&mut self, now: Now, sent: Now) {
        self.keys.kept = self.keys.kept.max(sent.mono);
        if let Some(rest) = Self::key_rest() {
            self.set_timer(now.mono.after(rest.renewal), Timer::KeepKey(self.keys.generation));
        }
    }

    /// The key could not be kept alive. If the venue does not know it, or it must be dead by now, it is replaced, and with it the
    /// connection; otherwise this is tried again.
    pub(super) fn keep_failed(&mut self, now: Now, attempt: u32, error: Error) {
        let Some(rest) = Self::key_rest() else { return };
        let passing =
            matches!(error.cause, Cause::RateLimited | Cause::Banned | Cause::Timestamp | Cause::Unavailable);
        let unknown = error.effect == Effect::Rejected && !passing;
        if unknown || now.mono.since(self.keys.kept) >= rest.lifetime {
            for index in 0..self.links.len() {
                if self.links.get(index).is_some_and(Link::uses_key) {
                    self.drop_link(now, index, "the key of the private stream has ended");
                }
            }
            return;
        }
        self.report(now, &format!("keep_key:{:?}", error.cause), error);
        let wait =
            self.backoff(Duration::from_millis(500), rest.renewal.min(Duration::from_secs(60)), attempt);
        self.set_timer(now.mono.after(wait), Timer::Retry(Job::KeepKey, attempt.saturating_add(1)));
    }
}
