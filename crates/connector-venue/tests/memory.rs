//! Machines against the venue under virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod toy;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use connector_core::dialect::Method;
use connector_core::time::{Mono, Now};
use connector_core::wire::{Action, HttpRequest, Input, LinkId, Machine, RequestId, TransportError};
use connector_venue::faults::{Fault, FaultRule};
use connector_venue::memory::{MachineId, Memory};
use proptest::prelude::*;
use toy::{KEY, ME};

const STEP: Duration = Duration::from_millis(250);

/// Places an order every quarter of a second, listens, and connects again when the stream ends.
#[derive(Default)]
struct Trader {
    actions: VecDeque<Action>,
    next: Mono,
    number: u64,
    link: u64,
    open: bool,
    heard: Vec<String>,
    answers: Vec<(u64, Result<u16, TransportError>)>,
    alive: u32,
    closed: Vec<String>,
}

impl Trader {
    fn connect(&mut self) {
        self.link += 1;
        let url = "wss://stream.toy.example/stream".to_owned();
        self.actions.push_back(Action::Connect {
            link: LinkId(self.link),
            url,
            timeout: Duration::from_secs(5),
        });
    }
}

impl Machine for Trader {
    fn input(&mut self, _: Now, input: Input<'_>) -> bool {
        match input {
            Input::Http { id, result } => self.answers.push((id.0, result.map(|response| response.status))),
            Input::Opened { link } => {
                self.open = true;
                for text in ["sub XY@trades".to_owned(), format!("login {KEY}")] {
                    self.actions.push_back(Action::Send { link, text });
                }
            }
            Input::Frame { bytes, .. } => self.heard.push(String::from_utf8(bytes.to_vec()).unwrap()),
            Input::Alive { .. } => self.alive += 1,
            Input::Closed { reason, .. } => {
                self.open = false;
                self.closed.push(reason);
                self.connect();
            }
        }
        true
    }

    fn wake(&mut self, now: Now) {
        if self.link == 0 {
            self.connect();
        }
        if now.mono < self.next {
            return;
        }
        self.next = now.mono.after(STEP);
        self.number += 1;
        let (side, id) = (if self.number.is_multiple_of(2) { "sell" } else { "buy" }, self.number);
        let request = HttpRequest {
            method: Method::Post,
            path: "/order".into(),
            query: format!("symbol=XY&side={side}&price=100&amount=1&id=n{id}"),
            headers: vec![("x-key".into(), KEY.into())],
            body: Bytes::new(),
        };
        self.actions.push_back(Action::Http { id: RequestId(id), request, timeout: Duration::from_secs(1) });
    }

    fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Mono> {
        Some(self.next)
    }
}

fn memory(seed: u64) -> (Memory<Trader>, MachineId) {
    let mut memory = Memory::new(toy::venue(), seed);
    let id = memory.add(Trader::default());
    (memory, id)
}

