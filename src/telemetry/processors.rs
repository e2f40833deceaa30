//! What processors count.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcessorLabels {
    processor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DroppedLabels {
    component: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SampledLabels {
    processor: String,
    policy: String,
    sampled: &'static str,
}

type PerProcessor = Family<ProcessorLabels, Counter>;

/// The families of all processors.
#[derive(Default)]
pub(super) struct ProcessorFamilies {
    incoming: PerProcessor,
    outgoing: PerProcessor,
    refused: PerProcessor,
    dropped: Family<DroppedLabels, Counter>,
    by_size: PerProcessor,
    by_timeout: PerProcessor,
    sampled: Family<SampledLabels, Counter>,
    too_early: PerProcessor,
    late: PerProcessor,
    traces: Family<ProcessorLabels, Gauge>,
}

impl ProcessorFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, family: &PerProcessor| {
            registry.register(name, help, family.clone());
        };
        counter("processor_incoming_items", "Spans that came to the processor", &self.incoming);
        counter("processor_outgoing_items", "Spans that the processor passed on", &self.outgoing);
        counter(
            "processor_refused_spans",
            "Spans refused for want of memory; they come again",
            &self.refused,
        );
        counter(
            "processor_batch_batch_size_trigger_send",
            "Batches sent because they were full",
            &self.by_size,
        );
        counter("processor_batch_timeout_trigger_send", "Batches sent because it was time", &self.by_timeout);
        counter(
            "processor_tail_sampling_sampling_trace_dropped_too_early",
            "Traces decided before their time because too many or too much waited",
            &self.too_early,
        );
        counter(
            "processor_tail_sampling_late_spans",
            "Spans that came after the decision on their trace, and followed it",
            &self.late,
        );
        registry.register("processor_dropped_spans", "Spans dropped on purpose", self.dropped.clone());
        registry.register(
            "processor_tail_sampling_count_traces_sampled",
            "Traces by the policy that decided on them",
            self.sampled.clone(),
        );
        registry.register(
            "processor_tail_sampling_sampling_traces_on_memory",
            "Traces that wait for their decision",
            self.traces.clone(),
        );
    }

    pub(super) fn handle(&self, id: &str) -> ProcessorMetrics {
        let labels = ProcessorLabels { processor: id.to_owned() };
        let of = |family: &PerProcessor| family.get_or_create_owned(&labels);
        ProcessorMetrics {
            incoming: of(&self.incoming),
            outgoing: of(&self.outgoing),
            refused: self.refused.clone(),
            by_size: self.by_size.clone(),
            by_timeout: self.by_timeout.clone(),
            too_early: self.too_early.clone(),
            late: self.late.clone(),
            traces: self.traces.clone(),
            dropped: self.dropped.clone(),
            sampled: self.sampled.clone(),
            component: id.into(),
        }
    }
}

/// What a processor counts, over all chains that it stands in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessorMetrics {
    incoming: Counter,
    outgoing: Counter,
    refused: PerProcessor,
    by_size: PerProcessor,
    by_timeout: PerProcessor,
    too_early: PerProcessor,
    late: PerProcessor,
    traces: Family<ProcessorLabels, Gauge>,
    dropped: Family<DroppedLabels, Counter>,
    sampled: Family<SampledLabels, Counter>,
    component: Arc<str>,
}

impl ProcessorMetrics {
    /// Spans that came in, again with every try.
    pub fn incoming(&self, spans: usize) {
        self.incoming.inc_by(spans as u64);
    }

    /// Spans that were passed on, again with every try.
    pub fn outgoing(&self, spans: usize) {
        self.outgoing.inc_by(spans as u64);
    }

    /// Spans that were refused and will come again.
    pub fn refused(&self, spans: usize) {
        self.refused.get_or_create(&self.labels()).inc_by(spans as u64);
    }

    /// Spans that were dropped on purpose; the reason is one of a few fixed words.
    pub fn dropped(&self, reason: &'static str, spans: usize) {
        let labels = DroppedLabels { component: self.component.to_string(), reason };
        self.dropped.get_or_create(&labels).inc_by(spans as u64);
    }

    /// A batch was sent, because it was full or because it was time.
    pub fn batch_sent(&self, is_full: bool) {
        let family = if is_full { &self.by_size } else { &self.by_timeout };
        family.get_or_create(&self.labels()).inc();
    }

    /// A trace was decided on, by a policy of the configuration.
    pub fn trace_sampled(&self, policy: &str, sampled: bool) {
        let labels = SampledLabels {
            processor: self.component.to_string(),
            policy: policy.to_owned(),
            sampled: if sampled { "true" } else { "false" },
        };
        self.sampled.get_or_create(&labels).inc();
    }

    /// A trace was decided on before its time.
    pub fn decided_too_early(&self) {
        self.too_early.get_or_create(&self.labels()).inc();
    }

    /// Spans that came after the decision.
    pub fn late_spans(&self, spans: usize) {
        self.late.get_or_create(&self.labels()).inc_by(spans as u64);
    }

    /// Traces began to wait, or do no longer.
    pub fn traces_waiting(&self, change: i64) {
        self.traces.get_or_create(&self.labels()).inc_by(change);
    }

    fn labels(&self) -> ProcessorLabels {
        ProcessorLabels { processor: self.component.to_string() }
    }
}
