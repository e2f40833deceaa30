//! Tests of the order in which a collector ends.

use std::sync::Mutex;

use super::super::branches::Branches;
use super::*;
use crate::config::{Config, PipelineConfig, Service};
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

struct NoControl;

impl ReceiverControl for NoControl {
    fn prepare<'a>(
        &'a self,
        _settings: &'a Configured,
        _pipeline: Pipeline,
    ) -> BoxFuture<'a, Result<Change, RunError>> {
        unreachable!("these tests reload nothing")
    }
}

impl Receiver for FakeReceiver {
    fn id(&self) -> &str {
        "fake"
    }

    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    fn control(&self) -> Arc<dyn ReceiverControl> {
        Arc::new(NoControl)
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
    let branches = Branches::bare(&config, &exporters);
    let pipeline = branches.pipeline_of(&config, "fake");
    let collector = Collector {
        receivers: vec![Box::new(FakeReceiver { log: Arc::clone(&log), pipeline, ends_by_itself })],
        branches: branches.all(),
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
    collector.serve(stop, None).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["exported", "receiver stopped", "exporter stopped"]);
}

#[tokio::test]
async fn a_receiver_that_ends_by_itself_is_a_failure() {
    let (collector, log) = collector(true);
    let telemetry = collector.telemetry.clone();
    let error = collector.serve(CancellationToken::new(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "receivers.fake stopped by itself");
    assert!(!telemetry.health.is_ready());
    assert_eq!(*log.lock().unwrap(), ["receiver stopped", "exporter stopped"]);
}

#[tokio::test]
async fn a_receiver_that_panics_is_a_failure_that_names_it() {
    struct Broken;
    impl Receiver for Broken {
        fn id(&self) -> &str {
            "broken"
        }

        fn addresses(&self) -> Vec<String> {
            Vec::new()
        }

        fn control(&self) -> Arc<dyn ReceiverControl> {
            Arc::new(NoControl)
        }

        fn serve(self: Box<Self>, _: CancellationToken) -> BoxFuture<'static, ()> {
            Box::pin(async { panic!("for the test") })
        }
    }
    let (mut collector, log) = collector(false);
    collector.receivers.push(Box::new(Broken));
    let telemetry = collector.telemetry.clone();
    let error = collector.serve(CancellationToken::new(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "receivers.broken stopped by itself");
    let report = telemetry.health.report();
    assert_eq!(report[0].reason.as_deref(), Some("has panicked"));
    assert_eq!(*log.lock().unwrap(), ["exported", "receiver stopped", "exporter stopped"]);
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

        fn control(&self) -> Arc<dyn ReceiverControl> {
            Arc::new(NoControl)
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
    let error = collector.serve(stop, None).await.unwrap_err();
    assert!(matches!(error, RunError::DrainLimit(_)), "{error}");
    assert!(log.lock().unwrap().is_empty());
}
