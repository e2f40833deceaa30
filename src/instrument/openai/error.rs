//! Why a call failed.

use std::borrow::Cow;

use async_openai::error::{OpenAIError, StreamError};
use http::StatusCode;

use crate::genai::Json;

/// A failed call in the words of the conventions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// `error.type`: the API's code where it gave one, else its type, the HTTP status, or one of
    /// `timeout`, `connection_error`, `incomplete_response`, `invalid_response`, `stream_error`,
    /// `cancelled`.
    pub(crate) kind: Cow<'static, str>,
    /// `exception.type`: the Rust type that the caller gets.
    pub(crate) exception: &'static str,
    pub(crate) message: String,
}

const API_ERROR: &str = "async_openai::error::ApiError";

impl CallError {
    pub(crate) fn cancelled() -> Self {
        Self {
            kind: Cow::Borrowed("cancelled"),
            exception: "cancelled",
            message: "the caller dropped the call before its answer was complete".to_owned(),
        }
    }

    /// An answer that is not what the API promises.
    pub(crate) fn invalid_response(error: &serde_json::Error) -> Self {
        Self {
            kind: Cow::Borrowed("invalid_response"),
            exception: "serde_json::Error",
            message: format!("the answer is not valid JSON: {error}"),
        }
    }

    /// A body that broke off.
    pub(crate) fn body(error: &reqwest::Error) -> Self {
        Self::transport(error)
    }

    /// An answer with a status that says failure. The body is an error object, of OpenAI's form or
    /// nearly, or a page of some proxy.
    pub(crate) fn status(status: StatusCode, body: &[u8]) -> Self {
        let described = Json::parse(body).ok().and_then(Self::described);
        described
            .unwrap_or_else(|| {
                let text = String::from_utf8_lossy(body);
                let shown = text.trim();
                Self {
                    kind: Cow::Owned(status.as_u16().to_string()),
                    exception: API_ERROR,
                    message: if shown.is_empty() { status.to_string() } else { format!("{status}: {shown}") },
                }
            })
            .or_status(status)
    }

    /// An error object: `{"error": {"message", "type", "code"}}`, in a list for some servers.
    pub(crate) fn described(body: Json<'_>) -> Option<Self> {
        let mut body = match body {
            Json::Array(list) => list.into_iter().next()?,
            other => other,
        };
        let mut error = body.take("error").filter(|error| !error.is_null())?;
        if let Json::String(message) = error {
            return Some(Self {
                kind: Cow::Borrowed(""),
                exception: API_ERROR,
                message: message.into_owned(),
            });
        }
        error.members()?;
        let code = match error.take("code") {
            Some(Json::String(code)) => Some(code.into_owned()).filter(|code| is_kind(code)),
            Some(Json::Int(code)) => Some(code.to_string()),
            _ => None,
        };
        let kind = code
            .or_else(|| error.take_str("type").map(Cow::into_owned).filter(|kind| is_kind(kind)))
            .unwrap_or_default();
        let message = error.take_str("message").map(Cow::into_owned).unwrap_or_default();
        Some(Self { kind: Cow::Owned(kind), exception: API_ERROR, message })
    }

    fn or_status(mut self, status: StatusCode) -> Self {
        if self.kind.is_empty() {
            self.kind = Cow::Owned(status.as_u16().to_string());
        }
        self
    }

    /// An error object in an answer whose status says success.
    pub(crate) fn announced(body: Json<'_>) -> Option<Self> {
        let error = Self::described(body)?;
        Some(Self { kind: if error.kind.is_empty() { Cow::Borrowed("_OTHER") } else { error.kind }, ..error })
    }

    /// A stream that ended in the middle of its answer.
    pub(crate) fn unfinished() -> Self {
        Self {
            kind: Cow::Borrowed("incomplete_response"),
            exception: "async_openai::error::StreamError",
            message: "the stream ended before its answer was complete".to_owned(),
        }
    }

    /// An answer in JSON without what makes it one.
    pub(crate) fn without(member: &'static str) -> Self {
        Self {
            kind: Cow::Borrowed("invalid_response"),
            exception: "serde_json::Error",
            message: format!("the answer has no `{member}`"),
        }
    }

    /// An error that was announced inside a stream.
    pub(crate) fn in_stream(code: Option<String>, message: String) -> Self {
        let kind = code.filter(|code| is_kind(code)).map_or(Cow::Borrowed("stream_error"), Cow::Owned);
        Self { kind, exception: API_ERROR, message }
    }

