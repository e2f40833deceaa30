//! `repr(float)` and `float(str)`.

use std::fmt::Write;

use super::unicode::ascii_number;

/// Python's `repr` and `str` of a float: the shortest text that reads back as the same float.
///
/// `nan`, `inf` and `-inf` are spelled as `repr` does; JSON spells them otherwise.
pub fn repr_float(value: f64) -> String {
    let mut out = String::new();
    push_repr_float(&mut out, value);
    out
}

/// Appends what [`repr_float`] gives.
pub fn push_repr_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    } else if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        push_plain(out, value);
    } else {
        push_scientific(out, value);
    }
}

/// Fewest digits at which two shortest texts can be equally near to a float.
///
/// Between those, Python takes the even last digit and Rust the larger one. Rust rounds to even
/// too when it is told the number of digits.
const TIES_FROM_DIGITS: usize = 16;

/// Writing to a `String` cannot fail.
fn push_plain(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value}");
    let digits = out.get(start..).unwrap_or_default();
    match digits.split_once('.') {
        None => out.push_str(".0"),
        Some((_, fraction)) if digits.len() > TIES_FROM_DIGITS => {
            let fraction = fraction.len();
            out.truncate(start);
            let _ = write!(out, "{value:.fraction$}");
        }
        Some(_) => {}
    }
}

/// Rust writes `1.5e300` and `1e-5` where Python writes `1.5e+300` and `1e-05`.
fn push_scientific(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let text = out.get(start..).unwrap_or_default();
    let fraction = text.split_once('.').and_then(|(_, rest)| rest.find('e')).unwrap_or(0);
    if fraction + 1 >= TIES_FROM_DIGITS {
        out.truncate(start);
        let _ = write!(out, "{value:.fraction$e}");
    }
    let Some((mantissa, exponent)) = out.get(start..).and_then(|text| text.split_once('e')) else { return };
    let (end, exponent) = (start + mantissa.len(), exponent.parse::<i32>().unwrap_or_default());
    out.truncate(end);
    let _ = write!(out, "e{exponent:+03}");
}

/// Python's `float(text)`; none where Python raises `ValueError`.
pub fn float_from_str(text: &str) -> Option<f64> {
    let text = ascii_number(text);
    if !text.contains('_') {
        return parse(&text);
    }
    let bytes = text.as_bytes();
    let between_digits = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let neighbour = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        neighbour(at.checked_sub(1)) && neighbour(at.checked_add(1))
    });
    if between_digits { parse(&text.replace('_', "")) } else { None }
}

/// The grammar of Rust's parser is that of Python's, once blanks and underscores are gone.
fn parse(text: &str) -> Option<f64> {
    text.parse().ok()
}
