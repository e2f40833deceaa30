//! The branches of pipelines: what stands between the receivers of a pipeline and one of its exporters.
//!
//! ```text
//! receivers ─┬─> queue ─> node ─> exporter          traces/mlflow
//!            └─> queue ─> node ─> exporter          traces/otlp
//! ```
//!
//! A branch has its own queue, so that a slow destination holds up no other. At a reload a branch stays as long as the
//! pipeline and the exporter are configured; its queue, which locks a directory, changes with a restart alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build;
use super::exporters::Nodes;
use super::lifecycle::RunError;
use crate::config::{ComponentKind, Config, Configured};
use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use crate::pipeline::{self, Pipeline, TraceExporter};
use crate::telemetry::{Health, Telemetry};

/// The ids of a pipeline and of one of its exporters.
type Key = (String, String);

/// The branches in force.
#[derive(Clone, Default)]
pub(super) struct Branches(BTreeMap<Key, Arc<Branch>>);

/// What stands before the node of an exporter.
pub(super) struct Branch {
    /// None if the exporter is to have none.
    queue: Option<Arc<dyn TraceExporter>>,
    node: Arc<dyn TraceExporter>,
    queue_of: (SendingQueueConfig, RetryOnFailure),
    health: Health,
}

impl Branches {
    /// Opens the branches of a configuration that are not in force.
    ///
    /// # Errors
    ///
    /// A queue cannot be opened, or is to change while it is in use; those that were opened are closed.
    pub(super) async fn prepare(
        &self,
        config: &Config,
        nodes: &Nodes,
        telemetry: &Telemetry,
    ) -> Result<Self, RunError> {
        let mut prepared = Self::default();
        for (pipeline, parts) in &config.service.pipelines {
            for id in &parts.exporters {
                let configured = config.component(ComponentKind::Exporter, id);
                let (Some(configured), Some(node)) = (configured, nodes.get(id)) else { continue };
                let key = (pipeline.clone(), id.clone());
                let branch = match self.0.get(&key) {
                    Some(known) => known.unchanged(configured),
                    None => Branch::open(pipeline, configured, node, telemetry).await.map(Arc::new),
                };
                match branch {
                    Ok(branch) => prepared.0.insert(key, branch),
                    Err(error) => {
                        prepared.abandon(self).await;
                        return Err(error);
                    }
                };
            }
        }
        Ok(prepared)
    }

    /// The branches of a configuration, all without a queue.
    #[cfg(test)]
    pub(super) fn bare(config: &Config, nodes: &Nodes) -> Self {
        let mut bare = Self::default();
        for (pipeline, parts) in &config.service.pipelines {
            for id in &parts.exporters {
                let branch = Branch {
                    queue: None,
                    node: Arc::clone(&nodes[id]),
                    queue_of: (SendingQueueConfig::default(), RetryOnFailure::default()),
                    health: Health::default(),
                };
                bare.0.insert((pipeline.clone(), id.clone()), Arc::new(branch));
            }
        }
        bare
    }

    /// Closes what was prepared beside `in_force` and for nothing.
    pub(super) async fn abandon(self, in_force: &Self) {
        for branch in self.0.into_iter().filter(|(key, _)| !in_force.0.contains_key(key)).map(|(_, one)| one)
        {
            branch.finish().await;
        }
    }

    /// Puts prepared branches in force. Returns those that are configured no more.
    pub(super) fn put(&mut self, prepared: Self, health: &Health) -> Vec<Arc<Branch>> {
        for (key, branch) in &prepared.0 {
            health.include(name(key), branch.health.clone());
        }
        let before = std::mem::replace(self, prepared);
        let gone = before.0.into_iter().filter(|(key, _)| !self.0.contains_key(key));
        gone.map(|(key, branch)| {
            health.exclude(&name(&key));
            branch
        })
        .collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Branch>> {
        self.0.values().cloned().collect()
    }

    /// The branches of every pipeline that the receiver feeds. Two pipelines that do the same and end in the same
    /// exporter give it each request once.
    pub(super) fn pipeline_of(&self, config: &Config, receiver: &str) -> Pipeline {
        let mut ways: Vec<(&[String], &String)> = Vec::new();
        let mut entries = Vec::new();
        for (id, pipeline) in &config.service.pipelines {
            if !pipeline.receivers.iter().any(|other| other == receiver) {
                continue;
            }
            for exporter in &pipeline.exporters {
                let way = (pipeline.processors.as_slice(), exporter);
                if !ways.contains(&way) {
                    ways.push(way);
                    let branch = self.0.get(&(id.clone(), exporter.clone()));
                    entries.extend(branch.map(|branch| branch.entry()));
                }
            }
        }
        Pipeline::new(entries)
    }
}

impl Branch {
    async fn open(
        pipeline: &str,
        exporter: &Configured,
        node: &Arc<dyn TraceExporter>,
        telemetry: &Telemetry,
    ) -> Result<Self, RunError> {
        let queue_of = build::queue_of(exporter)?;
        // Nobody hears of it before it is in force.
        let beside = Telemetry { health: Health::default(), ..telemetry.clone() };
        let queue = build::build_queue(pipeline, exporter, &queue_of, Arc::clone(node), &beside).await?;
        Ok(Self { queue, node: Arc::clone(node), queue_of, health: beside.health })
    }

