//! What MLflow's SDKs say beside the spans, in HTTP headers or gRPC metadata.

use http::HeaderMap;

use super::failure::Failure;
use crate::pipeline::RequestMetadata;

/// Reads MLflow's headers.
pub(super) fn request_metadata(headers: &HeaderMap) -> Result<RequestMetadata, Failure> {
    Ok(RequestMetadata {
        experiment_id: text(headers, "x-mlflow-experiment-id")?,
        run_id: text(headers, "x-mlflow-run-id")?,
        workspace: text(headers, "x-mlflow-workspace")?,
        ..RequestMetadata::default()
    })
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Failure::Invalid(format!("the header {name} is not UTF-8"))),
    }
}
