//! One export request inside the pipeline.

use crate::otlp::model::ExportTraceServiceRequest;

/// A validated export request, shared by all exporters of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct TraceRequest {
    /// The spans.
    pub body: ExportTraceServiceRequest,
    /// What the sender said beside the spans.
    pub metadata: RequestMetadata,
}

impl TraceRequest {
    /// The number of spans in the request.
    pub fn span_count(&self) -> usize {
        let scopes = self.body.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    }
}

/// What a sender said beside the spans: MLflow's HTTP headers, or the same as gRPC metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMetadata {
    /// `x-mlflow-experiment-id`.
    pub experiment_id: Option<String>,
    /// `x-mlflow-run-id`.
    pub run_id: Option<String>,
    /// `x-mlflow-workspace`.
    pub workspace: Option<String>,
    /// Whether the request came as OTLP/JSON, where MLflow reads the ids of links as base64.
    pub json: bool,
    /// Size of the request's body after decompression, in bytes.
    pub bytes: usize,
}
