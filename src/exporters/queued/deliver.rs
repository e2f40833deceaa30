//! The way of one request from the log to its end: delivered, a dead letter, or left in the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::dead_letter::{DeadLetter, DeadLetterError};
use super::record::{RecordError, StoredRequest};
use super::shared::Shared;
use super::window::Slot;
use crate::otlp::footprint;
use crate::pipeline::{Delivered, Delivery, ExportError, TraceRequest, ack_channel};
use crate::queue::Record;

/// Above this size, decoding would hold a worker of the runtime for milliseconds.
const LARGE_BYTES: usize = 256 << 10;

/// What became of a request.
enum Fate {
    /// The destination holds it, but for what it refused.
    Delivered(Delivered),
    /// It cannot be delivered.
    Dead { kind: &'static str, reason: String },
    /// The process stops first.
    Stopped,
}

/// Delivers a record and acknowledges it; one that is not acknowledged is delivered after a restart.
pub(super) async fn deliver(shared: Arc<Shared>, record: Record, slot: Slot) {
    let _slot = slot;
    let payload = record.payload.clone();
    let (request, fate) = match StoredRequest::parse(record.payload) {
        Ok(request) => {
            let fate = shared.until_settled(&request).await;
            (request, fate)
        }
        Err(error) => {
            let unreadable = StoredRequest { spans: 0, metadata: Default::default(), body: payload };
            (unreadable, Fate::Dead { kind: "unreadable", reason: error.to_string() })
        }
    };
    let settled = match fate {
        Fate::Stopped => false,
        Fate::Delivered(delivered) if delivered.refused_spans() == 0 => true,
        Fate::Delivered(delivered) => {
            let reason = reasons(&delivered);
            shared.bury(&request, "partial_success", &reason, delivered.refused_spans()).await
        }
        Fate::Dead { kind, reason } => shared.bury(&request, kind, &reason, request.spans).await,
    };
    if settled {
        shared.acker.ack(record.position);
        shared.settled.notify_waiters();
    }
}

/// What a destination said of the spans that it refused, each reason once.
fn reasons(delivered: &Delivered) -> String {
    let mut reasons: Vec<&str> = delivered.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons.join("; ")
}

impl Shared {
    /// Tries until the destination has taken or refused the request, the time for it is over, or the process stops.
    async fn until_settled(&self, request: &StoredRequest) -> Fate {
        let mut backoff = Backoff::new(self.retry);
        let mut first_attempt = None;
        loop {
            let Some(turn) = self.stop.run_until_cancelled(self.gate.turn()).await else {
                return Fate::Stopped;
            };
            let began = *first_attempt.get_or_insert_with(Instant::now);
            let Some(delivery) = self.stop.run_until_cancelled(self.attempt(request)).await else {
                return Fate::Stopped;
            };
            let pause = match delivery {
                Ok(delivered) => {
                    self.gate.succeeded();
                    return Fate::Delivered(delivered);
                }
                Err(ExportError::Reject { reason }) => {
                    self.gate.succeeded();
                    return Fate::Dead { kind: "rejected", reason };
                }
                Err(ExportError::Retry { after, reason }) => {
                    self.gate.failed(reason.clone(), false, after);
                    let pause = backoff.next(after);
                    let limit = self.retry.max_elapsed_time.unwrap_or_default();
                    let over = !limit.is_zero() && began.elapsed() + pause > limit;
                    if over || !self.retry.enabled {
                        return Fate::Dead { kind: "retries_exhausted", reason };
                    }
                    pause
                }
                Err(ExportError::Fatal { reason }) => {
                    self.gate.failed(reason, true, None);
                    self.retry.max_interval
                }
            };
            drop(turn);
            if self.stop.run_until_cancelled(self.gate.rest(pause)).await.is_none() {
                return Fate::Stopped;
            }
            self.exporter_metrics.retried();
        }
    }

    /// Gives the request to the exporter and waits for its answer.
    async fn attempt(&self, request: &StoredRequest) -> Delivery {
        let delivery = {
            // What is decoded takes a multiple of its bytes, so that few are at a time.
            let _turn = self.turns.acquire().await;
            let mut decoded = decode(request).await?;
            decoded.held = self.memory.hold(footprint(&decoded.body));
            let (ack, delivery) = ack_channel();
            let exporting = AssertUnwindSafe(self.inner.export(Arc::new(decoded), ack)).catch_unwind();
            if exporting.await.is_err() {
                return Err(ExportError::reject("the exporter panicked over this request; please report it"));
            }
            delivery
        };
        delivery.await
    }

    /// Sets a request aside that cannot be delivered. Says whether it needs to stay in the log no longer.
    async fn bury(&self, request: &StoredRequest, kind: &'static str, reason: &str, spans: usize) -> bool {
        let Some(letters) = &self.dead_letters else {
            self.metrics.dropped_spans(kind, spans);
            self.say_lost(kind, spans, reason, "there is no directory for dead letters");
            return true;
        };
        let letter = Arc::new(DeadLetter::new(request, kind, reason, spans));
        loop {
            let (letters, adding) = (letters.clone(), Arc::clone(&letter));
            let limit = self.dead_letter_bytes;
            let added = tokio::task::spawn_blocking(move || letters.add(&adding, limit)).await;
            match added {
                Ok(Ok(())) => {
                    self.dead_letter_trouble(None);
                    self.metrics.dead_lettered(kind, spans);
                    self.say_dead(kind, spans, reason);
                    return true;
                }
                Ok(Err(error @ DeadLetterError::Full { .. })) => {
                    self.metrics.dropped_spans("dead_letter_full", spans);
                    self.say_lost(kind, spans, reason, &error.to_string());
                    return true;
                }
                Ok(Err(error)) => self.dead_letter_trouble(Some(error.to_string())),
                Err(error) => self.dead_letter_trouble(Some(error.to_string())),
            }
            let pause = tokio::time::sleep(self.retry.max_interval);
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return false;
            }
        }
    }
}

/// Decodes on this thread if that is quick, else on a blocking one.
async fn decode(request: &StoredRequest) -> Result<TraceRequest, ExportError> {
    let unreadable = |error: RecordError| ExportError::reject(error.to_string());
    if request.body.len() <= LARGE_BYTES {
        return request.decode().map_err(unreadable);
    }
    let request = request.clone();
    let decoded = tokio::task::spawn_blocking(move || request.decode()).await;
    decoded.map_err(|error| ExportError::retry(format!("decoding ended early: {error}")))?.map_err(unreadable)
}
