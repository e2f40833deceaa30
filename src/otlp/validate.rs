//! What a span must have to be stored: an identity.

use super::model::{ExportTraceServiceRequest, Span};
use super::refusal::RefusalList;

/// Takes the spans without a usable identity out of the request.
///
/// OTLP wants 16 and 8 bytes and not all zero. MLflow also stores shorter and all-zero ids, and longer
/// ones that are numbers of 16 and 8 bytes; so do we. Every other rule about ids is the destination's.
pub(super) fn validate(request: &mut ExportTraceServiceRequest, refusals: &mut RefusalList) {
    for (resource_index, resource) in request.resource_spans.iter_mut().enumerate() {
        for (scope_index, scope) in resource.scope_spans.iter_mut().enumerate() {
            let mut index = 0;
            scope.spans.retain(|span| {
                let problem = identity_problem(span);
                if let Some(problem) = problem {
                    refusals.push(|| {
                        format!(
                            "resource_spans[{resource_index}].scope_spans[{scope_index}].spans[{index}]: {problem}"
                        )
                    });
                }
                index += 1;
                problem.is_none()
            });
        }
    }
}

fn identity_problem(span: &Span) -> Option<&'static str> {
    if span.trace_id.is_empty() {
        Some("trace_id is empty")
    } else if span.span_id.is_empty() {
        Some("span_id is empty")
    } else if significant(&span.trace_id) > 16 {
        Some("trace_id is longer than 16 bytes")
    } else if significant(&span.span_id) > 8 {
        Some("span_id is longer than 8 bytes")
    } else if significant(&span.parent_span_id) > 8 {
        Some("parent_span_id is longer than 8 bytes")
    } else {
        None
    }
}

/// The length of an id without its leading zero bytes.
fn significant(id: &[u8]) -> usize {
    id.len() - id.iter().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: usize, id: usize, parent: usize) -> Span {
        Span {
            trace_id: vec![1; trace],
            span_id: vec![1; id],
            parent_span_id: vec![1; parent],
            ..Span::default()
        }
    }

    #[test]
    fn lengths_that_mlflow_stores_are_kept() {
        for (trace, id, parent) in [(16, 8, 8), (16, 8, 0), (1, 1, 1)] {
            assert_eq!(identity_problem(&span(trace, id, parent)), None, "{trace} {id} {parent}");
        }
        let zero = Span { trace_id: vec![0; 20], span_id: vec![0; 8], ..Span::default() };
        assert_eq!(identity_problem(&zero), None);
    }

    #[test]
    fn missing_and_overlong_ids_are_refused() {
        for (trace, id, parent) in [(0, 8, 0), (16, 0, 0), (17, 8, 0), (16, 9, 0), (16, 8, 9)] {
            assert!(identity_problem(&span(trace, id, parent)).is_some(), "{trace} {id} {parent}");
        }
    }
}
