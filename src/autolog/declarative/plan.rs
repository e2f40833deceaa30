//! From the structs of the file to the plan of what is set up.

use std::time::Duration;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::metrics::{Aggregation, InstrumentKind};
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::SpanLimits;
use opentelemetry_sdk::{Resource, logs, trace};
use serde_json::Value as Json;

use super::super::plan::{Exporter, Mode, Plan, Processor, Propagation, Reader, Traces};
use super::super::views::View;
use super::exporter_model::LogExporterModel;
use super::exporters::{of_logs, of_metrics, of_spans, pairs, timeout};
use super::model::{
    AggregationModel, Attribute, AttributeKind, Batch, File, InstrumentType, MeterProvider, ProcessorModel,
    Propagator, ReaderModel, ResourceModel, SpanLimitsModel, TracerProvider, ViewModel,
};
use super::sampler::sampler;
use super::{Declared, Layer};
use crate::document::problem::{Problem, Problems};
use crate::document::tree::{Node, Path};

/// The defaults of the format.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);
const SPAN_DELAY: Duration = Duration::from_secs(5);
const LOG_DELAY: Duration = Duration::from_secs(1);
const QUEUE: usize = 2_048;
const BATCH: usize = 512;
const ATTRIBUTES: u32 = 128;

/// The file and its problems, for those who read a part of it.
pub(super) struct Reading<'a> {
    root: &'a Node,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    /// Notes what is wrong at a path.
    pub(super) fn complain(&mut self, path: &Path, message: &str) {
        self.problems.push(Problem::error(path.to_string(), Some(self.root.locate(path)), message));
    }

    /// The one choice that was made of several; notes if there is none, or more than one.
    pub(super) fn exactly_one<T>(&mut self, mut found: Vec<T>, path: &Path, choice: &str) -> Option<T> {
        // What is wrong with the only one has been said, if it was taken out for that.
        let others_said = self.problems.iter().any(|problem| problem.path.starts_with(&format!("{path}.")));
        match found.len() {
            0 if !others_said => self.complain(path, &format!("must have one of {choice}")),
            0 | 1 => {}
            _ => self.complain(path, &format!("must have only one of {choice}")),
        }
        found.pop()
    }
}

/// What the file says, as far as it is right.
pub(super) fn declared(file: File, root: &Node, problems: &mut Problems) -> Declared {
    let mut reading = Reading { root, problems };
    check_format(&file.file_format, &mut reading);
    let attributes = file.attribute_limits.and_then(|limits| limits.attribute_count_limit);
    let (readers, views) = metrics(file.meter_provider.unwrap_or_default(), &mut reading);
    let plan = Plan {
        resource: resource(file.resource.unwrap_or_default(), &mut reading),
        propagation: propagation(file.propagator, &mut reading),
        traces: traces(file.tracer_provider.unwrap_or_default(), attributes, &mut reading),
        readers,
        views,
        logs: log_processors(file.logger_provider.map(|provider| provider.processors), &mut reading),
    };
    let layer = file.instrumentation.and_then(|all| all.rust).and_then(|rust| rust.openai).map(Layer);
    Declared { disabled: file.disabled, plan, layer }
}

fn check_format(format: &str, reading: &mut Reading<'_>) {
    let path = Path::of(&["file_format"]);
    match format.split_once('.') {
        Some(("1", "0")) => {}
        Some(("1", minor)) if minor.bytes().all(|digit| digit.is_ascii_digit()) => {
            let message = format!("this program knows 1.0; what is new in {format} is an unknown key");
            let at = Some(reading.root.locate(&path));
            reading.problems.push(Problem::warning(path.to_string(), at, message));
        }
        _ if format.is_empty() => reading.complain(&path, "the key `file_format` is missing; write \"1.0\""),
        _ => reading.complain(&path, "this version of the format is not known; write \"1.0\""),
    }
}

