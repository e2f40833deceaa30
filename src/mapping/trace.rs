//! The spans of one trace in a request, and the update that they make together.

use std::collections::HashMap;

use super::content::hex;
use super::facts::{Facts, Guilt, facts};
use super::identities::source;
use super::limits::ROWS_PER_STATEMENT;
use super::merge::TRACKING_STORE;
use super::options::Backend;
use super::repairs::Repairs;
use super::routing::{RoutedSpan, run_ids};
use super::span::{MappedSpan, trace_id};
use super::tags::{has_attributes, resource_tags};
use super::unusable::Unusable;
use super::update::TraceUpdate;
use crate::mlflow::records::{SpanStatus, TraceState};
use crate::otlp::Refusal;
use crate::otlp::model::Span;
use crate::semconv::mlflow::SPANS_LOCATION;

/// The spans of one trace, in the order of the request.
#[derive(Debug)]
pub(super) struct TraceSpans<'a> {
    pub(super) id: u128,
    pub(super) spans: Vec<MappedSpan<'a>>,
}

/// What an update depends on beside the spans of its trace.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) backend: Backend,
    pub(super) repairs: &'a Repairs,
    /// The run that the request's header names, for traces whose root is in the request.
    pub(super) run_id: Option<&'a str>,
    /// How many rows MLflow would write for the traces before this one.
    pub(super) rows_before: usize,
}

impl<'a> TraceSpans<'a> {
    /// Turns the spans into an update; what cannot be stored is refused.
    pub(super) fn into_update(
        mut self,
        surroundings: &Surroundings<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> Option<TraceUpdate> {
        let facts = self.settle(surroundings, refusals)?;
        (!self.spans.is_empty()).then(|| self.update(facts, surroundings, refusals))
    }

    /// Leaves out the spans that cannot be stored, until the others give facts that can be; none if the
    /// whole trace cannot.
    pub(super) fn settle(
        &mut self,
        surroundings: &Surroundings<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> Option<Facts> {
        if surroundings.repairs.repeated_spans {
            self.drop_repeated();
        }
        loop {
            let rows = self.check_rows(surroundings.backend, surroundings.rows_before);
            let found = rows.and_then(|()| facts(&self.spans, surroundings));
            match found {
                Ok(facts) => return Some(facts),
                Err(Guilt::Trace(error)) => {
                    let reason = format!("trace {}: {error}", trace_id(self.id));
                    refusals.push(Refusal { spans: self.spans.len(), reason });
                    return None;
                }
                Err(Guilt::Spans(guilty)) => self.refuse(guilty, refusals),
            }
        }
    }

    fn refuse(&mut self, guilty: Vec<(usize, Unusable)>, refusals: &mut Vec<Refusal>) {
        let mut errors: HashMap<usize, Unusable> = guilty.into_iter().collect();
        let mut position = 0;
        self.spans.retain(|mapped| {
            let error = errors.remove(&position);
            position += 1;
            if let Some(error) = &error {
                refusals.push(refusal(mapped.span, error));
            }
            error.is_none()
        });
    }

    /// Keeps the last of the spans that have the same id.
    fn drop_repeated(&mut self) {
        let last: HashMap<u64, usize> =
            self.spans.iter().enumerate().map(|(index, span)| (span.ids.span, index)).collect();
        if last.len() < self.spans.len() {
            let mut index = 0;
            self.spans.retain(|span| {
                index += 1;
                last.get(&span.ids.span) == Some(&(index - 1))
            });
        }
    }

    /// PostgreSQL refuses a statement that writes a row twice.
    fn check_rows(&self, backend: Backend, rows_before: usize) -> Result<(), Guilt> {
        if backend == Backend::Sqlite {
            return Ok(());
        }
        let mut statements = HashMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            let statement = (rows_before + index) / ROWS_PER_STATEMENT;
            if statements.insert(span.ids.span, statement) == Some(statement) {
                return Err(Guilt::Trace(Unusable::Repeated(span.record.span_id.clone())));
            }
        }
        Ok(())
    }

    /// Whether there is a root among the spans.
    pub(super) fn has_root(&self) -> bool {
        self.spans.iter().any(|span| span.ids.parent.is_none())
    }

    fn update(
        self,
        facts: Facts,
        surroundings: &Surroundings<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> TraceUpdate {
        let mut tags = vec![(SPANS_LOCATION.to_owned(), TRACKING_STORE.to_owned())];
        let resource =
            self.spans.iter().filter_map(|span| span.resource).find(|resource| has_attributes(resource));
        if let Some(resource) = resource {
            let (found, unusable) = resource_tags(resource);
            tags.extend(found);
            refusals.extend(unusable.into_iter().map(|key| unusable_tag(self.id, key)));
        }
        tags.extend(facts.tags);
        let nanos_per_ms = 1_000_000;
        let records = || self.spans.iter().map(|span| &span.record);
        let min_start = records().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
        let max_end = records().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
        let state = records().find(|span| span.parent_span_id.is_none()).map(|root| match root.status {
            SpanStatus::Error => TraceState::Error,
            SpanStatus::Ok | SpanStatus::Unset => TraceState::Ok,
        });
        let routed: Vec<_> =
            self.spans.iter().map(|mapped| RoutedSpan::new(mapped.span, mapped.resource)).collect();
        let run_ids = run_ids(surroundings.run_id, &routed, surroundings.backend.longest_run_id());
        let (spans, usage) = self.spans.into_iter().map(|span| (span.record, span.usage)).unzip();
        let repairs = surroundings.repairs;
        let mut beyond = facts.repairs;
        beyond.metadata.extend(resource.filter(|_| repairs.identities).and_then(source));
        beyond.recount = repairs.resent_spans;
        beyond.true_totals = repairs.usage_totals;
        beyond.mark_end = repairs.unfinished_traces;
        TraceUpdate {
            trace_id: trace_id(self.id),
            experiment_id: 0,
            min_start_ms: min_start / nanos_per_ms,
            max_end_ms: max_end / nanos_per_ms,
            state,
            trace_name: facts.trace_name,
            session_id: facts.session_id,
            user: facts.user,
            request_preview: facts.request_preview,
            response_preview: facts.response_preview,
            preview_failed: facts.preview_failed,
            tags,
            spans,
            usage,
            run_ids,
            repairs: beyond,
        }
    }
}

/// Refuses one span.
pub(super) fn refusal(span: &Span, error: &Unusable) -> Refusal {
    let (span_id, trace_id) = (hex(&span.span_id), hex(&span.trace_id));
    Refusal { spans: 1, reason: format!("span {span_id} of trace {trace_id}: {error}") }
}

/// Reports a tag that is left out; all spans are kept.
fn unusable_tag(trace: u128, key: &str) -> Refusal {
    let error = Unusable::Bytes(key.to_owned());
    Refusal { spans: 0, reason: format!("resource of trace {}, left out: {error}", trace_id(trace)) }
}
