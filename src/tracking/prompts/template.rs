//! Templates with `{{variables}}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::tracking::TrackingError;

/// The text of a prompt, or its messages.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptTemplate {
    /// One text.
    Text(String),
    /// Messages: objects with `role` and `content`.
    Chat(Vec<Map<String, Value>>),
}

impl Default for PromptTemplate {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&str> for PromptTemplate {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for PromptTemplate {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A template whose variables have their values.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    /// One text.
    Text(String),
    /// Messages: objects with `role` and `content`, as OpenAI takes them.
    Chat(Vec<Value>),
}

impl Rendered {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Chat(_) => None,
        }
    }

    /// The messages; a text is one message of the user.
    pub fn messages(&self) -> Vec<Value> {
        match self {
            Self::Text(text) => vec![json!({ "role": "user", "content": text })],
            Self::Chat(messages) => messages.clone(),
        }
    }
}

impl PromptTemplate {
    /// Messages of role and content.
    ///
    /// ```
    /// use opentelemetry_mlflow::tracking::PromptTemplate;
    ///
    /// let template = PromptTemplate::chat([
    ///     ("system", "You are a {{style}} assistant."),
    ///     ("user", "{{question}}"),
    /// ]);
    /// assert_eq!(template.variables(), ["style", "question"]);
    /// ```
    pub fn chat<R: Into<String>, C: Into<String>>(messages: impl IntoIterator<Item = (R, C)>) -> Self {
        let message = |(role, content): (R, C)| {
            let mut message = Map::new();
            message.insert("role".to_owned(), Value::String(role.into()));
            message.insert("content".to_owned(), Value::String(content.into()));
            message
        };
        Self::Chat(messages.into_iter().map(message).collect())
    }

    /// Reads messages as MLflow keeps them.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self::Chat)
    }

    /// The names of the variables, each once, in the order in which they appear.
    pub fn variables(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for text in self.texts() {
            for piece in Pieces::new(text) {
                if let Piece::Variable { name, .. } = piece
                    && !names.iter().any(|known| known == name)
                {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }

    pub(super) fn render(&self, values: &BTreeMap<String, String>) -> Result<Rendered, TrackingError> {
        if self.texts().any(|text| text.contains("{%") && text.contains("%}")) {
            return Err(TrackingError::unsupported(
                "the template has Jinja2's blocks ({% … %}), which Python alone renders: use {{variables}} only",
            ));
        }
        let missing: Vec<_> =
            self.variables().into_iter().filter(|name| !values.contains_key(name)).collect();
        if !missing.is_empty() {
            return Err(TrackingError::invalid(format!(
                "the prompt's variables have no value: {}; give one for each",
                missing.join(", ")
            )));
        }
        Ok(match self {
            Self::Text(text) => Rendered::Text(fill(text, values)),
            Self::Chat(messages) => {
                Rendered::Chat(messages.iter().map(|message| fill_message(message, values)).collect())
            }
        })
    }

    fn texts(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Text(text) => Box::new(std::iter::once(text.as_str())),
            Self::Chat(messages) => {
                Box::new(messages.iter().filter_map(|message| message.get("content")?.as_str()))
            }
        }
    }
}

/// As MLflow does it, of a message role and content come out; a content of parts comes out as it is.
fn fill_message(message: &Map<String, Value>, values: &BTreeMap<String, String>) -> Value {
    let content = match message.get("content") {
        Some(Value::String(text)) => Value::String(fill(text, values)),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    json!({ "role": message.get("role"), "content": content })
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    Pieces::new(text)
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Variable { name, written } => values.get(name).map_or(written, String::as_str),
        })
        .collect()
}

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, written: &'a str },
}

/// Splits a template: `{{ a.b }}` is a variable where `a.b` is a name, in front of which and after
/// which there may be white space. Everything else is text.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(at) = self.rest.get(from..).and_then(|rest| rest.find("{{")).map(|at| from + at) {
            let (text, variable) = self.rest.split_at(at);
            match parse_variable(variable) {
                Some((piece, rest)) if at == 0 => {
                    self.rest = rest;
                    return Some(piece);
                }
                Some(_) => {
                    self.rest = variable;
                    return Some(Piece::Text(text));
                }
                None => from = at + 1,
            }
        }
        Some(Piece::Text(std::mem::take(&mut self.rest)))
    }
}

/// Reads a variable at the beginning of a text.
fn parse_variable(text: &str) -> Option<(Piece<'_>, &str)> {
    let inner = text.strip_prefix("{{")?;
    let (inside, rest) = inner.split_once("}}")?;
    let name = inside.trim();
    let written = text.get(..text.len() - rest.len())?;
    name.split('.').all(is_identifier).then_some((Piece::Variable { name, written }, rest))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(
        template: impl Into<PromptTemplate>,
        values: &[(&str, &str)],
    ) -> Result<Rendered, TrackingError> {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        template.into().render(&values)
    }

    fn text(template: &str, values: &[(&str, &str)]) -> String {
        render(template, values).unwrap().text().unwrap().to_owned()
    }

    #[test]
    fn variables_are_replaced_wherever_they_stand() {
        assert_eq!(
            text("Hello {{name}}, {{ name }}! {{a.b}}", &[("name", "Ada"), ("a.b", "日本")]),
            "Hello Ada, Ada! 日本"
        );
        assert_eq!(text("{{x}}{{y}}", &[("x", "{{y}}"), ("y", "\\1$0")]), "{{y}}\\1$0");
        assert_eq!(text("", &[]), "");
    }

    #[test]
    fn what_is_no_variable_stays() {
        for template in
            ["{x}", "{{ }}", "{{1a}}", "{{a b}}", "{{a", "a}}", "{{a..b}}", "{{ä}}", "{\"k\": {}}"]
        {
            assert_eq!(text(template, &[]), template);
        }
        // The inner braces are the variable's, as for a regular expression.
        assert_eq!(text("{{{a}}}", &[("a", "x")]), "{x}");
    }

    #[test]
    fn variables_are_listed_once_in_order() {
        let template = PromptTemplate::chat([("system", "{{b}} {{a}}"), ("user", "{{a}} {{c}}")]);
        assert_eq!(template.variables(), ["b", "a", "c"]);
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_it() {
        let error = render("{{a}} {{b}} {{c}}", &[("b", "1")]).unwrap_err();
        assert!(matches!(&error, TrackingError::Invalid { message } if message.contains("a, c")), "{error}");
    }

    #[test]
    fn jinja_is_refused() {
        let error = render("{% if a %}{{a}}{% endif %}", &[("a", "1")]).unwrap_err();
        assert!(matches!(error, TrackingError::Unsupported { .. }), "{error}");
    }

    #[test]
    fn messages_keep_their_roles() {
        let template = PromptTemplate::chat([("system", "Be {{style}}."), ("user", "Hi")]);
        let rendered = render(template, &[("style", "kind")]).unwrap();
        let expected =
            json!([{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "Hi" }]);
        assert_eq!(Value::Array(rendered.messages()), expected);
        assert_eq!(render("x", &[]).unwrap().messages(), [json!({ "role": "user", "content": "x" })]);
    }
}
