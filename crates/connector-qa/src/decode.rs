//! `decode`: raw payloads through a connector's real decoder, as neutral events.
//!
//! Keeps no state between payloads: what a payload says is shown, nothing is made of it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::str::FromStr;

use connector_core::dialect::{DecodeError, Dialect, Frame, LinkRole, Payload, Symbols};
use connector_core::engine::classify;
use connector_core::message::{Market, Message, Refusal, Sink};
use serde::Serialize;

/// How payloads are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Frames of a public stream.
    Public,
    /// Frames of the account's own stream.
    User,
    /// Successful answers to a request, by the row's name.
    Rest(String),
    /// Bodies of failed requests.
    Error,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("rest:")) {
            ("public", _) => Ok(Self::Public),
            ("user", _) => Ok(Self::User),
            ("rest:error", _) => Ok(Self::Error),
            (_, Some(row)) if !row.is_empty() => Ok(Self::Rest(row.to_owned())),
            _ => Err("write `public`, `user` or `rest:<row>`, for example `rest:rules`".to_owned()),
        }
    }
}

/// What is known besides the payloads.
pub struct Context {
    /// How to read them.
    pub kind: Kind,
    /// The status of the answers, for [`Kind::Error`].
    pub status: Option<u16>,
    /// The symbol map.
    pub symbols: Symbols,
    /// The market asked about, for answers that do not name it.
    pub market: Option<Market>,
}

/// What became of the payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Payloads read.
    pub payloads: u64,
    /// Events they gave.
    pub events: u64,
    /// Payloads, or entries of lists in them, that could not be read.
    pub errors: u64,
}

#[derive(Serialize)]
struct EventLine<'m> {
    #[serde(flatten)]
    message: &'m Message,
    line: usize,
}

#[derive(Serialize)]
struct ErrorLine<'e> {
    error: &'e str,
    line: usize,
    payload: Cow<'e, str>,
}

/// The symbol map a captured `rules` payload gives.
///
/// # Errors
/// The payload as a whole cannot be read, or holds no rule. Single entries that cannot be read are left out.
pub fn symbols<D: Dialect>(mut rules: Vec<u8>) -> Result<Symbols, DecodeError> {
    let mut messages: Vec<Message> = Vec::new();
    let payload = Payload { bytes: &mut rules, symbols: &Symbols::default(), market: None };
    (D::REST.rules.decode)(payload, &mut messages)?;
    let mut symbols = Symbols::default();
    for message in messages {
        if let Message::TradingRule(rule) = message {
            symbols.insert(rule.exchange_symbol, rule.pair);
        }
    }
    if symbols.is_empty() {
        return Err(DecodeError::new("rules", "holds no trading rule"));
    }
    Ok(symbols)
}

/// Decodes every payload of `input` and writes one JSON line per event to `out`.
///
/// # Errors
/// Only those of writing.
pub fn decode<D: Dialect>(input: &[u8], context: &Context, out: &mut dyn Write) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut buffers = (Vec::new(), Vec::new());
    for (line, payload) in payloads(input) {
        summary.payloads += 1;
        let mut messages = Vec::new();
        let mut bytes = payload.to_vec();
        let result = match &context.kind {
            Kind::Public | Kind::User => {
                buffers.0.clear();
                buffers.1.clear();
                let role = if context.kind == Kind::User { LinkRole::User } else { LinkRole::Public };
                let frame = Frame {
                    role,
                    bytes: &mut bytes,
                    symbols: &context.symbols,
                    bids: &mut buffers.0,
                    asks: &mut buffers.1,
                };
                D::frame(frame, &mut messages)
            }
            Kind::Rest(row) => answer::<D>(row, &mut bytes, context, &mut messages),
            Kind::Error => refusal::<D>(&bytes, context.status).map(|refusal| {
                messages.push(Message::Refusal(refusal));
            }),
        };
        for message in &messages {
            summary.events += 1;
            summary.errors += u64::from(matches!(message, Message::Skipped { .. }));
            write_event(message, line, out)?;
        }
        if let Err(error) = result {
            summary.errors += 1;
            let line = ErrorLine { error: &error.to_string(), line, payload: excerpt(payload) };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
    }
    Ok(summary)
}

