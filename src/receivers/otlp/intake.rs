//! From a body to the pipeline's answer: what both protocols have in common.

use std::sync::Arc;

use axum::body::Bytes;

use super::admission::{Admission, Reservation};
use super::body::{Compression, decompress};
use super::failure::Failure;
use crate::otlp::{Decoded, Encoding, Refusal, decode, partial_success};
use crate::pipeline::{Pipeline, RequestMetadata, TraceRequest};
use crate::telemetry::ReceiverMetrics;

/// Bodies up to this size are decoded in place: about a millisecond.
const INLINE_BYTES: usize = 256 << 10;

/// Takes requests in for one protocol.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) pipeline: Pipeline,
    pub(super) metrics: ReceiverMetrics,
    pub(super) admission: Arc<Admission>,
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
    /// Decodes a body, delivers its spans, and says which were not kept.
    pub(super) async fn take(
        &self,
        body: RawBody,
        mut metadata: RequestMetadata,
        reservation: Reservation,
    ) -> Result<Vec<Refusal>, Failure> {
        metadata.json = body.encoding == Encoding::Json;
        let (decoded, bytes, _reservation) = self.decode(body, reservation).await?;
        metadata.bytes = bytes.len();
        let _in_flight = self.metrics.in_flight(bytes.len());
        let (accepted, mut refused) = (decoded.accepted_spans(), decoded.refused_spans());
        let total = accepted + refused;
        let mut refusals = decoded.refusals;
        if accepted > 0 {
            let is_whole = !metadata.json && refusals.is_empty();
            let encoded = is_whole.then_some(bytes);
            let request = Arc::new(TraceRequest { body: decoded.request, encoded, metadata });
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
    ) -> Result<(Decoded, Bytes, Reservation), Failure> {
        if body.compression == Compression::Identity && body.bytes.len() <= INLINE_BYTES {
            let (decoded, bytes) = decode_body(body, &mut reservation)?;
            return Ok((decoded, bytes, reservation));
        }
        let _turn = self.admission.decoders().acquire().await;
        let task = tokio::task::spawn_blocking(move || {
            decode_body(body, &mut reservation).map(|(decoded, bytes)| (decoded, bytes, reservation))
        });
        task.await.map_err(|error| Failure::Internal(format!("decoding failed: {error}")))?
    }
}

fn decode_body(body: RawBody, reservation: &mut Reservation) -> Result<(Decoded, Bytes), Failure> {
    let bytes = decompress(body.bytes, body.compression, body.limit, reservation)?;
    Ok((decode(&bytes, body.encoding)?, bytes))
}
