//! Context where Rust cannot pass it on by itself.

use opentelemetry::Context;
use opentelemetry::context::{FutureExt, WithContext};

/// Takes the current trace and [`Scope`](super::Scope) along into a future or stream that runs
/// elsewhere: in a spawned task, or polled by somebody else. Within one task, `await` needs no help.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::instrument::in_current_context;
///
/// # async fn summarise() {}
/// # async fn handle() {
/// let task = tokio::spawn(in_current_context(summarise()));
/// # task.await.unwrap();
/// # }
/// ```
pub fn in_current_context<T>(inner: T) -> WithContext<T> {
    inner.with_context(Context::current())
}
