//! YAML as JSON values: as much of it as the registry uses.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value, json};

/// A list or map that is not finished, and the key that waits for a value.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// Reads one document.
pub(super) fn parse(text: &str) -> Value {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = Value::Null;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let finished = match event.unwrap().0 {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceEnd | Event::MappingEnd => match open.pop().unwrap() {
                Open::List(elements) => elements.into(),
                Open::Map(members, _) => members.into(),
            },
            Event::Alias(..) => panic!("the registry has no aliases"),
            _ => continue,
        };
        match open.last_mut() {
            None => whole = finished,
            Some(Open::List(elements)) => elements.push(finished),
            Some(Open::Map(members, key)) => match key.take() {
                Some(key) => {
                    members.insert(key, finished);
                }
                None => *key = Some(finished.as_str().map_or_else(|| finished.to_string(), str::to_owned)),
            },
        }
    }
    whole
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return json!(text);
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        _ => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
    }
}

#[test]
fn the_forms_that_the_registry_uses_are_read() {
    let text = "a:\n  - b: 'x: y'\n    c: [1, two]\n  - d: >\n      folded\n      text\n  - true\n";
    assert_eq!(parse(text), json!({"a": [{"b": "x: y", "c": [1, "two"]}, {"d": "folded text\n"}, true]}));
}
