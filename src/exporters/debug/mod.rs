//! The `debug` exporter: writes what comes in as text, in the forms of the Collector's.

mod detailed;
mod normal;
mod text;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::exporters::queued::SendingQueueConfig;
use crate::pipeline::{Ack, ComponentId, Delivered, TraceExporter, TraceRequest};
use crate::telemetry::{ExporterMetrics, Telemetry};

/// Writes spans as text to standard error, as the Collector's exporter of the same name does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DebugExporterConfig {
    /// How much to write.
    pub verbosity: Verbosity,
    /// Requests that are kept until they are written; off unless the key is there.
    pub sending_queue: SendingQueueConfig,
}

impl Default for DebugExporterConfig {
    fn default() -> Self {
        Self { verbosity: Verbosity::default(), sending_queue: SendingQueueConfig::disabled() }
    }
}

/// How much is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// One line per request, with the number of spans.
    #[default]
    Basic,
    /// One line per span.
    Normal,
    /// Every field of every span. Shows prompts and answers.
    Detailed,
}

/// An exporter for looking at what comes in.
pub struct DebugExporter {
    id: ComponentId,
    verbosity: Verbosity,
    output: Mutex<Box<dyn Write + Send>>,
    metrics: ExporterMetrics,
}

impl DebugExporter {
    /// An exporter that writes to standard error.
    pub fn new(id: ComponentId, config: &DebugExporterConfig, telemetry: &Telemetry) -> Self {
        Self::writing_to(Box::new(std::io::stderr()), id, config, telemetry)
    }

    /// An exporter that writes elsewhere.
    pub fn writing_to(
        output: Box<dyn Write + Send>,
        id: ComponentId,
        config: &DebugExporterConfig,
        telemetry: &Telemetry,
    ) -> Self {
        telemetry.health.register(format!("exporters.{id}")).ready();
        let metrics = telemetry.metrics.exporter(&id.to_string());
        Self { id, verbosity: config.verbosity, output: Mutex::new(output), metrics }
    }

    fn write(&self, request: &TraceRequest) -> std::io::Result<()> {
        let mut text = format!(
            "Traces\t{{\"exporter\": \"{}\", \"resource spans\": {}, \"spans\": {}}}\n",
            self.id,
            request.body.resource_spans.len(),
            request.span_count()
        );
        match self.verbosity {
            Verbosity::Basic => {}
            Verbosity::Normal => normal::append(&mut text, &request.body),
            Verbosity::Detailed => detailed::append(&mut text, &request.body),
        }
        // One write, so that requests at the same time do not mix their lines.
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}

impl TraceExporter for DebugExporter {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.write(&request) {
                // Nobody looks any more; that is no reason to keep spans from other exporters.
                tracing::debug!(%error, "the debug exporter cannot write");
            }
            self.metrics.sent_spans(request.span_count());
            ack.complete(Ok(Delivered::default()));
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests;
