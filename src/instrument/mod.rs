//! GenAI telemetry from a Rust service, through the OpenTelemetry API alone.
//!
//! [`Instrumentation`] says where telemetry goes and what it may hold; [`Scope`] sets conversation,
//! user and prompt for everything inside; [`Span`] traces the application's own steps: tools, agents,
//! workflows.

mod agent;
mod context;
mod event;
mod hosts;
mod instrumentation;
mod metrics;
mod naming;
#[cfg(feature = "async-openai")]
pub mod openai;
mod scope;
mod secrets;
pub mod span;

pub use context::in_current_context;
pub use instrumentation::{Instrumentation, InstrumentationBuilder};
pub use naming::{Naming, STABILITY_VARIABLE};
pub use scope::Scope;
pub use span::{Entered, Span, SpanBuilder, SpanHandle, SpanType, ToolCall};

/// The attributes of the scope that a context carries.
#[cfg(feature = "autolog")]
pub(crate) fn scope_attributes(context: &opentelemetry::Context) -> Option<&[opentelemetry::KeyValue]> {
    scope::of(context).map(|scope| scope.attributes())
}
