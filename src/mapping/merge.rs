//! Folding what requests say about a trace into what is stored of it.
//!
//! Follows `log_spans` of MLflow 3.17.2's SQL store. Several updates are folded in one go, with the
//! result that writing them one by one would have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::naming::is_plain_name;
use super::stored::stored_usage;
use super::update::{EndMark, SpanUsage, StoredTrace, TraceUpdate, TraceWrite};
use super::usage::{Node, Tree};
use crate::mlflow::records::{Cost, SpanRecord, TokenUsage, TraceRecord, TraceState};
use crate::otlp::Refusal;
use crate::semconv::mlflow::{SPANS_LOCATION, TRACE_USER};

/// Value of the tag [`SPANS_LOCATION`] where spans live in the tracking store's own tables.
pub const TRACKING_STORE: &str = "TRACKING_STORE";

/// Folds the updates of one trace, in the order of their arrival, into what is stored of it.
///
/// `stored` is none for a trace that does not exist yet, and holds its spans if one of the updates
/// asked for them ([`TraceUpdate::needs_stored_spans`]).
///
/// # Errors
///
/// A refusal of all updates: the trace is archived, so its spans live elsewhere. Where only later
/// updates are refused, [`TraceWrite::refused`] holds them.
pub fn merge(stored: Option<StoredTrace>, updates: &[TraceUpdate]) -> Result<TraceWrite<'_>, Refusal> {
    let Some(first) = updates.first() else {
        return Err(Refusal { spans: 0, reason: "no update of a trace was given".to_owned() });
    };
    let mut fold = Fold::new(stored, first);
    for (index, update) in updates.iter().enumerate() {
        match fold.archived() {
            Some(reason) => fold.refused.push((index, Refusal { spans: update.spans.len(), reason })),
            None => fold.apply(update),
        }
    }
    fold.finish(updates.len())
}

/// A span that is stored, or will be once this write is done.
struct KnownSpan<'a> {
    parent_span_id: Option<Cow<'a, str>>,
    usage: Cow<'a, SpanUsage>,
}

/// The trace while updates are folded in.
struct Fold<'a> {
    record: TraceRecord,
    is_new: bool,
    finalized: bool,
    has_user: bool,
    spans_location: Option<String>,
    moved_start_ms: Option<i64>,
    known: BTreeMap<Cow<'a, str>, KnownSpan<'a>>,
    spans: BTreeMap<&'a str, &'a SpanRecord>,
    tags: Vec<(String, String)>,
    user: Option<String>,
    metadata: Vec<(String, String)>,
    run_ids: Vec<&'a str>,
    /// What was stored before; none of a new trace.
    state_before: Option<TraceState>,
    mark_end: bool,
    refused: Vec<(usize, Refusal)>,
}

impl<'a> Fold<'a> {
    fn new(stored: Option<StoredTrace>, first: &TraceUpdate) -> Self {
        let is_new = stored.is_none();
        let state_before = stored.as_ref().map(|stored| stored.record.state);
        let stored = stored.unwrap_or_else(|| StoredTrace {
            record: new_record(first),
            finalized: false,
            has_user: false,
            spans_location: None,
            spans: vec![],
        });
        let known = stored.spans.into_iter().map(|span| {
            let content = span.content.as_deref();
            let usage = content.map(|content| stored_usage(content, first.repairs.true_totals));
            let usage = usage.unwrap_or_default();
            let parent_span_id = span.parent_span_id.map(Cow::Owned);
            (Cow::Owned(span.span_id), KnownSpan { parent_span_id, usage: Cow::Owned(usage) })
        });
        Self {
            known: known.collect(),
            record: stored.record,
            is_new,
            finalized: stored.finalized,
            has_user: stored.has_user,
            spans_location: stored.spans_location,
            moved_start_ms: None,
            spans: BTreeMap::new(),
            tags: vec![],
            user: None,
            metadata: vec![],
            run_ids: vec![],
            state_before,
            mark_end: false,
            refused: vec![],
        }
    }

    /// Why no span can be added, if none can: the trace's spans have been moved elsewhere.
    fn archived(&self) -> Option<String> {
        let location = self.spans_location.as_deref().filter(|location| *location != TRACKING_STORE)?;
        let trace_id = &self.record.trace_id;
        Some(format!(
            "trace {trace_id} is archived: its tag {SPANS_LOCATION} is {location:?}, not {TRACKING_STORE}"
        ))
    }

