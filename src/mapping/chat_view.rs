//! Conversations that MLflow's chat view does not show as they come.
//!
//! The view takes messages of the conventions only if all their parts are texts, tool calls and responses
//! to them; for one picture, refusal or piece of reasoning it shows no chat at all. Beside inputs and
//! outputs it reads `mlflow.chat.messages`, in OpenAI's form: there such conversations go.

use super::python::{Dict, Text as Str, Value, dumps};
use super::text::Text;

/// The parts that the view takes.
const SHOWN: [&str; 3] = ["text", "tool_call", "tool_call_response"];

/// How much of a picture is stored once more, in bytes of its base64 text.
const MAX_PICTURE: usize = 256 * 1024;

/// The conversation in OpenAI's form; none where the view shows inputs and outputs as they are, and where
/// they are no conversation.
pub(super) fn conversation<'a>(inputs: &Text<'_>, outputs: &Text<'_>) -> Option<Text<'a>> {
    let texts = [inputs, outputs].map(|text| match text {
        Text::Verbatim(json) => Some(json.as_ref()),
        Text::Quoted(_) => None,
    });
    let [Some(asked), Some(answered)] = texts else { return None };
    if !may_be_hidden(asked) && !may_be_hidden(answered) {
        return None;
    }
    let (asked, answered) = (messages(inputs)?, messages(outputs)?);
    if asked.iter().chain(&answered).all(is_shown) {
        return None;
    }
    let shown = asked.iter().chain(&answered).flat_map(openai).collect();
    // A lone surrogate: the view stays empty.
    dumps(&Value::List(shown)).ok().map(|json| Text::Verbatim(json.into()))
}

/// Whether it is worth reading a text: it has messages with parts of other types, or without parts.
fn may_be_hidden(json: &str) -> bool {
    let has = |text: &str| memchr::memmem::find(json.as_bytes(), text.as_bytes()).is_some();
    has("\"parts\"") && (has("[]") || types(json).any(|name| name.is_none_or(|name| !SHOWN.contains(&name))))
}

/// What follows each key `type`, if it is a string.
fn types(json: &str) -> impl Iterator<Item = Option<&str>> {
    const KEY: &str = "\"type\"";
    memchr::memmem::find_iter(json.as_bytes(), KEY).map(|at| {
        let value = json.get(at + KEY.len()..)?.trim_start_matches([' ', ':', '\n']);
        value.strip_prefix('"')?.split('"').next()
    })
}

/// Messages of the conventions, at least one.
fn messages(text: &Text<'_>) -> Option<Vec<Dict>> {
    let Value::List(list) = text.decode() else { return None };
    let messages: Vec<Dict> = list
        .into_iter()
        .map(|message| match message {
            Value::Dict(message) if parts(&message).is_some() && string(&message, "role").is_some() => {
                Some(message)
            }
            _ => None,
        })
        .collect::<Option<_>>()?;
    (!messages.is_empty()).then_some(messages)
}

fn parts(message: &Dict) -> Option<&[Value]> {
    message.get("parts")?.as_list()
}

fn string<'v>(value: &'v Dict, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

fn is_shown(message: &Dict) -> bool {
    let known =
        |part: &Value| string(part.as_dict()?, "type").filter(|kind| SHOWN.contains(kind)).map(|_| ());
    parts(message).is_some_and(|parts| !parts.is_empty() && parts.iter().all(|part| known(part).is_some()))
}

/// One message in OpenAI's form, and one more for each response to a tool call.
fn openai(message: &Dict) -> Vec<Value> {
    let (mut content, mut calls, mut responses) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts(message).unwrap_or_default().iter().filter_map(Value::as_dict) {
        match string(part, "type").unwrap_or_default() {
            "tool_call" => calls.push(tool_call(part)),
            "tool_call_response" => responses.push(response(part)),
            // The view has no place for it.
            "reasoning" => {}
            _ => content.push(content_part(part)),
        }
    }
    let mut shown = Vec::new();
    if responses.is_empty() || !content.is_empty() || !calls.is_empty() {
        let role = match string(message, "role") {
            Some(role @ ("system" | "assistant" | "tool")) => role,
            Some("developer") => "system",
            _ => "user",
        };
        let content = if content.is_empty() { Value::None } else { Value::List(content) };
        let mut members = vec![("role", Value::from(role)), ("content", content)];
        if !calls.is_empty() {
            members.push(("tool_calls", Value::List(calls)));
        }
        shown.push(object(members));
    }
    shown.extend(responses);
    shown
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    Value::Dict(members.into_iter().collect())
}

fn tool_call(part: &Dict) -> Value {
    let name = string(part, "name").unwrap_or_default();
    let id = string(part, "id").unwrap_or(name);
    let function = object(vec![("name", name.into()), ("arguments", text(part.get("arguments")))]);
    object(vec![("id", id.into()), ("type", "function".into()), ("function", function)])
}

