//! The attributes of a span while it is being translated.

use std::borrow::Cow;
use std::collections::HashMap;

use super::any_value::{Raw, unique, write_value};
use super::python::{Dict, Poison, Value, dumps, dumps_into};
use super::text::Text;
use super::unusable::Unusable;
use crate::otlp::model::{KeyValue, any_value};

/// Up to how many attributes are searched one by one.
const FEW: usize = 24;

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// Text, as MLflow keeps nearly all values.
    Text(Text<'a>),
    /// A value that MLflow stores as native JSON.
    Native(Value),
}

/// Attributes in order, with no key twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes<'a> {
    entries: Vec<(&'a str, Content<'a>)>,
    /// A bit for each key there is, so that most searches end before they begin.
    present: u128,
    /// Where the keys are, once there are many.
    places: HashMap<&'a str, usize>,
    /// Of texts that were made from an object, the object: it is read several times.
    objects: Vec<(&'a str, Dict)>,
}

impl<'a> Attributes<'a> {
    /// Takes the attributes of a span, each as text less one layer of encoding, but for those that are
    /// left out.
    ///
    /// # Errors
    /// An attribute that Python fails to read.
    pub(super) fn of_span(pairs: &'a [KeyValue], left_out: &[String]) -> Result<Self, Unusable> {
        let mut pairs = unique(pairs);
        if !left_out.is_empty() {
            pairs.retain(|(key, _)| !left_out.iter().any(|known| known == key));
        }
        let mut attributes = Self { entries: Vec::with_capacity(pairs.len() + 10), ..Self::default() };
        for (key, value) in pairs {
            let text = text_of(value).map_err(|poison| Unusable::poison(key, poison))?;
            attributes.push(key, Content::Text(text));
        }
        Ok(attributes)
    }

    fn push(&mut self, key: &'a str, content: Content<'a>) {
        self.present |= bit(key);
        self.entries.push((key, content));
        if self.entries.len() > FEW {
            if self.places.is_empty() {
                let known = self.entries.iter().enumerate().map(|(place, (key, _))| (*key, place));
                self.places = known.collect();
            } else {
                self.places.insert(key, self.entries.len() - 1);
            }
        }
    }

    fn place(&self, key: &str) -> Option<usize> {
        if self.present & bit(key) == 0 {
            None
        } else if self.places.is_empty() {
            self.entries.iter().position(|(known, _)| *known == key)
        } else {
            self.places.get(key).copied()
        }
    }

    /// Sets an attribute: in its place if there is one of that key, else at the end.
    pub(super) fn set(&mut self, key: &'a str, content: Content<'a>) {
        self.objects.retain(|(known, _)| *known != key);
        match self.place(key).and_then(|place| self.entries.get_mut(place)) {
            Some((_, known)) => *known = content,
            None => self.push(key, content),
        }
    }

    /// Sets an attribute to the JSON text of a string.
    pub(super) fn set_quoted(&mut self, key: &'a str, text: impl Into<Cow<'a, str>>) {
        self.set(key, Content::Text(Text::Quoted(text.into())));
    }

    /// Sets an attribute to the JSON text of an object, whose strings are without lone surrogates.
    pub(super) fn set_object(&mut self, key: &'a str, members: Dict) {
        let value = Value::Dict(members);
        let json = dumps(&value).unwrap_or_default();
        self.set(key, Content::Text(Text::Verbatim(json.into())));
        if let Value::Dict(members) = value
            && members.iter().all(|(_, member)| reads_back(member))
        {
            self.objects.push((key, members));
        }
    }

    /// Removes the attributes that a rule names.
    pub(super) fn remove(&mut self, rule: impl Fn(&str, &Content<'a>) -> bool) {
        if self.entries.iter().any(|(key, content)| rule(key, content)) {
            let entries = std::mem::take(self).entries;
            for (key, content) in entries {
                if !rule(key, &content) {
                    self.push(key, content);
                }
            }
        }
    }

    /// Whether there is an attribute of a key.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    /// The value of a key.
    pub(super) fn content(&self, key: &str) -> Option<&Content<'a>> {
        self.entries.get(self.place(key)?).map(|(_, content)| content)
    }

