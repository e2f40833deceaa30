//! Where the name or the id of an experiment comes from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ExperimentRef, RoutedSpan, experiment_id, is_experiment_name};
use crate::mapping::python::repr_float;
use crate::otlp::model::KeyValue;
use crate::otlp::model::any_value::Value;

const SERVICE_NAME: &str = "service.name";
/// SDKs send this, and may append the program's name, where no service name is configured.
const UNKNOWN_SERVICE: &str = "unknown_service";
const ID_SUFFIX: &str = "experiment_id";

/// A place to look for an experiment: an attribute, or a text with attributes in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source {
    /// As it was written.
    text: String,
    parts: Vec<Part>,
    is_id: bool,
}

/// Why a text is not a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSource {
    /// Neither an attribute nor a template.
    #[error(
        "`{0}` refers to no attribute; write span.<attribute>, resource.<attribute>, or a text with \
         ${{span.<attribute>}} or ${{resource.<attribute>}} in it"
    )]
    NoReference(String),
    /// A reference that does not say where to look.
    #[error("`{0}` must begin with `span.` or `resource.` and name an attribute")]
    Reference(String),
    /// A reference without an end.
    #[error("`{0}` has a `${{` without its `}}`")]
    Unclosed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Span(String),
    Resource(String),
}

impl Source {
    /// An attribute of a span.
    pub fn span(attribute: &str) -> Self {
        Self::bare(format!("span.{attribute}"), Part::Span(attribute.to_owned()))
    }

    /// An attribute of the resource.
    pub fn resource(attribute: &str) -> Self {
        Self::bare(format!("resource.{attribute}"), Part::Resource(attribute.to_owned()))
    }

    fn bare(text: String, part: Part) -> Self {
        let is_id = match &part {
            Part::Span(attribute) | Part::Resource(attribute) => attribute.ends_with(ID_SUFFIX),
            Part::Text(_) => false,
        };
        Self { text, parts: vec![part], is_id }
    }

    fn template(text: String) -> Result<Self, InvalidSource> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (inside, after) =
                after.split_once('}').ok_or_else(|| InvalidSource::Unclosed(text.clone()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::reference(inside)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text, parts, is_id: false })
    }

    /// What the source says of a span; none if it says nothing that can be used.
    pub(super) fn read(&self, span: &RoutedSpan<'_>) -> Option<ExperimentRef> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(&part.read(span)?);
        }
        if self.is_id {
            return experiment_id(&text).map(ExperimentRef::Id);
        }
        is_experiment_name(&text).then_some(ExperimentRef::Name(text))
    }
}

impl Part {
    fn reference(text: &str) -> Result<Self, InvalidSource> {
        let part = match text.split_once('.') {
            Some((_, "")) | None => None,
            Some(("span", attribute)) => Some(Self::Span(attribute.to_owned())),
            Some(("resource", attribute)) => Some(Self::Resource(attribute.to_owned())),
            Some(_) => None,
        };
        part.ok_or_else(|| InvalidSource::Reference(text.to_owned()))
    }

    /// The text of the part; none for a reference to an attribute that is absent or blank.
    fn read(&self, span: &RoutedSpan<'_>) -> Option<Cow<'_, str>> {
        let (attributes, attribute) = match self {
            Self::Text(text) => return Some(Cow::Borrowed(text)),
            Self::Span(attribute) => (span.attributes, attribute),
            Self::Resource(attribute) => (span.resource, attribute),
        };
        let text = attribute_text(attributes, attribute).filter(|text| !text.trim().is_empty())?;
        let is_default = attribute == SERVICE_NAME && text.starts_with(UNKNOWN_SERVICE);
        (!is_default).then_some(Cow::Owned(text))
    }
}

/// The value of an attribute as text, of its last occurrence; none for lists, maps and bytes.
pub(in crate::mapping) fn attribute_text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().rev().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Double(value) => Some(repr_float(*value)),
        Value::Array(_) | Value::Kvlist(_) | Value::Bytes(_) => None,
    }
}

impl TryFrom<String> for Source {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        if text.contains("${") {
            return Self::template(text);
        }
        if text.starts_with("span.") || text.starts_with("resource.") {
            return Part::reference(&text).map(|part| Self::bare(text, part));
        }
        Err(InvalidSource::NoReference(text))
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.text
    }
}

impl schemars::JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "ExperimentSource".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "span.<attribute>, resource.<attribute>, or a text with ${span.<attribute>} \
                            or ${resource.<attribute>} in it.",
            "pattern": r"^(span|resource)\..+|\$\{(span|resource)\.[^}]+\}",
            "examples": ["span.mlflow.experiment_id", "resource.service.name", "genai/${resource.service.name}"]
        })
    }
}
