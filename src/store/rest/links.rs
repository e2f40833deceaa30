//! Linking traces to runs.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::experiments::JSON;
use super::{Destination, RestError, RestStore};
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
        destination: &Destination,
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
                refusals.extend(self.link_chunk(destination, run_id, chunk).await?);
            }
        }
        Ok(refusals)
    }

    async fn link_chunk(
        &self,
        destination: &Destination,
        run_id: &str,
        trace_ids: &[&str],
    ) -> Result<Option<Refusal>, RestError> {
        let workspace = destination.workspace.as_deref();
        let mut call = self.call(Method::POST, "/api/2.0/mlflow/traces/link-to-run", workspace)?;
        call.headers.insert(CONTENT_TYPE, JSON);
        call.body = Some(json!({ "trace_ids": trace_ids, "run_id": run_id }).to_string().into());
        match self.inner.client.send(&call, self.inner.client.backoff()).await {
            Ok(_) => Ok(None),
            Err(
                error @ (RestError::Refused { .. }
                | RestError::NotFound { .. }
                | RestError::NoRoute { .. }
                | RestError::Internal { .. }),
            ) => {
                let count = trace_ids.len();
                let reason =
                    format!("{count} traces are stored, but not linked to the run {run_id}: {error}");
                Ok(Some(Refusal { spans: 0, reason }))
            }
            Err(error) => Err(error),
        }
    }
}
