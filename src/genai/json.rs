//! A JSON tree that borrows its texts from the bytes it was read from.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Any JSON value. Texts without escapes are borrowed, so reading a request costs little more than
/// walking it; nothing about its shape is assumed, because servers and callers vary.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::genai::Json;
///
/// let request = Json::parse(br#"{"model": "gpt-4o-mini", "n": 2}"#).unwrap();
/// assert_eq!(request.get("model").and_then(Json::as_str), Some("gpt-4o-mini"));
/// assert_eq!(request.get("n").and_then(Json::as_i64), Some(2));
/// assert_eq!(request.to_string(), r#"{"model":"gpt-4o-mini","n":2}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object, in the order of its text.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// Reads one value.
    ///
    /// # Errors
    ///
    /// If the bytes are not JSON, or nest deeper than 127 levels.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::parse_without(&[], bytes)
    }

    /// Reads one value; if it is an object, without its members of the given names.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub(crate) fn parse_without(unread: &[&str], bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(utf8(bytes)?);
        let value = (&mut deserializer).deserialize_any(Tree { unread })?;
        deserializer.end()?;
        Ok(value)
    }

    /// Any serialisable value as a tree of its own.
    ///
    /// # Errors
    ///
    /// If the value cannot be written as JSON, such as a map with keys that are not texts.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Json<'static>, serde_json::Error> {
        Ok(serde_json::from_slice::<Json<'_>>(&serde_json::to_vec(value)?)?.into_owned())
    }

    /// An object of the given members.
    #[must_use]
    pub fn object<const N: usize>(members: [(&'static str, Json<'a>); N]) -> Self {
        Json::Object(members.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect())
    }

    /// The member of an object; of several with one name the last, as JSON parsers do.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members()?.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members of an object.
    #[must_use]
    pub fn members(&self) -> Option<&[(Cow<'a, str>, Self)]> {
        if let Json::Object(members) = self { Some(members) } else { None }
    }

    /// Takes the member of an object out, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Json::Object(members) = self else { return None };
        let (_, value) = members.iter_mut().rev().find(|(name, _)| name == key)?;
        Some(std::mem::take(value))
    }

    /// Takes the member out if it is a text.
    pub fn take_str(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key)?.into_str()
    }

    /// Takes the elements of a member that is a list; of anything else none.
    pub fn take_array(&mut self, key: &str) -> Vec<Self> {
        self.take(key).map(Self::into_array).unwrap_or_default()
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn into_str(self) -> Option<Cow<'a, str>> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The elements of a list; of anything else none.
    #[must_use]
    pub fn into_array(self) -> Vec<Self> {
        if let Json::Array(elements) = self { elements } else { Vec::new() }
    }

    /// The elements of a list; of anything else none.
    #[must_use]
    pub fn as_array(&self) -> &[Self] {
        if let Json::Array(elements) = self { elements } else { &[] }
    }

    /// The whole number, also where it is written as `2.0`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Json::Int(number) => Some(*number),
            Json::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Json::Int(number) => Some(*number as f64),
            Json::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Json::Bool(value) = self { Some(*value) } else { None }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// The same tree, owning its texts.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Int(value) => Json::Int(value),
            Json::Float(value) => Json::Float(value),
            Json::String(text) => Json::String(owned(text)),
            Json::Array(elements) => Json::Array(elements.into_iter().map(Json::into_owned).collect()),
            Json::Object(members) => Json::Object(
                members.into_iter().map(|(key, value)| (owned(key), value.into_owned())).collect(),
            ),
        }
    }
}

/// JSON is UTF-8. Checked at once it costs less than text by text.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, serde_json::Error> {
    std::str::from_utf8(bytes).map_err(serde::de::Error::custom)
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Json::String(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Json::String(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Json::String(text)
    }
}

impl<'a> From<Vec<Json<'a>>> for Json<'a> {
    fn from(elements: Vec<Json<'a>>) -> Self {
        Json::Array(elements)
    }
}

/// Compact JSON text.
impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Int(value) => serializer.serialize_i64(*value),
            Json::Float(value) => serializer.serialize_f64(*value),
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(elements) => serializer.collect_seq(elements),
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree { unread: &[] })
    }
}

/// Builds the tree, at its top without the members of the given names.
struct Tree<'u> {
    unread: &'u [&'u str],
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Int(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what does not fit is kept as nearly as JSON's own numbers"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        // Few objects of the API are smaller, and to grow costs more than the room.
        let mut members = Vec::with_capacity(8);
        while let Some(Text(key)) = access.next_key()? {
            if self.unread.contains(&key.as_ref()) {
                access.next_value::<IgnoredAny>()?;
            } else {
                members.push((key, access.next_value()?));
            }
        }
        Ok(Json::Object(members))
    }
}

/// A text, borrowed where it has no escapes (`Cow` alone would always be copied).
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// The text inside, if there is one.
#[cfg(feature = "async-openai")]
pub(crate) fn cow(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0)
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let tree = Json::parse(br#"{"plain":"text","escaped":"a\nb"}"#).unwrap();
        let kind = |key: &str| match tree.get(key) {
            Some(Json::String(Cow::Borrowed(_))) => "borrowed",
            Some(Json::String(Cow::Owned(_))) => "owned",
            _ => "none",
        };
        assert_eq!((kind("plain"), kind("escaped")), ("borrowed", "owned"));
    }

    #[test]
    fn what_is_read_is_written_again() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x\"y\u0001"],"b":{},"a":18446744073709551615}"#;
        let tree = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(tree.to_string(), text.replace("18446744073709551615", "1.8446744073709552e+19"));
        assert_eq!(tree.get("a").and_then(Json::as_f64), Some(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn members_can_be_left_unread_at_the_top() {
        let tree = Json::parse_without(&["skip"], br#"{"skip":[{"a":1}],"keep":{"skip":2}}"#).unwrap();
        assert_eq!(tree.to_string(), r#"{"keep":{"skip":2}}"#);
        assert!(Json::parse_without(&["skip"], br#"{"skip":[}"#).is_err());
        assert!(Json::parse_without(&[], b"{} {}").is_err());
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        assert_eq!(Json::parse(b"100.0").unwrap().as_i64(), Some(100));
        assert_eq!(Json::parse(b"0.5").unwrap().as_i64(), None);
        assert_eq!(Json::parse(b"1e300").unwrap().as_i64(), None);
    }
}
