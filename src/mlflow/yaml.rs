//! YAML as PyYAML's `dump` lays it out: blocks, lists not indented. Text that YAML 1.1 or 1.2 could read
//! as something else is quoted.

use serde_json::Value;

/// Writes a value as a YAML document. Keys stay in the order of the maps.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut out, value, 0),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (number, (key, value)) in map.iter().enumerate() {
                if number > 0 {
                    pad(out, indent);
                }
                out.push_str(&text(key));
                out.push(':');
                match value {
                    // PyYAML does not indent the list of a key.
                    Value::Array(list) if !list.is_empty() => below(out, value, indent),
                    Value::Object(map) if !map.is_empty() => below(out, value, indent + 2),
                    scalar => line(out, scalar),
                }
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                if number > 0 {
                    pad(out, indent);
                }
                out.push('-');
                match value {
                    Value::Array(list) if !list.is_empty() => nested(out, value, indent),
                    Value::Object(map) if !map.is_empty() => nested(out, value, indent),
                    scalar => line(out, scalar),
                }
            }
        }
        scalar => line(out, scalar),
    }
}

/// A block that begins on the next line.
fn below(out: &mut String, value: &Value, indent: usize) {
    out.push('\n');
    pad(out, indent);
    block(out, value, indent);
}

/// A block that begins behind the dash of a list.
fn nested(out: &mut String, value: &Value, indent: usize) {
    out.push(' ');
    block(out, value, indent + 2);
}

fn line(out: &mut String, scalar: &Value) {
    out.push(' ');
    out.push_str(&inline(scalar));
    out.push('\n');
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => self::float(float),
            None => number.to_string(),
        },
        Value::String(value) => text(value),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// YAML 1.1 takes a number with an exponent for one only with a point and a sign: `1.0e+20`.
fn float(value: f64) -> String {
    let plain = format!("{value:?}");
    match plain.split_once('e') {
        None => plain,
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
    }
}

fn text(value: &str) -> String {
    if is_plain(value) { value.to_owned() } else { quoted(value) }
}

/// Whether nothing else than text can be read from it, by YAML 1.1 or 1.2: a word, and words of plain
/// letters after it.
fn is_plain(value: &str) -> bool {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"];
    value.starts_with(|first: char| first.is_ascii_alphabetic())
        && !value.ends_with(' ')
        && value.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | ' ')
        })
        && !WORDS.contains(&value.to_ascii_lowercase().as_str())
}

fn quoted(value: &str) -> String {
    let mut out = String::from('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            wide if u32::from(wide) > 0xffff => out.push_str(&format!("\\U{:08x}", u32::from(wide))),
            other => out.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_laid_out_as_pyyaml_does() {
        let mut value = json!({
            "model": "gpt-4o",
            "list": [1, {"b": 2, "a": [3, [4, 5]]}, []],
            "deep": {"x": {"z": null}, "empty": {}},
            "float": 1e20,
        });
        value.sort_all_objects();
        let expected = "\
deep:
  empty: {}
  x:
    z: null
float: 1.0e+20
list:
- 1
- a:
  - 3
  - - 4
    - 5
  b: 2
- []
model: gpt-4o
";
        assert_eq!(to_yaml(&value), expected);
    }

    #[test]
    fn numbers_are_numbers_in_yaml_1_1_too() {
        let text = to_yaml(&json!({"a": 1e-7, "b": 1.5e20, "c": 0.2, "d": 3}));
        assert_eq!(text, "a: 1.0e-7\nb: 1.5e+20\nc: 0.2\nd: 3\n");
    }

    #[test]
    fn text_that_means_something_else_is_quoted() {
        for (value, expected) in [
            ("yes", "\"yes\""),
            ("1e3", "\"1e3\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("a: b", "\"a: b\""),
            ("", "\"\""),
            ("é\u{85}😀", "\"\\u00e9\\u0085\\U0001f600\""),
            ("plain words", "plain words"),
        ] {
            assert_eq!(to_yaml(&json!(value)).trim_end(), expected);
        }
    }
}
