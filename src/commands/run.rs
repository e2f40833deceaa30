//! `otel-mlflow` without a command: runs the collector.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::branches::Branches;
use super::doctor::Verdict;
use super::exporters::Exporters;
use super::lifecycle::{Collector, RunError};
use super::reload::{Load, Reloader, Reloads};
use super::summary::Summary;
use super::{addresses, build, complain, say, signals};
use crate::config::{ComponentKind, Config};
use crate::telemetry::{Telemetry, init_logs, watch_panics};

/// Below the 30 seconds that Kubernetes gives a container to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Threads for work that would hold up the others; DNS and files need some beside decoding and mapping.
const BLOCKING_THREADS: usize = 8;

/// Runs until a signal; `load` reads the configuration again at SIGHUP.
pub(super) fn run(config: &Config, load: Load) -> ExitCode {
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
        .and_then(|runtime| runtime.block_on(serve(config, load)));
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

async fn serve(config: &Config, load: Load) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let no_signals = |source| RunError::System { what: "cannot listen for signals", source };
    signals::stop_on_signal(stop.clone()).map_err(no_signals)?;
    let hangups = signals::hangups().map_err(no_signals)?;
    let telemetry = Telemetry::default();
    watch_panics(telemetry.metrics.clone());
    let Started { collector, exporters, branches, summary } = start(config, telemetry).await?;
    say(&summary.text());
    let reloads = Reloads { hangups, reloader: Reloader::new(load, config, exporters, branches) };
    // In a task of its own: reading the configuration blocks the thread that it is on.
    let serving = tokio::spawn(collector.serve(stop, Some(reloads)));
    serving.await.unwrap_or_else(|_| Err(RunError::Ended { component: "the collector".to_owned() }))
}

/// What runs once everything listens, and what it was made of.
struct Started {
    collector: Collector,
    exporters: Exporters,
    branches: Branches,
    summary: Summary,
}

/// Starts every part. A port in use is the commonest mistake, so it is looked for before anything is
/// connected or created.
async fn start(config: &Config, telemetry: Telemetry) -> Result<Started, RunError> {
    for finding in addresses::check(config) {
        if let Verdict::Bad(reason) = finding.verdict {
            return Err(RunError::Start { component: finding.subject, reason });
        }
    }
    let mut summary = Summary::default();
    let mut exporters = Exporters::default();
    let mut prepared = exporters.prepare(config, &telemetry).await?;
    summary.writes = std::mem::take(&mut prepared.destinations);
    // There were none before.
    let _ = exporters.put(prepared, &telemetry.health);
    let nodes = exporters.nodes();
    let mut branches = Branches::default();
    let opened = branches.prepare(config, &nodes, &telemetry).await?;
    // There were none before.
    let _ = branches.put(opened, &telemetry.health);
    build::tell_stranded(config).await?;
    let mut receivers = Vec::new();
    for configured in config.running(ComponentKind::Receiver) {
        let id = configured.id.to_string();
        let pipeline = branches.pipeline_of(config, &id);
        let receiver = build::bind_receiver(configured, pipeline, &telemetry).await?;
        let addresses = receiver.addresses().into_iter();
        summary.receives.extend(addresses.map(|address| (id.clone(), address)));
        receivers.push(receiver);
    }
    let admin = build::bind_admin(config).await?;
    summary.admin = admin.as_ref().and_then(|admin| admin.address().ok()).map(|address| address.to_string());
    let collector = Collector {
        receivers,
        branches: branches.all(),
        exporters: nodes,
        admin,
        telemetry,
        drain_limit: DRAIN_LIMIT,
    };
    Ok(Started { collector, exporters, branches, summary })
}
