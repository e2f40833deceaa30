//! What the SDK would export, in memory.

use std::time::Duration;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, KeyValue, Value as Attribute};
use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
use opentelemetry_mlflow::instrument::{Instrumentation, InstrumentationBuilder};
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Histogram, Metric, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::{Map, Value, json};

/// An attribute with its type, which JSON alone would not keep.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Typed {
    /// As the registry names types: `string`, `int`, `string[]`, or `any` for a structure.
    pub(crate) kind: &'static str,
    pub(crate) value: Value,
}

/// Attributes in their order, names twice if they were set twice.
pub(crate) type Attributes = Vec<(String, Typed)>;

/// A finished span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) status: Status,
    pub(crate) attributes: Attributes,
    pub(crate) events: Vec<(String, Attributes)>,
    pub(crate) id: SpanId,
    pub(crate) parent: SpanId,
    pub(crate) trace: TraceId,
}

/// One series of a histogram.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) unit: String,
    /// Of its values: `int` or `double`.
    pub(crate) kind: &'static str,
    pub(crate) bounds: Vec<f64>,
    pub(crate) attributes: Attributes,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

/// A log record with a name.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) severity: i32,
    pub(crate) attributes: Attributes,
    pub(crate) span: Option<SpanId>,
}

/// The value of an attribute, null if it is not there.
pub(crate) fn get<'a>(attributes: &'a Attributes, name: &str) -> &'a Value {
    attributes.iter().find(|(key, _)| key == name).map_or(&Value::Null, |(_, typed)| &typed.value)
}

impl Span {
    pub(crate) fn get(&self, name: &str) -> &Value {
        get(&self.attributes, name)
    }

    /// An attribute that is JSON text, read.
    pub(crate) fn content(&self, name: &str) -> Value {
        let text = self.get(name).as_str().unwrap_or_else(|| panic!("{} has no {name}", self.name));
        serde_json::from_str(text).unwrap()
    }

    /// All attributes as one object.
    pub(crate) fn json(&self) -> Value {
        object(&self.attributes)
    }
}

impl Event {
    pub(crate) fn get(&self, name: &str) -> &Value {
        get(&self.attributes, name)
    }
}

impl Point {
    pub(crate) fn get(&self, name: &str) -> &Value {
        get(&self.attributes, name)
    }
}

/// All attributes as one object.
pub(crate) fn object(attributes: &Attributes) -> Value {
    attributes.iter().map(|(key, typed)| (key.clone(), typed.value.clone())).collect::<Map<_, _>>().into()
}

/// Providers that keep everything.
pub(crate) struct Telemetry {
    pub(crate) tracer_provider: SdkTracerProvider,
    pub(crate) meter_provider: SdkMeterProvider,
    pub(crate) logger_provider: SdkLoggerProvider,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    logs: InMemoryLogExporter,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let (spans, metrics, logs) = (
            InMemorySpanExporter::default(),
            InMemoryMetricExporter::default(),
            InMemoryLogExporter::default(),
        );
        Self {
            tracer_provider: SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build(),
            meter_provider: SdkMeterProvider::builder()
                .with_reader(PeriodicReader::builder(metrics.clone()).build())
                .build(),
            logger_provider: SdkLoggerProvider::builder().with_simple_exporter(logs.clone()).build(),
            spans,
            metrics,
            logs,
        }
    }

    /// An instrumentation that records here, with content on spans and events.
    pub(crate) fn instrumentation(&self) -> InstrumentationBuilder {
        Instrumentation::builder()
            .tracer_provider(&self.tracer_provider)
            .meter_provider(&self.meter_provider)
            .logger_provider(&self.logger_provider)
            .capture(CapturePolicy::new(CaptureMode::SpanAndEvent))
    }

    /// The spans that ended so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.get_finished_spans().unwrap().into_iter().map(Span::from).collect()
    }

    /// The first spans, as many as are said; they may end after the call that they are of.
    pub(crate) async fn finished(&self, count: usize) -> Vec<Span> {
        for _ in 0..500 {
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} spans ended", self.spans().len());
    }

    /// The only span that ended, or will soon.
    pub(crate) async fn span(&self) -> Span {
        let spans = self.finished(1).await;
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        assert_eq!(spans.len(), 1, "the spans are {names:?}");
        spans[0].clone()
    }

    /// All series of all histograms, as they are now.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.meter_provider.force_flush().unwrap();
        let exports = self.metrics.get_finished_metrics().unwrap();
        let metrics = exports.last().into_iter().flat_map(|last| last.scope_metrics());
        metrics.flat_map(|scope| scope.metrics()).flat_map(points).collect()
    }

    /// The series of one metric.
    pub(crate) fn points_of(&self, metric: &str) -> Vec<Point> {
        self.points().into_iter().filter(|point| point.metric == metric).collect()
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        let logs = self.logs.get_emitted_logs().unwrap();
        logs.iter()
            .map(|log| Event {
                name: log.record.event_name().unwrap_or_default().to_owned(),
                severity: log.record.severity_number().map_or(0, |severity| severity as i32),
                attributes: log
                    .record
                    .attributes_iter()
                    .map(|(key, value)| (key.to_string(), structured(value)))
                    .collect(),
                span: log.record.trace_context().map(|context| context.span_id),
            })
            .collect()
    }
}

