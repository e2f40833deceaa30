//! References in values: `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`; `$$` is a `$`.
//!
//! A value that is one reference and nothing else takes the type that its content has as YAML; inside a
//! longer text the content goes in as it is. What the environment holds is not expanded again.
//! `${span.…}` and `${resource.…}` are templates of the exporters and stay.

use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::tree::{Data, Node, Origin, Path};
use super::yaml;

/// How deep files may refer to files, and defaults to other references.
const MAX_NESTING: usize = 8;
/// The most text that all references together may bring in, in bytes.
const MAX_EXPANDED: usize = 4 * 1024 * 1024;

/// Where the content of references comes from.
pub trait Lookup {
    /// An environment variable; `None` where it is not set.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file's text.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not UTF-8, or is too large.
    fn file(&self, path: &str) -> std::io::Result<String>;
}

/// The environment and files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Lookup for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        use std::io::Read as _;
        let mut text = String::new();
        // One byte more than allowed shows that the file is too large, without reading all of it.
        std::fs::File::open(path)?.take(yaml::MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Replaces the references in a tree.
pub(crate) fn expand(node: &mut Node, lookup: &dyn Lookup, problems: &mut Problems) {
    let mut expander = Expander { lookup, problems, budget: MAX_EXPANDED };
    expander.node(node, &Path::default(), 0);
}

struct Expander<'a> {
    lookup: &'a dyn Lookup,
    problems: &'a mut Problems,
    budget: usize,
}

/// What a reference gave.
struct Content {
    text: String,
    /// The file that it was read from.
    file: Option<Arc<str>>,
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, path: &Path, nesting: usize) {
        match &mut node.data {
            Data::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &path.index(index), nesting);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    self.node(&mut entry.value, &path.key(&entry.key), nesting);
                }
            }
            Data::String(text) if text.contains('$') => {
                let text = std::mem::take(text);
                if let Err(message) = self.scalar(node, &text, path, nesting) {
                    node.data = Data::Unknown;
                    self.problems.push(Problem::error(path.to_string(), Some(node.at.clone()), message));
                }
            }
            _ => {}
        }
    }

    fn scalar(&mut self, node: &mut Node, text: &str, path: &Path, nesting: usize) -> Result<(), String> {
        let pieces = pieces(text)?;
        let mut warnings = Vec::new();
        if let [Piece::Reference(reference)] = pieces.as_slice()
            && let Some(content) = self.resolve(reference, nesting, &mut warnings)?
        {
            self.whole(node, text, content, path, nesting);
            self.warn(node, path, warnings);
            return Ok(());
        }
        let mut parts = Vec::new();
        let value = self.join(&pieces, nesting, &mut warnings, &mut parts)?;
        if !parts.is_empty() {
            node.origin = Some(Arc::new(Origin { text: text.to_owned(), value: value.clone(), parts }));
        }
        node.data = Data::String(value);
        self.warn(node, path, warnings);
        Ok(())
    }

    fn warn(&mut self, node: &Node, path: &Path, warnings: Vec<String>) {
        for warning in warnings {
            self.problems.push(Problem::warning(path.to_string(), Some(node.at.clone()), warning));
        }
    }

    /// A value that is one reference: its content as YAML, or as text where it is not YAML.
    fn whole(&mut self, node: &mut Node, reference: &str, content: Content, path: &Path, nesting: usize) {
        let source = content.file.clone().unwrap_or_else(|| Arc::clone(&node.at.source));
        let parsed = yaml::parse(&content.text, &source).map(|parsed| parsed.data);
        node.data = match parsed {
            // Text stays as it is: YAML would cut a comment off it, or take its quotes away.
            Ok(Data::String(_)) | Err(_) => Data::String(content.text.clone()),
            Ok(data) => data,
        };
        if content.file.is_none() {
            hide(node, &Origin::whole(reference, content.text));
        } else {
            node.origin = Some(Origin::whole(reference, content.text));
            if !matches!(node.data, Data::String(_)) {
                self.node(node, path, nesting + 1);
            }
        }
    }

    /// The text of pieces in a row; `parts` gets each reference with its content.
    fn join(
        &mut self,
        pieces: &[Piece<'_>],
        nesting: usize,
        warnings: &mut Vec<String>,
        parts: &mut Vec<(String, String)>,
    ) -> Result<String, String> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Reference(reference) => match self.resolve(reference, nesting, warnings)? {
                    Some(content) => {
                        text.push_str(&content.text);
                        parts.push((format!("${{{reference}}}"), content.text));
                    }
                    None => text.push_str(&format!("${{{reference}}}")),
                },
            }
        }
        Ok(text)
    }

    /// The content of a reference, or `None` for a template that stays.
    fn resolve(
        &mut self,
        reference: &str,
        nesting: usize,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Content>, String> {
        if is_template(reference) {
            return Ok(None);
        }
        if nesting >= MAX_NESTING {
            return Err(format!("references are nested deeper than {MAX_NESTING} levels"));
        }
        let content = match reference.split_once(':') {
            Some(("file", path)) => self.file(path)?,
            Some(("env", variable)) => self.variable(variable, nesting, warnings)?,
            Some((_, default)) if default.starts_with('-') => self.variable(reference, nesting, warnings)?,
            Some((scheme, _)) => {
                return Err(format!(
                    "`{scheme}` is not a source of values; use ${{env:NAME}} or ${{file:PATH}}, or write $${{ for the characters themselves"
                ));
            }
            None => self.variable(reference, nesting, warnings)?,
        };
        self.budget = self.budget.checked_sub(content.text.len()).ok_or_else(|| {
            format!("the references of this configuration bring in more than {MAX_EXPANDED} bytes")
        })?;
        Ok(Some(content))
    }

    fn file(&self, path: &str) -> Result<Content, String> {
        let text =
            self.lookup.file(path).map_err(|error| format!("cannot read the file `{path}`: {error}"))?;
        if text.len() > yaml::MAX_BYTES {
            return Err(format!("the file `{path}` is larger than {} bytes", yaml::MAX_BYTES));
        }
        // Editors and secret stores end a file with a line break that is no part of the value.
        Ok(Content { text: text.trim_end_matches(['\n', '\r']).to_owned(), file: Some(path.into()) })
    }

    fn variable(
        &mut self,
        text: &str,
        nesting: usize,
        warnings: &mut Vec<String>,
    ) -> Result<Content, String> {
        let (name, default) = match text.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (text, None),
        };
        if !is_variable_name(name) {
            return Err(format!(
                "`{name}` is not the name of an environment variable; write $${{ for the characters themselves"
            ));
        }
        let text = match (self.lookup.variable(name), default) {
            (Some(value), _) => value,
            (None, Some(default)) => self.join(&pieces(default)?, nesting + 1, warnings, &mut Vec::new())?,
            (None, None) => {
                warnings.push(format!(
                    "the environment variable {name} is not set, so the value is empty; set it, or write ${{env:{name}:-default}}"
                ));
                String::new()
            }
        };
        Ok(Content { text, file: None })
    }
}

