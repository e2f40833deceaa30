//! One call that turns telemetry on.
//!
//! **Prompts, answers, tool arguments and results are recorded on spans.** That is what MLflow's
//! `autolog` does, and what its callers ask for. To record none, set
//! `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=NO_CONTENT`, or say so with
//! [`Autolog::capture`]. Credentials are never recorded.
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _guard = opentelemetry_mlflow::autolog::autolog()?;
//!     // … the application; clients made with `.instrumented()` are traced …
//!     Ok(())
//! }
//! ```
//!
//! It sets up OpenTelemetry's providers and propagators, makes them the global ones, and sets the
//! global [`Instrumentation`](crate::instrument::Instrumentation). Dropping the [`AutologGuard`]
//! delivers what waits, for at most ten seconds, on any runtime or none, also while panicking. All
//! exports happen on a thread of their own.
//!
//! # Where telemetry goes
//!
//! The first of these that says something decides:
//!
//! 1. **A file**: `OTEL_CONFIG_FILE` (or `OTEL_EXPERIMENTAL_CONFIG_FILE`) names a declarative
//!    configuration; see [below](#the-file). Other variables and the options of [`Autolog`] that say
//!    where telemetry goes then have no effect.
//! 2. **A list**: `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` with
//!    `otlp`, `console`, `none`, and for traces `mlflow`.
//! 3. **[`Autolog::tracking_uri`]**: traces go to that MLflow.
//! 4. **OTLP**: if `OTEL_EXPORTER_OTLP_ENDPOINT` or `_PROTOCOL` is set, or the same for one signal
//!    (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`), that signal goes there. Traces then do not go to MLflow
//!    as well, even if `MLFLOW_TRACKING_URI` is set, unless
//!    `MLFLOW_TRACE_ENABLE_OTLP_DUAL_EXPORT=true`: as in MLflow's own SDK.
//! 5. **MLflow**: traces go to `MLFLOW_TRACKING_URI`, else to `sqlite:///mlflow.db` in the working
//!    directory, as MLflow's own client does; a line in the log says which. Without the feature
//!    `sqlite` that is an error that says so. Metrics and logs go nowhere.
//!
//! # Variables
//!
//! | variable | meaning |
//! |---|---|
//! | `OTEL_SDK_DISABLED` | `true`: nothing is recorded |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the resource |
//! | `OTEL_PROPAGATORS` | `tracecontext`, `baggage`, `none`; the former two by default |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `always_on`, `always_off`, `traceidratio` and the `parentbased_` ones |
//! | `OTEL_BSP_*`, `OTEL_BLRP_*` | the batch processors, export timeouts included |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT` | limits |
//! | `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_METRIC_EXPORT_TIMEOUT` | the reader of metrics |
//! | `OTEL_EXPORTER_OTLP_*` | `ENDPOINT`, `PROTOCOL` (`http/protobuf`, `grpc`), `HEADERS`, `TIMEOUT`, `COMPRESSION` (`gzip`, `zstd`), `CERTIFICATE`, `CLIENT_CERTIFICATE`, `CLIENT_KEY`, `INSECURE` |
//! | `MLFLOW_TRACKING_URI`, `MLFLOW_EXPERIMENT_NAME`, `MLFLOW_EXPERIMENT_ID`, credentials | see [`MlflowExporterBuilder`](crate::exporter::MlflowExporterBuilder) |
//! | `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, `OTEL_SEMCONV_STABILITY_OPT_IN` | what is recorded, and under which names |
//!
//! The Rust SDK cannot limit the length of attributes (`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`); the
//! capture policy limits content.
//!
//! # Options of MLflow
//!
//! `log_traces`, `disable`, `silent` and `extra_tags`; with the feature `client` also `log_models`,
//! `log_model_signatures`, `log_input_examples` and `registered_model_name`. A model is what stays
//! the same from call to call: the model's name, the system prompt, tools and parameters. Each is
//! logged once, not once per call, nor again after a restart; the user's words are no part of it
//! unless they are asked for as an example. A prompt template is kept as such where
//! [`Scope::prompt_variable`](crate::instrument::Scope::prompt_variable) names what was filled in.
//! Models go to the MLflow of `tracking_uri` or `MLFLOW_TRACKING_URI`, wherever traces go, and to
//! the run of `MLFLOW_RUN_ID` or of the scope's attribute `mlflow.run_id`, if there is one.
//!
//! # The file
//!
//! OpenTelemetry's declarative configuration, file format 1.0: a service is instrumented by a file
//! and no code beyond [`autolog()`]. Everything wrong with it is reported at once, each with path,
//! line and column. What the Rust SDK cannot do is an error, never ignored.
//!
#![doc = concat!("```yaml\n", include_str!("declarative/example.yaml"), "```")]
//!
//! `${NAME}`, `${env:NAME}`, `${NAME:-default}` and `${file:PATH}` are replaced, `$$` is a `$`.
//! The keys of the `mlflow` exporter are those of the gateway's exporter of that name. Variables
//! such as `OTEL_SERVICE_NAME` have no effect where a file is used, but for
//! `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_EXPORTER_OTLP_COMPRESSION`, which the OTLP exporter adds
//! where the file says nothing.

mod builder;
mod console;
mod declarative;
mod environment;
mod error;
mod guard;
mod http;
#[cfg(feature = "client")]
mod models;
mod otlp;
mod plan;
mod providers;
mod scope_spans;
mod start;
mod tended;
mod views;

pub use builder::Autolog;
pub use error::{AutologError, FlushError};
pub use guard::AutologGuard;

pub use crate::document::problem::{Location, Problem, Problems, Severity};

/// Turns telemetry on, as the environment says. See the [module](self).
///
/// # Errors
///
/// As [`Autolog::start`].
pub fn autolog() -> Result<AutologGuard, AutologError> {
    Autolog::new().start()
}
