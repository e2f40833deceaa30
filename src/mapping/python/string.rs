//! Strings of JSON: reading the escapes, writing them.

use super::Text;
use super::dumps::LoneSurrogate;
use super::scan::{RawString, plain_length};
use super::text::{CodePoints, push_code_point};

/// The content of a string token that has been checked.
pub(super) fn unescape(string: RawString<'_>) -> Text {
    if !string.escaped {
        return Text::from_wtf8(string.bytes.to_vec());
    }
    let mut out = Vec::with_capacity(string.bytes.len());
    let mut rest = string.bytes;
    loop {
        let (plain, escape) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let [_, letter, after @ ..] = escape else {
            return Text::from_wtf8(out);
        };
        rest = after;
        match letter {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => rest = unescape_unicode(after, &mut out),
            other => out.push(*other),
        }
    }
}

/// Reads the digits after `\u`, and the second half of a pair; gives what follows.
fn unescape_unicode<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (digits, rest) = digits.split_at(digits.len().min(4));
    let unit = hex(digits);
    if let (0xd800..0xdc00, [b'\\', b'u', low @ ..]) = (unit, rest)
        && let Some((low, after)) = low.split_at_checked(4)
        && let low @ 0xdc00..0xe000 = hex(low)
    {
        push_code_point(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        return after;
    }
    push_code_point(out, unit);
    rest
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, digit| value << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

/// Appends `json.dumps(text, ensure_ascii=False)`.
pub fn write_json_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    // What ends a run is ASCII, so both cuts are between characters.
    while let Some((plain, special)) = rest.split_at_checked(plain_length(rest.as_bytes())) {
        out.push_str(plain);
        let mut characters = special.chars();
        let Some(character) = characters.next() else { break };
        write_escape(out, character);
        rest = characters.as_str();
    }
    out.push('"');
}

/// Appends `json.dumps(text)`: everything beyond printable ASCII escaped, DEL included.
pub fn write_ascii_json_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    let clean = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    while let Some((plain, special)) =
        rest.split_at_checked(rest.bytes().take_while(|byte| clean(byte)).count())
    {
        out.push_str(plain);
        let mut characters = special.chars();
        let Some(character) = characters.next() else { break };
        write_ascii_escape(out, u32::from(character));
        rest = characters.as_str();
    }
    out.push('"');
}

/// Appends a string, which may hold surrogates, in ASCII.
pub(super) fn write_ascii_text(out: &mut String, text: &Text) {
    if let Some(text) = text.as_utf8() {
        return write_ascii_json_string(out, text);
    }
    out.push('"');
    for point in CodePoints::new(text.as_bytes()) {
        match u8::try_from(point) {
            Ok(byte @ b' '..=b'~') if byte != b'"' && byte != b'\\' => out.push(char::from(byte)),
            _ => write_ascii_escape(out, point),
        }
    }
    out.push('"');
}

/// Appends a string unless it holds a surrogate.
pub(super) fn write_text(out: &mut String, text: &Text) -> Result<(), LoneSurrogate> {
    write_json_string(out, text.as_utf8().ok_or(LoneSurrogate)?);
    Ok(())
}

fn write_ascii_escape(out: &mut String, point: u32) {
    match char::from_u32(point) {
        Some(character) if point < 0x80 => write_escape(out, character),
        Some(character) => {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write_unit(out, u32::from(*unit));
            }
        }
        None => write_unit(out, point),
    }
}

fn write_escape(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        other => write_unit(out, u32::from(other)),
    }
}

/// Appends `\u` and four hex digits.
fn write_unit(out: &mut String, unit: u32) {
    out.push_str("\\u");
    out.extend([12, 8, 4, 0].into_iter().filter_map(|shift| char::from_digit(unit >> shift & 0xf, 16)));
}
