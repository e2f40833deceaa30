//! Spans to `POST /v1/traces`.

use std::collections::HashSet;
use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use prost::Message;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;

use super::answer::Answer;
use super::retry::Backoff;
use super::server::{self, OTLP_PATH, PROTOBUF};
use super::{Compression, Destination, Protocol, RestError, RestStore, RunLink};
use crate::otlp::Refusal;
use crate::otlp::model::{ExportTraceServiceRequest, ExportTraceServiceResponse, Span};
use crate::otlp::pieces::{self, Piece, Place};
use crate::store::StoreError;

const EXPERIMENT_HEADER: HeaderName = HeaderName::from_static("x-mlflow-experiment-id");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Below this size compression costs more than it saves.
const MIN_GZIP_BYTES: usize = 1 << 10;
/// After so many requests for one refused batch, what is left is no longer cut into smaller pieces.
const MAX_NARROWING_REQUESTS: usize = 1_000;

/// What became of a piece.
#[derive(Default)]
struct Outcome<'a> {
    stored: HashSet<&'a [u8]>,
    refusals: Vec<Refusal>,
}

impl RestStore {
    /// Writes spans to an experiment, and links traces to runs. Writing the same again changes
    /// nothing.
    ///
    /// A request larger than the limit is sent in several; a trace is cut only where it alone is
    /// too large. Where MLflow refuses spans for good, the others are stored. A refusal of no
    /// span is a warning.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] once the time for retries is over, or at once where the server turns
    /// out to take no OTLP: then [`Self::protocol`] says how else. [`StoreError::Fatal`] if
    /// somebody has to change the configuration, the credentials or the server. Parts of the
    /// request may be stored by then.
    pub async fn send(
        &self,
        destination: &Destination,
        request: &ExportTraceServiceRequest,
        links: &[RunLink],
    ) -> Result<Vec<Refusal>, StoreError> {
        let sent = self.try_send(destination, request, links).await;
        sent.inspect_err(|error| self.learn_from(error)).map_err(StoreError::from)
    }

    async fn try_send(
        &self,
        destination: &Destination,
        request: &ExportTraceServiceRequest,
        links: &[RunLink],
    ) -> Result<Vec<Refusal>, RestError> {
        if destination.experiment_id < 0 {
            let message = format!("{} is no experiment id", destination.experiment_id);
            return Err(RestError::NotFound { message });
        }
        let places = pieces::places(request);
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = if request.encoded_len() <= self.inner.options.max_request_bytes {
            self.deliver(destination, request, places).await?
        } else {
            self.deliver_in_pieces(destination, &places).await?
        };
        let Outcome { stored, mut refusals } = outcome;
        if !links.is_empty() {
            let stored: HashSet<String> = stored.into_iter().map(mlflow_trace_id).collect();
            let of_stored = links.iter().filter(|link| stored.contains(&link.trace_id));
            refusals.extend(self.link(destination.workspace.as_deref(), of_stored).await?);
        }
        Ok(refusals)
    }

