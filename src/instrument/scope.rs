//! What is set once and seen on every span inside: conversation, session, user, prompt.

use std::future::Future;
use std::sync::Arc;

use opentelemetry::context::{ContextGuard, FutureExt, WithContext};
use opentelemetry::{Context, KeyValue};

use crate::semconv::{gen_ai, otel};

/// What the calls inside have in common. It travels with the OpenTelemetry [`Context`], so it
/// follows `await`, and tasks and streams where the context is passed on.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::instrument::Scope;
///
/// # async fn answer() {}
/// # async fn handle() {
/// let scope = Scope::new().conversation_id("thread-7").user_id("u-42").prompt("greeting", "3");
/// scope.run(answer()).await;
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scope {
    attributes: Vec<KeyValue>,
    variables: Vec<KeyValue>,
}

/// A scope as the context carries it.
struct Carried(Arc<Scope>);

impl Scope {
    /// A scope that adds nothing yet to the one around it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The conversation (`gen_ai.conversation.id`), which MLflow shows as the trace's session.
    #[must_use]
    pub fn conversation_id(self, id: impl Into<String>) -> Self {
        self.attribute(KeyValue::new(gen_ai::CONVERSATION_ID, id.into()))
    }

    /// The session (`session.id`), where it is another than the conversation.
    #[must_use]
    pub fn session_id(self, id: impl Into<String>) -> Self {
        self.attribute(KeyValue::new(otel::SESSION_ID, id.into()))
    }

    /// The user (`user.id`).
    #[must_use]
    pub fn user_id(self, id: impl Into<String>) -> Self {
        self.attribute(KeyValue::new(otel::USER_ID, id.into()))
    }

    /// The prompt template in use, with its version (`gen_ai.prompt.name`, `gen_ai.prompt.version`).
    #[must_use]
    pub fn prompt(self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.attribute(KeyValue::new(gen_ai::PROMPT_NAME, name.into()))
            .attribute(KeyValue::new(gen_ai::PROMPT_VERSION, version.into()))
    }

    /// A variable of the prompt template (`gen_ai.prompt.variable.<name>`): content, recorded only
    /// where content is.
    #[must_use]
    pub fn prompt_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        let key = format!("{}.{name}", gen_ai::PROMPT_VARIABLE);
        set(&mut self.variables, KeyValue::new(key, value.into()));
        self
    }

    /// Any other attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: KeyValue) -> Self {
        set(&mut self.attributes, attribute);
        self
    }

    /// A context with this scope inside the one that it has.
    #[must_use]
    pub fn within(self, context: &Context) -> Context {
        let mut whole = of(context).map(|outer| outer.as_ref().clone()).unwrap_or_default();
        self.attributes.into_iter().for_each(|attribute| set(&mut whole.attributes, attribute));
        self.variables.into_iter().for_each(|variable| set(&mut whole.variables, variable));
        context.with_value(Carried(Arc::new(whole)))
    }

    /// Makes the scope current on this thread until the guard is dropped. For futures, use
    /// [`run`](Self::run): a guard must not be kept across `await`.
    #[must_use = "the scope ends when the guard is dropped"]
    pub fn enter(self) -> ContextGuard {
        self.within(&Context::current()).attach()
    }

    /// Runs a future inside the scope.
    pub fn run<F: Future>(self, future: F) -> WithContext<F> {
        let context = self.within(&Context::current());
        future.with_context(context)
    }

    /// The attributes, without the variables of the prompt.
    pub(crate) fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// The variables of the prompt.
    #[cfg(feature = "async-openai")]
    pub(crate) fn variables(&self) -> &[KeyValue] {
        &self.variables
    }
}

/// The scope that a context carries, if any.
pub(crate) fn of(context: &Context) -> Option<&Arc<Scope>> {
    context.get::<Carried>().map(|carried| &carried.0)
}

fn set(attributes: &mut Vec<KeyValue>, attribute: KeyValue) {
    match attributes.iter_mut().find(|known| known.key == attribute.key) {
        Some(known) => *known = attribute,
        None => attributes.push(attribute),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> Vec<String> {
        Context::map_current(|context| {
            of(context).map_or_else(Vec::new, |scope| {
                scope.attributes().iter().map(|a| format!("{}={}", a.key, a.value)).collect()
            })
        })
    }

    #[test]
    fn inner_scopes_add_to_the_outer_and_end() {
        let outer = Scope::new().user_id("u").conversation_id("a").enter();
        {
            let _inner = Scope::new().conversation_id("b").enter();
            assert_eq!(current(), ["user.id=u", "gen_ai.conversation.id=b"]);
        }
        assert_eq!(current(), ["user.id=u", "gen_ai.conversation.id=a"]);
        drop(outer);
        assert!(current().is_empty());
    }
}
