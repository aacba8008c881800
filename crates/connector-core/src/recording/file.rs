//! A recording as a file of lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{RawMessage, RawSink};
use crate::error::{Cause, Effect, Error};

/// A file of lines: local nanoseconds since the Unix epoch, a space, the message. A line `# market SYMBOL PAIR` says what the
/// next message is about where that names no market, a line `# missed N` how many messages are lacking before the next.
#[derive(Debug)]
pub struct RawFile {
    writer: Option<Writer>,
}

#[derive(Debug)]
enum Writer {
    Plain(BufWriter<File>),
    #[cfg(feature = "gzip")]
    Gzip(Box<flate2::write::GzEncoder<BufWriter<File>>>),
}

impl Writer {
    fn target(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(writer) => writer,
            #[cfg(feature = "gzip")]
            Self::Gzip(writer) => writer,
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut writer) => writer.flush(),
            #[cfg(feature = "gzip")]
            Self::Gzip(writer) => writer.finish()?.flush(),
        }
    }
}

impl RawFile {
    /// Creates a file, or empties it; compressed if its name ends in `.gz`.
    ///
    /// # Errors
    /// [`Cause::Storage`]: it cannot be created. [`Cause::Usage`]: it would be compressed, and the feature `gzip` is off.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        if gzip && cfg!(not(feature = "gzip")) {
            return Err(Error::usage("record market data", "compression needs the feature `gzip`")
                .about(path.display().to_string()));
        }
        let file =
            BufWriter::new(File::create(path).map_err(|e| storage(&e).about(path.display().to_string()))?);
        #[cfg(feature = "gzip")]
        let writer = if gzip {
            Writer::Gzip(Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::default())))
        } else {
            Writer::Plain(file)
        };
        #[cfg(not(feature = "gzip"))]
        let writer = Writer::Plain(file);
        Ok(Self { writer: Some(writer) })
    }

    fn writer(&mut self) -> Result<&mut dyn Write, Error> {
        self.writer
            .as_mut()
            .map(Writer::target)
            .ok_or_else(|| storage(&io::Error::other("the recording has ended")))
    }
}

impl RawSink for RawFile {
    fn append(&mut self, messages: &[RawMessage]) -> Result<(), Error> {
        let writer = self.writer()?;
        messages.iter().try_for_each(|message| line(writer, message)).map_err(|error| storage(&error))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.writer()?.flush().map_err(|error| storage(&error))
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self.writer.take() {
            Some(writer) => writer.finish().map_err(|error| storage(&error)),
            None => Ok(()),
        }
    }
}

fn line(writer: &mut dyn Write, message: &RawMessage) -> io::Result<()> {
    if message.missed > 0 {
        writeln!(writer, "# missed {}", message.missed)?;
    }
    if let Some((symbol, pair)) = &message.about {
        writeln!(writer, "# market {symbol} {pair}")?;
    }
    write!(writer, "{} ", message.time.0)?;
    // One line per message: between JSON's tokens a line break is as good as a space.
    for part in message.bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
        writer.write_all(part)?;
    }
    writer.write_all(b"\n")
}

fn storage(error: &io::Error) -> Error {
    Error::new(Cause::Storage, Effect::NotSent, "record market data", error.to_string())
}
