//! Why a model cannot be written or read.

/// A model that MLflow could not load, or that is none of its `openai` flavor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A brace that is neither doubled nor part of a placeholder.
    #[error(
        "the template `{template}` has a brace that belongs to no {{placeholder}}; double it to mean itself"
    )]
    Template {
        /// The template.
        template: String,
    },
    /// A placeholder without a value.
    #[error("the input has no value for the placeholder `{name}`")]
    MissingInput {
        /// The placeholder.
        name: String,
    },
    /// A message of a chat that says too little.
    #[error("every message of a chat needs `role` and `content`")]
    Message,
    /// A parameter that belongs to the model and may change.
    #[error("`{name}` is a parameter of the model and of inference; keep one of them")]
    Twice {
        /// The parameter.
        name: String,
    },
    /// Files that cannot be read.
    #[error("the model's files cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with them.
        reason: String,
    },
    /// A model of another flavor, or of a task that cannot be run.
    #[error("{reason}")]
    Unsupported {
        /// What it is, and what there is instead.
        reason: String,
    },
}

impl ModelError {
    pub(super) fn yaml(reason: impl Into<String>) -> Self {
        Self::Unreadable { reason: reason.into() }
    }
}
