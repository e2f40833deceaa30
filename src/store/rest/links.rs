//! Linking traces to runs.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;

use super::{RestError, RestStore};
use crate::otlp::Refusal;

/// MLflow links nothing at all if a call names more traces.
const MAX_TRACES_PER_CALL: usize = 100;

/// A trace that belongs to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLink {
    /// `tr-` and 32 hex digits.
    pub trace_id: String,
    /// The run.
    pub run_id: String,
}

impl RestStore {
    /// Links traces to runs through `POST /api/2.0/mlflow/traces/link-to-run`. A link that exists
    /// stays; MLflow checks neither the traces nor the runs.
    ///
    /// Gives a refusal of no span for each call that the server refuses: the traces are stored.
    pub(super) async fn link(
        &self,
        workspace: Option<&str>,
        links: impl Iterator<Item = &RunLink>,
    ) -> Result<Vec<Refusal>, RestError> {
        let mut by_run: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for link in links {
            let traces = by_run.entry(&link.run_id).or_default();
            if !traces.contains(&link.trace_id.as_str()) {
                traces.push(&link.trace_id);
            }
        }
        let mut refusals = Vec::new();
        for (run_id, traces) in by_run {
            for chunk in traces.chunks(MAX_TRACES_PER_CALL) {
                refusals.extend(self.link_chunk(workspace, run_id, chunk).await?);
            }
        }
        Ok(refusals)
    }

    async fn link_chunk(
        &self,
        workspace: Option<&str>,
        run_id: &str,
        trace_ids: &[&str],
    ) -> Result<Option<Refusal>, RestError> {
        let error = match self.try_link(workspace, run_id, trace_ids).await {
            Ok(()) => return Ok(None),
            // MLflow before 3.7 fails on a link that exists, and then makes none of the others.
            Err(error) if is_duplicate(&error) => {
                let mut last = None;
                for trace_id in trace_ids {
                    match self.try_link(workspace, run_id, &[trace_id]).await {
                        Err(error) if !is_duplicate(&error) => last = Some(error),
                        _ => {}
                    }
                }
                match last {
                    Some(error) => error,
                    None => return Ok(None),
                }
            }
            Err(error) => error,
        };
        match error {
            RestError::Refused { .. }
            | RestError::NotFound { .. }
            | RestError::NoRoute { .. }
            | RestError::Internal { .. } => {
                let count = trace_ids.len();
                let reason =
                    format!("{count} traces are stored, but not linked to the run {run_id}: {error}");
                Ok(Some(Refusal { spans: 0, reason }))
            }
            error => Err(error),
        }
    }

    async fn try_link(
        &self,
        workspace: Option<&str>,
        run_id: &str,
        trace_ids: &[&str],
    ) -> Result<(), RestError> {
        let mut call = self.call(Method::POST, "/api/2.0/mlflow/traces/link-to-run", workspace)?;
        call.put_json(&json!({ "trace_ids": trace_ids, "run_id": run_id }));
        self.inner.client.send(&call, self.inner.client.backoff()).await.map(drop)
    }
}

/// Whether a database said that a row exists already: SQLite, PostgreSQL, MySQL.
fn is_duplicate(error: &RestError) -> bool {
    let (RestError::Refused { message, .. } | RestError::Internal { message }) = error else {
        return false;
    };
    ["UNIQUE constraint", "UniqueViolation", "Duplicate entry"].iter().any(|said| message.contains(said))
}
