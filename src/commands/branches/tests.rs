//! Tests of what a reload does to branches.

use super::super::exporters::{
    Exporters,
    testing::{config, configuration},
};
use super::*;
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::TraceRequest;

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

    /// Puts a configuration in force; what is no more.
    async fn reload(&mut self, config: &Config) -> Result<Retired, String> {
        let exporters = self.exporters.prepare(config, &self.telemetry).await.unwrap();
        let branches = self.branches.prepare(config, &exporters.nodes(), &self.telemetry).await;
        let branches = branches.map_err(|error| error.to_string())?;
        let _ = self.exporters.put(exporters, &self.telemetry.health);
        Ok(self.branches.put(branches, &self.telemetry.health))
    }

    /// Puts a configuration in force; how many branches and chains are gone.
    async fn put(&mut self, config: &Config) -> Result<(usize, usize), String> {
        let Retired { branches, chains } = self.reload(config).await?;
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

/// Scenario: a branch is finished whose processor waits for more, and lets one request through at a time.
/// Guarantees: what is in the queue is delivered all the same: the processor takes requests until the queue has ended.
#[tokio::test]
async fn the_end_of_a_branch_waits_for_the_queue_and_not_for_more_data() {
    for processor in [
        "batch: {timeout: 1h}",
        "tail_sampling: {decision_wait: 1h, policies: [{name: all, type: always_sample}]}",
    ] {
        let mut collector = Collector::new();
        let name = processor.split(':').next().unwrap();
        let config = configuration(format!(
            "receivers: {{otlp: }}
processors: {{{processor}}}
exporters: {{debug: {{sending_queue: {{storage: memory, in_flight_size: 1}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [{name}], exporters: [debug]}}}}}}
"
        ));
        collector.put(&config).await.unwrap();
        let pipeline = collector.branches.pipeline_of(&config, "otlp");
        for _ in 0..3 {
            pipeline.deliver(Arc::new(one_span())).await.unwrap();
        }
        collector.branches.all()[0].finish(Duration::ZERO).await;
        let metrics = collector.telemetry.metrics.render().unwrap();
        let sent = "otel_mlflow_exporter_sent_spans_total{exporter=\"debug\"} 3";
        assert!(metrics.lines().any(|line| line == sent), "{name}: {metrics}");
    }
}

/// A request of a span without a parent.
fn one_span() -> TraceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    TraceRequest { body: ExportTraceServiceRequest { resource_spans }, ..TraceRequest::default() }
}

/// Scenario: a reload changes the sampler that a chain begins with, while a trace waits in it.
/// Guarantees: the old chain ends, and its decision holds for what comes later.
#[tokio::test]
async fn a_sampler_that_is_exchanged_ends_and_hands_its_decisions_over() {
    let mut collector = Collector::new();
    let of = |wait: &str| {
        let policies = "policies: [{name: all, type: always_sample}]";
        configuration(format!(
            "receivers: {{otlp: }}
processors: {{tail_sampling: {{decision_wait: {wait}, {policies}}}}}
exporters: {{debug: {{sending_queue: {{enabled: false}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [debug]}}}}}}
"
        ))
    };
    let first = of("1h");
    collector.put(&first).await.unwrap();
    let pipeline = collector.branches.pipeline_of(&first, "otlp");
    let waiting = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.deliver(Arc::new(one_span())).await }
    });
    tokio::task::yield_now().await;
    let retired = collector.reload(&of("2h")).await.ok().unwrap();
    for chain in retired.chains {
        pipeline::retire(chain).await;
    }
    waiting.await.unwrap().unwrap();
    // Without the decision it would wait for hours.
    let late = tokio::time::timeout(Duration::from_secs(60), pipeline.deliver(Arc::new(one_span())));
    late.await.unwrap().unwrap();
}
