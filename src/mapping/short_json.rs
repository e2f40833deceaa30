//! JSON that fits a number of characters and is still JSON.

use super::python::{Value, adumps, dumps};

/// Characters that end a text that was cut.
const DOTS: &str = "...";
/// Characters that an element needs at least to be worth beginning.
const WORTHWHILE: usize = 16;

/// A value as JSON of at most `limit` characters: strings are cut, and elements left out at the end.
pub(super) fn short_json(value: &Value, limit: usize) -> String {
    let whole = dumps(value).unwrap_or_else(|_| adumps(value));
    if whole.chars().count() <= limit {
        return whole;
    }
    let mut writer = Writer { out: String::new(), left: limit };
    writer.write(value, 0);
    writer.out
}

/// A text of at most `limit` characters.
pub(super) fn short_text(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(DOTS.len())).collect();
    kept + DOTS
}

struct Writer {
    out: String,
    /// Characters that may still be written, closing brackets included.
    left: usize,
}

/// Beyond this depth elements are left out.
const DEEPEST: usize = 32;

impl Writer {
    fn push(&mut self, text: &str) {
        self.left = self.left.saturating_sub(text.chars().count());
        self.out.push_str(text);
    }

    /// Writes a value with room for `closers` brackets after it.
    fn write(&mut self, value: &Value, closers: usize) {
        let room = self.left.saturating_sub(closers);
        match value {
            Value::Str(text) => {
                let text = text.to_utf8_lossy();
                let mut keep = text.chars().count();
                loop {
                    let json = json_string(&short_text(&text, keep));
                    let length = json.chars().count();
                    if length <= room || keep == 0 {
                        return self.push(&json);
                    }
                    keep = keep.min(room).saturating_sub((length - room).clamp(1, 64));
                }
            }
            Value::List(values) if closers < DEEPEST => {
                self.push("[");
                for (index, value) in values.iter().enumerate() {
                    if !self.begin(index, "", closers) {
                        break;
                    }
                    self.write(value, closers + 1);
                }
                self.push("]");
            }
            Value::Dict(members) if closers < DEEPEST => {
                self.push("{");
                for (index, (key, value)) in members.iter().enumerate() {
                    if !self.begin(index, &json_string(&key.to_utf8_lossy()), closers) {
                        break;
                    }
                    self.write(value, closers + 1);
                }
                self.push("}");
            }
            Value::List(_) => self.push("[]"),
            Value::Dict(_) => self.push("{}"),
            scalar => {
                let json = adumps(scalar);
                self.push(if json.len() <= room { &json } else { "0" });
            }
        }
    }

    /// Writes what precedes an element; not if the element would not fit.
    fn begin(&mut self, index: usize, key: &str, closers: usize) -> bool {
        let separator = if index > 0 { ", " } else { "" };
        let prefix = if key.is_empty() { separator.to_owned() } else { format!("{separator}{key}: ") };
        let fits = self.left > prefix.chars().count() + closers + 1 + WORTHWHILE;
        if fits {
            self.push(&prefix);
        }
        fits
    }
}

fn json_string(text: &str) -> String {
    dumps(&Value::from(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::python::loads;

    #[test]
    fn what_is_cut_is_still_json_and_fits() {
        let long = "é\"\n".repeat(700);
        let texts = [
            format!("[{}]", vec!["\"abc\""; 500].join(", ")),
            adumps(&Value::from(long.as_str())),
            format!("{{\"a\": {{\"b\": {}, \"c\": 1}}, \"d\": 2}}", adumps(&Value::from(long.as_str()))),
            format!("{}{}", "[".repeat(900), "]".repeat(900)),
        ];
        for text in texts {
            let short = short_json(&loads(&text).unwrap(), 1000);
            assert!(short.chars().count() <= 1000, "{}: {short}", short.chars().count());
            assert!(loads(&short).is_ok(), "{short}");
        }
    }

    #[test]
    fn what_fits_is_kept() {
        assert_eq!(short_json(&loads(r#"{"a":[1,"é"]}"#).unwrap(), 1000), r#"{"a": [1, "é"]}"#);
        assert_eq!(short_text("abcdef", 5), "ab...");
    }
}
