//! The venue on real sockets: HTTP/1.1, streams and the control interface on one loopback port, in real time.
//!
//! Binds 127.0.0.1 only. Requests are answered as they come; a task lets time pass every few milliseconds for what happens by
//! itself. All access to the venue goes through one lock that is never held across a wait.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use connector_core::Credentials;
use connector_core::dialect::Method;
use connector_core::engine::Urls;
use connector_core::time::{Mono, Now, UnixNanos};
use connector_core::wire::{HttpRequest, HttpResponse};
use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, WebSocketWrite};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use smol_str::SmolStr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::control::{self, PREFIX};
use crate::face::{Face, Outbox, Payload, Peer, SessionId};
use crate::keys::{KeySecret, KeyState};
use crate::shim::End;
use crate::venue::{Reply, Venue};

/// How often time passes by itself.
const GRAIN: Duration = Duration::from_millis(5);
/// Frames on their way to one socket; a client slower than that is disconnected.
const OUT_QUEUE: usize = 16_384;
/// Largest request body and largest frame of a client.
const BODY: usize = 1 << 20;
/// How long a closing handshake may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The time of the machine's clock, for [`Venue::new`].
#[must_use]
pub fn wall_clock() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// What goes to the task that writes a socket.
enum Out {
    Venue(Payload),
    Raw(OpCode, Vec<u8>),
}

struct Inner {
    venue: Venue,
    wires: BTreeMap<SessionId, mpsc::Sender<Out>>,
}

struct Shared {
    inner: Mutex<Inner>,
    start: Instant,
}

impl Shared {
    fn now(&self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { mono: Mono(mono), utc: wall_clock() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of another task leaves the venue as it was between two calls: the tests' own assertions tell.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the venue and sends what became due.
    fn with<R>(&self, act: impl FnOnce(&mut Venue, Now) -> R) -> R {
        let mut inner = self.lock();
        let result = act(&mut inner.venue, self.now());
        inner.flush();
        result
    }
}

impl Inner {
    fn flush(&mut self) {
        for id in self.venue.ready() {
            let frames = self.venue.drain(id);
            let Some(wire) = self.wires.get(&id) else { continue };
            let full = frames.into_iter().any(|frame| wire.try_send(Out::Venue(frame.payload)).is_err());
            if full {
                self.venue.close(id);
            }
            if full || !self.venue.is_open(id) {
                // Dropping the sender ends the writing task once it has written the rest.
                self.wires.remove(&id);
            }
        }
    }
}

/// A venue being served. Dropping it stops serving at once; [`stop`](Self::stop) says goodbye first.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves a venue on 127.0.0.1; port 0 takes any free one. Needs a running tokio runtime with time and I/O.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start(venue: Venue, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let inner = Mutex::new(Inner { venue, wires: BTreeMap::new() });
        let shared = Arc::new(Shared { inner, start: Instant::now() });
        shared.with(|venue, now| venue.advance(now));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(Arc::clone(&shared), listener, stopped));
        Ok(Self { shared, address, stop, task })
    }

    /// Serves a fresh exchange behind `face`, with the face's own markets, funded accounts and keys, on any free port. The
    /// market's behaviour follows from `seed`.
    ///
    /// # Errors
    /// No port can be bound, or the face's setup contradicts itself.
    pub async fn serve(face: impl Face, seed: u64) -> io::Result<Self> {
        let venue = Venue::new(face, seed, wall_clock()).map_err(io::Error::other)?;
        Self::start(venue, 0).await
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of requests, such as `http://127.0.0.1:4711`.
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL of the control interface; see [`control`].
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}{PREFIX}", self.address)
    }

    /// The venue's own URL of a link or domain, with this server in place of its host: `wss://x.example/ws` becomes
    /// `ws://127.0.0.1:4711/ws`.
    #[must_use]
    pub fn local_url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
        let scheme = if scheme.starts_with("ws") { "ws" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// URL of every link of the venue's default domain, by [`LinkSpec::name`](connector_core::dialect::LinkSpec::name).
    #[must_use]
    pub fn link_urls(&self) -> BTreeMap<&'static str, String> {
        let domain = self.shared.lock().venue.face().spec().domain(None);
        let links = domain.map(|domain| domain.links).unwrap_or_default();
        links.iter().map(|(name, url)| (*name, self.local_url(url))).collect()
    }

    /// The addresses a connector needs to trade here.
    #[must_use]
    pub fn urls(&self) -> Urls {
        let links =
            self.link_urls().into_iter().map(|(name, url)| (SmolStr::new_static(name), url)).collect();
        Urls { rest: self.rest_url(), links }
    }

    /// The first key that may trade, where its secret is shared; `None` if no key is of that kind.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        let inner = self.shared.lock();
        inner.venue.exchange().keys().iter().find_map(|key| match &key.secret {
            KeySecret::HmacSha256(secret) if key.may_trade && key.state == KeyState::Active => {
                Some(Credentials::new(key.key.as_str(), secret.expose()))
            }
            _ => None,
        })
    }

    /// Does something with the venue, at the present time; what it sends goes out at once.
    pub fn with<R>(&self, act: impl FnOnce(&mut Venue, Now) -> R) -> R {
        self.shared.with(act)
    }

    /// Closes all streams (code 1001), stops listening and waits until everything has ended.
    pub async fn stop(mut self) {
        // The task is gone only if it panicked; then there is nothing to stop.
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let mut ticks = interval(GRAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => shared.with(|venue, now| venue.advance(now)),
            accepted = listener.accept() => if let Ok((stream, peer)) = accepted {
                tasks.spawn(connection(Arc::clone(&shared), stream, peer.ip(), stopped.clone()));
            },
            Some(_) = tasks.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    shared.with(|venue, _| {
        let ids: Vec<SessionId> = venue.sessions().map(|session| session.id).collect();
        for id in ids {
            let mut out = Outbox::default();
            out.close(1001, "the venue shuts down");
            venue.enqueue(id, out);
        }
    });
    let _ = timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
}

/// A socket that can be dropped with a reset.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // If it fails, the peer sees an ordinary end instead: still the end of the connection.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // An orderly end would come before the reset and hide it.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset by a fault")]
struct Cut;

type Answer = Response<Full<Bytes>>;

#[derive(Clone)]
struct Connection {
    shared: Arc<Shared>,
    peer: Peer,
    reset: Arc<AtomicBool>,
    streams: mpsc::Sender<(UpgradeFut, SessionId, mpsc::Receiver<Out>)>,
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: IpAddr,
    mut stopped: watch::Receiver<bool>,
) {
    // Without it an answer may wait for an acknowledgement; with an error it is merely slower.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let (streams, mut upgraded) = mpsc::channel(1);
    let this = Connection { shared, peer: Peer { address }, reset: Arc::clone(&reset), streams };
    let handler = this.clone();
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { handler.request(request).await }
    });
    let io = TokioIo::new(Wire { stream, reset });
    let http = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades();
    tokio::select! {
        // How a client ends its connection is its own affair.
        _ = http => {}
        _ = stopped.changed() => return,
    }
    if let Ok((upgrading, id, frames)) = upgraded.try_recv() {
        this.stream(upgrading, id, frames).await;
    }
}

