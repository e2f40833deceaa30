//! `processors.tail_sampling`: decides on whole traces, and answers for their spans afterwards.
//!
//! ```text
//! request ─> parts by trace ─┬─> decided before: follow the decision
//!                            └─> wait ─(root ended, or time is up)─> policies ─┬─> next stage
//!                                                                              └─> dropped, counted
//! ```
//!
//! A request is answered when all of its traces are decided on and delivered. With a queue before the
//! processors its sender does not wait for that.

mod config;
mod policy;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::*;

use super::acks::split;
use super::parts::{Outlet, Part};
use super::value::sixteen;
use crate::otlp::footprint;
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::{Ack, ComponentId, Delivered, RequestMetadata, TraceExporter, TraceRequest};
use crate::telemetry::ProcessorMetrics;
use policy::{Policy, Trace};
use waiting::{Arrival, Decisions, Pending, TraceId, Waiting};

/// Why spans are dropped.
const NOT_SAMPLED: &str = "not_sampled";

impl TailSamplingConfig {
    /// The processor, before the next stage; starts its task on the current runtime.
    ///
    /// # Errors
    ///
    /// What [`Self::validate`] finds.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, super::Problem> {
        let policies = self.policies.iter().map(Policy::new).collect::<Result<_, _>>();
        let policies = policies.map_err(|why| ("policies".to_owned(), why))?;
        let state = State { waiting: Waiting::new(self), decisions: Decisions::new(self.decision_cache) };
        let sampler = Arc::new(TailSampler {
            policies,
            state: Mutex::new(state),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            clock: TaskTracker::new(),
            outlet: Outlet::new(next),
            metrics,
        });
        sampler.clock.spawn(Arc::clone(&sampler).decide_in_time());
        Ok(sampler as Arc<dyn TraceExporter>)
    }
}

struct TailSampler {
    policies: Vec<Policy>,
    state: Mutex<State>,
    /// The next decision has come nearer.
    changed: Notify,
    stop: CancellationToken,
    clock: TaskTracker,
    outlet: Outlet,
    metrics: ProcessorMetrics,
}

struct State {
    waiting: Waiting,
    decisions: Decisions,
}

impl TailSampler {
    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        self.metrics.incoming(request.span_count());
        let traces = by_trace(request);
        let counts: Vec<usize> = traces.iter().map(|(_, request)| request.span_count()).collect();
        let mut ready = Vec::new();
        let arrivals = traces.into_iter().zip(split(ack, &counts)).map(|((trace, request), share)| {
            let has_root = any_ended_root(&request.body);
            let bytes = footprint(&request.body);
            Arrival { trace, part: Part { request, share }, bytes, has_root }
        });
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that nothing comes in behind the last decision.
            if self.stop.is_cancelled() {
                // The shares are dropped, which asks for another try.
                return;
            }
            let due_before = state.waiting.next_due();
            for arrival in arrivals {
                self.arrive(&mut state, arrival, &mut ready);
            }
            if state.waiting.next_due() != due_before {
                self.changed.notify_one();
            }
        }
        self.send(ready).await;
    }

    /// Lets a part follow a decision, or wait for one.
    fn arrive(&self, state: &mut State, arrival: Arrival, ready: &mut Vec<Part>) {
        if let Some(is_sampled) = state.decisions.get(&arrival.trace) {
            self.metrics.late_spans(arrival.part.share.spans());
            return self.follow(is_sampled, vec![arrival.part], ready);
        }
        if state.waiting.add(arrival, Instant::now()) {
            self.metrics.traces_waiting(1);
        }
        while let Some((trace, pending)) = state.waiting.pop_excess() {
            self.metrics.decided_too_early();
            self.decide(state, trace, pending, ready);
        }
    }

    fn decide(&self, state: &mut State, trace: TraceId, pending: Pending, ready: &mut Vec<Part>) {
        self.metrics.traces_waiting(-1);
        let is_sampled = {
            let bodies = pending.parts.iter().map(|part| &part.request.body).collect();
            self.judge(&Trace { id: trace, bodies })
        };
        state.decisions.add(trace, is_sampled);
        self.follow(is_sampled, pending.parts, ready);
    }

    /// One policy that wants the trace is enough, unless another drops it.
    fn judge(&self, trace: &Trace<'_>) -> bool {
        let wants = |is_drop: bool| {
            let of_kind = self.policies.iter().filter(move |policy| policy.is_drop == is_drop);
            of_kind.into_iter().find(|policy| policy.wants(trace))
        };
        let (policy, is_sampled) = match (wants(true), wants(false)) {
            (Some(policy), _) => (policy.name.as_str(), false),
            (None, Some(policy)) => (policy.name.as_str(), true),
            (None, None) => ("none", false),
        };
        self.metrics.trace_sampled(policy, is_sampled);
        is_sampled
    }

    fn follow(&self, is_sampled: bool, parts: Vec<Part>, ready: &mut Vec<Part>) {
        if is_sampled {
            return ready.extend(parts);
        }
        for part in parts {
            self.metrics.dropped(NOT_SAMPLED, part.share.spans());
            part.share.complete(Ok(Delivered::default()));
        }
    }

    async fn send(&self, ready: Vec<Part>) {
        if !ready.is_empty() {
            self.metrics.outgoing(ready.iter().map(|part| part.share.spans()).sum());
            self.outlet.send(ready).await;
        }
    }

    /// Decides on traces when their time has come, until the end.
    async fn decide_in_time(self: Arc<Self>) {
        loop {
            let (ready, next) = self.decide_due();
            self.send(ready).await;
            let sleep = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = sleep => {}
            }
        }
    }

    fn decide_due(&self) -> (Vec<Part>, Option<Instant>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut ready, now) = (Vec::new(), Instant::now());
        while let Some((trace, pending)) = state.waiting.pop_due(now) {
            self.decide(&mut state, trace, pending, &mut ready);
        }
        let next = state.waiting.next_due();
        (ready, next)
    }

    /// Decides on everything by what is there.
    async fn finish(&self) {
        self.stop.cancel();
        self.clock.close();
        self.clock.wait().await;
        let mut ready = Vec::new();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some((trace, pending)) = state.waiting.pop() {
                self.decide(&mut state, trace, pending, &mut ready);
            }
        }
        self.send(ready).await;
        self.outlet.shutdown().await;
    }
}

