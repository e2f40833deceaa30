//! Configurations with one thing wrong each, and what is said about it.

mod references;
mod service;
mod settings;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::components::{Catalogue, ComponentConfig, ComponentKind, ComponentType, Setting, Stability};
use super::load::{Loaded, Sources, load_with};
use super::{Lookup, Problems};

/// Stands in for a receiver.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Listener {
    endpoint: String,
    protocols: Protocols,
    limit: u16,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Protocols {
    grpc: Option<Protocol>,
    http: Option<Protocol>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Protocol {
    endpoint: String,
}

impl ComponentConfig for Listener {
    fn endpoints(&self) -> Vec<Setting> {
        vec![("endpoint".to_owned(), self.endpoint.clone())]
    }
}

/// Stands in for an exporter.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sender {
    uri: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "String")]
    timeout: Duration,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "String")]
    pause: Duration,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    /// As it should be.
    Enriched,
    /// As it is.
    Strict,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| D::Error::custom(format!("`{text}` is not a duration")))
}

impl ComponentConfig for Sender {
    fn problems(&self) -> Vec<Setting> {
        let mut problems = Vec::new();
        if !self.uri.contains("://") {
            problems.push(("uri".to_owned(), format!("`{}` is not a URI", self.uri)));
        }
        if self.from.iter().any(|from| from == "bad") {
            problems.push(("from[1]".to_owned(), "bad source".to_owned()));
        }
        let _ = (&self.mode, &self.headers, self.timeout, self.pause);
        problems
    }
}

const CATALOGUE: Catalogue = Catalogue {
    receivers: &[ComponentType::new::<Listener>("listener", Stability::Alpha, "listens")],
    processors: &[],
    exporters: &[ComponentType::new::<Sender>("sender", Stability::Alpha, "sends")],
    extensions: &[ComponentType::new::<Listener>("side", Stability::Alpha, "stands beside")],
};

/// Environment and files of a test.
#[derive(Default)]
struct World {
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    set: Vec<String>,
}

impl Lookup for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl World {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file_of(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn set(mut self, option: &str) -> Self {
        self.set.push(option.to_owned());
        self
    }

    fn load(&self, files: &[&str]) -> Result<Loaded, Problems> {
        let sources = Sources { files: files.iter().map(PathBuf::from).collect(), set: self.set.clone() };
        load_with(&sources, self, &CATALOGUE)
    }

    /// Loads one text as `c.yaml`.
    fn load_text(self, text: &str) -> Result<Loaded, Problems> {
        self.file_of("c.yaml", text).load(&["c.yaml"])
    }
}

/// Everything that is said about a text, one problem per line; warnings too.
fn said(text: &str) -> String {
    said_in(World::default(), text)
}

fn said_in(world: World, text: &str) -> String {
    match world.load_text(text) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(problems) => problems.to_string(),
    }
}

/// The settings of the exporter `sender` after loading.
fn sender(world: World, text: &str) -> serde_json::Value {
    let loaded = world.load_text(text).unwrap();
    loaded.config.component(ComponentKind::Exporter, "sender").unwrap().settings().unwrap()
}

/// A configuration that is right, with the exporter's settings and a pipeline to be chosen.
fn with_exporter(settings: &str) -> String {
    format!("receivers: {{listener: }}\nexporters:\n  sender: {{{settings}}}\n{SERVICE}")
}

const SERVICE: &str = "service: {pipelines: {traces: {receivers: [listener], exporters: [sender]}}}\n";
