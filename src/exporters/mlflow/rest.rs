//! To an MLflow server: OTLP per destination, waiting requests joined.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use indexmap::IndexMap;

use super::batcher::{BatchSink, Weight};
use super::connection::Connection;
use super::mapper::Mapper;
use super::report::Reporter;
use super::route::{Experiments, Router, trace_number, traces};
use super::runs::{FollowUp, Follower};
use crate::mapping::TraceUpdate;
use crate::mapping::routing::{MAX_RUN_ID, run_ids};
use crate::otlp::Refusal;
use crate::otlp::model::ExportTraceServiceRequest;
use crate::otlp::pieces::{self, Piece};
use crate::pipeline::{Delivered, Delivery, RequestMetadata, TraceRequest};
use crate::store::StoreError;
use crate::store::rest::{Destination, Protocol, RestStore, RunLink};
use crate::telemetry::InFlight;

/// A server that has been asked for its version, and the routes into it.
pub(super) struct Server {
    pub(super) store: RestStore,
    pub(super) router: Router,
    pub(super) follower: Follower,
}

/// Prepares requests for the server.
pub(super) struct Rest {
    pub(super) connection: Arc<Connection<Server>>,
    /// For servers that take no OTLP.
    pub(super) mapper: Mapper,
}

impl Rest {
    /// Routes a request, and splits or maps it as the server needs it.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or an experiment cannot be had.
    pub(super) async fn prepare(
        &self,
        request: Arc<TraceRequest>,
        reporter: &Reporter,
    ) -> Result<PreparedRequest, StoreError> {
        let in_flight = reporter.metrics.in_flight(request.metadata.bytes);
        let weight = Weight::of(&request);
        let server = self.connection.get().await?;
        let experiments = server.router.route(&request, reporter).await?;
        let (updates, follow_up) = self.follow_up(server, &request, &experiments).await?;
        let (payload, refusals) = if server.store.protocol().await? == Protocol::Otlp {
            let enriched = self.mapper.enrich(&request).await?;
            let (body, mut refusals) = match &enriched {
                Some(enriched) => (&enriched.request, enriched.refusals.clone()),
                None => (&request.body, Vec::new()),
            };
            let (mut shipments, homeless) = split(body, &experiments, &request.metadata);
            link(&mut shipments, &updates);
            refusals.extend(homeless);
            (Payload::Otlp(shipments), refusals)
        } else {
            let workspace = request.metadata.workspace.clone();
            let mut mapped = self.mapper.map(&request, experiments).await?;
            for (update, linked) in mapped.updates.iter_mut().zip(updates) {
                update.run_ids = linked.run_ids;
            }
            (Payload::Mapped { workspace, updates: mapped.updates }, mapped.refusals)
        };
        Ok(PreparedRequest { payload, refusals, follow_up, weight, _in_flight: in_flight })
    }

    /// Which runs the traces belong to, if runs are made: the mapping tells what of a trace decides it.
    async fn follow_up(
        &self,
        server: &Server,
        request: &Arc<TraceRequest>,
        experiments: &Experiments,
    ) -> Result<(Vec<TraceUpdate>, FollowUp), StoreError> {
        let mut updates = Vec::new();
        // Runs are made in the exporter's own workspace, where traces of another could not be linked.
        if server.follower.makes_runs() && request.metadata.workspace.is_none() {
            updates = self.mapper.map(request, experiments.clone()).await?.updates;
        }
        let follow_up = server.follower.prepare(request, &mut updates).await?;
        Ok((updates, follow_up))
    }

    /// Brings the runs up to date.
    pub(super) async fn close(&self) {
        if let Some(server) = self.connection.established() {
            server.follower.shutdown().await;
        }
    }
}

/// What one request sends to one destination.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shipment {
    pub(super) destination: Destination,
    pub(super) body: ExportTraceServiceRequest,
    pub(super) links: Vec<RunLink>,
}

