//! Timelines of rows that are stories: the connector's events and the venue's own knowledge, side by side.

use std::collections::BTreeMap;

use connector_core::event::LinkState;
use connector_core::order::OrderState;
use connector_core::time::UnixNanos;
use connector_core::{ClientOrderId, Event};
use connector_venue::faults::FaultRule;
use connector_venue::orders::{Execution, Order};
use connector_venue::venue::Seen;

use crate::report::{Detail, Lane, Mark, Place, Span, Timeline, Tone};

/// Orders up to which each has a lane of its own.
const OWN_LANES: usize = 8;
/// Marks of the same kind nearer than this share of the timeline become one.
const NEAR: u64 = 250;

/// Something that was made to go wrong.
#[derive(Clone, Debug)]
pub struct Armed {
    /// Since when.
    pub from: UnixNanos,
    /// Until when, if that is known.
    pub until: Option<UnixNanos>,
    /// What, in the fault's own words.
    pub what: String,
}

impl Armed {
    /// A fault armed now.
    #[must_use]
    pub fn new(from: UnixNanos, rule: &FaultRule) -> Self {
        let told = serde_json::to_value(rule).unwrap_or_default();
        let word = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let mut what = told.get("fault").and_then(word).unwrap_or_default();
        if let Some(code) = told.get("code").and_then(serde_json::Value::as_u64) {
            what = format!("{what} {code}");
        }
        let on = ["row", "link", "channel"].iter().find_map(|key| told.get("match")?.get(key).and_then(word));
        if let Some(on) = on {
            what = format!("{what} on {on}");
        }
        let lasts = |ms: u64| from.offset(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        // What strikes a stream or a clock has struck.
        let counted = rule.trigger.count.is_some();
        let until = rule.trigger.duration_ms.map(lasts).or(counted.then_some(from));
        Self { from, until, what }
    }
}

/// All that is known of a row's course.
#[derive(Default)]
pub struct Told<'t> {
    /// The connector's events; several lists if it was killed, each with the end of its process.
    pub lives: Vec<(&'t [Event], Option<UnixNanos>)>,
    /// What the venue was asked.
    pub requests: Vec<Seen>,
    /// The account's orders at the venue.
    pub orders: Vec<Order>,
    /// Their executions.
    pub executions: Vec<Execution>,
    /// What was made to go wrong.
    pub faults: Vec<Armed>,
}

/// The lanes in the making, and their place in time.
struct Canvas {
    from: i64,
    length: u64,
    lanes: Vec<Lane>,
}

impl Canvas {
    fn at(&self, time: UnixNanos) -> u64 {
        u64::try_from(time.0.saturating_sub(self.from)).unwrap_or_default().min(self.length)
    }

    fn holds(&self, time: UnixNanos) -> bool {
        (0..=i64::try_from(self.length).unwrap_or(i64::MAX)).contains(&time.0.saturating_sub(self.from))
    }

    fn lane(&mut self, place: Place, name: impl Into<String>, spans: Vec<Span>, marks: Vec<Mark>) {
        if spans.is_empty() && marks.is_empty() {
            return;
        }
        let near = self.length / NEAR;
        let mut merged: Vec<Mark> = Vec::new();
        for mark in marks {
            match merged.iter_mut().rev().find(|known| known.what == mark.what) {
                Some(known) if mark.at_ns - known.at_ns <= near => known.count += mark.count,
                _ => merged.push(mark),
            }
        }
        self.lanes.push(Lane { place, name: name.into(), spans, marks: merged });
    }

    fn mark(&self, time: UnixNanos, tone: Tone, what: impl Into<String>) -> Option<Mark> {
        self.holds(time).then(|| Mark { at_ns: self.at(time), tone, what: what.into(), count: 1 })
    }

    fn span(&self, from: UnixNanos, until: UnixNanos, tone: Tone, what: impl Into<String>) -> Option<Span> {
        let (from_ns, until_ns) = (self.at(from), self.at(until));
        (from_ns < until_ns || self.holds(from)).then(|| Span { from_ns, until_ns, tone, what: what.into() })
    }

