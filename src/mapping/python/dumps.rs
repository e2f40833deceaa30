//! `json.dumps`.

use std::fmt::Write;

use super::string::{write_ascii_text, write_json_string, write_text};
use super::{Text, Value, push_repr_float, repr_bytes};

/// A string holds a surrogate without its partner, which UTF-8 cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text holds a lone surrogate and cannot be stored as UTF-8")]
pub struct LoneSurrogate;

/// Python's `json.dumps(value, ensure_ascii=False, default=str)`.
///
/// # Errors
/// If a string holds a lone surrogate: Python gives a text that cannot be encoded.
pub fn dumps(value: &Value) -> Result<String, LoneSurrogate> {
    let mut out = String::new();
    dumps_into(&mut out, value)?;
    Ok(out)
}

/// Appends what [`dumps`] gives.
///
/// # Errors
/// The same as [`dumps`]; what was written before the surrogate stays in `out`.
pub fn dumps_into(out: &mut String, value: &Value) -> Result<(), LoneSurrogate> {
    write_value(out, value, write_text)
}

/// Python's `json.dumps(value, default=str)`: everything beyond ASCII escaped.
pub fn adumps(value: &Value) -> String {
    let mut out = String::new();
    adumps_into(&mut out, value);
    out
}

/// Appends what [`adumps`] gives.
pub fn adumps_into(out: &mut String, value: &Value) {
    let written = write_value(out, value, |out, text| {
        write_ascii_text(out, text);
        Ok(())
    });
    debug_assert!(written.is_ok(), "escaped text has no surrogates");
}

/// A list or a dictionary that is being written.
struct Open<'a> {
    elements: Elements<'a>,
    is_first: bool,
}

enum Elements<'a> {
    List(std::slice::Iter<'a, Value>),
    Dict(indexmap::map::Iter<'a, Text, Value>),
}

/// Writes with a stack of its own, so that depth costs memory on the heap only.
fn write_value(
    out: &mut String,
    value: &Value,
    string: impl Fn(&mut String, &Text) -> Result<(), LoneSurrogate>,
) -> Result<(), LoneSurrogate> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(value);
    loop {
        match next {
            Some(Value::List(values)) => {
                out.push('[');
                open.push(Open { elements: Elements::List(values.iter()), is_first: true });
            }
            Some(Value::Dict(dict)) => {
                out.push('{');
                open.push(Open { elements: Elements::Dict(dict.entries()), is_first: true });
            }
            Some(Value::Str(text)) => string(out, text)?,
            Some(scalar) => write_scalar(out, scalar),
            None => {}
        }
        let Some(container) = open.last_mut() else { return Ok(()) };
        next = write_next(out, container, &string)?;
        if next.is_none() {
            open.pop();
        }
    }
}

/// Writes what comes before the next element and gives that; at the end, the closing bracket.
fn write_next<'a>(
    out: &mut String,
    open: &mut Open<'a>,
    string: impl Fn(&mut String, &Text) -> Result<(), LoneSurrogate>,
) -> Result<Option<&'a Value>, LoneSurrogate> {
    let separator = if std::mem::replace(&mut open.is_first, false) { "" } else { ", " };
    match &mut open.elements {
        Elements::List(values) => match values.next() {
            Some(value) => {
                out.push_str(separator);
                return Ok(Some(value));
            }
            None => out.push(']'),
        },
        Elements::Dict(entries) => match entries.next() {
            Some((key, value)) => {
                out.push_str(separator);
                string(out, key)?;
                out.push_str(": ");
                return Ok(Some(value));
            }
            None => out.push('}'),
        },
    }
    Ok(None)
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // Writing to a `String` cannot fail.
        Value::Int(value) => drop(write!(out, "{value}")),
        Value::Float(value) => write_float(out, *value),
        Value::Bytes(bytes) => write_json_string(out, &repr_bytes(bytes)),
        Value::Str(_) | Value::List(_) | Value::Dict(_) => {}
    }
}

fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        push_repr_float(out, value);
    }
}
