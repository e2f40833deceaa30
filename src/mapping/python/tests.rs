//! Comparison with real Python, by the table that `scripts/python_json.py` writes, and properties.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

fn table(name: &str) -> Vec<Json> {
    let table: Json = serde_json::from_str(include_str!("../../../tests/data/python_json.json")).unwrap();
    let rows = table[name].as_array().unwrap().clone();
    assert!(!rows.is_empty(), "{name}");
    rows
}

/// Texts are spelled as pieces and how often each comes.
fn expand(parts: &Json) -> String {
    let parts = parts.as_array().unwrap();
    parts
        .iter()
        .map(|part| part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap().try_into().unwrap()))
        .collect()
}

fn python_type(ty: Type) -> &'static str {
    match ty {
        Type::None => "NoneType",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Float => "float",
        Type::Str => "str",
        Type::List => "list",
        Type::Dict => "dict",
    }
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::None => Type::None,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::Str(_) | Value::Bytes(_) => Type::Str,
        Value::List(_) => Type::List,
        Value::Dict(_) => Type::Dict,
    }
}

#[test]
fn loads_kind_and_dumps_agree_with_python() {
    for row in table("loads") {
        let text = expand(&row[0]);
        let expected = &row[1];
        let loaded = loads(&text);
        match expected["error"].as_str() {
            Some("invalid") => assert_eq!(loaded, Err(LoadsError::Invalid), "{text}"),
            Some(_) => assert_eq!(loaded, Err(LoadsError::Poison(Poison::Digits)), "{text}"),
            None => {
                let value = loaded.as_ref().unwrap_or_else(|error| panic!("{text:?}: {error}"));
                assert_eq!(python_type(type_of(value)), expected["type"], "{text}");
                assert_eq!(value.is_truthy(), expected["truthy"], "{text}");
                if let Some(ascii) = expected["adumps"].as_str() {
                    assert_eq!(adumps(value), ascii, "{text}");
                    assert_eq!(dumps(value).ok().as_deref(), expected["dumps"].as_str(), "{text}");
                }
            }
        }
        let kind = kind(&text);
        assert_eq!(kind.err(), loaded.as_ref().err().copied(), "{text}");
        if let (Ok(kind), Ok(value)) = (kind, &loaded) {
            assert_eq!(kind, Kind { ty: type_of(value), truthy: value.is_truthy() }, "{text}");
        }
    }
}

#[test]
fn int_from_str_agrees_with_python() {
    for row in table("int") {
        let text = expand(&row[0]);
        let actual = int_from_str(&text);
        match &row[1] {
            Json::Null => assert_eq!(actual, None, "{text:?}"),
            Json::String(digits) => assert_eq!(&actual.unwrap().to_string(), digits, "{text:?}"),
            // Of the longest inputs the table has the number of digits only.
            count => {
                let digits = actual.unwrap().to_string().trim_start_matches('-').len();
                assert_eq!(u64::try_from(digits).unwrap(), count.as_u64().unwrap());
            }
        }
    }
}

#[test]
fn float_from_str_agrees_with_python() {
    for row in table("float") {
        let text = row[0].as_str().unwrap();
        assert_eq!(float_from_str(text).map(repr_float).as_deref(), row[1].as_str(), "{text:?}");
    }
}

#[test]
fn repr_float_and_columns_agree_with_python() {
    for row in table("repr_float") {
        let value = f64::from_bits(u64::from_str_radix(row[0].as_str().unwrap(), 16).unwrap());
        assert_eq!(repr_float(value), row[1].as_str().unwrap());
        assert_eq!(Number::Float(value).to_i64_column(), row[2].as_i64(), "{value}");
    }
}

#[test]
fn repr_bytes_agrees_with_python() {
    for row in table("bytes") {
        let hex = row[0].as_str().unwrap().as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        let bytes: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        assert_eq!(repr_bytes(&bytes), row[1].as_str().unwrap());
        let value = Value::Bytes(bytes);
        assert_eq!(dumps(&value).unwrap(), row[2].as_str().unwrap());
        assert_eq!(adumps(&value), row[2].as_str().unwrap());
    }
}

/// Guarantees: the depth at which MLflow 3.17.2 answers 422 is the depth at which we see poison.
#[test]
fn nesting_has_mlflows_limit() {
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        let nested = |depth: usize| open.repeat(depth) + inner + &close.repeat(depth);
        assert!(loads(&nested(985)).is_ok());
        assert_eq!(dumps(&loads(&nested(985)).unwrap()).unwrap().replace(' ', ""), nested(985));
        let deep = Err(LoadsError::Poison(Poison::Depth));
        assert_eq!(loads(&nested(986)), deep);
        assert_eq!(kind(&nested(986)).map(|_| Value::None), deep);
    }
    // A recursive reader would need far more stack than a thread has.
    assert_eq!(kind(&"[".repeat(10_000_000)), Err(LoadsError::Poison(Poison::Depth)));
    // What comes first in the text decides.
    let nested = "[".repeat(986);
    assert_eq!(kind(&format!("[x,{nested}")), Err(LoadsError::Invalid));
    assert_eq!(kind(&format!("{nested}x")), Err(LoadsError::Poison(Poison::Depth)));
}

