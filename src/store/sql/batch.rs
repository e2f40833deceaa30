//! One call's updates: sorted by trace, merged with what is stored, and narrowed down on failure.

use std::collections::HashMap;
use std::ops::Range;

use crate::dates::to_rfc3339;
use crate::mapping::{EndMark, StoredTrace, TraceUpdate, TraceWrite, merge};
use crate::semconv::mlflow::ARTIFACT_LOCATION;
use crate::semconv::otel_mlflow::END_AWAITED;

use super::artifacts::append_to_uri_path;
use super::{RefusedUpdate, now_ms};

/// Updates in the order in which every writer locks traces: by id, then by arrival.
pub(super) struct Batch {
    updates: Vec<TraceUpdate>,
    /// For each update, its index in the caller's list.
    origin: Vec<usize>,
    /// The caller's, dropped with the updates if it is not released before.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "dropped with the updates"))]
    held: Option<Box<dyn Send + Sync>>,
}

impl Batch {
    /// `held` is dropped with it at the latest.
    pub(super) fn new(updates: Vec<TraceUpdate>, held: impl Send + Sync + 'static) -> Self {
        let mut numbered: Vec<_> = updates.into_iter().enumerate().collect();
        numbered.sort_by(|(_, left), (_, right)| left.trace_id.cmp(&right.trace_id));
        let (origin, updates) = numbered.into_iter().unzip();
        Self { updates, origin, held: Some(Box::new(held)) }
    }

    /// Drops what the caller wants to be told by that another batch may come.
    #[cfg(feature = "sqlite")]
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Bytes of the spans' content.
    #[cfg(feature = "sqlite")]
    pub(super) fn bytes(&self) -> usize {
        self.updates.iter().flat_map(|update| &update.spans).map(|span| span.content.len()).sum()
    }

    /// The updates of one trace each, in lock order.
    pub(super) fn traces(&self, range: Range<usize>) -> Vec<TraceGroup<'_>> {
        let mut start = range.start;
        let updates = self.updates.get(range).unwrap_or_default();
        let groups = updates.chunk_by(|left, right| left.trace_id == right.trace_id).map(|updates| {
            let range = start..start + updates.len();
            start = range.end;
            TraceGroup { range, updates }
        });
        groups.collect()
    }
}

/// All updates of one trace.
pub(super) struct TraceGroup<'a> {
    range: Range<usize>,
    updates: &'a [TraceUpdate],
}

impl TraceGroup<'_> {
    pub(super) fn trace_id(&self) -> &str {
        self.updates.first().map_or("", |update| update.trace_id.as_str())
    }

    pub(super) fn needs_stored_spans(&self, stored: &StoredTrace) -> bool {
        self.updates.iter().any(|update| update.needs_stored_spans(&stored.record))
    }

    /// The experiments that the trace would go to if it were new.
    pub(super) fn experiment_ids(&self) -> impl Iterator<Item = i64> + use<'_> {
        self.updates.iter().map(|update| update.experiment_id)
    }
}

/// Experiments of a batch by id, each with the place of its artifacts.
pub(super) type Experiments = HashMap<i64, Option<String>>;

/// What one transaction writes, and what it leaves out.
pub(super) struct Plan<'a> {
    pub(super) writes: Vec<TraceWrite<'a>>,
    pub(super) refused: Vec<(Range<usize>, String)>,
}

impl<'a> Plan<'a> {
    /// Merges each trace with its stored state.
    pub(super) fn new(
        groups: &[TraceGroup<'a>],
        mut stored: HashMap<String, StoredTrace>,
        experiments: &Experiments,
    ) -> Self {
        let mut plan = Self { writes: Vec::with_capacity(groups.len()), refused: Vec::new() };
        for group in groups {
            let merged = merge(stored.remove(group.trace_id()), group.updates);
            let planned =
                merged.map_err(|refusal| refusal.reason).and_then(|write| place(write, experiments));
            match planned {
                Ok(mut write) => {
                    mark(&mut write);
                    let refused = write.refused.iter().map(|(position, refusal)| {
                        let at = group.range.start + position;
                        (at..at + 1, refusal.reason.clone())
                    });
                    plan.refused.extend(refused);
                    plan.writes.push(write);
                }
                Err(reason) => plan.refused.push((group.range.clone(), reason)),
            }
        }
        plan
    }
}

/// Adds the time to the mark of a trace whose root is awaited.
fn mark(write: &mut TraceWrite<'_>) {
    if write.end == Some(EndMark::Awaited) {
        write.tags.retain(|(key, _)| key != END_AWAITED);
        write.tags.push((END_AWAITED.to_owned(), to_rfc3339(now_ms())));
    }
}

/// The traces of a batch whose marks go, because their root has come.
pub(super) fn ended<'a>(writes: &'a [TraceWrite<'_>]) -> Vec<&'a str> {
    let ended = writes.iter().filter(|write| write.end == Some(EndMark::Received));
    ended.map(|write| write.record.trace_id.as_str()).collect()
}

/// Adds what only the experiment of a new trace tells.
fn place<'a>(mut write: TraceWrite<'a>, experiments: &Experiments) -> Result<TraceWrite<'a>, String> {
    if !write.is_new {
        return Ok(write);
    }
    let id = write.record.experiment_id;
    let Some(location) = experiments.get(&id) else {
        return Err(format!("experiment {id} does not exist"));
    };
    if let Some(location) = location
        && !write.tags.iter().any(|(key, _)| key == ARTIFACT_LOCATION)
    {
        let path = format!("traces/{}/artifacts", write.record.trace_id);
        write.tags.insert(0, (ARTIFACT_LOCATION.to_owned(), append_to_uri_path(location, &path)));
    }
    Ok(write)
}

