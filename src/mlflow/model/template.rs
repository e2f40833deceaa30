//! Prompt templates with `{placeholders}`, by the rules of Python's format strings.

use std::collections::{BTreeMap, BTreeSet};

use super::ModelError;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Brace(char),
    Field(&'t str),
}

/// The pieces of a template.
///
/// # Errors
///
/// A brace that is neither doubled nor part of a placeholder, which Python refuses as well.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>, ModelError> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            found.push(Piece::Text(before));
        }
        if let Some(after) = from.strip_prefix("{{") {
            found.push(Piece::Brace('{'));
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            found.push(Piece::Brace('}'));
            rest = after;
        } else {
            let unpaired = || ModelError::Template { template: template.to_owned() };
            let inner = from.strip_prefix('{').ok_or_else(unpaired)?;
            let (field, after) = inner.split_once('}').ok_or_else(unpaired)?;
            let name = field.find(['!', ':']).map_or(field, |end| field.get(..end).unwrap_or(field));
            if field.contains('{') || (field != name && field.get(name.len()..) != Some(":s")) {
                return Err(unpaired());
            }
            found.push(Piece::Field(name));
            rest = after;
        }
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    Ok(found)
}

/// The names of the placeholders of a template.
///
/// # Errors
///
/// A brace that is neither doubled nor part of a placeholder.
pub(super) fn fields(template: &str) -> Result<BTreeSet<String>, ModelError> {
    let pieces = pieces(template)?;
    let names = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Field(name) => Some(name.to_owned()),
        _ => None,
    });
    Ok(names.collect())
}

/// The template with its placeholders filled.
///
/// # Errors
///
/// A placeholder without a value, or a brace that belongs to none.
pub(super) fn render(template: &str, values: &BTreeMap<String, String>) -> Result<String, ModelError> {
    let mut text = String::with_capacity(template.len());
    for piece in pieces(template)? {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Brace(brace) => text.push(brace),
            Piece::Field(name) => match values.get(name) {
                Some(value) => text.push_str(value),
                None => return Err(ModelError::MissingInput { name: name.to_owned() }),
            },
        }
    }
    Ok(text)
}

/// The template that a text was made from, as far as its variables show: each value becomes the
/// placeholder of its variable where it stands as whole words, longer values first. Says also
/// whether any was found.
pub(super) fn recover(text: &str, variables: &[(String, String)]) -> (String, bool) {
    let mut known: Vec<_> = variables
        .iter()
        .filter(|(name, value)| !value.is_empty() && !name.is_empty() && is_plain(name))
        .collect();
    known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let mut template = String::with_capacity(text.len());
    let (mut rest, mut before, mut found) = (text, None, false);
    while let Some(first) = rest.chars().next() {
        let hit = known.iter().find_map(|(name, value)| {
            let after = rest.strip_prefix(value.as_str())?;
            stands_alone(before, value, after.chars().next()).then_some((name, value, after))
        });
        match hit {
            Some((name, value, after)) => {
                template.push('{');
                template.push_str(name);
                template.push('}');
                (rest, before, found) = (after, value.chars().next_back(), true);
            }
            None => {
                let width = first.len_utf8();
                template.push(first);
                if first == '{' || first == '}' {
                    template.push(first);
                }
                (rest, before) = (rest.get(width..).unwrap_or_default(), Some(first));
            }
        }
    }
    (template, found)
}

/// Whether a name can be a placeholder as it is.
fn is_plain(name: &str) -> bool {
    name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether a value is not a part of a longer word.
fn stands_alone(before: Option<char>, value: &str, after: Option<char>) -> bool {
    let word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    !(word(before) && word(value.chars().next()) || word(value.chars().next_back()) && word(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn placeholders_are_those_of_python() {
        let found = fields("{a} {{b}} {c:s} {a}").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "c"]);
        for broken in ["{", "}", "{a", "a}b", "{a!r}", "{a:>4}", "{a{b}}"] {
            assert!(fields(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn filling_puts_values_in_and_single_braces_back() {
        let values = pairs(&[("a", "{x}"), ("b", "2")]).into_iter().collect();
        assert_eq!(render("{{{a}}} {b}!", &values).unwrap(), "{{x}} 2!");
        assert!(matches!(render("{c}", &values), Err(ModelError::MissingInput { name }) if name == "c"));
    }

    #[test]
    fn a_text_shows_its_template_where_values_stand_as_words() {
        let variables = pairs(&[("topic", "cat"), ("long", "cat food"), ("none", ""), ("x y", "in")]);
        let (template, found) = recover("A cat, concatenated cat food {in} cats", &variables);
        assert_eq!((template.as_str(), found), ("A {topic}, concatenated {long} {{in}} cats", true));
        assert_eq!(recover("dogs }", &variables), ("dogs }}".to_owned(), false));
    }
}
