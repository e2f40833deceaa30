//! Dictionaries as Python has them.

use indexmap::IndexMap;

use super::{Text, Value};

/// A Python dictionary with string keys.
///
/// Keeps the order of insertion; a key that comes again keeps its place and takes the new value.
/// Equality ignores the order, as in Python.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dict(IndexMap<Text, Value>);

impl Dict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key.as_bytes())
    }

    /// Whether the dictionary has a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key.as_bytes())
    }

    /// Sets a key; gives the value that it had.
    pub fn insert(&mut self, key: impl Into<Text>, value: Value) -> Option<Value> {
        self.0.insert(key.into(), value)
    }

    /// Removes a key, and keeps the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key.as_bytes())
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Value)> {
        self.0.iter()
    }

    pub(super) fn entries(&self) -> indexmap::map::Iter<'_, Text, Value> {
        self.0.iter()
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl IntoIterator for Dict {
    type Item = (Text, Value);
    type IntoIter = indexmap::map::IntoIter<Text, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
