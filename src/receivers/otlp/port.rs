//! A listener, and what stands behind it now: a reload puts something else there, and no connection notices.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::config::{GrpcConfig, HttpConfig};
use super::connections::{self, Behind, ConnectionLimits, Refused, Wire};
use super::intake::Intake;
use super::{ReceiverError, grpc, http};
use crate::pipeline::ComponentId;
use crate::receivers::trust::{Trust, TrustError, is_reachable};

/// The settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortConfig {
    Grpc(GrpcConfig),
    Http(HttpConfig),
}

/// What a listener needs beside its own settings.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) intake: Intake,
    pub(super) max_connections: usize,
}

impl PortConfig {
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "grpc",
            Self::Http(_) => "http",
        }
    }

    pub(super) fn endpoint(&self) -> &str {
        match self {
            Self::Grpc(grpc) => &grpc.endpoint,
            Self::Http(http) => &http.endpoint,
        }
    }

    /// Whether it has `tls` or `auth`.
    pub(super) fn is_protected(&self) -> bool {
        match self {
            Self::Grpc(grpc) => grpc.tls.is_some() || grpc.auth.is_some(),
            Self::Http(http) => http.tls.is_some() || http.auth.is_some(),
        }
    }

    pub(super) fn load_trust(&self) -> Result<Trust, TrustError> {
        match self {
            Self::Grpc(grpc) => Trust::load(grpc.tls.as_ref(), grpc.auth.as_ref(), &[b"h2"]),
            Self::Http(http) => Trust::load(http.tls.as_ref(), http.auth.as_ref(), &[b"http/1.1"]),
        }
    }

    /// Reads the files that the settings name, and makes the service.
    pub(super) async fn make(&self, around: Surroundings) -> Result<Behind, TrustError> {
        let config = self.clone();
        // Files may lie on a file system that has gone away.
        let loading = tokio::task::spawn_blocking(move || config.load_trust()).await;
        let mut trust = loading.map_err(|error| TrustError::Unusable {
            key: "tls",
            reason: format!("reading its files ended early: {error}"),
        })??;
        let credentials = trust.credentials.take();
        let refused = Refused { metrics: around.intake.metrics.clone(), log: Arc::clone(&around.intake.log) };
        let (router, header_timeout, wire) = match self {
            Self::Grpc(config) => {
                let wire = Wire::Http2 { max_concurrent_streams: config.max_concurrent_streams };
                (grpc::service(around.intake, config, credentials), config.read_timeout, wire)
            }
            Self::Http(config) => {
                let router = http::service(around.intake, config, credentials);
                (router, config.read_header_timeout, Wire::Http1)
            }
        };
        let limits = ConnectionLimits { max_connections: around.max_connections, header_timeout, wire };
        Ok(Behind::new(limits, refused, router, trust))
    }

    /// How often the files are to be read again.
    fn reload_interval(&self) -> Option<std::time::Duration> {
        let tls = match self {
            Self::Grpc(grpc) => grpc.tls.as_ref(),
            Self::Http(http) => http.tls.as_ref(),
        };
        tls.map(|tls| tls.reload_interval).filter(|interval| !interval.is_zero())
    }

    /// Tells of addresses at which tokens can be overheard.
    fn warn_of_listeners(&self, id: &ComponentId) {
        let (tls, auth, endpoint) = match self {
            Self::Grpc(grpc) => (grpc.tls.is_some(), grpc.auth.is_some(), &grpc.endpoint),
            Self::Http(http) => (http.tls.is_some(), http.auth.is_some(), &http.endpoint),
        };
        if auth && !tls && is_reachable(endpoint) {
            let protocol = self.protocol();
            tracing::warn!(
                "receivers.{id}.protocols.{protocol}: tokens and passwords come in over {endpoint} without TLS, \
                 and can be read on their way; set `tls`, or let a proxy end TLS in front of it"
            );
        }
    }
}

/// What is in force at a port.
#[derive(Debug)]
struct Current {
    config: PortConfig,
    around: Surroundings,
}

