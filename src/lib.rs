//! OpenTelemetry-native GenAI tracing for [MLflow](https://mlflow.org).
//!
//! **A service that calls OpenAI** needs two lines (features `autolog`, and `sqlite` or `postgres` to write
//! straight into MLflow's database):
//!
#![cfg_attr(feature = "autolog", doc = "```no_run")]
#![cfg_attr(not(feature = "autolog"), doc = "```ignore")]
//! use opentelemetry_mlflow::autolog::autolog;
//! use opentelemetry_mlflow::instrument::openai::InstrumentClient;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _guard = autolog()?;
//!     let client = async_openai::Client::new().instrumented();
//!     // … the application …
//!     Ok(())
//! }
//! ```
//!
//! Prompts and answers are then recorded on spans; `autolog` says how to record none of them.
//!
//! **The collector** `otel-mlflow` takes OTLP in and writes MLflow traces: `cargo gateway` runs it. The README
//! says how to plug it in.
//!
//! # Features
//!
//! | feature | what it gives |
//! |---|---|
//! | `instrument` (default) | `instrument`: scopes, and spans by hand; `genai`: messages, and what of them is recorded. The OpenTelemetry API alone |
//! | `async-openai` | `instrument::openai`: the layer for clients of that name, and realtime sessions |
//! | `macros` | `#[tool]`, `#[agent]`, `#[workflow]`, `#[traced]` |
//! | `exporter` | `exporter`: an SDK span exporter that writes to MLflow inside the process |
//! | `autolog` | `autolog`: providers, exporters and a guard, from the environment or a declarative file; with `exporter` and `async-openai` |
//! | `client` | `tracking`: runs, metrics, tables, artifacts, models, prompts and assessments in MLflow; `evaluate`: models over tables |
//! | `s3`, `tokens` | for `client`: artifacts in S3; counting tokens as OpenAI does |
//! | `sqlite`, `postgres` | for `exporter`, `autolog`, `client` and `gateway`: straight into MLflow's database |
//! | `gateway` | the collector and its parts, which stand on their own: `otlp` decodes requests, `mapping` turns them into MLflow's rows without any I/O, `store` writes those to a server or into a database |
//! | `full` | all of these |
//!
//! [`semconv`], the names of the GenAI and MLflow conventions, is there always.

pub mod semconv;

#[cfg(feature = "instrument")]
pub mod genai;
#[cfg(feature = "instrument")]
pub mod instrument;

#[cfg(feature = "autolog")]
pub mod autolog;

/// # Examples
///
/// ```
/// use opentelemetry_mlflow::tool;
/// # struct Client;
/// # impl Client { async fn ask(&self, _: &str, _: u32) -> Result<String, std::fmt::Error> { Ok(String::new()) } }
///
/// /// Tells the weather of a city.
/// #[tool(skip(client))]
/// async fn weather(client: &Client, city: &str, days: u32) -> Result<String, std::fmt::Error> {
///     client.ask(city, days).await
/// }
/// ```
#[cfg(feature = "macros")]
pub use opentelemetry_mlflow_macros::tool;

/// # Examples
///
/// ```
/// use opentelemetry_mlflow::agent;
/// # async fn chat(_: &str) -> Result<String, std::fmt::Error> { Ok(String::new()) }
///
/// #[agent(name = "Planner", model = "gpt-4o-mini")]
/// async fn plan(question: &str) -> Result<String, std::fmt::Error> {
///     chat(question).await
/// }
///
/// struct Assistant {
///     name: String,
/// }
///
/// impl Assistant {
///     #[agent(name = self.name.clone(), skip(history))]
///     async fn answer(&self, history: &[String], question: &str) -> Result<String, std::fmt::Error> {
///         chat(question).await
///     }
/// }
/// ```
#[cfg(feature = "macros")]
pub use opentelemetry_mlflow_macros::agent;

/// # Examples
///
/// ```
/// use opentelemetry_mlflow::workflow;
///
/// #[workflow(name = "answer")]
/// async fn answer(question: String) -> String {
///     // Agents at work.
///     question
/// }
/// ```
#[cfg(feature = "macros")]
pub use opentelemetry_mlflow_macros::workflow;

/// # Examples
///
/// ```
/// use opentelemetry_mlflow::traced;
/// # struct Index;
///
/// #[traced(span_type = "RETRIEVER", skip(index))]
/// fn search(index: &Index, query: &str) -> Vec<String> {
///     vec![query.to_owned()]
/// }
/// ```
#[cfg(feature = "macros")]
pub use opentelemetry_mlflow_macros::traced;

/// What the attribute macros expand to; no interface.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use crate::instrument::span::function::*;
}

#[cfg(feature = "gateway")]
pub mod commands;
#[cfg(feature = "gateway")]
pub mod config;
#[cfg(feature = "_backend")]
mod dates;
#[cfg(any(feature = "autolog", feature = "gateway"))]
mod document;
#[cfg(feature = "client")]
pub mod evaluate;
#[cfg(feature = "exporter")]
pub mod exporter;
#[cfg(feature = "_backend")]
pub mod exporters;
#[cfg(feature = "_backend")]
mod hints;
#[cfg(feature = "_backend")]
pub mod mapping;
#[cfg(feature = "_backend")]
pub mod mlflow;
#[cfg(feature = "_backend")]
pub mod otlp;
#[cfg(feature = "_backend")]
pub mod pipeline;
#[cfg(feature = "gateway")]
pub mod processors;
#[cfg(feature = "_backend")]
pub mod queue;
#[cfg(feature = "gateway")]
pub mod receivers;
#[cfg(feature = "_backend")]
pub mod store;
#[cfg(feature = "_backend")]
pub mod telemetry;
#[cfg(feature = "_backend")]
mod tls;
#[cfg(feature = "client")]
pub mod tracking;
#[cfg(feature = "_backend")]
pub mod units;
