//! OpenTelemetry's declarative configuration: one file that says what is set up.
//!
//! ```text
//! file ─> located YAML ─> expand ${…} ─> what the Rust SDK cannot do ─> JSON Schema ─> structs ─> plan
//! ```
//!
//! Every step adds to one list of problems, each with its path, line and column.

mod exporter_model;
mod exporters;
mod model;
mod plan;
mod sampler;
mod unsupported;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;

use super::error::AutologError;
use super::plan::Plan;
use crate::document::expand::{self, Lookup, Process};
use crate::document::problem::{Problem, Problems};
use crate::document::tree::{Data, Node, Path};
use crate::document::{check, yaml};
use crate::genai::{CaptureMode, CapturePolicy};
use crate::instrument::{InstrumentationBuilder, Naming};
use model::{CaptureModel, File, NamingModel, OpenAi};

/// What a file says.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) disabled: bool,
    pub(super) plan: Plan,
    pub(super) layer: Option<Layer>,
}

/// Settings of the layer and the macros.
#[derive(Clone, Debug)]
pub(super) struct Layer(OpenAi);

/// Reads and checks a file; logs what is odd about it.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(super) fn load(file: &str, silent: bool) -> Result<Declared, AutologError> {
    let (declared, problems) = read(file, &Process);
    match declared {
        Some(declared) => {
            for problem in problems.iter().filter(|_| !silent) {
                tracing::warn!("{problem}");
            }
            Ok(declared)
        }
        None => Err(AutologError::File { problems }),
    }
}

/// The content of a file, if it can be used, and all there is to say about it.
fn read(file: &str, lookup: &dyn Lookup) -> (Option<Declared>, Problems) {
    let mut problems = Problems::default();
    let declared = match parse(file, lookup) {
        Ok(mut root) => {
            expand::expand(&mut root, lookup, &mut problems);
            unsupported::take_out(&mut root, &mut problems);
            typed(&mut root, &mut problems).map(|file| plan::declared(file, &root, &mut problems))
        }
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    let usable = !problems.has_errors();
    (declared.filter(|_| usable), problems.sorted())
}

fn parse(file: &str, lookup: &dyn Lookup) -> Result<Node, Problems> {
    let text = lookup.file(file).map_err(|error| {
        let mut problems = Problems::default();
        let advice = "set OTEL_CONFIG_FILE to a file that can be read";
        problems.push(Problem::error("", None, format!("{file} cannot be read: {error}; {advice}")));
        problems
    })?;
    let source: Arc<str> = file.into();
    let mut root = yaml::parse(&text, &source)?;
    if matches!(root.data, Data::Null) {
        root.data = Data::Map(Vec::new());
    }
    Ok(root)
}

/// The tree as structs; none if something is missing that was left out for a problem.
fn typed(root: &mut Node, problems: &mut Problems) -> Option<File> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.subschema_for::<File>().to_value();
    let definitions = Value::Object(generator.take_definitions(true));
    check::check(root, &schema, &definitions, &Path::default(), problems);
    match File::deserialize(root.to_json()) {
        Ok(file) => Some(file),
        Err(_) if problems.has_errors() => None,
        Err(error) => {
            problems.push(Problem::error("", Some(root.at.clone()), error.to_string()));
            None
        }
    }
}

impl Layer {
    /// What is recorded of content, where the environment says `mode`.
    pub(super) fn capture(&self, mode: Option<CaptureMode>) -> CapturePolicy {
        let own = self.0.capture_message_content.map(|mode| match mode {
            CaptureModel::NoContent => CaptureMode::NoContent,
            CaptureModel::SpanOnly => CaptureMode::SpanOnly,
            CaptureModel::EventOnly => CaptureMode::EventOnly,
            CaptureModel::SpanAndEvent => CaptureMode::SpanAndEvent,
        });
        let policy = CapturePolicy::new(own.or(mode).unwrap_or(CaptureMode::SpanOnly));
        match self.0.max_part_bytes {
            Some(bytes) => policy.max_part_bytes(bytes),
            None => policy,
        }
    }

    /// Everything but what is recorded of content.
    pub(super) fn apply(self, mut builder: InstrumentationBuilder) -> InstrumentationBuilder {
        let settings = self.0;
        if settings.enabled == Some(false) {
            builder = builder.disabled(true);
        }
        if let Some(naming) = settings.naming {
            builder = builder.naming(match naming {
                NamingModel::Latest => Naming::Latest,
                NamingModel::Former => Naming::Former,
                NamingModel::Both => Naming::Both,
            });
        }
        if let Some(enabled) = settings.chunk_events {
            builder = builder.chunk_events(enabled);
        }
        if let Some(enabled) = settings.stream_usage {
            builder = builder.stream_usage(enabled);
        }
        if let Some(provider) = settings.provider {
            builder = builder.provider(provider);
        }
        builder.propagate_to(settings.propagate_to)
    }
}
