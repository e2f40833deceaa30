//! Several files and `--set` options to one tree: maps merge, everything else is replaced.

use std::sync::Arc;

use crate::document::problem::{Location, Problem, Problems};
use crate::document::tree::{Data, Entry, Node};
use crate::document::yaml;

/// Lays one tree over another, as the Collector does with its `--config` files.
pub(super) fn merge(base: &mut Node, over: Node) {
    match (&mut base.data, over.data) {
        (Data::Map(entries), Data::Map(overlay)) => {
            for entry in overlay {
                match entries.iter_mut().find(|existing| existing.key == entry.key) {
                    Some(existing) => {
                        merge(&mut existing.value, entry.value);
                        existing.at = entry.at;
                    }
                    None => entries.push(entry),
                }
            }
        }
        (data, overlay) => {
            *data = overlay;
            base.at = over.at;
        }
    }
}

/// The tree that one `--set key.path=value` stands for; the value is YAML.
///
/// # Errors
///
/// No `=`, an empty key, or a value that is not YAML.
pub(super) fn set_option(option: &str) -> Result<Node, Problems> {
    let Some((path, value)) = option.split_once('=') else {
        return Err(one_problem("--set", "is not of the form key.path=value"));
    };
    let source: Arc<str> = format!("--set {path}").into();
    let keys: Vec<&str> = path.trim().split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(one_problem(&source, "has an empty key; write key.path=value"));
    }
    let mut node = yaml::parse(value, &source)?;
    let at = Location { source, line: 0, column: 0 };
    relocate(&mut node, &at);
    for key in keys.into_iter().rev() {
        let entry = Entry { key: key.to_owned(), at: at.clone(), value: node };
        node = Node::new(at.clone(), Data::Map(vec![entry]));
    }
    Ok(node)
}

/// Lines and columns mean nothing on a command line.
fn relocate(node: &mut Node, at: &Location) {
    node.at = at.clone();
    match &mut node.data {
        Data::List(items) => items.iter_mut().for_each(|item| relocate(item, at)),
        Data::Map(entries) => {
            for entry in entries {
                entry.at = at.clone();
                relocate(&mut entry.value, at);
            }
        }
        _ => {}
    }
}

fn one_problem(source: &str, message: &str) -> Problems {
    let mut problems = Problems::default();
    let at = Location { source: source.into(), line: 0, column: 0 };
    problems.push(Problem::error("", Some(at), message));
    problems
}
