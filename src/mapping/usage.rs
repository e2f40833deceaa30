//! Token counts and costs of spans, and their totals over the tree of a trace.

use std::collections::HashMap;

use super::python::{Dict, Number};
use crate::mlflow::records::{Cost, TokenUsage};
use crate::semconv::mlflow::{CHAT_TOKEN_USAGE, LLM_COST};

/// Members of `mlflow.chat.tokenUsage`; the first three count even when missing.
pub const TOKEN_KEYS: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
];

/// Members of `mlflow.llm.cost`.
pub const COST_KEYS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

/// How many keys of a tally a total always has.
const ALWAYS: usize = 3;

/// How often a walk may visit spans, per span: spans that repeat an id repeat their subtrees.
const VISITS_PER_SPAN: usize = 64;

/// The numbers of a span's usage or cost, by the position of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Values of [`TOKEN_KEYS`] or [`COST_KEYS`].
    pub values: [Option<Number>; 6],
    /// The first key whose value is not a number.
    pub not_a_number: Option<&'static str>,
}

impl Tally {
    /// Reads the numbers of a usage or cost object; a bool counts as 0 or 1.
    pub fn from_dict(members: &Dict, keys: &[&'static str]) -> Self {
        let mut tally = Self::default();
        for (slot, key) in tally.values.iter_mut().zip(keys) {
            let Some(member) = members.get(key) else { continue };
            *slot = member.as_number();
            if slot.is_none() {
                tally.not_a_number.get_or_insert(key);
            }
        }
        tally
    }

    /// Fills the total, the third value, where at least one of the first two is known.
    pub fn complete(&mut self) {
        if let [input, output, total @ None, ..] = &mut self.values {
            *total = match (input.as_ref(), output.as_ref()) {
                (Some(input), Some(output)) => input.plus(output).ok(),
                (known, other) => known.or(other).cloned(),
            };
        }
    }

    /// Forgets what is below zero: nobody can have used it.
    pub fn drop_negative(&mut self) {
        for value in &mut self.values {
            if value.as_ref().is_some_and(|value| value.to_f64().is_ok_and(|value| value < 0.0)) {
                *value = None;
            }
        }
    }

    /// Adds what the other has; what has grown beyond a float is lost, as it fits no column.
    fn add(&mut self, other: &Self) {
        for (sum, value) in self.values.iter_mut().zip(&other.values) {
            let Some(value) = value else { continue };
            let added = sum.as_ref().map_or_else(|| Ok(value.clone()), |sum| sum.plus(value));
            *sum = Some(added.unwrap_or(Number::Float(f64::NAN)));
        }
    }

    fn zero(number: &Number) -> Self {
        let values = std::array::from_fn(|index| (index < ALWAYS).then(|| number.clone()));
        Self { values, not_a_number: None }
    }

    /// The tally as token columns; what is not a 64-bit integer is left out.
    pub fn to_tokens(&self) -> TokenUsage {
        let [input, output, total, cache_read, cache_creation, cache_creation_above_1hr] =
            self.values.each_ref().map(|value| value.as_ref().and_then(Number::to_i64_column));
        TokenUsage { input, output, total, cache_read, cache_creation, cache_creation_above_1hr }
    }

    /// The tally as cost columns; what is not finite is left out.
    pub fn to_cost(&self) -> Cost {
        let finite = |value: &Number| value.to_f64().ok().filter(|value| value.is_finite());
        let [input, output, total, ..] = self.values.each_ref().map(|value| value.as_ref().and_then(finite));
        Cost { input, output, total }
    }
}

/// A span as totals see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    /// 16 hex digits.
    pub(super) span_id: &'a str,
    /// 16 hex digits, or none for a root.
    pub(super) parent_span_id: Option<&'a str>,
    /// Token counts.
    pub(super) tokens: Option<&'a Tally>,
    /// Cost.
    pub(super) cost: Option<&'a Tally>,
}

