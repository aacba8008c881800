//! `record`: what a connector's decoder is given, written down before it is decoded, in the form `replay` reads.
//!
//! The connector under the recording is the real one: it subscribes, asks for snapshots and recovers as always. Only its
//! dialect is wrapped, so that each public frame and each book answer is noted on its way to the decoder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use connector_core::dialect::{
    Channel, DecodeError, Dialect, Draft, Endpoint, Frame, Keyring, LinkRole, Payload, Rest, Spec, Stamp,
    VenueError,
};
use connector_core::message::{Market, Sink};
use connector_core::{Error, Pair};
use connector_venue::server::wall_clock;
use flate2::Compression;
use flate2::write::GzEncoder;
use smol_str::SmolStr;

/// Where recorded lines go. One per process: a dialect is a type without values, so there is no other place to keep it.
static TAPE: Mutex<Option<Tape>> = Mutex::new(None);

enum Writer {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// A recording in the making.
struct Tape {
    writer: Writer,
    /// With several pairs, snapshots that name no market are preceded by a line that does.
    several: bool,
    frames: u64,
    failed: Option<io::Error>,
}

fn tape() -> MutexGuard<'static, Option<Tape>> {
    TAPE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record into `path`, compressed if its name ends in `.gz`.
///
/// # Errors
/// The file cannot be created.
pub fn begin(path: &Path, several: bool) -> io::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    let gzip = path.extension().is_some_and(|extension| extension == "gz");
    let writer = if gzip {
        Writer::Gzip(Box::new(GzEncoder::new(file, Compression::default())))
    } else {
        Writer::Plain(file)
    };
    *tape() = Some(Tape { writer, several, frames: 0, failed: None });
    Ok(())
}

/// Frames recorded so far.
#[must_use]
pub fn frames() -> u64 {
    tape().as_ref().map_or(0, |tape| tape.frames)
}

/// Ends the recording: how many frames it holds.
///
/// # Errors
/// Something could not be written.
pub fn end() -> io::Result<u64> {
    let Some(tape) = tape().take() else { return Ok(0) };
    if let Some(error) = tape.failed {
        return Err(error);
    }
    match tape.writer {
        Writer::Plain(mut writer) => writer.flush()?,
        Writer::Gzip(writer) => writer.finish()?.flush()?,
    }
    Ok(tape.frames)
}

impl Tape {
    fn note(&mut self, raw: &[u8], about: Option<(&SmolStr, &Pair)>) {
        if self.failed.is_some() {
            return;
        }
        let writer: &mut dyn Write = match &mut self.writer {
            Writer::Plain(writer) => writer,
            Writer::Gzip(writer) => writer,
        };
        let written = line(writer, raw, about.filter(|_| self.several));
        self.frames += 1;
        self.failed = written.err();
    }
}

fn line(writer: &mut dyn Write, raw: &[u8], about: Option<(&SmolStr, &Pair)>) -> io::Result<()> {
    if let Some((symbol, pair)) = about {
        writeln!(writer, "# market {symbol} {pair}")?;
    }
    write!(writer, "{} ", wall_clock().0)?;
    // One line per message: between JSON's tokens a line break is as good as a space.
    for part in raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
        writer.write_all(part)?;
    }
    writer.write_all(b"\n")
}

/// A dialect whose public messages are noted before they are decoded.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<D>(PhantomData<D>);

impl<D> Recorded<D> {
    /// Of this dialect.
    #[must_use]
    pub const fn new(_: D) -> Self
    where
        D: Copy,
    {
        Self(PhantomData)
    }
}

const fn same<Q>(endpoint: &'static Endpoint<Q>) -> Endpoint<Q> {
    Endpoint { row: endpoint.row, encode: endpoint.encode, decode: endpoint.decode }
}

fn noted_book<D: Dialect>(payload: Payload<'_>, out: &mut dyn Sink) -> Result<(), DecodeError> {
    if let Some(tape) = tape().as_mut() {
        let pair = payload.market.and_then(Market::pair);
        let about = pair.and_then(|pair| Some((payload.symbols.symbol(pair)?, pair)));
        tape.note(payload.bytes, about);
    }
    (D::REST.book.decode)(payload, out)
}

impl<D: Dialect> Dialect for Recorded<D> {
    const SPEC: &'static Spec = D::SPEC;
    const REST: &'static Rest = &Rest {
        ping: same(&D::REST.ping),
        server_time: match &D::REST.server_time {
            Some(endpoint) => Some(same(endpoint)),
            None => None,
        },
        rules: same(&D::REST.rules),
        last_price: same(&D::REST.last_price),
        book: Endpoint { row: D::REST.book.row, encode: D::REST.book.encode, decode: noted_book::<D> },
        balances: same(&D::REST.balances),
        place: same(&D::REST.place),
        cancel: same(&D::REST.cancel),
        order: same(&D::REST.order),
        open_orders: same(&D::REST.open_orders),
        fills: same(&D::REST.fills),
        fills_page: D::REST.fills_page,
        fees: match &D::REST.fees {
            Some(endpoint) => Some(same(endpoint)),
            None => None,
        },
    };

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        D::sign(draft, keys, stamp)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        D::subscribe(on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        D::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        if frame.role == LinkRole::Public
            && let Some(tape) = tape().as_mut()
        {
            tape.note(frame.bytes, None);
        }
        D::frame(frame, out)
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        D::error(body)
    }
}
