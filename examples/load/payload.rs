//! A request body that is encoded once; every use of it gets fresh trace ids, written over the old ones.

use std::error::Error;
use std::io::Write;
use std::time::SystemTime;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_mlflow::otlp::model::{
    AnyValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans,
    Span, any_value::Value,
};
use prost::Message;
use rand::RngExt;

const TRACE_ID_BYTES: usize = 16;
/// First half of the ids that are replaced; the second half counts the traces.
const MARK: u64 = 0xc7c3_a5f1_9be0_d248;
const TEXT: &str =
    "The capital of France is Paris, a city on the Seine; it has been the seat of government since 987. ";

/// An encoded request, and where its trace ids stand.
#[derive(Clone)]
pub(crate) struct Template {
    body: Vec<u8>,
    /// For each trace the places of its id.
    places: Vec<Vec<usize>>,
    spans: u64,
    gzip: bool,
}

impl Template {
    /// Encodes a request of `traces` traces with `spans` spans each.
    pub(crate) fn new(
        traces: usize,
        spans: usize,
        message_bytes: usize,
        gzip: bool,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?;
        let all = (0..traces).flat_map(|trace| (0..spans).map(move |span| (trace, span)));
        let spans_sent =
            all.map(|(trace, span)| make_span(trace as u64, span as u64, now, message_bytes)).collect();
        let body = request(spans_sent).encode_to_vec();
        let places = (0..traces).map(|trace| places(&body, &trace_id(trace as u64))).collect();
        Ok(Self { body, places, spans: (traces * spans) as u64, gzip })
    }

    /// Length of a body, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Spans in a body.
    pub(crate) fn spans(&self) -> u64 {
        self.spans
    }

    /// A body whose traces nobody has seen, as it travels.
    pub(crate) fn fresh(&mut self) -> std::io::Result<Bytes> {
        let mut random = rand::rng();
        for places in &self.places {
            let id: [u8; TRACE_ID_BYTES] = random.random();
            for place in places {
                if let Some(old) = self.body.get_mut(*place..place + TRACE_ID_BYTES) {
                    old.copy_from_slice(&id);
                }
            }
        }
        if !self.gzip {
            return Ok(Bytes::copy_from_slice(&self.body));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.body)?;
        Ok(encoder.finish()?.into())
    }
}

fn trace_id(trace: u64) -> [u8; TRACE_ID_BYTES] {
    (u128::from(MARK) << 64 | u128::from(trace)).to_be_bytes()
}

fn places(body: &[u8], id: &[u8]) -> Vec<usize> {
    body.windows(id.len()).enumerate().filter(|(_, window)| *window == id).map(|(at, _)| at).collect()
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "bench".into(), version: "1".into(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource = Resource { attributes: vec![text("service.name", "bench")], ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }],
    }
}

/// The first span of a trace is an agent, the others are its chat calls.
fn make_span(trace: u64, span: u64, now: u64, message_bytes: usize) -> Span {
    let (name, operation) =
        if span == 0 { ("invoke_agent bench", "invoke_agent") } else { ("chat gpt-4o-mini", "chat") };
    let mut attributes = vec![
        text("gen_ai.operation.name", operation),
        text("gen_ai.input.messages", &messages("user", &message(message_bytes))),
        text("gen_ai.output.messages", &messages("assistant", &message(message_bytes))),
    ];
    if span > 0 {
        attributes.push(text("gen_ai.provider.name", "openai"));
        attributes.push(text("gen_ai.request.model", "gpt-4o-mini"));
        attributes.push(number("gen_ai.usage.input_tokens", 100));
        attributes.push(number("gen_ai.usage.output_tokens", 100));
    }
    Span {
        trace_id: trace_id(trace).to_vec(),
        span_id: (span + 1).to_be_bytes().to_vec(),
        parent_span_id: if span == 0 { Vec::new() } else { 1_u64.to_be_bytes().to_vec() },
        name: name.into(),
        kind: if span == 0 { 1 } else { 3 },
        start_time_unix_nano: now + span * 1_000_000,
        end_time_unix_nano: now + (10 - span) * 1_000_000,
        attributes,
        ..Default::default()
    }
}

/// Words in any order, no two messages alike: otherwise compression would make next to nothing of them.
fn message(bytes: usize) -> String {
    let words: Vec<&str> = TEXT.split_inclusive(' ').collect();
    let mut random = rand::rng();
    let mut text = String::with_capacity(bytes + TEXT.len());
    while text.len() < bytes {
        text.push_str(words.get(random.random_range(0..words.len())).copied().unwrap_or(TEXT));
    }
    text.truncate(bytes);
    text
}

fn messages(role: &str, content: &str) -> String {
    serde_json::json!([{"role": role, "parts": [{"type": "text", "content": content}]}]).to_string()
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::String(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::Int(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) }
}
