use opentelemetry_mlflow::otlp::status::Status;
use opentelemetry_mlflow::receivers::otlp::{OtlpReceiverConfig, Protocols};
use opentelemetry_mlflow::receivers::trust::{AuthConfig, BearerTokenConfig};
use prost::Message as _;
use tokio::net::TcpStream;

use super::support::*;

fn with_tokens(tokens: &[&str]) -> OtlpReceiverConfig {
    let tokens = tokens.iter().map(|token| (*token).into()).collect();
    let bearer = BearerTokenConfig { tokens, ..BearerTokenConfig::default() };
    with_http(|http| http.auth = Some(AuthConfig { bearertokenauth: Some(bearer), basicauth: None }))
}

async fn change(server: &Server, config: OtlpReceiverConfig) {
    let change = server.control.prepare(config, &pipeline(&server.recorder)).await.unwrap();
    change.await;
}

#[tokio::test]
async fn who_shows_no_token_is_told_what_to_show() {
    let server = Server::start(with_tokens(&["good"])).await;
    for wrong in [None, Some("bad")] {
        let request = server.request(good_body());
        let request = if let Some(token) = wrong { request.bearer_auth(token) } else { request };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"otel-mlflow\"");
        let status = Status::decode(response.bytes().await.unwrap()).unwrap();
        assert!(status.code == 16 && status.message.contains("authorization"), "{status:?}");
    }
    assert_eq!(server.kept(), 0);
    assert_eq!(server.request(good_body()).bearer_auth("good").send().await.unwrap().status(), 200);
    let text = server.metrics.render().unwrap();
    let counted = "receiver_refused_requests_total{component=\"otlp\",reason=\"unauthenticated\"} 2";
    assert!(text.contains(counted), "{text}");
}

/// Scenario: other tokens come into force while a client keeps its connection.
/// Guarantees: the next request on that connection is judged by them; a change that is dropped changes nothing.
#[tokio::test]
async fn tokens_change_under_an_open_connection() {
    let server = Server::start(with_tokens(&["old"])).await;
    let client = client();
    let ask = async |token: &str| {
        let request = client.post(server.url()).header("content-type", "application/x-protobuf");
        request.bearer_auth(token).body(good_body()).send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("old").await, ask("new").await), (200, 401));
    drop(server.control.prepare(with_tokens(&["new"]), &pipeline(&server.recorder)).await.unwrap());
    assert_eq!((ask("old").await, ask("new").await), (200, 401));
    change(&server, with_tokens(&["old", "new"])).await;
    assert_eq!((ask("old").await, ask("new").await), (200, 200));
    change(&server, with_tokens(&["new"])).await;
    assert_eq!((ask("old").await, ask("new").await), (401, 200));
}

/// Scenario: another pipeline comes into force while a request is being delivered by the former one.
/// Guarantees: that request ends there, the next one goes to the new one.
#[tokio::test]
async fn a_request_ends_with_what_it_began_with() {
    let server = Server::start(config()).await;
    server.hold();
    let waiting = tokio::spawn(server.request(good_body()).send());
    server.reached(1).await;
    let other = Recorder::new();
    server.control.prepare(config(), &pipeline(&other)).await.unwrap().await;
    assert_eq!(server.post(good_body()).await.status(), 200);
    assert_eq!((server.kept(), other.kept()), (1, 1));
    server.recorder.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn ports_come_and_go() {
    let server = Server::start(config()).await;
    let mut moved = with_http(|http| http.endpoint = "localhost:0".to_owned());
    moved.protocols.grpc = None;
    change(&server, moved).await;
    let now = server.control.http_address().unwrap();
    assert_ne!(now, server.http);
    assert_eq!(server.control.grpc_address(), None);
    let request = client().post(format!("http://{now}/v1/traces")).body(good_body());
    let response = request.header("content-type", "application/x-protobuf").send().await.unwrap();
    assert_eq!(response.status(), 200);
    for former in [server.http, server.grpc] {
        while TcpStream::connect(former).await.is_ok() {}
    }
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert!(TcpStream::connect(now).await.is_err());
}

#[tokio::test]
async fn an_address_that_overlaps_one_in_use_needs_a_restart() {
    let server = Server::start(config()).await;
    let wide = with_http(|http| {
        http.endpoint = format!("0.0.0.0:{}", server.http.port());
        http.insecure = true;
    });
    let refused = server.control.prepare(wide, &pipeline(&server.recorder)).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("without a restart") && message.contains(&server.http.to_string()), "{message}");
    let nothing =
        OtlpReceiverConfig { protocols: Protocols { grpc: config().protocols.grpc, http: None }, ..config() };
    change(&server, nothing).await;
    while TcpStream::connect(server.http).await.is_ok() {}
}
