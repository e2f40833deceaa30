//! Where data comes in, and whom it is taken from.

pub mod otlp;
pub mod trust;
