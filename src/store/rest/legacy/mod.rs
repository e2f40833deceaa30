//! Traces to servers that take no OTLP: MLflow 2.14 to 3.5, and newer ones with a file store.
//!
//! Such a server keeps the spans of a trace in one JSON artifact, `traces.json`, that clients
//! read and write whole. So a write is: read what is there, merge, write it all. It is idempotent,
//! but two gateways that write to one trace in the same instant may lose spans of one another;
//! within a process the writes to one trace take turns.

mod artifacts;
mod spans;
mod trace_info;
mod v2;
mod v3;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use futures_util::stream::{self, StreamExt};
use tokio::sync::Mutex;

use super::{Protocol, RestError, RestStore, RunLink};
use crate::mapping::{StoredTrace, TraceUpdate, TraceWrite};
use crate::mlflow::records::TraceRecord;
use crate::otlp::Refusal;
use crate::store::StoreError;

/// How many traces can be written at once without waiting for one another by chance.
const TURNS: usize = 64;

/// Locks by trace.
#[derive(Debug)]
pub(super) struct Turns {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(TURNS).collect();
        Self { locks, hasher: RandomState::new() }
    }
}

impl Turns {
    fn of(&self, trace_id: &str) -> Option<&Mutex<()>> {
        let shard = self.hasher.hash_one(trace_id) % TURNS as u64;
        self.locks.get(usize::try_from(shard).unwrap_or(0))
    }
}

/// A trace as the server has it.
struct FoundTrace {
    /// What the server calls it.
    id: String,
    record: TraceRecord,
    has_user: bool,
    /// Where its artifacts live.
    location: Option<String>,
    metadata: trace_info::Texts,
    tags: trace_info::Texts,
}

impl FoundTrace {
    fn into_stored(self, spans: &spans::Spans) -> StoredTrace {
        StoredTrace {
            record: self.record,
            finalized: false,
            has_user: self.has_user,
            // The spans are an artifact, and never in the server's tables.
            spans_location: None,
            spans: spans.stored(),
        }
    }
}

impl RestStore {
    /// Writes mapped traces to a server that takes no OTLP. Writing the same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] once the time for retries is over, [`StoreError::Fatal`] if somebody
    /// has to change the configuration, the credentials or the server. Some of the traces may be
    /// stored by then.
    pub async fn write(
        &self,
        workspace: Option<&str>,
        mut updates: Vec<TraceUpdate>,
    ) -> Result<Vec<Refusal>, StoreError> {
        updates.sort_by(|one, other| one.trace_id.cmp(&other.trace_id));
        let traces = updates.chunk_by(|one, other| one.trace_id == other.trace_id);
        // Collected, because a closure inside a stream would keep the whole future from being `Send`.
        let writing: Vec<_> = traces.map(|updates| self.write_trace(workspace, updates)).collect();
        let at_once = self.inner.options.max_concurrent_requests.max(1);
        let written: Vec<_> = stream::iter(writing).buffer_unordered(at_once).collect().await;
        let mut refusals = Vec::new();
        for result in written {
            refusals.extend(result.inspect_err(|error| self.learn_from(error))?);
        }
        Ok(refusals)
    }

    async fn write_trace(
        &self,
        workspace: Option<&str>,
        updates: &[TraceUpdate],
    ) -> Result<Vec<Refusal>, RestError> {
        let Some(first) = updates.first() else {
            return Ok(Vec::new());
        };
        let _turn = match self.inner.turns.of(&first.trace_id) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        let written = match self.info().await?.protocol {
            Protocol::TracesV2 => self.write_v2(workspace, first, updates).await,
            Protocol::TracesV3 | Protocol::Otlp => self.write_v3(workspace, first, updates).await,
        };
        let error = match written {
            Ok(refusals) => return Ok(refusals),
            Err(error @ (RestError::Refused { .. } | RestError::Internal { .. })) => error,
            Err(error) => return Err(error),
        };
        // Nothing is the data's fault before the experiment is known to be there.
        if self.experiment(first.experiment_id, workspace).await?.is_none() {
            let message = format!("no experiment has the id {}", first.experiment_id);
            return Err(RestError::NotFound { message });
        }
        let spans = updates.iter().map(|update| update.spans.len()).sum();
        Ok(vec![Refusal { spans, reason: format!("trace {}: {error}", first.trace_id) }])
    }

    /// Links what was written to its runs; `trace_id` is what the server calls the trace.
    async fn link_written(
        &self,
        workspace: Option<&str>,
        trace_id: &str,
        write: &TraceWrite<'_>,
    ) -> Result<Vec<Refusal>, RestError> {
        let links = write
            .run_ids
            .iter()
            .map(|run_id| RunLink { trace_id: trace_id.to_owned(), run_id: (*run_id).to_owned() });
        self.link(workspace, links.collect::<Vec<_>>().iter()).await
    }
}

/// The updates of a write that were not folded in.
fn refused(write: &TraceWrite<'_>) -> Vec<Refusal> {
    write.refused.iter().map(|(_, refusal)| refusal.clone()).collect()
}
