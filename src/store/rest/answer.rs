//! What an answer means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::RestError;

/// How much of a foreign answer is shown in a message, in characters.
const MAX_MESSAGE: usize = 500;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// From the first byte of the request to the last of the answer.
    pub(super) took: Duration,
    pub(super) body: Bytes,
}

impl Answer {
    /// Goes by the body: MLflow itself sends its version as `text/html`.
    fn is_html(&self) -> bool {
        self.body.trim_ascii_start().first() == Some(&b'<')
    }

    /// Reads the body as MLflow's JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, RestError> {
        serde_json::from_slice(&self.body).map_err(|error| RestError::NotMlflow {
            url: url.to_owned(),
            detail: format!("something that cannot be read as MLflow's JSON ({error})"),
        })
    }

    /// What the server says, for a person.
    fn message(&self) -> String {
        let parsed: Option<ErrorBody> = serde_json::from_slice(&self.body).ok();
        let text = match parsed.and_then(ErrorBody::into_text) {
            Some(text) => text,
            None if self.is_html() => "an HTML page".to_owned(),
            None => String::from_utf8_lossy(&self.body).trim().to_owned(),
        };
        match text.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None if text.is_empty() => "no message".to_owned(),
            None => text,
        }
    }

    fn code(&self) -> Option<String> {
        serde_json::from_slice::<ErrorBody>(&self.body).ok()?.error_code
    }
}

