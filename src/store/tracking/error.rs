//! Why a tracking call failed, by what the caller can do about it.

use std::time::Duration;

use crate::store::{StoreError, rest::RestError};

/// A tracking call that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// What the call names does not exist.
    #[error("{message}")]
    NotFound {
        /// What is missing.
        message: String,
    },
    /// Something of that name exists already, perhaps in the recycle bin.
    #[error("{message}")]
    AlreadyExists {
        /// What is there.
        message: String,
    },
    /// What the call names is in the recycle bin.
    #[error("{message}")]
    Deleted {
        /// What is deleted, and how to get it back.
        message: String,
    },
    /// The arguments break a rule or a limit of MLflow.
    #[error("{message}")]
    Invalid {
        /// Which, and what is allowed.
        message: String,
    },
    /// Credentials are missing, wrong or expired, or do not allow it.
    #[error("{message}")]
    Denied {
        /// What to change.
        message: String,
    },
    /// This way to MLflow, or this version of it, cannot do it.
    #[error("{message}")]
    Unsupported {
        /// What can, instead.
        message: String,
    },
    /// MLflow does not answer now; the same call may succeed later.
    #[error("{message}")]
    Unavailable {
        /// What is wrong.
        message: String,
        /// How long to wait, where MLflow says.
        after: Option<Duration>,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Nothing succeeds until somebody changes the configuration.
    #[error("{message}")]
    Configuration {
        /// What to change.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl TrackingError {
    /// Arguments that MLflow would refuse.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// Something that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into() }
    }

    /// Something that this way to MLflow cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported { message: message.into() }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<RestError> for TrackingError {
    fn from(error: RestError) -> Self {
        let message = error.to_string();
        match &error {
            RestError::NotFound { .. } => Self::NotFound { message },
            RestError::Refused { code, message: said, .. } => refused(code.as_deref(), said, message),
            RestError::Unauthorized { .. } | RestError::Forbidden { .. } => Self::Denied { message },
            RestError::NoRoute { .. } => Self::Unsupported { message },
            _ if error.is_passing() => {
                Self::Unavailable { message, after: error.after(), source: Some(Box::new(error)) }
            }
            _ => Self::Configuration { message, source: Some(Box::new(error)) },
        }
    }
}

/// MLflow has one code, `INVALID_PARAMETER_VALUE`, for many things; its text tells them apart.
fn refused(code: Option<&str>, said: &str, message: String) -> TrackingError {
    if code == Some("RESOURCE_ALREADY_EXISTS") {
        return TrackingError::AlreadyExists {
            message: format!("{}: use it, or take another name", first_line(&message)),
        };
    }
    if said.contains("must be in the 'active' state") || said.contains("deleted state") {
        return TrackingError::Deleted { message: format!("{message} Restore it first, or use another") };
    }
    // A registered model's alias, a trace that a tag is set on.
    let names_nothing = [" not found", "FOREIGN KEY constraint", "violates foreign key constraint"];
    if code == Some("RESOURCE_DOES_NOT_EXIST") || names_nothing.iter().any(|part| said.contains(part)) {
        return TrackingError::NotFound {
            message: format!("what the call names does not exist: {}", first_line(&message)),
        };
    }
    TrackingError::Invalid { message }
}

/// Without the SQL that MLflow shows.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

impl From<StoreError> for TrackingError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match &error {
            StoreError::Reject { .. } => Self::Invalid { message },
            StoreError::Retry { after, .. } => {
                let after = *after;
                Self::Unavailable { message, after, source: Some(Box::new(error)) }
            }
            StoreError::Fatal { .. } => Self::Configuration { message, source: Some(Box::new(error)) },
        }
    }
}
