//! OpenTelemetry-native GenAI tracing for [MLflow](https://mlflow.org).
//!
//! Most users want the collector: `cargo gateway` runs the binary `otel-mlflow`, which takes OTLP
//! in and writes MLflow traces. The README says how to plug it in.
//!
//! A service that calls OpenAI wants `autolog`: one call sets providers and exporters up. `exporter` is
//! the part of it that writes to MLflow inside the process, without a collector.
//!
//! As a library, the default features give the names of the GenAI and MLflow conventions
//! ([`semconv`]) and nothing else. The feature `gateway` gives the parts of the collector, which
//! stand on their own: `otlp` decodes requests, `mapping` turns them into MLflow's rows without
//! any I/O, `store` writes those to a server or, with the features `sqlite` and `postgres`, into a
//! database.

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
#[cfg(any(feature = "autolog", feature = "gateway"))]
mod document;
#[cfg(feature = "exporter")]
pub mod exporter;
#[cfg(feature = "_backend")]
pub mod exporters;
#[cfg(feature = "_backend")]
pub mod mapping;
#[cfg(feature = "_backend")]
pub mod mlflow;
#[cfg(feature = "_backend")]
pub mod otlp;
#[cfg(feature = "_backend")]
pub mod pipeline;
#[cfg(feature = "gateway")]
pub mod receivers;
#[cfg(feature = "_backend")]
pub mod store;
#[cfg(feature = "_backend")]
pub mod telemetry;
#[cfg(feature = "_backend")]
mod tls;
#[cfg(feature = "_backend")]
pub mod units;