/// An error as MLflow's handlers write it, or as its FastAPI routes do.
#[derive(Deserialize)]
struct ErrorBody {
    error_code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

impl ErrorBody {
    fn into_text(self) -> Option<String> {
        let said = self.message.or_else(|| match self.detail? {
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        });
        match (self.error_code, said) {
            (Some(code), Some(said)) => Some(format!("{code}: {said}")),
            (code, said) => said.or(code),
        }
    }
}

/// Passes a success, and names everything else.
pub(super) fn check(
    answer: Answer,
    url: &str,
    server: &str,
    sent: &'static str,
) -> Result<Answer, RestError> {
    let url = url.to_owned();
    let server = server.to_owned();
    let status = answer.status;
    if status.is_success() {
        return if answer.is_html() { Err(RestError::HtmlPage { url }) } else { Ok(answer) };
    }
    if status.is_redirection() {
        let location = answer.location.unwrap_or_else(|| "nowhere".to_owned());
        return Err(RestError::Redirected { url, status, location });
    }
    let message = answer.message();
    let code = answer.code();
    Err(match status.as_u16() {
        401 => RestError::Unauthorized { server, sent },
        403 => RestError::Forbidden { server, sent, message },
        404 if code.as_deref() == Some("RESOURCE_DOES_NOT_EXIST") => RestError::NotFound { message },
        404 | 405 => RestError::NoRoute { url, status },
        408 | 429 | 502 | 503 | 504 => {
            RestError::Unavailable { server, status, message, after: answer.retry_after }
        }
        // The trace cannot be written to, whatever is sent.
        500 if code.as_deref() == Some("INVALID_STATE") => RestError::Refused { status, code, message },
        500 => RestError::Internal { message },
        // MLflow 3.6 answers 422 for whatever its database says.
        422 if message.contains("OperationalError") => {
            RestError::Unavailable { server, status, message, after: answer.retry_after }
        }
        // Later versions answer 400 for what a driver does not call operational, the data's fault or not.
        400 if is_ill_database(&message) => {
            RestError::Unavailable { server, status, message, after: answer.retry_after }
        }
        501 => RestError::NoOtlp { server, message },
        _ => RestError::Refused { status, code, message },
    })
}

/// Whether MLflow reports that its database cannot be written to, as after a failover: the driver's error comes first
/// in the message, as `BAD_REQUEST: (psycopg.errors.ReadOnlySqlTransaction) …`.
fn is_ill_database(message: &str) -> bool {
    let error = message.strip_prefix("BAD_REQUEST: (").and_then(|said| said.split_once(')'));
    let name = error.and_then(|(error, _)| error.rsplit('.').next());
    matches!(name, Some("ReadOnlySqlTransaction" | "InterfaceError"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, body: &str) -> Result<Answer, RestError> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            location: Some("https://login.example.org".to_owned()),
            retry_after: Some(Duration::from_secs(7)),
            took: Duration::ZERO,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        check(answer, "http://h/v1/traces", "http://h", "sent no credentials")
    }

    #[test]
    fn an_empty_success_passes_and_a_page_does_not() {
        assert!(checked(200, "").is_ok());
        let page = "<!doctype html><title>Sign in</title>";
        assert!(matches!(checked(200, page), Err(RestError::HtmlPage { .. })));
        assert!(matches!(checked(200, &format!("\n {page}")), Err(RestError::HtmlPage { .. })));
    }

    #[test]
    fn each_status_has_its_name() {
        let unknown = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=7"}"#;
        let state = r#"{"error_code": "INVALID_STATE", "message": "archived"}"#;
        assert!(matches!(checked(302, ""), Err(RestError::Redirected { .. })));
        assert!(matches!(checked(401, "{}"), Err(RestError::Unauthorized { .. })));
        assert!(matches!(checked(403, "{}"), Err(RestError::Forbidden { .. })));
        assert!(matches!(checked(404, unknown), Err(RestError::NotFound { .. })));
        assert!(matches!(checked(404, r#"{"detail":"Not Found"}"#), Err(RestError::NoRoute { .. })));
        assert!(matches!(checked(405, ""), Err(RestError::NoRoute { .. })));
        assert!(matches!(checked(500, state), Err(RestError::Refused { .. })));
        assert!(matches!(checked(500, "Internal Server Error"), Err(RestError::Internal { .. })));
        let locked = r#"{"detail":"Failed to log OpenTelemetry spans: (sqlite3.OperationalError) database is locked"}"#;
        assert!(matches!(checked(422, locked), Err(RestError::Unavailable { .. })));
        for (said, passing) in [
            ("(psycopg.errors.ReadOnlySqlTransaction) cannot execute INSERT", true),
            ("(psycopg2.InterfaceError) connection already closed", true),
            ("(psycopg.errors.NotNullViolation) of (ReadOnlySqlTransaction)", false),
            ("ReadOnlySqlTransaction", false),
        ] {
            let body = format!(r#"{{"error_code": "BAD_REQUEST", "message": "{said}"}}"#);
            let error = checked(400, &body).unwrap_err();
            assert_eq!(matches!(error, RestError::Unavailable { .. }), passing, "{error}");
        }
        let file_store = r#"{"detail":"REST OTLP span logging is not supported by FileStore"}"#;
        assert!(matches!(checked(501, file_store), Err(RestError::NoOtlp { .. })));
        for status in [400, 409, 413, 415, 422] {
            assert!(matches!(checked(status, "{}"), Err(RestError::Refused { .. })), "{status}");
        }
        for status in [408, 429, 502, 503, 504] {
            let error = checked(status, "{}").unwrap_err();
            assert_eq!(error.after(), Some(Duration::from_secs(7)), "{status}");
        }
    }

    #[test]
    fn messages_say_what_the_server_said_but_not_without_end() {
        let error = checked(422, r#"{"detail":"Cannot convert"}"#).unwrap_err();
        assert_eq!(error.to_string(), "MLflow answered 422 Unprocessable Entity: Cannot convert");
        let error = checked(400, &"é".repeat(600)).unwrap_err().to_string();
        assert_eq!(error.chars().filter(|character| *character == 'é').count(), MAX_MESSAGE);
        let page = checked(502, "<html>bad gateway</html>").unwrap_err().to_string();
        assert!(page.contains("an HTML page"), "{page}");
    }
}
