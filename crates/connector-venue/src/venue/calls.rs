//! Requests that come as frames of a stream: judged, carried out and answered as the same requests by HTTP are.

use bytes::Bytes;
use connector_core::dialect::{LinkSpec, Row};
use connector_core::wire::HttpRequest;

use super::Venue;
use crate::face::{OutFrame, Outbox, Payload, Peer, Session, SessionId};
use crate::fields::Fields;
use crate::random::Random;
use crate::shim::{End, Verdict};

/// A request that is carried out late, whether its connection is still there then or not.
#[derive(Debug)]
pub(super) struct Late {
    session: SessionId,
    call: Call,
}

#[derive(Debug)]
struct Call {
    text: String,
    row: &'static Row,
    link: &'static LinkSpec,
    peer: Peer,
    verdict: Verdict,
}

impl Venue {
    /// Takes in a frame that is a request of this row.
    pub(super) fn call(&mut self, id: SessionId, text: &str, row: &'static Row, fields: &Fields) {
        let Some(live) = self.sessions.get(&id) else { return };
        let (link, peer) = (live.session.link, live.session.peer);
        let verdict = if self.shim.is_empty() {
            Verdict::default()
        } else {
            let (query, headers, body) = (String::new(), Vec::new(), Bytes::new());
            let request = HttpRequest { method: row.method, path: row.path.to_owned(), query, headers, body };
            self.shim.call(self.now.mono, &request, row.name, fields)
        };
        let before = verdict.before;
        let call = Call { text: text.to_owned(), row, link, peer, verdict };
        if before.is_zero() {
            return self.carry_out_call(id, &call);
        }
        self.next_frame += 1;
        self.calls.insert((self.now.mono.after(before), self.next_frame), Late { session: id, call });
    }

    pub(super) fn carry_out_late_calls(&mut self) {
        let late = self.calls.split_off(&(self.now.mono, u64::MAX));
        for due in std::mem::replace(&mut self.calls, late).into_values() {
            self.carry_out_call(due.session, &due.call);
        }
    }

    fn carry_out_call(&mut self, id: SessionId, call: &Call) {
        let Call { row, link, verdict, .. } = call;
        for deed in &verdict.deeds {
            self.commit(&deed.fault, &deed.matcher);
        }
        let mut out = if verdict.lost { Outbox::default() } else { self.answer_call(id, call) };
        match verdict.end {
            End::Answer => {}
            End::Silence => out.0.retain(|frame| !is_answer(frame)),
            End::Reset | End::Refused => {
                let reset = OutFrame { payload: Payload::Reset, channel: smol_str::SmolStr::default() };
                out.0 = vec![reset];
            }
        }
        let status = out.1.filter(|_| verdict.end == End::Answer);
        self.remember("TEXT", link.name, Some(row.name), status, Some(id.0));
        self.enqueue_after(id, out, verdict.after);
        self.pump();
    }

    fn answer_call(&mut self, id: SessionId, call: &Call) -> Outbox {
        let Call { text, link, peer, verdict, .. } = call;
        let mut out = Outbox::default();
        if let Some(instead) = &verdict.instead {
            out.answer(instead.status, self.face.answer_as(text, instead, &self.exchange));
            return out;
        }
        // Nobody hears the answer on a connection that has gone.
        let mut gone = Session::new(link, *peer);
        let session = self.sessions.get_mut(&id).map_or(&mut gone, |live| &mut live.session);
        self.face.message(session, text, &mut self.exchange, &mut out);
        if let Some(other) = &verdict.afterwards {
            out.0.retain(|frame| !is_answer(frame));
            out.answer(other.status, self.face.answer_as(text, other, &self.exchange));
        }
        out.0.iter_mut().for_each(|frame| verdict.bend(frame));
        out
    }
}

/// Answers belong to no subscription; control frames are no answers.
fn is_answer(frame: &OutFrame) -> bool {
    frame.channel.is_empty() && matches!(frame.payload, Payload::Text(_) | Payload::Binary(_))
}

impl Verdict {
    /// Bends the exchange's own answer, as [`finish`](Self::finish) does that of a request by HTTP.
    fn bend(&self, frame: &mut OutFrame) {
        let Payload::Text(text) = &mut frame.payload else { return };
        if !frame.channel.is_empty() {
            return;
        }
        for (drift, seed) in &self.drifts {
            *text = drift.apply(text, &mut Random::new(*seed, 0));
        }
        if let Some(keep) = self.truncate {
            let keep = keep.unwrap_or(text.len() / 2);
            let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= keep).last();
            text.truncate(end.unwrap_or(0));
        }
    }
}
