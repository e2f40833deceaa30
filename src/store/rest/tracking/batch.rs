//! Logging in batches.

use serde_json::{Value, json};

use super::ask::{self, V2};
use super::json::{float, tags};
use crate::mlflow::entities::{LogBatch, Metric, Param};
use crate::store::rest::RestStore;
use crate::store::tracking::{TrackingError, limits};

/// Logs in as many calls as MLflow's limits ask for. Repeating a call changes nothing: a metric of
/// the same value, time and step is kept once, parameters and tags are set to what they are.
pub(super) async fn log(store: &RestStore, run_id: &str, batch: LogBatch) -> Result<(), TrackingError> {
    for call in limits::split(limits::prepare(batch)?) {
        let body = json!({
            "run_id": run_id,
            "metrics": call.metrics.iter().map(metric).collect::<Vec<_>>(),
            "params": params(&call.params),
            "tags": tags(&call.tags),
        });
        ask::send_only(store, &ask::post(store, &format!("{V2}runs/log-batch"), &body)?).await?;
    }
    Ok(())
}

fn metric(metric: &Metric) -> Value {
    json!({
        "key": metric.key,
        "value": float(metric.value),
        "timestamp": metric.timestamp_ms,
        "step": metric.step,
    })
}

/// Parameters, as they are sent.
pub(super) fn params(params: &[Param]) -> Value {
    params.iter().map(|param| json!({ "key": param.key, "value": param.value })).collect()
}
