//! Every operation that the client offers, with every way in which the server may answer.

#![allow(deprecated, reason = "what the API still offers is still traced")]

mod chat;

use async_openai::types::InputSource;
use async_openai::types::audio::{
    AudioInput, AudioResponseFormat, CreateSpeechRequest, CreateTranscriptionRequest,
    CreateTranslationRequest, SpeechModel, Voice,
};
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use async_openai::types::images::{
    CreateImageEditRequest, CreateImageVariationRequest, ImageEditInput, ImageInput, ImageModel,
};
use serde_json::{Value, json};

use self::chat::{ASK, ASK_STREAM, ASK_TYPED, chat_cases};
use crate::fake::{Reply, audio, chat as fake_chat, errors, images, responses};
use crate::setup::{Call, seen, seen_stream};

/// A call, what the server answers to it, and whether it is traced.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the attempts get; where it is empty, what the API answers.
    pub(crate) replies: Vec<Reply>,
    pub(crate) call: Call,
    pub(crate) traced: bool,
}

fn traced(name: &'static str, call: Call) -> Case {
    Case { name, replies: Vec::new(), call, traced: true }
}

fn untraced(name: &'static str, call: Call) -> Case {
    Case { name, replies: Vec::new(), call, traced: false }
}

fn answered(name: &'static str, replies: impl Into<Vec<Reply>>, call: Call) -> Case {
    Case { name, replies: replies.into(), call, traced: true }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [chat_cases(), older_cases(), responses_cases(), image_cases(), audio_cases(), other_cases(), failures()]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn question() -> Value {
    json!({"model": "gpt-4o-mini", "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Grüße! 🌍"},
    ]})
}

pub(crate) fn streamed(mut request: Value) -> Value {
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    request
}

fn older_cases() -> Vec<Case> {
    vec![
        traced("completion", |client| {
            Box::pin(async move {
                let request =
                    json!({"model": "gpt-3.5-turbo-instruct", "prompt": "Say this is a test", "n": 2});
                seen(client.completions().create_byot::<_, Value>(request).await)
            })
        }),
        traced("completion streamed", |client| {
            Box::pin(async move {
                let request = streamed(json!({"model": "gpt-3.5-turbo-instruct", "prompt": ["One", "Two"]}));
                seen_stream(client.completions().create_stream_byot::<_, Value>(request).await).await
            })
        }),
        traced("embeddings", |client| {
            Box::pin(async move {
                let request = json!({
                    "model": "text-embedding-3-small", "input": ["one", "two"], "encoding_format": "float",
                    "dimensions": 256,
                });
                seen(client.embeddings().create(serde_json::from_value(request).unwrap()).await)
            })
        }),
        traced("embeddings in base64", |client| {
            Box::pin(async move {
                let request = json!({"model": "text-embedding-3-small", "input": [1, 2, 3], "encoding_format": "base64"});
                seen(client.embeddings().create_base64(serde_json::from_value(request).unwrap()).await)
            })
        }),
        traced("moderation", |client| {
            Box::pin(async move {
                let request = json!({"model": "omni-moderation-latest", "input": ["I will kill you"]});
                seen(client.moderations().create_byot::<_, Value>(request).await)
            })
        }),
    ]
}

/// Creates a response.
const RESPOND: Call = |client| {
    Box::pin(async move {
        let request = json!({
            "model": "o4-mini", "input": "Hi", "instructions": "Be kind.", "reasoning": {"effort": "low"},
            "previous_response_id": "resp_before", "max_output_tokens": 100, "service_tier": "flex",
        });
        seen(client.responses().create_byot::<_, Value>(request).await)
    })
};

/// Creates a response as a stream.
const RESPOND_STREAM: Call = |client| {
    Box::pin(async move {
        let request =
            json!({"model": "gpt-4o", "input": [{"role": "user", "content": "Hi"}], "stream": true});
        seen_stream(client.responses().create_stream_byot::<_, Value>(request).await).await
    })
};

