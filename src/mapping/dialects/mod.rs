//! The dialects of GenAI tracing: which attributes hold what, by convention and by vendor.
//!
//! A dialect is a row of [`DIALECTS`], in a file of its own; the first that knows an answer gives
//! it, so their order matters. It is the order of MLflow 3.17.2's translators.

mod claude_code;
mod gemini_cli;
mod gen_ai;
mod google_adk;
mod laminar;
mod langfuse;
mod livekit;
mod openinference;
mod rules;
mod spring_ai;
mod traceloop;
mod vercel_ai;
mod voltagent;

pub(super) use rules::{
    ContentRule, CostRule, Dialect, EventRule, Events, FormatRule, Source, Tokens, TypeRule, UsageRule,
};

/// The dialects, the most trusted first.
pub(super) const DIALECTS: &[Dialect] = &[
    openinference::DIALECT,
    gemini_cli::DIALECT,
    claude_code::DIALECT,
    gen_ai::DIALECT,
    spring_ai::DIALECT,
    traceloop::DIALECT,
    google_adk::DIALECT,
    vercel_ai::DIALECT,
    voltagent::DIALECT,
    livekit::DIALECT,
    laminar::DIALECT,
    langfuse::DIALECT,
];

/// Inputs that come as events, read where no attribute of any dialect has them.
pub(super) const INPUT_EVENTS: &[EventRule] = &[spring_ai::prompt, livekit::messages];

/// Outputs that come as events, read where no attribute of any dialect has them.
pub(super) const OUTPUT_EVENTS: &[EventRule] =
    &[spring_ai::completion, livekit::choices, claude_code::tool_output];
