//! MLflow tracking from Rust: experiments, runs, models, prompts and assessments.
//!
//! A [`Client`] speaks to an MLflow server. All of its calls are asynchronous, need a Tokio runtime,
//! and fail with a [`TrackingError`] that says what to do.
//!
//! ```no_run
//! use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
//! use opentelemetry_mlflow::tracking::Client;
//!
//! # async fn example() -> Result<(), opentelemetry_mlflow::tracking::TrackingError> {
//! let client = Client::from_env().await?;
//! let experiment = client.experiment("summaries").await?;
//! let run = client.create_run(NewRun { experiment_id: experiment.experiment_id, ..NewRun::default() }).await?;
//! let id = run.info.run_id.as_str();
//! client.log_params(id, [("model", "gpt-4o-mini"), ("temperature", "0.2")]).await?;
//! client.log_metric(id, "rouge", 0.41, 0).await?;
//! client.terminate_run(id, RunStatus::Finished).await?;
//! # Ok(())
//! # }
//! ```

mod artifacts;
mod assessments;
mod client;
mod connect;
mod datasets;
mod experiments;
mod json;
pub mod models;
mod paging;
mod prompts;
mod registry;
mod run;
mod runs;
mod spool;
mod table;
mod tables;
mod traces;

pub use crate::store::tracking::TrackingError;
pub use artifacts::{Artifacts, FileInfo};
pub use client::Client;
pub use connect::ClientBuilder;
pub use datasets::DatasetSource;
pub use prompts::{NewPrompt, Prompt, PromptTemplate, Rendered};
pub use run::{ActiveRun, Outcome, RunLimits, RunLog, StartRun};
pub use spool::{Delivered, Spool, SpoolError};
pub use table::Table;
pub use tables::LoadTable;
