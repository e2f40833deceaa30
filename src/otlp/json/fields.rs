//! Reading the members of a JSON object as fields of a protobuf message.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::JsonError;
use super::path::Path;

/// Accepts what protobuf's JSON parsers accept: any padding, and unused bits that are not zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The members of one object. A getter takes its member out; what is never asked for is ignored.
pub(super) struct Fields<'p> {
    members: Map<String, Value>,
    path: &'p Path<'p>,
}

impl<'p> Fields<'p> {
    /// Parses an object from its text.
    pub(super) fn parse(raw: &RawValue, path: &'p Path<'p>) -> Result<Self, JsonError> {
        let value = serde_json::from_str(raw.get()).map_err(|error| path.error(error.to_string()))?;
        Self::of(value, path)
    }

    /// Takes a parsed value apart.
    pub(super) fn of(value: Value, path: &'p Path<'p>) -> Result<Self, JsonError> {
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            _ => Err(path.error("expected an object")),
        }
    }

    /// The place of the object.
    pub(super) fn path(&self) -> &'p Path<'p> {
        self.path
    }

    /// A member by its camelCase or its `.proto` name; `null` is absent.
    pub(super) fn take(&mut self, camel: &str, snake: &str) -> Option<Value> {
        // preserve_order would make `remove` shift all members behind the removed one.
        let camel = self.members.swap_remove(camel).filter(|value| !value.is_null());
        camel.or_else(|| self.members.swap_remove(snake).filter(|value| !value.is_null()))
    }

    /// A text; absent is empty.
    pub(super) fn string(&mut self, camel: &'static str, snake: &str) -> Result<String, JsonError> {
        match self.take(camel, snake) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.path.key(camel).error("expected a string")),
        }
    }

    /// An unsigned 32-bit integer; absent is 0.
    pub(super) fn u32(&mut self, camel: &'static str, snake: &str) -> Result<u32, JsonError> {
        self.integer(camel, snake)
    }

    /// An unsigned 64-bit integer; absent is 0.
    pub(super) fn u64(&mut self, camel: &'static str, snake: &str) -> Result<u64, JsonError> {
        self.integer(camel, snake)
    }

    fn integer<T: TryFrom<i128> + Default>(
        &mut self,
        camel: &'static str,
        snake: &str,
    ) -> Result<T, JsonError> {
        match self.take(camel, snake) {
            None => Ok(T::default()),
            Some(value) => integer(&value).map_err(|reason| self.path.key(camel).error(reason)),
        }
    }

    /// An enum by name or number; an unknown name is ignored, as an unknown field is.
    pub(super) fn enumeration(
        &mut self,
        name: &'static str,
        names: &[(&str, i32)],
    ) -> Result<i32, JsonError> {
        match self.take(name, name) {
            None => Ok(0),
            Some(Value::String(text)) => match names.iter().find(|(name, _)| *name == text) {
                Some((_, number)) => Ok(*number),
                None => Ok(text.parse().unwrap_or(0)),
            },
            Some(value) => integer(&value).map_err(|reason| self.path.key(name).error(reason)),
        }
    }

    /// An id: hexadecimal under its OTLP/JSON name, base64 under its `.proto` name, which only
    /// protobuf's own JSON printer writes.
    pub(super) fn id(&mut self, camel: &'static str, snake: &str) -> Result<Vec<u8>, JsonError> {
        if let Some(value) = self.take(camel, camel) {
            let text = value.as_str().ok_or_else(|| self.path.key(camel).error("expected a string"))?;
            return hex(text).ok_or_else(|| self.path.key(camel).error("is not hexadecimal"));
        }
        match self.take(snake, snake) {
            None => Ok(Vec::new()),
            Some(value) => bytes(&value).map_err(|reason| self.path.key(camel).error(reason)),
        }
    }

    /// A link's id: hexadecimal, or base64 where it is not that.
    pub(super) fn link_id(&mut self, camel: &'static str, snake: &str) -> Result<Vec<u8>, JsonError> {
        match self.take(camel, snake) {
            None => Ok(Vec::new()),
            Some(value) => match value.as_str().and_then(hex) {
                Some(id) => Ok(id),
                None => bytes(&value).map_err(|_| self.path.key(camel).error("is not hexadecimal")),
            },
        }
    }

    /// The elements of a list; absent is empty.
    pub(super) fn list(&mut self, camel: &'static str, snake: &str) -> Result<Vec<Value>, JsonError> {
        match self.take(camel, snake) {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements),
            Some(_) => Err(self.path.key(camel).error("expected a list")),
        }
    }
}

/// An integer as a number, also with an empty fraction, or as a decimal text.
pub(super) fn integer<T: TryFrom<i128>>(value: &Value) -> Result<T, &'static str> {
    let wide = match value {
        Value::Number(number) => {
            number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(|| {
                number.as_f64().filter(|double| double.fract() == 0.0).map(|double| double as i128)
            })
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let wide = wide.ok_or("expected an integer, as a number or a decimal text")?;
    T::try_from(wide).map_err(|_| "the integer is out of range")
}

/// Bytes in base64, standard or URL-safe.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, &'static str> {
    let text = value.as_str().ok_or("expected a base64 string")?;
    let standard = text.replace('-', "+").replace('_', "/");
    Engine::decode(&BASE64, standard).map_err(|_| "is not base64")
}

/// Bytes in hexadecimal of any case; blanks between bytes are allowed, as in MLflow's reader.
fn hex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for word in text.split_ascii_whitespace() {
        let (pairs, []) = word.as_bytes().as_chunks::<2>() else { return None };
        for [high, low] in pairs {
            bytes.push(nibble(*high)? << 4 | nibble(*low)?);
        }
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
