//! YAML text to a located tree, with limits on size, depth and the number of values, aliases included.
//!
//! Scalars are read by YAML 1.2's core schema, so `on` and `no` are text, as in the Collector.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Number;

use super::problem::{Location, Problem, Problems};
use super::tree::{Data, Entry, Node};

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most values in a document, those of aliases counted each time they are used.
const MAX_VALUES: usize = 50_000;

/// Reads one YAML document. An empty one is null.
///
/// # Errors
///
/// All that is wrong with the text; a syntax error ends the reading.
pub(crate) fn parse(text: &str, source: &Arc<str>) -> Result<Node, Problems> {
    let mut builder = Builder::new(Arc::clone(source));
    if text.len() > MAX_BYTES {
        let whole = builder.location_at(1, 1);
        builder.complain(whole, format!("the file is larger than {MAX_BYTES} bytes"));
        return Err(builder.problems);
    }
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let at = builder.location_at(error.marker().line(), error.marker().col() + 1);
                Err(Problem::error("", Some(at), format!("not valid YAML: {}", error.info())))
            }
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return Err(builder.problems);
        }
    }
    let empty = Node::new(builder.location_at(1, 1), Data::Null);
    match builder.problems.is_empty() {
        true => Ok(builder.root.unwrap_or(empty)),
        false => Err(builder.problems),
    }
}

/// A list or map that is not finished yet.
struct Frame {
    at: Location,
    anchor: usize,
    /// The number of values before it.
    values_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key>, merges: Vec<Node> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    at: Location,
    /// `<<`: the value is a map whose keys are taken over.
    merges: bool,
}

struct Anchored {
    node: Node,
    values: usize,
    depth: usize,
}

struct Builder {
    source: Arc<str>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    documents: usize,
    root: Option<Node>,
    problems: Problems,
}

/// A problem that ends the reading.
type Step = Result<(), Problem>;

impl Builder {
    fn new(source: Arc<str>) -> Self {
        Self {
            source,
            stack: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
            documents: 0,
            root: None,
            problems: Problems::default(),
        }
    }

    fn location_at(&self, line: usize, column: usize) -> Location {
        Location { source: Arc::clone(&self.source), line, column }
    }

    fn complain(&mut self, at: Location, message: impl Into<String>) {
        self.problems.push(Problem::error("", Some(at), message));
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        let at = self.location_at(span.start.line(), span.start.col() + 1);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::error(
                        "",
                        Some(at),
                        "a file holds one document; give each its own file",
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, tag.as_deref(), at, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content =
                    Content::Map { entries: Vec::new(), seen: HashSet::new(), key: None, merges: Vec::new() };
                self.open(anchor, tag.as_deref(), at, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Location,
    ) -> Step {
        self.count(1, &at)?;
        if self.expects_key() {
            // A key is its text: `8080:` and `true:` are the keys "8080" and "true".
            return self.key(text, style == ScalarStyle::Plain, at);
        }
        let data = match tag {
            None if style == ScalarStyle::Plain => plain(text),
            None => Data::String(text.to_owned()),
            Some(tag) => self.tagged(text, tag, &at),
        };
        self.finish(Node::new(at, data), anchor, 1)
    }

    fn tagged(&mut self, text: &str, tag: &Tag, at: &Location) -> Data {
        match tag.suffix.as_str() {
            "str" if tag.is_yaml_core_schema() => Data::String(text.to_owned()),
            "null" | "bool" | "int" | "float" if tag.is_yaml_core_schema() => plain(text),
            _ => {
                self.complain(at.clone(), format!("the tag `{tag}` is not supported; remove it"));
                Data::String(text.to_owned())
            }
        }
    }

    fn open(&mut self, anchor: usize, tag: Option<&Tag>, at: Location, content: Content) -> Step {
        self.count(1, &at)?;
        if self.expects_key() {
            return Err(Problem::error("", Some(at), "a key must be plain text, not a list or map"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "map" | "seq")))
        {
            self.complain(at.clone(), "tags on lists and maps are not supported; remove it");
        }
        self.stack.push(Frame { at, anchor, values_before: self.values - 1, content });
        Ok(())
    }

    fn close(&mut self) -> Step {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let values = self.values - frame.values_before;
        let data = match frame.content {
            Content::List(items) => Data::List(items),
            Content::Map { mut entries, mut seen, merges, .. } => {
                for merged in merges {
                    self.merge_key(&mut entries, &mut seen, merged);
                }
                Data::Map(entries)
            }
        };
        self.finish(Node::new(frame.at, data), frame.anchor, values)
    }

    /// `<<: *base` adds the keys of `base` that the map does not have itself.
    fn merge_key(&mut self, entries: &mut Vec<Entry>, seen: &mut HashSet<String>, merged: Node) {
        match merged.data {
            Data::Map(base) => {
                entries.extend(base.into_iter().filter(|entry| seen.insert(entry.key.clone())));
            }
            Data::List(bases) if bases.iter().all(|base| matches!(base.data, Data::Map(_))) => {
                for base in bases {
                    self.merge_key(entries, seen, base);
                }
            }
            _ => self.complain(merged.at, "`<<` takes a map, or a list of maps"),
        }
    }

    fn alias(&mut self, anchor: usize, at: Location) -> Step {
        if self.expects_key() {
            return Err(Problem::error("", Some(at), "a key must be plain text, not an alias"));
        }
        let Some(Anchored { node, values, depth }) = self.anchors.get(&anchor) else {
            return Err(Problem::error("", Some(at), "an alias inside the value that it names"));
        };
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let (values, node) = (*values, node.clone());
        self.count(values, &at)?;
        self.finish(Node { at, ..node }, 0, values)
    }

    fn count(&mut self, values: usize, at: &Location) -> Step {
        self.values += values;
        match self.values > MAX_VALUES {
            true => Err(Problem::error(
                "",
                Some(at.clone()),
                format!("more than {MAX_VALUES} values, those of aliases included"),
            )),
            false => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, plain: bool, at: Location) -> Step {
        let Some(Frame { content: Content::Map { seen, key, .. }, .. }) = self.stack.last_mut() else {
            return Ok(());
        };
        let merges = plain && text == "<<";
        *key = Some(Key { text: text.to_owned(), at: at.clone(), merges });
        let new = merges || seen.insert(text.to_owned());
        if !new {
            self.complain(at, format!("the key `{text}` stands here twice; remove one of them"));
        }
        Ok(())
    }

    /// Gives a finished value its place.
    fn finish(&mut self, node: Node, anchor: usize, values: usize) -> Step {
        if anchor > 0 {
            // The kept copy takes memory like any other value.
            self.count(values, &node.at)?;
            self.anchors.insert(anchor, Anchored { depth: depth(&node), node: node.clone(), values });
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key, merges, .. }) => match key.take() {
                Some(key) if key.merges => merges.push(node),
                Some(key) => entries.push(Entry { key: key.text, at: key.at, value: node }),
                None => {}
            },
        }
        Ok(())
    }
}

fn too_deep(at: Location) -> Problem {
    Problem::error("", Some(at), format!("nested deeper than {MAX_DEPTH} levels"))
}

fn depth(node: &Node) -> usize {
    match &node.data {
        Data::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Data::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2).
pub(crate) fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Data::String(text.to_owned()), Data::Number)
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain_digits = digits.chars().all(|digit| digit.is_digit(radix));
            return plain_digits.then(|| u64::from_str_radix(digits, radix).ok()).flatten().map(Number::from);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if unsigned.chars().all(|digit| digit.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        return whole
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| whole.parse::<u64>().map(Number::from))
            .ok();
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
