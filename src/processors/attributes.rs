//! `processors.attributes`: inserts, updates, deletes and hashes attributes of spans.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::matching::{MatchConfig, Problem, Selection, compile};
use super::stage::{Stage, Surroundings, Transform, any_span};
use super::value;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, ExportTraceServiceRequest, KeyValue};
use crate::pipeline::TraceExporter;
use crate::telemetry::ProcessorMetrics;

/// Changes attributes of spans, one action after the other.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AttributesConfig {
    /// Only these spans are changed.
    pub include: Option<MatchConfig>,
    /// These spans are not changed.
    pub exclude: Option<MatchConfig>,
    /// What is done, in this order.
    pub actions: Vec<ActionConfig>,
}

/// One action on one attribute, or on those whose key fits a pattern.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionConfig {
    /// The attribute. For `delete` and `hash`, `pattern` can stand in its place or beside it.
    #[serde(default)]
    pub key: String,
    /// What is done.
    pub action: ActionKind,
    /// The value for `insert`, `update` and `upsert`.
    #[serde(default)]
    pub value: Option<Json>,
    /// The attribute whose value `insert`, `update` and `upsert` take; without it nothing is done.
    #[serde(default)]
    pub from_attribute: Option<String>,
    /// A regular expression for the keys that `delete` and `hash` are about.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// What is done to an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Adds it where the key is not there.
    Insert,
    /// Sets it where the key is there.
    Update,
    /// Adds or sets it.
    #[default]
    Upsert,
    /// Takes it away.
    Delete,
    /// Puts the SHA-256 of its value in its place, in hexadecimal digits.
    Hash,
}

impl AttributesConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.actions.is_empty() {
            problems.push(("actions".to_owned(), "must name at least one action".to_owned()));
        }
        problems.extend(Selection::new(self.include.as_ref(), self.exclude.as_ref()).err());
        let actions = self.actions.iter().enumerate();
        problems.extend(actions.filter_map(|(index, action)| Action::new(action, index).err()));
        problems
    }

    /// The processor, before the next stage.
    ///
    /// # Errors
    ///
    /// What [`Self::validate`] finds.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, Problem> {
        let actions = self.actions.iter().enumerate();
        let actions = actions.map(|(index, action)| Action::new(action, index)).collect::<Result<_, _>>()?;
        let selection = Selection::new(self.include.as_ref(), self.exclude.as_ref())?;
        Ok(Arc::new(Stage::new(Attributes { selection, actions }, metrics, next)))
    }
}

struct Attributes {
    selection: Selection,
    actions: Vec<Action>,
}

impl Transform for Attributes {
    const DROPPED: &'static str = "none";

    fn concerns(&self, body: &ExportTraceServiceRequest) -> bool {
        any_span(body, |around, span| self.selection.selects(around, span))
    }

    fn apply(&self, body: &mut ExportTraceServiceRequest) {
        for resource_spans in &mut body.resource_spans {
            let resource = resource_spans.resource.as_ref();
            for scope_spans in &mut resource_spans.scope_spans {
                let around = Surroundings { resource, scope: scope_spans.scope.as_ref() };
                for span in &mut scope_spans.spans {
                    if self.selection.selects(around, span) {
                        self.actions.iter().for_each(|action| action.apply(&mut span.attributes));
                    }
                }
            }
        }
    }
}

/// A compiled [`ActionConfig`].
enum Action {
    Set { key: String, source: Source, when: When },
    Delete(Keys),
    Hash(Keys),
}

enum Source {
    Value(AnyValue),
    Attribute(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Missing,
    There,
    Always,
}

struct Keys {
    key: Option<String>,
    pattern: Option<Regex>,
}

impl Keys {
    fn is(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key))
    }
}

impl Action {
    fn new(config: &ActionConfig, index: usize) -> Result<Self, Problem> {
        let problem = |message: &str| Err((format!("actions[{index}]"), message.to_owned()));
        let when = match config.action {
            ActionKind::Insert => When::Missing,
            ActionKind::Update => When::There,
            ActionKind::Upsert => When::Always,
            ActionKind::Delete | ActionKind::Hash => {
                if config.value.is_some() || config.from_attribute.is_some() {
                    return problem("delete and hash take key and pattern only");
                }
                if config.key.is_empty() && config.pattern.is_none() {
                    return problem("delete and hash need key, pattern or both");
                }
                let pattern = config.pattern.as_ref();
                let pattern =
                    pattern.map(|pattern| compile(pattern, &format!("actions[{index}]"))).transpose()?;
                let key = Some(config.key.clone()).filter(|key| !key.is_empty());
                let keys = Keys { key, pattern };
                let is_hash = config.action == ActionKind::Hash;
                return Ok(if is_hash { Self::Hash(keys) } else { Self::Delete(keys) });
            }
        };
        if config.key.is_empty() || config.pattern.is_some() {
            return problem("insert, update and upsert need a key, and take no pattern");
        }
        let source = match (&config.value, &config.from_attribute) {
            (Some(value), None) => Source::Value(value::of_json(value)),
            (None, Some(attribute)) => Source::Attribute(attribute.clone()),
            _ => return problem("insert, update and upsert need one of value and from_attribute"),
        };
        Ok(Self::Set { key: config.key.clone(), source, when })
    }

