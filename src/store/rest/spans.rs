//! Spans to `POST /v1/traces`.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use reqwest::StatusCode;
use tokio::time::Instant;

use super::{Destination, RestError, RestStore, RunLink, server};
use crate::otlp::Refusal;
use crate::otlp::model::{ExportTraceServiceRequest, Span};
use crate::otlp::pieces::{self, Piece, Place};
use crate::store::StoreError;

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
    /// A request larger than [`Self::request_bytes`] is sent in several; a trace is cut only where it alone is
    /// too large. Where MLflow refuses spans for good, the others are stored. A refusal of no
    /// span is a warning.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] once the time for retries is over, or at once where the server turns
    /// out to take no OTLP: then [`Self::protocol`] says how else. [`StoreError::Reject`] if the
    /// experiment does not exist. [`StoreError::Fatal`] if somebody has to change the configuration,
    /// the credentials or the server. Parts of the request may be stored by then.
    pub async fn send(
        &self,
        destination: &Destination,
        request: &ExportTraceServiceRequest,
        links: &[RunLink],
    ) -> Result<Vec<Refusal>, StoreError> {
        let sent = self.try_send(destination, request, links).await;
        sent.map_err(|error| {
            self.learn_from(&error);
            // A sender named the experiment: that of another must not wait for it.
            if matches!(error, RestError::NotFound { .. }) {
                StoreError::reject(error.to_string())
            } else {
                error.into()
            }
        })
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
        let started = Instant::now();
        let outcome = if pieces::encoded_len(&places) <= self.request_bytes() {
            self.deliver(destination, places, started).await?
        } else {
            self.deliver_in_pieces(destination, &places, started).await?
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
        started: Instant,
    ) -> Result<Outcome<'a>, RestError> {
        let lists = pieces::pack(places, self.request_bytes());
        let delivering = |list: Vec<Piece<'a>>| async move {
            let mut joined = Outcome::default();
            for piece in list {
                joined.add(self.deliver(destination, piece, started).await?);
            }
            Ok::<_, RestError>(joined)
        };
        let delivering: Vec<_> = lists.into_iter().map(delivering).collect();
        // A failure ends it: what is sent again anyway is not sent to a server in trouble before.
        stream::iter(delivering)
            .buffer_unordered(self.inner.options.max_concurrent_requests.max(1))
            .try_fold(Outcome::default(), |mut joined, outcome: Outcome<'a>| {
                joined.add(outcome);
                future::ready(Ok(joined))
            })
            .await
    }

    /// Sends one request. The limit on retries counts from `started`.
    async fn deliver<'a>(
        &self,
        destination: &Destination,
        piece: Piece<'a>,
        started: Instant,
    ) -> Result<Outcome<'a>, RestError> {
        let post = self.prepare(destination, &piece).await?;
        let mut backoff = self.inner.client.backoff().since(started);
        let error = loop {
            // As answers have told meanwhile, to this request or to others.
            if piece.len() > 1 && post.bytes > self.request_bytes() {
                drop(post);
                return self.deliver_smaller(destination, &piece, started).await;
            }
            let error = match self.attempt(&post).await {
                Ok(refusals) => return Ok(Outcome { stored: trace_ids(&piece).collect(), refusals }),
                Err(error) => error,
            };
            if let Err(error) = backoff.pause(error).await {
                break error;
            }
        };
        if !may_be_the_data(&error) {
            return Err(error);
        }
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

    /// As [`Self::deliver_in_pieces`], for the one that is called by it.
    fn deliver_smaller<'s, 'a: 's>(
        &'s self,
        destination: &'s Destination,
        places: &'s [Place<'a>],
        started: Instant,
    ) -> BoxFuture<'s, Result<Outcome<'a>, RestError>> {
        Box::pin(self.deliver_in_pieces(destination, places, started))
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
        let mut too_large = is_payload_too_large(&error).then(|| pieces::encoded_len(&piece));
        let mut requests = 0;
        let mut open = Vec::new();
        cut(piece, &error, true, &mut open, &mut outcome);
        // The first half goes first: of two spans with one id the later one has to win.
        while let Some(piece) = open.pop() {
            requests += 1;
            let backoff = self.inner.client.backoff();
            // What would be given up gets its retries.
            let backoff = if piece.len() == 1 { backoff } else { backoff.with_final_500() };
            let post = self.prepare(destination, &piece).await?;
            match self.post(&post, backoff).await {
                Ok(refusals) => {
                    if let Some(refused) = too_large.take() {
                        self.inner.portion.limit_below(refused, std::time::Instant::now());
                    }
                    outcome.stored.extend(trace_ids(&piece));
                    outcome.refusals.extend(refusals);
                }
                Err(error) if may_be_the_data(&error) => {
                    if is_payload_too_large(&error) {
                        too_large = Some(post.bytes);
                    }
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
}

impl<'a> Outcome<'a> {
    fn add(&mut self, other: Self) {
        self.stored.extend(other.stored);
        self.refusals.extend(other.refusals);
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

/// Whether it was refused for its size.
fn is_payload_too_large(error: &RestError) -> bool {
    matches!(error, RestError::Refused { status: StatusCode::PAYLOAD_TOO_LARGE, .. })
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
