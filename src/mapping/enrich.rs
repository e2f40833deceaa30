//! What MLflow adds to the attributes of a span, from whichever dialect they come in.
//!
//! Steps and their order are those of MLflow 3.17.2: a step never changes what is there, and new
//! attributes come after the others in the order of the steps.

use super::attributes::{Attributes, Content};
use super::chat_view;
use super::dialects::{
    ContentRule, DIALECTS, Dialect, EventRule, Events, INPUT_EVENTS, OUTPUT_EVENTS, Tokens,
};
use super::options::MapOptions;
use super::prices::{PriceCatalogue, Usage};
use super::python::{Dict, Int, LoneSurrogate, Value, dumps, loads};
use super::repairs::Repairs;
use super::text::Text;
use super::tokens::{self, add_stated_cost};
use super::tools;
use super::unusable::Unusable;
use super::usage::{COST_KEYS, TOKEN_KEYS};
use crate::semconv::mlflow::{
    CHAT_MESSAGES, CHAT_TOKEN_USAGE, CHAT_TOOLS, LLM_COST, LLM_MODEL, LLM_PROVIDER, MESSAGE_FORMAT, PREFIX,
    SPAN_INPUTS, SPAN_OUTPUTS, SPAN_TYPE,
};

/// Type that MLflow takes as "not known".
const UNKNOWN: &str = "UNKNOWN";

/// Adds what the dialects know to the attributes of a span.
///
/// # Errors
/// A value that MLflow fails on.
pub(super) fn enrich<'a>(
    attributes: &mut Attributes<'a>,
    events: Events<'a>,
    options: &MapOptions,
) -> Result<(), Unusable> {
    let repairs = &options.repairs;
    add_span_type(attributes)?;
    add_content(attributes, SPAN_INPUTS, |dialect| &dialect.inputs, events, INPUT_EVENTS)?;
    add_content(attributes, SPAN_OUTPUTS, |dialect| &dialect.outputs, events, OUTPUT_EVENTS)?;
    add_usage(attributes, repairs)?;
    add_message_format(attributes);
    if repairs.chat_messages {
        add_conversation(attributes);
    }
    add_tools(attributes, repairs);
    add_model(attributes).map_err(|error| Unusable::surrogate(LLM_MODEL, error))?;
    add_provider(attributes).map_err(|error| Unusable::surrogate(LLM_PROVIDER, error))?;
    if repairs.explicit_costs {
        add_stated_cost(attributes);
    }
    add_cost(attributes, &options.prices, repairs.usage_totals);
    if repairs.messages_once {
        keep_messages_once(attributes);
    }
    Ok(())
}

fn add_span_type(attributes: &mut Attributes<'_>) -> Result<(), Unusable> {
    for dialect in DIALECTS {
        let Some(span_type) = dialect.span_type.read(attributes)? else { continue };
        let is_open = match attributes.get(SPAN_TYPE).map(Text::decode) {
            None | Some(Value::None) => true,
            Some(current) => current.as_str() == Some(UNKNOWN),
        };
        if is_open {
            attributes.set_quoted(SPAN_TYPE, span_type);
        }
        break;
    }
    Ok(())
}

fn add_content<'a>(
    attributes: &mut Attributes<'a>,
    key: &'static str,
    rule: impl Fn(&'static Dialect) -> &'static ContentRule,
    events: Events<'a>,
    event_rules: &[EventRule],
) -> Result<(), Unusable> {
    if attributes.contains(key) {
        return Ok(());
    }
    for dialect in DIALECTS {
        if let Some(content) = rule(dialect).read(attributes)? {
            attributes.set(key, content);
            return Ok(());
        }
    }
    if events.0.is_empty() {
        return Ok(());
    }
    for rule in event_rules {
        if let Some(content) = rule(&events, attributes)? {
            attributes.set(key, content);
            return Ok(());
        }
    }
    Ok(())
}

fn add_usage(attributes: &mut Attributes<'_>, repairs: &Repairs) -> Result<(), Unusable> {
    if attributes.contains(CHAT_TOKEN_USAGE) {
        return Ok(());
    }
    for dialect in DIALECTS {
        let mut tokens = dialect.usage.read(attributes)?;
        tokens::repair(&mut tokens, attributes, repairs);
        if let Some(usage) = usage_object(tokens) {
            attributes.set_object(CHAT_TOKEN_USAGE, usage);
            break;
        }
    }
    Ok(())
}

/// The usage as MLflow stores it; none if only cached tokens are known.
fn usage_object(tokens: Tokens) -> Option<Dict> {
    let Tokens { input, output, total, cache_read, cache_creation } = tokens;
    let sum = || Some(Value::Int(integer(input.as_ref()?)?.plus(&integer(output.as_ref()?)?)));
    let total = total.or_else(sum);
    if input.is_none() && output.is_none() && total.is_none() {
        return None;
    }
    let members = TOKEN_KEYS.into_iter().zip([input, output, total, cache_read, cache_creation]);
    Some(members.filter_map(|(key, count)| Some((key, count?))).collect())
}

fn integer(count: &Value) -> Option<Int> {
    match count {
        Value::Int(count) => Some(count.clone()),
        Value::Bool(count) => Some(Int::from(i64::from(*count))),
        _ => None,
    }
}