    fn apply(&mut self, update: &'a TraceUpdate) {
        let batch = Tree::new(update_nodes(update).collect());
        let (has_tokens, has_cost) = (batch.tokens().is_some(), batch.cost().is_some());
        // MLflow looks this up only where it matters for usage or the session.
        let finalized = self.finalized && (has_tokens || has_cost || update.session_id.is_some());
        if update.repairs.recount {
            self.recount(update);
        } else if has_tokens || has_cost {
            self.fold_totals(update, &batch, (has_tokens, has_cost), finalized);
        }
        if !finalized {
            self.fold_times(update);
        }
        self.fold_facts(update);
        self.fold_tags(update);
        self.fold_spans(update);
        for run_id in &update.run_ids {
            if !self.run_ids.contains(&run_id.as_str()) {
                self.run_ids.push(run_id);
            }
        }
        self.mark_end |= update.repairs.mark_end;
        self.record.db_payload_generation += 1;
    }

    /// What becomes of the marks of a trace whose root is awaited.
    fn end_mark(&self) -> Option<EndMark> {
        let open = |state| matches!(state, TraceState::InProgress | TraceState::Unspecified);
        match (self.state_before, self.record.state) {
            _ if !self.mark_end => None,
            (_, TraceState::InProgress) => Some(EndMark::Awaited),
            (Some(before), after) if open(before) && !open(after) => Some(EndMark::Received),
            _ => None,
        }
    }

    /// Totals over the spans of the update and all others; a client's own totals are kept.
    fn fold_totals(&mut self, update: &TraceUpdate, batch: &Tree<'_>, has: (bool, bool), finalized: bool) {
        let whole = (!self.known.is_empty()).then(|| self.tree(update));
        let tree = whole.as_ref().unwrap_or(batch);
        let tokens = if has.0 { tree.tokens() } else { None };
        let cost = if has.1 { tree.cost() } else { None };
        if let Some(tally) = tokens.filter(|_| !finalized || self.record.tokens.is_empty()) {
            self.record.tokens.overwrite(tally.to_tokens());
        }
        if let Some(tally) = cost.filter(|_| !finalized || self.record.cost.is_empty()) {
            self.record.cost.overwrite(tally.to_cost());
        }
    }

    /// Totals over all spans, whatever this update holds. A span that is sent again without the usage
    /// that it had takes it back; totals that no span accounts for are kept.
    fn recount(&mut self, update: &TraceUpdate) {
        let replaced = update.spans.iter().filter_map(|span| self.known.get(span.span_id.as_str()));
        let (mut had_tokens, mut had_cost) = (false, false);
        for span in replaced {
            had_tokens |= span.usage.tokens.is_some();
            had_cost |= span.usage.cost.is_some();
        }
        let tree = self.tree(update);
        let (tokens, cost) = (tree.tokens(), tree.cost());
        if (tokens.is_some() || had_tokens) && (!self.finalized || self.record.tokens.is_empty()) {
            self.record.tokens = tokens.map(|tally| tally.to_tokens()).unwrap_or_default();
        }
        if (cost.is_some() || had_cost) && (!self.finalized || self.record.cost.is_empty()) {
            self.record.cost = cost.map(|tally| tally.to_cost()).unwrap_or_default();
        }
    }

    /// The spans of the update and all others that are known.
    fn tree<'t>(&'t self, update: &'t TraceUpdate) -> Tree<'t> {
        let sent: BTreeSet<&str> = update.spans.iter().map(|span| span.span_id.as_str()).collect();
        let others = self.known.iter().filter(|(id, _)| !sent.contains(id.as_ref()));
        let others = others.map(|(id, span)| Node {
            span_id: id,
            parent_span_id: span.parent_span_id.as_deref(),
            tokens: span.usage.tokens.as_deref(),
            cost: span.usage.cost.as_deref(),
        });
        Tree::new(update_nodes(update).chain(others).collect())
    }

    fn fold_times(&mut self, update: &TraceUpdate) {
        let record = &mut self.record;
        let old_start = record.timestamp_ms;
        let old_end = record.execution_time_ms.map(|duration| old_start.saturating_add(duration));
        let end = old_end.unwrap_or(update.max_end_ms).max(update.max_end_ms);
        record.timestamp_ms = old_start.min(update.min_start_ms);
        record.execution_time_ms = Some(end.saturating_sub(record.timestamp_ms));
        if record.timestamp_ms < old_start && !self.is_new {
            self.moved_start_ms = Some(record.timestamp_ms);
        }
    }

