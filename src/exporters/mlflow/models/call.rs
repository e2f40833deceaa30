//! The call behind a span, as OpenAI's API would take it: from the attributes of the GenAI
//! conventions, or from what MLflow's own autologging writes.

use serde_json::{Map, Value, json};

use crate::mlflow::model::{ApiCall, Azure, CallApi};
use crate::otlp::model::any_value::Value as Otlp;
use crate::otlp::model::{AnyValue, KeyValue, Span};
use crate::semconv::gen_ai::{self, operation_name, provider_name};
use crate::semconv::{mlflow, otel};

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// Attributes of requests, and the parameters of OpenAI's API that they are.
const PARAMETERS: &[(&str, &str)] = &[
    (gen_ai::REQUEST_TEMPERATURE, "temperature"),
    (gen_ai::REQUEST_TOP_P, "top_p"),
    (gen_ai::REQUEST_MAX_TOKENS, "max_tokens"),
    (gen_ai::REQUEST_PRESENCE_PENALTY, "presence_penalty"),
    (gen_ai::REQUEST_FREQUENCY_PENALTY, "frequency_penalty"),
    (gen_ai::REQUEST_SEED, "seed"),
    (gen_ai::REQUEST_STOP_SEQUENCES, "stop"),
    (gen_ai::REQUEST_CHOICE_COUNT, "n"),
    (gen_ai::REQUEST_REASONING_LEVEL, "reasoning_effort"),
    (gen_ai::EMBEDDINGS_DIMENSION_COUNT, "dimensions"),
];

/// The call of a span; none of a span that calls no model, or whose call failed.
pub(super) fn call(span: &Span) -> Option<ApiCall> {
    if span.status.as_ref().is_some_and(|status| status.code == ERROR) {
        return None;
    }
    let attributes = Attributes(&span.attributes);
    let (api, request) = attributes.conventional().or_else(|| attributes.inputs())?;
    Some(ApiCall { api, request, variables: attributes.variables(), azure: attributes.azure() })
}

/// The text of an attribute of a span.
pub(super) fn text<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    Attributes(&span.attributes).text(key)
}

struct Attributes<'s>(&'s [KeyValue]);

impl<'s> Attributes<'s> {
    fn get(&self, key: &str) -> Option<&'s Otlp> {
        self.0.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
    }

    fn text(&self, key: &str) -> Option<&'s str> {
        match self.get(key)? {
            Otlp::String(text) => Some(text),
            _ => None,
        }
    }

    /// An attribute that holds JSON, as text or structured.
    fn json(&self, key: &str) -> Option<Value> {
        match self.get(key)? {
            Otlp::String(text) => serde_json::from_str(text).ok(),
            structured => Some(plain(structured)),
        }
    }

    /// By the GenAI conventions.
    fn conventional(&self) -> Option<(CallApi, Map<String, Value>)> {
        let api = match self.text(gen_ai::OPERATION_NAME)? {
            operation_name::CHAT => CallApi::Chat,
            operation_name::TEXT_COMPLETION => CallApi::Completions,
            operation_name::EMBEDDINGS => CallApi::Embeddings,
            _ => return None,
        };
        let mut request = Map::new();
        request.insert("model".to_owned(), self.text(gen_ai::REQUEST_MODEL)?.into());
        for (key, name) in PARAMETERS {
            if let Some(value) = self.get(key) {
                request.insert((*name).to_owned(), plain(value));
            }
        }
        let messages = self.messages();
        match api {
            CallApi::Chat => drop(request.insert("messages".to_owned(), Value::Array(messages))),
            CallApi::Completions => {
                let prompt = messages.last().and_then(|message| message.get("content")).cloned();
                request.extend(prompt.map(|prompt| ("prompt".to_owned(), prompt)));
            }
            _ => {
                let input = self.json(mlflow::SPAN_INPUTS).and_then(|inputs| match inputs {
                    Value::Object(mut inputs) => inputs.remove("input"),
                    Value::String(_) | Value::Array(_) => Some(inputs),
                    _ => None,
                });
                request.extend(input.map(|input| ("input".to_owned(), input)));
            }
        }
        if let Some(Value::Array(tools)) = self.json(gen_ai::TOOL_DEFINITIONS) {
            request.insert("tools".to_owned(), tools.into_iter().map(tool).collect());
        }
        if self.text(gen_ai::OUTPUT_TYPE) == Some("json") {
            request.insert("response_format".to_owned(), json!({"type": "json_object"}));
        }
        Some((api, request))
    }

    /// As MLflow's autologging of OpenAI writes it: the request itself.
    fn inputs(&self) -> Option<(CallApi, Map<String, Value>)> {
        let kind = self.text(mlflow::SPAN_TYPE)?;
        let kind = kind.trim_matches('"');
        let Value::Object(request) = self.json(mlflow::SPAN_INPUTS)? else { return None };
        let api = match kind {
            "EMBEDDING" if request.contains_key("input") => CallApi::Embeddings,
            "CHAT_MODEL" if request.contains_key("messages") => CallApi::Chat,
            "CHAT_MODEL" if request.contains_key("input") => CallApi::Responses,
            "LLM" if request.contains_key("prompt") => CallApi::Completions,
            _ => return None,
        };
        request.get("model")?.as_str()?;
        Some((api, request))
    }

    /// Instructions and messages in the form of chat completions, text alone.
    fn messages(&self) -> Vec<Value> {
        let instructions = self.json(gen_ai::SYSTEM_INSTRUCTIONS);
        let instructions =
            instructions.as_ref().and_then(contents).map(|text| json!({"role": "system", "content": text}));
        let given = self.json(gen_ai::INPUT_MESSAGES);
        let given = given.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(|message| {
            let text = contents(message.get("parts").or_else(|| message.get("content"))?)?;
            Some(json!({"role": message.get("role")?, "content": text}))
        });
        instructions.into_iter().chain(given).collect()
    }

    fn variables(&self) -> Vec<(String, String)> {
        let own = self.0.iter().filter_map(|attribute| {
            let name = attribute.key.strip_prefix(gen_ai::PROMPT_VARIABLE)?.strip_prefix('.')?;
            Some((name.to_owned(), self.text(&attribute.key)?.to_owned()))
        });
        own.collect()
    }

    /// Azure does not tell the version of its API on spans: whoever loads the model says it.
    fn azure(&self) -> Option<Azure> {
        if self.text(gen_ai::PROVIDER_NAME)? != provider_name::AZURE_AI_OPENAI {
            return None;
        }
        let host = self.text(otel::SERVER_ADDRESS)?;
        let endpoint = match self.get(otel::SERVER_PORT) {
            Some(Otlp::Int(port)) if *port != 443 => format!("https://{host}:{port}"),
            _ => format!("https://{host}"),
        };
        Some(Azure {
            endpoint,
            api_version: String::new(),
            deployment: self.text(gen_ai::REQUEST_MODEL)?.to_owned(),
        })
    }
}

