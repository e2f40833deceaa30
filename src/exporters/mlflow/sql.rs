//! Into MLflow's database: mapped updates, many requests to a transaction.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::batcher::{BatchSink, Turn, Weight};
use super::connection::Connection;
use super::mapper::Mapper;
use super::report::Reporter;
use super::route::Router;
use super::runs::{FollowUp, Follower};
use crate::mapping::TraceUpdate;
use crate::otlp::Refusal;
use crate::pipeline::{Delivered, Delivery, TraceRequest};
use crate::store::StoreError;
use crate::store::sql::{RefusedUpdate, SqlStore};
use crate::telemetry::InFlight;

/// An open database and the routes into it.
pub(super) struct Database {
    pub(super) store: Arc<SqlStore>,
    pub(super) router: Router,
    pub(super) follower: Follower,
}

/// Maps requests for the database.
pub(super) struct Sql {
    pub(super) connection: Arc<Connection<Database>>,
    pub(super) mapper: Mapper,
}

impl Sql {
    /// Routes and maps a request.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, or an experiment cannot be had.
    pub(super) async fn prepare(
        &self,
        request: Arc<TraceRequest>,
        reporter: &Reporter,
    ) -> Result<MappedRequest, StoreError> {
        let in_flight = reporter.metrics.in_flight(request.metadata.bytes);
        let weight = Weight::of(&request);
        let database = self.connection.get().await?;
        let experiments = database.router.route(&request, reporter).await?;
        let mut mapped = self.mapper.map(&request, experiments).await?;
        let follow_up = database.follower.prepare(&request, &mut mapped.updates).await?;
        Ok(MappedRequest { updates: mapped.updates, refusals: mapped.refusals, follow_up, weight, in_flight })
    }

    /// Closes the database.
    pub(super) async fn close(&self) {
        if let Some(database) = self.connection.established() {
            database.follower.shutdown().await;
            database.store.close().await;
        }
    }
}

/// What one request writes.
pub(super) struct MappedRequest {
    pub(super) updates: Vec<TraceUpdate>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) follow_up: FollowUp,
    pub(super) weight: Weight,
    pub(super) in_flight: InFlight,
}

/// Writes batches into the database.
pub(super) struct SqlSink {
    pub(super) connection: Arc<Connection<Database>>,
    pub(super) reporter: Reporter,
}

impl BatchSink for SqlSink {
    type Item = MappedRequest;

    fn weight(item: &MappedRequest) -> Weight {
        item.weight
    }

    fn write(&self, items: Vec<MappedRequest>, turn: Turn) -> BoxFuture<'_, Vec<Delivery>> {
        Box::pin(self.write_batch(items, turn))
    }
}

impl SqlSink {
    async fn write_batch(&self, items: Vec<MappedRequest>, turn: Turn) -> Vec<Delivery> {
        let mut updates = Vec::with_capacity(items.iter().map(|item| item.updates.len()).sum());
        let mut pending = Vec::with_capacity(items.len());
        for item in items {
            updates.extend(item.updates);
            pending.push(Pending {
                end: updates.len(),
                spans: item.weight.spans,
                refusals: item.refusals,
                follow_up: item.follow_up,
                _in_flight: item.in_flight,
            });
        }
        let (started, asks) = (Instant::now(), !updates.is_empty());
        let outcome = self.write_updates(updates, turn).await;
        // Without updates the database was not asked, and nothing is known of it.
        if asks {
            self.reporter.wrote(started.elapsed(), outcome.as_ref().err());
        }
        match outcome {
            Ok(refused) => {
                let followed = self.follow(&mut pending).await;
                self.answer(pending, refused, followed)
            }
            Err(error) => pending.iter().map(|item| Err(self.reporter.failed(item.spans, &error))).collect(),
        }
    }

    /// Writes; the next batch is made when the store has use for it.
    async fn write_updates(
        &self,
        updates: Vec<TraceUpdate>,
        turn: Turn,
    ) -> Result<Vec<RefusedUpdate>, StoreError> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        self.connection.get().await?.store.write_holding(updates, turn).await
    }

    /// Does what follows from the spans of each request.
    async fn follow(&self, pending: &mut [Pending]) -> Vec<Result<(), StoreError>> {
        let mut followed = Vec::with_capacity(pending.len());
        for item in pending {
            let follow_up = std::mem::take(&mut item.follow_up);
            followed.push(match self.connection.get().await {
                Ok(database) => database.follower.committed(follow_up).await,
                Err(error) => Err(error),
            });
        }
        followed
    }

    /// Gives each request the refusals of its own updates.
    fn answer(
        &self,
        pending: Vec<Pending>,
        mut refused: Vec<RefusedUpdate>,
        followed: Vec<Result<(), StoreError>>,
    ) -> Vec<Delivery> {
        refused.sort_by_key(|update| update.index);
        let mut refused = refused.into_iter().peekable();
        let answers = pending.into_iter().zip(followed).map(|(item, followed)| {
            let mut by_store = Vec::new();
            while let Some(update) = refused.next_if(|update| update.index < item.end) {
                by_store.push(Refusal { spans: update.spans, reason: update.reason });
            }
            followed.map_err(|error| self.reporter.failed(item.spans, &error))?;
            // Counted now that the request does not come again.
            self.reporter.refused("mapping", &item.refusals);
            self.reporter.refused("store", &by_store);
            let mut refusals = item.refusals;
            refusals.extend(by_store);
            let delivered = Delivered { refusals };
            self.reporter.sent(item.spans.saturating_sub(delivered.refused_spans()));
            Ok(delivered)
        });
        answers.collect()
    }
}

/// A request that is being written.
struct Pending {
    /// Index after its last update.
    end: usize,
    spans: usize,
    refusals: Vec<Refusal>,
    follow_up: FollowUp,
    _in_flight: InFlight,
}
