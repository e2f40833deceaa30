//! What people, judges and programs say of a trace.

use serde_json::{Map, Value};

/// Who assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A person.
    Human,
    /// A model.
    LlmJudge,
    /// A program.
    Code,
}

impl SourceKind {
    /// The name that MLflow stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
        }
    }

    /// Reads the stored name; MLflow's older clients wrote `AI_JUDGE`.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "HUMAN" => Self::Human,
            "LLM_JUDGE" | "AI_JUDGE" => Self::LlmJudge,
            _ => Self::Code,
        }
    }
}

/// The source of an assessment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssessmentSource {
    /// What kind of source.
    pub kind: SourceKind,
    /// Which one: a user, a model, a program.
    pub id: String,
}

/// Why a feedback has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssessmentError {
    /// Kind of error.
    pub code: String,
    /// What happened.
    pub message: Option<String>,
    /// Where.
    pub stack_trace: Option<String>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum AssessmentValue {
    /// An opinion about what the application did.
    Feedback {
        /// The opinion; null where there is an error instead.
        value: Value,
        /// Why there is none.
        error: Option<AssessmentError>,
    },
    /// What the application should have done.
    Expectation {
        /// The expected value.
        value: Value,
    },
}

/// What to create an assessment with.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAssessment {
    /// The trace: `tr-` and 32 hex digits.
    pub trace_id: String,
    /// The span, if it is about one: 16 hex digits.
    pub span_id: Option<String>,
    /// Name, such as `correctness`.
    pub name: String,
    /// Who says so.
    pub source: AssessmentSource,
    /// What is said.
    pub value: AssessmentValue,
    /// Why.
    pub rationale: Option<String>,
    /// More about it; MLflow takes texts as values.
    pub metadata: Map<String, Value>,
    /// When, in milliseconds since the Unix epoch.
    pub create_time_ms: i64,
    /// The assessment that this one replaces.
    pub overrides: Option<String>,
}

/// An assessment.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `a-` and 32 hex digits.
    pub assessment_id: String,
    /// Everything that it was created with.
    pub content: NewAssessment,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub last_update_time_ms: i64,
    /// Whether it holds: one that was replaced does not.
    pub valid: bool,
}
