//! From a plan to providers that run.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfig as LogBatchConfig, BatchLogProcessor, LogExporter, LoggerProviderBuilder, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{
    BatchConfig, BatchSpanProcessor, SdkTracerProvider, SpanExporter, TracerProviderBuilder,
};

use super::console::Console;
use super::error::AutologError;
use super::plan::{Exporter, Mode, Plan, Processor, Propagation, Reader, Signal, Traces};
use super::scope_spans::ScopeProcessor;
use super::tended::{Losses, Tended};
use super::views::View;
use crate::exporter::{LazyIo, MlflowMonitor};

/// What runs.
#[derive(Debug, Default)]
pub(super) struct Providers {
    pub(super) tracer: Option<SdkTracerProvider>,
    pub(super) meter: Option<SdkMeterProvider>,
    pub(super) logger: Option<SdkLoggerProvider>,
    pub(super) mlflow: Vec<MlflowMonitor>,
    /// Where spans are written by ourselves, without credentials.
    pub(super) targets: Vec<String>,
    pub(super) losses: Arc<Losses>,
    /// The thread of all exporters.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "models are logged through it"))]
    pub(super) io: Option<Arc<LazyIo>>,
    #[cfg(feature = "client")]
    pub(super) models: Option<super::models::Models>,
}

impl Providers {
    /// Whether models are logged.
    pub(super) fn log_models(&self) -> bool {
        #[cfg(feature = "client")]
        let models = self.models.is_some();
        #[cfg(not(feature = "client"))]
        let models = false;
        models
    }
}

/// Makes exporters, all on one thread.
struct Maker {
    io: Arc<LazyIo>,
    silent: bool,
    flush_timeout: Duration,
    providers: Providers,
}

/// Builds what the plan says.
///
/// # Errors
///
/// An exporter cannot be made. Nothing runs then.
pub(super) fn build(plan: Plan, silent: bool, flush_timeout: Duration) -> Result<Providers, AutologError> {
    let io = Arc::new(LazyIo::new(silent));
    let providers = Providers { io: Some(Arc::clone(&io)), ..Providers::default() };
    let mut maker = Maker { io, silent, flush_timeout, providers };
    maker.traces(plan.traces, &plan.resource)?;
    maker.metrics(plan.readers, plan.views, &plan.resource)?;
    maker.logs(plan.logs, &plan.resource)?;
    Ok(maker.providers)
}

/// The propagators as one.
pub(super) fn propagator(propagation: &[Propagation]) -> TextMapCompositePropagator {
    let one = |propagation: &Propagation| match propagation {
        Propagation::TraceContext => {
            Box::new(TraceContextPropagator::new()) as Box<dyn TextMapPropagator + Send + Sync>
        }
        Propagation::Baggage => Box::new(BaggagePropagator::new()),
    };
    TextMapCompositePropagator::new(propagation.iter().map(one).collect())
}

impl Maker {
    fn traces(&mut self, traces: Traces, resource: &Resource) -> Result<(), AutologError> {
        if traces.processors.is_empty() {
            return Ok(());
        }
        let mut builder = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_span_processor(ScopeProcessor { experiment: traces.experiment });
        if let Some(sampler) = traces.sampler {
            builder = builder.with_sampler(sampler);
        }
        if let Some(limits) = traces.limits {
            builder = builder.with_span_limits(limits);
        }
        for Processor { mode, exporter } in traces.processors {
            builder = match exporter {
                Exporter::Console => add_spans(builder, mode, Console),
                Exporter::Otlp(settings) => {
                    let exporter = settings.spans(&self.io.handle()?)?;
                    let tended = self.tend(exporter, limit(&mode, settings.timeout))?;
                    add_spans(builder, mode, tended)
                }
                Exporter::Mlflow(mlflow) => {
                    let mut mlflow =
                        mlflow.silent(self.silent).flush_timeout(self.flush_timeout).io(Arc::clone(&self.io));
                    if let Mode::Batch { timeout, .. } = &mode {
                        mlflow = mlflow.answer_within(*timeout);
                    }
                    let exporter = mlflow.build()?;
                    self.providers.mlflow.push(exporter.monitor());
                    self.providers.targets.push(exporter.target().to_owned());
                    add_spans(builder, mode, exporter)
                }
            };
        }
        self.providers.tracer = Some(builder.build());
        Ok(())
    }

