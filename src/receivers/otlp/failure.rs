//! Why a request is not answered with success, in terms that both protocols can say.

use std::time::Duration;

use http::StatusCode;

use crate::otlp::DecodeError;
use crate::otlp::status::{Code, Status};
use crate::pipeline::ExportError;

/// What a sender is asked to wait when nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The request makes no sense; it fails again.
    #[error("{0}")]
    Invalid(String),
    /// The body is larger than the limit.
    #[error("the body is larger than {limit} bytes, before or after decompression: send smaller batches")]
    TooLarge { limit: usize },
    /// The body is in a format that is not understood.
    #[error("{0}")]
    Unsupported(String),
    /// Nothing is served at that path.
    #[error("{0}")]
    UnknownPath(String),
    /// The sender has shown no token or password, or a wrong one.
    #[error("send a token or password that this receiver knows in the header `authorization`")]
    Unauthenticated,
    /// The body did not come in time.
    #[error("the request took longer than {limit:?} to come in")]
    TooSlow { limit: Duration },
    /// The receiver has too much under way.
    #[error(
        "too many requests or bytes are under way: try again later, or raise the receiver's max_requests_in_flight, max_bytes_in_flight and max_memory"
    )]
    Overloaded { after: Duration },
    /// The destination does not take the request now.
    #[error("{reason}")]
    Unavailable { after: Option<Duration>, reason: String },
    /// A fault of this program.
    #[error("{0}")]
    Internal(String),
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Retry { after, reason } => Self::Unavailable { after, reason },
            ExportError::Reject { reason } => Self::Invalid(reason),
            // The data is good: once somebody has repaired the configuration, a retry saves it.
            ExportError::Fatal { reason } => Self::Unavailable { after: None, reason },
        }
    }
}

impl Failure {
    /// The status of an HTTP answer. A sender tries again after 429 and 503 only.
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownPath(_) => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code of gRPC. OTLP lets a sender repeat `RESOURCE_EXHAUSTED` only if it has a `RetryInfo`.
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::TooLarge { .. } | Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::Unsupported(_) | Self::UnknownPath(_) => Code::Unimplemented,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::TooSlow { .. } => Code::DeadlineExceeded,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// How long the sender should wait, where it should try again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { after } => Some(*after),
            Self::Unavailable { after, .. } => Some(after.unwrap_or(RETRY_AFTER)),
            _ => None,
        }
    }

    /// One of a few fixed words, for counting.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::Unsupported(_) => "unsupported",
            Self::UnknownPath(_) => "unknown_path",
            Self::Unauthenticated => "unauthenticated",
            Self::TooSlow { .. } => "too_slow",
            Self::Overloaded { .. } => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The error as OTLP answers it.
    pub(super) fn status(&self) -> Status {
        Status::new(self.code(), self.to_string(), self.retry_after())
    }
}
