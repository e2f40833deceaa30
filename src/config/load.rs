//! From files and options to a checked configuration.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::components::{BUILT_IN, Catalogue, ComponentKind, Setting};
use super::inspect;
use super::merge;
use super::service::Service;
use crate::document::expand::{self, Lookup};
use crate::document::problem::{Location, Problem, Problems};
use crate::document::tree::{Data, Node};
use crate::document::yaml;
use crate::pipeline::ComponentId;

/// The configuration that is used where no file is given.
pub const DEFAULT: &str = include_str!("default.yaml");

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files, each laid over those before it; none means [`DEFAULT`].
    pub files: Vec<PathBuf>,
    /// `key.path=value` options, laid over the files.
    pub set: Vec<String>,
}

/// A configuration that can be used, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings only.
    pub warnings: Problems,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Every component that is defined, used or not.
    pub(super) components: Vec<(ComponentKind, Configured)>,
    /// What runs.
    pub service: Service,
}

impl Config {
    /// A configuration without components, for tests of what uses one.
    #[cfg(test)]
    pub(crate) fn of_service(service: Service) -> Self {
        Self { components: Vec::new(), service }
    }

    /// A component by kind and id.
    pub fn component(&self, kind: ComponentKind, id: &str) -> Option<&Configured> {
        self.components
            .iter()
            .find(|(of_kind, component)| *of_kind == kind && component.id.to_string() == id)
            .map(|(_, component)| component)
    }

    /// The components of a kind that run, each once, in the order in which the service names them.
    pub fn running(&self, kind: ComponentKind) -> Vec<&Configured> {
        let pipelines = self.service.pipelines.values();
        let ids: Vec<&String> = match kind {
            ComponentKind::Receiver => pipelines.flat_map(|pipeline| &pipeline.receivers).collect(),
            ComponentKind::Processor => pipelines.flat_map(|pipeline| &pipeline.processors).collect(),
            ComponentKind::Exporter => pipelines.flat_map(|pipeline| &pipeline.exporters).collect(),
            ComponentKind::Extension => self.service.extensions.iter().collect(),
        };
        let mut running: Vec<&Configured> = Vec::new();
        for component in ids.into_iter().filter_map(|id| self.component(kind, id)) {
            if !running.iter().any(|known| known.id == component.id) {
                running.push(component);
            }
        }
        running
    }
}

/// A component's id and settings.
pub struct Configured {
    /// Its id.
    pub id: ComponentId,
    /// As JSON; holds secrets.
    pub(super) settings: Value,
    /// Where it listens: key and `host:port`.
    pub endpoints: Vec<Setting>,
}

impl Configured {
    /// The settings as the component's own struct.
    ///
    /// # Errors
    ///
    /// The struct is not the one in the component's row of the table.
    pub fn settings<C: DeserializeOwned>(&self) -> Result<C, serde_json::Error> {
        C::deserialize(&self.settings)
    }
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Configured").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Reads and checks a configuration.
///
/// # Errors
///
/// All problems, warnings among them, if one of them forbids to use it.
pub fn load(sources: &Sources, lookup: &dyn Lookup) -> Result<Loaded, Problems> {
    load_with(sources, lookup, &BUILT_IN)
}

/// Reads and checks a configuration of other components than those of this build.
pub(super) fn load_with(
    sources: &Sources,
    lookup: &dyn Lookup,
    catalogue: &Catalogue,
) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let mut root = read(sources, lookup, &mut problems);
    expand::expand(&mut root, lookup, &mut problems);
    let complete = !problems.has_errors();
    match inspect::inspect(root, complete, catalogue, &mut problems) {
        Some(config) if !problems.has_errors() => Ok(Loaded { config, warnings: problems.sorted() }),
        _ => Err(problems.sorted()),
    }
}

/// All sources as one tree.
fn read(sources: &Sources, lookup: &dyn Lookup, problems: &mut Problems) -> Node {
    let start = Location { source: "configuration".into(), line: 0, column: 0 };
    let mut root = Node::new(start, Data::Map(Vec::new()));
    let texts: Vec<(Arc<str>, std::io::Result<String>)> = match sources.files.as_slice() {
        [] => vec![("built-in default".into(), Ok(DEFAULT.to_owned()))],
        files => files
            .iter()
            .map(|file| file.to_string_lossy())
            .map(|name| {
                let text = lookup.file(&name);
                (name.into(), text)
            })
            .collect(),
    };
    for (source, text) in texts {
        match text {
            Ok(text) => match yaml::parse(&text, &source) {
                Ok(tree) => lay_over(&mut root, tree, problems),
                Err(found) => problems.extend(found),
            },
            Err(error) => {
                let at = Location { source, line: 0, column: 0 };
                problems.push(Problem::error("", Some(at), format!("cannot read the file: {error}")));
            }
        }
    }
    for option in &sources.set {
        match merge::set_option(option) {
            Ok(tree) => lay_over(&mut root, tree, problems),
            Err(found) => problems.extend(found),
        }
    }
    root
}

fn lay_over(root: &mut Node, tree: Node, problems: &mut Problems) {
    match tree.data {
        Data::Map(_) => merge::merge(root, tree),
        Data::Null => {}
        _ => {
            let message = "expected a map with `receivers`, `exporters` and `service`";
            problems.push(Problem::error("", Some(tree.at), message));
        }
    }
}
