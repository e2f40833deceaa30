//! The model behind a call of OpenAI's API: what stays the same from one call to the next.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::responses;
use super::template::recover;
use super::{Azure, InputExample, OpenAiModel, Parameter};

/// An API that models are called through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallApi {
    /// Chat completions.
    Chat,
    /// Legacy completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Responses. MLflow cannot load models of this API: they become chat models.
    Responses,
}

/// A call of a model: the request as OpenAI's API takes it, and what is known around it.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// The API.
    pub api: CallApi,
    /// The request.
    pub request: Map<String, Value>,
    /// Variables of the prompt template in use, with their values.
    pub variables: Vec<(String, String)>,
    /// Where at Azure it went, if it did.
    pub azure: Option<Azure>,
}

/// What is kept of a call besides the model itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Whether parameters that may change at inference time go into the signature, with the call's
    /// values as defaults; else they stay with the model, as MLflow's own autologging leaves them.
    pub signature: bool,
    /// Whether the input of the call is kept as an example.
    pub example: bool,
}

/// Members of requests that are of one call only.
const PASSING: &[&str] = &[
    "messages",
    "prompt",
    "input",
    "instructions",
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "store",
    "safety_identifier",
    "prompt_cache_key",
    "previous_response_id",
    "conversation",
    "background",
    "include",
    "tools",
    "text",
    "reasoning",
    "max_output_tokens",
    "tool_choice",
];

/// Parameters that may change at inference time.
const CHANGEABLE: &[&str] = &[
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "n",
    "best_of",
    "dimensions",
];

/// What a call's messages say.
#[derive(Default)]
struct Prompt {
    messages: Vec<Value>,
    /// Text of the last message of the user.
    asked: Option<String>,
}

impl ApiCall {
    /// The model of the call; none if the request names none. The user's words are no part of it,
    /// unless the variables show them to be a template.
    pub fn model(&self, options: CallOptions) -> Option<OpenAiModel> {
        let name = self.request.get("model").and_then(Value::as_str).filter(|name| !name.is_empty());
        let deployment = || self.azure.as_ref().map(|azure| azure.deployment.as_str());
        let name = name.or_else(deployment)?;
        let mut asked = None;
        let mut model = match self.api {
            CallApi::Chat | CallApi::Responses => {
                let prompt = self.prompt();
                asked = prompt.asked;
                OpenAiModel { messages: prompt.messages, ..OpenAiModel::chat(name) }
            }
            CallApi::Completions => {
                asked = first_text(self.request.get("prompt"));
                let template = asked.as_deref().map(|text| recover(text, &self.variables));
                let prompt = template.filter(|(_, found)| *found).map(|(template, _)| template);
                OpenAiModel { prompt, ..OpenAiModel::completions(name, "") }
            }
            CallApi::Embeddings => {
                asked = first_text(self.request.get("input")).or(asked);
                OpenAiModel::embeddings(name)
            }
        };
        model.azure = self.azure.clone();
        self.parameters(&mut model, options.signature);
        if options.example {
            model.input_example = self.example(&model, asked);
        }
        // What cannot be loaded is not logged.
        model.validate().is_ok().then_some(model)
    }