    /// Facts that the first to give them decides, but for the name, where the last one does.
    fn fold_facts(&mut self, update: &TraceUpdate) {
        let record = &mut self.record;
        if let (TraceState::InProgress | TraceState::Unspecified, Some(state)) = (record.state, update.state)
        {
            record.state = state;
        }
        let failed = update.preview_failed && record.request_preview.is_none();
        if !failed {
            fill(&mut record.request_preview, &update.request_preview);
            fill(&mut record.response_preview, &update.response_preview);
        }
        fill(&mut record.session_id, &update.session_id);
        if update.trace_name.is_some() {
            record.trace_name.clone_from(&update.trace_name);
        } else if record.trace_name.as_deref().is_none_or(is_plain_name) {
            let better = update.repairs.fallback_name.as_ref();
            let name = better.or(record.trace_name.as_ref()).or(update.repairs.plain_name.as_ref()).cloned();
            record.trace_name = name;
        }
        for (key, value) in &update.repairs.metadata {
            if !self.metadata.iter().any(|(known, _)| known == key) {
                self.metadata.push((key.clone(), value.clone()));
            }
        }
        if !self.has_user {
            self.user.clone_from(&update.user);
            self.has_user = self.user.is_some();
        }
    }

    fn fold_tags(&mut self, update: &TraceUpdate) {
        for (key, value) in &update.tags {
            if key == SPANS_LOCATION {
                self.spans_location = Some(value.clone());
            }
            match self.tags.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) => old.clone_from(value),
                None => self.tags.push((key.clone(), value.clone())),
            }
        }
    }

    fn fold_spans(&mut self, update: &'a TraceUpdate) {
        for (span, usage) in update.spans.iter().zip(&update.usage) {
            let parent_span_id = span.parent_span_id.as_deref().map(Cow::Borrowed);
            let known = KnownSpan { parent_span_id, usage: Cow::Borrowed(usage) };
            self.known.insert(Cow::Borrowed(&span.span_id), known);
            self.spans.insert(&span.span_id, span);
        }
    }

    fn finish(self, updates: usize) -> Result<TraceWrite<'a>, Refusal> {
        let end = self.end_mark();
        let mut refused = self.refused;
        if refused.len() == updates {
            let spans = refused.iter().map(|(_, refusal)| refusal.spans).sum();
            let reason = refused.pop().map(|(_, refusal)| refusal.reason).unwrap_or_default();
            return Err(Refusal { spans, reason });
        }
        Ok(TraceWrite {
            end,
            record: self.record,
            is_new: self.is_new,
            spans: self.spans.into_values().collect(),
            tags: self.tags,
            metadata: self
                .user
                .map(|user| (TRACE_USER.to_owned(), user))
                .into_iter()
                .chain(self.metadata)
                .collect(),
            moved_start_ms: self.moved_start_ms,
            run_ids: self.run_ids,
            refused,
        })
    }
}

/// The row that MLflow inserts before it applies the first update.
fn new_record(update: &TraceUpdate) -> TraceRecord {
    TraceRecord {
        trace_id: update.trace_id.clone(),
        experiment_id: update.experiment_id,
        timestamp_ms: update.min_start_ms,
        execution_time_ms: None,
        state: update.state.unwrap_or(TraceState::InProgress),
        request_preview: None,
        response_preview: None,
        db_payload_generation: 0,
        trace_name: None,
        session_id: None,
        tokens: TokenUsage::default(),
        cost: Cost::default(),
    }
}

fn update_nodes(update: &TraceUpdate) -> impl Iterator<Item = Node<'_>> {
    update.spans.iter().zip(&update.usage).map(|(span, usage)| Node {
        span_id: &span.span_id,
        parent_span_id: span.parent_span_id.as_deref(),
        tokens: usage.tokens.as_deref(),
        cost: usage.cost.as_deref(),
    })
}

fn fill(column: &mut Option<String>, value: &Option<String>) {
    if column.is_none() {
        column.clone_from(value);
    }
}

#[cfg(test)]
mod tests;
