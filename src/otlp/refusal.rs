//! What of a request is not kept.

/// Spans that cannot be kept, and why; reported to the sender in `partial_success`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many spans.
    pub spans: usize,
    /// Why, for the sender's developer to read.
    pub reason: String,
}
