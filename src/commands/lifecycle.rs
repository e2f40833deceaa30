//! The life of a collector: everything listens, then serves, then stops from the front to the back.
//!
//! ```text
//! start:  addresses are free? ─> exporters connect ─> queues open ─> receivers and admin bind ─> all serve
//! SIGHUP: what has changed is prepared beside what runs ─> all of it changes, or nothing (`reload`)
//! stop:   receivers answer what they have begun ─> queues deliver what they can ─> exporters finish ─> admin
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join, join_all};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::branches::Branch;
use super::reload::Reloads;
use crate::config::Configured;
use crate::pipeline::{Pipeline, TraceExporter};
use crate::telemetry::{AdminServer, Health, Telemetry};

/// A change that cannot fail any more; it happens when it is awaited.
pub(super) type Change = BoxFuture<'static, ()>;

/// How long receivers may take to answer, and queues to deliver, before processors are told not to wait for more.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A receiver that listens and does not answer yet.
pub(super) trait Receiver: Send {
    /// Its id.
    fn id(&self) -> &str;

    /// What it listens on, one line each.
    fn addresses(&self) -> Vec<String>;

    /// The handle to change it while it serves.
    fn control(&self) -> Arc<dyn ReceiverControl>;

    /// Answers until the token is cancelled, and then what it has begun.
    fn serve(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()>;
}

/// Changes a receiver that serves.
pub(super) trait ReceiverControl: Send + Sync {
    /// Prepares a change to other settings and another pipeline.
    fn prepare<'a>(
        &'a self,
        settings: &'a Configured,
        pipeline: Pipeline,
    ) -> BoxFuture<'a, Result<Change, RunError>>;
}

