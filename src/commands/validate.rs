//! `otel-mlflow validate`.

use std::process::ExitCode;

use super::say;
use crate::config::Sources;

/// Says that the configuration can be used.
pub(super) fn say_valid(sources: &Sources) -> ExitCode {
    match sources.files.as_slice() {
        [] => say("the built-in configuration is valid"),
        files => {
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            say(&format!("the configuration in {} is valid", names.join(", ")))
        }
    }
}