/// What one request writes.
#[derive(Clone)]
pub(super) enum Payload {
    /// To a server that maps OTLP itself.
    Otlp(Vec<Shipment>),
    /// To a server that takes no OTLP.
    Mapped {
        /// The workspace that the request names.
        workspace: Option<String>,
        /// What to write.
        updates: Vec<TraceUpdate>,
    },
}

impl Payload {
    fn is_empty(&self) -> bool {
        match self {
            Self::Otlp(shipments) => shipments.is_empty(),
            Self::Mapped { updates, .. } => updates.is_empty(),
        }
    }

    fn shipments(&self) -> Option<&[Shipment]> {
        match self {
            Self::Otlp(shipments) => Some(shipments),
            Self::Mapped { .. } => None,
        }
    }
}

/// A request that is ready to be written.
pub(super) struct PreparedRequest {
    pub(super) payload: Payload,
    pub(super) refusals: Vec<Refusal>,
    pub(super) follow_up: FollowUp,
    pub(super) weight: Weight,
    /// Counts the request as waiting until it is answered.
    pub(super) _in_flight: InFlight,
}

/// Sends batches to the server.
pub(super) struct RestSink {
    pub(super) connection: Arc<Connection<Server>>,
    pub(super) reporter: Reporter,
    /// Whether requests that wait are joined.
    pub(super) joins: bool,
}

impl BatchSink for RestSink {
    type Item = PreparedRequest;

    fn weight(item: &PreparedRequest) -> Weight {
        item.weight
    }

    fn write(&self, items: Vec<PreparedRequest>) -> BoxFuture<'_, Vec<Delivery>> {
        Box::pin(self.send_batch(items))
    }
}

impl RestSink {
    async fn send_batch(&self, items: Vec<PreparedRequest>) -> Vec<Delivery> {
        if self.joins
            && let Some(shipments) = join(&items)
        {
            // Whose spans were refused is not known of a joined request, and writes are idempotent:
            // where some were refused, each request is sent again on its own.
            match self.send(Payload::Otlp(shipments)).await {
                Ok(refusals) if refusals.is_empty() => {
                    let mut deliveries = Vec::with_capacity(items.len());
                    for item in items {
                        deliveries.push(self.sent(item.into_pending(), refusals.clone()).await);
                    }
                    return deliveries;
                }
                Ok(_) | Err(StoreError::Reject { .. }) => {}
                Err(error) => {
                    let failed =
                        |item: &PreparedRequest| Err(self.reporter.failed(item.weight.spans, &error));
                    return items.iter().map(failed).collect();
                }
            }
        }
        let mut deliveries = Vec::with_capacity(items.len());
        for item in items {
            let (payload, pending) = item.split();
            deliveries.push(match self.send(payload).await {
                Ok(refusals) => self.sent(pending, refusals).await,
                Err(error) => Err(self.reporter.failed(pending.spans, &error)),
            });
        }
        deliveries
    }

    async fn send(&self, payload: Payload) -> Result<Vec<Refusal>, StoreError> {
        let (started, asks) = (Instant::now(), !payload.is_empty());
        let outcome = self.write_payload(payload).await;
        // Without spans the server was not asked, and nothing is known of it.
        if asks {
            self.reporter.wrote(started.elapsed(), outcome.as_ref().err());
        }
        outcome
    }

    async fn write_payload(&self, payload: Payload) -> Result<Vec<Refusal>, StoreError> {
        let server = self.connection.get().await?;
        let shipments = match payload {
            Payload::Otlp(shipments) => shipments,
            Payload::Mapped { workspace, updates } => {
                return server.store.write(workspace.as_deref(), updates).await;
            }
        };
        let mut refusals = Vec::new();
        for Shipment { destination, body, links } in &shipments {
            refusals.extend(server.store.send(destination, body, links).await?);
        }
        Ok(refusals)
    }

