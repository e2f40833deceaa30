//! JSON in the very forms that Python programs write: MLflow's files are theirs.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Serializer, Value};

/// As `json.dump(value, indent=2)` of Python.
pub(crate) fn to_python(value: &Value) -> String {
    write(value, Ascii { layout: PrettyFormatter::new(), dialect: Dialect::Python })
}

/// As `json.dumps(value)` of Python.
pub(crate) fn to_python_line(value: &Value) -> String {
    write(value, Ascii { layout: Spaced, dialect: Dialect::Python })
}

/// As `DataFrame.to_json` of pandas, which writes no spaces and escapes slashes.
pub(crate) fn to_pandas(value: &impl Serialize) -> String {
    write(value, Ascii { layout: CompactFormatter, dialect: Dialect::Pandas })
}

fn write(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    // A value of JSON in memory can always be written.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Python,
    Pandas,
}

/// Writes ASCII alone, laid out as another formatter does it.
struct Ascii<F> {
    layout: F,
    dialect: Dialect,
}

/// One line, with a space after each separator.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Passes what concerns the layout on.
macro_rules! as_laid_out {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.layout.$method(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Ascii<F> {
    as_laid_out! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value, self.dialect).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            match character {
                '/' if self.dialect == Dialect::Pandas => writer.write_all(b"\\/")?,
                ' '..='~' => writer.write_all(&[character as u8])?,
                '\x7f' => writer.write_all(&[0x7f])?,
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The fewest digits that give the number again, with or without exponent as the dialect has it.
fn float(value: f64, dialect: Dialect) -> String {
    let size = value.abs();
    let plain = match dialect {
        Dialect::Python => (1e-4..1e16).contains(&size),
        Dialect::Pandas => (1e-10..=1e16).contains(&size),
    };
    if plain || size == 0.0 {
        let text = format!("{value}");
        return if text.contains('.') { text } else { format!("{text}.0") };
    }
    let text = format!("{value:e}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text.replace('e', "e+"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_what_pythons_json_writes() {
        let value = json!({"b": [1, 2.0, "é/\u{1}\u{7f}\"\\\n😀"], "a": {}, "c": [], "d": [null, true]});
        let pretty = "{\n  \"b\": [\n    1,\n    2.0,\n    \"\\u00e9/\\u0001\u{7f}\\\"\\\\\\n\\ud83d\\ude00\"\n  ],\n  \
                      \"a\": {},\n  \"c\": [],\n  \"d\": [\n    null,\n    true\n  ]\n}";
        assert_eq!(to_python(&value), pretty);
        let line = "[{\"path\": \"a/b.json\", \"type\": \"table\"}, {}]";
        assert_eq!(to_python_line(&json!([{"path": "a/b.json", "type": "table"}, {}])), line);
    }

    #[test]
    fn floats_are_written_as_python_and_as_pandas_do() {
        for (value, python, pandas) in [
            (1.0, "1.0", "1.0"),
            (0.1, "0.1", "0.1"),
            (1e15, "1000000000000000.0", "1000000000000000.0"),
            (1e16, "1e+16", "10000000000000000.0"),
            (1e17, "1e+17", "1e+17"),
            (1.5e300, "1.5e+300", "1.5e+300"),
            (1e-5, "1e-05", "0.00001"),
            (1e-7, "1e-07", "0.0000001"),
            (0.0, "0.0", "0.0"),
            (-2.5, "-2.5", "-2.5"),
        ] {
            assert_eq!(float(value, Dialect::Python), python);
            assert_eq!(float(value, Dialect::Pandas), pandas);
        }
    }
}
