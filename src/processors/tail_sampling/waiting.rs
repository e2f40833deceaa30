//! The traces that wait for their decision.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::super::acks::Share;
use super::TraceId;
use super::config::TailSamplingConfig;
use super::traces::Fragment;

/// What a fragment that waits takes beside its spans, about: its entries in the lists, and its share of the answer.
const ENTRY_BYTES: usize = 256;

/// What is known of a trace that waits.
pub(super) struct Pending {
    pub(super) parts: Vec<(Fragment, Share)>,
    due: Instant,
}

/// A part of one trace that has come in.
pub(super) struct Arrival {
    pub(super) trace: TraceId,
    pub(super) fragment: Fragment,
    pub(super) share: Share,
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
        let Arrival { trace, fragment, share } = arrival;
        self.bytes += fragment.begin_waiting() + ENTRY_BYTES;
        let after_root = now + self.wait_after_root;
        let has_root = fragment.has_ended_root();
        if let Some(pending) = self.traces.get_mut(&trace) {
            pending.parts.push((fragment, share));
            if has_root && after_root < pending.due {
                self.by_due.remove(&(pending.due, trace));
                pending.due = after_root;
                self.by_due.insert((after_root, trace));
            }
            return false;
        }
        let due = if has_root { after_root.min(now + self.wait) } else { now + self.wait };
        self.by_due.insert((due, trace));
        self.traces.insert(trace, Pending { parts: vec![(fragment, share)], due });
        true
    }

    /// Lets no trace wait any longer, now and from now on.
    pub(super) fn hurry(&mut self, now: Instant) {
        (self.wait, self.wait_after_root) = (Duration::ZERO, Duration::ZERO);
        for (trace, pending) in &mut self.traces {
            if now < pending.due {
                self.by_due.remove(&(pending.due, *trace));
                pending.due = now;
                self.by_due.insert((now, *trace));
            }
        }
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
        self.bytes -= pending.parts.iter().map(|(part, _)| part.end_waiting() + ENTRY_BYTES).sum::<usize>();
        Some((trace, pending))
    }
}
