//! The options of autolog.

use std::fmt;
use std::time::Duration;

use opentelemetry::KeyValue;

use crate::genai::CapturePolicy;
use crate::instrument::InstrumentationBuilder;

type Hook = Box<dyn FnOnce(InstrumentationBuilder) -> InstrumentationBuilder>;

/// Turns telemetry on with options. See the [module](super).
///
/// # Examples
///
/// ```no_run
/// use opentelemetry_mlflow::autolog::Autolog;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let _guard = Autolog::new()
///     .tracking_uri("http://localhost:5000")
///     .experiment("checkout")
///     .service_name("shop")
///     .instrumentation(|layer| layer.propagate_to(["*.models.internal"]))
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `start`"]
pub struct Autolog {
    pub(super) log_traces: bool,
    pub(super) disable: bool,
    pub(super) silent: bool,
    pub(super) extra_tags: Vec<KeyValue>,
    pub(super) tracking_uri: Option<String>,
    pub(super) experiment: Option<String>,
    pub(super) service_name: Option<String>,
    pub(super) capture: Option<CapturePolicy>,
    pub(super) chunk_events: bool,
    pub(super) flush_timeout: Duration,
    pub(super) hook: Option<Hook>,
    #[cfg(feature = "client")]
    pub(super) models: super::models::ModelOptions,
}

impl Default for Autolog {
    fn default() -> Self {
        Self {
            log_traces: true,
            disable: false,
            silent: false,
            extra_tags: Vec::new(),
            tracking_uri: None,
            experiment: None,
            service_name: None,
            capture: None,
            chunk_events: false,
            flush_timeout: Duration::from_secs(10),
            hook: None,
            #[cfg(feature = "client")]
            models: super::models::ModelOptions::default(),
        }
    }
}

impl Autolog {
    /// All defaults: what the environment says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether traces are recorded. Metrics and events are recorded where they have a destination.
    pub fn log_traces(mut self, enabled: bool) -> Self {
        self.log_traces = enabled;
        self
    }

    /// Whether nothing is set up and nothing is recorded.
    pub fn disable(mut self, disabled: bool) -> Self {
        self.disable = disabled;
        self
    }

    /// Whether autolog and its exporter to MLflow write nothing to the log. Lines of the
    /// OpenTelemetry SDK (targets `opentelemetry…`) are not ours to silence.
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// Whether the model behind each call is logged to MLflow: once per distinct combination of
    /// model, system prompt, tools and parameters. Off by default, as in MLflow.
    ///
    /// The system prompt is recorded whatever the capture policy says: it is what the model is.
    #[cfg(feature = "client")]
    pub fn log_models(mut self, enabled: bool) -> Self {
        self.models.log_models = enabled;
        self
    }

    /// Whether logged models say in their signature which parameters may change at inference time,
    /// with the values of the call as defaults. Inputs and outputs are always in it, as in MLflow.
    #[cfg(feature = "client")]
    pub fn log_model_signatures(mut self, enabled: bool) -> Self {
        self.models.log_model_signatures = enabled;
        self
    }

    /// Whether the input of the first call is kept with a logged model as its example: what the
    /// user said.
    #[cfg(feature = "client")]
    pub fn log_input_examples(mut self, enabled: bool) -> Self {
        self.models.log_input_examples = enabled;
        self
    }

    /// The registered model whose versions logged models become.
    #[cfg(feature = "client")]
    pub fn registered_model_name(mut self, name: impl Into<String>) -> Self {
        self.models.registered_model_name = Some(name.into());
        self
    }

    /// Tags for every trace. They are attributes of the resource, which MLflow keeps as tags, so
    /// names may not begin with `mlflow.`.
    pub fn extra_tags<K, V>(mut self, tags: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        self.extra_tags.extend(tags.into_iter().map(|(key, value)| KeyValue::new(key.into(), value.into())));
        self
    }

    /// The MLflow that traces go to, in place of what the environment says:
    /// `http(s)://host[:port]`, `sqlite:///file.db`, `postgresql://user@host/database`.
    pub fn tracking_uri(mut self, uri: impl Into<String>) -> Self {
        self.tracking_uri = Some(uri.into());
        self
    }

    /// The experiment in MLflow, by name; created if it does not exist. Over OTLP it is an attribute
    /// of each trace's first span (`mlflow.experiment_name`), which the gateway routes by; so is
    /// `MLFLOW_EXPERIMENT_NAME`.
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.experiment = Some(name.into());
        self
    }

    /// The name of the service, in place of what the environment says.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// What of the content is recorded, in place of what the environment says.
    pub fn capture(mut self, policy: CapturePolicy) -> Self {
        self.capture = Some(policy);
        self
    }

    /// Whether spans of streams get an event per chunk.
    pub fn chunk_events(mut self, enabled: bool) -> Self {
        self.chunk_events = enabled;
        self
    }

    /// How long the guard may take to deliver what waits when it is dropped. Ten seconds by default.
    pub fn flush_timeout(mut self, time: Duration) -> Self {
        self.flush_timeout = time;
        self
    }

    /// Changes the instrumentation before it becomes the global one.
    pub fn instrumentation(
        mut self,
        hook: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }
}

impl fmt::Debug for Autolog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The tracking URI may hold a password.
        formatter
            .debug_struct("Autolog")
            .field("log_traces", &self.log_traces)
            .field("disable", &self.disable)
            .field("silent", &self.silent)
            .field("experiment", &self.experiment)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}
