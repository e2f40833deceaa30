//! MLflow tracking from Rust: experiments, runs, models, prompts and assessments.

mod client;

pub use client::Client;
