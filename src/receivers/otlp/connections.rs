//! Accepting connections, within limits, and letting them finish at the end.
//!
//! ```text
//! accept ─> TLS ─> HTTP ─> request ─> what stands behind the port at that moment
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::receivers::trust::Trust;
use crate::telemetry::{LossLog, ReceiverMetrics};

/// The pause after the system refuses a connection, for example because all file handles are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may think.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Enough for the messages of a few requests to be under way without waiting for the reader.
const HTTP2_WINDOW: u32 = 1 << 20;

/// The version of HTTP that a port speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire {
    Http1,
    Http2 { max_concurrent_streams: u32 },
}

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// More connections wait to be accepted.
    pub(super) max_connections: usize,
    /// A connection that has not sent the head of a request in this time is closed.
    pub(super) header_timeout: Duration,
    pub(super) wire: Wire,
}

/// Counts and tells of connections that come to no request.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) metrics: ReceiverMetrics,
    pub(super) log: Arc<LossLog>,
}

impl Refused {
    /// The stage is one of a few fixed words.
    fn because(&self, stage: &'static str, explanation: &str) {
        self.metrics.refused_connection(stage);
        self.log.refused_connection(self.metrics.component(), stage, explanation);
    }
}

/// What stands behind a port: a reload exchanges it as a whole.
#[derive(Debug)]
pub(super) struct Behind {
    limits: ConnectionLimits,
    refused: Refused,
    router: Router,
    trust: Trust,
    slots: Arc<Semaphore>,
    retired: CancellationToken,
}

impl Behind {
    pub(super) fn new(limits: ConnectionLimits, refused: Refused, router: Router, trust: Trust) -> Self {
        let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        Self { limits, refused, router, trust, slots, retired: CancellationToken::new() }
    }

    /// Takes the place of another: connections that are open count on.
    pub(super) fn after(mut self, before: &Self) -> Self {
        if self.limits.max_connections == before.limits.max_connections {
            self.slots = Arc::clone(&before.slots);
        }
        // Only a change of trust ends connections.
        if !before.trust.admits_others_than(&self.trust) {
            self.retired = before.retired.clone();
        }
        self
    }

    /// Ends the connections that were let in under this trust, if that is no longer `now`'s: each after the
    /// requests that it has begun.
    pub(super) fn retire_unless(&self, now: &Self) {
        if self.trust.admits_others_than(&now.trust) {
            self.retired.cancel();
        }
    }
}

/// Serves connections until `shutdown`, and returns when the last one has been answered.
pub(super) async fn serve(
    listener: TcpListener,
    mut live: watch::Receiver<Arc<Behind>>,
    shutdown: CancellationToken,
) {
    let tasks = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &mut live)).await {
        let Some((stream, slot)) = accepted else { continue };
        let connection = connection(stream, live.clone(), shutdown.clone());
        tasks.spawn(async move {
            connection.await;
            drop(slot);
        });
    }
    // New connections are refused while the last ones finish.
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn accept(
    listener: &TcpListener,
    live: &mut watch::Receiver<Arc<Behind>>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slots = Arc::clone(&live.borrow_and_update().slots);
    let slot = tokio::select! {
        slot = slots.acquire_owned() => slot.ok()?,
        // There may be more room now.
        Ok(()) = live.changed() => return None,
    };
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            let refused = live.borrow().refused.clone();
            refused.because("accept", &format!("{error}; where it is the limit of open files, raise it"));
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// TLS first, where the port has it, within the time for the head of a request.
async fn connection(stream: TcpStream, live: watch::Receiver<Arc<Behind>>, shutdown: CancellationToken) {
    // Without this, small answers may wait for the peer's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection cannot be set to send at once");
    }
    let behind = Arc::clone(&live.borrow());
    let (limits, retired, refused) = (behind.limits, behind.retired.clone(), behind.refused.clone());
    let acceptor = behind.trust.tls.as_ref().map(|tls| tls.acceptor.clone());
    // What was behind the port must not live as long as a connection does.
    drop(behind);
    let end = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = retired.cancelled() => {}
        }
    };
    let Some(acceptor) = acceptor else { return speak(stream, limits, live, end).await };
    let mut end = std::pin::pin!(end);
    let greeting = tokio::time::timeout(limits.header_timeout, acceptor.accept(stream));
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        () = &mut end => return,
    };
    match greeted {
        Ok(Ok(stream)) => speak(stream, limits, live, end).await,
        // As the probes of a load balancer do.
        Ok(Err(error)) if has_gone(&error) => {
            tracing::debug!(%error, "the peer went away before TLS was agreed on");
        }
        Ok(Err(error)) => {
            refused.because("tls", &format!("no TLS, or no certificate that is trusted ({error})"))
        }
        Err(_) => refused.because("tls_timeout", "TLS did not begin in time"),
    }
}

/// Whether a peer ended the connection without a word.
fn has_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

/// HTTP, until the peer or `end` ends it.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    limits: ConnectionLimits,
    live: watch::Receiver<Arc<Behind>>,
    end: impl Future<Output = ()>,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        let router = live.borrow().router.clone();
        answer(router, request)
    });
    let io = TokioIo::new(stream);
    match limits.wire {
        Wire::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
            let connection = builder.serve_connection(io, service);
            finish(connection, |connection| connection.graceful_shutdown(), end).await;
        }
        Wire::Http2 { max_concurrent_streams } => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(max_concurrent_streams)
                .initial_stream_window_size(HTTP2_WINDOW)
                .initial_connection_window_size(HTTP2_WINDOW)
                .keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
            let connection = builder.serve_connection(io, service);
            let served = finish(connection, |connection| connection.graceful_shutdown(), end);
            unless_silent(served, limits.header_timeout, &asked).await;
        }
    }
}

/// A panic costs the request that it happened in, not the others of its connection.
async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let answering = AssertUnwindSafe(router.oneshot(request.map(Body::new))).catch_unwind();
    answering.await.unwrap_or_else(|_| {
        // A gRPC client reads this as UNKNOWN, which is not sent again: it would only happen again.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok(response)
    })
}

/// Drives a connection to its end; at `end`, the requests that it has begun are its last.
async fn finish<C, E>(connection: C, close: impl FnOnce(Pin<&mut C>), end: impl Future<Output = ()>)
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = end => {
            close(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = ended {
        // A peer that goes away is everyday business.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Gives up on a connection that has asked for nothing in time: HTTP/2 has no such timer of its own.
async fn unless_silent(served: impl Future<Output = ()>, timeout: Duration, asked: &AtomicBool) {
    let mut served = std::pin::pin!(served);
    tokio::select! {
        () = &mut served => {}
        () = tokio::time::sleep(timeout) => {
            if asked.load(Ordering::Relaxed) {
                served.await;
            }
        }
    }
}
