//! Where telemetry goes and what it holds: one value, shared by the layer, the macros and the
//! manual API.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, RwLock};

use opentelemetry::global::{self, BoxedTracer, ObjectSafeTracer};
use opentelemetry::logs::LoggerProvider;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};

#[cfg(feature = "async-openai")]
use super::event::Event;
use super::event::{self, EventSink};
use super::hosts::Hosts;
use super::metrics::Instruments;
use super::naming::{Naming, STABILITY_VARIABLE};
#[cfg(feature = "async-openai")]
use super::openai::{ModelCall, ModelHook};
use crate::genai::{CAPTURE_VARIABLE, CaptureMode, CapturePolicy};
use crate::semconv::gen_ai;

/// The instrumentation of a process, or of one client in it. Cheap to clone.
///
/// Without providers of its own it uses OpenTelemetry's global ones, as they are at the first call
/// that is traced: set them before. Events need a logger provider, as OpenTelemetry has no global
/// one.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
/// use opentelemetry_mlflow::instrument::Instrumentation;
///
/// let instrumentation = Instrumentation::builder()
///     .capture(CapturePolicy::new(CaptureMode::SpanOnly))
///     .propagate_to(["*.models.internal"])
///     .build();
/// instrumentation.set_global();
/// ```
#[derive(Clone)]
pub struct Instrumentation {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    tracer: OnceLock<BoxedTracer>,
    instruments: OnceLock<Instruments>,
    #[cfg_attr(
        not(feature = "async-openai"),
        expect(dead_code, reason = "only calls of a client emit events")
    )]
    events: Option<EventSink>,
    /// Sees calls, to log their models.
    #[cfg(feature = "async-openai")]
    models: Option<ModelHook>,
}

/// How calls are recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) capture: CapturePolicy,
    pub(crate) naming: Naming,
    pub(crate) disabled: bool,
    pub(crate) chunk_events: bool,
    pub(crate) stream_usage: bool,
    pub(crate) provider: Option<StringValue>,
    pub(crate) propagate_to: Hosts,
}

static GLOBAL: RwLock<Option<Instrumentation>> = RwLock::new(None);

impl Instrumentation {
    /// Starts from the environment: `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says
    /// whether content is recorded (not, by default), `OTEL_SEMCONV_STABILITY_OPT_IN` which names
    /// are used.
    pub fn builder() -> InstrumentationBuilder {
        InstrumentationBuilder {
            settings: Settings {
                capture: CapturePolicy::new(capture_mode()),
                naming: std::env::var(STABILITY_VARIABLE)
                    .map(|list| Naming::parse(&list))
                    .unwrap_or_default(),
                ..Settings::default()
            },
            tracer: None,
            instruments: None,
            events: None,
            #[cfg(feature = "async-openai")]
            models: None,
        }
    }

    /// The instrumentation of the process: what [`set_global`](Self::set_global) was given, or
    /// else the environment's.
    #[must_use]
    pub fn global() -> Self {
        if let Some(known) = GLOBAL.read().ok().and_then(|global| global.clone()) {
            return known;
        }
        let from_environment = Self::builder().build();
        match GLOBAL.write() {
            Ok(mut global) => global.get_or_insert(from_environment).clone(),
            Err(_) => from_environment,
        }
    }

    /// Makes this the instrumentation of the process, for the macros, the manual API and clients
    /// that are given no other.
    pub fn set_global(&self) {
        if let Ok(mut global) = GLOBAL.write() {
            *global = Some(self.clone());
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn tracer(&self) -> &BoxedTracer {
        self.shared.tracer.get_or_init(|| global::tracer_with_scope(scope()))
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        self.shared.instruments.get_or_init(|| Instruments::new(&global::meter_with_scope(scope())))
    }

    /// Whether events go anywhere.
    #[cfg(feature = "async-openai")]
    pub(crate) fn has_events(&self) -> bool {
        self.shared.events.is_some()
    }

    #[cfg(feature = "async-openai")]
    pub(crate) fn emit(&self, event: Event) {
        if let Some(sink) = &self.shared.events {
            sink(event);
        }
    }

    /// Whether anybody logs the models behind calls.
    #[cfg(feature = "async-openai")]
    pub(crate) fn logs_models(&self) -> bool {
        self.shared.models.is_some()
    }

    /// A call of a model was answered.
    #[cfg(feature = "async-openai")]
    pub(crate) fn saw_model(&self, call: ModelCall) {
        if let Some(hook) = &self.shared.models {
            hook(call);
        }
    }

    /// Gives attributes of a span or metric the names that were chosen.
    pub(crate) fn named(&self, mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
        self.settings().naming.apply(&mut attributes);
        attributes
    }
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Instrumentation").field("settings", self.settings()).finish_non_exhaustive()
    }
}

/// Runs a piece of telemetry. A panic in it (of an exporter, of a hook) does not reach the
/// application, which only loses that telemetry.
pub(crate) fn guarded<T>(telemetry: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(telemetry)) {
        Ok(value) => Some(value),
        Err(_) => {
            tracing::warn!(
                "recording a GenAI call panicked; its telemetry is lost, the call is not affected"
            );
            None
        }
    }
}

