//! Spans.

use opentelemetry::trace::{SpanKind, Status};
use serde_json::Value;

use super::Rules;
use super::attributes::{self, Carrier};
use crate::telemetry::Span;

pub(super) fn check(rules: &Rules, span: &Span) -> Vec<String> {
    let operation = span.get("gen_ai.operation.name").as_str().unwrap_or_default();
    let Some(kind) = type_of(operation, &span.kind) else {
        return vec![format!("no span type has the operation `{operation}`")];
    };
    let refined = attributes::refined(kind, &span.attributes);
    let signals = &rules.registry.spans;
    let signal = signals.get(refined.as_ref()).unwrap_or_else(|| &signals[kind]);
    let mut wrong = attributes::check(rules, signal, Carrier::Span, &span.attributes);
    wrong.extend(check_form(span, operation, &signal.about["kind"]));
    wrong.extend(check_end(span));
    wrong
}

/// The span type of an operation.
fn type_of(operation: &str, kind: &SpanKind) -> Option<&'static str> {
    Some(match operation {
        "chat" | "generate_content" | "text_completion" => "gen_ai.inference.client",
        "embeddings" => "gen_ai.embeddings.client",
        "fetch_response" => "gen_ai.fetch_response.client",
        "retrieval" => "gen_ai.retrieval.client",
        "create_agent" => "gen_ai.create_agent.client",
        "invoke_agent" if *kind == SpanKind::Client => "gen_ai.invoke_agent.client",
        "invoke_agent" => "gen_ai.invoke_agent.internal",
        "execute_tool" => "gen_ai.execute_tool.internal",
        "invoke_workflow" => "gen_ai.invoke_workflow.internal",
        "plan" => "gen_ai.plan.internal",
        other if other.contains("memory") => "gen_ai.memory.client",
        _ => return None,
    })
}

/// Kind and name.
fn check_form(span: &Span, operation: &str, kind: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if kind.as_str().is_some_and(|kind| !format!("{:?}", span.kind).eq_ignore_ascii_case(kind)) {
        wrong.push(format!("the kind is {:?}, not {kind}", span.kind));
    }
    let subject = span.get(match operation {
        "chat" | "generate_content" | "text_completion" | "embeddings" => "gen_ai.request.model",
        "execute_tool" => "gen_ai.tool.name",
        "invoke_agent" | "create_agent" | "plan" => "gen_ai.agent.name",
        "invoke_workflow" => "gen_ai.workflow.name",
        "retrieval" => "gen_ai.data_source.id",
        _ => "",
    });
    let name = match subject.as_str() {
        Some(subject) => format!("{operation} {subject}"),
        None => operation.to_owned(),
    };
    if span.name != name {
        wrong.push(format!("the name is `{}`, not `{name}`", span.name));
    }
    wrong
}

