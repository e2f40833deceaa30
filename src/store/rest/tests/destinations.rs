//! What is sent, and where to.

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{Picky, answer_exports, destination, options, request, server};
use crate::store::ExperimentDirectory;
use crate::store::rest::{Compression, Destination, RestStore, RunLink};

fn mlflow_id(trace: u8) -> String {
    format!("tr-{}", format!("{trace:02x}").repeat(16))
}

#[tokio::test]
async fn a_request_names_its_experiment_and_workspace() {
    let server = server("3.17.2").await;
    for (workspace, experiment) in [("own", "7"), ("other", "8")] {
        Mock::given(method("POST"))
            .and(path("/v1/traces"))
            .and(header("x-mlflow-workspace", workspace))
            .and(header("x-mlflow-experiment-id", experiment))
            .and(header("content-type", "application/x-protobuf"))
            .respond_with(ResponseTemplate::new(200))
            .expect(1)
            .mount(&server)
            .await;
    }
    answer_exports(&server, ResponseTemplate::new(422)).await;
    let mut options = options();
    options.workspace = Some("own".to_owned());
    let store = RestStore::connect(&server.uri(), options).unwrap();
    let spans = request(&[(1, "a")]);
    assert_eq!(store.send(&destination(), &spans, &[]).await.unwrap(), []);
    let other = Destination { experiment_id: 8, workspace: Some("other".to_owned()) };
    assert_eq!(store.send(&other, &spans, &[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_negative_experiment_is_not_sent() {
    let store = RestStore::connect("http://127.0.0.1:1", options()).unwrap();
    let nowhere = Destination { experiment_id: -1, workspace: None };
    assert!(store.send(&nowhere, &request(&[(1, "a")]), &[]).await.is_err());
}

#[tokio::test]
async fn a_large_request_is_sent_in_pieces() {
    let server = server("3.17.2").await;
    let picky = Picky::new(ResponseTemplate::new(400), |_| false);
    answer_exports(&server, picky.clone()).await;
    let mut options = options();
    options.max_request_bytes = 1_000;
    let store = RestStore::connect(&server.uri(), options).unwrap();
    let name = "n".repeat(100);
    let spans: Vec<_> = (0..50).map(|index| (index as u8 % 7, name.as_str())).collect();
    assert_eq!(store.send(&destination(), &request(&spans), &[]).await.unwrap(), []);
    assert_eq!(picky.taken().len(), 50);
    let sizes = picky.sizes.lock().unwrap().clone();
    assert!(sizes.len() > 5 && sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
}

#[tokio::test]
async fn any_number_of_traces_is_linked_to_a_run() {
    let server = server("3.17.2").await;
    answer_exports(&server, Picky::new(ResponseTemplate::new(400), |span| span.name == "bad")).await;
    Mock::given(method("POST"))
        .and(path("/api/2.0/mlflow/traces/link-to-run"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .mount(&server)
        .await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let spans: Vec<_> = (0..=249).map(|trace| (trace, if trace == 9 { "bad" } else { "good" })).collect();
    let links: Vec<_> =
        (0..=249).map(|trace| RunLink { trace_id: mlflow_id(trace), run_id: "r".to_owned() }).collect();
    let refusals = store.send(&destination(), &request(&spans), &links).await.unwrap();
    assert_eq!(refusals.len(), 1);
    let linked: Vec<Vec<String>> = links_of(&server).await;
    assert_eq!(linked.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 49]);
    assert!(!linked.concat().contains(&mlflow_id(9)));
}

async fn links_of(server: &MockServer) -> Vec<Vec<String>> {
    let received = server.received_requests().await.unwrap();
    let links = received.iter().filter(|request| request.url.path().ends_with("link-to-run"));
    links
        .map(|request| {
            let body: Value = request.body_json().unwrap();
            assert_eq!(body["run_id"], "r");
            serde_json::from_value(body["trace_ids"].clone()).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_link_that_is_refused_is_a_warning() {
    let server = server("3.17.2").await;
    answer_exports(&server, ResponseTemplate::new(200)).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let links = [RunLink { trace_id: mlflow_id(1), run_id: "gone".to_owned() }];
    let refusals = store.send(&destination(), &request(&[(1, "a")]), &links).await.unwrap();
    assert_eq!(refusals.iter().map(|refusal| refusal.spans).collect::<Vec<_>>(), [0]);
    assert!(refusals[0].reason.contains("not linked to the run gone"), "{refusals:?}");
}

#[tokio::test]
async fn gzip_is_used_where_the_server_takes_it() {
    for (version, zipped) in [("3.6.0", false), ("3.17.2", true)] {
        let server = server(version).await;
        answer_exports(&server, move |request: &Request| {
            if request.body.is_empty() {
                return ResponseTemplate::new(422);
            }
            assert_eq!(request.headers.contains_key("content-encoding"), zipped);
            let mut plain = Vec::new();
            if zipped {
                GzDecoder::new(request.body.as_slice()).read_to_end(&mut plain).unwrap();
                assert!(plain.len() > request.body.len());
            }
            ResponseTemplate::new(200)
        })
        .await;
        let mut options = options();
        options.compression = Compression::Gzip;
        let store = RestStore::connect(&server.uri(), options).unwrap();
        let name = "n".repeat(5_000);
        assert_eq!(store.send(&destination(), &request(&[(1, &name)]), &[]).await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_the_server_says_it_did_not_keep_is_passed_on() {
    let json = r#"{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}"#;
    for body in [json.as_bytes(), b"\x0a\x0b\x08\x02\x12\x07too old"] {
        let (store, _server) =
            super::store_answered(ResponseTemplate::new(200).set_body_raw(body, "application/x-protobuf"))
                .await;
        let refusals = store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap();
        assert_eq!(refusals.len(), 1);
        assert_eq!((refusals[0].spans, refusals[0].reason.as_str()), (2, "too old"));
    }
    let (store, _server) =
        super::store_answered(ResponseTemplate::new(200).set_body_string(r#"{"partialSuccess":null}"#)).await;
    assert_eq!(store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap(), []);
}

#[tokio::test]
async fn an_experiment_that_somebody_else_created_is_found() {
    let server = MockServer::start().await;
    let exists =
        json!({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "Experiment(name=a b) already exists."});
    Mock::given(method("POST"))
        .and(path("/api/2.0/mlflow/experiments/create"))
        .and(body_json(json!({"name": "a b"})))
        .respond_with(ResponseTemplate::new(400).set_body_json(exists))
        .mount(&server)
        .await;
    let found = json!({"experiment": {"experiment_id": "9", "name": "a b", "lifecycle_stage": "deleted",
        "artifact_location": "mlflow-artifacts:/9", "new_field": 1}});
    Mock::given(method("GET"))
        .and(path("/api/2.0/mlflow/experiments/get-by-name"))
        .and(query_param("experiment_name", "a b"))
        .respond_with(ResponseTemplate::new(200).set_body_json(found))
        .mount(&server)
        .await;
    let missing = json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"});
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(404).set_body_json(missing))
        .mount(&server)
        .await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let experiment = store.create("a b").await.unwrap();
    assert_eq!((experiment.id, experiment.deleted), (9, true));
    assert_eq!(experiment.artifact_location.as_deref(), Some("mlflow-artifacts:/9"));
    assert_eq!(store.find("other").await.unwrap(), None);
    assert_eq!(store.get(3).await.unwrap(), None);
}
