//! `otel-mlflow` without a command: runs the collector.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::doctor::Verdict;
use super::lifecycle::{Collector, Ends, RunError, pipeline_of};
use super::summary::Summary;
use super::{addresses, build, complain, say, signals};
use crate::config::{ComponentKind, Config};
use crate::pipeline::TraceExporter;
use crate::telemetry::{Telemetry, init_logs};

/// Below the 30 seconds that Kubernetes gives a container to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Threads for work that would hold up the others; DNS and files need some beside decoding and mapping.
const BLOCKING_THREADS: usize = 8;

/// Runs until a signal.
pub(super) fn run(config: &Config) -> ExitCode {
    if let Err(error) = init_logs(&config.service.telemetry.logs) {
        complain(&format!("cannot start the logs: {error}"));
    }
    // Large bodies are decoded and mapped on blocking threads, as many at a time as there are cores; each
    // thread keeps memory of its own, so that hundreds would only hold more of it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(|source| RunError::System { what: "cannot start the runtime", source })
        .and_then(|runtime| runtime.block_on(serve(config)));
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: &Config) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let no_signals = |source| RunError::System { what: "cannot listen for signals", source };
    signals::stop_on_signal(stop.clone()).map_err(no_signals)?;
    let (collector, summary) = start(config).await?;
    say(&summary.text());
    collector.serve(stop).await
}

/// The queues, and what each pipeline ends in: a queue, or the exporter itself where it has none.
async fn start_queues(
    config: &Config,
    exporters: &BTreeMap<String, Arc<dyn TraceExporter>>,
    telemetry: &Telemetry,
) -> Result<(Vec<Arc<dyn TraceExporter>>, Ends), RunError> {
    let (mut queues, mut ends) = (Vec::new(), Ends::new());
    for (pipeline, parts) in &config.service.pipelines {
        for id in &parts.exporters {
            let configured = config.component(ComponentKind::Exporter, id);
            let (Some(configured), Some(exporter)) = (configured, exporters.get(id)) else { continue };
            let queue = build::build_queue(pipeline, configured, Arc::clone(exporter), telemetry).await?;
            queues.extend(queue.clone());
            let end = queue.unwrap_or_else(|| Arc::clone(exporter));
            ends.insert((pipeline.clone(), id.clone()), end);
        }
    }
    Ok((queues, ends))
}

/// Starts every part. A port in use is the commonest mistake, so it is looked for before anything is
/// connected or created.
async fn start(config: &Config) -> Result<(Collector, Summary), RunError> {
    for finding in addresses::check(config) {
        if let Verdict::Bad(reason) = finding.verdict {
            return Err(RunError::Start { component: finding.subject, reason });
        }
    }
    let telemetry = Telemetry::default();
    let mut summary = Summary::default();
    let mut exporters = BTreeMap::new();
    for configured in config.running(ComponentKind::Exporter) {
        let built = build::build_exporter(configured, &telemetry).await?;
        summary.writes.push((configured.id.to_string(), built.destination));
        exporters.insert(configured.id.to_string(), built.exporter);
    }
    let (queues, ends) = start_queues(config, &exporters, &telemetry).await?;
    let mut receivers = Vec::new();
    for configured in config.running(ComponentKind::Receiver) {
        let id = configured.id.to_string();
        let pipeline = pipeline_of(config, &id, &ends);
        let receiver = build::bind_receiver(configured, pipeline, &telemetry).await?;
        let addresses = receiver.addresses().into_iter();
        summary.receives.extend(addresses.map(|address| (id.clone(), address)));
        receivers.push(receiver);
    }
    let admin = build::bind_admin(config).await?;
    summary.admin = admin.as_ref().and_then(|admin| admin.address().ok()).map(|address| address.to_string());
    let collector = Collector { receivers, queues, exporters, admin, telemetry, drain_limit: DRAIN_LIMIT };
    Ok((collector, summary))
}
