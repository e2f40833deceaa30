//! Tests of readiness.

use super::*;

#[test]
fn nothing_registered_is_not_ready() {
    assert!(!Health::default().is_ready());
}

#[test]
fn ready_means_every_component_is() {
    let health = Health::default();
    let (mlflow, otlp) = (health.register("exporters.mlflow"), health.register("receivers.otlp"));
    otlp.ready();
    assert!(!health.is_ready(), "a component that has not spoken yet is not ready");
    mlflow.ready();
    assert!(health.is_ready());
    mlflow.not_ready("database is locked");
    assert!(!health.is_ready());
    let report = health.report();
    assert_eq!(report[0].reason.as_deref(), Some("database is locked"));
    assert!(report[1].ready);
    mlflow.ready();
    assert!(health.is_ready());
}

/// Guarantees: a component that fails at its start, as a task that has died, is heard of; its start alone is not.
/// That trying again does not help any more is heard of, too.
#[test]
fn what_is_said_of_a_change() {
    let reason = || "connection refused".to_owned();
    let before = |reason: &str, passing| Before { reason: Some(reason.to_owned()), passing };
    for well in [Before::default(), before(STARTING, false)] {
        assert_eq!(news(&well, Some(reason()), true), News::Fails(reason()));
        assert_eq!(news(&well, Some(reason()), false), News::NotReady(reason()));
    }
    let failing = before("connection reset", true);
    assert_eq!(news(&failing, Some(reason()), true), News::None);
    assert_eq!(news(&failing, Some(reason()), false), News::NotReady(reason()));
    assert_eq!(news(&before("wrong password", false), Some(reason()), false), News::None);
    assert_eq!(news(&before(STARTING, false), None, false), News::Ready);
    assert_eq!(news(&Before::default(), None, false), News::None);
}

#[test]
fn failures_make_unready_when_they_last() {
    let health = Health::default();
    let mlflow = health.register("exporters.mlflow");
    let patience = Duration::from_secs(3_600);
    mlflow.failing("connection refused");
    assert!(!health.report_with(patience)[0].ready, "it has never worked");
    mlflow.ready();
    mlflow.failing("connection refused");
    mlflow.failing("connection reset");
    let report = health.report_with(patience);
    assert!(report[0].ready);
    assert_eq!(report[0].reason.as_deref(), Some("connection reset"));
    assert_eq!(report[0].failing_for_seconds, Some(0));
    assert!(!health.report_with(Duration::ZERO)[0].ready);
    mlflow.not_ready("wrong password");
    assert!(!health.report_with(patience)[0].ready, "trying again does not help");
}

/// Scenario: the last request is given up while the destination is down, and none comes after it.
/// Guarantees: the component is not called unready for ever, unless a person has to do something.
#[test]
fn what_is_tried_no_more_does_not_fail_for_ever() {
    let health = Health::default();
    let (mlflow, otlp) = (health.register("exporters.mlflow"), health.register("exporters.otlp"));
    for one in [&mlflow, &otlp] {
        one.ready();
    }
    mlflow.failing("connection refused");
    otlp.not_ready("wrong password");
    let at = |now| {
        let components = health.components();
        let ready = |name: &str| said(name, &components[name], now, Duration::ZERO).ready;
        [ready("exporters.mlflow"), ready("exporters.otlp")]
    };
    let now = Instant::now();
    assert_eq!(at(now), [false, false]);
    assert_eq!(at(now + FORGOTTEN / 2), [false, false]);
    assert_eq!(at(now + FORGOTTEN), [true, false]);
}

#[test]
fn what_is_included_counts_until_something_takes_its_place() {
    let (health, old, new) = (Health::default(), Health::default(), Health::default());
    let first = old.register("exporters.mlflow");
    first.ready();
    health.include("mlflow", old);
    assert!(health.is_ready());
    let second = new.register("exporters.mlflow");
    assert!(health.is_ready(), "the new one is not included yet");
    health.include("mlflow", new);
    assert!(!health.is_ready(), "the new one is starting");
    second.ready();
    first.not_ready("has stopped");
    assert!(health.is_ready(), "the old one is heard no more");
    second.not_ready("database is locked");
    assert_eq!(health.report()[0].reason.as_deref(), Some("database is locked"));
    health.exclude("mlflow");
    assert_eq!(health.report(), []);
}

#[tokio::test]
async fn a_task_that_panics_makes_the_process_unready() {
    let health = Health::default();
    let handle = health.register("exporters.mlflow");
    handle.ready();
    let died = Counter::default();
    handle.task("sound", died.clone()).finished();
    assert!(health.is_ready());
    let guard = handle.task("writer", died.clone());
    let task = tokio::spawn(async move {
        let _guard = guard;
        panic!("on purpose");
    });
    assert!(task.await.is_err());
    handle.ready();
    assert!(!health.is_ready());
    assert_eq!(health.report()[1].component, "exporters.mlflow.writer");
    assert_eq!(died.get(), 1);
    health.task("processors.batch", "worker", died.clone()).finished();
    assert_eq!(health.report().len(), 2, "who has nothing to say is not heard of");
    drop(health.task("processors.batch", "worker", died.clone()));
    assert_eq!((health.report()[2].component.as_str(), died.get()), ("processors.batch.worker", 2));
}
