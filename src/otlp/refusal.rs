//! What of a request is not kept.

/// Spans that cannot be kept, and why; reported to the sender in `partial_success`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many spans.
    pub spans: usize,
    /// Why, for the sender's developer to read.
    pub reason: String,
}

/// Refusals in the making. Describes the first spans one by one and counts the rest, so that a
/// request full of bad spans does not cost more memory than a request full of good ones.
#[derive(Debug, Default)]
pub(super) struct RefusalList {
    described: Vec<Refusal>,
    undescribed: usize,
}

/// More than anybody reads in one answer.
const DESCRIBED: usize = 32;

impl RefusalList {
    /// Adds one span; `reason` is called only if it will be kept.
    pub(super) fn push(&mut self, reason: impl FnOnce() -> String) {
        if self.described.len() < DESCRIBED {
            self.described.push(Refusal { spans: 1, reason: reason() });
        } else {
            self.undescribed += 1;
        }
    }

    /// The refusals, the undescribed ones as one.
    pub(super) fn finish(mut self) -> Vec<Refusal> {
        if self.undescribed > 0 {
            let reason = "unusable for reasons like those of the spans before".to_owned();
            self.described.push(Refusal { spans: self.undescribed, reason });
        }
        self.described
    }
}
