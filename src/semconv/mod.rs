//! Names: attributes, events and values of the GenAI semantic conventions, and of MLflow.
//!
//! Holds constants only, never logic.

pub mod mlflow;
