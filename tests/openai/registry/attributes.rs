//! What holds for attributes on every signal.

use serde_json::Value;

use super::Rules;
use super::model::{Level, Signal};
use crate::telemetry::{Attributes, Typed, get};

/// What may be on everything but metrics: what an application says about its calls, and what HTTP
/// says about them.
const ANYWHERE: &[&str] = &["session.id", "user.id", "gen_ai.conversation.id", "http.request.resend_count"];

/// Names that are no convention's: MLflow's and our own.
const EXTENSIONS: &[&str] = &["mlflow.", "otel_mlflow."];

/// Where the attributes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Structures are JSON text.
    Span,
    /// Nothing but dimensions.
    Metric,
    /// Structures are structures.
    Event,
}

/// The signal's name for providers that speak OpenAI's dialect.
pub(super) fn refined<'a>(name: &'a str, attributes: &Attributes) -> std::borrow::Cow<'a, str> {
    match get(attributes, "gen_ai.provider.name").as_str() {
        Some("openai" | "azure.ai.openai") => name.replacen("gen_ai.", "openai.", 1).into(),
        _ => name.into(),
    }
}

/// What is wrong with the attributes of a signal.
pub(super) fn check(
    rules: &Rules,
    signal: &Signal,
    carrier: Carrier,
    attributes: &Attributes,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, (name, typed)) in attributes.iter().enumerate() {
        if attributes[..index].iter().any(|(earlier, _)| earlier == name) {
            wrong.push(format!("{name} is there twice"));
        }
        if carrier != Carrier::Metric && EXTENSIONS.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        wrong.extend(check_one(rules, carrier, name, typed));
        let welcome = ANYWHERE.contains(&name.as_str()) && carrier != Carrier::Metric;
        if rules.registry.definition(name).is_some() && signal.level(name).is_none() && !welcome {
            wrong.push(format!("{name} does not belong here"));
        }
    }
    for (name, level) in &signal.levels {
        if *level == Level::Required && get(attributes, name).is_null() {
            wrong.push(format!("{name} is required"));
        }
    }
    wrong.extend(check_pairs(attributes));
    wrong
}

/// What is wrong with one attribute, wherever it is.
fn check_one(rules: &Rules, carrier: Carrier, name: &str, typed: &Typed) -> Vec<String> {
    let Some(definition) = rules.registry.definition(name) else {
        return vec![format!("{name} is not in the registry")];
    };
    if rules.schemas.knows(name) {
        return check_structure(rules, carrier, name, typed);
    }
    let kind = match definition.kind.as_str() {
        "template[string]" => "string",
        kind => kind,
    };
    // An empty list has no type of its own.
    let empty_list = kind.ends_with("[]") && typed.value == Value::Array(Vec::new());
    if typed.kind != kind && !empty_list {
        return vec![format!("{name} is of type {}, not {kind}", typed.kind)];
    }
    // The other enums are open.
    let members = &definition.members;
    if name == "gen_ai.operation.name" && !members.iter().any(|member| typed.value == member.as_str()) {
        return vec![format!("{name} has no value {}", typed.value)];
    }
    Vec::new()
}

fn check_structure(rules: &Rules, carrier: Carrier, name: &str, typed: &Typed) -> Vec<String> {
    match carrier {
        Carrier::Metric => vec![format!("{name} is no dimension")],
        Carrier::Event if typed.kind == "string" => vec![format!("{name} is text on an event")],
        Carrier::Event => rules.schemas.check(name, &typed.value),
        Carrier::Span if typed.kind != "string" => vec![format!("{name} is no JSON text on a span")],
        Carrier::Span => match serde_json::from_str(typed.value.as_str().unwrap_or_default()) {
            Ok(value) => rules.schemas.check(name, &value),
            Err(error) => vec![format!("{name} is no JSON: {error}")],
        },
    }
}

/// Attributes that say something only together, or only with some values.
fn check_pairs(attributes: &Attributes) -> Vec<String> {
    let value = |name: &str| get(attributes, name);
    let has = |name: &str| !value(name).is_null();
    let more = |part: &str, whole: &str| value(part).as_i64() > value(whole).as_i64();
    let rules = [
        (has("server.address") != has("server.port"), "server.address and server.port go together"),
        (has("gen_ai.prompt.version") && !has("gen_ai.prompt.name"), "a prompt has a version but no name"),
        (value("gen_ai.request.stream") == false, "gen_ai.request.stream is for streams only"),
        (value("gen_ai.request.choice.count") == 1, "gen_ai.request.choice.count is for more than one"),
        (value("gen_ai.conversation.compacted") == false, "gen_ai.conversation.compacted is never false"),
        (value("openai.request.service_tier") == "auto", "openai.request.service_tier is not for auto"),
        (
            has("gen_ai.response.time_to_first_chunk") && value("gen_ai.request.stream") != true,
            "gen_ai.response.time_to_first_chunk is for streams only",
        ),
        (
            more("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.input_tokens"),
            "more tokens were cached than there were",
        ),
        (
            more("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.output_tokens"),
            "more tokens were reasoning than there were",
        ),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, words)| words.to_owned()).collect()
}
