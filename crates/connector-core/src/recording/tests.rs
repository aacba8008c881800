use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::tap::Bounds;
use super::{RawFile, RawMessage, RawSink, Recorded, SharedSink, Tap};
use crate::error::{Cause, Effect, Error};
use crate::time::UnixNanos;

const PATIENCE: Duration = Duration::from_secs(10);

/// A sink that stores when told to, and hands out what it stored.
struct Slow {
    go: Receiver<Result<(), Error>>,
    stored: Sender<Vec<RawMessage>>,
}

impl RawSink for Slow {
    fn append(&mut self, messages: &[RawMessage]) -> Result<(), Error> {
        self.stored.send(messages.to_vec()).unwrap();
        self.go.recv().unwrap()
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn slow() -> (SharedSink, Sender<Result<(), Error>>, Receiver<Vec<RawMessage>>) {
    let ((go, gate), (stored, out)) = (channel(), channel());
    (SharedSink::new(Slow { go: gate, stored }), go, out)
}

fn tell(tap: &Tap, number: i64) -> Result<(), Error> {
    tap.take(UnixNanos(number), &[b'x'; 10], None)
}

#[test]
fn a_full_queue_drops_counts_and_says_where() {
    for (bounds, room) in
        [(Bounds { messages: 3, bytes: 1_000 }, 3), (Bounds { messages: 100, bytes: 29 }, 2)]
    {
        let (sink, go, out) = slow();
        let tap = Tap::bounded(sink, bounds).unwrap();
        tell(&tap, 0).unwrap();
        // Being stored, and so no longer in the queue.
        assert_eq!(out.recv_timeout(PATIENCE).unwrap().len(), 1);
        let taken = (1..=9).filter(|number| tell(&tap, *number).is_ok()).count();
        assert_eq!(taken, room);
        let dropped = u64::try_from(9 - room).unwrap();
        assert_eq!(tap.recorded().unwrap().dropped, dropped);
        let refused = tell(&tap, 10).unwrap_err();
        assert_eq!((refused.cause, refused.effect), (Cause::Storage, Effect::NotSent));
        go.send(Ok(())).unwrap();
        let batch = out.recv_timeout(PATIENCE).unwrap();
        assert_eq!(batch.len(), room);
        assert!(batch.iter().all(|message| message.missed == 0));
        tell(&tap, 11).unwrap();
        go.send(Ok(())).unwrap();
        let batch = out.recv_timeout(PATIENCE).unwrap();
        assert_eq!(batch.iter().map(|message| message.missed).collect::<Vec<_>>(), [dropped + 1]);
        go.send(Ok(())).unwrap();
        tap.close();
        assert!(tap.wait(PATIENCE));
        let stored = u64::try_from(room).unwrap() + 2;
        let recorded = Recorded { messages: stored, dropped: dropped + 1, failure: None };
        assert_eq!(tap.recorded().unwrap(), recorded);
        tell(&tap, 12).unwrap();
        assert_eq!(tap.recorded().unwrap(), recorded, "taken after the end, or missed");
    }
}

#[test]
fn a_sink_that_fails_ends_the_recording_and_is_told() {
    let (sink, go, out) = slow();
    let tap = Tap::start(sink).unwrap();
    tell(&tap, 0).unwrap();
    out.recv_timeout(PATIENCE).unwrap();
    let full = Error::new(Cause::Storage, Effect::NotSent, "record market data", "the disk is full");
    go.send(Err(full.clone())).unwrap();
    assert!(tap.wait(PATIENCE));
    assert_eq!(tell(&tap, 1).unwrap_err(), full);
    let recorded = tap.recorded().unwrap();
    assert_eq!((recorded.messages, recorded.dropped, recorded.failure), (0, 1, Some(full)));
}

#[test]
fn off_costs_and_says_nothing() {
    let tap = Tap::default();
    assert!(!tap.is_on() && tap.recorded().is_none());
    tell(&tap, 0).unwrap();
    tap.close();
    assert!(tap.wait(Duration::ZERO));
}

#[test]
fn the_last_tap_ends_the_recording() {
    let (sink, go, out) = slow();
    let tap = Tap::start(sink).unwrap();
    tell(&tap, 0).unwrap();
    drop(tap);
    go.send(Ok(())).unwrap();
    assert_eq!(out.recv_timeout(PATIENCE).unwrap().len(), 1);
    // The thread is gone, and the sink with it.
    assert!(out.recv_timeout(PATIENCE).is_err());
}

#[test]
fn lines_hold_to_the_format() {
    let path = std::env::temp_dir().join(format!("connector-core-recording-{}", std::process::id()));
    let mut file = RawFile::create(&path).unwrap();
    let message = |time, bytes: &[u8], missed| RawMessage {
        time: UnixNanos(time),
        bytes: bytes.to_vec(),
        about: None,
        missed,
    };
    let about = Some(("BTCUSDT".into(), "BTC-USDT".parse().unwrap()));
    let snapshot = RawMessage { about, ..message(8, b"{\"bids\":\r\n[]}", 2) };
    file.append(&[message(7, b"{\"a\":1}", 0), snapshot]).unwrap();
    file.finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text, "7 {\"a\":1}\n# missed 2\n# market BTCUSDT BTC-USDT\n8 {\"bids\":[]}\n");
    assert_eq!(file.append(&[message(9, b"{}", 0)]).unwrap_err().cause, Cause::Storage);
    assert_eq!(RawFile::create("/nowhere/at/all").unwrap_err().cause, Cause::Storage);
    #[cfg(not(feature = "gzip"))]
    assert_eq!(RawFile::create("some.gz").unwrap_err().cause, Cause::Usage);
}
