//! Exporters in memory, and what they got.

use std::collections::BTreeMap;

use opentelemetry::Value;
use opentelemetry::trace::{Event, SpanContext, SpanId, Status};
use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
use opentelemetry_mlflow::instrument::{Instrumentation, InstrumentationBuilder, Span};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};

/// An instrumentation of one test. Spans inside [`Telemetry::root`] follow it there, so that tests
/// do not share a global one.
pub(crate) struct Telemetry {
    pub(crate) instrumentation: Instrumentation,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
}

/// A point of a histogram: attributes, how many values, their sum.
pub(crate) type Point = (BTreeMap<String, String>, u64, f64);

impl Telemetry {
    /// With content on spans.
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder.capture(CapturePolicy::new(CaptureMode::SpanOnly)))
    }

    pub(crate) fn with(change: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder) -> Self {
        Self::sampled(Sampler::AlwaysOn, change)
    }

    pub(crate) fn sampled(
        sampler: Sampler,
        change: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder,
    ) -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let tracer_provider =
            SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(spans.clone()).build();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meter_provider = SdkMeterProvider::builder().with_reader(reader).build();
        let builder = Instrumentation::builder()
            .capture(CapturePolicy::default())
            .tracer_provider(&tracer_provider)
            .meter_provider(&meter_provider);
        let instrumentation = change(builder).build();
        Self { instrumentation, spans, metrics, tracer_provider, meter_provider }
    }

    /// A span to run a test in.
    pub(crate) fn root(&self) -> Span {
        Span::builder("root").instrumentation(&self.instrumentation).start()
    }

    /// Runs a test in a span.
    pub(crate) fn inside<R>(&self, code: impl FnOnce() -> R) -> R {
        self.root().call(|_| code())
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.tracer_provider.force_flush().unwrap();
        self.spans.get_finished_spans().unwrap()
    }

    /// The only span of that name.
    pub(crate) fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name);
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        let span = found.next().unwrap_or_else(|| panic!("no span `{name}` among {names:?}"));
        assert!(found.next().is_none(), "several spans `{name}` among {names:?}");
        span.clone()
    }

    /// The points of a histogram, by name.
    pub(crate) fn metric(&self, name: &str) -> Vec<Point> {
        self.meter_provider.force_flush().unwrap();
        let exported = self.metrics.get_finished_metrics().unwrap();
        let Some(last) = exported.last() else { return Vec::new() };
        let mut points = Vec::new();
        for metric in last.scope_metrics().flat_map(|scope| scope.metrics()).filter(|it| it.name() == name) {
            match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => points.extend(
                    histogram
                        .data_points()
                        .map(|point| (texts(point.attributes()), point.count(), point.sum())),
                ),
                AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                    points.extend(histogram.data_points().map(|point| {
                        #[allow(clippy::cast_precision_loss, reason = "small counts")]
                        (texts(point.attributes()), point.count(), point.sum() as f64)
                    }));
                }
                other => panic!("{name} is no histogram: {other:?}"),
            }
        }
        points
    }
}

fn texts<'a>(attributes: impl Iterator<Item = &'a opentelemetry::KeyValue>) -> BTreeMap<String, String> {
    attributes.map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
}

/// The value of an attribute, and that it is there only once.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found: Vec<_> = span.attributes.iter().filter(|pair| pair.key.as_str() == key).collect();
    assert!(found.len() < 2, "{key} is there {} times", found.len());
    found.first().map(|pair| match &pair.value {
        Value::Array(array) => panic!("{key} is a list: {array:?}"),
        scalar => scalar.to_string(),
    })
}

/// All attributes, as `key=value`, in order of their names.
pub(crate) fn attributes(span: &SpanData) -> Vec<String> {
    let mut all: Vec<_> = span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    all.sort();
    all
}

/// The only event of that name, as `key=value`.
pub(crate) fn event(span: &SpanData, name: &str) -> Vec<String> {
    let events: Vec<&Event> = span.events.iter().filter(|event| event.name == name).collect();
    assert_eq!(events.len(), 1, "events `{name}`: {:?}", span.events.events);
    events[0].attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect()
}

/// What the status says, if it is an error.
pub(crate) fn failure(span: &SpanData) -> Option<String> {
    match &span.status {
        Status::Error { description } => Some(description.to_string()),
        _ => None,
    }
}

pub(crate) fn parent(span: &SpanData) -> SpanId {
    span.parent_span_id
}

pub(crate) fn id(span: &SpanData) -> SpanId {
    SpanContext::span_id(&span.span_context)
}
