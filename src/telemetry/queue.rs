//! Figures of the queues before exporters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    exporter: String,
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueReasonLabels {
    exporter: String,
    pipeline: String,
    reason: &'static str,
}

type Gauges = Family<QueueLabels, Gauge>;
type Counters = Family<QueueReasonLabels, Counter>;

/// The metrics of all queues.
#[derive(Default)]
pub(super) struct QueueFamilies {
    size: Gauges,
    capacity: Gauges,
    requests: Gauges,
    in_flight: Gauges,
    stored: Gauges,
    oldest: Family<QueueLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    enqueue_failed: Counters,
    dead_letters: Counters,
    dropped_spans: Counters,
    dropped_requests: Counters,
    write_errors: Family<QueueLabels, Counter>,
}

impl QueueFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        let gauges = [
            ("exporter_queue_size", "Bytes of the requests that wait in the queue", &self.size),
            ("exporter_queue_capacity", "Bytes that the queue may keep", &self.capacity),
            ("exporter_queue_requests", "Requests that wait in the queue", &self.requests),
            (
                "exporter_queue_in_flight_requests",
                "Requests of the queue that the exporter has",
                &self.in_flight,
            ),
            (
                "exporter_queue_stored",
                "Bytes that the queue takes, with what is delivered and not deleted yet",
                &self.stored,
            ),
        ];
        for (name, help, family) in gauges {
            registry.register(name, help, family.clone());
        }
        registry.register_with_unit(
            "exporter_queue_oldest_age",
            "Age of the oldest request that is not delivered",
            Unit::Seconds,
            self.oldest.clone(),
        );
        let counters = [
            (
                "exporter_enqueue_failed_spans",
                "Spans that the queue did not take; their sender was told",
                &self.enqueue_failed,
            ),
            (
                "exporter_dead_letter_spans",
                "Spans that cannot be delivered and are in the dead-letter file",
                &self.dead_letters,
            ),
            ("exporter_dropped_spans", "Spans that could not be delivered and are lost", &self.dropped_spans),
            (
                "exporter_queue_dropped_requests",
                "Requests that the queue lost: to its size, their age, or damage",
                &self.dropped_requests,
            ),
        ];
        for (name, help, family) in counters {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "exporter_queue_write_errors",
            "Writes of the queue that failed",
            self.write_errors.clone(),
        );
    }

    pub(super) fn queue(&self, exporter: &str, pipeline: &str) -> QueueMetrics {
        let labels = QueueLabels { exporter: exporter.to_owned(), pipeline: pipeline.to_owned() };
        QueueMetrics {
            size: self.size.get_or_create_owned(&labels),
            capacity: self.capacity.get_or_create_owned(&labels),
            requests: self.requests.get_or_create_owned(&labels),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            stored: self.stored.get_or_create_owned(&labels),
            oldest: self.oldest.get_or_create_owned(&labels),
            write_errors: self.write_errors.get_or_create_owned(&labels),
            enqueue_failed: self.enqueue_failed.clone(),
            dead_letters: self.dead_letters.clone(),
            dropped_spans: self.dropped_spans.clone(),
            dropped_requests: self.dropped_requests.clone(),
            labels: Arc::new(labels),
            last: Arc::default(),
        }
    }
}

/// What a queue has and what it lost, as counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Bytes of the requests that are not delivered.
    pub bytes: u64,
    /// Bytes that it may keep.
    pub capacity: u64,
    /// Requests that are not delivered.
    pub requests: u64,
    /// Requests that the exporter has.
    pub in_flight: u64,
    /// Bytes that it takes.
    pub stored_bytes: u64,
    /// Age of the oldest request that is not delivered.
    pub oldest: Option<Duration>,
    /// Requests that were dropped to make room.
    pub dropped_full: u64,
    /// Requests that were too old.
    pub dropped_expired: u64,
    /// Requests that were damaged or missing.
    pub dropped_damaged: u64,
    /// Requests that were accepted into memory, and could not be written.
    pub dropped_unwritten: u64,
    /// Writes that failed.
    pub write_errors: u64,
}

