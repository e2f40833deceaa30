//! Changing a receiver while it is served: its ports stay open, and no request notices.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::admission::Admission;
use super::config::OtlpReceiverConfig;
use super::intake::Intake;
use super::port::{Opened, Port, PortConfig, Surroundings};
use super::{ReceiverError, connections::Behind};
use crate::pipeline::{ComponentId, MemoryAccount, Pipeline};
use crate::receivers::trust::TrustError;
use crate::telemetry::{Metrics, Transport};

/// A change that is prepared and cannot fail any more; it happens when the future is awaited, and does not when
/// that is dropped before.
pub type Change = BoxFuture<'static, ()>;

/// The handle of a receiver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: ComponentId,
    metrics: Metrics,
    ports: Mutex<Vec<Port>>,
    limits: Mutex<Limits>,
    add: mpsc::Sender<Opened>,
}

/// What all requests of the receiver share, and the settings that it was made of.
#[derive(Clone, Debug)]
struct Limits {
    of: LimitSettings,
    admission: Arc<Admission>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LimitSettings {
    max_requests: usize,
    max_bytes: usize,
    max_memory: usize,
}

impl LimitSettings {
    fn of(config: &OtlpReceiverConfig) -> Self {
        Self {
            max_requests: config.max_requests_in_flight,
            max_bytes: config.max_bytes_in_flight,
            max_memory: config.max_memory,
        }
    }
}

impl Limits {
    fn new(config: &OtlpReceiverConfig, memory: &MemoryAccount) -> Self {
        let of = LimitSettings::of(config);
        let admission = Admission::new(of.max_requests, of.max_bytes).counting(memory.clone(), of.max_memory);
        Self { of, admission: Arc::new(admission) }
    }
}

/// A port that stays, and what will stand behind it.
struct Kept {
    port: Port,
    config: PortConfig,
    around: Surroundings,
    behind: Behind,
}

impl Control {
    pub(super) fn new(
        id: ComponentId,
        config: &OtlpReceiverConfig,
        memory: &MemoryAccount,
        metrics: Metrics,
        add: mpsc::Sender<Opened>,
    ) -> Self {
        let limits = Mutex::new(Limits::new(config, memory));
        Self(Arc::new(Shared { id, metrics, ports: Mutex::default(), limits, add }))
    }

    /// The address of gRPC, if it is configured.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.address("grpc")
    }

