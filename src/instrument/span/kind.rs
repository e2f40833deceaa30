//! Types of spans.

use std::borrow::Cow;
use std::fmt;

use crate::semconv::gen_ai::operation_name;

/// What a span stands for, as MLflow shows it (`mlflow.spanType`).
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::instrument::SpanType;
///
/// assert_eq!(SpanType::from("RETRIEVER"), SpanType::Retriever);
/// assert_eq!(SpanType::from("chat_model"), SpanType::ChatModel);
/// assert_eq!(SpanType::from("ROUTER").as_str(), "ROUTER");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanType {
    /// A call of a language model.
    Llm,
    /// A sequence of steps.
    Chain,
    /// An agent at work; the conventions' operation `invoke_agent`.
    Agent,
    /// A tool at work; the conventions' operation `execute_tool`.
    Tool,
    /// A call of a chat model.
    ChatModel,
    /// A search for documents.
    Retriever,
    /// Reading a text into a structure.
    Parser,
    /// Making embeddings.
    Embedding,
    /// Putting documents into a better order.
    Reranker,
    /// Reading or writing a memory.
    Memory,
    /// Several agents at work together; the conventions' operation `invoke_workflow`.
    Workflow,
    /// A step of a workflow.
    Task,
    /// A check of what goes in or out.
    Guardrail,
    /// A judgement of an answer.
    Evaluator,
    /// Anything else.
    #[default]
    Unknown,
    /// A type of your own.
    Other(Cow<'static, str>),
}

/// The types that MLflow knows, by their names there (`mlflow.entities.SpanType`).
const KNOWN: [(&str, SpanType); 15] = [
    ("LLM", SpanType::Llm),
    ("CHAIN", SpanType::Chain),
    ("AGENT", SpanType::Agent),
    ("TOOL", SpanType::Tool),
    ("CHAT_MODEL", SpanType::ChatModel),
    ("RETRIEVER", SpanType::Retriever),
    ("PARSER", SpanType::Parser),
    ("EMBEDDING", SpanType::Embedding),
    ("RERANKER", SpanType::Reranker),
    ("MEMORY", SpanType::Memory),
    ("WORKFLOW", SpanType::Workflow),
    ("TASK", SpanType::Task),
    ("GUARDRAIL", SpanType::Guardrail),
    ("EVALUATOR", SpanType::Evaluator),
    ("UNKNOWN", SpanType::Unknown),
];

impl SpanType {
    /// The name in MLflow.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        KNOWN.iter().find(|(_, known)| known == self).map_or("UNKNOWN", |(name, _)| name)
    }

    /// The same name, without a copy where it is MLflow's.
    pub(super) fn into_name(self) -> Cow<'static, str> {
        match self {
            Self::Other(name) => name,
            known => {
                let found = KNOWN.iter().find(|(_, other)| *other == known);
                Cow::Borrowed(found.map_or("UNKNOWN", |(name, _)| name))
            }
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Tool => Kind::Tool,
            Self::Agent => Kind::Agent,
            Self::Workflow => Kind::Workflow,
            Self::Llm | Self::ChatModel => Kind::Model,
            _ => Kind::Other,
        }
    }
}

impl From<&str> for SpanType {
    fn from(name: &str) -> Self {
        let known = KNOWN.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        match known {
            Some((_, known)) => known,
            None if name.is_empty() => Self::Unknown,
            None => Self::Other(Cow::Owned(name.to_owned())),
        }
    }
}

impl From<String> for SpanType {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for SpanType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the GenAI conventions say about a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tool,
    Agent,
    Workflow,
    /// A call of a model that no client layer traces. It counts as an inference call of its agent.
    Model,
    Other,
}

impl Kind {
    /// The operation of the conventions, where there is one for it.
    pub(super) fn operation(self) -> Option<&'static str> {
        match self {
            Self::Tool => Some(operation_name::EXECUTE_TOOL),
            Self::Agent => Some(operation_name::INVOKE_AGENT),
            Self::Workflow => Some(operation_name::INVOKE_WORKFLOW),
            Self::Model | Self::Other => None,
        }
    }

    /// The name of the span (registry: `gen_ai.execute_tool.internal` and its like).
    pub(super) fn span_name(self, name: Cow<'static, str>) -> Cow<'static, str> {
        match self.operation() {
            None => name,
            Some(operation) if name.is_empty() => Cow::Borrowed(operation),
            Some(operation) => Cow::Owned(format!("{operation} {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_name_in_mlflow() {
        for (name, known) in KNOWN {
            assert_eq!((known.as_str(), SpanType::from(name)), (name, known.clone()));
            assert_eq!(known.into_name(), name);
        }
        assert_eq!(SpanType::from(""), SpanType::Unknown);
        assert_eq!(SpanType::from("Router".to_owned()).to_string(), "Router");
    }

    #[test]
    fn spans_are_named_as_the_conventions_say() {
        assert_eq!(Kind::Tool.span_name("weather".into()), "execute_tool weather");
        assert_eq!(Kind::Agent.span_name("".into()), "invoke_agent");
        assert_eq!(Kind::Model.span_name("ask".into()), "ask");
    }
}
