//! What a JSON text is, without building it.

use super::drive::{Container, LoadsError, Sink, drive};
use super::scan::{RawNumber, RawString};

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `null`.
    None,
    /// `true` or `false`.
    Bool,
    /// A number without fraction and exponent.
    Int,
    /// Any other number; also `NaN`, `Infinity`, `-Infinity`.
    Float,
    /// A string.
    Str,
    /// A list.
    List,
    /// An object.
    Dict,
}

/// What a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The type of the value.
    pub ty: Type,
    /// Whether Python's `bool()` of the value is true: false for `null`, `false`, zeros, and
    /// empty strings, lists and objects.
    pub truthy: bool,
}

/// Checks a text as [`loads`](super::loads) does, and tells what it holds. Allocates nothing.
///
/// # Errors
/// The same as `loads`.
pub fn kind(text: &str) -> Result<Kind, LoadsError> {
    kind_of(text.as_bytes())
}

/// [`kind`] for a [`Text`](super::Text), which may hold surrogates.
///
/// # Errors
/// The same as `loads`.
pub fn kind_of(bytes: &[u8]) -> Result<Kind, LoadsError> {
    let mut top = Top::default();
    drive(bytes, &mut top)?;
    top.kind.ok_or(LoadsError::Invalid)
}

/// Keeps the outermost value's kind.
#[derive(Default)]
struct Top {
    kind: Option<Kind>,
}

impl Top {
    /// Notes a value; one inside a container makes the container truthy.
    fn note(&mut self, ty: Type, truthy: impl FnOnce() -> bool) {
        match &mut self.kind {
            None => self.kind = Some(Kind { ty, truthy: truthy() }),
            Some(kind) => kind.truthy = true,
        }
    }
}

impl Sink for Top {
    fn literal(&mut self, value: Option<bool>) {
        let ty = if value.is_some() { Type::Bool } else { Type::None };
        self.note(ty, || value == Some(true));
    }

    fn number(&mut self, number: RawNumber<'_>) {
        let ty = if number.is_float { Type::Float } else { Type::Int };
        self.note(ty, || match ty {
            // A tiny float such as 1e-400 is zero, too.
            Type::Float => parse_float(number.text) != 0.0,
            _ => number.text.iter().any(|byte| (b'1'..=b'9').contains(byte)),
        });
    }

    fn special(&mut self, _: f64) {
        self.note(Type::Float, || true);
    }

    fn string(&mut self, string: RawString<'_>) {
        self.note(Type::Str, || !string.bytes.is_empty());
    }

    fn key(&mut self, _: RawString<'_>) {}

    fn begin(&mut self, container: Container) {
        let ty = match container {
            Container::List => Type::List,
            Container::Object => Type::Dict,
        };
        self.note(ty, || false);
    }

    fn end(&mut self) {}
}

/// The value of a number token; too large a number is infinite, as in Python.
pub(super) fn parse_float(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