/// Why a collector stopped or never started.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// A component cannot start.
    #[error("{component} cannot start: {reason}")]
    Start {
        /// Section and id.
        component: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A component ended that should not.
    #[error("{component} stopped by itself")]
    Ended {
        /// Section and id.
        component: String,
    },
    /// Receivers or exporters did not finish in time.
    #[error("stopped with requests unanswered after {} s; their senders will send them again", .0.as_secs())]
    DrainLimit(Duration),
    /// The system refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A collector of which every part listens and is connected.
pub(super) struct Collector {
    pub(super) receivers: Vec<Box<dyn Receiver>>,
    pub(super) branches: Vec<Arc<Branch>>,
    pub(super) exporters: BTreeMap<String, Arc<dyn TraceExporter>>,
    pub(super) admin: Option<AdminServer>,
    pub(super) telemetry: Telemetry,
    /// How long receivers and exporters may take to finish what they have begun. What is not finished by
    /// then was never acknowledged: its senders send it again.
    pub(super) drain_limit: Duration,
}

/// A receiver that serves.
pub(super) struct RunningReceiver {
    pub(super) control: Arc<dyn ReceiverControl>,
    stop: CancellationToken,
}

/// An admin server that serves.
struct RunningAdmin {
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

/// The receiver whose task has ended, and whether it was told to.
struct Ended {
    component: String,
    told: bool,
}

/// A collector at work.
pub(super) struct Running {
    pub(super) receivers: BTreeMap<String, RunningReceiver>,
    pub(super) branches: Vec<Arc<Branch>>,
    pub(super) exporters: BTreeMap<String, Arc<dyn TraceExporter>>,
    pub(super) telemetry: Telemetry,
    /// Branches and exporters that no pipeline has any more, and that finish what they took over.
    pub(super) retiring: JoinSet<()>,
    admin: Option<RunningAdmin>,
    tasks: JoinSet<Ended>,
    pub(super) stop: CancellationToken,
}

impl Collector {
    /// Serves until the token is cancelled, then stops cleanly. With `reloads`, changes when they say so.
    ///
    /// # Errors
    ///
    /// A receiver or the admin server ended by itself, or requests stayed unanswered at the end.
    pub(super) async fn serve(
        self,
        stop: CancellationToken,
        mut reloads: Option<Reloads>,
    ) -> Result<(), RunError> {
        let mut running = Running {
            receivers: BTreeMap::new(),
            branches: self.branches,
            exporters: self.exporters,
            telemetry: self.telemetry,
            retiring: JoinSet::new(),
            admin: None,
            tasks: JoinSet::new(),
            stop,
        };
        if let Some(admin) = self.admin {
            running.serve_admin(Some(admin));
        }
        for receiver in self.receivers {
            running.serve_receiver(receiver);
        }
        let ended = running.until_stop(&mut reloads).await;
        let drained = tokio::time::timeout(self.drain_limit, running.drain()).await;
        if let Some(RunningAdmin { stop, task }) = running.admin.take() {
            stop.cancel();
            // A failing admin server is not worth failing for at the very end.
            let _ = task.await;
        }
        match ended {
            Some(component) => Err(RunError::Ended { component }),
            None => drained.map_err(|_| RunError::DrainLimit(self.drain_limit)),
        }
    }
}

impl Running {
    /// Lets a receiver answer.
    pub(super) fn serve_receiver(&mut self, receiver: Box<dyn Receiver>) {
        let (id, component) = (receiver.id().to_owned(), format!("receivers.{}", receiver.id()));
        let own = Health::default();
        let health = own.register(component.clone());
        self.telemetry.health.include(component.clone(), own);
        let (control, stop) = (receiver.control(), self.stop.child_token());
        let serving = AssertUnwindSafe(receiver.serve(stop.clone()));
        health.ready();
        let told = stop.clone();
        self.tasks.spawn(async move {
            // The panic itself has been logged and counted.
            let panicked = serving.catch_unwind().await.is_err();
            health.not_ready(if panicked { "has panicked" } else { "has stopped" });
            Ended { component, told: told.is_cancelled() && !panicked }
        });
        self.receivers.insert(id, RunningReceiver { control, stop });
    }

    /// Stops a receiver that is configured no more; it answers what it has begun.
    pub(super) fn stop_receiver(&mut self, id: &str) {
        if let Some(receiver) = self.receivers.remove(id) {
            receiver.stop.cancel();
            self.telemetry.health.exclude(&format!("receivers.{id}"));
        }
    }

    /// Serves this admin server in the place of the one before.
    pub(super) fn serve_admin(&mut self, admin: Option<AdminServer>) {
        let before = std::mem::take(&mut self.admin);
        if let Some(before) = before {
            before.stop.cancel();
        }
        self.admin = admin.map(|admin| {
            let stop = CancellationToken::new();
            let serving = admin.serve(self.telemetry.clone(), stop.clone().cancelled_owned());
            RunningAdmin { task: tokio::spawn(serving), stop }
        });
    }

    /// Waits for the stop, and reloads until then. Returns the component that ended without one, which stops the
    /// others.
    async fn until_stop(&mut self, reloads: &mut Option<Reloads>) -> Option<String> {
        let stop = self.stop.clone();
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(Ended { told: true, .. }) => {}
                    Ok(Ended { component, .. }) => break component,
                    Err(_) => break "a receiver".to_owned(),
                },
                () = ended(&mut self.admin) => {
                    self.admin = None;
                    break "extensions.admin".to_owned();
                }
                // Is there to be joined, no more.
                Some(_) = self.retiring.join_next() => {}
                Some(reloader) = Reloads::next(reloads) => reloader.reload(self).await,
            }
        };
        stop.cancel();
        Some(ended)
    }

    /// Lets the receivers answer what they have begun, then the queues deliver, and then the exporters finish what
    /// they took over.
    async fn drain(&mut self) {
        // Receivers and queues wait for answers, which exporters may hold back.
        for exporter in self.exporters.values() {
            exporter.hurry();
        }
        let mut answering = pin!(async { while self.tasks.join_next().await.is_some() {} });
        // Processors that wait, such as for the end of a trace, hold answers back that the receivers wait for.
        let is_held_back = tokio::time::timeout(PATIENCE, &mut answering).await.is_err();
        // A branch that was taken out may still deliver to an exporter that stays.
        let retired = async { while self.retiring.join_next().await.is_some() {} };
        let finishing = join(join_all(self.branches.iter().map(|branch| branch.finish(PATIENCE))), retired);
        if is_held_back {
            join(answering, finishing).await;
        } else {
            finishing.await;
        }
        for exporter in self.exporters.values() {
            exporter.shutdown().await;
        }
    }
}

/// Waits for the end of the admin server; without one, for ever.
async fn ended(admin: &mut Option<RunningAdmin>) {
    match admin {
        // Whatever it says: it should not have ended.
        Some(admin) => drop((&mut admin.task).await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
