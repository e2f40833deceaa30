//! Evaluation events: opinions of a trace that come as events of its spans.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::mapping::content::hex;
use crate::mapping::routing::attribute_text;
use crate::mapping::span::{ids, trace_id};
use crate::mlflow::entities::{
    AssessmentError, AssessmentSource, AssessmentValue, NewAssessment, SourceKind,
};
use crate::otlp::model::span::Event;
use crate::otlp::model::{ExportTraceServiceRequest, KeyValue, Span, any_value};
use crate::semconv::gen_ai::{
    EVALUATION_EXPLANATION, EVALUATION_NAME, EVALUATION_SCORE_LABEL, EVALUATION_SCORE_VALUE, REQUEST_MODEL,
    RESPONSE_ID, RESPONSE_MODEL, event::EVALUATION_RESULT,
};
use crate::semconv::otel::ERROR_TYPE;
use crate::semconv::otel_mlflow::EVALUATION_KEY;

/// An evaluation event as an assessment.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// 32 hex digits, the same whenever the event comes again; also the metadata
    /// `otel_mlflow.evaluation`.
    pub id: String,
    /// What to create.
    pub assessment: NewAssessment,
}

/// The evaluation events of a request. An event without a name, or with neither value, label nor error,
/// says nothing and is left out.
///
/// The value is the score, or else the label. The source is a judge if the event names the model that
/// evaluated, and a program otherwise.
pub fn evaluations(request: &ExportTraceServiceRequest) -> Vec<Evaluation> {
    let groups = request.resource_spans.iter();
    let scopes = groups.flat_map(|group| &group.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    let events = spans.flat_map(|span| span.events.iter().map(move |event| (span, event)));
    let found = events.filter(|(_, event)| event.name == EVALUATION_RESULT);
    found.filter_map(|(span, event)| evaluation(span, event)).collect()
}

fn evaluation(span: &Span, event: &Event) -> Option<Evaluation> {
    let ids = ids(span).ok()?;
    let text = |key| attribute_text(&event.attributes, key).filter(|text| !text.is_empty());
    let (name, trace_id, span_id) = (text(EVALUATION_NAME)?, trace_id(ids.trace), hex(&span.span_id));
    let label = text(EVALUATION_SCORE_LABEL);
    let score = number(&event.attributes, EVALUATION_SCORE_VALUE);
    let error = text(ERROR_TYPE).map(|code| AssessmentError { code, ..AssessmentError::default() });
    if score.is_none() && label.is_none() && error.is_none() {
        return None;
    }
    let judge = text(RESPONSE_MODEL).or_else(|| text(REQUEST_MODEL));
    let id = identity(&[&trace_id, &span_id, &name, &event.time_unix_nano.to_string()]);
    let mut metadata = Map::new();
    metadata.insert(EVALUATION_KEY.to_owned(), id.clone().into());
    let kept = [
        (EVALUATION_SCORE_LABEL, label.clone().filter(|_| score.is_some())),
        (RESPONSE_ID, text(RESPONSE_ID)),
    ];
    for (key, value) in kept {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), value.into());
        }
    }
    let value = score.or_else(|| label.map(Value::from)).unwrap_or(Value::Null);
    let source = match judge {
        Some(model) => AssessmentSource { kind: SourceKind::LlmJudge, id: model },
        None => AssessmentSource { kind: SourceKind::Code, id: name.clone() },
    };
    let assessment = NewAssessment {
        trace_id,
        span_id: Some(span_id),
        name,
        source,
        value: AssessmentValue::Feedback { value, error },
        rationale: text(EVALUATION_EXPLANATION),
        metadata,
        create_time_ms: i64::try_from(event.time_unix_nano / 1_000_000).unwrap_or_default(),
        overrides: None,
    };
    Some(Evaluation { id, assessment })
}

/// A number that JSON can hold.
fn number(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().rev().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::Double(value) => serde_json::Number::from_f64(*value).map(Value::Number),
        any_value::Value::Int(value) => Some((*value).into()),
        _ => None,
    }
}

fn identity(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::model::{AnyValue, ResourceSpans, ScopeSpans};

    fn request(attributes: Vec<(&str, any_value::Value)>) -> ExportTraceServiceRequest {
        let pair = |(key, value): (&str, any_value::Value)| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
        };
        let event = Event {
            name: EVALUATION_RESULT.to_owned(),
            time_unix_nano: 5_000_000,
            attributes: attributes.into_iter().map(pair).collect(),
            ..Event::default()
        };
        let span =
            Span { trace_id: vec![1; 16], span_id: vec![2; 8], events: vec![event], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }
    }

    fn text(text: &str) -> any_value::Value {
        any_value::Value::String(text.to_owned())
    }

    #[test]
    fn an_event_becomes_a_feedback_of_its_span() {
        let said = request(vec![
            (EVALUATION_NAME, text("relevance")),
            (EVALUATION_SCORE_VALUE, any_value::Value::Double(0.25)),
            (EVALUATION_SCORE_LABEL, text("poor")),
            (EVALUATION_EXPLANATION, text("off topic")),
            (RESPONSE_ID, text("chatcmpl-1")),
        ]);
        let found = evaluations(&said);
        let [Evaluation { id, assessment }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(assessment.value, AssessmentValue::Feedback { value: 0.25.into(), error: None });
        assert_eq!(
            assessment.source,
            AssessmentSource { kind: SourceKind::Code, id: "relevance".to_owned() }
        );
        assert_eq!(assessment.rationale.as_deref(), Some("off topic"));
        assert_eq!(assessment.metadata[EVALUATION_SCORE_LABEL], "poor");
        assert_eq!(assessment.metadata[RESPONSE_ID], "chatcmpl-1");
        assert_eq!((assessment.span_id.as_deref(), assessment.create_time_ms), (Some("0202020202020202"), 5));
        assert_eq!(evaluations(&said)[0].id, *id);
    }

    #[test]
    fn a_judge_is_known_by_its_model_and_an_error_has_no_value() {
        let said = request(vec![
            (EVALUATION_NAME, text("faithful")),
            (EVALUATION_SCORE_LABEL, text("yes")),
            (REQUEST_MODEL, text("judge-1")),
        ]);
        let assessment = &evaluations(&said)[0].assessment;
        assert_eq!(assessment.value, AssessmentValue::Feedback { value: "yes".into(), error: None });
        assert_eq!(
            (assessment.source.kind, assessment.source.id.as_str()),
            (SourceKind::LlmJudge, "judge-1")
        );
        let said = request(vec![(EVALUATION_NAME, text("faithful")), (ERROR_TYPE, text("timeout"))]);
        let AssessmentValue::Feedback { value, error } = &evaluations(&said)[0].assessment.value else {
            panic!()
        };
        assert_eq!((value, error.as_ref().map(|error| error.code.as_str())), (&Value::Null, Some("timeout")));
        assert_eq!(evaluations(&request(vec![(EVALUATION_NAME, text("empty"))])), []);
    }
}
