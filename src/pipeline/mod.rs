//! How a request travels from a receiver to the exporters, and how its fate travels back.
//!
//! ```text
//! receiver ── TraceRequest + Ack ──> pipeline ──> exporter A
//!    ^                                  └───────> exporter B
//!    └────── Delivery (what was kept, or why not) ──┘
//! ```
//!
//! Knows neither a protocol nor a backend.

mod ack;
mod component;
mod exporter;
mod memory;
mod request;
mod swap;

pub use ack::{Ack, Delivered, Delivery, DeliveryFuture, ExportError, ack_channel};
pub use component::ComponentId;
pub use exporter::{Pipeline, TraceExporter};
pub use memory::{Held, MemoryAccount};
pub use request::{RequestMetadata, TraceRequest};
pub use swap::{Swap, retire};
