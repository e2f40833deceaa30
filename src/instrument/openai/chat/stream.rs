//! Streamed chat and legacy completions, put together again.

use std::borrow::Cow;

use super::super::bounded::Bounded;
use super::super::facts::Facts;
use super::message::{media_type, tool_call, tool_calls};
use super::usual::{Piece, Repeated, Usual};
use super::{reason_value, schema_reason, unsaid_reason};
use crate::genai::{Blob, Json, Message, Modality, Part, cow};
use crate::semconv::gen_ai;

/// What the chunks have said so far.
#[derive(Default)]
pub(in crate::instrument::openai) struct ChatStream {
    seen_id: bool,
    choices: Vec<Choice>,
    text: Bounded,
    repeated: Repeated,
}

#[derive(Default)]
struct Choice {
    index: i64,
    role: Option<String>,
    reasoning: String,
    content: String,
    refusal: String,
    audio: String,
    transcript: String,
    tools: Vec<Tool>,
    finish_reason: Option<String>,
}

/// A tool call in pieces: id and name come first, the arguments bit by bit.
#[derive(Default)]
struct Tool {
    index: i64,
    id: Option<String>,
    name: String,
    arguments: String,
}

impl ChatStream {
    pub(in crate::instrument::openai) fn new(facts: &Facts) -> Self {
        Self { text: Bounded::new(facts), ..Self::default() }
    }

    /// Takes one chunk in, if it is of the usual form: a piece of text for one choice.
    pub(in crate::instrument::openai) fn usual_chunk(&mut self, data: &[u8], facts: &mut Facts) -> bool {
        if let Some(piece) = self.repeated.piece(data) {
            self.piece(piece);
            return true;
        }
        let Some(chunk) = Usual::chunk(data) else { return false };
        self.envelope(cow(chunk.id), cow(chunk.model), facts);
        facts.served(cow(chunk.service_tier));
        facts.fingerprint(cow(chunk.system_fingerprint));
        self.repeated.remember(data);
        let (piece,) = chunk.choices;
        self.piece(piece);
        true
    }

    fn piece(&mut self, piece: Piece<'_>) {
        let Some(choice) = choice(&mut self.choices, piece.index) else { return };
        choice.finished(cow(piece.finish_reason));
        self.text.push(&mut choice.content, cow(piece.text));
        if let Some(delta) = piece.delta {
            choice.spoken(cow(delta.role));
            self.text.push(&mut choice.content, cow(delta.content));
            self.text.push(&mut choice.refusal, cow(delta.refusal));
        }
    }

    /// Takes one chunk in, whatever it holds. Says whether it carried output.
    pub(in crate::instrument::openai) fn chunk(&mut self, mut chunk: Json<'_>, facts: &mut Facts) -> bool {
        self.envelope(chunk.take_str("id"), chunk.take_str("model"), facts);
        facts.served(chunk.take_str("service_tier"));
        facts.fingerprint(chunk.take_str("system_fingerprint"));
        facts.used(chunk.get("usage"));
        let choices = chunk.take_array("choices");
        let has_output = !choices.is_empty();
        for choice in choices {
            self.choice(choice);
        }
        has_output
    }

    /// What every chunk repeats.
    fn envelope(&mut self, id: Option<Cow<'_, str>>, model: Option<Cow<'_, str>>, facts: &mut Facts) {
        if !self.seen_id
            && let Some(id) = id.filter(|id| !id.is_empty())
        {
            facts.string(gen_ai::RESPONSE_ID, Some(id));
            self.seen_id = true;
        }
        if facts.response_model.is_none() {
            facts.responding_model(model);
        }
    }

    fn choice(&mut self, mut delta: Json<'_>) {
        let index = delta.get("index").and_then(Json::as_i64).unwrap_or(0);
        let Some(choice) = choice(&mut self.choices, index) else { return };
        choice.finished(delta.take_str("finish_reason"));
        // Legacy completions have the text in the choice itself.
        self.text.push(&mut choice.content, delta.take_str("text"));
        let Some(mut delta) = delta.take("delta") else { return };
        choice.spoken(delta.take_str("role"));
        self.text.push(&mut choice.content, delta.take_str("content"));
        self.text.push(&mut choice.refusal, delta.take_str("refusal"));
        let reasoning = delta.take_str("reasoning_content").or_else(|| delta.take_str("reasoning"));
        self.text.push(&mut choice.reasoning, reasoning);
        if let Some(mut audio) = delta.take("audio") {
            self.text.push(&mut choice.audio, audio.take_str("data"));
            self.text.push(&mut choice.transcript, audio.take_str("transcript"));
        }
        for call in delta.take_array("tool_calls") {
            choice.tool(call, &mut self.text);
        }
    }