fn rule(json: &str) -> FaultRule {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_machine_trades() {
    let (mut memory, id) = memory(1);
    assert!(
        memory.run_until(|memory| memory.machine(id).unwrap().answers.len() == 4, Duration::from_secs(5))
    );
    memory.run_for(Duration::from_millis(100));
    let trader = memory.machine(id).unwrap();
    assert!(trader.answers.iter().all(|(_, result)| *result == Ok(200)), "{:?}", trader.answers);
    assert!(trader.heard.contains(&"ok 1".to_owned()) && trader.heard.contains(&"order n3 new 0".to_owned()));
    let orders = memory.venue().exchange().all_orders(ME, &Default::default());
    assert!(orders.len() >= 4);
}

#[test]
fn hours_pass_in_no_time_and_pings_keep_the_link() {
    let (mut memory, id) = memory(2);
    memory.run_for(Duration::from_secs(600));
    let trader = memory.machine(id).unwrap();
    assert_eq!((trader.alive, trader.closed.len(), trader.open), (29, 0, true));
    assert_eq!(memory.now().mono, Mono(600_000_000_000));
}

#[test]
fn transport_errors_come_from_faults() {
    let (mut memory, id) = memory(3);
    for (fault, nth) in [("net.drop_request", 1), ("net.drop_reply", 2), ("net.reset", 3), ("net.refuse", 5)]
    {
        let armed = rule(&format!(r#"{{"fault":"{fault}","match":{{"row":"place"}}}}"#)).nth(nth);
        memory.with_venue(|venue, now| venue.arm(now, armed).unwrap());
    }
    memory.run_for(Duration::from_secs(3));
    let trader = memory.machine(id).unwrap();
    let result = |id| trader.answers.iter().find(|(known, _)| *known == id).unwrap().1.clone();
    assert_eq!(result(1), Err(TransportError::Timeout));
    assert_eq!(result(2), Err(TransportError::Timeout));
    assert!(matches!(result(3), Err(TransportError::Broken(_))));
    assert_eq!(result(4), Ok(200));
    assert!(matches!(result(5), Err(TransportError::NotSent(_))), "{:?}", trader.answers);
    // Only the one whose reply was lost has been carried out.
    let orders = memory.venue().exchange().all_orders(ME, &Default::default());
    let ids: Vec<&str> = orders.iter().map(|order| order.client_id.as_str()).collect();
    assert!(ids.contains(&"n2") && !ids.contains(&"n1") && !ids.contains(&"n3"), "{ids:?}");
}

#[test]
fn streams_break_and_come_back() {
    let (mut memory, id) = memory(4);
    memory.run_for(Duration::from_secs(1));
    memory.with_venue(|venue, now| venue.arm(now, rule(r#"{"fault":"ws.close","code":1012}"#)).unwrap());
    memory.run_for(Duration::from_secs(1));
    let trader = memory.machine(id).unwrap();
    assert_eq!((trader.closed.clone(), trader.open, trader.link), (vec!["1012 ".to_owned()], true, 2));
    memory.with_venue(|venue, now| venue.arm(now, FaultRule::new(Fault::HalfOpen {}).times(1)).unwrap());
    memory.run_for(Duration::from_secs(1));
    let heard = memory.machine(id).unwrap().heard.len();
    memory.run_for(Duration::from_secs(60));
    let trader = memory.machine(id).unwrap();
    assert_eq!((trader.heard.len(), trader.open, trader.closed.len()), (heard, true, 1));
}

#[test]
fn a_killed_machine_hears_nothing_of_its_former_life() {
    let (mut memory, id) = memory(5);
    memory.run_for(Duration::from_millis(600));
    let dead = memory.replace(id, Trader { number: 100, ..Trader::default() }).unwrap();
    assert!(dead.open);
    memory.run_for(Duration::from_secs(2));
    let trader = memory.machine(id).unwrap();
    assert!(trader.open && trader.answers.iter().all(|(id, _)| *id > 100), "{:?}", trader.answers);
    assert_eq!(memory.venue().sessions().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn one_seed_one_trace(seed in any::<u64>()) {
        let trace = |seed| {
            let (mut memory, _) = memory(seed);
            memory.add(Trader { number: 1_000_000, ..Trader::default() });
            for fault in [
                r#"{"fault":"net.drop_reply","trigger":{"probability_ppm":100000,"seed":1}}"#,
                r#"{"fault":"ws.reorder","window":3,"trigger":{"seed":2}}"#,
                r#"{"fault":"ws.dup","trigger":{"probability_ppm":200000,"seed":3}}"#,
                r#"{"fault":"ws.close","code":1001,"trigger":{"after_ms":4000}}"#,
            ] {
                memory.with_venue(|venue, now| venue.arm(now, rule(fault)).unwrap());
            }
            memory.run_for(Duration::from_secs(20));
            memory.trace_hash()
        };
        let first = trace(seed);
        prop_assert_eq!(first, trace(seed));
        prop_assert_ne!(first, trace(seed ^ 1));
    }
}
