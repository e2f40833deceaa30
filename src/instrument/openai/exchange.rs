//! From bytes to facts, for every API.

use super::chat::{self, ChatStream};
use super::error::CallError;
use super::facts::Facts;
use super::media_stream::MediaStream;
use super::multipart::Form;
use super::responses::{self, Failure, ResponseStream};
use super::route::Api;
use super::{audio, completions, embeddings, images, moderations};
use crate::genai::Json;

/// Members of requests that hold nothing but content.
const CONTENT: &[&str] = &["messages", "input", "tools", "functions", "instructions"];

/// Reads a request in JSON. One that is not JSON is the server's to refuse.
pub(super) fn request(api: Api, body: &[u8], facts: &mut Facts) {
    // What is not recorded is not read either: it is most of the request.
    let unread: &[&str] = if facts.wants_content() { &[] } else { CONTENT };
    let Ok(body) = Json::parse_without(unread, body) else { return };
    let events = body.get("stream_format").and_then(Json::as_str) == Some("sse");
    if events || body.get("stream").and_then(Json::as_bool) == Some(true) {
        facts.streams();
    }
    match api {
        Api::Chat => chat::request(body, facts),
        Api::Completions => completions::request(body, facts),
        Api::Embeddings => embeddings::request(body, facts),
        Api::Responses => responses::request(body, facts),
        Api::ImageGeneration | Api::ImageEdit | Api::ImageVariation => images::request(body, facts),
        Api::Speech => audio::speech_request(body, facts),
        Api::Moderation => moderations::request(body, facts),
        Api::FetchResponse | Api::Transcription | Api::Translation | Api::Realtime => {}
    }
}

/// Reads a request that is a form.
pub(super) fn form(api: Api, form: &Form, facts: &mut Facts) {
    if form.text("stream").as_deref() == Some("true") {
        facts.streams();
    }
    match api {
        Api::ImageEdit | Api::ImageVariation => images::form(form, facts),
        Api::Transcription | Api::Translation => audio::transcription_form(form, facts),
        _ => {}
    }
}

/// Reads a whole answer.
///
/// # Errors
///
/// If the answer is not what the API promises, or says itself that the call failed.
pub(super) fn response(
    api: Api,
    body: &[u8],
    content_type: Option<&str>,
    facts: &mut Facts,
) -> Result<(), CallError> {
    match api {
        Api::Chat if chat::brief_response(body, facts) => return Ok(()),
        Api::Speech => {
            audio::speech_response(body, content_type, facts);
            return Ok(());
        }
        Api::Transcription | Api::Translation => {
            audio::transcription_response(body, facts);
            return Ok(());
        }
        Api::Embeddings => {
            return embeddings::response(body, facts).map_err(|error| CallError::invalid_response(&error));
        }
        _ => {}
    }
    let body = Json::parse(body).map_err(|error| CallError::invalid_response(&error))?;
    let announces = !matches!(api, Api::Responses | Api::FetchResponse);
    if announces && body.get("error").is_some_and(|error| !error.is_null()) {
        return CallError::announced(body).map_or(Ok(()), Err);
    }
    if matches!(api, Api::Chat | Api::Completions) && body.get("choices").is_none() {
        return Err(CallError::without("choices"));
    }
    let failed = match api {
        Api::Chat => {
            chat::response(body, facts);
            None
        }
        Api::Completions => {
            completions::response(body, facts);
            None
        }
        Api::Responses => responses::response(body, facts),
        Api::FetchResponse => responses::fetched(body, facts),
        Api::Moderation => {
            moderations::response(body, facts);
            None
        }
        _ => {
            images::response(body, facts);
            None
        }
    };
    failed.map_or(Ok(()), |failure| Err(failure.into()))
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::in_stream(failure.code, failure.message)
    }
}

/// Reads an answer that comes in events.
pub(super) enum StreamReader {
    Chat(ChatStream),
    Responses(ResponseStream),
    Media(MediaStream),
}

/// What an event means for the call.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Nothing follows that belongs to the answer.
    pub(super) complete: bool,
    /// The event could not be read, or says that the call failed.
    pub(super) error: Option<CallError>,
    /// Usage that the caller did not ask for.
    pub(super) only_usage: bool,
}

impl StreamReader {
    pub(super) fn new(api: Api, facts: &Facts) -> Self {
        match api {
            Api::Chat | Api::Completions => Self::Chat(ChatStream::new(facts)),
            Api::Responses => Self::Responses(ResponseStream::new(facts)),
            Api::FetchResponse => Self::Responses(ResponseStream::fetched(facts)),
            _ => Self::Media(MediaStream::new(facts)),
        }
    }

    /// Takes the data of one event in.
    pub(super) fn event(&mut self, data: &[u8], facts: &mut Facts) -> Progress {
        if data == b"[DONE]" {
            return Progress { complete: true, ..Progress::default() };
        }
        if let Self::Chat(stream) = self
            && stream.usual_chunk(data, facts)
        {
            return Progress::default();
        }
        let event = match Json::parse(data) {
            Ok(event) => event,
            Err(error) => {
                return Progress { error: Some(CallError::invalid_response(&error)), ..Progress::default() };
            }
        };
        match self {
            Self::Chat(stream) => {
                if event.get("error").is_some_and(|error| !error.is_null()) {
                    let error = CallError::described(event).map(|error| {
                        let code = Some(error.kind.into_owned());
                        CallError::in_stream(code, error.message)
                    });
                    return Progress { error, ..Progress::default() };
                }
                let only_usage = event.get("usage").is_some_and(|usage| !usage.is_null());
                let has_output = stream.chunk(event, facts);
                Progress { only_usage: only_usage && !has_output, ..Progress::default() }
            }
            Self::Responses(stream) => {
                stream.event(event, facts);
                Progress { complete: stream.is_complete(), ..Progress::default() }
            }
            Self::Media(stream) => {
                stream.event(event, facts);
                Progress::default()
            }
        }
    }

    /// Whether the answer has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Chat(stream) => stream.is_complete(),
            Self::Responses(stream) => stream.is_complete(),
            Self::Media(stream) => stream.is_complete(),
        }
    }

    /// Everything has been said (`ended`), or nothing more will come.
    pub(super) fn finish(self, ended: bool, facts: &mut Facts) -> Option<CallError> {
        match self {
            Self::Chat(stream) => {
                stream.finish(ended, facts);
                None
            }
            Self::Responses(stream) => stream.finish(facts).map(CallError::from),
            Self::Media(stream) => {
                stream.finish(facts);
                None
            }
        }
    }
}
