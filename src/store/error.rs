//! Why a store did not do what it was asked; says what the caller should do.

use std::error::Error as StdError;
use std::time::Duration;

/// A cause that is kept for the log.
type Cause = Box<dyn StdError + Send + Sync>;

/// The database holds no tables, and the caller did not allow to create them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database is empty")]
pub struct EmptyDatabase;

/// Why a whole call to a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Passing trouble: the same call may succeed later.
    #[error("{reason}")]
    Retry {
        /// How long to wait, where the store knows.
        after: Option<Duration>,
        /// What is wrong.
        reason: String,
        /// What the driver said.
        #[source]
        source: Option<Cause>,
    },
    /// Bad data: the same call fails again.
    #[error("{reason}")]
    Reject {
        /// What is wrong with the data.
        reason: String,
    },
    /// Bad configuration or credentials: nothing succeeds until somebody changes them.
    #[error("{reason}")]
    Fatal {
        /// What has to be changed.
        reason: String,
        /// What the driver said.
        #[source]
        source: Option<Cause>,
    },
}

impl StoreError {
    /// Passing trouble without a known waiting time.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { after: None, reason: reason.into(), source: None }
    }

    /// Bad data.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }

    /// Bad configuration.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal { reason: reason.into(), source: None }
    }

    /// Keeps what the driver said.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        match &mut self {
            Self::Retry { source, .. } | Self::Fatal { source, .. } => *source = Some(cause.into()),
            Self::Reject { .. } => {}
        }
        self
    }

    /// The same error once more, for another caller whom it concerns, without what the driver said.
    #[cfg(feature = "sqlite")]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Retry { after, reason, .. } => {
                Self::Retry { after: *after, reason: reason.clone(), source: None }
            }
            Self::Reject { reason } => Self::Reject { reason: reason.clone() },
            Self::Fatal { reason, .. } => Self::Fatal { reason: reason.clone(), source: None },
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}
