//! The `otlp` receiver: OTLP over gRPC and over HTTP.
//!
//! ```text
//! connections ─> http ─┐  body: limits,           intake: decode on a        pipeline:
//! connections ─> grpc ─┴─ deadline, decompress ─> bounded pool, validate ──> deliver ─> answer
//!                          ^ admission: bytes and requests in flight
//! ```
//!
//! A request is answered with success when the pipeline has delivered it; a request that cannot be
//! taken now is refused with a hint when to try again. Nothing is queued here.

mod admission;
mod body;
mod config;
mod connections;
mod control;
mod failure;
mod grpc;
mod http;
mod intake;
mod metadata;
mod port;

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use config::{GrpcConfig, HttpConfig, OtlpReceiverConfig, OversizedSpans, Protocols};
pub use control::{Change, Control};

use crate::pipeline::{ComponentId, Pipeline};
use crate::receivers::trust::TrustError;
use crate::telemetry::Metrics;
use port::Opened;

/// Ports that were opened by a reload and are not served yet: there are two protocols.
const OPENED: usize = 4;

/// Why the receiver cannot start, or cannot change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// The address is in use, or is none of this machine.
    #[error("cannot listen on {endpoint}: {source}; set {key} to another address, or stop who uses this one")]
    Bind {
        /// The key of the configuration, in full.
        key: String,
        /// The address.
        endpoint: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The new address overlaps one that this process still listens on.
    #[error(
        "cannot change to {endpoint} without a restart: it overlaps {held}, which is in use until then; restart, or \
         set {key} to another port"
    )]
    Overlap {
        /// The key of the configuration, in full.
        key: String,
        /// The new address.
        endpoint: String,
        /// The address in use.
        held: SocketAddr,
    },
    /// Certificates, tokens or passwords cannot be used.
    #[error("{listener}.{source}")]
    Trust {
        /// The listener, as the configuration names it.
        listener: String,
        /// What is wrong.
        source: TrustError,
    },
}

/// Makes the receiver.
#[derive(Debug)]
pub struct OtlpReceiver;

/// A receiver whose addresses are taken, and that answers once it is served.
#[derive(Debug)]
pub struct Bound {
    ports: Vec<Opened>,
    added: mpsc::Receiver<Opened>,
    control: Control,
}

impl OtlpReceiver {
    /// Takes the addresses of the configured protocols, and reads their certificates, tokens and passwords.
    ///
    /// # Errors
    ///
    /// An address is in use, or is none of this machine; a file cannot be read, or cannot be used.
    pub async fn bind(
        id: &ComponentId,
        config: OtlpReceiverConfig,
        pipeline: Pipeline,
        metrics: &Metrics,
    ) -> Result<Bound, ReceiverError> {
        let (add, added) = mpsc::channel(OPENED);
        let control = Control::new(id.clone(), &config, pipeline.memory(), metrics.clone(), add);
        let ports = control.open(config, &pipeline).await?;
        Ok(Bound { ports, added, control })
    }
}

async fn listen(
    id: &ComponentId,
    protocol: &str,
    endpoint: &str,
) -> Result<(TcpListener, SocketAddr), ReceiverError> {
    let failed = |source| ReceiverError::Bind {
        key: format!("receivers.{id}.protocols.{protocol}.endpoint"),
        endpoint: endpoint.to_owned(),
        source,
    };
    let socket = TcpListener::bind(config::host_and_port(endpoint).as_ref()).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

impl Bound {
    /// The address of gRPC, if it is configured.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.control.grpc_address()
    }

    /// The address of HTTP, if it is configured.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.control.http_address()
    }

    /// The handle to change the receiver while it is served.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Answers requests until `shutdown`; then takes no new connection or request, and returns when
    /// every request that was begun is answered. No request takes longer to come in than the
    /// protocol's `read_timeout`; how long its delivery may take is the pipeline's to limit.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { ports, mut added, control } = self;
        let mut serving: FuturesUnordered<_> =
            ports.into_iter().map(|port| port.serve(shutdown.clone())).collect();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                // The control here keeps the channel open.
                Some(port) = added.recv() => serving.push(port.serve(shutdown.clone())),
                // A port that a reload gave up.
                Some(()) = serving.next() => {}
            }
        }
        while serving.next().await.is_some() {}
        tracing::debug!(in_flight = control.requests_in_flight(), "the otlp receiver has stopped");
    }
}
