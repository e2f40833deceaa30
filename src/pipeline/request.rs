//! One export request inside the pipeline.

use bytes::Bytes;
use prost::Message;

use super::Held;
use crate::otlp::model::ExportTraceServiceRequest;

/// A validated export request, shared by all exporters of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct TraceRequest {
    /// The spans.
    pub body: ExportTraceServiceRequest,
    /// The same as it came in, where it came as protobuf and every span is in `body`: what is sent
    /// on is what was received, fields that this program does not know included.
    pub encoded: Option<Bytes>,
    /// What the sender said beside the spans.
    pub metadata: RequestMetadata,
    /// The memory that the request takes, given back with it; counts nothing by default.
    pub held: Held,
}

impl TraceRequest {
    /// The request as OTLP protobuf.
    pub fn to_protobuf(&self) -> Bytes {
        self.encoded.clone().unwrap_or_else(|| self.body.encode_to_vec().into())
    }

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
