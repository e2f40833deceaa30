//! To an MLflow server: what one request becomes, OTLP per destination.

use std::sync::Arc;

use indexmap::IndexMap;

use super::batcher::Weight;
use super::connection::Connection;
use super::mapper::Mapper;
use super::report::Reporter;
use super::route::{Experiments, Router, trace_number, traces};
use super::runs::{FollowUp, Follower};
use crate::mapping::routing::{MAX_RUN_ID, run_ids};
use crate::mapping::{EnrichedRequest, TraceUpdate};
use crate::otlp::Refusal;
use crate::otlp::model::ExportTraceServiceRequest;
use crate::otlp::pieces::{self, Piece};
use crate::pipeline::{RequestMetadata, TraceRequest};
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
    /// Maps for servers that take no OTLP, and enriches OTLP for those that do.
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
            let metadata = request.metadata.clone();
            let EnrichedRequest { request, mut refusals } = self.mapper.enrich(request).await?;
            let (mut shipments, homeless) = split(request, &experiments, &metadata);
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
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Otlp(shipments) => shipments.is_empty(),
            Self::Mapped { updates, .. } => updates.is_empty(),
        }
    }

    pub(super) fn shipments(&self) -> Option<&[Shipment]> {
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
    body: ExportTraceServiceRequest,
    experiments: &Experiments,
    metadata: &RequestMetadata,
) -> (Vec<Shipment>, Vec<Refusal>) {
    let mut shipments: IndexMap<i64, (Piece<'_>, Vec<RunLink>)> = IndexMap::new();
    let mut homeless = 0;
    let experiment_of = |trace: Option<u128>| trace.and_then(|trace| experiments.get(&trace).copied());
    for place in pieces::places(&body) {
        match experiment_of(trace_number(&place.span.trace_id)) {
            Some(experiment_id) => shipments.entry(experiment_id).or_default().0.push(place),
            None => homeless += 1,
        }
    }
    for (trace, spans) in traces(&body) {
        let Some(experiment_id) = experiment_of(Some(trace)) else { continue };
        let run_ids = run_ids(metadata.run_id.as_deref(), &spans, MAX_RUN_ID);
        let links =
            run_ids.into_iter().map(|run_id| RunLink { trace_id: format!("tr-{trace:032x}"), run_id });
        shipments.entry(experiment_id).or_default().1.extend(links);
    }
    let is_whole = shipments.len() == 1 && homeless == 0;
    let shipments = shipments.into_iter().map(|(experiment_id, (piece, links))| {
        let body = if is_whole { ExportTraceServiceRequest::default() } else { pieces::request(&piece) };
        let destination = Destination { experiment_id, workspace: metadata.workspace.clone() };
        Shipment { destination, body, links }
    });
    let mut shipments: Vec<Shipment> = shipments.collect();
    if let Some(only) = shipments.first_mut().filter(|_| is_whole) {
        only.body = body;
    }
    let reason = "a trace id has at most 16 bytes".to_owned();
    let refusals = if homeless == 0 { Vec::new() } else { vec![Refusal { spans: homeless, reason }] };
    (shipments, refusals)
}