/// The text of parts, joined.
fn contents(parts: &Value) -> Option<String> {
    if let Some(text) = parts.as_str() {
        return Some(text.to_owned());
    }
    let text = |part: &Value| part.get("content").or_else(|| part.get("text"))?.as_str().map(str::to_owned);
    let texts: Vec<_> = parts.as_array()?.iter().filter_map(text).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// A tool in the form of chat completions; the conventions have a function's members at the top.
fn tool(tool: Value) -> Value {
    match tool {
        Value::Object(mut function) if !function.contains_key("function") => {
            function.remove("type");
            json!({"type": "function", "function": function})
        }
        other => other,
    }
}

fn plain(value: &Otlp) -> Value {
    let inner = |value: &AnyValue| value.value.as_ref().map(plain).unwrap_or_default();
    match value {
        Otlp::String(text) => json!(text),
        Otlp::Bool(flag) => json!(flag),
        Otlp::Int(number) => json!(number),
        Otlp::Double(number) => json!(number),
        Otlp::Array(items) => items.values.iter().map(inner).collect(),
        Otlp::Kvlist(pairs) => Value::Object(
            (pairs.values.iter())
                .map(|pair| (pair.key.clone(), pair.value.as_ref().map(inner).unwrap_or_default()))
                .collect(),
        ),
        Otlp::Bytes(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::model::Status;

    fn attribute(key: &str, value: Otlp) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
    }

    fn string(key: &str, value: &str) -> KeyValue {
        attribute(key, Otlp::String(value.to_owned()))
    }

    fn span(attributes: Vec<KeyValue>) -> Span {
        Span { attributes, ..Span::default() }
    }

    #[test]
    fn attributes_of_the_conventions_are_a_call() {
        let span = span(vec![
            string("gen_ai.operation.name", "chat"),
            string("gen_ai.request.model", "gpt-4o"),
            attribute("gen_ai.request.temperature", Otlp::Double(0.5)),
            string("gen_ai.system_instructions", r#"[{"type":"text","content":"Be kind."}]"#),
            string("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]"#),
            string("gen_ai.tool.definitions", r#"[{"type":"function","name":"f","parameters":{}}]"#),
            string("gen_ai.prompt.variable.who", "Hi"),
        ]);
        let call = call(&span).unwrap();
        assert_eq!((call.api, call.azure), (CallApi::Chat, None));
        assert_eq!(call.variables, [("who".to_owned(), "Hi".to_owned())]);
        let expected = json!({
            "model": "gpt-4o", "temperature": 0.5,
            "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        });
        assert_eq!(Value::Object(call.request), expected);
    }

    #[test]
    fn requests_that_mlflow_wrote_are_calls() {
        let inputs = r#"{"model":"m","input":"Hi","instructions":"x"}"#;
        let span =
            span(vec![string("mlflow.spanType", "\"CHAT_MODEL\""), string("mlflow.spanInputs", inputs)]);
        let call = call(&span).unwrap();
        assert_eq!(call.api, CallApi::Responses);
        assert_eq!(Value::Object(call.request), serde_json::from_str::<Value>(inputs).unwrap());
    }

    #[test]
    fn tools_failures_and_unnamed_models_are_none() {
        let chat = || vec![string("gen_ai.operation.name", "chat"), string("gen_ai.request.model", "m")];
        assert!(call(&span(chat())).is_some());
        let failed = Span { status: Some(Status { code: ERROR, ..Status::default() }), ..span(chat()) };
        assert!(call(&failed).is_none());
        assert!(call(&span(vec![string("gen_ai.operation.name", "execute_tool")])).is_none());
        assert!(call(&span(vec![string("gen_ai.operation.name", "chat")])).is_none());
    }
}
