//! Names: attributes, events and values of the GenAI semantic conventions, of the vendors' dialects,
//! and of MLflow.
//!
//! Holds constants only, never logic.

pub mod claude_code;
pub mod gen_ai;
pub mod gen_ai_former;
pub mod google_adk;
pub mod laminar;
pub mod langfuse;
pub mod livekit;
pub mod mlflow;
pub mod openai;
pub mod openinference;
pub mod otel;
pub mod otel_mlflow;
pub mod traceloop;
pub mod vercel_ai;
pub mod voltagent;