fn answer<D: Dialect>(
    row: &str,
    bytes: &mut [u8],
    context: &Context,
    out: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let Some(decode) = D::REST.decoder(row) else {
        return Err(DecodeError::new("row", format!("`{row}` is not one of this connector")));
    };
    decode(Payload { bytes, symbols: &context.symbols, market: context.market.as_ref() }, out)
}

/// What a failed request's answer means: the venue's declared code first, else what the status says.
fn refusal<D: Dialect>(body: &[u8], status: Option<u16>) -> Result<Refusal, DecodeError> {
    let status = status.unwrap_or_default();
    if (200..300).contains(&status) && D::error(body).is_none() {
        return Err(DecodeError::new("error", format!("status {status} and no error in the body")));
    }
    let error = classify::<D>("error", status, body);
    Ok(Refusal {
        id: None,
        code: error.code,
        message: error.message,
        effect: error.effect,
        cause: error.cause,
    })
}

/// Writes one event as one JSON line, with the input line it came from where there is one.
pub(crate) fn write_event(message: &Message, line: usize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string(&EventLine { message, line })?;
    // A market the payload does not name is absent, not empty. Inside a JSON string the quotes would be escaped.
    writeln!(out, "{}", text.replace("\"exchange_symbol\":\"\",", ""))
}

/// The payloads of an input with their 1-based line numbers: one document over several lines, or one payload a line.
fn payloads(input: &[u8]) -> Vec<(usize, &[u8])> {
    let lines = || {
        let numbered = input.split(|byte| *byte == b'\n').enumerate();
        numbered.map(|(index, line)| (index + 1, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
    };
    let Some((first, line)) = lines().next() else { return Vec::new() };
    // A complete value on the first line settles it; otherwise the whole input may be one document. A document that is cut
    // short still shows by its indentation.
    let incomplete =
        serde_json::from_slice::<serde::de::IgnoredAny>(line).err().is_some_and(|error| error.is_eof());
    let whole = incomplete
        && (serde_json::from_slice::<serde::de::IgnoredAny>(input).is_ok() || second_line_is_indented(input));
    if whole { vec![(first, input.trim_ascii())] } else { lines().collect() }
}

fn second_line_is_indented(input: &[u8]) -> bool {
    let mut lines = input.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.nth(1).is_some_and(|line| line.starts_with(b" ") || line.starts_with(b"\t"))
}

/// The beginning of a payload, for people.
fn excerpt(payload: &[u8]) -> Cow<'_, str> {
    const MOST: usize = 160;
    match payload.get(..MOST) {
        Some(head) if payload.len() > MOST => Cow::Owned(format!("{}…", String::from_utf8_lossy(head))),
        _ => String::from_utf8_lossy(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(input: &str) -> Vec<(usize, &str)> {
        payloads(input.as_bytes()).into_iter().map(|(n, p)| (n, std::str::from_utf8(p).unwrap())).collect()
    }

    #[test]
    fn lines_and_documents_are_told_apart() {
        assert_eq!(numbers("\n{\"a\":1}\r\n\n[2]\n"), [(2, "{\"a\":1}"), (4, "[2]")]);
        assert_eq!(numbers("\n{\n \"a\": 1\n}\n"), [(2, "{\n \"a\": 1\n}")]);
        assert_eq!(numbers("{\n \"a\": 1,\n"), [(1, "{\n \"a\": 1,")]);
        assert_eq!(numbers("pong\n{\"a\":1}"), [(1, "pong"), (2, "{\"a\":1}")]);
        assert_eq!(numbers("{\"a\":\n{\"a\":1}"), [(1, "{\"a\":"), (2, "{\"a\":1}")]);
        assert_eq!(numbers(" \n"), []);
    }

    #[test]
    fn kinds_parse() {
        assert_eq!("rest:rules".parse(), Ok(Kind::Rest("rules".to_owned())));
        assert_eq!("rest:error".parse(), Ok(Kind::Error));
        assert!("rest:".parse::<Kind>().is_err() && "private".parse::<Kind>().is_err());
    }
}
