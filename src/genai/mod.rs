//! What a GenAI call carries, in the forms of the semantic conventions: messages, tools, and how
//! much of them may be recorded.
//!
//! Nothing here knows a provider, a span or a backend. [`Json`] is the lenient, borrowed tree that
//! requests and responses are read into; [`Message`] and [`Part`] are the registry's message
//! schemas; [`CapturePolicy`] decides what of them leaves the process.

mod capture;
mod hash;
mod json;
mod message;
mod record;

pub use capture::{CAPTURE_VARIABLE, CaptureMode, CapturePolicy, ContentKind, UnknownCaptureMode};
pub use json::Json;
#[cfg(feature = "async-openai")]
pub(crate) use json::{Text, cow, utf8};
pub use message::{Blob, Message, Modality, Part};
pub use record::Recorder;
