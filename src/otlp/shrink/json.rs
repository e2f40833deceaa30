//! Cutting JSON to JSON: long texts first, then what is at the end of lists and objects.

use serde::de::IgnoredAny;

use super::mark;

/// The least of a text that is kept.
const SHORTEST: usize = 32;

/// What the mark takes at the end of a list or an object.
const MARK_BYTES: usize = 56;

/// JSON of at most about so many bytes, with marks where something is missing. None if the text is no
/// list or object in JSON.
pub(super) fn cut(text: &str, longest: usize) -> Option<String> {
    if !is_container(text) {
        return None;
    }
    let shorter = cut_texts(text, (longest / 4).max(SHORTEST));
    let cut = if shorter.len() <= longest { shorter } else { cut_elements(&shorter, longest) };
    // Half a pair of escapes, which JSON allows, can be parted so that none is left.
    Some(if is_container(&cut) { cut } else { empty(text) })
}

fn is_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The same JSON with no text longer than about so many bytes.
fn cut_texts(json: &str, longest: usize) -> String {
    let mut out = String::with_capacity(json.len() / 2);
    let mut rest = json;
    while let Some((before, literal, after)) = split_literal(rest) {
        out.push_str(before);
        match literal.len() > longest {
            true => out.push_str(&cut_literal(literal, longest)),
            false => out.push_str(literal),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What comes before the next text, the text in its quotes, and what comes after.
fn split_literal(json: &str) -> Option<(&str, &str, &str)> {
    let start = json.find('"')?;
    let (before, from) = json.split_at_checked(start)?;
    let mut is_escaped = false;
    for (at, byte) in from.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let (literal, after) = from.split_at_checked(at + 1)?;
                return Some((before, literal, after));
            }
            _ => {}
        }
    }
    None
}

/// A text in quotes, cut; one that is JSON itself stays JSON.
fn cut_literal(literal: &str, longest: usize) -> String {
    if let Ok(text) = serde_json::from_str::<String>(literal)
        && let Some(inner) = cut(&text, longest)
    {
        return serde_json::Value::from(inner).to_string();
    }
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    let mut end = 0;
    let bytes = inside.as_bytes();
    // Not inside an escape, and not between the two of a pair.
    while let Some(byte) = bytes.get(end) {
        let length = match (byte, bytes.get(end + 1)) {
            (b'\\', Some(b'u')) if is_first_of_pair(inside.get(end + 2..end + 4)) => 12,
            (b'\\', Some(b'u')) => 6,
            (b'\\', _) => 2,
            _ => 1,
        };
        if end + length > longest {
            break;
        }
        end += length;
    }
    let kept = inside.get(..inside.floor_char_boundary(end)).unwrap_or_default();
    format!("\"{kept}{}\"", mark(inside.len() - kept.len()))
}

/// Whether these digits begin an escape that is half a character: `d8` to `db`.
fn is_first_of_pair(digits: Option<&str>) -> bool {
    digits
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .is_some_and(|byte| (0xd8..0xdc).contains(&byte))
}

/// The same JSON up to an element, with all that was opened closed.
fn cut_elements(json: &str, longest: usize) -> String {
    let mut open = Vec::new();
    // The last place to cut at, with what is open there.
    let mut last: Option<(usize, Vec<u8>)> = None;
    let (mut is_text, mut is_escaped) = (false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => open.push(byte),
            b'}' | b']' => {
                open.pop();
            }
            // Closing costs a byte for each level, the mark some more.
            b',' if at + open.len() + MARK_BYTES > longest => break,
            b',' => last = Some((at, open.clone())),
            _ => {}
        }
    }
    match last {
        Some((end, open)) => closed(json, end, ",", &open),
        None => empty(json),
    }
}

/// The list or object without anything in it.
fn empty(json: &str) -> String {
    let start = json.find(['{', '[']).unwrap_or_default();
    let open = json.as_bytes().get(start..start + 1).unwrap_or_default();
    closed(json, start + 1, "", open)
}

/// The beginning of JSON, a mark, and the ends of all that is open.
fn closed(json: &str, end: usize, comma: &str, open: &[u8]) -> String {
    let mark = mark(json.len() - end);
    let mut text = format!("{}{comma}", json.get(..end).unwrap_or_default());
    if open.last() == Some(&b'{') {
        text.push_str("\"otel_mlflow.cut\":");
    }
    text.push_str(&serde_json::Value::from(mark).to_string());
    text.extend(open.iter().rev().map(|byte| if *byte == b'{' { '}' } else { ']' }));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn escapes_and_pairs_are_not_parted() {
        let text = r#"["\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\u00e9"]"#;
        for longest in 4..80 {
            let cut = cut_texts(text, longest);
            assert!(serde_json::from_str::<Json>(&cut).is_ok(), "{longest}: {cut}");
        }
    }

    #[test]
    fn json_in_json_stays_json() {
        let inner = json!({"query": "q".repeat(5_000), "limit": 5}).to_string();
        let cut = cut(&json!({"arguments": inner}).to_string(), 1_000).unwrap();
        let outer: Json = serde_json::from_str(&cut).unwrap();
        let inner: Json = serde_json::from_str(outer["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(inner["limit"], 5);
        assert!(cut.len() <= 1_000);
    }

    #[test]
    fn plain_text_is_none() {
        for text in ["hello", "\"hello\"", "[cut off", "{}x", "12"] {
            assert_eq!(cut(text, 10), None, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<i64>().prop_map(Json::from),
            "\\PC{0,80}".prop_map(Json::from),
            "[\"\\\\{}\\[\\],: \\n]{0,60}".prop_map(Json::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                proptest::collection::vec(("[a-z\"\\\\]{0,40}", inner.clone()), 0..6)
                    .prop_map(|members| members.into_iter().collect()),
                inner.prop_map(|inner| Json::from(inner.to_string())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_left_is_json_and_no_longer(json in any_json(), longest in 150_usize..600) {
            let text = json.to_string();
            if (json.is_array() || json.is_object()) && text.len() > longest {
                let cut = cut(&text, longest).unwrap();
                prop_assert!(serde_json::from_str::<Json>(&cut).is_ok(), "{} -> {}", text, cut);
                prop_assert!(cut.len() <= longest.max(150), "{} -> {}", text, cut);
            }
        }
    }
}