    async fn sent(&self, mut pending: Pending, refused: Vec<Refusal>) -> Delivery {
        let follow_up = std::mem::take(&mut pending.follow_up);
        let followed = match self.connection.get().await {
            Ok(server) => server.follower.committed(follow_up).await,
            Err(error) => Err(error),
        };
        followed.map_err(|error| self.reporter.failed(pending.spans, &error))?;
        // Counted now that the request does not come again.
        self.reporter.refused("mapping", &pending.refusals);
        self.reporter.refused("store", &refused);
        let mut refusals = pending.refusals;
        refusals.extend(refused);
        let delivered = Delivered { refusals };
        self.reporter.sent(pending.spans.saturating_sub(delivered.refused_spans()));
        Ok(delivered)
    }
}

impl PreparedRequest {
    fn split(self) -> (Payload, Pending) {
        let Self { payload, refusals, follow_up, weight, _in_flight } = self;
        (payload, Pending { refusals, follow_up, spans: weight.spans, _in_flight })
    }

    fn into_pending(self) -> Pending {
        self.split().1
    }
}

/// A request that is being written.
struct Pending {
    refusals: Vec<Refusal>,
    follow_up: FollowUp,
    spans: usize,
    _in_flight: InFlight,
}

/// One shipment for each destination of several requests; none where that is not possible.
fn join(items: &[PreparedRequest]) -> Option<Vec<Shipment>> {
    if items.len() < 2 {
        return None;
    }
    let mut joined: Vec<Shipment> = Vec::new();
    for item in items {
        for shipment in item.payload.shipments()? {
            match joined.iter_mut().find(|known| known.destination == shipment.destination) {
                Some(known) => {
                    known.body.resource_spans.extend_from_slice(&shipment.body.resource_spans);
                    known.links.extend_from_slice(&shipment.links);
                }
                None => joined.push(shipment.clone()),
            }
        }
    }
    Some(joined)
}

/// Links the traces to the runs of their updates.
fn link(shipments: &mut [Shipment], updates: &[TraceUpdate]) {
    for update in updates {
        let mut shipments = shipments.iter_mut();
        let Some(shipment) =
            shipments.find(|shipment| shipment.destination.experiment_id == update.experiment_id)
        else {
            continue;
        };
        for run_id in &update.run_ids {
            let link = RunLink { trace_id: update.trace_id.clone(), run_id: run_id.clone() };
            if !shipment.links.contains(&link) {
                shipment.links.push(link);
            }
        }
    }
}

/// Splits a request by destination; the spans of a destination keep their order. A span without a
/// destination has a trace id that is none.
pub(super) fn split(
    body: &ExportTraceServiceRequest,
    experiments: &Experiments,
    metadata: &RequestMetadata,
) -> (Vec<Shipment>, Vec<Refusal>) {
    let mut shipments: IndexMap<i64, (Piece<'_>, Vec<RunLink>)> = IndexMap::new();
    let mut homeless = 0;
    let experiment_of = |trace: Option<u128>| trace.and_then(|trace| experiments.get(&trace).copied());
    for place in pieces::places(body) {
        match experiment_of(trace_number(&place.span.trace_id)) {
            Some(experiment_id) => shipments.entry(experiment_id).or_default().0.push(place),
            None => homeless += 1,
        }
    }
    for (trace, spans) in traces(body) {
        let Some(experiment_id) = experiment_of(Some(trace)) else { continue };
        let run_ids = run_ids(metadata.run_id.as_deref(), &spans, MAX_RUN_ID);
        let links =
            run_ids.into_iter().map(|run_id| RunLink { trace_id: format!("tr-{trace:032x}"), run_id });
        shipments.entry(experiment_id).or_default().1.extend(links);
    }
    let shipments = shipments.into_iter().map(|(experiment_id, (piece, links))| Shipment {
        destination: Destination { experiment_id, workspace: metadata.workspace.clone() },
        body: pieces::request(&piece),
        links,
    });
    let reason = "a trace id has at most 16 bytes".to_owned();
    let refusals = if homeless == 0 { Vec::new() } else { vec![Refusal { spans: homeless, reason }] };
    (shipments.collect(), refusals)
}
