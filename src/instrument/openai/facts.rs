//! What is learned about a call, in the attributes of the conventions.

use std::borrow::Cow;

use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};

use super::shared::shared;
use super::usage::Usage;
use crate::genai::{CapturePolicy, ContentKind, Json, Message, Part, Recorder};
use crate::instrument::event::structured;
use crate::instrument::instrumentation::Instrumentation;
use crate::semconv::gen_ai;

/// Longer messages of errors are pages of proxies.
const MAX_ERROR_BYTES: usize = 2000;

/// Room for all attributes of a usual call, so that the span's list need not grow at its end; and not so
/// much that its block is a kilobyte: glibc clears its bins up for each of those.
const USUAL_ATTRIBUTES: usize = 17;

/// Which signals content goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) spans: bool,
    pub(crate) events: bool,
}

/// What is known of a call so far. Readers of requests and responses fill it; it is emptied onto
/// the span when it starts and when it ends.
pub(crate) struct Facts {
    instrumentation: Instrumentation,
    wants: Wants,
    /// Never recorded, whatever carries them.
    secrets: Vec<String>,
    /// Everything but content, for spans and events.
    pub(crate) attributes: Vec<KeyValue>,
    /// How many of the attributes the span has already.
    on_span: usize,
    /// The conversation is known from the scope or the request.
    has_conversation: bool,
    pub(crate) asked_for_stream: bool,
    is_compacted: bool,
    /// How many dimensions the request asked for, if it did.
    pub(crate) dimensions: Option<i64>,
    /// Content, as JSON text.
    pub(crate) span_content: Vec<KeyValue>,
    /// Content, structured.
    pub(crate) event_content: Vec<(Key, AnyValue)>,
    pub(crate) request_model: Option<StringValue>,
    pub(crate) response_model: Option<StringValue>,
    pub(crate) service_tier: Option<StringValue>,
    pub(crate) system_fingerprint: Option<StringValue>,
    pub(crate) usage: Usage,
    /// Tools that the model asked for: id, name, arguments.
    pub(crate) tool_calls: Vec<(String, String, String)>,
    /// The form in which sound was asked for, such as `wav`.
    pub(crate) audio_format: Option<String>,
    /// The form in which pictures were asked for, such as `png`.
    pub(crate) image_format: Option<String>,
}

impl Facts {
    pub(crate) fn new(instrumentation: Instrumentation, wants: Wants, secrets: Vec<String>) -> Self {
        Self {
            instrumentation,
            wants,
            secrets,
            attributes: Vec::with_capacity(USUAL_ATTRIBUTES),
            on_span: 0,
            has_conversation: false,
            asked_for_stream: false,
            is_compacted: false,
            dimensions: None,
            span_content: Vec::new(),
            event_content: Vec::new(),
            request_model: None,
            response_model: None,
            service_tier: None,
            system_fingerprint: None,
            usage: Usage::default(),
            tool_calls: Vec::new(),
            audio_format: None,
            image_format: None,
        }
    }

    /// Whether content is recorded anywhere; where not, it need not be read.
    pub(crate) fn wants_content(&self) -> bool {
        self.wants.spans || self.wants.events
    }

    /// Whether content is recorded on the span.
    pub(crate) fn wants_span_content(&self) -> bool {
        self.wants.spans
    }

    /// The attributes that the span does not have yet. They stay where events need them as well.
    pub(crate) fn for_span(&mut self) -> Vec<KeyValue> {
        if !self.wants.events {
            return std::mem::replace(&mut self.attributes, Vec::with_capacity(10));
        }
        let new = self.attributes.get(self.on_span..).unwrap_or_default().to_vec();
        self.on_span = self.attributes.len();
        new
    }

    /// A text that the scope around the call may have said already.
    pub(crate) fn unless_scoped(&mut self, key: &'static str, value: Option<Cow<'_, str>>) {
        if !self.attributes.iter().any(|known| known.key.as_str() == key) {
            self.string(key, value);
        }
    }

