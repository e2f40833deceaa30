//! Which spans a processor is about: the `include` and `exclude` of the Collector's processors.

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::stage::Surroundings;
use super::value;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, KeyValue, Span};

/// Spans by what they are and have. A list that is given must have an item that matches; of `attributes`
/// and `resources` every item must match.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchConfig {
    /// How names and values are compared.
    pub match_type: MatchType,
    /// Values of the resource's `service.name`.
    #[serde(default)]
    pub services: Vec<String>,
    /// Names of spans.
    #[serde(default)]
    pub span_names: Vec<String>,
    /// Kinds of spans: `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER`, `SPAN_KIND_CLIENT`, `SPAN_KIND_PRODUCER`,
    /// `SPAN_KIND_CONSUMER`, `SPAN_KIND_UNSPECIFIED`.
    #[serde(default)]
    pub span_kinds: Vec<String>,
    /// Attributes of the span that must be there.
    #[serde(default)]
    pub attributes: Vec<AttributeMatch>,
    /// Attributes of the resource that must be there.
    #[serde(default)]
    pub resources: Vec<AttributeMatch>,
    /// The libraries that made the span.
    #[serde(default)]
    pub libraries: Vec<LibraryMatch>,
}

/// How names and values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// They are equal, of the same type.
    #[default]
    Strict,
    /// The text is found by a regular expression, anywhere unless it is anchored.
    Regexp,
}

/// An attribute by its key, and by its value if one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttributeMatch {
    /// The key.
    pub key: String,
    /// The value; any where it is left out.
    #[serde(default)]
    pub value: Option<Json>,
}

/// A library by its name, and by its version if one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibraryMatch {
    /// The name.
    pub name: String,
    /// The version; any where it is left out.
    #[serde(default)]
    pub version: Option<String>,
}

/// The kinds of spans in the order of their numbers.
const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

/// What is wrong with settings: a key relative to the processor, and a message.
pub type Problem = (String, String);

/// A compiled [`MatchConfig`].
#[derive(Debug)]
pub(super) struct Matcher {
    services: Vec<Text>,
    span_names: Vec<Text>,
    kinds: Vec<i32>,
    attributes: Vec<(String, Option<Wanted>)>,
    resources: Vec<(String, Option<Wanted>)>,
    libraries: Vec<(Text, Option<Text>)>,
}

#[derive(Debug)]
enum Text {
    Equal(String),
    Found(Regex),
}

#[derive(Debug)]
enum Wanted {
    Equal(AnyValue),
    Found(Regex),
}

impl Matcher {
    /// Compiles the settings.
    ///
    /// # Errors
    ///
    /// What is wrong: key and message.
    pub(super) fn new(config: &MatchConfig) -> Result<Self, Problem> {
        let how = config.match_type;
        let is_empty = config.services.is_empty()
            && config.span_names.is_empty()
            && config.span_kinds.is_empty()
            && config.attributes.is_empty()
            && config.resources.is_empty()
            && config.libraries.is_empty();
        if is_empty {
            let keys = "services, span_names, span_kinds, attributes, resources or libraries";
            return Err((String::new(), format!("needs at least one of {keys}")));
        }
        let library = |library: &LibraryMatch| -> Result<_, Problem> {
            let version = library.version.as_ref().map(|version| Text::new(how, version, "libraries"));
            Ok((Text::new(how, &library.name, "libraries")?, version.transpose()?))
        };
        Ok(Self {
            services: texts(how, &config.services, "services")?,
            span_names: texts(how, &config.span_names, "span_names")?,
            kinds: config.span_kinds.iter().map(|kind| number_of(kind)).collect::<Result<_, _>>()?,
            attributes: pairs(how, &config.attributes, "attributes")?,
            resources: pairs(how, &config.resources, "resources")?,
            libraries: config.libraries.iter().map(library).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a span is meant.
    pub(super) fn matches(&self, around: Surroundings<'_>, span: &Span) -> bool {
        let resource = around.resource.map_or(&[][..], |resource| resource.attributes.as_slice());
        let one_of = |texts: &[Text], text: &str| texts.is_empty() || texts.iter().any(|one| one.is(text));
        one_of(&self.services, value::text(resource, "service.name").unwrap_or_default())
            && one_of(&self.span_names, &span.name)
            && (self.kinds.is_empty() || self.kinds.contains(&span.kind))
            && self.attributes.iter().all(|wanted| has(&span.attributes, wanted))
            && self.resources.iter().all(|wanted| has(resource, wanted))
            && self.is_of_library(around)
    }

    fn is_of_library(&self, around: Surroundings<'_>) -> bool {
        let (name, version) =
            around.scope.map_or(("", ""), |scope| (scope.name.as_str(), scope.version.as_str()));
        let is = |(wanted, of): &(Text, Option<Text>)| {
            wanted.is(name) && of.as_ref().is_none_or(|wanted| wanted.is(version))
        };
        self.libraries.is_empty() || self.libraries.iter().any(is)
    }
}

fn number_of(kind: &str) -> Result<i32, Problem> {
    let index = KINDS.iter().position(|name| *name == kind).and_then(|index| i32::try_from(index).ok());
    index.ok_or_else(|| ("span_kinds".to_owned(), format!("`{kind}` is not one of {}", KINDS.join(", "))))
}

fn texts(how: MatchType, texts: &[String], key: &str) -> Result<Vec<Text>, Problem> {
    texts.iter().map(|text| Text::new(how, text, key)).collect()
}

fn pairs(
    how: MatchType,
    pairs: &[AttributeMatch],
    key: &str,
) -> Result<Vec<(String, Option<Wanted>)>, Problem> {
    let wanted = |pair: &AttributeMatch| {
        let wanted = match (&pair.value, how) {
            (None | Some(Json::Null), _) => None,
            (Some(Json::String(pattern)), MatchType::Regexp) => Some(Wanted::Found(compile(pattern, key)?)),
            (Some(value), _) => Some(Wanted::Equal(value::of_json(value))),
        };
        Ok((pair.key.clone(), wanted))
    };
    pairs.iter().map(wanted).collect()
}

fn has(attributes: &[KeyValue], (key, wanted): &(String, Option<Wanted>)) -> bool {
    let Some(found) = attributes.iter().find(|pair| pair.key == *key) else { return false };
    match (wanted, &found.value) {
        (None, _) => true,
        (Some(Wanted::Equal(wanted)), Some(value)) => wanted == value,
        (Some(Wanted::Found(pattern)), Some(AnyValue { value: Some(Value::String(text)) })) => {
            pattern.is_match(text)
        }
        (Some(Wanted::Found(pattern)), Some(value)) => pattern.is_match(&value::to_text(value)),
        _ => false,
    }
}

impl Text {
    fn new(how: MatchType, text: &str, key: &str) -> Result<Self, Problem> {
        match how {
            MatchType::Strict => Ok(Self::Equal(text.to_owned())),
            MatchType::Regexp => compile(text, key).map(Self::Found),
        }
    }

    fn is(&self, text: &str) -> bool {
        match self {
            Self::Equal(wanted) => wanted == text,
            Self::Found(pattern) => pattern.is_match(text),
        }
    }
}

/// Compiles a pattern of the configuration.
///
/// # Errors
///
/// The key, and what is wrong with the pattern.
pub(super) fn compile(pattern: &str, key: &str) -> Result<Regex, Problem> {
    Regex::new(pattern).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        (key.to_owned(), format!("`{pattern}` is not a regular expression: {why}"))
    })
}

/// The `include` and `exclude` of a processor.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) include: Option<Matcher>,
    pub(super) exclude: Option<Matcher>,
}

