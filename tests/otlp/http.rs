use std::io::Write as _;
use std::time::Duration;

use opentelemetry_mlflow::otlp::Refusal;
use opentelemetry_mlflow::otlp::model::{ExportTraceServiceResponse, KeyValue};
use opentelemetry_mlflow::otlp::status::Status;
use opentelemetry_mlflow::pipeline::{Delivered, ExportError};
use prost::Message as _;

use super::support::*;

const JSON: &str = include_str!("../data/otlp/json-body-1.json");

#[tokio::test]
async fn protobuf_is_taken_in_every_compression() {
    let server = Server::start(config()).await;
    let body = good_body();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&body).unwrap();
    for (coding, compressed) in [
        ("identity", body.clone()),
        ("gzip", gzip(&body)),
        ("GZIP", gzip(&body)),
        ("deflate", zlib.finish().unwrap()),
        ("zstd", zstd::encode_all(body.as_slice(), 0).unwrap()),
    ] {
        let response = server.request(compressed).header("content-encoding", coding).send().await.unwrap();
        assert_eq!(response.status(), 200, "{coding}");
        assert_eq!(response.headers()["content-type"], "application/x-protobuf");
        assert_eq!(response.bytes().await.unwrap(), "");
        assert_eq!(server.last().body, good_request(), "{coding}");
        assert_eq!(server.last().metadata.bytes, body.len());
        assert!(!server.last().metadata.json);
    }
}

#[tokio::test]
async fn json_is_taken_and_answered_in_json() {
    let server = Server::start(config()).await;
    for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let request = client().post(server.url()).header("content-type", content_type).body(JSON);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.text().await.unwrap(), "{}");
        assert_eq!(server.last().span_count(), 2);
        assert!(server.last().metadata.json);
    }
}

#[tokio::test]
async fn an_empty_request_is_a_success_that_reaches_nobody() {
    let server = Server::start(config()).await;
    let response = server.post(Vec::new()).await;
    assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, 0));
    let json = client().post(server.url()).header("content-type", "application/json").body("{}");
    assert_eq!(json.send().await.unwrap().text().await.unwrap(), "{}");
    assert_eq!(server.kept(), 0);
    server.assert_healthy().await;
}