    /// Nothing will be seen of the span: what only it would hold need not be made.
    pub(crate) fn forget_span_content(&mut self) {
        self.wants.spans = false;
        self.span_content = Vec::new();
    }

    /// An attribute of the scope around the call.
    pub(crate) fn scoped(&mut self, attribute: KeyValue) {
        self.has_conversation |= attribute.key.as_str() == gen_ai::CONVERSATION_ID;
        self.attributes.push(attribute);
    }

    /// The conversation that the call itself names; the scope's comes first.
    pub(crate) fn conversation(&mut self, id: Option<Cow<'_, str>>) {
        if !self.has_conversation {
            self.has_conversation = id.is_some();
            self.string(gen_ai::CONVERSATION_ID, id);
        }
    }

    /// What may be kept of content.
    pub(crate) fn policy(&self) -> &CapturePolicy {
        &self.instrumentation.settings().capture
    }

    /// The caller asked for a stream.
    pub(crate) fn streams(&mut self) {
        self.asked_for_stream = true;
        self.attributes.push(KeyValue::new(gen_ai::REQUEST_STREAM, true));
    }

    pub(crate) fn string(&mut self, key: &'static str, value: Option<Cow<'_, str>>) {
        if let Some(value) = value {
            self.attributes.push(KeyValue::new(key, value.into_owned()));
        }
    }

    /// A text that is the same for every call, and not copied.
    pub(crate) fn constant(&mut self, key: &'static str, value: Option<&'static str>) {
        self.attributes.extend(value.map(|value| KeyValue::new(key, value)));
    }

    pub(crate) fn int(&mut self, key: &'static str, value: Option<i64>) {
        self.attributes.extend(value.map(|value| KeyValue::new(key, value)));
    }

    pub(crate) fn double(&mut self, key: &'static str, value: Option<f64>) {
        self.attributes.extend(value.map(|value| KeyValue::new(key, value)));
    }

    pub(crate) fn strings(&mut self, key: &'static str, values: Vec<StringValue>) {
        if !values.is_empty() {
            self.attributes.push(KeyValue::new(key, Value::Array(Array::String(values))));
        }
    }