impl Connection {
    async fn request(&self, request: Request<Incoming>) -> Result<Answer, Cut> {
        let mut request = request;
        if is_upgrade_request(&request) {
            return self.upgrade(&mut request).await;
        }
        let request = match neutral(request).await {
            Ok(request) => request,
            Err(status) => return Ok(plain(status)),
        };
        if let Some(path) = request.path.strip_prefix(PREFIX) {
            let response = self.shared.with(|venue, now| control::answer(venue, now, path, &request));
            return Ok(answer(response));
        }
        let verdict = self.shared.with(|venue, now| venue.judge(now, &request));
        if !verdict.before.is_zero() {
            sleep(verdict.before).await;
        }
        match self.shared.with(|venue, now| venue.carry_out(now, &self.peer, &request, &verdict)) {
            Reply::Answer { response, delay } => {
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                Ok(answer(response))
            }
            Reply::Silence => std::future::pending().await,
            Reply::Refused => {
                self.reset.store(true, Ordering::Relaxed);
                Err(Cut)
            }
            Reply::Reset { delay } => {
                sleep(delay).await;
                self.reset.store(true, Ordering::Relaxed);
                Err(Cut)
            }
        }
    }

    async fn upgrade(&self, request: &mut Request<Incoming>) -> Result<Answer, Cut> {
        let (path, query) =
            (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let probe = HttpRequest {
            method: Method::Get,
            path: path.clone(),
            query: query.clone(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let verdict = self.shared.with(|venue, now| venue.judge(now, &probe));
        sleep_if(verdict.before + verdict.after).await;
        match verdict.end {
            End::Answer => {}
            End::Silence => return std::future::pending().await,
            End::Reset | End::Refused => {
                self.reset.store(true, Ordering::Relaxed);
                return Err(Cut);
            }
        }
        if let Some(response) = verdict.instead.or(verdict.afterwards) {
            return Ok(answer(response));
        }
        let Ok((response, upgrading)) = upgrade(request) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        let (sender, frames) = mpsc::channel(OUT_QUEUE);
        let opened = {
            let mut inner = self.shared.lock();
            let opened = inner.venue.open(self.shared.now(), &self.peer, &path, &query);
            if let Ok(id) = &opened {
                inner.wires.insert(*id, sender);
            }
            opened
        };
        match opened {
            Ok(id) => {
                // One upgrade per connection: the channel's single place is free.
                let _ = self.streams.try_send((upgrading, id, frames));
                Ok(response.map(|_| Full::default()))
            }
            Err(response) => Ok(answer(*response)),
        }
    }

    async fn stream(&self, upgrading: UpgradeFut, id: SessionId, frames: mpsc::Receiver<Out>) {
        let farewell = Notify::new();
        if let Ok(mut socket) = upgrading.await {
            socket.set_max_message_size(BODY);
            // The venue writes small frames one by one; they are sent as they come.
            socket.set_writev(false);
            let (read, write) = socket.split(tokio::io::split);
            tokio::select! {
                () = self.read(FragmentCollectorRead::new(read), id, &farewell) => {}
                () = write_frames(write, frames, &self.reset, &farewell) => {}
            }
        }
        let mut inner = self.shared.lock();
        inner.venue.close(id);
        inner.wires.remove(&id);
    }

    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut socket: FragmentCollectorRead<R>,
        id: SessionId,
        farewell: &Notify,
    ) {
        // Pongs and the echo of a close go the way of all frames, so that only one task writes.
        let mut oblige = |frame: Frame<'_>| {
            let out = Out::Raw(frame.opcode, frame.payload.to_vec());
            let inner = self.shared.lock();
            if let Some(wire) = inner.wires.get(&id).filter(|_| !inner.venue.is_frozen(id)) {
                // A full queue is a client that does not read; it gets no pong either.
                let _ = wire.try_send(out);
            }
            std::future::ready(Ok::<(), Infallible>(()))
        };
        while let Ok(frame) = socket.read_frame(&mut oblige).await {
            match frame.opcode {
                OpCode::Text | OpCode::Binary => {
                    let Ok(text) = std::str::from_utf8(&frame.payload) else { continue };
                    self.shared.with(|venue, now| venue.text(now, id, text));
                }
                OpCode::Pong => self.shared.with(|venue, _| venue.pong(id)),
                OpCode::Close => {
                    farewell.notify_one();
                    sleep(FAREWELL).await;
                    return;
                }
                _ => {}
            }
        }
    }
}

async fn write_frames<W: AsyncWrite + Unpin>(
    mut socket: WebSocketWrite<W>,
    mut frames: mpsc::Receiver<Out>,
    reset: &AtomicBool,
    farewell: &Notify,
) {
    while let Some(out) = frames.recv().await {
        let last = matches!(out, Out::Venue(Payload::Close(..)) | Out::Raw(OpCode::Close, _));
        let written = match out {
            Out::Venue(Payload::Text(text)) => {
                socket.write_frame(Frame::text(text.into_bytes().into())).await
            }
            Out::Venue(Payload::Binary(bytes)) => {
                socket.write_frame(Frame::binary(bytes.to_vec().into())).await
            }
            Out::Venue(Payload::Ping(bytes)) => {
                let ping = Frame::new(true, OpCode::Ping, None, bytes.to_vec().into());
                socket.write_frame(ping).await
            }
            Out::Venue(Payload::Close(code, reason)) => {
                socket.write_frame(Frame::close(code, reason.as_bytes())).await
            }
            Out::Venue(Payload::Reset) => {
                reset.store(true, Ordering::Relaxed);
                return;
            }
            Out::Venue(Payload::HalfOpen) => return std::future::pending().await,
            Out::Raw(opcode, bytes) => socket.write_frame(Frame::new(true, opcode, None, bytes.into())).await,
        };
        if written.is_err() {
            return;
        }
        if last {
            // The peer answers a close, or has said it first.
            let _ = timeout(FAREWELL, farewell.notified()).await;
            return;
        }
    }
}

async fn sleep_if(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

async fn neutral(request: Request<Incoming>) -> Result<HttpRequest, StatusCode> {
    let (parts, body) = request.into_parts();
    let method = match parts.method {
        hyper::Method::GET => Method::Get,
        hyper::Method::POST => Method::Post,
        hyper::Method::PUT => Method::Put,
        hyper::Method::DELETE => Method::Delete,
        _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
    };
    let body = Limited::new(body, BODY).collect().await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let text = |value: &hyper::header::HeaderValue| SmolStr::new(String::from_utf8_lossy(value.as_bytes()));
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().into(), text(value))).collect();
    Ok(HttpRequest {
        method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_bytes(),
    })
}

fn answer(response: HttpResponse) -> Answer {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name.as_str(), value.as_str());
    }
    // A face or a fault made an impossible status or header: that is a defect, and visible as one.
    builder.body(Full::new(response.body.into())).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
