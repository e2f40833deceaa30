//! Streamed responses: typed events, the last of which has the whole answer.

use std::borrow::Cow;

use super::super::bounded::Bounded;
use super::super::facts::Facts;
use super::items::item_parts;
use super::{Failure, failure, fetched, partial, response};
use crate::genai::{Json, Part};
use crate::semconv::gen_ai;

/// What the events have said so far.
#[derive(Default)]
pub(in crate::instrument::openai) struct ResponseStream {
    text: Bounded,
    /// The response is read again: its id is known, and its state is told.
    fetched: bool,
    started: bool,
    /// The answer as far as it has come, for streams that break off.
    items: Vec<Item>,
    complete: bool,
    failure: Option<Failure>,
}

/// An item in the making.
struct Item {
    index: i64,
    /// Id and name, if it is a tool call.
    call: Option<(Option<String>, Option<String>)>,
    text: String,
}

/// More items than any answer has.
const MAX_ITEMS: usize = 256;

impl ResponseStream {
    pub(in crate::instrument::openai) fn new(facts: &Facts) -> Self {
        Self { text: Bounded::new(facts), ..Self::default() }
    }

    /// For a response that is read again.
    pub(in crate::instrument::openai) fn fetched(facts: &Facts) -> Self {
        Self { fetched: true, ..Self::new(facts) }
    }

    /// Takes one event in.
    pub(in crate::instrument::openai) fn event(&mut self, mut event: Json<'_>, facts: &mut Facts) {
        let kind = event.take_str("type").unwrap_or_default();
        match kind.as_ref() {
            "response.completed" | "response.incomplete" | "response.failed" => {
                let mut body = event.take("response").unwrap_or_default();
                self.complete = true;
                if self.fetched {
                    // A failed response was fetched all the same.
                    fetched(body, facts);
                    return;
                }
                if self.started {
                    body.take("id");
                }
                self.failure = response(body, facts);
            }
            "error" => {
                let mut error = event.take("error").filter(|error| !error.is_null()).unwrap_or(event);
                self.complete = true;
                self.failure = Some(failure(&mut error));
            }
            "response.output_item.added" => self.added(&mut event),
            kind if kind.ends_with(".delta") => self.delta(&mut event),
            _ => self.started(&mut event, facts),
        }
    }

    /// Whether the stream has said its last.
    pub(in crate::instrument::openai) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The first event has the id; the model that it names is the one that answers.
    fn started(&mut self, event: &mut Json<'_>, facts: &mut Facts) {
        if self.started {
            return;
        }
        let Some(mut response) = event.take("response") else { return };
        self.started = true;
        if !self.fetched {
            facts.string(gen_ai::RESPONSE_ID, response.take_str("id"));
        }
        facts.responding_model(response.take_str("model"));
    }

    fn added(&mut self, event: &mut Json<'_>) {
        let mut item = event.take("item").unwrap_or_default();
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let is_call =
            matches!(item.get("type").and_then(Json::as_str), Some("function_call" | "custom_tool_call"));
        let call = is_call.then(|| (owned(item.take_str("call_id")), owned(item.take_str("name"))));
        if self.items.len() < MAX_ITEMS {
            let index = event.get("output_index").and_then(Json::as_i64).unwrap_or(0);
            self.items.push(Item { index, call, text: String::new() });
        }
    }

    /// Text, arguments and reasoning come in pieces of their item.
    fn delta(&mut self, event: &mut Json<'_>) {
        let index = event.get("output_index").and_then(Json::as_i64).unwrap_or(0);
        if let Some(item) = self.items.iter_mut().rfind(|item| item.index == index) {
            self.text.push(&mut item.text, event.take_str("delta"));
        }
    }

    /// The answer of a stream that ended without its last event; how it failed, if it did.
    pub(in crate::instrument::openai) fn finish(self, facts: &mut Facts) -> Option<Failure> {
        if !self.complete {
            partial(self.items.into_iter().flat_map(Item::into_parts).collect(), facts);
        }
        self.failure
    }
}

impl Item {
    fn into_parts(self) -> Vec<Part<'static>> {
        let text = Json::from(self.text);
        let item = match self.call {
            Some((id, name)) => Json::object([
                ("type", "function_call".into()),
                ("call_id", id.map_or(Json::Null, Json::from)),
                ("name", name.map_or(Json::Null, Json::from)),
                ("arguments", text),
            ]),
            None if text.as_str() == Some("") => return Vec::new(),
            None => Json::object([("type", "message".into()), ("content", text)]),
        };
        item_parts(item)
    }
}
