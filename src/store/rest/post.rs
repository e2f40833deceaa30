//! One request to `POST /v1/traces`, and what it is answered.

use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use flate2::write::GzEncoder;
use prost::Message;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;

use super::answer::Answer;
use super::client::Call;
use super::retry::Backoff;
use super::server::{OTLP_PATH, PROTOBUF};
use super::{Compression, Destination, Protocol, RestError, RestStore};
use crate::otlp::Refusal;
use crate::otlp::model::ExportTraceServiceResponse;
use crate::otlp::pieces::{self, Place};

const EXPERIMENT_HEADER: HeaderName = HeaderName::from_static("x-mlflow-experiment-id");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Below this size compression costs more than it saves.
const MIN_GZIP_BYTES: usize = 1 << 10;

/// A request for `/v1/traces` that can be sent.
pub(super) struct Post {
    call: Call,
    /// Of OTLP, before compression.
    pub(super) bytes: usize,
}

impl RestStore {
    /// Sends, and sends again while the trouble may pass.
    pub(super) async fn post(&self, post: &Post, mut backoff: Backoff) -> Result<Vec<Refusal>, RestError> {
        loop {
            match self.attempt(post).await {
                Ok(refusals) => return Ok(refusals),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Sends once, and learns how much the server takes at a time.
    pub(super) async fn attempt(&self, post: &Post) -> Result<Vec<Refusal>, RestError> {
        let answer = self.inner.client.send_once(&post.call).await;
        let portion = &self.inner.portion;
        let answer = answer.inspect_err(|error| portion.failed(post.bytes, error, Instant::now()))?;
        portion.answered(post.bytes, answer.took, Instant::now());
        read_answer(&answer, post.call.url.as_str())
    }

    /// Encodes some spans, for a server that takes them.
    pub(super) async fn prepare(
        &self,
        destination: &Destination,
        piece: &[Place<'_>],
    ) -> Result<Post, RestError> {
        let info = self.info().await?;
        let client = &self.inner.client;
        if info.protocol != Protocol::Otlp {
            let message = format!("it is MLflow {}", info.version);
            return Err(RestError::NoOtlp { server: client.server().to_owned(), message });
        }
        let mut call = self.call(Method::POST, OTLP_PATH, destination.workspace.as_deref())?;
        call.headers.insert(CONTENT_TYPE, PROTOBUF);
        call.headers.insert(EXPERIMENT_HEADER, HeaderValue::from(destination.experiment_id));
        let mut body = Bytes::from(pieces::encode(piece));
        let bytes = body.len();
        let gzip = self.inner.options.compression == Compression::Gzip && info.takes_gzip;
        if gzip && bytes >= MIN_GZIP_BYTES {
            body = compress(body).await?;
            call.headers.insert(CONTENT_ENCODING, GZIP);
        }
        call.body = Some(body);
        Ok(Post { call, bytes })
    }
}

/// Compresses away from the runtime's workers.
async fn compress(body: Bytes) -> Result<Bytes, RestError> {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
        encoder.write_all(&body)?;
        encoder.finish()
    };
    let failed = |error: &dyn std::fmt::Display| RestError::configuration(format!("gzip failed: {error}"));
    let compressed = tokio::task::spawn_blocking(compress).await.map_err(|error| failed(&error))?;
    compressed.map(Bytes::from).map_err(|error| failed(&error))
}

/// MLflow 3.6's answer: JSON, whatever its content type says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonAnswer {
    partial_success: Option<JsonPartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonPartialSuccess {
    rejected_spans: serde_json::Value,
    error_message: String,
}

/// Reads a success: MLflow's is empty, but it may say one day what it did not keep.
fn read_answer(answer: &Answer, url: &str) -> Result<Vec<Refusal>, RestError> {
    let (rejected, reason) = if answer.body.first() == Some(&b'{') {
        let parsed: JsonAnswer = answer.json(url)?;
        let partial = parsed.partial_success.unwrap_or_default();
        let count = match &partial.rejected_spans {
            serde_json::Value::String(text) => text.parse().unwrap_or(0),
            other => other.as_i64().unwrap_or(0),
        };
        (count, partial.error_message)
    } else {
        let parsed = ExportTraceServiceResponse::decode(answer.body.as_ref()).map_err(|error| {
            RestError::NotMlflow {
                url: url.to_owned(),
                detail: format!("something that is no OTLP answer ({error})"),
            }
        })?;
        let partial = parsed.partial_success.unwrap_or_default();
        (partial.rejected_spans, partial.error_message)
    };
    let spans = usize::try_from(rejected).unwrap_or(0);
    Ok(if spans == 0 && reason.is_empty() { Vec::new() } else { vec![Refusal { spans, reason }] })
}
