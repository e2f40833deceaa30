//! Python values.

use super::{Dict, Int, Number, Text};

/// A Python value, of the types that `json` and OTLP attributes can give.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size.
    Int(Int),
    /// A float; NaN and the infinities are legal.
    Float(f64),
    /// A string; lone surrogates are legal.
    Str(Text),
    /// A list.
    List(Vec<Value>),
    /// A dictionary with string keys, in order of insertion.
    Dict(Dict),
    /// Bytes, which JSON knows only as the text of their `repr`.
    Bytes(Vec<u8>),
}

impl Value {
    /// Whether Python's `bool(value)` is true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => !value.is_zero(),
            Self::Float(value) => *value != 0.0,
            Self::Str(value) => !value.as_bytes().is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Dict(dict) => !dict.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
        }
    }

    /// The text of a string without lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().and_then(Text::as_utf8)
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The dictionary.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The value as a number: an int, a float, or a bool, which counts as 0 or 1.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Self::Bool(value) => Some(Number::Int(Int::from(i64::from(*value)))),
            Self::Int(value) => Some(Number::Int(value.clone())),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Int::from(value))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        match value {
            Number::Int(value) => Self::Int(value),
            Number::Float(value) => Self::Float(value),
        }
    }
}
