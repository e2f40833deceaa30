//! Tests of what a reload does to branches.

use super::super::exporters::{
    Exporters,
    testing::{config, configuration},
};
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

    /// Puts a configuration in force; how many branches and chains are gone.
    async fn put(&mut self, config: &Config) -> Result<(usize, usize), String> {
        let exporters = self.exporters.prepare(config, &self.telemetry).await.unwrap();
        let branches = self.branches.prepare(config, &exporters.nodes(), &self.telemetry).await;
        let branches = branches.map_err(|error| error.to_string())?;
        let _ = self.exporters.put(exporters, &self.telemetry.health);
        let Retired { branches, chains } = self.branches.put(branches, &self.telemetry.health);
        let ended = (branches.len(), chains.len());
        for branch in branches {
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
    assert_eq!(collector.put(&changed).await, Ok((0, 0)));
    assert!(Arc::ptr_eq(&before[0], &collector.branches.all()[0]));
    let error = collector.put(&config(&format!("debug: {{{queue}, queue_size: 2MiB}}}}"))).await.unwrap_err();
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
    assert_eq!(collector.put(&two).await, Ok((0, 0)));
    assert_eq!(collector.branches.all().len(), 2);
    assert_eq!(collector.put(&one).await, Ok((1, 0)));
    assert_eq!(collector.put(&two).await, Ok((0, 0)), "the directory is free again");
}

/// Scenario: a reload changes a processor of a pipeline.
/// Guarantees: its chain is exchanged, and its queue stays.
#[tokio::test]
async fn processors_change_behind_a_queue_that_stays() {
    let mut collector = Collector::new();
    let of = |share: u32| {
        let text = format!(
            "receivers: {{otlp: }}
processors: {{probabilistic_sampler: {{sampling_percentage: {share}}}}}
exporters: {{debug: {{sending_queue: {{storage: memory}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [probabilistic_sampler], exporters: [debug]}}}}}}
"
        );
        configuration(text)
    };
    collector.put(&of(10)).await.unwrap();
    let queue = collector.branches.all()[0].queue.clone().unwrap();
    assert_eq!(collector.put(&of(20)).await, Ok((0, 1)));
    assert_eq!(collector.put(&of(20)).await, Ok((0, 0)));
    assert!(Arc::ptr_eq(&queue, collector.branches.all()[0].queue.as_ref().unwrap()));
}
