//! The part of MLflow's filter language that is understood here: comparisons, joined by AND.

use super::session::Value;
use crate::store::tracking::TrackingError;

/// How two values compare.
const COMPARATORS: &[&str] = &["!=", "<=", ">=", "=", "<", ">"];

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// What stands before the dot, such as `tags`; empty if there is no dot.
    pub(super) scope: String,
    /// Name.
    pub(super) key: String,
    /// One of [`COMPARATORS`].
    pub(super) comparator: &'static str,
    /// A text or a number.
    pub(super) value: Value,
}

/// Reads a filter; an empty one has no terms.
pub(super) fn parse(filter: &str) -> Result<Vec<Term>, TrackingError> {
    let unsupported = || unsupported(filter);
    let mut rest = filter.trim();
    let mut terms = Vec::new();
    while !rest.is_empty() {
        if !terms.is_empty() {
            let (and, after) = rest.split_at_checked(4).ok_or_else(unsupported)?;
            if !and.eq_ignore_ascii_case("and ") {
                return Err(unsupported());
            }
            rest = after.trim_start();
        }
        let (term, after) = term(rest).ok_or_else(unsupported)?;
        terms.push(term);
        rest = after.trim_start();
    }
    Ok(terms)
}

/// A filter or an order that only a server understands.
pub(super) fn unsupported(text: &str) -> TrackingError {
    TrackingError::unsupported(format!(
        "{text:?} is not understood in the database: comparisons such as tags.key = 'text', attributes.run_id = \
         'text', metrics.key > 0.5 and name = 'text', joined by AND, are; an MLflow server's http:// URI takes \
         MLflow's whole filter language"
    ))
}

fn term(text: &str) -> Option<(Term, &str)> {
    let (first, rest) = name(text)?;
    let (scope, key, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (key, rest) = key(rest)?;
            (first, key, rest)
        }
        None => (String::new(), first, rest),
    };
    let rest = rest.trim_start();
    let comparator = COMPARATORS.iter().find(|comparator| rest.starts_with(**comparator))?;
    let (value, rest) = value(rest.strip_prefix(comparator)?.trim_start())?;
    Some((Term { scope, key, comparator, value }, rest))
}

/// A name without dots, or a quoted one.
fn name(text: &str) -> Option<(String, &str)> {
    quoted(text, &['`', '"']).or_else(|| {
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).filter(|_| end > 0)?;
        Some((name.to_owned(), rest))
    })
}

/// What follows the first dot: it may hold dots itself.
fn key(text: &str) -> Option<(String, &str)> {
    quoted(text, &['`', '"']).or_else(|| {
        let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '/');
        let end = text.find(|letter| !plain(letter)).unwrap_or(text.len());
        let (key, rest) = text.split_at_checked(end).filter(|_| end > 0)?;
        Some((key.to_owned(), rest))
    })
}

fn quoted<'a>(text: &'a str, quotes: &[char]) -> Option<(String, &'a str)> {
    let quote = text.chars().next().filter(|first| quotes.contains(first))?;
    let (inside, rest) = text.strip_prefix(quote)?.split_once(quote)?;
    Some((inside.to_owned(), rest))
}

fn value(text: &str) -> Option<(Value, &str)> {
    if let Some((text, rest)) = quoted(text, &['\'', '"']) {
        return Some((Value::Text(text), rest));
    }
    let (number, rest) = text.split_at_checked(text.find(char::is_whitespace).unwrap_or(text.len()))?;
    if let Ok(number) = number.parse() {
        return Some((Value::Int(number), rest));
    }
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((Value::Real(number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(filter: &str) -> (String, String, &'static str, Value) {
        let terms = parse(filter).unwrap();
        assert_eq!(terms.len(), 1, "{filter}");
        let Term { scope, key, comparator, value } = terms[0].clone();
        (scope, key, comparator, value)
    }

    #[test]
    fn comparisons_are_read() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (filter, scope, key, comparator, value) in [
            ("tags.x = 'y'", "tags", "x", "=", text("y")),
            ("tags.`mlflow.source name` != \"y z\"", "tags", "mlflow.source name", "!=", text("y z")),
            ("tags.mlflow.runName='a and b'", "tags", "mlflow.runName", "=", text("a and b")),
            ("attributes.run_id = ''", "attributes", "run_id", "=", text("")),
            ("name = 'it''", "name", "", "=", text("")),
            ("metrics.acc>=0.5", "metrics", "acc", ">=", Value::Real(0.5)),
            ("  version_number < 3  ", "", "version_number", "<", Value::Int(3)),
        ] {
            if key.is_empty() {
                assert!(parse(filter).is_err(), "{filter}");
            } else {
                let expected = (scope.to_owned(), key.to_owned(), comparator, value);
                assert_eq!(one(filter), expected, "{filter}");
            }
        }
    }

    #[test]
    fn terms_are_joined_by_and() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("tags.a = '1' AND name = '2' and x = 3").unwrap().len(), 3);
        for other in
            ["tags.a = '1' OR name = '2'", "tags.a LIKE 'x%'", "a = b", "a =", "(a = 1)", "tags. = 'x'"]
        {
            let refused = parse(other);
            assert!(matches!(refused, Err(TrackingError::Unsupported { .. })), "{other}: {refused:?}");
        }
    }
}