/// How it ended.
fn check_end(span: &Span) -> Vec<String> {
    let mut wrong = Vec::new();
    let failed = matches!(span.status, Status::Error { .. });
    if failed == span.get("error.type").is_null() {
        wrong.push(format!("status {:?} with error.type {}", span.status, span.get("error.type")));
    }
    for (name, attributes) in span.events.iter().filter(|(name, _)| name == "exception") {
        let has = |key: &str| attributes.iter().any(|(known, _)| known == key);
        if !has("exception.type") && !has("exception.message") {
            wrong.push(format!("the event {name} says nothing"));
        }
    }
    let reasons = span.get("gen_ai.response.finish_reasons").as_array().map(Vec::len);
    let messages = span.get("gen_ai.output.messages").as_str();
    let messages = messages.and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    if let (Some(reasons), Some(messages)) = (reasons, messages)
        && reasons != messages.len()
    {
        wrong.push(format!("{reasons} finish reasons for {} messages", messages.len()));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry::{Array, StringValue};

    use super::super::check_span;
    use super::*;
    use crate::telemetry::typed;

    fn span() -> Span {
        let reasons = Array::String(vec![StringValue::from("stop")]);
        Span {
            name: "chat gpt-4o".to_owned(),
            kind: SpanKind::Client,
            status: Status::Unset,
            attributes: typed(&[
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", "openai"),
                KeyValue::new("gen_ai.request.model", "gpt-4o"),
                KeyValue::new("gen_ai.request.temperature", 0.5),
                KeyValue::new("gen_ai.response.finish_reasons", opentelemetry::Value::Array(reasons)),
                KeyValue::new("gen_ai.usage.input_tokens", 5),
                KeyValue::new("gen_ai.usage.output_tokens", 0),
                KeyValue::new("gen_ai.prompt.name", "greeting"),
                KeyValue::new("gen_ai.prompt.variable.city", "Paris"),
                KeyValue::new(
                    "gen_ai.output.messages",
                    r#"[{"role":"assistant","parts":[],"finish_reason":"stop"}]"#,
                ),
                KeyValue::new("openai.api.type", "chat_completions"),
                KeyValue::new("server.address", "api.openai.com"),
                KeyValue::new("server.port", 443),
                KeyValue::new("session.id", "s"),
            ]),
            events: Vec::new(),
            id: opentelemetry::SpanId::INVALID,
            parent: opentelemetry::SpanId::INVALID,
            trace: opentelemetry::TraceId::INVALID,
        }
    }

    fn set(mut span: Span, attribute: KeyValue) -> Span {
        span.attributes.retain(|(name, _)| name != attribute.key.as_str());
        span.attributes.extend(typed(&[attribute]));
        span
    }

    fn without(mut span: Span, name: &str) -> Span {
        span.attributes.retain(|(known, _)| known != name);
        span
    }

    #[test]
    fn a_complete_span_passes() {
        assert_eq!(check_span(&span()), Vec::<String>::new());
        let local = set(without(span(), "openai.api.type"), KeyValue::new("gen_ai.provider.name", "groq"));
        assert_eq!(check_span(&local), Vec::<String>::new());
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let base = span();
        let with = |key: &'static str, value: opentelemetry::Value| set(span(), KeyValue::new(key, value));
        let failed = Span { status: Status::error("no"), ..base.clone() };
        let twice = {
            let mut span = base.clone();
            span.attributes.extend(typed(&[KeyValue::new("server.port", 443)]));
            span
        };
        for (broken, expected) in [
            (with("gen_ai.request.modle", "x".into()), "gen_ai.request.modle is not in the registry"),
            (with("team", "x".into()), "team is not in the registry"),
            (with("gen_ai.request.temperature", 1.into()), "of type int, not double"),
            (with("gen_ai.usage.input_tokens", 5.0.into()), "of type double, not int"),
            (with("gen_ai.response.finish_reasons", "stop".into()), "of type string, not string[]"),
            (with("gen_ai.operation.name", "talk".into()), "no span type has the operation `talk`"),
            (with("gen_ai.tool.name", "weather".into()), "gen_ai.tool.name does not belong here"),
            (with("gen_ai.provider.name", "groq".into()), "openai.api.type does not belong here"),
            (with("gen_ai.output.messages", "[".into()), "is no JSON"),
            (with("gen_ai.output.messages", "[{}]".into()), "required property"),
            (with("gen_ai.output.messages", "[]".into()), "1 finish reasons for 0 messages"),
            (with("gen_ai.request.stream", false.into()), "for streams only"),
            (with("gen_ai.response.time_to_first_chunk", 0.5.into()), "for streams only"),
            (with("gen_ai.request.choice.count", 1.into()), "for more than one"),
            (with("openai.request.service_tier", "auto".into()), "not for auto"),
            (with("gen_ai.usage.cache_read.input_tokens", 6.into()), "more tokens were cached"),
            (with("gen_ai.usage.reasoning.output_tokens", 1.into()), "more tokens were reasoning"),
            (with("gen_ai.conversation.compacted", false.into()), "never false"),
            (with("error.type", "timeout".into()), "with error.type"),
            (
                set(without(base.clone(), "gen_ai.prompt.name"), KeyValue::new("gen_ai.prompt.version", "3")),
                "a version but no name",
            ),
            (without(base.clone(), "gen_ai.provider.name"), "gen_ai.provider.name is required"),
            (without(base.clone(), "gen_ai.request.model"), "gen_ai.request.model is required"),
            (without(base.clone(), "server.port"), "go together"),
            (failed, "with error.type null"),
            (twice, "server.port is there twice"),
            (Span { name: "chat".to_owned(), ..base.clone() }, "the name is `chat`"),
            (Span { kind: SpanKind::Internal, ..base.clone() }, "the kind is Internal"),
            (
                Span { events: vec![("exception".to_owned(), Vec::new())], ..base.clone() },
                "the event exception says nothing",
            ),
        ] {
            let wrong = check_span(&broken);
            assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected}: {wrong:?}");
        }
    }
}