#[test]
fn repeated_key_keeps_its_place_and_takes_the_last_value() {
    let value = loads(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
    assert_eq!(dumps(&value).unwrap(), r#"{"b": 3, "a": 2}"#);
    assert_eq!(value.as_dict().unwrap().get("b"), Some(&Value::from(3)));
    assert_eq!(value.as_dict().unwrap().get("c"), None);
}

#[test]
fn dictionary_of_many_keys_finds_the_last_one() {
    let members: Vec<String> = (0..100_000).map(|number| format!("\"key{number}\": {number}")).collect();
    let value = loads(&format!("{{{}}}", members.join(", "))).unwrap();
    let dict = value.as_dict().unwrap();
    assert_eq!(dict.len(), 100_000);
    assert!((0..100_000).all(|number| dict.get(&format!("key{number}")) == Some(&Value::from(number))));
}

/// Scenario: a text that was decoded once, and holds a surrogate, is decoded once more.
/// Guarantees: the surrogate survives raw, counts as one code point, and cannot be dumped raw.
#[test]
fn surrogates_survive_and_are_refused_as_utf8() {
    let outer = loads(r#""\"a\\ud83d\ude00b\"""#).unwrap();
    let inner = loads_text(outer.as_text().unwrap()).unwrap();
    let text = inner.as_text().unwrap();
    assert_eq!(text.as_utf8(), None);
    assert_eq!(text.as_bytes(), b"a\xed\xa0\xbd\xed\xb8\x80b");
    assert_eq!((text.len(), text.prefix(2).len()), (4, 2));
    assert_eq!(text.to_utf8_lossy(), "a\u{fffd}\u{fffd}b");
    assert_eq!(adumps(&inner), r#""a\ud83d\ude00b""#);
    assert_eq!(dumps(&inner), Err(LoneSurrogate));
    assert!(kind_of(outer.as_text().unwrap().as_bytes()).unwrap().truthy);
}

#[test]
fn prefix_counts_code_points() {
    let text = Text::from("né😀x");
    assert_eq!(text.prefix(3), "né😀");
    assert_eq!(text.prefix(9), "né😀x");
    assert_eq!(text.prefix(0), "");
    assert_eq!(text.len(), 4);
}

#[test]
fn arithmetic_is_exact_and_overflow_is_told() {
    let big = |text: &str| Number::Int(int_from_str(text).unwrap());
    let max = Number::Int(Int::from(i64::MAX));
    assert_eq!(max.plus(&big("1")), Ok(big("9223372036854775808")));
    assert_eq!(big("9223372036854775808").minus(&big("1")), Ok(max.clone()));
    assert_eq!(big("1").plus(&Number::Float(0.5)), Ok(Number::Float(1.5)));
    assert_eq!(big("9007199254740993").to_f64(), Ok(9007199254740992.0));
    assert_eq!(big("1000000000000000000000000").to_f64(), Ok(1e24));
    assert_eq!(big(&"9".repeat(400)).plus(&Number::Float(1.0)), Err(Overflow));
    assert_eq!(big("9223372036854775808").to_i64_column(), None);
    assert!(big("9007199254740993").is_greater_than(&Number::Float(9007199254740992.0)));
    assert!(!big("1").is_greater_than(&Number::Float(f64::NAN)));
    assert!(Number::Float(f64::INFINITY).is_greater_than(&big(&"9".repeat(400))));
    assert!(!Number::Float(-1.5).is_greater_than(&big("-1")));
    assert!(Number::Float(-1.5).is_greater_than(&big("-2")));
    assert_eq!(Int::from_f64(-1.9), Some(Int::from(-1)));
    assert_eq!(Int::from_f64(1e23).unwrap().to_string(), "99999999999999991611392");
    assert_eq!(Int::from_f64(f64::NAN), None);
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        any::<String>().prop_map(Text::from),
        "[a-z\"\\\\\n\u{7f}é]{0,80}".prop_map(Text::from),
        any::<Vec<u16>>().prop_map(|units| {
            let digits: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            loads(&format!("\"{digits}\"")).unwrap().as_text().unwrap().clone()
        }),
    ]
}

/// Any value that JSON can express; NaN is left out because it does not equal itself.
fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "-?[1-9][0-9]{20,60}".prop_map(|digits| Value::Int(int_from_str(&digits).unwrap())),
        prop_oneof![prop::num::f64::NORMAL, prop::num::f64::SUBNORMAL, prop::num::f64::INFINITE]
            .prop_map(Value::Float),
        text().prop_map(Value::Str),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|pairs| Value::Dict(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_dumped_loads_back(value in value()) {
        let ascii = adumps(&value);
        prop_assert!(ascii.is_ascii());
        prop_assert_eq!(loads(&ascii), Ok(value.clone()));
        prop_assert_eq!(kind(&ascii), Ok(Kind { ty: type_of(&value), truthy: value.is_truthy() }));
        if let Ok(plain) = dumps(&value) {
            prop_assert_eq!(loads(&plain), Ok(value));
        }
    }

    #[test]
    fn any_text_is_read_alike_by_kind_and_loads(
        text in prop_oneof![
            any::<String>(),
            "[\\[\\]{}\",:0-9eE.+\\-\\\\ua-f \n\tINnfalsetruy]{0,40}",
        ],
    ) {
        let loaded = loads(&text);
        let expected = loaded.map(|value| Kind { ty: type_of(&value), truthy: value.is_truthy() });
        prop_assert_eq!(kind(&text), expected);
        let _ = (int_from_str(&text), float_from_str(&text));
    }
}
