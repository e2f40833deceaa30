//! `/audio/speech`, `/audio/transcriptions`, `/audio/translations`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::Received;
use super::{Reply, chat};

/// What the recordings say.
pub(crate) const TRANSCRIPT: &str = "Imagine the wildest idea that you've ever had.";

/// Sound, which is no text in any encoding.
pub(crate) const SPEECH: &[u8] = b"ID3\x04\x00\xff\xfb\x90\x64\x00\x0f\xf0\x00\x00\x69\x00\x00\x00\x08";

pub(super) fn speech(request: &Value) -> Reply {
    if request["stream_format"] == "sse" {
        let mut events: Vec<_> = SPEECH
            .chunks(9)
            .map(|piece| json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)}))
            .collect();
        events.push(json!({
            "type": "speech.audio.done",
            "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
        }));
        return Reply::typed_stream(&events);
    }
    Reply::bytes(200, "audio/mpeg", SPEECH).split_every(7)
}

/// The answer to a form with a recording.
pub(super) fn written(request: &Received, translated: bool) -> Reply {
    let form = String::from_utf8_lossy(&request.body);
    if form.contains("name=\"stream\"\r\n\r\ntrue\r\n") {
        return streamed();
    }
    let wants = |format: &str| form.contains(&format!("\r\n\r\n{format}\r\n"));
    if wants("text") {
        return Reply::bytes(200, "text/plain; charset=utf-8", format!("{TRANSCRIPT}\n"));
    }
    if wants("srt") {
        return Reply::bytes(
            200,
            "text/plain",
            format!("1\n00:00:00,000 --> 00:00:03,000\n{TRANSCRIPT}\n\n"),
        );
    }
    if wants("verbose_json") {
        return Reply::json(&json!({
            "task": if translated { "translate" } else { "transcribe" },
            "language": "english",
            "duration": 8.47,
            "text": TRANSCRIPT,
            "segments": [{
                "id": 0, "seek": 0, "start": 0.0, "end": 3.32, "text": TRANSCRIPT, "tokens": [50364, 440],
                "temperature": 0.0, "avg_logprob": -0.286, "compression_ratio": 1.236, "no_speech_prob": 0.009,
            }],
            "usage": {"type": "duration", "seconds": 9},
        }));
    }
    if translated {
        return Reply::json(&json!({"text": TRANSCRIPT}));
    }
    Reply::json(&json!({
        "text": TRANSCRIPT, "usage": usage(),
    }))
}

fn streamed() -> Reply {
    let mut events: Vec<_> = chat::words(TRANSCRIPT)
        .into_iter()
        .map(|word| json!({"type": "transcript.text.delta", "delta": word}))
        .collect();
    events.push(json!({"type": "transcript.text.done", "text": TRANSCRIPT, "usage": usage()}));
    Reply::typed_stream(&events)
}

fn usage() -> Value {
    json!({
        "type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    })
}
