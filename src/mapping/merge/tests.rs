//! Tests of how a later write of a trace changes what an earlier one left.

use super::*;
use crate::mapping::python::Number;
use crate::mapping::{StoredSpan, Tally, TraceRepairs};
use crate::mlflow::records::SpanStatus;

/// An update of one span; usage is kept in the content too, as a store would give it back.
fn update(span_id: &str, parent: Option<&str>, start_ms: i64, input_tokens: Option<i64>) -> TraceUpdate {
    let mut tally = Tally::default();
    tally.values[0] = input_tokens.map(|count| Number::Int(count.into()));
    let content = match input_tokens {
        Some(count) => {
            format!(r#"{{"attributes": {{"mlflow.chat.tokenUsage": "{{\"input_tokens\": {count}}}"}}}}"#)
        }
        None => r#"{"attributes": {}}"#.to_owned(),
    };
    let span = SpanRecord {
        span_id: span_id.to_owned(),
        parent_span_id: parent.map(str::to_owned),
        name: "operation".to_owned(),
        span_type: None,
        status: SpanStatus::Unset,
        start_time_unix_nano: start_ms * 1_000_000,
        end_time_unix_nano: (start_ms + 5) * 1_000_000,
        content,
        cost: Cost::default(),
        model_name: None,
        model_provider: None,
    };
    TraceUpdate {
        trace_id: "tr-1".to_owned(),
        experiment_id: 7,
        min_start_ms: start_ms,
        max_end_ms: start_ms + 5,
        state: parent.is_none().then_some(TraceState::Ok),
        trace_name: parent.is_none().then(|| format!("name {start_ms}")),
        session_id: None,
        user: Some(format!("user {start_ms}")),
        request_preview: parent.is_none().then(|| format!("request {start_ms}")),
        response_preview: None,
        preview_failed: false,
        tags: vec![("service.name".to_owned(), format!("service {start_ms}"))],
        spans: vec![span],
        usage: vec![SpanUsage { tokens: input_tokens.map(|_| Box::new(tally)), cost: None }],
        run_ids: vec!["run".to_owned()],
        repairs: TraceRepairs::default(),
    }
}

/// What a store holds after a write, all spans included.
fn stored_after(before: Option<StoredTrace>, write: &TraceWrite<'_>) -> StoredTrace {
    let mut spans: BTreeMap<String, StoredSpan> = before
        .iter()
        .flat_map(|trace| &trace.spans)
        .map(|span| (span.span_id.clone(), span.clone()))
        .collect();
    for span in &write.spans {
        let stored = StoredSpan {
            span_id: span.span_id.clone(),
            parent_span_id: span.parent_span_id.clone(),
            content: Some(span.content.clone()),
        };
        spans.insert(span.span_id.clone(), stored);
    }
    let location = write.tags.iter().find(|(key, _)| key == SPANS_LOCATION).map(|(_, value)| value.clone());
    StoredTrace {
        record: write.record.clone(),
        finalized: before.as_ref().is_some_and(|trace| trace.finalized),
        has_user: !write.metadata.is_empty() || before.as_ref().is_some_and(|trace| trace.has_user),
        spans_location: location.or(before.and_then(|trace| trace.spans_location)),
        spans: spans.into_values().collect(),
    }
}

fn one_by_one(updates: &[TraceUpdate]) -> StoredTrace {
    updates
        .chunks(1)
        .fold(None, |stored, update| {
            let write = merge(stored.clone(), update).unwrap();
            Some(stored_after(stored, &write))
        })
        .unwrap()
}

#[test]
fn folding_gives_what_writing_one_by_one_gives() {
    let updates = vec![
        update("c", Some("b"), 300, Some(5)),
        update("b", Some("a"), 200, Some(7)),
        update("a", None, 100, None),
        update("b", Some("a"), 250, None),
        update("d", Some("a"), 50, Some(1)),
    ];
    for split in 0..updates.len() {
        let (early, late) = updates.split_at(split);
        let before = (!early.is_empty()).then(|| one_by_one(early));
        let write = merge(before.clone(), late).unwrap();
        assert_eq!(stored_after(before, &write), one_by_one(&updates), "split at {split}");
    }
    let end = one_by_one(&updates);
    assert_eq!(end.record.tokens.input, Some(6), "b lost its usage, so c counts: 5 + 1");
    assert_eq!((end.record.timestamp_ms, end.record.execution_time_ms), (50, Some(255)));
    assert_eq!(end.record.db_payload_generation, 5);
    assert_eq!(end.record.trace_name.as_deref(), Some("name 100"));
}

#[test]
fn later_updates_do_not_override_the_first_session_user_or_preview() {
    let mut updates = vec![update("a", None, 100, None), update("b", None, 200, None)];
    updates[0].session_id = Some("first".to_owned());
    updates[1].session_id = Some("second".to_owned());
    let write = merge(None, &updates).unwrap();
    assert_eq!(write.record.session_id.as_deref(), Some("first"));
    assert_eq!(write.record.request_preview.as_deref(), Some("request 100"));
    assert_eq!(write.metadata, vec![("mlflow.trace.user".to_owned(), "user 100".to_owned())]);
    assert_eq!(write.tags, vec![("service.name".to_owned(), "service 200".to_owned())]);
    assert_eq!(write.run_ids, vec!["run"]);
}

#[test]
fn a_finalized_trace_keeps_its_times_and_totals_if_the_update_has_usage() {
    let first = one_by_one(&[update("a", None, 100, Some(3))]);
    let finalized = StoredTrace { finalized: true, ..first };
    let updates = [update("b", Some("a"), 50, Some(9))];
    let write = merge(Some(finalized.clone()), &updates).unwrap();
    assert_eq!((write.record.timestamp_ms, write.record.tokens.input), (100, Some(3)));
    assert_eq!(write.moved_start_ms, None);
    let updates = [update("b", Some("a"), 50, None)];
    let write = merge(Some(finalized), &updates).unwrap();
    assert_eq!((write.record.timestamp_ms, write.moved_start_ms), (50, Some(50)));
}

#[test]
fn a_trace_is_marked_until_its_root_has_come() {
    let marking = |mut update: TraceUpdate| {
        update.repairs.mark_end = true;
        update
    };
    let child = [marking(update("b", Some("a"), 200, None))];
    let root = [marking(update("a", None, 100, None))];
    let write = merge(None, &child).unwrap();
    assert_eq!((write.record.state, write.end), (TraceState::InProgress, Some(EndMark::Awaited)));
    let stored = stored_after(None, &write);
    assert_eq!(merge(Some(stored.clone()), &child).unwrap().end, Some(EndMark::Awaited));
    assert_eq!(merge(Some(stored.clone()), &root).unwrap().end, Some(EndMark::Received));
    let mut closed = stored;
    closed.record.state = TraceState::Unspecified;
    let late = merge(Some(closed.clone()), &child).unwrap();
    assert_eq!((late.record.state, late.end), (TraceState::Unspecified, None), "it stays closed");
    let ended = merge(Some(closed), &root).unwrap();
    assert_eq!((ended.record.state, ended.end), (TraceState::Ok, Some(EndMark::Received)));
    let both = [child[0].clone(), root[0].clone()];
    assert_eq!(merge(None, &both).unwrap().end, None, "there is no mark that could go");
    assert_eq!(merge(None, &[update("b", Some("a"), 200, None)]).unwrap().end, None, "strict mode");
}

#[test]
fn an_archived_trace_refuses_spans() {
    let mut updates = vec![update("a", None, 100, None), update("b", Some("a"), 200, None)];
    updates[0].tags.push((SPANS_LOCATION.to_owned(), "ARCHIVE_REPO".to_owned()));
    let write = merge(None, &updates).unwrap();
    assert_eq!(write.spans.len(), 1);
    assert!(matches!(&write.refused[..], [(1, refusal)] if refusal.reason.contains("ARCHIVE_REPO")));
    let archived = stored_after(None, &write);
    assert_eq!(merge(Some(archived), &updates[1..]).unwrap_err().spans, 1);
}
