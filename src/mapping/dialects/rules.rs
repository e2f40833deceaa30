//! What a dialect says, and how it is read.

use crate::mapping::any_value::{Raw, to_python, unique};
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::{Type, Value, decimal_digit, kind};
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::otlp::model::span::Event;

/// Which attributes hold what.
#[derive(Debug)]
pub(in crate::mapping) struct Dialect {
    /// Type of the span.
    pub(in crate::mapping) span_type: TypeRule,
    /// What the operation was given.
    pub(in crate::mapping) inputs: ContentRule,
    /// What the operation returned.
    pub(in crate::mapping) outputs: ContentRule,
    /// Token counts.
    pub(in crate::mapping) usage: UsageRule,
    /// Attributes that name the model, the best first.
    pub(in crate::mapping) models: &'static [&'static str],
    /// Attribute that names the provider of the model.
    pub(in crate::mapping) provider: Option<&'static str>,
    /// Attribute with the tools that were offered to the model.
    pub(in crate::mapping) tools: Option<&'static str>,
    /// The form of the messages, for the UI's chat view.
    pub(in crate::mapping) message_format: FormatRule,
    /// Cost that the sender states; MLflow reads none.
    pub(in crate::mapping) costs: CostRule,
    /// Attribute that names the session; MLflow reads none but the standard ones.
    pub(in crate::mapping) session: Option<&'static str>,
    /// Attribute that names the user; MLflow reads none but the standard one.
    pub(in crate::mapping) user: Option<&'static str>,
}

impl Dialect {
    /// A dialect that says nothing, to build others from.
    pub(super) const NONE: Self = Self {
        span_type: TypeRule::None,
        inputs: ContentRule::None,
        outputs: ContentRule::None,
        usage: UsageRule::None,
        models: &[],
        provider: None,
        tools: None,
        message_format: FormatRule::None,
        costs: CostRule::None,
        session: None,
        user: None,
    };
}

/// How to find the type of a span.
#[derive(Debug)]
pub(in crate::mapping) enum TypeRule {
    /// The dialect has no types.
    None,
    /// Value of an attribute, by a table of values.
    Attribute(&'static str, &'static [(&'static str, &'static str)]),
    /// A function.
    Custom(for<'a> fn(&Attributes<'a>) -> Result<Option<&'static str>, Unusable>),
}

impl TypeRule {
    /// The type of the span, if the rule knows one.
    ///
    /// # Errors
    /// A kind that is a list or an object: MLflow looks it up in a table, and Python cannot.
    pub(in crate::mapping) fn read(
        &self,
        attributes: &Attributes<'_>,
    ) -> Result<Option<&'static str>, Unusable> {
        match self {
            Self::None => Ok(None),
            Self::Attribute(key, types) => look_up(attributes, key, types),
            Self::Custom(function) => function(attributes),
        }
    }
}

/// The type for the value of an attribute.
///
/// # Errors
/// A value that is a list or an object.
pub(super) fn look_up(
    attributes: &Attributes<'_>,
    key: &str,
    types: &[(&'static str, &'static str)],
) -> Result<Option<&'static str>, Unusable> {
    let Some(text) = attributes.get(key) else { return Ok(None) };
    if let Text::Verbatim(json) = text
        && let Ok(Type::List | Type::Dict) = kind(json).map(|kind| kind.ty)
    {
        return Err(Unusable::Kind(key.to_owned()));
    }
    let Some(value) = text.as_string() else { return Ok(None) };
    Ok(types.iter().find(|(name, _)| value == *name).map(|(_, span_type)| *span_type))
}

/// A function that finds inputs or outputs, and may note what else it learns.
type ContentFunction = for<'a> fn(&mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable>;

/// How to find inputs or outputs among the attributes.
#[derive(Debug)]
pub(in crate::mapping) enum ContentRule {
    /// The dialect has none.
    None,
    /// The first of these that is usable.
    First(&'static [Source]),
    /// A function.
    Custom(ContentFunction),
}

/// Where a value may be.
#[derive(Debug)]
pub(in crate::mapping) enum Source {
    /// The attribute of this name.
    Key(&'static str),
    /// An attribute whose name begins with these pieces, and a number between each two.
    Numbered(&'static [&'static str]),
}

impl ContentRule {
    /// The value, if the rule finds one.
    ///
    /// # Errors
    /// A value that MLflow fails on.
    pub(in crate::mapping) fn read<'a>(
        &self,
        attributes: &mut Attributes<'a>,
    ) -> Result<Option<Content<'a>>, Unusable> {
        match self {
            Self::None => Ok(None),
            Self::First(sources) => {
                Ok(first_source(sources, attributes).map(|text| Content::Text(text.clone())))
            }
            Self::Custom(function) => function(attributes),
        }
    }
}

