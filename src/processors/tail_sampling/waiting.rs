//! The traces that wait for their decision, and the decisions that are remembered.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::super::parts::Part;
use super::config::{DecisionCacheConfig, TailSamplingConfig};

/// The id of a trace.
pub(super) type TraceId = [u8; 16];

/// What is known of a trace that waits.
pub(super) struct Pending {
    pub(super) parts: Vec<Part>,
    bytes: usize,
    due: Instant,
}

/// A part of one trace that has come in.
pub(super) struct Arrival {
    pub(super) trace: TraceId,
    pub(super) part: Part,
    /// The memory of its spans.
    pub(super) bytes: usize,
    /// Whether the root of the trace is in it, and has ended.
    pub(super) has_root: bool,
}

/// Traces that wait, bounded in number and in bytes.
pub(super) struct Waiting {
    traces: HashMap<TraceId, Pending>,
    by_due: BTreeSet<(Instant, TraceId)>,
    bytes: usize,
    wait: Duration,
    wait_after_root: Duration,
    max_traces: usize,
    max_bytes: usize,
}

impl Waiting {
    pub(super) fn new(config: &TailSamplingConfig) -> Self {
        Self {
            traces: HashMap::new(),
            by_due: BTreeSet::new(),
            bytes: 0,
            wait: config.decision_wait,
            wait_after_root: config.decision_wait_after_root_received,
            max_traces: config.num_traces,
            max_bytes: config.max_bytes,
        }
    }

    /// Adds a part to its trace. Says whether the trace is new.
    pub(super) fn add(&mut self, arrival: Arrival, now: Instant) -> bool {
        let Arrival { trace, part, bytes, has_root } = arrival;
        self.bytes += bytes;
        let after_root = now + self.wait_after_root;
        if let Some(pending) = self.traces.get_mut(&trace) {
            pending.parts.push(part);
            pending.bytes += bytes;
            if has_root && after_root < pending.due {
                self.by_due.remove(&(pending.due, trace));
                pending.due = after_root;
                self.by_due.insert((after_root, trace));
            }
            return false;
        }
        let due = if has_root { after_root.min(now + self.wait) } else { now + self.wait };
        self.by_due.insert((due, trace));
        self.traces.insert(trace, Pending { parts: vec![part], bytes, due });
        true
    }

    /// When the next trace is to be decided on.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Takes the next trace whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(TraceId, Pending)> {
        self.next_due().filter(|due| *due <= now).and_then(|_| self.pop())
    }

    /// Takes the trace whose time comes next if there are too many or too much.
    pub(super) fn pop_excess(&mut self) -> Option<(TraceId, Pending)> {
        let is_over = self.traces.len() > self.max_traces || self.bytes > self.max_bytes;
        is_over.then(|| self.pop()).flatten()
    }

    /// Takes the trace whose time comes next.
    pub(super) fn pop(&mut self) -> Option<(TraceId, Pending)> {
        let (_, trace) = self.by_due.pop_first()?;
        let pending = self.traces.remove(&trace)?;
        self.bytes -= pending.bytes;
        Some((trace, pending))
    }
}

/// The latest decisions, so many of each kind.
pub(super) struct Decisions {
    known: HashMap<TraceId, bool>,
    sampled: VecDeque<TraceId>,
    not_sampled: VecDeque<TraceId>,
    sizes: DecisionCacheConfig,
}

impl Decisions {
    pub(super) fn new(sizes: DecisionCacheConfig) -> Self {
        Self { known: HashMap::new(), sampled: VecDeque::new(), not_sampled: VecDeque::new(), sizes }
    }

    pub(super) fn get(&self, trace: &TraceId) -> Option<bool> {
        self.known.get(trace).copied()
    }

    /// Remembers a decision, and forgets the oldest of its kind.
    pub(super) fn add(&mut self, trace: TraceId, is_sampled: bool) {
        let (order, size) = match is_sampled {
            true => (&mut self.sampled, self.sizes.sampled_cache_size),
            false => (&mut self.not_sampled, self.sizes.non_sampled_cache_size),
        };
        if size == 0 || self.known.insert(trace, is_sampled).is_some() {
            return;
        }
        order.push_back(trace);
        if order.len() > size
            && let Some(oldest) = order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