/// What the telemetry says it comes from.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("opentelemetry-mlflow")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(gen_ai::SCHEMA_URL)
        .build()
}

fn capture_mode() -> CaptureMode {
    let Ok(name) = std::env::var(CAPTURE_VARIABLE) else { return CaptureMode::NoContent };
    CaptureMode::parse(&name).unwrap_or_else(|unknown| {
        static WARNED: std::sync::Once = std::sync::Once::new();
        WARNED.call_once(|| tracing::warn!("{unknown}"));
        CaptureMode::NoContent
    })
}

/// Builds an [`Instrumentation`].
#[must_use]
pub struct InstrumentationBuilder {
    settings: Settings,
    tracer: Option<BoxedTracer>,
    instruments: Option<Instruments>,
    events: Option<EventSink>,
    #[cfg(feature = "async-openai")]
    models: Option<ModelHook>,
}

impl InstrumentationBuilder {
    /// Where spans go, in place of the global provider.
    pub fn tracer_provider<P>(mut self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Tracer + ObjectSafeTracer + Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Span + Send + Sync + 'static,
    {
        self.tracer = Some(BoxedTracer::new(Box::new(provider.tracer_with_scope(scope()))));
        self
    }

    /// Where metrics go, in place of the global provider.
    pub fn meter_provider<P: MeterProvider>(mut self, provider: &P) -> Self {
        self.instruments = Some(Instruments::new(&provider.meter_with_scope(scope())));
        self
    }

    /// Where events go. Without it there are none.
    pub fn logger_provider<P>(mut self, provider: &P) -> Self
    where
        P: LoggerProvider,
        P::Logger: Send + Sync + 'static,
    {
        self.events = Some(event::sink(provider, scope()));
        self
    }

    /// Who sees calls, to log their models.
    #[cfg(all(feature = "autolog", feature = "client"))]
    pub(crate) fn models(mut self, hook: ModelHook) -> Self {
        self.models = Some(hook);
        self
    }

    /// What of the content is recorded, in place of what the environment says.
    pub fn capture(mut self, policy: CapturePolicy) -> Self {
        self.settings.capture = policy;
        self
    }

    /// Which names are used, in place of what the environment says.
    pub fn naming(mut self, naming: Naming) -> Self {
        self.settings.naming = naming;
        self
    }

    /// Whether nothing is recorded at all.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.settings.disabled = disabled;
        self
    }

    /// Whether spans of streams get an event per chunk, named as MLflow's page expects
    /// (`mlflow.chunk.item.<n>`). Content, so only where spans carry content.
    pub fn chunk_events(mut self, enabled: bool) -> Self {
        self.settings.chunk_events = enabled;
        self
    }

    /// Whether streamed chat completions ask for usage where the caller did not. The server then
    /// sends one more chunk, which the caller does not see. Off by default: some servers refuse
    /// options that they do not know.
    pub fn stream_usage(mut self, enabled: bool) -> Self {
        self.settings.stream_usage = enabled;
        self
    }

    /// The provider's name (`gen_ai.provider.name`), in place of what the host says.
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.settings.provider = Some(Arc::<str>::from(name.into()).into());
        self
    }

    /// Hosts that are told the trace (`traceparent`), such as `localhost` or `*.models.internal`.
    /// None by default: a trace is nobody else's business.
    pub fn propagate_to<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.settings.propagate_to = Hosts::new(hosts);
        self
    }

    /// The instrumentation.
    pub fn build(self) -> Instrumentation {
        let wants_events = self.settings.capture.mode().on_events();
        if wants_events && self.events.is_none() && !self.settings.disabled {
            tracing::warn!("content is to be recorded on events, but there is no logger provider for them");
        }
        Instrumentation {
            shared: Arc::new(Shared {
                settings: self.settings,
                tracer: self.tracer.map_or_else(OnceLock::new, OnceLock::from),
                instruments: self.instruments.map_or_else(OnceLock::new, OnceLock::from),
                events: self.events,
                #[cfg(feature = "async-openai")]
                models: self.models,
            }),
        }
    }
}
