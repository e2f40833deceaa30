//! Reads what a judge says: JSON, or two lines `score: …` and `justification: …`, as MLflow accepts them.

use serde_json::{Map, Value};

use crate::evaluate::Score;

/// How much of an answer that says nothing is repeated in the error.
const SHOWN: usize = 200;

/// An answer without a score.
#[derive(Debug, thiserror::Error)]
#[error("the judge gave no score and justification, but: {0}")]
pub(super) struct Unreadable(String);

/// Score and justification of an answer.
pub(super) fn read(answer: &str) -> Result<Score, Unreadable> {
    from_json(answer)
        .or_else(|| from_lines(answer))
        .ok_or_else(|| Unreadable(answer.trim().chars().take(SHOWN).collect()))
}

fn from_json(answer: &str) -> Option<Score> {
    let fields: Map<String, Value> = serde_json::from_str(answer.trim()).ok()?;
    let field =
        |name: &str| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let value = match field("score")? {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    Some(Score {
        value: Some(value.trunc()),
        justification: Some(field("justification")?.as_str()?.to_owned()),
    })
}

fn from_lines(answer: &str) -> Option<Score> {
    let (_, rest) = after(answer, "score:")?;
    let rest = rest.trim_start();
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let value = rest.get(..end)?.parse().ok()?;
    let (between, reason) = after(rest.get(end..)?, "justification:")?;
    let reason = reason.trim();
    (between.trim_start_matches(',').trim().is_empty() && !reason.is_empty())
        .then(|| Score { value: Some(value), justification: Some(reason.to_owned()) })
}

/// What stands before and after the first occurrence, in any case of letters.
fn after<'a>(text: &'a str, label: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_lowercase().find(label)?;
    Some((text.get(..at)?, text.get(at + label.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(answer: &str, value: f64, reason: &str) {
        let score = read(answer).unwrap();
        assert_eq!((score.value, score.justification.as_deref()), (Some(value), Some(reason)));
    }

    #[test]
    fn both_forms_are_read() {
        check("score: 4\njustification: Good.", 4.0, "Good.");
        check("  Score: 5, Justification: It is\nall right.", 5.0, "It is\nall right.");
        check("Here it is:\nSCORE:3\n\nJUSTIFICATION:\n  Half.", 3.0, "Half.");
        check(r#"{"Score": 2, "Justification": "Poor."}"#, 2.0, "Poor.");
        check(r#"{"score": "1", "justification": "Wrong."}"#, 1.0, "Wrong.");
    }

    #[test]
    fn what_has_no_score_is_an_error_that_shows_the_answer() {
        for answer in [
            "",
            "I cannot say.",
            "score: high\njustification: x",
            "score: 3",
            "score: 3\nand justification: x",
            r#"{"score": 3}"#,
        ] {
            let error = read(answer).unwrap_err().to_string();
            assert!(error.ends_with(answer), "{error}");
        }
    }
}
