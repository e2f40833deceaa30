//! Attribute macros of `opentelemetry-mlflow`: use them from there.
//!
//! Expands at compile time only; what the expanded code calls is in the module `__private` of that
//! crate.

use proc_macro::TokenStream;

mod expand;
mod options;
mod signature;

use expand::expand;
use options::Macro;

/// Traces a function as a tool that an agent uses: the span `execute_tool {name}` of the GenAI
/// conventions, of the type `TOOL` in MLflow.
///
/// Belongs on functions and methods, sync or async, also on those of `async_trait`, and on functions
/// that return an async block or `Box::pin` of one. What the function does, returns and may be sent
/// to stays as it is, but that `#[track_caller]` has no effect inside. In a trait, put it on each
/// implementation.
///
/// # What is recorded
///
/// - The **arguments** as an object, one member each; names inside of patterns count as arguments,
///   `self` is never recorded. What implements `Serialize` is recorded as JSON, anything else as the
///   name of its type: nothing is recorded that its author has not made readable. In a generic
///   function, the bounds of its signature decide. Content: see
///   [`CapturePolicy`](../opentelemetry_mlflow/genai/struct.CapturePolicy.html).
/// - The **result**, by the same rules. Of a `Result` the value, or the error: its type's name as
///   `error.type` (`_OTHER` for texts and `dyn Error`), an event `exception` with its `Display` text,
///   and an error as status. `()` is not recorded.
/// - **Panics** (`error.type` `panic`) and **futures that are dropped** before they are done
///   (`cancelled`). The panic goes on.
/// - The **id of the tool call** that the model made: see
///   [`ToolCall`](../opentelemetry_mlflow/instrument/span/struct.ToolCall.html).
///
/// Inside the function, `Span::current()` gives the span to record more on.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `name = "..."` | name of the tool; else the function's |
/// | `description = "..."` | what it is for; else the doc comment up to its first heading |
/// | `call_id = ...` | id of the model's call; else it is found |
/// | `skip(a, b)` | arguments that are not recorded |
/// | `skip_all` | no argument is recorded |
/// | `skip_result` | the result is not recorded; an error is |
/// | `debug(a)` | arguments that are recorded as their `Debug` text |
/// | `debug` | arguments and result without `Serialize` are recorded as their `Debug` text, if they have one |
///
/// The values may be any expression, which can use the arguments and is evaluated only where
/// telemetry is on: `name = self.name.clone()`.
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Macro::Tool, options.into(), item.into()).into()
}

/// Traces a function as an agent at work: the span `invoke_agent {name}` of the GenAI conventions, of
/// the type `AGENT` in MLflow.
///
/// What is recorded, and the options `name`, `skip`, `skip_all`, `skip_result` and `debug`, are those
/// of [`macro@tool`], with arguments and result as MLflow's inputs and outputs. Calls of models and
/// tools inside are counted for the agent.
///
/// | option | meaning |
/// |---|---|
/// | `description = "..."` | what the agent is for |
/// | `id = "..."`, `version = "..."` | which one it is |
/// | `model = "..."` | the model that it is set to, if it is only one |
#[proc_macro_attribute]
pub fn agent(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Macro::Agent, options.into(), item.into()).into()
}

/// Traces a function as a workflow, in which several agents or other steps work together: the span
/// `invoke_workflow {name}` of the GenAI conventions, of the type `WORKFLOW` in MLflow.
///
/// What is recorded, and the options `name`, `skip`, `skip_all`, `skip_result` and `debug`, are those
/// of [`macro@tool`], with arguments and result as MLflow's inputs and outputs.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Macro::Workflow, options.into(), item.into()).into()
}

/// Traces a function as a step of any type.
///
/// What is recorded, and the options `name`, `skip`, `skip_all`, `skip_result` and `debug`, are those
/// of [`macro@tool`], with arguments and result as MLflow's inputs and outputs.
///
/// | option | meaning |
/// |---|---|
/// | `span_type = "..."` | one of MLflow's types, such as `RETRIEVER` or `CHAIN`, or your own; else `UNKNOWN` |
#[proc_macro_attribute]
pub fn traced(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Macro::Traced, options.into(), item.into()).into()
}
