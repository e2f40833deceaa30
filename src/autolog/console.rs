//! Telemetry as text on the standard output, for a look at what is exported. The form is for
//! people and may change.

use std::io::Write;
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

#[derive(Debug)]
pub(super) struct Console;

fn print(lines: &str) -> OTelSdkResult {
    let written = std::io::stdout().lock().write_all(lines.as_bytes());
    written.map_err(|error| OTelSdkError::InternalFailure(format!("cannot write to the console: {error}")))
}

fn line(span: &SpanData) -> String {
    let attributes: Vec<_> =
        span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
    format!(
        "span {} trace={} id={} parent={} kind={:?} took={took:?} status={:?} {}\n",
        span.name,
        span.span_context.trace_id(),
        span.span_context.span_id(),
        span.parent_span_id,
        span.span_kind,
        span.status,
        attributes.join(" "),
    )
}

impl SpanExporter for Console {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        print(&batch.iter().map(line).collect::<String>())
    }
}

impl LogExporter for Console {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let lines = batch.iter().map(|(record, scope)| format!("log {}: {record:?}\n", scope.name()));
        print(&lines.collect::<String>())
    }
}

impl PushMetricExporter for Console {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        print(&all.map(|metric| format!("metric {metric:?}\n")).collect::<String>())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
