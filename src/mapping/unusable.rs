//! Why a span or a trace cannot be stored.

use super::limits::cut;
use super::python::{LoneSurrogate, Poison};

/// Why MLflow's store cannot hold a span as it came.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the {0} is missing")]
    NoId(&'static str),
    #[error("the {name} is longer than {bytes} bytes")]
    LongId { name: &'static str, bytes: usize },
    #[error("the {0} does not fit 64 signed bits")]
    Time(&'static str),
    #[error("attribute {:?}: {source}", shown(key))]
    Poison { key: String, source: Poison },
    #[error("attribute {:?}: {source}", shown(key))]
    Surrogate { key: String, source: LoneSurrogate },
    #[error("attribute {:?} names a kind, so it cannot be a list or an object", shown(.0))]
    Kind(String),
    #[error("attribute {:?} is not a finite number", shown(.0))]
    Infinite(String),
    #[error("attribute {:?} holds bytes, where JSON is needed", shown(.0))]
    Bytes(String),
    #[error("attribute {0:?} must be an object")]
    NotAnObject(&'static str),
    #[error("attribute {0:?} must be a list")]
    NotAList(&'static str),
    #[error("attribute {key:?}: the member {member:?} is not a number")]
    NotANumber { key: &'static str, member: &'static str },
    #[error("the {0} holds a NUL character, which PostgreSQL cannot store")]
    Nul(&'static str),
    #[error("the {name} has {length} characters, and MLflow allows {limit}")]
    TooLong { name: &'static str, length: usize, limit: usize },
    #[error("span id {0} comes twice in one write, which PostgreSQL refuses")]
    Repeated(String),
}

/// As much of a key as a developer needs to find it.
fn shown(key: &str) -> &str {
    cut(key, 100)
}

impl Unusable {
    /// The attribute that is to blame, if it is one.
    pub(super) fn attribute(&self) -> Option<&str> {
        match self {
            Self::Poison { key, .. } | Self::Surrogate { key, .. } => Some(key),
            Self::Kind(key) | Self::Infinite(key) | Self::Bytes(key) => Some(key),
            Self::NotAnObject(key) | Self::NotAList(key) => Some(key),
            Self::NotANumber { key, .. } => Some(key),
            _ => None,
        }
    }

    pub(super) fn poison(key: &str, source: Poison) -> Self {
        Self::Poison { key: key.to_owned(), source }
    }

    pub(super) fn surrogate(key: &str, source: LoneSurrogate) -> Self {
        Self::Surrogate { key: key.to_owned(), source }
    }
}
