//! Calls of [`async-openai`](https://docs.rs/async-openai) as GenAI spans, metrics and events.
//!
//! [`InstrumentClient::instrumented`] is the one line; [`OpenAiLayer`] is the same for a tower stack
//! of one's own. Traced are chat completions, completions, embeddings, responses, images, audio and
//! moderations, whatever types they are called with; everything else passes through.
//!
//! The caller gets each byte when it arrives, and the errors that it gets without the layer. The
//! span lasts until the answer has been read, has failed, or has been dropped.

mod audio;
mod body;
mod bounded;
mod call;
mod chat;
mod client;
mod completions;
mod embeddings;
mod error;
mod exchange;
mod facts;
mod images;
mod layer;
mod media_stream;
mod model_call;
mod moderations;
mod multipart;
mod provider;
mod realtime;
mod report;
mod request;
mod responses;
mod route;
mod server;
mod shared;
mod sse;
mod stream;
mod traced;
mod usage;

#[cfg(test)]
mod tests;

pub use client::InstrumentClient;
pub use layer::{OpenAiLayer, OpenAiService};
pub(crate) use model_call::{ModelCall, ModelHook};
pub use realtime::RealtimeSession;
#[cfg(all(feature = "autolog", feature = "client"))]
pub(crate) use route::Api;
