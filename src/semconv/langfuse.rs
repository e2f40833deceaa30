//! Names that Langfuse uses.

/// Attribute: kind of the observation, such as `generation`.
pub const OBSERVATION_TYPE: &str = "langfuse.observation.type";
/// Attribute: what the operation was given.
pub const OBSERVATION_INPUT: &str = "langfuse.observation.input";
/// Attribute: what the operation returned.
pub const OBSERVATION_OUTPUT: &str = "langfuse.observation.output";
/// Attribute: cost in US dollars, as an object.
pub const COST_DETAILS: &str = "langfuse.observation.cost_details";
/// Attribute: session of the trace.
pub const SESSION_ID: &str = "langfuse.session.id";
/// Attribute: user of the trace.
pub const USER_ID: &str = "langfuse.user.id";
