//! What is gathered: requests, and the traces that each of them has spans of. No clock, no waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::Piece;
use super::answer::Answer;
use super::config::TraceAssemblyConfig;
use crate::exporters::mlflow::route::trace_number;
use crate::otlp::model::Span;
use crate::otlp::{footprint, pieces};
use crate::pipeline::{Ack, RequestMetadata, TraceRequest};

/// A trace; none for the spans whose trace id cannot be one, which wait for nothing.
pub(super) type TraceKey = Option<u128>;

/// Why traces are written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The root has ended.
    Root,
    /// Nothing of it came any more.
    Idle,
    /// It has waited for as long as it may.
    MaxWait,
    /// There is no room for more.
    Full,
    /// The exporter stops.
    Shutdown,
}

impl Reason {
    /// The word in the metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Idle => "idle",
            Self::MaxWait => "max_wait",
            Self::Full => "full",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Traces that are due, and the pieces of requests that hold all that is gathered of them.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Each trace and why it is due.
    pub(super) traces: Vec<(TraceKey, Reason)>,
    /// In the order of arrival.
    pub(super) pieces: Vec<Piece>,
}

/// The traces that wait.
#[derive(Debug)]
pub(super) struct Gathered {
    config: TraceAssemblyConfig,
    requests: BTreeMap<u64, Request>,
    traces: HashMap<TraceKey, Trace>,
    deadlines: BTreeSet<(Instant, TraceKey)>,
    next_request: u64,
    bytes: usize,
    complete: Recent,
    /// Nothing waits any more.
    closed: bool,
}

#[derive(Debug)]
struct Request {
    request: Arc<TraceRequest>,
    answer: Answer,
    /// The traces of which it has spans that wait.
    waiting: HashSet<TraceKey>,
    /// Whether some of its spans have been written.
    is_cut: bool,
}

#[derive(Debug)]
struct Trace {
    /// The requests that have spans of it, in the order of arrival.
    requests: Vec<u64>,
    since: Instant,
    /// When its root came.
    root: Option<Instant>,
    deadline: Instant,
    reason: Reason,
}

impl Gathered {
    pub(super) fn new(config: TraceAssemblyConfig) -> Self {
        Self {
            complete: Recent::new(config.max_traces),
            config,
            requests: BTreeMap::new(),
            traces: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_request: 0,
            bytes: 0,
            closed: false,
        }
    }

    /// Takes a request in. Gives it back if nothing of it has to wait.
    pub(super) fn add(&mut self, request: Arc<TraceRequest>, ack: Ack, now: Instant) -> Option<Piece> {
        let traces = roots(&request);
        if self.closed || ack.is_urgent() || traces.is_empty() {
            return Some((request, ack));
        }
        let number = self.next_request;
        self.next_request += 1;
        for (key, has_root) in &traces {
            self.add_to_trace(*key, number, *has_root, now);
        }
        self.bytes += request.metadata.bytes;
        let answer = Answer::new(ack, traces.len());
        let waiting = traces.into_keys().collect();
        self.requests.insert(number, Request { request, answer, waiting, is_cut: false });
        None
    }

    fn add_to_trace(&mut self, key: TraceKey, number: u64, has_root: bool, now: Instant) {
        let was_complete = key.is_some_and(|id| self.complete.contains(id));
        let trace = self.traces.entry(key).or_insert_with(|| Trace {
            requests: Vec::new(),
            since: now,
            root: None,
            deadline: now,
            reason: Reason::Idle,
        });
        self.deadlines.remove(&(trace.deadline, key));
        trace.requests.push(number);
        // What comes after a trace was complete has no root to wait for.
        if trace.root.is_none() && (has_root || was_complete) {
            trace.root = Some(now);
        }
        let (due, reason) = match (key, trace.root) {
            (None, _) => (now, Reason::Root),
            (_, Some(root)) => (root + self.config.root_grace, Reason::Root),
            (_, None) => (now + self.config.idle_timeout, Reason::Idle),
        };
        let latest = trace.since + self.config.max_wait;
        (trace.deadline, trace.reason) =
            if due <= latest { (due, reason) } else { (latest, Reason::MaxWait) };
        self.deadlines.insert((trace.deadline, key));
    }

    /// Whether there is more than there may be.
    pub(super) fn is_full(&self) -> bool {
        self.exceeds(self.requests.len(), self.traces.len(), self.bytes)
    }

