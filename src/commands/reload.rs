//! SIGHUP: the configuration is read again, and all of it comes into force, or nothing.
//!
//! ```text
//! read and check ─> connect new exporters ─> read certificates, take new addresses ─┬─> exchange
//!                                                                                   └─> one failed: forget it all
//! ```
//!
//! Listeners stay open throughout, and so do connections, unless what clients have to show has changed.

use tokio::sync::mpsc;

use super::branches::{self, Branches, Retired};
use super::build;
use super::exporters::{Exporters, Prepared};
use super::lifecycle::{Change, Receiver, RunError, Running};
use crate::config::{ComponentKind, Config, Loaded, Problems};
use crate::pipeline::retire;
use crate::telemetry::{AdminServer, LogsConfig, set_log_level};

/// Reads the configuration as it is now.
pub(super) type Load = Box<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// Why a configuration did not come into force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// It cannot be used.
    #[error("it has {}:\n{problems}", count(.problems))]
    Problems {
        /// All of them.
        problems: Problems,
    },
    /// The process is told to stop.
    #[error("the collector is shutting down")]
    Stopped,
    /// A part of it cannot start beside what runs.
    #[error(transparent)]
    Run(#[from] RunError),
}

fn count(problems: &Problems) -> String {
    match problems.errors() {
        1 => "1 error".to_owned(),
        errors => format!("{errors} errors"),
    }
}

/// Reloads, and when to.
pub(super) struct Reloads {
    /// One message for each signal, or for some that came together.
    pub(super) hangups: mpsc::Receiver<()>,
    pub(super) reloader: Reloader,
}

impl Reloads {
    /// Waits for the next signal; without reloads, for ever.
    pub(super) async fn next(reloads: &mut Option<Self>) -> Option<&mut Reloader> {
        match reloads {
            Some(reloads) => reloads.hangups.recv().await.map(|()| &mut reloads.reloader),
            None => std::future::pending().await,
        }
    }
}

/// Knows what is in force, and puts something else in its place.
pub(super) struct Reloader {
    load: Load,
    exporters: Exporters,
    branches: Branches,
    logs: LogsConfig,
    /// Where the admin server listens.
    admin: Option<String>,
}

/// A configuration of which every part is ready to come into force.
struct Plan {
    exporters: Prepared,
    branches: branches::Prepared,
    front: Front,
}

/// The part of a configuration that clients see.
struct Front {
    changes: Vec<Change>,
    receivers: Vec<Box<dyn Receiver>>,
    /// `None`: the one that serves stays.
    admin: Option<Option<AdminServer>>,
}

impl Reloader {
    /// Begins with what was started from a configuration.
    pub(super) fn new(load: Load, config: &Config, exporters: Exporters, branches: Branches) -> Self {
        let logs = config.service.telemetry.logs.clone();
        Self { load, exporters, branches, logs, admin: build::admin_endpoint(config) }
    }

    /// Reads the configuration again and puts it in force, or says why not.
    pub(super) async fn reload(&mut self, running: &mut Running) {
        tracing::info!("SIGHUP: reading the configuration again");
        let outcome = self.try_reload(running).await;
        running.telemetry.metrics.configuration_read(outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(error) => {
                tracing::error!("the configuration was not reloaded, the one before stays in force: {error}");
            }
        }
    }

    async fn try_reload(&mut self, running: &mut Running) -> Result<(), ReloadError> {
        let Loaded { config, warnings } = tokio::task::block_in_place(|| (self.load)())
            .map_err(|problems| ReloadError::Problems { problems })?;
        if !warnings.is_empty() {
            tracing::warn!("{warnings}");
        }
        let stop = running.stop.clone();
        // What is in force by halves could not be stopped cleanly, so only the first part gives way to a stop.
        let Some(plan) = stop.run_until_cancelled(self.prepare(&config, running)).await else {
            return Err(ReloadError::Stopped);
        };
        self.apply(plan?, &config, running).await;
        Ok(())
    }

    /// Does all that can fail, beside what runs.
    async fn prepare(&self, config: &Config, running: &Running) -> Result<Plan, RunError> {
        let exporters = self.exporters.prepare(config, &running.telemetry).await?;
        let branches = match self.branches.prepare(config, &exporters.nodes(), &running.telemetry).await {
            Ok(branches) => branches,
            Err(error) => {
                exporters.abandon().await;
                return Err(error);
            }
        };
        match self.prepare_front(config, &branches.branches, running).await {
            Ok(front) => Ok(Plan { exporters, branches, front }),
            Err(error) => {
                branches.abandon(&self.branches).await;
                exporters.abandon().await;
                Err(error)
            }
        }
    }

    async fn prepare_front(
        &self,
        config: &Config,
        branches: &Branches,
        running: &Running,
    ) -> Result<Front, RunError> {
        let (mut changes, mut receivers) = (Vec::new(), Vec::new());
        for configured in config.running(ComponentKind::Receiver) {
            let id = configured.id.to_string();
            let pipeline = branches.pipeline_of(config, &id);
            match running.receivers.get(&id) {
                Some(receiver) => changes.push(receiver.control.prepare(configured, pipeline).await?),
                None => receivers.push(build::bind_receiver(configured, pipeline, &running.telemetry).await?),
            }
        }
        let admin = match build::admin_endpoint(config) == self.admin {
            true => None,
            false => Some(build::bind_admin(config).await?),
        };
        Ok(Front { changes, receivers, admin })
    }

    /// Cannot fail, and loses no request: whoever has begun one ends it with what he began it with.
    async fn apply(&mut self, plan: Plan, config: &Config, running: &mut Running) {
        for (exporter, destination) in &plan.exporters.destinations {
            tracing::info!("exporters.{exporter} writes to {}", destination.target);
        }
        let (replaced, gone) = self.exporters.put(plan.exporters, &running.telemetry.health);
        running.exporters = self.exporters.nodes();
        let Retired { branches: cut, chains } = self.branches.put(plan.branches, &running.telemetry.health);
        running.branches = self.branches.all();
        let Front { changes, receivers, admin } = plan.front;
        for change in changes {
            change.await;
        }
        for receiver in receivers {
            receiver.addresses().iter().for_each(|address| tracing::info!("{address}"));
            running.serve_receiver(receiver);
        }
        stop_unlisted(config, running);
        if let Some(admin) = admin {
            running.serve_admin(admin);
            self.admin = build::admin_endpoint(config);
        }
        if let Some(patience) = build::recovery_duration(config) {
            running.telemetry.health.set_patience(patience);
        }
        for branch in cut {
            running.retiring.spawn(branches::retire(branch));
        }
        for exporter in chains.into_iter().chain(replaced).chain(gone.into_values()) {
            running.retiring.spawn(retire(exporter));
        }
        self.change_logs(&config.service.telemetry.logs);
    }

    fn change_logs(&mut self, logs: &LogsConfig) {
        if logs.level != self.logs.level {
            set_log_level(logs.level);
        }
        if logs.encoding != self.logs.encoding {
            tracing::warn!("service.telemetry.logs.encoding changes with the next start, not with a reload");
        }
        self.logs = LogsConfig { encoding: self.logs.encoding, ..logs.clone() };
    }
}

/// Stops the receivers that the configuration does not have.
fn stop_unlisted(config: &Config, running: &mut Running) {
    let listed: Vec<_> =
        config.running(ComponentKind::Receiver).iter().map(|one| one.id.to_string()).collect();
    let unlisted: Vec<_> = running.receivers.keys().filter(|id| !listed.contains(id)).cloned().collect();
    for id in unlisted {
        running.stop_receiver(&id);
    }
}