    fn apply(&self, attributes: &mut Vec<KeyValue>) {
        match self {
            Self::Set { key, source, when } => set(attributes, key, source, *when),
            Self::Delete(keys) => attributes.retain(|pair| !keys.is(&pair.key)),
            Self::Hash(keys) => {
                for pair in attributes.iter_mut().filter(|pair| keys.is(&pair.key)) {
                    let hash = pair.value.as_ref().map(hash).unwrap_or_default();
                    pair.value = Some(AnyValue { value: Some(Value::String(hash)) });
                }
            }
        }
    }
}

fn set(attributes: &mut Vec<KeyValue>, key: &str, source: &Source, when: When) {
    let is_there = attributes.iter().any(|pair| pair.key == key);
    if (when == When::Missing && is_there) || (when == When::There && !is_there) {
        return;
    }
    let value = match source {
        Source::Value(value) => Some(value.clone()),
        Source::Attribute(from) => {
            let Some(pair) = attributes.iter().find(|pair| pair.key == *from) else { return };
            pair.value.clone()
        }
    };
    // A key that repeats must not keep another value behind the first.
    let mut first = Some(value);
    attributes.retain_mut(|pair| {
        if pair.key != key {
            return true;
        }
        match first.take() {
            Some(value) => {
                pair.value = value;
                true
            }
            None => false,
        }
    });
    if let Some(value) = first {
        attributes.push(KeyValue { key: key.to_owned(), value });
    }
}

/// As the Collector hashes: numbers by their eight bytes, the lowest first; nothing stays nothing.
fn hash(value: &AnyValue) -> String {
    let bytes = match &value.value {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(Value::Bool(boolean)) => vec![u8::from(*boolean)],
        Some(Value::Int(integer)) => integer.to_le_bytes().to_vec(),
        Some(Value::Double(double)) => double.to_bits().to_le_bytes().to_vec(),
        Some(Value::Bytes(bytes)) => bytes.clone(),
        _ => value::to_text(value).into_bytes(),
    };
    let mut hash = String::new();
    if !bytes.is_empty() {
        for byte in Sha256::digest(&bytes) {
            let _ = write!(hash, "{byte:02x}");
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Recorder, pair, request_of, span, spans, text};
    use super::*;
    use crate::telemetry::Metrics;

    async fn after(config: Json, attributes: Vec<KeyValue>) -> Vec<KeyValue> {
        let config: AttributesConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate(), []);
        let next = Recorder::new();
        let metrics = Metrics::default().processor("attributes");
        let stage = config.build(metrics, Arc::clone(&next) as Arc<dyn TraceExporter>).unwrap();
        let mut span = span(1, 1, "chat");
        span.attributes = attributes;
        next.send(stage.as_ref(), Arc::new(request_of(vec![span]))).await.unwrap();
        let taken = next.taken();
        spans(&taken[0].body)[0].attributes.clone()
    }

    #[tokio::test]
    async fn insert_update_and_upsert_differ_by_what_is_there() {
        let actions = json!({"actions": [
            {"key": "a", "action": "insert", "value": 1},
            {"key": "b", "action": "insert", "value": 1},
            {"key": "a", "action": "update", "value": "two"},
            {"key": "c", "action": "update", "value": 2},
            {"key": "d", "action": "upsert", "from_attribute": "a"},
            {"key": "e", "action": "upsert", "from_attribute": "nowhere"},
        ]});
        let found = after(actions, vec![text("a", "old"), text("x", "y"), text("a", "older")]).await;
        assert_eq!(found, [text("a", "two"), text("x", "y"), pair("b", Value::Int(1)), text("d", "two")]);
    }

    #[tokio::test]
    async fn delete_and_hash_go_by_key_and_by_pattern() {
        let actions = json!({"actions": [
            {"key": "secret", "action": "delete"},
            {"pattern": "^token\\.", "action": "delete"},
            {"key": "user", "action": "hash"},
        ]});
        let given =
            vec![text("secret", "s"), text("token.a", "t"), text("a.token.b", "t"), text("user", "ann")];
        let found = after(actions, given).await;
        // printf ann | sha256sum
        let ann = "49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1";
        assert_eq!(found, [text("a.token.b", "t"), text("user", ann)]);
    }

    #[tokio::test]
    async fn spans_that_are_not_included_stay_as_they_are() {
        let config = json!({
            "include": {"match_type": "strict", "span_names": ["other"]},
            "actions": [{"key": "a", "action": "delete"}],
        });
        assert_eq!(after(config, vec![text("a", "b")]).await, [text("a", "b")]);
    }

    #[test]
    fn actions_that_make_no_sense_are_named() {
        for (action, index) in [
            (json!({"key": "a", "action": "insert"}), 0),
            (json!({"key": "a", "action": "upsert", "value": 1, "from_attribute": "b"}), 0),
            (json!({"action": "delete"}), 0),
            (json!({"key": "a", "action": "hash", "value": 1}), 0),
            (json!({"action": "delete", "pattern": "("}), 0),
        ] {
            let config: AttributesConfig = serde_json::from_value(json!({"actions": [action]})).unwrap();
            assert_eq!(config.validate()[0].0, format!("actions[{index}]"));
        }
        assert_eq!(AttributesConfig::default().validate()[0].0, "actions");
    }
}
