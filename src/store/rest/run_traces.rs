//! The traces of a run as a server gives them, and the run's files.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value};

use super::RestStore;
use crate::dates::{from_duration, from_rfc3339};
use crate::mapping::runs::{StoredRunTrace, TraceVersion};
use crate::mlflow::entities::Search;
use crate::mlflow::records::{Cost, TokenUsage, TraceState};
use crate::store::tracking::{TrackingError, TrackingStore};

/// Traces that are asked for at a time.
const AT_A_TIME: usize = 8;
/// The most traces that MLflow gives on one page.
const PAGE: u32 = 500;

impl RestStore {
    /// The traces that are linked to a run of an experiment, each with a hash of its head.
    ///
    /// # Errors
    ///
    /// As any search.
    pub async fn run_traces(
        &self,
        experiment_id: &str,
        run_id: &str,
    ) -> Result<Vec<TraceVersion>, TrackingError> {
        let mut found = Vec::new();
        let mut page_token = None;
        loop {
            let search = Search {
                experiment_ids: vec![experiment_id.to_owned()],
                filter: Some(format!("attributes.run_id = '{}'", run_id.replace('\'', ""))),
                max_results: Some(PAGE),
                page_token,
                ..Search::default()
            };
            let page = self.search_traces(search).await?;
            found.extend(page.items.iter().filter_map(version));
            page_token = page.next_page_token;
            if page_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Traces with their spans; one that is gone is left out.
    ///
    /// # Errors
    ///
    /// As any call.
    pub async fn stored_run_traces(
        &self,
        trace_ids: Vec<String>,
    ) -> Result<Vec<StoredRunTrace>, TrackingError> {
        let asked = stream::iter(trace_ids).map(|trace_id| async move {
            match self.get_trace(&trace_id).await {
                Ok(trace) => Ok(stored(trace)),
                Err(TrackingError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let traces: Vec<_> = asked.buffer_unordered(AT_A_TIME).try_collect().await?;
        Ok(traces.into_iter().flatten().collect())
    }

    /// Writes a small file through the server's artifact proxy; `path` is what follows
    /// `mlflow-artifacts:/`.
    ///
    /// # Errors
    ///
    /// As any call.
    pub async fn put_artifact(&self, path: &str, text: String) -> Result<(), TrackingError> {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{path}");
        let mut call = self.call(Method::PUT, &path, None)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = Some(Bytes::from(text));
        let client = &self.inner.client;
        client.send(&call, client.backoff()).await?;
        Ok(())
    }
}

fn version(info: &Map<String, Value>) -> Option<TraceVersion> {
    let trace_id = info.get("trace_id")?.as_str()?.to_owned();
    let mut hash = DefaultHasher::new();
    Value::Object(info.clone()).to_string().hash(&mut hash);
    Some(TraceVersion { trace_id, version: hash.finish() })
}

fn stored(mut trace: Map<String, Value>) -> Option<StoredRunTrace> {
    let spans = match trace.remove("spans") {
        Some(Value::Array(spans)) => spans,
        _ => Vec::new(),
    };
    let info = trace.get("info")?;
    let text = |key: &str| info.get(key).and_then(Value::as_str).map(str::to_owned);
    let metadata = |key: &str| -> Value {
        let text = info.get("trace_metadata").and_then(|pairs| pairs.get(key)).and_then(Value::as_str);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (usage, cost) = (metadata("mlflow.trace.tokenUsage"), metadata("mlflow.trace.cost"));
    let count = |key: &str| usage.get(key).and_then(Value::as_i64);
    let dollars = |key: &str| cost.get(key).and_then(Value::as_f64);
    let tags = info.get("tags").and_then(Value::as_object).into_iter().flatten();
    Some(StoredRunTrace {
        trace_id: text("trace_id")?,
        start_ms: from_rfc3339(&text("request_time")?)?,
        duration_ms: text("execution_duration").as_deref().and_then(from_duration),
        state: TraceState::from_stored(&text("state").unwrap_or_default()),
        request: text("request_preview"),
        response: text("response_preview"),
        tokens: TokenUsage {
            input: count("input_tokens"),
            output: count("output_tokens"),
            total: count("total_tokens"),
            cache_read: count("cache_read_input_tokens"),
            ..TokenUsage::default()
        },
        cost: Cost {
            input: dollars("input_cost"),
            output: dollars("output_cost"),
            total: dollars("total_cost"),
        },
        tags: tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        spans,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_of_the_api_is_read() {
        let trace = json!({"info": {"trace_id": "tr-1", "request_time": "2026-11-20T22:04:13.715Z",
            "execution_duration": "0.028s", "state": "OK", "request_preview": "q", "tags": {"service.name": "s"},
            "trace_metadata": {"mlflow.trace.tokenUsage": "{\"input_tokens\": 3, \"total_tokens\": 5}",
                "mlflow.trace.cost": "{\"total_cost\": 0.5}"}},
            "spans": [{"name": "chat"}]});
        let Value::Object(trace) = trace else { panic!() };
        let stored = stored(trace).unwrap();
        assert_eq!((stored.start_ms, stored.duration_ms), (1_795_212_253_715, Some(28)));
        assert_eq!(
            (stored.tokens.input, stored.tokens.output, stored.tokens.total),
            (Some(3), None, Some(5))
        );
        assert_eq!((stored.cost.total, stored.state), (Some(0.5), TraceState::Ok));
        assert_eq!(stored.tags, [("service.name".to_owned(), "s".to_owned())]);
        assert_eq!(stored.spans.len(), 1);
    }
}
