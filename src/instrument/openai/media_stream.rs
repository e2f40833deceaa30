//! Streams of images, speech and transcriptions.

use std::borrow::Cow;

use super::bounded::Bounded;
use super::chat::media_type;
use super::facts::Facts;
use crate::genai::{Blob, Json, Message, Modality, Part};
use crate::semconv::gen_ai;

/// What the events have said so far.
#[derive(Default)]
pub(super) struct MediaStream {
    bounded: Bounded,
    text: String,
    sound: String,
    /// The answers that are whole, as they are recorded.
    recorded: Vec<Json<'static>>,
    complete: bool,
}

impl MediaStream {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { bounded: Bounded::new(facts), ..Self::default() }
    }

    /// Takes one event in.
    pub(super) fn event(&mut self, mut event: Json<'_>, facts: &mut Facts) {
        let kind = event.take_str("type").unwrap_or_default();
        facts.used(event.get("usage"));
        match kind.as_ref() {
            "transcript.text.delta" => self.bounded.push(&mut self.text, event.take_str("delta")),
            "transcript.text.done" => {
                let text = event.take_str("text").unwrap_or(Cow::Owned(std::mem::take(&mut self.text)));
                self.text.clear();
                self.answer(vec![Part::Text(text)], facts);
            }
            "speech.audio.delta" => self.bounded.push(&mut self.sound, event.take_str("audio")),
            "speech.audio.done" => {
                let sound = std::mem::take(&mut self.sound);
                self.answer(vec![spoken(sound)], facts);
            }
            "image_generation.completed" | "image_edit.completed" => {
                let format = event.take_str("output_format").unwrap_or(Cow::Borrowed("png"));
                let mime_type = media_type("image", Some(&format)).map(Cow::Owned);
                let content = event.take_str("b64_json").unwrap_or_default();
                let part = Part::Blob(Blob { modality: Modality::Image, mime_type, content });
                self.answer(vec![part], facts);
            }
            _ => {}
        }
    }

    fn answer(&mut self, parts: Vec<Part<'_>>, facts: &mut Facts) {
        self.complete = true;
        // Recorded at once: a picture itself is not kept.
        let message = Message::new("assistant", parts).finished("stop");
        self.recorded.extend(facts.recorded_output(message));
    }

    /// Whether an answer is whole.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// All answers; what there is of one that broke off.
    pub(super) fn finish(mut self, facts: &mut Facts) {
        let (text, sound) = (std::mem::take(&mut self.text), std::mem::take(&mut self.sound));
        let mut parts = Vec::new();
        parts.extend((!text.is_empty()).then(|| Part::Text(text.into())));
        parts.extend((!sound.is_empty()).then(|| spoken(sound)));
        if !self.complete && !parts.is_empty() {
            let message = Message::new("assistant", parts).finished("error");
            self.recorded.extend(facts.recorded_output(message));
        }
        facts.recorded_messages(gen_ai::OUTPUT_MESSAGES, self.recorded);
    }
}

fn spoken(sound: String) -> Part<'static> {
    Part::Blob(Blob { modality: Modality::Audio, mime_type: None, content: sound.into() })
}
