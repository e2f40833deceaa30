//! Names that Langfuse uses.

/// Attribute: kind of the observation, such as `generation`.
pub const OBSERVATION_TYPE: &str = "langfuse.observation.type";
/// Attribute: what the operation was given.
pub const OBSERVATION_INPUT: &str = "langfuse.observation.input";
/// Attribute: what the operation returned.
pub const OBSERVATION_OUTPUT: &str = "langfuse.observation.output";