/// What a queue counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    size: Gauge,
    capacity: Gauge,
    requests: Gauge,
    in_flight: Gauge,
    stored: Gauge,
    oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
    write_errors: Counter,
    enqueue_failed: Counters,
    dead_letters: Counters,
    dropped_spans: Counters,
    dropped_requests: Counters,
    labels: Arc<QueueLabels>,
    /// What was observed last: counters grow by the difference.
    last: Arc<Mutex<QueueFigures>>,
}

impl QueueMetrics {
    /// Spans that the queue did not take; the reason is one of a few fixed words.
    pub fn enqueue_failed(&self, reason: &'static str, spans: usize) {
        self.count(&self.enqueue_failed, reason, spans as u64);
    }

    /// Spans that went into the dead-letter file; the reason is one of a few fixed words.
    pub fn dead_lettered(&self, reason: &'static str, spans: usize) {
        self.count(&self.dead_letters, reason, spans as u64);
    }

    /// Spans that are lost; the reason is one of a few fixed words.
    pub fn dropped_spans(&self, reason: &'static str, spans: usize) {
        self.count(&self.dropped_spans, reason, spans as u64);
    }

    /// Brings the gauges up to date, and counts what was lost since the last time.
    pub fn observe(&self, now: &QueueFigures) {
        self.size.set(signed(now.bytes));
        self.capacity.set(signed(now.capacity));
        self.requests.set(signed(now.requests));
        self.in_flight.set(signed(now.in_flight));
        self.stored.set(signed(now.stored_bytes));
        self.oldest.set(now.oldest.unwrap_or_default().as_secs_f64());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = [
            ("full", now.dropped_full, last.dropped_full),
            ("expired", now.dropped_expired, last.dropped_expired),
            ("damaged", now.dropped_damaged, last.dropped_damaged),
            ("unwritten", now.dropped_unwritten, last.dropped_unwritten),
        ];
        for (reason, now, last) in dropped {
            self.count(&self.dropped_requests, reason, now.saturating_sub(last));
        }
        self.write_errors.inc_by(now.write_errors.saturating_sub(last.write_errors));
        *last = *now;
    }

    fn count(&self, counters: &Counters, reason: &'static str, by: u64) {
        if by > 0 {
            let QueueLabels { exporter, pipeline } = self.labels.as_ref().clone();
            counters.get_or_create(&QueueReasonLabels { exporter, pipeline, reason }).inc_by(by);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn losses_are_counted_once_and_under_their_reason() {
        let metrics = Metrics::default();
        let queue = metrics.queue("mlflow", "traces");
        queue.observe(&QueueFigures { dropped_full: 3, bytes: 70, requests: 2, ..QueueFigures::default() });
        let age = Some(Duration::from_millis(1_500));
        queue.observe(&QueueFigures {
            dropped_full: 5,
            dropped_damaged: 1,
            bytes: 40,
            oldest: age,
            ..QueueFigures::default()
        });
        queue.enqueue_failed("full", 9);
        queue.dead_lettered("rejected", 4);
        let text = metrics.render().unwrap();
        for line in [
            "otel_mlflow_exporter_queue_size{exporter=\"mlflow\",pipeline=\"traces\"} 40",
            "otel_mlflow_exporter_queue_requests{exporter=\"mlflow\",pipeline=\"traces\"} 0",
            "otel_mlflow_exporter_queue_oldest_age_seconds{exporter=\"mlflow\",pipeline=\"traces\"} 1.5",
            "otel_mlflow_exporter_queue_dropped_requests_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 5",
            "otel_mlflow_exporter_queue_dropped_requests_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"damaged\"} 1",
            "otel_mlflow_exporter_enqueue_failed_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 9",
            "otel_mlflow_exporter_dead_letter_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"rejected\"} 4",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
        assert!(!text.contains("reason=\"expired\""), "{text}");
    }
}
