//! Accepting connections, within limits, and letting them finish at the end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

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

/// Serves connections until `shutdown`, and returns when the last one has been answered.
pub(super) async fn serve(
    listener: TcpListener,
    limits: ConnectionLimits,
    service: Router,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let tasks = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &slots)).await {
        let Some((stream, slot)) = accepted else { continue };
        let connection = connection(stream, limits, service.clone(), shutdown.clone());
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
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    limits: ConnectionLimits,
    router: Router,
    shutdown: CancellationToken,
) {
    // Without this, small answers may wait for the peer's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection cannot be set to send at once");
    }
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        answer(router.clone(), request)
    });
    let io = TokioIo::new(stream);
    match limits.wire {
        Wire::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
            let connection = builder.serve_connection(io, service);
            finish(connection, |connection| connection.graceful_shutdown(), shutdown).await;
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
            let served = finish(connection, |connection| connection.graceful_shutdown(), shutdown);
            unless_silent(served, limits.header_timeout, &asked).await;
        }
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

/// Drives a connection to its end; at `shutdown`, the requests that it has begun are its last.
async fn finish<C, E>(connection: C, close: impl FnOnce(Pin<&mut C>), shutdown: CancellationToken)
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
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
