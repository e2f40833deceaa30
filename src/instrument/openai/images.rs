//! Images (`POST /images/generations`, `/images/edits`, `/images/variations`).

use std::borrow::Cow;

use super::chat::media_type;
use super::facts::Facts;
use super::multipart::Form;
use crate::genai::{Blob, Json, Message, Modality, Part};
use crate::semconv::gen_ai::{self, output_type};

/// What a generation, or an edit in JSON, asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    common(facts, body.get("n").and_then(Json::as_i64), body.take_str("output_format"));
    facts.requested_model(body.take_str("model"));
    if let Some(prompt) = body.take_str("prompt") {
        facts.input_messages(vec![Message::new("user", vec![Part::Text(prompt)])]);
    }
}

/// What an edit or a variation, as a form, asks for.
pub(super) fn form(form: &Form, facts: &mut Facts) {
    common(facts, form.number("n"), form.text("output_format"));
    facts.requested_model(form.text("model"));
    let prompt = form.text("prompt").map(Part::Text);
    let pictures = form.files().map(|file| file.part(Modality::Image));
    facts.input_messages(vec![Message::new("user", prompt.into_iter().chain(pictures).collect())]);
}

fn common(facts: &mut Facts, choices: Option<i64>, format: Option<Cow<'_, str>>) {
    facts.string(gen_ai::OUTPUT_TYPE, Some(Cow::Borrowed(output_type::IMAGE)));
    facts.int(gen_ai::REQUEST_CHOICE_COUNT, choices.filter(|choices| *choices != 1));
    facts.image_format = format.map(Cow::into_owned);
}

/// What the answer says.
pub(super) fn response(mut body: Json<'_>, facts: &mut Facts) {
    facts.used(body.get("usage"));
    facts.responding_model(body.take_str("model"));
    let format = body.take_str("output_format").map(Cow::into_owned).or_else(|| facts.image_format.clone());
    let images = body.take_array("data").into_iter().map(|mut image| {
        let mut parts = Vec::with_capacity(2);
        // The text that was drawn, where the model rewrote the prompt.
        parts.extend(image.take_str("revised_prompt").map(Part::Text));
        parts.extend(image.take_str("b64_json").map(|content| {
            let format = format.as_deref().or(Some("png"));
            Part::Blob(Blob {
                modality: Modality::Image,
                mime_type: media_type("image", format).map(Cow::Owned),
                content,
            })
        }));
        parts.extend(image.take_str("url").map(|uri| Part::Uri { modality: Modality::Image, uri }));
        Message::new("assistant", parts).finished("stop")
    });
    facts.output_messages(images.collect());
}