fn add_message_format(attributes: &mut Attributes<'_>) {
    if attributes.contains(MESSAGE_FORMAT) {
        return;
    }
    if let Some(format) = DIALECTS.iter().find_map(|dialect| dialect.message_format.read(attributes)) {
        attributes.set_quoted(MESSAGE_FORMAT, format);
    }
}

fn add_conversation(attributes: &mut Attributes<'_>) {
    if attributes.contains(CHAT_MESSAGES) || attributes.contains(MESSAGE_FORMAT) {
        return;
    }
    let (Some(inputs), Some(outputs)) = (attributes.get(SPAN_INPUTS), attributes.get(SPAN_OUTPUTS)) else {
        return;
    };
    if let Some(conversation) = chat_view::conversation(inputs, outputs) {
        attributes.set(CHAT_MESSAGES, Content::Text(conversation));
    }
}

fn add_tools(attributes: &mut Attributes<'_>, repairs: &Repairs) {
    if attributes.contains(CHAT_TOOLS) {
        return;
    }
    let tools = DIALECTS.iter().filter_map(|dialect| dialect.tools).find_map(|key| attributes.usable(key));
    if let Some(tools) = tools.cloned() {
        let shown = if repairs.chat_tools { tools::shown(&tools) } else { None };
        attributes.set(CHAT_TOOLS, Content::Text(shown.unwrap_or(tools)));
    }
}

fn add_model(attributes: &mut Attributes<'_>) -> Result<(), LoneSurrogate> {
    if attributes.contains(LLM_MODEL) {
        return Ok(());
    }
    let named = DIALECTS.iter().find_map(|dialect| attributes.first_usable(dialect.models));
    let model = match named {
        Some(text) => Some(text.canonical()?),
        None => model_in_messages(attributes)?,
    };
    if let Some(model) = model {
        attributes.set(LLM_MODEL, Content::Text(model));
    }
    Ok(())
}

/// The member `model` of the inputs, or else of the outputs.
fn model_in_messages<'a>(attributes: &Attributes<'a>) -> Result<Option<Text<'a>>, LoneSurrogate> {
    for key in [SPAN_INPUTS, SPAN_OUTPUTS] {
        let model = match attributes.content(key) {
            Some(Content::Text(Text::Verbatim(json))) if may_have_member(json, "model") => {
                let value = loads(json).unwrap_or(Value::None);
                value.as_dict().and_then(|members| members.get("model").cloned())
            }
            Some(Content::Native(Value::Dict(members))) => members.get("model").cloned(),
            _ => None,
        };
        match model.filter(Value::is_truthy) {
            None => {}
            Some(model @ Value::Str(_)) => return Ok(Some(Text::Verbatim(dumps(&model)?.into()))),
            // MLflow stops at what is no name.
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether it is worth reading a text for a member of an object; reading is slow.
fn may_have_member(json: &str, name: &str) -> bool {
    json.trim_start().starts_with('{') && (json.contains(name) || json.contains("\\u"))
}

fn add_provider(attributes: &mut Attributes<'_>) -> Result<(), LoneSurrogate> {
    if attributes.contains(LLM_PROVIDER) {
        return Ok(());
    }
    let named = DIALECTS.iter().filter_map(|dialect| dialect.provider).find_map(|key| attributes.usable(key));
    if let Some(provider) = named.map(Text::canonical).transpose()? {
        attributes.set(LLM_PROVIDER, Content::Text(provider));
    }
    Ok(())
}

fn add_cost(attributes: &mut Attributes<'_>, prices: &PriceCatalogue, none_negative: bool) {
    if attributes.contains(LLM_COST) {
        return;
    }
    let Some(cost) = cost(attributes, prices) else { return };
    let costs = [cost.input, cost.output, cost.total];
    if none_negative && costs.iter().any(|cost| *cost < 0.0) {
        return;
    }
    attributes.set_object(LLM_COST, COST_KEYS.into_iter().zip(costs.map(Value::Float)).collect());
}

fn cost(attributes: &Attributes<'_>, prices: &PriceCatalogue) -> Option<super::prices::Cost> {
    attributes.get(CHAT_TOKEN_USAGE)?;
    let model = attributes.get(LLM_MODEL)?.as_string()?;
    let usage = Usage::from_dict(&*attributes.object(CHAT_TOKEN_USAGE)?)?;
    let provider = match attributes.content(LLM_PROVIDER) {
        None => None,
        Some(Content::Native(_)) => return None,
        Some(Content::Text(text)) => match text.as_string() {
            Some(name) => Some(name),
            None => text.is_truthy().then(|| text.json()),
        },
    };
    prices.cost(&model, provider.as_deref(), &usage)
}

/// Drops the attributes that inputs and outputs were taken from, where they are the same text.
fn keep_messages_once(attributes: &mut Attributes<'_>) {
    let kept = [SPAN_INPUTS, SPAN_OUTPUTS];
    let messages: Vec<Content<'_>> = kept.iter().filter_map(|key| attributes.content(key).cloned()).collect();
    attributes.remove(|key, content| {
        let is_long =
            matches!(content, Content::Text(Text::Quoted(text) | Text::Verbatim(text)) if text.len() > 32);
        !key.starts_with(PREFIX) && is_long && messages.contains(content)
    });
}
