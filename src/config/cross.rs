//! Checks that concern several components: pipelines, references, addresses.

use std::collections::{BTreeMap, BTreeSet};

use super::components::{Catalogue, ComponentKind, Setting};
use super::service::{PipelineConfig, Service};
use crate::document::problem::{Problem, Problems};
use crate::document::suggest;
use crate::document::tree::{Data, Node, Path};

/// A component in the configuration with what it listens on.
pub(super) struct Defined {
    pub(super) kind: ComponentKind,
    pub(super) id: String,
    pub(super) endpoints: Vec<Setting>,
}

impl Defined {
    pub(super) fn path(&self) -> Path {
        Path::of(&[self.kind.section(), &self.id])
    }
}

/// Checks what the components and the service say about each other.
pub(super) fn check(root: &Node, defined: &[Defined], service: &Service, problems: &mut Problems) {
    let mut check = Cross { root, defined, problems, used: BTreeSet::new() };
    check.references(ComponentKind::Extension, &service.extensions, &Path::of(&["service", "extensions"]));
    check.pipelines(&service.pipelines);
    check.unused();
    check.addresses();
}

struct Cross<'a> {
    root: &'a Node,
    defined: &'a [Defined],
    problems: &'a mut Problems,
    /// Section and id of each component that runs.
    used: BTreeSet<(&'static str, &'a str)>,
}

impl<'a> Cross<'a> {
    fn pipelines(&mut self, pipelines: &BTreeMap<String, PipelineConfig>) {
        let path = Path::of(&["service", "pipelines"]);
        if pipelines.is_empty() {
            return self.error(&path, "there is no pipeline; add `traces` with its receivers and exporters");
        }
        for (id, pipeline) in pipelines {
            let here = path.key(id);
            if let Some(message) = refuse_signal(id) {
                self.error(&here, &message);
                continue;
            }
            let members = [
                (ComponentKind::Receiver, &pipeline.receivers),
                (ComponentKind::Processor, &pipeline.processors),
                (ComponentKind::Exporter, &pipeline.exporters),
            ];
            for (kind, ids) in members {
                let list = here.key(kind.section());
                if ids.is_empty() && kind != ComponentKind::Processor {
                    self.error(&list, &format!("a pipeline needs at least one {}", kind.noun()));
                }
                self.references(kind, ids, &list);
            }
        }
    }

    fn references(&mut self, kind: ComponentKind, ids: &[String], path: &Path) {
        for (index, id) in ids.iter().enumerate() {
            let here = path.index(index);
            if ids.iter().take(index).any(|earlier| earlier == id) {
                self.error(&here, &format!("`{id}` stands in this list twice; remove one of them"));
            }
            let of_kind = self.defined.iter().filter(|defined| defined.kind == kind);
            if let Some(defined) = of_kind.clone().find(|defined| defined.id == *id) {
                self.used.insert((kind.section(), &defined.id));
            } else if self.root.get(kind.section()).and_then(|section| section.get(id)).is_none() {
                // What stands in the section and is not usable was reported there.
                let hint = suggest::hint(id, of_kind.map(|defined| defined.id.as_str()));
                let message =
                    format!("the {} `{id}` is not defined under `{}`{hint}", kind.noun(), kind.section());
                self.error(&here, &message);
            }
        }
    }

    fn unused(&mut self) {
        for defined in self.defined {
            if self.used.contains(&(defined.kind.section(), defined.id.as_str())) {
                continue;
            }
            let place = match defined.kind {
                ComponentKind::Extension => "`service.extensions` does not list it",
                _ => "no pipeline uses it",
            };
            let path = defined.path();
            let message = format!("the {} is defined, but {place}", defined.kind.noun());
            self.problems.push(Problem::warning(path.to_string(), Some(self.root.locate(&path)), message));
        }
    }

    /// Two listeners cannot share an address.
    fn addresses(&mut self) {
        let mut taken: Vec<(Address, Path)> = Vec::new();
        for defined in self.defined {
            if !self.used.contains(&(defined.kind.section(), defined.id.as_str())) {
                continue;
            }
            for (key, endpoint) in &defined.endpoints {
                let Some(address) = Address::parse(endpoint) else { continue };
                let path = defined.path().dotted(key);
                match taken.iter().find(|(other, _)| other.overlaps(&address)) {
                    Some((_, other)) => {
                        let message =
                            format!("listens on the same address as {other}; change one of the ports");
                        self.error(&path, &message);
                    }
                    None => taken.push((address, path)),
                }
            }
        }
    }

    fn error(&mut self, path: &Path, message: &str) {
        self.problems.push(Problem::error(path.to_string(), Some(self.root.locate(path)), message));
    }
}

/// Why a pipeline id is not one of traces.
fn refuse_signal(id: &str) -> Option<String> {
    let (signal, name) = id.split_once('/').map_or((id, None), |(signal, name)| (signal, Some(name)));
    match signal {
        "traces" if name == Some("") => Some("the name after the slash is empty".to_owned()),
        "traces" => None,
        "metrics" | "logs" | "profiles" => {
            Some(format!("{signal} pipelines are not supported, only traces: MLflow stores nothing else"))
        }
        _ => Some(format!("unknown signal `{signal}`{}", suggest::hint(signal, ["traces"]))),
    }
}

/// Host and port to listen on.
struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn parse(endpoint: &str) -> Option<Self> {
        let (host, port) = endpoint.rsplit_once(':')?;
        let host = match host {
            "" | "0.0.0.0" | "[::]" => "*",
            "localhost" => "127.0.0.1",
            other => other,
        };
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Port 0 is a free port each time.
    fn overlaps(&self, other: &Self) -> bool {
        self.port != 0
            && self.port == other.port
            && (self.host == other.host || self.host == "*" || other.host == "*")
    }
}

/// Notes what is wrong with the ids of a section, and returns those that can be used.
pub(super) fn ids<'a>(
    kind: ComponentKind,
    section: &'a Node,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Vec<&'a str> {
    let Data::Map(entries) = &section.data else { return Vec::new() };
    let mut good = Vec::new();
    for entry in entries {
        let (name, rest) =
            entry.key.split_once('/').map_or((entry.key.as_str(), None), |(a, b)| (a, Some(b)));
        let message = if rest.is_some_and(|rest| rest.trim().is_empty()) {
            "the name after the slash is empty".to_owned()
        } else if catalogue.find(kind, name).is_none() {
            let hint = suggest::hint(name, catalogue.of(kind).iter().map(|component| component.name));
            format!("unknown {} type `{name}`{hint}", kind.noun())
        } else {
            good.push(entry.key.as_str());
            continue;
        };
        let path = Path::of(&[kind.section(), &entry.key]);
        problems.push(Problem::error(path.to_string(), Some(entry.at.clone()), message));
    }
    good
}
