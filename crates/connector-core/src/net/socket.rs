//! WebSocket links.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketWrite};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tower_service::Service as _;

use crate::net::{Driver, http};
use crate::wire::{Input, LinkId};

/// Something to write.
pub(super) enum Outgoing {
    Text(String),
    Pong(Vec<u8>),
    Close,
}

/// Opens a link, reads it to its end, and says why it ended. Ends too when every sender but its own is dropped.
pub(super) async fn run(
    driver: &Arc<Driver>,
    link: LinkId,
    url: &str,
    timeout: Duration,
    sender: mpsc::Sender<Outgoing>,
    receiver: mpsc::Receiver<Outgoing>,
) -> String {
    // The reader keeps only a weak sender, so that the engine's Close (dropping the strong one) ends the writer.
    let pongs = sender.downgrade();
    drop(sender);
    let socket = match tokio::time::timeout(timeout, open(url)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(reason)) => return reason,
        Err(_) => return format!("{url}: no connection within {} s", timeout.as_secs()),
    };
    driver.input(Input::Opened { link });
    let (reader, writer) = socket.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let read = async {
        loop {
            let mut answer = |frame: Frame<'_>| {
                driver.input(Input::Alive { link });
                if let Some(sender) = pongs.upgrade() {
                    let reply = match frame.opcode {
                        OpCode::Pong => Outgoing::Pong(frame.payload.to_vec()),
                        _ => Outgoing::Close,
                    };
                    // A full queue is noticed by the engine's own sends.
                    let _ = sender.try_send(reply);
                }
                ready(Ok::<(), Infallible>(()))
            };
            match reader.read_frame(&mut answer).await {
                Ok(mut frame) => match frame.opcode {
                    OpCode::Text | OpCode::Binary => {
                        let bytes = frame.payload.to_mut();
                        driver.input(Input::Frame { link, bytes });
                    }
                    OpCode::Close => return close_reason(&frame.payload),
                    _ => driver.input(Input::Alive { link }),
                },
                Err(error) => return error.to_string(),
            }
        }
    };
    tokio::select! {
        reason = read => reason,
        reason = write(writer, receiver) => reason,
    }
}

async fn write(
    mut writer: WebSocketWrite<impl AsyncWrite + Unpin>,
    mut receiver: mpsc::Receiver<Outgoing>,
) -> String {
    while let Some(outgoing) = receiver.recv().await {
        let frame = match outgoing {
            Outgoing::Text(text) => Frame::text(Payload::Owned(text.into_bytes())),
            Outgoing::Pong(payload) => Frame::pong(Payload::Owned(payload)),
            Outgoing::Close => Frame::close(1000, b""),
        };
        if let Err(error) = writer.write_frame(frame).await {
            return error.to_string();
        }
    }
    // Good manners; the connection is dropped right after.
    let _ = writer.write_frame(Frame::close(1000, b"")).await;
    "closed by us".to_owned()
}

fn close_reason(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, text)) => format!(
            "closed by the venue with code {} {}",
            u16::from_be_bytes(*code),
            String::from_utf8_lossy(text)
        )
        .trim_end()
        .to_owned(),
        None => "closed by the venue without a code".to_owned(),
    }
}

/// Sixteen random bytes in base64, as RFC 6455 asks. They keep caches from answering in the venue's place and guard nothing, so
/// a failing random source is no reason not to connect.
fn handshake_key() -> String {
    let mut bytes = [0; 16];
    let _ = SystemRandom::new().fill(&mut bytes);
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

async fn open(url: &str) -> Result<WebSocket<TokioIo<Upgraded>>, String> {
    let as_http = url.replacen("ws", "http", 1);
    let uri: Uri = as_http.parse().map_err(|_| format!("`{url}` is not a WebSocket URL"))?;
    if let Some(why) = http::unsupported(&uri) {
        return Err(format!("{url}: {why}"));
    }
    let failed = |error: &dyn std::error::Error| format!("{url}: {}", http::chain(error));
    let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?.to_string();
    let target = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let stream = http::connector().call(uri).await.map_err(|error| format!("{url}: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| failed(&error))?;
    // Ends by itself when the socket is dropped; its error is the reader's error.
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(target)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_KEY, handshake_key())
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!("{url}: answered HTTP {} instead of a WebSocket", response.status().as_u16()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| failed(&error))?;
    Ok(WebSocket::after_handshake(TokioIo::new(upgraded), Role::Client))
}
