//! The file as structs, as far as it can be done here: their JSON Schema is what files are checked
//! against, so a key that is not here is refused with a suggestion.
//!
//! Names and defaults: `open-telemetry/opentelemetry-configuration`, file format 1.0.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::exporter_model::{LogExporterModel, MetricExporterModel, SpanExporterModel};

/// Nothing to be said.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) file_format: String,
    pub(super) disabled: bool,
    pub(super) resource: Option<ResourceModel>,
    pub(super) attribute_limits: Option<AttributeLimits>,
    pub(super) propagator: Option<Propagator>,
    pub(super) tracer_provider: Option<TracerProvider>,
    pub(super) meter_provider: Option<MeterProvider>,
    pub(super) logger_provider: Option<LoggerProvider>,
    #[serde(rename = "instrumentation/development")]
    pub(super) instrumentation: Option<Instrumentations>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResourceModel {
    pub(super) attributes: Vec<Attribute>,
    /// As `OTEL_RESOURCE_ATTRIBUTES`; `attributes` wins.
    pub(super) attributes_list: Option<String>,
    pub(super) schema_url: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Value,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<AttributeKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AttributeKind {
    String,
    Bool,
    Int,
    Double,
    StringArray,
    BoolArray,
    IntArray,
    DoubleArray,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AttributeLimits {
    pub(super) attribute_count_limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Propagator {
    pub(super) composite: Vec<PropagatorEntry>,
    pub(super) composite_list: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PropagatorEntry {
    pub(super) tracecontext: Option<Empty>,
    pub(super) baggage: Option<Empty>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TracerProvider {
    pub(super) processors: Vec<ProcessorModel<SpanExporterModel>>,
    pub(super) limits: Option<SpanLimitsModel>,
    pub(super) sampler: Option<SamplerModel>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SpanLimitsModel {
    pub(super) attribute_count_limit: Option<u32>,
    pub(super) event_count_limit: Option<u32>,
    pub(super) link_count_limit: Option<u32>,
    pub(super) event_attribute_count_limit: Option<u32>,
    pub(super) link_attribute_count_limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SamplerModel {
    pub(super) always_on: Option<Empty>,
    pub(super) always_off: Option<Empty>,
    pub(super) trace_id_ratio_based: Option<Ratio>,
    pub(super) parent_based: Option<Box<ParentBased>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ratio {
    #[schemars(range(min = 0, max = 1))]
    pub(super) ratio: Option<f64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ParentBased {
    pub(super) root: Option<SamplerModel>,
    pub(super) remote_parent_sampled: Option<SamplerModel>,
    pub(super) remote_parent_not_sampled: Option<SamplerModel>,
    pub(super) local_parent_sampled: Option<SamplerModel>,
    pub(super) local_parent_not_sampled: Option<SamplerModel>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessorModel<E> {
    pub(super) batch: Option<Batch<E>>,
    pub(super) simple: Option<Simple<E>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch<E> {
    /// In milliseconds.
    pub(super) schedule_delay: Option<u64>,
    /// In milliseconds; 0 means no limit.
    pub(super) export_timeout: Option<u64>,
    #[schemars(range(min = 1))]
    pub(super) max_queue_size: Option<usize>,
    #[schemars(range(min = 1))]
    pub(super) max_export_batch_size: Option<usize>,
    pub(super) exporter: E,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Simple<E> {
    pub(super) exporter: E,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MeterProvider {
    pub(super) readers: Vec<ReaderModel>,
    pub(super) views: Vec<ViewModel>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReaderModel {
    pub(super) periodic: Periodic,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Periodic {
    /// In milliseconds.
    #[schemars(range(min = 1))]
    pub(super) interval: Option<u64>,
    /// In milliseconds; 0 means no limit.
    pub(super) timeout: Option<u64>,
    pub(super) exporter: MetricExporterModel,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewModel {
    pub(super) selector: Selector,
    pub(super) stream: StreamModel,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Selector {
    pub(super) instrument_name: Option<String>,
    pub(super) instrument_type: Option<InstrumentType>,
    pub(super) unit: Option<String>,
    pub(super) meter_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum InstrumentType {
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamModel {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) aggregation: Option<AggregationModel>,
    pub(super) aggregation_cardinality_limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AggregationModel {
    pub(super) default: Option<Empty>,
    pub(super) drop: Option<Empty>,
    pub(super) explicit_bucket_histogram: Option<ExplicitBuckets>,
    pub(super) base2_exponential_bucket_histogram: Option<ExponentialBuckets>,
    pub(super) last_value: Option<Empty>,
    pub(super) sum: Option<Empty>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExplicitBuckets {
    pub(super) boundaries: Option<Vec<f64>>,
    pub(super) record_min_max: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExponentialBuckets {
    #[schemars(range(min = -10, max = 20))]
    pub(super) max_scale: Option<i8>,
    #[schemars(range(min = 2))]
    pub(super) max_size: Option<u32>,
    pub(super) record_min_max: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LoggerProvider {
    pub(super) processors: Vec<ProcessorModel<LogExporterModel>>,
}

/// Instrumentation by language: those of other languages are nothing to us.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Instrumentations {
    pub(super) rust: Option<RustInstrumentations>,
    #[serde(flatten)]
    #[expect(dead_code, reason = "takes what is for other languages, so that it is no error")]
    pub(super) others: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RustInstrumentations {
    pub(super) openai: Option<OpenAi>,
}

/// The layer, and the macros.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpenAi {
    pub(super) enabled: Option<bool>,
    pub(super) capture_message_content: Option<CaptureModel>,
    #[serde(deserialize_with = "size::deserialize")]
    #[schemars(with = "Option<String>")]
    pub(super) max_part_bytes: Option<usize>,
    pub(super) naming: Option<NamingModel>,
    pub(super) chunk_events: Option<bool>,
    pub(super) stream_usage: Option<bool>,
    pub(super) provider: Option<String>,
    pub(super) propagate_to: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum CaptureModel {
    NoContent,
    SpanOnly,
    EventOnly,
    SpanAndEvent,
}

/// Which version of the attribute names is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamingModel {
    Latest,
    Former,
    Both,
}

/// An optional size such as `64KiB`.
mod size {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
        #[derive(Deserialize)]
        struct Size(#[serde(with = "crate::units::size")] usize);
        Ok(Option::<Size>::deserialize(deserializer)?.map(|size| size.0))
    }
}