    /// What the pipeline gives its requests to.
    fn entry(&self) -> Arc<dyn TraceExporter> {
        Arc::clone(self.queue.as_ref().unwrap_or(&self.node))
    }

    /// The same branch, if its exporter is to have the same queue.
    fn unchanged(self: &Arc<Self>, exporter: &Configured) -> Result<Arc<Self>, RunError> {
        if build::queue_of(exporter)? == self.queue_of {
            return Ok(Arc::clone(self));
        }
        Err(RunError::Start {
            component: format!("exporters.{}", exporter.id),
            reason: "`sending_queue` and `retry_on_failure` change with a restart, not with a reload; \
                     what is in the queue stays there"
                .to_owned(),
        })
    }

    /// Delivers what it can; what it cannot stays on disk. The exporter behind it goes on.
    pub(super) async fn finish(&self) {
        if let Some(queue) = &self.queue {
            queue.shutdown().await;
        }
    }
}

/// Finishes a branch that was taken out of its pipeline, after the last request that still found it there.
pub(super) async fn retire(branch: Arc<Branch>) {
    let queue = branch.queue.clone();
    drop(branch);
    if let Some(queue) = queue {
        pipeline::retire(queue).await;
    }
}

/// Under which the health of a branch is included.
fn name((pipeline, exporter): &Key) -> String {
    format!("branches.{pipeline}/{exporter}")
}

#[cfg(test)]
mod tests {
    use super::super::exporters::{Exporters, testing::config};
    use super::*;

    struct Collector {
        exporters: Exporters,
        branches: Branches,
        telemetry: Telemetry,
    }

    impl Collector {
        fn new() -> Self {
            let (exporters, branches) = (Exporters::default(), Branches::default());
            Self { exporters, branches, telemetry: Telemetry::default() }
        }

        /// Puts a configuration in force; the ids of the branches that are gone.
        async fn put(&mut self, config: &Config) -> Result<usize, String> {
            let exporters = self.exporters.prepare(config, &self.telemetry).await.unwrap();
            let branches = self.branches.prepare(config, &exporters.nodes(), &self.telemetry).await;
            let branches = branches.map_err(|error| error.to_string())?;
            let _ = self.exporters.put(exporters, &self.telemetry.health);
            let gone = self.branches.put(branches, &self.telemetry.health);
            let ended = gone.len();
            for branch in gone {
                retire(branch).await;
            }
            Ok(ended)
        }
    }

    /// Scenario: a reload changes an exporter, and then its queue.
    /// Guarantees: the queue stays the same one for the new exporter; a change of the queue itself is refused with
    /// what to do, and the branch in force stays.
    #[tokio::test]
    async fn a_queue_outlives_its_exporter_and_changes_with_a_restart_alone() {
        let mut collector = Collector::new();
        let folder = tempfile::tempdir().unwrap();
        let queue = format!("sending_queue: {{storage: disk, directory: '{}'", folder.path().display());
        collector.put(&config(&format!("debug: {{{queue}}}}}"))).await.unwrap();
        let before = collector.branches.all();
        let changed = config(&format!("debug: {{verbosity: normal, {queue}}}}}"));
        assert_eq!(collector.put(&changed).await, Ok(0));
        assert!(Arc::ptr_eq(&before[0], &collector.branches.all()[0]));
        let error =
            collector.put(&config(&format!("debug: {{{queue}, queue_size: 2MiB}}}}"))).await.unwrap_err();
        assert!(error.contains("exporters.debug") && error.contains("restart"), "{error}");
        assert!(Arc::ptr_eq(&before[0], &collector.branches.all()[0]));
    }

    /// Scenario: a reload adds an exporter with a queue on disk, and the next removes it again.
    /// Guarantees: its queue is opened, and closed again, so that a third one can open it.
    #[tokio::test]
    async fn a_branch_that_is_removed_gives_its_directory_back() {
        let mut collector = Collector::new();
        let folder = tempfile::tempdir().unwrap();
        let queue = format!("sending_queue: {{storage: disk, directory: '{}'}}", folder.path().display());
        let (one, two) = (config("debug: {}"), config(&format!("debug: {{}}\ndebug/2: {{{queue}}}")));
        collector.put(&one).await.unwrap();
        assert_eq!(collector.put(&two).await, Ok(0));
        assert_eq!(collector.branches.all().len(), 2);
        assert_eq!(collector.put(&one).await, Ok(1));
        assert_eq!(collector.put(&two).await, Ok(0), "the directory is free again");
    }
}