    /// The model that was asked for; the name of the deployment does not replace it.
    pub(crate) fn requested_model(&mut self, model: Option<Cow<'_, str>>) {
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            self.request_model = Some(shared(&model));
        }
    }

    /// The model that was asked for, as an attribute.
    pub(crate) fn name_model(&mut self) {
        let model = self.request_model.clone();
        self.attributes.extend(model.map(|model| KeyValue::new(gen_ai::REQUEST_MODEL, model)));
    }

    pub(crate) fn responding_model(&mut self, model: Option<Cow<'_, str>>) {
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            self.response_model = Some(shared(&model));
        }
    }

    pub(crate) fn served(&mut self, tier: Option<Cow<'_, str>>) {
        if let Some(tier) = tier
            && self.service_tier.as_ref().is_none_or(|known| known.as_str() != tier)
        {
            self.service_tier = Some(shared(&tier));
        }
    }

    pub(crate) fn fingerprint(&mut self, fingerprint: Option<Cow<'_, str>>) {
        if let Some(fingerprint) = fingerprint.filter(|_| self.system_fingerprint.is_none()) {
            self.system_fingerprint = Some(shared(&fingerprint));
        }
    }

    pub(crate) fn used(&mut self, usage: Option<&Json<'_>>) {
        if let Some(usage) = usage.and_then(Usage::read) {
            self.usage = usage;
        }
    }

    /// The conversation is a shorter view of a longer one, if it is known to be.
    pub(crate) fn compacted(&mut self, known: bool) {
        if known && !std::mem::replace(&mut self.is_compacted, known) {
            self.attributes.push(KeyValue::new(gen_ai::CONVERSATION_COMPACTED, true));
        }
    }

    /// Messages given to the model.
    pub(crate) fn input_messages(&mut self, messages: Vec<Message<'_>>) {
        self.messages(gen_ai::INPUT_MESSAGES, ContentKind::InputMessage, messages);
    }

    /// Messages of the model.
    pub(crate) fn output_messages(&mut self, messages: Vec<Message<'_>>) {
        self.messages(gen_ai::OUTPUT_MESSAGES, ContentKind::OutputMessage, messages);
    }

    /// A message of the model as it is recorded, for those that do not come at once.
    pub(crate) fn recorded_output(&self, message: Message<'_>) -> Option<Json<'static>> {
        self.wants_content().then(|| {
            self.recorder()
                .messages(ContentKind::OutputMessage, vec![message])
                .into_array()
                .pop()
                .map(Json::into_owned)
        })?
    }

    /// Messages that were recorded one by one.
    pub(crate) fn recorded_messages(&mut self, key: &'static str, messages: Vec<Json<'_>>) {
        if !messages.is_empty() {
            self.content(key, &Json::Array(messages));
        }
    }

    fn messages(&mut self, key: &'static str, kind: ContentKind, messages: Vec<Message<'_>>) {
        if self.wants_content() && !messages.is_empty() {
            let recorded = self.recorder().messages(kind, messages);
            self.content(key, &recorded);
        }
    }

    /// Instructions given apart from the messages.
    pub(crate) fn system_instructions(&mut self, parts: Vec<Part<'_>>) {
        if self.wants_content() && !parts.is_empty() {
            let recorded = self.recorder().parts(ContentKind::SystemInstructions, parts);
            self.content(gen_ai::SYSTEM_INSTRUCTIONS, &recorded);
        }
    }

    /// Tools that were offered.
    pub(crate) fn tool_definitions(&mut self, tools: Vec<Json<'_>>) {
        if self.wants_content() && !tools.is_empty() {
            let recorded = self.recorder().value(ContentKind::ToolDefinition, tools.into());
            self.content(gen_ai::TOOL_DEFINITIONS, &recorded);
        }
    }

    /// Content that only MLflow has a place for, on spans.
    pub(crate) fn span_value(&mut self, key: &'static str, kind: ContentKind, value: Json<'_>) {
        if self.wants.spans {
            let recorded = self.recorded(kind, value);
            self.span_content.push(KeyValue::new(key, recorded.to_string()));
        }
    }

    /// What may be recorded of a value.
    pub(crate) fn recorded<'v>(&self, kind: ContentKind, value: Json<'v>) -> Json<'v> {
        self.recorder().value(kind, value)
    }

    /// Variables of a prompt template.
    pub(crate) fn prompt_variable(&mut self, key: String, value: &str) {
        if self.wants_content() {
            let value = self.recorder().text(ContentKind::PromptVariable, value.into()).into_owned();
            if self.wants.events {
                self.event_content.push((key.clone().into(), AnyValue::from(value.clone())));
            }
            if self.wants.spans {
                self.span_content.push(KeyValue::new(key, value));
            }
        }
    }

    /// The text of an error, without secrets; of pages and the like, the beginning.
    pub(crate) fn error_text(&self, text: &str) -> String {
        let mut text = self.recorder().text(ContentKind::Error, text.into()).into_owned();
        // Cut last: half a secret would not be recognised.
        text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
        text
    }

    /// The kind of an error, unless it is a secret that the server gave back.
    pub(crate) fn error_kind(&self, kind: &str) -> StringValue {
        match self.secrets.iter().any(|secret| kind.contains(secret.as_str()) && !secret.is_empty()) {
            true => "_OTHER".into(),
            false => shared(kind),
        }
    }

    fn recorder(&self) -> Recorder<'_> {
        self.policy().recorder(&self.secrets)
    }

    fn content(&mut self, key: &'static str, recorded: &Json<'_>) {
        let span = self.wants.spans.then(|| KeyValue::new(key, recorded.to_string()));
        let event = self.wants.events.then(|| (Key::from_static_str(key), structured(recorded)));
        self.span_content.extend(span);
        self.event_content.extend(event);
    }
}
