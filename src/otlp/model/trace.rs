//! `opentelemetry/proto/trace/v1/trace.proto`.

use super::common::{InstrumentationScope, KeyValue, Resource};

/// The spans of one resource.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceSpans {
    /// The resource; absent means unknown.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The spans, by instrumentation scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
    /// The schema URL of the resource's attributes.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// The spans of one instrumentation scope.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeSpans {
    /// The scope; absent means unknown.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// The spans, in the order in which they were sent.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    /// The schema URL of the spans' attributes.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// One operation of a trace.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Span {
    /// Identity of the trace: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// Identity of the span within its trace: 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// W3C `tracestate`.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// The parent's span id; empty for a root.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// Name of the operation.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Role of the span; an `opentelemetry.proto.trace.v1.Span.SpanKind`.
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// Start, in nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// End, in nanoseconds since the Unix epoch; 0 when the span has not ended.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Attributes; keys should be, but are not always, unique.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes the SDK discarded.
    #[prost(uint32, tag = "10")]
    pub dropped_attributes_count: u32,
    /// Time-stamped events.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<span::Event>,
    /// How many events the SDK discarded.
    #[prost(uint32, tag = "12")]
    pub dropped_events_count: u32,
    /// Links to other spans.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<span::Link>,
    /// How many links the SDK discarded.
    #[prost(uint32, tag = "14")]
    pub dropped_links_count: u32,
    /// Outcome of the operation.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// W3C trace flags and the `is_remote` bits.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// Messages inside a [`Span`].
pub mod span {
    use super::KeyValue;

    /// Something that happened at one time during a span.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Event {
        /// When it happened, in nanoseconds since the Unix epoch.
        #[prost(fixed64, tag = "1")]
        pub time_unix_nano: u64,
        /// Name of the event.
        #[prost(string, tag = "2")]
        pub name: String,
        /// Attributes of the event.
        #[prost(message, repeated, tag = "3")]
        pub attributes: Vec<KeyValue>,
        /// How many attributes the SDK discarded.
        #[prost(uint32, tag = "4")]
        pub dropped_attributes_count: u32,
    }

    /// A pointer to a span of this or another trace.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Link {
        /// The linked span's trace id: 16 bytes.
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        /// The linked span's id: 8 bytes.
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        /// W3C `tracestate` of the link.
        #[prost(string, tag = "3")]
        pub trace_state: String,
        /// Attributes of the link.
        #[prost(message, repeated, tag = "4")]
        pub attributes: Vec<KeyValue>,
        /// How many attributes the SDK discarded.
        #[prost(uint32, tag = "5")]
        pub dropped_attributes_count: u32,
        /// W3C trace flags of the link.
        #[prost(fixed32, tag = "6")]
        pub flags: u32,
    }
}

/// Outcome of a span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// What a developer should read about an error.
    #[prost(string, tag = "2")]
    pub message: String,
    /// An `opentelemetry.proto.trace.v1.Status.StatusCode`: 0 unset, 1 OK, 2 error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}
