//! The life of a collector: everything listens, then serves, then stops from the front to the back.
//!
//! ```text
//! start:  receivers bind ─> admin binds ─> exporters connect ─> all serve
//! stop:   receivers answer what they have begun ─> exporters finish ─> admin
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::pipeline::{Pipeline, TraceExporter};
use crate::telemetry::{AdminServer, Telemetry};

/// How long the receivers may take to answer what they have begun. What is not answered by then was
/// never acknowledged: its senders send it again. Below the 30 seconds that Kubernetes gives.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// A receiver that listens and does not answer yet.
pub(super) trait Receiver: Send {
    /// Its id.
    fn id(&self) -> &str;

    /// What it listens on, one line each.
    fn addresses(&self) -> Vec<String>;

    /// Answers until the token is cancelled, and then what it has begun.
    fn serve(self: Box<Self>, pipeline: Pipeline, stop: CancellationToken) -> BoxFuture<'static, ()>;
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
    /// The receivers did not finish in time.
    #[error("stopped with requests unanswered after {} seconds; their senders will send them again", DRAIN_LIMIT.as_secs())]
    DrainLimit,
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
    pub(super) exporters: BTreeMap<String, Arc<dyn TraceExporter>>,
    pub(super) admin: Option<AdminServer>,
    pub(super) telemetry: Telemetry,
}

impl Collector {
    /// Serves until the token is cancelled, then stops cleanly.
    ///
    /// # Errors
    ///
    /// A receiver ended by itself, or requests stayed unanswered at the end.
    pub(super) async fn serve(self, config: &Config, stop: CancellationToken) -> Result<(), RunError> {
        let admin_stop = CancellationToken::new();
        let admin = self.admin.map(|admin| {
            let until = admin_stop.clone().cancelled_owned();
            tokio::spawn(admin.serve(self.telemetry.clone(), until))
        });
        let mut receivers = JoinSet::new();
        for receiver in self.receivers {
            let component = format!("receivers.{}", receiver.id());
            let health = self.telemetry.health.register(component.clone());
            let pipeline = pipeline_of(config, receiver.id(), &self.exporters);
            let serving = receiver.serve(pipeline, stop.clone());
            health.ready();
            receivers.spawn(async move {
                serving.await;
                health.not_ready("has stopped");
                component
            });
        }
        let outcome = wait(&mut receivers, &stop).await;
        for exporter in self.exporters.values() {
            exporter.shutdown().await;
        }
        admin_stop.cancel();
        if let Some(admin) = admin {
            // A failing admin server is not worth failing for at the very end.
            let _ = admin.await;
        }
        outcome
    }
}

/// Waits for the stop, and then for the receivers.
async fn wait(receivers: &mut JoinSet<String>, stop: &CancellationToken) -> Result<(), RunError> {
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = receivers.join_next() => Some(ended),
    };
    // A receiver that ends in the same moment as the stop came has ended because of it.
    let by_itself = ended.filter(|_| !stop.is_cancelled());
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN_LIMIT, async { while receivers.join_next().await.is_some() {} });
    let drained = drained.await.map_err(|_| RunError::DrainLimit);
    match by_itself {
        Some(ended) => {
            let component = ended.and_then(Result::ok).unwrap_or_else(|| "a receiver".to_owned());
            Err(RunError::Ended { component })
        }
        None => drained,
    }
}

/// The exporters of every pipeline that the receiver feeds, each once.
fn pipeline_of(
    config: &Config,
    receiver: &str,
    exporters: &BTreeMap<String, Arc<dyn TraceExporter>>,
) -> Pipeline {
    let mut ids: Vec<&String> = Vec::new();
    for pipeline in config.service.pipelines.values() {
        if pipeline.receivers.iter().any(|id| id == receiver) {
            ids.extend(&pipeline.exporters);
        }
    }
    ids.sort();
    ids.dedup();
    Pipeline::new(ids.into_iter().filter_map(|id| exporters.get(id)).map(Arc::clone).collect())
}
