//! Takes requests apart, lets their traces wait, and decides.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::acks::{Share, split_counting};
use super::super::careful::{careful, panicked};
use super::super::parts::Outlet;
use super::TraceId;
use super::config::{DecisionCacheConfig, TailSamplingConfig};
use super::decisions::Decisions;
use super::policy::{Policy, Trace};
use super::traces::{self, Fragment};
use super::waiting::{Arrival, Pending, Waiting};
use crate::pipeline::{Ack, TraceExporter, TraceRequest};
use crate::telemetry::{ProcessorMetrics, TaskGuard};

/// Why spans are dropped.
const NOT_SAMPLED: &str = "not_sampled";

/// Traces of one request that are looked at before others have a turn.
const AT_ONCE: usize = 1_024;

pub(super) struct Sampler {
    policies: Vec<Policy>,
    waiting: Mutex<Waiting>,
    decisions: Decisions,
    sizes: DecisionCacheConfig,
    /// The next decision has come nearer.
    changed: Notify,
    stop: CancellationToken,
    clock: TaskTracker,
    pub(super) outlet: Outlet,
    metrics: ProcessorMetrics,
}

type Ready = Vec<(Fragment, Share)>;

impl Sampler {
    /// A sampler whose clock runs until it is stopped.
    pub(super) fn start(
        config: &TailSamplingConfig,
        policies: Vec<Policy>,
        decisions: Decisions,
        (metrics, guard): (ProcessorMetrics, TaskGuard),
        next: Arc<dyn TraceExporter>,
    ) -> Arc<Self> {
        let sampler = Arc::new(Self {
            policies,
            waiting: Mutex::new(Waiting::new(config)),
            decisions,
            sizes: config.decision_cache,
            changed: Notify::new(),
            stop: CancellationToken::new(),
            clock: TaskTracker::new(),
            outlet: Outlet::new(next),
            metrics,
        });
        sampler.clock.spawn(Arc::clone(&sampler).decide_in_time(guard));
        sampler
    }

    pub(super) async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        self.metrics.incoming(request.span_count());
        let bytes = request.metadata.bytes;
        let fragments = match careful(bytes, move || traces::sort(request)).await {
            Ok(fragments) => fragments,
            Err(error) => return ack.complete(Err(error)),
        };
        let counts: Vec<usize> = fragments.iter().map(|(_, fragment)| fragment.len()).collect();
        let shares = split_counting(ack, &counts, self.metrics.clone(), NOT_SAMPLED);
        let mut arrivals = fragments.into_iter().zip(shares);
        let mut ready = Ready::new();
        while self.arrive_some(arrivals.by_ref().take(AT_ONCE), &mut ready) && arrivals.len() > 0 {
            tokio::task::yield_now().await;
        }
        // What has not arrived because of the stop comes again: its shares are dropped.
        drop(arrivals);
        self.send(ready).await;
    }

    /// Lets parts follow decisions, or wait for them. `false` if the sampler has stopped.
    fn arrive_some(
        &self,
        arrivals: impl Iterator<Item = ((TraceId, Fragment), Share)>,
        ready: &mut Ready,
    ) -> bool {
        let mut waiting = self.waiting();
        // Under the lock, so that nothing comes in behind the last decision.
        if self.stop.is_cancelled() {
            return false;
        }
        let due_before = waiting.next_due();
        for ((trace, fragment), share) in arrivals {
            self.arrive(&mut waiting, Arrival { trace, fragment, share }, ready);
        }
        if waiting.next_due() != due_before {
            self.changed.notify_one();
        }
        true
    }

    fn arrive(&self, waiting: &mut Waiting, arrival: Arrival, ready: &mut Ready) {
        if let Some(is_sampled) = self.decisions.get(&arrival.trace) {
            self.metrics.late_spans(arrival.share.spans());
            return follow(is_sampled, vec![(arrival.fragment, arrival.share)], ready);
        }
        if waiting.add(arrival, Instant::now()) {
            self.metrics.traces_waiting(1);
        }
        while let Some((trace, pending)) = waiting.pop_excess() {
            self.metrics.decided_too_early();
            self.decide(trace, pending, ready);
        }
    }

    fn decide(&self, trace: TraceId, pending: Pending, ready: &mut Ready) {
        self.metrics.traces_waiting(-1);
        // A sampler that a reload has taken out may have decided in the meantime.
        if let Some(is_sampled) = self.decisions.get(&trace) {
            return follow(is_sampled, pending.parts, ready);
        }
        let judging = || self.judge(&Trace { id: trace, parts: &pending.parts });
        match catch_unwind(AssertUnwindSafe(judging)) {
            Ok(is_sampled) => {
                self.decisions.add(trace, is_sampled, self.sizes);
                follow(is_sampled, pending.parts, ready);
            }
            // The clock goes on with other traces.
            Err(_) => pending.parts.into_iter().for_each(|(_, share)| share.complete(Err(panicked()))),
        }
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

    async fn send(&self, ready: Ready) {
        if !ready.is_empty() {
            self.metrics.outgoing(ready.iter().map(|(_, share)| share.spans()).sum());
            self.outlet.send(traces::join(ready)).await;
        }
    }

    /// Decides on traces when their time has come, until the end.
    async fn decide_in_time(self: Arc<Self>, guard: TaskGuard) {
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
                () = self.stop.cancelled() => return guard.finished(),
                () = self.changed.notified() => {}
                () = sleep => {}
            }
        }
    }

    fn decide_due(&self) -> (Ready, Option<Instant>) {
        let mut waiting = self.waiting();
        let (mut ready, now) = (Ready::new(), Instant::now());
        while let Some((trace, pending)) = waiting.pop_due(now) {
            self.decide(trace, pending, &mut ready);
        }
        (ready, waiting.next_due())
    }

    /// Lets no trace wait any longer, now and from now on.
    pub(super) fn hurry(&self) {
        self.waiting().hurry(Instant::now());
        self.changed.notify_one();
    }

    /// Ends the clock.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.clock.close();
    }

    /// Decides on everything by what is there.
    pub(super) async fn finish(&self) {
        self.stop();
        self.clock.wait().await;
        let mut ready = Ready::new();
        {
            let mut waiting = self.waiting();
            while let Some((trace, pending)) = waiting.pop() {
                self.decide(trace, pending, &mut ready);
            }
        }
        self.send(ready).await;
        self.outlet.shutdown().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn follow(is_sampled: bool, parts: Ready, ready: &mut Ready) {
    if is_sampled {
        return ready.extend(parts);
    }
    for (_, share) in parts {
        share.dropped();
    }
}
