//! Moderations (`POST /moderations`).

use std::borrow::Cow;

use super::chat::input_message;
use super::facts::Facts;
use crate::genai::{Json, Message, Part};
use crate::semconv::gen_ai;

/// What the request asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    facts.requested_model(body.take_str("model"));
    if let Some(content) = body.take("input").filter(|_| facts.wants_content()) {
        facts.input_messages(vec![input_message(Json::object([
            ("role", "user".into()),
            ("content", texts(content)),
        ]))]);
    }
}

/// A list of texts becomes a list of parts, which a list of anything else is already.
fn texts(input: Json<'_>) -> Json<'_> {
    match input {
        Json::Array(elements) => Json::Array(
            elements
                .into_iter()
                .map(|element| match element {
                    text @ Json::String(_) => Json::object([("type", "text".into()), ("text", text)]),
                    other => other,
                })
                .collect(),
        ),
        other => other,
    }
}

/// What the answer says: each result as a part of the type `moderation`.
pub(super) fn response(mut body: Json<'_>, facts: &mut Facts) {
    facts.string(gen_ai::RESPONSE_ID, body.take_str("id"));
    facts.responding_model(body.take_str("model"));
    let results = body.take_array("results").into_iter().filter_map(|result| match result {
        Json::Object(mut members) => {
            members.insert(0, (Cow::Borrowed("type"), "moderation".into()));
            Some(Part::Other(Json::Object(members)))
        }
        _ => None,
    });
    facts.output_messages(vec![Message::new("assistant", results.collect()).finished("stop")]);
}
