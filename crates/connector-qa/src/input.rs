//! Reading what a command is given: files or standard input, plain or gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

/// Opens `path`, or standard input for `None` and for `-`, and tells `progress` the bytes read. Gzip is told by its first
/// bytes, not by the name.
///
/// # Errors
/// The operating system's, with the path in the text.
pub fn open(path: Option<&Path>, progress: &ProgressBar) -> io::Result<Box<dyn BufRead>> {
    let path = path.filter(|path| path.as_os_str() != "-");
    let name = |error: io::Error| {
        let shown = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        io::Error::new(error.kind(), format!("cannot read {shown}: {error}"))
    };
    let raw: Box<dyn Read> = match path {
        Some(path) if path.is_dir() => return Err(name(io::ErrorKind::IsADirectory.into())),
        Some(path) => {
            let file = File::open(path).map_err(name)?;
            progress.inc_length(file.metadata().map_err(name)?.len());
            Box::new(progress.wrap_read(file))
        }
        None => Box::new(io::stdin()),
    };
    let mut reader = BufReader::with_capacity(1 << 16, raw);
    if reader.fill_buf().map_err(name)?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

/// Reads all of `path` as [`open`] does.
///
/// # Errors
/// As [`open`].
pub fn read(path: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, &ProgressBar::hidden())?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn gzip_and_plain_read_alike() {
        let directory = std::env::temp_dir().join(format!("connector-qa-input-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let plain = directory.join("plain.gz");
        std::fs::write(&plain, "one\ntwo\n").unwrap();
        let zipped = directory.join("zipped.txt");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"one\ntwo\n").unwrap();
        std::fs::write(&zipped, encoder.finish().unwrap()).unwrap();
        assert_eq!(read(Some(&plain)).unwrap(), b"one\ntwo\n");
        assert_eq!(read(Some(&zipped)).unwrap(), b"one\ntwo\n");
        let missing = read(Some(&directory.join("missing"))).unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
