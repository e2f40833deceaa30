//! The configuration: YAML files in the Collector's shape, checked as a whole before anything starts.
//!
//! ```text
//! files ─> parse ─┐
//!                 ├─> merge ─> expand ${…} ─> check against the components' JSON Schemas
//! --set ──────────┘                             ─> their structs ─> validate ─> cross checks ─> Config
//! ```
//!
//! Every value keeps the place where it was written, so that all problems are reported at once, each
//! with its path, file, line and column. A value that came from the environment or from a file is
//! never repeated in a message.
//!
//! Adding a component is one row in a table of `components.rs` and one `impl` of [`ComponentConfig`].

mod components;
mod cross;
mod inspect;
mod load;
mod merge;
mod schema;
mod service;

#[cfg(test)]
mod tests;

pub use components::{
    BUILT_IN, Catalogue, ComponentConfig, ComponentKind, ComponentType, Inspection, Setting, Stability,
};
pub use load::{Config, Configured, DEFAULT, Loaded, Sources, load};
pub use schema::whole_schema;
pub use service::{PipelineConfig, Service};

pub use crate::document::expand::{Lookup, Process};
pub use crate::document::problem::{Location, Problem, Problems, Severity};
