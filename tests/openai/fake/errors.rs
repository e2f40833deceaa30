//! The errors of the API.

use serde_json::{Value, json};

use super::Reply;

fn error(status: u16, message: &str, kind: &str, param: Value, code: Value) -> Reply {
    Reply::status(status, &json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}

/// 400: the request does not make sense.
pub(crate) fn bad_request() -> Reply {
    let message = "Invalid value for 'temperature': expected a number between 0 and 2.";
    error(400, message, "invalid_request_error", json!("temperature"), Value::Null)
}

/// 400: the prompt was refused before the model saw it (Azure).
pub(crate) fn prompt_filtered() -> Reply {
    Reply::status(
        400,
        &json!({"error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            "type": Value::Null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
        }}),
    )
}

/// 401: the key is wrong. The server repeats the end of the key.
pub(crate) fn unauthorized() -> Reply {
    let message = "Incorrect API key provided: sk-wrong****cdef. You can find your API key at https://platform.openai.com/account/api-keys.";
    error(401, message, "invalid_request_error", Value::Null, json!("invalid_api_key"))
}

/// 404: there is no such model.
pub(crate) fn no_such_model(model: &str) -> Reply {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    error(404, &message, "invalid_request_error", Value::Null, json!("model_not_found"))
}

/// 404: there is no such path.
pub(crate) fn no_such_path(method: &str, path: &str) -> Reply {
    let message = format!("Invalid URL ({method} {path})");
    error(404, &message, "invalid_request_error", Value::Null, Value::Null)
}

/// 429: too fast; to be tried again after so many seconds.
pub(crate) fn rate_limited(retry_after: u32) -> Reply {
    let message = "Rate limit reached for gpt-4o-mini in organization org-fake on requests per min (RPM): Limit 3, Used 3, Requested 1.";
    error(429, message, "requests", Value::Null, json!("rate_limit_exceeded"))
        .header("retry-after", &retry_after.to_string())
}

/// 429: nothing left to spend; to try again is useless.
pub(crate) fn out_of_quota() -> Reply {
    let message = "You exceeded your current quota, please check your plan and billing details.";
    error(429, message, "insufficient_quota", Value::Null, json!("insufficient_quota"))
}

/// 500: with an error object.
pub(crate) fn server_error() -> Reply {
    let message = "The server had an error while processing your request. Sorry about that!";
    error(500, message, "server_error", Value::Null, Value::Null)
}

/// 503: overloaded.
pub(crate) fn overloaded() -> Reply {
    let message = "The engine is currently overloaded, please try again later.";
    error(503, message, "server_error", Value::Null, Value::Null)
}

/// 502 of a proxy that knows nothing of the API.
pub(crate) fn proxy_page() -> Reply {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n";
    Reply::bytes(502, "text/html", page)
}

/// A page with status 200, as captive portals give.
pub(crate) fn html_page() -> Reply {
    Reply::bytes(200, "text/html", "<!doctype html><title>Welcome</title>")
}

/// An answer that ends in the middle of its JSON, though HTTP says it is complete.
pub(crate) fn malformed_json() -> Reply {
    Reply::bytes(200, "application/json", r#"{"id": "chatcmpl-broken", "object": "chat.comp"#)
}
