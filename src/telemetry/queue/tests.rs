//! Tests of the figures of queues.

use super::*;
use crate::telemetry::Metrics;

#[test]
fn losses_are_counted_once_and_under_their_reason() {
    let metrics = Metrics::default();
    let queue = metrics.queue("mlflow", "traces");
    queue.observe(&QueueFigures {
        dropped_full: 3,
        dropped_bytes: 300,
        bytes: 70,
        requests: 2,
        ..QueueFigures::default()
    });
    let age = Some(Duration::from_millis(1_500));
    let lost = queue.observe(&QueueFigures {
        dropped_full: 5,
        dropped_expired: 2,
        dropped_bytes: 700,
        full_spans: 8,
        expired_spans: 6,
        damaged_bytes: 30,
        accepted_bytes: 1_000,
        dropped_damaged: 1,
        bytes: 40,
        oldest: age,
        ..QueueFigures::default()
    });
    assert_eq!(lost[0], QueueLoss { reason: "full", requests: 2, spans: 8, bytes: 200 });
    queue.enqueue_failed("full", 9, 90);
    queue.dead_lettered("rejected", 4, 40);
    queue.delivered(600);
    let text = metrics.render().unwrap();
    for line in [
        "otel_mlflow_exporter_queue_size{exporter=\"mlflow\",pipeline=\"traces\"} 40",
        "otel_mlflow_exporter_queue_requests{exporter=\"mlflow\",pipeline=\"traces\"} 0",
        "otel_mlflow_exporter_queue_oldest_age_seconds{exporter=\"mlflow\",pipeline=\"traces\"} 1.5",
        "otel_mlflow_exporter_queue_dropped_requests_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 5",
        "otel_mlflow_exporter_queue_dropped_requests_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"damaged\"} 1",
        "otel_mlflow_exporter_dropped_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 8",
        "otel_mlflow_exporter_dropped_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"expired\"} 6",
        "otel_mlflow_exporter_queue_dropped_bytes_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 500",
        "otel_mlflow_exporter_queue_dropped_bytes_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"expired\"} 200",
        "otel_mlflow_exporter_queue_dropped_bytes_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"damaged\"} 30",
        "otel_mlflow_exporter_queue_accepted_bytes_total{exporter=\"mlflow\",pipeline=\"traces\"} 1000",
        "otel_mlflow_exporter_queue_delivered_bytes_total{exporter=\"mlflow\",pipeline=\"traces\"} 600",
        "otel_mlflow_exporter_enqueue_failed_bytes_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 90",
        "otel_mlflow_exporter_dead_letter_bytes_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"rejected\"} 40",
        "otel_mlflow_exporter_enqueue_failed_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"full\"} 9",
        "otel_mlflow_exporter_dead_letter_spans_total{exporter=\"mlflow\",pipeline=\"traces\",reason=\"rejected\"} 4",
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    assert!(!text.contains("reason=\"unwritten\""), "{text}");
}
