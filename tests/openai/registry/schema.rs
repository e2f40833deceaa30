//! The JSON schemas of structured attributes.

use std::collections::BTreeMap;
use std::path::Path;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The attributes that have a schema, with its file.
const SCHEMAS: &[(&str, &str)] = &[
    ("gen_ai.input.messages", "gen-ai-input-messages.json"),
    ("gen_ai.output.messages", "gen-ai-output-messages.json"),
    ("gen_ai.system_instructions", "gen-ai-system-instructions.json"),
    ("gen_ai.tool.definitions", "gen-ai-tool-definitions.json"),
    ("gen_ai.tool.call.arguments", "gen-ai-tool-call-arguments.json"),
    ("gen_ai.tool.call.result", "gen-ai-tool-call-result.json"),
    ("gen_ai.memory.records", "gen-ai-memory-records.json"),
    ("gen_ai.retrieval.documents", "gen-ai-retrieval-documents.json"),
];

/// Members that hold parts, each of which has to be as the schema of its type says.
struct Schema {
    whole: Validator,
    /// By the constant that their `type` has.
    by_type: BTreeMap<String, Validator>,
}

pub(crate) struct Schemas(BTreeMap<&'static str, Schema>);

impl Schemas {
    /// Reads the vendored files.
    pub(crate) fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("semconv/schemas");
        Self(
            SCHEMAS
                .iter()
                .map(|(attribute, file)| {
                    let text = std::fs::read_to_string(folder.join(file)).unwrap();
                    (*attribute, Schema::new(&serde_json::from_str(&text).unwrap()))
                })
                .collect(),
        )
    }

    /// Whether the attribute has a schema.
    pub(crate) fn knows(&self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    /// What is wrong with the value of an attribute that has a schema.
    pub(crate) fn check(&self, attribute: &str, value: &Value) -> Vec<String> {
        let schema = &self.0[attribute];
        let mut wrong: Vec<_> = schema
            .whole
            .iter_errors(value)
            .map(|error| format!("{attribute}{}: {error}", error.instance_path()))
            .collect();
        schema.check_parts(attribute, value, &mut wrong);
        wrong
    }
}

impl Schema {
    fn new(schema: &Value) -> Self {
        let mut by_type = BTreeMap::new();
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            if let Some(kind) = definition["properties"]["type"]["const"].as_str() {
                let one = json!({"$defs": schema["$defs"], "allOf": [{"$ref": format!("#/$defs/{name}")}]});
                by_type.insert(kind.to_owned(), validator(&one));
            }
        }
        Self { whole: validator(schema), by_type }
    }

    /// The schemas let a part of any type pass as a generic one; a part of a known type has to be
    /// what that type is.
    fn check_parts(&self, path: &str, value: &Value, wrong: &mut Vec<String>) {
        let elements = value.as_array().into_iter().flatten();
        for (index, element) in elements.enumerate() {
            let path = format!("{path}/{index}");
            if element["parts"].is_array() {
                self.check_parts(&format!("{path}/parts"), &element["parts"], wrong);
            }
            let known = element["type"].as_str().and_then(|kind| self.by_type.get(kind));
            for error in known.into_iter().flat_map(|schema| schema.iter_errors(element)) {
                wrong.push(format!("{path}{}: {error}", error.instance_path()));
            }
        }
    }
}

/// The schemas refer to the meta-schema of draft 7, and are of that draft themselves.
fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft7).build(schema).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attribute: &str, value: &Value) -> Vec<String> {
        Schemas::read().check(attribute, value)
    }

    #[test]
    fn messages_of_the_registry_pass() {
        let input = json!([
            {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]},
            {"role": "assistant", "parts": [
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"in": "Paris"}},
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rainy"}]},
        ]);
        assert_eq!(check("gen_ai.input.messages", &input), Vec::<String>::new());
        let output = json!([{"role": "assistant", "finish_reason": "stop", "parts": [
            {"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Rainy."},
            {"type": "refusal", "content": "No."},
        ]}]);
        assert_eq!(check("gen_ai.output.messages", &output), Vec::<String>::new());
    }

    #[test]
    fn a_message_without_what_it_needs_is_wrong() {
        let without_role = json!([{"parts": []}]);
        assert!(!check("gen_ai.input.messages", &without_role).is_empty());
        let without_reason = json!([{"role": "assistant", "parts": []}]);
        assert!(check("gen_ai.input.messages", &without_reason).is_empty());
        assert!(!check("gen_ai.output.messages", &without_reason).is_empty());
        assert!(!check("gen_ai.system_instructions", &json!("Be kind.")).is_empty());
        assert!(!check("gen_ai.tool.call.arguments", &json!(["Paris"])).is_empty());
    }

    #[test]
    fn a_part_of_a_known_type_is_not_a_generic_one() {
        let message = |part: Value| json!([{"role": "user", "parts": [part]}]);
        for part in [
            json!({"type": "text", "text": "the content is called otherwise"}),
            json!({"type": "tool_call", "arguments": {}}),
            json!({"type": "blob", "content": "AAAA"}),
            json!({"type": "uri", "modality": "image"}),
        ] {
            assert!(!check("gen_ai.input.messages", &message(part.clone())).is_empty(), "{part}");
        }
        assert!(!check("gen_ai.tool.definitions", &json!([{"type": "function"}])).is_empty());
        assert!(
            !check(
                "gen_ai.tool.definitions",
                &json!([{"type": "function", "name": "f", "parameters": "none"}])
            )
            .is_empty()
        );
    }
}
