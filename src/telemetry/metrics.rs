//! Metrics of the collector, named after the OpenTelemetry Collector's with our own prefix.
//!
//! Components get a typed handle with their labels already in it, so that the number of series is the
//! number of configured components times a few fixed words.

mod families;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelValue;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::processors::ProcessorMetrics;
use super::queue::QueueMetrics;
use families::{ExporterLabels, Families, PerReason, ReasonLabels, ReceiverLabels};

/// How data came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are the label's values, in the Collector's spelling")]
pub enum Transport {
    /// OTLP over gRPC.
    grpc,
    /// OTLP over HTTP.
    http,
}

/// All metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Families::default()))
    }
}

impl Metrics {
    /// The metrics of a receiver, by its id.
    pub fn receiver(&self, id: &str, transport: Transport) -> ReceiverMetrics {
        let labels = ReceiverLabels { receiver: id.to_owned(), transport };
        ReceiverMetrics {
            accepted: self.0.accepted.get_or_create_owned(&labels),
            refused: self.0.refused.get_or_create_owned(&labels),
            in_flight: self.0.receiver_bytes.get_or_create_owned(&labels),
            refused_requests: self.0.refused_requests.clone(),
            refused_connections: self.0.refused_connections.clone(),
            component: id.into(),
            all: self.clone(),
        }
    }

    /// The metrics of an exporter, by its id.
    pub fn exporter(&self, id: &str) -> ExporterMetrics {
        let labels = ExporterLabels { exporter: id.to_owned() };
        ExporterMetrics {
            sent: self.0.sent.get_or_create_owned(&labels),
            send_failed: self.0.send_failed.get_or_create_owned(&labels),
            retries: self.0.retries.get_or_create_owned(&labels),
            experiments_created: self.0.experiments_created.get_or_create_owned(&labels),
            experiments_fallback: self.0.experiments_fallback.clone(),
            left_out: self.0.left_out.get_or_create_owned(&labels),
            queue_size: self.0.queue_size.get_or_create_owned(&labels),
            queue_bytes: self.0.queue_bytes.get_or_create_owned(&labels),
            write: self.0.write.get_or_create_owned(&labels),
            gathered_traces: self.0.gathered_traces.get_or_create_owned(&labels),
            gathered_bytes: self.0.gathered_bytes.get_or_create_owned(&labels),
            closed_traces: self.0.closed_traces.get_or_create_owned(&labels),
            refused: self.0.refused_by_exporter.clone(),
            assembled: self.0.assembled.clone(),
            tasks_died: self.0.tasks_died.clone(),
            component: id.into(),
        }
    }

    /// The metrics of the queue of a pipeline and an exporter, by their ids.
    pub fn queue(&self, exporter: &str, pipeline: &str) -> QueueMetrics {
        self.0.queues.queue(exporter, pipeline)
    }

    /// The configuration was read again, and is in force or was refused.
    pub fn configuration_read(&self, usable: bool) {
        self.0.reloaded("configuration", usable);
        self.0.last_reload.set(usable.into());
    }

    /// A task or thread has panicked.
    pub fn panicked(&self) {
        self.0.panics.inc();
    }

    /// The metrics of a processor, by its id.
    pub fn processor(&self, id: &str) -> ProcessorMetrics {
        self.0.processors.handle(id)
    }

    /// Counts the deaths of a component's task, whose name is one of a few fixed words.
    pub fn task_deaths(&self, component: &str, task: &'static str) -> Counter {
        let labels = ReasonLabels { component: component.to_owned(), reason: task };
        self.0.tasks_died.get_or_create_owned(&labels)
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// A metric cannot be written.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What a receiver counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReceiverMetrics {
    accepted: Counter,
    refused: Counter,
    in_flight: Gauge,
    refused_requests: PerReason,
    refused_connections: PerReason,
    component: Arc<str>,
    all: Metrics,
}

impl ReceiverMetrics {
    /// The receiver's id.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The certificates, tokens and passwords of a listener were read again, and are in force or were refused.
    pub fn trust_read(&self, usable: bool) {
        self.all.0.reloaded("trust", usable);
    }

    /// Spans that were taken in.
    pub fn accepted_spans(&self, spans: usize) {
        self.accepted.inc_by(spans as u64);
    }

    /// Spans whose sender was told that they are not kept.
    pub fn refused_spans(&self, spans: usize) {
        self.refused.inc_by(spans as u64);
    }

    /// A request that was answered with an error; the reason is one of a few fixed words.
    pub fn refused_request(&self, reason: &'static str) {
        self.refused_requests.get_or_create(&self.because(reason)).inc();
    }

    /// A connection that came to no request; the reason is one of a few fixed words.
    pub fn refused_connection(&self, reason: &'static str) {
        self.refused_connections.get_or_create(&self.because(reason)).inc();
    }

    fn because(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels { component: self.component.to_string(), reason }
    }

    /// A request waits for its answer until the guard is dropped.
    pub fn in_flight(&self, bytes: usize) -> InFlight {
        InFlight::start(&self.in_flight, None, bytes)
    }
}

/// What an exporter counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExporterMetrics {
    sent: Counter,
    send_failed: Counter,
    retries: Counter,
    experiments_created: Counter,
    experiments_fallback: PerReason,
    left_out: Counter,
    queue_size: Gauge,
    queue_bytes: Gauge,
    write: Histogram,
    gathered_traces: Gauge,
    gathered_bytes: Gauge,
    closed_traces: Counter,
    refused: PerReason,
    assembled: PerReason,
    tasks_died: PerReason,
    component: Arc<str>,
}

