//! YAML documents whose values know where they were written, so that everything that is wrong with
//! one can be said at once: what configurations of all kinds are read with.
//!
//! ```text
//! text ─> yaml: located tree ─> expand ${…} ─> check against a JSON Schema ─> Problems
//! ```

pub(crate) mod check;
#[cfg_attr(
    not(feature = "gateway"),
    expect(unreachable_pub, reason = "public in the collector's configuration")
)]
pub(crate) mod expand;
pub(crate) mod problem;
pub(crate) mod suggest;
#[cfg_attr(
    not(feature = "gateway"),
    expect(dead_code, reason = "the configuration of the collector uses more of it")
)]
pub(crate) mod tree;
pub(crate) mod yaml;
