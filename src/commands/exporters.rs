//! The exporters in force, and what each was made of: at a reload, one whose settings and files are the same stays.
//!
//! ```text
//! receivers ─> pipeline ─> [queue, processors: built around the node, and untouched by a reload] ─> node ─> exporter
//! ```
//!
//! A pipeline holds the node ([`Swap`]), not the exporter. Whatever stands between them keeps its state, its files and
//! its locks when the exporter behind the node is exchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::lifecycle::RunError;
use super::summary::Destination;
use super::{build, build::BuiltExporter};
use crate::config::{ComponentKind, Config, Configured};
use crate::pipeline::{Swap, TraceExporter};
use crate::telemetry::{Health, Telemetry};

/// Exporters as pipelines see them, by id.
pub(super) type Nodes = BTreeMap<String, Arc<dyn TraceExporter>>;

/// The exporters in force.
#[derive(Default)]
pub(super) struct Exporters(BTreeMap<String, Made>);

#[derive(Clone)]
struct Made {
    node: Arc<Swap>,
    of: Fingerprint,
    /// What the exporter behind the node says of itself.
    health: Health,
}

/// Other exporters than those in force: connected, and in no pipeline yet.
#[derive(Default)]
pub(super) struct Prepared {
    all: BTreeMap<String, Made>,
    /// For a node that is in force already.
    exchanged: Vec<(Arc<Swap>, Arc<dyn TraceExporter>)>,
    /// Nodes that are new.
    added: Vec<Arc<Swap>>,
    /// What the new exporters write to.
    pub(super) destinations: Vec<(String, Destination)>,
}

impl Exporters {
    /// Connects every exporter of a configuration that is not in force in just this form.
    ///
    /// # Errors
    ///
    /// One of them cannot start; those that could are stopped.
    pub(super) async fn prepare(&self, config: &Config, telemetry: &Telemetry) -> Result<Prepared, RunError> {
        let mut prepared = Prepared::default();
        for configured in config.running(ComponentKind::Exporter) {
            if let Err(error) = self.prepare_one(configured, telemetry, &mut prepared).await {
                prepared.abandon().await;
                return Err(error);
            }
        }
        Ok(prepared)
    }

    async fn prepare_one(
        &self,
        configured: &Configured,
        telemetry: &Telemetry,
        prepared: &mut Prepared,
    ) -> Result<(), RunError> {
        let id = configured.id.to_string();
        let of = Fingerprint::of(configured);
        let known = self.0.get(&id);
        if let Some(same) = known.filter(|known| known.of == of) {
            prepared.all.insert(id, same.clone());
            return Ok(());
        }
        // Nobody hears of it before it is in force.
        let beside = Telemetry { health: Health::default(), ..telemetry.clone() };
        let BuiltExporter { exporter, destination } = build::build_exporter(configured, &beside).await?;
        prepared.destinations.push((id.clone(), destination));
        let node = match known {
            Some(known) => {
                prepared.exchanged.push((Arc::clone(&known.node), exporter));
                Arc::clone(&known.node)
            }
            None => {
                let node = Arc::new(Swap::new(exporter));
                prepared.added.push(Arc::clone(&node));
                node
            }
        };
        prepared.all.insert(id, Made { node, of, health: beside.health });
        Ok(())
    }

    /// Puts the prepared exporters in force. Returns what they replace, which no new request reaches, and the nodes
    /// that are configured no more.
    pub(super) fn put(
        &mut self,
        prepared: Prepared,
        health: &Health,
    ) -> (Vec<Arc<dyn TraceExporter>>, Nodes) {
        for (id, made) in &prepared.all {
            health.include(format!("exporters.{id}"), made.health.clone());
        }
        let exchanged = prepared.exchanged.into_iter();
        let replaced = exchanged.map(|(node, exporter)| node.replace(exporter)).collect();
        let before = std::mem::replace(&mut self.0, prepared.all);
        let mut gone = Nodes::new();
        for (id, made) in before.into_iter().filter(|(id, _)| !self.0.contains_key(id)) {
            health.exclude(&format!("exporters.{id}"));
            gone.insert(id, made.node);
        }
        (replaced, gone)
    }

    /// As pipelines see them.
    pub(super) fn nodes(&self) -> Nodes {
        nodes(&self.0)
    }
}

impl Prepared {
    /// As pipelines will see them.
    pub(super) fn nodes(&self) -> Nodes {
        nodes(&self.all)
    }

