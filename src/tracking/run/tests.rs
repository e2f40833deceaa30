//! Runs against a server that answers as MLflow does, and against none.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{RunLimits, StartRun};
use crate::tracking::{Client, Spool};

const API: &str = "/api/2.0/mlflow";

fn run_json(run_id: &str) -> Value {
    json!({"run": {
        "info": {
            "run_id": run_id, "experiment_id": "0", "run_name": "n", "user_id": "u", "status": "RUNNING",
            "start_time": 1, "artifact_uri": "mlflow-artifacts:/0/r/artifacts", "lifecycle_stage": "active",
        },
        "data": {}, "inputs": {},
    }})
}

/// A server on which runs are made and ended; `batch` answers what is logged.
async fn mlflow(batch: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let ok = |body: Value| ResponseTemplate::new(200).set_body_json(body);
    for (call, answer) in [
        ("runs/create", run_json("r1")),
        ("runs/update", json!({"run_info": run_json("r1")["run"]["info"]})),
        ("runs/search", json!({})),
    ] {
        let mock = Mock::given(method("POST")).and(path(format!("{API}/{call}")));
        mock.respond_with(ok(answer)).mount(&server).await;
    }
    let mock = Mock::given(method("POST")).and(path(format!("{API}/runs/log-batch")));
    mock.respond_with(batch).mount(&server).await;
    server
}

/// The bodies of the calls to a path.
async fn calls(server: &MockServer, call: &str) -> Vec<Value> {
    let received = server.received_requests().await.unwrap();
    let wanted = received.iter().filter(|request| request.url.path().ends_with(call));
    wanted.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

fn ok(_: &Request) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({}))
}

fn quick(folder: &tempfile::TempDir) -> StartRun {
    let limits = RunLimits {
        start: Duration::from_secs(2),
        patience: Duration::from_secs(2),
        end: Duration::from_secs(1),
        gather: Duration::from_millis(5),
        ..RunLimits::default()
    };
    StartRun::named("n").limits(limits).spool(Spool::new(folder.path()))
}

#[tokio::test]
async fn entries_arrive_in_batches_within_mlflows_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = mlflow(ok).await;
    let client = Client::connect(&server.uri()).await.unwrap();
    let run = client.start_run(quick(&folder)).await.unwrap();
    for step in 0..2_500 {
        run.log_metric("m", 1.0, step);
    }
    run.log_params((0..120).map(|number| (format!("p{number}"), number)));
    run.log_metric("../m", 1.0, 0);
    let outcome = run.finish().await;
    assert_eq!((outcome.delivered, outcome.refused, outcome.spooled, outcome.dropped), (2_620, 1, 0, 0));
    let batches = calls(&server, "log-batch").await;
    let count = |kind: &str, batch: &Value| batch[kind].as_array().map_or(0, Vec::len);
    for batch in &batches {
        assert!(count("params", batch) <= 100);
        assert!(count("params", batch) + count("metrics", batch) + count("tags", batch) <= 1_000);
    }
    let metrics: usize = batches.iter().map(|batch| count("metrics", batch)).sum();
    assert_eq!(metrics, 2_500);
    assert_eq!(calls(&server, "runs/update").await.last().unwrap()["status"], "FINISHED");
    let created = &calls(&server, "runs/create").await[0];
    let tags = created["tags"].as_array().unwrap();
    assert!(tags.iter().any(|tag| tag["key"] == "mlflow.source.type" && tag["value"] == "LOCAL"), "{tags:?}");
}

#[tokio::test]
async fn what_mlflow_refuses_is_narrowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let server = mlflow(|request| {
        let refused = String::from_utf8_lossy(&request.body).contains("\"p7\"");
        let body = json!({"error_code": "INVALID_PARAMETER_VALUE", "message": "Changing param values is not allowed"});
        if refused { ResponseTemplate::new(400).set_body_json(body) } else { ok(request) }
    })
    .await;
    let client = Client::connect(&server.uri()).await.unwrap();
    let run = client.start_run(quick(&folder)).await.unwrap();
    run.log_params((0..20).map(|number| (format!("p{number}"), number)));
    run.log_metric("m", 1.0, 0);
    let outcome = run.finish().await;
    assert_eq!((outcome.delivered, outcome.refused), (20, 1));
}

#[tokio::test]
async fn a_run_without_a_server_is_in_the_spool_and_made_from_it() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and dropped: a port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::connect(&format!("http://{free}")).await.unwrap();
    let run = client.start_run(quick(&folder)).await.unwrap();
    assert_eq!(run.run_id(), None);
    run.log_metric("m", f64::INFINITY, 1);
    assert!(run.artifacts().is_err());
    let outcome = run.fail().await;
    assert_eq!((outcome.spooled, outcome.is_delivered(), outcome.is_kept()), (1, false, true));

    let server = mlflow(ok).await;
    let there = Client::connect(&server.uri()).await.unwrap();
    let spool = Spool::new(folder.path());
    let [file] = spool.files().unwrap().try_into().unwrap();
    assert_eq!(Spool::target(&file).unwrap(), Some(format!("http://{free}")));
    let elsewhere = Spool::deliver(there.store().as_ref(), &file, Some(&server.uri())).await;
    assert!(elsewhere.is_err() && file.exists());
    let delivered = Spool::deliver(there.store().as_ref(), &file, None).await.unwrap();
    assert_eq!((delivered.run_id.as_str(), delivered.entries), ("r1", 1));
    assert!(!file.exists());
    assert_eq!(calls(&server, "runs/update").await.last().unwrap()["status"], "FAILED");
    let searched = &calls(&server, "runs/search").await[0]["filter"];
    assert!(searched.as_str().unwrap().contains("otel_mlflow.run_key"), "{searched}");
}

#[tokio::test]
async fn a_full_spool_drops_and_counts_but_keeps_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::connect(&format!("http://{free}")).await.unwrap();
    let start = quick(&folder).spool(Spool::new(folder.path()).max_bytes(10));
    let run = client.start_run(start).await.unwrap();
    run.log_metric("m", 1.0, 1);
    let outcome = run.finish().await;
    assert_eq!((outcome.spooled, outcome.dropped), (0, 1));
    let [file] = Spool::new(folder.path()).files().unwrap().try_into().unwrap();
    assert!(std::fs::read_to_string(file).unwrap().contains(r#"{"end":{"status":"FINISHED""#));
}

#[test]
fn a_guard_may_outlive_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let far = tokio::runtime::Runtime::new().unwrap();
    let server = far.block_on(mlflow(ok));
    let near = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = near.block_on(async {
        let client = Client::connect(&server.uri()).await.unwrap();
        client.start_run(quick(&folder)).await.unwrap()
    });
    drop(near);
    run.log_metric("m", 1.0, 0);
    drop(run);
    assert_eq!(far.block_on(calls(&server, "log-batch")).len(), 1);
    assert_eq!(far.block_on(calls(&server, "runs/update")).last().unwrap()["status"], "FINISHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = mlflow(ok).await;
    let client = Client::connect(&server.uri()).await.unwrap();
    let run = client.start_run(quick(&folder)).await.unwrap();
    let task = tokio::spawn(async move {
        run.log_metric("m", 1.0, 0);
        panic!("the job fails");
    });
    assert!(task.await.is_err());
    assert_eq!(calls(&server, "runs/update").await.last().unwrap()["status"], "FAILED");
}
