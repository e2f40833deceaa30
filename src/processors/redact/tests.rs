use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::super::testing::{pair, request_of, span, text};
use super::*;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::span::{Event, Link};
use crate::otlp::model::{AnyValue, ArrayValue, InstrumentationScope, KeyValueList, Resource, Status};

const CANARY: &str = "sk-canary0123456789";

fn redact(config: Json) -> Redact {
    let config: RedactConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.validate(), []);
    Redact(Rules::new(&config).unwrap())
}

fn by_pattern() -> Redact {
    redact(json!({"blocked_values": ["sk-canary[0-9]+"], "blocked_key_patterns": ["(?i)password"]}))
}

fn masked(text: &str) -> String {
    by_pattern().0.text(text).unwrap_or_else(|| text.to_owned())
}

/// JSON in a text in JSON, so many times.
fn nested(inner: Json, levels: usize) -> String {
    (0..levels).fold(inner, |json, _| json!({"inner": json.to_string()})).to_string()
}

#[test]
fn a_secret_is_masked_in_text_and_the_rest_stays() {
    assert_eq!(masked(&format!("key {CANARY}, please")), "key ****, please");
    assert_eq!(by_pattern().0.text("nothing [here]"), None);
    assert_eq!(by_pattern().0.text(r#"{"a": 1.50, "b":[ ]}"#), None);
}

#[test]
fn json_stays_json_and_keeps_its_spelling() {
    let text = format!(r#" {{"big": 12345678901234567890123, "t": "é\u00e9 {CANARY}" , "n":1.0e5}} "#);
    assert_eq!(masked(&text), r#" {"big": 12345678901234567890123, "t": "éé ****" , "n":1.0e5} "#);
}

#[test]
fn a_secret_is_found_however_it_is_spelled() {
    let escaped: String =
        CANARY.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect();
    for text in [
        format!(r#"{{"a": "{escaped}"}}"#),
        format!(r#""{escaped}""#),
        format!(r#"["cut off {escaped}"#),
        format!(
            r#"```json
{{"a": "{escaped}"}}
``` and then"#
        ),
        format!("{}\n{}", json!({"a": 1}), json!({"b": CANARY})),
    ] {
        let masked = masked(&text);
        assert!(
            masked.contains("****") && !masked.contains(&escaped) && !masked.contains(CANARY),
            "{masked}"
        );
    }
}

#[test]
fn the_whole_value_of_a_blocked_key_is_masked() {
    for (value, rest) in [
        (r#""x""#, r#","b":2}"#),
        ("12", r#","b":2}"#),
        ("null", r#","b":2}"#),
        (r#"{"c":["]}",{"d":1}]}"#, r#","b":2}"#),
        (r#"[1,[2],"]"]"#, r#"}"#),
    ] {
        let text = format!(r#"{{"a":0,"user_Password" : {value}{rest}"#);
        assert_eq!(masked(&text), format!(r#"{{"a":0,"user_Password" : "****"{rest}"#));
    }
    let deep = nested(json!({"password": "hunter2", "other": "stays"}), 6);
    let masked = masked(&deep);
    assert!(!masked.contains("hunter2") && masked.contains("stays"), "{masked}");
}

#[test]
fn json_that_is_not_whole_is_read_wherever_it_begins() {
    for text in [
        r#"Result: {"password":"hunter2","x":"lo"#,
        r#"Result: {"n":{"a":1},"b":[1,{"c":"d"}],"password":"hunter2","x":"lo"#,
        r#"{"a":1}
{"password":"hunter2","x":"lo"#,
        r#"```json
{"password":"hunter2","x":NaN}
```"#,
        r#"{"x":[1,2,],"password":{"a":"hunter2"},}"#,
        r#""args: {"password":"hunter2"}""#,
        r#""args: {"password":"hunter2","x":"lo"#,
        r#""args:
{"password":"hunter2","x":"lo"#,
        r#""He said {" and {"password":"hunter2","x":"lo"#,
        r#"[INFO] don't: "{" {"a":{"password":"hunter2","x":"lo"#,
        r#"{open "quote {"password":"hunter2"} and [more"#,
        r#"{"json":"{\"password\":\"hunter2\"}","list":"[1, 2]","x":"lo"#,
        r#"{"list":"[1, 2]","password":"hunter2","x":"lo"#,
    ] {
        let masked = masked(text);
        assert!(masked.contains("****") && !masked.contains("hunter2"), "{masked}");
    }
    let after = r#"{"password":"hunter2","say":"[not JSON] {}","n":{"a":1},"rest":"stays"#;
    assert_eq!(masked(after), after.replace("hunter2", "****"));
}

#[test]
fn numbers_and_keys_are_looked_at() {
    let cards = redact(json!({"blocked_values": ["4[0-9]{15}"]}));
    assert_eq!(cards.0.text(r#"{"n":4111111111111111,"m":5}"#).unwrap(), r#"{"n":"****","m":5}"#);
    assert_eq!(masked(&format!(r#"{{"{CANARY}":1}}"#)), r#"{"****":1}"#);
}

#[test]
fn json_deeper_than_any_reader_goes_is_walked() {
    let text = format!("{}\"{CANARY}\"{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(masked(&text), text.replace(CANARY, "****"));
    let mut levels = json!(CANARY);
    for _ in 0..14 {
        levels = json!([levels.to_string()]);
    }
    assert!(!masked(&levels.to_string()).contains(CANARY));
}

/// Scenario: a canary on every surface of a request, some of it in JSON in JSON.
/// Guarantees: no byte of the encoded request holds it.
#[test]
fn no_surface_lets_a_secret_through() {
    let deep = || text("gen_ai.input.messages", &nested(json!([{"parts": [{"content": CANARY}]}]), 3));
    let mut span = span(1, 1, &format!("chat {CANARY}"));
    span.trace_state = format!("vendor={CANARY}");
    span.status = Some(Status { message: format!("401: {CANARY}"), code: 2 });
    let array = ArrayValue { values: vec![AnyValue { value: Some(Value::String(CANARY.into())) }] };
    let pairs =
        KeyValueList { values: vec![text("k", CANARY), text(CANARY, "v"), text("password", "hunter2")] };
    span.attributes = vec![
        deep(),
        text("llm.input_messages.0.message.content", CANARY),
        text("llm.input_messages.1.message.content", &format!("a {CANARY} b")),
        text("db.password", "hunter2"),
        pair("bytes", Value::Bytes(CANARY.into())),
        pair("raw", Value::Bytes([&[0xff], CANARY.as_bytes()].concat())),
        pair("array", Value::Array(array)),
        pair("map", Value::Kvlist(pairs)),
        text(&format!("tool.{CANARY}"), "x"),
    ];
    let event =
        Event { name: CANARY.into(), attributes: vec![deep(), text("e", CANARY)], ..Event::default() };
    span.events = vec![event];
    let link = Link { trace_state: format!("v={CANARY}"), attributes: vec![deep()], ..Link::default() };
    span.links = vec![link];
    let mut body = request_of(vec![span]).body;
    let resource = &mut body.resource_spans[0];
    resource.schema_url = format!("https://x/{CANARY}");
    resource.resource = Some(Resource { attributes: vec![deep(), text("r", CANARY)], ..Resource::default() });
    let scope = &mut resource.scope_spans[0];
    scope.schema_url = CANARY.into();
    let attributes = vec![deep()];
    scope.scope = Some(InstrumentationScope {
        name: CANARY.into(),
        version: CANARY.into(),
        attributes,
        ..Default::default()
    });
    by_pattern().apply(&mut body);
    let bytes = body.encode_to_vec();
    for secret in [CANARY, "canary", "hunter2"] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} in {body:#?}");
    }
}

#[test]
fn ignored_attributes_are_left_alone() {
    let redact =
        redact(json!({"blocked_values": ["sk-canary[0-9]+"], "ignored_keys": ["mine"], "mask": "$1 \"x\""}));
    let mut span = span(1, 1, "chat");
    span.attributes =
        vec![text("mine", CANARY), text("other", CANARY), text("json", &json!([CANARY]).to_string())];
    let mut body = request_of(vec![span]).body;
    redact.apply(&mut body);
    let found = &body.resource_spans[0].scope_spans[0].spans[0].attributes;
    assert_eq!(found[0], text("mine", CANARY));
    assert_eq!(found[1], text("other", "$1 \"x\""));
    assert_eq!(found[2], text("json", r#"["$1 \"x\""]"#));
}

#[test]
fn settings_that_mask_nothing_or_everything_are_named() {
    let problem =
        |config: Json| serde_json::from_value::<RedactConfig>(config).unwrap().validate()[0].0.clone();
    assert_eq!(problem(json!({})), "");
    assert_eq!(problem(json!({"blocked_values": ["x", "a*"]})), "blocked_values[1]");
    assert_eq!(problem(json!({"blocked_key_patterns": ["("]})), "blocked_key_patterns[0]");
}

/// Any JSON, with secrets as texts, as parts of texts, as keys and under keys.
fn json_with_secrets() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,6}".prop_map(Json::from),
        "[\"\\\\{}\\[\\],: ]{0,6}".prop_map(Json::from),
        "\\PC{0,3}".prop_map(|text| Json::from(format!("{text}{CANARY}{text}"))),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let key = prop_oneof!["[a-z\"\\\\]{0,4}", Just("password".to_owned()), Just(CANARY.to_owned())];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec((key, inner.clone()), 0..4)
                .prop_map(|members| members.into_iter().collect()),
            inner.prop_map(|inner| Json::from(inner.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn valid_json_stays_valid_and_holds_no_secret(json in json_with_secrets(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
        let masked = masked(&text);
        prop_assert!(!masked.contains(CANARY), "{} -> {}", text, masked);
        let parsed = serde_json::from_str::<Json>(&masked);
        // A lone text, number or word is no document: it is masked as the text that it is.
        if json.is_array() || json.is_object() || json.is_string() {
            prop_assert!(parsed.is_ok(), "{} -> {}", text, masked);
        }
    }

    #[test]
    fn cut_json_holds_no_secret(json in json_with_secrets(), cut in 0_usize..400) {
        let text = json.to_string();
        let end = text.floor_char_boundary(cut.min(text.len()));
        prop_assert!(!masked(&text[..end]).contains(CANARY));
    }

    /// Scenario: JSON that ends too early, behind something else, with a blocked key on its outermost level.
    #[test]
    fn cut_json_behind_anything_keeps_blocked_keys(
        before in json_with_secrets(),
        after in json_with_secrets(),
        intro in prop_oneof!["", "[a-z]{1,6}: ", "\\{\"a\":\\[1\\]\\}\n", "```json\n", "\\[INFO\\] ", "\"[a-z]\" "],
        cut in 0_usize..40,
    ) {
        let text = format!(r#"{intro}{{"b":{before},"password":"hunter2","z":{after}"#);
        let least = text.len() - after.to_string().len();
        let end = text.floor_char_boundary((least + cut).min(text.len()));
        let masked = masked(&text[..end]);
        prop_assert!(!masked.contains("hunter2") && !masked.contains(CANARY), "{} -> {}", &text[..end], masked);
    }

    #[test]
    fn any_text_is_read_to_its_end(text in "[\\[\\]{}\":,\\\\a-cé \\n]{0,40}") {
        let with = format!("{text}{CANARY}{text}");
        prop_assert!(!masked(&with).contains(CANARY), "{}", with);
        if serde_json::from_str::<Json>(&text).is_ok() {
            prop_assert!(serde_json::from_str::<Json>(&masked(&text)).is_ok());
        }
    }

    #[test]
    fn text_without_secrets_stays_as_it_is(text in "[\\[\\]{}\":,\\\\a-cé \\n]{0,40}") {
        prop_assert_eq!(by_pattern().0.text(&text), None);
    }
}
