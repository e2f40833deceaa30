//! Against textstat itself: `scripts/readability_cases.py` made the table.

use serde_json::Value;

use super::{ari_grade_level, flesch_kincaid_grade_level};

fn cases() -> Vec<Value> {
    let table: Value = serde_json::from_str(include_str!("../../../tests/data/readability.json")).unwrap();
    table["cases"].as_array().unwrap().clone()
}

#[test]
fn grades_are_those_of_textstat() {
    let mut wrong = Vec::new();
    for case in cases() {
        let text = case["text"].as_str().unwrap();
        for (name, grade) in
            [("ari", ari_grade_level(text)), ("flesch_kincaid", flesch_kincaid_grade_level(text))]
        {
            let expected = case[name].as_f64().unwrap();
            if grade.to_bits() != expected.to_bits() {
                wrong.push(format!("{name} of {text:?} is {grade}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