    /// Stops what was prepared for nothing.
    pub(super) async fn abandon(self) {
        for (_, exporter) in self.exchanged {
            exporter.shutdown().await;
        }
        for node in self.added {
            node.shutdown().await;
        }
    }
}

fn nodes(made: &BTreeMap<String, Made>) -> Nodes {
    made.iter().map(|(id, made)| (id.clone(), Arc::clone(&made.node) as Arc<dyn TraceExporter>)).collect()
}

/// What an exporter was made of: its settings, and the content of the files that they name. A digest, for there are
/// secrets among them.
#[derive(Clone, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(configured: &Configured) -> Self {
        let mut digest = Sha256::new();
        // Any settings are JSON.
        let settings: Value = configured.settings().unwrap_or_default();
        digest.update(settings.to_string());
        add_files(&settings, "", &mut digest);
        Self(digest.finalize().into())
    }
}

/// Adds the content of every file that is named under a key that says so.
fn add_files(settings: &Value, key: &str, digest: &mut Sha256) {
    match settings {
        Value::Object(map) => map.iter().for_each(|(key, value)| add_files(value, key, digest)),
        Value::Array(items) => items.iter().for_each(|item| add_files(item, key, digest)),
        Value::String(path) if key.ends_with("file") || key == "filename" || key == "prices" => {
            // A file that cannot be read stops the exporter from starting, not this.
            let content = std::fs::read(path).unwrap_or_default();
            digest.update(content.len().to_le_bytes());
            digest.update(content);
        }
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod testing {
    use crate::config::{Config, Lookup, Sources, load};

    struct Text(String);

    impl Lookup for Text {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, _: &str) -> std::io::Result<String> {
            Ok(self.0.clone())
        }
    }

    /// A configuration with these exporters, one a line, all in one pipeline.
    pub(in crate::commands) fn config(exporters: &str) -> Config {
        let names: Vec<_> =
            exporters.lines().filter_map(|line| line.split_once(':')).map(|(id, _)| id).collect();
        let text = format!(
            "receivers: {{otlp: }}\nexporters:\n  {}\nservice:\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [{}]}}\n",
            exporters.replace('\n', "\n  "),
            names.join(", "),
        );
        configuration(text)
    }

    /// A configuration as a file has it.
    pub(in crate::commands) fn configuration(text: String) -> Config {
        let sources = Sources { files: vec!["test".into()], set: Vec::new() };
        load(&sources, &Text(text)).map_err(|problems| problems.to_string()).unwrap().config
    }
}

#[cfg(test)]
mod tests {
    use super::testing::config;
    use super::*;

    async fn put(exporters: &mut Exporters, config: &Config) -> (usize, Vec<String>) {
        let telemetry = Telemetry::default();
        let prepared = exporters.prepare(config, &telemetry).await.unwrap();
        let (replaced, gone) = exporters.put(prepared, &telemetry.health);
        assert_eq!(telemetry.health.report().len(), exporters.nodes().len());
        (replaced.len(), gone.into_keys().collect())
    }

    #[tokio::test]
    async fn only_what_has_changed_is_exchanged_and_its_node_stays() {
        let mut exporters = Exporters::default();
        put(&mut exporters, &config("debug: {}\ndebug/2: {}")).await;
        let before = exporters.nodes();
        let changed = config("debug: {verbosity: normal}\ndebug/2: {}");
        assert_eq!(put(&mut exporters, &changed).await, (1, vec![]));
        for (id, node) in exporters.nodes() {
            assert!(Arc::ptr_eq(&node, &before[&id]), "{id}");
        }
        assert_eq!(put(&mut exporters, &changed).await, (0, vec![]));
        let other = config("debug/2: {}\ndebug/3: {}");
        assert_eq!(put(&mut exporters, &other).await, (0, vec!["debug".to_owned()]));
    }

    #[tokio::test]
    async fn another_content_of_a_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let prices = folder.path().join("prices.json");
        let database = folder.path().join("mlflow.db");
        let config = config(&format!(
            "mlflow: {{tracking_uri: 'sqlite:///{}', prices: '{}'}}",
            database.display(),
            prices.display()
        ));
        let of = |config: &Config| Fingerprint::of(config.running(ComponentKind::Exporter)[0]);
        let before = of(&config);
        assert!(before == of(&config));
        std::fs::write(&prices, "{}").unwrap();
        assert!(before != of(&config));
    }
}
