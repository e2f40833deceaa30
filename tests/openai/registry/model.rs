//! The registry, with its groups expanded and its refinements applied.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::yaml;

/// How much an attribute is wanted on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Required,
    /// Required under a condition that the registry gives in words.
    Conditional,
    Recommended,
    OptIn,
}

/// An attribute, on all signals.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// `string`, `int`, `double`, `boolean`, `string[]`, `any`, or `template[string]`.
    pub(crate) kind: String,
    /// The values of an enum; empty where anything goes.
    pub(crate) members: Vec<String>,
}

/// Which attributes a signal has.
pub(crate) type Levels = BTreeMap<String, Level>;

/// A span, metric or event.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    /// As the registry writes it: all but its attributes.
    pub(crate) about: Value,
    pub(crate) levels: Levels,
}

pub(crate) struct Registry {
    pub(crate) attributes: BTreeMap<String, Definition>,
    pub(crate) spans: BTreeMap<String, Signal>,
    pub(crate) metrics: BTreeMap<String, Signal>,
    pub(crate) events: BTreeMap<String, Signal>,
}

/// Attributes of OpenTelemetry's core conventions that ours refer to or that applications add.
const CORE: &[(&str, &str)] = &[
    ("error.type", "string"),
    ("server.address", "string"),
    ("server.port", "int"),
    ("exception.type", "string"),
    ("exception.message", "string"),
    ("exception.stacktrace", "string"),
    ("http.request.resend_count", "int"),
    ("session.id", "string"),
    ("user.id", "string"),
];

impl Registry {
    /// Reads the vendored files.
    pub(crate) fn read() -> Self {
        let file = |path: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("semconv/registry");
            yaml::parse(&std::fs::read_to_string(folder.join(path)).unwrap())
        };
        let (spans, metrics, events) =
            (file("gen-ai/spans.yaml"), file("gen-ai/metrics.yaml"), file("gen-ai/events.yaml"));
        let mut groups = BTreeMap::new();
        for group in list(&spans["attribute_groups"]).chain(list(&metrics["attribute_groups"])) {
            groups.insert(text(&group["id"]), group["attributes"].clone());
        }
        for span in list(&spans["spans"]) {
            groups.insert(format!("span.{}", text(&span["type"])), span["attributes"].clone());
        }
        let signals = |items: &Value, key: &str, refinements: &Value| {
            let mut found: BTreeMap<String, Signal> =
                list(items).map(|item| (text(&item[key]), signal(item, &groups, Levels::new()))).collect();
            for refinement in list(refinements) {
                let base = found[&text(&refinement["ref"])].clone();
                let refined = signal(refinement, &groups, base.levels);
                found.insert(text(&refinement["id"]), Signal { about: base.about, levels: refined.levels });
            }
            found
        };
        Self {
            attributes: definitions(&[file("gen-ai/registry.yaml"), file("openai/registry.yaml")]),
            spans: signals(&spans["spans"], "type", &spans["span_refinements"]),
            metrics: signals(&metrics["metrics"], "name", &metrics["metric_refinements"]),
            events: signals(&events["events"], "name", &Value::Null),
        }
    }

    /// The definition of an attribute, which may be one of a template.
    pub(crate) fn definition(&self, name: &str) -> Option<&Definition> {
        self.attributes.get(name).or_else(|| {
            let mut templates = self.attributes.iter().filter(|(_, known)| known.kind == "template[string]");
            let known = templates.find(|(template, _)| is_of_template(template, name));
            known.map(|(_, definition)| definition)
        })
    }
}

impl Signal {
    /// How much the attribute is wanted here, if it belongs here at all.
    pub(crate) fn level(&self, name: &str) -> Option<Level> {
        let exact = self.levels.get(name);
        let template = || self.levels.iter().find(|(known, _)| is_of_template(known, name)).map(|(_, l)| l);
        exact.or_else(template).copied()
    }
}

