//! The id of a tool call, for those who run tools by name.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::context::{ContextGuard, FutureExt, WithContext};

/// Gives the first tool span inside the id of the call that the model made
/// (`gen_ai.tool.call.id`).
///
/// Ids are found without this where the model was called through the client layer inside the same
/// outermost span: by the name of the tool, and by the arguments where it was called more than
/// once. A dispatcher that has the id at hand makes sure.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::instrument::ToolCall;
///
/// # async fn dispatch(name: &str, arguments: &str) -> String { String::new() }
/// # async fn example() {
/// let result = ToolCall::new("call_62136355").run(dispatch("weather", r#"{"city":"Paris"}"#)).await;
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    id: String,
}

/// An id that the context carries until a span takes it.
struct Offered {
    id: String,
    taken: AtomicBool,
}

impl ToolCall {
    /// The call of that id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }

    /// A context with the id in it.
    #[must_use]
    pub fn within(self, context: &Context) -> Context {
        context.with_value(Arc::new(Offered { id: self.id, taken: AtomicBool::new(false) }))
    }

    /// Runs the future that runs the tool.
    pub fn run<F: Future>(self, future: F) -> WithContext<F> {
        let context = self.within(&Context::current());
        future.with_context(context)
    }

    /// Offers the id on this thread until the guard is dropped. For futures, use
    /// [`run`](Self::run): a guard must not be kept across `await`.
    #[must_use = "the id is offered until the guard is dropped"]
    pub fn enter(self) -> ContextGuard {
        self.within(&Context::current()).attach()
    }
}

/// Takes the id, if there is one that no span has taken.
pub(super) fn take(context: &Context) -> Option<String> {
    let offered = context.get::<Arc<Offered>>()?;
    (!offered.taken.swap(true, Ordering::Relaxed)).then(|| offered.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_for_one_span() {
        let _outer = ToolCall::new("1").enter();
        assert_eq!(take(&Context::current()).as_deref(), Some("1"));
        assert_eq!(take(&Context::current()), None);
        let _inner = ToolCall::new("2").enter();
        assert_eq!(take(&Context::current()).as_deref(), Some("2"));
    }
}
