//! The families of the metrics: names, help texts and labels. Their names follow the Collector's.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Transport;
use crate::telemetry::process::ProcessCollector;
use crate::telemetry::processors::ProcessorFamilies;
use crate::telemetry::queue::QueueFamilies;
use crate::telemetry::{COMMIT, VERSION};

/// Before every name.
const PREFIX: &str = "otel_mlflow";
/// Upper bounds of the write latency, in seconds: a local transaction to a server in trouble.
const WRITE_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReceiverLabels {
    pub(super) receiver: String,
    pub(super) transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ExporterLabels {
    pub(super) exporter: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) component: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReloadLabels {
    pub(super) what: &'static str,
    pub(super) outcome: &'static str,
}

pub(super) type PerReceiver = Family<ReceiverLabels, Counter>;
pub(super) type PerExporter = Family<ExporterLabels, Counter>;
pub(super) type PerReason = Family<ReasonLabels, Counter>;

/// Every family, and where they are written from.
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) accepted: PerReceiver,
    pub(super) refused: PerReceiver,
    pub(super) refused_requests: PerReason,
    pub(super) refused_connections: PerReason,
    pub(super) receiver_bytes: Family<ReceiverLabels, Gauge>,
    pub(super) reloads: Family<ReloadLabels, Counter>,
    pub(super) last_reload: Gauge,
    pub(super) panics: Counter,
    pub(super) sent: PerExporter,
    pub(super) send_failed: PerExporter,
    pub(super) retries: PerExporter,
    pub(super) refused_by_exporter: PerReason,
    pub(super) experiments_created: PerExporter,
    pub(super) experiments_fallback: PerReason,
    pub(super) left_out: PerExporter,
    pub(super) queue_size: Family<ExporterLabels, Gauge>,
    pub(super) queue_bytes: Family<ExporterLabels, Gauge>,
    pub(super) write: Family<ExporterLabels, Histogram>,
    pub(super) queues: QueueFamilies,
    pub(super) processors: ProcessorFamilies,
    pub(super) gathered_traces: Family<ExporterLabels, Gauge>,
    pub(super) gathered_bytes: Family<ExporterLabels, Gauge>,
    pub(super) assembled: PerReason,
    pub(super) closed_traces: PerExporter,
    pub(super) tasks_died: PerReason,
}

impl Default for Families {
    fn default() -> Self {
        let mut families = Self {
            registry: Registry::with_prefix(PREFIX),
            accepted: Family::default(),
            refused: Family::default(),
            refused_requests: Family::default(),
            refused_connections: Family::default(),
            receiver_bytes: Family::default(),
            reloads: Family::default(),
            last_reload: Gauge::default(),
            panics: Counter::default(),
            sent: Family::default(),
            send_failed: Family::default(),
            retries: Family::default(),
            refused_by_exporter: Family::default(),
            experiments_created: Family::default(),
            experiments_fallback: Family::default(),
            left_out: Family::default(),
            queue_size: Family::default(),
            queue_bytes: Family::default(),
            write: Family::new_with_constructor(|| Histogram::new(WRITE_BUCKETS)),
            queues: QueueFamilies::default(),
            processors: ProcessorFamilies::default(),
            gathered_traces: Family::default(),
            gathered_bytes: Family::default(),
            assembled: Family::default(),
            closed_traces: Family::default(),
            tasks_died: Family::default(),
        };
        families.processors.register(&mut families.registry);
        families.register_receivers();
        families.register_exporters();
        families.queues.register(&mut families.registry);
        families.register_traces();
        families.register_process();
        families
    }
}

impl Families {
    fn register_receivers(&mut self) {
        let registry = &mut self.registry;
        registry.register("receiver_accepted_spans", "Spans that were taken in", self.accepted.clone());
        registry.register(
            "receiver_refused_spans",
            "Spans that were not taken in; their sender was told",
            self.refused.clone(),
        );
        registry.register(
            "receiver_refused_requests",
            "Requests that were answered with an error",
            self.refused_requests.clone(),
        );
        registry.register(
            "receiver_refused_connections",
            "Connections that came to no request",
            self.refused_connections.clone(),
        );
        registry.register_with_unit(
            "receiver_in_flight",
            "Size of the requests that wait for their answer",
            Unit::Bytes,
            self.receiver_bytes.clone(),
        );
    }

    fn register_exporters(&mut self) {
        let registry = &mut self.registry;
        registry.register("exporter_sent_spans", "Spans that the destination holds", self.sent.clone());
        registry.register(
            "exporter_send_failed_spans",
            "Spans of requests that failed; the queue tries them again, or their sender was told",
            self.send_failed.clone(),
        );
        registry.register("exporter_retries", "Attempts after the first", self.retries.clone());
        registry.register(
            "exporter_refused_spans",
            "Spans that cannot be kept; their sender was told",
            self.refused_by_exporter.clone(),
        );
        registry.register(
            "exporter_experiments_created",
            "Experiments that were created",
            self.experiments_created.clone(),
        );
        registry.register(
            "exporter_experiments_fallback",
            "Traces that went to the fallback experiment, by why they did not go to their own",
            self.experiments_fallback.clone(),
        );
        registry.register(
            "exporter_left_out_parts",
            "Parts of spans, as an attribute, that could not be kept; the spans were",
            self.left_out.clone(),
        );
        registry.register(
            "exporter_in_flight_requests",
            "Requests that the exporter works on",
            self.queue_size.clone(),
        );
        registry.register_with_unit(
            "exporter_in_flight",
            "Size of the requests that the exporter works on",
            Unit::Bytes,
            self.queue_bytes.clone(),
        );
        registry.register_with_unit(
            "exporter_write_duration",
            "Time from the making of a batch until it is committed, or answered by a server",
            Unit::Seconds,
            self.write.clone(),
        );
    }

    fn register_traces(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "exporter_gathered_traces",
            "Traces that wait for their other spans",
            self.gathered_traces.clone(),
        );
        registry.register_with_unit(
            "exporter_gathered",
            "Size of the requests that wait for the other spans of their traces",
            Unit::Bytes,
            self.gathered_bytes.clone(),
        );
        registry.register(
            "exporter_assembled_traces",
            "Traces that were gathered and written, by what ended the waiting",
            self.assembled.clone(),
        );
        registry.register(
            "exporter_closed_without_root_traces",
            "Traces that were closed because nothing more of them came",
            self.closed_traces.clone(),
        );
        registry.register("tasks_died", "Tasks that ended by a panic", self.tasks_died.clone());
    }

    fn register_process(&mut self) {
        self.last_reload.set(1);
        let registry = &mut self.registry;
        registry.register(
            "reloads",
            "Times that something was read again: the configuration at SIGHUP, or the certificates, tokens and \
             passwords of a listener at their interval; what cannot be used is refused",
            self.reloads.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration was usable when it was last read: 1 or 0",
            self.last_reload.clone(),
        );
        registry.register(
            "process_panics",
            "Panics of any task or thread: mistakes in this program",
            self.panics.clone(),
        );
        let build = Info::new([("version", VERSION), ("commit", COMMIT.unwrap_or("unknown"))]);
        self.registry.register("build", "The build that runs", build);
        self.registry.register_collector(Box::new(ProcessCollector::new()));
    }

    /// Something was read again.
    pub(super) fn reloaded(&self, what: &'static str, usable: bool) {
        let outcome = if usable { "applied" } else { "refused" };
        self.reloads.get_or_create(&ReloadLabels { what, outcome }).inc();
    }
}