fn resource(model: ResourceModel, reading: &mut Reading<'_>) -> Resource {
    let path = Path::of(&["resource", "attributes"]);
    let mut attributes: Vec<KeyValue> = pairs(model.attributes_list.as_deref().unwrap_or_default())
        .map(|(name, value)| KeyValue::new(name, value))
        .collect();
    for (index, attribute) in model.attributes.into_iter().enumerate() {
        match value(&attribute) {
            Some(value) => attributes.push(KeyValue::new(attribute.name, value)),
            None => {
                let message = "the value does not fit its type; types are string, bool, int, double, and the same \
                               with _array";
                reading.complain(&path.index(index).key("value"), message);
            }
        }
    }
    let builder = Resource::builder_empty()
        .with_attribute(KeyValue::new("service.name", "unknown_service"))
        .with_detector(Box::new(TelemetryResourceDetector));
    match model.schema_url {
        Some(url) => builder.with_schema_url(attributes, url).build(),
        None => builder.with_attributes(attributes).build(),
    }
}

/// The value of an attribute in its type; without a type, in that of YAML.
fn value(attribute: &Attribute) -> Option<Value> {
    use AttributeKind::{Bool, BoolArray, Double, DoubleArray, Int, IntArray, String, StringArray};
    let json = &attribute.value;
    let kind = match (attribute.kind, json) {
        (Some(kind), _) => kind,
        (None, Json::Bool(_)) => Bool,
        (None, Json::Number(number)) if number.is_f64() => Double,
        (None, Json::Number(_)) => Int,
        (None, Json::Array(_)) => StringArray,
        (None, _) => String,
    };
    let list = || json.as_array().map(|items| items.iter());
    Some(match kind {
        String => text(json)?.into(),
        Bool => Value::Bool(json.as_bool()?),
        Int => Value::I64(json.as_i64()?),
        Double => Value::F64(json.as_f64()?),
        StringArray => {
            let texts: Option<Vec<StringValue>> = list()?.map(|item| text(item).map(Into::into)).collect();
            Value::Array(Array::String(texts?))
        }
        BoolArray => Value::Array(Array::Bool(list()?.map(Json::as_bool).collect::<Option<_>>()?)),
        IntArray => Value::Array(Array::I64(list()?.map(Json::as_i64).collect::<Option<_>>()?)),
        DoubleArray => Value::Array(Array::F64(list()?.map(Json::as_f64).collect::<Option<_>>()?)),
    })
}

/// A text; numbers and switches that came out of the environment are texts, too.
fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(json.to_string()),
        _ => None,
    }
}

fn propagation(model: Option<Propagator>, reading: &mut Reading<'_>) -> Vec<Propagation> {
    let Some(model) = model else { return Vec::new() };
    let mut found = Vec::new();
    for entry in model.composite {
        let named = [
            entry.tracecontext.map(|_| Propagation::TraceContext),
            entry.baggage.map(|_| Propagation::Baggage),
        ];
        found.extend(named.into_iter().flatten());
    }
    let names = model.composite_list.unwrap_or_default();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "none") {
        match Propagation::parse(name) {
            Some(propagation) => found.push(propagation),
            None => reading.complain(
                &Path::of(&["propagator", "composite_list"]),
                "has a propagator that is not available in Rust; use `tracecontext` and `baggage`",
            ),
        }
    }
    let mut unique = Vec::new();
    for propagation in found {
        if !unique.contains(&propagation) {
            unique.push(propagation);
        }
    }
    unique
}

fn traces(model: TracerProvider, attributes: Option<u32>, reading: &mut Reading<'_>) -> Traces {
    let path = Path::of(&["tracer_provider"]);
    let sampler = sampler(model.sampler, &path.key("sampler"), reading);
    let mut processors = Vec::new();
    for (index, processor) in model.processors.into_iter().enumerate() {
        let here = path.key("processors").index(index);
        let mode = |batch: &Batch<_>| trace_mode(batch);
        processors.extend(processor_of(processor, &here, reading, mode, of_spans));
    }
    Traces {
        processors,
        sampler: Some(sampler),
        limits: Some(limits(model.limits.unwrap_or_default(), attributes)),
        experiment: None,
    }
}

