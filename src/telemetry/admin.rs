//! The admin server: `/livez`, `/readyz` and `/metrics` over plain HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{ComponentHealth, Telemetry, VERSION};

/// Of the metrics, as the OpenMetrics specification names it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `extensions.admin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where to listen: `host:port`.
    pub endpoint: String,
    /// Allows to listen on an address that other machines can reach: whoever reaches it reads the metrics and the
    /// reasons of failures.
    pub insecure: bool,
    /// How long exports may fail before `/readyz` says so, as the Collector's health check has it. What
    /// has never worked, and what only a person can put right, is told at once.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub recovery_duration: Duration,
}

impl Default for AdminConfig {
    fn default() -> Self {
        let recovery_duration = Duration::from_secs(30);
        Self { endpoint: "127.0.0.1:13133".to_owned(), insecure: false, recovery_duration }
    }
}

impl AdminConfig {
    /// What is wrong with the settings: key and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        match self.endpoint.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Vec::new(),
            _ => {
                let message = format!("`{}` is not of the form host:port", self.endpoint);
                vec![("endpoint".to_owned(), message)]
            }
        }
    }
}

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether every component is ready.
    pub ready: bool,
    /// The version that runs.
    pub version: String,
    /// What each component says.
    pub components: Vec<ComponentHealth>,
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    patience: Duration,
}

impl AdminServer {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// The address is in use, or is none of this machine.
    pub async fn bind(config: &AdminConfig) -> std::io::Result<Self> {
        // The Collector's short form for every interface.
        let address = match config.endpoint.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => config.endpoint.clone(),
        };
        Ok(Self { listener: TcpListener::bind(address).await?, patience: config.recovery_duration })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until the future ends.
    ///
    /// # Errors
    ///
    /// The listener is broken.
    pub async fn serve(
        self,
        telemetry: Telemetry,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        telemetry.health.set_patience(self.patience);
        axum::serve(self.listener, router(telemetry)).with_graceful_shutdown(until).await
    }
}

fn router(telemetry: Telemetry) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(telemetry)
}

async fn livez() -> Response {
    json(StatusCode::OK, &serde_json::json!({"live": true}))
}

async fn readyz(State(telemetry): State<Telemetry>) -> Response {
    let components = telemetry.health.patient_report();
    let ready = !components.is_empty() && components.iter().all(|component| component.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness { ready, version: VERSION.to_owned(), components };
    match serde_json::to_value(readiness) {
        Ok(body) => json(status, &body),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    match telemetry.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(telemetry: &Telemetry, path: &str) -> (StatusCode, String) {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = router(telemetry.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_says_which_component_is_not_ready_and_why() {
        let telemetry = Telemetry::default();
        telemetry.health.register("receivers.otlp").ready();
        let mlflow = telemetry.health.register("exporters.mlflow");
        mlflow.ready();
        assert_eq!(ask(&telemetry, "/readyz").await.0, StatusCode::OK);

        mlflow.not_ready("exports fail: database is locked");
        let (status, body) = ask(&telemetry, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ready"], false);
        assert_eq!(body["components"][0]["component"], "exporters.mlflow");
        assert_eq!(body["components"][0]["reason"], "exports fail: database is locked");
        assert_eq!(body["components"][1]["ready"], true);
    }

    #[tokio::test]
    async fn readyz_bears_with_failures_for_a_while_and_names_them() {
        let telemetry = Telemetry::default();
        telemetry.health.set_patience(Duration::from_secs(3_600));
        let mlflow = telemetry.health.register("exporters.mlflow");
        mlflow.about("sqlite:///mlflow.db");
        mlflow.ready();
        mlflow.failing("connection refused");
        let (status, body) = ask(&telemetry, "/readyz").await;
        assert_eq!(status, StatusCode::OK);
        let body: Readiness = serde_json::from_str(&body).unwrap();
        assert_eq!(body.components[0].reason.as_deref(), Some("connection refused"));
        assert_eq!(body.components[0].about.as_deref(), Some("sqlite:///mlflow.db"));
        telemetry.health.set_patience(Duration::ZERO);
        assert_eq!(ask(&telemetry, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn livez_is_about_the_process_only() {
        let telemetry = Telemetry::default();
        telemetry.health.register("exporters.mlflow").not_ready("no database");
        assert_eq!(ask(&telemetry, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_served_and_other_paths_are_not() {
        let telemetry = Telemetry::default();
        telemetry.metrics.exporter("mlflow").sent_spans(4);
        let (status, body) = ask(&telemetry, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("otel_mlflow_exporter_sent_spans_total{exporter=\"mlflow\"} 4"), "{body}");
        assert!(body.ends_with("# EOF\n"), "{body}");
        assert_eq!(ask(&telemetry, "/").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error() {
        let first =
            AdminServer::bind(&AdminConfig { endpoint: "127.0.0.1:0".to_owned(), ..AdminConfig::default() })
                .await
                .unwrap();
        let endpoint = first.address().unwrap().to_string();
        let error = AdminServer::bind(&AdminConfig { endpoint, ..AdminConfig::default() }).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
}
