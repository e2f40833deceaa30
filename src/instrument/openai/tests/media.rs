//! Embeddings, images, audio, moderations.

use serde_json::json;

use super::{Api, form, request, response, stream};

#[test]
fn embeddings_are_counted() {
    let asked = json!({"model": "text-embedding-3-small", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2});
    insta::assert_json_snapshot!(request(Api::Embeddings, &asked));
    let floats = json!({"model": "text-embedding-3-small", "data": [{"embedding": [0.1, 0.2]}, {"embedding": [0.3, 0.4]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2}});
    insta::assert_json_snapshot!(response(Api::Embeddings, &floats));
    // Three floats of four bytes.
    let base64 = json!({"data": [{"embedding": "AAAAAAAAAAAAAAAA"}]});
    assert_eq!(response(Api::Embeddings, &base64)["gen_ai.embeddings.dimension.count"], "3");
}

#[test]
fn images_are_asked_for_and_answered() {
    let asked = json!({"model": "gpt-image-1", "prompt": "A cat", "n": 2, "output_format": "webp"});
    insta::assert_json_snapshot!(request(Api::ImageGeneration, &asked));
    let answer = json!({"created": 1, "output_format": "webp", "data": [{"b64_json": "AAAA"},
        {"url": "https://e.test/a.png", "revised_prompt": "A black cat"}], "usage": {"input_tokens": 5, "output_tokens": 9}});
    insta::assert_json_snapshot!(response(Api::ImageGeneration, &answer));
    let edit = "--b\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\nContent-Type: image/png\n\nxyz\n\
        --b\nContent-Disposition: form-data; name=\"prompt\"\n\nAdd a hat\n\
        --b\nContent-Disposition: form-data; name=\"model\"\n\ngpt-image-1\n--b--\n";
    insta::assert_json_snapshot!(form(Api::ImageEdit, edit));
}

#[test]
fn streams_of_media_end_with_the_answer() {
    let (facts, _) = stream(
        Api::ImageGeneration,
        &[
            json!({"type": "image_generation.partial_image", "b64_json": "AA=="}),
            json!({"type": "image_generation.completed", "b64_json": "AAAA", "usage": {"input_tokens": 1, "output_tokens": 2}}),
        ],
    );
    insta::assert_json_snapshot!(facts);
    let (facts, _) = stream(
        Api::Transcription,
        &[
            json!({"type": "transcript.text.delta", "delta": "Hel"}),
            json!({"type": "transcript.text.done", "text": "Hello"}),
        ],
    );
    assert_eq!(facts["gen_ai.output.messages"][0]["parts"][0]["content"], "Hello");
}

#[test]
fn speech_and_transcriptions() {
    let asked =
        json!({"model": "gpt-4o-mini-tts", "input": "Hello", "voice": "alloy", "instructions": "Cheerfully"});
    insta::assert_json_snapshot!(request(Api::Speech, &asked));
    let sent = "--b\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\nContent-Type: audio/wav\n\nxyz\n\
        --b\nContent-Disposition: form-data; name=\"model\"\n\nwhisper-1\n--b\n\
        Content-Disposition: form-data; name=\"temperature\"\n\n0.2\n--b--\n";
    insta::assert_json_snapshot!(form(Api::Transcription, sent));
    let answer = json!({"text": "Hello", "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 1}});
    insta::assert_json_snapshot!(response(Api::Transcription, &answer));
    let mut facts = super::facts();
    super::exchange::response(Api::Translation, b"1\n00:00 --> 00:01\nHello\n", None, &mut facts).unwrap();
    assert_eq!(
        super::shown(facts)["gen_ai.output.messages"][0]["parts"][0]["content"],
        "1\n00:00 --> 00:01\nHello\n"
    );
}

#[test]
fn moderations_have_results() {
    insta::assert_json_snapshot!(request(
        Api::Moderation,
        &json!({"model": "omni-moderation-latest", "input": ["a", "b"]})
    ));
    let answer = json!({"id": "modr-1", "model": "omni-moderation-2024-09-26",
        "results": [{"flagged": true, "categories": {"violence": true}, "category_scores": {"violence": 0.9}}]});
    insta::assert_json_snapshot!(response(Api::Moderation, &answer));
}

#[test]
fn pictures_that_come_one_after_the_other_are_all_kept() {
    let picture =
        |data: &str| json!({"type": "image_generation.completed", "b64_json": data, "output_format": "png"});
    let (read, error) = stream(Api::ImageGeneration, &[picture("AAAA"), picture("BBBB")]);
    assert!(error.is_none());
    assert_eq!(read["gen_ai.output.messages"].as_array().unwrap().len(), 2, "{read}");
}

/// Each piece of a stream may be padded by itself; the sound is that of all of them.
#[test]
fn sound_in_padded_pieces_is_one_sound() {
    let delta = |data: &str| json!({"type": "speech.audio.delta", "audio": data});
    let done = json!({"type": "speech.audio.done"});
    let (pieces, _) = stream(Api::Speech, &[delta("aGVsbG8="), delta("IHdvcmxkIQ=="), done.clone()]);
    let (whole, _) = stream(Api::Speech, &[delta("aGVsbG8gd29ybGQh"), done]);
    assert_eq!(pieces, whole);
    assert_eq!(pieces["gen_ai.output.messages"][0]["parts"][0]["size"], 12, "{pieces}");
}
