//! Legacy completions (`POST /completions`).

use super::chat::{common_options, envelope, finish_reason, schema_reason};
use super::facts::Facts;
use crate::genai::{Json, Message, Part};
use crate::semconv::gen_ai;

/// What the request asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    common_options(&body, facts);
    facts.int(gen_ai::REQUEST_MAX_TOKENS, body.get("max_tokens").and_then(Json::as_i64));
    facts.requested_model(body.take_str("model"));
    if facts.wants_content() {
        let prompts = match body.take("prompt").unwrap_or_default() {
            Json::String(prompt) => vec![Part::Text(prompt)],
            list => list
                .into_array()
                .into_iter()
                .filter_map(|prompt| Some(Part::Text(prompt.into_str()?)))
                .collect(),
        };
        facts.input_messages(vec![Message::new("user", prompts)]);
    }
}

/// What the answer says.
pub(super) fn response(mut body: Json<'_>, facts: &mut Facts) {
    envelope(&mut body, facts);
    let choices = body.take_array("choices");
    facts.strings(gen_ai::RESPONSE_FINISH_REASONS, choices.iter().filter_map(finish_reason).collect());
    let messages = choices.into_iter().map(|mut choice| {
        let text = choice.take_str("text").unwrap_or_default();
        Message::new("assistant", vec![Part::Text(text)])
            .finished(schema_reason(choice.take_str("finish_reason"), "stop"))
    });
    facts.output_messages(messages.collect());
}
