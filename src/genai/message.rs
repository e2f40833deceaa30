//! Messages in the form of the registry's JSON schemas (`gen-ai-input-messages.json`,
//! `gen-ai-output-messages.json`).

use std::borrow::Cow;

use super::Json;

/// What a part without text holds (schema: `Modality`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Modality {
    /// Pictures.
    Image,
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// A document, such as a PDF file.
    Document,
}

impl Modality {
    /// The name in the schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
        }
    }

    /// The modality of a media type; what is neither image, video nor audio is a document.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Self {
        match media_type.split('/').next() {
            Some("image") => Self::Image,
            Some("video") => Self::Video,
            Some("audio") => Self::Audio,
            _ => Self::Document,
        }
    }
}

/// Binary content (schema: `BlobPart`).
#[derive(Clone, Debug, PartialEq)]
pub struct Blob<'a> {
    /// What it holds.
    pub modality: Modality,
    /// Its media type, such as `image/png`.
    pub mime_type: Option<Cow<'a, str>>,
    /// The bytes, in base64.
    pub content: Cow<'a, str>,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// Text (schema: `TextPart`).
    Text(Cow<'a, str>),
    /// The model's reasoning (schema: `ReasoningPart`).
    Reasoning(Cow<'a, str>),
    /// The model refused to answer, and said so (schema: `GenericPart`, type `refusal`).
    Refusal(Cow<'a, str>),
    /// The model asks for a tool (schema: `ToolCallRequestPart`).
    ToolCall {
        /// Id of the call, which the response repeats.
        id: Option<Cow<'a, str>>,
        /// Name of the tool.
        name: Cow<'a, str>,
        /// Its arguments, as an object where the model wrote one.
        arguments: Json<'a>,
    },
    /// What a tool returned (schema: `ToolCallResponsePart`).
    ToolCallResponse {
        /// Id of the call that it answers.
        id: Option<Cow<'a, str>>,
        /// The result.
        response: Json<'a>,
    },
    /// A tool that the provider ran itself (schema: `ServerToolCallPart`).
    ServerToolCall {
        /// Id of the call.
        id: Option<Cow<'a, str>>,
        /// Name of the tool.
        name: Cow<'a, str>,
        /// What it did, with a `type`.
        call: Json<'a>,
    },
    /// Binary content (schema: `BlobPart`).
    Blob(Blob<'a>),
    /// Content at an address (schema: `UriPart`).
    Uri {
        /// What it holds.
        modality: Modality,
        /// The address.
        uri: Cow<'a, str>,
    },
    /// A file that was uploaded before (schema: `FilePart`).
    File {
        /// What it holds.
        modality: Modality,
        /// Its id.
        file_id: Cow<'a, str>,
    },
    /// Anything else, with a `type` (schema: `GenericPart`).
    Other(Json<'a>),
}

/// One message (schema: `ChatMessage`, `OutputMessage`).
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Who speaks: `system`, `user`, `assistant`, `tool`, or the provider's own.
    pub role: Cow<'a, str>,
    /// Name of the participant.
    pub name: Option<Cow<'a, str>>,
    /// What is said.
    pub parts: Vec<Part<'a>>,
    /// Why the model stopped; required on messages of the model.
    pub finish_reason: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// A message without a name.
    #[must_use]
    pub fn new(role: impl Into<Cow<'a, str>>, parts: Vec<Part<'a>>) -> Self {
        Self { role: role.into(), name: None, parts, finish_reason: None }
    }

    /// The same, as a message of the model.
    #[must_use]
    pub fn finished(mut self, reason: impl Into<Cow<'a, str>>) -> Self {
        self.finish_reason = Some(reason.into());
        self
    }
}
