//! From a body to the pipeline's answer: what both protocols have in common.

use std::sync::Arc;

use axum::body::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::admission::{Admission, Reservation};
use super::body::{Compression, decompress};
use super::failure::Failure;
use crate::otlp::{Decoded, Encoding, Oversized, Refusal, decode, footprint, partial_success, shrink};
use crate::pipeline::{Held, Pipeline, RequestMetadata, TraceRequest};
use crate::telemetry::{LossLog, ReceiverMetrics};

/// Bodies up to this size are decoded in place: about a millisecond.
const INLINE_BYTES: usize = 256 << 10;

/// Takes requests in for one protocol.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) pipeline: Pipeline,
    pub(super) metrics: ReceiverMetrics,
    pub(super) admission: Arc<Admission>,
    /// The largest span, in bytes, 0 for no limit; and what becomes of a larger one.
    pub(super) spans: (usize, Oversized),
    /// What one sender could make the log say with every request.
    pub(super) log: Arc<LossLog>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Intake").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// A body as it came in.
pub(super) struct RawBody {
    pub(super) bytes: Bytes,
    pub(super) compression: Compression,
    pub(super) encoding: Encoding,
    /// The largest size after decompression.
    pub(super) limit: usize,
}

impl Intake {
    /// A place for a request of which only the head has been read, or the advice to come back: what would be refused
    /// after all is neither read nor decoded.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Reservation, Failure> {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        match self.pipeline.refusal(length.unwrap_or_default()) {
            Some(error) => Err(error.into()),
            None => self.admission.admit(),
        }
    }

    /// Decodes a body, delivers its spans, and says which were not kept.
    pub(super) async fn take(
        &self,
        body: RawBody,
        mut metadata: RequestMetadata,
        reservation: Reservation,
    ) -> Result<Vec<Refusal>, Failure> {
        metadata.json = body.encoding == Encoding::Json;
        let (Body { decoded, bytes, cut, held }, _reservation) = self.decode(body, reservation).await?;
        self.log.shortened(self.metrics.component(), "max_span_size", cut);
        metadata.bytes = bytes.len();
        let _in_flight = self.metrics.in_flight(bytes.len());
        let (accepted, mut refused) = (decoded.accepted_spans(), decoded.refused_spans());
        let total = accepted + refused;
        let mut refusals = decoded.refusals;
        if accepted > 0 {
            let is_whole = !metadata.json && cut == 0 && refusals.is_empty();
            let encoded = is_whole.then_some(bytes);
            let request = Arc::new(TraceRequest { body: decoded.request, encoded, metadata, held });
            match self.pipeline.deliver(request).await {
                Ok(delivered) => {
                    refused += delivered.refused_spans();
                    refusals.extend(delivered.refusals);
                }
                Err(error) => {
                    self.metrics.refused_spans(total);
                    return Err(error.into());
                }
            }
        }
        self.metrics.refused_spans(refused);
        self.metrics.accepted_spans(total.saturating_sub(refused));
        // A success of which nothing was kept is none; `partial_success` is for the other cases.
        if total > 0 && refused >= total {
            let message = partial_success(&refusals).map(|partial| partial.error_message).unwrap_or_default();
            return Err(Failure::Invalid(format!("no span can be kept: {message}")));
        }
        Ok(refusals)
    }

    /// Decodes on this thread if that is quick, else on a blocking one, of which few run at a time.
    async fn decode(
        &self,
        body: RawBody,
        mut reservation: Reservation,
    ) -> Result<(Body, Reservation), Failure> {
        if body.compression == Compression::Identity && body.bytes.len() <= INLINE_BYTES {
            let body = decode_body(body, self.spans, &mut reservation)?;
            return Ok((body, reservation));
        }
        let _turn = self.admission.decoders().acquire().await;
        let spans = self.spans;
        let task = tokio::task::spawn_blocking(move || {
            decode_body(body, spans, &mut reservation).map(|body| (body, reservation))
        });
        task.await.map_err(|error| Failure::Internal(format!("decoding failed: {error}")))?
    }
}

/// A body that was decoded, as it came and as it is now, and the room for both.
struct Body {
    decoded: Decoded,
    bytes: Bytes,
    /// Spans of which a part was cut off.
    cut: usize,
    held: Held,
}

fn decode_body(
    body: RawBody,
    (max_span, oversized): (usize, Oversized),
    reservation: &mut Reservation,
) -> Result<Body, Failure> {
    let bytes = decompress(body.bytes, body.compression, body.limit, reservation)?;
    let mut decoded = decode(&bytes, body.encoding)?;
    let mut cut = 0;
    if max_span > 0 {
        let shrunk = shrink(&mut decoded.request, max_span, oversized);
        cut = shrunk.cut;
        decoded.refusals.extend(shrunk.refusals);
    }
    let held = reservation.decoded(bytes.len() + footprint(&decoded.request))?;
    Ok(Body { decoded, bytes, cut, held })
}
