//! The options of autolog, and how it starts.

use std::fmt;
use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::{Resource, logs, trace};

use super::declarative::{self, Declared, Layer};
use super::environment::Environment;
use super::error::AutologError;
use super::guard::{AutologGuard, Turn};
use super::otlp::OtlpSettings;
use super::plan::{Destination, Exporter, Mode, Plan, Processor, Reader, Signal, Traces};
use super::providers::{self, Providers};
use crate::exporter::{MlflowExporter, MlflowExporterBuilder};
use crate::genai::{CAPTURE_VARIABLE, CaptureMode, CapturePolicy};
use crate::instrument::{Instrumentation, InstrumentationBuilder};

type Hook = Box<dyn FnOnce(InstrumentationBuilder) -> InstrumentationBuilder>;

/// The time that OpenTelemetry gives a batch of spans or log records, and a collection of metrics.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

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
    log_traces: bool,
    disable: bool,
    silent: bool,
    extra_tags: Vec<KeyValue>,
    tracking_uri: Option<String>,
    experiment: Option<String>,
    service_name: Option<String>,
    capture: Option<CapturePolicy>,
    chunk_events: bool,
    flush_timeout: Duration,
    hook: Option<Hook>,
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

    /// Turns telemetry on. Connects to nothing: an unreachable destination is no error here.
    ///
    /// Also makes `ring` the cryptography of the process, if it has none yet: without one, making an
    /// HTTP client panics, that of `async-openai` included.
    ///
    /// # Errors
    ///
    /// Options, variables or the file say something that cannot work, or there is a guard already.
    /// Nothing is changed then.
    pub fn start(self) -> Result<AutologGuard, AutologError> {
        crate::tls::install_crypto_provider();
        let turn = Turn::take()?;
        let lookup = |name: &str| std::env::var(name).ok();
        let environment = Environment::new(&lookup);
        let declared = match environment.config_file() {
            Some(file) if !self.disable => Some(declarative::load(&file, self.silent)?),
            _ => None,
        };
        let off = match &declared {
            Some(declared) => declared.disabled,
            None => self.disable || environment.flag("OTEL_SDK_DISABLED"),
        };
        let (plan, layer) = match declared {
            _ if off => (None, None),
            Some(Declared { plan, layer, .. }) => (Some(plan), layer),
            None => (Some(self.plan(&environment)?), None),
        };
        let providers = match plan {
            Some(plan) => self.set_up(plan)?,
            None => Providers::default(),
        };
        let (silent, flush_timeout) = (self.silent, self.flush_timeout);
        let mut builder = self.layer(&environment, off, &providers, layer);
        if let Some(hook) = self.hook {
            builder = hook(builder);
        }
        builder.build().set_global();
        Ok(AutologGuard::new(providers, flush_timeout, silent, turn))
    }

    /// Builds the providers, and makes them and the propagators the global ones.
    fn set_up(&self, mut plan: Plan) -> Result<Providers, AutologError> {
        if !self.log_traces {
            plan.traces.processors.clear();
        }
        let propagator = providers::propagator(&plan.propagation);
        let providers = providers::build(plan, self.silent, self.flush_timeout)?;
        global::set_text_map_propagator(propagator);
        if let Some(provider) = &providers.tracer {
            global::set_tracer_provider(provider.clone());
        }
        if let Some(provider) = &providers.meter {
            global::set_meter_provider(provider.clone());
        }
        if !self.silent {
            for target in &providers.targets {
                tracing::info!("traces are written to MLflow at {target}");
            }
        }
        Ok(providers)
    }

    fn layer(
        &self,
        environment: &Environment<'_>,
        off: bool,
        providers: &Providers,
        declared: Option<Layer>,
    ) -> InstrumentationBuilder {
        let nothing = providers.tracer.is_none() && providers.meter.is_none() && providers.logger.is_none();
        let mut builder = Instrumentation::builder().disabled(off || nothing).chunk_events(self.chunk_events);
        // An unknown mode means none; the builder has said so.
        let mode = environment
            .get(CAPTURE_VARIABLE)
            .map(|name| CaptureMode::parse(&name).unwrap_or(CaptureMode::NoContent));
        let policy = match (&self.capture, &declared) {
            (Some(policy), _) => policy.clone(),
            (None, Some(layer)) => layer.capture(mode),
            (None, None) => CapturePolicy::new(mode.unwrap_or(CaptureMode::SpanOnly)),
        };
        builder = builder.capture(policy);
        if let Some(layer) = declared {
            builder = layer.apply(builder);
        }
        if let Some(provider) = &providers.tracer {
            builder = builder.tracer_provider(provider);
        }
        if let Some(provider) = &providers.meter {
            builder = builder.meter_provider(provider);
        }
        if let Some(provider) = &providers.logger {
            builder = builder.logger_provider(provider);
        }
        builder
    }

    fn plan(&self, environment: &Environment<'_>) -> Result<Plan, AutologError> {
        let (propagation, unknown) = environment.propagation();
        if !unknown.is_empty() && !self.silent {
            let names = unknown.join(", ");
            tracing::warn!(
                "OTEL_PROPAGATORS has {names}, which there is not; there are tracecontext and baggage"
            );
        }
        let timeout = |name| environment.milliseconds(name).map(|time| time.unwrap_or(EXPORT_TIMEOUT));
        let mut traces = Traces::default();
        for destination in environment.destinations(Signal::Traces, self.tracking_uri.is_some())? {
            let mode = Mode::Batch {
                config: trace::BatchConfig::default(),
                timeout: timeout("OTEL_BSP_EXPORT_TIMEOUT")?,
            };
            if destination == Destination::Otlp {
                traces.experiment =
                    self.experiment.clone().or_else(|| environment.get("MLFLOW_EXPERIMENT_NAME"));
            }
            let exporter = self.exporter(environment, Signal::Traces, destination)?;
            traces.processors.push(Processor { mode, exporter });
        }
        let mut readers = Vec::new();
        for destination in environment.destinations(Signal::Metrics, false)? {
            let exporter = self.exporter(environment, Signal::Metrics, destination)?;
            let timeout = timeout("OTEL_METRIC_EXPORT_TIMEOUT")?;
            readers.push(Reader { interval: None, timeout, temporality: None, exporter });
        }
        let mut logs = Vec::new();
        for destination in environment.destinations(Signal::Logs, false)? {
            let mode = Mode::Batch {
                config: logs::BatchConfig::default(),
                timeout: timeout("OTEL_BLRP_EXPORT_TIMEOUT")?,
            };
            logs.push(Processor { mode, exporter: self.exporter(environment, Signal::Logs, destination)? });
        }
        Ok(Plan { resource: self.resource(), propagation, traces, readers, views: Vec::new(), logs })
    }

    fn exporter(
        &self,
        environment: &Environment<'_>,
        signal: Signal,
        destination: Destination,
    ) -> Result<Exporter, AutologError> {
        Ok(match destination {
            Destination::Otlp => {
                Exporter::Otlp(Box::new(OtlpSettings::from_environment(environment, signal)?))
            }
            Destination::Console => Exporter::Console,
            Destination::Mlflow => Exporter::Mlflow(Box::new(self.mlflow())),
        })
    }

    fn mlflow(&self) -> MlflowExporterBuilder {
        let mut builder = MlflowExporter::builder();
        if let Some(uri) = &self.tracking_uri {
            builder = builder.tracking_uri(uri);
        }
        if let Some(name) = &self.experiment {
            builder = builder.experiment(name);
        }
        builder
    }

    /// What the SDK reads of the environment, and what the program says on top.
    fn resource(&self) -> Resource {
        let mut builder = Resource::builder().with_attributes(self.extra_tags.iter().cloned());
        if let Some(name) = &self.service_name {
            builder = builder.with_service_name(name.clone());
        }
        builder.build()
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