/// The first of the sources that is usable.
pub(super) fn first_source<'s, 'a>(
    sources: &[Source],
    attributes: &'s Attributes<'a>,
) -> Option<&'s Text<'a>> {
    sources.iter().find_map(|source| source.read(attributes))
}

impl Source {
    fn read<'s, 'a>(&self, attributes: &'s Attributes<'a>) -> Option<&'s Text<'a>> {
        match self {
            Self::Key(key) => attributes.usable(key),
            Self::Numbered(pieces) => attributes.iter().find_map(|(key, content)| match content {
                Content::Text(text) if is_numbered(key, pieces) && text.is_truthy() => Some(text),
                _ => None,
            }),
        }
    }
}

/// Whether a key begins with the pieces, and at least one digit between each two.
fn is_numbered(key: &str, pieces: &[&str]) -> bool {
    let Some((first, others)) = pieces.split_first() else { return false };
    let Some(mut rest) = key.strip_prefix(first) else { return false };
    for piece in others {
        let after = rest.trim_start_matches(|character| decimal_digit(character).is_some());
        match after.strip_prefix(piece) {
            Some(next) if after.len() < rest.len() => rest = next,
            _ => return false,
        }
    }
    true
}

/// Token counts as a dialect has them: texts that are yet to be read as numbers, or numbers.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Tokens {
    /// Tokens of the prompt.
    pub(in crate::mapping) input: Option<Value>,
    /// Tokens of the answer.
    pub(in crate::mapping) output: Option<Value>,
    /// Tokens of both.
    pub(in crate::mapping) total: Option<Value>,
    /// Prompt tokens that came from a cache.
    pub(in crate::mapping) cache_read: Option<Value>,
    /// Prompt tokens that went into a cache.
    pub(in crate::mapping) cache_creation: Option<Value>,
}

impl Tokens {
    /// All counts, to change them.
    pub(in crate::mapping) fn all_mut(&mut self) -> [&mut Option<Value>; 5] {
        let Self { input, output, total, cache_read, cache_creation } = self;
        [input, output, total, cache_read, cache_creation]
    }
}

/// How to find token counts.
#[derive(Debug)]
pub(in crate::mapping) enum UsageRule {
    /// The dialect has none.
    None,
    /// Of each list of attributes, the first that is there.
    Keys {
        /// Tokens of the prompt.
        input: &'static [&'static str],
        /// Tokens of the answer.
        output: &'static [&'static str],
        /// Tokens of both.
        total: &'static [&'static str],
        /// Prompt tokens that came from a cache.
        cache_read: &'static [&'static str],
        /// Prompt tokens that went into a cache.
        cache_creation: &'static [&'static str],
    },
    /// A function.
    Custom(for<'a> fn(&Attributes<'a>) -> Result<Tokens, Unusable>),
}

impl UsageRule {
    /// The counts that the rule finds.
    ///
    /// # Errors
    /// A value that MLflow fails on.
    pub(in crate::mapping) fn read(&self, attributes: &Attributes<'_>) -> Result<Tokens, Unusable> {
        match self {
            Self::None => Ok(Tokens::default()),
            Self::Keys { input, output, total, cache_read, cache_creation } => {
                let count = |keys: &[&str]| attributes.first_present(keys).and_then(count);
                Ok(Tokens {
                    input: count(input),
                    output: count(output),
                    total: count(total),
                    cache_read: count(cache_read),
                    cache_creation: count(cache_creation),
                })
            }
            Self::Custom(function) => function(attributes),
        }
    }
}

/// Reads a token count: an int, a bool, or a string that Python's `int()` takes; no float.
fn count(text: &Text<'_>) -> Option<Value> {
    match text.decode() {
        value @ (Value::Int(_) | Value::Bool(_)) => Some(value),
        Value::Str(text) => crate::mapping::python::int_from_str(text.as_utf8()?).map(Value::Int),
        _ => None,
    }
}

