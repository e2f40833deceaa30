//! The life of a collector: everything listens, then serves, then stops from the front to the back.
//!
//! ```text
//! start:  addresses are free? ─> exporters connect ─> queues open ─> receivers and admin bind ─> all serve
//! stop:   receivers answer what they have begun ─> queues deliver what they can ─> exporters finish ─> admin
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::pipeline::{Pipeline, TraceExporter};
use crate::telemetry::{AdminServer, Telemetry};

/// A receiver that listens and does not answer yet.
pub(super) trait Receiver: Send {
    /// Its id.
    fn id(&self) -> &str;

    /// What it listens on, one line each.
    fn addresses(&self) -> Vec<String>;

    /// Answers until the token is cancelled, and then what it has begun.
    fn serve(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()>;
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
    /// Those of all pipelines; what they do not deliver in time stays on disk.
    pub(super) queues: Vec<Arc<dyn TraceExporter>>,
    pub(super) exporters: BTreeMap<String, Arc<dyn TraceExporter>>,
    pub(super) admin: Option<AdminServer>,
    pub(super) telemetry: Telemetry,
    /// How long receivers and exporters may take to finish what they have begun. What is not finished by
    /// then was never acknowledged: its senders send it again.
    pub(super) drain_limit: Duration,
}

impl Collector {
    /// Serves until the token is cancelled, then stops cleanly.
    ///
    /// # Errors
    ///
    /// A receiver ended by itself, or requests stayed unanswered at the end.
    pub(super) async fn serve(self, stop: CancellationToken) -> Result<(), RunError> {
        let admin_stop = CancellationToken::new();
        let admin = self.admin.map(|admin| {
            let until = admin_stop.clone().cancelled_owned();
            tokio::spawn(admin.serve(self.telemetry.clone(), until))
        });
        let mut receivers = JoinSet::new();
        for receiver in self.receivers {
            let component = format!("receivers.{}", receiver.id());
            let health = self.telemetry.health.register(component.clone());
            let serving = receiver.serve(stop.clone());
            health.ready();
            receivers.spawn(async move {
                serving.await;
                health.not_ready("has stopped");
                component
            });
        }
        let ended = until_stop(&mut receivers, &stop).await;
        let drained =
            tokio::time::timeout(self.drain_limit, drain(receivers, &self.queues, &self.exporters)).await;
        admin_stop.cancel();
        if let Some(admin) = admin {
            // A failing admin server is not worth failing for at the very end.
            let _ = admin.await;
        }
        match ended {
            Some(component) => Err(RunError::Ended { component }),
            None => drained.map_err(|_| RunError::DrainLimit(self.drain_limit)),
        }
    }
}

/// Waits for the stop. Returns the receiver that ended without one, which stops the others.
async fn until_stop(receivers: &mut JoinSet<String>, stop: &CancellationToken) -> Option<String> {
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        ended = receivers.join_next() => ended,
    };
    stop.cancel();
    Some(ended.and_then(Result::ok).unwrap_or_else(|| "a receiver".to_owned()))
}

/// Lets the receivers answer what they have begun, then the queues deliver, and then the exporters finish what they
/// took over.
async fn drain(
    mut receivers: JoinSet<String>,
    queues: &[Arc<dyn TraceExporter>],
    exporters: &BTreeMap<String, Arc<dyn TraceExporter>>,
) {
    while receivers.join_next().await.is_some() {}
    join_all(queues.iter().map(|queue| queue.shutdown())).await;
    for exporter in exporters.values() {
        exporter.shutdown().await;
    }
}

/// What pipelines end in, by pipeline and exporter.
pub(super) type Ends = BTreeMap<(String, String), Arc<dyn TraceExporter>>;

