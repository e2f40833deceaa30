//! The models behind calls, logged as MLflow's `autolog` does, but each once and in the background.

use std::sync::Arc;

use opentelemetry::KeyValue;
use tokio::runtime::Handle;

use crate::exporter::MlflowExporterBuilder;
use crate::exporters::mlflow::models::open;
use crate::instrument::openai::{Api, ModelCall, ModelHook};
use crate::mlflow::entities::Tag;
use crate::mlflow::model::{ApiCall, Azure, CallApi, CallOptions};
use crate::tracking::models::{Connect, Home, ModelLogger, ModelLoggerOptions, Observed, Seen};

/// How many different models a process logs.
const MAX_MODELS: usize = 100;

/// What `autolog` is told of models; the names are MLflow's.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelOptions {
    pub(super) log_models: bool,
    pub(super) log_model_signatures: bool,
    pub(super) log_input_examples: bool,
    pub(super) registered_model_name: Option<String>,
}

/// Logs models into the MLflow of an exporter.
#[derive(Clone)]
pub(super) struct Models {
    logger: ModelLogger,
    home: Home,
    run_id: Option<String>,
    /// Whether the traces of calls come to the same MLflow.
    links_traces: bool,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Models").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Models {
    /// Starts to log models on a runtime. Nothing is connected to before the first call.
    pub(super) fn start(
        runtime: &Handle,
        options: &ModelOptions,
        mlflow: &MlflowExporterBuilder,
        tags: &[KeyValue],
        run_id: Option<String>,
        silent: bool,
        links_traces: bool,
    ) -> Self {
        let tags = tags.iter().map(|tag| Tag { key: tag.key.to_string(), value: tag.value.to_string() });
        let options = ModelLoggerOptions {
            call: CallOptions {
                signature: options.log_model_signatures,
                example: options.log_input_examples,
            },
            registered_model_name: options.registered_model_name.clone(),
            max_models: MAX_MODELS,
            tags: tags.collect(),
            create_experiments: true,
            silent,
        };
        let config = mlflow.config().clone();
        let connect: Connect = Box::new(move || {
            let config = config.clone();
            Box::pin(async move { open(&config).await })
        });
        Self {
            logger: ModelLogger::start(runtime, connect, options),
            home: mlflow.home(),
            run_id,
            links_traces,
        }
    }

    /// Sees calls.
    pub(super) fn hook(&self) -> ModelHook {
        let this = self.clone();
        Arc::new(move |call| this.saw(call))
    }

    fn saw(&self, call: ModelCall) {
        let home = self.home.clone();
        let run_id = call.run_id.clone().or_else(|| self.run_id.clone());
        let trace_id = call.trace_id.as_ref().filter(|_| self.links_traces).map(|id| format!("tr-{id}"));
        let seen = move || read(call).map(|call| Seen { call, home, run_id, trace_id }).into_iter().collect();
        self.logger.observe(Observed { read: Box::new(seen) });
    }

    /// The logger, to wait for.
    pub(super) fn logger(&self) -> &ModelLogger {
        &self.logger
    }
}

fn read(call: ModelCall) -> Option<ApiCall> {
    let api = match call.api {
        Api::Chat => CallApi::Chat,
        Api::Completions => CallApi::Completions,
        Api::Embeddings => CallApi::Embeddings,
        Api::Responses => CallApi::Responses,
        _ => return None,
    };
    let azure = call.azure.map(|deployment| Azure {
        endpoint: deployment.endpoint,
        api_version: deployment.api_version,
        deployment: deployment.name,
    });
    let request = serde_json::from_slice(&call.body).ok()?;
    Some(ApiCall { api, request, variables: call.variables, azure })
}