/// The handle of a listener that is served.
#[derive(Clone, Debug)]
pub(super) struct Port {
    id: ComponentId,
    pub(super) address: SocketAddr,
    /// The address as it was configured: port 0 stays the port that it gave.
    pub(super) endpoint: String,
    pub(super) protocol: &'static str,
    /// Held while files are read, so that an older reading never replaces a newer one.
    current: Arc<Mutex<Current>>,
    behind: Arc<watch::Sender<Arc<Behind>>>,
    pub(super) stop: CancellationToken,
}

/// A listener that is not served yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) port: Port,
    socket: TcpListener,
}

impl Opened {
    /// Takes the address.
    pub(super) async fn open(
        id: &ComponentId,
        config: PortConfig,
        around: Surroundings,
    ) -> Result<Self, ReceiverError> {
        let (protocol, endpoint) = (config.protocol(), config.endpoint().to_owned());
        let behind = config.make(around.clone()).await.map_err(|error| trust_error(id, protocol, error))?;
        let (socket, address) = super::listen(id, protocol, &endpoint).await?;
        config.warn_of_listeners(id);
        let port = Port {
            id: id.clone(),
            address,
            endpoint,
            protocol,
            current: Arc::new(Mutex::new(Current { config, around })),
            behind: Arc::new(watch::Sender::new(Arc::new(behind))),
            stop: CancellationToken::new(),
        };
        Ok(Self { port, socket })
    }

    /// Answers until `shutdown`, or until the port is given up.
    pub(super) async fn serve(self, shutdown: CancellationToken) {
        let Self { port, socket } = self;
        let live = port.behind.subscribe();
        let stop = port.stop.clone();
        let either = shutdown.child_token();
        let until = either.clone();
        let watch = async move {
            tokio::select! {
                () = stop.cancelled() => until.cancel(),
                () = until.cancelled() => {}
                () = port.refresh_for_ever() => {}
            }
        };
        tokio::join!(connections::serve(socket, live, either), watch);
    }
}

impl Port {
    /// What will stand behind the port with other settings, once [`Port::put`] is called with it.
    pub(super) async fn prepare(
        &self,
        config: &PortConfig,
        around: Surroundings,
    ) -> Result<Behind, ReceiverError> {
        let made = config.make(around).await;
        made.map_err(|error| trust_error(&self.id, self.protocol, error))
    }

    /// Puts something else behind the port. Requests that were begun end as they began.
    pub(super) async fn put(&self, config: PortConfig, around: Surroundings, behind: Behind) {
        let mut current = self.current.lock().await;
        if current.config != config {
            config.warn_of_listeners(&self.id);
        }
        *current = Current { config, around };
        self.exchange(behind);
    }

    fn exchange(&self, behind: Behind) {
        let before = Arc::clone(&self.behind.borrow());
        let now = Arc::new(behind.after(&before));
        self.behind.send_replace(Arc::clone(&now));
        before.retire_unless(&now);
    }

    /// Reads the files again at the interval that the settings in force say.
    async fn refresh_for_ever(&self) {
        let mut changed = self.behind.subscribe();
        loop {
            let interval = self.current.lock().await.config.reload_interval();
            let Some(interval) = interval else {
                // The sender lives as long as this port.
                let _ = changed.changed().await;
                continue;
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep(interval) => self.refresh().await,
            }
        }
    }

    /// Reads the files of the settings in force again; what cannot be used changes nothing.
    async fn refresh(&self) {
        let current = self.current.lock().await;
        let metrics = current.around.intake.metrics.clone();
        match current.config.make(current.around.clone()).await {
            Ok(behind) => {
                self.exchange(behind);
                metrics.trust_read(true);
            }
            Err(error) => {
                let (id, protocol) = (&self.id, self.protocol);
                tracing::warn!(
                    "receivers.{id}.protocols.{protocol}.{error}; what was read before stays in force"
                );
                metrics.trust_read(false);
            }
        }
    }
}

fn trust_error(id: &ComponentId, protocol: &str, source: TrustError) -> ReceiverError {
    ReceiverError::Trust { listener: format!("receivers.{id}.protocols.{protocol}"), source }
}