    fn logs(
        &mut self,
        processors: Vec<Processor<LogBatchConfig>>,
        resource: &Resource,
    ) -> Result<(), AutologError> {
        if processors.is_empty() {
            return Ok(());
        }
        let mut builder = SdkLoggerProvider::builder().with_resource(resource.clone());
        for Processor { mode, exporter } in processors {
            builder = match exporter {
                Exporter::Otlp(settings) => {
                    let exporter = settings.logs(&self.io.handle()?)?;
                    let tended = self.tend(exporter, limit(&mode, settings.timeout))?;
                    add_logs(builder, mode, tended)
                }
                Exporter::Console => add_logs(builder, mode, Console),
                Exporter::Mlflow(_) => return Err(only_traces(Signal::Logs)),
            };
        }
        self.providers.logger = Some(builder.build());
        Ok(())
    }

    fn metrics(
        &mut self,
        readers: Vec<Reader>,
        views: Vec<View>,
        resource: &Resource,
    ) -> Result<(), AutologError> {
        if readers.is_empty() {
            return Ok(());
        }
        let mut builder = SdkMeterProvider::builder().with_resource(resource.clone());
        for Reader { interval, timeout, temporality, exporter } in readers {
            builder = match exporter {
                Exporter::Otlp(settings) => {
                    let exporter = settings.metrics(&self.io.handle()?, temporality)?;
                    let tended = self.tend(exporter, timeout.min(settings.timeout))?;
                    add_reader(builder, interval, tended)
                }
                Exporter::Console => add_reader(builder, interval, Console),
                Exporter::Mlflow(_) => return Err(only_traces(Signal::Metrics)),
            };
        }
        for view in views {
            builder = builder.with_view(move |instrument: &_| view.stream(instrument));
        }
        self.providers.meter = Some(builder.build());
        Ok(())
    }

    fn tend<E>(&self, exporter: E, timeout: Duration) -> Result<Tended<E>, AutologError> {
        let losses = Arc::clone(&self.providers.losses);
        Ok(Tended { exporter, io: self.io.handle()?, _thread: Arc::clone(&self.io), timeout, losses })
    }
}

/// How long an export may take, by its processor and its exporter.
fn limit<B>(mode: &Mode<B>, own: Duration) -> Duration {
    match mode {
        Mode::Batch { timeout, .. } => own.min(*timeout),
        Mode::Simple => own,
    }
}

fn only_traces(signal: Signal) -> AutologError {
    AutologError::Otlp { signal: signal.lower(), reason: "MLflow takes traces only".to_owned() }
}

fn add_spans<E: SpanExporter + 'static>(
    builder: TracerProviderBuilder,
    mode: Mode<BatchConfig>,
    exporter: E,
) -> TracerProviderBuilder {
    match mode {
        Mode::Batch { config, .. } => {
            let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config);
            builder.with_span_processor(processor.build())
        }
        Mode::Simple => builder.with_simple_exporter(exporter),
    }
}

fn add_logs<E: LogExporter + 'static>(
    builder: LoggerProviderBuilder,
    mode: Mode<LogBatchConfig>,
    exporter: E,
) -> LoggerProviderBuilder {
    match mode {
        Mode::Batch { config, .. } => {
            let processor = BatchLogProcessor::builder(exporter).with_batch_config(config);
            builder.with_log_processor(processor.build())
        }
        Mode::Simple => builder.with_simple_exporter(exporter),
    }
}

fn add_reader<E: PushMetricExporter>(
    builder: MeterProviderBuilder,
    interval: Option<Duration>,
    exporter: E,
) -> MeterProviderBuilder {
    let mut reader = PeriodicReader::builder(exporter);
    if let Some(interval) = interval {
        reader = reader.with_interval(interval);
    }
    builder.with_reader(reader.build())
}
