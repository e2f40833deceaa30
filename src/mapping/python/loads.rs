//! `json.loads`.

use super::drive::{Container, LoadsError, Sink, drive};
use super::int::Int;
use super::kind::parse_float;
use super::scan::{RawNumber, RawString};
use super::string::unescape;
use super::{Dict, Text, Value};

/// Python's `json.loads(text)`.
///
/// # Errors
/// [`LoadsError::Invalid`] where Python raises `JSONDecodeError`, [`LoadsError::Poison`] where it
/// raises anything else.
pub fn loads(text: &str) -> Result<Value, LoadsError> {
    loads_bytes(text.as_bytes())
}

/// [`loads`] of a string that may hold surrogates.
///
/// # Errors
/// The same as [`loads`].
pub fn loads_text(text: &Text) -> Result<Value, LoadsError> {
    loads_bytes(text.as_bytes())
}

fn loads_bytes(bytes: &[u8]) -> Result<Value, LoadsError> {
    let mut builder = Builder::default();
    drive(bytes, &mut builder)?;
    builder.done.ok_or(LoadsError::Invalid)
}

/// Builds the tree bottom up.
#[derive(Default)]
struct Builder {
    open: Vec<Partial>,
    done: Option<Value>,
}

/// A list or an object whose end has not come yet.
enum Partial {
    List(Vec<Value>),
    Object { dict: Dict, key: Text },
}

impl Builder {
    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Partial::List(values)) => values.push(value),
            Some(Partial::Object { dict, key }) => {
                dict.insert(std::mem::take(key), value);
            }
        }
    }
}

impl Sink for Builder {
    fn literal(&mut self, value: Option<bool>) {
        self.add(value.map_or(Value::None, Value::Bool));
    }

    fn number(&mut self, number: RawNumber<'_>) {
        let int = if number.is_float { None } else { Int::from_ascii(number.text) };
        self.add(int.map_or_else(|| Value::Float(parse_float(number.text)), Value::Int));
    }

    fn special(&mut self, value: f64) {
        self.add(Value::Float(value));
    }

    fn string(&mut self, string: RawString<'_>) {
        self.add(Value::Str(unescape(string)));
    }

    fn key(&mut self, string: RawString<'_>) {
        if let Some(Partial::Object { key, .. }) = self.open.last_mut() {
            *key = unescape(string);
        }
    }

    fn begin(&mut self, container: Container) {
        self.open.push(match container {
            Container::List => Partial::List(Vec::new()),
            Container::Object => Partial::Object { dict: Dict::new(), key: Text::default() },
        });
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Partial::List(values)) => self.add(Value::List(values)),
            Some(Partial::Object { dict, .. }) => self.add(Value::Dict(dict)),
            None => {}
        }
    }
}
