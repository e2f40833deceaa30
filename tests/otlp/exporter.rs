use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use opentelemetry_mlflow::exporters::otlp::{
    Compression, OtlpExporter, OtlpExporterConfig, OtlpHttpExporterConfig, TlsConfig,
};
use opentelemetry_mlflow::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use opentelemetry_mlflow::otlp::Refusal;
use opentelemetry_mlflow::pipeline::{
    ComponentId, Delivered, Delivery, DeliveryFuture, ExportError, TraceExporter as _, TraceRequest,
    ack_channel,
};
use opentelemetry_mlflow::telemetry::Telemetry;
use tonic::transport::{Identity, ServerTlsConfig};

use super::support::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    Http,
}

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

fn retry(max_elapsed_time: Duration) -> RetryOnFailure {
    let interval = Duration::from_millis(1);
    let max_elapsed_time = Some(max_elapsed_time);
    let (initial_interval, max_interval) = (interval, interval);
    RetryOnFailure { initial_interval, max_interval, max_elapsed_time, ..RetryOnFailure::default() }
}

/// What both configurations have in common.
#[derive(Clone)]
struct Settings {
    tls: TlsConfig,
    compression: Compression,
    retry: RetryOnFailure,
    headers: Vec<(&'static str, &'static str)>,
}

impl Default for Settings {
    fn default() -> Self {
        let insecure = TlsConfig { insecure: true, ..TlsConfig::default() };
        Self {
            tls: insecure,
            compression: Compression::Gzip,
            retry: retry(Duration::from_secs(60)),
            headers: vec![],
        }
    }
}

fn exporter(
    protocol: Protocol,
    host_and_port: String,
    settings: Settings,
    telemetry: &Telemetry,
) -> OtlpExporter {
    let id = ComponentId::parse("otlp");
    let Settings { tls, compression, retry: retry_on_failure, headers } = settings;
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let timeout = Duration::from_secs(20);
    match protocol {
        Protocol::Grpc => {
            let endpoint = host_and_port;
            let config = OtlpExporterConfig {
                endpoint,
                tls,
                compression,
                retry_on_failure,
                sending_queue: SendingQueueConfig::disabled(),
                headers,
                timeout,
                ..OtlpExporterConfig::default()
            };
            OtlpExporter::grpc(id, &config, telemetry).unwrap()
        }
        Protocol::Http => {
            let endpoint = format!("{}://{host_and_port}", if tls.insecure { "http" } else { "https" });
            let config = OtlpHttpExporterConfig {
                endpoint,
                tls,
                compression,
                retry_on_failure,
                sending_queue: SendingQueueConfig::disabled(),
                headers,
                timeout,
                ..OtlpHttpExporterConfig::default()
            };
            OtlpExporter::http(id, &config, telemetry).unwrap()
        }
    }
}

fn towards(server: &Server, protocol: Protocol, settings: Settings) -> OtlpExporter {
    let address = if protocol == Protocol::Grpc { server.grpc } else { server.http };
    exporter(protocol, address.to_string(), settings, &Telemetry::default())
}

async fn begin(exporter: &OtlpExporter) -> DeliveryFuture {
    let (ack, delivery) = ack_channel();
    exporter.export(Arc::new(TraceRequest { body: good_request(), ..TraceRequest::default() }), ack).await;
    delivery
}

async fn deliver(exporter: &OtlpExporter) -> Delivery {
    begin(exporter).await.await
}

#[tokio::test]
async fn requests_arrive_as_they_were_in_every_compression() {
    let server = Server::start(config()).await;
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let settings = Settings {
                compression,
                headers: vec![("x-mlflow-experiment-id", "3")],
                ..Settings::default()
            };
            let before = server.kept();
            assert_eq!(deliver(&towards(&server, protocol, settings)).await, Ok(Delivered::default()));
            assert_eq!(server.kept(), before + 1, "{protocol:?} {compression:?}");
            assert_eq!(server.last().body, good_request());
            assert_eq!(server.last().metadata.experiment_id.as_deref(), Some("3"));
        }
    }
}

#[tokio::test]
async fn refusals_of_the_backend_are_handed_back() {
    let server = Server::start(config()).await;
    let refusals = vec![Refusal { spans: 1, reason: "poison".to_owned() }];
    *server.recorder.delivery.lock().unwrap() = Ok(Delivered { refusals: refusals.clone() });
    let body = request_of(vec![span("a"), span("b")]);
    for protocol in BOTH {
        let (ack, delivery) = ack_channel();
        let request = Arc::new(TraceRequest { body: body.clone(), ..TraceRequest::default() });
        towards(&server, protocol, Settings::default()).export(request, ack).await;
        assert_eq!(delivery.await, Ok(Delivered { refusals: refusals.clone() }), "{protocol:?}");
    }
}

