use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_mlflow::otlp::model::ExportTraceServiceResponse;
use opentelemetry_mlflow::otlp::status::Status as RpcStatus;
use opentelemetry_mlflow::pipeline::ExportError;
use prost::Message as _;
use std::time::Duration;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::support::*;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Sends bytes as they are, so that bad messages can be sent.
#[derive(Clone, Copy, Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

async fn connect(server: &Server) -> tonic::client::Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.grpc)).unwrap();
    tonic::client::Grpc::new(endpoint.connect().await.unwrap())
}

async fn call(
    client: &mut tonic::client::Grpc<Channel>,
    path: &'static str,
    request: Request<Vec<u8>>,
) -> Result<Response<Bytes>, Status> {
    client.ready().await.unwrap();
    client.unary(request, PathAndQuery::from_static(path), BytesCodec).await
}

async fn assert_healthy(server: &Server, client: &mut tonic::client::Grpc<Channel>) {
    let response = call(client, EXPORT, Request::new(good_body())).await.unwrap();
    assert_eq!(response.into_inner(), "");
    assert_eq!(server.last().body, good_request());
}

#[tokio::test]
async fn messages_are_taken_in_every_compression() {
    let server = Server::start(config()).await;
    let mut plain = connect(&server).await;
    assert_healthy(&server, &mut plain).await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd] {
        let mut client = connect(&server).await.send_compressed(encoding);
        assert_healthy(&server, &mut client).await;
    }
    assert_eq!(server.kept(), 4);
}

#[tokio::test]
async fn mlflow_metadata_reaches_the_exporter() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    let mut request = Request::new(good_body());
    request.metadata_mut().insert("x-mlflow-experiment-id", "12".parse().unwrap());
    call(&mut client, EXPORT, request).await.unwrap();
    assert_eq!(server.last().metadata.experiment_id.as_deref(), Some("12"));
}

#[tokio::test]
async fn one_bad_span_is_reported_and_the_good_one_kept() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    let response = call(&mut client, EXPORT, Request::new(half_bad_body())).await.unwrap();
    let answer = ExportTraceServiceResponse::decode(response.into_inner()).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    assert_eq!(server.last().body, good_request());
}

/// Scenario: each kind of bad call comes in, and a good one after it on the same connection.
/// Guarantees: a code after which OTLP clients do not repeat the call, and no harm.
#[tokio::test]
async fn bad_calls_get_their_answer_and_harm_nothing() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    let truncated = good_body()[..good_body().len() - 2].to_vec();
    let mut nameless = span("bad");
    nameless.span_id.clear();
    for (path, body, code, says) in [
        (EXPORT, truncated, Code::InvalidArgument, "ExportTraceServiceRequest"),
        (EXPORT, nested_body(10_000), Code::InvalidArgument, "recursion"),
        (EXPORT, request_of(vec![nameless]).encode_to_vec(), Code::InvalidArgument, "span_id is empty"),
        (EXPORT, vec![0; LIMIT + 1], Code::ResourceExhausted, "larger than"),
        (
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            good_body(),
            Code::Unimplemented,
            "only traces",
        ),
        (
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            good_body(),
            Code::Unimplemented,
            "only traces",
        ),
        ("/some.Service/Method", good_body(), Code::Unimplemented, "unknown service"),
    ] {
        let status = call(&mut client, path, Request::new(body)).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(says), "{status:?}");
        assert_eq!(RpcStatus::decode(status.details()).unwrap().retry_after(), None);
        assert_healthy(&server, &mut client).await;
    }
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await.send_compressed(CompressionEncoding::Zstd);
    let status = call(&mut client, EXPORT, Request::new(vec![0; 20 * LIMIT])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(RpcStatus::decode(status.details()).unwrap().retry_after(), None);
    assert_healthy(&server, &mut client).await;
}

#[tokio::test]
async fn passing_trouble_says_when_to_come_back() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    let after = Some(Duration::from_millis(1_500));
    *server.recorder.delivery.lock().unwrap() = Err(ExportError::Retry { after, reason: "down".to_owned() });
    let status = call(&mut client, EXPORT, Request::new(good_body())).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "down"));
    assert_eq!(RpcStatus::decode(status.details()).unwrap().retry_after(), after);
}

#[tokio::test]
async fn what_would_be_refused_is_not_decoded() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    let after = Some(Duration::from_millis(1_500));
    *server.recorder.refusal.lock().unwrap() = Some(ExportError::Retry { after, reason: "full".to_owned() });
    let status = call(&mut client, EXPORT, Request::new(b"no protobuf".to_vec())).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "full"));
    assert_eq!(RpcStatus::decode(status.details()).unwrap().retry_after(), after);
    *server.recorder.refusal.lock().unwrap() = None;
    assert_healthy(&server, &mut client).await;
}

#[tokio::test]
async fn too_much_at_once_is_refused_with_a_hint() {
    let mut config = config();
    config.max_requests_in_flight = 1;
    let server = Server::start(config).await;
    server.hold();
    let mut first = connect(&server).await;
    let mut second = connect(&server).await;
    let waiting = tokio::spawn(async move { call(&mut first, EXPORT, Request::new(good_body())).await });
    server.reached(1).await;
    let status = call(&mut second, EXPORT, Request::new(good_body())).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(RpcStatus::decode(status.details()).unwrap().retry_after(), Some(Duration::from_secs(1)));
    server.recorder.gate.add_permits(1);
    waiting.await.unwrap().unwrap();
}

/// Scenario: the stop comes while a call is being delivered, on a connection that stays open.
/// Guarantees: the call is answered, and serving ends although the client keeps its connection.
#[tokio::test]
async fn a_stop_waits_for_what_was_begun() {
    let server = Server::start(config()).await;
    let mut client = connect(&server).await;
    assert_healthy(&server, &mut client).await;
    let _idle = connect(&server).await;
    server.hold();
    let waiting = tokio::spawn(async move { call(&mut client, EXPORT, Request::new(good_body())).await });
    server.reached(2).await;
    server.shutdown.cancel();
    assert!(!server.task.is_finished());
    server.recorder.gate.add_permits(1);
    waiting.await.unwrap().unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_client_of_http_is_told_that_this_is_grpc() {
    let server = Server::start(config()).await;
    let client = reqwest::Client::builder();
    let _ = super::support::client();
    let client = client.http2_prior_knowledge().build().unwrap();
    let response = client.get(format!("http://{}/", server.grpc)).send().await.unwrap();
    assert_eq!(response.status(), 415);
    assert!(response.text().await.unwrap().contains("gRPC"));
}
