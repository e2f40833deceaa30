//! The branches of pipelines: what stands between the receivers of a pipeline and one of its exporters.
//!
//! ```text
//! receivers ─┬─> queue ─> processors ─> node ─> exporter          traces/mlflow
//!            └─> queue ─> processors ─> node ─> exporter          traces/otlp
//! ```
//!
//! A branch has its own queue and its own processors, so that a slow destination holds up no other. At a reload a
//! branch stays as long as the pipeline and the exporter are configured: its processors are exchanged where they
//! stand, and its queue, which locks a directory, changes with a restart alone.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::build;
use super::exporters::Nodes;
use super::lifecycle::{PATIENCE, RunError};
use crate::config::{ComponentKind, Config, Configured, PipelineConfig};
use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig, Watch};
use crate::pipeline::{self, MemoryAccount, Pipeline, Swap, TraceExporter};
use crate::processors::{Remembered, Shared};
use crate::telemetry::{Health, Telemetry};

/// The ids of a pipeline and of one of its exporters.
type Key = (String, String);

/// The branches in force, and the memory that requests take in all of them.
#[derive(Clone, Default)]
pub(super) struct Branches {
    all: BTreeMap<Key, Arc<Branch>>,
    memory: MemoryAccount,
}

/// What stands before the node of an exporter.
#[derive(Clone)]
pub(super) struct Branch {
    /// None if the exporter is to have none.
    queue: Option<Arc<dyn TraceExporter>>,
    queue_of: (SendingQueueConfig, RetryOnFailure),
    /// What the queue knows of the node; it outlives the chain between them.
    watch: Watch,
    /// The processors, and the node behind them.
    chain: Arc<Swap>,
    chain_of: ChainOf,
    /// What its processors pass on to those of the next configuration.
    remembered: Remembered,
    health: Health,
}

/// The processors of a chain: ids and settings.
type ChainOf = Vec<(String, Value)>;

/// Branches that are ready to come into force.
pub(super) struct Prepared {
    pub(super) branches: Branches,
    /// For branches that are in force already.
    chains: Vec<(Arc<Swap>, Arc<dyn TraceExporter>)>,
}

/// What is not in force any more and has to finish what it took over.
pub(super) struct Retired {
    pub(super) branches: Vec<Arc<Branch>>,
    pub(super) chains: Vec<Arc<dyn TraceExporter>>,
}

impl Branches {
    /// Makes what is not in force of the branches of a configuration.
    ///
    /// # Errors
    ///
    /// A queue cannot be opened, or is to change while it is in use; a processor cannot be made. What was made until
    /// then is closed.
    pub(super) async fn prepare(
        &self,
        config: &Config,
        nodes: &Nodes,
        telemetry: &Telemetry,
    ) -> Result<Prepared, RunError> {
        let branches = Self { all: BTreeMap::new(), memory: self.memory.clone() };
        let mut prepared = Prepared { branches, chains: Vec::new() };
        for (pipeline, parts) in &config.service.pipelines {
            for id in &parts.exporters {
                let Some(node) = nodes.get(id) else { continue };
                let made = Making { config, pipeline, parts, node, telemetry, memory: &self.memory };
                if let Err(error) = self.prepare_one(&made, id, &mut prepared).await {
                    prepared.abandon(self).await;
                    return Err(error);
                }
            }
        }
        Ok(prepared)
    }

    async fn prepare_one(
        &self,
        making: &Making<'_>,
        exporter: &str,
        prepared: &mut Prepared,
    ) -> Result<(), RunError> {
        let Some(configured) = making.config.component(ComponentKind::Exporter, exporter) else {
            return Ok(());
        };
        let key = (making.pipeline.clone(), exporter.to_owned());
        let branch = match self.all.get(&key) {
            None => Arc::new(making.branch(configured).await?),
            Some(known) => {
                known.keeps_queue(configured)?;
                let chain_of = making.chain_of();
                if known.chain_of == chain_of {
                    Arc::clone(known)
                } else {
                    let watch = known.queue.is_some().then_some(&known.watch);
                    let chain = making.chain(&known.health, &known.remembered, watch)?;
                    prepared.chains.push((Arc::clone(&known.chain), chain));
                    Arc::new(Branch { chain_of, ..Branch::clone(known) })
                }
            }
        };
        prepared.branches.all.insert(key, branch);
        Ok(())
    }

    /// Puts prepared branches in force.
    pub(super) fn put(&mut self, prepared: Prepared, health: &Health) -> Retired {
        for (key, branch) in &prepared.branches.all {
            health.include(name(key), branch.health.clone());
        }
        let chains = prepared.chains.into_iter().map(|(chain, stage)| chain.replace(stage)).collect();
        let before = std::mem::replace(self, prepared.branches);
        let gone = before.all.into_iter().filter(|(key, _)| !self.all.contains_key(key));
        let branches = gone.map(|(key, branch)| {
            health.exclude(&name(&key));
            branch
        });
        Retired { branches: branches.collect(), chains }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Branch>> {
        self.all.values().cloned().collect()
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
                    let branch = self.all.get(&(id.clone(), exporter.clone()));
                    entries.extend(branch.map(|branch| branch.entry()));
                }
            }
        }
        Pipeline::new(entries).counting(self.memory.clone())
    }

    /// The branches of a configuration, all without a queue and processors.
    #[cfg(test)]
    pub(super) fn bare(config: &Config, nodes: &Nodes) -> Self {
        let mut bare = Self::default();
        for (pipeline, parts) in &config.service.pipelines {
            for id in &parts.exporters {
                let branch = Branch {
                    queue: None,
                    queue_of: (SendingQueueConfig::default(), RetryOnFailure::default()),
                    watch: Watch::new(pipeline, nodes[id].id(), RetryOnFailure::default()),
                    chain: Arc::new(Swap::new(Arc::new(Shared(Arc::clone(&nodes[id]))))),
                    chain_of: ChainOf::new(),
                    remembered: Remembered::default(),
                    health: Health::default(),
                };
                bare.all.insert((pipeline.clone(), id.clone()), Arc::new(branch));
            }
        }
        bare
    }
}