    /// Whether every choice has said why it ended.
    pub(in crate::instrument::openai) fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish_reason.is_some())
    }

    /// The whole answer, if the stream has `ended`; else what there is of it.
    pub(in crate::instrument::openai) fn finish(mut self, ended: bool, facts: &mut Facts) {
        self.choices.sort_by_key(|choice| choice.index);
        let reasons =
            self.choices.iter().filter_map(|choice| choice.finish_reason.as_deref().map(reason_value));
        let reasons = reasons.collect();
        facts.strings(gen_ai::RESPONSE_FINISH_REASONS, reasons);
        let format = facts.audio_format.clone();
        let messages: Vec<_> =
            self.choices.into_iter().map(|choice| choice.into_message(ended, format.as_deref())).collect();
        facts.tool_calls = messages.iter().flat_map(|message| tool_calls(&message.parts)).collect();
        facts.output_messages(messages);
    }
}

impl Choice {
    fn finished(&mut self, reason: Option<Cow<'_, str>>) {
        if let Some(reason) = reason {
            self.finish_reason = Some(reason.into_owned());
        }
    }

    fn spoken(&mut self, role: Option<Cow<'_, str>>) {
        if self.role.is_none() {
            self.role = role.map(Cow::into_owned);
        }
    }

    fn tool(&mut self, mut delta: Json<'_>, text: &mut Bounded) {
        let last = self.tools.last().map_or(0, |tool| tool.index);
        let index = delta.get("index").and_then(Json::as_i64).unwrap_or(last);
        let Some(tool) =
            at(&mut self.tools, index, |tool| tool.index, |index| Tool { index, ..Tool::default() })
        else {
            return;
        };
        if let Some(id) = delta.take_str("id").filter(|id| !id.is_empty()) {
            tool.id = Some(id.into_owned());
        }
        let mut function = delta.take("function").or_else(|| delta.take("custom")).unwrap_or_default();
        text.push(&mut tool.name, function.take_str("name"));
        text.push(&mut tool.arguments, function.take_str("arguments").or_else(|| function.take_str("input")));
    }

    fn into_message(self, ended: bool, audio_format: Option<&str>) -> Message<'static> {
        let mut parts = Vec::new();
        let text = |text: String| (!text.is_empty()).then_some(Cow::<str>::Owned(text));
        parts.extend(text(self.reasoning).map(Part::Reasoning));
        parts.extend(text(self.content).map(Part::Text));
        parts.extend(text(self.refusal).map(Part::Refusal));
        parts.extend(text(self.audio).map(|content| {
            let mime_type = media_type("audio", audio_format).map(Cow::Owned);
            Part::Blob(Blob { modality: Modality::Audio, mime_type, content })
        }));
        parts.extend(text(self.transcript).map(Part::Text));
        parts.extend(self.tools.into_iter().map(|tool| {
            tool_call(tool.id.map(Cow::Owned), Some(tool.name.into()), Some(tool.arguments.into()))
        }));
        let role = self.role.unwrap_or_else(|| "assistant".to_owned());
        let unsaid = if ended { unsaid_reason(&parts) } else { "error" };
        Message::new(role, parts).finished(schema_reason(self.finish_reason.map(Cow::Owned), unsaid))
    }
}

fn choice(choices: &mut Vec<Choice>, index: i64) -> Option<&mut Choice> {
    at(choices, index, |choice| choice.index, |index| Choice { index, ..Choice::default() })
}

/// More choices or tool calls than any model makes; the rest of a broken stream is not kept.
const MAX_ENTRIES: usize = 256;

/// The entry of that index, made if it is not there yet.
fn at<T>(
    entries: &mut Vec<T>,
    index: i64,
    index_of: impl Fn(&T) -> i64,
    make: impl FnOnce(i64) -> T,
) -> Option<&mut T> {
    // Nearly always the last one.
    let position = entries.iter().rposition(|entry| index_of(entry) == index);
    match position {
        Some(position) => entries.get_mut(position),
        None if entries.len() < MAX_ENTRIES => {
            entries.push(make(index));
            entries.last_mut()
        }
        None => None,
    }
}
