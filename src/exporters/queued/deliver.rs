//! The way of one request from the log to its end: delivered, a dead letter, or left in the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::dead_letter::{DeadLetter, DeadLetterError, UNREADABLE};
use super::parcel::{Parcel, Unread};
use super::record::{RecordError, StoredRequest};
use super::shared::Shared;
use super::window::Slot;
use crate::otlp::footprint;
use crate::pipeline::{Delivered, DeliveryFuture, ExportError, TraceRequest, ack_channel};
use crate::queue::{Position, Record};

/// Above this size, decoding would hold a worker of the runtime for milliseconds.
const LARGE_BYTES: usize = 256 << 10;

/// How often it is looked whether a limit has taken a request.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a request.
enum Fate {
    /// The destination holds it, but for what it refused.
    Delivered(Delivered),
    /// It cannot be delivered.
    Dead { kind: &'static str, reason: String },
    /// It could not be read to be tried again.
    Lost { kind: &'static str, reason: String },
    /// A limit of the log took it, which counts it as lost.
    Unwanted,
    /// The process stops first.
    Stopped,
}

/// Why the exporter was not given a request.
enum NotGiven {
    Export(ExportError),
    Unread(Unread),
}

impl From<ExportError> for NotGiven {
    fn from(error: ExportError) -> Self {
        Self::Export(error)
    }
}

impl From<Unread> for NotGiven {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

/// Delivers a record and acknowledges it; one that is not acknowledged is delivered after a restart.
pub(super) async fn deliver(shared: Arc<Shared>, record: Record, slot: Slot) {
    shared.watch_over("queue_delivery", deliver_one(&shared, record, slot)).await;
}

async fn deliver_one(shared: &Arc<Shared>, record: Record, slot: Slot) {
    let Record { position, payload, origin, .. } = record;
    let settled = match StoredRequest::parse(payload.clone()) {
        Ok(read) => {
            // The parcel lets go of it in time.
            drop(payload);
            shared.settle(Parcel::new(position, origin, read, slot)).await
        }
        Err(error) => {
            let _slot = slot;
            let unreadable = StoredRequest { spans: 0, metadata: Default::default(), body: payload };
            shared.bury(&unreadable, UNREADABLE, &error.to_string(), 0).await
        }
    };
    if settled {
        shared.acker.ack(position);
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
    /// Brings a request to its end; says whether it needs to stay in the log no longer.
    async fn settle(self: &Arc<Self>, mut parcel: Parcel) -> bool {
        match self.until_settled(&mut parcel).await {
            Fate::Stopped => false,
            Fate::Unwanted => {
                self.settled.notify_waiters();
                false
            }
            Fate::Delivered(delivered) if delivered.refused_spans() == 0 => {
                self.metrics.delivered(parcel.bytes);
                true
            }
            Fate::Delivered(delivered) => {
                let reason = reasons(&delivered);
                self.set_aside(parcel, "partial_success", &reason, delivered.refused_spans()).await
            }
            Fate::Dead { kind, reason } => {
                let spans = parcel.spans;
                self.set_aside(parcel, kind, &reason, spans).await
            }
            Fate::Lost { kind, reason } => {
                self.lose(&parcel, kind, parcel.spans, &reason, "a request could not be tried again");
                true
            }
        }
    }

    /// Tries until the destination has taken or refused the request, the time for it is over, or the process stops.
    async fn until_settled(self: &Arc<Self>, parcel: &mut Parcel) -> Fate {
        let position = parcel.position;
        let mut backoff = Backoff::new(self.retry);
        let mut first_failure = None;
        loop {
            let given = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Fate::Stopped,
                () = self.until_unwanted(position) => return Fate::Unwanted,
                given = self.give(parcel) => given,
            };
            let delivery = match given {
                // What the destination has is waited for, whatever the log says of it meanwhile.
                Ok(answer) => match self.stop.run_until_cancelled(answer).await {
                    Some(delivery) => delivery,
                    None => return Fate::Stopped,
                },
                Err(NotGiven::Export(error)) => Err(error),
                Err(NotGiven::Unread(Unread::Later(reason))) => Err(ExportError::Fatal { reason }),
                Err(NotGiven::Unread(Unread::Lost { .. })) if !self.acker.is_wanted(position) => {
                    return Fate::Unwanted;
                }
                Err(NotGiven::Unread(Unread::Lost { kind, reason })) => return Fate::Lost { kind, reason },
            };
            let pause = match delivery {
                Ok(delivered) => return Fate::Delivered(delivered),
                Err(ExportError::Reject { reason }) => return Fate::Dead { kind: "rejected", reason },
                Err(ExportError::Retry { after, reason }) => {
                    self.gate.held_up(&reason);
                    let failed = *first_failure.get_or_insert_with(Instant::now);
                    let pause = backoff.next(after);
                    let limit = self.retry.max_elapsed_time.unwrap_or_default();
                    let over = !limit.is_zero() && failed.elapsed().saturating_add(pause) > limit;
                    if over || !self.retry.enabled {
                        return Fate::Dead { kind: "retries_exhausted", reason };
                    }
                    pause
                }
                Err(ExportError::Fatal { reason }) => {
                    self.gate.held_up(&reason);
                    self.retry.max_interval
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Fate::Stopped,
                () = self.until_unwanted(position) => return Fate::Unwanted,
                () = self.gate.rest(pause) => {}
            }
            self.exporter_metrics.retried();
        }
    }

    /// Resolves when a limit of the log has taken the request.
    async fn until_unwanted(&self, position: Position) {
        if !self.has_limits {
            return std::future::pending().await;
        }
        while self.acker.is_wanted(position) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Gives the request to the exporter, once that may be asked; what is returned waits for its answer.
    async fn give(self: &Arc<Self>, parcel: &mut Parcel) -> Result<DeliveryFuture, NotGiven> {
        // What is decoded takes a multiple of its bytes, so that few are at a time.
        let _turn = self.turns.acquire().await;
        let mut decoded = decode(parcel.request(self).await?).await?;
        decoded.held = self.memory.hold(footprint(&decoded.body));
        let (ack, delivery) = ack_channel();
        let exporting = async { self.inner.export(Arc::new(decoded), ack).await };
        if AssertUnwindSafe(exporting).catch_unwind().await.is_err() {
            return Err(
                ExportError::reject("the exporter panicked over this request; please report it").into()
            );
        }
        parcel.taken();
        Ok(delivery)
    }

    /// Sets a request aside that cannot be delivered, which may have to be read again for it. Says whether it needs to
    /// stay in the log no longer.
    async fn set_aside(
        self: &Arc<Self>,
        mut parcel: Parcel,
        kind: &'static str,
        reason: &str,
        spans: usize,
    ) -> bool {
        let read = loop {
            match parcel.request(self).await {
                Ok(request) => break Ok(request),
                Err(Unread::Lost { kind, reason }) => break Err((kind, reason)),
                Err(Unread::Later(reason)) => self.dead_letter_trouble(Some(reason)),
            }
            if !self.pause().await {
                return false;
            }
        };
        // Of an earlier attempt; whoever else is in trouble says so again.
        self.dead_letter_trouble(None);
        match read {
            Ok(request) => self.bury(&request, kind, reason, spans).await,
            Err((lost, why)) => {
                self.lose(&parcel, lost, spans, reason, &why);
                true
            }
        }
    }

    /// Takes note that spans of a request are lost because it cannot be read any more.
    fn lose(&self, parcel: &Parcel, kind: &'static str, spans: usize, reason: &str, why: &str) {
        self.metrics.dropped_spans(kind, spans, parcel.bytes);
        self.say_lost(kind, spans, reason, why);
    }

    /// Waits before something is tried again that is not the destination's fault; not if the process stops.
    async fn pause(&self) -> bool {
        let pause = tokio::time::sleep(self.retry.max_interval);
        self.stop.run_until_cancelled(pause).await.is_some()
    }

    /// Sets a request aside that cannot be delivered. Says whether it needs to stay in the log no longer.
    async fn bury(&self, request: &StoredRequest, kind: &'static str, reason: &str, spans: usize) -> bool {
        let Some(letters) = &self.dead_letters else {
            self.metrics.dropped_spans(kind, spans, request.body.len());
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
                    self.metrics.dead_lettered(kind, spans, request.body.len());
                    self.say_dead(kind, spans, reason);
                    return true;
                }
                Ok(Err(error @ DeadLetterError::Full { .. })) => {
                    self.metrics.dropped_spans("dead_letter_full", spans, request.body.len());
                    self.say_lost(kind, spans, reason, &error.to_string());
                    return true;
                }
                Ok(Err(error)) => self.dead_letter_trouble(Some(error.to_string())),
                Err(error) => self.dead_letter_trouble(Some(error.to_string())),
            }
            if !self.pause().await {
                return false;
            }
        }
    }
}

/// Decodes on this thread if that is quick, else on a blocking one.
async fn decode(request: StoredRequest) -> Result<TraceRequest, ExportError> {
    let unreadable = |error: RecordError| ExportError::reject(error.to_string());
    if request.body.len() <= LARGE_BYTES {
        return request.decode().map_err(unreadable);
    }
    let decoded = tokio::task::spawn_blocking(move || request.decode()).await;
    decoded.map_err(|error| ExportError::retry(format!("decoding ended early: {error}")))?.map_err(unreadable)
}