fn response(part: &Dict) -> Value {
    let id = string(part, "id").unwrap_or_default();
    let members =
        vec![("role", "tool".into()), ("tool_call_id", id.into()), ("content", text(part.get("response")))];
    object(members)
}

/// A string as it is, anything else as JSON.
fn text(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Str(text)) => Value::Str(text.clone()),
        Some(value) => Value::from(dumps(value).unwrap_or_default()),
        None => Value::from("{}"),
    }
}

/// A text or a picture; of all else, what it is.
fn content_part(part: &Dict) -> Value {
    let kind = string(part, "type").unwrap_or_default();
    if let ("text" | "refusal", Some(said @ Value::Str(_))) = (kind, part.get("content")) {
        return object(vec![("type", "text".into()), ("text", said.clone())]);
    }
    let modality = string(part, "modality");
    if let Some(url) = picture(part).filter(|_| modality == Some("image")) {
        let image = object(vec![("url", url)]);
        return object(vec![("type", "image_url".into()), ("image_url", image)]);
    }
    let what = modality.or(string(part, "name")).unwrap_or(kind);
    object(vec![("type", "text".into()), ("text", Value::from(format!("[{what}]")))])
}

/// Where a browser finds the picture.
fn picture(part: &Dict) -> Option<Value> {
    if let Some(uri) = string(part, "uri") {
        return uri.starts_with("http").then(|| Value::Str(Str::from(uri)));
    }
    let data = string(part, "content").filter(|data| data.len() <= MAX_PICTURE)?;
    let mime_type = string(part, "mime_type").unwrap_or("image/png");
    Some(Value::from(format!("data:{mime_type};base64,{data}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(inputs: &str, outputs: &str) -> Option<serde_json::Value> {
        let text = conversation(&Text::of_string(inputs).unwrap(), &Text::of_string(outputs).unwrap())?;
        Some(serde_json::from_str(&text.json()).unwrap())
    }

    const ANSWER: &str = r#"[{"role": "assistant", "parts": [{"type": "text", "content": "A cat."}]}]"#;

    #[test]
    fn pictures_are_shown_and_other_media_named() {
        let inputs = r#"[{"role": "developer", "parts": [{"type": "text", "content": "Look!"}]},
            {"role": "user", "parts": [{"type": "text", "content": "Who?"},
                {"type": "blob", "modality": "image", "mime_type": "image/gif", "content": "AAAA"},
                {"type": "uri", "modality": "image", "uri": "https://a/b.png"},
                {"type": "uri", "modality": "image", "uri": "urn:sha256:00"},
                {"type": "blob", "modality": "audio", "content": "AAAA"}]}]"#;
        let expected = serde_json::json!([
            {"role": "system", "content": [{"type": "text", "text": "Look!"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "Who?"},
                {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
                {"type": "text", "text": "[image]"},
                {"type": "text", "text": "[audio]"},
            ]},
            {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        ]);
        assert_eq!(shown(inputs, ANSWER), Some(expected));
    }

    #[test]
    fn refusals_are_said_reasoning_is_left_out_and_calls_are_kept() {
        let inputs = r#"[{"role":"assistant","parts":[{"type":"reasoning","content":"hm"},{"type":"tool_call","id":"c1","name":"find","arguments":{"q":1}}]},{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":[2]}]}]"#;
        let outputs = r#"[{"role":"assistant","parts":[{"type":"refusal","content":"No."}]}]"#;
        let call = serde_json::json!({"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{\"q\": 1}"}});
        let expected = serde_json::json!([
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "[2]"},
            {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
        ]);
        assert_eq!(shown(inputs, outputs), Some(expected));
    }

    #[test]
    fn an_answer_without_parts_does_not_hide_the_chat() {
        let shown = shown(ANSWER, r#"[{"role":"assistant","parts":[]}]"#).unwrap();
        assert_eq!(shown[1], serde_json::json!({"role": "assistant", "content": null}));
    }

    #[test]
    fn what_the_view_shows_and_what_is_no_conversation_stays() {
        let odd = r#"[{"role":"user","parts":[{"type":"blob","modality":"image"}]},"more"]"#;
        let arguments = r#"[{"role":"assistant","parts":[{"type":"tool_call","name":"find","arguments":{"type":"blob"}}]}]"#;
        for (inputs, outputs) in [
            (ANSWER, ANSWER),
            (arguments, ANSWER),
            (odd, ANSWER),
            (ANSWER, "plain"),
            ("{}", "[]"),
            ("[]", "[]"),
        ] {
            assert_eq!(shown(inputs, outputs), None, "{inputs} {outputs}");
        }
    }

    #[test]
    fn a_large_picture_is_named_only() {
        let data = "A".repeat(MAX_PICTURE + 1);
        let inputs = format!(
            r#"[{{"role":"user","parts":[{{"type":"blob","modality":"image","content":"{data}"}}]}}]"#
        );
        assert_eq!(shown(&inputs, ANSWER).unwrap()[0]["content"][0]["text"], "[image]");
    }
}
