//! The checks of one tree: its sections, each component by its schema and by itself, the service.

use serde_json::Value;

use super::components::{Catalogue, ComponentKind, ComponentType, Setting};
use super::cross::{self, Defined};
use super::load::{Config, Configured};
use super::schema::Schemas;
use super::service::Service;
use crate::document::check;
use crate::document::problem::{Problem, Problems};
use crate::document::suggest;
use crate::document::tree::{Data, Node, Origin, Path};
use crate::pipeline::ComponentId;

/// Texts of references shorter than this are hidden only where their own key is meant: hiding every
/// `1` of a message would leave nothing to read.
const MIN_HIDDEN: usize = 4;

/// Checks a tree. The checks across components need all sources: without, they would blame what is
/// missing on the wrong place.
pub(super) fn inspect(
    mut root: Node,
    complete: bool,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Option<Config> {
    let schemas = Schemas::new(catalogue);
    check_sections(&mut root, problems);
    let mut defined = Vec::new();
    let mut components = Vec::new();
    for kind in ComponentKind::ALL {
        let Some(section) = root.get(kind.section()) else { continue };
        let ids: Vec<String> =
            cross::ids(kind, section, catalogue, problems).into_iter().map(str::to_owned).collect();
        for id in ids {
            let (settings, endpoints) = check_component(&mut root, kind, &id, catalogue, &schemas, problems);
            let configured =
                Configured { id: ComponentId::parse(&id), settings, endpoints: endpoints.clone() };
            components.push((kind, configured));
            defined.push(Defined { kind, id, endpoints });
        }
    }
    if !complete && root.get("service").is_none() {
        return None;
    }
    let service = check_service(&mut root, &schemas, problems)?;
    if complete {
        cross::check(&root, &defined, &service, problems);
    }
    Some(Config { components, service })
}

/// The keys of the top level; each holds a map.
fn check_sections(root: &mut Node, problems: &mut Problems) {
    let Data::Map(entries) = &mut root.data else { return };
    let sections = ComponentKind::ALL.map(ComponentKind::section);
    let known = sections.iter().copied().chain(["service"]);
    for entry in entries {
        if !known.clone().any(|section| section == entry.key) {
            let message = format!("unknown key `{}`{}", entry.key, suggest::hint(&entry.key, known.clone()));
            problems.push(Problem::error(entry.key.clone(), Some(entry.at.clone()), message));
            continue;
        }
        match entry.value.data {
            Data::Map(_) => {}
            Data::Null => entry.value.data = Data::Map(Vec::new()),
            Data::Unknown => {}
            _ => {
                let at = Some(entry.value.at.clone());
                problems.push(Problem::error(entry.key.clone(), at, "expected a map"));
            }
        }
    }
}

/// Checks one component: by its schema, and what that leaves by the component itself.
fn check_component(
    root: &mut Node,
    kind: ComponentKind,
    id: &str,
    catalogue: &Catalogue,
    schemas: &Schemas,
    problems: &mut Problems,
) -> (Value, Vec<Setting>) {
    let path = Path::of(&[kind.section(), id]);
    let name = ComponentId::parse(id).kind().to_owned();
    let component = catalogue.find(kind, &name).zip(schemas.component(kind, &name));
    let (Some((component, schema)), Some(node)) = (component, root.get_mut(&[kind.section(), id])) else {
        return (Value::Null, Vec::new());
    };
    if matches!(node.data, Data::Null) {
        node.data = Data::Map(Vec::new());
    }
    let mut found = Problems::default();
    check::check(node, schema, &schemas.definitions, &path, &mut found);
    let settings = node.to_json();
    let sound = found.is_empty() && node.is_known();
    let endpoints = judge(component, &settings, node, &path, sound, &mut found);
    problems.extend(found);
    (settings, endpoints)
}

/// Lets the component judge its settings; returns where it listens. What does not fit the schema has
/// been left out of them: that it is missing then is no news.
fn judge(
    component: &ComponentType,
    settings: &Value,
    node: &Node,
    path: &Path,
    sound: bool,
    problems: &mut Problems,
) -> Vec<Setting> {
    let inspection = (component.inspect)(settings);
    for (key, message) in inspection.problems {
        if !sound && message.starts_with("missing field") {
            continue;
        }
        let relative = Path::default().dotted(&key);
        let message = without_secrets(&message, node, &relative);
        problems.push(Problem::error(path.dotted(&key).to_string(), Some(node.locate(&relative)), message));
    }
    inspection.endpoints
}

/// Puts the references back in the place of what they gave: a component does not know that its value
/// came from the environment, and may repeat it.
fn without_secrets(message: &str, component: &Node, key: &Path) -> String {
    let mut hidden: Vec<(String, String)> = Vec::new();
    let mut hide = |origin: &Origin, shortest: usize| {
        let values = origin.hidden().filter(|(value, _)| value.len() >= shortest);
        hidden.extend(values.map(|(value, text)| (value.to_owned(), text.to_owned())));
    };
    component.each_origin(&mut |origin| hide(origin, MIN_HIDDEN));
    if let Some(origin) = component.find(key).and_then(|node| node.origin.as_ref()) {
        hide(origin, 1);
    }
    // The longest first, or a part of it would be replaced and the rest shown.
    hidden.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    let mut message = message.to_owned();
    for (value, text) in hidden {
        message = message.replace(&value, &text);
    }
    message
}

/// Checks the `service` section by its schema.
fn check_service(root: &mut Node, schemas: &Schemas, problems: &mut Problems) -> Option<Service> {
    let path = Path::of(&["service"]);
    let Some(node) = root.get_mut(&["service"]) else {
        problems.push(Problem::error("service", None, "the key `service` is missing"));
        return None;
    };
    let mut found = Problems::default();
    check::check(node, &schemas.service, &schemas.definitions, &path, &mut found);
    let service = match found.is_empty() && node.is_known() {
        true => serde_json::from_value(node.to_json())
            .map_err(|error| {
                let message = without_secrets(&error.to_string(), node, &Path::default());
                found.push(Problem::error("service", Some(node.at.clone()), message));
            })
            .ok(),
        false => None,
    };
    problems.extend(found);
    service
}
