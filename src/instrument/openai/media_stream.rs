//! Streams of images, speech and transcriptions.

use std::borrow::Cow;

use super::bounded::Bounded;
use super::chat::media_type;
use super::facts::Facts;
use crate::genai::{Blob, Json, Message, Modality, Part};

/// What the events have said so far.
#[derive(Default)]
pub(super) struct MediaStream {
    bounded: Bounded,
    text: String,
    sound: String,
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
                self.answer(vec![Part::Text(text)], facts);
            }
            "speech.audio.delta" => self.bounded.push(&mut self.sound, event.take_str("audio")),
            "speech.audio.done" => {
                let content = Cow::Owned(std::mem::take(&mut self.sound));
                let part = Part::Blob(Blob { modality: Modality::Audio, mime_type: None, content });
                self.answer(vec![part], facts);
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
        facts.output_messages(vec![Message::new("assistant", parts).finished("stop")]);
    }

    /// What there is of a stream that broke off.
    pub(super) fn finish(self, facts: &mut Facts) {
        if !self.complete && !self.text.is_empty() {
            let parts = vec![Part::Text(self.text.into())];
            facts.output_messages(vec![Message::new("assistant", parts).finished("error")]);
        }
    }
}