impl ExporterMetrics {
    /// Spans that the destination holds.
    pub fn sent_spans(&self, spans: usize) {
        self.sent.inc_by(spans as u64);
    }

    /// Spans of a request that failed.
    pub fn send_failed_spans(&self, spans: usize) {
        self.send_failed.inc_by(spans as u64);
    }

    /// Spans that cannot be kept; the reason is one of a few fixed words.
    pub fn refused_spans(&self, reason: &'static str, spans: usize) {
        let labels = ReasonLabels { component: self.component.to_string(), reason };
        self.refused.get_or_create(&labels).inc_by(spans as u64);
    }

    /// An attempt after the first.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// An experiment was created.
    pub fn experiment_created(&self) {
        self.experiments_created.inc();
    }

    /// A trace that went to the fallback experiment; the reason is one of a few fixed words.
    pub fn experiment_fallback(&self, reason: &'static str) {
        let labels = ReasonLabels { component: self.component.to_string(), reason };
        self.experiments_fallback.get_or_create(&labels).inc();
    }

    /// Parts of spans, as an attribute, that were left out.
    pub fn left_out(&self, parts: usize) {
        self.left_out.inc_by(parts as u64);
    }

    /// A request waits for the exporter until the guard is dropped.
    pub fn in_flight(&self, bytes: usize) -> InFlight {
        InFlight::start(&self.queue_bytes, Some(&self.queue_size), bytes)
    }

    /// What waits for the other spans of its traces: traces, and the bytes of their requests.
    pub fn gathered(&self, traces: usize, bytes: usize) {
        self.gathered_traces.set(i64::try_from(traces).unwrap_or(i64::MAX));
        self.gathered_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A trace that was gathered is written; what ended the waiting is one of a few fixed words.
    pub fn assembled_trace(&self, reason: &'static str) {
        let labels = ReasonLabels { component: self.component.to_string(), reason };
        self.assembled.get_or_create(&labels).inc();
    }

    /// Traces that were closed because nothing more of them came.
    pub fn closed_traces(&self, traces: usize) {
        self.closed_traces.inc_by(traces as u64);
    }

    /// Counts the deaths of a task, whose name is one of a few fixed words.
    pub fn task_deaths(&self, task: &'static str) -> Counter {
        let labels = ReasonLabels { component: self.component.to_string(), reason: task };
        self.tasks_died.get_or_create_owned(&labels)
    }

    /// The time from the making of a batch until it is committed, or answered by a server.
    pub fn wrote(&self, duration: Duration) {
        self.write.observe(duration.as_secs_f64());
    }
}

/// Counts a request as being under way until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    bytes_gauge: Gauge,
    count_gauge: Option<Gauge>,
    bytes: i64,
}

impl InFlight {
    fn start(bytes_gauge: &Gauge, count_gauge: Option<&Gauge>, bytes: usize) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        bytes_gauge.inc_by(bytes);
        if let Some(count) = count_gauge {
            count.inc();
        }
        Self { bytes_gauge: bytes_gauge.clone(), count_gauge: count_gauge.cloned(), bytes }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.bytes_gauge.dec_by(self.bytes);
        if let Some(count) = &self.count_gauge {
            count.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::VERSION;

    #[test]
    fn metrics_carry_the_collectors_names_and_labels() {
        let metrics = Metrics::default();
        let receiver = metrics.receiver("otlp", Transport::grpc);
        receiver.accepted_spans(3);
        receiver.refused_spans(1);
        receiver.refused_request("too_large");
        let exporter = metrics.exporter("mlflow");
        exporter.sent_spans(2);
        exporter.refused_spans("attribute", 1);
        exporter.wrote(Duration::from_millis(7));
        let text = metrics.render().unwrap();
        for line in [
            "otel_mlflow_receiver_accepted_spans_total{receiver=\"otlp\",transport=\"grpc\"} 3",
            "otel_mlflow_receiver_refused_spans_total{receiver=\"otlp\",transport=\"grpc\"} 1",
            "otel_mlflow_receiver_refused_requests_total{component=\"otlp\",reason=\"too_large\"} 1",
            "otel_mlflow_exporter_sent_spans_total{exporter=\"mlflow\"} 2",
            "otel_mlflow_exporter_send_failed_spans_total{exporter=\"mlflow\"} 0",
            "otel_mlflow_exporter_refused_spans_total{component=\"mlflow\",reason=\"attribute\"} 1",
            "otel_mlflow_exporter_write_duration_seconds_bucket{le=\"0.01\",exporter=\"mlflow\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
        assert!(text.contains(&format!("version=\"{VERSION}\"")), "{text}");
    }

    #[test]
    fn the_process_reports_its_memory() {
        let text = Metrics::default().render().unwrap();
        let value =
            text.lines().find_map(|line| line.strip_prefix("otel_mlflow_process_memory_rss_bytes ")).unwrap();
        assert!(value.parse::<u64>().unwrap() > 100_000, "{value}");
    }

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let metrics = Metrics::default();
        let exporter = metrics.exporter("mlflow");
        let guard = exporter.in_flight(500);
        let bytes =
            |text: &str| text.contains("otel_mlflow_exporter_in_flight_bytes{exporter=\"mlflow\"} 500");
        assert!(bytes(&metrics.render().unwrap()));
        drop(guard);
        assert!(!bytes(&metrics.render().unwrap()));
    }
}