/// The spans of a trace by their parents.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    roots: Vec<usize>,
    children: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Tree<'a> {
    /// Sorts spans under their parents; one whose parent is not among them is a root.
    pub(super) fn new(nodes: Vec<Node<'a>>) -> Self {
        let mut children: HashMap<&str, Vec<usize>> =
            nodes.iter().map(|node| (node.span_id, vec![])).collect();
        let mut roots = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            match node.parent_span_id.and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(index),
                None => roots.push(index),
            }
        }
        Self { nodes, roots, children }
    }

    /// Sum of the token counts; none if no span that counts has any.
    pub(super) fn tokens(&self) -> Option<Tally> {
        self.total(Tally::zero(&Number::zero()), |node| node.tokens)
    }

    /// Sum of the costs; none if no span that counts has any.
    pub(super) fn cost(&self) -> Option<Tally> {
        self.total(Tally::zero(&Number::Float(0.0)), |node| node.cost)
    }

    /// Spans with usage or a cost that counts but cannot be added up: position, attribute, key.
    pub(super) fn unusable(&self) -> Vec<(usize, &'static str, &'static str)> {
        let mut found = Vec::new();
        self.walk(
            |node| node.tokens,
            |index, tally| found.extend(tally.not_a_number.map(|key| (index, CHAT_TOKEN_USAGE, key))),
        );
        self.walk(
            |node| node.cost,
            |index, tally| found.extend(tally.not_a_number.map(|key| (index, LLM_COST, key))),
        );
        found.sort_unstable();
        found.dedup();
        found
    }

    fn total(&self, mut sum: Tally, data: impl Fn(&Node<'a>) -> Option<&'a Tally>) -> Option<Tally> {
        let mut found = false;
        self.walk(data, |_, tally| {
            sum.add(tally);
            found = true;
        });
        found.then_some(sum)
    }

    /// Visits what the topmost spans with data have, in the order in which MLflow adds it up.
    ///
    /// Spans in a cycle are never reached. Spans that repeat an id share their children, which are
    /// then visited once for each; that can grow without bound, so it ends after a while.
    fn walk(&self, data: impl Fn(&Node<'a>) -> Option<&'a Tally>, mut visit: impl FnMut(usize, &'a Tally)) {
        let mut left = self.nodes.len().saturating_mul(VISITS_PER_SPAN);
        let mut stack: Vec<(usize, bool)> = self.roots.iter().map(|root| (*root, false)).collect();
        while let Some((index, covered)) = stack.pop() {
            let Some(node) = self.nodes.get(index).filter(|_| left > 0) else { break };
            left -= 1;
            let tally = data(node);
            if let (Some(tally), false) = (tally, covered) {
                visit(index, tally);
            }
            let covered = covered || tally.is_some();
            let children = self.children.get(node.span_id).into_iter().flatten();
            stack.extend(children.map(|child| (*child, covered)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::python::Value;

    fn tally(values: &[i64]) -> Tally {
        let mut tally = Tally::default();
        for (slot, value) in tally.values.iter_mut().zip(values) {
            *slot = Some(Number::Int((*value).into()));
        }
        tally
    }

    fn node<'a>(span_id: &'a str, parent: &'a str, tokens: Option<&'a Tally>) -> Node<'a> {
        let parent_span_id = Some(parent).filter(|parent| !parent.is_empty());
        Node { span_id, parent_span_id, tokens, cost: None }
    }

    #[test]
    fn topmost_span_with_usage_covers_its_branch() {
        let (outer, inner, other) = (tally(&[10, 1, 11]), tally(&[7, 7, 14]), tally(&[1, 2, 3]));
        let nodes = vec![
            node("inner", "outer", Some(&inner)),
            node("outer", "root", Some(&outer)),
            node("root", "", None),
            node("other", "absent", Some(&other)),
        ];
        let total = Tree::new(nodes).tokens().unwrap().to_tokens();
        assert_eq!((total.input, total.output, total.total), (Some(11), Some(3), Some(14)));
        assert_eq!(total.cache_read, None);
    }

    #[test]
    fn spans_in_a_cycle_do_not_count() {
        let usage = tally(&[1, 1, 2]);
        let nodes = vec![node("a", "b", Some(&usage)), node("b", "a", None), node("c", "c", Some(&usage))];
        assert_eq!(Tree::new(nodes).tokens(), None);
    }

    #[test]
    fn missing_members_count_zero_and_cache_members_stay_absent() {
        let usage = tally(&[5]);
        let total = Tree::new(vec![node("a", "", Some(&usage))]).tokens().unwrap().to_tokens();
        assert_eq!(
            (total.input, total.output, total.total, total.cache_read),
            (Some(5), Some(0), Some(0), None)
        );
    }

    #[test]
    fn repeated_ids_in_a_deep_chain_end() {
        let usage = tally(&[1]);
        let ids: Vec<String> = (0..64).map(|depth| format!("{depth:016x}")).collect();
        let mut nodes = Vec::new();
        for (depth, id) in ids.iter().enumerate() {
            let parent = if depth == 0 { "" } else { ids[depth - 1].as_str() };
            nodes.push(node(id, parent, None));
            nodes.push(node(id, parent, (depth == 63).then_some(&usage)));
        }
        assert!(Tree::new(nodes).tokens().is_some());
    }

    #[test]
    fn unusable_members_are_named_unless_covered() {
        let good = tally(&[1]);
        let bad = Tally { not_a_number: Some("output_tokens"), ..Tally::default() };
        let covered = vec![node("a", "", Some(&good)), node("b", "a", Some(&bad))];
        assert_eq!(Tree::new(covered).unusable(), vec![]);
        let bare = vec![node("a", "", None), node("b", "a", Some(&bad))];
        assert_eq!(Tree::new(bare).unusable(), vec![(1, CHAT_TOKEN_USAGE, "output_tokens")]);
    }

    #[test]
    fn members_that_are_no_numbers_are_named() {
        let members = Dict::from_iter([("input_tokens", Value::from(3)), ("total_tokens", Value::from("3"))]);
        let tally = Tally::from_dict(&members, &TOKEN_KEYS);
        assert_eq!(tally.values[0], Some(Number::Int(3.into())));
        assert_eq!(tally.not_a_number, Some("total_tokens"));
    }
}
