//! To an MLflow server: OTLP per destination, waiting requests joined.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use indexmap::IndexMap;

use super::batcher::{BatchSink, Weight};
use super::connection::Connection;
use super::report::Reporter;
use super::route::{Experiments, Router, trace_number, traces};
use crate::mapping::routing::{MAX_RUN_ID, run_ids};
use crate::otlp::Refusal;
use crate::otlp::model::ExportTraceServiceRequest;
use crate::otlp::pieces::{self, Piece};
use crate::pipeline::{Delivered, Delivery, RequestMetadata, TraceRequest};
use crate::store::StoreError;
use crate::store::rest::{Destination, RestStore, RunLink};
use crate::telemetry::InFlight;

/// A server that has been asked for its version, and the routes into it.
pub(super) struct Server {
    pub(super) store: RestStore,
    pub(super) router: Router,
}

/// Splits requests for the server.
pub(super) struct Rest {
    pub(super) connection: Arc<Connection<Server>>,
}

impl Rest {
    /// Routes a request and splits it by destination.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or an experiment cannot be had.
    pub(super) async fn prepare(
        &self,
        request: Arc<TraceRequest>,
        reporter: &Reporter,
    ) -> Result<RoutedRequest, StoreError> {
        let in_flight = reporter.metrics.in_flight(request.metadata.bytes);
        let experiments = self.connection.get().await?.router.route(&request, &reporter.metrics).await?;
        let shipments = split(&request.body, &experiments, &request.metadata);
        let weight = Weight { spans: request.span_count(), bytes: request.metadata.bytes };
        Ok(RoutedRequest { shipments, refusals: Vec::new(), weight, _in_flight: in_flight })
    }
}

/// What one request sends to one destination.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shipment {
    pub(super) destination: Destination,
    pub(super) body: ExportTraceServiceRequest,
    pub(super) links: Vec<RunLink>,
}

/// What one request sends.
pub(super) struct RoutedRequest {
    pub(super) shipments: Vec<Shipment>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) weight: Weight,
    /// Counts the request as waiting until it is answered.
    pub(super) _in_flight: InFlight,
}

/// Sends batches to the server.
pub(super) struct RestSink {
    pub(super) connection: Arc<Connection<Server>>,
    pub(super) reporter: Reporter,
}

impl BatchSink for RestSink {
    type Item = RoutedRequest;

    fn weight(item: &RoutedRequest) -> Weight {
        item.weight
    }

    fn write(&self, items: Vec<RoutedRequest>) -> BoxFuture<'_, Vec<Delivery>> {
        Box::pin(self.send_batch(items))
    }
}

impl RestSink {
    async fn send_batch(&self, items: Vec<RoutedRequest>) -> Vec<Delivery> {
        if items.len() > 1 {
            let joined = join(items.iter().flat_map(|item| &item.shipments));
            // Whose spans were refused is not known of a joined request, and writes are idempotent:
            // unless all went well, each request is sent on its own.
            if matches!(self.send(&joined).await, Ok(refusals) if refusals.is_empty()) {
                return items.into_iter().map(|item| Ok(self.sent(item, Vec::new()))).collect();
            }
        }
        let mut deliveries = Vec::with_capacity(items.len());
        for item in items {
            deliveries.push(match self.send(&item.shipments).await {
                Ok(refusals) => Ok(self.sent(item, refusals)),
                Err(error) => Err(self.reporter.failed(item.weight.spans, &error)),
            });
        }
        deliveries
    }

    async fn send(&self, shipments: &[Shipment]) -> Result<Vec<Refusal>, StoreError> {
        let started = Instant::now();
        let outcome = self.send_each(shipments).await;
        self.reporter.wrote(started.elapsed(), outcome.as_ref().err());
        outcome
    }

    async fn send_each(&self, shipments: &[Shipment]) -> Result<Vec<Refusal>, StoreError> {
        let server = self.connection.get().await?;
        let mut refusals = Vec::new();
        for Shipment { destination, body, links } in shipments {
            refusals.extend(server.store.send(destination, body, links).await?);
        }
        Ok(refusals)
    }

    fn sent(&self, item: RoutedRequest, refused: Vec<Refusal>) -> Delivered {
        self.reporter.refused("store", refused.iter().map(|refusal| refusal.spans).sum());
        let mut refusals = item.refusals;
        refusals.extend(refused);
        let delivered = Delivered { refusals };
        self.reporter.sent(item.weight.spans.saturating_sub(delivered.refused_spans()));
        delivered
    }
}

/// One shipment for each destination.
fn join<'a>(shipments: impl Iterator<Item = &'a Shipment>) -> Vec<Shipment> {
    let mut joined: Vec<Shipment> = Vec::new();
    for shipment in shipments {
        match joined.iter_mut().find(|known| known.destination == shipment.destination) {
            Some(known) => {
                known.body.resource_spans.extend_from_slice(&shipment.body.resource_spans);
                known.links.extend_from_slice(&shipment.links);
            }
            None => joined.push(shipment.clone()),
        }
    }
    joined
}

/// Splits a request by destination; the spans of a destination keep their order.
pub(super) fn split(
    body: &ExportTraceServiceRequest,
    experiments: &Experiments,
    metadata: &RequestMetadata,
) -> Vec<Shipment> {
    let mut shipments: IndexMap<i64, (Piece<'_>, Vec<RunLink>)> = IndexMap::new();
    let experiment_of = |trace: Option<u128>| trace.and_then(|trace| experiments.get(&trace).copied());
    for place in pieces::places(body) {
        if let Some(experiment_id) = experiment_of(trace_number(&place.span.trace_id)) {
            shipments.entry(experiment_id).or_default().0.push(place);
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
    shipments.collect()
}