impl TraceExporter for TailSampler {
    fn id(&self) -> &ComponentId {
        self.outlet.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.take(request, ack))
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.finish())
    }
}

fn any_ended_root(body: &ExportTraceServiceRequest) -> bool {
    let is_ended_root =
        |span: &Span| span.parent_span_id.iter().all(|byte| *byte == 0) && span.end_time_unix_nano != 0;
    super::stage::any_span(body, |_, span| is_ended_root(span))
}

/// A request as one request per trace, in the order in which the traces begin. A request of one trace
/// stays what it is.
fn by_trace(request: Arc<TraceRequest>) -> Vec<(TraceId, Arc<TraceRequest>)> {
    let mut first = None;
    let is_mixed = super::stage::any_span(&request.body, |_, span| {
        let trace = sixteen(&span.trace_id);
        *first.get_or_insert(trace) != trace
    });
    match first {
        None => return Vec::new(),
        Some(trace) if !is_mixed => return vec![(trace, request)],
        Some(_) => {}
    }
    let request = Arc::unwrap_or_clone(request);
    let mut traces = Traces::default();
    for mut resource_spans in request.body.resource_spans {
        for mut scope_spans in std::mem::take(&mut resource_spans.scope_spans) {
            for span in std::mem::take(&mut scope_spans.spans) {
                traces.add(&resource_spans, &scope_spans, span);
            }
            traces.end_of_scope();
        }
    }
    let metadata = request.metadata;
    let held = request.held;
    let requests = traces.bodies.into_iter().map(|(trace, body)| {
        let bytes = footprint(&body);
        let metadata = RequestMetadata { bytes, ..metadata.clone() };
        (trace, Arc::new(TraceRequest { body, encoded: None, metadata, held: held.more(bytes) }))
    });
    requests.collect()
}

/// Bodies by trace, while a request is taken apart.
#[derive(Default)]
struct Traces {
    bodies: Vec<(TraceId, ExportTraceServiceRequest)>,
    index: HashMap<TraceId, usize>,
    /// The traces that have the current scope at their end.
    in_scope: Vec<usize>,
}

impl Traces {
    fn add(&mut self, resource: &ResourceSpans, scope: &ScopeSpans, span: Span) {
        let trace = sixteen(&span.trace_id);
        let at = *self.index.entry(trace).or_insert_with(|| {
            self.bodies.push((trace, ExportTraceServiceRequest::default()));
            self.bodies.len() - 1
        });
        let Some((_, body)) = self.bodies.get_mut(at) else { return };
        if !self.in_scope.contains(&at) {
            self.in_scope.push(at);
            let scope_spans = vec![scope.clone()];
            body.resource_spans.push(ResourceSpans { scope_spans, ..resource.clone() });
        }
        let open = body.resource_spans.last_mut().and_then(|resource| resource.scope_spans.last_mut());
        if let Some(open) = open {
            open.spans.push(span);
        }
    }

    fn end_of_scope(&mut self) {
        self.in_scope.clear();
    }
}