/// How to tell the form of the messages.
#[derive(Debug)]
pub(in crate::mapping) enum FormatRule {
    /// The dialect has no name for it.
    None,
    /// This form, if one of these attributes is there.
    IfAny(&'static [&'static str], &'static str),
    /// A function.
    Custom(for<'a> fn(&Attributes<'a>) -> Option<&'static str>),
}

impl FormatRule {
    /// The form of the messages, if the rule knows it.
    pub(in crate::mapping) fn read(&self, attributes: &Attributes<'_>) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::IfAny(keys, format) => keys.iter().any(|key| attributes.contains(key)).then_some(*format),
            Self::Custom(function) => function(attributes),
        }
    }
}

/// How to find the cost in US dollars that the sender states: of input, output, and both.
#[derive(Debug)]
pub(in crate::mapping) enum CostRule {
    /// The dialect has none.
    None,
    /// Attributes.
    Keys([&'static str; 3]),
    /// Members of an attribute that is an object.
    Object(&'static str, [&'static str; 3]),
}

impl CostRule {
    /// The costs that are stated, and no negative ones; none if there is none.
    pub(in crate::mapping) fn read(&self, attributes: &Attributes<'_>) -> Option<[Option<f64>; 3]> {
        let costs = match self {
            Self::None => return None,
            Self::Keys(keys) => keys.map(|key| amount(&attributes.get(key)?.decode())),
            Self::Object(key, members) => {
                let object = attributes.get(key)?.decode();
                members.map(|member| amount(object.as_dict()?.get(member)?))
            }
        };
        costs.iter().any(Option::is_some).then_some(costs)
    }
}

fn amount(value: &Value) -> Option<f64> {
    let amount = match value {
        Value::Str(text) => crate::mapping::python::float_from_str(text.as_utf8()?)?,
        Value::Bool(_) => return None,
        other => other.as_number()?.to_f64().ok()?,
    };
    Some(amount).filter(|amount| amount.is_finite() && *amount >= 0.0)
}

/// How to find inputs or outputs among the events of a span.
pub(in crate::mapping) type EventRule =
    for<'a> fn(&Events<'a>, &Attributes<'a>) -> Result<Option<Content<'a>>, Unusable>;

/// The events of a span.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) struct Events<'a>(pub(in crate::mapping) &'a [Event]);

impl<'a> Events<'a> {
    /// The events of a name.
    pub(super) fn named(self, name: &str) -> impl Iterator<Item = &'a Event> {
        self.0.iter().filter(move |event| event.name == name)
    }

    /// The events.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a Event> {
        self.0.iter()
    }
}

/// The value of an event's attribute, the last one if it repeats.
pub(super) fn event_attribute<'a>(event: &'a Event, key: &str) -> Option<Raw<'a>> {
    unique(&event.attributes).into_iter().find(|(known, _)| *known == key).map(|(_, value)| value)
}

/// The value of an event's attribute unless it is false to Python.
pub(super) fn usable_event_attribute(event: &Event, key: &str) -> Option<Value> {
    event_attribute(event, key).map(to_python).filter(Value::is_truthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_between_the_pieces() {
        let pieces = ["gen_ai.prompt.", ".content"];
        assert!(is_numbered("gen_ai.prompt.0.content", &pieces));
        assert!(is_numbered("gen_ai.prompt.12.content.more", &pieces));
        assert!(is_numbered("gen_ai.prompt.٣.content", &pieces), "a digit of another script");
        assert!(!is_numbered("gen_ai.prompt..content", &pieces));
        assert!(!is_numbered("gen_ai.prompt.x.content", &pieces));
        assert!(!is_numbered("gen_ai.prompt.0", &pieces));
    }

    #[test]
    fn counts_are_ints_bools_and_strings_of_ints() {
        for (text, expected) in [
            ("7", Some("7")),
            ("true", Some("true")),
            ("26.0", None),
            ("null", None),
            ("\" 1_000 \"", Some("1000")),
            ("\"x\"", None),
        ] {
            let value = count(&Text::Verbatim(text.into()));
            let written = value.map(|value| crate::mapping::python::dumps(&value).unwrap());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }
}
