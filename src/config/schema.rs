//! The JSON Schema of the whole configuration, put together from the components' own.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::components::{BUILT_IN, Catalogue, ComponentKind};
use super::service::Service;

/// The schemas of all parts, with the definitions that they refer to.
pub(super) struct Schemas {
    /// By section and type, in the order of the tables.
    components: Vec<(ComponentKind, &'static str, Value)>,
    /// The `service` section.
    pub(super) service: Value,
    /// What `$ref` points to.
    pub(super) definitions: Value,
}

impl Schemas {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
        let mut components = Vec::new();
        for kind in ComponentKind::ALL {
            for component in catalogue.of(kind) {
                components.push((kind, component.name, (component.schema)(&mut generator).to_value()));
            }
        }
        let service = generator.subschema_for::<Service>().to_value();
        let definitions = Value::Object(generator.take_definitions(true));
        Self { components, service, definitions }
    }

    /// The schema of a component's settings.
    pub(super) fn component(&self, kind: ComponentKind, name: &str) -> Option<&Value> {
        self.components
            .iter()
            .find(|(of_kind, of_name, _)| *of_kind == kind && *of_name == name)
            .map(|(_, _, schema)| schema)
    }

    fn section(&self, kind: ComponentKind) -> Value {
        let patterns: Map<String, Value> = self
            .components
            .iter()
            .filter(|(of_kind, _, _)| *of_kind == kind)
            .map(|(_, name, schema)| {
                // An empty value (`debug:`) is a component with its defaults.
                (format!("^{name}(/.+)?$"), json!({"anyOf": [schema, {"type": "null"}]}))
            })
            .collect();
        json!({
            "type": ["object", "null"],
            "description": format!("The {} by id: `type` or `type/name`.", kind.section()),
            "patternProperties": patterns,
            "additionalProperties": false,
        })
    }
}

/// The JSON Schema (draft 2020-12) of a configuration file, for editors and other tools.
pub fn whole_schema() -> Value {
    let schemas = Schemas::new(&BUILT_IN);
    let mut properties: Map<String, Value> =
        ComponentKind::ALL.iter().map(|kind| (kind.section().to_owned(), schemas.section(*kind))).collect();
    properties.insert("service".to_owned(), schemas.service);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "otel-mlflow configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": schemas.definitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_in_the_schema_by_type_and_name() {
        let schema = whole_schema();
        for kind in ComponentKind::ALL {
            for component in BUILT_IN.of(kind) {
                let pattern = format!("^{}(/.+)?$", component.name);
                let patterns = &schema["properties"][kind.section()]["patternProperties"];
                assert!(patterns.get(&pattern).is_some(), "{pattern} is not in {patterns}");
            }
        }
    }

    #[test]
    fn every_reference_of_the_schema_has_its_definition() {
        let schema = whole_schema();
        let text = schema.to_string();
        let mut references = 0;
        for (at, _) in text.match_indices("\"#/$defs/") {
            let name = text[at + "\"#/$defs/".len()..].split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name} is not defined");
            references += 1;
        }
        assert!(references > 0);
    }
}
