//! Events, which are log records with a name.

use super::Rules;
use super::attributes::{self, Carrier};
use crate::telemetry::Event;

const DETAILS: &str = "gen_ai.client.inference.operation.details";
const EXCEPTION: &str = "gen_ai.client.operation.exception";
/// The numbers of OpenTelemetry's data model.
const INFO: i32 = 9;
const WARN: i32 = 13;

pub(super) fn check(rules: &Rules, event: &Event) -> Vec<String> {
    let Some(base) = rules.registry.events.get(&event.name) else {
        return vec!["it is not in the registry".to_owned()];
    };
    let mut signal = base.clone();
    // Both may carry what the span of the call does, which for OpenAI has attributes of its own.
    if event.name == DETAILS || event.name == EXCEPTION {
        let span = attributes::refined("gen_ai.inference.client", &event.attributes);
        for (name, level) in &rules.registry.spans[span.as_ref()].levels {
            let here = if event.name == DETAILS { *level } else { super::model::Level::OptIn };
            signal.levels.entry(name.clone()).or_insert(here);
        }
    }
    let mut wrong = attributes::check(rules, &signal, Carrier::Event, &event.attributes);
    let expected = if event.name == EXCEPTION { WARN } else { INFO };
    if event.severity != expected {
        wrong.push(format!("the severity is {}, not {expected}", event.severity));
    }
    let says = |name: &str| !event.get(name).is_null();
    if event.name == EXCEPTION && !says("exception.type") && !says("exception.message") {
        wrong.push("exception.type or exception.message is required".to_owned());
    }
    if event.span.is_none() {
        wrong.push("it belongs to no span".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use opentelemetry::{KeyValue, SpanId};
    use serde_json::{Value, json};

    use super::super::check_event;
    use super::*;
    use crate::telemetry::{Typed, typed};

    fn details() -> Event {
        let mut attributes = typed(&[
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", "openai"),
            KeyValue::new("gen_ai.request.model", "gpt-4o"),
        ]);
        attributes.push(structure(json!([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}])));
        Event { name: DETAILS.to_owned(), severity: INFO, attributes, span: Some(SpanId::from_bytes([1; 8])) }
    }

    fn structure(value: Value) -> (String, Typed) {
        ("gen_ai.input.messages".to_owned(), Typed { kind: "any", value })
    }

    fn exception(attributes: &[KeyValue]) -> Event {
        Event {
            name: EXCEPTION.to_owned(),
            severity: WARN,
            attributes: typed(attributes),
            span: Some(SpanId::from_bytes([1; 8])),
        }
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let failed = exception(&[KeyValue::new("exception.type", "rate_limit_exceeded")]);
        assert_eq!(check_event(&details()), Vec::<String>::new());
        assert_eq!(check_event(&failed), Vec::<String>::new());
        let with = |attribute: (String, Typed)| {
            let mut event = details();
            event.attributes.retain(|(name, _)| *name != attribute.0);
            event.attributes.push(attribute);
            event
        };
        let text = typed(&[KeyValue::new("gen_ai.input.messages", "[]")]).remove(0);
        for (broken, expected) in [
            (Event { name: "gen_ai.choice".to_owned(), ..details() }, "not in the registry"),
            (Event { severity: WARN, ..details() }, "the severity is 13"),
            (Event { severity: INFO, ..failed.clone() }, "the severity is 9"),
            (Event { span: None, ..details() }, "no span"),
            (exception(&[]), "exception.type or exception.message is required"),
            (Event { attributes: Vec::new(), ..details() }, "gen_ai.provider.name is required"),
            (with(text), "is text on an event"),
            (with(structure(json!([{"role": "user", "parts": [{"type": "text"}]}]))), "required property"),
            (with(typed(&[KeyValue::new("gen_ai.tool.name", "x")]).remove(0)), "does not belong here"),
            (with(typed(&[KeyValue::new("event.name", "x")]).remove(0)), "not in the registry"),
        ] {
            let wrong = check_event(&broken);
            assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected}: {wrong:?}");
        }
    }
}