    /// What the transport, or a service under the layer, answered instead of a response.
    pub(crate) fn client(error: &OpenAIError) -> Self {
        let (kind, exception) = match error {
            OpenAIError::Reqwest(error) => return Self::transport(error),
            OpenAIError::ApiError(error) => {
                let code = [&error.api_error.code, &error.api_error.r#type].into_iter().flatten();
                let code = code.into_iter().find(|code| is_kind(code)).cloned();
                return Self {
                    kind: code.map_or_else(|| Cow::Owned(error.status_code.as_u16().to_string()), Cow::Owned),
                    exception: API_ERROR,
                    message: error.api_error.message.clone(),
                };
            }
            OpenAIError::JSONDeserialize(..) => ("invalid_response", "serde_json::Error"),
            OpenAIError::StreamError(error) => match error.as_ref() {
                StreamError::UnknownEvent(_) | StreamError::EventStream(_) => {
                    ("stream_error", "async_openai::error::StreamError")
                }
            },
            // tower's timeouts have a type of their own, which says only this.
            OpenAIError::Boxed(error) if error.to_string().contains("timed out") => {
                ("timeout", "tower::BoxError")
            }
            OpenAIError::Boxed(_) => ("_OTHER", "tower::BoxError"),
            OpenAIError::FileReadError(_) => ("file_read_error", "async_openai::error::OpenAIError"),
            OpenAIError::FileSaveError(_) => ("file_save_error", "async_openai::error::OpenAIError"),
            OpenAIError::InvalidArgument(_) => ("invalid_argument", "async_openai::error::OpenAIError"),
        };
        Self { kind: Cow::Borrowed(kind), exception, message: error.to_string() }
    }

    fn transport(error: &reqwest::Error) -> Self {
        let kind = if error.is_timeout() {
            "timeout"
        } else if error.is_connect() {
            "connection_error"
        } else if error.is_body() || error.is_decode() {
            "incomplete_response"
        } else {
            "connection_error"
        };
        // The error alone says little ("error sending request"); its causes say why.
        let mut message = without_query(error);
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { kind: Cow::Borrowed(kind), exception: "reqwest::Error", message }
    }
}

/// Whether a server's word can stand for a kind of error: metrics are told apart by it.
fn is_kind(code: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&code.len()) && code.bytes().all(known)
}

/// What the error says, with the address but without its query and password, which may be keys.
fn without_query(error: &reqwest::Error) -> String {
    let text = error.to_string();
    let Some(url) = error.url() else { return text };
    let mut bare = url.clone();
    bare.set_query(None);
    // Fails only for addresses that cannot have a password.
    let _ = bare.set_password(None);
    text.replace(url.as_str(), bare.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> (String, String) {
        let error = CallError::status(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        (error.kind.into_owned(), error.message)
    }

    #[test]
    fn the_code_is_the_type_where_there_is_one() {
        let body = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
        assert_eq!(kind(429, body), ("rate_limit_exceeded".into(), "slow down".into()));
        let body = r#"{"error":{"message":"no","type":"invalid_request_error","code":null}}"#;
        assert_eq!(kind(400, body).0, "invalid_request_error");
        assert_eq!(
            kind(404, r#"[{"error":{"code":404,"message":"no model"}}]"#),
            ("404".into(), "no model".into())
        );
        assert_eq!(kind(400, r#"{"error":"plain"}"#), ("400".into(), "plain".into()));
    }

    #[tokio::test]
    async fn keys_in_addresses_are_not_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        // The client has no cryptography of its own; fails only where one is chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = format!("http://user:hunter22@127.0.0.1:{port}/v1/models?key=abcdefgh");
        let error = reqwest::Client::new().get(address).send().await.unwrap_err();
        let message = CallError::client(&OpenAIError::Reqwest(error)).message;
        assert!(message.contains(&format!("127.0.0.1:{port}/v1/models")), "{message}");
        assert!(!message.contains("abcdefgh") && !message.contains("hunter22"), "{message}");
    }

    #[test]
    fn only_short_words_are_kinds() {
        let body = format!(r#"{{"error":{{"message":"no","code":"{}"}}}}"#, "x".repeat(65));
        assert_eq!(kind(400, &body).0, "400");
        assert_eq!(kind(400, r#"{"error":{"message":"no","code":"two words"}}"#).0, "400");
    }

    #[test]
    fn pages_of_proxies_have_the_status() {
        let (kind, message) = kind(502, "<html>Bad gateway</html>");
        assert_eq!((kind.as_str(), message.as_str()), ("502", "502 Bad Gateway: <html>Bad gateway</html>"));
        assert_eq!(self::kind(503, "").1, "503 Service Unavailable");
    }
}
