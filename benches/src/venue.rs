//! A venue that only sends: one thread per connection, answers written beforehand, frames encoded beforehand. What is slow
//! beside it is not the venue.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;

/// Frames in a salvo where what is measured is how fast they get through.
pub const SALVO: usize = 30_000;

/// The rules of the one market there is.
const RULES: &str = r#"{"timezone":"UTC","serverTime":1,"rateLimits":[],"exchangeFilters":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"isSpotTradingAllowed":true,"permissions":[],"permissionSets":[["SPOT"]],"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}]}]}"#;

/// The venue. Its threads end with the process.
#[derive(Clone, Debug)]
pub struct Venue {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    snapshot: Vec<u8>,
    /// Salvos of frames, as WebSocket messages.
    salvos: Vec<Vec<u8>>,
    /// How many salvos were asked for, on all connections.
    asked: Mutex<usize>,
    ask: Condvar,
}

impl Venue {
    /// Listens. Each WebSocket is sent all `frames`, in salvos of `salvo`, one each time it is [asked for](Self::send).
    ///
    /// # Errors
    /// There is no port.
    pub fn start(snapshot: Vec<u8>, frames: &[Vec<u8>], salvo: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let encode =
            |frames: &[Vec<u8>]| frames.iter().map(|frame| message(frame)).collect::<Vec<_>>().concat();
        let salvos = frames.chunks(salvo).map(encode).collect();
        let shared = Shared { snapshot, salvos, asked: Mutex::new(0), ask: Condvar::new() };
        let venue = Self { address: listener.local_addr()?, shared: Arc::new(shared) };
        let shared = venue.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A connection that ends is the other side's to notice.
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(venue)
    }

    /// Sends the next salvo on the WebSocket that is open.
    pub fn send(&self) {
        *self.shared.asked.lock().unwrap() += 1;
        self.shared.ask.notify_all();
    }
}

/// A text message that is not masked.
pub(crate) fn message(frame: &[u8]) -> Vec<u8> {
    let length = frame.len();
    let mut bytes = vec![0x81];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => bytes.push(short),
        (_, Ok(length)) => {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(frame);
    bytes
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (path, key) = request(&mut reader)?;
        if let Some(key) = key {
            // Looked at before the answer, behind which the other side may at once ask for frames.
            let before = *shared.asked.lock().unwrap();
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                accept(&key)
            );
            writer.write_all(answer.as_bytes())?;
            return stream_frames(reader, writer, (shared, before));
        }
        let body: Vec<u8> = match path.split('?').next() {
            Some("/api/v3/time") => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
                format!(r#"{{"serverTime":{now}}}"#).into_bytes()
            }
            Some("/api/v3/exchangeInfo") => RULES.into(),
            Some("/api/v3/depth") => shared.snapshot.clone(),
            Some("/api/v3/ticker/price") => br#"{"symbol":"BTCUSDT","price":"61837.63000000"}"#.to_vec(),
            _ => b"{}".to_vec(),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all(head.as_bytes())?;
        writer.write_all(&body)?;
    }
}

/// The path, and the key if it asks for a WebSocket. Requests without a body only.
pub(crate) fn request(reader: &mut BufReader<TcpStream>) -> io::Result<(String, Option<String>)> {
    let (mut path, mut key) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((path.unwrap_or_default(), key));
        }
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            key = Some(value.trim().to_owned());
        }
    }
}

pub(crate) fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Answers each request on the stream, and sends a salvo whenever one is asked for.
fn stream_frames(
    mut reader: BufReader<TcpStream>,
    mut writer: TcpStream,
    (shared, before): (&Shared, usize),
) -> io::Result<()> {
    let mut answers = writer.try_clone()?;
    std::thread::spawn(move || {
        while let Ok(text) = read_message(&mut reader) {
            let id = text.rsplit_once("\"id\":").map_or("", |(_, behind)| behind.trim_end_matches('}'));
            if !id.is_empty() {
                let answer = message(format!("{{\"result\":null,\"id\":{id}}}").as_bytes());
                if answers.write_all(&answer).is_err() {
                    break;
                }
            }
        }
    });
    for (number, salvo) in (before..).zip(&shared.salvos) {
        let asked = shared.ask.wait_while(shared.asked.lock().unwrap(), |asked| *asked <= number);
        drop(asked.unwrap());
        writer.write_all(salvo)?;
    }
    // The other side closes; until then the frames may still be on their way.
    std::thread::park_timeout(Duration::from_secs(60));
    Ok(())
}

/// One message of a client: masked and short.
pub(crate) fn read_message(reader: &mut impl io::Read) -> io::Result<String> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    let length = match head[1] & 0x7F {
        126 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    reader.read_exact(&mut mask)?;
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Opens a WebSocket by hand and leaves it to the caller, who has the bytes behind the answer's head before them.
///
/// # Errors
/// The connection failed.
pub fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(
        format!(
            "GET /stream HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .as_bytes(),
    )?;
    // Byte by byte, so that nothing behind the head is taken.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(stream)
}
