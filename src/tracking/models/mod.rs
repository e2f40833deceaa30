//! Models of OpenAI's API in MLflow: logged, registered, found again, loaded and run.
//!
//! On MLflow 3 a model is a logged model of its own, linked to its run; on MLflow 2 it is a folder
//! of a run's artifacts. Either loads with `mlflow.pyfunc.load_model`.

mod address;
mod error;
mod find;
mod folder;
mod load;
mod log;
mod logger;
#[cfg(feature = "async-openai")]
mod predict;
mod register;

pub use error::ModelsError;
pub use load::LoadedModel;
pub use log::{LogModel, LoggedModelInfo};
pub(crate) use logger::{Connect, Home, ModelLogger, ModelLoggerOptions, Observed, Seen};
#[cfg(feature = "async-openai")]
pub use predict::{Endpoint, ModelInput};

/// Tag of a logged model and of a version: what tells the model from others, 64 hex digits.
pub const FINGERPRINT_TAG: &str = "otel_mlflow.model.fingerprint";