/// Scenario: each kind of bad request comes in, and a good one after it.
/// Guarantees: a permanent error with a `google.rpc.Status` in the right encoding, and no harm.
#[tokio::test]
async fn bad_requests_get_their_answer_and_harm_nothing() {
    let server = Server::start(config()).await;
    let truncated = good_body()[..good_body().len() - 2].to_vec();
    let protobuf = "application/x-protobuf";
    let bomb = gzip(&vec![0; 20 * LIMIT]);
    for (content_type, coding, body, status, says) in [
        (protobuf, "", truncated, 400, "ExportTraceServiceRequest"),
        (protobuf, "", (0..=255).collect(), 400, "ExportTraceServiceRequest"),
        (protobuf, "", nested_body(10_000), 400, "recursion"),
        (protobuf, "", vec![b'x'; LIMIT + 1], 413, "larger than"),
        (protobuf, "gzip", bomb, 413, "larger than"),
        (protobuf, "gzip", b"not gzip".to_vec(), 400, "Gzip"),
        (protobuf, "br", good_body(), 415, "`br`"),
        ("text/plain", "", good_body(), 415, "content type"),
        ("", "", good_body(), 415, "content type"),
        ("application/json", "", b"[]".to_vec(), 400, "OTLP/JSON"),
        ("application/json", "", "[".repeat(10_000).into_bytes(), 400, "OTLP/JSON"),
        ("application/json", "", b"{\"a\":\"\xff\"}".to_vec(), 400, "utf-8"),
    ] {
        let mut request = client().post(server.url()).body(body);
        for (name, value) in [("content-type", content_type), ("content-encoding", coding)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{content_type} {coding} {says}");
        assert!(!response.headers().contains_key("retry-after"));
        let encoding = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = response.bytes().await.unwrap();
        let message = if content_type == protobuf {
            assert_eq!(encoding, protobuf);
            Status::decode(body).unwrap().message
        } else {
            assert_eq!(encoding, "application/json");
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()["message"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(message.contains(says), "{message}");
        server.assert_healthy().await;
    }
    let metrics = server.metrics.render().unwrap();
    assert!(metrics.contains(r#"reason="too_large""#), "{metrics}");
}

#[tokio::test]
async fn other_paths_and_methods_are_named() {
    let server = Server::start(config()).await;
    let response = client().post(format!("http://{}/v1/metrics", server.http)).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.text().await.unwrap().contains("/v1/traces"));
    let response = client().get(server.url()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    let moved = Server::start(with_http(|http| http.traces_url_path = "/otel/{x}/traces".to_owned())).await;
    let url = format!("http://{}/otel/{{x}}/traces", moved.http);
    let request = client().post(url).header("content-type", "application/x-protobuf").body(good_body());
    // The client writes the braces as %7B and %7D, so this is another path, and not a pattern.
    assert_eq!(request.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn one_bad_span_is_reported_and_the_good_one_kept() {
    let server = Server::start(config()).await;
    let response = server.post(half_bad_body()).await;
    assert_eq!(response.status(), 200);
    let answer = ExportTraceServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("spans[1]"), "{}", partial.error_message);
    assert_eq!(server.last().body, good_request());

    let json = JSON.replacen("\"name\": \"child\"", "\"name\": 5", 1);
    let request = client().post(server.url()).header("content-type", "application/json").body(json);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with(r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"#), "{text}");
    assert_eq!(server.last().span_count(), 1);
}

#[tokio::test]
async fn a_request_without_one_usable_span_is_an_error() {
    let server = Server::start(config()).await;
    for (trace_id, says) in [(Vec::new(), "trace_id is empty"), (vec![1; 17], "longer than 16 bytes")] {
        let mut bad = span("bad");
        bad.trace_id = trace_id;
        let response = server.post(request_of(vec![bad]).encode_to_vec()).await;
        assert_eq!(response.status(), 400);
        let status = Status::decode(response.bytes().await.unwrap()).unwrap();
        assert!(status.code == 3 && status.message.contains(says), "{status:?}");
    }
    assert_eq!(server.kept(), 0);
    server.assert_healthy().await;
}

#[tokio::test]
async fn what_the_pipeline_says_is_what_the_sender_hears() {
    let server = Server::start(config()).await;
    let after = Some(Duration::from_millis(2_500));
    for (error, status, retry_after) in [
        (ExportError::Retry { after, reason: "down".to_owned() }, 503, Some("3")),
        (ExportError::retry("down"), 503, Some("5")),
        (ExportError::fatal("wrong password"), 503, Some("5")),
        (ExportError::reject("nonsense"), 400, None),
    ] {
        *server.recorder.delivery.lock().unwrap() = Err(error.clone());
        let response = server.post(good_body()).await;
        assert_eq!(response.status(), status);
        let found = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), retry_after);
        let body = Status::decode(response.bytes().await.unwrap()).unwrap();
        assert_eq!(body.message, error.to_string());
        assert_eq!(body.retry_after().is_some(), retry_after.is_some());
    }
    let refusals = vec![Refusal { spans: 1, reason: "poison".to_owned() }];
    *server.recorder.delivery.lock().unwrap() = Ok(Delivered { refusals });
    let two = request_of(vec![span("a"), span("b")]).encode_to_vec();
    let answer = ExportTraceServiceResponse::decode(server.post(two).await.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.partial_success.unwrap().error_message, "poison");
}

/// Guarantees: where the pipeline knows that it would refuse, a body is not even decoded, and the connection goes on.
#[tokio::test]
async fn what_would_be_refused_is_not_decoded() {
    let server = Server::start(config()).await;
    let after = Some(Duration::from_secs(2));
    *server.recorder.refusal.lock().unwrap() = Some(ExportError::Retry { after, reason: "full".to_owned() });
    let response = server.post(b"no protobuf".to_vec()).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(Status::decode(response.bytes().await.unwrap()).unwrap().message, "full");
    *server.recorder.refusal.lock().unwrap() = None;
    assert_eq!(server.post(b"no protobuf".to_vec()).await.status(), 400);
    server.assert_healthy().await;
}

#[tokio::test]
async fn mlflow_headers_reach_the_exporter() {
    let server = Server::start(config()).await;
    let request = server
        .request(good_body())
        .header("X-Mlflow-Experiment-Id", "7")
        .header("x-mlflow-run-id", "abc")
        .header("x-mlflow-workspace", "té".as_bytes());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let metadata = server.last().metadata.clone();
    assert_eq!(metadata.experiment_id.as_deref(), Some("7"));
    assert_eq!(metadata.run_id.as_deref(), Some("abc"));
    assert_eq!(metadata.workspace.as_deref(), Some("té"));
    let request = server.request(good_body()).header("x-mlflow-run-id", b"\xff\xfe".as_slice());
    assert_eq!(request.send().await.unwrap().status(), 400);
    server.assert_healthy().await;
}

#[tokio::test]
async fn large_attributes_and_many_attributes_are_kept() {
    let server = Server::start(with_http(|http| http.max_request_body_size = 32 << 20)).await;
    let mut large = span("large");
    large.attributes.push(attribute("text", &"x".repeat(10_000_000)));
    let mut many = span("many");
    many.attributes =
        (0..100_000).map(|index| attribute(&format!("key {index}"), "value")).collect::<Vec<KeyValue>>();
    for span in [large, many] {
        let request = request_of(vec![span]);
        assert_eq!(server.post(request.encode_to_vec()).await.status(), 200);
        assert!(server.last().body == request);
    }
}