    /// The object of a key: native, or `json.loads` of its text.
    pub(super) fn object(&self, key: &str) -> Option<Cow<'_, Dict>> {
        if let Some((_, known)) = self.objects.iter().find(|(known, _)| *known == key) {
            return Some(Cow::Borrowed(known));
        }
        match self.content(key)? {
            Content::Native(value) => value.as_dict().map(Cow::Borrowed),
            Content::Text(text) => match text.decode() {
                Value::Dict(members) => Some(Cow::Owned(members)),
                _ => None,
            },
        }
    }

    /// The text of a key; none if the value is native.
    pub(super) fn get(&self, key: &str) -> Option<&Text<'a>> {
        match self.content(key)? {
            Content::Text(text) => Some(text),
            Content::Native(_) => None,
        }
    }

    /// The text of a key unless it is JSON that is false to Python.
    pub(super) fn usable(&self, key: &str) -> Option<&Text<'a>> {
        self.get(key).filter(|text| text.is_truthy())
    }

    /// The first of the keys that is there.
    pub(super) fn first_present(&self, keys: &[&str]) -> Option<&Text<'a>> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The first of the keys that is there and usable.
    pub(super) fn first_usable(&self, keys: &[&str]) -> Option<&Text<'a>> {
        keys.iter().find_map(|key| self.usable(key))
    }

    /// Whether the text of a key is the JSON of a given string.
    pub(super) fn is_string(&self, key: &str, value: &str) -> bool {
        self.get(key).and_then(Text::as_string).is_some_and(|text| text == value)
    }

    /// Keys and values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &Content<'a>)> {
        self.entries.iter().map(|(key, content)| (*key, content))
    }
}

fn text_of(value: Raw<'_>) -> Result<Text<'_>, Poison> {
    if let Some(any_value::Value::String(text)) = value {
        return Text::of_string(text);
    }
    let mut json = String::new();
    write_value(&mut json, value);
    Ok(Text::Verbatim(Cow::Owned(json)))
}

impl Content<'_> {
    /// Appends the value as JSON; `scratch` is any buffer.
    ///
    /// # Errors
    /// A string that UTF-8 cannot hold.
    pub(super) fn write_json(
        &self,
        key: &str,
        out: &mut String,
        scratch: &mut String,
    ) -> Result<(), Unusable> {
        match self {
            Self::Text(text) => text.write_json(out, scratch),
            Self::Native(value) => dumps_into(out, value).map_err(|error| Unusable::surrogate(key, error))?,
        }
        Ok(())
    }
}

/// Whether `json.loads` gives what `json.dumps` was given; it fails on a long integer.
fn reads_back(value: &Value) -> bool {
    match value {
        Value::Int(number) => number.as_i64().is_some(),
        Value::Float(number) => number.is_finite(),
        _ => false,
    }
}

/// One of 128 bits, chosen by length and ends of the key, where the names of attributes differ.
fn bit(key: &str) -> u128 {
    let bytes = key.as_bytes();
    let end = |at: Option<&u8>| at.copied().map_or(0, usize::from);
    let middle = bytes.get(bytes.len() / 2);
    1 << ((bytes.len() + 5 * end(bytes.last()) + 3 * end(middle)) % 128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::model::AnyValue;

    fn pair(key: &str, text: &str) -> KeyValue {
        let value = Some(any_value::Value::String(text.to_owned()));
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value }) }
    }

    #[test]
    fn many_attributes_are_found_as_few_are() {
        for count in [3, FEW, FEW + 1, 200] {
            let keys: Vec<String> = (0..count).map(|index| format!("key.{index}")).collect();
            let mut pairs: Vec<KeyValue> = keys.iter().map(|key| pair(key, "first")).collect();
            pairs.push(pair("key.1", "last"));
            let mut attributes = Attributes::of_span(&pairs, &[]).unwrap();
            attributes.set_quoted("added", "value");
            attributes.set_quoted("key.0", "changed");
            assert!(attributes.is_string("key.0", "changed"));
            assert!(attributes.is_string("key.1", "last"));
            assert!(attributes.is_string("key.2", "first"));
            assert!(attributes.is_string("added", "value"));
            assert!(!attributes.contains("absent"));
            let order: Vec<&str> = attributes.iter().map(|(key, _)| key).collect();
            assert_eq!(order.len(), count + 1);
            assert_eq!(&order[..3], ["key.0", "key.1", "key.2"]);
        }
    }

    #[test]
    fn an_object_is_read_as_its_text_is() {
        let members = |value: Value| Dict::from_iter([("input_tokens", value)]);
        let long = super::super::python::int_from_str(&"9".repeat(4300)).unwrap();
        for value in [Value::from(3), Value::Float(0.1), Value::Float(f64::INFINITY), Value::Bool(true)] {
            let mut attributes = Attributes::default();
            attributes.set_object("usage", members(value.clone()));
            let text = attributes.get("usage").unwrap().decode();
            assert_eq!(attributes.object("usage").as_deref(), text.as_dict(), "{value:?}");
        }
        let mut attributes = Attributes::default();
        attributes.set_object("usage", members(Value::Int(long.plus(&long))));
        assert_eq!(attributes.object("usage"), None, "Python reads no integer of so many digits");
    }

    #[test]
    fn an_object_that_is_replaced_or_removed_is_forgotten() {
        let mut attributes = Attributes::default();
        attributes.set_object("usage", Dict::from_iter([("input_tokens", Value::from(3))]));
        attributes.set("usage", Content::Text(Text::of_string("{}").unwrap()));
        assert!(attributes.object("usage").unwrap().is_empty());
        attributes.set_object("usage", Dict::from_iter([("input_tokens", Value::from(3))]));
        attributes.remove(|key, _| key == "usage");
        assert_eq!(attributes.object("usage"), None);
    }
}
