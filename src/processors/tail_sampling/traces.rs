//! Requests taken apart by trace, without a copy of what is in them: a request may hold one large resource and
//! tens of thousands of traces.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message as _;

use super::super::acks::Share;
use super::super::parts::Part;
use super::super::value::sixteen;
use super::TraceId;
use crate::otlp::footprint;
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::{Held, RequestMetadata, TraceRequest};

/// Where a span stands in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    resource: usize,
    scope: usize,
    span: usize,
}

/// A request, and where the spans of each of its traces stand.
#[derive(Debug)]
pub(super) struct Sorted {
    request: Arc<TraceRequest>,
    /// Trace by trace, and in each in the order of the request.
    places: Vec<Place>,
    /// What all of this takes in memory.
    bytes: usize,
    /// Of the places.
    _held: Held,
    /// How many of its traces wait for their decision.
    waiting: AtomicUsize,
}

/// The spans of one trace in a request.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    of: Arc<Sorted>,
    places: Range<usize>,
}

/// A request as one fragment per trace, in the order in which the traces begin.
pub(super) fn sort(request: Arc<TraceRequest>) -> Vec<(TraceId, Fragment)> {
    let mut traces: Vec<(TraceId, usize)> = Vec::new();
    let mut index: HashMap<TraceId, usize> = HashMap::new();
    let mut places = Vec::with_capacity(request.span_count());
    for (resource, resource_spans) in request.body.resource_spans.iter().enumerate() {
        for (scope, scope_spans) in resource_spans.scope_spans.iter().enumerate() {
            for (span, it) in scope_spans.spans.iter().enumerate() {
                let trace = sixteen(&it.trace_id);
                let at = *index.entry(trace).or_insert(traces.len());
                match traces.get_mut(at) {
                    Some((_, spans)) => *spans += 1,
                    None => traces.push((trace, 1)),
                }
                places.push((at, Place { resource, scope, span }));
            }
        }
    }
    places.sort_by_key(|(trace, _)| *trace);
    let places: Vec<Place> = places.into_iter().map(|(_, place)| place).collect();
    let own = places.len() * size_of::<Place>();
    let bytes = own + footprint(&request.body) + request.encoded.as_ref().map_or(0, |bytes| bytes.len());
    let (held, waiting) = (request.held.more(own), AtomicUsize::new(0));
    let of = Arc::new(Sorted { request, places, bytes, _held: held, waiting });
    let mut end = 0;
    let fragments = traces.into_iter().map(|(trace, spans)| {
        let start = end;
        end += spans;
        (trace, Fragment { of: Arc::clone(&of), places: start..end })
    });
    fragments.collect()
}

impl Fragment {
    fn places(&self) -> &[Place] {
        self.of.places.get(self.places.clone()).unwrap_or_default()
    }

    /// The spans.
    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> {
        let resources = &self.of.request.body.resource_spans;
        self.places().iter().filter_map(|place| {
            resources.get(place.resource)?.scope_spans.get(place.scope)?.spans.get(place.span)
        })
    }

    /// The resources of the spans, each once.
    pub(super) fn resources(&self) -> impl Iterator<Item = &ResourceSpans> {
        let resources = &self.of.request.body.resource_spans;
        let runs = self.places().chunk_by(|left, right| left.resource == right.resource);
        runs.filter_map(|run| resources.get(run.first()?.resource))
    }

    /// How many spans.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the root of the trace is in it, and has ended.
    pub(super) fn has_ended_root(&self) -> bool {
        let is_root = |span: &Span| span.parent_span_id.iter().all(|byte| *byte == 0);
        self.spans().any(|span| is_root(span) && span.end_time_unix_nano != 0)
    }

    /// Begins to wait; the bytes that are held for it. A request stays whole until none of its traces waits.
    pub(super) fn begin_waiting(&self) -> usize {
        let is_first = self.of.waiting.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first { self.of.bytes } else { 0 }
    }

    /// Waits no longer; the bytes that are free.
    pub(super) fn end_waiting(&self) -> usize {
        let is_last = self.of.waiting.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last { self.of.bytes } else { 0 }
    }
}

/// Fragments as parts to send: those of one request together, and all of a request as it came in.
pub(super) fn join(fragments: Vec<(Fragment, Share)>) -> Vec<Part> {
    let mut index: HashMap<*const Sorted, usize> = HashMap::new();
    let mut groups: Vec<(Vec<Fragment>, Share)> = Vec::new();
    for (fragment, share) in fragments {
        let at = *index.entry(Arc::as_ptr(&fragment.of)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((others, joint)) => {
                others.push(fragment);
                joint.absorb(share);
            }
            None => groups.push((vec![fragment], share)),
        }
    }
    let parts =
        groups.into_iter().filter_map(|(fragments, share)| Some(Part { request: one(fragments)?, share }));
    parts.collect()
}

/// Fragments of one request as a request.
fn one(fragments: Vec<Fragment>) -> Option<Arc<TraceRequest>> {
    let of = Arc::clone(&fragments.first()?.of);
    if fragments.iter().map(Fragment::len).sum::<usize>() == of.places.len() {
        return Some(Arc::clone(&of.request));
    }
    let mut places: Vec<Place> = fragments.iter().flat_map(Fragment::places).copied().collect();
    places.sort_unstable();
    let body = body(&of.request.body, &places);
    let metadata = RequestMetadata { bytes: body.encoded_len(), ..of.request.metadata.clone() };
    let held = of.request.held.more(footprint(&body));
    Some(Arc::new(TraceRequest { body, encoded: None, metadata, held }))
}

/// Some spans of a body, each with its resource and its scope.
fn body(whole: &ExportTraceServiceRequest, places: &[Place]) -> ExportTraceServiceRequest {
    let of_resource = |run: &[Place]| {
        let from = whole.resource_spans.get(run.first()?.resource)?;
        let scopes = run.chunk_by(|left, right| left.scope == right.scope);
        let scope_spans = scopes.filter_map(|run| {
            let from = from.scope_spans.get(run.first()?.scope)?;
            let spans = run.iter().filter_map(|place| from.spans.get(place.span)).cloned().collect();
            Some(ScopeSpans { scope: from.scope.clone(), spans, schema_url: from.schema_url.clone() })
        });
        let scope_spans = scope_spans.collect();
        Some(ResourceSpans {
            resource: from.resource.clone(),
            scope_spans,
            schema_url: from.schema_url.clone(),
        })
    };
    let runs = places.chunk_by(|left, right| left.resource == right.resource);
    ExportTraceServiceRequest { resource_spans: runs.filter_map(of_resource).collect() }
}
