//! Which experiment a trace belongs to, and which runs it is linked to: the rule, without I/O.
//!
//! The answer is a name or an id; finding or creating the experiment is a store's business.

use serde::{Deserialize, Serialize};

use crate::mapping::python::int_from_str;
use crate::otlp::model::{KeyValue, Resource, Span};

mod source;
#[cfg(test)]
mod tests;

pub(in crate::mapping) use source::attribute_text;
pub use source::{InvalidSource, Source};

/// Longest name of an experiment, in characters, that MLflow takes.
pub const MAX_EXPERIMENT_NAME: usize = 500;
/// Longest run id, in characters, that a database with limits (PostgreSQL, MySQL) takes.
pub const MAX_RUN_ID: usize = 36;

const RUN_ID: &str = "mlflow.run_id";
const DEFAULT_NAME: &str = "Default";

/// Which experiment a trace goes to.
///
/// The first of these that gives a usable value decides:
///
/// 1. the request's header (or gRPC metadata) `x-mlflow-experiment-id`;
/// 2. the sources of `from`, in their order;
/// 3. the fallback, `name` or `id`.
///
/// A trace that MLflow already holds stays in its experiment, whatever its later spans say.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentConfig {
    /// Name of the experiment for traces that nothing else places. `Default` if there is neither
    /// a name nor an id.
    pub name: Option<String>,
    /// Id of the experiment for traces that nothing else places, instead of `name`.
    pub id: Option<i64>,
    /// Where to look for the experiment, in order: `span.<attribute>`, `resource.<attribute>`, or
    /// a text with such references in `${}`, as `genai/${resource.service.name}`.
    ///
    /// A reference to an attribute whose name ends in `experiment_id` holds an experiment's id if
    /// it stands alone; everything else gives a name. The spans of the trace are asked in turn,
    /// roots first. A value that cannot be used (absent, blank, an id that is no whole number, a
    /// name of more than 500 characters, a service name that begins with `unknown_service`)
    /// leaves the word to the next span, and then to the next source.
    pub from: Vec<Source>,
    /// Whether an experiment that does not exist is created. If not, its traces go to the
    /// fallback.
    pub create: bool,
    /// How many experiments may be created before the fallback is used instead.
    pub max_created: u32,
}

impl Default for ExperimentConfig {
    fn default() -> Self {
        Self {
            name: None,
            id: None,
            from: vec![Source::span("mlflow.experiment_name"), Source::resource("service.name")],
            create: true,
            max_created: 100,
        }
    }
}

/// What is wrong with an [`ExperimentConfig`] as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidExperiment {
    /// Both ways to name the fallback are used.
    #[error("name and id both name the fallback experiment; keep one of them")]
    NameAndId,
    /// MLflow would refuse the name.
    #[error("name must have 1 to {MAX_EXPERIMENT_NAME} characters, and not blanks only")]
    Name,
    /// There is no such id.
    #[error("id must be 0 or more")]
    Id,
}

impl ExperimentConfig {
    /// Finds everything that is wrong; nothing if the configuration can be used.
    pub fn validate(&self) -> Vec<InvalidExperiment> {
        let mut found = Vec::new();
        if self.name.is_some() && self.id.is_some() {
            found.push(InvalidExperiment::NameAndId);
        }
        if self.name.as_deref().is_some_and(|name| !is_experiment_name(name)) {
            found.push(InvalidExperiment::Name);
        }
        if self.id.is_some_and(|id| id < 0) {
            found.push(InvalidExperiment::Id);
        }
        found
    }

    /// The experiment for traces that nothing else places; never [`ExperimentRef::Fallback`].
    pub fn fallback(&self) -> ExperimentRef {
        match (self.id, &self.name) {
            (Some(id), _) => ExperimentRef::Id(id),
            (None, Some(name)) => ExperimentRef::Name(name.clone()),
            (None, None) => ExperimentRef::Name(DEFAULT_NAME.to_owned()),
        }
    }

    /// Where a trace goes. `spans` are those of one trace; `header` is the request's
    /// `x-mlflow-experiment-id`, which is read as MLflow reads it, as Python's `int`.
    pub fn route(&self, header: Option<&str>, spans: &[RoutedSpan<'_>]) -> ExperimentRef {
        if let Some(id) = header.and_then(experiment_id) {
            return ExperimentRef::Id(id);
        }
        let found = self.from.iter().find_map(|source| {
            let (roots, others): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.is_root);
            roots.into_iter().chain(others).find_map(|span| source.read(span))
        });
        found.unwrap_or(ExperimentRef::Fallback)
    }
}

/// An experiment, as far as a trace says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExperimentRef {
    /// The experiment with this id.
    Id(i64),
    /// The experiment of this name.
    Name(String),
    /// What [`ExperimentConfig::fallback`] gives.
    Fallback,
}

/// What routing looks at of a span.
#[derive(Clone, Copy, Debug)]
pub struct RoutedSpan<'a> {
    is_root: bool,
    attributes: &'a [KeyValue],
    resource: &'a [KeyValue],
}

impl<'a> RoutedSpan<'a> {
    /// A span and the resource that it came with.
    pub fn new(span: &'a Span, resource: Option<&'a Resource>) -> Self {
        Self {
            is_root: span.parent_span_id.iter().all(|byte| *byte == 0),
            attributes: &span.attributes,
            resource: resource.map_or(&[], |resource| &resource.attributes),
        }
    }
}

/// The runs that a trace is linked to, without repetition.
///
/// `header` is the request's `x-mlflow-run-id`, which MLflow applies to the traces whose root is
/// in the request. Beside it, `mlflow.run_id` of any span of the trace, or of its resource. Ids
/// that are empty or longer than `longest` characters are left out; [`MAX_RUN_ID`] is the limit
/// of databases that have one.
pub fn run_ids(header: Option<&str>, spans: &[RoutedSpan<'_>], longest: usize) -> Vec<String> {
    let header = header.filter(|_| spans.iter().any(|span| span.is_root)).map(str::to_owned);
    let named = spans.iter().flat_map(|span| {
        let of = |attributes| attribute_text(attributes, RUN_ID);
        [of(span.attributes), of(span.resource)].into_iter().flatten()
    });
    let mut ids = Vec::new();
    for id in header.into_iter().chain(named) {
        let is_usable = !id.is_empty() && !id.contains('\0') && id.chars().count() <= longest;
        if is_usable && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn experiment_id(text: &str) -> Option<i64> {
    int_from_str(text)?.as_i64().filter(|id| *id >= 0)
}

fn is_experiment_name(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains('\0') && name.chars().count() <= MAX_EXPERIMENT_NAME
}