/// Whether the name is the template's with a key behind it.
fn is_of_template(template: &str, name: &str) -> bool {
    template == "gen_ai.prompt.variable"
        && name.strip_prefix(template).is_some_and(|key| key.len() > 1 && key.starts_with('.'))
}

fn signal(item: &Value, groups: &BTreeMap<String, Value>, mut levels: Levels) -> Signal {
    expand(&item["attributes"], groups, &mut levels);
    let mut about = item.clone();
    about.as_object_mut().unwrap().remove("attributes");
    Signal { about, levels }
}

/// Adds the attributes of a list, those of the groups in it first: what is written out wins.
fn expand(attributes: &Value, groups: &BTreeMap<String, Value>, levels: &mut Levels) {
    for group in list(attributes).filter(|entry| !entry["ref_group"].is_null()) {
        let id = text(&group["ref_group"]);
        expand(groups.get(&id).unwrap_or_else(|| panic!("no group {id}")), groups, levels);
    }
    for entry in list(attributes).filter(|entry| !entry["ref"].is_null()) {
        let name = text(&entry["ref"]);
        match level(&entry["requirement_level"]) {
            Some(level) => {
                levels.insert(name, level);
            }
            None => {
                levels.entry(name).or_insert(Level::Recommended);
            }
        }
    }
}

fn level(written: &Value) -> Option<Level> {
    match written {
        Value::Null => None,
        Value::String(word) => Some(match word.as_str() {
            "required" => Level::Required,
            "recommended" => Level::Recommended,
            "opt_in" => Level::OptIn,
            other => panic!("a requirement level {other}"),
        }),
        condition if !condition["conditionally_required"].is_null() => Some(Level::Conditional),
        condition if !condition["recommended"].is_null() => Some(Level::Recommended),
        other => panic!("a requirement level {other}"),
    }
}

fn definitions(files: &[Value]) -> BTreeMap<String, Definition> {
    let mut found: BTreeMap<_, _> = CORE
        .iter()
        .map(|(name, kind)| {
            ((*name).to_owned(), Definition { kind: (*kind).to_owned(), members: Vec::new() })
        })
        .collect();
    for attribute in files.iter().flat_map(|file| list(&file["attributes"])) {
        let members: Vec<_> =
            list(&attribute["type"]["members"]).map(|member| text(&member["value"])).collect();
        let kind = attribute["type"].as_str().unwrap_or("string").to_owned();
        found.insert(text(&attribute["key"]), Definition { kind, members });
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn groups_and_refinements_are_in_place() {
    let registry = Registry::read();
    let span = |name: &str| &registry.spans[name];
    let inference = span("gen_ai.inference.client");
    assert_eq!(inference.levels.len(), 37);
    assert_eq!(inference.level("gen_ai.provider.name"), Some(Level::Required));
    assert_eq!(inference.level("gen_ai.request.model"), Some(Level::Conditional));
    assert_eq!(inference.level("openai.api.type"), None);
    assert_eq!(inference.level("gen_ai.prompt.variable.city"), Some(Level::OptIn));
    let refined = span("openai.inference.client");
    assert_eq!(refined.level("gen_ai.request.model"), Some(Level::Required));
    assert_eq!(refined.level("gen_ai.output.type"), Some(Level::Conditional), "kept from the base");
    assert_eq!(refined.about["kind"], "client");
    assert_eq!(registry.events["gen_ai.client.inference.operation.details"].levels.len(), 37);
    let usage = &registry.metrics["openai.client.token.usage"];
    assert_eq!(usage.level("gen_ai.token.type"), Some(Level::Required));
    assert_eq!(usage.level("openai.response.service_tier"), Some(Level::Recommended));
    assert_eq!(registry.attributes["gen_ai.operation.name"].members.len(), 18);
    assert_eq!(registry.definition("gen_ai.prompt.variable.city").unwrap().kind, "template[string]");
    assert!(registry.definition("gen_ai.request.modle").is_none());
}