    /// The address of HTTP, if it is configured.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.address("http")
    }

    fn address(&self, protocol: &str) -> Option<SocketAddr> {
        self.ports().iter().find(|port| port.protocol == protocol).map(|port| port.address)
    }

    fn ports(&self) -> MutexGuard<'_, Vec<Port>> {
        self.0.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests_in_flight(&self) -> usize {
        self.limits().admission.requests_in_flight()
    }

    /// Opens the ports of a receiver that has none yet.
    pub(super) async fn open(
        &self,
        config: OtlpReceiverConfig,
        pipeline: &Pipeline,
    ) -> Result<Vec<Opened>, ReceiverError> {
        let limits = self.limits().clone();
        let mut opened = Vec::new();
        for port in port_configs(&config) {
            let around = self.surroundings(&port, &config, pipeline, &limits);
            opened.push(Opened::open(&self.0.id, port, around).await?);
        }
        self.ports().extend(opened.iter().map(|opened| opened.port.clone()));
        Ok(opened)
    }

    /// Prepares a change to other settings and another pipeline: reads certificates, tokens and passwords again
    /// and takes new addresses. Nothing has changed for a sender until the [`Change`] is awaited. One at a time.
    ///
    /// # Errors
    ///
    /// A new address cannot be taken, or a file cannot be used; everything stays as it is.
    pub async fn prepare(
        &self,
        config: OtlpReceiverConfig,
        pipeline: &Pipeline,
    ) -> Result<Change, ReceiverError> {
        let known = self.ports().clone();
        let limits = self.limits().clone();
        // Counting goes on where the limits stay; else what is under way counts towards the old ones to its end.
        let is_same = limits.of == LimitSettings::of(&config);
        let limits = if is_same { limits } else { Limits::new(&config, pipeline.memory()) };
        let (mut kept, mut opened) = (Vec::new(), Vec::new());
        for port_config in port_configs(&config) {
            let around = self.surroundings(&port_config, &config, pipeline, &limits);
            let same = |port: &&Port| {
                (port.protocol, port.endpoint.as_str()) == (port_config.protocol(), port_config.endpoint())
            };
            match known.iter().find(same) {
                Some(port) => {
                    let behind = port.prepare(&port_config, around.clone()).await?;
                    kept.push(Kept { port: port.clone(), config: port_config, around, behind });
                }
                None => {
                    let new = Opened::open(&self.0.id, port_config, around).await;
                    opened.push(new.map_err(|error| overlap(error, &known))?);
                }
            }
        }
        Ok(Box::pin(self.clone().change(kept, opened, limits)))
    }

    async fn change(self, kept: Vec<Kept>, opened: Vec<Opened>, limits: Limits) {
        *self.limits() = limits;
        let mut now: Vec<Port> = kept.iter().map(|kept| kept.port.clone()).collect();
        now.extend(opened.iter().map(|opened| opened.port.clone()));
        let before = std::mem::replace(&mut *self.ports(), now);
        for opened in opened {
            // Fails only where the receiver has stopped, and its ports with it.
            let _ = self.0.add.send(opened).await;
        }
        let mut given_up = before;
        for Kept { port, config, around, behind } in kept {
            given_up.retain(|other| other.address != port.address);
            port.put(config, around, behind).await;
        }
        for port in given_up {
            port.stop.cancel();
        }
    }

    fn surroundings(
        &self,
        port: &PortConfig,
        config: &OtlpReceiverConfig,
        pipeline: &Pipeline,
        limits: &Limits,
    ) -> Surroundings {
        let transport = match port {
            PortConfig::Grpc(_) => Transport::grpc,
            PortConfig::Http(_) => Transport::http,
        };
        let intake = Intake {
            pipeline: pipeline.clone(),
            metrics: self.0.metrics.receiver(&self.0.id.to_string(), transport),
            admission: Arc::clone(&limits.admission),
            spans: (config.max_span_size, config.oversized_spans.into()),
            log: Arc::default(),
        };
        Surroundings { intake, max_connections: config.max_connections }
    }
}

/// The system does not let two sockets listen on addresses that overlap: says so where one of ours is in the way.
fn overlap(error: ReceiverError, known: &[Port]) -> ReceiverError {
    let ReceiverError::Bind { key, endpoint, source } = error else { return error };
    let number = endpoint.rsplit_once(':').and_then(|(_, number)| number.parse::<u16>().ok());
    let in_use = source.kind() == std::io::ErrorKind::AddrInUse;
    match known.iter().find(|port| in_use && number == Some(port.address.port())) {
        Some(port) => ReceiverError::Overlap { key, endpoint, held: port.address },
        None => ReceiverError::Bind { key, endpoint, source },
    }
}

impl OtlpReceiverConfig {
    /// Tries the certificates, tokens and passwords of each listener that has some: its key, and what came of it.
    pub fn check_trust(&self) -> Vec<(String, Result<(), TrustError>)> {
        let protected = port_configs(self).into_iter().filter(PortConfig::is_protected);
        let tried =
            protected.map(|port| (format!("protocols.{}", port.protocol()), port.load_trust().map(drop)));
        tried.collect()
    }
}

fn port_configs(config: &OtlpReceiverConfig) -> Vec<PortConfig> {
    let grpc = config.protocols.grpc.clone().map(PortConfig::Grpc);
    let http = config.protocols.http.clone().map(PortConfig::Http);
    grpc.into_iter().chain(http).collect()
}