    /// The system's messages, and those of the user that are templates.
    fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::default();
        let mut any_template = false;
        let instructions = self.request.get("instructions").and_then(Value::as_str);
        let given = instructions.map(|text| json!({"role": "system", "content": text}));
        let said = match self.request.get("messages").or_else(|| self.request.get("input")) {
            Some(Value::String(text)) => vec![json!({"role": "user", "content": text})],
            Some(Value::Array(messages)) => messages.clone(),
            _ => Vec::new(),
        };
        let mut user_template = false;
        for message in given.into_iter().chain(said) {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            let Some(text) = text_of(message.get("content")) else { continue };
            let is_system = matches!(role, "system" | "developer");
            if !is_system && role != "user" {
                continue;
            }
            let (template, found) = recover(&text, &self.variables);
            any_template |= found;
            user_template |= found && !is_system;
            if is_system || found {
                prompt.messages.push(json!({"role": role, "content": template}));
            }
            if !is_system {
                prompt.asked = Some(text);
            }
        }
        if any_template && !user_template {
            // MLflow adds the user's message only where there is no placeholder at all.
            prompt.messages.push(json!({"role": "user", "content": "{content}"}));
        }
        prompt
    }

    fn parameters(&self, model: &mut OpenAiModel, in_signature: bool) {
        let mut all: Map<String, Value> = self
            .request
            .iter()
            .filter(|(name, value)| !PASSING.contains(&name.as_str()) && !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for name in ["tools", "tool_choice"] {
            all.extend(
                self.request
                    .get(name)
                    .filter(|value| !is_empty(value))
                    .map(|value| (name.to_owned(), value.clone())),
            );
        }
        if self.api == CallApi::Responses {
            responses::as_chat(&self.request, &mut all, &mut model.metadata);
        }
        for (name, value) in all {
            let changeable = in_signature && CHANGEABLE.contains(&name.as_str());
            match Parameter::new(&name, value.clone()).filter(|_| changeable) {
                Some(parameter) => model.inference_params.push(parameter),
                None => drop(model.params.insert(name, value)),
            }
        }
        model.inference_params.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// The input of the call, in the form that the model takes.
    fn example(&self, model: &OpenAiModel, asked: Option<String>) -> Option<InputExample> {
        let known: BTreeMap<_, _> = self.variables.iter().cloned().collect();
        let value = |name: &String| {
            known.get(name).cloned().or_else(|| (name == "content").then(|| asked.clone()).flatten())
        };
        let names = model.variables().ok()?;
        match names.as_slice() {
            [] => Some(InputExample::Texts(vec![asked?])),
            [name] => Some(InputExample::Texts(vec![value(name).or_else(|| asked.clone())?])),
            names => {
                let pairs = names.iter().map(|name| Some((name.clone(), Value::String(value(name)?))));
                Some(InputExample::Records(vec![pairs.collect::<Option<_>>()?]))
            }
        }
    }
}

impl OpenAiModel {
    /// What tells this model from others: model, prompt, tools and parameters, but no example.
    /// 64 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut identity = json!({
            "task": self.task.as_str(),
            "model": self.model,
            "messages": self.messages,
            "prompt": self.prompt.as_deref().unwrap_or_default(),
            "params": self.params,
            "metadata": self.metadata,
            "azure": self.azure.as_ref().map(|azure| [&azure.endpoint, &azure.api_version, &azure.deployment]),
        });
        if let Some(params) = identity.get_mut("params").and_then(Value::as_object_mut) {
            // Where a parameter is kept does not make it another.
            params.extend(self.inference_params.iter().map(|one| (one.name.clone(), one.default.clone())));
        }
        identity.sort_all_objects();
        Sha256::digest(identity.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn first_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first()?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// The text of a message's content, its parts joined; none without text.
fn text_of(content: Option<&Value>) -> Option<String> {
    match content? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use super::*;

    const ALL: CallOptions = CallOptions { signature: true, example: true };

    fn call(api: CallApi, request: Value, variables: &[(&str, &str)]) -> ApiCall {
        let Value::Object(request) = request else { panic!("a map") };
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ApiCall { api, request, variables, azure: None }
    }

    fn chat(question: &str, temperature: f64) -> ApiCall {
        call(
            CallApi::Chat,
            json!({"model": "m", "temperature": temperature, "stream": true, "user": question, "messages": [
                {"role": "system", "content": "Answer in {json}."},
                {"role": "assistant", "content": "before"},
                {"role": "user", "content": [{"type": "text", "text": question}]},
            ]}),
            &[],
        )
    }

    #[test]
    fn what_the_user_says_is_no_part_of_the_model() {
        let (one, other) = (chat("a?", 0.5).model(ALL).unwrap(), chat("b?", 0.5).model(ALL).unwrap());
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.messages, [json!({"role": "system", "content": "Answer in {{json}}."})]);
        assert_eq!(one.inference_params, [Parameter::new("temperature", json!(0.5)).unwrap()]);
        assert!(one.params.is_empty());
        assert_eq!(one.input_example, Some(InputExample::Texts(vec!["a?".to_owned()])));
        let warmer = chat("a?", 0.6).model(ALL).unwrap();
        assert_ne!(one.fingerprint(), warmer.fingerprint());
        let plain = chat("a?", 0.5).model(CallOptions::default()).unwrap();
        assert_eq!((plain.params.len(), plain.input_example.is_none()), (1, true));
        assert_eq!(plain.fingerprint(), one.fingerprint());
    }

    #[test]
    fn variables_of_the_prompt_make_it_a_template() {
        let request = |topic: &str| {
            json!({"model": "m", "messages": [
                {"role": "system", "content": "Speak en."},
                {"role": "user", "content": format!("Tell me about {topic}.")},
            ]})
        };
        let cats = call(CallApi::Chat, request("cats"), &[("topic", "cats"), ("lang", "en")]);
        let dogs = call(CallApi::Chat, request("dogs"), &[("topic", "dogs"), ("lang", "en")]);
        let model = cats.model(ALL).unwrap();
        assert_eq!(model.fingerprint(), dogs.model(ALL).unwrap().fingerprint());
        assert_eq!(model.variables().unwrap(), ["lang", "topic"]);
        let record = json!({"lang": "en", "topic": "cats"}).as_object().unwrap().clone();
        assert_eq!(model.input_example, Some(InputExample::Records(vec![record])));
    }

    #[test]
    fn a_template_in_the_system_message_leaves_the_user_room() {
        let request = json!({"model": "m", "messages": [
            {"role": "system", "content": "Be a pirate."}, {"role": "user", "content": "Hi"}]});
        let model = call(CallApi::Chat, request, &[("who", "pirate")]).model(ALL).unwrap();
        assert_eq!(model.variables().unwrap(), ["content", "who"]);
        let record = json!({"content": "Hi", "who": "pirate"}).as_object().unwrap().clone();
        assert_eq!(model.input_example, Some(InputExample::Records(vec![record])));
    }

    #[test]
    fn responses_become_chats_that_mlflow_can_load() {
        let request = json!({"model": "m", "instructions": "Be terse.", "input": "Hi", "max_output_tokens": 9,
            "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
            "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]});
        let model = call(CallApi::Responses, request, &[]).model(ALL).unwrap();
        assert_eq!(model.task, Task::Chat);
        assert_eq!(model.messages, [json!({"role": "system", "content": "Be terse."})]);
        assert_eq!(model.inference_params, [Parameter::new("max_completion_tokens", json!(9)).unwrap()]);
        assert_eq!(
            Value::Object(model.params.clone()),
            json!({
                "reasoning_effort": "low",
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            })
        );
        assert_eq!(
            Value::Object(model.metadata),
            json!({
            "openai_api": "responses", "openai_responses_tools": [{"type": "web_search"}]})
        );
    }

    #[test]
    fn completions_and_embeddings_have_models_too() {
        let request = json!({"model": "m", "prompt": "Say cats.", "max_tokens": 3});
        let model = call(CallApi::Completions, request.clone(), &[("what", "cats")]).model(ALL).unwrap();
        assert_eq!(model.prompt.as_deref(), Some("Say {what}."));
        assert_eq!(call(CallApi::Completions, request, &[]).model(ALL).unwrap().prompt, None);
        let request = json!({"model": "m", "input": ["a", "b"], "dimensions": 3});
        let model = call(CallApi::Embeddings, request, &[]).model(ALL).unwrap();
        assert_eq!(model.input_example, Some(InputExample::Texts(vec!["a".to_owned()])));
        assert_eq!(call(CallApi::Chat, json!({"messages": []}), &[]).model(ALL), None);
    }
}