    async fn deliver_in_pieces<'a>(
        &self,
        destination: &Destination,
        places: &[Place<'a>],
    ) -> Result<Outcome<'a>, RestError> {
        let lists = pieces::pack(places, self.inner.options.max_request_bytes);
        let delivering = lists.into_iter().map(|list| async move {
            let mut joined = Outcome::default();
            for piece in list {
                let outcome = self.deliver(destination, &pieces::request(&piece), piece).await?;
                joined.stored.extend(outcome.stored);
                joined.refusals.extend(outcome.refusals);
            }
            Ok(joined)
        });
        let mut joined = Outcome::default();
        for outcome in join_all(delivering).await {
            let outcome: Outcome<'a> = outcome?;
            joined.stored.extend(outcome.stored);
            joined.refusals.extend(outcome.refusals);
        }
        Ok(joined)
    }

    /// Sends one request; `piece` is what it holds.
    async fn deliver<'a>(
        &self,
        destination: &Destination,
        request: &ExportTraceServiceRequest,
        piece: Piece<'a>,
    ) -> Result<Outcome<'a>, RestError> {
        let error = match self.post(destination, request, self.inner.client.backoff()).await {
            Ok(refusals) => return Ok(Outcome { stored: trace_ids(&piece).collect(), refusals }),
            Err(error) if may_be_the_data(&error) => error,
            Err(error) => return Err(error),
        };
        // MLflow 3.6 has one status for everything, and any server may be ill: nothing is the
        // data's fault before the experiment is known to be there.
        let workspace = destination.workspace.as_deref();
        if self.experiment(destination.experiment_id, workspace).await?.is_none() {
            let message = format!("no experiment has the id {}", destination.experiment_id);
            return Err(RestError::NotFound { message });
        }
        self.check_endpoint(&error).await?;
        self.narrow(destination, piece, error).await
    }

    /// A proxy may fail on the endpoint alone: then a 500 says nothing about the data.
    async fn check_endpoint(&self, error: &RestError) -> Result<(), RestError> {
        if matches!(error, RestError::Internal { .. }) {
            server::has_otlp(&self.inner.client).await?;
        }
        Ok(())
    }

    /// Finds the spans that make MLflow refuse a piece, and stores the others: cuts it in two,
    /// between traces first, until a half passes or is a single span.
    async fn narrow<'a>(
        &self,
        destination: &Destination,
        piece: Piece<'a>,
        error: RestError,
    ) -> Result<Outcome<'a>, RestError> {
        let mut outcome = Outcome::default();
        let mut requests = 0;
        let mut open = Vec::new();
        cut(piece, &error, true, &mut open, &mut outcome);
        // The first half goes first: of two spans with one id the later one has to win.
        while let Some(piece) = open.pop() {
            requests += 1;
            let backoff = self.inner.client.backoff();
            // What would be given up gets its retries.
            let backoff = if piece.len() == 1 { backoff } else { backoff.with_final_500() };
            match self.post(destination, &pieces::request(&piece), backoff).await {
                Ok(refusals) => {
                    outcome.stored.extend(trace_ids(&piece));
                    outcome.refusals.extend(refusals);
                }
                Err(error) if may_be_the_data(&error) => {
                    let further = requests < MAX_NARROWING_REQUESTS;
                    if piece.len() == 1 || !further {
                        self.check_endpoint(&error).await?;
                    }
                    cut(piece, &error, further, &mut open, &mut outcome);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    async fn post(
        &self,
        destination: &Destination,
        request: &ExportTraceServiceRequest,
        backoff: Backoff,
    ) -> Result<Vec<Refusal>, RestError> {
        let info = self.info().await?;
        let client = &self.inner.client;
        if info.protocol != Protocol::Otlp {
            let message = format!("it is MLflow {}", info.version);
            return Err(RestError::NoOtlp { server: client.server().to_owned(), message });
        }
        let mut call = self.call(Method::POST, OTLP_PATH, destination.workspace.as_deref())?;
        call.headers.insert(CONTENT_TYPE, PROTOBUF);
        call.headers.insert(EXPERIMENT_HEADER, HeaderValue::from(destination.experiment_id));
        let mut body = Bytes::from(request.encode_to_vec());
        let gzip = self.inner.options.compression == Compression::Gzip && info.takes_gzip;
        if gzip && body.len() >= MIN_GZIP_BYTES {
            body = compress(body).await?;
            call.headers.insert(CONTENT_ENCODING, GZIP);
        }
        call.body = Some(body);
        read_answer(&client.send(&call, backoff).await?, call.url.as_str())
    }
}

/// Cuts a refused piece in two, or gives it up.
fn cut<'a>(
    piece: Piece<'a>,
    error: &RestError,
    further: bool,
    open: &mut Vec<Piece<'a>>,
    outcome: &mut Outcome<'a>,
) {
    match pieces::halve(&piece).filter(|_| further) {
        Some((first, second)) => open.extend([second, first]),
        None => outcome.refusals.push(refusal(&piece, error)),
    }
}

fn refusal(piece: &[Place<'_>], error: &RestError) -> Refusal {
    let reason = match piece {
        [one] => format!("{}: {error}", describe(one.span)),
        _ => format!("{} spans, one of them at fault: {error}", piece.len()),
    };
    Refusal { spans: piece.len(), reason }
}

fn describe(span: &Span) -> String {
    let name: String = span.name.chars().take(80).collect();
    format!("span {} of trace {} ({name:?})", hex(&span.span_id), hex(&span.trace_id))
}

/// Whether other data could make the same request succeed.
fn may_be_the_data(error: &RestError) -> bool {
    matches!(error, RestError::Refused { .. } | RestError::Internal { .. })
}

fn trace_ids<'a>(piece: &[Place<'a>]) -> impl Iterator<Item = &'a [u8]> {
    piece.iter().map(|place| place.span.trace_id.as_slice())
}

fn mlflow_trace_id(trace_id: &[u8]) -> String {
    format!("tr-{:0>32}", hex(trace_id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
