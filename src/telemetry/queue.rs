//! Figures of the queues before exporters.

mod sizes;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use sizes::ByteFamilies;

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
type PerQueue = Family<QueueLabels, Counter>;
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
    enqueue_failed_requests: Counters,
    dead_letters: Counters,
    dropped_spans: Counters,
    dropped_requests: Counters,
    write_errors: PerQueue,
    bytes: ByteFamilies,
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
                "exporter_enqueue_failed_requests",
                "Requests that the queue did not take, also those that were refused before they were read",
                &self.enqueue_failed_requests,
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
        self.bytes.register(registry);
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
            accepted_bytes: self.bytes.accepted.get_or_create_owned(&labels),
            delivered_bytes: self.bytes.delivered.get_or_create_owned(&labels),
            bytes: self.bytes.clone(),
            enqueue_failed: self.enqueue_failed.clone(),
            enqueue_failed_requests: self.enqueue_failed_requests.clone(),
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
    /// Bytes of the requests that were taken.
    pub accepted_bytes: u64,
    /// Bytes of what was dropped to make room or was too old.
    pub dropped_bytes: u64,
    /// Spans that were dropped to make room.
    pub full_spans: u64,
    /// Spans that were too old.
    pub expired_spans: u64,
    /// Spans that were accepted into memory, and could not be written.
    pub unwritten_spans: u64,
    /// Bytes that were damaged.
    pub damaged_bytes: u64,
}

/// What was lost under one reason since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLoss {
    /// One of a few fixed words.
    pub reason: &'static str,
    /// Requests.
    pub requests: u64,
    /// Their spans, where they are known.
    pub spans: u64,
    /// Their bytes, where they are known.
    pub bytes: u64,
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
    accepted_bytes: Counter,
    delivered_bytes: Counter,
    enqueue_failed: Counters,
    enqueue_failed_requests: Counters,
    dead_letters: Counters,
    dropped_spans: Counters,
    dropped_requests: Counters,
    bytes: ByteFamilies,
    labels: Arc<QueueLabels>,
    /// What was observed last: counters grow by the difference.
    last: Arc<Mutex<QueueFigures>>,
}

impl QueueMetrics {
    /// A request that the queue did not take; the reason is one of a few fixed words.
    pub fn enqueue_failed(&self, reason: &'static str, spans: usize, bytes: usize) {
        self.refused_unread(reason);
        self.count(&self.enqueue_failed, reason, spans as u64);
        self.count(&self.bytes.enqueue_failed, reason, bytes as u64);
    }

    /// A request that the queue would not take, refused before its spans were known.
    pub fn refused_unread(&self, reason: &'static str) {
        self.count(&self.enqueue_failed_requests, reason, 1);
    }

    /// A request that the destination holds.
    pub fn delivered(&self, bytes: usize) {
        self.delivered_bytes.inc_by(bytes as u64);
    }

    /// Spans that went into the dead-letter file with their request; the reason is one of a few fixed words.
    pub fn dead_lettered(&self, reason: &'static str, spans: usize, bytes: usize) {
        self.count(&self.dead_letters, reason, spans as u64);
        self.count(&self.bytes.dead_letters, reason, bytes as u64);
    }

    /// Spans of a request that are lost; the reason is one of a few fixed words.
    pub fn dropped_spans(&self, reason: &'static str, spans: usize, bytes: usize) {
        self.count(&self.dropped_spans, reason, spans as u64);
        self.count(&self.bytes.dropped, reason, bytes as u64);
    }

    /// Brings the gauges up to date, and counts what was lost since the last time, which it returns.
    pub fn observe(&self, now: &QueueFigures) -> [QueueLoss; 4] {
        self.size.set(signed(now.bytes));
        self.capacity.set(signed(now.capacity));
        self.requests.set(signed(now.requests));
        self.in_flight.set(signed(now.in_flight));
        self.stored.set(signed(now.stored_bytes));
        self.oldest.set(now.oldest.unwrap_or_default().as_secs_f64());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let losses = losses(&last, now);
        for loss in losses {
            self.count(&self.dropped_requests, loss.reason, loss.requests);
            self.count(&self.dropped_spans, loss.reason, loss.spans);
            self.count(&self.bytes.dropped_requests, loss.reason, loss.bytes);
        }
        self.write_errors.inc_by(now.write_errors.saturating_sub(last.write_errors));
        self.accepted_bytes.inc_by(now.accepted_bytes.saturating_sub(last.accepted_bytes));
        *last = *now;
        losses
    }

    fn count(&self, counters: &Counters, reason: &'static str, by: u64) {
        if by > 0 {
            let QueueLabels { exporter, pipeline } = self.labels.as_ref().clone();
            counters.get_or_create(&QueueReasonLabels { exporter, pipeline, reason }).inc_by(by);
        }
    }
}

/// What was lost between two times.
fn losses(last: &QueueFigures, now: &QueueFigures) -> [QueueLoss; 4] {
    let grown = |figure: fn(&QueueFigures) -> u64| figure(now).saturating_sub(figure(last));
    let (full, expired) = (grown(|figures| figures.dropped_full), grown(|figures| figures.dropped_expired));
    // Both at once is rare; then each has its part by number.
    let dropped = grown(|figures| figures.dropped_bytes);
    let of_full = u128::from(dropped) * u128::from(full) / u128::from((full + expired).max(1));
    let of_full = u64::try_from(of_full).unwrap_or(dropped);
    let of_expired = if expired > 0 { dropped.saturating_sub(of_full) } else { 0 };
    [
        QueueLoss {
            reason: "full",
            requests: full,
            spans: grown(|figures| figures.full_spans),
            bytes: of_full,
        },
        QueueLoss {
            reason: "expired",
            requests: expired,
            spans: grown(|figures| figures.expired_spans),
            bytes: of_expired,
        },
        // How many spans were in what cannot be read is not known.
        QueueLoss {
            reason: "damaged",
            requests: grown(|figures| figures.dropped_damaged),
            spans: 0,
            bytes: grown(|figures| figures.damaged_bytes),
        },
        QueueLoss {
            reason: "unwritten",
            requests: grown(|figures| figures.dropped_unwritten),
            spans: grown(|figures| figures.unwritten_spans),
            bytes: 0,
        },
    ]
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
