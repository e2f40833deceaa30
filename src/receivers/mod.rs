//! Where data comes in.

pub mod otlp;
