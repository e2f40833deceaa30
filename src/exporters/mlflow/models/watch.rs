//! Sees the requests that come in, and has their models logged.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::call::{call, text};
use super::connect::open;
use crate::exporters::mlflow::MlflowConfig;
use crate::exporters::mlflow::route::{trace_number, traces};
use crate::mapping::routing::{ExperimentConfig, ExperimentRef};
use crate::mlflow::model::CallOptions;
use crate::otlp::model::Span;
use crate::pipeline::TraceRequest;
use crate::tracking::models::{Connect, Home, ModelLogger, ModelLoggerOptions, Observed, Seen};

/// Attribute of a span: the run that it belongs to.
const RUN_ID: &str = "mlflow.run_id";
/// How long the exporter waits at its end for models that are being logged.
const AT_THE_END: Duration = Duration::from_secs(5);

/// Has the models behind the calls of traces logged.
pub(in crate::exporters::mlflow) struct Watch {
    logger: ModelLogger,
    rule: Arc<ExperimentConfig>,
}

impl Watch {
    /// Starts on the current runtime, if models are to be logged.
    pub(in crate::exporters::mlflow) fn start(config: &MlflowConfig) -> Option<Self> {
        let models = &config.models;
        if !models.log {
            return None;
        }
        let options = ModelLoggerOptions {
            call: CallOptions { signature: models.signatures, example: models.input_examples },
            registered_model_name: models.registered_name.clone(),
            max_models: usize::try_from(models.max_models).unwrap_or(usize::MAX),
            tags: Vec::new(),
            create_experiments: config.experiment.create,
            silent: false,
        };
        let target = config.clone();
        let connect: Connect = Box::new(move || {
            let target = target.clone();
            Box::pin(async move { open(&target).await })
        });
        let logger = ModelLogger::start(&Handle::current(), connect, options);
        Some(Self { logger, rule: Arc::new(config.experiment.clone()) })
    }

    /// Sees a request. Never waits.
    pub(in crate::exporters::mlflow) fn see(&self, request: &Arc<TraceRequest>) {
        let (request, rule) = (Arc::clone(request), Arc::clone(&self.rule));
        self.logger.observe(Observed { read: Box::new(move || read(&request, &rule)) });
    }

    /// Waits for what was seen, but not for long.
    pub(in crate::exporters::mlflow) async fn finish(&self) {
        let logger = self.logger.clone();
        let waiting = tokio::task::spawn_blocking(move || logger.wait(AT_THE_END));
        if !matches!(waiting.await, Ok(true)) {
            tracing::warn!(
                "some models were not logged when the exporter ended; their next call brings them back"
            );
        }
    }
}

/// The calls of a request.
fn read(request: &TraceRequest, rule: &ExperimentConfig) -> Vec<Seen> {
    let mut seen = Vec::new();
    let header = request.metadata.experiment_id.as_deref();
    let routed = traces(&request.body);
    for span in spans(request) {
        let Some(trace) = trace_number(&span.trace_id) else { continue };
        let Some(call) = call(span) else { continue };
        let Some(of_trace) = routed.get(&trace) else { continue };
        let run_id = text(span, RUN_ID).map(str::to_owned).or_else(|| request.metadata.run_id.clone());
        let home = home(&rule.route(header, of_trace), rule);
        seen.push(Seen { call, home, run_id, trace_id: Some(format!("tr-{trace:032x}")) });
    }
    seen
}

fn spans(request: &TraceRequest) -> impl Iterator<Item = &Span> {
    let resources = request.body.resource_spans.iter();
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans)
}

fn home(named: &ExperimentRef, rule: &ExperimentConfig) -> Home {
    match named {
        ExperimentRef::Id(id) => Home::Id(id.to_string()),
        ExperimentRef::Name(name) => Home::Name(name.clone()),
        ExperimentRef::Fallback => match rule.fallback() {
            ExperimentRef::Id(id) => Home::Id(id.to_string()),
            ExperimentRef::Name(name) => Home::Name(name),
            ExperimentRef::Fallback => Home::Id("0".to_owned()),
        },
    }
}
