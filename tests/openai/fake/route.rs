//! Which answer a request gets when nothing is scripted.

use serde_json::Value;

use super::http::Received;
use super::{
    API_KEY, Reply, audio, chat, completions, embeddings, errors, images, moderations, objects, responses,
};

pub(super) fn answer(request: &Received) -> Reply {
    if !is_authorised(request) {
        return errors::unauthorized();
    }
    let whole = request.target.split('?').next().unwrap_or_default();
    let Some(path) = below_version(whole) else { return errors::no_such_path(&request.method, whole) };
    let form = request.header("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
    let body = match serde_json::from_slice::<Value>(&request.body) {
        _ if form || request.method == "GET" => Value::Null,
        Ok(body) => body,
        Err(_) => return errors::bad_request(),
    };
    if let Some(model) = body["model"].as_str().filter(|model| model.starts_with("no-such-")) {
        return errors::no_such_model(model);
    }
    let parts: Vec<_> = path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["chat", "completions"]) => chat::answer(&body),
        ("POST", ["completions"]) => completions::answer(&body),
        ("POST", ["embeddings"]) => embeddings::answer(&body),
        ("POST", ["responses"]) => responses::answer(&body),
        ("GET", ["responses", id]) => responses::retrieved(id, &request.target),
        ("POST", ["images", "generations"]) => images::generated(&body),
        ("POST", ["images", "edits" | "variations"]) => images::from_form(request),
        ("POST", ["audio", "speech"]) => audio::speech(&body),
        ("POST", ["audio", "transcriptions"]) => audio::written(request, false),
        ("POST", ["audio", "translations"]) => audio::written(request, true),
        ("POST", ["moderations"]) => moderations::answer(&body),
        ("GET", ["models"]) => objects::models(),
        ("GET", ["models", id]) => objects::one_model(id),
        ("GET", ["files"]) => objects::files(),
        ("GET", ["files", _, "content"]) => objects::file_content(),
        ("POST", ["files"]) | ("GET", ["files", _]) => objects::one_file(),
        _ => errors::no_such_path(&request.method, whole),
    }
}

/// OpenAI takes the key as a bearer token, Azure in a header of its own.
fn is_authorised(request: &Received) -> bool {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or(request.header("api-key")) == Some(API_KEY)
}

/// The path of the operation, below the version or the deployment.
fn below_version(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        return rest.split_once('/').map(|(_, operation)| operation);
    }
    path.strip_prefix("/v1/").or_else(|| path.strip_prefix("/openai/v1/"))
}
