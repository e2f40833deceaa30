//! How autolog starts: from options, environment or file to providers and a layer.

#[cfg(feature = "client")]
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_sdk::{Resource, logs, trace};

use super::builder::Autolog;
use super::declarative::{self, Declared, Layer};
use super::environment::Environment;
use super::error::AutologError;
use super::guard::{AutologGuard, Turn};
use super::otlp::OtlpSettings;
use super::plan::{Destination, Exporter, Mode, Plan, Processor, Reader, Signal, Traces};
use super::providers::{self, Providers};
#[cfg(feature = "client")]
use crate::exporter::LazyIo;
use crate::exporter::{MlflowExporter, MlflowExporterBuilder};
use crate::genai::{CAPTURE_VARIABLE, CaptureMode, CapturePolicy};
use crate::instrument::{Instrumentation, InstrumentationBuilder};

/// The time that OpenTelemetry gives a batch of spans or log records, and a collection of metrics.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

impl Autolog {
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
        #[cfg_attr(not(feature = "client"), expect(unused_mut, reason = "models need the client"))]
        let mut providers = match plan {
            Some(plan) => self.set_up(plan)?,
            None => Providers::default(),
        };
        #[cfg(feature = "client")]
        if self.models.log_models && !off {
            providers.models = Some(self.start_models(&providers, &environment)?);
        }
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

    #[cfg(feature = "client")]
    fn start_models(
        &self,
        providers: &Providers,
        environment: &Environment<'_>,
    ) -> Result<super::models::Models, AutologError> {
        let io = providers.io.clone().unwrap_or_else(|| Arc::new(LazyIo::new(self.silent)));
        let runtime = io.handle()?;
        let run_id = environment.get("MLFLOW_RUN_ID");
        let mlflow = self.mlflow();
        Ok(super::models::Models::start(
            &runtime,
            &self.models,
            &mlflow,
            &self.extra_tags,
            run_id,
            self.silent,
            !providers.mlflow.is_empty(),
        ))
    }

    fn layer(
        &self,
        environment: &Environment<'_>,
        off: bool,
        providers: &Providers,
        declared: Option<Layer>,
    ) -> InstrumentationBuilder {
        let nothing = providers.tracer.is_none()
            && providers.meter.is_none()
            && providers.logger.is_none()
            && !providers.log_models();
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
        #[cfg(feature = "client")]
        if let Some(models) = &providers.models {
            builder = builder.models(models.hook());
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
