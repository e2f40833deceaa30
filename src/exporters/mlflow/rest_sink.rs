//! Batches to an MLflow server: waiting requests joined, as much at a time as it takes.

mod joined;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use self::joined::Joined;
use super::batcher::{BatchSink, Turn, Weight};
use super::connection::Connection;
use super::report::{Reporter, export_error};
use super::rest::{Payload, PreparedRequest, Server, Shipment};
use super::route::trace_number;
use super::runs::FollowUp;
use crate::otlp::{Refusal, pieces};
use crate::pipeline::{Delivered, Delivery};
use crate::store::StoreError;
use crate::telemetry::InFlight;

/// Sends batches to the server.
pub(super) struct RestSink {
    pub(super) connection: Arc<Connection<Server>>,
    pub(super) reporter: Reporter,
    /// Whether requests that wait are joined.
    pub(super) joins: bool,
    /// Whether what is not tried now is tried later.
    pub(super) retries: bool,
}

impl BatchSink for RestSink {
    type Item = PreparedRequest;

    fn weight(item: &PreparedRequest) -> Weight {
        item.weight
    }

    fn write(&self, items: Vec<PreparedRequest>, turn: Turn) -> BoxFuture<'_, Vec<Delivery>> {
        Box::pin(async move {
            let deliveries = self.send_batch(items).await;
            drop(turn);
            deliveries
        })
    }
}

impl RestSink {
    /// Sends as much at a time as the server takes.
    async fn send_batch(&self, items: Vec<PreparedRequest>) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(items.len());
        let mut waiting = items;
        while !waiting.is_empty() {
            let rest = waiting.split_off(together(&waiting, self.portion()));
            let mut portion = std::mem::replace(&mut waiting, rest);
            let trouble = match self.send_together(&mut portion).await {
                Ok(true) => {
                    for item in portion {
                        deliveries.push(self.sent(item.into_pending(), Vec::new()).await);
                    }
                    None
                }
                Ok(false) => self.send_each(portion, &mut deliveries).await,
                Err(error) => {
                    let failed =
                        |item: &PreparedRequest| Err(self.reporter.failed(item.weight.spans, &error));
                    deliveries.extend(portion.iter().map(failed));
                    Some(error)
                }
            };
            if let Some(error) = trouble.filter(|_| self.retries) {
                // The server is left alone with the rest, which was not tried and does not count as failed.
                deliveries.extend(waiting.drain(..).map(|_| Err(export_error(&error))));
            }
        }
        deliveries
    }

    /// How many bytes of requests are sent together.
    fn portion(&self) -> usize {
        let server = self.connection.established();
        server.map_or(usize::MAX, |server| server.store.request_bytes())
    }

    /// Sends several requests as one. Says whether the server holds all of them; if not, each goes on its own.
    async fn send_together(&self, items: &mut [PreparedRequest]) -> Result<bool, StoreError> {
        if !self.joins {
            return Ok(false);
        }
        let Some(joined) = Joined::of(items) else { return Ok(false) };
        let asks = !joined.shipments.is_empty();
        match self.observe(asks, self.write_shipments(&joined.shipments)).await {
            Ok(refusals) if refusals.is_empty() => return Ok(true),
            // Whose spans were refused is not known of a joined request, and writes are idempotent.
            Ok(_) | Err(StoreError::Reject { .. }) => {}
            Err(error) => return Err(error),
        }
        joined.give_back(items);
        Ok(false)
    }

    /// Sends requests on their own. What is wrong with the server, and not with one of them, ends it and is returned.
    async fn send_each(
        &self,
        items: Vec<PreparedRequest>,
        deliveries: &mut Vec<Delivery>,
    ) -> Option<StoreError> {
        let mut trouble = None;
        for item in items {
            let (payload, pending) = item.split();
            if let Some(error) = &trouble {
                deliveries.push(Err(export_error(error)));
                continue;
            }
            deliveries.push(match self.send(payload).await {
                Ok(refusals) => self.sent(pending, refusals).await,
                Err(error) => {
                    let failed = self.reporter.failed(pending.spans, &error);
                    trouble = Some(error).filter(|error| error.is_retryable() && self.retries);
                    Err(failed)
                }
            });
        }
        trouble
    }

    async fn send(&self, payload: Payload) -> Result<Vec<Refusal>, StoreError> {
        self.observe(!payload.is_empty(), self.write_payload(payload)).await
    }

    /// Writes, and reports how it went.
    async fn observe(
        &self,
        asks: bool,
        write: impl Future<Output = Result<Vec<Refusal>, StoreError>>,
    ) -> Result<Vec<Refusal>, StoreError> {
        let started = Instant::now();
        let outcome = write.await;
        // Without spans the server was not asked, and nothing is known of it.
        if asks {
            self.reporter.wrote(started.elapsed(), outcome.as_ref().err());
        }
        outcome
    }

    async fn write_payload(&self, payload: Payload) -> Result<Vec<Refusal>, StoreError> {
        match payload {
            Payload::Otlp(shipments) => self.write_shipments(&shipments).await,
            Payload::Mapped { workspace, updates } => {
                self.connection.get().await?.store.write(workspace.as_deref(), updates).await
            }
        }
    }

    async fn write_shipments(&self, shipments: &[Shipment]) -> Result<Vec<Refusal>, StoreError> {
        let server = self.connection.get().await?;
        let mut refusals = Vec::new();
        for Shipment { destination, body, links } in shipments {
            match server.store.send(destination, body, links).await {
                Ok(refused) => refusals.extend(refused),
                // What this destination does not take is no matter of the others.
                Err(StoreError::Reject { reason }) => {
                    refusals.push(Refusal { spans: pieces::places(body).len(), reason });
                }
                Err(error) => return Err(error),
            }
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

/// How many of the requests go together: as many as have so many bytes, and at least one.
///
/// Not with a span that another of them has, too, because its sender repeated it: MLflow counts the usage of both, and
/// refuses them on PostgreSQL.
fn together(waiting: &[PreparedRequest], most_bytes: usize) -> usize {
    if waiting.len() < 2 {
        return waiting.len();
    }
    let (mut bytes, mut spans) = (0, HashSet::new());
    let fits = |item: &&PreparedRequest| {
        let ids = span_ids(item);
        bytes += item.weight.bytes;
        let fits = bytes <= most_bytes && spans.is_disjoint(&ids);
        spans.extend(ids);
        fits
    };
    waiting.iter().take_while(fits).count().max(1)
}

fn span_ids(item: &PreparedRequest) -> HashSet<(Option<u128>, Option<u128>)> {
    let places =
        item.payload.shipments().into_iter().flatten().flat_map(|shipment| pieces::places(&shipment.body));
    places.map(|place| (trace_number(&place.span.trace_id), trace_number(&place.span.span_id))).collect()
}

#[cfg(test)]
mod tests;
