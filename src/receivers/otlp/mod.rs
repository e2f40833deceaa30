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
mod failure;
mod grpc;
mod http;
mod intake;
mod metadata;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{GrpcConfig, HttpConfig, OtlpReceiverConfig, Protocols};

use crate::pipeline::{ComponentId, Pipeline};
use crate::telemetry::{Metrics, Transport};
use admission::Admission;
use connections::{ConnectionLimits, Wire};
use intake::Intake;

/// Why the receiver cannot start.
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
}

/// Makes the receiver.
#[derive(Debug)]
pub struct OtlpReceiver;

/// A receiver whose addresses are taken, and that answers once it is served.
#[derive(Debug)]
pub struct Bound {
    grpc: Option<Listener<GrpcConfig>>,
    http: Option<Listener<HttpConfig>>,
    admission: Arc<Admission>,
    max_connections: usize,
}

#[derive(Debug)]
struct Listener<C> {
    socket: TcpListener,
    address: SocketAddr,
    config: C,
    intake: Intake,
}

impl OtlpReceiver {
    /// Takes the addresses of the configured protocols.
    ///
    /// # Errors
    ///
    /// An address is in use, or is none of this machine.
    pub async fn bind(
        id: &ComponentId,
        config: OtlpReceiverConfig,
        pipeline: Pipeline,
        metrics: &Metrics,
    ) -> Result<Bound, ReceiverError> {
        let admission = Arc::new(Admission::new(config.max_requests_in_flight, config.max_bytes_in_flight));
        let intake = |transport| Intake {
            pipeline: pipeline.clone(),
            metrics: metrics.receiver(&id.to_string(), transport),
            admission: Arc::clone(&admission),
        };
        let mut bound = Bound {
            grpc: None,
            http: None,
            admission: Arc::clone(&admission),
            max_connections: config.max_connections,
        };
        if let Some(grpc) = config.protocols.grpc {
            let (socket, address) = listen(id, "grpc", &grpc.endpoint).await?;
            bound.grpc = Some(Listener { socket, address, config: grpc, intake: intake(Transport::grpc) });
        }
        if let Some(http) = config.protocols.http {
            let (socket, address) = listen(id, "http", &http.endpoint).await?;
            bound.http = Some(Listener { socket, address, config: http, intake: intake(Transport::http) });
        }
        Ok(bound)
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
        self.grpc.as_ref().map(|listener| listener.address)
    }

    /// The address of HTTP, if it is configured.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|listener| listener.address)
    }

    /// Answers requests until `shutdown`; then takes no new connection or request, and returns when
    /// every request that was begun is answered. No request takes longer to come in than the
    /// protocol's `read_timeout`; how long its delivery may take is the pipeline's to limit.
    pub async fn serve(self, shutdown: CancellationToken) {
        let max_connections = self.max_connections;
        let grpc = self.grpc.map(|listener| {
            let limits = ConnectionLimits {
                max_connections,
                header_timeout: listener.config.read_timeout,
                wire: Wire::Http2 { max_concurrent_streams: listener.config.max_concurrent_streams },
            };
            let service = grpc::service(listener.intake, &listener.config);
            connections::serve(listener.socket, limits, service, shutdown.clone())
        });
        let http = self.http.map(|listener| {
            let header_timeout = listener.config.read_header_timeout;
            let limits = ConnectionLimits { max_connections, header_timeout, wire: Wire::Http1 };
            let service = http::service(listener.intake, &listener.config);
            connections::serve(listener.socket, limits, service, shutdown.clone())
        });
        tokio::join!(
            async {
                if let Some(grpc) = grpc {
                    grpc.await
                }
            },
            async {
                if let Some(http) = http {
                    http.await;
                }
            }
        );
        tracing::debug!(in_flight = self.admission.requests_in_flight(), "the otlp receiver has stopped");
    }
}