impl Prepared {
    /// Closes what was made beside `in_force` and for nothing.
    pub(super) async fn abandon(self, in_force: &Branches) {
        for (_, stage) in self.chains {
            stage.shutdown().await;
        }
        let made = self.branches.all.into_iter().filter(|(key, _)| !in_force.all.contains_key(key));
        for (_, branch) in made {
            branch.finish(Duration::ZERO).await;
        }
    }
}

/// What a branch is made of.
struct Making<'a> {
    config: &'a Config,
    pipeline: &'a String,
    parts: &'a PipelineConfig,
    node: &'a Arc<dyn TraceExporter>,
    telemetry: &'a Telemetry,
    memory: &'a MemoryAccount,
}

impl Making<'_> {
    async fn branch(&self, exporter: &Configured) -> Result<Branch, RunError> {
        // Nobody hears of it before it is in force.
        let beside = Telemetry { health: Health::default(), ..self.telemetry.clone() };
        let remembered = Remembered::default();
        let queue_of = build::queue_of(exporter)?;
        let watch = Watch::new(self.pipeline, &exporter.id, queue_of.1);
        let watched = queue_of.0.enabled.then_some(&watch);
        let chain = Arc::new(Swap::new(self.chain(&beside.health, &remembered, watched)?));
        let queue = match queue_of.0.enabled {
            true => Some(
                build::build_queue(
                    self.pipeline,
                    exporter,
                    &queue_of,
                    &watch,
                    chain.clone(),
                    self.memory,
                    &beside,
                )
                .await?,
            ),
            false => None,
        };
        Ok(Branch {
            queue,
            queue_of,
            watch,
            chain,
            chain_of: self.chain_of(),
            remembered,
            health: beside.health,
        })
    }

    fn processors(&self) -> impl DoubleEndedIterator<Item = &Configured> {
        self.parts.processors.iter().filter_map(|id| self.config.component(ComponentKind::Processor, id))
    }

    fn chain_of(&self) -> ChainOf {
        // Any settings are JSON.
        self.processors().map(|one| (one.id.to_string(), one.settings().unwrap_or_default())).collect()
    }

    /// The first stage, which knows the next one, and so on to the node, over which a queue may watch.
    fn chain(
        &self,
        health: &Health,
        remembered: &Remembered,
        watch: Option<&Watch>,
    ) -> Result<Arc<dyn TraceExporter>, RunError> {
        let telemetry = Telemetry { health: health.clone(), ..self.telemetry.clone() };
        let around = build::Surroundings { memory: self.memory, telemetry: &telemetry, remembered };
        let node: Arc<dyn TraceExporter> = Arc::new(Shared(Arc::clone(self.node)));
        let mut chain = watch.map_or(Arc::clone(&node), |watch| watch.before(node));
        for processor in self.processors().rev() {
            chain = build::build_processor(processor, chain, around)?;
        }
        Ok(chain)
    }
}

impl Branch {
    /// What the pipeline gives its requests to.
    fn entry(&self) -> Arc<dyn TraceExporter> {
        match &self.queue {
            Some(queue) => Arc::clone(queue),
            None => self.chain.clone(),
        }
    }

    fn keeps_queue(&self, exporter: &Configured) -> Result<(), RunError> {
        if build::queue_of(exporter)? == self.queue_of {
            return Ok(());
        }
        Err(RunError::Start {
            component: format!("exporters.{}", exporter.id),
            reason: "`sending_queue` and `retry_on_failure` change with a restart, not with a reload; \
                     what is in the queue stays there"
                .to_owned(),
        })
    }

    /// Delivers what it can; what it cannot stays on disk. Processors that wait for something do so for `patience`
    /// at most, and then go on without until the queue has ended. The exporter behind them goes on.
    pub(super) async fn finish(&self, patience: Duration) {
        if let Some(queue) = &self.queue {
            end(queue.shutdown(), &self.chain, patience).await;
        }
        self.chain.shutdown().await;
    }
}

/// Finishes a branch that was taken out of its pipeline, after the last request that still found it there.
pub(super) async fn retire(branch: Arc<Branch>) {
    let (queue, chain) = (branch.queue.clone(), Arc::clone(&branch.chain));
    drop(branch);
    if let Some(queue) = queue {
        end(pipeline::retire(queue), &chain, PATIENCE).await;
    }
    pipeline::retire(chain).await;
}

/// Waits for the end of a queue, of which the processors behind it know after a while.
async fn end(queue: impl Future<Output = ()>, chain: &Swap, patience: Duration) {
    let mut queue = pin!(queue);
    if tokio::time::timeout(patience, &mut queue).await.is_err() {
        chain.hurry();
        queue.await;
    }
}

/// Under which the health of a branch is included.
fn name((pipeline, exporter): &Key) -> String {
    format!("branches.{pipeline}/{exporter}")
}

#[cfg(test)]
mod tests;