/// The parts of a batch that are still to be written, and what has been refused so far.
pub(super) struct Work<'a> {
    batch: &'a Batch,
    pending: Vec<Range<usize>>,
    refused: Vec<RefusedUpdate>,
}

impl<'a> Work<'a> {
    /// Everything at once.
    pub(super) fn new(batch: &'a Batch) -> Self {
        let everything = 0..batch.updates.len();
        let pending = if everything.is_empty() { Vec::new() } else { vec![everything] };
        Self { batch, pending, refused: Vec::new() }
    }

    /// The updates that are written next.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// Takes note that the database or the merge refused these updates. Halves them by traces, then
    /// takes the updates of the guilty trace one by one, so that only the guilty update is refused.
    pub(super) fn refuse(&mut self, range: Range<usize>, reason: &str) {
        let traces = self.batch.traces(range.clone());
        if let Some(middle) = traces.get(traces.len() / 2).filter(|_| traces.len() > 1) {
            self.pending.extend([middle.range.start..range.end, range.start..middle.range.start]);
        } else if range.len() > 1 {
            self.pending.extend(range.rev().map(|one| one..one + 1));
        } else {
            let refused: Vec<_> = range.filter_map(|one| self.refused_update(one, reason)).collect();
            self.refused.extend(refused);
        }
    }

    fn refused_update(&self, at: usize, reason: &str) -> Option<RefusedUpdate> {
        let (update, index) = self.batch.updates.get(at).zip(self.batch.origin.get(at))?;
        let reason = format!("trace {}: {reason}", update.trace_id);
        Some(RefusedUpdate { index: *index, spans: update.spans.len(), reason })
    }

    /// What was refused in the end, in the caller's order.
    pub(super) fn into_refused(mut self) -> Vec<RefusedUpdate> {
        self.refused.sort_by_key(|refused| refused.index);
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::samples::update;

    fn batch(ids: &[&str]) -> Batch {
        Batch::new(ids.iter().map(|id| update(id, 1)).collect(), ())
    }

    /// Runs the narrowing against a database that refuses the traces and updates that `bad` names.
    fn refused(ids: &[&str], bad: impl Fn(&str, usize) -> bool) -> (Vec<usize>, usize) {
        let batch = batch(ids);
        let mut work = Work::new(&batch);
        let mut transactions = 0;
        while let Some(range) = work.next() {
            transactions += 1;
            if range.clone().any(|at| bad(&batch.updates[at].trace_id, batch.origin[at])) {
                work.refuse(range, "no");
            }
        }
        (work.into_refused().into_iter().map(|refused| refused.index).collect(), transactions)
    }

    #[test]
    fn traces_are_in_id_order_and_their_updates_in_order_of_arrival() {
        let batch = batch(&["b", "a", "b", "a"]);
        assert_eq!(batch.origin, [1, 3, 0, 2]);
        let ranges: Vec<_> = batch.traces(0..4).iter().map(|group| group.range.clone()).collect();
        assert_eq!(ranges, [0..2, 2..4]);
    }

    #[test]
    fn a_good_batch_takes_one_transaction() {
        assert_eq!(refused(&["c", "a", "b"], |_, _| false), (vec![], 1));
    }

    #[test]
    fn only_the_guilty_trace_is_refused() {
        let ids = ["g", "f", "e", "d", "c", "b", "a"];
        for (at, guilty) in ids.iter().enumerate() {
            let (indices, transactions) = refused(&ids, |id, _| id == *guilty);
            assert_eq!(indices, [at]);
            assert!(transactions <= 7, "{transactions}");
        }
    }

    #[test]
    fn of_a_guilty_trace_only_the_guilty_update_is_refused() {
        let (indices, _) = refused(&["a", "b", "b", "b", "c"], |_, origin| origin == 2);
        assert_eq!(indices, [2]);
    }

    #[test]
    fn no_updates_take_no_transaction() {
        assert_eq!(refused(&[], |_, _| true), (vec![], 0));
    }
}
