use std::sync::Arc;
use std::time::Duration;

use opentelemetry_mlflow::pipeline::{ComponentId, Pipeline};
use opentelemetry_mlflow::receivers::otlp::OtlpReceiver;
use opentelemetry_mlflow::telemetry::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::*;

/// Long enough for a machine under load, far shorter than the test's own patience.
const SHORT: Duration = Duration::from_millis(300);

async fn everything(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let server = Server::start(with_http(|http| http.read_timeout = SHORT)).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(head(1000).as_bytes()).await.unwrap();
    stream.write_all(b"\x0a").await.unwrap();
    let answer = everything(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    server.assert_healthy().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let mut config = with_http(|http| http.read_header_timeout = SHORT);
    config.protocols.grpc.as_mut().unwrap().read_timeout = SHORT;
    let server = Server::start(config).await;
    for (address, start) in [
        (server.http, b"POST /v1/tra".as_slice()),
        (server.http, b"".as_slice()),
        (server.grpc, b"PRI * HTTP/2".as_slice()),
        (server.grpc, b"".as_slice()),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(start).await.unwrap();
        // The end of this read is the receiver's doing. What it says before is its own affair.
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
    }
    server.assert_healthy().await;
}

#[tokio::test]
async fn a_client_that_goes_away_harms_nothing() {
    let mut config = config();
    config.max_requests_in_flight = 1;
    let server = Server::start(config).await;
    // In the middle of the body.
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(head(1000).as_bytes()).await.unwrap();
    drop(stream);
    // While the request is being delivered.
    server.hold();
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let body = good_body();
    // The first client's place may not be free yet.
    loop {
        stream.write_all(&[head(body.len()).as_bytes(), &body].concat()).await.unwrap();
        tokio::select! {
            () = server.reached(1) => break,
            read = stream.read_u8() => { read.unwrap(); stream = TcpStream::connect(server.http).await.unwrap(); }
        }
    }
    drop(stream);
    server.recorder.gate.add_permits(1_000_000);
    // The place of the request that was given up is free again.
    while server.post(good_body()).await.status() != 200 {}
}

#[tokio::test]
async fn too_much_at_once_is_refused_with_a_hint() {
    let mut config = config();
    config.max_requests_in_flight = 1;
    let server = Server::start(config).await;
    server.hold();
    let waiting = tokio::spawn(server.request(good_body()).send());
    server.reached(1).await;
    let refused = server.post(good_body()).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    server.recorder.gate.add_permits(1_000_000);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    server.assert_healthy().await;
}

#[tokio::test]
async fn bytes_under_way_are_limited() {
    let mut config = config();
    config.max_bytes_in_flight = 3 * LIMIT / 2;
    let server = Server::start(config).await;
    server.hold();
    let mut large = span("large");
    large.attributes.push(attribute("text", &"x".repeat(LIMIT - 1000)));
    let body = prost::Message::encode_to_vec(&request_of(vec![large]));
    let waiting = tokio::spawn(server.request(body.clone()).send());
    server.reached(1).await;
    assert_eq!(server.post(body).await.status(), 429);
    server.recorder.gate.add_permits(1_000_000);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

/// Scenario: the stop comes while a request is being delivered.
/// Guarantees: the request is answered, new connections are refused, and serving ends.
#[tokio::test]
async fn a_stop_waits_for_what_was_begun() {
    let server = Server::start(config()).await;
    server.hold();
    let waiting = tokio::spawn(server.request(good_body()).send());
    server.reached(1).await;
    server.shutdown.cancel();
    while TcpStream::connect(server.http).await.is_ok() {}
    assert!(!server.task.is_finished());
    server.recorder.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key() {
    let server = Server::start(config()).await;
    let mut config = config();
    config.protocols.grpc = None;
    config.protocols.http.as_mut().unwrap().endpoint = server.http.to_string();
    let pipeline = Pipeline::new(vec![Arc::clone(&server.recorder) as Arc<_>]);
    let id = ComponentId::parse("otlp/second");
    let error = OtlpReceiver::bind(&id, config, pipeline, &Metrics::default()).await.unwrap_err().to_string();
    assert!(error.contains(&server.http.to_string()), "{error}");
    assert!(error.contains("receivers.otlp/second.protocols.http.endpoint"), "{error}");
}