fn responses_cases() -> Vec<Case> {
    let whole = responses::response(
        &json!({"model": "gpt-4o"}),
        &[
            responses::reasoning("Think first."),
            responses::message("Hello there."),
            responses::refusal("I cannot."),
            responses::function_call("call_1", "weather", r#"{"in": "Paris"}"#),
        ],
    );
    let stream = |response: &Value| Reply::typed_stream(&responses::events(response));
    let mut broken = responses::events(&whole);
    broken.truncate(6);
    broken.push(responses::error_event(6));
    vec![
        traced("response", RESPOND),
        traced("response streamed", RESPOND_STREAM),
        answered("response of several items", [Reply::json(&whole)], RESPOND),
        answered("response incomplete", [Reply::json(&responses::incomplete(whole.clone()))], RESPOND),
        answered("response failed", [Reply::json(&responses::failed(whole.clone()))], RESPOND),
        answered("response streamed of several items", [stream(&whole).split_every(1)], RESPOND_STREAM),
        answered(
            "response streamed incomplete",
            [stream(&responses::incomplete(whole.clone()))],
            RESPOND_STREAM,
        ),
        answered("response streamed failed", [stream(&responses::failed(whole))], RESPOND_STREAM),
        answered("response streamed with an error", [Reply::typed_stream(&broken)], RESPOND_STREAM),
        traced("response fetched", |client| {
            Box::pin(async move { seen(client.responses().retrieve(responses::ID).await) })
        }),
        traced("response fetched as a stream", |client| {
            Box::pin(
                async move { seen_stream(client.responses().retrieve_stream(responses::ID).await).await },
            )
        }),
    ]
}

fn pixel() -> ImageInput {
    ImageInput::from_vec_u8("pixel.png".to_owned(), images::PIXEL.as_bytes().to_vec())
}

fn edit() -> CreateImageEditRequest {
    CreateImageEditRequest {
        image: ImageEditInput::Image(pixel()),
        prompt: "Make it blue".to_owned(),
        model: ImageModel::Other("gpt-image-1".to_owned()),
        ..CreateImageEditRequest::default()
    }
}

fn image_cases() -> Vec<Case> {
    vec![
        traced("image", |client| {
            Box::pin(async move {
                let request = json!({"model": "dall-e-3", "prompt": "A red square", "n": 1});
                seen(client.images().generate(serde_json::from_value(request).unwrap()).await)
            })
        }),
        traced("images in base64", |client| {
            Box::pin(async move {
                let request = json!({"model": "gpt-image-1", "prompt": "A red square", "n": 2});
                seen(client.images().generate(serde_json::from_value(request).unwrap()).await)
            })
        }),
        traced("image streamed", |client| {
            Box::pin(async move {
                let request = json!({"model": "gpt-image-1", "prompt": "A square", "stream": true, "partial_images": 1});
                seen_stream(client.images().generate_stream_byot::<_, Value>(request).await).await
            })
        }),
        traced("image edited", |client| Box::pin(async move { seen(client.images().edit(edit()).await) })),
        traced("image edited, streamed", |client| {
            Box::pin(async move {
                let request = CreateImageEditRequest { stream: Some(true), ..edit() };
                seen_stream(client.images().edit_stream(request).await).await
            })
        }),
        traced("image varied", |client| {
            Box::pin(async move {
                let request = CreateImageVariationRequest {
                    image: pixel(),
                    model: Some(ImageModel::Other("dall-e-2".to_owned())),
                    ..CreateImageVariationRequest::default()
                };
                seen(client.images().create_variation(request).await)
            })
        }),
    ]
}

fn speech() -> CreateSpeechRequest {
    CreateSpeechRequest {
        input: "Hello there".to_owned(),
        model: SpeechModel::Gpt4oMiniTts,
        voice: Voice::Alloy,
        instructions: Some("Speak slowly.".to_owned()),
        ..CreateSpeechRequest::default()
    }
}

fn recording() -> AudioInput {
    AudioInput {
        source: InputSource::VecU8 { filename: "speech.mp3".to_owned(), vec: audio::SPEECH.to_vec() },
    }
}

fn transcription() -> CreateTranscriptionRequest {
    CreateTranscriptionRequest {
        file: recording(),
        model: "gpt-4o-transcribe".to_owned(),
        temperature: Some(0.5),
        ..CreateTranscriptionRequest::default()
    }
}

fn audio_cases() -> Vec<Case> {
    vec![
        traced("speech", |client| {
            Box::pin(async move {
                seen(client.audio().speech().create(speech()).await.map(|answer| answer.bytes))
            })
        }),
        traced("speech streamed", |client| {
            Box::pin(async move {
                let mut request = serde_json::to_value(speech()).unwrap();
                request["stream_format"] = json!("sse");
                seen_stream(client.audio().speech().create_stream_byot::<_, Value>(request).await).await
            })
        }),
        traced("transcription", |client| {
            Box::pin(async move { seen(client.audio().transcription().create(transcription()).await) })
        }),
        traced("transcription with details", |client| {
            Box::pin(async move {
                let format = Some(AudioResponseFormat::VerboseJson);
                let request = CreateTranscriptionRequest { response_format: format, ..transcription() };
                seen(client.audio().transcription().create_verbose_json(request).await)
            })
        }),
        traced("transcription as text", |client| {
            Box::pin(async move {
                let format = Some(AudioResponseFormat::Text);
                let request = CreateTranscriptionRequest { response_format: format, ..transcription() };
                seen(client.audio().transcription().create_raw(request).await)
            })
        }),
        traced("transcription streamed", |client| {
            Box::pin(async move {
                let request = CreateTranscriptionRequest { stream: Some(true), ..transcription() };
                seen_stream(client.audio().transcription().create_stream(request).await).await
            })
        }),
        traced("translation", |client| {
            Box::pin(async move {
                let request = CreateTranslationRequest {
                    file: recording(),
                    model: "whisper-1".to_owned(),
                    ..CreateTranslationRequest::default()
                };
                seen(client.audio().translation().create(request).await)
            })
        }),
    ]
}

fn other_cases() -> Vec<Case> {
    vec![
        untraced("models", |client| Box::pin(async move { seen(client.models().list().await) })),
        untraced("files", |client| Box::pin(async move { seen(client.files().list().await) })),
        untraced("a file's content", |client| {
            Box::pin(async move { seen(client.files().content("file-abc123").await) })
        }),
        untraced("a file uploaded", |client| {
            Box::pin(async move {
                let source = InputSource::VecU8 { filename: "a.jsonl".to_owned(), vec: b"{}\n".to_vec() };
                let request = CreateFileRequest {
                    file: FileInput { source },
                    purpose: FilePurpose::FineTune,
                    ..CreateFileRequest::default()
                };
                seen(client.files().create(request).await)
            })
        }),
    ]
}

fn failures() -> Vec<Case> {
    let now = |reply: Reply| reply.header("retry-after", "0");
    let always = |reply: Reply| vec![now(reply); 4];
    let chunks =
        fake_chat::chunks(&fake_chat::completion(&question(), &[(fake_chat::text("a b c d"), "stop")]), true);
    let broken_chunk = vec![format!("data: {}\n\n", chunks[0]), "data: {\"choices\": [\n\n".to_owned()];
    let error_chunk = vec![
        format!("data: {}\n\n", chunks[0]),
        "data: {\"error\": {\"message\": \"Overloaded\", \"type\": \"server_error\", \"code\": null}}\n\n"
            .to_owned(),
    ];
    vec![
        answered("400", [errors::bad_request()], ASK),
        answered("400 for content", [errors::prompt_filtered()], ASK),
        answered("401", [errors::unauthorized()], ASK),
        answered("404", [errors::no_such_model("gpt-9")], ASK),
        answered("429 for speed", vec![errors::rate_limited(0); 4], ASK),
        answered("429 for quota", [errors::out_of_quota()], ASK),
        answered("429, then an answer", [errors::rate_limited(0)], ASK),
        answered("500", always(errors::server_error()), ASK),
        answered("503", always(errors::overloaded()), ASK),
        answered("503, then a stream", [now(errors::overloaded())], ASK_STREAM),
        answered("502 of a proxy", always(errors::proxy_page()), ASK),
        answered("401 for a stream", [errors::unauthorized()], ASK_STREAM),
        answered("a page in place of JSON", [errors::html_page()], ASK),
        answered("malformed JSON", [errors::malformed_json()], ASK),
        answered("JSON that the client does not take", [Reply::json(&json!({"choices": 1}))], ASK_TYPED),
        answered("no answer at all", [Reply::silence()], ASK),
        answered("a body that stops", [Reply::json(&question()).split_every(20).stall_after(2)], ASK),
        answered("a body that breaks", [Reply::json(&question()).split_every(20).disconnect_after(2)], ASK),
        answered("a stream that stops", [Reply::stream(&chunks).stall_after(3)], ASK_STREAM),
        answered("a stream that breaks", [Reply::stream(&chunks).disconnect_after(3)], ASK_STREAM),
        answered("a stream that breaks at once", [Reply::stream(&chunks).disconnect_after(0)], ASK_STREAM),
        answered("a stream with a malformed chunk", [Reply::frames(broken_chunk)], ASK_STREAM),
        answered("a stream with an error", [Reply::frames(error_chunk)], ASK_STREAM),
    ]
}
