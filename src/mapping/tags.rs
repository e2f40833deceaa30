//! Tags of a trace.

use super::limits::{self, cut};
use super::python::adumps;
use crate::mapping::any_value::{Raw, holds_bytes, to_python, unique};
use crate::otlp::model::{Resource, any_value};
use crate::semconv::mlflow::{ARTIFACT_LOCATION, PREFIX, TRACE_PREFIX};
use crate::semconv::otel::TELEMETRY_SDK_PREFIX;

/// Whether MLflow takes a name for a tag: letters, digits and `_-./: `, and no path that steps
/// out of its folder.
pub(super) fn is_tag_name(name: &str) -> bool {
    let allowed = |character: char| character.is_alphanumeric() || "/_.- :".contains(character);
    // Python's `$` matches before a line feed at the end, too.
    let checked = name.strip_suffix('\n').unwrap_or(name);
    let is_clean = |part: &str| !matches!(part, "" | "." | "..");
    checked.chars().all(allowed)
        && name.split('/').all(is_clean)
        && !name.starts_with("..")
        && limits::check_length("tag name", name, limits::TAG_KEY).is_ok()
}

/// Whether a tag is one that MLflow keeps books with; overwritten, it breaks the trace.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    name == ARTIFACT_LOCATION || name.starts_with(TRACE_PREFIX)
}

/// The value of a tag, cut to what MLflow keeps.
pub(super) fn tag_value(value: &str) -> String {
    cut(value, limits::TAG_VALUE).to_owned()
}

/// Whether a resource says anything about the trace.
pub(super) fn has_attributes(resource: &Resource) -> bool {
    resource.attributes.iter().any(|pair| !pair.key.is_empty())
}

/// The attributes of a resource as tags, and those that JSON cannot hold.
pub(super) fn resource_tags(resource: &Resource) -> (Vec<(String, String)>, Vec<&str>) {
    let (mut tags, mut unusable) = (Vec::new(), Vec::new());
    for (key, value) in unique(&resource.attributes) {
        if key.is_empty() || key.starts_with(TELEMETRY_SDK_PREFIX) || key.starts_with(PREFIX) {
            continue;
        }
        if holds_bytes(value) {
            unusable.push(key);
        } else if is_tag_name(key) {
            tags.push((key.to_owned(), tag_value(&resource_value(value))));
        }
    }
    (tags, unusable)
}

fn resource_value(value: Raw<'_>) -> String {
    match value {
        Some(any_value::Value::String(text)) => text.clone(),
        other => adumps(&to_python(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tags_are_checked_as_mlflow_does() {
        for name in ["service.name", "a/b", "grüße 1", "日本", "a:b-c_d", "x\n", ".hidden", "a..b"] {
            assert!(is_tag_name(name), "{name:?}");
        }
        for name in
            ["", ".", "..", "../a", "/a", "a/", "a//b", "a/./b", "a/../b", "..a", "a\"b", "a\n\n", "é,"]
        {
            assert!(!is_tag_name(name), "{name:?}");
        }
        assert!(is_tag_name(&"k".repeat(250)));
        assert!(!is_tag_name(&"k".repeat(251)));
    }
}