impl From<SpanData> for Span {
    fn from(span: SpanData) -> Self {
        Self {
            name: span.name.into_owned(),
            kind: span.span_kind,
            status: span.status,
            attributes: typed(&span.attributes),
            events: span
                .events
                .iter()
                .map(|event| (event.name.to_string(), typed(&event.attributes)))
                .collect(),
            id: span.span_context.span_id(),
            parent: span.parent_span_id,
            trace: span.span_context.trace_id(),
        }
    }
}

fn points(metric: &Metric) -> Vec<Point> {
    match metric.data() {
        AggregatedMetrics::F64(MetricData::Histogram(data)) => series(metric, "double", data, |sum| sum),
        #[expect(clippy::cast_precision_loss, reason = "counts in tests are small")]
        AggregatedMetrics::U64(MetricData::Histogram(data)) => series(metric, "int", data, |sum| sum as f64),
        other => panic!("{} is no histogram: {other:?}", metric.name()),
    }
}

fn series<T: Copy>(
    metric: &Metric,
    kind: &'static str,
    data: &Histogram<T>,
    number: fn(T) -> f64,
) -> Vec<Point> {
    data.data_points()
        .map(|point| Point {
            metric: metric.name().to_owned(),
            unit: metric.unit().to_owned(),
            kind,
            bounds: point.bounds().collect(),
            attributes: typed(&point.attributes().cloned().collect::<Vec<_>>()),
            count: point.count(),
            sum: number(point.sum()),
        })
        .collect()
}

pub(crate) fn typed(attributes: &[KeyValue]) -> Attributes {
    attributes.iter().map(|attribute| (attribute.key.to_string(), typed_value(&attribute.value))).collect()
}

fn typed_value(value: &Attribute) -> Typed {
    let (kind, value) = match value {
        Attribute::Bool(value) => ("boolean", json!(value)),
        Attribute::I64(value) => ("int", json!(value)),
        Attribute::F64(value) => ("double", json!(value)),
        Attribute::String(value) => ("string", json!(value.as_str())),
        Attribute::Array(Array::Bool(values)) => ("boolean[]", json!(values)),
        Attribute::Array(Array::I64(values)) => ("int[]", json!(values)),
        Attribute::Array(Array::F64(values)) => ("double[]", json!(values)),
        Attribute::Array(Array::String(values)) => {
            ("string[]", values.iter().map(|value| value.as_str().to_owned()).collect())
        }
        other => panic!("an attribute of an unknown type: {other:?}"),
    };
    Typed { kind, value }
}

fn structured(value: &AnyValue) -> Typed {
    let kind = match value {
        AnyValue::Boolean(_) => "boolean",
        AnyValue::Int(_) => "int",
        AnyValue::Double(_) => "double",
        AnyValue::String(_) => "string",
        AnyValue::ListAny(values) if values.iter().all(|value| matches!(value, AnyValue::String(_))) => {
            "string[]"
        }
        _ => "any",
    };
    Typed { kind, value: any_json(value) }
}

fn any_json(value: &AnyValue) -> Value {
    match value {
        AnyValue::Boolean(value) => json!(value),
        AnyValue::Int(value) => json!(value),
        AnyValue::Double(value) => json!(value),
        AnyValue::String(value) => json!(value.as_str()),
        AnyValue::ListAny(values) => values.iter().map(any_json).collect(),
        AnyValue::Map(members) => members
            .iter()
            .map(|(key, value)| (key.to_string(), any_json(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => panic!("a value of an unknown type: {other:?}"),
    }
}
