//! Text of a span attribute, as MLflow keeps it: JSON inside a string.

use std::borrow::Cow;

use super::python::{self, LoadsError, LoneSurrogate, Poison, Type, Value, kind, loads, write_json_string};

/// Text of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text<'a> {
    /// The JSON text of a string, held without quotes and escapes.
    Quoted(Cow<'a, str>),
    /// Any other text as it is: JSON, unless a translator says otherwise.
    Verbatim(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// Text of a string attribute, less one layer of encoding where the string is itself JSON.
    ///
    /// # Errors
    /// A text that Python fails to read in another way than by finding it no JSON.
    pub(super) fn of_string(text: &'a str) -> Result<Self, Poison> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let layered = match text.bytes().find(|byte| !blank(byte)) {
            Some(b'"' | b'[' | b'{') => true,
            // Only a number that is too long matters here: reading it fails.
            Some(b'0'..=b'9' | b'-') => text.len() > python::MAX_DIGITS,
            _ => false,
        };
        if !layered {
            return Ok(Self::Quoted(Cow::Borrowed(text)));
        }
        match kind(text) {
            Ok(kind) if matches!(kind.ty, Type::Str | Type::List | Type::Dict) => {
                Ok(Self::Verbatim(Cow::Borrowed(text)))
            }
            Ok(_) | Err(LoadsError::Invalid) => Ok(Self::Quoted(Cow::Borrowed(text))),
            Err(LoadsError::Poison(poison)) => Err(poison),
        }
    }

    /// The text as it is stored.
    pub(super) fn json(&self) -> Cow<'_, str> {
        match self {
            Self::Quoted(text) => {
                let mut json = String::new();
                write_json_string(&mut json, text);
                Cow::Owned(json)
            }
            Self::Verbatim(text) => Cow::Borrowed(text),
        }
    }

    /// `json.loads` of the text, or the text itself where it is no JSON.
    pub(super) fn decode(&self) -> Value {
        match self {
            Self::Quoted(text) => Value::from(text.as_ref()),
            Self::Verbatim(text) => loads(text).unwrap_or_else(|_| Value::from(text.as_ref())),
        }
    }

    /// Whether the text is no JSON, or JSON that is true to Python.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Quoted(text) => !text.is_empty(),
            Self::Verbatim(text) => kind(text).map_or(true, |kind| kind.truthy),
        }
    }

    /// The string that the text is the JSON of; none for other JSON and for lone surrogates.
    pub(super) fn as_string(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Quoted(text) => Some(Cow::Borrowed(text)),
            Self::Verbatim(text) if starts_string(text) => match loads(text) {
                Ok(Value::Str(text)) => text.into_utf8().ok().map(Cow::Owned),
                _ => None,
            },
            Self::Verbatim(_) => None,
        }
    }

    /// The value of a JSON string, and any other text as it is.
    ///
    /// # Errors
    /// A string that UTF-8 cannot hold.
    pub(super) fn plain(&self) -> Result<Cow<'_, str>, LoneSurrogate> {
        match self {
            Self::Quoted(text) => Ok(Cow::Borrowed(text)),
            Self::Verbatim(text) if starts_string(text) => match loads(text) {
                Ok(Value::Str(text)) => text.into_utf8().map(Cow::Owned).map_err(|_| LoneSurrogate),
                _ => Ok(Cow::Borrowed(text)),
            },
            Self::Verbatim(text) => Ok(Cow::Borrowed(text)),
        }
    }

    /// [`Self::plain`], with U+FFFD for what UTF-8 cannot hold.
    pub(super) fn plain_lossy(&self) -> Cow<'_, str> {
        self.plain().unwrap_or_else(|_| match self.decode() {
            Value::Str(text) => Cow::Owned(text.to_utf8_lossy()),
            _ => Cow::Borrowed(""),
        })
    }

    /// The text that `json.dumps` gives for what the text holds.
    ///
    /// # Errors
    /// A string that UTF-8 cannot hold.
    pub(super) fn canonical(&self) -> Result<Self, LoneSurrogate> {
        match self {
            Self::Quoted(_) => Ok(self.clone()),
            Self::Verbatim(_) => Ok(Self::Verbatim(Cow::Owned(python::dumps(&self.decode())?))),
        }
    }

    /// Appends the text as a JSON string; `scratch` is any buffer.
    pub(super) fn write_json(&self, out: &mut String, scratch: &mut String) {
        match self {
            Self::Quoted(text) => {
                scratch.clear();
                write_json_string(scratch, text);
                write_json_string(out, scratch);
            }
            Self::Verbatim(text) => write_json_string(out, text),
        }
    }
}

fn starts_string(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_stripped_from_strings_lists_and_objects_only() {
        for text in ["\"a\"", " [1]", "{\"a\":1}\n", "\"[1]\""] {
            assert_eq!(Text::of_string(text), Ok(Text::Verbatim(text.into())));
        }
        for text in ["1", "null", "true", "[1,]", "{a}", "\u{feff}[1]", "", " ", "NaN"] {
            assert_eq!(Text::of_string(text), Ok(Text::Quoted(text.into())));
        }
    }

    #[test]
    fn falsy_json_is_not_truthy() {
        for text in ["[]", "{}", "null", "0", "0.0", "false", "\"\"", " [ ] "] {
            assert!(!Text::Verbatim(text.into()).is_truthy(), "{text}");
        }
        for text in ["[0]", "{\"a\":0}", "1", "true", "\" \"", "no json"] {
            assert!(Text::Verbatim(text.into()).is_truthy(), "{text}");
        }
    }

    #[test]
    fn too_long_numbers_and_too_deep_nesting_are_poison() {
        let digits = "1".repeat(4301);
        for text in [digits.clone(), format!("[{digits}]"), "[".repeat(2000)] {
            assert!(Text::of_string(&text).is_err());
        }
        assert!(Text::of_string(&"1".repeat(4300)).is_ok());
        assert!(Text::of_string(&format!("1{}.5", "0".repeat(4400))).is_ok());
    }

    #[test]
    fn quoted_text_is_escaped_twice() {
        let (mut out, mut scratch) = (String::new(), String::new());
        Text::of_string("a\"\n").unwrap().write_json(&mut out, &mut scratch);
        assert_eq!(out, r#""\"a\\\"\\n\"""#);
    }
}