fn limits(model: SpanLimitsModel, attributes: Option<u32>) -> SpanLimits {
    SpanLimits {
        max_attributes_per_span: model.attribute_count_limit.or(attributes).unwrap_or(ATTRIBUTES),
        max_events_per_span: model.event_count_limit.unwrap_or(ATTRIBUTES),
        max_links_per_span: model.link_count_limit.unwrap_or(ATTRIBUTES),
        max_attributes_per_event: model.event_attribute_count_limit.or(attributes).unwrap_or(ATTRIBUTES),
        max_attributes_per_link: model.link_attribute_count_limit.or(attributes).unwrap_or(ATTRIBUTES),
    }
}

fn trace_mode<E>(batch: &Batch<E>) -> Mode<trace::BatchConfig> {
    let config = trace::BatchConfigBuilder::default()
        .with_scheduled_delay(batch.schedule_delay.map_or(SPAN_DELAY, Duration::from_millis))
        .with_max_queue_size(batch.max_queue_size.unwrap_or(QUEUE))
        .with_max_export_batch_size(batch.max_export_batch_size.unwrap_or(BATCH));
    Mode::Batch { config: config.build(), timeout: timeout(batch.export_timeout, EXPORT_TIMEOUT) }
}

fn log_mode<E>(batch: &Batch<E>) -> Mode<logs::BatchConfig> {
    let config = logs::BatchConfigBuilder::default()
        .with_scheduled_delay(batch.schedule_delay.map_or(LOG_DELAY, Duration::from_millis))
        .with_max_queue_size(batch.max_queue_size.unwrap_or(QUEUE))
        .with_max_export_batch_size(batch.max_export_batch_size.unwrap_or(BATCH));
    Mode::Batch { config: config.build(), timeout: timeout(batch.export_timeout, EXPORT_TIMEOUT) }
}

fn log_processors(
    models: Option<Vec<ProcessorModel<LogExporterModel>>>,
    reading: &mut Reading<'_>,
) -> Vec<Processor<logs::BatchConfig>> {
    let path = Path::of(&["logger_provider", "processors"]);
    let mut processors = Vec::new();
    for (index, processor) in models.into_iter().flatten().enumerate() {
        let mode = |batch: &Batch<_>| log_mode(batch);
        processors.extend(processor_of(processor, &path.index(index), reading, mode, of_logs));
    }
    processors
}

