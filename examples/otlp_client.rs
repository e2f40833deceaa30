//! Sends one GenAI trace with `opentelemetry-otlp`, over gRPC or over HTTP.
//!
//! ```sh
//! cargo gateway                                             # in one terminal
//! cargo run --features full --example otlp_client -- grpc   # http://127.0.0.1:4317
//! cargo run --features full --example otlp_client -- http   # http://127.0.0.1:4318
//! mlflow ui --backend-store-uri sqlite:///mlflow.db         # look at it
//! ```
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_SERVICE_NAME` are honoured, as in any
//! OpenTelemetry program. So are, for an `https://` endpoint with a private authority, the files that
//! `OTEL_EXPORTER_OTLP_CERTIFICATE`, `_CLIENT_CERTIFICATE` and `_CLIENT_KEY` name, which the exporter leaves to us.
#![allow(clippy::print_stdout, reason = "an example tells its user what it did")]

use std::error::Error;
use std::time::Duration;

use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // The exporter's HTTP client has no cryptography of its own here; fails only where one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = match std::env::args().nth(1).as_deref() {
        None | Some("grpc") => grpc()?,
        // The exporter's blocking client may not be made on a thread of the runtime.
        Some("http") => tokio::task::spawn_blocking(http).await??,
        Some(other) => return Err(format!("unknown transport `{other}`: grpc or http").into()),
    };
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("otlp_client");

    let root = tracer.start("answer a question");
    let trace_id = root.span_context().trace_id();
    let context = Context::new().with_span(root);
    let mut chat = tracer
        .span_builder("chat gpt-4o-mini")
        .with_kind(SpanKind::Client)
        .with_attributes(chat_attributes())
        .start_with_context(&tracer, &context);
    chat.set_status(Status::Ok);
    chat.end();
    context.span().end();

    // The blocking HTTP client of the exporter may not be waited for on a thread of the runtime.
    tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(30))).await??;
    println!("sent tr-{trace_id}");
    Ok(())
}

type Failure = Box<dyn Error + Send + Sync>;

fn grpc() -> Result<SpanExporter, Failure> {
    let mut builder = SpanExporter::builder().with_tonic();
    if let Some(authority) = file("OTEL_EXPORTER_OTLP_CERTIFICATE")? {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let (Some(certificate), Some(key)) = (client_certificate()?, client_key()?) {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        builder = builder.with_tls_config(tls);
    }
    Ok(builder.build()?)
}

fn http() -> Result<SpanExporter, Failure> {
    let mut builder = SpanExporter::builder().with_http();
    if let Some(authority) = file("OTEL_EXPORTER_OTLP_CERTIFICATE")? {
        let authorities = [reqwest::Certificate::from_pem(&authority)?];
        let mut client = reqwest::blocking::Client::builder().tls_certs_only(authorities);
        if let (Some(certificate), Some(key)) = (client_certificate()?, client_key()?) {
            client = client.identity(reqwest::Identity::from_pem(&[key, certificate].concat())?);
        }
        builder = builder.with_http_client(client.build()?);
    }
    Ok(builder.build()?)
}

fn client_certificate() -> Result<Option<Vec<u8>>, Failure> {
    file("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")
}

fn client_key() -> Result<Option<Vec<u8>>, Failure> {
    file("OTEL_EXPORTER_OTLP_CLIENT_KEY")
}

/// The content of the file that a variable names, if it is set.
fn file(variable: &str) -> Result<Option<Vec<u8>>, Failure> {
    Ok(std::env::var_os(variable).map(std::fs::read).transpose()?)
}

/// What an instrumentation of an OpenAI client records, in the names of the GenAI semantic conventions.
fn chat_attributes() -> Vec<KeyValue> {
    vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", "openai"),
        KeyValue::new("gen_ai.request.model", "gpt-4o-mini"),
        KeyValue::new("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
        KeyValue::new("gen_ai.usage.input_tokens", 11),
        KeyValue::new("gen_ai.usage.output_tokens", 7),
        KeyValue::new(
            "gen_ai.input.messages",
            r#"[{"role":"user","parts":[{"type":"text","content":"What is the capital of France?"}]}]"#,
        ),
        KeyValue::new(
            "gen_ai.output.messages",
            r#"[{"role":"assistant","parts":[{"type":"text","content":"Paris is the capital of France."}],"finish_reason":"stop"}]"#,
        ),
    ]
}
