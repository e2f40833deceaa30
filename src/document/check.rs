//! A tree against a JSON Schema as `schemars` writes it: all problems, not the first one.
//!
//! On the way, values are brought to the form that the structs expect: an empty value for a map becomes
//! the empty map (`grpc:` switches gRPC on), a number that came out of `${env:…}` where text is wanted
//! becomes its text, and an enumeration value is written the way the schema writes it.

use serde_json::Value;

use super::problem::{Location, Problem, Problems};
use super::suggest;
use super::tree::{Data, Entry, Node, Path};

/// Checks a value; `definitions` are the schemas that `$ref` points to.
pub(crate) fn check(
    node: &mut Node,
    schema: &Value,
    definitions: &Value,
    path: &Path,
    problems: &mut Problems,
) {
    Checker { definitions, problems }.value(node, schema, path);
}

struct Checker<'a> {
    definitions: &'a Value,
    problems: &'a mut Problems,
}

impl<'a> Checker<'a> {
    fn value(&mut self, node: &mut Node, schema: &'a Value, path: &Path) {
        if matches!(node.data, Data::Unknown) {
            return;
        }
        let schema = self.resolve(schema);
        if let Some(words) = self.enumeration(schema) {
            return self.word(node, &words, path);
        }
        if let Some(branches) = branches(schema) {
            return self.any_of(node, &branches, path);
        }
        let types = types(schema);
        if types.is_empty() {
            return;
        }
        fit(node, &types);
        if !types.iter().any(|kind| is_of_type(&node.data, kind)) {
            let message = wrong_type(node, &types);
            return self.complain(node, path, message);
        }
        match &mut node.data {
            Data::Map(entries) => {
                let at = node.at.clone();
                self.map(entries, &at, schema, path);
            }
            Data::List(items) => {
                if let Some(item_schema) = schema.get("items") {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.value(item, item_schema, &path.index(index));
                    }
                }
                if is_below(items.len(), schema, "minItems") {
                    self.complain(node, path, "the list must not be empty".to_owned());
                }
            }
            Data::String(text) if is_below(text.chars().count(), schema, "minLength") => {
                self.complain(node, path, "the text must not be empty".to_owned());
            }
            Data::Number(_) => self.range(node, schema, path),
            _ => {}
        }
    }

    fn map(&mut self, entries: &mut [Entry], at: &Location, schema: &'a Value, path: &Path) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let closed = ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .any(|rule| schema.get(rule) == Some(&Value::Bool(false)));
        for entry in entries.iter_mut() {
            let here = path.key(&entry.key);
            match properties.and_then(|properties| properties.get(&entry.key)) {
                Some(property) => self.property(&mut entry.value, property, &here),
                None if closed => {
                    let known =
                        properties.into_iter().flat_map(|properties| properties.keys()).map(String::as_str);
                    let hint = suggest::hint(&entry.key, known);
                    let message = format!("unknown key `{}`{hint}", entry.key);
                    self.problems.push(Problem::error(here.to_string(), Some(entry.at.clone()), message));
                    entry.value.data = Data::Unknown;
                }
                None => {
                    if let Some(additional) = schema.get("additionalProperties") {
                        self.value(&mut entry.value, additional, &here);
                    }
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            let given =
                entries.iter().any(|entry| entry.key == key && !matches!(entry.value.data, Data::Null));
            if !given {
                let message = format!("the key `{key}` is missing");
                self.problems.push(Problem::error(path.key(key).to_string(), Some(at.clone()), message));
            }
        }
    }

    /// A known key: an empty value means the default, or the empty map where a map may stand.
    fn property(&mut self, node: &mut Node, schema: &'a Value, path: &Path) {
        if matches!(node.data, Data::Null) && !self.accepts_map(schema) {
            return;
        }
        if matches!(node.data, Data::Null) {
            node.data = Data::Map(Vec::new());
        }
        self.value(node, schema, path);
    }

    fn any_of(&mut self, node: &mut Node, branches: &[&'a Value], path: &Path) {
        let mut failures: Vec<(&Value, Problems)> = Vec::new();
        for branch in branches {
            let mut candidate = node.clone();
            let mut problems = Problems::default();
            Checker { definitions: self.definitions, problems: &mut problems }.value(
                &mut candidate,
                branch,
                path,
            );
            if problems.is_empty() {
                *node = candidate;
                return;
            }
            failures.push((branch, problems));
        }
        let meant = failures.into_iter().filter(|(branch, _)| self.is_of_branch_type(node, branch));
        match meant.min_by_key(|(_, problems)| problems.len()) {
            Some((_, problems)) => {
                self.problems.extend(problems);
                node.data = Data::Unknown;
            }
            None => {
                let types: Vec<&str> =
                    branches.iter().flat_map(|branch| types(self.resolve(branch))).collect();
                let message = wrong_type(node, &types);
                self.complain(node, path, message);
            }
        }
    }

    fn is_of_branch_type(&self, node: &Node, branch: &'a Value) -> bool {
        let schema = self.resolve(branch);
        types(schema).iter().any(|kind| *kind != "null" && is_of_type(&node.data, kind))
            || (matches!(node.data, Data::String(_)) && self.enumeration(schema).is_some())
    }

    fn word(&mut self, node: &mut Node, words: &[&'a str], path: &Path) {
        let message = match &node.data {
            Data::String(text) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => {
                    node.data = Data::String((*word).to_owned());
                    return;
                }
                None => match &node.origin {
                    Some(origin) => {
                        format!(
                            "the value of {} is none of {}",
                            origin.text,
                            suggest::list(words.iter().copied())
                        )
                    }
                    None => format!("unknown value `{text}`{}", suggest::hint(text, words.iter().copied())),
                },
            },
            _ => format!("expected one of {}, got {}", suggest::list(words.iter().copied()), describe(node)),
        };
        self.complain(node, path, message);
    }

    fn range(&mut self, node: &mut Node, schema: &Value, path: &Path) {
        let Data::Number(number) = &node.data else { return };
        let Some(number) = number.as_f64() else { return };
        let (format_minimum, format_maximum) = match schema.get("format").and_then(Value::as_str) {
            Some("uint32") => (Some(0.0), Some(f64::from(u32::MAX))),
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        let minimum = schema.get("minimum").and_then(Value::as_f64).or(format_minimum);
        let maximum = schema.get("maximum").and_then(Value::as_f64).or(format_maximum);
        let message = match (minimum, maximum) {
            (Some(minimum), Some(maximum)) if number < minimum || number > maximum => {
                format!("must be from {minimum} to {maximum}")
            }
            (Some(minimum), None) if number < minimum => format!("must be at least {minimum}"),
            (None, Some(maximum)) if number > maximum => format!("must be at most {maximum}"),
            _ => return,
        };
        self.complain(node, path, message);
    }

    /// Notes a problem. The value counts as not given from here on, so that the rest can be judged.
    fn complain(&mut self, node: &mut Node, path: &Path, message: String) {
        self.problems.push(Problem::error(path.to_string(), Some(node.at.clone()), message));
        node.data = Data::Unknown;
    }

    /// Follows `$ref`; a reference to nothing allows everything.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        const ANYTHING: &Value = &Value::Bool(true);
        // A definition that is only a reference to itself would never end.
        for _ in 0..16 {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
            let name = reference.rsplit('/').next().unwrap_or_default();
            schema = self.definitions.get(name).unwrap_or(ANYTHING);
        }
        ANYTHING
    }

    fn accepts_map(&self, schema: &'a Value) -> bool {
        let schema = self.resolve(schema);
        types(schema).contains(&"object")
            || branches(schema).is_some_and(|branches| branches.iter().any(|branch| self.accepts_map(branch)))
    }

    /// The words of an enumeration, also where each word is a branch with its own description.
    fn enumeration(&self, schema: &'a Value) -> Option<Vec<&'a str>> {
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words.iter().filter(|word| !word.is_null()).map(Value::as_str).collect();
        }
        if let Some(word) = schema.get("const") {
            return word.as_str().map(|word| vec![word]);
        }
        let mut words = Vec::new();
        for branch in branches(schema)? {
            words.extend(self.enumeration(self.resolve(branch))?);
        }
        Some(words)
    }
}

/// The alternatives of a schema, `null` left out.
fn branches(schema: &Value) -> Option<Vec<&Value>> {
    let all = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    Some(all.iter().filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null")).collect())
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of_type(data: &Data, kind: &str) -> bool {
    match data {
        Data::Null | Data::Unknown => kind == "null",
        Data::Bool(_) => kind == "boolean",
        Data::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Data::String(_) => kind == "string",
        Data::List(_) => kind == "array",
        Data::Map(_) => kind == "object",
    }
}

fn is_below(length: usize, schema: &Value, rule: &str) -> bool {
    schema.get(rule).and_then(Value::as_u64).is_some_and(|minimum| (length as u64) < minimum)
}

/// A reference where text is wanted gives its text, whatever it looks like as YAML.
fn fit(node: &mut Node, types: &[&str]) {
    if types.iter().any(|kind| is_of_type(&node.data, kind)) || !types.contains(&"string") {
        return;
    }
    if let Some(origin) = &node.origin {
        node.data = Data::String(origin.value.clone());
    }
}

fn wrong_type(node: &Node, types: &[&str]) -> String {
    let mut expected: Vec<&str> = Vec::new();
    for word in types.iter().filter(|kind| **kind != "null").map(|kind| type_name(kind)) {
        if !expected.contains(&word) {
            expected.push(word);
        }
    }
    let expected = expected.join(" or ");
    let quotable = matches!(node.data, Data::Number(_) | Data::Bool(_)) && types.contains(&"string");
    let advice = if quotable { "; put it in quotes to make it text" } else { "" };
    format!("expected {expected}, got {}{advice}", describe(node))
}

fn type_name(kind: &str) -> &str {
    match kind {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

/// What a value is, without repeating it: it may be a secret.
fn describe(node: &Node) -> String {
    let kind = match &node.data {
        Data::Null | Data::Unknown => "nothing",
        Data::Bool(_) => "true or false",
        Data::Number(number) if number.is_f64() => "a number with a fraction",
        Data::Number(_) => "a number",
        Data::String(_) => "text",
        Data::List(_) => "a list",
        Data::Map(_) => "a map",
    };
    match &node.origin {
        Some(origin) => format!("{kind} from {}", origin.text),
        None => kind.to_owned(),
    }
}