    /// Spans of a state that is told when it changes.
    fn states(&self, steps: &[(UnixNanos, Option<(Tone, &str)>)]) -> Vec<Span> {
        let end = UnixNanos(self.from.saturating_add(i64::try_from(self.length).unwrap_or(i64::MAX)));
        let mut spans: Vec<Span> = Vec::new();
        for (number, (from, state)) in steps.iter().enumerate() {
            let until = steps.get(number + 1).map_or(end, |(next, _)| *next);
            let Some((tone, what)) = state else { continue };
            match (spans.last_mut(), self.span(*from, until, *tone, *what)) {
                (Some(last), Some(next)) if last.what == next.what && last.until_ns == next.from_ns => {
                    last.until_ns = next.until_ns;
                }
                (_, next) => spans.extend(next.filter(|span| span.until_ns > 0)),
            }
        }
        spans
    }
}

const fn link_state(state: LinkState) -> (Tone, &'static str) {
    match state {
        LinkState::Connecting => (Tone::Doubtful, "connecting"),
        LinkState::Syncing => (Tone::Doubtful, "syncing"),
        LinkState::Live => (Tone::Good, "live"),
        LinkState::Stale => (Tone::Bad, "stale"),
        LinkState::Down => (Tone::Bad, "down"),
    }
}

/// What something is from some moment on; absent if nothing is known, or there is nothing any more.
type State = Option<(Tone, &'static str)>;

/// What an event says of its order: what it is from then on, or that it has ended.
fn order_step(event: &Event) -> Option<(State, Tone, &'static str)> {
    Some(match event {
        Event::OrderCreated(_) => (Some((Tone::Good, "open")), Tone::Good, "created"),
        Event::OrderUnknown(_) => (Some((Tone::Doubtful, "unknown")), Tone::Doubtful, "unknown"),
        Event::OrderCompleted(_) => (None, Tone::Good, "completed"),
        Event::OrderCancelled(_) => (None, Tone::Plain, "cancelled"),
        Event::OrderExpired(_) => (None, Tone::Plain, "expired"),
        Event::OrderFailed(_) => (None, Tone::Bad, "failed"),
        _ => return None,
    })
}

/// A row's course from `from` to `until`.
#[must_use]
pub fn story(title: impl Into<String>, from: UnixNanos, until: UnixNanos, told: &Told<'_>) -> Detail {
    let length = u64::try_from(until.0.saturating_sub(from.0)).unwrap_or_default().max(1);
    let mut canvas = Canvas { from: from.0, length, lanes: Vec::new() };
    process(&mut canvas, told, until);
    links(&mut canvas, told);
    let ids = names(told);
    own_orders(&mut canvas, told, &ids);
    problems(&mut canvas, told);
    venue(&mut canvas, told, &ids, until);
    Detail::Timeline(Timeline { title: title.into(), length_ns: length, lanes: canvas.lanes })
}

/// The process, if it was killed, and whether it was ready.
fn process(canvas: &mut Canvas, told: &Told<'_>, until: UnixNanos) {
    let (mut lives, mut kills, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    let mut begun = UnixNanos(canvas.from);
    for (events, killed) in &told.lives {
        lives.extend(canvas.span(begun, killed.unwrap_or(until), Tone::Plain, "running"));
        let told = events.iter().filter_map(|event| match event {
            Event::Ready { time, ready } => Some((*time, *ready)),
            _ => None,
        });
        // Readiness is told when it changes, so before it was the other. If it never is, nothing is known.
        let first = told.clone().next().map(|(_, ready)| (begun, !ready));
        ready.push((begun, None));
        ready.extend(first.into_iter().chain(told).map(|(time, ready)| {
            (time, Some(if ready { (Tone::Good, "ready") } else { (Tone::Doubtful, "not ready") }))
        }));
        if let Some(killed) = killed {
            kills.extend(canvas.mark(*killed, Tone::Bad, "killed"));
            begun = *killed;
        }
    }
    if !kills.is_empty() {
        canvas.lane(Place::Connector, "process", lives, kills);
    }
    let spans = canvas.states(&ready);
    canvas.lane(Place::Connector, "readiness", spans, Vec::new());
}

/// Links and books.
fn links(canvas: &mut Canvas, told: &Told<'_>) {
    let mut lanes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (events, killed) in &told.lives {
        for event in *events {
            let (name, time, state) = match event {
                Event::LinkChanged { time, link, channel: None, state, .. } => {
                    (format!("link {link}"), *time, link_state(*state))
                }
                Event::BookLive { time, pair } => (format!("book {pair}"), *time, (Tone::Good, "live")),
                Event::BookStale { time, pair, .. } => (format!("book {pair}"), *time, (Tone::Bad, "stale")),
                _ => continue,
            };
            lanes.entry(name).or_default().push((time, Some(state)));
        }
        if let Some(killed) = killed {
            lanes.values_mut().for_each(|steps| steps.push((*killed, None)));
        }
    }
    // Links before books.
    for (name, steps) in lanes.into_iter().rev() {
        let spans = canvas.states(&steps);
        canvas.lane(Place::Connector, name, spans, Vec::new());
    }
}

/// A short name for each order, in the order in which they appear.
fn names(told: &Told<'_>) -> BTreeMap<ClientOrderId, usize> {
    let mut ids = BTreeMap::new();
    let events = told.lives.iter().flat_map(|(events, _)| events.iter());
    let ours = events.filter_map(|event| event.order().map(|order| order.client_order_id.clone()));
    let theirs = told.orders.iter().map(|order| ClientOrderId::new(&order.client_id));
    for id in ours.chain(theirs) {
        let next = ids.len() + 1;
        ids.entry(id).or_insert(next);
    }
    ids
}

/// Steps and marks of one order, or of all.
type OrderLane = (Vec<(UnixNanos, State)>, Vec<Mark>);

fn own_orders(canvas: &mut Canvas, told: &Told<'_>, ids: &BTreeMap<ClientOrderId, usize>) {
    let apart = ids.len() <= OWN_LANES;
    let mut lanes: BTreeMap<usize, OrderLane> = BTreeMap::new();
    for event in told.lives.iter().flat_map(|(events, _)| events.iter()) {
        let Some(order) = event.order() else { continue };
        let number = ids.get(&order.client_order_id).copied().filter(|_| apart).unwrap_or_default();
        let (steps, marks) = lanes.entry(number).or_default();
        if let Event::OrderFilled(fill) = event {
            marks.extend(canvas.mark(fill.time, Tone::Good, "fill"));
        }
        let Some((state, tone, word)) = order_step(event) else { continue };
        if apart {
            if let Event::OrderCreated(created) = event
                && steps.is_empty()
            {
                steps.push((created.submit_time, Some((Tone::Doubtful, "sent"))));
            }
            steps.push((event.time(), state));
        }
        if !apart || state.is_none() {
            marks.extend(canvas.mark(event.time(), tone, word));
        }
    }
    for (number, (steps, marks)) in lanes {
        let spans = canvas.states(&steps);
        let name = if apart { format!("order {number}") } else { format!("{} orders", ids.len()) };
        canvas.lane(Place::Connector, name, spans, marks);
    }
}

fn problems(canvas: &mut Canvas, told: &Told<'_>) {
    let events = told.lives.iter().flat_map(|(events, _)| events.iter());
    let marks = events.filter_map(|event| match event {
        Event::Problem { time, error } => {
            canvas.mark(*time, Tone::Bad, format!("{}: {}", error.operation, error.cause))
        }
        Event::LimitWarning { time, pool, .. } => {
            canvas.mark(*time, Tone::Doubtful, format!("{pool} nearly used up"))
        }
        Event::OrderCancelRefused(refused) => canvas.mark(refused.time, Tone::Doubtful, "cancel refused"),
        Event::PairDelisted { time, pair } => canvas.mark(*time, Tone::Doubtful, format!("{pair} delisted")),
        _ => None,
    });
    let marks = marks.collect();
    canvas.lane(Place::Connector, "problems told", Vec::new(), marks);
}

/// What a request met, as the venue has it.
fn answer(seen: &Seen) -> Option<(&'static str, Tone, String)> {
    match (seen.method, seen.status) {
        ("TEXT", _) if seen.row.is_none() => None,
        ("OPEN", status) => {
            let bad = status.is_none_or(|status| status >= 400);
            Some((
                "streams opened",
                if bad { Tone::Bad } else { Tone::Good },
                format!("{} opened", seen.path),
            ))
        }
        (_, status) => {
            let tone = match status {
                Some(200..=299) => Tone::Good,
                Some(300..=499) => Tone::Doubtful,
                _ => Tone::Bad,
            };
            let row = seen.row.unwrap_or("unknown");
            let end = status.filter(|status| !(200..300).contains(status)).map(|status| format!(" {status}"));
            let end = end
                .unwrap_or_else(|| if status.is_none() { " unanswered".to_owned() } else { String::new() });
            Some((
                if tone == Tone::Good { "requests answered" } else { "requests refused or lost" },
                tone,
                format!("{row}{end}"),
            ))
        }
    }
}

fn venue(canvas: &mut Canvas, told: &Told<'_>, ids: &BTreeMap<ClientOrderId, usize>, until: UnixNanos) {
    // What was armed at the same moment and in the same way is one fault to the eye.
    let mut faults: BTreeMap<&str, (Vec<Span>, Vec<Mark>)> = BTreeMap::new();
    for fault in &told.faults {
        let (spans, marks) = faults.entry(fault.what.as_str()).or_default();
        match fault.until {
            Some(end) if end == fault.from => marks.extend(canvas.mark(fault.from, Tone::Bad, &fault.what)),
            end => spans.extend(canvas.span(fault.from, end.unwrap_or(until), Tone::Bad, &fault.what)),
        }
    }
    let (mut number, mut struck) = (0, Vec::new());
    for (_, (spans, marks)) in faults {
        struck.extend(marks);
        if !spans.is_empty() {
            number += 1;
            canvas.lane(Place::Venue, format!("fault {number}"), spans, Vec::new());
        }
    }
    struck.sort_by_key(|mark| mark.at_ns);
    canvas.lane(Place::Venue, "faults struck", Vec::new(), struck);
    let mut lanes: BTreeMap<&str, Vec<Mark>> = BTreeMap::new();
    for seen in &told.requests {
        let Some((lane, tone, what)) = answer(seen) else { continue };
        lanes.entry(lane).or_default().extend(canvas.mark(seen.time, tone, what));
    }
    for (name, marks) in lanes {
        canvas.lane(Place::Venue, name, Vec::new(), marks);
    }
    let apart = ids.len() <= OWN_LANES;
    let (mut all, mut crowd) = (BTreeMap::new(), Vec::new());
    for order in &told.orders {
        let end = if order.state.is_terminal() { order.updated } else { until };
        let word = match order.state {
            OrderState::Filled => ("open, then filled", Tone::Good),
            OrderState::Cancelled | OrderState::Expired => ("open, then cancelled", Tone::Plain),
            _ => ("open", Tone::Good),
        };
        let number = ids.get(&ClientOrderId::new(&order.client_id)).copied().unwrap_or_default();
        all.insert(number, canvas.span(order.created, end, word.1, word.0));
        crowd.extend(canvas.mark(order.created, Tone::Plain, "order accepted"));
    }
    if apart {
        for (number, span) in all {
            canvas.lane(
                Place::Venue,
                format!("ledger: order {number}"),
                span.into_iter().collect(),
                Vec::new(),
            );
        }
    } else {
        canvas.lane(Place::Venue, "ledger: orders", Vec::new(), crowd);
    }
    let fills = told.executions.iter().filter_map(|fill| canvas.mark(fill.time, Tone::Good, "fill"));
    let mut fills: Vec<_> = fills.collect();
    fills.sort_by_key(|mark| mark.at_ns);
    canvas.lane(Place::Venue, "ledger: fills", Vec::new(), fills);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> UnixNanos {
        UnixNanos(seconds * SECOND)
    }

    fn ready(seconds: i64, ready: bool) -> Event {
        Event::Ready { time: at(seconds), ready }
    }

    fn link(seconds: i64, state: LinkState) -> Event {
        Event::LinkChanged {
            time: at(seconds),
            link: "market".into(),
            channel: None,
            pair: None,
            state,
            reason: None,
        }
    }

    fn spans(timeline: &Timeline, lane: &str) -> Vec<(u64, u64, String)> {
        let lane = timeline.lanes.iter().find(|known| known.name == lane).unwrap();
        let second = u64::try_from(SECOND).unwrap();
        lane.spans
            .iter()
            .map(|span| (span.from_ns / second, span.until_ns / second, span.what.clone()))
            .collect()
    }

    fn drawn(told: &Told<'_>) -> Timeline {
        match story("a story", at(10), at(30), told) {
            Detail::Timeline(timeline) => timeline,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn states_hold_until_the_next_and_are_cut_at_both_ends() {
        let events = [
            link(2, LinkState::Connecting),
            link(5, LinkState::Live),
            ready(6, true),
            link(15, LinkState::Down),
            ready(15, false),
            link(40, LinkState::Live),
        ];
        let timeline = drawn(&Told { lives: vec![(&events, None)], ..Told::default() });
        let expected = |one: &str, two: &str| vec![(0, 5, one.to_owned()), (5, 20, two.to_owned())];
        assert_eq!(spans(&timeline, "link market"), expected("live", "down"));
        assert_eq!(spans(&timeline, "readiness"), expected("ready", "not ready"));
    }

    #[test]
    fn a_kill_ends_what_the_process_knew() {
        let (first, second) = ([link(5, LinkState::Live)], [link(25, LinkState::Live)]);
        let lives = vec![(first.as_slice(), Some(at(20))), (second.as_slice(), None)];
        let timeline = drawn(&Told { lives, ..Told::default() });
        let live = |from, until| (from, until, "live".to_owned());
        assert_eq!(spans(&timeline, "link market"), [live(0, 10), live(15, 20)]);
        let process = timeline.lanes.iter().find(|lane| lane.name == "process").unwrap();
        assert_eq!((process.spans.len(), process.marks.len()), (2, 1));
    }

    #[test]
    fn faults_and_requests_are_named_and_counted() {
        let rule: FaultRule = serde_json::from_str(
            r#"{"fault":"http.status","code":503,"match":{"row":"place"},"trigger":{"duration_ms":4000}}"#,
        )
        .unwrap();
        let seen = |millis: i64, status| Seen {
            time: UnixNanos(20 * SECOND + millis * 1_000_000),
            method: "POST",
            path: "/order".to_owned(),
            row: Some("place"),
            status,
            connection: None,
        };
        let requests =
            vec![seen(0, Some(503)), seen(1, Some(503)), seen(5_000, None), seen(5_001, Some(200))];
        let timeline = drawn(&Told { faults: vec![Armed::new(at(18), &rule)], requests, ..Told::default() });
        assert_eq!(spans(&timeline, "fault 1"), [(8, 12, "http.status 503 on place".to_owned())]);
        let lane = timeline.lanes.iter().find(|lane| lane.name == "requests refused or lost").unwrap();
        let marks: Vec<_> = lane.marks.iter().map(|mark| (mark.what.as_str(), mark.count)).collect();
        assert_eq!(marks, [("place 503", 2), ("place unanswered", 1)]);
    }
}
