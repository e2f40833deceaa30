//! A YAML document as a tree in which every value knows where it was written.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::problem::Location;

/// A value and the place where it was written.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) at: Location,
    pub(crate) data: Data,
    /// Set where the value came out of `${…}`.
    pub(crate) origin: Option<Arc<Origin>>,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A value with a problem that is reported already.
    Unknown,
}

/// A key with its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Location,
    pub(crate) value: Node,
}

/// What a reference was and became. The value may be a secret: it is never printed.
pub(crate) struct Origin {
    /// As the file has it, for example `${env:TOKEN}`.
    pub(crate) text: String,
    /// What the environment or the file holds.
    pub(crate) value: String,
    /// The references inside a longer text, each with what it gave.
    pub(crate) parts: Vec<(String, String)>,
}

impl Origin {
    /// Of a value that is one reference.
    pub(crate) fn whole(text: &str, value: String) -> Arc<Self> {
        Arc::new(Self { text: text.to_owned(), value, parts: Vec::new() })
    }

    /// What must not be printed, with what is printed instead.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.parts.iter().map(|(text, value)| (value.as_str(), text.as_str()));
        std::iter::once((self.value.as_str(), self.text.as_str())).chain(parts)
    }
}

impl Node {
    pub(crate) fn new(at: Location, data: Data) -> Self {
        Self { at, data, origin: None }
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The value at a path of keys, to change it.
    pub(crate) fn get_mut(&mut self, keys: &[&str]) -> Option<&mut Self> {
        let mut node = self;
        for key in keys {
            let Data::Map(entries) = &mut node.data else { return None };
            node = &mut entries.iter_mut().find(|entry| entry.key == *key)?.value;
        }
        Some(node)
    }

    /// The value as JSON. An empty value counts as a key that is not there.
    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null | Data::Unknown => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::String(value) => Value::String(value.clone()),
            Data::List(items) => {
                let known = items.iter().filter(|item| !matches!(item.data, Data::Unknown));
                Value::Array(known.map(Self::to_json).collect())
            }
            Data::Map(entries) => Value::Object(
                entries
                    .iter()
                    .filter(|entry| !matches!(entry.value.data, Data::Null | Data::Unknown))
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// Calls a function with every reference of this value and those inside it.
    pub(crate) fn each_origin(&self, visit: &mut dyn FnMut(&Origin)) {
        if let Some(origin) = &self.origin {
            visit(origin);
        }
        match &self.data {
            Data::List(items) => items.iter().for_each(|item| item.each_origin(visit)),
            Data::Map(entries) => entries.iter().for_each(|entry| entry.value.each_origin(visit)),
            _ => {}
        }
    }

    /// Whether this value and all inside it could be read.
    pub(crate) fn is_known(&self) -> bool {
        match &self.data {
            Data::Unknown => false,
            Data::List(items) => items.iter().all(Self::is_known),
            Data::Map(entries) => entries.iter().all(|entry| entry.value.is_known()),
            _ => true,
        }
    }

    /// The place of the value at a path, or of the nearest part of the path that exists. Of a list or
    /// map, the place of its key, where a reader looks for it.
    pub(crate) fn locate(&self, path: &Path) -> Location {
        let mut node = self;
        let mut at = &self.at;
        for step in &path.0 {
            let Some(next) = node.step(step) else { break };
            at = match (&node.data, &next.data, step) {
                (Data::Map(entries), Data::Map(_) | Data::List(_) | Data::Null, Step::Key(key)) => {
                    entries.iter().find(|entry| entry.key == *key).map_or(&next.at, |entry| &entry.at)
                }
                _ => &next.at,
            };
            node = next;
        }
        at.clone()
    }

    /// The value at a path.
    pub(crate) fn find(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| node.step(step))
    }

    fn step(&self, step: &Step) -> Option<&Self> {
        match (&self.data, step) {
            (Data::Map(_), Step::Key(key)) => self.get(key),
            (Data::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }
}

/// The way from the top to a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// Goes on by a text such as `protocols.grpc.endpoint` or `from[0]`.
    pub(crate) fn dotted(&self, text: &str) -> Self {
        let mut path = self.clone();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !key.is_empty() {
                path = path.key(key);
            }
            for index in indices.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok()) {
                path = path.index(index);
            }
        }
        path
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}
