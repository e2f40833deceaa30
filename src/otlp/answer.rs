//! The answer to a request that was kept, wholly or in part.

use prost::Message;
use serde_json::json;

use super::Refusal;
use super::model::{ExportTracePartialSuccess, ExportTraceServiceResponse};

/// How a body is encoded; an answer is encoded as its request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Different reasons that one answer lists.
const LISTED_REASONS: usize = 5;
/// The longest reason that is repeated in full, in bytes.
const REASON_BYTES: usize = 512;

/// Sums refusals up for the sender; `None` when everything was kept. The message has bounded length.
pub fn partial_success(refusals: &[Refusal]) -> Option<ExportTracePartialSuccess> {
    let rejected: usize = refusals.iter().map(|refusal| refusal.spans).sum();
    if rejected == 0 {
        return None;
    }
    let mut reasons: Vec<&str> = Vec::new();
    let mut unlisted = 0;
    for refusal in refusals {
        if reasons.contains(&refusal.reason.as_str()) {
            continue;
        }
        if reasons.len() < LISTED_REASONS {
            reasons.push(&refusal.reason);
        } else {
            unlisted += 1;
        }
    }
    let mut message = reasons.iter().map(|reason| shorten(reason)).collect::<Vec<_>>().join("; ");
    if unlisted > 0 {
        message.push_str(&format!("; and {unlisted} more"));
    }
    let rejected_spans = i64::try_from(rejected).unwrap_or(i64::MAX);
    Some(ExportTracePartialSuccess { rejected_spans, error_message: message })
}

fn shorten(reason: &str) -> String {
    let end = reason.floor_char_boundary(REASON_BYTES);
    match reason.get(..end) {
        Some(head) if head.len() < reason.len() => format!("{head}…"),
        _ => reason.to_owned(),
    }
}

/// The body of a successful answer.
pub fn answer(refusals: &[Refusal], encoding: Encoding) -> Vec<u8> {
    let partial_success = partial_success(refusals);
    match (encoding, partial_success) {
        (Encoding::Protobuf, partial_success) => {
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
        (Encoding::Json, None) => b"{}".to_vec(),
        // 64-bit integers are texts in protobuf's JSON mapping.
        (Encoding::Json, Some(partial)) => json!({"partialSuccess": {
            "rejectedSpans": partial.rejected_spans.to_string(),
            "errorMessage": partial.error_message,
        }})
        .to_string()
        .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(spans: usize, reason: impl Into<String>) -> Refusal {
        Refusal { spans, reason: reason.into() }
    }

    #[test]
    fn everything_kept_is_an_empty_answer() {
        assert_eq!(answer(&[], Encoding::Protobuf), b"");
        assert_eq!(answer(&[], Encoding::Json), b"{}");
    }

    #[test]
    fn json_writes_the_count_as_text() {
        let body = answer(&[refusal(1, "a"), refusal(2, "b"), refusal(1, "a")], Encoding::Json);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"partialSuccess":{"rejectedSpans":"4","errorMessage":"a; b"}}"#
        );
    }

    #[test]
    fn the_message_stays_short() {
        let refusals: Vec<_> =
            (0..1000).map(|index| refusal(1, format!("{index}: {}", "é".repeat(5000)))).collect();
        let partial = partial_success(&refusals).unwrap();
        assert_eq!(partial.rejected_spans, 1000);
        assert!(partial.error_message.len() < 3000, "{}", partial.error_message.len());
        assert!(partial.error_message.ends_with("; and 995 more"), "{}", partial.error_message);
    }
}