/// A processor of either kind.
fn processor_of<E, B>(
    model: ProcessorModel<E>,
    path: &Path,
    reading: &mut Reading<'_>,
    mode: impl Fn(&Batch<E>) -> Mode<B>,
    exporter: impl Fn(E, &Path, &mut Reading<'_>) -> Option<Exporter>,
) -> Option<Processor<B>> {
    let mut found = Vec::new();
    if let Some(batch) = model.batch {
        let here = path.key("batch");
        if batch.max_export_batch_size.unwrap_or(BATCH) > batch.max_queue_size.unwrap_or(QUEUE) {
            let message = "must not be larger than `max_queue_size`";
            reading.complain(&here.key("max_export_batch_size"), message);
        }
        let mode = mode(&batch);
        found.push(exporter(batch.exporter, &here.key("exporter"), reading).map(|made| (mode, made)));
    }
    if let Some(simple) = model.simple {
        let here = path.key("simple").key("exporter");
        found.push(exporter(simple.exporter, &here, reading).map(|made| (Mode::Simple, made)));
    }
    let (mode, exporter) = reading.exactly_one(found, path, "`batch` or `simple`")??;
    Some(Processor { mode, exporter })
}

fn metrics(model: MeterProvider, reading: &mut Reading<'_>) -> (Vec<Reader>, Vec<View>) {
    let path = Path::of(&["meter_provider"]);
    let mut readers = Vec::new();
    for (index, ReaderModel { periodic }) in model.readers.into_iter().enumerate() {
        let here = path.key("readers").index(index).key("periodic").key("exporter");
        if let Some((exporter, temporality)) = of_metrics(periodic.exporter, &here, reading) {
            let interval = Some(periodic.interval.map_or(Duration::from_secs(60), Duration::from_millis));
            let timeout = timeout(periodic.timeout, EXPORT_TIMEOUT);
            readers.push(Reader { interval, timeout, temporality, exporter });
        }
    }
    let mut views = Vec::new();
    for (index, model) in model.views.into_iter().enumerate() {
        views.push(view(model, &path.key("views").index(index).key("stream"), reading));
    }
    (readers, views)
}

fn view(model: ViewModel, path: &Path, reading: &mut Reading<'_>) -> View {
    let ViewModel { selector, stream } = model;
    let aggregation = stream
        .aggregation
        .and_then(|aggregation| self::aggregation(aggregation, &path.key("aggregation"), reading));
    if stream.aggregation_cardinality_limit == Some(0) {
        reading.complain(&path.key("aggregation_cardinality_limit"), "must be at least 1");
    }
    View {
        instrument: selector.instrument_name,
        kind: selector.instrument_type.map(kind),
        unit: selector.unit,
        meter: selector.meter_name,
        name: stream.name,
        description: stream.description,
        aggregation,
        cardinality_limit: stream.aggregation_cardinality_limit,
    }
}

fn kind(kind: InstrumentType) -> InstrumentKind {
    match kind {
        InstrumentType::Counter => InstrumentKind::Counter,
        InstrumentType::Gauge => InstrumentKind::Gauge,
        InstrumentType::Histogram => InstrumentKind::Histogram,
        InstrumentType::ObservableCounter => InstrumentKind::ObservableCounter,
        InstrumentType::ObservableGauge => InstrumentKind::ObservableGauge,
        InstrumentType::ObservableUpDownCounter => InstrumentKind::ObservableUpDownCounter,
        InstrumentType::UpDownCounter => InstrumentKind::UpDownCounter,
    }
}

fn aggregation(model: AggregationModel, path: &Path, reading: &mut Reading<'_>) -> Option<Aggregation> {
    let mut found = Vec::new();
    found.extend(model.default.map(|_| Aggregation::Default));
    found.extend(model.drop.map(|_| Aggregation::Drop));
    found.extend(model.last_value.map(|_| Aggregation::LastValue));
    found.extend(model.sum.map(|_| Aggregation::Sum));
    if let Some(buckets) = model.explicit_bucket_histogram {
        const BOUNDARIES: [f64; 15] = [
            0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0,
            10_000.0,
        ];
        let boundaries = buckets.boundaries.unwrap_or_else(|| BOUNDARIES.to_vec());
        if !boundaries.is_sorted_by(|left, right| left < right) {
            let here = path.key("explicit_bucket_histogram").key("boundaries");
            reading.complain(&here, "must rise from one to the next");
        }
        let record_min_max = buckets.record_min_max.unwrap_or(true);
        found.push(Aggregation::ExplicitBucketHistogram { boundaries, record_min_max });
    }
    if let Some(buckets) = model.base2_exponential_bucket_histogram {
        found.push(Aggregation::Base2ExponentialHistogram {
            max_size: buckets.max_size.unwrap_or(160),
            max_scale: buckets.max_scale.unwrap_or(20),
            record_min_max: buckets.record_min_max.unwrap_or(true),
        });
    }
    let choice = "`default`, `drop`, `explicit_bucket_histogram`, `base2_exponential_bucket_histogram`, \
                  `last_value` or `sum`";
    reading.exactly_one(found, path, choice)
}