impl Selection {
    /// Compiles both.
    ///
    /// # Errors
    ///
    /// What is wrong in the first of them: key and message.
    pub(super) fn new(include: Option<&MatchConfig>, exclude: Option<&MatchConfig>) -> Result<Self, Problem> {
        let compile = |config: Option<&MatchConfig>, under: &str| {
            let under = |(key, message): Problem| {
                (format!("{under}.{key}").trim_end_matches('.').to_owned(), message)
            };
            config.map(Matcher::new).transpose().map_err(under)
        };
        Ok(Self { include: compile(include, "include")?, exclude: compile(exclude, "exclude")? })
    }

    /// Whether a span is included, and not excluded.
    pub(super) fn selects(&self, around: Surroundings<'_>, span: &Span) -> bool {
        self.include.as_ref().is_none_or(|include| include.matches(around, span))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.matches(around, span))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{pair, span, text};
    use super::*;
    use crate::otlp::model::{InstrumentationScope, Resource};

    fn matches(config: Json, change: impl FnOnce(&mut Span)) -> bool {
        let config: MatchConfig = serde_json::from_value(config).unwrap();
        let matcher = Matcher::new(&config).unwrap();
        let resource = Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() };
        let scope = InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..Default::default() };
        let mut span = span(1, 1, "GET /health");
        change(&mut span);
        matcher.matches(Surroundings { resource: Some(&resource), scope: Some(&scope) }, &span)
    }

    #[test]
    fn strict_means_equal_and_of_the_same_type() {
        let with = |value| move |span: &mut Span| span.attributes = vec![pair("n", value)];
        let wanted = json!({"match_type": "strict", "attributes": [{"key": "n", "value": 5}]});
        assert!(matches(wanted.clone(), with(Value::Int(5))));
        assert!(!matches(wanted.clone(), with(Value::String("5".into()))));
        assert!(!matches(wanted, |_| {}));
        assert!(matches(json!({"match_type": "strict", "span_names": ["GET /health"]}), |_| {}));
        assert!(!matches(json!({"match_type": "strict", "span_names": ["GET"]}), |_| {}));
    }

    #[test]
    fn every_list_that_is_given_must_match() {
        let both = |service: &str| json!({"match_type": "regexp", "services": [service, "other"], "span_names": ["^GET"]});
        assert!(matches(both("^sho"), |_| {}));
        assert!(!matches(both("^hop"), |_| {}));
        let kind = |kind: &str| json!({"match_type": "strict", "span_kinds": [kind]});
        assert!(matches(kind("SPAN_KIND_CLIENT"), |span| span.kind = 3));
        assert!(!matches(kind("SPAN_KIND_SERVER"), |span| span.kind = 3));
        let library = |version: &str| json!({"match_type": "strict", "libraries": [{"name": "lib", "version": version}]});
        assert!(matches(library("1.2"), |_| {}));
        assert!(!matches(library(""), |_| {}));
    }

    #[test]
    fn what_cannot_be_compiled_is_named() {
        let problem = |config: Json| Matcher::new(&serde_json::from_value(config).unwrap()).unwrap_err();
        let (key, message) = problem(json!({"match_type": "regexp", "services": ["("]}));
        assert_eq!(key, "services");
        assert!(message.starts_with("`(` is not a regular expression: "), "{message}");
        assert_eq!(problem(json!({"match_type": "strict", "span_kinds": ["CLIENT"]})).0, "span_kinds");
        assert_eq!(problem(json!({"match_type": "strict"})).0, "");
    }
}