/// A template that an exporter fills in per span.
fn is_template(reference: &str) -> bool {
    reference.starts_with("span.") || reference.starts_with("resource.")
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Marks a value and all inside it as what a reference gave, at the place of the reference.
fn hide(node: &mut Node, origin: &Arc<Origin>) {
    node.origin = Some(Arc::clone(origin));
    let at = node.at.clone();
    match &mut node.data {
        Data::List(items) => {
            for item in items {
                item.at = at.clone();
                hide(item, &item_origin(item, origin));
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                entry.at = at.clone();
                entry.value.at = at.clone();
                let own = item_origin(&entry.value, origin);
                hide(&mut entry.value, &own);
            }
        }
        _ => {}
    }
}

/// Inside a list or map from the environment, each text hides itself.
fn item_origin(node: &Node, origin: &Arc<Origin>) -> Arc<Origin> {
    match &node.data {
        Data::String(value) => Origin::whole(&origin.text, value.clone()),
        Data::Number(value) => Origin::whole(&origin.text, value.to_string()),
        _ => Arc::clone(origin),
    }
}

enum Piece<'a> {
    Text(&'a str),
    /// What stands between `${` and `}`.
    Reference(&'a str),
}

/// Splits a text at its references; `$$` becomes `$`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, from) = rest.split_at(at);
        pieces.push(Piece::Text(plain));
        rest = if let Some(after) = from.strip_prefix("$$") {
            pieces.push(Piece::Text("$"));
            after
        } else if let Some(after) = from.strip_prefix("${") {
            let end = closing_brace(after)
                .ok_or("`${` is never closed; write $${ for the characters themselves")?;
            let (reference, after) = after.split_at(end);
            pieces.push(Piece::Reference(reference));
            after.strip_prefix('}').unwrap_or(after)
        } else {
            pieces.push(Piece::Text("$"));
            from.strip_prefix('$').unwrap_or(from)
        };
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| !matches!(piece, Piece::Text("")));
    Ok(pieces)
}

/// Where the reference ends; references in its default value are skipped.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = letter;
    }
    None
}
