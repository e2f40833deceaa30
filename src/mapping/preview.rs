//! What the list of traces shows of a request and a response.

use super::attributes::Content;
use super::options::Backend;
use super::python::{Dict, LoadsError, Value, adumps, loads};
use super::short_json::{short_json, short_text};
use super::text::Text;

/// Characters of a preview.
const LENGTH: usize = 1000;

/// What became of a preview.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Preview {
    /// The text.
    Text(String),
    /// MLflow finds none, or one that is no text.
    Failed,
}

impl Preview {
    /// The text, if there is one.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Failed => None,
        }
    }
}

/// Finds the preview of inputs or outputs: the last message of a role, or else the whole text.
///
/// With `repair`, it stays valid JSON where it is JSON, is text whatever was found, and of messages in
/// the form of the GenAI conventions it is what was said.
pub(super) fn preview(content: &Content<'_>, role: &str, backend: Backend, repair: bool) -> Preview {
    let (object, whole) = match content {
        Content::Text(Text::Quoted(text)) => (None, Text::Quoted(text.clone()).json().into_owned().into()),
        Content::Text(Text::Verbatim(json)) => match loads(json) {
            Ok(object) => (Some(object), Value::from(json.as_ref())),
            Err(LoadsError::Invalid) => (None, Value::from(json.as_ref())),
            Err(LoadsError::Poison(_)) => return Preview::Failed,
        },
        Content::Native(object @ Value::Dict(_)) => (Some(object.clone()), Value::from(adumps(object))),
        Content::Native(value) => (None, value.clone()),
    };
    let message = object.as_ref().and_then(Value::as_dict).and_then(|object| message(object, role));
    let said = message.and_then(|message| text_of(message)).filter(|text| text.is_truthy());
    if repair {
        let listed = object.as_ref().and_then(Value::as_list).and_then(|list| said_in(list, role));
        let said = said.or(listed);
        return Preview::Text(repaired(said, &whole, object.as_ref()));
    }
    shorten(said.unwrap_or(&whole), backend)
}

/// The preview as text: what was said, or the whole, cut inside its JSON.
fn repaired(said: Option<&Value>, whole: &Value, object: Option<&Value>) -> String {
    match (said, whole) {
        (Some(Value::Str(text)), _) => short_text(&text.to_utf8_lossy(), LENGTH),
        (Some(other), _) => short_json(other, LENGTH),
        // A text that fits is kept as the sender wrote it.
        (None, Value::Str(text)) if text.len() <= LENGTH => text.to_utf8_lossy(),
        (None, Value::Str(text)) => match (object, text.as_utf8().map(loads)) {
            (Some(value), _) => short_json(value, LENGTH),
            (None, Some(Ok(value))) => short_json(&value, LENGTH),
            _ => short_text(&text.to_utf8_lossy(), LENGTH),
        },
        (None, other) => short_json(other, LENGTH),
    }
}

/// The message to show: the last one of the role, or else the last one.
fn message<'v>(object: &'v Dict, role: &str) -> Option<&'v Dict> {
    let messages = messages(object)?;
    let has_role = |message: &&&Dict| message.get("role").and_then(Value::as_str) == Some(role);
    messages.iter().rev().find(has_role).or(messages.last()).copied()
}

/// What the last message of the role says in a list of messages of the conventions, or else the last one.
fn said_in<'v>(list: &'v [Value], role: &str) -> Option<&'v Value> {
    let messages =
        list.iter().map(|message| message.as_dict().filter(|message| message.contains_key("role")));
    let messages = messages.collect::<Option<Vec<_>>>()?;
    let has_role = |message: &&&Dict| message.get("role").and_then(Value::as_str) == Some(role);
    let message = messages.iter().rev().find(has_role).or(messages.last())?;
    let parts = message.get("parts").and_then(Value::as_list).unwrap_or_default();
    let text = parts
        .iter()
        .filter_map(Value::as_dict)
        .find(|part| part.get("type").and_then(Value::as_str) == Some("text"));
    text.and_then(|part| part.get("content")).or_else(|| text_of(message)).filter(|text| text.is_truthy())
}

/// The messages of a request or a response; the first form that matches decides.
fn messages(mut object: &Dict) -> Option<Vec<&Dict>> {
    loop {
        if let Some(messages) = filled_list(object, "messages") {
            return Some(messages.iter().filter_map(as_message).collect());
        }
        let choice = filled_list(object, "choices").and_then(|choices| choices.first()?.as_dict());
        if let Some(message) = choice.and_then(|choice| as_message(choice.get("message")?)) {
            return Some(vec![message]);
        }
        if let Some(messages) = filled_list(object, "input").or_else(|| filled_list(object, "output")) {
            return Some(messages.iter().filter_map(as_message).collect());
        }
        object = object.get("request")?.as_dict()?;
    }
}

fn filled_list<'v>(object: &'v Dict, key: &str) -> Option<&'v [Value]> {
    object.get(key).and_then(Value::as_list).filter(|list| !list.is_empty())
}

fn as_message(value: &Value) -> Option<&Dict> {
    value.as_dict().filter(|message| message.contains_key("role") && message.contains_key("content"))
}

/// What a message says: its content, or the first part of it that is text.
fn text_of(message: &Dict) -> Option<&Value> {
    match message.get("content")? {
        text @ Value::Str(_) => Some(text),
        Value::List(parts) => parts.iter().find_map(part_text).flatten(),
        _ => None,
    }
}