#[tokio::test]
async fn passing_trouble_is_sat_out() {
    for protocol in BOTH {
        let server = Server::start(config()).await;
        let after = Some(Duration::from_millis(1));
        *server.recorder.delivery.lock().unwrap() =
            Err(ExportError::Retry { after, reason: "down".to_owned() });
        let delivery = begin(&towards(&server, protocol, Settings::default())).await;
        server.reached(1).await;
        *server.recorder.delivery.lock().unwrap() = Ok(Delivered::default());
        assert_eq!(delivery.await, Ok(Delivered::default()), "{protocol:?}");
        assert!(server.kept() > 1);
    }
}

#[tokio::test]
async fn bad_data_is_not_sent_again() {
    let server = Server::start(config()).await;
    *server.recorder.delivery.lock().unwrap() = Err(ExportError::reject("nonsense"));
    for protocol in BOTH {
        let before = server.kept();
        let error = deliver(&towards(&server, protocol, Settings::default())).await.unwrap_err();
        assert!(
            matches!(&error, ExportError::Reject { reason } if reason.ends_with(": nonsense")),
            "{error:?}"
        );
        assert_eq!(server.kept(), before + 1);
    }
}

#[tokio::test]
async fn a_wrong_path_is_a_matter_of_configuration() {
    let server = Server::start(with_http(|http| http.traces_url_path = "/elsewhere".to_owned())).await;
    let error = deliver(&towards(&server, Protocol::Http, Settings::default())).await.unwrap_err();
    assert!(matches!(error, ExportError::Fatal { .. }), "{error:?}");
}

/// An address where nobody listens.
fn nowhere() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn an_absent_backend_is_given_up_in_the_end_and_shows_in_the_health() {
    for protocol in BOTH {
        let telemetry = Telemetry::default();
        let settings = Settings { retry: retry(Duration::from_millis(20)), ..Settings::default() };
        let exporter = exporter(protocol, nowhere().to_string(), settings, &telemetry);
        assert!(telemetry.health.is_ready());
        let error = deliver(&exporter).await.unwrap_err();
        assert!(matches!(error, ExportError::Retry { .. }), "{error:?}");
        assert!(!telemetry.health.is_ready());
        let report = telemetry.health.report();
        assert!(report[0].reason.as_ref().unwrap().contains("refused"), "{report:?}");
    }
}

#[tokio::test]
async fn a_stop_ends_the_retries_and_asks_the_sender_to_come_back() {
    for protocol in BOTH {
        let settings = Settings { retry: retry(Duration::ZERO), ..Settings::default() };
        let exporter = exporter(protocol, nowhere().to_string(), settings, &Telemetry::default());
        let delivery = begin(&exporter).await;
        exporter.shutdown().await;
        assert!(matches!(delivery.await, Err(ExportError::Retry { .. })));
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A backend behind TLS that accepts everything, of both protocols.
async fn secure_backend() -> SocketAddr {
    // The client's, or this would decide which cryptography the process uses.
    let _ = client();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = || async {
        let response =
            Response::builder().header("content-type", "application/grpc").header("grpc-status", "0");
        response.body(Body::from(vec![0; 5])).unwrap()
    };
    let routes = tonic::service::Routes::from(Router::new().fallback(answer));
    let read = |name| std::fs::read(file(name)).unwrap();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(read("server.pem"), read("server.key")));
    let server =
        tonic::transport::Server::builder().accept_http1(true).tls_config(tls).unwrap().add_routes(routes);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

#[tokio::test]
async fn a_backend_must_have_a_certificate_that_is_trusted() {
    let port = secure_backend().await.port();
    let trusting = TlsConfig { ca_file: Some(file("ca.pem")), ..TlsConfig::default() };
    let careless = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    let stranger = TlsConfig { ca_file: Some(file("server.pem")), ..TlsConfig::default() };
    for protocol in BOTH {
        for (tls, trusted) in [(&trusting, true), (&careless, true), (&stranger, false)] {
            let retry = retry(Duration::from_millis(5));
            let settings = Settings { tls: tls.clone(), retry, ..Settings::default() };
            let exporter = exporter(protocol, format!("localhost:{port}"), settings, &Telemetry::default());
            let delivery = deliver(&exporter).await;
            assert_eq!(delivery.is_ok(), trusted, "{protocol:?} {tls:?} {delivery:?}");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_with_its_key() {
    let tls = TlsConfig { ca_file: Some(file("absent.pem")), ..TlsConfig::default() };
    let config = OtlpExporterConfig {
        endpoint: "localhost:1".to_owned(),
        tls: tls.clone(),
        ..OtlpExporterConfig::default()
    };
    let grpc = OtlpExporter::grpc(ComponentId::parse("otlp/a"), &config, &Telemetry::default());
    let config = OtlpHttpExporterConfig {
        endpoint: "https://localhost:1".to_owned(),
        tls,
        ..OtlpHttpExporterConfig::default()
    };
    let http = OtlpExporter::http(ComponentId::parse("otlp/a"), &config, &Telemetry::default());
    for error in [grpc.err().unwrap().to_string(), http.err().unwrap().to_string()] {
        assert!(
            error.starts_with("exporters.otlp/a.tls.ca_file: ") && error.contains("absent.pem"),
            "{error}"
        );
    }
}