/// The ends of every pipeline that the receiver feeds, each once: two pipelines may share an exporter without a queue.
pub(super) fn pipeline_of(config: &Config, receiver: &str, ends: &Ends) -> Pipeline {
    let mut reached: Vec<Arc<dyn TraceExporter>> = Vec::new();
    for (id, pipeline) in &config.service.pipelines {
        if !pipeline.receivers.iter().any(|id| id == receiver) {
            continue;
        }
        let of_pipeline =
            pipeline.exporters.iter().filter_map(|exporter| ends.get(&(id.clone(), exporter.clone())));
        for end in of_pipeline {
            if !reached.iter().any(|known| Arc::ptr_eq(known, end)) {
                reached.push(Arc::clone(end));
            }
        }
    }
    Pipeline::new(reached)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::{PipelineConfig, Service};
    use crate::pipeline::{Ack, ComponentId, TraceRequest, ack_channel};

    type Log = Arc<Mutex<Vec<&'static str>>>;

    struct FakeExporter(ComponentId, Log);

    impl TraceExporter for FakeExporter {
        fn id(&self) -> &ComponentId {
            &self.0
        }

        fn export(&self, _request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
            self.1.lock().unwrap().push("exported");
            ack.complete(Ok(crate::pipeline::Delivered::default()));
            Box::pin(async {})
        }

        fn shutdown(&self) -> BoxFuture<'_, ()> {
            self.1.lock().unwrap().push("exporter stopped");
            Box::pin(async {})
        }
    }

    /// Delivers one request after the stop, as if it had been begun before.
    struct FakeReceiver {
        log: Log,
        pipeline: Pipeline,
        ends_by_itself: bool,
    }

    impl Receiver for FakeReceiver {
        fn id(&self) -> &str {
            "fake"
        }

        fn addresses(&self) -> Vec<String> {
            Vec::new()
        }

        fn serve(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                if !self.ends_by_itself {
                    stop.cancelled().await;
                    self.pipeline.deliver(Arc::default()).await.unwrap();
                }
                self.log.lock().unwrap().push("receiver stopped");
            })
        }
    }

    fn collector(ends_by_itself: bool) -> (Collector, Log) {
        let log = Log::default();
        let exporter = FakeExporter(ComponentId::parse("sink"), Arc::clone(&log));
        let pipeline = PipelineConfig {
            receivers: vec!["fake".to_owned()],
            exporters: vec!["sink".to_owned()],
            ..PipelineConfig::default()
        };
        // Two pipelines with the same ends: the exporter still gets each request once.
        let pipelines = [("traces".to_owned(), pipeline.clone()), ("traces/2".to_owned(), pipeline)];
        let config = Config::of_service(Service { pipelines: pipelines.into(), ..Service::default() });
        let exporters = BTreeMap::from([("sink".to_owned(), Arc::new(exporter) as Arc<dyn TraceExporter>)]);
        let end = |pipeline: &str| ((pipeline.to_owned(), "sink".to_owned()), Arc::clone(&exporters["sink"]));
        let ends = Ends::from([end("traces"), end("traces/2")]);
        let pipeline = pipeline_of(&config, "fake", &ends);
        let collector = Collector {
            receivers: vec![Box::new(FakeReceiver { log: Arc::clone(&log), pipeline, ends_by_itself })],
            queues: Vec::new(),
            exporters,
            admin: None,
            telemetry: Telemetry::default(),
            drain_limit: Duration::from_secs(60),
        };
        (collector, log)
    }

    #[tokio::test]
    async fn what_was_begun_is_delivered_before_the_exporters_stop() {
        let (collector, log) = collector(false);
        let stop = CancellationToken::new();
        stop.cancel();
        collector.serve(stop).await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["exported", "receiver stopped", "exporter stopped"]);
    }

    #[tokio::test]
    async fn a_receiver_that_ends_by_itself_is_a_failure() {
        let (collector, log) = collector(true);
        let telemetry = collector.telemetry.clone();
        let error = collector.serve(CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "receivers.fake stopped by itself");
        assert!(!telemetry.health.is_ready());
        assert_eq!(*log.lock().unwrap(), ["receiver stopped", "exporter stopped"]);
    }

    #[tokio::test]
    async fn a_receiver_that_never_finishes_is_left_behind() {
        struct Stuck;
        impl Receiver for Stuck {
            fn id(&self) -> &str {
                "stuck"
            }

            fn addresses(&self) -> Vec<String> {
                Vec::new()
            }

            fn serve(self: Box<Self>, _: CancellationToken) -> BoxFuture<'static, ()> {
                Box::pin(async move {
                    let (ack, answer) = ack_channel();
                    let _held = ack;
                    let _ = answer.await;
                })
            }
        }
        let (mut collector, log) = collector(false);
        collector.receivers = vec![Box::new(Stuck)];
        collector.drain_limit = Duration::ZERO;
        let stop = CancellationToken::new();
        stop.cancel();
        let error = collector.serve(stop).await.unwrap_err();
        assert!(matches!(error, RunError::DrainLimit(_)), "{error}");
        assert!(log.lock().unwrap().is_empty());
    }
}