    fn exceeds(&self, requests: usize, traces: usize, bytes: usize) -> bool {
        let limits = &self.config;
        requests > limits.max_requests || traces > limits.max_traces || bytes > limits.max_bytes
    }

    /// Takes out the traces of the oldest requests until the limits are kept.
    pub(super) fn make_room(&mut self) -> Due {
        let mut early: Vec<(TraceKey, Reason)> = Vec::new();
        let mut taken: HashSet<TraceKey> = HashSet::new();
        let (mut requests, mut bytes) = (self.requests.len(), self.bytes);
        for request in self.requests.values() {
            if !self.exceeds(requests, self.traces.len() - taken.len(), bytes) {
                break;
            }
            early.extend(
                request.waiting.iter().filter(|key| taken.insert(**key)).map(|key| (*key, Reason::Full)),
            );
            requests -= 1;
            bytes = bytes.saturating_sub(request.request.metadata.bytes);
        }
        self.take(early)
    }

    /// When the next trace is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the traces that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Due {
        let due = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        let due = due.filter_map(|(_, key)| Some((*key, self.traces.get(key)?.reason))).collect();
        self.take(due)
    }

    /// Takes everything out, and lets nothing wait from now on.
    pub(super) fn close(&mut self) -> Due {
        self.closed = true;
        let all = self.deadlines.iter().map(|(_, key)| (*key, Reason::Shutdown)).collect();
        self.take(all)
    }

    /// Traces and bytes that wait.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.traces.len(), self.bytes)
    }

    fn take(&mut self, traces: Vec<(TraceKey, Reason)>) -> Due {
        let mut touched: BTreeMap<u64, HashSet<TraceKey>> = BTreeMap::new();
        for (key, _) in &traces {
            let Some(trace) = self.traces.remove(key) else { continue };
            self.deadlines.remove(&(trace.deadline, *key));
            for number in trace.requests {
                touched.entry(number).or_default().insert(*key);
            }
            if let (Some(id), Some(_)) = (key, trace.root) {
                self.complete.insert(*id);
            }
        }
        let pieces = touched.into_iter().filter_map(|(number, keys)| self.cut(number, &keys)).collect();
        Due { traces, pieces }
    }

    /// The spans of a request that belong to some of its traces.
    fn cut(&mut self, number: u64, keys: &HashSet<TraceKey>) -> Option<Piece> {
        let held = self.requests.get_mut(&number)?;
        held.waiting.retain(|key| !keys.contains(key));
        let is_whole = held.waiting.is_empty() && !held.is_cut;
        held.is_cut = true;
        let piece = if is_whole { Arc::clone(&held.request) } else { Arc::new(part(&held.request, keys)) };
        let ack = held.answer.piece(keys.len(), piece.span_count());
        if held.waiting.is_empty() {
            self.bytes = self.bytes.saturating_sub(held.request.metadata.bytes);
            self.requests.remove(&number);
        }
        Some((piece, ack))
    }
}

/// The traces of a request, and whether their root is in it and has ended.
fn roots(request: &TraceRequest) -> HashMap<TraceKey, bool> {
    let mut traces = HashMap::new();
    let scopes = request.body.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    for span in scopes.flat_map(|scope| &scope.spans) {
        *traces.entry(trace_number(&span.trace_id)).or_insert(false) |= is_ended_root(span);
    }
    traces
}

/// As MLflow reads it, a parent id of zeros is none.
fn is_ended_root(span: &Span) -> bool {
    span.parent_span_id.iter().all(|byte| *byte == 0) && span.end_time_unix_nano != 0
}

/// The request with the spans of these traces alone; its size is its share.
fn part(request: &TraceRequest, keys: &HashSet<TraceKey>) -> TraceRequest {
    let mut places = pieces::places(&request.body);
    let all = places.len().max(1);
    places.retain(|place| keys.contains(&trace_number(&place.span.trace_id)));
    let bytes = request.metadata.bytes / all * places.len();
    let metadata = RequestMetadata { bytes, ..request.metadata.clone() };
    let body = pieces::request(&places);
    let held = request.held.more(footprint(&body));
    TraceRequest { body, encoded: None, metadata, held }
}

/// The latest of some numbers.
#[derive(Debug)]
struct Recent {
    known: HashSet<u128>,
    order: VecDeque<u128>,
    most: usize,
}

impl Recent {
    fn new(most: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), most }
    }

    fn contains(&self, number: u128) -> bool {
        self.known.contains(&number)
    }

    fn insert(&mut self, number: u128) {
        if !self.known.insert(number) {
            return;
        }
        self.order.push_back(number);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
