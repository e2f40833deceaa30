//! `opentelemetry/proto/collector/trace/v1/trace_service.proto`.

use super::trace::ResourceSpans;

/// The body of an export request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportTraceServiceRequest {
    /// The spans, by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The body of a successful answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportTraceServiceResponse {
    /// Set when some spans were not kept, or to carry a warning.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<ExportTracePartialSuccess>,
}

/// What of a request was not kept.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportTracePartialSuccess {
    /// The number of spans that were not kept; they must not be sent again.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why, for a developer to read.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