/// The text of a part; none if the part is not text, and no text if a text part lacks it.
fn part_text(part: &Value) -> Option<Option<&Value>> {
    match part {
        Value::Str(_) => Some(Some(part)),
        Value::Dict(members) => match members.get("type").and_then(Value::as_str) {
            Some("text" | "output_text") => Some(members.get("text")),
            _ => None,
        },
        _ => None,
    }
}

/// Cuts the value as Python's `len` and slices do, whatever its type.
fn shorten(value: &Value, backend: Backend) -> Preview {
    match value {
        Value::Str(text) if text.len() <= LENGTH => {
            text.as_utf8().map_or(Preview::Failed, |text| Preview::Text(text.to_owned()))
        }
        Value::Str(text) => match text.prefix(LENGTH - 3).into_utf8() {
            Ok(text) => Preview::Text(text + "..."),
            Err(_) => Preview::Failed,
        },
        Value::List(values) if values.len() <= LENGTH => match (backend, postgres_array(values)) {
            (Backend::Postgres, Some(array)) => Preview::Text(array),
            _ => Preview::Failed,
        },
        _ => Preview::Failed,
    }
}

/// The text that PostgreSQL makes of a list in place of a text: strings, or integers, or booleans.
pub(super) fn postgres_array(values: &[Value]) -> Option<String> {
    let strings = values.iter().map(|value| value.as_str().map(quote_element)).collect::<Option<Vec<_>>>();
    let integers = || {
        let texts = values.iter().map(|value| match value {
            Value::Int(value) => Some(value.to_string()),
            _ => None,
        });
        texts.collect::<Option<Vec<_>>>()
    };
    let booleans = || {
        let texts = values.iter().map(|value| match value {
            Value::Bool(value) => Some(if *value { "t" } else { "f" }.to_owned()),
            _ => None,
        });
        texts.collect::<Option<Vec<_>>>()
    };
    let elements = strings.or_else(integers).or_else(booleans)?;
    Some(format!("{{{}}}", elements.join(",")))
}

/// An element of an array as PostgreSQL writes it.
fn quote_element(text: &str) -> String {
    let special = |character: char| matches!(character, '{' | '}' | ',' | '"' | '\\' | ' ' | '\t'..='\r');
    if text.is_empty() || text.contains(special) || text.eq_ignore_ascii_case("null") {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_json(json: &str, role: &str) -> Preview {
        preview(&Content::Text(Text::Verbatim(json.into())), role, Backend::Sqlite, false)
    }

    #[test]
    fn last_message_of_the_role_is_shown() {
        let json = r#"{"messages": [{"role": "user", "content": "first"}, {"role": "user", "content": "second"},
            {"role": "assistant", "content": "answer"}]}"#;
        assert_eq!(of_json(json, "user"), Preview::Text("second".to_owned()));
        assert_eq!(of_json(json, "tool"), Preview::Text("answer".to_owned()));
    }

    #[test]
    fn parts_and_nested_requests_are_read() {
        let json = r#"{"request": {"input": [{"role": "user", "content": [{"type": "image"},
            {"type": "text", "text": "what is it"}]}]}}"#;
        assert_eq!(of_json(json, "user"), Preview::Text("what is it".to_owned()));
    }

    #[test]
    fn plain_text_keeps_its_quotes_and_is_cut() {
        let content = Content::Text(Text::Quoted("é".repeat(999).into()));
        let Preview::Text(text) = preview(&content, "user", Backend::Sqlite, false) else { panic!() };
        assert_eq!((text.chars().count(), text.chars().next()), (1000, Some('"')));
        assert!(text.ends_with("é..."));
    }

    #[test]
    fn what_is_no_text_gives_no_preview() {
        let list = Value::List(vec![Value::from("a"), Value::from("b c")]);
        let list = Content::Native(list);
        assert_eq!(preview(&list, "user", Backend::Sqlite, false), Preview::Failed);
        assert_eq!(
            preview(&list, "user", Backend::Postgres, false),
            Preview::Text(r#"{a,"b c"}"#.to_owned())
        );
        assert_eq!(
            preview(&Content::Native(Value::from(7)), "user", Backend::Sqlite, false),
            Preview::Failed
        );
    }

    #[test]
    fn repaired_previews_stay_json_and_are_always_text() {
        let long = format!(r#"{{"query": "{}", "top": 3}}"#, "é".repeat(2000));
        let Preview::Text(text) =
            preview(&Content::Text(Text::Verbatim(long.into())), "user", Backend::Sqlite, true)
        else {
            panic!()
        };
        assert!(text.chars().count() <= 1000 && loads(&text).is_ok(), "{text}");
        let list = Content::Native(Value::List(vec![Value::from("a"), Value::from(7)]));
        assert_eq!(preview(&list, "user", Backend::Sqlite, true), Preview::Text(r#"["a", 7]"#.to_owned()));
    }

    #[test]
    fn repaired_previews_of_messages_are_what_was_said() {
        let json = r#"[{"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [{"type": "blob", "content": "AA=="}, {"type": "text", "content": "Why?"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "f"}]}]"#;
        let read = |role, repair| {
            preview(&Content::Text(Text::Verbatim(json.into())), role, Backend::Sqlite, repair)
        };
        assert_eq!(read("user", true), Preview::Text("Why?".to_owned()));
        assert_eq!(read("user", false), Preview::Text(json.to_owned()));
        // A call of a tool is no text, so all is shown.
        assert_eq!(read("assistant", true), Preview::Text(json.to_owned()));
        let plain = r#"[{"role": "user", "content": "Hello"}]"#;
        let plain = preview(&Content::Text(Text::Verbatim(plain.into())), "user", Backend::Sqlite, true);
        assert_eq!(plain, Preview::Text("Hello".to_owned()));
    }
}
